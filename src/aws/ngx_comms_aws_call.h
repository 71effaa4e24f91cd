
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A call in flight: what its life (client.c) and its attempts (attempt.c)
 * share.
 */


#ifndef _NGX_COMMS_AWS_CALL_H_INCLUDED_
#define _NGX_COMMS_AWS_CALL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <aws/ngx_comms_aws_private.h>
#include <aws/ngx_comms_aws_wire.h>


#define NGX_COMMS_AWS_UUID_LEN  36


typedef struct {
    void                       *unused[3];   /* what debug builds of nginx */
    ngx_socket_t                fd;          /* read through an event's data */

    ngx_queue_t                 queue;
    ngx_pool_t                 *pool;
    ngx_comms_aws_t            *aws;
    ngx_comms_op_t             *op;

    ngx_comms_aws_protocol_t   *proto;
    ngx_comms_aws_service_e     service;
    const char                 *operation;
    ngx_str_t                   body;
    ngx_msec_t                  timeout;
    u_char                      id[NGX_COMMS_AWS_UUID_LEN];

    ngx_event_t                 event;
    ngx_comms_aws_waiter_t      waiter;
    ngx_comms_curl_transfer_t  *transfer;

    time_t                      skew;        /* it was signed with */
    ngx_uint_t                  attempt;     /* from 1 */
    ngx_uint_t                  generation;  /* of the keys it was signed
                                                with */
    ngx_comms_aws_verdict_e     retried;     /* why it was, the last time */

    ngx_int_t                   rc;          /* what it ends with, unless */
    json_t                     *answer;      /* another attempt does better */

    unsigned                    waiting:1;   /* for credentials */
    unsigned                    unsure:1;    /* it may have been done */
    unsigned                    skewed:1;    /* tried with another clock */
    unsigned                    renewed:1;   /* with other credentials */
    unsigned                    renewing:1;  /* these have to be others */
    unsigned                    ending:1;    /* the event finishes it */
    unsigned                    cancelled:1;
} ngx_comms_aws_call_t;


/* client.c */

void ngx_comms_aws_call_done(void *data, ngx_comms_answer_t *an);


/* attempt.c */

/* one attempt; NGX_ERROR when it could not even be started */
ngx_int_t ngx_comms_aws_call_send(ngx_comms_aws_call_t *call,
    ngx_comms_aws_identity_t *identity);

/* how many there may be */
ngx_uint_t ngx_comms_aws_call_attempts(ngx_comms_aws_call_t *call);


#endif /* _NGX_COMMS_AWS_CALL_H_INCLUDED_ */
