
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Giving messages back, and burying them.
 *
 * What SQS cannot do to a message is done to a copy: sent first, and only
 * then is the original deleted, so that a failure in between leaves two and
 * never none.  A copy that was sent although its original could not be
 * deleted is reported as done, since asking once more would make a third.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <bus/ngx_comms_bus_aws_private.h>


#define NGX_COMMS_BUS_AWS_MAX_REASON  512

/* a text longer than this leaves no room for a reason */
#define NGX_COMMS_BUS_AWS_MAX_TEXT    (1048576 - 1024)


static void ngx_comms_bus_aws_give_back_start(ngx_comms_bus_aws_t *ba,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_bus_aws_show(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_held_t *held, int64_t seconds);
static void ngx_comms_bus_aws_shown(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);
static void ngx_comms_bus_aws_replace(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_held_t *held);
static json_t *ngx_comms_bus_aws_successor(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_held_t *held);
static void ngx_comms_bus_aws_bury_start(ngx_comms_bus_aws_t *ba, json_t *in,
    ngx_comms_op_t *op);
static void ngx_comms_bus_aws_bury_to(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);
static json_t *ngx_comms_bus_aws_bury_in(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_held_t *held);
static void ngx_comms_bus_aws_copied(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);
static void ngx_comms_bus_aws_replaced(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);


void
ngx_comms_bus_aws_give_back(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_bus_aws_give_back_start(bus->data, in, op);
}


void
ngx_comms_bus_aws_postpone(ngx_comms_bus_aws_t *ba,
    ngx_comms_bus_aws_held_t *held, int64_t delay)
{
    json_t  *in;

    in = json_pack("{s:s%, s:s%, s:I, s:b}",
                   "queue", held->queue->node.str.data,
                   held->queue->node.str.len,
                   "receipt", held->node.str.data, held->node.str.len,
                   "delay", (json_int_t) delay, "counted", 0);

    if (in != NULL) {
        ngx_comms_bus_aws_give_back_start(ba, in, NULL);
    }
}


static void
ngx_comms_bus_aws_give_back_start(ngx_comms_bus_aws_t *ba, json_t *in,
    ngx_comms_op_t *op)
{
    int64_t                    left;
    ngx_comms_bus_aws_held_t  *held;
    ngx_comms_bus_aws_task_t  *task;

    task = ngx_comms_bus_aws_task(ba, in, op);
    if (task == NULL) {
        return;
    }

    task->delay = json_integer_value(json_object_get(in, "delay"));
    task->delay = ngx_min(ngx_max(task->delay, 0), NGX_COMMS_BUS_AWS_LATEST);
    task->counted = !json_is_false(json_object_get(in, "counted"));

    held = ngx_comms_bus_aws_of(task);

    if (held == NULL) {
        ngx_comms_bus_aws_end(task, NGX_DECLINED, NULL);
        return;
    }

    task->queue = held->queue;

    left = NGX_COMMS_BUS_AWS_MAX_HIDDEN
           - (int64_t) (ngx_current_msec - held->since) / 1000;

    if (held->envelope == NULL
        || (ba->fifo && task->delay > 0)
        || (task->counted && task->delay <= left * 1000))
    {
        ngx_comms_bus_aws_show(task, held, ngx_max(left, 0));
        return;
    }

    ngx_comms_bus_aws_replace(task, held);
}


static void
ngx_comms_bus_aws_show(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_held_t *held, int64_t seconds)
{
    json_t  *in;

    seconds = ngx_min((task->delay + 999) / 1000, seconds);

    in = json_pack("{s:O, s:O, s:I}",
                   "QueueUrl", held->queue->url,
                   "ReceiptHandle", held->handle,
                   "VisibilityTimeout", (json_int_t) seconds);

    ngx_comms_bus_aws_ask(task, NGX_COMMS_AWS_SQS, "ChangeMessageVisibility",
                          in, NGX_COMMS_BUS_AWS_TIMEOUT,
                          ngx_comms_bus_aws_shown);
}


static void
ngx_comms_bus_aws_shown(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    if (rc == NGX_OK) {
        ngx_comms_bus_aws_notice(task->bus, task->queue);
    }

    ngx_comms_bus_aws_settled(task, rc, answer);
}


static void
ngx_comms_bus_aws_replace(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_held_t *held)
{
    json_t     *envelope, *text, *in;
    ngx_str_t   dedupe;

    envelope = ngx_comms_bus_aws_successor(task, held);
    text = ngx_comms_bus_aws_text(envelope);

    ngx_str_null(&dedupe);

    in = ngx_comms_bus_aws_send_in(task->bus, task->queue, text, envelope,
                                   &dedupe, task->delay);

    json_decref(envelope);
    json_decref(text);

    ngx_comms_bus_aws_ask(task, NGX_COMMS_AWS_SQS, "SendMessage", in,
                          NGX_COMMS_BUS_AWS_TIMEOUT,
                          ngx_comms_bus_aws_copied);
}


/* the envelope of the copy */

static json_t *
ngx_comms_bus_aws_successor(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_held_t *held)
{
    json_t   *envelope;
    int64_t   receives, not_before;

    envelope = json_copy(held->envelope);
    if (envelope == NULL) {
        return NULL;
    }

    receives = held->count - (task->counted ? 0 : 1);
    not_before = ngx_comms_clock_ms() + task->delay;

    if (json_object_set_new(envelope, "receives", json_integer(receives)) != 0
        || json_object_set_new(envelope, "sent_at",
                               json_integer(held->sent_at)) != 0)
    {
        json_decref(envelope);
        return NULL;
    }

    if (task->delay <= NGX_COMMS_BUS_AWS_MAX_DELAY * 1000) {
        (void) json_object_del(envelope, "not_before");
        return envelope;
    }

    if (json_object_set_new(envelope, "not_before", json_integer(not_before))
        != 0)
    {
        json_decref(envelope);
        return NULL;
    }

    return envelope;
}


void
ngx_comms_bus_aws_bury(ngx_comms_bus_t *bus, json_t *in, ngx_comms_op_t *op)
{
    ngx_comms_bus_aws_bury_start(bus->data, in, op);
}


void
ngx_comms_bus_aws_die(ngx_comms_bus_aws_t *ba, ngx_comms_bus_aws_held_t *held)
{
    json_t  *in;

    in = json_pack("{s:s%, s:s%, s:s}",
                   "queue", held->queue->node.str.data,
                   held->queue->node.str.len,
                   "receipt", held->node.str.data, held->node.str.len,
                   "reason", "received too often");

    if (in != NULL) {
        ngx_comms_bus_aws_bury_start(ba, in, NULL);
    }
}


static void
ngx_comms_bus_aws_bury_start(ngx_comms_bus_aws_t *ba, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_bus_aws_held_t  *held;
    ngx_comms_bus_aws_task_t  *task;

    task = ngx_comms_bus_aws_task(ba, in, op);
    if (task == NULL) {
        return;
    }

    held = ngx_comms_bus_aws_of(task);

    if (held == NULL) {
        ngx_comms_bus_aws_end(task, NGX_DECLINED, NULL);
        return;
    }

    ngx_comms_bus_aws_need_dead(task, held->queue, ngx_comms_bus_aws_bury_to);
}


static void
ngx_comms_bus_aws_bury_to(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    ngx_comms_bus_aws_held_t  *held;

    held = ngx_comms_bus_aws_of(task);

    if (rc != NGX_OK || held == NULL) {
        ngx_comms_bus_aws_end(task, rc != NGX_OK ? NGX_ERROR : NGX_DECLINED,
                              NULL);
        return;
    }

    ngx_comms_bus_aws_ask(task, NGX_COMMS_AWS_SQS, "SendMessage",
                          ngx_comms_bus_aws_bury_in(task, held),
                          NGX_COMMS_BUS_AWS_TIMEOUT,
                          ngx_comms_bus_aws_copied);
}


/* the text as it came, for whoever looks into it later */

static json_t *
ngx_comms_bus_aws_bury_in(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_held_t *held)
{
    json_t     *in, *attributes;
    ngx_str_t   reason, id;

    id = ngx_comms_json_view(held->message_id);

    in = ngx_comms_bus_aws_send_in(task->bus, task->queue, held->text,
                                   held->envelope, &id, 0);

    reason = ngx_comms_json_view(json_object_get(task->in, "reason"));

    if (reason.len > NGX_COMMS_BUS_AWS_MAX_REASON) {
        ngx_str_set(&reason, "too long to be shown");
    }

    if (in == NULL
        || reason.len == 0
        || json_string_length(held->text) > NGX_COMMS_BUS_AWS_MAX_TEXT)
    {
        return in;
    }

    attributes = json_pack("{s:{s:s, s:s%}}", "reason", "DataType", "String",
                           "StringValue", reason.data, reason.len);

    if (json_object_set_new(in, "MessageAttributes", attributes) != 0) {
        json_decref(in);
        return NULL;
    }

    return in;
}


static void
ngx_comms_bus_aws_copied(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    ngx_comms_bus_aws_held_t  *held;

    if (rc != NGX_OK) {
        ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
        return;
    }

    if (!task->queue->dead) {
        ngx_comms_bus_aws_notice(task->bus, task->queue);
    }

    held = ngx_comms_bus_aws_of(task);

    if (held == NULL) {
        ngx_comms_bus_aws_end(task, NGX_OK, NULL);
        return;
    }

    ngx_comms_bus_aws_delete(task, held, ngx_comms_bus_aws_replaced);
}


static void
ngx_comms_bus_aws_replaced(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_WARN, task->bus->log, 0,
                      "a message was copied and could not be deleted: it will "
                      "be delivered once more");
    }

    ngx_comms_bus_aws_settled(task, NGX_OK, NULL);
}
