
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Text in other encodings, as old mail software still sends it, to UTF-8.
 *
 * The names come from outside and iconv_open() loads a shared object by
 * name: so only the encodings of the table below are ever asked for.  It
 * follows the labels of the WHATWG Encoding Standard where those differ from
 * the plain meaning, since it describes what mail and browsers really mean:
 * "iso-8859-1" is Windows-1252.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <iconv.h>
#include "base/ngx_comms_text.h"


/* U+FFFD, what stands where bytes did not convert */
#define ngx_comms_replacement      "\xef\xbf\xbd"
#define ngx_comms_replacement_len  (sizeof(ngx_comms_replacement) - 1)

/* free room that every round of iconv() finds at least */
#define NGX_COMMS_CHARSET_ROOM     64


typedef struct {
    ngx_str_t    label;
    const char  *name;          /* iconv's; NULL is UTF-8 itself */
    size_t       unit;          /* bytes to go on by behind a mistake */
} ngx_comms_charset_t;


typedef struct {
    ngx_pool_t  *pool;
    u_char      *start;
    u_char      *pos;
    u_char      *end;
} ngx_comms_growing_t;


static ngx_comms_charset_t *ngx_comms_charset_find(ngx_str_t *label);
static ngx_int_t ngx_comms_charset_convert(ngx_pool_t *pool,
    ngx_comms_charset_t *charset, ngx_str_t *bytes, ngx_str_t *text);
static ngx_int_t ngx_comms_charset_run(iconv_t cd, size_t unit,
    ngx_str_t *bytes, ngx_comms_growing_t *out);
static ngx_int_t ngx_comms_growing_room(ngx_comms_growing_t *out, size_t room);
static ngx_int_t ngx_comms_utf8_clean(ngx_pool_t *pool, ngx_str_t *bytes,
    ngx_str_t *text);
static size_t ngx_comms_utf8_copy(u_char *out, ngx_str_t *bytes);


static ngx_comms_charset_t  ngx_comms_charset_unknown = {
    ngx_string("windows-1252"), "WINDOWS-1252", 1
};


static ngx_comms_charset_t  ngx_comms_charsets[] = {

    /* ASCII with high bytes in it is UTF-8 more often than anything else */

    { ngx_string("utf-8"), NULL, 1 },
    { ngx_string("utf8"), NULL, 1 },
    { ngx_string("us-ascii"), NULL, 1 },
    { ngx_string("ascii"), NULL, 1 },

    { ngx_string("utf-16"), "UTF-16", 2 },
    { ngx_string("utf-16le"), "UTF-16LE", 2 },
    { ngx_string("utf-16be"), "UTF-16BE", 2 },
    { ngx_string("utf-32"), "UTF-32", 4 },
    { ngx_string("utf-7"), "UTF-7", 1 },

    { ngx_string("iso-8859-1"), "WINDOWS-1252", 1 },
    { ngx_string("latin1"), "WINDOWS-1252", 1 },
    { ngx_string("iso-8859-2"), "ISO-8859-2", 1 },
    { ngx_string("iso-8859-3"), "ISO-8859-3", 1 },
    { ngx_string("iso-8859-4"), "ISO-8859-4", 1 },
    { ngx_string("iso-8859-5"), "ISO-8859-5", 1 },
    { ngx_string("iso-8859-6"), "ISO-8859-6", 1 },
    { ngx_string("iso-8859-7"), "ISO-8859-7", 1 },
    { ngx_string("iso-8859-8"), "ISO-8859-8", 1 },
    { ngx_string("iso-8859-8-i"), "ISO-8859-8", 1 },
    { ngx_string("iso-8859-9"), "WINDOWS-1254", 1 },
    { ngx_string("iso-8859-10"), "ISO-8859-10", 1 },
    { ngx_string("iso-8859-11"), "WINDOWS-874", 1 },
    { ngx_string("iso-8859-13"), "ISO-8859-13", 1 },
    { ngx_string("iso-8859-14"), "ISO-8859-14", 1 },
    { ngx_string("iso-8859-15"), "ISO-8859-15", 1 },
    { ngx_string("iso-8859-16"), "ISO-8859-16", 1 },

    { ngx_string("windows-874"), "WINDOWS-874", 1 },
    { ngx_string("tis-620"), "WINDOWS-874", 1 },
    { ngx_string("windows-1250"), "WINDOWS-1250", 1 },
    { ngx_string("windows-1251"), "WINDOWS-1251", 1 },
    { ngx_string("windows-1253"), "WINDOWS-1253", 1 },
    { ngx_string("windows-1254"), "WINDOWS-1254", 1 },
    { ngx_string("windows-1255"), "WINDOWS-1255", 1 },
    { ngx_string("windows-1256"), "WINDOWS-1256", 1 },
    { ngx_string("windows-1257"), "WINDOWS-1257", 1 },
    { ngx_string("windows-1258"), "WINDOWS-1258", 1 },
    { ngx_string("koi8-r"), "KOI8-R", 1 },
    { ngx_string("koi8-u"), "KOI8-U", 1 },
    { ngx_string("ibm866"), "IBM866", 1 },
    { ngx_string("macintosh"), "MACINTOSH", 1 },

    { ngx_string("gb2312"), "GB18030", 1 },
    { ngx_string("gbk"), "GB18030", 1 },
    { ngx_string("gb18030"), "GB18030", 1 },
    { ngx_string("big5"), "BIG5-HKSCS", 1 },
    { ngx_string("big5-hkscs"), "BIG5-HKSCS", 1 },
    { ngx_string("shift_jis"), "CP932", 1 },
    { ngx_string("euc-jp"), "EUC-JP", 1 },
    { ngx_string("iso-2022-jp"), "ISO-2022-JP", 1 },
    { ngx_string("euc-kr"), "CP949", 1 },
    { ngx_string("ks_c_5601-1987"), "CP949", 1 },
    { ngx_string("iso-2022-kr"), "ISO-2022-KR", 1 },

    { ngx_null_string, NULL, 0 }
};


ngx_int_t
ngx_comms_to_utf8(ngx_pool_t *pool, ngx_str_t *charset, ngx_str_t *bytes,
    ngx_str_t *text)
{
    ngx_str_t             label, converted;
    ngx_comms_charset_t  *cs;

    label = ngx_comms_trim(*charset);

    if (label.len == 0) {
        return ngx_comms_utf8_clean(pool, bytes, text);
    }

    cs = ngx_comms_charset_find(&label);

    if (cs->name == NULL) {
        return ngx_comms_utf8_clean(pool, bytes, text);
    }

    switch (ngx_comms_charset_convert(pool, cs, bytes, &converted)) {

    case NGX_OK:
        return ngx_comms_utf8_clean(pool, &converted, text);

    case NGX_DECLINED:
        return ngx_comms_utf8_clean(pool, bytes, text);

    default:
        return NGX_ERROR;
    }
}


static ngx_comms_charset_t *
ngx_comms_charset_find(ngx_str_t *label)
{
    ngx_uint_t  i;

    for (i = 0; ngx_comms_charsets[i].label.len != 0; i++) {
        if (ngx_comms_same_word(&ngx_comms_charsets[i].label, label)) {
            return &ngx_comms_charsets[i];
        }
    }

    return &ngx_comms_charset_unknown;
}


/* NGX_DECLINED when the system has no such converter */

static ngx_int_t
ngx_comms_charset_convert(ngx_pool_t *pool, ngx_comms_charset_t *charset,
    ngx_str_t *bytes, ngx_str_t *text)
{
    iconv_t              cd;
    ngx_int_t            rc;
    ngx_comms_growing_t  out;

    cd = iconv_open("UTF-8", charset->name);

    if (cd == (iconv_t) -1) {
        return (ngx_errno == NGX_ENOMEM) ? NGX_ERROR : NGX_DECLINED;
    }

    ngx_memzero(&out, sizeof(ngx_comms_growing_t));
    out.pool = pool;

    rc = ngx_comms_growing_room(&out, bytes->len + NGX_COMMS_CHARSET_ROOM);

    if (rc == NGX_OK) {
        rc = ngx_comms_charset_run(cd, charset->unit, bytes, &out);
    }

    (void) iconv_close(cd);

    text->data = out.start;
    text->len = out.pos - out.start;

    return rc;
}


static ngx_int_t
ngx_comms_charset_run(iconv_t cd, size_t unit, ngx_str_t *bytes,
    ngx_comms_growing_t *out)
{
    char       *in;
    size_t      left, room, n;
    ngx_err_t   err;

    in = (char *) bytes->data;
    left = bytes->len;

    while (left != 0) {

        if (ngx_comms_growing_room(out, NGX_COMMS_CHARSET_ROOM) != NGX_OK) {
            return NGX_ERROR;
        }

        room = out->end - out->pos;

        n = iconv(cd, &in, &left, (char **) &out->pos, &room);
        err = (n == (size_t) -1) ? ngx_errno : 0;

        if (err == 0) {
            break;
        }

        if (err == E2BIG) {

            /* more than was left, or the next round would end here again */

            room += NGX_COMMS_CHARSET_ROOM;

            if (ngx_comms_growing_room(out, room) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (ngx_comms_growing_room(out, NGX_COMMS_CHARSET_ROOM) != NGX_OK) {
            return NGX_ERROR;
        }

        out->pos = ngx_cpymem(out->pos, ngx_comms_replacement,
                              ngx_comms_replacement_len);

        /* EINVAL is a sequence that the end of the text cuts off */

        n = (err == EINVAL) ? left : ngx_min(unit, left);
        in += n;
        left -= n;
    }

    if (ngx_comms_growing_room(out, NGX_COMMS_CHARSET_ROOM) != NGX_OK) {
        return NGX_ERROR;
    }

    /* some converters hold the last character back until they are asked */

    room = out->end - out->pos;
    (void) iconv(cd, NULL, NULL, (char **) &out->pos, &room);

    return NGX_OK;
}


static ngx_int_t
ngx_comms_growing_room(ngx_comms_growing_t *out, size_t room)
{
    u_char  *p;
    size_t   used, size;

    if ((size_t) (out->end - out->pos) >= room) {
        return NGX_OK;
    }

    used = out->pos - out->start;
    size = 2 * used + room;

    p = ngx_pnalloc(out->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (used != 0) {
        ngx_memcpy(p, out->start, used);
        (void) ngx_pfree(out->pool, out->start);
    }

    out->start = p;
    out->pos = p + used;
    out->end = p + size;

    return NGX_OK;
}


/* a byte order mark is no part of the text */

static ngx_int_t
ngx_comms_utf8_clean(ngx_pool_t *pool, ngx_str_t *bytes, ngx_str_t *text)
{
    ngx_str_t  rest;

    rest = *bytes;

    if (rest.len >= 3 && ngx_memcmp(rest.data, "\xef\xbb\xbf", 3) == 0) {
        rest.data += 3;
        rest.len -= 3;
    }

    text->len = ngx_comms_utf8_copy(NULL, &rest);

    text->data = ngx_pnalloc(pool, text->len + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_comms_utf8_copy(text->data, &rest);

    return NGX_OK;
}


/*
 * Copies what is valid, without controls, and a U+FFFD for each sequence that
 * is not; returns the length, and with "out" NULL nothing but that.
 */

static size_t
ngx_comms_utf8_copy(u_char *out, ngx_str_t *bytes)
{
    size_t       n, len, step;
    u_char      *p, *from, *last;
    ngx_uint_t   valid;

    p = bytes->data;
    last = p + bytes->len;
    len = 0;

    for ( /* void */ ; p < last; p += step) {

        step = ngx_comms_utf8_step(p, last, &valid);

        if (*p < 0x20 && *p != '\t' && *p != '\r' && *p != '\n') {
            continue;
        }

        from = valid ? p : (u_char *) ngx_comms_replacement;
        n = valid ? step : ngx_comms_replacement_len;

        if (out != NULL) {
            ngx_memcpy(out + len, from, n);
        }

        len += n;
    }

    return len;
}
