
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "test_guard_zone.h"
#include "guard/ngx_comms_budget.h"


/* over an hour of nothing but failures, retries stay a tenth of the calls */

static void
test_retries_are_few(void **state)
{
    uint64_t            now;
    ngx_uint_t          calls, retries;
    ngx_comms_budget_t  b;

    ngx_memzero(&b, sizeof(b));
    calls = 0;
    retries = 0;

    for (now = 1000; now < 3601000; now += 100) {
        calls++;
        ngx_comms_budget_call(&b, now);

        while (ngx_comms_budget_retry(&b, now) == NGX_OK) {
            retries++;
        }
    }

    assert_true(retries >= calls / 10);
    assert_true(retries <= calls / 10 + 3600 / 10 + 10);
}


static void
test_quiet_project_may_retry(void **state)
{
    ngx_uint_t          i;
    ngx_comms_budget_t  b;

    ngx_memzero(&b, sizeof(b));

    for (i = 0; i < 10; i++) {
        assert_int_equal(ngx_comms_budget_retry(&b, 1000), NGX_OK);
    }

    assert_int_equal(ngx_comms_budget_retry(&b, 1000), NGX_DECLINED);
    assert_int_equal(ngx_comms_budget_retry(&b, 10999), NGX_DECLINED);
    assert_int_equal(ngx_comms_budget_retry(&b, 11000), NGX_OK);
    assert_int_equal(ngx_comms_budget_retry(&b, 11000), NGX_DECLINED);

    /* a year of silence is worth ten, no more */

    for (i = 0; i < 10; i++) {
        assert_int_equal(ngx_comms_budget_retry(&b, 31536000000), NGX_OK);
    }

    assert_int_equal(ngx_comms_budget_retry(&b, 31536000000), NGX_DECLINED);
}


static void
test_zone(void **state)
{
    ngx_str_t          key, other;
    ngx_uint_t         i;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);
    key = unit_str("ci-aaa-001#pi-aaa-001#openai");
    other = unit_str("ci-aaa-001#pi-aaa-002#openai");

    unit_clock_set(600000);

    for (i = 0; i < 10; i++) {
        assert_int_equal(ngx_comms_budget_take(zone, &key), NGX_OK);
    }

    assert_int_equal(ngx_comms_budget_take(zone, &key), NGX_DECLINED);
    assert_int_equal(ngx_comms_budget_take(zone, &other), NGX_OK);
    assert_int_equal(ngx_comms_counter(zone, NGX_COMMS_COUNT_RETRY_REFUSED),
                     1);

    for (i = 0; i < 10; i++) {
        ngx_comms_budget_earn(zone, &key);
    }

    assert_int_equal(ngx_comms_budget_take(zone, &key), NGX_OK);
    assert_int_equal(ngx_comms_budget_take(zone, &key), NGX_DECLINED);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_retries_are_few),
        cmocka_unit_test(test_quiet_project_may_retry),
        cmocka_unit_test(test_zone)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
