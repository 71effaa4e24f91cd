
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * One mail: from a request to the octets of RFC 5321 4.5.2, and from what
 * became of it to an answer.
 *
 * Invariants: no line of the mail can end it or pass for a command, whatever
 * its line ends are; an envelope that could is refused before a connection is
 * asked for.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <curl/ngx_comms_curl_mail_private.h>


static ngx_uint_t ngx_comms_curl_mail_path_safe(ngx_str_t *path);
static ngx_int_t ngx_comms_curl_mail_text(ngx_comms_curl_mail_t *m,
    ngx_str_t *body);
static size_t ngx_comms_curl_mail_write(ngx_str_t *body, u_char *out,
    ngx_uint_t *eightbit);
static void ngx_comms_curl_mail_free(ngx_comms_curl_mail_t *m);


ngx_comms_curl_mail_t *
ngx_comms_curl_mail(ngx_comms_curl_loop_t *loop,
    ngx_comms_curl_relay_t *relay, ngx_comms_request_t *rq,
    ngx_comms_curl_transfer_pt handler, void *data)
{
    ngx_pool_t             *pool;
    ngx_comms_curl_mail_t  *m;

    if (loop->multi == NULL
        || !ngx_comms_curl_mail_path_safe(&rq->mail->from)
        || !ngx_comms_curl_mail_path_safe(&rq->mail->to))
    {
        return NULL;
    }

    pool = ngx_create_pool(1024, loop->log);
    if (pool == NULL) {
        return NULL;
    }

    m = ngx_pcalloc(pool, sizeof(ngx_comms_curl_mail_t));
    if (m == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    m->pool = pool;
    m->loop = loop;
    m->relay = relay;
    m->envelope = rq->mail;
    m->deadline = ngx_current_msec + relay->timeout;
    m->handler = handler;
    m->data = data;

    if (ngx_comms_curl_mail_text(m, &rq->body) != NGX_OK
        || ngx_comms_curl_session_take(m) != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    return m;
}


/* printable ASCII without what ends a path (RFC 5321 4.1.2) */

static ngx_uint_t
ngx_comms_curl_mail_path_safe(ngx_str_t *path)
{
    size_t  i;

    if (path->len > NGX_COMMS_CURL_PATH - 2) {
        return 0;
    }

    for (i = 0; i < path->len; i++) {
        if (path->data[i] <= ' ' || path->data[i] >= 0x7f
            || path->data[i] == '<' || path->data[i] == '>')
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_comms_curl_mail_text(ngx_comms_curl_mail_t *m, ngx_str_t *body)
{
    ngx_uint_t  eightbit;

    m->text.len = ngx_comms_curl_mail_write(body, NULL, &eightbit);

    m->text.data = ngx_pnalloc(m->pool, m->text.len);
    if (m->text.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_comms_curl_mail_write(body, m->text.data, &eightbit);

    m->eightbit = eightbit;

    return NGX_OK;
}


/*
 * RFC 5321 4.5.2: a dot before a dot that begins a line, and the lone dot at
 * the end.  CR and LF occur as CRLF alone (2.3.8): a server that takes a bare
 * one for a line's end would see commands where a mail goes on.
 *
 * Returns the length; "out" may be NULL.
 */

static size_t
ngx_comms_curl_mail_write(ngx_str_t *body, u_char *out, ngx_uint_t *eightbit)
{
    u_char      ch;
    size_t      i, n;
    ngx_uint_t  begin;

    n = 0;
    begin = 1;
    *eightbit = 0;

#define ngx_comms_curl_mail_put(c)                                            \
    do { if (out != NULL) { out[n] = (c); } n++; } while (0)

    for (i = 0; i < body->len; i++) {
        ch = body->data[i];

        if (ch == CR || ch == LF) {
            if (ch == CR && i + 1 < body->len && body->data[i + 1] == LF) {
                i++;
            }

            ngx_comms_curl_mail_put(CR);
            ngx_comms_curl_mail_put(LF);
            begin = 1;
            continue;
        }

        if (begin && ch == '.') {
            ngx_comms_curl_mail_put('.');
        }

        if (ch >= 0x80) {
            *eightbit = 1;
        }

        ngx_comms_curl_mail_put(ch);
        begin = 0;
    }

    if (!begin) {
        ngx_comms_curl_mail_put(CR);
        ngx_comms_curl_mail_put(LF);
    }

    ngx_comms_curl_mail_put('.');
    ngx_comms_curl_mail_put(CR);
    ngx_comms_curl_mail_put(LF);

#undef ngx_comms_curl_mail_put

    return n;
}


void
ngx_comms_curl_mail_end(ngx_comms_curl_mail_t *m)
{
    if (m->session != NULL) {
        ngx_comms_curl_session_drop(m->session);
    }

    ngx_comms_curl_mail_free(m);
}


void
ngx_comms_curl_mail_done(ngx_comms_curl_mail_t *m, ngx_uint_t status,
    const char *failure)
{
    ngx_comms_answer_t         an;
    ngx_comms_curl_session_t  *s;

    ngx_memzero(&an, sizeof(ngx_comms_answer_t));

    s = m->session;

    if (status != 0) {
        an.outcome = NGX_COMMS_EXCHANGE_COMPLETE;
        an.status = status;

        if (s != NULL) {
            an.body.data = s->reply;
            an.body.len = s->reply_len;
        }

    } else {
        an.outcome = m->ended ? NGX_COMMS_EXCHANGE_UNKNOWN
                              : NGX_COMMS_EXCHANGE_UNSENT;
        an.failure = failure;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_EVENT, m->loop->log, 0,
                   "comms curl mail %p: status:%ui outcome:%d", m, status,
                   (int) an.outcome);

    m->handler(m->data, &an);

    ngx_comms_curl_mail_free(m);
}


static void
ngx_comms_curl_mail_free(ngx_comms_curl_mail_t *m)
{
    if (m->session != NULL) {
        m->session->mail = NULL;
    }

    ngx_destroy_pool(m->pool);
}
