
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The tables of error codes against docs/errors.md, in both directions.
 */


#include "nginx_env.h"
#include "channel/ngx_comms_codes.h"
#include "channel/ngx_comms_meta.h"
#include "channel/ngx_comms_twilio.h"


#define MAX_CODE  200000


typedef const ngx_comms_code_t *(*unit_find_pt)(ngx_uint_t code);


static const char *
unit_verdict(const ngx_comms_code_t *row)
{
    json_t      *event;
    ngx_str_t    none;
    const char  *verdict;
    static char  text[16];

    ngx_str_null(&none);

    event = json_object();
    assert_int_equal(ngx_comms_code_event(event, &none, row), NGX_OK);

    verdict = json_string_value(json_object_get(event, "verdict"));
    assert_non_null(verdict);
    ngx_cpystrn((u_char *) text, (u_char *) verdict, sizeof(text));

    json_decref(event);

    return text;
}


/* each row of the section is in the table as it is written, and no other */

static void
unit_documented(const char *section, unit_find_pt find)
{
    int                      n;
    FILE                    *file;
    char                     line[512], verdict[32], label[64];
    ngx_uint_t               code, rows, inside;
    unsigned long            said;
    const ngx_comms_code_t  *row;

    file = fopen("docs/errors.md", "r");
    assert_non_null(file);

    rows = 0;
    inside = 0;

    while (fgets(line, sizeof(line), file) != NULL) {

        if (strncmp(line, "## ", 3) == 0) {
            inside = (strncmp(line + 3, section, strlen(section)) == 0);
            continue;
        }

        if (!inside) {
            continue;
        }

        n = sscanf(line, "| %lu | `%31[a-z_]` | `%63[a-z0-9_]` |", &said,
                   verdict, label);

        if (n != 3) {
            continue;
        }

        row = find(said);

        if (row == NULL) {
            fail_msg("%s: %lu is documented and not known", section, said);
        }

        assert_int_equal(row->code, said);
        assert_string_equal(row->label, label);
        assert_string_equal(unit_verdict(row), verdict);
        assert_non_null(strstr(line, row->words));

        rows++;
    }

    fclose(file);

    for (code = 0; code < MAX_CODE; code++) {
        row = find(code);

        if (row != NULL && row->code == code) {
            assert_true(row->retry_after == 0
                        || row->verdict == NGX_COMMS_SEND_RETRY);
            rows--;
        }
    }

    assert_int_equal(rows, 0);
}


static void
test_documented(void **state)
{
    unit_documented("Twilio", ngx_comms_twilio_error);
    unit_documented("Meta", ngx_comms_meta_error);
}


static void
test_known(void **state)
{
    ngx_uint_t  i;

    static struct {
        unit_find_pt       find;
        ngx_uint_t         code;
        ngx_comms_send_e   verdict;
    } known[] = {
        { ngx_comms_twilio_error, 20003, NGX_COMMS_SEND_CONFIG },
        { ngx_comms_twilio_error, 20429, NGX_COMMS_SEND_RETRY },
        { ngx_comms_twilio_error, 21211, NGX_COMMS_SEND_REFUSED },
        { ngx_comms_twilio_error, 21408, NGX_COMMS_SEND_CONFIG },
        { ngx_comms_twilio_error, 21610, NGX_COMMS_SEND_OPTED_OUT },
        { ngx_comms_twilio_error, 30007, NGX_COMMS_SEND_REFUSED },
        { ngx_comms_twilio_error, 63016, NGX_COMMS_SEND_WINDOW },
        { ngx_comms_twilio_error, 63018, NGX_COMMS_SEND_RETRY },
        { ngx_comms_twilio_error, 63038, NGX_COMMS_SEND_RETRY },
        { ngx_comms_meta_error, 0, NGX_COMMS_SEND_CONFIG },
        { ngx_comms_meta_error, 1, NGX_COMMS_SEND_RETRY },
        { ngx_comms_meta_error, 4, NGX_COMMS_SEND_RETRY },
        { ngx_comms_meta_error, 100, NGX_COMMS_SEND_REFUSED },
        { ngx_comms_meta_error, 190, NGX_COMMS_SEND_CONFIG },
        { ngx_comms_meta_error, 200, NGX_COMMS_SEND_CONFIG },
        { ngx_comms_meta_error, 299, NGX_COMMS_SEND_CONFIG },
        { ngx_comms_meta_error, 368, NGX_COMMS_SEND_CONFIG },
        { ngx_comms_meta_error, 80007, NGX_COMMS_SEND_RETRY },
        { ngx_comms_meta_error, 130429, NGX_COMMS_SEND_RETRY },
        { ngx_comms_meta_error, 131026, NGX_COMMS_SEND_REFUSED },
        { ngx_comms_meta_error, 131031, NGX_COMMS_SEND_CONFIG },
        { ngx_comms_meta_error, 131047, NGX_COMMS_SEND_WINDOW },
        { ngx_comms_meta_error, 131050, NGX_COMMS_SEND_OPTED_OUT },
        { ngx_comms_meta_error, 131056, NGX_COMMS_SEND_RETRY },
        { ngx_comms_meta_error, 132001, NGX_COMMS_SEND_CONFIG },
        { ngx_comms_meta_error, 133004, NGX_COMMS_SEND_RETRY }
    };

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        assert_non_null(known[i].find(known[i].code));

        if (known[i].find(known[i].code)->verdict != known[i].verdict) {
            fail_msg("%lu", (unsigned long) known[i].code);
        }
    }

    assert_null(ngx_comms_twilio_error(0));
    assert_null(ngx_comms_twilio_error(30009));
    assert_null(ngx_comms_twilio_error(999999));
    assert_null(ngx_comms_meta_error(5));
    assert_null(ngx_comms_meta_error(300));
    assert_null(ngx_comms_meta_error(999999));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_documented),
        cmocka_unit_test(test_known)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
