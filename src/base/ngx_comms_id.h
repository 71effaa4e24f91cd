
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Identifiers of ours.  A ULID (26 characters, Crockford's base32) sorts by
 * the millisecond it was made in; within one millisecond and one process the
 * random part is counted up, so that ids of one process always grow.
 */


#ifndef _NGX_COMMS_ID_H_INCLUDED_
#define _NGX_COMMS_ID_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_COMMS_ULID_LEN       26
#define NGX_COMMS_THREAD_ID_LEN  (sizeof("th_") - 1 + NGX_COMMS_ULID_LEN)


/* mints a ULID in the pool behind "prefix" ("th_", "in_", ...; may be "") */
ngx_int_t ngx_comms_id_mint(ngx_pool_t *pool, const char *prefix,
    ngx_str_t *id);

/*
 * A ULID in the pool that follows from another and a word: the same time, and
 * for randomness HMAC-SHA256(id, word), so that who derives it again gets the
 * same.
 * NGX_DECLINED: "id" is no ULID; NGX_ERROR: out of memory.
 */
ngx_int_t ngx_comms_id_derive(ngx_pool_t *pool, ngx_str_t *id,
    ngx_str_t *word, ngx_str_t *derived);

/* 1 when it is "th_" and 26 characters of the alphabet, upper case */
ngx_uint_t ngx_comms_thread_id_valid(ngx_str_t *id);

/* the same form, and for the same text always the same id */
ngx_int_t ngx_comms_id_of(ngx_pool_t *pool, const char *prefix,
    ngx_str_t *text, ngx_str_t *id);

/* 1 when it is a ULID, upper case */
ngx_uint_t ngx_comms_ulid_valid(ngx_str_t *id);

/* 1 when it is a canonical lower-case UUID version 4 (RFC 9562) */
ngx_uint_t ngx_comms_uuid4_valid(ngx_str_t *id);

/*
 * The token in a Reply-To address: the ULID of the thread in lower case, "-"
 * and 16 characters of base32 of HMAC-SHA256(key, thread id): 43 characters,
 * so that "reply+" and it stay below the 64 that RFC 5321 4.5.3.1.1 allows.
 */
ngx_int_t ngx_comms_reply_token(ngx_pool_t *pool, ngx_str_t *key,
    ngx_str_t *thread_id, ngx_str_t *token);

/*
 * The same for the link in a mail that unsubscribes the thread's person: a
 * token of one kind is none of the other.
 */
ngx_int_t ngx_comms_unsubscribe_token(ngx_pool_t *pool, ngx_str_t *key,
    ngx_str_t *thread_id, ngx_str_t *token);
ngx_int_t ngx_comms_unsubscribe_token_verify(ngx_pool_t *pool,
    ngx_str_t *key, ngx_str_t *token, ngx_str_t *thread_id);

/*
 * The thread that a token of either kind names, whoever has made it: NGX_OK,
 * NGX_DECLINED (it is no token), NGX_ERROR (memory).
 */
ngx_int_t ngx_comms_token_thread(ngx_pool_t *pool, ngx_str_t *token,
    ngx_str_t *thread_id);

/*
 * Takes a token apart, in any letter case (mail software changes it).
 * NGX_OK with the thread id in the pool; NGX_DECLINED when it is no token or
 * was not made with this key; NGX_ERROR when out of memory.
 */
ngx_int_t ngx_comms_reply_token_verify(ngx_pool_t *pool, ngx_str_t *key,
    ngx_str_t *token, ngx_str_t *thread_id);


#endif /* _NGX_COMMS_ID_H_INCLUDED_ */
