
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * libcurl's multi interface driven by nginx's events.
 *
 *   transfer -> curl_multi_add_handle -> (timer) -> curl opens a socket
 *     -> ngx_comms_curl_loop_socket() takes an ngx_connection_t for it
 *     -> its events, level-triggered -> curl_multi_socket_action()
 *     -> curl_multi_info_read() -> the handle leaves curl -> the handler
 *
 * Invariants:
 *   1. curl owns its descriptors: a connection is freed and never closed, and
 *      its fd is made -1 so that an event of this turn that is late is seen
 *      to be stale.
 *   2. From curl's callbacks no function of curl is called: the timer
 *      callback arms or deletes one event, the socket callback adds or
 *      deletes the events of one connection.
 *   3. After curl_multi_socket_action() the connection may be gone.  A
 *      transfer has left curl and the list before its handler is called, and
 *      the handler may start and end others.
 *   4. The socket callback never fails, since that would end all transfers
 *      and the multi handle with them.  Without a connection for it, the one
 *      transfer is ended from an event.
 *   5. Every transfer has a timeout; therefore curl always has a timer while
 *      one is in flight, and a graceful exit waits for it.  Without any, the
 *      timer does not hold the worker.
 *   6. A request on a kept connection that the other side closed meanwhile is
 *      sent once more by curl itself: to us that is one attempt, and one that
 *      may have been carried out.
 *   7. curl reads no environment here: workers have none.  The proxy was
 *      read in the master.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <curl/ngx_comms_curl_private.h>


#define NGX_COMMS_CURL_CONNECTIONS  256


static int ngx_comms_curl_loop_socket(CURL *easy, curl_socket_t s, int what,
    void *data, void *assigned);
static ngx_connection_t *ngx_comms_curl_loop_connection(
    ngx_comms_curl_loop_t *loop, CURL *easy, curl_socket_t s);
static void ngx_comms_curl_loop_starve(ngx_comms_curl_loop_t *loop, CURL *easy);
static int ngx_comms_curl_loop_arm(CURLM *multi, long ms, void *data);
static void ngx_comms_curl_loop_ready(ngx_event_t *ev);
static void ngx_comms_curl_loop_expired(ngx_event_t *ev);
static void ngx_comms_curl_loop_starved(ngx_event_t *ev);
static void ngx_comms_curl_loop_drain(ngx_comms_curl_loop_t *loop);


ngx_comms_curl_loop_t *
ngx_comms_curl_loop_create(ngx_cycle_t *cycle,
    ngx_comms_curl_network_t *network)
{
    long                    max;
    ngx_comms_curl_loop_t  *loop;

    loop = ngx_pcalloc(cycle->pool, sizeof(ngx_comms_curl_loop_t));
    if (loop == NULL) {
        return NULL;
    }

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "curl_global_init() failed");
        return NULL;
    }

    /* each socket takes one of the worker's connections */

    max = (long) ngx_min(cycle->connection_n / 4, NGX_COMMS_CURL_CONNECTIONS);
    max = ngx_max(max, 1);

    if (ngx_comms_curl_loop_open(loop, cycle->log, max) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "curl_multi_init() failed");
        curl_global_cleanup();
        return NULL;
    }

    loop->network = network;

    return loop;
}


/* calls beyond the limit wait within curl, and their timeouts run */

ngx_int_t
ngx_comms_curl_loop_open(ngx_comms_curl_loop_t *loop, ngx_log_t *log,
    long connections)
{
    CURLM  *multi;

    ngx_memzero(loop, sizeof(ngx_comms_curl_loop_t));

    loop->fd = (ngx_socket_t) -1;
    loop->log = log;
    ngx_queue_init(&loop->transfers);
    ngx_queue_init(&loop->sessions);

    loop->timer.handler = ngx_comms_curl_loop_expired;
    loop->timer.data = loop;
    loop->timer.log = log;

    loop->starved.handler = ngx_comms_curl_loop_starved;
    loop->starved.data = loop;
    loop->starved.log = log;

    multi = curl_multi_init();
    if (multi == NULL) {
        return NGX_ERROR;
    }

    if (curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION,
                          ngx_comms_curl_loop_socket)
        || curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, loop)
        || curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION,
                             ngx_comms_curl_loop_arm)
        || curl_multi_setopt(multi, CURLMOPT_TIMERDATA, loop)
        || curl_multi_setopt(multi, CURLMOPT_PIPELINING,
                             (long) CURLPIPE_NOTHING)
        || curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                             connections)
        || curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, connections))
    {
        (void) curl_multi_cleanup(multi);
        return NGX_ERROR;
    }

    loop->multi = multi;

    return NGX_OK;
}


void
ngx_comms_curl_loop_destroy(ngx_comms_curl_loop_t *loop)
{
    if (loop->multi == NULL) {
        return;
    }

    ngx_comms_curl_sessions_close(loop);
    ngx_comms_curl_loop_close(loop);

    curl_global_cleanup();
}


void
ngx_comms_curl_loop_close(ngx_comms_curl_loop_t *loop)
{
    ngx_queue_t                *q;
    ngx_comms_curl_transfer_t  *t;

    while (!ngx_queue_empty(&loop->transfers)) {
        q = ngx_queue_head(&loop->transfers);
        t = ngx_queue_data(q, ngx_comms_curl_transfer_t, queue);

        ngx_comms_curl_transfer_end(t);
    }

    while (loop->nspare != 0) {
        curl_easy_cleanup(loop->spare[--loop->nspare]);
    }

    /* calls the socket callback for the connections that are kept open */
    (void) curl_multi_cleanup(loop->multi);
    loop->multi = NULL;

    if (loop->timer.timer_set) {
        ngx_del_timer(&loop->timer);
    }

    if (loop->timer.posted) {
        ngx_delete_posted_event(&loop->timer);
    }

    if (loop->starved.posted) {
        ngx_delete_posted_event(&loop->starved);
    }
}


static int
ngx_comms_curl_loop_socket(CURL *easy, curl_socket_t s, int what, void *data,
    void *assigned)
{
    ngx_comms_curl_loop_t *loop = data;
    ngx_connection_t      *c = assigned;

    ngx_log_debug3(NGX_LOG_DEBUG_EVENT, loop->log, 0,
                   "comms curl socket:%d what:%d c:%p", (int) s, what, c);

    if (what == CURL_POLL_REMOVE) {
        if (c != NULL) {
            ngx_comms_curl_loop_release(c);
        }

        return 0;
    }

    if (c == NULL) {
        c = ngx_comms_curl_loop_connection(loop, easy, s);
        if (c == NULL) {
            return 0;
        }
    }

    if (ngx_comms_curl_loop_watch(c, what) != NGX_OK) {
        ngx_comms_curl_loop_starve(loop, easy);
    }

    return 0;
}


static ngx_connection_t *
ngx_comms_curl_loop_connection(ngx_comms_curl_loop_t *loop, CURL *easy,
    curl_socket_t s)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(s, loop->log);

    if (c == NULL) {
        /* logged by nginx, with "worker_connections" */
        ngx_comms_curl_loop_starve(loop, easy);
        return NULL;
    }

    c->data = loop;
    c->log = loop->log;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->read->handler = ngx_comms_curl_loop_ready;
    c->read->log = loop->log;
    c->write->handler = ngx_comms_curl_loop_ready;
    c->write->log = loop->log;

    (void) curl_multi_assign(loop->multi, s, c);

    return c;
}


/*
 * Level-triggered: curl does not read until EAGAIN, and would never hear
 * again of what it left.
 */

ngx_int_t
ngx_comms_curl_loop_watch(ngx_connection_t *c, int what)
{
    ngx_event_t  *rev, *wev;

    rev = c->read;
    wev = c->write;

    if (what & CURL_POLL_IN) {
        if (!rev->active
            && ngx_add_event(rev, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (rev->active
               && ngx_del_event(rev, NGX_READ_EVENT, 0) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (what & CURL_POLL_OUT) {
        if (!wev->active
            && ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT) != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (wev->active
               && ngx_del_event(wev, NGX_WRITE_EVENT, 0) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_comms_curl_loop_release(ngx_connection_t *c)
{
    /* a real deletion: the descriptor may live on among curl's connections */

    if (c->read->active || c->write->active) {

        if (ngx_del_conn) {
            (void) ngx_del_conn(c, 0);

        } else {
            if (c->read->active) {
                (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
            }

            if (c->write->active) {
                (void) ngx_del_event(c->write, NGX_WRITE_EVENT, 0);
            }
        }
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;
}


static void
ngx_comms_curl_loop_starve(ngx_comms_curl_loop_t *loop, CURL *easy)
{
    ngx_event_t                *ev;
    ngx_comms_curl_transfer_t  *t;

    t = NULL;

    (void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &t);

    if (t != NULL) {
        t->starved = 1;
        ev = &loop->starved;
        ngx_post_event(ev, &ngx_posted_events);
    }
}


static int
ngx_comms_curl_loop_arm(CURLM *multi, long ms, void *data)
{
    ngx_comms_curl_loop_t *loop = data;

    ngx_event_t  *ev;

    ev = &loop->timer;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (ms < 0) {
        if (ev->posted) {
            ngx_delete_posted_event(ev);
        }

        return 0;
    }

    if (ms == 0) {
        ngx_post_event(ev, &ngx_posted_events);
        return 0;
    }

    ev->cancelable = ngx_queue_empty(&loop->transfers) ? 1 : 0;
    ngx_add_timer(ev, (ngx_msec_t) ms);

    return 0;
}


static void
ngx_comms_curl_loop_ready(ngx_event_t *ev)
{
    int                     running;
    ngx_socket_t            s;
    ngx_connection_t       *c;
    ngx_comms_curl_loop_t  *loop;

    c = ev->data;
    loop = c->data;
    s = c->fd;

    (void) curl_multi_socket_action(loop->multi, s,
                                    ev->write ? CURL_CSELECT_OUT
                                              : CURL_CSELECT_IN,
                                    &running);

    ngx_comms_curl_loop_drain(loop);
}


static void
ngx_comms_curl_loop_expired(ngx_event_t *ev)
{
    int                     running;
    ngx_comms_curl_loop_t  *loop;

    loop = ev->data;

    (void) curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0,
                                    &running);

    ngx_comms_curl_loop_drain(loop);
}


static void
ngx_comms_curl_loop_starved(ngx_event_t *ev)
{
    ngx_queue_t                *q;
    ngx_comms_curl_loop_t      *loop;
    ngx_comms_curl_transfer_t  *t;

    loop = ev->data;

    /* from the start each time: a handler may end others */

    q = ngx_queue_head(&loop->transfers);

    while (q != ngx_queue_sentinel(&loop->transfers)) {
        t = ngx_queue_data(q, ngx_comms_curl_transfer_t, queue);

        if (!t->starved) {
            q = ngx_queue_next(q);
            continue;
        }

        t->ended(t, CURLE_OUT_OF_MEMORY);

        q = ngx_queue_head(&loop->transfers);
    }
}


static void
ngx_comms_curl_loop_drain(ngx_comms_curl_loop_t *loop)
{
    int                         left;
    CURLMsg                    *msg;
    CURLcode                    code;
    ngx_comms_curl_transfer_t  *t;

    for ( ;; ) {
        msg = curl_multi_info_read(loop->multi, &left);

        if (msg == NULL) {
            return;
        }

        if (msg->msg != CURLMSG_DONE) {
            continue;
        }

        t = NULL;
        code = msg->data.result;

        (void) curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
                                 (char **) &t);

        t->ended(t, code);
    }
}
