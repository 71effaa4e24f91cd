
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Migrations: from each version that was released to this one.
 */


#include "nginx_env.h"
#include "sqlite/ngx_comms_sqlite_private.h"
#include "sqlite_version_1.h"


#define VERSION  2


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
run(const char *sql)
{
    assert_int_equal(sqlite3_exec(txn.connection, sql, NULL, NULL, NULL),
                     SQLITE_OK);
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

    return sqlite3_open(":memory:", &txn.connection) == SQLITE_OK ? 0 : -1;
}


static int
gone(void **state)
{
    return sqlite3_close(txn.connection) == SQLITE_OK ? 0 : -1;
}


static void
test_a_new_one_is_of_this_version(void **state)
{
    assert_int_equal(ngx_comms_sqlite_migrate(&txn), NGX_OK);
    assert_int_equal(number("PRAGMA user_version"), VERSION);
    assert_int_equal(ngx_comms_sqlite_migrate(&txn), NGX_OK);
}


static void
test_version_1(void **state)
{
    int64_t  objects;

    assert_int_equal(ngx_comms_sqlite_migrate(&txn), NGX_OK);
    objects = number("SELECT count(*) FROM sqlite_schema");

    assert_int_equal(gone(state), 0);
    assert_int_equal(fresh(state), 0);

    run(sqlite_version_1);
    assert_int_equal(ngx_comms_sqlite_migrate(&txn), NGX_OK);

    assert_int_equal(number("PRAGMA user_version"), VERSION);
    assert_int_equal(number("SELECT count(*) FROM sqlite_schema"), objects);
    assert_int_equal(number("SELECT count(*) FROM pragma_integrity_check"
                            " WHERE integrity_check = 'ok'"), 1);

    assert_int_equal(number("SELECT count(*) FROM threads"
                            " WHERE thread_id = 'th_1' AND version = 7"
                            " AND newest_inbound_id = ''"), 1);
    assert_int_equal(number("SELECT count(*) FROM messages"), 1);
    assert_int_equal(number("SELECT count(*) FROM inbound"
                            " INDEXED BY inbound_bound"
                            " WHERE thread_id = 'th_1'"
                            " AND state = 'waiting'"), 1);
    assert_int_equal(number("SELECT count(*) FROM inbound"
                            " INDEXED BY inbound_orphans"
                            " WHERE state = 'orphan'"), 1);
    assert_int_equal(number("SELECT n FROM thread_counts"), 1);
}


/* it is all or nothing: the next start finds what this one found */

static void
test_a_migration_that_fails(void **state)
{
    int64_t  objects;

    run(sqlite_version_1);
    run("CREATE TABLE retention (a)");
    objects = number("SELECT count(*) FROM sqlite_schema");

    assert_int_equal(ngx_comms_sqlite_migrate(&txn), NGX_ERROR);
    assert_int_equal(txn.error.set, 1);
    assert_int_equal(sqlite3_get_autocommit(txn.connection), 1);

    assert_int_equal(number("PRAGMA user_version"), 1);
    assert_int_equal(number("SELECT count(*) FROM sqlite_schema"), objects);
    assert_int_equal(number("SELECT count(*) FROM pragma_table_info('threads')"
                            " WHERE name = 'newest_inbound_id'"), 0);

    run("DROP TABLE retention");
    assert_int_equal(ngx_comms_sqlite_migrate(&txn), NGX_OK);
}


static void
test_a_newer_one_is_refused(void **state)
{
    assert_int_equal(ngx_comms_sqlite_migrate(&txn), NGX_OK);
    run("PRAGMA user_version=3");

    assert_int_equal(ngx_comms_sqlite_check(&txn), NGX_ERROR);
    assert_string_equal((char *) txn.error.words, "its schema is of version "
                        "3, and this module supports versions up to 2");
    assert_int_equal(ngx_comms_sqlite_migrate(&txn), NGX_ERROR);
    assert_int_equal(number("PRAGMA user_version"), 3);
}


int
main(void)
{
#define migration(name)                                                       \
    cmocka_unit_test_setup_teardown(name, fresh, gone)

    const struct CMUnitTest  tests[] = {
        migration(test_a_new_one_is_of_this_version),
        migration(test_version_1),
        migration(test_a_migration_that_fails),
        migration(test_a_newer_one_is_refused)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
