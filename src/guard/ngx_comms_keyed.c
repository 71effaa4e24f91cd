
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <guard/ngx_comms_keyed.h>


/* nodes that are looked at, at most, to make room for one */
#define NGX_COMMS_KEYED_EVICT  64


static ngx_comms_keyed_t *ngx_comms_keyed_find(
    ngx_comms_zone_layout_t *layout, ngx_uint_t kind, ngx_str_t *key,
    uint32_t hash);
static ngx_comms_keyed_t *ngx_comms_keyed_make(ngx_comms_zone_t *zone,
    ngx_uint_t kind, ngx_str_t *key, uint32_t hash, size_t size);
static ngx_uint_t ngx_comms_keyed_evict(ngx_comms_zone_t *zone);
static ngx_int_t ngx_comms_keyed_compare(ngx_uint_t kind, ngx_str_t *key,
    ngx_comms_keyed_t *k);
static void ngx_comms_keyed_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);


ngx_comms_keyed_t *
ngx_comms_keyed_get(ngx_comms_zone_t *zone, ngx_uint_t kind, ngx_str_t *key,
    size_t size)
{
    uint32_t            hash;
    ngx_str_t           name;
    ngx_comms_keyed_t  *k;

    hash = ngx_crc32_long(key->data, key->len) + (uint32_t) kind;

    name.data = key->data;
    name.len = ngx_min(key->len, NGX_COMMS_KEYED_MAX);

    k = ngx_comms_keyed_find(zone->layout, kind, &name, hash);

    if (k == NULL) {
        k = ngx_comms_keyed_make(zone, kind, &name, hash, size);

        if (k == NULL) {
            return NULL;
        }

    } else {
        ngx_queue_remove(&k->queue);
    }

    ngx_queue_insert_head(&zone->layout->keyed_queue, &k->queue);

    return k;
}


static ngx_comms_keyed_t *
ngx_comms_keyed_find(ngx_comms_zone_layout_t *layout, ngx_uint_t kind,
    ngx_str_t *key, uint32_t hash)
{
    ngx_int_t           rc;
    ngx_rbtree_node_t  *node, *sentinel;

    node = layout->keyed.root;
    sentinel = layout->keyed.sentinel;

    while (node != sentinel) {

        if (hash != node->key) {
            node = (hash < node->key) ? node->left : node->right;
            continue;
        }

        rc = ngx_comms_keyed_compare(kind, key, (ngx_comms_keyed_t *) node);

        if (rc == 0) {
            return (ngx_comms_keyed_t *) node;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


static ngx_comms_keyed_t *
ngx_comms_keyed_make(ngx_comms_zone_t *zone, ngx_uint_t kind, ngx_str_t *key,
    uint32_t hash, size_t size)
{
    size_t              head;
    ngx_uint_t          i;
    ngx_comms_keyed_t  *k;

    head = ngx_align(sizeof(ngx_comms_keyed_t), sizeof(uint64_t)) + size;

    k = ngx_slab_calloc_locked(zone->pool, head + key->len);

    for (i = 0; k == NULL && i < NGX_COMMS_KEYED_EVICT; i++) {

        if (!ngx_comms_keyed_evict(zone) && !ngx_comms_limiter_evict(zone)) {
            return NULL;
        }

        k = ngx_slab_calloc_locked(zone->pool, head + key->len);
    }

    if (k == NULL) {
        return NULL;
    }

    k->node.key = hash;
    k->kind = (u_char) kind;
    k->len = (u_short) key->len;
    k->offset = (uint32_t) head;
    ngx_memcpy((u_char *) k + head, key->data, key->len);

    zone->layout->keyed.insert = ngx_comms_keyed_insert;
    ngx_rbtree_insert(&zone->layout->keyed, &k->node);

    return k;
}


static ngx_uint_t
ngx_comms_keyed_evict(ngx_comms_zone_t *zone)
{
    ngx_uint_t          i;
    ngx_queue_t        *q;
    ngx_comms_keyed_t  *k;

    q = ngx_queue_last(&zone->layout->keyed_queue);

    for (i = 0; i < NGX_COMMS_KEYED_EVICT; i++) {

        if (q == ngx_queue_sentinel(&zone->layout->keyed_queue)) {
            return 0;
        }

        k = ngx_queue_data(q, ngx_comms_keyed_t, queue);
        q = ngx_queue_prev(q);

        if (k->pinned) {
            continue;
        }

        ngx_queue_remove(&k->queue);
        ngx_rbtree_delete(&zone->layout->keyed, &k->node);
        ngx_slab_free_locked(zone->pool, k);

        return 1;
    }

    return 0;
}


ngx_comms_keyed_t *
ngx_comms_keyed_next(ngx_comms_zone_t *zone, ngx_uint_t kind,
    ngx_comms_keyed_t *after)
{
    ngx_queue_t        *q, *queue;
    ngx_comms_keyed_t  *k;

    queue = &zone->layout->keyed_queue;

    q = after ? ngx_queue_next(&after->queue) : ngx_queue_head(queue);

    for ( /* void */ ; q != ngx_queue_sentinel(queue); q = ngx_queue_next(q)) {
        k = ngx_queue_data(q, ngx_comms_keyed_t, queue);

        if (k->kind == kind) {
            return k;
        }
    }

    return NULL;
}


ngx_str_t
ngx_comms_keyed_name(ngx_comms_keyed_t *k)
{
    ngx_str_t  name;

    name.data = (u_char *) k + k->offset;
    name.len = k->len;

    return name;
}


static ngx_int_t
ngx_comms_keyed_compare(ngx_uint_t kind, ngx_str_t *key, ngx_comms_keyed_t *k)
{
    ngx_str_t  name;

    if (kind != k->kind) {
        return (kind < k->kind) ? -1 : 1;
    }

    name = ngx_comms_keyed_name(k);

    return ngx_memn2cmp(key->data, name.data, key->len, name.len);
}


static void
ngx_comms_keyed_insert(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    ngx_str_t            key;
    ngx_uint_t           left;
    ngx_comms_keyed_t   *k;
    ngx_rbtree_node_t  **p;

    k = (ngx_comms_keyed_t *) node;
    key = ngx_comms_keyed_name(k);

    for ( ;; ) {

        if (node->key != temp->key) {
            left = (node->key < temp->key);

        } else {
            left = (ngx_comms_keyed_compare(k->kind, &key,
                                            (ngx_comms_keyed_t *) temp)
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
