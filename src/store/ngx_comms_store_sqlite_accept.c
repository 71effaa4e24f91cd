
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The start of a thread.
 *
 * accept writes the thread, its address pairs and its queue entry in one
 * transaction.  conversation_id is unique, and that alone makes a start
 * happen once: of any number of accepts with one id, the one whose insert
 * came first wins, and the others are given what it wrote.  That holds for a
 * thread that was erased, too: its conversation_id is still known.
 *
 * How many threads of a project are open is not counted here: the table
 * thread_counts is kept by triggers, so that admit costs the same for the
 * first thread and the millionth.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <sqlite/ngx_comms_sqlite_queue.h>
#include <store/ngx_comms_store_sqlite_works.h>


static ngx_int_t ngx_comms_store_sqlite_accepted(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *conversation_id, json_t **accepted);
static json_t *ngx_comms_store_sqlite_opted_out(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *company_id, json_t *addresses);
static ngx_int_t ngx_comms_store_sqlite_open_threads(
    ngx_comms_sqlite_txn_t *txn, json_t *in, json_t **n);
static ngx_int_t ngx_comms_store_sqlite_accept_check(json_t *in);
static ngx_int_t ngx_comms_store_sqlite_accept_thread(
    ngx_comms_sqlite_txn_t *txn, json_t *in);
static json_t *ngx_comms_store_sqlite_pending(json_t *channels);


/* what a thread's status is until its flows say something else */
static ngx_str_t  ngx_comms_store_sqlite_queued = ngx_string("queued");


/* the first columns of a thread, in the order of the insert's parameters */
static const char  *ngx_comms_store_sqlite_ids[] = {
    "thread_id", "conversation_id", "company_id", "project_id", "request_id",
    NULL
};


static const ngx_comms_sqlite_member_t  ngx_comms_store_admit_members[] = {
    { "company_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "project_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "conversation_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "addresses", NGX_COMMS_SQLITE_NAMES, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_store_accept_members[] = {
    { "record", NGX_COMMS_SQLITE_OBJECT, 0, 0, 0 },
    { "request_hash", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "queue_timestamp", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "pairs", NGX_COMMS_SQLITE_ARRAY, 0, 0, 0 },
    { "queue", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "body", NGX_COMMS_SQLITE_OBJECT, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_store_header_members[] = {
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "conversation_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "company_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "project_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "request_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "channel_method", NGX_COMMS_SQLITE_NAMES, 0, 0, 0 },
    { "conversation_status", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


ngx_int_t
ngx_comms_store_sqlite_admit(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    json_t     *accepted, *opted_out, *n;
    ngx_str_t   company_id, conversation_id;

    if (ngx_comms_sqlite_members("admit", in, ngx_comms_store_admit_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    company_id = ngx_comms_sqlite_text(in, "company_id");
    conversation_id = ngx_comms_sqlite_text(in, "conversation_id");

    if (ngx_comms_store_sqlite_accepted(txn, &conversation_id, &accepted)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    opted_out = ngx_comms_store_sqlite_opted_out(txn, &company_id,
                                          json_object_get(in, "addresses"));

    if (opted_out == NULL
        || ngx_comms_store_sqlite_open_threads(txn, in, &n) != NGX_OK)
    {
        json_decref(accepted);
        json_decref(opted_out);
        return NGX_ERROR;
    }

    *answer = json_pack("{s:o, s:o, s:o}", "accepted", accepted,
                        "opted_out", opted_out, "open_conversations", n);

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}


/*
 * What was accepted under this conversation_id: NGX_OK; NGX_DECLINED with
 * JSON null when nothing was; or NGX_ERROR.
 */

static ngx_int_t
ngx_comms_store_sqlite_accepted(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *conversation_id, json_t **accepted)
{
    json_t        *states, *channels, *state;
    ngx_int_t      rc;
    const char    *name;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT thread_id, conversation_id, request_id, request_hash,"
        " queue_timestamp, channel_states, 0"
        " FROM threads WHERE conversation_id = ?1"
        " UNION ALL"
        " SELECT thread_id, conversation_id, request_id, request_hash,"
        " queue_timestamp, channel_states, 1"
        " FROM erased WHERE conversation_id = ?1 LIMIT 1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, conversation_id);

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc == NGX_DONE) {
        *accepted = json_null();
        return NGX_DECLINED;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    states = ngx_comms_sqlite_column_json(st, 5);
    channels = json_array();

    json_object_foreach(states, name, state) {
        if (json_array_append_new(channels, json_string(name)) != 0) {
            json_decref(channels);
            channels = NULL;
            break;
        }
    }

    json_decref(states);

    *accepted = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o*}",
                          "thread_id", ngx_comms_sqlite_column(st, 0),
                          "conversation_id", ngx_comms_sqlite_column(st, 1),
                          "request_id", ngx_comms_sqlite_column(st, 2),
                          "request_hash", ngx_comms_sqlite_column(st, 3),
                          "queue_timestamp", ngx_comms_sqlite_column(st, 4),
                          "channels", channels, "erased",
                          sqlite3_column_int(st, 6) ? json_true() : NULL);

    (void) sqlite3_reset(st);

    return (*accepted != NULL) ? NGX_OK : NGX_ERROR;
}


/* those of the addresses that are opted out, or NULL */

static json_t *
ngx_comms_store_sqlite_opted_out(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *company_id, json_t *addresses)
{
    size_t      i;
    json_t     *out, *address;
    ngx_int_t   rc;
    ngx_str_t   person_address;

    out = json_array();

    json_array_foreach(addresses, i, address) {

        person_address = ngx_comms_json_view(address);

        rc = ngx_comms_store_sqlite_may_write(txn, company_id,
                                              &person_address);

        if (rc == NGX_ERROR
            || (rc == NGX_DECLINED && json_array_append(out, address) != 0))
        {
            json_decref(out);
            return NULL;
        }
    }

    return out;
}


static ngx_int_t
ngx_comms_store_sqlite_open_threads(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **n)
{
    ngx_str_t      company_id, project_id;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT coalesce(sum(n), 0) FROM thread_counts"
        " WHERE company_id = ?1 AND project_id = ?2"
        " AND status NOT IN ('completed', 'failed')");
    if (st == NULL) {
        return NGX_ERROR;
    }

    company_id = ngx_comms_sqlite_text(in, "company_id");
    project_id = ngx_comms_sqlite_text(in, "project_id");

    ngx_comms_sqlite_bind_str(st, 1, &company_id);
    ngx_comms_sqlite_bind_str(st, 2, &project_id);

    if (ngx_comms_sqlite_step(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    *n = ngx_comms_sqlite_column(st, 0);

    (void) sqlite3_reset(st);

    return (*n != NULL) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_comms_store_sqlite_accept(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    json_t     *record;
    ngx_int_t   rc;
    ngx_str_t   conversation_id, thread_id, queue, none;

    if (ngx_comms_store_sqlite_accept_check(in) != NGX_OK) {
        return NGX_ERROR;
    }

    record = json_object_get(in, "record");

    rc = ngx_comms_store_sqlite_accept_thread(txn, in);

    if (rc == NGX_DECLINED) {
        conversation_id = ngx_comms_sqlite_text(record, "conversation_id");

        rc = ngx_comms_store_sqlite_accepted(txn, &conversation_id, answer);

        if (rc == NGX_DECLINED) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "comms \"accept\" was given the thread_id of "
                          "another thread");
        }

        return (rc == NGX_OK) ? NGX_DECLINED : NGX_ERROR;
    }

    thread_id = ngx_comms_sqlite_text(record, "thread_id");

    if (rc != NGX_OK
        || ngx_comms_store_sqlite_add_pairs(txn, &thread_id,
                                            json_object_get(in, "pairs"))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    queue = ngx_comms_sqlite_text(in, "queue");
    ngx_str_null(&none);

    return ngx_comms_sqlite_queue_put(txn, &queue, &thread_id, &none,
                                      json_object_get(in, "body"), 0);
}


static ngx_int_t
ngx_comms_store_sqlite_accept_check(json_t *in)
{
    if (ngx_comms_sqlite_members("accept", in, ngx_comms_store_accept_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_sqlite_members("accept record",
                                 json_object_get(in, "record"),
                                 ngx_comms_store_header_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_store_sqlite_check_pairs("accept pair", in);
}


/* NGX_DECLINED: the conversation_id was accepted before */

static ngx_int_t
ngx_comms_store_sqlite_accept_thread(ngx_comms_sqlite_txn_t *txn, json_t *in)
{
    json_t        *record, *states, *rest;
    int64_t        now;
    ngx_int_t      rc;
    ngx_str_t      id, hash, stamp, status;
    ngx_uint_t     i;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "INSERT INTO threads (thread_id, conversation_id, company_id,"
        " project_id, request_id, request_hash, queue_timestamp, status,"
        " fence, version, created_at, updated_at, channel_states, record)"
        " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 1, ?9, ?9, ?10, ?11"
        " WHERE NOT EXISTS (SELECT 1 FROM erased WHERE conversation_id = ?2)"
        " ON CONFLICT DO NOTHING");
    if (st == NULL) {
        return NGX_ERROR;
    }

    record = json_object_get(in, "record");
    now = ngx_comms_sqlite_now(txn);

    for (i = 0; ngx_comms_store_sqlite_ids[i] != NULL; i++) {
        id = ngx_comms_sqlite_text(record, ngx_comms_store_sqlite_ids[i]);
        ngx_comms_sqlite_bind_str(st, i + 1, &id);
    }

    hash = ngx_comms_sqlite_text(in, "request_hash");
    stamp = ngx_comms_sqlite_text(in, "queue_timestamp");
    status = ngx_comms_sqlite_text(record, "conversation_status");

    ngx_comms_sqlite_bind_str(st, 6, &hash);
    ngx_comms_sqlite_bind_str(st, 7, &stamp);
    ngx_comms_sqlite_bind_str(st, 8, status.len != 0
                                     ? &status
                                     : &ngx_comms_store_sqlite_queued);
    ngx_comms_sqlite_bind_int(st, 9, now);

    states = ngx_comms_store_sqlite_pending(
                                   json_object_get(record, "channel_method"));

    if (states == NULL
        || ngx_comms_store_sqlite_rest(record, &rest) != NGX_OK)
    {
        json_decref(states);
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_json(st, 10, states);
    ngx_comms_sqlite_bind_json(st, 11, rest);

    rc = ngx_comms_sqlite_execute(txn, st);

    json_decref(states);
    json_decref(rest);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    return (ngx_comms_sqlite_changes(txn) == 0) ? NGX_DECLINED : NGX_OK;
}


/* the channel states that a thread starts with, or NULL */

static json_t *
ngx_comms_store_sqlite_pending(json_t *channels)
{
    size_t   i;
    json_t  *states, *channel;

    states = json_object();

    json_array_foreach(channels, i, channel) {
        if (json_object_set_new(states, json_string_value(channel),
                                json_string("pending"))
            != 0)
        {
            json_decref(states);
            return NULL;
        }
    }

    return states;
}
