
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The numbers are those that the SDKs have had as their default since
 * November 2026: a transient failure costs 14 tokens of 500, a throttled call
 * 5, and a call that succeeds at once gives one back.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <aws/ngx_comms_aws_retry.h>


#define NGX_COMMS_AWS_QUOTA            500
#define NGX_COMMS_AWS_COST_TRANSIENT   14
#define NGX_COMMS_AWS_COST_THROTTLED   5
#define NGX_COMMS_AWS_BASE_THROTTLED   1000    /* ms */
#define NGX_COMMS_AWS_MAX_DELAY        20000
#define NGX_COMMS_AWS_MAX_HINT         5000


static ngx_uint_t ngx_comms_aws_one_of(ngx_str_t *code, ngx_str_t *codes);
static ngx_uint_t ngx_comms_aws_cost(ngx_comms_aws_verdict_e verdict);


static ngx_str_t  ngx_comms_aws_throttled[] = {
    ngx_string("Throttling"),
    ngx_string("ThrottlingException"),
    ngx_string("ThrottledException"),
    ngx_string("Throttled"),
    ngx_string("RequestThrottledException"),
    ngx_string("RequestThrottled"),
    ngx_string("TooManyRequestsException"),
    ngx_string("ProvisionedThroughputExceededException"),
    ngx_string("TransactionInProgressException"),
    ngx_string("RequestLimitExceeded"),
    ngx_string("BandwidthLimitExceeded"),
    ngx_string("LimitExceededException"),
    ngx_string("SlowDown"),
    ngx_string("PriorRequestNotComplete"),
    ngx_string("EC2ThrottledException"),
    ngx_string("KMSThrottling"),
    ngx_string("KmsThrottled"),
    ngx_null_string
};


static ngx_str_t  ngx_comms_aws_transient[] = {
    ngx_string("RequestTimeout"),
    ngx_string("RequestTimeoutException"),
    ngx_string("IDPCommunicationError"),
    ngx_string("ReplicatedWriteConflictException"),
    ngx_null_string
};


static ngx_str_t  ngx_comms_aws_skewed[] = {
    ngx_string("RequestTimeTooSkewed"),
    ngx_string("RequestExpired"),
    ngx_string("RequestInTheFuture"),
    ngx_string("InvalidSignatureException"),
    ngx_string("SignatureDoesNotMatch"),
    ngx_string("AuthFailure"),
    ngx_null_string
};


static ngx_str_t  ngx_comms_aws_expired[] = {
    ngx_string("ExpiredToken"),
    ngx_string("ExpiredTokenException"),
    ngx_string("TokenRefreshRequired"),
    ngx_string("InvalidClientTokenId"),
    ngx_string("UnrecognizedClientException"),
    ngx_string("InvalidAccessKeyId"),
    ngx_null_string
};


ngx_comms_aws_verdict_e
ngx_comms_aws_judge(ngx_uint_t status, ngx_str_t *code)
{
    if (ngx_comms_aws_one_of(code, ngx_comms_aws_throttled) || status == 429) {
        return NGX_COMMS_AWS_THROTTLED;
    }

    if (ngx_comms_aws_one_of(code, ngx_comms_aws_transient)
        || status == 500 || status == 502 || status == 503 || status == 504)
    {
        return NGX_COMMS_AWS_TRANSIENT;
    }

    if (ngx_comms_aws_one_of(code, ngx_comms_aws_skewed)) {
        return NGX_COMMS_AWS_SKEWED;
    }

    if (ngx_comms_aws_one_of(code, ngx_comms_aws_expired)) {
        return NGX_COMMS_AWS_EXPIRED;
    }

    return NGX_COMMS_AWS_FINAL;
}


static ngx_uint_t
ngx_comms_aws_one_of(ngx_str_t *code, ngx_str_t *codes)
{
    for ( /* void */ ; codes->len; codes++) {
        if (codes->len == code->len
            && ngx_memcmp(codes->data, code->data, code->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


void
ngx_comms_aws_quota_init(ngx_comms_aws_quota_t *quota)
{
    quota->left = NGX_COMMS_AWS_QUOTA;
}


ngx_int_t
ngx_comms_aws_quota_take(ngx_comms_aws_quota_t *quota,
    ngx_comms_aws_verdict_e verdict)
{
    ngx_uint_t  cost;

    cost = ngx_comms_aws_cost(verdict);

    if (quota->left < cost) {
        return NGX_DECLINED;
    }

    quota->left -= cost;

    return NGX_OK;
}


void
ngx_comms_aws_quota_give(ngx_comms_aws_quota_t *quota,
    ngx_comms_aws_verdict_e verdict)
{
    ngx_uint_t  amount;

    amount = verdict == NGX_COMMS_AWS_FINAL ? 1 : ngx_comms_aws_cost(verdict);

    quota->left = ngx_min(quota->left + amount, NGX_COMMS_AWS_QUOTA);
}


static ngx_uint_t
ngx_comms_aws_cost(ngx_comms_aws_verdict_e verdict)
{
    switch (verdict) {

    case NGX_COMMS_AWS_TRANSIENT:
        return NGX_COMMS_AWS_COST_TRANSIENT;

    case NGX_COMMS_AWS_THROTTLED:
        return NGX_COMMS_AWS_COST_THROTTLED;

    default:
        return 0;
    }
}


ngx_msec_t
ngx_comms_aws_delay(ngx_comms_aws_verdict_e verdict, ngx_uint_t attempt,
    ngx_msec_t base, ngx_int_t hint, ngx_uint_t random)
{
    ngx_msec_t  delay, wait;

    if (verdict == NGX_COMMS_AWS_THROTTLED) {
        base = NGX_COMMS_AWS_BASE_THROTTLED;
    }

    delay = NGX_COMMS_AWS_MAX_DELAY;

    if (attempt <= 16) {
        delay = ngx_min(base << (attempt - 1), NGX_COMMS_AWS_MAX_DELAY);
    }

    delay = delay * (random & 0xffff) / 0xffff;

    if (hint < 0) {
        return delay;
    }

    wait = (ngx_msec_t) hint;

    if (wait < delay) {
        return delay;
    }

    return ngx_min(wait, delay + NGX_COMMS_AWS_MAX_HINT);
}
