
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Credentials from one JSON file: {"<id>": {"provider": "<protocol>", ...}}.
 *
 * Each object is checked by the protocol that it is for, so that a wrong
 * credential is known before the first message needs it.  The document lives
 * as long as the configuration cycle.
 */


#include <project/ngx_comms_project.h>
#include <project/ngx_comms_project_files.h>
#include <ai/ngx_comms_ai.h>
#include <base/ngx_comms_json.h>


static ngx_int_t ngx_comms_secrets_check(ngx_comms_document_t *doc);
static void ngx_comms_secrets_check_one(ngx_comms_document_t *doc,
    const char *id, json_t *credentials);
static void ngx_comms_secrets_cleanup(void *data);
static ngx_int_t ngx_comms_secrets_get(ngx_comms_secrets_t *secrets,
    ngx_str_t *id, json_t **credentials, ngx_comms_op_t *op);
static ngx_int_t ngx_comms_secrets_of_provider(ngx_comms_secrets_t *secrets,
    ngx_str_t *provider, ngx_pool_t *pool, ngx_array_t **list,
    ngx_comms_op_t *op);


ngx_comms_secrets_t *
ngx_comms_secrets_files(ngx_conf_t *cf, ngx_str_t *path)
{
    ngx_int_t              rc;
    ngx_pool_cleanup_t    *cln;
    ngx_comms_secrets_t   *secrets;
    ngx_comms_document_t   doc;

    ngx_memzero(&doc, sizeof(ngx_comms_document_t));

    doc.log = cf->log;
    doc.path = *path;
    doc.secret = 1;

    if (ngx_conf_full_name(cf->cycle, &doc.path, 1) != NGX_OK) {
        return NULL;
    }

    secrets = ngx_pcalloc(cf->pool, sizeof(ngx_comms_secrets_t));
    if (secrets == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    if (ngx_comms_files_name(cf->pool, &doc.path, &secrets->name) != NGX_OK) {
        return NULL;
    }

    rc = ngx_comms_document_read(&doc);

    if (rc == NGX_OK) {
        rc = ngx_comms_secrets_check(&doc);
    }

    if (rc == NGX_OK) {
        secrets->data = json_incref(doc.root);
        cln->handler = ngx_comms_secrets_cleanup;
        cln->data = secrets;
    }

    ngx_comms_document_close(&doc);

    if (rc != NGX_OK) {
        return NULL;
    }

    secrets->get = ngx_comms_secrets_get;
    secrets->of_provider = ngx_comms_secrets_of_provider;

    return secrets;
}


static ngx_int_t
ngx_comms_secrets_check(ngx_comms_document_t *doc)
{
    json_t      *credentials;
    const char  *id;

    json_object_foreach(doc->root, id, credentials) {
        ngx_comms_secrets_check_one(doc, id, credentials);
    }

    return doc->mistakes == 0 ? NGX_OK : NGX_ERROR;
}


static void
ngx_comms_secrets_check_one(ngx_comms_document_t *doc, const char *id,
    json_t *credentials)
{
    json_t                 *value;
    ngx_str_t               name;
    const char             *field, *words;
    ngx_int_t             (*check)(json_t *credentials, const char **field,
                                   const char **words);
    ngx_comms_ai_t         *ai;
    ngx_comms_provider_t   *provider;
    ngx_comms_json_path_t   root, at, member;

    ngx_memzero(&root, sizeof(ngx_comms_json_path_t));

    at.parent = &root;
    at.key = id;

    member.parent = &at;
    member.key = "provider";

    name.data = (u_char *) id;
    name.len = ngx_strlen(id);

    if (!ngx_comms_name_valid(&name)) {
        ngx_comms_document_wrong(doc, &at, "is no id of credentials, which is "
                                 NGX_COMMS_NAME_WORDS);
        return;
    }

    if (!json_is_object(credentials)) {
        ngx_comms_document_mistake(doc, &at, credentials, 1, "an object");
        return;
    }

    value = json_object_get(credentials, "provider");
    name = ngx_comms_json_view(value);

    provider = ngx_comms_provider_by_name(&name);
    ai = ngx_comms_ai_by_name(&name);

    if (provider == NULL && ai == NULL) {
        ngx_comms_document_mistake(doc, &member, value, 1,
                                   "the name of a known protocol, as in"
                                   " \"comms_provider\"");
        return;
    }

    check = provider != NULL ? provider->check : ai->check;

    if (check(credentials, &field, &words) == NGX_OK) {
        return;
    }

    member.key = field;

    ngx_comms_document_wrong(doc, &member, words);
}


static void
ngx_comms_secrets_cleanup(void *data)
{
    ngx_comms_secrets_t  *secrets = data;

    json_decref(secrets->data);
}


static ngx_int_t
ngx_comms_secrets_get(ngx_comms_secrets_t *secrets, ngx_str_t *id,
    json_t **credentials, ngx_comms_op_t *op)
{
    *credentials = json_object_getn(secrets->data, (char *) id->data,
                                    id->len);

    return *credentials != NULL ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_comms_secrets_of_provider(ngx_comms_secrets_t *secrets,
    ngx_str_t *provider, ngx_pool_t *pool, ngx_array_t **list,
    ngx_comms_op_t *op)
{
    json_t                   *credentials;
    ngx_str_t                 name;
    const char               *id;
    ngx_comms_credentials_t  *entry;

    *list = ngx_array_create(pool, 4, sizeof(ngx_comms_credentials_t));
    if (*list == NULL) {
        return NGX_ERROR;
    }

    json_object_foreach(secrets->data, id, credentials) {
        name = ngx_comms_json_view(json_object_get(credentials, "provider"));

        if (name.len != provider->len
            || ngx_memcmp(name.data, provider->data, name.len) != 0)
        {
            continue;
        }

        entry = ngx_array_push(*list);
        if (entry == NULL) {
            return NGX_ERROR;
        }

        entry->id.data = (u_char *) id;
        entry->id.len = ngx_strlen(id);
        entry->credentials = credentials;
    }

    return NGX_OK;
}
