
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

    { 400, "headers", NGX_COMMS_SEND_REFUSED, "invalid_header",
      "SendGrid refuses a header of the mail",
      NGX_COMMS_SENDGRID_DOCS },

    { 400, "subject", NGX_COMMS_SEND_REFUSED, "invalid_subject",
      "SendGrid refuses the subject",
      NGX_COMMS_SENDGRID_DOCS },

    { 400, "content", NGX_COMMS_SEND_REFUSED, "invalid_content",
      "SendGrid refuses the text",
      NGX_COMMS_SENDGRID_DOCS },

    { 400, "attachments", NGX_COMMS_SEND_REFUSED, "invalid_attachment",
      "SendGrid refuses an attachment",
      NGX_COMMS_SENDGRID_DOCS },

    { 400, "custom_args", NGX_COMMS_SEND_REFUSED, "invalid_custom_args",
      "SendGrid refuses custom_args",
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

    { 414, "", NGX_COMMS_SEND_CONFIG, "uri_too_long",
      "no such resource: check the provider location",
      NGX_COMMS_SENDGRID_DOCS },

    { 415, "", NGX_COMMS_SEND_CONFIG, "unsupported_media_type",
      "SendGrid got another Content-Type: check the provider location",
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


/*
 * "reason" of a dropped event, as SendGrid writes them:
 * https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
 */

static const ngx_comms_sendgrid_drop_t  ngx_comms_sendgrid_drops[] = {

    { "Unsubscribed Address", NGX_COMMS_SEND_OPTED_OUT, "unsubscribed",
      "the person has unsubscribed at SendGrid" },

    { "User Unsubscribed", NGX_COMMS_SEND_OPTED_OUT, "unsubscribed",
      "the person has unsubscribed at SendGrid" },

    { "Spam Reporting Address", NGX_COMMS_SEND_OPTED_OUT, "spam_report",
      "the person has called an earlier mail spam" },

    { "Bounced Address", NGX_COMMS_SEND_REFUSED, "bounced_before",
      "an earlier mail to the person bounced: SendGrid keeps a list" },

    { "Invalid SMTPAPI header", NGX_COMMS_SEND_REFUSED, "invalid_header",
      "SendGrid refuses a header of the mail" },

    { "Invalid", NGX_COMMS_SEND_REFUSED, "invalid_recipient",
      "SendGrid calls the person's address invalid" },

    { "Spam Content", NGX_COMMS_SEND_REFUSED, "spam_content",
      "SendGrid calls the text spam" },

    { "Recipient List over Package Quota", NGX_COMMS_SEND_CONFIG, "quota",
      "the SendGrid account has no mails left" },

    { "", NGX_COMMS_SEND_REFUSED, "dropped",
      "SendGrid did not send the mail" }
};


const ngx_comms_sendgrid_drop_t *
ngx_comms_sendgrid_drop(ngx_str_t *reason)
{
    size_t                            len;
    const ngx_comms_sendgrid_drop_t  *drop;

    for (drop = ngx_comms_sendgrid_drops; drop->reason[0] != '\0'; drop++) {
        len = ngx_strlen(drop->reason);

        if (reason->len >= len
            && ngx_strncasecmp(reason->data, (u_char *) drop->reason, len)
               == 0)
        {
            break;
        }
    }

    return drop;
}
