
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Projects from a DynamoDB table; the header says how it is laid out.
 *
 * Whether a key opens a company is asked by the key's digest alone, so that
 * an unknown company and a wrong key look alike and take the same time.  Each
 * wrong key costs a query once in a while: limit_req before the location
 * bounds them.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <aws/ngx_comms_aws_table.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <project/ngx_comms_project_aws.h>
#include <project/ngx_comms_project_aws_cache.h>
#include <project/ngx_comms_project_dynamodb_item.h>
#include <project/ngx_comms_project_files.h>


#define NGX_COMMS_PROJECTS_DYNAMODB_TERM     60000
#define NGX_COMMS_PROJECTS_DYNAMODB_TIMEOUT  5000

/* companies that one key opens, at most */
#define NGX_COMMS_PROJECTS_DYNAMODB_MAX      1000

#define NGX_COMMS_PROJECTS_HEX               (2 * NGX_COMMS_SHA256_LEN)


typedef struct {
    ngx_comms_aws_t      *aws;
    ngx_str_t             table;
    ngx_comms_cache_t     projects;  /* by "<company>#<project>" */
    ngx_comms_cache_t     keys;      /* by the digest in hexadecimal */
    ngx_comms_aws_table_t wanted;    /* of the check at start */
} ngx_comms_projects_dynamodb_t;


/* one fetch on its way */
typedef struct {
    ngx_comms_cached_t             *entry;
    ngx_comms_projects_dynamodb_t  *projects;
    json_t                         *companies;
} ngx_comms_project_fetch_t;


static void ngx_comms_projects_dynamodb_checked(void *data, ngx_int_t rc);
static ngx_int_t ngx_comms_projects_dynamodb_find(
    ngx_comms_projects_t *projects, ngx_str_t *company_id,
    ngx_str_t *project_id, ngx_comms_project_t **project,
    ngx_comms_op_t *op);
static ngx_int_t ngx_comms_projects_dynamodb_opens(
    ngx_comms_projects_t *projects, ngx_str_t *company_id,
    ngx_str_t *api_key, ngx_comms_op_t *op);
static ngx_int_t ngx_comms_projects_dynamodb_companies(
    ngx_comms_projects_t *projects, ngx_str_t *api_key, ngx_pool_t *pool,
    ngx_array_t **companies, ngx_comms_op_t *op);
static ngx_int_t ngx_comms_projects_dynamodb_of_key(
    ngx_comms_projects_dynamodb_t *pd, ngx_str_t *api_key, json_t **companies,
    ngx_comms_op_t *op);
static void ngx_comms_projects_dynamodb_fetch(ngx_comms_cached_t *entry);
static void ngx_comms_projects_dynamodb_got(ngx_comms_op_t *op);
static void ngx_comms_projects_dynamodb_fetch_key(ngx_comms_cached_t *entry);
static json_t *ngx_comms_projects_dynamodb_query(
    ngx_comms_project_fetch_t *fetch, json_t *from);
static void ngx_comms_projects_dynamodb_queried(ngx_comms_op_t *op);
static ngx_int_t ngx_comms_projects_dynamodb_opener(
    ngx_comms_project_fetch_t *fetch, json_t *item);
static void ngx_comms_projects_dynamodb_key_done(
    ngx_comms_project_fetch_t *fetch, ngx_int_t rc);
static ngx_comms_project_fetch_t *ngx_comms_projects_dynamodb_start(
    ngx_comms_cached_t *entry);
static ngx_int_t ngx_comms_projects_dynamodb_ask(
    ngx_comms_project_fetch_t *fetch, const char *operation, json_t *in,
    ngx_comms_op_handler_pt handler);
static ngx_uint_t ngx_comms_projects_has(json_t *list, ngx_str_t *name);


ngx_comms_projects_t *
ngx_comms_projects_dynamodb(ngx_conf_t *cf, ngx_comms_aws_t *aws,
    ngx_comms_projects_dynamodb_conf_t *conf)
{
    ngx_msec_t                      term;
    ngx_comms_projects_t           *projects;
    ngx_comms_projects_dynamodb_t  *pd;

    projects = ngx_pcalloc(cf->pool, sizeof(ngx_comms_projects_t));
    pd = ngx_pcalloc(cf->pool, sizeof(ngx_comms_projects_dynamodb_t));

    if (projects == NULL || pd == NULL) {
        return NULL;
    }

    term = conf->term ? conf->term : NGX_COMMS_PROJECTS_DYNAMODB_TERM;

    pd->aws = aws;
    pd->table = conf->table;

    ngx_comms_cache_init(&pd->projects, pd, ngx_comms_projects_dynamodb_fetch,
                         term);
    ngx_comms_cache_init(&pd->keys, pd, ngx_comms_projects_dynamodb_fetch_key,
                         term);

    ngx_str_set(&projects->name, "dynamodb");
    projects->data = pd;
    projects->find = ngx_comms_projects_dynamodb_find;
    projects->opens = ngx_comms_projects_dynamodb_opens;
    projects->companies = ngx_comms_projects_dynamodb_companies;

    return projects;
}


void
ngx_comms_projects_dynamodb_check(ngx_comms_projects_t *projects)
{
    ngx_comms_projects_dynamodb_t  *pd;

    static const ngx_comms_aws_index_t  indexes[] = {
        { "api-key-sha256-index", "gsi_api_key_sha256", NULL },
        { NULL, NULL, NULL }
    };

    pd = projects->data;

    pd->wanted.name = pd->table;
    pd->wanted.hash = "company_id";
    pd->wanted.range = "project_id";
    pd->wanted.indexes = indexes;
    pd->wanted.setting = "\"table=\" of \"comms_projects\"";

    (void) ngx_comms_aws_table_check(pd->aws, &pd->wanted,
                                     ngx_comms_projects_dynamodb_checked, pd);
}


static void
ngx_comms_projects_dynamodb_checked(void *data, ngx_int_t rc)
{
    ngx_comms_projects_dynamodb_t *pd = data;

    if (rc == NGX_OK) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "comms projects are connected: dynamodb, table \"%V\""
                      " with its index", &pd->table);
    }
}


static ngx_int_t
ngx_comms_projects_dynamodb_find(ngx_comms_projects_t *projects,
    ngx_str_t *company_id, ngx_str_t *project_id,
    ngx_comms_project_t **project, ngx_comms_op_t *op)
{
    void                           *value;
    u_char                          buf[2 * NGX_COMMS_NAME_MAX + 1];
    ngx_int_t                       rc;
    ngx_str_t                       key;
    ngx_comms_projects_dynamodb_t  *pd;

    pd = projects->data;

    if (!ngx_comms_name_valid(company_id)
        || !ngx_comms_name_valid(project_id))
    {
        return NGX_DECLINED;
    }

    key.data = buf;
    key.len = ngx_slprintf(buf, buf + sizeof(buf), "%V#%V", company_id,
                           project_id)
              - buf;

    rc = ngx_comms_cache_get(&pd->projects, &key, op, &value);

    if (rc == NGX_OK) {
        *project = value;
    }

    return rc;
}


static ngx_int_t
ngx_comms_projects_dynamodb_opens(ngx_comms_projects_t *projects,
    ngx_str_t *company_id, ngx_str_t *api_key, ngx_comms_op_t *op)
{
    json_t     *companies;
    ngx_int_t   rc;

    rc = ngx_comms_projects_dynamodb_of_key(projects->data, api_key,
                                            &companies, op);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_comms_projects_has(companies, company_id) ? NGX_OK
                                                         : NGX_DECLINED;
}


static ngx_int_t
ngx_comms_projects_dynamodb_companies(ngx_comms_projects_t *projects,
    ngx_str_t *api_key, ngx_pool_t *pool, ngx_array_t **companies,
    ngx_comms_op_t *op)
{
    size_t      i;
    json_t     *names, *name;
    ngx_int_t   rc;
    ngx_str_t  *slot;

    names = NULL;

    rc = ngx_comms_projects_dynamodb_of_key(projects->data, api_key, &names,
                                            op);
    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    *companies = ngx_array_create(pool, 1, sizeof(ngx_str_t));
    if (*companies == NULL) {
        return NGX_ERROR;
    }

    json_array_foreach(names, i, name) {
        slot = ngx_array_push(*companies);
        if (slot == NULL) {
            return NGX_ERROR;
        }

        *slot = ngx_comms_json_view(name);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_projects_dynamodb_of_key(ngx_comms_projects_dynamodb_t *pd,
    ngx_str_t *api_key, json_t **companies, ngx_comms_op_t *op)
{
    void       *value;
    u_char      digest[NGX_COMMS_SHA256_LEN], hex[NGX_COMMS_PROJECTS_HEX];
    ngx_int_t   rc;
    ngx_str_t   key;

    if (ngx_comms_sha256(api_key, digest) != NGX_OK) {
        return NGX_ERROR;
    }

    key.data = hex;
    key.len = ngx_hex_dump(hex, digest, NGX_COMMS_SHA256_LEN) - hex;

    rc = ngx_comms_cache_get(&pd->keys, &key, op, &value);

    if (rc == NGX_OK) {
        *companies = value;
    }

    return rc;
}


static void
ngx_comms_projects_dynamodb_fetch(ngx_comms_cached_t *entry)
{
    u_char                     *hash, *last;
    json_t                     *in;
    ngx_comms_project_fetch_t  *fetch;

    fetch = ngx_comms_projects_dynamodb_start(entry);
    if (fetch == NULL) {
        ngx_comms_cache_done(entry, NGX_ERROR, NULL);
        return;
    }

    last = entry->node.str.data + entry->node.str.len;
    hash = ngx_strlchr(entry->node.str.data, last, '#');

    in = json_pack("{s:s%, s:{s:{s:s%}, s:{s:s%}}}",
                   "TableName", fetch->projects->table.data,
                   fetch->projects->table.len,
                   "Key",
                   "company_id", "S", entry->node.str.data,
                   (size_t) (hash - entry->node.str.data),
                   "project_id", "S", hash + 1, (size_t) (last - hash - 1));

    if (ngx_comms_projects_dynamodb_ask(fetch, "GetItem", in,
                                        ngx_comms_projects_dynamodb_got)
        != NGX_OK)
    {
        ngx_free(fetch);
        ngx_comms_cache_done(entry, NGX_ERROR, NULL);
    }
}


static void
ngx_comms_projects_dynamodb_got(ngx_comms_op_t *op)
{
    json_t                     *item, *document;
    ngx_comms_cached_t         *entry;
    ngx_comms_project_t        *project;
    ngx_comms_project_fetch_t  *fetch;

    fetch = op->data;
    entry = fetch->entry;

    ngx_free(fetch);

    if (op->rc != NGX_OK) {
        ngx_comms_cache_done(entry, NGX_ERROR, NULL);
        return;
    }

    item = json_object_get(op->answer, "Item");

    if (item == NULL) {
        ngx_comms_cache_done(entry, NGX_DECLINED, NULL);
        return;
    }

    document = ngx_comms_project_document(item);
    project = entry->value;

    if (project != NULL && json_equal(project->config, document)) {
        json_decref(document);
        ngx_comms_cache_done(entry, NGX_OK, project);
        return;
    }

    if (document == NULL) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "item \"%V\" is no project", &entry->node.str);
        ngx_comms_cache_done(entry, NGX_ERROR, NULL);
        return;
    }

    project = ngx_comms_project_make(document);

    ngx_comms_cache_done(entry, project != NULL ? NGX_OK : NGX_ERROR,
                         project);
}


static void
ngx_comms_projects_dynamodb_fetch_key(ngx_comms_cached_t *entry)
{
    ngx_comms_project_fetch_t  *fetch;

    fetch = ngx_comms_projects_dynamodb_start(entry);
    if (fetch == NULL) {
        ngx_comms_cache_done(entry, NGX_ERROR, NULL);
        return;
    }

    fetch->companies = json_array();

    if (ngx_comms_projects_dynamodb_ask(fetch, "Query",
                              ngx_comms_projects_dynamodb_query(fetch, NULL),
                              ngx_comms_projects_dynamodb_queried)
        != NGX_OK)
    {
        ngx_comms_projects_dynamodb_key_done(fetch, NGX_ERROR);
    }
}


static json_t *
ngx_comms_projects_dynamodb_query(ngx_comms_project_fetch_t *fetch,
    json_t *from)
{
    ngx_str_t  *digest, *table;

    digest = &fetch->entry->node.str;
    table = &fetch->projects->table;

    return json_pack("{s:s%, s:s, s:s, s:{s:{s:s%}}, s:O*}",
                     "TableName", table->data, table->len,
                     "IndexName", "api-key-sha256-index",
                     "KeyConditionExpression", "gsi_api_key_sha256 = :key",
                     "ExpressionAttributeValues", ":key", "S", digest->data,
                     digest->len,
                     "ExclusiveStartKey", from);
}


static void
ngx_comms_projects_dynamodb_queried(ngx_comms_op_t *op)
{
    size_t                      i;
    json_t                     *item, *last;
    ngx_comms_project_fetch_t  *fetch;

    fetch = op->data;

    if (op->rc != NGX_OK) {
        ngx_comms_projects_dynamodb_key_done(fetch, NGX_ERROR);
        return;
    }

    json_array_foreach(json_object_get(op->answer, "Items"), i, item) {
        if (ngx_comms_projects_dynamodb_opener(fetch, item) != NGX_OK) {
            ngx_comms_projects_dynamodb_key_done(fetch, NGX_ERROR);
            return;
        }
    }

    last = json_object_get(op->answer, "LastEvaluatedKey");

    if (!json_is_object(last)
        || json_array_size(fetch->companies)
           >= NGX_COMMS_PROJECTS_DYNAMODB_MAX)
    {
        ngx_comms_projects_dynamodb_key_done(fetch, NGX_OK);
        return;
    }

    if (ngx_comms_projects_dynamodb_ask(fetch, "Query",
                              ngx_comms_projects_dynamodb_query(fetch, last),
                              ngx_comms_projects_dynamodb_queried)
        != NGX_OK)
    {
        ngx_comms_projects_dynamodb_key_done(fetch, NGX_ERROR);
    }
}


/* a key that was taken out of the list opens nothing, indexed or not */

static ngx_int_t
ngx_comms_projects_dynamodb_opener(ngx_comms_project_fetch_t *fetch,
    json_t *item)
{
    json_t     *document, *company;
    ngx_int_t   rc;
    ngx_str_t   name;

    document = ngx_comms_project_document(item);
    company = json_object_get(document, "company_id");
    name = ngx_comms_json_view(company);
    rc = NGX_OK;

    if (ngx_comms_name_valid(&name)
        && ngx_comms_projects_has(json_object_get(document, "api_key_sha256"),
                                  &fetch->entry->node.str)
        && !ngx_comms_projects_has(fetch->companies, &name)
        && json_array_append(fetch->companies, company) != 0)
    {
        rc = NGX_ERROR;
    }

    json_decref(document);

    return rc;
}


static void
ngx_comms_projects_dynamodb_key_done(ngx_comms_project_fetch_t *fetch,
    ngx_int_t rc)
{
    json_t              *companies;
    ngx_comms_cached_t  *entry;

    entry = fetch->entry;
    companies = fetch->companies;

    ngx_free(fetch);

    if (rc == NGX_OK && json_array_size(companies) == 0) {
        rc = NGX_DECLINED;
    }

    if (rc != NGX_OK) {
        json_decref(companies);
        ngx_comms_cache_done(entry, rc, NULL);
        return;
    }

    if (entry->value != NULL && json_equal(entry->value, companies)) {
        json_decref(companies);
        ngx_comms_cache_done(entry, NGX_OK, entry->value);
        return;
    }

    rc = ngx_comms_cache_keep(companies);

    ngx_comms_cache_done(entry, rc, rc == NGX_OK ? companies : NULL);
}


static ngx_comms_project_fetch_t *
ngx_comms_projects_dynamodb_start(ngx_comms_cached_t *entry)
{
    ngx_comms_project_fetch_t  *fetch;

    fetch = ngx_calloc(sizeof(ngx_comms_project_fetch_t), ngx_cycle->log);

    if (fetch != NULL) {
        fetch->entry = entry;
        fetch->projects = entry->cache->data;
    }

    return fetch;
}


static ngx_int_t
ngx_comms_projects_dynamodb_ask(ngx_comms_project_fetch_t *fetch,
    const char *operation, json_t *in, ngx_comms_op_handler_pt handler)
{
    ngx_comms_op_t  *op;

    op = (in != NULL) ? ngx_comms_op_create(handler, fetch, 0) : NULL;

    if (op == NULL) {
        json_decref(in);
        return NGX_ERROR;
    }

    ngx_comms_aws_call(fetch->projects->aws, NGX_COMMS_AWS_DYNAMODB,
                       operation, in, NGX_COMMS_PROJECTS_DYNAMODB_TIMEOUT,
                       op);

    return NGX_OK;
}


static ngx_uint_t
ngx_comms_projects_has(json_t *list, ngx_str_t *name)
{
    size_t      i;
    json_t     *value;
    ngx_str_t   one;

    json_array_foreach(list, i, value) {

        one = ngx_comms_json_view(value);

        if (one.len == name->len
            && ngx_strncmp(one.data, name->data, one.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
