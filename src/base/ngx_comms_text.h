
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Text from and for people: encodings, forms, shortening.
 */


#ifndef _NGX_COMMS_TEXT_H_INCLUDED_
#define _NGX_COMMS_TEXT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * One step of a walk over UTF-8, p < last: the bytes of the code point at p,
 * or with *valid 0 of what cannot be one (one U+FFFD stands for it).
 */
size_t ngx_comms_utf8_step(u_char *p, u_char *last, ngx_uint_t *valid);

/* 1 when well-formed UTF-8 (no overlong forms, no surrogates) without NUL */
ngx_uint_t ngx_comms_utf8_valid(ngx_str_t *text);

/* number of code points; the text must be valid */
size_t ngx_comms_utf8_length(ngx_str_t *text);

/*
 * Any bytes to valid UTF-8 in the pool: from the named charset (empty: UTF-8),
 * every sequence that does not convert becomes U+FFFD, NUL and C0 controls
 * except tab, CR and LF are dropped.  An unknown charset counts as
 * Windows-1252.  NGX_OK or NGX_ERROR (out of memory).
 */
ngx_int_t ngx_comms_to_utf8(ngx_pool_t *pool, ngx_str_t *charset,
    ngx_str_t *bytes, ngx_str_t *text);

/* the text without white space at both ends, borrowed */
ngx_str_t ngx_comms_trim(ngx_str_t text);

/* 1 when equal but for ASCII letter case */
ngx_uint_t ngx_comms_same_word(ngx_str_t *a, ngx_str_t *b);

/*
 * Every run of white space made one blank, ends trimmed: what a WhatsApp
 * template variable may hold (no line breaks, no tabs, no four blanks).
 */
ngx_int_t ngx_comms_one_line(ngx_pool_t *pool, ngx_str_t *text,
    ngx_str_t *line);

/*
 * The text within "max" code points, cut behind the last sentence end that
 * leaves at least half of it, else behind a word with U+2026 added, else at a
 * code point.  Borrowed when it fits.
 */
ngx_int_t ngx_comms_shorten(ngx_pool_t *pool, ngx_str_t *text, size_t max,
    ngx_str_t *shortened);

/* application/x-www-form-urlencoded (WHATWG URL 5): one name or value */
ngx_int_t ngx_comms_form_escape(ngx_pool_t *pool, ngx_str_t *value,
    ngx_str_t *escaped);

/* appends "name=value" to a form body, "&" before it where needed */
ngx_int_t ngx_comms_form_add(ngx_pool_t *pool, ngx_str_t *form,
    const char *name, ngx_str_t *value);

/*
 * Takes a form body apart into an array of ngx_keyval_t, in order, decoded,
 * repeated names kept.  NGX_DECLINED: a broken escape, or more than
 * "max" fields; NGX_ERROR: out of memory.
 */
ngx_int_t ngx_comms_form_parse(ngx_pool_t *pool, ngx_str_t *body,
    ngx_uint_t max, ngx_array_t *fields);

/* first field of that name, or NULL */
ngx_str_t *ngx_comms_form_field(ngx_array_t *fields, const char *name);


#endif /* _NGX_COMMS_TEXT_H_INCLUDED_ */
