
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Values in and out of statements, and the step between them.
 *
 * A bind that fails would leave SQL's NULL in its place, and the statement
 * would run and store it.  Hence a failed bind is remembered, by the thread,
 * until the step that it belongs to, which then fails.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <sqlite/ngx_comms_sqlite_private.h>


static void ngx_comms_sqlite_bound(int rc);


static __thread ngx_uint_t  ngx_comms_sqlite_unbound;


void
ngx_comms_sqlite_bind_str(sqlite3_stmt *st, int i, ngx_str_t *value)
{
    if (value == NULL) {
        ngx_comms_sqlite_bound(sqlite3_bind_null(st, i));
        return;
    }

    /* an empty string may have no bytes to point to, which would mean NULL */

    ngx_comms_sqlite_bound(sqlite3_bind_text64(st, i,
                               value->len != 0 ? (char *) value->data : "",
                               value->len, SQLITE_TRANSIENT, SQLITE_UTF8));
}


void
ngx_comms_sqlite_bind_int(sqlite3_stmt *st, int i, int64_t value)
{
    ngx_comms_sqlite_bound(sqlite3_bind_int64(st, i, value));
}


void
ngx_comms_sqlite_bind_json(sqlite3_stmt *st, int i, json_t *value)
{
    char  *text;

    if (value == NULL || json_is_null(value)) {
        ngx_comms_sqlite_bound(sqlite3_bind_null(st, i));
        return;
    }

    switch (json_typeof(value)) {

    case JSON_STRING:
        ngx_comms_sqlite_bound(sqlite3_bind_text64(st, i,
                                   json_string_value(value),
                                   json_string_length(value),
                                   SQLITE_TRANSIENT, SQLITE_UTF8));
        return;

    case JSON_INTEGER:
        ngx_comms_sqlite_bound(sqlite3_bind_int64(st, i,
                                   json_integer_value(value)));
        return;

    case JSON_REAL:
        ngx_comms_sqlite_bound(sqlite3_bind_double(st, i,
                                   json_real_value(value)));
        return;

    case JSON_TRUE:
    case JSON_FALSE:
        ngx_comms_sqlite_bound(sqlite3_bind_int64(st, i,
                                   json_is_true(value)));
        return;

    default: /* JSON_OBJECT, JSON_ARRAY */
        break;
    }

    text = json_dumps(value, JSON_COMPACT);

    if (text == NULL) {
        ngx_comms_sqlite_bound(SQLITE_NOMEM);
        return;
    }

    /* SQLite frees the text, also when it refuses it */

    ngx_comms_sqlite_bound(sqlite3_bind_text64(st, i, text, ngx_strlen(text),
                                               free, SQLITE_UTF8));
}


static void
ngx_comms_sqlite_bound(int rc)
{
    if (rc != SQLITE_OK) {
        ngx_comms_sqlite_unbound = 1;
    }
}


ngx_int_t
ngx_comms_sqlite_step(ngx_comms_sqlite_txn_t *txn, sqlite3_stmt *st)
{
    int  rc;

    if (ngx_comms_sqlite_unbound) {
        ngx_comms_sqlite_unbound = 0;
        ngx_comms_sqlite_refuse(txn, "a value could not be bound: %s",
                                sqlite3_sql(st));
        return NGX_ERROR;
    }

    rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        return NGX_OK;
    }

    if (rc == SQLITE_DONE) {
        return NGX_DONE;
    }

    if ((rc & 0xff) == SQLITE_CONSTRAINT) {
        return NGX_DECLINED;
    }

    ngx_comms_sqlite_failed(txn, sqlite3_sql(st));

    return NGX_ERROR;
}


ngx_int_t
ngx_comms_sqlite_changes(ngx_comms_sqlite_txn_t *txn)
{
    return sqlite3_changes(txn->connection);
}


json_t *
ngx_comms_sqlite_column(sqlite3_stmt *st, int i)
{
    const char  *text;

    switch (sqlite3_column_type(st, i)) {

    case SQLITE_NULL:
        return json_null();

    case SQLITE_INTEGER:
        return json_integer(sqlite3_column_int64(st, i));

    case SQLITE_FLOAT:
        return json_real(sqlite3_column_double(st, i));

    default: /* SQLITE_TEXT, SQLITE_BLOB */
        break;
    }

    text = (const char *) sqlite3_column_text(st, i);

    if (text == NULL) {
        return NULL;
    }

    return json_stringn(text, sqlite3_column_bytes(st, i));
}


json_t *
ngx_comms_sqlite_column_json(sqlite3_stmt *st, int i)
{
    const char  *text;

    if (sqlite3_column_type(st, i) == SQLITE_NULL) {
        return json_null();
    }

    text = (const char *) sqlite3_column_text(st, i);

    if (text == NULL) {
        return NULL;
    }

    return json_loadb(text, sqlite3_column_bytes(st, i), JSON_DECODE_ANY,
                      NULL);
}
