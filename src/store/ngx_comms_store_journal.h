
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The journal: a store around another one, the inner store, for inner stores
 * that are elsewhere and may be out of reach.
 *
 * All operations go through, but "keep": what the inner store does not take
 * is kept in the table "journal" of a local database, and forwarded in the
 * background.  So a provider is told that its message was kept as long as
 * either of the two works.
 */


#ifndef _NGX_COMMS_STORE_JOURNAL_H_INCLUDED_
#define _NGX_COMMS_STORE_JOURNAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <store/ngx_comms_store.h>
#include <sqlite/ngx_comms_sqlite.h>


/*
 * At configuration time; NULL when out of memory.  "patience" is how long an
 * answer of the inner store to "keep" is waited for.  init_process and
 * exit_process are passed on to the inner store and to the database.
 */
ngx_comms_store_t *ngx_comms_store_journal(ngx_conf_t *cf,
    ngx_comms_store_t *inner, ngx_comms_sqlite_t *db, ngx_msec_t patience);


#endif /* _NGX_COMMS_STORE_JOURNAL_H_INCLUDED_ */
