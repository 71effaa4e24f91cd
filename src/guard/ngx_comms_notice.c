
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Notices: a ring in the zone says what happened, eventfds wake those who
 * have not looked yet.
 *
 *   post:    entry -> ring, "posted" + 1; for each slot: armed 1 -> 0 ? write
 *   listen:  (woken) read the eventfd; armed = 1; take the entries from the
 *            own cursor to "posted"; call the handlers
 *
 * The listener arms before it takes, the poster appends before it looks at
 * "armed": one of them sees the other, and no wake is lost.  A slot that is
 * not armed was written to already, so that a storm of notices costs one
 * write for each listener.
 *
 * The eventfds are made in the master, since a descriptor reaches another
 * process by fork only.  Number i belongs to slot i of the zone.  There are
 * about twice as many as worker processes, because those of the cycle before
 * still run for a while after a reload, with slots of their own.
 *
 * Wakes that do get lost: to a slot that has no eventfd in the poster's
 * process (made by a later reload), and after a reload with a fresh zone,
 * where slot i of the old zone and slot i of the new one share an eventfd.
 * For these, each listener looks at the ring every 250 ms.
 *
 * Handlers are called from events only, never from a post.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_channel.h>
#include <sys/eventfd.h>
#include <guard/ngx_comms_zone_private.h>


#define NGX_COMMS_NOTICE_NET        250
#define NGX_COMMS_NOTICE_BATCH      64
#define NGX_COMMS_NOTICE_LISTENERS  32


typedef struct {
    ngx_comms_notice_e            kind;
    ngx_comms_notice_handler_pt   handler;
    void                         *data;
} ngx_comms_listener_t;


/* of a worker process */
typedef struct {
    void                         *unused[3];  /* what debug builds of nginx */
    ngx_socket_t                  fd;         /* read through event data: -1 */

    ngx_comms_zone_t             *zone;       /* NULL: does not listen */
    ngx_comms_slot_t             *slot;       /* may be NULL */
    uint64_t                      cursor;     /* entries seen */

    ngx_event_t                   look;
    ngx_event_t                   net;

    ngx_uint_t                    nlisteners;
    ngx_comms_listener_t          listeners[NGX_COMMS_NOTICE_LISTENERS];
} ngx_comms_ears_t;


static void ngx_comms_notice_wake(ngx_comms_zone_t *zone);
static void ngx_comms_notice_woken(ngx_event_t *ev);
static void ngx_comms_notice_look(ngx_event_t *ev);
static void ngx_comms_notice_net(ngx_event_t *ev);
static ngx_uint_t ngx_comms_notice_deliver(void);
static ngx_uint_t ngx_comms_notice_read(ngx_comms_ring_entry_t *entries,
    uint64_t end);
static void ngx_comms_notice_call(ngx_comms_notice_e kind, uint32_t hash);


/* kept over reloads: the processes of an earlier cycle have them as well */
static int               ngx_comms_notice_fds[NGX_COMMS_ZONE_SLOTS];
static ngx_uint_t        ngx_comms_notice_nfds;

static ngx_comms_ears_t  ngx_comms_ears;


ngx_int_t
ngx_comms_notice_init_module(ngx_cycle_t *cycle, ngx_uint_t n)
{
    int         fd;
    ngx_uint_t  max;

    max = (n < NGX_COMMS_ZONE_SLOTS / 2) ? n * 2 + 2 : NGX_COMMS_ZONE_SLOTS;
    max = ngx_min(max, NGX_COMMS_ZONE_SLOTS);

    while (ngx_comms_notice_nfds < max) {

        /* closed by exec: a binary upgrade makes its own, for its own zone */

        fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

        if (fd == -1) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                          "eventfd() failed");
            return NGX_ERROR;
        }

        ngx_comms_notice_fds[ngx_comms_notice_nfds++] = fd;
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_notice_init_process(ngx_cycle_t *cycle, ngx_comms_zone_t *zone)
{
    ngx_int_t          i;
    ngx_comms_ears_t  *ears;

    ears = &ngx_comms_ears;

    ears->fd = (ngx_socket_t) -1;
    ears->zone = zone;
    ears->slot = ngx_comms_zone_slot(zone);

    ears->look.handler = ngx_comms_notice_look;
    ears->look.data = ears;
    ears->look.log = cycle->log;

    ears->net.handler = ngx_comms_notice_net;
    ears->net.data = ears;
    ears->net.log = cycle->log;
    ears->net.cancelable = 1;

    /* what was posted before is found by whoever starts to look now */

    ngx_shmtx_lock(&zone->pool->mutex);

    ears->cursor = zone->layout->posted;

    ngx_shmtx_unlock(&zone->pool->mutex);

    ngx_add_timer(&ears->net, NGX_COMMS_NOTICE_NET);

    i = zone->slot;

    if (ears->slot == NULL || i >= (ngx_int_t) ngx_comms_notice_nfds) {
        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "no eventfd left for this process: it hears notices "
                      "within %d ms", NGX_COMMS_NOTICE_NET);
        return NGX_OK;
    }

    /* nginx's own channel is added the same way: such a connection does not
       count as left open when the worker exits */

    if (ngx_add_channel_event(cycle, ngx_comms_notice_fds[i],
                              NGX_READ_EVENT, ngx_comms_notice_woken)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ears->slot->armed = 1;

    return NGX_OK;
}


ngx_int_t
ngx_comms_notice_listen(ngx_comms_notice_e kind,
    ngx_comms_notice_handler_pt handler, void *data)
{
    ngx_comms_ears_t      *ears;
    ngx_comms_listener_t  *listener;

    ears = &ngx_comms_ears;

    if (ears->nlisteners == NGX_COMMS_NOTICE_LISTENERS) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "more than %d listen to notices",
                      NGX_COMMS_NOTICE_LISTENERS);
        return NGX_ERROR;
    }

    listener = &ears->listeners[ears->nlisteners++];

    listener->kind = kind;
    listener->handler = handler;
    listener->data = data;

    return NGX_OK;
}


void
ngx_comms_notice_post(ngx_comms_zone_t *zone, ngx_comms_notice_e kind,
    ngx_str_t *key)
{
    ngx_comms_notice_post_hash(zone, kind, ngx_comms_notice_hash(key));
}


void
ngx_comms_notice_post_hash(ngx_comms_zone_t *zone, ngx_comms_notice_e kind,
    uint32_t hash)
{
    ngx_comms_ring_entry_t   *entry;
    ngx_comms_zone_layout_t  *layout;

    layout = zone->layout;

    ngx_shmtx_lock(&zone->pool->mutex);

    entry = &layout->ring[layout->posted % NGX_COMMS_ZONE_RING];
    entry->kind = kind;
    entry->hash = hash;

    layout->posted++;

    ngx_shmtx_unlock(&zone->pool->mutex);

    ngx_comms_notice_wake(zone);
}


uint32_t
ngx_comms_notice_hash(ngx_str_t *key)
{
    uint32_t  hash;

    hash = ngx_crc32_long(key->data, key->len);

    return hash ? hash : 1;
}


static void
ngx_comms_notice_wake(ngx_comms_zone_t *zone)
{
    uint64_t           one;
    ngx_uint_t         i;
    ngx_event_t       *ev;
    ngx_comms_slot_t  *slot;

    one = 1;

    if (ngx_comms_ears.zone == zone) {
        ev = &ngx_comms_ears.look;
        ngx_post_event(ev, &ngx_posted_events);
    }

    for (i = 0; i < ngx_comms_notice_nfds; i++) {
        slot = &zone->layout->slots[i];

        if (slot == ngx_comms_ears.slot
            || slot->armed == 0
            || !ngx_atomic_cmp_set(&slot->armed, 1, 0))
        {
            continue;
        }

        if (write(ngx_comms_notice_fds[i], &one, sizeof(one)) == -1) {
            /* EAGAIN alone is possible, and means that a wake is due */
            continue;
        }
    }
}


static void
ngx_comms_notice_woken(ngx_event_t *ev)
{
    uint64_t           n;
    ngx_connection_t  *c;

    c = ev->data;

    if (read(c->fd, &n, sizeof(n)) == -1
        && ngx_errno != NGX_EAGAIN && ngx_errno != NGX_EINTR)
    {
        /* without this descriptor the timer is still there */

        ngx_log_error(NGX_LOG_ALERT, ev->log, ngx_errno,
                      "reading an eventfd failed");
        (void) ngx_del_event(ev, NGX_READ_EVENT, 0);
        return;
    }

    if (ngx_comms_notice_deliver() != 0 || !ngx_exiting) {
        return;
    }

    /*
     * A wake for nothing while exiting: this process shares the eventfd with
     * one of a fresh zone, whose wake it has taken.  It gives it back.
     */

    (void) ngx_del_event(ev, NGX_READ_EVENT, 0);

    n = 1;

    if (write(c->fd, &n, sizeof(n)) == -1) {
        ngx_log_error(NGX_LOG_INFO, ev->log, ngx_errno,
                      "writing an eventfd failed");
    }
}


static void
ngx_comms_notice_look(ngx_event_t *ev)
{
    (void) ngx_comms_notice_deliver();
}


static void
ngx_comms_notice_net(ngx_event_t *ev)
{
    (void) ngx_comms_notice_deliver();

    ngx_add_timer(ev, NGX_COMMS_NOTICE_NET);
}


/* how many entries there were */

static ngx_uint_t
ngx_comms_notice_deliver(void)
{
    uint64_t                 end;
    ngx_uint_t               i, n, all;
    ngx_comms_ears_t        *ears;
    ngx_comms_ring_entry_t   entries[NGX_COMMS_NOTICE_BATCH];

    ears = &ngx_comms_ears;

    if (ears->slot != NULL) {
        ears->slot->armed = 1;
    }

    ngx_memory_barrier();

    ngx_shmtx_lock(&ears->zone->pool->mutex);

    end = ears->zone->layout->posted;

    ngx_shmtx_unlock(&ears->zone->pool->mutex);

    /* what handlers post is left for the event that the post causes */

    for (all = 0; ears->cursor < end; all += n) {
        n = ngx_comms_notice_read(entries, end);

        for (i = 0; i < n; i++) {

            if (i > 0 && entries[i].kind == entries[i - 1].kind
                && entries[i].hash == entries[i - 1].hash)
            {
                continue;
            }

            ngx_comms_notice_call(entries[i].kind, entries[i].hash);
        }
    }

    return all;
}


/* takes entries from the ring, or, of those overwritten, one of each kind */

static ngx_uint_t
ngx_comms_notice_read(ngx_comms_ring_entry_t *entries, uint64_t end)
{
    ngx_uint_t                n;
    ngx_comms_ears_t         *ears;
    ngx_comms_zone_layout_t  *layout;

    ears = &ngx_comms_ears;
    layout = ears->zone->layout;
    n = 0;

    ngx_shmtx_lock(&ears->zone->pool->mutex);

    if (layout->posted - ears->cursor > NGX_COMMS_ZONE_RING) {

        for (n = 0; n < NGX_COMMS_NOTICES; n++) {
            entries[n].kind = n;
            entries[n].hash = 0;
        }

        ears->cursor = layout->posted;

    } else {

        while (n < NGX_COMMS_NOTICE_BATCH && ears->cursor < end) {
            entries[n++] = layout->ring[ears->cursor % NGX_COMMS_ZONE_RING];
            ears->cursor++;
        }
    }

    ngx_shmtx_unlock(&ears->zone->pool->mutex);

    return n;
}


static void
ngx_comms_notice_call(ngx_comms_notice_e kind, uint32_t hash)
{
    ngx_uint_t             i;
    ngx_comms_ears_t      *ears;
    ngx_comms_listener_t  *listener;

    ears = &ngx_comms_ears;

    for (i = 0; i < ears->nlisteners; i++) {
        listener = &ears->listeners[i];

        if (listener->kind == kind) {
            listener->handler(listener->data, kind, hash);
        }
    }
}
