
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Another address of a thread's person.  The header has the list of all pairs
 * and is where they are added; the two items of each pair follow from it by
 * the journal.
 *
 * Cost: a read, the write, two items for each pair of the thread, the
 * emptying of the journal; the read alone where nothing is new.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


#define NGX_COMMS_DYNAMODB_LINK_TRIES  200


typedef struct {
    ngx_str_t    thread_id;
    ngx_uint_t   tries;
} ngx_comms_dynamodb_link_t;


static void ngx_comms_dynamodb_link_read(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_link_t *l);
static void ngx_comms_dynamodb_link_got(ngx_comms_dynamodb_task_t *t,
    void *data);
static json_t *ngx_comms_dynamodb_link_new(json_t *known, json_t *pairs);
static ngx_uint_t ngx_comms_dynamodb_link_has(json_t *known, json_t *pair);
static void ngx_comms_dynamodb_link_write(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_link_t *l, json_t *item, json_t *new);
static void ngx_comms_dynamodb_link_written(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_link_done(ngx_comms_dynamodb_task_t *t,
    void *data);


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_link_members[] = {
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "pairs", NGX_COMMS_SQLITE_ARRAY, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_pair_members[] = {
    { "channel", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "company_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "person_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


ngx_int_t
ngx_comms_dynamodb_check_pairs(const char *what, json_t *in)
{
    size_t   i;
    json_t  *pair;

    json_array_foreach(json_object_get(in, "pairs"), i, pair) {
        if (ngx_comms_sqlite_members(what, pair,
                                     ngx_comms_dynamodb_pair_members)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_comms_dynamodb_op_link(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_link_t  *l;

    l = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_link_t));

    if (l == NULL
        || ngx_comms_sqlite_members("link", t->in,
                                    ngx_comms_dynamodb_link_members)
           != NGX_OK
        || ngx_comms_dynamodb_check_pairs("link pair", t->in) != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    l->thread_id = ngx_comms_sqlite_text(t->in, "thread_id");

    ngx_comms_dynamodb_link_read(t, l);
}


static void
ngx_comms_dynamodb_link_read(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_link_t *l)
{
    if (++l->tries > NGX_COMMS_DYNAMODB_LINK_TRIES) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "comms thread \"%V\" changes too often to be linked",
                      &l->thread_id);
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_thread(t, l->thread_id, ngx_comms_dynamodb_link_got,
                              l);
}


static void
ngx_comms_dynamodb_link_got(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *item, *new;

    ngx_comms_dynamodb_link_t *l = data;

    item = t->item;

    if (item == NULL) {
        ngx_comms_dynamodb_finish(t, NGX_DECLINED, NULL);
        return;
    }

    new = ngx_comms_dynamodb_hold(t,
              ngx_comms_dynamodb_link_new(json_object_get(item,
                                                          "comms_pairs"),
                                          json_object_get(t->in, "pairs")));

    if (new == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    if (json_array_size(new) == 0) {
        ngx_comms_dynamodb_finish(t, NGX_OK, NULL);
        return;
    }

    ngx_comms_dynamodb_link_write(t, l, item, new);
}


/* those of the pairs that are not known, each once; NULL: out of memory */

static json_t *
ngx_comms_dynamodb_link_new(json_t *known, json_t *pairs)
{
    size_t   i;
    json_t  *new, *pair, *clean;

    new = json_array();

    json_array_foreach(pairs, i, pair) {

        clean = json_pack("{s:O, s:O, s:O}",
                   "channel", json_object_get(pair, "channel"),
                   "company_address", json_object_get(pair,
                                                      "company_address"),
                   "person_address", json_object_get(pair,
                                                     "person_address"));

        if (ngx_comms_dynamodb_link_has(known, clean)
            || ngx_comms_dynamodb_link_has(new, clean))
        {
            json_decref(clean);
            continue;
        }

        if (json_array_append_new(new, clean) != 0) {
            json_decref(new);
            return NULL;
        }
    }

    return new;
}


static ngx_uint_t
ngx_comms_dynamodb_link_has(json_t *known, json_t *pair)
{
    size_t       i;
    json_t      *one, *value;
    const char  *name;

    json_array_foreach(known, i, one) {

        json_object_foreach(pair, name, value) {
            if (!json_equal(json_object_get(one, name), value)) {
                break;
            }
        }

        /* no member differs */

        if (name == NULL) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_comms_dynamodb_link_write(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_link_t *l, json_t *item, json_t *new)
{
    json_t                       *doc;
    int64_t                       now;
    ngx_comms_dynamodb_update_t   u;

    now = ngx_comms_clock_ms();

    doc = ngx_comms_dynamodb_hold(t, json_pack("{s:I, s:b}",
                                               "at", (json_int_t) now,
                                               "pairs", 1));

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = l->thread_id;
    u.sk = ngx_comms_dynamodb_record;
    u.returns = "ALL_NEW";
    u.values = json_pack("{s:O, s:[o], s:i, s:I, s:I}", ":new", new,
        ":doc", ngx_comms_dynamodb_pack(doc), ":one", 1,
        ":at", (json_int_t) now, ":n",
        (json_int_t) json_array_size(json_object_get(item, "comms_pairs")));

    ngx_str_set(&u.update,
        "SET #comms_pairs = list_append(#comms_pairs, :new),"
        " #comms_journal = list_append(#comms_journal, :doc),"
        " #comms_commits = #comms_commits + :one,"
        " #gsi_sweep = #comms_shard, #gsi_sweep_at = :at");
    ngx_str_set(&u.condition,
        "attribute_exists(#pk) AND size(#comms_pairs) = :n");

    if (u.values == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_update(t, &t->db->threads, &u,
                              ngx_comms_dynamodb_link_written, l);
}


static void
ngx_comms_dynamodb_link_written(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_link_t *l = data;

    if (t->refused || t->item == NULL) {
        ngx_comms_dynamodb_link_read(t, l);
        return;
    }

    ngx_comms_dynamodb_commit(t, NULL);

    ngx_comms_dynamodb_replay(t, l->thread_id, t->item,
                              ngx_comms_dynamodb_link_done, l);
}


static void
ngx_comms_dynamodb_link_done(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_finish(t, NGX_OK, NULL);
}
