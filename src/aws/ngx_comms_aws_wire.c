
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * JSON 1.0 (SQS, DynamoDB), JSON 1.1 (Secrets Manager), and the query
 * protocol (SNS, STS): a form in, XML out.
 *
 * Invariant: a code has nothing but letters, digits, ".", "_" and "-" in it,
 * because it is logged.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <aws/ngx_comms_aws_wire.h>
#include <aws/ngx_comms_aws_xml.h>


#define NGX_COMMS_AWS_MAX_CODE     80
#define NGX_COMMS_AWS_MAX_MESSAGE  1024
#define NGX_COMMS_AWS_INTEGER      sizeof("-9223372036854775808")


static ngx_int_t ngx_comms_aws_wire_form(ngx_pool_t *pool, json_t *in,
    ngx_str_t *form);
static ngx_int_t ngx_comms_aws_wire_value(ngx_pool_t *pool, json_t *value,
    ngx_str_t *text);
static ngx_int_t ngx_comms_aws_wire_crc32(ngx_comms_answer_t *an);
static ngx_int_t ngx_comms_aws_wire_leaves(ngx_pool_t *pool, ngx_str_t *body,
    json_t *object);
static ngx_int_t ngx_comms_aws_wire_leaf(ngx_pool_t *pool, json_t *object,
    ngx_str_t *name, ngx_str_t *text);
static void ngx_comms_aws_wire_json_error(ngx_pool_t *pool,
    ngx_comms_answer_t *an, ngx_comms_aws_error_t *error);
static void ngx_comms_aws_wire_query_error(ngx_pool_t *pool,
    ngx_comms_answer_t *an, ngx_comms_aws_error_t *error);
static ngx_str_t ngx_comms_aws_wire_code(ngx_str_t *text);
static void ngx_comms_aws_wire_copy(ngx_pool_t *pool, ngx_str_t *text,
    size_t max);


static ngx_comms_aws_protocol_t  ngx_comms_aws_protocols[] = {
    { ngx_string("sns"), ngx_null_string,
      ngx_string("application/x-www-form-urlencoded; charset=utf-8"),
      ngx_string("2010-03-31"), 3, 50, 0 },
    { ngx_string("sqs"), ngx_string("AmazonSQS."),
      ngx_string("application/x-amz-json-1.0"), ngx_null_string, 3, 50, 0 },
    { ngx_string("dynamodb"), ngx_string("DynamoDB_20120810."),
      ngx_string("application/x-amz-json-1.0"), ngx_null_string, 4, 25, 1 },
    { ngx_string("secretsmanager"), ngx_string("secretsmanager."),
      ngx_string("application/x-amz-json-1.1"), ngx_null_string, 3, 50, 0 },
    { ngx_string("sts"), ngx_null_string,
      ngx_string("application/x-www-form-urlencoded; charset=utf-8"),
      ngx_string("2011-06-15"), 3, 50, 0 }
};


ngx_comms_aws_protocol_t *
ngx_comms_aws_protocol(ngx_comms_aws_service_e service)
{
    return &ngx_comms_aws_protocols[service];
}


ngx_int_t
ngx_comms_aws_wire_body(ngx_pool_t *pool, ngx_comms_aws_protocol_t *proto,
    const char *operation, json_t *in, ngx_str_t *body)
{
    u_char     *p;
    ngx_str_t   form;
    ngx_int_t   rc;

    if (!json_is_object(in)) {
        return NGX_DECLINED;
    }

    if (proto->target.len) {
        return ngx_comms_json_dump(pool, in, body);
    }

    rc = ngx_comms_aws_wire_form(pool, in, &form);
    if (rc != NGX_OK) {
        return rc;
    }

    p = ngx_pnalloc(pool, sizeof("Action=&Version=") - 1
                          + ngx_strlen(operation) + proto->version.len
                          + form.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;
    p = ngx_sprintf(p, "Action=%s&Version=%V", operation, &proto->version);
    p = ngx_cpymem(p, form.data, form.len);
    body->len = p - body->data;

    return NGX_OK;
}


/* "&name=value" of each member; everything is measured before it is made */

static ngx_int_t
ngx_comms_aws_wire_form(ngx_pool_t *pool, json_t *in, ngx_str_t *form)
{
    u_char         *p;
    json_t         *value;
    ngx_str_t      *member;
    ngx_int_t       rc;
    ngx_uint_t      i;
    const char     *key;
    ngx_array_t     members;

    if (ngx_array_init(&members, pool, 16, 2 * sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    form->len = 0;

    json_object_foreach(in, key, value) {
        member = ngx_array_push(&members);
        if (member == NULL) {
            return NGX_ERROR;
        }

        member[0].data = (u_char *) key;
        member[0].len = ngx_strlen(key);

        rc = ngx_comms_aws_wire_value(pool, value, &member[1]);
        if (rc != NGX_OK) {
            return rc;
        }

        for (i = 0; i < 2; i++) {
            form->len += 1 + member[i].len
                         + 2 * ngx_escape_uri(NULL, member[i].data,
                                              member[i].len,
                                              NGX_ESCAPE_URI_COMPONENT);
        }
    }

    p = ngx_pnalloc(pool, form->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    form->data = p;
    member = members.elts;

    for (i = 0; i < 2 * members.nelts; i++) {
        *p++ = (i % 2) ? '=' : '&';
        p = (u_char *) ngx_escape_uri(p, member[i].data, member[i].len,
                                      NGX_ESCAPE_URI_COMPONENT);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_aws_wire_value(ngx_pool_t *pool, json_t *value, ngx_str_t *text)
{
    u_char  *p;

    if (json_is_string(value)) {
        *text = ngx_comms_json_view(value);
        return NGX_OK;
    }

    if (json_is_boolean(value)) {
        if (json_is_true(value)) {
            ngx_str_set(text, "true");

        } else {
            ngx_str_set(text, "false");
        }

        return NGX_OK;
    }

    if (!json_is_integer(value)) {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(pool, NGX_COMMS_AWS_INTEGER);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;
    text->len = ngx_sprintf(p, "%L", (int64_t) json_integer_value(value)) - p;

    return NGX_OK;
}


ngx_int_t
ngx_comms_aws_wire_answer(ngx_pool_t *pool, ngx_comms_aws_protocol_t *proto,
    ngx_comms_answer_t *an, json_t **out)
{
    json_t                  *object;
    ngx_int_t                rc;
    ngx_comms_json_error_t   err;

    if (proto->crc32 && ngx_comms_aws_wire_crc32(an) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (proto->target.len && an->body.len != 0) {
        object = ngx_comms_json_parse(&an->body, &err);

        if (!json_is_object(object)) {
            json_decref(object);
            return NGX_DECLINED;
        }

        *out = object;
        return NGX_OK;
    }

    object = json_object();
    if (object == NULL) {
        return NGX_ERROR;
    }

    if (proto->target.len == 0) {
        rc = ngx_comms_aws_wire_leaves(pool, &an->body, object);

        if (rc != NGX_OK) {
            json_decref(object);
            return rc;
        }
    }

    *out = object;

    return NGX_OK;
}


/* a service that leaves the header out is believed */

static ngx_int_t
ngx_comms_aws_wire_crc32(ngx_comms_answer_t *an)
{
    off_t       n;
    ngx_str_t  *value;

    value = ngx_comms_answer_header(an, "x-amz-crc32");

    if (value == NULL) {
        return NGX_OK;
    }

    n = ngx_atoof(value->data, value->len);

    return (n >= 0 && (uint32_t) n == ngx_crc32_long(an->body.data,
                                                     an->body.len))
           ? NGX_OK : NGX_DECLINED;
}


/* what is outside of <...Result> is about the request, and no result */

static ngx_int_t
ngx_comms_aws_wire_leaves(ngx_pool_t *pool, ngx_str_t *body, json_t *object)
{
    ngx_int_t            rc;
    ngx_str_t            name, text;
    ngx_comms_aws_xml_t  xml;

    ngx_comms_aws_xml_init(&xml, body);

    for ( ;; ) {
        rc = ngx_comms_aws_xml_next(&xml, pool, &name, &text);

        if (rc == NGX_DONE) {
            return NGX_OK;
        }

        if (rc != NGX_OK) {
            return NGX_DECLINED;
        }

        if (xml.depth < 2
            || xml.parents[1].len < sizeof("Result") - 1
            || ngx_memcmp(xml.parents[1].data + xml.parents[1].len
                          - (sizeof("Result") - 1), "Result",
                          sizeof("Result") - 1)
               != 0)
        {
            continue;
        }

        rc = ngx_comms_aws_wire_leaf(pool, object, &name, &text);
        if (rc != NGX_OK) {
            return rc;
        }
    }
}


static ngx_int_t
ngx_comms_aws_wire_leaf(ngx_pool_t *pool, json_t *object, ngx_str_t *name,
    ngx_str_t *text)
{
    char    *key;
    json_t  *value, *old, *list;

    key = ngx_pnalloc(pool, name->len + 1);
    if (key == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn((u_char *) key, name->data, name->len + 1);

    value = ngx_comms_json_string(text);
    if (value == NULL) {
        return NGX_DECLINED;
    }

    old = json_object_get(object, key);

    if (json_is_array(old)) {
        return json_array_append_new(old, value) == 0 ? NGX_OK : NGX_ERROR;
    }

    if (old == NULL) {
        return json_object_set_new(object, key, value) == 0 ? NGX_OK
                                                            : NGX_ERROR;
    }

    list = json_array();

    if (list == NULL || json_array_append(list, old) != 0) {
        json_decref(list);
        json_decref(value);
        return NGX_ERROR;
    }

    if (json_array_append_new(list, value) != 0) {
        json_decref(list);
        return NGX_ERROR;
    }

    return json_object_set_new(object, key, list) == 0 ? NGX_OK : NGX_ERROR;
}


void
ngx_comms_aws_wire_error(ngx_pool_t *pool, ngx_comms_aws_protocol_t *proto,
    ngx_comms_answer_t *an, ngx_comms_aws_error_t *error)
{
    ngx_memzero(error, sizeof(ngx_comms_aws_error_t));

    if (proto->target.len) {
        ngx_comms_aws_wire_json_error(pool, an, error);

    } else {
        ngx_comms_aws_wire_query_error(pool, an, error);
    }

    if (error->code.len == 0) {
        ngx_str_set(&error->code, "UnknownError");
    }
}


static void
ngx_comms_aws_wire_json_error(ngx_pool_t *pool, ngx_comms_answer_t *an,
    ngx_comms_aws_error_t *error)
{
    json_t                  *body, *item;
    ngx_str_t                text, *header;
    ngx_comms_json_error_t   err;

    body = ngx_comms_json_parse(&an->body, &err);

    if (!json_is_object(body)) {
        json_decref(body);
        body = NULL;
    }

    header = ngx_comms_answer_header(an, "x-amzn-errortype");

    if (ngx_comms_json_str(body, "__type", &text) == NGX_OK
        || ngx_comms_json_str(body, "code", &text) == NGX_OK)
    {
        error->code = ngx_comms_aws_wire_code(&text);

    } else if (header != NULL) {
        error->code = ngx_comms_aws_wire_code(header);
    }

    ngx_comms_aws_wire_copy(pool, &error->code, NGX_COMMS_AWS_MAX_CODE);

    /* services and their stand-ins do not agree on the letter case */

    if (ngx_comms_json_str(body, "message", &text) == NGX_OK
        || ngx_comms_json_str(body, "Message", &text) == NGX_OK)
    {
        error->message = text;
        ngx_comms_aws_wire_copy(pool, &error->message,
                                NGX_COMMS_AWS_MAX_MESSAGE);
    }

    item = json_object_get(body, "Item");

    if (json_is_object(item)) {
        error->item = json_incref(item);
    }

    json_decref(body);
}


static void
ngx_comms_aws_wire_query_error(ngx_pool_t *pool, ngx_comms_answer_t *an,
    ngx_comms_aws_error_t *error)
{
    ngx_str_t            name, text;
    ngx_comms_aws_xml_t  xml;

    ngx_comms_aws_xml_init(&xml, &an->body);

    while (ngx_comms_aws_xml_next(&xml, pool, &name, &text) == NGX_OK) {

        if (name.len == 4 && ngx_memcmp(name.data, "Code", 4) == 0) {
            error->code = ngx_comms_aws_wire_code(&text);

        } else if (name.len == 7 && ngx_memcmp(name.data, "Message", 7) == 0) {
            error->message = text;
            ngx_comms_aws_wire_copy(pool, &error->message,
                                    NGX_COMMS_AWS_MAX_MESSAGE);
        }
    }
}


/*
 * "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException" and
 * "ThrottlingException:http://...": the name between "#" and ":".
 */

static ngx_str_t
ngx_comms_aws_wire_code(ngx_str_t *text)
{
    u_char     *p, *last;
    ngx_str_t   code;

    last = text->data + text->len;
    code.data = text->data;

    for (p = text->data; p < last; p++) {
        if (*p == '#') {
            code.data = p + 1;
        }
    }

    for (p = code.data; p < last && *p != ':'; p++) {

        if ((*p < 'a' || *p > 'z') && (*p < 'A' || *p > 'Z')
            && (*p < '0' || *p > '9') && *p != '.' && *p != '_' && *p != '-')
        {
            break;
        }
    }

    code.len = ngx_min(p - code.data, NGX_COMMS_AWS_MAX_CODE);

    return code;
}


/* into the pool; empty when there is no memory */

static void
ngx_comms_aws_wire_copy(ngx_pool_t *pool, ngx_str_t *text, size_t max)
{
    ngx_str_t  shorter;

    shorter = *text;

    /* not within a character */

    if (shorter.len > max) {
        shorter.len = max;

        while (shorter.len && (shorter.data[shorter.len] & 0xc0) == 0x80) {
            shorter.len--;
        }
    }

    text->data = ngx_pstrdup(pool, &shorter);
    text->len = (text->data != NULL) ? shorter.len : 0;
}
