
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "project/ngx_comms_json_lines.h"


static const char  unit_text[] =
    "\n"
    "{\n"
    "    \"a\": {\"b\": \"}, \\\" {\",\n"
    "          \"c\": [1,\n"
    "                [2, {\"x\": 1}],\n"
    "                \"three\"\n"
    "          ]\n"
    "    },\n"
    "    \"d\\u00e9\\n\": 4, \"e\":\n"
    "        {\"f\"\n"
    "          : null\n"
    "        }\n"
    "}\n";


static ngx_uint_t
unit_line(ngx_comms_json_path_t *path)
{
    ngx_str_t  text;

    text = unit_str(unit_text);

    return ngx_comms_json_line(&text, path);
}


static void
test_lines(void **state)
{
    ngx_comms_json_path_t  root = { NULL, NULL, 0 };
    ngx_comms_json_path_t  a = { &root, "a", 0 };
    ngx_comms_json_path_t  b = { &a, "b", 0 };
    ngx_comms_json_path_t  c = { &a, "c", 0 };
    ngx_comms_json_path_t  c0 = { &c, NULL, 0 };
    ngx_comms_json_path_t  c1 = { &c, NULL, 1 };
    ngx_comms_json_path_t  c2 = { &c, NULL, 2 };
    ngx_comms_json_path_t  c3 = { &c, NULL, 3 };
    ngx_comms_json_path_t  d = { &root, "d\xc3\xa9\n", 0 };
    ngx_comms_json_path_t  e = { &root, "e", 0 };
    ngx_comms_json_path_t  f = { &e, "f", 0 };
    ngx_comms_json_path_t  missing = { &e, "g", 0 };
    ngx_comms_json_path_t  deeper = { &missing, "h", 0 };
    ngx_comms_json_path_t  not_here = { &c, "g", 0 };

    assert_int_equal(unit_line(&root), 2);
    assert_int_equal(unit_line(&a), 3);
    assert_int_equal(unit_line(&b), 3);
    assert_int_equal(unit_line(&c), 4);
    assert_int_equal(unit_line(&c0), 4);
    assert_int_equal(unit_line(&c1), 5);
    assert_int_equal(unit_line(&c2), 6);
    assert_int_equal(unit_line(&c3), 4);
    assert_int_equal(unit_line(&d), 9);
    assert_int_equal(unit_line(&e), 9);
    assert_int_equal(unit_line(&f), 10);
    assert_int_equal(unit_line(&missing), 9);
    assert_int_equal(unit_line(&deeper), 9);
    assert_int_equal(unit_line(&not_here), 4);
}


/* a text cut anywhere must not be read beyond its end */

static void
test_cut_text(void **state)
{
    size_t      len;
    ngx_str_t   text;

    ngx_comms_json_path_t  root = { NULL, NULL, 0 };
    ngx_comms_json_path_t  e = { &root, "e", 0 };
    ngx_comms_json_path_t  f = { &e, "f", 0 };

    for (len = 0; len < sizeof(unit_text); len++) {
        text.len = len;
        text.data = malloc(len + 1);
        ngx_memcpy(text.data, unit_text, len);
        text.data = realloc(text.data, len ? len : 1);

        assert_true(ngx_comms_json_line(&text, &f) >= 1);

        free(text.data);
    }
}


static void
test_path_text(void **state)
{
    u_char     buf[64];
    ngx_str_t  text;

    ngx_comms_json_path_t  root = { NULL, NULL, 0 };
    ngx_comms_json_path_t  a = { &root, "keys", 0 };
    ngx_comms_json_path_t  b = { &a, NULL, 7 };
    ngx_comms_json_path_t  c = { &b, "name", 0 };

    text.data = buf;
    text.len = ngx_comms_json_path_text(buf, buf + sizeof(buf), &c) - buf;
    assert_text(text, "keys[7].name");

    text.len = ngx_comms_json_path_text(buf, buf + 5, &c) - buf;
    assert_text(text, "keys[");
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        pool_test(test_lines),
        pool_test(test_cut_text),
        pool_test(test_path_text)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
