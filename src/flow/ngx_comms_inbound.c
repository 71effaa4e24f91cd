
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * From a kept inbound message to its thread.
 *
 * A message is trusted with a thread only when the credentials that verified
 * its webhook are those that the thread's project uses on that channel: a
 * company cannot speak into another's threads by signing with its own key.
 *
 * STOP and its family go to the consent ledger, not to the AI; HELP is
 * answered with the project's own words (ngx_comms_inbound_words.c).
 */


#include <flow/ngx_comms_turn.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>


/* a record may be younger than its index, ms */
#define NGX_COMMS_INBOUND_LAG  1000


static ngx_int_t ngx_comms_inbound_orphan(ngx_comms_flow_t *f,
    const char *reason);


ngx_int_t
ngx_comms_inbound_read(ngx_comms_flow_t *f)
{
    json_t     *in;
    ngx_str_t   id;

    if (ngx_comms_thread_create(f) == NULL) {
        return NGX_ERROR;
    }

    /* nobody has written: a message of ours waits in the record */

    if (ngx_comms_json_str(f->body, "thread_id", &id) == NGX_OK
        && ngx_comms_thread_name(f, f->body) == NGX_OK)
    {
        return ngx_comms_flow_goto(f, ngx_comms_thread_project);
    }

    if (ngx_comms_json_str(f->body, "inbound_id", &id) != NGX_OK) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "queue message names no inbound message",
                                   NULL);
    }

    in = json_pack("{s:s%}", "inbound_id", id.data, id.len);

    return ngx_comms_thread_store(f, f->engine->store->inbound, in);
}


ngx_int_t
ngx_comms_inbound_read_done(ngx_comms_flow_t *f)
{
    ngx_str_t            state, channel;
    ngx_int_t            n;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (f->op_rc == NGX_DECLINED) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "inbound message is not in the store",
                                   NULL);
    }

    if (f->op_rc != NGX_OK) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "store could not be read", NULL);
    }

    t->event = json_incref(json_object_get(f->answer, "inbound"));

    (void) ngx_comms_json_str(f->answer, "state", &state);
    (void) ngx_comms_json_str(t->event, "channel", &channel);

    n = ngx_comms_channel_by_name(&channel);

    if (n == NGX_ERROR) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "inbound message has no channel", NULL);
    }

    f->channel = ngx_comms_channel_names[n];

    if (state.len == sizeof("orphan") - 1
        && ngx_strncmp(state.data, "orphan", state.len) == 0)
    {
        return NGX_DONE;
    }

    /* "done" goes on: its answer may still have to be sent */

    return NGX_OK;
}


/* the plus-address of a mail: does one of our keys have made it? */

ngx_int_t
ngx_comms_inbound_token(ngx_comms_flow_t *f)
{
    size_t                i;
    json_t               *credentials, *key;
    ngx_int_t             rc;
    ngx_str_t             token, id, view, thread_id;
    ngx_comms_op_t       *op;
    ngx_comms_thread_t   *t;
    ngx_comms_secrets_t  *secrets;

    t = f->ctx;
    secrets = f->engine->secrets;

    if (ngx_comms_json_str(t->event, "reply_token", &token) != NGX_OK
        || ngx_comms_json_str(t->event, "credentials_id", &id) != NGX_OK)
    {
        return NGX_OK;
    }

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
        return NGX_OK;
    }

    json_array_foreach(json_object_get(credentials, "reply_keys"), i, key) {
        view = ngx_comms_json_view(key);

        rc = ngx_comms_reply_token_verify(f->pool, &view, &token, &thread_id);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            t->thread_id = thread_id;
            break;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_inbound_token_done(ngx_comms_flow_t *f)
{
    if (f->op_rc == NGX_COMMS_LATE) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "credentials were not fetched in time",
                                   NULL);
    }

    return NGX_BUSY;
}


ngx_int_t
ngx_comms_inbound_find(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    in = json_pack("{s:O, s:O, s:O, s:O, s:O*, s:O*, s:O*}",
                   "inbound_id", json_object_get(t->event, "inbound_id"),
                   "channel", json_object_get(t->event, "channel"),
                   "company_address",
                   json_object_get(t->event, "company_address"),
                   "person_address",
                   json_object_get(t->event, "person_address"),
                   "message_ids", json_object_get(t->event, "message_ids"),
                   "replied_to", json_object_get(t->event, "replied_to"),
                   "aliases", json_object_get(t->event, "aliases"));

    if (in && t->thread_id.len
        && ngx_comms_json_set_str(in, "thread_id", &t->thread_id) != NGX_OK)
    {
        json_decref(in);
        in = NULL;
    }

    return ngx_comms_thread_store(f, f->engine->store->find, in);
}


ngx_int_t
ngx_comms_inbound_find_done(ngx_comms_flow_t *f)
{
    if (f->op_rc == NGX_OK) {
        return ngx_comms_thread_name(f, f->answer) == NGX_OK ? NGX_OK
                                                             : NGX_ERROR;
    }

    if (f->op_rc != NGX_DECLINED) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "store could not be read", NULL);
    }

    if (f->receive_count < 2 && !f->last) {
        f->retry_after = NGX_COMMS_INBOUND_LAG;

        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "no thread found yet", NULL);
    }

    return ngx_comms_flow_goto(f, ngx_comms_inbound_trust);
}


static ngx_int_t
ngx_comms_inbound_orphan(ngx_comms_flow_t *f, const char *reason)
{
    json_t              *in;
    ngx_str_t            id;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    (void) ngx_comms_json_str(t->event, "inbound_id", &id);

    ngx_log_error(NGX_LOG_INFO, f->log, 0, "inbound message \"%V\" set aside: "
                  "%s", &id, reason);

    ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_INBOUND_UNKNOWN, 1);

    in = json_pack("{s:s%, s:s}", "inbound_id", id.data, id.len,
                   "reason", reason);

    return ngx_comms_thread_store(f, f->engine->store->orphan, in);
}


ngx_int_t
ngx_comms_inbound_trust(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (f->thread_id.len == 0) {
        return ngx_comms_inbound_orphan(f, "unknown sender");
    }

    if (t->event == NULL) {
        return NGX_OK;
    }

    if (!ngx_comms_inbound_trusted(t, t->event)) {
        return ngx_comms_inbound_orphan(f, "credentials of another project");
    }

    return NGX_OK;
}


ngx_uint_t
ngx_comms_inbound_trusted(ngx_comms_thread_t *t, json_t *event)
{
    size_t      i;
    json_t     *config, *id;
    ngx_int_t   channel;
    ngx_str_t   name, theirs, verified;

    (void) ngx_comms_json_str(event, "channel", &name);

    channel = ngx_comms_channel_by_name(&name);

    if (channel == NGX_ERROR) {
        return 0;
    }

    config = ngx_comms_project_channel(t->project, channel);

    (void) ngx_comms_json_str(config, "credentials_id", &theirs);
    (void) ngx_comms_json_str(event, "credentials_id", &verified);

    if (theirs.len == 0) {
        return 0;
    }

    if (theirs.len == verified.len
        && ngx_memcmp(theirs.data, verified.data, theirs.len) == 0)
    {
        return 1;
    }

    /* one account may be known by several names, whose secrets are the same */

    json_array_foreach(json_object_get(event, "credentials_ids"), i, id) {
        verified = ngx_comms_json_view(id);

        if (theirs.len == verified.len
            && ngx_memcmp(theirs.data, verified.data, theirs.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_comms_inbound_trust_done(ngx_comms_flow_t *f)
{
    if (f->op_rc != NGX_OK) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "store could not be written", NULL);
    }

    return NGX_DONE;
}


/*
 * A person of WhatsApp may write with the number today and without it
 * tomorrow: the thread is to be found by either.
 */

ngx_int_t
ngx_comms_inbound_link(ngx_comms_flow_t *f)
{
    size_t               i;
    json_t              *in, *pairs, *alias, *aliases;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    aliases = json_object_get(t->event, "aliases");

    if (json_array_size(aliases) == 0) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    in = json_pack("{s:s%, s:[{s:O, s:O, s:O}]}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "pairs",
                   "channel", json_object_get(t->event, "channel"),
                   "company_address",
                   json_object_get(t->event, "company_address"),
                   "person_address",
                   json_object_get(t->event, "person_address"));

    pairs = json_object_get(in, "pairs");

    json_array_foreach(aliases, i, alias) {
        if (json_array_append_new(pairs,
                   json_pack("{s:O, s:O, s:O}",
                             "channel", json_object_get(t->event, "channel"),
                             "company_address",
                             json_object_get(t->event, "company_address"),
                             "person_address", alias))
            != 0)
        {
            json_decref(in);
            in = NULL;
            break;
        }
    }

    return ngx_comms_thread_store(f, f->engine->store->link, in);
}


ngx_int_t
ngx_comms_inbound_link_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}


/* what other addresses does the person have? */

ngx_int_t
ngx_comms_inbound_person(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_word_e     word;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    word = ngx_comms_inbound_word(t, t->event);

    if (word != NGX_COMMS_WORD_STOP && word != NGX_COMMS_WORD_START) {
        return NGX_OK;
    }

    in = json_pack("{s:s%, s:i}", "thread_id", t->thread_id.data,
                   t->thread_id.len, "messages", 1);

    return ngx_comms_thread_store(f, f->engine->store->load, in);
}


ngx_int_t
ngx_comms_inbound_person_done(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (f->op_rc != NGX_OK && f->op_rc != NGX_DECLINED) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "store could not be read", NULL);
    }

    return ngx_comms_consent_of(f, json_object_get(f->answer, "record"),
                                json_object_get(t->event, "person_address"),
                                json_object_get(t->event, "aliases"));
}


ngx_int_t
ngx_comms_inbound_consent(ngx_comms_flow_t *f)
{
    ngx_str_t            proof;
    ngx_comms_word_e     word;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    word = ngx_comms_inbound_word(t, t->event);

    if (word != NGX_COMMS_WORD_STOP && word != NGX_COMMS_WORD_START) {
        return NGX_OK;
    }

    (void) ngx_comms_json_str(t->event, "inbound_id", &proof);

    return ngx_comms_consent_write(f, word == NGX_COMMS_WORD_STOP, "keyword",
                                   &proof);
}


ngx_int_t
ngx_comms_inbound_consent_done(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    rc = ngx_comms_consent_written(f);

    if (rc == NGX_OK
        && ngx_comms_inbound_word(t, t->event) == NGX_COMMS_WORD_STOP)
    {
        ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_OPT_OUT, 1);
    }

    return rc;
}


/*
 * A word about consent is in the record, and the AI never sees it.  HELP has
 * an answer, a message not sent yet, which goes out when the thread is
 * claimed; not where the provider has given one itself.
 */

ngx_int_t
ngx_comms_inbound_heed(ngx_comms_flow_t *f)
{
    json_t              *in, *help;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_inbound_word(t, t->event)
        == NGX_COMMS_WORD_NONE) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    in = json_pack("{s:s%, s:[o], s:[O]}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "messages", ngx_comms_inbound_message(t->event),
                   "inbound_done", json_object_get(t->event, "inbound_id"));

    if (in && ngx_comms_inbound_helps(t)) {
        help = ngx_comms_inbound_help(f);

        if (help == NULL
            || json_array_append_new(json_object_get(in, "messages"), help)
               != 0)
        {
            json_decref(in);
            in = NULL;
        }
    }

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


ngx_int_t
ngx_comms_inbound_heed_done(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    rc = ngx_comms_thread_written(f);

    if (rc != NGX_OK) {
        return rc;
    }

    /* the next rows take the thread and send what waits in it */

    return ngx_comms_inbound_helps(t) ? NGX_OK : NGX_DONE;
}


json_t *
ngx_comms_inbound_message(json_t *inbound)
{
    u_char   when[NGX_COMMS_ISO8601_LEN + 1];
    int64_t  received;

    received = ngx_comms_clock_ms();
    (void) ngx_comms_json_int(inbound, "received_at", &received);

    *ngx_comms_iso8601(when, received) = '\0';

    return json_pack("{s:O, s:s, s:s, s:O, s:O, s:O*, s:O, s:O, s:O*,"
                     " s:O*, s:O*, s:s}",
                     "entry_id", json_object_get(inbound, "inbound_id"),
                     "message_timestamp", when,
                     "role", "user",
                     "channel", json_object_get(inbound, "channel"),
                     "content", json_object_get(inbound, "content"),
                     "subject", json_object_get(inbound, "subject"),
                     "company_address",
                     json_object_get(inbound, "company_address"),
                     "person_address",
                     json_object_get(inbound, "person_address"),
                     "provider_message_id",
                     json_object_get(inbound, "provider_message_id"),
                     "email_message_id",
                     json_object_get(inbound, "email_message_id"),
                     "media", json_object_get(inbound, "kept"),
                     "status", "received");
}
