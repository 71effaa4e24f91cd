
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <curl/ngx_comms_curl_loop.h>


/* of several that go to one place, the first that is set counts */
static struct {
    const char  *name;
    size_t       offset;
} ngx_comms_curl_variables[] = {
    { "https_proxy", offsetof(ngx_comms_curl_network_t, https_proxy) },
    { "HTTPS_PROXY", offsetof(ngx_comms_curl_network_t, https_proxy) },
    { "all_proxy", offsetof(ngx_comms_curl_network_t, https_proxy) },
    { "ALL_PROXY", offsetof(ngx_comms_curl_network_t, https_proxy) },
    { "http_proxy", offsetof(ngx_comms_curl_network_t, http_proxy) },
    { "all_proxy", offsetof(ngx_comms_curl_network_t, http_proxy) },
    { "ALL_PROXY", offsetof(ngx_comms_curl_network_t, http_proxy) },
    { "no_proxy", offsetof(ngx_comms_curl_network_t, no_proxy) },
    { "NO_PROXY", offsetof(ngx_comms_curl_network_t, no_proxy) },
    { NULL, 0 }
};


ngx_int_t
ngx_comms_curl_network_read(ngx_pool_t *pool,
    ngx_comms_curl_network_t *network)
{
    char        *text;
    ngx_str_t   *value;
    ngx_uint_t   i;

    for (i = 0; ngx_comms_curl_variables[i].name != NULL; i++) {
        text = getenv(ngx_comms_curl_variables[i].name);
        value = (ngx_str_t *) ((u_char *) network
                               + ngx_comms_curl_variables[i].offset);

        if (text == NULL || *text == '\0' || value->len != 0) {
            continue;
        }

        value->len = ngx_strlen(text);
        value->data = ngx_pnalloc(pool, value->len + 1);

        if (value->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(value->data, text, value->len + 1);
    }

    return NGX_OK;
}
