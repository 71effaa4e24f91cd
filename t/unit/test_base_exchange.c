
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "base/ngx_comms_exchange.h"
#include "base/ngx_comms_op.h"


typedef struct {
    ngx_uint_t   called;
    ngx_int_t    rc;
    json_t      *kept;
} unit_owner_t;


static void
test_request_headers(void **state)
{
    ngx_str_t             value;
    ngx_keyval_t         *header;
    ngx_comms_request_t   rq;

    assert_int_equal(ngx_comms_request_init(&rq, *state), NGX_OK);
    assert_int_equal(rq.headers.nelts, 0);
    assert_int_equal(rq.body.len, 0);

    value = unit_str("Bearer a\tb \xc3\xa9");
    assert_int_equal(ngx_comms_request_header(&rq, "Authorization", &value),
                     NGX_OK);
    ngx_str_null(&value);
    assert_int_equal(ngx_comms_request_header(&rq, "X-Empty", &value), NGX_OK);

    header = rq.headers.elts;
    assert_int_equal(rq.headers.nelts, 2);
    assert_text(header[0].key, "Authorization");
    assert_text(header[0].value, "Bearer a\tb \xc3\xa9");
    assert_text(header[1].key, "X-Empty");
    assert_text(header[1].value, "");
}


static void
test_request_headers_refused(void **state)
{
    ngx_str_t             value;
    ngx_uint_t            i;
    ngx_comms_request_t   rq;
    static const char    *names[] = {
        "", "A B", "A:", "A\r\nB", "A\tB", "(A)", "\xc3\xa9", "A\x7f"
    };
    static ngx_str_t      values[] = {
        ngx_string("a\r\nB: c"), ngx_string("a\n"), ngx_string("\r"),
        ngx_string("a\0b"), ngx_string("a\x7f"), ngx_string("\x1b[0m")
    };

    assert_int_equal(ngx_comms_request_init(&rq, *state), NGX_OK);

    value = unit_str("x");

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(ngx_comms_request_header(&rq, names[i], &value),
                         NGX_DECLINED);
    }

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_int_equal(ngx_comms_request_header(&rq, "A", &values[i]),
                         NGX_DECLINED);
    }

    assert_int_equal(rq.headers.nelts, 0);
}


static void
test_answer_header(void **state)
{
    ngx_keyval_t         *header;
    ngx_comms_answer_t    an;

    ngx_memzero(&an, sizeof(ngx_comms_answer_t));
    assert_null(ngx_comms_answer_header(&an, "Retry-After"));

    assert_int_equal(ngx_array_init(&an.headers, *state, 2,
                                    sizeof(ngx_keyval_t)),
                     NGX_OK);
    header = ngx_array_push_n(&an.headers, 2);
    ngx_str_set(&header[0].key, "retry-after");
    ngx_str_set(&header[0].value, "5");
    ngx_str_set(&header[1].key, "Retry-After");
    ngx_str_set(&header[1].value, "6");

    assert_ptr_equal(ngx_comms_answer_header(&an, "Retry-After"),
                     &header[0].value);
    assert_null(ngx_comms_answer_header(&an, "Retry-Afte"));
}


static void
owner_handler(ngx_comms_op_t *op)
{
    unit_owner_t  *owner = op->data;

    owner->called++;
    owner->rc = op->rc;
    owner->kept = json_incref(op->answer);
    assert_int_equal(op->seq, 7);

    /* too late to matter, and allowed */

    ngx_comms_op_cancel(op);
}


static void
test_op_finish(void **state)
{
    unit_owner_t     owner;
    ngx_comms_op_t  *op;

    ngx_memzero(&owner, sizeof(unit_owner_t));

    op = ngx_comms_op_create(owner_handler, &owner, 7);
    assert_non_null(op);

    ngx_comms_op_finish(op, NGX_BUSY, json_pack("{s:i}", "a", 1));

    assert_int_equal(owner.called, 1);
    assert_int_equal(owner.rc, NGX_BUSY);
    assert_int_equal(owner.kept->refcount, 1);
    json_decref(owner.kept);

    op = ngx_comms_op_create(owner_handler, &owner, 7);
    ngx_comms_op_finish(op, NGX_OK, NULL);
    assert_int_equal(owner.called, 2);
    assert_null(owner.kept);
}


static void
test_op_cancel(void **state)
{
    unit_owner_t     owner;
    ngx_comms_op_t  *op;

    ngx_memzero(&owner, sizeof(unit_owner_t));

    op = ngx_comms_op_create(owner_handler, &owner, 7);
    ngx_comms_op_cancel(op);
    assert_null(op->data);

    ngx_comms_op_finish(op, NGX_OK, json_object());
    assert_int_equal(owner.called, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_request_headers),
        pool_test(test_request_headers_refused),
        pool_test(test_answer_header),
        pool_test(test_op_finish),
        pool_test(test_op_cancel)
    };

    return cmocka_run_group_tests_name("base/exchange", tests, unit_setup,
                                       NULL);
}
