
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The signer.  Its words are those of the SigV4 specification:
 *
 *   canonical request = method, path, args, headers, names, hash of the body
 *   string to sign    = algorithm, date, scope, hash of the canonical request
 *   signature         = HMAC under a key of the day, the region, the service
 *
 * Invariants:
 *   1. Every header of the request is signed but those that proxies and
 *      clients change on the way (ngx_comms_aws_unsigned).
 *   2. The time is given, and never read here: a corrected clock and a test
 *      need that.
 *   3. No derived key outlives the call.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_text.h>
#include <aws/ngx_comms_aws_sign.h>


#define NGX_COMMS_AWS_DATE_LEN  (sizeof("20150830T123600Z") - 1)
#define NGX_COMMS_AWS_DAY_LEN   (sizeof("20150830") - 1)
#define NGX_COMMS_AWS_HEX_LEN   (2 * NGX_COMMS_SHA256_LEN)


static ngx_int_t ngx_comms_aws_sign_add(ngx_comms_request_t *rq,
    ngx_comms_aws_scope_t *scope, u_char *date);
static ngx_int_t ngx_comms_aws_sign_headers(ngx_comms_request_t *rq,
    ngx_array_t *signing);
static ngx_uint_t ngx_comms_aws_sign_skips(ngx_str_t *name);
static ngx_int_t ngx_comms_aws_sign_header(ngx_pool_t *pool,
    ngx_keyval_t *header, ngx_array_t *signing);
static ngx_int_t ngx_comms_aws_sign_join(ngx_pool_t *pool,
    ngx_keyval_t *header, ngx_str_t *value);
static ngx_int_t ngx_comms_aws_sign_names(ngx_pool_t *pool,
    ngx_array_t *signing, ngx_str_t *names);
static ngx_int_t ngx_comms_aws_sign_path(ngx_pool_t *pool, ngx_str_t *path,
    ngx_str_t *canonical);
static u_char *ngx_comms_aws_sign_segment(u_char *start, u_char *last,
    ngx_str_t *segment);
static ngx_int_t ngx_comms_aws_sign_args(ngx_pool_t *pool, ngx_str_t *args,
    ngx_str_t *canonical);
static ngx_int_t ngx_cdecl ngx_comms_aws_sign_before(const void *one,
    const void *two);
static ngx_int_t ngx_comms_aws_sign_canonical(ngx_comms_request_t *rq,
    ngx_array_t *signing, ngx_str_t *names, ngx_str_t *canonical);
static ngx_int_t ngx_comms_aws_sign_authorize(ngx_comms_request_t *rq,
    ngx_comms_aws_scope_t *scope, u_char *date, ngx_str_t *names,
    ngx_str_t *canonical);
static ngx_int_t ngx_comms_aws_sign_key(ngx_comms_aws_scope_t *scope,
    u_char *date, ngx_pool_t *pool, u_char key[NGX_COMMS_SHA256_LEN]);


static ngx_str_t  ngx_comms_aws_unsigned[] = {
    ngx_string("connection"),
    ngx_string("expect"),
    ngx_string("keep-alive"),
    ngx_string("proxy-authenticate"),
    ngx_string("proxy-authorization"),
    ngx_string("proxy-connection"),
    ngx_string("te"),
    ngx_string("trailer"),
    ngx_string("transfer-encoding"),
    ngx_string("upgrade"),
    ngx_string("user-agent"),
    ngx_string("x-amzn-trace-id")
};


ngx_int_t
ngx_comms_aws_sign(ngx_comms_request_t *rq, ngx_comms_aws_scope_t *scope,
    ngx_str_t *canonical)
{
    u_char       date[NGX_COMMS_AWS_DATE_LEN + 1];
    ngx_tm_t     tm;
    ngx_int_t    rc;
    ngx_str_t    names, text;
    ngx_pool_t  *pool;
    ngx_array_t  signing;

    pool = rq->headers.pool;

    ngx_gmtime(scope->time, &tm);

    (void) ngx_sprintf(date, "%4d%02d%02dT%02d%02d%02dZ%Z", tm.ngx_tm_year,
                       tm.ngx_tm_mon, tm.ngx_tm_mday, tm.ngx_tm_hour,
                       tm.ngx_tm_min, tm.ngx_tm_sec);

    rc = ngx_comms_aws_sign_add(rq, scope, date);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_array_init(&signing, pool, rq->headers.nelts,
                       sizeof(ngx_keyval_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_aws_sign_headers(rq, &signing) != NGX_OK
        || ngx_comms_aws_sign_names(pool, &signing, &names) != NGX_OK
        || ngx_comms_aws_sign_canonical(rq, &signing, &names, &text) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (canonical != NULL) {
        *canonical = text;
    }

    return ngx_comms_aws_sign_authorize(rq, scope, date, &names, &text);
}


static ngx_int_t
ngx_comms_aws_sign_add(ngx_comms_request_t *rq, ngx_comms_aws_scope_t *scope,
    u_char *date)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    value.data = date;
    value.len = NGX_COMMS_AWS_DATE_LEN;

    rc = ngx_comms_request_header(rq, "X-Amz-Date", &value);

    if (rc != NGX_OK || scope->keys->token.len == 0) {
        return rc;
    }

    return ngx_comms_request_header(rq, "X-Amz-Security-Token",
                                    &scope->keys->token);
}


/* the headers to sign: lower case, sorted, repeated ones joined */

static ngx_int_t
ngx_comms_aws_sign_headers(ngx_comms_request_t *rq, ngx_array_t *signing)
{
    ngx_uint_t     i;
    ngx_keyval_t  *header;

    header = rq->headers.elts;

    for (i = 0; i < rq->headers.nelts; i++) {

        if (ngx_comms_aws_sign_skips(&header[i].key)) {
            continue;
        }

        if (ngx_comms_aws_sign_header(rq->headers.pool, &header[i], signing)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_comms_aws_sign_skips(ngx_str_t *name)
{
    ngx_uint_t  i, n;

    n = sizeof(ngx_comms_aws_unsigned) / sizeof(ngx_comms_aws_unsigned[0]);

    for (i = 0; i < n; i++) {
        if (ngx_comms_same_word(name, &ngx_comms_aws_unsigned[i])) {
            return 1;
        }
    }

    return 0;
}


/* puts one header where it belongs, behind those of the same name */

static ngx_int_t
ngx_comms_aws_sign_header(ngx_pool_t *pool, ngx_keyval_t *header,
    ngx_array_t *signing)
{
    u_char        *p, *last;
    ngx_str_t      name, value;
    ngx_uint_t     i;
    ngx_keyval_t  *h;

    name.len = header->key.len;
    name.data = ngx_pnalloc(pool, name.len + header->value.len);
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(name.data, header->key.data, name.len);

    value.data = name.data + name.len;
    last = value.data;

    for (p = header->value.data;
         p < header->value.data + header->value.len;
         p++)
    {
        if (*p != ' ' && *p != '\t') {
            *last++ = *p;

        } else if (last > value.data && last[-1] != ' ') {
            *last++ = ' ';
        }
    }

    if (last > value.data && last[-1] == ' ') {
        last--;
    }

    value.len = last - value.data;

    h = signing->elts;

    for (i = 0; i < signing->nelts; i++) {
        if (ngx_comms_same_word(&h[i].key, &name)) {
            return ngx_comms_aws_sign_join(pool, &h[i], &value);
        }
    }

    if (ngx_array_push(signing) == NULL) {
        return NGX_ERROR;
    }

    h = signing->elts;

    for (i = signing->nelts - 1; i > 0; i--) {
        if (ngx_memn2cmp(h[i - 1].key.data, name.data, h[i - 1].key.len,
                         name.len)
            < 0)
        {
            break;
        }

        h[i] = h[i - 1];
    }

    h[i].key = name;
    h[i].value = value;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_aws_sign_join(ngx_pool_t *pool, ngx_keyval_t *header,
    ngx_str_t *value)
{
    u_char     *p;
    ngx_str_t   joined;

    joined.len = header->value.len + 1 + value->len;
    joined.data = ngx_pnalloc(pool, joined.len);
    if (joined.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(joined.data, header->value.data, header->value.len);
    *p++ = ',';
    ngx_memcpy(p, value->data, value->len);

    header->value = joined;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_aws_sign_names(ngx_pool_t *pool, ngx_array_t *signing,
    ngx_str_t *names)
{
    size_t         len;
    u_char        *p;
    ngx_uint_t     i;
    ngx_keyval_t  *h;

    h = signing->elts;
    len = 0;

    for (i = 0; i < signing->nelts; i++) {
        len += h[i].key.len + 1;
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    names->data = p;

    for (i = 0; i < signing->nelts; i++) {
        if (i != 0) {
            *p++ = ';';
        }

        p = ngx_cpymem(p, h[i].key.data, h[i].key.len);
    }

    names->len = p - names->data;

    return NGX_OK;
}


/*
 * Dot segments and repeated slashes removed, as the services do, then escaped
 * once more than on the wire.
 */

static ngx_int_t
ngx_comms_aws_sign_path(ngx_pool_t *pool, ngx_str_t *path,
    ngx_str_t *canonical)
{
    u_char     *p, *last, *end, *dst;
    ngx_str_t   plain, segment;
    uintptr_t   escapes;

    plain.data = ngx_pnalloc(pool, path->len + 2);
    if (plain.data == NULL) {
        return NGX_ERROR;
    }

    dst = plain.data;
    p = path->data;
    end = path->data + path->len;

    while (p < end) {
        last = ngx_strlchr(p, end, '/');
        if (last == NULL) {
            last = end;
        }

        segment.data = p;
        segment.len = last - p;
        dst = ngx_comms_aws_sign_segment(plain.data, dst, &segment);

        p = last + 1;
    }

    if (dst == plain.data || (path->len != 0 && end[-1] == '/')) {
        *dst++ = '/';
    }

    plain.len = dst - plain.data;

    /* NGX_ESCAPE_URI_COMPONENT escapes slashes, too: put right below */

    escapes = ngx_escape_uri(NULL, plain.data, plain.len,
                             NGX_ESCAPE_URI_COMPONENT);

    canonical->data = ngx_pnalloc(pool, plain.len + 2 * escapes);
    if (canonical->data == NULL) {
        return NGX_ERROR;
    }

    dst = canonical->data;

    for (p = plain.data; p < plain.data + plain.len; p++) {
        if (*p == '/') {
            *dst++ = '/';

        } else {
            dst = (u_char *) ngx_escape_uri(dst, p, 1,
                                            NGX_ESCAPE_URI_COMPONENT);
        }
    }

    canonical->len = dst - canonical->data;

    return NGX_OK;
}


/* "start" to "last" is what the path has become so far */

static u_char *
ngx_comms_aws_sign_segment(u_char *start, u_char *last, ngx_str_t *segment)
{
    if (segment->len == 0 || (segment->len == 1 && segment->data[0] == '.')) {
        return last;
    }

    if (segment->len == 2 && segment->data[0] == '.'
        && segment->data[1] == '.')
    {
        while (last > start && *--last != '/') { /* void */ }
        return last;
    }

    *last++ = '/';

    return ngx_cpymem(last, segment->data, segment->len);
}


static ngx_int_t
ngx_comms_aws_sign_args(ngx_pool_t *pool, ngx_str_t *args,
    ngx_str_t *canonical)
{
    u_char        *p, *last, *end, *dst;
    ngx_uint_t     i;
    ngx_array_t    pairs;
    ngx_keyval_t  *pair;

    ngx_str_null(canonical);

    if (args->len == 0) {
        return NGX_OK;
    }

    if (ngx_array_init(&pairs, pool, 4, sizeof(ngx_keyval_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    end = args->data + args->len;

    for (p = args->data; p <= end; p = last + 1) {
        last = ngx_strlchr(p, end, '&');
        if (last == NULL) {
            last = end;
        }

        pair = ngx_array_push(&pairs);
        if (pair == NULL) {
            return NGX_ERROR;
        }

        pair->key.data = p;
        pair->value.data = ngx_strlchr(p, last, '=');

        if (pair->value.data == NULL) {
            pair->key.len = last - p;
            pair->value.data = last;

        } else {
            pair->key.len = pair->value.data++ - p;
        }

        pair->value.len = last - pair->value.data;
    }

    ngx_sort(pairs.elts, pairs.nelts, sizeof(ngx_keyval_t),
             ngx_comms_aws_sign_before);

    dst = ngx_pnalloc(pool, args->len + pairs.nelts);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    canonical->data = dst;
    pair = pairs.elts;

    for (i = 0; i < pairs.nelts; i++) {
        if (i != 0) {
            *dst++ = '&';
        }

        dst = ngx_cpymem(dst, pair[i].key.data, pair[i].key.len);
        *dst++ = '=';
        dst = ngx_cpymem(dst, pair[i].value.data, pair[i].value.len);
    }

    canonical->len = dst - canonical->data;

    return NGX_OK;
}


static ngx_int_t ngx_cdecl
ngx_comms_aws_sign_before(const void *one, const void *two)
{
    ngx_int_t      rc;
    ngx_keyval_t  *first, *second;

    first = (ngx_keyval_t *) one;
    second = (ngx_keyval_t *) two;

    rc = ngx_memn2cmp(first->key.data, second->key.data, first->key.len,
                      second->key.len);

    if (rc == 0) {
        rc = ngx_memn2cmp(first->value.data, second->value.data,
                          first->value.len, second->value.len);
    }

    return rc;
}


static ngx_int_t
ngx_comms_aws_sign_canonical(ngx_comms_request_t *rq, ngx_array_t *signing,
    ngx_str_t *names, ngx_str_t *canonical)
{
    size_t         len;
    u_char        *p;
    ngx_str_t      path, args, hash;
    ngx_uint_t     i;
    ngx_pool_t    *pool;
    ngx_keyval_t  *h;

    pool = rq->headers.pool;

    if (ngx_comms_aws_sign_path(pool, &rq->path, &path) != NGX_OK
        || ngx_comms_aws_sign_args(pool, &rq->args, &args) != NGX_OK
        || ngx_comms_sha256_hex(pool, &rq->body, &hash) != NGX_OK)
    {
        return NGX_ERROR;
    }

    len = rq->method.len + path.len + args.len + names->len + hash.len + 5;
    h = signing->elts;

    for (i = 0; i < signing->nelts; i++) {
        len += h[i].key.len + h[i].value.len + 2;
    }

    canonical->data = ngx_pnalloc(pool, len);
    if (canonical->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(canonical->data, "%V\n%V\n%V\n", &rq->method, &path,
                    &args);

    for (i = 0; i < signing->nelts; i++) {
        p = ngx_sprintf(p, "%V:%V\n", &h[i].key, &h[i].value);
    }

    p = ngx_sprintf(p, "\n%V\n%V", names, &hash);

    canonical->len = p - canonical->data;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_aws_sign_authorize(ngx_comms_request_t *rq,
    ngx_comms_aws_scope_t *scope, u_char *date, ngx_str_t *names,
    ngx_str_t *canonical)
{
    size_t       len;
    u_char       key[NGX_COMMS_SHA256_LEN], mac[NGX_COMMS_SHA256_LEN];
    u_char      *p;
    ngx_int_t    rc;
    ngx_str_t    hash, secret, text, value;
    ngx_pool_t  *pool;

    pool = rq->headers.pool;

    if (ngx_comms_sha256_hex(pool, canonical, &hash) != NGX_OK) {
        return NGX_ERROR;
    }

    len = sizeof("AWS4-HMAC-SHA256 Credential=") - 1
          + scope->keys->access_key.len + NGX_COMMS_AWS_DATE_LEN
          + scope->region.len + scope->service.len
          + sizeof("////aws4_request, SignedHeaders=, Signature=") - 1
          + names->len + 2 * NGX_COMMS_AWS_HEX_LEN;

    p = ngx_pnalloc(pool, 2 * len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text.data = p;
    p = ngx_sprintf(p, "AWS4-HMAC-SHA256\n%s\n%*s/%V/%V/aws4_request\n%V",
                    date, NGX_COMMS_AWS_DAY_LEN, date, &scope->region,
                    &scope->service, &hash);
    text.len = p - text.data;

    rc = ngx_comms_aws_sign_key(scope, date, pool, key);

    if (rc == NGX_OK) {
        secret.data = key;
        secret.len = NGX_COMMS_SHA256_LEN;
        rc = ngx_comms_hmac_sha256(&secret, &text, 1, mac);
    }

    ngx_explicit_memzero(key, sizeof(key));

    if (rc != NGX_OK) {
        return rc;
    }

    value.data = p;
    p = ngx_sprintf(p, "AWS4-HMAC-SHA256 Credential=%V/%*s/%V/%V/aws4_request,"
                    " SignedHeaders=%V, Signature=", &scope->keys->access_key,
                    NGX_COMMS_AWS_DAY_LEN, date, &scope->region,
                    &scope->service, names);
    p = ngx_hex_dump(p, mac, NGX_COMMS_SHA256_LEN);
    value.len = p - value.data;

    return ngx_comms_request_header(rq, "Authorization", &value);
}


/* "AWS4" and the secret -> day -> region -> service -> "aws4_request" */

static ngx_int_t
ngx_comms_aws_sign_key(ngx_comms_aws_scope_t *scope, u_char *date,
    ngx_pool_t *pool, u_char key[NGX_COMMS_SHA256_LEN])
{
    u_char      *p;
    ngx_str_t    secret, parts[4], first;
    ngx_uint_t   i;

    first.len = sizeof("AWS4") - 1 + scope->keys->secret_key.len;
    first.data = ngx_pnalloc(pool, first.len);
    if (first.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(first.data, "AWS4", sizeof("AWS4") - 1);
    ngx_memcpy(p, scope->keys->secret_key.data, scope->keys->secret_key.len);

    parts[0].data = date;
    parts[0].len = NGX_COMMS_AWS_DAY_LEN;
    parts[1] = scope->region;
    parts[2] = scope->service;
    ngx_str_set(&parts[3], "aws4_request");

    secret = first;

    for (i = 0; i < 4; i++) {
        if (ngx_comms_hmac_sha256(&secret, &parts[i], 1, key) != NGX_OK) {
            ngx_explicit_memzero(first.data, first.len);
            return NGX_ERROR;
        }

        secret.data = key;
        secret.len = NGX_COMMS_SHA256_LEN;
    }

    ngx_explicit_memzero(first.data, first.len);

    return NGX_OK;
}
