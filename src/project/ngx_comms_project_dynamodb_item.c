
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <project/ngx_comms_project_aws_cache.h>
#include <project/ngx_comms_project_dynamodb_item.h>
#include <project/ngx_comms_project_files.h>


static json_t *ngx_comms_project_map(json_t *attributes, ngx_uint_t depth);
static json_t *ngx_comms_project_value(json_t *attribute, ngx_uint_t depth);
static json_t *ngx_comms_project_list(json_t *values, ngx_uint_t depth);
static json_t *ngx_comms_project_number(json_t *text);
static ngx_int_t ngx_comms_project_valid(ngx_log_t *log, json_t *document);
static ngx_int_t ngx_comms_project_fill(ngx_pool_t *pool,
    ngx_comms_project_t *project, json_t *document);
static ngx_uint_t ngx_comms_project_limit(json_t *document,
    const char *name);
static ngx_int_t ngx_comms_project_digests(ngx_pool_t *pool,
    ngx_comms_project_t *project, json_t *digests);


json_t *
ngx_comms_project_document(json_t *item)
{
    json_t      *document, *value;
    void        *next;
    const char  *name;

    document = ngx_comms_project_map(item, 0);

    json_object_foreach_safe(document, next, name, value) {
        if (ngx_strncmp(name, "gsi_", sizeof("gsi_") - 1) == 0) {
            (void) json_object_del(document, name);
        }
    }

    return document;
}


static json_t *
ngx_comms_project_map(json_t *attributes, ngx_uint_t depth)
{
    json_t      *document, *attribute;
    const char  *name;

    if (!json_is_object(attributes) || depth > NGX_COMMS_JSON_MAX_DEPTH) {
        return NULL;
    }

    document = json_object();

    json_object_foreach(attributes, name, attribute) {
        if (json_object_set_new(document, name,
                                ngx_comms_project_value(attribute, depth + 1))
            != 0)
        {
            json_decref(document);
            return NULL;
        }
    }

    return document;
}


static json_t *
ngx_comms_project_value(json_t *attribute, ngx_uint_t depth)
{
    void        *iter;
    json_t      *value;
    const char  *type;

    iter = json_object_iter(attribute);

    if (iter == NULL || json_object_size(attribute) != 1) {
        return NULL;
    }

    type = json_object_iter_key(iter);
    value = json_object_iter_value(iter);

    if (ngx_strcmp(type, "S") == 0) {
        return json_is_string(value) ? json_incref(value) : NULL;
    }

    if (ngx_strcmp(type, "N") == 0) {
        return ngx_comms_project_number(value);
    }

    if (ngx_strcmp(type, "BOOL") == 0) {
        return json_is_boolean(value) ? json_incref(value) : NULL;
    }

    if (ngx_strcmp(type, "NULL") == 0) {
        return json_null();
    }

    if (ngx_strcmp(type, "M") == 0) {
        return ngx_comms_project_map(value, depth);
    }

    if (ngx_strcmp(type, "L") == 0) {
        return ngx_comms_project_list(value, depth);
    }

    if (ngx_strcmp(type, "SS") == 0) {
        return json_is_array(value) ? json_incref(value) : NULL;
    }

    return NULL;
}


static json_t *
ngx_comms_project_list(json_t *values, ngx_uint_t depth)
{
    size_t   i;
    json_t  *list, *value;

    if (!json_is_array(values) || depth > NGX_COMMS_JSON_MAX_DEPTH) {
        return NULL;
    }

    list = json_array();

    json_array_foreach(values, i, value) {
        if (json_array_append_new(list,
                                  ngx_comms_project_value(value, depth + 1))
            != 0)
        {
            json_decref(list);
            return NULL;
        }
    }

    return list;
}


/* its grammar is that of JSON, which jansson reads with its bounds */

static json_t *
ngx_comms_project_number(json_t *text)
{
    json_t     *number;
    ngx_str_t   view;

    view = ngx_comms_json_view(text);

    number = json_loadb((char *) view.data, view.len, JSON_DECODE_ANY, NULL);

    if (!json_is_number(number)) {
        json_decref(number);
        return NULL;
    }

    return number;
}


ngx_comms_project_t *
ngx_comms_project_make(json_t *document)
{
    ngx_pool_t           *pool;
    ngx_comms_project_t  *project;

    pool = ngx_cycle->pool;

    if (ngx_comms_project_valid(ngx_cycle->log, document) != NGX_OK) {
        json_decref(document);
        return NULL;
    }

    if (ngx_comms_cache_keep(document) != NGX_OK) {
        return NULL;
    }

    project = ngx_pcalloc(pool, sizeof(ngx_comms_project_t));
    if (project == NULL) {
        return NULL;
    }

    project->config = document;

    return ngx_comms_project_fill(pool, project, document) == NGX_OK ? project
                                                                     : NULL;
}


static ngx_int_t
ngx_comms_project_valid(ngx_log_t *log, json_t *document)
{
    u_char                 path[2 * NGX_COMMS_NAME_MAX + 32];
    ngx_int_t              rc;
    ngx_str_t              company, project;
    ngx_comms_document_t   doc;

    ngx_memzero(&doc, sizeof(ngx_comms_document_t));

    company = ngx_comms_json_view(json_object_get(document, "company_id"));
    project = ngx_comms_json_view(json_object_get(document, "project_id"));

    doc.log = log;
    doc.path.data = path;
    doc.path.len = ngx_slprintf(path, path + sizeof(path), "item %V, %V",
                                &company, &project)
                   - path;

    /* lines of a text that nobody sees: mistakes are found by their field */

    doc.text.data = (u_char *) json_dumps(document, JSON_COMPACT);
    if (doc.text.data == NULL) {
        return NGX_ERROR;
    }

    doc.text.len = ngx_strlen(doc.text.data);
    doc.root = json_incref(document);

    rc = ngx_comms_project_check(&doc, NULL);

    ngx_comms_document_close(&doc);

    return rc;
}


/* the document is valid; the strings are borrowed from it */

static ngx_int_t
ngx_comms_project_fill(ngx_pool_t *pool, ngx_comms_project_t *project,
    json_t *document)
{
    size_t      i;
    json_t     *channel;
    ngx_str_t   name;

    project->company_id = ngx_comms_json_view(
                              json_object_get(document, "company_id"));
    project->project_id = ngx_comms_json_view(
                              json_object_get(document, "project_id"));

    name = ngx_comms_json_view(json_object_get(document, "project_status"));
    project->active = (name.len == sizeof("active") - 1
                       && ngx_strncmp(name.data, "active", name.len) == 0);

    json_array_foreach(json_object_get(document, "allowed_channels"), i,
                       channel)
    {
        name = ngx_comms_json_view(channel);
        project->channels |= 1 << ngx_comms_channel_by_name(&name);
    }

    project->requests_per_minute =
        ngx_comms_project_limit(document, "requests_per_minute");
    project->requests_per_day =
        ngx_comms_project_limit(document, "requests_per_day");
    project->concurrent_conversations =
        ngx_comms_project_limit(document, "concurrent_conversations");

    return ngx_comms_project_digests(pool, project,
                                     json_object_get(document,
                                                     "api_key_sha256"));
}


static ngx_uint_t
ngx_comms_project_limit(json_t *document, const char *name)
{
    int64_t  n;

    if (ngx_comms_json_int(json_object_get(document, "rate_limits"), name, &n)
        != NGX_OK)
    {
        return 0;
    }

    return n;
}


/* hexadecimal digits, as was checked */

static ngx_int_t
ngx_comms_project_digests(ngx_pool_t *pool, ngx_comms_project_t *project,
    json_t *digests)
{
    size_t      i, n;
    json_t     *hex;
    ngx_str_t   text, *digest;

    if (ngx_array_init(&project->keys, pool, json_array_size(digests),
                       sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    json_array_foreach(digests, i, hex) {

        text = ngx_comms_json_view(hex);
        digest = ngx_array_push(&project->keys);

        if (digest == NULL) {
            return NGX_ERROR;
        }

        digest->len = NGX_COMMS_SHA256_LEN;

        digest->data = ngx_pnalloc(pool, digest->len);
        if (digest->data == NULL) {
            return NGX_ERROR;
        }

        for (n = 0; n < digest->len; n++) {
            digest->data[n] = (u_char) ngx_hextoi(text.data + 2 * n, 2);
        }
    }

    return NGX_OK;
}
