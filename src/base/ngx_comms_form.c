
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * application/x-www-form-urlencoded, both ways.  A form that is read costs
 * one copy of its body: names and values are decoded in place in that copy.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "base/ngx_comms_text.h"


#define NGX_COMMS_FORM_FIELDS  16         /* room to begin with */

#define ngx_comms_form_plain(ch)                                              \
    (((ch) >= 'a' && (ch) <= 'z') || ((ch) >= 'A' && (ch) <= 'Z')             \
     || ((ch) >= '0' && (ch) <= '9') || (ch) == '*' || (ch) == '-'            \
     || (ch) == '.' || (ch) == '_')


static size_t ngx_comms_form_length(ngx_str_t *value);
static u_char *ngx_comms_form_write(u_char *p, ngx_str_t *value);
static ngx_int_t ngx_comms_form_pair(u_char *p, u_char *last,
    ngx_keyval_t *field);
static ngx_int_t ngx_comms_form_unescape(ngx_str_t *value);


ngx_int_t
ngx_comms_form_escape(ngx_pool_t *pool, ngx_str_t *value, ngx_str_t *escaped)
{
    escaped->len = ngx_comms_form_length(value);

    escaped->data = ngx_pnalloc(pool, escaped->len + 1);
    if (escaped->data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_comms_form_write(escaped->data, value);

    return NGX_OK;
}


ngx_int_t
ngx_comms_form_add(ngx_pool_t *pool, ngx_str_t *form, const char *name,
    ngx_str_t *value)
{
    size_t      len;
    u_char     *p, *start;
    ngx_str_t   key;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    len = form->len + 1 + ngx_comms_form_length(&key) + 1
          + ngx_comms_form_length(value);

    start = ngx_pnalloc(pool, len);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = start;

    if (form->len != 0) {
        p = ngx_cpymem(p, form->data, form->len);
        *p++ = '&';
    }

    p = ngx_comms_form_write(p, &key);
    *p++ = '=';
    p = ngx_comms_form_write(p, value);

    form->data = start;
    form->len = p - start;

    return NGX_OK;
}


ngx_int_t
ngx_comms_form_parse(ngx_pool_t *pool, ngx_str_t *body, ngx_uint_t max,
    ngx_array_t *fields)
{
    u_char        *p, *end, *last;
    ngx_keyval_t  *field;

    if (ngx_array_init(fields, pool, NGX_COMMS_FORM_FIELDS,
                       sizeof(ngx_keyval_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (body->len == 0) {
        return NGX_OK;
    }

    p = ngx_pstrdup(pool, body);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = p + body->len;

    for ( /* void */ ; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        if (end == p) {
            continue;
        }

        if (fields->nelts == max) {
            return NGX_DECLINED;
        }

        field = ngx_array_push(fields);
        if (field == NULL) {
            return NGX_ERROR;
        }

        if (ngx_comms_form_pair(p, end, field) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


ngx_str_t *
ngx_comms_form_field(ngx_array_t *fields, const char *name)
{
    size_t         len;
    ngx_uint_t     i;
    ngx_keyval_t  *field;

    len = ngx_strlen(name);
    field = fields->elts;

    for (i = 0; i < fields->nelts; i++) {
        if (field[i].key.len == len
            && ngx_memcmp(field[i].key.data, name, len) == 0)
        {
            return &field[i].value;
        }
    }

    return NULL;
}


static size_t
ngx_comms_form_length(ngx_str_t *value)
{
    size_t  i, len;
    u_char  ch;

    len = value->len;

    for (i = 0; i < value->len; i++) {
        ch = value->data[i];

        if (ch != ' ' && !ngx_comms_form_plain(ch)) {
            len += 2;
        }
    }

    return len;
}


static u_char *
ngx_comms_form_write(u_char *p, ngx_str_t *value)
{
    u_char         ch;
    size_t         i;
    static u_char  hex[] = "0123456789ABCDEF";

    for (i = 0; i < value->len; i++) {
        ch = value->data[i];

        if (ch == ' ') {
            *p++ = '+';

        } else if (ngx_comms_form_plain(ch)) {
            *p++ = ch;

        } else {
            *p++ = '%';
            *p++ = hex[ch >> 4];
            *p++ = hex[ch & 0xf];
        }
    }

    return p;
}


static ngx_int_t
ngx_comms_form_pair(u_char *p, u_char *last, ngx_keyval_t *field)
{
    u_char  *equal;

    equal = ngx_strlchr(p, last, '=');

    field->key.data = p;
    field->key.len = (equal != NULL) ? equal - p : last - p;

    field->value.data = (equal != NULL) ? equal + 1 : last;
    field->value.len = last - field->value.data;

    if (ngx_comms_form_unescape(&field->key) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_comms_form_unescape(&field->value);
}


/*
 * Stricter than the URL standard, which keeps a "%" that no two digits
 * follow: no provider sends one, and it would make the signed and the read
 * text differ.
 */

static ngx_int_t
ngx_comms_form_unescape(ngx_str_t *value)
{
    u_char     *p, *out, *last;
    ngx_int_t   ch;

    p = value->data;
    out = value->data;
    last = p + value->len;

    while (p < last) {

        if (*p == '+') {
            *out++ = ' ';
            p++;

        } else if (*p == '%') {

            if (last - p < 3) {
                return NGX_DECLINED;
            }

            ch = ngx_hextoi(p + 1, 2);
            if (ch == NGX_ERROR) {
                return NGX_DECLINED;
            }

            *out++ = (u_char) ch;
            p += 3;

        } else {
            *out++ = *p++;
        }
    }

    value->len = out - value->data;

    return NGX_OK;
}
