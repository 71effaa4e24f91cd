
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The heartbeat: as long as messages of a queue are held, one operation at a
 * time extends them all.
 *
 * A message is ours at least until "held_until", which is counted from the
 * moment before the bus was asked.  When that passes without a heartbeat
 * having succeeded, somebody else may have received it: the flow is told by
 * f->lost, starts no further effect, and its verdict is not carried out.
 *
 * The timer is the one timer of the consumer that is not cancelable: it
 * keeps an exiting worker alive until nothing is held.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <job/ngx_http_comms_consumer.h>


static ngx_uint_t ngx_http_comms_heartbeat_held(
    ngx_http_comms_consumer_t *cn);
static ngx_int_t ngx_http_comms_heartbeat_send(ngx_http_comms_consumer_t *cn);
static json_t *ngx_http_comms_heartbeat_receipts(
    ngx_http_comms_consumer_t *cn);
static void ngx_http_comms_heartbeat_sent(ngx_comms_op_t *op);
static void ngx_http_comms_heartbeat_confirm(ngx_http_comms_consumer_t *cn,
    ngx_int_t rc);
static void ngx_http_comms_heartbeat_lost(ngx_http_comms_consumer_t *cn,
    json_t *receipt);


static ngx_uint_t
ngx_http_comms_heartbeat_held(ngx_http_comms_consumer_t *cn)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < NGX_HTTP_COMMS_STATES; i++) {
        n += cn->count[i];
    }

    return n;
}


void
ngx_http_comms_heartbeat_update(ngx_http_comms_consumer_t *cn)
{
    if (ngx_http_comms_heartbeat_held(cn) == 0) {

        if (cn->beat.timer_set) {
            ngx_del_timer(&cn->beat);
        }

        return;
    }

    if (!cn->beat.timer_set) {
        ngx_add_timer(&cn->beat, cn->heartbeat);
    }
}


void
ngx_http_comms_heartbeat_timer(ngx_event_t *ev)
{
    ngx_msec_t                  period;
    ngx_http_comms_consumer_t  *cn;

    cn = ev->data;
    period = cn->heartbeat;

    ngx_http_comms_heartbeat_check(cn);

    if (!cn->beating && ngx_http_comms_heartbeat_send(cn) != NGX_OK) {
        period = ngx_max(period / 3, 1);
    }

    if (ngx_http_comms_heartbeat_held(cn) && !ev->timer_set) {
        ngx_add_timer(ev, period);
    }
}


static ngx_int_t
ngx_http_comms_heartbeat_send(ngx_http_comms_consumer_t *cn)
{
    json_t          *in, *receipts;
    ngx_comms_op_t  *op;

    receipts = ngx_http_comms_heartbeat_receipts(cn);
    if (receipts == NULL) {
        return NGX_ERROR;
    }

    if (json_array_size(receipts) == 0) {
        json_decref(receipts);
        return NGX_OK;
    }

    in = ngx_http_comms_consumer_input(cn);

    if (in == NULL) {
        json_decref(receipts);
        return NGX_ERROR;
    }

    if (json_object_set_new(in, "receipts", receipts) != 0
        || json_object_set_new(in, "visibility",
                               json_integer(cn->visibility)) != 0)
    {
        json_decref(in);
        return NGX_ERROR;
    }

    op = ngx_comms_op_create(ngx_http_comms_heartbeat_sent, cn, 0);
    if (op == NULL) {
        json_decref(in);
        return NGX_ERROR;
    }

    cn->beating = 1;
    cn->all->bus->extend(cn->all->bus, in, op);

    return NGX_OK;
}


/* what is being settled is left out: it is about to be gone */

static json_t *
ngx_http_comms_heartbeat_receipts(ngx_http_comms_consumer_t *cn)
{
    json_t                    *receipts;
    ngx_uint_t                 i;
    ngx_queue_t               *q;
    ngx_http_comms_message_t  *m;

    receipts = json_array();
    if (receipts == NULL) {
        return NULL;
    }

    for (i = 0; i < NGX_HTTP_COMMS_STATES; i++) {

        if (i == NGX_HTTP_COMMS_SETTLING) {
            continue;
        }

        for (q = ngx_queue_head(&cn->messages[i]);
             q != ngx_queue_sentinel(&cn->messages[i]);
             q = ngx_queue_next(q))
        {
            m = ngx_http_comms_message_of(q);

            if (m->flow != NULL && m->flow->lost) {
                continue;
            }

            /* a copy: the operation may read it in another thread */

            if (json_array_append_new(receipts, json_copy(m->receipt)) != 0) {
                json_decref(receipts);
                return NULL;
            }

            m->beat = 1;
            m->extended_at = ngx_current_msec;
        }
    }

    return receipts;
}


static void
ngx_http_comms_heartbeat_sent(ngx_comms_op_t *op)
{
    json_t                     *lost;
    size_t                      i;
    ngx_http_comms_consumer_t  *cn;

    cn = op->data;
    cn->beating = 0;

    if (op->rc == NGX_OK) {
        lost = json_object_get(op->answer, "lost");

        for (i = 0; i < json_array_size(lost); i++) {
            ngx_http_comms_heartbeat_lost(cn, json_array_get(lost, i));
        }
    }

    ngx_http_comms_heartbeat_confirm(cn, op->rc);

    if (op->rc != NGX_OK && cn->beat.timer_set) {
        ngx_del_timer(&cn->beat);
        ngx_add_timer(&cn->beat, ngx_max(cn->heartbeat / 3, 1));
    }
}


static void
ngx_http_comms_heartbeat_confirm(ngx_http_comms_consumer_t *cn, ngx_int_t rc)
{
    ngx_uint_t                 i;
    ngx_queue_t               *q;
    ngx_http_comms_message_t  *m;

    for (i = 0; i < NGX_HTTP_COMMS_STATES; i++) {

        for (q = ngx_queue_head(&cn->messages[i]);
             q != ngx_queue_sentinel(&cn->messages[i]);
             q = ngx_queue_next(q))
        {
            m = ngx_http_comms_message_of(q);

            if (m->beat && rc == NGX_OK) {
                m->held_until = m->extended_at + cn->visibility;
            }

            m->beat = 0;
        }
    }
}


static void
ngx_http_comms_heartbeat_lost(ngx_http_comms_consumer_t *cn, json_t *receipt)
{
    ngx_uint_t                 i;
    ngx_queue_t               *q;
    ngx_http_comms_message_t  *m;

    for (i = 0; i < NGX_HTTP_COMMS_STATES; i++) {

        for (q = ngx_queue_head(&cn->messages[i]);
             q != ngx_queue_sentinel(&cn->messages[i]);
             q = ngx_queue_next(q))
        {
            m = ngx_http_comms_message_of(q);

            if (m->beat && json_equal(m->receipt, receipt)) {
                ngx_http_comms_message_lose(m);
                return;
            }
        }
    }
}


void
ngx_http_comms_heartbeat_check(ngx_http_comms_consumer_t *cn)
{
    ngx_uint_t                 i;
    ngx_queue_t               *q, *next;
    ngx_http_comms_message_t  *m;

    for (i = 0; i < NGX_HTTP_COMMS_STATES; i++) {

        for (q = ngx_queue_head(&cn->messages[i]);
             q != ngx_queue_sentinel(&cn->messages[i]);
             q = next)
        {
            next = ngx_queue_next(q);
            m = ngx_http_comms_message_of(q);

            if ((ngx_msec_int_t) (m->held_until - ngx_current_msec) <= 0) {
                ngx_http_comms_message_lose(m);
            }
        }
    }
}
