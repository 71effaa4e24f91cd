
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "base/ngx_comms_text.h"


typedef struct {
    const char  *charset;
    ngx_str_t    bytes;
    ngx_str_t    text;
} unit_charset_t;


static unit_charset_t  charsets[] = {
    { "", ngx_string("D\xc3\xa9j\xc3\xa0"), ngx_string("D\xc3\xa9j\xc3\xa0") },
    { "UTF-8", ngx_string("\xef\xbb\xbf" "a"), ngx_string("a") },
    { "utf-8", ngx_string("a\0b\x01\x1f\tc\r\n\x7f"),
      ngx_string("ab\tc\r\n\x7f") },

    /* one U+FFFD for each maximal part of a sequence that does not go on */

    { "utf-8", ngx_string("\xff" "a\xc3"),
      ngx_string("\xef\xbf\xbd" "a\xef\xbf\xbd") },
    { "utf-8", ngx_string("\xf0\x9f\x98" "a"), ngx_string("\xef\xbf\xbd" "a") },
    { "utf-8", ngx_string("\xed\xa0\x80"),
      ngx_string("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd") },
    { "us-ascii", ngx_string("\xc3\xa9"), ngx_string("\xc3\xa9") },

    { "iso-8859-1", ngx_string("D\xe9j\xe0 \x80"),
      ngx_string("D\xc3\xa9j\xc3\xa0 \xe2\x82\xac") },
    { " ISO-8859-15 ", ngx_string("\xa4"), ngx_string("\xe2\x82\xac") },
    { "windows-1252", ngx_string("\x93x\x94\x81"),
      ngx_string("\xe2\x80\x9cx\xe2\x80\x9d\xef\xbf\xbd") },
    { "Windows-1251", ngx_string("\xcf\xf0\xe8\xe2\xe5\xf2"),
      ngx_string("\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82") },
    { "koi8-r", ngx_string("\xf0\xd2\xc9"),
      ngx_string("\xd0\x9f\xd1\x80\xd0\xb8") },
    { "shift_jis", ngx_string("\x93\xfa\x96\x7b"),
      ngx_string("\xe6\x97\xa5\xe6\x9c\xac") },
    { "iso-2022-jp", ngx_string("\x1b$BF|K\\\x1b(B!"),
      ngx_string("\xe6\x97\xa5\xe6\x9c\xac!") },
    { "gb2312", ngx_string("\xc4\xe3\xba\xc3"),
      ngx_string("\xe4\xbd\xa0\xe5\xa5\xbd") },
    { "big5", ngx_string("\xa7\x41"), ngx_string("\xe4\xbd\xa0") },
    { "ks_c_5601-1987", ngx_string("\xc7\xd1"), ngx_string("\xed\x95\x9c") },
    { "utf-16le", ngx_string("a\0\xac\x20"), ngx_string("a\xe2\x82\xac") },
    { "utf-16", ngx_string("\xfe\xff\0a"), ngx_string("a") },

    /* a lone surrogate, and half a unit at the end */

    { "utf-16be", ngx_string("\xdc\x00\0a"), ngx_string("\xef\xbf\xbd" "a") },
    { "utf-16be", ngx_string("\0a\0"), ngx_string("a\xef\xbf\xbd") },
    { "utf-7", ngx_string("+IKw-"), ngx_string("\xe2\x82\xac") },
    { "euc-jp", ngx_string("a\xc6"), ngx_string("a\xef\xbf\xbd") },

    /* names that are no name of a charset, or one that is not asked for */

    { "x-unknown", ngx_string("\xe9"), ngx_string("\xc3\xa9") },
    { "../../../tmp/evil", ngx_string("\xe9"), ngx_string("\xc3\xa9") },
    { "UTF-16//TRANSLIT", ngx_string("ab"), ngx_string("ab") },
    { "latin1,utf-8", ngx_string("\xe9"), ngx_string("\xc3\xa9") }
};


static void
test_table(void **state)
{
    int         failures;
    ngx_str_t   charset, text;
    ngx_uint_t  i;

    failures = 0;

    for (i = 0; i < sizeof(charsets) / sizeof(charsets[0]); i++) {
        charset = unit_str(charsets[i].charset);

        assert_int_equal(ngx_comms_to_utf8(*state, &charset,
                                           &charsets[i].bytes, &text),
                         NGX_OK);

        if (text.len != charsets[i].text.len
            || ngx_memcmp(text.data, charsets[i].text.data, text.len) != 0)
        {
            print_error("row %d, %s: \"%.*s\"\n", (int) i,
                        charsets[i].charset, (int) text.len,
                        (char *) text.data);
            failures++;
        }
    }

    assert_int_equal(failures, 0);
}


/* every charset with every byte: text comes out, and it ends */

static void
test_every_byte(void **state)
{
    u_char       bytes[1024];
    ngx_str_t    charset, data, text;
    ngx_uint_t   i;

    for (i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (u_char) (i * 167 + i / 256);
    }

    data.data = bytes;

    for (i = 0; i < sizeof(charsets) / sizeof(charsets[0]); i++) {
        charset = unit_str(charsets[i].charset);

        for (data.len = 0; data.len < sizeof(bytes); data.len += 37) {
            assert_int_equal(ngx_comms_to_utf8(*state, &charset, &data, &text),
                             NGX_OK);
            assert_true(ngx_comms_utf8_valid(&text));
        }
    }
}


/* output several times as long as the input */

static void
test_growth(void **state)
{
    u_char      *bytes;
    ngx_str_t    charset, data, text;

    data.len = 100000;
    bytes = ngx_palloc(*state, data.len);
    assert_non_null(bytes);

    ngx_memset(bytes, 0x80, data.len);
    data.data = bytes;

    charset = unit_str("windows-1252");
    assert_int_equal(ngx_comms_to_utf8(*state, &charset, &data, &text),
                     NGX_OK);
    assert_int_equal(text.len, 3 * data.len);
    assert_memory_equal(text.data + text.len - 3, "\xe2\x82\xac", 3);

    ngx_memset(bytes, 0x81, data.len);
    assert_int_equal(ngx_comms_to_utf8(*state, &charset, &data, &text),
                     NGX_OK);
    assert_int_equal(text.len, 3 * data.len);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_table),
        pool_test(test_every_byte),
        pool_test(test_growth)
    };

    return cmocka_run_group_tests_name("base/charset", tests, unit_setup,
                                       NULL);
}
