
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Retention in the embedded store, piece by piece, without a clock.
 */


#include "nginx_env.h"
#include "sqlite/ngx_comms_sqlite_private.h"
#include "store/ngx_comms_store_sqlite_works.h"


#define DAY  ((int64_t) 86400 * 1000)
#define NOW  (1000 * DAY)


static ngx_comms_sqlite_txn_t  txn;


/* the zone is not under test here */

void
ngx_comms_count(ngx_comms_zone_t *z, ngx_comms_count_e what, ngx_uint_t n)
{
}


void
ngx_comms_notice_post_hash(ngx_comms_zone_t *z, ngx_comms_notice_e kind,
    uint32_t hash)
{
}


uint32_t
ngx_comms_notice_hash(ngx_str_t *key)
{
    return 1;
}


static void
run(const char *fmt, ...)
{
    char     sql[1024];
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(sql, sizeof(sql), fmt, args);
    va_end(args);

    if (sqlite3_exec(txn.connection, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sqlite3_errmsg(txn.connection), sql);
    }
}


static int64_t
number(const char *sql)
{
    int64_t        n;
    sqlite3_stmt  *st;

    assert_int_equal(sqlite3_prepare_v2(txn.connection, sql, -1, &st, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);

    n = sqlite3_column_int64(st, 0);

    (void) sqlite3_finalize(st);

    return n;
}


static int
fresh(void **state)
{
    ngx_memzero(&txn, sizeof(txn));

    txn.now = NOW;
    txn.writing = 1;

    if (sqlite3_open(":memory:", &txn.connection) != SQLITE_OK) {
        return -1;
    }

    return ngx_comms_sqlite_migrate(&txn) == NGX_OK ? 0 : -1;
}


static int
gone(void **state)
{
    ngx_comms_sqlite_close(&txn);

    return 0;
}


/* a thread that began and rested so many days ago */
static void
put(int n, int began, int rested)
{
    run("INSERT INTO threads VALUES ('th_%04d', 'c#p#%d', 'c', 'p', '%d', 'h',"
        " 't', 'active', 0, 1, %lld, %lld, '{}', '{}', '')",
        n, n, n, (long long) (NOW - began * DAY),
        (long long) (NOW - rested * DAY));
    run("INSERT INTO messages (thread_id, seq, entry_id, message)"
        " VALUES ('th_%04d', 1, 'e', '{}')", n);
    run("INSERT INTO effects (thread_id, effect_id, kind, state, intended_at)"
        " VALUES ('th_%04d', 'e', 'ai', 'done', 1)", n);
    run("INSERT INTO address_pairs VALUES ('tel:+1', 'tel:+%d', 'sms', 1,"
        " 'th_%04d', 'c')", n, n);
    run("INSERT INTO inbound VALUES ('in_%04d', 'd%d', 'sms', 'tel:+1',"
        " 'tel:+%d', 'done', 1, NULL, 'th_%04d', NULL, '{}')", n, n, n, n);
}


static int64_t
retain(int days, const char *member)
{
    json_t     *in, *answer;
    int64_t     n;
    ngx_int_t   rc;

    in = json_pack("{s:i}", "days", days);
    answer = NULL;

    rc = ngx_comms_store_sqlite_retain(&txn, in, &answer);
    assert_int_equal(rc, NGX_OK);

    n = json_integer_value(json_object_get(answer, member));

    json_decref(in);
    json_decref(answer);

    return n;
}


static void
test_what_is_at_rest_goes(void **state)
{
    put(1, 50, 31);
    put(2, 50, 29);
    put(3, 29, 29);

    assert_int_equal(retain(30, "removed"), 1);
    assert_int_equal(number("SELECT count(*) FROM threads"), 2);
    assert_int_equal(number("SELECT count(*) FROM threads"
                            " WHERE thread_id = 'th_0001'"), 0);
    assert_int_equal(number("SELECT count(*) FROM messages"), 2);
    assert_int_equal(number("SELECT count(*) FROM effects"), 2);
    assert_int_equal(number("SELECT count(*) FROM address_pairs"), 2);
    assert_int_equal(number("SELECT count(*) FROM inbound"), 2);
    assert_int_equal(number("SELECT n FROM thread_counts"), 2);
}


static void
test_what_has_something_to_do_stays(void **state)
{
    ngx_int_t  i;

    for (i = 1; i <= 6; i++) {
        put(i, 50, 50);
    }

    run("INSERT INTO queue_messages (queue, grp, body, sent_at, visible_at)"
        " VALUES ('later', 'th_0001', '{}', 1, 1)");
    run("UPDATE effects SET state = 'intent' WHERE thread_id = 'th_0002'");
    run("UPDATE inbound SET state = 'waiting' WHERE thread_id = 'th_0003'");
    run("UPDATE inbound SET state = 'waiting', thread_id = NULL"
        " WHERE thread_id = 'th_0004'");
    run("INSERT INTO queue_messages (queue, grp, body, sent_at, visible_at)"
        " VALUES ('reply', '', '{\"inbound_id\":\"in_0005\"}', 1, 1)");

    assert_int_equal(retain(30, "removed"), 1);
    assert_int_equal(number("SELECT count(*) FROM threads"
                            " WHERE thread_id = 'th_0006'"), 0);
    assert_int_equal(number("SELECT count(*) FROM threads"), 5);
}


static void
test_what_belongs_to_none(void **state)
{
    run("INSERT INTO inbound VALUES ('in_1', 'd1', 'sms', 'tel:+1', 'tel:+2',"
        " 'orphan', %lld, NULL, NULL, 'x', '{}'), ('in_2', 'd2', 'sms',"
        " 'tel:+1', 'tel:+2', 'orphan', %lld, NULL, NULL, 'x', '{}'),"
        " ('in_3', 'd3', 'sms', 'tel:+1', 'tel:+2', 'waiting', 1, NULL, NULL,"
        " NULL, '{}')", (long long) (NOW - 31 * DAY),
        (long long) (NOW - 29 * DAY));
    run("INSERT INTO erased VALUES ('c#1', 'th_1', '1', 'h', 't', '{}', %lld,"
        " '{}'), ('c#2', 'th_2', '2', 'h', 't', '{}', %lld, '{}')",
        (long long) (NOW - 31 * DAY), (long long) (NOW - 29 * DAY));
    run("INSERT INTO dead_letters VALUES (1, 'q', '', '{}', 1, 1, NULL, %lld),"
        " (2, 'q', '', '{}', 1, 1, NULL, %lld)",
        (long long) (NOW - 31 * DAY), (long long) (NOW - 29 * DAY));
    run("INSERT INTO consent (company_id, person_address, opted_out, source,"
        " proof, at) VALUES ('c', 'tel:+2', 1, 'api', '', 1)");

    assert_int_equal(retain(30, "removed"), 0);
    assert_int_equal(number("SELECT count(*) FROM inbound"
                            " WHERE inbound_id IN ('in_2', 'in_3')"), 2);
    assert_int_equal(number("SELECT count(*) FROM inbound"), 2);
    assert_int_equal(number("SELECT count(*) FROM erased"), 1);
    assert_int_equal(number("SELECT count(*) FROM dead_letters"), 1);
    assert_int_equal(number("SELECT count(*) FROM consent"), 1);
}


/* a walk over many, which rests between its pieces, and after its end */

static void
test_a_walk(void **state)
{
    int64_t    removed, due;
    ngx_int_t  i, pieces;

    run("BEGIN");

    for (i = 1; i <= 1000; i++) {
        put(i, 100, i % 4 ? 10 : 100);
    }

    run("COMMIT");

    removed = 0;
    due = 0;

    for (pieces = 0; due < 60000; pieces++) {
        assert_true(pieces < 100);

        i = retain(30, "removed");
        assert_true(i <= 25);
        removed += i;

        /* whoever asks too early, another worker, finds nothing to do */

        assert_int_equal(retain(30, "removed"), 0);
        due = retain(30, "due");
        assert_true(due > 0);
        txn.now += due < 60000 ? due : 0;
    }

    assert_int_equal(removed, 250);
    assert_int_equal(number("SELECT count(*) FROM threads"), 750);
    assert_true(pieces >= 10);

    /* what has grown old since goes with the next walk */

    txn.now = NOW + 25 * DAY;

    for (i = 0; i < 100; i++) {
        removed += retain(30, "removed");
        txn.now += 1000;
    }

    assert_int_equal(removed, 1000);
    assert_int_equal(number("SELECT count(*) FROM messages"), 0);
}


static void
test_a_clock_that_was_set_back(void **state)
{
    put(1, 100, 100);
    run("UPDATE retention SET due_at = %lld", (long long) (NOW + 9 * DAY));

    assert_int_equal(retain(30, "removed"), 1);
}


int
main(void)
{
#define retention(name)                                                       \
    cmocka_unit_test_setup_teardown(name, fresh, gone)

    const struct CMUnitTest  tests[] = {
        retention(test_what_is_at_rest_goes),
        retention(test_what_has_something_to_do_stays),
        retention(test_what_belongs_to_none),
        retention(test_a_walk),
        retention(test_a_clock_that_was_set_back)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
