
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the send gate asks of a thread's header, beside the fence: the same
 * questions in the same order for all backends.  Pure.
 */


#ifndef _NGX_COMMS_STORE_GATE_H_INCLUDED_
#define _NGX_COMMS_STORE_GATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>


/* "owner" of an intend's input is none or a known one: NGX_OK or NGX_ERROR */
ngx_int_t ngx_comms_store_gate_check(json_t *in);

/*
 * Why the header ("hand_off_to_human", "newest_inbound_id",
 * "channel_states") does not let this intend through: "owner", "newer" or
 * "channel"; NULL when nothing is against it.
 */
const char *ngx_comms_store_gate(json_t *in, json_t *header);

/* 1: a human owns the thread */
ngx_uint_t ngx_comms_store_gate_human(json_t *header);


#endif /* _NGX_COMMS_STORE_GATE_H_INCLUDED_ */
