
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * multipart/form-data; the first line is the Content-Type.
 */


#include "fuzz.h"
#include "base/ngx_comms_multipart.h"


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    ngx_int_t          rc;
    ngx_str_t          type;
    ngx_uint_t         i;
    ngx_array_t        parts;
    ngx_comms_part_t  *part;

    type = fuzz_first_line(input);

    rc = ngx_comms_multipart_parse(pool, &type, input, &parts);

    if (rc != NGX_OK) {
        fuzz_require(rc == NGX_DECLINED);
        return;
    }

    fuzz_require(parts.nelts <= NGX_COMMS_MULTIPART_MAX_PARTS);

    part = parts.elts;

    for (i = 0; i < parts.nelts; i++) {
        fuzz_require(part[i].data.len == 0
                     || (part[i].data.data >= input->data
                         && part[i].data.data + part[i].data.len
                            <= input->data + input->len));
    }
}
