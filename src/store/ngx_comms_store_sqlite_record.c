
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Recording what happened: everything that one step of a flow learned, in
 * one transaction, under the thread's fence.
 *
 * A record may come twice, when its writer did not hear that the first one
 * was written.  The second changes nothing but version and updated_at: all
 * parts replace, none adds, and messages are known by their entry_id.  What
 * comes too late to be true (a status behind the one known) changes nothing.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_clock.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <store/ngx_comms_store_sqlite_works.h>
#include <store/ngx_comms_store_status.h>


/* a thread's row while it is changed */
typedef struct {
    json_t  *status;
    json_t  *channel_states;
    json_t  *rest;              /* what is in the column "record" */
} ngx_comms_store_sqlite_row_t;


static ngx_int_t ngx_comms_store_sqlite_record_row(
    ngx_comms_sqlite_txn_t *txn, json_t *in,
    ngx_comms_store_sqlite_row_t *row);
static ngx_int_t ngx_comms_store_sqlite_record_apply(
    ngx_comms_sqlite_txn_t *txn, json_t *in,
    ngx_comms_store_sqlite_row_t *row);
static ngx_int_t ngx_comms_store_sqlite_record_set(json_t *set,
    ngx_comms_store_sqlite_row_t *row);
static ngx_int_t ngx_comms_store_sqlite_record_channel(json_t *state,
    ngx_comms_store_sqlite_row_t *row);
static ngx_int_t ngx_comms_store_sqlite_record_state(json_t *state,
    const char *channel, ngx_comms_store_sqlite_row_t *row);
static ngx_int_t ngx_comms_store_sqlite_record_reason(json_t *state,
    const char *channel, json_t *rest);
static ngx_int_t ngx_comms_store_sqlite_record_messages(
    ngx_comms_sqlite_txn_t *txn, json_t *in);
static ngx_int_t ngx_comms_store_sqlite_record_inbound(
    ngx_comms_sqlite_txn_t *txn, json_t *in);
static ngx_int_t ngx_comms_store_sqlite_record_write(
    ngx_comms_sqlite_txn_t *txn, ngx_str_t *thread_id,
    ngx_comms_store_sqlite_row_t *row);
static void ngx_comms_store_sqlite_record_free(
    ngx_comms_store_sqlite_row_t *row);


static const ngx_comms_sqlite_member_t  ngx_comms_store_record_members[] = {
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


static const ngx_comms_sqlite_member_t  ngx_comms_store_state_members[] = {
    { "channel", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { "status", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "reason", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "only_pending", NGX_COMMS_SQLITE_BOOLEAN, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_store_set_members[] = {
    { "conversation_status", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


/* attributes that a record cannot set */
static const char  *ngx_comms_store_sqlite_fixed[] = {
    "thread_id", "conversation_id", "company_id", "project_id", "request_id",
    "fence", "version", "created_at", "updated_at", "channel_states",
    "channel_reasons", "messages", "newest_inbound_id", NULL
};


ngx_int_t
ngx_comms_store_sqlite_record(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    ngx_int_t                     rc;
    ngx_str_t                     thread_id;
    ngx_comms_store_sqlite_row_t  row;

    if (ngx_comms_sqlite_members("record", in, ngx_comms_store_record_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(&row, sizeof(ngx_comms_store_sqlite_row_t));

    rc = ngx_comms_store_sqlite_record_row(txn, in, &row);

    if (rc != NGX_OK) {
        ngx_comms_store_sqlite_record_free(&row);
        return rc;
    }

    thread_id = ngx_comms_sqlite_text(in, "thread_id");

    rc = ngx_comms_store_sqlite_record_apply(txn, in, &row);

    if (rc == NGX_OK) {
        rc = ngx_comms_store_sqlite_record_write(txn, &thread_id, &row);
    }

    if (rc == NGX_OK) {
        *answer = json_pack("{s:O}", "channel_states", row.channel_states);
        rc = (*answer != NULL) ? NGX_OK : NGX_ERROR;
    }

    ngx_comms_store_sqlite_record_free(&row);

    if (rc == NGX_OK) {
        ngx_comms_sqlite_notice(txn, NGX_COMMS_NOTICE_THREAD, &thread_id);
    }

    return rc;
}


static ngx_int_t
ngx_comms_store_sqlite_record_row(ngx_comms_sqlite_txn_t *txn, json_t *in,
    ngx_comms_store_sqlite_row_t *row)
{
    int64_t        fence;
    ngx_int_t      rc;
    ngx_str_t      thread_id;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT fence, status, channel_states, record FROM threads"
        " WHERE thread_id = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    thread_id = ngx_comms_sqlite_text(in, "thread_id");
    ngx_comms_sqlite_bind_str(st, 1, &thread_id);

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_DECLINED : NGX_ERROR;
    }

    if (ngx_comms_json_int(in, "fence", &fence) == NGX_OK
        && fence != sqlite3_column_int64(st, 0))
    {
        (void) sqlite3_reset(st);
        return NGX_ABORT;
    }

    row->status = ngx_comms_sqlite_column(st, 1);
    row->channel_states = ngx_comms_sqlite_column_json(st, 2);

    if (ngx_comms_sqlite_has(in, "set")
        || ngx_comms_sqlite_has(in, "channel_state"))
    {
        row->rest = ngx_comms_sqlite_column_json(st, 3);

        if (row->rest == NULL) {
            (void) sqlite3_reset(st);
            return NGX_ERROR;
        }
    }

    (void) sqlite3_reset(st);

    return (row->status != NULL && row->channel_states != NULL)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_store_sqlite_record_apply(ngx_comms_sqlite_txn_t *txn, json_t *in,
    ngx_comms_store_sqlite_row_t *row)
{
    ngx_str_t  thread_id;

    thread_id = ngx_comms_sqlite_text(in, "thread_id");

    if (ngx_comms_sqlite_has(in, "effect")
        && ngx_comms_store_sqlite_settle(txn, &thread_id,
                                         json_object_get(in, "effect"))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_sqlite_has(in, "set")
        && ngx_comms_store_sqlite_record_set(json_object_get(in, "set"), row)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_sqlite_has(in, "channel_state")
        && ngx_comms_store_sqlite_record_channel(
                                   json_object_get(in, "channel_state"), row)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_store_sqlite_record_messages(txn, in) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_store_sqlite_record_inbound(txn, in);
}


static ngx_int_t
ngx_comms_store_sqlite_record_set(json_t *set,
    ngx_comms_store_sqlite_row_t *row)
{
    json_t      *rest;
    ngx_int_t    rc;
    ngx_uint_t   i;

    if (ngx_comms_sqlite_members("record set", set,
                                 ngx_comms_store_set_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; ngx_comms_store_sqlite_fixed[i] != NULL; i++) {
        if (json_object_get(set, ngx_comms_store_sqlite_fixed[i]) != NULL) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "comms \"record\" was asked to set \"%s\"",
                          ngx_comms_store_sqlite_fixed[i]);
            return NGX_ERROR;
        }
    }

    if (ngx_comms_sqlite_has(set, "conversation_status")) {
        json_decref(row->status);
        row->status = json_incref(json_object_get(set,
                                                  "conversation_status"));
    }

    if (ngx_comms_store_sqlite_rest(set, &rest) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = (json_object_update(row->rest, rest) == 0) ? NGX_OK : NGX_ERROR;

    json_decref(rest);

    return rc;
}


static ngx_int_t
ngx_comms_store_sqlite_record_channel(json_t *state,
    ngx_comms_store_sqlite_row_t *row)
{
    json_t      *was;
    const char  *channel, *one;

    if (ngx_comms_sqlite_members("record channel_state", state,
                                 ngx_comms_store_state_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    one = json_string_value(json_object_get(state, "channel"));

    if (one != NULL) {
        return ngx_comms_store_sqlite_record_state(state, one, row);
    }

    json_object_foreach(row->channel_states, channel, was) {
        if (ngx_comms_store_sqlite_record_state(state, channel, row)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_store_sqlite_record_state(json_t *state, const char *channel,
    ngx_comms_store_sqlite_row_t *row)
{
    json_t      *was, *status;
    const char  *text;

    was = json_object_get(row->channel_states, channel);
    status = json_object_get(state, "status");

    if (json_is_true(json_object_get(state, "only_pending"))) {
        text = json_string_value(was);

        if (text == NULL || ngx_strcmp(text, "pending") != 0) {
            return NGX_OK;
        }
    }

    if (!ngx_comms_store_status_may(was, status)) {
        return NGX_OK;
    }

    if (json_object_set(row->channel_states, channel, status) != 0) {
        return NGX_ERROR;
    }

    return ngx_comms_store_sqlite_record_reason(state, channel, row->rest);
}


/* a channel's reason goes with its state: a new state without one has none */

static ngx_int_t
ngx_comms_store_sqlite_record_reason(json_t *state, const char *channel,
    json_t *rest)
{
    json_t  *reasons;

    reasons = json_object_get(rest, "channel_reasons");

    if (!ngx_comms_sqlite_has(state, "reason")) {
        (void) json_object_del(reasons, channel);
        return NGX_OK;
    }

    if (reasons == NULL) {
        reasons = json_object();

        if (json_object_set_new(rest, "channel_reasons", reasons) != 0) {
            return NGX_ERROR;
        }
    }

    return (json_object_set(reasons, channel,
                            json_object_get(state, "reason"))
            == 0)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_store_sqlite_record_messages(ngx_comms_sqlite_txn_t *txn,
    json_t *in)
{
    size_t      i;
    json_t     *message;
    ngx_str_t   thread_id;

    thread_id = ngx_comms_sqlite_text(in, "thread_id");

    json_array_foreach(json_object_get(in, "messages"), i, message) {
        if (ngx_comms_store_sqlite_message(txn, &thread_id, message)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_store_sqlite_record_inbound(ngx_comms_sqlite_txn_t *txn,
    json_t *in)
{
    size_t         i;
    json_t        *id;
    ngx_str_t      inbound_id, thread_id, turn_id;
    sqlite3_stmt  *st;

    thread_id = ngx_comms_sqlite_text(in, "thread_id");
    turn_id = ngx_comms_sqlite_text(in, "turn_id");

    json_array_foreach(json_object_get(in, "inbound_done"), i, id) {

        st = ngx_comms_sqlite_prepare(txn,
            "UPDATE inbound SET state = 'done', thread_id = ?2, turn_id = ?3"
            " WHERE inbound_id = ?1 AND state <> 'done'");
        if (st == NULL) {
            return NGX_ERROR;
        }

        inbound_id = ngx_comms_json_view(id);

        ngx_comms_sqlite_bind_str(st, 1, &inbound_id);
        ngx_comms_sqlite_bind_str(st, 2, &thread_id);
        ngx_comms_sqlite_bind_str(st, 3, &turn_id);

        if (ngx_comms_sqlite_execute(txn, st) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_store_sqlite_record_write(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, ngx_comms_store_sqlite_row_t *row)
{
    ngx_str_t      status;
    sqlite3_stmt  *st;

    /* the document is rewritten only where it may have changed */

    if (row->rest != NULL) {
        st = ngx_comms_sqlite_prepare(txn,
            "UPDATE threads SET version = version + 1, updated_at = ?2,"
            " status = ?3, channel_states = ?4, record = ?5"
            " WHERE thread_id = ?1");

    } else {
        st = ngx_comms_sqlite_prepare(txn,
            "UPDATE threads SET version = version + 1, updated_at = ?2"
            " WHERE thread_id = ?1");
    }

    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, thread_id);
    ngx_comms_sqlite_bind_int(st, 2, ngx_comms_sqlite_now(txn));

    if (row->rest != NULL) {
        status = ngx_comms_json_view(row->status);

        ngx_comms_sqlite_bind_str(st, 3, &status);
        ngx_comms_sqlite_bind_json(st, 4, row->channel_states);
        ngx_comms_sqlite_bind_json(st, 5, row->rest);
    }

    return ngx_comms_sqlite_execute(txn, st);
}


static void
ngx_comms_store_sqlite_record_free(ngx_comms_store_sqlite_row_t *row)
{
    json_decref(row->status);
    json_decref(row->channel_states);
    json_decref(row->rest);
}
