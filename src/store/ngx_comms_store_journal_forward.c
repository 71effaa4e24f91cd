
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The forwarder: brings what is in the journal to the inner store.
 *
 *   look -> take -> slot: inner keep -> remove -> next row of the pair, ...
 *                         or a failure -> postpone -> the slot is free
 *
 * Each worker looks; the one with the claim forwards.  While the journal is
 * empty a look is rare, because whoever adds a row looks soon after, and
 * whoever starts looks at once.
 *
 * Invariants:
 *   1. A row is removed only after the inner store has said that it has the
 *      message.  It may be asked twice for one (a late answer, kill -9, two
 *      forwarders around an expired claim), and knows it by its dedupe_id.
 *   2. A slot has one row, the oldest of its address pair, and goes on with
 *      the next one of that pair only after the row was removed.
 *   3. After a failure nothing is asked for a while, and then one message
 *      only, until the inner store takes one.
 *   4. A message that the inner store never takes holds up its own pair, and
 *      no other.
 *   5. No worker's end waits for the forwarder: the rows are durable.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <jansson.h>
#include <base/ngx_comms_crypto.h>
#include <store/ngx_comms_store_journal_private.h>


/* ms between looks: rows wait here, another forwards them, or it is empty */
#define NGX_COMMS_JOURNAL_LOOK       1000
#define NGX_COMMS_JOURNAL_LOOK_BY    4000
#define NGX_COMMS_JOURNAL_LOOK_IDLE  60000

/* longer than any inner store tries */
#define NGX_COMMS_JOURNAL_ATTEMPT    10000


static void ngx_comms_journal_look_in(ngx_comms_journal_t *j, ngx_msec_t ms);
static void ngx_comms_journal_look(ngx_event_t *ev);
static ngx_msec_int_t ngx_comms_journal_shut(ngx_comms_journal_t *j);
static json_t *ngx_comms_journal_flying(ngx_comms_journal_t *j);
static void ngx_comms_journal_taken(ngx_comms_op_t *op);
static void ngx_comms_journal_rows(ngx_comms_journal_t *j, json_t *rows);
static ngx_uint_t ngx_comms_journal_flies(ngx_comms_journal_t *j,
    json_t *row);
static void ngx_comms_journal_send(ngx_comms_journal_slot_t *slot,
    json_t *row);
static void ngx_comms_journal_sent(ngx_comms_op_t *op);
static void ngx_comms_journal_unanswered(ngx_event_t *ev);
static void ngx_comms_journal_removed(ngx_comms_op_t *op);
static void ngx_comms_journal_failed(ngx_comms_journal_slot_t *slot);
static void ngx_comms_journal_put_off(ngx_comms_journal_slot_t *slot);
static void ngx_comms_journal_postponed(ngx_comms_op_t *op);
static void ngx_comms_journal_free(ngx_comms_journal_slot_t *slot,
    ngx_msec_t look);
static ngx_msec_t ngx_comms_journal_delay(ngx_uint_t failures);


ngx_int_t
ngx_comms_journal_forward_init(ngx_comms_journal_t *j)
{
    u_char                    *last, bytes[8];
    ngx_uint_t                 i;
    ngx_comms_journal_slot_t  *slot;

    /* a pid alone is not unique: containers may share a file */

    if (ngx_comms_random(bytes, sizeof(bytes)) != NGX_OK) {
        return NGX_ERROR;
    }

    last = ngx_sprintf(j->owner, "%P-", ngx_pid);
    last = ngx_hex_dump(last, bytes, sizeof(bytes));
    *last = '\0';

    j->look.handler = ngx_comms_journal_look;
    j->look.data = j;
    j->look.log = j->log;
    j->look.cancelable = 1;

    for (i = 0; i < NGX_COMMS_JOURNAL_SLOTS; i++) {
        slot = &j->slots[i];

        slot->fd = (ngx_socket_t) -1;
        slot->journal = j;
        slot->timer.handler = ngx_comms_journal_unanswered;
        slot->timer.data = slot;
        slot->timer.log = j->log;
        slot->timer.cancelable = 1;
    }

    ngx_comms_journal_look_in(j, (ngx_msec_t) ngx_random()
                                 % NGX_COMMS_JOURNAL_LOOK);

    return NGX_OK;
}


void
ngx_comms_journal_forward_exit(ngx_comms_journal_t *j)
{
    ngx_uint_t                 i;
    ngx_comms_op_t            *op;
    ngx_comms_journal_slot_t  *slot;

    if (j->look.timer_set) {
        ngx_del_timer(&j->look);
    }

    if (j->asked != NULL) {
        ngx_comms_op_cancel(j->asked);
    }

    for (i = 0; i < NGX_COMMS_JOURNAL_SLOTS; i++) {
        slot = &j->slots[i];

        if (slot->timer.timer_set) {
            ngx_del_timer(&slot->timer);
        }

        if (slot->asked != NULL) {
            ngx_comms_op_cancel(slot->asked);
        }
    }

    if (!j->owns) {
        return;
    }

    /* others need not wait for the claim to expire */

    op = ngx_comms_op_create(NULL, NULL, 0);

    if (op != NULL) {
        ngx_comms_sqlite_post(j->db, ngx_comms_journal_release, 1,
                              json_string((char *) j->owner), op);
    }
}


void
ngx_comms_journal_forward_soon(ngx_comms_journal_t *j)
{
    ngx_comms_journal_look_in(j, NGX_COMMS_JOURNAL_LOOK);
}


/* not later than that */

static void
ngx_comms_journal_look_in(ngx_comms_journal_t *j, ngx_msec_t ms)
{
    ngx_msec_int_t  left;

    if (!j->open) {
        return;
    }

    if (j->look.timer_set) {
        left = (ngx_msec_int_t) (j->look.timer.key - ngx_current_msec);

        if (left <= (ngx_msec_int_t) ms) {
            return;
        }

        /* a timer that is only moved may stay where it was */
        ngx_del_timer(&j->look);
    }

    ngx_add_timer(&j->look, ms);
}


static void
ngx_comms_journal_look(ngx_event_t *ev)
{
    json_t               *in;
    ngx_uint_t            limit;
    ngx_comms_op_t       *op;
    ngx_comms_journal_t  *j;

    j = ev->data;

    if (j->asked != NULL) {
        j->again = 1;
        return;
    }

    if (ngx_comms_journal_shut(j) > 0) {
        limit = 0;

    } else if (j->failures != 0) {
        limit = (j->busy == 0);

    } else {
        limit = NGX_COMMS_JOURNAL_SLOTS - j->busy;
    }

    in = json_pack("{s:s, s:I, s:o}", "owner", j->owner,
                   "limit", (json_int_t) limit,
                   "flying", ngx_comms_journal_flying(j));
    op = ngx_comms_op_create(ngx_comms_journal_taken, j, 0);

    if (in == NULL || op == NULL) {
        json_decref(in);

        if (op != NULL) {
            ngx_free(op);
        }

        ngx_comms_journal_look_in(j, NGX_COMMS_JOURNAL_LOOK_BY);
        return;
    }

    j->asked = op;
    ngx_comms_sqlite_post(j->db, ngx_comms_journal_take, 1, in, op);
}


/* ms for which nothing is to be asked */

static ngx_msec_int_t
ngx_comms_journal_shut(ngx_comms_journal_t *j)
{
    ngx_msec_int_t  left;

    if (j->failures == 0) {
        return 0;
    }

    left = (ngx_msec_int_t) (j->opens - ngx_current_msec);

    return ngx_max(left, 0);
}


static json_t *
ngx_comms_journal_flying(ngx_comms_journal_t *j)
{
    json_t      *ids;
    ngx_uint_t   i;

    ids = json_array();

    for (i = 0; i < NGX_COMMS_JOURNAL_SLOTS; i++) {

        if (j->slots[i].id != 0
            && json_array_append_new(ids, json_integer(j->slots[i].id)) != 0)
        {
            json_decref(ids);
            return NULL;
        }
    }

    return ids;
}


static void
ngx_comms_journal_taken(ngx_comms_op_t *op)
{
    ngx_uint_t            owned;
    json_int_t            before;
    ngx_msec_t            next;
    ngx_comms_journal_t  *j;

    j = op->data;
    j->asked = NULL;

    owned = j->owns;
    before = j->rows;

    j->owns = (op->rc == NGX_OK);

    if (op->rc == NGX_ERROR) {
        ngx_comms_journal_look_in(j, NGX_COMMS_JOURNAL_LOOK_BY);
        return;
    }

    j->rows = json_integer_value(json_object_get(op->answer, "n"));

    if (op->rc == NGX_DECLINED) {
        next = NGX_COMMS_JOURNAL_LOOK_BY;

    } else if (j->rows == 0) {

        if (owned && before != 0) {
            ngx_log_error(NGX_LOG_NOTICE, j->log, 0,
                          "comms journal is empty: the store \"%V\" has all "
                          "messages", &j->inner->name);
        }

        j->owns = 0;
        next = NGX_COMMS_JOURNAL_LOOK_IDLE;

    } else {
        ngx_comms_journal_rows(j, json_object_get(op->answer, "rows"));

        next = ngx_max(ngx_comms_journal_shut(j), NGX_COMMS_JOURNAL_LOOK);
        next = ngx_min(next, NGX_COMMS_JOURNAL_LOOK_BY);
    }

    if (j->again) {
        j->again = 0;
        next = 1;
    }

    /* workers that started together should not look together */

    ngx_comms_journal_look_in(j, next + (ngx_msec_t) ngx_random()
                                        % (next / 8 + 1));
}


static void
ngx_comms_journal_rows(ngx_comms_journal_t *j, json_t *rows)
{
    size_t                     i;
    json_t                    *row;
    ngx_comms_journal_slot_t  *slot;

    slot = j->slots;

    json_array_foreach(rows, i, row) {

        /* a slot may have gone on to it since "take" was asked */

        if (ngx_comms_journal_flies(j, row)) {
            continue;
        }

        while (slot < j->slots + NGX_COMMS_JOURNAL_SLOTS && slot->id != 0) {
            slot++;
        }

        if (slot == j->slots + NGX_COMMS_JOURNAL_SLOTS) {
            return;
        }

        j->busy++;
        ngx_comms_journal_send(slot, row);
    }
}


static ngx_uint_t
ngx_comms_journal_flies(ngx_comms_journal_t *j, json_t *row)
{
    ngx_uint_t  i;
    json_int_t  id;

    id = json_integer_value(json_object_get(row, "journal_id"));

    for (i = 0; i < NGX_COMMS_JOURNAL_SLOTS; i++) {

        if (j->slots[i].id == id) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_comms_journal_send(ngx_comms_journal_slot_t *slot, json_t *row)
{
    json_t               *message;
    ngx_comms_op_t       *op;
    ngx_comms_journal_t  *j;

    j = slot->journal;

    slot->id = json_integer_value(json_object_get(row, "journal_id"));
    slot->attempts = json_integer_value(json_object_get(row, "attempts"));

    message = json_object_get(row, "message");

    if (!json_is_object(message)) {
        if (ngx_comms_journal_tell(j, NGX_COMMS_JOURNAL_STUCK)) {
            ngx_log_error(NGX_LOG_ALERT, j->log, 0,
                          "comms journal cannot read its row %L",
                          (int64_t) slot->id);
        }

        ngx_comms_journal_put_off(slot);
        return;
    }

    op = ngx_comms_op_create(ngx_comms_journal_sent, slot, 0);

    if (op == NULL) {
        ngx_comms_journal_failed(slot);
        return;
    }

    slot->asked = op;
    ngx_add_timer(&slot->timer, NGX_COMMS_JOURNAL_ATTEMPT);

    /* read from the table again when it has to be sent again */

    j->inner->keep(j->inner, json_incref(message), op);
}


static void
ngx_comms_journal_sent(ngx_comms_op_t *op)
{
    ngx_int_t                  rc;
    ngx_comms_journal_t       *j;
    ngx_comms_journal_slot_t  *slot;

    slot = op->data;
    rc = op->rc;
    slot->asked = NULL;

    if (slot->timer.timer_set) {
        ngx_del_timer(&slot->timer);
    }

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        ngx_comms_journal_failed(slot);
        return;
    }

    j = slot->journal;

    if (j->failures != 0) {
        j->failures = 0;
        ngx_comms_journal_look_in(j, 1);
    }

    op = ngx_comms_op_create(ngx_comms_journal_removed, slot, 0);

    if (op == NULL) {
        ngx_comms_journal_free(slot, NGX_COMMS_JOURNAL_LOOK_BY);
        return;
    }

    slot->asked = op;
    ngx_comms_sqlite_post(j->db, ngx_comms_journal_remove, 1,
                          json_integer(slot->id), op);
}


static void
ngx_comms_journal_unanswered(ngx_event_t *ev)
{
    ngx_comms_journal_slot_t  *slot;

    slot = ev->data;

    ngx_comms_op_cancel(slot->asked);
    slot->asked = NULL;

    ngx_comms_journal_failed(slot);
}


static void
ngx_comms_journal_removed(ngx_comms_op_t *op)
{
    json_t                    *row;
    ngx_comms_journal_t       *j;
    ngx_comms_journal_slot_t  *slot;

    slot = op->data;
    j = slot->journal;
    slot->asked = NULL;

    if (op->rc == NGX_ERROR) {
        ngx_comms_journal_free(slot, NGX_COMMS_JOURNAL_LOOK_BY);
        return;
    }

    row = json_object_get(op->answer, "row");

    /* without the claim another may have gone on with the pair already */

    if (op->rc == NGX_OK && json_is_object(row) && j->owns
        && ngx_comms_journal_shut(j) == 0)
    {
        ngx_comms_journal_send(slot, row);
        return;
    }

    ngx_comms_journal_free(slot, 1);
}


/* the inner store has not taken a message */

static void
ngx_comms_journal_failed(ngx_comms_journal_slot_t *slot)
{
    ngx_comms_journal_t  *j;

    j = slot->journal;

    /* those that were on their way together fail together, and count once */

    if (ngx_comms_journal_shut(j) == 0) {
        j->opens = ngx_current_msec + ngx_comms_journal_delay(j->failures);
        j->failures++;
    }

    if (ngx_comms_journal_tell(j, NGX_COMMS_JOURNAL_STUCK)) {
        ngx_log_error(NGX_LOG_WARN, j->log, 0,
                      "comms journal cannot forward to the store \"%V\", "
                      "%L messages wait",
                      &j->inner->name, (int64_t) j->rows);
    }

    ngx_comms_journal_put_off(slot);
}


static void
ngx_comms_journal_put_off(ngx_comms_journal_slot_t *slot)
{
    json_t               *in;
    ngx_msec_t            delay;
    ngx_comms_op_t       *op;
    ngx_comms_journal_t  *j;

    j = slot->journal;

    delay = ngx_comms_journal_delay((ngx_uint_t) slot->attempts);

    in = json_pack("{s:I, s:I}", "journal_id", slot->id,
                   "delay", (json_int_t) delay);
    op = ngx_comms_op_create(ngx_comms_journal_postponed, slot, 0);

    if (in == NULL || op == NULL) {
        json_decref(in);

        if (op != NULL) {
            ngx_free(op);
        }

        ngx_comms_journal_free(slot, NGX_COMMS_JOURNAL_LOOK_BY);
        return;
    }

    /* the slot stays taken until then, lest the row be read as due */

    slot->asked = op;
    ngx_comms_sqlite_post(j->db, ngx_comms_journal_postpone, 1, in, op);
}


static void
ngx_comms_journal_postponed(ngx_comms_op_t *op)
{
    ngx_comms_journal_slot_t  *slot;

    slot = op->data;
    slot->asked = NULL;

    ngx_comms_journal_free(slot, op->rc == NGX_OK
                                 ? NGX_COMMS_JOURNAL_LOOK
                                 : NGX_COMMS_JOURNAL_LOOK_BY);
}


static void
ngx_comms_journal_free(ngx_comms_journal_slot_t *slot, ngx_msec_t look)
{
    ngx_comms_journal_t  *j;

    j = slot->journal;

    slot->id = 0;
    j->busy--;

    ngx_comms_journal_look_in(j, look);
}


/* 1 s .. 30 s, at random below a bound that doubles */

static ngx_msec_t
ngx_comms_journal_delay(ngx_uint_t failures)
{
    ngx_msec_t  spread;

    spread = (ngx_msec_t) 1000 << ngx_min(failures, 5);
    spread = ngx_min(spread, NGX_COMMS_JOURNAL_MAX_DELAY - 1000);

    return 1000 + (ngx_msec_t) ngx_random() % spread;
}
