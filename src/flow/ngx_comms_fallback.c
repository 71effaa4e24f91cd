
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Channels one after the other.
 *
 * The first messages of all channels are in the record, "pending", from the
 * beginning; only the first channel's is published.  A message in the queue
 * "later" comes when the next channel's time has come: after the time that
 * the start request says, or at once when the channel before has failed.  It
 * says which channel is next, and this flow decides whether it is needed:
 *
 *   a channel before has delivered, the        the channels that wait are
 *   person has written, a human owns the       cancelled
 *   thread, or it is closed
 *   the next channel is not pending            nothing to do
 *   else                                       the same context object is
 *                                              published for it, and the time
 *                                              of the one after it is set
 *
 * The publish is an effect, "publish:<channel>", whose intent asks all of this
 * again in one step; the send gate of the channel's worker does so once more.
 * What still waits on the channel before is cancelled first: the person shall
 * not get both.
 *
 * Times are those of queue messages, so they outlive every process.
 */


#include <flow/ngx_comms_fallback.h>
#include <base/ngx_comms_json.h>


static ngx_int_t ngx_comms_fallback_read(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_fallback_load(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_fallback_load_done(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_fallback_decide(ngx_comms_flow_t *f);
static const char *ngx_comms_fallback_over(json_t *facts, json_t *channels,
    ngx_uint_t next);
static ngx_int_t ngx_comms_fallback_context(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_fallback_context_done(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_fallback_intend(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_fallback_intend_done(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_fallback_leave(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_fallback_leave_done(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_fallback_publish(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_fallback_publish_done(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_fallback_settle(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_fallback_settle_done(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_fallback_cancel(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_fallback_cancel_done(ngx_comms_flow_t *f);

static ngx_uint_t ngx_comms_fallback_next(ngx_comms_flow_t *f);
static ngx_uint_t ngx_comms_fallback_failed(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_fallback_put(ngx_comms_flow_t *f, ngx_uint_t next,
    int64_t delay, const char *mark);
static ngx_uint_t ngx_comms_fallback_state(json_t *facts, json_t *channel,
    const char *state);
static ngx_uint_t ngx_comms_fallback_is(json_t *value, const char *word);


ngx_comms_step_t  ngx_comms_fallback_steps[] = {

    { "reading whose time has come",
      ngx_comms_fallback_read, NULL, 0 },

    { "loading the thread",
      ngx_comms_fallback_load, ngx_comms_fallback_load_done, 0 },

    { "deciding whether the next channel is needed",
      ngx_comms_fallback_decide, NULL, 0 },

    { "fetching the context object",
      ngx_comms_fallback_context, ngx_comms_fallback_context_done, 0 },

    { "intending to publish",
      ngx_comms_fallback_intend, ngx_comms_fallback_intend_done, 0 },

    { "leaving the channel before",
      ngx_comms_fallback_leave, ngx_comms_fallback_leave_done, 0 },

    { "publishing to the next channel",
      ngx_comms_fallback_publish, ngx_comms_fallback_publish_done, 0 },

    { "setting the time of the channel after it",
      ngx_comms_fallback_due, ngx_comms_fallback_due_done, 0 },

    { "settling the publish",
      ngx_comms_fallback_settle, ngx_comms_fallback_settle_done, 0 },

    { "cancelling the channels that wait",
      ngx_comms_fallback_cancel, ngx_comms_fallback_cancel_done, 0 },

    { NULL, NULL, NULL, 0 }
};


static ngx_int_t
ngx_comms_fallback_read(ngx_comms_flow_t *f)
{
    ngx_int_t  rc;

    if (ngx_comms_thread_create(f) == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_comms_thread_name(f, f->body);

    if (rc == NGX_DECLINED) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "queue message names no thread", NULL);
    }

    return rc;
}


static ngx_int_t
ngx_comms_fallback_load(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    in = json_pack("{s:s%, s:i}", "thread_id", t->thread_id.data,
                   t->thread_id.len, "messages", 1);

    return ngx_comms_thread_store(f, f->engine->store->load, in);
}


static ngx_int_t
ngx_comms_fallback_load_done(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    /* erased meanwhile */

    if (f->op_rc == NGX_DECLINED) {
        return NGX_DONE;
    }

    if (f->op_rc != NGX_OK) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "store could not be read", NULL);
    }

    t->facts = json_incref(json_object_get(f->answer, "record"));

    return NGX_OK;
}


static ngx_int_t
ngx_comms_fallback_decide(ngx_comms_flow_t *f)
{
    json_t              *channels;
    ngx_uint_t           next;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    channels = ngx_comms_fallback_channels(t->facts);
    next = ngx_comms_fallback_next(f);

    if (next == 0 || next >= json_array_size(channels)) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "thread has no such next channel", NULL);
    }

    t->send.cancelled = ngx_comms_fallback_over(t->facts, channels, next);

    if (t->send.cancelled) {
        return ngx_comms_flow_goto(f, ngx_comms_fallback_cancel);
    }

    if (!ngx_comms_fallback_state(t->facts, json_array_get(channels, next),
                                  "pending"))
    {
        return NGX_DONE;
    }

    return NGX_OK;
}


/* why no further channel is needed; NULL: one is */

static const char *
ngx_comms_fallback_over(json_t *facts, json_t *channels, ngx_uint_t next)
{
    json_t      *channel, *status;
    ngx_str_t    newest;
    ngx_uint_t   i;

    for (i = 0; i < next; i++) {
        channel = json_array_get(channels, i);

        if (ngx_comms_fallback_state(facts, channel, "delivered")
            || ngx_comms_fallback_state(facts, channel, "read"))
        {
            return "delivered";
        }
    }

    (void) ngx_comms_json_str(facts, "newest_inbound_id", &newest);

    if (newest.len) {
        return "replied";
    }

    if (json_integer_value(json_object_get(facts, "hand_off_to_human"))) {
        return "human";
    }

    status = json_object_get(facts, "conversation_status");

    if (ngx_comms_fallback_is(status, "failed")
        || ngx_comms_fallback_is(status, "completed"))
    {
        return "closed";
    }

    return NULL;
}


/* the outcome of the ask that opened the thread holds it */

static ngx_int_t
ngx_comms_fallback_context(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    in = json_pack("{s:s%, s:s, s:s, s:{}}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "effect_id", "ai:first", "kind", "ai", "detail");

    return ngx_comms_thread_store(f, f->engine->store->intend, in);
}


static ngx_int_t
ngx_comms_fallback_context_done(ngx_comms_flow_t *f)
{
    json_t              *outcome;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (f->op_rc == NGX_ERROR || f->op_rc == NGX_COMMS_LATE) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "store could not be read", NULL);
    }

    outcome = json_object_get(json_object_get(f->answer, "effect"),
                              "outcome");

    if (f->op_rc != NGX_DECLINED
        || !json_is_object(json_object_get(outcome, "context")))
    {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "first messages are not in the record",
                                   NULL);
    }

    t->ask.outcome = json_incref(outcome);

    return NGX_OK;
}


static ngx_int_t
ngx_comms_fallback_intend(ngx_comms_flow_t *f)
{
    json_t              *in, *channel;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_thread_ours(f) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    channel = json_array_get(ngx_comms_fallback_channels(t->facts),
                             ngx_comms_fallback_next(f));

    in = json_pack("{s:s%, s:s+, s:s, s:{s:O}, s:s, s:s, s:O}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "effect_id", "publish:", json_string_value(channel),
                   "kind", "publish", "detail", "channel", channel,
                   "owner", "ai", "newest_inbound_id", "",
                   "channel", channel);

    return ngx_comms_thread_store(f, f->engine->store->intend, in);
}


static ngx_int_t
ngx_comms_fallback_intend_done(ngx_comms_flow_t *f)
{
    json_t              *refused, *state;
    ngx_int_t            rc;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    rc = ngx_comms_thread_written(f);

    if (rc != NGX_OK || f->op_rc == NGX_OK) {
        return rc;
    }

    if (f->op_rc == NGX_DECLINED) {
        state = json_object_get(json_object_get(f->answer, "effect"),
                                "state");

        /* an earlier run may have ended in between: its steps once more */

        return ngx_comms_fallback_is(state, "intent") ? NGX_OK : NGX_DONE;
    }

    refused = json_object_get(f->answer, "refused");

    if (ngx_comms_fallback_is(refused, "newer")) {
        t->send.cancelled = "replied";

    } else if (ngx_comms_fallback_is(refused, "owner")) {
        t->send.cancelled = "human";

    } else {
        return NGX_DONE;
    }

    return ngx_comms_flow_goto(f, ngx_comms_fallback_cancel);
}


static ngx_int_t
ngx_comms_fallback_leave(ngx_comms_flow_t *f)
{
    json_t              *in, *channel, *first;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    channel = json_array_get(ngx_comms_fallback_channels(t->facts),
                             ngx_comms_fallback_next(f) - 1);

    if (!ngx_comms_fallback_state(t->facts, channel, "pending")) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    first = json_object_get(json_object_get(t->facts, "first_messages"),
                            json_string_value(channel));

    in = json_pack("{s:s%, s:{s:O, s:s, s:s, s:b}, s:[{s:O, s:s, s:s}]}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "channel_state", "channel", channel,
                   "status", "cancelled", "reason", "fallback",
                   "only_pending", 1,
                   "messages", "entry_id", first,
                   "status", "cancelled", "reason", "fallback");

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


static ngx_int_t
ngx_comms_fallback_leave_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}


static ngx_int_t
ngx_comms_fallback_publish(ngx_comms_flow_t *f)
{
    u_char               id[NGX_INT_T_LEN + 1];
    json_t              *in;
    ngx_comms_op_t      *op;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    *ngx_sprintf(id, "%ui", ngx_comms_fallback_next(f)) = '\0';

    in = json_pack("{s:s%++, s:[O], s:s%, s:O}",
                   "publish_id", t->thread_id.data, t->thread_id.len,
                   "#", id,
                   "channels",
                   json_array_get(ngx_comms_fallback_channels(t->facts),
                                  ngx_comms_fallback_next(f)),
                   "group", t->thread_id.data, t->thread_id.len,
                   "body", json_object_get(t->ask.outcome, "context"));

    if (in == NULL) {
        return NGX_ERROR;
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
ngx_comms_fallback_publish_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}


static ngx_int_t
ngx_comms_fallback_settle(ngx_comms_flow_t *f)
{
    json_t              *in, *channel;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    channel = json_array_get(ngx_comms_fallback_channels(t->facts),
                             ngx_comms_fallback_next(f));

    in = json_pack("{s:s%, s:{s:s+, s:s, s:{}}}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "effect", "effect_id",
                   "publish:", json_string_value(channel),
                   "state", "done", "outcome");

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


static ngx_int_t
ngx_comms_fallback_settle_done(ngx_comms_flow_t *f)
{
    ngx_int_t  rc;

    rc = ngx_comms_thread_written(f);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_FALLBACK, 1);

    return NGX_DONE;
}


static ngx_int_t
ngx_comms_fallback_cancel(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    in = json_pack("{s:s%}", "thread_id", t->thread_id.data,
                   t->thread_id.len);

    if (ngx_comms_fallback_cancel_in(in, t->facts, t->send.cancelled)
        != NGX_OK)
    {
        json_decref(in);
        return NGX_ERROR;
    }

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


static ngx_int_t
ngx_comms_fallback_cancel_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}


json_t *
ngx_comms_fallback_channels(json_t *facts)
{
    return json_object_get(json_object_get(facts, "fallback"), "channels");
}


/* the index that the queue message names; 0: none */

static ngx_uint_t
ngx_comms_fallback_next(ngx_comms_flow_t *f)
{
    int64_t  next;

    next = 0;
    (void) ngx_comms_json_int(f->body, "next", &next);

    return (next > 0 && next < NGX_COMMS_CHANNELS) ? (ngx_uint_t) next : 0;
}


ngx_uint_t
ngx_comms_fallback_is_first(json_t *facts, ngx_str_t *channel,
    ngx_str_t *entry_id)
{
    ngx_str_t  first;

    first = ngx_comms_json_view(
                 json_object_getn(json_object_get(facts, "first_messages"),
                                  (char *) channel->data, channel->len));

    return first.len && first.len == entry_id->len
           && ngx_memcmp(first.data, entry_id->data, first.len) == 0;
}


ngx_int_t
ngx_comms_fallback_cancel_in(json_t *in, json_t *facts, const char *reason)
{
    json_t      *first, *messages, *message;
    const char  *channel;

    if (json_object_set_new(in, "channel_state",
                     json_pack("{s:n, s:s, s:s, s:b}", "channel",
                               "status", "cancelled", "reason", reason,
                               "only_pending", 1))
        != 0)
    {
        return NGX_ERROR;
    }

    messages = json_object_get(in, "messages");

    if (messages == NULL) {
        messages = json_array();

        if (json_object_set_new(in, "messages", messages) != 0) {
            return NGX_ERROR;
        }
    }

    json_object_foreach(json_object_get(facts, "first_messages"), channel,
                        first)
    {
        if (!ngx_comms_fallback_is(
                json_object_get(json_object_get(facts, "channel_states"),
                                channel),
                "pending"))
        {
            continue;
        }

        message = json_pack("{s:O, s:s, s:s}", "entry_id", first,
                            "status", "cancelled", "reason", reason);

        if (json_array_append_new(messages, message) != 0) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_fallback_due(ngx_comms_flow_t *f)
{
    int64_t              after;
    ngx_uint_t           next;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    next = ngx_comms_fallback_next(f) + 1;

    if (next >= json_array_size(ngx_comms_fallback_channels(t->facts))
        || ngx_comms_json_int(json_object_get(t->facts, "fallback"), "after",
                              &after)
           != NGX_OK)
    {
        return NGX_OK;
    }

    return ngx_comms_fallback_put(f, next, after * 1000, "due");
}


ngx_int_t
ngx_comms_fallback_due_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}


ngx_int_t
ngx_comms_fallback_stop(ngx_comms_flow_t *f)
{
    json_t              *status;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    status = json_object_get(t->event, "status");

    if (ngx_comms_fallback_channels(t->facts) == NULL
        || !ngx_comms_fallback_is_first(t->facts, &f->channel, &t->entry_id)
        || !(ngx_comms_fallback_is(status, "delivered")
             || ngx_comms_fallback_is(status, "read")))
    {
        return NGX_OK;
    }

    t->send.cancelled = "delivered";

    return ngx_comms_fallback_cancel(f);
}


ngx_int_t
ngx_comms_fallback_stop_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}


ngx_int_t
ngx_comms_fallback_hasten(ngx_comms_flow_t *f)
{
    size_t               i;
    json_t              *channels, *channel;
    ngx_str_t            name;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (t == NULL || !ngx_comms_fallback_failed(f)) {
        return NGX_OK;
    }

    channels = ngx_comms_fallback_channels(t->facts);

    json_array_foreach(channels, i, channel) {
        name = ngx_comms_json_view(channel);

        if (name.len == f->channel.len
            && ngx_memcmp(name.data, f->channel.data, name.len) == 0
            && i + 1 < json_array_size(channels))
        {
            return ngx_comms_fallback_put(f, i + 1, 0, "now");
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_fallback_hasten_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}


/* by a provider's report, or by the send itself */

static ngx_uint_t
ngx_comms_fallback_failed(ngx_comms_flow_t *f)
{
    json_t              *status;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    if (t->event) {
        status = json_object_get(t->event, "status");

        return ngx_comms_fallback_is_first(t->facts, &f->channel,
                                           &t->entry_id)
               && (ngx_comms_fallback_is(status, "failed")
                   || ngx_comms_fallback_is(status, "bounced"));
    }

    if (s->gave_up) {
        return 1;
    }

    if (s->cancelled) {
        return s->recorded && ngx_strcmp(s->cancelled, "opted_out") == 0;
    }

    return s->recorded && s->sent.verdict != NGX_COMMS_SENT
           && s->sent.verdict != NGX_COMMS_SEND_UNKNOWN;
}


/* the flow itself is told in "delay" ms; once for each mark */

static ngx_int_t
ngx_comms_fallback_put(ngx_comms_flow_t *f, ngx_uint_t next, int64_t delay,
    const char *mark)
{
    u_char               id[sizeof("##due") + NGX_INT_T_LEN];
    json_t              *in;
    ngx_comms_op_t      *op;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    *ngx_sprintf(id, "#%ui#%s", next, mark) = '\0';

    in = json_pack("{s:s, s:s%, s:s%+, s:I,"
                   " s:{s:s, s:s%, s:s%, s:s%, s:I}}",
                   "queue", NGX_COMMS_QUEUE_LATER,
                   "group", t->thread_id.data, t->thread_id.len,
                   "dedupe_id", t->thread_id.data, t->thread_id.len, id,
                   "delay", (json_int_t) delay,
                   "body", "kind", "fallback",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "company_id", t->company_id.data, t->company_id.len,
                   "project_id", t->project_id.data, t->project_id.len,
                   "next", (json_int_t) next);

    if (in == NULL) {
        return NGX_ERROR;
    }

    op = ngx_comms_flow_op(f, f->engine->op_timeout);
    if (op == NULL) {
        json_decref(in);
        return NGX_ERROR;
    }

    f->engine->bus->put(f->engine->bus, in, op);

    return NGX_AGAIN;
}


static ngx_uint_t
ngx_comms_fallback_state(json_t *facts, json_t *channel, const char *state)
{
    return ngx_comms_fallback_is(
               json_object_get(json_object_get(facts, "channel_states"),
                               json_string_value(channel)),
               state);
}


static ngx_uint_t
ngx_comms_fallback_is(json_t *value, const char *word)
{
    ngx_str_t  text;

    text = ngx_comms_json_view(value);

    return text.len == ngx_strlen(word)
           && ngx_strncmp(text.data, word, text.len) == 0;
}
