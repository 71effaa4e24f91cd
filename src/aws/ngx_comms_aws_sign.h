
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * AWS Signature Version 4.
 */


#ifndef _NGX_COMMS_AWS_SIGN_H_INCLUDED_
#define _NGX_COMMS_AWS_SIGN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_exchange.h>


typedef struct {
    ngx_str_t   access_key;
    ngx_str_t   secret_key;
    ngx_str_t   token;         /* empty: keys of a user, not of a session */
} ngx_comms_aws_keys_t;


typedef struct {
    ngx_comms_aws_keys_t  *keys;
    ngx_str_t              region;
    ngx_str_t              service;
    time_t                 time;
} ngx_comms_aws_scope_t;


/*
 * Adds X-Amz-Date, X-Amz-Security-Token (with a token) and Authorization to
 * a request that has all its other headers, Host included.  Path and args
 * are signed as they are sent: what has to be escaped in them is escaped
 * already.  "canonical", unless NULL, gets the canonical request.
 *
 * NGX_OK; NGX_DECLINED: something of it cannot stand in a header; NGX_ERROR:
 * out of memory.
 */
ngx_int_t ngx_comms_aws_sign(ngx_comms_request_t *rq,
    ngx_comms_aws_scope_t *scope, ngx_str_t *canonical);


#endif /* _NGX_COMMS_AWS_SIGN_H_INCLUDED_ */
