
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Character references of HTML: those that mail software writes.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <channel/ngx_comms_email.h>


#define NGX_COMMS_HTML_MAX_ENTITY  10


typedef struct {
    const char  *name;
    uint32_t     code;
} ngx_comms_html_entity_t;


static uint32_t ngx_comms_html_number(u_char *p, u_char *last);


static const ngx_comms_html_entity_t  ngx_comms_html_entities[] = {
    { "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' },
    { "apos", '\'' }, { "nbsp", 0xa0 }, { "iexcl", 0xa1 },
    { "cent", 0xa2 }, { "pound", 0xa3 }, { "yen", 0xa5 }, { "sect", 0xa7 },
    { "copy", 0xa9 }, { "laquo", 0xab }, { "shy", 0xad }, { "reg", 0xae },
    { "deg", 0xb0 }, { "middot", 0xb7 }, { "raquo", 0xbb },
    { "frac12", 0xbd }, { "iquest", 0xbf }, { "Agrave", 0xc0 },
    { "Aacute", 0xc1 }, { "Acirc", 0xc2 }, { "Atilde", 0xc3 },
    { "Auml", 0xc4 }, { "Aring", 0xc5 }, { "AElig", 0xc6 },
    { "Ccedil", 0xc7 }, { "Egrave", 0xc8 }, { "Eacute", 0xc9 },
    { "Ecirc", 0xca }, { "Euml", 0xcb }, { "Iacute", 0xcd },
    { "Ntilde", 0xd1 }, { "Oacute", 0xd3 }, { "Ocirc", 0xd4 },
    { "Otilde", 0xd5 }, { "Ouml", 0xd6 }, { "Oslash", 0xd8 },
    { "Uacute", 0xda }, { "Uuml", 0xdc }, { "szlig", 0xdf },
    { "agrave", 0xe0 }, { "aacute", 0xe1 }, { "acirc", 0xe2 },
    { "atilde", 0xe3 }, { "auml", 0xe4 }, { "aring", 0xe5 },
    { "aelig", 0xe6 }, { "ccedil", 0xe7 }, { "egrave", 0xe8 },
    { "eacute", 0xe9 }, { "ecirc", 0xea }, { "euml", 0xeb },
    { "igrave", 0xec }, { "iacute", 0xed }, { "icirc", 0xee },
    { "iuml", 0xef }, { "ntilde", 0xf1 }, { "ograve", 0xf2 },
    { "oacute", 0xf3 }, { "ocirc", 0xf4 }, { "otilde", 0xf5 },
    { "ouml", 0xf6 }, { "oslash", 0xf8 }, { "ugrave", 0xf9 },
    { "uacute", 0xfa }, { "ucirc", 0xfb }, { "uuml", 0xfc },
    { "oelig", 0x153 }, { "OElig", 0x152 }, { "euro", 0x20ac },
    { "ndash", 0x2013 }, { "mdash", 0x2014 }, { "lsquo", 0x2018 },
    { "rsquo", 0x2019 }, { "sbquo", 0x201a }, { "ldquo", 0x201c },
    { "rdquo", 0x201d }, { "bdquo", 0x201e }, { "bull", 0x2022 },
    { "hellip", 0x2026 }, { "lsaquo", 0x2039 }, { "rsaquo", 0x203a },
    { "trade", 0x2122 }, { "rarr", 0x2192 }, { "zwnj", 0x200c },
    { "zwj", 0x200d }, { "ensp", ' ' }, { "emsp", ' ' }, { "thinsp", ' ' },
    { NULL, 0 }
};


/* numeric references 128 to 159 mean Windows-1252 (HTML 13.2.5.80) */

static const uint16_t  ngx_comms_html_windows[32] = {
    0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
    0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd,
    0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178
};


uint32_t
ngx_comms_email_entity(u_char **pos, u_char *last)
{
    u_char      *p, *start;
    size_t       len;
    uint32_t     code;
    ngx_uint_t   i;

    start = *pos + 1;
    *pos = start;

    for (p = start; p < last; p++) {

        if (p - start >= NGX_COMMS_HTML_MAX_ENTITY) {
            return '&';
        }

        if (*p != '#' && (ngx_tolower(*p) < 'a' || ngx_tolower(*p) > 'z')
            && (*p < '0' || *p > '9'))
        {
            break;
        }
    }

    len = p - start;

    if (len == 0) {
        return '&';
    }

    code = 0;

    if (*start == '#') {
        code = ngx_comms_html_number(start + 1, p);

    } else {

        for (i = 0; ngx_comms_html_entities[i].name != NULL; i++) {

            if (ngx_strlen(ngx_comms_html_entities[i].name) == len
                && ngx_strncmp(ngx_comms_html_entities[i].name, start, len)
                   == 0)
            {
                code = ngx_comms_html_entities[i].code;
                break;
            }
        }
    }

    if (code == 0) {
        return '&';
    }

    *pos = (p < last && *p == ';') ? p + 1 : p;

    return code;
}


/* 0 when it is no number */

static uint32_t
ngx_comms_html_number(u_char *p, u_char *last)
{
    u_char    ch;
    uint32_t  code, base;

    base = 10;

    if (p < last && (*p == 'x' || *p == 'X')) {
        base = 16;
        p++;
    }

    if (p == last) {
        return 0;
    }

    /* at most nine digits: no overflow */

    for (code = 0; p < last; p++) {
        ch = ngx_tolower(*p);

        if (ch >= '0' && ch <= '9') {
            code = code * base + (ch - '0');

        } else if (base == 16 && ch >= 'a' && ch <= 'f') {
            code = code * base + (ch - 'a' + 10);

        } else {
            return 0;
        }

        if (code > 0x10ffff) {
            return 0xfffd;
        }
    }

    if (code >= 0x80 && code <= 0x9f) {
        return ngx_comms_html_windows[code - 0x80];
    }

    if (code == 0 || (code >= 0xd800 && code <= 0xdfff)) {
        return 0xfffd;
    }

    return code;
}
