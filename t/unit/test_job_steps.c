
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The driver of flows.  Each test has a small table of its own; what the rows
 * did is written down in "trace", a letter for each call.
 */


#include "nginx_env.h"

#include <job/ngx_comms_steps.h>


static char               trace[64];
static ngx_uint_t         finished;
static ngx_uint_t         tries;
static int64_t            now;
static ngx_int_t          seen_rc;
static json_int_t         seen_answer;
static ngx_comms_op_t    *op;

/* what the flow was when it had finished, for then it is gone */
static ngx_comms_flow_verdict_e  verdict;
static char               reason[128];
static ngx_msec_t         retry_after;


static void
mark(const char *letter)
{
    assert_true(strlen(trace) + 1 < sizeof(trace));
    strncat(trace, letter, 1);
}


static void
on_finished(ngx_comms_flow_t *f)
{
    finished++;
    verdict = f->verdict;
    retry_after = f->retry_after;

    assert_true(f->reason.len < sizeof(reason));
    memcpy(reason, f->reason.data ? (char *) f->reason.data : "",
           f->reason.len);
    reason[f->reason.len] = '\0';
}


static ngx_comms_flow_t *
flow(const ngx_comms_step_t *steps)
{
    json_t            *body;
    ngx_comms_flow_t  *f;

    trace[0] = '\0';
    finished = 0;
    tries = 0;
    seen_rc = 1;
    seen_answer = -1;
    op = NULL;

    now = 1000000;
    unit_clock_set(now);

    body = json_object();
    f = ngx_comms_flow_create(NULL, steps, body, ngx_cycle->log);
    json_decref(body);

    assert_non_null(f);

    /* what the tests provoke is not for the screen */
    f->log->log_level = 0;

    f->finished = on_finished;

    return f;
}


/* one turn of the event loop, "ms" later */

static void
turn(int64_t ms)
{
    now += ms;
    unit_clock_set(now);

    ngx_event_expire_timers();
    ngx_event_process_posted((ngx_cycle_t *) ngx_cycle, &ngx_posted_events);
}


static ngx_int_t
row_a(ngx_comms_flow_t *f)
{
    mark("a");
    return NGX_OK;
}


static ngx_int_t
row_b(ngx_comms_flow_t *f)
{
    mark("b");
    return NGX_OK;
}


static ngx_int_t
row_over(ngx_comms_flow_t *f)
{
    mark("o");
    return NGX_DONE;
}


static ngx_int_t
row_error(ngx_comms_flow_t *f)
{
    mark("e");
    return NGX_ERROR;
}


static ngx_int_t
row_dead(ngx_comms_flow_t *f)
{
    ngx_str_t  code;

    mark("d");
    code = unit_str("63016\n[alert] forged");

    return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_DEAD, "send refused", &code);
}


static ngx_int_t
row_fail_again(ngx_comms_flow_t *f)
{
    mark("f");
    return ngx_comms_flow_fail(f, NGX_COMMS_FLOW_PARK, "later", NULL);
}


static ngx_int_t
row_cleanup(ngx_comms_flow_t *f)
{
    mark("c");
    return NGX_OK;
}


static ngx_int_t
row_wait(ngx_comms_flow_t *f)
{
    mark("w");

    op = ngx_comms_flow_op(f, 500);
    assert_non_null(op);

    return NGX_AGAIN;
}


static ngx_int_t
row_waited(ngx_comms_flow_t *f)
{
    mark("W");

    seen_rc = f->op_rc;
    seen_answer = json_integer_value(json_object_get(f->answer, "n"));

    return NGX_OK;
}


static ngx_int_t
row_waited_twice(ngx_comms_flow_t *f)
{
    mark("W");
    return (++tries < 2) ? NGX_BUSY : NGX_OK;
}


static ngx_int_t
row_unused(ngx_comms_flow_t *f)
{
    ngx_comms_op_t  *unused;

    mark("u");

    unused = ngx_comms_flow_op(f, 500);
    assert_non_null(unused);
    ngx_comms_flow_unused(f, unused);

    return NGX_OK;
}


static ngx_int_t
row_pause(ngx_comms_flow_t *f)
{
    mark("p");
    return ngx_comms_flow_pause(f, 250);
}


static ngx_int_t
row_loop(ngx_comms_flow_t *f)
{
    mark("l");
    return (++tries < 3) ? ngx_comms_flow_goto(f, row_a) : NGX_OK;
}


static ngx_int_t
row_lost_way(ngx_comms_flow_t *f)
{
    return ngx_comms_flow_goto(f, row_dead);
}


static ngx_int_t
row_waits_for_nothing(ngx_comms_flow_t *f)
{
    mark("n");
    return NGX_AGAIN;
}


static void
test_rows_in_order(void **state)
{
    ngx_comms_flow_t  *f;

    static const ngx_comms_step_t  steps[] = {
        { "a", row_a, NULL, 0 },
        { "unused", row_unused, NULL, 0 },
        { "b", row_b, NULL, 0 },
        { "cleanup", row_cleanup, NULL, 1 },
        { NULL, NULL, NULL, 0 }
    };

    f = flow(steps);
    ngx_comms_flow_run(f, NULL);

    /* nothing runs from inside of run() */
    assert_string_equal(trace, "");

    turn(0);

    assert_string_equal(trace, "aubc");
    assert_int_equal(finished, 1);
    assert_int_equal(verdict, NGX_COMMS_FLOW_DONE);
    assert_string_equal(reason, "");
}


static void
test_operation(void **state)
{
    ngx_comms_flow_t  *f;

    static const ngx_comms_step_t  steps[] = {
        { "wait", row_wait, row_waited, 0 },
        { "b", row_b, NULL, 0 },
        { NULL, NULL, NULL, 0 }
    };

    f = flow(steps);
    ngx_comms_flow_run(f, NULL);
    turn(0);
    turn(499);

    assert_string_equal(trace, "w");

    ngx_comms_op_finish(op, NGX_DECLINED, json_pack("{s:i}", "n", 42));

    /* the end of an operation only posts */
    assert_string_equal(trace, "w");

    turn(100);

    assert_string_equal(trace, "wWb");
    assert_int_equal(seen_rc, NGX_DECLINED);
    assert_int_equal(seen_answer, 42);
    assert_int_equal(finished, 1);
}


static void
test_late_answer(void **state)
{
    ngx_comms_op_t    *late;
    ngx_comms_flow_t  *f;

    static const ngx_comms_step_t  steps[] = {
        { "wait", row_wait, row_waited, 0 },
        { "pause", row_pause, NULL, 0 },
        { "b", row_b, NULL, 0 },
        { NULL, NULL, NULL, 0 }
    };

    f = flow(steps);
    ngx_comms_flow_run(f, NULL);
    turn(0);
    late = op;
    turn(500);

    assert_string_equal(trace, "wWp");
    assert_int_equal(seen_rc, NGX_COMMS_LATE);

    /* comes while the flow waits for something else */
    ngx_comms_op_finish(late, NGX_OK, json_pack("{s:i}", "n", 7));
    turn(0);

    assert_string_equal(trace, "wWp");

    turn(250);

    assert_string_equal(trace, "wWpb");
    assert_int_equal(finished, 1);
}


static void
test_answer_after_the_end(void **state)
{
    ngx_comms_flow_t  *f;

    static const ngx_comms_step_t  steps[] = {
        { "wait", row_wait, row_waited, 0 },
        { NULL, NULL, NULL, 0 }
    };

    f = flow(steps);
    ngx_comms_flow_run(f, NULL);
    turn(0);
    turn(500);

    assert_int_equal(finished, 1);

    /* the flow is still in memory, for the operation; a sanitizer tells */
    ngx_comms_op_finish(op, NGX_OK, json_object());
    turn(0);

    assert_string_equal(trace, "wW");
    assert_int_equal(finished, 1);
}


static void
test_same_row_again(void **state)
{
    ngx_comms_flow_t  *f;

    static const ngx_comms_step_t  steps[] = {
        { "wait", row_wait, row_waited_twice, 0 },
        { NULL, NULL, NULL, 0 }
    };

    f = flow(steps);
    ngx_comms_flow_run(f, NULL);
    turn(0);
    ngx_comms_op_finish(op, NGX_OK, NULL);
    turn(0);

    assert_string_equal(trace, "wWw");

    ngx_comms_op_finish(op, NGX_OK, NULL);
    turn(0);

    assert_string_equal(trace, "wWwW");
    assert_int_equal(finished, 1);
}


static void
test_goto(void **state)
{
    ngx_comms_flow_t  *f;

    static const ngx_comms_step_t  steps[] = {
        { "b", row_b, NULL, 0 },
        { "a", row_a, NULL, 0 },
        { "loop", row_loop, NULL, 0 },
        { NULL, NULL, NULL, 0 }
    };

    f = flow(steps);
    ngx_comms_flow_run(f, NULL);
    turn(0);

    assert_string_equal(trace, "balalal");
    assert_int_equal(finished, 1);
}


static void
test_goto_unknown(void **state)
{
    ngx_comms_flow_t  *f;

    static const ngx_comms_step_t  steps[] = {
        { "lost", row_lost_way, NULL, 0 },
        { "b", row_b, NULL, 0 },
        { NULL, NULL, NULL, 0 }
    };

    f = flow(steps);
    ngx_comms_flow_run(f, NULL);
    turn(0);

    assert_string_equal(trace, "");
    assert_int_equal(verdict, NGX_COMMS_FLOW_RETRY);
}


static void
test_failure(void **state)
{
    ngx_comms_flow_t  *f;

    static const ngx_comms_step_t  steps[] = {
        { "a", row_a, NULL, 0 },
        { "dead", row_dead, NULL, 0 },
        { "b", row_b, NULL, 0 },
        { "fail again", row_fail_again, NULL, 1 },
        { "cleanup", row_cleanup, NULL, 1 },
        { NULL, NULL, NULL, 0 }
    };

    f = flow(steps);
    ngx_comms_flow_run(f, NULL);
    turn(0);

    assert_string_equal(trace, "adfc");
    assert_int_equal(verdict, NGX_COMMS_FLOW_DEAD);
    assert_string_equal(reason, "send refused: 63016??alert??forged");
    assert_int_equal(finished, 1);
}


static void
test_error_without_verdict(void **state)
{
    ngx_comms_flow_t  *f;

    static const ngx_comms_step_t  steps[] = {
        { "error", row_error, NULL, 0 },
        { "b", row_b, NULL, 0 },
        { NULL, NULL, NULL, 0 }
    };

    f = flow(steps);
    ngx_comms_flow_run(f, NULL);
    turn(0);

    assert_string_equal(trace, "e");
    assert_int_equal(verdict, NGX_COMMS_FLOW_RETRY);
    assert_string_equal(reason, "internal error");
}


static void
test_over_early(void **state)
{
    ngx_comms_flow_t  *f;

    static const ngx_comms_step_t  steps[] = {
        { "over", row_over, NULL, 0 },
        { "b", row_b, NULL, 0 },
        { "cleanup", row_cleanup, NULL, 1 },
        { NULL, NULL, NULL, 0 }
    };

    f = flow(steps);
    ngx_comms_flow_run(f, NULL);
    turn(0);

    assert_string_equal(trace, "oc");
    assert_int_equal(verdict, NGX_COMMS_FLOW_DONE);
}


static void
test_wait_without_done(void **state)
{
    ngx_comms_flow_t  *f;

    static const ngx_comms_step_t  steps[] = {
        { "wait", row_wait, NULL, 0 },
        { "b", row_b, NULL, 0 },
        { NULL, NULL, NULL, 0 }
    };

    f = flow(steps);
    ngx_comms_flow_run(f, NULL);
    turn(0);
    ngx_comms_op_finish(op, NGX_ERROR, NULL);
    turn(0);

    assert_string_equal(trace, "w");
    assert_int_equal(verdict, NGX_COMMS_FLOW_RETRY);
}


static void
test_wait_for_nothing(void **state)
{
    ngx_comms_flow_t  *f;

    static const ngx_comms_step_t  steps[] = {
        { "nothing", row_waits_for_nothing, NULL, 0 },
        { "cleanup", row_cleanup, NULL, 1 },
        { NULL, NULL, NULL, 0 }
    };

    f = flow(steps);
    ngx_comms_flow_run(f, NULL);
    turn(0);

    assert_string_equal(trace, "nc");
    assert_int_equal(verdict, NGX_COMMS_FLOW_RETRY);
    assert_int_equal(finished, 1);
}


static void
test_abandoned(void **state)
{
    ngx_comms_flow_t  *f;

    static const ngx_comms_step_t  steps[] = {
        { "a", row_a, NULL, 0 },
        { "cleanup", row_cleanup, NULL, 1 },
        { NULL, NULL, NULL, 0 }
    };

    f = flow(steps);
    ngx_comms_flow_abandon(f, 30000, "was not run");

    assert_int_equal(finished, 0);

    turn(0);

    assert_string_equal(trace, "");
    assert_int_equal(finished, 1);
    assert_int_equal(verdict, NGX_COMMS_FLOW_DEFER);
    assert_int_equal(retry_after, 30000);
    assert_string_equal(reason, "was not run");
}


static void
test_discarded(void **state)
{
    json_t            *body;
    ngx_comms_flow_t  *f;

    static const ngx_comms_step_t  steps[] = {
        { NULL, NULL, NULL, 0 }
    };

    f = flow(steps);
    body = json_incref(f->body);
    ngx_comms_flow_discard(f);

    assert_int_equal(finished, 0);
    assert_int_equal(body->refcount, 1);

    json_decref(body);
}


static void
test_log_fields(void **state)
{
    u_char             buf[256], *p;
    ngx_comms_flow_t  *f;

    static const ngx_comms_step_t  steps[] = {
        { NULL, NULL, NULL, 0 }
    };

    f = flow(steps);
    f->queue = unit_str("sms");
    f->thread_id = unit_str("th_1");
    f->provider = unit_str("twilio");

    f->log->action = "sending";
    p = f->log->handler(f->log, buf, sizeof(buf));
    *p = '\0';

    assert_string_equal((char *) buf, " while sending, job: sms, "
                        "thread: th_1, provider: twilio");

    /* a short buffer is not overrun */
    p = f->log->handler(f->log, buf, 10);
    assert_true(p - buf <= 10);

    ngx_comms_flow_discard(f);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_rows_in_order),
        cmocka_unit_test(test_operation),
        cmocka_unit_test(test_late_answer),
        cmocka_unit_test(test_answer_after_the_end),
        cmocka_unit_test(test_same_row_again),
        cmocka_unit_test(test_goto),
        cmocka_unit_test(test_goto_unknown),
        cmocka_unit_test(test_failure),
        cmocka_unit_test(test_error_without_verdict),
        cmocka_unit_test(test_over_early),
        cmocka_unit_test(test_wait_without_done),
        cmocka_unit_test(test_wait_for_nothing),
        cmocka_unit_test(test_abandoned),
        cmocka_unit_test(test_discarded),
        cmocka_unit_test(test_log_fields),
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
