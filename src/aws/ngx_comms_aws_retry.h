
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * When a call is tried again: the rules of the SDKs' standard mode.
 */


#ifndef _NGX_COMMS_AWS_RETRY_H_INCLUDED_
#define _NGX_COMMS_AWS_RETRY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef enum {
    NGX_COMMS_AWS_FINAL = 0,     /* trying again as it is changes nothing */
    NGX_COMMS_AWS_TRANSIENT,
    NGX_COMMS_AWS_THROTTLED,
    NGX_COMMS_AWS_SKEWED,        /* perhaps our clock: see the Date header */
    NGX_COMMS_AWS_EXPIRED        /* the credentials are no good any more */
} ngx_comms_aws_verdict_e;


/* tokens that retries cost, for all calls of a worker process */
typedef struct {
    ngx_uint_t  left;
} ngx_comms_aws_quota_t;


/* what an answer with this status (400 and up) and code asks for */
ngx_comms_aws_verdict_e ngx_comms_aws_judge(ngx_uint_t status,
    ngx_str_t *code);

void ngx_comms_aws_quota_init(ngx_comms_aws_quota_t *quota);

/* NGX_OK: taken; NGX_DECLINED: there is not enough, no retry */
ngx_int_t ngx_comms_aws_quota_take(ngx_comms_aws_quota_t *quota,
    ngx_comms_aws_verdict_e verdict);

/* after success; "verdict" is that of the last retry, FINAL without any */
void ngx_comms_aws_quota_give(ngx_comms_aws_quota_t *quota,
    ngx_comms_aws_verdict_e verdict);

/*
 * Milliseconds to wait behind attempt "attempt" (from 1).  "base": of a
 * transient failure; "hint": of x-amz-retry-after, or -1; "random": 0 to
 * 0xffff.
 */
ngx_msec_t ngx_comms_aws_delay(ngx_comms_aws_verdict_e verdict,
    ngx_uint_t attempt, ngx_msec_t base, ngx_int_t hint, ngx_uint_t random);


#endif /* _NGX_COMMS_AWS_RETRY_H_INCLUDED_ */
