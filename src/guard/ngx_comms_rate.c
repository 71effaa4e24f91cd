
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Learned rates, pure; see the header.
 *
 * Bound: a call passes only while tat is at most twice the tolerance ahead of
 * now, and moves tat on by what it costs.  So in any time t the calls that
 * pass cost no more than rate * (t + 2 * tolerance) and one call.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <guard/ngx_comms_rate.h>


#define NGX_COMMS_RATE_WINDOW     10000       /* ms */
#define NGX_COMMS_RATE_TOLERANCE  1000        /* ms, at least */
#define NGX_COMMS_RATE_BURST      4           /* calls, at least */
#define NGX_COMMS_RATE_AGE        30000       /* ms that lift by a class */
#define NGX_COMMS_RATE_OLD        60000       /* ms after which none is first */
#define NGX_COMMS_RATE_LONGEST    60000       /* ms, of a retry_after */
#define NGX_COMMS_RATE_DAY        86400000    /* ms */

/* one a minute: however bad it gets, something must be tried */
#define NGX_COMMS_RATE_LEAST      (1.0 / 60000)
#define NGX_COMMS_RATE_CUT        0.7
#define NGX_COMMS_RATE_STEP       (0.5 / 60000)


static void ngx_comms_rate_roll(ngx_comms_rate_t *r, uint64_t now);
static ngx_uint_t ngx_comms_rate_class(ngx_comms_rate_t *r, uint64_t now,
    ngx_comms_rate_call_t *call);
static ngx_uint_t ngx_comms_rate_greedy(ngx_comms_rate_t *r,
    uint32_t project);
static double ngx_comms_rate_tolerance(ngx_comms_rate_flow_t *flow,
    ngx_uint_t class, ngx_msec_t waited);
static double ngx_comms_rate_ahead(ngx_comms_rate_flow_t *flow,
    uint64_t now);
static double ngx_comms_rate_over(ngx_comms_rate_flow_t *flow, uint64_t now,
    ngx_uint_t class, ngx_msec_t waited);
static void ngx_comms_rate_spend(ngx_comms_rate_flow_t *flow, uint64_t now,
    double cost);
static void ngx_comms_rate_serve(ngx_comms_rate_t *r, uint32_t project);
static void ngx_comms_rate_announced(ngx_comms_rate_flow_t *flow,
    uint64_t now, int64_t limit, int64_t remaining);
static void ngx_comms_rate_raise(ngx_comms_rate_flow_t *flow, double unit);
static void ngx_comms_rate_cut(ngx_comms_rate_flow_t *flow);
static void ngx_comms_rate_exhaust(ngx_comms_rate_flow_t *flow,
    uint64_t from);


ngx_int_t
ngx_comms_rate_ask(ngx_comms_rate_t *r, uint64_t now,
    ngx_comms_rate_call_t *call, ngx_msec_t *retry_after)
{
    double      over, slot;
    ngx_uint_t  class;

    ngx_comms_rate_roll(r, now);

    if (r->requests.rate == 0 && r->tokens.rate == 0 && now >= r->blocked) {
        ngx_comms_rate_serve(r, call->project);
        return NGX_OK;
    }

    class = ngx_comms_rate_class(r, now, call);

    over = ngx_max(ngx_comms_rate_over(&r->requests, now, class,
                                       call->waited),
                   ngx_comms_rate_over(&r->tokens, now, class,
                                       call->waited));

    if (now < r->blocked) {
        over = ngx_max(over, (double) (r->blocked - now));
    }

    if (over <= 0) {
        ngx_comms_rate_spend(&r->requests, now, 1);
        ngx_comms_rate_spend(&r->tokens, now, call->tokens);
        ngx_comms_rate_serve(r, call->project);

        return NGX_OK;
    }

    /* those who are refused together come back one after the other */

    slot = r->requests.rate > 0 ? 1 / r->requests.rate : 0;
    over += slot * r->refused + 1;

    r->refused++;

    *retry_after = (ngx_msec_t) ngx_min(over, NGX_COMMS_RATE_LONGEST);

    return NGX_DECLINED;
}


static void
ngx_comms_rate_roll(ngx_comms_rate_t *r, uint64_t now)
{
    uint64_t  window;

    window = now / NGX_COMMS_RATE_WINDOW;

    if (window <= r->window) {
        return;
    }

    r->before = (window == r->window + 1) ? r->served : 0;
    r->served = 0;
    r->refused = 0;
    r->window = window;

    ngx_memzero(r->shares, sizeof(r->shares));
}


static ngx_uint_t
ngx_comms_rate_class(ngx_comms_rate_t *r, uint64_t now,
    ngx_comms_rate_call_t *call)
{
    ngx_uint_t  class, age;

    class = ngx_min(call->class, NGX_COMMS_RATE_CLASSES - 1);
    age = call->waited / NGX_COMMS_RATE_AGE;

    if (age > 0) {
        return class > age ? class - age : NGX_COMMS_RATE_LIVE;
    }

    if (class < NGX_COMMS_RATE_CLASSES - 1
        && ngx_comms_rate_greedy(r, call->project))
    {
        class++;
    }

    return class;
}


/* has the project had more than its share, and half as much again? */

static ngx_uint_t
ngx_comms_rate_greedy(ngx_comms_rate_t *r, uint32_t project)
{
    uint64_t    all, own;
    ngx_uint_t  i, projects;

    all = 0;
    own = 0;
    projects = 0;

    for (i = 0; i < NGX_COMMS_RATE_PROJECTS; i++) {

        if (r->shares[i].served == 0) {
            continue;
        }

        projects++;
        all += r->shares[i].served;

        if (r->shares[i].project == project) {
            own = r->shares[i].served;
        }
    }

    return projects > 1 && own * projects * 2 > all * 3;
}


/* how far tat may be ahead of now for a call of this class to pass, ms */

static double
ngx_comms_rate_tolerance(ngx_comms_rate_flow_t *flow, ngx_uint_t class,
    ngx_msec_t waited)
{
    double  tolerance;

    tolerance = ngx_max(NGX_COMMS_RATE_TOLERANCE,
                        NGX_COMMS_RATE_BURST / flow->rate);

    /* one minute at the rate is what providers allow for at once */

    tolerance = ngx_min(tolerance, 60000);

    if (waited >= NGX_COMMS_RATE_OLD) {
        return tolerance * 2;
    }

    return tolerance / (1 << class);
}


static double
ngx_comms_rate_ahead(ngx_comms_rate_flow_t *flow, uint64_t now)
{
    return ngx_max(flow->tat - (double) now, 0);
}


/* ms until a call of this class may pass; 0: now */

static double
ngx_comms_rate_over(ngx_comms_rate_flow_t *flow, uint64_t now,
    ngx_uint_t class, ngx_msec_t waited)
{
    if (flow->rate == 0) {
        return 0;
    }

    return ngx_max(ngx_comms_rate_ahead(flow, now)
                   - ngx_comms_rate_tolerance(flow, class, waited), 0);
}


static void
ngx_comms_rate_spend(ngx_comms_rate_flow_t *flow, uint64_t now, double cost)
{
    if (flow->rate == 0) {
        return;
    }

    flow->tat = ngx_max(flow->tat, (double) now) + cost / flow->rate;
}


static void
ngx_comms_rate_serve(ngx_comms_rate_t *r, uint32_t project)
{
    ngx_uint_t               i;
    ngx_comms_rate_share_t  *share, *least;

    r->served++;
    least = &r->shares[0];

    for (i = 0; i < NGX_COMMS_RATE_PROJECTS; i++) {
        share = &r->shares[i];

        if (share->served && share->project == project) {
            share->served++;
            return;
        }

        if (share->served < least->served) {
            least = share;
        }
    }

    least->project = project;
    least->served = 1;
}


void
ngx_comms_rate_learn(ngx_comms_rate_t *r, uint64_t now,
    ngx_comms_rate_call_t *call, ngx_comms_rate_facts_t *facts,
    ngx_uint_t spent)
{
    ngx_comms_rate_announced(&r->requests, now, facts->limit_requests,
                             facts->remaining_requests);
    ngx_comms_rate_announced(&r->tokens, now, facts->limit_tokens,
                             facts->remaining_tokens);

    ngx_comms_rate_raise(&r->requests, 1);
    ngx_comms_rate_raise(&r->tokens, ngx_max(call->tokens, 1));

    if (spent && r->tokens.rate > 0) {
        r->tokens.tat += ((double) spent - (double) call->tokens)
                         / r->tokens.rate;
    }
}


static void
ngx_comms_rate_announced(ngx_comms_rate_flow_t *flow, uint64_t now,
    int64_t limit, int64_t remaining)
{
    if (limit <= 0) {
        return;
    }

    flow->most = (double) limit / 60000;

    if (flow->rate == 0 || flow->rate > flow->most) {
        flow->rate = flow->most;
    }

    if (remaining == 0) {
        ngx_comms_rate_exhaust(flow, now);
    }
}


static void
ngx_comms_rate_raise(ngx_comms_rate_flow_t *flow, double unit)
{
    if (flow->rate == 0) {
        return;
    }

    flow->rate += ngx_max(unit * NGX_COMMS_RATE_STEP, flow->most / 100);

    if (flow->most > 0) {
        flow->rate = ngx_min(flow->rate, flow->most);
    }
}


void
ngx_comms_rate_slow_down(ngx_comms_rate_t *r, uint64_t now,
    ngx_comms_rate_facts_t *facts, ngx_msec_t retry_after)
{
    double    measured;
    uint64_t  until;

    ngx_comms_rate_roll(r, now);

    ngx_comms_rate_announced(&r->requests, now, facts->limit_requests, -1);
    ngx_comms_rate_announced(&r->tokens, now, facts->limit_tokens, -1);

    retry_after = ngx_min(retry_after, NGX_COMMS_RATE_DAY);
    until = now + (retry_after ? retry_after : NGX_COMMS_RATE_TOLERANCE);

    if (until > r->blocked) {
        r->blocked = until;
    }

    /* calls that were under way together are refused together: one cut */

    if (r->lowered == 0 || now >= r->lowered + 1000) {
        r->lowered = ngx_max(now, 1);

        if (r->requests.rate == 0) {
            measured = (double) (r->before + r->served)
                       / (NGX_COMMS_RATE_WINDOW
                          + now % NGX_COMMS_RATE_WINDOW);
            r->requests.rate = ngx_max(measured, NGX_COMMS_RATE_LEAST);
        }

        ngx_comms_rate_cut(&r->requests);
        ngx_comms_rate_cut(&r->tokens);
    }

    /* what waits for the end of the block goes on at the rate, no faster */

    ngx_comms_rate_exhaust(&r->requests, r->blocked);
    ngx_comms_rate_exhaust(&r->tokens, r->blocked);
}


static void
ngx_comms_rate_cut(ngx_comms_rate_flow_t *flow)
{
    if (flow->rate > 0) {
        flow->rate = ngx_max(flow->rate * NGX_COMMS_RATE_CUT,
                             NGX_COMMS_RATE_LEAST);
    }
}


static void
ngx_comms_rate_exhaust(ngx_comms_rate_flow_t *flow, uint64_t from)
{
    if (flow->rate > 0) {
        flow->tat = ngx_max(flow->tat,
                            (double) from
                            + ngx_comms_rate_tolerance(flow,
                                                  NGX_COMMS_RATE_LIVE, 0));
    }
}


int64_t
ngx_comms_rate_duration(ngx_str_t *text)
{
    u_char   *p, *last;
    double    ms, number, place;

    ms = 0;
    p = text->data;
    last = text->data + text->len;

    if (p == last || text->len > 32) {
        return -1;
    }

    while (p < last) {
        number = 0;

        if (*p < '0' || *p > '9') {
            return -1;
        }

        for ( /* void */ ; p < last && *p >= '0' && *p <= '9'; p++) {
            number = number * 10 + (*p - '0');
        }

        if (p < last && *p == '.') {
            place = 0.1;

            for (p++; p < last && *p >= '0' && *p <= '9'; p++) {
                number += (*p - '0') * place;
                place /= 10;
            }
        }

        if (p == last) {
            ms += number * 1000;

        } else if (last - p >= 2 && p[0] == 'm' && p[1] == 's') {
            ms += number;
            p += 2;

        } else if (*p == 's') {
            ms += number * 1000;
            p++;

        } else if (*p == 'm') {
            ms += number * 60000;
            p++;

        } else if (*p == 'h') {
            ms += number * 3600000;
            p++;

        } else {
            return -1;
        }
    }

    return (ms > NGX_COMMS_RATE_DAY) ? -1 : (int64_t) ms;
}


int64_t
ngx_comms_rate_number(ngx_str_t *text, ngx_uint_t positive)
{
    off_t  n;

    if (text->len == 0 || text->len > 15) {
        return -1;
    }

    n = ngx_atoof(text->data, text->len);

    if (n == NGX_ERROR || (positive && n == 0)) {
        return -1;
    }

    return (int64_t) n;
}
