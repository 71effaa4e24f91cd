
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the loop and its transfers share.
 */


#ifndef _NGX_COMMS_CURL_PRIVATE_H_INCLUDED_
#define _NGX_COMMS_CURL_PRIVATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <curl/curl.h>
#include <curl/ngx_comms_curl_loop.h>


#define NGX_COMMS_CURL_SPARE  32


struct ngx_comms_curl_loop_s {
    void                      *unused[3];   /* what debug builds of nginx */
    ngx_socket_t               fd;          /* read through an event's data */

    CURLM                     *multi;
    CURL                      *spare[NGX_COMMS_CURL_SPARE];
    ngx_uint_t                 nspare;

    ngx_log_t                 *log;
    ngx_event_t                timer;
    ngx_event_t                starved;
    ngx_queue_t                transfers;
    ngx_comms_curl_network_t  *network;
};


struct ngx_comms_curl_transfer_s {
    ngx_queue_t                 queue;
    ngx_comms_curl_loop_t      *loop;
    CURL                       *easy;
    struct curl_slist          *headers;

    ngx_pool_t                 *pool;
    ngx_comms_answer_t          answer;
    size_t                      header_bytes;
    size_t                      size;        /* allocated for the body */

    ngx_comms_curl_transfer_pt  handler;
    void                       *data;

    unsigned                    added:1;
    unsigned                    starved:1;
    unsigned                    too_large:1;
};


/* takes it out of curl, calls its handler, and frees it */
void ngx_comms_curl_transfer_done(ngx_comms_curl_transfer_t *t, CURLcode code);


#endif /* _NGX_COMMS_CURL_PRIVATE_H_INCLUDED_ */
