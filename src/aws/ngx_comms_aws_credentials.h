
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Credentials and region: where they come from, and keeping them fresh.
 */


#ifndef _NGX_COMMS_AWS_CREDENTIALS_H_INCLUDED_
#define _NGX_COMMS_AWS_CREDENTIALS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <curl/ngx_comms_curl_loop.h>
#include <aws/ngx_comms_aws.h>
#include <aws/ngx_comms_aws_environment.h>
#include <aws/ngx_comms_aws_sign.h>


typedef struct ngx_comms_aws_credentials_s  ngx_comms_aws_credentials_t;


/* who waits for credentials; "queue" and what the handler is called with */
typedef struct {
    ngx_queue_t    queue;
    void         (*handler)(void *data);
    void          *data;
} ngx_comms_aws_waiter_t;


/* what a request is signed with; the strings live until the next event */
typedef struct {
    ngx_comms_aws_keys_t   keys;
    ngx_str_t              region;
    ngx_uint_t             generation;   /* of the keys */
} ngx_comms_aws_identity_t;


/* at configuration time; NULL after logging */
ngx_comms_aws_credentials_t *ngx_comms_aws_credentials_add(ngx_conf_t *cf,
    ngx_comms_aws_conf_t *conf, ngx_comms_aws_environment_t *env);

/*
 * In a worker.  "zone" (may be NULL): where the workers take turns; "skew":
 * AWS's clock less ours, seconds, looked at whenever an expiration is.
 */
ngx_int_t ngx_comms_aws_credentials_init(ngx_comms_aws_credentials_t *cr,
    ngx_cycle_t *cycle, ngx_comms_curl_loop_t *loop, ngx_comms_zone_t *zone,
    time_t *skew);
void ngx_comms_aws_credentials_exit(ngx_comms_aws_credentials_t *cr);

/*
 * NGX_OK with *identity; NGX_AGAIN: they are being fetched, "waiter" will be
 * told when that is over, whatever came out; NGX_DECLINED: there are none.
 */
ngx_int_t ngx_comms_aws_credentials_get(ngx_comms_aws_credentials_t *cr,
    ngx_comms_aws_identity_t *identity, ngx_comms_aws_waiter_t *waiter);

/*
 * A service does not accept those of "generation" any more.  NGX_OK: there
 * are others meanwhile; NGX_AGAIN: others are being fetched, the waiter will
 * be told; NGX_DECLINED: there will be no others.
 */
ngx_int_t ngx_comms_aws_credentials_refused(ngx_comms_aws_credentials_t *cr,
    ngx_uint_t generation, ngx_comms_aws_waiter_t *waiter);

/* "region eu-west-1, credentials from environment" */
ngx_str_t *ngx_comms_aws_credentials_words(ngx_comms_aws_credentials_t *cr);


#endif /* _NGX_COMMS_AWS_CREDENTIALS_H_INCLUDED_ */
