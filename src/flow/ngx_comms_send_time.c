
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The rows that choose the time of a send, before its gate.
 *
 * Quiet hours: the queue message goes back until they end.  What they hold is
 * bounded by what a queue can delay; a message that comes back too early goes
 * back again.  An answer to a person who has just written is not held, unless
 * the project says so.
 *
 * Pace: each sender has as many slots a second as its provider takes, shared
 * by all worker processes (ngx_comms_pace_take()).  A slot that is near is
 * waited for here; one that is far is kept in the zone under the effect's
 * name while the queue message goes back, to return a second before it.
 *
 *   provider  channel   slots a second            a second slot for
 *   Twilio    SMS       1, for each segment       each further segment
 *   Twilio    WhatsApp  80
 *   Meta      WhatsApp  80, and one every 6 s to
 *                       one person, 45 at once
 *   any       email     as many as there are
 *
 * (Twilio, "Understanding Twilio Rate Limits and Message Queues": a long code
 * has one segment a second, a WhatsApp sender 80 messages; Meta, "Throughput"
 * and "Pair rate limits", error 131056.)  A messaging service spreads over
 * senders of its own, and has no limit here unless one is configured.
 */


#include <flow/ngx_comms_thread.h>
#include <flow/ngx_comms_quiet.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_time_zone.h>
#include <channel/ngx_comms_sms.h>


/* a slot that is not farther away is waited for in the flow, ms */
#define NGX_COMMS_SEND_PATIENT     2000

/* a message whose slot is far comes back so much earlier, ms */
#define NGX_COMMS_SEND_EARLY       1000

/* and goes back for no longer than this at a time, ms */
#define NGX_COMMS_SEND_FAR         3600000

#define NGX_COMMS_SEND_LONG_CODE   1
#define NGX_COMMS_SEND_WHATSAPP    80
#define NGX_COMMS_SEND_PAIR        6000    /* ms */
#define NGX_COMMS_SEND_PAIR_BURST  45


static ngx_uint_t ngx_comms_send_answers(ngx_comms_thread_t *t);
static ngx_int_t ngx_comms_send_slot(ngx_comms_flow_t *f, ngx_msec_t *wait);
static ngx_uint_t ngx_comms_send_rate(ngx_comms_thread_t *t, json_t *config);
static ngx_int_t ngx_comms_send_line(ngx_comms_flow_t *f, const char *kind,
    ngx_str_t *a, ngx_str_t *b, ngx_str_t *line);
static ngx_uint_t ngx_comms_send_by(ngx_comms_send_t *s, const char *protocol);


ngx_int_t
ngx_comms_send_quiet(ngx_comms_flow_t *f)
{
    json_t              *quiet;
    int64_t              now, until;
    ngx_str_t            zone, own;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    quiet = json_object_get(t->project->config, "quiet_hours");

    if (quiet == NULL || t->send.decided
        || (ngx_comms_send_answers(t)
            && !json_is_true(json_object_get(quiet, "replies"))))
    {
        return NGX_OK;
    }

    (void) ngx_comms_json_str(t->facts, "recipient_time_zone", &own);

    ngx_comms_quiet_zone(&own, &t->send.outbound.person_address, quiet, &zone);

    now = ngx_comms_clock_ms();
    until = ngx_comms_quiet_until(quiet, ngx_comms_time_zone(&zone), now);

    if (until <= now) {
        return NGX_OK;
    }

    f->retry_after = ngx_min((ngx_msec_t) (until - now), NGX_COMMS_QUIET_MAX);

    return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEFER, "quiet hours", NULL);
}


/* is it an answer to what the person has written? */

static ngx_uint_t
ngx_comms_send_answers(ngx_comms_thread_t *t)
{
    ngx_str_t  turn_id;

    return !t->send.first
           && ngx_comms_json_str(t->send.message, "turn_id", &turn_id)
              == NGX_OK;
}


ngx_int_t
ngx_comms_send_pace(ngx_comms_flow_t *f)
{
    ngx_msec_t           wait;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    if (s->decided || s->paced) {
        return NGX_OK;
    }

    if (ngx_comms_send_slot(f, &wait) != NGX_OK) {
        return NGX_ERROR;
    }

    if (wait == 0) {
        return NGX_OK;
    }

    if (wait <= NGX_COMMS_SEND_PATIENT) {
        s->paced = 1;
        return ngx_comms_flow_pause(f, wait);
    }

    f->retry_after = ngx_min(wait - NGX_COMMS_SEND_EARLY, NGX_COMMS_SEND_FAR);

    return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEFER,
                               "sender's slots are taken", NULL);
}


ngx_int_t
ngx_comms_send_pace_done(ngx_comms_flow_t *f)
{
    return NGX_OK;
}


/* takes the slots that the message needs; "wait": until its turn, ms */

static ngx_int_t
ngx_comms_send_slot(ngx_comms_flow_t *f, ngx_msec_t *wait)
{
    json_t              *config;
    ngx_str_t            line;
    ngx_msec_t           turn;
    ngx_uint_t           rate;
    ngx_comms_sms_t      sms;
    ngx_comms_pace_t     pace;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;
    *wait = 0;
    pace.patience = NGX_COMMS_SEND_PATIENT;

    config = ngx_comms_project_channel(t->project, s->channel);

    if (s->channel == NGX_COMMS_WHATSAPP && ngx_comms_send_by(s, "meta")) {

        if (ngx_comms_send_line(f, "pair", &s->outbound.company_address,
                                &s->outbound.person_address, &line)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        pace.interval = NGX_COMMS_SEND_PAIR * 1000;
        pace.burst = NGX_COMMS_SEND_PAIR_BURST;
        pace.slots = 1;

        *wait = ngx_comms_pace_take(f->engine->zone, &line, &t->thread_id,
                                    &s->effect_id, &pace);

        if (*wait > NGX_COMMS_SEND_PATIENT) {
            return NGX_OK;
        }
    }

    rate = ngx_comms_send_rate(t, config);

    if (rate == 0) {
        return NGX_OK;
    }

    if (ngx_comms_send_line(f,
                            (char *) ngx_comms_channel_names[s->channel].data,
                            &s->outbound.company_address, &s->provider_name,
                            &line)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    pace.interval = 1000000 / rate;
    pace.burst = 1;
    pace.slots = 1;

    if (s->channel == NGX_COMMS_SMS) {
        ngx_comms_sms_count(&s->outbound.content, &sms);
        pace.slots = ngx_max(sms.segments, 1);
    }

    turn = ngx_comms_pace_take(f->engine->zone, &line, &t->thread_id,
                               &s->effect_id, &pace);

    *wait = ngx_max(*wait, turn);

    return NGX_OK;
}


/* slots a second; 0: no limit */

static ngx_uint_t
ngx_comms_send_rate(ngx_comms_thread_t *t, json_t *config)
{
    int64_t    rate;
    ngx_str_t  service;

    if (ngx_comms_json_int(config, "messages_per_second", &rate) == NGX_OK
        && rate > 0)
    {
        return (ngx_uint_t) rate;
    }

    switch (t->send.channel) {

    case NGX_COMMS_WHATSAPP:
        return NGX_COMMS_SEND_WHATSAPP;

    case NGX_COMMS_SMS:
        if (!ngx_comms_send_by(&t->send, "twilio")
            || ngx_comms_json_str(config, "messaging_service_sid", &service)
               == NGX_OK)
        {
            return 0;
        }

        return NGX_COMMS_SEND_LONG_CODE;

    default:
        return 0;
    }
}


/* the name of a line of slots */

static ngx_int_t
ngx_comms_send_line(ngx_comms_flow_t *f, const char *kind, ngx_str_t *a,
    ngx_str_t *b, ngx_str_t *line)
{
    line->len = ngx_strlen(kind) + 1 + a->len + 1 + b->len;

    line->data = ngx_pnalloc(f->pool, line->len);
    if (line->data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(line->data, "%s %V %V", kind, a, b);

    return NGX_OK;
}


static ngx_uint_t
ngx_comms_send_by(ngx_comms_send_t *s, const char *protocol)
{
    return s->provider != NULL
           && s->provider->name.len == ngx_strlen(protocol)
           && ngx_strncmp(s->provider->name.data, protocol,
                          s->provider->name.len)
              == 0;
}
