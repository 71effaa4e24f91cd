
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * One message of a thread: appended when its entry_id is new, else updated
 * with the members given; its status never goes back.  The row carries copies
 * of those members that are searched for; they are taken from the whole
 * message each time, so that row and message cannot differ.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <store/ngx_comms_store_sqlite_works.h>
#include <store/ngx_comms_store_status.h>


static ngx_int_t ngx_comms_store_sqlite_message_known(
    ngx_comms_sqlite_txn_t *txn, ngx_str_t *thread_id, ngx_str_t *entry_id,
    json_t **known);
static ngx_int_t ngx_comms_store_sqlite_message_append(
    ngx_comms_sqlite_txn_t *txn, ngx_str_t *thread_id, json_t *message);
static ngx_int_t ngx_comms_store_sqlite_message_update(
    ngx_comms_sqlite_txn_t *txn, ngx_str_t *thread_id, json_t *message);
static ngx_int_t ngx_comms_store_sqlite_message_write(
    ngx_comms_sqlite_txn_t *txn, sqlite3_stmt *st, ngx_str_t *thread_id,
    json_t *message);


static const ngx_comms_sqlite_member_t  ngx_comms_store_message_members[] = {
    { "entry_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "message_timestamp", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { "status", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "turn_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "provider_message_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "email_message_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


/* in the order of parameters 3 and on of the statements below */
static const char  *ngx_comms_store_sqlite_message_columns[] = {
    "status", "turn_id", "provider_message_id", "email_message_id"
};


ngx_int_t
ngx_comms_store_sqlite_message(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t *message)
{
    json_t     *known;
    ngx_int_t   rc;
    ngx_str_t   entry_id;

    if (ngx_comms_sqlite_members("record message", message,
                                 ngx_comms_store_message_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    entry_id = ngx_comms_sqlite_text(message, "entry_id");

    rc = ngx_comms_store_sqlite_message_known(txn, thread_id, &entry_id,
                                              &known);

    if (rc == NGX_DECLINED) {
        return ngx_comms_store_sqlite_message_append(txn, thread_id, message);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_comms_store_status_update(known, message);

    if (rc == NGX_OK) {
        rc = ngx_comms_store_sqlite_message_update(txn, thread_id, known);
    }

    json_decref(known);

    return rc;
}


static ngx_int_t
ngx_comms_store_sqlite_message_known(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, ngx_str_t *entry_id, json_t **known)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT message FROM messages WHERE thread_id = ?1 AND entry_id = ?2");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, thread_id);
    ngx_comms_sqlite_bind_str(st, 2, entry_id);

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_DECLINED : NGX_ERROR;
    }

    *known = ngx_comms_sqlite_column_json(st, 0);

    (void) sqlite3_reset(st);

    return (*known != NULL) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_store_sqlite_message_append(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t *message)
{
    json_t        *whole;
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "INSERT INTO messages (thread_id, entry_id, status, turn_id,"
        " provider_message_id, email_message_id, message, seq)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,"
        " (SELECT coalesce(max(seq), 0) + 1 FROM messages"
        "  WHERE thread_id = ?1))");

    whole = json_copy(message);

    if (st == NULL || whole == NULL) {
        json_decref(whole);
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_comms_sqlite_has(whole, "message_timestamp")
        || json_object_set_new(whole, "message_timestamp",
                               ngx_comms_store_sqlite_time(
                                                 ngx_comms_sqlite_now(txn)))
           == 0)
    {
        rc = ngx_comms_store_sqlite_message_write(txn, st, thread_id, whole);
    }

    json_decref(whole);

    return rc;
}


static ngx_int_t
ngx_comms_store_sqlite_message_update(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t *message)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "UPDATE messages SET status = ?3, turn_id = ?4,"
        " provider_message_id = ?5, email_message_id = ?6, message = ?7"
        " WHERE thread_id = ?1 AND entry_id = ?2");
    if (st == NULL) {
        return NGX_ERROR;
    }

    return ngx_comms_store_sqlite_message_write(txn, st, thread_id, message);
}


static ngx_int_t
ngx_comms_store_sqlite_message_write(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st, ngx_str_t *thread_id, json_t *message)
{
    ngx_str_t   entry_id, text[4];
    ngx_uint_t  i;

    entry_id = ngx_comms_sqlite_text(message, "entry_id");

    ngx_comms_sqlite_bind_str(st, 1, thread_id);
    ngx_comms_sqlite_bind_str(st, 2, &entry_id);

    for (i = 0; i < 4; i++) {
        text[i] = ngx_comms_sqlite_text(message,
                                 ngx_comms_store_sqlite_message_columns[i]);

        /* the indices leave out what is NULL */

        ngx_comms_sqlite_bind_str(st, i + 3,
                                  (text[i].len != 0) ? &text[i] : NULL);
    }

    ngx_comms_sqlite_bind_json(st, 7, message);

    return ngx_comms_sqlite_execute(txn, st);
}
