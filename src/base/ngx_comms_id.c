
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * ULIDs are minted on the event loop alone: the counter below has no lock.
 *
 * Invariants of the counter:
 *   1. (ms, random) only grows within a process, also when the wall clock
 *      steps back: then the last millisecond is kept and counted on.
 *   2. A forked process starts with fresh randomness and does not count on
 *      from its parent's, or two workers would mint the same ids.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "base/ngx_comms_clock.h"
#include "base/ngx_comms_crypto.h"
#include "base/ngx_comms_id.h"


#define NGX_COMMS_ULID_BYTES     16
#define NGX_COMMS_ULID_RANDOM    10
#define NGX_COMMS_ULID_TIME      10       /* characters of it */
#define NGX_COMMS_UUID_LEN       36
#define NGX_COMMS_TAG_LEN        16
#define NGX_COMMS_TAG_BYTES      10       /* 16 characters of 5 bits */
#define NGX_COMMS_TOKEN_LEN      (NGX_COMMS_ULID_LEN + 1 + NGX_COMMS_TAG_LEN)

#define ngx_comms_prefix_len     (sizeof("th_") - 1)


typedef struct {
    ngx_pid_t   pid;
    int64_t     ms;
    u_char      random[NGX_COMMS_ULID_RANDOM];
} ngx_comms_id_last_t;


static ngx_int_t ngx_comms_id_next(ngx_comms_id_last_t *last);
static u_char *ngx_comms_base32(u_char *p, u_char *bytes, ngx_uint_t skip,
    ngx_uint_t n);
static ngx_uint_t ngx_comms_base32_valid(u_char *p, size_t len);
static ngx_int_t ngx_comms_token(ngx_pool_t *pool, ngx_str_t *key,
    ngx_str_t *thread_id, const char *purpose, ngx_str_t *token);
static ngx_int_t ngx_comms_token_verify(ngx_pool_t *pool, ngx_str_t *key,
    ngx_str_t *token, const char *purpose, ngx_str_t *thread_id);
static ngx_int_t ngx_comms_token_tag(ngx_str_t *key, ngx_str_t *thread_id,
    const char *purpose, u_char *tag);


/* Crockford's: without I, L, O and U */
static u_char  ngx_comms_base32_alphabet[] =
    "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static ngx_comms_id_last_t  ngx_comms_id_last;


ngx_int_t
ngx_comms_id_mint(ngx_pool_t *pool, const char *prefix, ngx_str_t *id)
{
    size_t       len;
    u_char      *p, bytes[NGX_COMMS_ULID_BYTES];
    uint64_t     ms;
    ngx_uint_t   i;

    if (ngx_comms_id_next(&ngx_comms_id_last) != NGX_OK) {
        return NGX_ERROR;
    }

    ms = (uint64_t) ngx_comms_id_last.ms;

    for (i = 0; i < 6; i++) {
        bytes[i] = (u_char) (ms >> (40 - 8 * i));
    }

    ngx_memcpy(&bytes[6], ngx_comms_id_last.random, NGX_COMMS_ULID_RANDOM);

    len = ngx_strlen(prefix);

    p = ngx_pnalloc(pool, len + NGX_COMMS_ULID_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    id->data = p;
    id->len = len + NGX_COMMS_ULID_LEN;

    p = ngx_cpymem(p, prefix, len);

    /* 26 characters hold 130 bits: the first two are no part of the 128 */

    (void) ngx_comms_base32(p, bytes, 2, NGX_COMMS_ULID_LEN);

    return NGX_OK;
}


ngx_int_t
ngx_comms_id_of(ngx_pool_t *pool, const char *prefix, ngx_str_t *text,
    ngx_str_t *id)
{
    size_t   len;
    u_char  *p, digest[NGX_COMMS_SHA256_LEN];

    if (ngx_comms_sha256(text, digest) != NGX_OK) {
        return NGX_ERROR;
    }

    len = ngx_strlen(prefix);

    p = ngx_pnalloc(pool, len + NGX_COMMS_ULID_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    id->data = p;
    id->len = len + NGX_COMMS_ULID_LEN;

    p = ngx_cpymem(p, prefix, len);

    (void) ngx_comms_base32(p, digest, 2, NGX_COMMS_ULID_LEN);

    return NGX_OK;
}


ngx_uint_t
ngx_comms_thread_id_valid(ngx_str_t *id)
{
    return id->len == NGX_COMMS_THREAD_ID_LEN
           && ngx_strncmp(id->data, "th_", ngx_comms_prefix_len) == 0
           && ngx_comms_base32_valid(id->data + ngx_comms_prefix_len,
                                     NGX_COMMS_ULID_LEN);
}


ngx_uint_t
ngx_comms_ulid_valid(ngx_str_t *id)
{
    return id->len == NGX_COMMS_ULID_LEN
           && ngx_comms_base32_valid(id->data, NGX_COMMS_ULID_LEN);
}


ngx_uint_t
ngx_comms_uuid4_valid(ngx_str_t *id)
{
    u_char      ch;
    ngx_uint_t  i;

    if (id->len != NGX_COMMS_UUID_LEN) {
        return 0;
    }

    for (i = 0; i < NGX_COMMS_UUID_LEN; i++) {
        ch = id->data[i];

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (ch != '-') {
                return 0;
            }

            continue;
        }

        if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f'))) {
            return 0;
        }
    }

    /* version 4, and the variant bits 10 */

    ch = id->data[19];

    return id->data[14] == '4'
           && (ch == '8' || ch == '9' || ch == 'a' || ch == 'b');
}


ngx_int_t
ngx_comms_id_derive(ngx_pool_t *pool, ngx_str_t *id, ngx_str_t *word,
    ngx_str_t *derived)
{
    u_char  mac[NGX_COMMS_SHA256_LEN];

    if (id->len != NGX_COMMS_ULID_LEN
        || !ngx_comms_base32_valid(id->data, id->len))
    {
        return NGX_DECLINED;
    }

    if (ngx_comms_hmac_sha256(id, word, 1, mac) != NGX_OK) {
        return NGX_ERROR;
    }

    derived->data = ngx_pstrdup(pool, id);
    if (derived->data == NULL) {
        return NGX_ERROR;
    }

    derived->len = id->len;

    (void) ngx_comms_base32(derived->data + NGX_COMMS_ULID_TIME, mac, 0,
                            NGX_COMMS_ULID_LEN - NGX_COMMS_ULID_TIME);

    return NGX_OK;
}


ngx_int_t
ngx_comms_reply_token(ngx_pool_t *pool, ngx_str_t *key, ngx_str_t *thread_id,
    ngx_str_t *token)
{
    return ngx_comms_token(pool, key, thread_id, "", token);
}


ngx_int_t
ngx_comms_unsubscribe_token(ngx_pool_t *pool, ngx_str_t *key,
    ngx_str_t *thread_id, ngx_str_t *token)
{
    return ngx_comms_token(pool, key, thread_id, "unsubscribe", token);
}


static ngx_int_t
ngx_comms_token(ngx_pool_t *pool, ngx_str_t *key, ngx_str_t *thread_id,
    const char *purpose, ngx_str_t *token)
{
    u_char  *p, tag[NGX_COMMS_TAG_LEN];

    if (!ngx_comms_thread_id_valid(thread_id)
        || ngx_comms_token_tag(key, thread_id, purpose, tag) != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(pool, NGX_COMMS_TOKEN_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    token->data = p;
    token->len = NGX_COMMS_TOKEN_LEN;

    p = ngx_cpymem(p, thread_id->data + ngx_comms_prefix_len,
                   NGX_COMMS_ULID_LEN);
    *p++ = '-';
    ngx_memcpy(p, tag, NGX_COMMS_TAG_LEN);

    ngx_strlow(token->data, token->data, token->len);

    return NGX_OK;
}


ngx_int_t
ngx_comms_reply_token_verify(ngx_pool_t *pool, ngx_str_t *key,
    ngx_str_t *token, ngx_str_t *thread_id)
{
    return ngx_comms_token_verify(pool, key, token, "", thread_id);
}


ngx_int_t
ngx_comms_unsubscribe_token_verify(ngx_pool_t *pool, ngx_str_t *key,
    ngx_str_t *token, ngx_str_t *thread_id)
{
    return ngx_comms_token_verify(pool, key, token, "unsubscribe", thread_id);
}


static ngx_int_t
ngx_comms_token_verify(ngx_pool_t *pool, ngx_str_t *key, ngx_str_t *token,
    const char *purpose, ngx_str_t *thread_id)
{
    u_char      tag[NGX_COMMS_TAG_LEN], given[NGX_COMMS_TAG_LEN];
    ngx_int_t   rc;
    ngx_str_t   named, expected, shown;
    ngx_uint_t  i;

    rc = ngx_comms_token_thread(pool, token, &named);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < NGX_COMMS_TAG_LEN; i++) {
        given[i] = ngx_toupper(token->data[NGX_COMMS_ULID_LEN + 1 + i]);
    }

    if (ngx_comms_token_tag(key, &named, purpose, tag) != NGX_OK) {
        return NGX_ERROR;
    }

    expected.data = tag;
    expected.len = NGX_COMMS_TAG_LEN;
    shown.data = given;
    shown.len = NGX_COMMS_TAG_LEN;

    if (!ngx_comms_equal(&shown, &expected)) {
        return NGX_DECLINED;
    }

    *thread_id = named;

    return NGX_OK;
}


ngx_int_t
ngx_comms_token_thread(ngx_pool_t *pool, ngx_str_t *token,
    ngx_str_t *thread_id)
{
    u_char      *p, id[NGX_COMMS_THREAD_ID_LEN];
    ngx_str_t    named;
    ngx_uint_t   i;

    if (token->len != NGX_COMMS_TOKEN_LEN
        || token->data[NGX_COMMS_ULID_LEN] != '-')
    {
        return NGX_DECLINED;
    }

    p = ngx_cpymem(id, "th_", ngx_comms_prefix_len);

    for (i = 0; i < NGX_COMMS_ULID_LEN; i++) {
        p[i] = ngx_toupper(token->data[i]);
    }

    named.data = id;
    named.len = NGX_COMMS_THREAD_ID_LEN;

    if (!ngx_comms_thread_id_valid(&named)) {
        return NGX_DECLINED;
    }

    thread_id->data = ngx_pstrdup(pool, &named);
    if (thread_id->data == NULL) {
        return NGX_ERROR;
    }

    thread_id->len = named.len;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_id_next(ngx_comms_id_last_t *last)
{
    int64_t    now;
    ngx_int_t  i;

    now = ngx_comms_clock_ms();

    if (last->pid == ngx_pid && now <= last->ms) {

        for (i = NGX_COMMS_ULID_RANDOM - 1; i >= 0; i--) {
            last->random[i]++;

            if (last->random[i] != 0) {
                return NGX_OK;
            }
        }

        /* counted through: the next millisecond is taken early */

        now = last->ms + 1;
    }

    if (ngx_comms_random(last->random, NGX_COMMS_ULID_RANDOM) != NGX_OK) {
        return NGX_ERROR;
    }

    last->pid = ngx_pid;
    last->ms = now;

    return NGX_OK;
}


/*
 * Writes n characters of base32.  The first "skip" bits are zeros in front
 * of the bytes.
 */

static u_char *
ngx_comms_base32(u_char *p, u_char *bytes, ngx_uint_t skip, ngx_uint_t n)
{
    uint32_t    acc;
    ngx_uint_t  bits;

    acc = 0;
    bits = skip;

    while (n--) {

        if (bits < 5) {
            acc = (acc << 8) | *bytes++;
            bits += 8;
        }

        bits -= 5;
        *p++ = ngx_comms_base32_alphabet[(acc >> bits) & 0x1f];
        acc &= (1u << bits) - 1;
    }

    return p;
}


static ngx_uint_t
ngx_comms_base32_valid(u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (p[i] == '\0'
            || ngx_strchr(ngx_comms_base32_alphabet, p[i]) == NULL)
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_comms_token_tag(ngx_str_t *key, ngx_str_t *thread_id,
    const char *purpose, u_char *tag)
{
    u_char     mac[NGX_COMMS_SHA256_LEN];
    ngx_str_t  parts[2];

    parts[0] = *thread_id;
    parts[1].data = (u_char *) purpose;
    parts[1].len = ngx_strlen(purpose);

    if (ngx_comms_hmac_sha256(key, parts, 2, mac) != NGX_OK) {
        return NGX_ERROR;
    }

    (void) ngx_comms_base32(tag, mac, 0, NGX_COMMS_TAG_LEN);

    return NGX_OK;
}
