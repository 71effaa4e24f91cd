
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A whole mail (MIME, RFC 2045): its bodies, what is attached, and the pieces
 * of a report.
 *
 * A mail's leaves are numbered as they come, and an event's "media" names
 * them by that number.  Whoever asks for a leaf's bytes later walks the same
 * mail in the same way, within the same bounds: so the number means the same.
 *
 * A mail's header block is the same with and without a body behind it and is
 * read in ngx_comms_email_headers.c.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_email.h>
#include <channel/ngx_comms_email_headers.h>


#define NGX_COMMS_EMAIL_MAX_DEPTH        16    /* of parts in parts */
#define NGX_COMMS_EMAIL_MAX_PARTS        64
#define NGX_COMMS_EMAIL_MAX_ATTACHMENTS  10    /* that are named */
#define NGX_COMMS_EMAIL_MAX_TYPE         127   /* RFC 6838 4.2 */
#define NGX_COMMS_EMAIL_MIN_PICTURE      5120  /* bytes: what is smaller and
                                                  shown in the text belongs to
                                                  a signature */


typedef struct {
    ngx_pool_t                *pool;
    json_t                    *event;       /* NULL: only bytes are wanted */
    ngx_str_t                  text;
    ngx_str_t                  html;
    ngx_array_t                attachments;     /* of ngx_str_t: names */
    ngx_comms_email_report_t  *report;      /* NULL: it is none */
    ngx_str_t                 *bytes;       /* of the leaf "wanted" */
    ngx_uint_t                 wanted;
    ngx_uint_t                 leaves;
    ngx_uint_t                 parts;
} ngx_comms_email_bodies_t;


static ngx_int_t ngx_comms_email_read_report(
    ngx_comms_email_bodies_t *bodies, GMimeMessage *mail, json_t *event,
    const char **words);
static ngx_int_t ngx_comms_email_walk(ngx_comms_email_bodies_t *bodies,
    GMimeObject *part, ngx_uint_t depth);
static ngx_int_t ngx_comms_email_message(ngx_comms_email_bodies_t *bodies,
    GMimeMessagePart *part, ngx_uint_t leaf);
static ngx_int_t ngx_comms_email_leaf(ngx_comms_email_bodies_t *bodies,
    GMimeObject *part, ngx_uint_t leaf);
static ngx_uint_t ngx_comms_email_is_body(ngx_comms_email_bodies_t *bodies,
    GMimeObject *part, ngx_str_t **body);
static ngx_int_t ngx_comms_email_report_piece(
    ngx_comms_email_bodies_t *bodies, GMimeObject *part);
static ngx_int_t ngx_comms_email_body(ngx_comms_email_bodies_t *bodies,
    GMimeObject *part, ngx_str_t *body);
static ngx_int_t ngx_comms_email_attached(ngx_comms_email_bodies_t *bodies,
    GMimeObject *part, ngx_uint_t leaf);
static ngx_int_t ngx_comms_email_attachment(ngx_comms_email_bodies_t *bodies,
    ngx_str_t *name);
static ngx_int_t ngx_comms_email_type(ngx_pool_t *pool, GMimeObject *part,
    ngx_str_t *type);
static ngx_int_t ngx_comms_email_decode(ngx_pool_t *pool, GMimeObject *part,
    size_t max, ngx_str_t *bytes);
static size_t ngx_comms_email_decoded_size(GMimeObject *part);


ngx_int_t
ngx_comms_email_parse_raw(ngx_pool_t *pool, ngx_str_t *raw, json_t *event,
    const char **words)
{
    ngx_int_t                  rc;
    GMimeObject               *part;
    GMimeMessage              *mail;
    ngx_comms_email_bodies_t   bodies;

    ngx_memzero(&bodies, sizeof(ngx_comms_email_bodies_t));

    bodies.pool = pool;
    bodies.event = event;

    if (ngx_array_init(&bodies.attachments, pool, 4, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    mail = ngx_comms_email_open(raw);

    if (mail == NULL) {
        *words = "not a mail";
        return NGX_DECLINED;
    }

    if (ngx_comms_email_reports(mail)) {
        rc = ngx_comms_email_read_report(&bodies, mail, event, words);

        g_object_unref(mail);

        return rc;
    }

    rc = ngx_comms_email_read_headers(pool, mail, event, words);

    if (rc == NGX_OK) {
        part = g_mime_message_get_mime_part(mail);

        if (part != NULL) {
            rc = ngx_comms_email_walk(&bodies, part, 0);
        }
    }

    g_object_unref(mail);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_comms_email_content(pool, &bodies.text, &bodies.html,
                                   &bodies.attachments, event);
}


ngx_int_t
ngx_comms_email_part(ngx_pool_t *pool, ngx_str_t *raw, ngx_uint_t wanted,
    ngx_str_t *bytes)
{
    ngx_int_t                  rc;
    GMimeObject               *part;
    GMimeMessage              *mail;
    ngx_comms_email_bodies_t   bodies;

    ngx_memzero(&bodies, sizeof(ngx_comms_email_bodies_t));

    bodies.pool = pool;
    bodies.bytes = bytes;
    bodies.wanted = wanted;

    ngx_str_null(bytes);

    mail = ngx_comms_email_open(raw);

    if (mail == NULL) {
        return NGX_DECLINED;
    }

    part = g_mime_message_get_mime_part(mail);

    rc = (part != NULL) ? ngx_comms_email_walk(&bodies, part, 0) : NGX_OK;

    g_object_unref(mail);

    if (rc == NGX_OK) {
        return NGX_DECLINED;
    }

    return (rc == NGX_DONE) ? NGX_OK : rc;
}


static ngx_int_t
ngx_comms_email_read_report(ngx_comms_email_bodies_t *bodies,
    GMimeMessage *mail, json_t *event, const char **words)
{
    const char                *subject;
    GMimeObject               *part;
    ngx_comms_email_report_t  *report;

    report = ngx_pcalloc(bodies->pool, sizeof(ngx_comms_email_report_t));
    if (report == NULL) {
        return NGX_ERROR;
    }

    bodies->report = report;

    part = g_mime_message_get_mime_part(mail);

    if (part != NULL && ngx_comms_email_walk(bodies, part, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    report->text = bodies->text;

    if (report->text.len == 0 && bodies->html.len > 0
        && ngx_comms_email_html_text(bodies->pool, &bodies->html,
                                     &report->text)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    subject = g_mime_message_get_subject(mail);

    if (subject != NULL) {
        report->subject.data = (u_char *) subject;
        report->subject.len = ngx_strlen(subject);
    }

    return ngx_comms_email_report(bodies->pool, report, event, words);
}


/* NGX_DONE: the leaf that was wanted is found */

static ngx_int_t
ngx_comms_email_walk(ngx_comms_email_bodies_t *bodies, GMimeObject *part,
    ngx_uint_t depth)
{
    int         i, n;
    ngx_int_t   rc;

    if (depth > NGX_COMMS_EMAIL_MAX_DEPTH
        || bodies->parts++ >= NGX_COMMS_EMAIL_MAX_PARTS)
    {
        return NGX_OK;
    }

    if (GMIME_IS_MULTIPART(part)) {
        n = g_mime_multipart_get_count(GMIME_MULTIPART(part));

        for (i = 0; i < n; i++) {
            rc = ngx_comms_email_walk(bodies,
                         g_mime_multipart_get_part(GMIME_MULTIPART(part), i),
                         depth + 1);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        return NGX_OK;
    }

    if (GMIME_IS_MESSAGE_PART(part)) {
        return ngx_comms_email_message(bodies, GMIME_MESSAGE_PART(part),
                                       bodies->leaves++);
    }

    if (GMIME_IS_PART(part)) {
        return ngx_comms_email_leaf(bodies, part, bodies->leaves++);
    }

    return NGX_OK;
}


/* a whole mail within this one: forwarded, or what a report is about */

static ngx_int_t
ngx_comms_email_message(ngx_comms_email_bodies_t *bodies,
    GMimeMessagePart *part, ngx_uint_t leaf)
{
    char          *text;
    ngx_str_t      bytes, name, type;
    const char    *subject;
    GMimeMessage  *message;

    message = g_mime_message_part_get_message(part);

    if (message == NULL) {
        return NGX_OK;
    }

    if (bodies->report == NULL && bodies->event != NULL) {

        subject = g_mime_message_get_subject(message);

        if (ngx_comms_email_clean(bodies->pool,
                                  (subject != NULL) ? subject : "",
                                  NGX_COMMS_EMAIL_MAX_NAME, &name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_str_set(&type, "message/rfc822");

        if (ngx_comms_email_add_medium(bodies->pool, bodies->event, leaf,
                                       &type, &name, 0)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_str_set(&name, "message");

        return ngx_comms_email_attachment(bodies, &name);
    }

    if (bodies->report == NULL && leaf != bodies->wanted) {
        return NGX_OK;
    }

    text = (bodies->report != NULL)
           ? g_mime_object_get_headers(GMIME_OBJECT(message), NULL)
           : g_mime_object_to_string(GMIME_OBJECT(message), NULL);

    if (text == NULL) {
        return NGX_OK;
    }

    bytes.data = (u_char *) text;
    bytes.len = ngx_strlen(text);
    bytes.data = ngx_pstrdup(bodies->pool, &bytes);

    g_free(text);

    if (bytes.data == NULL) {
        return NGX_ERROR;
    }

    if (bodies->report != NULL) {
        bodies->report->original = bytes;
        return NGX_OK;
    }

    *bodies->bytes = bytes;

    return NGX_DONE;
}


static ngx_int_t
ngx_comms_email_leaf(ngx_comms_email_bodies_t *bodies, GMimeObject *part,
    ngx_uint_t leaf)
{
    ngx_int_t   rc;
    ngx_str_t  *body;

    if (bodies->event == NULL) {

        if (leaf != bodies->wanted) {
            return NGX_OK;
        }

        rc = ngx_comms_email_decode(bodies->pool, part, NGX_MAX_SIZE_T_VALUE,
                                    bodies->bytes);

        return (rc == NGX_OK) ? NGX_DONE : rc;
    }

    if (bodies->report != NULL) {
        rc = ngx_comms_email_report_piece(bodies, part);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (ngx_comms_email_is_body(bodies, part, &body)) {
        return ngx_comms_email_body(bodies, part, body);
    }

    return (bodies->report == NULL)
           ? ngx_comms_email_attached(bodies, part, leaf) : NGX_OK;
}


static ngx_uint_t
ngx_comms_email_is_body(ngx_comms_email_bodies_t *bodies, GMimeObject *part,
    ngx_str_t **body)
{
    const char        *name;
    GMimeContentType  *type;

    if (g_mime_part_is_attachment(GMIME_PART(part))) {
        return 0;
    }

    type = g_mime_object_get_content_type(part);
    name = g_mime_part_get_filename(GMIME_PART(part));

    if (g_mime_content_type_is_type(type, "text", "plain")) {
        *body = &bodies->text;

    } else if (g_mime_content_type_is_type(type, "text", "html")) {
        *body = &bodies->html;

    } else {
        return 0;
    }

    return name == NULL || (*body)->len == 0;
}


/* NGX_DECLINED: no piece that only reports have */

static ngx_int_t
ngx_comms_email_report_piece(ngx_comms_email_bodies_t *bodies,
    GMimeObject *part)
{
    ngx_str_t         *piece;
    ngx_uint_t         i;
    GMimeContentType  *type;

    static const char *const  statuses[] = {
        "delivery-status",               /* RFC 3464 */
        "global-delivery-status",        /* RFC 6533 */
        "disposition-notification",      /* RFC 8098 */
        "feedback-report",               /* RFC 5965 */
        NULL
    };

    type = g_mime_object_get_content_type(part);
    piece = NULL;

    for (i = 0; statuses[i] != NULL; i++) {
        if (g_mime_content_type_is_type(type, "message", statuses[i])) {
            piece = &bodies->report->status;
        }
    }

    if (g_mime_content_type_is_type(type, "text", "rfc822-headers")
        || g_mime_content_type_is_type(type, "message", "*"))
    {
        piece = (piece != NULL) ? piece : &bodies->report->original;
    }

    if (piece == NULL) {
        return NGX_DECLINED;
    }

    return ngx_comms_email_decode(bodies->pool, part, NGX_COMMS_EMAIL_MAX_TEXT,
                                  piece);
}


/* adds the part to the body: software splits text around pictures */

static ngx_int_t
ngx_comms_email_body(ngx_comms_email_bodies_t *bodies, GMimeObject *part,
    ngx_str_t *body)
{
    u_char      *p;
    ngx_str_t    bytes, charset, text, lines;
    ngx_uint_t   flowed, delsp;
    const char  *name;

    if (body->len > NGX_COMMS_EMAIL_MAX_HTML) {
        return NGX_OK;
    }

    if (ngx_comms_email_decode(bodies->pool, part, NGX_COMMS_EMAIL_MAX_HTML,
                               &bytes)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    name = g_mime_object_get_content_type_parameter(part, "charset");

    charset.data = (u_char *) name;
    charset.len = (name != NULL) ? ngx_strlen(name) : 0;

    if (ngx_comms_to_utf8(bodies->pool, &charset, &bytes, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_comms_email_flowed(part, &flowed, &delsp);

    if (flowed && body == &bodies->text) {

        if (ngx_comms_email_unflow(bodies->pool, &text, delsp, &lines)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        text = lines;
    }

    if (body->len == 0) {
        *body = text;
        return NGX_OK;
    }

    p = ngx_pnalloc(bodies->pool, body->len + 1 + text.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    bytes.data = p;
    p = ngx_cpymem(p, body->data, body->len);
    *p++ = '\n';
    p = ngx_cpymem(p, text.data, text.len);

    body->data = bytes.data;
    body->len = p - bytes.data;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_email_attached(ngx_comms_email_bodies_t *bodies, GMimeObject *part,
    ngx_uint_t leaf)
{
    size_t       size;
    ngx_str_t    type, name, shown;
    ngx_uint_t   kept;
    const char  *value, *words;

    if (ngx_comms_email_type(bodies->pool, part, &type) != NGX_OK) {
        return NGX_ERROR;
    }

    value = g_mime_part_get_filename(GMIME_PART(part));

    if (ngx_comms_email_clean(bodies->pool, (value != NULL) ? value : "",
                              NGX_COMMS_EMAIL_MAX_NAME, &name)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    size = ngx_comms_email_decoded_size(part);

    if (type.len > 6 && ngx_strncmp(type.data, "image/", 6) == 0
        && size < NGX_COMMS_EMAIL_MIN_PICTURE
        && !g_mime_part_is_attachment(GMIME_PART(part))
        && g_mime_part_get_content_id(GMIME_PART(part)) != NULL)
    {
        return NGX_OK;
    }

    kept = 1;
    words = ngx_comms_email_type_words(&type, &kept);

    if (kept
        && ngx_comms_email_add_medium(bodies->pool, bodies->event, leaf,
                                      &type, &name, size)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    shown = name;

    if (words != NULL) {
        shown.data = (u_char *) words;
        shown.len = ngx_strlen(words);

    } else if (name.len == 0) {
        ngx_str_set(&shown, "file");
    }

    return ngx_comms_email_attachment(bodies, &shown);
}


static ngx_int_t
ngx_comms_email_attachment(ngx_comms_email_bodies_t *bodies, ngx_str_t *name)
{
    ngx_str_t  *attachment;

    if (bodies->attachments.nelts == NGX_COMMS_EMAIL_MAX_ATTACHMENTS) {
        return NGX_OK;
    }

    attachment = ngx_array_push(&bodies->attachments);
    if (attachment == NULL) {
        return NGX_ERROR;
    }

    *attachment = *name;

    return NGX_OK;
}


/* "type/subtype" in lower case */

static ngx_int_t
ngx_comms_email_type(ngx_pool_t *pool, GMimeObject *part, ngx_str_t *type)
{
    char       *text;
    ngx_int_t   rc;

    text = g_mime_content_type_get_mime_type(
                                        g_mime_object_get_content_type(part));
    if (text == NULL) {
        ngx_str_set(type, "application/octet-stream");
        return NGX_OK;
    }

    rc = ngx_comms_email_clean(pool, text, NGX_COMMS_EMAIL_MAX_TYPE, type);

    g_free(text);

    if (rc == NGX_OK) {
        ngx_strlow(type->data, type->data, type->len);
    }

    return rc;
}


/* the transfer encoding undone; in the pool */

static ngx_int_t
ngx_comms_email_decode(ngx_pool_t *pool, GMimeObject *part, size_t max,
    ngx_str_t *bytes)
{
    GByteArray        *array;
    GMimeStream       *stream;
    GMimeDataWrapper  *content;

    ngx_str_null(bytes);

    content = g_mime_part_get_content(GMIME_PART(part));

    if (content == NULL) {
        return NGX_OK;
    }

    stream = g_mime_stream_mem_new();
    g_mime_data_wrapper_write_to_stream(content, stream);
    array = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));

    bytes->data = array->data;
    bytes->len = ngx_min(array->len, max);

    if (bytes->len > 0) {
        bytes->data = ngx_pstrdup(pool, bytes);
    }

    g_object_unref(stream);

    return (bytes->data != NULL || bytes->len == 0) ? NGX_OK : NGX_ERROR;
}


static size_t
ngx_comms_email_decoded_size(GMimeObject *part)
{
    size_t             size;
    GMimeStream       *stream;
    GMimeDataWrapper  *content;

    content = g_mime_part_get_content(GMIME_PART(part));

    if (content == NULL) {
        return 0;
    }

    stream = g_mime_stream_null_new();
    g_mime_data_wrapper_write_to_stream(content, stream);
    size = GMIME_STREAM_NULL(stream)->written;

    g_object_unref(stream);

    return size;
}
