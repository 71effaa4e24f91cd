
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Recording what happened.
 *
 * One conditional update of the header is the commit: it asks for the fence,
 * changes attributes and channel states in place, raises the version, and
 * appends to the journal what belongs into other items.  Nothing is read
 * before it, so two workers that record at once do not disturb each other.
 * Everything that could be wrong with the input is looked at first.  That no
 * state of a channel goes back is a condition of the same update; when it is
 * refused, the header is read and the channel left out.
 *
 * Cost: one write where only the header changes; else that, what the journal
 * says costs, and a counter where the status changes or an effect is settled.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_thread.h>
#include <store/ngx_comms_store_status.h>


#define NGX_COMMS_DYNAMODB_RECORD_TRIES  100


typedef struct {
    ngx_str_t                     thread_id;
    json_t                       *states;     /* channels that change */
    json_t                       *journal;    /* text; NULL: none */
    json_t                       *counts;
    ngx_str_t                     removed;    /* part of the expression */
    ngx_uint_t                    n;          /* names and values so far */
    ngx_uint_t                    tries;
    ngx_comms_dynamodb_update_t   u;
} ngx_comms_dynamodb_record_t;


static void ngx_comms_dynamodb_record_channels(ngx_comms_dynamodb_task_t *t,
    void *data);
static ngx_int_t ngx_comms_dynamodb_record_may(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r, json_t *item);
static void ngx_comms_dynamodb_record_write(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r);
static ngx_int_t ngx_comms_dynamodb_record_expression(
    ngx_comms_dynamodb_task_t *t, ngx_comms_dynamodb_record_t *r);
static ngx_int_t ngx_comms_dynamodb_record_pair(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r, const char *path, const char *name,
    json_t *value);
static ngx_int_t ngx_comms_dynamodb_record_set(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r);
static ngx_int_t ngx_comms_dynamodb_record_states(
    ngx_comms_dynamodb_task_t *t, ngx_comms_dynamodb_record_t *r);
static ngx_int_t ngx_comms_dynamodb_record_rank(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r, ngx_str_t *above);
static ngx_int_t ngx_comms_dynamodb_record_mail(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r);
static ngx_int_t ngx_comms_dynamodb_record_journal(
    ngx_comms_dynamodb_task_t *t, ngx_comms_dynamodb_record_t *r);
static json_t *ngx_comms_dynamodb_record_messages(
    ngx_comms_dynamodb_task_t *t, json_t *at);
static void ngx_comms_dynamodb_record_written(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_record_refused(ngx_comms_dynamodb_task_t *t,
    void *data);
static json_t *ngx_comms_dynamodb_record_outcome(
    ngx_comms_dynamodb_record_t *r, json_t *old);
static json_t *ngx_comms_dynamodb_record_counts(ngx_comms_dynamodb_task_t *t,
    json_t *old);
static void ngx_comms_dynamodb_record_count(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_record_done(ngx_comms_dynamodb_task_t *t,
    void *data);


void
ngx_comms_dynamodb_op_record(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t                       *state;
    const char                   *channel;
    ngx_comms_dynamodb_record_t  *r;

    r = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_record_t));

    if (r == NULL || ngx_comms_dynamodb_record_check(t->in) != NGX_OK) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    r->thread_id = ngx_comms_sqlite_text(t->in, "thread_id");
    r->states = ngx_comms_dynamodb_hold(t, json_object());

    state = json_object_get(t->in, "channel_state");
    channel = json_string_value(json_object_get(state, "channel"));

    if (json_is_object(state) && channel == NULL) {

        /* which channels there are was settled by accept */

        ngx_comms_dynamodb_get(t, &t->db->threads, r->thread_id,
                               ngx_comms_dynamodb_record,
                               ngx_comms_dynamodb_record_channels, r);
        return;
    }

    if (channel != NULL
        && json_object_set(r->states, channel,
                           json_object_get(state, "status"))
           != 0)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_record_write(t, r);
}


static void
ngx_comms_dynamodb_record_channels(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t      *status, *was;
    const char  *channel;

    ngx_comms_dynamodb_record_t *r = data;

    status = json_object_get(json_object_get(t->in, "channel_state"),
                             "status");

    json_object_foreach(json_object_get(t->item, "channel_states"), channel,
                        was)
    {
        if (json_object_set(r->states, channel, status) != 0) {
            ngx_comms_dynamodb_fail(t);
            return;
        }
    }

    if (ngx_comms_dynamodb_record_may(t, r, t->item) != NGX_OK) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_record_write(t, r);
}


/* takes out of the channels those whose state is to stay as it is */

static ngx_int_t
ngx_comms_dynamodb_record_may(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r, json_t *item)
{
    void        *next;
    json_t      *states, *status, *was;
    ngx_uint_t   only_pending;
    const char  *channel, *text;

    only_pending = json_is_true(json_object_get(json_object_get(t->in,
                                                           "channel_state"),
                                                "only_pending"));
    states = json_object_get(item, "channel_states");

    json_object_foreach_safe(r->states, next, channel, status) {

        was = json_object_get(states, channel);
        text = json_string_value(was);

        if (!ngx_comms_store_status_may(was, status)
            || (only_pending
                && (text == NULL || ngx_strcmp(text, "pending") != 0)))
        {
            (void) json_object_del(r->states, channel);
        }
    }

    return (r->states != NULL) ? NGX_OK : NGX_ERROR;
}


static void
ngx_comms_dynamodb_record_write(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r)
{
    int64_t  now;

    now = ngx_comms_clock_ms();

    r->n = 0;
    r->journal = NULL;
    ngx_str_null(&r->removed);

    r->u.pk = r->thread_id;
    r->u.sk = ngx_comms_dynamodb_record;
    r->u.returns = "ALL_OLD";
    r->u.names = json_object();
    r->u.values = json_pack("{s:i, s:o, s:I}", ":one", 1,
                            ":updated", ngx_comms_dynamodb_time(now),
                            ":now", (json_int_t) (now / 1000));

    ngx_str_set(&r->u.update,
                "SET #version = #version + :one, #updated_at = :updated");
    ngx_str_set(&r->u.condition, "attribute_exists(#pk)"
                         " AND (attribute_not_exists(#ttl) OR #ttl >= :now)");

    if (ngx_comms_dynamodb_record_expression(t, r) != NGX_OK) {
        json_decref(r->u.names);
        json_decref(r->u.values);
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_update(t, &t->db->threads, &r->u,
                              ngx_comms_dynamodb_record_written, r);
}


static ngx_int_t
ngx_comms_dynamodb_record_expression(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r)
{
    int64_t  ttl;

    ttl = ngx_comms_dynamodb_ttl(t->db);

    if (ttl != 0) {
        r->u.update = ngx_comms_dynamodb_text(t, "%V, #ttl = :ttl",
                                              &r->u.update);

        if (json_object_set_new(r->u.values, ":ttl", json_integer(ttl)) != 0)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_comms_sqlite_has(t->in, "fence")) {
        r->u.condition = ngx_comms_dynamodb_text(t, "%V AND #fence = :fence",
                                                 &r->u.condition);

        if (json_object_set(r->u.values, ":fence",
                            json_object_get(t->in, "fence"))
            != 0)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_comms_dynamodb_record_set(t, r) != NGX_OK
        || ngx_comms_dynamodb_record_states(t, r) != NGX_OK
        || ngx_comms_dynamodb_record_mail(t, r) != NGX_OK
        || ngx_comms_dynamodb_record_journal(t, r) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->removed.len != 0) {
        r->u.update = ngx_comms_dynamodb_text(t, "%V REMOVE %V",
                                              &r->u.update, &r->removed);
    }

    return (r->u.update.len != 0) ? NGX_OK : NGX_ERROR;
}


/* a "value" of NULL removes; "path" is what stands before the name */

static ngx_int_t
ngx_comms_dynamodb_record_pair(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r, const char *path, const char *name,
    json_t *value)
{
    char  key[sizeof("#a") + NGX_INT_T_LEN];

    (void) snprintf(key, sizeof(key), "#a%u", (unsigned) r->n++);

    if (json_object_set_new(r->u.names, key, json_string(name)) != 0) {
        return NGX_ERROR;
    }

    if (value == NULL) {
        r->removed = ngx_comms_dynamodb_text(t, "%V%s%s%s", &r->removed,
                                             r->removed.len ? ", " : "", path,
                                             key);
        return (r->removed.len != 0) ? NGX_OK : NGX_ERROR;
    }

    r->u.update = ngx_comms_dynamodb_text(t, "%V, %s%s = :%s", &r->u.update,
                                          path, key, key + 1);
    key[0] = ':';

    return json_object_set(r->u.values, key, value) == 0 ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_dynamodb_record_set(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r)
{
    json_t      *set, *value;
    ngx_str_t    status;
    const char  *name;

    set = json_object_get(t->in, "set");

    json_object_foreach(set, name, value) {

        if (ngx_strcmp(name, "conversation_status") == 0
            && json_is_null(value))
        {
            continue;
        }

        if (ngx_comms_dynamodb_record_pair(t, r, "", name, value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    status = ngx_comms_sqlite_text(set, "conversation_status");

    if (status.len == 0) {
        return NGX_OK;
    }

    /* the index of open conversations has those that are open, and no more */

    if (!ngx_comms_dynamodb_is_open(status)) {
        return ngx_comms_dynamodb_record_pair(t, r, "", "gsi_open", NULL);
    }

    r->u.update = ngx_comms_dynamodb_text(t, "%V, #gsi_open = #comms_open",
                                          &r->u.update);

    return (r->u.update.len != 0) ? NGX_OK : NGX_ERROR;
}


/* a channel's reason goes with its state: a new state without one has none */

static ngx_int_t
ngx_comms_dynamodb_record_states(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r)
{
    json_t      *reason, *status;
    ngx_str_t    above;
    const char  *channel;

    ngx_str_null(&above);

    reason = json_object_get(json_object_get(t->in, "channel_state"),
                             "reason");

    if (json_is_null(reason)) {
        reason = NULL;
    }

    json_object_foreach(r->states, channel, status) {

        if (above.len == 0
            && ngx_comms_dynamodb_above(t, status, r->u.values, &above)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ngx_comms_dynamodb_record_rank(t, r, &above) != NGX_OK
            || ngx_comms_dynamodb_record_pair(t, r, "#channel_states.",
                                              channel, status)
               != NGX_OK
            || ngx_comms_dynamodb_record_pair(t, r, "#channel_reasons.",
                                              channel, reason)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* the condition for the channel whose state is the next pair */

static ngx_int_t
ngx_comms_dynamodb_record_rank(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r, ngx_str_t *above)
{
    if (json_is_true(json_object_get(json_object_get(t->in, "channel_state"),
                                     "only_pending")))
    {
        r->u.condition = ngx_comms_dynamodb_text(t,
                             "%V AND #channel_states.#a%ui = :pending",
                             &r->u.condition, r->n);

        if (json_object_set_new(r->u.values, ":pending",
                                json_string("pending"))
            != 0)
        {
            return NGX_ERROR;
        }
    }

    if (above->len != 0) {
        r->u.condition = ngx_comms_dynamodb_text(t,
                             "%V AND NOT (#channel_states.#a%ui IN (%V))",
                             &r->u.condition, r->n, above);
    }

    return (r->u.condition.len != 0) ? NGX_OK : NGX_ERROR;
}


/* the first mail of ours is what MessageIdIndex finds the thread by */

static ngx_int_t
ngx_comms_dynamodb_record_mail(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r)
{
    size_t       i;
    json_t      *message;
    ngx_str_t    id;
    const char  *role;

    json_array_foreach(json_object_get(t->in, "messages"), i, message) {

        id = ngx_comms_sqlite_text(message, "email_message_id");
        role = json_string_value(json_object_get(message, "role"));

        if (id.len == 0
            || (role != NULL && ngx_strcmp(role, "user") == 0))
        {
            continue;
        }

        r->u.update = ngx_comms_dynamodb_text(t,
                          "%V, #initial_email_message_id ="
                          " if_not_exists(#initial_email_message_id, :mail)",
                          &r->u.update);

        return json_object_set_new(r->u.values, ":mail",
                                   ngx_comms_dynamodb_string(id))
               == 0 ? NGX_OK : NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_dynamodb_record_journal(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r)
{
    json_t   *doc, *at;
    int64_t   now;

    if (t->db->conf->layout == NGX_COMMS_STORE_SINGLE
        && !ngx_comms_sqlite_has(t->in, "effect")
        && json_array_size(json_object_get(t->in, "messages")) == 0
        && json_array_size(json_object_get(t->in, "inbound_done")) == 0)
    {
        return NGX_OK;
    }

    now = ngx_comms_clock_ms();
    at = ngx_comms_dynamodb_hold(t, ngx_comms_dynamodb_time(now));

    doc = json_pack("{s:I, s:o, s:O*, s:O*, s:O*}",
                    "at", (json_int_t) now,
                    "messages", ngx_comms_dynamodb_record_messages(t, at),
                    "effect", json_object_get(t->in, "effect"),
                    "inbound_done", json_object_get(t->in, "inbound_done"),
                    "turn_id", json_object_get(t->in, "turn_id"));

    r->journal = ngx_comms_dynamodb_hold(t, ngx_comms_dynamodb_pack(doc));

    json_decref(doc);

    r->u.update = ngx_comms_dynamodb_text(t,
        "%V, #comms_journal = list_append(#comms_journal, :doc),"
        " #comms_commits = #comms_commits + :one,"
        " #gsi_sweep = #comms_shard, #gsi_sweep_at = :at", &r->u.update);

    if (r->journal == NULL
        || json_object_set_new(r->u.values, ":doc",
                               json_pack("[O]", r->journal)) != 0
        || json_object_set_new(r->u.values, ":at", json_integer(now)) != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* each with the place that it has if it is new */

static json_t *
ngx_comms_dynamodb_record_messages(ngx_comms_dynamodb_task_t *t, json_t *at)
{
    size_t      i;
    json_t     *messages, *message;
    ngx_str_t   key;

    messages = json_array();

    json_array_foreach(json_object_get(t->in, "messages"), i, message) {

        if (ngx_comms_id_mint(t->pool, "", &key) != NGX_OK
            || json_array_append_new(messages,
                   json_pack("{s:o, s:O, s:O}",
                             "key", ngx_comms_dynamodb_string(key),
                             "at", at, "message", message))
               != 0)
        {
            json_decref(messages);
            return NULL;
        }
    }

    return messages;
}


static void
ngx_comms_dynamodb_record_written(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t   *item, *outcome, *journal;
    int64_t   c;

    ngx_comms_dynamodb_record_t *r = data;

    if (t->refused || t->item == NULL) {
        ngx_comms_dynamodb_get(t, &t->db->threads, r->thread_id,
                               ngx_comms_dynamodb_record,
                               ngx_comms_dynamodb_record_refused, r);
        return;
    }

    item = t->item;
    outcome = ngx_comms_dynamodb_record_outcome(r, item);

    if (outcome == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_commit(t, outcome);

    t->changed = r->thread_id;
    r->counts = ngx_comms_dynamodb_record_counts(t, item);

    if (r->journal == NULL) {
        ngx_comms_dynamodb_record_count(t, r);
        return;
    }

    /* the header as it is now, as far as the journal needs it */

    journal = json_object_get(item, "comms_journal");
    c = json_integer_value(json_object_get(item, "comms_commits")) + 1;

    if (json_array_append(journal, r->journal) != 0
        || json_object_set_new(item, "comms_commits", json_integer(c)) != 0)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_replay(t, r->thread_id, item,
                              ngx_comms_dynamodb_record_count, r);
}


static void
ngx_comms_dynamodb_record_refused(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *fence;

    ngx_comms_dynamodb_record_t *r = data;

    if (t->item == NULL) {
        ngx_comms_dynamodb_finish(t, NGX_DECLINED, NULL);
        return;
    }

    fence = json_object_get(t->in, "fence");

    if (json_is_integer(fence)
        && !json_equal(fence, json_object_get(t->item, "fence")))
    {
        ngx_comms_dynamodb_finish(t, NGX_ABORT, NULL);
        return;
    }

    /* a channel has come further than this record knows, or did meanwhile */

    if (++r->tries == NGX_COMMS_DYNAMODB_RECORD_TRIES
        || ngx_comms_dynamodb_record_may(t, r, t->item) != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_record_write(t, r);
}


static json_t *
ngx_comms_dynamodb_record_outcome(ngx_comms_dynamodb_record_t *r, json_t *old)
{
    json_t  *states;

    states = json_copy(json_object_get(old, "channel_states"));

    if (states == NULL || json_object_update(states, r->states) != 0) {
        json_decref(states);
        return NULL;
    }

    return json_pack("{s:o}", "channel_states", states);
}


/* what the figures change by; told by the header as it was */

static json_t *
ngx_comms_dynamodb_record_counts(ngx_comms_dynamodb_task_t *t, json_t *old)
{
    json_t      *counts, *settled;
    ngx_str_t    was, is, name;
    const char  *id;

    counts = ngx_comms_dynamodb_hold(t, json_object());

    was = ngx_comms_sqlite_text(old, "conversation_status");
    is = ngx_comms_sqlite_text(json_object_get(t->in, "set"),
                               "conversation_status");

    if (is.len != 0
        && (is.len != was.len || ngx_memcmp(is.data, was.data, is.len) != 0))
    {
        name = ngx_comms_dynamodb_text(t, "threads %V%Z", &was);
        (void) json_object_set_new(counts, (char *) name.data,
                                   json_integer(-1));

        name = ngx_comms_dynamodb_text(t, "threads %V%Z", &is);
        (void) json_object_set_new(counts, (char *) name.data,
                                   json_integer(1));
    }

    id = json_string_value(json_object_get(json_object_get(t->in, "effect"),
                                           "effect_id"));

    settled = ngx_comms_dynamodb_hold(t, ngx_comms_dynamodb_settled(old));

    if (id != NULL
        && json_object_get(json_object_get(old, "comms_intents"), id) != NULL
        && json_object_get(settled, id) == NULL)
    {
        (void) json_object_set_new(counts, "effects_unfinished",
                                   json_integer(-1));
    }

    return counts;
}


static void
ngx_comms_dynamodb_record_count(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_record_t *r = data;

    if (json_object_size(r->counts) == 0) {
        ngx_comms_dynamodb_record_done(t, r);
        return;
    }

    ngx_comms_dynamodb_count(t, r->thread_id, json_incref(r->counts),
                             ngx_comms_dynamodb_record_done, r);
}


static void
ngx_comms_dynamodb_record_done(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_finish(t, NGX_OK, json_incref(t->outcome));
}
