
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the files of this folder share: a work, and the connection with the
 * group of works that it is carrying out.
 */


#ifndef _NGX_COMMS_SQLITE_PRIVATE_H_INCLUDED_
#define _NGX_COMMS_SQLITE_PRIVATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <sqlite/ngx_comms_sqlite.h>


/* works that share one commit, at most */
#define NGX_COMMS_SQLITE_GROUP       256

/* statements are literals of the program: about a hundred */
#define NGX_COMMS_SQLITE_STATEMENTS  512

#define NGX_COMMS_SQLITE_NOTICES     64


typedef struct ngx_comms_sqlite_work_s  ngx_comms_sqlite_work_t;

struct ngx_comms_sqlite_work_s {
    ngx_comms_sqlite_work_t   *next;
    ngx_comms_sqlite_work_pt   work;
    ngx_uint_t                 writes;
    json_t                    *in;
    ngx_comms_op_t            *op;       /* not for the thread */
    ngx_int_t                  rc;
    json_t                    *answer;
};


typedef struct ngx_comms_sqlite_statement_s  ngx_comms_sqlite_statement_t;

struct ngx_comms_sqlite_statement_s {
    const char                    *sql;  /* NULL: the place is free */
    sqlite3_stmt                  *statement;
    ngx_comms_sqlite_statement_t  *next; /* of those that this work used */
    unsigned                       used:1;
    unsigned                       reads:1;   /* changes nothing */
};


/* the first failure of a group */
typedef struct {
    int                            code; /* SQLite's extended one, or 0 */
    ngx_err_t                      err;  /* the system's, or 0 */
    u_char                         doing[128];
    u_char                         words[256];
    unsigned                       set:1;
} ngx_comms_sqlite_error_t;


typedef struct {
    ngx_comms_notice_e             kind;
    uint32_t                       hash;
} ngx_comms_sqlite_notice_t;


/*
 * Belongs to the thread from the post of the task to its end, else to the
 * event loop.  "over" is the thread's last write.
 */
struct ngx_comms_sqlite_txn_s {
    u_char                        *path;         /* NUL-terminated */
    sqlite3                       *connection;   /* NULL: not open */
    int64_t                        open_after;   /* monotonic ms */
    int64_t                        busy_since;   /* monotonic us */

    ngx_comms_sqlite_work_t       *works;
    ngx_uint_t                     writers;      /* works that write */
    ngx_uint_t                     writing;      /* the one that runs does */
    int64_t                        now;

    ngx_comms_sqlite_statement_t  *used;
    ngx_comms_sqlite_statement_t   statements[NGX_COMMS_SQLITE_STATEMENTS];

    ngx_uint_t                     nnotices;
    ngx_comms_sqlite_notice_t      notices[NGX_COMMS_SQLITE_NOTICES];
    ngx_uint_t                     everybody[NGX_COMMS_NOTICES];

    ngx_comms_sqlite_error_t       error;
    ngx_uint_t                     damaged;      /* reopen after the group */
    ngx_atomic_t                   over;
};


/* in the thread: carries out the group, from opening to commit */
void ngx_comms_sqlite_run(ngx_comms_sqlite_txn_t *txn);

void ngx_comms_sqlite_close(ngx_comms_sqlite_txn_t *txn);

/* keeps SQLite's error, if it is the group's first; "doing": SQL or words */
void ngx_comms_sqlite_failed(ngx_comms_sqlite_txn_t *txn, const char *doing);

/* the same with words of ours, in the manner of ngx_sprintf() */
void ngx_cdecl ngx_comms_sqlite_refuse(ngx_comms_sqlite_txn_t *txn,
    const char *fmt, ...);

/* NGX_OK: the database is ours and of no newer version; changes nothing */
ngx_int_t ngx_comms_sqlite_check(ngx_comms_sqlite_txn_t *txn);

/* brings the schema to the version of this module */
ngx_int_t ngx_comms_sqlite_migrate(ngx_comms_sqlite_txn_t *txn);


#endif /* _NGX_COMMS_SQLITE_PRIVATE_H_INCLUDED_ */
