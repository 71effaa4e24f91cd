
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "test_guard_zone.h"


#define MESSAGES   400
#define INTERVAL   250000          /* us */
#define PATIENCE   2000            /* ms */


static ngx_msec_t
unit_take(ngx_comms_zone_t *zone, const char *line, ngx_uint_t what,
    ngx_uint_t burst, ngx_uint_t slots)
{
    u_char            name[32];
    ngx_str_t         who, id, l;
    ngx_comms_pace_t  pace;

    who = unit_str("th_1");
    l = unit_str(line);

    id.data = name;
    id.len = ngx_sprintf(name, "send:%ui", what) - name;

    pace.interval = INTERVAL;
    pace.burst = burst;
    pace.slots = slots;
    pace.patience = PATIENCE;

    return ngx_comms_pace_take(zone, &l, &who, &id, &pace);
}


static void
test_order(void **state)
{
    ngx_uint_t         i;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(256 * 1024);
    unit_clock_set(5000000);

    /* one after the other */

    for (i = 0; i < 8; i++) {
        assert_int_equal(unit_take(zone, "a", i, 1, 1), i * 250);
    }

    /* another line knows nothing of it */

    assert_int_equal(unit_take(zone, "b", 0, 1, 1), 0);

    /* a slot that is far is found again, one that was near is used up */

    assert_int_equal(unit_take(zone, "a", 100, 1, 1), 2000);
    assert_int_equal(unit_take(zone, "a", 101, 1, 1), 2250);
    assert_int_equal(unit_take(zone, "a", 101, 1, 1), 2250);
    assert_int_equal(unit_take(zone, "a", 100, 1, 1), 2500);

    /* it waits for who comes back in time, also when others came meanwhile */

    unit_clock_set(5000000 + 1250);

    assert_int_equal(unit_take(zone, "a", 200, 1, 1), 1500);
    assert_int_equal(unit_take(zone, "a", 101, 1, 1), 1000);

    /* and after a while without messages there is no heap of slots */

    unit_clock_set(5000000 + 60000);

    assert_int_equal(unit_take(zone, "a", 300, 1, 1), 0);
    assert_int_equal(unit_take(zone, "a", 301, 1, 1), 250);
}


static void
test_late(void **state)
{
    ngx_uint_t         i;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(256 * 1024);
    unit_clock_set(5000000);

    for (i = 0; i < 20; i++) {
        (void) unit_take(zone, "a", i, 1, 1);
    }

    /* a slot that is over by no more than an interval is still good */

    unit_clock_set(5000000 + 19 * 250 + 250);
    assert_int_equal(unit_take(zone, "a", 19, 1, 1), 0);

    /* those that were missed are not used in a heap */

    assert_int_equal(unit_take(zone, "a", 15, 1, 1), 0);
    assert_int_equal(unit_take(zone, "a", 16, 1, 1), 250);
    assert_int_equal(unit_take(zone, "a", 17, 1, 1), 500);
}


static void
test_burst_and_parts(void **state)
{
    ngx_uint_t         i;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(256 * 1024);
    unit_clock_set(5000000);

    for (i = 0; i < 45; i++) {
        assert_int_equal(unit_take(zone, "pair", i, 45, 1), 0);
    }

    assert_int_equal(unit_take(zone, "pair", 45, 45, 1), 250);

    /* a message of three segments takes three slots */

    assert_int_equal(unit_take(zone, "sms", 0, 1, 3), 0);
    assert_int_equal(unit_take(zone, "sms", 1, 1, 1), 750);
}


/*
 * Many messages, each of which goes away and comes back a little early or a
 * little late: none is left over, and no second has more than its slots, one
 * that was used late and one to begin with.
 */

static void
test_never_exceeds_never_starves(void **state)
{
    int64_t            now, sent[MESSAGES], due[MESSAGES];
    ngx_uint_t         i, k, n, left;
    ngx_msec_t         wait;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(1024 * 1024);
    now = 5000000;
    left = MESSAGES;

    for (i = 0; i < MESSAGES; i++) {
        sent[i] = 0;
        due[i] = now + (int64_t) (i % 7);
    }

    for (n = 0; left != 0 && n < 200000; n++, now++) {
        unit_clock_set(now);

        for (i = 0; i < MESSAGES; i++) {

            if (sent[i] || due[i] > now) {
                continue;
            }

            wait = unit_take(zone, "a", i, 1, 1);

            if (wait <= PATIENCE) {
                sent[i] = now + wait;
                left--;
                continue;
            }

            due[i] = now + wait - 1000 + (i * 37) % 90;
        }
    }

    assert_int_equal(left, 0);

    for (i = 0; i < MESSAGES; i++) {
        for (k = 0, n = 0; k < MESSAGES; k++) {
            n += (sent[k] >= sent[i] && sent[k] < sent[i] + 1000);
        }

        assert_in_range(n, 1, 6);
        assert_in_range(sent[i], 5000000,
                        5000000 + MESSAGES * (INTERVAL / 1000) + 1000);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_burst_and_parts),
        cmocka_unit_test(test_never_exceeds_never_starves),
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
