
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * SendGrid's Inbound Parse webhook: email, the way in.
 *
 * Who may post here: whoever knows a secret path segment, since Inbound Parse
 * is not signed unless a security policy was made for it; when the public key
 * of one is configured, a signature as that of the Event Webhook must be there
 * too, over timestamp and raw body.
 *
 * The envelope says which address of ours the mail came in through; the
 * header fields say who wrote it and what it answers.  The company's own
 * names, as in To, are never used: a mail can be addressed to anybody.
 *
 * In parsed mode each text field keeps the charset of its mail and "charsets"
 * names it; in raw mode one field holds the whole message.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_multipart.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_address.h>
#include <channel/ngx_comms_email.h>
#include <channel/ngx_comms_sendgrid.h>


#define NGX_COMMS_SENDGRID_TOLERANCE        300    /* seconds */
#define NGX_COMMS_SENDGRID_MAX_TIMESTAMP    12     /* digits */
#define NGX_COMMS_SENDGRID_MAX_TOKEN        64     /* of a plus address */
#define NGX_COMMS_SENDGRID_MAX_SUBJECT      255    /* code points */
#define NGX_COMMS_SENDGRID_MAX_NAME         128
#define NGX_COMMS_SENDGRID_MAX_ATTACHMENTS  10


typedef struct {
    ngx_array_t   parts;        /* of ngx_comms_part_t */
    json_t       *envelope;
    json_t       *charsets;
} ngx_comms_sendgrid_post_t;


static ngx_uint_t ngx_comms_sendgrid_token_known(ngx_comms_webhook_t *wh,
    json_t *credentials);
static ngx_int_t ngx_comms_sendgrid_signed(ngx_comms_webhook_t *wh,
    ngx_str_t *key);
static ngx_int_t ngx_comms_sendgrid_read_post(ngx_pool_t *pool,
    ngx_comms_webhook_t *wh, ngx_comms_sendgrid_post_t *post,
    const char **words);
static json_t *ngx_comms_sendgrid_json_field(ngx_array_t *parts,
    const char *name);
static ngx_int_t ngx_comms_sendgrid_event(ngx_pool_t *pool,
    ngx_comms_webhook_t *wh, ngx_comms_sendgrid_post_t *post, json_t *event,
    const char **ignored);
static const char *ngx_comms_sendgrid_machine(json_t *envelope);
static ngx_int_t ngx_comms_sendgrid_company(ngx_pool_t *pool,
    json_t *envelope, json_t *event);
static ngx_int_t ngx_comms_sendgrid_read_mail(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, json_t *event, const char **ignored);
static ngx_int_t ngx_comms_sendgrid_fill(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, json_t *event);
static ngx_int_t ngx_comms_sendgrid_field(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, const char *name, ngx_str_t *text);
static ngx_int_t ngx_comms_sendgrid_attachments(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, ngx_array_t *names);
static ngx_int_t ngx_comms_sendgrid_identify(ngx_pool_t *pool,
    ngx_comms_webhook_t *wh, json_t *event);


ngx_int_t
ngx_comms_sendgrid_verify(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials)
{
    ngx_int_t  rc;
    ngx_str_t  key;

    if (!ngx_comms_sendgrid_token_known(wh, credentials)) {
        return NGX_DECLINED;
    }

    rc = ngx_comms_json_str(credentials, "inbound_public_key", &key);

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    return (rc == NGX_OK) ? ngx_comms_sendgrid_signed(wh, &key) : rc;
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


static ngx_int_t
ngx_comms_sendgrid_signed(ngx_comms_webhook_t *wh, ngx_str_t *key)
{
    time_t      said;
    int64_t     age;
    ngx_str_t  *signature, *timestamp, parts[2];

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

    age = ngx_comms_clock_ms() / 1000 - (int64_t) said;

    if (age > NGX_COMMS_SENDGRID_TOLERANCE
        || age < -NGX_COMMS_SENDGRID_TOLERANCE)
    {
        return NGX_DECLINED;
    }

    parts[0] = *timestamp;
    parts[1] = wh->body;

    return ngx_comms_ecdsa_verify(key, signature, parts, 2);
}


ngx_int_t
ngx_comms_sendgrid_parse(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials, json_t **events, const char **words)
{
    json_t                     *event;
    ngx_int_t                   rc;
    ngx_str_t                   reason;
    const char                 *ignored;
    ngx_comms_sendgrid_post_t   post;

    *events = NULL;
    ignored = NULL;
    event = json_object();

    ngx_memzero(&post, sizeof(ngx_comms_sendgrid_post_t));

    rc = ngx_comms_sendgrid_read_post(pool, wh, &post, words);

    if (rc == NGX_OK) {
        rc = ngx_comms_sendgrid_event(pool, wh, &post, event, &ignored);
        *words = "the envelope names no address of ours";
    }

    json_decref(post.envelope);
    json_decref(post.charsets);

    if (rc == NGX_OK && ignored != NULL) {
        json_object_clear(event);

        reason.data = (u_char *) ignored;
        reason.len = ngx_strlen(ignored);

        if (json_object_set_new(event, "kind", json_string("ignored")) != 0
            || ngx_comms_json_set_str(event, "reason", &reason) != NGX_OK)
        {
            rc = NGX_ERROR;
        }
    }

    if (rc != NGX_OK) {
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
ngx_comms_sendgrid_read_post(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    ngx_comms_sendgrid_post_t *post, const char **words)
{
    ngx_int_t  rc;

    rc = ngx_comms_multipart_parse(pool, &wh->content_type, &wh->body,
                                   &post->parts);
    if (rc != NGX_OK) {
        *words = "the body is no multipart/form-data";
        return rc;
    }

    post->envelope = ngx_comms_sendgrid_json_field(&post->parts, "envelope");

    if (!json_is_object(post->envelope)
        || !json_is_array(json_object_get(post->envelope, "to")))
    {
        *words = "the form has no valid envelope";
        return NGX_DECLINED;
    }

    post->charsets = ngx_comms_sendgrid_json_field(&post->parts, "charsets");

    return NGX_OK;
}


/* new reference; NULL when the field is absent or no JSON */

static json_t *
ngx_comms_sendgrid_json_field(ngx_array_t *parts, const char *name)
{
    ngx_comms_part_t        *part;
    ngx_comms_json_error_t   err;

    part = ngx_comms_multipart_field(parts, name);

    return (part != NULL) ? ngx_comms_json_parse(&part->data, &err) : NULL;
}


static ngx_int_t
ngx_comms_sendgrid_event(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    ngx_comms_sendgrid_post_t *post, json_t *event, const char **ignored)
{
    ngx_int_t  rc;

    *ignored = ngx_comms_sendgrid_machine(post->envelope);
    if (*ignored != NULL) {
        return NGX_OK;
    }

    if (json_object_set_new(event, "kind", json_string("message")) != 0
        || json_object_set_new(event, "provider", json_string("sendgrid"))
           != 0
        || ngx_comms_json_set_str(event, "channel",
                                  &ngx_comms_channel_names[NGX_COMMS_EMAIL])
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_comms_sendgrid_company(pool, post->envelope, event);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_comms_sendgrid_read_mail(pool, post, event, ignored);
    if (rc != NGX_OK || *ignored != NULL) {
        return rc;
    }

    if (json_object_get(event, "person_address") == NULL) {
        *ignored = "no valid sender address";
        return NGX_OK;
    }

    return ngx_comms_sendgrid_identify(pool, wh, event);
}


/* delivery reports have no sender (RFC 5321 4.5.5) */

static const char *
ngx_comms_sendgrid_machine(json_t *envelope)
{
    ngx_str_t    sender;
    ngx_uint_t   i;

    static ngx_str_t  machines[] = {
        ngx_string("mailer-daemon@"),
        ngx_string("postmaster@"),
        ngx_null_string
    };

    if (ngx_comms_json_str(envelope, "from", &sender) == NGX_ERROR) {
        return "no valid sender address";
    }

    sender = ngx_comms_trim(sender);

    if (sender.len == 0
        || (sender.len == 2 && ngx_strncmp(sender.data, "<>", 2) == 0))
    {
        return "null envelope sender";
    }

    for (i = 0; machines[i].len; i++) {
        if (sender.len > machines[i].len
            && ngx_strncasecmp(sender.data, machines[i].data, machines[i].len)
               == 0)
        {
            return "delivery report";
        }
    }

    return NULL;
}


/*
 * The address that the mail came in through: of several the one with a reply
 * token, else the first valid one
 */

static ngx_int_t
ngx_comms_sendgrid_company(ngx_pool_t *pool, json_t *envelope,
    json_t *event)
{
    json_t     *value;
    size_t      i;
    ngx_int_t   rc;
    ngx_str_t   to, bare, plus, token, company, address;

    ngx_str_null(&company);
    ngx_str_null(&token);

    json_array_foreach(json_object_get(envelope, "to"), i, value) {

        to = ngx_comms_json_view(value);

        if (!ngx_comms_email_valid(&to)) {
            continue;
        }

        rc = ngx_comms_email_unplus(pool, &to, &bare, &plus);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (company.len == 0) {
            company = bare;
        }

        if (rc == NGX_OK && plus.len <= NGX_COMMS_SENDGRID_MAX_TOKEN) {
            company = bare;
            token = plus;
            break;
        }
    }

    if (company.len == 0) {
        return NGX_DECLINED;
    }

    if (ngx_comms_address_email(pool, &company, &address) != NGX_OK
        || ngx_comms_json_set_str(event, "company_address", &address)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (token.len == 0) {
        return NGX_OK;
    }

    plus.len = token.len;
    plus.data = ngx_pnalloc(pool, token.len);
    if (plus.data == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(plus.data, token.data, token.len);

    return ngx_comms_json_set_str(event, "reply_token", &plus);
}


static ngx_int_t
ngx_comms_sendgrid_read_mail(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, json_t *event, const char **ignored)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    ngx_comms_part_t  *raw, *headers;

    /* SendGrid's own documents disagree about the name */

    static const char  *names[] = { "email", "rawEmail", NULL };

    raw = NULL;

    for (i = 0; names[i] != NULL && raw == NULL; i++) {
        raw = ngx_comms_multipart_field(&post->parts, names[i]);
    }

    if (raw != NULL) {
        rc = ngx_comms_email_parse_raw(pool, &raw->data, event, ignored);

    } else {
        rc = NGX_OK;

        headers = ngx_comms_multipart_field(&post->parts, "headers");

        if (headers != NULL && headers->data.len > 0) {
            rc = ngx_comms_email_headers(pool, &headers->data, event,
                                         ignored);
        }

        if (rc == NGX_OK) {
            rc = ngx_comms_sendgrid_fill(pool, post, event);
        }
    }

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    *ignored = NULL;

    return rc;
}


/* what the header block did not say, and the bodies */

static ngx_int_t
ngx_comms_sendgrid_fill(ngx_pool_t *pool, ngx_comms_sendgrid_post_t *post,
    json_t *event)
{
    ngx_str_t    text, html, line, subject;
    ngx_array_t  names;

    if (json_object_get(event, "person_address") == NULL) {

        if (ngx_comms_sendgrid_field(pool, post, "from", &text) != NGX_OK
            || ngx_comms_email_person(pool, &text, event) == NGX_ERROR)
        {
            return NGX_ERROR;
        }
    }

    if (json_object_get(event, "subject") == NULL) {

        if (ngx_comms_sendgrid_field(pool, post, "subject", &text) != NGX_OK
            || ngx_comms_one_line(pool, &text, &line) != NGX_OK
            || ngx_comms_shorten(pool, &line, NGX_COMMS_SENDGRID_MAX_SUBJECT,
                                 &subject)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (subject.len > 0
            && ngx_comms_json_set_str(event, "subject", &subject) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_comms_sendgrid_field(pool, post, "text", &text) != NGX_OK
        || ngx_comms_sendgrid_field(pool, post, "html", &html) != NGX_OK
        || ngx_comms_sendgrid_attachments(pool, post, &names) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_email_content(pool, &text, &html, &names, event);
}


/* a text field as UTF-8; empty when absent */

static ngx_int_t
ngx_comms_sendgrid_field(ngx_pool_t *pool, ngx_comms_sendgrid_post_t *post,
    const char *name, ngx_str_t *text)
{
    ngx_str_t          charset, bytes;
    ngx_comms_part_t  *part;

    ngx_str_null(text);

    part = ngx_comms_multipart_field(&post->parts, name);

    if (part == NULL || part->data.len == 0) {
        return NGX_OK;
    }

    charset = ngx_comms_json_view(json_object_get(post->charsets, name));

    bytes = part->data;
    bytes.len = ngx_min(bytes.len, NGX_COMMS_EMAIL_MAX_HTML);

    return ngx_comms_to_utf8(pool, &charset, &bytes, text);
}


static ngx_int_t
ngx_comms_sendgrid_attachments(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, ngx_array_t *names)
{
    ngx_str_t          charset, text, line, *name;
    ngx_uint_t         i;
    ngx_comms_part_t  *part;

    if (ngx_array_init(names, pool, 4, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_null(&charset);
    part = post->parts.elts;

    for (i = 0; i < post->parts.nelts; i++) {

        if (part[i].filename.len == 0) {
            continue;
        }

        if (names->nelts == NGX_COMMS_SENDGRID_MAX_ATTACHMENTS) {
            break;
        }

        name = ngx_array_push(names);

        if (name == NULL
            || ngx_comms_to_utf8(pool, &charset, &part[i].filename, &text)
               != NGX_OK
            || ngx_comms_one_line(pool, &text, &line) != NGX_OK
            || ngx_comms_shorten(pool, &line, NGX_COMMS_SENDGRID_MAX_NAME,
                                 name)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * The same mail must get the same dedupe_id each time that it is posted: its
 * Message-ID, or what is in it when it has none
 */

static ngx_int_t
ngx_comms_sendgrid_identify(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *event)
{
    u_char     *p;
    ngx_str_t   id, dedupe;

    if (ngx_comms_json_str(event, "email_message_id", &id) != NGX_OK
        && ngx_comms_sha256_hex(pool, &wh->body, &id) != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(pool, sizeof("sendgrid:") - 1 + id.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    dedupe.data = p;
    dedupe.len = ngx_sprintf(p, "sendgrid:%V", &id) - p;

    if (ngx_comms_json_set_str(event, "provider_message_id", &id) != NGX_OK
        || ngx_comms_json_set_str(event, "dedupe_id", &dedupe) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}
