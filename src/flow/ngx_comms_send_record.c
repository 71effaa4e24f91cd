
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The rows behind the call of a send: how it ended becomes durable, together
 * with the message's status, in one step.
 *
 * What a provider has said is written down more patiently than anything else:
 * while the store is out of order it is known nowhere but here.
 */


#include <flow/ngx_comms_thread.h>
#include <base/ngx_comms_json.h>


/* more tries, some two seconds apart, to record what a provider has said */
#define NGX_COMMS_SEND_PATIENCE  60


static ngx_uint_t ngx_comms_send_again(ngx_comms_flow_t *f);
static ngx_uint_t ngx_comms_send_reconsider(ngx_comms_thread_t *t);
static ngx_uint_t ngx_comms_send_patient(ngx_comms_flow_t *f);
static const char *ngx_comms_send_status(ngx_comms_send_t *s);
static const char *ngx_comms_send_reason(ngx_comms_send_t *s);
static json_t *ngx_comms_send_outcome(ngx_comms_flow_t *f);
static void ngx_comms_send_count(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_send_resumed(ngx_comms_flow_t *f);


/* was it surely not sent, and may it be tried again? */

static ngx_uint_t
ngx_comms_send_again(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    return t->send.unsent
           || (t->send.called && t->send.sent.verdict == NGX_COMMS_SEND_RETRY
               && !f->last)
           || ngx_comms_send_reconsider(t);
}


/* the window was closed, and that is news: there may be another way */

static ngx_uint_t
ngx_comms_send_reconsider(ngx_comms_thread_t *t)
{
    json_t            *config;
    ngx_str_t          outside;
    ngx_comms_send_t  *s;

    s = &t->send;

    if (!s->called || s->sent.verdict != NGX_COMMS_SEND_WINDOW || s->closed
        || s->template)
    {
        return 0;
    }

    config = ngx_comms_project_channel(t->project, NGX_COMMS_WHATSAPP);

    return !s->first
           || ngx_comms_json_str(config, "outside_window", &outside) == NGX_OK
           || json_object_get(config, "whatsapp_template_sid") != NULL
           || json_object_get(config, "whatsapp_template_name") != NULL;
}


ngx_int_t
ngx_comms_send_record(ngx_comms_flow_t *f)
{
    json_t              *in, *outcome;
    const char          *reason, *status;
    ngx_str_t            entry_id;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    if (s->settled) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    if (ngx_comms_send_again(f)) {
        in = json_pack("{s:s%, s:s%, s:s%}",
                       "thread_id", t->thread_id.data, t->thread_id.len,
                       "effect_id", s->effect_id.data, s->effect_id.len,
                       "attempt", s->attempt.data, s->attempt.len);

        return ngx_comms_thread_store(f, f->engine->store->withdraw, in);
    }

    outcome = ngx_comms_send_outcome(f);
    status = ngx_comms_send_status(s);
    reason = ngx_comms_send_reason(s);

    (void) ngx_comms_json_str(s->message, "entry_id", &entry_id);

    in = json_pack("{s:s%, s:[{s:s%, s:s, s:s*, s:s%, s:s%}]}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "messages", "entry_id", entry_id.data, entry_id.len,
                   "status", status, "reason", reason,
                   "provider_message_id",
                   s->sent.provider_message_id.len
                       ? (char *) s->sent.provider_message_id.data : "",
                   s->sent.provider_message_id.len,
                   "email_message_id",
                   s->outbound.message_id.len
                       ? (char *) s->outbound.message_id.data : "",
                   s->outbound.message_id.len);

    if (in == NULL || outcome == NULL) {
        json_decref(outcome);
        json_decref(in);
        in = NULL;

    } else if (s->cancelled) {
        json_decref(outcome);

    } else if (json_object_set_new(in, "effect", outcome) != 0) {
        json_decref(in);
        in = NULL;
    }

    if (in && (s->cancelled || s->sent.verdict != NGX_COMMS_SENT)
        && ngx_comms_parts_forsake(f, json_object_get(in, "messages"))
           != NGX_OK)
    {
        json_decref(in);
        in = NULL;
    }

    if (in && s->first && !s->aside
        && json_object_set_new(in, "channel_state",
                    json_pack("{s:s, s:s, s:s*}", "channel",
                              ngx_comms_channel_names[s->channel].data,
                              "status", status, "reason", reason))
           != 0)
    {
        json_decref(in);
        in = NULL;
    }

    if (in && s->called && s->sent.verdict == NGX_COMMS_SENT
        && json_object_set_new(in, "set",
                    json_pack("{s:s}", "conversation_status", "active"))
           != 0)
    {
        json_decref(in);
        in = NULL;
    }

    if (in && s->held
        && json_object_set_new(in, "set",
                    json_pack("{s:i, s:s}", "hand_off_to_human", 1,
                              "hand_off_to_human_reason", "window_closed"))
           != 0)
    {
        json_decref(in);
        in = NULL;
    }

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


static json_t *
ngx_comms_send_outcome(ngx_comms_flow_t *f)
{
    const char          *state;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    switch (s->sent.verdict) {

    case NGX_COMMS_SENT:
        state = "done";
        break;

    case NGX_COMMS_SEND_UNKNOWN:
        state = "unknown";
        break;

    default:
        state = "failed";
    }

    return json_pack("{s:s%, s:s, s:{s:s*, s:s%, s:s%}}",
                     "effect_id", s->effect_id.data, s->effect_id.len,
                     "state", state, "outcome",
                     "reason", ngx_comms_send_reason(s),
                     "code", s->sent.code.len ? (char *) s->sent.code.data : "",
                     s->sent.code.len,
                     "provider_message_id",
                     s->sent.provider_message_id.len
                         ? (char *) s->sent.provider_message_id.data : "",
                     s->sent.provider_message_id.len);
}


static const char *
ngx_comms_send_status(ngx_comms_send_t *s)
{
    if (s->cancelled) {
        return "cancelled";
    }

    switch (s->sent.verdict) {

    case NGX_COMMS_SENT:
        return "sent";

    case NGX_COMMS_SEND_UNKNOWN:
        return "unknown";

    default:
        return "failed";
    }
}


static const char *
ngx_comms_send_reason(ngx_comms_send_t *s)
{
    if (s->cancelled) {
        return s->cancelled;
    }

    return s->sent.verdict == NGX_COMMS_SENT ? NULL : s->sent.label;
}


ngx_int_t
ngx_comms_send_record_done(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    if (ngx_comms_send_patient(f)) {
        return NGX_BUSY;
    }

    rc = ngx_comms_thread_written(f);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_comms_send_reconsider(t)) {
        s->closed = 1;
        s->called = 0;
        s->decided = 0;
        ngx_memzero(&s->sent, sizeof(ngx_comms_sent_t));

        return ngx_comms_flow_goto(f, ngx_comms_send_window);
    }

    if (ngx_comms_send_again(f)) {
        s->withdrawn = 1;
        return NGX_OK;
    }

    s->recorded = 1;

    if (f->op_rc != NGX_OK) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "thread is not in the store", NULL);
    }

    if (s->first
        && (!s->aside || s->cancelled || s->sent.verdict != NGX_COMMS_SENT))
    {
        ngx_comms_send_hope(s, json_object_get(f->answer, "channel_states"));

    } else {
        s->all_failed = 0;
    }

    ngx_comms_send_count(f);

    return NGX_OK;
}


/* 1 when the write of what the provider said is tried once more */

static ngx_uint_t
ngx_comms_send_patient(ngx_comms_flow_t *f)
{
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    if (!s->called || t->pausing
        || (f->op_rc != NGX_ERROR && f->op_rc != NGX_COMMS_LATE)
        || t->tries + 1 < NGX_COMMS_WRITE_TRIES
        || s->patience == NGX_COMMS_SEND_PATIENCE)
    {
        return 0;
    }

    s->patience++;

    return 1;
}


void
ngx_comms_send_hope(ngx_comms_send_t *s, json_t *states)
{
    json_t      *state;
    ngx_str_t    status;
    const char  *name;

    s->all_failed = 1;

    json_object_foreach(states, name, state) {
        status = json_is_object(state)
                     ? ngx_comms_json_view(json_object_get(state, "status"))
                     : ngx_comms_json_view(state);

        if ((status.len == 6 && ngx_strncmp(status.data, "failed", 6) == 0)
            || (status.len == 7 && ngx_strncmp(status.data, "bounced", 7) == 0)
            || (status.len == 9
                && ngx_strncmp(status.data, "cancelled", 9) == 0))
        {
            continue;
        }

        s->all_failed = 0;
    }
}


static void
ngx_comms_send_count(ngx_comms_flow_t *f)
{
    ngx_comms_count_e    what;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    switch (t->send.sent.verdict) {

    case NGX_COMMS_SENT:
        what = t->send.cancelled ? NGX_COMMS_COUNT_SEND_FAILED
                                 : NGX_COMMS_COUNT_SENT;
        break;

    case NGX_COMMS_SEND_UNKNOWN:
        what = NGX_COMMS_COUNT_SEND_UNKNOWN;
        break;

    default:
        what = NGX_COMMS_COUNT_SEND_FAILED;
    }

    ngx_comms_count(f->engine->zone, what, 1);
}


/* the provider knows of a STOP that never reached us */

ngx_int_t
ngx_comms_send_suppress(ngx_comms_flow_t *f)
{
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    if (!s->called || s->sent.verdict != NGX_COMMS_SEND_OPTED_OUT) {
        return NGX_OK;
    }

    if (t->consent.addresses == NULL
        && ngx_comms_consent_of(f, t->facts,
                                json_object_get(s->message, "person_address"),
                                NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_consent_write(f, 1, "provider", &s->sent.code);
}


ngx_int_t
ngx_comms_send_suppress_done(ngx_comms_flow_t *f)
{
    ngx_int_t  rc;

    rc = ngx_comms_consent_written(f);

    if (rc == NGX_OK) {
        ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_OPT_OUT, 1);
    }

    return rc;
}


ngx_int_t
ngx_comms_send_conclude(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (!t->send.all_failed) {
        return ngx_comms_send_conclude_done(f);
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    in = json_pack("{s:s%, s:{s:s}}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "set", "conversation_status", "failed");

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


ngx_int_t
ngx_comms_send_conclude_done(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_comms_sent_t    *sent;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    sent = &t->send.sent;

    if (t->send.all_failed) {
        rc = ngx_comms_thread_written(f);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (t->send.unsent) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "message was not sent", NULL);
    }

    rc = ngx_comms_parts_next(f);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return ngx_comms_flow_goto(f, ngx_comms_send_window);
    }

    if (!t->send.withdrawn && !t->send.first && t->send.message != t->reply
        && t->rounds < NGX_COMMS_TURN_ROUNDS)
    {
        return ngx_comms_send_resumed(f);
    }

    if (t->send.settled || t->send.cancelled) {
        return NGX_OK;
    }

    if (t->send.withdrawn) {
        f->retry_after = sent->retry_after;
        ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_SEND_RETRY, 1);

        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY, sent->words,
                                   &sent->code);
    }

    switch (sent->verdict) {

    case NGX_COMMS_SENT:
    case NGX_COMMS_SEND_OPTED_OUT:
        return NGX_OK;

    default:
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   sent->words ? sent->words
                                               : "message was refused",
                                   &sent->code);
    }
}


/*
 * It was the answer of an earlier turn, whatever became of it: the messages
 * that woke this one still wait.
 */

static ngx_int_t
ngx_comms_send_resumed(ngx_comms_flow_t *f)
{
    ngx_comms_sent_t    *sent;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    sent = &t->send.sent;

    if (!t->send.settled && !t->send.cancelled
        && sent->verdict != NGX_COMMS_SENT)
    {
        ngx_log_error(NGX_LOG_ERR, f->log, 0,
                      "an earlier answer was not sent: %s",
                      sent->words ? sent->words : "message was refused");
    }

    return ngx_comms_flow_goto(f, ngx_comms_thread_claim);
}
