
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Putting and publishing.
 *
 * The text of a message is an envelope:
 *
 *   body        as it was given
 *   group       the thread id
 *   channels    (published) whose queues get a copy
 *   receives    receives of earlier copies of it; absent: 0
 *   sent_at     ms, of the first copy; absent: as SQS says
 *   not_before  ms: whoever gets it earlier sends it on; absent: at once
 *
 * SNS gives the same text to the queues: raw, or inside of its notification.
 *
 * On standard queues the message group only serves fairness, so it is the
 * company; on FIFO ones it is the thread, whose messages then come in order.
 * A message without a group is one of its own there: it waits for nobody.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <bus/ngx_comms_bus_aws_private.h>


/* bytes, attributes included */
#define NGX_COMMS_BUS_AWS_MAX_SEND      1048576

#define NGX_COMMS_BUS_AWS_MAX_CHANNELS  16


static void ngx_comms_bus_aws_put_to(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);
static void ngx_comms_bus_aws_put_done(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);
static json_t *ngx_comms_bus_aws_envelope(json_t *in, int64_t not_before);
static json_t *ngx_comms_bus_aws_escaped(u_char *text);
static void ngx_comms_bus_aws_too_large(ngx_comms_bus_aws_task_t *task);
static ngx_int_t ngx_comms_bus_aws_group(ngx_comms_bus_aws_t *ba, json_t *in,
    json_t *envelope, ngx_str_t *dedupe);
static ngx_uint_t ngx_comms_bus_aws_group_valid(ngx_str_t *group);
static json_t *ngx_comms_bus_aws_publish_in(ngx_comms_bus_aws_task_t *task,
    json_t *text, json_t *envelope);
static void ngx_comms_bus_aws_published(ngx_comms_bus_aws_task_t *task,
    ngx_int_t rc, json_t *answer);


void
ngx_comms_bus_aws_put(ngx_comms_bus_t *bus, json_t *in, ngx_comms_op_t *op)
{
    int64_t                    delay;
    ngx_str_t                  name;
    ngx_comms_bus_aws_task_t  *task;

    task = ngx_comms_bus_aws_task(bus->data, in, op);
    if (task == NULL) {
        return;
    }

    delay = 0;

    if (ngx_comms_json_str(in, "queue", &name) != NGX_OK
        || ngx_comms_json_int(in, "delay", &delay) == NGX_ERROR
        || json_object_get(in, "body") == NULL)
    {
        ngx_log_error(NGX_LOG_ALERT, task->bus->log, 0,
                      "bus: put was asked without queue or body");
        ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
        return;
    }

    task->delay = ngx_min(ngx_max(delay, 0), NGX_COMMS_BUS_AWS_LATEST);

    ngx_comms_bus_aws_need(task, &name, ngx_comms_bus_aws_put_to);
}


static void
ngx_comms_bus_aws_put_to(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    json_t     *envelope, *text, *in;
    int64_t     not_before;
    ngx_str_t   dedupe;

    if (rc != NGX_OK) {
        ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
        return;
    }

    not_before = 0;

    if (task->delay > NGX_COMMS_BUS_AWS_MAX_DELAY * 1000
        || (task->delay > 0 && task->bus->fifo))
    {
        not_before = ngx_comms_clock_ms() + task->delay;
    }

    dedupe = ngx_comms_json_view(json_object_get(task->in, "dedupe_id"));
    envelope = ngx_comms_bus_aws_envelope(task->in, not_before);
    text = ngx_comms_bus_aws_text(envelope);

    if (text != NULL
        && json_string_length(text) > NGX_COMMS_BUS_AWS_MAX_SEND)
    {
        json_decref(envelope);
        json_decref(text);
        ngx_comms_bus_aws_too_large(task);
        return;
    }

    in = ngx_comms_bus_aws_send_in(task->bus, task->queue, text, envelope,
                                   &dedupe, task->delay);

    json_decref(envelope);
    json_decref(text);

    ngx_comms_bus_aws_ask(task, NGX_COMMS_AWS_SQS, "SendMessage", in,
                          NGX_COMMS_BUS_AWS_TIMEOUT,
                          ngx_comms_bus_aws_put_done);
}


static void
ngx_comms_bus_aws_put_done(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    if (rc != NGX_OK) {
        ngx_comms_bus_aws_fail(task, rc, answer);
        return;
    }

    ngx_comms_bus_aws_notice(task->bus, task->queue);
    ngx_comms_bus_aws_end(task, NGX_OK, NULL);
}


static json_t *
ngx_comms_bus_aws_envelope(json_t *in, int64_t not_before)
{
    json_t  *envelope, *group;

    group = json_object_get(in, "group");

    envelope = json_pack("{s:O, s:O*, s:O*}",
                         "body", json_object_get(in, "body"),
                         "group", json_is_string(group) ? group : NULL,
                         "channels", json_object_get(in, "channels"));

    if (envelope != NULL
        && not_before
        && json_object_set_new(envelope, "not_before",
                               json_integer(not_before)) != 0)
    {
        json_decref(envelope);
        return NULL;
    }

    return envelope;
}


/*
 * SQS and SNS refuse U+FFFE and U+FFFF, which JSON need not escape, and some
 * engines with their API everything beyond U+FFFF.  In a JSON text such
 * characters stand in strings alone, where an escape means the same.
 */

json_t *
ngx_comms_bus_aws_text(json_t *document)
{
    char    *text;
    json_t  *string;

    if (document == NULL) {
        return NULL;
    }

    text = json_dumps(document, JSON_COMPACT);
    if (text == NULL) {
        return NULL;
    }

    if (strpbrk(text, "\xef\xf0\xf1\xf2\xf3\xf4") == NULL) {
        string = json_string_nocheck(text);

    } else {
        string = ngx_comms_bus_aws_escaped((u_char *) text);
    }

    free(text);

    return string;
}


static json_t *
ngx_comms_bus_aws_escaped(u_char *text)
{
    size_t      n;
    u_char     *p, *last, *dst, *escaped;
    json_t     *string;
    uint32_t    ch;
    ngx_str_t   one;

    n = ngx_strlen(text);

    /* four bytes become twelve */

    escaped = ngx_alloc(3 * n, ngx_cycle->log);
    if (escaped == NULL) {
        return NULL;
    }

    dst = escaped;
    last = text + n;

    for (p = text; p < last; p = one.data) {

        one.data = p;

        if (*p < 0x80) {
            *dst++ = *p;
            one.data++;
            continue;
        }

        ch = ngx_utf8_decode(&one.data, last - p);

        if (ch > 0xffff) {
            ch -= 0x10000;
            dst = ngx_sprintf(dst, "\\u%04xD\\u%04xD", 0xd800 + (ch >> 10),
                              0xdc00 + (ch & 0x3ff));

        } else if (ch == 0xfffe || ch == 0xffff) {
            dst = ngx_sprintf(dst, "\\u%04xD", ch);

        } else {
            dst = ngx_cpymem(dst, p, one.data - p);
        }
    }

    string = json_stringn_nocheck((char *) escaped, dst - escaped);

    ngx_free(escaped);

    return string;
}


static void
ngx_comms_bus_aws_too_large(ngx_comms_bus_aws_task_t *task)
{
    ngx_log_error(NGX_LOG_ERR, task->bus->log, 0,
                  "a message is too large for the bus and was not sent");

    ngx_comms_bus_aws_end(task, NGX_DECLINED,
                          json_pack("{s:s, s:s}", "code", "TooLarge",
                                    "message", "too large"));
}


json_t *
ngx_comms_bus_aws_send_in(ngx_comms_bus_aws_t *ba,
    ngx_comms_bus_aws_queue_t *queue, json_t *text, json_t *envelope,
    ngx_str_t *dedupe, int64_t delay)
{
    json_t   *in;
    int64_t   seconds;

    if (text == NULL) {
        return NULL;
    }

    in = json_pack("{s:O, s:O}", "QueueUrl", queue->url, "MessageBody", text);

    if (in == NULL
        || ngx_comms_bus_aws_group(ba, in, envelope, dedupe) != NGX_OK)
    {
        json_decref(in);
        return NULL;
    }

    seconds = ngx_min((delay + 999) / 1000, NGX_COMMS_BUS_AWS_MAX_DELAY);

    if (seconds > 0
        && !ba->fifo
        && json_object_set_new(in, "DelaySeconds", json_integer(seconds))
           != 0)
    {
        json_decref(in);
        return NULL;
    }

    return in;
}


/* "in" is of SendMessage or of Publish: they name the members alike */

static ngx_int_t
ngx_comms_bus_aws_group(ngx_comms_bus_aws_t *ba, json_t *in,
    json_t *envelope, ngx_str_t *dedupe)
{
    u_char      hex[2 * NGX_COMMS_SHA256_LEN];
    u_char      digest[NGX_COMMS_SHA256_LEN];
    ngx_int_t   rc;
    ngx_str_t   group, id;

    group = ngx_comms_json_view(json_object_get(envelope, "group"));

    if (!ba->fifo) {
        id = ngx_comms_json_view(
                 json_object_get(json_object_get(envelope, "body"),
                                 "company_id"));

        if (id.len) {
            group = id;
        }

        if (!ngx_comms_bus_aws_group_valid(&group)) {
            return NGX_OK;
        }

        return ngx_comms_json_set_str(in, "MessageGroupId", &group);
    }

    /* without an id each one is a message of its own */

    rc = dedupe->len ? ngx_comms_sha256(dedupe, digest)
                     : ngx_comms_random(digest, NGX_COMMS_SHA256_LEN);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    id.data = hex;
    id.len = ngx_hex_dump(hex, digest, NGX_COMMS_SHA256_LEN) - hex;

    if (!ngx_comms_bus_aws_group_valid(&group)) {
        group = id;
    }

    if (ngx_comms_json_set_str(in, "MessageGroupId", &group) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_json_set_str(in, "MessageDeduplicationId", &id);
}


static ngx_uint_t
ngx_comms_bus_aws_group_valid(ngx_str_t *group)
{
    ngx_uint_t  i;

    if (group->len == 0 || group->len > 128) {
        return 0;
    }

    for (i = 0; i < group->len; i++) {
        if (group->data[i] <= ' ' || group->data[i] >= 0x7f) {
            return 0;
        }
    }

    return 1;
}


void
ngx_comms_bus_aws_publish(ngx_comms_bus_t *bus, json_t *in,
    ngx_comms_op_t *op)
{
    size_t                     size;
    json_t                    *envelope, *text, *names, *publish;
    ngx_comms_bus_aws_task_t  *task;

    task = ngx_comms_bus_aws_task(bus->data, in, op);
    if (task == NULL) {
        return;
    }

    names = json_object_get(in, "channels");

    if (json_array_size(names) == 0
        || json_array_size(names) > NGX_COMMS_BUS_AWS_MAX_CHANNELS
        || json_object_get(in, "body") == NULL)
    {
        ngx_log_error(NGX_LOG_ALERT, task->bus->log, 0,
                      "bus: publish was asked without channels or body");
        ngx_comms_bus_aws_end(task, NGX_ERROR, NULL);
        return;
    }

    envelope = ngx_comms_bus_aws_envelope(in, 0);
    text = ngx_comms_bus_aws_text(envelope);
    publish = ngx_comms_bus_aws_publish_in(task, text, envelope);

    size = json_string_length(text)
           + sizeof("channelString.Array")
           + json_string_length(json_object_get(publish,
                            "MessageAttributes.entry.1.Value.StringValue"));

    json_decref(envelope);
    json_decref(text);

    if (publish != NULL && size > NGX_COMMS_BUS_AWS_MAX_PUBLISH) {
        json_decref(publish);
        ngx_comms_bus_aws_too_large(task);
        return;
    }

    ngx_comms_bus_aws_ask(task, NGX_COMMS_AWS_SNS, "Publish", publish,
                          NGX_COMMS_BUS_AWS_TIMEOUT,
                          ngx_comms_bus_aws_published);
}


static json_t *
ngx_comms_bus_aws_publish_in(ngx_comms_bus_aws_task_t *task, json_t *text,
    json_t *envelope)
{
    json_t               *in, *names;
    ngx_str_t             id;
    ngx_comms_bus_aws_t  *ba;

    ba = task->bus;
    id = ngx_comms_json_view(json_object_get(task->in, "publish_id"));
    names = ngx_comms_bus_aws_text(json_object_get(task->in, "channels"));

    if (text == NULL || names == NULL) {
        json_decref(names);
        return NULL;
    }

    in = json_pack("{s:s%, s:O, s:s, s:s, s:o}",
                   "TopicArn", ba->topic.data, ba->topic.len,
                   "Message", text,
                   "MessageAttributes.entry.1.Name", "channel",
                   "MessageAttributes.entry.1.Value.DataType", "String.Array",
                   "MessageAttributes.entry.1.Value.StringValue", names);

    if (in != NULL
        && ngx_comms_bus_aws_group(ba, in, envelope, &id) != NGX_OK)
    {
        json_decref(in);
        return NULL;
    }

    return in;
}


static void
ngx_comms_bus_aws_published(ngx_comms_bus_aws_task_t *task, ngx_int_t rc,
    json_t *answer)
{
    size_t      i;
    json_t     *channel;
    ngx_str_t   name;

    if (rc != NGX_OK) {
        ngx_comms_bus_aws_fail(task, rc, answer);
        return;
    }

    json_array_foreach(json_object_get(task->in, "channels"), i, channel) {
        name = ngx_comms_json_view(channel);
        ngx_comms_notice_post(task->bus->zone, NGX_COMMS_NOTICE_QUEUE, &name);
    }

    ngx_comms_bus_aws_end(task, NGX_OK, NULL);
}
