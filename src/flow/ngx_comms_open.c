
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Opens a thread: asks the AI once for the first messages of all requested
 * channels, stores them, and publishes one context object to the topic; to
 * the first channel alone where they come one after the other, see
 * ngx_comms_fallback.c.
 *
 * What is already done is found by the same rows when they run again:
 *
 *   AI conversation   in the record
 *   the ask           effect "ai:first"; its outcome holds the context object
 *   the publish       the bus knows the publish id (the thread id)
 *
 * The context object has the names of the record's attributes, so that the
 * channel workers need nothing else; never a secret.
 */


#include <flow/ngx_comms_fallback.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_address.h>


static ngx_int_t ngx_comms_open_read(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_open_prepare(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_open_question(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_open_give_up(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_open_give_up_done(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_open_store(ngx_comms_flow_t *f);
static json_t *ngx_comms_open_record(ngx_comms_flow_t *f, json_t *context);
static ngx_int_t ngx_comms_open_store_done(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_open_publish(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_open_publish_done(ngx_comms_flow_t *f);

static ngx_int_t ngx_comms_open_die(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_open_die_done(ngx_comms_flow_t *f);

static json_t *ngx_comms_open_context(ngx_comms_flow_t *f);
static json_t *ngx_comms_open_message(ngx_comms_flow_t *f, ngx_uint_t channel,
    json_t *answer, ngx_uint_t counted);
static ngx_int_t ngx_comms_open_addresses(ngx_comms_flow_t *f,
    ngx_uint_t channel, ngx_str_t *company, ngx_str_t *person);


static ngx_str_t  ngx_comms_open_turn = ngx_string("first");


ngx_comms_step_t  ngx_comms_open_steps[] = {

    { "reading the start",
      ngx_comms_open_read, NULL, 0 },

    { "taking the lease",
      ngx_comms_thread_lease, NULL, 0 },

    { "taking the lock",
      ngx_comms_thread_lock, ngx_comms_thread_lock_done, 0 },

    { "claiming the thread",
      ngx_comms_thread_claim, ngx_comms_thread_claim_done, 0 },

    { "loading the project",
      ngx_comms_thread_project, ngx_comms_thread_project_done, 0 },

    { "preparing the first messages",
      ngx_comms_open_prepare, NULL, 0 },

    { "loading the AI's credentials",
      ngx_comms_ask_credentials, ngx_comms_ask_credentials_done, 0 },

    { "asking leave to ask",
      ngx_comms_ask_leave, NULL, 0 },

    { "opening the AI conversation",
      ngx_comms_ask_conversation, ngx_comms_ask_conversation_done, 0 },

    { "remembering the AI conversation",
      ngx_comms_ask_remember, ngx_comms_ask_remember_done, 0 },

    { "intending to ask the AI",
      ngx_comms_ask_intend, ngx_comms_ask_intend_done, 0 },

    { "looking for an earlier answer",
      ngx_comms_ask_look, ngx_comms_ask_look_done, 0 },

    { "asking the AI",
      ngx_comms_ask_call, ngx_comms_ask_call_done, 0 },

    { "settling the ask",
      ngx_comms_ask_settle, ngx_comms_ask_settle_done, 0 },

    { "giving up",
      ngx_comms_open_give_up, ngx_comms_open_give_up_done, 0 },

    { "storing the first messages",
      ngx_comms_open_store, ngx_comms_open_store_done, 0 },

    { "publishing",
      ngx_comms_open_publish, ngx_comms_open_publish_done, 0 },

    { "setting the time of the next channel",
      ngx_comms_fallback_due, ngx_comms_fallback_due_done, 0 },

    { "recording the end",
      ngx_comms_open_die, ngx_comms_open_die_done, 1 },

    { "releasing the lease",
      ngx_comms_thread_release, ngx_comms_thread_release_done, 1 },

    { NULL, NULL, NULL, 0 }
};


static ngx_int_t
ngx_comms_open_read(ngx_comms_flow_t *f)
{
    ngx_int_t  rc;

    if (ngx_comms_thread_create(f) == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_comms_thread_name(f, f->body);

    if (rc == NGX_DECLINED) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "start is malformed", NULL);
    }

    return rc;
}


static ngx_int_t
ngx_comms_open_prepare(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    /* a reply wanted the lease while the start was in work: nothing to redo */

    if (t->rounds > 1) {
        return ngx_comms_flow_goto(f, ngx_comms_thread_release);
    }

    return ngx_comms_ask_prepare(f, &ngx_comms_open_turn,
                                 ngx_comms_open_question);
}


static ngx_int_t
ngx_comms_open_question(ngx_comms_flow_t *f)
{
    json_t                *channels;
    ngx_comms_thread_t    *t;
    ngx_comms_question_t  *q;

    t = f->ctx;
    q = &t->ask.question;
    channels = json_object_get(t->facts, "channel_method");

    q->schema_name = "first_messages";
    q->schema = ngx_comms_prompt_first_schema(channels);
    q->input = ngx_comms_prompt_first_input(f->pool, t->project->config,
                                            t->facts);

    if (q->schema == NULL || q->input == NULL) {
        return NGX_ERROR;
    }

    return ngx_comms_prompt_first(f->pool, t->project->config, t->facts,
                                  &q->instructions);
}


static ngx_int_t
ngx_comms_open_give_up(ngx_comms_flow_t *f)
{
    json_t              *in;
    const char          *label;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (!t->ask.gave_up) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    label = t->ask.answer.label ? t->ask.answer.label : "ai_failed";

    in = json_pack("{s:s%, s:I, s:{s:s, s:i, s:s}, s:{s:s, s:s},"
                   " s:{s:s%, s:s, s:{s:s}}}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "fence", (json_int_t) t->fence,
                   "set", "conversation_status", "failed",
                   "hand_off_to_human", 1,
                   "hand_off_to_human_reason", label,
                   "channel_state", "status", "failed", "reason", label,
                   "effect", "effect_id",
                   t->ask.effect_id.data, t->ask.effect_id.len,
                   "state", "failed", "outcome", "reason", label);

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


static ngx_int_t
ngx_comms_open_give_up_done(ngx_comms_flow_t *f)
{
    ngx_int_t               rc;
    ngx_comms_thread_t     *t;
    ngx_comms_ai_answer_t  *answer;

    t = f->ctx;
    answer = &t->ask.answer;

    rc = ngx_comms_thread_written(f);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                               answer->words ? answer->words
                                             : "the AI did not answer",
                               &answer->code);
}


/*
 * The ask's outcome and the first messages become durable in one step.  An
 * earlier run may have done that; then the empty record asks whether the
 * fence is still ours, as everything is that comes before a publish.
 */

static ngx_int_t
ngx_comms_open_store(ngx_comms_flow_t *f)
{
    json_t              *in, *context;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    if (t->ask.settled) {
        in = json_pack("{s:s%, s:I}",
                       "thread_id", t->thread_id.data, t->thread_id.len,
                       "fence", (json_int_t) t->fence);

        return ngx_comms_thread_store(f, f->engine->store->record, in);
    }

    if (t->ask.outcome == NULL) {
        context = ngx_comms_open_context(f);
        if (context == NULL) {
            return NGX_ERROR;
        }

        t->ask.outcome = json_pack("{s:o, s:s%, s:I, s:O*}",
                               "context", context, "response_id",
                               t->ask.answer.response_id.len
                                   ? (char *) t->ask.answer.response_id.data
                                   : "",
                               t->ask.answer.response_id.len,
                               "total_tokens",
                               (json_int_t) t->ask.answer.total_tokens,
                               "attempts", t->ask.log);
        if (t->ask.outcome == NULL) {
            return NGX_ERROR;
        }
    }

    in = ngx_comms_open_record(f, json_object_get(t->ask.outcome, "context"));

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


/* "first_messages": which entry of the record opened the thread on a channel */

static json_t *
ngx_comms_open_record(ngx_comms_flow_t *f, json_t *context)
{
    json_t              *message, *messages, *firsts, *parts;
    const char          *name;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    messages = json_array();
    firsts = json_object();

    json_object_foreach(json_object_get(context, "messages"), name, message) {
        parts = json_object_get(json_object_get(context, "parts"), name);

        if (json_array_append(messages, message) != 0
            || (parts && json_array_extend(messages, parts) != 0)
            || json_object_set(firsts, name,
                               json_object_get(message, "entry_id"))
               != 0)
        {
            json_decref(messages);
            json_decref(firsts);

            return NULL;
        }
    }

    return json_pack("{s:s%, s:I, s:{s:s%, s:s, s:O}, s:o,"
                     " s:{s:s, s:I, s:o}}",
                     "thread_id", t->thread_id.data, t->thread_id.len,
                     "fence", (json_int_t) t->fence,
                     "effect", "effect_id",
                     t->ask.effect_id.data, t->ask.effect_id.len,
                     "state", "done", "outcome", t->ask.outcome,
                     "messages", messages,
                     "set", "conversation_status", "open",
                     "processing_time_ms", (json_int_t) t->ask.took,
                     "first_messages", firsts);
}


static ngx_int_t
ngx_comms_open_store_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_recorded(f);
}


static json_t *
ngx_comms_open_context(ngx_comms_flow_t *f)
{
    size_t               i;
    json_t              *context, *messages, *all, *parts;
    json_t              *name, *fact, *message;
    ngx_int_t            channel;
    ngx_str_t            view;
    ngx_uint_t           n;
    ngx_comms_thread_t  *t;

    static const char   *names[] = {
        "thread_id", "conversation_id", "company_id", "project_id",
        "request_id", "channel_method", "recipient_first_name",
        "recipient_last_name", "recipient_tel", "recipient_email",
        "recipient_time_zone", "comms_consent", "project_data",
        "company_name", "project_name", "company_rep",
        "initial_request_timestamp", "fallback", NULL
    };

    t = f->ctx;

    context = json_pack("{s:s, s:{}, s:{}}", "kind", "deliver", "messages",
                        "parts");
    if (context == NULL) {
        return NULL;
    }

    for (n = 0; names[n]; n++) {
        fact = json_object_get(t->facts, names[n]);

        if (fact && json_object_set(context, names[n], fact) != 0) {
            goto failed;
        }
    }

    if (t->ask.question.ai_conversation_id.len
        && ngx_comms_json_set_str(context, "ai_conversation_id",
                                  &t->ask.question.ai_conversation_id)
           != NGX_OK)
    {
        goto failed;
    }

    messages = json_object_get(context, "messages");
    all = json_object_get(context, "parts");

    json_array_foreach(json_object_get(t->facts, "channel_method"), i, name) {
        view = ngx_comms_json_view(name);
        channel = ngx_comms_channel_by_name(&view);

        if (channel == NGX_ERROR) {
            goto failed;
        }

        message = ngx_comms_open_message(f, channel,
                          json_object_get(t->ask.answer.structured,
                                          (char *) view.data),
                          i == 0);

        if (message == NULL
            || json_object_set_new(messages, (char *) view.data, message) != 0
            || ngx_comms_parts_make(f, message, &parts) != NGX_OK
            || (parts
                && json_object_set_new(all, (char *) view.data, parts) != 0))
        {
            goto failed;
        }
    }

    return context;

failed:

    json_decref(context);

    return NULL;
}


/* what the one ask cost stands with the first of its messages */

static json_t *
ngx_comms_open_message(ngx_comms_flow_t *f, ngx_uint_t channel,
    json_t *answer, ngx_uint_t counted)
{
    u_char                  now[NGX_COMMS_ISO8601_LEN + 1];
    json_t                 *message;
    ngx_str_t               entry_id, company, person, content, subject;
    ngx_comms_thread_t     *t;
    ngx_comms_ai_answer_t  *a;

    t = f->ctx;
    a = &t->ask.answer;

    *ngx_comms_iso8601(now, ngx_comms_clock_ms()) = '\0';

    (void) ngx_comms_json_str(answer, "message", &content);
    (void) ngx_comms_json_str(answer, "subject", &subject);

    content = ngx_comms_trim(content);

    if (ngx_comms_id_mint(f->pool, "", &entry_id) != NGX_OK
        || ngx_comms_shorten(f->pool, &content,
                   ngx_comms_prompt_limit(t->project->config,
                                          &ngx_comms_channel_names[channel]),
                   &content) != NGX_OK
        || ngx_comms_open_addresses(f, channel, &company, &person) != NGX_OK)
    {
        return NULL;
    }

    message = json_pack("{s:s%, s:s, s:s, s:s, s:s%, s:s%, s:s%, s:s,"
                        " s:I, s:I, s:I, s:I}",
                        "entry_id", entry_id.data, entry_id.len,
                        "message_timestamp", now,
                        "role", "assistant",
                        "channel", ngx_comms_channel_names[channel].data,
                        "content", content.data, content.len,
                        "company_address", company.data, company.len,
                        "person_address", person.data, person.len,
                        "status", "pending",
                        "ai_prompt_tokens",
                        (json_int_t) (counted ? a->prompt_tokens : 0),
                        "ai_completion_tokens",
                        (json_int_t) (counted ? a->completion_tokens : 0),
                        "ai_total_tokens",
                        (json_int_t) (counted ? a->total_tokens : 0),
                        "processing_time_ms", (json_int_t) t->ask.took);

    if (message && subject.len
        && ngx_comms_json_set_str(message, "subject", &subject) != NGX_OK)
    {
        json_decref(message);
        return NULL;
    }

    return message;
}


static ngx_int_t
ngx_comms_open_addresses(ngx_comms_flow_t *f, ngx_uint_t channel,
    ngx_str_t *company, ngx_str_t *person)
{
    ngx_str_t            bare;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_project_address(f->pool, t->project, channel, company)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (channel == NGX_COMMS_EMAIL) {
        (void) ngx_comms_json_str(t->facts, "recipient_email", &bare);

        return ngx_comms_address_email(f->pool, &bare, person);
    }

    (void) ngx_comms_json_str(t->facts, "recipient_tel", &bare);

    return ngx_comms_address_tel(f->pool, &bare, person);
}


static ngx_int_t
ngx_comms_open_publish(ngx_comms_flow_t *f)
{
    json_t              *in, *context, *channels;
    ngx_comms_op_t      *op;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_thread_ours(f) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    context = json_object_get(t->ask.outcome, "context");

    channels = ngx_comms_fallback_channels(t->facts);

    channels = channels ? json_pack("[O]", json_array_get(channels, 0))
                        : json_incref(json_object_get(context,
                                                      "channel_method"));

    in = json_pack("{s:s%, s:o, s:s%, s:O}",
                   "publish_id", t->thread_id.data, t->thread_id.len,
                   "channels", channels,
                   "group", t->thread_id.data, t->thread_id.len,
                   "body", context);

    if (in == NULL) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "first messages are not in the record",
                                   NULL);
    }

    op = ngx_comms_flow_op(f, f->engine->op_timeout);
    if (op == NULL) {
        json_decref(in);
        return NGX_ERROR;
    }

    f->engine->bus->publish(f->engine->bus, in, op);

    return NGX_AGAIN;
}


static ngx_int_t
ngx_comms_open_publish_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}


/*
 * A start that goes to the dead letters says so in the record, whatever it
 * died of; when it is taken from there again, nothing stands in its way.
 */

static ngx_int_t
ngx_comms_open_die(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (!ngx_comms_thread_dies(f) || t->ask.gave_up) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    in = json_pack("{s:s%, s:{s:s}, s:{s:s, s:s}}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "set", "conversation_status", "failed",
                   "channel_state", "status", "failed", "reason", "gave_up");

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


static ngx_int_t
ngx_comms_open_die_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}
