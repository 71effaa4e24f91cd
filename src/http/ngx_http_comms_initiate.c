
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * POST /initiate-conversation.
 *
 *   read the body -> identify -> key -> check -> store.admit
 *     -> accepted before: the same answer again, or 409
 *     -> opted out, project, limits -> store.accept -> 202
 *
 * The answer is sent after the commit of the accept, never before.  A request
 * that was accepted before is answered before limits are counted, so that a
 * caller who did not get the answer can always ask again.  A caller who goes
 * away meanwhile is noticed only when he is answered or held by "Prefer".
 *
 * Two equal requests at once both pass admit; the second accept then finds
 * the first (NGX_DECLINED) and is answered like any repetition.
 */


#include <http/ngx_http_comms_initiate.h>
#include <http/ngx_http_comms_wait.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>


#define NGX_HTTP_COMMS_MAX_MESSAGE  256

/* seconds after which a caller may come again */
#define NGX_HTTP_COMMS_RETRY_STORE  1

/*
 * What the context object has beside the request: the company's and the
 * project's names, and a message for each channel, at four bytes a character.
 */
#define NGX_HTTP_COMMS_MESSAGES_SIZE  65536


static ngx_int_t ngx_http_comms_initiate_refuse_early(ngx_http_request_t *r);
static ngx_uint_t ngx_http_comms_is_json(ngx_http_request_t *r);
static void ngx_http_comms_initiate_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_comms_initiate_parse(ngx_http_request_t *r,
    ngx_http_comms_initiate_t **result);
static ngx_int_t ngx_http_comms_initiate_names(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in);
static void ngx_http_comms_initiate_key(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer);
static void ngx_http_comms_initiate_project(ngx_http_request_t *r,
    void *data, ngx_int_t rc, json_t *answer);
static void ngx_http_comms_initiate_admit(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in);
static void ngx_http_comms_initiate_admitted(ngx_http_request_t *r,
    void *data, ngx_int_t rc, json_t *answer);
static void ngx_http_comms_initiate_accept(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in);
static void ngx_http_comms_initiate_accepted(ngx_http_request_t *r,
    void *data, ngx_int_t rc, json_t *answer);
static void ngx_http_comms_initiate_repeated(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in, json_t *accepted);
static void ngx_http_comms_initiate_answer(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in, json_t *accepted);
static void ngx_http_comms_initiate_error(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in, ngx_http_comms_error_t *error);
static void ngx_http_comms_initiate_unavailable(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in, ngx_int_t rc);
static void ngx_http_comms_initiate_internal(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in);


ngx_int_t
ngx_http_comms_initiate_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_comms_initiate_refuse_early(r);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_comms_initiate_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/* what can be said without the body; NGX_DECLINED: nothing */

static ngx_int_t
ngx_http_comms_initiate_refuse_early(ngx_http_request_t *r)
{
    ngx_str_t                    none;
    ngx_http_comms_error_t       error;
    ngx_http_comms_main_conf_t  *mcf;

    static ngx_str_t  allow = ngx_string("POST");

    ngx_str_null(&none);

    /* as the location's own error page, see ngx_http_comms_conf_location.c */

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

    } else if (!ngx_http_comms_is_json(r)) {
        ngx_http_comms_refuse(&error, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                              "UNSUPPORTED_MEDIA_TYPE",
                              "Content-Type must be application/json");

    } else {
        return NGX_DECLINED;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_comms_module);

    ngx_comms_count(mcf->engine.zone, NGX_COMMS_COUNT_REJECTED, 1);

    return ngx_http_comms_send_error(r, &error, &none);
}


/* application/json, any type with "+json", or none given */

static ngx_uint_t
ngx_http_comms_is_json(ngx_http_request_t *r)
{
    size_t      len;
    u_char     *p;
    ngx_str_t   type;

    if (r->headers_in.content_type == NULL) {
        return 1;
    }

    type = r->headers_in.content_type->value;

    p = ngx_strlchr(type.data, type.data + type.len, ';');
    len = (p != NULL) ? (size_t) (p - type.data) : type.len;

    while (len != 0 && (type.data[len - 1] == ' '
                        || type.data[len - 1] == '\t'))
    {
        len--;
    }

    if (len == sizeof("application/json") - 1
        && ngx_strncasecmp(type.data, (u_char *) "application/json", len)
           == 0)
    {
        return 1;
    }

    return len > sizeof("+json") - 1
           && ngx_strncasecmp(type.data + len - (sizeof("+json") - 1),
                              (u_char *) "+json", sizeof("+json") - 1)
              == 0;
}


static void
ngx_http_comms_initiate_body(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_comms_initiate_t  *in;

    rc = ngx_http_comms_initiate_parse(r, &in);

    if (rc == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (rc == NGX_DONE) {
        return;
    }

    ngx_http_comms_initiate_key(r, in, NGX_OK, NULL);
}


/* NGX_DONE: the request was refused */

static ngx_int_t
ngx_http_comms_initiate_parse(ngx_http_request_t *r,
    ngx_http_comms_initiate_t **result)
{
    u_char                      *p;
    json_t                      *body;
    ngx_int_t                    rc;
    ngx_str_t                    text;
    ngx_comms_json_error_t       err;
    ngx_http_comms_error_t       error;
    ngx_http_comms_initiate_t   *in;
    ngx_http_comms_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_comms_module);

    in = ngx_pcalloc(r->pool, sizeof(ngx_http_comms_initiate_t));
    if (in == NULL) {
        return NGX_ERROR;
    }

    in->engine = &mcf->engine;

    in->await = ngx_http_comms_await_create(r, in);
    if (in->await == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_comms_body(r, &text);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        ngx_http_comms_refuse(&error, NGX_HTTP_BAD_REQUEST,
                              "INVALID_REQUEST",
                              "Request body is empty, line 1, column 1");
        goto refused;
    }

    body = ngx_comms_json_parse(&text, &err);

    if (body == NULL) {
        p = ngx_pnalloc(r->pool, NGX_HTTP_COMMS_MAX_MESSAGE);
        if (p == NULL) {
            return NGX_ERROR;
        }

        *ngx_snprintf(p, NGX_HTTP_COMMS_MAX_MESSAGE - 1,
                      "Request body is not valid JSON: %s, line %ui, "
                      "column %ui", err.text, err.line, err.column) = '\0';

        ngx_http_comms_refuse(&error, NGX_HTTP_BAD_REQUEST,
                              "INVALID_REQUEST", (char *) p);
        goto refused;
    }

    if (ngx_http_comms_keep_json(r, body) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!json_is_object(body)) {
        ngx_http_comms_refuse(&error, NGX_HTTP_BAD_REQUEST,
                              "INVALID_REQUEST",
                              "Request body must be a JSON object, line 1, "
                              "column 1");
        goto refused;
    }

    if (ngx_http_comms_start_identify(body, &in->start, &error) != NGX_OK) {
        goto refused;
    }

    in->body = body;

    *result = in;

    return NGX_OK;

refused:

    ngx_http_comms_initiate_error(r, in, &error);

    return NGX_DONE;
}


/* asked again whenever what it needs has been fetched */

static void
ngx_http_comms_initiate_key(ngx_http_request_t *r, void *data, ngx_int_t rc,
    json_t *answer)
{
    ngx_http_comms_initiate_t *in = data;

    ngx_str_t               *key, none;
    ngx_comms_op_t          *op;
    ngx_comms_projects_t    *projects;
    ngx_http_comms_error_t   error;

    if (rc == NGX_ABORT) {
        ngx_http_comms_initiate_unavailable(r, in, rc);
        return;
    }

    ngx_str_null(&none);

    projects = in->engine->projects;
    key = ngx_http_comms_header(r, "x-api-key");

    if (key == NULL) {
        key = &none;
    }

    rc = projects->opens(projects, &in->start.company_id, key, NULL);

    if (rc == NGX_AGAIN) {
        op = ngx_http_comms_await_op(in->await, in->engine->op_timeout,
                                     ngx_http_comms_initiate_key);
        if (op == NULL) {
            ngx_http_comms_initiate_internal(r, in);
            return;
        }

        (void) projects->opens(projects, &in->start.company_id, key, op);
        return;
    }

    if (rc == NGX_ERROR) {
        ngx_http_comms_initiate_internal(r, in);
        return;
    }

    if (rc != NGX_OK) {
        ngx_http_comms_refuse(&error, NGX_HTTP_UNAUTHORIZED, "UNAUTHORIZED",
                              "x-api-key is missing or does not open this "
                              "company");
        ngx_http_comms_initiate_error(r, in, &error);
        return;
    }

    if (ngx_http_comms_start_check(in->body, &in->start, &error) != NGX_OK) {
        ngx_http_comms_initiate_error(r, in, &error);
        return;
    }

    if (ngx_http_comms_initiate_names(r, in) != NGX_OK) {
        ngx_http_comms_initiate_internal(r, in);
        return;
    }

    ngx_http_comms_initiate_project(r, in, NGX_OK, NULL);
}


static ngx_int_t
ngx_http_comms_initiate_names(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in)
{
    u_char                     *p;
    size_t                      len;
    ngx_str_t                   text;
    ngx_http_comms_start_t     *start;
    ngx_http_comms_loc_conf_t  *lcf;

    start = &in->start;

    len = start->company_id.len + start->project_id.len
          + start->request_id.len + 2;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    in->conversation_id.data = p;
    in->conversation_id.len = len;

    ngx_sprintf(p, "%V#%V#%V", &start->company_id, &start->project_id,
                &start->request_id);

    if (ngx_comms_json_dump_canonical(r->pool, in->body, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    in->size = text.len;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_comms_module);

    in->wait = ngx_min(ngx_http_comms_wait_wanted(r), lcf->wait_max / 1000);

    return ngx_comms_sha256_hex(r->pool, &text, &in->hash);
}


static void
ngx_http_comms_initiate_project(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer)
{
    ngx_http_comms_initiate_t *in = data;

    ngx_comms_op_t        *op;
    ngx_comms_projects_t  *projects;

    if (rc == NGX_ABORT) {
        ngx_http_comms_initiate_unavailable(r, in, rc);
        return;
    }

    projects = in->engine->projects;

    rc = projects->find(projects, &in->start.company_id,
                        &in->start.project_id, &in->project, NULL);

    if (rc == NGX_AGAIN) {
        op = ngx_http_comms_await_op(in->await, in->engine->op_timeout,
                                     ngx_http_comms_initiate_project);
        if (op == NULL) {
            ngx_http_comms_initiate_internal(r, in);
            return;
        }

        (void) projects->find(projects, &in->start.company_id,
                              &in->start.project_id, &in->project, op);
        return;
    }

    if (rc == NGX_ERROR) {
        ngx_http_comms_initiate_internal(r, in);
        return;
    }

    if (rc != NGX_OK) {
        in->project = NULL;
    }

    ngx_http_comms_initiate_admit(r, in);
}


static void
ngx_http_comms_initiate_admit(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in)
{
    json_t             *document;
    ngx_comms_op_t     *op;
    ngx_comms_store_t  *store;

    document = ngx_http_comms_initiate_admit_in(r->pool, in);
    if (document == NULL) {
        ngx_http_comms_initiate_internal(r, in);
        return;
    }

    op = ngx_http_comms_await_op(in->await, in->engine->op_timeout,
                                 ngx_http_comms_initiate_admitted);
    if (op == NULL) {
        json_decref(document);
        ngx_http_comms_initiate_internal(r, in);
        return;
    }

    store = in->engine->store;
    store->admit(store, document, op);
}


static void
ngx_http_comms_initiate_admitted(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer)
{
    ngx_http_comms_initiate_t *in = data;

    size_t                   limit;
    json_t                  *accepted;
    int64_t                  open;
    ngx_http_comms_error_t   error;

    if (rc != NGX_OK) {
        ngx_http_comms_initiate_unavailable(r, in, rc);
        return;
    }

    accepted = json_object_get(answer, "accepted");

    if (json_is_object(accepted)) {
        ngx_http_comms_initiate_repeated(r, in, accepted);
        return;
    }

    if (json_array_size(json_object_get(answer, "opted_out")) != 0) {
        ngx_http_comms_refuse(&error, NGX_HTTP_FORBIDDEN,
                              "RECIPIENT_OPTED_OUT",
                              "The recipient has opted out of messages from "
                              "this company");
        ngx_http_comms_initiate_error(r, in, &error);
        return;
    }

    limit = in->engine->bus->max_body;

    if (limit && in->size + NGX_HTTP_COMMS_MESSAGES_SIZE > limit) {
        ngx_http_comms_refuse(&error, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                              "PAYLOAD_TOO_LARGE",
                              "The request is larger than the topic carries "
                              "together with the messages");
        ngx_http_comms_initiate_error(r, in, &error);
        return;
    }

    open = 0;
    (void) ngx_comms_json_int(answer, "open_conversations", &open);

    if (ngx_http_comms_start_allowed(&in->start, in->project, &error)
        != NGX_OK
        || ngx_http_comms_initiate_limits(r, in, open, &error) != NGX_OK)
    {
        ngx_http_comms_initiate_error(r, in, &error);
        return;
    }

    ngx_http_comms_initiate_accept(r, in);
}


static void
ngx_http_comms_initiate_accept(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in)
{
    json_t             *document;
    ngx_comms_op_t     *op;
    ngx_comms_store_t  *store;

    document = ngx_http_comms_initiate_accept_in(r->pool, in);
    if (document == NULL) {
        ngx_http_comms_initiate_internal(r, in);
        return;
    }

    /*
     * The store takes the document over; until the operation comes home
     * nothing here reads it.  What the answer needs is copied now.
     */

    in->record = ngx_http_comms_initiate_summary(document);

    if (in->record == NULL
        || ngx_http_comms_keep_json(r, in->record) != NGX_OK)
    {
        json_decref(document);
        ngx_http_comms_initiate_internal(r, in);
        return;
    }

    op = ngx_http_comms_await_op(in->await, in->engine->op_timeout,
                                 ngx_http_comms_initiate_accepted);
    if (op == NULL) {
        json_decref(document);
        ngx_http_comms_initiate_internal(r, in);
        return;
    }

    store = in->engine->store;
    store->accept(store, document, op);
}


static void
ngx_http_comms_initiate_accepted(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer)
{
    ngx_http_comms_initiate_t *in = data;

    if (rc == NGX_DECLINED) {
        ngx_http_comms_initiate_repeated(r, in, answer);
        return;
    }

    if (rc != NGX_OK) {
        ngx_http_comms_initiate_unavailable(r, in, rc);
        return;
    }

    ngx_comms_count(in->engine->zone, NGX_COMMS_COUNT_ACCEPTED, 1);

    ngx_http_comms_initiate_answer(r, in, in->record);
}


static void
ngx_http_comms_initiate_repeated(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in, json_t *accepted)
{
    ngx_str_t               hash;
    ngx_http_comms_error_t  error;

    if (ngx_comms_json_str(accepted, "request_hash", &hash) != NGX_OK
        || hash.len != in->hash.len
        || ngx_memcmp(hash.data, in->hash.data, hash.len) != 0)
    {
        ngx_http_comms_refuse(&error, NGX_HTTP_CONFLICT, "REQUEST_ID_REUSED",
                              "This request_id was accepted before with a "
                              "different body");
        ngx_http_comms_initiate_error(r, in, &error);
        return;
    }

    ngx_comms_count(in->engine->zone, NGX_COMMS_COUNT_REPEATED, 1);

    ngx_http_comms_initiate_answer(r, in, accepted);
}


/* "accepted" is as store.admit gives it, borrowed */

static void
ngx_http_comms_initiate_answer(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in, json_t *accepted)
{
    u_char     *p;
    json_t     *document;
    ngx_str_t   thread_id, location;

    if (ngx_comms_json_str(accepted, "thread_id", &thread_id) != NGX_OK) {
        ngx_http_comms_initiate_internal(r, in);
        return;
    }

    /* the document may be gone when the headers are sent */

    location.len = sizeof("/conversations/") - 1 + thread_id.len;

    p = ngx_pnalloc(r->pool, location.len);
    if (p == NULL) {
        ngx_http_comms_initiate_internal(r, in);
        return;
    }

    location.data = p;

    p = ngx_cpymem(p, "/conversations/", sizeof("/conversations/") - 1);
    ngx_memcpy(p, thread_id.data, thread_id.len);

    thread_id.data = p;

    document = json_pack("{s:s, s:s%, s:s%, s:s%, s:O, s:s, s:O}",
                         "status", "success",
                         "request_id", in->start.request_id.data,
                         in->start.request_id.len,
                         "thread_id", thread_id.data, thread_id.len,
                         "conversation_id", in->conversation_id.data,
                         in->conversation_id.len,
                         "channels", json_object_get(accepted, "channels"),
                         "message",
                         "Request accepted and queued for processing",
                         "queue_timestamp",
                         json_object_get(accepted, "queue_timestamp"));

    if (document == NULL) {
        ngx_http_comms_initiate_internal(r, in);
        return;
    }

    if (ngx_http_comms_add_header(r, "Location", &location) != NGX_OK) {
        json_decref(document);
        ngx_http_comms_initiate_internal(r, in);
        return;
    }

    if (in->wait == 0) {
        ngx_http_finalize_request(r,
               ngx_http_comms_send_json(r, NGX_HTTP_ACCEPTED, document));
        return;
    }

    if (ngx_http_comms_wait(r, &thread_id, document, in->wait) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


static void
ngx_http_comms_initiate_error(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in, ngx_http_comms_error_t *error)
{
    ngx_comms_count(in->engine->zone,
                    error->status < NGX_HTTP_INTERNAL_SERVER_ERROR
                        ? NGX_COMMS_COUNT_REJECTED
                        : NGX_COMMS_COUNT_UNAVAILABLE, 1);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "comms start request refused: %s", error->code);

    ngx_http_finalize_request(r,
               ngx_http_comms_send_error(r, error, &in->start.request_id));
}


/*
 * NGX_ERROR: nothing was written.  NGX_ABORT: it may still be; the same
 * request_id makes trying again safe either way.
 */

static void
ngx_http_comms_initiate_unavailable(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in, ngx_int_t rc)
{
    ngx_http_comms_error_t  error;

    ngx_http_comms_refuse(&error, NGX_HTTP_SERVICE_UNAVAILABLE,
                          "DATABASE_ERROR",
                          rc == NGX_ABORT
                              ? "The request could not be confirmed in time, "
                                "try again with the same request_id"
                              : "The request could not be written, nothing "
                                "was done, try again");

    error.retry_after = NGX_HTTP_COMMS_RETRY_STORE;

    ngx_http_comms_initiate_error(r, in, &error);
}


static void
ngx_http_comms_initiate_internal(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in)
{
    ngx_http_comms_error_t  error;

    ngx_http_comms_refuse(&error, NGX_HTTP_INTERNAL_SERVER_ERROR,
                          "INTERNAL_ERROR", "Internal error, try again");

    ngx_http_finalize_request(r,
               ngx_http_comms_send_error(r, &error, &in->start.request_id));
}
