
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The directive comms_sns.
 */


#include <ngx_http_comms_conf.h>
#include <http/ngx_http_comms_sns.h>
#include <bus/ngx_comms_sns.h>
#include <channel/ngx_comms_channel.h>


static char *ngx_http_comms_conf_sns_param(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_comms_sns_conf_t *scf);
static char *ngx_http_comms_conf_sns_topic(ngx_conf_t *cf, ngx_str_t *arn,
    ngx_http_comms_sns_conf_t *scf);
static ngx_uint_t ngx_http_comms_conf_begins(ngx_str_t *value,
    const char *name, ngx_str_t *rest);


char *
ngx_http_comms_conf_sns(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_comms_loc_conf_t *lcf = conf;

    char                        *rv;
    ngx_str_t                   *value;
    ngx_uint_t                   i;
    ngx_http_comms_sns_conf_t   *scf;
    ngx_http_comms_main_conf_t  *mcf;

    rv = ngx_http_comms_conf_handler(cf, cmd, lcf,
                                     ngx_http_comms_sns_handler);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    scf = ngx_pcalloc(cf->pool, sizeof(ngx_http_comms_sns_conf_t));

    if (scf == NULL
        || ngx_array_init(&scf->topics, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    scf->sha1 = 1;
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        rv = ngx_http_comms_conf_sns_param(cf, &value[i], scf);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (scf->topics.nelts == 0) {
        return "must have \"topic=\": the ARN of an SNS topic";
    }

    if (scf->channels == 0) {
        scf->channels = ((ngx_uint_t) 1 << NGX_COMMS_CHANNELS) - 1;
    }

    lcf->sns = scf;
    lcf->takes_body = 1;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_comms_module);

    if (mcf->sns == NULL) {
        mcf->sns = ngx_comms_sns_add(cf);
    }

    return mcf->sns ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_comms_conf_sns_param(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_comms_sns_conf_t *scf)
{
    ngx_int_t   channel;
    ngx_str_t   rest;
    ngx_uint_t  bit;

    if (ngx_http_comms_conf_begins(value, "topic=", &rest)) {
        return ngx_http_comms_conf_sns_topic(cf, &rest, scf);
    }

    if (ngx_http_comms_conf_begins(value, "channel=", &rest)) {
        channel = ngx_comms_channel_by_name(&rest);

        if (channel != NGX_ERROR) {
            bit = (ngx_uint_t) 1 << channel;

            if (scf->channels & bit) {
                return "names a channel twice";
            }

            scf->channels |= bit;

            return NGX_CONF_OK;
        }

    } else if (ngx_http_comms_conf_begins(value, "signature=", &rest)) {

        if (rest.len == 1 && rest.data[0] == '2') {
            scf->sha1 = 0;
            return NGX_CONF_OK;
        }

    } else if (ngx_http_comms_conf_begins(value, "endpoint=", &rest)) {

        if (rest.len > sizeof("https://") - 1
            && ngx_strncmp(rest.data, "https://", sizeof("https://") - 1) == 0
            && ngx_strlchr(rest.data + sizeof("https://") - 1,
                           rest.data + rest.len, '/') == NULL)
        {
            scf->endpoint = rest;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" in \"comms_sns\" directive, "
                       "it must be one of \"topic=arn\", \"channel=name\", "
                       "\"signature=2\" or \"endpoint=https://host[:port]\"",
                       value);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_comms_conf_sns_topic(ngx_conf_t *cf, ngx_str_t *arn,
    ngx_http_comms_sns_conf_t *scf)
{
    ngx_str_t  *topic;

    if (arn->len < sizeof("arn:aws") - 1
        || ngx_strncmp(arn->data, "arn:aws", sizeof("arn:aws") - 1) != 0
        || ngx_strlchr(arn->data, arn->data + arn->len, '/') != NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"topic=\" in "
                           "\"comms_sns\" directive, it must be the ARN of an "
                           "SNS topic", arn);
        return NGX_CONF_ERROR;
    }

    if (arn->len > sizeof(".fifo") - 1
        && ngx_strncmp(arn->data + arn->len - 5, ".fifo", 5) == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"topic=\" in "
                           "\"comms_sns\" directive, FIFO topics deliver to "
                           "SQS alone", arn);
        return NGX_CONF_ERROR;
    }

    topic = ngx_array_push(&scf->topics);
    if (topic == NULL) {
        return NGX_CONF_ERROR;
    }

    *topic = *arn;

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_http_comms_conf_begins(ngx_str_t *value, const char *name,
    ngx_str_t *rest)
{
    size_t  len;

    len = ngx_strlen(name);

    if (value->len <= len || ngx_strncmp(value->data, name, len) != 0) {
        return 0;
    }

    rest->data = value->data + len;
    rest->len = value->len - len;

    return 1;
}
