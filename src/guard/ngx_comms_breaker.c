
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The breaker's states; see the header.
 *
 * The sliding window is a ring of buckets, each of a tenth of it.  A bucket
 * that is found with an older number is emptied when it is written to and
 * passed over when the window is added up.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <guard/ngx_comms_breaker.h>


/* a call refused while a probe is under way asks again so soon, ms */
#define NGX_COMMS_BREAKER_PROBE_WAIT  1000


static uint64_t ngx_comms_breaker_slot(ngx_comms_breaker_policy_t *policy,
    uint64_t now);
static ngx_comms_breaker_bucket_t *ngx_comms_breaker_bucket(
    ngx_comms_breaker_t *b, ngx_comms_breaker_policy_t *policy,
    uint64_t now);
static void ngx_comms_breaker_count(ngx_comms_breaker_t *b,
    ngx_comms_breaker_policy_t *policy, uint64_t now, ngx_uint_t bad,
    ngx_uint_t slow);
static ngx_uint_t ngx_comms_breaker_trips(ngx_comms_breaker_t *b,
    ngx_comms_breaker_policy_t *policy, uint64_t now);
static void ngx_comms_breaker_open(ngx_comms_breaker_t *b,
    ngx_comms_breaker_policy_t *policy, uint64_t now, ngx_uint_t chance);
static void ngx_comms_breaker_close(ngx_comms_breaker_t *b);
static ngx_uint_t ngx_comms_breaker_probed(ngx_comms_breaker_t *b,
    ngx_comms_breaker_policy_t *policy, uint64_t now,
    ngx_comms_breaker_outcome_e outcome, ngx_msec_t took, ngx_uint_t chance);


ngx_comms_breaker_policy_t  ngx_comms_breaker_default = {
    5,           /* failures in a row */
    50,          /* per cent that fail */
    80,          /* per cent that are slow */
    20,          /* calls in the window, at least */
    60000,       /* window */
    45000,       /* slow */
    5000,        /* open, at least */
    300000,      /* open, at most */
    300000,      /* open for a quota that is gone */
    120000       /* a probe's term */
};


ngx_int_t
ngx_comms_breaker_ask(ngx_comms_breaker_t *b,
    ngx_comms_breaker_policy_t *policy, uint64_t now, uint64_t *token,
    ngx_msec_t *retry_after)
{
    if (b->state == NGX_COMMS_BREAKER_CLOSED) {
        ngx_comms_breaker_bucket(b, policy, now)->begun++;
        *token = b->epoch + 1;

        return NGX_OK;
    }

    if (b->state == NGX_COMMS_BREAKER_OPEN) {

        if (now < b->until) {
            *retry_after = (ngx_msec_t) (b->until - now);
            return NGX_DECLINED;
        }

        b->state = NGX_COMMS_BREAKER_HALF_OPEN;
        b->probe = 0;
    }

    if (b->probe != 0 && now < b->probe) {
        *retry_after = (ngx_msec_t) ngx_min(b->probe - now,
                                            NGX_COMMS_BREAKER_PROBE_WAIT);
        return NGX_DECLINED;
    }

    b->epoch++;
    b->probe = now + policy->probe_term;
    *token = b->epoch + 1;

    return NGX_OK;
}


ngx_uint_t
ngx_comms_breaker_tell(ngx_comms_breaker_t *b,
    ngx_comms_breaker_policy_t *policy, uint64_t now, uint64_t token,
    ngx_comms_breaker_outcome_e outcome, ngx_msec_t took, ngx_uint_t chance)
{
    ngx_uint_t  was, slow;

    was = b->state;

    /* an empty account is news, however old the call */

    if (outcome == NGX_COMMS_BREAKER_QUOTA) {
        ngx_comms_breaker_open(b, policy, now, chance);
        b->until = ngx_max(b->until, now + policy->quota);

        return was == NGX_COMMS_BREAKER_CLOSED;
    }

    if (token != b->epoch + 1) {
        return 0;
    }

    if (b->state == NGX_COMMS_BREAKER_HALF_OPEN) {
        return ngx_comms_breaker_probed(b, policy, now, outcome, took, chance);
    }

    if (b->state != NGX_COMMS_BREAKER_CLOSED
        || outcome == NGX_COMMS_BREAKER_NEUTRAL)
    {
        return 0;
    }

    slow = (took >= policy->slow);

    if (outcome == NGX_COMMS_BREAKER_GOOD) {
        b->in_a_row = 0;
        b->opened = 0;
        ngx_comms_breaker_count(b, policy, now, 0, slow);

    } else {
        b->in_a_row++;
        ngx_comms_breaker_count(b, policy, now, 1, slow);
    }

    if (ngx_comms_breaker_trips(b, policy, now)) {
        ngx_comms_breaker_open(b, policy, now, chance);
        return 1;
    }

    return 0;
}


static ngx_uint_t
ngx_comms_breaker_probed(ngx_comms_breaker_t *b,
    ngx_comms_breaker_policy_t *policy, uint64_t now,
    ngx_comms_breaker_outcome_e outcome, ngx_msec_t took, ngx_uint_t chance)
{
    switch (outcome) {

    case NGX_COMMS_BREAKER_NEUTRAL:

        /* it answered, if only to say no; but that is no proof of health */

        b->probe = 0;
        return 0;

    case NGX_COMMS_BREAKER_GOOD:

        if (policy->slow_share == 0 || took < policy->slow) {
            ngx_comms_breaker_close(b);
            return 0;
        }

        /* fall through */

    default:
        ngx_comms_breaker_open(b, policy, now, chance);
        return 1;
    }
}


static uint64_t
ngx_comms_breaker_slot(ngx_comms_breaker_policy_t *policy, uint64_t now)
{
    return now / ngx_max(policy->window / NGX_COMMS_BREAKER_BUCKETS, 1);
}


/* the bucket of now, empty when it is new */

static ngx_comms_breaker_bucket_t *
ngx_comms_breaker_bucket(ngx_comms_breaker_t *b,
    ngx_comms_breaker_policy_t *policy, uint64_t now)
{
    uint64_t                     slot;
    ngx_comms_breaker_bucket_t  *bucket;

    slot = ngx_comms_breaker_slot(policy, now);
    bucket = &b->buckets[slot % NGX_COMMS_BREAKER_BUCKETS];

    if (bucket->slot != slot) {
        ngx_memzero(bucket, sizeof(ngx_comms_breaker_bucket_t));
        bucket->slot = slot;
    }

    return bucket;
}


static void
ngx_comms_breaker_count(ngx_comms_breaker_t *b,
    ngx_comms_breaker_policy_t *policy, uint64_t now, ngx_uint_t bad,
    ngx_uint_t slow)
{
    ngx_comms_breaker_bucket_t  *bucket;

    bucket = ngx_comms_breaker_bucket(b, policy, now);

    bucket->calls++;
    bucket->bad += bad;
    bucket->slow += slow;
}


static ngx_uint_t
ngx_comms_breaker_trips(ngx_comms_breaker_t *b,
    ngx_comms_breaker_policy_t *policy, uint64_t now)
{
    uint64_t                     slot, begun, calls, bad, slow;
    ngx_uint_t                   i;
    ngx_comms_breaker_bucket_t  *bucket;

    slot = ngx_comms_breaker_slot(policy, now);
    begun = 0;
    calls = 0;
    bad = 0;
    slow = 0;

    for (i = 0; i < NGX_COMMS_BREAKER_BUCKETS; i++) {
        bucket = &b->buckets[i];

        if (bucket->slot + NGX_COMMS_BREAKER_BUCKETS <= slot) {
            continue;
        }

        begun += bucket->begun;
        calls += bucket->calls;
        bad += bucket->bad;
        slow += bucket->slow;
    }

    /* those begun before the window, or before the breaker closed, report */

    begun = ngx_max(begun, calls);

    if (policy->in_a_row
        && b->in_a_row >= ngx_max(policy->in_a_row, begun - calls))
    {
        return 1;
    }

    if (calls < ngx_max(policy->min_calls, 1)) {
        return 0;
    }

    return (policy->share && bad * 100 >= begun * policy->share)
           || (policy->slow_share && slow * 100 >= calls * policy->slow_share);
}


static void
ngx_comms_breaker_open(ngx_comms_breaker_t *b,
    ngx_comms_breaker_policy_t *policy, uint64_t now, ngx_uint_t chance)
{
    uint64_t    term;
    ngx_uint_t  i;

    term = ngx_max(policy->open_min, 1);

    for (i = 0; i < b->opened && term < policy->open_max; i++) {
        term *= 2;
    }

    term = ngx_min(term, ngx_max(policy->open_max, policy->open_min));

    /* workers, and machines, must not come back all at once */

    term += chance % (term / 4 + 1);

    b->state = NGX_COMMS_BREAKER_OPEN;
    b->until = now + term;
    b->probe = 0;
    b->in_a_row = 0;
    b->epoch++;

    if (b->opened < 64) {
        b->opened++;
    }

    ngx_memzero(b->buckets, sizeof(b->buckets));
}


/* "opened" stays until a call that is no probe went well */

static void
ngx_comms_breaker_close(ngx_comms_breaker_t *b)
{
    b->state = NGX_COMMS_BREAKER_CLOSED;
    b->until = 0;
    b->probe = 0;
    b->in_a_row = 0;
    b->epoch++;
}
