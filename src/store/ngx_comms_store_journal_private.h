
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Inside of the journal: "keep" on the way in, the forwarder on the way out,
 * and the works over the table, which run in the thread.
 */


#ifndef _NGX_COMMS_STORE_JOURNAL_PRIVATE_H_INCLUDED_
#define _NGX_COMMS_STORE_JOURNAL_PRIVATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <jansson.h>
#include <store/ngx_comms_store_journal.h>


/* messages that the journal holds at most */
#define NGX_COMMS_JOURNAL_MAX        100000

/* address pairs that are forwarded at the same time */
#define NGX_COMMS_JOURNAL_SLOTS      16

/* no row is put off for longer, ms */
#define NGX_COMMS_JOURNAL_MAX_DELAY  30000


typedef struct ngx_comms_journal_s  ngx_comms_journal_t;


/* of lines that are logged at most once a minute each */
typedef enum {
    NGX_COMMS_JOURNAL_USED = 0,
    NGX_COMMS_JOURNAL_FULL,
    NGX_COMMS_JOURNAL_STUCK,
    NGX_COMMS_JOURNAL_LINES
} ngx_comms_journal_line_e;


/* forwards one address pair: one message at a time, the oldest first */
typedef struct {
    void                      *unused[3];   /* what debug builds of nginx */
    ngx_socket_t               fd;          /* read through an event's data */

    ngx_comms_journal_t       *journal;
    ngx_comms_op_t            *asked;       /* in flight */
    ngx_event_t                timer;
    json_int_t                 id;          /* of the row; 0: a free slot */
    json_int_t                 attempts;
} ngx_comms_journal_slot_t;


struct ngx_comms_journal_s {
    void                      *unused[3];
    ngx_socket_t               fd;

    ngx_comms_store_t         *inner;
    ngx_comms_sqlite_t        *db;
    ngx_msec_t                 patience;
    ngx_log_t                 *log;

    ngx_queue_t                keeps;       /* not answered, as they came */
    ngx_queue_t                figures;
    time_t                     told[NGX_COMMS_JOURNAL_LINES];

    json_int_t                 rows;        /* when last told */
    ngx_event_t                look;
    ngx_comms_op_t            *asked;       /* "take" in flight, or NULL */
    ngx_uint_t                 busy;        /* slots in use */
    ngx_uint_t                 failures;    /* in a row */
    ngx_msec_t                 opens;       /* with failures: not before */
    u_char                     owner[NGX_INT64_LEN + sizeof("-") + 16];
    ngx_comms_journal_slot_t   slots[NGX_COMMS_JOURNAL_SLOTS];

    unsigned                   open:1;      /* between init and exit */
    unsigned                   owns:1;      /* the claim, when last told */
    unsigned                   again:1;     /* look once more behind "take" */
};


/* ngx_comms_store_journal_keep.c */

void ngx_comms_journal_keep(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op);

/* what is on its way in goes into the journal */
void ngx_comms_journal_keep_exit(ngx_comms_journal_t *j);


/* ngx_comms_store_journal.c */

/* 1: the line is due */
ngx_uint_t ngx_comms_journal_tell(ngx_comms_journal_t *j,
    ngx_comms_journal_line_e line);


/* ngx_comms_store_journal_forward.c */

ngx_int_t ngx_comms_journal_forward_init(ngx_comms_journal_t *j);
void ngx_comms_journal_forward_exit(ngx_comms_journal_t *j);

/* a message was journaled */
void ngx_comms_journal_forward_soon(ngx_comms_journal_t *j);


/*
 * ngx_comms_store_journal_rows.c: works
 */

/* in: of "keep"; NGX_OK: the journal holds messages of its address pair */
ngx_int_t ngx_comms_journal_holds(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer);

/*
 * in: of "keep"; out: {"n": rows}; NGX_DECLINED: journaled before,
 * NGX_ABORT: the journal is full
 */
ngx_int_t ngx_comms_journal_add(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer);

/*
 * Takes the claim, or extends it, and reads what is due: the oldest row of
 * each address pair, but those in "flying".
 * in: {"owner", "limit", "flying": [journal_ids]}
 * out: {"n", "rows": [{"journal_id", "attempts", "message"}]}, where a
 * message that cannot be read is null
 * NGX_DECLINED: the claim is another's; out: {"n"}
 */
ngx_int_t ngx_comms_journal_take(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer);

/* in: owner; gives the claim back */
ngx_int_t ngx_comms_journal_release(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer);

/*
 * in: journal_id; out: {"row": next one of the same pair, or null};
 * NGX_DECLINED: the row is gone
 */
ngx_int_t ngx_comms_journal_remove(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer);

/* in: {"journal_id", "delay": ms} */
ngx_int_t ngx_comms_journal_postpone(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer);

/* out: number of rows */
ngx_int_t ngx_comms_journal_count(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer);


#endif /* _NGX_COMMS_STORE_JOURNAL_PRIVATE_H_INCLUDED_ */
