
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <guard/ngx_comms_budget.h>
#include <guard/ngx_comms_keyed.h>


#define NGX_COMMS_BUDGET_MOST   1000    /* hundredths: ten retries */
#define NGX_COMMS_BUDGET_RETRY  100
#define NGX_COMMS_BUDGET_CALL   10
#define NGX_COMMS_BUDGET_TICK   100     /* ms that earn a hundredth */


static void ngx_comms_budget_tick(ngx_comms_budget_t *b, uint64_t now);


void
ngx_comms_budget_call(ngx_comms_budget_t *b, uint64_t now)
{
    ngx_comms_budget_tick(b, now);

    b->cents = ngx_min(b->cents + NGX_COMMS_BUDGET_CALL,
                       NGX_COMMS_BUDGET_MOST);
}


ngx_int_t
ngx_comms_budget_retry(ngx_comms_budget_t *b, uint64_t now)
{
    ngx_comms_budget_tick(b, now);

    if (b->cents < NGX_COMMS_BUDGET_RETRY) {
        return NGX_DECLINED;
    }

    b->cents -= NGX_COMMS_BUDGET_RETRY;

    return NGX_OK;
}


static void
ngx_comms_budget_tick(ngx_comms_budget_t *b, uint64_t now)
{
    uint64_t  ticks;

    if (b->at == 0) {
        b->at = ngx_max(now, 1);
        b->cents = NGX_COMMS_BUDGET_MOST;
        return;
    }

    /* another process may be behind by some milliseconds */

    if (now <= b->at) {
        return;
    }

    ticks = (now - b->at) / NGX_COMMS_BUDGET_TICK;

    b->cents = (uint32_t) ngx_min(b->cents + ngx_min(ticks,
                                               NGX_COMMS_BUDGET_MOST),
                                  NGX_COMMS_BUDGET_MOST);
    b->at += ticks * NGX_COMMS_BUDGET_TICK;
}


void
ngx_comms_budget_earn(ngx_comms_zone_t *zone, ngx_str_t *key)
{
    ngx_comms_keyed_t  *k;

    ngx_shmtx_lock(&zone->pool->mutex);

    k = ngx_comms_keyed_get(zone, NGX_COMMS_KEYED_BUDGET, key,
                            sizeof(ngx_comms_budget_t));
    if (k != NULL) {
        ngx_comms_budget_call(ngx_comms_keyed_data(k), ngx_current_msec);
    }

    ngx_shmtx_unlock(&zone->pool->mutex);

    if (k == NULL) {
        ngx_comms_count(zone, NGX_COMMS_COUNT_ZONE_FULL, 1);
    }
}


ngx_int_t
ngx_comms_budget_take(ngx_comms_zone_t *zone, ngx_str_t *key)
{
    ngx_int_t           rc;
    ngx_comms_keyed_t  *k;

    rc = NGX_OK;

    ngx_shmtx_lock(&zone->pool->mutex);

    k = ngx_comms_keyed_get(zone, NGX_COMMS_KEYED_BUDGET, key,
                            sizeof(ngx_comms_budget_t));
    if (k != NULL) {
        rc = ngx_comms_budget_retry(ngx_comms_keyed_data(k),
                                    ngx_current_msec);
    }

    ngx_shmtx_unlock(&zone->pool->mutex);

    if (k == NULL) {
        ngx_comms_count(zone, NGX_COMMS_COUNT_ZONE_FULL, 1);
    }

    if (rc == NGX_DECLINED) {
        ngx_comms_count(zone, NGX_COMMS_COUNT_RETRY_REFUSED, 1);
    }

    return rc;
}
