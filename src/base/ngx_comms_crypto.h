
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Hashes, MACs and signatures over OpenSSL, in nginx's types.
 */


#ifndef _NGX_COMMS_CRYPTO_H_INCLUDED_
#define _NGX_COMMS_CRYPTO_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_COMMS_SHA1_LEN    20
#define NGX_COMMS_SHA256_LEN  32


/* NGX_OK or NGX_ERROR (OpenSSL failed) for all of these */
ngx_int_t ngx_comms_sha256(ngx_str_t *data,
    u_char digest[NGX_COMMS_SHA256_LEN]);

/* lower-case hex in the pool, 64 characters */
ngx_int_t ngx_comms_sha256_hex(ngx_pool_t *pool, ngx_str_t *data,
    ngx_str_t *hex);

/* RFC 2104; "parts" are hashed one after the other */
ngx_int_t ngx_comms_hmac_sha1(ngx_str_t *key, ngx_str_t *parts,
    ngx_uint_t nparts, u_char mac[NGX_COMMS_SHA1_LEN]);
ngx_int_t ngx_comms_hmac_sha256(ngx_str_t *key, ngx_str_t *parts,
    ngx_uint_t nparts, u_char mac[NGX_COMMS_SHA256_LEN]);

/*
 * ECDSA P-256 over SHA-256 of the parts.  "key" is base64 of a DER
 * SubjectPublicKeyInfo, "signature" base64 of a DER signature (SendGrid's
 * Event Webhook).  NGX_OK: good; NGX_DECLINED: bad signature, or one that
 * is not parseable; NGX_ERROR: the key itself is unusable.
 */
ngx_int_t ngx_comms_ecdsa_verify(ngx_str_t *key, ngx_str_t *signature,
    ngx_str_t *parts, ngx_uint_t nparts);

/*
 * Compares in a time that depends on "b" alone, and not on where the two
 * differ; 1 when equal.  Unequal lengths compare unequal in the same time.
 */
ngx_uint_t ngx_comms_equal(ngx_str_t *a, ngx_str_t *b);

ngx_int_t ngx_comms_random(u_char *bytes, size_t len);

/* RFC 4648 base64 in the pool */
ngx_int_t ngx_comms_base64(ngx_pool_t *pool, ngx_str_t *bytes,
    ngx_str_t *text);


#endif /* _NGX_COMMS_CRYPTO_H_INCLUDED_ */
