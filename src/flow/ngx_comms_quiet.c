
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Quiet hours, by the clock on the person's wall.
 *
 * A period begins at "from" on each of its days and lasts to the next "to":
 * on the same day where that is later, else on the day after.  Equal times
 * are a whole day.  Both are read off the wall: while the clocks change, a
 * period is an hour shorter or longer, and a "to" that is left out is the
 * moment at which the clocks jump over it or later.
 *
 * Where periods touch (a whole day behind an evening), the end of the first is
 * inside of the second, and the message is held once more.
 */


#include <flow/ngx_comms_quiet.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_address.h>


#define NGX_COMMS_QUIET_DAY  86400


static ngx_uint_t ngx_comms_quiet_on(json_t *quiet, int64_t day);


void
ngx_comms_quiet_zone(ngx_str_t *own, ngx_str_t *person_address, json_t *quiet,
    ngx_str_t *zone)
{
    *zone = *own;

    if (own->len != 0 && ngx_comms_time_zone(own) != NULL) {
        return;
    }

    if (ngx_comms_address_time_zone(person_address, zone) == NGX_OK
        && ngx_comms_time_zone(zone) != NULL)
    {
        return;
    }

    (void) ngx_comms_json_str(quiet, "time_zone", zone);
}


int64_t
ngx_comms_quiet_until(json_t *quiet, ngx_comms_time_zone_t *zone, int64_t now)
{
    int64_t    seconds, local, day, begin, end, length;
    ngx_int_t  from, to;
    ngx_str_t  text;

    if (zone == NULL) {
        return 0;
    }

    (void) ngx_comms_json_str(quiet, "from", &text);
    from = ngx_comms_clock_time(&text);

    (void) ngx_comms_json_str(quiet, "to", &text);
    to = ngx_comms_clock_time(&text);

    if (from == NGX_ERROR || to == NGX_ERROR) {
        return 0;
    }

    length = (to > from) ? to - from : NGX_COMMS_QUIET_DAY - from + to;

    seconds = now / 1000;
    local = seconds + ngx_comms_time_zone_offset(zone, seconds);

    /* a period of yesterday may last until today */

    for (day = local / NGX_COMMS_QUIET_DAY;
         day >= local / NGX_COMMS_QUIET_DAY - 1;
         day--)
    {
        begin = day * NGX_COMMS_QUIET_DAY + from;
        end = begin + length;

        if (local < begin || local >= end || !ngx_comms_quiet_on(quiet, day))
        {
            continue;
        }

        length = end - local;
        end = ngx_comms_time_zone_utc(zone, end) * 1000;

        /* where it came twice, this is the second time */

        return (end > now) ? end : (seconds + length) * 1000;
    }

    return 0;
}


/* does a period begin on this day (days since the epoch)? */

static ngx_uint_t
ngx_comms_quiet_on(json_t *quiet, int64_t day)
{
    size_t       i;
    json_t      *days, *one;
    const char  *name;

    static const char  *names[] = {
        "thursday", "friday", "saturday", "sunday", "monday", "tuesday",
        "wednesday"
    };

    days = json_object_get(quiet, "days");

    if (days == NULL) {
        return 1;
    }

    name = names[(day % 7 + 7) % 7];

    json_array_foreach(days, i, one) {
        if (json_is_string(one)
            && ngx_strcmp(json_string_value(one), name) == 0)
        {
            return 1;
        }
    }

    return 0;
}
