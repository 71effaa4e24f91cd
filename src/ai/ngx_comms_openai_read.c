
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * OpenAI's Responses and Conversations: the answers.
 *
 * The text of an answer is what its message items say, in order.  Newer
 * models send remarks about their work as messages of phase "commentary";
 * those are not for people and are left out, and where a message of phase
 * "final_answer" is present it alone counts.
 *
 * Everything kept is copied into the pool: the parsed body does not outlive
 * the function that reads it.
 */


#include <ai/ngx_comms_ai.h>
#include <ai/ngx_comms_openai.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>


static void ngx_comms_openai_begin(ngx_comms_answer_t *an,
    ngx_comms_ai_answer_t *answer);
static json_t *ngx_comms_openai_document(ngx_comms_answer_t *an);
static ngx_uint_t ngx_comms_openai_success(ngx_comms_answer_t *an);
static void ngx_comms_openai_verdict(ngx_comms_ai_answer_t *answer,
    ngx_comms_ai_e verdict, const char *label, const char *words);
static ngx_int_t ngx_comms_openai_response(ngx_pool_t *pool,
    ngx_comms_question_t *q, json_t *response,
    ngx_comms_ai_answer_t *answer);
static void ngx_comms_openai_usage(json_t *usage,
    ngx_comms_ai_answer_t *answer);
static int64_t ngx_comms_openai_count(json_t *usage, const char *key);
static ngx_int_t ngx_comms_openai_id(ngx_pool_t *pool, json_t *object,
    ngx_str_t *id);
static ngx_int_t ngx_comms_openai_answered(ngx_pool_t *pool,
    ngx_comms_question_t *q, json_t *output, ngx_comms_ai_answer_t *answer);
static ngx_int_t ngx_comms_openai_text(ngx_pool_t *pool, json_t *output,
    ngx_str_t *text, ngx_uint_t *refused);
static ngx_uint_t ngx_comms_openai_has_final(json_t *output);
static ngx_uint_t ngx_comms_openai_counts(json_t *item, ngx_uint_t final);
static ngx_int_t ngx_comms_openai_append(ngx_array_t *bytes, json_t *item,
    const char *type, ngx_uint_t *refused);
static ngx_int_t ngx_comms_openai_structured(ngx_comms_question_t *q,
    ngx_comms_ai_answer_t *answer);
static ngx_uint_t ngx_comms_openai_conforms(json_t *schema, json_t *value);
static json_t *ngx_comms_openai_find_turn(ngx_pool_t *pool,
    ngx_comms_question_t *q, json_t *items, ngx_int_t *rc);
static ngx_int_t ngx_comms_openai_same_input(ngx_pool_t *pool, json_t *item,
    ngx_str_t *input);
static ngx_uint_t ngx_comms_openai_is(json_t *object, const char *key,
    const char *word);


ngx_int_t
ngx_comms_openai_read_conversation(ngx_pool_t *pool, ngx_comms_answer_t *an,
    ngx_comms_ai_answer_t *answer)
{
    json_t     *document;
    ngx_int_t   rc;

    ngx_comms_openai_begin(an, answer);

    document = ngx_comms_openai_document(an);

    if (!ngx_comms_openai_success(an)) {
        rc = ngx_comms_openai_failure(pool, an, document, 0, answer);
        json_decref(document);
        return rc;
    }

    rc = ngx_comms_openai_id(pool, document, &answer->text);

    json_decref(document);

    if (rc == NGX_OK && answer->text.len == 0) {
        ngx_comms_openai_verdict(answer, NGX_COMMS_AI_UNUSABLE, "no_id",
                                 "the answer names no AI conversation");
    }

    return rc;
}


ngx_int_t
ngx_comms_openai_read_ask(ngx_pool_t *pool, ngx_comms_question_t *q,
    ngx_comms_answer_t *an, ngx_comms_ai_answer_t *answer)
{
    json_t     *document;
    ngx_int_t   rc;

    ngx_comms_openai_begin(an, answer);

    document = ngx_comms_openai_document(an);

    if (!ngx_comms_openai_success(an)) {
        rc = ngx_comms_openai_failure(pool, an, document,
                                      q->ai_conversation_id.len != 0,
                                      answer);

    } else if (!json_is_object(document)) {

        /* the run may be done, and only its account got lost */

        ngx_comms_openai_verdict(answer, NGX_COMMS_AI_UNKNOWN, "not_json",
                                 "the answer is not a JSON object");
        rc = NGX_OK;

    } else {
        rc = ngx_comms_openai_response(pool, q, document, answer);
    }

    json_decref(document);

    return rc;
}


ngx_int_t
ngx_comms_openai_read_items(ngx_pool_t *pool, ngx_comms_question_t *q,
    ngx_comms_answer_t *an, ngx_comms_ai_answer_t *answer)
{
    json_t     *document, *items, *output;
    ngx_int_t   rc;

    ngx_comms_openai_begin(an, answer);

    document = ngx_comms_openai_document(an);

    if (!ngx_comms_openai_success(an)) {
        rc = ngx_comms_openai_failure(pool, an, document, 1, answer);
        json_decref(document);
        return rc;
    }

    items = json_object_get(document, "data");

    if (!json_is_array(items)) {

        /* nothing is known of the turn still: looking again is safe */

        json_decref(document);
        ngx_comms_openai_verdict(answer, NGX_COMMS_AI_UNKNOWN, "not_json",
                                 "the answer is not a list of items");
        return NGX_OK;
    }

    rc = NGX_OK;
    output = ngx_comms_openai_find_turn(pool, q, items, &rc);

    if (output != NULL) {
        rc = ngx_comms_openai_answered(pool, q, output, answer);

    } else {
        ngx_comms_openai_verdict(answer, NGX_COMMS_AI_RETRY, "did_not_run",
                                 "the turn did not run");
    }

    json_decref(output);
    json_decref(document);

    return rc;
}


static void
ngx_comms_openai_begin(ngx_comms_answer_t *an, ngx_comms_ai_answer_t *answer)
{
    ngx_str_t  *value;

    ngx_memzero(answer, sizeof(ngx_comms_ai_answer_t));

    answer->verdict = NGX_COMMS_AI_ANSWERED;
    answer->label = "answered";
    answer->words = "answered";
    answer->prompt_tokens = -1;
    answer->completion_tokens = -1;
    answer->total_tokens = -1;

    if (an->outcome != NGX_COMMS_EXCHANGE_COMPLETE) {
        return;
    }

    value = ngx_comms_answer_header(an, "x-request-id");

    if (value != NULL && ngx_comms_openai_id_valid(value)) {
        answer->request_id = *value;
    }
}


static json_t *
ngx_comms_openai_document(ngx_comms_answer_t *an)
{
    ngx_comms_json_error_t  err;

    if (an->outcome != NGX_COMMS_EXCHANGE_COMPLETE) {
        return NULL;
    }

    return ngx_comms_json_parse(&an->body, &err);
}


static ngx_uint_t
ngx_comms_openai_success(ngx_comms_answer_t *an)
{
    return an->outcome == NGX_COMMS_EXCHANGE_COMPLETE
           && an->status >= 200 && an->status < 300;
}


static void
ngx_comms_openai_verdict(ngx_comms_ai_answer_t *answer,
    ngx_comms_ai_e verdict, const char *label, const char *words)
{
    answer->verdict = verdict;
    answer->health = (verdict == NGX_COMMS_AI_UNKNOWN) ? NGX_COMMS_AI_SICK
                                                       : NGX_COMMS_AI_WELL;
    answer->label = label;
    answer->words = words;
}


static ngx_int_t
ngx_comms_openai_response(ngx_pool_t *pool, ngx_comms_question_t *q,
    json_t *response, ngx_comms_ai_answer_t *answer)
{
    json_t  *details;

    if (ngx_comms_openai_id(pool, response, &answer->response_id)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_comms_openai_usage(json_object_get(response, "usage"), answer);

    if (ngx_comms_openai_is(response, "status", "failed")) {
        return ngx_comms_openai_run_failure(pool,
                                     json_object_get(response, "error"),
                                     answer);
    }

    if (ngx_comms_openai_is(response, "status", "cancelled")) {
        ngx_comms_openai_verdict(answer, NGX_COMMS_AI_RETRY, "cancelled",
                                 "the run was cancelled");
        return NGX_OK;
    }

    if (ngx_comms_openai_is(response, "status", "queued")
        || ngx_comms_openai_is(response, "status", "in_progress"))
    {
        ngx_comms_openai_verdict(answer, NGX_COMMS_AI_UNKNOWN, "running",
                                 "the run has not ended");
        return NGX_OK;
    }

    if (ngx_comms_openai_is(response, "status", "incomplete")) {
        details = json_object_get(response, "incomplete_details");

        if (ngx_comms_openai_is(details, "reason", "content_filter")) {
            ngx_comms_openai_verdict(answer, NGX_COMMS_AI_REFUSED,
                          "content_filter",
                          "the provider's content filter cut the answer");

        } else if (ngx_comms_openai_is(details, "reason",
                                       "max_output_tokens"))
        {
            ngx_comms_openai_verdict(answer, NGX_COMMS_AI_UNUSABLE,
                          "max_output_tokens",
                          "the answer was cut, see \"max_output_tokens\"");

        } else {
            ngx_comms_openai_verdict(answer, NGX_COMMS_AI_UNUSABLE,
                                     "incomplete", "the answer was cut");
        }

        return NGX_OK;
    }

    return ngx_comms_openai_answered(pool, q,
                                     json_object_get(response, "output"),
                                     answer);
}


static void
ngx_comms_openai_usage(json_t *usage, ngx_comms_ai_answer_t *answer)
{
    answer->prompt_tokens = ngx_comms_openai_count(usage, "input_tokens");
    answer->completion_tokens = ngx_comms_openai_count(usage,
                                                       "output_tokens");
    answer->total_tokens = ngx_comms_openai_count(usage, "total_tokens");
}


static int64_t
ngx_comms_openai_count(json_t *usage, const char *key)
{
    int64_t  n;

    if (ngx_comms_json_int(usage, key, &n) != NGX_OK || n < 0) {
        return -1;
    }

    return n;
}


/* empty when it is absent, or is nothing that could be asked for again */

static ngx_int_t
ngx_comms_openai_id(ngx_pool_t *pool, json_t *object, ngx_str_t *id)
{
    ngx_str_t  value;

    value = ngx_comms_json_view(json_object_get(object, "id"));

    if (!ngx_comms_openai_id_valid(&value)) {
        ngx_str_null(id);
        return NGX_OK;
    }

    id->data = ngx_pstrdup(pool, &value);
    if (id->data == NULL) {
        return NGX_ERROR;
    }

    id->len = value.len;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_openai_answered(ngx_pool_t *pool, ngx_comms_question_t *q,
    json_t *output, ngx_comms_ai_answer_t *answer)
{
    ngx_uint_t  refused;

    refused = 0;

    if (ngx_comms_openai_text(pool, output, &answer->text, &refused)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (refused) {
        ngx_str_null(&answer->text);
        ngx_comms_openai_verdict(answer, NGX_COMMS_AI_REFUSED, "refusal",
                                 "the model declined to answer");
        return NGX_OK;
    }

    answer->text = ngx_comms_trim(answer->text);

    if (answer->text.len == 0) {
        ngx_comms_openai_verdict(answer, NGX_COMMS_AI_UNUSABLE, "empty",
                                 "the answer has no text");
        return NGX_OK;
    }

    if (q->schema != NULL) {
        return ngx_comms_openai_structured(q, answer);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_openai_text(ngx_pool_t *pool, json_t *output, ngx_str_t *text,
    ngx_uint_t *refused)
{
    size_t        i;
    json_t       *item;
    ngx_uint_t    final;
    ngx_array_t   bytes;

    if (ngx_array_init(&bytes, pool, 1024, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    final = ngx_comms_openai_has_final(output);

    json_array_foreach(output, i, item) {

        if (!ngx_comms_openai_counts(item, final)) {
            continue;
        }

        if (ngx_comms_openai_append(&bytes, item, "output_text", refused)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    text->data = bytes.elts;
    text->len = bytes.nelts;

    return NGX_OK;
}


static ngx_uint_t
ngx_comms_openai_has_final(json_t *output)
{
    size_t   i;
    json_t  *item;

    json_array_foreach(output, i, item) {

        if (ngx_comms_openai_is(item, "type", "message")
            && ngx_comms_openai_is(item, "phase", "final_answer"))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_comms_openai_counts(json_t *item, ngx_uint_t final)
{
    if (!ngx_comms_openai_is(item, "type", "message")) {
        return 0;
    }

    if (final) {
        return ngx_comms_openai_is(item, "phase", "final_answer");
    }

    return !ngx_comms_openai_is(item, "phase", "commentary");
}


/* content is a string, or a list of parts */

static ngx_int_t
ngx_comms_openai_append(ngx_array_t *bytes, json_t *item, const char *type,
    ngx_uint_t *refused)
{
    size_t      i;
    u_char     *p;
    json_t     *content, *part;
    ngx_str_t   text;

    content = json_object_get(item, "content");

    if (json_is_string(content)) {
        text = ngx_comms_json_view(content);

        p = ngx_array_push_n(bytes, text.len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, text.data, text.len);

        return NGX_OK;
    }

    json_array_foreach(content, i, part) {

        if (ngx_comms_openai_is(part, "type", "refusal")) {
            *refused = 1;
            continue;
        }

        if (!ngx_comms_openai_is(part, "type", type)) {
            continue;
        }

        text = ngx_comms_json_view(json_object_get(part, "text"));

        p = ngx_array_push_n(bytes, text.len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, text.data, text.len);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_openai_structured(ngx_comms_question_t *q,
    ngx_comms_ai_answer_t *answer)
{
    json_t                  *value;
    ngx_comms_json_error_t   err;

    value = ngx_comms_json_parse(&answer->text, &err);

    if (value != NULL && json_is_object(value)
        && ngx_comms_openai_conforms(q->schema, value))
    {
        answer->structured = value;
        return NGX_OK;
    }

    json_decref(value);

    ngx_comms_openai_verdict(answer, NGX_COMMS_AI_UNUSABLE, "not_as_asked",
                             "the answer has not the form asked for");

    return NGX_OK;
}


/*
 * Servers that speak the protocol do not all enforce a schema.  Of a schema
 * only what our own ones use is looked at: required members of objects, and
 * strings, which must hold something.
 */

static ngx_uint_t
ngx_comms_openai_conforms(json_t *schema, json_t *value)
{
    size_t       i;
    json_t      *properties, *required, *name;
    ngx_str_t    text;
    const char  *key;

    if (ngx_comms_openai_is(schema, "type", "string")) {
        text = ngx_comms_trim(ngx_comms_json_view(value));
        return text.len != 0;
    }

    if (!ngx_comms_openai_is(schema, "type", "object")) {
        return 1;
    }

    properties = json_object_get(schema, "properties");
    required = json_object_get(schema, "required");

    json_array_foreach(required, i, name) {
        key = json_string_value(name);

        if (key == NULL
            || !ngx_comms_openai_conforms(json_object_get(properties, key),
                                          json_object_get(value, key)))
        {
            return 0;
        }
    }

    return json_is_object(value);
}


/*
 * The items are the newest first.  Returns what the assistant said after the
 * last item of our input, oldest first, as a new array; NULL when our input
 * is not there or nothing follows it.  Turns of a thread never overlap, so
 * only the newest message of a user can be ours: an older one with the same
 * words ("yes") belongs to an earlier turn.
 */

static json_t *
ngx_comms_openai_find_turn(ngx_pool_t *pool, ngx_comms_question_t *q,
    json_t *items, ngx_int_t *rc)
{
    size_t      i, n;
    json_t     *item, *output;
    ngx_str_t   input;

    n = json_array_size(q->input);
    if (n == 0) {
        return NULL;
    }

    input = ngx_comms_json_view(
                json_object_get(json_array_get(q->input, n - 1), "content"));

    output = json_array();
    if (output == NULL) {
        *rc = NGX_ERROR;
        return NULL;
    }

    json_array_foreach(items, i, item) {

        if (!ngx_comms_openai_is(item, "type", "message")) {
            continue;
        }

        if (ngx_comms_openai_is(item, "role", "assistant")) {

            if (json_array_insert(output, 0, item) != 0) {
                *rc = NGX_ERROR;
                break;
            }

            continue;
        }

        if (!ngx_comms_openai_is(item, "role", "user")) {
            continue;
        }

        *rc = ngx_comms_openai_same_input(pool, item, &input);

        if (*rc == NGX_OK && json_array_size(output) != 0) {
            return output;
        }

        break;
    }

    if (*rc == NGX_DECLINED) {
        *rc = NGX_OK;
    }

    json_decref(output);

    return NULL;
}


static ngx_int_t
ngx_comms_openai_same_input(ngx_pool_t *pool, json_t *item, ngx_str_t *input)
{
    ngx_uint_t   refused;
    ngx_array_t  bytes;

    if (ngx_array_init(&bytes, pool, 256, 1) != NGX_OK
        || ngx_comms_openai_append(&bytes, item, "input_text", &refused)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (bytes.nelts == input->len
        && ngx_memcmp(bytes.elts, input->data, input->len) == 0)
    {
        return NGX_OK;
    }

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_comms_openai_is(json_t *object, const char *key, const char *word)
{
    const char  *value;

    value = json_string_value(json_object_get(object, key));

    return value != NULL && ngx_strcmp(value, word) == 0;
}
