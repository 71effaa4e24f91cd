
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Certificates of SNS, fetched and kept, and confirmations.
 *
 * Invariants:
 *   1. What is fetched at once is bounded by the slots, who waits for a slot
 *      by its operations: an endpoint is open to anybody, and each message may
 *      name another address.
 *   2. Requests that need the same certificate share one fetch.
 *   3. Only what SNS answered with 200 is kept; of so many, for so long.  When
 *      a certificate itself ends, ngx_comms_sns_verify() sees.
 *   4. A slot is free again before its operations are answered, since their
 *      handlers may ask for more.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <curl/ngx_comms_curl_loop.h>
#include <aws/ngx_comms_aws_environment.h>
#include <bus/ngx_comms_sns.h>
#include <bus/ngx_comms_sns_message.h>


#define NGX_COMMS_SNS_FETCHES       8
#define NGX_COMMS_SNS_WAITERS       256     /* of one fetch */
#define NGX_COMMS_SNS_CERTIFICATES  16
#define NGX_COMMS_SNS_KEPT          86400   /* seconds */
#define NGX_COMMS_SNS_TIMEOUT       5000    /* ms; SNS itself waits for 15 s */


typedef struct {
    ngx_queue_t                queue;
    ngx_str_t                  url;
    ngx_str_t                  pem;
    time_t                     expires;
} ngx_comms_sns_certificate_t;


typedef struct {
    void                      *unused[3];   /* what debug builds of nginx */
    ngx_socket_t               fd;          /* read through an event's data */

    ngx_comms_sns_t           *sns;
    ngx_pool_t                *pool;        /* NULL: the slot is free */
    ngx_str_t                  url;
    ngx_str_t                  base;        /* where it is fetched */
    ngx_comms_request_t        request;
    ngx_comms_curl_transfer_t  *transfer;
    ngx_event_t                event;       /* it could not even start */
    ngx_comms_op_t            *ops[NGX_COMMS_SNS_WAITERS];
    ngx_uint_t                 nops;
    unsigned                   confirms:1;
} ngx_comms_sns_fetch_t;


struct ngx_comms_sns_s {
    ngx_comms_aws_environment_t   env;
    ngx_comms_curl_loop_t         *loop;     /* NULL: not in a worker */
    ngx_log_t                    *log;
    ngx_queue_t                   certificates;   /* the newest first */
    ngx_uint_t                    ncertificates;
    ngx_comms_sns_fetch_t         fetches[NGX_COMMS_SNS_FETCHES];
};


static ngx_comms_sns_certificate_t *ngx_comms_sns_kept(ngx_comms_sns_t *sns,
    ngx_str_t *url);
static void ngx_comms_sns_keep(ngx_comms_sns_t *sns, ngx_str_t *url,
    ngx_str_t *pem);
static void ngx_comms_sns_forget(ngx_comms_sns_t *sns,
    ngx_comms_sns_certificate_t *cert);
static ngx_comms_sns_fetch_t *ngx_comms_sns_slot(ngx_comms_sns_t *sns,
    ngx_str_t *url, ngx_uint_t confirms);
static void ngx_comms_sns_ask(ngx_comms_sns_fetch_t *fetch,
    ngx_str_t *endpoint, ngx_str_t *url, ngx_uint_t confirms,
    ngx_comms_op_t *op);
static ngx_int_t ngx_comms_sns_start(ngx_comms_sns_fetch_t *fetch,
    ngx_str_t *endpoint, ngx_str_t *url);
static ngx_int_t ngx_comms_sns_request(ngx_comms_sns_fetch_t *fetch,
    ngx_str_t *endpoint);
static void ngx_comms_sns_unstarted(ngx_event_t *ev);
static void ngx_comms_sns_fetched(void *data, ngx_comms_answer_t *an);
static void ngx_comms_sns_end(ngx_comms_sns_fetch_t *fetch, ngx_int_t rc);


ngx_comms_sns_t *
ngx_comms_sns_add(ngx_conf_t *cf)
{
    ngx_comms_sns_t  *sns;

    sns = ngx_pcalloc(cf->pool, sizeof(ngx_comms_sns_t));

    if (sns == NULL
        || ngx_comms_aws_environment_read(cf->pool, &sns->env) != NGX_OK)
    {
        return NULL;
    }

    return sns;
}


ngx_int_t
ngx_comms_sns_init_process(ngx_comms_sns_t *sns, ngx_cycle_t *cycle)
{
    ngx_uint_t              i;
    ngx_comms_sns_fetch_t  *fetch;

    sns->log = cycle->log;
    ngx_queue_init(&sns->certificates);

    for (i = 0; i < NGX_COMMS_SNS_FETCHES; i++) {
        fetch = &sns->fetches[i];

        fetch->fd = (ngx_socket_t) -1;
        fetch->sns = sns;
        fetch->event.handler = ngx_comms_sns_unstarted;
        fetch->event.data = fetch;
        fetch->event.log = sns->log;
    }

    sns->loop = ngx_comms_curl_loop_create(cycle, &sns->env.network);

    return sns->loop ? NGX_OK : NGX_ERROR;
}


void
ngx_comms_sns_exit_process(ngx_comms_sns_t *sns)
{
    ngx_uint_t              i, n;
    ngx_queue_t            *q;
    ngx_comms_sns_fetch_t  *fetch;

    if (sns->loop == NULL) {
        return;
    }

    ngx_comms_curl_loop_destroy(sns->loop);
    sns->loop = NULL;

    for (i = 0; i < NGX_COMMS_SNS_FETCHES; i++) {
        fetch = &sns->fetches[i];

        if (fetch->nops == 0) {
            continue;
        }

        for (n = 0; n < fetch->nops; n++) {
            ngx_comms_op_cancel(fetch->ops[n]);
        }

        ngx_comms_sns_end(fetch, NGX_ERROR);
    }

    while (!ngx_queue_empty(&sns->certificates)) {
        q = ngx_queue_head(&sns->certificates);

        ngx_comms_sns_forget(sns, ngx_queue_data(q,
                                      ngx_comms_sns_certificate_t, queue));
    }
}


ngx_int_t
ngx_comms_sns_certificate(ngx_comms_sns_t *sns, ngx_str_t *endpoint,
    ngx_str_t *url, ngx_str_t *pem, ngx_comms_op_t *op)
{
    ngx_comms_sns_fetch_t        *fetch;
    ngx_comms_sns_certificate_t  *cert;

    if (!ngx_comms_sns_certificate_url_valid(url)) {
        return NGX_DECLINED;
    }

    cert = ngx_comms_sns_kept(sns, url);

    if (cert != NULL) {
        *pem = cert->pem;
        return NGX_OK;
    }

    fetch = ngx_comms_sns_slot(sns, url, 0);
    if (fetch == NULL) {
        return NGX_BUSY;
    }

    if (op != NULL) {
        ngx_comms_sns_ask(fetch, endpoint, url, 0, op);
    }

    return NGX_AGAIN;
}


ngx_int_t
ngx_comms_sns_confirm(ngx_comms_sns_t *sns, ngx_str_t *endpoint,
    ngx_str_t *url, ngx_comms_op_t *op)
{
    ngx_comms_sns_fetch_t  *fetch;

    if (!ngx_comms_sns_url_valid(url)) {
        return NGX_DECLINED;
    }

    fetch = ngx_comms_sns_slot(sns, url, 1);
    if (fetch == NULL) {
        return NGX_BUSY;
    }

    if (op != NULL) {
        ngx_comms_sns_ask(fetch, endpoint, url, 1, op);
    }

    return NGX_AGAIN;
}


static ngx_comms_sns_certificate_t *
ngx_comms_sns_kept(ngx_comms_sns_t *sns, ngx_str_t *url)
{
    ngx_queue_t                  *q;
    ngx_comms_sns_certificate_t  *cert;

    for (q = ngx_queue_head(&sns->certificates);
         q != ngx_queue_sentinel(&sns->certificates);
         q = ngx_queue_next(q))
    {
        cert = ngx_queue_data(q, ngx_comms_sns_certificate_t, queue);

        if (cert->url.len != url->len
            || ngx_strncmp(cert->url.data, url->data, url->len) != 0)
        {
            continue;
        }

        if (cert->expires <= ngx_time()) {
            ngx_comms_sns_forget(sns, cert);
            return NULL;
        }

        return cert;
    }

    return NULL;
}


/* without memory it is fetched again */

static void
ngx_comms_sns_keep(ngx_comms_sns_t *sns, ngx_str_t *url, ngx_str_t *pem)
{
    u_char                       *p;
    ngx_queue_t                  *q;
    ngx_comms_sns_certificate_t  *cert;

    cert = ngx_alloc(sizeof(ngx_comms_sns_certificate_t) + url->len
                     + pem->len, sns->log);
    if (cert == NULL) {
        return;
    }

    p = (u_char *) cert + sizeof(ngx_comms_sns_certificate_t);

    cert->url.len = url->len;
    cert->url.data = p;
    p = ngx_cpymem(p, url->data, url->len);

    cert->pem.len = pem->len;
    cert->pem.data = p;
    ngx_memcpy(p, pem->data, pem->len);

    cert->expires = ngx_time() + NGX_COMMS_SNS_KEPT;

    if (sns->ncertificates == NGX_COMMS_SNS_CERTIFICATES) {
        q = ngx_queue_last(&sns->certificates);

        ngx_comms_sns_forget(sns, ngx_queue_data(q,
                                      ngx_comms_sns_certificate_t, queue));
    }

    ngx_queue_insert_head(&sns->certificates, &cert->queue);
    sns->ncertificates++;
}


static void
ngx_comms_sns_forget(ngx_comms_sns_t *sns, ngx_comms_sns_certificate_t *cert)
{
    ngx_queue_remove(&cert->queue);
    sns->ncertificates--;

    ngx_free(cert);
}


/* one that fetches this already, or a free one; NULL: there is no room */

static ngx_comms_sns_fetch_t *
ngx_comms_sns_slot(ngx_comms_sns_t *sns, ngx_str_t *url, ngx_uint_t confirms)
{
    ngx_uint_t              i;
    ngx_comms_sns_fetch_t  *fetch, *spare;

    spare = NULL;

    for (i = 0; i < NGX_COMMS_SNS_FETCHES; i++) {
        fetch = &sns->fetches[i];

        if (fetch->pool == NULL) {
            spare = fetch;
            continue;
        }

        if (fetch->confirms == confirms
            && fetch->url.len == url->len
            && ngx_strncmp(fetch->url.data, url->data, url->len) == 0)
        {
            return fetch->nops < NGX_COMMS_SNS_WAITERS ? fetch : NULL;
        }
    }

    return spare;
}


static void
ngx_comms_sns_ask(ngx_comms_sns_fetch_t *fetch, ngx_str_t *endpoint,
    ngx_str_t *url, ngx_uint_t confirms, ngx_comms_op_t *op)
{
    ngx_event_t  *ev;

    fetch->ops[fetch->nops++] = op;

    if (fetch->nops > 1) {
        return;
    }

    fetch->confirms = confirms;

    if (ngx_comms_sns_start(fetch, endpoint, url) != NGX_OK) {
        ev = &fetch->event;
        ngx_post_event(ev, &ngx_posted_events);
    }
}


static ngx_int_t
ngx_comms_sns_start(ngx_comms_sns_fetch_t *fetch, ngx_str_t *endpoint,
    ngx_str_t *url)
{
    ngx_comms_sns_t  *sns;

    sns = fetch->sns;

    fetch->pool = ngx_create_pool(1024, sns->log);
    if (fetch->pool == NULL) {
        return NGX_ERROR;
    }

    fetch->url.len = url->len;
    fetch->url.data = ngx_pstrdup(fetch->pool, url);

    if (fetch->url.data == NULL
        || ngx_comms_sns_request(fetch, endpoint) != NGX_OK)
    {
        return NGX_ERROR;
    }

    fetch->transfer = ngx_comms_curl_transfer(sns->loop, &fetch->base,
                                             &fetch->request,
                                             NGX_COMMS_SNS_TIMEOUT,
                                             endpoint->len != 0,
                                             ngx_comms_sns_fetched, fetch);

    return fetch->transfer ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_sns_request(ngx_comms_sns_fetch_t *fetch, ngx_str_t *endpoint)
{
    u_char               *path, *args, *last;
    ngx_comms_request_t  *rq;

    rq = &fetch->request;

    if (ngx_comms_request_init(rq, fetch->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&rq->method, "GET");

    last = fetch->url.data + fetch->url.len;
    path = ngx_strlchr(fetch->url.data + sizeof("https://") - 1, last, '/');

    fetch->base = *endpoint;

    if (fetch->base.len == 0) {
        fetch->base.len = path - fetch->url.data;
        fetch->base.data = ngx_pnalloc(fetch->pool, fetch->base.len + 1);
        if (fetch->base.data == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_cpystrn(fetch->base.data, fetch->url.data,
                           fetch->base.len + 1);
    }

    path++;
    args = ngx_strlchr(path, last, '?');

    rq->path.data = path;
    rq->path.len = (args ? args : last) - path;

    if (args != NULL) {
        rq->args.data = args + 1;
        rq->args.len = last - rq->args.data;
    }

    return NGX_OK;
}


static void
ngx_comms_sns_unstarted(ngx_event_t *ev)
{
    ngx_comms_sns_fetch_t *fetch = ev->data;

    ngx_log_error(NGX_LOG_ERR, fetch->sns->log, 0,
                  "SNS could not be asked: out of memory or connections");

    ngx_comms_sns_end(fetch, NGX_ERROR);
}


static void
ngx_comms_sns_fetched(void *data, ngx_comms_answer_t *an)
{
    ngx_comms_sns_fetch_t *fetch = data;

    ngx_int_t    rc;
    const char  *what;

    fetch->transfer = NULL;

    what = fetch->confirms ? "the confirmation of a subscription"
                           : "the certificate of a message";

    if (an->outcome != NGX_COMMS_EXCHANGE_COMPLETE) {
        ngx_log_error(NGX_LOG_WARN, fetch->sns->log, 0,
                      "SNS could not be asked for %s: %s", what, an->failure);
        rc = NGX_ERROR;

    } else if (an->status == 200
               && (fetch->confirms
                   || an->body.len <= NGX_COMMS_SNS_MAX_CERTIFICATE))
    {
        rc = NGX_OK;

        if (!fetch->confirms) {
            ngx_comms_sns_keep(fetch->sns, &fetch->url, &an->body);
        }

    } else {
        ngx_log_error(NGX_LOG_WARN, fetch->sns->log, 0,
                      "SNS answered %ui when asked for %s", an->status, what);
        rc = an->status >= 500 || an->status == 429 ? NGX_ERROR
                                                    : NGX_DECLINED;
    }

    ngx_comms_sns_end(fetch, rc);
}


static void
ngx_comms_sns_end(ngx_comms_sns_fetch_t *fetch, ngx_int_t rc)
{
    ngx_uint_t       i, n;
    ngx_comms_op_t  *ops[NGX_COMMS_SNS_WAITERS];

    n = fetch->nops;
    ngx_memcpy(ops, fetch->ops, n * sizeof(ngx_comms_op_t *));

    if (fetch->event.posted) {
        ngx_delete_posted_event(&fetch->event);
    }

    if (fetch->pool != NULL) {
        ngx_destroy_pool(fetch->pool);
        fetch->pool = NULL;
    }

    fetch->nops = 0;

    for (i = 0; i < n; i++) {
        ngx_comms_op_finish(ops[i], rc, NULL);
    }
}
