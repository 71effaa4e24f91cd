
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a mail and the session with a relay that carries it share.
 */


#ifndef _NGX_COMMS_CURL_MAIL_PRIVATE_H_INCLUDED_
#define _NGX_COMMS_CURL_MAIL_PRIVATE_H_INCLUDED_


#include <curl/ngx_comms_curl_private.h>
#include <curl/ngx_comms_curl_mail.h>


/* of a reply; RFC 5321 4.5.3.1.5 has 512 octets for a line */
#define NGX_COMMS_CURL_LINE   1024
#define NGX_COMMS_CURL_REPLY  2048

/* "MAIL FROM:<...> SIZE=... BODY=8BITMIME"; RFC 5321 4.5.3.1.3 */
#define NGX_COMMS_CURL_PATH     256
#define NGX_COMMS_CURL_COMMAND  (NGX_COMMS_CURL_PATH + 128)


typedef struct ngx_comms_curl_session_s  ngx_comms_curl_session_t;


/* one mail on its way; the caller's handle */
struct ngx_comms_curl_mail_s {
    ngx_pool_t                  *pool;
    ngx_comms_curl_loop_t       *loop;
    ngx_comms_curl_relay_t      *relay;
    ngx_comms_mail_t            *envelope;
    ngx_comms_curl_session_t    *session;

    ngx_str_t                    text;      /* as it goes over the wire, its
                                               end included */
    ngx_msec_t                   deadline;  /* ngx_current_msec */
    ngx_comms_curl_transfer_pt   handler;
    void                        *data;

    unsigned                     eightbit:1;
    unsigned                     ended:1;   /* its end was on its way */
};


/* in the order of a session's life */
typedef enum {
    NGX_COMMS_CURL_CONNECTING = 0,  /* curl's: TCP, greeting, TLS, AUTH */
    NGX_COMMS_CURL_MAIL,
    NGX_COMMS_CURL_RCPT,
    NGX_COMMS_CURL_DATA,
    NGX_COMMS_CURL_TEXT,            /* the mail is being written */
    NGX_COMMS_CURL_END,
    NGX_COMMS_CURL_KEPT,            /* idle, for the next mail */
    NGX_COMMS_CURL_CLOSED           /* by an event that is posted */
} ngx_comms_curl_session_e;


struct ngx_comms_curl_session_s {
    void                        *unused[3]; /* what debug builds of nginx */
    ngx_socket_t                 fd;        /* read through an event's data */

    ngx_queue_t                  queue;     /* of the loop's sessions */
    ngx_comms_curl_loop_t       *owner;
    ngx_comms_curl_loop_t        loop;      /* its own, see session.c */
    ngx_comms_curl_transfer_t   *transfer;
    ngx_connection_t            *connection;
    ngx_pool_t                  *pool;

    ngx_comms_curl_relay_t      *relay;
    ngx_str_t                    username;
    ngx_str_t                    password;

    ngx_comms_curl_mail_t       *mail;      /* NULL: none */
    ngx_comms_curl_session_e     state;
    ngx_event_t                  timer;     /* of the mail, or of idleness */
    ngx_event_t                  close;

    ngx_uint_t                   code;      /* of the reply being read */
    size_t                       reply_len;
    size_t                       line_len;
    u_char                       reply[NGX_COMMS_CURL_REPLY];
    u_char                       line[NGX_COMMS_CURL_LINE];

    u_char                       command[NGX_COMMS_CURL_COMMAND];
    ngx_str_t                    out;       /* what is left to be written */

    unsigned                     more:1;    /* the reply has another line */
    unsigned                     used:1;    /* a mail went through before */
    unsigned                     size:1;    /* RFC 1870 */
    unsigned                     eightbit:1;    /* RFC 6152 */
    unsigned                     starved:1;
};


/* gives the mail a session, kept or new; NGX_OK or NGX_ERROR */
ngx_int_t ngx_comms_curl_session_take(ngx_comms_curl_mail_t *m);

/* the session has nothing to do with its mail any more, and ends */
void ngx_comms_curl_session_drop(ngx_comms_curl_session_t *s);

/* its mail is through: it waits for the next one, if that makes sense */
void ngx_comms_curl_session_keep(ngx_comms_curl_session_t *s);

/* the dialogue from MAIL on; the connection is ready */
void ngx_comms_curl_talk(ngx_comms_curl_session_t *s);

/* the handler of both of the connection's events */
void ngx_comms_curl_talk_event(ngx_event_t *ev);

/* "QUIT", if the socket takes it at once */
void ngx_comms_curl_talk_quit(ngx_comms_curl_session_t *s);

/*
 * One line of a reply, without its end.  NGX_OK: the reply is whole, see
 * s->code; NGX_AGAIN: it has more lines; NGX_ERROR: no SMTP.
 */
ngx_int_t ngx_comms_curl_talk_line(ngx_comms_curl_session_t *s, u_char *p,
    size_t len);

/*
 * The end of a mail: calls the handler and frees it.  "status" of 0 with the
 * static words of the failure: no reply decided.  The session, if it has one
 * still, is not touched but for its text being read.
 */
void ngx_comms_curl_mail_done(ngx_comms_curl_mail_t *m, ngx_uint_t status,
    const char *failure);


#endif /* _NGX_COMMS_CURL_MAIL_PRIVATE_H_INCLUDED_ */
