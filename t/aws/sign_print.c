
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * For sign_botocore.py: reads requests, a JSON list, from standard input and
 * prints a JSON list with the canonical request and the Authorization header
 * of each.
 */


#include "nginx_env.h"
#include <jansson.h>
#include "base/ngx_comms_json.h"
#include "aws/ngx_comms_aws_sign.h"


static ngx_str_t
member(json_t *object, const char *name)
{
    return ngx_comms_json_view(json_object_get(object, name));
}


static json_t *
sign(ngx_pool_t *pool, json_t *in)
{
    char                    name[128];
    size_t                  i;
    json_t                 *pair, *out;
    ngx_str_t               canonical, value, key, *authorization;
    ngx_comms_answer_t      sent;
    ngx_comms_request_t     rq;
    ngx_comms_aws_keys_t    keys;
    ngx_comms_aws_scope_t   scope;

    if (ngx_comms_request_init(&rq, pool) != NGX_OK) {
        return NULL;
    }

    rq.method = member(in, "method");
    rq.path = member(in, "path");
    rq.args = member(in, "args");
    rq.body = member(in, "body");

    json_array_foreach(json_object_get(in, "headers"), i, pair) {
        key = ngx_comms_json_view(json_array_get(pair, 0));
        value = ngx_comms_json_view(json_array_get(pair, 1));

        (void) ngx_cpystrn((u_char *) name, key.data,
                           ngx_min(key.len + 1, sizeof(name)));

        if (ngx_comms_request_header(&rq, name, &value) != NGX_OK) {
            return json_null();
        }
    }

    keys.access_key = member(in, "access_key");
    keys.secret_key = member(in, "secret_key");
    keys.token = member(in, "token");

    scope.keys = &keys;
    scope.region = member(in, "region");
    scope.service = member(in, "service");
    scope.time = (time_t) json_integer_value(json_object_get(in, "time"));

    if (ngx_comms_aws_sign(&rq, &scope, &canonical) != NGX_OK) {
        return json_null();
    }

    sent.headers = rq.headers;
    authorization = ngx_comms_answer_header(&sent, "authorization");

    out = json_object();
    (void) ngx_comms_json_set_str(out, "canonical", &canonical);
    (void) ngx_comms_json_set_str(out, "authorization", authorization);

    return out;
}


int
main(void)
{
    size_t       i;
    json_t      *in, *out, *request;
    ngx_pool_t  *pool;

    if (unit_setup(NULL) != 0) {
        return 2;
    }

    pool = ngx_create_pool(4096, ngx_cycle->log);
    in = json_loadf(stdin, 0, NULL);
    out = json_array();

    if (pool == NULL || !json_is_array(in) || out == NULL) {
        return 2;
    }

    json_array_foreach(in, i, request) {
        (void) json_array_append_new(out, sign(pool, request));
    }

    (void) json_dumpf(out, stdout, JSON_COMPACT);

    json_decref(in);
    json_decref(out);
    ngx_destroy_pool(pool);

    return 0;
}
