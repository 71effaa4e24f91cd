
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The journal as a store: what goes through to the inner store, the figures,
 * and its life in a worker.  What makes it a journal is in "keep" and
 * "forward".
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <jansson.h>
#include <store/ngx_comms_store_journal_private.h>


typedef struct {
    ngx_queue_t            link;        /* of figures */
    ngx_comms_journal_t   *journal;
    ngx_comms_op_t        *op;          /* the caller's */
    ngx_comms_op_t        *asked;       /* in flight */
    json_t                *answer;
    ngx_int_t              rc;          /* of the inner store */
} ngx_comms_journal_figures_t;


static void ngx_comms_store_journal_admit(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_accept(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_find(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_link(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_claim(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_intend(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_withdraw(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_record(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_lock(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_renew(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_unlock(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_erase(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_orphan(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_inbound(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_consent(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_ledger(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_sent_as(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_load(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_list(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_journal_figures(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_journal_figured(ngx_comms_op_t *op);
static void ngx_comms_journal_counted(ngx_comms_op_t *op);
static void ngx_comms_journal_figures_end(ngx_comms_journal_figures_t *f);
static ngx_int_t ngx_comms_store_journal_init_process(
    ngx_comms_store_t *store, ngx_cycle_t *cycle);
static void ngx_comms_store_journal_exit_process(ngx_comms_store_t *store);


ngx_comms_store_t *
ngx_comms_store_journal(ngx_conf_t *cf, ngx_comms_store_t *inner,
    ngx_comms_sqlite_t *db, ngx_msec_t patience)
{
    ngx_comms_store_t    *store;
    ngx_comms_journal_t  *j;

    store = ngx_pcalloc(cf->pool, sizeof(ngx_comms_store_t));
    j = ngx_pcalloc(cf->pool, sizeof(ngx_comms_journal_t));

    if (store == NULL || j == NULL) {
        return NULL;
    }

    j->fd = (ngx_socket_t) -1;
    j->inner = inner;
    j->db = db;
    j->patience = patience;

    store->name = inner->name;
    store->data = j;

    store->admit = ngx_comms_store_journal_admit;
    store->accept = ngx_comms_store_journal_accept;
    store->keep = ngx_comms_journal_keep;
    store->find = ngx_comms_store_journal_find;
    store->link = ngx_comms_store_journal_link;
    store->claim = ngx_comms_store_journal_claim;
    store->intend = ngx_comms_store_journal_intend;
    store->withdraw = ngx_comms_store_journal_withdraw;
    store->record = ngx_comms_store_journal_record;

    if (inner->lock != NULL) {
        store->lock = ngx_comms_store_journal_lock;
        store->renew = ngx_comms_store_journal_renew;
        store->unlock = ngx_comms_store_journal_unlock;
    }

    store->erase = ngx_comms_store_journal_erase;
    store->orphan = ngx_comms_store_journal_orphan;
    store->inbound = ngx_comms_store_journal_inbound;
    store->consent = ngx_comms_store_journal_consent;
    store->ledger = ngx_comms_store_journal_ledger;
    store->sent_as = ngx_comms_store_journal_sent_as;
    store->load = ngx_comms_store_journal_load;
    store->list = ngx_comms_store_journal_list;
    store->figures = ngx_comms_store_journal_figures;
    store->init_process = ngx_comms_store_journal_init_process;
    store->exit_process = ngx_comms_store_journal_exit_process;

    return store;
}


static void
ngx_comms_store_journal_admit(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->admit(j->inner, in, op);
}


static void
ngx_comms_store_journal_accept(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->accept(j->inner, in, op);
}


static void
ngx_comms_store_journal_find(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->find(j->inner, in, op);
}


static void
ngx_comms_store_journal_link(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->link(j->inner, in, op);
}


static void
ngx_comms_store_journal_claim(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->claim(j->inner, in, op);
}


static void
ngx_comms_store_journal_intend(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->intend(j->inner, in, op);
}


static void
ngx_comms_store_journal_withdraw(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->withdraw(j->inner, in, op);
}


static void
ngx_comms_store_journal_record(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->record(j->inner, in, op);
}


static void
ngx_comms_store_journal_lock(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->lock(j->inner, in, op);
}


static void
ngx_comms_store_journal_renew(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->renew(j->inner, in, op);
}


static void
ngx_comms_store_journal_unlock(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->unlock(j->inner, in, op);
}


static void
ngx_comms_store_journal_erase(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->erase(j->inner, in, op);
}


static void
ngx_comms_store_journal_orphan(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->orphan(j->inner, in, op);
}


static void
ngx_comms_store_journal_inbound(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->inbound(j->inner, in, op);
}


static void
ngx_comms_store_journal_consent(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->consent(j->inner, in, op);
}


static void
ngx_comms_store_journal_ledger(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->ledger(j->inner, in, op);
}


static void
ngx_comms_store_journal_sent_as(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->sent_as(j->inner, in, op);
}


static void
ngx_comms_store_journal_load(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->load(j->inner, in, op);
}


static void
ngx_comms_store_journal_list(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_journal_t *j = store->data;

    j->inner->list(j->inner, in, op);
}


ngx_uint_t
ngx_comms_journal_tell(ngx_comms_journal_t *j, ngx_comms_journal_line_e line)
{
    time_t  now;

    now = ngx_time();

    if (j->told[line] != 0 && now >= j->told[line]
        && now - j->told[line] < 60)
    {
        return 0;
    }

    j->told[line] = now;

    return 1;
}


static void
ngx_comms_store_journal_figures(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_op_t               *asked;
    ngx_comms_journal_t          *j;
    ngx_comms_journal_figures_t  *f;

    j = store->data;

    asked = NULL;
    f = NULL;

    if (j->open) {
        f = ngx_calloc(sizeof(ngx_comms_journal_figures_t), j->log);
    }

    if (f != NULL) {
        asked = ngx_comms_op_create(ngx_comms_journal_figured, f, 0);
    }

    if (asked == NULL) {
        if (f != NULL) {
            ngx_free(f);
        }

        j->inner->figures(j->inner, in, op);
        return;
    }

    f->journal = j;
    f->op = op;
    f->asked = asked;

    ngx_queue_insert_tail(&j->figures, &f->link);

    j->inner->figures(j->inner, in, asked);
}


/* the journal is counted also where the inner store has no figures */

static void
ngx_comms_journal_figured(ngx_comms_op_t *op)
{
    ngx_comms_op_t               *asked;
    ngx_comms_journal_figures_t  *f;

    f = op->data;

    f->rc = op->rc;
    f->answer = json_is_object(op->answer) ? json_copy(op->answer)
                                           : json_object();
    f->asked = NULL;

    asked = ngx_comms_op_create(ngx_comms_journal_counted, f, 0);

    if (asked == NULL) {
        ngx_comms_journal_figures_end(f);
        return;
    }

    f->asked = asked;

    ngx_comms_sqlite_post(f->journal->db, ngx_comms_journal_count, 0, NULL,
                          asked);
}


static void
ngx_comms_journal_counted(ngx_comms_op_t *op)
{
    ngx_comms_journal_figures_t  *f;

    f = op->data;
    f->asked = NULL;

    if (op->rc == NGX_OK) {
        (void) json_object_set(f->answer, "journal", op->answer);
    }

    ngx_comms_journal_figures_end(f);
}


static void
ngx_comms_journal_figures_end(ngx_comms_journal_figures_t *f)
{
    json_t          *answer;
    ngx_int_t        rc;
    ngx_comms_op_t  *op;

    op = f->op;
    rc = f->rc;
    answer = f->answer;

    ngx_queue_remove(&f->link);
    ngx_free(f);

    ngx_comms_op_finish(op, rc, answer);
}


static ngx_int_t
ngx_comms_store_journal_init_process(ngx_comms_store_t *store,
    ngx_cycle_t *cycle)
{
    ngx_comms_journal_t  *j;

    j = store->data;

    j->log = cycle->log;

    ngx_queue_init(&j->keeps);
    ngx_queue_init(&j->figures);

    if (ngx_comms_sqlite_init_process(j->db, cycle) != NGX_OK
        || j->inner->init_process(j->inner, cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    j->open = 1;

    return ngx_comms_journal_forward_init(j);
}


static void
ngx_comms_store_journal_exit_process(ngx_comms_store_t *store)
{
    ngx_queue_t                  *q;
    ngx_comms_journal_t          *j;
    ngx_comms_journal_figures_t  *f;

    j = store->data;

    if (j->open) {
        j->open = 0;

        ngx_comms_journal_keep_exit(j);

        while (!ngx_queue_empty(&j->figures)) {
            q = ngx_queue_head(&j->figures);
            f = ngx_queue_data(q, ngx_comms_journal_figures_t, link);

            ngx_comms_op_cancel(f->asked);
            ngx_comms_op_cancel(f->op);

            ngx_comms_journal_figures_end(f);
        }

        ngx_comms_journal_forward_exit(j);
    }

    j->inner->exit_process(j->inner);
    ngx_comms_sqlite_exit_process(j->db);
}
