
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * comms_media directory [max_size=size] [max_total=size];
 * comms_fetch_allow address[/bits] ...;
 */


#include <ngx_http_comms_conf.h>


#define NGX_HTTP_COMMS_MEDIA_SIZE   ((off_t) 16 * 1024 * 1024)
#define NGX_HTTP_COMMS_MEDIA_TOTAL  ((off_t) 10 * 1024 * 1024 * 1024)
#define NGX_HTTP_COMMS_MEDIA_MIN    1024
#define NGX_HTTP_COMMS_MEDIA_MAX    ((off_t) 256 * 1024 * 1024)


static ngx_int_t ngx_http_comms_media_size(ngx_str_t *param, const char *name,
    off_t *size);


char *
ngx_http_comms_conf_media(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_comms_main_conf_t *mcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (mcf->media_dir.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "has an empty directory";
    }

    mcf->media_dir = value[1];
    mcf->media_size = NGX_HTTP_COMMS_MEDIA_SIZE;
    mcf->media_total = NGX_HTTP_COMMS_MEDIA_TOTAL;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_comms_media_size(&value[i], "max_size=",
                                      &mcf->media_size) != NGX_OK
            && ngx_http_comms_media_size(&value[i], "max_total=",
                                         &mcf->media_total) != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\" "
                               "directive, allowed are \"max_size=\" and "
                               "\"max_total=\" with a size",
                               &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    if (mcf->media_size < NGX_HTTP_COMMS_MEDIA_MIN
        || mcf->media_size > NGX_HTTP_COMMS_MEDIA_MAX
        || mcf->media_total < mcf->media_size)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"max_size\" in \"%V\" directive must be between "
                           "1k and 256m and not more than \"max_total\"",
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_comms_media_size(ngx_str_t *param, const char *name, off_t *size)
{
    off_t      n;
    size_t     len;
    ngx_str_t  value;

    len = ngx_strlen(name);

    if (param->len <= len
        || ngx_strncmp(param->data, name, len) != 0)
    {
        return NGX_ERROR;
    }

    value.data = param->data + len;
    value.len = param->len - len;

    n = ngx_parse_offset(&value);

    if (n == (off_t) NGX_ERROR) {
        return NGX_ERROR;
    }

    *size = n;

    return NGX_OK;
}


char *
ngx_http_comms_conf_fetch_allow(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_comms_main_conf_t *mcf = conf;

    ngx_int_t    rc;
    ngx_str_t   *value;
    ngx_cidr_t  *cidr;
    ngx_uint_t   i;

    value = cf->args->elts;

    if (mcf->engine.fetch_allow == NULL) {
        mcf->engine.fetch_allow = ngx_array_create(cf->pool, 4,
                                                   sizeof(ngx_cidr_t));
        if (mcf->engine.fetch_allow == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 1; i < cf->args->nelts; i++) {
        cidr = ngx_array_push(mcf->engine.fetch_allow);
        if (cidr == NULL) {
            return NGX_CONF_ERROR;
        }

        rc = ngx_ptocidr(&value[i], cidr);

        if (rc == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in \"%V\" directive, it "
                               "must be an address or a network, as "
                               "\"10.1.2.0/24\"", &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }

        if (rc == NGX_DONE) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "low address bits of \"%V\" are meaningless",
                               &value[i]);
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_comms_conf_media_store(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf)
{
    ngx_thread_pool_t  *pool;

    if (mcf->media_dir.len == 0) {
        return NGX_CONF_OK;
    }

    pool = ngx_thread_pool_add(cf, &mcf->thread_pool);
    if (pool == NULL) {
        return NGX_CONF_ERROR;
    }

    mcf->engine.media = ngx_comms_media_add(cf, &mcf->media_dir,
                                            (size_t) mcf->media_size,
                                            mcf->media_total, pool);

    return mcf->engine.media ? NGX_CONF_OK : NGX_CONF_ERROR;
}
