
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A client request that waits for a backend.
 *
 * The request may go away at any moment; its cleanup then cancels what is in
 * flight, so no answer ever finds a dead request.  One operation at a time.
 * The caller has raised r->main->count for as long as it waits, and ends the
 * request with ngx_http_finalize_request().
 */


#ifndef _NGX_HTTP_COMMS_AWAIT_H_INCLUDED_
#define _NGX_HTTP_COMMS_AWAIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <jansson.h>
#include <base/ngx_comms_op.h>


typedef struct ngx_http_comms_await_s  ngx_http_comms_await_t;

/*
 * rc and answer (borrowed) of the operation; NGX_ABORT: it did not come home
 * in time, and may still take effect.  The request may be finalized.
 */
typedef void (*ngx_http_comms_await_pt)(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer);


/* NULL when out of memory */
ngx_http_comms_await_t *ngx_http_comms_await_create(ngx_http_request_t *r,
    void *data);

/* the operation to give to a backend; NULL when out of memory */
ngx_comms_op_t *ngx_http_comms_await_op(ngx_http_comms_await_t *aw,
    ngx_msec_t timeout, ngx_http_comms_await_pt handler);

/* 1 while an operation is in flight */
ngx_uint_t ngx_http_comms_awaiting(ngx_http_comms_await_t *aw);

/* the request ends when its client goes away, from now on */
ngx_int_t ngx_http_comms_await_client(ngx_http_request_t *r);

/* a document that lives as long as the request; takes over the reference */
ngx_int_t ngx_http_comms_keep_json(ngx_http_request_t *r, json_t *document);


#endif /* _NGX_HTTP_COMMS_AWAIT_H_INCLUDED_ */
