
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"


static ngx_log_t        unit_log;
static ngx_open_file_t  unit_log_file;
static ngx_cycle_t      unit_cycle;
static ngx_time_t       unit_time;


int
unit_setup(void **state)
{
    ngx_uint_t  n;

    ngx_pid = ngx_getpid();
    ngx_pagesize = getpagesize();
    ngx_cacheline_size = 64;

    ngx_pagesize_shift = 0;

    for (n = ngx_pagesize; n >>= 1; ngx_pagesize_shift++) { /* void */ }

    unit_log_file.fd = STDERR_FILENO;
    unit_log.file = &unit_log_file;
    unit_log.log_level = NGX_LOG_NOTICE;

    unit_cycle.log = &unit_log;
    ngx_cycle = &unit_cycle;

    if (ngx_strerror_init() != NGX_OK) {
        return -1;
    }

    ngx_time_init();
    ngx_slab_sizes_init();

    if (ngx_crc32_table_init() != NGX_OK
        || ngx_event_timer_init(&unit_log) != NGX_OK)
    {
        return -1;
    }

    ngx_queue_init(&ngx_posted_accept_events);
    ngx_queue_init(&ngx_posted_next_events);
    ngx_queue_init(&ngx_posted_events);

    unit_cycle.pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, &unit_log);

    return (unit_cycle.pool != NULL) ? 0 : -1;
}


int
unit_pool_setup(void **state)
{
    *state = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, &unit_log);

    return (*state != NULL) ? 0 : -1;
}


int
unit_pool_teardown(void **state)
{
    ngx_destroy_pool(*state);

    return 0;
}


void
unit_clock_set(int64_t ms)
{
    unit_time.sec = (time_t) (ms / 1000);
    unit_time.msec = (ngx_uint_t) (ms % 1000);

    ngx_cached_time = &unit_time;
    ngx_current_msec = (ngx_msec_t) ms;
}


ngx_str_t
unit_str(const char *text)
{
    ngx_str_t  str;

    str.data = (u_char *) text;
    str.len = ngx_strlen(text);

    return str;
}


void
unit_assert_text(ngx_str_t *str, const char *expected, size_t len,
    const char *file, int line)
{
    if (str->len == len
        && (len == 0 || ngx_memcmp(str->data, expected, len) == 0))
    {
        return;
    }

    print_error("\"%.*s\" != \"%.*s\"\n", (int) str->len,
                (char *) str->data, (int) len, expected);
    _fail(file, line);
}
