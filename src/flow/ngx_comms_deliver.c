
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A channel worker: takes the context object from its channel's queue and
 * sends the first message of the thread on that channel.
 *
 * Copies of one context object are worked on at once on several channels, so
 * this flow takes no lease; each message's own effect keeps it from being
 * sent twice, however often its copy is delivered.
 *
 * A copy that goes to the dead letters says so in the record, whatever it
 * died of: nobody waits for a channel on which nothing will come any more.
 */


#include <flow/ngx_comms_fallback.h>
#include <base/ngx_comms_json.h>


static ngx_int_t ngx_comms_deliver_read(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_deliver_prepare(ngx_comms_flow_t *f);
static ngx_uint_t ngx_comms_deliver_dies(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_deliver_give_up(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_deliver_give_up_done(ngx_comms_flow_t *f);
static const char *ngx_comms_deliver_status(ngx_comms_send_t *s);
static ngx_int_t ngx_comms_deliver_close(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_deliver_close_done(ngx_comms_flow_t *f);


ngx_comms_step_t  ngx_comms_deliver_steps[] = {

    { "reading the context object",
      ngx_comms_deliver_read, NULL, 0 },

    { "loading the project",
      ngx_comms_thread_project, ngx_comms_thread_project_done, 0 },

    { "preparing the message",
      ngx_comms_deliver_prepare, NULL, 0 },

    { "looking at the window",
      ngx_comms_send_window, ngx_comms_send_window_done, 0 },

    { "adding the new address",
      ngx_comms_send_link, ngx_comms_send_link_done, 0 },

    { "loading the channel's credentials",
      ngx_comms_send_credentials, ngx_comms_send_credentials_done, 0 },

    { "composing the message",
      ngx_comms_send_compose, NULL, 0 },

    { "minding quiet hours",
      ngx_comms_send_quiet, NULL, 0 },

    { "waiting for the sender's turn",
      ngx_comms_send_pace, ngx_comms_send_pace_done, 0 },

    { "passing the send gate",
      ngx_comms_send_gate, ngx_comms_send_gate_done, 0 },

    { "sending",
      ngx_comms_send_call, ngx_comms_send_call_done, 0 },

    { "recording the send",
      ngx_comms_send_record, ngx_comms_send_record_done, 0 },

    { "heeding the provider's opt-out",
      ngx_comms_send_suppress, ngx_comms_send_suppress_done, 0 },

    { "concluding",
      ngx_comms_send_conclude, ngx_comms_send_conclude_done, 0 },

    { "giving up",
      ngx_comms_deliver_give_up, ngx_comms_deliver_give_up_done, 1 },

    { "closing the thread",
      ngx_comms_deliver_close, ngx_comms_deliver_close_done, 1 },

    { "moving on to the next channel",
      ngx_comms_fallback_hasten, ngx_comms_fallback_hasten_done, 1 },

    { NULL, NULL, NULL, 0 }
};


static ngx_int_t
ngx_comms_deliver_read(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_comms_thread_t  *t;

    t = ngx_comms_thread_create(f);
    if (t == NULL) {
        return NGX_ERROR;
    }

    f->channel = f->queue;
    t->facts = json_incref(f->body);

    rc = ngx_comms_thread_name(f, f->body);

    if (rc == NGX_DECLINED) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                                   "context object is malformed", NULL);
    }

    return rc;
}


static ngx_int_t
ngx_comms_deliver_prepare(ngx_comms_flow_t *f)
{
    json_t              *message;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    message = json_object_getn(json_object_get(f->body, "messages"),
                               (char *) f->queue.data, f->queue.len);

    if (!json_is_object(message)) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                              "context object has no message for the channel",
                              NULL);
    }

    json_decref(t->parts);
    t->parts = json_incref(json_object_getn(json_object_get(f->body, "parts"),
                                            (char *) f->queue.data,
                                            f->queue.len));
    t->part = 0;

    return ngx_comms_send_prepare(f, message, 1);
}


/* will its end be in the dead letters, and not in the record? */

static ngx_uint_t
ngx_comms_deliver_dies(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t  *t;

    t = f->ctx;

    return ngx_comms_thread_dies(f)
           && !t->send.recorded && !t->send.settled;
}


static ngx_int_t
ngx_comms_deliver_give_up(ngx_comms_flow_t *f)
{
    json_t              *in, *message;
    const char          *status;
    ngx_str_t            entry_id;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (!ngx_comms_deliver_dies(f)) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    status = ngx_comms_deliver_status(&t->send);

    message = json_object_getn(json_object_get(f->body, "messages"),
                               (char *) f->queue.data, f->queue.len);

    in = json_pack("{s:s%, s:{s:s%, s:s, s:s}}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "channel_state", "channel", f->queue.data, f->queue.len,
                   "status", status, "reason", "gave_up");

    if (in && ngx_comms_json_str(message, "entry_id", &entry_id) == NGX_OK
        && json_object_set_new(in, "messages",
                    json_pack("[{s:s%, s:s, s:s}]",
                              "entry_id", entry_id.data, entry_id.len,
                              "status", status, "reason", "gave_up"))
           != 0)
    {
        json_decref(in);
        in = NULL;
    }

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


static ngx_int_t
ngx_comms_deliver_give_up_done(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    rc = ngx_comms_thread_written(f);

    if (rc == NGX_OK && f->op_rc == NGX_OK) {
        ngx_comms_send_hope(&t->send,
                            json_object_get(f->answer, "channel_states"));
        t->send.gave_up = 1;
    }

    return rc;
}


static const char *
ngx_comms_deliver_status(ngx_comms_send_t *s)
{
    if (s->decided && !s->unsent && s->cancelled == NULL
        && (s->sent.verdict == NGX_COMMS_SENT
            || s->sent.verdict == NGX_COMMS_SEND_UNKNOWN))
    {
        return "unknown";
    }

    return "failed";
}


static ngx_int_t
ngx_comms_deliver_close(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (t == NULL || !t->send.gave_up || !t->send.all_failed) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    in = json_pack("{s:s%, s:{s:s}}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "set", "conversation_status", "failed");

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


static ngx_int_t
ngx_comms_deliver_close_done(ngx_comms_flow_t *f)
{
    return ngx_comms_thread_written(f);
}
