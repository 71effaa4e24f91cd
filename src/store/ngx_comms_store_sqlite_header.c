
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A thread's header: in the database half columns, half one JSON document;
 * outside one object.  This file alone knows which attribute is where.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <store/ngx_comms_store_sqlite_works.h>


/* attributes that stand in columns, or in tables of their own */
static const char  *ngx_comms_store_sqlite_apart[] = {
    "thread_id", "conversation_id", "company_id", "project_id", "request_id",
    "conversation_status", "fence", "version", "created_at", "updated_at",
    "channel_states", "messages", "newest_inbound_id", NULL
};


json_t *
ngx_comms_store_sqlite_header(ngx_comms_sqlite_txn_t *txn, sqlite3_stmt *st)
{
    json_t  *header, *rest, *newest;

    newest = sqlite3_column_bytes(st, 12) ? ngx_comms_sqlite_column(st, 12)
                                          : NULL;

    header = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o,"
        " s:o, s:o*}",
        "thread_id", ngx_comms_sqlite_column(st, 0),
        "conversation_id", ngx_comms_sqlite_column(st, 1),
        "company_id", ngx_comms_sqlite_column(st, 2),
        "project_id", ngx_comms_sqlite_column(st, 3),
        "request_id", ngx_comms_sqlite_column(st, 4),
        "conversation_status", ngx_comms_sqlite_column(st, 5),
        "fence", ngx_comms_sqlite_column(st, 6),
        "version", ngx_comms_sqlite_column(st, 7),
        "created_at",
        ngx_comms_store_sqlite_time(sqlite3_column_int64(st, 8)),
        "updated_at",
        ngx_comms_store_sqlite_time(sqlite3_column_int64(st, 9)),
        "channel_states", ngx_comms_sqlite_column_json(st, 10),
        "newest_inbound_id", newest);

    if (header == NULL) {
        return NULL;
    }

    rest = ngx_comms_sqlite_column_json(st, 11);

    if (json_object_update(header, rest) != 0) {
        json_decref(header);
        header = NULL;
    }

    json_decref(rest);

    return header;
}


ngx_int_t
ngx_comms_store_sqlite_thread(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t **header)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT " NGX_COMMS_STORE_SQLITE_HEADER " FROM threads t"
        " WHERE t.thread_id = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, thread_id);

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_DECLINED : NGX_ERROR;
    }

    *header = ngx_comms_store_sqlite_header(txn, st);

    (void) sqlite3_reset(st);

    return (*header != NULL) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_comms_store_sqlite_rest(json_t *record, json_t **doc)
{
    ngx_uint_t  i;

    *doc = json_copy(record);

    if (*doc == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; ngx_comms_store_sqlite_apart[i] != NULL; i++) {
        (void) json_object_del(*doc, ngx_comms_store_sqlite_apart[i]);
    }

    return NGX_OK;
}


json_t *
ngx_comms_store_sqlite_time(int64_t ms)
{
    u_char  text[NGX_COMMS_ISO8601_LEN];

    (void) ngx_comms_iso8601(text, ms);

    return json_stringn((char *) text, NGX_COMMS_ISO8601_LEN);
}
