
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "base/ngx_comms_clock.h"


typedef struct {
    const char  *text;
    int64_t      ms;
} unit_date_t;


static const unit_date_t  dates[] = {
    { "1970-01-01T00:00:00Z", 0 },
    { "2026-11-22T11:45:32.789Z", 1795347932789LL },
    { "2026-11-22T11:45:32,789Z", 1795347932789LL },
    { "2026-11-22T11:45:32.7Z", 1795347932700LL },
    { "2026-11-22T11:45:32.7899999Z", 1795347932789LL },
    { "2026-11-22T11:45:32Z", 1795347932000LL },
    { "2026-11-22T11:45Z", 1795347900000LL },
    { "2026-11-22T11:45+00:00", 1795347900000LL },
    { "2026-11-22T13:45:32+02:00", 1795347932000LL },
    { "2026-11-22T13:45:32+0200", 1795347932000LL },
    { "2026-11-22T13:45:32+02", 1795347932000LL },
    { "2026-11-22T06:15:32-05:30", 1795347932000LL },
    { "2026-11-22T24:00:00Z", 1795392000000LL },
    { "2024-02-29T00:00:00Z", 1709164800000LL },
    { "2000-02-29T23:59:59.999Z", 951868799999LL },
    { "1969-12-31T23:59:59.999Z", -1 },
    { "1900-03-01T00:00:00Z", -2203891200000LL },
    { "0001-01-01T00:00:00Z", -62135596800000LL },
    { "9999-12-31T23:59:59.999Z", 253402300799999LL },
    { "2016-12-31T23:59:60Z", 1483228800000LL },
    { "2017-01-01T05:29:60+05:30", 1483228800000LL }
};


static const char  *refused[] = {
    "", "2026", "2026-11-22", "2026-11-22T", "2026-11-22T11:45",
    "2026-11-22T11:45:32", "2026-11-22 11:45:32Z", "2026-11-22t11:45:32Z",
    "2026-11-22T11:45:32z", "2026-11-22T11Z", "2026-11-22T11:4Z",
    "2026-11-22T11:45:Z", "2026-11-22T11:45:3Z", "2026-11-22T11:45:32.Z",
    "2026-11-22T11:45:32.7", "2026-11-22T11:45:32ZZ",
    "2026-11-22T11:45:32Z ", " 2026-11-22T11:45:32Z",
    "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z",
    "2026-02-30T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
    "2026-04-31T00:00:00Z", "2026-11-22T24:01:00Z", "2026-11-22T24:00:01Z",
    "2026-11-22T24:00:00.001Z", "2026-11-22T25:00:00Z",
    "2026-11-22T11:60:00Z", "2026-11-22T11:45:61Z", "2026-11-22T11:45:60Z",
    "2026-11-22T11:45:32+24:00", "2026-11-22T11:45:32+02:60",
    "2026-11-22T11:45:32+2:00", "2026-11-22T11:45:32+02:0",
    "2026-11-22T11:45:32+02:00Z", "2026-11-22T11:45:32+",
    "2026-11-22T11:45:32*02:00", "20261122T114532Z", "2026-W47-7T11:45:32Z",
    "-026-11-22T11:45:32Z", "+2026-11-22T11:45:32Z", "2026-1a-22T11:45:32Z",
    "0000-12-31T00:00:00Z", "9999-12-31T23:59:59-01:00",
    "0001-01-01T00:00:00+01:00", "1795347932789",
    "2026-11-22T11:45:32.789000000000000000000000000000000000000000000Z"
};


static void
test_parse_table(void **state)
{
    int64_t     ms;
    ngx_str_t   text;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        text = unit_str(dates[i].text);

        if (ngx_comms_iso8601_parse(&text, &ms) != NGX_OK
            || ms != dates[i].ms)
        {
            fail_msg("%s", dates[i].text);
        }
    }
}


static void
test_parse_refuses(void **state)
{
    int64_t     ms;
    ngx_str_t   text;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        text = unit_str(refused[i]);

        if (ngx_comms_iso8601_parse(&text, &ms) != NGX_ERROR) {
            fail_msg("%s", refused[i]);
        }
    }
}


static void
test_parse_refuses_every_cut(void **state)
{
    int64_t    ms;
    ngx_str_t  text;

    text = unit_str("2026-11-22T11:45:32.789+01:00");

    for (text.len--; text.len > 0; text.len--) {

        /* "+01" is an offset, too */

        if (text.len == sizeof("2026-11-22T11:45:32.789+01") - 1) {
            continue;
        }

        assert_int_equal(ngx_comms_iso8601_parse(&text, &ms), NGX_ERROR);
    }
}


static void
test_write(void **state)
{
    ngx_str_t  text;

    assert_int_equal(ngx_comms_iso8601_str(*state, 1795347932789LL, &text),
                     NGX_OK);
    assert_text(text, "2026-11-22T11:45:32.789Z");

    assert_int_equal(ngx_comms_iso8601_str(*state, -1, &text), NGX_OK);
    assert_text(text, "1969-12-31T23:59:59.999Z");

    /* the length is fixed: what has five digits of years is held back */

    assert_int_equal(ngx_comms_iso8601_str(*state, INT64_MAX, &text), NGX_OK);
    assert_text(text, "9999-12-31T23:59:59.999Z");

    assert_int_equal(ngx_comms_iso8601_str(*state, INT64_MIN, &text), NGX_OK);
    assert_text(text, "0001-01-01T00:00:00.000Z");
}


/* every day of 800 years, against the system's calendar */

static void
test_every_day(void **state)
{
    char       expected[64];
    u_char     buf[NGX_COMMS_ISO8601_LEN];
    time_t     sec;
    int64_t    day, ms;
    ngx_str_t  text;
    struct tm  tm;

    text.data = buf;
    text.len = NGX_COMMS_ISO8601_LEN;

    for (day = -146097; day < 146097; day++) {
        sec = (time_t) (day * 86400 + 45296);

        assert_ptr_equal(ngx_comms_iso8601(buf, (int64_t) sec * 1000 + 7),
                         buf + NGX_COMMS_ISO8601_LEN);

        gmtime_r(&sec, &tm);
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.007Z", &tm);
        assert_memory_equal(buf, expected, NGX_COMMS_ISO8601_LEN);

        assert_int_equal(ngx_comms_iso8601_parse(&text, &ms), NGX_OK);
        assert_true(ms == (int64_t) sec * 1000 + 7);
    }
}


static void
test_clocks(void **state)
{
    int64_t  ms;

    unit_clock_set(1795347932789LL);
    assert_true(ngx_comms_clock_ms() == 1795347932789LL);

    /* this one is not stopped */

    ms = ngx_comms_clock_now();
    assert_true(ms > 1700000000000LL && ms <= ngx_comms_clock_now());
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_parse_table),
        pool_test(test_parse_refuses),
        pool_test(test_parse_refuses_every_cut),
        pool_test(test_write),
        pool_test(test_every_day),
        pool_test(test_clocks)
    };

    return cmocka_run_group_tests_name("base/clock", tests, unit_setup,
                                       NULL);
}
