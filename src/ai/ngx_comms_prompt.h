
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * All the words that the AI is told, in one place.
 *
 * What people wrote, and what the start request brought, is always data: it
 * stands in the input or in a marked block, never among the instructions.
 *
 * "project" is a project's whole configuration, "record" a conversation
 * record's header, as JSON.
 */


#ifndef _NGX_COMMS_PROMPT_H_INCLUDED_
#define _NGX_COMMS_PROMPT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>


/* instructions for the first messages, one for each requested channel */
ngx_int_t ngx_comms_prompt_first(ngx_pool_t *pool, json_t *project,
    json_t *record, ngx_str_t *instructions);

/*
 * 1 when a project's template of the instructions can be used: every slot in
 * it is known, and those that say how long a message may be ("channels") and
 * what is data ("manners") are there.
 */
ngx_uint_t ngx_comms_prompt_template_valid(ngx_str_t *template);

/* input of that question: the facts, as a new array of {"role", "content"} */
json_t *ngx_comms_prompt_first_input(ngx_pool_t *pool, json_t *project,
    json_t *record);

/*
 * Schema of the structured answer: an object with a member for each channel
 * in "channels" (array of names): {"message"}, for email {"subject",
 * "message"}.  Strict: additionalProperties false, all required.  New
 * reference, or NULL.
 */
json_t *ngx_comms_prompt_first_schema(json_t *channels);

/* instructions for an answer on the channel named */
ngx_int_t ngx_comms_prompt_reply(ngx_pool_t *pool, json_t *project,
    json_t *record, ngx_str_t *channel, ngx_str_t *instructions);

/*
 * Input of a turn: each waiting message (array of events) as a user item that
 * names its channel; when "history" is given (array of messages of the
 * record, oldest first) those come first.  New reference, or NULL.
 */
json_t *ngx_comms_prompt_reply_input(ngx_pool_t *pool, json_t *inbound,
    json_t *history);

/*
 * How long a message on this channel of this project may be, in characters:
 * rate_limits.max_message_length and the channel's own limit.
 */
size_t ngx_comms_prompt_limit(json_t *project, ngx_str_t *channel);


#endif /* _NGX_COMMS_PROMPT_H_INCLUDED_ */
