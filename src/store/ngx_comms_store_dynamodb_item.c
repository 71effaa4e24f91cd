
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Plain JSON and the attribute values of DynamoDB, both ways.
 *
 * An integer comes back as an integer and a real as a real, but for reals
 * without a fraction: the service keeps numbers, not their spelling.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_task.h>


#define NGX_COMMS_DYNAMODB_NUMBER  32


static json_t *ngx_comms_dynamodb_list(json_t *plain);
static json_t *ngx_comms_dynamodb_number(json_t *plain);
static json_t *ngx_comms_dynamodb_plain_value(json_t *value);
static json_t *ngx_comms_dynamodb_plain_list(json_t *list);
static json_t *ngx_comms_dynamodb_plain_number(const char *text);


json_t *
ngx_comms_dynamodb_value(json_t *plain)
{
    switch (json_typeof(plain)) {

    case JSON_OBJECT:
        return json_pack("{s:o}", "M", ngx_comms_dynamodb_item(plain));

    case JSON_ARRAY:
        return json_pack("{s:o}", "L", ngx_comms_dynamodb_list(plain));

    case JSON_STRING:
        return json_pack("{s:O}", "S", plain);

    case JSON_INTEGER:
    case JSON_REAL:
        return json_pack("{s:o}", "N", ngx_comms_dynamodb_number(plain));

    case JSON_NULL:
        return json_pack("{s:b}", "NULL", 1);

    default:
        return json_pack("{s:b}", "BOOL", json_is_true(plain));
    }
}


json_t *
ngx_comms_dynamodb_item(json_t *plain)
{
    json_t      *item, *value;
    const char  *name;

    item = json_object();

    json_object_foreach(plain, name, value) {
        if (json_object_set_new(item, name, ngx_comms_dynamodb_value(value))
            != 0)
        {
            json_decref(item);
            return NULL;
        }
    }

    return item;
}


static json_t *
ngx_comms_dynamodb_list(json_t *plain)
{
    size_t   i;
    json_t  *list, *value;

    list = json_array();

    json_array_foreach(plain, i, value) {
        if (json_array_append_new(list, ngx_comms_dynamodb_value(value))
            != 0)
        {
            json_decref(list);
            return NULL;
        }
    }

    return list;
}


static json_t *
ngx_comms_dynamodb_number(json_t *plain)
{
    char  text[NGX_COMMS_DYNAMODB_NUMBER];

    if (json_is_integer(plain)) {
        (void) snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
                        json_integer_value(plain));

    } else {
        (void) snprintf(text, sizeof(text), "%.17g", json_real_value(plain));
    }

    return json_string(text);
}


json_t *
ngx_comms_dynamodb_plain(json_t *item)
{
    json_t      *plain, *value;
    const char  *name;

    plain = json_object();

    json_object_foreach(item, name, value) {
        if (json_object_set_new(plain, name,
                                ngx_comms_dynamodb_plain_value(value))
            != 0)
        {
            json_decref(plain);
            return NULL;
        }
    }

    return plain;
}


static json_t *
ngx_comms_dynamodb_plain_value(json_t *value)
{
    json_t      *inner;
    const char  *type;

    type = json_object_iter_key(json_object_iter(value));

    if (type == NULL) {
        return NULL;
    }

    inner = json_object_get(value, type);

    switch (type[0]) {

    case 'M':
        return ngx_comms_dynamodb_plain(inner);

    case 'L':
        return ngx_comms_dynamodb_plain_list(inner);

    case 'S':
        return json_incref(inner);

    case 'B':
        return json_incref(inner);

    case 'N':
        if (type[1] == 'U') {
            return json_null();
        }

        return ngx_comms_dynamodb_plain_number(json_string_value(inner));
    }

    return NULL;
}


static json_t *
ngx_comms_dynamodb_plain_list(json_t *list)
{
    size_t   i;
    json_t  *plain, *value;

    plain = json_array();

    json_array_foreach(list, i, value) {
        if (json_array_append_new(plain,
                                  ngx_comms_dynamodb_plain_value(value))
            != 0)
        {
            json_decref(plain);
            return NULL;
        }
    }

    return plain;
}


static json_t *
ngx_comms_dynamodb_plain_number(const char *text)
{
    char       *end;
    long long   n;

    if (text == NULL) {
        return NULL;
    }

    ngx_set_errno(0);
    n = strtoll(text, &end, 10);

    if (*end == '\0' && end != text && ngx_errno == 0) {
        return json_integer(n);
    }

    return json_real(strtod(text, NULL));
}


json_t *
ngx_comms_dynamodb_pack(json_t *doc)
{
    char    *text;
    json_t  *packed;

    text = (doc != NULL) ? json_dumps(doc, JSON_COMPACT|JSON_ENCODE_ANY)
                         : NULL;
    if (text == NULL) {
        return NULL;
    }

    packed = json_string(text);

    free(text);

    return packed;
}


json_t *
ngx_comms_dynamodb_unpack(json_t *text)
{
    return json_loadb(json_string_value(text), json_string_length(text),
                      JSON_DECODE_ANY, NULL);
}


json_t *
ngx_comms_dynamodb_string(ngx_str_t text)
{
    return ngx_comms_json_string(&text);
}


int64_t
ngx_comms_dynamodb_ttl(ngx_comms_dynamodb_t *db)
{
    if (db->conf->retention_days == 0) {
        return 0;
    }

    return ngx_comms_clock_ms() / 1000
           + (int64_t) db->conf->retention_days * 86400;
}
