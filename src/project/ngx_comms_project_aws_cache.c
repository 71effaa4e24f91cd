
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <project/ngx_comms_project_aws_cache.h>


/* ms */
#define NGX_COMMS_CACHE_UNKNOWN   10000     /* a name that is not there */
#define NGX_COMMS_CACHE_FAILED    2000      /* a fetch that failed */
#define NGX_COMMS_CACHE_RETRY     5000      /* the same, with a value left */
#define NGX_COMMS_CACHE_GRACE     3600000
#define NGX_COMMS_CACHE_DOUBT     60000     /* between two that are forced */

#define NGX_COMMS_CACHE_UNKNOWNS  10000


static ngx_comms_cached_t *ngx_comms_cache_entry(ngx_comms_cache_t *cache,
    ngx_str_t *key);
static ngx_comms_cached_t *ngx_comms_cache_add(ngx_comms_cache_t *cache,
    ngx_str_t *key);
static void ngx_comms_cache_fetch(ngx_comms_cached_t *entry);
static void ngx_comms_cache_times(ngx_comms_cached_t *entry, ngx_int_t rc);
static void ngx_comms_cache_unknown(ngx_comms_cached_t *entry);
static void ngx_comms_cache_evict(ngx_comms_cache_t *cache);
static void ngx_comms_cache_ready(ngx_comms_cache_t *cache,
    ngx_comms_op_t *list);
static void ngx_comms_cache_finish(ngx_event_t *ev);
static void ngx_comms_cache_cleanup(void *data);
static void ngx_comms_cache_release(void *data);


void
ngx_comms_cache_init(ngx_comms_cache_t *cache, void *data,
    ngx_comms_cache_fetch_pt fetch, ngx_msec_t term)
{
    cache->data = data;
    cache->fetch = fetch;
    cache->term = term;

    ngx_rbtree_init(&cache->tree, &cache->sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_queue_init(&cache->unknown);

    cache->finish.handler = ngx_comms_cache_finish;
    cache->finish.data = cache;
}


ngx_int_t
ngx_comms_cache_get(ngx_comms_cache_t *cache, ngx_str_t *key,
    ngx_comms_op_t *op, void **value)
{
    ngx_comms_cached_t  *entry;

    entry = ngx_comms_cache_entry(cache, key);

    if (entry != NULL
        && entry->rc != NGX_AGAIN
        && (ngx_msec_int_t) (entry->expires - ngx_current_msec) > 0)
    {
        *value = entry->value;

        if (entry->rc == NGX_OK
            && (ngx_msec_int_t) (entry->refresh - ngx_current_msec) <= 0)
        {
            ngx_comms_cache_fetch(entry);
        }

        return entry->rc;
    }

    if (op == NULL) {
        return NGX_AGAIN;
    }

    if (entry == NULL) {
        entry = ngx_comms_cache_add(cache, key);
    }

    if (entry == NULL) {
        op->answer = NULL;
        ngx_comms_cache_ready(cache, op);
        return NGX_AGAIN;
    }

    /* linked through a field that nobody reads before it is finished */

    op->answer = (json_t *) entry->waiting;
    entry->waiting = op;

    ngx_comms_cache_fetch(entry);

    return NGX_AGAIN;
}


void
ngx_comms_cache_want(ngx_comms_cache_t *cache, ngx_str_t *key)
{
    ngx_comms_cached_t  *entry;

    entry = ngx_comms_cache_entry(cache, key);

    if (entry == NULL) {
        entry = ngx_comms_cache_add(cache, key);
    }

    if (entry != NULL
        && (entry->rc == NGX_AGAIN
            || (ngx_msec_int_t) (entry->expires - ngx_current_msec) <= 0))
    {
        ngx_comms_cache_fetch(entry);
    }
}


ngx_int_t
ngx_comms_cache_doubt(ngx_comms_cache_t *cache, ngx_str_t *key)
{
    ngx_comms_cached_t  *entry;

    entry = ngx_comms_cache_entry(cache, key);

    if (entry == NULL || entry->rc != NGX_OK) {
        return NGX_DECLINED;
    }

    if (entry->doubted
        && ngx_current_msec - entry->doubt < NGX_COMMS_CACHE_DOUBT)
    {
        /* others that ask while it is being fetched wait for it, too */
        return ((ngx_msec_int_t) (entry->fetched - entry->doubt) < 0)
               ? NGX_OK : NGX_DECLINED;
    }

    entry->doubted = 1;
    entry->doubt = ngx_current_msec;
    entry->expires = ngx_current_msec;

    return NGX_OK;
}


static ngx_comms_cached_t *
ngx_comms_cache_entry(ngx_comms_cache_t *cache, ngx_str_t *key)
{
    return (ngx_comms_cached_t *)
               ngx_str_rbtree_lookup(&cache->tree, key,
                                     ngx_crc32_long(key->data, key->len));
}


static ngx_comms_cached_t *
ngx_comms_cache_add(ngx_comms_cache_t *cache, ngx_str_t *key)
{
    ngx_comms_cached_t  *entry;
    ngx_pool_cleanup_t  *cln;

    if (!cache->cleanup) {
        cln = ngx_pool_cleanup_add(ngx_cycle->pool, 0);
        if (cln == NULL) {
            return NULL;
        }

        cln->handler = ngx_comms_cache_cleanup;
        cln->data = cache;

        cache->cleanup = 1;
        cache->finish.log = ngx_cycle->log;
    }

    entry = ngx_calloc(sizeof(ngx_comms_cached_t) + key->len, ngx_cycle->log);
    if (entry == NULL) {
        return NULL;
    }

    ngx_memcpy(entry->key, key->data, key->len);

    entry->cache = cache;
    entry->rc = NGX_AGAIN;
    entry->node.str.data = entry->key;
    entry->node.str.len = key->len;
    entry->node.node.key = ngx_crc32_long(key->data, key->len);

    ngx_queue_init(&entry->link);
    ngx_rbtree_insert(&cache->tree, &entry->node.node);

    return entry;
}


static void
ngx_comms_cache_fetch(ngx_comms_cached_t *entry)
{
    if (!entry->fetching) {
        entry->fetching = 1;
        entry->cache->fetch(entry);
    }
}


void
ngx_comms_cache_done(ngx_comms_cached_t *entry, ngx_int_t rc, void *value)
{
    ngx_comms_op_t     *list;
    ngx_comms_cache_t  *cache;

    cache = entry->cache;
    list = entry->waiting;

    entry->fetching = 0;
    entry->waiting = NULL;

    ngx_comms_cache_times(entry, rc);

    if (rc == NGX_OK) {
        entry->value = value;
        entry->said = 0;
    }

    ngx_comms_cache_ready(cache, list);

    if (!ngx_queue_empty(&entry->link)) {
        ngx_queue_remove(&entry->link);
        ngx_queue_init(&entry->link);
        cache->nunknown--;
    }

    if (entry->rc != NGX_OK) {
        ngx_comms_cache_unknown(entry);
    }
}


static void
ngx_comms_cache_times(ngx_comms_cached_t *entry, ngx_int_t rc)
{
    ngx_msec_t  now, term;

    now = ngx_current_msec;
    term = entry->cache->term;

    if (rc == NGX_ERROR
        && entry->rc == NGX_OK
        && (ngx_msec_int_t) (entry->until - now) > 0)
    {
        entry->refresh = now + NGX_COMMS_CACHE_RETRY;
        entry->expires = now + NGX_COMMS_CACHE_RETRY;
        return;
    }

    entry->rc = rc;

    switch (rc) {

    case NGX_OK:
        entry->fetched = now;
        entry->expires = now + term;
        entry->refresh = now + term - term / 10
                         - (ngx_msec_t) ngx_random() % (term / 5 + 1);
        entry->until = now + term + NGX_COMMS_CACHE_GRACE;
        break;

    case NGX_DECLINED:
        entry->expires = now + ngx_min(term, NGX_COMMS_CACHE_UNKNOWN);
        break;

    default: /* NGX_ERROR */
        entry->expires = now + NGX_COMMS_CACHE_FAILED;
    }
}


static void
ngx_comms_cache_unknown(ngx_comms_cached_t *entry)
{
    ngx_comms_cache_t  *cache;

    cache = entry->cache;

    ngx_queue_insert_tail(&cache->unknown, &entry->link);

    if (++cache->nunknown > NGX_COMMS_CACHE_UNKNOWNS) {
        ngx_comms_cache_evict(cache);
    }
}


/* the oldest that nobody is busy with; there are always many of them */

static void
ngx_comms_cache_evict(ngx_comms_cache_t *cache)
{
    ngx_queue_t         *q;
    ngx_comms_cached_t  *entry;

    for (q = ngx_queue_head(&cache->unknown);
         q != ngx_queue_sentinel(&cache->unknown);
         q = ngx_queue_next(q))
    {
        entry = ngx_queue_data(q, ngx_comms_cached_t, link);

        if (!entry->fetching) {
            ngx_queue_remove(q);
            cache->nunknown--;

            ngx_rbtree_delete(&cache->tree, &entry->node.node);
            ngx_free(entry);
            return;
        }
    }
}


/* operations finish on the next turn, never inside of get */

static void
ngx_comms_cache_ready(ngx_comms_cache_t *cache, ngx_comms_op_t *list)
{
    ngx_comms_op_t  *op, *next;

    for (op = list; op != NULL; op = next) {
        next = (ngx_comms_op_t *) op->answer;

        op->answer = (json_t *) cache->ready;
        cache->ready = op;
    }

    if (cache->ready != NULL) {
        ngx_post_event(&cache->finish, &ngx_posted_events);
    }
}


static void
ngx_comms_cache_finish(ngx_event_t *ev)
{
    ngx_comms_op_t     *op, *next;
    ngx_comms_cache_t  *cache;

    cache = ev->data;

    op = cache->ready;
    cache->ready = NULL;

    for ( /* void */ ; op != NULL; op = next) {
        next = (ngx_comms_op_t *) op->answer;
        ngx_comms_op_finish(op, NGX_OK, NULL);
    }
}


static void
ngx_comms_cache_cleanup(void *data)
{
    ngx_comms_cache_t  *cache = data;

    ngx_comms_op_t      *op, *next;
    ngx_rbtree_node_t   *node;
    ngx_comms_cached_t  *entry;

    while (cache->tree.root != &cache->sentinel) {
        node = ngx_rbtree_min(cache->tree.root, &cache->sentinel);
        entry = (ngx_comms_cached_t *) node;

        ngx_rbtree_delete(&cache->tree, node);
        ngx_comms_cache_ready(cache, entry->waiting);
        ngx_free(entry);
    }

    if (cache->finish.posted) {
        ngx_delete_posted_event(&cache->finish);
    }

    for (op = cache->ready; op != NULL; op = next) {
        next = (ngx_comms_op_t *) op->answer;

        ngx_comms_op_cancel(op);
        ngx_comms_op_finish(op, NGX_ERROR, NULL);
    }
}


ngx_int_t
ngx_comms_cache_keep(json_t *document)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(ngx_cycle->pool, 0);

    if (cln == NULL) {
        json_decref(document);
        return NGX_ERROR;
    }

    cln->handler = ngx_comms_cache_release;
    cln->data = document;

    return NGX_OK;
}


static void
ngx_comms_cache_release(void *data)
{
    json_t  *document = data;

    json_decref(document);
}
