
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * GET /conversations/<thread_id>/media/<media_id>: what a person sent.
 *
 * Strangers made these files, and a browser shall do nothing with them but
 * store them: they are attachments, of the type that was found when they
 * were kept, and nobody guesses another one.
 */


#include <http/ngx_http_comms_answer.h>
#include <http/ngx_http_comms_media_send.h>
#include <base/ngx_comms_json.h>


static ngx_int_t ngx_http_comms_media_open(ngx_http_request_t *r,
    ngx_str_t *path, ngx_open_file_info_t *of);
static ngx_int_t ngx_http_comms_media_headers(ngx_http_request_t *r,
    json_t *note);
static ngx_int_t ngx_http_comms_media_disposition(ngx_http_request_t *r,
    ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_http_comms_media_body(ngx_http_request_t *r,
    ngx_str_t *path, ngx_open_file_info_t *of);


json_t *
ngx_http_comms_media_find(json_t *record, ngx_str_t *media_id)
{
    size_t      i, k;
    json_t     *message, *note;
    ngx_str_t   id;

    json_array_foreach(json_object_get(record, "messages"), i, message) {

        json_array_foreach(json_object_get(message, "media"), k, note) {

            if (ngx_comms_json_str(note, "media_id", &id) == NGX_OK
                && id.len == media_id->len
                && ngx_memcmp(id.data, media_id->data, id.len) == 0)
            {
                return note;
            }
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_comms_media_send(ngx_http_request_t *r, ngx_comms_media_t *media,
    json_t *note)
{
    ngx_int_t              rc;
    ngx_str_t              media_id, path;
    ngx_open_file_info_t   of;

    if (media == NULL
        || ngx_comms_json_str(note, "media_id", &media_id) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rc = ngx_comms_media_path(media, &media_id, r->pool, &path);

    if (rc == NGX_OK) {
        rc = ngx_http_comms_media_open(r, &path, &of);
    }

    if (rc == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    if (rc != NGX_OK || ngx_http_comms_media_headers(r, note) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = of.size;
    r->allow_ranges = 1;

    return ngx_http_comms_media_body(r, &path, &of);
}


static ngx_int_t
ngx_http_comms_media_open(ngx_http_request_t *r, ngx_str_t *path,
    ngx_open_file_info_t *of)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    ngx_memzero(of, sizeof(ngx_open_file_info_t));

    of->read_ahead = clcf->read_ahead;
    of->directio = clcf->directio;

    if (ngx_open_cached_file(NULL, path, of, r->pool) == NGX_OK) {
        return of->is_file ? NGX_OK : NGX_DECLINED;
    }

    if (of->err == NGX_ENOENT || of->err == NGX_ENOTDIR) {
        return NGX_DECLINED;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, of->err,
                  "%s \"%V\" failed", of->failed, path);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_comms_media_headers(ngx_http_request_t *r, json_t *note)
{
    ngx_str_t         type, name, disposition;
    static ngx_str_t  nosniff = ngx_string("nosniff");
    static ngx_str_t  no_store = ngx_string("private, no-store");

    if (ngx_comms_json_str(note, "content_type", &type) != NGX_OK
        || (ngx_comms_json_str(note, "filename", &name) != NGX_OK
            && ngx_comms_json_str(note, "media_id", &name) != NGX_OK))
    {
        return NGX_ERROR;
    }

    /* the note goes before the answer does */

    r->headers_out.content_type.len = type.len;
    r->headers_out.content_type.data = ngx_pstrdup(r->pool, &type);
    r->headers_out.content_type_len = type.len;

    if (r->headers_out.content_type.data == NULL
        || ngx_http_comms_media_disposition(r, &name, &disposition) != NGX_OK
        || ngx_http_comms_add_header(r, "Content-Disposition", &disposition)
           != NGX_OK
        || ngx_http_comms_add_header(r, "X-Content-Type-Options", &nosniff)
           != NGX_OK
        || ngx_http_comms_add_header(r, "Cache-Control", &no_store) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* RFC 6266, RFC 8187: a name in any script, and nothing can break out */

static ngx_int_t
ngx_http_comms_media_disposition(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char         ch, *p;
    size_t         i;

    static u_char  hex[] = "0123456789ABCDEF";

    value->data = ngx_pnalloc(r->pool, sizeof("attachment; filename*=UTF-8''")
                                       + 3 * name->len);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(value->data, "attachment; filename*=UTF-8''");

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if ((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z')
            || (ch >= 'A' && ch <= 'Z') || ch == '-' || ch == '.'
            || ch == '_')
        {
            *p++ = ch;
            continue;
        }

        *p++ = '%';
        *p++ = hex[ch >> 4];
        *p++ = hex[ch & 0xf];
    }

    value->len = p - value->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_comms_media_body(ngx_http_request_t *r, ngx_str_t *path,
    ngx_open_file_info_t *of)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->file = ngx_pcalloc(r->pool, sizeof(ngx_file_t));
    if (b->file == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->file_pos = 0;
    b->file_last = of->size;

    b->in_file = b->file_last ? 1 : 0;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;
    b->sync = (b->last_buf || b->in_file) ? 0 : 1;

    b->file->fd = of->fd;
    b->file->name = *path;
    b->file->log = r->connection->log;
    b->file->directio = of->is_directio;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
