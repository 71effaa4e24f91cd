
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A job: a connectionless main request that runs a flow.
 *
 * The request lives in a real slot of ngx_get_connection(), whose descriptor
 * is a /dev/null that all jobs of the worker share.  With c->shared set,
 * ngx_close_connection() frees the slot and touches neither the descriptor
 * nor epoll, so that nginx's ordinary life cycle (finalize, terminate, close,
 * worker_shutdown_timeout) ends a job as it ends any other request.
 *
 * What must be true of the connection, and why:
 *
 *   read and write are "active", so that no module adds them to epoll, which
 *     refuses /dev/null;
 *   read is at "eof" and not "ready", so that the request is closed at once
 *     and does not linger;
 *   the pool is its own, for the request's pool is destroyed before it;
 *   the log is a copy: nginx writes the request, level and file into it;
 *   TCP options count as disabled: there is no TCP to set them on;
 *   the addresses are there, because variables and access rules read them.
 *
 * Life of a job:
 *
 *   started    ngx_http_comms_job_start(): the request runs through the
 *              phases of the "comms_jobs" location;
 *   running    ngx_http_comms_job_handler() gives it to the flow and keeps
 *              the reference that ngx_http_create_request() made;
 *   ending     ngx_http_comms_job_finish(), when the flow is over: the
 *              request is finalized from a posted event, since the flow may
 *              have ended inside the phases or inside one of its calls;
 *   gone       ngx_http_comms_job_gone(), a cleanup of the request, which
 *              nginx runs on close and on termination alike.  A flow that is
 *              still there goes on without its job: it can store and give
 *              back, and it can no longer call a provider;
 *   uncounted  ngx_http_comms_job_uncount(), when the slot is free again.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <job/ngx_http_comms_job.h>


/* a sixteenth of the connections is never taken by jobs */
#define NGX_HTTP_COMMS_JOB_RESERVE   16

/* when the location does not run jobs, an operator has to mend that first */
#define NGX_HTTP_COMMS_JOB_NOT_RUN   30000

#define NGX_HTTP_COMMS_JOB_POOL      2048


typedef struct {
    ngx_comms_job_t        job;          /* first: jobs are cast to this */
    ngx_http_connection_t  http;
    ngx_http_log_ctx_t     log_ctx;
    ngx_log_t              log;
    ngx_event_t            end;
    unsigned               run:1;        /* the flow was handed its job */
} ngx_http_comms_job_state_t;


static ngx_connection_t *ngx_http_comms_job_connection(ngx_log_t *log);
static ngx_socket_t ngx_http_comms_job_descriptor(ngx_log_t *log);
static ngx_http_comms_job_state_t *ngx_http_comms_job_state(
    ngx_connection_t *c);
static ngx_int_t ngx_http_comms_job_request(ngx_http_comms_job_state_t *s,
    ngx_http_comms_job_conf_t *jcf, ngx_connection_t *c);
static void ngx_http_comms_job_line(ngx_http_request_t *r,
    ngx_http_comms_job_conf_t *jcf);
static void ngx_http_comms_job_drop(ngx_connection_t *c);
static void ngx_http_comms_job_read(ngx_event_t *rev);
static void ngx_http_comms_job_end(ngx_event_t *ev);
static void ngx_http_comms_job_gone(void *data);
static void ngx_http_comms_job_uncount(void *data);
static ssize_t ngx_http_comms_job_recv(ngx_connection_t *c, u_char *buf,
    size_t size);
static ssize_t ngx_http_comms_job_recv_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);
static ssize_t ngx_http_comms_job_send(ngx_connection_t *c, u_char *buf,
    size_t size);
static ngx_chain_t *ngx_http_comms_job_send_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);
static u_char *ngx_http_comms_job_log(ngx_log_t *log, u_char *buf,
    size_t len);


/* of this worker process */
static ngx_uint_t    ngx_http_comms_job_count;
static ngx_socket_t  ngx_http_comms_job_null = (ngx_socket_t) -1;


static struct sockaddr_in  ngx_http_comms_job_addr;
static ngx_str_t  ngx_http_comms_job_addr_text = ngx_string("127.0.0.1");
static ngx_str_t  ngx_http_comms_job_protocol = ngx_string("HTTP/1.1");
static ngx_str_t  ngx_http_comms_job_method = ngx_string("GET");


ngx_uint_t
ngx_http_comms_jobs(void)
{
    return ngx_http_comms_job_count;
}


ngx_uint_t
ngx_http_comms_job_full(ngx_http_comms_job_conf_t *jcf)
{
    ngx_uint_t  reserve;

    if (ngx_exiting || ngx_quit || ngx_terminate) {
        return 1;
    }

    reserve = ngx_cycle->connection_n / NGX_HTTP_COMMS_JOB_RESERVE + 2;

    return ngx_http_comms_job_count >= jcf->max_jobs
           || ngx_cycle->free_connection_n < reserve;
}


ngx_int_t
ngx_http_comms_job_start(ngx_http_comms_job_conf_t *jcf,
    ngx_array_t *providers, ngx_comms_flow_t *flow)
{
    ngx_connection_t            *c;
    ngx_http_request_t          *r;
    ngx_http_comms_job_state_t  *s;

    if (ngx_http_comms_job_full(jcf)) {
        return NGX_DECLINED;
    }

    c = ngx_http_comms_job_connection(flow->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    s = ngx_http_comms_job_state(c);
    if (s == NULL || ngx_http_comms_job_request(s, jcf, c) != NGX_OK) {
        ngx_http_comms_job_drop(c);
        return NGX_ERROR;
    }

    r = s->job.request;

    s->job.providers = providers;
    s->job.flow = flow;
    flow->job = &s->job;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, flow->log, 0,
                   "comms job: start, request:%p, jobs:%ui",
                   r, ngx_http_comms_job_count);

    ngx_http_handler(r);
    ngx_http_run_posted_requests(c);

    return NGX_OK;
}


static ngx_connection_t *
ngx_http_comms_job_connection(ngx_log_t *log)
{
    ngx_socket_t         fd;
    ngx_connection_t    *c;
    ngx_pool_cleanup_t  *cln;

    fd = ngx_http_comms_job_descriptor(log);
    if (fd == (ngx_socket_t) -1) {
        return NULL;
    }

    c = ngx_get_connection(fd, ngx_cycle->log);
    if (c == NULL) {
        return NULL;
    }

    c->shared = 1;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif

    ngx_http_comms_job_count++;

    c->pool = ngx_create_pool(NGX_HTTP_COMMS_JOB_POOL, ngx_cycle->log);
    if (c->pool == NULL) {
        ngx_http_comms_job_drop(c);
        ngx_http_comms_job_count--;
        return NULL;
    }

    cln = ngx_pool_cleanup_add(c->pool, 0);
    if (cln == NULL) {
        ngx_http_comms_job_drop(c);
        ngx_http_comms_job_count--;
        return NULL;
    }

    cln->handler = ngx_http_comms_job_uncount;

    return c;
}


static ngx_socket_t
ngx_http_comms_job_descriptor(ngx_log_t *log)
{
    if (ngx_http_comms_job_null != (ngx_socket_t) -1) {
        return ngx_http_comms_job_null;
    }

    ngx_http_comms_job_null = open("/dev/null", O_RDWR|O_CLOEXEC);

    if (ngx_http_comms_job_null == (ngx_socket_t) -1) {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_errno,
                      "open() \"/dev/null\" failed");
    }

    return ngx_http_comms_job_null;
}


static ngx_http_comms_job_state_t *
ngx_http_comms_job_state(ngx_connection_t *c)
{
    ngx_http_comms_job_state_t  *s;

    s = ngx_pcalloc(c->pool, sizeof(ngx_http_comms_job_state_t));
    if (s == NULL) {
        return NULL;
    }

    c->buffer = ngx_create_temp_buf(c->pool, 1);
    if (c->buffer == NULL) {
        return NULL;
    }

    ngx_http_comms_job_addr.sin_family = AF_INET;
    ngx_http_comms_job_addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    c->sockaddr = (struct sockaddr *) &ngx_http_comms_job_addr;
    c->socklen = sizeof(struct sockaddr_in);
    c->local_sockaddr = c->sockaddr;
    c->local_socklen = c->socklen;
    c->addr_text = ngx_http_comms_job_addr_text;

    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->start_time = ngx_current_msec;

    s->log = *ngx_cycle->log;
    s->log.connection = c->number;
    s->log.handler = ngx_http_comms_job_log;
    s->log.data = &s->log_ctx;
    s->log_ctx.connection = c;

    c->log = &s->log;
    c->read->log = &s->log;
    c->write->log = &s->log;

    c->recv = ngx_http_comms_job_recv;
    c->recv_chain = ngx_http_comms_job_recv_chain;
    c->send = ngx_http_comms_job_send;
    c->send_chain = ngx_http_comms_job_send_chain;

    c->read->handler = ngx_http_comms_job_read;
    c->read->active = 1;
    c->read->eof = 1;

    c->write->handler = ngx_http_empty_handler;
    c->write->active = 1;
    c->write->ready = 1;

    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    s->end.handler = ngx_http_comms_job_end;
    s->end.data = s;
    s->end.log = &s->log;

    return s;
}


static ngx_int_t
ngx_http_comms_job_request(ngx_http_comms_job_state_t *s,
    ngx_http_comms_job_conf_t *jcf, ngx_connection_t *c)
{
    ngx_http_cleanup_t  *cln;
    ngx_http_request_t  *r;

    s->http.conf_ctx = jcf->ctx;
    c->data = &s->http;

    r = ngx_http_create_request(c);
    if (r == NULL) {
        return NGX_ERROR;
    }

    c->data = r;

    r->logged = 1;
    s->job.request = r;

    cln = ngx_http_cleanup_add(r, 0);

    if (cln == NULL
        || ngx_list_init(&r->headers_in.headers, r->pool, 1,
                         sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        ngx_http_free_request(r, 0);
        return NGX_ERROR;
    }

    cln->handler = ngx_http_comms_job_gone;
    cln->data = s;

    r->request_body = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));
    r->request_line.data = ngx_pnalloc(r->pool, jcf->uri.len
                                       + sizeof("GET  HTTP/1.1") - 1);

    if (r->request_body == NULL || r->request_line.data == NULL) {
        ngx_http_free_request(r, 0);
        return NGX_ERROR;
    }

    ngx_http_comms_job_line(r, jcf);

    ngx_http_set_ctx(r, &s->job, ngx_http_comms_module);

    return NGX_OK;
}


static void
ngx_http_comms_job_line(ngx_http_request_t *r, ngx_http_comms_job_conf_t *jcf)
{
    u_char                    *p;
    ngx_http_core_srv_conf_t  *cscf;

    p = ngx_sprintf(r->request_line.data, "GET %V HTTP/1.1", &jcf->uri);

    r->request_line.len = p - r->request_line.data;

    r->method = NGX_HTTP_GET;
    r->method_name = ngx_http_comms_job_method;
    r->http_version = NGX_HTTP_VERSION_11;
    r->http_protocol = ngx_http_comms_job_protocol;
    r->uri = jcf->uri;
    r->unparsed_uri = jcf->uri;
    r->valid_unparsed_uri = 1;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    r->headers_in.server = cscf->server_name;
    r->headers_in.content_length_n = 0;

    r->internal = 1;
    r->http_state = NGX_HTTP_PROCESS_REQUEST_STATE;
}


/* frees a connection whose request never came to be */

static void
ngx_http_comms_job_drop(ngx_connection_t *c)
{
    ngx_pool_t  *pool;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, -1);
#endif

    /* the log may live in the pool */

    c->log = ngx_cycle->log;
    c->read->log = c->log;
    c->write->log = c->log;

    c->destroyed = 1;
    pool = c->pool;

    ngx_close_connection(c);

    if (pool != NULL) {
        ngx_destroy_pool(pool);
    }
}


ngx_int_t
ngx_http_comms_job_handler(ngx_http_request_t *r)
{
    ngx_comms_job_t             *job;
    ngx_comms_flow_t            *f;
    ngx_http_comms_job_state_t  *s;

    job = ngx_http_get_module_ctx(r, ngx_http_comms_module);

    /*
     * A caller's request may get here by an internal redirect; the context
     * it carries then, if any, is not a job.
     */

    if (job == NULL || r != r->main
        || r->connection->read->handler != ngx_http_comms_job_read)
    {
        return NGX_HTTP_NOT_FOUND;
    }

    s = (ngx_http_comms_job_state_t *) job;
    f = job->flow;

    if (f == NULL || s->run) {
        return NGX_HTTP_NOT_FOUND;
    }

    /*
     * nginx's own debug lines show what it sends to a provider: bodies,
     * addresses and secrets.  They stay out of any log, whatever its level.
     */

    if (r->connection->log->log_level >= NGX_LOG_DEBUG) {
        r->connection->log->log_level = NGX_LOG_INFO;
    }

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    /* content_phase() takes one reference back */

    r->main->count++;
    s->run = 1;

    ngx_comms_flow_run(f, job);

    return NGX_DONE;
}


void
ngx_http_comms_job_finish(ngx_comms_job_t *job)
{
    ngx_http_comms_job_state_t  *s;

    if (job == NULL) {
        return;
    }

    s = (ngx_http_comms_job_state_t *) job;

    if (job->flow != NULL) {
        job->flow->job = NULL;
        job->flow = NULL;
    }

    if (job->request != NULL) {
        ngx_post_event(&s->end, &ngx_posted_events);
    }
}


static void
ngx_http_comms_job_end(ngx_event_t *ev)
{
    ngx_connection_t            *c;
    ngx_http_request_t          *r;
    ngx_http_comms_job_state_t  *s;

    s = ev->data;
    r = s->job.request;
    c = r->connection;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "comms job: end, request:%p, call:%p, count:%ui",
                   r, s->job.call, (ngx_uint_t) r->count);

    if (s->job.call == NULL && !s->job.broken) {
        ngx_http_finalize_request(r, NGX_DONE);
        return;
    }

    /* a provider that nobody waits for any more holds the request */

    ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
    ngx_http_run_posted_requests(c);
}


/*
 * There is nothing to read.  The event is only ever called when the worker
 * has no more time to shut down (c->close), or by modules that look after
 * clients who leave, which does not happen here.
 */

static void
ngx_http_comms_job_read(ngx_event_t *rev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = rev->data;

    if (!c->close) {
        return;
    }

    r = c->data;

    ngx_http_finalize_request(r->main, NGX_HTTP_CLIENT_CLOSED_REQUEST);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_comms_job_gone(void *data)
{
    ngx_comms_flow_t            *f;
    ngx_http_comms_job_state_t  *s;

    s = data;
    f = s->job.flow;

    s->job.request = NULL;
    s->job.flow = NULL;

    if (s->end.posted) {
        ngx_delete_posted_event(&s->end);
    }

    if (f != NULL) {
        f->job = NULL;
    }

    if (s->job.call != NULL) {
        ngx_http_comms_call_abort(s->job.call);
        s->job.call = NULL;
    }

    if (f == NULL) {
        return;
    }

    if (!s->run) {
        ngx_comms_flow_abandon(f, NGX_HTTP_COMMS_JOB_NOT_RUN,
                               "the location of \"comms_jobs\" answered "
                               "without running the job");
        return;
    }

    ngx_log_error(NGX_LOG_WARN, f->log, 0, "job ended before its flow");
}


static void
ngx_http_comms_job_uncount(void *data)
{
    ngx_http_comms_job_count--;
}


static ssize_t
ngx_http_comms_job_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    return NGX_AGAIN;
}


static ssize_t
ngx_http_comms_job_recv_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    return NGX_AGAIN;
}


static ssize_t
ngx_http_comms_job_send(ngx_connection_t *c, u_char *buf, size_t size)
{
    c->sent += size;

    return size;
}


static ngx_chain_t *
ngx_http_comms_job_send_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    ngx_chain_t  *cl;

    for (cl = in; cl; cl = cl->next) {

        if (ngx_buf_special(cl->buf)) {
            continue;
        }

        c->sent += ngx_buf_size(cl->buf);

        if (ngx_buf_in_memory(cl->buf)) {
            cl->buf->pos = cl->buf->last;
        }

        if (cl->buf->in_file) {
            cl->buf->file_pos = cl->buf->file_last;
        }
    }

    return NULL;
}


/*
 * Says what the flow says of itself, and which server a call was for.  Not
 * the URI of the call: a provider may have addresses in it.
 */

static u_char *
ngx_http_comms_job_log(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char                      *p;
    ngx_log_t                   *l;
    ngx_comms_flow_t            *f;
    ngx_http_log_ctx_t          *ctx;
    ngx_http_request_t          *r;
    ngx_http_upstream_t         *u;
    ngx_http_comms_job_state_t  *s;

    p = buf;
    ctx = log->data;
    s = (ngx_http_comms_job_state_t *)
            ((u_char *) ctx - offsetof(ngx_http_comms_job_state_t, log_ctx));

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s", log->action);
        len -= p - buf;
        buf = p;
    }

    f = s->job.flow;

    if (f != NULL) {
        l = f->log;
        p = ngx_snprintf(buf, len, " (%s)", l->action ? l->action : "idle");
        len -= p - buf;
        buf = p;
    }

    r = (ctx->request != NULL) ? ctx->current_request : NULL;
    u = (r != NULL) ? r->upstream : NULL;

    if (u != NULL && u->peer.name != NULL) {
        p = ngx_snprintf(buf, len, ", upstream: \"%V%V\"",
                         &u->schema, u->peer.name);
        len -= p - buf;
        buf = p;
    }

    if (f != NULL) {
        p = ngx_comms_flow_log_fields(f, buf, len);
    }

    return p;
}
