
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A form, taken apart and put together.
 */


#include "fuzz.h"
#include "base/ngx_comms_text.h"


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    ngx_int_t      rc;
    ngx_str_t      form;
    ngx_uint_t     i;
    ngx_array_t    fields, again;
    ngx_keyval_t  *field, *second;

    rc = ngx_comms_form_parse(pool, input, 64, &fields);

    if (rc != NGX_OK) {
        fuzz_require(rc == NGX_DECLINED);
        return;
    }

    ngx_str_null(&form);
    field = fields.elts;

    for (i = 0; i < fields.nelts; i++) {
        fuzz_require(ngx_comms_form_add(pool, &form, "v", &field[i].value)
                     == NGX_OK);
    }

    fuzz_require(ngx_comms_form_parse(pool, &form, 64, &again) == NGX_OK);
    fuzz_require(again.nelts == fields.nelts);

    second = again.elts;

    for (i = 0; i < again.nelts; i++) {
        fuzz_require(second[i].value.len == field[i].value.len);
        fuzz_require(ngx_memcmp(second[i].value.data, field[i].value.data,
                                field[i].value.len) == 0);
    }
}
