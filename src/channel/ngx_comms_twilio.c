
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Twilio's Messages resource: SMS and WhatsApp, the way out.
 *
 * Twilio has no idempotency key.  An answer that leaves it open whether the
 * message was taken over is therefore never called a failure: it is
 * NGX_COMMS_SEND_UNKNOWN, and the marker, which the status callback carries
 * back, tells later what became of it.
 *
 * What counts as surely not taken over:
 *   nothing reached Twilio; 429; 408 (RFC 9110 15.5.9: the request never
 *   arrived whole); an error of Twilio's own (JSON with a code) below 500;
 *   503 with such a code.  Every other 5xx may come from a proxy that had
 *   passed the request on.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_address.h>
#include <channel/ngx_comms_twilio.h>


#define NGX_COMMS_TWILIO_MAX_BODY   1600    /* code points */
#define NGX_COMMS_TWILIO_MAX_WAIT   3600    /* seconds of Retry-After */
#define NGX_COMMS_TWILIO_MAX_MEDIA  10
#define NGX_COMMS_TWILIO_MAX_URL    2048


static ngx_int_t ngx_comms_twilio_build(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, json_t *credentials,
    ngx_comms_request_t *rq, const char **words);
static const char *ngx_comms_twilio_unfit(ngx_comms_outbound_t *message);
static const char *ngx_comms_twilio_unfit_content(
    ngx_comms_outbound_t *message);
static ngx_int_t ngx_comms_twilio_content(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, ngx_comms_request_t *rq,
    const char **words);
static ngx_int_t ngx_comms_twilio_headers(ngx_pool_t *pool,
    json_t *credentials, ngx_comms_request_t *rq);
static ngx_int_t ngx_comms_twilio_basic(ngx_pool_t *pool,
    json_t *credentials, ngx_str_t *basic);
static ngx_int_t ngx_comms_twilio_party(ngx_pool_t *pool,
    ngx_comms_request_t *rq, const char *name, ngx_uint_t channel,
    ngx_str_t *address);
static ngx_int_t ngx_comms_twilio_template(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, ngx_comms_request_t *rq,
    const char **words);
static ngx_int_t ngx_comms_twilio_callback(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, ngx_comms_request_t *rq);
static ngx_int_t ngx_comms_twilio_read(ngx_pool_t *pool,
    ngx_comms_answer_t *an, ngx_comms_sent_t *sent);
static ngx_int_t ngx_comms_twilio_read_taken(ngx_pool_t *pool, json_t *answer,
    ngx_comms_sent_t *sent);
static ngx_int_t ngx_comms_twilio_read_error(ngx_pool_t *pool,
    ngx_uint_t status, json_t *answer, ngx_comms_sent_t *sent);
static ngx_int_t ngx_comms_twilio_code(ngx_pool_t *pool, json_t *answer,
    const char *member, ngx_comms_sent_t *sent,
    const ngx_comms_code_t **error);
static void ngx_comms_twilio_by_status(ngx_uint_t status,
    ngx_comms_sent_t *sent);
static void ngx_comms_twilio_verdict(ngx_comms_sent_t *sent,
    ngx_comms_send_e verdict, const char *label, const char *words);


ngx_comms_provider_t  ngx_comms_twilio = {
    ngx_string("twilio"),

    ngx_comms_twilio_build,
    ngx_comms_twilio_read,
    ngx_comms_twilio_verify,
    ngx_comms_twilio_parse,

    NULL,
    NULL,
    ngx_comms_twilio_fetch,
    NULL,

    ngx_string("text/xml"),
    ngx_string("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
               "<Response></Response>"),

    ngx_comms_twilio_check,

    (1 << NGX_COMMS_WHATSAPP) | (1 << NGX_COMMS_SMS)
};


static ngx_int_t
ngx_comms_twilio_build(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    json_t *credentials, ngx_comms_request_t *rq, const char **words)
{
    u_char     *p;
    size_t      len;
    ngx_int_t   rc;
    ngx_str_t   sid;

    *words = ngx_comms_twilio_unfit(message);
    if (*words != NULL) {
        return NGX_DECLINED;
    }

    if (ngx_comms_json_str(credentials, "account_sid", &sid) != NGX_OK
        || !ngx_comms_twilio_sid_valid(&sid, "AC"))
    {
        *words = "the credentials have no valid account_sid";
        return NGX_DECLINED;
    }

    if (ngx_comms_request_init(rq, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    len = sizeof("2010-04-01/Accounts//Messages.json") - 1 + sid.len;

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&rq->method, "POST");
    rq->path.data = p;
    rq->path.len = ngx_sprintf(p, "2010-04-01/Accounts/%V/Messages.json",
                               &sid)
                   - p;

    rc = ngx_comms_twilio_headers(pool, credentials, rq);
    if (rc != NGX_OK) {
        *words = "the credentials cannot be sent in a header";
        return rc;
    }

    if (ngx_comms_twilio_party(pool, rq, "To", message->channel,
                               &message->person_address)
        != NGX_OK
        || ngx_comms_twilio_party(pool, rq, "From", message->channel,
                                  &message->company_address)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (message->template_sid.len) {
        rc = ngx_comms_twilio_template(pool, message, rq, words);

    } else {
        rc = ngx_comms_twilio_content(pool, message, rq, words);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_comms_twilio_callback(pool, message, rq);
}


static ngx_int_t
ngx_comms_twilio_content(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    ngx_comms_request_t *rq, const char **words)
{
    size_t      i;
    json_t     *medium;
    ngx_str_t   url;

    /* the service's features, and still the sender of the conversation */

    if (message->channel == NGX_COMMS_SMS
        && message->messaging_service.len > 0
        && ngx_comms_form_add(pool, &rq->body, "MessagingServiceSid",
                              &message->messaging_service)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (message->content.len > 0
        && ngx_comms_form_add(pool, &rq->body, "Body", &message->content)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    json_array_foreach(message->media, i, medium) {

        if (ngx_comms_json_str(medium, "url", &url) != NGX_OK
            || url.len == 0 || url.len > NGX_COMMS_TWILIO_MAX_URL)
        {
            *words = "a file of the message has no address";
            return NGX_DECLINED;
        }

        if (ngx_comms_form_add(pool, &rq->body, "MediaUrl", &url) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* why the message cannot be sent by Twilio, or NULL */

static const char *
ngx_comms_twilio_unfit(ngx_comms_outbound_t *message)
{
    ngx_str_t  bare;

    if (message->channel != NGX_COMMS_WHATSAPP
        && message->channel != NGX_COMMS_SMS)
    {
        return "Twilio carries WhatsApp and SMS only";
    }

    bare = ngx_comms_address_bare(&message->company_address);

    if (!ngx_comms_address_is(&message->company_address, "tel")
        || !ngx_comms_tel_valid(&bare))
    {
        return "the company's address is no phone number";
    }

    bare = ngx_comms_address_bare(&message->person_address);

    if (ngx_comms_address_is(&message->person_address, "tel")) {
        if (!ngx_comms_tel_valid(&bare)) {
            return "the person's address is no phone number";
        }

    } else if (message->channel != NGX_COMMS_WHATSAPP
               || !ngx_comms_address_is(&message->person_address, "bsuid"))
    {
        return "the person's address does not fit the channel";
    }

    if (message->template_sid.len) {
        if (message->channel != NGX_COMMS_WHATSAPP) {
            return "templates are for WhatsApp only";
        }

        if (!ngx_comms_twilio_sid_valid(&message->template_sid, "HX")) {
            return "the template's sid is invalid";
        }

        return NULL;
    }

    return ngx_comms_twilio_unfit_content(message);
}


static const char *
ngx_comms_twilio_unfit_content(ngx_comms_outbound_t *message)
{
    ngx_str_t  bare;

    if (message->channel == NGX_COMMS_SMS
        && message->messaging_service.len > 0
        && !ngx_comms_twilio_sid_valid(&message->messaging_service, "MG"))
    {
        return "the messaging service's sid is invalid";
    }

    if (json_array_size(message->media) > NGX_COMMS_TWILIO_MAX_MEDIA) {
        return "the message has more than 10 files";
    }

    if (!ngx_comms_utf8_valid(&message->content)) {
        return "the message is not valid UTF-8";
    }

    bare = ngx_comms_trim(message->content);

    if (bare.len == 0 && json_array_size(message->media) == 0) {
        return "the message is empty";
    }

    if (ngx_comms_utf8_length(&message->content) > NGX_COMMS_TWILIO_MAX_BODY) {
        return "the message is longer than 1600 characters";
    }

    return NULL;
}


static ngx_int_t
ngx_comms_twilio_headers(ngx_pool_t *pool, json_t *credentials,
    ngx_comms_request_t *rq)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    rc = ngx_comms_twilio_basic(pool, credentials, &value);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_comms_request_header(rq, "Authorization", &value);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_set(&value, "application/x-www-form-urlencoded");

    rc = ngx_comms_request_header(rq, "Content-Type", &value);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_set(&value, "application/json");

    return ngx_comms_request_header(rq, "Accept", &value);
}


/* NGX_DECLINED: the credentials have nothing to log in with */

static ngx_int_t
ngx_comms_twilio_basic(ngx_pool_t *pool, json_t *credentials,
    ngx_str_t *basic)
{
    u_char     *p;
    ngx_str_t   user, password, text, value;

    if (ngx_comms_json_str(credentials, "api_key_sid", &user) != NGX_OK) {

        if (ngx_comms_json_str(credentials, "account_sid", &user) != NGX_OK
            || ngx_comms_json_str(credentials, "auth_token", &password)
               != NGX_OK)
        {
            return NGX_DECLINED;
        }

    } else if (ngx_comms_json_str(credentials, "api_key_secret", &password)
               != NGX_OK)
    {
        return NGX_DECLINED;
    }

    text.len = user.len + 1 + password.len;
    text.data = ngx_pnalloc(pool, text.len);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(text.data, "%V:%V", &user, &password);

    if (ngx_comms_base64(pool, &text, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(pool, sizeof("Basic ") - 1 + value.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    basic->data = p;
    basic->len = ngx_sprintf(p, "Basic %V", &value) - p;

    return NGX_OK;
}


/* media want a login where the account is set up so, and take it anyway */

ngx_int_t
ngx_comms_twilio_fetch(ngx_pool_t *pool, json_t *media, json_t *credentials,
    ngx_str_t *url, ngx_array_t *headers, ngx_uint_t *again)
{
    ngx_int_t      rc;
    ngx_str_t      value;
    ngx_keyval_t  *header;

    *again = 0;

    if (ngx_comms_json_str(media, "url", url) != NGX_OK || url->len == 0) {
        return NGX_DECLINED;
    }

    rc = ngx_comms_twilio_basic(pool, credentials, &value);
    if (rc != NGX_OK) {
        return rc;
    }

    url->data = ngx_pstrdup(pool, url);
    header = ngx_array_push(headers);

    if (url->data == NULL || header == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&header->key, "Authorization");
    header->value = value;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_twilio_party(ngx_pool_t *pool, ngx_comms_request_t *rq,
    const char *name, ngx_uint_t channel, ngx_str_t *address)
{
    u_char     *p;
    ngx_str_t   bare, party;

    bare = ngx_comms_address_bare(address);

    if (channel == NGX_COMMS_SMS) {
        return ngx_comms_form_add(pool, &rq->body, name, &bare);
    }

    p = ngx_pnalloc(pool, sizeof("whatsapp:") - 1 + bare.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    party.data = p;
    party.len = ngx_sprintf(p, "whatsapp:%V", &bare) - p;

    return ngx_comms_form_add(pool, &rq->body, name, &party);
}


static ngx_int_t
ngx_comms_twilio_template(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    ngx_comms_request_t *rq, const char **words)
{
    json_t      *variables, *value;
    ngx_int_t    rc;
    ngx_str_t    text, line;
    const char  *key;

    if (ngx_comms_form_add(pool, &rq->body, "ContentSid",
                           &message->template_sid)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (message->template_variables == NULL
        || json_object_size(message->template_variables) == 0)
    {
        return NGX_OK;
    }

    variables = json_object();
    if (variables == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_OK;

    json_object_foreach(message->template_variables, key, value) {

        if (!json_is_string(value)) {
            *words = "a variable of the template is no text";
            rc = NGX_DECLINED;
            break;
        }

        text = ngx_comms_json_view(value);

        if (ngx_comms_one_line(pool, &text, &line) != NGX_OK
            || ngx_comms_json_set_str(variables, key, &line) != NGX_OK)
        {
            rc = NGX_ERROR;
            break;
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_comms_json_dump_canonical(pool, variables, &text);
    }

    json_decref(variables);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_comms_form_add(pool, &rq->body, "ContentVariables", &text);
}


/*
 * The marker travels in the callback's query, so that the callback reveals
 * which message of ours it is about even when the answer with Twilio's own id
 * was lost.
 */

static ngx_int_t
ngx_comms_twilio_callback(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    ngx_comms_request_t *rq)
{
    u_char     *p, *last, *fragment, *query;
    ngx_str_t   escaped, url, front, tail;

    url = message->status_callback;

    if (url.len == 0) {
        return NGX_OK;
    }

    if (message->marker.len) {

        if (ngx_comms_form_escape(pool, &message->marker, &escaped)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        last = url.data + url.len;

        /* what follows "#" are connection overrides for Twilio */

        fragment = ngx_strlchr(url.data, last, '#');
        if (fragment == NULL) {
            fragment = last;
        }

        query = ngx_strlchr(url.data, fragment, '?');

        front.data = url.data;
        front.len = fragment - url.data;
        tail.data = fragment;
        tail.len = last - fragment;

        p = ngx_pnalloc(pool, url.len + sizeof("?m=") - 1 + escaped.len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        url.data = p;
        url.len = ngx_sprintf(p, "%V%cm=%V%V", &front,
                              (query != NULL) ? '&' : '?', &escaped, &tail)
                  - p;
    }

    return ngx_comms_form_add(pool, &rq->body, "StatusCallback", &url);
}


static ngx_int_t
ngx_comms_twilio_read(ngx_pool_t *pool, ngx_comms_answer_t *an,
    ngx_comms_sent_t *sent)
{
    json_t                  *answer;
    ngx_int_t                rc, seconds;
    ngx_str_t               *wait;
    ngx_comms_json_error_t   err;

    ngx_memzero(sent, sizeof(ngx_comms_sent_t));

    if (an->outcome == NGX_COMMS_EXCHANGE_UNSENT) {
        ngx_comms_twilio_verdict(sent, NGX_COMMS_SEND_RETRY, "unsent",
                                 "Twilio could not be reached");
        return NGX_OK;
    }

    if (an->outcome != NGX_COMMS_EXCHANGE_COMPLETE) {
        ngx_comms_twilio_verdict(sent, NGX_COMMS_SEND_UNKNOWN, "no_answer",
                                 "no whole answer came from Twilio");
        return NGX_OK;
    }

    answer = ngx_comms_json_parse(&an->body, &err);

    if (an->status >= 200 && an->status < 300) {
        rc = ngx_comms_twilio_read_taken(pool, answer, sent);

    } else {
        rc = ngx_comms_twilio_read_error(pool, an->status, answer, sent);
    }

    json_decref(answer);

    wait = ngx_comms_answer_header(an, "Retry-After");

    if (wait != NULL && sent->verdict == NGX_COMMS_SEND_RETRY) {
        seconds = ngx_atoi(wait->data, wait->len);

        if (seconds > 0) {
            sent->retry_after = ngx_min(seconds, NGX_COMMS_TWILIO_MAX_WAIT)
                                * 1000;
        }
    }

    return rc;
}


static ngx_int_t
ngx_comms_twilio_read_taken(ngx_pool_t *pool, json_t *answer,
    ngx_comms_sent_t *sent)
{
    ngx_str_t                        sid, status;
    const ngx_comms_code_t  *error;

    if (!json_is_object(answer)
        || ngx_comms_json_str(answer, "sid", &sid) != NGX_OK
        || (!ngx_comms_twilio_sid_valid(&sid, "SM")
            && !ngx_comms_twilio_sid_valid(&sid, "MM")))
    {
        ngx_comms_twilio_verdict(sent, NGX_COMMS_SEND_UNKNOWN,
                                 "unreadable_answer",
                                 "an answer of success names no message");
        return NGX_OK;
    }

    sent->provider_message_id.len = sid.len;
    sent->provider_message_id.data = ngx_pstrdup(pool, &sid);
    if (sent->provider_message_id.data == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_twilio_verdict(sent, NGX_COMMS_SENT, "sent", "sent");

    /* a message may be born failed, with the reason in error_code */

    if (ngx_comms_json_str(answer, "status", &status) != NGX_OK
        || ((status.len != sizeof("failed") - 1
             || ngx_strncmp(status.data, "failed", status.len) != 0)
            && (status.len != sizeof("undelivered") - 1
                || ngx_strncmp(status.data, "undelivered", status.len) != 0)))
    {
        return NGX_OK;
    }

    if (ngx_comms_twilio_code(pool, answer, "error_code", sent, &error)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    if (error != NULL) {
        ngx_comms_code_judge(sent, error);

    } else {
        ngx_comms_twilio_verdict(sent, NGX_COMMS_SEND_REFUSED, "failed",
                                 "Twilio took the message and failed it");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_twilio_read_error(ngx_pool_t *pool, ngx_uint_t status,
    json_t *answer, ngx_comms_sent_t *sent)
{
    ngx_int_t                        rc;
    const ngx_comms_code_t  *error;

    rc = ngx_comms_twilio_code(pool, answer, "code", sent, &error);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (status >= 500) {

        if (status == 503 && rc == NGX_OK) {
            ngx_comms_twilio_verdict(sent, NGX_COMMS_SEND_RETRY,
                                     "unavailable",
                                     "Twilio says that the service is "
                                     "unavailable");
            return NGX_OK;
        }

        ngx_comms_twilio_verdict(sent, NGX_COMMS_SEND_UNKNOWN,
                                 "server_error",
                                 "Twilio failed and may have taken the "
                                 "message over");
        return NGX_OK;
    }

    if (status != 429 && error != NULL) {
        ngx_comms_code_judge(sent, error);
        return NGX_OK;
    }

    ngx_comms_twilio_by_status(status, sent);

    return NGX_OK;
}


/*
 * NGX_OK with the code as text, and what is known of it, if anything;
 * NGX_DECLINED when the answer names no code
 */

static ngx_int_t
ngx_comms_twilio_code(ngx_pool_t *pool, json_t *answer, const char *member,
    ngx_comms_sent_t *sent, const ngx_comms_code_t **error)
{
    int64_t  code;

    *error = NULL;

    if (!json_is_object(answer)
        || ngx_comms_json_int(answer, member, &code) != NGX_OK
        || code <= 0 || code > NGX_COMMS_TWILIO_MAX_CODE)
    {
        return NGX_DECLINED;
    }

    sent->code.data = ngx_pnalloc(pool, NGX_INT64_LEN);
    if (sent->code.data == NULL) {
        return NGX_ERROR;
    }

    sent->code.len = ngx_sprintf(sent->code.data, "%L", code)
                     - sent->code.data;

    *error = ngx_comms_twilio_error((ngx_uint_t) code);

    return NGX_OK;
}


static void
ngx_comms_twilio_by_status(ngx_uint_t status, ngx_comms_sent_t *sent)
{
    switch (status) {

    case 429:
        ngx_comms_twilio_verdict(sent, NGX_COMMS_SEND_RETRY, "rate_limited",
                                 "too many requests to Twilio at once");
        break;

    case 408:
        ngx_comms_twilio_verdict(sent, NGX_COMMS_SEND_RETRY,
                                 "request_timeout",
                                 "the request reached Twilio too slowly");
        break;

    case 401:
    case 403:
        ngx_comms_twilio_verdict(sent, NGX_COMMS_SEND_CONFIG,
                                 "authentication",
                                 "Twilio refused the credentials");
        break;

    case 404:
    case 405:
        ngx_comms_twilio_verdict(sent, NGX_COMMS_SEND_CONFIG, "not_found",
                                 "Twilio does not know the resource: check "
                                 "account_sid and the provider location");
        break;

    default:

        if (status >= 400) {
            ngx_comms_twilio_verdict(sent, NGX_COMMS_SEND_REFUSED,
                                     "refused", "Twilio refused the message");
            break;
        }

        ngx_comms_twilio_verdict(sent, NGX_COMMS_SEND_CONFIG,
                                 "unexpected_status",
                                 "no answer of Twilio's: check the provider "
                                 "location");
    }
}


static void
ngx_comms_twilio_verdict(ngx_comms_sent_t *sent, ngx_comms_send_e verdict,
    const char *label, const char *words)
{
    sent->verdict = verdict;
    sent->label = label;
    sent->words = words;
}
