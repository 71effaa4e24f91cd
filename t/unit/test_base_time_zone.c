
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The C library, told by TZ, is the other side: the same zones, the same
 * moments.
 */


#include "nginx_env.h"
#include "base/ngx_comms_time_zone_private.h"
#include <stdlib.h>
#include <time.h>


static int64_t
unit_offset(const char *zone, int64_t at)
{
    ngx_str_t               name;
    ngx_comms_time_zone_t  *z;

    name = unit_str(zone);
    z = ngx_comms_time_zone(&name);
    assert_non_null(z);

    return ngx_comms_time_zone_offset(z, at);
}


static void
test_like_the_library(void **state)
{
    time_t       at;
    ngx_uint_t   i;
    struct tm    tm;

    static const char  *zones[] = {
        "Europe/London", "America/New_York", "Asia/Kolkata", "Africa/Cairo",
        "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca",
        "Europe/Dublin", "America/Nuuk", "Pacific/Chatham", "UTC",
        "America/Argentina/Ushuaia", "Asia/Gaza", "Antarctica/Troll", NULL
    };

    assert_int_equal(ngx_comms_time_zones_load(NGX_COMMS_TIME_ZONES,
                                               ngx_cycle->log),
                     NGX_OK);

    for (i = 0; zones[i] != NULL; i++) {
        setenv("TZ", zones[i], 1);
        tzset();

        /* 1950 to 2100, in steps that hit every hour of a week in the end */

        for (at = -631152000; at < 4102444800; at += 7 * 86400 - 3600 + 17) {
            assert_non_null(localtime_r(&at, &tm));

            if (unit_offset(zones[i], at) != tm.tm_gmtoff) {
                print_error("%s at %lld\n", zones[i], (long long) at);
                fail();
            }
        }
    }

    setenv("TZ", "UTC", 1);
    tzset();
}


static void
test_names(void **state)
{
    ngx_str_t   name;
    ngx_uint_t  i;

    static const char  *bad[] = {
        "", "Europe", "Europe/Nowhere", "europe/london", "../etc/passwd",
        "/usr/share/zoneinfo/UTC", "posix/UTC", "right/UTC", "zone.tab",
        "Europe/London ", NULL
    };

    for (i = 0; bad[i] != NULL; i++) {
        name = unit_str(bad[i]);
        assert_null(ngx_comms_time_zone(&name));
    }
}


static void
test_from_local(void **state)
{
    ngx_str_t               name;
    ngx_comms_time_zone_t  *z;

    name = unit_str("Europe/London");
    z = ngx_comms_time_zone(&name);

    /* 22 November 2026, 08:00: winter; 1 July 2026, 08:00: summer */

    assert_int_equal(ngx_comms_time_zone_utc(z, 1795334400), 1795334400);
    assert_int_equal(ngx_comms_time_zone_utc(z, 1782892800),
                     1782892800 - 3600);

    /* 29 March 2026, 01:30 is left out: 01:30 UTC is 02:30 there */

    assert_int_equal(ngx_comms_time_zone_utc(z, 1774747800), 1774747800);

    /* 25 October 2026, 01:30 comes twice: the first of them */

    assert_int_equal(ngx_comms_time_zone_utc(z, 1792891800),
                     1792891800 - 3600);
}


static void
test_rules(void **state)
{
    ngx_str_t                    text;
    ngx_uint_t                   i;
    ngx_comms_time_zone_rule_t   rule;

    static const char  *bad[] = {
        "A0", "ABC", "ABC25", "ABC0DEF", "ABC0DEF,M3.5.0", "ABC0DEF,M13.1.0,J1",
        "ABC0DEF,M3.6.0,J1", "ABC0DEF,M3.5.7,J1", "ABC0DEF,J0,J1",
        "ABC0DEF,J366,J1", "ABC0DEF,366,1", "ABC0DEF,J1/168,J2",
        "ABC0DEF,J1,J2x", "<ABC0", "ABC99999999999999999999", "ABC0:60", NULL
    };

    for (i = 0; bad[i] != NULL; i++) {
        text = unit_str(bad[i]);
        assert_int_equal(ngx_comms_time_zone_rule_read(&text, &rule),
                         NGX_DECLINED);
    }

    text = unit_str("<+0545>-5:45");
    assert_int_equal(ngx_comms_time_zone_rule_read(&text, &rule), NGX_OK);
    assert_int_equal(ngx_comms_time_zone_rule_offset(&rule, 0), 20700);

    /* days of the year: J60 is 1 March in every year, 59 is so in most */

    text = unit_str("ABC0DEF,J60/0,J61/0");
    assert_int_equal(ngx_comms_time_zone_rule_read(&text, &rule), NGX_OK);
    assert_int_equal(ngx_comms_time_zone_rule_offset(&rule, 1709251199), 0);
    assert_int_equal(ngx_comms_time_zone_rule_offset(&rule, 1709251200), 3600);

    text = unit_str("ABC0DEF,59/0,60/0");
    assert_int_equal(ngx_comms_time_zone_rule_read(&text, &rule), NGX_OK);
    assert_int_equal(ngx_comms_time_zone_rule_offset(&rule, 1709164800), 3600);
    assert_int_equal(ngx_comms_time_zone_rule_offset(&rule, 1709251200), 0);
}


/* every beginning of a file, and every file with one byte changed */

static void
test_malformed(void **state)
{
    FILE                   *file;
    size_t                  len, i;
    u_char                  bytes[8192];
    ngx_str_t               text;
    ngx_comms_time_zone_t  *z;

    file = fopen(NGX_COMMS_TIME_ZONES "/Europe/London", "rb");
    assert_non_null(file);

    len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    assert_in_range(len, 500, sizeof(bytes) - 1);

    for (i = 0; i < len; i++) {
        text.data = ngx_alloc(i + 1, ngx_cycle->log);
        assert_non_null(text.data);
        ngx_memcpy(text.data, bytes, i);
        text.len = i;

        assert_null(ngx_comms_time_zone_read(&text, ngx_cycle->log));
        ngx_free(text.data);
    }

    for (i = 0; i < len; i++) {
        bytes[i] ^= 0xff;
        text.data = bytes;
        text.len = len;

        z = ngx_comms_time_zone_read(&text, ngx_cycle->log);

        if (z != NULL) {
            (void) ngx_comms_time_zone_offset(z, 1795305600);
            (void) ngx_comms_time_zone_utc(z, 1795305600);
            ngx_free(z);
        }

        bytes[i] ^= 0xff;
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_like_the_library),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_from_local),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_malformed),
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
