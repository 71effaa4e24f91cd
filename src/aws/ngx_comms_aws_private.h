
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the files of this folder share.
 */


#ifndef _NGX_COMMS_AWS_PRIVATE_H_INCLUDED_
#define _NGX_COMMS_AWS_PRIVATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <curl/ngx_comms_curl_loop.h>
#include <aws/ngx_comms_aws.h>
#include <aws/ngx_comms_aws_credentials.h>
#include <aws/ngx_comms_aws_endpoint.h>
#include <aws/ngx_comms_aws_environment.h>
#include <aws/ngx_comms_aws_retry.h>


#define NGX_COMMS_AWS_FAILURES  32


/* a kind of failure that was logged: to log it less from then on */
typedef struct {
    uint32_t       hash;
    ngx_uint_t     count;
    time_t         logged;
} ngx_comms_aws_failure_t;


struct ngx_comms_aws_s {
    void                          *unused[3];   /* what debug builds of */
    ngx_socket_t                   fd;          /* nginx read through an
                                                   event's data */

    ngx_comms_aws_environment_t    env;
    ngx_comms_aws_endpoint_t       endpoints[NGX_COMMS_AWS_SERVICES];
    ngx_uint_t                     max_attempts;
    ngx_comms_zone_t              *zone;
    ngx_str_t                      agent;

    ngx_comms_aws_credentials_t   *credentials;
    ngx_comms_curl_loop_t         *loop;        /* NULL: not in a worker */
    ngx_log_t                     *log;

    ngx_comms_aws_quota_t          quota;
    time_t                         skew;        /* AWS's clock less ours */
    ngx_queue_t                    calls;
    ngx_comms_op_t                *unserved;    /* got no memory for a call */
    ngx_event_t                    event;       /* answers them */
    ngx_comms_aws_failure_t        failures[NGX_COMMS_AWS_FAILURES];
};


/* ends all calls: for the exit of a worker */
void ngx_comms_aws_calls_end(ngx_comms_aws_t *aws);

/* answers operations that got no memory for a call */
void ngx_comms_aws_unserved(ngx_event_t *ev);

/* says, not too often, that an operation fails, and what to do */
void ngx_comms_aws_complain(ngx_comms_aws_t *aws, ngx_str_t *service,
    const char *operation, ngx_str_t *code, ngx_uint_t status);


#endif /* _NGX_COMMS_AWS_PRIVATE_H_INCLUDED_ */
