
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The one way the API answers.
 */


#include <http/ngx_http_comms_answer.h>
#include <base/ngx_comms_json.h>


static u_char *ngx_http_comms_body_copy(ngx_http_request_t *r, u_char *p,
    ngx_buf_t *b);


ngx_int_t
ngx_http_comms_send_json(ngx_http_request_t *r, ngx_uint_t status,
    json_t *document)
{
    ngx_int_t  rc;
    ngx_str_t  type, body;

    rc = ngx_comms_json_dump(r->pool, document, &body);

    json_decref(document);

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_set(&type, "application/json");

    return ngx_http_comms_send(r, status, &type, &body);
}


ngx_int_t
ngx_http_comms_send_error(ngx_http_request_t *r,
    ngx_http_comms_error_t *error, ngx_str_t *request_id)
{
    u_char     *p;
    json_t     *document, *id;
    ngx_str_t   seconds;

    if (error->retry_after != 0) {
        p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (p == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        seconds.data = p;
        seconds.len = ngx_sprintf(p, "%ui", error->retry_after) - p;

        if (ngx_http_comms_add_header(r, "Retry-After", &seconds) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    id = request_id->len != 0 ? ngx_comms_json_string(request_id)
                              : json_null();

    document = json_pack("{s:s, s:s, s:s, s:o}", "status", "error",
                         "error_code", error->code,
                         "message", error->message, "request_id", id);
    if (document == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_comms_send_json(r, error->status, document);
}


ngx_int_t
ngx_http_comms_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_str_t *body)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = body->len;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    if (body->len == 0) {
        r->header_only = 1;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_http_comms_add_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;

    return NGX_OK;
}


ngx_str_t *
ngx_http_comms_header(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == len
            && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
        {
            return &h[i].value;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_comms_body(ngx_http_request_t *r, ngx_str_t *body)
{
    u_char       *p;
    size_t        len;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    ngx_str_null(body);

    if (r->request_body == NULL || r->request_body->bufs == NULL) {
        return NGX_DECLINED;
    }

    len = 0;

    for (cl = r->request_body->bufs; cl != NULL; cl = cl->next) {
        len += (size_t) ngx_buf_size(cl->buf);
    }

    if (len == 0) {
        return NGX_DECLINED;
    }

    body->len = len;

    b = r->request_body->bufs->buf;

    if (r->request_body->bufs->next == NULL && !b->in_file) {
        body->data = b->pos;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;

    for (cl = r->request_body->bufs; cl != NULL; cl = cl->next) {
        p = ngx_http_comms_body_copy(r, p, cl->buf);

        if (p == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * The buffer holds any body that is allowed, but not the framing of one that
 * comes in small chunks: nginx then writes part of it to a file.  What is
 * read here was written by this process just before, and is bounded by
 * client_max_body_size.
 */

static u_char *
ngx_http_comms_body_copy(ngx_http_request_t *r, u_char *p, ngx_buf_t *b)
{
    size_t   size;
    ssize_t  n;

    size = (size_t) ngx_buf_size(b);

    if (!b->in_file) {
        return ngx_cpymem(p, b->pos, size);
    }

    while (size != 0) {
        n = ngx_read_file(b->file, p, size, b->file_last - (off_t) size);

        if (n <= 0) {
            ngx_log_error(NGX_LOG_CRIT, r->connection->log, 0,
                          "comms request body could not be read back");
            return NULL;
        }

        p += n;
        size -= n;
    }

    return p;
}


ngx_int_t
ngx_http_comms_hide(ngx_http_request_t *r, ngx_str_t *shown)
{
    u_char     *p;
    ngx_str_t   line, uri;

    line.data = ngx_pnalloc(r->pool, r->method_name.len + shown->len
                                     + r->http_protocol.len + 2);
    if (line.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(line.data, "%V ", &r->method_name);

    uri.data = p;
    uri.len = shown->len;

    p = ngx_sprintf(p, "%V %V", shown, &r->http_protocol);

    line.len = p - line.data;

    r->request_line = line;
    r->unparsed_uri = uri;
    r->valid_unparsed_uri = 0;

    ngx_str_null(&r->args);

    return NGX_OK;
}


ngx_int_t
ngx_http_comms_too_large_handler(ngx_http_request_t *r)
{
    if (r->err_status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE && r->internal
        && r->stream != NULL)
    {
        r->headers_in.content_length_n = 0;
    }

    return NGX_DECLINED;
}
