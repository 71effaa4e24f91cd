
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * UTF-8 as in RFC 3629, and what people call white space, words and the end
 * of a sentence.  ngx_comms_utf8_step() is the one place that knows the form
 * of a code point; everything else walks with it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "base/ngx_comms_text.h"


/* U+2026, what stands where words were left out */
#define ngx_comms_ellipsis      "\xe2\x80\xa6"
#define ngx_comms_ellipsis_len  (sizeof(ngx_comms_ellipsis) - 1)

#define ngx_comms_begins(p, last, s)                                          \
    ((size_t) ((last) - (p)) >= sizeof(s) - 1                                 \
     && ngx_memcmp(p, s, sizeof(s) - 1) == 0)


static size_t ngx_comms_utf8_lead(u_char ch, u_char *low, u_char *high);
static size_t ngx_comms_white(u_char *p, u_char *last);
static size_t ngx_comms_white_wide(u_char *p, u_char *last);
static size_t ngx_comms_white_before(u_char *p, u_char *start);
static u_char *ngx_comms_utf8_skip(u_char *p, u_char *last, size_t n);
static u_char *ngx_comms_sentence_end(u_char *p, u_char *half, u_char *limit,
    u_char *last);
static size_t ngx_comms_full_stop(u_char *p, u_char *last,
    ngx_uint_t *alone);
static size_t ngx_comms_closing(u_char *p, u_char *last);
static ngx_int_t ngx_comms_shorten_words(ngx_pool_t *pool, ngx_str_t *text,
    size_t max, ngx_str_t *shortened);


size_t
ngx_comms_utf8_step(u_char *p, u_char *last, ngx_uint_t *valid)
{
    u_char  low, high;
    size_t  i, n;

    n = ngx_comms_utf8_lead(*p, &low, &high);

    if (n == 0) {
        *valid = 0;
        return 1;
    }

    for (i = 1; i < n; i++) {

        if (p + i == last || p[i] < low || p[i] > high) {
            *valid = 0;
            return i;
        }

        low = 0x80;
        high = 0xbf;
    }

    *valid = 1;

    return n;
}


ngx_uint_t
ngx_comms_utf8_valid(ngx_str_t *text)
{
    u_char      *p, *last;
    ngx_uint_t   valid;

    p = text->data;
    last = p + text->len;

    while (p < last) {

        if (*p == '\0') {
            return 0;
        }

        if (*p < 0x80) {
            p++;
            continue;
        }

        p += ngx_comms_utf8_step(p, last, &valid);

        if (!valid) {
            return 0;
        }
    }

    return 1;
}


size_t
ngx_comms_utf8_length(ngx_str_t *text)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < text->len; i++) {

        /* all bytes of a code point but its first are 10xxxxxx */

        n += (text->data[i] & 0xc0) != 0x80;
    }

    return n;
}


ngx_str_t
ngx_comms_trim(ngx_str_t text)
{
    size_t   n;
    u_char  *last;

    last = text.data + text.len;

    while (text.data < last) {

        n = ngx_comms_white(text.data, last);
        if (n == 0) {
            break;
        }

        text.data += n;
    }

    while (text.data < last) {

        n = ngx_comms_white_before(last, text.data);
        if (n == 0) {
            break;
        }

        last -= n;
    }

    text.len = last - text.data;

    return text;
}


/* ngx_strncasecmp() would stop at a NUL and call the rest equal */

ngx_uint_t
ngx_comms_same_word(ngx_str_t *a, ngx_str_t *b)
{
    size_t  i;

    if (a->len != b->len) {
        return 0;
    }

    for (i = 0; i < a->len; i++) {
        if (ngx_tolower(a->data[i]) != ngx_tolower(b->data[i])) {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
ngx_comms_one_line(ngx_pool_t *pool, ngx_str_t *text, ngx_str_t *line)
{
    size_t       n;
    u_char      *p, *last, *out;
    ngx_str_t    trimmed;
    ngx_uint_t   blank;

    trimmed = ngx_comms_trim(*text);

    out = ngx_pnalloc(pool, trimmed.len + 1);
    if (out == NULL) {
        return NGX_ERROR;
    }

    line->data = out;

    p = trimmed.data;
    last = p + trimmed.len;
    blank = 0;

    while (p < last) {

        n = ngx_comms_white(p, last);

        if (n != 0) {
            blank = 1;
            p += n;
            continue;
        }

        if (blank) {
            *out++ = ' ';
            blank = 0;
        }

        *out++ = *p++;
    }

    line->len = out - line->data;

    return NGX_OK;
}


ngx_int_t
ngx_comms_shorten(ngx_pool_t *pool, ngx_str_t *text, size_t max,
    ngx_str_t *shortened)
{
    u_char  *limit, *half, *last, *end;

    last = text->data + text->len;
    limit = ngx_comms_utf8_skip(text->data, last, max);

    if (limit == last) {
        *shortened = *text;
        return NGX_OK;
    }

    half = ngx_comms_utf8_skip(text->data, last, max - max / 2);
    end = ngx_comms_sentence_end(text->data, half, limit, last);

    if (end != NULL) {
        shortened->data = text->data;
        shortened->len = end - text->data;
        return NGX_OK;
    }

    return ngx_comms_shorten_words(pool, text, max, shortened);
}


/*
 * Length of the code point that begins with this byte, and the range of its
 * second byte, which keeps out overlong forms, surrogates and what is above
 * U+10FFFF.  0 for a byte that begins nothing.
 */

static size_t
ngx_comms_utf8_lead(u_char ch, u_char *low, u_char *high)
{
    *low = 0x80;
    *high = 0xbf;

    if (ch < 0x80) {
        return 1;
    }

    if (ch < 0xc2 || ch > 0xf4) {
        return 0;
    }

    if (ch < 0xe0) {
        return 2;
    }

    if (ch < 0xf0) {
        if (ch == 0xe0) {
            *low = 0xa0;

        } else if (ch == 0xed) {
            *high = 0x9f;
        }

        return 3;
    }

    if (ch == 0xf0) {
        *low = 0x90;

    } else if (ch == 0xf4) {
        *high = 0x8f;
    }

    return 4;
}


/* bytes of the white space character at p, or 0 */

static size_t
ngx_comms_white(u_char *p, u_char *last)
{
    if (*p == ' ' || (*p >= '\t' && *p <= '\r')) {
        return 1;
    }

    return (*p < 0xc2) ? 0 : ngx_comms_white_wide(p, last);
}


/*
 * Unicode's White_Space beyond ASCII: U+0085, 00A0, 1680, 2000-200A, 2028,
 * 2029, 202F, 205F and 3000.
 */

static size_t
ngx_comms_white_wide(u_char *p, u_char *last)
{
    if (ngx_comms_begins(p, last, "\xc2\x85")
        || ngx_comms_begins(p, last, "\xc2\xa0"))
    {
        return 2;
    }

    if (ngx_comms_begins(p, last, "\xe1\x9a\x80")
        || ngx_comms_begins(p, last, "\xe2\x81\x9f")
        || ngx_comms_begins(p, last, "\xe3\x80\x80"))
    {
        return 3;
    }

    if (last - p < 3 || p[0] != 0xe2 || p[1] != 0x80) {
        return 0;
    }

    return ((p[2] >= 0x80 && p[2] <= 0x8a) || p[2] == 0xa8 || p[2] == 0xa9
            || p[2] == 0xaf) ? 3 : 0;
}


/* the same for the character that ends at p */

static size_t
ngx_comms_white_before(u_char *p, u_char *start)
{
    size_t  n;

    for (n = 1; n <= 3 && n <= (size_t) (p - start); n++) {
        if (ngx_comms_white(p - n, p) == n) {
            return n;
        }
    }

    return 0;
}


/* the place behind n code points, or the end */

static u_char *
ngx_comms_utf8_skip(u_char *p, u_char *last, size_t n)
{
    while (p < last && n > 0) {

        p++;

        while (p < last && (*p & 0xc0) == 0x80) {
            p++;
        }

        n--;
    }

    return p;
}


/*
 * The place behind the last sentence that ends in [half, limit], or NULL.  A
 * sentence ends with a full stop and what closes quotes and brackets; behind
 * it there is white space, or else "1.5" and "example.org" would end one.
 * The full stops of Chinese and Japanese need none.
 */

static u_char *
ngx_comms_sentence_end(u_char *p, u_char *half, u_char *limit, u_char *last)
{
    size_t       n;
    u_char      *end, *found;
    ngx_uint_t   alone;

    found = NULL;

    while (p < limit) {

        n = ngx_comms_full_stop(p, last, &alone);

        if (n == 0) {
            p++;
            continue;
        }

        p += n;
        end = p;

        while (end < limit) {

            n = ngx_comms_closing(end, last);
            if (n == 0) {
                break;
            }

            end += n;
        }

        if (end >= half && end <= limit
            && (alone || ngx_comms_white(end, last) != 0))
        {
            found = end;
        }
    }

    return found;
}


/* bytes of a full stop at p, or 0; "alone" when no blank follows such a one */

static size_t
ngx_comms_full_stop(u_char *p, u_char *last, ngx_uint_t *alone)
{
    *alone = 0;

    if (*p == '.' || *p == '!' || *p == '?') {
        return 1;
    }

    if (ngx_comms_begins(p, last, ngx_comms_ellipsis)) {
        return ngx_comms_ellipsis_len;
    }

    /* U+3002, U+FF01, U+FF1F */

    *alone = 1;

    return (ngx_comms_begins(p, last, "\xe3\x80\x82")
            || ngx_comms_begins(p, last, "\xef\xbc\x81")
            || ngx_comms_begins(p, last, "\xef\xbc\x9f")) ? 3 : 0;
}


/* bytes of a closing quote or bracket at p, or 0 */

static size_t
ngx_comms_closing(u_char *p, u_char *last)
{
    if (*p == '"' || *p == '\'' || *p == ')' || *p == ']') {
        return 1;
    }

    /* U+00BB */

    if (ngx_comms_begins(p, last, "\xc2\xbb")) {
        return 2;
    }

    /* U+2019, U+201D, U+300D */

    return (ngx_comms_begins(p, last, "\xe2\x80\x99")
            || ngx_comms_begins(p, last, "\xe2\x80\x9d")
            || ngx_comms_begins(p, last, "\xe3\x80\x8d")) ? 3 : 0;
}


/*
 * Cut behind a word, or within one where there is no other way, with the
 * sign that something is missing.  Room for one code point has none for it.
 */

static ngx_int_t
ngx_comms_shorten_words(ngx_pool_t *pool, ngx_str_t *text, size_t max,
    ngx_str_t *shortened)
{
    u_char     *p, *limit, *last;
    ngx_str_t   words;

    last = text->data + text->len;
    words = *text;

    if (max < 2) {
        words.len = ngx_comms_utf8_skip(text->data, last, max) - text->data;
        *shortened = words;
        return NGX_OK;
    }

    limit = ngx_comms_utf8_skip(text->data, last, max - 1);

    /* a blank right behind the limit means that a word ends there */

    for (p = limit; p > text->data; p--) {
        if (ngx_comms_white(p, last) != 0) {
            words.len = p - text->data;
            words = ngx_comms_trim(words);
            break;
        }
    }

    if (p == text->data || words.len == 0) {
        words.data = text->data;
        words.len = limit - text->data;
    }

    p = ngx_pnalloc(pool, words.len + ngx_comms_ellipsis_len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    shortened->data = p;
    shortened->len = words.len + ngx_comms_ellipsis_len;

    p = ngx_cpymem(p, words.data, words.len);
    ngx_memcpy(p, ngx_comms_ellipsis, ngx_comms_ellipsis_len);

    return NGX_OK;
}
