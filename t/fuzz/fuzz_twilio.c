
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Twilio's webhook: the signature's text and the events.
 */


#include "fuzz.h"
#include "channel/ngx_comms_channel.h"


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    json_t               *events, *credentials;
    ngx_int_t             rc;
    ngx_str_t            *url;
    const char           *words;
    ngx_keyval_t         *header;
    ngx_comms_webhook_t   wh;

    ngx_memzero(&wh, sizeof(ngx_comms_webhook_t));

    fuzz_require(ngx_array_init(&wh.urls, pool, 1, sizeof(ngx_str_t))
                 == NGX_OK);
    fuzz_require(ngx_array_init(&wh.headers, pool, 1, sizeof(ngx_keyval_t))
                 == NGX_OK);

    url = ngx_array_push(&wh.urls);
    *url = fuzz_first_line(input);

    header = ngx_array_push(&wh.headers);
    header->key = unit_str("X-Twilio-Signature");
    header->value = unit_str("0/KCTR6DLpKmkAf8muzZqo1nDgQ=");

    wh.content_type = unit_str("application/x-www-form-urlencoded");
    wh.body = *input;

    credentials = json_pack("{s:s,s:s}", "account_sid", "AC1",
                            "auth_token", "fuzz");
    fuzz_require(credentials != NULL);

    /* nobody finds the MAC of a token that is not in the corpus */

    rc = ngx_comms_twilio.verify(pool, &wh, credentials);
    fuzz_require(rc == NGX_DECLINED);

    wh.content_type = unit_str("application/json");
    rc = ngx_comms_twilio.verify(pool, &wh, credentials);
    fuzz_require(rc == NGX_DECLINED);

    rc = ngx_comms_twilio.parse(pool, &wh, credentials, &events, &words);

    if (rc == NGX_OK) {
        fuzz_require_events(events);
        json_decref(events);

    } else {
        fuzz_require(rc == NGX_DECLINED && words != NULL);
    }

    json_decref(credentials);
}
