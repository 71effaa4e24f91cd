
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "store/ngx_comms_store_gate.h"
#include "store/ngx_comms_store_status.h"


/* lowest first, as NGX_COMMS_STATUS_RANKS has them */
static const char  *statuses[] = {
    "pending", "cancelled", "unknown", "sent", "failed", "delivered",
    "bounced", "read"
};

#define STATUSES  (sizeof(statuses) / sizeof(statuses[0]))


static ngx_uint_t
may(const char *from, const char *to)
{
    json_t      *f, *t;
    ngx_uint_t   yes;

    f = from ? json_string(from) : NULL;
    t = to ? json_string(to) : NULL;

    yes = ngx_comms_store_status_may(f, t);

    json_decref(f);
    json_decref(t);

    return yes;
}


static void
test_never_backwards(void **state)
{
    ngx_uint_t  from, to;

    for (from = 0; from < STATUSES; from++) {
        for (to = 0; to < STATUSES; to++) {
            assert_int_equal(may(statuses[from], statuses[to]), to >= from);
        }
    }
}


static void
test_without_a_rank(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < STATUSES; i++) {
        assert_int_equal(may(NULL, statuses[i]), 1);
        assert_int_equal(may(statuses[i], NULL), 1);
        assert_int_equal(may("received", statuses[i]), 1);
        assert_int_equal(may(statuses[i], "received"), 1);
    }

    assert_int_equal(may("READ", "pending"), 1);
}


static void
test_above(void **state)
{
    size_t       k;
    json_t      *status, *above, *one;
    ngx_uint_t   i;

    for (i = 0; i < STATUSES; i++) {
        status = json_string(statuses[i]);
        above = ngx_comms_store_status_above(status);

        assert_int_equal(json_array_size(above), STATUSES - 1 - i);

        json_array_foreach(above, k, one) {
            assert_string_equal(json_string_value(one), statuses[i + 1 + k]);
        }

        json_decref(above);
        json_decref(status);
    }

    status = json_string("received");
    above = ngx_comms_store_status_above(status);
    assert_int_equal(json_array_size(above), 0);
    json_decref(above);
    json_decref(status);
}


static void
test_update(void **state)
{
    json_t  *message, *members, *want;

    message = json_pack("{s:s, s:s, s:s}", "status", "delivered",
                        "reason", "r", "content", "c");
    members = json_pack("{s:s, s:s, s:s}", "status", "sent", "reason", "x",
                        "provider_message_id", "SM1");
    want = json_pack("{s:s, s:s, s:s, s:s}", "status", "delivered",
                     "reason", "r", "content", "c",
                     "provider_message_id", "SM1");

    assert_int_equal(ngx_comms_store_status_update(message, members), NGX_OK);
    assert_true(json_equal(message, want));
    assert_string_equal(json_string_value(json_object_get(members, "status")),
                        "sent");

    (void) json_object_set_new(members, "status", json_string("read"));
    assert_int_equal(ngx_comms_store_status_update(message, members), NGX_OK);
    assert_string_equal(json_string_value(json_object_get(message, "status")),
                        "read");
    assert_string_equal(json_string_value(json_object_get(message, "reason")),
                        "x");

    json_decref(message);
    json_decref(members);
    json_decref(want);
}


static const char *
gate(json_t *in, json_t *header)
{
    const char  *why;

    assert_int_equal(ngx_comms_store_gate_check(in), NGX_OK);

    why = ngx_comms_store_gate(in, header);

    json_decref(in);
    json_decref(header);

    return why ? why : "none";
}


static void
test_gate(void **state)
{
    assert_string_equal(gate(json_object(), json_object()), "none");

    /* a header that never had the attribute is the AI's */

    assert_string_equal(gate(json_pack("{s:s}", "owner", "ai"),
                             json_object()), "none");
    assert_string_equal(gate(json_pack("{s:s}", "owner", "human"),
                             json_pack("{s:n}", "hand_off_to_human")),
                        "owner");
    assert_string_equal(gate(json_pack("{s:s}", "owner", "human"),
                             json_pack("{s:i}", "hand_off_to_human", 1)),
                        "none");

    assert_string_equal(gate(json_pack("{s:s}", "newest_inbound_id", ""),
                             json_pack("{s:s}", "newest_inbound_id", "a")),
                        "newer");
    assert_string_equal(gate(json_pack("{s:s}", "newest_inbound_id", "a"),
                             json_pack("{s:s}", "newest_inbound_id", "a")),
                        "none");
    assert_string_equal(gate(json_pack("{s:s}", "newest_inbound_id", ""),
                             json_object()), "none");

    assert_string_equal(gate(json_pack("{s:s}", "channel", "sms"),
                             json_pack("{s:{s:s}}", "channel_states", "sms",
                                       "pending")), "none");
    assert_string_equal(gate(json_pack("{s:s}", "channel", "sms"),
                             json_pack("{s:{s:s}}", "channel_states", "sms",
                                       "sent")), "channel");
    assert_string_equal(gate(json_pack("{s:s}", "channel", "sms"),
                             json_object()), "channel");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_never_backwards),
        cmocka_unit_test(test_without_a_rank),
        cmocka_unit_test(test_above),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_gate)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
