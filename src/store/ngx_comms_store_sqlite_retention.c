
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Retention: threads at rest for so many days go, with all that is their own.
 *
 * A thread is at rest when nothing was recorded in it since and nothing is
 * left to be done: no queue entry, no unsettled effect, no message that
 * waits.  Beside it go messages that were set aside, dead letters, and what
 * is remembered of threads that were erased, when they are as old.
 *
 * All threads are walked in the order of their ids, which is that of their
 * starts (ids are ULIDs), up to the first that is too young.  How far the
 * walk has come is in the table "retention", with the time at which it is to
 * go on: each worker asks, and the one that finds it due takes the next piece.
 * So one works at a time, whatever dies.  A piece is small, because everybody
 * else waits for the one write lock meanwhile.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <store/ngx_comms_store_sqlite_works.h>


/* of one piece */
#define NGX_COMMS_STORE_SQLITE_LOOK       200    /* threads looked at */
#define NGX_COMMS_STORE_SQLITE_REMOVE     25     /* threads removed */

#define NGX_COMMS_STORE_SQLITE_DAY        ((int64_t) 86400 * 1000)

/* ms to the next piece, and to the next walk */
#define NGX_COMMS_STORE_SQLITE_PAUSE      1000
#define NGX_COMMS_STORE_SQLITE_REST       ((int64_t) 3600 * 1000)


typedef struct {
    int64_t      cutoff;
    json_t      *behind;        /* the last thread that was looked at */
    json_t      *old;           /* those to be removed */
    ngx_uint_t   looked;
    ngx_uint_t   over;          /* there is none behind it that is old */
} ngx_comms_store_sqlite_walk_t;


static ngx_int_t ngx_comms_store_sqlite_due(ngx_comms_sqlite_txn_t *txn,
    ngx_comms_store_sqlite_walk_t *walk, int64_t *due);
static ngx_int_t ngx_comms_store_sqlite_look(ngx_comms_sqlite_txn_t *txn,
    ngx_comms_store_sqlite_walk_t *walk);
static ngx_int_t ngx_comms_store_sqlite_note(sqlite3_stmt *st,
    ngx_comms_store_sqlite_walk_t *walk);
static ngx_int_t ngx_comms_store_sqlite_go(ngx_comms_sqlite_txn_t *txn,
    ngx_comms_store_sqlite_walk_t *walk);
static ngx_int_t ngx_comms_store_sqlite_went(ngx_comms_sqlite_txn_t *txn,
    ngx_comms_store_sqlite_walk_t *walk, int64_t pause);
static void ngx_comms_store_sqlite_retention_timer(ngx_event_t *ev);
static void ngx_comms_store_sqlite_retention_done(ngx_comms_op_t *op);


static const ngx_comms_sqlite_member_t  ngx_comms_store_retain_members[] = {
    { "days", NGX_COMMS_SQLITE_INTEGER, 0, 1, 36500 },
    { NULL, 0, 0, 0, 0 }
};


/* what belongs to no thread; ?1 is the time before which it goes */
static const char  *ngx_comms_store_sqlite_homeless[] = {

    "DELETE FROM inbound WHERE inbound_id IN"
    " (SELECT inbound_id FROM inbound INDEXED BY inbound_orphans_by_time"
    "  WHERE state = 'orphan' AND received_at < ?1"
    "  ORDER BY received_at LIMIT 200)",

    "DELETE FROM dead_letters WHERE message_id IN"
    " (SELECT message_id FROM dead_letters WHERE died_at < ?1 LIMIT 200)",

    "DELETE FROM erased WHERE conversation_id IN"
    " (SELECT conversation_id FROM erased INDEXED BY erased_by_at"
    "  WHERE at < ?1 ORDER BY at LIMIT 200)",

    NULL
};


ngx_int_t
ngx_comms_store_sqlite_retain(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    int64_t                        due;
    ngx_int_t                      rc;
    ngx_comms_store_sqlite_walk_t  walk;

    if (ngx_comms_sqlite_members("retain", in, ngx_comms_store_retain_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(&walk, sizeof(ngx_comms_store_sqlite_walk_t));

    walk.cutoff = ngx_comms_sqlite_now(txn)
                  - json_integer_value(json_object_get(in, "days"))
                    * NGX_COMMS_STORE_SQLITE_DAY;
    walk.old = json_array();

    rc = ngx_comms_store_sqlite_due(txn, &walk, &due);

    if (rc == NGX_OK && due <= 0) {
        rc = ngx_comms_store_sqlite_look(txn, &walk);

        if (rc == NGX_OK) {
            rc = ngx_comms_store_sqlite_go(txn, &walk);
        }

        if (rc == NGX_OK) {
            due = walk.over ? NGX_COMMS_STORE_SQLITE_REST
                            : NGX_COMMS_STORE_SQLITE_PAUSE;

            rc = ngx_comms_store_sqlite_went(txn, &walk, due);
        }
    }

    if (rc == NGX_OK) {
        *answer = json_pack("{s:I, s:I}", "removed",
                            (json_int_t) json_array_size(walk.old),
                            "due", (json_int_t) due);

        rc = (*answer != NULL) ? NGX_OK : NGX_ERROR;
    }

    json_decref(walk.behind);
    json_decref(walk.old);

    return rc;
}


static ngx_int_t
ngx_comms_store_sqlite_due(ngx_comms_sqlite_txn_t *txn,
    ngx_comms_store_sqlite_walk_t *walk, int64_t *due)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT behind, due_at FROM retention WHERE id = 1");

    if (st == NULL || ngx_comms_sqlite_step(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    walk->behind = ngx_comms_sqlite_column(st, 0);
    *due = sqlite3_column_int64(st, 1) - ngx_comms_sqlite_now(txn);

    (void) sqlite3_reset(st);

    /* a clock that was set back must not keep everything for longer */

    if (*due > NGX_COMMS_STORE_SQLITE_REST) {
        *due = 0;
    }

    return (walk->behind != NULL && walk->old != NULL) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_store_sqlite_look(ngx_comms_sqlite_txn_t *txn,
    ngx_comms_store_sqlite_walk_t *walk)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT thread_id, created_at, updated_at < ?2"
        " AND thread_id NOT IN (SELECT grp FROM queue_messages)"
        " AND NOT EXISTS (SELECT 1 FROM effects e"
        "     INDEXED BY effects_unfinished"
        "     WHERE e.thread_id = t.thread_id AND e.state = 'intent')"
        " AND NOT EXISTS (SELECT 1 FROM inbound i INDEXED BY inbound_bound"
        "     WHERE i.thread_id = t.thread_id AND (i.state = 'waiting'"
        "     OR i.inbound_id IN (SELECT body ->> 'inbound_id'"
        "         FROM queue_messages WHERE grp = '')))"
        " AND NOT EXISTS (SELECT 1 FROM address_pairs p JOIN inbound i"
        "     INDEXED BY inbound_waiting"
        "     ON i.company_address = p.company_address"
        "     AND i.person_address = p.person_address"
        "     AND i.channel = p.channel AND i.state = 'waiting'"
        "     WHERE p.thread_id = t.thread_id)"
        " FROM threads t WHERE thread_id > ?1 ORDER BY thread_id LIMIT ?3");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_json(st, 1, walk->behind);
    ngx_comms_sqlite_bind_int(st, 2, walk->cutoff);
    ngx_comms_sqlite_bind_int(st, 3, NGX_COMMS_STORE_SQLITE_LOOK);

    while (!walk->over
           && json_array_size(walk->old) < NGX_COMMS_STORE_SQLITE_REMOVE)
    {
        rc = ngx_comms_sqlite_step(txn, st);

        if (rc == NGX_DONE) {
            walk->over = walk->looked < NGX_COMMS_STORE_SQLITE_LOOK;
            return NGX_OK;
        }

        if (rc != NGX_OK || ngx_comms_store_sqlite_note(st, walk) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    (void) sqlite3_reset(st);

    return NGX_OK;
}


static ngx_int_t
ngx_comms_store_sqlite_note(sqlite3_stmt *st,
    ngx_comms_store_sqlite_walk_t *walk)
{
    if (sqlite3_column_int64(st, 1) >= walk->cutoff) {
        walk->over = 1;
        return NGX_OK;
    }

    walk->looked++;

    json_decref(walk->behind);
    walk->behind = ngx_comms_sqlite_column(st, 0);

    if (walk->behind == NULL) {
        return NGX_ERROR;
    }

    if (!sqlite3_column_int(st, 2)) {
        return NGX_OK;
    }

    return json_array_append(walk->old, walk->behind) == 0 ? NGX_OK
                                                           : NGX_ERROR;
}


static ngx_int_t
ngx_comms_store_sqlite_go(ngx_comms_sqlite_txn_t *txn,
    ngx_comms_store_sqlite_walk_t *walk)
{
    size_t         i;
    json_t        *id;
    ngx_str_t      thread_id;
    ngx_uint_t     k;
    sqlite3_stmt  *st;

    json_array_foreach(walk->old, i, id) {

        thread_id = ngx_comms_json_view(id);

        if (ngx_comms_store_sqlite_remove(txn, &thread_id) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    for (k = 0; ngx_comms_store_sqlite_homeless[k] != NULL; k++) {

        st = ngx_comms_sqlite_prepare(txn, ngx_comms_store_sqlite_homeless[k]);
        if (st == NULL) {
            return NGX_ERROR;
        }

        ngx_comms_sqlite_bind_int(st, 1, walk->cutoff);

        if (ngx_comms_sqlite_execute(txn, st) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_store_sqlite_went(ngx_comms_sqlite_txn_t *txn,
    ngx_comms_store_sqlite_walk_t *walk, int64_t pause)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "UPDATE retention SET behind = CASE WHEN ?1 THEN '' ELSE ?2 END,"
        " due_at = ?3 WHERE id = 1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_int(st, 1, walk->over);
    ngx_comms_sqlite_bind_json(st, 2, walk->behind);
    ngx_comms_sqlite_bind_int(st, 3, ngx_comms_sqlite_now(txn) + pause);

    return ngx_comms_sqlite_execute(txn, st);
}


void
ngx_comms_store_sqlite_retention_init(ngx_comms_store_sqlite_t *s,
    ngx_cycle_t *cycle)
{
    if (s->retention_days == 0) {
        return;
    }

    s->retention.handler = ngx_comms_store_sqlite_retention_timer;
    s->retention.data = s;
    s->retention.log = cycle->log;
    s->retention.cancelable = 1;

    ngx_add_timer(&s->retention, NGX_COMMS_STORE_SQLITE_PAUSE
                      + (ngx_msec_t) ngx_random()
                        % NGX_COMMS_STORE_SQLITE_PAUSE);
}


void
ngx_comms_store_sqlite_retention_exit(ngx_comms_store_sqlite_t *s)
{
    if (s->retention.timer_set) {
        ngx_del_timer(&s->retention);
    }

    if (s->op != NULL) {
        ngx_comms_op_cancel(s->op);
        s->op = NULL;
    }
}


static void
ngx_comms_store_sqlite_retention_timer(ngx_event_t *ev)
{
    json_t                    *in;
    ngx_comms_store_sqlite_t  *s;

    s = ev->data;

    if (ngx_exiting) {
        return;
    }

    in = json_pack("{s:I}", "days", (json_int_t) s->retention_days);
    s->op = ngx_comms_op_create(ngx_comms_store_sqlite_retention_done, s, 0);

    if (in == NULL || s->op == NULL) {
        json_decref(in);

        if (s->op != NULL) {
            ngx_comms_op_cancel(s->op);
            ngx_comms_op_finish(s->op, NGX_ERROR, NULL);
            s->op = NULL;
        }

        ngx_add_timer(ev, NGX_COMMS_STORE_SQLITE_REST);
        return;
    }

    ngx_comms_sqlite_post(s->db, ngx_comms_store_sqlite_retain, 1, in, s->op);
}


static void
ngx_comms_store_sqlite_retention_done(ngx_comms_op_t *op)
{
    int64_t                    due, removed;
    ngx_comms_store_sqlite_t  *s;

    s = op->data;
    s->op = NULL;

    due = NGX_COMMS_STORE_SQLITE_REST;

    if (op->rc == NGX_OK) {
        (void) ngx_comms_json_int(op->answer, "due", &due);

        if (ngx_comms_json_int(op->answer, "removed", &removed) == NGX_OK
            && removed != 0)
        {
            ngx_log_error(NGX_LOG_NOTICE, s->retention.log, 0,
                          "%L threads were removed by retention", removed);
        }
    }

    if (ngx_exiting) {
        return;
    }

    /* the workers take turns, more or less */

    ngx_add_timer(&s->retention, (ngx_msec_t) ngx_max(due, 1)
                      + (ngx_msec_t) ngx_random()
                        % NGX_COMMS_STORE_SQLITE_PAUSE);
}
