
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The visibility that a queue has of its own: who made the queue knows how
 * long its work takes.  It is read once in each worker process, before the
 * first message is received, and then said with each receive and each
 * heartbeat.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <bus/ngx_comms_bus_aws_private.h>


static void ngx_comms_bus_aws_terms_known(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);
static ngx_uint_t ngx_comms_bus_aws_terms_read(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);


void
ngx_comms_bus_aws_terms(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_step_pt step)
{
    json_t  *in;

    if (task->queue->visibility != 0) {
        task->seconds = task->queue->visibility;
        step(task, NGX_OK, NULL);
        return;
    }

    task->then = step;

    in = json_pack("{s:O, s:[s]}", "QueueUrl", task->queue->url,
                   "AttributeNames", "VisibilityTimeout");

    ngx_comms_bus_aws_ask(task, NGX_COMMS_AWS_SQS, "GetQueueAttributes", in,
                          NGX_COMMS_BUS_AWS_TIMEOUT,
                          ngx_comms_bus_aws_terms_known);
}


static void
ngx_comms_bus_aws_terms_known(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    if (rc != NGX_OK && rc != NGX_DECLINED) {
        task->then(task, NGX_ERROR, NULL);
        return;
    }

    task->queue->visibility = ngx_comms_bus_aws_terms_read(task, rc, answer);
    task->seconds = task->queue->visibility;

    task->then(task, NGX_OK, NULL);
}


/* in seconds; what cannot be found out or used is replaced, and said */

static ngx_uint_t
ngx_comms_bus_aws_terms_read(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    ngx_int_t   n;
    ngx_str_t   code, text;
    ngx_uint_t  fallback;

    fallback = NGX_COMMS_BUS_VISIBILITY / 1000;

    if (rc != NGX_OK) {
        code = ngx_comms_json_view(json_object_get(answer, "code"));

        ngx_log_error(NGX_LOG_ERR, task->bus->log, 0,
                      "the visibility of the SQS queue \"%V%V\" could not be"
                      " read (%V): the credentials must allow"
                      " sqs:GetQueueAttributes on it; %ui seconds are used",
                      &task->bus->prefix, &task->queue->node.str, &code,
                      fallback);
        return fallback;
    }

    text = ngx_comms_json_view(json_object_get(
                                   json_object_get(answer, "Attributes"),
                                   "VisibilityTimeout"));
    n = ngx_atoi(text.data, text.len);

    if (n < 1 || n > NGX_COMMS_BUS_AWS_MAX_HIDDEN) {
        ngx_log_error(NGX_LOG_WARN, task->bus->log, 0,
                      "the visibility of the SQS queue \"%V%V\" is \"%V\""
                      " seconds, which hides nothing: %ui are used",
                      &task->bus->prefix, &task->queue->node.str, &text,
                      fallback);
        return fallback;
    }

    return (ngx_uint_t) n;
}
