
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Depths, from the queues' own approximate figures.  They are asked for one
 * queue after the other, and kept for some seconds: a status page that is
 * read often costs no more than one that is read sometimes.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <bus/ngx_comms_bus_aws_private.h>


#define NGX_COMMS_BUS_AWS_FRESH  5000


static void ngx_comms_bus_aws_depths_next(ngx_comms_bus_aws_task_t *task);
static void ngx_comms_bus_aws_depths_known(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);
static ngx_int_t ngx_comms_bus_aws_depth(ngx_comms_bus_aws_task_t *task,
    json_t *attributes);
static json_t *ngx_comms_bus_aws_figure(json_t *attributes,
    const char *name);


void
ngx_comms_bus_aws_depths(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_bus_aws_t       *ba;
    ngx_comms_bus_aws_task_t  *task;

    ba = bus->data;

    task = ngx_comms_bus_aws_task(ba, in, op);
    if (task == NULL) {
        return;
    }

    if (ba->depths != NULL
        && ngx_current_msec - ba->depths_at < NGX_COMMS_BUS_AWS_FRESH)
    {
        ngx_comms_bus_aws_end(task, NGX_OK, json_incref(ba->depths));
        return;
    }

    task->answer = json_pack("{s:{}}", "queues");

    if (task->answer == NULL) {
        ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
        return;
    }

    ngx_comms_bus_aws_depths_next(task);
}


/* queues are never taken off the list, so it is safe to stand on one */

static void
ngx_comms_bus_aws_depths_next(ngx_comms_bus_aws_task_t *task)
{
    json_t               *in;
    ngx_queue_t          *q;
    ngx_comms_bus_aws_t  *ba;

    ba = task->bus;

    q = (task->queue == NULL) ? ngx_queue_head(&ba->all)
                              : ngx_queue_next(&task->queue->link);

    for ( /* void */ ; q != ngx_queue_sentinel(&ba->all);
          q = ngx_queue_next(q))
    {
        task->queue = ngx_queue_data(q, ngx_comms_bus_aws_queue_t, link);

        if (task->queue->url != NULL) {
            break;
        }
    }

    if (q == ngx_queue_sentinel(&ba->all)) {

        json_decref(ba->depths);
        ba->depths = json_incref(task->answer);
        ba->depths_at = ngx_current_msec;

        ngx_comms_bus_aws_end(task, NGX_OK, task->answer);
        return;
    }

    in = json_pack("{s:O, s:[s, s, s]}", "QueueUrl", task->queue->url,
                   "AttributeNames", "ApproximateNumberOfMessages",
                   "ApproximateNumberOfMessagesNotVisible",
                   "ApproximateNumberOfMessagesDelayed");

    ngx_comms_bus_aws_ask(task, NGX_COMMS_AWS_SQS, "GetQueueAttributes", in,
                          NGX_COMMS_BUS_AWS_TIMEOUT,
                          ngx_comms_bus_aws_depths_known);
}


static void
ngx_comms_bus_aws_depths_known(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    if (rc != NGX_OK
        || ngx_comms_bus_aws_depth(task,
                                   json_object_get(answer, "Attributes"))
           != NGX_OK)
    {
        ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
        return;
    }

    ngx_comms_bus_aws_depths_next(task);
}


static ngx_int_t
ngx_comms_bus_aws_depth(ngx_comms_bus_aws_task_t *task, json_t *attributes)
{
    json_t                     *queues, *depth, *ready;
    ngx_str_t                   name;
    ngx_comms_bus_aws_queue_t  *queue;

    queue = task->queue;
    name = queue->node.str;
    queues = json_object_get(task->answer, "queues");

    if (queue->dead) {
        name.len -= sizeof("-dlq") - 1;
    }

    depth = json_object_getn(queues, (char *) name.data, name.len);

    if (depth == NULL) {
        depth = json_pack("{s:i, s:i, s:i, s:i}", "ready", 0, "in_flight", 0,
                          "delayed", 0, "dead", 0);

        if (json_object_setn_new(queues, (char *) name.data, name.len, depth)
            != 0)
        {
            return NGX_ERROR;
        }
    }

    ready = ngx_comms_bus_aws_figure(attributes,
                                     "ApproximateNumberOfMessages");

    if (queue->dead) {
        return json_object_set_new(depth, "dead", ready) == 0 ? NGX_OK
                                                              : NGX_ERROR;
    }

    if (json_object_set_new(depth, "ready", ready) != 0
        || json_object_set_new(depth, "in_flight",
               ngx_comms_bus_aws_figure(attributes,
                   "ApproximateNumberOfMessagesNotVisible"))
           != 0
        || json_object_set_new(depth, "delayed",
               ngx_comms_bus_aws_figure(attributes,
                   "ApproximateNumberOfMessagesDelayed"))
           != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static json_t *
ngx_comms_bus_aws_figure(json_t *attributes, const char *name)
{
    int64_t    n;
    ngx_str_t  text;

    text = ngx_comms_json_view(json_object_get(attributes, name));
    n = ngx_atoof(text.data, text.len);

    return json_integer(n > 0 ? n : 0);
}
