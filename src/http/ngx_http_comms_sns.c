
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The topic delivers here: messages of SNS over HTTP.
 *
 *   read -> is its topic one of ours? -> fetch the certificate -> verify
 *     -> Notification: put a copy into the queue of each channel -> 200
 *     -> SubscriptionConfirmation: ask for its SubscribeURL -> 200
 *     -> UnsubscribeConfirmation: say so in the log -> 200
 *
 * Invariants:
 *   1. The network is asked for the sake of a message only if it names a
 *      topic that is configured, and only at addresses of SNS.
 *   2. Nothing is decided by what is not signed: headers, MessageAttributes.
 *      The channels are those in the signed text.
 *   3. 200 is said only after every copy is durable; 503 makes SNS deliver
 *      the message again.  Its MessageId is the dedupe_id of the copies, so
 *      those that were put before are not put again.
 *
 * A 4xx is final for SNS: it does not deliver that message again.
 */


#include <http/ngx_http_comms_answer.h>
#include <http/ngx_http_comms_await.h>
#include <http/ngx_http_comms_initiate_check.h>
#include <http/ngx_http_comms_sns.h>
#include <base/ngx_comms_json.h>
#include <bus/ngx_comms_sns.h>
#include <bus/ngx_comms_sns_message.h>
#include <channel/ngx_comms_channel.h>
#include <ngx_http_comms_module.h>


#define NGX_HTTP_COMMS_SNS_RETRY    5       /* seconds */

/* ms; the fetch itself ends before */
#define NGX_HTTP_COMMS_SNS_PATIENCE  10000

#define NGX_HTTP_COMMS_SNS_MAX_ID   128


typedef struct {
    ngx_http_comms_await_t      *await;
    ngx_comms_engine_t          *engine;
    ngx_comms_sns_t             *sns;
    ngx_http_comms_sns_conf_t   *conf;

    json_t                      *message;
    ngx_str_t                    type;
    ngx_str_t                    id;
    ngx_str_t                    topic;
    ngx_uint_t                   fetched;    /* its certificate */

    json_t                      *envelope;
    ngx_uint_t                   channels;   /* 1 << channel: still to put */
} ngx_http_comms_sns_t;


static ngx_int_t ngx_http_comms_sns_method(ngx_http_request_t *r);
static void ngx_http_comms_sns_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_comms_sns_read(ngx_http_request_t *r,
    ngx_http_comms_sns_t *s);
static ngx_uint_t ngx_http_comms_sns_ours(ngx_http_comms_sns_t *s);
static void ngx_http_comms_sns_verify(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer);
static void ngx_http_comms_sns_verified(ngx_http_request_t *r,
    ngx_http_comms_sns_t *s);
static void ngx_http_comms_sns_subscribe(ngx_http_request_t *r,
    ngx_http_comms_sns_t *s);
static void ngx_http_comms_sns_subscribed(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer);
static void ngx_http_comms_sns_notified(ngx_http_request_t *r,
    ngx_http_comms_sns_t *s);
static ngx_int_t ngx_http_comms_sns_channels(ngx_http_comms_sns_t *s);
static void ngx_http_comms_sns_put(ngx_http_request_t *r,
    ngx_http_comms_sns_t *s);
static json_t *ngx_http_comms_sns_copy(ngx_http_request_t *r,
    ngx_http_comms_sns_t *s, ngx_uint_t channel);
static void ngx_http_comms_sns_put_done(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer);
static ngx_uint_t ngx_http_comms_sns_is(ngx_http_comms_sns_t *s,
    const char *type);
static void ngx_http_comms_sns_done(ngx_http_request_t *r);
static void ngx_http_comms_sns_forbid(ngx_http_request_t *r,
    ngx_http_comms_sns_t *s, const char *message);
static void ngx_http_comms_sns_refuse(ngx_http_request_t *r,
    ngx_uint_t status, const char *code, const char *message);


ngx_int_t
ngx_http_comms_sns_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_comms_sns_method(r);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_comms_sns_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/* NGX_DECLINED: go on */

static ngx_int_t
ngx_http_comms_sns_method(ngx_http_request_t *r)
{
    ngx_str_t               none;
    ngx_http_comms_error_t  error;

    static ngx_str_t  allow = ngx_string("POST");

    if (r->err_status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        ngx_http_comms_refuse(&error, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                              "PAYLOAD_TOO_LARGE",
                              "Request body is too large");

    } else if (r->method != NGX_HTTP_POST) {
        ngx_http_comms_refuse(&error, NGX_HTTP_NOT_ALLOWED,
                              "METHOD_NOT_ALLOWED",
                              "Method is not allowed here, use POST");

        if (ngx_http_comms_add_header(r, "Allow", &allow) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

    } else {
        return NGX_DECLINED;
    }

    ngx_str_null(&none);

    return ngx_http_comms_send_error(r, &error, &none);
}


static void
ngx_http_comms_sns_body(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_comms_sns_t        *s;
    ngx_http_comms_loc_conf_t   *lcf;
    ngx_http_comms_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_comms_module);
    lcf = ngx_http_get_module_loc_conf(r, ngx_http_comms_module);

    s = ngx_pcalloc(r->pool, sizeof(ngx_http_comms_sns_t));

    if (s == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    s->engine = &mcf->engine;
    s->sns = mcf->sns;
    s->conf = lcf->sns;
    s->await = ngx_http_comms_await_create(r, s);

    rc = s->await ? ngx_http_comms_sns_read(r, s) : NGX_ERROR;

    if (rc == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (rc == NGX_DECLINED) {
        ngx_http_comms_sns_refuse(r, NGX_HTTP_BAD_REQUEST, "INVALID_REQUEST",
                                  "This is no message of SNS; raw message "
                                  "delivery has no signature and must be off");
        return;
    }

    if (!ngx_http_comms_sns_ours(s)) {
        ngx_http_comms_sns_forbid(r, s, "Topic is not configured here");
        return;
    }

    ngx_http_comms_sns_verify(r, s, NGX_OK, NULL);
}


/* NGX_DECLINED: no message of SNS */

static ngx_int_t
ngx_http_comms_sns_read(ngx_http_request_t *r, ngx_http_comms_sns_t *s)
{
    ngx_int_t                rc;
    ngx_str_t                body, *raw;
    ngx_comms_json_error_t   err;

    raw = ngx_http_comms_header(r, "x-amz-sns-rawdelivery");

    if (raw != NULL && raw->len == 4
        && ngx_strncasecmp(raw->data, (u_char *) "true", 4) == 0)
    {
        return NGX_DECLINED;
    }

    rc = ngx_http_comms_body(r, &body);

    if (rc != NGX_OK) {
        return rc;
    }

    s->message = ngx_comms_json_parse(&body, &err);

    if (s->message == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_http_comms_keep_json(r, s->message) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!json_is_object(s->message)
        || ngx_comms_json_str(s->message, "Type", &s->type) != NGX_OK
        || ngx_comms_json_str(s->message, "TopicArn", &s->topic) != NGX_OK
        || ngx_comms_json_str(s->message, "MessageId", &s->id) != NGX_OK
        || s->id.len == 0 || s->id.len > NGX_HTTP_COMMS_SNS_MAX_ID)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_comms_sns_ours(ngx_http_comms_sns_t *s)
{
    ngx_str_t   *topic;
    ngx_uint_t   i;

    topic = s->conf->topics.elts;

    for (i = 0; i < s->conf->topics.nelts; i++) {
        if (topic[i].len == s->topic.len
            && ngx_strncmp(topic[i].data, s->topic.data, s->topic.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* asked again when the certificate has been fetched */

static void
ngx_http_comms_sns_verify(ngx_http_request_t *r, void *data, ngx_int_t rc,
    json_t *answer)
{
    ngx_http_comms_sns_t *s = data;

    ngx_str_t        url, pem;
    ngx_comms_op_t  *op;

    url = ngx_comms_json_view(json_object_get(s->message, "SigningCertURL"));

    if (rc == NGX_OK) {
        rc = ngx_comms_sns_certificate(s->sns, &s->conf->endpoint, &url, &pem,
                                       NULL);
    }

    if (rc == NGX_AGAIN && s->fetched) {
        rc = NGX_ERROR;
    }

    switch (rc) {

    case NGX_OK:
        rc = ngx_comms_sns_verify(r->pool, s->message, &pem, s->conf->sha1);

        if (rc == NGX_OK) {
            ngx_http_comms_sns_verified(r, s);
            return;
        }

        break;

    case NGX_AGAIN:
        s->fetched = 1;
        op = ngx_http_comms_await_op(s->await, NGX_HTTP_COMMS_SNS_PATIENCE,
                                     ngx_http_comms_sns_verify);
        if (op == NULL) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        (void) ngx_comms_sns_certificate(s->sns, &s->conf->endpoint, &url,
                                         &pem, op);
        return;

    case NGX_DECLINED:
        break;

    default: /* NGX_BUSY, NGX_ERROR, NGX_ABORT */
        ngx_http_comms_sns_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                  "CONFIGURATION_ERROR",
                                  "The certificate is not available, try "
                                  "again");
        return;
    }

    ngx_comms_count(s->engine->zone, NGX_COMMS_COUNT_WEBHOOK_UNVERIFIED, 1);

    ngx_http_comms_sns_forbid(r, s, "Message is not verified");
}


static void
ngx_http_comms_sns_verified(ngx_http_request_t *r, ngx_http_comms_sns_t *s)
{
    if (ngx_http_comms_sns_is(s, "Notification")) {
        ngx_http_comms_sns_notified(r, s);
        return;
    }

    if (ngx_http_comms_sns_is(s, "SubscriptionConfirmation")) {
        ngx_http_comms_sns_subscribe(r, s);
        return;
    }

    /* what else is signed */

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "the subscription to the topic \"%V\" has ended", &s->topic);

    ngx_http_comms_sns_done(r);
}


static void
ngx_http_comms_sns_subscribe(ngx_http_request_t *r, ngx_http_comms_sns_t *s)
{
    ngx_int_t        rc;
    ngx_str_t        url;
    ngx_comms_op_t  *op;

    url = ngx_comms_json_view(json_object_get(s->message, "SubscribeURL"));

    rc = ngx_comms_sns_confirm(s->sns, &s->conf->endpoint, &url, NULL);

    if (rc != NGX_AGAIN) {
        ngx_http_comms_sns_subscribed(r, s, rc, NULL);
        return;
    }

    op = ngx_http_comms_await_op(s->await, NGX_HTTP_COMMS_SNS_PATIENCE,
                                 ngx_http_comms_sns_subscribed);
    if (op == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    (void) ngx_comms_sns_confirm(s->sns, &s->conf->endpoint, &url, op);
}


static void
ngx_http_comms_sns_subscribed(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer)
{
    ngx_http_comms_sns_t *s = data;

    if (rc == NGX_OK) {
        ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                      "the subscription to the topic \"%V\" is confirmed",
                      &s->topic);

        ngx_http_comms_sns_done(r);
        return;
    }

    if (rc == NGX_DECLINED) {
        ngx_http_comms_sns_forbid(r, s, "Subscription cannot be confirmed");
        return;
    }

    ngx_http_comms_sns_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "CONFIGURATION_ERROR",
                              "The subscription could not be confirmed, try "
                              "again");
}


static void
ngx_http_comms_sns_notified(ngx_http_request_t *r, ngx_http_comms_sns_t *s)
{
    ngx_str_t                text;
    ngx_comms_json_error_t   err;

    text = ngx_comms_json_view(json_object_get(s->message, "Message"));

    s->envelope = ngx_comms_json_parse(&text, &err);

    if (s->envelope != NULL
        && ngx_http_comms_keep_json(r, s->envelope) != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (ngx_http_comms_sns_channels(s) != NGX_OK) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "message \"%V\" of the topic \"%V\" is no context "
                      "object", &s->id, &s->topic);

        ngx_http_comms_sns_refuse(r, NGX_HTTP_BAD_REQUEST, "INVALID_REQUEST",
                                  "Message is no context object");
        return;
    }

    s->channels &= s->conf->channels;

    ngx_http_comms_sns_put(r, s);
}


/* NGX_DECLINED: this is nothing that the engine has published */

static ngx_int_t
ngx_http_comms_sns_channels(ngx_http_comms_sns_t *s)
{
    size_t      i;
    json_t     *names, *name, *group;
    ngx_int_t   channel;
    ngx_str_t   view;

    names = json_object_get(s->envelope, "channels");
    group = json_object_get(s->envelope, "group");

    if (!json_is_object(json_object_get(s->envelope, "body"))
        || (group != NULL && !json_is_string(group))
        || json_array_size(names) == 0)
    {
        return NGX_DECLINED;
    }

    json_array_foreach(names, i, name) {
        view = ngx_comms_json_view(name);
        channel = ngx_comms_channel_by_name(&view);

        if (channel == NGX_ERROR) {
            return NGX_DECLINED;
        }

        s->channels |= (ngx_uint_t) 1 << channel;
    }

    return NGX_OK;
}


/* puts the next copy, or says that all are durable */

static void
ngx_http_comms_sns_put(ngx_http_request_t *r, ngx_http_comms_sns_t *s)
{
    json_t           *in;
    ngx_uint_t        channel;
    ngx_comms_op_t   *op;
    ngx_comms_bus_t  *bus;

    if (s->channels == 0) {
        ngx_http_comms_sns_done(r);
        return;
    }

    for (channel = 0; !(s->channels & ((ngx_uint_t) 1 << channel)); channel++)
    {
        /* void */
    }

    s->channels &= ~((ngx_uint_t) 1 << channel);

    in = ngx_http_comms_sns_copy(r, s, channel);

    op = in ? ngx_http_comms_await_op(s->await, s->engine->op_timeout,
                                      ngx_http_comms_sns_put_done)
            : NULL;

    if (op == NULL) {
        json_decref(in);
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    bus = s->engine->bus;
    bus->put(bus, in, op);
}


/* shares nothing with the request, which may end before the bus does */

static json_t *
ngx_http_comms_sns_copy(ngx_http_request_t *r, ngx_http_comms_sns_t *s,
    ngx_uint_t channel)
{
    json_t      *in, *body;
    ngx_str_t    group, *name;

    name = &ngx_comms_channel_names[channel];
    group = ngx_comms_json_view(json_object_get(s->envelope, "group"));

    body = json_deep_copy(json_object_get(s->envelope, "body"));

    in = json_pack("{s:s%, s:o, s:s%}",
                   "queue", name->data, name->len, "body", body,
                   "dedupe_id", s->id.data, s->id.len);

    if (in != NULL && group.len != 0
        && ngx_comms_json_set_str(in, "group", &group) != NGX_OK)
    {
        json_decref(in);
        return NULL;
    }

    return in;
}


static void
ngx_http_comms_sns_put_done(ngx_http_request_t *r, void *data, ngx_int_t rc,
    json_t *answer)
{
    ngx_http_comms_sns_t *s = data;

    if (rc == NGX_OK) {
        ngx_http_comms_sns_put(r, s);
        return;
    }

    ngx_comms_count(s->engine->zone, NGX_COMMS_COUNT_UNAVAILABLE, 1);

    ngx_http_comms_sns_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE, "QUEUE_ERROR",
                              "The message could not be kept, deliver it "
                              "again");
}


static ngx_uint_t
ngx_http_comms_sns_is(ngx_http_comms_sns_t *s, const char *type)
{
    return s->type.len == ngx_strlen(type)
           && ngx_strncmp(s->type.data, type, s->type.len) == 0;
}


static void
ngx_http_comms_sns_done(ngx_http_request_t *r)
{
    ngx_str_t  empty;

    static ngx_str_t  type = ngx_string("text/plain");

    ngx_str_null(&empty);

    ngx_http_finalize_request(r, ngx_http_comms_send(r, NGX_HTTP_OK, &type,
                                                     &empty));
}


static void
ngx_http_comms_sns_forbid(ngx_http_request_t *r, ngx_http_comms_sns_t *s,
    const char *message)
{
    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "comms message of SNS is refused: %s", message);

    ngx_http_comms_sns_refuse(r, NGX_HTTP_FORBIDDEN, "FORBIDDEN", message);
}


static void
ngx_http_comms_sns_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *message)
{
    ngx_str_t               none;
    ngx_http_comms_error_t  error;

    ngx_str_null(&none);

    ngx_http_comms_refuse(&error, status, code, message);

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        error.retry_after = NGX_HTTP_COMMS_SNS_RETRY;
    }

    ngx_http_finalize_request(r, ngx_http_comms_send_error(r, &error, &none));
}
