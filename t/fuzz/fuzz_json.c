
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A document from outside, and back to text.
 */


#include "fuzz.h"
#include "base/ngx_comms_json.h"


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    json_t                  *value, *again;
    ngx_str_t                text;
    ngx_comms_json_error_t   err;

    value = ngx_comms_json_parse(input, &err);

    if (value == NULL) {
        fuzz_require(err.text[0] != '\0');
        return;
    }

    fuzz_require(ngx_comms_json_dump_canonical(pool, value, &text) == NGX_OK);

    again = ngx_comms_json_parse(&text, &err);
    fuzz_require(again != NULL && json_equal(value, again));

    json_decref(again);
    json_decref(value);
}
