
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Inside of the "openai" protocol: requests are built in ngx_comms_openai.c,
 * answers read in ngx_comms_openai_read.c, failures judged in
 * ngx_comms_openai_errors.c.
 */


#ifndef _NGX_COMMS_OPENAI_H_INCLUDED_
#define _NGX_COMMS_OPENAI_H_INCLUDED_


#include <ai/ngx_comms_ai.h>


/* longest id of theirs that we keep; those in use have some 50 characters */
#define NGX_COMMS_OPENAI_MAX_ID  128


/* 1 when an id may stand in a path and in a log: letters, digits, "_", "-" */
ngx_uint_t ngx_comms_openai_id_valid(ngx_str_t *id);

ngx_int_t ngx_comms_openai_read_conversation(ngx_pool_t *pool,
    ngx_comms_answer_t *an, ngx_comms_ai_answer_t *answer);
ngx_int_t ngx_comms_openai_read_ask(ngx_pool_t *pool,
    ngx_comms_question_t *q, ngx_comms_answer_t *an,
    ngx_comms_ai_answer_t *answer);
ngx_int_t ngx_comms_openai_read_items(ngx_pool_t *pool,
    ngx_comms_question_t *q, ngx_comms_answer_t *an,
    ngx_comms_ai_answer_t *answer);

/*
 * Judges an exchange that brought no 2xx.  "document" is the parsed body or
 * NULL; "conversation" is 1 when the request named an AI conversation, whose
 * absence is then what a 404 says.  NGX_OK, or NGX_ERROR (memory).
 */
ngx_int_t ngx_comms_openai_failure(ngx_pool_t *pool, ngx_comms_answer_t *an,
    json_t *document, ngx_uint_t conversation,
    ngx_comms_ai_answer_t *answer);

/* judges the "error" of a run that failed inside a 200 */
ngx_int_t ngx_comms_openai_run_failure(ngx_pool_t *pool, json_t *error,
    ngx_comms_ai_answer_t *answer);


#endif /* _NGX_COMMS_OPENAI_H_INCLUDED_ */
