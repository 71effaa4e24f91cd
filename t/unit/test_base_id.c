
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "base/ngx_comms_id.h"


static void
test_ulid_known_time(void **state)
{
    ngx_str_t  id;

    /* the example of the ULID specification: 1469918176385 is 01ARYZ6S41 */

    unit_clock_set(1469918176385LL);

    assert_int_equal(ngx_comms_id_mint(*state, "", &id), NGX_OK);
    assert_int_equal(id.len, NGX_COMMS_ULID_LEN);
    assert_memory_equal(id.data, "01ARYZ6S41", 10);
}


static void
test_ulid_grows(void **state)
{
    int64_t     ms;
    ngx_str_t   id, last;
    ngx_uint_t  i;

    ms = 1800000000000LL;
    last = unit_str("");

    for (i = 0; i < 20000; i++) {

        /* many in a millisecond, and a clock that steps back for a while */

        unit_clock_set(ms + i / 100 - (i > 5000 && i < 9000 ? 3600000 : 0));

        assert_int_equal(ngx_comms_id_mint(*state, "th_", &id), NGX_OK);
        assert_true(ngx_comms_thread_id_valid(&id));

        if (last.len != 0) {
            assert_true(ngx_memcmp(last.data, id.data, id.len) < 0);
        }

        last = id;
    }
}


static void
test_ulid_of_a_fork_differs(void **state)
{
    ngx_str_t  parent, child;

    unit_clock_set(1900000000000LL);

    assert_int_equal(ngx_comms_id_mint(*state, "in_", &parent), NGX_OK);

    /* what the module sees in a worker after fork() */

    ngx_pid++;
    assert_int_equal(ngx_comms_id_mint(*state, "in_", &child), NGX_OK);
    ngx_pid--;

    /* counted on, all but the last characters would be the same */

    assert_memory_equal(parent.data, child.data, 13);
    assert_memory_not_equal(parent.data + 13, child.data + 13, 12);
}


static void
test_thread_id(void **state)
{
    ngx_uint_t           i;
    ngx_str_t            id;
    static const char  *bad[] = {
        "", "th_", "th_01ARYZ6S41TSV4RRFFQ69G5FA", "01ARYZ6S41TSV4RRFFQ69G5FAV",
        "th_01ARYZ6S41TSV4RRFFQ69G5FAVX", "th_01aryz6s41tsv4rrffq69g5fav",
        "th_01ARYZ6S41TSV4RRFFQ69G5FAI", "th_01ARYZ6S41TSV4RRFFQ69G5FAL",
        "th_01ARYZ6S41TSV4RRFFQ69G5FAO", "th_01ARYZ6S41TSV4RRFFQ69G5FAU",
        "th-01ARYZ6S41TSV4RRFFQ69G5FAV", "TH_01ARYZ6S41TSV4RRFFQ69G5FAV",
        "th_01ARYZ6S41TSV4RRFFQ69G5FA#", "th_01ARYZ6S41TSV4RRFFQ69G5FA\xc3"
    };

    id = unit_str("th_01ARYZ6S41TSV4RRFFQ69G5FAV");
    assert_true(ngx_comms_thread_id_valid(&id));

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        id = unit_str(bad[i]);
        assert_false(ngx_comms_thread_id_valid(&id));
    }

    /* a NUL is no character of the alphabet, although strchr() finds it */

    id.data = (u_char *) "th_01ARYZ6S41TSV4RRFFQ69G5FA";
    id.len = NGX_COMMS_THREAD_ID_LEN;
    assert_false(ngx_comms_thread_id_valid(&id));
}


static void
test_uuid4(void **state)
{
    ngx_uint_t           i;
    ngx_str_t            id;
    static const char  *bad[] = {
        "", "550e8400-e29b-41d4-a716-44665544000",
        "550e8400-e29b-41d4-a716-4466554400011",
        "550E8400-e29b-41d4-a716-446655440001",
        "550e8400-e29b-11d4-a716-446655440001",
        "550e8400-e29b-41d4-7716-446655440001",
        "550e8400-e29b-41d4-c716-446655440001",
        "550e8400e-29b-41d4-a716-446655440001",
        "{550e8400-e29b-41d4-a716-4466554400}",
        "550e8400-e29b-41d4-a716-44665544000g"
    };

    id = unit_str("550e8400-e29b-41d4-a716-446655440001");
    assert_true(ngx_comms_uuid4_valid(&id));

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        id = unit_str(bad[i]);
        assert_false(ngx_comms_uuid4_valid(&id));
    }
}


static void
test_token_round_trip(void **state)
{
    ngx_str_t   key, id, token, upper, back;
    ngx_uint_t  i;

    key = unit_str("reply key");

    assert_int_equal(ngx_comms_id_mint(*state, "th_", &id), NGX_OK);
    assert_int_equal(ngx_comms_reply_token(*state, &key, &id, &token), NGX_OK);
    assert_int_equal(token.len, 43);

    assert_int_equal(ngx_comms_reply_token_verify(*state, &key, &token, &back),
                     NGX_OK);
    assert_int_equal(back.len, id.len);
    assert_memory_equal(back.data, id.data, id.len);

    upper.len = token.len;
    upper.data = ngx_pstrdup(*state, &token);

    for (i = 0; i < upper.len; i++) {
        upper.data[i] = ngx_toupper(upper.data[i]);
    }

    assert_int_equal(ngx_comms_reply_token_verify(*state, &key, &upper, &back),
                     NGX_OK);
    assert_memory_equal(back.data, id.data, id.len);

    key = unit_str("reply kez");
    assert_int_equal(ngx_comms_reply_token_verify(*state, &key, &token, &back),
                     NGX_DECLINED);
}


/* computed with Python's hmac module */

static void
test_token_known_answer(void **state)
{
    ngx_str_t  key, id, token;

    key = unit_str("key");
    id = unit_str("th_01ARYZ6S41TSV4RRFFQ69G5FAV");

    assert_int_equal(ngx_comms_reply_token(*state, &key, &id, &token), NGX_OK);
    assert_text(token, "01aryz6s41tsv4rrffq69g5fav-01d9hmry164gjkt7");
}


static void
test_token_every_change_is_refused(void **state)
{
    u_char       ch, was;
    ngx_str_t    key, id, token, back;
    ngx_uint_t   i, n, tried;

    key = unit_str("reply key");
    id = unit_str("th_01ARYZ6S41TSV4RRFFQ69G5FAV");
    tried = 0;

    assert_int_equal(ngx_comms_reply_token(*state, &key, &id, &token), NGX_OK);

    for (i = 0; i < token.len; i++) {
        was = token.data[i];

        for (n = 0; n < 256; n++) {
            ch = (u_char) n;

            if (ngx_tolower(ch) == was) {
                continue;
            }

            token.data[i] = ch;
            assert_int_equal(ngx_comms_reply_token_verify(*state, &key, &token,
                                                          &back),
                             NGX_DECLINED);
            tried++;
        }

        token.data[i] = was;
    }

    assert_true(tried > 43 * 253);

    /* and every other length */

    for (token.len = 43; token.len > 0; /* void */ ) {
        token.len--;
        assert_int_equal(ngx_comms_reply_token_verify(*state, &key, &token,
                                                      &back),
                         NGX_DECLINED);
    }
}


static void
test_token_of_no_thread(void **state)
{
    ngx_str_t  key, id, token;

    key = unit_str("reply key");
    id = unit_str("th_short");

    assert_int_equal(ngx_comms_reply_token(*state, &key, &id, &token),
                     NGX_ERROR);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_ulid_known_time),
        pool_test(test_ulid_grows),
        pool_test(test_ulid_of_a_fork_differs),
        pool_test(test_thread_id),
        pool_test(test_uuid4),
        pool_test(test_token_round_trip),
        pool_test(test_token_known_answer),
        pool_test(test_token_every_change_is_refused),
        pool_test(test_token_of_no_thread)
    };

    return cmocka_run_group_tests_name("base/id", tests, unit_setup,
                                       NULL);
}
