
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A channel worker: takes the context object from its channel's queue and
 * sends the first message of the thread on that channel.
 *
 * Copies of one context object are worked on at once on several channels, so
 * this flow takes no lease; each message's own effect keeps it from being
 * sent twice, however often its copy is delivered.
 */


#include <flow/ngx_comms_thread.h>
#include <base/ngx_comms_json.h>


static ngx_int_t ngx_comms_deliver_read(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_deliver_prepare(ngx_comms_flow_t *f);


ngx_comms_step_t  ngx_comms_deliver_steps[] = {

    { "reading the context object",
      ngx_comms_deliver_read, NULL, 0 },

    { "loading the project",
      ngx_comms_thread_project, ngx_comms_thread_project_done, 0 },

    { "preparing the message",
      ngx_comms_deliver_prepare, NULL, 0 },

    { "loading the channel's credentials",
      ngx_comms_send_credentials, ngx_comms_send_credentials_done, 0 },

    { "composing the message",
      ngx_comms_send_compose, NULL, 0 },

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
    json_t  *message;

    message = json_object_getn(json_object_get(f->body, "messages"),
                               (char *) f->queue.data, f->queue.len);

    if (!json_is_object(message)) {
        return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD,
                              "context object has no message for the channel",
                              NULL);
    }

    return ngx_comms_send_prepare(f, message, 1);
}
