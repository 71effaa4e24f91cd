
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * For tests only: store and bus of the module under test, by HTTP.
 *
 *   POST {"room": "store" | "bus", "op": "accept", "in": {}}
 *   ->   {"rc": 0, "answer": {}, "pid": 42, "early": false}
 *
 * "early" is true when the operation was finished before the function that
 * started it had returned, which ngx_comms_op.h forbids.
 *
 *   POST {"room": "notices", "op": "queue" | "lease" | "thread",
 *         "in": {"key": "open"}}
 *   ->   {"rc": 0, "answer": {"seen": 3}, ...}
 *
 * tells how many notices for that key this worker process has been given.
 *
 * The module under test must be loaded before this one: its symbols are used.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_comms_module.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_op.h>
#include <http/ngx_http_comms_answer.h>


#define NGX_HTTP_COMMS_BACKEND_TEST_NOTICES  65536


typedef struct {
    ngx_http_request_t    *request;
    ngx_comms_op_t        *op;          /* NULL once it is finished */
    ngx_uint_t             returned;
} ngx_http_comms_backend_test_ctx_t;


typedef struct {
    const char            *name;
    size_t                 offset;
} ngx_http_comms_backend_test_op_t;


static char *ngx_http_comms_backend_test(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_comms_backend_test_init_process(
    ngx_cycle_t *cycle);
static void ngx_http_comms_backend_test_noticed(void *data,
    ngx_comms_notice_e kind, uint32_t hash);
static ngx_int_t ngx_http_comms_backend_test_handler(ngx_http_request_t *r);
static void ngx_http_comms_backend_test_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_comms_backend_test_start(ngx_http_request_t *r,
    json_t *ask);
static ngx_int_t ngx_http_comms_backend_test_notices(ngx_http_request_t *r,
    json_t *ask);
static ngx_int_t ngx_http_comms_backend_test_call(
    ngx_http_comms_backend_test_ctx_t *ctx, json_t *ask);
static size_t ngx_http_comms_backend_test_offset(
    ngx_http_comms_backend_test_op_t *ops, ngx_str_t *name);
static void ngx_http_comms_backend_test_cleanup(void *data);
static void ngx_http_comms_backend_test_done(ngx_comms_op_t *op);
static ngx_int_t ngx_http_comms_backend_test_send(ngx_http_request_t *r,
    ngx_int_t rc, json_t *answer, ngx_uint_t early);


static ngx_http_comms_backend_test_op_t  ngx_http_comms_backend_test_store[] =
{
    { "admit", offsetof(ngx_comms_store_t, admit) },
    { "accept", offsetof(ngx_comms_store_t, accept) },
    { "keep", offsetof(ngx_comms_store_t, keep) },
    { "find", offsetof(ngx_comms_store_t, find) },
    { "link", offsetof(ngx_comms_store_t, link) },
    { "claim", offsetof(ngx_comms_store_t, claim) },
    { "intend", offsetof(ngx_comms_store_t, intend) },
    { "withdraw", offsetof(ngx_comms_store_t, withdraw) },
    { "record", offsetof(ngx_comms_store_t, record) },
    { "erase", offsetof(ngx_comms_store_t, erase) },
    { "orphan", offsetof(ngx_comms_store_t, orphan) },
    { "inbound", offsetof(ngx_comms_store_t, inbound) },
    { "consent", offsetof(ngx_comms_store_t, consent) },
    { "ledger", offsetof(ngx_comms_store_t, ledger) },
    { "sent_as", offsetof(ngx_comms_store_t, sent_as) },
    { "load", offsetof(ngx_comms_store_t, load) },
    { "list", offsetof(ngx_comms_store_t, list) },
    { "figures", offsetof(ngx_comms_store_t, figures) },
    { NULL, 0 }
};


static ngx_http_comms_backend_test_op_t  ngx_http_comms_backend_test_bus[] = {
    { "put", offsetof(ngx_comms_bus_t, put) },
    { "publish", offsetof(ngx_comms_bus_t, publish) },
    { "receive", offsetof(ngx_comms_bus_t, receive) },
    { "extend", offsetof(ngx_comms_bus_t, extend) },
    { "remove", offsetof(ngx_comms_bus_t, remove) },
    { "give_back", offsetof(ngx_comms_bus_t, give_back) },
    { "bury", offsetof(ngx_comms_bus_t, bury) },
    { "depths", offsetof(ngx_comms_bus_t, depths) },
    { NULL, 0 }
};


static const char  *ngx_http_comms_backend_test_kinds[] = {
    "queue", "lease", "thread"
};


static uint32_t    ngx_http_comms_backend_test_hashes[NGX_COMMS_NOTICES]
                       [NGX_HTTP_COMMS_BACKEND_TEST_NOTICES];
static ngx_uint_t  ngx_http_comms_backend_test_nhashes[NGX_COMMS_NOTICES];


static ngx_command_t  ngx_http_comms_backend_test_commands[] = {

    { ngx_string("comms_backend_test"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_comms_backend_test,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_comms_backend_test_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_comms_backend_test_module = {
    NGX_MODULE_V1,
    &ngx_http_comms_backend_test_module_ctx,   /* module context */
    ngx_http_comms_backend_test_commands,      /* module directives */
    NGX_HTTP_MODULE,                           /* module type */
    NULL,                                      /* init master */
    NULL,                                      /* init module */
    ngx_http_comms_backend_test_init_process,  /* init process */
    NULL,                                      /* init thread */
    NULL,                                      /* exit thread */
    NULL,                                      /* exit process */
    NULL,                                      /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_comms_backend_test(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_comms_backend_test_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_comms_backend_test_init_process(ngx_cycle_t *cycle)
{
    ngx_int_t  kind;

    if (ngx_process != NGX_PROCESS_WORKER) {
        return NGX_OK;
    }

    for (kind = 0; kind < NGX_COMMS_NOTICES; kind++) {
        if (ngx_comms_notice_listen((ngx_comms_notice_e) kind,
                                    ngx_http_comms_backend_test_noticed, NULL)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_comms_backend_test_noticed(void *data, ngx_comms_notice_e kind,
    uint32_t hash)
{
    ngx_uint_t  *n;

    n = &ngx_http_comms_backend_test_nhashes[kind];

    ngx_http_comms_backend_test_hashes[kind]
        [*n % NGX_HTTP_COMMS_BACKEND_TEST_NOTICES] = hash;

    (*n)++;
}


static ngx_int_t
ngx_http_comms_backend_test_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r,
                                           ngx_http_comms_backend_test_body);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static void
ngx_http_comms_backend_test_body(ngx_http_request_t *r)
{
    json_t                  *ask;
    ngx_int_t                rc;
    ngx_str_t                body;
    ngx_comms_json_error_t   err;

    ask = NULL;

    if (ngx_http_comms_body(r, &body) == NGX_OK) {
        ask = ngx_comms_json_parse(&body, &err);
    }

    rc = (ask != NULL) ? ngx_http_comms_backend_test_start(r, ask)
                       : NGX_HTTP_BAD_REQUEST;

    json_decref(ask);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


/* NGX_DONE: finalized later, by the end of the operation */

static ngx_int_t
ngx_http_comms_backend_test_start(ngx_http_request_t *r, json_t *ask)
{
    ngx_str_t                           room;
    ngx_pool_cleanup_t                 *cln;
    ngx_http_comms_backend_test_ctx_t  *ctx;

    if (ngx_comms_json_str(ask, "room", &room) != NGX_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (ngx_strcmp(room.data, "notices") == 0) {
        return ngx_http_comms_backend_test_notices(r, ask);
    }

    cln = ngx_pool_cleanup_add(r->pool,
                               sizeof(ngx_http_comms_backend_test_ctx_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_comms_backend_test_ctx_t));

    cln->handler = ngx_http_comms_backend_test_cleanup;

    ctx->request = r;
    ctx->op = ngx_comms_op_create(ngx_http_comms_backend_test_done, ctx, 1);

    if (ctx->op == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_comms_backend_test_call(ctx, ask) != NGX_OK) {
        return NGX_HTTP_NOT_FOUND;
    }

    ctx->returned = 1;

    return NGX_DONE;
}


static ngx_int_t
ngx_http_comms_backend_test_notices(ngx_http_request_t *r, json_t *ask)
{
    uint32_t     hash;
    ngx_str_t    op, key;
    ngx_uint_t   i, kind, n, seen;

    if (ngx_comms_json_str(ask, "op", &op) != NGX_OK
        || ngx_comms_json_str(json_object_get(ask, "in"), "key", &key)
           != NGX_OK)
    {
        return NGX_HTTP_BAD_REQUEST;
    }

    hash = ngx_comms_notice_hash(&key);
    seen = 0;

    for (kind = 0; kind < NGX_COMMS_NOTICES; kind++) {

        if (ngx_strcmp(op.data, ngx_http_comms_backend_test_kinds[kind])
            != 0)
        {
            continue;
        }

        n = ngx_min(ngx_http_comms_backend_test_nhashes[kind],
                    NGX_HTTP_COMMS_BACKEND_TEST_NOTICES);

        for (i = 0; i < n; i++) {
            if (ngx_http_comms_backend_test_hashes[kind][i] == hash
                || ngx_http_comms_backend_test_hashes[kind][i] == 0)
            {
                seen++;
            }
        }
    }

    return ngx_http_comms_backend_test_send(r, NGX_OK,
                      json_pack("{s:I}", "seen", (json_int_t) seen), 0);
}


static ngx_int_t
ngx_http_comms_backend_test_call(ngx_http_comms_backend_test_ctx_t *ctx,
    json_t *ask)
{
    json_t                      *in;
    size_t                       offset;
    ngx_str_t                    room, name;
    ngx_comms_bus_t             *bus;
    ngx_comms_store_t           *store;
    ngx_http_comms_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(ctx->request, ngx_http_comms_module);

    if (ngx_comms_json_str(ask, "room", &room) != NGX_OK
        || ngx_comms_json_str(ask, "op", &name) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    in = json_object_get(ask, "in");

    if (ngx_strcmp(room.data, "store") == 0) {
        offset = ngx_http_comms_backend_test_offset(
                                   ngx_http_comms_backend_test_store, &name);
        if (offset == 0) {
            return NGX_DECLINED;
        }

        store = mcf->engine.store;
        (*(ngx_comms_store_op_pt *) ((u_char *) store + offset))(store,
                                                    json_incref(in), ctx->op);
        return NGX_OK;
    }

    offset = ngx_http_comms_backend_test_offset(
                                     ngx_http_comms_backend_test_bus, &name);

    if (offset == 0 || ngx_strcmp(room.data, "bus") != 0) {
        return NGX_DECLINED;
    }

    bus = mcf->engine.bus;
    (*(ngx_comms_bus_op_pt *) ((u_char *) bus + offset))(bus,
                                                  json_incref(in), ctx->op);

    return NGX_OK;
}


/* 0: no such operation; none is at 0, where the name is */

static size_t
ngx_http_comms_backend_test_offset(ngx_http_comms_backend_test_op_t *ops,
    ngx_str_t *name)
{
    for ( /* void */ ; ops->name != NULL; ops++) {
        if (ngx_strcmp(name->data, ops->name) == 0) {
            return ops->offset;
        }
    }

    return 0;
}


static void
ngx_http_comms_backend_test_cleanup(void *data)
{
    ngx_http_comms_backend_test_ctx_t *ctx = data;

    if (ctx->op != NULL) {
        ngx_comms_op_cancel(ctx->op);
    }
}


static void
ngx_http_comms_backend_test_done(ngx_comms_op_t *op)
{
    ngx_connection_t                   *c;
    ngx_http_request_t                 *r;
    ngx_http_comms_backend_test_ctx_t  *ctx;

    ctx = op->data;
    ctx->op = NULL;

    r = ctx->request;
    c = r->connection;

    ngx_http_finalize_request(r,
               ngx_http_comms_backend_test_send(r, op->rc,
                                                json_incref(op->answer),
                                                !ctx->returned));
    ngx_http_run_posted_requests(c);
}


/* takes over the reference to the answer */

static ngx_int_t
ngx_http_comms_backend_test_send(ngx_http_request_t *r, ngx_int_t rc,
    json_t *answer, ngx_uint_t early)
{
    json_t  *document;

    document = json_pack("{s:I, s:o, s:I, s:b}", "rc", (json_int_t) rc,
                         "answer", (answer != NULL) ? answer : json_null(),
                         "pid", (json_int_t) ngx_pid, "early", (int) early);

    if (document == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_comms_send_json(r, NGX_HTTP_OK, document);
}
