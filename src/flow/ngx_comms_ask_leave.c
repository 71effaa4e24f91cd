
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * May the AI be asked now, of whom, and how often?
 *
 *   breaker   an AI that is down is left alone; a waiting person is told so,
 *             or goes to a human, where the project says it
 *   rate      who would be too fast comes back later
 *   budget    a retry within the turn is paid for by the calls before it
 *
 * The project may name a second choice ("fallback" of ai_config).  It is
 * asked for the rest of the turn when the first is left alone, is configured
 * wrongly, has no quota left or has used up its attempts.  The second keeps
 * no memory: the record is sent along.  The first then does not know what was
 * said meanwhile; "ai_conversation_behind" in the record has the next turn
 * open another AI conversation for it, which is told everything.
 *
 * An attempt that surely had no effect may be followed by another one under
 * the same intent; one that may have had an effect may not (see
 * ngx_comms_ask.c), and waits for the queue.
 */


#include <flow/ngx_comms_thread.h>
#include <flow/ngx_comms_ask_leave.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>


/* between attempts within a turn, ms: the first one's bound, and the most */
#define NGX_COMMS_ASK_BASE        500
#define NGX_COMMS_ASK_CAP         8000

/* a provider that wants us to wait longer is asked again by the queue */
#define NGX_COMMS_ASK_PATIENCE    10000

#define NGX_COMMS_ASK_ATTEMPTS    3
#define NGX_COMMS_ASK_LOGGED      10

/* what an answer is taken to cost when nothing bounds it, tokens */
#define NGX_COMMS_ASK_ANSWER      500

/* a person who waits hears so once in this time, ms */
#define NGX_COMMS_ASK_HOLDING     1800000


static ngx_int_t ngx_comms_ask_keys(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_ask_shut(ngx_comms_flow_t *f,
    ngx_msec_t retry_after);
static ngx_uint_t ngx_comms_ask_hand_off(ngx_comms_flow_t *f);
static ngx_uint_t ngx_comms_ask_may_hold(ngx_comms_flow_t *f);
static json_t *ngx_comms_ask_holding(ngx_comms_flow_t *f);
static void ngx_comms_ask_facts(ngx_comms_answer_t *an,
    ngx_comms_rate_facts_t *facts);
static int64_t ngx_comms_ask_fact(ngx_comms_answer_t *an, const char *name,
    ngx_uint_t what);
static ngx_uint_t ngx_comms_ask_may_switch(ngx_comms_flow_t *f);
static ngx_msec_t ngx_comms_ask_delay(ngx_comms_flow_t *f);
static size_t ngx_comms_ask_words(json_t *value);


json_t *
ngx_comms_ask_config(ngx_comms_thread_t *t)
{
    json_t  *config;

    config = json_object_get(t->project->config, "ai_config");

    return t->ask.second ? json_object_get(config, "fallback") : config;
}


ngx_int_t
ngx_comms_ask_leave(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_msec_t           retry_after;
    ngx_comms_ask_t     *a;
    ngx_comms_zone_t    *zone;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;
    zone = f->engine->zone;
    retry_after = 0;

    if (a->answered || a->settled || a->gave_up) {
        return NGX_OK;
    }

    if (ngx_comms_ask_keys(f) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_comms_breaker_admit(zone, &a->breaker_key,
                                 &ngx_comms_breaker_default, &a->breaker,
                                 &retry_after);

    if (rc != NGX_OK) {
        return ngx_comms_ask_shut(f, retry_after);
    }

    a->admitted = 1;

    rc = ngx_comms_rate_admit(zone, &a->breaker_key, &a->rate, &retry_after);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    ngx_comms_ask_report(f, NGX_COMMS_AI_NEUTRAL, NULL);

    f->retry_after = retry_after;

    return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEFER,
                               "the AI may not be asked so fast", NULL);
}


static ngx_int_t
ngx_comms_ask_keys(ngx_comms_flow_t *f)
{
    json_t              *config;
    ngx_str_t            id, words;
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    config = ngx_comms_ask_config(t);
    (void) ngx_comms_json_str(config, "api_key_reference", &id);

    words.len = a->provider.len + id.len + a->question.model.len + 2;
    words.data = ngx_pnalloc(f->pool, words.len);
    if (words.data == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(words.data, "%V#%V#%V", &a->provider, &id,
                &a->question.model);
    a->breaker_key = words;

    words.len = t->company_id.len + t->project_id.len + a->provider.len + 2;
    words.data = ngx_pnalloc(f->pool, words.len);
    if (words.data == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(words.data, "%V#%V#%V", &t->company_id, &t->project_id,
                &a->provider);
    a->budget_key = words;

    a->rate.class = a->live ? NGX_COMMS_RATE_LIVE : NGX_COMMS_RATE_FIRST;
    a->rate.project = ngx_crc32_short(t->project_id.data, t->project_id.len);
    a->rate.waited = a->waiting_since
                     && ngx_comms_clock_ms() > a->waiting_since
                     ? (ngx_msec_t) (ngx_comms_clock_ms() - a->waiting_since)
                     : 0;

    /*
     * Four bytes to a token, of the words there are; what the AI remembers of
     * the conversation is counted when the answer tells.
     */

    a->rate.tokens = (ngx_comms_ask_words(json_object_get(config,
                                              a->live ? "instructions_reply"
                                                      : "instructions_first"))
                      + ngx_comms_ask_words(t->inbound)
                      + ngx_comms_ask_words(json_object_get(t->facts,
                                                            "project_data")))
                     / 4
                     + (a->question.max_output_tokens
                        ? a->question.max_output_tokens
                        : NGX_COMMS_ASK_ANSWER);

    return NGX_OK;
}


static size_t
ngx_comms_ask_words(json_t *value)
{
    size_t       len, i;
    json_t      *one;
    const char  *name;

    len = 0;

    if (json_is_string(value)) {
        return json_string_length(value);
    }

    json_array_foreach(value, i, one) {
        len += ngx_comms_ask_words(json_is_object(one)
                                   ? json_object_get(one, "content") : one);
    }

    json_object_foreach(value, name, one) {
        len += ngx_comms_ask_words(one);
    }

    return len;
}


/* the breaker is open: another AI, a word to who waits, a human, or later */

static ngx_int_t
ngx_comms_ask_shut(ngx_comms_flow_t *f, ngx_msec_t retry_after)
{
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    if (ngx_comms_ask_may_switch(f)) {
        return ngx_comms_ask_switch(f);
    }

    if (ngx_comms_ask_hand_off(f)) {
        a->handed_over = 1;
        a->gave_up = 1;
        a->answer.label = "ai_unavailable";

        return NGX_OK;
    }

    if (ngx_comms_ask_may_hold(f)) {
        a->hold = 1;

        return ngx_comms_flow_goto(f, ngx_comms_ask_hold);
    }

    /* not all of them at once */

    f->retry_after = retry_after + 1 + ngx_random() % (retry_after / 2 + 500);

    return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEFER,
                               "the AI is left alone for a while", NULL);
}


ngx_uint_t
ngx_comms_ask_outage(ngx_comms_flow_t *f)
{
    ngx_msec_t           retry_after;
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    if (a->breaker_key.len == 0
        || (!ngx_comms_ask_hand_off(f) && !ngx_comms_ask_may_hold(f)))
    {
        return 0;
    }

    if (ngx_comms_breaker_admit(f->engine->zone, &a->breaker_key,
                                &ngx_comms_breaker_default, &a->breaker,
                                &retry_after)
        != NGX_OK)
    {
        return 1;
    }

    a->admitted = 1;
    ngx_comms_ask_report(f, NGX_COMMS_AI_NEUTRAL, NULL);

    return 0;
}


static ngx_uint_t
ngx_comms_ask_hand_off(ngx_comms_flow_t *f)
{
    ngx_str_t            outage;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    (void) ngx_comms_json_str(json_object_get(t->project->config,
                                              "ai_config"),
                              "on_outage", &outage);

    return t->ask.live
           && outage.len == sizeof("hand_off") - 1
           && ngx_strncmp(outage.data, "hand_off", outage.len) == 0;
}


static ngx_uint_t
ngx_comms_ask_may_hold(ngx_comms_flow_t *f)
{
    int64_t              at;
    ngx_str_t            words;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    (void) ngx_comms_json_str(json_object_get(t->project->config,
                                              "ai_config"),
                              "holding_message", &words);

    if (!t->ask.live || words.len == 0) {
        return 0;
    }

    at = 0;
    (void) ngx_comms_json_int(t->facts, "ai_holding_at", &at);

    return ngx_comms_clock_ms() - at >= NGX_COMMS_ASK_HOLDING;
}


/*
 * The holding message becomes durable as a message not sent yet, and the
 * thread is claimed again: what is unsent goes out before anything else.
 */

ngx_int_t
ngx_comms_ask_hold(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (!t->ask.hold) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    in = json_pack("{s:s%, s:I, s:[o], s:{s:I}}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "fence", (json_int_t) t->fence,
                   "messages", ngx_comms_ask_holding(f),
                   "set", "ai_holding_at", (json_int_t) ngx_comms_clock_ms());

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


ngx_int_t
ngx_comms_ask_hold_done(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    rc = ngx_comms_thread_recorded(f);
    if (rc != NGX_OK) {
        return rc;
    }

    t->ask.hold = 0;

    return ngx_comms_flow_goto(f, ngx_comms_thread_claim);
}


static json_t *
ngx_comms_ask_holding(ngx_comms_flow_t *f)
{
    u_char               now[NGX_COMMS_ISO8601_LEN + 1];
    json_t              *newest;
    ngx_str_t            entry_id, channel, company;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    newest = json_array_get(t->inbound, json_array_size(t->inbound) - 1);
    (void) ngx_comms_json_str(newest, "channel", &channel);

    *ngx_comms_iso8601(now, ngx_comms_clock_ms()) = '\0';

    if (ngx_comms_id_mint(f->pool, "", &entry_id) != NGX_OK
        || ngx_comms_project_address(f->pool, t->project,
                                     ngx_comms_channel_by_name(&channel),
                                     &company) != NGX_OK)
    {
        return NULL;
    }

    return json_pack("{s:s%, s:s, s:s, s:s%, s:O, s:s%, s:O, s:s, s:s%}",
                     "entry_id", entry_id.data, entry_id.len,
                     "message_timestamp", now,
                     "role", "system",
                     "channel", channel.data, channel.len,
                     "content",
                     json_object_get(json_object_get(t->project->config,
                                                     "ai_config"),
                                     "holding_message"),
                     "company_address", company.data, company.len,
                     "person_address",
                     json_object_get(newest, "person_address"),
                     "status", "pending",
                     "turn_id", entry_id.data, entry_id.len);
}


void
ngx_comms_ask_report(ngx_comms_flow_t *f, ngx_comms_ai_health_e health,
    ngx_comms_answer_t *an)
{
    ngx_uint_t               spent;
    ngx_comms_ask_t         *a;
    ngx_comms_thread_t      *t;
    ngx_comms_rate_facts_t   facts;

    static const ngx_comms_breaker_outcome_e  outcomes[] = {
        NGX_COMMS_BREAKER_GOOD,       /* NGX_COMMS_AI_WELL */
        NGX_COMMS_BREAKER_BAD,        /* NGX_COMMS_AI_SICK */
        NGX_COMMS_BREAKER_NEUTRAL,    /* NGX_COMMS_AI_BUSY */
        NGX_COMMS_BREAKER_NEUTRAL,    /* NGX_COMMS_AI_NEUTRAL */
        NGX_COMMS_BREAKER_QUOTA       /* NGX_COMMS_AI_EMPTY */
    };

    t = f->ctx;
    a = &t->ask;

    if (!a->admitted) {
        return;
    }

    a->admitted = 0;

    ngx_comms_breaker_report(f->engine->zone, &a->breaker_key,
                             &ngx_comms_breaker_default, a->breaker,
                             outcomes[health], a->took);

    if (an == NULL) {
        return;
    }

    ngx_comms_ask_facts(an, &facts);

    spent = a->answer.total_tokens > 0 ? (ngx_uint_t) a->answer.total_tokens
                                       : 0;

    ngx_comms_rate_report(f->engine->zone, &a->breaker_key, &a->rate, &facts,
                          spent, health == NGX_COMMS_AI_BUSY,
                          a->answer.retry_after);
}


static void
ngx_comms_ask_facts(ngx_comms_answer_t *an, ngx_comms_rate_facts_t *facts)
{
    facts->limit_requests = ngx_comms_ask_fact(an,
                                           "x-ratelimit-limit-requests", 1);
    facts->limit_tokens = ngx_comms_ask_fact(an,
                                             "x-ratelimit-limit-tokens", 1);
    facts->remaining_requests = ngx_comms_ask_fact(an,
                                       "x-ratelimit-remaining-requests", 0);
    facts->remaining_tokens = ngx_comms_ask_fact(an,
                                         "x-ratelimit-remaining-tokens", 0);
    facts->reset_requests = ngx_comms_ask_fact(an,
                                           "x-ratelimit-reset-requests", 2);
    facts->reset_tokens = ngx_comms_ask_fact(an,
                                             "x-ratelimit-reset-tokens", 2);
}


static int64_t
ngx_comms_ask_fact(ngx_comms_answer_t *an, const char *name, ngx_uint_t what)
{
    ngx_str_t  *value;

    value = ngx_comms_answer_header(an, name);

    if (value == NULL) {
        return -1;
    }

    return what == 2 ? ngx_comms_rate_duration(value)
                     : ngx_comms_rate_number(value, what);
}


static ngx_uint_t
ngx_comms_ask_may_switch(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    return !t->ask.second
           && json_is_object(json_object_get(
                                 json_object_get(t->project->config,
                                                 "ai_config"),
                                 "fallback"));
}


ngx_int_t
ngx_comms_ask_switch(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_AI_SECOND, 1);

    t->ask.second = 1;
    t->ask.attempts = 0;
    t->ask.in_doubt = 0;

    if (ngx_comms_ask_choose(f) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_flow_goto(f, ngx_comms_ask_credentials);
}


ngx_int_t
ngx_comms_ask_again(ngx_comms_flow_t *f)
{
    ngx_uint_t              most;
    ngx_msec_t              delay;
    ngx_comms_ask_t        *a;
    ngx_comms_thread_t     *t;
    ngx_comms_ai_answer_t  *answer;

    t = f->ctx;
    a = &t->ask;
    answer = &a->answer;

    most = (ngx_uint_t) json_integer_value(
                            json_object_get(ngx_comms_ask_config(t),
                                            "max_attempts"));
    if (most == 0) {
        most = NGX_COMMS_ASK_ATTEMPTS;
    }

    if ((answer->verdict == NGX_COMMS_AI_RETRY
         || answer->verdict == NGX_COMMS_AI_UNUSABLE)
        && a->attempts < most && !f->last)
    {
        delay = ngx_comms_ask_delay(f);

        if (answer->retry_after <= NGX_COMMS_ASK_PATIENCE
            && ngx_current_msec - t->started + delay
               < f->engine->turn_timeout / 2
            && ngx_comms_budget_take(f->engine->zone, &a->budget_key)
               == NGX_OK)
        {
            ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_AI_RETRY, 1);
            a->pausing = 1;

            return ngx_comms_flow_pause(f, delay);
        }
    }

    if (answer->verdict != NGX_COMMS_AI_REFUSED
        && answer->verdict != NGX_COMMS_AI_UNKNOWN
        && answer->verdict != NGX_COMMS_AI_LOST
        && answer->health != NGX_COMMS_AI_NEUTRAL
        && ngx_comms_ask_may_switch(f))
    {
        return ngx_comms_ask_switch(f);
    }

    return NGX_OK;
}


/* full jitter; but never before the provider's own time */

static ngx_msec_t
ngx_comms_ask_delay(ngx_comms_flow_t *f)
{
    ngx_msec_t           bound;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    bound = ngx_min(NGX_COMMS_ASK_BASE << ngx_min(t->ask.attempts, 8),
                    NGX_COMMS_ASK_CAP);

    return t->ask.answer.retry_after + 1 + ngx_random() % bound;
}


void
ngx_comms_ask_note(ngx_comms_flow_t *f)
{
    json_t                 *one;
    ngx_comms_ask_t        *a;
    ngx_comms_thread_t     *t;
    ngx_comms_ai_answer_t  *answer;

    t = f->ctx;
    a = &t->ask;
    answer = &a->answer;

    if (a->log == NULL) {
        a->log = json_array();
    }

    if (a->log == NULL || json_array_size(a->log) >= NGX_COMMS_ASK_LOGGED) {
        return;
    }

    one = json_pack("{s:s%, s:s%, s:s, s:I}",
                    "provider", a->provider.data, a->provider.len,
                    "model", a->question.model.data, a->question.model.len,
                    "label", answer->label ? answer->label : "answered",
                    "processing_time_ms", (json_int_t) a->took);

    if (one && answer->request_id.len) {
        (void) ngx_comms_json_set_str(one, "request_id", &answer->request_id);
    }

    if (one && answer->total_tokens >= 0) {
        (void) json_object_set_new(one, "ai_total_tokens",
                                   json_integer(answer->total_tokens));
    }

    /* an account of what was tried, no more: it may be missing */

    (void) json_array_append_new(a->log, one);
}
