
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The directives that give a location its work.
 *
 * Bodies stay in memory: the buffer of such a location is made as large as
 * the largest body allowed there, so nothing is ever written to a temporary
 * file, and a body can be read as one string.
 *
 * A body that is too large is refused by nginx itself, before our handler or
 * instead of it, by "Content-Length" or while the chunks are read.  Both ways
 * lead through the error pages of the location, so the location is made its
 * own error page for 413: the handler runs once more, sees the status in
 * r->err_status and answers in the form of the API (the phase handler set
 * here clears its way under HTTP/2).  An "error_page 413" of
 * the operator's takes precedence.
 */


#include <ngx_http_comms_conf.h>
#include <http/ngx_http_comms_answer.h>
#include <base/ngx_comms_json.h>


static ngx_int_t ngx_http_comms_conf_prefix(ngx_conf_t *cf,
    ngx_command_t *cmd);
static char *ngx_http_comms_conf_too_large(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf);


char *
ngx_http_comms_conf_handler(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_comms_loc_conf_t *lcf, ngx_http_handler_pt handler)
{
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_comms_main_conf_t  *mcf;

    if (lcf->handler == handler) {
        return "is duplicate";
    }

    if (lcf->handler != NULL || lcf->provider.len != 0) {
        return "conflicts with another comms directive in this location";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_comms_module);

    clcf->handler = handler;
    lcf->handler = handler;
    lcf->directive = cmd->name;

    mcf->enabled = 1;

    if (mcf->demand.len == 0 && handler != ngx_http_comms_status_handler) {
        mcf->demand = cmd->name;
    }

    return NGX_CONF_OK;
}


/* the part of the path behind the location's name has a meaning */

static ngx_int_t
ngx_http_comms_conf_prefix(ngx_conf_t *cf, ngx_command_t *cmd)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

#if (NGX_PCRE)

    if (clcf->regex != NULL) {
        goto invalid;
    }

#endif

    if (clcf->named || clcf->name.len == 0 || clcf->name.data[0] != '/') {
        goto invalid;
    }

    return NGX_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" directive is not allowed in location \"%V\", "
                       "it must be a location given by a prefix string",
                       &cmd->name, &clcf->name);

    return NGX_ERROR;
}


char *
ngx_http_comms_conf_initiate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_comms_loc_conf_t *lcf = conf;

    char  *rv;

    rv = ngx_http_comms_conf_handler(cf, cmd, lcf,
                                     ngx_http_comms_initiate_handler);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    lcf->takes_body = 1;

    return NGX_CONF_OK;
}


char *
ngx_http_comms_conf_conversations(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_comms_loc_conf_t *lcf = conf;

    char  *rv;

    if (ngx_http_comms_conf_prefix(cf, cmd) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_comms_conf_handler(cf, cmd, lcf,
                                     ngx_http_comms_conversations_handler);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    lcf->takes_body = 1;

    return NGX_CONF_OK;
}


char *
ngx_http_comms_conf_unsubscribe(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_comms_loc_conf_t *lcf = conf;

    if (ngx_http_comms_conf_prefix(cf, cmd) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_comms_conf_handler(cf, cmd, lcf,
                                       ngx_http_comms_unsubscribe_handler);
}


char *
ngx_http_comms_conf_webhook(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_comms_loc_conf_t *lcf = conf;

    char       *rv;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_http_comms_conf_prefix(cf, cmd) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_comms_conf_handler(cf, cmd, lcf,
                                     ngx_http_comms_webhook_handler);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    lcf->takes_body = 1;
    lcf->webhook = ngx_comms_provider_by_name(&value[1]);

    if (lcf->webhook == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it must "
                           "be \"twilio\", \"meta\", \"sendgrid\" or "
                           "\"smtp\"", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (value[2].len <= 12
        || ngx_strncmp(value[2].data, "credentials=", 12) != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"%V\" directive, it "
                           "must be \"credentials=id\"", &value[2],
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    lcf->webhook_credentials.data = value[2].data + 12;
    lcf->webhook_credentials.len = value[2].len - 12;

    return NGX_CONF_OK;
}


char *
ngx_http_comms_conf_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_comms_loc_conf_t *lcf = conf;

    char       *rv;
    ngx_str_t  *value;

    rv = ngx_http_comms_conf_handler(cf, cmd, lcf,
                                     ngx_http_comms_status_handler);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    lcf->status_format = NGX_HTTP_COMMS_STATUS_JSON;

    if (cf->args->nelts == 1) {
        return NGX_CONF_OK;
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "json") == 0) {
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "prometheus") == 0) {
        lcf->status_format = NGX_HTTP_COMMS_STATUS_PROMETHEUS;
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive, it must be "
                       "\"json\" or \"prometheus\"", &value[1], &cmd->name);

    return NGX_CONF_ERROR;
}


char *
ngx_http_comms_conf_jobs(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_comms_loc_conf_t *lcf = conf;

    char                        *rv;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_core_srv_conf_t    *cscf;
    ngx_http_comms_main_conf_t  *mcf;

    if (ngx_http_comms_conf_prefix(cf, cmd) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_comms_conf_handler(cf, cmd, lcf,
                                     ngx_http_comms_job_handler);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_comms_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    if (mcf->jobs.ctx != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" directive is duplicate, location \"%V\" "
                           "has it already", &cmd->name, &mcf->jobs.uri);
        return NGX_CONF_ERROR;
    }

    mcf->jobs.ctx = cscf->ctx;
    mcf->jobs.uri = clcf->name;

    clcf->internal = 1;

    return NGX_CONF_OK;
}


char *
ngx_http_comms_conf_merge_body(ngx_conf_t *cf, ngx_http_comms_loc_conf_t *lcf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->client_max_body_size == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"client_max_body_size\" must not be 0 in location "
                      "\"%V\": \"%V\" keeps bodies in memory", &clcf->name,
                      &lcf->directive);
        return NGX_CONF_ERROR;
    }

    if (clcf->client_body_in_file_only != 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"client_body_in_file_only\" must be off in location "
                      "\"%V\": \"%V\" keeps bodies in memory", &clcf->name,
                      &lcf->directive);
        return NGX_CONF_ERROR;
    }

    if (clcf->client_body_buffer_size < (size_t) clcf->client_max_body_size) {
        clcf->client_body_buffer_size = clcf->client_max_body_size;
    }

    return ngx_http_comms_conf_too_large(cf, clcf);
}


ngx_int_t
ngx_http_comms_conf_phases(ngx_conf_t *cf)
{
    ngx_http_handler_pt         *h;
    ngx_http_core_main_conf_t   *cmcf;
    ngx_http_comms_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_comms_module);

    if (!mcf->enabled) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_SERVER_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_comms_too_large_handler;

    return NGX_OK;
}


/* adds "error_page 413 $uri" to what the location has */

static char *
ngx_http_comms_conf_too_large(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf)
{
    ngx_str_t                          uri;
    ngx_uint_t                         i, n;
    ngx_array_t                       *pages;
    ngx_http_err_page_t               *page, *old;
    ngx_http_compile_complex_value_t   ccv;

    n = 0;
    old = NULL;

    if (clcf->error_pages != NULL) {
        n = clcf->error_pages->nelts;
        old = clcf->error_pages->elts;
    }

    for (i = 0; i < n; i++) {
        if (old[i].status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
            return NGX_CONF_OK;
        }
    }

    /* the array may be inherited, hence shared with other locations */

    pages = ngx_array_create(cf->pool, n + 1, sizeof(ngx_http_err_page_t));
    if (pages == NULL) {
        return NGX_CONF_ERROR;
    }

    page = ngx_array_push_n(pages, n + 1);
    if (page == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < n; i++) {
        page[i] = old[i];
    }

    ngx_memzero(&page[n], sizeof(ngx_http_err_page_t));
    ngx_str_set(&uri, "$uri");

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &uri;
    ccv.complex_value = &page[n].value;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    page[n].status = NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    page[n].overwrite = -1;

    clcf->error_pages = pages;

    return NGX_CONF_OK;
}


char *
ngx_http_comms_conf_merge_webhook(ngx_conf_t *cf,
    ngx_http_comms_loc_conf_t *lcf)
{
    json_t                      *credentials;
    ngx_int_t                    rc;
    ngx_str_t                    provider;
    ngx_comms_secrets_t         *secrets;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_comms_main_conf_t  *mcf;

    if (lcf->webhook_credentials.len == 0) {
        return NGX_CONF_OK;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_comms_module);

    secrets = mcf->engine.secrets;

    rc = secrets->get(secrets, &lcf->webhook_credentials, &credentials, NULL);

    /* a backend that fetches on need cannot tell yet */

    if (rc == NGX_AGAIN) {
        return NGX_CONF_OK;
    }

    if (rc == NGX_OK
        && ngx_comms_json_str(credentials, "provider", &provider) == NGX_OK
        && provider.len == lcf->webhook->name.len
        && ngx_strncmp(provider.data, lcf->webhook->name.data, provider.len)
           == 0)
    {
        return NGX_CONF_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "invalid value \"%V\" of \"credentials\" in location "
                  "\"%V\", \"comms_webhook\" requires credentials of the "
                  "provider \"%V\"", &lcf->webhook_credentials, &clcf->name,
                  &lcf->webhook->name);

    return NGX_CONF_ERROR;
}
