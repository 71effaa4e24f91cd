
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Rows of the turn that come before the thread is in hand: which thread does
 * the message belong to, and is it a word about consent?
 */


#ifndef _NGX_COMMS_TURN_H_INCLUDED_
#define _NGX_COMMS_TURN_H_INCLUDED_


#include <flow/ngx_comms_thread.h>


ngx_int_t ngx_comms_inbound_read(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_read_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_token(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_token_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_find(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_find_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_trust(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_trust_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_person(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_person_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_consent(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_consent_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_heed(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_heed_done(ngx_comms_flow_t *f);

/* 1 when it was verified with the credentials that the project uses */
ngx_uint_t ngx_comms_inbound_trusted(ngx_comms_thread_t *t, json_t *event);

/* a word about consent: 1 STOP, 0 START, NGX_DECLINED neither */
ngx_int_t ngx_comms_inbound_word(json_t *event);

/*
 * A message of a person as the record keeps it: a new reference, or NULL.
 * Its entry_id is the inbound id, so that recording it twice is once.
 */
json_t *ngx_comms_inbound_message(json_t *inbound);


#endif /* _NGX_COMMS_TURN_H_INCLUDED_ */
