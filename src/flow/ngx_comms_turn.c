
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A turn: messages from a person -> AI -> answer -> record.
 *
 * The queue message only says that something came in.  The turn finds the
 * thread, takes its lease, and collects all that waits for the thread on any
 * channel; the AI is asked once for all of it, and the answer goes out on the
 * channel of the newest message.
 *
 * The order that makes it safe to end anywhere and run again:
 *
 *   claim    raises the fence: an older turn can write no more
 *   intent   "ai:<newest inbound id>", with the ids that it answers
 *   answer   durable as a "pending" message, with "done" on what it answers,
 *            in one step
 *   send     its own effect, see ngx_comms_send.c
 *   release  only when nobody came meanwhile, decided by lock and lease
 *            themselves; else once more from "claiming"
 *
 * A run that follows one that ended between "answer" and "send" finds the
 * pending message and sends it before anything else; one that follows an end
 * between "intent" and "answer" keeps to the set of messages named there, so
 * that the question is the same.
 *
 * A queue message that goes to the dead letters unanswered leaves its words
 * in the record, and the thread to a human: nobody else would look for them.
 */


#include <flow/ngx_comms_turn.h>
#include <flow/ngx_comms_fallback.h>
#include <flow/ngx_comms_media_fetch.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>


static ngx_int_t ngx_comms_turn_collect(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_turn_owner(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_turn_choose(ngx_comms_flow_t *f);
static json_t *ngx_comms_turn_unsettled(ngx_comms_thread_t *t);
static json_t *ngx_comms_turn_ids(json_t *inbound);
static ngx_uint_t ngx_comms_turn_has(json_t *ids, json_t *id);
static ngx_int_t ngx_comms_turn_question(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_turn_append(json_t *input, json_t *items);
static ngx_int_t ngx_comms_turn_leave(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_turn_leave_done(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_turn_answer(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_turn_answer_done(ngx_comms_flow_t *f);
static json_t *ngx_comms_turn_messages(ngx_comms_flow_t *f);
static json_t *ngx_comms_turn_reply(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_turn_mail(ngx_comms_flow_t *f, json_t *reply,
    json_t *newest);
static ngx_int_t ngx_comms_turn_prepare(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_turn_give_up(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_turn_give_up_done(ngx_comms_flow_t *f);


ngx_comms_step_t  ngx_comms_turn_steps[] = {

    { "reading the message",
      ngx_comms_inbound_read, ngx_comms_inbound_read_done, 0 },

    { "checking the reply address",
      ngx_comms_inbound_token, ngx_comms_inbound_token_done, 0 },

    { "finding the thread",
      ngx_comms_inbound_find, ngx_comms_inbound_find_done, 0 },

    { "loading the project",
      ngx_comms_thread_project, ngx_comms_thread_project_done, 0 },

    { "checking whose webhook it was",
      ngx_comms_inbound_trust, ngx_comms_inbound_trust_done, 0 },

    { "adding the person's other addresses",
      ngx_comms_inbound_link, ngx_comms_inbound_link_done, 0 },

    { "reading the person's addresses",
      ngx_comms_inbound_person, ngx_comms_inbound_person_done, 0 },

    { "heeding STOP and START",
      ngx_comms_inbound_consent, ngx_comms_inbound_consent_done, 0 },

    { "recording STOP, START and HELP",
      ngx_comms_inbound_heed, ngx_comms_inbound_heed_done, 0 },

    { "handing over to the thread's group",
      ngx_comms_thread_group, ngx_comms_thread_group_done, 0 },

    { "taking the lease",
      ngx_comms_thread_lease, NULL, 0 },

    { "taking the lock",
      ngx_comms_thread_lock, ngx_comms_thread_lock_done, 0 },

    { "claiming the thread",
      ngx_comms_thread_claim, ngx_comms_thread_claim_done, 0 },

    { "collecting what waits",
      ngx_comms_turn_collect, NULL, 0 },

    { "fetching media",
      ngx_comms_media_fetch, ngx_comms_media_fetch_done, 0 },

    { "asking whose the thread is",
      ngx_comms_turn_owner, NULL, 0 },

    { "loading the AI's credentials",
      ngx_comms_ask_credentials, ngx_comms_ask_credentials_done, 0 },

    { "asking leave to ask",
      ngx_comms_ask_leave, NULL, 0 },

    { "saying that it takes longer",
      ngx_comms_ask_hold, ngx_comms_ask_hold_done, 0 },

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

    { "leaving it to a human",
      ngx_comms_turn_leave, ngx_comms_turn_leave_done, 0 },

    { "recording the answer",
      ngx_comms_turn_answer, ngx_comms_turn_answer_done, 0 },

    { "preparing the answer",
      ngx_comms_turn_prepare, NULL, 0 },

    { "looking at the window",
      ngx_comms_send_window, ngx_comms_send_window_done, 0 },

    { "adding the new address",
      ngx_comms_send_link, ngx_comms_send_link_done, 0 },

    { "loading the channel's credentials",
      ngx_comms_send_credentials, ngx_comms_send_credentials_done, 0 },

    { "composing the answer",
      ngx_comms_send_compose, NULL, 0 },

    { "minding quiet hours",
      ngx_comms_send_quiet, NULL, 0 },

    { "waiting for the sender's turn",
      ngx_comms_send_pace, ngx_comms_send_pace_done, 0 },

    { "passing the send gate",
      ngx_comms_send_gate, ngx_comms_send_gate_done, 0 },

    { "sending",
      ngx_comms_send_call, ngx_comms_send_call_done, 0 },

    { "recording the send",
      ngx_comms_send_record, ngx_comms_send_record_done, 0 },

    { "heeding the provider's opt-out",
      ngx_comms_send_suppress, ngx_comms_send_suppress_done, 0 },

    { "concluding",
      ngx_comms_send_conclude, ngx_comms_send_conclude_done, 0 },

    { "giving up",
      ngx_comms_turn_give_up, ngx_comms_turn_give_up_done, 1 },

    { "releasing the lease",
      ngx_comms_thread_release, ngx_comms_thread_release_done, 1 },

    { NULL, NULL, NULL, 0 }
};


static ngx_int_t
ngx_comms_turn_collect(ngx_comms_flow_t *f)
{
    json_t              *unsent;
    ngx_int_t            rc;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    unsent = json_object_get(t->claim, "unsent");

    if (json_array_size(unsent) > 0) {
        if (ngx_comms_parts_unsent(t, unsent) != NGX_OK
            || ngx_comms_send_prepare(f, json_array_get(unsent, 0), 0)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_comms_flow_goto(f, ngx_comms_send_window);
    }

    rc = ngx_comms_turn_choose(f);

    if (rc == NGX_DONE) {
        return ngx_comms_flow_goto(f, ngx_comms_thread_release);
    }

    return rc;
}


/* a human reads what came, pictures and all, and no AI answers */

static ngx_int_t
ngx_comms_turn_owner(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (json_integer_value(json_object_get(t->facts, "hand_off_to_human"))) {
        return ngx_comms_flow_goto(f, ngx_comms_turn_leave);
    }

    return NGX_OK;
}


/*
 * Which messages the turn answers, and its name: the newest one's id.
 * NGX_DONE: none.
 */

static ngx_int_t
ngx_comms_turn_choose(ngx_comms_flow_t *f)
{
    size_t               i;
    json_t              *waiting, *message, *unsettled, *chosen;
    ngx_str_t            turn_id;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    waiting = json_object_get(t->claim, "inbound");
    unsettled = ngx_comms_turn_unsettled(t);

    chosen = json_array();
    if (chosen == NULL) {
        return NGX_ERROR;
    }

    json_decref(t->inbound);
    t->inbound = chosen;

    json_decref(t->reply);
    t->reply = NULL;

    json_decref(t->parts);
    t->parts = NULL;
    t->part = 0;

    json_array_foreach(waiting, i, message) {

        if (unsettled
            && !ngx_comms_turn_has(unsettled,
                                   json_object_get(message, "inbound_id")))
        {
            continue;
        }

        /* these have queue messages of their own, which see to them */

        if (ngx_comms_inbound_word(t, message) != NGX_COMMS_WORD_NONE
            || !ngx_comms_inbound_trusted(t, message))
        {
            continue;
        }

        if (json_array_append(chosen, message) != 0) {
            return NGX_ERROR;
        }
    }

    if (json_array_size(chosen) == 0) {
        return NGX_DONE;
    }

    message = json_array_get(chosen, json_array_size(chosen) - 1);

    if (ngx_comms_thread_str(f, message, "inbound_id", &turn_id) != NGX_OK
        || ngx_comms_ask_prepare(f, &turn_id, ngx_comms_turn_question)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    t->ask.live = 1;
    (void) ngx_comms_json_int(json_array_get(chosen, 0), "received_at",
                              &t->ask.waiting_since);

    if (unsettled == NULL && ngx_comms_burst_wait(f) != NGX_OK) {
        return NGX_ERROR;
    }

    t->ask.detail = json_pack("{s:o}", "inbound", ngx_comms_turn_ids(chosen));

    return t->ask.detail ? NGX_OK : NGX_ERROR;
}


/*
 * The ids that an earlier, unsettled ask was about, if they all still wait;
 * borrowed.
 */

static json_t *
ngx_comms_turn_unsettled(ngx_comms_thread_t *t)
{
    size_t      i, k;
    json_t     *effect, *id, *ids, *waiting;
    ngx_str_t   kind;

    waiting = ngx_comms_turn_ids(json_object_get(t->claim, "inbound"));
    ids = NULL;

    json_array_foreach(json_object_get(t->claim, "effects"), i, effect) {

        (void) ngx_comms_json_str(effect, "kind", &kind);
        ids = json_object_get(json_object_get(effect, "detail"), "inbound");

        if (kind.len != 2 || ngx_strncmp(kind.data, "ai", 2) != 0
            || json_array_size(ids) == 0)
        {
            ids = NULL;
            continue;
        }

        json_array_foreach(ids, k, id) {
            if (!ngx_comms_turn_has(waiting, id)) {
                ids = NULL;
                break;
            }
        }

        if (ids) {
            break;
        }
    }

    json_decref(waiting);

    return ids;
}


static json_t *
ngx_comms_turn_ids(json_t *inbound)
{
    size_t   i;
    json_t  *ids, *message;

    ids = json_array();

    json_array_foreach(inbound, i, message) {
        if (json_array_append(ids, json_object_get(message, "inbound_id"))
            != 0)
        {
            json_decref(ids);
            return NULL;
        }
    }

    return ids;
}


static ngx_uint_t
ngx_comms_turn_has(json_t *ids, json_t *id)
{
    size_t   i;
    json_t  *one;

    json_array_foreach(ids, i, one) {
        if (json_equal(one, id)) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_comms_turn_question(ngx_comms_flow_t *f)
{
    json_t              *newest, *history, *items;
    ngx_str_t            channel;
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    newest = json_array_get(t->inbound, json_array_size(t->inbound) - 1);
    (void) ngx_comms_json_str(newest, "channel", &channel);

    a->question.input = json_array();

    if (a->question.input == NULL) {
        return NGX_ERROR;
    }

    history = NULL;

    /* who keeps no memory, or has just lost it, is told what was said */

    if (a->replay || a->reseed) {
        history = json_object_get(t->claim, "messages");
        items = ngx_comms_prompt_first_input(f->pool, t->project->config,
                                             t->facts);

        if (ngx_comms_turn_append(a->question.input, items) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    items = ngx_comms_prompt_reply_input(f->pool, t->inbound, history);

    if (ngx_comms_turn_append(a->question.input, items) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_prompt_reply(f->pool, t->project->config, t->facts,
                                  &channel, &a->question.instructions);
}


/* takes over the reference to "items" */

static ngx_int_t
ngx_comms_turn_append(json_t *input, json_t *items)
{
    int  rc;

    if (items == NULL) {
        return NGX_ERROR;
    }

    rc = json_array_extend(input, items);
    json_decref(items);

    return (rc == 0) ? NGX_OK : NGX_ERROR;
}


/*
 * The messages go to the record without an answer: the AI will not give one,
 * or a human owns the thread.
 */

static ngx_int_t
ngx_comms_turn_leave(ngx_comms_flow_t *f)
{
    json_t              *in, *messages;
    const char          *label;
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    ngx_comms_burst_count(f);

    if (!a->gave_up
        && !json_integer_value(json_object_get(t->facts,
                                               "hand_off_to_human")))
    {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    messages = ngx_comms_turn_messages(f);

    in = json_pack("{s:s%, s:I, s:o, s:o}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "fence", (json_int_t) t->fence,
                   "messages", messages,
                   "inbound_done", ngx_comms_turn_ids(t->inbound));

    if (in && a->gave_up) {
        label = a->answer.label ? a->answer.label : "ai_failed";

        if (json_object_set_new(in, "set",
                       json_pack("{s:i, s:s}", "hand_off_to_human", 1,
                                 "hand_off_to_human_reason", label)) != 0
            || (a->intended
                && json_object_set_new(in, "effect",
                       json_pack("{s:s%, s:s, s:{s:s, s:O*}}", "effect_id",
                                 a->effect_id.data, a->effect_id.len,
                                 "state", "failed",
                                 "outcome", "reason", label,
                                 "attempts", a->log)) != 0))
        {
            json_decref(in);
            in = NULL;
        }
    }

    if (in && ngx_comms_send_window_set(t, in) != NGX_OK) {
        json_decref(in);
        in = NULL;
    }

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


static ngx_int_t
ngx_comms_turn_leave_done(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    rc = ngx_comms_thread_recorded(f);
    if (rc != NGX_OK) {
        return rc;
    }

    if (a->gave_up && !a->handed_over) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   a->answer.words ? a->answer.words
                                                   : "the AI did not answer",
                                   &a->answer.code);
    }

    return ngx_comms_flow_goto(f, ngx_comms_thread_release);
}


static ngx_int_t
ngx_comms_turn_answer(ngx_comms_flow_t *f)
{
    json_t              *in, *messages;
    ngx_comms_ask_t     *a;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    a = &t->ask;

    if (a->settled) {
        return ngx_comms_flow_goto(f, ngx_comms_thread_release);
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    if (t->reply == NULL) {
        t->reply = ngx_comms_turn_reply(f);

        if (t->reply == NULL
            || ngx_comms_parts_make(f, t->reply, &t->parts) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    messages = ngx_comms_turn_messages(f);

    if (messages && (json_array_append(messages, t->reply) != 0
                     || (t->parts
                         && json_array_extend(messages, t->parts) != 0)))
    {
        json_decref(messages);
        messages = NULL;
    }

    in = json_pack("{s:s%, s:I, s:o, s:o, s:s%, s:{s:I, s:i},"
                   " s:{s:s%, s:s, s:{s:s%, s:I, s:O*}}}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "fence", (json_int_t) t->fence,
                   "messages", messages,
                   "inbound_done", ngx_comms_turn_ids(t->inbound),
                   "turn_id", a->turn_id.data, a->turn_id.len,
                   "set", "processing_time_ms", (json_int_t) a->took,
                   "ai_holding_at", 0,
                   "effect", "effect_id", a->effect_id.data, a->effect_id.len,
                   "state", "done", "outcome", "response_id",
                   a->answer.response_id.len
                       ? (char *) a->answer.response_id.data : "",
                   a->answer.response_id.len,
                   "total_tokens", (json_int_t) a->answer.total_tokens,
                   "attempts", a->log);

    if (in && a->second
        && json_object_set_new(json_object_get(in, "set"),
                               "ai_conversation_behind", json_integer(1))
           != 0)
    {
        json_decref(in);
        in = NULL;
    }

    /* who has answered needs no further copy of the first message */

    if (in
        && (ngx_comms_fallback_cancel_in(in, t->facts, "replied") != NGX_OK
            || ngx_comms_send_window_set(t, in) != NGX_OK))
    {
        json_decref(in);
        in = NULL;
    }

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


static ngx_int_t
ngx_comms_turn_answer_done(ngx_comms_flow_t *f)
{
    ngx_int_t  rc;

    rc = ngx_comms_thread_recorded(f);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_TURN, 1);

    return NGX_OK;
}


static json_t *
ngx_comms_turn_messages(ngx_comms_flow_t *f)
{
    size_t               i;
    json_t              *messages, *event, *message;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    messages = json_array();

    json_array_foreach(t->inbound, i, event) {
        message = ngx_comms_inbound_message(event);

        if (message == NULL || json_array_append_new(messages, message) != 0) {
            json_decref(messages);
            return NULL;
        }
    }

    return messages;
}


/* the AI's answer as a message, on the channel of the newest message */

static json_t *
ngx_comms_turn_reply(ngx_comms_flow_t *f)
{
    u_char                  now[NGX_COMMS_ISO8601_LEN + 1];
    json_t                 *newest, *reply;
    ngx_str_t               entry_id, channel, content, company;
    ngx_comms_thread_t     *t;
    ngx_comms_ai_answer_t  *a;

    t = f->ctx;
    a = &t->ask.answer;

    newest = json_array_get(t->inbound, json_array_size(t->inbound) - 1);
    (void) ngx_comms_json_str(newest, "channel", &channel);

    *ngx_comms_iso8601(now, ngx_comms_clock_ms()) = '\0';

    content = ngx_comms_trim(a->text);

    if (ngx_comms_id_mint(f->pool, "", &entry_id) != NGX_OK
        || ngx_comms_shorten(f->pool, &content,
                             ngx_comms_prompt_limit(t->project->config,
                                                    &channel),
                             &content) != NGX_OK
        || ngx_comms_project_address(f->pool, t->project,
                                     ngx_comms_channel_by_name(&channel),
                                     &company) != NGX_OK)
    {
        return NULL;
    }

    reply = json_pack("{s:s%, s:s, s:s, s:s%, s:s%, s:s%, s:O, s:s, s:s%,"
                      " s:I, s:I, s:I, s:I}",
                      "entry_id", entry_id.data, entry_id.len,
                      "message_timestamp", now,
                      "role", "assistant",
                      "channel", channel.data, channel.len,
                      "content", content.data, content.len,
                      "company_address", company.data, company.len,
                      "person_address",
                      json_object_get(newest, "person_address"),
                      "status", "pending",
                      "turn_id", t->ask.turn_id.data, t->ask.turn_id.len,
                      "ai_prompt_tokens", (json_int_t) a->prompt_tokens,
                      "ai_completion_tokens",
                      (json_int_t) a->completion_tokens,
                      "ai_total_tokens", (json_int_t) a->total_tokens,
                      "processing_time_ms", (json_int_t) t->ask.took);

    if (reply
        && ngx_comms_channel_by_name(&channel) == NGX_COMMS_EMAIL
        && ngx_comms_turn_mail(f, reply, newest) != NGX_OK)
    {
        json_decref(reply);
        return NULL;
    }

    return reply;
}


/* RFC 5322 3.6.4, and "Re: " once: Gmail threads by subject as well */

static ngx_int_t
ngx_comms_turn_mail(ngx_comms_flow_t *f, json_t *reply, json_t *newest)
{
    ngx_str_t  id, references, subject, re;

    if (ngx_comms_json_str(newest, "email_message_id", &id) == NGX_OK
        && ngx_comms_json_set_str(reply, "in_reply_to", &id) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_json_str(newest, "references", &references) == NGX_OK
        && ngx_comms_json_set_str(reply, "references", &references) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_json_str(newest, "subject", &subject) != NGX_OK
        || subject.len == 0)
    {
        return NGX_OK;
    }

    if (subject.len >= 3 && ngx_strncasecmp(subject.data, (u_char *) "re:", 3)
                            == 0)
    {
        return ngx_comms_json_set_str(reply, "subject", &subject);
    }

    re.data = ngx_pnalloc(f->pool, sizeof("Re: ") - 1 + subject.len);
    if (re.data == NULL) {
        return NGX_ERROR;
    }

    re.len = ngx_sprintf(re.data, "Re: %V", &subject) - re.data;

    return ngx_comms_json_set_str(reply, "subject", &re);
}


static ngx_int_t
ngx_comms_turn_prepare(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    return ngx_comms_send_prepare(f, t->reply, 0);
}


static ngx_int_t
ngx_comms_turn_give_up(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (!ngx_comms_thread_dies(f) || t->event == NULL || t->reply != NULL
        || t->ask.gave_up || t->project == NULL
        || ngx_comms_inbound_word(t, t->event) != NGX_COMMS_WORD_NONE
        || !ngx_comms_inbound_trusted(t, t->event))
    {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    /* no fence: the thread may never have been claimed */

    in = json_pack("{s:s%, s:[o], s:[O], s:{s:i, s:s}}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "messages", ngx_comms_inbound_message(t->event),
                   "inbound_done", json_object_get(t->event, "inbound_id"),
                   "set", "hand_off_to_human", 1,
                   "hand_off_to_human_reason", "gave_up");

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


static ngx_int_t
ngx_comms_turn_give_up_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}
