
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The driver of flows.  A flow is a table of named steps; reading the table
 * is reading the product.
 *
 *   "start" issues an operation and returns NGX_AGAIN while it is in flight;
 *   "done" reads f->op_rc and f->answer.  What either returns:
 *
 *     NGX_OK        next row
 *     NGX_BUSY      the same row again, from "start"
 *     NGX_AGAIN     (start only) an operation was issued
 *     NGX_DONE      the flow is over, well; only "always" rows still run
 *     NGX_DECLINED  goes on at the row set with ngx_comms_flow_goto()
 *     NGX_ERROR     the flow is over; its verdict was set with
 *                   ngx_comms_flow_fail(), else it is "retry"
 *
 * Invariants:
 *   1. Whatever finishes an operation posts an event; nothing re-enters.
 *   2. An operation has a sequence number; an answer with another one than
 *      the flow waits for is dropped.
 *   3. Every wait has a deadline.  When it passes, "done" is called with
 *      op_rc NGX_COMMS_LATE; the operation goes on and its answer is dropped.
 *   4. The flow owns its memory (f->pool) and is freed when the table is done
 *      and every operation has come home.
 *   5. "always" rows must be idempotent: they run after failures too.
 */


#ifndef _NGX_COMMS_STEPS_H_INCLUDED_
#define _NGX_COMMS_STEPS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <jansson.h>
#include <base/ngx_comms_op.h>
#include <base/ngx_comms_exchange.h>


typedef struct ngx_comms_flow_s    ngx_comms_flow_t;
typedef struct ngx_comms_job_s     ngx_comms_job_t;
typedef struct ngx_comms_engine_s  ngx_comms_engine_t;


/* op_rc of an operation that was not answered in time */
#define NGX_COMMS_LATE  NGX_BUSY


typedef ngx_int_t (*ngx_comms_step_pt)(ngx_comms_flow_t *f);


typedef struct {
    const char             *action;   /* "asking the AI": log->action */
    ngx_comms_step_pt       start;
    ngx_comms_step_pt       done;     /* NULL where start never waits */
    ngx_uint_t              always;
} ngx_comms_step_t;


/* what becomes of the queue message when the flow is over */
typedef enum {
    NGX_COMMS_FLOW_DONE = 0,   /* delete it */
    NGX_COMMS_FLOW_RETRY,      /* give it back for retry_after ms (0: backoff
                                  by receive count); counted */
    NGX_COMMS_FLOW_DEFER,      /* the same, but not counted */
    NGX_COMMS_FLOW_PARK,       /* keep it here under heartbeat until a notice
                                  of park_key's lease, then run it again */
    NGX_COMMS_FLOW_DEAD        /* to the dead letters */
} ngx_comms_flow_verdict_e;


struct ngx_comms_flow_s {
    void                       *unused[3]; /* what debug builds of nginx read */
    ngx_socket_t                fd;        /* through an event's data: -1 */

    ngx_pool_t                 *pool;
    ngx_log_t                  *log;       /* a copy; shows the fields below */

    ngx_comms_engine_t         *engine;
    const ngx_comms_step_t     *steps;
    ngx_uint_t                  step;
    void                       *ctx;       /* the flow's own state */

    json_t                     *body;      /* of the queue message; read only */
    ngx_str_t                   queue;
    ngx_uint_t                  receive_count;

    ngx_uint_t                  seq;       /* of the operation waited for */
    ngx_uint_t                  last_seq;
    ngx_int_t                   op_rc;
    json_t                     *answer;    /* of that operation; borrowed, for
                                              the length of "done" */
    ngx_comms_answer_t         *exchange;  /* of a provider call */

    ngx_comms_flow_verdict_e    verdict;
    ngx_str_t                   reason;    /* of a failure */
    ngx_msec_t                  retry_after;
    ngx_str_t                   park_key;

    ngx_str_t                   thread_id; /* for the log; may be empty */
    ngx_str_t                   company_id;
    ngx_str_t                   channel;
    ngx_str_t                   provider;

    ngx_comms_job_t            *job;       /* NULL once it is gone */
    ngx_uint_t                  refs;      /* operations out + the driver */

    ngx_event_t                 wake;
    ngx_event_t                 deadline;

    ngx_uint_t                  next;      /* of ngx_comms_flow_goto() */

    void                      (*finished)(ngx_comms_flow_t *f);
    void                       *data;      /* of "finished" */

    unsigned                    ready:1;
    unsigned                    over:1;
    unsigned                    closed:1;
    unsigned                    lost:1;    /* the message is no longer ours:
                                              start no further effect */
    unsigned                    last:1;    /* a retry would go to the dead
                                              letters */
};


/*
 * Creates a flow with a pool and a log of its own; "body" is referenced.
 * NULL when out of memory.
 */
ngx_comms_flow_t *ngx_comms_flow_create(ngx_comms_engine_t *engine,
    const ngx_comms_step_t *steps, json_t *body, ngx_log_t *log);

/*
 * Runs it from the first row, in the job given.  "finished" is called once,
 * at the end; the flow is gone after it has returned.
 */
void ngx_comms_flow_run(ngx_comms_flow_t *f, ngx_comms_job_t *job);

/*
 * An operation whose end wakes the flow, to be given to a backend; the step
 * then returns NGX_AGAIN.  "timeout" in ms.  NULL when out of memory.
 */
ngx_comms_op_t *ngx_comms_flow_op(ngx_comms_flow_t *f, ngx_msec_t timeout);

/* gives back an operation that was answered at once and never issued */
void ngx_comms_flow_unused(ngx_comms_flow_t *f, ngx_comms_op_t *op);

/* the step waits so many ms; done sees op_rc NGX_OK.  Returns NGX_AGAIN */
ngx_int_t ngx_comms_flow_pause(ngx_comms_flow_t *f, ngx_msec_t ms);

/* goes on at the row whose start is "start"; returns NGX_DECLINED */
ngx_int_t ngx_comms_flow_goto(ngx_comms_flow_t *f, ngx_comms_step_pt start);

/*
 * Sets the verdict and the reason (static words, and a code or NULL), logs
 * once at the level that fits the verdict, returns NGX_ERROR.  The first one
 * wins.
 */
ngx_int_t ngx_comms_flow_fail(ngx_comms_flow_t *f,
    ngx_comms_flow_verdict_e verdict, const char *words, ngx_str_t *code);


/*
 * For what is waited for without being an operation: the two halves of
 * ngx_comms_flow_op().  "wait" returns the number that "answer" must bring
 * back, exactly once, in time or not; "answer" returns 1 when the flow was
 * still waiting for it.  The flow stays in memory in between, whatever
 * becomes of it.
 */
ngx_uint_t ngx_comms_flow_wait(ngx_comms_flow_t *f, ngx_msec_t timeout);
ngx_uint_t ngx_comms_flow_answer(ngx_comms_flow_t *f, ngx_uint_t seq,
    ngx_int_t rc);

/* frees a flow that was never run; "finished" is not called */
void ngx_comms_flow_discard(ngx_comms_flow_t *f);

/*
 * Ends a flow that was given away but never run: no row runs, the verdict is
 * "defer" for the time given, "finished" is called from a posted event.
 */
void ngx_comms_flow_abandon(ngx_comms_flow_t *f, ngx_msec_t retry_after,
    const char *words);

/* ", job: .., thread: .." as in the flow's own log lines */
u_char *ngx_comms_flow_log_fields(ngx_comms_flow_t *f, u_char *buf,
    size_t len);


/*
 * Calls a provider: one in-memory subrequest of the flow's job to the
 * location that "comms_provider <name>" marks.  Wakes the flow with
 * f->exchange set.  Returns NGX_AGAIN; NGX_ERROR when it could not be issued
 * (nothing was sent), after ngx_comms_flow_fail().  The deadline is the
 * provider location's own (proxy_read_timeout and the like) plus a margin.
 */
ngx_int_t ngx_comms_flow_call(ngx_comms_flow_t *f, ngx_str_t *provider,
    ngx_comms_request_t *rq);


#endif /* _NGX_COMMS_STEPS_H_INCLUDED_ */
