
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A mail that a mail server hands over; the first line is the envelope's
 * sender.  Whatever the event names as attached must be there.
 */


#include "fuzz.h"
#include "channel/ngx_comms_channel.h"


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    json_t               *events, *media, *medium;
    size_t                i;
    ngx_int_t             rc;
    ngx_str_t             bytes;
    const char           *words;
    ngx_keyval_t         *header;
    ngx_comms_webhook_t   wh;

    ngx_memzero(&wh, sizeof(ngx_comms_webhook_t));

    fuzz_require(ngx_array_init(&wh.headers, pool, 2, sizeof(ngx_keyval_t))
                 == NGX_OK);

    header = ngx_array_push(&wh.headers);
    header->key = unit_str("X-Envelope-From");
    header->value = fuzz_first_line(input);

    header = ngx_array_push(&wh.headers);
    header->key = unit_str("X-Envelope-To");
    header->value = unit_str("x@y.example, <care+t0@in.acme.example>");

    wh.content_type = unit_str("message/rfc822");
    wh.body = *input;

    words = NULL;
    rc = ngx_comms_smtp.parse(pool, &wh, NULL, &events, &words);

    if (rc != NGX_OK) {
        fuzz_require(rc == NGX_DECLINED && words != NULL);
        return;
    }

    fuzz_require_events(events);

    media = json_object_get(json_array_get(events, 0), "media");

    json_array_foreach(media, i, medium) {
        fuzz_require(ngx_comms_smtp.attachment(pool, &wh,
                         (ngx_uint_t) json_integer_value(
                             json_object_get(medium, "part")), &bytes)
                     == NGX_OK);
    }

    json_decref(events);
}
