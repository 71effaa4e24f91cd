
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Projects and secrets that are fetched, with a client that answers from
 * lists of prepared answers.
 */


#include "nginx_env.h"
#include "base/ngx_comms_crypto.h"
#include "base/ngx_comms_json.h"
#include "project/ngx_comms_project_aws.h"


#define KEY     "k-123"
#define CALLS   32


typedef struct {
    char             operation[64];
    json_t          *in;
    ngx_comms_op_t  *op;
} call_t;


static call_t     calls[CALLS];
static int        ncalls, asked;
static ngx_int_t  answer_rc;
static json_t    *items, *current, *previous, *listed;
static int        done;
static int64_t    now;
static ngx_pool_t  *cycle_pool;


void
ngx_comms_aws_call(ngx_comms_aws_t *aws, ngx_comms_aws_service_e service,
    const char *operation, json_t *in, ngx_msec_t timeout,
    ngx_comms_op_t *op)
{
    call_t  *call;

    assert_true(ncalls < CALLS);

    call = &calls[ncalls++];
    call->in = in;
    call->op = op;
    asked++;

    ngx_cpystrn((u_char *) call->operation, (u_char *) operation, 64);
}


static json_t *
answer_for(call_t *call, ngx_int_t *rc)
{
    char        *text;
    json_t      *value;
    const char  *name, *stage;

    if (*rc != NGX_OK) {
        return json_pack("{s:s}", "code", "ServiceUnavailable");
    }

    if (strcmp(call->operation, "GetItem") == 0) {
        value = json_array_get(items, 0);
        return json_pack("{s:O*}", "Item", value);
    }

    if (strcmp(call->operation, "Query") == 0) {
        return json_pack("{s:O}", "Items", items);
    }

    if (strcmp(call->operation, "ListSecrets") == 0) {
        return json_pack("{s:O}", "SecretList", listed);
    }

    stage = json_string_value(json_object_get(call->in, "VersionStage"));
    name = json_string_value(json_object_get(call->in, "SecretId"));
    assert_memory_equal(name, "comms/", 6);

    value = json_object_get(strcmp(stage, "AWSCURRENT") == 0 ? current
                                                             : previous,
                            name + 6);
    if (value == NULL) {
        *rc = NGX_DECLINED;
        return json_pack("{s:s}", "code", "ResourceNotFoundException");
    }

    if (json_is_string(value)) {
        return json_pack("{s:O}", "SecretString", value);
    }

    text = json_dumps(value, 0);
    value = json_pack("{s:s}", "SecretString", text);
    free(text);

    return value;
}


static void
pump(void)
{
    call_t     call;
    json_t    *answer;
    ngx_int_t  rc;

    for ( ;; ) {
        ngx_event_process_posted((ngx_cycle_t *) ngx_cycle,
                                 &ngx_posted_events);
        if (ncalls == 0) {
            return;
        }

        call = calls[0];
        ncalls--;
        memmove(calls, calls + 1, ncalls * sizeof(call_t));

        rc = answer_rc;
        answer = answer_for(&call, &rc);
        json_decref(call.in);
        ngx_comms_op_finish(call.op, rc, answer);
    }
}


static void
noted(ngx_comms_op_t *op)
{
    done++;
}


static ngx_comms_op_t *
op(void)
{
    return ngx_comms_op_create(noted, NULL, 0);
}


static void
tick(int64_t ms)
{
    now += ms;
    unit_clock_set(now);
}


static char *
digest(void)
{
    u_char       raw[NGX_COMMS_SHA256_LEN];
    ngx_str_t    key;
    static char  hex[2 * NGX_COMMS_SHA256_LEN + 1];

    key = unit_str(KEY);
    (void) ngx_comms_sha256(&key, raw);
    *ngx_hex_dump((u_char *) hex, raw, sizeof(raw)) = '\0';

    return hex;
}


static json_t *
item(void)
{
    char         text[4096];
    json_error_t err;

    snprintf(text, sizeof(text),
        "{\"company_id\":{\"S\":\"ci-1\"},\"project_id\":{\"S\":\"pi-1\"},"
        "\"company_name\":{\"S\":\"Acme\"},\"project_name\":{\"S\":\"P\"},"
        "\"gsi_api_key_sha256\":{\"S\":\"%s\"},"
        "\"api_key_sha256\":{\"L\":[{\"S\":\"%s\"}]},"
        "\"project_status\":{\"S\":\"active\"},"
        "\"allowed_channels\":{\"SS\":[\"sms\"]},"
        "\"rate_limits\":{\"M\":{\"requests_per_minute\":{\"N\":\"60\"}}},"
        "\"ai_config\":{\"M\":{\"provider\":{\"S\":\"openai\"},"
        "\"model\":{\"S\":\"m\"},\"instructions_first\":{\"S\":\"i\"},"
        "\"instructions_reply\":{\"S\":\"i\"},"
        "\"api_key_reference\":{\"S\":\"openai-1\"}}},"
        "\"channel_config\":{\"M\":{\"sms\":{\"M\":{"
        "\"company_sms_number\":{\"S\":\"+447700900000\"},"
        "\"provider\":{\"S\":\"twilio\"},"
        "\"credentials_id\":{\"S\":\"twilio-1\"}}}}}}", digest(), digest());

    return json_loads(text, 0, &err);
}


static int
setup(void **state)
{
    unit_pool_setup(state);

    cycle_pool = ngx_cycle->pool;
    ((ngx_cycle_t *) ngx_cycle)->pool = *state;
    ngx_queue_init(&ngx_posted_events);

    now = 1900000000000LL;
    tick(0);

    ncalls = asked = done = 0;
    answer_rc = NGX_OK;
    items = json_array();
    current = json_object();
    previous = json_object();
    listed = json_array();

    return 0;
}


static int
teardown(void **state)
{
    json_decref(items);
    json_decref(current);
    json_decref(previous);
    json_decref(listed);

    ((ngx_cycle_t *) ngx_cycle)->pool = cycle_pool;

    return unit_pool_teardown(state);
}


static ngx_comms_projects_t *
projects(void **state)
{
    ngx_conf_t                           cf;
    ngx_comms_projects_dynamodb_conf_t   conf;

    ngx_memzero(&cf, sizeof(ngx_conf_t));
    ngx_memzero(&conf, sizeof(conf));
    cf.pool = *state;
    conf.table = unit_str("company-data");

    return ngx_comms_projects_dynamodb(&cf, NULL, &conf);
}


static ngx_comms_secrets_t *
secrets(void **state)
{
    ngx_conf_t                     cf;
    ngx_comms_secrets_aws_conf_t   conf;

    ngx_memzero(&cf, sizeof(ngx_conf_t));
    ngx_memzero(&conf, sizeof(conf));
    cf.pool = *state;
    conf.prefix = unit_str("comms/");

    return ngx_comms_secrets_aws(&cf, NULL, &conf);
}


static void
test_find(void **state)
{
    ngx_str_t              company, project;
    ngx_comms_project_t   *found, *again;
    ngx_comms_projects_t  *ps;

    ps = projects(state);
    company = unit_str("ci-1");
    project = unit_str("pi-1");
    json_array_append_new(items, item());

    /* without an operation nothing is fetched */

    assert_int_equal(ps->find(ps, &company, &project, &found, NULL),
                     NGX_AGAIN);
    assert_int_equal(asked, 0);

    /* two that ask at once cost one question */

    assert_int_equal(ps->find(ps, &company, &project, &found, op()),
                     NGX_AGAIN);
    assert_int_equal(ps->find(ps, &company, &project, &found, op()),
                     NGX_AGAIN);
    assert_int_equal(done, 0);
    pump();
    assert_int_equal(asked, 1);
    assert_int_equal(done, 2);

    assert_int_equal(ps->find(ps, &company, &project, &found, NULL), NGX_OK);
    assert_text(found->company_id, "ci-1");
    assert_int_equal(found->active, 1);
    assert_int_equal(found->channels, 1 << NGX_COMMS_SMS);
    assert_int_equal(found->requests_per_minute, 60);
    assert_int_equal(found->keys.nelts, 1);
    assert_null(json_object_get(found->config, "gsi_api_key_sha256"));

    /* refreshed behind the caller's back; the same as long as it is */

    tick(59500);
    assert_int_equal(ps->find(ps, &company, &project, &again, NULL), NGX_OK);
    pump();
    assert_int_equal(asked, 2);
    tick(10000);
    assert_int_equal(ps->find(ps, &company, &project, &again, NULL), NGX_OK);
    assert_ptr_equal(found, again);

    /* the service is away: what is known stays good, for an hour */

    answer_rc = NGX_BUSY;
    tick(3000000);
    assert_int_equal(ps->find(ps, &company, &project, &again, op()),
                     NGX_AGAIN);
    pump();
    assert_int_equal(ps->find(ps, &company, &project, &again, NULL), NGX_OK);
    tick(1000000);
    assert_int_equal(ps->find(ps, &company, &project, &again, op()),
                     NGX_AGAIN);
    pump();
    assert_int_equal(ps->find(ps, &company, &project, &again, NULL),
                     NGX_ERROR);

    /* and comes back changed */

    answer_rc = NGX_OK;
    tick(3000);
    json_object_set_new(json_array_get(items, 0), "project_status",
                        json_pack("{s:s}", "S", "inactive"));
    assert_int_equal(ps->find(ps, &company, &project, &again, op()),
                     NGX_AGAIN);
    pump();
    assert_int_equal(ps->find(ps, &company, &project, &again, NULL), NGX_OK);
    assert_ptr_not_equal(found, again);
    assert_int_equal(again->active, 0);
    assert_int_equal(found->active, 1);
}


static void
test_find_unknown_and_wrong(void **state)
{
    ngx_str_t              company, project;
    ngx_comms_project_t   *found;
    ngx_comms_projects_t  *ps;

    ps = projects(state);
    company = unit_str("ci-1");
    project = unit_str("pi-1");

    assert_int_equal(ps->find(ps, &company, &project, &found, op()),
                     NGX_AGAIN);
    pump();
    assert_int_equal(ps->find(ps, &company, &project, &found, NULL),
                     NGX_DECLINED);

    /* a mistake is an error, and not an unknown project */

    tick(11000);
    json_array_append_new(items, item());
    json_object_set_new(json_array_get(items, 0), "project_statos",
                        json_pack("{s:s}", "S", "active"));
    assert_int_equal(ps->find(ps, &company, &project, &found, op()),
                     NGX_AGAIN);
    pump();
    assert_int_equal(ps->find(ps, &company, &project, &found, NULL),
                     NGX_ERROR);

    company = unit_str("ci#1");
    assert_int_equal(ps->find(ps, &company, &project, &found, NULL),
                     NGX_DECLINED);
}


static void
test_keys(void **state)
{
    ngx_str_t              company, other, key, *names;
    ngx_array_t           *list;
    ngx_comms_projects_t  *ps;

    ps = projects(state);
    company = unit_str("ci-1");
    other = unit_str("ci-2");
    key = unit_str(KEY);
    json_array_append_new(items, item());
    json_array_append_new(items, item());

    assert_int_equal(ps->opens(ps, &company, &key, NULL), NGX_AGAIN);
    assert_int_equal(ps->opens(ps, &company, &key, op()), NGX_AGAIN);
    pump();
    assert_int_equal(ps->opens(ps, &company, &key, NULL), NGX_OK);
    assert_int_equal(ps->opens(ps, &other, &key, NULL), NGX_DECLINED);

    assert_int_equal(ps->companies(ps, &key, *state, &list, NULL), NGX_OK);
    assert_int_equal(list->nelts, 1);
    names = list->elts;
    assert_text(names[0], "ci-1");
    assert_int_equal(asked, 1);

    /* an item whose list has not got the key opens nothing */

    tick(70000);
    json_array_clear(items);
    json_array_append_new(items, item());
    json_object_set_new(json_array_get(items, 0), "api_key_sha256",
                        json_pack("{s:[]}", "L"));
    assert_int_equal(ps->opens(ps, &company, &key, op()), NGX_AGAIN);
    pump();
    assert_int_equal(ps->opens(ps, &company, &key, NULL), NGX_DECLINED);
    assert_int_equal(ps->companies(ps, &key, *state, &list, NULL), NGX_OK);
    assert_int_equal(list->nelts, 0);
}


static void
test_unknown_keys_are_bounded(void **state)
{
    int                    i;
    char                   text[32];
    ngx_str_t              company, key;
    ngx_comms_projects_t  *ps;

    ps = projects(state);
    company = unit_str("ci-1");

    for (i = 0; i < 10050; i++) {
        snprintf(text, sizeof(text), "key-%d", i);
        key = unit_str(text);
        assert_int_equal(ps->opens(ps, &company, &key, op()), NGX_AGAIN);
        pump();
    }

    assert_int_equal(ps->opens(ps, &company, &key, NULL), NGX_DECLINED);

    key = unit_str("key-0");
    assert_int_equal(ps->opens(ps, &company, &key, NULL), NGX_AGAIN);
}


static json_t *
twilio(const char *token)
{
    return json_pack("{s:s, s:s, s:s}", "provider", "twilio", "account_sid",
                     "AC00000000000000000000000000000000", "auth_token",
                     token);
}


static void
test_secret(void **state)
{
    json_t               *credentials, *list;
    ngx_str_t             id;
    ngx_comms_secrets_t  *ss;

    ss = secrets(state);
    id = unit_str("twilio-1");

    json_object_set_new(current, "twilio-1", twilio("new-token"));
    json_object_set_new(previous, "twilio-1", twilio("old-token"));

    assert_int_equal(ss->get(ss, &id, &credentials, NULL), NGX_AGAIN);
    assert_int_equal(asked, 0);
    assert_int_equal(ss->get(ss, &id, &credentials, op()), NGX_AGAIN);
    pump();
    assert_int_equal(asked, 2);
    assert_int_equal(ss->get(ss, &id, &credentials, NULL), NGX_OK);

    assert_string_equal(json_string_value(json_object_get(credentials,
                                                          "auth_token")),
                        "new-token");
    list = json_object_get(credentials, "previous_auth_tokens");
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(json_string_value(json_array_get(list, 0)),
                        "old-token");

    id = unit_str("nobody");
    assert_int_equal(ss->get(ss, &id, &credentials, op()), NGX_AGAIN);
    pump();
    assert_int_equal(ss->get(ss, &id, &credentials, NULL), NGX_DECLINED);

    /* broken ones are an error */

    json_object_set_new(current, "broken", json_string("not JSON"));
    id = unit_str("broken");
    assert_int_equal(ss->get(ss, &id, &credentials, op()), NGX_AGAIN);
    pump();
    assert_int_equal(ss->get(ss, &id, &credentials, NULL), NGX_ERROR);

    id = unit_str("../x");
    assert_int_equal(ss->get(ss, &id, &credentials, NULL), NGX_DECLINED);
}


static void
test_secrets_of_provider(void **state)
{
    int                       rounds;
    ngx_int_t                 rc;
    ngx_str_t                 provider;
    ngx_array_t              *list;
    ngx_comms_secrets_t      *ss;
    ngx_comms_credentials_t  *one;

    ss = secrets(state);
    provider = unit_str("twilio");

    json_object_set_new(current, "twilio-1", twilio("a"));
    json_object_set_new(current, "twilio-2", twilio("b"));
    json_object_set_new(current, "broken", json_string("not JSON"));
    json_object_set_new(current, "openai-1",
                        json_pack("{s:s, s:s}", "provider", "openai",
                                  "api_key", "sk-1"));

    json_array_append_new(listed, json_pack("{s:s}", "Name", "other/x"));
    json_array_append_new(listed, json_pack("{s:s}", "Name", "comms/broken"));
    json_array_append_new(listed, json_pack("{s:s}", "Name",
                                            "comms/twilio-1"));
    json_array_append_new(listed, json_pack("{s:s}", "Name",
                                            "comms/openai-1"));
    json_array_append_new(listed, json_pack("{s:s}", "Name",
                                            "comms/twilio-2"));

    for (rounds = 0; rounds < 10; rounds++) {
        rc = ss->of_provider(ss, &provider, *state, &list, NULL);

        if (rc != NGX_AGAIN) {
            break;
        }

        assert_int_equal(ss->of_provider(ss, &provider, *state, &list, op()),
                         NGX_AGAIN);
        pump();
    }

    assert_int_equal(rc, NGX_OK);
    assert_true(rounds <= 2);
    assert_int_equal(list->nelts, 2);

    one = list->elts;
    assert_text(one[0].id, "twilio-1");
    assert_text(one[1].id, "twilio-2");
}


#define aws_test(name)                                                        \
    cmocka_unit_test_setup_teardown(name, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        aws_test(test_find),
        aws_test(test_find_unknown_and_wrong),
        aws_test(test_keys),
        aws_test(test_unknown_keys_are_bounded),
        aws_test(test_secret),
        aws_test(test_secrets_of_provider),
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
