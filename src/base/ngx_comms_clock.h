
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Wall clock.  Everything that is stored or shown uses it; timers and leases
 * use ngx_current_msec, which no clock change moves.
 */


#ifndef _NGX_COMMS_CLOCK_H_INCLUDED_
#define _NGX_COMMS_CLOCK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_COMMS_ISO8601_LEN  (sizeof("2026-11-22T11:45:32.789Z") - 1)


/* milliseconds since the epoch, as of this turn of the event loop */
int64_t ngx_comms_clock_ms(void);

/* the same read from the system now: for threads, which have no cached time */
int64_t ngx_comms_clock_now(void);

/* writes NGX_COMMS_ISO8601_LEN bytes, UTC; returns the position behind */
u_char *ngx_comms_iso8601(u_char *p, int64_t ms);

/* the same as a string in the pool */
ngx_int_t ngx_comms_iso8601_str(ngx_pool_t *pool, int64_t ms,
    ngx_str_t *text);

/*
 * Reads an ISO 8601 date and time: calendar date, "T", hh:mm[:ss[.fraction]],
 * and "Z" or an offset.  NGX_OK with *ms, or NGX_ERROR.  Impossible dates
 * (30 February, 24:01) are refused.
 */
ngx_int_t ngx_comms_iso8601_parse(ngx_str_t *text, int64_t *ms);

/* seconds behind midnight of "hh:mm", 00:00 to 23:59; NGX_ERROR: it is none */
ngx_int_t ngx_comms_clock_time(ngx_str_t *text);


#endif /* _NGX_COMMS_CLOCK_H_INCLUDED_ */
