
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * comms_smtp url [tls=required|off] [timeout=time] [ca=file];
 */


#include <ngx_http_comms_conf.h>


#define NGX_HTTP_COMMS_SMTP_TIMEOUT  30000   /* ms */


static ngx_int_t ngx_http_comms_smtp_url(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_comms_curl_relay_t *relay, ngx_str_t *url);
static ngx_int_t ngx_http_comms_smtp_param(ngx_conf_t *cf,
    ngx_comms_curl_relay_t *relay, ngx_str_t *param);


char *
ngx_http_comms_conf_smtp(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_comms_loc_conf_t *lcf = conf;

    ngx_str_t               *value;
    ngx_uint_t               i;
    ngx_comms_curl_relay_t  *relay;

    if (lcf->relay != NULL) {
        return "is duplicate";
    }

    relay = ngx_pcalloc(cf->pool, sizeof(ngx_comms_curl_relay_t));
    if (relay == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    relay->timeout = NGX_HTTP_COMMS_SMTP_TIMEOUT;

    if (ngx_http_comms_smtp_url(cf, cmd, relay, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_comms_smtp_param(cf, relay, &value[i]) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\" "
                               "directive, allowed are \"tls=required\" or "
                               "\"tls=off\", \"timeout=\" between 1s and "
                               "10m, and \"ca=file\"",
                               &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    if (relay->clear && ngx_strncmp(relay->url.data, "smtps:", 6) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"tls=off\" in \"%V\" directive conflicts with "
                           "\"smtps:\"", &cmd->name);
        return NGX_CONF_ERROR;
    }

    lcf->relay = relay;

    return NGX_CONF_OK;
}


/* scheme, host and port: nothing that curl would take for something else */

static ngx_int_t
ngx_http_comms_smtp_url(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_comms_curl_relay_t *relay, ngx_str_t *url)
{
    u_char     *p, *last;
    ngx_url_t   u;

    last = url->data + url->len;

    if (url->len > 7 && ngx_strncasecmp(url->data, (u_char *) "smtp://", 7)
                        == 0)
    {
        p = url->data + 7;

    } else if (url->len > 8
               && ngx_strncasecmp(url->data, (u_char *) "smtps://", 8) == 0)
    {
        p = url->data + 8;

    } else {
        goto invalid;
    }

    ngx_strlow(url->data, url->data, p - url->data);

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url.data = p;
    u.url.len = last - p;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.no_port || u.uri.len != 0
        || u.host.len == 0 || u.family == AF_UNIX)
    {
        goto invalid;
    }

    for ( /* void */ ; p < last; p++) {
        if (*p <= ' ' || *p >= 0x7f || *p == '@' || *p == '?' || *p == '#'
            || *p == '%' || *p == '\\' || *p == ';')
        {
            goto invalid;
        }
    }

    /* values of the configuration end in a NUL */
    relay->url = *url;

    return NGX_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive, it must be "
                       "\"smtp://host:port\" or \"smtps://host:port\"",
                       url, &cmd->name);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_comms_smtp_param(ngx_conf_t *cf, ngx_comms_curl_relay_t *relay,
    ngx_str_t *param)
{
    ngx_str_t  value;

    if (ngx_strcmp(param->data, "tls=required") == 0) {
        relay->clear = 0;
        return NGX_OK;
    }

    if (ngx_strcmp(param->data, "tls=off") == 0) {
        relay->clear = 1;
        return NGX_OK;
    }

    if (param->len > 8 && ngx_strncmp(param->data, "timeout=", 8) == 0) {
        value.data = param->data + 8;
        value.len = param->len - 8;

        relay->timeout = ngx_parse_time(&value, 0);

        if (relay->timeout == (ngx_msec_t) NGX_ERROR
            || relay->timeout < 1000 || relay->timeout > 600000)
        {
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    if (param->len > 3 && ngx_strncmp(param->data, "ca=", 3) == 0) {
        relay->ca.data = param->data + 3;
        relay->ca.len = param->len - 3;

        return ngx_conf_full_name(cf->cycle, &relay->ca, 1);
    }

    return NGX_ERROR;
}


void
ngx_http_comms_conf_smtp_loop(ngx_http_comms_main_conf_t *mcf,
    ngx_comms_curl_loop_t *loop)
{
    ngx_uint_t                  i;
    ngx_http_comms_provider_t  *provider;

    provider = mcf->providers.elts;

    for (i = 0; i < mcf->providers.nelts; i++) {
        provider[i].loop = loop;
    }
}
