
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "base/ngx_comms_text.h"


static void
test_escape(void **state)
{
    ngx_str_t  text, escaped;

    text = unit_str("az AZ 09*-._ ~!'()%&=+/?\xc3\xa9\r\n");
    assert_int_equal(ngx_comms_form_escape(*state, &text, &escaped), NGX_OK);
    assert_text(escaped, "az+AZ+09*-._+%7E%21%27%28%29%25%26%3D%2B%2F%3F"
                         "%C3%A9%0D%0A");

    ngx_str_null(&text);
    assert_int_equal(ngx_comms_form_escape(*state, &text, &escaped), NGX_OK);
    assert_text(escaped, "");
}


static void
test_add(void **state)
{
    ngx_str_t  form, value;

    ngx_str_null(&form);

    value = unit_str("whatsapp:+447700900123");
    assert_int_equal(ngx_comms_form_add(*state, &form, "To", &value), NGX_OK);
    ngx_str_null(&value);
    assert_int_equal(ngx_comms_form_add(*state, &form, "A b", &value), NGX_OK);
    value = unit_str("1 & 2");
    assert_int_equal(ngx_comms_form_add(*state, &form, "Body", &value),
                     NGX_OK);

    assert_text(form, "To=whatsapp%3A%2B447700900123&A+b=&Body=1+%26+2");
}


static void
test_parse(void **state)
{
    ngx_str_t      body;
    ngx_array_t    fields;
    ngx_keyval_t  *field;

    body = unit_str("a=1&&b=x+y%2Bz&a=2&c&=v&d==&%C3%A9=%00&");
    assert_int_equal(ngx_comms_form_parse(*state, &body, 10, &fields), NGX_OK);
    assert_int_equal(fields.nelts, 7);

    field = fields.elts;
    assert_text(field[0].key, "a");
    assert_text(field[0].value, "1");
    assert_text(field[1].key, "b");
    assert_text(field[1].value, "x y+z");
    assert_text(field[2].key, "a");
    assert_text(field[2].value, "2");
    assert_text(field[3].key, "c");
    assert_text(field[3].value, "");
    assert_text(field[4].key, "");
    assert_text(field[4].value, "v");
    assert_text(field[5].key, "d");
    assert_text(field[5].value, "=");
    assert_text(field[6].key, "\xc3\xa9");
    assert_text(field[6].value, "\0");

    assert_ptr_equal(ngx_comms_form_field(&fields, "a"), &field[0].value);
    assert_null(ngx_comms_form_field(&fields, "A"));
    assert_null(ngx_comms_form_field(&fields, "aa"));

    /* the body itself is left alone: it is what is signed */

    assert_text(body, "a=1&&b=x+y%2Bz&a=2&c&=v&d==&%C3%A9=%00&");

    ngx_str_null(&body);
    assert_int_equal(ngx_comms_form_parse(*state, &body, 10, &fields), NGX_OK);
    assert_int_equal(fields.nelts, 0);
}


static void
test_parse_refuses(void **state)
{
    ngx_str_t            body;
    ngx_uint_t           i;
    ngx_array_t          fields;
    static const char   *bad[] = {
        "a=%", "a=%4", "a=%4g", "a=%g4", "%=1", "a=1&b=%zz", "a=%%41",
        "a=% 41", "a=%4&1"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        body = unit_str(bad[i]);
        assert_int_equal(ngx_comms_form_parse(*state, &body, 10, &fields),
                         NGX_DECLINED);
    }

    body = unit_str("a&b&c&d");
    assert_int_equal(ngx_comms_form_parse(*state, &body, 4, &fields), NGX_OK);
    assert_int_equal(ngx_comms_form_parse(*state, &body, 3, &fields),
                     NGX_DECLINED);
}


static void
test_round_trip_of_every_byte(void **state)
{
    u_char        bytes[256];
    ngx_str_t     form, value, *back;
    ngx_uint_t    i;
    ngx_array_t   fields;

    for (i = 0; i < 256; i++) {
        bytes[i] = (u_char) i;
    }

    value.data = bytes;
    value.len = sizeof(bytes);
    ngx_str_null(&form);

    assert_int_equal(ngx_comms_form_add(*state, &form, "all", &value), NGX_OK);
    assert_int_equal(ngx_comms_form_parse(*state, &form, 1, &fields), NGX_OK);

    back = ngx_comms_form_field(&fields, "all");
    assert_non_null(back);
    assert_int_equal(back->len, sizeof(bytes));
    assert_memory_equal(back->data, bytes, sizeof(bytes));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_escape),
        pool_test(test_add),
        pool_test(test_parse),
        pool_test(test_parse_refuses),
        pool_test(test_round_trip_of_every_byte)
    };

    return cmocka_run_group_tests_name("base/form", tests, unit_setup,
                                       NULL);
}
