
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * An attempt of a call: its request, signed and sent.
 *
 * Invariant: every attempt is signed anew, with the time of that attempt and
 * the keys that are valid then; the invocation id stays that of the call.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <aws/ngx_comms_aws_call.h>


static ngx_comms_aws_endpoint_t *ngx_comms_aws_call_endpoint(
    ngx_comms_aws_call_t *call, ngx_str_t *region);
static ngx_int_t ngx_comms_aws_call_headers(ngx_comms_aws_call_t *call,
    ngx_comms_aws_endpoint_t *ep, ngx_comms_request_t *rq);


ngx_int_t
ngx_comms_aws_call_send(ngx_comms_aws_call_t *call,
    ngx_comms_aws_identity_t *identity)
{
    ngx_comms_aws_t           *aws;
    ngx_comms_request_t        rq;
    ngx_comms_aws_scope_t      scope;
    ngx_comms_aws_endpoint_t  *ep;

    aws = call->aws;

    ep = ngx_comms_aws_call_endpoint(call, &identity->region);

    if (ep == NULL || ngx_comms_request_init(&rq, call->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&rq.method, "POST");
    rq.path = ep->path;
    rq.body = call->body;

    scope.keys = &identity->keys;
    scope.region = identity->region;
    scope.service = call->proto->name;
    scope.time = ngx_time() + aws->skew;
    call->skew = aws->skew;

    if (ngx_comms_aws_call_headers(call, ep, &rq) != NGX_OK
        || ngx_comms_aws_sign(&rq, &scope, NULL) != NGX_OK)
    {
        return NGX_ERROR;
    }

    call->transfer = ngx_comms_curl_transfer(aws->loop, &ep->base, &rq,
                                             call->timeout, 0,
                                             ngx_comms_aws_call_done, call);

    return (call->transfer != NULL) ? NGX_OK : NGX_ERROR;
}


/* made once, when the region is known: that may be late */

static ngx_comms_aws_endpoint_t *
ngx_comms_aws_call_endpoint(ngx_comms_aws_call_t *call, ngx_str_t *region)
{
    ngx_comms_aws_endpoint_t  *ep;

    ep = &call->aws->endpoints[call->service];

    if (ep->base.len == 0
        && ngx_comms_aws_endpoint_regional(ngx_cycle->pool,
                                           &call->proto->name, region, ep)
           != NGX_OK)
    {
        ngx_memzero(ep, sizeof(ngx_comms_aws_endpoint_t));
        return NULL;
    }

    return ep;
}


static ngx_int_t
ngx_comms_aws_call_headers(ngx_comms_aws_call_t *call,
    ngx_comms_aws_endpoint_t *ep, ngx_comms_request_t *rq)
{
    u_char     *p;
    u_char      text[sizeof("attempt=; max=") + 2 * NGX_INT_T_LEN];
    ngx_str_t   target, id, attempt;

    id.data = call->id;
    id.len = NGX_COMMS_AWS_UUID_LEN;

    attempt.data = text;
    attempt.len = ngx_sprintf(text, "attempt=%ui; max=%ui", call->attempt,
                              ngx_comms_aws_call_attempts(call))
                  - text;

    if (ngx_comms_request_header(rq, "Host", &ep->host) != NGX_OK
        || ngx_comms_request_header(rq, "User-Agent", &call->aws->agent)
           != NGX_OK
        || ngx_comms_request_header(rq, "Content-Type",
                                    &call->proto->content_type)
           != NGX_OK
        || ngx_comms_request_header(rq, "amz-sdk-invocation-id", &id)
           != NGX_OK
        || ngx_comms_request_header(rq, "amz-sdk-request", &attempt)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (call->proto->target.len == 0) {
        return NGX_OK;
    }

    target.len = call->proto->target.len + ngx_strlen(call->operation);

    p = ngx_pnalloc(call->pool, target.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    target.data = p;
    (void) ngx_sprintf(p, "%V%s", &call->proto->target, call->operation);

    return ngx_comms_request_header(rq, "X-Amz-Target", &target);
}


ngx_uint_t
ngx_comms_aws_call_attempts(ngx_comms_aws_call_t *call)
{
    return call->aws->max_attempts ? call->aws->max_attempts
                                   : call->proto->attempts;
}
