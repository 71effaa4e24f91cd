
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <aws/ngx_comms_aws_table.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_op.h>


#define NGX_COMMS_AWS_TABLE_TIMEOUT  5000    /* ms */


typedef struct {
    const ngx_comms_aws_table_t  *table;
    ngx_comms_aws_table_pt        handler;
    void                         *data;
} ngx_comms_aws_table_asked_t;


static void ngx_comms_aws_table_known(ngx_comms_op_t *op);
static ngx_int_t ngx_comms_aws_table_refused(
    const ngx_comms_aws_table_t *table, ngx_comms_op_t *op);
static ngx_int_t ngx_comms_aws_table_read(const ngx_comms_aws_table_t *table,
    json_t *found);
static ngx_int_t ngx_comms_aws_table_index(const ngx_comms_aws_table_t *table,
    const ngx_comms_aws_index_t *index, json_t *found);
static ngx_uint_t ngx_comms_aws_table_keys(json_t *schema, const char *hash,
    const char *range);
static ngx_uint_t ngx_comms_aws_table_key(json_t *schema, const char *type,
    const char *name);
static ngx_uint_t ngx_comms_aws_table_is(json_t *value, const char *text);


ngx_int_t
ngx_comms_aws_table_check(ngx_comms_aws_t *aws,
    const ngx_comms_aws_table_t *table, ngx_comms_aws_table_pt handler,
    void *data)
{
    json_t                       *in;
    ngx_comms_op_t               *op;
    ngx_comms_aws_table_asked_t  *at;

    /* some of these are made at the start of a worker, and no more */

    at = ngx_pcalloc(ngx_cycle->pool, sizeof(ngx_comms_aws_table_asked_t));
    if (at == NULL) {
        return NGX_ERROR;
    }

    at->table = table;
    at->handler = handler;
    at->data = data;

    in = json_pack("{s:s%}", "TableName", table->name.data, table->name.len);
    op = (in != NULL) ? ngx_comms_op_create(ngx_comms_aws_table_known, at, 0)
                      : NULL;

    if (op == NULL) {
        json_decref(in);
        return NGX_ERROR;
    }

    ngx_comms_aws_call(aws, NGX_COMMS_AWS_DYNAMODB, "DescribeTable", in,
                       NGX_COMMS_AWS_TABLE_TIMEOUT, op);

    return NGX_OK;
}


static void
ngx_comms_aws_table_known(ngx_comms_op_t *op)
{
    ngx_int_t                     rc;
    ngx_comms_aws_table_asked_t  *at;

    at = op->data;

    if (op->rc != NGX_OK) {
        rc = ngx_comms_aws_table_refused(at->table, op);

    } else {
        rc = ngx_comms_aws_table_read(at->table,
                                      json_object_get(op->answer, "Table"));
    }

    at->handler(at->data, rc);
}


static ngx_int_t
ngx_comms_aws_table_refused(const ngx_comms_aws_table_t *table,
    ngx_comms_op_t *op)
{
    ngx_str_t  code, missing;

    ngx_str_set(&missing, "ResourceNotFoundException");
    code = ngx_comms_json_view(json_object_get(op->answer, "code"));

    if (code.len == missing.len
        && ngx_strncmp(code.data, missing.data, code.len) == 0)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "there is no DynamoDB table \"%V\": create it, as"
                      " conf/aws/template.yaml does, or correct %s",
                      &table->name, table->setting);
        return NGX_DECLINED;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "the DynamoDB table \"%V\" could not be looked at (%V): the"
                  " credentials must allow dynamodb:DescribeTable on it",
                  &table->name, &code);

    return (op->rc == NGX_DECLINED) ? NGX_DECLINED : NGX_ERROR;
}


static ngx_int_t
ngx_comms_aws_table_read(const ngx_comms_aws_table_t *table, json_t *found)
{
    ngx_int_t                     rc;
    const ngx_comms_aws_index_t  *index;

    rc = NGX_OK;

    if (!ngx_comms_aws_table_keys(json_object_get(found, "KeySchema"),
                                  table->hash, table->range))
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "the DynamoDB table \"%V\" must have the keys \"%s\" and"
                      " \"%s\": create another one, as conf/aws/template.yaml"
                      " does, or correct %s", &table->name, table->hash,
                      table->range, table->setting);
        rc = NGX_DECLINED;
    }

    index = table->indexes;

    for ( /* void */ ; index != NULL && index->name != NULL; index++) {
        if (ngx_comms_aws_table_index(table, index,
                json_object_get(found, "GlobalSecondaryIndexes"))
            != NGX_OK)
        {
            rc = NGX_DECLINED;
        }
    }

    return rc;
}


static ngx_int_t
ngx_comms_aws_table_index(const ngx_comms_aws_table_t *table,
    const ngx_comms_aws_index_t *index, json_t *found)
{
    size_t   i;
    json_t  *one;

    json_array_foreach(found, i, one) {

        if (ngx_comms_aws_table_is(json_object_get(one, "IndexName"),
                                   index->name)
            && ngx_comms_aws_table_keys(json_object_get(one, "KeySchema"),
                                        index->hash, index->range))
        {
            return NGX_OK;
        }
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "the DynamoDB table \"%V\" has no index \"%s\" with the"
                  " keys \"%s\"%s%s%s: add it, as in conf/aws/template.yaml",
                  &table->name, index->name, index->hash,
                  index->range ? " and \"" : "",
                  index->range ? index->range : "",
                  index->range ? "\"" : "");

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_comms_aws_table_keys(json_t *schema, const char *hash, const char *range)
{
    return json_array_size(schema) == (range != NULL ? 2 : 1)
           && ngx_comms_aws_table_key(schema, "HASH", hash)
           && (range == NULL
               || ngx_comms_aws_table_key(schema, "RANGE", range));
}


static ngx_uint_t
ngx_comms_aws_table_key(json_t *schema, const char *type, const char *name)
{
    size_t   i;
    json_t  *one;

    json_array_foreach(schema, i, one) {
        if (ngx_comms_aws_table_is(json_object_get(one, "KeyType"), type)
            && ngx_comms_aws_table_is(json_object_get(one, "AttributeName"),
                                      name))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_comms_aws_table_is(json_t *value, const char *text)
{
    return json_is_string(value)
           && ngx_strcmp(json_string_value(value), text) == 0;
}
