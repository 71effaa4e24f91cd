
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A mail's header block.
 */


#include "fuzz.h"
#include "channel/ngx_comms_email.h"


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    json_t      *event;
    ngx_int_t    rc;
    const char  *words;

    words = NULL;
    event = json_object();
    fuzz_require(event != NULL);

    rc = ngx_comms_email_headers(pool, input, event, &words);

    fuzz_require(rc == NGX_OK || (rc == NGX_DECLINED && words != NULL));

    json_decref(event);
}
