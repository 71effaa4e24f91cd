
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The shared memory zone: what worker processes must agree on now.
 *
 * Rules:
 *   1. The slab pool's own mutex is the only lock, because the master frees
 *      it when a worker dies in it.  Sections are short; no allocation from
 *      pools, no logging, no system call inside.
 *   2. A node is filled before it is linked.
 *   3. Nothing in the zone points into a process.
 *   4. A reload keeps the zone when name and size stay.  A fresh zone may
 *      appear at any time (binary upgrade), hence what must be true tomorrow
 *      lives in the store.
 */


#ifndef _NGX_COMMS_ZONE_H_INCLUDED_
#define _NGX_COMMS_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_COMMS_ZONE_MIN_SIZE  (64 * 1024)


typedef struct ngx_comms_zone_s  ngx_comms_zone_t;


/*
 * At configuration time.  "tag" is the module.  Returns NULL after logging:
 * the same name already in use for something else, or memory.
 */
ngx_comms_zone_t *ngx_comms_zone_add(ngx_conf_t *cf, ngx_str_t *name,
    size_t size, void *tag);


/*
 * Leases.  A lease is a turn's right to a thread among the workers of this
 * machine; the store's fence protects the thread beyond that.
 */

/*
 * Takes the lease of a thread for "term" milliseconds.
 *   NGX_OK    taken; *token is this holder's, greater than all before it in
 *             this zone
 *   NGX_BUSY  held by another; it is marked as wanted, so that the holder
 *             will not release it without looking once more for what waits
 *   NGX_ERROR the zone is full
 * A lease whose term has ended, or whose holder's process is gone, is taken
 * over.
 */
ngx_int_t ngx_comms_lease_take(ngx_comms_zone_t *zone, ngx_str_t *thread_id,
    ngx_msec_t term, uint64_t *token);

/* NGX_OK: extended; NGX_DECLINED: no longer ours */
ngx_int_t ngx_comms_lease_renew(ngx_comms_zone_t *zone, ngx_str_t *thread_id,
    uint64_t token, ngx_msec_t term);

/*
 * NGX_OK        released: nobody wanted it since the last call of this or of
 *               take; both are decided in one section.  Waiters are told by
 *               a notice.
 * NGX_AGAIN     still held: somebody came meanwhile; the mark is cleared
 * NGX_DECLINED  was no longer ours
 */
ngx_int_t ngx_comms_lease_release(ngx_comms_zone_t *zone,
    ngx_str_t *thread_id, uint64_t token);

/* the same, but releases even when wanted: for a turn that failed */
ngx_int_t ngx_comms_lease_drop(ngx_comms_zone_t *zone, ngx_str_t *thread_id,
    uint64_t token);

/* leases held now */
ngx_uint_t ngx_comms_lease_count(ngx_comms_zone_t *zone);


/*
 * Limits.  Counts an event of "key" in a sliding window of "window" seconds.
 *   NGX_OK        counted
 *   NGX_DECLINED  over "limit"; *retry_after (seconds, >= 1) says when it
 *                 would pass
 * A full zone evicts the least recently used key; if even that fails the
 * event passes (limits must not stop the product) and the shortage is
 * counted.
 */
ngx_int_t ngx_comms_limiter_take(ngx_comms_zone_t *zone, ngx_str_t *key,
    ngx_uint_t limit, ngx_uint_t window, ngx_uint_t *retry_after);


/*
 * Pace: slots of a line (a sender), handed out in the order of asking.
 *
 * Takes slots for "who" and "what", whose names together tell the asker, and
 * gives how long to wait for them, ms.  Within the patience given they are
 * the asker's; else it goes away, asks again with the same names when the time
 * has come, and finds them.  A full zone lets it pass and counts the shortage.
 */
typedef struct {
    uint64_t     interval;      /* of a slot, us; not 0 */
    ngx_uint_t   burst;         /* slots at once; 1 or more */
    ngx_uint_t   slots;         /* that this one takes */
    ngx_msec_t   patience;      /* a slot that is not farther away is the
                                   asker's for good, and not kept */
} ngx_comms_pace_t;

ngx_msec_t ngx_comms_pace_take(ngx_comms_zone_t *zone, ngx_str_t *line,
    ngx_str_t *who, ngx_str_t *what, ngx_comms_pace_t *pace);


/*
 * Notices: "look again" to all worker processes of this zone, within
 * microseconds (an eventfd for each, made in the master).  They may come too
 * often and, when a reader is far behind, are merged into one with hash 0,
 * which concerns everybody.  Every waiter keeps a slow timer as a net.
 */

typedef enum {
    NGX_COMMS_NOTICE_QUEUE = 0,   /* a queue has a message; key: its name */
    NGX_COMMS_NOTICE_LEASE,       /* a lease was released; key: thread id */
    NGX_COMMS_NOTICE_THREAD,      /* a thread's record changed; thread id */
    NGX_COMMS_NOTICES
} ngx_comms_notice_e;

typedef void (*ngx_comms_notice_handler_pt)(void *data,
    ngx_comms_notice_e kind, uint32_t hash);

/* in the master, before the workers are forked; n: how many there will be */
ngx_int_t ngx_comms_notice_init_module(ngx_cycle_t *cycle, ngx_uint_t n);

/* in a worker: starts to listen */
ngx_int_t ngx_comms_notice_init_process(ngx_cycle_t *cycle,
    ngx_comms_zone_t *zone);

/* in a worker: "handler" is called for notices of this kind; several may be */
ngx_int_t ngx_comms_notice_listen(ngx_comms_notice_e kind,
    ngx_comms_notice_handler_pt handler, void *data);

/* from the event loop of any worker */
void ngx_comms_notice_post(ngx_comms_zone_t *zone, ngx_comms_notice_e kind,
    ngx_str_t *key);

/* the same for a hash that was made before; 0 concerns everybody */
void ngx_comms_notice_post_hash(ngx_comms_zone_t *zone,
    ngx_comms_notice_e kind, uint32_t hash);

/* what the handler gets for a key; never 0 */
uint32_t ngx_comms_notice_hash(ngx_str_t *key);


/*
 * Counters, for the status page.  Names and help are in ngx_comms_counters.c.
 */

typedef enum {
    NGX_COMMS_COUNT_ACCEPTED = 0,        /* start requests accepted */
    NGX_COMMS_COUNT_REPEATED,            /* answered from an earlier accept */
    NGX_COMMS_COUNT_REJECTED,            /* start requests refused, 4xx */
    NGX_COMMS_COUNT_UNAVAILABLE,         /* 503: could not be written */
    NGX_COMMS_COUNT_INBOUND,             /* messages from people kept */
    NGX_COMMS_COUNT_INBOUND_DUPLICATE,
    NGX_COMMS_COUNT_INBOUND_IGNORED,     /* auto-replies and the like */
    NGX_COMMS_COUNT_INBOUND_UNKNOWN,     /* no thread found */
    NGX_COMMS_COUNT_WEBHOOK_UNVERIFIED,  /* bad or missing signature */
    NGX_COMMS_COUNT_STATUS,              /* words about our messages kept */
    NGX_COMMS_COUNT_STATUS_UNKNOWN,      /* about no message of ours */
    NGX_COMMS_COUNT_DELIVERED,
    NGX_COMMS_COUNT_READ,
    NGX_COMMS_COUNT_UNDELIVERED,         /* failed after it was taken over */
    NGX_COMMS_COUNT_BOUNCED,
    NGX_COMMS_COUNT_WINDOW,              /* WhatsApp's window was closed */
    NGX_COMMS_COUNT_FALLBACK,            /* a next channel was used */
    NGX_COMMS_COUNT_OPT_OUT,
    NGX_COMMS_COUNT_TURN,                /* turns finished */
    NGX_COMMS_COUNT_AI_CALL,
    NGX_COMMS_COUNT_AI_RETRY,
    NGX_COMMS_COUNT_AI_REFUSED,
    NGX_COMMS_COUNT_AI_FAILED,
    NGX_COMMS_COUNT_AI_TOKENS,
    NGX_COMMS_COUNT_AI_SECOND,           /* asked of the second choice */
    NGX_COMMS_COUNT_AI_TOKENS_WASTED,    /* of answers thrown away */
    NGX_COMMS_COUNT_BREAKER_OPENED,
    NGX_COMMS_COUNT_BREAKER_REFUSED,     /* calls not made: it was open */
    NGX_COMMS_COUNT_RATE_REFUSED,        /* calls put off: too fast */
    NGX_COMMS_COUNT_RETRY_REFUSED,       /* retries not made: budget empty */
    NGX_COMMS_COUNT_SENT,
    NGX_COMMS_COUNT_SEND_RETRY,
    NGX_COMMS_COUNT_SEND_FAILED,         /* permanent */
    NGX_COMMS_COUNT_SEND_UNKNOWN,        /* no telling whether it was sent */
    NGX_COMMS_COUNT_JOB_STARTED,
    NGX_COMMS_COUNT_JOB_DONE,
    NGX_COMMS_COUNT_JOB_RETRIED,
    NGX_COMMS_COUNT_JOB_PARKED,
    NGX_COMMS_COUNT_JOB_DEAD,            /* dead-lettered */
    NGX_COMMS_COUNT_LEASE_TAKEN_OVER,
    NGX_COMMS_COUNT_FENCED,              /* a late writer was refused */
    NGX_COMMS_COUNT_STORE_ERROR,
    NGX_COMMS_COUNT_ZONE_FULL,
    NGX_COMMS_COUNTERS
} ngx_comms_count_e;

/* gauges: counted up and down by their owner, per worker slot, so that a dead
   worker's share does not stay */
typedef enum {
    NGX_COMMS_GAUGE_JOBS = 0,            /* jobs in flight */
    NGX_COMMS_GAUGE_PARKED,              /* messages waiting for a lease */
    NGX_COMMS_GAUGE_WAITING,             /* requests held by Prefer: wait */
    NGX_COMMS_GAUGES
} ngx_comms_gauge_e;

void ngx_comms_count(ngx_comms_zone_t *zone, ngx_comms_count_e what,
    ngx_uint_t n);
void ngx_comms_gauge(ngx_comms_zone_t *zone, ngx_comms_gauge_e what,
    ngx_int_t n);

uint64_t ngx_comms_counter(ngx_comms_zone_t *zone, ngx_comms_count_e what);
int64_t ngx_comms_gauge_sum(ngx_comms_zone_t *zone, ngx_comms_gauge_e what);

/* "accepted_total" and a line of help, static */
void ngx_comms_counter_words(ngx_comms_count_e what, const char **name,
    const char **help);
void ngx_comms_gauge_words(ngx_comms_gauge_e what, const char **name,
    const char **help);


#endif /* _NGX_COMMS_ZONE_H_INCLUDED_ */
