
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * For tests alone: a location that makes the call to AWS that its request's
 * body describes, {"service": number, "operation", "in", "timeout",
 * "cancel": ms}, and answers {"rc", "answer"}.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <jansson.h>
#include "base/ngx_comms_json.h"
#include "aws/ngx_comms_aws.h"


#define NGX_HTTP_AWS_TEST_BODY  (2 * 1024 * 1024)


typedef struct {
    ngx_comms_aws_conf_t   conf;
    ngx_comms_aws_t       *aws;
} ngx_http_aws_test_main_conf_t;


typedef struct {
    ngx_http_request_t    *request;
    ngx_comms_op_t        *op;
    ngx_event_t            cancel;
} ngx_http_aws_test_ctx_t;


static void *ngx_http_aws_test_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_aws_test_init_main_conf(ngx_conf_t *cf, void *conf);
static char *ngx_http_aws_test_call(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_aws_test_init_process(ngx_cycle_t *cycle);
static void ngx_http_aws_test_exit_process(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_aws_test_handler(ngx_http_request_t *r);
static void ngx_http_aws_test_body(ngx_http_request_t *r);
static void ngx_http_aws_test_cancel(ngx_event_t *ev);
static void ngx_http_aws_test_cleanup(void *data);
static void ngx_http_aws_test_done(ngx_comms_op_t *op);


static ngx_command_t  ngx_http_aws_test_commands[] = {

    { ngx_string("aws_test_region"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_aws_test_main_conf_t, conf.region),
      NULL },

    { ngx_string("aws_test_profile"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_aws_test_main_conf_t, conf.profile),
      NULL },

    { ngx_string("aws_test_call"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_aws_test_call,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_aws_test_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_aws_test_create_main_conf,    /* create main configuration */
    ngx_http_aws_test_init_main_conf,      /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_comms_aws_test_module = {
    NGX_MODULE_V1,
    &ngx_http_aws_test_module_ctx,         /* module context */
    ngx_http_aws_test_commands,            /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_aws_test_init_process,        /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_aws_test_exit_process,        /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_aws_test_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_aws_test_main_conf_t));
}


static char *
ngx_http_aws_test_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_aws_test_main_conf_t *mcf = conf;

    ngx_str_t  words;

    mcf->aws = ngx_comms_aws_add(cf, &mcf->conf, NULL);

    if (mcf->aws == NULL) {
        return NGX_CONF_ERROR;
    }

    words = ngx_comms_aws_words(mcf->aws);
    ngx_conf_log_error(NGX_LOG_NOTICE, cf, 0, "aws: %V", &words);

    return NGX_CONF_OK;
}


static char *
ngx_http_aws_test_call(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_aws_test_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_aws_test_init_process(ngx_cycle_t *cycle)
{
    ngx_http_aws_test_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_comms_aws_test_module);

    return ngx_comms_aws_init_process(mcf->aws, cycle);
}


static void
ngx_http_aws_test_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_aws_test_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_comms_aws_test_module);

    ngx_comms_aws_exit_process(mcf->aws);
}


static ngx_int_t
ngx_http_aws_test_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_aws_test_body);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


static void
ngx_http_aws_test_body(ngx_http_request_t *r)
{
    json_t                         *in;
    int64_t                         service, timeout, cancel;
    ngx_buf_t                      *b;
    ngx_str_t                       text, operation;
    ngx_chain_t                    *cl;
    ngx_http_cleanup_t             *cln;
    ngx_comms_json_error_t          err;
    ngx_http_aws_test_ctx_t        *ctx;
    ngx_http_aws_test_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_comms_aws_test_module);

    text.data = ngx_palloc(r->pool, NGX_HTTP_AWS_TEST_BODY);
    text.len = 0;

    for (cl = r->request_body->bufs; cl != NULL && text.data; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)
            && text.len + (b->last - b->pos) <= NGX_HTTP_AWS_TEST_BODY)
        {
            text.len = ngx_cpymem(text.data + text.len, b->pos,
                                  b->last - b->pos)
                       - text.data;
        }
    }

    in = ngx_comms_json_parse(&text, &err);
    timeout = 5000;
    cancel = 0;

    cln = ngx_http_cleanup_add(r, sizeof(ngx_http_aws_test_ctx_t));

    if (cln == NULL
        || ngx_comms_json_int(in, "service", &service) != NGX_OK
        || ngx_comms_json_str(in, "operation", &operation) != NGX_OK
        || ngx_comms_json_int(in, "timeout", &timeout) == NGX_ERROR
        || ngx_comms_json_int(in, "cancel", &cancel) == NGX_ERROR)
    {
        json_decref(in);
        ngx_http_finalize_request(r, NGX_HTTP_BAD_REQUEST);
        return;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_aws_test_ctx_t));
    cln->handler = ngx_http_aws_test_cleanup;

    ctx->request = r;
    ctx->op = ngx_comms_op_create(ngx_http_aws_test_done, ctx, 0);

    ngx_comms_aws_call(mcf->aws, (ngx_comms_aws_service_e) service,
                       json_string_value(json_object_get(in, "operation")),
                       json_incref(json_object_get(in, "in")),
                       (ngx_msec_t) timeout, ctx->op);

    json_decref(in);

    if (cancel) {
        ctx->cancel.handler = ngx_http_aws_test_cancel;
        ctx->cancel.data = ctx;
        ctx->cancel.log = r->connection->log;
        ngx_add_timer(&ctx->cancel, (ngx_msec_t) cancel);
    }
}


static void
ngx_http_aws_test_cancel(ngx_event_t *ev)
{
    ngx_http_aws_test_ctx_t        *ctx;
    ngx_http_aws_test_main_conf_t  *mcf;

    ctx = ev->data;

    mcf = ngx_http_get_module_main_conf(ctx->request,
                                        ngx_http_comms_aws_test_module);

    ngx_comms_aws_cancel(mcf->aws, ctx->op);
}


static void
ngx_http_aws_test_cleanup(void *data)
{
    ngx_http_aws_test_ctx_t *ctx = data;

    if (ctx->op != NULL) {
        ngx_comms_op_cancel(ctx->op);
    }

    if (ctx->cancel.timer_set) {
        ngx_del_timer(&ctx->cancel);
    }
}


static void
ngx_http_aws_test_done(ngx_comms_op_t *op)
{
    char                     *text;
    size_t                    len;
    json_t                   *out;
    ngx_buf_t                *b;
    ngx_int_t                 rc;
    ngx_chain_t               cl;
    ngx_http_request_t       *r;
    ngx_http_aws_test_ctx_t  *ctx;

    ctx = op->data;
    ctx->op = NULL;
    r = ctx->request;

    out = json_pack("{s:i,s:O?}", "rc", (int) op->rc, "answer", op->answer);
    text = json_dumps(out, JSON_COMPACT);
    json_decref(out);

    len = text ? ngx_strlen(text) : 0;
    b = ngx_create_temp_buf(r->pool, len + 1);

    if (b == NULL || text == NULL) {
        free(text);
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    b->last = ngx_cpymem(b->pos, text, len);
    b->last_buf = 1;
    b->last_in_chain = 1;
    free(text);

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = (off_t) len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    cl.buf = b;
    cl.next = NULL;

    ngx_http_finalize_request(r, ngx_http_output_filter(r, &cl));
}
