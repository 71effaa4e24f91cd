
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Bodies of webhooks, a file each in t/corpus/<provider>/, and beside each the
 * events that it must give: NAME.json or NAME.form, and NAME.events.json,
 * which is {"declined": words} where the body is refused.
 *
 * The time is 22 November 2026; Twilio asked for URL, which ends in a marker.
 */


#include "nginx_env.h"
#include "base/ngx_comms_json.h"
#include "channel/ngx_comms_channel.h"

#include <dirent.h>


#define NOW      1795305600
#define URL      "https://comms.example.org/webhooks/twilio?m=th_01.e1"
#define EVENTS   ".events.json"
#define AT_LEAST 40


static ngx_str_t
unit_read_file(ngx_pool_t *pool, const char *path)
{
    long        size;
    FILE       *file;
    ngx_str_t   text;

    file = fopen(path, "rb");

    if (file == NULL) {
        fail_msg("no file %s", path);
    }

    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    assert_true(size >= 0);
    rewind(file);

    text.len = (size_t) size;
    text.data = ngx_pnalloc(pool, text.len + 1);
    assert_non_null(text.data);
    assert_int_equal(fread(text.data, 1, text.len, file), text.len);

    fclose(file);

    return text;
}


static json_t *
unit_events(ngx_pool_t *pool, ngx_comms_provider_t *provider, ngx_str_t *body)
{
    json_t               *events;
    ngx_int_t             rc;
    ngx_str_t            *url;
    const char           *words;
    ngx_comms_webhook_t   wh;

    ngx_memzero(&wh, sizeof(ngx_comms_webhook_t));

    assert_int_equal(ngx_array_init(&wh.urls, pool, 1, sizeof(ngx_str_t)),
                     NGX_OK);
    assert_int_equal(ngx_array_init(&wh.headers, pool, 1,
                                    sizeof(ngx_keyval_t)), NGX_OK);

    url = ngx_array_push(&wh.urls);
    *url = unit_str(URL);

    wh.body = *body;
    wh.now = NOW;
    words = NULL;

    rc = provider->parse(pool, &wh, NULL, &events, &words);

    if (rc == NGX_DECLINED) {
        assert_non_null(words);
        return json_pack("{s:s}", "declined", words);
    }

    assert_int_equal(rc, NGX_OK);

    return events;
}


/* 1 when the body gives the events that are beside it */

static ngx_uint_t
unit_same(ngx_pool_t *pool, ngx_comms_provider_t *provider, const char *dir,
    const char *name)
{
    char        path[512];
    char       *shown;
    json_t     *events, *expected;
    ngx_str_t   body;
    ngx_uint_t  same;

    (void) snprintf(path, sizeof(path), "%s/%s", dir, name);
    body = unit_read_file(pool, path);
    events = unit_events(pool, provider, &body);

    *strrchr(path, '.') = '\0';
    (void) strncat(path, EVENTS, sizeof(path) - strlen(path) - 1);
    expected = json_load_file(path, 0, NULL);

    same = (expected != NULL && json_equal(events, expected));

    if (!same) {
        shown = json_dumps(events, JSON_COMPACT | JSON_SORT_KEYS);
        (void) printf("%s/%s gives %s\n", dir, name, shown);
        free(shown);
    }

    json_decref(events);
    json_decref(expected);

    return same;
}


static void
unit_corpus(ngx_pool_t *pool, ngx_comms_provider_t *provider, const char *dir)
{
    DIR            *d;
    size_t          len;
    ngx_uint_t      n, failed;
    struct dirent  *entry;

    d = opendir(dir);
    assert_non_null(d);

    n = 0;
    failed = 0;

    while ((entry = readdir(d)) != NULL) {
        len = strlen(entry->d_name);

        if (entry->d_name[0] == '.'
            || (len > sizeof(EVENTS)
                && strcmp(entry->d_name + len - (sizeof(EVENTS) - 1), EVENTS)
                   == 0))
        {
            continue;
        }

        n++;

        if (!unit_same(pool, provider, dir, entry->d_name)) {
            failed++;
        }
    }

    closedir(d);

    assert_int_equal(failed, 0);
    assert_true(n >= AT_LEAST);
}


static void
test_twilio(void **state)
{
    unit_corpus(*state, &ngx_comms_twilio, "t/corpus/twilio");
}


static void
test_meta(void **state)
{
    unit_corpus(*state, &ngx_comms_meta, "t/corpus/meta");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_twilio),
        pool_test(test_meta)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
