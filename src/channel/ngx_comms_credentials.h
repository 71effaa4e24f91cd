
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What every provider's check of its credentials asks.
 */


#ifndef _NGX_COMMS_CREDENTIALS_H_INCLUDED_
#define _NGX_COMMS_CREDENTIALS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>


#define NGX_COMMS_CREDENTIALS_MAX_SECRET  256


/* 1 when a string of min to 256 visible ASCII characters */
ngx_uint_t ngx_comms_credentials_secret(json_t *value, size_t min);

/* 1 when a string of min to max visible ASCII characters */
ngx_uint_t ngx_comms_credentials_visible(json_t *value, size_t min,
    size_t max);

/* 1 when an array of min to max of such strings, each of "len" or more */
ngx_uint_t ngx_comms_credentials_secrets(json_t *value, size_t min,
    size_t max, size_t len);

/* a member that is not in the list, which NULL ends; or NULL */
const char *ngx_comms_credentials_unknown(json_t *credentials,
    const char **members);


#endif /* _NGX_COMMS_CREDENTIALS_H_INCLUDED_ */
