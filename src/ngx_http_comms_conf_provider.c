
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Provider locations: ordinary proxy_pass locations that background jobs call
 * by subrequests held in memory.  What must hold there for the calls to be
 * right is set here, or refused with the reason.  A location of an SMTP relay
 * only names it.
 *
 *   set       internal; the client's abort (there is no client) is ignored;
 *             X-Accel-* headers of a provider do nothing: X-Accel-Redirect
 *             would let it ask for any internal location of this nginx;
 *             subrequest_output_buffer_size, which bounds an answer, is
 *             raised from its default of a page
 *   refused   what would hide, change or repeat a call
 */


#include <ngx_http_comms_conf.h>
#include <ai/ngx_comms_ai.h>


#define NGX_HTTP_COMMS_PROVIDER_ANSWER  (1024 * 1024)

#define NGX_HTTP_COMMS_IGNORE                                                 \
    (NGX_HTTP_UPSTREAM_IGN_XA_REDIRECT                                        \
     |NGX_HTTP_UPSTREAM_IGN_XA_EXPIRES                                        \
     |NGX_HTTP_UPSTREAM_IGN_XA_LIMIT_RATE                                     \
     |NGX_HTTP_UPSTREAM_IGN_XA_BUFFERING                                      \
     |NGX_HTTP_UPSTREAM_IGN_XA_CHARSET)


extern ngx_module_t  ngx_http_proxy_module;


static ngx_int_t ngx_http_comms_provider_place(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_http_core_loc_conf_t *clcf);
static const char *ngx_http_comms_provider_mistake(
    ngx_http_core_loc_conf_t *clcf, ngx_http_upstream_conf_t *u);
static ngx_uint_t ngx_http_comms_provider_mails(
    ngx_http_comms_provider_t *provider);
static char *ngx_http_comms_provider_relay(ngx_conf_t *cf,
    ngx_http_comms_loc_conf_t *lcf, ngx_http_comms_provider_t *provider,
    ngx_http_core_loc_conf_t *clcf);
static ngx_http_comms_provider_t *ngx_http_comms_provider_find(
    ngx_http_comms_main_conf_t *mcf, ngx_str_t *name);


char *
ngx_http_comms_conf_provider(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_comms_loc_conf_t *lcf = conf;

    ngx_str_t                   *value;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_comms_provider_t   *provider;
    ngx_http_comms_main_conf_t  *mcf;

    if (lcf->provider.len != 0) {
        return "is duplicate";
    }

    if (lcf->handler != NULL) {
        return "conflicts with another comms directive in this location";
    }

    value = cf->args->elts;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_comms_module);

    if (ngx_http_comms_provider_place(cf, cmd, clcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_comms_ai_by_name(&value[1]) == NULL
        && ngx_comms_provider_by_name(&value[1]) == NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it must "
                           "be \"openai\", \"twilio\", \"meta\", "
                           "\"sendgrid\" or \"smtp\"",
                           &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    lcf->provider = value[1];

    if (cf->args->nelts == 3) {
        if (value[2].len <= 5 || ngx_strncmp(value[2].data, "name=", 5) != 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\" directive, "
                               "it must be \"name=name\"", &value[2],
                               &cmd->name);
            return NGX_CONF_ERROR;
        }

        lcf->provider.data = value[2].data + 5;
        lcf->provider.len = value[2].len - 5;
    }

    if (ngx_http_comms_provider_find(mcf, &lcf->provider) != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate name \"%V\" in \"%V\" directive, use "
                           "\"name=\" to tell locations of one protocol apart",
                           &lcf->provider, &cmd->name);
        return NGX_CONF_ERROR;
    }

    provider = ngx_array_push(&mcf->providers);
    if (provider == NULL) {
        return NGX_CONF_ERROR;
    }

    provider->name = lcf->provider;
    provider->protocol = value[1];
    provider->uri = clcf->name;
    provider->timeout = 0;
    provider->relay = NULL;
    provider->loop = NULL;

    mcf->enabled = 1;

    if (mcf->demand.len == 0) {
        mcf->demand = cmd->name;
    }

    clcf->internal = 1;

    return NGX_CONF_OK;
}


/* the path of a call is put behind the name of the location */

static ngx_int_t
ngx_http_comms_provider_place(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_core_loc_conf_t *clcf)
{
#if (NGX_PCRE)

    if (clcf->regex != NULL) {
        goto invalid;
    }

#endif

    if (clcf->named || clcf->exact_match || clcf->name.len == 0
        || clcf->name.data[0] != '/'
        || clcf->name.data[clcf->name.len - 1] != '/')
    {
        goto invalid;
    }

    return NGX_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" directive is not allowed in location \"%V\", "
                       "it must be a location given by a prefix string that "
                       "ends in \"/\"", &cmd->name, &clcf->name);

    return NGX_ERROR;
}


char *
ngx_http_comms_conf_merge_provider(ngx_conf_t *cf,
    ngx_http_comms_loc_conf_t *lcf)
{
    const char                  *mistake;
    ngx_http_upstream_conf_t    *u;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_core_srv_conf_t    *cscf;
    ngx_http_comms_provider_t   *provider;
    ngx_http_comms_main_conf_t  *mcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_comms_module);

    provider = ngx_http_comms_provider_find(mcf, &lcf->provider);

    if (provider == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"comms_smtp\" in location \"%V\" requires "
                      "\"comms_provider smtp\" there", &clcf->name);
        return NGX_CONF_ERROR;
    }

    /* jobs call locations of their own server */

    if (mcf->jobs.ctx != NULL && mcf->jobs.ctx != cscf->ctx) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"comms_provider\" in location \"%V\" must be in the "
                      "server that has \"comms_jobs\"", &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (lcf->relay != NULL || ngx_http_comms_provider_mails(provider)) {
        return ngx_http_comms_provider_relay(cf, lcf, provider, clcf);
    }

    /* the configuration of the proxy module starts with the upstream's */

    u = ngx_http_conf_get_module_loc_conf(cf, ngx_http_proxy_module);

    mistake = ngx_http_comms_provider_mistake(clcf, u);

    if (mistake != NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"comms_provider\" in location \"%V\" requires %s",
                      &clcf->name, mistake);
        return NGX_CONF_ERROR;
    }

    u->ignore_client_abort = 1;
    u->ignore_headers |= NGX_HTTP_COMMS_IGNORE;

    if (clcf->subrequest_output_buffer_size == (size_t) ngx_pagesize) {
        clcf->subrequest_output_buffer_size = NGX_HTTP_COMMS_PROVIDER_ANSWER;
    }

    provider->timeout = u->connect_timeout + u->send_timeout
                        + u->read_timeout;

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_http_comms_provider_mails(ngx_http_comms_provider_t *provider)
{
    return provider->protocol.len == sizeof("smtp") - 1
           && ngx_strncmp(provider->protocol.data, "smtp",
                          provider->protocol.len) == 0;
}


/* "comms_provider smtp" and "comms_smtp" go together, without "proxy_pass" */

static char *
ngx_http_comms_provider_relay(ngx_conf_t *cf, ngx_http_comms_loc_conf_t *lcf,
    ngx_http_comms_provider_t *provider, ngx_http_core_loc_conf_t *clcf)
{
    if (!ngx_http_comms_provider_mails(provider)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"comms_smtp\" in location \"%V\" requires "
                      "\"comms_provider smtp\" there", &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (lcf->relay == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"comms_provider smtp\" in location \"%V\" requires "
                      "\"comms_smtp smtp://host:port\" there", &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (clcf->handler != NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"comms_smtp\" in location \"%V\" conflicts with "
                      "\"proxy_pass\" or another directive there that "
                      "answers requests", &clcf->name);
        return NGX_CONF_ERROR;
    }

    provider->relay = lcf->relay;
    provider->timeout = lcf->relay->timeout;

    return NGX_CONF_OK;
}


/* what must be otherwise, or NULL */

static const char *
ngx_http_comms_provider_mistake(ngx_http_core_loc_conf_t *clcf,
    ngx_http_upstream_conf_t *u)
{
    if (u->upstream == NULL || clcf->handler == NULL) {
        return "\"proxy_pass\" with a URL without variables";
    }

    if (u->intercept_errors) {
        return "\"proxy_intercept_errors off\": the provider's own errors "
               "decide what happens to a message";
    }

    if (!u->pass_request_headers) {
        return "\"proxy_pass_request_headers on\": the headers of a call, "
               "its credentials among them, are the request's own";
    }

    if (!u->pass_request_body) {
        return "\"proxy_pass_request_body on\"";
    }

    if (u->next_upstream & NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT) {
        return "\"proxy_next_upstream\" without \"non_idempotent\": it would "
               "send messages twice";
    }

#if (NGX_HTTP_CACHE)

    if (u->cache) {
        return "\"proxy_cache off\"";
    }

#endif

    if (u->store) {
        return "\"proxy_store off\"";
    }

    return NULL;
}


static ngx_http_comms_provider_t *
ngx_http_comms_provider_find(ngx_http_comms_main_conf_t *mcf, ngx_str_t *name)
{
    ngx_uint_t                  i;
    ngx_http_comms_provider_t  *provider;

    provider = mcf->providers.elts;

    for (i = 0; i < mcf->providers.nelts; i++) {
        if (provider[i].name.len == name->len
            && ngx_strncmp(provider[i].name.data, name->data, name->len) == 0)
        {
            return &provider[i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_comms_conf_protocol_of(void *data, ngx_str_t *name,
    ngx_str_t *protocol)
{
    ngx_http_comms_main_conf_t *mcf = data;

    ngx_http_comms_provider_t  *provider;

    provider = ngx_http_comms_provider_find(mcf, name);

    if (provider == NULL) {
        return NGX_DECLINED;
    }

    *protocol = provider->protocol;

    return NGX_OK;
}
