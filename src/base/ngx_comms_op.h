
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * An operation: something asked of a backend that is answered later.
 *
 * Invariants:
 *   1. Whoever starts an operation creates it with ngx_comms_op_create() and
 *      gives it away to the backend, which finishes it exactly once, with
 *      ngx_comms_op_finish(), on the event loop and never before the
 *      function that started it has returned.
 *   2. The owner may cancel: then the handler is never called, and the
 *      operation still runs to its end, because its effect may be durable.
 *   3. The operation outlives requests and flows.  It holds no pointer to
 *      either but "data", which a cancel makes harmless.
 */


#ifndef _NGX_COMMS_OP_H_INCLUDED_
#define _NGX_COMMS_OP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>


typedef struct ngx_comms_op_s  ngx_comms_op_t;

typedef void (*ngx_comms_op_handler_pt)(ngx_comms_op_t *op);


struct ngx_comms_op_s {
    ngx_comms_op_handler_pt   handler;    /* NULL once cancelled */
    void                     *data;       /* the owner's */
    ngx_uint_t                seq;        /* the owner's number for it */

    ngx_int_t                 rc;         /* read by the handler */
    json_t                   *answer;     /* may be NULL; the handler borrows
                                             it and takes a reference of its
                                             own if it wants to keep it */
};


/* NULL when out of memory */
ngx_comms_op_t *ngx_comms_op_create(ngx_comms_op_handler_pt handler,
    void *data, ngx_uint_t seq);

/* by the owner: the handler will not be called */
void ngx_comms_op_cancel(ngx_comms_op_t *op);

/*
 * By the backend: calls the handler and frees the operation and the answer,
 * whose reference it takes over.
 */
void ngx_comms_op_finish(ngx_comms_op_t *op, ngx_int_t rc, json_t *answer);


#endif /* _NGX_COMMS_OP_H_INCLUDED_ */
