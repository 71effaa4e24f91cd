
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The sweeper: goes on with what was committed and left unfinished by a
 * worker that died, and that nobody has come across since.
 *
 * Everything unfinished is in "sweep-index", a sparse index of both tables,
 * spread over NGX_COMMS_DYNAMODB_SHARDS keys.  Each worker looks at all of
 * them about once a minute, at what is older than an operation takes.  Two
 * sweepers that meet do the same work twice, which is harmless.
 *
 * Cost: one query for each key of either index, each minute.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


#define NGX_COMMS_DYNAMODB_SWEEP_FIRST  1000
#define NGX_COMMS_DYNAMODB_SWEEP        60000
#define NGX_COMMS_DYNAMODB_SWEEP_AGE    30000
#define NGX_COMMS_DYNAMODB_SWEEP_MAX    25


typedef struct {
    ngx_uint_t                    shard;
    ngx_comms_dynamodb_table_t   *table;
    json_t                       *left;
    size_t                        i;
} ngx_comms_dynamodb_sweep_t;


static void ngx_comms_dynamodb_sweep_timer(ngx_event_t *ev);
static void ngx_comms_dynamodb_sweep_over(ngx_comms_op_t *op);
static void ngx_comms_dynamodb_sweep_start(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_sweep_query(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_sweep_t *s);
static void ngx_comms_dynamodb_sweep_listed(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_sweep_next(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_sweep_got(ngx_comms_dynamodb_task_t *t,
    void *data);


ngx_int_t
ngx_comms_dynamodb_sweep_init(ngx_comms_dynamodb_t *db, ngx_cycle_t *cycle)
{
    db->sweep.handler = ngx_comms_dynamodb_sweep_timer;
    db->sweep.data = db;
    db->sweep.log = cycle->log;
    db->sweep.cancelable = 1;

    ngx_add_timer(&db->sweep, NGX_COMMS_DYNAMODB_SWEEP_FIRST
                              + (ngx_msec_t) ngx_random() % 1000);

    return NGX_OK;
}


void
ngx_comms_dynamodb_sweep_exit(ngx_comms_dynamodb_t *db)
{
    if (db->sweep.timer_set) {
        ngx_del_timer(&db->sweep);
    }
}


static void
ngx_comms_dynamodb_sweep_timer(ngx_event_t *ev)
{
    ngx_comms_op_t        *op;
    ngx_comms_dynamodb_t  *db;

    db = ev->data;

    if (ngx_exiting) {
        return;
    }

    ngx_add_timer(&db->sweep, NGX_COMMS_DYNAMODB_SWEEP
                    + (ngx_msec_t) ngx_random()
                      % (NGX_COMMS_DYNAMODB_SWEEP / 2));

    if (db->sweeping) {
        return;
    }

    op = ngx_comms_op_create(ngx_comms_dynamodb_sweep_over, db, 0);

    if (op != NULL) {
        db->sweeping = 1;
        ngx_comms_dynamodb_start(db, NULL, op,
                                 ngx_comms_dynamodb_sweep_start);
    }
}


static void
ngx_comms_dynamodb_sweep_over(ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_t  *db;

    db = op->data;
    db->sweeping = 0;
}


static void
ngx_comms_dynamodb_sweep_start(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_sweep_t  *s;

    s = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_sweep_t));
    if (s == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    s->table = &t->db->threads;

    ngx_comms_dynamodb_sweep_query(t, s);
}


static void
ngx_comms_dynamodb_sweep_query(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_sweep_t *s)
{
    ngx_comms_dynamodb_query_t  q;

    if (s->shard == NGX_COMMS_DYNAMODB_SHARDS) {

        if (s->table == &t->db->inbound) {
            ngx_comms_dynamodb_finish(t, NGX_OK, NULL);
            return;
        }

        s->table = &t->db->inbound;
        s->shard = 0;
    }

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.index = "sweep-index";
    q.key = "#gsi_sweep = :shard AND #gsi_sweep_at < :before";
    q.limit = NGX_COMMS_DYNAMODB_SWEEP_MAX;
    q.forward = 1;
    q.values = json_pack("{s:o, s:I}",
                         ":shard", json_sprintf("%u", (unsigned) s->shard),
                         ":before", (json_int_t) (ngx_comms_clock_ms()
                                       - NGX_COMMS_DYNAMODB_SWEEP_AGE));

    s->shard++;
    s->i = 0;

    ngx_comms_dynamodb_query(t, s->table, &q, ngx_comms_dynamodb_sweep_listed,
                             s);
}


static void
ngx_comms_dynamodb_sweep_listed(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_sweep_t *s = data;

    s->left = t->items;

    ngx_comms_dynamodb_sweep_next(t, s);
}


static void
ngx_comms_dynamodb_sweep_next(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *key;

    ngx_comms_dynamodb_sweep_t *s = data;

    key = json_array_get(s->left, s->i++);

    if (key == NULL) {
        ngx_comms_dynamodb_sweep_query(t, s);
        return;
    }

    /* the index may be behind: only the item says what is left to do */

    ngx_comms_dynamodb_get(t, s->table,
                           ngx_comms_sqlite_text(key, s->table->pk),
                           ngx_comms_sqlite_text(key, s->table->sk),
                           ngx_comms_dynamodb_sweep_got, s);
}


static void
ngx_comms_dynamodb_sweep_got(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_sweep_t *s = data;

    if (ngx_comms_sqlite_has(t->item, "comms_journal")) {
        ngx_comms_dynamodb_replay(t,
                           ngx_comms_sqlite_text(t->item, s->table->pk),
                           t->item, ngx_comms_dynamodb_sweep_next, s);
        return;
    }

    if (ngx_comms_sqlite_has(t->item, "comms_erase")) {
        ngx_comms_dynamodb_erase_resume(t,
                           ngx_comms_sqlite_text(t->item, s->table->pk),
                           ngx_comms_dynamodb_sweep_next, s);
        return;
    }

    if (!ngx_comms_sqlite_has(t->item, "comms_payload")) {
        ngx_comms_dynamodb_sweep_next(t, s);
        return;
    }

    if (s->table == &t->db->inbound) {
        ngx_comms_dynamodb_keep_resume(t, t->item,
                                       ngx_comms_dynamodb_sweep_next, s);
        return;
    }

    ngx_comms_dynamodb_accept_resume(t, t->item,
                                     ngx_comms_dynamodb_sweep_next, s);
}
