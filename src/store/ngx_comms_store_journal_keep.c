
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The journal, the way in.
 *
 *   keep -> does the journal hold messages of this address pair?
 *             yes -> into the journal, behind them
 *             no  -> the inner store -> no answer in time, or it failed
 *                      -> into the journal
 *
 * Invariants:
 *   1. NGX_OK means that the message is durable in one of the two; the
 *      journal's own commit is synced to disk.
 *   2. Messages of an address pair reach the inner store in the order in
 *      which they were answered, and those that one worker got in the order
 *      in which they came: a second one waits for the answer to the first,
 *      and while the journal has one, all go behind it.
 *   3. The inner store may take a message late, after the journal has it:
 *      the forwarder then finds it there by its dedupe_id.
 *   4. A journal that cannot be read holds nothing up: the inner store is
 *      tried.  To be late is worth more than the order, and to be lost less.
 *
 * Cost while all is well: one read of the local database, and a copy of the
 * message, for each "keep".
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <store/ngx_comms_store_journal_private.h>


typedef struct {
    void                  *unused[3];   /* what debug builds of nginx */
    ngx_socket_t           fd;          /* read through an event's data */

    ngx_queue_t            link;        /* of keeps */
    ngx_comms_journal_t   *journal;
    ngx_comms_op_t        *op;          /* the caller's */
    ngx_comms_op_t        *asked;       /* in flight once it has begun */
    json_t                *in;          /* NULL: the journal has got it */
    uint32_t               pair;        /* hash */
    ngx_event_t            timer;       /* patience */
    unsigned               begun:1;     /* waits for no other of its pair */
} ngx_comms_journal_keep_t;


static ngx_uint_t ngx_comms_journal_fits(json_t *in);
static ngx_comms_journal_keep_t *ngx_comms_journal_create(
    ngx_comms_journal_t *j, json_t *in, ngx_comms_op_t *op);
static uint32_t ngx_comms_journal_pair(json_t *in);
static ngx_uint_t ngx_comms_journal_behind(ngx_comms_journal_t *j,
    uint32_t pair);
static void ngx_comms_journal_begin(ngx_comms_journal_keep_t *k);
static void ngx_comms_journal_checked(ngx_comms_op_t *op);
static void ngx_comms_journal_try(ngx_comms_journal_keep_t *k);
static void ngx_comms_journal_tried(ngx_comms_op_t *op);
static void ngx_comms_journal_impatient(ngx_event_t *ev);
static void ngx_comms_journal_write(ngx_comms_journal_keep_t *k);
static void ngx_comms_journal_written(ngx_comms_op_t *op);
static void ngx_comms_journal_end(ngx_comms_journal_keep_t *k, ngx_int_t rc,
    json_t *answer);
static void ngx_comms_journal_abandon(ngx_comms_journal_keep_t *k);


void
ngx_comms_journal_keep(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_uint_t                 behind;
    ngx_comms_journal_t       *j;
    ngx_comms_journal_keep_t  *k;

    j = store->data;
    k = NULL;

    /* what no store will ever take must not stay in the journal for ever */

    if (j->open && ngx_comms_journal_fits(in)) {
        k = ngx_comms_journal_create(j, in, op);
    }

    if (k == NULL) {
        j->inner->keep(j->inner, in, op);
        return;
    }

    behind = ngx_comms_journal_behind(j, k->pair);

    ngx_queue_insert_tail(&j->keeps, &k->link);

    if (!behind) {
        ngx_comms_journal_begin(k);
    }
}


static ngx_uint_t
ngx_comms_journal_fits(json_t *in)
{
    json_t      *inbound;
    ngx_str_t    text;
    ngx_uint_t   i;

    static const char  *names[] = {
        "inbound_id", "dedupe_id", "channel", "company_address",
        "person_address"
    };

    inbound = json_object_get(in, "inbound");

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        if (ngx_comms_json_str(inbound, names[i], &text) != NGX_OK
            || text.len == 0)
        {
            return 0;
        }
    }

    return json_is_integer(json_object_get(inbound, "received_at"))
           && ngx_comms_json_str(in, "queue", &text) == NGX_OK
           && text.len != 0
           && json_is_object(json_object_get(in, "body"));
}


static ngx_comms_journal_keep_t *
ngx_comms_journal_create(ngx_comms_journal_t *j, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_op_t            *asked;
    ngx_comms_journal_keep_t  *k;

    k = ngx_calloc(sizeof(ngx_comms_journal_keep_t), j->log);
    if (k == NULL) {
        return NULL;
    }

    asked = ngx_comms_op_create(ngx_comms_journal_checked, k, 0);

    if (asked == NULL) {
        ngx_free(k);
        return NULL;
    }

    k->fd = (ngx_socket_t) -1;
    k->journal = j;
    k->op = op;
    k->asked = asked;
    k->in = in;
    k->pair = ngx_comms_journal_pair(in);
    k->timer.handler = ngx_comms_journal_impatient;
    k->timer.data = k;
    k->timer.log = j->log;

    return k;
}


static uint32_t
ngx_comms_journal_pair(json_t *in)
{
    json_t      *inbound;
    uint32_t     hash;
    ngx_str_t    text;
    ngx_uint_t   i;

    static const char  *names[] = {
        "company_address", "person_address", "channel"
    };

    inbound = json_object_get(in, "inbound");

    ngx_crc32_init(hash);

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        text = ngx_comms_sqlite_text(inbound, names[i]);
        ngx_crc32_update(&hash, text.data, text.len);
    }

    ngx_crc32_final(hash);

    return hash;
}


/* two pairs with the same hash wait for each other, which does no harm */

static ngx_uint_t
ngx_comms_journal_behind(ngx_comms_journal_t *j, uint32_t pair)
{
    ngx_queue_t               *q;
    ngx_comms_journal_keep_t  *k;

    for (q = ngx_queue_last(&j->keeps);
         q != ngx_queue_sentinel(&j->keeps);
         q = ngx_queue_prev(q))
    {
        k = ngx_queue_data(q, ngx_comms_journal_keep_t, link);

        if (k->pair == pair) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_comms_journal_begin(ngx_comms_journal_keep_t *k)
{
    k->begun = 1;

    ngx_comms_sqlite_post(k->journal->db, ngx_comms_journal_holds, 0,
                          json_incref(k->in), k->asked);
}


static void
ngx_comms_journal_checked(ngx_comms_op_t *op)
{
    ngx_comms_journal_keep_t  *k;

    k = op->data;
    k->asked = NULL;

    if (op->rc == NGX_OK) {
        ngx_comms_journal_write(k);
        return;
    }

    ngx_comms_journal_try(k);
}


static void
ngx_comms_journal_try(ngx_comms_journal_keep_t *k)
{
    json_t             *copy;
    ngx_comms_op_t     *op;
    ngx_comms_store_t  *inner;

    /*
     * The inner store may still be at work on its document when a thread
     * writes ours into the journal.
     */

    copy = json_deep_copy(k->in);
    op = ngx_comms_op_create(ngx_comms_journal_tried, k, 0);

    if (copy == NULL || op == NULL) {
        json_decref(copy);

        if (op != NULL) {
            ngx_free(op);
        }

        ngx_comms_journal_write(k);
        return;
    }

    k->asked = op;
    ngx_add_timer(&k->timer, k->journal->patience);

    inner = k->journal->inner;
    inner->keep(inner, copy, op);
}


static void
ngx_comms_journal_tried(ngx_comms_op_t *op)
{
    ngx_comms_journal_keep_t  *k;

    k = op->data;
    k->asked = NULL;

    if (k->timer.timer_set) {
        ngx_del_timer(&k->timer);
    }

    if (op->rc == NGX_OK || op->rc == NGX_DECLINED) {
        ngx_comms_journal_end(k, op->rc, json_incref(op->answer));
        return;
    }

    ngx_comms_journal_write(k);
}


static void
ngx_comms_journal_impatient(ngx_event_t *ev)
{
    ngx_comms_journal_keep_t  *k;

    k = ev->data;

    ngx_comms_op_cancel(k->asked);
    k->asked = NULL;

    ngx_comms_journal_write(k);
}


static void
ngx_comms_journal_write(ngx_comms_journal_keep_t *k)
{
    json_t          *in;
    ngx_comms_op_t  *op;

    op = ngx_comms_op_create(ngx_comms_journal_written, k, 0);

    if (op == NULL) {
        ngx_comms_journal_end(k, NGX_ERROR, NULL);
        return;
    }

    in = k->in;

    k->in = NULL;
    k->asked = op;

    ngx_comms_sqlite_post(k->journal->db, ngx_comms_journal_add, 1, in, op);
}


static void
ngx_comms_journal_written(ngx_comms_op_t *op)
{
    ngx_comms_journal_t       *j;
    ngx_comms_journal_keep_t  *k;

    k = op->data;
    j = k->journal;
    k->asked = NULL;

    if (op->rc == NGX_OK) {
        j->rows = json_integer_value(json_object_get(op->answer, "n"));

        if (ngx_comms_journal_tell(j, NGX_COMMS_JOURNAL_USED)) {
            ngx_log_error(NGX_LOG_WARN, j->log, 0,
                          "comms store \"%V\" does not keep inbound "
                          "messages: the journal does, it holds %L",
                          &j->inner->name, (int64_t) j->rows);
        }

        ngx_comms_journal_forward_soon(j);
    }

    if (op->rc == NGX_ABORT
        && ngx_comms_journal_tell(j, NGX_COMMS_JOURNAL_FULL))
    {
        ngx_log_error(NGX_LOG_CRIT, j->log, 0,
                      "comms journal is full: inbound messages are refused");
    }

    ngx_comms_journal_end(k, op->rc == NGX_ABORT ? NGX_ERROR : op->rc, NULL);
}


/* takes over the reference to "answer" */

static void
ngx_comms_journal_end(ngx_comms_journal_keep_t *k, ngx_int_t rc,
    json_t *answer)
{
    ngx_queue_t               *q;
    ngx_comms_op_t            *op;
    ngx_comms_journal_t       *j;
    ngx_comms_journal_keep_t  *next;

    j = k->journal;
    op = k->op;

    for (q = ngx_queue_next(&k->link);
         q != ngx_queue_sentinel(&j->keeps);
         q = ngx_queue_next(q))
    {
        next = ngx_queue_data(q, ngx_comms_journal_keep_t, link);

        if (next->pair == k->pair) {
            ngx_comms_journal_begin(next);
            break;
        }
    }

    ngx_queue_remove(&k->link);
    json_decref(k->in);
    ngx_free(k);

    ngx_comms_op_finish(op, rc, answer);
}


void
ngx_comms_journal_keep_exit(ngx_comms_journal_t *j)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&j->keeps)) {
        q = ngx_queue_head(&j->keeps);

        ngx_comms_journal_abandon(ngx_queue_data(q, ngx_comms_journal_keep_t,
                                                 link));
    }
}


/*
 * At the end of the worker.  Whoever sent the message will not be told, and
 * may not send it again: so it goes into the journal all the same.
 */

static void
ngx_comms_journal_abandon(ngx_comms_journal_keep_t *k)
{
    json_t          *in;
    ngx_comms_op_t  *op;

    if (k->timer.timer_set) {
        ngx_del_timer(&k->timer);
    }

    if (k->asked != NULL) {
        ngx_comms_op_cancel(k->asked);

        if (!k->begun) {
            ngx_comms_op_finish(k->asked, NGX_ERROR, NULL);
        }
    }

    in = k->in;

    if (in != NULL) {
        op = ngx_comms_op_create(NULL, NULL, 0);

        if (op != NULL) {
            ngx_comms_sqlite_post(k->journal->db, ngx_comms_journal_add, 1,
                                  in, op);

        } else {
            json_decref(in);
        }
    }

    ngx_comms_op_cancel(k->op);
    ngx_comms_op_finish(k->op, NGX_ERROR, NULL);

    ngx_queue_remove(&k->link);
    ngx_free(k);
}
