
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Dates are turned by arithmetic and not by gmtime(): it has to work in
 * threads, for years before 1970, and be exact in both directions.  The
 * calendar is the proleptic Gregorian one, years 0001 to 9999, in which a
 * year that begins on 1 March has its leap day last.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "base/ngx_comms_clock.h"


#define NGX_COMMS_DAY_SEC        86400
#define NGX_COMMS_ERA_DAYS       146097   /* days of 400 years */
#define NGX_COMMS_EPOCH_DAYS     719468   /* 0000-03-01 to 1970-01-01 */

#define NGX_COMMS_ISO8601_MAX    64       /* longest text that is read */

/* 0001-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z */
#define NGX_COMMS_CLOCK_MIN_MS   (-62135596800000LL)
#define NGX_COMMS_CLOCK_MAX_MS   253402300799999LL


typedef struct {
    ngx_int_t   year;
    ngx_int_t   month;
    ngx_int_t   day;
    ngx_int_t   hour;
    ngx_int_t   minute;
    ngx_int_t   second;
    ngx_int_t   msec;
    ngx_int_t   offset;         /* minutes east of UTC */
} ngx_comms_date_t;


static ngx_int_t ngx_comms_date_read(ngx_str_t *text, ngx_comms_date_t *date);
static ngx_int_t ngx_comms_date_fraction(u_char **pos, u_char *last,
    ngx_int_t *msec);
static ngx_int_t ngx_comms_date_zone(u_char *p, u_char *last,
    ngx_int_t *offset);
static ngx_int_t ngx_comms_date_check(ngx_comms_date_t *date);
static ngx_int_t ngx_comms_date_digits(u_char **pos, u_char *last, size_t n,
    ngx_int_t *value);
static ngx_int_t ngx_comms_date_char(u_char **pos, u_char *last, u_char ch);
static int64_t ngx_comms_date_days(ngx_comms_date_t *date);


int64_t
ngx_comms_clock_ms(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + tp->msec;
}


int64_t
ngx_comms_clock_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


u_char *
ngx_comms_iso8601(u_char *p, int64_t ms)
{
    int64_t    days, era, left, yoe, doy;
    ngx_int_t  year, month, day, msec, sec;

    /* outside of these years the text would not have its fixed length */

    ms = ngx_max(ms, NGX_COMMS_CLOCK_MIN_MS);
    ms = ngx_min(ms, NGX_COMMS_CLOCK_MAX_MS);

    left = ms - NGX_COMMS_CLOCK_MIN_MS;
    msec = (ngx_int_t) (left % 1000);
    sec = (ngx_int_t) (left / 1000 % NGX_COMMS_DAY_SEC);

    /* counted from 0000-03-01, which is 306 days before 0001-01-01 */

    days = left / 1000 / NGX_COMMS_DAY_SEC + 306;
    era = days / NGX_COMMS_ERA_DAYS;
    left = days % NGX_COMMS_ERA_DAYS;
    yoe = (left - left / 1460 + left / 36524 - left / 146096) / 365;
    doy = left - (365 * yoe + yoe / 4 - yoe / 100);

    month = (ngx_int_t) ((5 * doy + 2) / 153);
    day = (ngx_int_t) (doy - (153 * month + 2) / 5 + 1);
    month = (month < 10) ? month + 3 : month - 9;
    year = (ngx_int_t) (era * 400 + yoe) + (month <= 2);

    return ngx_sprintf(p, "%04i-%02i-%02iT%02i:%02i:%02i.%03iZ", year, month,
                       day, sec / 3600, sec / 60 % 60, sec % 60, msec);
}


ngx_int_t
ngx_comms_iso8601_str(ngx_pool_t *pool, int64_t ms, ngx_str_t *text)
{
    text->data = ngx_pnalloc(pool, NGX_COMMS_ISO8601_LEN);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    text->len = ngx_comms_iso8601(text->data, ms) - text->data;

    return NGX_OK;
}


ngx_int_t
ngx_comms_iso8601_parse(ngx_str_t *text, int64_t *ms)
{
    int64_t           sec;
    ngx_comms_date_t  date;

    if (ngx_comms_date_read(text, &date) != NGX_OK
        || ngx_comms_date_check(&date) != NGX_OK)
    {
        return NGX_ERROR;
    }

    sec = ngx_comms_date_days(&date) * NGX_COMMS_DAY_SEC + date.hour * 3600
          + (date.minute - date.offset) * 60 + date.second;

    /* a leap second is the last one of a day in UTC, and of no other minute */

    if (date.second == 60 && sec % NGX_COMMS_DAY_SEC != 0) {
        return NGX_ERROR;
    }

    *ms = sec * 1000 + date.msec;

    if (*ms < NGX_COMMS_CLOCK_MIN_MS || *ms > NGX_COMMS_CLOCK_MAX_MS) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_date_read(ngx_str_t *text, ngx_comms_date_t *date)
{
    u_char  *p, *last;

    ngx_memzero(date, sizeof(ngx_comms_date_t));

    if (text->len > NGX_COMMS_ISO8601_MAX) {
        return NGX_ERROR;
    }

    p = text->data;
    last = p + text->len;

    if (ngx_comms_date_digits(&p, last, 4, &date->year) != NGX_OK
        || ngx_comms_date_char(&p, last, '-') != NGX_OK
        || ngx_comms_date_digits(&p, last, 2, &date->month) != NGX_OK
        || ngx_comms_date_char(&p, last, '-') != NGX_OK
        || ngx_comms_date_digits(&p, last, 2, &date->day) != NGX_OK
        || ngx_comms_date_char(&p, last, 'T') != NGX_OK
        || ngx_comms_date_digits(&p, last, 2, &date->hour) != NGX_OK
        || ngx_comms_date_char(&p, last, ':') != NGX_OK
        || ngx_comms_date_digits(&p, last, 2, &date->minute) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_date_char(&p, last, ':') == NGX_OK) {

        if (ngx_comms_date_digits(&p, last, 2, &date->second) != NGX_OK
            || ngx_comms_date_fraction(&p, last, &date->msec) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_comms_date_zone(p, last, &date->offset);
}


/* ISO 8601 has the comma too; digits below the millisecond are cut off */

static ngx_int_t
ngx_comms_date_fraction(u_char **pos, u_char *last, ngx_int_t *msec)
{
    u_char     *p;
    ngx_int_t   scale;

    p = *pos;

    if (p == last || (*p != '.' && *p != ',')) {
        return NGX_OK;
    }

    scale = 100;

    for (p++; p < last && *p >= '0' && *p <= '9'; p++) {
        *msec += (*p - '0') * scale;
        scale /= 10;
    }

    if (p == *pos + 1) {
        return NGX_ERROR;
    }

    *pos = p;

    return NGX_OK;
}


/* "Z", "+hh", "+hhmm" or "+hh:mm", and nothing behind it */

static ngx_int_t
ngx_comms_date_zone(u_char *p, u_char *last, ngx_int_t *offset)
{
    ngx_int_t  hour, minute, sign;

    if (ngx_comms_date_char(&p, last, 'Z') == NGX_OK) {
        return (p == last) ? NGX_OK : NGX_ERROR;
    }

    sign = 1;
    minute = 0;

    if (ngx_comms_date_char(&p, last, '+') != NGX_OK) {

        if (ngx_comms_date_char(&p, last, '-') != NGX_OK) {
            return NGX_ERROR;
        }

        sign = -1;
    }

    if (ngx_comms_date_digits(&p, last, 2, &hour) != NGX_OK) {
        return NGX_ERROR;
    }

    if (p != last) {
        (void) ngx_comms_date_char(&p, last, ':');

        if (ngx_comms_date_digits(&p, last, 2, &minute) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (p != last || hour > 23 || minute > 59) {
        return NGX_ERROR;
    }

    *offset = sign * (hour * 60 + minute);

    return NGX_OK;
}


static ngx_int_t
ngx_comms_date_check(ngx_comms_date_t *date)
{
    ngx_int_t         leap, days;
    static ngx_int_t  length[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    if (date->year < 1 || date->month < 1 || date->month > 12) {
        return NGX_ERROR;
    }

    leap = (date->year % 4 == 0 && date->year % 100 != 0)
           || date->year % 400 == 0;

    days = length[date->month - 1] + (date->month == 2 && leap);

    if (date->day < 1 || date->day > days || date->minute > 59
        || date->second > 60)
    {
        return NGX_ERROR;
    }

    /* 24:00 is the end of a day in ISO 8601, and the only time in hour 24 */

    if (date->hour == 24) {
        return (date->minute == 0 && date->second == 0 && date->msec == 0)
               ? NGX_OK : NGX_ERROR;
    }

    return (date->hour < 24) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_date_digits(u_char **pos, u_char *last, size_t n, ngx_int_t *value)
{
    if ((size_t) (last - *pos) < n) {
        return NGX_ERROR;
    }

    *value = ngx_atoi(*pos, n);
    if (*value == NGX_ERROR) {
        return NGX_ERROR;
    }

    *pos += n;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_date_char(u_char **pos, u_char *last, u_char ch)
{
    if (*pos == last || **pos != ch) {
        return NGX_DECLINED;
    }

    (*pos)++;

    return NGX_OK;
}


/* days since 1970-01-01 */

static int64_t
ngx_comms_date_days(ngx_comms_date_t *date)
{
    int64_t  year, month, era, yoe, doy;

    year = date->year - (date->month <= 2);
    month = (date->month > 2) ? date->month - 3 : date->month + 9;

    era = year / 400;
    yoe = year % 400;
    doy = (153 * month + 2) / 5 + date->day - 1;

    return era * NGX_COMMS_ERA_DAYS + yoe * 365 + yoe / 4 - yoe / 100 + doy
           - NGX_COMMS_EPOCH_DAYS;
}


ngx_int_t
ngx_comms_clock_time(ngx_str_t *text)
{
    ngx_int_t  hours, minutes;

    if (text->len != 5 || text->data[2] != ':') {
        return NGX_ERROR;
    }

    hours = ngx_atoi(text->data, 2);
    minutes = ngx_atoi(text->data + 3, 2);

    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) {
        return NGX_ERROR;
    }

    return hours * 3600 + minutes * 60;
}
