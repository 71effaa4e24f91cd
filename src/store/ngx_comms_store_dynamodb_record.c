
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Recording what happened.
 *
 * One conditional update of the header is the commit: it asks for the fence,
 * changes attributes and channel states in place, raises the version, and
 * appends to the journal what belongs into other items.  Nothing is read
 * before it, so two workers that record at once do not disturb each other.
 * Everything that could be wrong with the input is looked at first.
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


typedef struct {
    ngx_str_t                     thread_id;
    json_t                       *states;     /* channels that change */
    json_t                       *journal;    /* text; NULL: none */
    json_t                       *counts;
    ngx_str_t                     removed;    /* part of the expression */
    ngx_uint_t                    n;          /* names and values so far */
    ngx_comms_dynamodb_update_t   u;
} ngx_comms_dynamodb_record_t;


static ngx_int_t ngx_comms_dynamodb_record_check(json_t *in);
static ngx_int_t ngx_comms_dynamodb_record_check_set(json_t *set);
static ngx_int_t ngx_comms_dynamodb_record_check_effect(json_t *effect);
static void ngx_comms_dynamodb_record_channels(ngx_comms_dynamodb_task_t *t,
    void *data);
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


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_record_members[] =
{
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "fence", NGX_COMMS_SQLITE_INTEGER, 1, 0, INT64_MAX },
    { "effect", NGX_COMMS_SQLITE_OBJECT, 1, 0, 0 },
    { "set", NGX_COMMS_SQLITE_OBJECT, 1, 0, 0 },
    { "channel_state", NGX_COMMS_SQLITE_OBJECT, 1, 0, 0 },
    { "messages", NGX_COMMS_SQLITE_ARRAY, 1, 0, 0 },
    { "inbound_done", NGX_COMMS_SQLITE_NAMES, 1, 0, 0 },
    { "turn_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_state_members[] = {
    { "channel", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { "status", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "reason", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_set_members[] = {
    { "conversation_status", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_settle_members[] =
{
    { "effect_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "state", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_message_members[] =
{
    { "entry_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "message_timestamp", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { "status", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "turn_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "provider_message_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "email_message_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


/* attributes that a record cannot set */
static const char  *ngx_comms_dynamodb_fixed[] = {
    "thread_id", "conversation_id", "company_id", "project_id", "request_id",
    "fence", "version", "created_at", "updated_at", "channel_states",
    "channel_reasons", "messages", "ttl", "sort_key", "primary_channel", NULL
};


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


static ngx_int_t
ngx_comms_dynamodb_record_check(json_t *in)
{
    size_t   i;
    json_t  *message;

    if (ngx_comms_sqlite_members("record", in,
                                 ngx_comms_dynamodb_record_members)
        != NGX_OK
        || ngx_comms_dynamodb_record_check_set(json_object_get(in, "set"))
           != NGX_OK
        || ngx_comms_dynamodb_record_check_effect(
                                          json_object_get(in, "effect"))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_sqlite_has(in, "channel_state")
        && ngx_comms_sqlite_members("record channel_state",
                                    json_object_get(in, "channel_state"),
                                    ngx_comms_dynamodb_state_members)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    json_array_foreach(json_object_get(in, "messages"), i, message) {
        if (ngx_comms_sqlite_members("record message", message,
                                     ngx_comms_dynamodb_message_members)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_dynamodb_record_check_set(json_t *set)
{
    json_t      *value;
    ngx_uint_t   i, wrong;
    const char  *name;

    if (!json_is_object(set)) {
        return NGX_OK;
    }

    if (ngx_comms_sqlite_members("record set", set,
                                 ngx_comms_dynamodb_set_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    json_object_foreach(set, name, value) {

        wrong = ngx_strncmp(name, NGX_COMMS_DYNAMODB_OURS,
                            sizeof(NGX_COMMS_DYNAMODB_OURS) - 1) == 0
                || ngx_strncmp(name, NGX_COMMS_DYNAMODB_INDEX,
                               sizeof(NGX_COMMS_DYNAMODB_INDEX) - 1) == 0;

        for (i = 0; ngx_comms_dynamodb_fixed[i] != NULL; i++) {
            if (ngx_strcmp(name, ngx_comms_dynamodb_fixed[i]) == 0) {
                wrong = 1;
            }
        }

        if (wrong) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "comms \"record\" was asked to set \"%s\"", name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_dynamodb_record_check_effect(json_t *effect)
{
    const char  *state;

    if (!json_is_object(effect)) {
        return NGX_OK;
    }

    if (ngx_comms_sqlite_members("record effect", effect,
                                 ngx_comms_dynamodb_settle_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    state = json_string_value(json_object_get(effect, "state"));

    if (ngx_strcmp(state, "done") != 0 && ngx_strcmp(state, "failed") != 0
        && ngx_strcmp(state, "unknown") != 0)
    {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "comms \"record\" was asked to settle an effect as "
                      "\"%s\"", state);
        return NGX_ERROR;
    }

    return NGX_OK;
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

    ngx_comms_dynamodb_record_write(t, r);
}


static void
ngx_comms_dynamodb_record_write(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_record_t *r)
{
    int64_t  now;

    now = ngx_comms_clock_ms();

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
    const char  *channel;

    reason = json_object_get(json_object_get(t->in, "channel_state"),
                             "reason");

    if (json_is_null(reason)) {
        reason = NULL;
    }

    json_object_foreach(r->states, channel, status) {
        if (ngx_comms_dynamodb_record_pair(t, r, "#channel_states.", channel,
                                           status)
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
    ngx_comms_dynamodb_finish(t, (t->item != NULL) ? NGX_ABORT : NGX_DECLINED,
                              NULL);
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
