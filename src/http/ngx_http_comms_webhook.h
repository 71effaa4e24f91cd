
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the webhook's files share: ngx_http_comms_webhook.c (whose it is),
 * ngx_http_comms_webhook_keep.c (what is in it becomes durable),
 * ngx_http_comms_webhook_media.c (the files in it too).
 */


#ifndef _NGX_HTTP_COMMS_WEBHOOK_H_INCLUDED_
#define _NGX_HTTP_COMMS_WEBHOOK_H_INCLUDED_


#include <http/ngx_http_comms_answer.h>
#include <http/ngx_http_comms_await.h>
#include <http/ngx_http_comms_initiate_check.h>
#include <ngx_http_comms_module.h>


typedef struct {
    ngx_comms_webhook_t       webhook;
    ngx_comms_provider_t     *provider;
    ngx_comms_engine_t       *engine;
    ngx_http_comms_await_t   *await;

    ngx_comms_credentials_t   verified;     /* the first that fits */
    ngx_str_t                 args;         /* of a handshake */
    ngx_str_t                 answer;       /* to it */
    json_t                   *names;        /* of all that fit */
    json_t                   *events;
    size_t                    next;         /* event to be looked at */
    size_t                    medium;       /* of that event */
    ngx_uint_t                batch;        /* reports that are being put */
} ngx_http_comms_inbound_t;


/* reads the verified webhook, keeps what is in it, and ends the request */
void ngx_http_comms_webhook_parse(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in);

/*
 * Keeps one message, its media first; NGX_OK: the request goes on by itself,
 * NGX_ERROR: memory.
 */
ngx_int_t ngx_http_comms_webhook_keep(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, json_t *event);

/*
 * The media of a message that have not been dealt with.  NGX_OK: none is
 * left; NGX_AGAIN: one is being written, and ngx_http_comms_webhook_keep()
 * will be called again; NGX_ERROR: memory.
 */
ngx_int_t ngx_http_comms_webhook_media(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, json_t *event);

/* an event could not be kept: the provider shall send the webhook again */
void ngx_http_comms_webhook_unkept(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in);

/* ends the request with an error */
void ngx_http_comms_webhook_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *message);


#endif /* _NGX_HTTP_COMMS_WEBHOOK_H_INCLUDED_ */
