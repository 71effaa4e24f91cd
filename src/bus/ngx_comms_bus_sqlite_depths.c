
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * How much is in the queues.  A queue's messages are counted as they come and
 * go; only those that are invisible now are counted here, since time makes
 * them visible.  So a backlog, which is when people look, costs nothing.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <bus/ngx_comms_bus_sqlite_works.h>


static json_t *ngx_comms_bus_sqlite_depth(sqlite3_stmt *st);


ngx_int_t
ngx_comms_bus_sqlite_depths(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    json_t        *queues;
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT c.queue, c.living, c.dead,"
        " (SELECT count(*) FROM queue_messages m"
        "  WHERE m.queue = c.queue AND m.visible_at > ?1 AND m.held = 1),"
        " (SELECT count(*) FROM queue_messages m"
        "  WHERE m.queue = c.queue AND m.visible_at > ?1 AND m.held = 0),"
        " (SELECT max(0, ?1 - min(m.visible_at)) FROM queue_messages m"
        "  WHERE m.queue = c.queue)"
        " FROM queue_counts c");

    queues = json_object();

    if (st == NULL || queues == NULL) {
        json_decref(queues);
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_int(st, 1, ngx_comms_sqlite_now(txn));

    for ( ;; ) {
        rc = ngx_comms_sqlite_step(txn, st);

        if (rc != NGX_OK) {
            break;
        }

        if (json_object_set_new(queues, (char *) sqlite3_column_text(st, 0),
                                ngx_comms_bus_sqlite_depth(st))
            != 0)
        {
            (void) sqlite3_reset(st);
            break;
        }
    }

    if (rc != NGX_DONE) {
        json_decref(queues);
        return NGX_ERROR;
    }

    *answer = json_pack("{s:o}", "queues", queues);

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}


static json_t *
ngx_comms_bus_sqlite_depth(sqlite3_stmt *st)
{
    json_int_t  living, dead, in_flight, delayed, age;

    living = sqlite3_column_int64(st, 1);
    dead = sqlite3_column_int64(st, 2);
    in_flight = sqlite3_column_int64(st, 3);
    delayed = sqlite3_column_int64(st, 4);

    /* of an empty queue it is NULL, which reads as 0 */

    age = sqlite3_column_int64(st, 5);

    return json_pack("{s:I, s:I, s:I, s:I, s:I}",
                     "ready", living - in_flight - delayed,
                     "in_flight", in_flight, "delayed", delayed,
                     "dead", dead, "oldest_ready_age", age);
}
