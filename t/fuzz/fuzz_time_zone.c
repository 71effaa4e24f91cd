
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A TZif file, and what is asked of the zone that it makes.
 */


#include "fuzz.h"
#include "base/ngx_comms_time_zone.h"


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    int64_t                 at, offset;
    ngx_comms_time_zone_t  *zone;

    zone = ngx_comms_time_zone_read(input, pool->log);

    if (zone == NULL) {
        return;
    }

    for (at = -4102444800; at < 8204889600; at += 150 * 86400 + 12345) {
        offset = ngx_comms_time_zone_offset(zone, at);

        fuzz_require(offset >= -26 * 3600 && offset <= 26 * 3600);

        (void) ngx_comms_time_zone_utc(zone, at);
    }

    ngx_free(zone);
}
