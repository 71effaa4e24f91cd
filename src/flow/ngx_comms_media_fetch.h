
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Rows of a turn: what its messages bring besides words.
 */


#ifndef _NGX_COMMS_MEDIA_FETCH_H_INCLUDED_
#define _NGX_COMMS_MEDIA_FETCH_H_INCLUDED_


#include <job/ngx_comms_steps.h>


typedef struct ngx_comms_media_fetch_s  ngx_comms_media_fetch_t;


/*
 * For each medium of the turn's messages (t->inbound) that has no note yet:
 * fetched, put into the media store, and noted in the message's "kept", in
 * the order of its "media":
 *
 *   {"state": "kept", "media_id", "content_type", "size", "sha256",
 *    "filename"?}
 *   {"state": "refused", "reason", "content_type"?, "filename"?}
 *
 * "reason" is "type", "size", "full", "address", "not_found", "unavailable",
 * "unreachable", "timeout", "not_written", "credentials", "no_address",
 * "too_many", or "not_kept" (there is no "comms_media").  A failure is tried
 * three times.
 */
ngx_int_t ngx_comms_media_fetch(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_media_fetch_done(ngx_comms_flow_t *f);


#endif /* _NGX_COMMS_MEDIA_FETCH_H_INCLUDED_ */
