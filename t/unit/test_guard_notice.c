
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "test_guard_zone.h"

#include <sys/wait.h>


typedef struct {
    ngx_uint_t   calls;
    ngx_uint_t   everybody;
    uint32_t     last;
} ear_t;


static ngx_uint_t         in_post;
static ngx_comms_zone_t  *ear_zone;


static void
ear_handler(void *data, ngx_comms_notice_e kind, uint32_t hash)
{
    ear_t *ear = data;

    assert_false(in_post);

    ear->calls++;
    ear->everybody += (hash == 0);
    ear->last = hash;
}


/* a handler that posts: what it posts comes later, and only once */

static void
echo_handler(void *data, ngx_comms_notice_e kind, uint32_t hash)
{
    ear_t      *ear = data;
    ngx_str_t   key;

    key = unit_str("echo");

    in_post = 1;

    if (ear->calls++ == 0) {
        ngx_comms_notice_post(ear_zone, NGX_COMMS_NOTICE_THREAD, &key);
    }

    in_post = 0;
}


static void
post(ngx_comms_notice_e kind, const char *text)
{
    ngx_str_t  key;

    key = unit_str(text);

    in_post = 1;
    ngx_comms_notice_post(ear_zone, kind, &key);
    in_post = 0;
}


static void
turn(void)
{
    ngx_event_process_posted((ngx_cycle_t *) ngx_cycle, &ngx_posted_events);
}


/* one process, one test: it listens only once */

static void
test_notices(void **state)
{
    ngx_str_t     key;
    ngx_uint_t    i;
    static ear_t  queue, lease, echo;

    ear_zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);

    post(NGX_COMMS_NOTICE_QUEUE, "before anybody listens");

    assert_int_equal(ngx_comms_notice_init_process((ngx_cycle_t *) ngx_cycle,
                                                   ear_zone),
                     NGX_OK);
    assert_int_equal(ngx_comms_notice_listen(NGX_COMMS_NOTICE_QUEUE,
                                             ear_handler, &queue),
                     NGX_OK);
    assert_int_equal(ngx_comms_notice_listen(NGX_COMMS_NOTICE_LEASE,
                                             ear_handler, &lease),
                     NGX_OK);
    assert_int_equal(ngx_comms_notice_listen(NGX_COMMS_NOTICE_THREAD,
                                             echo_handler, &echo),
                     NGX_OK);
    turn();
    assert_int_equal(queue.calls, 0);

    post(NGX_COMMS_NOTICE_QUEUE, "open");
    assert_int_equal(queue.calls, 0);
    turn();
    assert_int_equal(queue.calls, 1);
    key = unit_str("open");
    assert_int_equal(queue.last, ngx_comms_notice_hash(&key));
    assert_int_equal(lease.calls, 0);

    turn();
    assert_int_equal(queue.calls, 1);

    /* equal neighbours are one */
    post(NGX_COMMS_NOTICE_QUEUE, "open");
    post(NGX_COMMS_NOTICE_QUEUE, "open");
    post(NGX_COMMS_NOTICE_LEASE, "th_a");
    turn();
    assert_int_equal(queue.calls, 2);
    assert_int_equal(lease.calls, 1);

    /* a full ring is delivered whole */
    for (i = 0; i < NGX_COMMS_ZONE_RING; i++) {
        post(NGX_COMMS_NOTICE_LEASE, (i % 2) ? "th_a" : "th_b");
    }

    turn();
    assert_int_equal(lease.everybody, 0);
    assert_int_equal(lease.calls, 1 + NGX_COMMS_ZONE_RING);

    /* one too many: everybody looks again, once */
    for (i = 0; i < NGX_COMMS_ZONE_RING + 1; i++) {
        post(NGX_COMMS_NOTICE_LEASE, (i % 2) ? "th_a" : "th_b");
    }

    lease.calls = 0;
    queue.calls = 0;
    turn();
    assert_int_equal(lease.calls, 1);
    assert_int_equal(lease.everybody, 1);
    assert_int_equal(queue.calls, 1);

    echo.calls = 0;
    post(NGX_COMMS_NOTICE_THREAD, "th_c");
    turn();
    assert_int_equal(echo.calls, 2);

    /* the net: entries that no wake announced */
    lease.calls = 0;
    ear_zone->layout->ring[ear_zone->layout->posted % NGX_COMMS_ZONE_RING]
        .kind = NGX_COMMS_NOTICE_LEASE;
    ear_zone->layout->posted++;
    unit_clock_set(ngx_current_msec + 250);
    ngx_event_expire_timers();
    turn();
    assert_int_equal(lease.calls, 1);
}


static void
test_hash(void **state)
{
    ngx_str_t  key;

    key = unit_str("");

    /* the checksum of nothing is 0, which would concern everybody */
    assert_int_not_equal(ngx_comms_notice_hash(&key), 0);
}


static void
test_gauges(void **state)
{
    int                status;
    pid_t              pid;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);

    ngx_comms_gauge(zone, NGX_COMMS_GAUGE_JOBS, 3);
    ngx_comms_gauge(zone, NGX_COMMS_GAUGE_JOBS, -1);
    assert_int_equal(ngx_comms_gauge_sum(zone, NGX_COMMS_GAUGE_JOBS), 2);
    assert_int_equal(ngx_comms_gauge_sum(zone, NGX_COMMS_GAUGE_PARKED), 0);

    /* another process, alive: both count */
    zone->layout->slots[1].pid = getppid();
    zone->layout->slots[1].gauges[NGX_COMMS_GAUGE_JOBS] = 5;
    assert_int_equal(ngx_comms_gauge_sum(zone, NGX_COMMS_GAUGE_JOBS), 7);

    /* dead: its share is gone, and its slot is for the next */
    pid = fork();

    if (pid == 0) {
        _exit(0);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    zone->layout->slots[1].pid = pid;
    assert_int_equal(ngx_comms_gauge_sum(zone, NGX_COMMS_GAUGE_JOBS), 2);

    zone->layout->slots[0].pid = getppid();
    zone->slot = NGX_CONF_UNSET;
    assert_ptr_equal(ngx_comms_zone_slot(zone), &zone->layout->slots[1]);
    assert_int_equal(ngx_comms_gauge_sum(zone, NGX_COMMS_GAUGE_JOBS), 2);
}


static void
test_words(void **state)
{
    ngx_uint_t         i, j;
    const char        *name, *help, *other;
    ngx_comms_zone_t  *zone;

    zone = unit_zone(NGX_COMMS_ZONE_MIN_SIZE);

    for (i = 0; i < NGX_COMMS_COUNTERS; i++) {
        ngx_comms_counter_words(i, &name, &help);
        assert_non_null(name);
        assert_non_null(help);
        assert_string_equal(name + strlen(name) - 6, "_total");

        for (j = 0; j < i; j++) {
            ngx_comms_counter_words(j, &other, &help);
            assert_string_not_equal(name, other);
        }

        ngx_comms_count(zone, i, i + 1);
        assert_int_equal(ngx_comms_counter(zone, i), i + 1);
    }

    for (i = 0; i < NGX_COMMS_GAUGES; i++) {
        ngx_comms_gauge_words(i, &name, &help);
        assert_non_null(name);
        assert_non_null(help);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_gauges),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_notices)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
