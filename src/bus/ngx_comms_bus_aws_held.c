
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Messages that this process has received and not settled.
 *
 * A receipt is "<process>:<number>", and stands for SQS's receipt handle for
 * as long as nobody else can have the message: SQS itself answers OK when a
 * stale handle is used to delete.  A receiver that never settles its message
 * is forgotten some time after the message has become visible again.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <bus/ngx_comms_bus_aws_private.h>


/* ms that a held message is kept for once it is visible again */
#define NGX_COMMS_BUS_AWS_KEEP  900000


static void ngx_comms_bus_aws_hold_text(ngx_comms_bus_aws_held_t *held);
static void ngx_comms_bus_aws_hold_numbers(ngx_comms_bus_aws_held_t *held,
    json_t *message);
static void ngx_comms_bus_aws_outdate(ngx_comms_bus_aws_t *ba,
    json_t *message_id);


ngx_comms_bus_aws_held_t *
ngx_comms_bus_aws_hold(ngx_comms_bus_aws_t *ba,
    ngx_comms_bus_aws_queue_t *queue, json_t *message, ngx_uint_t seconds)
{
    json_t                    *id, *handle, *text;
    ngx_comms_bus_aws_held_t  *held;

    id = json_object_get(message, "MessageId");
    handle = json_object_get(message, "ReceiptHandle");
    text = json_object_get(message, "Body");

    if (!json_is_string(id) || !json_is_string(handle)
        || !json_is_string(text))
    {
        return NULL;
    }

    held = ngx_calloc(sizeof(ngx_comms_bus_aws_held_t), ba->log);
    if (held == NULL) {
        return NULL;
    }

    held->queue = queue;
    held->message_id = json_incref(id);
    held->handle = json_incref(handle);
    held->text = json_incref(text);
    held->since = ngx_current_msec;
    held->until = ngx_current_msec + seconds * 1000;

    ngx_comms_bus_aws_hold_text(held);
    ngx_comms_bus_aws_hold_numbers(held, message);

    if (held->count > 1) {
        ngx_comms_bus_aws_outdate(ba, id);
    }

    held->node.str.data = held->receipt;
    held->node.str.len = ngx_sprintf(held->receipt, "%P:%uL", ngx_pid,
                                     ++ba->serial)
                         - held->receipt;
    held->node.node.key = ngx_crc32_long(held->receipt, held->node.str.len);

    ngx_rbtree_insert(&ba->held, &held->node.node);
    ngx_queue_insert_tail(&ba->oldest, &held->link);

    return held;
}


/* the envelope, out of SNS's own where delivery is not raw */

static void
ngx_comms_bus_aws_hold_text(ngx_comms_bus_aws_held_t *held)
{
    json_t  *document, *type, *inner;

    /*
     * No bound for the depth but jansson's own: what was accepted at the
     * bound for documents from outside is deeper here by the envelope.
     */

    document = json_loads(json_string_value(held->text),
                          JSON_REJECT_DUPLICATES, NULL);

    type = json_object_get(document, "Type");
    inner = json_object_get(document, "Message");

    if (json_is_string(type)
        && ngx_strcmp(json_string_value(type), "Notification") == 0
        && json_is_string(inner))
    {
        inner = json_loads(json_string_value(inner), JSON_REJECT_DUPLICATES,
                           NULL);

        json_decref(document);
        document = inner;
    }

    if (json_object_get(document, "body") == NULL) {
        json_decref(document);
        return;
    }

    held->envelope = document;
}


static void
ngx_comms_bus_aws_hold_numbers(ngx_comms_bus_aws_held_t *held,
    json_t *message)
{
    int64_t     n;
    json_t     *attributes;
    ngx_str_t   text;

    attributes = json_object_get(message, "Attributes");

    text = ngx_comms_json_view(
               json_object_get(attributes, "ApproximateReceiveCount"));
    n = ngx_atoi(text.data, text.len);
    held->count = (n > 0) ? n : 1;

    if (ngx_comms_json_int(held->envelope, "receives", &n) == NGX_OK
        && n > 0 && n < NGX_MAX_INT32_VALUE)
    {
        held->count += n;
    }

    if (ngx_comms_json_int(held->envelope, "sent_at", &n) == NGX_OK) {
        held->sent_at = n;
        return;
    }

    text = ngx_comms_json_view(json_object_get(attributes, "SentTimestamp"));
    n = ngx_atoof(text.data, text.len);
    held->sent_at = (n > 0) ? n : ngx_comms_clock_ms();
}


/* a message rarely comes twice, so there is no second tree for it */

static void
ngx_comms_bus_aws_outdate(ngx_comms_bus_aws_t *ba, json_t *message_id)
{
    ngx_queue_t               *q, *next;
    ngx_comms_bus_aws_held_t  *held;

    for (q = ngx_queue_head(&ba->oldest);
         q != ngx_queue_sentinel(&ba->oldest);
         q = next)
    {
        next = ngx_queue_next(q);
        held = ngx_queue_data(q, ngx_comms_bus_aws_held_t, link);

        if (json_equal(held->message_id, message_id)) {
            ngx_comms_bus_aws_drop(ba, held);
        }
    }
}


ngx_comms_bus_aws_held_t *
ngx_comms_bus_aws_find(ngx_comms_bus_aws_t *ba, json_t *queue,
    ngx_str_t *receipt)
{
    uint32_t                   hash;
    ngx_str_t                  name;
    ngx_comms_bus_aws_held_t  *held;

    name = ngx_comms_json_view(queue);
    hash = ngx_crc32_long(receipt->data, receipt->len);

    held = (ngx_comms_bus_aws_held_t *)
               ngx_str_rbtree_lookup(&ba->held, receipt, hash);

    if (held == NULL
        || held->queue->node.str.len != name.len
        || ngx_strncmp(held->queue->node.str.data, name.data, name.len) != 0)
    {
        return NULL;
    }

    return held;
}


void
ngx_comms_bus_aws_drop(ngx_comms_bus_aws_t *ba,
    ngx_comms_bus_aws_held_t *held)
{
    ngx_rbtree_delete(&ba->held, &held->node.node);
    ngx_queue_remove(&held->link);

    json_decref(held->handle);
    json_decref(held->message_id);
    json_decref(held->text);
    json_decref(held->envelope);

    ngx_free(held);
}


void
ngx_comms_bus_aws_forget(ngx_comms_bus_aws_t *ba, ngx_uint_t all)
{
    ngx_queue_t               *q, *next;
    ngx_comms_bus_aws_held_t  *held;

    if (!all && ngx_current_msec - ba->forgot < NGX_COMMS_BUS_AWS_KEEP / 10) {
        return;
    }

    ba->forgot = ngx_current_msec;

    for (q = ngx_queue_head(&ba->oldest);
         q != ngx_queue_sentinel(&ba->oldest);
         q = next)
    {
        next = ngx_queue_next(q);
        held = ngx_queue_data(q, ngx_comms_bus_aws_held_t, link);

        if (all
            || (ngx_msec_int_t) (ngx_current_msec - held->until)
               > NGX_COMMS_BUS_AWS_KEEP)
        {
            ngx_comms_bus_aws_drop(ba, held);
        }
    }
}
