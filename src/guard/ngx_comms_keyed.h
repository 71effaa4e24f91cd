
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Named structs in the shared zone, found or made by kind and key.  Private
 * to this folder.
 *
 * All functions are called with the slab pool's mutex held.
 *
 * To add a kind: add it to the enum, and embed nothing that points into a
 * process.
 */


#ifndef _NGX_COMMS_KEYED_H_INCLUDED_
#define _NGX_COMMS_KEYED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <guard/ngx_comms_zone_private.h>


#define NGX_COMMS_KEYED_MAX  512    /* bytes of a key that tell it apart */


typedef enum {
    NGX_COMMS_KEYED_BREAKER = 1,
    NGX_COMMS_KEYED_RATE,
    NGX_COMMS_KEYED_BUDGET
} ngx_comms_keyed_kind_e;


typedef struct {
    ngx_rbtree_node_t    node;       /* key: crc32 of kind and key */
    ngx_queue_t          queue;      /* least recently used last */
    u_char               kind;
    u_char               pinned;     /* must not be evicted */
    u_short              len;
    uint32_t             offset;     /* of the key, behind the struct */
} ngx_comms_keyed_t;


/* the struct that follows a node */
#define ngx_comms_keyed_data(k)                                               \
    ((void *) ((u_char *) (k)                                                 \
               + ngx_align(sizeof(ngx_comms_keyed_t), sizeof(uint64_t))))

/*
 * The node of a key, made when there is none: its struct of "size" bytes is
 * then all zero.  Makes room by evicting the least recently used nodes and
 * limits; NULL when that was not enough.
 */
ngx_comms_keyed_t *ngx_comms_keyed_get(ngx_comms_zone_t *zone,
    ngx_uint_t kind, ngx_str_t *key, size_t size);

/*
 * The next node of a kind, the most recently used one first; NULL at the
 * end.  "after" NULL begins.
 */
ngx_comms_keyed_t *ngx_comms_keyed_next(ngx_comms_zone_t *zone,
    ngx_uint_t kind, ngx_comms_keyed_t *after);

/* its key, where it lies in the zone */
ngx_str_t ngx_comms_keyed_name(ngx_comms_keyed_t *k);


#endif /* _NGX_COMMS_KEYED_H_INCLUDED_ */
