
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Meta's webhook: signature, events, handshake, and the answer about a medium.
 */


#include "fuzz.h"
#include "channel/ngx_comms_channel.h"


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    json_t               *events, *credentials;
    ngx_int_t             rc;
    ngx_str_t             args, answer;
    const char           *words;
    ngx_keyval_t         *header;
    ngx_comms_webhook_t   wh;

    ngx_memzero(&wh, sizeof(ngx_comms_webhook_t));

    fuzz_require(ngx_array_init(&wh.urls, pool, 1, sizeof(ngx_str_t))
                 == NGX_OK);
    fuzz_require(ngx_array_init(&wh.headers, pool, 1, sizeof(ngx_keyval_t))
                 == NGX_OK);

    header = ngx_array_push(&wh.headers);
    header->key = unit_str("X-Hub-Signature-256");
    header->value = unit_str("sha256="
        "c236c758c9b2bd40b388a550eeca09eaca72384dd0aa5e7c31d19cddac5bba46");

    wh.body = *input;
    wh.now = 1795305600;

    credentials = json_pack("{s:[s], s:s}", "app_secrets", "fuzz-secret",
                            "verify_token", "not-in-the-corpus-4711");
    fuzz_require(credentials != NULL);

    fuzz_require(ngx_comms_meta.verify(pool, &wh, credentials)
                 == NGX_DECLINED);

    args = *input;
    rc = ngx_comms_meta.handshake(pool, &args, credentials, &answer);
    fuzz_require(rc == NGX_DECLINED);

    rc = ngx_comms_meta.media_url(pool, input, &answer);
    fuzz_require(rc == NGX_DECLINED || (rc == NGX_OK && answer.len > 0));

    rc = ngx_comms_meta.parse(pool, &wh, credentials, &events, &words);

    if (rc == NGX_OK) {

        /* a body without entries says nothing */

        if (json_array_size(events) > 0) {
            fuzz_require_events(events);
        }

        json_decref(events);

    } else {
        fuzz_require(rc == NGX_DECLINED && words != NULL);
    }

    json_decref(credentials);
}
