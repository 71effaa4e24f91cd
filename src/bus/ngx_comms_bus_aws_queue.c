
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Queues and their URLs.
 *
 * A URL is asked for once and kept: all workers ask for those of the product
 * when they start, so that a missing queue or permission is in the log before
 * the first message needs it.  Tasks that need a URL wait at its queue; after
 * a failure they are refused for some seconds without asking again.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <bus/ngx_comms_bus_aws_private.h>


#define NGX_COMMS_BUS_AWS_RETRY  5000


static ngx_comms_bus_aws_queue_t *ngx_comms_bus_aws_queue(
    ngx_comms_bus_aws_t *ba, ngx_str_t *name, ngx_uint_t dead);
static void ngx_comms_bus_aws_wait_for(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_queue_t *queue, ngx_comms_bus_aws_step_pt step);
static void ngx_comms_bus_aws_url(ngx_comms_bus_aws_t *ba,
    ngx_comms_bus_aws_queue_t *queue);
static void ngx_comms_bus_aws_url_known(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);
static void ngx_comms_bus_aws_url_refused(ngx_comms_bus_aws_t *ba,
    ngx_comms_bus_aws_queue_t *queue, json_t *answer);
static void ngx_comms_bus_aws_wake(ngx_comms_bus_aws_queue_t *queue,
    ngx_int_t rc);
static size_t ngx_comms_bus_aws_name(ngx_comms_bus_aws_t *ba,
    ngx_comms_bus_aws_queue_t *queue, u_char *buf, size_t size);
static void ngx_comms_bus_aws_checked(ngx_comms_bus_aws_t *ba,
    ngx_int_t rc);
static void ngx_comms_bus_aws_topic_known(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);


void
ngx_comms_bus_aws_need(ngx_comms_bus_aws_task_t *task, ngx_str_t *name,
    ngx_comms_bus_aws_step_pt step)
{
    ngx_comms_bus_aws_queue_t  *queue;

    queue = ngx_comms_bus_aws_queue(task->bus, name, 0);

    ngx_comms_bus_aws_wait_for(task, queue, step);
}


void
ngx_comms_bus_aws_need_dead(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_queue_t *queue, ngx_comms_bus_aws_step_pt step)
{
    u_char                     *p, buf[NGX_COMMS_BUS_AWS_MAX_NAME];
    ngx_str_t                   name;
    ngx_comms_bus_aws_queue_t  *dead;

    p = ngx_slprintf(buf, buf + sizeof(buf), "%V-dlq", &queue->node.str);

    name.data = buf;
    name.len = p - buf;

    dead = ngx_comms_bus_aws_queue(task->bus, &name, 1);

    ngx_comms_bus_aws_wait_for(task, dead, step);
}


/* NULL: out of memory, or no name of a queue */

static ngx_comms_bus_aws_queue_t *
ngx_comms_bus_aws_queue(ngx_comms_bus_aws_t *ba, ngx_str_t *name,
    ngx_uint_t dead)
{
    uint32_t                    hash;
    ngx_comms_bus_aws_queue_t  *queue;

    if (name->len == 0 || name->len >= NGX_COMMS_BUS_AWS_MAX_NAME) {
        return NULL;
    }

    hash = ngx_crc32_long(name->data, name->len);

    queue = (ngx_comms_bus_aws_queue_t *)
                ngx_str_rbtree_lookup(&ba->queues, name, hash);

    if (queue != NULL) {
        return queue;
    }

    queue = ngx_pcalloc(ngx_cycle->pool, sizeof(ngx_comms_bus_aws_queue_t));
    if (queue == NULL) {
        return NULL;
    }

    queue->node.str.len = name->len;
    queue->node.str.data = ngx_pstrdup(ngx_cycle->pool, name);
    if (queue->node.str.data == NULL) {
        return NULL;
    }

    queue->dead = dead;
    queue->node.node.key = hash;

    ngx_queue_init(&queue->waiting);
    ngx_queue_insert_tail(&ba->all, &queue->link);
    ngx_rbtree_insert(&ba->queues, &queue->node.node);

    return queue;
}


static void
ngx_comms_bus_aws_wait_for(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_queue_t *queue, ngx_comms_bus_aws_step_pt step)
{
    task->queue = queue;
    task->step = step;

    if (queue == NULL
        || (queue->url == NULL && queue->refused
            && (ngx_msec_int_t) (queue->retry - ngx_current_msec) > 0))
    {
        step(task, NGX_ERROR, NULL);
        return;
    }

    if (queue->url != NULL) {
        step(task, NGX_OK, NULL);
        return;
    }

    ngx_queue_insert_tail(&queue->waiting, &task->wait);

    if (!queue->asking) {
        ngx_comms_bus_aws_url(task->bus, queue);
    }
}


static void
ngx_comms_bus_aws_url(ngx_comms_bus_aws_t *ba,
    ngx_comms_bus_aws_queue_t *queue)
{
    size_t                     len;
    u_char                     name[NGX_COMMS_BUS_AWS_MAX_NAME + 1];
    ngx_comms_bus_aws_task_t  *task;

    task = ngx_comms_bus_aws_task(ba, NULL, NULL);

    if (task == NULL) {
        ngx_comms_bus_aws_wake(queue, NGX_ERROR);
        return;
    }

    queue->asking = 1;
    task->queue = queue;

    len = ngx_comms_bus_aws_name(ba, queue, name, sizeof(name));

    ngx_comms_bus_aws_ask(task, NGX_COMMS_AWS_SQS, "GetQueueUrl",
                          json_pack("{s:s%}", "QueueName", name, len),
                          NGX_COMMS_BUS_AWS_TIMEOUT,
                          ngx_comms_bus_aws_url_known);

    if (task->asked == NULL) {

        /* it is over already: out of memory */

        queue->asking = 0;
        ngx_comms_bus_aws_wake(queue, NGX_ERROR);
    }
}


static void
ngx_comms_bus_aws_url_known(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    json_t                     *url;
    ngx_comms_bus_aws_queue_t  *queue;

    queue = task->queue;
    queue->asking = 0;

    url = json_object_get(answer, "QueueUrl");

    if (rc == NGX_OK && json_is_string(url)) {
        queue->url = json_incref(url);
        queue->refused = 0;

    } else {
        ngx_comms_bus_aws_url_refused(task->bus, queue, answer);
        rc = NGX_ERROR;
    }

    if (queue->checked) {
        queue->checked = 0;
        ngx_comms_bus_aws_checked(task->bus, rc);
    }

    ngx_comms_bus_aws_wake(queue, rc);
    ngx_comms_bus_aws_end(task, rc, NULL);
}


static void
ngx_comms_bus_aws_url_refused(ngx_comms_bus_aws_t *ba,
    ngx_comms_bus_aws_queue_t *queue, json_t *answer)
{
    u_char     name[NGX_COMMS_BUS_AWS_MAX_NAME + 1];
    ngx_str_t  code, full;

    queue->retry = ngx_current_msec + NGX_COMMS_BUS_AWS_RETRY;

    if (queue->refused) {
        return;
    }

    queue->refused = 1;

    full.data = name;
    full.len = ngx_comms_bus_aws_name(ba, queue, name, sizeof(name));

    code = ngx_comms_json_view(json_object_get(answer, "code"));

    if (ngx_strlcasestrn(code.data, code.data + code.len,
                         (u_char *) "DoesNotExist",
                         sizeof("DoesNotExist") - 2)
        != NULL
        || ngx_strlcasestrn(code.data, code.data + code.len,
                            (u_char *) "NonExistent",
                            sizeof("NonExistent") - 2)
           != NULL)
    {
        ngx_log_error(NGX_LOG_ERR, ba->log, 0,
                      "there is no SQS queue \"%V\": create it, as"
                      " conf/aws/template.yaml does, or correct the prefix of"
                      " \"comms_bus\"", &full);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ba->log, 0,
                  "the URL of the SQS queue \"%V\" could not be found out"
                  " (%V): the credentials must allow sqs:GetQueueUrl on it",
                  &full, &code);
}


static void
ngx_comms_bus_aws_wake(ngx_comms_bus_aws_queue_t *queue, ngx_int_t rc)
{
    ngx_queue_t               *q;
    ngx_comms_bus_aws_task_t  *task;

    while (!ngx_queue_empty(&queue->waiting)) {
        q = ngx_queue_head(&queue->waiting);
        ngx_queue_remove(q);

        task = ngx_queue_data(q, ngx_comms_bus_aws_task_t, wait);

        task->step(task, rc, NULL);
    }
}


static size_t
ngx_comms_bus_aws_name(ngx_comms_bus_aws_t *ba,
    ngx_comms_bus_aws_queue_t *queue, u_char *buf, size_t size)
{
    return ngx_slprintf(buf, buf + size, "%V%V%s", &ba->prefix,
                        &queue->node.str, ba->fifo ? ".fifo" : "")
           - buf;
}


void
ngx_comms_bus_aws_queues_close(ngx_comms_bus_aws_t *ba)
{
    ngx_queue_t                *q;
    ngx_comms_bus_aws_queue_t  *queue;

    for (q = ngx_queue_head(&ba->all);
         q != ngx_queue_sentinel(&ba->all);
         q = ngx_queue_next(q))
    {
        queue = ngx_queue_data(q, ngx_comms_bus_aws_queue_t, link);

        json_decref(queue->url);
        queue->url = NULL;
    }
}


json_t *
ngx_comms_bus_aws_queue_in(ngx_comms_bus_aws_queue_t *queue)
{
    return json_pack("{s:O}", "QueueUrl", queue->url);
}


void
ngx_comms_bus_aws_check(ngx_comms_bus_aws_t *ba, ngx_uint_t topic)
{
    ngx_uint_t                  i;
    ngx_comms_bus_aws_task_t   *task;
    ngx_comms_bus_aws_queue_t  *queue;

    static ngx_str_t  names[] = {
        ngx_string(NGX_COMMS_QUEUE_OPEN),
        ngx_string(NGX_COMMS_QUEUE_REPLY),
        ngx_string(NGX_COMMS_QUEUE_STATUS),
        ngx_string(NGX_COMMS_QUEUE_LATER),
        ngx_string("whatsapp"),
        ngx_string("sms"),
        ngx_string("email"),
        ngx_string(NGX_COMMS_QUEUE_OPEN "-dlq"),
        ngx_string(NGX_COMMS_QUEUE_REPLY "-dlq"),
        ngx_string(NGX_COMMS_QUEUE_STATUS "-dlq"),
        ngx_string(NGX_COMMS_QUEUE_LATER "-dlq"),
        ngx_string("whatsapp-dlq"),
        ngx_string("sms-dlq"),
        ngx_string("email-dlq"),
        ngx_null_string
    };

    for (i = 0; names[i].len; i++) {
        queue = ngx_comms_bus_aws_queue(ba, &names[i], i >= 7);

        if (queue != NULL && queue->url == NULL && !queue->asking) {
            queue->checked = topic;
            ba->checking += topic;

            ngx_comms_bus_aws_url(ba, queue);
        }
    }

    if (!topic) {
        return;
    }

    task = ngx_comms_bus_aws_task(ba, NULL, NULL);
    if (task == NULL) {
        return;
    }

    ba->checking++;

    ngx_comms_bus_aws_ask(task, NGX_COMMS_AWS_SNS, "GetTopicAttributes",
                          json_pack("{s:s%}", "TopicArn", ba->topic.data,
                                    ba->topic.len),
                          NGX_COMMS_BUS_AWS_TIMEOUT,
                          ngx_comms_bus_aws_topic_known);
}


static void
ngx_comms_bus_aws_topic_known(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    ngx_str_t             code;
    ngx_comms_bus_aws_t  *ba;

    ba = task->bus;
    code = ngx_comms_json_view(json_object_get(answer, "code"));

    if (rc == NGX_DECLINED
        && code.len >= sizeof("NotFound") - 1
        && ngx_strncmp(code.data, "NotFound", sizeof("NotFound") - 1) == 0)
    {
        ngx_log_error(NGX_LOG_ERR, ba->log, 0,
                      "there is no SNS topic \"%V\": create it, as"
                      " conf/aws/template.yaml does, or correct \"comms_bus\"",
                      &ba->topic);

    } else if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ba->log, 0,
                      "the SNS topic \"%V\" could not be looked at (%V): the"
                      " credentials must allow sns:GetTopicAttributes and"
                      " sns:Publish on it", &ba->topic, &code);
    }

    ngx_comms_bus_aws_checked(ba, rc);
    ngx_comms_bus_aws_end(task, rc, NULL);
}


/* what is missing was logged; if nothing is, the last answer says so */

static void
ngx_comms_bus_aws_checked(ngx_comms_bus_aws_t *ba, ngx_int_t rc)
{
    if (rc != NGX_OK) {
        ba->missing++;
    }

    if (--ba->checking == 0 && ba->missing == 0) {
        ngx_log_error(NGX_LOG_NOTICE, ba->log, 0,
                      "comms bus is connected: aws, topic \"%V\", queues"
                      " \"%V*\" and their dead letters",
                      &ba->topic, &ba->prefix);
    }
}
