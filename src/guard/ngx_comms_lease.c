
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Leases: never two turns of a thread at once on this machine.
 *
 * A lease is free (no node), held, or expired (a node whose time is over).
 *
 *   free    --take-->     held
 *   held    --take-->     held, "wanted" and "awaited" set; NGX_BUSY
 *   held    --release-->  free, if not "wanted"; else held, mark cleared
 *   held    --drop-->     free
 *   held    --time, or death of the holder-->  expired
 *   expired --take-->     held by the taker, with a greater token
 *   expired --renew-->    held: nobody had taken it over
 *   expired --purge-->    free
 *
 * Invariants:
 *   1. A thread has at most one node, and a node one token; tokens only grow.
 *   2. "wanted" is set and looked at under the mutex, in the same section
 *      that decides about the lease.  Hence either the holder sees that
 *      somebody came, or the one who came finds the lease free.
 *   3. Whoever was told NGX_BUSY is told by a notice when the lease becomes
 *      free.  "awaited" keeps that in mind over the clearing of "wanted".
 *   4. A holder that was stopped past its term is not known to be; what it
 *      writes then is refused by the store's fence.
 *
 * Nodes are queued by their last renewal.  As terms are equal as a rule, the
 * head of the queue expires first, and a look at the head is all it takes
 * to purge.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <guard/ngx_comms_zone_private.h>


/* expired leases removed along with one take */
#define NGX_COMMS_LEASE_PURGE  2

/* limits given up, at most, to make room for one lease */
#define NGX_COMMS_LEASE_EVICT  64


#define ngx_comms_lease_expired(lease)                                        \
    ((ngx_msec_int_t) ((lease)->expires - ngx_current_msec) <= 0)


static ngx_int_t ngx_comms_lease_try(ngx_comms_zone_t *zone,
    ngx_str_t *thread_id, ngx_msec_t term, uint64_t gone, uint64_t *token,
    ngx_pid_t *pid, ngx_uint_t *freed);
static ngx_int_t ngx_comms_lease_end(ngx_comms_zone_t *zone,
    ngx_str_t *thread_id, uint64_t token, ngx_uint_t drop);
static ngx_comms_lease_t *ngx_comms_lease_create(ngx_comms_zone_t *zone,
    ngx_str_t *thread_id, uint32_t hash, ngx_uint_t *freed);
static void ngx_comms_lease_grant(ngx_comms_zone_layout_t *layout,
    ngx_comms_lease_t *lease, ngx_msec_t term);
static ngx_uint_t ngx_comms_lease_purge(ngx_comms_zone_t *zone,
    ngx_uint_t *freed);
static void ngx_comms_lease_delete(ngx_comms_zone_t *zone,
    ngx_comms_lease_t *lease);
static ngx_comms_lease_t *ngx_comms_lease_lookup(
    ngx_comms_zone_layout_t *layout, ngx_str_t *thread_id, uint32_t hash);
static ngx_int_t ngx_comms_lease_compare(ngx_str_t *thread_id,
    ngx_comms_lease_t *lease);
static void ngx_comms_lease_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);


ngx_int_t
ngx_comms_lease_take(ngx_comms_zone_t *zone, ngx_str_t *thread_id,
    ngx_msec_t term, uint64_t *token)
{
    uint64_t    held;
    ngx_int_t   rc;
    ngx_pid_t   pid;
    ngx_uint_t  freed;

    if (thread_id->len == 0 || thread_id->len > 255) {
        return NGX_ERROR;
    }

    freed = 0;
    held = 0;
    pid = 0;

    rc = ngx_comms_lease_try(zone, thread_id, term, 0, &held, &pid, &freed);

    /*
     * Is the holder alive?  That is a system call, hence asked without the
     * mutex.  The second try takes the lease over only if it is still the one
     * that was asked about.
     */

    if (rc == NGX_BUSY && pid != ngx_pid && ngx_comms_zone_process_gone(pid)) {
        rc = ngx_comms_lease_try(zone, thread_id, term, held, &held, &pid,
                                 &freed);
    }

    if (freed) {
        ngx_comms_notice_post_hash(zone, NGX_COMMS_NOTICE_LEASE, 0);
    }

    if (rc == NGX_ABORT) {
        ngx_comms_count(zone, NGX_COMMS_COUNT_LEASE_TAKEN_OVER, 1);
        rc = NGX_OK;
    }

    if (rc == NGX_ERROR) {
        ngx_comms_count(zone, NGX_COMMS_COUNT_ZONE_FULL, 1);
    }

    if (rc == NGX_OK) {
        *token = held;
    }

    return rc;
}


/*
 * One section.  NGX_OK and NGX_ABORT (taken over) with the new token, NGX_BUSY
 * with the holder's token and pid, NGX_ERROR.  "gone" is a token whose holder
 * has died.
 */

static ngx_int_t
ngx_comms_lease_try(ngx_comms_zone_t *zone, ngx_str_t *thread_id,
    ngx_msec_t term, uint64_t gone, uint64_t *token, ngx_pid_t *pid,
    ngx_uint_t *freed)
{
    uint32_t                  hash;
    ngx_int_t                 rc;
    ngx_comms_lease_t        *lease;
    ngx_comms_zone_layout_t  *layout;

    layout = zone->layout;
    hash = ngx_crc32_short(thread_id->data, thread_id->len);

    ngx_shmtx_lock(&zone->pool->mutex);

    lease = ngx_comms_lease_lookup(layout, thread_id, hash);

    if (lease == NULL) {
        lease = ngx_comms_lease_create(zone, thread_id, hash, freed);

        if (lease == NULL) {
            rc = NGX_ERROR;

        } else {
            ngx_comms_lease_grant(layout, lease, term);
            *token = lease->token;
            rc = NGX_OK;
        }

    } else if (ngx_comms_lease_expired(lease)
               || (gone != 0 && lease->token == gone))
    {
        ngx_comms_lease_grant(layout, lease, term);
        *token = lease->token;
        rc = NGX_ABORT;

    } else {
        lease->wanted = 1;
        lease->awaited = 1;
        *token = lease->token;
        *pid = lease->pid;
        rc = NGX_BUSY;
    }

    ngx_shmtx_unlock(&zone->pool->mutex);

    return rc;
}


ngx_int_t
ngx_comms_lease_renew(ngx_comms_zone_t *zone, ngx_str_t *thread_id,
    uint64_t token, ngx_msec_t term)
{
    uint32_t            hash;
    ngx_int_t           rc;
    ngx_comms_lease_t  *lease;

    hash = ngx_crc32_short(thread_id->data, thread_id->len);

    ngx_shmtx_lock(&zone->pool->mutex);

    lease = ngx_comms_lease_lookup(zone->layout, thread_id, hash);

    if (lease == NULL || lease->token != token) {
        rc = NGX_DECLINED;

    } else {
        lease->expires = ngx_current_msec + term;

        ngx_queue_remove(&lease->queue);
        ngx_queue_insert_tail(&zone->layout->leases_queue, &lease->queue);

        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&zone->pool->mutex);

    return rc;
}


ngx_int_t
ngx_comms_lease_release(ngx_comms_zone_t *zone, ngx_str_t *thread_id,
    uint64_t token)
{
    return ngx_comms_lease_end(zone, thread_id, token, 0);
}


ngx_int_t
ngx_comms_lease_drop(ngx_comms_zone_t *zone, ngx_str_t *thread_id,
    uint64_t token)
{
    return ngx_comms_lease_end(zone, thread_id, token, 1);
}


static ngx_int_t
ngx_comms_lease_end(ngx_comms_zone_t *zone, ngx_str_t *thread_id,
    uint64_t token, ngx_uint_t drop)
{
    uint32_t            hash;
    ngx_int_t           rc;
    ngx_uint_t          awaited;
    ngx_comms_lease_t  *lease;

    awaited = 0;
    hash = ngx_crc32_short(thread_id->data, thread_id->len);

    ngx_shmtx_lock(&zone->pool->mutex);

    lease = ngx_comms_lease_lookup(zone->layout, thread_id, hash);

    if (lease == NULL || lease->token != token) {
        rc = NGX_DECLINED;

    } else if (lease->wanted && !drop) {
        lease->wanted = 0;
        rc = NGX_AGAIN;

    } else {
        awaited = lease->awaited;
        ngx_comms_lease_delete(zone, lease);
        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&zone->pool->mutex);

    if (awaited) {
        ngx_comms_notice_post(zone, NGX_COMMS_NOTICE_LEASE, thread_id);
    }

    return rc;
}


ngx_uint_t
ngx_comms_lease_count(ngx_comms_zone_t *zone)
{
    ngx_uint_t  n;

    ngx_shmtx_lock(&zone->pool->mutex);

    n = zone->layout->nleases;

    ngx_shmtx_unlock(&zone->pool->mutex);

    return n;
}


static ngx_comms_lease_t *
ngx_comms_lease_create(ngx_comms_zone_t *zone, ngx_str_t *thread_id,
    uint32_t hash, ngx_uint_t *freed)
{
    size_t                    size;
    ngx_uint_t                i;
    ngx_comms_lease_t        *lease;
    ngx_comms_zone_layout_t  *layout;

    layout = zone->layout;
    size = offsetof(ngx_comms_lease_t, thread_id) + thread_id->len;

    for (i = 0; i < NGX_COMMS_LEASE_PURGE; i++) {
        if (!ngx_comms_lease_purge(zone, freed)) {
            break;
        }
    }

    lease = ngx_slab_calloc_locked(zone->pool, size);

    /* a turn matters more than a limit's memory of events */

    for (i = 0; lease == NULL && i < NGX_COMMS_LEASE_EVICT; i++) {

        if (!ngx_comms_lease_purge(zone, freed)
            && !ngx_comms_limiter_evict(zone))
        {
            return NULL;
        }

        lease = ngx_slab_calloc_locked(zone->pool, size);
    }

    if (lease == NULL) {
        return NULL;
    }

    lease->node.key = hash;
    lease->len = (u_char) thread_id->len;
    ngx_memcpy(lease->thread_id, thread_id->data, thread_id->len);

    /*
     * No token is 0, so that the holder's death between the insert and the
     * grant leaves a lease that has expired.
     */

    lease->expires = ngx_current_msec;

    ngx_queue_insert_tail(&layout->leases_queue, &lease->queue);

    layout->leases.insert = ngx_comms_lease_insert;
    ngx_rbtree_insert(&layout->leases, &lease->node);

    layout->nleases++;

    return lease;
}


static void
ngx_comms_lease_grant(ngx_comms_zone_layout_t *layout,
    ngx_comms_lease_t *lease, ngx_msec_t term)
{
    lease->token = ++layout->token;
    lease->pid = ngx_pid;
    lease->expires = ngx_current_msec + term;
    lease->wanted = 0;

    ngx_queue_remove(&lease->queue);
    ngx_queue_insert_tail(&layout->leases_queue, &lease->queue);
}


/* removes the lease at the queue's head if it has expired; 0: it has not */

static ngx_uint_t
ngx_comms_lease_purge(ngx_comms_zone_t *zone, ngx_uint_t *freed)
{
    ngx_queue_t        *q;
    ngx_comms_lease_t  *lease;

    if (ngx_queue_empty(&zone->layout->leases_queue)) {
        return 0;
    }

    q = ngx_queue_head(&zone->layout->leases_queue);
    lease = ngx_queue_data(q, ngx_comms_lease_t, queue);

    if (!ngx_comms_lease_expired(lease)) {
        return 0;
    }

    *freed |= lease->awaited;

    ngx_comms_lease_delete(zone, lease);

    return 1;
}


static void
ngx_comms_lease_delete(ngx_comms_zone_t *zone, ngx_comms_lease_t *lease)
{
    ngx_rbtree_delete(&zone->layout->leases, &lease->node);
    ngx_queue_remove(&lease->queue);
    ngx_slab_free_locked(zone->pool, lease);

    zone->layout->nleases--;
}


static ngx_comms_lease_t *
ngx_comms_lease_lookup(ngx_comms_zone_layout_t *layout, ngx_str_t *thread_id,
    uint32_t hash)
{
    ngx_int_t           rc;
    ngx_comms_lease_t  *lease;
    ngx_rbtree_node_t  *node, *sentinel;

    node = layout->leases.root;
    sentinel = layout->leases.sentinel;

    while (node != sentinel) {

        if (hash != node->key) {
            node = (hash < node->key) ? node->left : node->right;
            continue;
        }

        lease = (ngx_comms_lease_t *) node;
        rc = ngx_comms_lease_compare(thread_id, lease);

        if (rc == 0) {
            return lease;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


static ngx_int_t
ngx_comms_lease_compare(ngx_str_t *thread_id, ngx_comms_lease_t *lease)
{
    return ngx_memn2cmp(thread_id->data, lease->thread_id, thread_id->len,
                        lease->len);
}


static void
ngx_comms_lease_insert(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    ngx_str_t            thread_id;
    ngx_uint_t           left;
    ngx_comms_lease_t   *lease;
    ngx_rbtree_node_t  **p;

    lease = (ngx_comms_lease_t *) node;

    thread_id.len = lease->len;
    thread_id.data = lease->thread_id;

    for ( ;; ) {

        if (node->key != temp->key) {
            left = (node->key < temp->key);

        } else {
            left = (ngx_comms_lease_compare(&thread_id,
                                            (ngx_comms_lease_t *) temp)
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
