
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The pieces of a mail that leaves as a whole: fields and encodings.
 *
 * Nothing here looks at what a value means.  All that is written ends its
 * lines with CRLF, has no byte above 0x7e, and keeps lines below 78 characters
 * where a blank allows it (RFC 5322 2.1.1).
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_email_write.h>


#define NGX_COMMS_EMAIL_ROOM       4096    /* bytes to begin with */
#define NGX_COMMS_EMAIL_LINE       76      /* RFC 2045 6.7, 6.8 */
#define NGX_COMMS_EMAIL_WORD       45      /* bytes: 60 of base64, so that an
                                              encoded-word stays within the 75
                                              of RFC 2047 2 */
#define NGX_COMMS_EMAIL_PIECE      48      /* of an RFC 2231 parameter */


static ngx_uint_t ngx_comms_email_room(ngx_comms_email_text_t *out,
    size_t len);
static ngx_uint_t ngx_comms_email_plain(ngx_str_t *value);
static void ngx_comms_email_put_encoded(ngx_comms_email_text_t *out,
    ngx_str_t *value);
static void ngx_comms_email_put_quoted(ngx_comms_email_text_t *out,
    ngx_str_t *value);
static void ngx_comms_email_put_folded(ngx_comms_email_text_t *out,
    size_t column, ngx_str_t *value);
static void ngx_comms_email_put_piece(ngx_comms_email_text_t *out,
    const char *name, ngx_uint_t n, u_char *piece, size_t len);
static ngx_int_t ngx_comms_email_crlf(ngx_pool_t *pool, ngx_str_t *text,
    ngx_str_t *lines);
static void ngx_comms_email_put_printable(ngx_comms_email_text_t *out,
    ngx_str_t *lines);
static size_t ngx_comms_email_printable(u_char *p, u_char *s, u_char *first,
    u_char *last);


void
ngx_comms_email_put(ngx_comms_email_text_t *out, ngx_str_t *bytes)
{
    if (bytes->len > 0 && ngx_comms_email_room(out, bytes->len)) {
        out->pos = ngx_cpymem(out->pos, bytes->data, bytes->len);
    }
}


void
ngx_comms_email_puts(ngx_comms_email_text_t *out, const char *text)
{
    ngx_str_t  bytes;

    bytes.data = (u_char *) text;
    bytes.len = ngx_strlen(text);

    ngx_comms_email_put(out, &bytes);
}


static ngx_uint_t
ngx_comms_email_room(ngx_comms_email_text_t *out, size_t len)
{
    u_char  *p;
    size_t   used, size;

    if (out->failed) {
        return 0;
    }

    if ((size_t) (out->end - out->pos) >= len) {
        return 1;
    }

    used = out->pos - out->start;
    size = ngx_max(2 * (size_t) (out->end - out->start),
                   NGX_COMMS_EMAIL_ROOM);
    size = ngx_max(size, used + len);

    p = ngx_pnalloc(out->pool, size);

    if (p == NULL) {
        out->failed = 1;
        return 0;
    }

    if (used > 0) {
        ngx_memcpy(p, out->start, used);
        (void) ngx_pfree(out->pool, out->start);
    }

    out->start = p;
    out->pos = p + used;
    out->end = p + size;

    return 1;
}


void
ngx_comms_email_put_field(ngx_comms_email_text_t *out, const char *name,
    ngx_str_t *value)
{
    ngx_comms_email_puts(out, name);
    ngx_comms_email_puts(out, ":");
    ngx_comms_email_put_folded(out, ngx_strlen(name) + 1, value);
    ngx_comms_email_puts(out, CRLF);
}


void
ngx_comms_email_put_words(ngx_comms_email_text_t *out, const char *name,
    ngx_str_t *value)
{
    if (ngx_comms_email_plain(value)) {
        ngx_comms_email_put_field(out, name, value);
        return;
    }

    ngx_comms_email_puts(out, name);
    ngx_comms_email_puts(out, ":");
    ngx_comms_email_put_encoded(out, value);
    ngx_comms_email_puts(out, CRLF);
}


void
ngx_comms_email_put_mailbox(ngx_comms_email_text_t *out, const char *name,
    ngx_str_t *display, ngx_str_t *address)
{
    ngx_comms_email_puts(out, name);
    ngx_comms_email_puts(out, ":");

    if (display->len == 0) {
        ngx_comms_email_puts(out, " ");
        ngx_comms_email_put(out, address);
        ngx_comms_email_puts(out, CRLF);
        return;
    }

    if (ngx_comms_email_plain(display)) {
        ngx_comms_email_puts(out, " ");
        ngx_comms_email_put_quoted(out, display);

    } else {
        ngx_comms_email_put_encoded(out, display);
    }

    ngx_comms_email_puts(out, CRLF " <");
    ngx_comms_email_put(out, address);
    ngx_comms_email_puts(out, ">" CRLF);
}


/* ASCII that nobody takes for an encoded-word */

static ngx_uint_t
ngx_comms_email_plain(ngx_str_t *value)
{
    size_t  i;

    for (i = 0; i < value->len; i++) {

        if (value->data[i] < 0x20 || value->data[i] > 0x7e) {
            return 0;
        }

        if (value->data[i] == '=' && i + 1 < value->len
            && value->data[i + 1] == '?')
        {
            return 0;
        }
    }

    return 1;
}


/* RFC 2047 5: one word a line, and no character in two of them */

static void
ngx_comms_email_put_encoded(ngx_comms_email_text_t *out, ngx_str_t *value)
{
    u_char     *p, *last;
    size_t      n;
    ngx_str_t   word, base64;

    p = value->data;
    last = p + value->len;

    while (p < last) {

        n = ngx_min((size_t) (last - p), NGX_COMMS_EMAIL_WORD);

        while (n < (size_t) (last - p) && n > 1 && (p[n] & 0xc0) == 0x80) {
            n--;
        }

        word.data = p;
        word.len = n;

        if (ngx_comms_base64(out->pool, &word, &base64) != NGX_OK) {
            out->failed = 1;
            return;
        }

        ngx_comms_email_puts(out, (p == value->data) ? " =?UTF-8?B?"
                                                     : CRLF " =?UTF-8?B?");
        ngx_comms_email_put(out, &base64);
        ngx_comms_email_puts(out, "?=");

        p += n;
    }
}


/* RFC 5322 3.2.4 */

static void
ngx_comms_email_put_quoted(ngx_comms_email_text_t *out, ngx_str_t *value)
{
    size_t     i;
    ngx_str_t  one;

    ngx_comms_email_puts(out, "\"");

    for (i = 0; i < value->len; i++) {

        if (value->data[i] == '"' || value->data[i] == '\\') {
            ngx_comms_email_puts(out, "\\");
        }

        one.data = value->data + i;
        one.len = 1;
        ngx_comms_email_put(out, &one);
    }

    ngx_comms_email_puts(out, "\"");
}


/* word by word; the blank before a word is what a line may break at */

static void
ngx_comms_email_put_folded(ngx_comms_email_text_t *out, size_t column,
    ngx_str_t *value)
{
    u_char     *p, *end, *last;
    ngx_str_t   word;

    p = value->data;
    last = p + value->len;

    while (p < last) {

        if (*p == ' ') {
            p++;
            continue;
        }

        end = ngx_strlchr(p, last, ' ');
        if (end == NULL) {
            end = last;
        }

        word.data = p;
        word.len = end - p;

        if (p > value->data && column + 1 + word.len > NGX_COMMS_EMAIL_LINE) {
            ngx_comms_email_puts(out, CRLF);
            column = 0;
        }

        ngx_comms_email_puts(out, " ");
        ngx_comms_email_put(out, &word);

        column += 1 + word.len;
        p = end;
    }
}


void
ngx_comms_email_put_parameter(ngx_comms_email_text_t *out, const char *name,
    ngx_str_t *value)
{
    u_char      *p, *s, piece[NGX_COMMS_EMAIL_PIECE + 3];
    size_t       i;
    ngx_uint_t   n;

    static const char  hex[] = "0123456789ABCDEF";

    if (ngx_comms_email_plain(value) && value->len < NGX_COMMS_EMAIL_PIECE) {
        ngx_comms_email_puts(out, ";" CRLF " ");
        ngx_comms_email_puts(out, name);
        ngx_comms_email_puts(out, "=");
        ngx_comms_email_put_quoted(out, value);
        return;
    }

    n = 0;
    p = piece;

    for (i = 0; i < value->len; i++) {
        s = value->data + i;

        /* attribute-char of RFC 2231 7, those of them that all accept */

        if ((*s >= '0' && *s <= '9') || (*s >= 'A' && *s <= 'Z')
            || (*s >= 'a' && *s <= 'z') || *s == '.' || *s == '-'
            || *s == '_')
        {
            *p++ = *s;

        } else {
            *p++ = '%';
            *p++ = hex[*s >> 4];
            *p++ = hex[*s & 0xf];
        }

        if (p - piece >= NGX_COMMS_EMAIL_PIECE) {
            ngx_comms_email_put_piece(out, name, n++, piece, p - piece);
            p = piece;
        }
    }

    if (p > piece || n == 0) {
        ngx_comms_email_put_piece(out, name, n, piece, p - piece);
    }
}


static void
ngx_comms_email_put_piece(ngx_comms_email_text_t *out, const char *name,
    ngx_uint_t n, u_char *piece, size_t len)
{
    u_char     *p, number[NGX_INT_T_LEN + sizeof("**=UTF-8''")];
    ngx_str_t   text;

    ngx_comms_email_puts(out, ";" CRLF " ");
    ngx_comms_email_puts(out, name);

    p = ngx_sprintf(number, "*%ui*=%s", n, (n == 0) ? "UTF-8''" : "");

    text.data = number;
    text.len = p - number;
    ngx_comms_email_put(out, &text);

    text.data = piece;
    text.len = len;
    ngx_comms_email_put(out, &text);
}


void
ngx_comms_email_put_text(ngx_comms_email_text_t *out, ngx_str_t *text)
{
    size_t      i, high;
    ngx_str_t   lines, base64;

    if (ngx_comms_email_crlf(out->pool, text, &lines) != NGX_OK) {
        out->failed = 1;
        return;
    }

    high = 0;

    for (i = 0; i < lines.len; i++) {
        high += (lines.data[i] >= 0x80);
    }

    /* quoted-printable takes three bytes for one of these, base64 4/3 */

    if (high > lines.len / 6) {
        ngx_comms_email_puts(out,
                             "Content-Transfer-Encoding: base64" CRLF CRLF);

        if (ngx_comms_base64(out->pool, &lines, &base64) != NGX_OK
            || ngx_comms_email_put_base64(out, &base64) != NGX_OK)
        {
            out->failed = 1;
        }

        return;
    }

    ngx_comms_email_puts(out, "Content-Transfer-Encoding: quoted-printable"
                              CRLF CRLF);
    ngx_comms_email_put_printable(out, &lines);
}


/* any line end to CRLF, and one at the end */

static ngx_int_t
ngx_comms_email_crlf(ngx_pool_t *pool, ngx_str_t *text, ngx_str_t *lines)
{
    u_char  *p;
    size_t   i;

    p = ngx_pnalloc(pool, 2 * text->len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    lines->data = p;

    for (i = 0; i < text->len; i++) {

        if (text->data[i] != CR && text->data[i] != LF) {
            *p++ = text->data[i];
            continue;
        }

        if (text->data[i] == CR && i + 1 < text->len
            && text->data[i + 1] == LF)
        {
            i++;
        }

        *p++ = CR;
        *p++ = LF;
    }

    if (p == lines->data || p[-1] != LF) {
        *p++ = CR;
        *p++ = LF;
    }

    lines->len = p - lines->data;

    return NGX_OK;
}


static void
ngx_comms_email_put_printable(ngx_comms_email_text_t *out, ngx_str_t *lines)
{
    u_char     *s, *first, *last, octet[3];
    size_t      column, n;
    ngx_str_t   text;

    column = 0;
    s = lines->data;
    first = s;
    last = s + lines->len;

    while (s < last) {

        if (*s == CR) {
            ngx_comms_email_puts(out, CRLF);
            s += 2;
            first = s;
            column = 0;
            continue;
        }

        n = ngx_comms_email_printable(octet, s, first, last);

        if (column + n > NGX_COMMS_EMAIL_LINE - 1) {
            ngx_comms_email_puts(out, "=" CRLF);
            column = 0;

            /* a line that now begins here is seen as any other by relays */

            n = ngx_comms_email_printable(octet, s, s, last);
        }

        text.data = octet;
        text.len = n;
        ngx_comms_email_put(out, &text);

        column += n;
        s++;
    }
}


/*
 * One octet of a line that begins at "first".  Written as itself, unless it
 * is a blank at the end, which relays cut off (RFC 2045 6.7), or begins
 * "From ", which mailboxes change, or ".", which ends a mail (RFC 5321 4.5.2)
 * where somebody forgets to double it.
 */

static size_t
ngx_comms_email_printable(u_char *p, u_char *s, u_char *first, u_char *last)
{
    static const char  hex[] = "0123456789ABCDEF";

    if (*s > ' ' && *s < 0x7f && *s != '='
        && !(s == first && (*s == '.' || *s == 'F')))
    {
        *p = *s;
        return 1;
    }

    if ((*s == ' ' || *s == '\t') && s + 1 < last && s[1] != CR) {
        *p = *s;
        return 1;
    }

    p[0] = '=';
    p[1] = hex[*s >> 4];
    p[2] = hex[*s & 0xf];

    return 3;
}


ngx_int_t
ngx_comms_email_put_base64(ngx_comms_email_text_t *out, ngx_str_t *base64)
{
    u_char     *s, *last;
    ngx_str_t   line;

    last = base64->data + base64->len;

    for (s = base64->data; s < last; s++) {

        if ((*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z')
            || (*s >= '0' && *s <= '9') || *s == '+' || *s == '/')
        {
            continue;
        }

        if (*s != '=' || last - s > 2) {
            return NGX_DECLINED;
        }
    }

    if (base64->len % 4 != 0) {
        return NGX_DECLINED;
    }

    for (s = base64->data; s < last; s += line.len) {
        line.data = s;
        line.len = ngx_min((size_t) (last - s), NGX_COMMS_EMAIL_LINE);

        ngx_comms_email_put(out, &line);
        ngx_comms_email_puts(out, CRLF);
    }

    return NGX_OK;
}
