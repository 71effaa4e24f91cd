
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Credentials from Secrets Manager: the secret PREFIX + id holds one
 * credentials object, as the file of the embedded backend has it.
 *
 * After a rotation both versions are wanted: providers sign with the old
 * secret for a while, and people answer to addresses that were made with it.
 * So what the version AWSPREVIOUS holds for verification joins the members
 * that the protocol has for that; nothing is ever sent with it.
 *
 * Webhooks that must find out whose they are need all ids, which are listed
 * under a key that is no id.  No value of a secret is ever logged.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <ai/ngx_comms_ai.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_channel.h>
#include <project/ngx_comms_project_aws.h>
#include <project/ngx_comms_project_aws_cache.h>
#include <project/ngx_comms_project_files.h>


#define NGX_COMMS_SECRETS_AWS_TERM     300000
#define NGX_COMMS_SECRETS_AWS_TIMEOUT  5000
#define NGX_COMMS_SECRETS_AWS_MAX      1000


typedef struct {
    ngx_comms_aws_t      *aws;
    ngx_str_t             prefix;
    ngx_comms_cache_t     cache;
} ngx_comms_secrets_aws_t;


/* one fetch on its way */
typedef struct {
    ngx_comms_cached_t       *entry;
    ngx_comms_secrets_aws_t  *secrets;
    json_t                   *found;     /* credentials, or all ids */
} ngx_comms_secret_fetch_t;


static void ngx_comms_secrets_aws_checked(ngx_comms_op_t *op);
static ngx_int_t ngx_comms_secrets_aws_get(ngx_comms_secrets_t *secrets,
    ngx_str_t *id, json_t **credentials, ngx_comms_op_t *op);
static ngx_int_t ngx_comms_secrets_aws_doubt(ngx_comms_secrets_t *secrets,
    ngx_str_t *id);
static ngx_int_t ngx_comms_secrets_aws_of_provider(
    ngx_comms_secrets_t *secrets, ngx_str_t *provider, ngx_pool_t *pool,
    ngx_array_t **list, ngx_comms_op_t *op);
static ngx_int_t ngx_comms_secrets_aws_collect(ngx_comms_secrets_aws_t *sa,
    json_t *ids, ngx_str_t *provider, ngx_array_t *list, ngx_comms_op_t *op);
static void ngx_comms_secrets_aws_fetch(ngx_comms_cached_t *entry);
static void ngx_comms_secrets_aws_ask(ngx_comms_secret_fetch_t *fetch,
    const char *operation, json_t *in, ngx_comms_op_handler_pt handler);
static json_t *ngx_comms_secrets_aws_value_in(ngx_comms_secret_fetch_t *fetch,
    const char *stage);
static json_t *ngx_comms_secrets_aws_list_in(ngx_comms_secret_fetch_t *fetch,
    json_t *next);
static void ngx_comms_secrets_aws_current(ngx_comms_op_t *op);
static void ngx_comms_secrets_aws_previous(ngx_comms_op_t *op);
static void ngx_comms_secrets_aws_listed(ngx_comms_op_t *op);
static void ngx_comms_secrets_aws_done(ngx_comms_secret_fetch_t *fetch,
    ngx_int_t rc);
static ngx_int_t ngx_comms_secrets_aws_refused(ngx_comms_op_t *op);
static void ngx_comms_secrets_aws_say(ngx_comms_secret_fetch_t *fetch,
    ngx_str_t *code);
static json_t *ngx_comms_secrets_aws_read(ngx_comms_secret_fetch_t *fetch,
    json_t *answer);
static const char *ngx_comms_secrets_aws_wrong(json_t *credentials,
    const char **field);
static json_t *ngx_comms_secrets_aws_overlap(json_t *current,
    json_t *previous);
static ngx_int_t ngx_comms_secrets_aws_join(json_t *credentials,
    const char *member, json_t *value);


/* members of the previous version, and where they are verified */

static const char  *ngx_comms_secrets_aws_overlaps[][2] = {
    { "auth_token", "previous_auth_tokens" },
    { "previous_auth_tokens", "previous_auth_tokens" },
    { "inbound_tokens", "inbound_tokens" },
    { "reply_keys", "reply_keys" },
    { "inbound_secrets", "inbound_secrets" },
    { NULL, NULL }
};


/* "/" is in no id */
static ngx_str_t  ngx_comms_secrets_aws_all = ngx_string("/");


ngx_comms_secrets_t *
ngx_comms_secrets_aws(ngx_conf_t *cf, ngx_comms_aws_t *aws,
    ngx_comms_secrets_aws_conf_t *conf)
{
    ngx_comms_secrets_t      *secrets;
    ngx_comms_secrets_aws_t  *sa;

    secrets = ngx_pcalloc(cf->pool, sizeof(ngx_comms_secrets_t));
    sa = ngx_pcalloc(cf->pool, sizeof(ngx_comms_secrets_aws_t));

    if (secrets == NULL || sa == NULL) {
        return NULL;
    }

    sa->aws = aws;
    sa->prefix = conf->prefix;

    ngx_comms_cache_init(&sa->cache, sa, ngx_comms_secrets_aws_fetch,
                         conf->term ? conf->term
                                    : NGX_COMMS_SECRETS_AWS_TERM);

    ngx_str_set(&secrets->name, "aws");
    secrets->data = sa;
    secrets->get = ngx_comms_secrets_aws_get;
    secrets->of_provider = ngx_comms_secrets_aws_of_provider;
    secrets->refused = ngx_comms_secrets_aws_doubt;

    return secrets;
}


/* a list, and one of what is on it: both permissions are needed */

void
ngx_comms_secrets_aws_check(ngx_comms_secrets_t *secrets)
{
    void                     *ids;
    ngx_comms_op_t           *op;
    ngx_comms_secrets_aws_t  *sa;

    sa = secrets->data;

    op = ngx_comms_op_create(ngx_comms_secrets_aws_checked, sa, 0);

    if (op != NULL
        && ngx_comms_cache_get(&sa->cache, &ngx_comms_secrets_aws_all, op,
                               &ids)
           != NGX_AGAIN)
    {
        ngx_comms_op_finish(op, NGX_OK, NULL);
    }
}


static void
ngx_comms_secrets_aws_checked(ngx_comms_op_t *op)
{
    void                     *ids;
    ngx_str_t                 first;
    ngx_comms_secrets_aws_t  *sa;

    sa = op->data;

    if (ngx_comms_cache_get(&sa->cache, &ngx_comms_secrets_aws_all, NULL,
                            &ids)
        != NGX_OK)
    {
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "comms secrets are connected: aws, %uz secrets \"%V*\"",
                  json_array_size(ids), &sa->prefix);

    if (json_array_size(ids) != 0) {
        first = ngx_comms_json_view(json_array_get(ids, 0));
        ngx_comms_cache_want(&sa->cache, &first);
    }
}


static ngx_int_t
ngx_comms_secrets_aws_get(ngx_comms_secrets_t *secrets, ngx_str_t *id,
    json_t **credentials, ngx_comms_op_t *op)
{
    void                     *value;
    ngx_int_t                 rc;
    ngx_comms_secrets_aws_t  *sa;

    sa = secrets->data;

    if (!ngx_comms_name_valid(id)) {
        return NGX_DECLINED;
    }

    rc = ngx_comms_cache_get(&sa->cache, id, op, &value);

    if (rc == NGX_OK) {
        *credentials = value;
    }

    return rc;
}


static ngx_int_t
ngx_comms_secrets_aws_doubt(ngx_comms_secrets_t *secrets, ngx_str_t *id)
{
    ngx_comms_secrets_aws_t  *sa;

    sa = secrets->data;

    return ngx_comms_cache_doubt(&sa->cache, id);
}


static ngx_int_t
ngx_comms_secrets_aws_of_provider(ngx_comms_secrets_t *secrets,
    ngx_str_t *provider, ngx_pool_t *pool, ngx_array_t **list,
    ngx_comms_op_t *op)
{
    void                     *ids;
    ngx_int_t                 rc;
    ngx_comms_secrets_aws_t  *sa;

    sa = secrets->data;

    rc = ngx_comms_cache_get(&sa->cache, &ngx_comms_secrets_aws_all, op,
                             &ids);
    if (rc != NGX_OK) {
        return rc;
    }

    *list = ngx_array_create(pool, 4, sizeof(ngx_comms_credentials_t));
    if (*list == NULL) {
        return NGX_ERROR;
    }

    return ngx_comms_secrets_aws_collect(sa, ids, provider, *list, op);
}


/* credentials that are missing or broken hold nobody else up */

static ngx_int_t
ngx_comms_secrets_aws_collect(ngx_comms_secrets_aws_t *sa, json_t *ids,
    ngx_str_t *provider, ngx_array_t *list, ngx_comms_op_t *op)
{
    void                     *value;
    size_t                    i;
    json_t                   *id;
    ngx_int_t                 rc, again;
    ngx_str_t                 name, protocol;
    ngx_comms_credentials_t  *credentials;

    again = 0;

    json_array_foreach(ids, i, id) {

        name = ngx_comms_json_view(id);
        rc = ngx_comms_cache_get(&sa->cache, &name, again ? NULL : op,
                                 &value);

        if (rc == NGX_AGAIN) {

            if (op != NULL) {
                ngx_comms_cache_want(&sa->cache, &name);
            }

            again = 1;
        }

        if (rc != NGX_OK) {
            continue;
        }

        protocol = ngx_comms_json_view(json_object_get(value, "provider"));

        if (protocol.len != provider->len
            || ngx_strncmp(protocol.data, provider->data, protocol.len) != 0)
        {
            continue;
        }

        credentials = ngx_array_push(list);
        if (credentials == NULL) {
            return again ? NGX_AGAIN : NGX_ERROR;
        }

        credentials->id = name;
        credentials->credentials = value;
    }

    return again ? NGX_AGAIN : NGX_OK;
}


static void
ngx_comms_secrets_aws_fetch(ngx_comms_cached_t *entry)
{
    ngx_comms_secret_fetch_t  *fetch;

    fetch = ngx_calloc(sizeof(ngx_comms_secret_fetch_t), ngx_cycle->log);
    if (fetch == NULL) {
        ngx_comms_cache_done(entry, NGX_ERROR, NULL);
        return;
    }

    fetch->entry = entry;
    fetch->secrets = entry->cache->data;

    if (entry->node.str.data[0] == '/') {
        fetch->found = json_array();

        ngx_comms_secrets_aws_ask(fetch, "ListSecrets",
                                  ngx_comms_secrets_aws_list_in(fetch, NULL),
                                  ngx_comms_secrets_aws_listed);
        return;
    }

    ngx_comms_secrets_aws_ask(fetch, "GetSecretValue",
                              ngx_comms_secrets_aws_value_in(fetch,
                                                             "AWSCURRENT"),
                              ngx_comms_secrets_aws_current);
}


static void
ngx_comms_secrets_aws_ask(ngx_comms_secret_fetch_t *fetch,
    const char *operation, json_t *in, ngx_comms_op_handler_pt handler)
{
    ngx_comms_op_t  *op;

    op = (in != NULL) ? ngx_comms_op_create(handler, fetch, 0) : NULL;

    if (op == NULL) {
        json_decref(in);
        ngx_comms_secrets_aws_done(fetch, NGX_ERROR);
        return;
    }

    ngx_comms_aws_call(fetch->secrets->aws, NGX_COMMS_AWS_SECRETSMANAGER,
                       operation, in, NGX_COMMS_SECRETS_AWS_TIMEOUT, op);
}


static json_t *
ngx_comms_secrets_aws_value_in(ngx_comms_secret_fetch_t *fetch,
    const char *stage)
{
    ngx_str_t  *id, *prefix;

    id = &fetch->entry->node.str;
    prefix = &fetch->secrets->prefix;

    return json_pack("{s:s%+%, s:s}", "SecretId", prefix->data, prefix->len,
                     id->data, id->len, "VersionStage", stage);
}


static json_t *
ngx_comms_secrets_aws_list_in(ngx_comms_secret_fetch_t *fetch, json_t *next)
{
    ngx_str_t  *prefix;

    prefix = &fetch->secrets->prefix;

    if (prefix->len == 0) {
        return json_pack("{s:i, s:O*}", "MaxResults", 100,
                         "NextToken", next);
    }

    return json_pack("{s:i, s:O*, s:[{s:s, s:[s%]}]}", "MaxResults", 100,
                     "NextToken", next, "Filters", "Key", "name", "Values",
                     prefix->data, prefix->len);
}


static void
ngx_comms_secrets_aws_current(ngx_comms_op_t *op)
{
    ngx_comms_secret_fetch_t  *fetch;

    fetch = op->data;

    if (op->rc != NGX_OK) {
        ngx_comms_secrets_aws_done(fetch, ngx_comms_secrets_aws_refused(op));
        return;
    }

    fetch->found = ngx_comms_secrets_aws_read(fetch, op->answer);

    if (fetch->found == NULL) {
        ngx_comms_secrets_aws_done(fetch, NGX_ERROR);
        return;
    }

    ngx_comms_secrets_aws_ask(fetch, "GetSecretValue",
                              ngx_comms_secrets_aws_value_in(fetch,
                                                             "AWSPREVIOUS"),
                              ngx_comms_secrets_aws_previous);
}


static void
ngx_comms_secrets_aws_previous(ngx_comms_op_t *op)
{
    json_t                    *text, *previous, *joined;
    ngx_int_t                  rc;
    ngx_comms_secret_fetch_t  *fetch;

    fetch = op->data;
    rc = NGX_OK;

    if (op->rc == NGX_OK) {
        text = json_object_get(op->answer, "SecretString");
        previous = json_is_string(text)
                   ? json_loads(json_string_value(text),
                                JSON_REJECT_DUPLICATES, NULL)
                   : NULL;

        joined = ngx_comms_secrets_aws_overlap(fetch->found, previous);

        json_decref(previous);

        if (joined != NULL) {
            json_decref(fetch->found);
            fetch->found = joined;
        }

    } else if (op->rc != NGX_DECLINED) {

        /* with the current one alone some webhooks would be refused */

        rc = NGX_ERROR;
    }

    ngx_comms_secrets_aws_done(fetch, rc);
}


static void
ngx_comms_secrets_aws_listed(ngx_comms_op_t *op)
{
    size_t                     i;
    json_t                    *secret, *next;
    ngx_str_t                  name, *prefix;
    ngx_comms_secret_fetch_t  *fetch;

    fetch = op->data;
    prefix = &fetch->secrets->prefix;

    if (op->rc != NGX_OK) {
        (void) ngx_comms_secrets_aws_refused(op);
        ngx_comms_secrets_aws_done(fetch, NGX_ERROR);
        return;
    }

    json_array_foreach(json_object_get(op->answer, "SecretList"), i, secret) {

        name = ngx_comms_json_view(json_object_get(secret, "Name"));

        if (name.len < prefix->len
            || ngx_strncmp(name.data, prefix->data, prefix->len) != 0)
        {
            continue;
        }

        name.data += prefix->len;
        name.len -= prefix->len;

        if (ngx_comms_name_valid(&name)
            && json_array_append_new(fetch->found,
                                     ngx_comms_json_string(&name))
               != 0)
        {
            ngx_comms_secrets_aws_done(fetch, NGX_ERROR);
            return;
        }
    }

    next = json_object_get(op->answer, "NextToken");

    if (json_is_string(next)
        && json_array_size(fetch->found) < NGX_COMMS_SECRETS_AWS_MAX)
    {
        ngx_comms_secrets_aws_ask(fetch, "ListSecrets",
                                  ngx_comms_secrets_aws_list_in(fetch, next),
                                  ngx_comms_secrets_aws_listed);
        return;
    }

    ngx_comms_secrets_aws_done(fetch, NGX_OK);
}


static void
ngx_comms_secrets_aws_done(ngx_comms_secret_fetch_t *fetch, ngx_int_t rc)
{
    json_t              *found;
    ngx_comms_cached_t  *entry;

    entry = fetch->entry;
    found = fetch->found;

    ngx_free(fetch);

    if (rc != NGX_OK) {
        json_decref(found);
        ngx_comms_cache_done(entry, rc, NULL);
        return;
    }

    if (entry->value != NULL && json_equal(entry->value, found)) {
        json_decref(found);
        ngx_comms_cache_done(entry, NGX_OK, entry->value);
        return;
    }

    rc = (found != NULL) ? ngx_comms_cache_keep(found) : NGX_ERROR;

    ngx_comms_cache_done(entry, rc, rc == NGX_OK ? found : NULL);
}


/* what a failure means */

static ngx_int_t
ngx_comms_secrets_aws_refused(ngx_comms_op_t *op)
{
    ngx_str_t                  code;
    ngx_comms_secret_fetch_t  *fetch;

    fetch = op->data;

    if (op->rc != NGX_DECLINED) {
        return NGX_ERROR;
    }

    code = ngx_comms_json_view(json_object_get(op->answer, "code"));

    if (!fetch->entry->said) {
        fetch->entry->said = 1;
        ngx_comms_secrets_aws_say(fetch, &code);
    }

    if (code.len == sizeof("ResourceNotFoundException") - 1
        && ngx_strncmp(code.data, "ResourceNotFoundException", code.len) == 0)
    {
        return NGX_DECLINED;
    }

    return NGX_ERROR;
}


static void
ngx_comms_secrets_aws_say(ngx_comms_secret_fetch_t *fetch, ngx_str_t *code)
{
    ngx_str_t   *id;
    const char  *advice;

    id = &fetch->entry->node.str;

    if (id->data[0] == '/') {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "the secrets \"%V*\" could not be listed (%V): the"
                      " credentials must allow secretsmanager:ListSecrets",
                      &fetch->secrets->prefix, code);
        return;
    }

    advice = "";

    if (code->len >= sizeof("AccessDenied") - 1
        && ngx_strncmp(code->data, "AccessDenied", sizeof("AccessDenied") - 1)
           == 0)
    {
        advice = ": the credentials must allow secretsmanager:GetSecretValue"
                 " on it";
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "the secret \"%V%V\" could not be read (%V)%s",
                  &fetch->secrets->prefix, id, code, advice);
}


static json_t *
ngx_comms_secrets_aws_read(ngx_comms_secret_fetch_t *fetch, json_t *answer)
{
    json_t                  *credentials;
    ngx_str_t                text;
    const char              *field, *words;
    ngx_comms_json_error_t   err;

    text = ngx_comms_json_view(json_object_get(answer, "SecretString"));
    credentials = (text.len != 0) ? ngx_comms_json_parse(&text, &err) : NULL;

    if (!json_is_object(credentials)) {
        field = "SecretString";
        words = "must be a JSON object";

    } else {
        words = ngx_comms_secrets_aws_wrong(credentials, &field);
    }

    if (words == NULL) {
        return credentials;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "the secret \"%V%V\" cannot be used: field \"%s\" %s",
                  &fetch->secrets->prefix, &fetch->entry->node.str, field,
                  words);

    json_decref(credentials);

    return NULL;
}


/* the words, or NULL when nothing is wrong */

static const char *
ngx_comms_secrets_aws_wrong(json_t *credentials, const char **field)
{
    ngx_int_t              rc;
    ngx_str_t              name;
    const char            *words;
    ngx_comms_ai_t        *ai;
    ngx_comms_provider_t  *provider;

    name = ngx_comms_json_view(json_object_get(credentials, "provider"));

    provider = ngx_comms_provider_by_name(&name);
    ai = ngx_comms_ai_by_name(&name);

    if (provider == NULL && ai == NULL) {
        *field = "provider";
        return "must be the name of a known protocol, as in"
               " \"comms_provider\"";
    }

    words = NULL;

    rc = (provider != NULL) ? provider->check(credentials, field, &words)
                            : ai->check(credentials, field, &words);

    return (rc == NGX_OK) ? NULL : words;
}


/* NULL when there is nothing to join, or the result would not be valid */

static json_t *
ngx_comms_secrets_aws_overlap(json_t *current, json_t *previous)
{
    size_t        i, n;
    json_t       *joined, *value, *one;
    const char   *field, *from, *to;

    if (!json_is_object(previous)
        || !json_equal(json_object_get(current, "provider"),
                       json_object_get(previous, "provider")))
    {
        return NULL;
    }

    joined = json_deep_copy(current);

    for (n = 0; ngx_comms_secrets_aws_overlaps[n][0] != NULL; n++) {

        from = ngx_comms_secrets_aws_overlaps[n][0];
        to = ngx_comms_secrets_aws_overlaps[n][1];
        value = json_object_get(previous, from);

        if (json_is_string(value)) {

            if (!json_equal(value, json_object_get(current, from))
                && ngx_comms_secrets_aws_join(joined, to, value) != NGX_OK)
            {
                goto failed;
            }

            continue;
        }

        json_array_foreach(value, i, one) {
            if (ngx_comms_secrets_aws_join(joined, to, one) != NGX_OK) {
                goto failed;
            }
        }
    }

    if (joined != NULL
        && ngx_comms_secrets_aws_wrong(joined, &field) == NULL)
    {
        return joined;
    }

failed:

    json_decref(joined);

    return NULL;
}


/* adds behind the others, whose order matters, unless it is there already */

static ngx_int_t
ngx_comms_secrets_aws_join(json_t *credentials, const char *member,
    json_t *value)
{
    size_t   i;
    json_t  *list, *one;

    list = json_object_get(credentials, member);

    if (list == NULL) {
        list = json_array();

        if (json_object_set_new(credentials, member, list) != 0) {
            return NGX_ERROR;
        }
    }

    json_array_foreach(list, i, one) {
        if (json_equal(one, value)) {
            return NGX_OK;
        }
    }

    return json_array_append(list, value) == 0 ? NGX_OK : NGX_ERROR;
}
