
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * WhatsApp's window: for 24 hours from a person's newest WhatsApp message a
 * company may write to that person freely, outside of them by an approved
 * template alone (developers.facebook.com, "Customer service windows"; Twilio
 * error 63016, Meta error 131047).
 *
 * The record's header knows until when: "windows": {"whatsapp": ms}.  What a
 * first message finds is not known, since it may be the person's first word
 * with the company; it counts as outside.
 *
 * The decision, by channel_config.whatsapp.outside_window:
 *
 *   inside                     free text
 *   outside, "template"        the template
 *   outside, "channel"         the message takes another way: a new message
 *                              on the first other channel that the project
 *                              allows and for which there is an address
 *   outside, "hold", or        cancelled, and the thread is a human's
 *   no other channel
 *   outside, not configured    a first message is tried as free text, all
 *                              else is held
 *
 * A provider that knows better says so; then the decision is made once more,
 * as outside.  A template that is refused like that has no second chance.
 *
 * The message that takes another way has an id that follows from the one it
 * replaces, so that a run after a crash writes the same message again.
 */


#include <flow/ngx_comms_thread.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_address.h>


#define NGX_COMMS_WINDOW  86400000    /* ms */


static ngx_int_t ngx_comms_send_window_note(json_t *facts, json_t *inbound,
    json_t **windows);
static ngx_uint_t ngx_comms_send_window_open(ngx_comms_thread_t *t);
static ngx_uint_t ngx_comms_send_window_is(ngx_str_t *word,
    const char *expected);
static ngx_int_t ngx_comms_send_window_hold(ngx_comms_send_t *s);
static ngx_int_t ngx_comms_send_window_move(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_send_window_copy(ngx_comms_flow_t *f,
    ngx_str_t *entry_id);
static ngx_int_t ngx_comms_send_window_target(ngx_comms_flow_t *f,
    ngx_str_t *company, ngx_str_t *person);
static ngx_uint_t ngx_comms_send_window_used(ngx_comms_thread_t *t,
    ngx_uint_t channel);


static ngx_int_t
ngx_comms_send_window_note(json_t *facts, json_t *inbound, json_t **windows)
{
    size_t      i;
    json_t     *message;
    int64_t     at, until, newest;
    ngx_str_t   channel;

    *windows = NULL;
    newest = 0;

    json_array_foreach(inbound, i, message) {
        (void) ngx_comms_json_str(message, "channel", &channel);

        if (ngx_comms_channel_by_name(&channel) != NGX_COMMS_WHATSAPP) {
            continue;
        }

        /* what the provider's clock says counts, unless it is ahead of ours */

        at = 0;
        until = 0;
        (void) ngx_comms_json_int(message, "received_at", &until);

        if (ngx_comms_json_int(message, "sent_at", &at) != NGX_OK
            || at <= 0 || (until > 0 && at > until))
        {
            at = until;
        }

        newest = ngx_max(newest, at);
    }

    if (newest == 0) {
        return NGX_OK;
    }

    until = 0;
    (void) ngx_comms_json_int(json_object_get(facts, "windows"), "whatsapp",
                              &until);

    until = ngx_max(until, newest + NGX_COMMS_WINDOW);

    *windows = json_pack("{s:I}", "whatsapp", (json_int_t) until);

    return *windows ? NGX_OK : NGX_ERROR;
}


/* adds to the record until when the person may be written to freely */

ngx_int_t
ngx_comms_send_window_set(ngx_comms_thread_t *t, json_t *in)
{
    json_t  *set, *windows;

    if (ngx_comms_send_window_note(t->facts, t->inbound, &windows) != NGX_OK) {
        return NGX_ERROR;
    }

    if (windows == NULL) {
        return NGX_OK;
    }

    set = json_object_get(in, "set");

    if (set == NULL) {
        set = json_object();

        if (json_object_set_new(in, "set", set) != 0) {
            json_decref(windows);
            return NGX_ERROR;
        }
    }

    return json_object_set_new(set, "windows", windows) == 0 ? NGX_OK
                                                             : NGX_ERROR;
}


static ngx_uint_t
ngx_comms_send_window_open(ngx_comms_thread_t *t)
{
    json_t   *windows;
    int64_t   until;

    if (t->send.first || t->send.closed) {
        return 0;
    }

    until = 0;
    (void) ngx_comms_json_int(json_object_get(t->facts, "windows"),
                              "whatsapp", &until);

    if (ngx_comms_clock_ms() < until) {
        return 1;
    }

    /* the message that is being answered may be newer than the header */

    if (ngx_comms_send_window_note(t->facts, t->inbound, &windows) != NGX_OK) {
        return 0;
    }

    if (ngx_comms_json_int(windows, "whatsapp", &until) != NGX_OK) {
        until = 0;
    }

    json_decref(windows);

    return ngx_comms_clock_ms() < until;
}


ngx_int_t
ngx_comms_send_window(ngx_comms_flow_t *f)
{
    json_t              *config;
    ngx_str_t            outside;
    ngx_uint_t           template;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    if (s->moved) {
        return ngx_comms_send_window_move(f);
    }

    if (s->channel != NGX_COMMS_WHATSAPP || s->decided
        || ngx_comms_send_window_open(t))
    {
        return NGX_OK;
    }

    config = ngx_comms_project_channel(t->project, NGX_COMMS_WHATSAPP);

    template = json_object_get(config, "whatsapp_template_sid") != NULL
               || json_object_get(config, "whatsapp_template_name") != NULL;

    (void) ngx_comms_json_str(config, "outside_window", &outside);

    if (outside.len == 0 && template) {
        ngx_str_set(&outside, "template");
    }

    if (ngx_comms_send_window_is(&outside, "template") && template) {
        s->template = 1;
        return NGX_OK;
    }

    if (ngx_comms_send_window_is(&outside, "channel")) {
        return ngx_comms_send_window_move(f);
    }

    if (outside.len == 0 && s->first && !s->closed) {
        return NGX_OK;
    }

    return ngx_comms_send_window_hold(s);
}


static ngx_uint_t
ngx_comms_send_window_is(ngx_str_t *word, const char *expected)
{
    return word->len == ngx_strlen(expected)
           && ngx_strncmp(word->data, expected, word->len) == 0;
}


static ngx_int_t
ngx_comms_send_window_hold(ngx_comms_send_t *s)
{
    s->cancelled = "window_closed";
    s->held = 1;
    s->decided = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_send_window_move(ngx_comms_flow_t *f)
{
    json_t              *in;
    ngx_int_t            rc;
    ngx_str_t            entry_id;
    ngx_uint_t           first;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;
    first = s->first && !s->aside;

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    (void) ngx_comms_json_str(s->message, "entry_id", &entry_id);

    rc = s->moved ? NGX_OK : ngx_comms_send_window_copy(f, &entry_id);

    if (rc == NGX_DECLINED) {
        return ngx_comms_send_window_hold(s);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    in = json_pack("{s:s%, s:[{s:s%, s:s, s:s}, O]}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "messages", "entry_id", entry_id.data, entry_id.len,
                   "status", "cancelled", "reason", "window_closed",
                   s->moved);

    if (in && t->fence
        && json_object_set_new(in, "fence", json_integer(t->fence)) != 0)
    {
        json_decref(in);
        in = NULL;
    }

    if (in && first
        && json_object_set_new(in, "channel_state",
                    json_pack("{s:s, s:s, s:s}", "channel",
                              ngx_comms_channel_names[s->channel].data,
                              "status", "cancelled",
                              "reason", "window_closed"))
           != 0)
    {
        json_decref(in);
        in = NULL;
    }

    return ngx_comms_thread_store(f, f->engine->store->record, in);
}


/* the message as it goes out on another channel; NGX_DECLINED: on none */

static ngx_int_t
ngx_comms_send_window_copy(ngx_comms_flow_t *f, ngx_str_t *entry_id)
{
    json_t              *moved;
    ngx_int_t            channel;
    ngx_str_t            moved_id, company, person, *name;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    channel = ngx_comms_send_window_target(f, &company, &person);

    if (channel == NGX_ERROR || channel == NGX_DECLINED) {
        return channel;
    }

    name = &ngx_comms_channel_names[channel];

    moved = json_copy(s->message);
    if (moved == NULL) {
        return NGX_ERROR;
    }

    s->moved = moved;

    /* what the AI cost stands with the message that it takes over from */

    (void) json_object_del(moved, "ai_prompt_tokens");
    (void) json_object_del(moved, "ai_completion_tokens");
    (void) json_object_del(moved, "ai_total_tokens");

    if (ngx_comms_id_derive(f->pool, entry_id, name, &moved_id) != NGX_OK
        || ngx_comms_json_set_str(moved, "entry_id", &moved_id) != NGX_OK
        || ngx_comms_json_set_str(moved, "channel", name) != NGX_OK
        || ngx_comms_json_set_str(moved, "company_address", &company)
           != NGX_OK
        || ngx_comms_json_set_str(moved, "person_address", &person) != NGX_OK
        || json_object_set_new(moved, "instead_of",
                       json_copy(json_object_get(s->message, "entry_id")))
           != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_send_window_done(ngx_comms_flow_t *f)
{
    json_t              *moved, *states;
    ngx_int_t            rc;
    ngx_uint_t           first, answer;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    rc = ngx_comms_thread_recorded(f);
    if (rc != NGX_OK) {
        return rc;
    }

    states = json_object_get(f->answer, "channel_states");
    moved = s->moved;
    s->moved = NULL;
    first = s->first;
    answer = (s->message == t->reply);

    rc = ngx_comms_send_prepare(f, moved, first);

    if (rc == NGX_OK && answer) {
        json_decref(t->reply);
        t->reply = json_incref(moved);
    }

    json_decref(moved);

    if (rc != NGX_OK) {
        return rc;
    }

    s->aside = 1;
    s->linking = 1;
    ngx_comms_send_hope(s, states);

    return NGX_OK;
}


/* an answer on the other channel must find the thread */

ngx_int_t
ngx_comms_send_link(ngx_comms_flow_t *f)
{
    json_t              *in, *message;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (!t->send.linking) {
        return NGX_OK;
    }

    if (ngx_comms_thread_pause(f)) {
        return NGX_AGAIN;
    }

    message = t->send.message;

    in = json_pack("{s:s%, s:[{s:O, s:O, s:O}]}",
                   "thread_id", t->thread_id.data, t->thread_id.len,
                   "pairs",
                   "channel", json_object_get(message, "channel"),
                   "company_address",
                   json_object_get(message, "company_address"),
                   "person_address",
                   json_object_get(message, "person_address"));

    return ngx_comms_thread_store(f, f->engine->store->link, in);
}


ngx_int_t
ngx_comms_send_link_done(ngx_comms_flow_t *f)
{
    ngx_int_t            rc;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    rc = ngx_comms_thread_written(f);

    if (rc == NGX_OK) {
        t->send.linking = 0;
    }

    return rc;
}


/*
 * The channel that takes the message over, with both addresses; NGX_DECLINED:
 * none; NGX_ERROR: memory.
 */

static ngx_int_t
ngx_comms_send_window_target(ngx_comms_flow_t *f, ngx_str_t *company,
    ngx_str_t *person)
{
    ngx_int_t            rc;
    ngx_str_t            bare;
    ngx_uint_t           i;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    for (i = NGX_COMMS_WHATSAPP + 1; i < NGX_COMMS_CHANNELS; i++) {

        if (!(t->project->channels & (1 << i))
            || ngx_comms_send_window_used(t, i))
        {
            continue;
        }

        (void) ngx_comms_json_str(t->facts, i == NGX_COMMS_EMAIL
                                                ? "recipient_email"
                                                : "recipient_tel", &bare);
        if (bare.len == 0) {
            continue;
        }

        rc = ngx_comms_project_address(f->pool, t->project, i, company);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc == NGX_OK) {
            rc = (i == NGX_COMMS_EMAIL)
                 ? ngx_comms_address_email(f->pool, &bare, person)
                 : ngx_comms_address_tel(f->pool, &bare, person);
        }

        return rc == NGX_OK ? (ngx_int_t) i : NGX_ERROR;
    }

    return NGX_DECLINED;
}


/* a first message goes out on each channel asked for anyway */

static ngx_uint_t
ngx_comms_send_window_used(ngx_comms_thread_t *t, ngx_uint_t channel)
{
    size_t      i;
    json_t     *name;
    ngx_str_t   view;

    if (!t->send.first) {
        return 0;
    }

    json_array_foreach(json_object_get(t->facts, "channel_method"), i, name) {
        view = ngx_comms_json_view(name);

        if (ngx_comms_channel_by_name(&view) == (ngx_int_t) channel) {
            return 1;
        }
    }

    return 0;
}
