
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Putting a message into a queue.
 *
 * The ids given for deduplication have a table of their own, because they
 * outlive the messages: a flow that runs again after its message was worked
 * off must not send a copy.  They are forgotten after thirty days, two for
 * each new one, so that the table stays at what thirty days bring.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <sqlite/ngx_comms_sqlite_queue.h>


static ngx_int_t ngx_comms_sqlite_queue_first(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *queue, ngx_str_t *dedupe_id);
static ngx_int_t ngx_comms_sqlite_queue_forget(ngx_comms_sqlite_txn_t *txn);


#define NGX_COMMS_SQLITE_QUEUE_MEMORY  ((int64_t) 30 * 86400 * 1000)
#define NGX_COMMS_SQLITE_QUEUE_DELAY   ((int64_t) 7 * 86400 * 1000)


ngx_int_t
ngx_comms_sqlite_queue_put(ngx_comms_sqlite_txn_t *txn, ngx_str_t *queue,
    ngx_str_t *group, ngx_str_t *dedupe_id, json_t *body, int64_t delay)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    if (dedupe_id->len != 0) {
        rc = ngx_comms_sqlite_queue_first(txn, queue, dedupe_id);

        if (rc != NGX_OK) {
            return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
        }
    }

    st = ngx_comms_sqlite_prepare(txn,
        "INSERT INTO queue_messages (queue, grp, body, sent_at, visible_at)"
        " VALUES (?1, ?2, ?3, ?4, ?5)");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, queue);
    ngx_comms_sqlite_bind_str(st, 2, group);
    ngx_comms_sqlite_bind_json(st, 3, body);
    ngx_comms_sqlite_bind_int(st, 4, ngx_comms_sqlite_now(txn));
    ngx_comms_sqlite_bind_int(st, 5, ngx_comms_sqlite_queue_time(txn, delay));

    if (ngx_comms_sqlite_execute(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    /* a delayed one, too: whoever waits for the queue must learn its time */

    ngx_comms_sqlite_notice(txn, NGX_COMMS_NOTICE_QUEUE, queue);

    return NGX_OK;
}


int64_t
ngx_comms_sqlite_queue_time(ngx_comms_sqlite_txn_t *txn, int64_t delay)
{
    return ngx_comms_sqlite_now(txn)
           + ngx_min(delay, NGX_COMMS_SQLITE_QUEUE_DELAY);
}


/* NGX_OK the first of its id, NGX_DECLINED not, or NGX_ERROR */

static ngx_int_t
ngx_comms_sqlite_queue_first(ngx_comms_sqlite_txn_t *txn, ngx_str_t *queue,
    ngx_str_t *dedupe_id)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "INSERT INTO queue_dedupe (queue, dedupe_id, at) VALUES (?1, ?2, ?3)"
        " ON CONFLICT DO NOTHING");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, queue);
    ngx_comms_sqlite_bind_str(st, 2, dedupe_id);
    ngx_comms_sqlite_bind_int(st, 3, ngx_comms_sqlite_now(txn));

    if (ngx_comms_sqlite_execute(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_comms_sqlite_changes(txn) == 0) {
        return NGX_DECLINED;
    }

    return ngx_comms_sqlite_queue_forget(txn);
}


static ngx_int_t
ngx_comms_sqlite_queue_forget(ngx_comms_sqlite_txn_t *txn)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "DELETE FROM queue_dedupe WHERE (queue, dedupe_id) IN"
        " (SELECT queue, dedupe_id FROM queue_dedupe"
        "  WHERE at < ?1 ORDER BY at LIMIT 2)");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_int(st, 1, ngx_comms_sqlite_now(txn)
                                     - NGX_COMMS_SQLITE_QUEUE_MEMORY);

    return ngx_comms_sqlite_execute(txn, st);
}
