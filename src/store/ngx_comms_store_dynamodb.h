
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The store over DynamoDB, or an engine with its API.  The tables it needs
 * are described in ngx_comms_store_dynamodb.c.
 */


#ifndef _NGX_COMMS_STORE_DYNAMODB_H_INCLUDED_
#define _NGX_COMMS_STORE_DYNAMODB_H_INCLUDED_


#include <aws/ngx_comms_aws.h>
#include <guard/ngx_comms_zone.h>
#include <store/ngx_comms_store.h>


typedef enum {
    NGX_COMMS_STORE_SINGLE = 0,        /* one record for each thread */
    NGX_COMMS_STORE_PER_CHANNEL        /* one for each of its channels */
} ngx_comms_store_layout_e;


/* puts a queue entry, as "put" of a bus; "data" is the conf's */
typedef void (*ngx_comms_store_put_pt)(void *data, json_t *in,
    ngx_comms_op_t *op);


typedef struct {
    ngx_str_t                   table;
    ngx_comms_store_layout_e    layout;
    ngx_str_t                   inbound_table;
    ngx_str_t                   effects_table;    /* empty: in "table" */
    ngx_str_t                   consent_table;
    ngx_uint_t                  retention_days;   /* 0: for ever */
    ngx_comms_zone_t           *zone;

    /*
     * "data" may still be NULL when the store is made, and be set in
     * the configuration, which must live as long as the store, later.
     */
    ngx_comms_store_put_pt      put;
    void                       *data;
} ngx_comms_store_dynamodb_conf_t;


/*
 * At configuration time; NULL when out of memory.  The process functions of
 * the store do not start or end "aws".
 */
ngx_comms_store_t *ngx_comms_store_dynamodb(ngx_conf_t *cf,
    ngx_comms_aws_t *aws, ngx_comms_store_dynamodb_conf_t *conf);


#endif /* _NGX_COMMS_STORE_DYNAMODB_H_INCLUDED_ */
