
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Keeping what was received, and removing it.
 *
 * SQS hides a message for twelve hours after it was received and not longer:
 * who would need more has lost it, and is told so in time.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <bus/ngx_comms_bus_aws_private.h>


static ngx_int_t ngx_comms_bus_aws_extendable(ngx_comms_bus_aws_task_t *task);
static ngx_int_t ngx_comms_bus_aws_lose(ngx_comms_bus_aws_task_t *task,
    json_t *receipt);
static void ngx_comms_bus_aws_extend_next(ngx_comms_bus_aws_task_t *task);
static json_t *ngx_comms_bus_aws_extend_entry(ngx_comms_bus_aws_task_t *task,
    size_t i);
static void ngx_comms_bus_aws_extended(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);
static void ngx_comms_bus_aws_extend_failed(ngx_comms_bus_aws_task_t *task,
    json_t *entry);


void
ngx_comms_bus_aws_extend(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op)
{
    int64_t                    visibility;
    ngx_comms_bus_aws_task_t  *task;

    task = ngx_comms_bus_aws_task(bus->data, in, op);
    if (task == NULL) {
        return;
    }

    if (ngx_comms_json_int(in, "visibility", &visibility) != NGX_OK
        || visibility < 1
        || visibility > (int64_t) NGX_COMMS_BUS_AWS_MAX_HIDDEN * 1000
        || !json_is_array(json_object_get(in, "receipts")))
    {
        ngx_log_error(NGX_LOG_ALERT, task->bus->log, 0,
                      "bus: extend was asked with bad members");
        ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
        return;
    }

    task->seconds = (visibility + 999) / 1000;
    task->list = json_array();
    task->answer = json_pack("{s:[]}", "lost");

    if (ngx_comms_bus_aws_extendable(task) != NGX_OK) {
        ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
        return;
    }

    ngx_comms_bus_aws_extend_next(task);
}


/* sorts the receipts into those that can be extended and those lost */

static ngx_int_t
ngx_comms_bus_aws_extendable(ngx_comms_bus_aws_task_t *task)
{
    size_t                     i;
    json_t                    *receipt, *queue;
    ngx_str_t                  text;
    ngx_uint_t                 elapsed;
    ngx_comms_bus_aws_held_t  *held;

    queue = json_object_get(task->in, "queue");

    json_array_foreach(json_object_get(task->in, "receipts"), i, receipt) {

        text = ngx_comms_json_view(receipt);
        held = ngx_comms_bus_aws_find(task->bus, queue, &text);

        if (held != NULL) {
            elapsed = (ngx_current_msec - held->since) / 1000;

            if (elapsed + task->seconds <= NGX_COMMS_BUS_AWS_MAX_HIDDEN) {
                task->queue = held->queue;

                if (json_array_append(task->list, receipt) != 0) {
                    return NGX_ERROR;
                }

                continue;
            }

            ngx_comms_bus_aws_drop(task->bus, held);
        }

        if (ngx_comms_bus_aws_lose(task, receipt) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return (task->list != NULL && task->answer != NULL) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_bus_aws_lose(ngx_comms_bus_aws_task_t *task, json_t *receipt)
{
    return json_array_append(json_object_get(task->answer, "lost"), receipt)
           == 0 ? NGX_OK : NGX_ERROR;
}


static void
ngx_comms_bus_aws_extend_next(ngx_comms_bus_aws_task_t *task)
{
    size_t   i, last;
    json_t  *in, *entries;

    if (task->i >= json_array_size(task->list)) {
        ngx_comms_bus_aws_end(task, task->failed ? NGX_ERROR : NGX_OK,
                              task->answer);
        return;
    }

    last = ngx_min(task->i + NGX_COMMS_BUS_AWS_BATCH,
                   json_array_size(task->list));
    entries = json_array();

    for (i = task->i; i < last; i++) {
        if (json_array_append_new(entries,
                                  ngx_comms_bus_aws_extend_entry(task, i))
            != 0)
        {
            json_decref(entries);
            ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
            return;
        }
    }

    task->batch = last - task->i;

    in = json_pack("{s:O, s:o}", "QueueUrl", task->queue->url,
                   "Entries", entries);

    ngx_comms_bus_aws_ask(task, NGX_COMMS_AWS_SQS,
                          "ChangeMessageVisibilityBatch", in,
                          NGX_COMMS_BUS_AWS_TIMEOUT,
                          ngx_comms_bus_aws_extended);
}


static json_t *
ngx_comms_bus_aws_extend_entry(ngx_comms_bus_aws_task_t *task, size_t i)
{
    u_char                    *p, id[NGX_SIZE_T_LEN];
    ngx_str_t                  receipt;
    ngx_comms_bus_aws_held_t  *held;

    receipt = ngx_comms_json_view(json_array_get(task->list, i));
    held = ngx_comms_bus_aws_find(task->bus,
                                  json_object_get(task->in, "queue"),
                                  &receipt);

    p = ngx_snprintf(id, sizeof(id), "%uz", i);

    /* what was settled meanwhile has no handle, which SQS will say */

    return json_pack("{s:s%, s:s, s:I}", "Id", id, (size_t) (p - id),
                     "ReceiptHandle",
                     held != NULL ? json_string_value(held->handle) : "none",
                     "VisibilityTimeout", (json_int_t) task->seconds);
}


static void
ngx_comms_bus_aws_extended(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    size_t                     i;
    json_t                    *entry, *queue;
    ngx_str_t                  receipt;
    ngx_comms_bus_aws_held_t  *held;

    if (rc != NGX_OK) {
        ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
        return;
    }

    queue = json_object_get(task->in, "queue");

    json_array_foreach(json_object_get(answer, "Failed"), i, entry) {
        ngx_comms_bus_aws_extend_failed(task, entry);
    }

    for (i = task->i; i < task->i + task->batch; i++) {
        receipt = ngx_comms_json_view(json_array_get(task->list, i));
        held = ngx_comms_bus_aws_find(task->bus, queue, &receipt);

        if (held != NULL) {
            held->until = ngx_current_msec + task->seconds * 1000;
        }
    }

    task->i += task->batch;

    ngx_comms_bus_aws_extend_next(task);
}


static void
ngx_comms_bus_aws_extend_failed(ngx_comms_bus_aws_task_t *task,
    json_t *entry)
{
    json_t                    *receipt;
    ngx_int_t                  i;
    ngx_str_t                  text;
    ngx_comms_bus_aws_held_t  *held;

    text = ngx_comms_json_view(json_object_get(entry, "Id"));
    i = ngx_atoi(text.data, text.len);
    receipt = (i >= 0) ? json_array_get(task->list, i) : NULL;

    if (receipt == NULL
        || !json_is_true(json_object_get(entry, "SenderFault"))
        || ngx_comms_bus_aws_lose(task, receipt) != NGX_OK)
    {
        task->failed = 1;
        return;
    }

    text = ngx_comms_json_view(receipt);
    held = ngx_comms_bus_aws_find(task->bus,
                                  json_object_get(task->in, "queue"), &text);

    if (held != NULL) {
        ngx_comms_bus_aws_drop(task->bus, held);
    }
}


void
ngx_comms_bus_aws_remove(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_bus_aws_held_t  *held;
    ngx_comms_bus_aws_task_t  *task;

    task = ngx_comms_bus_aws_task(bus->data, in, op);
    if (task == NULL) {
        return;
    }

    held = ngx_comms_bus_aws_of(task);

    if (held == NULL) {
        ngx_comms_bus_aws_end(task, NGX_DECLINED, NULL);
        return;
    }

    ngx_comms_bus_aws_delete(task, held, ngx_comms_bus_aws_settled);
}


ngx_comms_bus_aws_held_t *
ngx_comms_bus_aws_of(ngx_comms_bus_aws_task_t *task)
{
    task->receipt = ngx_comms_json_view(json_object_get(task->in, "receipt"));

    return ngx_comms_bus_aws_find(task->bus,
                                  json_object_get(task->in, "queue"),
                                  &task->receipt);
}


void
ngx_comms_bus_aws_delete(ngx_comms_bus_aws_task_t *task,
    ngx_comms_bus_aws_held_t *held, ngx_comms_bus_aws_step_pt step)
{
    json_t  *in;

    in = json_pack("{s:O, s:O}", "QueueUrl", held->queue->url,
                   "ReceiptHandle", held->handle);

    ngx_comms_bus_aws_ask(task, NGX_COMMS_AWS_SQS, "DeleteMessage", in,
                          NGX_COMMS_BUS_AWS_TIMEOUT, step);
}


void
ngx_comms_bus_aws_settled(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    ngx_str_t                  code;
    ngx_uint_t                 i;
    ngx_comms_bus_aws_held_t  *held;

    static const char  *stale[] = {
        "ReceiptHandleIsInvalid", "MessageNotInflight",
        "InvalidParameterValue", NULL
    };

    if (rc == NGX_DECLINED) {
        code = ngx_comms_json_view(json_object_get(answer, "code"));
        rc = NGX_ERROR;

        for (i = 0; stale[i] != NULL; i++) {
            if (ngx_strlcasestrn(code.data, code.data + code.len,
                                 (u_char *) stale[i], ngx_strlen(stale[i]) - 1)
                != NULL)
            {
                rc = NGX_DECLINED;
            }
        }
    }

    if (rc == NGX_OK || rc == NGX_DECLINED) {
        held = ngx_comms_bus_aws_of(task);

        if (held != NULL) {
            ngx_comms_bus_aws_drop(task->bus, held);
        }
    }

    ngx_comms_bus_aws_end(task, rc == NGX_BUSY ? NGX_ERROR : rc, NULL);
}
