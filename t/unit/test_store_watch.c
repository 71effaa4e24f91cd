
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "store/ngx_comms_store_dynamodb_watch.h"


static ngx_comms_dynamodb_watch_t  watch;


static ngx_uint_t
look(const char *id, const char *version, ngx_msec_t now)
{
    ngx_str_t  i, v;

    i = unit_str(id);
    v = unit_str(version);

    return ngx_comms_dynamodb_watch(&watch, &i, &v, 1000, now);
}


static void
test_a_term_of_the_same_version(void **state)
{
    ngx_memzero(&watch, sizeof(watch));

    assert_int_equal(look("a", "v1", 5000), 0);
    assert_int_equal(look("a", "v1", 5999), 0);
    assert_int_equal(look("b", "v1", 5999), 0);
    assert_int_equal(look("a", "v1", 6000), 1);
    assert_int_equal(look("b", "v1", 6000), 0);
}


static void
test_a_renewal_starts_it_again(void **state)
{
    ngx_memzero(&watch, sizeof(watch));

    assert_int_equal(look("a", "v1", 5000), 0);
    assert_int_equal(look("a", "v2", 5900), 0);
    assert_int_equal(look("a", "v2", 6899), 0);
    assert_int_equal(look("a", "v2", 6900), 1);
}


static void
test_nothing_is_remembered_of_what_is_over(void **state)
{
    ngx_str_t  id;

    ngx_memzero(&watch, sizeof(watch));

    id = unit_str("a");

    assert_int_equal(look("a", "v1", 5000), 0);
    ngx_comms_dynamodb_unwatch(&watch, &id);
    assert_int_equal(look("a", "v1", 9000), 0);
    assert_int_equal(look("a", "v1", 10000), 1);
}


static void
test_the_clock_wraps(void **state)
{
    ngx_memzero(&watch, sizeof(watch));

    assert_int_equal(look("a", "v1", (ngx_msec_t) -400), 0);
    assert_int_equal(look("a", "v1", 599), 0);
    assert_int_equal(look("a", "v1", 600), 1);
}


static void
test_too_many_are_later_and_never_earlier(void **state)
{
    char        id[16];
    ngx_uint_t  n;

    ngx_memzero(&watch, sizeof(watch));

    assert_int_equal(look("first", "v", 1), 0);

    for (n = 0; n < NGX_COMMS_DYNAMODB_WATCHED; n++) {
        *ngx_sprintf((u_char *) id, "t%ui", n) = '\0';
        assert_int_equal(look(id, "v", 2 + n), 0);
    }

    assert_int_equal(look("first", "v", 1500), 0);
    assert_int_equal(look("first", "v", 2500), 1);
}


static void
test_what_is_too_long_is_never_overdue(void **state)
{
    char  version[NGX_COMMS_DYNAMODB_WATCH_ID + 2];

    ngx_memset(version, 'v', sizeof(version));
    version[sizeof(version) - 1] = '\0';

    ngx_memzero(&watch, sizeof(watch));

    assert_int_equal(look("a", version, 1), 0);
    assert_int_equal(look("a", version, 9999), 0);
    assert_int_equal(look(version, "v", 1), 0);
    assert_int_equal(look(version, "v", 9999), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_a_term_of_the_same_version),
        cmocka_unit_test(test_a_renewal_starts_it_again),
        cmocka_unit_test(test_nothing_is_remembered_of_what_is_over),
        cmocka_unit_test(test_the_clock_wraps),
        cmocka_unit_test(test_too_many_are_later_and_never_earlier),
        cmocka_unit_test(test_what_is_too_long_is_never_overdue),
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
