
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#ifndef _NGX_HTTP_COMMS_SNS_H_INCLUDED_
#define _NGX_HTTP_COMMS_SNS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* what "comms_sns" says in a location */
typedef struct {
    ngx_array_t   topics;      /* of ngx_str_t: ARNs */
    ngx_str_t     endpoint;    /* NUL-terminated; empty: SNS itself */
    ngx_uint_t    channels;    /* 1 << channel: whose copies are taken */
    ngx_uint_t    sha1;        /* signatures of version 1 are taken */
} ngx_http_comms_sns_conf_t;


/* content handler, set by "comms_sns" */
ngx_int_t ngx_http_comms_sns_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_COMMS_SNS_H_INCLUDED_ */
