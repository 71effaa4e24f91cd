
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a turn starts with.  Raising the fence and reading are one step:
 * whoever wrote with an older fence did so before, and is in what is read;
 * whoever comes later with it is refused.
 *
 * What is waiting and what is unfinished is read from indices that hold
 * nothing else, named in the queries because the planner would rather walk
 * the thread: a turn costs the same however long the thread has grown.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <store/ngx_comms_store_sqlite_works.h>


static ngx_int_t ngx_comms_store_sqlite_raise(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id);
static json_t *ngx_comms_store_sqlite_waiting(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id);
static json_t *ngx_comms_store_sqlite_unsent(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id);
static json_t *ngx_comms_store_sqlite_intents(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id);
static json_t *ngx_comms_store_sqlite_document(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st);


static const ngx_comms_sqlite_member_t  ngx_comms_store_claim_members[] = {
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "history", NGX_COMMS_SQLITE_INTEGER, 0, 0, 100000 },
    { NULL, 0, 0, 0, 0 }
};


ngx_int_t
ngx_comms_store_sqlite_claim(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    json_t     *header;
    ngx_int_t   rc;
    ngx_str_t   thread_id;

    if (ngx_comms_sqlite_members("claim", in, ngx_comms_store_claim_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    thread_id = ngx_comms_sqlite_text(in, "thread_id");

    header = NULL;

    rc = ngx_comms_store_sqlite_raise(txn, &thread_id);

    if (rc == NGX_OK) {
        rc = ngx_comms_store_sqlite_thread(txn, &thread_id, &header);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    *answer = json_pack("{s:O, s:o, s:o, s:o, s:o, s:o}",
        "fence", json_object_get(header, "fence"),
        "record", header,
        "inbound", ngx_comms_store_sqlite_waiting(txn, &thread_id),
        "unsent", ngx_comms_store_sqlite_unsent(txn, &thread_id),
        "effects", ngx_comms_store_sqlite_intents(txn, &thread_id),
        "messages", ngx_comms_store_sqlite_newest(txn, &thread_id,
                        json_integer_value(json_object_get(in, "history"))));

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_store_sqlite_raise(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "UPDATE threads SET fence = fence + 1, version = version + 1"
        " WHERE thread_id = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, thread_id);

    if (ngx_comms_sqlite_execute(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    return (ngx_comms_sqlite_changes(txn) == 0) ? NGX_DECLINED : NGX_OK;
}


static json_t *
ngx_comms_store_sqlite_waiting(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT event FROM ("
        " SELECT i.event AS event, i.received_at AS at, i.inbound_id AS id"
        " FROM inbound i INDEXED BY inbound_bound"
        " WHERE i.state = 'waiting' AND i.thread_id = ?1"
        " UNION ALL"
        " SELECT i.event, i.received_at, i.inbound_id"
        " FROM address_pairs p JOIN inbound i INDEXED BY inbound_waiting"
        " ON i.company_address = p.company_address"
        " AND i.person_address = p.person_address"
        " AND i.channel = p.channel AND i.state = 'waiting'"
        " WHERE p.thread_id = ?1 AND i.thread_id IS NULL"
        " AND json_extract(i.event, '$.message_ids[0]') IS NULL"
        " AND json_extract(i.event, '$.replied_to') IS NULL"
        " AND json_extract(i.event, '$.reply_token') IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM address_pairs q"
        "     WHERE q.company_address = p.company_address"
        "     AND q.person_address = p.person_address"
        "     AND q.channel = p.channel"
        "     AND (q.created_at, q.thread_id) > (p.created_at, p.thread_id))"
        ") ORDER BY at, id LIMIT ?2");
    if (st == NULL) {
        return NULL;
    }

    ngx_comms_sqlite_bind_str(st, 1, thread_id);
    ngx_comms_sqlite_bind_int(st, 2, NGX_COMMS_STORE_SQLITE_MAX_INBOUND);

    return ngx_comms_sqlite_rows(txn, st, ngx_comms_store_sqlite_document);
}


static json_t *
ngx_comms_store_sqlite_unsent(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT message FROM messages INDEXED BY messages_unsent"
        " WHERE thread_id = ?1 AND status = 'pending'"
        " AND turn_id IS NOT NULL ORDER BY seq");
    if (st == NULL) {
        return NULL;
    }

    ngx_comms_sqlite_bind_str(st, 1, thread_id);

    return ngx_comms_sqlite_rows(txn, st, ngx_comms_store_sqlite_document);
}


static json_t *
ngx_comms_store_sqlite_intents(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT " NGX_COMMS_STORE_SQLITE_EFFECT " FROM effects"
        " INDEXED BY effects_unfinished WHERE thread_id = ?1"
        " AND state = 'intent'"
        " ORDER BY intended_at, effect_id");
    if (st == NULL) {
        return NULL;
    }

    ngx_comms_sqlite_bind_str(st, 1, thread_id);

    return ngx_comms_sqlite_rows(txn, st, ngx_comms_store_sqlite_effect);
}


json_t *
ngx_comms_store_sqlite_newest(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, int64_t n)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT message FROM (SELECT seq, message FROM messages"
        " WHERE thread_id = ?1 ORDER BY seq DESC LIMIT ?2) ORDER BY seq");
    if (st == NULL) {
        return NULL;
    }

    ngx_comms_sqlite_bind_str(st, 1, thread_id);
    ngx_comms_sqlite_bind_int(st, 2, n);

    return ngx_comms_sqlite_rows(txn, st, ngx_comms_store_sqlite_document);
}


static json_t *
ngx_comms_store_sqlite_document(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st)
{
    return ngx_comms_sqlite_column_json(st, 0);
}
