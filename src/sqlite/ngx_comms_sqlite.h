
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The embedded engine under store and bus: one SQLite file (WAL,
 * synchronous=FULL), one connection for each worker process, used by one
 * thread-pool task at a time.  Statements that arrive while a task is in
 * flight wait and then share one commit (group commit).
 *
 * A work is a function that runs in the thread, inside a transaction and
 * inside a savepoint of its own: when it returns NGX_ERROR, what it wrote is
 * undone and the others are not.  The commit decides for all: when it fails
 * (disk full), every work of the group is answered with NGX_ERROR.  Nothing
 * is answered before the commit.
 */


#ifndef _NGX_COMMS_SQLITE_H_INCLUDED_
#define _NGX_COMMS_SQLITE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <sqlite3.h>
#include <jansson.h>
#include <base/ngx_comms_op.h>
#include <guard/ngx_comms_zone.h>


typedef struct ngx_comms_sqlite_s       ngx_comms_sqlite_t;

/* what a work sees in the thread */
typedef struct ngx_comms_sqlite_txn_s   ngx_comms_sqlite_txn_t;


/*
 * In the thread.  "in" is the operation's input; *answer may be set to a new
 * reference.  Returns the operation's rc.  NGX_ERROR undoes it.
 */
typedef ngx_int_t (*ngx_comms_sqlite_work_pt)(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);


/*
 * At configuration time: remembers path and thread pool, creates nothing.
 * The path is relative to the prefix.  NULL after logging.
 */
ngx_comms_sqlite_t *ngx_comms_sqlite_add(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *thread_pool, ngx_comms_zone_t *zone);

/*
 * In a worker after it was forked: opens (creating and migrating the schema;
 * a newer schema than ours is refused).  A failure is logged; operations
 * then answer NGX_ERROR and opening is tried again at most once a second.
 */
ngx_int_t ngx_comms_sqlite_init_process(ngx_comms_sqlite_t *db,
    ngx_cycle_t *cycle);

/* in exit_process: finishes what is queued and closes */
void ngx_comms_sqlite_exit_process(ngx_comms_sqlite_t *db);

/*
 * "writes" of a work that permits its asker to go on (to send, to hold a
 * message).  At exit it is not done, for nobody would make use of it.
 */
#define NGX_COMMS_SQLITE_PERMIT  2

/*
 * Queues a work; takes over the reference to "in".  The operation is finished
 * on the event loop after the commit.  "writes" is 0 for a work that only
 * reads, 1 for one that writes, or NGX_COMMS_SQLITE_PERMIT.
 */
void ngx_comms_sqlite_post(ngx_comms_sqlite_t *db,
    ngx_comms_sqlite_work_pt work, ngx_uint_t writes, json_t *in,
    ngx_comms_op_t *op);

/* notices that a work asks for; posted after the commit */
void ngx_comms_sqlite_notice(ngx_comms_sqlite_txn_t *txn,
    ngx_comms_notice_e kind, ngx_str_t *key);


/*
 * In the thread.  A prepared statement from the connection's cache, reset and
 * with no bindings; "sql" is a string literal (its address is the cache's
 * key).  NULL after logging.  It need not be finalised.
 */
sqlite3_stmt *ngx_comms_sqlite_prepare(ngx_comms_sqlite_txn_t *txn,
    const char *sql);

/*
 * Bind; the bytes are copied.  A NULL pointer and json null bind SQL's NULL.
 * bind_json() binds a string as its text, an integer or a boolean as an
 * integer, and an array or object as its compact JSON text.  A failure (out
 * of memory) shows in the next step.
 */
void ngx_comms_sqlite_bind_str(sqlite3_stmt *st, int i, ngx_str_t *value);
void ngx_comms_sqlite_bind_int(sqlite3_stmt *st, int i, int64_t value);
void ngx_comms_sqlite_bind_json(sqlite3_stmt *st, int i, json_t *value);

/*
 * Steps: NGX_OK a row, NGX_DONE no more, NGX_DECLINED a constraint was
 * violated, NGX_ERROR anything else (logged with SQLite's own code).
 */
ngx_int_t ngx_comms_sqlite_step(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st);

/* rows changed by the last statement */
ngx_int_t ngx_comms_sqlite_changes(ngx_comms_sqlite_txn_t *txn);

/*
 * Columns: a new JSON value (string, integer, real or null; parsed document,
 * or null for SQL's NULL).  NULL when out of memory or not readable.
 */
json_t *ngx_comms_sqlite_column(sqlite3_stmt *st, int i);
json_t *ngx_comms_sqlite_column_json(sqlite3_stmt *st, int i);

/* wall clock, the same for all works of a group */
int64_t ngx_comms_sqlite_now(ngx_comms_sqlite_txn_t *txn);


#endif /* _NGX_COMMS_SQLITE_H_INCLUDED_ */
