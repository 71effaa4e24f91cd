
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * For "make bench" alone: a location whose requests each start a job that
 * asks the AI once, as a turn does: the request is built by the protocol,
 * goes through the provider's location, and the answer is read.  What is left
 * out of a turn is the store, so that the time of the call itself is seen.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_comms_module.h>
#include <ai/ngx_comms_ai.h>


static char *ngx_http_comms_bench_call(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_comms_bench_call_handler(ngx_http_request_t *r);
static void ngx_http_comms_bench_call_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_comms_bench_call_ask(ngx_comms_flow_t *f);
static ngx_int_t ngx_http_comms_bench_call_read(ngx_comms_flow_t *f);
static void ngx_http_comms_bench_call_finished(ngx_comms_flow_t *f);


static const ngx_comms_step_t  ngx_http_comms_bench_call_steps[] = {

    { "asking the AI",
      ngx_http_comms_bench_call_ask, ngx_http_comms_bench_call_read, 0 },

    { NULL, NULL, NULL, 0 }
};


static ngx_command_t  ngx_http_comms_bench_call_commands[] = {

    { ngx_string("comms_bench_call"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_comms_bench_call,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_comms_bench_call_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_comms_bench_call_module = {
    NGX_MODULE_V1,
    &ngx_http_comms_bench_call_module_ctx, /* module context */
    ngx_http_comms_bench_call_commands,    /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_comms_bench_call(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_comms_bench_call_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_comms_bench_call_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_read_client_request_body(r, ngx_http_comms_bench_call_body);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static void
ngx_http_comms_bench_call_body(ngx_http_request_t *r)
{
    json_t                      *body;
    ngx_comms_flow_t            *f;
    ngx_http_comms_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_comms_module);

    body = json_object();
    f = ngx_comms_flow_create(&mcf->engine, ngx_http_comms_bench_call_steps,
                              body, ngx_cycle->log);
    json_decref(body);

    if (f == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    f->finished = ngx_http_comms_bench_call_finished;
    f->data = r;

    if (ngx_http_comms_job_start(&mcf->jobs, &mcf->providers, f) != NGX_OK) {
        ngx_comms_flow_discard(f);
        ngx_http_finalize_request(r, NGX_HTTP_SERVICE_UNAVAILABLE);
    }
}


static ngx_int_t
ngx_http_comms_bench_call_ask(ngx_comms_flow_t *f)
{
    json_t                *credentials;
    ngx_int_t              rc;
    ngx_comms_request_t    rq;
    ngx_comms_secrets_t   *secrets;
    ngx_comms_question_t   q;

    static ngx_str_t  id = ngx_string("openai-main");
    static ngx_str_t  provider = ngx_string("openai");

    secrets = f->engine->secrets;

    if (secrets->get(secrets, &id, &credentials, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&q, sizeof(ngx_comms_question_t));

    ngx_str_set(&q.model, "gpt-scenario");
    ngx_str_set(&q.ai_conversation_id, "conv_0123456789abcdef0123456789abcdef");
    ngx_str_set(&q.instructions, "You write for Grace, recruiter at Acme "
                "Care. Find a time for the interview. Answer as plain text.");
    ngx_str_set(&q.turn_id, "in_01M82HTSMVZWK2JD2FXNZ65PM6");
    ngx_str_set(&q.thread_id, "th_01M82HTR4DA3NP8P1W2W727F28");

    q.key.data = (u_char *)
        json_string_value(json_object_get(credentials, "api_key"));
    q.key.len = json_string_length(json_object_get(credentials, "api_key"));
    q.input = json_pack("[{s:s, s:s}]", "role", "user", "content",
                        "I can start on Monday, would ten o'clock suit you?");

    rc = (q.input != NULL) ? ngx_comms_openai.ask(f->pool, &q, &rq)
                           : NGX_ERROR;

    json_decref(q.input);

    return (rc == NGX_OK) ? ngx_comms_flow_call(f, &provider, &rq)
                          : NGX_ERROR;
}


static ngx_int_t
ngx_http_comms_bench_call_read(ngx_comms_flow_t *f)
{
    ngx_int_t               rc;
    ngx_comms_question_t    q;
    ngx_comms_ai_answer_t   answer;

    ngx_memzero(&q, sizeof(ngx_comms_question_t));

    rc = ngx_comms_openai.read_ask(f->pool, &q, f->exchange, &answer);

    return (rc == NGX_OK && answer.verdict == NGX_COMMS_AI_ANSWERED)
           ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_comms_bench_call_finished(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = f->data;
    c = r->connection;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = 0;
    r->header_only = 1;

    rc = (f->verdict == NGX_COMMS_FLOW_DONE) ? ngx_http_send_header(r)
                                             : NGX_HTTP_BAD_GATEWAY;

    ngx_http_comms_job_finish(f->job);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}
