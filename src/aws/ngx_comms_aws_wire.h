
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The services' wire protocols: documents to requests, answers to documents.
 */


#ifndef _NGX_COMMS_AWS_WIRE_H_INCLUDED_
#define _NGX_COMMS_AWS_WIRE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_exchange.h>
#include <aws/ngx_comms_aws.h>


typedef struct {
    ngx_str_t    name;          /* in host names and in the signature */
    ngx_str_t    target;        /* "AmazonSQS.", or empty: query protocol */
    ngx_str_t    content_type;
    ngx_str_t    version;       /* of the query protocol */
    ngx_uint_t   attempts;
    ngx_msec_t   base;          /* ms: the first delay behind a failure */
    unsigned     crc32:1;       /* answers come with X-Amz-Crc32 */
} ngx_comms_aws_protocol_t;


typedef struct {
    ngx_str_t    code;          /* "UnknownError" when the answer has none */
    ngx_str_t    message;
    json_t      *item;          /* of ReturnValuesOnConditionCheckFailure;
                                   a reference, or NULL */
} ngx_comms_aws_error_t;


ngx_comms_aws_protocol_t *ngx_comms_aws_protocol(
    ngx_comms_aws_service_e service);

/*
 * The body for an operation.  NGX_DECLINED: the document cannot be sent so
 * (the query protocol takes a flat object of strings, integers and
 * booleans); NGX_ERROR: out of memory.
 */
ngx_int_t ngx_comms_aws_wire_body(ngx_pool_t *pool,
    ngx_comms_aws_protocol_t *proto, const char *operation, json_t *in,
    ngx_str_t *body);

/*
 * The document of a good answer, a new reference.  NGX_DECLINED: damaged, or
 * not what the protocol says; NGX_ERROR: out of memory.
 *
 * Of the query protocol: the leaf elements of the result by their names; a
 * name that comes several times has an array.
 */
ngx_int_t ngx_comms_aws_wire_answer(ngx_pool_t *pool,
    ngx_comms_aws_protocol_t *proto, ngx_comms_answer_t *an, json_t **out);

/* what a refusal says; the strings are in the pool */
void ngx_comms_aws_wire_error(ngx_pool_t *pool,
    ngx_comms_aws_protocol_t *proto, ngx_comms_answer_t *an,
    ngx_comms_aws_error_t *error);


#endif /* _NGX_COMMS_AWS_WIRE_H_INCLUDED_ */
