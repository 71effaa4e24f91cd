
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The rows that ask the AI.
 *
 * An ask is one effect, "ai:<turn>".  What is known of it:
 *
 *   no intent            ask
 *   intent, this run     ask
 *   intent, earlier run  it may have been paid for: look into the AI
 *                        conversation for our input, and ask only when it is
 *                        not there (items are appended when a response is
 *                        complete; a provider that keeps no memory cannot
 *                        be looked at and is asked again)
 *   done                 the outcome has it
 *
 * Which failures are tried again and which are given up is decided in
 * ngx_comms_ask_settle() alone; what is tried again within the turn, and of
 * whom, in ngx_comms_ask_leave.c.
 */


#include <flow/ngx_comms_thread.h>
#include <flow/ngx_comms_ask_leave.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>


/* a wrong key or an empty account is not mended within seconds, ms */
#define NGX_COMMS_ASK_OPERATOR_DELAY  60000


static ngx_int_t ngx_comms_ask_person(ngx_comms_flow_t *f);
static ngx_uint_t ngx_comms_ask_over(ngx_comms_ask_t *a);
static ngx_int_t ngx_comms_ask_compose(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_ask_lost(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_ask_fail(ngx_comms_flow_t *f);
static ngx_uint_t ngx_comms_ask_permanent(ngx_comms_flow_t *f);


ngx_int_t
ngx_comms_ask_prepare(ngx_comms_flow_t *f, ngx_str_t *turn_id,
    ngx_comms_step_pt compose)
{
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    json_decref(a->log);
    json_decref(a->question.input);
    json_decref(a->question.schema);
    json_decref(a->answer.structured);
    json_decref(a->detail);
    json_decref(a->outcome);

    ngx_memzero(a, sizeof(ngx_comms_ask_t));

    a->compose = compose;
    a->question.thread_id = t->thread_id;
    a->question.turn_id = *turn_id;
    a->turn_id = *turn_id;

    a->effect_id.data = ngx_pnalloc(f->pool, sizeof("ai:") - 1 + turn_id->len);
    if (a->effect_id.data == NULL) {
        return NGX_ERROR;
    }

    a->effect_id.len = ngx_sprintf(a->effect_id.data, "ai:%V", turn_id)
                       - a->effect_id.data;

    if (ngx_comms_ask_choose(f) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_ask_person(f);
}


ngx_int_t
ngx_comms_ask_choose(ngx_comms_flow_t *f)
{
    json_t              *config;
    ngx_str_t            state;
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    config = ngx_comms_ask_config(t);

    (void) ngx_comms_json_str(config, "provider", &a->provider);
    (void) ngx_comms_json_str(config, "model", &a->question.model);
    (void) ngx_comms_json_str(config, "state", &state);

    f->provider = a->provider;

    a->replay = a->second
                || (state.len == sizeof("replay") - 1
                    && ngx_strncmp(state.data, "replay", state.len) == 0);

    a->question.max_output_tokens = (ngx_uint_t)
        json_integer_value(json_object_get(config, "max_output_tokens"));

    json_decref(a->question.input);
    a->question.input = NULL;
    json_decref(a->question.schema);
    a->question.schema = NULL;

    ngx_str_null(&a->question.ai_conversation_id);

    if (a->replay) {
        return NGX_OK;
    }

    /* what was said while another AI was asked, it has to be told */

    if (json_integer_value(json_object_get(t->facts,
                                           "ai_conversation_behind")))
    {
        a->reseed = 1;
        return NGX_OK;
    }

    return ngx_comms_thread_str(f, t->facts, "ai_conversation_id",
                                &a->question.ai_conversation_id);
}


/* the provider gets a hash of who asks, never an address */

static ngx_int_t
ngx_comms_ask_person(ngx_comms_flow_t *f)
{
    u_char              *p;
    ngx_str_t            who, person;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_json_str(t->facts, "recipient_tel", &person) != NGX_OK
        && ngx_comms_json_str(t->facts, "recipient_email", &person) != NGX_OK)
    {
        return NGX_OK;
    }

    who.len = t->company_id.len + 1 + person.len;
    who.data = ngx_pnalloc(f->pool, who.len);
    if (who.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(who.data, t->company_id.data, t->company_id.len);
    *p++ = '#';
    ngx_memcpy(p, person.data, person.len);

    return ngx_comms_sha256_hex(f->pool, &who, &t->ask.question.person);
}


ngx_int_t
ngx_comms_ask_credentials(ngx_comms_flow_t *f)
{
    json_t               *credentials;
    ngx_int_t             rc;
    ngx_str_t             id, protocol;
    ngx_comms_op_t       *op;
    ngx_comms_ask_t      *a;
    ngx_comms_thread_t   *t;
    ngx_comms_secrets_t  *secrets;

    t = f->ctx;
    a = &t->ask;
    secrets = f->engine->secrets;

    (void) ngx_comms_json_str(ngx_comms_ask_config(t), "api_key_reference",
                              &id);

    op = ngx_comms_flow_op(f, f->engine->op_timeout);
    if (op == NULL) {
        return NGX_ERROR;
    }

    rc = secrets->get(secrets, &id, &credentials, op);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    ngx_comms_flow_unused(f, op);

    if (rc != NGX_OK) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "no credentials for the AI", &id);
    }

    (void) ngx_comms_json_str(credentials, "provider", &protocol);
    (void) ngx_comms_json_str(credentials, "api_key", &a->question.key);

    a->ai = ngx_comms_ai_by_name(&protocol);

    if (a->ai == NULL) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "credentials are not for an AI", &id);
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_ask_credentials_done(ngx_comms_flow_t *f)
{
    if (f->op_rc == NGX_COMMS_LATE) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "credentials were not fetched in time",
                                   NULL);
    }

    return NGX_BUSY;
}


static ngx_uint_t
ngx_comms_ask_over(ngx_comms_ask_t *a)
{
    return a->answered || a->settled || a->gave_up;
}


ngx_int_t
ngx_comms_ask_conversation(ngx_comms_flow_t *f)
{
    ngx_comms_ask_t      *a;
    ngx_comms_thread_t   *t;
    ngx_comms_request_t   rq;

    t = f->ctx;
    a = &t->ask;

    if (a->replay || a->question.ai_conversation_id.len
        || ngx_comms_ask_over(a))
    {
        return NGX_OK;
    }

    if (ngx_comms_thread_ours(f) != NGX_OK
        || a->ai->conversation(f->pool, &a->question, &rq) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_flow_call(f, &a->provider, &rq);
}


ngx_int_t
ngx_comms_ask_conversation_done(ngx_comms_flow_t *f)
{
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    if (a->ai->read_conversation(f->pool, f->exchange, &a->answer) != NGX_OK) {
        return NGX_ERROR;
    }

    if (a->answer.verdict == NGX_COMMS_AI_ANSWERED) {
        a->question.ai_conversation_id = a->answer.text;
        a->created = 1;

        return NGX_OK;
    }

    a->attempts++;

    ngx_comms_ask_note(f);
    ngx_comms_ask_report(f, a->answer.health, f->exchange);

    /*
     * An AI conversation that nobody knows of costs nothing: it needs no
     * intent, and what failed is settled like an ask that failed.
     */

    return ngx_comms_flow_goto(f, ngx_comms_ask_settle);
}


ngx_int_t
ngx_comms_ask_remember(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_str_t           *id;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    id = &t->ask.question.ai_conversation_id;

    if (!t->ask.created) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    in = json_pack("{s:s%, s:I, s:{s:s%, s:i}}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "fence", (json_int_t) t->fence,
                   "set", "ai_conversation_id", id->data, id->len,
                   "ai_conversation_behind", 0);

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


ngx_int_t
ngx_comms_ask_remember_done(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    rc = ngx_comms_thread_recorded(f);
    if (rc != NGX_OK) {
        return rc;
    }

    t->ask.created = 0;

    return NGX_OK;
}


ngx_int_t
ngx_comms_ask_intend(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    if (a->intended || ngx_comms_ask_over(a)) {
        return NGX_OK;
    }

    if (ngx_comms_thread_ours(f) != NGX_OK) {
        return NGX_ERROR;
    }

    in = json_pack("{s:s%, s:s%, s:s, s:I, s:O?}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "effect_id", a->effect_id.data, a->effect_id.len,
                   "kind", "ai", "fence", (json_int_t) t->fence,
                   "detail", a->detail);

    return ngx_comms_thread_store(f, f->engine->store->intend, in);
}


ngx_int_t
ngx_comms_ask_intend_done(ngx_comms_flow_t *f)
{
    json_t              *effect;
    ngx_str_t            state;
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    if (f->op_rc == NGX_OK) {
        a->intended = 1;
        return NGX_OK;
    }

    if (f->op_rc == NGX_ABORT) {
        ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_FENCED, 1);

        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEFER,
                                   "thread passed to another turn", NULL);
    }

    if (f->op_rc != NGX_DECLINED) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "store could not be written", NULL);
    }

    effect = json_object_get(f->answer, "effect");
    (void) ngx_comms_json_str(effect, "state", &state);

    if (state.len == 4 && ngx_strncmp(state.data, "done", 4) == 0) {
        a->outcome = json_incref(json_object_get(effect, "outcome"));
        a->settled = 1;

    } else if (state.len == 6 && ngx_strncmp(state.data, "intent", 6) == 0) {
        a->in_doubt = 1;
        a->intended = 1;
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_ask_look(ngx_comms_flow_t *f)
{
    ngx_int_t             rc;
    ngx_comms_ask_t      *a;
    ngx_comms_thread_t   *t;
    ngx_comms_request_t   rq;

    t = f->ctx;
    a = &t->ask;

    if (!a->in_doubt || a->replay || a->reseed || ngx_comms_ask_over(a)) {
        return NGX_OK;
    }

    if (ngx_comms_thread_ours(f) != NGX_OK
        || ngx_comms_ask_compose(f) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = a->ai->items(f->pool, &a->question, &rq);

    if (rc == NGX_DECLINED) {
        return ngx_comms_ask_lost(f);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_flow_call(f, &a->provider, &rq);
}


ngx_int_t
ngx_comms_ask_look_done(ngx_comms_flow_t *f)
{
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    if (a->ai->read_items(f->pool, &a->question, f->exchange, &a->answer)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    a->in_doubt = 0;

    if (a->answer.verdict == NGX_COMMS_AI_ANSWERED) {
        ngx_comms_ask_report(f, a->answer.health, f->exchange);
        a->answered = 1;

        return NGX_OK;
    }

    if (a->answer.verdict == NGX_COMMS_AI_LOST) {
        return ngx_comms_ask_lost(f);
    }

    if (a->answer.verdict == NGX_COMMS_AI_RETRY
        && f->exchange->outcome == NGX_COMMS_EXCHANGE_COMPLETE
        && f->exchange->status == 200)
    {
        return NGX_OK;
    }

    /* not a word about the ask: its intent stays as it is */

    ngx_comms_ask_report(f, a->answer.health, f->exchange);

    return ngx_comms_ask_fail(f);
}


static ngx_int_t
ngx_comms_ask_compose(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (t->ask.question.input != NULL) {
        return NGX_OK;
    }

    return t->ask.compose(f);
}


ngx_int_t
ngx_comms_ask_call(ngx_comms_flow_t *f)
{
    ngx_comms_ask_t      *a;
    ngx_comms_thread_t   *t;
    ngx_comms_request_t   rq;

    t = f->ctx;
    a = &t->ask;

    if (ngx_comms_ask_over(a)) {
        return NGX_OK;
    }

    if (ngx_comms_thread_ours(f) != NGX_OK
        || ngx_comms_ask_compose(f) != NGX_OK
        || a->ai->ask(f->pool, &a->question, &rq) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_AI_CALL, 1);
    ngx_comms_budget_earn(f->engine->zone, &a->budget_key);

    a->attempts++;
    a->asked_at = ngx_current_msec;

    return ngx_comms_flow_call(f, &a->provider, &rq);
}


ngx_int_t
ngx_comms_ask_call_done(ngx_comms_flow_t *f)
{
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    a->took = ngx_current_msec - a->asked_at;

    if (a->ai->read_ask(f->pool, &a->question, f->exchange, &a->answer)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (a->answer.total_tokens > 0) {
        ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_AI_TOKENS,
                        (ngx_uint_t) a->answer.total_tokens);
    }

    ngx_comms_ask_note(f);
    ngx_comms_ask_report(f, a->answer.health, f->exchange);

    if (a->answer.verdict == NGX_COMMS_AI_ANSWERED) {
        a->answered = 1;
        return NGX_OK;
    }

    if (a->answer.verdict == NGX_COMMS_AI_LOST && !a->reseed) {
        return ngx_comms_ask_lost(f);
    }

    return NGX_OK;
}


/* a new AI conversation is opened, and told what the record knows */

static ngx_int_t
ngx_comms_ask_lost(ngx_comms_flow_t *f)
{
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    ngx_log_error(NGX_LOG_WARN, f->log, 0,
                  "AI conversation is gone, opening another");

    a->reseed = 1;
    ngx_str_null(&a->question.ai_conversation_id);

    json_decref(a->question.input);
    a->question.input = NULL;

    return ngx_comms_flow_goto(f, ngx_comms_ask_conversation);
}


/* will trying again not help? */

static ngx_uint_t
ngx_comms_ask_permanent(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    switch (t->ask.answer.verdict) {

    case NGX_COMMS_AI_REFUSED:
    case NGX_COMMS_AI_BAD_REQUEST:
        return 1;

    case NGX_COMMS_AI_LOST:
        return t->ask.reseed || f->last;

    default:
        return f->last;
    }
}


static ngx_int_t
ngx_comms_ask_fail(ngx_comms_flow_t *f)
{
    ngx_str_t               id;
    ngx_comms_thread_t     *t;
    ngx_comms_ai_answer_t  *answer;

    t = f->ctx;
    answer = &t->ask.answer;

    (void) ngx_comms_json_str(json_object_get(t->project->config, "ai_config"),
                              "api_key_reference", &id);

    f->retry_after = answer->retry_after;

    if (f->retry_after == 0
        && (answer->verdict == NGX_COMMS_AI_QUOTA
            || (answer->verdict == NGX_COMMS_AI_CONFIG
                && !ngx_comms_thread_rotated(f, &id))))
    {
        f->retry_after = NGX_COMMS_ASK_OPERATOR_DELAY;
    }

    ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_AI_RETRY, 1);

    return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                               answer->words ? answer->words
                                             : "the AI did not answer",
                               &answer->code);
}


ngx_int_t
ngx_comms_ask_settle(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_int_t            rc;
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    if (ngx_comms_ask_over(a)) {
        return NGX_OK;
    }

    rc = ngx_comms_ask_again(f);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_comms_ask_permanent(f)) {
        ngx_comms_count(f->engine->zone,
                        a->answer.verdict == NGX_COMMS_AI_REFUSED
                            ? NGX_COMMS_COUNT_AI_REFUSED
                            : NGX_COMMS_COUNT_AI_FAILED, 1);
        a->gave_up = 1;

        return NGX_OK;
    }

    if (!a->intended || a->answer.verdict == NGX_COMMS_AI_UNKNOWN) {
        return ngx_comms_ask_fail(f);
    }

    in = json_pack("{s:s%, s:s%}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "effect_id", a->effect_id.data, a->effect_id.len);

    return ngx_comms_thread_store(f, f->engine->store->withdraw, in);
}


ngx_int_t
ngx_comms_ask_settle_done(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (t->ask.pausing) {
        t->ask.pausing = 0;
        return ngx_comms_flow_goto(f, ngx_comms_ask_leave);
    }

    if (ngx_comms_ask_outage(f)) {
        t->ask.intended = 0;
        return ngx_comms_flow_goto(f, ngx_comms_ask_leave);
    }

    /* an intent that stayed behind only means one look more */

    return ngx_comms_ask_fail(f);
}
