
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Invariants: nothing is left in OpenSSL's error queue, where nginx would
 * find it at the next TLS operation of somebody else and log it; no key, MAC
 * or signature is logged.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include "base/ngx_comms_crypto.h"


/* a P-256 key takes 91 bytes of DER and a signature at most 72 */
#define NGX_COMMS_ECDSA_MAX_DER   512
#define NGX_COMMS_ECDSA_MAX_TEXT  ((NGX_COMMS_ECDSA_MAX_DER / 3) * 4)


static ngx_int_t ngx_comms_hmac(const char *digest, ngx_str_t *key,
    ngx_str_t *parts, ngx_uint_t nparts, u_char *mac, size_t len);
static ngx_int_t ngx_comms_mac_parts(EVP_MAC_CTX *ctx, const char *digest,
    ngx_str_t *key, ngx_str_t *parts, ngx_uint_t nparts, u_char *mac,
    size_t len);
static EVP_PKEY *ngx_comms_ecdsa_key(ngx_str_t *text);
static ngx_int_t ngx_comms_ecdsa_check(EVP_PKEY *pkey, ngx_str_t *signature,
    ngx_str_t *parts, ngx_uint_t nparts);
static ngx_int_t ngx_comms_unbase64(ngx_str_t *text, u_char *buf,
    ngx_str_t *bytes);


ngx_int_t
ngx_comms_sha256(ngx_str_t *data, u_char digest[NGX_COMMS_SHA256_LEN])
{
    if (EVP_Digest(data->data, data->len, digest, NULL, EVP_sha256(), NULL)
        != 1)
    {
        ERR_clear_error();
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_sha256_hex(ngx_pool_t *pool, ngx_str_t *data, ngx_str_t *hex)
{
    u_char  digest[NGX_COMMS_SHA256_LEN];

    if (ngx_comms_sha256(data, digest) != NGX_OK) {
        return NGX_ERROR;
    }

    hex->len = 2 * NGX_COMMS_SHA256_LEN;
    hex->data = ngx_pnalloc(pool, hex->len);
    if (hex->data == NULL) {
        return NGX_ERROR;
    }

    ngx_hex_dump(hex->data, digest, NGX_COMMS_SHA256_LEN);

    return NGX_OK;
}


ngx_int_t
ngx_comms_hmac_sha1(ngx_str_t *key, ngx_str_t *parts, ngx_uint_t nparts,
    u_char mac[NGX_COMMS_SHA1_LEN])
{
    return ngx_comms_hmac("SHA1", key, parts, nparts, mac,
                          NGX_COMMS_SHA1_LEN);
}


ngx_int_t
ngx_comms_hmac_sha256(ngx_str_t *key, ngx_str_t *parts, ngx_uint_t nparts,
    u_char mac[NGX_COMMS_SHA256_LEN])
{
    return ngx_comms_hmac("SHA256", key, parts, nparts, mac,
                          NGX_COMMS_SHA256_LEN);
}


ngx_int_t
ngx_comms_ecdsa_verify(ngx_str_t *key, ngx_str_t *signature,
    ngx_str_t *parts, ngx_uint_t nparts)
{
    u_char      buf[NGX_COMMS_ECDSA_MAX_DER];
    EVP_PKEY   *pkey;
    ngx_int_t   rc;
    ngx_str_t   der;

    pkey = ngx_comms_ecdsa_key(key);

    if (pkey == NULL) {
        ERR_clear_error();
        return NGX_ERROR;
    }

    rc = NGX_DECLINED;

    if (ngx_comms_unbase64(signature, buf, &der) == NGX_OK) {
        rc = ngx_comms_ecdsa_check(pkey, &der, parts, nparts);
    }

    EVP_PKEY_free(pkey);
    ERR_clear_error();

    return rc;
}


ngx_uint_t
ngx_comms_equal(ngx_str_t *a, ngx_str_t *b)
{
    size_t           i, j;
    u_char          *p;
    volatile size_t  differ;

    differ = a->len ^ b->len;

    /* a place to read from when "a" is empty */

    p = (a->len != 0) ? a->data : (u_char *) "";

    for (i = 0; i < b->len; i++) {

        /* behind the end of "a" its first byte is read, without a branch */

        j = i & (0 - (size_t) (i < a->len));
        differ |= p[j] ^ b->data[i];
    }

    return differ == 0;
}


ngx_int_t
ngx_comms_random(u_char *bytes, size_t len)
{
    if (len > INT_MAX || RAND_bytes(bytes, (int) len) != 1) {
        ERR_clear_error();
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_base64(ngx_pool_t *pool, ngx_str_t *bytes, ngx_str_t *text)
{
    if (bytes->len > NGX_MAX_INT32_VALUE) {
        return NGX_ERROR;
    }

    text->data = ngx_pnalloc(pool, ngx_base64_encoded_length(bytes->len));
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    ngx_encode_base64(text, bytes);

    return NGX_OK;
}


static ngx_int_t
ngx_comms_hmac(const char *digest, ngx_str_t *key, ngx_str_t *parts,
    ngx_uint_t nparts, u_char *mac, size_t len)
{
    EVP_MAC      *hmac;
    ngx_int_t     rc;
    EVP_MAC_CTX  *ctx;

    rc = NGX_ERROR;
    ctx = NULL;

    hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);

    if (hmac != NULL) {
        ctx = EVP_MAC_CTX_new(hmac);
    }

    if (ctx != NULL) {
        rc = ngx_comms_mac_parts(ctx, digest, key, parts, nparts, mac, len);
    }

    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(hmac);

    if (rc != NGX_OK) {
        ERR_clear_error();
    }

    return rc;
}


static ngx_int_t
ngx_comms_mac_parts(EVP_MAC_CTX *ctx, const char *digest, ngx_str_t *key,
    ngx_str_t *parts, ngx_uint_t nparts, u_char *mac, size_t len)
{
    size_t       size;
    u_char      *secret;
    ngx_uint_t   i;
    OSSL_PARAM   params[2];

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                                 (char *) digest, 0);
    params[1] = OSSL_PARAM_construct_end();

    /* to EVP_MAC_init() NULL is no key, and not an empty one */

    secret = (key->len != 0) ? key->data : (u_char *) "";

    if (EVP_MAC_init(ctx, secret, key->len, params) != 1) {
        return NGX_ERROR;
    }

    for (i = 0; i < nparts; i++) {
        if (parts[i].len != 0
            && EVP_MAC_update(ctx, parts[i].data, parts[i].len) != 1)
        {
            return NGX_ERROR;
        }
    }

    if (EVP_MAC_final(ctx, mac, &size, len) != 1 || size != len) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* NULL also for keys of other algorithms and curves */

static EVP_PKEY *
ngx_comms_ecdsa_key(ngx_str_t *text)
{
    char                  group[32];
    size_t                len;
    u_char                buf[NGX_COMMS_ECDSA_MAX_DER];
    EVP_PKEY             *pkey;
    ngx_str_t             der;
    const unsigned char  *p;

    if (ngx_comms_unbase64(text, buf, &der) != NGX_OK) {
        return NULL;
    }

    p = der.data;

    pkey = d2i_PUBKEY(NULL, &p, (long) der.len);
    if (pkey == NULL) {
        return NULL;
    }

    if (p != der.data + der.len
        || EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC
        || EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) != 1
        || ngx_strcmp(group, "prime256v1") != 0)
    {
        EVP_PKEY_free(pkey);
        return NULL;
    }

    return pkey;
}


static ngx_int_t
ngx_comms_ecdsa_check(EVP_PKEY *pkey, ngx_str_t *signature, ngx_str_t *parts,
    ngx_uint_t nparts)
{
    ngx_int_t    rc;
    ngx_uint_t   i;
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey) != 1) {
        goto done;
    }

    for (i = 0; i < nparts; i++) {
        if (parts[i].len != 0
            && EVP_DigestVerifyUpdate(ctx, parts[i].data, parts[i].len) != 1)
        {
            goto done;
        }
    }

    /* a signature that is no DER gives a negative value or 0: both are bad */

    rc = (EVP_DigestVerifyFinal(ctx, signature->data, signature->len) == 1)
         ? NGX_OK : NGX_DECLINED;

done:

    EVP_MD_CTX_free(ctx);

    return rc;
}


/*
 * Into a buffer of NGX_COMMS_ECDSA_MAX_DER bytes.  ngx_decode_base64() takes
 * no notice of what is behind the first "=".
 */

static ngx_int_t
ngx_comms_unbase64(ngx_str_t *text, u_char *buf, ngx_str_t *bytes)
{
    u_char  *p, *last;

    if (text->len == 0 || text->len > NGX_COMMS_ECDSA_MAX_TEXT) {
        return NGX_DECLINED;
    }

    last = text->data + text->len;
    p = ngx_strlchr(text->data, last, '=');

    if (p != NULL && (last - p > 2 || last[-1] != '=')) {
        return NGX_DECLINED;
    }

    bytes->data = buf;

    return (ngx_decode_base64(bytes, text) == NGX_OK) ? NGX_OK : NGX_DECLINED;
}
