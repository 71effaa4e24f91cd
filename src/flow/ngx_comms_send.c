
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The rows that send one message of a thread on its channel.
 *
 * A send is one effect, "send:<entry>".  The gate writes its intent; only the
 * run whose intent was new calls the provider:
 *
 *   written now                 send
 *   done, failed, unknown       an earlier run has settled it: nothing to do
 *   intent, young               another worker may be at it: come back later
 *   intent, old                 an earlier run ended between intent and
 *                               outcome: nobody can tell whether it was sent,
 *                               and it is not sent again ("unknown")
 *   refused: fence              the thread passed to another turn
 *   refused: opted_out          cancelled
 *
 * An answer that says "surely not taken" withdraws the intent, and the next
 * run sends.
 */


#include <flow/ngx_comms_thread.h>
#include <base/ngx_comms_json.h>


static ngx_int_t ngx_comms_send_doubt(ngx_comms_flow_t *f, json_t *effect);
static ngx_uint_t ngx_comms_send_again(ngx_comms_flow_t *f);
static const char *ngx_comms_send_status(ngx_comms_send_t *s);
static const char *ngx_comms_send_reason(ngx_comms_send_t *s);
static json_t *ngx_comms_send_outcome(ngx_comms_flow_t *f);
static void ngx_comms_send_count(ngx_comms_flow_t *f);
static void ngx_comms_send_hope(ngx_comms_send_t *s, json_t *states);


ngx_int_t
ngx_comms_send_prepare(ngx_comms_flow_t *f, json_t *message, ngx_uint_t first)
{
    json_t              *config;
    ngx_int_t            channel;
    ngx_str_t            entry_id, name;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    json_decref(s->message);
    json_decref(s->outbound.template_variables);

    ngx_memzero(s, sizeof(ngx_comms_send_t));

    s->message = json_incref(message);
    s->first = first;

    (void) ngx_comms_json_str(message, "channel", &name);
    (void) ngx_comms_json_str(message, "entry_id", &entry_id);

    channel = ngx_comms_channel_by_name(&name);

    if (channel == NGX_ERROR || entry_id.len == 0) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "message has no channel or no id", NULL);
    }

    s->channel = channel;
    f->channel = ngx_comms_channel_names[channel];

    config = ngx_comms_project_channel(t->project, channel);

    if (ngx_comms_thread_str(f, config, "provider", &s->provider_name)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    f->provider = s->provider_name;

    s->effect_id.data = ngx_pnalloc(f->pool,
                                    sizeof("send:") - 1 + entry_id.len);
    if (s->effect_id.data == NULL) {
        return NGX_ERROR;
    }

    s->effect_id.len = ngx_sprintf(s->effect_id.data, "send:%V", &entry_id)
                       - s->effect_id.data;

    return NGX_OK;
}


ngx_int_t
ngx_comms_send_credentials(ngx_comms_flow_t *f)
{
    ngx_int_t             rc;
    ngx_str_t             id, protocol;
    ngx_comms_op_t       *op;
    ngx_comms_send_t     *s;
    ngx_comms_thread_t   *t;
    ngx_comms_secrets_t  *secrets;

    t = f->ctx;
    s = &t->send;
    secrets = f->engine->secrets;

    (void) ngx_comms_json_str(ngx_comms_project_channel(t->project,
                                                        s->channel),
                              "credentials_id", &id);

    op = ngx_comms_flow_op(f, f->engine->op_timeout);
    if (op == NULL) {
        return NGX_ERROR;
    }

    rc = secrets->get(secrets, &id, &s->credentials, op);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    ngx_comms_flow_unused(f, op);

    if (rc != NGX_OK) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "no credentials for the channel", &id);
    }

    (void) ngx_comms_json_str(s->credentials, "provider", &protocol);

    s->provider = ngx_comms_provider_by_name(&protocol);

    if (s->provider == NULL) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "credentials are not for a channel", &id);
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_send_credentials_done(ngx_comms_flow_t *f)
{
    if (f->op_rc == NGX_COMMS_LATE) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "credentials were not fetched in time",
                                   NULL);
    }

    return NGX_BUSY;
}


ngx_int_t
ngx_comms_send_compose(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    const char          *words;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;
    words = NULL;

    rc = ngx_comms_compose(f, &words);

    if (rc == NGX_OK) {
        rc = s->provider->build(f->pool, &s->outbound, s->credentials,
                                &s->request, &words);
    }

    if (rc == NGX_DECLINED) {
        s->sent.verdict = NGX_COMMS_SEND_REFUSED;
        s->sent.label = "unsendable";
        s->sent.words = words;
        s->decided = 1;

        return NGX_OK;
    }

    return rc;
}


ngx_int_t
ngx_comms_send_gate(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_str_t           *person;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    if (s->decided) {
        return NGX_OK;
    }

    if (ngx_comms_thread_ours(f) != NGX_OK) {
        return NGX_ERROR;
    }

    person = &s->outbound.person_address;

    in = json_pack("{s:s%, s:s%, s:s, s:{s:s}, s:s%}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "effect_id", s->effect_id.data, s->effect_id.len,
                   "kind", "send",
                   "detail", "channel",
                   ngx_comms_channel_names[s->channel].data,
                   "person_address", person->data, person->len);

    /* a first message is sent without the lease, hence without a fence */

    if (in && t->fence
        && json_object_set_new(in, "fence", json_integer(t->fence)) != 0)
    {
        json_decref(in);
        in = NULL;
    }

    return ngx_comms_thread_store(f, f->engine->store->intend, in);
}


ngx_int_t
ngx_comms_send_gate_done(ngx_comms_flow_t *f)
{
    ngx_str_t            refused;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    switch (f->op_rc) {

    case NGX_OK:
        return NGX_OK;

    case NGX_DECLINED:
        return ngx_comms_send_doubt(f, json_object_get(f->answer, "effect"));

    case NGX_ABORT:
        (void) ngx_comms_json_str(f->answer, "refused", &refused);

        if (refused.len == sizeof("opted_out") - 1
            && ngx_strncmp(refused.data, "opted_out", refused.len) == 0)
        {
            s->cancelled = "opted_out";
            s->decided = 1;

            return NGX_OK;
        }

        ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_FENCED, 1);

        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEFER,
                                   "thread passed to another turn", NULL);

    default:
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "store could not be written", NULL);
    }
}


static ngx_int_t
ngx_comms_send_doubt(ngx_comms_flow_t *f, json_t *effect)
{
    int64_t              age;
    ngx_str_t            state;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    (void) ngx_comms_json_str(effect, "state", &state);

    if (state.len != sizeof("intent") - 1
        || ngx_strncmp(state.data, "intent", state.len) != 0)
    {
        s->settled = 1;
        s->decided = 1;

        return NGX_OK;
    }

    age = 0;
    (void) ngx_comms_json_int(effect, "age", &age);

    if (age >= 0 && age < NGX_COMMS_SEND_IN_DOUBT) {
        f->retry_after = NGX_COMMS_SEND_IN_DOUBT - (ngx_msec_t) age;

        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEFER,
                                   "another worker may be sending it", NULL);
    }

    s->sent.verdict = NGX_COMMS_SEND_UNKNOWN;
    s->sent.label = "interrupted";
    s->sent.words = "an earlier attempt has no outcome";
    s->decided = 1;

    return NGX_OK;
}


ngx_int_t
ngx_comms_send_call(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (t->send.decided) {
        return NGX_OK;
    }

    return ngx_comms_flow_call(f, &t->send.provider_name, &t->send.request);
}


ngx_int_t
ngx_comms_send_call_done(ngx_comms_flow_t *f)
{
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    if (s->provider->read(f->pool, f->exchange, &s->sent) != NGX_OK) {

        /* out of memory with the answer in hand: it was taken or not */

        s->sent.verdict = NGX_COMMS_SEND_UNKNOWN;
        s->sent.label = "memory";
        s->sent.words = "the provider's answer could not be read";
    }

    s->called = 1;
    s->decided = 1;

    return NGX_OK;
}


/* was it surely not sent, and may it be tried again? */

static ngx_uint_t
ngx_comms_send_again(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    return t->send.called && t->send.sent.verdict == NGX_COMMS_SEND_RETRY
           && !f->last;
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
        in = json_pack("{s:s%, s:s%}",
                       "thread_id", t->thread_id.data, t->thread_id.len,
                       "effect_id", s->effect_id.data, s->effect_id.len);

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

    if (in && s->first
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

    rc = ngx_comms_thread_written(f);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_comms_send_again(f)) {
        s->withdrawn = 1;
        return NGX_OK;
    }

    if (f->op_rc != NGX_OK) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "thread is not in the store", NULL);
    }

    if (s->first) {
        ngx_comms_send_hope(s, json_object_get(f->answer, "channel_states"));
    }

    ngx_comms_send_count(f);

    return NGX_OK;
}


static void
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
    json_t              *in;
    ngx_str_t           *person;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    if (!s->called || s->sent.verdict != NGX_COMMS_SEND_OPTED_OUT) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    person = &s->outbound.person_address;

    in = json_pack("{s:s%, s:s%, s:b, s:s, s:s%}",
                   "company_id", t->company_id.data, t->company_id.len,
                   "person_address", person->data, person->len,
                   "opted_out", 1, "source", "provider",
                   "proof", s->sent.code.len ? (char *) s->sent.code.data : "",
                   s->sent.code.len);

    return ngx_comms_thread_store(f, f->engine->store->consent, in);
}


ngx_int_t
ngx_comms_send_suppress_done(ngx_comms_flow_t *f)
{
    ngx_int_t  rc;

    rc = ngx_comms_thread_written(f);

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
