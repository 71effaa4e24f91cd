
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * How much is in the queues.  Both counts go over an index that holds all
 * they need; a queue that holds nothing, and has no dead letters, is not
 * named.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <bus/ngx_comms_bus_sqlite_works.h>


static ngx_int_t ngx_comms_bus_sqlite_living(ngx_comms_sqlite_txn_t *txn,
    json_t *queues);
static ngx_int_t ngx_comms_bus_sqlite_dead(ngx_comms_sqlite_txn_t *txn,
    json_t *queues);


ngx_int_t
ngx_comms_bus_sqlite_depths(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    json_t  *queues;

    queues = json_object();

    if (queues == NULL
        || ngx_comms_bus_sqlite_living(txn, queues) != NGX_OK
        || ngx_comms_bus_sqlite_dead(txn, queues) != NGX_OK)
    {
        json_decref(queues);
        return NGX_ERROR;
    }

    *answer = json_pack("{s:o}", "queues", queues);

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_bus_sqlite_living(ngx_comms_sqlite_txn_t *txn, json_t *queues)
{
    json_t        *depths;
    ngx_int_t      rc;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT queue, sum(visible_at <= ?1),"
        " sum(visible_at > ?1 AND held = 1),"
        " sum(visible_at > ?1 AND held = 0), max(0, ?1 - min(visible_at))"
        " FROM queue_messages GROUP BY queue");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_int(st, 1, ngx_comms_sqlite_now(txn));

    for ( ;; ) {
        rc = ngx_comms_sqlite_step(txn, st);

        if (rc != NGX_OK) {
            return (rc == NGX_DONE) ? NGX_OK : NGX_ERROR;
        }

        depths = json_pack("{s:o, s:o, s:o, s:i, s:o}",
                           "ready", ngx_comms_sqlite_column(st, 1),
                           "in_flight", ngx_comms_sqlite_column(st, 2),
                           "delayed", ngx_comms_sqlite_column(st, 3),
                           "dead", 0,
                           "oldest_ready_age",
                           ngx_comms_sqlite_column(st, 4));

        if (json_object_set_new(queues, (char *) sqlite3_column_text(st, 0),
                                depths)
            != 0)
        {
            (void) sqlite3_reset(st);
            return NGX_ERROR;
        }
    }
}


static ngx_int_t
ngx_comms_bus_sqlite_dead(ngx_comms_sqlite_txn_t *txn, json_t *queues)
{
    json_t        *depths;
    ngx_int_t      rc;
    const char    *queue;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT queue, count(*) FROM dead_letters GROUP BY queue");
    if (st == NULL) {
        return NGX_ERROR;
    }

    for ( ;; ) {
        rc = ngx_comms_sqlite_step(txn, st);

        if (rc != NGX_OK) {
            return (rc == NGX_DONE) ? NGX_OK : NGX_ERROR;
        }

        queue = (const char *) sqlite3_column_text(st, 0);
        depths = json_object_get(queues, queue);

        if (depths == NULL) {
            depths = json_pack("{s:i, s:i, s:i, s:i, s:i}",
                               "ready", 0, "in_flight", 0, "delayed", 0,
                               "dead", 0, "oldest_ready_age", 0);

            if (json_object_set_new(queues, queue, depths) != 0) {
                (void) sqlite3_reset(st);
                return NGX_ERROR;
            }
        }

        if (json_object_set_new(depths, "dead",
                                ngx_comms_sqlite_column(st, 1))
            != 0)
        {
            (void) sqlite3_reset(st);
            return NGX_ERROR;
        }
    }
}
