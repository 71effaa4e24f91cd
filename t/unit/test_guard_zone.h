
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A zone in ordinary memory.
 */


#ifndef _TEST_GUARD_ZONE_H_INCLUDED_
#define _TEST_GUARD_ZONE_H_INCLUDED_


#include "nginx_env.h"
#include "guard/ngx_comms_zone_private.h"


static ngx_comms_zone_t *
unit_zone(size_t size)
{
    ngx_slab_pool_t          *pool;
    static ngx_comms_zone_t   zone;

    free(zone.pool);

    pool = aligned_alloc(ngx_pagesize, size);
    assert_non_null(pool);

    ngx_memzero(pool, size);
    pool->end = (u_char *) pool + size;
    pool->min_shift = 3;
    pool->addr = pool;

    assert_int_equal(ngx_shmtx_create(&pool->mutex, &pool->lock, NULL),
                     NGX_OK);

    ngx_slab_init(pool);

    ngx_memzero(&zone, sizeof(ngx_comms_zone_t));
    zone.pool = pool;
    zone.slot = NGX_CONF_UNSET;

    assert_int_equal(ngx_comms_zone_create(&zone), NGX_OK);

    return &zone;
}


#endif /* _TEST_GUARD_ZONE_H_INCLUDED_ */
