
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "test_guard_zone.h"
#include "guard/ngx_comms_rate.h"


static ngx_comms_rate_facts_t  nothing = { -1, -1, -1, -1, -1, -1 };


static void
test_durations(void **state)
{
    ngx_uint_t  i;
    ngx_str_t   text;

    static const struct {
        const char  *text;
        int64_t      ms;
    } rows[] = {
        { "1s", 1000 }, { "6m0s", 360000 }, { "20ms", 20 },
        { "1h2m3.5s", 3723500 }, { "59.96s", 59960 }, { "2", 2000 },
        { "0", 0 }, { "0s", 0 }, { "-1", -1 }, { "", -1 }, { "s", -1 },
        { "1x", -1 }, { "1 s", -1 }, { "999h", -1 }, { "1m s", -1 },
        { "1e9s", -1 }, { "99999999999999999999999999999999999s", -1 }
    };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        text = unit_str(rows[i].text);
        assert_int_equal(ngx_comms_rate_duration(&text), rows[i].ms);
    }

    text = unit_str("-1");
    assert_int_equal(ngx_comms_rate_number(&text, 1), -1);
    text = unit_str("0");
    assert_int_equal(ngx_comms_rate_number(&text, 1), -1);
    assert_int_equal(ngx_comms_rate_number(&text, 0), 0);
    text = unit_str("5000");
    assert_int_equal(ngx_comms_rate_number(&text, 1), 5000);
    text = unit_str("5000x");
    assert_int_equal(ngx_comms_rate_number(&text, 1), -1);
}


static void
test_unlearned_is_unlimited(void **state)
{
    ngx_uint_t             i;
    ngx_msec_t             after;
    ngx_comms_rate_t       r;
    ngx_comms_rate_call_t  call = { NGX_COMMS_RATE_FOLLOW_UP, 1, 100000, 0 };

    ngx_memzero(&r, sizeof(r));

    for (i = 0; i < 10000; i++) {
        assert_int_equal(ngx_comms_rate_ask(&r, 1000, &call, &after), NGX_OK);
        ngx_comms_rate_learn(&r, 1000, &call, &nothing, 5);
    }
}


/* a rate learned, then thousands that come back as they are told */

static void
test_never_exceeds(void **state)
{
    unsigned                seed;
    uint64_t                now, *passed;
    ngx_int_t               rc;
    ngx_uint_t              i, j, n, limit;
    ngx_msec_t              after;
    ngx_comms_rate_t        r;
    ngx_comms_rate_call_t   call;
    ngx_comms_rate_facts_t  facts;

    enum { callers = 200 };
    uint64_t                due[callers], since[callers];

    passed = calloc(200000, sizeof(uint64_t));
    seed = 7;

    for (limit = 60; limit <= 6000; limit *= 10) {

        ngx_memzero(&r, sizeof(r));
        facts = nothing;
        facts.limit_requests = limit;
        facts.remaining_requests = limit - 1;

        call.class = NGX_COMMS_RATE_LIVE;
        call.project = 1;
        call.tokens = 10;
        call.waited = 0;

        ngx_comms_rate_learn(&r, 1000, &call, &facts, 10);

        for (i = 0; i < callers; i++) {
            due[i] = 1000;
            since[i] = 1000;
        }

        n = 0;

        for (now = 1000; now < 301000; now += 5) {

            for (i = 0; i < callers; i++) {

                if (due[i] > now) {
                    continue;
                }

                call.class = i % 3;
                call.project = 1 + i % 5;
                call.waited = now - since[i];

                rc = ngx_comms_rate_ask(&r, now, &call, &after);

                if (rc == NGX_OK) {
                    passed[n++] = now;
                    due[i] = now + rand_r(&seed) % 100;
                    since[i] = due[i];

                } else {
                    assert_true(after >= 1 && after <= 60000);
                    due[i] = now + after;
                }
            }
        }

        /* in five minutes most of what is allowed was used */
        assert_true(n >= limit * 5 * 8 / 10);

        /* and any window has no more than the rate and the bursts */

        for (i = 0, j = 0; i < n; i++) {
            while (passed[i] - passed[j] >= 60000) {
                j++;
            }

            assert_true(i - j + 1
                        <= limit + 2 * ngx_max(limit / 60, 4) + 1);
        }
    }

    free(passed);
}


/* while live calls take all there is, the others still get through */

static void
test_nobody_starves(void **state)
{
    unsigned                seed;
    uint64_t                now, due[60], since[60], longest[3];
    ngx_uint_t              i, served[3];
    ngx_msec_t              after;
    ngx_comms_rate_t        r;
    ngx_comms_rate_call_t   call;
    ngx_comms_rate_facts_t  facts;

    seed = 3;
    ngx_memzero(&r, sizeof(r));
    ngx_memzero(served, sizeof(served));
    ngx_memzero(longest, sizeof(longest));

    facts = nothing;
    facts.limit_requests = 300;
    call.tokens = 1;
    call.class = 0;
    call.project = 1;
    call.waited = 0;
    ngx_comms_rate_learn(&r, 1000, &call, &facts, 1);

    for (i = 0; i < 60; i++) {
        due[i] = 1000;
        since[i] = 1000;
    }

    for (now = 1000; now < 1801000; now += 10) {

        for (i = 0; i < 60; i++) {

            if (due[i] > now) {
                continue;
            }

            /* fifty live ones, eight first ones, two follow-ups */

            call.class = (i < 50) ? 0 : (i < 58) ? 1 : 2;
            call.waited = now - since[i];
            longest[call.class] = ngx_max(longest[call.class], call.waited);

            if (ngx_comms_rate_ask(&r, now, &call, &after) == NGX_OK) {
                served[call.class]++;
                due[i] = now + 1 + rand_r(&seed) % 200;
                since[i] = due[i];

            } else {
                due[i] = now + after;
            }
        }
    }

    assert_true(served[0] > served[1]);
    assert_true(served[1] > 0);
    assert_true(served[2] > 0);

    assert_true(longest[0] < 180000);
    assert_true(longest[1] < 240000);
    assert_true(longest[2] < 300000);
}


/* a live call goes before first messages that wait already */

static void
test_live_goes_first(void **state)
{
    uint64_t                now;
    ngx_uint_t              i;
    ngx_msec_t              after;
    ngx_comms_rate_t        r;
    ngx_comms_rate_call_t   first = { NGX_COMMS_RATE_FIRST, 1, 1, 0 };
    ngx_comms_rate_call_t   live = { NGX_COMMS_RATE_LIVE, 1, 1, 0 };
    ngx_comms_rate_facts_t  facts;

    ngx_memzero(&r, sizeof(r));
    facts = nothing;
    facts.limit_requests = 600;
    now = 1000;
    ngx_comms_rate_learn(&r, now, &live, &facts, 1);

    for (i = 0; i < 100; i++) {
        if (ngx_comms_rate_ask(&r, now, &first, &after) != NGX_OK) {
            break;
        }
    }

    assert_true(i > 0 && i < 100);
    assert_int_equal(ngx_comms_rate_ask(&r, now, &live, &after), NGX_OK);
    assert_int_equal(ngx_comms_rate_ask(&r, now, &first, &after),
                     NGX_DECLINED);
}


/* two projects, one ten times as busy: the quiet one is not held up */

static void
test_fair_between_projects(void **state)
{
    uint64_t                now, due[44], since[44], longest;
    ngx_uint_t              i, served[3];
    ngx_msec_t              after;
    ngx_comms_rate_t        r;
    ngx_comms_rate_call_t   call;
    ngx_comms_rate_facts_t  facts;

    ngx_memzero(&r, sizeof(r));
    ngx_memzero(served, sizeof(served));
    longest = 0;

    facts = nothing;
    facts.limit_requests = 600;
    call.class = NGX_COMMS_RATE_FIRST;
    call.project = 1;
    call.tokens = 1;
    call.waited = 0;
    ngx_comms_rate_learn(&r, 1000, &call, &facts, 1);

    for (i = 0; i < 44; i++) {
        due[i] = 1000;
        since[i] = 1000;
    }

    for (now = 1000; now < 601000; now += 10) {

        for (i = 0; i < 44; i++) {

            if (due[i] > now) {
                continue;
            }

            call.project = (i < 40) ? 1 : 2;
            call.waited = now - since[i];

            if (call.project == 2) {
                longest = ngx_max(longest, call.waited);
            }

            if (ngx_comms_rate_ask(&r, now, &call, &after) == NGX_OK) {
                served[call.project]++;
                due[i] = now + 1;
                since[i] = due[i];

            } else {
                due[i] = now + after;
            }
        }
    }

    /* four of forty-four callers: by chance alone they would get a tenth */
    assert_true(served[2] * 5 >= served[1]);
    assert_true(longest < 60000);
}


static void
test_slows_down_and_recovers(void **state)
{
    double                  rate, lowest;
    uint64_t                now;
    ngx_uint_t              i;
    ngx_msec_t              after;
    ngx_comms_rate_t        r;
    ngx_comms_rate_call_t   call = { NGX_COMMS_RATE_LIVE, 1, 100, 0 };
    ngx_comms_rate_facts_t  facts;

    ngx_memzero(&r, sizeof(r));
    facts = nothing;
    facts.limit_requests = 6000;
    facts.limit_tokens = 600000;
    now = 100000;

    ngx_comms_rate_learn(&r, now, &call, &facts, 100);
    rate = r.requests.rate;

    /* ten refused together are one reason to slow down */

    for (i = 0; i < 10; i++) {
        ngx_comms_rate_slow_down(&r, now, &nothing, 5000);
    }

    assert_true(r.requests.rate < rate && r.requests.rate > rate / 2);

    assert_int_equal(ngx_comms_rate_ask(&r, now, &call, &after),
                     NGX_DECLINED);
    assert_true(after >= 5000);
    assert_int_equal(ngx_comms_rate_ask(&r, now + 4999, &call, &after),
                     NGX_DECLINED);

    /* an hour of nothing but refusals: it still tries now and then */

    for (i = 0; i < 3600; i++) {
        now += 1000;
        ngx_comms_rate_slow_down(&r, now, &nothing, 0);
    }

    lowest = r.requests.rate;
    assert_true(lowest > 0);

    now += 3600000;
    assert_int_equal(ngx_comms_rate_ask(&r, now, &call, &after), NGX_OK);

    /* and comes back to what was announced, not beyond */

    for (i = 0; i < 10000; i++) {
        now += 1000;
        ngx_comms_rate_learn(&r, now, &call, &facts, 100);
    }

    assert_true(r.requests.rate > rate * 0.99);
    assert_true(r.requests.rate <= rate * 1.0001);
}


static void
test_tokens(void **state)
{
    uint64_t                now;
    ngx_uint_t              n;
    ngx_msec_t              after;
    ngx_comms_rate_t        r;
    ngx_comms_rate_call_t   call = { NGX_COMMS_RATE_LIVE, 1, 1000, 0 };
    ngx_comms_rate_facts_t  facts;

    ngx_memzero(&r, sizeof(r));
    facts = nothing;
    facts.limit_tokens = 60000;
    ngx_comms_rate_learn(&r, 1000, &call, &facts, 0);

    n = 0;

    for (now = 1000; now < 61000; now += 10) {
        if (ngx_comms_rate_ask(&r, now, &call, &after) == NGX_OK) {
            n++;

            /* half of what was feared is given back */
            ngx_comms_rate_learn(&r, now, &call, &nothing, 500);
        }
    }

    assert_in_range(n, 115, 125);
}


static void
test_zone(void **state)
{
    ngx_str_t               key;
    ngx_uint_t              i, n;
    ngx_msec_t              after;
    ngx_pool_t             *pool;
    ngx_array_t            *list;
    ngx_comms_zone_t       *zone;
    ngx_comms_rate_view_t  *view;
    ngx_comms_rate_call_t   call = { NGX_COMMS_RATE_LIVE, 1, 1, 0 };
    ngx_comms_rate_facts_t  facts;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);
    pool = ngx_create_pool(4096, ngx_cycle->log);
    key = unit_str("openai#key#model");
    unit_clock_set(600000);

    facts = nothing;
    facts.limit_requests = 60;

    ngx_comms_rate_report(zone, &key, &call, &facts, 0, 0, 0);

    for (i = 0, n = 0; i < 100; i++) {
        n += (ngx_comms_rate_admit(zone, &key, &call, &after) == NGX_OK);
    }

    assert_in_range(n, 4, 6);
    assert_int_equal(ngx_comms_counter(zone, NGX_COMMS_COUNT_RATE_REFUSED),
                     100 - n);

    list = ngx_comms_rate_list(zone, pool);
    assert_non_null(list);
    assert_int_equal(list->nelts, 1);

    view = list->elts;
    assert_true(view[0].requests > 0.99 && view[0].requests < 1.01);

    ngx_destroy_pool(pool);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_unlearned_is_unlimited),
        cmocka_unit_test(test_never_exceeds),
        cmocka_unit_test(test_nobody_starves),
        cmocka_unit_test(test_live_goes_first),
        cmocka_unit_test(test_fair_between_projects),
        cmocka_unit_test(test_slows_down_and_recovers),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_zone)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
