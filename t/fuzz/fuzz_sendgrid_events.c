
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * SendGrid's Event Webhook.
 */


#include "fuzz.h"
#include "channel/ngx_comms_channel.h"


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    json_t               *events;
    ngx_int_t             rc;
    const char           *words;
    ngx_comms_webhook_t   wh;

    ngx_memzero(&wh, sizeof(ngx_comms_webhook_t));

    wh.content_type = unit_str("application/json");
    wh.body = *input;

    words = NULL;
    rc = ngx_comms_sendgrid.parse(pool, &wh, NULL, &events, &words);

    if (rc == NGX_OK) {
        fuzz_require_events(events);
        json_decref(events);

    } else {
        fuzz_require(rc == NGX_DECLINED && words != NULL);
    }
}
