
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Putting a message into a queue, as part of a work: for the bus, and for
 * those operations of the store that queue in the same durable step.
 */


#ifndef _NGX_COMMS_SQLITE_QUEUE_H_INCLUDED_
#define _NGX_COMMS_SQLITE_QUEUE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <sqlite/ngx_comms_sqlite.h>


/*
 * Asks for the notice, too.  "dedupe_id" empty: always a new message; else
 * nothing happens when the queue was ever given that id.  NGX_OK, NGX_ERROR.
 */
ngx_int_t ngx_comms_sqlite_queue_put(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *queue, ngx_str_t *group, ngx_str_t *dedupe_id, json_t *body,
    int64_t delay);

/*
 * When a message is visible that is to wait so many ms from now.  A provider
 * may have named the delay, and may have named any number: a week is all.
 */
int64_t ngx_comms_sqlite_queue_time(ngx_comms_sqlite_txn_t *txn,
    int64_t delay);


#endif /* _NGX_COMMS_SQLITE_QUEUE_H_INCLUDED_ */
