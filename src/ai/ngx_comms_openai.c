
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * OpenAI's Responses and Conversations: the requests.
 *
 * An AI conversation is created once for a thread, and its id is stored before
 * anything else depends on it: no call lists conversations, so a lost id is a
 * lost memory.  Instructions are not part of a conversation and are sent with
 * every question.
 *
 * A question has no idempotency key.  What stands in for it: items join a
 * conversation only when a run completes, so after an exchange with unknown
 * outcome the newest items tell whether the turn ran (items, read_items).
 * The turn id travels along as metadata and as X-Client-Request-Id, for
 * people who must find a turn on the other side.
 */


#include <ai/ngx_comms_ai.h>
#include <ai/ngx_comms_openai.h>
#include <base/ngx_comms_json.h>


#define NGX_COMMS_OPENAI_MAX_METADATA  512
#define NGX_COMMS_OPENAI_MAX_PERSON    128


static ngx_int_t ngx_comms_openai_conversation(ngx_pool_t *pool,
    ngx_comms_question_t *q, ngx_comms_request_t *rq);
static ngx_int_t ngx_comms_openai_ask(ngx_pool_t *pool,
    ngx_comms_question_t *q, ngx_comms_request_t *rq);
static ngx_int_t ngx_comms_openai_items(ngx_pool_t *pool,
    ngx_comms_question_t *q, ngx_comms_request_t *rq);
static ngx_int_t ngx_comms_openai_check(json_t *credentials,
    const char **field, const char **words);

static ngx_int_t ngx_comms_openai_request(ngx_pool_t *pool,
    ngx_comms_question_t *q, ngx_comms_request_t *rq, const char *path,
    json_t *document);
static ngx_int_t ngx_comms_openai_headers(ngx_pool_t *pool,
    ngx_comms_question_t *q, ngx_comms_request_t *rq);
static ngx_int_t ngx_comms_openai_metadata(json_t *document,
    ngx_comms_question_t *q);
static ngx_int_t ngx_comms_openai_input(json_t *document,
    ngx_comms_question_t *q);
static ngx_int_t ngx_comms_openai_format(json_t *document,
    ngx_comms_question_t *q);
static ngx_int_t ngx_comms_openai_optional(json_t *document,
    ngx_comms_question_t *q);


ngx_comms_ai_t  ngx_comms_openai = {
    ngx_string("openai"),
    ngx_comms_openai_conversation,
    ngx_comms_openai_read_conversation,
    ngx_comms_openai_ask,
    ngx_comms_openai_read_ask,
    ngx_comms_openai_items,
    ngx_comms_openai_read_items,
    ngx_comms_openai_check
};


static ngx_int_t
ngx_comms_openai_conversation(ngx_pool_t *pool, ngx_comms_question_t *q,
    ngx_comms_request_t *rq)
{
    json_t     *document, *metadata;
    ngx_int_t   rc;

    document = json_object();
    metadata = json_object();

    if (json_object_set_new(document, "metadata", metadata) != 0
        || ngx_comms_json_set_str(metadata, "thread_id", &q->thread_id)
           != NGX_OK)
    {
        json_decref(document);
        return NGX_ERROR;
    }

    rc = ngx_comms_openai_request(pool, q, rq, "conversations", document);

    json_decref(document);

    return rc;
}


static ngx_int_t
ngx_comms_openai_ask(ngx_pool_t *pool, ngx_comms_question_t *q,
    ngx_comms_request_t *rq)
{
    json_t     *document;
    ngx_int_t   rc;

    document = json_object();
    if (document == NULL) {
        return NGX_ERROR;
    }

    if (ngx_comms_json_set_str(document, "model", &q->model) != NGX_OK
        || ngx_comms_json_set_str(document, "instructions", &q->instructions)
           != NGX_OK
        || json_object_set_new(document, "store", json_true()) != 0
        || ngx_comms_openai_input(document, q) != NGX_OK
        || ngx_comms_openai_format(document, q) != NGX_OK
        || ngx_comms_openai_optional(document, q) != NGX_OK
        || ngx_comms_openai_metadata(document, q) != NGX_OK)
    {
        json_decref(document);
        return NGX_ERROR;
    }

    rc = ngx_comms_openai_request(pool, q, rq, "responses", document);

    json_decref(document);

    return rc;
}


static ngx_int_t
ngx_comms_openai_items(ngx_pool_t *pool, ngx_comms_question_t *q,
    ngx_comms_request_t *rq)
{
    u_char     *p;
    ngx_str_t  *id;

    id = &q->ai_conversation_id;

    if (!ngx_comms_openai_id_valid(id)) {
        return NGX_DECLINED;
    }

    if (ngx_comms_request_init(rq, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    rq->path.len = sizeof("conversations//items") - 1 + id->len;

    p = ngx_pnalloc(pool, rq->path.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    rq->path.data = p;

    p = ngx_cpymem(p, "conversations/", sizeof("conversations/") - 1);
    p = ngx_cpymem(p, id->data, id->len);
    ngx_memcpy(p, "/items", sizeof("/items") - 1);

    ngx_str_set(&rq->method, "GET");
    ngx_str_set(&rq->args, "order=desc&limit=20");

    return ngx_comms_openai_headers(pool, q, rq);
}


static ngx_int_t
ngx_comms_openai_request(ngx_pool_t *pool, ngx_comms_question_t *q,
    ngx_comms_request_t *rq, const char *path, json_t *document)
{
    static ngx_str_t  type = ngx_string("application/json");

    ngx_int_t  rc;

    if (ngx_comms_request_init(rq, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&rq->method, "POST");

    rq->path.data = (u_char *) path;
    rq->path.len = ngx_strlen(path);

    rc = ngx_comms_openai_headers(pool, q, rq);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_comms_request_header(rq, "Content-Type", &type);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_comms_json_dump(pool, document, &rq->body);
}


static ngx_int_t
ngx_comms_openai_headers(ngx_pool_t *pool, ngx_comms_question_t *q,
    ngx_comms_request_t *rq)
{
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t   bearer;

    bearer.len = sizeof("Bearer ") - 1 + q->key.len;

    bearer.data = ngx_pnalloc(pool, bearer.len);
    if (bearer.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(bearer.data, "Bearer ", sizeof("Bearer ") - 1);
    ngx_memcpy(p, q->key.data, q->key.len);

    rc = ngx_comms_request_header(rq, "Authorization", &bearer);

    if (rc == NGX_OK && q->turn_id.len != 0) {
        rc = ngx_comms_request_header(rq, "X-Client-Request-Id",
                                      &q->turn_id);
    }

    return rc;
}


static ngx_int_t
ngx_comms_openai_input(json_t *document, ngx_comms_question_t *q)
{
    json_t  *input, *item, *question;
    size_t   i;

    input = json_array();

    if (json_object_set_new(document, "input", input) != 0) {
        return NGX_ERROR;
    }

    json_array_foreach(q->input, i, question) {

        item = json_copy(question);

        if (json_array_append_new(input, item) != 0
            || json_object_set_new(item, "type", json_string("message"))
               != 0)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_openai_format(json_t *document, ngx_comms_question_t *q)
{
    json_t  *text;

    if (q->schema == NULL) {
        return NGX_OK;
    }

    text = json_pack("{s:{s:s,s:s,s:b,s:O}}", "format",
                     "type", "json_schema",
                     "name", q->schema_name ? q->schema_name : "answer",
                     "strict", 1,
                     "schema", q->schema);

    if (json_object_set_new(document, "text", text) != 0) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_openai_optional(json_t *document, ngx_comms_question_t *q)
{
    if (q->ai_conversation_id.len != 0
        && ngx_comms_json_set_str(document, "conversation",
                                  &q->ai_conversation_id)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (q->max_output_tokens != 0
        && json_object_set_new(document, "max_output_tokens",
                               json_integer(q->max_output_tokens))
           != 0)
    {
        return NGX_ERROR;
    }

    if (q->person.len != 0
        && q->person.len <= NGX_COMMS_OPENAI_MAX_PERSON
        && ngx_comms_json_set_str(document, "safety_identifier", &q->person)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_openai_metadata(json_t *document, ngx_comms_question_t *q)
{
    json_t  *metadata;

    metadata = json_object();

    if (json_object_set_new(document, "metadata", metadata) != 0) {
        return NGX_ERROR;
    }

    if (q->turn_id.len != 0
        && q->turn_id.len <= NGX_COMMS_OPENAI_MAX_METADATA
        && ngx_comms_json_set_str(metadata, "turn_id", &q->turn_id)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_json_set_str(metadata, "thread_id", &q->thread_id);
}


static ngx_int_t
ngx_comms_openai_check(json_t *credentials, const char **field,
    const char **words)
{
    size_t       i;
    json_t      *value;
    ngx_str_t    key;
    const char  *name;

    json_object_foreach(credentials, name, value) {

        if (ngx_strcmp(name, "provider") != 0
            && ngx_strcmp(name, "api_key") != 0)
        {
            *field = name;
            *words = "is unknown; allowed are provider, api_key";
            return NGX_DECLINED;
        }
    }

    *field = "api_key";
    *words = "must be a string of 1 to 512 visible characters";

    if (ngx_comms_json_str(credentials, "api_key", &key) != NGX_OK
        || key.len == 0 || key.len > 512)
    {
        return NGX_DECLINED;
    }

    for (i = 0; i < key.len; i++) {

        if (key.data[i] <= ' ' || key.data[i] > '~') {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


ngx_uint_t
ngx_comms_openai_id_valid(ngx_str_t *id)
{
    size_t  i;
    u_char  ch;

    if (id->len == 0 || id->len > NGX_COMMS_OPENAI_MAX_ID) {
        return 0;
    }

    for (i = 0; i < id->len; i++) {
        ch = id->data[i];

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
              || (ch >= '0' && ch <= '9') || ch == '_' || ch == '-'))
        {
            return 0;
        }
    }

    return 1;
}
