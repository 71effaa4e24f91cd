
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Addresses of people and companies: what is valid, and the one form in which
 * each is stored and compared.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <channel/ngx_comms_address.h>


#define NGX_COMMS_EMAIL_MAX_LOCAL   64
#define NGX_COMMS_EMAIL_MAX_DOMAIN  255
#define NGX_COMMS_EMAIL_MAX_LABEL   63


static ngx_uint_t ngx_comms_email_local_valid(u_char *p, u_char *last);
static ngx_uint_t ngx_comms_email_domain_valid(u_char *p, u_char *last);
static ngx_uint_t ngx_comms_email_label_valid(u_char *p, u_char *last);
static ngx_uint_t ngx_comms_email_atext(u_char ch);
static ngx_int_t ngx_comms_address_make(ngx_pool_t *pool, const char *kind,
    ngx_str_t *bare, ngx_uint_t lower, ngx_str_t *address);


ngx_uint_t
ngx_comms_tel_valid(ngx_str_t *tel)
{
    size_t  i;

    if (tel->len < sizeof("+12") - 1
        || tel->len > sizeof("+123456789012345") - 1
        || tel->data[0] != '+'
        || tel->data[1] == '0')
    {
        return 0;
    }

    for (i = 1; i < tel->len; i++) {
        if (tel->data[i] < '0' || tel->data[i] > '9') {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_comms_email_valid(ngx_str_t *email)
{
    u_char  *at, *last;

    if (email->len == 0
        || email->len > NGX_COMMS_EMAIL_MAX_LOCAL + 1
                        + NGX_COMMS_EMAIL_MAX_DOMAIN)
    {
        return 0;
    }

    last = email->data + email->len;

    at = ngx_strlchr(email->data, last, '@');
    if (at == NULL) {
        return 0;
    }

    return ngx_comms_email_local_valid(email->data, at)
           && ngx_comms_email_domain_valid(at + 1, last);
}


static ngx_uint_t
ngx_comms_email_local_valid(u_char *p, u_char *last)
{
    u_char  prev;

    if (p == last || last - p > NGX_COMMS_EMAIL_MAX_LOCAL) {
        return 0;
    }

    /* a dot neither begins nor ends a dot-string, nor follows another */

    prev = '.';

    while (p < last) {

        if (*p == '.') {
            if (prev == '.') {
                return 0;
            }

        } else if (!ngx_comms_email_atext(*p)) {
            return 0;
        }

        prev = *p++;
    }

    return prev != '.';
}


static ngx_uint_t
ngx_comms_email_domain_valid(u_char *p, u_char *last)
{
    u_char      *dot;
    ngx_uint_t   labels;

    if (last - p > NGX_COMMS_EMAIL_MAX_DOMAIN) {
        return 0;
    }

    for (labels = 1; /* void */ ; labels++) {

        dot = ngx_strlchr(p, last, '.');

        if (!ngx_comms_email_label_valid(p, (dot != NULL) ? dot : last)) {
            return 0;
        }

        if (dot == NULL) {
            break;
        }

        p = dot + 1;
    }

    /* a last label of digits alone would make it an IP address */

    while (p < last && *p >= '0' && *p <= '9') {
        p++;
    }

    return labels >= 2 && p < last;
}


static ngx_uint_t
ngx_comms_email_label_valid(u_char *p, u_char *last)
{
    u_char  ch;

    if (p >= last || last - p > NGX_COMMS_EMAIL_MAX_LABEL
        || *p == '-' || *(last - 1) == '-')
    {
        return 0;
    }

    while (p < last) {
        ch = ngx_tolower(*p);
        p++;

        if ((ch < 'a' || ch > 'z') && (ch < '0' || ch > '9') && ch != '-') {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_comms_email_atext(u_char ch)
{
    u_char  lower;

    lower = ngx_tolower(ch);

    if ((lower >= 'a' && lower <= 'z') || (ch >= '0' && ch <= '9')) {
        return 1;
    }

    return ch != '\0' && ngx_strchr("!#$%&'*+-/=?^_`{|}~", ch) != NULL;
}


ngx_int_t
ngx_comms_address_tel(ngx_pool_t *pool, ngx_str_t *tel, ngx_str_t *address)
{
    return ngx_comms_address_make(pool, "tel:", tel, 0, address);
}


ngx_int_t
ngx_comms_address_email(ngx_pool_t *pool, ngx_str_t *email,
    ngx_str_t *address)
{
    return ngx_comms_address_make(pool, "mailto:", email, 1, address);
}


static ngx_int_t
ngx_comms_address_make(ngx_pool_t *pool, const char *kind, ngx_str_t *bare,
    ngx_uint_t lower, ngx_str_t *address)
{
    u_char  *p;
    size_t   len;

    len = ngx_strlen(kind);

    p = ngx_pnalloc(pool, len + bare->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    address->data = p;
    address->len = len + bare->len;

    p = ngx_cpymem(p, kind, len);

    if (lower) {
        ngx_strlow(p, bare->data, bare->len);

    } else {
        ngx_memcpy(p, bare->data, bare->len);
    }

    return NGX_OK;
}


ngx_str_t
ngx_comms_address_bare(ngx_str_t *address)
{
    u_char     *colon;
    ngx_str_t   bare;

    bare = *address;

    colon = ngx_strlchr(bare.data, bare.data + bare.len, ':');

    if (colon != NULL) {
        bare.len -= colon + 1 - bare.data;
        bare.data = colon + 1;
    }

    return bare;
}


ngx_uint_t
ngx_comms_address_is(ngx_str_t *address, const char *kind)
{
    size_t  len;

    len = ngx_strlen(kind);

    return address->len > len + 1
           && address->data[len] == ':'
           && ngx_strncmp(address->data, kind, len) == 0;
}
