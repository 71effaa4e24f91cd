
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Twilio's status callbacks: what became of a message of ours.
 *
 * They come out of order and more than once, and carry no time.  Which
 * message it is about is said twice: by Twilio's MessageSid, and by the
 * marker in the callback's own URL ("m="), which is known even where the
 * answer with the sid was lost.  The URL is signed with the form.
 *
 * Source: https://www.twilio.com/docs/messaging/guides/track-outbound-message-
 * status and "MessageStatus" of the Messages resource.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_event.h>
#include <channel/ngx_comms_twilio.h>


#define NGX_COMMS_TWILIO_MAX_ARGS  32


static const char *ngx_comms_twilio_status_of(ngx_array_t *fields);
static ngx_int_t ngx_comms_twilio_status_event(ngx_pool_t *pool,
    ngx_comms_webhook_t *wh, ngx_array_t *fields, const char *name,
    json_t *event);
static ngx_int_t ngx_comms_twilio_marker(ngx_pool_t *pool,
    ngx_comms_webhook_t *wh, json_t *event);
static ngx_int_t ngx_comms_twilio_failure(ngx_array_t *fields,
    json_t *event);


/* an inbound message says "received" or nothing at all */

ngx_uint_t
ngx_comms_twilio_is_status(ngx_array_t *fields)
{
    ngx_str_t   status, received;
    ngx_uint_t  i;

    static const char  *names[] = { "MessageStatus", "SmsStatus", NULL };

    ngx_str_set(&received, "received");

    for (i = 0; names[i] != NULL; i++) {
        status = ngx_comms_twilio_field(fields, names[i]);

        if (status.len > 0 && !ngx_comms_same_word(&status, &received)) {
            return 1;
        }
    }

    return ngx_comms_form_field(fields, "EventType") != NULL
           && ngx_comms_form_field(fields, "Body") == NULL;
}


ngx_int_t
ngx_comms_twilio_status(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    ngx_array_t *fields, json_t **event)
{
    ngx_str_t                  to, prefix, *whatsapp;
    const char                *name, *ignored;
    ngx_comms_twilio_party_t   person;

    to = ngx_comms_twilio_field(fields, "To");

    if (to.len == 0) {
        return NGX_DECLINED;
    }

    if (ngx_comms_twilio_read_party(pool, &to, &person) != NGX_OK) {
        return NGX_ERROR;
    }

    prefix = ngx_comms_twilio_field(fields, "ChannelPrefix");
    whatsapp = &ngx_comms_channel_names[NGX_COMMS_WHATSAPP];

    if (ngx_comms_same_word(&prefix, whatsapp)) {
        person.channel = NGX_COMMS_WHATSAPP;
    }

    name = ngx_comms_twilio_status_of(fields);

    if (name == NULL || person.channel == NGX_COMMS_CHANNELS) {
        ignored = (name == NULL) ? "a status that changes nothing"
                                 : "not a channel of ours";

        *event = ngx_comms_event_ignored(ignored);

        return (*event != NULL) ? NGX_OK : NGX_ERROR;
    }

    *event = ngx_comms_event_create("status", "twilio", person.channel);

    if (*event == NULL
        || ngx_comms_twilio_status_event(pool, wh, fields, name, *event)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (person.address.len == 0) {
        return NGX_OK;
    }

    return ngx_comms_json_set_str(*event, "person_address", &person.address);
}


static ngx_int_t
ngx_comms_twilio_status_event(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    ngx_array_t *fields, const char *name, json_t *event)
{
    int64_t    at;
    ngx_str_t  sid;

    at = (wh->now > 0) ? (int64_t) wh->now * 1000 : ngx_comms_clock_ms();
    sid = ngx_comms_twilio_field(fields, "MessageSid");

    if (ngx_comms_json_set_str(event, "provider_message_id", &sid) != NGX_OK
        || ngx_comms_event_dedupe(pool, event, "twilio", &sid, name)
           != NGX_OK
        || json_object_set_new(event, "status", json_string(name)) != 0
        || json_object_set_new(event, "at", json_integer(at)) != 0
        || ngx_comms_twilio_marker(pool, wh, event) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_strcmp(name, "failed") != 0) {
        return NGX_OK;
    }

    return ngx_comms_twilio_failure(fields, event);
}


/* ours for Twilio's, or NULL: on its way, and nothing known yet */

static const char *
ngx_comms_twilio_status_of(ngx_array_t *fields)
{
    ngx_str_t   said, known;
    ngx_uint_t  i, j;

    static const char  *members[] = {
        "EventType", "MessageStatus", "SmsStatus", NULL
    };

    static const char  *names[][2] = {
        { "sent", "sent" },
        { "delivered", "delivered" },
        { "partially_delivered", "delivered" },
        { "read", "read" },
        { "failed", "failed" },
        { "undelivered", "failed" },
        { "canceled", "failed" },
        { NULL, NULL }
    };

    for (i = 0; members[i] != NULL; i++) {
        said = ngx_comms_twilio_field(fields, members[i]);

        for (j = 0; names[j][0] != NULL; j++) {
            known.data = (u_char *) names[j][0];
            known.len = ngx_strlen(names[j][0]);

            if (ngx_comms_same_word(&said, &known)) {
                return names[j][1];
            }
        }
    }

    return NULL;
}


static ngx_int_t
ngx_comms_twilio_marker(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *event)
{
    u_char       *p, *last;
    ngx_int_t     rc;
    ngx_str_t     query, *url, *marker;
    ngx_uint_t    i;
    ngx_array_t   args;

    url = wh->urls.elts;

    for (i = 0; i < wh->urls.nelts; i++) {
        last = url[i].data + url[i].len;

        p = ngx_strlchr(url[i].data, last, '?');
        if (p == NULL) {
            continue;
        }

        query.data = p + 1;

        p = ngx_strlchr(query.data, last, '#');
        query.len = ((p != NULL) ? p : last) - query.data;

        rc = ngx_comms_form_parse(pool, &query, NGX_COMMS_TWILIO_MAX_ARGS,
                                  &args);
        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        marker = (rc == NGX_OK) ? ngx_comms_form_field(&args, "m") : NULL;

        if (marker != NULL && ngx_comms_event_marker(marker)) {
            return ngx_comms_json_set_str(event, "marker", marker);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_twilio_failure(ngx_array_t *fields, json_t *event)
{
    ngx_int_t                code;
    ngx_str_t                said;
    const ngx_comms_code_t  *row;

    said = ngx_comms_twilio_field(fields, "ErrorCode");
    code = ngx_atoi(said.data, said.len);
    row = NULL;

    if (code <= 0 || code > NGX_COMMS_TWILIO_MAX_CODE) {
        ngx_str_null(&said);

    } else {
        row = ngx_comms_twilio_error((ngx_uint_t) code);
    }

    return ngx_comms_code_event(event, &said, row);
}
