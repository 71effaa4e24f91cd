
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Meta's WhatsApp Cloud API, the way out.
 *
 * A 2xx means that the message was accepted and no more: what became of it
 * comes as a status webhook, which carries the marker back that went out as
 * biz_opaque_callback_data.  The API has no idempotency key.
 *
 * What an answer means is read from its body alone, from the message's id or
 * the error's code; the HTTP status decides only where there is neither, that
 * is where something else than the API answered.
 *
 * A person without a visible number is addressed by "recipient".  The API
 * takes such an id in "to" as well, answers 200, and the message is lost.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_address.h>
#include <channel/ngx_comms_event.h>
#include <channel/ngx_comms_meta.h>


static ngx_int_t ngx_comms_meta_build(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, json_t *credentials,
    ngx_comms_request_t *rq, const char **words);
static ngx_int_t ngx_comms_meta_path(ngx_pool_t *pool, json_t *credentials,
    ngx_comms_request_t *rq);
static ngx_int_t ngx_comms_meta_headers(ngx_pool_t *pool,
    json_t *credentials, ngx_comms_request_t *rq);
static ngx_int_t ngx_comms_meta_recipient(ngx_comms_outbound_t *message,
    json_t *body, const char **words);
static ngx_int_t ngx_comms_meta_correlation(ngx_comms_outbound_t *message,
    json_t *body);
static ngx_int_t ngx_comms_meta_read(ngx_pool_t *pool,
    ngx_comms_answer_t *an, ngx_comms_sent_t *sent);
static ngx_int_t ngx_comms_meta_taken(ngx_pool_t *pool, json_t *answer,
    ngx_comms_sent_t *sent);
static ngx_int_t ngx_comms_meta_refused(ngx_pool_t *pool, json_t *answer,
    ngx_comms_sent_t *sent);
static void ngx_comms_meta_stranger(ngx_uint_t status,
    ngx_comms_sent_t *sent);
static void ngx_comms_meta_verdict(ngx_comms_sent_t *sent,
    ngx_comms_send_e verdict, const char *label, const char *words);


ngx_comms_provider_t  ngx_comms_meta = {
    ngx_string("meta"),

    ngx_comms_meta_build,
    ngx_comms_meta_read,
    ngx_comms_meta_verify,
    ngx_comms_meta_parse,

    NULL,
    ngx_comms_meta_handshake,
    ngx_comms_meta_media,
    ngx_comms_meta_media_url,

    ngx_string("text/plain"),
    ngx_string("OK"),

    ngx_comms_meta_check,

    (1 << NGX_COMMS_WHATSAPP)
};


static ngx_int_t
ngx_comms_meta_build(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    json_t *credentials, ngx_comms_request_t *rq, const char **words)
{
    json_t     *body;
    ngx_int_t   rc;

    if (message->channel != NGX_COMMS_WHATSAPP) {
        *words = "Meta carries WhatsApp only";
        return NGX_DECLINED;
    }

    if (ngx_comms_request_init(rq, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&rq->method, "POST");

    *words = "the credentials have no valid phone_number_id";

    rc = ngx_comms_meta_path(pool, credentials, rq);

    if (rc == NGX_OK) {
        *words = "the credentials have no access_token that fits a header";
        rc = ngx_comms_meta_headers(pool, credentials, rq);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    body = json_pack("{s:s, s:s}", "messaging_product", "whatsapp",
                     "recipient_type", "individual");
    if (body == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_comms_meta_recipient(message, body, words);

    if (rc == NGX_OK) {
        rc = ngx_comms_meta_content(pool, message, body, words);
    }

    if (rc == NGX_OK) {
        rc = ngx_comms_meta_correlation(message, body);
    }

    if (rc == NGX_OK) {
        rc = ngx_comms_json_dump(pool, body, &rq->body);
    }

    json_decref(body);

    return rc;
}


static ngx_int_t
ngx_comms_meta_path(ngx_pool_t *pool, json_t *credentials,
    ngx_comms_request_t *rq)
{
    u_char     *p;
    ngx_str_t   id, version;

    if (ngx_comms_json_str(credentials, "phone_number_id", &id) != NGX_OK
        || !ngx_comms_meta_id_valid(&id))
    {
        return NGX_DECLINED;
    }

    ngx_comms_meta_version(credentials, &version);

    p = ngx_pnalloc(pool, version.len + id.len + sizeof("//messages") - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    rq->path.data = p;
    rq->path.len = ngx_sprintf(p, "%V/%V/messages", &version, &id) - p;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_meta_headers(ngx_pool_t *pool, json_t *credentials,
    ngx_comms_request_t *rq)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    rc = ngx_comms_meta_bearer(pool, credentials, &value);

    if (rc == NGX_OK) {
        rc = ngx_comms_request_header(rq, "Authorization", &value);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_set(&value, "application/json");

    rc = ngx_comms_request_header(rq, "Content-Type", &value);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_comms_request_header(rq, "Accept", &value);
}


static ngx_int_t
ngx_comms_meta_recipient(ngx_comms_outbound_t *message, json_t *body,
    const char **words)
{
    ngx_str_t    bare;
    const char  *member;

    bare = ngx_comms_address_bare(&message->person_address);

    if (ngx_comms_address_is(&message->person_address, "tel")) {

        if (!ngx_comms_tel_valid(&bare)) {
            *words = "the person's address is no phone number";
            return NGX_DECLINED;
        }

        member = "to";
        bare.data++;
        bare.len--;

    } else if (ngx_comms_address_is(&message->person_address, "bsuid")
               && ngx_comms_event_token(&bare, ".", NGX_COMMS_EVENT_MAX_ID))
    {
        member = "recipient";

    } else {
        *words = "the person's address does not fit the channel";
        return NGX_DECLINED;
    }

    return ngx_comms_json_set_str(body, member, &bare);
}


static ngx_int_t
ngx_comms_meta_correlation(ngx_comms_outbound_t *message, json_t *body)
{
    json_t  *context;

    if (message->marker.len > 0
        && ngx_comms_json_set_str(body, "biz_opaque_callback_data",
                                  &message->marker)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!ngx_comms_meta_wamid(&message->replied_to)) {
        return NGX_OK;
    }

    context = json_object();

    if (json_object_set_new(body, "context", context) != 0) {
        return NGX_ERROR;
    }

    return ngx_comms_json_set_str(context, "message_id",
                                  &message->replied_to);
}


static ngx_int_t
ngx_comms_meta_read(ngx_pool_t *pool, ngx_comms_answer_t *an,
    ngx_comms_sent_t *sent)
{
    json_t                  *answer;
    ngx_int_t                rc;
    ngx_comms_json_error_t   err;

    ngx_memzero(sent, sizeof(ngx_comms_sent_t));

    if (an->outcome == NGX_COMMS_EXCHANGE_UNSENT) {
        ngx_comms_meta_verdict(sent, NGX_COMMS_SEND_RETRY, "unsent",
                               "Meta could not be reached");
        return NGX_OK;
    }

    if (an->outcome != NGX_COMMS_EXCHANGE_COMPLETE) {
        ngx_comms_meta_verdict(sent, NGX_COMMS_SEND_UNKNOWN, "no_answer",
                               "no whole answer came from Meta");
        return NGX_OK;
    }

    answer = ngx_comms_json_parse(&an->body, &err);

    rc = ngx_comms_meta_taken(pool, answer, sent);

    if (rc == NGX_DECLINED) {
        rc = ngx_comms_meta_refused(pool, answer, sent);
    }

    json_decref(answer);

    if (rc == NGX_DECLINED) {
        ngx_comms_meta_stranger(an->status, sent);
        rc = NGX_OK;
    }

    return rc;
}


/* NGX_DECLINED: the answer names no message */

static ngx_int_t
ngx_comms_meta_taken(ngx_pool_t *pool, json_t *answer, ngx_comms_sent_t *sent)
{
    json_t     *message;
    ngx_str_t   id;

    message = json_array_get(json_object_get(answer, "messages"), 0);

    if (ngx_comms_json_str(message, "id", &id) != NGX_OK
        || !ngx_comms_meta_wamid(&id))
    {
        return NGX_DECLINED;
    }

    sent->provider_message_id.len = id.len;
    sent->provider_message_id.data = ngx_pstrdup(pool, &id);
    if (sent->provider_message_id.data == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_meta_verdict(sent, NGX_COMMS_SENT, "sent", "sent");

    return NGX_OK;
}


/* NGX_DECLINED: the answer is no error of the API's */

static ngx_int_t
ngx_comms_meta_refused(ngx_pool_t *pool, json_t *answer,
    ngx_comms_sent_t *sent)
{
    json_t                  *error;
    ngx_int_t                rc;
    const ngx_comms_code_t  *row;

    error = json_object_get(answer, "error");

    rc = ngx_comms_meta_error_code(pool, error, &sent->code, &row);

    if (rc != NGX_OK) {
        return rc;
    }

    if (row != NULL) {
        ngx_comms_code_judge(sent, row);

    } else if (json_is_true(json_object_get(error, "is_transient"))) {
        ngx_comms_meta_verdict(sent, NGX_COMMS_SEND_RETRY, "transient",
                               "Meta says that the failure will pass");

    } else {
        ngx_comms_meta_verdict(sent, NGX_COMMS_SEND_REFUSED, "refused",
                               "Meta refused the message");
    }

    return NGX_OK;
}


/* an answer without an id and without a code */

static void
ngx_comms_meta_stranger(ngx_uint_t status, ngx_comms_sent_t *sent)
{
    if (status >= 200 && status < 300) {
        ngx_comms_meta_verdict(sent, NGX_COMMS_SEND_UNKNOWN,
                               "unreadable_answer",
                               "an answer of success names no message");

    } else if (status >= 500) {
        ngx_comms_meta_verdict(sent, NGX_COMMS_SEND_UNKNOWN, "server_error",
                               "Meta failed and may have taken the message "
                               "over");

    } else if (status == 408 || status == 429) {
        ngx_comms_meta_verdict(sent, NGX_COMMS_SEND_RETRY, "rate_limited",
                               "too many requests to Meta at once");

    } else {
        ngx_comms_meta_verdict(sent, NGX_COMMS_SEND_CONFIG,
                               "unexpected_answer",
                               "no answer of the Cloud API's: check the "
                               "provider location and api_version");
    }
}


static void
ngx_comms_meta_verdict(ngx_comms_sent_t *sent, ngx_comms_send_e verdict,
    const char *label, const char *words)
{
    sent->verdict = verdict;
    sent->label = label;
    sent->words = words;
}
