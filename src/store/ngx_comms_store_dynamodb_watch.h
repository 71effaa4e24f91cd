
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Watching locks that others hold.  Two machines' clocks need not agree:
 * whoever wants a lock notes, by its own clock, when it first saw the
 * version that each renewal changes.  A version that stood for a whole term of
 * its holder's is not renewed any more, as the holder wrote it before it
 * was seen, and counts its term from before that write.
 *
 * Pure; bounded: when there are too many locks, the one that was asked about
 * longest ago is forgotten, which makes its takeover later, never earlier.
 */


#ifndef _NGX_COMMS_STORE_DYNAMODB_WATCH_H_INCLUDED_
#define _NGX_COMMS_STORE_DYNAMODB_WATCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_COMMS_DYNAMODB_WATCHED  256

/* of a thread's id and of a version; what is longer is never overdue */
#define NGX_COMMS_DYNAMODB_WATCH_ID  64


typedef struct {
    u_char                      id[NGX_COMMS_DYNAMODB_WATCH_ID];
    u_char                      version[NGX_COMMS_DYNAMODB_WATCH_ID];
    size_t                      id_len;         /* 0: a free place */
    size_t                      version_len;
    ngx_msec_t                  seen;           /* first, this version */
    ngx_msec_t                  asked;          /* last */
} ngx_comms_dynamodb_watched_t;


typedef struct {
    ngx_comms_dynamodb_watched_t  locks[NGX_COMMS_DYNAMODB_WATCHED];
} ngx_comms_dynamodb_watch_t;


/*
 * The lock has been read, with this version; "now" is a clock that only goes
 * forward.  1: the version has stood for "term" ms.
 */
ngx_uint_t ngx_comms_dynamodb_watch(ngx_comms_dynamodb_watch_t *watch,
    ngx_str_t *id, ngx_str_t *version, ngx_msec_t term, ngx_msec_t now);

/* the lock is ours or free */
void ngx_comms_dynamodb_unwatch(ngx_comms_dynamodb_watch_t *watch,
    ngx_str_t *id);


#endif /* _NGX_COMMS_STORE_DYNAMODB_WATCH_H_INCLUDED_ */
