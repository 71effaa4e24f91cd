
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Retry budgets: a bad hour must not multiply the traffic that a provider
 * sees.  Every call earns a tenth of a retry, time earns one each ten
 * seconds, and at most ten are kept; so retries are at most one in ten calls
 * over time, beyond a trickle that lets a quiet project retry at all.
 */


#ifndef _NGX_COMMS_BUDGET_H_INCLUDED_
#define _NGX_COMMS_BUDGET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <guard/ngx_comms_zone.h>


typedef struct {
    uint32_t     cents;         /* hundredths of a retry */
    uint64_t     at;            /* time counted up to, ms; 0: never used */
} ngx_comms_budget_t;


/* pure; "now" in ms of a clock that never goes back */
void ngx_comms_budget_call(ngx_comms_budget_t *b, uint64_t now);

/* NGX_OK: one retry is taken; NGX_DECLINED: there is none left */
ngx_int_t ngx_comms_budget_retry(ngx_comms_budget_t *b, uint64_t now);


/*
 * The same for a key ("company_id#project_id#provider") in the zone.  A zone
 * without room allows the retry, and counts it.
 */
void ngx_comms_budget_earn(ngx_comms_zone_t *zone, ngx_str_t *key);
ngx_int_t ngx_comms_budget_take(ngx_comms_zone_t *zone, ngx_str_t *key);


#endif /* _NGX_COMMS_BUDGET_H_INCLUDED_ */
