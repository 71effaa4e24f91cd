
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Two machines and one lock.  The service is one item in memory, which knows
 * the few expressions that the lock uses.
 */


#include "nginx_env.h"
#include "aws/ngx_comms_aws.h"
#include "guard/ngx_comms_zone.h"
#include "store/ngx_comms_store_dynamodb_lock.h"
#include "store/ngx_comms_store_dynamodb_task.h"


#define TERM  3000


typedef struct {
    ngx_comms_dynamodb_t              db;
    ngx_comms_store_dynamodb_conf_t   conf;
    ngx_comms_store_t                 store;
} machine_t;


static machine_t    one, two;
static json_t      *item, *values;
static ngx_int_t    result;
static ngx_uint_t   overtaken;
static char         token[65];


void
ngx_comms_count(ngx_comms_zone_t *zone, ngx_comms_count_e what, ngx_uint_t n)
{
    overtaken += (what == NGX_COMMS_COUNT_LEASE_TAKEN_OVER);
}


static ngx_uint_t
is(const char *attribute, const char *value)
{
    return item != NULL
           && json_equal(json_object_get(item, attribute),
                         json_object_get(values, value));
}


static ngx_uint_t
holds(const char *c)
{
    ngx_uint_t  ours;

    ours = is("lock_token", ":token");

    if (c == NULL) {
        return 1;
    }

    if (strncmp(c, "attribute_not_exists(#pk) OR ", 29) == 0) {
        return item == NULL || ours;
    }

    if (strncmp(c, "#lease_version = :seen OR ", 26) == 0) {
        return is("lease_version", ":seen") || ours;
    }

    if (strcmp(c, "#lock_token = :held") == 0) {
        return is("lock_token", ":held");
    }

    if (strstr(c, " AND attribute_not_exists(#wanted)") != NULL) {
        return ours && json_object_get(item, "wanted") == NULL;
    }

    assert_string_equal(c, "#lock_token = :token");

    return ours;
}


static void
set(const char *attribute, const char *value)
{
    if (json_object_get(values, value) != NULL) {
        json_object_set(item, attribute, json_object_get(values, value));
    }
}


static void
update(const char *u)
{
    if (item == NULL) {
        item = json_object();
    }

    if (strstr(u, "SET") != NULL) {
        set("lock_token", strstr(u, "#lock_token") ? ":token" : "");
        set("lease_version", ":version");
        set("lease_term", ":term");
        set("wanted", ":wanted");
    }

    if (strstr(u, "REMOVE #wanted") != NULL) {
        json_object_del(item, "wanted");
    }
}


void
ngx_comms_aws_call(ngx_comms_aws_t *aws, ngx_comms_aws_service_e service,
    const char *operation, json_t *in, ngx_msec_t timeout, ngx_comms_op_t *op)
{
    json_t      *answer;
    ngx_int_t    rc;
    const char  *condition;

    rc = NGX_OK;
    answer = json_object();
    values = json_object_get(in, "ExpressionAttributeValues");
    condition = json_string_value(json_object_get(in, "ConditionExpression"));

    if (!holds(condition)) {
        rc = NGX_DECLINED;
        json_object_set_new(answer, "code",
                            json_string("ConditionalCheckFailedException"));

    } else if (strcmp(operation, "UpdateItem") == 0) {
        update(json_string_value(json_object_get(in, "UpdateExpression")));

    } else if (strcmp(operation, "DeleteItem") == 0) {
        json_decref(item);
        item = NULL;

    } else if (item != NULL) {
        json_object_set_new(answer, "Item", json_deep_copy(item));
    }

    json_decref(in);
    ngx_comms_op_finish(op, rc, answer);
}


static void
finished(ngx_comms_op_t *op)
{
    const char  *text;

    result = op->rc;
    text = json_string_value(json_object_get(op->answer, "token"));

    if (text != NULL) {
        (void) ngx_cpystrn((u_char *) token, (u_char *) text, sizeof(token));
    }
}


static ngx_int_t
ask(machine_t *m, ngx_comms_store_op_pt op, json_t *in)
{
    result = NGX_ABORT;

    op(&m->store, in, ngx_comms_op_create(finished, NULL, 0));
    ngx_event_process_posted((ngx_cycle_t *) ngx_cycle, &ngx_posted_events);

    return result;
}


static ngx_int_t
lock(machine_t *m, const char *t)
{
    return ask(m, m->store.lock, json_pack("{s:s, s:s?, s:i}", "thread_id",
                                           "th_1", "token", t, "term", TERM));
}


static ngx_int_t
renew(machine_t *m, const char *t)
{
    return ask(m, m->store.renew, json_pack("{s:s, s:s, s:i}", "thread_id",
                                            "th_1", "token", t,
                                            "term", TERM));
}


static ngx_int_t
unlock(machine_t *m, const char *t, int force)
{
    return ask(m, m->store.unlock, json_pack("{s:s, s:s, s:b}", "thread_id",
                                             "th_1", "token", t,
                                             "force", force));
}


static void
machine(ngx_pool_t *pool, machine_t *m)
{
    ngx_str_t   name;
    ngx_conf_t  cf;

    ngx_memzero(m, sizeof(machine_t));
    ngx_memzero(&cf, sizeof(ngx_conf_t));

    cf.pool = pool;
    name = unit_str("locks");
    m->db.conf = &m->conf;
    m->store.data = &m->db;

    assert_int_equal(ngx_comms_store_dynamodb_lock(&cf, &m->store, &name),
                     NGX_OK);
}


static void
begin(ngx_pool_t *pool)
{
    ngx_queue_init(&ngx_posted_events);

    json_decref(item);
    item = NULL;
    overtaken = 0;
    ngx_current_msec = 100000;

    machine(pool, &one);
    machine(pool, &two);
}


static void
test_one_at_a_time(void **state)
{
    begin(*state);

    assert_int_equal(lock(&one, "A"), NGX_OK);
    assert_int_equal(lock(&one, "A"), NGX_OK);
    assert_int_equal(lock(&two, "B"), NGX_BUSY);
    assert_int_equal(unlock(&two, "B", 1), NGX_DECLINED);
    assert_int_equal(unlock(&one, "A", 0), NGX_AGAIN);
    assert_int_equal(unlock(&one, "A", 0), NGX_OK);
    assert_int_equal(unlock(&one, "A", 0), NGX_DECLINED);
    assert_int_equal(lock(&two, "B"), NGX_OK);
}


static void
test_a_failed_turn_lets_go_though_it_is_wanted(void **state)
{
    begin(*state);

    assert_int_equal(lock(&one, NULL), NGX_OK);
    assert_int_equal(strlen(token), 32);
    assert_int_equal(lock(&two, "B"), NGX_BUSY);
    assert_int_equal(unlock(&one, token, 1), NGX_OK);
    assert_int_equal(lock(&two, "B"), NGX_OK);
}


static void
test_a_lock_that_is_renewed_is_never_taken_over(void **state)
{
    ngx_uint_t  n;

    begin(*state);

    assert_int_equal(lock(&one, "A"), NGX_OK);

    for (n = 0; n < 20; n++) {
        assert_int_equal(lock(&two, "B"), NGX_BUSY);
        ngx_current_msec += TERM - 1;
        assert_int_equal(renew(&one, "A"), NGX_OK);
    }

    assert_int_equal(overtaken, 0);
}


static void
test_a_dead_holder_is_followed_after_a_term(void **state)
{
    begin(*state);

    assert_int_equal(lock(&one, "A"), NGX_OK);

    /* its term is over, but nobody has watched it for a term yet */

    ngx_current_msec += 10 * TERM;
    assert_int_equal(lock(&two, "B"), NGX_BUSY);
    ngx_current_msec += TERM - 1;
    assert_int_equal(lock(&two, "B"), NGX_BUSY);
    ngx_current_msec += 1;
    assert_int_equal(lock(&two, "B"), NGX_OK);
    assert_int_equal(overtaken, 1);

    /* and when it wakes up it can neither renew nor release */

    assert_int_equal(renew(&one, "A"), NGX_DECLINED);
    assert_int_equal(unlock(&one, "A", 0), NGX_DECLINED);
    assert_int_equal(unlock(&one, "A", 1), NGX_DECLINED);
    assert_int_equal(renew(&two, "B"), NGX_OK);
    assert_int_equal(unlock(&two, "B", 0), NGX_OK);
}


static void
test_what_is_malformed_is_refused(void **state)
{
    begin(*state);

    assert_int_equal(lock(&one, "12345678901234567890123456789012345678901234"
                                "567890123456789012345"), NGX_ERROR);
    assert_int_equal(ask(&one, one.store.lock,
                         json_pack("{s:s, s:i}", "thread_id", "th_1",
                                   "term", 0)), NGX_ERROR);
    assert_int_equal(ask(&one, one.store.renew,
                         json_pack("{s:s, s:i}", "thread_id", "th_1",
                                   "term", TERM)), NGX_ERROR);
    assert_null(item);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_one_at_a_time),
        pool_test(test_a_failed_turn_lets_go_though_it_is_wanted),
        pool_test(test_a_lock_that_is_renewed_is_never_taken_over),
        pool_test(test_a_dead_holder_is_followed_after_a_term),
        pool_test(test_what_is_malformed_is_refused),
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
