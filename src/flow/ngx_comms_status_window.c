
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Rows of the reports of providers: WhatsApp took a message over and found
 * only then that the window was closed (at Twilio that is the normal way to
 * hear of it).  The message has failed; what it says goes out once more in
 * the way that ngx_comms_send_window.c decides on.
 *
 * For that a message is added to the record that waits to be sent, with an id
 * that follows from the failed one's, and the window is noted as closed, in
 * one step; then the thread's turn is woken.  The same report again finds the
 * message there.  A message that stands for another is not replaced again.
 *
 * A first message is left failed where there is no other way to go, where the
 * fallback takes over, and where each channel has a message of its own anyway.
 */


#include <flow/ngx_comms_thread.h>
#include <flow/ngx_comms_fallback.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>


/* a report is about one of so many newest messages, or comes too late */
#define NGX_COMMS_STATUS_NEWEST  100


static ngx_uint_t ngx_comms_status_windowed(ngx_comms_flow_t *f);
static json_t *ngx_comms_status_again(ngx_comms_flow_t *f, json_t *message);


ngx_int_t
ngx_comms_status_window(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (!ngx_comms_status_windowed(f)) {
        return NGX_OK;
    }

    in = json_pack("{s:s%, s:i}", "thread_id", t->thread_id.data,
                   t->thread_id.len, "messages", NGX_COMMS_STATUS_NEWEST);

    return ngx_comms_thread_store(f, f->engine->store->load, in);
}


static ngx_uint_t
ngx_comms_status_windowed(ngx_comms_flow_t *f)
{
    json_t              *config;
    ngx_str_t            verdict, outside;
    ngx_uint_t           template;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    (void) ngx_comms_json_str(t->event, "verdict", &verdict);

    if (t->entry_id.len == 0
        || f->channel.data != ngx_comms_channel_names[NGX_COMMS_WHATSAPP].data
        || verdict.len != sizeof("window") - 1
        || ngx_strncmp(verdict.data, "window", verdict.len) != 0)
    {
        return 0;
    }

    if (!ngx_comms_fallback_is_first(t->facts, &f->channel, &t->entry_id)) {
        return 1;
    }

    config = ngx_comms_project_channel(t->project, NGX_COMMS_WHATSAPP);

    template = json_object_get(config, "whatsapp_template_sid") != NULL
               || json_object_get(config, "whatsapp_template_name") != NULL;

    (void) ngx_comms_json_str(config, "outside_window", &outside);

    if (json_object_get(t->facts, "fallback") != NULL
        || (outside.len == 0 && !template))
    {
        return 0;
    }

    return !(outside.len == sizeof("channel") - 1
             && ngx_strncmp(outside.data, "channel", outside.len) == 0
             && json_array_size(json_object_get(t->facts, "channel_method"))
                > 1);
}


ngx_int_t
ngx_comms_status_window_done(ngx_comms_flow_t *f)
{
    size_t               i;
    json_t              *message;
    ngx_str_t            entry_id;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (f->op_rc != NGX_OK) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_RETRY,
                                   "store could not be read", NULL);
    }

    json_array_foreach(json_object_get(json_object_get(f->answer, "record"),
                                       "messages"), i, message)
    {
        (void) ngx_comms_json_str(message, "entry_id", &entry_id);

        if (entry_id.len == t->entry_id.len
            && ngx_memcmp(entry_id.data, t->entry_id.data, entry_id.len) == 0
            && json_object_get(message, "instead_of") == NULL)
        {
            t->reply = ngx_comms_status_again(f, message);

            return t->reply ? NGX_OK : NGX_ERROR;
        }
    }

    return NGX_OK;
}


static json_t *
ngx_comms_status_again(ngx_comms_flow_t *f, json_t *message)
{
    json_t              *again;
    ngx_str_t            id;
    ngx_uint_t           i;
    ngx_comms_thread_t  *t;

    static ngx_str_t     window = ngx_string("window");

    static const char   *gone[] = {
        "provider_message_id", "email_message_id", "status_at", "reason",
        "reason_code", "ai_prompt_tokens", "ai_completion_tokens",
        "ai_total_tokens", NULL
    };

    t = f->ctx;

    again = json_copy(message);

    if (again == NULL
        || ngx_comms_id_derive(f->pool, &t->entry_id, &window, &id) != NGX_OK
        || ngx_comms_json_set_str(again, "instead_of", &t->entry_id) != NGX_OK
        || ngx_comms_json_set_str(again, "entry_id", &id) != NGX_OK
        || json_object_set_new(again, "status", json_string("pending")) != 0
        || (json_object_get(again, "turn_id") == NULL
            && ngx_comms_json_set_str(again, "turn_id", &t->entry_id)
               != NGX_OK))
    {
        json_decref(again);
        return NULL;
    }

    for (i = 0; gone[i] != NULL; i++) {
        (void) json_object_del(again, gone[i]);
    }

    return again;
}


ngx_int_t
ngx_comms_status_again_record(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (t->reply == NULL) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    in = json_pack("{s:s%, s:[O], s:{s:{s:i}}}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "messages", t->reply,
                   "set", "windows", "whatsapp", 0);

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


ngx_int_t
ngx_comms_status_again_record_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}


ngx_int_t
ngx_comms_status_again_wake(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_op_t      *op;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (t->reply == NULL) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    in = json_pack("{s:s, s:s%, s:O, s:{s:s, s:s%, s:s%, s:s%}}",
                   "queue", NGX_COMMS_QUEUE_REPLY,
                   "group", t->thread_id.data, t->thread_id.len,
                   "dedupe_id", json_object_get(t->reply, "entry_id"),
                   "body", "kind", "unsent",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "company_id", t->company_id.data, t->company_id.len,
                   "project_id", t->project_id.data, t->project_id.len);

    op = in ? ngx_comms_flow_op(f, f->engine->op_timeout) : NULL;

    if (op == NULL) {
        json_decref(in);
        return NGX_ERROR;
    }

    f->engine->bus->put(f->engine->bus, in, op);

    return NGX_AGAIN;
}


ngx_int_t
ngx_comms_status_again_wake_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}
