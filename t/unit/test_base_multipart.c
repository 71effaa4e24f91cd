
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "base/ngx_comms_multipart.h"


#define UNIT_TYPE   "multipart/form-data; boundary=xYzZY"

#define UNIT_FIELD(name, value)                                               \
    "--xYzZY\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"    \
    value "\r\n"

#define UNIT_END  "--xYzZY--\r\n"


static ngx_int_t
parse(void **state, const char *type, const char *body, ngx_array_t *parts)
{
    ngx_str_t  header, bytes;

    header = unit_str(type);
    bytes = unit_str(body);

    return ngx_comms_multipart_parse(*state, &header, &bytes, parts);
}


static void
test_fields_and_files(void **state)
{
    ngx_array_t        parts;
    ngx_comms_part_t  *part;

    assert_int_equal(parse(state, UNIT_TYPE,
        "preamble\r\n"
        UNIT_FIELD("from", "Ada <ada@example.org>")
        UNIT_FIELD("text", "")
        UNIT_FIELD("text", "line\r\n\r\nline\r\n")
        "--xYzZY\r\n"
        "content-disposition:form-data;\r\n"
        "\tfilename=\"a \\\"b\\\".png\" ; name=attachment1\r\n"
        "Content-Type: image/png \r\n"
        "X-Other: ; name=\"z\"\r\n"
        "\r\n"
        "\x89PNG\r\n\x1a\n\r\n"
        UNIT_END "epilogue", &parts), NGX_OK);

    assert_int_equal(parts.nelts, 4);
    part = parts.elts;

    assert_text(part[0].name, "from");
    assert_text(part[0].filename, "");
    assert_text(part[0].content_type, "");
    assert_text(part[0].data, "Ada <ada@example.org>");
    assert_text(part[1].data, "");
    assert_text(part[2].data, "line\r\n\r\nline\r\n");
    assert_text(part[3].name, "attachment1");
    assert_text(part[3].filename, "a \"b\".png");
    assert_text(part[3].content_type, "image/png");
    assert_text(part[3].data, "\x89PNG\r\n\x1a\n");

    assert_ptr_equal(ngx_comms_multipart_field(&parts, "text"), &part[1]);
    assert_null(ngx_comms_multipart_field(&parts, "tex"));
    assert_null(ngx_comms_multipart_field(&parts, "Text"));
}


static void
test_look_alikes_are_data(void **state)
{
    ngx_array_t        parts;
    ngx_comms_part_t  *part;

    assert_int_equal(parse(state, UNIT_TYPE,
        UNIT_FIELD("a", "--xYzZY\r\n--xYzZ\r\nx--xYzZY\r\n--xYzZYx\r\n"
                        "--xYzZY-\r\n--xYzZY--x\r\n --xYzZY\r\n\n--xYzZY\n"
                        "\r\n--xyzzy\r\n--xYzZY-- x")
        UNIT_END, &parts), NGX_DECLINED);

    /* the first line above is a real one, and has no headers behind it */

    assert_int_equal(parse(state, UNIT_TYPE,
        UNIT_FIELD("a", "--xYzZ\r\nx--xYzZY\r\n--xYzZYx\r\n"
                        "--xYzZY-\r\n--xYzZY--x\r\n --xYzZY\r\n\n--xYzZY\n"
                        "\r\n--xyzzy\r\n--xYzZY-- x")
        UNIT_END, &parts), NGX_OK);

    assert_int_equal(parts.nelts, 1);
    part = parts.elts;
    assert_text(part[0].data,
                "--xYzZ\r\nx--xYzZY\r\n--xYzZYx\r\n"
                "--xYzZY-\r\n--xYzZY--x\r\n --xYzZY\r\n\n--xYzZY\n"
                "\r\n--xyzzy\r\n--xYzZY-- x");

    /* a mail with parts of its own, whose boundary begins like ours */

    assert_int_equal(parse(state, UNIT_TYPE,
        UNIT_FIELD("email", "Content-Type: multipart/mixed; boundary=xYzZYi"
                            "\r\n\r\n--xYzZYi\r\n\r\nx\r\n--xYzZYi--\r\n")
        UNIT_END, &parts), NGX_OK);
    assert_int_equal(parts.nelts, 1);
}


static void
test_padding_and_ends(void **state)
{
    ngx_array_t  parts;

    /* blanks behind a delimiter, and no line end behind the last */

    assert_int_equal(parse(state, UNIT_TYPE,
        "--xYzZY \t\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n"
        "--xYzZY-- ", &parts), NGX_OK);
    assert_int_equal(parts.nelts, 1);

    /* a form without fields */

    assert_int_equal(parse(state, UNIT_TYPE, "--xYzZY--", &parts), NGX_OK);
    assert_int_equal(parts.nelts, 0);
}


static void
test_every_cut_is_refused(void **state)
{
    ngx_str_t    type, body;
    ngx_array_t  parts;

    type = unit_str(UNIT_TYPE);
    body = unit_str(UNIT_FIELD("a", "1") UNIT_FIELD("b", "2\r\n") UNIT_END);

    assert_int_equal(ngx_comms_multipart_parse(*state, &type, &body, &parts),
                     NGX_OK);

    /* the line end of the closing delimiter may be missing as a whole */

    body.len -= 2;
    assert_int_equal(ngx_comms_multipart_parse(*state, &type, &body, &parts),
                     NGX_OK);

    while (body.len > 0) {
        body.len--;
        assert_int_equal(ngx_comms_multipart_parse(*state, &type, &body,
                                                   &parts),
                         NGX_DECLINED);
    }
}


static void
test_types(void **state)
{
    ngx_uint_t           i;
    ngx_array_t          parts;
    static const char   *good[] = {
        "Multipart/Form-Data;BOUNDARY=xYzZY",
        "multipart/form-data; charset=utf-8; boundary=\"xYzZY\"",
        "multipart/form-data ; boundary = xYzZY ;",
        "multipart/form-data; boundary=xYzZY; boundary=other"
    };
    static const char   *bad[] = {
        "", "multipart/form-data", "multipart/form-data; boundary",
        "multipart/form-data; boundary=", "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"xYzZY",
        "multipart/form-data; boundary=xYzZy",
        "multipart/form-data; xboundary=xYzZY",
        "multipart/mixed; boundary=xYzZY", "; boundary=xYzZY",
        "multipart/form-data; boundary=\"xY\\\\zZY\"",
        "multipart/form-data; boundary=\"xYzZY\" x",
        ("multipart/form-data; boundary=012345678901234567890123456789"
         "01234567890123456789012345678901234567890")
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(parse(state, good[i], UNIT_FIELD("a", "b") UNIT_END,
                               &parts),
                         NGX_OK);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse(state, bad[i], UNIT_FIELD("a", "b") UNIT_END,
                               &parts),
                         NGX_DECLINED);
    }
}


static void
test_bad_parts(void **state)
{
    ngx_uint_t           i;
    ngx_array_t          parts;
    static const char   *bad[] = {
        "",
        "--xYzZY\r\n\r\nno headers\r\n" UNIT_END,
        "--xYzZY\r\nContent-Type: text/plain\r\n\r\nx\r\n" UNIT_END,
        "--xYzZY\r\nContent-Disposition: form-data\r\n\r\nx\r\n" UNIT_END,
        "--xYzZY\r\nContent-Disposition: form-data; filename=\"name=a\""
        "\r\n\r\nx\r\n" UNIT_END,
        "--xYzZY\r\nContent-Disposition: form-data; name=\"\"\r\n\r\nx\r\n"
        UNIT_END,
        "--xYzZY\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n"
        UNIT_END,
        "--xYzZY\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nx\r\n"
        UNIT_END,
        "--xYzZY\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n"
        "x\r\n" UNIT_END,
        "--xYzZY\r\nContent-Disposition: form-data; name=a\r\n"
        "Content-Disposition: form-data; name=b\r\n\r\nx\r\n" UNIT_END,
        "--xYzZY\r\nno colon\r\n\r\nx\r\n" UNIT_END,
        "--xYzZY\r\nContent-Disposition: form-data; name=a\r\n" UNIT_END,
        "--xYzZY\r\n--xYzZY\r\n" UNIT_END,
        "--xYzZY\nContent-Disposition: form-data; name=a\n\nx\n--xYzZY--\n"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parse(state, UNIT_TYPE, bad[i], &parts) != NGX_DECLINED) {
            fail_msg("row %d", (int) i);
        }
    }
}


static void
test_bounds(void **state)
{
    u_char       *p;
    ngx_str_t     type, body;
    ngx_uint_t    i, n;
    ngx_array_t   parts;

    type = unit_str(UNIT_TYPE);

    for (n = NGX_COMMS_MULTIPART_MAX_PARTS;
         n <= NGX_COMMS_MULTIPART_MAX_PARTS + 1; n++)
    {
        body.data = ngx_palloc(*state, 32768);
        p = body.data;

        for (i = 0; i < n; i++) {
            p = ngx_cpymem(p, UNIT_FIELD("a", "b"),
                           sizeof(UNIT_FIELD("a", "b")) - 1);
        }

        p = ngx_cpymem(p, UNIT_END, sizeof(UNIT_END) - 1);
        body.len = p - body.data;

        assert_int_equal(ngx_comms_multipart_parse(*state, &type, &body,
                                                   &parts),
                         (n <= NGX_COMMS_MULTIPART_MAX_PARTS) ? NGX_OK
                                                              : NGX_DECLINED);
    }

    /* headers that do not end */

    p = ngx_cpymem(body.data, "--xYzZY\r\nX: ", sizeof("--xYzZY\r\nX: ") - 1);
    ngx_memset(p, 'x', NGX_COMMS_MULTIPART_MAX_HEADERS);
    p += NGX_COMMS_MULTIPART_MAX_HEADERS;
    p = ngx_cpymem(p, "\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n",
        sizeof("\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n") - 1);
    p = ngx_cpymem(p, UNIT_END, sizeof(UNIT_END) - 1);
    body.len = p - body.data;

    assert_int_equal(ngx_comms_multipart_parse(*state, &type, &body, &parts),
                     NGX_DECLINED);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_fields_and_files),
        pool_test(test_look_alikes_are_data),
        pool_test(test_padding_and_ends),
        pool_test(test_every_cut_is_refused),
        pool_test(test_types),
        pool_test(test_bad_parts),
        pool_test(test_bounds)
    };

    return cmocka_run_group_tests_name("base/multipart", tests, unit_setup,
                                       NULL);
}
