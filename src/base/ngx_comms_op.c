
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Operations live in the process heap and in no pool: they outlive whoever
 * started them (see the header for the invariants).
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "base/ngx_comms_op.h"


ngx_comms_op_t *
ngx_comms_op_create(ngx_comms_op_handler_pt handler, void *data,
    ngx_uint_t seq)
{
    ngx_comms_op_t  *op;

    op = ngx_calloc(sizeof(ngx_comms_op_t), ngx_cycle->log);
    if (op == NULL) {
        return NULL;
    }

    op->handler = handler;
    op->data = data;
    op->seq = seq;

    return op;
}


void
ngx_comms_op_cancel(ngx_comms_op_t *op)
{
    op->handler = NULL;
    op->data = NULL;
}


void
ngx_comms_op_finish(ngx_comms_op_t *op, ngx_int_t rc, json_t *answer)
{
    op->rc = rc;
    op->answer = answer;

    if (op->handler != NULL) {
        op->handler(op);
    }

    json_decref(answer);
    ngx_free(op);
}
