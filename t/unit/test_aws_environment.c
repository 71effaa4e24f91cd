
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "aws/ngx_comms_aws_endpoint.h"
#include "aws/ngx_comms_aws_environment.h"


static const char  unit_credentials[] =
    "# comment\n"
    "[default]\n"
    "aws_access_key_id = AKDEFAULT\r\n"
    "aws_secret_access_key=se=cr/et+  ; comment\n"
    "\n"
    "[ other ]\n"
    "AWS_ACCESS_KEY_ID=AKOTHER\n"
    "aws_secret_access_key = s2\n"
    "aws_session_token = t2\n"
    "s3 =\n"
    "  region = not-ours\n";

static const char  unit_config[] =
    "[profile other]\nregion = eu-west-1\n"
    "[other]\nregion = wrong\n"
    "[default]\nregion=us-east-2 # near\naws_access_key_id = AKCONFIG\n"
    "[profile web]\nrole_arn = arn:aws:iam::1:role/r\n"
    "web_identity_token_file = /t\n"
    "[profile process]\ncredential_process = /bin/x\n"
    "[broken\nregion = x\n";


static ngx_comms_aws_profile_t
profile(const char *text)
{
    ngx_str_t                name, credentials, config;
    ngx_comms_aws_profile_t  p;

    name = unit_str(text);
    credentials = unit_str(unit_credentials);
    config = unit_str(unit_config);

    ngx_comms_aws_profile_read(&credentials, &config, &name, &p);

    return p;
}


static void
test_profiles(void **state)
{
    ngx_comms_aws_profile_t  p;

    p = profile("default");
    assert_true(p.found);
    assert_text(p.keys.access_key, "AKDEFAULT");
    assert_text(p.keys.secret_key, "se=cr/et+");
    assert_text(p.keys.token, "");
    assert_text(p.region, "us-east-2");

    p = profile("other");
    assert_text(p.keys.access_key, "AKOTHER");
    assert_text(p.keys.token, "t2");
    assert_text(p.region, "eu-west-1");

    p = profile("web");
    assert_text(p.role_arn, "arn:aws:iam::1:role/r");
    assert_text(p.token_file, "/t");

    p = profile("process");
    assert_string_equal(p.unsupported, "credential_process");

    p = profile("absent");
    assert_false(p.found);
}


static void
test_order(void **state)
{
    ngx_comms_aws_profile_t      none, files;
    ngx_comms_aws_environment_t  env;

    ngx_memzero(&env, sizeof(env));
    ngx_memzero(&none, sizeof(none));
    files = profile("default");

    assert_int_equal(ngx_comms_aws_environment_source(&env, &none, 0),
                     NGX_COMMS_AWS_METADATA);

    env.metadata_disabled = 1;
    assert_int_equal(ngx_comms_aws_environment_source(&env, &none, 0),
                     NGX_COMMS_AWS_NOWHERE);

    env.container_path = unit_str("/x");
    assert_int_equal(ngx_comms_aws_environment_source(&env, &none, 0),
                     NGX_COMMS_AWS_CONTAINER);
    assert_int_equal(ngx_comms_aws_environment_source(&env, &files, 0),
                     NGX_COMMS_AWS_FILES);

    env.role_arn = unit_str("arn");
    assert_int_equal(ngx_comms_aws_environment_source(&env, &files, 0),
                     NGX_COMMS_AWS_FILES);
    env.token_file = unit_str("/t");
    assert_int_equal(ngx_comms_aws_environment_source(&env, &files, 0),
                     NGX_COMMS_AWS_WEB_IDENTITY);

    env.keys.access_key = unit_str("A");
    assert_int_equal(ngx_comms_aws_environment_source(&env, &files, 0),
                     NGX_COMMS_AWS_WEB_IDENTITY);
    env.keys.secret_key = unit_str("S");
    assert_int_equal(ngx_comms_aws_environment_source(&env, &files, 0),
                     NGX_COMMS_AWS_ENVIRONMENT);

    /* a profile that was asked for by name */
    assert_int_equal(ngx_comms_aws_environment_source(&env, &files, 1),
                     NGX_COMMS_AWS_FILES);
}


static void
test_variables(void **state)
{
    ngx_comms_aws_environment_t  env;

    assert_int_equal(clearenv(), 0);
    (void) setenv("HOME", "/home/x", 1);
    (void) setenv("AWS_DEFAULT_REGION", "b", 1);
    (void) setenv("AWS_REGION", "a", 1);
    (void) setenv("AWS_CONFIG_FILE", "/c", 1);
    (void) setenv("AWS_ACCESS_KEY_ID", "", 1);
    (void) setenv("HTTP_PROXY", "http://evil", 1);
    (void) setenv("ALL_PROXY", "http://p:1", 1);
    (void) setenv("AWS_EC2_METADATA_DISABLED", "TRUE", 1);
    (void) setenv("AWS_ENDPOINT_URL_SQS", "http://q", 1);

    assert_int_equal(ngx_comms_aws_environment_read(*state, &env), NGX_OK);
    assert_text(env.region, "a");
    assert_text(env.config_file, "/c");
    assert_text(env.credentials_file, "/home/x/.aws/credentials");
    assert_int_equal(env.keys.access_key.len, 0);
    assert_text(env.network.http_proxy, "http://p:1");
    assert_text(env.network.https_proxy, "http://p:1");
    assert_text(env.metadata_url, "http://169.254.169.254");
    assert_text(env.endpoints[NGX_COMMS_AWS_SQS], "http://q");
    assert_true(env.metadata_disabled);
    assert_false(env.metadata_v1_disabled);
}


static ngx_int_t
parse(ngx_pool_t *pool, const char *text, ngx_comms_aws_endpoint_t *ep)
{
    ngx_str_t  url;

    url = unit_str(text);

    return ngx_comms_aws_endpoint_parse(pool, &url, ep);
}


static void
test_endpoints(void **state)
{
    ngx_str_t                 service, region;
    ngx_uint_t                i;
    ngx_comms_aws_endpoint_t  ep;
    static const char        *bad[] = {
        "", "x", "ftp://x", "http://", "http:///", "http://u@h", "http://h:0",
        "http://h:99999", "http://h:x", "http://[::1", "http://h/#f",
        "http://h h", "http://h\r\nX: y", "http://:80", "https:///p"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parse(*state, bad[i], &ep) != NGX_DECLINED) {
            print_error("%s\n", bad[i]);
            fail();
        }
    }

    assert_int_equal(parse(*state, "HTTPS://Host.X:443/a/b?c=d", &ep),
                     NGX_OK);
    assert_text(ep.base, "https://host.x");
    assert_text(ep.host, "host.x");
    assert_text(ep.path, "a/b");
    assert_text(ep.args, "c=d");
    assert_true(ep.https);

    assert_int_equal(parse(*state, "http://[::1]:8000", &ep), NGX_OK);
    assert_text(ep.base, "http://[::1]:8000");
    assert_text(ep.name, "::1");
    assert_true(ngx_comms_aws_endpoint_local(&ep));

    assert_int_equal(parse(*state, "http://127.9.9.9/", &ep), NGX_OK);
    assert_true(ngx_comms_aws_endpoint_local(&ep));
    assert_int_equal(parse(*state, "http://169.254.170.23/v1", &ep), NGX_OK);
    assert_true(ngx_comms_aws_endpoint_local(&ep));
    assert_int_equal(parse(*state, "http://169.254.169.254/", &ep), NGX_OK);
    assert_false(ngx_comms_aws_endpoint_local(&ep));
    assert_int_equal(parse(*state, "http://localhost.evil/", &ep), NGX_OK);
    assert_false(ngx_comms_aws_endpoint_local(&ep));

    service = unit_str("sqs");
    region = unit_str("cn-north-1");
    assert_int_equal(ngx_comms_aws_endpoint_regional(*state, &service,
                                                     &region, &ep), NGX_OK);
    assert_text(ep.base, "https://sqs.cn-north-1.amazonaws.com.cn");

    region = unit_str("eu-west-1/x");
    assert_false(ngx_comms_aws_region_valid(&region));
    region.len = 9;
    assert_true(ngx_comms_aws_region_valid(&region));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_order),
        pool_test(test_variables),
        pool_test(test_endpoints)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
