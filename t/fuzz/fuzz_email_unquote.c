
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What is quoted in a plain-text mail.
 */


#include "fuzz.h"
#include "base/ngx_comms_text.h"
#include "channel/ngx_comms_email.h"


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    ngx_str_t  text;

    fuzz_require(ngx_comms_email_unquote(pool, input, &text) == NGX_OK);
    fuzz_require(ngx_comms_utf8_valid(&text));
}
