
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What nginx's core needs before its functions can be called without nginx:
 * page size, time, a log to stderr, a cycle.  Include it first in a test.
 */


#ifndef _NGINX_ENV_H_INCLUDED_
#define _NGINX_ENV_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>


/* a test of a group, with a pool of its own as *state */
#define pool_test(name)                                                       \
    cmocka_unit_test_setup_teardown(name, unit_pool_setup, unit_pool_teardown)

/* the text of an ngx_str_t, as a literal */
#define assert_text(str, expected)                                            \
    unit_assert_text(&(str), expected, sizeof(expected) - 1, __FILE__, __LINE__)


/* group setup: once per program */
int unit_setup(void **state);

int unit_pool_setup(void **state);
int unit_pool_teardown(void **state);

/* stops the clock of the event loop: ngx_timeofday() and ngx_current_msec */
void unit_clock_set(int64_t ms);

/* a string of nginx, borrowed */
ngx_str_t unit_str(const char *text);

void unit_assert_text(ngx_str_t *str, const char *expected, size_t len,
    const char *file, int line);


#endif /* _NGINX_ENV_H_INCLUDED_ */
