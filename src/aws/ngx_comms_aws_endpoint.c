
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_text.h>
#include <aws/ngx_comms_aws_endpoint.h>


#define NGX_COMMS_AWS_MAX_URL     2048
#define NGX_COMMS_AWS_MAX_REGION  32


static ngx_uint_t ngx_comms_aws_url_safe(ngx_str_t *url);
static ngx_int_t ngx_comms_aws_endpoint_host(ngx_pool_t *pool,
    ngx_str_t *authority, ngx_comms_aws_endpoint_t *ep);
static ngx_uint_t ngx_comms_aws_host_safe(ngx_str_t *name);


/* the domains of AWS's partitions, by how their regions begin */
static struct {
    ngx_str_t   region;
    ngx_str_t   domain;
} ngx_comms_aws_partitions[] = {
    { ngx_string("cn-"), ngx_string("amazonaws.com.cn") },
    { ngx_string("us-isob-"), ngx_string("sc2s.sgov.gov") },
    { ngx_string("us-isof-"), ngx_string("csp.hci.ic.gov") },
    { ngx_string("us-iso-"), ngx_string("c2s.ic.gov") },
    { ngx_string("eu-isoe-"), ngx_string("cloud.adc-e.uk") },
    { ngx_string("eusc-"), ngx_string("amazonaws.eu") },
    { ngx_string(""), ngx_string("amazonaws.com") }
};


ngx_int_t
ngx_comms_aws_endpoint_parse(ngx_pool_t *pool, ngx_str_t *url,
    ngx_comms_aws_endpoint_t *ep)
{
    u_char     *p, *last, *end;
    ngx_str_t   authority;

    ngx_memzero(ep, sizeof(ngx_comms_aws_endpoint_t));

    if (!ngx_comms_aws_url_safe(url)) {
        return NGX_DECLINED;
    }

    p = url->data;
    last = url->data + url->len;

    if (url->len > 8 && ngx_strncasecmp(p, (u_char *) "https://", 8) == 0) {
        ep->https = 1;
        p += 8;

    } else if (url->len > 7
               && ngx_strncasecmp(p, (u_char *) "http://", 7) == 0)
    {
        p += 7;

    } else {
        return NGX_DECLINED;
    }

    for (end = p; end < last && *end != '/' && *end != '?'; end++) {
        /* void */
    }

    authority.data = p;
    authority.len = end - p;
    p = end;

    if (p < last && *p == '/') {
        p++;
    }

    end = ngx_strlchr(p, last, '?');
    if (end == NULL) {
        end = last;

    } else {
        ep->args.data = end + 1;
        ep->args.len = last - ep->args.data;
    }

    ep->path.data = p;
    ep->path.len = end - p;

    return ngx_comms_aws_endpoint_host(pool, &authority, ep);
}


static ngx_uint_t
ngx_comms_aws_url_safe(ngx_str_t *url)
{
    size_t  i;
    u_char  ch;

    if (url->len == 0 || url->len > NGX_COMMS_AWS_MAX_URL) {
        return 0;
    }

    for (i = 0; i < url->len; i++) {
        ch = url->data[i];

        if (ch <= 0x20 || ch >= 0x7f || ngx_strchr("\"<>\\^`{|}#@", ch)) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_comms_aws_endpoint_host(ngx_pool_t *pool, ngx_str_t *authority,
    ngx_comms_aws_endpoint_t *ep)
{
    u_char      *p, *last, *colon;
    ngx_int_t    port;
    ngx_uint_t   usual;

    /* "https://", host, NUL; and the host in lower case once more */

    p = ngx_pnalloc(pool, 2 * authority->len + sizeof("https://"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    ep->host.data = p;
    ep->host.len = authority->len;
    ngx_strlow(p, authority->data, authority->len);

    last = p + authority->len;
    ep->name = ep->host;
    port = 0;

    if (ep->host.len && *p == '[') {
        colon = ngx_strlchr(p, last, ']');
        if (colon == NULL) {
            return NGX_DECLINED;
        }

        ep->name.data = p + 1;
        ep->name.len = colon - p - 1;
        colon++;

    } else {
        colon = ngx_strlchr(p, last, ':');
        if (colon == NULL) {
            colon = last;
        }

        ep->name.len = colon - p;
    }

    if (colon < last) {
        port = ngx_atoi(colon + 1, last - colon - 1);

        if (*colon != ':' || port < 1 || port > 65535) {
            return NGX_DECLINED;
        }
    }

    if (!ngx_comms_aws_host_safe(&ep->name)) {
        return NGX_DECLINED;
    }

    usual = (port == (ep->https ? 443 : 80));

    if (usual) {
        ep->host.len = colon - p;
    }

    ep->base.data = last;
    p = ngx_sprintf(last, "%s://%V%Z", ep->https ? "https" : "http",
                    &ep->host);
    ep->base.len = p - ep->base.data - 1;

    return NGX_OK;
}


static ngx_uint_t
ngx_comms_aws_host_safe(ngx_str_t *name)
{
    size_t  i;
    u_char  ch;

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if ((ch < 'a' || ch > 'z') && (ch < '0' || ch > '9') && ch != '.'
            && ch != '-' && ch != '_' && ch != ':')
        {
            return 0;
        }
    }

    return name->len != 0;
}


ngx_int_t
ngx_comms_aws_endpoint_regional(ngx_pool_t *pool, ngx_str_t *service,
    ngx_str_t *region, ngx_comms_aws_endpoint_t *ep)
{
    u_char      *p;
    ngx_str_t    url, *prefix;
    ngx_uint_t   i;

    for (i = 0; /* void */ ; i++) {
        prefix = &ngx_comms_aws_partitions[i].region;

        if (region->len >= prefix->len
            && ngx_memcmp(region->data, prefix->data, prefix->len) == 0)
        {
            break;
        }
    }

    url.len = sizeof("https://..") - 1 + service->len + region->len
              + ngx_comms_aws_partitions[i].domain.len;

    p = ngx_pnalloc(pool, url.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    url.data = p;
    (void) ngx_sprintf(p, "https://%V.%V.%V", service, region,
                       &ngx_comms_aws_partitions[i].domain);

    return ngx_comms_aws_endpoint_parse(pool, &url, ep);
}


ngx_uint_t
ngx_comms_aws_region_valid(ngx_str_t *region)
{
    size_t  i;
    u_char  ch;

    if (region->len == 0 || region->len > NGX_COMMS_AWS_MAX_REGION) {
        return 0;
    }

    for (i = 0; i < region->len; i++) {
        ch = region->data[i];

        if ((ch < 'a' || ch > 'z') && (ch < '0' || ch > '9')
            && (ch != '-' || i == 0 || i == region->len - 1))
        {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_comms_aws_endpoint_local(ngx_comms_aws_endpoint_t *ep)
{
    u_char      text[NGX_INET6_ADDRSTRLEN + 1];
    ngx_str_t   name;
    in_addr_t   addr;
    ngx_uint_t  i;

    static ngx_str_t  names[] = {
        ngx_string("localhost"),
        ngx_string("::1"),
        ngx_string("169.254.170.2"),
        ngx_string("169.254.170.23"),
        ngx_string("fd00:ec2::23")
    };

    if (ep->https) {
        return 1;
    }

    name = ep->name;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (ngx_comms_same_word(&name, &names[i])) {
            return 1;
        }
    }

    if (name.len > NGX_INET6_ADDRSTRLEN) {
        return 0;
    }

    (void) ngx_cpystrn(text, name.data, name.len + 1);

    addr = ngx_inet_addr(text, name.len);

    return addr != INADDR_NONE && (ntohl(addr) >> 24) == 127;
}
