
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * SendGrid's errors and what each means for a message.
 *
 * SendGrid has no error codes: {"errors": [{"message", "field", "help"}]}.
 * Messages are prose and change, so that status and field decide.
 *
 * To add an error: add a row before the one of its status that fits all.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <channel/ngx_comms_sendgrid.h>


#define NGX_COMMS_SENDGRID_DOCS                                               \
    "https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors"
#define NGX_COMMS_SENDGRID_SPEC  "sendgrid-oai: POST /v3/mail/send"


static const ngx_comms_sendgrid_error_t  ngx_comms_sendgrid_errors[] = {

    { 400, "from", NGX_COMMS_SEND_CONFIG, "invalid_sender",
      "SendGrid refuses the sender: check company_email and its verified "
      "sender identity",
      NGX_COMMS_SENDGRID_DOCS },

    { 400, "reply_to", NGX_COMMS_SEND_CONFIG, "invalid_reply_to",
      "SendGrid refuses the Reply-To address: check reply_to",
      NGX_COMMS_SENDGRID_DOCS },

    { 400, "personalizations", NGX_COMMS_SEND_REFUSED, "invalid_recipient",
      "SendGrid refuses the recipient's address",
      NGX_COMMS_SENDGRID_DOCS },

    { 400, "", NGX_COMMS_SEND_REFUSED, "bad_request",
      "SendGrid refuses the mail as it is",
      NGX_COMMS_SENDGRID_DOCS },

    { 401, "", NGX_COMMS_SEND_CONFIG, "authentication",
      "SendGrid refused the API key: check api_key, and whether the account "
      "has credits left",
      NGX_COMMS_SENDGRID_DOCS },

    { 403, "from", NGX_COMMS_SEND_CONFIG, "unverified_sender",
      "company_email is no verified sender identity of this SendGrid account",
      NGX_COMMS_SENDGRID_DOCS },

    { 403, "", NGX_COMMS_SEND_CONFIG, "forbidden",
      "the API key may not send mail, or the sender is not verified",
      NGX_COMMS_SENDGRID_DOCS },

    { 404, "", NGX_COMMS_SEND_CONFIG, "not_found",
      "no such resource: check the provider location",
      NGX_COMMS_SENDGRID_SPEC },

    { 405, "", NGX_COMMS_SEND_CONFIG, "method_not_allowed",
      "no such resource: check the provider location",
      NGX_COMMS_SENDGRID_SPEC },

    { 408, "", NGX_COMMS_SEND_RETRY, "request_timeout",
      "the request reached SendGrid too slowly",
      "RFC 9110 15.5.9" },

    { 413, "", NGX_COMMS_SEND_REFUSED, "too_large",
      "the mail is larger than SendGrid takes",
      NGX_COMMS_SENDGRID_DOCS },

    { 429, "", NGX_COMMS_SEND_RETRY, "rate_limited",
      "too many requests to SendGrid",
      NGX_COMMS_SENDGRID_DOCS }
};


/* for every other status below 500 */

static const ngx_comms_sendgrid_error_t  ngx_comms_sendgrid_refused = {
    0, "", NGX_COMMS_SEND_REFUSED, "refused",
    "SendGrid refused the mail",
    NGX_COMMS_SENDGRID_SPEC
};


static const ngx_comms_sendgrid_error_t  ngx_comms_sendgrid_unexpected = {
    0, "", NGX_COMMS_SEND_CONFIG, "unexpected_status",
    "no answer of SendGrid's: check the provider location",
    NGX_COMMS_SENDGRID_SPEC
};


const ngx_comms_sendgrid_error_t *
ngx_comms_sendgrid_error(ngx_uint_t status, ngx_str_t *field)
{
    size_t                             len;
    ngx_uint_t                         i, n;
    const ngx_comms_sendgrid_error_t  *known;

    n = sizeof(ngx_comms_sendgrid_errors)
        / sizeof(ngx_comms_sendgrid_errors[0]);

    for (i = 0; i < n; i++) {
        known = &ngx_comms_sendgrid_errors[i];
        len = ngx_strlen(known->field);

        if (known->status == status
            && field->len >= len
            && ngx_strncmp(field->data, known->field, len) == 0)
        {
            return known;
        }
    }

    return (status >= 400) ? &ngx_comms_sendgrid_refused
                           : &ngx_comms_sendgrid_unexpected;
}
