
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the holder of a receipt may do with its message.  Each statement asks
 * in its own condition whether the receipt is the message's last one, and
 * still held: a receiver that was too slow changes nothing.
 *
 * A receipt whose visibility time is over is good until somebody else has
 * received the message: there is nobody to be protected from it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <sqlite/ngx_comms_sqlite_queue.h>
#include <bus/ngx_comms_bus_sqlite_works.h>


static ngx_int_t ngx_comms_bus_sqlite_extend_one(ngx_comms_sqlite_txn_t *txn,
    json_t *in, ngx_str_t *receipt);
static sqlite3_stmt *ngx_comms_bus_sqlite_of_receipt(
    ngx_comms_sqlite_txn_t *txn, const char *sql, json_t *in,
    ngx_str_t *receipt, ngx_int_t *rc);
static ngx_int_t ngx_comms_bus_sqlite_changed(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st);


/* the condition that all statements of receipts have */
#define NGX_COMMS_BUS_SQLITE_HELD                                             \
    " WHERE message_id = ?1 AND handed = ?2 AND queue = ?3 AND held = 1"


static const ngx_comms_sqlite_member_t  ngx_comms_bus_extend_members[] = {
    { "queue", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "receipts", NGX_COMMS_SQLITE_NAMES, 0, 0, 0 },
    { "visibility", NGX_COMMS_SQLITE_INTEGER, 0, 1,
      NGX_COMMS_BUS_SQLITE_MAX_VISIBILITY },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_bus_remove_members[] = {
    { "queue", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "receipt", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_bus_give_back_members[] = {
    { "queue", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "receipt", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "delay", NGX_COMMS_SQLITE_INTEGER, 0, 0, INT64_MAX },
    { "counted", NGX_COMMS_SQLITE_BOOLEAN, 0, 0, 0 },
    { "reason", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_bus_bury_members[] = {
    { "queue", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "receipt", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "reason", NGX_COMMS_SQLITE_TEXT, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


ngx_int_t
ngx_comms_bus_sqlite_extend(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    size_t      i;
    json_t     *lost, *value;
    ngx_int_t   rc;
    ngx_str_t   receipt;

    if (ngx_comms_sqlite_members("extend", in, ngx_comms_bus_extend_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    lost = json_array();

    json_array_foreach(json_object_get(in, "receipts"), i, value) {

        receipt = ngx_comms_json_view(value);

        rc = ngx_comms_bus_sqlite_extend_one(txn, in, &receipt);

        if (rc == NGX_ERROR
            || (rc == NGX_DECLINED && json_array_append(lost, value) != 0))
        {
            json_decref(lost);
            return NGX_ERROR;
        }
    }

    *answer = json_pack("{s:o}", "lost", lost);

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_bus_sqlite_extend_one(ngx_comms_sqlite_txn_t *txn, json_t *in,
    ngx_str_t *receipt)
{
    int64_t        visibility;
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_bus_sqlite_of_receipt(txn,
        "UPDATE queue_messages SET visible_at = ?4" NGX_COMMS_BUS_SQLITE_HELD,
        in, receipt, &rc);
    if (st == NULL) {
        return rc;
    }

    visibility = json_integer_value(json_object_get(in, "visibility"));

    ngx_comms_sqlite_bind_int(st, 4, ngx_comms_sqlite_now(txn) + visibility);

    return ngx_comms_bus_sqlite_changed(txn, st);
}


ngx_int_t
ngx_comms_bus_sqlite_remove(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    ngx_int_t      rc;
    ngx_str_t      receipt;
    sqlite3_stmt  *st;

    if (ngx_comms_sqlite_members("remove", in, ngx_comms_bus_remove_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    receipt = ngx_comms_sqlite_text(in, "receipt");

    st = ngx_comms_bus_sqlite_of_receipt(txn,
        "DELETE FROM queue_messages" NGX_COMMS_BUS_SQLITE_HELD,
        in, &receipt, &rc);
    if (st == NULL) {
        return rc;
    }

    return ngx_comms_bus_sqlite_changed(txn, st);
}


ngx_int_t
ngx_comms_bus_sqlite_give_back(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    int64_t        delay;
    ngx_int_t      rc;
    ngx_str_t      receipt, queue, reason;
    sqlite3_stmt  *st;

    if (ngx_comms_sqlite_members("give_back", in,
                                 ngx_comms_bus_give_back_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    receipt = ngx_comms_sqlite_text(in, "receipt");

    st = ngx_comms_bus_sqlite_of_receipt(txn,
        "UPDATE queue_messages SET visible_at = ?4, held = 0,"
        " receive_count = receive_count - ?5, reason = coalesce(?6, reason)"
        NGX_COMMS_BUS_SQLITE_HELD, in, &receipt, &rc);
    if (st == NULL) {
        return rc;
    }

    delay = json_integer_value(json_object_get(in, "delay"));
    queue = ngx_comms_sqlite_text(in, "queue");
    reason = ngx_comms_sqlite_text(in, "reason");

    ngx_comms_sqlite_bind_int(st, 4, ngx_comms_sqlite_queue_time(txn, delay));
    ngx_comms_sqlite_bind_int(st, 5,
                              json_is_false(json_object_get(in, "counted")));
    ngx_comms_sqlite_bind_str(st, 6, (reason.len != 0) ? &reason : NULL);

    rc = ngx_comms_bus_sqlite_changed(txn, st);

    if (rc == NGX_OK) {

        /* a delayed one, too: it may come earlier than anybody expects */

        ngx_comms_sqlite_notice(txn, NGX_COMMS_NOTICE_QUEUE, &queue);
    }

    return rc;
}


ngx_int_t
ngx_comms_bus_sqlite_bury(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    int64_t        id, handed;
    ngx_int_t      rc;
    ngx_str_t      receipt, reason;
    sqlite3_stmt  *st;

    if (ngx_comms_sqlite_members("bury", in, ngx_comms_bus_bury_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    receipt = ngx_comms_sqlite_text(in, "receipt");

    st = ngx_comms_bus_sqlite_of_receipt(txn,
        "SELECT 1 FROM queue_messages" NGX_COMMS_BUS_SQLITE_HELD,
        in, &receipt, &rc);
    if (st == NULL) {
        return rc;
    }

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_DECLINED : NGX_ERROR;
    }

    (void) sqlite3_reset(st);

    reason = ngx_comms_sqlite_text(in, "reason");

    (void) ngx_comms_bus_sqlite_receipt_read(&receipt, &id, &handed);

    return ngx_comms_bus_sqlite_die(txn, id, &reason);
}


ngx_int_t
ngx_comms_bus_sqlite_die(ngx_comms_sqlite_txn_t *txn, int64_t id,
    ngx_str_t *reason)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "INSERT INTO dead_letters (message_id, queue, grp, body, sent_at,"
        " receive_count, reason, died_at)"
        " SELECT message_id, queue, grp, body, sent_at, receive_count, ?2, ?3"
        " FROM queue_messages WHERE message_id = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_int(st, 1, id);
    ngx_comms_sqlite_bind_str(st, 2, reason);
    ngx_comms_sqlite_bind_int(st, 3, ngx_comms_sqlite_now(txn));

    if (ngx_comms_sqlite_execute(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    st = ngx_comms_sqlite_prepare(txn,
        "DELETE FROM queue_messages WHERE message_id = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_int(st, 1, id);

    return ngx_comms_sqlite_execute(txn, st);
}


/*
 * A statement with the condition above, parameters 1 to 3 bound.  NULL with
 * the operation's rc when there is none to run.
 */

static sqlite3_stmt *
ngx_comms_bus_sqlite_of_receipt(ngx_comms_sqlite_txn_t *txn, const char *sql,
    json_t *in, ngx_str_t *receipt, ngx_int_t *rc)
{
    int64_t        id, handed;
    ngx_str_t      queue;
    sqlite3_stmt  *st;

    if (ngx_comms_bus_sqlite_receipt_read(receipt, &id, &handed) != NGX_OK) {
        *rc = NGX_DECLINED;
        return NULL;
    }

    st = ngx_comms_sqlite_prepare(txn, sql);
    if (st == NULL) {
        *rc = NGX_ERROR;
        return NULL;
    }

    queue = ngx_comms_sqlite_text(in, "queue");

    ngx_comms_sqlite_bind_int(st, 1, id);
    ngx_comms_sqlite_bind_int(st, 2, handed);
    ngx_comms_sqlite_bind_str(st, 3, &queue);

    return st;
}


static ngx_int_t
ngx_comms_bus_sqlite_changed(ngx_comms_sqlite_txn_t *txn, sqlite3_stmt *st)
{
    if (ngx_comms_sqlite_execute(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    return (ngx_comms_sqlite_changes(txn) == 0) ? NGX_DECLINED : NGX_OK;
}


json_t *
ngx_comms_bus_sqlite_receipt(int64_t id, int64_t handed)
{
    u_char  *p, text[2 * NGX_INT64_LEN + 1];

    p = ngx_snprintf(text, sizeof(text), "%L:%L", id, handed);

    return json_stringn((char *) text, p - text);
}


ngx_int_t
ngx_comms_bus_sqlite_receipt_read(ngx_str_t *receipt, int64_t *id,
    int64_t *handed)
{
    u_char  *colon, *last;

    last = receipt->data + receipt->len;
    colon = ngx_strlchr(receipt->data, last, ':');

    if (colon == NULL) {
        return NGX_DECLINED;
    }

    *id = ngx_atoof(receipt->data, colon - receipt->data);
    *handed = ngx_atoof(colon + 1, last - colon - 1);

    return (*id == NGX_ERROR || *handed == NGX_ERROR) ? NGX_DECLINED : NGX_OK;
}
