
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Where the queue keeps turns of a thread apart: FIFO groups.
 *
 * Whoever puts a message from a person into the queue does not know its
 * thread yet.  Such a message is in a group of its own; once the thread is
 * found, the message is put again, into the thread's group, and this run is
 * over.  A group has messages in flight on one machine at a time, and within
 * that machine there is the lease.
 *
 * A message that says the thread already is in the right group, unless its
 * thread has come to be another one meanwhile; then it moves once more.
 */


#include <flow/ngx_comms_thread.h>
#include <base/ngx_comms_json.h>


static json_t *ngx_comms_thread_group_in(ngx_comms_flow_t *f,
    ngx_comms_thread_t *t);


ngx_int_t
ngx_comms_thread_group(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_str_t            said;
    ngx_comms_op_t      *op;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (!f->engine->serialise_by_queue) {
        return NGX_OK;
    }

    (void) ngx_comms_json_str(f->body, "thread_id", &said);

    if (said.len == t->thread_id.len
        && ngx_strncmp(said.data, t->thread_id.data, said.len) == 0)
    {
        return NGX_OK;
    }

    in = ngx_comms_thread_group_in(f, t);

    op = in ? ngx_comms_flow_op(f, f->engine->op_timeout) : NULL;

    if (op == NULL) {
        json_decref(in);
        return NGX_ERROR;
    }

    f->engine->bus->put(f->engine->bus, in, op);

    return NGX_AGAIN;
}


static json_t *
ngx_comms_thread_group_in(ngx_comms_flow_t *f, ngx_comms_thread_t *t)
{
    u_char     *p;
    json_t     *body;
    ngx_str_t   id, dedupe_id;

    (void) ngx_comms_json_str(f->body, "inbound_id", &id);

    dedupe_id.len = t->thread_id.len + 1 + id.len;
    dedupe_id.data = ngx_pnalloc(f->pool, dedupe_id.len);
    if (dedupe_id.data == NULL) {
        return NULL;
    }

    p = ngx_cpymem(dedupe_id.data, t->thread_id.data, t->thread_id.len);
    *p++ = '#';
    ngx_memcpy(p, id.data, id.len);

    body = json_deep_copy(f->body);

    if (ngx_comms_json_set_str(body, "thread_id", &t->thread_id) != NGX_OK) {
        json_decref(body);
        return NULL;
    }

    return json_pack("{s:s%, s:o, s:s%, s:s%}",
                     "queue", f->queue.data, f->queue.len, "body", body,
                     "group", t->thread_id.data, t->thread_id.len,
                     "dedupe_id", dedupe_id.data, dedupe_id.len);
}


/* NGX_DONE: whoever receives it next goes on */

ngx_int_t
ngx_comms_thread_group_done(ngx_comms_flow_t *f)
{
    if (f->op_rc == NGX_OK) {
        return NGX_DONE;
    }

    return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                               "message could not be handed over", NULL);
}
