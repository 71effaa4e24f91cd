
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * SMS alphabets and segments, see ngx_comms_sms.h.
 *
 * A text is walked once, character by character, with both alphabets counted
 * beside each other: whether it is GSM 7 is only known at its end.  Both
 * counts grow with every character and UCS-2 never needs fewer segments than
 * GSM 7, so the longest beginning that fits is where the walk first fails.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_sms.h>


/* 3GPP TS 23.040 9.2.3.24.1: 140 octets, less six of header in each */
#define NGX_COMMS_SMS_GSM7_ONE    160
#define NGX_COMMS_SMS_GSM7_EACH   153
#define NGX_COMMS_SMS_UCS2_ONE    70
#define NGX_COMMS_SMS_UCS2_EACH   67

#define NGX_COMMS_SMS_ZWJ         0x200d


typedef struct {
    size_t       units;
    size_t       used;        /* of the segment begun */
    ngx_uint_t   segments;    /* as one of several */
} ngx_comms_sms_fill_t;


typedef struct {
    ngx_comms_sms_fill_t   gsm7;
    ngx_comms_sms_fill_t   ucs2;
    ngx_uint_t             wide;      /* a character outside GSM 7 */
} ngx_comms_sms_walk_t;


static u_char *ngx_comms_sms_next(u_char *p, u_char *last, uint32_t *ch);
static void ngx_comms_sms_add(ngx_comms_sms_walk_t *walk, uint32_t ch);
static void ngx_comms_sms_fill(ngx_comms_sms_fill_t *fill, size_t units,
    size_t size);
static void ngx_comms_sms_sum(ngx_comms_sms_walk_t *walk,
    ngx_comms_sms_t *sms);
static ngx_uint_t ngx_comms_sms_septets(uint32_t ch);
static u_char *ngx_comms_sms_fits(u_char *p, u_char *last,
    ngx_uint_t segments);
static u_char *ngx_comms_sms_cut(u_char *p, u_char *fits, u_char *last);
static ngx_uint_t ngx_comms_sms_ends_sentence(uint32_t ch);
static ngx_uint_t ngx_comms_sms_closes(uint32_t ch);
static ngx_uint_t ngx_comms_sms_white(uint32_t ch);
static ngx_uint_t ngx_comms_sms_joins(uint32_t ch);
static u_char *ngx_comms_sms_between(u_char *p, u_char *fits, u_char *last);


/* 3GPP TS 23.038 6.2.1: what is not ASCII, ascending */
static const uint32_t  ngx_comms_sms_basic[] = {
    0x00a1, 0x00a3, 0x00a4, 0x00a5, 0x00a7, 0x00bf, 0x00c4, 0x00c5, 0x00c6,
    0x00c7, 0x00c9, 0x00d1, 0x00d6, 0x00d8, 0x00dc, 0x00df, 0x00e0, 0x00e4,
    0x00e5, 0x00e6, 0x00e8, 0x00e9, 0x00ec, 0x00f1, 0x00f2, 0x00f6, 0x00f8,
    0x00f9, 0x00fc, 0x0393, 0x0394, 0x0398, 0x039b, 0x039e, 0x03a0, 0x03a3,
    0x03a6, 0x03a8, 0x03a9
};


void
ngx_comms_sms_count(ngx_str_t *text, ngx_comms_sms_t *sms)
{
    u_char                *p, *last;
    uint32_t               ch;
    ngx_comms_sms_walk_t   walk;

    ngx_memzero(&walk, sizeof(ngx_comms_sms_walk_t));

    p = text->data;
    last = p + text->len;

    while (p < last) {
        p = ngx_comms_sms_next(p, last, &ch);
        ngx_comms_sms_add(&walk, ch);
    }

    ngx_comms_sms_sum(&walk, sms);
}


/* the character at p, and where the next one is */

static u_char *
ngx_comms_sms_next(u_char *p, u_char *last, uint32_t *ch)
{
    u_char      *at;
    size_t       len;
    ngx_uint_t   valid;

    len = ngx_comms_utf8_step(p, last, &valid);

    if (!valid) {
        *ch = 0xfffd;

    } else if (len == 1) {
        *ch = *p;

    } else {
        at = p;
        *ch = ngx_utf8_decode(&at, len);
    }

    return p + len;
}


static void
ngx_comms_sms_add(ngx_comms_sms_walk_t *walk, uint32_t ch)
{
    ngx_uint_t  septets;

    septets = ngx_comms_sms_septets(ch);

    if (septets == 0) {
        walk->wide = 1;
    }

    ngx_comms_sms_fill(&walk->gsm7, septets, NGX_COMMS_SMS_GSM7_EACH);
    ngx_comms_sms_fill(&walk->ucs2, (ch > 0xffff) ? 2 : 1,
                       NGX_COMMS_SMS_UCS2_EACH);
}


static void
ngx_comms_sms_fill(ngx_comms_sms_fill_t *fill, size_t units, size_t size)
{
    if (fill->segments == 0 || fill->used + units > size) {
        fill->segments++;
        fill->used = 0;
    }

    fill->used += units;
    fill->units += units;
}


static void
ngx_comms_sms_sum(ngx_comms_sms_walk_t *walk, ngx_comms_sms_t *sms)
{
    size_t                 one;
    ngx_comms_sms_fill_t  *fill;

    if (walk->wide) {
        sms->alphabet = NGX_COMMS_SMS_UCS2;
        fill = &walk->ucs2;
        one = NGX_COMMS_SMS_UCS2_ONE;

    } else {
        sms->alphabet = NGX_COMMS_SMS_GSM7;
        fill = &walk->gsm7;
        one = NGX_COMMS_SMS_GSM7_ONE;
    }

    sms->units = fill->units;
    sms->segments = fill->segments;

    if (fill->segments > 1 && fill->units <= one) {
        sms->segments = 1;
    }
}


/* how many septets of GSM 7 it takes; 0: it is not in that alphabet */

static ngx_uint_t
ngx_comms_sms_septets(uint32_t ch)
{
    ngx_uint_t  left, right, mid;

    /* 6.2.1.1: the extension table */

    if (ch == 0x0c || ch == 0x20ac
        || (ch < 0x80 && ch != 0
            && ngx_strchr("^{}\\[~]|", (int) ch) != NULL))
    {
        return 2;
    }

    if (ch < 0x80) {
        return ch == '\n' || ch == '\r'
               || (ch >= 0x20 && ch != '`' && ch != 0x7f);
    }

    left = 0;
    right = sizeof(ngx_comms_sms_basic) / sizeof(ngx_comms_sms_basic[0]);

    while (left < right) {
        mid = left + (right - left) / 2;

        if (ngx_comms_sms_basic[mid] == ch) {
            return 1;
        }

        if (ngx_comms_sms_basic[mid] < ch) {
            left = mid + 1;

        } else {
            right = mid;
        }
    }

    return 0;
}


ngx_int_t
ngx_comms_sms_split(ngx_pool_t *pool, ngx_str_t *text, ngx_uint_t segments,
    ngx_array_t *parts)
{
    u_char     *p, *last, *fits, *cut;
    ngx_str_t   rest, *part;

    if (ngx_array_init(parts, pool, 4, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    segments = ngx_max(segments, 1);
    rest = ngx_comms_trim(*text);

    while (rest.len > 0) {
        p = rest.data;
        last = p + rest.len;

        fits = ngx_comms_sms_fits(p, last, segments);
        cut = (fits < last) ? ngx_comms_sms_cut(p, fits, last) : last;

        part = ngx_array_push(parts);
        if (part == NULL) {
            return NGX_ERROR;
        }

        part->data = p;
        part->len = cut - p;
        *part = ngx_comms_trim(*part);

        rest.data = cut;
        rest.len = last - cut;
        rest = ngx_comms_trim(rest);
    }

    return NGX_OK;
}


/* the end of the longest beginning that takes no more segments */

static u_char *
ngx_comms_sms_fits(u_char *p, u_char *last, ngx_uint_t segments)
{
    u_char                *next;
    uint32_t               ch;
    ngx_comms_sms_t        sms;
    ngx_comms_sms_walk_t   walk;

    ngx_memzero(&walk, sizeof(ngx_comms_sms_walk_t));

    while (p < last) {
        next = ngx_comms_sms_next(p, last, &ch);

        ngx_comms_sms_add(&walk, ch);
        ngx_comms_sms_sum(&walk, &sms);

        if (sms.segments > segments) {
            break;
        }

        p = next;
    }

    return p;
}


/* where to cut what begins at p, of which the text up to "fits" fits */

static u_char *
ngx_comms_sms_cut(u_char *p, u_char *fits, u_char *last)
{
    u_char      *at, *half, *next, *sentence, *blank;
    uint32_t     ch;
    ngx_uint_t   ended;

    half = p + (fits - p) / 2;
    sentence = NULL;
    blank = NULL;
    ended = 0;

    /* one character beyond: a sentence may end where the room does */

    for (at = p; at <= fits && at < last; at = next) {
        next = ngx_comms_sms_next(at, last, &ch);

        if (ngx_comms_sms_white(ch)) {

            if (at > p) {
                blank = at;
            }

            if ((ended || ch == '\n') && at > p && at >= half) {
                sentence = at;
            }

            ended = 0;
            continue;
        }

        if (ngx_comms_sms_ends_sentence(ch)) {
            ended = 1;

            /* full stops that no blank follows */

            if (ch >= 0x3000 && next <= fits && next >= half) {
                sentence = next;
            }

        } else if (!ngx_comms_sms_closes(ch)) {
            ended = 0;
        }
    }

    if (sentence != NULL) {
        return sentence;
    }

    return (blank != NULL) ? blank : ngx_comms_sms_between(p, fits, last);
}


static ngx_uint_t
ngx_comms_sms_ends_sentence(uint32_t ch)
{
    return ch == '.' || ch == '!' || ch == '?'
           || ch == 0x2026                          /* ellipsis */
           || ch == 0x3002                          /* ideographic stop */
           || ch == 0xff01 || ch == 0xff1f          /* fullwidth ! and ? */
           || ch == 0x061f || ch == 0x06d4          /* Arabic ? and stop */
           || ch == 0x0964;                         /* danda */
}


static ngx_uint_t
ngx_comms_sms_closes(uint32_t ch)
{
    return ch == '"' || ch == '\'' || ch == ')' || ch == ']'
           || ch == 0x00bb || ch == 0x2019 || ch == 0x201d;
}


static ngx_uint_t
ngx_comms_sms_white(uint32_t ch)
{
    return ch == ' ' || (ch >= '\t' && ch <= '\r') || ch == 0x3000
           || (ch >= 0x2000 && ch <= 0x200a && ch != 0x2007);
}


/* does it belong to the character before it? */

static ngx_uint_t
ngx_comms_sms_joins(uint32_t ch)
{
    return ch == NGX_COMMS_SMS_ZWJ
           || (ch >= 0x0300 && ch <= 0x036f)        /* combining marks */
           || (ch >= 0xfe00 && ch <= 0xfe0f)        /* variation selectors */
           || (ch >= 0x1f3fb && ch <= 0x1f3ff)      /* skin tones */
           || ch == 0x20e3;                         /* keycap */
}


/*
 * No blank to be cut at: the last place before "fits" that divides no
 * character as people see it, or "fits" when there is none
 */

static u_char *
ngx_comms_sms_between(u_char *p, u_char *fits, u_char *last)
{
    u_char    *at, *next, *cut;
    uint32_t   ch, prev;

    cut = NULL;
    prev = 0;

    for (at = p; at <= fits && at < last; at = next) {
        next = ngx_comms_sms_next(at, last, &ch);

        if (at > p && !ngx_comms_sms_joins(ch) && prev != NGX_COMMS_SMS_ZWJ) {
            cut = at;
        }

        prev = ch;
    }

    return (cut != NULL) ? cut : fits;
}
