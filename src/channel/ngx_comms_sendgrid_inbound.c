
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * SendGrid's Inbound Parse webhook: email, the way in.
 *
 * The envelope says which address of ours the mail came in through; the
 * header fields say who wrote it and what it answers.
 *
 * In parsed mode each text field keeps the charset of its mail and "charsets"
 * names it; in raw mode one field holds the whole message.  A part of an
 * event's "media" is a part of the form in parsed mode, a leaf of the message
 * in raw mode.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_multipart.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_email.h>
#include <channel/ngx_comms_sendgrid.h>


#define NGX_COMMS_SENDGRID_MAX_SUBJECT      255    /* code points */
#define NGX_COMMS_SENDGRID_MAX_NAME         128
#define NGX_COMMS_SENDGRID_MAX_ATTACHMENTS  10
#define NGX_COMMS_SENDGRID_MIN_PICTURE      5120   /* bytes: what is smaller
                                                      and shown in the text
                                                      belongs to a signature */


typedef struct {
    ngx_array_t   parts;        /* of ngx_comms_part_t */
    json_t       *envelope;
    json_t       *charsets;
    json_t       *content_ids;
    ngx_uint_t    report;       /* what the header block says */
    ngx_uint_t    flowed;
    ngx_uint_t    delsp;
} ngx_comms_sendgrid_post_t;


static ngx_int_t ngx_comms_sendgrid_read_post(ngx_pool_t *pool,
    ngx_comms_webhook_t *wh, ngx_comms_sendgrid_post_t *post,
    const char **words);
static json_t *ngx_comms_sendgrid_json_field(ngx_array_t *parts,
    const char *name);
static ngx_int_t ngx_comms_sendgrid_event(ngx_pool_t *pool,
    ngx_comms_webhook_t *wh, ngx_comms_sendgrid_post_t *post, json_t *event,
    const char **ignored);
static ngx_int_t ngx_comms_sendgrid_read_mail(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, json_t *event, const char **ignored);
static ngx_comms_part_t *ngx_comms_sendgrid_raw(ngx_array_t *parts);
static ngx_int_t ngx_comms_sendgrid_report(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, json_t *event, const char **ignored);
static ngx_uint_t ngx_comms_sendgrid_type(ngx_comms_part_t *part,
    const char *type);
static ngx_int_t ngx_comms_sendgrid_fill(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, json_t *event);
static ngx_int_t ngx_comms_sendgrid_fill_headers(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, json_t *event);
static ngx_int_t ngx_comms_sendgrid_field(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, const char *name, ngx_str_t *text);
static ngx_int_t ngx_comms_sendgrid_attachments(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, json_t *event, ngx_array_t *names);
static ngx_int_t ngx_comms_sendgrid_attached(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, ngx_uint_t n, json_t *event,
    ngx_array_t *names);
static ngx_uint_t ngx_comms_sendgrid_signature_picture(
    ngx_comms_sendgrid_post_t *post, ngx_comms_part_t *part);


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

    if (ngx_comms_sendgrid_is_events(wh)) {
        return ngx_comms_sendgrid_events(pool, &wh->body, events, words);
    }

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
    json_decref(post.content_ids);

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
    post->content_ids = ngx_comms_sendgrid_json_field(&post->parts,
                                                      "content-ids");

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
    ngx_int_t    rc;
    ngx_str_t    sender;
    const char  *machine;

    if (ngx_comms_json_str(post->envelope, "from", &sender) == NGX_ERROR) {
        *ignored = "no valid sender address";
        return NGX_OK;
    }

    machine = ngx_comms_email_machine(&sender);

    rc = ngx_comms_sendgrid_read_mail(pool, post, event, ignored);

    if (rc != NGX_OK) {
        return rc;
    }

    if (*ignored != NULL) {
        *ignored = (machine != NULL) ? machine : *ignored;
        return NGX_OK;
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

        rc = ngx_comms_email_recipients(pool,
                                        json_object_get(post->envelope, "to"),
                                        event);
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

    if (json_object_set_new(event, "provider", json_string("sendgrid")) != 0) {
        return NGX_ERROR;
    }

    return ngx_comms_email_identify(pool, &ngx_comms_sendgrid.name, &wh->body,
                                    event);
}


static ngx_int_t
ngx_comms_sendgrid_read_mail(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, json_t *event, const char **ignored)
{
    ngx_int_t          rc;
    ngx_comms_part_t  *raw, *headers;

    raw = ngx_comms_sendgrid_raw(&post->parts);

    if (raw != NULL) {
        rc = ngx_comms_email_parse_raw(pool, &raw->data, event, ignored);

    } else {
        rc = NGX_OK;

        headers = ngx_comms_multipart_field(&post->parts, "headers");

        if (headers != NULL && headers->data.len > 0) {
            ngx_comms_email_form(&headers->data, &post->report, &post->flowed,
                                 &post->delsp);

            if (!post->report) {
                rc = ngx_comms_email_headers(pool, &headers->data, event,
                                             ignored);
            }
        }

        if (rc == NGX_OK) {
            rc = post->report
                 ? ngx_comms_sendgrid_report(pool, post, event, ignored)
                 : ngx_comms_sendgrid_fill(pool, post, event);
        }
    }

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    *ignored = NULL;

    return rc;
}


/* SendGrid's own documents disagree about the name */

static ngx_comms_part_t *
ngx_comms_sendgrid_raw(ngx_array_t *parts)
{
    ngx_comms_part_t  *raw;

    raw = ngx_comms_multipart_field(parts, "email");

    return (raw != NULL) ? raw
                         : ngx_comms_multipart_field(parts, "rawEmail");
}


/* a report that SendGrid took apart: its pieces are among the files */

static ngx_int_t
ngx_comms_sendgrid_report(ngx_pool_t *pool, ngx_comms_sendgrid_post_t *post,
    json_t *event, const char **ignored)
{
    ngx_uint_t                 i;
    ngx_comms_part_t          *part;
    ngx_comms_email_report_t   report;

    ngx_memzero(&report, sizeof(ngx_comms_email_report_t));

    if (ngx_comms_sendgrid_field(pool, post, "text", &report.text) != NGX_OK
        || ngx_comms_sendgrid_field(pool, post, "subject", &report.subject)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    part = post->parts.elts;

    for (i = 0; i < post->parts.nelts; i++) {

        if (ngx_comms_sendgrid_type(&part[i], "message/rfc822")
            || ngx_comms_sendgrid_type(&part[i], "text/rfc822-headers"))
        {
            report.original = part[i].data;

        } else if (ngx_comms_sendgrid_type(&part[i], "message/")) {
            report.status = part[i].data;
        }
    }

    return ngx_comms_email_report(pool, &report, event, ignored);
}


/* does the part's type begin with this? */

static ngx_uint_t
ngx_comms_sendgrid_type(ngx_comms_part_t *part, const char *type)
{
    size_t  len;

    len = ngx_strlen(type);

    return part->content_type.len >= len
           && ngx_strncasecmp(part->content_type.data, (u_char *) type, len)
              == 0;
}


/* what the header block did not say, and the bodies */

static ngx_int_t
ngx_comms_sendgrid_fill(ngx_pool_t *pool, ngx_comms_sendgrid_post_t *post,
    json_t *event)
{
    ngx_str_t    text, html, lines;
    ngx_array_t  names;

    if (ngx_comms_sendgrid_fill_headers(pool, post, event) != NGX_OK
        || ngx_comms_sendgrid_field(pool, post, "text", &text) != NGX_OK
        || ngx_comms_sendgrid_field(pool, post, "html", &html) != NGX_OK
        || ngx_comms_sendgrid_attachments(pool, post, event, &names)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (post->flowed) {

        if (ngx_comms_email_unflow(pool, &text, post->delsp, &lines)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        text = lines;
    }

    return ngx_comms_email_content(pool, &text, &html, &names, event);
}


static ngx_int_t
ngx_comms_sendgrid_fill_headers(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, json_t *event)
{
    ngx_str_t  text, line, subject;

    if (json_object_get(event, "person_address") == NULL) {

        if (ngx_comms_sendgrid_field(pool, post, "from", &text) != NGX_OK
            || ngx_comms_email_person(pool, &text, event) == NGX_ERROR)
        {
            return NGX_ERROR;
        }
    }

    if (json_object_get(event, "subject") != NULL) {
        return NGX_OK;
    }

    if (ngx_comms_sendgrid_field(pool, post, "subject", &text) != NGX_OK
        || ngx_comms_one_line(pool, &text, &line) != NGX_OK
        || ngx_comms_shorten(pool, &line, NGX_COMMS_SENDGRID_MAX_SUBJECT,
                             &subject)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (subject.len == 0) {
        return NGX_OK;
    }

    return ngx_comms_json_set_str(event, "subject", &subject);
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
    ngx_comms_sendgrid_post_t *post, json_t *event, ngx_array_t *names)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    ngx_comms_part_t  *part;

    if (ngx_array_init(names, pool, 4, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    part = post->parts.elts;

    for (i = 0; i < post->parts.nelts; i++) {

        if (part[i].filename.len == 0) {
            continue;
        }

        rc = ngx_comms_sendgrid_attached(pool, post, i, event, names);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_sendgrid_attached(ngx_pool_t *pool,
    ngx_comms_sendgrid_post_t *post, ngx_uint_t n, json_t *event,
    ngx_array_t *names)
{
    u_char            *end;
    ngx_str_t          charset, text, line, type, filename, *name;
    ngx_uint_t         kept;
    const char        *words;
    ngx_comms_part_t  *part;

    part = (ngx_comms_part_t *) post->parts.elts + n;

    if (ngx_comms_sendgrid_signature_picture(post, part)) {
        return NGX_OK;
    }

    ngx_str_null(&charset);

    if (ngx_comms_to_utf8(pool, &charset, &part->filename, &text) != NGX_OK
        || ngx_comms_one_line(pool, &text, &line) != NGX_OK
        || ngx_comms_shorten(pool, &line, NGX_COMMS_SENDGRID_MAX_NAME,
                             &filename)
           != NGX_OK
        || ngx_comms_to_utf8(pool, &charset, &part->content_type, &text)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    end = ngx_strlchr(text.data, text.data + text.len, ';');

    if (end != NULL) {
        text.len = end - text.data;
    }

    type = ngx_comms_trim(text);
    ngx_strlow(type.data, type.data, type.len);

    if (type.len == 0) {
        ngx_str_set(&type, "application/octet-stream");
    }

    words = ngx_comms_email_type_words(&type, &kept);

    if (kept
        && ngx_comms_email_add_medium(pool, event, n, &type, &filename,
                                      part->data.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (names->nelts == NGX_COMMS_SENDGRID_MAX_ATTACHMENTS) {
        return NGX_OK;
    }

    name = ngx_array_push(names);
    if (name == NULL) {
        return NGX_ERROR;
    }

    *name = filename;

    if (words != NULL) {
        name->data = (u_char *) words;
        name->len = ngx_strlen(words);
    }

    return NGX_OK;
}


/* a small picture that the text shows: "content-ids" names those */

static ngx_uint_t
ngx_comms_sendgrid_signature_picture(ngx_comms_sendgrid_post_t *post,
    ngx_comms_part_t *part)
{
    json_t      *value;
    ngx_str_t    shown;
    const char  *key;

    if (part->data.len >= NGX_COMMS_SENDGRID_MIN_PICTURE
        || !ngx_comms_sendgrid_type(part, "image/"))
    {
        return 0;
    }

    json_object_foreach(post->content_ids, key, value) {
        shown = ngx_comms_json_view(value);

        if (shown.len == part->name.len
            && ngx_strncmp(shown.data, part->name.data, shown.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_comms_sendgrid_attachment(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    ngx_uint_t part, ngx_str_t *bytes)
{
    ngx_int_t          rc;
    ngx_array_t        parts;
    ngx_comms_part_t  *raw;

    rc = ngx_comms_multipart_parse(pool, &wh->content_type, &wh->body,
                                   &parts);
    if (rc != NGX_OK) {
        return rc;
    }

    raw = ngx_comms_sendgrid_raw(&parts);

    if (raw != NULL) {
        return ngx_comms_email_part(pool, &raw->data, part, bytes);
    }

    if (part >= parts.nelts) {
        return NGX_DECLINED;
    }

    raw = (ngx_comms_part_t *) parts.elts + part;

    if (raw->filename.len == 0) {
        return NGX_DECLINED;
    }

    *bytes = raw->data;

    return NGX_OK;
}
