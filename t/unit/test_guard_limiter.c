
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "test_guard_zone.h"


static void
test_limit(void **state)
{
    ngx_str_t          key, other;
    ngx_uint_t         i, after;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);
    key = unit_str("ci-aaa-001");
    other = unit_str("ci-aaa-002");

    unit_clock_set(600000);

    for (i = 0; i < 3; i++) {
        assert_int_equal(ngx_comms_limiter_take(zone, &key, 3, 60, &after),
                         NGX_OK);
    }

    assert_int_equal(ngx_comms_limiter_take(zone, &key, 3, 60, &after),
                     NGX_DECLINED);

    /* no longer than the window, behind which none of them counts */
    assert_int_equal(after, 60);

    /* keys, and windows, do not know of each other */
    assert_int_equal(ngx_comms_limiter_take(zone, &other, 3, 60, &after),
                     NGX_OK);
    assert_int_equal(ngx_comms_limiter_take(zone, &key, 3, 61, &after),
                     NGX_OK);

    /* a window later nothing is left */
    unit_clock_set(600000 + 60000);

    for (i = 0; i < 3; i++) {
        assert_int_equal(ngx_comms_limiter_take(zone, &key, 3, 60, &after),
                         NGX_OK);
    }
}


static void
test_none_is_allowed(void **state)
{
    ngx_str_t          key;
    ngx_uint_t         after;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);
    key = unit_str("k");

    assert_int_equal(ngx_comms_limiter_take(zone, &key, 0, 60, &after),
                     NGX_DECLINED);
    assert_int_equal(after, 60);
}


static void
test_long_keys(void **state)
{
    u_char             a[2000], b[2000];
    ngx_str_t          key;
    ngx_uint_t         after;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);

    ngx_memset(a, 'x', sizeof(a));
    ngx_memset(b, 'x', sizeof(b));
    b[1999] = 'y';

    key.len = sizeof(a);

    key.data = a;
    assert_int_equal(ngx_comms_limiter_take(zone, &key, 1, 60, &after),
                     NGX_OK);
    assert_int_equal(ngx_comms_limiter_take(zone, &key, 1, 60, &after),
                     NGX_DECLINED);
    key.data = b;
    assert_int_equal(ngx_comms_limiter_take(zone, &key, 1, 60, &after),
                     NGX_OK);
}


static void
test_full_zone_forgets_the_oldest(void **state)
{
    u_char             text[64];
    ngx_str_t          key, kept;
    ngx_uint_t         i, after;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);
    unit_clock_set(600000);

    kept = unit_str("kept in use");
    assert_int_equal(ngx_comms_limiter_take(zone, &kept, 1, 60, &after),
                     NGX_OK);

    key.data = text;

    for (i = 0; i < 20000; i++) {
        key.len = ngx_sprintf(text, "%ui%s", i,
                              (i % 3) ? "" : " of another length entirely")
                  - text;

        assert_int_equal(ngx_comms_limiter_take(zone, &key, 1, 60, &after),
                         NGX_OK);
        assert_int_equal(ngx_comms_limiter_take(zone, &kept, 1, 60, &after),
                         NGX_DECLINED);
    }

    assert_int_equal(ngx_comms_counter(zone, NGX_COMMS_COUNT_ZONE_FULL), 0);
}


/*
 * Random events under random limits.  No bucket exceeds the limit, no window
 * anywhere sees twice the limit, waiting as told always helps, and the
 * second before it (where there is one) never does.
 */

static void
test_random_walk(void **state)
{
    int64_t            now;
    unsigned           seed;
    ngx_int_t          rc;
    ngx_str_t          key;
    ngx_uint_t         n, i, j, limit, window, after, passed, round, again;
    ngx_comms_zone_t  *zone;
    static int64_t     events[20000];

    seed = 42;

    for (round = 0; round < 60; round++) {
        zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);
        key = unit_str("k");

        limit = 1 + rand_r(&seed) % 30;
        window = 1 + rand_r(&seed) % 20;
        now = 1000000 + rand_r(&seed) % 100000;
        n = 0;

        for (i = 0; i < 2000; i++) {
            now += rand_r(&seed) % (window * 4000 / limit + 1)
                   * (rand_r(&seed) % 3 == 0);
            unit_clock_set(now);

            rc = ngx_comms_limiter_take(zone, &key, limit, window, &after);

            if (rc == NGX_OK) {
                events[n++] = now;
                continue;
            }

            assert_int_equal(rc, NGX_DECLINED);
            assert_in_range(after, 1, window * 2);

            if (rand_r(&seed) % 8 != 0) {
                continue;
            }

            if (after > 1) {
                unit_clock_set(now + (after - 1) * 1000);
                assert_int_equal(ngx_comms_limiter_take(zone, &key, limit,
                                                        window, &again),
                                 NGX_DECLINED);
            }

            now += after * 1000;
            unit_clock_set(now);
            assert_int_equal(ngx_comms_limiter_take(zone, &key, limit,
                                                    window, &again),
                             NGX_OK);
            events[n++] = now;
        }

        for (i = 0; i < n; i++) {
            passed = 0;

            for (j = i; j < n && events[j] < events[i]
                                             + (int64_t) window * 1000; j++)
            {
                passed++;
            }

            assert_true(passed < limit * 2 || limit == 1);
            assert_true(passed <= limit * 2);

            passed = 0;

            for (j = i; j < n && events[j] / (int64_t) (window * 1000)
                                 == events[i] / (int64_t) (window * 1000);
                 j++)
            {
                passed++;
            }

            assert_true(passed <= limit);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_none_is_allowed),
        cmocka_unit_test(test_long_keys),
        cmocka_unit_test(test_full_zone_forgets_the_oldest),
        cmocka_unit_test(test_random_walk)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
