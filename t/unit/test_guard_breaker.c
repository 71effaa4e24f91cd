
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "test_guard_zone.h"
#include "guard/ngx_comms_breaker.h"


static ngx_comms_breaker_policy_t  policy = {
    3, 50, 80, 10, 10000, 1000, 5000, 40000, 60000, 2000
};


static void
fail_once(ngx_comms_breaker_t *b, uint64_t now)
{
    uint64_t    token;
    ngx_msec_t  after;

    assert_int_equal(ngx_comms_breaker_ask(b, &policy, now, &token, &after),
                     NGX_OK);
    (void) ngx_comms_breaker_tell(b, &policy, now, token,
                                  NGX_COMMS_BREAKER_BAD, 10, 0);
}


static void
test_opens_in_a_row(void **state)
{
    uint64_t             token;
    ngx_msec_t           after;
    ngx_comms_breaker_t  b;

    ngx_memzero(&b, sizeof(b));

    fail_once(&b, 100);
    fail_once(&b, 100);
    assert_int_equal(b.state, NGX_COMMS_BREAKER_CLOSED);

    /* a success between starts the row again */
    assert_int_equal(ngx_comms_breaker_ask(&b, &policy, 100, &token, &after),
                     NGX_OK);
    (void) ngx_comms_breaker_tell(&b, &policy, 100, token,
                                  NGX_COMMS_BREAKER_GOOD, 10, 0);

    fail_once(&b, 100);
    fail_once(&b, 100);
    assert_int_equal(b.state, NGX_COMMS_BREAKER_CLOSED);
    fail_once(&b, 100);
    assert_int_equal(b.state, NGX_COMMS_BREAKER_OPEN);

    assert_int_equal(ngx_comms_breaker_ask(&b, &policy, 2100, &token, &after),
                     NGX_DECLINED);
    assert_int_equal(after, 3000);
}


static void
test_one_probe_at_a_time(void **state)
{
    uint64_t             token, second;
    ngx_msec_t           after;
    ngx_comms_breaker_t  b;

    ngx_memzero(&b, sizeof(b));

    fail_once(&b, 0);
    fail_once(&b, 0);
    fail_once(&b, 0);

    assert_int_equal(ngx_comms_breaker_ask(&b, &policy, 5000, &token, &after),
                     NGX_OK);
    assert_int_equal(ngx_comms_breaker_ask(&b, &policy, 5001, &second,
                                           &after),
                     NGX_DECLINED);
    assert_in_range(after, 1, 1000);

    /* a probe that nobody reports is given up after its term */
    assert_int_equal(ngx_comms_breaker_ask(&b, &policy, 6999, &second,
                                           &after),
                     NGX_DECLINED);
    assert_int_equal(ngx_comms_breaker_ask(&b, &policy, 7000, &second,
                                           &after),
                     NGX_OK);

    /* and says nothing when it comes late */
    (void) ngx_comms_breaker_tell(&b, &policy, 7001, token,
                                  NGX_COMMS_BREAKER_BAD, 10, 0);
    assert_int_equal(b.state, NGX_COMMS_BREAKER_HALF_OPEN);

    /* neutral: the next call is a probe again */
    (void) ngx_comms_breaker_tell(&b, &policy, 7002, second,
                                  NGX_COMMS_BREAKER_NEUTRAL, 10, 0);
    assert_int_equal(ngx_comms_breaker_ask(&b, &policy, 7003, &token, &after),
                     NGX_OK);

    (void) ngx_comms_breaker_tell(&b, &policy, 7004, token,
                                  NGX_COMMS_BREAKER_GOOD, 10, 0);
    assert_int_equal(b.state, NGX_COMMS_BREAKER_CLOSED);
}


static void
test_open_time_doubles(void **state)
{
    uint64_t             token, now;
    ngx_uint_t           i;
    ngx_msec_t           after, last;
    ngx_comms_breaker_t  b;

    ngx_memzero(&b, sizeof(b));

    fail_once(&b, 0);
    fail_once(&b, 0);
    fail_once(&b, 0);

    last = 5000;
    now = 0;

    for (i = 0; i < 8; i++) {
        assert_int_equal(ngx_comms_breaker_ask(&b, &policy, now, &token,
                                               &after),
                         NGX_DECLINED);
        assert_int_equal(after, last);

        now += after;
        fail_once(&b, now);

        last = ngx_min(last * 2, 40000);
    }

    /* the probe's success and one more forget that */
    now += 40000;
    assert_int_equal(ngx_comms_breaker_ask(&b, &policy, now, &token, &after),
                     NGX_OK);
    (void) ngx_comms_breaker_tell(&b, &policy, now, token,
                                  NGX_COMMS_BREAKER_GOOD, 10, 0);
    assert_int_equal(ngx_comms_breaker_ask(&b, &policy, now, &token, &after),
                     NGX_OK);
    (void) ngx_comms_breaker_tell(&b, &policy, now, token,
                                  NGX_COMMS_BREAKER_GOOD, 10, 0);

    fail_once(&b, now);
    fail_once(&b, now);
    fail_once(&b, now);

    assert_int_equal(ngx_comms_breaker_ask(&b, &policy, now, &token, &after),
                     NGX_DECLINED);
    assert_int_equal(after, 5000);
}


static void
test_shares(void **state)
{
    uint64_t             token;
    ngx_uint_t           i;
    ngx_msec_t           after;
    ngx_comms_breaker_t  b;

    /* every second one fails: not three in a row, but half of ten */

    ngx_memzero(&b, sizeof(b));

    for (i = 0; i < 10; i++) {
        assert_int_equal(b.state, NGX_COMMS_BREAKER_CLOSED);
        assert_int_equal(ngx_comms_breaker_ask(&b, &policy, i * 100, &token,
                                               &after),
                         NGX_OK);
        (void) ngx_comms_breaker_tell(&b, &policy, i * 100, token,
                                      (i % 2) ? NGX_COMMS_BREAKER_BAD
                                              : NGX_COMMS_BREAKER_GOOD,
                                      10, 0);
    }

    assert_int_equal(b.state, NGX_COMMS_BREAKER_OPEN);

    /* the same spread over more than the window is not enough */

    ngx_memzero(&b, sizeof(b));

    for (i = 0; i < 40; i++) {
        assert_int_equal(ngx_comms_breaker_ask(&b, &policy, i * 1500, &token,
                                               &after),
                         NGX_OK);
        (void) ngx_comms_breaker_tell(&b, &policy, i * 1500, token,
                                      (i % 2) ? NGX_COMMS_BREAKER_BAD
                                              : NGX_COMMS_BREAKER_GOOD,
                                      10, 0);
    }

    assert_int_equal(b.state, NGX_COMMS_BREAKER_CLOSED);

    /* slow calls that succeed count too */

    ngx_memzero(&b, sizeof(b));

    for (i = 0; i < 10; i++) {
        assert_int_equal(b.state, NGX_COMMS_BREAKER_CLOSED);
        assert_int_equal(ngx_comms_breaker_ask(&b, &policy, i, &token,
                                               &after),
                         NGX_OK);
        (void) ngx_comms_breaker_tell(&b, &policy, i, token,
                                      NGX_COMMS_BREAKER_GOOD, 1000, 0);
    }

    assert_int_equal(b.state, NGX_COMMS_BREAKER_OPEN);
}


/* forty at once of which twelve fail sooner than the others succeed */

static void
test_failures_are_quick(void **state)
{
    uint64_t             tokens[40];
    ngx_uint_t           i;
    ngx_msec_t           after;
    ngx_comms_breaker_t  b;

    ngx_memzero(&b, sizeof(b));

    for (i = 0; i < 40; i++) {
        assert_int_equal(ngx_comms_breaker_ask(&b, &policy, 0, &tokens[i],
                                               &after),
                         NGX_OK);
    }

    for (i = 0; i < 12; i++) {
        (void) ngx_comms_breaker_tell(&b, &policy, 10, tokens[i],
                                      NGX_COMMS_BREAKER_BAD, 10, 0);
    }

    assert_int_equal(b.state, NGX_COMMS_BREAKER_CLOSED);

    /* but when the others fail as well it opens before the last of them */

    for ( /* void */ ; i < 30; i++) {
        (void) ngx_comms_breaker_tell(&b, &policy, 10, tokens[i],
                                      NGX_COMMS_BREAKER_BAD, 10, 0);
    }

    assert_int_equal(b.state, NGX_COMMS_BREAKER_OPEN);
}


static void
test_quota(void **state)
{
    uint64_t             token;
    ngx_msec_t           after;
    ngx_comms_breaker_t  b;

    ngx_memzero(&b, sizeof(b));

    assert_int_equal(ngx_comms_breaker_ask(&b, &policy, 0, &token, &after),
                     NGX_OK);
    assert_int_equal(ngx_comms_breaker_tell(&b, &policy, 0, token,
                                            NGX_COMMS_BREAKER_QUOTA, 10, 0),
                     1);
    assert_int_equal(ngx_comms_breaker_ask(&b, &policy, 59999, &token,
                                           &after),
                     NGX_DECLINED);
    assert_int_equal(ngx_comms_breaker_ask(&b, &policy, 60000, &token,
                                           &after),
                     NGX_OK);
}


/*
 * Random calls of random length against a provider that is down for a while,
 * many times: never are two probes out at once, and every outage is followed
 * by a closed breaker.
 */

static void
test_random_walk(void **state)
{
    int                   down;
    uint64_t              now, token, tokens[16], ends[16];
    unsigned              seed;
    ngx_uint_t            i, n, probes, round;
    ngx_msec_t            after;
    ngx_comms_breaker_t   b;

    seed = 1;
    ngx_memzero(&b, sizeof(b));
    ngx_memzero(ends, sizeof(ends));
    now = 1000;

    for (round = 0; round < 300; round++) {

        for (down = 1; down >= 0; down--) {

            for (n = 0; n < 3000; n++) {
                now += rand_r(&seed) % 40;

                for (i = 0; i < 16; i++) {
                    if (ends[i] && ends[i] <= now) {
                        ends[i] = 0;
                        (void) ngx_comms_breaker_tell(&b, &policy, now,
                                  tokens[i],
                                  down ? NGX_COMMS_BREAKER_BAD
                                       : NGX_COMMS_BREAKER_GOOD,
                                  50, rand_r(&seed));
                    }
                }

                i = rand_r(&seed) % 16;

                if (ends[i] == 0
                    && ngx_comms_breaker_ask(&b, &policy, now, &token, &after)
                       == NGX_OK)
                {
                    tokens[i] = token;
                    ends[i] = now + 1 + rand_r(&seed) % 500;
                }

                if (b.state == NGX_COMMS_BREAKER_HALF_OPEN) {
                    probes = 0;

                    for (i = 0; i < 16; i++) {
                        probes += (ends[i] && tokens[i] == b.epoch + 1);
                    }

                    assert_true(probes <= 1);
                }
            }
        }

        assert_int_equal(b.state, NGX_COMMS_BREAKER_CLOSED);
    }
}


static void
test_zone(void **state)
{
    uint64_t                   token;
    ngx_str_t                  key, other;
    ngx_uint_t                 i;
    ngx_msec_t                 after;
    ngx_pool_t                *pool;
    ngx_array_t               *list;
    ngx_comms_zone_t          *zone;
    ngx_comms_breaker_view_t  *view;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);
    pool = ngx_create_pool(4096, ngx_cycle->log);

    key = unit_str("openai#key#model");
    other = unit_str("openai#key#other");

    unit_clock_set(600000);

    for (i = 0; i < 3; i++) {
        assert_int_equal(ngx_comms_breaker_admit(zone, &key, &policy, &token,
                                                 &after),
                         NGX_OK);
        ngx_comms_breaker_report(zone, &key, &policy, token,
                                 NGX_COMMS_BREAKER_BAD, 10);
    }

    assert_int_equal(ngx_comms_breaker_admit(zone, &key, &policy, &token,
                                             &after),
                     NGX_DECLINED);
    assert_int_equal(ngx_comms_breaker_admit(zone, &other, &policy, &token,
                                             &after),
                     NGX_OK);

    assert_int_equal(ngx_comms_counter(zone, NGX_COMMS_COUNT_BREAKER_OPENED),
                     1);
    assert_int_equal(ngx_comms_counter(zone, NGX_COMMS_COUNT_BREAKER_REFUSED),
                     1);

    /* what is open is not evicted by a flood of other keys */

    for (i = 0; i < 5000; i++) {
        u_char     text[32];
        ngx_str_t  flood;

        flood.data = text;
        flood.len = ngx_sprintf(text, "flood %ui", i) - text;

        assert_int_equal(ngx_comms_breaker_admit(zone, &flood, &policy,
                                                 &token, &after),
                         NGX_OK);
    }

    assert_int_equal(ngx_comms_breaker_admit(zone, &key, &policy, &token,
                                             &after),
                     NGX_DECLINED);

    list = ngx_comms_breaker_list(zone, pool);
    assert_non_null(list);
    assert_true(list->nelts > 1);

    /* the one asked for last comes first */
    view = list->elts;
    assert_int_equal(view[0].state, NGX_COMMS_BREAKER_OPEN);
    assert_int_equal(view[0].key.len, key.len);
    assert_memory_equal(view[0].key.data, key.data, key.len);
    assert_true(view[0].retry_after >= 5000);

    ngx_destroy_pool(pool);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_opens_in_a_row),
        cmocka_unit_test(test_one_probe_at_a_time),
        cmocka_unit_test(test_open_time_doubles),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_failures_are_quick),
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_random_walk),
        cmocka_unit_test(test_zone)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
