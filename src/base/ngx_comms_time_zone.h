
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Time zones of the system's tz database, without the process's TZ.
 */


#ifndef _NGX_COMMS_TIME_ZONE_H_INCLUDED_
#define _NGX_COMMS_TIME_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_COMMS_TIME_ZONES  "/usr/share/zoneinfo"


typedef struct ngx_comms_time_zone_s  ngx_comms_time_zone_t;


/*
 * Reads the rules of all zones under the directory, in place of those read
 * before.  Blocks, so: while nginx reads its configuration.  A directory that
 * cannot be read leaves no zones, and is no mistake by itself.  NGX_OK, or
 * NGX_ERROR (memory).
 */
ngx_int_t ngx_comms_time_zones_load(const char *directory, ngx_log_t *log);

/* the zone of an IANA name ("Europe/London"), or NULL; good until a load */
ngx_comms_time_zone_t *ngx_comms_time_zone(ngx_str_t *name);

/* seconds east of UTC at a time, given in seconds since the epoch */
int64_t ngx_comms_time_zone_offset(ngx_comms_time_zone_t *zone, int64_t at);

/*
 * The time at which the zone's clocks show "local" (seconds since the epoch
 * as if it were UTC): the earlier of two, and behind a gap the time at which
 * it ends or later.
 */
int64_t ngx_comms_time_zone_utc(ngx_comms_time_zone_t *zone, int64_t local);

/*
 * Reads a TZif file (RFC 8536) that is whole in memory.  The zone is one piece
 * of memory, to be given to ngx_free(); NULL when it is malformed, or memory
 * is short.
 */
ngx_comms_time_zone_t *ngx_comms_time_zone_read(ngx_str_t *bytes,
    ngx_log_t *log);


#endif /* _NGX_COMMS_TIME_ZONE_H_INCLUDED_ */
