
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A whole mail (MIME, RFC 2045): its bodies and the names of what is attached.
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
#define NGX_COMMS_EMAIL_MAX_PARTS        256
#define NGX_COMMS_EMAIL_MAX_ATTACHMENTS  10    /* that are named */


typedef struct {
    ngx_pool_t   *pool;
    ngx_str_t     text;
    ngx_str_t     html;
    ngx_array_t   attachments;     /* of ngx_str_t: names */
    ngx_uint_t    parts;
} ngx_comms_email_bodies_t;


static ngx_int_t ngx_comms_email_walk(ngx_comms_email_bodies_t *bodies,
    GMimeObject *part, ngx_uint_t depth);
static ngx_int_t ngx_comms_email_leaf(ngx_comms_email_bodies_t *bodies,
    GMimeObject *part);
static ngx_int_t ngx_comms_email_body(ngx_comms_email_bodies_t *bodies,
    GMimeObject *part, ngx_str_t *body);
static ngx_int_t ngx_comms_email_attachment(ngx_comms_email_bodies_t *bodies,
    const char *name);


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


static ngx_int_t
ngx_comms_email_walk(ngx_comms_email_bodies_t *bodies, GMimeObject *part,
    ngx_uint_t depth)
{
    int         i, n;
    ngx_int_t   rc;

    if (depth > NGX_COMMS_EMAIL_MAX_DEPTH
        || bodies->parts++ > NGX_COMMS_EMAIL_MAX_PARTS)
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
        return ngx_comms_email_attachment(bodies, "message");
    }

    if (GMIME_IS_PART(part)) {
        return ngx_comms_email_leaf(bodies, part);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_email_leaf(ngx_comms_email_bodies_t *bodies, GMimeObject *part)
{
    ngx_str_t         *body;
    const char        *name;
    GMimeContentType  *type;

    type = g_mime_object_get_content_type(part);
    name = g_mime_part_get_filename(GMIME_PART(part));

    if (!g_mime_part_is_attachment(GMIME_PART(part))) {

        body = NULL;

        if (g_mime_content_type_is_type(type, "text", "plain")) {
            body = &bodies->text;

        } else if (g_mime_content_type_is_type(type, "text", "html")) {
            body = &bodies->html;
        }

        if (body != NULL && (name == NULL || body->len == 0)) {
            return ngx_comms_email_body(bodies, part, body);
        }
    }

    return ngx_comms_email_attachment(bodies, (name != NULL) ? name : "file");
}


/* adds the part to the body: software splits text around pictures */

static ngx_int_t
ngx_comms_email_body(ngx_comms_email_bodies_t *bodies, GMimeObject *part,
    ngx_str_t *body)
{
    u_char            *p;
    ngx_int_t          rc;
    ngx_str_t          bytes, charset, text;
    GByteArray        *array;
    const char        *name;
    GMimeStream       *stream;
    GMimeDataWrapper  *content;

    content = g_mime_part_get_content(GMIME_PART(part));
    if (content == NULL || body->len > NGX_COMMS_EMAIL_MAX_HTML) {
        return NGX_OK;
    }

    stream = g_mime_stream_mem_new();
    g_mime_data_wrapper_write_to_stream(content, stream);
    array = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));

    bytes.data = array->data;
    bytes.len = ngx_min(array->len, NGX_COMMS_EMAIL_MAX_HTML);

    name = g_mime_object_get_content_type_parameter(part, "charset");

    charset.data = (u_char *) name;
    charset.len = (name != NULL) ? ngx_strlen(name) : 0;

    rc = ngx_comms_to_utf8(bodies->pool, &charset, &bytes, &text);

    if (rc == NGX_OK) {
        p = ngx_pnalloc(bodies->pool, body->len + 1 + text.len);

        if (p != NULL) {
            bytes.data = p;
            p = ngx_cpymem(p, body->data, body->len);

            if (body->len > 0) {
                *p++ = '\n';
            }

            p = ngx_cpymem(p, text.data, text.len);

            body->data = bytes.data;
            body->len = p - bytes.data;

        } else {
            rc = NGX_ERROR;
        }
    }

    g_object_unref(stream);

    return rc;
}


static ngx_int_t
ngx_comms_email_attachment(ngx_comms_email_bodies_t *bodies,
    const char *name)
{
    ngx_str_t  *attachment;

    if (bodies->attachments.nelts == NGX_COMMS_EMAIL_MAX_ATTACHMENTS) {
        return NGX_OK;
    }

    attachment = ngx_array_push(&bodies->attachments);
    if (attachment == NULL) {
        return NGX_ERROR;
    }

    return ngx_comms_email_clean(bodies->pool, name, NGX_COMMS_EMAIL_MAX_NAME,
                                 attachment);
}
