
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the files of the SendGrid provider share; for them alone.
 */


#ifndef _NGX_COMMS_SENDGRID_H_INCLUDED_
#define _NGX_COMMS_SENDGRID_H_INCLUDED_


#include <channel/ngx_comms_channel.h>


typedef struct {
    ngx_uint_t          status;    /* HTTP status */
    const char         *field;     /* what "field" begins with; "" fits all */
    ngx_comms_send_e    verdict;
    const char         *label;     /* metric label */
    const char         *words;     /* for the operator */
    const char         *source;    /* where the meaning is known from */
} ngx_comms_sendgrid_error_t;


/* what is known about an error of that status and field; never NULL */
const ngx_comms_sendgrid_error_t *ngx_comms_sendgrid_error(
    ngx_uint_t status, ngx_str_t *field);

/* why SendGrid did not send a mail that it had taken over */
typedef struct {
    const char         *reason;    /* what "reason" begins with; "" fits all */
    ngx_comms_send_e    verdict;
    const char         *label;
    const char         *words;
} ngx_comms_sendgrid_drop_t;


/* never NULL */
const ngx_comms_sendgrid_drop_t *ngx_comms_sendgrid_drop(ngx_str_t *reason);

/* 1: the Event Webhook, by its content type; 0: Inbound Parse */
ngx_uint_t ngx_comms_sendgrid_is_events(ngx_comms_webhook_t *wh);

ngx_int_t ngx_comms_sendgrid_check(json_t *credentials, const char **field,
    const char **words);

ngx_int_t ngx_comms_sendgrid_verify(ngx_pool_t *pool,
    ngx_comms_webhook_t *wh, json_t *credentials);
ngx_int_t ngx_comms_sendgrid_parse(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials, json_t **events, const char **words);
ngx_int_t ngx_comms_sendgrid_attachment(ngx_pool_t *pool,
    ngx_comms_webhook_t *wh, ngx_uint_t part, ngx_str_t *bytes);

/* the Event Webhook's body; the returns are those of "parse" */
ngx_int_t ngx_comms_sendgrid_events(ngx_pool_t *pool, ngx_str_t *body,
    json_t **events, const char **words);


#endif /* _NGX_COMMS_SENDGRID_H_INCLUDED_ */
