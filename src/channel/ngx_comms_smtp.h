
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the files of the SMTP provider share, and what a mail system's words
 * about a mail mean, whoever brings them.
 */


#ifndef _NGX_COMMS_SMTP_H_INCLUDED_
#define _NGX_COMMS_SMTP_H_INCLUDED_


#include <channel/ngx_comms_channel.h>


typedef struct {
    const char         *status;    /* enhanced status code (RFC 3463), without
                                      its class: "1.1"; NULL: any */
    ngx_uint_t          code;      /* reply code (RFC 5321); 0: any */
    ngx_comms_send_e    verdict;   /* of a permanent failure */
    const char         *label;     /* metric label */
    const char         *words;     /* for the operator */
    const char         *source;    /* where the meaning is known from */
} ngx_comms_smtp_error_t;


/*
 * What is known about a failure.  "code" is the SMTP reply code or 0, "status"
 * the enhanced status code ("5.1.1") or empty.  Never NULL.
 */
const ngx_comms_smtp_error_t *ngx_comms_smtp_error(ngx_uint_t code,
    ngx_str_t *status);

/*
 * The first enhanced status code in a text: a class of 2, 4 or 5, a subject
 * and a detail of 1 to 3 digits each (RFC 3463 2).  NGX_OK with a view of it,
 * or NGX_DECLINED.
 */
ngx_int_t ngx_comms_smtp_status(ngx_str_t *text, ngx_str_t *status);

/* a verdict's name in an event: "refused", "config", ... */
const char *ngx_comms_smtp_verdict(ngx_comms_send_e verdict);

/*
 * Composes the whole mail (RFC 5322) into rq->body.  NGX_DECLINED with
 * *words: it cannot be sent this way.
 */
ngx_int_t ngx_comms_smtp_mail(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, ngx_comms_request_t *rq,
    const char **words);

ngx_int_t ngx_comms_smtp_verify(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials);
ngx_int_t ngx_comms_smtp_parse(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials, json_t **events, const char **words);
ngx_int_t ngx_comms_smtp_attachment(ngx_pool_t *pool,
    ngx_comms_webhook_t *wh, ngx_uint_t part, ngx_str_t *bytes);


#endif /* _NGX_COMMS_SMTP_H_INCLUDED_ */
