
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The calls of a task: documents of the service made from what a step says,
 * and the other way round.  All reads of tables are consistent; those of an
 * index cannot be.  An item whose "ttl" is over counts as gone, as
 * the service may take days to remove it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_task.h>


#define NGX_COMMS_DYNAMODB_TIMEOUT  5000

/* the service's limit of a BatchWriteItem, and how often what it left over is
   sent again */
#define NGX_COMMS_DYNAMODB_WRITES   25
#define NGX_COMMS_DYNAMODB_AGAIN    50


typedef struct {
    ngx_comms_dynamodb_table_t  *table;
    json_t                      *keys;
    void                        *next;      /* key, an iterator */
    ngx_uint_t                   again;
    ngx_comms_dynamodb_step_pt   step;
    void                        *data;
} ngx_comms_dynamodb_remove_t;


static void ngx_comms_dynamodb_call(ngx_comms_dynamodb_task_t *t,
    const char *operation, json_t *request);
static void ngx_comms_dynamodb_done(ngx_comms_op_t *op);
static ngx_int_t ngx_comms_dynamodb_take(ngx_comms_dynamodb_task_t *t,
    json_t *answer);
static ngx_int_t ngx_comms_dynamodb_take_items(ngx_comms_dynamodb_task_t *t,
    json_t *items);
static ngx_int_t ngx_comms_dynamodb_more(ngx_comms_dynamodb_task_t *t,
    json_t *answer);
static ngx_uint_t ngx_comms_dynamodb_over(json_t *plain);
static json_t *ngx_comms_dynamodb_key(ngx_comms_dynamodb_table_t *table,
    ngx_str_t pk, ngx_str_t sk);
static json_t *ngx_comms_dynamodb_request(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, ngx_str_t pk, ngx_str_t sk);
static ngx_int_t ngx_comms_dynamodb_express(ngx_comms_dynamodb_task_t *t,
    json_t *request, const char *member, ngx_str_t text);
static ngx_int_t ngx_comms_dynamodb_condition(ngx_comms_dynamodb_task_t *t,
    json_t *request, const char *condition);
static ngx_int_t ngx_comms_dynamodb_values(json_t *request, json_t *values);
static void ngx_comms_dynamodb_remove_next(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_removed(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_enqueued(ngx_comms_op_t *op);


static void
ngx_comms_dynamodb_call(ngx_comms_dynamodb_task_t *t, const char *operation,
    json_t *request)
{
    ngx_comms_op_t  *op;

    op = (request != NULL)
         ? ngx_comms_op_create(ngx_comms_dynamodb_done, t, 0) : NULL;

    if (op == NULL) {
        json_decref(request);
        ngx_comms_dynamodb_fail(t);
        return;
    }

    t->operation = operation;

    ngx_comms_aws_call(t->db->aws, NGX_COMMS_AWS_DYNAMODB, operation,
                       request, NGX_COMMS_DYNAMODB_TIMEOUT, op);
}


static void
ngx_comms_dynamodb_done(ngx_comms_op_t *op)
{
    ngx_int_t                   rc;
    ngx_str_t                   code;
    ngx_comms_dynamodb_task_t  *t;

    t = op->data;

    t->refused = 0;

    if (op->rc == NGX_DECLINED
        && ngx_comms_json_str(op->answer, "code", &code) == NGX_OK
        && code.len == sizeof("ConditionalCheckFailedException") - 1
        && ngx_strncmp(code.data, "ConditionalCheckFailedException",
                       code.len)
           == 0)
    {
        t->refused = 1;
        t->item = NULL;
        t->step(t, t->data);
        return;
    }

    if (op->rc != NGX_OK) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    rc = ngx_comms_dynamodb_take(t, op->answer);

    if (rc == NGX_AGAIN) {
        return;
    }

    if (rc != NGX_OK) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    t->step(t, t->data);
}


/* NGX_AGAIN: another page was asked for */

static ngx_int_t
ngx_comms_dynamodb_take(ngx_comms_dynamodb_task_t *t, json_t *answer)
{
    json_t  *item, *tables;

    if (t->request != NULL) {
        t->count += json_integer_value(json_object_get(answer, "Count"));

        tables = json_object_get(answer, "Responses");

        if (ngx_comms_dynamodb_take_items(t,
                          json_object_get(answer, "Items")) != NGX_OK
            || ngx_comms_dynamodb_take_items(t, json_object_get(tables,
                                      (char *) t->table->name.data)) != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_comms_dynamodb_more(t, answer);
    }

    item = json_object_get(answer, "Item");
    t->left = ngx_comms_dynamodb_hold(t,
                  json_incref(json_object_get(answer, "UnprocessedItems")));

    if (item == NULL) {
        item = json_object_get(answer, "Attributes");
    }

    t->item = NULL;

    if (item == NULL) {
        return NGX_OK;
    }

    item = ngx_comms_dynamodb_hold(t, ngx_comms_dynamodb_plain(item));

    if (item == NULL) {
        return NGX_ERROR;
    }

    t->item = ngx_comms_dynamodb_over(item) ? NULL : item;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_dynamodb_take_items(ngx_comms_dynamodb_task_t *t, json_t *items)
{
    size_t   i;
    json_t  *item, *plain;

    json_array_foreach(items, i, item) {

        plain = ngx_comms_dynamodb_plain(item);

        if (ngx_comms_dynamodb_over(plain)) {
            json_decref(plain);
            continue;
        }

        if (json_array_size(t->items) == t->limit) {
            json_decref(plain);
            break;
        }

        if (json_array_append_new(t->items, plain) != 0) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* what a page or a batch left out */

static ngx_int_t
ngx_comms_dynamodb_more(ngx_comms_dynamodb_task_t *t, json_t *answer)
{
    json_t  *last, *rest, *request;

    last = json_object_get(answer, "LastEvaluatedKey");
    rest = json_object_get(answer, "UnprocessedKeys");
    request = NULL;

    if (last != NULL && json_array_size(t->items) < t->limit) {
        request = json_copy(t->request);

        if (json_object_set(request, "ExclusiveStartKey", last) != 0) {
            json_decref(request);
            return NGX_ERROR;
        }

    } else if (json_object_size(rest) != 0) {
        request = json_pack("{s:O}", "RequestItems", rest);

        if (request == NULL) {
            return NGX_ERROR;
        }
    }

    if (request != NULL) {
        ngx_comms_dynamodb_call(t, t->operation, request);
        return NGX_AGAIN;
    }

    json_decref(t->request);
    t->request = NULL;

    return NGX_OK;
}


static ngx_uint_t
ngx_comms_dynamodb_over(json_t *plain)
{
    json_t  *ttl;

    ttl = json_object_get(plain, "ttl");

    return ttl != NULL
           && json_integer_value(ttl) < ngx_comms_clock_ms() / 1000;
}


static json_t *
ngx_comms_dynamodb_key(ngx_comms_dynamodb_table_t *table, ngx_str_t pk,
    ngx_str_t sk)
{
    if (pk.len == 0 || sk.len == 0) {
        return NULL;
    }

    return json_pack("{s:{s:o}, s:{s:o}}",
                     table->pk, "S", ngx_comms_dynamodb_string(pk),
                     table->sk, "S", ngx_comms_dynamodb_string(sk));
}


/* what a call about one item starts with */

static json_t *
ngx_comms_dynamodb_request(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, ngx_str_t pk, ngx_str_t sk)
{
    t->table = table;

    return json_pack("{s:o, s:o}",
                     "TableName", ngx_comms_dynamodb_string(table->name),
                     "Key", ngx_comms_dynamodb_key(table, pk, sk));
}


/* an expression, and the names in it that nobody has declared yet */

static ngx_int_t
ngx_comms_dynamodb_express(ngx_comms_dynamodb_task_t *t, json_t *request,
    const char *member, ngx_str_t text)
{
    char        *name;
    u_char      *p, *last, *start;
    json_t      *names, *value;

    if (text.len == 0) {
        return NGX_ERROR;
    }

    names = json_object_get(request, "ExpressionAttributeNames");

    if (names == NULL) {
        names = json_object();

        if (json_object_set_new(request, "ExpressionAttributeNames", names)
            != 0)
        {
            return NGX_ERROR;
        }
    }

    p = text.data;
    last = p + text.len;

    while (p < last) {

        start = p++;

        if (*start != '#') {
            continue;
        }

        while (p < last && (*p == '_' || (*p >= 'a' && *p <= 'z')
                            || (*p >= '0' && *p <= '9')))
        {
            p++;
        }

        name = (char *) ngx_pnalloc(t->pool, p - start + 1);
        if (name == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_cpystrn((u_char *) name, start, p - start + 1);

        if (json_object_get(names, name) != NULL) {
            continue;
        }

        value = (ngx_strcmp(name, "#pk") == 0) ? json_string(t->table->pk)
                : (ngx_strcmp(name, "#sk") == 0) ? json_string(t->table->sk)
                                                 : json_string(name + 1);

        if (json_object_set_new(names, name, value) != 0) {
            return NGX_ERROR;
        }
    }

    return json_object_set_new(request, member,
                               ngx_comms_dynamodb_string(text))
           == 0 ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_dynamodb_condition(ngx_comms_dynamodb_task_t *t, json_t *request,
    const char *condition)
{
    ngx_str_t  text;

    if (condition == NULL) {
        return NGX_OK;
    }

    text.data = (u_char *) condition;
    text.len = ngx_strlen(condition);

    return ngx_comms_dynamodb_express(t, request, "ConditionExpression",
                                      text);
}


static ngx_int_t
ngx_comms_dynamodb_values(json_t *request, json_t *values)
{
    ngx_int_t  rc;

    if (json_object_size(values) == 0) {
        json_decref(values);
        return NGX_OK;
    }

    rc = json_object_set_new(request, "ExpressionAttributeValues",
                             ngx_comms_dynamodb_item(values))
         == 0 ? NGX_OK : NGX_ERROR;

    json_decref(values);

    return rc;
}


void
ngx_comms_dynamodb_get(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, ngx_str_t pk, ngx_str_t sk,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    json_t  *request;

    t->step = step;
    t->data = data;

    request = ngx_comms_dynamodb_request(t, table, pk, sk);

    if (json_object_set_new(request, "ConsistentRead", json_true()) != 0) {
        json_decref(request);
        request = NULL;
    }

    ngx_comms_dynamodb_call(t, "GetItem", request);
}


void
ngx_comms_dynamodb_put(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, ngx_str_t pk, ngx_str_t sk,
    json_t *doc, const char *condition, json_t *values,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    json_t    *request, *item, *key;
    int64_t    ttl;
    ngx_int_t  rc;

    t->step = step;
    t->data = data;
    t->table = table;

    item = (doc != NULL) ? ngx_comms_dynamodb_item(doc) : NULL;
    key = ngx_comms_dynamodb_key(table, pk, sk);

    rc = (item != NULL && key != NULL) ? json_object_update(item, key)
                                       : NGX_ERROR;

    json_decref(key);
    json_decref(doc);

    ttl = ngx_comms_dynamodb_ttl(t->db);

    if (rc == 0 && ttl != 0 && table != &t->db->consent) {
        rc = json_object_set_new(item, "ttl", json_pack("{s:o}", "N",
                                   json_sprintf("%lld", (long long) ttl)));
    }

    request = json_pack("{s:o, s:o}",
                        "TableName", ngx_comms_dynamodb_string(table->name),
                        "Item", item);

    if (ngx_comms_dynamodb_values(request, values) != NGX_OK
        || ngx_comms_dynamodb_condition(t, request, condition) != NGX_OK
        || rc != 0)
    {
        json_decref(request);
        request = NULL;
    }

    ngx_comms_dynamodb_call(t, "PutItem", request);
}


void
ngx_comms_dynamodb_update(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, ngx_comms_dynamodb_update_t *u,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    json_t     *request;
    ngx_int_t   rc;

    t->step = step;
    t->data = data;

    request = ngx_comms_dynamodb_request(t, table, u->pk, u->sk);

    rc = ngx_comms_dynamodb_values(request, u->values);

    if (u->names != NULL
        && json_object_set_new(request, "ExpressionAttributeNames", u->names)
           != 0)
    {
        rc = NGX_ERROR;
    }

    if (u->returns != NULL
        && json_object_set_new(request, "ReturnValues",
                               json_string(u->returns))
           != 0)
    {
        rc = NGX_ERROR;
    }

    if (ngx_comms_dynamodb_express(t, request, "UpdateExpression", u->update)
        != NGX_OK
        || (u->condition.len != 0
            && ngx_comms_dynamodb_express(t, request, "ConditionExpression",
                                          u->condition)
               != NGX_OK)
        || rc != NGX_OK)
    {
        json_decref(request);
        request = NULL;
    }

    ngx_comms_dynamodb_call(t, "UpdateItem", request);
}


void
ngx_comms_dynamodb_delete(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, ngx_str_t pk, ngx_str_t sk,
    const char *condition, json_t *values,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    json_t  *request;

    t->step = step;
    t->data = data;

    request = ngx_comms_dynamodb_request(t, table, pk, sk);

    if (ngx_comms_dynamodb_values(request, values) != NGX_OK
        || ngx_comms_dynamodb_condition(t, request, condition) != NGX_OK)
    {
        json_decref(request);
        request = NULL;
    }

    ngx_comms_dynamodb_call(t, "DeleteItem", request);
}


void
ngx_comms_dynamodb_query(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, ngx_comms_dynamodb_query_t *q,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    json_t     *request;
    ngx_int_t   rc;
    ngx_str_t   filter, key;

    t->step = step;
    t->data = data;
    t->table = table;
    t->count = 0;
    t->limit = q->limit;
    t->items = ngx_comms_dynamodb_hold(t, json_array());

    request = json_pack("{s:o, s:b}",
                        "TableName", ngx_comms_dynamodb_string(table->name),
                        "ScanIndexForward", (int) q->forward);

    key.data = (u_char *) q->key;
    key.len = ngx_strlen(q->key);

    rc = ngx_comms_dynamodb_values(request, q->values);

    if (ngx_comms_dynamodb_express(t, request, "KeyConditionExpression", key)
        != NGX_OK)
    {
        rc = NGX_ERROR;
    }

    if (q->filter != NULL) {
        filter.data = (u_char *) q->filter;
        filter.len = ngx_strlen(q->filter);

        if (ngx_comms_dynamodb_express(t, request, "FilterExpression", filter)
            != NGX_OK)
        {
            rc = NGX_ERROR;
        }
    }

    /* an index is never consistent; a limit counts before the filter */

    if ((q->index != NULL
         && json_object_set_new(request, "IndexName", json_string(q->index))
            != 0)
        || (q->index == NULL
            && json_object_set_new(request, "ConsistentRead", json_true())
               != 0)
        || (q->count
            && json_object_set_new(request, "Select", json_string("COUNT"))
               != 0)
        || (!q->count && q->filter == NULL
            && json_object_set_new(request, "Limit",
                          json_integer(ngx_min(q->limit, INT32_MAX))) != 0)
        || t->items == NULL)
    {
        rc = NGX_ERROR;
    }

    if (rc != NGX_OK) {
        json_decref(request);
        ngx_comms_dynamodb_fail(t);
        return;
    }

    t->request = json_incref(request);

    ngx_comms_dynamodb_call(t, "Query", request);
}


void
ngx_comms_dynamodb_batch(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, json_t *keys,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    size_t     i;
    json_t    *list, *key, *request;
    ngx_str_t  pk, sk;

    t->step = step;
    t->data = data;
    t->table = table;
    t->limit = NGX_COMMS_DYNAMODB_BATCH;
    t->items = ngx_comms_dynamodb_hold(t, json_array());

    list = json_array();

    json_array_foreach(keys, i, key) {

        pk = ngx_comms_json_view(json_array_get(key, 0));
        sk = ngx_comms_json_view(json_array_get(key, 1));

        if (json_array_append_new(list,
                                  ngx_comms_dynamodb_key(table, pk, sk))
            != 0)
        {
            json_decref(list);
            list = NULL;
            break;
        }
    }

    json_decref(keys);

    request = json_pack("{s:{s:{s:o, s:b}}}", "RequestItems",
                        table->name.data, "Keys", list,
                        "ConsistentRead", 1);

    if (request == NULL || t->items == NULL) {
        json_decref(request);
        ngx_comms_dynamodb_fail(t);
        return;
    }

    t->request = json_incref(request);

    ngx_comms_dynamodb_call(t, "BatchGetItem", request);
}


ngx_int_t
ngx_comms_dynamodb_key_add(json_t *keys, ngx_str_t pk, ngx_str_t sk)
{
    json_t     *name;
    ngx_int_t   rc;

    if (pk.len == 0 || sk.len == 0) {
        return NGX_ERROR;
    }

    name = json_sprintf("%.*s\n%.*s", (int) pk.len, (char *) pk.data,
                        (int) sk.len, (char *) sk.data);
    if (name == NULL) {
        return NGX_ERROR;
    }

    rc = json_object_set_new(keys, json_string_value(name),
                             json_pack("[o, o]",
                                       ngx_comms_dynamodb_string(pk),
                                       ngx_comms_dynamodb_string(sk)))
         == 0 ? NGX_OK : NGX_ERROR;

    json_decref(name);

    return rc;
}


void
ngx_comms_dynamodb_remove(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, json_t *keys,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_comms_dynamodb_remove_t  *r;

    r = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_remove_t));

    if (r == NULL || keys == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    r->table = table;
    r->keys = keys;
    r->next = json_object_iter(keys);
    r->step = step;
    r->data = data;

    ngx_comms_dynamodb_remove_next(t, r);
}


static void
ngx_comms_dynamodb_remove_next(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t      *list, *key, *item;
    ngx_uint_t   n;

    ngx_comms_dynamodb_remove_t *r = data;

    if (r->next == NULL) {
        r->step(t, r->data);
        return;
    }

    list = json_array();

    for (n = 0; n < NGX_COMMS_DYNAMODB_WRITES && r->next != NULL; n++) {

        key = json_object_iter_value(r->next);
        r->next = json_object_iter_next(r->keys, r->next);

        item = ngx_comms_dynamodb_key(r->table,
                                 ngx_comms_json_view(json_array_get(key, 0)),
                                 ngx_comms_json_view(json_array_get(key, 1)));

        if (json_array_append_new(list,
                                  json_pack("{s:{s:o}}", "DeleteRequest",
                                            "Key", item))
            != 0)
        {
            json_decref(list);
            ngx_comms_dynamodb_fail(t);
            return;
        }
    }

    t->step = ngx_comms_dynamodb_removed;
    t->data = r;

    ngx_comms_dynamodb_call(t, "BatchWriteItem",
                            json_pack("{s:{s:o}}", "RequestItems",
                                      r->table->name.data, list));
}


/* the service may leave over what it has no capacity for */

static void
ngx_comms_dynamodb_removed(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_remove_t *r = data;

    if (json_object_size(t->left) == 0) {
        ngx_comms_dynamodb_remove_next(t, r);
        return;
    }

    if (++r->again > NGX_COMMS_DYNAMODB_AGAIN) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "DynamoDB does not keep up with what is to be removed "
                      "from the table \"%V\"", &r->table->name);
        ngx_comms_dynamodb_fail(t);
        return;
    }

    t->step = ngx_comms_dynamodb_removed;
    t->data = r;

    ngx_comms_dynamodb_call(t, "BatchWriteItem",
                            json_pack("{s:O}", "RequestItems", t->left));
}


void
ngx_comms_dynamodb_enqueue(ngx_comms_dynamodb_task_t *t, json_t *in,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_comms_op_t  *op;

    t->step = step;
    t->data = data;

    op = (in != NULL)
         ? ngx_comms_op_create(ngx_comms_dynamodb_enqueued, t, 0) : NULL;

    if (op == NULL) {
        json_decref(in);
        ngx_comms_dynamodb_fail(t);
        return;
    }

    t->db->conf->put(t->db->conf->data, in, op);
}


static void
ngx_comms_dynamodb_enqueued(ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_task_t  *t;

    t = op->data;

    if (op->rc != NGX_OK) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    t->step(t, t->data);
}
