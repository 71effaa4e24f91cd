
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the event loop's side of the media store and the thread's share.
 */


#ifndef _NGX_COMMS_MEDIA_PRIVATE_H_INCLUDED_
#define _NGX_COMMS_MEDIA_PRIVATE_H_INCLUDED_


#include <base/ngx_comms_crypto.h>
#include <media/ngx_comms_media.h>


/* "dir/xx/md_<ulid>" */
#define NGX_COMMS_MEDIA_ID_LEN  (sizeof("md_") - 1 + 26)


struct ngx_comms_media_s {
    ngx_str_t            dir;           /* NUL-terminated, no slash at its
                                           end */
    size_t               max_size;
    off_t                max_total;
    ngx_thread_pool_t   *pool;
    ngx_log_t           *log;           /* NULL: not in a worker */

    /* threads use these, by atomic operations alone */
    int64_t              total;         /* bytes */
    int64_t              counted_at;    /* ms; 0: never */
};


typedef enum {
    NGX_COMMS_MEDIA_PUT = 0,
    NGX_COMMS_MEDIA_GET,
    NGX_COMMS_MEDIA_REMOVE
} ngx_comms_media_job_e;


/* what a thread is to do, and what came of it; it logs nothing */
typedef struct {
    void                   *unused[3];  /* what debug builds of nginx read */
    ngx_socket_t            fd;         /* through an event's data */

    ngx_pool_t             *own;        /* this lives in it */
    ngx_comms_media_t      *media;
    ngx_comms_op_t         *op;
    ngx_event_t             pending;

    ngx_comms_media_job_e   job;
    u_char                 *path;       /* NUL-terminated */
    size_t                  dir_len;    /* of the shard, within the path */
    ngx_str_t               content_type;
    ngx_str_t               bytes;      /* of a put the caller's, of a get
                                           allocated */

    ngx_int_t               rc;
    const char             *type;
    const char             *refused;
    u_char                  digest[NGX_COMMS_SHA256_LEN];
    ngx_err_t               err;
    const char             *failed;     /* the call that did */

    ngx_pool_t             *pool;       /* of a get: for the bytes */
    ngx_str_t              *result;

    ngx_str_t               media_id;
    u_char                  id[NGX_COMMS_MEDIA_ID_LEN];
} ngx_comms_media_work_t;


/* in a thread */
void ngx_comms_media_put_file(ngx_comms_media_work_t *w);
void ngx_comms_media_get_file(ngx_comms_media_work_t *w);
void ngx_comms_media_remove_file(ngx_comms_media_work_t *w);


#endif /* _NGX_COMMS_MEDIA_PRIVATE_H_INCLUDED_ */
