
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The text is known to be valid JSON, but it is scanned as if it were not:
 * each step checks the end, and what does not fit ends the search.
 */


#include <project/ngx_comms_json_lines.h>
#include <jansson.h>


typedef struct {
    u_char   *p;
    u_char   *last;
    u_char   *mark;      /* its line is the answer */
} ngx_comms_json_scan_t;


static ngx_int_t ngx_comms_json_seek(ngx_comms_json_scan_t *s,
    ngx_comms_json_path_t *path);
static ngx_int_t ngx_comms_json_seek_member(ngx_comms_json_scan_t *s,
    const char *key);
static ngx_int_t ngx_comms_json_seek_element(ngx_comms_json_scan_t *s,
    ngx_uint_t index);
static ngx_uint_t ngx_comms_json_same_key(ngx_str_t *token, const char *key);
static void ngx_comms_json_skip_space(ngx_comms_json_scan_t *s);
static ngx_uint_t ngx_comms_json_skip(ngx_comms_json_scan_t *s, u_char ch);
static void ngx_comms_json_skip_string(ngx_comms_json_scan_t *s);
static void ngx_comms_json_skip_value(ngx_comms_json_scan_t *s);


ngx_uint_t
ngx_comms_json_line(ngx_str_t *text, ngx_comms_json_path_t *path)
{
    u_char                 *p;
    ngx_uint_t              line;
    ngx_comms_json_scan_t   s;

    s.p = text->data;
    s.last = text->data + text->len;
    s.mark = text->data;

    (void) ngx_comms_json_seek(&s, path);

    line = 1;

    for (p = text->data; p < s.mark; p++) {
        if (*p == LF) {
            line++;
        }
    }

    return line;
}


u_char *
ngx_comms_json_path_text(u_char *p, u_char *last,
    ngx_comms_json_path_t *path)
{
    if (path->parent == NULL) {
        return p;
    }

    p = ngx_comms_json_path_text(p, last, path->parent);

    if (path->key == NULL) {
        return ngx_slprintf(p, last, "[%ui]", path->index);
    }

    return ngx_slprintf(p, last, "%s%s",
                        path->parent->parent == NULL ? "" : ".", path->key);
}


static ngx_int_t
ngx_comms_json_seek(ngx_comms_json_scan_t *s, ngx_comms_json_path_t *path)
{
    ngx_int_t  rc;

    if (path->parent == NULL) {
        ngx_comms_json_skip_space(s);
        s->mark = s->p;
        return NGX_OK;
    }

    rc = ngx_comms_json_seek(s, path->parent);

    if (rc != NGX_OK) {
        return rc;
    }

    if (path->key == NULL) {
        return ngx_comms_json_seek_element(s, path->index);
    }

    return ngx_comms_json_seek_member(s, path->key);
}


static ngx_int_t
ngx_comms_json_seek_member(ngx_comms_json_scan_t *s, const char *key)
{
    ngx_str_t  token;

    if (!ngx_comms_json_skip(s, '{')) {
        return NGX_DECLINED;
    }

    for ( ;; ) {
        ngx_comms_json_skip_space(s);

        if (s->p == s->last || *s->p != '"') {
            return NGX_DECLINED;
        }

        token.data = s->p;
        ngx_comms_json_skip_string(s);
        token.len = s->p - token.data;

        if (!ngx_comms_json_skip(s, ':')) {
            return NGX_DECLINED;
        }

        ngx_comms_json_skip_space(s);

        if (ngx_comms_json_same_key(&token, key)) {
            s->mark = token.data;
            return NGX_OK;
        }

        ngx_comms_json_skip_value(s);

        if (!ngx_comms_json_skip(s, ',')) {
            return NGX_DECLINED;
        }
    }
}


static ngx_int_t
ngx_comms_json_seek_element(ngx_comms_json_scan_t *s, ngx_uint_t index)
{
    if (!ngx_comms_json_skip(s, '[')) {
        return NGX_DECLINED;
    }

    for ( /* void */ ; index != 0; index--) {
        ngx_comms_json_skip_space(s);
        ngx_comms_json_skip_value(s);

        if (!ngx_comms_json_skip(s, ',')) {
            return NGX_DECLINED;
        }
    }

    ngx_comms_json_skip_space(s);
    s->mark = s->p;

    return NGX_OK;
}


/* a name with escapes is left to jansson */

static ngx_uint_t
ngx_comms_json_same_key(ngx_str_t *token, const char *key)
{
    size_t       len;
    json_t      *name;
    ngx_uint_t   same;

    if (token->len < 2) {
        return 0;
    }

    if (ngx_strlchr(token->data, token->data + token->len, '\\') == NULL) {
        len = ngx_strlen(key);

        return token->len == len + 2
               && ngx_memcmp(token->data + 1, key, len) == 0;
    }

    name = json_loadb((char *) token->data, token->len, JSON_DECODE_ANY,
                      NULL);

    same = json_is_string(name)
           && ngx_strcmp(json_string_value(name), key) == 0;

    json_decref(name);

    return same;
}


static void
ngx_comms_json_skip_space(ngx_comms_json_scan_t *s)
{
    while (s->p < s->last
           && (*s->p == ' ' || *s->p == '\t' || *s->p == CR || *s->p == LF))
    {
        s->p++;
    }
}


/* 1 when the character was there, behind any white space */

static ngx_uint_t
ngx_comms_json_skip(ngx_comms_json_scan_t *s, u_char ch)
{
    ngx_comms_json_skip_space(s);

    if (s->p == s->last || *s->p != ch) {
        return 0;
    }

    s->p++;

    return 1;
}


static void
ngx_comms_json_skip_string(ngx_comms_json_scan_t *s)
{
    s->p++;

    while (s->p < s->last && *s->p != '"') {

        if (*s->p == '\\' && s->last - s->p > 1) {
            s->p++;
        }

        s->p++;
    }

    if (s->p < s->last) {
        s->p++;
    }
}


static void
ngx_comms_json_skip_value(ngx_comms_json_scan_t *s)
{
    ngx_uint_t  depth;

    depth = 0;

    while (s->p < s->last) {

        switch (*s->p) {

        case '"':
            ngx_comms_json_skip_string(s);
            break;

        case '{':
        case '[':
            depth++;
            s->p++;
            break;

        case '}':
        case ']':
            if (depth == 0) {
                return;
            }

            depth--;
            s->p++;
            break;

        case ',':
            if (depth == 0) {
                return;
            }

            s->p++;
            break;

        default:
            s->p++;
        }
    }
}
