
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * "Prefer: wait=N" (RFC 7240): a request held until the thread has settled.
 */


#ifndef _NGX_HTTP_COMMS_WAIT_H_INCLUDED_
#define _NGX_HTTP_COMMS_WAIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <jansson.h>


/* in a worker: listens to what happens to threads */
ngx_int_t ngx_http_comms_wait_init_process(void);

/* seconds that the client wants to wait; 0: not at all */
ngx_uint_t ngx_http_comms_wait_wanted(ngx_http_request_t *r);

/*
 * Holds the request, whose count the caller has raised, until no channel of
 * the thread is "pending" or "seconds" have passed; then finalizes it: with
 * 200 and "accepted" and the thread's state, or with 202 and "accepted".
 * Takes over the reference to "accepted", also when it fails.
 */
ngx_int_t ngx_http_comms_wait(ngx_http_request_t *r, ngx_str_t *thread_id,
    json_t *accepted, ngx_uint_t seconds);


#endif /* _NGX_HTTP_COMMS_WAIT_H_INCLUDED_ */
