
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The inbound messages of a thread that is erased, by the hints that lead to
 * them: those bound to it; those that wait under its address pairs, where it
 * is the newest thread of them; those that were set aside under them.  What a
 * turn has taken is known by the thread's messages, and goes with those.
 *
 * Hints are walked by their keys, and not until there are none: those of
 * other threads stay.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


typedef enum {
    NGX_COMMS_DYNAMODB_BOUND = 0,
    NGX_COMMS_DYNAMODB_PAIRED,
    NGX_COMMS_DYNAMODB_ASIDE,
    NGX_COMMS_DYNAMODB_NEXT_PAIR
} ngx_comms_dynamodb_hints_e;


typedef struct {
    ngx_str_t                    thread_id;
    json_t                      *item;
    json_t                      *media;
    ngx_comms_dynamodb_hints_e   kind;
    size_t                       i;           /* of the pairs */
    ngx_str_t                    partition;
    ngx_str_t                    behind;      /* the last hint of a page */
    json_t                      *hints;       /* the page */
    json_t                      *messages;    /* keys of what goes */
    json_t                      *gone;        /* keys of their hints */
    int64_t                      waited;
    ngx_comms_dynamodb_step_pt   step;
    void                        *data;
} ngx_comms_dynamodb_heard_t;


static void ngx_comms_dynamodb_heard_kind(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_heard_t *h);
static void ngx_comms_dynamodb_heard_newest(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_heard_walk(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_heard_t *h, ngx_str_t partition);
static void ngx_comms_dynamodb_heard_page(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_heard_hints(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_heard_read(ngx_comms_dynamodb_task_t *t,
    void *data);
static ngx_uint_t ngx_comms_dynamodb_heard_takes(
    ngx_comms_dynamodb_heard_t *h, json_t *item);
static ngx_int_t ngx_comms_dynamodb_heard_take(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_heard_t *h, json_t *item);
static void ngx_comms_dynamodb_heard_remove(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_heard_count(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_heard_unhint(ngx_comms_dynamodb_task_t *t,
    void *data);


void
ngx_comms_dynamodb_inbound_erase(ngx_comms_dynamodb_task_t *t,
    ngx_str_t thread_id, json_t *item, json_t *media,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_comms_dynamodb_heard_t  *h;

    h = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_heard_t));
    if (h == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    h->thread_id = thread_id;
    h->item = item;
    h->media = media;
    h->step = step;
    h->data = data;

    ngx_comms_dynamodb_heard_walk(t, h,
                       ngx_comms_dynamodb_text(t, "thread#%V", &thread_id));
}


/* one partition is done: the next kind of the pair, or the next pair */

static void
ngx_comms_dynamodb_heard_kind(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_heard_t *h)
{
    json_t                      *pair;
    ngx_str_t                    key;
    ngx_comms_dynamodb_query_t   q;

    if (h->kind == NGX_COMMS_DYNAMODB_BOUND) {
        h->kind = NGX_COMMS_DYNAMODB_PAIRED;

    } else if (++h->kind == NGX_COMMS_DYNAMODB_NEXT_PAIR) {
        h->kind = NGX_COMMS_DYNAMODB_PAIRED;
        h->i++;
    }

    pair = json_array_get(json_object_get(h->item, "comms_pairs"), h->i);

    if (pair == NULL) {
        h->step(t, h->data);
        return;
    }

    key = ngx_comms_dynamodb_pair(t, pair);

    if (h->kind == NGX_COMMS_DYNAMODB_ASIDE) {
        ngx_comms_dynamodb_heard_walk(t, h,
                                      ngx_comms_dynamodb_orphans(t, key));
        return;
    }

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.key = "#pk = :pk";
    q.limit = 1;
    q.values = json_pack("{s:o}", ":pk", ngx_comms_dynamodb_string(key));

    h->partition = key;

    ngx_comms_dynamodb_query(t, &t->db->threads, &q,
                             ngx_comms_dynamodb_heard_newest, h);
}


static void
ngx_comms_dynamodb_heard_newest(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t     *found;
    ngx_str_t   thread_id;

    ngx_comms_dynamodb_heard_t *h = data;

    found = json_object_get(json_array_get(t->items, 0), "comms_found");
    thread_id = ngx_comms_sqlite_text(found, "thread_id");

    /* what waits under the pair of a newer thread belongs to that one */

    if (thread_id.len != h->thread_id.len
        || ngx_memcmp(thread_id.data, h->thread_id.data, thread_id.len) != 0)
    {
        ngx_comms_dynamodb_heard_kind(t, h);
        return;
    }

    ngx_comms_dynamodb_heard_walk(t, h, h->partition);
}


static void
ngx_comms_dynamodb_heard_walk(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_heard_t *h, ngx_str_t partition)
{
    h->partition = partition;

    /* no key of a hint is before it: they begin with a time */

    ngx_str_set(&h->behind, "0");

    ngx_comms_dynamodb_heard_page(t, h);
}


static void
ngx_comms_dynamodb_heard_page(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_query_t  q;

    ngx_comms_dynamodb_heard_t *h = data;

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.key = "#pk = :pk AND #sk > :behind";
    q.limit = NGX_COMMS_DYNAMODB_BATCH;
    q.forward = 1;
    q.values = json_pack("{s:o, s:o}",
                         ":pk", ngx_comms_dynamodb_string(h->partition),
                         ":behind", ngx_comms_dynamodb_string(h->behind));

    ngx_comms_dynamodb_query(t, &t->db->inbound, &q,
                             ngx_comms_dynamodb_heard_hints, h);
}


static void
ngx_comms_dynamodb_heard_hints(ngx_comms_dynamodb_task_t *t, void *data)
{
    size_t       i, n;
    json_t      *keys, *known, *hint, *key;
    const char  *text;

    ngx_comms_dynamodb_heard_t *h = data;

    h->hints = t->items;
    h->messages = ngx_comms_dynamodb_hold(t, json_object());
    h->gone = ngx_comms_dynamodb_hold(t, json_object());
    h->waited = 0;

    n = json_array_size(h->hints);

    if (n == 0) {
        ngx_comms_dynamodb_heard_kind(t, h);
        return;
    }

    h->behind = ngx_comms_sqlite_text(json_array_get(h->hints, n - 1),
                                      t->db->inbound.sk);

    /* each message once, though two hints may lead to it */

    keys = json_array();
    known = ngx_comms_dynamodb_hold(t, json_object());

    json_array_foreach(h->hints, i, hint) {

        key = ngx_comms_dynamodb_hold(t, ngx_comms_dynamodb_string(
                  ngx_comms_dynamodb_inbound_key(t,
                         ngx_comms_sqlite_text(hint, "comms_inbound_id"))));
        text = json_string_value(key);

        if (text == NULL || json_object_get(known, text) != NULL) {
            continue;
        }

        (void) json_object_set_new(known, text, json_true());
        (void) json_array_append_new(keys, json_pack("[O, o]", key,
                      ngx_comms_dynamodb_string(ngx_comms_dynamodb_only)));
    }

    ngx_comms_dynamodb_batch(t, &t->db->inbound, keys,
                             ngx_comms_dynamodb_heard_read, h);
}


static void
ngx_comms_dynamodb_heard_read(ngx_comms_dynamodb_task_t *t, void *data)
{
    size_t   i;
    json_t  *item;

    ngx_comms_dynamodb_heard_t *h = data;

    json_array_foreach(t->items, i, item) {
        if (ngx_comms_dynamodb_heard_takes(h, item)
            && ngx_comms_dynamodb_heard_take(t, h, item) != NGX_OK)
        {
            ngx_comms_dynamodb_fail(t);
            return;
        }
    }

    ngx_comms_dynamodb_erase_media(t, h->thread_id, h->media,
                                   ngx_comms_dynamodb_heard_remove, h);
}


static void
ngx_comms_dynamodb_heard_remove(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_heard_t *h = data;

    ngx_comms_dynamodb_remove(t, &t->db->inbound, h->messages,
                              ngx_comms_dynamodb_heard_count, h);
}


static ngx_uint_t
ngx_comms_dynamodb_heard_takes(ngx_comms_dynamodb_heard_t *h, json_t *item)
{
    ngx_str_t    thread_id;
    const char  *state;

    thread_id = ngx_comms_sqlite_text(item, "thread_id");
    state = json_string_value(json_object_get(item, "state"));

    if (thread_id.len == h->thread_id.len
        && ngx_memcmp(thread_id.data, h->thread_id.data, thread_id.len) == 0)
    {
        return 1;
    }

    if (state == NULL) {
        return 0;
    }

    switch (h->kind) {

    case NGX_COMMS_DYNAMODB_PAIRED:
        return thread_id.len == 0 && ngx_strcmp(state, "waiting") == 0;

    case NGX_COMMS_DYNAMODB_ASIDE:
        return ngx_strcmp(state, "orphan") == 0;

    default:
        return 0;
    }
}


static ngx_int_t
ngx_comms_dynamodb_heard_take(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_heard_t *h, json_t *item)
{
    json_t      *event;
    ngx_str_t    when, thread;
    const char  *state;

    event = ngx_comms_dynamodb_hold(t,
                  ngx_comms_dynamodb_unpack(json_object_get(item, "event")));

    state = json_string_value(json_object_get(item, "state"));

    if (state != NULL && ngx_strcmp(state, "waiting") == 0) {
        h->waited++;
    }

    when = ngx_comms_sqlite_text(item, "comms_when");
    thread = ngx_comms_dynamodb_text(t, "thread#%V", &h->thread_id);

    if (ngx_comms_dynamodb_media(event, h->media) != NGX_OK
        || ngx_comms_dynamodb_key_add(h->gone, h->partition, when) != NGX_OK
        || ngx_comms_dynamodb_key_add(h->gone, thread, when) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_dynamodb_key_add(h->messages,
                          ngx_comms_sqlite_text(item, t->db->inbound.pk),
                          ngx_comms_dynamodb_only);
}


static void
ngx_comms_dynamodb_heard_count(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_heard_t *h = data;

    if (h->waited == 0) {
        ngx_comms_dynamodb_heard_unhint(t, h);
        return;
    }

    ngx_comms_dynamodb_count(t, h->thread_id,
                             json_pack("{s:I}", "inbound_waiting",
                                       (json_int_t) -h->waited),
                             ngx_comms_dynamodb_heard_unhint, h);
}


static void
ngx_comms_dynamodb_heard_unhint(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_heard_t *h = data;

    ngx_comms_dynamodb_remove(t, &t->db->inbound, h->gone,
                              ngx_comms_dynamodb_heard_page, h);
}
