
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_credentials.h>


ngx_uint_t
ngx_comms_credentials_secret(json_t *value, size_t min)
{
    return ngx_comms_credentials_visible(value, min,
                                         NGX_COMMS_CREDENTIALS_MAX_SECRET);
}


ngx_uint_t
ngx_comms_credentials_visible(json_t *value, size_t min, size_t max)
{
    size_t     i;
    ngx_str_t  secret;

    secret = ngx_comms_json_view(value);

    if (secret.len < min || secret.len > max) {
        return 0;
    }

    for (i = 0; i < secret.len; i++) {
        if (secret.data[i] <= 0x20 || secret.data[i] >= 0x7f) {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_comms_credentials_secrets(json_t *value, size_t min, size_t max,
    size_t len)
{
    json_t  *secret;
    size_t   i;

    if (!json_is_array(value)
        || json_array_size(value) < min
        || json_array_size(value) > max)
    {
        return 0;
    }

    json_array_foreach(value, i, secret) {
        if (!ngx_comms_credentials_secret(secret, len)) {
            return 0;
        }
    }

    return 1;
}


const char *
ngx_comms_credentials_unknown(json_t *credentials, const char **members)
{
    json_t      *value;
    ngx_uint_t   i;
    const char  *key;

    json_object_foreach(credentials, key, value) {

        for (i = 0; members[i] != NULL; i++) {
            if (ngx_strcmp(key, members[i]) == 0) {
                break;
            }
        }

        if (members[i] == NULL) {
            return key;
        }
    }

    return NULL;
}
