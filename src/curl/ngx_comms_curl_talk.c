
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The dialogue of a mail, RFC 5321 3.3: MAIL, RCPT, DATA, the text, its end.
 *
 * What a mail's fate is, at each of its points:
 *
 *   a reply of 4yz or 5yz                    it is the answer
 *   lost or late before the text's end       not taken over: unsent
 *   lost or late from the text's end on      nobody knows: unknown
 *   a reply to its end                       it is the answer
 *
 * So the end of the text, ".", is written by itself, after all the rest of it
 * has been: until then a server has nothing that it could deliver.
 *
 * A session that a mail was refused in is not used again; neither is one
 * whose other side says more than it was asked for.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <base/ngx_comms_text.h>
#include <curl/ngx_comms_curl_mail_private.h>


#define NGX_COMMS_CURL_END_LEN  (sizeof("." CRLF) - 1)


static void ngx_comms_curl_talk_read(ngx_comms_curl_session_t *s);
static ngx_int_t ngx_comms_curl_talk_lines(ngx_comms_curl_session_t *s);
static void ngx_comms_curl_talk_reply(ngx_comms_curl_session_t *s);
static void ngx_comms_curl_talk_write(ngx_comms_curl_session_t *s);
static ngx_int_t ngx_comms_curl_talk_send(ngx_comms_curl_session_t *s);
static void ngx_comms_curl_talk_next(ngx_comms_curl_session_t *s,
    ngx_comms_curl_session_e state);
static void ngx_comms_curl_talk_over(ngx_comms_curl_session_t *s,
    ngx_uint_t status, const char *failure);
static ngx_uint_t ngx_comms_curl_talk_again(ngx_comms_curl_session_t *s,
    ngx_uint_t status);


void
ngx_comms_curl_talk(ngx_comms_curl_session_t *s)
{
    s->line_len = 0;
    s->reply_len = 0;
    s->more = 0;

    ngx_comms_curl_talk_next(s, NGX_COMMS_CURL_MAIL);

    /*
     * From the connection's own event: whoever asked for the session has not
     * returned yet, and a kept one may turn out to be dead.  A socket can be
     * written to as a rule, so the event comes at once.
     */

    if (ngx_comms_curl_loop_watch(s->connection, CURL_POLL_INOUT) != NGX_OK) {
        ngx_post_event(s->connection->write, &ngx_posted_events);
    }
}


void
ngx_comms_curl_talk_event(ngx_event_t *ev)
{
    ngx_connection_t          *c;
    ngx_comms_curl_session_t  *s;

    c = ev->data;
    s = c->data;

    /* what has been said counts before anything is written */

    ngx_comms_curl_talk_read(s);

    if (s->connection != NULL && s->out.len != 0) {
        ngx_comms_curl_talk_write(s);
    }

    if (s->connection != NULL
        && ngx_comms_curl_loop_watch(s->connection,
                                     s->out.len != 0 ? CURL_POLL_INOUT
                                                     : CURL_POLL_IN)
           != NGX_OK)
    {
        ngx_comms_curl_talk_over(s, 0, "cannot watch the connection");
    }
}


static void
ngx_comms_curl_talk_read(ngx_comms_curl_session_t *s)
{
    size_t    n;
    CURLcode  code;

    for ( ;; ) {
        if (s->line_len == NGX_COMMS_CURL_LINE) {
            ngx_comms_curl_talk_over(s, 0, "reply is too long");
            return;
        }

        n = 0;
        code = curl_easy_recv(s->transfer->easy, s->line + s->line_len,
                              NGX_COMMS_CURL_LINE - s->line_len, &n);

        if (code == CURLE_AGAIN) {
            return;
        }

        if (code != CURLE_OK || n == 0) {
            ngx_comms_curl_talk_over(s, 0, "connection was closed");
            return;
        }

        s->line_len += n;

        if (ngx_comms_curl_talk_lines(s) != NGX_OK) {
            return;
        }
    }
}


/* NGX_DONE: the session has nothing to do with its connection any more */

static ngx_int_t
ngx_comms_curl_talk_lines(ngx_comms_curl_session_t *s)
{
    size_t      len, used;
    u_char     *lf;
    ngx_int_t   rc;

    for ( ;; ) {
        lf = ngx_strlchr(s->line, s->line + s->line_len, LF);
        if (lf == NULL) {
            return NGX_OK;
        }

        used = lf + 1 - s->line;
        len = lf - s->line;

        if (len != 0 && s->line[len - 1] == CR) {
            len--;
        }

        rc = ngx_comms_curl_talk_line(s, s->line, len);

        s->line_len -= used;
        ngx_memmove(s->line, s->line + used, s->line_len);

        if (rc == NGX_ERROR) {
            ngx_comms_curl_talk_over(s, 0, "reply is no SMTP");
            return NGX_DONE;
        }

        if (rc == NGX_OK) {
            ngx_comms_curl_talk_reply(s);

            if (s->connection == NULL) {
                return NGX_DONE;
            }
        }
    }
}


/* RFC 5321 4.2: three digits, "-" when more lines follow, text */

ngx_int_t
ngx_comms_curl_talk_line(ngx_comms_curl_session_t *s, u_char *p, size_t len)
{
    size_t     room;
    ngx_int_t  code;

    if (len < 3 || (len > 3 && p[3] != '-' && p[3] != ' ')) {
        return NGX_ERROR;
    }

    code = ngx_atoi(p, 3);

    if (code < 200 || code > 599) {
        return NGX_ERROR;
    }

    if (!s->more) {
        s->reply_len = 0;

    } else if ((ngx_uint_t) code != s->code) {
        return NGX_ERROR;
    }

    if (s->reply_len != 0 && s->reply_len < NGX_COMMS_CURL_REPLY) {
        s->reply[s->reply_len++] = LF;
    }

    if (len > 4) {
        room = ngx_min(len - 4, NGX_COMMS_CURL_REPLY - s->reply_len);
        ngx_memcpy(s->reply + s->reply_len, p + 4, room);
        s->reply_len += room;
    }

    s->code = (ngx_uint_t) code;
    s->more = (len > 3 && p[3] == '-');

    return s->more ? NGX_AGAIN : NGX_OK;
}


static void
ngx_comms_curl_talk_reply(ngx_comms_curl_session_t *s)
{
    ngx_uint_t  kind;

    ngx_log_debug3(NGX_LOG_DEBUG_EVENT, s->owner->log, 0,
                   "comms curl session %p: state:%d reply:%ui", s,
                   (int) s->state, s->code);

    kind = s->code / 100;

    if (kind >= 4) {
        ngx_comms_curl_talk_over(s, s->code, NULL);
        return;
    }

    switch (s->state) {

    case NGX_COMMS_CURL_MAIL:
        if (kind == 2 && s->out.len == 0) {
            ngx_comms_curl_talk_next(s, NGX_COMMS_CURL_RCPT);
            return;
        }

        break;

    case NGX_COMMS_CURL_RCPT:
        if (kind == 2 && s->out.len == 0) {
            ngx_comms_curl_talk_next(s, NGX_COMMS_CURL_DATA);
            return;
        }

        break;

    case NGX_COMMS_CURL_DATA:
        if (kind == 3 && s->out.len == 0) {
            ngx_comms_curl_talk_next(s, NGX_COMMS_CURL_TEXT);
            return;
        }

        break;

    case NGX_COMMS_CURL_END:
        if (kind == 2 && s->out.len == 0) {
            ngx_comms_curl_talk_over(s, s->code, NULL);
            return;
        }

        break;

    default:
        break;
    }

    ngx_comms_curl_talk_over(s, 0, "reply does not belong there");
}


/* what is to be said in the state; it is written when the socket takes it */

static void
ngx_comms_curl_talk_next(ngx_comms_curl_session_t *s,
    ngx_comms_curl_session_e state)
{
    u_char                 *p, *last;
    ngx_comms_curl_mail_t  *m;

    m = s->mail;
    p = s->command;
    last = p + NGX_COMMS_CURL_COMMAND;

    s->state = state;

    switch (state) {

    case NGX_COMMS_CURL_MAIL:
        p = ngx_slprintf(p, last, "MAIL FROM:<%V>", &m->envelope->from);

        if (s->size) {
            p = ngx_slprintf(p, last, " SIZE=%uz", m->text.len);
        }

        if (s->eightbit && m->eightbit) {
            p = ngx_slprintf(p, last, " BODY=8BITMIME");
        }

        break;

    case NGX_COMMS_CURL_RCPT:
        p = ngx_slprintf(p, last, "RCPT TO:<%V>", &m->envelope->to);
        break;

    case NGX_COMMS_CURL_DATA:
        p = ngx_slprintf(p, last, "DATA");
        break;

    case NGX_COMMS_CURL_TEXT:
        s->out.data = m->text.data;
        s->out.len = m->text.len - NGX_COMMS_CURL_END_LEN;

        if (s->out.len != 0) {
            return;
        }

        s->state = NGX_COMMS_CURL_END;

        /* fall through */

    default: /* NGX_COMMS_CURL_END */
        s->out.data = m->text.data + m->text.len - NGX_COMMS_CURL_END_LEN;
        s->out.len = NGX_COMMS_CURL_END_LEN;
        return;
    }

    p = ngx_slprintf(p, last, CRLF);

    s->out.data = s->command;
    s->out.len = p - s->command;
}


static void
ngx_comms_curl_talk_write(ngx_comms_curl_session_t *s)
{
    ngx_int_t  rc;

    do {
        rc = ngx_comms_curl_talk_send(s);

        if (rc == NGX_ERROR) {
            ngx_comms_curl_talk_over(s, 0, "connection was closed");
            return;
        }

        if (rc == NGX_OK && s->state == NGX_COMMS_CURL_TEXT) {
            ngx_comms_curl_talk_next(s, NGX_COMMS_CURL_END);
        }

    } while (rc == NGX_OK && s->out.len != 0);
}


/* NGX_OK: all of it has left */

static ngx_int_t
ngx_comms_curl_talk_send(ngx_comms_curl_session_t *s)
{
    size_t    n;
    CURLcode  code;

    while (s->out.len != 0) {

        if (s->state == NGX_COMMS_CURL_END) {
            s->mail->ended = 1;
        }

        n = 0;
        code = curl_easy_send(s->transfer->easy, s->out.data, s->out.len, &n);

        if (code == CURLE_AGAIN) {
            return NGX_AGAIN;
        }

        if (code != CURLE_OK) {
            return NGX_ERROR;
        }

        s->out.data += n;
        s->out.len -= n;
    }

    return NGX_OK;
}


void
ngx_comms_curl_talk_quit(ngx_comms_curl_session_t *s)
{
    size_t  n;

    static const char  quit[] = "QUIT" CRLF;

    (void) curl_easy_send(s->transfer->easy, quit, sizeof(quit) - 1, &n);
}


static void
ngx_comms_curl_talk_over(ngx_comms_curl_session_t *s, ngx_uint_t status,
    const char *failure)
{
    ngx_uint_t              keep;
    ngx_comms_curl_mail_t  *m;

    m = s->mail;

    if (ngx_comms_curl_talk_again(s, status)) {
        ngx_comms_curl_session_drop(s);

        if (ngx_comms_curl_session_take(m) != NGX_OK) {
            ngx_comms_curl_mail_done(m, 0, "no session could be made");
        }

        return;
    }

    if (s->timer.timer_set) {
        ngx_del_timer(&s->timer);
    }

    keep = (status / 100 == 2 && s->line_len == 0);

    ngx_comms_curl_mail_done(m, status, failure);

    if (keep) {
        ngx_comms_curl_session_keep(s);
        return;
    }

    if (status != 0) {
        ngx_comms_curl_talk_quit(s);
    }

    ngx_comms_curl_session_drop(s);
}


/* a session that was kept, and that the relay has left meanwhile */

static ngx_uint_t
ngx_comms_curl_talk_again(ngx_comms_curl_session_t *s, ngx_uint_t status)
{
    return s->used && s->state == NGX_COMMS_CURL_MAIL
           && (status == 0 || status == 421);
}
