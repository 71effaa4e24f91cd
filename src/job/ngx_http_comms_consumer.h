
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the consumer's files share: ngx_http_comms_consumer.c (when to take
 * messages), ngx_http_comms_message.c (what becomes of one),
 * ngx_http_comms_heartbeat.c (keeping what is held).
 */


#ifndef _NGX_HTTP_COMMS_CONSUMER_H_INCLUDED_
#define _NGX_HTTP_COMMS_CONSUMER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <base/ngx_comms_json.h>
#include <job/ngx_http_comms_job.h>


typedef struct ngx_http_comms_consumer_s   ngx_http_comms_consumer_t;
typedef struct ngx_http_comms_consumers_s  ngx_http_comms_consumers_t;


typedef enum {
    NGX_HTTP_COMMS_WAITING = 0,   /* for a job */
    NGX_HTTP_COMMS_RUNNING,       /* its flow runs */
    NGX_HTTP_COMMS_PARKED,        /* until a lease is released */
    NGX_HTTP_COMMS_SETTLING,      /* remove, give_back or bury in flight */
    NGX_HTTP_COMMS_UNSETTLED,     /* that failed and will be tried again */
    NGX_HTTP_COMMS_STATES
} ngx_http_comms_message_e;


/* a message that is held; small, for thousands may be parked */
typedef struct {
    ngx_queue_t                   queue;
    ngx_http_comms_consumer_t    *consumer;
    json_t                       *receipt;
    json_t                       *body;
    ngx_comms_flow_t             *flow;          /* while running */

    ngx_comms_bus_op_pt           settle;        /* when its fate is known */
    json_t                       *settle_in;

    ngx_msec_t                    held_until;    /* ours at least so long */
    ngx_msec_t                    extended_at;   /* by the heartbeat that is
                                                    in flight */
    ngx_msec_t                    parked_at;
    uint32_t                      park_hash;
    uint32_t                      receive_count;
    unsigned                      state:3;       /* ngx_http_comms_message_e */
    unsigned                      beat:1;        /* in the heartbeat */
    unsigned                      tries:4;       /* of settling */
    unsigned                      waits:4;       /* parked without a notice */
} ngx_http_comms_message_t;


/* one queue */
struct ngx_http_comms_consumer_s {
    void                         *unused[3];     /* what debug builds read */
    ngx_socket_t                  fd;            /* through event data: -1 */

    ngx_http_comms_consumers_t   *all;
    ngx_http_comms_worker_t      *worker;
    uint32_t                      hash;          /* of the queue's notices */

    ngx_msec_t                    visibility;    /* as the bus says */
    ngx_msec_t                    heartbeat;

    ngx_queue_t                   messages[NGX_HTTP_COMMS_STATES];
    ngx_uint_t                    count[NGX_HTTP_COMMS_STATES];

    ngx_uint_t                    asked;         /* by the receive in flight;
                                                    0: there is none */
    ngx_msec_t                    asked_at;

    ngx_event_t                   pump;          /* posted: look what is to
                                                    be done */
    ngx_event_t                   tick;
    ngx_event_t                   next;          /* a message will be visible */
    ngx_event_t                   unpark;
    ngx_event_t                   beat;

    unsigned                      wanted:1;      /* there may be messages */
    unsigned                      beating:1;     /* heartbeat in flight */
};


struct ngx_http_comms_consumers_s {
    ngx_log_t                    *log;
    ngx_comms_engine_t           *engine;
    ngx_comms_bus_t              *bus;
    ngx_comms_zone_t             *zone;
    ngx_http_comms_job_conf_t    *jcf;
    ngx_array_t                  *providers;
    ngx_http_comms_consumer_t    *elts;
    ngx_uint_t                    nelts;
};


/* ngx_http_comms_consumer.c */

/* looks again, soon: at this queue, or at all of them (a job has ended) */
void ngx_http_comms_consumer_pump(ngx_http_comms_consumer_t *cn);
void ngx_http_comms_consumer_pump_all(ngx_http_comms_consumers_t *all);

/* {"queue": ..}, or NULL */
json_t *ngx_http_comms_consumer_input(ngx_http_comms_consumer_t *cn);

/* the visibility in force, and the heartbeat that goes with it */
void ngx_http_comms_consumer_terms(ngx_http_comms_consumer_t *cn,
    ngx_msec_t visibility);


/* ngx_http_comms_message.c */

/* "doc" as "receive" gives it; NGX_ERROR: out of memory, or no message */
ngx_int_t ngx_http_comms_message_add(ngx_http_comms_consumer_t *cn,
    json_t *doc, ngx_msec_t held_until);

/* NGX_OK: it runs, or is being settled; NGX_DECLINED: not now */
ngx_int_t ngx_http_comms_message_start(ngx_http_comms_message_t *m);

/* back to the queue, uncounted, visible in "delay" ms */
void ngx_http_comms_message_defer(ngx_http_comms_message_t *m,
    ngx_msec_t delay);

/* tries again to settle what could not be settled */
void ngx_http_comms_message_settle_again(ngx_http_comms_consumer_t *cn);

/* parked messages whose lease was released; hash 0: all of them */
void ngx_http_comms_message_unpark(ngx_http_comms_consumer_t *cn,
    uint32_t hash);

/* timer: parked messages that no notice came for */
void ngx_http_comms_message_unpark_timer(ngx_event_t *ev);

/* it belongs to somebody else by now */
void ngx_http_comms_message_lose(ngx_http_comms_message_t *m);


/* ngx_http_comms_heartbeat.c */

/* sets or deletes the timer, as messages come and go */
void ngx_http_comms_heartbeat_update(ngx_http_comms_consumer_t *cn);

void ngx_http_comms_heartbeat_timer(ngx_event_t *ev);

/* messages whose visibility has surely passed */
void ngx_http_comms_heartbeat_check(ngx_http_comms_consumer_t *cn);


#define ngx_http_comms_message_of(q)                                          \
    ngx_queue_data(q, ngx_http_comms_message_t, queue)


#endif /* _NGX_HTTP_COMMS_CONSUMER_H_INCLUDED_ */
