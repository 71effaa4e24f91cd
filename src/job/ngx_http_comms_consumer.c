
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The consumer: takes messages from the queues as long as there is room for
 * jobs.  Each worker process has one for each queue.
 *
 * "wanted" says that the queue may have messages.  It is set by a notice of
 * the queue, by the time at which the bus said that one would be visible, by
 * an answer that was as large as what had been asked for, and by a slow tick
 * as a net.  It is cleared when a receive is issued, and stays set while
 * there is no room, so that no wake-up is lost.  One receive is in flight at
 * most.
 *
 * All that follows from an event is decided in one place,
 * ngx_http_comms_consumer_work(), called from a posted event: nothing
 * re-enters, and a job that has ended has freed its connection by then.
 *
 * When the worker exits, what has not begun goes back to the queue at once,
 * uncounted.  What runs may end.  The timer of the heartbeat, which is set
 * while any message is held, keeps the worker alive until then; all other
 * timers of the consumer are cancelable.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <base/ngx_comms_clock.h>
#include <job/ngx_http_comms_consumer.h>


#define NGX_HTTP_COMMS_CONSUMER_BATCH  32
#define NGX_HTTP_COMMS_CONSUMER_TICK   1000

/* bounds for the time at which the bus says a message will be visible */
#define NGX_HTTP_COMMS_CONSUMER_SOON   10
#define NGX_HTTP_COMMS_CONSUMER_LATE   60000


static void ngx_http_comms_consumer_init(ngx_http_comms_consumer_t *cn,
    ngx_http_comms_consumers_t *all, ngx_http_comms_worker_t *worker);
static void ngx_http_comms_consumer_event(ngx_http_comms_consumer_t *cn,
    ngx_event_t *ev, ngx_event_handler_pt handler);
static void ngx_http_comms_consumer_work(ngx_event_t *ev);
static void ngx_http_comms_consumer_leave(ngx_http_comms_consumer_t *cn);
static ngx_uint_t ngx_http_comms_consumer_room(ngx_http_comms_consumer_t *cn);
static void ngx_http_comms_consumer_receive(ngx_http_comms_consumer_t *cn,
    ngx_uint_t max);
static void ngx_http_comms_consumer_received(ngx_comms_op_t *op);
static void ngx_http_comms_consumer_take(ngx_http_comms_consumer_t *cn,
    json_t *answer);
static void ngx_http_comms_consumer_dead(ngx_http_comms_consumer_t *cn,
    json_t *answer);
static void ngx_http_comms_consumer_schedule(ngx_http_comms_consumer_t *cn,
    json_t *answer);
static void ngx_http_comms_consumer_next(ngx_event_t *ev);
static void ngx_http_comms_consumer_tick(ngx_event_t *ev);
static void ngx_http_comms_consumer_queue_notice(void *data,
    ngx_comms_notice_e kind, uint32_t hash);
static void ngx_http_comms_consumer_lease_notice(void *data,
    ngx_comms_notice_e kind, uint32_t hash);


ngx_int_t
ngx_http_comms_consumer_start(ngx_cycle_t *cycle, ngx_comms_engine_t *engine,
    ngx_comms_bus_t *bus, ngx_comms_zone_t *zone,
    ngx_http_comms_job_conf_t *jcf, ngx_array_t *providers,
    ngx_array_t *workers)
{
    ngx_uint_t                   i;
    ngx_http_comms_worker_t     *worker;
    ngx_http_comms_consumers_t  *all;

    all = ngx_pcalloc(cycle->pool, sizeof(ngx_http_comms_consumers_t));
    if (all == NULL) {
        return NGX_ERROR;
    }

    all->log = cycle->log;
    all->engine = engine;
    all->bus = bus;
    all->zone = zone;
    all->jcf = jcf;
    all->providers = providers;
    all->nelts = workers->nelts;

    all->elts = ngx_pcalloc(cycle->pool, workers->nelts
                                         * sizeof(ngx_http_comms_consumer_t));
    if (all->elts == NULL) {
        return NGX_ERROR;
    }

    worker = workers->elts;

    for (i = 0; i < workers->nelts; i++) {
        ngx_http_comms_consumer_init(&all->elts[i], all, &worker[i]);
    }

    if (ngx_comms_notice_listen(NGX_COMMS_NOTICE_QUEUE,
                                ngx_http_comms_consumer_queue_notice, all)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_notice_listen(NGX_COMMS_NOTICE_LEASE,
                                   ngx_http_comms_consumer_lease_notice, all);
}


static void
ngx_http_comms_consumer_init(ngx_http_comms_consumer_t *cn,
    ngx_http_comms_consumers_t *all, ngx_http_comms_worker_t *worker)
{
    ngx_uint_t  i;

    cn->fd = (ngx_socket_t) -1;
    cn->all = all;
    cn->worker = worker;
    cn->hash = ngx_comms_notice_hash(&worker->queue);

    ngx_http_comms_consumer_terms(cn, worker->visibility
                                          ? worker->visibility
                                          : NGX_COMMS_BUS_VISIBILITY);

    for (i = 0; i < NGX_HTTP_COMMS_STATES; i++) {
        ngx_queue_init(&cn->messages[i]);
    }

    ngx_http_comms_consumer_event(cn, &cn->pump,
                                  ngx_http_comms_consumer_work);
    ngx_http_comms_consumer_event(cn, &cn->tick,
                                  ngx_http_comms_consumer_tick);
    ngx_http_comms_consumer_event(cn, &cn->next,
                                  ngx_http_comms_consumer_next);
    ngx_http_comms_consumer_event(cn, &cn->unpark,
                                  ngx_http_comms_message_unpark_timer);
    ngx_http_comms_consumer_event(cn, &cn->beat,
                                  ngx_http_comms_heartbeat_timer);

    cn->tick.cancelable = 1;
    cn->next.cancelable = 1;
    cn->unpark.cancelable = 1;

    /* the first one comes at once: messages may be there from before */

    ngx_add_timer(&cn->tick, 1);
}


static void
ngx_http_comms_consumer_event(ngx_http_comms_consumer_t *cn, ngx_event_t *ev,
    ngx_event_handler_pt handler)
{
    ev->handler = handler;
    ev->data = cn;
    ev->log = cn->all->log;
}


void
ngx_http_comms_consumer_pump(ngx_http_comms_consumer_t *cn)
{
    ngx_post_event(&cn->pump, &ngx_posted_events);
}


void
ngx_http_comms_consumer_pump_all(ngx_http_comms_consumers_t *all)
{
    ngx_uint_t                  i;
    ngx_http_comms_consumer_t  *cn;

    for (i = 0; i < all->nelts; i++) {
        cn = &all->elts[i];

        if (cn->wanted || cn->count[NGX_HTTP_COMMS_WAITING]) {
            ngx_http_comms_consumer_pump(cn);
        }
    }
}


static void
ngx_http_comms_consumer_work(ngx_event_t *ev)
{
    ngx_uint_t                  room;
    ngx_queue_t                *waiting;
    ngx_http_comms_consumer_t  *cn;

    cn = ev->data;

    if (ngx_exiting || ngx_quit || ngx_terminate) {
        ngx_http_comms_consumer_leave(cn);
        return;
    }

    waiting = &cn->messages[NGX_HTTP_COMMS_WAITING];

    while (!ngx_queue_empty(waiting)
           && cn->count[NGX_HTTP_COMMS_RUNNING] < cn->worker->concurrency)
    {
        if (ngx_http_comms_message_start(
                ngx_http_comms_message_of(ngx_queue_head(waiting)))
            != NGX_OK)
        {
            break;
        }
    }

    if (!cn->wanted || cn->asked) {
        return;
    }

    room = ngx_http_comms_consumer_room(cn);

    if (room) {
        ngx_http_comms_consumer_receive(cn, room);
    }
}


static void
ngx_http_comms_consumer_leave(ngx_http_comms_consumer_t *cn)
{
    ngx_queue_t  *waiting, *parked;

    waiting = &cn->messages[NGX_HTTP_COMMS_WAITING];
    parked = &cn->messages[NGX_HTTP_COMMS_PARKED];

    /* each call takes the message out of the list */

    while (!ngx_queue_empty(waiting)) {
        ngx_http_comms_message_defer(
            ngx_http_comms_message_of(ngx_queue_head(waiting)), 0);
    }

    while (!ngx_queue_empty(parked)) {
        ngx_http_comms_message_defer(
            ngx_http_comms_message_of(ngx_queue_head(parked)), 0);
    }
}


static ngx_uint_t
ngx_http_comms_consumer_room(ngx_http_comms_consumer_t *cn)
{
    ngx_uint_t                  busy, jobs, room;
    ngx_http_comms_job_conf_t  *jcf;

    jcf = cn->all->jcf;
    jobs = ngx_http_comms_jobs();
    busy = cn->count[NGX_HTTP_COMMS_RUNNING]
           + cn->count[NGX_HTTP_COMMS_WAITING];

    if (busy >= cn->worker->concurrency
        || cn->count[NGX_HTTP_COMMS_UNSETTLED] >= cn->worker->concurrency
        || cn->count[NGX_HTTP_COMMS_WAITING]
        || ngx_http_comms_job_full(jcf))
    {
        return 0;
    }

    room = ngx_min(cn->worker->concurrency - busy, jcf->max_jobs - jobs);

    return ngx_min(room, NGX_HTTP_COMMS_CONSUMER_BATCH);
}


json_t *
ngx_http_comms_consumer_input(ngx_http_comms_consumer_t *cn)
{
    json_t  *in;

    in = json_object();

    if (in != NULL
        && ngx_comms_json_set_str(in, "queue", &cn->worker->queue) != NGX_OK)
    {
        json_decref(in);
        return NULL;
    }

    return in;
}


static void
ngx_http_comms_consumer_receive(ngx_http_comms_consumer_t *cn, ngx_uint_t max)
{
    json_t                   *in;
    ngx_comms_op_t           *op;
    ngx_http_comms_worker_t  *worker;

    worker = cn->worker;

    in = ngx_http_comms_consumer_input(cn);

    if (in == NULL
        || json_object_set_new(in, "max", json_integer(max)) != 0
        || (worker->visibility
            && json_object_set_new(in, "visibility",
                                   json_integer(worker->visibility)) != 0)
        || json_object_set_new(in, "max_receives",
                               json_integer(worker->max_receives)) != 0)
    {
        json_decref(in);
        return;
    }

    op = ngx_comms_op_create(ngx_http_comms_consumer_received, cn, 0);
    if (op == NULL) {
        json_decref(in);
        return;
    }

    cn->wanted = 0;
    cn->asked = max;
    cn->asked_at = ngx_current_msec;

    cn->all->bus->receive(cn->all->bus, in, op);
}


static void
ngx_http_comms_consumer_received(ngx_comms_op_t *op)
{
    ngx_http_comms_consumer_t  *cn;

    cn = op->data;

    if (op->rc == NGX_OK) {
        ngx_http_comms_consumer_take(cn, op->answer);
        ngx_http_comms_consumer_dead(cn, op->answer);
        ngx_http_comms_consumer_schedule(cn, op->answer);
    }

    /* after a failure, which the bus has logged, the tick asks again */

    cn->asked = 0;

    ngx_http_comms_consumer_pump(cn);
}


static void
ngx_http_comms_consumer_take(ngx_http_comms_consumer_t *cn, json_t *answer)
{
    json_t      *messages;
    size_t       i, n;
    int64_t      visibility;
    ngx_msec_t   held_until;

    messages = json_object_get(answer, "messages");
    n = json_array_size(messages);

    if (ngx_comms_json_int(answer, "visibility", &visibility) == NGX_OK
        && visibility > 0)
    {
        ngx_http_comms_consumer_terms(cn, (ngx_msec_t) visibility);
    }

    /* counted from before the bus did, so that we give up before it does */

    held_until = cn->asked_at + cn->visibility;

    for (i = 0; i < n; i++) {

        if (ngx_http_comms_message_add(cn, json_array_get(messages, i),
                                       held_until)
            != NGX_OK)
        {
            ngx_log_error(NGX_LOG_CRIT, cn->all->log, 0,
                          "message of queue \"%V\" could not be taken, "
                          "it will be delivered again",
                          &cn->worker->queue);
        }
    }

    if (n >= cn->asked) {
        cn->wanted = 1;
    }
}


void
ngx_http_comms_consumer_terms(ngx_http_comms_consumer_t *cn,
    ngx_msec_t visibility)
{
    ngx_msec_t  heartbeat;

    if (cn->visibility == visibility) {
        return;
    }

    heartbeat = cn->worker->heartbeat;

    if (heartbeat >= visibility) {
        ngx_log_error(NGX_LOG_WARN, cn->all->log, 0,
                      "the heartbeat of queue \"%V\" must be less than its "
                      "visibility: %Mms and %Mms, a third of that is used",
                      &cn->worker->queue, heartbeat, visibility);
        heartbeat = 0;
    }

    cn->visibility = visibility;
    cn->heartbeat = heartbeat ? heartbeat : visibility / 3;
}


static void
ngx_http_comms_consumer_dead(ngx_http_comms_consumer_t *cn, json_t *answer)
{
    json_int_t  dead;

    dead = json_integer_value(json_object_get(answer, "dead"));

    if (dead <= 0) {
        return;
    }

    ngx_comms_count(cn->all->zone, NGX_COMMS_COUNT_JOB_DEAD,
                    (ngx_uint_t) dead);

    ngx_log_error(NGX_LOG_ERR, cn->all->log, 0,
                  "%L messages of queue \"%V\" went to the dead letters: "
                  "received %ui times", (int64_t) dead, &cn->worker->queue,
                  cn->worker->max_receives);
}


static void
ngx_http_comms_consumer_schedule(ngx_http_comms_consumer_t *cn,
    json_t *answer)
{
    json_t   *next_at;
    int64_t   delay;

    if (cn->next.timer_set) {
        ngx_del_timer(&cn->next);
    }

    next_at = json_object_get(answer, "next_at");

    if (!json_is_integer(next_at) || ngx_exiting) {
        return;
    }

    delay = json_integer_value(next_at) - ngx_comms_clock_ms();

    /* times may come from another machine's clock */

    delay = ngx_max(delay, NGX_HTTP_COMMS_CONSUMER_SOON);
    delay = ngx_min(delay, NGX_HTTP_COMMS_CONSUMER_LATE);

    ngx_add_timer(&cn->next, (ngx_msec_t) delay);
}


static void
ngx_http_comms_consumer_next(ngx_event_t *ev)
{
    ngx_http_comms_consumer_t  *cn;

    cn = ev->data;

    cn->wanted = 1;
    ngx_http_comms_consumer_pump(cn);
}


static void
ngx_http_comms_consumer_tick(ngx_event_t *ev)
{
    ngx_http_comms_consumer_t  *cn;

    cn = ev->data;

    /* some jitter, so that the workers' ticks drift apart */

    ngx_add_timer(ev, NGX_HTTP_COMMS_CONSUMER_TICK
                      + (ngx_msec_t) ngx_random() % 100);

    ngx_http_comms_heartbeat_check(cn);
    ngx_http_comms_message_settle_again(cn);

    cn->wanted = 1;
    ngx_http_comms_consumer_pump(cn);
}


static void
ngx_http_comms_consumer_queue_notice(void *data, ngx_comms_notice_e kind,
    uint32_t hash)
{
    ngx_uint_t                   i;
    ngx_http_comms_consumer_t   *cn;
    ngx_http_comms_consumers_t  *all;

    all = data;

    for (i = 0; i < all->nelts; i++) {
        cn = &all->elts[i];

        if (hash == 0 || hash == cn->hash) {
            cn->wanted = 1;
            ngx_http_comms_consumer_pump(cn);
        }
    }
}


static void
ngx_http_comms_consumer_lease_notice(void *data, ngx_comms_notice_e kind,
    uint32_t hash)
{
    ngx_uint_t                   i;
    ngx_http_comms_consumers_t  *all;

    all = data;

    for (i = 0; i < all->nelts; i++) {
        ngx_http_comms_message_unpark(&all->elts[i], hash);
    }
}
