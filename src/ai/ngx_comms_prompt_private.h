
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Between the templates of the instructions and the words that fill them.
 */


#ifndef _NGX_COMMS_PROMPT_PRIVATE_H_INCLUDED_
#define _NGX_COMMS_PROMPT_PRIVATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>


/* what the slots of a template are filled from */
typedef struct {
    json_t       *project;
    json_t       *record;
    ngx_str_t    *channel;          /* of the answer; NULL: first messages */
} ngx_comms_prompt_t;


/* appends to an array of bytes; NGX_ERROR when out of memory, as all below */
ngx_int_t ngx_comms_prompt_add(ngx_array_t *words, u_char *text, size_t len);

/* one function for each slot */
ngx_int_t ngx_comms_prompt_fill_who(ngx_array_t *words,
    ngx_comms_prompt_t *prompt);
ngx_int_t ngx_comms_prompt_fill_instructions(ngx_array_t *words,
    ngx_comms_prompt_t *prompt);
ngx_int_t ngx_comms_prompt_fill_task(ngx_array_t *words,
    ngx_comms_prompt_t *prompt);
ngx_int_t ngx_comms_prompt_fill_channels(ngx_array_t *words,
    ngx_comms_prompt_t *prompt);
ngx_int_t ngx_comms_prompt_fill_arrived(ngx_array_t *words,
    ngx_comms_prompt_t *prompt);
ngx_int_t ngx_comms_prompt_fill_manners(ngx_array_t *words,
    ngx_comms_prompt_t *prompt);


#endif /* _NGX_COMMS_PROMPT_PRIVATE_H_INCLUDED_ */
