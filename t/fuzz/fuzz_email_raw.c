
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A whole mail.
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

    rc = ngx_comms_email_parse_raw(pool, input, event, &words);

    fuzz_require(rc == NGX_OK || (rc == NGX_DECLINED && words != NULL));

    if (rc == NGX_OK) {
        fuzz_require(json_is_string(json_object_get(event, "content")));
    }

    json_decref(event);
}
