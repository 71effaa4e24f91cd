
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The rows by which a turn gets its thread and gives it back.
 *
 * Two things are held, in this order: the lease in the zone, which decides
 * among the workers of this machine without a network call, and the store's
 * lock, which decides among machines.  A store for one machine has no lock,
 * and neither is it taken where the queue serialises by itself (FIFO groups);
 * the lock's rows then do nothing.
 *
 * Letting go and "nothing waits" are one decision: whoever came since has
 * marked the lease or the lock as wanted, and then the turn goes round once
 * more before it lets go.
 *
 *   unlock    AGAIN: somebody on another machine came.  Both are still held:
 *             on with the claim.
 *   release   AGAIN: somebody on this machine came.  The lease is held, the
 *             lock is not: on with the lock.  Should it be lost to another
 *             machine, then that one collects all that waits, and who came
 *             here has a queue message of its own: the turn is over, well.
 *
 * A failed turn lets go of both, wanted or not.
 *
 * A lease's end is told by a notice, a lock's is not: a message that is parked
 * because another machine has the lock is run again by the consumer's
 * timer.
 *
 * Both are renewed each third of the term.  A refusal marks the lease as
 * lost; so does a lock that was not renewed for a term by this
 * machine's own clock, counted from before the last good renewal was issued:
 * nobody takes it over earlier than that.  A flow that has lost its lease
 * ends before its next effect, and the store's fence refuses what it
 * may still try to write.
 */


#include <flow/ngx_comms_thread.h>
#include <base/ngx_comms_id.h>


#define ngx_comms_thread_locks(f)                                             \
    ((f)->engine->store->lock != NULL && !(f)->engine->serialise_by_queue)


static void ngx_comms_thread_renew(ngx_event_t *ev);
static void ngx_comms_thread_renew_lock(ngx_comms_flow_t *f);
static void ngx_comms_thread_renewed(ngx_comms_op_t *op);
static ngx_int_t ngx_comms_thread_let_go(ngx_comms_flow_t *f);
static ngx_uint_t ngx_comms_thread_forced(ngx_comms_flow_t *f);
static void ngx_comms_thread_forget_renewal(ngx_comms_thread_t *t);


void
ngx_comms_thread_lease_init(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    t->renewal.handler = ngx_comms_thread_renew;
    t->renewal.data = f;
    t->renewal.log = f->log;
    t->renewal.cancelable = 1;
}


void
ngx_comms_thread_lease_end(ngx_comms_thread_t *t)
{
    if (t->renewal.timer_set) {
        ngx_del_timer(&t->renewal);
    }

    ngx_comms_thread_forget_renewal(t);
}


static void
ngx_comms_thread_forget_renewal(ngx_comms_thread_t *t)
{
    if (t->renewing != NULL) {
        ngx_comms_op_cancel(t->renewing);
        t->renewing = NULL;
    }
}


ngx_int_t
ngx_comms_thread_lease(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    rc = ngx_comms_lease_take(f->engine->zone, &t->thread_id,
                              f->engine->lease_term, &t->lease);

    if (rc == NGX_BUSY) {
        f->park_key = t->thread_id;

        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_PARK,
                                   "thread is in work", NULL);
    }

    if (rc != NGX_OK) {
        ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_ZONE_FULL, 1);

        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEFER,
                                   "no room for a lease in the zone", NULL);
    }

    ngx_add_timer(&t->renewal, f->engine->lease_term / 3);

    return NGX_OK;
}


/*
 * The token is made here, and a new one each time: a lock that was granted
 * with an answer that got lost can be given back, and what is late of an
 * earlier one cannot touch this one.
 */

ngx_int_t
ngx_comms_thread_lock(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_int_t            rc;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (!ngx_comms_thread_locks(f)) {
        return NGX_OK;
    }

    if (ngx_comms_id_mint(f->pool, "", &t->lock) != NGX_OK) {
        return NGX_ERROR;
    }

    t->lock_since = ngx_current_msec;

    in = json_pack("{s:s%, s:s%, s:I}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "token", t->lock.data, t->lock.len,
                   "term", (json_int_t) f->engine->lease_term);

    rc = ngx_comms_thread_store(f, f->engine->store->lock, in);

    t->lock_asked = (rc == NGX_AGAIN);

    return rc;
}


ngx_int_t
ngx_comms_thread_lock_done(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (f->op_rc == NGX_OK) {
        t->locked = 1;
        return NGX_OK;
    }

    /* "late" has the same code, but no answer; then we may have it after all */

    if (f->op_rc == NGX_BUSY && f->answer != NULL) {
        t->lock_asked = 0;
    }

    /* the flow's own message is done with: see the head of this file */

    if (t->rounds > 0) {
        return NGX_DONE;
    }

    if (!t->lock_asked) {
        f->park_key = t->thread_id;

        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_PARK,
                                   "thread is in work on another machine",
                                   NULL);
    }

    return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                               "thread could not be locked", NULL);
}


ngx_uint_t
ngx_comms_thread_overdue(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (t->locked
        && ngx_current_msec - t->lock_since >= f->engine->lease_term)
    {
        t->lease_lost = 1;
    }

    return t->lease_lost;
}


static void
ngx_comms_thread_renew(ngx_event_t *ev)
{
    ngx_comms_flow_t    *f;
    ngx_comms_thread_t  *t;

    f = ev->data;
    t = f->ctx;

    if (ngx_comms_lease_renew(f->engine->zone, &t->thread_id, t->lease,
                              f->engine->lease_term)
        != NGX_OK)
    {
        t->lease_lost = 1;
    }

    if (ngx_comms_thread_overdue(f)) {
        ngx_log_error(NGX_LOG_WARN, f->log, 0,
                      "lease was lost to another turn");
        return;
    }

    ngx_add_timer(&t->renewal, f->engine->lease_term / 3);

    if (t->locked && t->renewing == NULL) {
        ngx_comms_thread_renew_lock(f);
    }
}


/* no operation that the flow waits for: it may be at any row */

static void
ngx_comms_thread_renew_lock(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_op_t      *op;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    in = json_pack("{s:s%, s:s%, s:I}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "token", t->lock.data, t->lock.len,
                   "term", (json_int_t) f->engine->lease_term);

    op = (in != NULL)
         ? ngx_comms_op_create(ngx_comms_thread_renewed, f, 0) : NULL;

    /* the next third of the term comes in time */

    if (op == NULL) {
        json_decref(in);
        return;
    }

    t->renewing = op;
    t->renewal_since = ngx_current_msec;

    f->engine->store->renew(f->engine->store, in, op);
}


static void
ngx_comms_thread_renewed(ngx_comms_op_t *op)
{
    ngx_comms_flow_t    *f;
    ngx_comms_thread_t  *t;

    f = op->data;
    t = f->ctx;

    t->renewing = NULL;

    if (op->rc == NGX_OK) {
        t->lock_since = t->renewal_since;
        return;
    }

    if (op->rc == NGX_DECLINED) {
        t->lease_lost = 1;

        ngx_log_error(NGX_LOG_WARN, f->log, 0,
                      "lease was lost to another machine");
    }
}


ngx_int_t
ngx_comms_thread_release(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (t == NULL || t->lease == 0) {
        return NGX_OK;
    }

    if (!t->lock_asked) {
        return ngx_comms_thread_let_go(f);
    }

    /* a renewal that is refused because of the unlocking is no loss */

    t->locked = 0;
    ngx_comms_thread_forget_renewal(t);

    in = json_pack("{s:s%, s:s%, s:b}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "token", t->lock.data, t->lock.len,
                   "force", (int) ngx_comms_thread_forced(f));

    if (ngx_comms_thread_store(f, f->engine->store->unlock, in) == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    /* it ends with its term */

    t->lock_asked = 0;

    return ngx_comms_thread_let_go(f);
}


ngx_int_t
ngx_comms_thread_release_done(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (f->op_rc == NGX_AGAIN && !ngx_comms_thread_forced(f)) {
        t->locked = 1;
        return ngx_comms_flow_goto(f, ngx_comms_thread_claim);
    }

    t->lock_asked = 0;

    return ngx_comms_thread_let_go(f);
}


/* of the lease; the lock is gone by now, if there was one */

static ngx_int_t
ngx_comms_thread_let_go(ngx_comms_flow_t *f)
{
    ngx_comms_zone_t    *zone;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    zone = f->engine->zone;

    if (!ngx_comms_thread_forced(f)
        && ngx_comms_lease_release(zone, &t->thread_id, t->lease) == NGX_AGAIN)
    {
        return ngx_comms_flow_goto(f, ngx_comms_thread_lock);
    }

    ngx_comms_thread_lease_end(t);

    (void) ngx_comms_lease_drop(zone, &t->thread_id, t->lease);
    t->lease = 0;

    return NGX_OK;
}


static ngx_uint_t
ngx_comms_thread_forced(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    return f->over || t->lease_lost || t->rounds >= NGX_COMMS_TURN_ROUNDS;
}
