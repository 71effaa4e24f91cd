
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a mail is on the wire.  The functions are the file's own.
 */


#include "nginx_env.h"
#include "curl/ngx_comms_curl_mail.c"


static const struct {
    const char  *mail;
    const char  *wire;
} cases[] = {
    { "", ".\r\n" },
    { "a", "a\r\n.\r\n" },
    { "a\r\n", "a\r\n.\r\n" },
    { "a\n\nb\n", "a\r\n\r\nb\r\n.\r\n" },
    { ".", "..\r\n.\r\n" },
    { "..", "...\r\n.\r\n" },
    { "a.b\r\n.c\r\n.\r\nd", "a.b\r\n..c\r\n..\r\nd\r\n.\r\n" },

    /* what servers have taken for the end of a mail, and was not */
    { "a\n.\nRSET\n", "a\r\n..\r\nRSET\r\n.\r\n" },
    { "a\r.\rRSET", "a\r\n..\r\nRSET\r\n.\r\n" },
    { "a\r\n.\rb\n.\r\n", "a\r\n..\r\nb\r\n..\r\n.\r\n" },
    { "a\n\r.\r\n", "a\r\n\r\n..\r\n.\r\n" },
    { "a\r\r\n.", "a\r\n\r\n..\r\n.\r\n" },
};


static void
test_write(void **state)
{
    u_char      out[128];
    size_t      len;
    ngx_str_t   mail;
    ngx_uint_t  i, eightbit;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        mail = unit_str(cases[i].mail);

        len = ngx_comms_curl_mail_write(&mail, NULL, &eightbit);

        assert_int_equal(len, ngx_strlen(cases[i].wire));
        assert_int_equal(ngx_comms_curl_mail_write(&mail, out, &eightbit),
                         len);
        assert_memory_equal(out, cases[i].wire, len);
        assert_int_equal(eightbit, 0);
    }

    mail = unit_str("caf\xc3\xa9");
    (void) ngx_comms_curl_mail_write(&mail, NULL, &eightbit);
    assert_int_equal(eightbit, 1);
}


static void
test_paths(void **state)
{
    ngx_str_t  path;

    path = unit_str("ada@example.org");
    assert_int_equal(ngx_comms_curl_mail_path_safe(&path), 1);

    ngx_str_null(&path);
    assert_int_equal(ngx_comms_curl_mail_path_safe(&path), 1);

    path = unit_str("a@b>\r\nRCPT TO:<c@d");
    assert_int_equal(ngx_comms_curl_mail_path_safe(&path), 0);

    path = unit_str("a@b> SIZE=1");
    assert_int_equal(ngx_comms_curl_mail_path_safe(&path), 0);

    path = unit_str("\xc3\xa9@b");
    assert_int_equal(ngx_comms_curl_mail_path_safe(&path), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_paths),
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
