
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <project/ngx_comms_project.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_address.h>


/* member of channel_config that holds the company's address */

static const char  *ngx_comms_project_addresses[NGX_COMMS_CHANNELS] = {
    "company_whatsapp_number",
    "company_sms_number",
    "company_email"
};


/* every digest is compared, so that the time does not tell which one fits */

ngx_uint_t
ngx_comms_project_key(ngx_comms_project_t *project, ngx_str_t *api_key)
{
    u_char       digest[NGX_COMMS_SHA256_LEN];
    ngx_str_t    hash, *key;
    ngx_uint_t   i, same;

    if (ngx_comms_sha256(api_key, digest) != NGX_OK) {
        return 0;
    }

    hash.data = digest;
    hash.len = NGX_COMMS_SHA256_LEN;

    same = 0;
    key = project->keys.elts;

    for (i = 0; i < project->keys.nelts; i++) {
        same |= ngx_comms_equal(&hash, &key[i]);
    }

    return same;
}


ngx_int_t
ngx_comms_project_address(ngx_pool_t *pool, ngx_comms_project_t *project,
    ngx_uint_t channel, ngx_str_t *address)
{
    json_t     *config;
    ngx_str_t   bare;

    config = ngx_comms_project_channel(project, channel);

    if (config == NULL
        || ngx_comms_json_str(config, ngx_comms_project_addresses[channel],
                              &bare)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (channel == NGX_COMMS_EMAIL) {
        return ngx_comms_address_email(pool, &bare, address);
    }

    return ngx_comms_address_tel(pool, &bare, address);
}


json_t *
ngx_comms_project_channel(ngx_comms_project_t *project, ngx_uint_t channel)
{
    ngx_str_t  *name;

    if (channel >= NGX_COMMS_CHANNELS) {
        return NULL;
    }

    name = &ngx_comms_channel_names[channel];

    return json_object_getn(json_object_get(project->config,
                                            "channel_config"),
                            (char *) name->data, name->len);
}
