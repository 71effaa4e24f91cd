
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The media store: pictures, sound and documents that people sent, and that
 * are sent to them.  Files below one directory, written durably from a thread
 * pool; the record names them by media_id.
 *
 * Bounded: each file by max_size, all of them by max_total (a file that does
 * not fit is refused, nothing is evicted).  What a file claims to be is
 * checked against its first bytes; a type that is not in the list of
 * ngx_comms_media_types[] is refused.
 *
 * Several machines use a directory that they share.
 */


#ifndef _NGX_COMMS_MEDIA_H_INCLUDED_
#define _NGX_COMMS_MEDIA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_thread_pool.h>
#include <jansson.h>
#include <base/ngx_comms_op.h>


typedef struct ngx_comms_media_s  ngx_comms_media_t;


/*
 * At configuration time: has nginx make the directory for its workers, which
 * "pool" (a thread pool) writes to.  NULL after logging.
 */
ngx_comms_media_t *ngx_comms_media_add(ngx_conf_t *cf, ngx_str_t *dir,
    size_t max_size, off_t max_total, ngx_thread_pool_t *pool);

ngx_int_t ngx_comms_media_init_process(ngx_comms_media_t *media,
    ngx_cycle_t *cycle);

size_t ngx_comms_media_max_size(ngx_comms_media_t *media);

/*
 * Keeps "bytes", which must stay until the operation is finished.  "media_id"
 * is the caller's ("md_" and a ULID): the same id again is the same file.
 *   NGX_OK        durable; {"media_id", "content_type", "size", "sha256"}
 *   NGX_DECLINED  refused; {"refused": "type" | "size" | "full"}
 *   NGX_ERROR     not written, logged; trying again is safe
 */
void ngx_comms_media_put(ngx_comms_media_t *media, ngx_str_t *media_id,
    ngx_str_t *content_type, ngx_str_t *bytes, ngx_comms_op_t *op);

/*
 * Reads a file into "pool", which must stay until the operation is finished;
 * "bytes" is set then.  NGX_DECLINED: there is none.
 */
void ngx_comms_media_get(ngx_comms_media_t *media, ngx_str_t *media_id,
    ngx_pool_t *pool, ngx_str_t *bytes, ngx_comms_op_t *op);

/* NGX_OK, also when there is none */
void ngx_comms_media_remove(ngx_comms_media_t *media, ngx_str_t *media_id,
    ngx_comms_op_t *op);

/* where a file is, for handlers that send it; NGX_DECLINED: not an id */
ngx_int_t ngx_comms_media_path(ngx_comms_media_t *media, ngx_str_t *media_id,
    ngx_pool_t *pool, ngx_str_t *path);

/* is it what it says?  The type to be believed, static; NULL: refused */
const char *ngx_comms_media_type(ngx_str_t *content_type, ngx_str_t *bytes);


#endif /* _NGX_COMMS_MEDIA_H_INCLUDED_ */
