
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#ifndef _NGX_HTTP_COMMS_INITIATE_H_INCLUDED_
#define _NGX_HTTP_COMMS_INITIATE_H_INCLUDED_


#include <http/ngx_http_comms_await.h>
#include <http/ngx_http_comms_initiate_check.h>
#include <ngx_http_comms_module.h>


/* a start request on its way */
typedef struct {
    ngx_http_comms_start_t    start;
    ngx_http_comms_await_t   *await;
    ngx_comms_engine_t       *engine;
    ngx_comms_project_t      *project;       /* NULL: unknown */
    json_t                   *body;
    json_t                   *record;        /* summary of what is written */

    ngx_str_t                 hash;          /* of the canonical body */
    size_t                    size;          /* of it, bytes */
    ngx_str_t                 conversation_id;
    ngx_uint_t                wait;          /* seconds; 0: not asked for */
} ngx_http_comms_initiate_t;


/* the person's address on a channel, with kind; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_comms_initiate_address(ngx_pool_t *pool,
    ngx_http_comms_start_t *start, ngx_uint_t channel, ngx_str_t *address);

/* inputs of store.admit and store.accept: new references, or NULL */
json_t *ngx_http_comms_initiate_admit_in(ngx_pool_t *pool,
    ngx_http_comms_initiate_t *in);
json_t *ngx_http_comms_initiate_accept_in(ngx_pool_t *pool,
    ngx_http_comms_initiate_t *in);

/*
 * What the answer needs of an input of store.accept, in the form of
 * "accepted" of store.admit: a new reference that shares nothing with it, or
 * NULL.
 */
json_t *ngx_http_comms_initiate_summary(json_t *document);

/* NGX_OK, or NGX_DECLINED with the error; "open": conversations now */
ngx_int_t ngx_http_comms_initiate_limits(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in, int64_t open,
    ngx_http_comms_error_t *error);

/* names of the channels in the set, in a new array; NULL: memory */
json_t *ngx_http_comms_channel_list(ngx_uint_t channels);


#endif /* _NGX_HTTP_COMMS_INITIATE_H_INCLUDED_ */
