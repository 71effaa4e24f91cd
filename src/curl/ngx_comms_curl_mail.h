
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Mails are handed over to a relay by SMTP (RFC 5321), with STARTTLS
 * (RFC 3207) or implicit TLS (RFC 8314), and AUTH (RFC 4954).
 */


#ifndef _NGX_COMMS_CURL_MAIL_H_INCLUDED_
#define _NGX_COMMS_CURL_MAIL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_exchange.h>
#include <curl/ngx_comms_curl_loop.h>


typedef struct ngx_comms_curl_mail_s  ngx_comms_curl_mail_t;


/* strings are NUL-terminated, or empty; lives as long as the loop */
typedef struct {
    ngx_str_t     url;          /* "smtp://host:port", "smtps://host:port" */
    ngx_str_t     ca;           /* file of trusted certificates; empty: the
                                   system's */
    ngx_msec_t    timeout;      /* of a whole handing over, ms */
    ngx_uint_t    clear;        /* "smtp:" without STARTTLS */
} ngx_comms_curl_relay_t;


/*
 * Hands over the mail of rq->mail and rq->body, which must live until the
 * end.  Lines may end in LF or CRLF; CRLF is sent.  NULL when it could not
 * even be started: nothing was sent.
 *
 * The handler is called once, from an event, and the mail is gone already:
 *   COMPLETE   "status" is the reply that decided: 250 taken over, 4yz and
 *              5yz refused, at whatever command; "body" is its text without
 *              the code, its lines divided by LF
 *   UNSENT     the mail was not taken over, without such a reply: no
 *              connection, no TLS, connection lost before the mail's end
 *   UNKNOWN    the connection was lost, or the time was over, when the mail's
 *              end was on its way (RFC 5321 4.5.3.2.6, RFC 1047)
 */
ngx_comms_curl_mail_t *ngx_comms_curl_mail(ngx_comms_curl_loop_t *loop,
    ngx_comms_curl_relay_t *relay, ngx_comms_request_t *rq,
    ngx_comms_curl_transfer_pt handler, void *data);

/* ends it; its handler will not be called */
void ngx_comms_curl_mail_end(ngx_comms_curl_mail_t *m);


#endif /* _NGX_COMMS_CURL_MAIL_H_INCLUDED_ */
