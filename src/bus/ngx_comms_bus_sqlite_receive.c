
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Out of a queue.  A message is visible from its visible_at on; to receive it
 * is to move that into the future, so that it comes back by itself when its
 * receiver dies.  The order is that in which messages became visible.
 *
 * A message that was received often enough is not handed out once more, but
 * goes to the dead letters: whoever had it died of it, or gave it back.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <bus/ngx_comms_bus.h>
#include <bus/ngx_comms_bus_sqlite_works.h>


/* messages that one receive takes at most */
#define NGX_COMMS_BUS_SQLITE_MAX_BATCH  1000

/* messages that one receive buries at most; the next one goes on */
#define NGX_COMMS_BUS_SQLITE_MAX_DEAD   1000


static json_t *ngx_comms_bus_sqlite_visible(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *queue, int64_t max);
static json_t *ngx_comms_bus_sqlite_visible_row(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st);
static ngx_int_t ngx_comms_bus_sqlite_hand_out(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t *rows, json_t *messages, int64_t *dead);
static ngx_int_t ngx_comms_bus_sqlite_exhausted(ngx_comms_sqlite_txn_t *txn,
    json_t *row);
static ngx_int_t ngx_comms_bus_sqlite_hide(ngx_comms_sqlite_txn_t *txn,
    int64_t id, int64_t visibility);
static json_t *ngx_comms_bus_sqlite_message(json_t *row);
static json_t *ngx_comms_bus_sqlite_next_at(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *queue);
static int64_t ngx_comms_bus_sqlite_hidden(json_t *in);
static int64_t ngx_comms_bus_sqlite_number(json_t *object, const char *name);


static const ngx_comms_sqlite_member_t  ngx_comms_bus_receive_members[] = {
    { "queue", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "max", NGX_COMMS_SQLITE_INTEGER, 0, 1, NGX_COMMS_BUS_SQLITE_MAX_BATCH },
    { "visibility", NGX_COMMS_SQLITE_INTEGER, 1, 1,
      NGX_COMMS_BUS_SQLITE_MAX_VISIBILITY },
    { "max_receives", NGX_COMMS_SQLITE_INTEGER, 0, 1, INT32_MAX },
    { NULL, 0, 0, 0, 0 }
};


ngx_int_t
ngx_comms_bus_sqlite_receive(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    json_t     *messages, *rows;
    int64_t     left, dead;
    ngx_int_t   rc;
    ngx_str_t   queue;

    if (ngx_comms_sqlite_members("receive", in,
                                 ngx_comms_bus_receive_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    queue = ngx_comms_sqlite_text(in, "queue");
    messages = json_array();
    dead = 0;

    do {
        left = ngx_comms_bus_sqlite_number(in, "max")
               - (int64_t) json_array_size(messages);

        rows = ngx_comms_bus_sqlite_visible(txn, &queue, left);

        rc = ngx_comms_bus_sqlite_hand_out(txn, in, rows, messages, &dead);

        left -= json_array_size(rows);

        json_decref(rows);

        if (rc == NGX_ERROR) {
            json_decref(messages);
            return NGX_ERROR;
        }

        /* the dead made room for others, unless the queue had no more */

    } while (rc == NGX_AGAIN && left == 0
             && dead < NGX_COMMS_BUS_SQLITE_MAX_DEAD);

    *answer = json_pack("{s:o, s:o, s:I, s:I}", "messages", messages,
                        "next_at", ngx_comms_bus_sqlite_next_at(txn, &queue),
                        "dead", (json_int_t) dead, "visibility",
                        (json_int_t) ngx_comms_bus_sqlite_hidden(in));

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}


static json_t *
ngx_comms_bus_sqlite_visible(ngx_comms_sqlite_txn_t *txn, ngx_str_t *queue,
    int64_t max)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT message_id, handed, receive_count, sent_at, grp, body, reason"
        " FROM queue_messages WHERE queue = ?1 AND visible_at <= ?2"
        " ORDER BY visible_at, message_id LIMIT ?3");
    if (st == NULL) {
        return NULL;
    }

    ngx_comms_sqlite_bind_str(st, 1, queue);
    ngx_comms_sqlite_bind_int(st, 2, ngx_comms_sqlite_now(txn));
    ngx_comms_sqlite_bind_int(st, 3, max);

    return ngx_comms_sqlite_rows(txn, st, ngx_comms_bus_sqlite_visible_row);
}


static json_t *
ngx_comms_bus_sqlite_visible_row(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "id", ngx_comms_sqlite_column(st, 0),
                     "handed", ngx_comms_sqlite_column(st, 1),
                     "receive_count", ngx_comms_sqlite_column(st, 2),
                     "sent_at", ngx_comms_sqlite_column(st, 3),
                     "group", ngx_comms_sqlite_column(st, 4),
                     "body", ngx_comms_sqlite_column_json(st, 5),
                     "reason", ngx_comms_sqlite_column(st, 6));
}


/* NGX_OK; NGX_AGAIN: some were dead; NGX_ERROR */

static ngx_int_t
ngx_comms_bus_sqlite_hand_out(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t *rows, json_t *messages, int64_t *dead)
{
    size_t      i;
    json_t     *row;
    int64_t     max_receives, visibility;
    ngx_int_t   rc;

    if (rows == NULL || messages == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_OK;
    max_receives = ngx_comms_bus_sqlite_number(in, "max_receives");
    visibility = ngx_comms_bus_sqlite_hidden(in);

    json_array_foreach(rows, i, row) {

        if (ngx_comms_bus_sqlite_number(row, "receive_count")
            >= max_receives)
        {
            if (ngx_comms_bus_sqlite_exhausted(txn, row) != NGX_OK) {
                return NGX_ERROR;
            }

            (*dead)++;
            rc = NGX_AGAIN;
            continue;
        }

        if (ngx_comms_bus_sqlite_hide(txn,
                                      ngx_comms_bus_sqlite_number(row, "id"),
                                      visibility)
            != NGX_OK
            || json_array_append_new(messages,
                                     ngx_comms_bus_sqlite_message(row))
               != 0)
        {
            return NGX_ERROR;
        }
    }

    return rc;
}


static ngx_int_t
ngx_comms_bus_sqlite_exhausted(ngx_comms_sqlite_txn_t *txn, json_t *row)
{
    u_char     *p, text[512];
    ngx_str_t   reason, last;

    last = ngx_comms_json_view(json_object_get(row, "reason"));

    p = ngx_snprintf(text, 64, "received %L times",
                     ngx_comms_bus_sqlite_number(row, "receive_count"));

    /* a reason cut in a character would be no text */

    if (last.len != 0 && last.len < sizeof(text) - 64) {
        p = ngx_slprintf(p, text + sizeof(text), ", last: %V", &last);
    }

    reason.data = text;
    reason.len = p - text;

    return ngx_comms_bus_sqlite_die(txn,
                                    ngx_comms_bus_sqlite_number(row, "id"),
                                    &reason);
}


static ngx_int_t
ngx_comms_bus_sqlite_hide(ngx_comms_sqlite_txn_t *txn, int64_t id,
    int64_t visibility)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "UPDATE queue_messages SET visible_at = ?2, held = 1,"
        " handed = handed + 1, receive_count = receive_count + 1"
        " WHERE message_id = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_int(st, 1, id);
    ngx_comms_sqlite_bind_int(st, 2, ngx_comms_sqlite_now(txn) + visibility);

    return ngx_comms_sqlite_execute(txn, st);
}


/* the row as it was before it was handed out, as the message that it is now */

static json_t *
ngx_comms_bus_sqlite_message(json_t *row)
{
    u_char   *p, text[NGX_INT64_LEN];
    int64_t   id, handed, receive_count;

    id = ngx_comms_bus_sqlite_number(row, "id");
    handed = ngx_comms_bus_sqlite_number(row, "handed") + 1;
    receive_count = ngx_comms_bus_sqlite_number(row, "receive_count") + 1;

    p = ngx_snprintf(text, sizeof(text), "%L", id);

    return json_pack("{s:s%, s:o, s:O, s:O, s:I, s:O}",
                     "message_id", (char *) text, (size_t) (p - text),
                     "receipt", ngx_comms_bus_sqlite_receipt(id, handed),
                     "body", json_object_get(row, "body"),
                     "group", json_object_get(row, "group"),
                     "receive_count", (json_int_t) receive_count,
                     "sent_at", json_object_get(row, "sent_at"));
}


/* JSON null when the queue is empty; NULL when it failed */

static json_t *
ngx_comms_bus_sqlite_next_at(ngx_comms_sqlite_txn_t *txn, ngx_str_t *queue)
{
    json_t        *next_at;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT min(visible_at) FROM queue_messages WHERE queue = ?1");
    if (st == NULL) {
        return NULL;
    }

    ngx_comms_sqlite_bind_str(st, 1, queue);

    if (ngx_comms_sqlite_step(txn, st) != NGX_OK) {
        return NULL;
    }

    next_at = ngx_comms_sqlite_column(st, 0);

    (void) sqlite3_reset(st);

    return next_at;
}


static int64_t
ngx_comms_bus_sqlite_hidden(json_t *in)
{
    return ngx_comms_sqlite_has(in, "visibility")
           ? ngx_comms_bus_sqlite_number(in, "visibility")
           : NGX_COMMS_BUS_VISIBILITY;
}


static int64_t
ngx_comms_bus_sqlite_number(json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}
