
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Inside of the embedded store: one work for each operation.  They run in
 * the thread; see sqlite/ngx_comms_sqlite.h for what that means.
 */


#ifndef _NGX_COMMS_STORE_SQLITE_WORKS_H_INCLUDED_
#define _NGX_COMMS_STORE_SQLITE_WORKS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <jansson.h>
#include <sqlite/ngx_comms_sqlite.h>


/* the store's "data" */
typedef struct {
    void                *unused[3];     /* what debug builds of nginx */
    ngx_socket_t         fd;            /* read through an event's data */

    ngx_comms_sqlite_t  *db;
    ngx_uint_t           retention_days;
    ngx_event_t          retention;
    ngx_comms_op_t      *op;            /* its, in flight */
} ngx_comms_store_sqlite_t;


/*
 * Columns of a thread that make its header, for a query in which the table
 * is called "t"; ngx_comms_store_sqlite_header() reads a row that starts with
 * them.
 */
#define NGX_COMMS_STORE_SQLITE_HEADER                                         \
    "t.thread_id, t.conversation_id, t.company_id, t.project_id,"             \
    " t.request_id, t.status, t.fence, t.version, t.created_at,"              \
    " t.updated_at, t.channel_states, t.record, t.newest_inbound_id"


/* waiting inbound messages that one turn takes at most */
#define NGX_COMMS_STORE_SQLITE_MAX_INBOUND  1000


/* addresses in a message's "aliases" that are looked at */
#define NGX_COMMS_STORE_SQLITE_MAX_ALIASES  8


/* accept */
ngx_int_t ngx_comms_store_sqlite_admit(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);
ngx_int_t ngx_comms_store_sqlite_accept(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);

/* inbound */
ngx_int_t ngx_comms_store_sqlite_keep(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);
ngx_int_t ngx_comms_store_sqlite_orphan(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);
ngx_int_t ngx_comms_store_sqlite_inbound(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);

/* find */
ngx_int_t ngx_comms_store_sqlite_find(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);
ngx_int_t ngx_comms_store_sqlite_sent_as(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);

/* pair */
ngx_int_t ngx_comms_store_sqlite_link(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);

/* turn */
ngx_int_t ngx_comms_store_sqlite_claim(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);

/* effect */
ngx_int_t ngx_comms_store_sqlite_intend(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);
ngx_int_t ngx_comms_store_sqlite_withdraw(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);

/* record */
ngx_int_t ngx_comms_store_sqlite_record(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);

/* consent */
ngx_int_t ngx_comms_store_sqlite_consent(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);
ngx_int_t ngx_comms_store_sqlite_ledger(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);

/* read */
ngx_int_t ngx_comms_store_sqlite_load(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);
ngx_int_t ngx_comms_store_sqlite_list(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);
ngx_int_t ngx_comms_store_sqlite_figures(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);

/* erase */
ngx_int_t ngx_comms_store_sqlite_erase(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);

/*
 * Removes a thread with all that is its own: NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_comms_store_sqlite_remove(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id);

/*
 * retention: a piece of the walk over all threads.
 * in   {"days"}
 * out  {"removed": threads, "due": ms until there is more to do}
 */
ngx_int_t ngx_comms_store_sqlite_retain(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);

/* the timer of this worker, where there is a retention */
void ngx_comms_store_sqlite_retention_init(ngx_comms_store_sqlite_t *s,
    ngx_cycle_t *cycle);
void ngx_comms_store_sqlite_retention_exit(ngx_comms_store_sqlite_t *s);


/*
 * The header of the thread in this row, or NULL.
 */
json_t *ngx_comms_store_sqlite_header(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st);

/* the header of one thread: NGX_OK, NGX_DECLINED (none) or NGX_ERROR */
ngx_int_t ngx_comms_store_sqlite_thread(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t **header);

/* its newest messages, oldest first; NULL when it failed */
json_t *ngx_comms_store_sqlite_newest(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, int64_t n);

/*
 * What stands in the column of record, of a header or of new members of one:
 * "*doc" is a new object without the attributes that have columns.
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_comms_store_sqlite_rest(json_t *record, json_t **doc);

/*
 * Address pairs: do they fit; and they are a thread's from now on, with the
 * thread's time of creation, by which the newest thread of a pair is told.
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_comms_store_sqlite_check_pairs(const char *what, json_t *in);
ngx_int_t ngx_comms_store_sqlite_add_pairs(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t *pairs);

/* a time in a record's form; NULL when out of memory */
json_t *ngx_comms_store_sqlite_time(int64_t ms);

/* NGX_OK: may be written to; NGX_DECLINED: opted out; NGX_ERROR */
ngx_int_t ngx_comms_store_sqlite_may_write(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *company_id, ngx_str_t *person_address);

/* one effect, from a row of these columns; for ngx_comms_sqlite_rows() */
#define NGX_COMMS_STORE_SQLITE_EFFECT                                         \
    "effect_id, kind, state, intended_at, detail, outcome"

json_t *ngx_comms_store_sqlite_effect(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st);

/*
 * Writes down what became of an effect ({"effect_id", "state", "outcome"}).
 */
ngx_int_t ngx_comms_store_sqlite_settle(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t *effect);

/* appends a message, or updates the one with the same entry_id */
ngx_int_t ngx_comms_store_sqlite_message(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t *message);


#endif /* _NGX_COMMS_STORE_SQLITE_WORKS_H_INCLUDED_ */
