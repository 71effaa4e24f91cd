
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The rows that send one message of a thread on its channel.
 *
 * A send is one effect, "send:<entry>".  The gate writes its intent; only the
 * run whose intent was new calls the provider:
 *
 *   written now                 send
 *   intent with our attempt     the same: only its answer was lost
 *   done, failed, unknown       an earlier run has settled it: nothing to do
 *   intent, young               another worker may be at it: come back later
 *   intent, old                 an earlier run ended between intent and
 *                               outcome: nobody can tell whether it was sent,
 *                               and it is not sent again ("unknown")
 *   refused: fence              the thread passed to another turn
 *   refused: opted_out          cancelled
 *   refused: owner              cancelled: a human has taken the thread over
 *   refused: newer              cancelled: a first message for a person who
 *                               has written meanwhile
 *   refused: channel            cancelled: a first message whose channel was
 *                               settled without it
 *
 * The gate is the last row before the call: whatever may take time (window,
 * credentials, quiet hours, the sender's pace) stands before it, so that what
 * it found to be so is so when the call begins.
 *
 * An answer that says "surely not taken" withdraws the intent, and the next
 * run sends.  So does a run that ends between the gate and the call: a gate
 * that did not answer in time may still write, and an intent that nobody
 * acts on would leave a message in doubt that was never tried.
 *
 * What becomes of it afterwards: ngx_comms_send_record.c.
 */


#include <flow/ngx_comms_thread.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>


static ngx_int_t ngx_comms_send_conditions(ngx_comms_thread_t *t, json_t *in);
static ngx_int_t ngx_comms_send_refused(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_send_unsent(ngx_comms_send_t *s);
static ngx_int_t ngx_comms_send_doubt(ngx_comms_flow_t *f, json_t *effect);
static void ngx_comms_send_rotated(ngx_comms_flow_t *f);


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

    json_incref(message);

    json_decref(s->message);
    json_decref(s->moved);
    json_decref(s->outbound.template_variables);

    ngx_memzero(s, sizeof(ngx_comms_send_t));

    s->message = message;
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

    return ngx_comms_id_mint(f->pool, "", &s->attempt);
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

    if (s->decided) {
        return NGX_OK;
    }

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

    if (s->decided) {
        return NGX_OK;
    }

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
        return s->late ? ngx_comms_send_unsent(s) : NGX_ERROR;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    person = &s->outbound.person_address;

    in = json_pack("{s:s%, s:s%, s:s, s:{s:s, s:s%}, s:s%}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "effect_id", s->effect_id.data, s->effect_id.len,
                   "kind", "send",
                   "detail", "channel",
                   ngx_comms_channel_names[s->channel].data,
                   "attempt", s->attempt.data, s->attempt.len,
                   "person_address", person->data, person->len);

    if (in && ngx_comms_send_conditions(t, in) != NGX_OK) {
        json_decref(in);
        in = NULL;
    }

    /* HELP is answered whoever owns the thread, after a STOP as well */

    if (json_is_true(json_object_get(s->message, "asked_for"))) {
        (void) json_object_del(in, "person_address");
        (void) json_object_del(in, "owner");
    }

    return ngx_comms_thread_store(f, f->engine->store->intend, in);
}


/*
 * A first message is sent without the lease, hence without a fence; it is for
 * a person who has not written yet.  Where the channels take turns ("fallback")
 * it is sent while its channel's turn lasts.
 */

static ngx_int_t
ngx_comms_send_conditions(ngx_comms_thread_t *t, json_t *in)
{
    ngx_str_t          role;
    ngx_comms_send_t  *s;

    s = &t->send;

    if (t->fence
        && json_object_set_new(in, "fence", json_integer(t->fence)) != 0)
    {
        return NGX_ERROR;
    }

    (void) ngx_comms_json_str(s->message, "role", &role);

    if (!(role.len == sizeof("agent") - 1
          && ngx_strncmp(role.data, "agent", role.len) == 0)
        && json_object_set_new(in, "owner", json_string("ai")) != 0)
    {
        return NGX_ERROR;
    }

    if (!s->first) {
        return NGX_OK;
    }

    if (json_object_set_new(in, "newest_inbound_id", json_string("")) != 0) {
        return NGX_ERROR;
    }

    if (!s->aside && json_object_get(t->facts, "fallback") != NULL
        && ngx_comms_json_set_str(in, "channel",
                                  &ngx_comms_channel_names[s->channel])
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_send_gate_done(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    if (f->op_rc == NGX_COMMS_LATE) {
        s->late = 1;
    }

    rc = ngx_comms_thread_written(f);

    if (rc == NGX_ERROR && s->late) {
        return ngx_comms_send_unsent(s);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    switch (f->op_rc) {

    case NGX_OK:
        return NGX_OK;

    case NGX_DECLINED:
        return ngx_comms_send_doubt(f, json_object_get(f->answer, "effect"));

    default:  /* NGX_ABORT */
        return ngx_comms_send_refused(f);
    }
}


static ngx_int_t
ngx_comms_send_refused(ngx_comms_flow_t *f)
{
    ngx_str_t            refused;
    ngx_uint_t           i;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    static const struct {
        ngx_str_t        refused;
        const char      *reason;
    } reasons[] = {
        { ngx_string("opted_out"), "opted_out" },
        { ngx_string("owner"), "human" },
        { ngx_string("newer"), "replied" },
        { ngx_string("channel"), "settled" },
        { ngx_null_string, NULL }
    };

    t = f->ctx;
    s = &t->send;

    (void) ngx_comms_json_str(f->answer, "refused", &refused);

    for (i = 0; reasons[i].reason != NULL; i++) {

        if (refused.len == reasons[i].refused.len
            && ngx_memcmp(refused.data, reasons[i].refused.data, refused.len)
               == 0)
        {
            s->cancelled = reasons[i].reason;
            s->decided = 1;

            return NGX_OK;
        }
    }

    ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_FENCED, 1);

    return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEFER,
                               "thread passed to another turn", NULL);
}


/* nothing was sent: goes on to the row that withdraws the intent */

static ngx_int_t
ngx_comms_send_unsent(ngx_comms_send_t *s)
{
    s->sent.verdict = NGX_COMMS_SEND_RETRY;
    s->unsent = 1;
    s->decided = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_send_doubt(ngx_comms_flow_t *f, json_t *effect)
{
    int64_t              age;
    ngx_str_t            state, attempt;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    (void) ngx_comms_json_str(effect, "state", &state);

    if (state.len != sizeof("intent") - 1
        || ngx_strncmp(state.data, "intent", state.len) != 0)
    {
        if (state.len != sizeof("done") - 1
            || ngx_strncmp(state.data, "done", state.len) != 0)
        {
            s->sent.verdict = NGX_COMMS_SEND_REFUSED;
        }

        s->settled = 1;
        s->decided = 1;

        return NGX_OK;
    }

    (void) ngx_comms_json_str(json_object_get(effect, "detail"), "attempt",
                              &attempt);

    if (attempt.len == s->attempt.len
        && ngx_memcmp(attempt.data, s->attempt.data, attempt.len) == 0)
    {
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

    if (ngx_comms_flow_call(f, &t->send.provider_name, &t->send.request)
        != NGX_AGAIN)
    {
        /* it was never made; the verdict is set */

        return ngx_comms_send_unsent(&t->send);
    }

    return NGX_AGAIN;
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

    if (s->sent.verdict == NGX_COMMS_SEND_CONFIG) {
        ngx_comms_send_rotated(f);
    }

    s->called = 1;
    s->decided = 1;

    return NGX_OK;
}


/* what an older version of a secret could not send, the new one may */

static void
ngx_comms_send_rotated(ngx_comms_flow_t *f)
{
    ngx_str_t            id;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    (void) ngx_comms_json_str(ngx_comms_project_channel(t->project,
                                                        s->channel),
                              "credentials_id", &id);

    if (ngx_comms_thread_rotated(f, &id)) {
        s->sent.verdict = NGX_COMMS_SEND_RETRY;
    }
}
