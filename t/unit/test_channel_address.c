
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "channel/ngx_comms_address.h"
#include "channel/ngx_comms_channel.h"


typedef struct {
    const char  *text;
    ngx_uint_t   valid;
} unit_valid_t;


static unit_valid_t  tels[] = {
    { "+447700900123", 1 }, { "+12", 1 }, { "+123456789012345", 1 },
    { "+1234567890123456", 0 }, { "+1", 0 }, { "+", 0 }, { "", 0 },
    { "447700900123", 0 }, { "+0447700900123", 0 }, { "+44 7700 900123", 0 },
    { "+44-7700", 0 }, { "+4477a", 0 }, { " +4477009001", 0 },
    { "+4477009001\n", 0 }
};


static unit_valid_t  emails[] = {
    { "ada@example.org", 1 }, { "a@b.co", 1 }, { "a.b+c@sub.example.org", 1 },
    { "ADA@EXAMPLE.ORG", 1 }, { "o'brien@example.ie", 1 },
    { "a!#$%&'*+-/=?^_`{|}~b@example.org", 1 }, { "ada@xn--bcher-kva.de", 1 },
    { "", 0 }, { "@", 0 }, { "ada", 0 }, { "ada@", 0 }, { "@example.org", 0 },
    { "ada@example", 0 }, { "ada@example.", 0 }, { "ada@.example.org", 0 },
    { "ada@example..org", 0 }, { ".ada@example.org", 0 },
    { "ada.@example.org", 0 }, { "a..b@example.org", 0 },
    { "\"ada b\"@example.org", 0 }, { "ada@[127.0.0.1]", 0 },
    { "ada@127.0.0.1", 0 }, { "ada@-example.org", 0 },
    { "ada@example-.org", 0 }, { "ada b@example.org", 0 },
    { "ada@exa mple.org", 0 }, { "ada@example.org\r\nBcc: x@y.zz", 0 },
    { "ada@b@example.org", 0 }, { "<ada@example.org>", 0 },
    { "ad\xc3\xa1@example.org", 0 },
    { "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234@x.yz",
      1 },
    { "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff12345@x.yz",
      0 }
};


static void
test_tel(void **state)
{
    ngx_str_t   text;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(tels) / sizeof(tels[0]); i++) {
        text = unit_str(tels[i].text);

        if (ngx_comms_tel_valid(&text) != tels[i].valid) {
            fail_msg("\"%s\"", tels[i].text);
        }
    }
}


static void
test_email(void **state)
{
    ngx_str_t   text;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(emails) / sizeof(emails[0]); i++) {
        text = unit_str(emails[i].text);

        if (ngx_comms_email_valid(&text) != emails[i].valid) {
            fail_msg("\"%s\"", emails[i].text);
        }
    }
}


static void
test_kinds(void **state)
{
    ngx_str_t    text, address, bare;
    ngx_pool_t  *pool;

    pool = *state;

    text = unit_str("+447700900123");
    assert_int_equal(ngx_comms_address_tel(pool, &text, &address), NGX_OK);
    assert_text(address, "tel:+447700900123");

    bare = ngx_comms_address_bare(&address);
    assert_text(bare, "+447700900123");
    assert_true(ngx_comms_address_is(&address, "tel"));
    assert_false(ngx_comms_address_is(&address, "te"));
    assert_false(ngx_comms_address_is(&address, "mailto"));

    text = unit_str("Ada@Example.ORG");
    assert_int_equal(ngx_comms_address_email(pool, &text, &address), NGX_OK);
    assert_text(address, "mailto:ada@example.org");

    text = unit_str("tel:");
    assert_false(ngx_comms_address_is(&text, "tel"));
}


static void
test_names(void **state)
{
    ngx_str_t  name;

    name = unit_str("email");
    assert_int_equal(ngx_comms_channel_by_name(&name), NGX_COMMS_EMAIL);

    name = unit_str("whatsapp");
    assert_int_equal(ngx_comms_channel_by_name(&name), NGX_COMMS_WHATSAPP);

    name = unit_str("fax");
    assert_int_equal(ngx_comms_channel_by_name(&name), NGX_ERROR);

    name = unit_str("twilio");
    assert_ptr_equal(ngx_comms_provider_by_name(&name), &ngx_comms_twilio);

    name = unit_str("sendgrid");
    assert_ptr_equal(ngx_comms_provider_by_name(&name), &ngx_comms_sendgrid);

    name = unit_str("send");
    assert_null(ngx_comms_provider_by_name(&name));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_tel),
        cmocka_unit_test(test_email),
        pool_test(test_kinds),
        cmocka_unit_test(test_names)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
