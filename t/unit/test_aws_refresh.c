
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "aws/ngx_comms_aws_refresh.h"


#define NOW  ((time_t) 1800000000)


static void
test_windows(void **state)
{
    assert_int_equal(ngx_comms_aws_age(0, NOW), NGX_COMMS_AWS_FRESH);
    assert_int_equal(ngx_comms_aws_age(NOW + 3600, NOW), NGX_COMMS_AWS_FRESH);
    assert_int_equal(ngx_comms_aws_age(NOW + 901, NOW), NGX_COMMS_AWS_FRESH);
    assert_int_equal(ngx_comms_aws_age(NOW + 900, NOW),
                     NGX_COMMS_AWS_ADVISED);
    assert_int_equal(ngx_comms_aws_age(NOW + 601, NOW),
                     NGX_COMMS_AWS_ADVISED);
    assert_int_equal(ngx_comms_aws_age(NOW + 600, NOW),
                     NGX_COMMS_AWS_REQUIRED);
    assert_int_equal(ngx_comms_aws_age(NOW + 1, NOW),
                     NGX_COMMS_AWS_REQUIRED);
    assert_int_equal(ngx_comms_aws_age(NOW, NOW), NGX_COMMS_AWS_OVER);
    assert_int_equal(ngx_comms_aws_age(NOW - 3600, NOW), NGX_COMMS_AWS_OVER);
}


/* 15 minutes and 2 to 10 more, whatever the random number is */

static void
test_outage(void **state)
{
    time_t      end;
    ngx_uint_t  i;

    assert_int_equal(ngx_comms_aws_extended(0, NOW, 1), 0);
    assert_int_equal(ngx_comms_aws_extended(NOW + 901, NOW, 1), NOW + 901);
    assert_int_equal(ngx_comms_aws_extended(NOW + 900, NOW, 0),
                     NOW + 17 * 60);
    assert_int_equal(ngx_comms_aws_extended(NOW - 99999, NOW, 480),
                     NOW + 25 * 60);

    for (i = 0; i < 5000; i++) {
        end = ngx_comms_aws_extended(NOW - 5, NOW, i * 2654435761U);

        assert_in_range(end - NOW, 17 * 60, 25 * 60);
        assert_int_equal(ngx_comms_aws_age(end, NOW), NGX_COMMS_AWS_FRESH);
    }
}


static void
test_pause(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < 500; i++) {
        assert_in_range(ngx_comms_aws_pause(0, NOW, i), 60, 119);
        assert_in_range(ngx_comms_aws_pause(NOW + 3600, NOW, i), 60, 119);
    }

    assert_int_equal(ngx_comms_aws_pause(NOW + 40, NOW, 7), 10);
    assert_int_equal(ngx_comms_aws_pause(NOW + 2, NOW, 7), 1);
    assert_int_equal(ngx_comms_aws_pause(NOW - 50, NOW, 7), 1);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_outage),
        cmocka_unit_test(test_pause),
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
