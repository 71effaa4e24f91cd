
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The AWS client: one call is signed, sent through libcurl on nginx's event
 * loop, tried again as the SDKs do, and answered as an operation.
 *
 * Documents in, documents out: JSON services (SQS, DynamoDB, Secrets Manager)
 * take and give their own documents; query services (SNS, STS) take a flat
 * object of parameters and give a flat object of the leaf elements of the
 * result.
 */


#ifndef _NGX_COMMS_AWS_H_INCLUDED_
#define _NGX_COMMS_AWS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_op.h>
#include <guard/ngx_comms_zone.h>


typedef enum {
    NGX_COMMS_AWS_SNS = 0,
    NGX_COMMS_AWS_SQS,
    NGX_COMMS_AWS_DYNAMODB,
    NGX_COMMS_AWS_SECRETSMANAGER,
    NGX_COMMS_AWS_STS,
    NGX_COMMS_AWS_SERVICES
} ngx_comms_aws_service_e;


typedef struct ngx_comms_aws_s  ngx_comms_aws_t;


/*
 * At configuration time.  Empty strings where nothing is configured: region
 * and credentials then come from the environment, files or metadata, in the
 * SDKs' order.  "endpoints" has one URL for each service, or an empty string.
 * NULL after logging.
 */
typedef struct {
    ngx_str_t   region;
    ngx_str_t   profile;
    ngx_str_t   endpoints[NGX_COMMS_AWS_SERVICES];
    ngx_uint_t  max_attempts;      /* 0: the service's default, 3 or 4 */
} ngx_comms_aws_conf_t;

ngx_comms_aws_t *ngx_comms_aws_add(ngx_conf_t *cf,
    ngx_comms_aws_conf_t *conf, ngx_comms_zone_t *zone);

/* in a worker; a missing region or no credentials is logged, not fatal */
ngx_int_t ngx_comms_aws_init_process(ngx_comms_aws_t *aws,
    ngx_cycle_t *cycle);

/* ends transfers in flight; handlers are not called any more */
void ngx_comms_aws_exit_process(ngx_comms_aws_t *aws);


/*
 * Calls "operation" ("SendMessage", "PutItem", "Publish", "GetSecretValue").
 * Takes over the reference to "in".  "timeout": of one attempt, ms; for a long
 * poll, "WaitTimeSeconds" in the document is added to it here.
 *
 *   NGX_OK        the service's answer
 *   NGX_DECLINED  the service refused; not to be tried again as it is:
 *                 {"code": without namespace, "message", "status", "item"?,
 *                 "unsure"?}
 *   NGX_BUSY      throttled or unavailable, after all attempts; nothing was
 *                 done; the same members
 *   NGX_ERROR     no telling whether it was done (connection lost, timeout),
 *                 or it was not sent at all; {"code": "ConnectionLost" |
 *                 "Timeout" | "NoCredentials" | "NotSent", "message",
 *                 "unsure"?}; or status 500, 502 or 504 with the service's
 *                 code.  Without an answer (NULL): out of memory
 *
 * "unsure": true says that an attempt before may have been carried out: the
 * condition that fails then may fail because of what this call itself wrote.
 * "NotSent" and "NoCredentials" mean that no attempt was.
 *
 * The first three failures of a kind are logged by name with what to do;
 * then once a minute.
 */
void ngx_comms_aws_call(ngx_comms_aws_t *aws, ngx_comms_aws_service_e service,
    const char *operation, json_t *in, ngx_msec_t timeout,
    ngx_comms_op_t *op);

/*
 * Ends a call in flight: for long polls when the worker exits.  It is finished
 * with NGX_ERROR soon after, from an event.
 */
void ngx_comms_aws_cancel(ngx_comms_aws_t *aws, ngx_comms_op_t *op);

/* for the start-up line: "region eu-west-1, credentials from environment" */
ngx_str_t ngx_comms_aws_words(ngx_comms_aws_t *aws);


#endif /* _NGX_COMMS_AWS_H_INCLUDED_ */
