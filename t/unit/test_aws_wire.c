
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "base/ngx_comms_json.h"
#include "aws/ngx_comms_aws_wire.h"
#include "aws/ngx_comms_aws_xml.h"


static const char  *unit_bad_xml[] = {
    "", "   ", "text", "<a>", "<a></b>", "<a></a><b></b>", "</a>", "<a",
    "<a b=\"", "<a><b>x</b>y</a>", "<a>x<b></b></a>", "<a>&nbsp;</a>",
    "<a>&</a>", "<a>&lt</a>", "<a>&#0;</a>", "<a>&#xd800;</a>",
    "<a>&#x110000;</a>", "<!DOCTYPE a><a></a>", "<a><![CDATA[x</a>",
    "<a><!-- </a>", "<?xml", "<a></a >x", "<>x</>", "< a></a>",
    "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>",
    "<a><b>x</b>", "<a><"
};


static ngx_int_t
walk(ngx_pool_t *pool, const char *source, u_char *out)
{
    ngx_int_t             rc;
    ngx_str_t             body, name, text;
    ngx_comms_aws_xml_t   xml;

    /* a copy of the exact size, so that a sanitizer sees what is read */

    body.len = ngx_strlen(source);
    body.data = malloc(body.len + 1);
    assert_non_null(body.data);
    body.data = realloc(body.data, body.len ? body.len : 1);
    ngx_memcpy(body.data, source, body.len);

    ngx_comms_aws_xml_init(&xml, &body);

    for ( ;; ) {
        rc = ngx_comms_aws_xml_next(&xml, pool, &name, &text);

        if (rc != NGX_OK) {
            break;
        }

        out = ngx_sprintf(out, "%ui %V=%V;", xml.depth, &name, &text);
    }

    *out = '\0';
    free(body.data);

    return rc;
}


static void
test_xml(void **state)
{
    u_char      out[1024];
    ngx_uint_t  i;

    assert_int_equal(walk(*state, "<?xml version=\"1.0\"?>\n<!-- > -->"
        "<R xmlns=\"http://x/>\">\n <aws:A>1 &lt;&#65;&#xe9;&amp;</aws:A>\n"
        " <B/><C></C><D><E x='1'> a\n</E></D><F><![CDATA[<&>]]]></F></R>\n",
        out), NGX_DONE);
    assert_string_equal(out, "1 A=1 <A\xc3\xa9&;1 B=;1 C=;2 E= a\n;1 F=<&>];");

    for (i = 0; i < sizeof(unit_bad_xml) / sizeof(unit_bad_xml[0]); i++) {
        if (walk(*state, unit_bad_xml[i], out) != NGX_ERROR) {
            print_error("%s\n", unit_bad_xml[i]);
            fail();
        }
    }
}


static void
test_query(void **state)
{
    json_t                    *in, *out;
    ngx_str_t                  body;
    ngx_comms_answer_t         an;
    ngx_comms_aws_protocol_t  *sns;

    sns = ngx_comms_aws_protocol(NGX_COMMS_AWS_SNS);

    in = json_pack("{s:s,s:i,s:b}", "Message", "a b&c=\xc3\xa9\n~", "N", -5,
                   "B", 1);
    assert_int_equal(ngx_comms_aws_wire_body(*state, sns, "Publish", in,
                                             &body), NGX_OK);
    assert_text(body, "Action=Publish&Version=2010-03-31"
                "&Message=a%20b%26c%3D%C3%A9%0A~&N=-5&B=true");

    (void) json_object_set_new(in, "L", json_array());
    assert_int_equal(ngx_comms_aws_wire_body(*state, sns, "Publish", in,
                                             &body), NGX_DECLINED);
    json_decref(in);

    ngx_memzero(&an, sizeof(an));
    an.status = 200;
    an.body = unit_str("<PublishResponse><PublishResult><MessageId>m1"
        "</MessageId><Id>1</Id><Id>2</Id><Id>3</Id></PublishResult>"
        "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"
        "</PublishResponse>");
    assert_int_equal(ngx_comms_aws_wire_answer(*state, sns, &an, &out),
                     NGX_OK);
    assert_string_equal(json_string_value(json_object_get(out, "MessageId")),
                        "m1");
    assert_int_equal(json_array_size(json_object_get(out, "Id")), 3);
    assert_int_equal(json_object_size(out), 2);
    json_decref(out);

    an.body = unit_str("<html>oops");
    assert_int_equal(ngx_comms_aws_wire_answer(*state, sns, &an, &out),
                     NGX_DECLINED);
}


static void
test_errors(void **state)
{
    ngx_comms_answer_t         an;
    ngx_comms_aws_error_t      error;
    ngx_comms_aws_protocol_t  *db, *sns;

    db = ngx_comms_aws_protocol(NGX_COMMS_AWS_DYNAMODB);
    sns = ngx_comms_aws_protocol(NGX_COMMS_AWS_SNS);

    ngx_memzero(&an, sizeof(an));
    assert_int_equal(ngx_array_init(&an.headers, *state, 1,
                                    sizeof(ngx_keyval_t)), NGX_OK);
    an.status = 400;
    an.body = unit_str("{\"__type\":\"com.amazonaws.dynamodb.v20120810"
        "#ConditionalCheckFailedException\",\"message\":\"m\","
        "\"Item\":{\"v\":{\"N\":\"1\"}}}");
    ngx_comms_aws_wire_error(*state, db, &an, &error);
    assert_text(error.code, "ConditionalCheckFailedException");
    assert_text(error.message, "m");
    assert_non_null(error.item);
    json_decref(error.item);

    an.body = unit_str("{\"__type\":\"Throttling:http://x#y\","
                       "\"Message\":\"n\"}");
    ngx_comms_aws_wire_error(*state, db, &an, &error);
    assert_text(error.message, "n");

    an.body = unit_str("<html>");
    ngx_comms_aws_wire_error(*state, db, &an, &error);
    assert_text(error.code, "UnknownError");
    ngx_comms_aws_wire_error(*state, sns, &an, &error);
    assert_text(error.code, "UnknownError");

    an.body = unit_str("<ErrorResponse><Error><Type>Sender</Type>"
        "<Code>NotFound</Code><Message>no &lt;topic&gt;</Message></Error>"
        "<RequestId>1</RequestId></ErrorResponse>");
    ngx_comms_aws_wire_error(*state, sns, &an, &error);
    assert_text(error.code, "NotFound");
    assert_text(error.message, "no <topic>");

    an.body = unit_str("{\"__type\":\"a b\\ninjected\"}");
    ngx_comms_aws_wire_error(*state, db, &an, &error);
    assert_text(error.code, "a");
}


static void
test_crc32(void **state)
{
    json_t                    *out;
    ngx_keyval_t              *header;
    ngx_comms_answer_t         an;
    ngx_comms_aws_protocol_t  *db;

    db = ngx_comms_aws_protocol(NGX_COMMS_AWS_DYNAMODB);

    ngx_memzero(&an, sizeof(an));
    assert_int_equal(ngx_array_init(&an.headers, *state, 1,
                                    sizeof(ngx_keyval_t)), NGX_OK);
    an.status = 200;
    an.body = unit_str("{}");

    header = ngx_array_push(&an.headers);
    header->key = unit_str("X-Amz-Crc32");
    header->value = unit_str("2745614147");
    assert_int_equal(ngx_comms_aws_wire_answer(*state, db, &an, &out),
                     NGX_OK);
    json_decref(out);

    header->value = unit_str("2745614148");
    assert_int_equal(ngx_comms_aws_wire_answer(*state, db, &an, &out),
                     NGX_DECLINED);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_xml),
        pool_test(test_query),
        pool_test(test_errors),
        pool_test(test_crc32)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
