
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * HTTP exchanges through libcurl on nginx's event loop.
 */


#ifndef _NGX_COMMS_CURL_LOOP_H_INCLUDED_
#define _NGX_COMMS_CURL_LOOP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_exchange.h>


#define NGX_COMMS_CURL_MAX_ANSWER  (2 * 1024 * 1024)


typedef struct ngx_comms_curl_loop_s      ngx_comms_curl_loop_t;
typedef struct ngx_comms_curl_transfer_s  ngx_comms_curl_transfer_t;


/* all of them NUL-terminated, or empty */
typedef struct {
    ngx_str_t   https_proxy;
    ngx_str_t   http_proxy;
    ngx_str_t   no_proxy;
    ngx_str_t   ca_bundle;
} ngx_comms_curl_network_t;


/*
 * Called once, from an event.  The answer lives until the handler returns,
 * and the transfer is gone already.
 */
typedef void (*ngx_comms_curl_transfer_pt)(void *data, ngx_comms_answer_t *an);


/*
 * What the environment says of proxies (https_proxy, http_proxy, all_proxy,
 * no_proxy, in capitals too, but for HTTP_PROXY, which a request of CGI can
 * set); in the master, as workers have no environment.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_comms_curl_network_read(ngx_pool_t *pool,
    ngx_comms_curl_network_t *network);

/* in a worker; NULL after logging; "network" must live as long as the loop */
ngx_comms_curl_loop_t *ngx_comms_curl_loop_create(ngx_cycle_t *cycle,
    ngx_comms_curl_network_t *network);

/* ends what is in flight; no handler is called */
void ngx_comms_curl_loop_destroy(ngx_comms_curl_loop_t *loop);

/*
 * Starts an exchange.  "url" is scheme, host and port ("https://host:8000"),
 * NUL-terminated; method, path, args, headers and body are the request's, and
 * the body must live until the end.  "direct": through no proxy.  "timeout"
 * (ms) is for all of it.
 *
 * NULL when it could not even be started.
 */
ngx_comms_curl_transfer_t *ngx_comms_curl_transfer(ngx_comms_curl_loop_t *loop,
    ngx_str_t *url, ngx_comms_request_t *rq, ngx_msec_t timeout,
    ngx_uint_t direct, ngx_comms_curl_transfer_pt handler, void *data);

/* ends it; its handler will not be called */
void ngx_comms_curl_transfer_end(ngx_comms_curl_transfer_t *t);


#endif /* _NGX_COMMS_CURL_LOOP_H_INCLUDED_ */
