
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Breakers in the shared zone.  One that is not closed is never evicted.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <guard/ngx_comms_breaker.h>
#include <guard/ngx_comms_keyed.h>


#define NGX_COMMS_BREAKER_LIST  256


ngx_int_t
ngx_comms_breaker_admit(ngx_comms_zone_t *zone, ngx_str_t *key,
    ngx_comms_breaker_policy_t *policy, uint64_t *token,
    ngx_msec_t *retry_after)
{
    ngx_int_t             rc;
    ngx_comms_keyed_t    *k;
    ngx_comms_breaker_t  *b;

    rc = NGX_OK;
    *token = 0;

    ngx_shmtx_lock(&zone->pool->mutex);

    k = ngx_comms_keyed_get(zone, NGX_COMMS_KEYED_BREAKER, key,
                            sizeof(ngx_comms_breaker_t));
    if (k != NULL) {
        b = ngx_comms_keyed_data(k);
        rc = ngx_comms_breaker_ask(b, policy, ngx_current_msec, token,
                                   retry_after);
    }

    ngx_shmtx_unlock(&zone->pool->mutex);

    if (k == NULL) {
        ngx_comms_count(zone, NGX_COMMS_COUNT_ZONE_FULL, 1);
    }

    if (rc == NGX_DECLINED) {
        ngx_comms_count(zone, NGX_COMMS_COUNT_BREAKER_REFUSED, 1);
    }

    return rc;
}


void
ngx_comms_breaker_report(ngx_comms_zone_t *zone, ngx_str_t *key,
    ngx_comms_breaker_policy_t *policy, uint64_t token,
    ngx_comms_breaker_outcome_e outcome, ngx_msec_t took)
{
    ngx_uint_t            opened, chance;
    ngx_comms_keyed_t    *k;
    ngx_comms_breaker_t  *b;

    opened = 0;
    chance = ngx_random();

    ngx_shmtx_lock(&zone->pool->mutex);

    k = ngx_comms_keyed_get(zone, NGX_COMMS_KEYED_BREAKER, key,
                            sizeof(ngx_comms_breaker_t));
    if (k != NULL) {
        b = ngx_comms_keyed_data(k);
        opened = ngx_comms_breaker_tell(b, policy, ngx_current_msec, token,
                                        outcome, took, chance);
        k->pinned = (b->state != NGX_COMMS_BREAKER_CLOSED);
    }

    ngx_shmtx_unlock(&zone->pool->mutex);

    if (k == NULL) {
        ngx_comms_count(zone, NGX_COMMS_COUNT_ZONE_FULL, 1);
    }

    if (opened) {
        ngx_comms_count(zone, NGX_COMMS_COUNT_BREAKER_OPENED, 1);

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "comms breaker of \"%V\" is open", key);
    }
}


ngx_array_t *
ngx_comms_breaker_list(ngx_comms_zone_t *zone, ngx_pool_t *pool)
{
    u_char                    *keys;
    ngx_str_t                  name;
    ngx_uint_t                 n;
    ngx_array_t               *list;
    ngx_comms_keyed_t         *k;
    ngx_comms_breaker_t       *b;
    ngx_comms_breaker_view_t  *view;

    /* nothing is allocated from a pool with the mutex held */

    list = ngx_array_create(pool, NGX_COMMS_BREAKER_LIST,
                            sizeof(ngx_comms_breaker_view_t));
    keys = ngx_pnalloc(pool, NGX_COMMS_BREAKER_LIST * NGX_COMMS_KEYED_MAX);

    if (list == NULL || keys == NULL) {
        return NULL;
    }

    ngx_shmtx_lock(&zone->pool->mutex);

    k = ngx_comms_keyed_next(zone, NGX_COMMS_KEYED_BREAKER, NULL);

    for (n = 0; k != NULL && n < NGX_COMMS_BREAKER_LIST; n++) {
        b = ngx_comms_keyed_data(k);
        name = ngx_comms_keyed_name(k);
        view = ngx_array_push(list);

        view->key.data = keys + n * NGX_COMMS_KEYED_MAX;
        view->key.len = name.len;
        ngx_memcpy(view->key.data, name.data, name.len);

        view->state = b->state;
        view->retry_after = (b->until > ngx_current_msec)
                            ? (ngx_msec_t) (b->until - ngx_current_msec) : 0;

        k = ngx_comms_keyed_next(zone, NGX_COMMS_KEYED_BREAKER, k);
    }

    ngx_shmtx_unlock(&zone->pool->mutex);

    return list;
}
