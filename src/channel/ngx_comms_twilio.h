
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the files of the Twilio provider share; for them alone.
 */


#ifndef _NGX_COMMS_TWILIO_H_INCLUDED_
#define _NGX_COMMS_TWILIO_H_INCLUDED_


#include <channel/ngx_comms_channel.h>
#include <channel/ngx_comms_codes.h>


#define NGX_COMMS_TWILIO_MAX_SID   64
#define NGX_COMMS_TWILIO_MAX_CODE  999999


/* one end of a message: "+4477...", "whatsapp:+4477...", "whatsapp:US.1349" */
typedef struct {
    ngx_uint_t   channel;      /* NGX_COMMS_CHANNELS: none of ours */
    ngx_str_t    address;      /* with kind; empty when it is not usable */
} ngx_comms_twilio_party_t;


/* what is known about Twilio's error code, or NULL */
const ngx_comms_code_t *ngx_comms_twilio_error(ngx_uint_t code);

ngx_int_t ngx_comms_twilio_verify(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials);
ngx_int_t ngx_comms_twilio_parse(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials, json_t **events, const char **words);

/* does the form tell of a message of ours? */
ngx_uint_t ngx_comms_twilio_is_status(ngx_array_t *fields);

/*
 * The event of such a form: a new reference, unless it is NULL, whatever is
 * returned.  NGX_OK; NGX_DECLINED: the form has no To; NGX_ERROR: memory.
 */
ngx_int_t ngx_comms_twilio_status(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    ngx_array_t *fields, json_t **event);

/* the first field of that name; empty when absent */
ngx_str_t ngx_comms_twilio_field(ngx_array_t *fields, const char *name);

/* reads From or To; NGX_OK or NGX_ERROR (memory) */
ngx_int_t ngx_comms_twilio_read_party(ngx_pool_t *pool, ngx_str_t *value,
    ngx_comms_twilio_party_t *party);

/* a medium's URL with what authenticates, see ngx_comms_provider_t */
ngx_int_t ngx_comms_twilio_fetch(ngx_pool_t *pool, json_t *media,
    json_t *credentials, ngx_str_t *url, ngx_array_t *headers,
    ngx_uint_t *again);

ngx_int_t ngx_comms_twilio_check(json_t *credentials, const char **field,
    const char **words);

/* 1 when it is the two letters of "kind" and 32 hexadecimal digits */
ngx_uint_t ngx_comms_twilio_sid_valid(ngx_str_t *sid, const char *kind);


#endif /* _NGX_COMMS_TWILIO_H_INCLUDED_ */
