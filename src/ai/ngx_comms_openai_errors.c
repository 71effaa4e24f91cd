
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What OpenAI's failures mean.
 *
 * The first row of the table that fits decides.  Named codes come before
 * statuses, because a status alone misleads: the lock of a conversation is a
 * 400 and must be tried again, an empty account is a 429 and must not.
 *
 * The header x-should-retry is what the provider's own clients obey before
 * anything else.  It decides here too, but for the rows marked "firm".
 */


#include <ai/ngx_comms_ai.h>
#include <ai/ngx_comms_openai.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>


#define NGX_COMMS_OPENAI_MAX_WAIT  120000   /* ms */


typedef struct {
    ngx_uint_t       from;          /* statuses, both included; 0: any */
    ngx_uint_t       to;
    const char      *code;          /* NULL: any */
    const char      *type;
    const char      *message;       /* how it begins */
    ngx_uint_t       firm;
    ngx_comms_ai_e   verdict;
    ngx_comms_ai_health_e
                     health;
    const char      *label;
    const char      *words;
} ngx_comms_openai_error_t;


static ngx_int_t ngx_comms_openai_judge(ngx_pool_t *pool, ngx_uint_t status,
    json_t *error, ngx_comms_ai_answer_t *answer, ngx_uint_t *firm);
static ngx_uint_t ngx_comms_openai_fits(ngx_str_t *value, const char *word);
static ngx_uint_t ngx_comms_openai_begins(ngx_str_t *value,
    const char *prefix);
static void ngx_comms_openai_missing(json_t *error, ngx_uint_t conversation,
    ngx_comms_ai_answer_t *answer);
static void ngx_comms_openai_should_retry(ngx_comms_answer_t *an,
    ngx_uint_t firm, ngx_comms_ai_answer_t *answer);
static ngx_msec_t ngx_comms_openai_retry_after(ngx_comms_answer_t *an);
static ngx_int_t ngx_comms_openai_number(ngx_str_t *value, ngx_uint_t *n);


static ngx_comms_openai_error_t  ngx_comms_openai_errors[] = {

    /* API reference, conversations; seen verbatim in public bug reports */

    { 0, 0, "conversation_locked", NULL, NULL, 1,
      NGX_COMMS_AI_RETRY, NGX_COMMS_AI_NEUTRAL,
      "conversation_locked",
      "another run holds the AI conversation" },

    /* error codes guide: accounts, keys, models */

    { 0, 0, "insufficient_quota", NULL, NULL, 1,
      NGX_COMMS_AI_QUOTA, NGX_COMMS_AI_EMPTY,
      "insufficient_quota",
      "the account's quota is used up, see its plan and billing" },
    { 0, 0, "credit_balance_exhausted", NULL, NULL, 1,
      NGX_COMMS_AI_QUOTA, NGX_COMMS_AI_EMPTY,
      "insufficient_quota",
      "the account's credit is used up, see its plan and billing" },
    { 0, 0, "billing_hard_limit_reached", NULL, NULL, 1,
      NGX_COMMS_AI_QUOTA, NGX_COMMS_AI_EMPTY,
      "insufficient_quota",
      "the account's billing limit is reached" },
    { 0, 0, "billing_not_active", NULL, NULL, 1,
      NGX_COMMS_AI_QUOTA, NGX_COMMS_AI_EMPTY,
      "insufficient_quota",
      "the account's billing is not active" },
    { 0, 0, NULL, "insufficient_quota", NULL, 1,
      NGX_COMMS_AI_QUOTA, NGX_COMMS_AI_EMPTY,
      "insufficient_quota",
      "the account's quota is used up, see its plan and billing" },

    { 0, 0, "invalid_api_key", NULL, NULL, 0,
      NGX_COMMS_AI_CONFIG, NGX_COMMS_AI_SICK,
      "invalid_api_key",
      "the API key is refused, see \"api_key_reference\"" },
    { 0, 0, "account_deactivated", NULL, NULL, 0,
      NGX_COMMS_AI_CONFIG, NGX_COMMS_AI_SICK,
      "account_deactivated",
      "the account is deactivated" },
    { 0, 0, "model_not_found", NULL, NULL, 0,
      NGX_COMMS_AI_CONFIG, NGX_COMMS_AI_SICK,
      "model_not_found",
      "the model does not exist for this account, see \"model\"" },
    { 0, 0, "unsupported_country_region_territory", NULL, NULL, 0,
      NGX_COMMS_AI_CONFIG, NGX_COMMS_AI_SICK,
      "unsupported_region",
      "the provider does not serve this region" },
    { 0, 0, "data_residency_mismatch", NULL, NULL, 0,
      NGX_COMMS_AI_CONFIG, NGX_COMMS_AI_SICK,
      "data_residency_mismatch",
      "the project's data must be processed in another region" },

    /* error codes guide and API description: load */

    { 0, 0, "rate_limit_exceeded", NULL, NULL, 0,
      NGX_COMMS_AI_RETRY, NGX_COMMS_AI_BUSY,
      "rate_limit_exceeded",
      "the account's rate limit is reached" },
    { 0, 0, "slow_down", NULL, NULL, 0,
      NGX_COMMS_AI_RETRY, NGX_COMMS_AI_BUSY,
      "slow_down",
      "traffic grew too fast for the provider" },
    { 0, 0, "server_is_overloaded", NULL, NULL, 0,
      NGX_COMMS_AI_RETRY, NGX_COMMS_AI_SICK,
      "server_is_overloaded",
      "the provider is overloaded" },
    { 0, 0, "server_error", NULL, NULL, 0,
      NGX_COMMS_AI_RETRY, NGX_COMMS_AI_SICK,
      "server_error",
      "the provider failed" },

    /* API description, ResponseErrorCode */

    { 0, 0, "bio_policy", NULL, NULL, 0,
      NGX_COMMS_AI_REFUSED, NGX_COMMS_AI_WELL,
      "policy",
      "the provider's policy forbids an answer" },
    { 0, 0, "misalignment_policy_violation", NULL, NULL, 0,
      NGX_COMMS_AI_REFUSED, NGX_COMMS_AI_WELL,
      "policy",
      "the provider's policy forbids an answer" },
    { 0, 0, "content_filter", NULL, NULL, 0,
      NGX_COMMS_AI_REFUSED, NGX_COMMS_AI_WELL,
      "content_filter",
      "the provider's content filter forbids an answer" },
    { 0, 0, "invalid_prompt", NULL, NULL, 0,
      NGX_COMMS_AI_BAD_REQUEST, NGX_COMMS_AI_WELL,
      "invalid_prompt",
      "the provider refuses the input" },
    { 0, 0, "context_length_exceeded", NULL, NULL, 0,
      NGX_COMMS_AI_BAD_REQUEST, NGX_COMMS_AI_WELL,
      "context_length_exceeded",
      "the conversation is longer than the model can read" },

    /* seen in public bug reports: a tool call was left without its output */

    { 400, 400, NULL, NULL, "No tool output found", 0,
      NGX_COMMS_AI_BAD_REQUEST, NGX_COMMS_AI_WELL,
      "dangling_tool_call",
      "the AI conversation holds a tool call without an output" },
    { 400, 400, NULL, NULL, "No tool call found", 0,
      NGX_COMMS_AI_BAD_REQUEST, NGX_COMMS_AI_WELL,
      "dangling_tool_call",
      "the AI conversation holds a tool output without a call" },

    /* error codes guide and the retry rules of the official clients */

    { 300, 399, NULL, NULL, NULL, 0,
      NGX_COMMS_AI_CONFIG, NGX_COMMS_AI_SICK,
      "redirect",
      "the provider location answers with a redirect" },
    { 401, 401, NULL, NULL, NULL, 0,
      NGX_COMMS_AI_CONFIG, NGX_COMMS_AI_SICK,
      "unauthorized",
      "the API key is refused, see \"api_key_reference\"" },
    { 403, 403, NULL, NULL, NULL, 0,
      NGX_COMMS_AI_CONFIG, NGX_COMMS_AI_SICK,
      "forbidden",
      "the API key may not do this" },
    { 404, 404, NULL, NULL, NULL, 0,
      NGX_COMMS_AI_CONFIG, NGX_COMMS_AI_SICK,
      "not_found",
      "the provider knows no such resource, see the provider location" },
    { 408, 408, NULL, NULL, NULL, 0,
      NGX_COMMS_AI_RETRY, NGX_COMMS_AI_SICK,
      "timeout",
      "the provider gave up waiting" },
    { 409, 409, NULL, NULL, NULL, 0,
      NGX_COMMS_AI_RETRY, NGX_COMMS_AI_NEUTRAL,
      "conflict",
      "the provider could not take its lock in time" },
    { 429, 429, NULL, NULL, NULL, 0,
      NGX_COMMS_AI_RETRY, NGX_COMMS_AI_BUSY,
      "rate_limit_exceeded",
      "the account's rate limit is reached" },
    { 400, 499, NULL, NULL, NULL, 0,
      NGX_COMMS_AI_BAD_REQUEST, NGX_COMMS_AI_WELL,
      "bad_request",
      "the provider refuses the request" },
    { 503, 503, NULL, NULL, NULL, 0,
      NGX_COMMS_AI_RETRY, NGX_COMMS_AI_SICK,
      "unavailable",
      "the provider is unavailable" },
    { 500, 599, NULL, NULL, NULL, 0,
      NGX_COMMS_AI_RETRY, NGX_COMMS_AI_SICK,
      "server_error",
      "the provider failed" },

    /* a run that failed for a reason not listed; retries are bounded */

    { 200, 299, NULL, NULL, NULL, 0,
      NGX_COMMS_AI_RETRY, NGX_COMMS_AI_SICK,
      "run_failed",
      "the run failed" },

    { 0, 0, NULL, NULL, NULL, 0,
      NGX_COMMS_AI_UNKNOWN, NGX_COMMS_AI_SICK,
      "no_status",
      "the answer is not HTTP" }
};


ngx_int_t
ngx_comms_openai_failure(ngx_pool_t *pool, ngx_comms_answer_t *an,
    json_t *document, ngx_uint_t conversation, ngx_comms_ai_answer_t *answer)
{
    json_t      *error;
    ngx_uint_t   firm;

    if (an->outcome == NGX_COMMS_EXCHANGE_UNSENT) {
        answer->verdict = NGX_COMMS_AI_RETRY;
        answer->health = NGX_COMMS_AI_SICK;
        answer->label = "unsent";
        answer->words = an->failure;
        return NGX_OK;
    }

    if (an->outcome == NGX_COMMS_EXCHANGE_UNKNOWN) {
        answer->verdict = NGX_COMMS_AI_UNKNOWN;
        answer->health = NGX_COMMS_AI_SICK;
        answer->label = "unknown";
        answer->words = an->failure;
        return NGX_OK;
    }

    error = json_object_get(document, "error");

    /* a gateway on the way may send the error bare */

    if (error == NULL && json_object_get(document, "message") != NULL) {
        error = document;
    }

    if (ngx_comms_openai_judge(pool, an->status, error, answer, &firm)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (an->status == 404) {
        ngx_comms_openai_missing(error, conversation, answer);
    }

    ngx_comms_openai_should_retry(an, firm, answer);

    answer->retry_after = ngx_comms_openai_retry_after(an);

    return NGX_OK;
}


ngx_int_t
ngx_comms_openai_run_failure(ngx_pool_t *pool, json_t *error,
    ngx_comms_ai_answer_t *answer)
{
    ngx_uint_t  firm;

    return ngx_comms_openai_judge(pool, 200, error, answer, &firm);
}


static ngx_int_t
ngx_comms_openai_judge(ngx_pool_t *pool, ngx_uint_t status, json_t *error,
    ngx_comms_ai_answer_t *answer, ngx_uint_t *firm)
{
    ngx_str_t                  code, type, message;
    ngx_comms_openai_error_t  *e;

    code = ngx_comms_json_view(json_object_get(error, "code"));
    type = ngx_comms_json_view(json_object_get(error, "type"));
    message = ngx_comms_json_view(json_object_get(error, "message"));

    for (e = ngx_comms_openai_errors;
         e->from != 0 || e->code != NULL || e->type != NULL;
         e++)
    {
        if (e->from != 0 && (status < e->from || status > e->to)) {
            continue;
        }

        if (ngx_comms_openai_fits(&code, e->code)
            && ngx_comms_openai_fits(&type, e->type)
            && ngx_comms_openai_begins(&message, e->message))
        {
            break;
        }
    }

    answer->verdict = e->verdict;
    answer->health = e->health;
    answer->label = e->label;
    answer->words = e->words;
    *firm = e->firm;

    /* what looks like no code goes to no log */

    if (!ngx_comms_openai_id_valid(&code)) {
        return NGX_OK;
    }

    answer->code.data = ngx_pstrdup(pool, &code);
    if (answer->code.data == NULL) {
        return NGX_ERROR;
    }

    answer->code.len = code.len;

    return NGX_OK;
}


static ngx_uint_t
ngx_comms_openai_fits(ngx_str_t *value, const char *word)
{
    if (word == NULL) {
        return 1;
    }

    return value->len == ngx_strlen(word)
           && ngx_strncmp(value->data, word, value->len) == 0;
}


static ngx_uint_t
ngx_comms_openai_begins(ngx_str_t *value, const char *prefix)
{
    size_t  len;

    if (prefix == NULL) {
        return 1;
    }

    len = ngx_strlen(prefix);

    return value->len >= len && ngx_strncmp(value->data, prefix, len) == 0;
}


/*
 * A 404 in the provider's own words, to a request that named an AI
 * conversation, is about the conversation unless it is about the model.  A 404
 * in other words comes from a proxy_pass that leads elsewhere, and must not
 * cost a thread its memory.
 */

static void
ngx_comms_openai_missing(json_t *error, ngx_uint_t conversation,
    ngx_comms_ai_answer_t *answer)
{
    ngx_str_t  code, param;

    if (!conversation || !json_is_object(error)) {
        return;
    }

    code = ngx_comms_json_view(json_object_get(error, "code"));
    param = ngx_comms_json_view(json_object_get(error, "param"));

    if (ngx_comms_openai_fits(&code, "model_not_found")
        || ngx_comms_openai_fits(&param, "model"))
    {
        return;
    }

    answer->verdict = NGX_COMMS_AI_LOST;
    answer->health = NGX_COMMS_AI_WELL;
    answer->label = "conversation_lost";
    answer->words = "the AI conversation does not exist";
}


static void
ngx_comms_openai_should_retry(ngx_comms_answer_t *an, ngx_uint_t firm,
    ngx_comms_ai_answer_t *answer)
{
    ngx_str_t  *value;

    value = ngx_comms_answer_header(an, "x-should-retry");

    if (value == NULL || firm) {
        return;
    }

    if (ngx_comms_openai_fits(value, "true")) {
        answer->verdict = NGX_COMMS_AI_RETRY;
        return;
    }

    if (ngx_comms_openai_fits(value, "false")
        && answer->verdict == NGX_COMMS_AI_RETRY)
    {
        answer->verdict = NGX_COMMS_AI_BAD_REQUEST;
    }
}


static ngx_msec_t
ngx_comms_openai_retry_after(ngx_comms_answer_t *an)
{
    time_t       date;
    int64_t      ms;
    ngx_str_t   *value;
    ngx_uint_t   n;

    value = ngx_comms_answer_header(an, "retry-after-ms");

    if (value != NULL && ngx_comms_openai_number(value, &n) == NGX_OK) {
        return n;
    }

    value = ngx_comms_answer_header(an, "retry-after");

    if (value == NULL) {
        return 0;
    }

    if (ngx_comms_openai_number(value, &n) == NGX_OK) {
        return ngx_min(n * 1000, NGX_COMMS_OPENAI_MAX_WAIT);
    }

    date = ngx_parse_http_time(value->data, value->len);

    if (date == (time_t) NGX_ERROR) {
        return 0;
    }

    ms = (int64_t) date * 1000 - ngx_comms_clock_ms();

    if (ms <= 0) {
        return 0;
    }

    return ngx_min(ms, NGX_COMMS_OPENAI_MAX_WAIT);
}


/* digits, of which those behind a point do not count; bounded */

static ngx_int_t
ngx_comms_openai_number(ngx_str_t *value, ngx_uint_t *n)
{
    size_t     i;
    ngx_str_t  text;

    *n = 0;
    text = ngx_comms_trim(*value);

    for (i = 0; i < text.len && text.data[i] != '.'; i++) {

        if (text.data[i] < '0' || text.data[i] > '9') {
            return NGX_DECLINED;
        }

        *n = *n * 10 + (text.data[i] - '0');

        if (*n > NGX_COMMS_OPENAI_MAX_WAIT) {
            *n = NGX_COMMS_OPENAI_MAX_WAIT;
        }
    }

    return i == 0 ? NGX_DECLINED : NGX_OK;
}
