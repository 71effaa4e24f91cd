
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a document from outside can cost is bounded before jansson sees it:
 * jansson recurses to 2048 levels, so one scan over the bytes looks at the
 * nesting first.  Everything else about the grammar is jansson's.
 *
 * Errors are told in words of our own.  jansson's quote the text near the
 * mistake, which may be a phone number or a message, and both would reach a
 * log.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "base/ngx_comms_json.h"
#include "base/ngx_comms_text.h"


#define NGX_COMMS_JSON_DUMP_BUF  4096


static ngx_uint_t ngx_comms_json_shallow(ngx_str_t *text, size_t *offset);
static void ngx_comms_json_fail(ngx_comms_json_error_t *err, ngx_str_t *text,
    size_t offset, const char *what);
static const char *ngx_comms_json_words(enum json_error_code code);
static ngx_int_t ngx_comms_json_write(ngx_pool_t *pool, json_t *value,
    size_t flags, ngx_str_t *text);


json_t *
ngx_comms_json_parse(ngx_str_t *text, ngx_comms_json_error_t *err)
{
    size_t                 offset;
    json_t                *value;
    json_error_t           error;
    enum json_error_code   code;

    if (text->len == 0) {
        ngx_comms_json_fail(err, text, 0, "empty document");
        return NULL;
    }

    if (!ngx_comms_json_shallow(text, &offset)) {
        ngx_comms_json_fail(err, text, offset, "nested too deeply");
        return NULL;
    }

    value = json_loadb((char *) text->data, text->len,
                       JSON_REJECT_DUPLICATES|JSON_DECODE_ANY, &error);

    if (value == NULL) {

        /* jansson's position is behind what it took: never a broken byte */

        code = json_error_code(&error);
        offset = ngx_max(error.position, 0);

        if (offset > 0 && code != json_error_invalid_utf8) {
            offset--;
        }

        ngx_comms_json_fail(err, text, offset, ngx_comms_json_words(code));

        return NULL;
    }

    return value;
}


ngx_int_t
ngx_comms_json_str(json_t *object, const char *key, ngx_str_t *value)
{
    json_t  *member;

    ngx_str_null(value);

    member = json_object_get(object, key);

    if (member == NULL || json_is_null(member)) {
        return NGX_DECLINED;
    }

    if (!json_is_string(member)) {
        return NGX_ERROR;
    }

    *value = ngx_comms_json_view(member);

    return NGX_OK;
}


ngx_int_t
ngx_comms_json_int(json_t *object, const char *key, int64_t *value)
{
    json_t  *member;

    member = json_object_get(object, key);

    if (member == NULL || json_is_null(member)) {
        return NGX_DECLINED;
    }

    if (!json_is_integer(member)) {
        return NGX_ERROR;
    }

    *value = (int64_t) json_integer_value(member);

    return NGX_OK;
}


ngx_str_t
ngx_comms_json_view(json_t *value)
{
    ngx_str_t  view;

    ngx_str_null(&view);

    if (json_is_string(value)) {
        view.data = (u_char *) json_string_value(value);
        view.len = json_string_length(value);
    }

    return view;
}


/*
 * NUL is refused although UTF-8 has it: the text of such a document could
 * not be read again by ngx_comms_json_parse().
 */

json_t *
ngx_comms_json_string(ngx_str_t *value)
{
    if (value->len == 0) {
        return json_string("");
    }

    if (!ngx_comms_utf8_valid(value)) {
        return NULL;
    }

    return json_stringn_nocheck((char *) value->data, value->len);
}


ngx_int_t
ngx_comms_json_set_str(json_t *object, const char *key, ngx_str_t *value)
{
    json_t  *member;

    member = ngx_comms_json_string(value);
    if (member == NULL) {
        return NGX_ERROR;
    }

    /* takes the reference over, also when it fails */

    return (json_object_set_new(object, key, member) == 0) ? NGX_OK
                                                           : NGX_ERROR;
}


ngx_int_t
ngx_comms_json_dump(ngx_pool_t *pool, json_t *value, ngx_str_t *text)
{
    return ngx_comms_json_write(pool, value, JSON_COMPACT|JSON_ENCODE_ANY,
                                text);
}


ngx_int_t
ngx_comms_json_dump_canonical(ngx_pool_t *pool, json_t *value,
    ngx_str_t *text)
{
    return ngx_comms_json_write(pool, value,
                                JSON_COMPACT|JSON_ENCODE_ANY|JSON_SORT_KEYS,
                                text);
}


/*
 * 1 when no bracket is nested too deeply; else *offset is where it is.  The
 * scan knows strings and nothing else: in a document that is broken anyway it
 * may miscount, and then jansson says what is wrong.
 */

static ngx_uint_t
ngx_comms_json_shallow(ngx_str_t *text, size_t *offset)
{
    u_char      ch;
    size_t      i;
    ngx_uint_t  depth, quoted;

    depth = 0;
    quoted = 0;

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if (quoted) {
            if (ch == '\\') {
                i++;

            } else if (ch == '"') {
                quoted = 0;
            }

            continue;
        }

        switch (ch) {

        case '"':
            quoted = 1;
            break;

        case '[':
        case '{':
            if (++depth > NGX_COMMS_JSON_MAX_DEPTH) {
                *offset = i;
                return 0;
            }

            break;

        case ']':
        case '}':
            if (depth > 0) {
                depth--;
            }

            break;
        }
    }

    return 1;
}


static void
ngx_comms_json_fail(ngx_comms_json_error_t *err, ngx_str_t *text,
    size_t offset, const char *what)
{
    size_t  i, start;

    err->line = 1;
    start = 0;
    offset = ngx_min(offset, text->len);

    for (i = 0; i < offset; i++) {
        if (text->data[i] == '\n') {
            err->line++;
            start = i + 1;
        }
    }

    err->column = offset - start + 1;

    (void) ngx_cpystrn(err->text, (u_char *) what, sizeof(err->text));
}


static const char *
ngx_comms_json_words(enum json_error_code code)
{
    switch (code) {

    case json_error_out_of_memory:
        return "out of memory";

    case json_error_stack_overflow:
        return "nested too deeply";

    case json_error_invalid_utf8:
        return "invalid UTF-8";

    case json_error_premature_end_of_input:
        return "unexpected end of document";

    case json_error_end_of_input_expected:
        return "text behind the end of the document";

    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "NUL character";

    case json_error_duplicate_key:
        return "duplicate key";

    case json_error_numeric_overflow:
        return "number out of range";

    default:
        return "invalid syntax";
    }
}


static ngx_int_t
ngx_comms_json_write(ngx_pool_t *pool, json_t *value, size_t flags,
    ngx_str_t *text)
{
    char     buf[NGX_COMMS_JSON_DUMP_BUF];
    size_t   len;
    u_char  *p;

    /* json_dumpb() returns the length needed, whatever the buffer holds */

    len = json_dumpb(value, buf, sizeof(buf), flags);
    if (len == 0) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (len <= sizeof(buf)) {
        ngx_memcpy(p, buf, len);

    } else if (json_dumpb(value, (char *) p, len, flags) != len) {
        return NGX_ERROR;
    }

    p[len] = '\0';

    text->data = p;
    text->len = len;

    return NGX_OK;
}
