
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The grammar is RFC 2046 5.1.1, with the names of RFC 7578.  One pass from
 * delimiter to delimiter; parts, names and types are views into the body, and
 * only a name with escaped characters is copied.
 *
 * A delimiter is "--boundary" at the begin of a line, blanks, and the end of
 * the line; or "--boundary--" likewise.  A line that only begins like one is
 * data.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "base/ngx_comms_multipart.h"
#include "base/ngx_comms_text.h"


#define NGX_COMMS_BOUNDARY_MAX    70      /* RFC 2046 5.1.1 */
#define NGX_COMMS_PARTS           8       /* room to begin with */

#define ngx_comms_blank(ch)                                                   \
    ((ch) == ' ' || (ch) == '\t' || (ch) == '\r' || (ch) == '\n')


typedef struct {
    ngx_str_t    name;
    ngx_str_t    value;
    ngx_uint_t   escaped;       /* unsigned  escaped:1; */
} ngx_comms_param_t;


typedef struct {
    u_char      *line;          /* where the delimiter begins, with the line
                                   end before it, which belongs to it */
    u_char      *next;          /* behind it and its line end */
    ngx_uint_t   closing;       /* unsigned  closing:1; */
} ngx_comms_delimiter_t;


static ngx_int_t ngx_comms_multipart_needle(ngx_str_t *type, u_char *buf,
    ngx_str_t *needle);
static ngx_int_t ngx_comms_multipart_delimiter(u_char *p, u_char *start,
    u_char *last, ngx_str_t *needle, ngx_comms_delimiter_t *found);
static ngx_uint_t ngx_comms_multipart_line(u_char *p, u_char *last,
    ngx_comms_delimiter_t *found);
static ngx_int_t ngx_comms_multipart_part(ngx_pool_t *pool, u_char *p,
    u_char *last, ngx_comms_part_t *part);
static ngx_int_t ngx_comms_multipart_header(ngx_pool_t *pool,
    ngx_str_t *line, ngx_comms_part_t *part);
static ngx_int_t ngx_comms_multipart_disposition(ngx_pool_t *pool,
    ngx_str_t *value, ngx_comms_part_t *part);
static ngx_int_t ngx_comms_multipart_name(ngx_pool_t *pool,
    ngx_comms_param_t *param, ngx_str_t *name);
static ngx_int_t ngx_comms_param_first(ngx_str_t *header, ngx_str_t *value);
static ngx_int_t ngx_comms_param_next(ngx_str_t *rest,
    ngx_comms_param_t *param);
static u_char *ngx_comms_param_quoted(u_char *p, u_char *last,
    ngx_comms_param_t *param);


ngx_int_t
ngx_comms_multipart_parse(ngx_pool_t *pool, ngx_str_t *type, ngx_str_t *body,
    ngx_array_t *parts)
{
    u_char                 *p, *last;
    u_char                  buf[sizeof("\r\n--") - 1 + NGX_COMMS_BOUNDARY_MAX];
    ngx_int_t               rc;
    ngx_str_t               needle;
    ngx_comms_part_t       *part;
    ngx_comms_delimiter_t   mark;

    if (ngx_array_init(parts, pool, NGX_COMMS_PARTS, sizeof(ngx_comms_part_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (body->len == 0
        || ngx_comms_multipart_needle(type, buf, &needle) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    p = body->data;
    last = p + body->len;

    if (ngx_comms_multipart_delimiter(p, p, last, &needle, &mark) != NGX_OK) {
        return NGX_DECLINED;
    }

    while (!mark.closing) {

        p = mark.next;

        if (ngx_comms_multipart_delimiter(p, body->data, last, &needle, &mark)
            != NGX_OK
            || parts->nelts == NGX_COMMS_MULTIPART_MAX_PARTS)
        {
            return NGX_DECLINED;
        }

        part = ngx_array_push(parts);
        if (part == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_comms_multipart_part(pool, p, mark.line, part);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


ngx_comms_part_t *
ngx_comms_multipart_field(ngx_array_t *parts, const char *name)
{
    size_t             len;
    ngx_uint_t         i;
    ngx_comms_part_t  *part;

    len = ngx_strlen(name);
    part = parts->elts;

    for (i = 0; i < parts->nelts; i++) {
        if (part[i].name.len == len
            && ngx_memcmp(part[i].name.data, name, len) == 0)
        {
            return &part[i];
        }
    }

    return NULL;
}


/* the bytes to look for: the end of a line, "--" and the boundary */

static ngx_int_t
ngx_comms_multipart_needle(ngx_str_t *type, u_char *buf, ngx_str_t *needle)
{
    u_char             *p;
    ngx_str_t           rest, value;
    ngx_comms_param_t   param;
    static ngx_str_t    form_data = ngx_string("multipart/form-data");
    static ngx_str_t    boundary = ngx_string("boundary");

    rest = *type;

    if (ngx_comms_param_first(&rest, &value) != NGX_OK
        || !ngx_comms_same_word(&value, &form_data))
    {
        return NGX_DECLINED;
    }

    while (ngx_comms_param_next(&rest, &param) == NGX_OK) {

        if (!ngx_comms_same_word(&param.name, &boundary)) {
            continue;
        }

        /* no character that a boundary may have needs an escape */

        if (param.escaped || param.value.len == 0
            || param.value.len > NGX_COMMS_BOUNDARY_MAX
            || ngx_strlchr(param.value.data,
                           param.value.data + param.value.len, '\n') != NULL)
        {
            return NGX_DECLINED;
        }

        p = ngx_cpymem(buf, "\r\n--", sizeof("\r\n--") - 1);
        p = ngx_cpymem(p, param.value.data, param.value.len);

        needle->data = buf;
        needle->len = p - buf;

        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* the next delimiter at or behind p */

static ngx_int_t
ngx_comms_multipart_delimiter(u_char *p, u_char *start, u_char *last,
    ngx_str_t *needle, ngx_comms_delimiter_t *found)
{
    size_t   crlf;
    u_char  *line;

    crlf = sizeof("\r\n") - 1;

    /* the begin of the body is the begin of a line */

    if (p == start && (size_t) (last - p) >= needle->len - crlf
        && ngx_memcmp(p, needle->data + crlf, needle->len - crlf) == 0
        && ngx_comms_multipart_line(p + needle->len - crlf, last, found))
    {
        found->line = p;
        return NGX_OK;
    }

    /* the line end of one delimiter may begin the next: an empty part */

    if (p > start) {
        p -= crlf;
    }

    for ( ;; ) {

        line = memmem(p, last - p, needle->data, needle->len);

        if (line == NULL) {
            return NGX_DECLINED;
        }

        if (ngx_comms_multipart_line(line + needle->len, last, found)) {
            found->line = line;
            return NGX_OK;
        }

        p = line + crlf;
    }
}


/* 1 when what is behind the boundary makes the line a delimiter */

static ngx_uint_t
ngx_comms_multipart_line(u_char *p, u_char *last,
    ngx_comms_delimiter_t *found)
{
    found->closing = 0;

    if (last - p >= 2 && p[0] == '-' && p[1] == '-') {
        found->closing = 1;
        p += 2;
    }

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    if (last - p >= 2 && p[0] == '\r' && p[1] == '\n') {
        found->next = p + 2;
        return 1;
    }

    found->next = p;

    return found->closing && p == last;
}


/* headers, an empty line and the data */

static ngx_int_t
ngx_comms_multipart_part(ngx_pool_t *pool, u_char *p, u_char *last,
    ngx_comms_part_t *part)
{
    u_char     *end, *limit;
    ngx_int_t   rc;
    ngx_str_t   line;

    ngx_memzero(part, sizeof(ngx_comms_part_t));

    limit = p + ngx_min(ngx_max(last - p, 0), NGX_COMMS_MULTIPART_MAX_HEADERS);

    while (p < limit) {

        /* a line that begins with a blank goes on with the one before */

        end = p;

        do {
            end = memmem(end, limit - end, "\r\n", 2);

            if (end == NULL) {
                return NGX_DECLINED;
            }

            end += 2;

        } while (end - p > 2 && end < limit && (*end == ' ' || *end == '\t'));

        if (end - p == 2) {
            part->data.data = end;
            part->data.len = last - end;

            return (part->name.len != 0) ? NGX_OK : NGX_DECLINED;
        }

        line.data = p;
        line.len = end - p - 2;

        rc = ngx_comms_multipart_header(pool, &line, part);

        if (rc != NGX_OK) {
            return rc;
        }

        p = end;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_comms_multipart_header(ngx_pool_t *pool, ngx_str_t *line,
    ngx_comms_part_t *part)
{
    u_char            *colon;
    ngx_str_t          name, value;
    static ngx_str_t   disposition = ngx_string("Content-Disposition");
    static ngx_str_t   type = ngx_string("Content-Type");

    colon = ngx_strlchr(line->data, line->data + line->len, ':');
    if (colon == NULL) {
        return NGX_DECLINED;
    }

    name.data = line->data;
    name.len = colon - line->data;

    value.data = colon + 1;
    value.len = line->data + line->len - value.data;

    if (ngx_comms_same_word(&name, &disposition)) {
        return ngx_comms_multipart_disposition(pool, &value, part);
    }

    if (ngx_comms_same_word(&name, &type)) {
        part->content_type = ngx_comms_trim(value);
    }

    return NGX_OK;
}


/* two dispositions, or two names, would be read differently elsewhere */

static ngx_int_t
ngx_comms_multipart_disposition(ngx_pool_t *pool, ngx_str_t *value,
    ngx_comms_part_t *part)
{
    ngx_int_t           rc;
    ngx_str_t           rest, kind, *target;
    ngx_comms_param_t   param;
    static ngx_str_t    form_data = ngx_string("form-data");
    static ngx_str_t    name = ngx_string("name");
    static ngx_str_t    filename = ngx_string("filename");

    rest = *value;

    if (part->name.len != 0
        || ngx_comms_param_first(&rest, &kind) != NGX_OK
        || !ngx_comms_same_word(&kind, &form_data))
    {
        return NGX_DECLINED;
    }

    for ( ;; ) {

        rc = ngx_comms_param_next(&rest, &param);

        if (rc == NGX_DONE) {
            return (part->name.len != 0) ? NGX_OK : NGX_DECLINED;
        }

        if (rc != NGX_OK) {
            return NGX_DECLINED;
        }

        if (ngx_comms_same_word(&param.name, &name)) {
            target = &part->name;

        } else if (ngx_comms_same_word(&param.name, &filename)) {
            target = &part->filename;

        } else {
            continue;
        }

        if (target->len != 0) {
            return NGX_DECLINED;
        }

        rc = ngx_comms_multipart_name(pool, &param, target);

        if (rc != NGX_OK) {
            return rc;
        }
    }
}


/*
 * Only a quote and a backslash are escaped by a backslash: some software puts
 * whole paths of Windows here.
 */

static ngx_int_t
ngx_comms_multipart_name(ngx_pool_t *pool, ngx_comms_param_t *param,
    ngx_str_t *name)
{
    u_char  *p, *out, *last;

    *name = param->value;

    if (!param->escaped) {
        return NGX_OK;
    }

    out = ngx_pnalloc(pool, param->value.len);
    if (out == NULL) {
        return NGX_ERROR;
    }

    name->data = out;

    p = param->value.data;
    last = p + param->value.len;

    while (p < last) {

        if (*p == '\\' && last - p > 1 && (p[1] == '"' || p[1] == '\\')) {
            p++;
        }

        *out++ = *p++;
    }

    name->len = out - name->data;

    return NGX_OK;
}


/* takes what is before the first ";" from the header */

static ngx_int_t
ngx_comms_param_first(ngx_str_t *header, ngx_str_t *value)
{
    u_char  *p, *last;

    last = header->data + header->len;

    p = ngx_strlchr(header->data, last, ';');
    if (p == NULL) {
        p = last;
    }

    value->data = header->data;
    value->len = p - header->data;
    *value = ngx_comms_trim(*value);

    header->data = p;
    header->len = last - p;

    return (value->len != 0) ? NGX_OK : NGX_DECLINED;
}


/*
 * Takes "; name=value" from the rest.  NGX_DONE when there is nothing more,
 * NGX_DECLINED when it is malformed.
 */

static ngx_int_t
ngx_comms_param_next(ngx_str_t *rest, ngx_comms_param_t *param)
{
    u_char  *p, *last, *equal;

    p = rest->data;
    last = p + rest->len;

    while (p < last && (*p == ';' || ngx_comms_blank(*p))) {
        p++;
    }

    if (p == last) {
        return NGX_DONE;
    }

    equal = ngx_strlchr(p, last, '=');
    if (equal == NULL) {
        return NGX_DECLINED;
    }

    param->name.data = p;
    param->name.len = equal - p;
    param->name = ngx_comms_trim(param->name);
    param->escaped = 0;

    for (p = equal + 1; p < last && ngx_comms_blank(*p); p++) { /* void */ }

    if (p < last && *p == '"') {
        p = ngx_comms_param_quoted(p + 1, last, param);

        if (p == NULL) {
            return NGX_DECLINED;
        }

    } else {
        param->value.data = p;

        while (p < last && *p != ';' && !ngx_comms_blank(*p)) {
            p++;
        }

        param->value.len = p - param->value.data;
    }

    /* nothing but blanks before the next one */

    while (p < last && ngx_comms_blank(*p)) {
        p++;
    }

    if (p < last && *p != ';') {
        return NGX_DECLINED;
    }

    rest->data = p;
    rest->len = last - p;

    return NGX_OK;
}


/* the place behind the closing quote, or NULL without one */

static u_char *
ngx_comms_param_quoted(u_char *p, u_char *last, ngx_comms_param_t *param)
{
    param->value.data = p;

    while (p < last && *p != '"') {

        if (*p == '\\' && last - p > 1 && (p[1] == '"' || p[1] == '\\')) {
            param->escaped = 1;
            p++;
        }

        p++;
    }

    if (p == last) {
        return NULL;
    }

    param->value.len = p - param->value.data;

    return p + 1;
}
