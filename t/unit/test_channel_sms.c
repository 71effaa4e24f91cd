
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "base/ngx_comms_text.h"
#include "channel/ngx_comms_sms.h"


#define EMOJI   "\xf0\x9f\x98\x80"
#define EURO    "\xe2\x82\xac"
#define FAMILY  "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7"


typedef struct {
    const char                *piece;     /* repeated */
    ngx_uint_t                 times;
    const char                *tail;
    ngx_comms_sms_alphabet_e   alphabet;
    size_t                     units;
    ngx_uint_t                 segments;
} unit_count_t;


typedef struct {
    const char   *text;
    ngx_uint_t    segments;
    const char   *parts[4];
} unit_split_t;


static ngx_str_t
unit_repeat(ngx_pool_t *pool, const char *piece, ngx_uint_t times,
    const char *tail)
{
    u_char     *p;
    ngx_str_t   text;

    text.len = times * ngx_strlen(piece) + ngx_strlen(tail);
    text.data = ngx_pnalloc(pool, text.len + 1);
    assert_non_null(text.data);

    p = text.data;

    while (times--) {
        p = ngx_cpymem(p, piece, ngx_strlen(piece));
    }

    ngx_memcpy(p, tail, ngx_strlen(tail));

    return text;
}


/* sizes of 3GPP TS 23.038 and 23.040, at both sides of each limit */

static unit_count_t  counts[] = {
    { "", 0, "", NGX_COMMS_SMS_GSM7, 0, 0 },
    { "a", 1, "", NGX_COMMS_SMS_GSM7, 1, 1 },
    { "a", 160, "", NGX_COMMS_SMS_GSM7, 160, 1 },
    { "a", 161, "", NGX_COMMS_SMS_GSM7, 161, 2 },
    { "a", 306, "", NGX_COMMS_SMS_GSM7, 306, 2 },
    { "a", 307, "", NGX_COMMS_SMS_GSM7, 307, 3 },
    { "\xc3\xa9", 160, "", NGX_COMMS_SMS_GSM7, 160, 1 },
    { EURO, 1, "", NGX_COMMS_SMS_GSM7, 2, 1 },
    { EURO, 80, "", NGX_COMMS_SMS_GSM7, 160, 1 },
    { EURO, 80, "a", NGX_COMMS_SMS_GSM7, 161, 2 },
    { "[", 1, "]{}\\~^|\f", NGX_COMMS_SMS_GSM7, 18, 1 },

    /* an escape is not divided: 152 septets, and not 153, in the first */
    { "a", 152, EURO "aaaaaaa", NGX_COMMS_SMS_GSM7, 161, 2 },
    { "a", 152, EURO EURO EURO EURO EURO, NGX_COMMS_SMS_GSM7, 162, 2 },
    { EURO, 153, "", NGX_COMMS_SMS_GSM7, 306, 3 },
    { EURO, 152, "", NGX_COMMS_SMS_GSM7, 304, 2 },

    { "`", 1, "", NGX_COMMS_SMS_UCS2, 1, 1 },
    { "\t", 1, "", NGX_COMMS_SMS_UCS2, 1, 1 },
    { "\xc3\xa7", 1, "", NGX_COMMS_SMS_UCS2, 1, 1 },        /* c cedilla */
    { "\xc3\x87", 1, "", NGX_COMMS_SMS_GSM7, 1, 1 },        /* C cedilla */
    { "a", 69, "\xe2\x80\x99", NGX_COMMS_SMS_UCS2, 70, 1 },
    { "a", 70, "\xe2\x80\x99", NGX_COMMS_SMS_UCS2, 71, 2 },
    { "\xd7\xa9", 134, "", NGX_COMMS_SMS_UCS2, 134, 2 },
    { "\xd7\xa9", 135, "", NGX_COMMS_SMS_UCS2, 135, 3 },
    { EMOJI, 35, "", NGX_COMMS_SMS_UCS2, 70, 1 },
    { EMOJI, 36, "", NGX_COMMS_SMS_UCS2, 72, 2 },

    /* a surrogate pair is not divided: 66 units, and not 67, in each */
    { EMOJI, 66, "", NGX_COMMS_SMS_UCS2, 132, 2 },
    { EMOJI, 67, "", NGX_COMMS_SMS_UCS2, 134, 3 },

    { "\xff", 2, "", NGX_COMMS_SMS_UCS2, 2, 1 }
};


static void
test_count(void **state)
{
    ngx_str_t         text;
    ngx_uint_t        i;
    unit_count_t     *c;
    ngx_comms_sms_t   sms;

    for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        c = &counts[i];
        text = unit_repeat(*state, c->piece, c->times, c->tail);

        ngx_comms_sms_count(&text, &sms);

        if (sms.alphabet != c->alphabet || sms.units != c->units
            || sms.segments != c->segments)
        {
            fail_msg("text %lu: alphabet %d, %lu units, %lu segments",
                     (unsigned long) i, (int) sms.alphabet,
                     (unsigned long) sms.units,
                     (unsigned long) sms.segments);
        }
    }
}


#define TEN    "aaaaaaaaa "
#define FIFTY  TEN TEN TEN TEN TEN
#define WORD   "aaaaaaaaa"

static unit_split_t  splits[] = {
    { "", 1, { NULL } },
    { " \n ", 1, { NULL } },
    { " Hello. ", 1, { "Hello.", NULL } },

    /* at the last sentence that leaves half of it */
    { FIFTY FIFTY "bbbbbbbb. " FIFTY FIFTY "end", 1,
      { FIFTY FIFTY "bbbbbbbb.", FIFTY FIFTY "end", NULL } },
    { FIFTY FIFTY "bbbbb.\") " FIFTY FIFTY "end", 1,
      { FIFTY FIFTY "bbbbb.\")", FIFTY FIFTY "end", NULL } },
    { FIFTY FIFTY "line\nline" FIFTY "end", 1,
      { FIFTY FIFTY "line", "line" FIFTY "end", NULL } },

    /* a sentence too early, or a dot within a word: at a blank */
    { "No. " FIFTY FIFTY FIFTY "bb 1.55 end", 1,
      { "No. " FIFTY FIFTY FIFTY "bb", "1.55 end", NULL } },
    { FIFTY FIFTY FIFTY "b.bbbbbbbbbbbbb end", 1,
      { FIFTY FIFTY TEN TEN TEN TEN WORD, "b.bbbbbbbbbbbbb end", NULL } },

    /* two segments */
    { FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY "bbbbb bbbb", 2,
      { FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY "bbbbb", "bbbb", NULL } }
};


static void
test_split(void **state)
{
    ngx_str_t      text, *part;
    ngx_uint_t     i, j;
    ngx_array_t    parts;
    unit_split_t  *s;

    for (i = 0; i < sizeof(splits) / sizeof(splits[0]); i++) {
        s = &splits[i];
        text = unit_str(s->text);

        assert_int_equal(ngx_comms_sms_split(*state, &text, s->segments,
                                             &parts),
                         NGX_OK);

        part = parts.elts;

        for (j = 0; s->parts[j] != NULL; j++) {
            assert_true(j < parts.nelts);
            unit_assert_text(&part[j], s->parts[j], strlen(s->parts[j]),
                             s->text, (int) i);
        }

        assert_int_equal(j, parts.nelts);
    }
}


/* without blanks: nothing is lost, and no character divided */

static void
test_split_whole(void **state)
{
    u_char           *p;
    size_t            n;
    ngx_str_t         text, *part;
    ngx_uint_t        i, j, k;
    ngx_array_t       parts;
    ngx_comms_sms_t   sms;

    static const char  *pieces[] = {
        "a", EURO, EMOJI, "\xd7\xa9", "a" EURO EMOJI, FAMILY,
        "e\xcc\x81", NULL
    };

    for (i = 0; pieces[i] != NULL; i++) {
        for (k = 1; k <= 3; k++) {
            text = unit_repeat(*state, pieces[i], 331, "");

            assert_int_equal(ngx_comms_sms_split(*state, &text, k, &parts),
                             NGX_OK);

            part = parts.elts;
            p = text.data;
            n = 0;

            for (j = 0; j < parts.nelts; j++) {
                assert_ptr_equal(part[j].data, p);
                assert_true(ngx_comms_utf8_valid(&part[j]));

                ngx_comms_sms_count(&part[j], &sms);
                assert_in_range(sms.segments, 1, k);

                /* what people see as one character stays whole */

                if (i >= 5) {
                    assert_int_equal(part[j].len % strlen(pieces[i]), 0);
                }

                p += part[j].len;
                n += part[j].len;
            }

            assert_int_equal(n, text.len);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_count),
        pool_test(test_split),
        pool_test(test_split_whole)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
