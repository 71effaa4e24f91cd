
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "aws/ngx_comms_aws_retry.h"


static ngx_comms_aws_verdict_e
judge(ngx_uint_t status, const char *text)
{
    ngx_str_t  code;

    code = unit_str(text);

    return ngx_comms_aws_judge(status, &code);
}


static void
test_verdicts(void **state)
{
    assert_int_equal(judge(400, "ValidationException"), NGX_COMMS_AWS_FINAL);
    assert_int_equal(judge(400, "ConditionalCheckFailedException"),
                     NGX_COMMS_AWS_FINAL);
    assert_int_equal(judge(400, ""), NGX_COMMS_AWS_FINAL);
    assert_int_equal(judge(501, "x"), NGX_COMMS_AWS_FINAL);
    assert_int_equal(judge(400, "ThrottlingException"),
                     NGX_COMMS_AWS_THROTTLED);
    assert_int_equal(judge(400, "ProvisionedThroughputExceededException"),
                     NGX_COMMS_AWS_THROTTLED);
    assert_int_equal(judge(503, "SlowDown"), NGX_COMMS_AWS_THROTTLED);
    assert_int_equal(judge(429, "x"), NGX_COMMS_AWS_THROTTLED);
    assert_int_equal(judge(400, "RequestTimeout"), NGX_COMMS_AWS_TRANSIENT);
    assert_int_equal(judge(500, "x"), NGX_COMMS_AWS_TRANSIENT);
    assert_int_equal(judge(502, "x"), NGX_COMMS_AWS_TRANSIENT);
    assert_int_equal(judge(503, "x"), NGX_COMMS_AWS_TRANSIENT);
    assert_int_equal(judge(504, "x"), NGX_COMMS_AWS_TRANSIENT);
    assert_int_equal(judge(403, "SignatureDoesNotMatch"),
                     NGX_COMMS_AWS_SKEWED);
    assert_int_equal(judge(400, "ExpiredTokenException"),
                     NGX_COMMS_AWS_EXPIRED);
}


static void
test_quota(void **state)
{
    ngx_uint_t             n;
    ngx_comms_aws_quota_t  quota;

    ngx_comms_aws_quota_init(&quota);

    /* 500 tokens are 35 transient retries at 14, and 2 throttled ones at 5 */

    for (n = 0; ngx_comms_aws_quota_take(&quota, NGX_COMMS_AWS_TRANSIENT)
                == NGX_OK; n++)
    { /* void */ }

    assert_int_equal(n, 35);

    for (n = 0; ngx_comms_aws_quota_take(&quota, NGX_COMMS_AWS_THROTTLED)
                == NGX_OK; n++)
    { /* void */ }

    assert_int_equal(n, 2);
    assert_int_equal(quota.left, 0);

    ngx_comms_aws_quota_give(&quota, NGX_COMMS_AWS_FINAL);
    assert_int_equal(quota.left, 1);

    ngx_comms_aws_quota_give(&quota, NGX_COMMS_AWS_TRANSIENT);
    assert_int_equal(quota.left, 15);

    for (n = 0; n < 1000; n++) {
        ngx_comms_aws_quota_give(&quota, NGX_COMMS_AWS_THROTTLED);
    }

    assert_int_equal(quota.left, 500);
}


static void
test_delays(void **state)
{
    assert_int_equal(ngx_comms_aws_delay(NGX_COMMS_AWS_TRANSIENT, 1, 50, -1,
                                         0xffff), 50);
    assert_int_equal(ngx_comms_aws_delay(NGX_COMMS_AWS_TRANSIENT, 3, 25, -1,
                                         0xffff), 100);
    assert_int_equal(ngx_comms_aws_delay(NGX_COMMS_AWS_TRANSIENT, 3, 25, -1,
                                         0), 0);
    assert_int_equal(ngx_comms_aws_delay(NGX_COMMS_AWS_THROTTLED, 1, 50, -1,
                                         0xffff), 1000);
    assert_int_equal(ngx_comms_aws_delay(NGX_COMMS_AWS_THROTTLED, 2, 50, -1,
                                         0x7fff), 999);
    assert_int_equal(ngx_comms_aws_delay(NGX_COMMS_AWS_THROTTLED, 9, 50, -1,
                                         0xffff), 20000);
    assert_int_equal(ngx_comms_aws_delay(NGX_COMMS_AWS_THROTTLED, 4000, 50,
                                         -1, 0xffff), 20000);

    /* the hint: not before our own delay, and not more than 5 s behind it */

    assert_int_equal(ngx_comms_aws_delay(NGX_COMMS_AWS_TRANSIENT, 1, 50, 10,
                                         0xffff), 50);
    assert_int_equal(ngx_comms_aws_delay(NGX_COMMS_AWS_TRANSIENT, 1, 50, 700,
                                         0xffff), 700);
    assert_int_equal(ngx_comms_aws_delay(NGX_COMMS_AWS_TRANSIENT, 1, 50,
                                         60000, 0xffff), 5050);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_delays)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
