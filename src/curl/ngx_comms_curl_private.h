
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
    ngx_queue_t                sessions;    /* with mail relays */
    ngx_comms_curl_network_t  *network;
};


/* what the loop calls when curl is through with a transfer */
typedef void (*ngx_comms_curl_ended_pt)(ngx_comms_curl_transfer_t *t,
    CURLcode code);


struct ngx_comms_curl_transfer_s {
    ngx_queue_t                 queue;
    ngx_comms_curl_loop_t      *loop;
    CURL                       *easy;
    struct curl_slist          *headers;

    ngx_pool_t                 *pool;
    ngx_comms_answer_t          answer;
    size_t                      header_bytes;
    size_t                      size;        /* allocated for the body */
    size_t                      max_size;    /* of the body */
    ngx_array_t                *allow;       /* of ngx_cidr_t, of a fetch */

    ngx_comms_curl_ended_pt     ended;
    ngx_comms_curl_transfer_pt  handler;
    void                       *data;

    unsigned                    added:1;
    unsigned                    starved:1;
    unsigned                    too_large:1;
    unsigned                    whole:1;     /* curl ended it well */
    unsigned                    clear:1;     /* a fetch without TLS */
    unsigned                    forbidden:1; /* an address was */
};


/*
 * A loop in the memory given; one transfer of it cannot see another one's
 * connections.  NGX_OK, or NGX_ERROR with nothing left to close.  A loop is
 * never closed by a handler of one of its transfers.
 */
ngx_int_t ngx_comms_curl_loop_open(ngx_comms_curl_loop_t *loop, ngx_log_t *log,
    long connections);
void ngx_comms_curl_loop_close(ngx_comms_curl_loop_t *loop);

/*
 * The parts of a transfer: one that is in the loop's list and has a handle
 * without options (NULL when out of memory); the options of a GET of a whole
 * URL with the headers of "rq"; giving it to curl; taking it out of curl and
 * the list; freeing it.
 */
ngx_comms_curl_transfer_t *ngx_comms_curl_transfer_create(
    ngx_comms_curl_loop_t *loop);
ngx_int_t ngx_comms_curl_transfer_get(ngx_comms_curl_transfer_t *t,
    ngx_str_t *url, ngx_comms_request_t *rq, ngx_msec_t timeout);
ngx_int_t ngx_comms_curl_transfer_add(ngx_comms_curl_transfer_t *t);
void ngx_comms_curl_transfer_leave(ngx_comms_curl_transfer_t *t);
void ngx_comms_curl_transfer_free(ngx_comms_curl_transfer_t *t);

/* watches a connection level-triggered for CURL_POLL_IN, CURL_POLL_OUT */
ngx_int_t ngx_comms_curl_loop_watch(ngx_connection_t *c, int what);

/* gives the slot of a connection back, whose descriptor is curl's */
void ngx_comms_curl_loop_release(ngx_connection_t *c);

/* closes all sessions with mail relays; no handler is called */
void ngx_comms_curl_sessions_close(ngx_comms_curl_loop_t *loop);


#endif /* _NGX_COMMS_CURL_PRIVATE_H_INCLUDED_ */
