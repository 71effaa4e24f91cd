
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Address pairs: by which addresses a thread is reached.  A thread has those
 * it was started with, and each that turns out later to be of the same person
 * (WhatsApp's BSUID beside a phone number).
 *
 * All pairs of a thread have its time of creation, for the newest thread of a
 * pair is the one that was started last, and not the one linked last.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <store/ngx_comms_store_sqlite_works.h>


static ngx_int_t ngx_comms_store_sqlite_add_pair(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t *pair);
static ngx_int_t ngx_comms_store_sqlite_exists(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id);


static const ngx_comms_sqlite_member_t  ngx_comms_store_link_members[] = {
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "pairs", NGX_COMMS_SQLITE_ARRAY, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_store_pair_members[] = {
    { "channel", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "company_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "person_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


ngx_int_t
ngx_comms_store_sqlite_link(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    ngx_int_t  rc;
    ngx_str_t  thread_id;

    if (ngx_comms_sqlite_members("link", in, ngx_comms_store_link_members)
        != NGX_OK
        || ngx_comms_store_sqlite_check_pairs("link pair", in) != NGX_OK)
    {
        return NGX_ERROR;
    }

    thread_id = ngx_comms_sqlite_text(in, "thread_id");

    rc = ngx_comms_store_sqlite_exists(txn, &thread_id);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_comms_store_sqlite_add_pairs(txn, &thread_id,
                                            json_object_get(in, "pairs"));
}


static ngx_int_t
ngx_comms_store_sqlite_exists(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT 1 FROM threads WHERE thread_id = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, thread_id);

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_DECLINED : NGX_ERROR;
    }

    (void) sqlite3_reset(st);

    return NGX_OK;
}


ngx_int_t
ngx_comms_store_sqlite_check_pairs(const char *what, json_t *in)
{
    size_t   i;
    json_t  *pair;

    json_array_foreach(json_object_get(in, "pairs"), i, pair) {
        if (ngx_comms_sqlite_members(what, pair, ngx_comms_store_pair_members)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_store_sqlite_add_pairs(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t *pairs)
{
    size_t   i;
    json_t  *pair;

    json_array_foreach(pairs, i, pair) {
        if (ngx_comms_store_sqlite_add_pair(txn, thread_id, pair) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_store_sqlite_add_pair(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t *pair)
{
    ngx_str_t      channel, company_address, person_address;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "INSERT INTO address_pairs (channel, company_address, person_address,"
        " thread_id, company_id, created_at)"
        " SELECT ?1, ?2, ?3, thread_id, company_id, created_at FROM threads"
        " WHERE thread_id = ?4 ON CONFLICT DO NOTHING");
    if (st == NULL) {
        return NGX_ERROR;
    }

    channel = ngx_comms_sqlite_text(pair, "channel");
    company_address = ngx_comms_sqlite_text(pair, "company_address");
    person_address = ngx_comms_sqlite_text(pair, "person_address");

    ngx_comms_sqlite_bind_str(st, 1, &channel);
    ngx_comms_sqlite_bind_str(st, 2, &company_address);
    ngx_comms_sqlite_bind_str(st, 3, &person_address);
    ngx_comms_sqlite_bind_str(st, 4, thread_id);

    return ngx_comms_sqlite_execute(txn, st);
}
