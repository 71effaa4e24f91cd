
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Webhooks of providers: what people wrote.
 *
 *   read the raw body -> verify -> parse -> store.keep, message by message
 *     -> the provider's acknowledgement
 *
 * Invariants:
 *   1. Nothing looks into the body before its signature was verified.
 *   2. 2xx is said only after every message of the webhook is durable.  When
 *      one could not be kept, 503 makes the provider send all of them again;
 *      those kept before are then known by their dedupe_id.
 *   3. Whose webhook it is, is found by trying the credentials of the
 *      provider, all of them every time, so that the time taken tells nothing
 *      about which of them fits.  Several fit where an account is known by
 *      several names; the message is then trusted with the projects of each.
 *   4. The path behind the location's may be a secret (SendGrid's inbound
 *      tokens), so it is taken out of what the logs show of the request.  Only
 *      nginx's own error for a body that is too large comes before that.
 *
 * The URL that was signed is the public one.  It is "comms_public_base_url"
 * with the request's path and arguments where that is configured; and as
 * this nginx was asked, by the scheme of the connection and "Host".  What
 * X-Forwarded-* headers say is not believed.
 */


#include <http/ngx_http_comms_answer.h>
#include <http/ngx_http_comms_await.h>
#include <http/ngx_http_comms_initiate_check.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <ngx_http_comms_module.h>


#define NGX_HTTP_COMMS_WEBHOOK_RETRY  5     /* seconds */


typedef struct {
    ngx_comms_webhook_t       webhook;
    ngx_comms_provider_t     *provider;
    ngx_comms_engine_t       *engine;
    ngx_http_comms_await_t   *await;

    ngx_comms_credentials_t   verified;     /* the first that fits */
    json_t                   *names;        /* of all that fit */
    json_t                   *events;
    size_t                    next;         /* event to be looked at */
} ngx_http_comms_inbound_t;


static ngx_int_t ngx_http_comms_webhook_method(ngx_http_request_t *r);
static void ngx_http_comms_webhook_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_comms_webhook_read(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in);
static ngx_int_t ngx_http_comms_webhook_urls(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in);
static ngx_int_t ngx_http_comms_webhook_headers(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in);
static ngx_int_t ngx_http_comms_webhook_hide_tail(ngx_http_request_t *r);
static void ngx_http_comms_webhook_verify(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer);
static ngx_int_t ngx_http_comms_webhook_candidates(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, ngx_array_t **list, ngx_comms_op_t *op);
static ngx_int_t ngx_http_comms_webhook_try(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, ngx_array_t *list);
static void ngx_http_comms_webhook_parse(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in);
static void ngx_http_comms_webhook_next(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in);
static ngx_int_t ngx_http_comms_webhook_keep(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, json_t *event);
static void ngx_http_comms_webhook_kept(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer);
static void ngx_http_comms_webhook_refuse(ngx_http_request_t *r,
    ngx_uint_t status, const char *code, const char *message);


ngx_int_t
ngx_http_comms_webhook_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_comms_webhook_method(r);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_comms_webhook_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/* NGX_DECLINED: go on */

static ngx_int_t
ngx_http_comms_webhook_method(ngx_http_request_t *r)
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

    if (ngx_http_comms_webhook_hide_tail(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_null(&none);

    return ngx_http_comms_send_error(r, &error, &none);
}


static void
ngx_http_comms_webhook_body(ngx_http_request_t *r)
{
    ngx_http_comms_inbound_t    *in;
    ngx_http_comms_loc_conf_t   *lcf;
    ngx_http_comms_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_comms_module);
    lcf = ngx_http_get_module_loc_conf(r, ngx_http_comms_module);

    in = ngx_pcalloc(r->pool, sizeof(ngx_http_comms_inbound_t));

    if (in == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    in->engine = &mcf->engine;
    in->provider = lcf->webhook;
    in->await = ngx_http_comms_await_create(r, in);

    if (in->await == NULL || ngx_http_comms_webhook_read(r, in) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_comms_webhook_verify(r, in, NGX_OK, NULL);
}


static ngx_int_t
ngx_http_comms_webhook_read(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in)
{
    ngx_http_core_loc_conf_t  *clcf;

    if (ngx_http_comms_body(r, &in->webhook.body) == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (r->headers_in.content_type != NULL) {
        in->webhook.content_type = r->headers_in.content_type->value;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->uri.len > clcf->name.len) {
        in->webhook.tail.data = r->uri.data + clcf->name.len;
        in->webhook.tail.len = r->uri.len - clcf->name.len;

        if (in->webhook.tail.data[0] == '/') {
            in->webhook.tail.data++;
            in->webhook.tail.len--;
        }
    }

    if (ngx_http_comms_webhook_urls(r, in) != NGX_OK
        || ngx_http_comms_webhook_headers(r, in) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_comms_webhook_hide_tail(r);
}


static ngx_int_t
ngx_http_comms_webhook_urls(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in)
{
    ngx_str_t                  *url, *host, *base;
    ngx_http_comms_loc_conf_t  *lcf;

    static ngx_str_t  http = ngx_string("http://");
#if (NGX_HTTP_SSL)
    static ngx_str_t  https = ngx_string("https://");
#endif

    if (ngx_array_init(&in->webhook.urls, r->pool, 2, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_comms_module);

    base = &lcf->public_base_url;

    if (base->len != 0) {
        url = ngx_array_push(&in->webhook.urls);
        if (url == NULL) {
            return NGX_ERROR;
        }

        url->len = base->len + r->unparsed_uri.len;
        url->data = ngx_pnalloc(r->pool, url->len);
        if (url->data == NULL) {
            return NGX_ERROR;
        }

        ngx_sprintf(url->data, "%V%V", base, &r->unparsed_uri);
    }

    if (r->headers_in.host == NULL) {
        return NGX_OK;
    }

    host = &r->headers_in.host->value;
    base = &http;

#if (NGX_HTTP_SSL)

    if (r->connection->ssl) {
        base = &https;
    }

#endif

    url = ngx_array_push(&in->webhook.urls);
    if (url == NULL) {
        return NGX_ERROR;
    }

    url->len = base->len + host->len + r->unparsed_uri.len;
    url->data = ngx_pnalloc(r->pool, url->len);
    if (url->data == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(url->data, "%V%V%V", base, host, &r->unparsed_uri);

    return NGX_OK;
}


static ngx_int_t
ngx_http_comms_webhook_headers(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in)
{
    ngx_uint_t        i;
    ngx_keyval_t     *kv;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (ngx_array_init(&in->webhook.headers, r->pool, 16,
                       sizeof(ngx_keyval_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        kv = ngx_array_push(&in->webhook.headers);
        if (kv == NULL) {
            return NGX_ERROR;
        }

        kv->key = h[i].key;
        kv->value = h[i].value;
    }

    return NGX_OK;
}


/* from here on logs show "-" where the tail was */

static ngx_int_t
ngx_http_comms_webhook_hide_tail(ngx_http_request_t *r)
{
    u_char                    *p;
    ngx_str_t                  shown;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->uri.len <= clcf->name.len) {
        return NGX_OK;
    }

    shown.data = ngx_pnalloc(r->pool, clcf->name.len + sizeof("/-") - 1);
    if (shown.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(shown.data, clcf->name.data, clcf->name.len);

    if (p[-1] != '/') {
        *p++ = '/';
    }

    *p++ = '-';

    shown.len = p - shown.data;

    r->uri = shown;

    return ngx_http_comms_hide(r, &shown);
}


/* asked again whenever what it needs has been fetched */

static void
ngx_http_comms_webhook_verify(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer)
{
    ngx_http_comms_inbound_t *in = data;

    ngx_array_t     *list;
    ngx_comms_op_t  *op;

    if (rc == NGX_ABORT) {
        ngx_http_comms_webhook_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                      "CONFIGURATION_ERROR",
                                      "Credentials are not available, try "
                                      "again");
        return;
    }

    rc = ngx_http_comms_webhook_candidates(r, in, &list, NULL);

    if (rc == NGX_AGAIN) {
        op = ngx_http_comms_await_op(in->await, in->engine->op_timeout,
                                     ngx_http_comms_webhook_verify);
        if (op == NULL) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        (void) ngx_http_comms_webhook_candidates(r, in, &list, op);
        return;
    }

    if (rc == NGX_OK) {
        rc = ngx_http_comms_webhook_try(r, in, list);
    }

    if (rc == NGX_ERROR) {
        ngx_http_comms_webhook_refuse(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                      "INTERNAL_ERROR",
                                      "Internal error, try again");
        return;
    }

    if (rc != NGX_OK) {
        ngx_comms_count(in->engine->zone, NGX_COMMS_COUNT_WEBHOOK_UNVERIFIED,
                        1);

        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "comms webhook of \"%V\" is not verified",
                      &in->provider->name);

        ngx_http_comms_webhook_refuse(r, NGX_HTTP_FORBIDDEN, "FORBIDDEN",
                                      "Webhook is not verified");
        return;
    }

    ngx_http_comms_webhook_parse(r, in);
}


/* credentials that the webhook may be signed with; returns as secrets do */

static ngx_int_t
ngx_http_comms_webhook_candidates(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, ngx_array_t **list, ngx_comms_op_t *op)
{
    json_t                     *credentials;
    ngx_int_t                   rc;
    ngx_str_t                  *id;
    ngx_comms_secrets_t        *secrets;
    ngx_comms_credentials_t    *one;
    ngx_http_comms_loc_conf_t  *lcf;

    secrets = in->engine->secrets;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_comms_module);
    id = &lcf->webhook_credentials;

    if (id->len == 0) {
        return secrets->of_provider(secrets, &in->provider->name, r->pool,
                                    list, op);
    }

    rc = secrets->get(secrets, id, &credentials, op);

    if (rc != NGX_OK) {
        return rc;
    }

    *list = ngx_array_create(r->pool, 1, sizeof(ngx_comms_credentials_t));
    if (*list == NULL) {
        return NGX_ERROR;
    }

    one = ngx_array_push(*list);
    if (one == NULL) {
        return NGX_ERROR;
    }

    one->id = *id;
    one->credentials = credentials;

    return NGX_OK;
}


static ngx_int_t
ngx_http_comms_webhook_try(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, ngx_array_t *list)
{
    ngx_int_t                 rc;
    ngx_uint_t                i;
    ngx_comms_credentials_t  *candidate;

    in->names = json_array();

    if (in->names == NULL
        || ngx_http_comms_keep_json(r, in->names) != NGX_OK)
    {
        return NGX_ERROR;
    }

    candidate = list->elts;

    for (i = 0; i < list->nelts; i++) {
        rc = in->provider->verify(r->pool, &in->webhook,
                                  candidate[i].credentials);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc != NGX_OK) {
            continue;
        }

        if (in->verified.credentials == NULL) {
            in->verified = candidate[i];
        }

        if (json_array_append_new(in->names,
                                  ngx_comms_json_string(&candidate[i].id))
            != 0)
        {
            return NGX_ERROR;
        }
    }

    return in->verified.credentials != NULL ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_comms_webhook_parse(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in)
{
    json_t      *events;
    ngx_int_t    rc;
    const char  *words;

    words = "malformed";

    rc = in->provider->parse(r->pool, &in->webhook, in->verified.credentials,
                             &events, &words);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "comms webhook of \"%V\" is verified and cannot be "
                      "read: %s", &in->provider->name, words);

        ngx_http_comms_webhook_refuse(r, NGX_HTTP_BAD_REQUEST,
                                      "INVALID_REQUEST", words);
        return;
    }

    if (rc != NGX_OK || ngx_http_comms_keep_json(r, events) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    in->events = events;

    ngx_http_comms_webhook_next(r, in);
}


/* keeps the next message, or says that all are kept */

static void
ngx_http_comms_webhook_next(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in)
{
    json_t     *event;
    ngx_str_t   kind;

    while (in->next < json_array_size(in->events)) {
        event = json_array_get(in->events, in->next++);

        (void) ngx_comms_json_str(event, "kind", &kind);

        if (kind.len != 7 || ngx_strncmp(kind.data, "message", 7) != 0) {
            ngx_comms_count(in->engine->zone,
                            NGX_COMMS_COUNT_INBOUND_IGNORED, 1);
            continue;
        }

        if (ngx_http_comms_webhook_keep(r, in, event) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        }

        return;
    }

    ngx_http_finalize_request(r,
                              ngx_http_comms_send(r, NGX_HTTP_OK,
                                                  &in->provider->ack_type,
                                                  &in->provider->ack_body));
}


static ngx_int_t
ngx_http_comms_webhook_keep(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, json_t *event)
{
    json_t             *document, *inbound;
    ngx_str_t           inbound_id;
    ngx_comms_op_t     *op;
    ngx_comms_store_t  *store;

    if (ngx_comms_id_mint(r->pool, "in_", &inbound_id) != NGX_OK) {
        return NGX_ERROR;
    }

    /* a copy of its own, for the thread */

    inbound = json_deep_copy(event);

    if (ngx_comms_json_set_str(inbound, "inbound_id", &inbound_id) != NGX_OK
        || ngx_comms_json_set_str(inbound, "credentials_id",
                                  &in->verified.id)
           != NGX_OK
        || json_object_set_new(inbound, "received_at",
                               json_integer(ngx_comms_clock_ms()))
           != 0
        || (json_array_size(in->names) > 1
            && json_object_set_new(inbound, "credentials_ids",
                                   json_deep_copy(in->names))
               != 0))
    {
        json_decref(inbound);
        return NGX_ERROR;
    }

    document = json_pack("{s:o, s:s, s:{s:s, s:s%}}", "inbound", inbound,
                         "queue", NGX_COMMS_QUEUE_REPLY,
                         "body", "kind", "reply",
                         "inbound_id", inbound_id.data, inbound_id.len);
    if (document == NULL) {
        return NGX_ERROR;
    }

    op = ngx_http_comms_await_op(in->await, in->engine->op_timeout,
                                 ngx_http_comms_webhook_kept);
    if (op == NULL) {
        json_decref(document);
        return NGX_ERROR;
    }

    store = in->engine->store;
    store->keep(store, document, op);

    return NGX_OK;
}


static void
ngx_http_comms_webhook_kept(ngx_http_request_t *r, void *data, ngx_int_t rc,
    json_t *answer)
{
    ngx_http_comms_inbound_t *in = data;

    if (rc == NGX_OK) {
        ngx_comms_count(in->engine->zone, NGX_COMMS_COUNT_INBOUND, 1);

    } else if (rc == NGX_DECLINED) {
        ngx_comms_count(in->engine->zone, NGX_COMMS_COUNT_INBOUND_DUPLICATE,
                        1);

    } else {
        ngx_comms_count(in->engine->zone, NGX_COMMS_COUNT_UNAVAILABLE, 1);

        ngx_http_comms_webhook_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                      "DATABASE_ERROR",
                                      "The message could not be kept, send "
                                      "it again");
        return;
    }

    ngx_http_comms_webhook_next(r, in);
}


static void
ngx_http_comms_webhook_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *message)
{
    ngx_str_t               none;
    ngx_http_comms_error_t  error;

    ngx_str_null(&none);

    ngx_http_comms_refuse(&error, status, code, message);

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        error.retry_after = NGX_HTTP_COMMS_WEBHOOK_RETRY;
    }

    ngx_http_finalize_request(r, ngx_http_comms_send_error(r, &error, &none));
}
