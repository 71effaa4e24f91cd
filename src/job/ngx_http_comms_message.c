
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What becomes of a message from its receive to its end.
 *
 *   waiting    by ngx_http_comms_message_add(), and again from "parked"
 *   running    by ngx_http_comms_message_start(): a job runs its flow
 *   parked     by the flow's verdict "park": the flow is freed, receipt and
 *              body stay; a notice of the lease, or a timer as a net, makes
 *              it waiting again and a new flow runs from the first row
 *   settling   by any other verdict: one of remove, give_back and bury is in
 *              flight; what it was given is kept until it has succeeded
 *   unsettled  that has failed; the consumer's tick tries again, a few times.
 *              After that the message is forgotten here and delivered again
 *              when its visibility has passed: flows are idempotent.
 *
 * Each state has a list of the consumer; ngx_http_comms_message_move() is
 * the only one that changes it, and keeps counts, gauges and the heartbeat's
 * timer right.
 *
 * A message that was lost to another receiver ends without any operation on
 * the queue, since its receipt is stale: at once, or when its flow is over.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <job/ngx_http_comms_consumer.h>


#define NGX_HTTP_COMMS_BACKOFF_FIRST   1000
#define NGX_HTTP_COMMS_BACKOFF_LAST    300000
#define NGX_HTTP_COMMS_BACKOFF_STEPS   9

#define NGX_HTTP_COMMS_PARKED_FACTOR   10      /* times the concurrency */
#define NGX_HTTP_COMMS_PARKED_FULL     1000
#define NGX_HTTP_COMMS_PARKED_NET      500
#define NGX_HTTP_COMMS_PARKED_DOUBLED  2       /* times at most */

#define NGX_HTTP_COMMS_SETTLE_TRIES    5


static void ngx_http_comms_message_move(ngx_http_comms_message_t *m,
    ngx_uint_t state);
static void ngx_http_comms_message_leave(ngx_http_comms_message_t *m);
static void ngx_http_comms_message_free(ngx_http_comms_message_t *m);
static void ngx_http_comms_message_finished(ngx_comms_flow_t *f);
static void ngx_http_comms_message_retry(ngx_http_comms_message_t *m,
    ngx_comms_flow_t *f);
static void ngx_http_comms_message_park(ngx_http_comms_message_t *m,
    ngx_comms_flow_t *f);
static ngx_msec_t ngx_http_comms_message_backoff(ngx_uint_t receive_count);
static void ngx_http_comms_message_remove(ngx_http_comms_message_t *m);
static void ngx_http_comms_message_give_back(ngx_http_comms_message_t *m,
    ngx_msec_t delay, ngx_uint_t counted, ngx_str_t *reason);
static void ngx_http_comms_message_bury(ngx_http_comms_message_t *m,
    ngx_str_t *reason);
static json_t *ngx_http_comms_message_input(ngx_http_comms_message_t *m,
    ngx_str_t *reason);
static void ngx_http_comms_message_settle(ngx_http_comms_message_t *m,
    ngx_comms_bus_op_pt settle, json_t *in);
static void ngx_http_comms_message_settle_post(ngx_http_comms_message_t *m);
static void ngx_http_comms_message_settled(ngx_comms_op_t *op);


ngx_int_t
ngx_http_comms_message_add(ngx_http_comms_consumer_t *cn, json_t *doc,
    ngx_msec_t held_until)
{
    json_t                    *body, *receipt;
    json_int_t                 count;
    ngx_http_comms_message_t  *m;

    static ngx_str_t           reason = ngx_string("body is no object");

    receipt = json_object_get(doc, "receipt");
    body = json_object_get(doc, "body");
    count = json_integer_value(json_object_get(doc, "receive_count"));

    if (receipt == NULL) {
        return NGX_ERROR;
    }

    m = ngx_calloc(sizeof(ngx_http_comms_message_t), cn->all->log);
    if (m == NULL) {
        return NGX_ERROR;
    }

    m->consumer = cn;
    m->receipt = json_incref(receipt);
    m->body = json_incref(body);
    m->receive_count = (count > 0 && count < NGX_MAX_INT32_VALUE)
                       ? (uint32_t) count : 1;
    m->held_until = held_until;
    m->state = NGX_HTTP_COMMS_STATES;

    ngx_http_comms_message_move(m, NGX_HTTP_COMMS_WAITING);

    if (!json_is_object(body)) {
        ngx_log_error(NGX_LOG_ERR, cn->all->log, 0,
                      "message of queue \"%V\" is buried: %V",
                      &cn->worker->queue, &reason);

        ngx_http_comms_message_bury(m, &reason);
    }

    return NGX_OK;
}


static void
ngx_http_comms_message_move(ngx_http_comms_message_t *m, ngx_uint_t state)
{
    ngx_http_comms_consumer_t  *cn;

    cn = m->consumer;

    ngx_http_comms_message_leave(m);

    m->state = state;
    cn->count[state]++;
    ngx_queue_insert_tail(&cn->messages[state], &m->queue);

    if (state == NGX_HTTP_COMMS_RUNNING) {
        ngx_comms_gauge(cn->all->zone, NGX_COMMS_GAUGE_JOBS, 1);

    } else if (state == NGX_HTTP_COMMS_PARKED) {
        ngx_comms_gauge(cn->all->zone, NGX_COMMS_GAUGE_PARKED, 1);
    }

    ngx_http_comms_heartbeat_update(cn);
}


static void
ngx_http_comms_message_leave(ngx_http_comms_message_t *m)
{
    ngx_http_comms_consumer_t  *cn;

    if (m->state == NGX_HTTP_COMMS_STATES) {
        return;
    }

    cn = m->consumer;

    cn->count[m->state]--;
    ngx_queue_remove(&m->queue);

    if (m->state == NGX_HTTP_COMMS_RUNNING) {
        ngx_comms_gauge(cn->all->zone, NGX_COMMS_GAUGE_JOBS, -1);

    } else if (m->state == NGX_HTTP_COMMS_PARKED) {
        ngx_comms_gauge(cn->all->zone, NGX_COMMS_GAUGE_PARKED, -1);
    }

    m->state = NGX_HTTP_COMMS_STATES;
}


static void
ngx_http_comms_message_free(ngx_http_comms_message_t *m)
{
    ngx_http_comms_consumer_t  *cn;

    cn = m->consumer;

    ngx_http_comms_message_leave(m);
    ngx_http_comms_heartbeat_update(cn);

    json_decref(m->receipt);
    json_decref(m->body);
    json_decref(m->settle_in);

    ngx_free(m);
}


ngx_int_t
ngx_http_comms_message_start(ngx_http_comms_message_t *m)
{
    ngx_comms_flow_t            *f;
    ngx_http_comms_consumer_t   *cn;
    ngx_http_comms_consumers_t  *all;

    cn = m->consumer;
    all = cn->all;

    if (ngx_http_comms_job_full(all->jcf)) {
        return NGX_DECLINED;
    }

    f = ngx_comms_flow_create(all->engine, cn->worker->steps, m->body,
                              all->log);
    if (f == NULL) {
        return NGX_DECLINED;
    }

    f->queue = cn->worker->queue;
    f->receive_count = m->receive_count;
    f->last = (m->receive_count >= cn->worker->max_receives);
    f->finished = ngx_http_comms_message_finished;
    f->data = m;

    /* the flow does not end before this function has returned */

    if (ngx_http_comms_job_start(all->jcf, all->providers, f) != NGX_OK) {
        ngx_comms_flow_discard(f);
        return NGX_DECLINED;
    }

    m->flow = f;

    ngx_http_comms_message_move(m, NGX_HTTP_COMMS_RUNNING);
    ngx_comms_count(all->zone, NGX_COMMS_COUNT_JOB_STARTED, 1);

    return NGX_OK;
}


static void
ngx_http_comms_message_finished(ngx_comms_flow_t *f)
{
    ngx_comms_zone_t            *zone;
    ngx_http_comms_message_t    *m;
    ngx_http_comms_consumers_t  *all;

    m = f->data;
    all = m->consumer->all;
    zone = all->zone;

    m->flow = NULL;
    ngx_http_comms_job_finish(f->job);

    /* posted behind the end of the job's request, which makes room */

    ngx_http_comms_consumer_pump_all(all);

    if (f->lost) {
        ngx_http_comms_message_free(m);
        return;
    }

    switch (f->verdict) {

    case NGX_COMMS_FLOW_DONE:
        ngx_comms_count(zone, NGX_COMMS_COUNT_JOB_DONE, 1);
        ngx_http_comms_message_remove(m);
        break;

    case NGX_COMMS_FLOW_PARK:
        ngx_comms_count(zone, NGX_COMMS_COUNT_JOB_PARKED, 1);
        ngx_http_comms_message_park(m, f);
        break;

    case NGX_COMMS_FLOW_DEAD:
        ngx_comms_count(zone, NGX_COMMS_COUNT_JOB_DEAD, 1);
        ngx_http_comms_message_bury(m, &f->reason);
        break;

    default:  /* NGX_COMMS_FLOW_RETRY, NGX_COMMS_FLOW_DEFER */
        ngx_comms_count(zone, NGX_COMMS_COUNT_JOB_RETRIED, 1);
        ngx_http_comms_message_retry(m, f);
        break;
    }
}


static void
ngx_http_comms_message_retry(ngx_http_comms_message_t *m, ngx_comms_flow_t *f)
{
    ngx_msec_t  delay;

    delay = f->retry_after;

    if (delay == 0) {
        delay = ngx_http_comms_message_backoff(m->receive_count);
    }

    ngx_http_comms_message_give_back(m, delay,
                                     f->verdict == NGX_COMMS_FLOW_RETRY,
                                     &f->reason);
}


/* exponential, with full jitter */

static ngx_msec_t
ngx_http_comms_message_backoff(ngx_uint_t receive_count)
{
    ngx_msec_t  most;
    ngx_uint_t  n;

    n = ngx_min(receive_count - 1, NGX_HTTP_COMMS_BACKOFF_STEPS);
    most = ngx_min((ngx_msec_t) NGX_HTTP_COMMS_BACKOFF_FIRST << n,
                   NGX_HTTP_COMMS_BACKOFF_LAST);

    return 1 + (ngx_msec_t) ngx_random() % most;
}


static void
ngx_http_comms_message_park(ngx_http_comms_message_t *m, ngx_comms_flow_t *f)
{
    ngx_uint_t                  most;
    ngx_http_comms_consumer_t  *cn;

    cn = m->consumer;

    if (ngx_exiting || ngx_quit || ngx_terminate) {
        ngx_http_comms_message_defer(m, 0);
        return;
    }

    most = cn->worker->concurrency * NGX_HTTP_COMMS_PARKED_FACTOR;

    if (cn->count[NGX_HTTP_COMMS_PARKED] >= most) {
        ngx_http_comms_message_defer(m, NGX_HTTP_COMMS_PARKED_FULL
                    + (ngx_msec_t) ngx_random() % NGX_HTTP_COMMS_PARKED_FULL);
        return;
    }

    m->park_hash = f->park_key.len ? ngx_comms_notice_hash(&f->park_key) : 0;
    m->parked_at = ngx_current_msec;

    ngx_http_comms_message_move(m, NGX_HTTP_COMMS_PARKED);

    if (!cn->unpark.timer_set) {
        ngx_add_timer(&cn->unpark, NGX_HTTP_COMMS_PARKED_NET);
    }
}


void
ngx_http_comms_message_unpark(ngx_http_comms_consumer_t *cn, uint32_t hash)
{
    ngx_queue_t               *list, *next, *q;
    ngx_http_comms_message_t  *m;

    list = &cn->messages[NGX_HTTP_COMMS_PARKED];

    for (q = ngx_queue_head(list); q != ngx_queue_sentinel(list); q = next) {
        next = ngx_queue_next(q);
        m = ngx_http_comms_message_of(q);

        if (hash == 0 || hash == m->park_hash) {
            m->waits = 0;
            ngx_http_comms_message_move(m, NGX_HTTP_COMMS_WAITING);
        }
    }

    if (cn->count[NGX_HTTP_COMMS_WAITING]) {
        ngx_http_comms_consumer_pump(cn);
    }
}


/*
 * No notice comes for a lease that ends by its term, and one may come before
 * the flow that asked for it has parked.
 */

void
ngx_http_comms_message_unpark_timer(ngx_event_t *ev)
{
    ngx_msec_t                  age;
    ngx_queue_t                *list, *next, *q;
    ngx_http_comms_message_t   *m;
    ngx_http_comms_consumer_t  *cn;

    cn = ev->data;
    list = &cn->messages[NGX_HTTP_COMMS_PARKED];

    for (q = ngx_queue_head(list); q != ngx_queue_sentinel(list); q = next) {
        next = ngx_queue_next(q);
        m = ngx_http_comms_message_of(q);

        age = ngx_current_msec - m->parked_at;

        if (age < (ngx_msec_t) NGX_HTTP_COMMS_PARKED_NET << m->waits) {
            continue;
        }

        if (m->waits < NGX_HTTP_COMMS_PARKED_DOUBLED) {
            m->waits++;
        }

        ngx_http_comms_message_move(m, NGX_HTTP_COMMS_WAITING);
    }

    if (cn->count[NGX_HTTP_COMMS_PARKED]) {
        ngx_add_timer(ev, NGX_HTTP_COMMS_PARKED_NET);
    }

    if (cn->count[NGX_HTTP_COMMS_WAITING]) {
        ngx_http_comms_consumer_pump(cn);
    }
}


void
ngx_http_comms_message_lose(ngx_http_comms_message_t *m)
{
    ngx_http_comms_consumer_t  *cn;

    cn = m->consumer;

    if (m->state == NGX_HTTP_COMMS_SETTLING) {

        /* the bus will say itself that the receipt is stale */

        return;
    }

    if (m->flow == NULL) {
        ngx_log_error(NGX_LOG_NOTICE, cn->all->log, 0,
                      "message of queue \"%V\" is no longer held",
                      &cn->worker->queue);

        ngx_http_comms_message_free(m);
        return;
    }

    if (!m->flow->lost) {
        m->flow->lost = 1;

        ngx_log_error(NGX_LOG_WARN, m->flow->log, 0,
                      "message is no longer held");
    }
}


void
ngx_http_comms_message_defer(ngx_http_comms_message_t *m, ngx_msec_t delay)
{
    ngx_http_comms_message_give_back(m, delay, 0, NULL);
}


static void
ngx_http_comms_message_remove(ngx_http_comms_message_t *m)
{
    ngx_http_comms_message_settle(m, m->consumer->all->bus->remove,
                                  ngx_http_comms_message_input(m, NULL));
}


static void
ngx_http_comms_message_bury(ngx_http_comms_message_t *m, ngx_str_t *reason)
{
    ngx_http_comms_message_settle(m, m->consumer->all->bus->bury,
                                  ngx_http_comms_message_input(m, reason));
}


static void
ngx_http_comms_message_give_back(ngx_http_comms_message_t *m,
    ngx_msec_t delay, ngx_uint_t counted, ngx_str_t *reason)
{
    json_t  *in;

    in = ngx_http_comms_message_input(m, reason);

    if (in != NULL
        && (json_object_set_new(in, "delay", json_integer(delay)) != 0
            || json_object_set_new(in, "counted", json_boolean(counted))
               != 0))
    {
        json_decref(in);
        in = NULL;
    }

    ngx_http_comms_message_settle(m, m->consumer->all->bus->give_back, in);
}


static json_t *
ngx_http_comms_message_input(ngx_http_comms_message_t *m, ngx_str_t *reason)
{
    json_t  *in;

    in = ngx_http_comms_consumer_input(m->consumer);
    if (in == NULL) {
        return NULL;
    }

    if (json_object_set_new(in, "receipt", json_copy(m->receipt)) != 0
        || (reason != NULL && reason->len
            && ngx_comms_json_set_str(in, "reason", reason) != NGX_OK))
    {
        json_decref(in);
        return NULL;
    }

    return in;
}


static void
ngx_http_comms_message_settle(ngx_http_comms_message_t *m,
    ngx_comms_bus_op_pt settle, json_t *in)
{
    if (in == NULL) {
        ngx_log_error(NGX_LOG_CRIT, m->consumer->all->log, 0,
                      "no memory to settle a message of queue \"%V\", "
                      "it will be delivered again",
                      &m->consumer->worker->queue);

        ngx_http_comms_message_free(m);
        return;
    }

    m->settle = settle;
    m->settle_in = in;

    ngx_http_comms_message_settle_post(m);
}


static void
ngx_http_comms_message_settle_post(ngx_http_comms_message_t *m)
{
    ngx_comms_op_t  *op;

    op = ngx_comms_op_create(ngx_http_comms_message_settled, m, 0);

    if (op == NULL) {
        ngx_http_comms_message_move(m, NGX_HTTP_COMMS_UNSETTLED);
        return;
    }

    ngx_http_comms_message_move(m, NGX_HTTP_COMMS_SETTLING);

    m->settle(m->consumer->all->bus, json_incref(m->settle_in), op);
}


static void
ngx_http_comms_message_settled(ngx_comms_op_t *op)
{
    ngx_log_t                  *log;
    ngx_http_comms_message_t   *m;
    ngx_http_comms_consumer_t  *cn;

    m = op->data;
    cn = m->consumer;
    log = cn->all->log;

    if (op->rc == NGX_OK) {
        ngx_http_comms_message_free(m);
        return;
    }

    if (op->rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "message of queue \"%V\" was no longer held when its "
                      "job was over", &cn->worker->queue);

        ngx_http_comms_message_free(m);
        return;
    }

    if (++m->tries < NGX_HTTP_COMMS_SETTLE_TRIES) {
        ngx_http_comms_message_move(m, NGX_HTTP_COMMS_UNSETTLED);
        return;
    }

    ngx_log_error(NGX_LOG_WARN, log, 0,
                  "message of queue \"%V\" could not be settled, it will be "
                  "delivered again", &cn->worker->queue);

    ngx_http_comms_message_free(m);
}


void
ngx_http_comms_message_settle_again(ngx_http_comms_consumer_t *cn)
{
    ngx_uint_t    n;
    ngx_queue_t  *list;

    list = &cn->messages[NGX_HTTP_COMMS_UNSETTLED];

    /* the count, for a message may come back to the end of the list */

    for (n = cn->count[NGX_HTTP_COMMS_UNSETTLED]; n; n--) {
        ngx_http_comms_message_settle_post(
            ngx_http_comms_message_of(ngx_queue_head(list)));
    }
}
