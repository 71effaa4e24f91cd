
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "ai/ngx_comms_ai.h"
#include "base/ngx_comms_json.h"


typedef struct {
    ngx_uint_t       status;
    const char      *header;         /* name of one more header, or NULL */
    const char      *value;
    const char      *body;
    ngx_comms_ai_e   verdict;
    const char      *label;
    ngx_msec_t       retry_after;
} unit_failure_t;


#define UNIT_ERROR(code, type)                                                \
    "{\"error\":{\"message\":\"m\",\"type\":" type ",\"param\":null,"         \
    "\"code\":" code "}}"

#define UNIT_MESSAGE(text)                                                    \
    "{\"type\":\"message\",\"role\":\"assistant\",\"content\":"               \
    "[{\"type\":\"output_text\",\"text\":\"" text "\"}]}"


static unit_failure_t  unit_failures[] = {

    { 400, NULL, NULL, UNIT_ERROR("\"conversation_locked\"", "\"x\""),
      NGX_COMMS_AI_RETRY, "conversation_locked", 0 },
    { 400, "x-should-retry", "false",
      UNIT_ERROR("\"conversation_locked\"", "\"x\""),
      NGX_COMMS_AI_RETRY, "conversation_locked", 0 },
    { 400, NULL, NULL, UNIT_ERROR("null", "\"invalid_request_error\""),
      NGX_COMMS_AI_BAD_REQUEST, "bad_request", 0 },
    { 400, NULL, NULL,
      "{\"error\":{\"message\":\"No tool output found for function call\"}}",
      NGX_COMMS_AI_BAD_REQUEST, "dangling_tool_call", 0 },
    { 400, "x-should-retry", "true", "{}", NGX_COMMS_AI_RETRY,
      "bad_request", 0 },
    { 401, NULL, NULL, UNIT_ERROR("\"invalid_api_key\"", "null"),
      NGX_COMMS_AI_CONFIG, "invalid_api_key", 0 },
    { 403, NULL, NULL, "", NGX_COMMS_AI_CONFIG, "forbidden", 0 },
    { 404, NULL, NULL, UNIT_ERROR("null", "\"invalid_request_error\""),
      NGX_COMMS_AI_LOST, "conversation_lost", 0 },
    { 404, NULL, NULL, UNIT_ERROR("\"model_not_found\"", "null"),
      NGX_COMMS_AI_CONFIG, "model_not_found", 0 },
    { 404, NULL, NULL, "<html>", NGX_COMMS_AI_CONFIG, "not_found", 0 },
    { 408, NULL, NULL, "", NGX_COMMS_AI_RETRY, "timeout", 0 },
    { 409, NULL, NULL, "", NGX_COMMS_AI_RETRY, "conflict", 0 },
    { 429, "Retry-After", "7", UNIT_ERROR("\"rate_limit_exceeded\"", "null"),
      NGX_COMMS_AI_RETRY, "rate_limit_exceeded", 7000 },
    { 429, "retry-after-ms", "1500.75", "", NGX_COMMS_AI_RETRY,
      "rate_limit_exceeded", 1500 },
    { 429, "retry-after", "99999999999999999999", "", NGX_COMMS_AI_RETRY,
      "rate_limit_exceeded", 120000 },
    { 429, "retry-after", "-5", "", NGX_COMMS_AI_RETRY,
      "rate_limit_exceeded", 0 },
    { 429, "retry-after", "Thu, 01 Jan 2026 00:00:30 GMT", "",
      NGX_COMMS_AI_RETRY, "rate_limit_exceeded", 30000 },
    { 429, "retry-after", "Wed, 31 Dec 2025 23:00:00 GMT", "",
      NGX_COMMS_AI_RETRY, "rate_limit_exceeded", 0 },
    { 429, NULL, NULL, UNIT_ERROR("\"insufficient_quota\"", "null"),
      NGX_COMMS_AI_QUOTA, "insufficient_quota", 0 },
    { 429, "x-should-retry", "true",
      UNIT_ERROR("null", "\"insufficient_quota\""),
      NGX_COMMS_AI_QUOTA, "insufficient_quota", 0 },
    { 500, NULL, NULL, "", NGX_COMMS_AI_RETRY, "server_error", 0 },
    { 500, "x-should-retry", "false", "", NGX_COMMS_AI_BAD_REQUEST,
      "server_error", 0 },
    { 503, NULL, NULL, "not json", NGX_COMMS_AI_RETRY, "unavailable", 0 },
    { 302, NULL, NULL, "", NGX_COMMS_AI_CONFIG, "redirect", 0 },
    { 200, NULL, NULL, "<html>", NGX_COMMS_AI_UNKNOWN, "not_json", 0 },
    { 200, NULL, NULL, "{\"status\":\"failed\",\"error\":"
      "{\"code\":\"server_error\",\"message\":\"m\"}}",
      NGX_COMMS_AI_RETRY, "server_error", 0 },
    { 200, NULL, NULL, "{\"status\":\"failed\",\"error\":"
      "{\"code\":\"bio_policy\",\"message\":\"m\"}}",
      NGX_COMMS_AI_REFUSED, "policy", 0 },
    { 200, NULL, NULL, "{\"status\":\"failed\",\"error\":null}",
      NGX_COMMS_AI_RETRY, "run_failed", 0 },
    { 200, NULL, NULL, "{\"status\":\"incomplete\",\"incomplete_details\":"
      "{\"reason\":\"max_output_tokens\"}}",
      NGX_COMMS_AI_UNUSABLE, "max_output_tokens", 0 },
    { 200, NULL, NULL, "{\"status\":\"incomplete\",\"incomplete_details\":"
      "{\"reason\":\"content_filter\"}}",
      NGX_COMMS_AI_REFUSED, "content_filter", 0 },
    { 200, NULL, NULL, "{\"status\":\"in_progress\"}",
      NGX_COMMS_AI_UNKNOWN, "running", 0 },
    { 200, NULL, NULL, "{\"status\":\"completed\",\"output\":[]}",
      NGX_COMMS_AI_UNUSABLE, "empty", 0 },
    { 200, NULL, NULL, "{\"status\":\"completed\",\"output\":["
      UNIT_MESSAGE(" \\n ") "]}",
      NGX_COMMS_AI_UNUSABLE, "empty", 0 },
    { 200, NULL, NULL, "{\"status\":\"completed\",\"output\":[{\"type\":"
      "\"message\",\"content\":[{\"type\":\"refusal\",\"refusal\":\"no\"}]}"
      "]}",
      NGX_COMMS_AI_REFUSED, "refusal", 0 },

    { 0, NULL, NULL, NULL, 0, NULL, 0 }
};


static void
unit_question(ngx_comms_question_t *q)
{
    ngx_memzero(q, sizeof(ngx_comms_question_t));

    q->model = unit_str("gpt-5.6");
    q->key = unit_str("sk-secret");
    q->ai_conversation_id = unit_str("conv_1");
    q->instructions = unit_str("Be kind.");
    q->turn_id = unit_str("turn-1");
    q->thread_id = unit_str("th_1");
    q->person = unit_str("abcdef");
}


static void
unit_answer(ngx_pool_t *pool, ngx_comms_answer_t *an, ngx_uint_t status,
    const char *body)
{
    ngx_memzero(an, sizeof(ngx_comms_answer_t));

    an->outcome = NGX_COMMS_EXCHANGE_COMPLETE;
    an->status = status;
    an->body = unit_str(body);

    assert_int_equal(ngx_array_init(&an->headers, pool, 4,
                                    sizeof(ngx_keyval_t)),
                     NGX_OK);
}


static void
unit_header(ngx_comms_answer_t *an, const char *name, const char *value)
{
    ngx_keyval_t  *kv;

    kv = ngx_array_push(&an->headers);
    assert_non_null(kv);

    kv->key = unit_str(name);
    kv->value = unit_str(value);
}


static const char *
unit_sent(ngx_comms_request_t *rq, const char *name)
{
    size_t         len;
    ngx_uint_t     i;
    static char    value[256];
    ngx_keyval_t  *kv;

    kv = rq->headers.elts;
    len = ngx_strlen(name);

    for (i = 0; i < rq->headers.nelts; i++) {

        if (kv[i].key.len == len
            && ngx_strncmp(kv[i].key.data, name, len) == 0)
        {
            snprintf(value, sizeof(value), "%.*s", (int) kv[i].value.len,
                     (char *) kv[i].value.data);
            return value;
        }
    }

    return NULL;
}


static void
test_by_name(void **state)
{
    ngx_str_t  name;

    name = unit_str("openai");
    assert_ptr_equal(ngx_comms_ai_by_name(&name), &ngx_comms_openai);

    name = unit_str("opena");
    assert_null(ngx_comms_ai_by_name(&name));
}


static void
test_conversation_request(void **state)
{
    ngx_comms_request_t   rq;
    ngx_comms_question_t  q;

    unit_question(&q);

    assert_int_equal(ngx_comms_openai.conversation(*state, &q, &rq), NGX_OK);

    assert_text(rq.method, "POST");
    assert_text(rq.path, "conversations");
    assert_text(rq.body, "{\"metadata\":{\"thread_id\":\"th_1\"}}");
    assert_string_equal(unit_sent(&rq, "Authorization"), "Bearer sk-secret");
    assert_string_equal(unit_sent(&rq, "Content-Type"), "application/json");
    assert_string_equal(unit_sent(&rq, "X-Client-Request-Id"), "turn-1");
}


static void
test_ask_request(void **state)
{
    json_t                  *sent, *expected;
    ngx_comms_request_t      rq;
    ngx_comms_question_t     q;
    ngx_comms_json_error_t   err;

    unit_question(&q);

    q.input = json_pack("[{s:s,s:s}]", "role", "user", "content", "[sms] hi");
    q.schema = json_pack("{s:s}", "type", "object");
    q.schema_name = "first_messages";
    q.max_output_tokens = 500;

    assert_int_equal(ngx_comms_openai.ask(*state, &q, &rq), NGX_OK);
    assert_text(rq.path, "responses");

    sent = ngx_comms_json_parse(&rq.body, &err);
    assert_non_null(sent);

    expected = json_pack("{s:s,s:s,s:s,s:b,s:i,s:s,s:[{s:s,s:s,s:s}],"
                         "s:{s:s,s:s},s:{s:{s:s,s:s,s:b,s:{s:s}}}}",
                         "model", "gpt-5.6", "instructions", "Be kind.",
                         "conversation", "conv_1", "store", 1,
                         "max_output_tokens", 500,
                         "safety_identifier", "abcdef",
                         "input", "role", "user", "content", "[sms] hi",
                         "type", "message",
                         "metadata", "turn_id", "turn-1", "thread_id", "th_1",
                         "text", "format", "type", "json_schema",
                         "name", "first_messages", "strict", 1,
                         "schema", "type", "object");
    assert_non_null(expected);
    assert_true(json_equal(sent, expected));

    json_decref(sent);
    json_decref(expected);

    /* nothing is sent that was not asked for; the question is as it was */

    assert_null(json_object_get(json_array_get(q.input, 0), "type"));

    ngx_str_null(&q.ai_conversation_id);
    ngx_str_null(&q.person);
    json_decref(q.schema);
    q.schema = NULL;
    q.max_output_tokens = 0;

    assert_int_equal(ngx_comms_openai.ask(*state, &q, &rq), NGX_OK);

    sent = ngx_comms_json_parse(&rq.body, &err);
    assert_null(json_object_get(sent, "conversation"));
    assert_null(json_object_get(sent, "text"));
    assert_null(json_object_get(sent, "max_output_tokens"));
    assert_null(json_object_get(sent, "safety_identifier"));

    json_decref(sent);
    json_decref(q.input);
}


static void
test_header_injection(void **state)
{
    ngx_comms_request_t   rq;
    ngx_comms_question_t  q;

    unit_question(&q);
    q.key = unit_str("sk\r\nX-Evil: 1");

    assert_int_equal(ngx_comms_openai.conversation(*state, &q, &rq),
                     NGX_DECLINED);
}


static void
test_items_request(void **state)
{
    ngx_comms_request_t   rq;
    ngx_comms_question_t  q;

    unit_question(&q);

    assert_int_equal(ngx_comms_openai.items(*state, &q, &rq), NGX_OK);
    assert_text(rq.method, "GET");
    assert_text(rq.path, "conversations/conv_1/items");
    assert_text(rq.args, "order=desc&limit=20");
    assert_int_equal(rq.body.len, 0);

    q.ai_conversation_id = unit_str("../models");
    assert_int_equal(ngx_comms_openai.items(*state, &q, &rq), NGX_DECLINED);
}


static void
test_read_conversation(void **state)
{
    ngx_comms_answer_t     an;
    ngx_comms_ai_answer_t  answer;

    unit_answer(*state, &an, 200, "{\"id\":\"conv_9\"}");
    assert_int_equal(ngx_comms_openai.read_conversation(*state, &an, &answer),
                     NGX_OK);
    assert_int_equal(answer.verdict, NGX_COMMS_AI_ANSWERED);
    assert_text(answer.text, "conv_9");

    unit_answer(*state, &an, 200, "{\"id\":\"a/b\"}");
    assert_int_equal(ngx_comms_openai.read_conversation(*state, &an, &answer),
                     NGX_OK);
    assert_int_equal(answer.verdict, NGX_COMMS_AI_UNUSABLE);

    unit_answer(*state, &an, 404, UNIT_ERROR("null", "null"));
    assert_int_equal(ngx_comms_openai.read_conversation(*state, &an, &answer),
                     NGX_OK);
    assert_int_equal(answer.verdict, NGX_COMMS_AI_CONFIG);
}


static void
test_failures(void **state)
{
    unit_failure_t         *f;
    ngx_comms_answer_t      an;
    ngx_comms_question_t    q;
    ngx_comms_ai_answer_t   answer;

    unit_question(&q);
    unit_clock_set(1767225600000LL);         /* 2026-01-01T00:00:00Z */

    for (f = unit_failures; f->body != NULL; f++) {

        unit_answer(*state, &an, f->status, f->body);

        if (f->header != NULL) {
            unit_header(&an, f->header, f->value);
        }

        assert_int_equal(ngx_comms_openai.read_ask(*state, &q, &an, &answer),
                         NGX_OK);

        if (answer.verdict != f->verdict) {
            print_error("row %d: %s\n", (int) (f - unit_failures), f->body);
        }

        assert_int_equal(answer.verdict, f->verdict);
        assert_string_equal(answer.label, f->label);
        assert_int_equal(answer.retry_after, f->retry_after);
        assert_non_null(answer.words);
        assert_null(answer.structured);
    }
}


static void
test_not_complete(void **state)
{
    ngx_comms_answer_t     an;
    ngx_comms_question_t   q;
    ngx_comms_ai_answer_t  answer;

    unit_question(&q);
    ngx_memzero(&an, sizeof(ngx_comms_answer_t));

    an.outcome = NGX_COMMS_EXCHANGE_UNSENT;
    an.failure = "connect failed";

    assert_int_equal(ngx_comms_openai.read_ask(*state, &q, &an, &answer),
                     NGX_OK);
    assert_int_equal(answer.verdict, NGX_COMMS_AI_RETRY);
    assert_string_equal(answer.words, "connect failed");

    an.outcome = NGX_COMMS_EXCHANGE_UNKNOWN;
    an.failure = "timed out";

    assert_int_equal(ngx_comms_openai.read_ask(*state, &q, &an, &answer),
                     NGX_OK);
    assert_int_equal(answer.verdict, NGX_COMMS_AI_UNKNOWN);
    assert_int_equal(answer.total_tokens, -1);
}


static void
test_answered(void **state)
{
    ngx_comms_answer_t     an;
    ngx_comms_question_t   q;
    ngx_comms_ai_answer_t  answer;

    unit_question(&q);
    unit_answer(*state, &an, 200,
                "{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":["
                "{\"type\":\"reasoning\",\"summary\":[]},"
                UNIT_MESSAGE("Hello ") "," UNIT_MESSAGE("Ada \\u00e9")
                "],\"usage\":{\"input_tokens\":10,\"output_tokens\":5,"
                "\"total_tokens\":15}}");
    unit_header(&an, "X-Request-Id", "req_1");

    assert_int_equal(ngx_comms_openai.read_ask(*state, &q, &an, &answer),
                     NGX_OK);
    assert_int_equal(answer.verdict, NGX_COMMS_AI_ANSWERED);
    assert_text(answer.text, "Hello Ada \xc3\xa9");
    assert_text(answer.response_id, "resp_1");
    assert_text(answer.request_id, "req_1");
    assert_int_equal(answer.prompt_tokens, 10);
    assert_int_equal(answer.completion_tokens, 5);
    assert_int_equal(answer.total_tokens, 15);
}


static void
test_phases(void **state)
{
    ngx_comms_answer_t     an;
    ngx_comms_question_t   q;
    ngx_comms_ai_answer_t  answer;

    unit_question(&q);

    unit_answer(*state, &an, 200,
                "{\"status\":\"completed\",\"output\":[{\"type\":\"message\","
                "\"phase\":\"commentary\",\"content\":[{\"type\":"
                "\"output_text\",\"text\":\"I look\"}]},"
                UNIT_MESSAGE("Hello") "]}");
    assert_int_equal(ngx_comms_openai.read_ask(*state, &q, &an, &answer),
                     NGX_OK);
    assert_text(answer.text, "Hello");

    unit_answer(*state, &an, 200,
                "{\"status\":\"completed\",\"output\":["
                UNIT_MESSAGE("no") ",{\"type\":\"message\","
                "\"phase\":\"final_answer\",\"content\":[{\"type\":"
                "\"output_text\",\"text\":\"yes\"}]}]}");
    assert_int_equal(ngx_comms_openai.read_ask(*state, &q, &an, &answer),
                     NGX_OK);
    assert_text(answer.text, "yes");
}


static void
unit_structured(ngx_pool_t *pool, json_t *schema, const char *text,
    ngx_comms_ai_answer_t *answer)
{
    char                  *body;
    json_t                *document;
    ngx_comms_answer_t     an;
    ngx_comms_question_t   q;

    unit_question(&q);
    q.schema = schema;

    document = json_pack("{s:s,s:[{s:s,s:[{s:s,s:s}]}]}", "status",
                         "completed", "output", "type", "message", "content",
                         "type", "output_text", "text", text);
    body = json_dumps(document, 0);

    unit_answer(pool, &an, 200, body);
    assert_int_equal(ngx_comms_openai.read_ask(pool, &q, &an, answer),
                     NGX_OK);

    free(body);
    json_decref(document);
}


static void
test_schema(void **state)
{
    json_t                 *schema;
    ngx_comms_ai_answer_t   answer;

    schema = json_pack("{s:s,s:[s],s:{s:{s:s,s:[s],s:{s:{s:s}}}}}",
                       "type", "object", "required", "sms",
                       "properties", "sms", "type", "object",
                       "required", "message", "properties",
                       "message", "type", "string");
    assert_non_null(schema);

    unit_structured(*state, schema, "{\"sms\":{\"message\":\"hi\"}}",
                    &answer);
    assert_int_equal(answer.verdict, NGX_COMMS_AI_ANSWERED);
    assert_true(json_is_object(answer.structured));
    json_decref(answer.structured);

    unit_structured(*state, schema, "{\"sms\":{\"message\":\" \"}}", &answer);
    assert_int_equal(answer.verdict, NGX_COMMS_AI_UNUSABLE);
    assert_null(answer.structured);

    unit_structured(*state, schema, "{\"sms\":\"hi\"}", &answer);
    assert_int_equal(answer.verdict, NGX_COMMS_AI_UNUSABLE);

    unit_structured(*state, schema, "{}", &answer);
    assert_int_equal(answer.verdict, NGX_COMMS_AI_UNUSABLE);

    unit_structured(*state, schema, "[1]", &answer);
    assert_int_equal(answer.verdict, NGX_COMMS_AI_UNUSABLE);

    unit_structured(*state, schema, "hello", &answer);
    assert_int_equal(answer.verdict, NGX_COMMS_AI_UNUSABLE);

    json_decref(schema);
}


static ngx_comms_ai_e
unit_items(ngx_pool_t *pool, const char *input, const char *body,
    ngx_comms_ai_answer_t *answer)
{
    ngx_comms_answer_t    an;
    ngx_comms_question_t  q;

    unit_question(&q);
    q.input = json_pack("[{s:s,s:s},{s:s,s:s}]", "role", "user", "content",
                        "[sms] before", "role", "user", "content", input);

    unit_answer(pool, &an, 200, body);
    assert_int_equal(ngx_comms_openai.read_items(pool, &q, &an, answer),
                     NGX_OK);

    json_decref(q.input);

    return answer->verdict;
}


static void
test_read_items(void **state)
{
    ngx_comms_ai_answer_t  answer;

    static const char  ran[] =
        "{\"object\":\"list\",\"data\":["
        UNIT_MESSAGE("two") ",{\"type\":\"reasoning\"},"
        UNIT_MESSAGE("one ")
        ",{\"type\":\"message\",\"role\":\"user\",\"content\":"
        "[{\"type\":\"input_text\",\"text\":\"[sms] yes\"}]},"
        UNIT_MESSAGE("older")
        ",{\"type\":\"message\",\"role\":\"user\",\"content\":"
        "\"[sms] earlier\"}]}";

    assert_int_equal(unit_items(*state, "[sms] yes", ran, &answer),
                     NGX_COMMS_AI_ANSWERED);
    assert_text(answer.text, "one two");

    /* words of an earlier turn are not this turn's */

    assert_int_equal(unit_items(*state, "[sms] earlier", ran, &answer),
                     NGX_COMMS_AI_RETRY);
    assert_int_equal(unit_items(*state, "[sms] new", ran, &answer),
                     NGX_COMMS_AI_RETRY);
    assert_string_equal(answer.label, "did_not_run");

    assert_int_equal(unit_items(*state, "[sms] yes", "{\"data\":[{\"type\":"
                                "\"message\",\"role\":\"user\",\"content\":"
                                "\"[sms] yes\"}]}", &answer),
                     NGX_COMMS_AI_RETRY);
    assert_int_equal(unit_items(*state, "x", "{\"data\":[]}", &answer),
                     NGX_COMMS_AI_RETRY);
    assert_int_equal(unit_items(*state, "x", "{}", &answer),
                     NGX_COMMS_AI_UNKNOWN);
}


static void
test_check(void **state)
{
    json_t      *credentials;
    const char  *field, *words;

    credentials = json_pack("{s:s,s:s}", "provider", "openai", "api_key",
                            "sk-1");
    assert_int_equal(ngx_comms_openai.check(credentials, &field, &words),
                     NGX_OK);

    json_object_set_new(credentials, "api_key", json_string("sk 1"));
    assert_int_equal(ngx_comms_openai.check(credentials, &field, &words),
                     NGX_DECLINED);
    assert_string_equal(field, "api_key");

    json_object_set_new(credentials, "apikey", json_string("sk-1"));
    assert_int_equal(ngx_comms_openai.check(credentials, &field, &words),
                     NGX_DECLINED);
    assert_string_equal(field, "apikey");

    json_decref(credentials);
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        pool_test(test_by_name),
        pool_test(test_conversation_request),
        pool_test(test_ask_request),
        pool_test(test_header_injection),
        pool_test(test_items_request),
        pool_test(test_read_conversation),
        pool_test(test_failures),
        pool_test(test_not_complete),
        pool_test(test_answered),
        pool_test(test_phases),
        pool_test(test_schema),
        pool_test(test_read_items),
        pool_test(test_check)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
