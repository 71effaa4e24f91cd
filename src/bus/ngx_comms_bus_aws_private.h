
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Inside of the bus over SNS and SQS.
 *
 * A task is one operation of the bus on its way: it asks the services one
 * question after the other and ends once, by ngx_comms_bus_aws_end().  Tasks
 * without an operation are the bus's own: burying what was received too
 * often, hiding what came too early.
 *
 * A held message is one that this process has received and not settled.  It
 * keeps what the receipt stands for, and the text, because SQS can neither
 * move a message nor change it: only a copy can.
 */


#ifndef _NGX_COMMS_BUS_AWS_PRIVATE_H_INCLUDED_
#define _NGX_COMMS_BUS_AWS_PRIVATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <jansson.h>
#include <bus/ngx_comms_bus_aws.h>


/* what SNS carries by default, attributes included, bytes */
#define NGX_COMMS_BUS_AWS_MAX_PUBLISH  262144


/* of one attempt; a long poll adds its wait */
#define NGX_COMMS_BUS_AWS_TIMEOUT     5000

/* what SQS takes in one request, and gives */
#define NGX_COMMS_BUS_AWS_BATCH       10

/* seconds that SQS delays a message for at most, and hides it for */
#define NGX_COMMS_BUS_AWS_MAX_DELAY   900
#define NGX_COMMS_BUS_AWS_MAX_HIDDEN  43200

#define NGX_COMMS_BUS_AWS_MAX_NAME    80

/* no delay is longer, ms: seven days */
#define NGX_COMMS_BUS_AWS_LATEST      ((int64_t) 7 * 86400 * 1000)


typedef struct ngx_comms_bus_aws_s        ngx_comms_bus_aws_t;
typedef struct ngx_comms_bus_aws_task_s   ngx_comms_bus_aws_task_t;
typedef struct ngx_comms_bus_aws_queue_s  ngx_comms_bus_aws_queue_t;
typedef struct ngx_comms_bus_aws_held_s   ngx_comms_bus_aws_held_t;


/* a step of a task; "answer" is borrowed */
typedef void (*ngx_comms_bus_aws_step_pt)(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);


struct ngx_comms_bus_aws_s {
    ngx_comms_aws_t             *aws;
    ngx_comms_zone_t            *zone;
    ngx_log_t                   *log;
    ngx_str_t                    topic;
    ngx_str_t                    prefix;
    ngx_uint_t                   wait;       /* seconds */
    ngx_uint_t                   fifo;
    uint64_t                     serial;     /* of the last receipt */

    ngx_rbtree_t                 queues;     /* by name */
    ngx_rbtree_node_t            queues_sentinel;
    ngx_queue_t                  all;        /* of queues */

    ngx_rbtree_t                 held;       /* by receipt */
    ngx_rbtree_node_t            held_sentinel;
    ngx_queue_t                  oldest;     /* held, as received */
    ngx_msec_t                   forgot;     /* when they were looked at */

    ngx_queue_t                  tasks;      /* on their way */
    ngx_queue_t                  ended;      /* their operations finish on
                                                the next turn */
    ngx_comms_op_t              *unserved;   /* no memory for a task */
    ngx_event_t                  finish;
    ngx_event_t                  watch;      /* for the end of the worker */

    json_t                      *depths;     /* last answer */
    ngx_msec_t                   depths_at;

    ngx_uint_t                   checking;   /* answers that the check at
                                                start waits for */
    ngx_uint_t                   missing;

    unsigned                     open:1;     /* between init and exit */
};


struct ngx_comms_bus_aws_queue_s {
    ngx_str_node_t               node;       /* "open", "open-dlq" */
    ngx_queue_t                  link;
    ngx_queue_t                  waiting;    /* tasks that need the URL */
    json_t                      *url;        /* NULL: not known yet */
    ngx_uint_t                   asking;
    ngx_uint_t                   visibility; /* its own, seconds; 0: not
                                                asked for yet */
    ngx_uint_t                   dead;       /* it holds dead letters */
    ngx_msec_t                   retry;      /* not asked for again before */
    ngx_uint_t                   refused;
    ngx_uint_t                   checked;    /* by the check at start */
};


struct ngx_comms_bus_aws_held_s {
    ngx_str_node_t               node;       /* the receipt */
    ngx_queue_t                  link;
    ngx_comms_bus_aws_queue_t   *queue;
    json_t                      *handle;
    json_t                      *message_id;
    json_t                      *text;       /* as it came */
    json_t                      *envelope;   /* an object of ours, or NULL */
    int64_t                      count;      /* receives, this one included */
    int64_t                      sent_at;
    ngx_msec_t                   since;
    ngx_msec_t                   until;      /* hidden */
    u_char                       receipt[2 * NGX_INT64_LEN + 1];
};


struct ngx_comms_bus_aws_task_s {
    ngx_queue_t                  link;       /* of tasks or ended */
    ngx_queue_t                  wait;       /* of queue->waiting */
    ngx_comms_bus_aws_t         *bus;
    ngx_comms_bus_aws_queue_t   *queue;
    ngx_comms_op_t              *op;         /* of the caller, or NULL */
    ngx_comms_op_t              *asked;      /* in flight, or NULL */
    ngx_comms_bus_aws_step_pt    step;       /* takes the answer */
    json_t                      *in;

    ngx_int_t                    rc;
    json_t                      *answer;     /* as it grows */

    ngx_str_t                    receipt;    /* view of "in" */
    json_t                      *list;       /* grows or is worked off */
    size_t                       i;          /* how far */
    size_t                       batch;      /* asked for */
    ngx_uint_t                   failed;
    ngx_uint_t                   dead;
    ngx_uint_t                   counted;
    int64_t                      delay;      /* ms */
    int64_t                      max;
    int64_t                      receives;   /* at most */
    ngx_uint_t                   seconds;    /* of visibility */
    ngx_comms_bus_aws_step_pt    then;       /* behind the terms */
    unsigned                     polling:1;
};


/* ngx_comms_bus_aws.c */

/*
 * Takes over "op" and the reference to "in", which may both be NULL.  NULL:
 * out of memory or too late, and "op" is answered by and by.
 */
ngx_comms_bus_aws_task_t *ngx_comms_bus_aws_task(ngx_comms_bus_aws_t *bus,
    json_t *in, ngx_comms_op_t *op);

/* asks a service; takes over the reference to "in", which may be NULL */
void ngx_comms_bus_aws_ask(ngx_comms_bus_aws_task_t *task,
    ngx_comms_aws_service_e service, const char *operation, json_t *in,
    ngx_msec_t timeout, ngx_comms_bus_aws_step_pt step);

/* the task is over; takes over the reference to "answer" */
void ngx_comms_bus_aws_end(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer);

/* what an answer that is no NGX_OK means for a put or a publish */
void ngx_comms_bus_aws_fail(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer);

/* watches for the end of the worker while a long poll is in flight */
void ngx_comms_bus_aws_watch(ngx_comms_bus_aws_t *bus);

/* tells the workers of this machine */
void ngx_comms_bus_aws_notice(ngx_comms_bus_aws_t *bus,
    ngx_comms_bus_aws_queue_t *queue);


/* ngx_comms_bus_aws_terms.c */

/*
 * Goes on with "step" once the visibility of the task's queue is known: NGX_OK
 * with task->seconds set, or NGX_ERROR when SQS does not answer.
 */
void ngx_comms_bus_aws_terms(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_step_pt step);


/* ngx_comms_bus_aws_queue.c */

/*
 * Goes on with "step" once the queue of that name is known: its rc is NGX_OK,
 * or NGX_ERROR when there is no such queue or it could not be found out.
 */
void ngx_comms_bus_aws_need(ngx_comms_bus_aws_task_t *task, ngx_str_t *name,
    ngx_comms_bus_aws_step_pt step);

/* the same for the queue of the dead letters of a queue */
void ngx_comms_bus_aws_need_dead(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_queue_t *queue, ngx_comms_bus_aws_step_pt step);

/* logs what is missing, in a worker that has just started */
void ngx_comms_bus_aws_check(ngx_comms_bus_aws_t *bus, ngx_uint_t topic);

void ngx_comms_bus_aws_queues_close(ngx_comms_bus_aws_t *bus);

/* {"QueueUrl": ...}, or NULL */
json_t *ngx_comms_bus_aws_queue_in(ngx_comms_bus_aws_queue_t *queue);


/* ngx_comms_bus_aws_put.c */

void ngx_comms_bus_aws_put(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);
void ngx_comms_bus_aws_publish(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);

/* the text of a document as a JSON string that SQS takes; NULL: memory */
json_t *ngx_comms_bus_aws_text(json_t *document);

/* members of SendMessage but the reason; NULL: memory */
json_t *ngx_comms_bus_aws_send_in(ngx_comms_bus_aws_t *bus,
    ngx_comms_bus_aws_queue_t *queue, json_t *text, json_t *envelope,
    ngx_str_t *dedupe, int64_t delay);


/* ngx_comms_bus_aws_receive.c */

void ngx_comms_bus_aws_receive(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);

/* ends a long poll: what it might have brought comes again later */
void ngx_comms_bus_aws_receive_cancel(ngx_comms_bus_aws_task_t *task);


/* ngx_comms_bus_aws_held.c */

/*
 * Notes a message of ReceiveMessage; earlier receipts of it are stale from
 * here on.  NULL: out of memory.
 */
ngx_comms_bus_aws_held_t *ngx_comms_bus_aws_hold(ngx_comms_bus_aws_t *bus,
    ngx_comms_bus_aws_queue_t *queue, json_t *message, ngx_uint_t seconds);

/* by receipt and name of the queue; NULL: stale */
ngx_comms_bus_aws_held_t *ngx_comms_bus_aws_find(ngx_comms_bus_aws_t *bus,
    json_t *queue, ngx_str_t *receipt);

void ngx_comms_bus_aws_drop(ngx_comms_bus_aws_t *bus,
    ngx_comms_bus_aws_held_t *held);

/* drops what nobody will ask for any more; all of it with "all" */
void ngx_comms_bus_aws_forget(ngx_comms_bus_aws_t *bus, ngx_uint_t all);


/* ngx_comms_bus_aws_receipt.c */

void ngx_comms_bus_aws_extend(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);
void ngx_comms_bus_aws_remove(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);

/* what the task's "queue" and "receipt" stand for; NULL: stale */
ngx_comms_bus_aws_held_t *ngx_comms_bus_aws_of(
    ngx_comms_bus_aws_task_t *task);

/* DeleteMessage */
void ngx_comms_bus_aws_delete(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_held_t *held, ngx_comms_bus_aws_step_pt step);

/* a step: the last question about the receipt is answered */
void ngx_comms_bus_aws_settled(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer);


/* ngx_comms_bus_aws_return.c */

void ngx_comms_bus_aws_give_back(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);
void ngx_comms_bus_aws_bury(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);

/* the bus's own: a message that came too early, or too often */
void ngx_comms_bus_aws_postpone(ngx_comms_bus_aws_t *bus,
    ngx_comms_bus_aws_held_t *held, int64_t delay);
void ngx_comms_bus_aws_die(ngx_comms_bus_aws_t *bus,
    ngx_comms_bus_aws_held_t *held);


/* ngx_comms_bus_aws_depths.c */

void ngx_comms_bus_aws_depths(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op);


#endif /* _NGX_COMMS_BUS_AWS_PRIVATE_H_INCLUDED_ */
