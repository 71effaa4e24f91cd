
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Receiving.
 *
 * The first question is a long poll, which is over as soon as there is a
 * message; it waits for a quarter of the visibility time at most, because the
 * receiver counts that from when it asked.  As long as answers are full and
 * there is room, more is asked for at once, without waiting.
 *
 * Messages that came too early or too often are dealt with here and not
 * handed out; the receiver does not wait for that.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <bus/ngx_comms_bus_aws_private.h>


static void ngx_comms_bus_aws_receive_from(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);
static void ngx_comms_bus_aws_receive_first(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);
static void ngx_comms_bus_aws_receive_more(ngx_comms_bus_aws_task_t *task,
    ngx_uint_t wait);
static void ngx_comms_bus_aws_received(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);
static void ngx_comms_bus_aws_receive_failed(ngx_comms_bus_aws_task_t *task,
    json_t *answer);
static void ngx_comms_bus_aws_take(ngx_comms_bus_aws_task_t *task,
    json_t *message);
static ngx_int_t ngx_comms_bus_aws_hand_out(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_held_t *held);
static void ngx_comms_bus_aws_receive_end(ngx_comms_bus_aws_task_t *task,
    ngx_uint_t more);


void
ngx_comms_bus_aws_receive(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op)
{
    int64_t                    visibility;
    ngx_str_t                  name;
    ngx_comms_bus_aws_task_t  *task;

    task = ngx_comms_bus_aws_task(bus->data, in, op);
    if (task == NULL) {
        return;
    }

    visibility = 0;

    if (ngx_comms_json_str(in, "queue", &name) != NGX_OK
        || ngx_comms_json_int(in, "max", &task->max) != NGX_OK
        || task->max < 1 || task->max > 1000
        || ngx_comms_json_int(in, "visibility", &visibility) == NGX_ERROR
        || visibility < 0
        || visibility > (int64_t) NGX_COMMS_BUS_AWS_MAX_HIDDEN * 1000
        || ngx_comms_json_int(in, "max_receives", &task->receives) != NGX_OK
        || task->receives < 1)
    {
        ngx_log_error(NGX_LOG_ALERT, task->bus->log, 0,
                      "bus: receive was asked with bad members");
        ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
        return;
    }

    task->seconds = (visibility + 999) / 1000;

    task->list = json_array();
    if (task->list == NULL) {
        ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
        return;
    }

    ngx_comms_bus_aws_forget(task->bus, 0);
    ngx_comms_bus_aws_need(task, &name, ngx_comms_bus_aws_receive_from);
}


static void
ngx_comms_bus_aws_receive_from(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    if (rc != NGX_OK) {
        ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
        return;
    }

    if (ngx_exiting) {
        ngx_comms_bus_aws_receive_end(task, 0);
        return;
    }

    if (task->seconds != 0) {
        ngx_comms_bus_aws_receive_first(task, NGX_OK, NULL);
        return;
    }

    ngx_comms_bus_aws_terms(task, ngx_comms_bus_aws_receive_first);
}


static void
ngx_comms_bus_aws_receive_first(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    if (rc != NGX_OK) {
        ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
        return;
    }

    ngx_comms_bus_aws_receive_more(task, ngx_min(task->bus->wait,
                                                 task->seconds / 4));
}


static void
ngx_comms_bus_aws_receive_more(ngx_comms_bus_aws_task_t *task,
    ngx_uint_t wait)
{
    json_t  *in;

    task->batch = ngx_min(task->max - json_array_size(task->list),
                          NGX_COMMS_BUS_AWS_BATCH);

    in = json_pack("{s:O, s:I, s:I, s:I, s:[s, s]}",
                   "QueueUrl", task->queue->url,
                   "MaxNumberOfMessages", (json_int_t) task->batch,
                   "WaitTimeSeconds", (json_int_t) wait,
                   "VisibilityTimeout", (json_int_t) task->seconds,
                   "MessageSystemAttributeNames",
                   "ApproximateReceiveCount", "SentTimestamp");

    if (wait) {
        task->polling = 1;
        ngx_comms_bus_aws_watch(task->bus);
    }

    ngx_comms_bus_aws_ask(task, NGX_COMMS_AWS_SQS, "ReceiveMessage", in,
                          NGX_COMMS_BUS_AWS_TIMEOUT + wait * 1000,
                          ngx_comms_bus_aws_received);
}


static void
ngx_comms_bus_aws_received(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    size_t   i, n;
    json_t  *messages, *message;

    task->polling = 0;

    if (rc != NGX_OK) {
        ngx_comms_bus_aws_receive_failed(task, answer);
        return;
    }

    /* absent when there is none */

    messages = json_object_get(answer, "Messages");
    n = json_array_size(messages);

    json_array_foreach(messages, i, message) {
        ngx_comms_bus_aws_take(task, message);
    }

    if (n >= task->batch
        && json_array_size(task->list) < (size_t) task->max
        && !ngx_exiting)
    {
        ngx_comms_bus_aws_receive_more(task, 0);
        return;
    }

    ngx_comms_bus_aws_receive_end(task, n >= task->batch);
}


static void
ngx_comms_bus_aws_receive_failed(ngx_comms_bus_aws_task_t *task,
    json_t *answer)
{
    ngx_str_t  code;

    code = ngx_comms_json_view(json_object_get(answer, "code"));

    if (code.len == sizeof("QueueDoesNotExist") - 1
        && ngx_strncmp(code.data, "QueueDoesNotExist", code.len) == 0)
    {
        /* it may be made again, and have another URL */

        json_decref(task->queue->url);
        task->queue->url = NULL;
    }

    if (json_array_size(task->list) || task->dead) {
        ngx_comms_bus_aws_receive_end(task, 0);
        return;
    }

    ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
}


static void
ngx_comms_bus_aws_take(ngx_comms_bus_aws_task_t *task, json_t *message)
{
    int64_t                    not_before, early;
    ngx_comms_bus_aws_t       *ba;
    ngx_comms_bus_aws_held_t  *held;

    ba = task->bus;

    held = ngx_comms_bus_aws_hold(ba, task->queue, message, task->seconds);
    if (held == NULL) {
        ngx_log_error(NGX_LOG_CRIT, ba->log, 0,
                      "a message of queue \"%V\" could not be taken, it will "
                      "be delivered again", &task->queue->node.str);
        return;
    }

    if (ngx_comms_json_int(held->envelope, "not_before", &not_before)
        == NGX_OK)
    {
        early = ngx_min(not_before - ngx_comms_clock_ms(),
                        NGX_COMMS_BUS_AWS_LATEST);

        if (early > 0) {
            ngx_comms_bus_aws_postpone(ba, held, early);
            return;
        }
    }

    if (held->count > task->receives) {
        task->dead++;
        ngx_comms_bus_aws_die(ba, held);
        return;
    }

    if (ngx_comms_bus_aws_hand_out(task, held) != NGX_OK) {
        ngx_comms_bus_aws_drop(ba, held);
    }
}


static ngx_int_t
ngx_comms_bus_aws_hand_out(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_held_t *held)
{
    json_t  *message, *body, *group;

    /* without an envelope it is nobody's message: whoever gets it buries it */

    body = json_object_get(held->envelope, "body");
    group = json_object_get(held->envelope, "group");

    message = json_pack("{s:O, s:s%, s:O*, s:O*, s:I, s:I}",
                        "message_id", held->message_id,
                        "receipt", held->node.str.data, held->node.str.len,
                        "body", body,
                        "group", json_is_string(group) ? group : NULL,
                        "receive_count", (json_int_t) held->count,
                        "sent_at", (json_int_t) held->sent_at);

    return json_array_append_new(task->list, message) == 0 ? NGX_OK
                                                           : NGX_ERROR;
}


static void
ngx_comms_bus_aws_receive_end(ngx_comms_bus_aws_task_t *task, ngx_uint_t more)
{
    json_t  *answer;

    answer = json_pack("{s:O, s:o, s:I, s:I}",
                       "messages", task->list,
                       "next_at", more ? json_integer(ngx_comms_clock_ms())
                                       : json_null(),
                       "dead", (json_int_t) task->dead,
                       "visibility", (json_int_t) task->seconds * 1000);

    ngx_comms_bus_aws_end(task, answer != NULL ? NGX_OK : NGX_ERROR, answer);
}


void
ngx_comms_bus_aws_receive_cancel(ngx_comms_bus_aws_task_t *task)
{
    ngx_comms_op_t  *op;

    op = task->asked;

    task->polling = 0;
    task->asked = NULL;

    if (op != NULL) {
        ngx_comms_op_cancel(op);
        ngx_comms_aws_cancel(task->bus->aws, op);
    }

    ngx_comms_bus_aws_receive_end(task, 0);
}
