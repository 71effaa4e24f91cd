
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Circuit breakers: while a provider is down it is left alone, by all workers
 * at once, and asked by one probe at a time whether it is back.
 *
 *   closed      calls pass; outcomes are counted in a sliding window.  Enough
 *               failures in a row, or a large enough share of failures or of
 *               slow calls, open it.  Failures are often quicker than
 *               successes, so what is still under way is taken for good: in
 *               a row are no fewer than those, and the share is of all that
 *               were begun.
 *   open        calls are refused until a time.  That time doubles with every
 *               opening that no success has come between, from open_min to
 *               open_max, each with jitter.
 *   half-open   one call passes, the probe.  Its success closes the breaker,
 *               its failure opens it again.  A probe that was not reported
 *               for probe_term is given up, and the next call is one.
 *
 * The first half is pure: a struct and a clock.  The second keeps one struct
 * for each key in the shared zone, where it outlives a reload.
 */


#ifndef _NGX_COMMS_BREAKER_H_INCLUDED_
#define _NGX_COMMS_BREAKER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <guard/ngx_comms_zone.h>


#define NGX_COMMS_BREAKER_BUCKETS  10


typedef enum {
    NGX_COMMS_BREAKER_CLOSED = 0,
    NGX_COMMS_BREAKER_OPEN,
    NGX_COMMS_BREAKER_HALF_OPEN
} ngx_comms_breaker_state_e;


typedef enum {
    NGX_COMMS_BREAKER_GOOD = 0,   /* it answered */
    NGX_COMMS_BREAKER_BAD,        /* timeout, 5xx, overloaded */
    NGX_COMMS_BREAKER_NEUTRAL,    /* says nothing of its health: our mistake,
                                     a conversation locked, a rate limit */
    NGX_COMMS_BREAKER_QUOTA       /* opens at once, for "quota" ms */
} ngx_comms_breaker_outcome_e;


typedef struct {
    ngx_uint_t   in_a_row;      /* failures; 0: not by this rule */
    ngx_uint_t   share;         /* per cent of calls that fail; 0: not */
    ngx_uint_t   slow_share;    /* per cent of calls that are slow; 0: not */
    ngx_uint_t   min_calls;     /* in the window, for the two shares */
    ngx_msec_t   window;
    ngx_msec_t   slow;          /* a call that takes as long is slow */
    ngx_msec_t   open_min;
    ngx_msec_t   open_max;
    ngx_msec_t   quota;
    ngx_msec_t   probe_term;
} ngx_comms_breaker_policy_t;


typedef struct {
    uint64_t     slot;          /* number of the bucket's time */
    uint32_t     begun;         /* calls that were let through */
    uint32_t     calls;         /* calls that were reported */
    uint32_t     bad;
    uint32_t     slow;
} ngx_comms_breaker_bucket_t;


typedef struct {
    ngx_uint_t                   state;
    uint64_t                     epoch;    /* raised with each change of state
                                              and each probe: a report of an
                                              older one counts for nothing */
    uint64_t                     until;    /* open: when it may close, ms */
    uint64_t                     probe;    /* half-open: when the probe under
                                              way is given up; 0: none is */
    uint32_t                     opened;   /* times without a success */
    uint32_t                     in_a_row;
    ngx_comms_breaker_bucket_t   buckets[NGX_COMMS_BREAKER_BUCKETS];
} ngx_comms_breaker_t;


/* what is used where nothing else is configured */
extern ngx_comms_breaker_policy_t  ngx_comms_breaker_default;


/*
 * May a call be made?  "now" in ms, of a clock that never goes back.
 *   NGX_OK        yes; *token is for the report
 *   NGX_DECLINED  no; ask again in *retry_after ms, which is no promise
 */
ngx_int_t ngx_comms_breaker_ask(ngx_comms_breaker_t *b,
    ngx_comms_breaker_policy_t *policy, uint64_t now, uint64_t *token,
    ngx_msec_t *retry_after);

/*
 * How the call ended; "chance" is any number.  Returns 1 when this opened the
 * breaker.
 */
ngx_uint_t ngx_comms_breaker_tell(ngx_comms_breaker_t *b,
    ngx_comms_breaker_policy_t *policy, uint64_t now, uint64_t token,
    ngx_comms_breaker_outcome_e outcome, ngx_msec_t took, ngx_uint_t chance);


/*
 * The same for the breaker of a key ("provider#credentials_id#model") in the
 * zone.  A zone without room lets calls pass, with *token 0, and counts it
 * (NGX_COMMS_COUNT_ZONE_FULL).
 */
ngx_int_t ngx_comms_breaker_admit(ngx_comms_zone_t *zone, ngx_str_t *key,
    ngx_comms_breaker_policy_t *policy, uint64_t *token,
    ngx_msec_t *retry_after);

/* each admitted call is reported once, whatever became of it */
void ngx_comms_breaker_report(ngx_comms_zone_t *zone, ngx_str_t *key,
    ngx_comms_breaker_policy_t *policy, uint64_t token,
    ngx_comms_breaker_outcome_e outcome, ngx_msec_t took);


typedef struct {
    ngx_str_t    key;           /* in the pool */
    ngx_uint_t   state;
    ngx_msec_t   retry_after;   /* when open */
} ngx_comms_breaker_view_t;

/* all breakers, for the status page: array of views, or NULL (memory) */
ngx_array_t *ngx_comms_breaker_list(ngx_comms_zone_t *zone, ngx_pool_t *pool);


#endif /* _NGX_COMMS_BREAKER_H_INCLUDED_ */
