
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Who may post to SendGrid's webhook.
 *
 * Mails (Inbound Parse, multipart/form-data): whoever knows a secret path
 * segment, since Inbound Parse is not signed unless a security policy was made
 * for it; when the public key of one is configured, its signature must be
 * there too.
 *
 * Events (Event Webhook, JSON): whoever signs with a configured key, and
 * nobody where none is configured.  Several keys let one be exchanged.
 *
 * A signature is over timestamp and raw body (X-Twilio-Email-Event-Webhook-*,
 * ECDSA P-256).  How old the timestamp may be is not documented, and neither
 * is whether a webhook that is sent again is signed again: so it may be as old
 * as SendGrid goes on trying, 24 hours for events and three days for mails,
 * and five minutes more for clocks.  What is posted again within that time is
 * known by its dedupe_id, and a status never moves backwards; so the age
 * protects only against what was recorded long ago.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_sendgrid.h>


#define NGX_COMMS_SENDGRID_CLOCKS         300              /* seconds */
#define NGX_COMMS_SENDGRID_EVENTS_AGE     (24 * 3600)
#define NGX_COMMS_SENDGRID_MAILS_AGE      (3 * 24 * 3600)
#define NGX_COMMS_SENDGRID_MAX_TIMESTAMP  12               /* digits */


static ngx_uint_t ngx_comms_sendgrid_token_known(ngx_comms_webhook_t *wh,
    json_t *credentials);
static ngx_int_t ngx_comms_sendgrid_signed(ngx_comms_webhook_t *wh,
    json_t *keys, time_t age);


ngx_int_t
ngx_comms_sendgrid_verify(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials)
{
    json_t  *keys;

    if (ngx_comms_sendgrid_is_events(wh)) {
        keys = json_object_get(credentials, "event_public_key");

        return (keys != NULL)
               ? ngx_comms_sendgrid_signed(wh, keys,
                                           NGX_COMMS_SENDGRID_EVENTS_AGE)
               : NGX_DECLINED;
    }

    if (!ngx_comms_sendgrid_token_known(wh, credentials)) {
        return NGX_DECLINED;
    }

    keys = json_object_get(credentials, "inbound_public_key");

    return (keys != NULL)
           ? ngx_comms_sendgrid_signed(wh, keys, NGX_COMMS_SENDGRID_MAILS_AGE)
           : NGX_OK;
}


ngx_uint_t
ngx_comms_sendgrid_is_events(ngx_comms_webhook_t *wh)
{
    size_t  len;

    len = sizeof("application/json") - 1;

    return wh->content_type.len >= len
           && ngx_strncasecmp(wh->content_type.data,
                              (u_char *) "application/json", len)
              == 0
           && (wh->content_type.len == len
               || wh->content_type.data[len] == ';'
               || wh->content_type.data[len] == ' ');
}


static ngx_uint_t
ngx_comms_sendgrid_token_known(ngx_comms_webhook_t *wh, json_t *credentials)
{
    json_t      *tokens, *value;
    size_t       i;
    ngx_str_t    tail, token;
    ngx_uint_t   known;

    tail = wh->tail;

    if (tail.len > 0 && tail.data[0] == '/') {
        tail.data++;
        tail.len--;
    }

    tokens = json_object_get(credentials, "inbound_tokens");
    known = 0;

    /* all of them, so that the time does not tell which one it is */

    json_array_foreach(tokens, i, value) {
        token = ngx_comms_json_view(value);

        if (token.len > 0) {
            known |= ngx_comms_equal(&tail, &token);
        }
    }

    return known;
}


/* "keys" is one, or an array of them */

static ngx_int_t
ngx_comms_sendgrid_signed(ngx_comms_webhook_t *wh, json_t *keys, time_t age)
{
    size_t      i, n;
    time_t      said;
    int64_t     old;
    ngx_int_t   rc;
    ngx_str_t  *signature, *timestamp, key, parts[2];

    signature = ngx_comms_webhook_header(wh,
                                   "X-Twilio-Email-Event-Webhook-Signature");
    timestamp = ngx_comms_webhook_header(wh,
                                   "X-Twilio-Email-Event-Webhook-Timestamp");

    if (signature == NULL || timestamp == NULL
        || timestamp->len == 0
        || timestamp->len > NGX_COMMS_SENDGRID_MAX_TIMESTAMP)
    {
        return NGX_DECLINED;
    }

    said = ngx_atotm(timestamp->data, timestamp->len);
    if (said == (time_t) NGX_ERROR) {
        return NGX_DECLINED;
    }

    old = ngx_comms_clock_ms() / 1000 - (int64_t) said;

    if (old > (int64_t) age + NGX_COMMS_SENDGRID_CLOCKS
        || old < -NGX_COMMS_SENDGRID_CLOCKS)
    {
        return NGX_DECLINED;
    }

    parts[0] = *timestamp;
    parts[1] = wh->body;

    n = json_is_array(keys) ? json_array_size(keys) : 1;
    rc = NGX_DECLINED;

    for (i = 0; i < n && rc == NGX_DECLINED; i++) {
        key = ngx_comms_json_view(json_is_array(keys)
                                  ? json_array_get(keys, i) : keys);

        rc = ngx_comms_ecdsa_verify(&key, signature, parts, 2);
    }

    return rc;
}
