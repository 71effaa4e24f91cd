
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The metrics as Prometheus text, format 0.0.4: for each metric its HELP and
 * TYPE lines, then its samples.  Every name starts with "comms_".  Metrics of
 * a backend that did not answer are left out, and "comms_store_up" is 0; so
 * are ages where the bus knows none.
 */


#include <http/ngx_http_comms_status.h>
#include <guard/ngx_comms_breaker.h>


#define NGX_HTTP_COMMS_METRIC_LINE  512


static void ngx_http_comms_metric(ngx_array_t *text, const char *fmt, ...);
static void ngx_http_comms_metric_head(ngx_array_t *text, const char *name,
    const char *help, const char *type);
static void ngx_http_comms_metrics_zone(ngx_array_t *text,
    ngx_comms_zone_t *zone);
static void ngx_http_comms_metrics_breakers(ngx_array_t *text,
    ngx_pool_t *pool, ngx_comms_zone_t *zone);
static void ngx_http_comms_metrics_queues(ngx_array_t *text, json_t *queues);
static void ngx_http_comms_metrics_ages(ngx_array_t *text, json_t *queues);
static void ngx_http_comms_metrics_figures(ngx_array_t *text,
    json_t *figures);


ngx_int_t
ngx_http_comms_metrics(ngx_pool_t *pool, ngx_comms_zone_t *zone,
    json_t *queues, json_t *figures, json_t *journal, ngx_str_t *text)
{
    ngx_array_t  bytes;

    if (ngx_array_init(&bytes, pool, 16384, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_comms_metrics_zone(&bytes, zone);
    ngx_http_comms_metrics_breakers(&bytes, pool, zone);

    ngx_http_comms_metric_head(&bytes, "store_up",
                               "1 when store and bus answer.", "gauge");
    ngx_http_comms_metric(&bytes, "comms_store_up %d\n",
                          queues != NULL && figures != NULL);

    if (queues != NULL) {
        ngx_http_comms_metrics_queues(&bytes, queues);
        ngx_http_comms_metrics_ages(&bytes, queues);
    }

    if (figures != NULL) {
        ngx_http_comms_metrics_figures(&bytes, figures);
    }

    if (journal != NULL) {
        ngx_http_comms_metric_head(&bytes, "journal_messages",
                                   "Messages kept until the store answers.",
                                   "gauge");
        ngx_http_comms_metric(&bytes, "comms_journal_messages %L\n",
                              (int64_t) json_integer_value(journal));
    }

    /* a line that found no memory left the array without elements */

    if (bytes.elts == NULL) {
        return NGX_ERROR;
    }

    text->data = bytes.elts;
    text->len = bytes.nelts;

    return NGX_OK;
}


static void
ngx_http_comms_metric(ngx_array_t *text, const char *fmt, ...)
{
    u_char   *p, *last, line[NGX_HTTP_COMMS_METRIC_LINE];
    va_list   args;

    if (text->elts == NULL) {
        return;
    }

    va_start(args, fmt);
    last = ngx_vslprintf(line, line + sizeof(line), fmt, args);
    va_end(args);

    p = ngx_array_push_n(text, last - line);

    if (p == NULL) {
        text->elts = NULL;
        return;
    }

    ngx_memcpy(p, line, last - line);
}


static void
ngx_http_comms_metric_head(ngx_array_t *text, const char *name,
    const char *help, const char *type)
{
    ngx_http_comms_metric(text,
                          "# HELP comms_%s %s\n# TYPE comms_%s %s\n",
                          name, help, name, type);
}


static void
ngx_http_comms_metrics_zone(ngx_array_t *text, ngx_comms_zone_t *zone)
{
    ngx_uint_t   i;
    const char  *name, *help;

    for (i = 0; i < NGX_COMMS_COUNTERS; i++) {
        ngx_comms_counter_words(i, &name, &help);

        ngx_http_comms_metric_head(text, name, help, "counter");
        ngx_http_comms_metric(text, "comms_%s %uL\n", name,
                              ngx_comms_counter(zone, i));
    }

    for (i = 0; i < NGX_COMMS_GAUGES; i++) {
        ngx_comms_gauge_words(i, &name, &help);

        ngx_http_comms_metric_head(text, name, help, "gauge");
        ngx_http_comms_metric(text, "comms_%s %L\n", name,
                              ngx_comms_gauge_sum(zone, i));
    }

    ngx_http_comms_metric_head(text, "leases", "Leases held.", "gauge");
    ngx_http_comms_metric(text, "comms_leases %ui\n",
                          ngx_comms_lease_count(zone));
}


static void
ngx_http_comms_metrics_breakers(ngx_array_t *text, ngx_pool_t *pool,
    ngx_comms_zone_t *zone)
{
    u_char                    *p;
    ngx_uint_t                 i;
    ngx_array_t               *list;
    ngx_comms_breaker_view_t  *view;

    list = ngx_comms_breaker_list(zone, pool);

    if (list == NULL || list->nelts == 0) {
        return;
    }

    view = list->elts;

    ngx_http_comms_metric_head(text, "breaker_open",
                    "1 while an AI is left alone, by provider#key#model.",
                    "gauge");

    for (i = 0; i < list->nelts; i++) {

        /* the name of a model is free text, and must stay in its quotes */

        for (p = view[i].key.data;
             p < view[i].key.data + view[i].key.len;
             p++)
        {
            if (*p == '"' || *p == '\\' || *p < ' ') {
                *p = '_';
            }
        }

        ngx_http_comms_metric(text, "comms_breaker_open{ai=\"%V\"} %d\n",
                              &view[i].key,
                              view[i].state != NGX_COMMS_BREAKER_CLOSED);
    }
}


static void
ngx_http_comms_metrics_queues(ngx_array_t *text, json_t *queues)
{
    json_t      *depths;
    ngx_uint_t   i;
    const char  *queue;

    static const char  *states[] = {
        "ready", "in_flight", "delayed", "dead", NULL
    };

    ngx_http_comms_metric_head(text, "queue_messages",
                               "Messages in a queue, by state.", "gauge");

    json_object_foreach(queues, queue, depths) {
        for (i = 0; states[i] != NULL; i++) {
            ngx_http_comms_metric(text,
                 "comms_queue_messages{queue=\"%s\",state=\"%s\"} %L\n",
                 queue, states[i],
                 (int64_t) json_integer_value(json_object_get(depths,
                                                              states[i])));
        }
    }
}


static void
ngx_http_comms_metrics_ages(ngx_array_t *text, json_t *queues)
{
    json_t      *depths, *age;
    int64_t      ms;
    ngx_uint_t   any;
    const char  *queue;

    any = 0;

    json_object_foreach(queues, queue, depths) {
        age = json_object_get(depths, "oldest_ready_age");

        if (age == NULL) {
            continue;
        }

        if (!any) {
            any = 1;
            ngx_http_comms_metric_head(text, "queue_oldest_ready_age_seconds",
                                    "How long the oldest ready message waits.",
                                    "gauge");
        }

        ms = json_integer_value(age);

        ngx_http_comms_metric(text,
             "comms_queue_oldest_ready_age_seconds{queue=\"%s\"} %L.%03L\n",
             queue, ms / 1000, ms % 1000);
    }
}


static void
ngx_http_comms_metrics_figures(ngx_array_t *text, json_t *figures)
{
    json_t      *n;
    const char  *status;

    ngx_http_comms_metric_head(text, "threads",
                               "Threads, by conversation status.", "gauge");

    json_object_foreach(json_object_get(figures, "threads"), status, n) {
        ngx_http_comms_metric(text, "comms_threads{status=\"%s\"} %L\n",
                              status, (int64_t) json_integer_value(n));
    }

    ngx_http_comms_metric_head(text, "inbound_waiting",
                               "Messages from people not answered yet.",
                               "gauge");
    ngx_http_comms_metric(text, "comms_inbound_waiting %L\n",
          (int64_t) json_integer_value(json_object_get(figures,
                                                       "inbound_waiting")));

    ngx_http_comms_metric_head(text, "effects_unfinished",
                               "Effects written down and without an outcome.",
                               "gauge");
    ngx_http_comms_metric(text, "comms_effects_unfinished %L\n",
          (int64_t) json_integer_value(json_object_get(figures,
                                                    "effects_unfinished")));
}
