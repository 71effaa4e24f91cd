
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Messages from people, from the moment a webhook was verified until a turn
 * takes them.  They are kept under their address pair, because whoever kept
 * one was waited for by a provider, and had no time to ask whose it is.
 *
 * States: "waiting" -> "done" (a turn took it: see record) or "orphan".
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <sqlite/ngx_comms_sqlite_queue.h>
#include <store/ngx_comms_store_sqlite_works.h>


static ngx_int_t ngx_comms_store_sqlite_keep_event(
    ngx_comms_sqlite_txn_t *txn, json_t *event);
static ngx_int_t ngx_comms_store_sqlite_seen(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *dedupe_id);


static const ngx_comms_sqlite_member_t  ngx_comms_store_keep_members[] = {
    { "inbound", NGX_COMMS_SQLITE_OBJECT, 0, 0, 0 },
    { "queue", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "body", NGX_COMMS_SQLITE_OBJECT, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_store_event_members[] = {
    { "inbound_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "dedupe_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "channel", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "company_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "person_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "received_at", NGX_COMMS_SQLITE_INTEGER, 0, 0, INT64_MAX },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_store_orphan_members[] = {
    { "inbound_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "reason", NGX_COMMS_SQLITE_TEXT, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_store_inbound_members[] = {
    { "inbound_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


ngx_int_t
ngx_comms_store_sqlite_keep(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    json_t     *event;
    ngx_int_t   rc;
    ngx_str_t   queue, none;

    if (ngx_comms_sqlite_members("keep", in, ngx_comms_store_keep_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    event = json_object_get(in, "inbound");

    if (ngx_comms_sqlite_members("keep inbound", event,
                                 ngx_comms_store_event_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_comms_store_sqlite_keep_event(txn, event);

    if (rc != NGX_OK) {
        return rc;
    }

    queue = ngx_comms_sqlite_text(in, "queue");
    ngx_str_null(&none);

    return ngx_comms_sqlite_queue_put(txn, &queue, &none, &none,
                                      json_object_get(in, "body"), 0);
}


/* NGX_DECLINED: seen before */

static ngx_int_t
ngx_comms_store_sqlite_keep_event(ngx_comms_sqlite_txn_t *txn, json_t *event)
{
    ngx_str_t      inbound_id, dedupe_id, channel, company_address,
                   person_address;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "INSERT INTO inbound (inbound_id, dedupe_id, channel,"
        " company_address, person_address, state, received_at, event)"
        " VALUES (?1, ?2, ?3, ?4, ?5, 'waiting', ?6, ?7)"
        " ON CONFLICT DO NOTHING");
    if (st == NULL) {
        return NGX_ERROR;
    }

    inbound_id = ngx_comms_sqlite_text(event, "inbound_id");
    dedupe_id = ngx_comms_sqlite_text(event, "dedupe_id");
    channel = ngx_comms_sqlite_text(event, "channel");
    company_address = ngx_comms_sqlite_text(event, "company_address");
    person_address = ngx_comms_sqlite_text(event, "person_address");

    ngx_comms_sqlite_bind_str(st, 1, &inbound_id);
    ngx_comms_sqlite_bind_str(st, 2, &dedupe_id);
    ngx_comms_sqlite_bind_str(st, 3, &channel);
    ngx_comms_sqlite_bind_str(st, 4, &company_address);
    ngx_comms_sqlite_bind_str(st, 5, &person_address);
    ngx_comms_sqlite_bind_int(st, 6,
                   json_integer_value(json_object_get(event, "received_at")));
    ngx_comms_sqlite_bind_json(st, 7, event);

    if (ngx_comms_sqlite_execute(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_comms_sqlite_changes(txn) != 0) {
        return NGX_OK;
    }

    return ngx_comms_store_sqlite_seen(txn, &dedupe_id);
}


/*
 * NGX_DECLINED when a message with this dedupe_id was kept; else the id of
 * the new one is taken, and to call that "seen" would lose it: NGX_ERROR.
 */

static ngx_int_t
ngx_comms_store_sqlite_seen(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *dedupe_id)
{
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT 1 FROM inbound WHERE dedupe_id = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, dedupe_id);

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc == NGX_OK) {
        (void) sqlite3_reset(st);
        return NGX_DECLINED;
    }

    if (rc == NGX_DONE) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "comms \"keep\" was given the inbound_id of another "
                      "message");
    }

    return NGX_ERROR;
}


ngx_int_t
ngx_comms_store_sqlite_orphan(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    ngx_str_t      inbound_id, reason;
    sqlite3_stmt  *st;

    if (ngx_comms_sqlite_members("orphan", in,
                                 ngx_comms_store_orphan_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    st = ngx_comms_sqlite_prepare(txn,
        "UPDATE inbound SET state = 'orphan', reason = ?2"
        " WHERE inbound_id = ?1 AND state = 'waiting'");
    if (st == NULL) {
        return NGX_ERROR;
    }

    inbound_id = ngx_comms_sqlite_text(in, "inbound_id");
    reason = ngx_comms_sqlite_text(in, "reason");

    ngx_comms_sqlite_bind_str(st, 1, &inbound_id);
    ngx_comms_sqlite_bind_str(st, 2, &reason);

    return ngx_comms_sqlite_execute(txn, st);
}


ngx_int_t
ngx_comms_store_sqlite_inbound(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    ngx_int_t      rc;
    ngx_str_t      inbound_id;
    sqlite3_stmt  *st;

    if (ngx_comms_sqlite_members("inbound", in,
                                 ngx_comms_store_inbound_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT event, state FROM inbound WHERE inbound_id = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    inbound_id = ngx_comms_sqlite_text(in, "inbound_id");
    ngx_comms_sqlite_bind_str(st, 1, &inbound_id);

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_DECLINED : NGX_ERROR;
    }

    *answer = json_pack("{s:o, s:o}",
                        "inbound", ngx_comms_sqlite_column_json(st, 0),
                        "state", ngx_comms_sqlite_column(st, 1));

    (void) sqlite3_reset(st);

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}
