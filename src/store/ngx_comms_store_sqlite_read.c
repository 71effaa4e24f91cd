
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Reading threads: one whole, a page of them, figures.
 *
 * Pages are walked by key: a cursor is the key of the last thread of the page
 * before (created_at and thread_id, base64url), and each combination of
 * filters has an index that ends in that key.  So a page costs what is on
 * it, wherever it is; and threads that start meanwhile come before the first
 * page and push nothing from one page to the next.  Only the filters beside
 * "recipient" are not in the index: they pick among one person's threads.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_id.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <store/ngx_comms_store.h>
#include <store/ngx_comms_store_sqlite_works.h>


/* "<ms>.<thread_id>" */
#define NGX_COMMS_STORE_SQLITE_CURSOR                                         \
    (NGX_INT64_LEN + 1 + NGX_COMMS_THREAD_ID_LEN)

#define NGX_COMMS_STORE_SQLITE_CURSOR_TEXT                                    \
    ngx_base64_encoded_length(NGX_COMMS_STORE_SQLITE_CURSOR)


typedef struct {
    int64_t      created_at;
    ngx_str_t    thread_id;
    u_char       bytes[NGX_COMMS_STORE_SQLITE_CURSOR];
} ngx_comms_store_sqlite_key_t;


static sqlite3_stmt *ngx_comms_store_sqlite_query(
    ngx_comms_sqlite_txn_t *txn, json_t *in);
static ngx_int_t ngx_comms_store_sqlite_page(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st, json_t *in, json_t **answer);
static json_t *ngx_comms_store_sqlite_listed(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st);
static ngx_int_t ngx_comms_store_sqlite_key_read(ngx_str_t *text,
    ngx_comms_store_sqlite_key_t *key);
static json_t *ngx_comms_store_sqlite_key_write(int64_t created_at,
    ngx_str_t *thread_id);
static ngx_int_t ngx_comms_store_sqlite_count(ngx_comms_sqlite_txn_t *txn,
    const char *sql, json_t *figures, const char *name);


static const ngx_comms_sqlite_member_t  ngx_comms_store_load_members[] = {
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "messages", NGX_COMMS_SQLITE_INTEGER, 0, 0, INT32_MAX },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_store_list_members[] = {
    { "company_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "project_id", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { "status", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { "recipient", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { "cursor", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "limit", NGX_COMMS_SQLITE_INTEGER, 0, 1, NGX_COMMS_STORE_MAX_PAGE },
    { NULL, 0, 0, 0, 0 }
};


/* which attributes a page leaves out: they are large */
static const char  *ngx_comms_store_sqlite_unlisted[] = {
    "project_data", "ai_config", "channel_config", NULL
};


ngx_int_t
ngx_comms_store_sqlite_load(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    json_t     *header, *messages;
    ngx_int_t   rc;
    ngx_str_t   thread_id;

    if (ngx_comms_sqlite_members("load", in, ngx_comms_store_load_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    thread_id = ngx_comms_sqlite_text(in, "thread_id");

    rc = ngx_comms_store_sqlite_thread(txn, &thread_id, &header);

    if (rc != NGX_OK) {
        return rc;
    }

    messages = ngx_comms_store_sqlite_newest(txn, &thread_id,
                        json_integer_value(json_object_get(in, "messages")));

    if (json_object_set_new(header, "messages", messages) != 0) {
        json_decref(header);
        return NGX_ERROR;
    }

    *answer = json_pack("{s:o}", "record", header);

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_comms_store_sqlite_list(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    ngx_str_t                      text;
    sqlite3_stmt                  *st;
    ngx_comms_store_sqlite_key_t   key;

    if (ngx_comms_sqlite_members("list", in, ngx_comms_store_list_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    text = ngx_comms_sqlite_text(in, "cursor");

    if (ngx_comms_store_sqlite_key_read(&text, &key) != NGX_OK) {
        return NGX_DECLINED;
    }

    st = ngx_comms_store_sqlite_query(txn, in);
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_int(st, 5, key.created_at);
    ngx_comms_sqlite_bind_str(st, 6, &key.thread_id);

    return ngx_comms_store_sqlite_page(txn, st, in, answer);
}


static sqlite3_stmt *
ngx_comms_store_sqlite_query(ngx_comms_sqlite_txn_t *txn, json_t *in)
{
    ngx_str_t      company_id, project_id, status, recipient;
    const char    *sql;
    sqlite3_stmt  *st;

    company_id = ngx_comms_sqlite_text(in, "company_id");
    project_id = ngx_comms_sqlite_text(in, "project_id");
    status = ngx_comms_sqlite_text(in, "status");
    recipient = ngx_comms_sqlite_text(in, "recipient");

#define NGX_COMMS_SELECT  "SELECT " NGX_COMMS_STORE_SQLITE_HEADER             \
                          " FROM threads t WHERE t.company_id = ?1"
#define NGX_COMMS_BEFORE  " AND (t.created_at, t.thread_id) < (?5, ?6)"       \
                          " ORDER BY t.created_at DESC, t.thread_id DESC"     \
                          " LIMIT ?7"

    if (recipient.len != 0) {
        sql = "SELECT " NGX_COMMS_STORE_SQLITE_HEADER
              " FROM address_pairs p"
              " CROSS JOIN threads t ON t.thread_id = p.thread_id"
              " WHERE p.company_id = ?1 AND p.person_address = ?4"
              " AND (p.created_at, p.thread_id) < (?5, ?6)"
              " AND (?2 IS NULL OR t.project_id = ?2)"
              " AND (?3 IS NULL OR t.status = ?3)"
              " GROUP BY p.created_at, p.thread_id"
              " ORDER BY p.created_at DESC, p.thread_id DESC LIMIT ?7";

    } else if (project_id.len != 0 && status.len != 0) {
        sql = NGX_COMMS_SELECT " AND t.project_id = ?2 AND t.status = ?3"
              NGX_COMMS_BEFORE;

    } else if (project_id.len != 0) {
        sql = NGX_COMMS_SELECT " AND t.project_id = ?2" NGX_COMMS_BEFORE;

    } else if (status.len != 0) {
        sql = NGX_COMMS_SELECT " AND t.status = ?3" NGX_COMMS_BEFORE;

    } else {
        sql = NGX_COMMS_SELECT NGX_COMMS_BEFORE;
    }

#undef NGX_COMMS_SELECT
#undef NGX_COMMS_BEFORE

    st = ngx_comms_sqlite_prepare(txn, sql);
    if (st == NULL) {
        return NULL;
    }

    ngx_comms_sqlite_bind_str(st, 1, &company_id);
    ngx_comms_sqlite_bind_str(st, 2, project_id.len ? &project_id : NULL);
    ngx_comms_sqlite_bind_str(st, 3, status.len ? &status : NULL);
    ngx_comms_sqlite_bind_str(st, 4, recipient.len ? &recipient : NULL);

    return st;
}


/* one thread more than asked for is read: is there another page? */

static ngx_int_t
ngx_comms_store_sqlite_page(ngx_comms_sqlite_txn_t *txn, sqlite3_stmt *st,
    json_t *in, json_t **answer)
{
    size_t   limit;
    json_t  *page, *cursor, *last;

    limit = (size_t) json_integer_value(json_object_get(in, "limit"));

    ngx_comms_sqlite_bind_int(st, 7, limit + 1);

    page = ngx_comms_sqlite_rows(txn, st, ngx_comms_store_sqlite_listed);
    if (page == NULL) {
        return NGX_ERROR;
    }

    cursor = json_null();

    if (json_array_size(page) > limit) {
        (void) json_array_remove(page, limit);

        last = json_array_get(page, limit - 1);
        cursor = json_incref(json_object_get(last, "cursor"));
    }

    for (limit = json_array_size(page); limit != 0; limit--) {
        (void) json_object_del(json_array_get(page, limit - 1), "cursor");
    }

    *answer = json_pack("{s:o, s:o}", "conversations", page,
                        "cursor", cursor);

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}


/* a header for a page, with the cursor that goes on behind it */

static json_t *
ngx_comms_store_sqlite_listed(ngx_comms_sqlite_txn_t *txn, sqlite3_stmt *st)
{
    json_t      *header;
    ngx_str_t    thread_id;
    ngx_uint_t   i;

    header = ngx_comms_store_sqlite_header(txn, st);
    if (header == NULL) {
        return NULL;
    }

    for (i = 0; ngx_comms_store_sqlite_unlisted[i] != NULL; i++) {
        (void) json_object_del(header, ngx_comms_store_sqlite_unlisted[i]);
    }

    thread_id = ngx_comms_sqlite_text(header, "thread_id");

    if (json_object_set_new(header, "cursor",
                            ngx_comms_store_sqlite_key_write(
                                 sqlite3_column_int64(st, 8), &thread_id))
        != 0)
    {
        json_decref(header);
        return NULL;
    }

    return header;
}


/* no cursor is the key behind all threads; NGX_DECLINED: none of ours */

static ngx_int_t
ngx_comms_store_sqlite_key_read(ngx_str_t *text,
    ngx_comms_store_sqlite_key_t *key)
{
    u_char     *dot;
    ngx_str_t   bytes;

    if (text->len == 0) {
        key->created_at = INT64_MAX;
        ngx_str_set(&key->thread_id, "");
        return NGX_OK;
    }

    if (ngx_base64_decoded_length(text->len) > sizeof(key->bytes)) {
        return NGX_DECLINED;
    }

    bytes.data = key->bytes;

    if (ngx_decode_base64url(&bytes, text) != NGX_OK) {
        return NGX_DECLINED;
    }

    dot = ngx_strlchr(bytes.data, bytes.data + bytes.len, '.');

    if (dot == NULL) {
        return NGX_DECLINED;
    }

    key->created_at = ngx_atoof(bytes.data, dot - bytes.data);
    key->thread_id.data = dot + 1;
    key->thread_id.len = bytes.data + bytes.len - key->thread_id.data;

    if (key->created_at == NGX_ERROR
        || !ngx_comms_thread_id_valid(&key->thread_id))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static json_t *
ngx_comms_store_sqlite_key_write(int64_t created_at, ngx_str_t *thread_id)
{
    u_char     *p, bytes[NGX_COMMS_STORE_SQLITE_CURSOR],
                encoded[NGX_COMMS_STORE_SQLITE_CURSOR_TEXT];
    ngx_str_t   src, dst;

    p = ngx_snprintf(bytes, sizeof(bytes), "%L.%V", created_at, thread_id);

    src.data = bytes;
    src.len = p - bytes;

    dst.data = encoded;

    ngx_encode_base64url(&dst, &src);

    return json_stringn((char *) dst.data, dst.len);
}


ngx_int_t
ngx_comms_store_sqlite_figures(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    json_t        *figures, *threads;
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT status, sum(n) FROM thread_counts GROUP BY status"
        " HAVING sum(n) > 0");
    if (st == NULL) {
        return NGX_ERROR;
    }

    threads = json_object();

    for ( ;; ) {
        rc = ngx_comms_sqlite_step(txn, st);

        if (rc != NGX_OK) {
            break;
        }

        if (json_object_set_new(threads,
                                (char *) sqlite3_column_text(st, 0),
                                ngx_comms_sqlite_column(st, 1))
            != 0)
        {
            (void) sqlite3_reset(st);
            rc = NGX_ERROR;
            break;
        }
    }

    figures = json_pack("{s:o}", "threads", threads);

    if (rc != NGX_DONE
        || ngx_comms_store_sqlite_count(txn,
               "SELECT count(*) FROM inbound WHERE state = 'waiting'",
               figures, "inbound_waiting")
           != NGX_OK
        || ngx_comms_store_sqlite_count(txn,
               "SELECT count(*) FROM effects WHERE state = 'intent'",
               figures, "effects_unfinished")
           != NGX_OK)
    {
        json_decref(figures);
        return NGX_ERROR;
    }

    *answer = figures;

    return NGX_OK;
}


/* both counts go over a partial index that holds nothing but what counts */

static ngx_int_t
ngx_comms_store_sqlite_count(ngx_comms_sqlite_txn_t *txn, const char *sql,
    json_t *figures, const char *name)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn, sql);

    if (st == NULL || ngx_comms_sqlite_step(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = (json_object_set_new(figures, name, ngx_comms_sqlite_column(st, 0))
          == 0)
         ? NGX_OK : NGX_ERROR;

    (void) sqlite3_reset(st);

    return rc;
}
