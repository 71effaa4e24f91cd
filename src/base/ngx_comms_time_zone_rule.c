
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The last line of a TZif file: what holds behind its last transition, in the
 * form of POSIX's TZ with RFC 8536's extension (hours from -167 to 167).
 *
 *   GMT0BST,M3.5.0/1,M10.5.0     <-03>3     IST-1GMT0,M10.5.0,M3.5.0/1
 */


#include <base/ngx_comms_time_zone_private.h>


#define NGX_COMMS_DAY  86400


static ngx_int_t ngx_comms_time_zone_name(u_char **pos, u_char *last);
static ngx_int_t ngx_comms_time_zone_number(u_char **pos, u_char *last,
    ngx_uint_t min, ngx_uint_t max, ngx_uint_t *n);
static ngx_int_t ngx_comms_time_zone_hours(u_char **pos, u_char *last,
    ngx_uint_t max, int64_t *seconds);
static ngx_int_t ngx_comms_time_zone_day(u_char **pos, u_char *last,
    ngx_comms_time_zone_day_t *day);
static int64_t ngx_comms_time_zone_when(ngx_comms_time_zone_day_t *day,
    int64_t year);
static int64_t ngx_comms_time_zone_days(int64_t year, ngx_uint_t month,
    ngx_uint_t day);
static int64_t ngx_comms_time_zone_year(int64_t at);
static ngx_uint_t ngx_comms_time_zone_leap(int64_t year);


ngx_int_t
ngx_comms_time_zone_rule_read(ngx_str_t *text,
    ngx_comms_time_zone_rule_t *rule)
{
    u_char  *p, *last;

    ngx_memzero(rule, sizeof(ngx_comms_time_zone_rule_t));

    if (text->len == 0) {
        return NGX_OK;
    }

    p = text->data;
    last = p + text->len;

    if (ngx_comms_time_zone_name(&p, last) != NGX_OK
        || ngx_comms_time_zone_hours(&p, last, 24, &rule->standard) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    /* POSIX counts to the west */

    rule->standard = -rule->standard;
    rule->known = 1;

    if (p == last) {
        return NGX_OK;
    }

    if (ngx_comms_time_zone_name(&p, last) != NGX_OK) {
        return NGX_DECLINED;
    }

    rule->both = 1;
    rule->summer = rule->standard + 3600;

    if (p < last && *p != ',') {
        if (ngx_comms_time_zone_hours(&p, last, 24, &rule->summer) != NGX_OK) {
            return NGX_DECLINED;
        }

        rule->summer = -rule->summer;
    }

    if (p == last || *p++ != ','
        || ngx_comms_time_zone_day(&p, last, &rule->start) != NGX_OK
        || p == last || *p++ != ','
        || ngx_comms_time_zone_day(&p, last, &rule->end) != NGX_OK
        || p != last)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_time_zone_name(u_char **pos, u_char *last)
{
    u_char  *p, *start;

    p = *pos;
    start = p;

    if (p < last && *p == '<') {
        p = ngx_strlchr(p, last, '>');

        if (p == NULL) {
            return NGX_DECLINED;
        }

        *pos = p + 1;

        return NGX_OK;
    }

    while (p < last && ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z'))) {
        p++;
    }

    *pos = p;

    return (p - start >= 3) ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_comms_time_zone_number(u_char **pos, u_char *last, ngx_uint_t min,
    ngx_uint_t max, ngx_uint_t *n)
{
    u_char      *p;
    ngx_uint_t   value;

    value = 0;

    for (p = *pos; p < last && *p >= '0' && *p <= '9'; p++) {
        value = value * 10 + (*p - '0');

        if (value > max) {
            return NGX_DECLINED;
        }
    }

    if (p == *pos || value < min) {
        return NGX_DECLINED;
    }

    *pos = p;
    *n = value;

    return NGX_OK;
}


/* [+-]hh[:mm[:ss]] */

static ngx_int_t
ngx_comms_time_zone_hours(u_char **pos, u_char *last, ngx_uint_t max,
    int64_t *seconds)
{
    int64_t     sign;
    ngx_uint_t  n, unit;

    sign = 1;

    if (*pos < last && (**pos == '+' || **pos == '-')) {
        sign = (**pos == '-') ? -1 : 1;
        (*pos)++;
    }

    if (ngx_comms_time_zone_number(pos, last, 0, max, &n) != NGX_OK) {
        return NGX_DECLINED;
    }

    *seconds = (int64_t) n * 3600;

    for (unit = 60; unit != 0 && *pos < last && **pos == ':'; unit /= 60) {
        (*pos)++;

        if (ngx_comms_time_zone_number(pos, last, 0, 59, &n) != NGX_OK) {
            return NGX_DECLINED;
        }

        *seconds += (int64_t) (n * unit);
    }

    *seconds *= sign;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_time_zone_day(u_char **pos, u_char *last,
    ngx_comms_time_zone_day_t *day)
{
    if (*pos < last && **pos == 'M') {
        day->kind = 'M';
        (*pos)++;

        if (ngx_comms_time_zone_number(pos, last, 1, 12, &day->month) != NGX_OK
            || *pos == last || *(*pos)++ != '.'
            || ngx_comms_time_zone_number(pos, last, 1, 5, &day->week)
               != NGX_OK
            || *pos == last || *(*pos)++ != '.'
            || ngx_comms_time_zone_number(pos, last, 0, 6, &day->day)
               != NGX_OK)
        {
            return NGX_DECLINED;
        }

    } else if (*pos < last && **pos == 'J') {
        day->kind = 'J';
        (*pos)++;

        if (ngx_comms_time_zone_number(pos, last, 1, 365, &day->day)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }

    } else {
        day->kind = 'D';

        if (ngx_comms_time_zone_number(pos, last, 0, 365, &day->day)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    day->time = 2 * 3600;

    if (*pos < last && **pos == '/') {
        (*pos)++;
        return ngx_comms_time_zone_hours(pos, last, 167, &day->time);
    }

    return NGX_OK;
}


int64_t
ngx_comms_time_zone_rule_offset(ngx_comms_time_zone_rule_t *rule, int64_t at)
{
    int64_t     year, start, end;
    ngx_uint_t  summer;

    if (!rule->both) {
        return rule->standard;
    }

    year = ngx_comms_time_zone_year(at + rule->standard);

    start = ngx_comms_time_zone_when(&rule->start, year) - rule->standard;
    end = ngx_comms_time_zone_when(&rule->end, year) - rule->summer;

    /* south of the equator summer lies across the turn of the year */

    summer = (start < end) ? (at >= start && at < end)
                           : !(at >= end && at < start);

    return summer ? rule->summer : rule->standard;
}


/* seconds since the epoch, by the clocks on the wall */

static int64_t
ngx_comms_time_zone_when(ngx_comms_time_zone_day_t *day, int64_t year)
{
    int64_t     days, next;
    ngx_uint_t  weekday;

    if (day->kind == 'M') {
        days = ngx_comms_time_zone_days(year, day->month, 1);

        /* 1 January 1970 was a Thursday */

        weekday = (ngx_uint_t) (((days + 4) % 7 + 7) % 7);
        days += (day->day + 7 - weekday) % 7 + 7 * (day->week - 1);

        next = (day->month == 12) ? ngx_comms_time_zone_days(year + 1, 1, 1)
                                  : ngx_comms_time_zone_days(year,
                                                          day->month + 1, 1);
        while (days >= next) {
            days -= 7;
        }

    } else {
        days = ngx_comms_time_zone_days(year, 1, 1) + day->day;

        if (day->kind == 'J') {
            days -= (day->day > 59 && ngx_comms_time_zone_leap(year)) ? 0 : 1;
        }
    }

    return days * NGX_COMMS_DAY + day->time;
}


/* days since the epoch, in the Gregorian calendar; years from 1 */

static int64_t
ngx_comms_time_zone_days(int64_t year, ngx_uint_t month, ngx_uint_t day)
{
    int64_t           days, before;

    static ngx_uint_t  months[] = {
        0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334
    };

    before = year - 1;

    days = before * 365 + before / 4 - before / 100 + before / 400 - 719162;

    days += months[month - 1] + day - 1;

    if (month > 2 && ngx_comms_time_zone_leap(year)) {
        days++;
    }

    return days;
}


static int64_t
ngx_comms_time_zone_year(int64_t at)
{
    int64_t  year, days;

    days = at / NGX_COMMS_DAY - (at % NGX_COMMS_DAY < 0);

    /* within one of the truth: no year has more than 366 days */

    year = 1970 + days * 400 / 146097;

    while (ngx_comms_time_zone_days(year, 1, 1) > days) {
        year--;
    }

    while (ngx_comms_time_zone_days(year + 1, 1, 1) <= days) {
        year++;
    }

    return year;
}


static ngx_uint_t
ngx_comms_time_zone_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}
