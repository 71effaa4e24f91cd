
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The inside of a time zone: what ngx_comms_time_zone.c reads from a file,
 * and ngx_comms_time_zone_rule.c from its last line.
 */


#ifndef _NGX_COMMS_TIME_ZONE_PRIVATE_H_INCLUDED_
#define _NGX_COMMS_TIME_ZONE_PRIVATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_time_zone.h>


/* a day of a year and a time of it: POSIX.1-2017, 8.3, "TZ" */
typedef struct {
    u_char       kind;       /* 'M': month, week, day; 'J': 1..365 without 29
                                February; 'D': 0..365 */
    ngx_uint_t   month;
    ngx_uint_t   week;       /* 5: the last */
    ngx_uint_t   day;
    int64_t      time;       /* seconds behind midnight; may be negative */
} ngx_comms_time_zone_day_t;


/* what holds behind the last transition of the file */
typedef struct {
    int64_t                     standard;   /* seconds east of UTC */
    int64_t                     summer;
    ngx_comms_time_zone_day_t   start;      /* of summer time */
    ngx_comms_time_zone_day_t   end;
    unsigned                    known:1;
    unsigned                    both:1;     /* there is a summer time */
} ngx_comms_time_zone_rule_t;


/* NGX_OK, or NGX_DECLINED: malformed; an empty text is no rule */
ngx_int_t ngx_comms_time_zone_rule_read(ngx_str_t *text,
    ngx_comms_time_zone_rule_t *rule);

int64_t ngx_comms_time_zone_rule_offset(ngx_comms_time_zone_rule_t *rule,
    int64_t at);


#endif /* _NGX_COMMS_TIME_ZONE_PRIVATE_H_INCLUDED_ */
