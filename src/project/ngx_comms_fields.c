
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <project/ngx_comms_fields.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>


static void ngx_comms_fields_value(ngx_comms_document_t *doc,
    const ngx_comms_field_t *field, json_t *value,
    ngx_comms_json_path_t *at);
static void ngx_comms_fields_unknown(ngx_comms_document_t *doc,
    const ngx_comms_field_t *fields, json_t *object,
    ngx_comms_json_path_t *at);
static void ngx_comms_fields_list(ngx_comms_document_t *doc,
    const ngx_comms_field_t *field, json_t *list, ngx_comms_json_path_t *at);
static void ngx_comms_fields_map(ngx_comms_document_t *doc,
    const ngx_comms_field_t *field, json_t *map, ngx_comms_json_path_t *at);
static ngx_uint_t ngx_comms_fields_string(const ngx_comms_field_t *field,
    json_t *value);
static ngx_uint_t ngx_comms_fields_text(const ngx_comms_field_t *field,
    ngx_str_t *text);
static ngx_uint_t ngx_comms_fields_within(const ngx_comms_field_t *field,
    int64_t n);


void
ngx_comms_fields_check(ngx_comms_document_t *doc,
    const ngx_comms_field_t *fields, json_t *object,
    ngx_comms_json_path_t *at)
{
    json_t                   *value;
    ngx_comms_json_path_t     member;
    const ngx_comms_field_t  *field;

    member.parent = at;

    for (field = fields; field->name != NULL; field++) {

        value = json_object_get(object, field->name);
        member.key = field->name;

        if (value != NULL) {
            ngx_comms_fields_value(doc, field, value, &member);

        } else if (field->required) {
            ngx_comms_document_mistake(doc, &member, NULL, 0, field->must);
        }
    }

    ngx_comms_fields_unknown(doc, fields, object, at);
}


static void
ngx_comms_fields_value(ngx_comms_document_t *doc,
    const ngx_comms_field_t *field, json_t *value, ngx_comms_json_path_t *at)
{
    ngx_uint_t  good;

    switch (field->kind) {

    case NGX_COMMS_FIELD_INTEGER:
        good = json_is_integer(value)
               && ngx_comms_fields_within(field, json_integer_value(value));
        break;

    case NGX_COMMS_FIELD_BOOLEAN:
        good = json_is_boolean(value);
        break;

    case NGX_COMMS_FIELD_OBJECT:
        good = json_is_object(value);

        if (good) {
            ngx_comms_fields_check(doc, field->fields, value, at);
        }

        break;

    case NGX_COMMS_FIELD_LIST:
        good = json_is_array(value)
               && ngx_comms_fields_within(field, json_array_size(value));

        if (good) {
            ngx_comms_fields_list(doc, field, value, at);
        }

        break;

    case NGX_COMMS_FIELD_MAP:
        good = json_is_object(value)
               && ngx_comms_fields_within(field, json_object_size(value));

        if (good) {
            ngx_comms_fields_map(doc, field, value, at);
        }

        break;

    default: /* NGX_COMMS_FIELD_STRING, NGX_COMMS_FIELD_TEXT */
        good = ngx_comms_fields_string(field, value);
    }

    if (!good) {
        ngx_comms_document_mistake(doc, at, value, field->hidden,
                                   field->must);
    }
}


static void
ngx_comms_fields_unknown(ngx_comms_document_t *doc,
    const ngx_comms_field_t *fields, json_t *object,
    ngx_comms_json_path_t *at)
{
    u_char                   *p, *last;
    u_char                    words[1024];
    json_t                   *value;
    const char               *name;
    ngx_comms_json_path_t     member;
    const ngx_comms_field_t  *field;

    member.parent = at;
    last = words + sizeof(words) - 1;

    json_object_foreach(object, name, value) {

        for (field = fields; field->name != NULL; field++) {
            if (ngx_strcmp(field->name, name) == 0) {
                break;
            }
        }

        if (field->name != NULL) {
            continue;
        }

        p = ngx_slprintf(words, last, "is unknown; allowed are");

        for (field = fields; field->name != NULL; field++) {
            p = ngx_slprintf(p, last, "%s \"%s\"",
                             field == fields ? "" : ",", field->name);
        }

        *p = '\0';
        member.key = name;

        ngx_comms_document_wrong(doc, &member, (char *) words);
    }
}


static void
ngx_comms_fields_list(ngx_comms_document_t *doc,
    const ngx_comms_field_t *field, json_t *list, ngx_comms_json_path_t *at)
{
    json_t                 *value;
    ngx_str_t               text;
    ngx_comms_json_path_t   element;

    element.parent = at;
    element.key = NULL;
    element.index = 0;

    json_array_foreach(list, element.index, value) {
        text = ngx_comms_json_view(value);

        if (!json_is_string(value) || !field->valid(&text)) {
            ngx_comms_document_mistake(doc, &element, value, field->hidden,
                                       field->must);
        }
    }
}


static void
ngx_comms_fields_map(ngx_comms_document_t *doc,
    const ngx_comms_field_t *field, json_t *map, ngx_comms_json_path_t *at)
{
    json_t                 *value;
    ngx_str_t               text;
    ngx_comms_json_path_t   member;

    member.parent = at;
    member.key = NULL;

    json_object_foreach(map, member.key, value) {
        text = ngx_comms_json_view(value);

        if (member.key[0] == '\0' || !json_is_string(value)
            || !field->valid(&text))
        {
            ngx_comms_document_mistake(doc, &member, value, field->hidden,
                                       field->must);
        }
    }
}


static ngx_uint_t
ngx_comms_fields_string(const ngx_comms_field_t *field, json_t *value)
{
    ngx_str_t  text;

    if (!json_is_string(value)) {
        return 0;
    }

    text = ngx_comms_json_view(value);

    return ngx_comms_fields_within(field, ngx_comms_utf8_length(&text))
           && ngx_comms_fields_text(field, &text)
           && (field->valid == NULL || field->valid(&text));
}


/* what is said in a message, or sent in a header, has no control characters */

static ngx_uint_t
ngx_comms_fields_text(const ngx_comms_field_t *field, ngx_str_t *text)
{
    size_t  i;
    u_char  ch;

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if (ch >= ' ' && ch != 0x7f) {
            continue;
        }

        if (field->kind == NGX_COMMS_FIELD_TEXT
            && (ch == LF || ch == CR || ch == '\t'))
        {
            continue;
        }

        return 0;
    }

    return 1;
}


static ngx_uint_t
ngx_comms_fields_within(const ngx_comms_field_t *field, int64_t n)
{
    return n >= field->min && n <= field->max;
}
