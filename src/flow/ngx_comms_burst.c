
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * How often a thread takes its turn.
 *
 * Burst: people send one thought in several messages, and an album as ten
 * pictures.  A turn waits while the newest message of the thread, on whatever
 * channel, is younger than "burst.window_ms", and not longer than
 * "burst.max_wait_ms" after the oldest; so the messages become one turn, and
 * nobody is put off for ever.  It waits in its queue: the lease is given back
 * meanwhile.  Without a window of the project's, only pictures and the like
 * are waited for.
 *
 * Turns in an hour: two machines that answer each other would go on until
 * somebody looks.  Who is over "rate_limits.turns_per_hour" is a human's.
 */


#include <flow/ngx_comms_turn.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>


#define NGX_COMMS_BURST_ALBUM      2000      /* ms */
#define NGX_COMMS_BURST_LONGEST    30000     /* ms, unless configured */
#define NGX_COMMS_BURST_TURNS      60        /* in an hour */


static int64_t ngx_comms_burst_window(ngx_comms_thread_t *t, json_t *burst);


ngx_int_t
ngx_comms_burst_wait(ngx_comms_flow_t *f)
{
    int64_t              now, oldest, newest, window, longest, due;
    json_t              *burst;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    burst = json_object_get(t->project->config, "burst");
    window = ngx_comms_burst_window(t, burst);

    if (window == 0) {
        return NGX_OK;
    }

    longest = NGX_COMMS_BURST_LONGEST;
    (void) ngx_comms_json_int(burst, "max_wait_ms", &longest);

    now = ngx_comms_clock_ms();
    oldest = 0;
    newest = 0;

    (void) ngx_comms_json_int(json_array_get(t->inbound, 0), "received_at",
                              &oldest);
    (void) ngx_comms_json_int(json_array_get(t->inbound,
                                         json_array_size(t->inbound) - 1),
                              "received_at", &newest);

    /* a clock that was put back must not make anybody wait */

    if (newest > now || oldest > newest) {
        return NGX_OK;
    }

    due = ngx_min(newest + window, oldest + longest);

    if (now >= due) {
        return NGX_OK;
    }

    f->retry_after = (ngx_msec_t) (due - now);

    return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEFER,
                               "more may come", NULL);
}


static int64_t
ngx_comms_burst_window(ngx_comms_thread_t *t, json_t *burst)
{
    size_t    i;
    int64_t   window;
    json_t   *message;

    if (ngx_comms_json_int(burst, "window_ms", &window) == NGX_OK) {
        return window;
    }

    json_array_foreach(t->inbound, i, message) {
        if (json_array_size(json_object_get(message, "media")) > 0) {
            return NGX_COMMS_BURST_ALBUM;
        }
    }

    return 0;
}


void
ngx_comms_burst_count(ngx_comms_flow_t *f)
{
    int64_t              most;
    ngx_str_t            key;
    ngx_uint_t           retry_after;
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    if (!a->answered || a->counted) {
        return;
    }

    a->counted = 1;

    most = NGX_COMMS_BURST_TURNS;
    (void) ngx_comms_json_int(json_object_get(t->project->config,
                                              "rate_limits"),
                              "turns_per_hour", &most);

    key.len = sizeof("turns#") - 1 + t->thread_id.len;
    key.data = ngx_pnalloc(f->pool, key.len);

    if (key.data == NULL) {
        return;
    }

    ngx_sprintf(key.data, "turns#%V", &t->thread_id);

    if (ngx_comms_limiter_take(f->engine->zone, &key, (ngx_uint_t) most, 3600,
                               &retry_after)
        == NGX_OK)
    {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, f->log, 0,
                  "more than %L turns in an hour: left to a human", most);

    a->gave_up = 1;
    a->handed_over = 1;
    a->answer.label = "turns_per_hour";
}
