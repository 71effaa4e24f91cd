
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#ifndef _NGX_COMMS_STORE_DYNAMODB_LOCK_H_INCLUDED_
#define _NGX_COMMS_STORE_DYNAMODB_LOCK_H_INCLUDED_


#include <store/ngx_comms_store_dynamodb.h>


/*
 * At configuration time: gives a store that ngx_comms_store_dynamodb() has
 * made its lock, renew and unlock, over the table of that name.  NGX_OK or
 * NGX_ERROR (out of memory).
 */
ngx_int_t ngx_comms_store_dynamodb_lock(ngx_conf_t *cf,
    ngx_comms_store_t *store, ngx_str_t *table);


#endif /* _NGX_COMMS_STORE_DYNAMODB_LOCK_H_INCLUDED_ */
