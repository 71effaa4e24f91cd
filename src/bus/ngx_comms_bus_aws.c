
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The bus over SNS and SQS: its making, its end, and the life of its tasks.
 *
 * Nothing here blocks and nothing here is shared: each worker process has its
 * own tasks, URLs and held messages.  What workers must agree on is in SQS.
 *
 * Invariants:
 *   1. A task has one question in flight at most, and is in exactly one of
 *      "tasks" and "ended".
 *   2. Operations of the caller finish in the handler of a posted event and
 *      nowhere else: never before the function that started them returned.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <bus/ngx_comms_bus_aws_private.h>


/* how soon a long poll learns that its worker exits, ms */
#define NGX_COMMS_BUS_AWS_WATCH  250


static ngx_int_t ngx_comms_bus_aws_topic_valid(ngx_str_t *topic);
static ngx_int_t ngx_comms_bus_aws_prefix_valid(ngx_str_t *prefix);
static ngx_int_t ngx_comms_bus_aws_init_process(ngx_comms_bus_t *bus,
    ngx_cycle_t *cycle);
static void ngx_comms_bus_aws_exit_process(ngx_comms_bus_t *bus);
static void ngx_comms_bus_aws_event(ngx_comms_bus_aws_t *ba, ngx_event_t *ev,
    ngx_event_handler_pt handler);
static void ngx_comms_bus_aws_unserved(ngx_comms_bus_aws_t *ba,
    ngx_comms_op_t *op);
static void ngx_comms_bus_aws_answered(ngx_comms_op_t *op);
static void ngx_comms_bus_aws_finish(ngx_event_t *ev);
static void ngx_comms_bus_aws_free(ngx_comms_bus_aws_task_t *task);
static void ngx_comms_bus_aws_watched(ngx_event_t *ev);


ngx_comms_bus_t *
ngx_comms_bus_aws(ngx_conf_t *cf, ngx_comms_aws_t *aws,
    ngx_comms_bus_aws_conf_t *conf)
{
    ngx_comms_bus_t      *bus;
    ngx_comms_bus_aws_t  *ba;

    if (ngx_comms_bus_aws_topic_valid(&conf->topic) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no ARN of an SNS topic, which looks like"
                           " \"arn:aws:sns:eu-west-1:123456789012:comms\"",
                           &conf->topic);
        return NULL;
    }

    if (ngx_comms_bus_aws_prefix_valid(&conf->queue_prefix) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" cannot begin names of queues, must be at"
                           " most 60 letters, digits, \"_\" or \"-\"",
                           &conf->queue_prefix);
        return NULL;
    }

    bus = ngx_pcalloc(cf->pool, sizeof(ngx_comms_bus_t));
    ba = ngx_pcalloc(cf->pool, sizeof(ngx_comms_bus_aws_t));
    if (bus == NULL || ba == NULL) {
        return NULL;
    }

    ba->aws = aws;
    ba->zone = conf->zone;
    ba->topic = conf->topic;
    ba->prefix = conf->queue_prefix;
    ba->wait = NGX_COMMS_BUS_AWS_MAX_WAIT;
    ba->fifo = ngx_strncmp(conf->topic.data + conf->topic.len - 5, ".fifo", 5)
               == 0;

    if (conf->wait < NGX_COMMS_BUS_AWS_MAX_WAIT) {
        ba->wait = conf->wait;
    }

    ngx_str_set(&bus->name, "aws");
    bus->data = ba;

    bus->put = ngx_comms_bus_aws_put;
    bus->publish = ngx_comms_bus_aws_publish;
    bus->max_body = NGX_COMMS_BUS_AWS_MAX_PUBLISH;
    bus->receive = ngx_comms_bus_aws_receive;
    bus->extend = ngx_comms_bus_aws_extend;
    bus->remove = ngx_comms_bus_aws_remove;
    bus->give_back = ngx_comms_bus_aws_give_back;
    bus->bury = ngx_comms_bus_aws_bury;
    bus->depths = ngx_comms_bus_aws_depths;
    bus->init_process = ngx_comms_bus_aws_init_process;
    bus->exit_process = ngx_comms_bus_aws_exit_process;

    return bus;
}


/* arn:<partition>:sns:<region>:<account>:<name> */

static ngx_int_t
ngx_comms_bus_aws_topic_valid(ngx_str_t *topic)
{
    u_char      *p, *last;
    ngx_uint_t   i, colons;

    static const char  *part[] = { "arn", NULL, "sns", NULL, NULL, NULL };

    p = topic->data;
    colons = 0;

    if (topic->len > 512) {
        return NGX_ERROR;
    }

    for (i = 0; i < topic->len; i++) {

        if (topic->data[i] <= ' ' || topic->data[i] >= 0x7f) {
            return NGX_ERROR;
        }

        if (topic->data[i] != ':') {
            continue;
        }

        last = topic->data + i;

        if (colons >= 5
            || last == p
            || (part[colons] != NULL
                && ((size_t) (last - p) != ngx_strlen(part[colons])
                    || ngx_strncmp(p, part[colons], last - p) != 0)))
        {
            return NGX_ERROR;
        }

        colons++;
        p = last + 1;
    }

    return (colons == 5 && p < topic->data + topic->len) ? NGX_OK : NGX_ERROR;
}


/* SQS takes 80 characters; "whatsapp-dlq.fifo" has 17 */

static ngx_int_t
ngx_comms_bus_aws_prefix_valid(ngx_str_t *prefix)
{
    u_char      ch;
    ngx_uint_t  i;

    if (prefix->len > 60) {
        return NGX_ERROR;
    }

    for (i = 0; i < prefix->len; i++) {
        ch = prefix->data[i];

        if (!(ch >= 'a' && ch <= 'z') && !(ch >= 'A' && ch <= 'Z')
            && !(ch >= '0' && ch <= '9') && ch != '_' && ch != '-')
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_bus_aws_init_process(ngx_comms_bus_t *bus, ngx_cycle_t *cycle)
{
    ngx_comms_bus_aws_t  *ba;

    ba = bus->data;

    if (ba->open) {
        return NGX_OK;
    }

    ba->log = cycle->log;
    ba->open = 1;

    ngx_rbtree_init(&ba->queues, &ba->queues_sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_rbtree_init(&ba->held, &ba->held_sentinel,
                    ngx_str_rbtree_insert_value);

    ngx_queue_init(&ba->all);
    ngx_queue_init(&ba->oldest);
    ngx_queue_init(&ba->tasks);
    ngx_queue_init(&ba->ended);

    ngx_comms_bus_aws_event(ba, &ba->finish, ngx_comms_bus_aws_finish);
    ngx_comms_bus_aws_event(ba, &ba->watch, ngx_comms_bus_aws_watched);

    ba->watch.cancelable = 1;

    ngx_comms_bus_aws_check(ba, ngx_worker == 0);

    return NGX_OK;
}


static void
ngx_comms_bus_aws_event(ngx_comms_bus_aws_t *ba, ngx_event_t *ev,
    ngx_event_handler_pt handler)
{
    ev->handler = handler;
    ev->data = ba;
    ev->log = ba->log;
}


/* nobody is left to be told, so operations end without their handlers */

static void
ngx_comms_bus_aws_exit_process(ngx_comms_bus_t *bus)
{
    ngx_queue_t               *q, *list[2];
    ngx_uint_t                 i;
    ngx_comms_bus_aws_t       *ba;
    ngx_comms_bus_aws_task_t  *task;

    ba = bus->data;

    if (!ba->open) {
        return;
    }

    ba->open = 0;
    list[0] = &ba->tasks;
    list[1] = &ba->ended;

    for (i = 0; i < 2; i++) {
        while (!ngx_queue_empty(list[i])) {
            q = ngx_queue_head(list[i]);
            ngx_queue_remove(q);

            task = ngx_queue_data(q, ngx_comms_bus_aws_task_t, link);

            if (task->asked != NULL) {
                ngx_comms_op_cancel(task->asked);
            }

            if (task->op != NULL) {
                ngx_comms_op_cancel(task->op);
                ngx_comms_op_finish(task->op, NGX_ERROR, NULL);
            }

            ngx_comms_bus_aws_free(task);
        }
    }

    ngx_comms_bus_aws_forget(ba, 1);
    ngx_comms_bus_aws_queues_close(ba);

    if (ba->watch.timer_set) {
        ngx_del_timer(&ba->watch);
    }

    json_decref(ba->depths);
    ba->depths = NULL;
}


ngx_comms_bus_aws_task_t *
ngx_comms_bus_aws_task(ngx_comms_bus_aws_t *ba, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_bus_aws_task_t  *task;

    task = NULL;

    if (ba->open) {
        task = ngx_calloc(sizeof(ngx_comms_bus_aws_task_t), ba->log);
    }

    if (task == NULL) {
        json_decref(in);

        if (op != NULL) {
            ngx_comms_bus_aws_unserved(ba, op);
        }

        return NULL;
    }

    task->bus = ba;
    task->op = op;
    task->in = in;
    task->rc = NGX_OK;

    ngx_queue_insert_tail(&ba->tasks, &task->link);

    return task;
}


static void
ngx_comms_bus_aws_unserved(ngx_comms_bus_aws_t *ba, ngx_comms_op_t *op)
{
    if (!ba->open) {
        /* no event will come any more that could answer */
        ngx_comms_op_cancel(op);
        ngx_comms_op_finish(op, NGX_ERROR, NULL);
        return;
    }

    /*
     * It must be answered later, and there is no memory to keep it in: such
     * operations are linked through a field that nobody reads before they
     * are finished.
     */

    op->answer = (json_t *) ba->unserved;
    ba->unserved = op;

    ngx_post_event(&ba->finish, &ngx_posted_events);
}


void
ngx_comms_bus_aws_ask(ngx_comms_bus_aws_task_t *task,
    ngx_comms_aws_service_e service, const char *operation, json_t *in,
    ngx_msec_t timeout, ngx_comms_bus_aws_step_pt step)
{
    ngx_comms_op_t  *op;

    op = NULL;

    if (in != NULL) {
        op = ngx_comms_op_create(ngx_comms_bus_aws_answered, task, 0);
    }

    if (op == NULL) {
        json_decref(in);
        ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
        return;
    }

    task->step = step;
    task->asked = op;

    ngx_comms_aws_call(task->bus->aws, service, operation, in, timeout, op);
}


static void
ngx_comms_bus_aws_answered(ngx_comms_op_t *op)
{
    ngx_comms_bus_aws_task_t  *task;

    task = op->data;
    task->asked = NULL;

    task->step(task, op->rc, op->answer);
}


void
ngx_comms_bus_aws_end(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    ngx_comms_bus_aws_t  *ba;

    ba = task->bus;

    if (answer != task->answer) {
        json_decref(task->answer);
    }

    task->rc = rc;
    task->answer = answer;

    ngx_queue_remove(&task->link);
    ngx_queue_insert_tail(&ba->ended, &task->link);

    ngx_post_event(&ba->finish, &ngx_posted_events);
}


void
ngx_comms_bus_aws_fail(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    /* the bus has no word for "busy": whoever asked tries again later */

    if (rc == NGX_BUSY) {
        rc = NGX_ERROR;
    }

    ngx_comms_bus_aws_end(task, rc, json_incref(answer));
}


static void
ngx_comms_bus_aws_finish(ngx_event_t *ev)
{
    ngx_queue_t               *q;
    ngx_comms_op_t            *op, *next;
    ngx_comms_bus_aws_t       *ba;
    ngx_comms_bus_aws_task_t  *task;

    ba = ev->data;

    op = ba->unserved;
    ba->unserved = NULL;

    for ( /* void */ ; op != NULL; op = next) {
        next = (ngx_comms_op_t *) op->answer;
        ngx_comms_op_finish(op, NGX_ERROR, NULL);
    }

    while (!ngx_queue_empty(&ba->ended)) {
        q = ngx_queue_head(&ba->ended);
        ngx_queue_remove(q);

        task = ngx_queue_data(q, ngx_comms_bus_aws_task_t, link);

        if (task->op != NULL) {
            ngx_comms_op_finish(task->op, task->rc, task->answer);
            task->answer = NULL;
        }

        ngx_comms_bus_aws_free(task);
    }
}


static void
ngx_comms_bus_aws_free(ngx_comms_bus_aws_task_t *task)
{
    json_decref(task->in);
    json_decref(task->answer);
    json_decref(task->list);

    ngx_free(task);
}


void
ngx_comms_bus_aws_notice(ngx_comms_bus_aws_t *ba,
    ngx_comms_bus_aws_queue_t *queue)
{
    ngx_comms_notice_post(ba->zone, NGX_COMMS_NOTICE_QUEUE, &queue->node.str);
}


void
ngx_comms_bus_aws_watch(ngx_comms_bus_aws_t *ba)
{
    if (!ba->watch.timer_set) {
        ngx_add_timer(&ba->watch, NGX_COMMS_BUS_AWS_WATCH);
    }
}


static void
ngx_comms_bus_aws_watched(ngx_event_t *ev)
{
    ngx_uint_t                 polls;
    ngx_queue_t               *q, *next;
    ngx_comms_bus_aws_t       *ba;
    ngx_comms_bus_aws_task_t  *task;

    ba = ev->data;
    polls = 0;

    for (q = ngx_queue_head(&ba->tasks);
         q != ngx_queue_sentinel(&ba->tasks);
         q = next)
    {
        next = ngx_queue_next(q);
        task = ngx_queue_data(q, ngx_comms_bus_aws_task_t, link);

        if (!task->polling) {
            continue;
        }

        polls++;

        if (ngx_exiting) {
            ngx_comms_bus_aws_receive_cancel(task);
        }
    }

    if (polls && !ngx_exiting) {
        ngx_add_timer(ev, NGX_COMMS_BUS_AWS_WATCH);
    }
}
