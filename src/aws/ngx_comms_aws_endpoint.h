
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Where a request goes.
 */


#ifndef _NGX_COMMS_AWS_ENDPOINT_H_INCLUDED_
#define _NGX_COMMS_AWS_ENDPOINT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_str_t   base;       /* "https://host:8000" */
    ngx_str_t   host;       /* as the Host header has it */
    ngx_str_t   name;       /* of the host alone, brackets of IPv6 taken off */
    ngx_str_t   path;       /* without the leading slash */
    ngx_str_t   args;
    unsigned    https:1;
} ngx_comms_aws_endpoint_t;


/*
 * Takes an http or https URL apart.  NGX_DECLINED: it is none, has a user or
 * a fragment, or characters that should be escaped; NGX_ERROR: out of memory.
 */
ngx_int_t ngx_comms_aws_endpoint_parse(ngx_pool_t *pool, ngx_str_t *url,
    ngx_comms_aws_endpoint_t *ep);

/* AWS's own endpoint of a service ("sqs") in a region */
ngx_int_t ngx_comms_aws_endpoint_regional(ngx_pool_t *pool,
    ngx_str_t *service, ngx_str_t *region, ngx_comms_aws_endpoint_t *ep);

/* 1 when it can stand in a host name: "eu-west-1" */
ngx_uint_t ngx_comms_aws_region_valid(ngx_str_t *region);

/*
 * 1 when credentials may be asked for there: https, or a loopback address,
 * or an address of the metadata services of containers.
 */
ngx_uint_t ngx_comms_aws_endpoint_local(ngx_comms_aws_endpoint_t *ep);


#endif /* _NGX_COMMS_AWS_ENDPOINT_H_INCLUDED_ */
