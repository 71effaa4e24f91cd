
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "base/ngx_comms_text.h"


typedef struct {
    ngx_str_t    text;
    ngx_uint_t   valid;
} unit_utf8_t;


static unit_utf8_t  utf8[] = {
    { ngx_string(""), 1 },
    { ngx_string("plain"), 1 },
    { ngx_string("\xc2\x80 \xdf\xbf"), 1 },
    { ngx_string("\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf"), 1 },
    { ngx_string("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"), 1 },
    { ngx_string("a\0b"), 0 },
    { ngx_string("\x80"), 0 },
    { ngx_string("\xbf"), 0 },
    { ngx_string("\xc0\x80"), 0 },
    { ngx_string("\xc1\xbf"), 0 },
    { ngx_string("\xc2"), 0 },
    { ngx_string("\xc2\x7f"), 0 },
    { ngx_string("\xc2\xc0"), 0 },
    { ngx_string("\xe0\x9f\xbf"), 0 },
    { ngx_string("\xe1\x80"), 0 },
    { ngx_string("\xe1\x80\x41"), 0 },
    { ngx_string("\xed\xa0\x80"), 0 },
    { ngx_string("\xed\xbf\xbf"), 0 },
    { ngx_string("\xf0\x8f\xbf\xbf"), 0 },
    { ngx_string("\xf0\x90\x80"), 0 },
    { ngx_string("\xf4\x90\x80\x80"), 0 },
    { ngx_string("\xf5\x80\x80\x80"), 0 },
    { ngx_string("\xf8\x88\x80\x80\x80"), 0 },
    { ngx_string("\xfe"), 0 },
    { ngx_string("\xff"), 0 }
};


static void
test_utf8_table(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < sizeof(utf8) / sizeof(utf8[0]); i++) {
        if (ngx_comms_utf8_valid(&utf8[i].text) != utf8[i].valid) {
            fail_msg("row %d", (int) i);
        }
    }
}


/* every code point, written by nginx's arithmetic and by ours */

static void
test_utf8_every_code_point(void **state)
{
    u_char      buf[4], *p;
    uint32_t    n;
    ngx_str_t   text;
    ngx_uint_t  surrogate;

    text.data = buf;

    for (n = 1; n < 0x120000; n++) {
        p = buf;

        if (n < 0x80) {
            *p++ = (u_char) n;

        } else if (n < 0x800) {
            *p++ = (u_char) (0xc0 | n >> 6);
            *p++ = (u_char) (0x80 | (n & 0x3f));

        } else if (n < 0x10000) {
            *p++ = (u_char) (0xe0 | n >> 12);
            *p++ = (u_char) (0x80 | (n >> 6 & 0x3f));
            *p++ = (u_char) (0x80 | (n & 0x3f));

        } else {
            *p++ = (u_char) (0xf0 | n >> 18);
            *p++ = (u_char) (0x80 | (n >> 12 & 0x3f));
            *p++ = (u_char) (0x80 | (n >> 6 & 0x3f));
            *p++ = (u_char) (0x80 | (n & 0x3f));
        }

        text.len = p - buf;
        surrogate = (n >= 0xd800 && n <= 0xdfff);

        if (ngx_comms_utf8_valid(&text) != (!surrogate && n <= 0x10ffff)) {
            fail_msg("U+%x", n);
        }

        if (ngx_comms_utf8_length(&text) != 1) {
            fail_msg("length of U+%x", n);
        }
    }
}


static void
test_trim(void **state)
{
    ngx_str_t  text;

    text = ngx_comms_trim(unit_str(" \t\r\n a b \v\f\n"));
    assert_text(text, "a b");

    text = ngx_comms_trim(unit_str("\xc2\xa0\xe2\x80\x83STOP\xe3\x80\x80"));
    assert_text(text, "STOP");

    text = ngx_comms_trim(unit_str(" \n \xe2\x80\xa8"));
    assert_text(text, "");

    text = ngx_comms_trim(unit_str(""));
    assert_text(text, "");

    /* the end of another character is no white space */

    text = ngx_comms_trim(unit_str("\xc3\xa0"));
    assert_text(text, "\xc3\xa0");
    text = ngx_comms_trim(unit_str("x\xe2\x80"));
    assert_text(text, "x\xe2\x80");
}


static void
test_same_word(void **state)
{
    ngx_str_t  a, b;

    a = unit_str("Stop");
    b = unit_str("sTOP");
    assert_true(ngx_comms_same_word(&a, &b));

    b = unit_str("sTOPs");
    assert_false(ngx_comms_same_word(&a, &b));

    a.data = (u_char *) "a\0b";
    a.len = 3;
    b.data = (u_char *) "a\0c";
    b.len = 3;
    assert_false(ngx_comms_same_word(&a, &b));

    ngx_str_null(&a);
    ngx_str_null(&b);
    assert_true(ngx_comms_same_word(&a, &b));
}


static void
test_one_line(void **state)
{
    ngx_str_t  text, line;

    text = unit_str("  Hello,\r\n\r\n\tAda    Byron\xe2\x80\xa9!\xc2\xa0 ");
    assert_int_equal(ngx_comms_one_line(*state, &text, &line), NGX_OK);
    assert_text(line, "Hello, Ada Byron !");

    text = unit_str(" \n ");
    assert_int_equal(ngx_comms_one_line(*state, &text, &line), NGX_OK);
    assert_text(line, "");
}


typedef struct {
    const char  *text;
    size_t       max;
    const char  *shortened;
} unit_shorten_t;


static const unit_shorten_t  shorten[] = {
    { "Hello", 5, "Hello" },
    { "Hello", 0, "" },
    { "Hello", 1, "H" },
    { "", 3, "" },
    { "First one. Second one. Third one.", 24, "First one. Second one." },
    { "First one. Second one. Third one.", 22, "First one. Second one." },

    /* the only sentence that ends in time would leave less than half */

    { "Yes. And then a long text without an end", 20, "Yes. And then a\xe2"
      "\x80\xa6" },

    /* no blank behind the full stop, no sentence */

    { "It costs 1.50 at example.org today", 24, "It costs 1.50 at\xe2\x80"
      "\xa6" },
    { "He said \"Come home!\" and went", 22, "He said \"Come home!\"" },
    { "He said \"Come home!\" and went", 19, "He said \"Come\xe2\x80\xa6" },

    /* a word that ends right at the limit stays whole */

    { "one two three", 8, "one two\xe2\x80\xa6" },
    { "one two three", 7, "one\xe2\x80\xa6" },
    { "abcdefghij", 5, "abcd\xe2\x80\xa6" },
    { "   abcdefghij", 5, "   a\xe2\x80\xa6" },

    /* code points and not bytes are counted, and none is cut */

    { "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 4, "\xc3\xa9\xc3\xa9\xc3\xa9"
      "\xc3\xa9" },
    { "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 3, "\xc3\xa9\xc3\xa9\xe2\x80\xa6" },
    { "\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 1, "\xf0\x9f\x98\x80" },

    /* a full stop that needs no blank */

    { "\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82\xe5\x86\x8d\xe8\xa7\x81", 4,
      "\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82" }
};


static void
test_shorten_table(void **state)
{
    ngx_str_t   text, shortened;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(shorten) / sizeof(shorten[0]); i++) {
        text = unit_str(shorten[i].text);

        assert_int_equal(ngx_comms_shorten(*state, &text, shorten[i].max,
                                           &shortened),
                         NGX_OK);
        unit_assert_text(&shortened, shorten[i].shortened,
                         ngx_strlen(shorten[i].shortened), __FILE__, __LINE__);
    }
}


/* whatever the limit is, the result keeps it and is text */

static void
test_shorten_every_limit(void **state)
{
    size_t      max;
    ngx_str_t   text, shortened;

    text = unit_str("D\xc3\xa9j\xc3\xa0 vu?  \xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80"
                    "\x82 \xf0\x9f\x98\x80 (and so on...) \"end.\" x "
                    "\xe2\x80\xa6 averyveryverylongword");

    for (max = 0; max <= ngx_comms_utf8_length(&text) + 1; max++) {
        assert_int_equal(ngx_comms_shorten(*state, &text, max, &shortened),
                         NGX_OK);
        assert_true(ngx_comms_utf8_valid(&shortened));
        assert_in_range(ngx_comms_utf8_length(&shortened), 0, max);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_utf8_table),
        pool_test(test_utf8_every_code_point),
        pool_test(test_trim),
        pool_test(test_same_word),
        pool_test(test_one_line),
        pool_test(test_shorten_table),
        pool_test(test_shorten_every_limit)
    };

    return cmocka_run_group_tests_name("base/text", tests, unit_setup,
                                       NULL);
}
