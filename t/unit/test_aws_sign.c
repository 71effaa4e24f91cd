
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "aws/ngx_comms_aws_sign.h"


#define UNIT_TIME  1440938160    /* 2015-08-30 12:36:00 */


static ngx_comms_aws_keys_t  keys = {
    ngx_string("AKIDEXAMPLE"),
    ngx_string("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    ngx_null_string
};


typedef struct {
    const char  *service;
    const char  *method;
    const char  *host;
    const char  *type;
    const char  *target;
    const char  *body;
    const char  *token;
    const char  *names;
    const char  *signature;
} vector_t;


/* known answers; recomputed with botocore */
static vector_t  vectors[] = {
    { "service", "GET", "example.amazonaws.com", NULL, NULL, "", NULL,
      "host;x-amz-date",
      "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
    { "service", "POST", "example.amazonaws.com", NULL, NULL, "", NULL,
      "host;x-amz-date",
      "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
    { "sqs", "POST", "sqs.us-east-1.amazonaws.com",
      "application/x-amz-json-1.0", "AmazonSQS.ReceiveMessage",
      "{\"QueueUrl\":\"https://sqs.us-east-1.amazonaws.com/123456789012/q\","
      "\"MaxNumberOfMessages\":10,\"WaitTimeSeconds\":20}", NULL,
      "content-type;host;x-amz-date;x-amz-target",
      "ebedc2684e14271e2772210c60969ef177851dab5c79a1ce5e2ad0dde365fb4d" },
    { "dynamodb", "POST", "dynamodb.us-east-1.amazonaws.com",
      "application/x-amz-json-1.0", "DynamoDB_20120810.GetItem",
      "{\"TableName\":\"t\"}", "TOKEN/+=",
      "content-type;host;x-amz-date;x-amz-security-token;x-amz-target",
      "64928533517bb864869feb78783a3800b7ef8b0ca864945c1f859f735e805555" }
};


static void
header(ngx_comms_request_t *rq, const char *name, const char *text)
{
    ngx_str_t  value;

    if (text != NULL) {
        value = unit_str(text);
        assert_int_equal(ngx_comms_request_header(rq, name, &value), NGX_OK);
    }
}


static void
test_vectors(void **state)
{
    u_char                  text[512];
    ngx_str_t              *value, authorization;
    ngx_uint_t              i;
    vector_t               *v;
    ngx_comms_answer_t      sent;
    ngx_comms_request_t     rq;
    ngx_comms_aws_keys_t    k;
    ngx_comms_aws_scope_t   scope;

    for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        v = &vectors[i];
        k = keys;

        if (v->token != NULL) {
            k.token = unit_str(v->token);
        }

        assert_int_equal(ngx_comms_request_init(&rq, *state), NGX_OK);
        rq.method = unit_str(v->method);
        rq.body = unit_str(v->body);
        header(&rq, "X-Amz-Target", v->target);
        header(&rq, "Host", v->host);
        header(&rq, "Content-Type", v->type);
        header(&rq, "User-Agent", "not signed");
        header(&rq, "Expect", "nor this");

        scope.keys = &k;
        scope.region = unit_str("us-east-1");
        scope.service = unit_str(v->service);
        scope.time = UNIT_TIME;

        assert_int_equal(ngx_comms_aws_sign(&rq, &scope, NULL), NGX_OK);

        sent.headers = rq.headers;
        value = ngx_comms_answer_header(&sent, "authorization");
        assert_non_null(value);

        authorization.data = text;
        authorization.len = ngx_sprintf(text, "AWS4-HMAC-SHA256 Credential="
            "AKIDEXAMPLE/20150830/us-east-1/%s/aws4_request, "
            "SignedHeaders=%s, Signature=%s", v->service, v->names,
            v->signature) - text;

        unit_assert_text(value, (char *) authorization.data,
                         authorization.len, __FILE__, __LINE__);

        value = ngx_comms_answer_header(&sent, "x-amz-date");
        assert_text(*value, "20150830T123600Z");
    }
}


static void
sign_path(ngx_pool_t *pool, const char *path, const char *args,
    const char *start)
{
    ngx_str_t               canonical;
    ngx_comms_request_t     rq;
    ngx_comms_aws_scope_t   scope;

    assert_int_equal(ngx_comms_request_init(&rq, pool), NGX_OK);
    rq.method = unit_str("GET");
    rq.path = unit_str(path);
    rq.args = unit_str(args);
    header(&rq, "Host", "h");

    scope.keys = &keys;
    scope.region = unit_str("r");
    scope.service = unit_str("s");
    scope.time = UNIT_TIME;

    assert_int_equal(ngx_comms_aws_sign(&rq, &scope, &canonical), NGX_OK);
    assert_true(canonical.len > ngx_strlen(start));
    canonical.len = ngx_strlen(start);
    unit_assert_text(&canonical, start, ngx_strlen(start), __FILE__,
                     __LINE__);
}


static void
test_paths_and_args(void **state)
{
    sign_path(*state, "", "", "GET\n/\n\nhost:h\n");
    sign_path(*state, "a/b", "", "GET\n/a/b\n\n");
    sign_path(*state, "a//b/", "", "GET\n/a/b/\n\n");
    sign_path(*state, "a/./../b", "", "GET\n/b\n\n");
    sign_path(*state, "../..", "", "GET\n/\n\n");
    sign_path(*state, "a%20b", "", "GET\n/a%2520b\n\n");
    sign_path(*state, "~a-b_c.d", "", "GET\n/~a-b_c.d\n\n");
    sign_path(*state, "", "b=2&a=1", "GET\n/\na=1&b=2\n");
    sign_path(*state, "", "a&a=1&a=0", "GET\n/\na=&a=0&a=1\n");
    sign_path(*state, "", "a=b=c&", "GET\n/\n=&a=b=c\n");
}


static void
test_headers(void **state)
{
    ngx_str_t               canonical;
    ngx_comms_request_t     rq;
    ngx_comms_aws_scope_t   scope;

    assert_int_equal(ngx_comms_request_init(&rq, *state), NGX_OK);
    rq.method = unit_str("GET");
    header(&rq, "Zebra", "  a \t  b  ");
    header(&rq, "X-Amz-Date-Foo", "1");
    header(&rq, "zebra", "c");
    header(&rq, "Host", "h");
    header(&rq, "Empty", "   ");

    scope.keys = &keys;
    scope.region = unit_str("r");
    scope.service = unit_str("s");
    scope.time = UNIT_TIME;

    assert_int_equal(ngx_comms_aws_sign(&rq, &scope, &canonical), NGX_OK);
    assert_text(canonical, "GET\n/\n\nempty:\nhost:h\n"
                "x-amz-date:20150830T123600Z\nx-amz-date-foo:1\n"
                "zebra:a b,c\n\n"
                "empty;host;x-amz-date;x-amz-date-foo;zebra\n"
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852"
                "b855");
}


static void
test_a_token_that_breaks_out(void **state)
{
    ngx_comms_request_t     rq;
    ngx_comms_aws_keys_t    k;
    ngx_comms_aws_scope_t   scope;

    k = keys;
    k.token = unit_str("a\r\nX-Evil: 1");

    assert_int_equal(ngx_comms_request_init(&rq, *state), NGX_OK);
    rq.method = unit_str("GET");

    scope.keys = &k;
    scope.region = unit_str("r");
    scope.service = unit_str("s");
    scope.time = UNIT_TIME;

    assert_int_equal(ngx_comms_aws_sign(&rq, &scope, NULL), NGX_DECLINED);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_vectors),
        pool_test(test_paths_and_args),
        pool_test(test_headers),
        pool_test(test_a_token_that_breaks_out)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
