
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The rows that deal with the thread itself.
 *
 * A lease is renewed each third of its term by a timer of the flow.  The
 * first refusal marks the lease as lost; the flow then ends before its next
 * effect, and the store's fence refuses what it may still try to write.
 */


#include <flow/ngx_comms_thread.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_id.h>


static void ngx_comms_thread_cleanup(void *data);
static void ngx_comms_thread_renew(ngx_event_t *ev);
static void ngx_comms_thread_stop_renewal(ngx_comms_thread_t *t);


ngx_comms_thread_t *
ngx_comms_thread_create(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;
    ngx_pool_cleanup_t  *cln;

    t = ngx_pcalloc(f->pool, sizeof(ngx_comms_thread_t));
    if (t == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(f->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_comms_thread_cleanup;
    cln->data = t;

    t->renewal.handler = ngx_comms_thread_renew;
    t->renewal.data = f;
    t->renewal.log = f->log;
    t->renewal.cancelable = 1;

    t->started = ngx_current_msec;

    f->ctx = t;

    return t;
}


static void
ngx_comms_thread_cleanup(void *data)
{
    ngx_comms_thread_t *t = data;

    ngx_comms_thread_stop_renewal(t);

    json_decref(t->facts);
    json_decref(t->claim);
    json_decref(t->inbound);
    json_decref(t->reply);
    json_decref(t->event);
    json_decref(t->ask.question.input);
    json_decref(t->ask.question.schema);
    json_decref(t->ask.detail);
    json_decref(t->ask.outcome);
    json_decref(t->ask.answer.structured);
    json_decref(t->send.message);
    json_decref(t->send.outbound.template_variables);
}


ngx_int_t
ngx_comms_thread_name(ngx_comms_flow_t *f, json_t *ids)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_thread_str(f, ids, "thread_id", &t->thread_id) != NGX_OK
        || ngx_comms_thread_str(f, ids, "company_id", &t->company_id) != NGX_OK
        || ngx_comms_thread_str(f, ids, "project_id", &t->project_id)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!ngx_comms_thread_id_valid(&t->thread_id)
        || t->company_id.len == 0 || t->project_id.len == 0)
    {
        return NGX_DECLINED;
    }

    f->thread_id = t->thread_id;
    f->company_id = t->company_id;

    return NGX_OK;
}


ngx_int_t
ngx_comms_thread_project(ngx_comms_flow_t *f)
{
    ngx_int_t              rc;
    ngx_comms_op_t        *op;
    ngx_comms_thread_t    *t;
    ngx_comms_projects_t  *projects;

    t = f->ctx;
    projects = f->engine->projects;

    op = ngx_comms_flow_op(f, f->engine->op_timeout);
    if (op == NULL) {
        return NGX_ERROR;
    }

    rc = projects->find(projects, &t->company_id, &t->project_id, &t->project,
                        op);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    ngx_comms_flow_unused(f, op);

    if (rc == NGX_DECLINED) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "project is not configured", NULL);
    }

    return rc;
}


ngx_int_t
ngx_comms_thread_project_done(ngx_comms_flow_t *f)
{
    if (f->op_rc == NGX_COMMS_LATE) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "project was not fetched in time", NULL);
    }

    return NGX_BUSY;
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

        ngx_log_error(NGX_LOG_WARN, f->log, 0,
                      "lease was lost to another turn");
        return;
    }

    ngx_add_timer(&t->renewal, f->engine->lease_term / 3);
}


static void
ngx_comms_thread_stop_renewal(ngx_comms_thread_t *t)
{
    if (t->renewal.timer_set) {
        ngx_del_timer(&t->renewal);
    }
}


/*
 * Releasing and "nothing waits" are one decision: whoever came for the lease
 * since it was taken has marked it as wanted, and then the turn goes round
 * once more before it lets go.
 */

ngx_int_t
ngx_comms_thread_release(ngx_comms_flow_t *f)
{
    ngx_comms_zone_t    *zone;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (t == NULL || t->lease == 0) {
        return NGX_OK;
    }

    zone = f->engine->zone;

    if (!f->over && !t->lease_lost && t->rounds < NGX_COMMS_TURN_ROUNDS
        && ngx_comms_lease_release(zone, &t->thread_id, t->lease) == NGX_AGAIN)
    {
        return ngx_comms_flow_goto(f, ngx_comms_thread_claim);
    }

    ngx_comms_thread_stop_renewal(t);

    (void) ngx_comms_lease_drop(zone, &t->thread_id, t->lease);
    t->lease = 0;

    return NGX_OK;
}


ngx_int_t
ngx_comms_thread_claim(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (ngx_comms_thread_ours(f) != NGX_OK) {
        return NGX_ERROR;
    }

    t->rounds++;

    in = json_pack("{s:s%, s:i}", "thread_id", t->thread_id.data,
                   t->thread_id.len, "history", (int) f->engine->history);

    return ngx_comms_thread_store(f, f->engine->store->claim, in);
}


ngx_int_t
ngx_comms_thread_claim_done(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (f->op_rc == NGX_DECLINED) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "thread is not in the store", NULL);
    }

    if (f->op_rc != NGX_OK
        || ngx_comms_json_int(f->answer, "fence", &t->fence) != NGX_OK
        || !json_is_object(json_object_get(f->answer, "record")))
    {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "thread could not be claimed", NULL);
    }

    json_decref(t->claim);
    t->claim = json_incref(f->answer);

    json_decref(t->facts);
    t->facts = json_incref(json_object_get(f->answer, "record"));

    return NGX_OK;
}


ngx_int_t
ngx_comms_thread_ours(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (f->lost) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEFER,
                                   "queue message was lost", NULL);
    }

    if (t->lease_lost) {
        ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_FENCED, 1);

        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEFER,
                                   "lease was lost", NULL);
    }

    if (ngx_current_msec - t->started > f->engine->turn_timeout) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "turn took too long", NULL);
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_thread_store(ngx_comms_flow_t *f, ngx_comms_store_op_pt op_start,
    json_t *in)
{
    ngx_comms_op_t  *op;

    if (in == NULL) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY, "out of memory",
                                   NULL);
    }

    op = ngx_comms_flow_op(f, f->engine->op_timeout);
    if (op == NULL) {
        json_decref(in);
        return NGX_ERROR;
    }

    op_start(f->engine->store, in, op);

    return NGX_AGAIN;
}


ngx_uint_t
ngx_comms_thread_pause(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (t->tries == 0 || t->pausing) {
        t->pausing = 0;
        return 0;
    }

    t->pausing = 1;
    (void) ngx_comms_flow_pause(f, 100 << t->tries);

    return 1;
}


ngx_int_t
ngx_comms_thread_written(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (t->pausing) {
        return NGX_BUSY;
    }

    if (f->op_rc != NGX_ERROR && f->op_rc != NGX_COMMS_LATE) {
        t->tries = 0;
        return NGX_OK;
    }

    if (++t->tries < NGX_COMMS_WRITE_TRIES) {
        return NGX_BUSY;
    }

    t->tries = 0;

    return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                               "store could not be written", NULL);
}


ngx_int_t
ngx_comms_thread_str(ngx_comms_flow_t *f, json_t *object, const char *key,
    ngx_str_t *value)
{
    ngx_str_t  view;

    if (ngx_comms_json_str(object, key, &view) != NGX_OK || view.len == 0) {
        ngx_str_null(value);
        return NGX_OK;
    }

    value->len = view.len;
    value->data = ngx_pstrdup(f->pool, &view);

    return value->data == NULL ? NGX_ERROR : NGX_OK;
}
