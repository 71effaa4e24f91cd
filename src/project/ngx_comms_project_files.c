
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Projects from a directory: each "*.json" file is one project.
 *
 * Three trees, all built at configuration time and only read afterwards:
 *   by_name  "<company_id>#<project_id>" -> project ("#" is in no id)
 *   by_key   SHA-256 of an API key -> the companies that it opens
 *   openers  SHA-256 of an API key and a company_id: the pairs that fit
 *
 * Whether a key opens a company is one hash and one look-up in "openers",
 * whoever does not exist: the key, the company, or only the pair.  The time
 * of the look-up depends on the digest, from which no key can be guessed.
 *
 * Files are read in the order of their names, so that the messages about them
 * come in the same order each time.
 */


#include <project/ngx_comms_project_files.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>


typedef struct {
    ngx_str_node_t        node;
    ngx_str_t             path;
    ngx_comms_project_t   project;
} ngx_comms_project_file_t;


typedef struct {
    ngx_str_node_t   node;
    ngx_array_t      companies;          /* of ngx_str_t */
} ngx_comms_project_opener_t;


typedef struct {
    ngx_pool_t           *pool;
    ngx_log_t            *log;
    ngx_comms_secrets_t  *secrets;
    ngx_array_t           files;         /* of ngx_comms_project_file_t * */

    ngx_rbtree_t          by_name;
    ngx_rbtree_node_t     by_name_sentinel;
    ngx_rbtree_t          by_key;
    ngx_rbtree_node_t     by_key_sentinel;
    ngx_rbtree_t          openers;
    ngx_rbtree_node_t     openers_sentinel;
} ngx_comms_project_files_t;


static ngx_comms_projects_t *ngx_comms_projects_create(ngx_conf_t *cf,
    ngx_str_t *dir, ngx_comms_secrets_t *secrets);
static void ngx_comms_projects_cleanup(void *data);
static ngx_int_t ngx_comms_projects_names(ngx_comms_project_files_t *files,
    ngx_str_t *dir, ngx_array_t *names);
static ngx_int_t ngx_comms_projects_name(ngx_comms_project_files_t *files,
    ngx_str_t *dir, u_char *entry, size_t len, ngx_array_t *names);
static int ngx_libc_cdecl ngx_comms_projects_compare(const void *one,
    const void *two);
static ngx_int_t ngx_comms_projects_read(ngx_comms_project_files_t *files,
    ngx_str_t *path);
static ngx_int_t ngx_comms_projects_add(ngx_comms_project_files_t *files,
    ngx_comms_document_t *doc);
static ngx_int_t ngx_comms_projects_fill(ngx_comms_project_files_t *files,
    ngx_comms_project_t *project, json_t *config);
static ngx_uint_t ngx_comms_projects_limit(json_t *config, const char *key);
static ngx_int_t ngx_comms_projects_keys(ngx_comms_project_files_t *files,
    ngx_comms_project_t *project, json_t *digests);
static ngx_int_t ngx_comms_projects_digest(ngx_pool_t *pool, json_t *hex,
    ngx_str_t *digest);
static ngx_int_t ngx_comms_projects_opens_add(
    ngx_comms_project_files_t *files, ngx_str_t *digest, ngx_str_t *company);
static ngx_int_t ngx_comms_projects_pair(ngx_str_t *first, u_char *between,
    ngx_str_t *second, u_char *buf, size_t size, ngx_str_t *pair);
static ngx_str_node_t *ngx_comms_projects_lookup(ngx_rbtree_t *tree,
    ngx_str_t *name);
static void ngx_comms_projects_insert(ngx_rbtree_t *tree,
    ngx_str_node_t *node);
static ngx_int_t ngx_comms_projects_find(ngx_comms_projects_t *projects,
    ngx_str_t *company_id, ngx_str_t *project_id,
    ngx_comms_project_t **project, ngx_comms_op_t *op);
static ngx_int_t ngx_comms_projects_opens(ngx_comms_projects_t *projects,
    ngx_str_t *company_id, ngx_str_t *api_key, ngx_comms_op_t *op);
static ngx_int_t ngx_comms_projects_companies(ngx_comms_projects_t *projects,
    ngx_str_t *api_key, ngx_pool_t *pool, ngx_array_t **companies,
    ngx_comms_op_t *op);


ngx_comms_projects_t *
ngx_comms_projects_files(ngx_conf_t *cf, ngx_str_t *dir,
    ngx_comms_secrets_t *secrets)
{
    ngx_str_t                   path, *names;
    ngx_uint_t                  i, failed;
    ngx_array_t                 list;
    ngx_comms_projects_t       *projects;
    ngx_comms_project_files_t  *files;

    path = *dir;

    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
        return NULL;
    }

    projects = ngx_comms_projects_create(cf, &path, secrets);
    if (projects == NULL) {
        return NULL;
    }

    files = projects->data;

    if (ngx_comms_projects_names(files, &path, &list) != NGX_OK) {
        return NULL;
    }

    failed = 0;
    names = list.elts;

    for (i = 0; i < list.nelts; i++) {

        if (ngx_comms_projects_read(files, &names[i]) != NGX_OK) {
            failed = 1;
        }
    }

    return failed ? NULL : projects;
}


static ngx_comms_projects_t *
ngx_comms_projects_create(ngx_conf_t *cf, ngx_str_t *dir,
    ngx_comms_secrets_t *secrets)
{
    ngx_pool_cleanup_t         *cln;
    ngx_comms_projects_t       *projects;
    ngx_comms_project_files_t  *files;

    projects = ngx_pcalloc(cf->pool, sizeof(ngx_comms_projects_t));
    files = ngx_pcalloc(cf->pool, sizeof(ngx_comms_project_files_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (projects == NULL || files == NULL || cln == NULL
        || ngx_comms_files_name(cf->pool, dir, &projects->name) != NGX_OK
        || ngx_array_init(&files->files, cf->pool, 16,
                          sizeof(ngx_comms_project_file_t *))
           != NGX_OK)
    {
        return NULL;
    }

    files->pool = cf->pool;
    files->log = cf->log;
    files->secrets = secrets;

    ngx_rbtree_init(&files->by_name, &files->by_name_sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_rbtree_init(&files->by_key, &files->by_key_sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_rbtree_init(&files->openers, &files->openers_sentinel,
                    ngx_str_rbtree_insert_value);

    cln->handler = ngx_comms_projects_cleanup;
    cln->data = files;

    projects->data = files;
    projects->find = ngx_comms_projects_find;
    projects->opens = ngx_comms_projects_opens;
    projects->companies = ngx_comms_projects_companies;

    return projects;
}


static void
ngx_comms_projects_cleanup(void *data)
{
    ngx_comms_project_files_t  *files = data;

    ngx_uint_t                  i;
    ngx_comms_project_file_t  **file;

    file = files->files.elts;

    for (i = 0; i < files->files.nelts; i++) {
        json_decref(file[i]->project.config);
    }
}


ngx_int_t
ngx_comms_files_name(ngx_pool_t *pool, ngx_str_t *path, ngx_str_t *name)
{
    name->data = ngx_pnalloc(pool, sizeof("files ") - 1 + path->len);
    if (name->data == NULL) {
        return NGX_ERROR;
    }

    name->len = ngx_sprintf(name->data, "files %V", path) - name->data;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_projects_names(ngx_comms_project_files_t *files, ngx_str_t *dir,
    ngx_array_t *names)
{
    ngx_int_t  rc;
    ngx_dir_t  d;

    if (ngx_array_init(names, files->pool, 16, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_open_dir(dir, &d) == NGX_ERROR) {
        ngx_log_error(NGX_LOG_EMERG, files->log, ngx_errno,
                      ngx_open_dir_n " \"%V\" failed", dir);
        return NGX_ERROR;
    }

    rc = NGX_OK;

    while (rc == NGX_OK) {
        ngx_set_errno(0);

        if (ngx_read_dir(&d) == NGX_ERROR) {

            if (ngx_errno != NGX_ENOMOREFILES) {
                ngx_log_error(NGX_LOG_EMERG, files->log, ngx_errno,
                              ngx_read_dir_n " \"%V\" failed", dir);
                rc = NGX_ERROR;
            }

            break;
        }

        rc = ngx_comms_projects_name(files, dir, ngx_de_name(&d),
                                     ngx_de_namelen(&d), names);
    }

    if (ngx_close_dir(&d) == NGX_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, files->log, ngx_errno,
                      ngx_close_dir_n " \"%V\" failed", dir);
    }

    if (rc == NGX_OK && names->nelts == 0) {
        ngx_log_error(NGX_LOG_EMERG, files->log, 0,
                      "no \"*.json\" files in \"%V\"", dir);
        return NGX_ERROR;
    }

    ngx_qsort(names->elts, names->nelts, sizeof(ngx_str_t),
              ngx_comms_projects_compare);

    return rc;
}


static ngx_int_t
ngx_comms_projects_name(ngx_comms_project_files_t *files, ngx_str_t *dir,
    u_char *entry, size_t len, ngx_array_t *names)
{
    size_t      suffix;
    u_char     *p;
    ngx_str_t  *name;

    suffix = sizeof(".json") - 1;

    if (entry[0] == '.' || len <= suffix
        || ngx_strncmp(entry + len - suffix, ".json", suffix) != 0)
    {
        return NGX_OK;
    }

    name = ngx_array_push(names);
    if (name == NULL) {
        return NGX_ERROR;
    }

    name->len = dir->len + 1 + len;

    name->data = ngx_pnalloc(files->pool, name->len + 1);
    if (name->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(name->data, dir->data, dir->len);

    if (dir->len != 0 && p[-1] == '/') {
        name->len--;

    } else {
        *p++ = '/';
    }

    p = ngx_cpymem(p, entry, len);
    *p = '\0';

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_comms_projects_compare(const void *one, const void *two)
{
    const ngx_str_t  *first = one;
    const ngx_str_t  *second = two;

    return ngx_strcmp(first->data, second->data);
}


static ngx_int_t
ngx_comms_projects_read(ngx_comms_project_files_t *files, ngx_str_t *path)
{
    ngx_int_t             rc;
    ngx_comms_document_t  doc;

    ngx_memzero(&doc, sizeof(ngx_comms_document_t));

    doc.log = files->log;
    doc.path = *path;

    rc = ngx_comms_document_read(&doc);

    if (rc == NGX_OK) {
        rc = ngx_comms_project_check(&doc, files->secrets);
    }

    if (rc == NGX_OK) {
        rc = ngx_comms_projects_add(files, &doc);
    }

    ngx_comms_document_close(&doc);

    return rc;
}


static ngx_int_t
ngx_comms_projects_add(ngx_comms_project_files_t *files,
    ngx_comms_document_t *doc)
{
    u_char                      buf[2 * NGX_COMMS_NAME_MAX + 1];
    ngx_str_t                   name;
    ngx_comms_project_t        *project;
    ngx_comms_project_file_t   *file, *other, **slot;

    file = ngx_pcalloc(files->pool, sizeof(ngx_comms_project_file_t));
    if (file == NULL) {
        return NGX_ERROR;
    }

    project = &file->project;
    file->path = doc->path;

    if (ngx_comms_projects_fill(files, project, doc->root) != NGX_OK
        || ngx_comms_projects_pair(&project->company_id, (u_char *) "#",
                                   &project->project_id, buf, sizeof(buf),
                                   &name)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    other = (ngx_comms_project_file_t *)
                ngx_comms_projects_lookup(&files->by_name, &name);

    if (other != NULL) {
        ngx_log_error(NGX_LOG_EMERG, files->log, 0,
                      "\"%V\" has project \"%V\" of company \"%V\","
                      " which \"%V\" has already", &file->path,
                      &project->project_id, &project->company_id,
                      &other->path);
        return NGX_ERROR;
    }

    file->node.str.len = name.len;
    file->node.str.data = ngx_pstrdup(files->pool, &name);
    if (file->node.str.data == NULL) {
        return NGX_ERROR;
    }

    slot = ngx_array_push(&files->files);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    *slot = file;
    project->config = json_incref(doc->root);

    ngx_comms_projects_insert(&files->by_name, &file->node);

    return NGX_OK;
}


/* "config" is valid; the strings are borrowed from it */

static ngx_int_t
ngx_comms_projects_fill(ngx_comms_project_files_t *files,
    ngx_comms_project_t *project, json_t *config)
{
    size_t      i;
    json_t     *channel;
    ngx_str_t   name;

    project->company_id = ngx_comms_json_view(
                              json_object_get(config, "company_id"));
    project->project_id = ngx_comms_json_view(
                              json_object_get(config, "project_id"));

    name = ngx_comms_json_view(json_object_get(config, "project_status"));
    project->active = (name.len == sizeof("active") - 1);

    json_array_foreach(json_object_get(config, "allowed_channels"), i,
                       channel)
    {
        name = ngx_comms_json_view(channel);
        project->channels |= 1 << ngx_comms_channel_by_name(&name);
    }

    project->requests_per_minute =
        ngx_comms_projects_limit(config, "requests_per_minute");
    project->requests_per_day =
        ngx_comms_projects_limit(config, "requests_per_day");
    project->concurrent_conversations =
        ngx_comms_projects_limit(config, "concurrent_conversations");

    return ngx_comms_projects_keys(files, project,
                                   json_object_get(config,
                                                   "api_key_sha256"));
}


static ngx_uint_t
ngx_comms_projects_limit(json_t *config, const char *key)
{
    int64_t  n;

    if (ngx_comms_json_int(json_object_get(config, "rate_limits"), key, &n)
        != NGX_OK)
    {
        return 0;
    }

    return n;
}


static ngx_int_t
ngx_comms_projects_keys(ngx_comms_project_files_t *files,
    ngx_comms_project_t *project, json_t *digests)
{
    size_t      i;
    json_t     *hex;
    ngx_str_t  *digest;

    if (ngx_array_init(&project->keys, files->pool, json_array_size(digests),
                       sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    json_array_foreach(digests, i, hex) {

        digest = ngx_array_push(&project->keys);

        if (digest == NULL
            || ngx_comms_projects_digest(files->pool, hex, digest) != NGX_OK
            || ngx_comms_projects_opens_add(files, digest,
                                            &project->company_id)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_projects_digest(ngx_pool_t *pool, json_t *hex, ngx_str_t *digest)
{
    u_char      high, low;
    ngx_str_t   text;
    ngx_uint_t  i;

    text = ngx_comms_json_view(hex);

    digest->len = NGX_COMMS_SHA256_LEN;

    digest->data = ngx_pnalloc(pool, digest->len);
    if (digest->data == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < digest->len; i++) {
        high = text.data[2 * i];
        low = text.data[2 * i + 1];

        high = (high <= '9') ? high - '0' : high - 'a' + 10;
        low = (low <= '9') ? low - '0' : low - 'a' + 10;

        digest->data[i] = (high << 4) | low;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_projects_opens_add(ngx_comms_project_files_t *files,
    ngx_str_t *digest, ngx_str_t *company)
{
    u_char                       buf[NGX_COMMS_SHA256_LEN
                                     + NGX_COMMS_NAME_MAX];
    ngx_str_t                    pair, *slot;
    ngx_str_node_t              *node;
    ngx_comms_project_opener_t  *opener;

    if (ngx_comms_projects_pair(digest, NULL, company, buf, sizeof(buf),
                                &pair)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_projects_lookup(&files->openers, &pair) != NULL) {
        return NGX_OK;
    }

    node = ngx_palloc(files->pool, sizeof(ngx_str_node_t));
    if (node == NULL) {
        return NGX_ERROR;
    }

    node->str.len = pair.len;
    node->str.data = ngx_pstrdup(files->pool, &pair);
    if (node->str.data == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_projects_insert(&files->openers, node);

    opener = (ngx_comms_project_opener_t *)
                 ngx_comms_projects_lookup(&files->by_key, digest);

    if (opener == NULL) {
        opener = ngx_palloc(files->pool, sizeof(ngx_comms_project_opener_t));

        if (opener == NULL
            || ngx_array_init(&opener->companies, files->pool, 1,
                              sizeof(ngx_str_t))
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        opener->node.str = *digest;
        ngx_comms_projects_insert(&files->by_key, &opener->node);
    }

    slot = ngx_array_push(&opener->companies);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    /* the node's copy outlives a document that is refused later */

    slot->len = company->len;
    slot->data = node->str.data + digest->len;

    return NGX_OK;
}


/* joins two names; NGX_DECLINED when they cannot be ids, being too long */

static ngx_int_t
ngx_comms_projects_pair(ngx_str_t *first, u_char *between, ngx_str_t *second,
    u_char *buf, size_t size, ngx_str_t *pair)
{
    u_char  *p;

    if (first->len > size || second->len > size
        || first->len + (between != NULL) + second->len > size)
    {
        return NGX_DECLINED;
    }

    p = ngx_cpymem(buf, first->data, first->len);

    if (between != NULL) {
        *p++ = *between;
    }

    p = ngx_cpymem(p, second->data, second->len);

    pair->data = buf;
    pair->len = p - buf;

    return NGX_OK;
}


static ngx_str_node_t *
ngx_comms_projects_lookup(ngx_rbtree_t *tree, ngx_str_t *name)
{
    return ngx_str_rbtree_lookup(tree, name,
                                 ngx_crc32_long(name->data, name->len));
}


static void
ngx_comms_projects_insert(ngx_rbtree_t *tree, ngx_str_node_t *node)
{
    node->node.key = ngx_crc32_long(node->str.data, node->str.len);

    ngx_rbtree_insert(tree, &node->node);
}


static ngx_int_t
ngx_comms_projects_find(ngx_comms_projects_t *projects,
    ngx_str_t *company_id, ngx_str_t *project_id,
    ngx_comms_project_t **project, ngx_comms_op_t *op)
{
    u_char                      buf[2 * NGX_COMMS_NAME_MAX + 1];
    ngx_str_t                   name;
    ngx_comms_project_file_t   *file;
    ngx_comms_project_files_t  *files;

    files = projects->data;

    if (ngx_comms_projects_pair(company_id, (u_char *) "#", project_id, buf,
                                sizeof(buf), &name)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    file = (ngx_comms_project_file_t *)
               ngx_comms_projects_lookup(&files->by_name, &name);

    if (file == NULL) {
        return NGX_DECLINED;
    }

    *project = &file->project;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_projects_opens(ngx_comms_projects_t *projects,
    ngx_str_t *company_id, ngx_str_t *api_key, ngx_comms_op_t *op)
{
    u_char                      digest[NGX_COMMS_SHA256_LEN];
    u_char                      buf[NGX_COMMS_SHA256_LEN
                                    + NGX_COMMS_NAME_MAX];
    ngx_str_t                   hash, pair;
    ngx_comms_project_files_t  *files;

    files = projects->data;

    if (ngx_comms_sha256(api_key, digest) != NGX_OK) {
        return NGX_ERROR;
    }

    hash.data = digest;
    hash.len = NGX_COMMS_SHA256_LEN;

    if (ngx_comms_projects_pair(&hash, NULL, company_id, buf, sizeof(buf),
                                &pair)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_comms_projects_lookup(&files->openers, &pair) != NULL
           ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_comms_projects_companies(ngx_comms_projects_t *projects,
    ngx_str_t *api_key, ngx_pool_t *pool, ngx_array_t **companies,
    ngx_comms_op_t *op)
{
    u_char                       digest[NGX_COMMS_SHA256_LEN];
    ngx_str_t                    hash, *slot;
    ngx_comms_project_files_t   *files;
    ngx_comms_project_opener_t  *opener;

    files = projects->data;

    if (ngx_comms_sha256(api_key, digest) != NGX_OK) {
        return NGX_ERROR;
    }

    *companies = ngx_array_create(pool, 1, sizeof(ngx_str_t));
    if (*companies == NULL) {
        return NGX_ERROR;
    }

    hash.data = digest;
    hash.len = NGX_COMMS_SHA256_LEN;

    opener = (ngx_comms_project_opener_t *)
                 ngx_comms_projects_lookup(&files->by_key, &hash);

    if (opener == NULL) {
        return NGX_OK;
    }

    slot = ngx_array_push_n(*companies, opener->companies.nelts);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(slot, opener->companies.elts,
               opener->companies.nelts * sizeof(ngx_str_t));

    return NGX_OK;
}


ngx_int_t
ngx_comms_projects_check(ngx_conf_t *cf, ngx_comms_projects_t *projects,
    ngx_comms_protocol_of_pt protocol_of, void *data)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ngx_comms_document_t         doc;
    ngx_comms_project_file_t   **file;
    ngx_comms_project_files_t   *files;

    rc = NGX_OK;
    files = projects->data;
    file = files->files.elts;

    for (i = 0; i < files->files.nelts; i++) {

        ngx_memzero(&doc, sizeof(ngx_comms_document_t));

        doc.log = cf->log;
        doc.path = file[i]->path;

        if (ngx_comms_project_check_providers(&doc, &file[i]->project,
                                              files->secrets, protocol_of,
                                              data)
            != NGX_OK)
        {
            rc = NGX_ERROR;
        }

        ngx_comms_document_close(&doc);
    }

    return rc;
}
