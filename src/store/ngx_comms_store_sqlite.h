
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#ifndef _NGX_COMMS_STORE_SQLITE_H_INCLUDED_
#define _NGX_COMMS_STORE_SQLITE_H_INCLUDED_


#include <store/ngx_comms_store.h>
#include <sqlite/ngx_comms_sqlite.h>


/*
 * At configuration time; NULL when out of memory.  Threads at rest for more
 * than "retention_days" are removed; 0: never.
 */
ngx_comms_store_t *ngx_comms_store_sqlite(ngx_conf_t *cf,
    ngx_comms_sqlite_t *db, ngx_uint_t retention_days);


#endif /* _NGX_COMMS_STORE_SQLITE_H_INCLUDED_ */
