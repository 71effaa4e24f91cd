
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The life of a task, and texts made in its pool.
 *
 * A task belongs to nobody else: it has no pointer to a request or a flow,
 * and it runs to its end when its operation was cancelled, because what it
 * does is durable.  Its pool goes with it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_crypto.h>
#include <store/ngx_comms_store_dynamodb_task.h>


/* of a key or an expression; the service's keys have 2048 bytes at most */
#define NGX_COMMS_DYNAMODB_TEXT  2048

/* of what comes from outside, in a key */
#define NGX_COMMS_DYNAMODB_PART  400


static void ngx_comms_dynamodb_first(ngx_event_t *ev);
static void ngx_comms_dynamodb_release(void *data);


void
ngx_comms_dynamodb_start(ngx_comms_dynamodb_t *db, json_t *in,
    ngx_comms_op_t *op, ngx_comms_dynamodb_step_pt first)
{
    ngx_pool_t                 *pool;
    ngx_comms_dynamodb_task_t  *t;

    pool = ngx_create_pool(4096, ngx_cycle->log);

    t = (pool != NULL) ? ngx_pcalloc(pool, sizeof(ngx_comms_dynamodb_task_t))
                       : NULL;

    if (t == NULL) {
        if (pool != NULL) {
            ngx_destroy_pool(pool);
        }

        json_decref(in);

        /* too early, but without memory there is no way to wait */

        if (op != NULL) {
            ngx_comms_op_finish(op, NGX_ERROR, NULL);
        }

        return;
    }

    t->db = db;
    t->in = in;
    t->op = op;
    t->pool = pool;
    t->step = first;

    t->first.handler = ngx_comms_dynamodb_first;
    t->first.data = t;
    t->first.log = ngx_cycle->log;

    ngx_post_event(&t->first, &ngx_posted_events);
}


static void
ngx_comms_dynamodb_first(ngx_event_t *ev)
{
    ngx_comms_dynamodb_task_t  *t;

    t = ev->data;

    t->step(t, NULL);
}


void
ngx_comms_dynamodb_finish(ngx_comms_dynamodb_task_t *t, ngx_int_t rc,
    json_t *answer)
{
    ngx_comms_op_t  *op;

    op = t->op;

    if (t->changed.len != 0 && rc == NGX_OK) {
        ngx_comms_notice_post(t->db->conf->zone, NGX_COMMS_NOTICE_THREAD,
                              &t->changed);
    }

    json_decref(t->in);
    json_decref(t->outcome);
    json_decref(t->request);

    ngx_destroy_pool(t->pool);

    if (op != NULL) {
        ngx_comms_op_finish(op, rc, answer);

    } else {
        json_decref(answer);
    }
}


void
ngx_comms_dynamodb_fail(ngx_comms_dynamodb_task_t *t)
{
    if (t->committed) {
        ngx_comms_dynamodb_finish(t, NGX_OK, json_incref(t->outcome));
        return;
    }

    ngx_comms_dynamodb_finish(t, NGX_ERROR, NULL);
}


void
ngx_comms_dynamodb_commit(ngx_comms_dynamodb_task_t *t, json_t *outcome)
{
    t->committed = 1;
    t->outcome = outcome;
}


json_t *
ngx_comms_dynamodb_hold(ngx_comms_dynamodb_task_t *t, json_t *doc)
{
    ngx_pool_cleanup_t  *cln;

    if (doc == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(t->pool, 0);

    if (cln == NULL) {
        json_decref(doc);
        return NULL;
    }

    cln->handler = ngx_comms_dynamodb_release;
    cln->data = doc;

    return doc;
}


static void
ngx_comms_dynamodb_release(void *data)
{
    json_decref(data);
}


ngx_str_t
ngx_comms_dynamodb_text(ngx_comms_dynamodb_task_t *t, const char *fmt, ...)
{
    u_char     *last, buf[NGX_COMMS_DYNAMODB_TEXT];
    va_list     args;
    ngx_str_t   text;

    va_start(args, fmt);
    last = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    ngx_str_null(&text);

    /* one that was cut might be another's key */

    if (last == buf + sizeof(buf)) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "comms key is too long for DynamoDB");
        return text;
    }

    text.data = ngx_pnalloc(t->pool, last - buf);

    if (text.data != NULL) {
        text.len = last - buf;
        ngx_memcpy(text.data, buf, text.len);
    }

    return text;
}


ngx_str_t
ngx_comms_dynamodb_part(ngx_comms_dynamodb_task_t *t, ngx_str_t text)
{
    ngx_str_t  hex;

    if (text.len <= NGX_COMMS_DYNAMODB_PART) {
        return text;
    }

    if (ngx_comms_sha256_hex(t->pool, &text, &hex) != NGX_OK) {
        ngx_str_null(&hex);
    }

    return hex;
}
