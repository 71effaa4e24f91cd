
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A session with a mail relay: curl connects, then we talk.
 *
 * curl's own SMTP waits for the reply to a mail's end in a blocking way, for
 * as long as the relay takes to scan it.  So curl does what is asynchronous
 * in it, with CURLOPT_CONNECT_ONLY: name, TCP, greeting, EHLO, STARTTLS, AUTH;
 * then the connection is used by curl_easy_send() and curl_easy_recv(), see
 * ngx_comms_curl_talk.c.
 *
 *   take -> CONNECTING -> talk -> KEPT -> talk -> KEPT -> CLOSED
 *
 * Invariants:
 *   1. A session has a multi handle of its own.  In a shared one, curl takes
 *      a connection that is in nobody's hands and has something to be read
 *      for dead, and closes it whenever another one is made.
 *   2. It is freed by a posted event alone: its handlers are called from
 *      within its own loop.
 *   3. A kept session takes none of the worker's connections, and does not
 *      hold a worker that wants to exit.
 *   4. Only a session that was kept may be found closed by the other side
 *      without that being a failure: a mail whose first command was not
 *      accepted yet gets another session then.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <curl/ngx_comms_curl_mail_private.h>


/* relays close after five minutes at the earliest (RFC 5321 4.5.3.2.7) */
#define NGX_COMMS_CURL_IDLE  10000


static ngx_comms_curl_session_t *ngx_comms_curl_session_find(
    ngx_comms_curl_mail_t *m);
static ngx_comms_curl_session_t *ngx_comms_curl_session_create(
    ngx_comms_curl_mail_t *m);
static ngx_int_t ngx_comms_curl_session_copy(ngx_pool_t *pool,
    ngx_str_t *from, ngx_str_t *to);
static ngx_int_t ngx_comms_curl_session_connect(ngx_comms_curl_session_t *s);
static ngx_int_t ngx_comms_curl_session_options(ngx_comms_curl_session_t *s,
    CURL *easy);
static size_t ngx_comms_curl_session_line(char *text, size_t size, size_t n,
    void *data);
static void ngx_comms_curl_session_connected(ngx_comms_curl_transfer_t *t,
    CURLcode code);
static void ngx_comms_curl_session_failed(ngx_comms_curl_session_t *s,
    CURLcode code);
static ngx_int_t ngx_comms_curl_session_attach(ngx_comms_curl_session_t *s);
static void ngx_comms_curl_session_late(ngx_event_t *ev);
static void ngx_comms_curl_session_closing(ngx_event_t *ev);
static void ngx_comms_curl_session_free(ngx_comms_curl_session_t *s);


ngx_int_t
ngx_comms_curl_session_take(ngx_comms_curl_mail_t *m)
{
    ngx_msec_int_t             left;
    ngx_comms_curl_session_t  *s;

    left = (ngx_msec_int_t) (m->deadline - ngx_current_msec);
    left = ngx_max(left, 1);

    s = ngx_comms_curl_session_find(m);

    if (s != NULL) {
        if (s->timer.timer_set) {
            ngx_del_timer(&s->timer);
        }

        s->mail = m;
        m->session = s;

        if (ngx_comms_curl_session_attach(s) == NGX_OK) {
            s->timer.cancelable = 0;
            ngx_add_timer(&s->timer, (ngx_msec_t) left);
            ngx_comms_curl_talk(s);
            return NGX_OK;
        }

        ngx_comms_curl_session_drop(s);
        return NGX_ERROR;
    }

    s = ngx_comms_curl_session_create(m);
    if (s == NULL) {
        return NGX_ERROR;
    }

    s->mail = m;
    m->session = s;

    if (ngx_comms_curl_session_connect(s) != NGX_OK) {
        ngx_comms_curl_session_drop(s);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* one with the same relay, as the same user */

static ngx_comms_curl_session_t *
ngx_comms_curl_session_find(ngx_comms_curl_mail_t *m)
{
    ngx_str_t                 *username, *password;
    ngx_queue_t               *q;
    ngx_comms_curl_session_t  *s;

    username = &m->envelope->username;
    password = &m->envelope->password;

    for (q = ngx_queue_head(&m->loop->sessions);
         q != ngx_queue_sentinel(&m->loop->sessions);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_comms_curl_session_t, queue);

        if (s->state == NGX_COMMS_CURL_KEPT
            && s->relay == m->relay
            && s->username.len == username->len
            && s->password.len == password->len
            && ngx_memcmp(s->username.data, username->data, username->len)
               == 0
            && ngx_memcmp(s->password.data, password->data, password->len)
               == 0)
        {
            return s;
        }
    }

    return NULL;
}


static ngx_comms_curl_session_t *
ngx_comms_curl_session_create(ngx_comms_curl_mail_t *m)
{
    ngx_pool_t                *pool;
    ngx_comms_curl_session_t  *s;

    pool = ngx_create_pool(1024, m->loop->log);
    if (pool == NULL) {
        return NULL;
    }

    s = ngx_pcalloc(pool, sizeof(ngx_comms_curl_session_t));

    if (s == NULL
        || ngx_comms_curl_session_copy(pool, &m->envelope->username,
                                       &s->username) != NGX_OK
        || ngx_comms_curl_session_copy(pool, &m->envelope->password,
                                       &s->password) != NGX_OK
        || ngx_comms_curl_loop_open(&s->loop, m->loop->log, 1) != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    s->fd = (ngx_socket_t) -1;
    s->pool = pool;
    s->owner = m->loop;
    s->relay = m->relay;
    s->loop.network = m->loop->network;

    s->timer.handler = ngx_comms_curl_session_late;
    s->timer.data = s;
    s->timer.log = m->loop->log;

    s->close.handler = ngx_comms_curl_session_closing;
    s->close.data = s;
    s->close.log = m->loop->log;

    ngx_queue_insert_tail(&m->loop->sessions, &s->queue);

    return s;
}


/* with a NUL behind it */

static ngx_int_t
ngx_comms_curl_session_copy(ngx_pool_t *pool, ngx_str_t *from, ngx_str_t *to)
{
    to->len = from->len;
    to->data = ngx_pcalloc(pool, from->len + 1);

    if (to->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(to->data, from->data, from->len);

    return NGX_OK;
}


static ngx_int_t
ngx_comms_curl_session_connect(ngx_comms_curl_session_t *s)
{
    ngx_comms_curl_transfer_t  *t;

    t = ngx_comms_curl_transfer_create(&s->loop);
    if (t == NULL) {
        return NGX_ERROR;
    }

    t->ended = ngx_comms_curl_session_connected;
    t->data = s;
    s->transfer = t;

    if (ngx_comms_curl_session_options(s, t->easy) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_curl_transfer_add(t);
}


static ngx_int_t
ngx_comms_curl_session_options(ngx_comms_curl_session_t *s, CURL *easy)
{
    long                     timeout;
    ngx_msec_int_t           left;
    ngx_comms_curl_relay_t  *relay;

    relay = s->relay;

    left = (ngx_msec_int_t) (s->mail->deadline - ngx_current_msec);
    timeout = (long) ngx_max(left, 1);

    if (curl_easy_setopt(easy, CURLOPT_PRIVATE, s->transfer)
        || curl_easy_setopt(easy, CURLOPT_URL, (char *) relay->url.data)
        || curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps")
        || curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L)
        || curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L)
        || curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L)
        || curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout)
        || curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout)
        || curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L)
        || curl_easy_setopt(easy, CURLOPT_PROXY, "")
        || curl_easy_setopt(easy, CURLOPT_USE_SSL,
                            (long) (relay->clear ? CURLUSESSL_NONE
                                                 : CURLUSESSL_ALL))
        || curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION,
                            ngx_comms_curl_session_line)
        || curl_easy_setopt(easy, CURLOPT_HEADERDATA, s))
    {
        return NGX_ERROR;
    }

    if (relay->ca.len
        && curl_easy_setopt(easy, CURLOPT_CAINFO, (char *) relay->ca.data))
    {
        return NGX_ERROR;
    }

    if (s->username.len == 0) {
        return NGX_OK;
    }

    /* a name with "@" would make curl try Kerberos, where it is offered */

    if (curl_easy_setopt(easy, CURLOPT_USERNAME, (char *) s->username.data)
        || curl_easy_setopt(easy, CURLOPT_PASSWORD,
                            (char *) s->password.data)
        || curl_easy_setopt(easy, CURLOPT_LOGIN_OPTIONS,
                            "AUTH=CRAM-MD5;AUTH=PLAIN;AUTH=LOGIN"))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* curl passes replies on line by line; those to EHLO name extensions */

static size_t
ngx_comms_curl_session_line(char *text, size_t size, size_t n, void *data)
{
    ngx_comms_curl_session_t *s = data;

    size_t   len;
    u_char  *p;

    len = size * n;
    p = (u_char *) text;

    while (len != 0 && (p[len - 1] == CR || p[len - 1] == LF)) {
        len--;
    }

    /* what is no reply is curl's to complain about */
    (void) ngx_comms_curl_talk_line(s, p, len);

    if (s->code == 220) {
        /* what was said before TLS may have been put in by anybody */
        s->size = 0;
        s->eightbit = 0;

    } else if (s->code == 250 && len >= 8
               && ngx_strncasecmp(p + 4, (u_char *) "SIZE", 4) == 0)
    {
        s->size = 1;

    } else if (s->code == 250 && len >= 12
               && ngx_strncasecmp(p + 4, (u_char *) "8BITMIME", 8) == 0)
    {
        s->eightbit = 1;
    }

    return size * n;
}


static void
ngx_comms_curl_session_connected(ngx_comms_curl_transfer_t *t, CURLcode code)
{
    ngx_msec_int_t             left;
    ngx_comms_curl_session_t  *s;

    s = t->data;

    ngx_log_debug2(NGX_LOG_DEBUG_EVENT, t->loop->log, 0,
                   "comms curl session %p: curl:%d", s, (int) code);

    if (s->state != NGX_COMMS_CURL_CONNECTING) {
        return;
    }

    if (code != CURLE_OK) {
        ngx_comms_curl_session_failed(s, code);
        return;
    }

    if (ngx_comms_curl_session_attach(s) != NGX_OK) {
        t->starved = 1;
        ngx_comms_curl_session_failed(s, CURLE_OUT_OF_MEMORY);
        return;
    }

    left = (ngx_msec_int_t) (s->mail->deadline - ngx_current_msec);
    ngx_add_timer(&s->timer, (ngx_msec_t) ngx_max(left, 1));

    ngx_comms_curl_talk(s);
}


static void
ngx_comms_curl_session_failed(ngx_comms_curl_session_t *s, CURLcode code)
{
    const char             *failure;
    ngx_uint_t              status;
    ngx_comms_curl_mail_t  *m;

    m = s->mail;

    /* of the greeting, EHLO, STARTTLS or AUTH: that is why */
    status = (s->code >= 400 && s->code <= 599 && !s->more) ? s->code : 0;

    if (s->transfer->starved) {
        failure = "no connection left (worker_connections)";
        status = 0;

    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        failure = "timed out";

    } else {
        failure = curl_easy_strerror(code);
    }

    ngx_comms_curl_mail_done(m, status, failure);
    ngx_comms_curl_session_drop(s);
}


/* the descriptor is curl's, which watches it no more */

static ngx_int_t
ngx_comms_curl_session_attach(ngx_comms_curl_session_t *s)
{
    curl_socket_t      fd;
    ngx_connection_t  *c;

    if (curl_easy_getinfo(s->transfer->easy, CURLINFO_ACTIVESOCKET, &fd)
        || fd == CURL_SOCKET_BAD)
    {
        return NGX_ERROR;
    }

    c = ngx_get_connection(fd, s->owner->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = s;
    c->log = s->owner->log;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->read->handler = ngx_comms_curl_talk_event;
    c->read->log = c->log;
    c->write->handler = ngx_comms_curl_talk_event;
    c->write->log = c->log;

    s->connection = c;

    return NGX_OK;
}


void
ngx_comms_curl_session_keep(ngx_comms_curl_session_t *s)
{
    if (ngx_exiting || ngx_terminate) {
        ngx_comms_curl_talk_quit(s);
        ngx_comms_curl_session_drop(s);
        return;
    }

    ngx_comms_curl_loop_release(s->connection);
    s->connection = NULL;

    s->state = NGX_COMMS_CURL_KEPT;
    s->used = 1;
    s->timer.cancelable = 1;

    ngx_add_timer(&s->timer, NGX_COMMS_CURL_IDLE);
}


void
ngx_comms_curl_session_drop(ngx_comms_curl_session_t *s)
{
    if (s->mail != NULL) {
        s->mail->session = NULL;
        s->mail = NULL;
    }

    if (s->state == NGX_COMMS_CURL_CLOSED) {
        return;
    }

    s->state = NGX_COMMS_CURL_CLOSED;

    if (s->timer.timer_set) {
        ngx_del_timer(&s->timer);
    }

    if (s->connection != NULL) {
        ngx_comms_curl_loop_release(s->connection);
        s->connection = NULL;
    }

    ngx_post_event(&s->close, &ngx_posted_events);
}


static void
ngx_comms_curl_session_late(ngx_event_t *ev)
{
    ngx_comms_curl_session_t  *s;

    s = ev->data;

    if (s->state == NGX_COMMS_CURL_KEPT) {
        ngx_comms_curl_talk_quit(s);

    } else if (s->mail != NULL) {
        ngx_comms_curl_mail_done(s->mail, 0, "timed out");
    }

    ngx_comms_curl_session_drop(s);
}


static void
ngx_comms_curl_session_closing(ngx_event_t *ev)
{
    ngx_comms_curl_session_free(ev->data);
}


static void
ngx_comms_curl_session_free(ngx_comms_curl_session_t *s)
{
    ngx_queue_remove(&s->queue);

    if (s->timer.timer_set) {
        ngx_del_timer(&s->timer);
    }

    if (s->close.posted) {
        ngx_delete_posted_event(&s->close);
    }

    if (s->connection != NULL) {
        ngx_comms_curl_loop_release(s->connection);
    }

    /* ends the transfer, too */
    ngx_comms_curl_loop_close(&s->loop);

    ngx_explicit_memzero(s->password.data, s->password.len);
    ngx_destroy_pool(s->pool);
}


void
ngx_comms_curl_sessions_close(ngx_comms_curl_loop_t *loop)
{
    ngx_queue_t               *q;
    ngx_comms_curl_session_t  *s;

    while (!ngx_queue_empty(&loop->sessions)) {
        q = ngx_queue_head(&loop->sessions);
        s = ngx_queue_data(q, ngx_comms_curl_session_t, queue);

        if (s->mail != NULL) {
            s->mail->session = NULL;
            ngx_comms_curl_mail_end(s->mail);
        }

        ngx_comms_curl_session_free(s);
    }
}
