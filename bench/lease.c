
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Nanoseconds that take and release of a lease need together, uncontended:
 * prints one line for each round.  The keys are thread ids.
 *
 *   lease ROUNDS PAIRS
 */


#include "test_guard_zone.h"

#include <stdio.h>
#include <time.h>


#define KEYS  1000


static int64_t now(void);


int
main(int argc, char **argv)
{
    char                id[KEYS][32];
    long                i, round, rounds, pairs;
    int64_t             start;
    uint64_t            token;
    ngx_str_t           key[KEYS];
    ngx_comms_zone_t   *zone;

    rounds = argc > 2 ? atol(argv[1]) : 5;
    pairs = argc > 2 ? atol(argv[2]) : 1000000;

    if (unit_setup(NULL) != 0) {
        return 1;
    }

    zone = unit_zone(16 * 1024 * 1024);
    unit_clock_set(1000000);

    for (i = 0; i < KEYS; i++) {
        key[i].data = (u_char *) id[i];
        key[i].len = ngx_sprintf(key[i].data, "th_01ARYZ6S41%016L",
                                 (int64_t) i)
                     - key[i].data;
    }

    for (round = 0; round < rounds; round++) {
        start = now();

        for (i = 0; i < pairs; i++) {
            if (ngx_comms_lease_take(zone, &key[i % KEYS], 60000, &token)
                != NGX_OK
                || ngx_comms_lease_release(zone, &key[i % KEYS], token)
                   != NGX_OK)
            {
                return 1;
            }
        }

        printf("%.2f\n", (double) (now() - start) / (double) pairs);
    }

    return 0;
}


static int64_t
now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}
