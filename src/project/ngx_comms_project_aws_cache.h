
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What was fetched, for a while, in each worker process.
 *
 * An answer has three ages.  Young, it is given at once.  In the last part of
 * its term it is given, and fetched again meanwhile; where that part begins
 * is left to chance, so that the workers do not all ask at once.  After its
 * term whoever asks must wait.
 *
 * Values live as long as the cycle, since callers keep them: one that was
 * replaced is not freed.  Fetchers give the old value again when nothing has
 * changed, so memory grows with changes and not with time.
 *
 * Unknown names are remembered, too, a bounded number of them and briefly.
 */


#ifndef _NGX_COMMS_PROJECT_AWS_CACHE_H_INCLUDED_
#define _NGX_COMMS_PROJECT_AWS_CACHE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <jansson.h>
#include <base/ngx_comms_op.h>


typedef struct ngx_comms_cache_s    ngx_comms_cache_t;
typedef struct ngx_comms_cached_s   ngx_comms_cached_t;

/* starts to fetch; ends in ngx_comms_cache_done(), now or later */
typedef void (*ngx_comms_cache_fetch_pt)(ngx_comms_cached_t *entry);


struct ngx_comms_cache_s {
    void                      *data;       /* the owner's */
    ngx_comms_cache_fetch_pt   fetch;
    ngx_msec_t                 term;
    ngx_rbtree_t               tree;
    ngx_rbtree_node_t          sentinel;
    ngx_queue_t                unknown;    /* oldest first */
    ngx_uint_t                 nunknown;
    ngx_comms_op_t            *ready;      /* to be finished */
    ngx_event_t                finish;
    ngx_uint_t                 cleanup;    /* is registered */
};


struct ngx_comms_cached_s {
    ngx_str_node_t             node;
    ngx_queue_t                link;       /* of unknown, else empty */
    ngx_comms_cache_t         *cache;
    ngx_comms_op_t            *waiting;
    ngx_int_t                  rc;         /* NGX_AGAIN: never fetched */
    void                      *value;      /* with NGX_OK */
    ngx_msec_t                 refresh;
    ngx_msec_t                 expires;
    ngx_msec_t                 until;      /* good without a service */
    ngx_msec_t                 fetched;    /* when it was, well */
    ngx_msec_t                 doubt;      /* when somebody doubted it */
    unsigned                   fetching:1;
    unsigned                   doubted:1;  /* ever */
    unsigned                   said:1;     /* what is wrong was logged; for
                                              the fetcher, until it is well */
    u_char                     key[1];
};


void ngx_comms_cache_init(ngx_comms_cache_t *cache, void *data,
    ngx_comms_cache_fetch_pt fetch, ngx_msec_t term);

/*
 * NGX_OK with *value, NGX_DECLINED, NGX_ERROR, or NGX_AGAIN.  With an
 * operation something not known is fetched, NGX_AGAIN returned, and the
 * operation finished when there is an answer.
 */
ngx_int_t ngx_comms_cache_get(ngx_comms_cache_t *cache, ngx_str_t *key,
    ngx_comms_op_t *op, void **value);

/* fetches what is not known, for nobody in particular */
void ngx_comms_cache_want(ngx_comms_cache_t *cache, ngx_str_t *key);

/*
 * What is known is not to be given any more before it was fetched again.
 * NGX_DECLINED: nothing is known, or it was doubted within the last minute
 * and fetched since.
 */
ngx_int_t ngx_comms_cache_doubt(ngx_comms_cache_t *cache, ngx_str_t *key);

/* by the fetcher; "rc" is one of NGX_OK, NGX_DECLINED and NGX_ERROR */
void ngx_comms_cache_done(ngx_comms_cached_t *entry, ngx_int_t rc,
    void *value);

/* keeps a document as long as the cycle; takes over the reference */
ngx_int_t ngx_comms_cache_keep(json_t *document);


#endif /* _NGX_COMMS_PROJECT_AWS_CACHE_H_INCLUDED_ */
