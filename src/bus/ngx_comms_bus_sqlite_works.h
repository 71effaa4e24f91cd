
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Inside of the embedded bus: one work for each operation.  They run in the
 * thread; see sqlite/ngx_comms_sqlite.h for what that means.
 */


#ifndef _NGX_COMMS_BUS_SQLITE_WORKS_H_INCLUDED_
#define _NGX_COMMS_BUS_SQLITE_WORKS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <sqlite/ngx_comms_sqlite.h>


/* a message can be hidden for so long at a time, ms: twelve hours */
#define NGX_COMMS_BUS_SQLITE_MAX_VISIBILITY  43200000


/* put */
ngx_int_t ngx_comms_bus_sqlite_put(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer);
ngx_int_t ngx_comms_bus_sqlite_publish(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);

/* receive */
ngx_int_t ngx_comms_bus_sqlite_receive(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);

/* receipt: what the holder of one may do */
ngx_int_t ngx_comms_bus_sqlite_extend(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);
ngx_int_t ngx_comms_bus_sqlite_remove(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);
ngx_int_t ngx_comms_bus_sqlite_give_back(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);
ngx_int_t ngx_comms_bus_sqlite_bury(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer);

/* depths */
ngx_int_t ngx_comms_bus_sqlite_depths(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);


/* moves a message to the dead letters; NGX_OK or NGX_ERROR */
ngx_int_t ngx_comms_bus_sqlite_die(ngx_comms_sqlite_txn_t *txn, int64_t id,
    ngx_str_t *reason);


/*
 * A receipt is "<message>:<hand-out>", both numbers.  A message counts how
 * often it was handed out, which its receive_count does not, since that can
 * be taken back: so no two receipts are the same.
 */
json_t *ngx_comms_bus_sqlite_receipt(int64_t id, int64_t handed);

/* NGX_DECLINED: none of ours */
ngx_int_t ngx_comms_bus_sqlite_receipt_read(ngx_str_t *receipt, int64_t *id,
    int64_t *handed);


#endif /* _NGX_COMMS_BUS_SQLITE_WORKS_H_INCLUDED_ */
