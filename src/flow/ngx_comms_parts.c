
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A text message that has too many segments: it is shortened, or becomes
 * several messages, as channel_config.sms says.
 *
 * Each part is a message of the record like any other, with an id, an effect
 * and a send of its own.  They go out in order, the next one when the one
 * before was taken over; where one is not, those behind it are cancelled,
 * since what they say makes no sense alone.  What the AI cost stands with the
 * first.
 */


#include <flow/ngx_comms_thread.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_sms.h>


/* Twilio's 1600 characters are no more than this in GSM 7, either */
#define NGX_COMMS_PARTS_SEGMENTS  10


static json_t *ngx_comms_parts_part(ngx_comms_flow_t *f, json_t *message,
    ngx_str_t *content);


ngx_uint_t
ngx_comms_parts_segments(json_t *config)
{
    int64_t  max;

    if (ngx_comms_json_int(config, "max_segments", &max) != NGX_OK || max < 1)
    {
        return NGX_COMMS_PARTS_SEGMENTS;
    }

    return (ngx_uint_t) ngx_min(max, NGX_COMMS_PARTS_SEGMENTS);
}


ngx_int_t
ngx_comms_parts_make(ngx_comms_flow_t *f, json_t *message, json_t **parts)
{
    json_t              *config, *part;
    ngx_str_t            channel, content, *texts;
    ngx_uint_t           i;
    ngx_array_t          pieces;
    ngx_comms_sms_t      sms;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    *parts = NULL;

    (void) ngx_comms_json_str(message, "channel", &channel);

    if (ngx_comms_channel_by_name(&channel) != NGX_COMMS_SMS) {
        return NGX_OK;
    }

    config = ngx_comms_project_channel(t->project, NGX_COMMS_SMS);

    (void) ngx_comms_json_str(message, "content", &content);

    ngx_comms_sms_count(&content, &sms);

    if (sms.segments <= ngx_comms_parts_segments(config)) {
        return NGX_OK;
    }

    if (ngx_array_init(&pieces, f->pool, 4, sizeof(ngx_str_t)) != NGX_OK
        || ngx_comms_parts_cut(f->pool, config, &content, &pieces) != NGX_OK)
    {
        return NGX_ERROR;
    }

    texts = pieces.elts;

    if (json_is_true(json_object_get(config, "split"))) {
        *parts = json_array();

        if (*parts == NULL) {
            return NGX_ERROR;
        }

        for (i = 1; i < pieces.nelts; i++) {
            part = ngx_comms_parts_part(f, message, &texts[i]);

            if (json_array_append_new(*parts, part) != 0) {
                goto failed;
            }
        }
    }

    /* the pieces are views of the old text */

    if (ngx_comms_json_set_str(message, "content", &texts[0]) != NGX_OK) {
        goto failed;
    }

    return NGX_OK;

failed:

    json_decref(*parts);
    *parts = NULL;

    return NGX_ERROR;
}


ngx_int_t
ngx_comms_parts_cut(ngx_pool_t *pool, json_t *config, ngx_str_t *content,
    ngx_array_t *pieces)
{
    ngx_str_t  copy;

    copy.len = content->len;
    copy.data = ngx_pstrdup(pool, content);

    if (copy.data == NULL
        || ngx_comms_sms_split(pool, &copy, ngx_comms_parts_segments(config),
                               pieces)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return pieces->nelts ? NGX_OK : NGX_ERROR;
}


static json_t *
ngx_comms_parts_part(ngx_comms_flow_t *f, json_t *message, ngx_str_t *content)
{
    json_t      *part;
    ngx_str_t    entry_id;
    ngx_uint_t   i;

    static const char  *costs[] = {
        "ai_prompt_tokens", "ai_completion_tokens", "ai_total_tokens",
        "processing_time_ms", NULL
    };

    part = json_copy(message);

    if (part == NULL
        || ngx_comms_id_mint(f->pool, "", &entry_id) != NGX_OK
        || ngx_comms_json_set_str(part, "entry_id", &entry_id) != NGX_OK
        || ngx_comms_json_set_str(part, "content", content) != NGX_OK)
    {
        json_decref(part);
        return NULL;
    }

    for (i = 0; costs[i] != NULL; i++) {
        if (json_object_set_new(part, costs[i], json_integer(0)) != 0) {
            json_decref(part);
            return NULL;
        }
    }

    return part;
}


/* the unsent messages of the first one's turn are parts of one answer */

ngx_int_t
ngx_comms_parts_unsent(ngx_comms_thread_t *t, json_t *unsent)
{
    size_t   i;
    json_t  *turn_id, *message;

    json_decref(t->parts);
    t->parts = json_array();
    t->part = 0;

    turn_id = json_object_get(json_array_get(unsent, 0), "turn_id");

    for (i = 1; i < json_array_size(unsent); i++) {
        message = json_array_get(unsent, i);

        if (turn_id != NULL
            && json_equal(json_object_get(message, "turn_id"), turn_id)
            && json_array_append(t->parts, message) != 0)
        {
            return NGX_ERROR;
        }
    }

    return t->parts ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_comms_parts_next(ngx_comms_flow_t *f)
{
    json_t              *part;
    ngx_int_t            rc;
    ngx_uint_t           first;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    if (s->cancelled || s->withdrawn || s->unsent
        || s->sent.verdict != NGX_COMMS_SENT)
    {
        return NGX_OK;
    }

    part = json_array_get(t->parts, t->part);

    if (part == NULL) {
        return NGX_OK;
    }

    t->part++;
    first = s->first;

    if (s->message == t->reply) {
        json_decref(t->reply);
        t->reply = json_incref(part);
    }

    rc = ngx_comms_send_prepare(f, part, first);
    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    s->aside = 1;

    return NGX_DECLINED;
}


ngx_int_t
ngx_comms_parts_forsake(ngx_comms_flow_t *f, json_t *messages)
{
    size_t               i;
    json_t              *part;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    for (i = t->part; i < json_array_size(t->parts); i++) {
        part = json_array_get(t->parts, i);

        if (json_array_append_new(messages,
                       json_pack("{s:O, s:s, s:s}", "entry_id",
                                 json_object_get(part, "entry_id"),
                                 "status", "cancelled",
                                 "reason", "incomplete"))
            != 0)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
