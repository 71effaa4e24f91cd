
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What an operation's input must hold.  A table for each operation; an input
 * that does not fit is a mistake of ours, and is logged with the member's
 * name only, never with its value.
 */


#ifndef _NGX_COMMS_SQLITE_MEMBERS_H_INCLUDED_
#define _NGX_COMMS_SQLITE_MEMBERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <sqlite/ngx_comms_sqlite.h>


typedef enum {
    NGX_COMMS_SQLITE_NAME = 0,     /* a string that is not empty */
    NGX_COMMS_SQLITE_TEXT,         /* any string */
    NGX_COMMS_SQLITE_INTEGER,      /* min .. max */
    NGX_COMMS_SQLITE_BOOLEAN,
    NGX_COMMS_SQLITE_OBJECT,
    NGX_COMMS_SQLITE_ARRAY,
    NGX_COMMS_SQLITE_NAMES         /* an array of strings, none empty */
} ngx_comms_sqlite_member_e;


/* a table ends with a NULL name */
typedef struct {
    const char                 *name;
    ngx_comms_sqlite_member_e   type;
    ngx_uint_t                  optional;   /* may be absent or null */
    int64_t                     min;
    int64_t                     max;
} ngx_comms_sqlite_member_t;


/* "what" names the operation in the log; NGX_OK or NGX_ERROR */
ngx_int_t ngx_comms_sqlite_members(const char *what, json_t *in,
    const ngx_comms_sqlite_member_t *members);

/* the string member of that name; empty when absent */
ngx_str_t ngx_comms_sqlite_text(json_t *in, const char *name);

/* 1 when the member is there and not null */
ngx_uint_t ngx_comms_sqlite_has(json_t *in, const char *name);

/*
 * Runs a statement whose rows are of no interest.  NGX_OK; NGX_ERROR, also
 * for a constraint, which is logged: no statement of ours runs into one
 * unless something is wrong with us or with the file.
 */
ngx_int_t ngx_comms_sqlite_execute(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st);

/*
 * Runs a query to its end: one array element for each row, made by "element"
 * (a new reference; NULL: out of memory).  NULL when it failed.
 */
json_t *ngx_comms_sqlite_rows(ngx_comms_sqlite_txn_t *txn, sqlite3_stmt *st,
    json_t *(*element)(ngx_comms_sqlite_txn_t *txn, sqlite3_stmt *st));


#endif /* _NGX_COMMS_SQLITE_MEMBERS_H_INCLUDED_ */
