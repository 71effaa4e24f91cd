
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Mails that a mail server hands over itself: each is one POST of the whole
 * mail (message/rfc822) with its envelope in X-Envelope-From and
 * X-Envelope-To (several recipients with commas between them), which is what
 * a pipe of Postfix or Exim into curl can send.
 *
 * Who may post here knows one of "inbound_secrets" and shows it
 *
 *   as Authorization: Bearer <secret>, or Basic with it as password; or
 *   by X-Comms-Timestamp (Unix time) and X-Comms-Signature, "sha256=" and the
 *   lower-case hex of HMAC-SHA256(secret, timestamp LF envelope-from LF
 *   envelope-to LF mail).
 *
 * The second one never sends the secret, and what was signed holds for five
 * minutes.  Nothing else is looked at before.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_email.h>
#include <channel/ngx_comms_smtp.h>


#define NGX_COMMS_SMTP_TOLERANCE      300    /* seconds, both ways */
#define NGX_COMMS_SMTP_MAX_TIMESTAMP  12     /* digits */
#define NGX_COMMS_SMTP_MAX_PASSWORD   1024   /* bytes of base64 */
#define NGX_COMMS_SMTP_MAX_TO         32     /* recipients looked at */


static ngx_int_t ngx_comms_smtp_shown(ngx_pool_t *pool, ngx_str_t *header,
    ngx_str_t *secret);
static ngx_uint_t ngx_comms_smtp_fresh(ngx_str_t *timestamp);
static ngx_int_t ngx_comms_smtp_signed(ngx_comms_webhook_t *wh,
    ngx_str_t *signature, ngx_str_t *timestamp, ngx_str_t *secret,
    ngx_uint_t *fits);
static ngx_str_t ngx_comms_smtp_envelope(ngx_comms_webhook_t *wh,
    const char *name);
static ngx_int_t ngx_comms_smtp_event(ngx_pool_t *pool,
    ngx_comms_webhook_t *wh, json_t *event, const char **ignored);
static ngx_int_t ngx_comms_smtp_company(ngx_pool_t *pool,
    ngx_comms_webhook_t *wh, json_t *event);


ngx_int_t
ngx_comms_smtp_verify(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials)
{
    json_t      *value;
    size_t       i;
    ngx_int_t    rc;
    ngx_str_t   *header, *timestamp, secret, shown;
    ngx_uint_t   known, fits;

    header = ngx_comms_webhook_header(wh, "X-Comms-Signature");
    timestamp = ngx_comms_webhook_header(wh, "X-Comms-Timestamp");

    ngx_str_null(&shown);

    if (header != NULL) {

        if (timestamp == NULL || !ngx_comms_smtp_fresh(timestamp)) {
            return NGX_DECLINED;
        }

    } else {
        rc = ngx_comms_smtp_shown(pool,
                                  ngx_comms_webhook_header(wh,
                                                           "Authorization"),
                                  &shown);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    known = 0;

    /* all of them, so that the time does not tell which one it is */

    json_array_foreach(json_object_get(credentials, "inbound_secrets"), i,
                       value)
    {
        secret = ngx_comms_json_view(value);

        if (secret.len == 0) {
            continue;
        }

        if (header == NULL) {
            known |= ngx_comms_equal(&shown, &secret);
            continue;
        }

        if (ngx_comms_smtp_signed(wh, header, timestamp, &secret, &fits)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        known |= fits;
    }

    return known ? NGX_OK : NGX_DECLINED;
}


/* RFC 6750 2.1, RFC 7617 2 */

static ngx_int_t
ngx_comms_smtp_shown(ngx_pool_t *pool, ngx_str_t *header, ngx_str_t *secret)
{
    u_char     *colon;
    ngx_str_t   base64, pair;

    if (header == NULL || header->len > NGX_COMMS_SMTP_MAX_PASSWORD) {
        return NGX_DECLINED;
    }

    if (header->len > 7
        && ngx_strncasecmp(header->data, (u_char *) "Bearer ", 7) == 0)
    {
        secret->data = header->data + 7;
        secret->len = header->len - 7;
        *secret = ngx_comms_trim(*secret);

        return NGX_OK;
    }

    if (header->len <= 6
        || ngx_strncasecmp(header->data, (u_char *) "Basic ", 6) != 0)
    {
        return NGX_DECLINED;
    }

    base64.data = header->data + 6;
    base64.len = header->len - 6;
    base64 = ngx_comms_trim(base64);

    pair.data = ngx_pnalloc(pool, ngx_base64_decoded_length(base64.len));
    if (pair.data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_decode_base64(&pair, &base64) != NGX_OK) {
        return NGX_DECLINED;
    }

    colon = ngx_strlchr(pair.data, pair.data + pair.len, ':');

    if (colon == NULL) {
        return NGX_DECLINED;
    }

    secret->data = colon + 1;
    secret->len = pair.data + pair.len - secret->data;

    return NGX_OK;
}


static ngx_uint_t
ngx_comms_smtp_fresh(ngx_str_t *timestamp)
{
    time_t   said;
    int64_t  age;

    if (timestamp->len == 0 || timestamp->len > NGX_COMMS_SMTP_MAX_TIMESTAMP) {
        return 0;
    }

    said = ngx_atotm(timestamp->data, timestamp->len);
    if (said == (time_t) NGX_ERROR) {
        return 0;
    }

    age = ngx_comms_clock_ms() / 1000 - (int64_t) said;

    return age <= NGX_COMMS_SMTP_TOLERANCE && age >= -NGX_COMMS_SMTP_TOLERANCE;
}


static ngx_int_t
ngx_comms_smtp_signed(ngx_comms_webhook_t *wh, ngx_str_t *signature,
    ngx_str_t *timestamp, ngx_str_t *secret, ngx_uint_t *fits)
{
    u_char     *p, mac[NGX_COMMS_SHA256_LEN];
    u_char      text[sizeof("sha256=") - 1 + 2 * NGX_COMMS_SHA256_LEN];
    ngx_str_t   parts[7], expected;

    parts[0] = *timestamp;
    ngx_str_set(&parts[1], "\n");
    parts[2] = ngx_comms_smtp_envelope(wh, "X-Envelope-From");
    parts[3] = parts[1];
    parts[4] = ngx_comms_smtp_envelope(wh, "X-Envelope-To");
    parts[5] = parts[1];
    parts[6] = wh->body;

    if (ngx_comms_hmac_sha256(secret, parts, 7, mac) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(text, "sha256=", sizeof("sha256=") - 1);
    p = ngx_hex_dump(p, mac, NGX_COMMS_SHA256_LEN);

    expected.data = text;
    expected.len = p - text;

    *fits = ngx_comms_equal(signature, &expected);

    return NGX_OK;
}


/* empty when absent */

static ngx_str_t
ngx_comms_smtp_envelope(ngx_comms_webhook_t *wh, const char *name)
{
    ngx_str_t  *value, none;

    ngx_str_null(&none);

    value = ngx_comms_webhook_header(wh, name);

    return (value != NULL) ? *value : none;
}


ngx_int_t
ngx_comms_smtp_parse(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials, json_t **events, const char **words)
{
    json_t      *event;
    size_t       len;
    ngx_int_t    rc;
    const char  *ignored;

    *events = NULL;
    len = sizeof("message/rfc822") - 1;

    if (wh->content_type.len < len
        || ngx_strncasecmp(wh->content_type.data,
                           (u_char *) "message/rfc822", len)
           != 0)
    {
        *words = "the body is no message/rfc822";
        return NGX_DECLINED;
    }

    /* without it a report could not be told from a mail */

    if (ngx_comms_webhook_header(wh, "X-Envelope-From") == NULL) {
        *words = "X-Envelope-From is missing, or there twice";
        return NGX_DECLINED;
    }

    ignored = NULL;
    event = json_object();

    rc = ngx_comms_smtp_event(pool, wh, event, &ignored);

    if (rc == NGX_OK && ignored != NULL) {
        json_object_clear(event);

        if (json_object_set_new(event, "kind", json_string("ignored")) != 0
            || json_object_set_new(event, "reason", json_string(ignored))
               != 0)
        {
            rc = NGX_ERROR;
        }
    }

    if (rc != NGX_OK) {
        *words = "X-Envelope-To names no address";
        json_decref(event);
        return rc;
    }

    *events = json_array();

    /* takes the reference over, whatever it returns */

    if (json_array_append_new(*events, event) != 0) {
        json_decref(*events);
        *events = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_smtp_event(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *event, const char **ignored)
{
    ngx_int_t    rc;
    ngx_str_t    sender;
    const char  *machine;

    sender = ngx_comms_smtp_envelope(wh, "X-Envelope-From");
    machine = ngx_comms_email_machine(&sender);

    rc = ngx_comms_email_parse_raw(pool, &wh->body, event, ignored);

    if (rc == NGX_DECLINED) {
        *ignored = (machine != NULL) ? machine : *ignored;
        return NGX_OK;
    }

    *ignored = NULL;

    if (rc != NGX_OK) {
        return rc;
    }

    if (json_object_get(event, "kind") == NULL) {

        if (machine != NULL) {
            *ignored = machine;
            return NGX_OK;
        }

        if (json_object_get(event, "person_address") == NULL) {
            *ignored = "no valid sender address";
            return NGX_OK;
        }

        rc = ngx_comms_smtp_company(pool, wh, event);
        if (rc != NGX_OK) {
            return rc;
        }

        if (json_object_set_new(event, "kind", json_string("message")) != 0
            || ngx_comms_json_set_str(event, "channel",
                                  &ngx_comms_channel_names[NGX_COMMS_EMAIL])
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (json_object_set_new(event, "provider", json_string("smtp")) != 0) {
        return NGX_ERROR;
    }

    return ngx_comms_email_identify(pool, &ngx_comms_smtp.name, &wh->body,
                                    event);
}


static ngx_int_t
ngx_comms_smtp_company(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *event)
{
    u_char      *p, *end, *last;
    json_t      *list;
    ngx_int_t    rc;
    ngx_str_t    to, one;
    ngx_uint_t   n;

    to = ngx_comms_smtp_envelope(wh, "X-Envelope-To");

    list = json_array();
    last = to.data + to.len;
    n = 0;

    for (p = to.data; p < last && n < NGX_COMMS_SMTP_MAX_TO; p = end + 1) {

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        one.data = p;
        one.len = end - p;
        one = ngx_comms_trim(one);

        if (one.len > 2 && one.data[0] == '<'
            && one.data[one.len - 1] == '>')
        {
            one.data++;
            one.len -= 2;
        }

        n++;

        if (ngx_comms_utf8_valid(&one)
            && json_array_append_new(list, ngx_comms_json_string(&one)) != 0)
        {
            json_decref(list);
            return NGX_ERROR;
        }
    }

    rc = ngx_comms_email_recipients(pool, list, event);

    json_decref(list);

    return rc;
}


ngx_int_t
ngx_comms_smtp_attachment(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    ngx_uint_t part, ngx_str_t *bytes)
{
    return ngx_comms_email_part(pool, &wh->body, part, bytes);
}
