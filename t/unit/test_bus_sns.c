
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "test_bus_sns.h"
#include "base/ngx_comms_json.h"
#include "bus/ngx_comms_sns_message.h"


static json_t *
parsed(const char *text)
{
    json_t                  *message;
    ngx_str_t                str;
    ngx_comms_json_error_t   err;

    str = unit_str(text);
    message = ngx_comms_json_parse(&str, &err);

    assert_non_null(message);

    return message;
}


static ngx_int_t
verify(ngx_pool_t *pool, json_t *message, ngx_uint_t sha1)
{
    ngx_str_t  pem;

    pem = unit_str(SNS_CERTIFICATE);

    return ngx_comms_sns_verify(pool, message, &pem, sha1);
}


static void
test_good(void **state)
{
    json_t      *message;
    ngx_uint_t   i;

    static const char  *texts[] = {
        SNS_NOTIFICATION_1, SNS_NOTIFICATION_2, SNS_WITH_SUBJECT,
        SNS_CONFIRMATION, SNS_GOODBYE
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        message = parsed(texts[i]);
        assert_int_equal(verify(*state, message, 1), NGX_OK);
        assert_int_equal(verify(*state, message, 0),
                         i == 0 ? NGX_DECLINED : NGX_OK);
        json_decref(message);
    }
}


static void
test_changed(void **state)
{
    json_t      *message;
    ngx_uint_t   i;

    static const char  *names[] = {
        "Message", "MessageId", "Timestamp", "TopicArn", "Type", "Subject",
        "SignatureVersion", "Signature"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        message = parsed(SNS_WITH_SUBJECT);
        json_object_set_new(message, names[i], json_string("changed"));
        assert_int_equal(verify(*state, message, 1), NGX_DECLINED);

        json_object_set_new(message, names[i], json_integer(2));
        assert_int_equal(verify(*state, message, 1), NGX_DECLINED);

        json_object_del(message, names[i]);
        assert_int_equal(verify(*state, message, 1), NGX_DECLINED);
        json_decref(message);
    }

    /* what is not signed changes nothing */

    message = parsed(SNS_NOTIFICATION_2);
    json_object_set_new(message, "MessageAttributes", json_object());
    json_object_set_new(message, "SubscribeURL", json_string("x"));
    assert_int_equal(verify(*state, message, 0), NGX_OK);

    /* a null is no subject */

    json_object_set_new(message, "Subject", json_null());
    assert_int_equal(verify(*state, message, 0), NGX_OK);
    json_decref(message);

    message = parsed(SNS_CONFIRMATION);
    json_object_set_new(message, "Token", json_string("other"));
    assert_int_equal(verify(*state, message, 0), NGX_DECLINED);
    json_decref(message);
}


static void
test_bad_certificate(void **state)
{
    json_t     *message;
    ngx_str_t   pem;

    message = parsed(SNS_NOTIFICATION_2);

    pem = unit_str("");
    assert_int_equal(ngx_comms_sns_verify(*state, message, &pem, 0),
                     NGX_ERROR);

    pem = unit_str("-----BEGIN CERTIFICATE-----\nAAAA\n"
                   "-----END CERTIFICATE-----\n");
    assert_int_equal(ngx_comms_sns_verify(*state, message, &pem, 0),
                     NGX_ERROR);
    json_decref(message);
}


static void
test_addresses(void **state)
{
    ngx_str_t    url;
    ngx_uint_t   i;

    static const struct {
        const char  *url;
        ngx_uint_t   ours;
        ngx_uint_t   certificate;
    } rows[] = {
        { "https://sns.us-east-1.amazonaws.com/S-1.pem", 1, 1 },
        { "https://sns.cn-north-1.amazonaws.com.cn/S-1.pem", 1, 1 },
        { "https://sns.eu-west-1.amazonaws.com/?Action=Confirm", 1, 0 },
        { "https://sns.eu-west-1.amazonaws.com/?x=/y.pem", 1, 0 },
        { "https://sns.eu-west-1.amazonaws.com/S-1.pem#", 0, 0 },
        { "http://sns.us-east-1.amazonaws.com/S-1.pem", 0, 0 },
        { "https://sns.us-east-1.amazonaws.com:8443/S-1.pem", 0, 0 },
        { "https://u@sns.us-east-1.amazonaws.com/S-1.pem", 0, 0 },
        { "https://sns.us-east-1.amazonaws.com.evil.example/S.pem", 0, 0 },
        { "https://evil.example/sns.us-east-1.amazonaws.com/S.pem", 0, 0 },
        { "https://sns.a.b.amazonaws.com/S-1.pem", 0, 0 },
        { "https://sns.us.amazonaws.com/S-1.pem", 0, 0 },
        { "https://s3.us-east-1.amazonaws.com/S-1.pem", 0, 0 },
        { "https://evil.example\\.amazonaws.com/S-1.pem", 0, 0 },
        { "https://sns.us-east-1.amazonaws.com", 0, 0 },
        { "https://sns.us-east-1.amazonaws.com/.pe m.pem", 0, 0 },
        { "https://", 0, 0 },
        { "", 0, 0 }
    };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        url = unit_str(rows[i].url);
        assert_int_equal(ngx_comms_sns_url_valid(&url), rows[i].ours);
        assert_int_equal(ngx_comms_sns_certificate_url_valid(&url),
                         rows[i].certificate);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_good),
        pool_test(test_changed),
        pool_test(test_bad_certificate),
        pool_test(test_addresses),
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
