
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What became of a message, as its provider reports it later, and what else
 * providers say outside of messages: consent, another address.
 *
 *   status    the message and, where it is a thread's first one on a channel,
 *             the channel's state; the store lets neither move backwards, so
 *             reports may come in any order, late and more than once
 *   consent   the ledger
 *   identity  the thread's address pairs
 *
 * The thread is found by the marker that our request carried and the report
 * brings back; without one by the provider's id of the message, which may be
 * known here before our own record of the send, so that it is looked for a
 * few times; an address by its pair.
 *
 * A report is trusted when the credentials that verified its webhook are those
 * that the thread's project uses on that channel, as a message is.
 *
 * No lease: nothing is asked of the AI and nothing is sent, and each write
 * stands for itself.  All rows find what an earlier run has done.
 */


#include <flow/ngx_comms_turn.h>
#include <flow/ngx_comms_fallback.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_address.h>


/* how often a message is looked for, and ms before the second time */
#define NGX_COMMS_STATUS_TRIES  6
#define NGX_COMMS_STATUS_LAG    500


static ngx_int_t ngx_comms_status_read(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_marker(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_find(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_find_done(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_unknown(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_load(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_load_done(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_trust(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_record(ngx_comms_flow_t *f);
static json_t *ngx_comms_status_message(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_record_done(ngx_comms_flow_t *f);
static void ngx_comms_status_count(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_close(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_close_done(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_ledger(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_ledger_done(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_consent(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_consent_done(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_word(json_t *event);
static json_t *ngx_comms_status_proof(json_t *event);
static ngx_int_t ngx_comms_status_person(ngx_comms_flow_t *f,
    ngx_str_t *person);
static ngx_int_t ngx_comms_status_link(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_link_done(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_rename(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_status_rename_done(ngx_comms_flow_t *f);
static ngx_uint_t ngx_comms_status_kind(json_t *event, const char *kind);


ngx_comms_step_t  ngx_comms_status_steps[] = {

    { "reading the report",
      ngx_comms_status_read, NULL, 0 },

    { "finding the message",
      ngx_comms_status_find, ngx_comms_status_find_done, 0 },

    { "loading the thread",
      ngx_comms_status_load, ngx_comms_status_load_done, 0 },

    { "loading the project",
      ngx_comms_thread_project, ngx_comms_thread_project_done, 0 },

    { "checking whose webhook it was",
      ngx_comms_status_trust, NULL, 0 },

    { "recording the status",
      ngx_comms_status_record, ngx_comms_status_record_done, 0 },

    { "closing the thread",
      ngx_comms_status_close, ngx_comms_status_close_done, 0 },

    { "reading the message that the window kept back",
      ngx_comms_status_window, ngx_comms_status_window_done, 0 },

    { "recording it once more",
      ngx_comms_status_again_record, ngx_comms_status_again_record_done, 0 },

    { "having it sent",
      ngx_comms_status_again_wake, ngx_comms_status_again_wake_done, 0 },

    { "reading the consent ledger",
      ngx_comms_status_ledger, ngx_comms_status_ledger_done, 0 },

    { "heeding the person's consent",
      ngx_comms_status_consent, ngx_comms_status_consent_done, 0 },

    { "linking the person's address",
      ngx_comms_status_link, ngx_comms_status_link_done, 0 },

    { "recording the person's address",
      ngx_comms_status_rename, ngx_comms_status_rename_done, 0 },

    { "stopping the fallback",
      ngx_comms_fallback_stop, ngx_comms_fallback_stop_done, 0 },

    { "moving on to the next channel",
      ngx_comms_fallback_hasten, ngx_comms_fallback_hasten_done, 0 },

    { NULL, NULL, NULL, 0 }
};


static ngx_int_t
ngx_comms_status_read(ngx_comms_flow_t *f)
{
    ngx_int_t            n;
    ngx_str_t            channel;
    ngx_comms_thread_t  *t;

    t = ngx_comms_thread_create(f);
    if (t == NULL) {
        return NGX_ERROR;
    }

    t->event = json_incref(json_object_get(f->body, "event"));

    (void) ngx_comms_json_str(t->event, "channel", &channel);

    n = ngx_comms_channel_by_name(&channel);

    if (n == NGX_ERROR) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "report names no channel", NULL);
    }

    f->channel = ngx_comms_channel_names[n];

    return ngx_comms_status_marker(f);
}


/* "<thread_id>.<entry_id>"; anything else is none of ours */

static ngx_int_t
ngx_comms_status_marker(ngx_comms_flow_t *f)
{
    ngx_str_t            marker, thread_id, entry_id;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_thread_str(f, t->event, "marker", &marker) != NGX_OK) {
        return NGX_ERROR;
    }

    if (marker.len != NGX_COMMS_THREAD_ID_LEN + 1 + NGX_COMMS_ULID_LEN
        || marker.data[NGX_COMMS_THREAD_ID_LEN] != '.')
    {
        return NGX_OK;
    }

    thread_id.data = marker.data;
    thread_id.len = NGX_COMMS_THREAD_ID_LEN;

    entry_id.data = marker.data + NGX_COMMS_THREAD_ID_LEN + 1;
    entry_id.len = NGX_COMMS_ULID_LEN;

    if (!ngx_comms_thread_id_valid(&thread_id)
        || !ngx_comms_ulid_valid(&entry_id))
    {
        return NGX_OK;
    }

    t->thread_id = thread_id;
    t->entry_id = entry_id;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_status_find(ngx_comms_flow_t *f)
{
    json_t              *in, *id, *company;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (t->thread_id.len) {
        return NGX_OK;
    }

    id = json_object_get(t->event, "provider_message_id");

    if (json_is_string(id)) {
        in = json_pack("{s:O}", "provider_message_id", id);

        return ngx_comms_thread_store(f, f->engine->store->sent_as, in);
    }

    company = json_object_get(t->event, "company_address");

    if (!json_is_string(company)) {
        return ngx_comms_status_unknown(f);
    }

    in = json_pack("{s:O, s:O, s:O}",
                   "channel", json_object_get(t->event, "channel"),
                   "company_address", company, "person_address",
                   json_object_get(t->event,
                                   ngx_comms_status_kind(t->event, "identity")
                                       ? "previous" : "person_address"));

    return ngx_comms_thread_store(f, f->engine->store->find, in);
}


static ngx_int_t
ngx_comms_status_find_done(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (f->op_rc == NGX_DECLINED) {
        return ngx_comms_status_unknown(f);
    }

    if (f->op_rc != NGX_OK) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "store could not be read", NULL);
    }

    if (ngx_comms_thread_str(f, f->answer, "thread_id", &t->thread_id)
        != NGX_OK
        || ngx_comms_thread_str(f, f->answer, "entry_id", &t->entry_id)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* not yet, or not at all: then it is counted and forgotten */

static ngx_int_t
ngx_comms_status_unknown(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (f->receive_count < NGX_COMMS_STATUS_TRIES && !f->last) {
        f->retry_after = NGX_COMMS_STATUS_LAG << f->receive_count;

        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "no message found yet", NULL);
    }

    ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_STATUS_UNKNOWN, 1);

    ngx_log_error(NGX_LOG_INFO, f->log, 0,
                  "report of a provider is about no message of ours%s",
                  t->thread_id.len ? ": its thread is gone" : "");

    return NGX_DONE;
}


static ngx_int_t
ngx_comms_status_load(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    in = json_pack("{s:s%, s:i}", "thread_id", t->thread_id.data,
                   t->thread_id.len, "messages", 1);

    return ngx_comms_thread_store(f, f->engine->store->load, in);
}


static ngx_int_t
ngx_comms_status_load_done(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (f->op_rc == NGX_DECLINED) {
        return ngx_comms_status_unknown(f);
    }

    if (f->op_rc != NGX_OK) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "store could not be read", NULL);
    }

    t->facts = json_incref(json_object_get(f->answer, "record"));

    return ngx_comms_thread_name(f, t->facts) == NGX_OK ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_status_trust(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_inbound_trusted(t, t->event)) {
        return NGX_OK;
    }

    ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_STATUS_UNKNOWN, 1);

    ngx_log_error(NGX_LOG_INFO, f->log, 0, "report of a provider is not "
                  "heeded: credentials of another project");

    return NGX_DONE;
}


static ngx_int_t
ngx_comms_status_record(ngx_comms_flow_t *f)
{
    json_t              *in, *state;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (t->entry_id.len == 0 || !ngx_comms_status_kind(t->event, "status")) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    in = json_pack("{s:s%, s:[o]}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "messages", ngx_comms_status_message(f));

    if (in && ngx_comms_fallback_is_first(t->facts, &f->channel, &t->entry_id))
    {
        state = json_pack("{s:s%, s:O, s:O*}",
                          "channel", f->channel.data, f->channel.len,
                          "status", json_object_get(t->event, "status"),
                          "reason", json_object_get(t->event, "label"));

        if (json_object_set_new(in, "channel_state", state) != 0) {
            json_decref(in);
            in = NULL;
        }
    }

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


/*
 * A report may be the first to tell the provider's id, when its answer to the
 * send was lost.  Of mails it is not the same in answer and report.
 */

static json_t *
ngx_comms_status_message(ngx_comms_flow_t *f)
{
    u_char               when[NGX_COMMS_ISO8601_LEN + 1];
    json_t              *id;
    int64_t              at;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    id = NULL;

    if (f->channel.data != ngx_comms_channel_names[NGX_COMMS_EMAIL].data) {
        id = json_object_get(t->event, "provider_message_id");
    }

    at = ngx_comms_clock_ms();
    (void) ngx_comms_json_int(t->event, "at", &at);

    *ngx_comms_iso8601(when, at) = '\0';

    /* null takes the reason of an earlier status away */

    return json_pack("{s:s%, s:O, s:s, s:O?, s:O?, s:O*}",
                     "entry_id", t->entry_id.data, t->entry_id.len,
                     "status", json_object_get(t->event, "status"),
                     "status_at", when,
                     "reason", json_object_get(t->event, "label"),
                     "reason_code", json_object_get(t->event, "code"),
                     "provider_message_id", id);
}


static ngx_int_t
ngx_comms_status_record_done(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    rc = ngx_comms_thread_written(f);
    if (rc != NGX_OK) {
        return rc;
    }

    if (f->op_rc != NGX_OK) {
        return ngx_comms_status_unknown(f);
    }

    ngx_comms_send_hope(&t->send, json_object_get(f->answer,
                                                  "channel_states"));
    ngx_comms_status_count(f);

    return NGX_OK;
}


static void
ngx_comms_status_count(ngx_comms_flow_t *f)
{
    ngx_str_t            status, verdict, code;
    ngx_uint_t           i, level;
    const char          *words;
    ngx_comms_thread_t  *t;

    static const struct {
        ngx_str_t           status;
        ngx_comms_count_e   what;
    } counts[] = {
        { ngx_string("delivered"), NGX_COMMS_COUNT_DELIVERED },
        { ngx_string("read"), NGX_COMMS_COUNT_READ },
        { ngx_string("failed"), NGX_COMMS_COUNT_UNDELIVERED },
        { ngx_string("bounced"), NGX_COMMS_COUNT_BOUNCED },
        { ngx_null_string, 0 }
    };

    t = f->ctx;

    (void) ngx_comms_json_str(t->event, "status", &status);
    (void) ngx_comms_json_str(t->event, "verdict", &verdict);
    (void) ngx_comms_json_str(t->event, "code", &code);

    for (i = 0; counts[i].status.len; i++) {
        if (status.len == counts[i].status.len
            && ngx_strncmp(status.data, counts[i].status.data, status.len)
               == 0)
        {
            ngx_comms_count(f->engine->zone, counts[i].what, 1);
        }
    }

    if (verdict.len == 0) {
        return;
    }

    if (verdict.len == 6 && ngx_strncmp(verdict.data, "window", 6) == 0) {
        ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_WINDOW, 1);
    }

    words = json_string_value(json_object_get(t->event, "words"));

    level = (verdict.len == 6 && ngx_strncmp(verdict.data, "config", 6) == 0)
                ? NGX_LOG_ERR : NGX_LOG_WARN;

    ngx_log_error(level, f->log, 0,
                  "message was taken and not delivered: %s, code \"%V\"",
                  words ? words : "no reason given", &code);
}


/* the last channel to hope for is gone, and nobody has written */

static ngx_int_t
ngx_comms_status_close(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_str_t            newest;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    (void) ngx_comms_json_str(t->facts, "newest_inbound_id", &newest);

    if (!t->send.all_failed || newest.len) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    in = json_pack("{s:s%, s:{s:s}}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "set", "conversation_status", "failed");

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


static ngx_int_t
ngx_comms_status_close_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}


/*
 * What the report says of consent is in the ledger once: the address that
 * would be written last knows whether an earlier run has written them all.
 */

static ngx_int_t
ngx_comms_status_ledger(ngx_comms_flow_t *f)
{
    json_t              *in, *from, *known;
    ngx_int_t            rc;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_status_word(t->event) == NGX_DECLINED) {
        return NGX_OK;
    }

    if (ngx_comms_status_person(f, &t->person) != NGX_OK) {
        return NGX_ERROR;
    }

    if (t->person.len == 0) {
        ngx_log_error(NGX_LOG_WARN, f->log, 0,
                      "report about consent names nobody");
        return NGX_OK;
    }

    from = ngx_comms_json_string(&t->person);
    rc = ngx_comms_consent_of(f, t->facts, from, NULL);

    json_decref(from);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    known = t->consent.addresses;

    in = json_pack("{s:s%, s:O}",
                   "company_id", t->company_id.data, t->company_id.len,
                   "person_address",
                   json_array_get(known, json_array_size(known) - 1));

    return ngx_comms_thread_store(f, f->engine->store->ledger, in);
}


static ngx_int_t
ngx_comms_status_ledger_done(ngx_comms_flow_t *f)
{
    size_t               i;
    json_t              *entry, *proof;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (f->op_rc != NGX_OK) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "store could not be read", NULL);
    }

    proof = ngx_comms_status_proof(t->event);

    json_array_foreach(json_object_get(f->answer, "entries"), i, entry) {
        if (json_equal(json_object_get(entry, "proof"), proof)) {
            ngx_str_null(&t->person);
        }
    }

    json_decref(proof);

    return NGX_OK;
}


static ngx_int_t
ngx_comms_status_consent(ngx_comms_flow_t *f)
{
    json_t              *proof;
    ngx_int_t            rc, word;
    ngx_str_t            text;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    word = ngx_comms_status_word(t->event);

    if (word == NGX_DECLINED || t->person.len == 0) {
        return NGX_OK;
    }

    proof = ngx_comms_status_proof(t->event);
    text = ngx_comms_json_view(proof);

    rc = ngx_comms_consent_write(f, word, "provider", &text);

    json_decref(proof);

    return rc;
}


static ngx_int_t
ngx_comms_status_consent_done(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    rc = ngx_comms_consent_written(f);

    if (rc == NGX_OK && ngx_comms_status_word(t->event) == 1) {
        ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_OPT_OUT, 1);
    }

    return rc;
}


/* 1 opted out, 0 opted in, NGX_DECLINED: the report says neither */

static ngx_int_t
ngx_comms_status_word(json_t *event)
{
    ngx_str_t  verdict;

    if (ngx_comms_status_kind(event, "consent")) {
        return json_is_true(json_object_get(event, "opted_out"));
    }

    (void) ngx_comms_json_str(event, "verdict", &verdict);

    if (verdict.len == sizeof("opted_out") - 1
        && ngx_strncmp(verdict.data, "opted_out", verdict.len) == 0)
    {
        return 1;
    }

    return NGX_DECLINED;
}


/* new; the report's own id tells two of the same words apart */

static json_t *
ngx_comms_status_proof(json_t *event)
{
    ngx_str_t  proof, id;

    (void) ngx_comms_json_str(event, "proof", &proof);
    (void) ngx_comms_json_str(event, "dedupe_id", &id);

    return json_sprintf("%.*s%s%.*s", (int) proof.len, (char *) proof.data,
                        proof.len ? ", " : "", (int) id.len,
                        (char *) id.data);
}


/* whom the report is about: who it says, else whom the thread began with */

static ngx_int_t
ngx_comms_status_person(ngx_comms_flow_t *f, ngx_str_t *person)
{
    ngx_int_t            rc;
    ngx_str_t            bare;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_thread_str(f, t->event, "person_address", person)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (person->len) {
        return NGX_OK;
    }

    if (f->channel.data == ngx_comms_channel_names[NGX_COMMS_EMAIL].data) {
        rc = ngx_comms_json_str(t->facts, "recipient_email", &bare);

        return rc == NGX_OK ? ngx_comms_address_email(f->pool, &bare, person)
                            : NGX_OK;
    }

    rc = ngx_comms_json_str(t->facts, "recipient_tel", &bare);

    return rc == NGX_OK ? ngx_comms_address_tel(f->pool, &bare, person)
                        : NGX_OK;
}


static ngx_int_t
ngx_comms_status_link(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (!ngx_comms_status_kind(t->event, "identity")) {
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

    return ngx_comms_thread_store(f, f->engine->store->link, in);
}


static ngx_int_t
ngx_comms_status_link_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}


/* a new number is the person's from now on, on every channel that uses it */

static ngx_int_t
ngx_comms_status_rename(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_str_t            address, bare;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    (void) ngx_comms_json_str(t->event, "person_address", &address);

    if (!ngx_comms_status_kind(t->event, "identity")
        || address.len <= sizeof("tel:") - 1
        || ngx_strncmp(address.data, "tel:", sizeof("tel:") - 1) != 0)
    {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    bare = ngx_comms_address_bare(&address);

    in = json_pack("{s:s%, s:{s:s%}}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "set", "recipient_tel", bare.data, bare.len);

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


static ngx_int_t
ngx_comms_status_rename_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}


static ngx_uint_t
ngx_comms_status_kind(json_t *event, const char *kind)
{
    ngx_str_t  value;

    (void) ngx_comms_json_str(event, "kind", &value);

    return value.len == ngx_strlen(kind)
           && ngx_strncmp(value.data, kind, value.len) == 0;
}
