
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The mails, forms and event webhooks below t/corpus, made by other software
 * than ours (t/corpus/make.mjs, make.py): what is written beside each input is
 * what the provider must make of it, and what is attached must have those
 * bytes.
 */


#include "nginx_env.h"
#include <dirent.h>
#include "base/ngx_comms_crypto.h"
#include "base/ngx_comms_json.h"
#include "channel/ngx_comms_channel.h"


#define UNIT_MAX_FILE  (4 * 1024 * 1024)


static void
unit_read_file(ngx_pool_t *pool, const char *path, ngx_str_t *bytes)
{
    FILE    *file;
    size_t   n;

    file = fopen(path, "rb");

    if (file == NULL) {
        fail_msg("%s: cannot be opened", path);
    }

    bytes->data = ngx_palloc(pool, UNIT_MAX_FILE);
    assert_non_null(bytes->data);

    n = fread(bytes->data, 1, UNIT_MAX_FILE, file);
    fclose(file);

    bytes->len = n;
    assert_in_range(n, 1, UNIT_MAX_FILE - 1);
}


static void
unit_corpus_header(ngx_comms_webhook_t *wh, const char *name,
    const char *value)
{
    ngx_keyval_t  *header;

    header = ngx_array_push(&wh->headers);
    header->key = unit_str(name);
    header->value = unit_str(value);
}


static void
unit_corpus_fail(const char *name, const char *what, json_t *got)
{
    print_message("%s: %s, got %s\n", name, what,
                  got != NULL ? json_dumps(got, JSON_ENCODE_ANY) : "nothing");
}


/* how many mistakes there are */

static ngx_uint_t
unit_corpus_event(const char *name, json_t *expected, json_t *got)
{
    json_t      *value;
    ngx_uint_t   mistakes;
    const char  *key;

    mistakes = 0;

    json_object_foreach(expected, key, value) {

        if (!json_equal(value, json_object_get(got, key))) {
            unit_corpus_fail(name, key, json_object_get(got, key));
            mistakes++;
        }
    }

    return mistakes;
}


static ngx_uint_t
unit_corpus_media(ngx_pool_t *pool, ngx_comms_provider_t *provider,
    ngx_comms_webhook_t *wh, const char *name, json_t *expected, json_t *event)
{
    json_t     *media, *one, *said;
    size_t      i;
    int64_t     part;
    ngx_str_t   bytes, hex;

    media = json_object_get(event, "media");

    if (json_array_size(media) != json_array_size(expected)) {
        unit_corpus_fail(name, "media", media);
        return 1;
    }

    json_array_foreach(expected, i, one) {
        said = json_array_get(media, i);
        part = -1;

        (void) ngx_comms_json_int(said, "part", &part);

        if (provider->attachment(pool, wh, (ngx_uint_t) part, &bytes)
            != NGX_OK)
        {
            unit_corpus_fail(name, "no such attachment", said);
            return 1;
        }

        assert_int_equal(ngx_comms_sha256_hex(pool, &bytes, &hex), NGX_OK);

        if (json_string_length(json_object_get(one, "sha256")) != hex.len
            || memcmp(json_string_value(json_object_get(one, "sha256")),
                      hex.data, hex.len)
               != 0)
        {
            unit_corpus_fail(name, "bytes of an attachment", said);
            return 1;
        }

        json_object_del(one, "sha256");

        if (unit_corpus_event(name, one, said) != 0) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
unit_corpus_one(ngx_pool_t *pool, ngx_comms_provider_t *provider,
    ngx_comms_webhook_t *wh, const char *name, json_t *expected)
{
    json_t      *events, *event, *list, *value;
    size_t       i;
    ngx_int_t    rc;
    ngx_uint_t   mistakes;
    const char  *words;

    words = "";
    rc = provider->parse(pool, wh, NULL, &events, &words);

    if (rc != NGX_OK) {
        print_message("%s: %ld, %s\n", name, (long) rc, words);
        return 1;
    }

    list = json_object_get(expected, "events");
    mistakes = 0;

    if (list != NULL) {
        assert_int_equal(json_array_size(events), json_array_size(list));

        json_array_foreach(list, i, value) {
            mistakes += unit_corpus_event(name, value,
                                          json_array_get(events, i));
        }

        json_decref(events);
        return mistakes;
    }

    assert_int_equal(json_array_size(events), 1);
    event = json_array_get(events, 0);

    mistakes = unit_corpus_event(name, json_object_get(expected, "event"),
                                 event);

    json_array_foreach(json_object_get(expected, "absent"), i, value) {
        if (json_object_get(event, json_string_value(value)) != NULL) {
            unit_corpus_fail(name, json_string_value(value), event);
            mistakes++;
        }
    }

    list = json_object_get(expected, "media");

    if (list != NULL) {
        mistakes += unit_corpus_media(pool, provider, wh, name, list, event);
    }

    json_decref(events);

    return mistakes;
}


static void
unit_corpus(const char *dir, const char *end, ngx_comms_provider_t *provider,
    const char *type, ngx_uint_t least)
{
    DIR                  *list;
    void                 *pool;
    char                  path[512];
    size_t                len;
    json_t               *expected, *envelope;
    ngx_str_t             text;
    ngx_uint_t            n, mistakes;
    struct dirent        *entry;
    ngx_comms_webhook_t   wh;

    n = 0;
    mistakes = 0;

    list = opendir(dir);
    assert_non_null(list);

    while ((entry = readdir(list)) != NULL) {
        len = strlen(entry->d_name);

        if (len <= strlen(end)
            || strcmp(entry->d_name + len - strlen(end), end) != 0)
        {
            continue;
        }

        assert_int_equal(unit_pool_setup(&pool), 0);
        ngx_memzero(&wh, sizeof(ngx_comms_webhook_t));

        snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        unit_read_file(pool, path, &wh.body);

        snprintf(path, sizeof(path), "%s/%.*s.json", dir,
                 (int) (len - strlen(end)), entry->d_name);
        unit_read_file(pool, path, &text);

        expected = json_loadb((char *) text.data, text.len, 0, NULL);
        assert_non_null(expected);

        assert_int_equal(ngx_array_init(&wh.headers, pool, 2,
                                        sizeof(ngx_keyval_t)), NGX_OK);

        envelope = json_object_get(expected, "envelope");

        if (envelope != NULL) {
            unit_corpus_header(&wh, "X-Envelope-From", json_string_value(
                                   json_object_get(envelope, "from")));
            unit_corpus_header(&wh, "X-Envelope-To", json_string_value(
                                   json_object_get(envelope, "to")));
        }

        wh.content_type = unit_str(type);

        mistakes += unit_corpus_one(pool, provider, &wh, entry->d_name,
                                    expected);
        n++;

        json_decref(expected);
        unit_pool_teardown(&pool);
    }

    closedir(list);

    assert_int_equal(mistakes, 0);
    assert_true(n >= least);
}


static void
test_mails(void **state)
{
    unit_corpus("t/corpus/mail", ".eml", &ngx_comms_smtp, "message/rfc822",
                100);
}


static void
test_forms(void **state)
{
    unit_corpus("t/corpus/sendgrid", ".form", &ngx_comms_sendgrid,
                "multipart/form-data; boundary=xYzZY", 100);
}


static void
test_events(void **state)
{
    unit_corpus("t/corpus/sendgrid", ".events", &ngx_comms_sendgrid,
                "application/json", 35);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_mails),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_events)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
