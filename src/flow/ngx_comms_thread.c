
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The rows that deal with the thread itself, and what writing rows share.
 * The lease has a file of its own, ngx_comms_thread_lease.c.
 */


#include <flow/ngx_comms_thread.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_id.h>


static void ngx_comms_thread_cleanup(void *data);


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

    t->started = ngx_current_msec;

    f->ctx = t;

    ngx_comms_thread_lease_init(f);

    return t;
}


static void
ngx_comms_thread_cleanup(void *data)
{
    ngx_comms_thread_t *t = data;

    ngx_comms_thread_lease_end(t);

    json_decref(t->facts);
    json_decref(t->claim);
    json_decref(t->inbound);
    json_decref(t->reply);
    json_decref(t->parts);
    json_decref(t->event);
    json_decref(t->ask.question.input);
    json_decref(t->ask.question.schema);
    json_decref(t->ask.detail);
    json_decref(t->ask.outcome);
    json_decref(t->ask.log);
    json_decref(t->ask.answer.structured);
    json_decref(t->send.message);
    json_decref(t->send.moved);
    json_decref(t->send.outbound.template_variables);
    json_decref(t->consent.addresses);
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

    if (ngx_comms_thread_overdue(f)) {
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


ngx_uint_t
ngx_comms_thread_dies(ngx_comms_flow_t *f)
{
    if (!f->over || f->lost || f->thread_id.len == 0) {
        return 0;
    }

    return f->verdict == NGX_COMMS_FLOW_DEAD
           || (f->verdict == NGX_COMMS_FLOW_RETRY && f->last);
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
ngx_comms_thread_recorded(ngx_comms_flow_t *f)
{
    ngx_int_t  rc;

    rc = ngx_comms_thread_written(f);

    if (rc != NGX_OK || f->op_rc == NGX_OK) {
        return rc;
    }

    ngx_comms_count(f->engine->zone, NGX_COMMS_COUNT_FENCED, 1);

    return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEFER,
                               "thread passed to another turn", NULL);
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


ngx_uint_t
ngx_comms_thread_rotated(ngx_comms_flow_t *f, ngx_str_t *id)
{
    ngx_comms_secrets_t  *secrets;

    secrets = f->engine->secrets;

    return f->exchange != NULL
           && f->exchange->outcome == NGX_COMMS_EXCHANGE_COMPLETE
           && f->exchange->status == 401
           && secrets->refused != NULL
           && secrets->refused(secrets, id) == NGX_OK;
}
