
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Requests held until a thread has settled.
 *
 * States of a held request: it rests, with a timer, until a notice of its
 * thread, the poll or the deadline; or it looks, with one store.load in
 * flight.  A notice that comes while it looks makes it look once more, since
 * the load may have read what was true before.
 *
 * Invariants:
 *   1. A request is in the list of held requests from ngx_http_comms_wait()
 *      until its answer, or its cleanup, takes it out; the gauge counts the
 *      list.
 *   2. Notices may be lost: the poll looks each second.
 *   3. A worker that exits answers at its next poll, with what it knows.
 */


#include <http/ngx_http_comms_wait.h>
#include <http/ngx_http_comms_answer.h>
#include <http/ngx_http_comms_await.h>
#include <base/ngx_comms_json.h>
#include <ngx_http_comms_module.h>


#define NGX_HTTP_COMMS_WAIT_POLL      1000
#define NGX_HTTP_COMMS_WAIT_MESSAGES  200
#define NGX_HTTP_COMMS_WAIT_MAX       86400


typedef struct {
    ngx_queue_t               queue;
    ngx_http_request_t       *request;
    ngx_http_comms_await_t   *await;
    ngx_comms_engine_t       *engine;

    ngx_str_t                 thread_id;
    uint32_t                  hash;
    json_t                   *accepted;     /* the answer so far; owned */
    ngx_uint_t                seconds;

    ngx_msec_t                deadline;
    ngx_event_t               poll;

    unsigned                  again:1;      /* a notice came meanwhile */
    unsigned                  held:1;
} ngx_http_comms_wait_t;


static ngx_uint_t ngx_http_comms_wait_preference(ngx_str_t *value);
static void ngx_http_comms_wait_notice(void *data, ngx_comms_notice_e kind,
    uint32_t hash);
static void ngx_http_comms_wait_poll(ngx_event_t *ev);
static void ngx_http_comms_wait_rest(ngx_http_comms_wait_t *w);
static ngx_int_t ngx_http_comms_wait_look(ngx_http_comms_wait_t *w);
static void ngx_http_comms_wait_seen(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer);
static ngx_uint_t ngx_http_comms_wait_settled(json_t *record);
static ngx_uint_t ngx_http_comms_wait_went_out(ngx_str_t *status);
static void ngx_http_comms_wait_finish(ngx_http_comms_wait_t *w,
    json_t *record);
static ngx_int_t ngx_http_comms_wait_state(json_t *document, json_t *record);
static void ngx_http_comms_wait_leave(ngx_http_comms_wait_t *w);
static void ngx_http_comms_wait_cleanup(void *data);


static ngx_queue_t  ngx_http_comms_waiting;     /* of this worker */


ngx_int_t
ngx_http_comms_wait_init_process(void)
{
    ngx_queue_init(&ngx_http_comms_waiting);

    return ngx_comms_notice_listen(NGX_COMMS_NOTICE_THREAD,
                                   ngx_http_comms_wait_notice, NULL);
}


ngx_uint_t
ngx_http_comms_wait_wanted(ngx_http_request_t *r)
{
    ngx_uint_t        i, seconds;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    seconds = 0;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == sizeof("Prefer") - 1
            && ngx_strncasecmp(h[i].key.data, (u_char *) "Prefer",
                               sizeof("Prefer") - 1)
               == 0
            && seconds == 0)
        {
            seconds = ngx_http_comms_wait_preference(&h[i].value);
        }
    }

    return seconds;
}


/* "wait=N" among the preferences of one header; 0: not there, or no number */

static ngx_uint_t
ngx_http_comms_wait_preference(ngx_str_t *value)
{
    u_char     *p, *last, *end;
    ngx_int_t   n;

    p = value->data;
    last = p + value->len;

    while (p < last) {

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }

        if (end - p > 5 && ngx_strncasecmp(p, (u_char *) "wait=", 5) == 0) {
            p += 5;
            n = 0;

            while (p < end && *p >= '0' && *p <= '9'
                   && n < NGX_HTTP_COMMS_WAIT_MAX)
            {
                n = n * 10 + (*p++ - '0');
            }

            return n;
        }

        p = end + 1;
    }

    return 0;
}


ngx_int_t
ngx_http_comms_wait(ngx_http_request_t *r, ngx_str_t *thread_id,
    json_t *accepted, ngx_uint_t seconds)
{
    ngx_http_cleanup_t          *cln;
    ngx_http_comms_wait_t       *w;
    ngx_http_comms_main_conf_t  *mcf;

    w = ngx_pcalloc(r->pool, sizeof(ngx_http_comms_wait_t));
    if (w == NULL) {
        goto failed;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        goto failed;
    }

    w->await = ngx_http_comms_await_create(r, w);

    if (w->await == NULL || ngx_http_comms_await_client(r) != NGX_OK) {
        goto failed;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_comms_module);

    w->request = r;
    w->engine = &mcf->engine;
    w->thread_id = *thread_id;
    w->hash = ngx_comms_notice_hash(thread_id);
    w->accepted = accepted;
    w->seconds = seconds;
    w->deadline = ngx_current_msec + seconds * 1000;

    w->poll.handler = ngx_http_comms_wait_poll;
    w->poll.data = w;
    w->poll.log = r->connection->log;

    cln->handler = ngx_http_comms_wait_cleanup;
    cln->data = w;

    ngx_queue_insert_tail(&ngx_http_comms_waiting, &w->queue);
    ngx_comms_gauge(w->engine->zone, NGX_COMMS_GAUGE_WAITING, 1);
    w->held = 1;

    /* what was accepted before may have settled long ago */

    return ngx_http_comms_wait_look(w);

failed:

    json_decref(accepted);

    return NGX_ERROR;
}


/* only wakes: looking from here would change the list that is walked */

static void
ngx_http_comms_wait_notice(void *data, ngx_comms_notice_e kind, uint32_t hash)
{
    ngx_queue_t            *q;
    ngx_http_comms_wait_t  *w;

    for (q = ngx_queue_head(&ngx_http_comms_waiting);
         q != ngx_queue_sentinel(&ngx_http_comms_waiting);
         q = ngx_queue_next(q))
    {
        w = ngx_queue_data(q, ngx_http_comms_wait_t, queue);

        if (hash != 0 && hash != w->hash) {
            continue;
        }

        if (ngx_http_comms_awaiting(w->await)) {
            w->again = 1;
            continue;
        }

        ngx_post_event(&w->poll, &ngx_posted_events);
    }
}


static void
ngx_http_comms_wait_poll(ngx_event_t *ev)
{
    ngx_http_comms_wait_t *w = ev->data;

    ngx_connection_t  *c;

    c = w->request->connection;

    ngx_http_set_log_request(c->log, w->request);

    if (ngx_exiting
        || (ngx_msec_int_t) (w->deadline - ngx_current_msec) <= 0)
    {
        ngx_http_comms_wait_finish(w, NULL);

    } else if (ngx_http_comms_awaiting(w->await)) {
        ngx_http_comms_wait_rest(w);

    } else if (ngx_http_comms_wait_look(w) != NGX_OK) {
        ngx_http_comms_wait_finish(w, NULL);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_comms_wait_rest(ngx_http_comms_wait_t *w)
{
    ngx_msec_int_t  left;

    left = (ngx_msec_int_t) (w->deadline - ngx_current_msec);

    ngx_add_timer(&w->poll,
                  (ngx_msec_t) ngx_max(ngx_min(left,
                                               NGX_HTTP_COMMS_WAIT_POLL), 1));
}


static ngx_int_t
ngx_http_comms_wait_look(ngx_http_comms_wait_t *w)
{
    json_t             *in;
    ngx_comms_op_t     *op;
    ngx_comms_store_t  *store;

    in = json_pack("{s:s%, s:i}", "thread_id", w->thread_id.data,
                   w->thread_id.len,
                   "messages", NGX_HTTP_COMMS_WAIT_MESSAGES);
    if (in == NULL) {
        return NGX_ERROR;
    }

    op = ngx_http_comms_await_op(w->await, w->engine->op_timeout,
                                 ngx_http_comms_wait_seen);
    if (op == NULL) {
        json_decref(in);
        return NGX_ERROR;
    }

    w->again = 0;

    store = w->engine->store;
    store->load(store, in, op);

    ngx_http_comms_wait_rest(w);

    return NGX_OK;
}


static void
ngx_http_comms_wait_seen(ngx_http_request_t *r, void *data, ngx_int_t rc,
    json_t *answer)
{
    ngx_http_comms_wait_t *w = data;

    json_t  *record;

    /* answered already, and still being sent */

    if (!w->held) {
        return;
    }

    record = json_object_get(answer, "record");

    if (rc == NGX_OK && ngx_http_comms_wait_settled(record)) {
        ngx_http_comms_wait_finish(w, record);
        return;
    }

    if (w->again && !ngx_exiting && ngx_http_comms_wait_look(w) != NGX_OK) {
        ngx_http_comms_wait_finish(w, NULL);
    }
}


/*
 * No channel is pending, or one is enough and has gone out; or the thread as
 * a whole came to its end.
 */

static ngx_uint_t
ngx_http_comms_wait_settled(json_t *record)
{
    json_t      *states, *state, *value;
    ngx_str_t    status;
    ngx_uint_t   pending;
    const char  *channel;

    (void) ngx_comms_json_str(record, "conversation_status", &status);

    if ((status.len == 6 && ngx_strncmp(status.data, "failed", 6) == 0)
        || (status.len == 9 && ngx_strncmp(status.data, "completed", 9) == 0))
    {
        return 1;
    }

    states = json_object_get(record, "channel_states");

    if (json_object_size(states) == 0) {
        return 0;
    }

    pending = 0;

    json_object_foreach(states, channel, state) {
        value = json_is_object(state) ? json_object_get(state, "status")
                                      : state;
        status = ngx_comms_json_view(value);

        if (status.len == 7 && ngx_strncmp(status.data, "pending", 7) == 0) {
            pending = 1;

        } else if (json_object_get(record, "fallback") != NULL
                   && ngx_http_comms_wait_went_out(&status))
        {
            return 1;
        }
    }

    return !pending;
}


static ngx_uint_t
ngx_http_comms_wait_went_out(ngx_str_t *status)
{
    ngx_uint_t  i;

    static ngx_str_t  names[] = {
        ngx_string("unknown"), ngx_string("sent"), ngx_string("delivered"),
        ngx_string("read"), ngx_null_string
    };

    for (i = 0; names[i].len; i++) {
        if (status->len == names[i].len
            && ngx_memcmp(status->data, names[i].data, names[i].len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* "record" is NULL when it did not settle in time */

static void
ngx_http_comms_wait_finish(ngx_http_comms_wait_t *w, json_t *record)
{
    u_char              *p;
    json_t              *document;
    ngx_str_t            applied;
    ngx_uint_t           status;
    ngx_http_request_t  *r;

    r = w->request;
    document = w->accepted;
    w->accepted = NULL;

    ngx_http_comms_wait_leave(w);

    status = NGX_HTTP_ACCEPTED;

    if (record != NULL) {
        status = NGX_HTTP_OK;

        if (ngx_http_comms_wait_state(document, record) != NGX_OK) {
            goto failed;
        }
    }

    p = ngx_pnalloc(r->pool, sizeof("wait=") - 1 + NGX_INT_T_LEN);
    if (p == NULL) {
        goto failed;
    }

    applied.data = p;
    applied.len = ngx_sprintf(p, "wait=%ui", w->seconds) - p;

    if (ngx_http_comms_add_header(r, "Preference-Applied", &applied)
        != NGX_OK)
    {
        goto failed;
    }

    ngx_http_finalize_request(r,
                              ngx_http_comms_send_json(r, status, document));

    return;

failed:

    json_decref(document);

    ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
}


static ngx_int_t
ngx_http_comms_wait_state(json_t *document, json_t *record)
{
    json_t      *value;
    ngx_uint_t   i;

    static const char  *keys[] = {
        "conversation_status", "channel_states", "messages", NULL
    };

    for (i = 0; keys[i] != NULL; i++) {
        value = json_object_get(record, keys[i]);

        if (value == NULL) {
            continue;
        }

        if (json_object_set(document, keys[i], value) != 0) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_comms_wait_leave(ngx_http_comms_wait_t *w)
{
    if (!w->held) {
        return;
    }

    w->held = 0;

    ngx_queue_remove(&w->queue);
    ngx_comms_gauge(w->engine->zone, NGX_COMMS_GAUGE_WAITING, -1);

    if (w->poll.timer_set) {
        ngx_del_timer(&w->poll);
    }

    if (w->poll.posted) {
        ngx_delete_posted_event(&w->poll);
    }
}


static void
ngx_http_comms_wait_cleanup(void *data)
{
    ngx_http_comms_wait_t *w = data;

    ngx_http_comms_wait_leave(w);

    json_decref(w->accepted);
    w->accepted = NULL;
}
