
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The status page: JSON for people, Prometheus text for machines.
 *
 * It asks the bus for depths, then the store for figures.  When they do not
 * answer it says so and shows what the zone knows: a monitor must still see
 * the counters while the store is gone, and what waits in the journal.
 */


#include <http/ngx_http_comms_answer.h>
#include <http/ngx_http_comms_await.h>
#include <http/ngx_http_comms_initiate_check.h>
#include <http/ngx_http_comms_status.h>
#include <guard/ngx_comms_breaker.h>
#include <guard/ngx_comms_rate.h>
#include <ngx_http_comms_module.h>


/* shorter than what monitors usually wait */
#define NGX_HTTP_COMMS_STATUS_TIMEOUT  2000


typedef struct {
    ngx_http_comms_await_t   *await;
    ngx_comms_engine_t       *engine;
    json_t                   *queues;      /* NULL: not known; owned by the
                                              request's pool, as figures */
    json_t                   *figures;
    json_t                   *journal;     /* known without the store */
} ngx_http_comms_status_t;


static void ngx_http_comms_status_depths(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer);
static ngx_int_t ngx_http_comms_status_queues(ngx_http_request_t *r,
    ngx_http_comms_status_t *st, json_t *queues);
static ngx_int_t ngx_http_comms_status_empty(json_t *queues,
    ngx_uint_t ages);
static void ngx_http_comms_status_figures(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer);
static void ngx_http_comms_status_answer(ngx_http_request_t *r,
    ngx_http_comms_status_t *st);
static json_t *ngx_http_comms_status_json(ngx_http_request_t *r,
    ngx_http_comms_status_t *st);
static json_t *ngx_http_comms_status_breakers(ngx_pool_t *pool,
    ngx_comms_zone_t *zone);
static json_t *ngx_http_comms_status_rates(ngx_pool_t *pool,
    ngx_comms_zone_t *zone);
static json_t *ngx_http_comms_status_counters(ngx_comms_zone_t *zone);
static json_t *ngx_http_comms_status_gauges(ngx_comms_zone_t *zone);
static ngx_int_t ngx_http_comms_status_method(ngx_http_request_t *r);


static time_t  ngx_http_comms_started;


void
ngx_http_comms_status_init_process(void)
{
    ngx_http_comms_started = ngx_time();
}


ngx_int_t
ngx_http_comms_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_comms_op_t              *op;
    ngx_comms_bus_t             *bus;
    ngx_http_comms_status_t     *st;
    ngx_http_comms_main_conf_t  *mcf;

    rc = ngx_http_comms_status_method(r);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_comms_module);

    st = ngx_pcalloc(r->pool, sizeof(ngx_http_comms_status_t));
    if (st == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    st->engine = &mcf->engine;
    st->await = ngx_http_comms_await_create(r, st);

    if (st->await == NULL || ngx_http_comms_await_client(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    op = ngx_http_comms_await_op(st->await, NGX_HTTP_COMMS_STATUS_TIMEOUT,
                                 ngx_http_comms_status_depths);
    if (op == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->main->count++;

    bus = st->engine->bus;
    bus->depths(bus, json_object(), op);

    return NGX_DONE;
}


/* NGX_DECLINED: go on */

static ngx_int_t
ngx_http_comms_status_method(ngx_http_request_t *r)
{
    ngx_str_t               none;
    ngx_http_comms_error_t  error;

    static ngx_str_t  allow = ngx_string("GET, HEAD");

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {
        return NGX_DECLINED;
    }

    ngx_str_null(&none);

    ngx_http_comms_refuse(&error, NGX_HTTP_NOT_ALLOWED, "METHOD_NOT_ALLOWED",
                          "Method is not allowed here, use GET");

    if (ngx_http_comms_add_header(r, "Allow", &allow) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_comms_send_error(r, &error, &none);
}


static void
ngx_http_comms_status_depths(ngx_http_request_t *r, void *data, ngx_int_t rc,
    json_t *answer)
{
    ngx_http_comms_status_t *st = data;

    json_t             *queues;
    ngx_comms_op_t     *op;
    ngx_comms_store_t  *store;

    queues = json_object_get(answer, "queues");

    if (rc == NGX_OK && queues != NULL
        && ngx_http_comms_status_queues(r, st, queues) != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    op = ngx_http_comms_await_op(st->await, NGX_HTTP_COMMS_STATUS_TIMEOUT,
                                 ngx_http_comms_status_figures);
    if (op == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    store = st->engine->store;
    store->figures(store, json_object(), op);
}


static ngx_int_t
ngx_http_comms_status_queues(ngx_http_request_t *r,
    ngx_http_comms_status_t *st, json_t *queues)
{
    if (ngx_http_comms_status_empty(queues, st->engine->bus->ages) != NGX_OK
        || ngx_http_comms_keep_json(r, json_incref(queues)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    st->queues = queues;

    return NGX_OK;
}


/* a bus need not know queues that hold nothing; the page shows all */

static ngx_int_t
ngx_http_comms_status_empty(json_t *queues, ngx_uint_t ages)
{
    json_t                     *depths;
    ngx_comms_flow_of_queue_t  *flow;

    for (flow = ngx_comms_flows; flow->queue.len != 0; flow++) {

        if (json_object_get(queues, (char *) flow->queue.data) != NULL) {
            continue;
        }

        depths = json_pack("{s:i, s:i, s:i, s:i, s:o*}", "ready", 0,
                           "in_flight", 0, "delayed", 0, "dead", 0,
                           "oldest_ready_age",
                           ages ? json_integer(0) : NULL);

        if (json_object_set_new(queues, (char *) flow->queue.data, depths)
            != 0)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_comms_status_figures(ngx_http_request_t *r, void *data, ngx_int_t rc,
    json_t *answer)
{
    ngx_http_comms_status_t *st = data;

    if (answer != NULL) {

        if (ngx_http_comms_keep_json(r, json_incref(answer)) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        st->figures = (rc == NGX_OK) ? answer : NULL;
        st->journal = json_object_get(answer, "journal");
    }

    ngx_http_comms_status_answer(r, st);
}


static void
ngx_http_comms_status_answer(ngx_http_request_t *r,
    ngx_http_comms_status_t *st)
{
    json_t                     *document;
    ngx_str_t                   type, text;
    ngx_http_comms_loc_conf_t  *lcf;

    static ngx_str_t  no_store = ngx_string("no-store");

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_comms_module);

    if (ngx_http_comms_add_header(r, "Cache-Control", &no_store) != NGX_OK) {
        goto failed;
    }

    if (lcf->status_format == NGX_HTTP_COMMS_STATUS_JSON) {
        document = ngx_http_comms_status_json(r, st);
        if (document == NULL) {
            goto failed;
        }

        ngx_http_finalize_request(r,
                     ngx_http_comms_send_json(r, NGX_HTTP_OK, document));
        return;
    }

    if (ngx_http_comms_metrics(r->pool, st->engine->zone, st->queues,
                               st->figures, st->journal, &text)
        != NGX_OK)
    {
        goto failed;
    }

    ngx_str_set(&type, "text/plain; version=0.0.4; charset=utf-8");

    ngx_http_finalize_request(r,
                     ngx_http_comms_send(r, NGX_HTTP_OK, &type, &text));

    return;

failed:

    ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
}


static json_t *
ngx_http_comms_status_json(ngx_http_request_t *r, ngx_http_comms_status_t *st)
{
    json_t              *figures;
    ngx_comms_engine_t  *engine;

    engine = st->engine;
    figures = json_incref(st->figures);

    if (figures == NULL && st->journal != NULL) {
        figures = json_pack("{s:O}", "journal", st->journal);
    }

    return json_pack("{s:s, s:I, s:I, s:s%, s:s%, s:O?, s:o?, s:I, s:o, s:o,"
                     " s:o, s:o}",
                     "version", NGX_HTTP_COMMS_VERSION,
                     "uptime", (json_int_t) (ngx_time()
                                             - ngx_http_comms_started),
                     "pid", (json_int_t) ngx_pid,
                     "store",
                     st->figures ? (char *) engine->store->name.data
                                 : "unavailable",
                     st->figures ? engine->store->name.len
                                 : sizeof("unavailable") - 1,
                     "bus",
                     st->queues ? (char *) engine->bus->name.data
                                : "unavailable",
                     st->queues ? engine->bus->name.len
                                : sizeof("unavailable") - 1,
                     "queues", st->queues,
                     "figures", figures,
                     "leases",
                     (json_int_t) ngx_comms_lease_count(engine->zone),
                     "breakers",
                     ngx_http_comms_status_breakers(r->pool, engine->zone),
                     "rates",
                     ngx_http_comms_status_rates(r->pool, engine->zone),
                     "gauges", ngx_http_comms_status_gauges(engine->zone),
                     "counters",
                     ngx_http_comms_status_counters(engine->zone));
}


static json_t *
ngx_http_comms_status_breakers(ngx_pool_t *pool, ngx_comms_zone_t *zone)
{
    json_t                    *breakers;
    ngx_uint_t                 i;
    ngx_array_t               *list;
    ngx_comms_breaker_view_t  *view;

    static const char  *states[] = { "closed", "open", "half_open" };

    list = ngx_comms_breaker_list(zone, pool);
    breakers = json_array();

    if (list == NULL) {
        return breakers;
    }

    view = list->elts;

    for (i = 0; i < list->nelts; i++) {
        if (json_array_append_new(breakers,
                   json_pack("{s:s%, s:s, s:I}",
                             "key", view[i].key.data, view[i].key.len,
                             "state", states[view[i].state],
                             "retry_after", (json_int_t) view[i].retry_after))
            != 0)
        {
            json_decref(breakers);
            return NULL;
        }
    }

    return breakers;
}


static json_t *
ngx_http_comms_status_rates(ngx_pool_t *pool, ngx_comms_zone_t *zone)
{
    json_t                 *rates;
    ngx_uint_t              i;
    ngx_array_t            *list;
    ngx_comms_rate_view_t  *view;

    list = ngx_comms_rate_list(zone, pool);
    rates = json_array();

    if (list == NULL) {
        return rates;
    }

    view = list->elts;

    for (i = 0; i < list->nelts; i++) {
        if (json_array_append_new(rates,
                   json_pack("{s:s%, s:f, s:f}",
                             "key", view[i].key.data, view[i].key.len,
                             "requests_per_second", view[i].requests,
                             "tokens_per_second", view[i].tokens))
            != 0)
        {
            json_decref(rates);
            return NULL;
        }
    }

    return rates;
}


static json_t *
ngx_http_comms_status_counters(ngx_comms_zone_t *zone)
{
    json_t      *counters;
    ngx_uint_t   i;
    const char  *name, *help;

    counters = json_object();

    for (i = 0; i < NGX_COMMS_COUNTERS; i++) {
        ngx_comms_counter_words(i, &name, &help);

        if (json_object_set_new(counters, name,
                       json_integer((json_int_t) ngx_comms_counter(zone, i)))
            != 0)
        {
            json_decref(counters);
            return NULL;
        }
    }

    return counters;
}


static json_t *
ngx_http_comms_status_gauges(ngx_comms_zone_t *zone)
{
    json_t      *gauges;
    ngx_uint_t   i;
    const char  *name, *help;

    gauges = json_object();

    for (i = 0; i < NGX_COMMS_GAUGES; i++) {
        ngx_comms_gauge_words(i, &name, &help);

        if (json_object_set_new(gauges, name,
                     json_integer((json_int_t) ngx_comms_gauge_sum(zone, i)))
            != 0)
        {
            json_decref(gauges);
            return NULL;
        }
    }

    return gauges;
}
