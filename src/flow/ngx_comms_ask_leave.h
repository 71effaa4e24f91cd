
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the rows that ask the AI share: leave to ask, further attempts, the
 * second choice.
 */


#ifndef _NGX_COMMS_ASK_LEAVE_H_INCLUDED_
#define _NGX_COMMS_ASK_LEAVE_H_INCLUDED_


#include <flow/ngx_comms_thread.h>


/* "ai_config", or its "fallback" once that is asked; borrowed */
json_t *ngx_comms_ask_config(ngx_comms_thread_t *t);

/* takes provider, model and state from it; NGX_OK or NGX_ERROR (memory) */
ngx_int_t ngx_comms_ask_choose(ngx_comms_flow_t *f);

/* turns to the second choice; returns what a row returns */
ngx_int_t ngx_comms_ask_switch(ngx_comms_flow_t *f);

/*
 * Tells breaker and rate how an admitted call ended, once; "an" is NULL when
 * there was no answer.
 */
void ngx_comms_ask_report(ngx_comms_flow_t *f, ngx_comms_ai_health_e health,
    ngx_comms_answer_t *an);

/*
 * After an attempt that failed: NGX_AGAIN when the row waits for the next
 * one, NGX_DECLINED when the second choice is turned to, NGX_OK when there
 * is no further attempt in this turn, NGX_ERROR.
 */
ngx_int_t ngx_comms_ask_again(ngx_comms_flow_t *f);

/*
 * After the last attempt: 1 when the AI is left alone from now on and the
 * project has something to say to who waits, or a human who does.
 */
ngx_uint_t ngx_comms_ask_outage(ngx_comms_flow_t *f);

/* writes down what an attempt was and cost */
void ngx_comms_ask_note(ngx_comms_flow_t *f);


#endif /* _NGX_COMMS_ASK_LEAVE_H_INCLUDED_ */
