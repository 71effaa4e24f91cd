
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Webhooks of providers: what people wrote, and what became of our messages.
 *
 *   read the raw body -> verify -> parse -> keep, event by event
 *     -> the provider's acknowledgement
 *
 * Here is the part up to "verify", and the handshake: a GET by which a
 * provider asks whether this is the place, answered when any credentials
 * know the word that it brings.
 *
 * Invariants:
 *   1. Nothing looks into the body before its signature was verified.
 *   2. Whose webhook it is, is found by trying the credentials of the
 *      provider, all of them every time, so that the time taken tells nothing
 *      about which of them fits.  Several fit where an account is known by
 *      several names; the message is then trusted with the projects of each.
 *   3. The path behind the location's may be a secret (SendGrid's inbound
 *      tokens), and so may a handshake's arguments: they are taken out of
 *      what the logs show of the request.  Only nginx's own error for a
 *      body that is too large comes before that.
 *
 * The URL that was signed is the public one.  It is "comms_public_base_url"
 * with the request's path and arguments where that is configured; and as
 * this nginx was asked, by the scheme of the connection and "Host".  What
 * X-Forwarded-* headers say is not believed.
 */


#include <http/ngx_http_comms_webhook.h>
#include <base/ngx_comms_json.h>


#define NGX_HTTP_COMMS_WEBHOOK_RETRY  5     /* seconds */


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
static ngx_int_t ngx_http_comms_webhook_greet(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, ngx_array_t *list);


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
    ngx_str_t                   none;
    ngx_uint_t                  greets;
    ngx_http_comms_error_t      error;
    ngx_http_comms_loc_conf_t  *lcf;

    static ngx_str_t  allow = ngx_string("POST");
    static ngx_str_t  allow_get = ngx_string("GET, POST");

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_comms_module);
    greets = (lcf->webhook->handshake != NULL);

    if (r->err_status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        ngx_http_comms_refuse(&error, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                              "PAYLOAD_TOO_LARGE",
                              "Request body is too large");

    } else if (r->method != NGX_HTTP_POST
               && !(greets && r->method == NGX_HTTP_GET))
    {
        ngx_http_comms_refuse(&error, NGX_HTTP_NOT_ALLOWED,
                              "METHOD_NOT_ALLOWED",
                              "Method is not allowed here, use POST");

        if (ngx_http_comms_add_header(r, "Allow",
                                      greets ? &allow_get : &allow)
            != NGX_OK)
        {
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

    in->webhook.now = ngx_time();
    in->args = r->args;

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
        return (r->method == NGX_HTTP_GET) ? ngx_http_comms_hide(r, &r->uri)
                                           : NGX_OK;
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

    static ngx_str_t  text = ngx_string("text/plain");

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
        rc = (r->method == NGX_HTTP_GET)
                 ? ngx_http_comms_webhook_greet(r, in, list)
                 : ngx_http_comms_webhook_try(r, in, list);
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

    if (r->method == NGX_HTTP_GET) {
        ngx_http_finalize_request(r,
                                  ngx_http_comms_send(r, NGX_HTTP_OK, &text,
                                                      &in->answer));
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


/* all credentials are asked, whichever answers */

static ngx_int_t
ngx_http_comms_webhook_greet(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, ngx_array_t *list)
{
    ngx_int_t                 rc;
    ngx_str_t                 answer;
    ngx_uint_t                i, known;
    ngx_comms_credentials_t  *candidate;

    known = 0;
    candidate = list->elts;

    for (i = 0; i < list->nelts; i++) {
        rc = in->provider->handshake(r->pool, &in->args,
                                     candidate[i].credentials, &answer);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            in->answer = answer;
            known = 1;
        }
    }

    return known ? NGX_OK : NGX_DECLINED;
}


void
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
