
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
ngx_int_t ngx_comms_inbound_link(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_link_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_person(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_person_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_consent(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_consent_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_heed(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_inbound_heed_done(ngx_comms_flow_t *f);

/* 1 when it was verified with the credentials that the project uses */
ngx_uint_t ngx_comms_inbound_trusted(ngx_comms_thread_t *t, json_t *event);

typedef enum {
    NGX_COMMS_WORD_NONE = 0,
    NGX_COMMS_WORD_STOP,
    NGX_COMMS_WORD_START,
    NGX_COMMS_WORD_HELP
} ngx_comms_word_e;

/* is the whole message a word that is not for the AI? */
ngx_comms_word_e ngx_comms_inbound_word(ngx_comms_thread_t *t,
    json_t *event);

/* 1 when t->event asks for help that the provider has not given itself */
ngx_uint_t ngx_comms_inbound_helps(ngx_comms_thread_t *t);

/*
 * What is answered then, a message of the record not sent yet: a new
 * reference, or NULL when out of memory.
 */
json_t *ngx_comms_inbound_help(ngx_comms_flow_t *f);

/*
 * May the turn begin, or may more messages come that belong to it?  NGX_OK,
 * or NGX_ERROR with the verdict set.
 */
ngx_int_t ngx_comms_burst_wait(ngx_comms_flow_t *f);

/*
 * Counts a turn that the AI has answered, once; one too many within an hour
 * is given up, to a human.
 */
void ngx_comms_burst_count(ngx_comms_flow_t *f);

/*
 * A message of a person as the record keeps it: a new reference, or NULL.
 * Its entry_id is the inbound id, so that recording it twice is once.
 */
json_t *ngx_comms_inbound_message(json_t *inbound);


#endif /* _NGX_COMMS_TURN_H_INCLUDED_ */
