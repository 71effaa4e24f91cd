
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "flow/ngx_comms_quiet.h"
#include "base/ngx_comms_clock.h"


static int64_t
unit_at(const char *text)
{
    int64_t    ms;
    ngx_str_t  iso;

    iso = unit_str(text);
    assert_int_equal(ngx_comms_iso8601_parse(&iso, &ms), NGX_OK);

    return ms;
}


/* the moment at which a message of "now" may go; "" when it is now */

static void
unit_quiet(const char *rules, const char *zone, const char *now,
    const char *until)
{
    json_t                 *quiet;
    int64_t                 end;
    ngx_str_t               name;
    ngx_comms_time_zone_t  *z;

    assert_int_equal(ngx_comms_time_zones_load(NGX_COMMS_TIME_ZONES,
                                               ngx_cycle->log),
                     NGX_OK);

    quiet = json_loads(rules, 0, NULL);
    assert_non_null(quiet);

    name = unit_str(zone);
    z = ngx_comms_time_zone(&name);
    assert_non_null(z);

    end = ngx_comms_quiet_until(quiet, z, unit_at(now));

    assert_int_equal(end, until[0] ? unit_at(until) : 0);

    json_decref(quiet);
}


#define NIGHT  "{\"from\": \"21:00\", \"to\": \"08:00\"}"
#define NOON   "{\"from\": \"12:00\", \"to\": \"14:00\"}"


static void
test_night_and_noon(void **state)
{
    unit_quiet(NIGHT, "UTC", "2026-11-22T20:59:59.999Z", "");
    unit_quiet(NIGHT, "UTC", "2026-11-22T21:00:00Z", "2026-11-23T08:00:00Z");
    unit_quiet(NIGHT, "UTC", "2026-11-23T07:59:59Z", "2026-11-23T08:00:00Z");
    unit_quiet(NIGHT, "UTC", "2026-11-23T08:00:00Z", "");

    unit_quiet(NOON, "UTC", "2026-11-22T11:59:59Z", "");
    unit_quiet(NOON, "UTC", "2026-11-22T12:00:00Z", "2026-11-22T14:00:00Z");
    unit_quiet(NOON, "UTC", "2026-11-22T14:00:00Z", "");

    /* by the clock of the zone, also where it is half an hour off */

    unit_quiet(NIGHT, "Asia/Kolkata", "2026-11-22T15:29:59Z", "");
    unit_quiet(NIGHT, "Asia/Kolkata", "2026-11-22T15:30:00Z",
               "2026-11-23T02:30:00Z");
    unit_quiet(NIGHT, "America/New_York", "2026-11-23T03:00:00Z",
               "2026-11-23T13:00:00Z");
}


static void
test_clocks_change(void **state)
{
    /* London: an hour is left out on 29 March, and comes twice on 25 October */

    unit_quiet(NIGHT, "Europe/London", "2026-03-28T21:00:00Z",
               "2026-03-29T07:00:00Z");
    unit_quiet(NIGHT, "Europe/London", "2026-10-24T20:00:00Z",
               "2026-10-25T08:00:00Z");

    /* an end that is left out is the moment that the clocks jump, or later */

    unit_quiet("{\"from\": \"21:00\", \"to\": \"01:30\"}", "Europe/London",
               "2026-03-28T23:00:00Z", "2026-03-29T01:30:00Z");

    /* one that comes twice is the first, and the second is quiet again */

    unit_quiet("{\"from\": \"21:00\", \"to\": \"01:30\"}", "Europe/London",
               "2026-10-24T23:00:00Z", "2026-10-25T00:30:00Z");
    unit_quiet("{\"from\": \"21:00\", \"to\": \"01:30\"}", "Europe/London",
               "2026-10-25T00:30:00Z", "");
    unit_quiet("{\"from\": \"21:00\", \"to\": \"01:30\"}", "Europe/London",
               "2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z");
}


static void
test_days(void **state)
{
    const char  *weekend, *sunday;

    weekend = "{\"from\": \"20:00\", \"to\": \"09:00\","
              " \"days\": [\"friday\", \"saturday\"]}";
    sunday = "{\"from\": \"00:00\", \"to\": \"00:00\","
             " \"days\": [\"sunday\"]}";

    /* 22 November 2026 is a Sunday */

    unit_quiet(weekend, "UTC", "2026-11-20T19:59:00Z", "");
    unit_quiet(weekend, "UTC", "2026-11-20T20:00:00Z", "2026-11-21T09:00:00Z");
    unit_quiet(weekend, "UTC", "2026-11-22T08:59:00Z", "2026-11-22T09:00:00Z");
    unit_quiet(weekend, "UTC", "2026-11-22T20:00:00Z", "");
    unit_quiet(weekend, "UTC", "2026-11-20T08:00:00Z", "");

    unit_quiet(sunday, "UTC", "2026-11-21T23:59:59Z", "");
    unit_quiet(sunday, "UTC", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z");
    unit_quiet(sunday, "UTC", "2026-11-22T23:59:59Z", "2026-11-23T00:00:00Z");
    unit_quiet(sunday, "UTC", "2026-11-23T00:00:00Z", "");
}


static void
test_whose_clock(void **state)
{
    json_t     *quiet;
    ngx_str_t   own, person, zone;

    assert_int_equal(ngx_comms_time_zones_load(NGX_COMMS_TIME_ZONES,
                                               ngx_cycle->log),
                     NGX_OK);

    quiet = json_pack("{s:s}", "time_zone", "Asia/Tokyo");

    own = unit_str("America/Lima");
    person = unit_str("tel:+447700900123");
    ngx_comms_quiet_zone(&own, &person, quiet, &zone);
    assert_text(zone, "America/Lima");

    own = unit_str("");
    ngx_comms_quiet_zone(&own, &person, quiet, &zone);
    assert_text(zone, "Europe/London");

    /* +1 and +7 are many zones, and a mail tells nothing */

    person = unit_str("tel:+12025550123");
    ngx_comms_quiet_zone(&own, &person, quiet, &zone);
    assert_text(zone, "Asia/Tokyo");

    person = unit_str("mailto:ada@example.org");
    ngx_comms_quiet_zone(&own, &person, quiet, &zone);
    assert_text(zone, "Asia/Tokyo");

    json_decref(quiet);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_night_and_noon),
        cmocka_unit_test(test_clocks_change),
        cmocka_unit_test(test_days),
        cmocka_unit_test(test_whose_clock),
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
