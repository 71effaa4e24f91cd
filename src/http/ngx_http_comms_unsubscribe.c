
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The link in a mail by which its reader unsubscribes (RFC 2369, RFC 8058):
 *
 *   GET    a page with a button: scanners follow links, too, so a GET does
 *          nothing
 *   POST   by the button, or by the mail software itself ("one click"): the
 *          person is opted out, on all addresses that the thread knows
 *
 * The end of the path is a token that was made with the first of the
 * "reply_keys" of the project's email credentials; all of them verify.  Which
 * credentials these are only the thread tells, hence the order: the thread
 * that the token names, its project, its credentials, the token.  A token that
 * is no good, and a thread that is gone, are one and the same 404.
 *
 * Doing it again changes nothing: who is opted out is left so.  Each thread's
 * link works NGX_HTTP_COMMS_UNSUBSCRIBE_LIMIT times a minute; limits by client
 * are nginx's own limit_req.
 */


#include <http/ngx_http_comms_answer.h>
#include <http/ngx_http_comms_await.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_address.h>
#include <ngx_http_comms_module.h>


#define NGX_HTTP_COMMS_UNSUBSCRIBE_LIMIT   30
#define NGX_HTTP_COMMS_UNSUBSCRIBE_WINDOW  60    /* seconds */


typedef struct {
    ngx_http_comms_await_t   *await;
    ngx_comms_engine_t       *engine;
    ngx_str_t                 token;
    ngx_str_t                 thread_id;
    ngx_str_t                 company_id;
    json_t                   *record;
    ngx_comms_project_t      *project;
    json_t                   *addresses;    /* still to be opted out */
    size_t                    next;
} ngx_http_comms_unsubscribe_t;


static void ngx_http_comms_unsubscribe_tail(ngx_http_request_t *r,
    ngx_str_t *tail);
static void ngx_http_comms_unsubscribe_loaded(ngx_http_request_t *r,
    void *data, ngx_int_t rc, json_t *answer);
static void ngx_http_comms_unsubscribe_project(ngx_http_request_t *r,
    void *data, ngx_int_t rc, json_t *answer);
static void ngx_http_comms_unsubscribe_verify(ngx_http_request_t *r,
    void *data, ngx_int_t rc, json_t *answer);
static ngx_int_t ngx_http_comms_unsubscribe_fits(ngx_http_request_t *r,
    ngx_http_comms_unsubscribe_t *u, json_t *credentials);
static void ngx_http_comms_unsubscribe_ask(ngx_http_request_t *r,
    ngx_http_comms_unsubscribe_t *u);
static json_t *ngx_http_comms_unsubscribe_addresses(ngx_http_request_t *r,
    ngx_http_comms_unsubscribe_t *u);
static void ngx_http_comms_unsubscribe_known(ngx_http_request_t *r,
    void *data, ngx_int_t rc, json_t *answer);
static void ngx_http_comms_unsubscribe_write(ngx_http_request_t *r,
    ngx_http_comms_unsubscribe_t *u);
static void ngx_http_comms_unsubscribe_written(ngx_http_request_t *r,
    void *data, ngx_int_t rc, json_t *answer);
static void ngx_http_comms_unsubscribe_issue(ngx_http_request_t *r,
    ngx_http_comms_unsubscribe_t *u, ngx_comms_store_op_pt op_start,
    json_t *in, ngx_http_comms_await_pt handler);
static void ngx_http_comms_unsubscribe_page(ngx_http_request_t *r,
    ngx_http_comms_unsubscribe_t *u, ngx_uint_t status, const char *words,
    ngx_uint_t button);


ngx_int_t
ngx_http_comms_unsubscribe_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_str_t                      shown;
    ngx_http_core_loc_conf_t      *clcf;
    ngx_http_comms_main_conf_t    *mcf;
    ngx_http_comms_unsubscribe_t  *u;

    static ngx_str_t  allow = ngx_string("GET, HEAD, POST");

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST))) {

        if (ngx_http_comms_add_header(r, "Allow", &allow) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    u = ngx_pcalloc(r->pool, sizeof(ngx_http_comms_unsubscribe_t));
    if (u == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_comms_module);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    u->engine = &mcf->engine;
    u->await = ngx_http_comms_await_create(r, u);

    ngx_http_comms_unsubscribe_tail(r, &u->token);
    shown = clcf->name;

    /* what is left of a body must still be read */

    if (u->await == NULL
        || (!r->discard_body && ngx_http_comms_await_client(r) != NGX_OK)
        || ngx_http_comms_hide(r, &shown) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->main->count++;

    rc = ngx_comms_token_thread(r->pool, &u->token, &u->thread_id);

    if (rc == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);

    } else if (rc == NGX_DECLINED) {
        ngx_http_comms_unsubscribe_page(r, u, NGX_HTTP_NOT_FOUND,
                                        "This link is not valid.", 0);

    } else {
        ngx_http_comms_unsubscribe_ask(r, u);
    }

    return NGX_DONE;
}


static void
ngx_http_comms_unsubscribe_tail(ngx_http_request_t *r, ngx_str_t *tail)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    tail->len = 0;
    tail->data = r->uri.data;

    if (r->uri.len > clcf->name.len) {
        tail->data += clcf->name.len;
        tail->len = r->uri.len - clcf->name.len;
    }

    if (tail->len != 0 && tail->data[0] == '/') {
        tail->data++;
        tail->len--;
    }
}


static void
ngx_http_comms_unsubscribe_ask(ngx_http_request_t *r,
    ngx_http_comms_unsubscribe_t *u)
{
    u_char      buf[sizeof("unsubscribe ") + NGX_COMMS_THREAD_ID_LEN];
    json_t     *in;
    ngx_str_t   key;
    ngx_uint_t  after;

    key.data = buf;
    key.len = ngx_sprintf(buf, "unsubscribe %V", &u->thread_id) - buf;

    if (ngx_comms_limiter_take(u->engine->zone, &key,
                               NGX_HTTP_COMMS_UNSUBSCRIBE_LIMIT,
                               NGX_HTTP_COMMS_UNSUBSCRIBE_WINDOW, &after)
        != NGX_OK)
    {
        ngx_http_comms_unsubscribe_page(r, u, NGX_HTTP_TOO_MANY_REQUESTS,
                                        "Please try again in a minute.", 0);
        return;
    }

    in = json_pack("{s:s%, s:i}", "thread_id", u->thread_id.data,
                   u->thread_id.len, "messages", 1);

    ngx_http_comms_unsubscribe_issue(r, u, u->engine->store->load, in,
                                     ngx_http_comms_unsubscribe_loaded);
}


static void
ngx_http_comms_unsubscribe_loaded(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer)
{
    ngx_http_comms_unsubscribe_t *u = data;

    if (rc == NGX_DECLINED) {
        ngx_http_comms_unsubscribe_page(r, u, NGX_HTTP_NOT_FOUND,
                                        "This link is not valid.", 0);
        return;
    }

    if (rc != NGX_OK) {
        ngx_http_comms_unsubscribe_page(r, u, NGX_HTTP_SERVICE_UNAVAILABLE,
                                        "Please try again in a minute.", 0);
        return;
    }

    u->record = json_incref(json_object_get(answer, "record"));

    if (ngx_http_comms_keep_json(r, u->record) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    (void) ngx_comms_json_str(u->record, "company_id", &u->company_id);

    ngx_http_comms_unsubscribe_project(r, u, NGX_OK, NULL);
}


static void
ngx_http_comms_unsubscribe_project(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer)
{
    ngx_http_comms_unsubscribe_t *u = data;

    ngx_str_t              project_id;
    ngx_comms_op_t        *op;
    ngx_comms_projects_t  *projects;

    projects = u->engine->projects;
    (void) ngx_comms_json_str(u->record, "project_id", &project_id);

    if (rc != NGX_ABORT) {
        rc = projects->find(projects, &u->company_id, &project_id,
                            &u->project, NULL);
    }

    if (rc == NGX_AGAIN) {
        op = ngx_http_comms_await_op(u->await, u->engine->op_timeout,
                                     ngx_http_comms_unsubscribe_project);
        if (op == NULL) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        (void) projects->find(projects, &u->company_id, &project_id,
                              &u->project, op);
        return;
    }

    if (rc == NGX_OK) {
        ngx_http_comms_unsubscribe_verify(r, u, NGX_OK, NULL);
        return;
    }

    ngx_http_comms_unsubscribe_page(r, u,
                                    rc == NGX_DECLINED
                                        ? NGX_HTTP_NOT_FOUND
                                        : NGX_HTTP_SERVICE_UNAVAILABLE,
                                    rc == NGX_DECLINED
                                        ? "This link is not valid."
                                        : "Please try again in a minute.", 0);
}


static void
ngx_http_comms_unsubscribe_verify(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer)
{
    ngx_http_comms_unsubscribe_t *u = data;

    json_t               *credentials;
    ngx_str_t             id;
    ngx_comms_op_t       *op;
    ngx_comms_secrets_t  *secrets;

    secrets = u->engine->secrets;
    credentials = NULL;

    (void) ngx_comms_json_str(ngx_comms_project_channel(u->project,
                                                        NGX_COMMS_EMAIL),
                              "credentials_id", &id);

    if (rc != NGX_ABORT) {
        rc = secrets->get(secrets, &id, &credentials, NULL);
    }

    if (rc == NGX_AGAIN) {
        op = ngx_http_comms_await_op(u->await, u->engine->op_timeout,
                                     ngx_http_comms_unsubscribe_verify);
        if (op == NULL) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        (void) secrets->get(secrets, &id, &credentials, op);
        return;
    }

    if (rc == NGX_OK) {
        rc = ngx_http_comms_unsubscribe_fits(r, u, credentials);
    }

    if (rc == NGX_DECLINED) {
        ngx_http_comms_unsubscribe_page(r, u, NGX_HTTP_NOT_FOUND,
                                        "This link is not valid.", 0);
        return;
    }

    if (rc != NGX_OK) {
        ngx_http_comms_unsubscribe_page(r, u, NGX_HTTP_SERVICE_UNAVAILABLE,
                                        "Please try again in a minute.", 0);
        return;
    }

    if (r->method != NGX_HTTP_POST) {
        ngx_http_comms_unsubscribe_page(r, u, NGX_HTTP_OK,
                                        "Do you want no more messages?", 1);
        return;
    }

    u->addresses = ngx_http_comms_unsubscribe_addresses(r, u);

    if (u->addresses == NULL
        || ngx_http_comms_keep_json(r, u->addresses) != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_comms_unsubscribe_issue(r, u, u->engine->store->admit,
                          json_pack("{s:O, s:O, s:O, s:O}",
                                    "company_id",
                                    json_object_get(u->record, "company_id"),
                                    "project_id",
                                    json_object_get(u->record, "project_id"),
                                    "conversation_id",
                                    json_object_get(u->record,
                                                    "conversation_id"),
                                    "addresses", u->addresses),
                          ngx_http_comms_unsubscribe_known);
}


/* was the token made with one of our keys? */

static ngx_int_t
ngx_http_comms_unsubscribe_fits(ngx_http_request_t *r,
    ngx_http_comms_unsubscribe_t *u, json_t *credentials)
{
    size_t      i;
    json_t     *key;
    ngx_int_t   rc;
    ngx_str_t   view, thread_id;

    json_array_foreach(json_object_get(credentials, "reply_keys"), i, key) {
        view = ngx_comms_json_view(key);

        rc = ngx_comms_unsubscribe_token_verify(r->pool, &view, &u->token,
                                                &thread_id);
        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return NGX_DECLINED;
}


static json_t *
ngx_http_comms_unsubscribe_addresses(ngx_http_request_t *r,
    ngx_http_comms_unsubscribe_t *u)
{
    json_t     *addresses;
    ngx_str_t   tel, email, address;

    addresses = json_array();

    if (addresses == NULL) {
        return NULL;
    }

    (void) ngx_comms_json_str(u->record, "recipient_email", &email);
    (void) ngx_comms_json_str(u->record, "recipient_tel", &tel);

    if (email.len != 0
        && (ngx_comms_address_email(r->pool, &email, &address) != NGX_OK
            || json_array_append_new(addresses,
                                     ngx_comms_json_string(&address))
               != 0))
    {
        goto failed;
    }

    if (tel.len != 0
        && (ngx_comms_address_tel(r->pool, &tel, &address) != NGX_OK
            || json_array_append_new(addresses,
                                     ngx_comms_json_string(&address))
               != 0))
    {
        goto failed;
    }

    return addresses;

failed:

    json_decref(addresses);

    return NULL;
}


/* some of them may be opted out already */

static void
ngx_http_comms_unsubscribe_known(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer)
{
    ngx_http_comms_unsubscribe_t *u = data;

    size_t   i, k;
    json_t  *known, *one;

    if (rc != NGX_OK) {
        ngx_http_comms_unsubscribe_page(r, u, NGX_HTTP_SERVICE_UNAVAILABLE,
                                        "Please try again in a minute.", 0);
        return;
    }

    known = json_object_get(answer, "opted_out");

    json_array_foreach(known, i, one) {
        for (k = json_array_size(u->addresses); k-- > 0; /* void */ ) {
            if (json_equal(json_array_get(u->addresses, k), one)) {
                (void) json_array_remove(u->addresses, k);
            }
        }
    }

    ngx_http_comms_unsubscribe_write(r, u);
}


static void
ngx_http_comms_unsubscribe_write(ngx_http_request_t *r,
    ngx_http_comms_unsubscribe_t *u)
{
    json_t  *in, *address;

    address = json_array_get(u->addresses, u->next);

    if (address == NULL) {

        if (u->next != 0) {
            ngx_comms_count(u->engine->zone, NGX_COMMS_COUNT_OPT_OUT, 1);
        }

        ngx_http_comms_unsubscribe_page(r, u, NGX_HTTP_OK,
                                        "You will get no more messages.", 0);
        return;
    }

    in = json_pack("{s:s%, s:O, s:b, s:s, s:s%}",
                   "company_id", u->company_id.data, u->company_id.len,
                   "person_address", address,
                   "opted_out", 1, "source", "link",
                   "proof", u->thread_id.data, u->thread_id.len);

    ngx_http_comms_unsubscribe_issue(r, u, u->engine->store->consent, in,
                                     ngx_http_comms_unsubscribe_written);
}


static void
ngx_http_comms_unsubscribe_written(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer)
{
    ngx_http_comms_unsubscribe_t *u = data;

    if (rc != NGX_OK) {
        ngx_http_comms_unsubscribe_page(r, u, NGX_HTTP_SERVICE_UNAVAILABLE,
                                        "Please try again in a minute.", 0);
        return;
    }

    u->next++;

    ngx_http_comms_unsubscribe_write(r, u);
}


/* takes over the reference */

static void
ngx_http_comms_unsubscribe_issue(ngx_http_request_t *r,
    ngx_http_comms_unsubscribe_t *u, ngx_comms_store_op_pt op_start,
    json_t *in, ngx_http_comms_await_pt handler)
{
    ngx_comms_op_t  *op;

    if (in == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    op = ngx_http_comms_await_op(u->await, u->engine->op_timeout, handler);
    if (op == NULL) {
        json_decref(in);
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    op_start(u->engine->store, in, op);
}


static void
ngx_http_comms_unsubscribe_page(ngx_http_request_t *r,
    ngx_http_comms_unsubscribe_t *u, ngx_uint_t status, const char *words,
    ngx_uint_t button)
{
    u_char      *p, *name;
    size_t       len;
    ngx_str_t    company, body;
    ngx_uint_t   i;

    static ngx_str_t  type = ngx_string("text/html; charset=utf-8");

    static const struct {
        const char  *name;
        ngx_str_t    value;
    } headers[] = {
        { "Cache-Control", ngx_string("no-store") },
        { "Referrer-Policy", ngx_string("no-referrer") },
        { "X-Robots-Tag", ngx_string("noindex") },
        { "Content-Security-Policy",
          ngx_string("default-src 'none'; form-action 'self';"
                     " frame-ancestors 'none'") },
        { NULL, ngx_null_string }
    };

    /* who asks without a good token learns nothing */

    ngx_str_null(&company);

    if (status == NGX_HTTP_OK) {
        (void) ngx_comms_json_str(u->project->config, "company_name",
                                  &company);
    }

    len = company.len + ngx_escape_html(NULL, company.data, company.len);

    name = ngx_pnalloc(r->pool, len + 1);
    p = ngx_pnalloc(r->pool, 1024 + 2 * len);

    if (name == NULL || p == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    (void) ngx_escape_html(name, company.data, company.len);

    body.data = p;
    body.len = ngx_sprintf(p, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>"
                           "<meta charset=\"utf-8\"><meta name=\"viewport\""
                           " content=\"width=device-width\">"
                           "<title>%*s</title></head>\n<body>\n<h1>%*s</h1>\n"
                           "<p>%s</p>\n%s</body>\n</html>\n",
                           len, name, len, name, words,
                           button ? "<form method=\"post\"><button>"
                                    "Unsubscribe</button></form>\n"
                                  : "")
               - p;

    for (i = 0; headers[i].name != NULL; i++) {
        if (ngx_http_comms_add_header(r, headers[i].name,
                                      (ngx_str_t *) &headers[i].value)
            != NGX_OK)
        {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }
    }

    ngx_http_finalize_request(r, ngx_http_comms_send(r, status, &type, &body));
}
