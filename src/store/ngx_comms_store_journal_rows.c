
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The works over the tables "journal" and "journal_claim".
 *
 * A row is the input of one "keep".  Its "head" says that no older row has
 * the same address pair: only heads are forwarded, and the trigger of the
 * table makes the next one the head when one goes.  Thus the order within a
 * pair does not depend on who forwards, or how many do; the claim only saves
 * work.
 *
 * Each work costs the same for an empty journal and for a full one, but
 * "take" while many rows are put off.
 *
 * Clocks may jump.  What is due, or expires, in more than its longest time
 * from now counts as due and as expired.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <store/ngx_comms_store_journal_private.h>


/* ms; extended when a third of it is over */
#define NGX_COMMS_JOURNAL_TERM  15000


static ngx_int_t ngx_comms_journal_seen(ngx_comms_sqlite_txn_t *txn,
    json_t *inbound);
static ngx_int_t ngx_comms_journal_n(ngx_comms_sqlite_txn_t *txn,
    json_int_t *n);
static void ngx_comms_journal_bind_pair(sqlite3_stmt *st, json_t *inbound);
static ngx_int_t ngx_comms_journal_claim(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_int_t *n);
static json_t *ngx_comms_journal_row(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st);


ngx_int_t
ngx_comms_journal_holds(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT 1 FROM journal WHERE company_address = ?1"
        " AND person_address = ?2 AND channel = ?3 LIMIT 1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_journal_bind_pair(st, json_object_get(in, "inbound"));

    rc = ngx_comms_sqlite_step(txn, st);

    return (rc == NGX_DONE) ? NGX_DECLINED : rc;
}


ngx_int_t
ngx_comms_journal_add(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    json_t        *inbound;
    ngx_int_t      rc;
    json_int_t     n;
    sqlite3_stmt  *st;

    inbound = json_object_get(in, "inbound");

    rc = ngx_comms_journal_seen(txn, inbound);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_comms_journal_n(txn, &n) != NGX_OK) {
        return NGX_ERROR;
    }

    if (n >= NGX_COMMS_JOURNAL_MAX) {
        return NGX_ABORT;
    }

    st = ngx_comms_sqlite_prepare(txn,
        "INSERT INTO journal (company_address, person_address, channel,"
        " dedupe_id, head, at, due_at, message)"
        " SELECT ?1, ?2, ?3, ?4, NOT EXISTS (SELECT 1 FROM journal"
        " WHERE company_address = ?1 AND person_address = ?2"
        " AND channel = ?3), ?5, ?5, ?6");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_journal_bind_pair(st, inbound);
    ngx_comms_sqlite_bind_json(st, 4, json_object_get(inbound, "dedupe_id"));
    ngx_comms_sqlite_bind_int(st, 5, ngx_comms_sqlite_now(txn));
    ngx_comms_sqlite_bind_json(st, 6, in);

    if (ngx_comms_sqlite_execute(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    *answer = json_pack("{s:I}", "n", n + 1);

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_journal_seen(ngx_comms_sqlite_txn_t *txn, json_t *inbound)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT 1 FROM journal WHERE dedupe_id = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_json(st, 1, json_object_get(inbound, "dedupe_id"));

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc == NGX_DONE) {
        return NGX_OK;
    }

    (void) sqlite3_reset(st);

    return (rc == NGX_OK) ? NGX_DECLINED : NGX_ERROR;
}


static ngx_int_t
ngx_comms_journal_n(ngx_comms_sqlite_txn_t *txn, json_int_t *n)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT n FROM journal_claim WHERE id = 1");

    if (st == NULL || ngx_comms_sqlite_step(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    *n = sqlite3_column_int64(st, 0);
    (void) sqlite3_reset(st);

    return NGX_OK;
}


static void
ngx_comms_journal_bind_pair(sqlite3_stmt *st, json_t *inbound)
{
    ngx_comms_sqlite_bind_json(st, 1,
                               json_object_get(inbound, "company_address"));
    ngx_comms_sqlite_bind_json(st, 2,
                               json_object_get(inbound, "person_address"));
    ngx_comms_sqlite_bind_json(st, 3, json_object_get(inbound, "channel"));
}


ngx_int_t
ngx_comms_journal_take(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    json_t        *rows;
    ngx_int_t      rc;
    json_int_t     n;
    sqlite3_stmt  *st;

    rc = ngx_comms_journal_claim(txn, in, &n);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED || n == 0) {
        *answer = json_pack("{s:I}", "n", n);
        return (*answer != NULL) ? rc : NGX_ERROR;
    }

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT journal_id, attempts, message FROM journal"
        " WHERE head = 1 AND due_at NOT BETWEEN ?1 + 1 AND ?1 + ?2"
        " AND journal_id NOT IN (SELECT value FROM json_each(?3))"
        " ORDER BY journal_id LIMIT ?4");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_int(st, 1, ngx_comms_sqlite_now(txn));
    ngx_comms_sqlite_bind_int(st, 2, NGX_COMMS_JOURNAL_MAX_DELAY);
    ngx_comms_sqlite_bind_json(st, 3, json_object_get(in, "flying"));
    ngx_comms_sqlite_bind_json(st, 4, json_object_get(in, "limit"));

    rows = ngx_comms_sqlite_rows(txn, st, ngx_comms_journal_row);

    *answer = json_pack("{s:I, s:o}", "n", n, "rows", rows);

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}


/* NGX_DECLINED: another has the claim */

static ngx_int_t
ngx_comms_journal_claim(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_int_t *n)
{
    int64_t        now, left;
    ngx_uint_t     ours;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT n, owner = ?1, expires_at FROM journal_claim WHERE id = 1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_json(st, 1, json_object_get(in, "owner"));

    if (ngx_comms_sqlite_step(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    now = ngx_comms_sqlite_now(txn);

    *n = sqlite3_column_int64(st, 0);
    ours = sqlite3_column_int(st, 1) ? 1 : 0;
    left = sqlite3_column_int64(st, 2) - now;

    (void) sqlite3_reset(st);

    if (left <= 0 || left > NGX_COMMS_JOURNAL_TERM) {
        left = 0;
    }

    if (*n == 0) {
        return ours ? ngx_comms_journal_release(txn,
                                                json_object_get(in, "owner"),
                                                NULL)
                    : NGX_OK;
    }

    if (!ours && left != 0) {
        return NGX_DECLINED;
    }

    if (ours && left > NGX_COMMS_JOURNAL_TERM * 2 / 3) {
        return NGX_OK;
    }

    st = ngx_comms_sqlite_prepare(txn,
        "UPDATE journal_claim SET owner = ?1, expires_at = ?2 WHERE id = 1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_json(st, 1, json_object_get(in, "owner"));
    ngx_comms_sqlite_bind_int(st, 2, now + NGX_COMMS_JOURNAL_TERM);

    return ngx_comms_sqlite_execute(txn, st);
}


static json_t *
ngx_comms_journal_row(ngx_comms_sqlite_txn_t *txn, sqlite3_stmt *st)
{
    json_t  *message;

    message = ngx_comms_sqlite_column_json(st, 2);

    /* a damaged row must not stop the others */

    if (message == NULL) {
        message = json_null();
    }

    return json_pack("{s:o, s:o, s:o}",
                     "journal_id", ngx_comms_sqlite_column(st, 0),
                     "attempts", ngx_comms_sqlite_column(st, 1),
                     "message", message);
}


ngx_int_t
ngx_comms_journal_release(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "UPDATE journal_claim SET owner = '', expires_at = 0"
        " WHERE owner = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_json(st, 1, in);

    return ngx_comms_sqlite_execute(txn, st);
}


ngx_int_t
ngx_comms_journal_remove(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    json_t        *row;
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT k.journal_id, k.attempts, k.message"
        " FROM journal j JOIN journal k"
        " ON k.company_address = j.company_address"
        " AND k.person_address = j.person_address"
        " AND k.channel = j.channel AND k.journal_id > j.journal_id"
        " WHERE j.journal_id = ?1 ORDER BY k.journal_id LIMIT 1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_json(st, 1, in);

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc != NGX_OK && rc != NGX_DONE) {
        return NGX_ERROR;
    }

    row = (rc == NGX_OK) ? ngx_comms_journal_row(txn, st) : json_null();

    (void) sqlite3_reset(st);

    *answer = json_pack("{s:o}", "row", row);

    st = ngx_comms_sqlite_prepare(txn,
        "DELETE FROM journal WHERE journal_id = ?1");

    if (*answer == NULL || st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_json(st, 1, in);

    if (ngx_comms_sqlite_execute(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    return (ngx_comms_sqlite_changes(txn) != 0) ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_comms_journal_postpone(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    int64_t        delay;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "UPDATE journal SET attempts = attempts + 1, due_at = ?2"
        " WHERE journal_id = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    delay = json_integer_value(json_object_get(in, "delay"));

    ngx_comms_sqlite_bind_json(st, 1, json_object_get(in, "journal_id"));
    ngx_comms_sqlite_bind_int(st, 2, ngx_comms_sqlite_now(txn) + delay);

    return ngx_comms_sqlite_execute(txn, st);
}


ngx_int_t
ngx_comms_journal_count(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    json_int_t  n;

    if (ngx_comms_journal_n(txn, &n) != NGX_OK) {
        return NGX_ERROR;
    }

    *answer = json_integer(n);

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}
