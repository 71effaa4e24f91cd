
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The zone's life: made at the first start, kept by reloads, and the slots of
 * its processes.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <signal.h>
#include <guard/ngx_comms_zone_private.h>


static ngx_int_t ngx_comms_zone_init(ngx_shm_zone_t *shm_zone, void *data);


ngx_comms_zone_t *
ngx_comms_zone_add(ngx_conf_t *cf, ngx_str_t *name, size_t size, void *tag)
{
    ngx_comms_zone_t  *zone;

    if (name->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid zone name \"%V\"",
                           name);
        return NULL;
    }

    if (size < NGX_COMMS_ZONE_MIN_SIZE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "zone \"%V\" is too small",
                           name);
        return NULL;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_comms_zone_t));
    if (zone == NULL) {
        return NULL;
    }

    zone->slot = NGX_CONF_UNSET;

    zone->shm_zone = ngx_shared_memory_add(cf, name, size, tag);
    if (zone->shm_zone == NULL) {
        return NULL;
    }

    if (zone->shm_zone->data != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is already in use", name);
        return NULL;
    }

    zone->shm_zone->init = ngx_comms_zone_init;
    zone->shm_zone->data = zone;

    return zone;
}


static ngx_int_t
ngx_comms_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_comms_zone_t *old = data;

    ngx_comms_zone_t  *zone;

    zone = shm_zone->data;
    zone->pool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old == NULL && !shm_zone->shm.exists) {
        return ngx_comms_zone_create(zone);
    }

    zone->layout = zone->pool->data;

    if (zone->layout->layout != NGX_COMMS_ZONE_LAYOUT
        || zone->layout->size != sizeof(ngx_comms_zone_layout_t))
    {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "zone \"%V\" was made by another version of the "
                      "module: a restart is needed", &shm_zone->shm.name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_zone_create(ngx_comms_zone_t *zone)
{
    ngx_comms_zone_layout_t  *layout;

    layout = ngx_slab_calloc(zone->pool, sizeof(ngx_comms_zone_layout_t));
    if (layout == NULL) {
        return NGX_ERROR;
    }

    layout->layout = NGX_COMMS_ZONE_LAYOUT;
    layout->size = sizeof(ngx_comms_zone_layout_t);

    /*
     * A tree's insert function would be an address of one process: it is set
     * before each insert.
     */

    ngx_rbtree_init(&layout->leases, &layout->leases_sentinel, NULL);
    ngx_queue_init(&layout->leases_queue);

    ngx_rbtree_init(&layout->limits, &layout->limits_sentinel, NULL);
    ngx_queue_init(&layout->limits_queue);

    ngx_rbtree_init(&layout->keyed, &layout->keyed_sentinel, NULL);
    ngx_queue_init(&layout->keyed_queue);

    /* a full zone is expected and handled: the slab must not log it, least
       of all with the mutex held */

    zone->pool->log_nomem = 0;

    zone->layout = layout;
    zone->pool->data = layout;

    return NGX_OK;
}


ngx_comms_slot_t *
ngx_comms_zone_slot(ngx_comms_zone_t *zone)
{
    ngx_int_t            i;
    ngx_uint_t           g;
    ngx_comms_slot_t    *slot;
    ngx_atomic_uint_t    pid;

    if (zone->slot >= 0) {
        return &zone->layout->slots[zone->slot];
    }

    if (zone->slot == NGX_DECLINED) {
        return NULL;
    }

    for (i = 0; i < NGX_COMMS_ZONE_SLOTS; i++) {
        slot = &zone->layout->slots[i];
        pid = slot->pid;

        /* an equal pid is that of a process before this one, long gone */

        if (pid != 0 && pid != (ngx_atomic_uint_t) ngx_pid
            && !ngx_comms_zone_process_gone((ngx_pid_t) pid))
        {
            continue;
        }

        if (pid != (ngx_atomic_uint_t) ngx_pid
            && !ngx_atomic_cmp_set(&slot->pid, pid, ngx_pid))
        {
            continue;
        }

        slot->armed = 0;

        for (g = 0; g < NGX_COMMS_GAUGES; g++) {
            slot->gauges[g] = 0;
        }

        zone->slot = i;

        return slot;
    }

    /* said once, by not asking again */

    zone->slot = NGX_DECLINED;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "more than %d worker processes: this one is not counted "
                  "and hears notices late", NGX_COMMS_ZONE_SLOTS);

    return NULL;
}


ngx_uint_t
ngx_comms_zone_process_gone(ngx_pid_t pid)
{
    return kill(pid, 0) == -1 && ngx_errno == ESRCH;
}
