
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Limits: events of a key in a sliding window, in constant memory.
 *
 * Time is cut into buckets of one window each.  Two are kept, the current
 * and the one before; the sliding count is taken to be
 *
 *     current + previous * (part of the window not yet gone by)
 *
 * as if the events before had been spread evenly.  An event passes when the
 * count with it is within the limit.
 *
 * Error bound: a bucket never holds more than the limit, hence no window
 * that starts where a bucket starts does.  A window that lies across two
 * buckets sees events of both and so fewer than twice the limit, in the worst
 * case (all events of one bucket at its end).  Evenly spread events are
 * limited exactly.
 *
 * Once the newest event is older than the window none counts any more, which
 * keeps small limits from being held back by an even spread that never was.
 *
 * Events that were refused are not counted: who keeps knocking is let in as
 * soon as one who waits.
 *
 * A key longer than NGX_COMMS_LIMITER_KEY is told apart from others by its
 * first bytes and the checksum of the whole.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <guard/ngx_comms_zone_private.h>


#define NGX_COMMS_LIMITER_KEY         512
#define NGX_COMMS_LIMITER_EVICT       64

#define NGX_COMMS_LIMITER_MAX         100000000         /* events */
#define NGX_COMMS_LIMITER_MAX_WINDOW  (366 * 24 * 3600) /* seconds */


static ngx_int_t ngx_comms_limiter_pass(ngx_comms_limit_t *limit,
    uint64_t max, ngx_msec_t *wait);
static ngx_msec_t ngx_comms_limiter_wait(uint64_t weighted, uint64_t room,
    uint64_t window);
static ngx_comms_limit_t *ngx_comms_limiter_create(ngx_comms_zone_t *zone,
    ngx_str_t *key, uint32_t hash, ngx_msec_t window);
static ngx_comms_limit_t *ngx_comms_limiter_lookup(
    ngx_comms_zone_layout_t *layout, ngx_str_t *key, uint32_t hash,
    ngx_msec_t window);
static ngx_int_t ngx_comms_limiter_compare(ngx_str_t *key, ngx_msec_t window,
    ngx_comms_limit_t *limit);
static void ngx_comms_limiter_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);


ngx_int_t
ngx_comms_limiter_take(ngx_comms_zone_t *zone, ngx_str_t *key,
    ngx_uint_t limit, ngx_uint_t window, ngx_uint_t *retry_after)
{
    uint32_t            hash;
    ngx_int_t           rc;
    ngx_str_t           name;
    ngx_msec_t          wait, msec;
    ngx_comms_limit_t  *l;

    window = ngx_min(ngx_max(window, 1), NGX_COMMS_LIMITER_MAX_WINDOW);
    limit = ngx_min(limit, NGX_COMMS_LIMITER_MAX);

    if (limit == 0) {
        *retry_after = window;
        return NGX_DECLINED;
    }

    msec = (ngx_msec_t) window * 1000;
    hash = ngx_crc32_long(key->data, key->len);
    name.len = ngx_min(key->len, NGX_COMMS_LIMITER_KEY);
    name.data = key->data;

    wait = 0;

    ngx_shmtx_lock(&zone->pool->mutex);

    l = ngx_comms_limiter_lookup(zone->layout, &name, hash, msec);

    if (l == NULL) {
        l = ngx_comms_limiter_create(zone, &name, hash, msec);
    }

    if (l != NULL) {
        ngx_queue_remove(&l->queue);
        ngx_queue_insert_head(&zone->layout->limits_queue, &l->queue);

        rc = ngx_comms_limiter_pass(l, limit, &wait);

    } else {
        rc = NGX_ERROR;
    }

    ngx_shmtx_unlock(&zone->pool->mutex);

    if (rc == NGX_ERROR) {
        ngx_comms_count(zone, NGX_COMMS_COUNT_ZONE_FULL, 1);
        return NGX_OK;
    }

    if (rc == NGX_DECLINED) {
        *retry_after = ngx_max((wait + 999) / 1000, 1);
    }

    return rc;
}


/* NGX_OK: counted; NGX_DECLINED: would pass in *wait milliseconds */

static ngx_int_t
ngx_comms_limiter_pass(ngx_comms_limit_t *limit, uint64_t max,
    ngx_msec_t *wait)
{
    uint64_t  age, period, gone, window;

    window = limit->window;
    period = (uint64_t) ngx_current_msec / window;
    gone = (uint64_t) ngx_current_msec % window;

    /* another process may be ahead by a few milliseconds, and by a bucket */

    if (period < limit->period) {
        period = limit->period;
        gone = 0;
    }

    if (period != limit->period) {
        limit->previous = (period == limit->period + 1) ? limit->current : 0;
        limit->current = 0;
        limit->period = period;
    }

    age = ((uint64_t) ngx_current_msec > limit->last)
          ? (uint64_t) ngx_current_msec - limit->last : 0;

    if (age >= window) {
        limit->previous = 0;
        age = 0;
    }

    /* no overflow: counts are within 2^27, windows within 2^35 */

    if (limit->current + (uint64_t) 1 <= max
        && limit->previous * (window - gone)
           <= (max - limit->current - 1) * window)
    {
        limit->current++;
        limit->last = (uint64_t) ngx_current_msec;
        return NGX_OK;
    }

    /* in this bucket, when enough of the previous one has gone by */

    if (limit->current + (uint64_t) 1 <= max) {
        *wait = ngx_comms_limiter_wait(limit->previous,
                                       max - limit->current - 1, window)
                - gone;
        *wait = ngx_min(*wait, window - age);

        return NGX_DECLINED;
    }

    /* in the next, of which this is the previous one */

    *wait = window - gone
            + ngx_comms_limiter_wait(limit->current, max - 1, window);
    *wait = ngx_min(*wait, window - age);

    return NGX_DECLINED;
}


/*
 * How far a bucket must have gone by so that "weighted" events of the bucket
 * before count no more than "room".
 */

static ngx_msec_t
ngx_comms_limiter_wait(uint64_t weighted, uint64_t room, uint64_t window)
{
    if (weighted <= room) {
        return 0;
    }

    return window - room * window / weighted;
}


static ngx_comms_limit_t *
ngx_comms_limiter_create(ngx_comms_zone_t *zone, ngx_str_t *key,
    uint32_t hash, ngx_msec_t window)
{
    size_t                    size;
    ngx_uint_t                i;
    ngx_comms_limit_t        *limit;
    ngx_comms_zone_layout_t  *layout;

    layout = zone->layout;
    size = offsetof(ngx_comms_limit_t, key) + key->len;

    limit = ngx_slab_calloc_locked(zone->pool, size);

    /* freed memory may be of another size: one eviction need not do */

    for (i = 0; limit == NULL && i < NGX_COMMS_LIMITER_EVICT; i++) {

        if (!ngx_comms_limiter_evict(zone)) {
            return NULL;
        }

        limit = ngx_slab_calloc_locked(zone->pool, size);
    }

    if (limit == NULL) {
        return NULL;
    }

    limit->node.key = hash;
    limit->window = window;
    limit->period = (uint64_t) ngx_current_msec / window;
    limit->len = (u_short) key->len;
    ngx_memcpy(limit->key, key->data, key->len);

    ngx_queue_insert_head(&layout->limits_queue, &limit->queue);

    layout->limits.insert = ngx_comms_limiter_insert;
    ngx_rbtree_insert(&layout->limits, &limit->node);

    return limit;
}


ngx_comms_limit_t *
ngx_comms_limiter_node(ngx_comms_zone_t *zone, ngx_str_t *key,
    ngx_msec_t window, ngx_uint_t create)
{
    uint32_t            hash;
    ngx_comms_limit_t  *limit;

    hash = ngx_crc32_long(key->data, key->len);

    limit = ngx_comms_limiter_lookup(zone->layout, key, hash, window);

    if (limit == NULL) {
        return create ? ngx_comms_limiter_create(zone, key, hash, window)
                      : NULL;
    }

    ngx_queue_remove(&limit->queue);
    ngx_queue_insert_head(&zone->layout->limits_queue, &limit->queue);

    return limit;
}


void
ngx_comms_limiter_drop(ngx_comms_zone_t *zone, ngx_comms_limit_t *limit)
{
    ngx_queue_remove(&limit->queue);
    ngx_rbtree_delete(&zone->layout->limits, &limit->node);
    ngx_slab_free_locked(zone->pool, limit);
}


ngx_uint_t
ngx_comms_limiter_evict(ngx_comms_zone_t *zone)
{
    ngx_queue_t        *q;
    ngx_comms_limit_t  *limit;

    if (ngx_queue_empty(&zone->layout->limits_queue)) {
        return 0;
    }

    q = ngx_queue_last(&zone->layout->limits_queue);
    limit = ngx_queue_data(q, ngx_comms_limit_t, queue);

    ngx_comms_limiter_drop(zone, limit);

    return 1;
}


static ngx_comms_limit_t *
ngx_comms_limiter_lookup(ngx_comms_zone_layout_t *layout, ngx_str_t *key,
    uint32_t hash, ngx_msec_t window)
{
    ngx_int_t           rc;
    ngx_comms_limit_t  *limit;
    ngx_rbtree_node_t  *node, *sentinel;

    node = layout->limits.root;
    sentinel = layout->limits.sentinel;

    while (node != sentinel) {

        if (hash != node->key) {
            node = (hash < node->key) ? node->left : node->right;
            continue;
        }

        limit = (ngx_comms_limit_t *) node;
        rc = ngx_comms_limiter_compare(key, window, limit);

        if (rc == 0) {
            return limit;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


/* the same key with two windows is two limits */

static ngx_int_t
ngx_comms_limiter_compare(ngx_str_t *key, ngx_msec_t window,
    ngx_comms_limit_t *limit)
{
    if (window != limit->window) {
        return (window < limit->window) ? -1 : 1;
    }

    return ngx_memn2cmp(key->data, limit->key, key->len, limit->len);
}


static void
ngx_comms_limiter_insert(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    ngx_str_t            key;
    ngx_uint_t           left;
    ngx_comms_limit_t   *limit;
    ngx_rbtree_node_t  **p;

    limit = (ngx_comms_limit_t *) node;

    key.len = limit->len;
    key.data = limit->key;

    for ( ;; ) {

        if (node->key != temp->key) {
            left = (node->key < temp->key);

        } else {
            left = (ngx_comms_limiter_compare(&key, limit->window,
                                              (ngx_comms_limit_t *) temp)
                    < 0);
        }

        p = left ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}
