
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The consent ledger.  It is only ever appended to: who said what, when, and
 * how we know.  The newest entry of a person with a company decides.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <store/ngx_comms_store_sqlite_works.h>


/* entries that the ledger gives at most, the newest */
#define NGX_COMMS_STORE_SQLITE_MAX_LEDGER  1000


static json_t *ngx_comms_store_sqlite_said(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st);


static const ngx_comms_sqlite_member_t  ngx_comms_store_consent_members[] = {
    { "company_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "person_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "opted_out", NGX_COMMS_SQLITE_BOOLEAN, 0, 0, 0 },
    { "source", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "proof", NGX_COMMS_SQLITE_TEXT, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_store_ledger_members[] = {
    { "company_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "person_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


ngx_int_t
ngx_comms_store_sqlite_consent(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    ngx_str_t      company_id, person_address, source, proof;
    sqlite3_stmt  *st;

    if (ngx_comms_sqlite_members("consent", in,
                                 ngx_comms_store_consent_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    st = ngx_comms_sqlite_prepare(txn,
        "INSERT INTO consent (company_id, person_address, opted_out, source,"
        " proof, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    if (st == NULL) {
        return NGX_ERROR;
    }

    company_id = ngx_comms_sqlite_text(in, "company_id");
    person_address = ngx_comms_sqlite_text(in, "person_address");
    source = ngx_comms_sqlite_text(in, "source");
    proof = ngx_comms_sqlite_text(in, "proof");

    ngx_comms_sqlite_bind_str(st, 1, &company_id);
    ngx_comms_sqlite_bind_str(st, 2, &person_address);
    ngx_comms_sqlite_bind_int(st, 3,
                              json_is_true(json_object_get(in, "opted_out")));
    ngx_comms_sqlite_bind_str(st, 4, &source);
    ngx_comms_sqlite_bind_str(st, 5, &proof);
    ngx_comms_sqlite_bind_int(st, 6, ngx_comms_sqlite_now(txn));

    return ngx_comms_sqlite_execute(txn, st);
}


ngx_int_t
ngx_comms_store_sqlite_may_write(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *company_id, ngx_str_t *person_address)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT opted_out FROM consent"
        " WHERE company_id = ?1 AND person_address = ?2"
        " ORDER BY seq DESC LIMIT 1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, company_id);
    ngx_comms_sqlite_bind_str(st, 2, person_address);

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc == NGX_DONE) {
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    rc = (sqlite3_column_int(st, 0) != 0) ? NGX_DECLINED : NGX_OK;

    (void) sqlite3_reset(st);

    return rc;
}


ngx_int_t
ngx_comms_store_sqlite_ledger(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    json_t        *entries, *last;
    ngx_str_t      company_id, person_address;
    sqlite3_stmt  *st;

    if (ngx_comms_sqlite_members("ledger", in, ngx_comms_store_ledger_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT opted_out, source, proof, at FROM"
        " (SELECT seq, opted_out, source, proof, at FROM consent"
        "  WHERE company_id = ?1 AND person_address = ?2"
        "  ORDER BY seq DESC LIMIT ?3) ORDER BY seq");
    if (st == NULL) {
        return NGX_ERROR;
    }

    company_id = ngx_comms_sqlite_text(in, "company_id");
    person_address = ngx_comms_sqlite_text(in, "person_address");

    ngx_comms_sqlite_bind_str(st, 1, &company_id);
    ngx_comms_sqlite_bind_str(st, 2, &person_address);
    ngx_comms_sqlite_bind_int(st, 3, NGX_COMMS_STORE_SQLITE_MAX_LEDGER);

    entries = ngx_comms_sqlite_rows(txn, st, ngx_comms_store_sqlite_said);
    if (entries == NULL) {
        return NGX_ERROR;
    }

    last = json_array_get(entries, json_array_size(entries) - 1);

    *answer = json_pack("{s:b, s:o}", "opted_out",
                        json_is_true(json_object_get(last, "opted_out")),
                        "entries", entries);

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}


static json_t *
ngx_comms_store_sqlite_said(ngx_comms_sqlite_txn_t *txn, sqlite3_stmt *st)
{
    return json_pack("{s:b, s:o, s:o, s:o}",
                     "opted_out", sqlite3_column_int(st, 0),
                     "source", ngx_comms_sqlite_column(st, 1),
                     "proof", ngx_comms_sqlite_column(st, 2),
                     "at", ngx_comms_sqlite_column(st, 3));
}
