
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <http/ngx_http_comms_await.h>


struct ngx_http_comms_await_s {
    ngx_http_request_t       *request;
    void                     *data;
    ngx_comms_op_t           *op;          /* NULL: none in flight */
    ngx_http_comms_await_pt   handler;
    ngx_event_t               timer;
};


static void ngx_http_comms_await_done(ngx_comms_op_t *op);
static void ngx_http_comms_await_timeout(ngx_event_t *ev);
static void ngx_http_comms_await_wake(ngx_http_comms_await_t *aw,
    ngx_int_t rc, json_t *answer);
static void ngx_http_comms_await_cleanup(void *data);
static void ngx_http_comms_json_cleanup(void *data);


ngx_http_comms_await_t *
ngx_http_comms_await_create(ngx_http_request_t *r, void *data)
{
    ngx_http_cleanup_t      *cln;
    ngx_http_comms_await_t  *aw;

    aw = ngx_pcalloc(r->pool, sizeof(ngx_http_comms_await_t));
    if (aw == NULL) {
        return NULL;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_comms_await_cleanup;
    cln->data = aw;

    aw->request = r;
    aw->data = data;
    aw->timer.handler = ngx_http_comms_await_timeout;
    aw->timer.data = aw;
    aw->timer.log = r->connection->log;

    return aw;
}


ngx_comms_op_t *
ngx_http_comms_await_op(ngx_http_comms_await_t *aw, ngx_msec_t timeout,
    ngx_http_comms_await_pt handler)
{
    aw->op = ngx_comms_op_create(ngx_http_comms_await_done, aw, 0);
    if (aw->op == NULL) {
        return NULL;
    }

    aw->handler = handler;

    ngx_add_timer(&aw->timer, timeout);

    return aw->op;
}


ngx_uint_t
ngx_http_comms_awaiting(ngx_http_comms_await_t *aw)
{
    return aw->op != NULL;
}


static void
ngx_http_comms_await_done(ngx_comms_op_t *op)
{
    ngx_http_comms_await_t *aw = op->data;

    aw->op = NULL;

    if (aw->timer.timer_set) {
        ngx_del_timer(&aw->timer);
    }

    ngx_http_comms_await_wake(aw, op->rc, op->answer);
}


static void
ngx_http_comms_await_timeout(ngx_event_t *ev)
{
    ngx_http_comms_await_t *aw = ev->data;

    ngx_comms_op_cancel(aw->op);
    aw->op = NULL;

    ngx_http_comms_await_wake(aw, NGX_ABORT, NULL);
}


static void
ngx_http_comms_await_wake(ngx_http_comms_await_t *aw, ngx_int_t rc,
    json_t *answer)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = aw->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "http comms await woken: %i", rc);

    aw->handler(r, aw->data, rc, answer);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_comms_await_cleanup(void *data)
{
    ngx_http_comms_await_t *aw = data;

    if (aw->op != NULL) {
        ngx_comms_op_cancel(aw->op);
        aw->op = NULL;
    }

    if (aw->timer.timer_set) {
        ngx_del_timer(&aw->timer);
    }
}


ngx_int_t
ngx_http_comms_await_client(ngx_http_request_t *r)
{
    ngx_event_t  *rev;

    rev = r->connection->read;

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_events);

    } else if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_OK;
}


ngx_int_t
ngx_http_comms_keep_json(ngx_http_request_t *r, json_t *document)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (cln == NULL) {
        json_decref(document);
        return NGX_ERROR;
    }

    cln->handler = ngx_http_comms_json_cleanup;
    cln->data = document;

    return NGX_OK;
}


static void
ngx_http_comms_json_cleanup(void *data)
{
    json_decref(data);
}
