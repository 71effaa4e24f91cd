
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The check is made where curl opens a socket, with the address that it will
 * connect to: a name that resolves to something else a moment later, or a
 * number written in an unusual way, gains nothing by that.
 *
 * No connection of the loop was made without the check, so a kept one may be
 * used again: mails have loops of their own, and so have the AWS services.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <curl/ngx_comms_curl_private.h>
#include <curl/ngx_comms_fetch.h>


#define NGX_COMMS_FETCH_REDIRECTS  3
#define NGX_COMMS_FETCH_MAX_URL    4096
#define NGX_COMMS_FETCH_BUFFER     (64 * 1024)


typedef struct {
    u_char       prefix[6];
    ngx_uint_t   bits;
} ngx_comms_fetch_range_t;


static ngx_int_t ngx_comms_fetch_url(ngx_str_t *url);
static ngx_int_t ngx_comms_fetch_options(ngx_comms_curl_transfer_t *t,
    size_t max_size);
static curl_socket_t ngx_comms_fetch_open(void *data, curlsocktype purpose,
    struct curl_sockaddr *address);
static ngx_uint_t ngx_comms_fetch_allowed(ngx_comms_curl_transfer_t *t,
    struct sockaddr *sockaddr);
static ngx_uint_t ngx_comms_fetch_within(u_char *address,
    const ngx_comms_fetch_range_t *ranges);


/* "Globally reachable: false" of RFC 6890's registry, multicast, reserved */
static const ngx_comms_fetch_range_t  ngx_comms_fetch_v4[] = {
    { { 0 }, 8 },                       /* this network */
    { { 10 }, 8 },                      /* private, RFC 1918 */
    { { 100, 64 }, 10 },                /* carriers' NAT, RFC 6598 */
    { { 127 }, 8 },                     /* loopback */
    { { 169, 254 }, 16 },               /* link-local; clouds' metadata */
    { { 172, 16 }, 12 },                /* private */
    { { 192, 0, 0 }, 24 },              /* protocol assignments */
    { { 192, 0, 2 }, 24 },              /* documentation */
    { { 192, 88, 99 }, 24 },            /* 6to4 relays, RFC 7526 */
    { { 192, 168 }, 16 },               /* private */
    { { 198, 18 }, 15 },                /* benchmarks, RFC 2544 */
    { { 198, 51, 100 }, 24 },           /* documentation */
    { { 203, 0, 113 }, 24 },            /* documentation */
    { { 224 }, 3 },                     /* multicast, reserved, broadcast */
    { { 0 }, 0 }
};


/* within 2000::/3, the one range of public addresses */
static const ngx_comms_fetch_range_t  ngx_comms_fetch_v6[] = {
    { { 0x20, 0x01, 0x00 }, 23 },       /* assignments; Teredo among them */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* documentation */
    { { 0x20, 0x02 }, 16 },             /* 6to4: an IPv4 address inside */
    { { 0x3f, 0xff, 0x00 }, 20 },       /* documentation, RFC 9637 */
    { { 0 }, 0 }
};


ngx_comms_curl_transfer_t *
ngx_comms_fetch(ngx_comms_curl_loop_t *loop, ngx_str_t *url,
    ngx_array_t *headers, size_t max_size, ngx_msec_t timeout,
    ngx_array_t *allow, ngx_comms_curl_transfer_pt handler, void *data)
{
    ngx_comms_request_t         rq;
    ngx_comms_curl_transfer_t  *t;

    if (ngx_comms_fetch_url(url) != NGX_OK) {
        return NULL;
    }

    t = ngx_comms_curl_transfer_create(loop);
    if (t == NULL) {
        return NULL;
    }

    t->handler = handler;
    t->data = data;
    t->max_size = max_size;
    t->allow = allow;
    t->clear = (ngx_strncasecmp(url->data, (u_char *) "http:", 5) == 0);

    ngx_memzero(&rq, sizeof(ngx_comms_request_t));

    if (headers != NULL) {
        rq.headers = *headers;
    }

    if (ngx_comms_curl_transfer_get(t, url, &rq, timeout) != NGX_OK
        || ngx_comms_fetch_options(t, max_size) != NGX_OK
        || ngx_comms_curl_transfer_add(t) != NGX_OK)
    {
        ngx_comms_curl_transfer_end(t);
        return NULL;
    }

    return t;
}


static ngx_int_t
ngx_comms_fetch_url(ngx_str_t *url)
{
    size_t  i;

    if (url->len > NGX_COMMS_FETCH_MAX_URL) {
        return NGX_ERROR;
    }

    for (i = 0; i < url->len; i++) {
        if (url->data[i] <= ' ' || url->data[i] >= 0x7f) {
            return NGX_ERROR;
        }
    }

    if ((url->len > 8
         && ngx_strncasecmp(url->data, (u_char *) "https://", 8) == 0)
        || (url->len > 7
            && ngx_strncasecmp(url->data, (u_char *) "http://", 7) == 0))
    {
        return NGX_OK;
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_comms_fetch_options(ngx_comms_curl_transfer_t *t, size_t max_size)
{
    CURL  *easy;

    easy = t->easy;

    if (curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L)
        || curl_easy_setopt(easy, CURLOPT_MAXREDIRS,
                            (long) NGX_COMMS_FETCH_REDIRECTS)
        || curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR,
                            t->clear ? "http,https" : "https")
        || curl_easy_setopt(easy, CURLOPT_UNRESTRICTED_AUTH, 0L)
        || curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 0L)
        || curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE,
                            (curl_off_t) max_size)
        || curl_easy_setopt(easy, CURLOPT_BUFFERSIZE,
                            (long) NGX_COMMS_FETCH_BUFFER)
        || curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION,
                            ngx_comms_fetch_open)
        || curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static curl_socket_t
ngx_comms_fetch_open(void *data, curlsocktype purpose,
    struct curl_sockaddr *address)
{
    ngx_comms_curl_transfer_t *t = data;

    if (purpose != CURLSOCKTYPE_IPCXN
        || !ngx_comms_fetch_allowed(t, &address->addr))
    {
        t->forbidden = 1;
        return CURL_SOCKET_BAD;
    }

    return socket(address->family, address->socktype|SOCK_CLOEXEC,
                  address->protocol);
}


static ngx_uint_t
ngx_comms_fetch_allowed(ngx_comms_curl_transfer_t *t,
    struct sockaddr *sockaddr)
{
    if (t->allow != NULL && ngx_cidr_match(sockaddr, t->allow) == NGX_OK) {
        return 1;
    }

    /* what goes over the network unprotected stays where it was allowed */

    return !t->clear && ngx_comms_fetch_public(sockaddr);
}


ngx_uint_t
ngx_comms_fetch_public(struct sockaddr *sockaddr)
{
    u_char  *p;

    switch (sockaddr->sa_family) {

    case AF_INET:
        p = (u_char *) &((struct sockaddr_in *) sockaddr)->sin_addr;

        return !ngx_comms_fetch_within(p, ngx_comms_fetch_v4);

    case AF_INET6:
        p = ((struct sockaddr_in6 *) sockaddr)->sin6_addr.s6_addr;

        return (p[0] & 0xe0) == 0x20
               && !ngx_comms_fetch_within(p, ngx_comms_fetch_v6);

    default:
        return 0;
    }
}


static ngx_uint_t
ngx_comms_fetch_within(u_char *address, const ngx_comms_fetch_range_t *ranges)
{
    u_char       mask;
    ngx_uint_t   i, n;

    for ( /* void */ ; ranges->bits != 0; ranges++) {
        n = ranges->bits;

        for (i = 0; n >= 8; i++, n -= 8) {
            if (address[i] != ranges->prefix[i]) {
                break;
            }
        }

        if (n >= 8) {
            continue;
        }

        mask = (u_char) (0xff << (8 - n));

        if (n == 0 || (address[i] & mask) == (ranges->prefix[i] & mask)) {
            return 1;
        }
    }

    return 0;
}
