
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Into the queues: one message into one, or a context object into the queue
 * of each of its channels.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <sqlite/ngx_comms_sqlite_queue.h>
#include <bus/ngx_comms_bus_sqlite_works.h>


static const ngx_comms_sqlite_member_t  ngx_comms_bus_put_members[] = {
    { "queue", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "body", NGX_COMMS_SQLITE_OBJECT, 0, 0, 0 },
    { "group", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "delay", NGX_COMMS_SQLITE_INTEGER, 1, 0, INT64_MAX },
    { "dedupe_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_bus_publish_members[] = {
    { "publish_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "channels", NGX_COMMS_SQLITE_NAMES, 0, 0, 0 },
    { "body", NGX_COMMS_SQLITE_OBJECT, 0, 0, 0 },
    { "group", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


ngx_int_t
ngx_comms_bus_sqlite_put(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    int64_t    delay;
    ngx_str_t  queue, group, dedupe_id;

    if (ngx_comms_sqlite_members("put", in, ngx_comms_bus_put_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    queue = ngx_comms_sqlite_text(in, "queue");
    group = ngx_comms_sqlite_text(in, "group");
    dedupe_id = ngx_comms_sqlite_text(in, "dedupe_id");

    delay = json_integer_value(json_object_get(in, "delay"));

    return ngx_comms_sqlite_queue_put(txn, &queue, &group, &dedupe_id,
                                      json_object_get(in, "body"), delay);
}


ngx_int_t
ngx_comms_bus_sqlite_publish(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    size_t      i;
    json_t     *channel;
    ngx_str_t   queue, group, publish_id;

    if (ngx_comms_sqlite_members("publish", in,
                                 ngx_comms_bus_publish_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    group = ngx_comms_sqlite_text(in, "group");
    publish_id = ngx_comms_sqlite_text(in, "publish_id");

    json_array_foreach(json_object_get(in, "channels"), i, channel) {

        queue = ngx_comms_json_view(channel);

        if (ngx_comms_sqlite_queue_put(txn, &queue, &group, &publish_id,
                                       json_object_get(in, "body"), 0)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
