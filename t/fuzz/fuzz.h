
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What every fuzz target shares.  A target is a file fuzz_<name>.c with one
 * fuzz_run(), which is called with the input in a pool of its own, and which
 * checks with fuzz_require() what must hold for every input.
 */


#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include "nginx_env.h"
#include <jansson.h>


/* ends the program, which libFuzzer reports with its input */
#define fuzz_require(condition)                                               \
    if (!(condition)) {                                                       \
        abort();                                                              \
    }


void fuzz_run(ngx_pool_t *pool, ngx_str_t *input);

/* cuts the first line off the input */
ngx_str_t fuzz_first_line(ngx_str_t *input);

/* every event must be whole: its kind, and what that kind promises */
void fuzz_require_events(json_t *events);


#endif /* _FUZZ_H_INCLUDED_ */
