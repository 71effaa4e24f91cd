
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Configuration, start and stop of the AWS client, and what it logs.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_thread_pool.h>
#include <aws/ngx_comms_aws_private.h>
#include <aws/ngx_comms_aws_wire.h>


#define NGX_COMMS_AWS_LOGGED_FIRST    3
#define NGX_COMMS_AWS_LOGGED_EVERY    60    /* seconds */
#define NGX_COMMS_AWS_MAX_ATTEMPTS    10


static ngx_int_t ngx_comms_aws_add_endpoints(ngx_conf_t *cf,
    ngx_comms_aws_conf_t *conf, ngx_comms_aws_t *aws);
static ngx_uint_t ngx_comms_aws_silent(ngx_comms_aws_t *aws, ngx_str_t *key);
static const char *ngx_comms_aws_advice(ngx_str_t *code, ngx_uint_t status);


/* what an operator does about it; of several that fit, the first */
static struct {
    const char  *code;     /* a part of the code */
    const char  *advice;
} ngx_comms_aws_advices[] = {
    { "AccessDenied", "allow the action to the role or user" },
    { "AuthorizationError", "allow the action to the role or user" },
    { "NoCredentials", "give credentials by environment, profile or role" },
    { "Expired", "renew the credentials" },
    { "InvalidClientToken", "check the access key" },
    { "UnrecognizedClient", "check the access key" },
    { "Signature", "check the secret key, and the clock of this machine" },
    { "QueueDoesNotExist", "check the URL of the queue and the region" },
    { "NonExistentQueue", "check the URL of the queue and the region" },
    { "ResourceNotFound", "check its name and the region" },
    { "NotFound", "check its name and the region" },
    { "Throttl", "raise its limits, or send less" },
    { "Exceeded", "raise its limits, or send less" },
    { "NotSent", "check name server, network, proxy and endpoint" },
    { "Timeout", "check the network, or raise the timeout" },
    { "ConnectionLost", "check network, proxy and endpoint" },
    { "Validation", "the request does not suit the table: check its keys" },
    { NULL, NULL }
};


ngx_comms_aws_t *
ngx_comms_aws_add(ngx_conf_t *cf, ngx_comms_aws_conf_t *conf,
    ngx_comms_zone_t *zone)
{
    ngx_comms_aws_t  *aws;

    aws = ngx_pcalloc(cf->pool, sizeof(ngx_comms_aws_t));
    if (aws == NULL) {
        return NULL;
    }

    aws->fd = (ngx_socket_t) -1;
    aws->zone = zone;
    aws->max_attempts = conf->max_attempts;
    ngx_queue_init(&aws->calls);
    ngx_str_set(&aws->agent, "ngx_http_comms_module nginx/" NGINX_VERSION);

    if (aws->max_attempts > NGX_COMMS_AWS_MAX_ATTEMPTS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "more than %d attempts of a call to AWS",
                           NGX_COMMS_AWS_MAX_ATTEMPTS);
        return NULL;
    }

    if (ngx_comms_aws_environment_read(cf->pool, &aws->env) != NGX_OK
        || ngx_comms_aws_add_endpoints(cf, conf, aws) != NGX_OK
        || ngx_thread_pool_add(cf, NULL) == NULL)
    {
        return NULL;
    }

    aws->credentials = ngx_comms_aws_credentials_add(cf, conf, &aws->env);

    return (aws->credentials != NULL) ? aws : NULL;
}


/* the configuration's, then the environment's; else AWS's, once it is asked */

static ngx_int_t
ngx_comms_aws_add_endpoints(ngx_conf_t *cf, ngx_comms_aws_conf_t *conf,
    ngx_comms_aws_t *aws)
{
    ngx_int_t    rc;
    ngx_str_t   *url;
    ngx_uint_t   i;

    for (i = 0; i < NGX_COMMS_AWS_SERVICES; i++) {
        url = &aws->env.endpoints[i];

        if (conf->endpoints[i].len) {
            *url = conf->endpoints[i];

        } else if (url->len == 0) {
            *url = aws->env.endpoint;
        }

        if (url->len == 0) {
            continue;
        }

        rc = ngx_comms_aws_endpoint_parse(cf->pool, url, &aws->endpoints[i]);

        if (rc == NGX_OK && aws->endpoints[i].args.len == 0) {
            continue;
        }

        if (rc != NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid AWS endpoint \"%V\"", url);
        }

        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_aws_init_process(ngx_comms_aws_t *aws, ngx_cycle_t *cycle)
{
    if (aws->loop != NULL) {
        return NGX_OK;
    }

    aws->log = cycle->log;
    aws->event.handler = ngx_comms_aws_unserved;
    aws->event.data = aws;
    aws->event.log = cycle->log;
    ngx_comms_aws_quota_init(&aws->quota);

    aws->loop = ngx_comms_curl_loop_create(cycle, &aws->env.network);
    if (aws->loop == NULL) {
        return NGX_ERROR;
    }

    return ngx_comms_aws_credentials_init(aws->credentials, cycle, aws->loop,
                                          aws->zone, &aws->skew);
}


void
ngx_comms_aws_exit_process(ngx_comms_aws_t *aws)
{
    if (aws->loop == NULL) {
        return;
    }

    ngx_comms_aws_calls_end(aws);
    ngx_comms_aws_credentials_exit(aws->credentials);
    ngx_comms_curl_loop_destroy(aws->loop);

    aws->loop = NULL;
}


ngx_str_t
ngx_comms_aws_words(ngx_comms_aws_t *aws)
{
    return *ngx_comms_aws_credentials_words(aws->credentials);
}


void
ngx_comms_aws_complain(ngx_comms_aws_t *aws, ngx_str_t *service,
    const char *operation, ngx_str_t *code, ngx_uint_t status)
{
    u_char     *p;
    u_char      text[256];
    ngx_str_t   key;

    p = ngx_snprintf(text, sizeof(text), "aws %V %s %V", service, operation,
                     code);
    key.data = text;
    key.len = p - text;

    if (ngx_comms_aws_silent(aws, &key)) {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, aws->log, 0,
                  "%V %s failed: %V, status %ui; %s", service, operation,
                  code, status, ngx_comms_aws_advice(code, status));
}


/*
 * The first of a kind are logged, then one a minute; with a zone, one a
 * minute for all workers.
 */

static ngx_uint_t
ngx_comms_aws_silent(ngx_comms_aws_t *aws, ngx_str_t *key)
{
    uint32_t                  hash;
    ngx_uint_t                after;
    ngx_comms_aws_failure_t  *f;

    hash = ngx_crc32_long(key->data, key->len);
    f = &aws->failures[hash % NGX_COMMS_AWS_FAILURES];

    if (f->hash != hash) {
        /* an older kind makes room */
        f->hash = hash;
        f->count = 0;
    }

    if (f->count < NGX_COMMS_AWS_LOGGED_FIRST) {
        f->count++;
        f->logged = ngx_time();
        return 0;
    }

    if (ngx_time() - f->logged < NGX_COMMS_AWS_LOGGED_EVERY) {
        return 1;
    }

    f->logged = ngx_time();

    return aws->zone != NULL
           && ngx_comms_limiter_take(aws->zone, key, 1,
                                     NGX_COMMS_AWS_LOGGED_EVERY, &after)
              == NGX_DECLINED;
}


static const char *
ngx_comms_aws_advice(ngx_str_t *code, ngx_uint_t status)
{
    size_t      len;
    ngx_uint_t  i;

    for (i = 0; ngx_comms_aws_advices[i].code != NULL; i++) {
        len = ngx_strlen(ngx_comms_aws_advices[i].code);

        if (code->len >= len
            && ngx_strnstr(code->data,
                           (char *) ngx_comms_aws_advices[i].code, code->len)
               != NULL)
        {
            return ngx_comms_aws_advices[i].advice;
        }
    }

    return status >= 500 ? "AWS's side; it may pass by itself"
                         : "see the documentation of the operation";
}
