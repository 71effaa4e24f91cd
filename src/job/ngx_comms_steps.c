
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The driver of flows, see ngx_comms_steps.h for what a flow may do.
 *
 * The life of a flow, and which function makes each move:
 *
 *   created    by ngx_comms_flow_create(); refs is 1, the driver's own.
 *   posted     by ngx_comms_flow_run(), or because what the flow waited for
 *              has come: "wake" is in the queue of posted events.
 *   driven     by ngx_comms_flow_wake(), and by nothing else.  It leaves in
 *              one of two ways: a row has issued something (waiting), or the
 *              table has ended (closed).
 *   waiting    "seq" is not 0, "deadline" is set.  ngx_comms_flow_answer()
 *              with the same number, or the deadline, clears "seq" and posts
 *              "wake".  Both only ever do that, so a step is never entered
 *              from inside another one.
 *   closed     by ngx_comms_flow_close(): "finished" has been called, "seq"
 *              stays 0, nothing posts "wake" again.
 *   freed      by ngx_comms_flow_release(), when "refs" reaches 0: the
 *              driver's reference goes when the flow is closed, and one for
 *              each thing waited for goes when it comes home, in time or
 *              late.
 *
 * What an event of a flow points to begins as ngx_connection_t does, as far
 * as debug builds of nginx look: three pointers and a descriptor.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <job/ngx_comms_steps.h>


#define NGX_COMMS_FLOW_POOL_SIZE  4096

/* a provider's own code has no more than this in a log line */
#define NGX_COMMS_FLOW_MAX_CODE   64


static void ngx_comms_flow_wake(ngx_event_t *ev);
static void ngx_comms_flow_expire(ngx_event_t *ev);
static ngx_uint_t ngx_comms_flow_step(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_flow_call_row(ngx_comms_flow_t *f,
    const ngx_comms_step_t *s);
static ngx_int_t ngx_comms_flow_consume(ngx_comms_flow_t *f,
    const ngx_comms_step_t *s);
static void ngx_comms_flow_forget(ngx_comms_flow_t *f);
static void ngx_comms_flow_close(ngx_comms_flow_t *f);
static void ngx_comms_flow_release(ngx_comms_flow_t *f);
static void ngx_comms_flow_op_done(ngx_comms_op_t *op);
static ngx_int_t ngx_comms_flow_reason(ngx_comms_flow_t *f,
    const char *words, ngx_str_t *code);
static u_char *ngx_comms_flow_log(ngx_log_t *log, u_char *buf, size_t len);
static u_char *ngx_comms_flow_log_field(u_char *buf, u_char *last,
    const char *name, ngx_str_t *value);


ngx_comms_flow_t *
ngx_comms_flow_create(ngx_comms_engine_t *engine,
    const ngx_comms_step_t *steps, json_t *body, ngx_log_t *log)
{
    ngx_log_t         *l;
    ngx_pool_t        *pool;
    ngx_comms_flow_t  *f;

    pool = ngx_create_pool(NGX_COMMS_FLOW_POOL_SIZE, log);
    if (pool == NULL) {
        return NULL;
    }

    f = ngx_pcalloc(pool, sizeof(ngx_comms_flow_t));
    l = ngx_palloc(pool, sizeof(ngx_log_t));

    if (f == NULL || l == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    *l = *log;
    l->handler = ngx_comms_flow_log;
    l->data = f;
    l->action = NULL;

    pool->log = l;

    f->fd = (ngx_socket_t) -1;
    f->pool = pool;
    f->log = l;
    f->engine = engine;
    f->steps = steps;
    f->body = json_incref(body);
    f->refs = 1;

    f->wake.handler = ngx_comms_flow_wake;
    f->wake.data = f;
    f->wake.log = l;

    f->deadline.handler = ngx_comms_flow_expire;
    f->deadline.data = f;
    f->deadline.log = l;

    return f;
}


void
ngx_comms_flow_run(ngx_comms_flow_t *f, ngx_comms_job_t *job)
{
    f->job = job;

    ngx_post_event(&f->wake, &ngx_posted_events);
}


void
ngx_comms_flow_discard(ngx_comms_flow_t *f)
{
    f->closed = 1;

    ngx_comms_flow_release(f);
}


void
ngx_comms_flow_abandon(ngx_comms_flow_t *f, ngx_msec_t retry_after,
    const char *words)
{
    f->retry_after = retry_after;

    (void) ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEFER, words, NULL);

    f->over = 1;

    /* no row has run, so the "always" rows have nothing to put right */

    while (f->steps[f->step].start != NULL) {
        f->step++;
    }

    ngx_comms_flow_run(f, NULL);
}


ngx_comms_op_t *
ngx_comms_flow_op(ngx_comms_flow_t *f, ngx_msec_t timeout)
{
    ngx_comms_op_t  *op;

    op = ngx_comms_op_create(ngx_comms_flow_op_done, f, 0);
    if (op == NULL) {
        return NULL;
    }

    op->seq = ngx_comms_flow_wait(f, timeout);

    return op;
}


static void
ngx_comms_flow_op_done(ngx_comms_op_t *op)
{
    ngx_comms_flow_t  *f = op->data;

    if (op->seq == f->seq) {

        if (f->answer != NULL) {
            json_decref(f->answer);
        }

        f->answer = json_incref(op->answer);
    }

    (void) ngx_comms_flow_answer(f, op->seq, op->rc);
}


void
ngx_comms_flow_unused(ngx_comms_flow_t *f, ngx_comms_op_t *op)
{
    if (op->seq == f->seq) {
        ngx_comms_flow_forget(f);
    }

    ngx_comms_op_cancel(op);
    ngx_comms_op_finish(op, NGX_OK, NULL);

    ngx_comms_flow_release(f);
}


ngx_int_t
ngx_comms_flow_pause(ngx_comms_flow_t *f, ngx_msec_t ms)
{
    f->seq = ++f->last_seq;
    f->op_rc = NGX_OK;

    ngx_add_timer(&f->deadline, ms);

    return NGX_AGAIN;
}


ngx_uint_t
ngx_comms_flow_wait(ngx_comms_flow_t *f, ngx_msec_t timeout)
{
    f->refs++;
    f->seq = ++f->last_seq;
    f->op_rc = NGX_COMMS_LATE;

    ngx_add_timer(&f->deadline, timeout);

    return f->seq;
}


ngx_uint_t
ngx_comms_flow_answer(ngx_comms_flow_t *f, ngx_uint_t seq, ngx_int_t rc)
{
    ngx_uint_t  awaited;

    awaited = (seq != 0 && seq == f->seq);

    if (awaited) {
        f->seq = 0;
        f->op_rc = rc;
        f->ready = 1;

        if (f->deadline.timer_set) {
            ngx_del_timer(&f->deadline);
        }

        ngx_post_event(&f->wake, &ngx_posted_events);

    } else {
        ngx_log_debug2(NGX_LOG_DEBUG_EVENT, f->log, 0,
                       "comms flow: late answer %ui, rc:%i", seq, rc);
    }

    ngx_comms_flow_release(f);

    return awaited;
}


static void
ngx_comms_flow_expire(ngx_event_t *ev)
{
    ngx_comms_flow_t  *f = ev->data;

    /* op_rc says already what a deadline means here: a pause or too late */

    f->seq = 0;
    f->ready = 1;

    ngx_post_event(&f->wake, &ngx_posted_events);
}


static void
ngx_comms_flow_wake(ngx_event_t *ev)
{
    ngx_comms_flow_t  *f = ev->data;

    if (f->seq != 0) {
        return;
    }

    while (f->steps[f->step].start != NULL) {

        if (ngx_comms_flow_step(f) == 0) {
            return;
        }
    }

    ngx_comms_flow_close(f);
}


/* runs what is next of the current row; 0 when the flow has to wait */

static ngx_uint_t
ngx_comms_flow_step(ngx_comms_flow_t *f)
{
    ngx_int_t                rc;
    const ngx_comms_step_t  *s;

    s = &f->steps[f->step];

    if (f->over && !s->always) {
        f->step++;
        return 1;
    }

    rc = ngx_comms_flow_call_row(f, s);

    switch (rc) {

    case NGX_AGAIN:
        return 0;

    case NGX_BUSY:
        return 1;

    case NGX_OK:
        f->step++;
        return 1;

    case NGX_DECLINED:
        f->step = f->next;
        return 1;

    case NGX_DONE:
        break;

    default:
        (void) ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "internal error", NULL);
        break;
    }

    f->over = 1;
    f->step++;

    return 1;
}


static ngx_int_t
ngx_comms_flow_call_row(ngx_comms_flow_t *f, const ngx_comms_step_t *s)
{
    ngx_int_t  rc;

    f->log->action = (char *) s->action;

    ngx_log_debug4(NGX_LOG_DEBUG_EVENT, f->log, 0,
                   "comms flow: %s, %s, op:%i, over:%d", s->action,
                   f->ready ? "done" : "start", f->op_rc, f->over);

    if (f->ready) {
        return ngx_comms_flow_consume(f, s);
    }

    f->op_rc = NGX_OK;

    rc = s->start(f);

    if (rc == NGX_AGAIN && f->seq == 0 && !f->ready) {
        ngx_log_error(NGX_LOG_ALERT, f->log, 0, "flow waits for nothing");
        return NGX_ERROR;
    }

    if (rc != NGX_AGAIN) {

        /* the row changed its mind: what it asked for comes home unread */

        ngx_comms_flow_forget(f);
    }

    return rc;
}


static ngx_int_t
ngx_comms_flow_consume(ngx_comms_flow_t *f, const ngx_comms_step_t *s)
{
    ngx_int_t  rc;

    f->ready = 0;

    if (s->done != NULL) {
        rc = s->done(f);

    } else {
        rc = (f->op_rc == NGX_OK) ? NGX_OK : NGX_ERROR;
    }

    /* "done" must not wait: what it may have issued comes home unread */

    ngx_comms_flow_forget(f);

    if (rc == NGX_AGAIN) {
        ngx_log_error(NGX_LOG_ALERT, f->log, 0, "flow waits in \"done\"");
        return NGX_ERROR;
    }

    return rc;
}


static void
ngx_comms_flow_forget(ngx_comms_flow_t *f)
{
    f->seq = 0;
    f->ready = 0;

    if (f->deadline.timer_set) {
        ngx_del_timer(&f->deadline);
    }

    if (f->wake.posted) {
        ngx_delete_posted_event(&f->wake);
    }

    if (f->answer != NULL) {
        json_decref(f->answer);
        f->answer = NULL;
    }
}


static void
ngx_comms_flow_close(ngx_comms_flow_t *f)
{
    f->log->action = NULL;
    f->closed = 1;

    if (f->finished != NULL) {
        f->finished(f);
    }

    f->job = NULL;

    ngx_comms_flow_release(f);
}


static void
ngx_comms_flow_release(ngx_comms_flow_t *f)
{
    if (--f->refs != 0) {
        return;
    }

    json_decref(f->answer);
    json_decref(f->body);

    ngx_destroy_pool(f->pool);
}


ngx_int_t
ngx_comms_flow_goto(ngx_comms_flow_t *f, ngx_comms_step_pt start)
{
    ngx_uint_t  i;

    for (i = 0; f->steps[i].start != NULL; i++) {

        if (f->steps[i].start == start) {
            f->next = i;
            return NGX_DECLINED;
        }
    }

    ngx_log_error(NGX_LOG_ALERT, f->log, 0, "flow goes to an unknown row");

    return NGX_ERROR;
}


ngx_int_t
ngx_comms_flow_fail(ngx_comms_flow_t *f, ngx_comms_flow_verdict_e verdict,
    const char *words, ngx_str_t *code)
{
    static const char  *then[] = {
        "done", "to be retried", "deferred", "parked", "given up"
    };

    ngx_uint_t  level;

    if (f->reason.len) {
        return NGX_ERROR;
    }

    f->verdict = verdict;

    if (ngx_comms_flow_reason(f, words, code) != NGX_OK) {
        f->reason.len = ngx_strlen(words);
        f->reason.data = (u_char *) words;
    }

    if (verdict == NGX_COMMS_FLOW_PARK || verdict == NGX_COMMS_FLOW_DONE) {
        ngx_log_debug2(NGX_LOG_DEBUG_EVENT, f->log, 0,
                       "comms flow: %s, %V", then[verdict], &f->reason);
        return NGX_ERROR;
    }

    /* whoever is to come back at a time has not failed */

    if (verdict == NGX_COMMS_FLOW_DEAD) {
        level = NGX_LOG_ERR;

    } else if (verdict == NGX_COMMS_FLOW_DEFER && f->retry_after != 0) {
        level = NGX_LOG_INFO;

    } else {
        level = NGX_LOG_WARN;
    }

    ngx_log_error(level, f->log, 0, "%V, %s", &f->reason, then[verdict]);

    return NGX_ERROR;
}


/*
 * A provider's code is text from outside: it is bounded, and what cannot be
 * part of a code becomes "?", so that no log line can be forged by it.
 */

static ngx_int_t
ngx_comms_flow_reason(ngx_comms_flow_t *f, const char *words,
    ngx_str_t *code)
{
    size_t  i, len, n;
    u_char  ch, *p;

    len = ngx_strlen(words);
    n = (code != NULL) ? ngx_min(code->len, NGX_COMMS_FLOW_MAX_CODE) : 0;

    p = ngx_pnalloc(f->pool, len + sizeof(": ") - 1 + n);
    if (p == NULL) {
        return NGX_ERROR;
    }

    f->reason.data = p;
    p = ngx_cpymem(p, words, len);

    if (n) {
        *p++ = ':';
        *p++ = ' ';
    }

    for (i = 0; i < n; i++) {
        ch = code->data[i];

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
            || (ch >= '0' && ch <= '9')
            || ch == '_' || ch == '-' || ch == '.')
        {
            *p++ = ch;

        } else {
            *p++ = '?';
        }
    }

    f->reason.len = p - f->reason.data;

    return NGX_OK;
}


static u_char *
ngx_comms_flow_log(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char  *p;

    p = buf;

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s", log->action);
    }

    return ngx_comms_flow_log_fields(log->data, p, len - (p - buf));
}


u_char *
ngx_comms_flow_log_fields(ngx_comms_flow_t *f, u_char *buf, size_t len)
{
    u_char  *last;

    last = buf + len;

    buf = ngx_comms_flow_log_field(buf, last, "job", &f->queue);
    buf = ngx_comms_flow_log_field(buf, last, "thread", &f->thread_id);
    buf = ngx_comms_flow_log_field(buf, last, "company", &f->company_id);
    buf = ngx_comms_flow_log_field(buf, last, "channel", &f->channel);

    return ngx_comms_flow_log_field(buf, last, "provider", &f->provider);
}


static u_char *
ngx_comms_flow_log_field(u_char *buf, u_char *last, const char *name,
    ngx_str_t *value)
{
    if (value->len == 0) {
        return buf;
    }

    return ngx_slprintf(buf, last, ", %s: %V", name, value);
}
