
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A provider call: one in-memory subrequest of a job's request to an internal
 * location that proxies.
 *
 * The subrequest is a BACKGROUND one.  Such a subrequest never becomes the
 * active request of the connection, so that the job's request stays what
 * c->data says, whatever happens to the call; and nginx does not wake its
 * parent when it ends.  Neither is missed: no client waits for output in
 * order, and what has to be woken is the flow, by an event of its own.
 *
 * Rules that keep this safe:
 *
 *   1. The subrequest's headers are emptied and filled anew.  The structure
 *      is a shallow copy of the parent's: adding to it would change the
 *      parent's list.
 *   2. The body is one buffer with start and end set, because a second try
 *      rewinds to "start".  It lives in the request's pool, for the flow may
 *      give up before the call does.
 *   3. The handler of the end only records and posts, clears
 *      sr->post_subrequest first, and returns NGX_OK: any other value makes
 *      nginx build an error page and call it a second time, or terminate the
 *      job's request.
 *   4. An answer beyond subrequest_output_buffer_size sets c->error, which
 *      would terminate the job's request; it is reset.  Nothing else sets it,
 *      as there is no client.  It also leaves output in the filters, and with
 *      sr->buffered the subrequest would wait for ever; that is reset too.
 *   5. nginx reports a truncated answer as a success.  Whether one is whole
 *      is tested here, see ngx_http_comms_call_whole().
 *   6. What was not sent is told apart from what may have been sent:
 *      everything the product promises about effects rests on it.  "Unsent"
 *      needs proof, anything doubtful is "unknown".
 *
 * A mail goes to the relay of the location by SMTP, with the same rules and
 * no subrequest.
 *
 * A call belongs to the request and holds a reference of the flow until it
 * has answered, once: from ngx_http_comms_call_done() or, when the request
 * dies first, from ngx_http_comms_call_abort().
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <job/ngx_http_comms_job.h>


/* nginx's own timeouts of the location come first, in the ordinary case */
#define NGX_HTTP_COMMS_CALL_MARGIN  5000


struct ngx_http_comms_call_s {
    ngx_comms_job_t            *job;
    ngx_comms_flow_t           *flow;       /* NULL once answered */
    ngx_comms_answer_t         *answer;     /* in the flow's pool */
    ngx_uint_t                  seq;
    ngx_comms_curl_mail_t      *mail;       /* in flight; NULL: HTTP */

    ngx_str_t                   uri;        /* what the subrequest gets, in
                                               the request's pool */
    ngx_str_t                   args;
    ngx_uint_t                  method;
    ngx_str_t                   method_name;
    ngx_table_elt_t            *headers;
    ngx_uint_t                  nheaders;
    ngx_http_request_body_t    *body;
    off_t                       length;
};


typedef struct {
    ngx_str_t                   name;
    ngx_uint_t                  method;
} ngx_http_comms_call_method_t;


static ngx_http_comms_provider_t *ngx_http_comms_call_provider(
    ngx_comms_job_t *job, ngx_str_t *name);
static ngx_http_comms_call_t *ngx_http_comms_call_mail(ngx_comms_flow_t *f,
    ngx_http_comms_provider_t *provider, ngx_comms_request_t *rq);
static void ngx_http_comms_call_mailed(void *data, ngx_comms_answer_t *an);
static ngx_http_comms_call_t *ngx_http_comms_call_allocate(
    ngx_comms_flow_t *f);
static ngx_uint_t ngx_http_comms_call_safe(ngx_comms_request_t *rq);
static ngx_http_comms_call_t *ngx_http_comms_call_create(
    ngx_comms_flow_t *f, ngx_http_comms_provider_t *provider,
    ngx_comms_request_t *rq);
static ngx_int_t ngx_http_comms_call_line(ngx_http_comms_call_t *call,
    ngx_pool_t *pool, ngx_http_comms_provider_t *provider,
    ngx_comms_request_t *rq);
static ngx_int_t ngx_http_comms_call_method(ngx_http_comms_call_t *call,
    ngx_str_t *name);
static ngx_int_t ngx_http_comms_call_headers(ngx_http_comms_call_t *call,
    ngx_pool_t *pool, ngx_array_t *headers);
static ngx_int_t ngx_http_comms_call_body(ngx_http_comms_call_t *call,
    ngx_pool_t *pool, ngx_str_t *body);
static ngx_int_t ngx_http_comms_call_issue(ngx_http_comms_call_t *call);
static ngx_int_t ngx_http_comms_call_done(ngx_http_request_t *sr, void *data,
    ngx_int_t rc);
static void ngx_http_comms_call_classify(ngx_http_request_t *sr,
    ngx_int_t rc, ngx_uint_t overflow, ngx_comms_answer_t *an);
static ngx_uint_t ngx_http_comms_call_sent(ngx_http_request_t *sr);
static const char *ngx_http_comms_call_failure(ngx_http_request_t *sr,
    ngx_int_t rc);
static ngx_uint_t ngx_http_comms_call_whole(ngx_http_request_t *sr);
static ngx_int_t ngx_http_comms_call_copy(ngx_http_request_t *sr,
    ngx_pool_t *pool, ngx_comms_answer_t *an);
static ngx_int_t ngx_http_comms_call_copy_headers(ngx_list_t *headers,
    ngx_pool_t *pool, ngx_array_t *copies);


static ngx_http_comms_call_method_t  ngx_http_comms_call_methods[] = {
    { ngx_string("GET"), NGX_HTTP_GET },
    { ngx_string("POST"), NGX_HTTP_POST },
    { ngx_string("PUT"), NGX_HTTP_PUT },
    { ngx_string("PATCH"), NGX_HTTP_PATCH },
    { ngx_string("DELETE"), NGX_HTTP_DELETE },
    { ngx_null_string, 0 }
};


ngx_int_t
ngx_comms_flow_call(ngx_comms_flow_t *f, ngx_str_t *provider,
    ngx_comms_request_t *rq)
{
    ngx_comms_job_t            *job;
    ngx_connection_t           *c;
    ngx_http_comms_call_t      *call;
    ngx_http_comms_provider_t  *p;

    job = f->job;

    if (f->lost) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "message is no longer held", NULL);
    }

    if (job == NULL || job->request == NULL || job->broken) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "job has ended", NULL);
    }

    if (job->call != NULL) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "earlier call is still in flight", NULL);
    }

    p = ngx_http_comms_call_provider(job, provider);
    if (p == NULL) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "no location for provider", provider);
    }

    if ((rq->mail != NULL) != (p->relay != NULL)) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "location of another protocol for "
                                   "provider", provider);
    }

    if (!ngx_http_comms_call_safe(rq)) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "unsafe path of a provider call", NULL);
    }

    if (rq->mail != NULL) {
        call = ngx_http_comms_call_mail(f, p, rq);

    } else {
        call = ngx_http_comms_call_create(f, p, rq);

        if (call != NULL && ngx_http_comms_call_issue(call) != NGX_OK) {
            call = NULL;
        }
    }

    if (call == NULL) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "provider call could not be made", NULL);
    }

    call->seq = ngx_comms_flow_wait(f, p->timeout
                                       + NGX_HTTP_COMMS_CALL_MARGIN);
    f->exchange = call->answer;
    job->call = call;

    /* the call may end in here, and even the job's request with it */

    c = job->request->connection;
    ngx_http_run_posted_requests(c);

    return NGX_AGAIN;
}


static ngx_http_comms_provider_t *
ngx_http_comms_call_provider(ngx_comms_job_t *job, ngx_str_t *name)
{
    ngx_uint_t                  i;
    ngx_http_comms_provider_t  *p;

    if (job->providers == NULL) {
        return NULL;
    }

    p = job->providers->elts;

    for (i = 0; i < job->providers->nelts; i++) {

        if (p[i].name.len == name->len
            && ngx_strncmp(p[i].name.data, name->data, name->len) == 0)
        {
            return &p[i];
        }
    }

    return NULL;
}


/*
 * The path becomes part of a location's URI, which nginx takes as decoded:
 * "%" would be escaped once more, and ".." would leave the location.
 */

static ngx_uint_t
ngx_http_comms_call_safe(ngx_comms_request_t *rq)
{
    u_char      ch;
    ngx_uint_t  i;

    for (i = 0; i < rq->path.len; i++) {
        ch = rq->path.data[i];

        if (ch <= ' ' || ch >= 0x7f || ch == '%' || ch == '?' || ch == '#'
            || ch == '\\' || ch == '"')
        {
            return 0;
        }

        if (ch == '.' && i + 1 < rq->path.len && rq->path.data[i + 1] == '.')
        {
            return 0;
        }
    }

    for (i = 0; i < rq->args.len; i++) {
        ch = rq->args.data[i];

        if (ch <= ' ' || ch >= 0x7f || ch == '#') {
            return 0;
        }
    }

    return 1;
}


/* the request lives in the flow's pool, which the answer holds */

static ngx_http_comms_call_t *
ngx_http_comms_call_mail(ngx_comms_flow_t *f,
    ngx_http_comms_provider_t *provider, ngx_comms_request_t *rq)
{
    ngx_http_comms_call_t  *call;

    call = ngx_http_comms_call_allocate(f);

    if (call == NULL || provider->loop == NULL) {
        return NULL;
    }

    call->mail = ngx_comms_curl_mail(provider->loop, provider->relay, rq,
                                     ngx_http_comms_call_mailed, call);

    return call->mail ? call : NULL;
}


static void
ngx_http_comms_call_mailed(void *data, ngx_comms_answer_t *an)
{
    ngx_http_comms_call_t *call = data;

    ngx_comms_flow_t  *f;

    f = call->flow;

    call->mail = NULL;
    call->flow = NULL;
    call->job->call = NULL;

    if (f->seq == call->seq) {
        *call->answer = *an;

        if (an->body.len != 0) {
            call->answer->body.data = ngx_pstrdup(f->pool, &an->body);

            if (call->answer->body.data == NULL) {
                call->answer->body.len = 0;
            }
        }
    }

    (void) ngx_comms_flow_answer(f, call->seq, NGX_OK);
}


static ngx_http_comms_call_t *
ngx_http_comms_call_create(ngx_comms_flow_t *f,
    ngx_http_comms_provider_t *provider, ngx_comms_request_t *rq)
{
    ngx_pool_t             *pool;
    ngx_http_comms_call_t  *call;

    pool = f->job->request->pool;

    call = ngx_http_comms_call_allocate(f);

    if (call == NULL
        || ngx_http_comms_call_line(call, pool, provider, rq) != NGX_OK
        || ngx_http_comms_call_headers(call, pool, &rq->headers) != NGX_OK
        || ngx_http_comms_call_body(call, pool, &rq->body) != NGX_OK)
    {
        return NULL;
    }

    return call;
}


static ngx_http_comms_call_t *
ngx_http_comms_call_allocate(ngx_comms_flow_t *f)
{
    ngx_comms_answer_t     *an;
    ngx_http_comms_call_t  *call;

    call = ngx_pcalloc(f->job->request->pool, sizeof(ngx_http_comms_call_t));
    an = ngx_pcalloc(f->pool, sizeof(ngx_comms_answer_t));

    if (call == NULL || an == NULL) {
        return NULL;
    }

    /* what the flow sees if its own deadline comes first */

    an->outcome = NGX_COMMS_EXCHANGE_UNKNOWN;
    an->failure = "timed out";

    call->job = f->job;
    call->flow = f;
    call->answer = an;

    return call;
}


static ngx_int_t
ngx_http_comms_call_line(ngx_http_comms_call_t *call, ngx_pool_t *pool,
    ngx_http_comms_provider_t *provider, ngx_comms_request_t *rq)
{
    u_char  *p;

    if (ngx_http_comms_call_method(call, &rq->method) != NGX_OK) {
        return NGX_ERROR;
    }

    call->uri.len = provider->uri.len + rq->path.len;
    call->uri.data = ngx_pnalloc(pool, call->uri.len);

    if (call->uri.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(call->uri.data, provider->uri.data, provider->uri.len);
    ngx_memcpy(p, rq->path.data, rq->path.len);

    if (rq->args.len == 0) {
        return NGX_OK;
    }

    call->args.len = rq->args.len;
    call->args.data = ngx_pstrdup(pool, &rq->args);

    return (call->args.data != NULL) ? NGX_OK : NGX_ERROR;
}


/*
 * proxy sends the name as it is; the number is what keeps nginx from sending
 * a POST twice (proxy_next_upstream without "non_idempotent").
 */

static ngx_int_t
ngx_http_comms_call_method(ngx_http_comms_call_t *call, ngx_str_t *name)
{
    ngx_http_comms_call_method_t  *m;

    for (m = ngx_http_comms_call_methods; m->name.len; m++) {

        if (m->name.len == name->len
            && ngx_strncmp(m->name.data, name->data, name->len) == 0)
        {
            call->method = m->method;
            call->method_name = m->name;

            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_comms_call_headers(ngx_http_comms_call_t *call, ngx_pool_t *pool,
    ngx_array_t *headers)
{
    ngx_uint_t        i;
    ngx_keyval_t     *kv;
    ngx_table_elt_t  *h;

    /* one more, as a list cannot be of none */

    h = ngx_pcalloc(pool, (headers->nelts + 1) * sizeof(ngx_table_elt_t));
    if (h == NULL) {
        return NGX_ERROR;
    }

    kv = headers->elts;

    call->headers = h;
    call->nheaders = headers->nelts;

    for (i = 0; i < headers->nelts; i++) {
        h[i].key.len = kv[i].key.len;
        h[i].key.data = ngx_pstrdup(pool, &kv[i].key);
        h[i].value.len = kv[i].value.len;
        h[i].value.data = ngx_pstrdup(pool, &kv[i].value);
        h[i].lowcase_key = ngx_pnalloc(pool, kv[i].key.len);

        if (h[i].key.data == NULL || h[i].value.data == NULL
            || h[i].lowcase_key == NULL)
        {
            return NGX_ERROR;
        }

        h[i].hash = ngx_hash_strlow(h[i].lowcase_key, h[i].key.data,
                                    h[i].key.len);
    }

    return NGX_OK;
}


/*
 * The body is always set, an empty one too, else the subrequest would share
 * the parent's.
 */

static ngx_int_t
ngx_http_comms_call_body(ngx_http_comms_call_t *call, ngx_pool_t *pool,
    ngx_str_t *body)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    call->body = ngx_pcalloc(pool, sizeof(ngx_http_request_body_t));
    if (call->body == NULL) {
        return NGX_ERROR;
    }

    if (body->len == 0) {
        call->length = (call->method == NGX_HTTP_GET
                        || call->method == NGX_HTTP_DELETE) ? -1 : 0;
        return NGX_OK;
    }

    b = ngx_create_temp_buf(pool, body->len);
    cl = ngx_alloc_chain_link(pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->pos, body->data, body->len);
    b->last_buf = 1;

    cl->buf = b;
    cl->next = NULL;

    call->body->bufs = cl;
    call->body->buf = b;
    call->length = body->len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_comms_call_issue(ngx_http_comms_call_t *call)
{
    ngx_list_t                  *list;
    ngx_http_request_t          *r, *sr;
    ngx_http_post_subrequest_t  *ps;

    r = call->job->request;

    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    if (ps == NULL) {
        return NGX_ERROR;
    }

    ps->handler = ngx_http_comms_call_done;
    ps->data = call;

    if (ngx_http_subrequest(r, &call->uri,
                            call->args.len ? &call->args : NULL, &sr, ps,
                            NGX_HTTP_SUBREQUEST_IN_MEMORY
                            |NGX_HTTP_SUBREQUEST_BACKGROUND)
        != NGX_OK)
    {
        /* it may have taken a reference that nobody gives back */

        call->job->broken = 1;

        return NGX_ERROR;
    }

    ngx_memzero(&sr->headers_in, sizeof(ngx_http_headers_in_t));

    /* ngx_list_init() would allocate, and nothing may fail from here on */

    list = &sr->headers_in.headers;
    list->part.elts = call->headers;
    list->part.nelts = call->nheaders;
    list->last = &list->part;
    list->size = sizeof(ngx_table_elt_t);
    list->nalloc = call->nheaders + 1;
    list->pool = r->pool;

    sr->headers_in.content_length_n = call->length;
    sr->headers_in.keep_alive_n = -1;

    sr->method = call->method;
    sr->method_name = call->method_name;
    sr->request_body = call->body;

    /* see ngx_http_comms_call_whole() */
    sr->keepalive = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_comms_call_done(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_uint_t              overflow, rest;
    ngx_comms_flow_t       *f;
    ngx_connection_t       *c;
    ngx_comms_answer_t     *an;
    ngx_http_comms_call_t  *call;

    call = data;
    c = sr->connection;
    f = call->flow;
    an = call->answer;

    sr->post_subrequest = NULL;

    /* else nginx would wait to write the rest, to a client there is not */

    rest = sr->buffered;
    sr->buffered = 0;

    overflow = 0;

    if (c->error && !c->close) {
        c->error = 0;
        overflow = 1;
    }

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "comms call: done, rc:%i, status:%ui, overflow:%ui, "
                   "flow:%p", rc, sr->headers_out.status, overflow, f);

    if (f == NULL) {
        return NGX_OK;
    }

    call->flow = NULL;
    call->job->call = NULL;

    /* a flow that waits for it no more may read its answer no more */

    if (f->seq == call->seq) {
        if (rc == NGX_OK && rest) {
            rc = NGX_AGAIN;
        }

        ngx_http_comms_call_classify(sr, rc, overflow, an);

        if (an->outcome == NGX_COMMS_EXCHANGE_COMPLETE
            && ngx_http_comms_call_copy(sr, f->pool, an) != NGX_OK)
        {
            an->outcome = NGX_COMMS_EXCHANGE_UNKNOWN;
            an->status = 0;
            an->failure = "out of memory";
        }
    }

    (void) ngx_comms_flow_answer(f, call->seq, NGX_OK);

    return NGX_OK;
}


void
ngx_http_comms_call_abort(ngx_http_comms_call_t *call)
{
    ngx_comms_flow_t  *f;

    f = call->flow;

    if (f == NULL) {
        return;
    }

    call->flow = NULL;

    if (call->mail != NULL) {
        ngx_comms_curl_mail_end(call->mail);
        call->mail = NULL;
    }

    if (f->seq == call->seq) {
        call->answer->failure = "job was terminated";
    }

    (void) ngx_comms_flow_answer(f, call->seq, NGX_OK);
}


static void
ngx_http_comms_call_classify(ngx_http_request_t *sr, ngx_int_t rc,
    ngx_uint_t overflow, ngx_comms_answer_t *an)
{
    ngx_uint_t            status;
    ngx_http_upstream_t  *u;

    u = sr->upstream;

    if (u == NULL) {
        an->outcome = NGX_COMMS_EXCHANGE_UNSENT;
        an->failure = "refused by the provider location";
        return;
    }

    if (!ngx_http_comms_call_sent(sr)) {
        an->outcome = NGX_COMMS_EXCHANGE_UNSENT;
        an->failure = (rc == NGX_HTTP_GATEWAY_TIME_OUT)
                      ? "connect timed out" : "connect failed";
        return;
    }

    an->outcome = NGX_COMMS_EXCHANGE_UNKNOWN;

    if (overflow) {
        an->failure = "too large";
        return;
    }

    if (rc != NGX_OK) {
        an->failure = ngx_http_comms_call_failure(sr, rc);
        return;
    }

    /* what is no HTTP at all passes as HTTP/0.9, with no status */

    status = u->headers_in.status_n;

    if (status < NGX_HTTP_OK || status > 599) {
        an->failure = "no valid HTTP answer";
        return;
    }

    if (!ngx_http_comms_call_whole(sr)) {
        an->failure = "truncated";
        return;
    }

    an->outcome = NGX_COMMS_EXCHANGE_COMPLETE;
    an->status = status;
    an->failure = NULL;
}


/*
 * 1 unless it is sure that no byte of the request has left.  The states are
 * those of all servers that were tried; u->request_sent is of the last one.
 */

static ngx_uint_t
ngx_http_comms_call_sent(ngx_http_request_t *sr)
{
    ngx_uint_t                  i;
    ngx_http_upstream_state_t  *state;

    if (sr->upstream->request_sent) {
        return 1;
    }

    if (sr->upstream_states == NULL) {
        return 0;
    }

    state = sr->upstream_states->elts;

    for (i = 0; i < sr->upstream_states->nelts; i++) {

        if (state[i].bytes_sent > 0) {
            return 1;
        }
    }

    return 0;
}


static const char *
ngx_http_comms_call_failure(ngx_http_request_t *sr, ngx_int_t rc)
{
    if (rc > 0 && (ngx_uint_t) rc == sr->upstream->headers_in.status_n) {
        return "answer was intercepted by the provider location";
    }

    switch (rc) {

    case NGX_HTTP_GATEWAY_TIME_OUT:
    case NGX_HTTP_REQUEST_TIME_OUT:
        return "timed out";

    case NGX_HTTP_BAD_GATEWAY:
        return "no answer";

    case NGX_HTTP_CLIENT_CLOSED_REQUEST:
        return "job was terminated";

    case NGX_AGAIN:
        return "truncated";

    default:
        return "failed";
    }
}


/*
 * nginx passes on what has come, and success as the result, when a server
 * stops in the middle of an answer.
 *
 * With buffering the pipe knows how it ended.  Without, u->length is what is
 * missing; it is -1 for an answer that the closing of the connection ends,
 * and then only r->keepalive tells: it was set for the subrequest, where it
 * means nothing, and nginx clears it when it ends an answer for an error.
 */

static ngx_uint_t
ngx_http_comms_call_whole(ngx_http_request_t *sr)
{
    ngx_event_pipe_t     *p;
    ngx_http_upstream_t  *u;

    u = sr->upstream;
    p = u->pipe;

    if (u->buffering && p != NULL) {
        return p->upstream_done
               || p->length == 0
               || (p->upstream_eof && p->length == -1 && !p->upstream_error);
    }

    return u->length == 0 || (u->length == -1 && sr->keepalive);
}


static ngx_int_t
ngx_http_comms_call_copy(ngx_http_request_t *sr, ngx_pool_t *pool,
    ngx_comms_answer_t *an)
{
    size_t      len;
    ngx_buf_t  *b;

    if (ngx_array_init(&an->headers, pool, 16, sizeof(ngx_keyval_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_comms_call_copy_headers(&sr->upstream->headers_in.headers,
                                         pool, &an->headers)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    b = (sr->out != NULL) ? sr->out->buf : NULL;
    len = (b != NULL) ? (size_t) (b->last - b->pos) : 0;

    if (len == 0) {
        return NGX_OK;
    }

    an->body.data = ngx_pnalloc(pool, len);
    if (an->body.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(an->body.data, b->pos, len);
    an->body.len = len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_comms_call_copy_headers(ngx_list_t *headers, ngx_pool_t *pool,
    ngx_array_t *copies)
{
    ngx_uint_t        i;
    ngx_keyval_t     *kv;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &headers->part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].hash == 0) {
                continue;
            }

            kv = ngx_array_push(copies);
            if (kv == NULL) {
                return NGX_ERROR;
            }

            kv->key.len = h[i].key.len;
            kv->key.data = ngx_pstrdup(pool, &h[i].key);
            kv->value.len = h[i].value.len;
            kv->value.data = ngx_pstrdup(pool, &h[i].value);

            if (kv->key.data == NULL || kv->value.data == NULL) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}
