
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "test_guard_zone.h"

#include <sys/wait.h>


#define THREADS  40
#define TERM     1000


static void
test_take_and_release(void **state)
{
    uint64_t           a, b;
    ngx_str_t          id;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);
    id = unit_str("th_01ARYZ6S41TSV4RRFFQ69G5FAV");
    unit_clock_set(1000000);

    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &a), NGX_OK);
    assert_int_equal(ngx_comms_lease_count(zone), 1);
    assert_int_equal(ngx_comms_lease_release(zone, &id, a), NGX_OK);
    assert_int_equal(ngx_comms_lease_count(zone), 0);
    assert_int_equal(ngx_comms_lease_release(zone, &id, a), NGX_DECLINED);

    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &b), NGX_OK);
    assert_true(b > a);
    assert_int_equal(ngx_comms_lease_renew(zone, &id, a, TERM), NGX_DECLINED);
    assert_int_equal(ngx_comms_lease_drop(zone, &id, a), NGX_DECLINED);
    assert_int_equal(ngx_comms_lease_drop(zone, &id, b), NGX_OK);
}


static void
test_wanted_makes_the_holder_look_again(void **state)
{
    uint64_t           a, b;
    ngx_str_t          id;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);
    id = unit_str("th_a");
    unit_clock_set(1000000);

    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &a), NGX_OK);
    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &b), NGX_BUSY);

    assert_int_equal(ngx_comms_lease_release(zone, &id, a), NGX_AGAIN);
    assert_int_equal(zone->layout->posted, 0);
    assert_int_equal(ngx_comms_lease_release(zone, &id, a), NGX_OK);

    /* who was told NGX_BUSY before the second release is told now */
    assert_int_equal(zone->layout->posted, 1);
    assert_int_equal(zone->layout->ring[0].kind, NGX_COMMS_NOTICE_LEASE);
    assert_int_equal(zone->layout->ring[0].hash, ngx_comms_notice_hash(&id));

    /* a turn that failed does not look again */
    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &a), NGX_OK);
    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &b), NGX_BUSY);
    assert_int_equal(ngx_comms_lease_drop(zone, &id, a), NGX_OK);
    assert_int_equal(zone->layout->posted, 2);

    /* nobody came, nobody is told */
    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &a), NGX_OK);
    assert_int_equal(ngx_comms_lease_release(zone, &id, a), NGX_OK);
    assert_int_equal(zone->layout->posted, 2);
}


static void
test_expiry(void **state)
{
    uint64_t           a, b;
    ngx_str_t          id;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);
    id = unit_str("th_a");
    unit_clock_set(1000000);

    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &a), NGX_OK);

    unit_clock_set(1000000 + TERM - 1);
    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &b), NGX_BUSY);

    /* late, but nobody took it: still the holder's */
    unit_clock_set(1000000 + TERM + 5);
    assert_int_equal(ngx_comms_lease_renew(zone, &id, a, TERM), NGX_OK);
    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &b), NGX_BUSY);

    unit_clock_set(1000000 + 2 * TERM + 5);
    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &b), NGX_OK);
    assert_true(b > a);
    assert_int_equal(ngx_comms_counter(zone,
                                       NGX_COMMS_COUNT_LEASE_TAKEN_OVER), 1);
    assert_int_equal(ngx_comms_lease_renew(zone, &id, a, TERM), NGX_DECLINED);
    assert_int_equal(ngx_comms_lease_release(zone, &id, a), NGX_DECLINED);

    /* who waits since the first holder's time is told by the second */
    assert_int_equal(ngx_comms_lease_release(zone, &id, b), NGX_OK);
    assert_int_equal(zone->layout->posted, 1);
}


static void
test_dead_holder(void **state)
{
    int                status;
    pid_t              pid;
    uint64_t           a, b;
    ngx_str_t          id;
    ngx_queue_t       *q;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);
    id = unit_str("th_a");
    unit_clock_set(1000000);

    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &a), NGX_OK);

    q = ngx_queue_head(&zone->layout->leases_queue);

    /* alive, and another: it holds the lease until the term is over */
    (ngx_queue_data(q, ngx_comms_lease_t, queue))->pid = getppid();
    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &b), NGX_BUSY);

    pid = fork();

    if (pid == 0) {
        _exit(0);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);

    (ngx_queue_data(q, ngx_comms_lease_t, queue))->pid = pid;
    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &b), NGX_OK);
    assert_true(b > a);
}


static void
test_bad_ids(void **state)
{
    u_char             text[256];
    uint64_t           a;
    ngx_str_t          id;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);

    ngx_memset(text, 'x', sizeof(text));
    id.data = text;
    id.len = 256;
    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &a), NGX_ERROR);
    id.len = 0;
    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &a), NGX_ERROR);
    id.len = 255;
    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &a), NGX_OK);
    assert_int_equal(ngx_comms_lease_release(zone, &id, a), NGX_OK);
}


static void
test_full_zone(void **state)
{
    u_char             text[64];
    uint64_t           a;
    ngx_int_t          rc;
    ngx_str_t          id;
    ngx_uint_t         i, n, after;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);
    unit_clock_set(1000000);

    /* limits give way to leases */

    id.data = text;

    for (i = 0; i < 5000; i++) {
        id.len = ngx_sprintf(text, "limit %ui", i) - text;
        assert_int_equal(ngx_comms_limiter_take(zone, &id, 1, 60, &after),
                         NGX_OK);
    }

    rc = NGX_OK;

    for (n = 0; n < 5000; n++) {
        id.len = ngx_sprintf(text, "th_%030ui", n) - text;
        rc = ngx_comms_lease_take(zone, &id, TERM, &a);

        if (rc != NGX_OK) {
            break;
        }
    }

    assert_int_equal(rc, NGX_ERROR);
    assert_true(n > 100);
    assert_true(ngx_queue_empty(&zone->layout->limits_queue));
    assert_int_equal(ngx_comms_counter(zone, NGX_COMMS_COUNT_ZONE_FULL), 1);
    assert_int_equal(ngx_comms_lease_count(zone), n);

    /* a limit that finds no room does not stop anybody */
    assert_int_equal(ngx_comms_limiter_take(zone, &id, 1, 60, &after),
                     NGX_OK);
    assert_int_equal(ngx_comms_counter(zone, NGX_COMMS_COUNT_ZONE_FULL), 2);

    /* leases that nobody released make room when they expire */
    unit_clock_set(1000000 + TERM);
    assert_int_equal(ngx_comms_lease_take(zone, &id, TERM, &a), NGX_OK);
    assert_int_equal(ngx_comms_lease_count(zone), n + 1
                                                  - 2 /* purged at once */);
}


/*
 * Random calls against a model: an array with, for each thread, who holds it.
 * No two holders whose terms run, tokens that only grow, and every NGX_BUSY
 * seen by the holder's release.
 */

static void
test_random_walk(void **state)
{
    u_char             text[32];
    int64_t            now;
    uint64_t           token, last;
    unsigned           seed;
    ngx_int_t          rc;
    ngx_str_t          id;
    ngx_uint_t         i, t, held;
    ngx_comms_zone_t  *zone;
    struct {
        uint64_t       token;      /* 0: free */
        int64_t        expires;
        ngx_uint_t     wanted;
    } model[THREADS];

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE * 2);
    ngx_memzero(model, sizeof(model));

    seed = 20261122;
    now = 5000000;
    last = 0;
    id.data = text;

    for (i = 0; i < 400000; i++) {
        now += rand_r(&seed) % 8;
        unit_clock_set(now);

        t = rand_r(&seed) % THREADS;
        id.len = ngx_sprintf(text, "th_%ui", t) - text;

        switch (rand_r(&seed) % 5) {

        case 0:
        case 1:
            rc = ngx_comms_lease_take(zone, &id, TERM, &token);

            if (model[t].token != 0 && model[t].expires > now) {
                assert_int_equal(rc, NGX_BUSY);
                model[t].wanted = 1;
                break;
            }

            assert_int_equal(rc, NGX_OK);
            assert_true(token > last);

            last = token;
            model[t].token = token;
            model[t].expires = now + TERM;
            model[t].wanted = 0;
            break;

        case 2:
            if (model[t].token == 0) {
                break;
            }

            rc = ngx_comms_lease_release(zone, &id, model[t].token);

            if (rc == NGX_DECLINED) {
                assert_true(model[t].expires <= now);
                model[t].token = 0;

            } else if (model[t].wanted) {
                assert_int_equal(rc, NGX_AGAIN);
                model[t].wanted = 0;

            } else {
                assert_int_equal(rc, NGX_OK);
                model[t].token = 0;
            }

            break;

        case 3:
            if (model[t].token == 0) {
                break;
            }

            rc = ngx_comms_lease_renew(zone, &id, model[t].token, TERM);

            if (rc == NGX_OK) {
                model[t].expires = now + TERM;

            } else {
                assert_true(model[t].expires <= now);
                model[t].token = 0;
            }

            break;

        case 4:
            /* a token of the past is never good for anything */

            token = last ? (uint64_t) rand_r(&seed) % (last + 1) : 0;

            if (token == model[t].token) {
                break;
            }

            assert_int_equal(ngx_comms_lease_drop(zone, &id, token),
                             NGX_DECLINED);
            break;
        }
    }

    held = 0;

    for (t = 0; t < THREADS; t++) {
        held += (model[t].token != 0 && model[t].expires > now);
    }

    assert_true(ngx_comms_lease_count(zone) >= held);
}


/* ids that share a checksum are told apart */

static void
test_equal_checksums(void **state)
{
    uint64_t           a, b;
    ngx_str_t          x, y;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);

    x = unit_str("plumless");
    y = unit_str("buckeroo");

    assert_int_equal(ngx_crc32_short(x.data, x.len),
                     ngx_crc32_short(y.data, y.len));

    assert_int_equal(ngx_comms_lease_take(zone, &x, TERM, &a), NGX_OK);
    assert_int_equal(ngx_comms_lease_take(zone, &y, TERM, &b), NGX_OK);
    assert_int_equal(ngx_comms_lease_release(zone, &x, b), NGX_DECLINED);
    assert_int_equal(ngx_comms_lease_release(zone, &x, a), NGX_OK);
    assert_int_equal(ngx_comms_lease_release(zone, &y, b), NGX_OK);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_take_and_release),
        cmocka_unit_test(test_wanted_makes_the_holder_look_again),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_dead_holder),
        cmocka_unit_test(test_bad_ids),
        cmocka_unit_test(test_full_zone),
        cmocka_unit_test(test_random_walk),
        cmocka_unit_test(test_equal_checksums)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
