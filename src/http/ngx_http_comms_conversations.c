
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * GET /conversations/<thread_id>: a thread, whole.
 * GET /conversations/<thread_id>/media/<media_id>: a file that is in it.
 * GET /conversations?...: a page of threads, newest first.
 *
 * Both see only what belongs to the companies that the x-api-key opens.  A
 * thread of somebody else's does not exist, so nobody can find out which ids
 * are in use.
 */


#include <http/ngx_http_comms_answer.h>
#include <http/ngx_http_comms_await.h>
#include <http/ngx_http_comms_initiate_check.h>
#include <http/ngx_http_comms_media_send.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_address.h>
#include <ngx_http_comms_module.h>


#define NGX_HTTP_COMMS_PAGE          50
#define NGX_HTTP_COMMS_MAX_ARGS      16
#define NGX_HTTP_COMMS_MAX_ARG       512     /* bytes of a value */
#define NGX_HTTP_COMMS_MAX_MESSAGES  10000   /* of one thread, newest */
#define NGX_HTTP_COMMS_RETRY         1


typedef struct {
    ngx_http_comms_await_t   *await;
    ngx_comms_engine_t       *engine;
    ngx_array_t              *companies;    /* of ngx_str_t */
    ngx_str_t                 thread_id;    /* empty: a listing */
    ngx_str_t                 media_id;     /* empty: the thread */
    ngx_str_t                 args;
} ngx_http_comms_reading_t;


static ngx_int_t ngx_http_comms_reading_method(ngx_http_request_t *r);
static void ngx_http_comms_reading_tail(ngx_http_request_t *r,
    ngx_str_t *tail);
static void ngx_http_comms_reading_divide(ngx_http_comms_reading_t *rd);
static ngx_int_t ngx_http_comms_reading_hide_args(ngx_http_request_t *r,
    ngx_http_comms_reading_t *rd);
static void ngx_http_comms_reading_key(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer);
static void ngx_http_comms_reading_start(ngx_http_request_t *r,
    ngx_http_comms_reading_t *rd);
static json_t *ngx_http_comms_reading_query(ngx_http_request_t *r,
    ngx_http_comms_reading_t *rd, ngx_http_comms_error_t *error);
static ngx_int_t ngx_http_comms_reading_arg(ngx_http_request_t *r,
    ngx_http_comms_reading_t *rd, json_t *in, ngx_keyval_t *arg,
    ngx_http_comms_error_t *error);
static ngx_int_t ngx_http_comms_reading_recipient(ngx_http_request_t *r,
    json_t *in, ngx_str_t *value, ngx_http_comms_error_t *error);
static ngx_int_t ngx_http_comms_reading_company(ngx_http_comms_reading_t *rd,
    json_t *in, ngx_http_comms_error_t *error);
static ngx_uint_t ngx_http_comms_reading_opens(ngx_http_comms_reading_t *rd,
    ngx_str_t *company_id);
static void ngx_http_comms_reading_loaded(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer);
static void ngx_http_comms_reading_medium(ngx_http_request_t *r,
    ngx_http_comms_reading_t *rd, json_t *record);
static void ngx_http_comms_reading_listed(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer);
static void ngx_http_comms_reading_answer(ngx_http_request_t *r,
    json_t *document);
static void ngx_http_comms_reading_refuse(ngx_http_request_t *r,
    ngx_uint_t status, const char *code, const char *message);
static void ngx_http_comms_reading_unavailable(ngx_http_request_t *r);


ngx_int_t
ngx_http_comms_conversations_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_comms_reading_t    *rd;
    ngx_http_comms_main_conf_t  *mcf;

    rc = ngx_http_comms_reading_method(r);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    rd = ngx_pcalloc(r->pool, sizeof(ngx_http_comms_reading_t));
    if (rd == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_comms_module);

    rd->engine = &mcf->engine;
    rd->await = ngx_http_comms_await_create(r, rd);

    if (rd->await == NULL || ngx_http_comms_await_client(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_comms_reading_tail(r, &rd->thread_id);
    ngx_http_comms_reading_divide(rd);

    if (ngx_http_comms_reading_hide_args(r, rd) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->main->count++;

    ngx_http_comms_reading_key(r, rd, NGX_OK, NULL);

    return NGX_DONE;
}


/* NGX_DECLINED: go on */

static ngx_int_t
ngx_http_comms_reading_method(ngx_http_request_t *r)
{
    ngx_str_t               none;
    ngx_http_comms_error_t  error;

    static ngx_str_t  allow = ngx_string("GET, HEAD");

    if (r->err_status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        ngx_http_comms_refuse(&error, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                              "PAYLOAD_TOO_LARGE",
                              "Request body is too large");

    } else if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        ngx_http_comms_refuse(&error, NGX_HTTP_NOT_ALLOWED,
                              "METHOD_NOT_ALLOWED",
                              "Method is not allowed here, use GET");

        if (ngx_http_comms_add_header(r, "Allow", &allow) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

    } else {
        return NGX_DECLINED;
    }

    ngx_str_null(&none);

    return ngx_http_comms_send_error(r, &error, &none);
}


/* what follows the location's own path, without slashes at its ends */

static void
ngx_http_comms_reading_tail(ngx_http_request_t *r, ngx_str_t *tail)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    *tail = r->uri;

    if (tail->len < clcf->name.len) {
        tail->len = 0;
        return;
    }

    tail->data += clcf->name.len;
    tail->len -= clcf->name.len;

    if (tail->len != 0 && tail->data[0] == '/') {
        tail->data++;
        tail->len--;
    }

    if (tail->len != 0 && tail->data[tail->len - 1] == '/') {
        tail->len--;
    }
}


/* "<thread_id>/media/<media_id>"; of anything else it stays one id, of none */

static void
ngx_http_comms_reading_divide(ngx_http_comms_reading_t *rd)
{
    static ngx_str_t  middle = ngx_string("/media/");

    if (rd->thread_id.len <= NGX_COMMS_THREAD_ID_LEN + middle.len
        || ngx_memcmp(rd->thread_id.data + NGX_COMMS_THREAD_ID_LEN,
                      middle.data, middle.len) != 0)
    {
        return;
    }

    rd->media_id = rd->thread_id;
    rd->media_id.data += NGX_COMMS_THREAD_ID_LEN + middle.len;
    rd->media_id.len -= NGX_COMMS_THREAD_ID_LEN + middle.len;

    rd->thread_id.len = NGX_COMMS_THREAD_ID_LEN;
}


/* "recipient" among them is a person's address */

static ngx_int_t
ngx_http_comms_reading_hide_args(ngx_http_request_t *r,
    ngx_http_comms_reading_t *rd)
{
    u_char     *p;
    ngx_str_t   shown;

    rd->args = r->args;

    if (r->args.len == 0) {
        return NGX_OK;
    }

    shown = r->unparsed_uri;

    p = ngx_strlchr(shown.data, shown.data + shown.len, '?');

    if (p != NULL) {
        shown.len = p - shown.data;
    }

    return ngx_http_comms_hide(r, &shown);
}


static void
ngx_http_comms_reading_key(ngx_http_request_t *r, void *data, ngx_int_t rc,
    json_t *answer)
{
    ngx_http_comms_reading_t *rd = data;

    ngx_str_t             *key, none;
    ngx_comms_op_t        *op;
    ngx_comms_projects_t  *projects;

    if (rc == NGX_ABORT) {
        ngx_http_comms_reading_unavailable(r);
        return;
    }

    ngx_str_null(&none);

    key = ngx_http_comms_header(r, "x-api-key");

    if (key == NULL) {
        key = &none;
    }

    projects = rd->engine->projects;

    rc = projects->companies(projects, key, r->pool, &rd->companies, NULL);

    if (rc == NGX_AGAIN) {
        op = ngx_http_comms_await_op(rd->await, rd->engine->op_timeout,
                                     ngx_http_comms_reading_key);
        if (op == NULL) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        (void) projects->companies(projects, key, r->pool, &rd->companies,
                                   op);
        return;
    }

    if (rc == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (rc != NGX_OK || rd->companies->nelts == 0) {
        ngx_http_comms_reading_refuse(r, NGX_HTTP_UNAUTHORIZED,
                                      "UNAUTHORIZED",
                                      "x-api-key is missing or opens no "
                                      "company");
        return;
    }

    ngx_http_comms_reading_start(r, rd);
}


static void
ngx_http_comms_reading_start(ngx_http_request_t *r,
    ngx_http_comms_reading_t *rd)
{
    json_t                   *in;
    ngx_comms_op_t           *op;
    ngx_comms_store_t        *store;
    ngx_http_comms_error_t    error;
    ngx_http_comms_await_pt   handler;

    if (rd->thread_id.len == 0) {
        handler = ngx_http_comms_reading_listed;
        error.code = NULL;

        in = ngx_http_comms_reading_query(r, rd, &error);

        if (in == NULL && error.code != NULL) {
            ngx_http_comms_reading_refuse(r, error.status, error.code,
                                          error.message);
            return;
        }

    } else {
        handler = ngx_http_comms_reading_loaded;

        if (!ngx_comms_thread_id_valid(&rd->thread_id)) {
            ngx_http_comms_reading_refuse(r, NGX_HTTP_NOT_FOUND, "NOT_FOUND",
                                          "There is no such conversation");
            return;
        }

        in = json_pack("{s:s%, s:i}", "thread_id", rd->thread_id.data,
                       rd->thread_id.len,
                       "messages", NGX_HTTP_COMMS_MAX_MESSAGES);
    }

    if (in == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    op = ngx_http_comms_await_op(rd->await, rd->engine->op_timeout, handler);
    if (op == NULL) {
        json_decref(in);
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    store = rd->engine->store;

    if (rd->thread_id.len == 0) {
        store->list(store, in, op);

    } else {
        store->load(store, in, op);
    }
}


/* input of store.list; NULL with an error, or without one: memory */

static json_t *
ngx_http_comms_reading_query(ngx_http_request_t *r,
    ngx_http_comms_reading_t *rd, ngx_http_comms_error_t *error)
{
    json_t        *in;
    ngx_int_t      rc;
    ngx_uint_t     i;
    ngx_array_t    args;
    ngx_keyval_t  *arg;

    if (ngx_array_init(&args, r->pool, 8, sizeof(ngx_keyval_t)) != NGX_OK) {
        return NULL;
    }

    rc = ngx_comms_form_parse(r->pool, &rd->args, NGX_HTTP_COMMS_MAX_ARGS,
                              &args);

    if (rc == NGX_DECLINED) {
        ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                              "INVALID_PARAMETER",
                              "The query string cannot be decoded");
    }

    if (rc != NGX_OK) {
        return NULL;
    }

    in = json_pack("{s:i}", "limit", NGX_HTTP_COMMS_PAGE);
    if (in == NULL) {
        return NULL;
    }

    arg = args.elts;

    for (i = 0; i < args.nelts; i++) {
        if (arg[i].key.len == 0 && arg[i].value.len == 0) {
            continue;
        }

        if (ngx_http_comms_reading_arg(r, rd, in, &arg[i], error) != NGX_OK) {
            json_decref(in);
            return NULL;
        }
    }

    if (ngx_http_comms_reading_company(rd, in, error) != NGX_OK) {
        json_decref(in);
        return NULL;
    }

    return in;
}


static ngx_int_t
ngx_http_comms_reading_arg(ngx_http_request_t *r,
    ngx_http_comms_reading_t *rd, json_t *in, ngx_keyval_t *arg,
    ngx_http_comms_error_t *error)
{
    ngx_int_t    n;
    ngx_uint_t   i;

    static const char  *texts[] = {
        "company_id", "project_id", "status", "cursor", NULL
    };

    if (arg->value.len == 0 || arg->value.len > NGX_HTTP_COMMS_MAX_ARG
        || !ngx_comms_utf8_valid(&arg->value))
    {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "INVALID_PARAMETER",
                                     "A query parameter is empty, too long "
                                     "or not UTF-8");
    }

    for (i = 0; texts[i] != NULL; i++) {
        if (arg->key.len == ngx_strlen(texts[i])
            && ngx_strncmp(arg->key.data, texts[i], arg->key.len) == 0)
        {
            return ngx_comms_json_set_str(in, texts[i], &arg->value);
        }
    }

    if (arg->key.len == 9 && ngx_strncmp(arg->key.data, "recipient", 9) == 0)
    {
        return ngx_http_comms_reading_recipient(r, in, &arg->value, error);
    }

    if (arg->key.len == 5 && ngx_strncmp(arg->key.data, "limit", 5) == 0) {
        n = ngx_atoi(arg->value.data, arg->value.len);

        if (n < 1 || n > NGX_COMMS_STORE_MAX_PAGE) {
            return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                         "INVALID_LIMIT",
                                         "limit must be between 1 and 200");
        }

        return json_object_set_new(in, "limit", json_integer(n)) == 0
               ? NGX_OK : NGX_ERROR;
    }

    return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                 "INVALID_PARAMETER",
                                 "Query parameters are company_id, "
                                 "project_id, status, recipient, cursor and "
                                 "limit");
}


static ngx_int_t
ngx_http_comms_reading_recipient(ngx_http_request_t *r, json_t *in,
    ngx_str_t *value, ngx_http_comms_error_t *error)
{
    size_t     i;
    ngx_int_t  rc;
    ngx_str_t  address;

    /*
     * No address holds a blank; where one stands, somebody wrote "+" and did
     * not escape it.
     */

    for (i = 0; i < value->len; i++) {
        if (value->data[i] == ' ') {
            value->data[i] = '+';
        }
    }

    if (ngx_comms_tel_valid(value)) {
        rc = ngx_comms_address_tel(r->pool, value, &address);

    } else if (ngx_comms_email_valid(value)) {
        rc = ngx_comms_address_email(r->pool, value, &address);

    } else {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "INVALID_RECIPIENT",
                                     "recipient must be an E.164 number or "
                                     "an email address");
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_json_set_str(in, "recipient", &address);
}


/* a listing is of one company */

static ngx_int_t
ngx_http_comms_reading_company(ngx_http_comms_reading_t *rd, json_t *in,
    ngx_http_comms_error_t *error)
{
    ngx_str_t  company_id;

    if (ngx_comms_json_str(in, "company_id", &company_id) == NGX_OK) {

        if (ngx_http_comms_reading_opens(rd, &company_id)) {
            return NGX_OK;
        }

        return ngx_http_comms_refuse(error, NGX_HTTP_UNAUTHORIZED,
                                     "UNAUTHORIZED",
                                     "x-api-key does not open this company");
    }

    if (rd->companies->nelts != 1) {
        return ngx_http_comms_refuse(error, NGX_HTTP_BAD_REQUEST,
                                     "MISSING_IDENTIFIERS",
                                     "company_id is required, this x-api-key "
                                     "opens several companies");
    }

    return ngx_comms_json_set_str(in, "company_id",
                                  (ngx_str_t *) rd->companies->elts);
}


static ngx_uint_t
ngx_http_comms_reading_opens(ngx_http_comms_reading_t *rd,
    ngx_str_t *company_id)
{
    ngx_str_t   *company;
    ngx_uint_t   i;

    company = rd->companies->elts;

    for (i = 0; i < rd->companies->nelts; i++) {
        if (company[i].len == company_id->len
            && ngx_memcmp(company[i].data, company_id->data, company_id->len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_comms_reading_loaded(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer)
{
    ngx_http_comms_reading_t *rd = data;

    json_t     *record;
    ngx_str_t   company_id;

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        ngx_http_comms_reading_unavailable(r);
        return;
    }

    record = json_object_get(answer, "record");

    if (rc == NGX_DECLINED
        || ngx_comms_json_str(record, "company_id", &company_id) != NGX_OK
        || !ngx_http_comms_reading_opens(rd, &company_id))
    {
        ngx_http_comms_reading_refuse(r, NGX_HTTP_NOT_FOUND, "NOT_FOUND",
                                      "There is no such conversation");
        return;
    }

    if (rd->media_id.len != 0) {
        ngx_http_comms_reading_medium(r, rd, record);
        return;
    }

    ngx_http_comms_reading_answer(r, json_incref(record));
}


static void
ngx_http_comms_reading_medium(ngx_http_request_t *r,
    ngx_http_comms_reading_t *rd, json_t *record)
{
    json_t     *note;
    ngx_int_t   rc;

    note = ngx_http_comms_media_find(record, &rd->media_id);

    rc = (note != NULL)
         ? ngx_http_comms_media_send(r, rd->engine->media, note)
         : NGX_DECLINED;

    if (rc == NGX_DECLINED) {
        ngx_http_comms_reading_refuse(r, NGX_HTTP_NOT_FOUND, "NOT_FOUND",
                                      "There is no such file in this "
                                      "conversation");
        return;
    }

    ngx_http_finalize_request(r, rc);
}


static void
ngx_http_comms_reading_listed(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer)
{
    if (rc == NGX_DECLINED) {
        ngx_http_comms_reading_refuse(r, NGX_HTTP_BAD_REQUEST,
                                      "INVALID_CURSOR",
                                      "cursor must be what a page before "
                                      "gave");
        return;
    }

    if (rc != NGX_OK) {
        ngx_http_comms_reading_unavailable(r);
        return;
    }

    ngx_http_comms_reading_answer(r, json_incref(answer));
}


/* takes over the reference */

static void
ngx_http_comms_reading_answer(ngx_http_request_t *r, json_t *document)
{
    static ngx_str_t  no_store = ngx_string("no-store");

    if (ngx_http_comms_add_header(r, "Cache-Control", &no_store) != NGX_OK) {
        json_decref(document);
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_finalize_request(r,
                    ngx_http_comms_send_json(r, NGX_HTTP_OK, document));
}


static void
ngx_http_comms_reading_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *message)
{
    ngx_str_t               none;
    ngx_http_comms_error_t  error;

    ngx_str_null(&none);

    ngx_http_comms_refuse(&error, status, code, message);

    ngx_http_finalize_request(r, ngx_http_comms_send_error(r, &error, &none));
}


static void
ngx_http_comms_reading_unavailable(ngx_http_request_t *r)
{
    ngx_str_t               none;
    ngx_http_comms_error_t  error;

    ngx_str_null(&none);

    ngx_http_comms_refuse(&error, NGX_HTTP_SERVICE_UNAVAILABLE,
                          "DATABASE_ERROR",
                          "The store did not answer, try again");

    error.retry_after = NGX_HTTP_COMMS_RETRY;

    ngx_http_finalize_request(r, ngx_http_comms_send_error(r, &error, &none));
}
