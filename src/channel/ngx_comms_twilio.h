
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the files of the Twilio provider share; for them alone.
 */


#ifndef _NGX_COMMS_TWILIO_H_INCLUDED_
#define _NGX_COMMS_TWILIO_H_INCLUDED_


#include <channel/ngx_comms_channel.h>


typedef struct {
    ngx_uint_t          code;
    ngx_comms_send_e    verdict;
    const char         *label;     /* metric label */
    const char         *words;     /* for the operator */
    const char         *source;    /* where the meaning is known from */
} ngx_comms_twilio_error_t;


/* what is known about Twilio's error code, or NULL */
const ngx_comms_twilio_error_t *ngx_comms_twilio_error(ngx_uint_t code);

ngx_int_t ngx_comms_twilio_verify(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials);
ngx_int_t ngx_comms_twilio_parse(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials, json_t **events, const char **words);

ngx_int_t ngx_comms_twilio_check(json_t *credentials, const char **field,
    const char **words);

/* 1 when it is the two letters of "kind" and 32 hexadecimal digits */
ngx_uint_t ngx_comms_twilio_sid_valid(ngx_str_t *sid, const char *kind);


#endif /* _NGX_COMMS_TWILIO_H_INCLUDED_ */
