
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "base/ngx_comms_json.h"


typedef struct {
    ngx_str_t    text;
    ngx_uint_t   line;
    ngx_uint_t   column;
    const char  *words;
} unit_mistake_t;


static int  unit_failures;


static unit_mistake_t  mistakes[] = {
    { ngx_string(""), 1, 1, "empty document" },
    { ngx_string(" "), 1, 1, "unexpected end of document" },
    { ngx_string("{"), 1, 1, "unexpected end of document" },
    { ngx_string("{\"a\":1"), 1, 6, "unexpected end of document" },
    { ngx_string("{\"a\":1,}"), 1, 8, "invalid syntax" },
    { ngx_string("{\n  \"a\": x\n}"), 2, 8, "invalid syntax" },
    { ngx_string("{\n\n \"a\" 1}"), 3, 6, "invalid syntax" },
    { ngx_string("{\"a\":1} x"), 1, 9, "text behind the end of the document" },
    { ngx_string("{\"a\":1,\n\"a\":2}"), 2, 3, "duplicate key" },
    { ngx_string("[1e999]"), 1, 6, "number out of range" },
    { ngx_string("[9223372036854775808]"), 1, 20, "number out of range" },
    { ngx_string("[\"a\\u0000b\"]"), 1, 11, "NUL character" },
    { ngx_string("{\"a\\u0000\":1}"), 1, 10, "NUL character" },
    { ngx_string("[\"\xc3\xa9\xff\"]"), 1, 5, "invalid UTF-8" },
    { ngx_string("[\"\xc0\x80\"]"), 1, 3, "invalid UTF-8" },
    { ngx_string("[\"\xed\xa0\x80\"]"), 1, 3, "invalid UTF-8" },
    { ngx_string("[\"\\ud800\"]"), 1, 9, "invalid syntax" },
    { ngx_string("\xef\xbb\xbf{}"), 1, 3, "invalid syntax" },
    { ngx_string("['a']"), 1, 2, "invalid syntax" },
    { ngx_string("[\"a\nb\"]"), 1, 3, "invalid syntax" },
    { ngx_string("[01]"), 1, 2, "invalid syntax" },
    { ngx_string("NaN"), 1, 3, "invalid syntax" },
    { ngx_string("[1]\n[2]"), 2, 1, "text behind the end of the document" }
};


static json_t *
parse(const char *text)
{
    ngx_str_t               str;
    ngx_comms_json_error_t  err;

    str = unit_str(text);

    return ngx_comms_json_parse(&str, &err);
}


static void
test_mistakes(void **state)
{
    ngx_uint_t               i;
    ngx_comms_json_error_t   err;

    for (i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {

        assert_null(ngx_comms_json_parse(&mistakes[i].text, &err));

        if (err.line != mistakes[i].line || err.column != mistakes[i].column
            || ngx_strcmp(err.text, mistakes[i].words) != 0)
        {
            print_error("%s: %d:%d %s\n", mistakes[i].text.data,
                        (int) err.line, (int) err.column, err.text);
            unit_failures++;
        }
    }

    assert_int_equal(unit_failures, 0);
}


static void
test_raw_nul(void **state)
{
    ngx_str_t               text;
    ngx_comms_json_error_t  err;

    text.data = (u_char *) "{\"a\":\"b\0c\"}";
    text.len = sizeof("{\"a\":\"b\0c\"}") - 1;
    assert_null(ngx_comms_json_parse(&text, &err));

    text.data = (u_char *) "{}\0";
    text.len = 3;
    assert_null(ngx_comms_json_parse(&text, &err));
    assert_int_equal(err.column, 3);
}


static void
test_mistakes_quote_nothing(void **state)
{
    ngx_str_t               text;
    ngx_comms_json_error_t  err;

    text = unit_str("{\"tel\": +447700900123}");

    assert_null(ngx_comms_json_parse(&text, &err));
    assert_null(ngx_strstr(err.text, "4477"));
    assert_string_equal(err.text, "invalid syntax");
}


static void
test_values_at_the_top(void **state)
{
    json_t               *value;
    ngx_uint_t            i;
    static const char   *good[] = {
        "{}", "[]", "1", "-1.5e3", "\"text\"", "true", "null", " [1] \r\n\t",
        "{\"a\":{\"a\":1},\"b\":{\"a\":1}}", "[\"\\ud83d\\ude00\"]",
        "[\"\\\\\\\"[[[[\"]"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        value = parse(good[i]);
        assert_non_null(value);
        json_decref(value);
    }
}


static void
test_depth(void **state)
{
    u_char                   buf[4096];
    json_t                  *value;
    ngx_str_t                text;
    ngx_comms_json_error_t   err;

    text.data = buf;

    ngx_memset(buf, '[', 32);
    ngx_memset(buf + 32, ']', 32);
    text.len = 64;
    value = ngx_comms_json_parse(&text, &err);
    assert_non_null(value);
    json_decref(value);

    ngx_memset(buf, '[', 33);
    ngx_memset(buf + 33, ']', 33);
    buf[0] = '\n';
    buf[1] = '[';
    buf[65] = '[';
    text.len = sizeof(buf);
    ngx_memset(buf + 1, '[', sizeof(buf) - 1);
    assert_null(ngx_comms_json_parse(&text, &err));
    assert_string_equal(err.text, "nested too deeply");
    assert_int_equal(err.line, 2);
    assert_int_equal(err.column, 33);

    /* brackets side by side are not nested, and in a string they are text */

    value = parse("[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],"
                  "[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]");
    assert_non_null(value);
    json_decref(value);

    value = parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[\"]");
    assert_non_null(value);
    json_decref(value);

    /* closing brackets do not earn depth */

    ngx_memset(buf, ']', 100);
    ngx_memset(buf + 100, '[', 33);
    text.len = 133;
    assert_null(ngx_comms_json_parse(&text, &err));
    assert_string_equal(err.text, "nested too deeply");
}


static void
test_every_cut_is_refused(void **state)
{
    ngx_str_t               text;
    ngx_comms_json_error_t  err;

    text = unit_str("{\"a\":[1,2.5,\"\\u00e9\xc3\xa9\"],\"b\":{\"c\":null}}");

    for (text.len--; text.len > 0; text.len--) {
        assert_null(ngx_comms_json_parse(&text, &err));
        assert_int_equal(err.line, 1);
        assert_in_range(err.column, 1, text.len + 1);
    }
}


static void
test_members(void **state)
{
    json_t     *object;
    int64_t     number;
    ngx_str_t   value;

    object = parse("{\"s\":\"\\u00e9\",\"e\":\"\",\"n\":null,\"i\":-7,"
                   "\"r\":1.5,\"o\":{}}");
    assert_non_null(object);

    assert_int_equal(ngx_comms_json_str(object, "s", &value), NGX_OK);
    assert_text(value, "\xc3\xa9");
    assert_int_equal(ngx_comms_json_str(object, "e", &value), NGX_OK);
    assert_text(value, "");
    assert_int_equal(ngx_comms_json_str(object, "n", &value), NGX_DECLINED);
    assert_text(value, "");
    assert_int_equal(ngx_comms_json_str(object, "x", &value), NGX_DECLINED);
    assert_int_equal(ngx_comms_json_str(NULL, "s", &value), NGX_DECLINED);
    assert_int_equal(ngx_comms_json_str(object, "i", &value), NGX_ERROR);
    assert_int_equal(ngx_comms_json_str(object, "o", &value), NGX_ERROR);

    number = 42;
    assert_int_equal(ngx_comms_json_int(object, "r", &number), NGX_ERROR);
    assert_int_equal(ngx_comms_json_int(object, "n", &number), NGX_DECLINED);
    assert_int_equal(ngx_comms_json_int(NULL, "i", &number), NGX_DECLINED);
    assert_int_equal(number, 42);
    assert_int_equal(ngx_comms_json_int(object, "i", &number), NGX_OK);
    assert_true(number == -7);

    value = ngx_comms_json_view(json_object_get(object, "i"));
    assert_text(value, "");
    value = ngx_comms_json_view(NULL);
    assert_text(value, "");

    json_decref(object);
}


static void
test_set(void **state)
{
    json_t     *object;
    ngx_str_t   value, text;

    object = json_object();

    value = unit_str("\xf0\x9f\x98\x80");
    assert_int_equal(ngx_comms_json_set_str(object, "a", &value), NGX_OK);
    ngx_str_null(&value);
    assert_int_equal(ngx_comms_json_set_str(object, "b", &value), NGX_OK);
    value = unit_str("\xff");
    assert_int_equal(ngx_comms_json_set_str(object, "c", &value), NGX_ERROR);
    assert_null(ngx_comms_json_string(&value));
    value.data = (u_char *) "a\0b";
    value.len = 3;
    assert_null(ngx_comms_json_string(&value));

    assert_int_equal(ngx_comms_json_dump(*state, object, &text), NGX_OK);
    assert_text(text, "{\"a\":\"\xf0\x9f\x98\x80\",\"b\":\"\"}");
    assert_int_equal(text.data[text.len], '\0');

    json_decref(object);
}


static void
test_canonical(void **state)
{
    json_t     *a, *b;
    ngx_str_t   first, second;

    a = parse("{\"b\":[1,{\"y\":2,\"x\":3}],\"a\":\"/\"}");
    b = parse("{ \"a\" : \"\\/\", \"b\" : [1, {\"x\":3, \"y\":2}]}");

    assert_int_equal(ngx_comms_json_dump_canonical(*state, a, &first), NGX_OK);
    assert_int_equal(ngx_comms_json_dump_canonical(*state, b, &second),
                     NGX_OK);
    assert_text(first, "{\"a\":\"/\",\"b\":[1,{\"x\":3,\"y\":2}]}");
    assert_text(second, "{\"a\":\"/\",\"b\":[1,{\"x\":3,\"y\":2}]}");

    json_decref(a);
    json_decref(b);
}


/* around the size from which the text is written a second time */

static void
test_dump_sizes(void **state)
{
    u_char      buf[8192];
    size_t      len;
    json_t     *value;
    ngx_str_t   str, text;

    ngx_memset(buf, 'x', sizeof(buf));
    str.data = buf;

    for (len = 4090; len < 4100; len++) {
        str.len = len;
        value = ngx_comms_json_string(&str);

        assert_int_equal(ngx_comms_json_dump(*state, value, &text), NGX_OK);
        assert_int_equal(text.len, len + 2);
        assert_int_equal(text.data[0], '"');
        assert_int_equal(text.data[len], 'x');
        assert_int_equal(text.data[len + 1], '"');
        assert_int_equal(text.data[len + 2], '\0');

        json_decref(value);
    }

    assert_int_equal(ngx_comms_json_dump(*state, NULL, &text), NGX_ERROR);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_mistakes),
        pool_test(test_raw_nul),
        pool_test(test_mistakes_quote_nothing),
        pool_test(test_values_at_the_top),
        pool_test(test_depth),
        pool_test(test_every_cut_is_refused),
        pool_test(test_members),
        pool_test(test_set),
        pool_test(test_canonical),
        pool_test(test_dump_sizes)
    };

    return cmocka_run_group_tests_name("base/json", tests, unit_setup,
                                       NULL);
}
