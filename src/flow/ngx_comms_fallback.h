
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Channels one after the other: what the flows that know how a channel fared
 * have to do with those that wait for their turn.
 *
 * The record of such a thread has "fallback": {"channels": [names, in their
 * order], "after": seconds}; the context object too.
 */


#ifndef _NGX_COMMS_FALLBACK_H_INCLUDED_
#define _NGX_COMMS_FALLBACK_H_INCLUDED_


#include <flow/ngx_comms_thread.h>


/* the channels in their order, borrowed; NULL: all at once */
json_t *ngx_comms_fallback_channels(json_t *facts);

/* is the entry the thread's first message on the channel? */
ngx_uint_t ngx_comms_fallback_is_first(json_t *facts, ngx_str_t *channel,
    ngx_str_t *entry_id);

/*
 * Adds to an input of store.record that first messages which have not been
 * sent are not sent any more.  NGX_OK, or NGX_ERROR (memory).
 */
ngx_int_t ngx_comms_fallback_cancel_in(json_t *in, json_t *facts,
    const char *reason);

/* rows: each pair is a start and its done */

/* sets the time of the channel that comes next */
ngx_int_t ngx_comms_fallback_due(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_fallback_due_done(ngx_comms_flow_t *f);

/* a first message has arrived: the channels that wait are not needed */
ngx_int_t ngx_comms_fallback_stop(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_fallback_stop_done(ngx_comms_flow_t *f);

/* a first message has failed: its next channel's time is now */
ngx_int_t ngx_comms_fallback_hasten(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_fallback_hasten_done(ngx_comms_flow_t *f);


#endif /* _NGX_COMMS_FALLBACK_H_INCLUDED_ */
