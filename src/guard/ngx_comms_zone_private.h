
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The layout of the shared memory zone.  Whoever changes it changes the
 * number below: a zone of another layout is not taken over by a reload.
 *
 * Locking: "count" and the members of a slot are atomic; all the rest is
 * under the slab pool's mutex.
 */


#ifndef _NGX_COMMS_ZONE_PRIVATE_H_INCLUDED_
#define _NGX_COMMS_ZONE_PRIVATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <guard/ngx_comms_zone.h>


#define NGX_COMMS_ZONE_LAYOUT   0x434f0003

/* worker processes at once, those that a reload lets finish included */
#define NGX_COMMS_ZONE_SLOTS    256

/* a power of two */
#define NGX_COMMS_ZONE_RING     1024


typedef struct {
    ngx_rbtree_node_t    node;       /* key: crc32 of the thread id */
    ngx_queue_t          queue;      /* by the time of the last renewal */
    uint64_t             token;
    ngx_msec_t           expires;
    ngx_pid_t            pid;
    unsigned             wanted:1;   /* since the last take or release */
    unsigned             awaited:1;  /* somebody may wait for a notice */
    u_char               len;
    u_char               thread_id[1];
} ngx_comms_lease_t;


typedef struct {
    ngx_rbtree_node_t    node;       /* key: crc32 of the limit's key */
    ngx_queue_t          queue;      /* least recently used last */
    uint64_t             period;     /* number of the current bucket */
    uint64_t             last;       /* time of the newest event, ms */
    ngx_msec_t           window;
    uint32_t             current;    /* events in it */
    uint32_t             previous;   /* events in the bucket before */
    u_short              len;
    u_char               key[1];
} ngx_comms_limit_t;


typedef struct {
    uint32_t             kind;
    uint32_t             hash;
} ngx_comms_ring_entry_t;


/* of one worker process; it is free when its process is gone */
typedef struct {
    ngx_atomic_t         pid;        /* 0: never taken */
    ngx_atomic_t         armed;      /* an eventfd must be written to */
    ngx_atomic_t         gauges[NGX_COMMS_GAUGES];
} ngx_comms_slot_t;


typedef struct {
    uint32_t                layout;
    uint32_t                size;

    uint64_t                token;   /* the last that was handed out */
    ngx_uint_t              nleases;
    ngx_rbtree_t            leases;
    ngx_rbtree_node_t       leases_sentinel;
    ngx_queue_t             leases_queue;

    ngx_rbtree_t            limits;
    ngx_rbtree_node_t       limits_sentinel;
    ngx_queue_t             limits_queue;

    ngx_rbtree_t            keyed;
    ngx_rbtree_node_t       keyed_sentinel;
    ngx_queue_t             keyed_queue;

    uint64_t                posted;  /* notices, ever */
    ngx_comms_ring_entry_t  ring[NGX_COMMS_ZONE_RING];

    ngx_atomic_t            counts[NGX_COMMS_COUNTERS];
    ngx_comms_slot_t        slots[NGX_COMMS_ZONE_SLOTS];
} ngx_comms_zone_layout_t;


/* of a process */
struct ngx_comms_zone_s {
    ngx_shm_zone_t           *shm_zone;
    ngx_slab_pool_t          *pool;
    ngx_comms_zone_layout_t  *layout;
    ngx_int_t                 slot;  /* NGX_CONF_UNSET: none yet */
};


/* lays a fresh pool out, whose address is in zone->pool */
ngx_int_t ngx_comms_zone_create(ngx_comms_zone_t *zone);

/* the slot of this process, or NULL when there are too many processes */
ngx_comms_slot_t *ngx_comms_zone_slot(ngx_comms_zone_t *zone);

/* 1: there surely is no such process */
ngx_uint_t ngx_comms_zone_process_gone(ngx_pid_t pid);

/* with the mutex held: frees memory of limits; 0 when there is none left */
ngx_uint_t ngx_comms_limiter_evict(ngx_comms_zone_t *zone);

/*
 * With the mutex held: the node of a key and a window, the most recently used
 * one then; made where it is absent, and "create" is not 0.  NULL: absent, or
 * no memory is left.
 */
ngx_comms_limit_t *ngx_comms_limiter_node(ngx_comms_zone_t *zone,
    ngx_str_t *key, ngx_msec_t window, ngx_uint_t create);

/* with the mutex held */
void ngx_comms_limiter_drop(ngx_comms_zone_t *zone, ngx_comms_limit_t *limit);


#endif /* _NGX_COMMS_ZONE_PRIVATE_H_INCLUDED_ */
