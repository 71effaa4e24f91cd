
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The AI providers' protocols.  Pure: builds requests, reads answers.
 *
 * To add a protocol: write ai/ngx_comms_<name>.c with one ngx_comms_ai_t and
 * put it into the list of ngx_comms_ai.c.
 */


#ifndef _NGX_COMMS_AI_H_INCLUDED_
#define _NGX_COMMS_AI_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_exchange.h>


typedef struct {
    ngx_str_t    model;
    ngx_str_t    key;                   /* secret: the bearer token */
    ngx_str_t    ai_conversation_id;    /* empty: the input is all there is */
    ngx_str_t    instructions;
    ngx_str_t    turn_id;               /* metadata, for reconciliation */
    ngx_str_t    thread_id;
    ngx_str_t    person;                /* safety identifier: a hash */
    json_t      *input;                 /* array of {"role", "content"} */
    json_t      *schema;                /* JSON schema of the answer, or NULL
                                           for plain text */
    const char  *schema_name;           /* static */
    ngx_uint_t   max_output_tokens;     /* 0: not sent */
} ngx_comms_question_t;


typedef enum {
    NGX_COMMS_AI_ANSWERED = 0,
    NGX_COMMS_AI_RETRY,          /* rate limited, overloaded, 5xx, locked */
    NGX_COMMS_AI_UNKNOWN,        /* may have run: timeout, cut answer */
    NGX_COMMS_AI_REFUSED,        /* the model declined to answer */
    NGX_COMMS_AI_UNUSABLE,       /* empty, not what was asked for, cut off by
                                    max_output_tokens */
    NGX_COMMS_AI_LOST,           /* the AI conversation does not exist */
    NGX_COMMS_AI_QUOTA,          /* insufficient_quota: do not hammer */
    NGX_COMMS_AI_CONFIG,         /* bad key, no access, unknown model */
    NGX_COMMS_AI_BAD_REQUEST     /* ours; permanent */
} ngx_comms_ai_e;


/* what an answer says of the provider's health, for breakers and rates */
typedef enum {
    NGX_COMMS_AI_WELL = 0,       /* it works, whatever it thinks of us */
    NGX_COMMS_AI_SICK,           /* down, overloaded, failing; or a key that
                                    opens nothing: to be left alone */
    NGX_COMMS_AI_BUSY,           /* we ask too fast */
    NGX_COMMS_AI_NEUTRAL,        /* says nothing: a lock, a conflict */
    NGX_COMMS_AI_EMPTY           /* the account is */
} ngx_comms_ai_health_e;


typedef struct {
    ngx_comms_ai_e   verdict;
    ngx_comms_ai_health_e
                     health;
    ngx_str_t        text;             /* final answer, commentary left out */
    json_t          *structured;       /* when a schema was given: the parsed
                                          object; the caller owns it */
    ngx_str_t        response_id;
    ngx_str_t        request_id;       /* x-request-id, for their support */
    int64_t          prompt_tokens;    /* -1: not said */
    int64_t          completion_tokens;
    int64_t          total_tokens;
    ngx_str_t        code;             /* the provider's own error code */
    const char      *label;            /* metric label, static */
    const char      *words;            /* for the operator, static */
    ngx_msec_t       retry_after;      /* 0: not said */
} ngx_comms_ai_answer_t;


typedef struct {
    ngx_str_t   name;                  /* as in "comms_provider openai" */

    /* creates the AI conversation; metadata carries the thread id */
    ngx_int_t (*conversation)(ngx_pool_t *pool, ngx_comms_question_t *q,
        ngx_comms_request_t *rq);

    /* verdict, and the id in "text" */
    ngx_int_t (*read_conversation)(ngx_pool_t *pool, ngx_comms_answer_t *an,
        ngx_comms_ai_answer_t *answer);

    ngx_int_t (*ask)(ngx_pool_t *pool, ngx_comms_question_t *q,
        ngx_comms_request_t *rq);

    ngx_int_t (*read_ask)(ngx_pool_t *pool, ngx_comms_question_t *q,
        ngx_comms_answer_t *an, ngx_comms_ai_answer_t *answer);

    /* newest items of the AI conversation: did the turn run already? */
    ngx_int_t (*items)(ngx_pool_t *pool, ngx_comms_question_t *q,
        ngx_comms_request_t *rq);

    /*
     * Reads the items: ANSWERED with the answer that followed our input of
     * this turn; RETRY when our input is not among them, which means that the
     * turn did not run.
     */
    ngx_int_t (*read_items)(ngx_pool_t *pool, ngx_comms_question_t *q,
        ngx_comms_answer_t *an, ngx_comms_ai_answer_t *answer);

    /* as in ngx_comms_provider_t */
    ngx_int_t (*check)(json_t *credentials, const char **field,
        const char **words);
} ngx_comms_ai_t;


/* the protocol of that name, or NULL */
ngx_comms_ai_t *ngx_comms_ai_by_name(ngx_str_t *name);


extern ngx_comms_ai_t  ngx_comms_openai;


#endif /* _NGX_COMMS_AI_H_INCLUDED_ */
