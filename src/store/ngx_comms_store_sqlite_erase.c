
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What goes when a thread goes, and what stays of one that was erased.
 *
 * A thread that is erased takes with it what nobody else could: messages that
 * wait under its address pairs, where it is the newest thread of them, and
 * those that were set aside under them.  They become its own first, and then
 * go as all that is its own does.
 *
 * What stays is a row of "erased": by which its start happens once only, and
 * what its erasure was answered with.  Nothing in it is the person's.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <store/ngx_comms_store_sqlite_works.h>


static ngx_int_t ngx_comms_store_sqlite_each(ngx_comms_sqlite_txn_t *txn,
    const char **statements, ngx_str_t *thread_id);
static ngx_int_t ngx_comms_store_sqlite_erased(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t **answer);
static ngx_int_t ngx_comms_store_sqlite_outcome(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t **outcome);
static json_t *ngx_comms_store_sqlite_media(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id);
static json_t *ngx_comms_store_sqlite_media_id(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st);
static ngx_int_t ngx_comms_store_sqlite_tombstone(
    ngx_comms_sqlite_txn_t *txn, ngx_str_t *thread_id, json_t *outcome);


static const ngx_comms_sqlite_member_t  ngx_comms_store_erase_members[] = {
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


/* messages of nobody else become the thread's; ?1 is the thread */
static const char  *ngx_comms_store_sqlite_adopt[] = {

    "UPDATE inbound SET thread_id = ?1 WHERE inbound_id IN ("
    " SELECT i.inbound_id"
    " FROM address_pairs p JOIN inbound i INDEXED BY inbound_waiting"
    " ON i.company_address = p.company_address"
    " AND i.person_address = p.person_address"
    " AND i.channel = p.channel AND i.state = 'waiting'"
    " WHERE p.thread_id = ?1 AND i.thread_id IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM address_pairs q"
    "     WHERE q.company_address = p.company_address"
    "     AND q.person_address = p.person_address"
    "     AND q.channel = p.channel"
    "     AND (q.created_at, q.thread_id) > (p.created_at, p.thread_id)))",

    "UPDATE inbound SET thread_id = ?1 WHERE inbound_id IN ("
    " SELECT i.inbound_id"
    " FROM address_pairs p JOIN inbound i INDEXED BY inbound_orphans"
    " ON i.company_address = p.company_address"
    " AND i.person_address = p.person_address"
    " AND i.channel = p.channel AND i.state = 'orphan'"
    " WHERE p.thread_id = ?1)",

    NULL
};


/* what is in the queues, which a thread at rest has nothing in */
static const char  *ngx_comms_store_sqlite_queued_for[] = {

    "DELETE FROM queue_messages WHERE grp = ?1",

    "DELETE FROM queue_messages WHERE grp = '' AND body ->> 'inbound_id' IN"
    " (SELECT inbound_id FROM inbound WHERE thread_id = ?1)",

    NULL
};


static const char  *ngx_comms_store_sqlite_own[] = {

    "DELETE FROM dead_letters WHERE grp = ?1",

    "DELETE FROM dead_letters WHERE grp = '' AND body ->> 'inbound_id' IN"
    " (SELECT inbound_id FROM inbound WHERE thread_id = ?1)",

    "DELETE FROM inbound WHERE thread_id = ?1",
    "DELETE FROM messages WHERE thread_id = ?1",
    "DELETE FROM effects WHERE thread_id = ?1",
    "DELETE FROM address_pairs WHERE thread_id = ?1",
    "DELETE FROM threads WHERE thread_id = ?1",

    NULL
};


ngx_int_t
ngx_comms_store_sqlite_erase(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    ngx_int_t  rc;
    ngx_str_t  thread_id;

    if (ngx_comms_sqlite_members("erase", in, ngx_comms_store_erase_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    thread_id = ngx_comms_sqlite_text(in, "thread_id");

    if (ngx_comms_store_sqlite_each(txn, ngx_comms_store_sqlite_adopt,
                                    &thread_id)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_comms_store_sqlite_outcome(txn, &thread_id, answer);

    if (rc == NGX_DECLINED) {
        return ngx_comms_store_sqlite_erased(txn, &thread_id, answer);
    }

    if (rc != NGX_OK
        || ngx_comms_store_sqlite_tombstone(txn, &thread_id, *answer)
           != NGX_OK
        || ngx_comms_store_sqlite_each(txn, ngx_comms_store_sqlite_queued_for,
                                       &thread_id)
           != NGX_OK
        || ngx_comms_store_sqlite_remove(txn, &thread_id) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_notice(txn, NGX_COMMS_NOTICE_THREAD, &thread_id);

    return NGX_OK;
}


ngx_int_t
ngx_comms_store_sqlite_remove(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id)
{
    return ngx_comms_store_sqlite_each(txn, ngx_comms_store_sqlite_own,
                                       thread_id);
}


static ngx_int_t
ngx_comms_store_sqlite_each(ngx_comms_sqlite_txn_t *txn,
    const char **statements, ngx_str_t *thread_id)
{
    ngx_uint_t     i;
    sqlite3_stmt  *st;

    for (i = 0; statements[i] != NULL; i++) {

        st = ngx_comms_sqlite_prepare(txn, statements[i]);
        if (st == NULL) {
            return NGX_ERROR;
        }

        ngx_comms_sqlite_bind_str(st, 1, thread_id);

        if (ngx_comms_sqlite_execute(txn, st) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* what an erasure before was answered with; NGX_DECLINED: there was none */

static ngx_int_t
ngx_comms_store_sqlite_erased(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t **answer)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT outcome FROM erased WHERE thread_id = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, thread_id);

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_DECLINED : NGX_ERROR;
    }

    *answer = ngx_comms_sqlite_column_json(st, 0);

    (void) sqlite3_reset(st);

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_store_sqlite_outcome(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t **outcome)
{
    json_t        *conversation;
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT json_extract(record, '$.ai_conversation_id') FROM threads"
        " WHERE thread_id = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, thread_id);

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_DECLINED : NGX_ERROR;
    }

    conversation = ngx_comms_sqlite_column(st, 0);

    (void) sqlite3_reset(st);

    *outcome = json_pack("{s:o, s:o}",
                         "media", ngx_comms_store_sqlite_media(txn,
                                                               thread_id),
                         "ai_conversation_id", conversation);

    return (*outcome != NULL) ? NGX_OK : NGX_ERROR;
}


/* files that its messages name, and those that have not become messages yet */

static json_t *
ngx_comms_store_sqlite_media(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT media_id FROM ("
        " SELECT CASE WHEN e.type = 'object'"
        "     THEN json_extract(e.value, '$.media_id') END AS media_id"
        " FROM messages m, json_each(m.message, '$.media') e"
        " WHERE m.thread_id = ?1"
        " UNION"
        " SELECT CASE WHEN e.type = 'object'"
        "     THEN json_extract(e.value, '$.media_id') END"
        " FROM inbound i, json_each(i.event, '$.media') e"
        " WHERE i.thread_id = ?1"
        ") WHERE media_id IS NOT NULL ORDER BY media_id");
    if (st == NULL) {
        return NULL;
    }

    ngx_comms_sqlite_bind_str(st, 1, thread_id);

    return ngx_comms_sqlite_rows(txn, st, ngx_comms_store_sqlite_media_id);
}


static json_t *
ngx_comms_store_sqlite_media_id(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st)
{
    return ngx_comms_sqlite_column(st, 0);
}


static ngx_int_t
ngx_comms_store_sqlite_tombstone(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t *outcome)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "INSERT INTO erased (conversation_id, thread_id, request_id,"
        " request_hash, queue_timestamp, channel_states, at, outcome)"
        " SELECT conversation_id, thread_id, request_id, request_hash,"
        " queue_timestamp, channel_states, ?2, ?3 FROM threads"
        " WHERE thread_id = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, thread_id);
    ngx_comms_sqlite_bind_int(st, 2, ngx_comms_sqlite_now(txn));
    ngx_comms_sqlite_bind_json(st, 3, outcome);

    return ngx_comms_sqlite_execute(txn, st);
}
