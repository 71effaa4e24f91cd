
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Learned rates in the shared zone.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <guard/ngx_comms_rate.h>
#include <guard/ngx_comms_keyed.h>


#define NGX_COMMS_RATE_LIST  256


ngx_int_t
ngx_comms_rate_admit(ngx_comms_zone_t *zone, ngx_str_t *key,
    ngx_comms_rate_call_t *call, ngx_msec_t *retry_after)
{
    ngx_int_t           rc;
    ngx_comms_keyed_t  *k;

    rc = NGX_OK;

    ngx_shmtx_lock(&zone->pool->mutex);

    k = ngx_comms_keyed_get(zone, NGX_COMMS_KEYED_RATE, key,
                            sizeof(ngx_comms_rate_t));
    if (k != NULL) {
        rc = ngx_comms_rate_ask(ngx_comms_keyed_data(k), ngx_current_msec,
                                call, retry_after);
    }

    ngx_shmtx_unlock(&zone->pool->mutex);

    if (k == NULL) {
        ngx_comms_count(zone, NGX_COMMS_COUNT_ZONE_FULL, 1);
    }

    if (rc == NGX_DECLINED) {
        ngx_comms_count(zone, NGX_COMMS_COUNT_RATE_REFUSED, 1);
    }

    return rc;
}


void
ngx_comms_rate_report(ngx_comms_zone_t *zone, ngx_str_t *key,
    ngx_comms_rate_call_t *call, ngx_comms_rate_facts_t *facts,
    ngx_uint_t spent, ngx_uint_t throttled, ngx_msec_t retry_after)
{
    ngx_comms_rate_t   *r;
    ngx_comms_keyed_t  *k;

    ngx_shmtx_lock(&zone->pool->mutex);

    k = ngx_comms_keyed_get(zone, NGX_COMMS_KEYED_RATE, key,
                            sizeof(ngx_comms_rate_t));
    if (k != NULL) {
        r = ngx_comms_keyed_data(k);

        if (throttled) {
            ngx_comms_rate_slow_down(r, ngx_current_msec, facts, retry_after);

        } else {
            ngx_comms_rate_learn(r, ngx_current_msec, call, facts, spent);
        }
    }

    ngx_shmtx_unlock(&zone->pool->mutex);

    if (k == NULL) {
        ngx_comms_count(zone, NGX_COMMS_COUNT_ZONE_FULL, 1);
    }
}


ngx_array_t *
ngx_comms_rate_list(ngx_comms_zone_t *zone, ngx_pool_t *pool)
{
    u_char                 *keys;
    ngx_str_t               name;
    ngx_uint_t              n;
    ngx_array_t            *list;
    ngx_comms_rate_t       *r;
    ngx_comms_keyed_t      *k;
    ngx_comms_rate_view_t  *view;

    /* nothing is allocated from a pool with the mutex held */

    list = ngx_array_create(pool, NGX_COMMS_RATE_LIST,
                            sizeof(ngx_comms_rate_view_t));
    keys = ngx_pnalloc(pool, NGX_COMMS_RATE_LIST * NGX_COMMS_KEYED_MAX);

    if (list == NULL || keys == NULL) {
        return NULL;
    }

    ngx_shmtx_lock(&zone->pool->mutex);

    k = ngx_comms_keyed_next(zone, NGX_COMMS_KEYED_RATE, NULL);

    for (n = 0; k != NULL && n < NGX_COMMS_RATE_LIST; n++) {
        r = ngx_comms_keyed_data(k);
        name = ngx_comms_keyed_name(k);
        view = ngx_array_push(list);

        view->key.data = keys + n * NGX_COMMS_KEYED_MAX;
        view->key.len = name.len;
        ngx_memcpy(view->key.data, name.data, name.len);

        view->requests = r->requests.rate * 1000;
        view->tokens = r->tokens.rate * 1000;

        k = ngx_comms_keyed_next(zone, NGX_COMMS_KEYED_RATE, k);
    }

    ngx_shmtx_unlock(&zone->pool->mutex);

    return list;
}
