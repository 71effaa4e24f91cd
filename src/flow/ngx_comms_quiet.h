
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Quiet hours: when a person is not to be written to.
 *
 * "quiet" is the project's quiet_hours: {"from": "21:00", "to": "08:00",
 * "time_zone", "days"?: ["monday", ...], "replies"?}.
 */


#ifndef _NGX_COMMS_QUIET_H_INCLUDED_
#define _NGX_COMMS_QUIET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_time_zone.h>


/* a queue message is held no longer than this at a time, ms */
#define NGX_COMMS_QUIET_MAX  (6 * 3600 * 1000)


/*
 * Whose clock counts: "own" (what the start request says) when the tz
 * database has it, else that of the number's country where the country has
 * one zone, else the project's.  "zone" is borrowed or static.
 */
void ngx_comms_quiet_zone(ngx_str_t *own, ngx_str_t *person_address,
    json_t *quiet, ngx_str_t *zone);

/*
 * The end of the quiet hours that "now" lies in, ms since the epoch; 0 when it
 * lies in none, or the zone is NULL.
 */
int64_t ngx_comms_quiet_until(json_t *quiet, ngx_comms_time_zone_t *zone,
    int64_t now);


#endif /* _NGX_COMMS_QUIET_H_INCLUDED_ */
