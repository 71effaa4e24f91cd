
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The pace of a sender: slots of a line, handed out in the order of asking.
 *
 * A line is a "theoretical arrival time" (GCRA: ITU-T I.371, Annex A): the
 * moment at which the slots handed out so far would be used up at the even
 * pace.  Who asks gets the slot at
 *
 *     max(now, arrival - (burst - 1) * interval)
 *
 * and moves the arrival on by an interval for each slot that it takes.
 *
 * A slot that is far is remembered with the asker's name ("ticket"), so that
 * who goes away and comes back finds it: nobody is overtaken by those who
 * asked later, hence nobody starves.  A ticket is used up by coming back when
 * its slot is near.  Who comes later than one interval has lost the slot, and
 * takes a new one: slots that were missed must not be used in a heap.
 *
 * So in any span of t a line carries at most t / interval + burst + 1 slots:
 * the one is a slot that was used late.  A slot that is never used is lost,
 * which is the price of handing it out in advance.
 *
 * Lines and tickets live among the limits of the zone and are evicted as
 * these are; a lost ticket costs its place in the line, and a lost line that
 * was not used for long costs nothing.  When there is no memory at all the
 * send goes on: the provider's own limit is behind ours.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <guard/ngx_comms_zone_private.h>


#define NGX_COMMS_PACE_KEY     512

/* no slot is farther away, us */
#define NGX_COMMS_PACE_FAR     ((uint64_t) 7 * 24 * 3600 * 1000000)

/* a kind of limit that no limiter asks for: windows are whole seconds */
#define NGX_COMMS_PACE_LINE    1
#define NGX_COMMS_PACE_TICKET  2


static uint64_t ngx_comms_pace_slot(ngx_comms_zone_t *zone, ngx_str_t *line,
    ngx_str_t *ticket, ngx_comms_pace_t *pace, uint64_t now);
static void ngx_comms_pace_key(u_char *buf, ngx_str_t *key, ngx_str_t *a,
    ngx_str_t *b, ngx_str_t *c);


ngx_msec_t
ngx_comms_pace_take(ngx_comms_zone_t *zone, ngx_str_t *line, ngx_str_t *who,
    ngx_str_t *what, ngx_comms_pace_t *pace)
{
    u_char      buf[NGX_COMMS_PACE_KEY], name[NGX_COMMS_PACE_KEY];
    uint64_t    now, slot;
    ngx_str_t   key, ticket, none;

    ngx_str_null(&none);

    ngx_comms_pace_key(buf, &key, line, &none, &none);
    ngx_comms_pace_key(name, &ticket, line, who, what);

    now = (uint64_t) ngx_current_msec * 1000;

    ngx_shmtx_lock(&zone->pool->mutex);

    slot = ngx_comms_pace_slot(zone, &key, &ticket, pace, now);

    ngx_shmtx_unlock(&zone->pool->mutex);

    if (slot == 0) {
        ngx_comms_count(zone, NGX_COMMS_COUNT_ZONE_FULL, 1);
        return 0;
    }

    return (slot > now) ? (ngx_msec_t) ((slot - now + 999) / 1000) : 0;
}


/* with the mutex held: the moment of the slot, us; 0: no memory */

static uint64_t
ngx_comms_pace_slot(ngx_comms_zone_t *zone, ngx_str_t *line,
    ngx_str_t *ticket, ngx_comms_pace_t *pace, uint64_t now)
{
    uint64_t            slot, ahead, near;
    ngx_comms_limit_t  *l, *t;

    near = now + (uint64_t) pace->patience * 1000;

    t = ngx_comms_limiter_node(zone, ticket, NGX_COMMS_PACE_TICKET, 0);

    if (t != NULL) {
        slot = t->last;

        if (slot > near) {
            return slot;
        }

        ngx_comms_limiter_drop(zone, t);

        if (slot + pace->interval >= now) {
            return slot;
        }
    }

    l = ngx_comms_limiter_node(zone, line, NGX_COMMS_PACE_LINE, 1);
    if (l == NULL) {
        return 0;
    }

    ahead = (pace->burst - 1) * pace->interval;

    /* the clock of timers starts anew with the machine */

    if (l->last < now || l->last > now + NGX_COMMS_PACE_FAR) {
        l->last = now;
    }

    slot = (l->last - now > ahead) ? l->last - ahead : now;
    l->last += pace->slots * pace->interval;

    if (slot <= near) {
        return slot;
    }

    t = ngx_comms_limiter_node(zone, ticket, NGX_COMMS_PACE_TICKET, 1);
    if (t != NULL) {
        t->last = slot;
    }

    return slot;
}


/* names, the last of them cut where they are too long together */

static void
ngx_comms_pace_key(u_char *buf, ngx_str_t *key, ngx_str_t *a, ngx_str_t *b,
    ngx_str_t *c)
{
    key->data = buf;
    key->len = ngx_snprintf(buf, NGX_COMMS_PACE_KEY, "%V%Z%V%Z%V", a, b, c)
               - buf;
}
