
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The embedded store: ngx_comms_store_t over an ngx_comms_sqlite_t.
 *
 * Each operation is one work, hence one transaction of its own inside a
 * commit that may be shared.  Here is only which work belongs to which
 * operation, and whether it writes; the works are in the files beside this
 * one:
 *
 *     accept     what a start depends on, and the start itself
 *     inbound    messages from people, before a thread is known
 *     find       whose thread it is
 *     pair       by which addresses a thread is reached
 *     turn       all that a turn needs
 *     effect     the send gate
 *     record     what happened
 *     consent    the ledger
 *     read       whole threads, pages, figures
 *     erase      what a thread leaves behind when it goes
 *     retention  when it goes by itself
 *
 * What the works rely on:
 *   1. A work that writes runs under SQLite's one write lock: between its
 *      first query and its last write nobody else writes.
 *   2. A thread's attributes that are searched for, compared or counted up
 *      have columns; all others are one JSON document in "record".  No
 *      attribute is in both.
 *   3. Messages are numbered by the database as they are appended; that
 *      order, and no clock, is the order of a thread.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <store/ngx_comms_store_sqlite.h>
#include <store/ngx_comms_store_sqlite_works.h>


static void ngx_comms_store_sqlite_op_admit(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_accept(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_keep(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_find(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_link(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_claim(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_intend(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_withdraw(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_record(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_orphan(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_inbound(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_consent(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_ledger(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_sent_as(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_load(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_list(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_figures(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_op_erase(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_sqlite_post(ngx_comms_store_t *store,
    ngx_comms_sqlite_work_pt work, ngx_uint_t writes, json_t *in,
    ngx_comms_op_t *op);
static ngx_int_t ngx_comms_store_sqlite_init_process(
    ngx_comms_store_t *store, ngx_cycle_t *cycle);
static void ngx_comms_store_sqlite_exit_process(ngx_comms_store_t *store);


ngx_comms_store_t *
ngx_comms_store_sqlite(ngx_conf_t *cf, ngx_comms_sqlite_t *db,
    ngx_uint_t retention_days)
{
    ngx_comms_store_t         *store;
    ngx_comms_store_sqlite_t  *s;

    store = ngx_pcalloc(cf->pool, sizeof(ngx_comms_store_t));
    s = ngx_pcalloc(cf->pool, sizeof(ngx_comms_store_sqlite_t));

    if (store == NULL || s == NULL) {
        return NULL;
    }

    s->fd = (ngx_socket_t) -1;
    s->db = db;
    s->retention_days = retention_days;

    ngx_str_set(&store->name, "sqlite");
    store->data = s;

    store->admit = ngx_comms_store_sqlite_op_admit;
    store->accept = ngx_comms_store_sqlite_op_accept;
    store->keep = ngx_comms_store_sqlite_op_keep;
    store->find = ngx_comms_store_sqlite_op_find;
    store->link = ngx_comms_store_sqlite_op_link;
    store->claim = ngx_comms_store_sqlite_op_claim;
    store->intend = ngx_comms_store_sqlite_op_intend;
    store->withdraw = ngx_comms_store_sqlite_op_withdraw;
    store->record = ngx_comms_store_sqlite_op_record;
    store->erase = ngx_comms_store_sqlite_op_erase;
    store->orphan = ngx_comms_store_sqlite_op_orphan;
    store->inbound = ngx_comms_store_sqlite_op_inbound;
    store->consent = ngx_comms_store_sqlite_op_consent;
    store->ledger = ngx_comms_store_sqlite_op_ledger;
    store->sent_as = ngx_comms_store_sqlite_op_sent_as;
    store->load = ngx_comms_store_sqlite_op_load;
    store->list = ngx_comms_store_sqlite_op_list;
    store->figures = ngx_comms_store_sqlite_op_figures;
    store->init_process = ngx_comms_store_sqlite_init_process;
    store->exit_process = ngx_comms_store_sqlite_exit_process;

    return store;
}


static void
ngx_comms_store_sqlite_op_admit(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_admit, 0,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_accept(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_accept, 1,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_keep(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_keep, 1,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_find(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_find, 1,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_link(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_link, 1,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_claim(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_claim, 1,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_intend(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_intend,
                                NGX_COMMS_SQLITE_PERMIT, in, op);
}


static void
ngx_comms_store_sqlite_op_withdraw(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_withdraw, 1,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_record(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_record, 1,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_orphan(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_orphan, 1,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_inbound(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_inbound, 0,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_consent(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_consent, 1,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_ledger(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_ledger, 0,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_sent_as(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_sent_as, 0,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_load(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_load, 0,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_list(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_list, 0,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_figures(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_figures, 0,
                                in, op);
}


static void
ngx_comms_store_sqlite_op_erase(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_post(store, ngx_comms_store_sqlite_erase, 1,
                                in, op);
}


static void
ngx_comms_store_sqlite_post(ngx_comms_store_t *store,
    ngx_comms_sqlite_work_pt work, ngx_uint_t writes, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_store_sqlite_t *s = store->data;

    ngx_comms_sqlite_post(s->db, work, writes, in, op);
}


static ngx_int_t
ngx_comms_store_sqlite_init_process(ngx_comms_store_t *store,
    ngx_cycle_t *cycle)
{
    ngx_comms_store_sqlite_t *s = store->data;

    if (ngx_comms_sqlite_init_process(s->db, cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_comms_store_sqlite_retention_init(s, cycle);

    return NGX_OK;
}


static void
ngx_comms_store_sqlite_exit_process(ngx_comms_store_t *store)
{
    ngx_comms_store_sqlite_t *s = store->data;

    ngx_comms_store_sqlite_retention_exit(s);
    ngx_comms_sqlite_exit_process(s->db);
}
