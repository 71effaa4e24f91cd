
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The bus: a topic that fans out, queues, dead letters.
 *
 * Same form as the store: JSON in, rc and JSON out, later.  Delivery is at
 * least once; a received message is invisible to others for its visibility
 * time and belongs to the receipt handed out with it.  A later receive makes
 * earlier receipts stale.
 *
 * When a message is put or given back, at once or with a delay, a notice
 * (NGX_COMMS_NOTICE_QUEUE, the queue's name) goes to all workers; "next_at"
 * says when a message that is invisible now will be visible (or, in the past,
 * that there is more to receive now), so that nobody needs to poll.
 *
 * Bounds: max 1..1000, visibility 1 ms..12 h; a delay over seven days is seven
 * days.  Ids for deduplication are remembered for thirty days at least.
 */


#ifndef _NGX_COMMS_BUS_H_INCLUDED_
#define _NGX_COMMS_BUS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_op.h>


/* the queues there are: their names are part of the product */
#define NGX_COMMS_QUEUE_OPEN   "open"     /* accepted starts */
#define NGX_COMMS_QUEUE_REPLY  "reply"    /* messages from people */
#define NGX_COMMS_QUEUE_STATUS "status"   /* what became of our messages */
#define NGX_COMMS_QUEUE_LATER  "later"    /* what is due at a time: the next
                                             channel of a fallback */
                                          /* and one named as each channel */


/* ms, of a queue that has no visibility of its own */
#define NGX_COMMS_BUS_VISIBILITY  60000


typedef struct ngx_comms_bus_s  ngx_comms_bus_t;

typedef void (*ngx_comms_bus_op_pt)(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);


struct ngx_comms_bus_s {
    ngx_str_t             name;       /* for the log: "sqlite <path>" */
    void                 *data;

    /*
     * in   {"queue", "body": {}, "group": thread id, "delay"?: ms,
     *       "dedupe_id"?: a second put of it into the queue changes nothing}
     */
    ngx_comms_bus_op_pt   put;

    /*
     * Publishes a context object: a copy to the queue of each channel named.
     * Publishing the same "publish_id" again adds no copy.
     * in   {"publish_id", "channels": [names], "group": thread id,
     *       "body": {}}
     */
    ngx_comms_bus_op_pt   publish;

    /* bytes that a published body may have; 0: as many as memory has */
    size_t                max_body;

    /*
     * in   {"queue", "max": 1..n, "visibility"?: ms; absent: the queue's
     *       own, "max_receives": n}
     * out  {"messages": [{"message_id", "receipt", "body", "group",
     *           "receive_count", "sent_at" (ms)}],
     *       "next_at": ms | null, "dead": how many went to the dead letters
     *           because they had been received max_receives times,
     *       "visibility": ms that the messages are hidden for}
     */
    ngx_comms_bus_op_pt   receive;

    /*
     * Makes messages invisible for "visibility" ms from now.
     * in   {"queue", "receipts": [], "visibility"}
     * out  {"lost": [receipts that are stale]}
     */
    ngx_comms_bus_op_pt   extend;

    /* in {"queue", "receipt"}; NGX_OK gone; NGX_DECLINED: stale receipt */
    ngx_comms_bus_op_pt   remove;

    /*
     * Back to the queue, visible in "delay" ms.  "counted" false takes the
     * receive off the count again (it was not the message's fault).
     * in   {"queue", "receipt", "delay", "counted", "reason"?}
     * NGX_OK; NGX_DECLINED: stale receipt
     */
    ngx_comms_bus_op_pt   give_back;

    /*
     * To the dead letters, with the reason.
     * in   {"queue", "receipt", "reason"}
     * NGX_OK; NGX_DECLINED: stale receipt
     */
    ngx_comms_bus_op_pt   bury;

    /*
     * in   {}
     * out  {"queues": {name: {"ready", "in_flight", "delayed", "dead",
     *       "oldest_ready_age" (ms since the oldest one became visible, 0
     *       when none; only with "ages")}}}; a queue with nothing in it may
     *       be left out
     */
    ngx_comms_bus_op_pt   depths;

    ngx_uint_t            ages;       /* depths knows "oldest_ready_age" */

    ngx_int_t           (*init_process)(ngx_comms_bus_t *bus,
                             ngx_cycle_t *cycle);
    void                (*exit_process)(ngx_comms_bus_t *bus);
};


#endif /* _NGX_COMMS_BUS_H_INCLUDED_ */
