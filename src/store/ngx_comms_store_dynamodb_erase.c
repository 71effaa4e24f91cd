
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Erasing a person's data of one thread.
 *
 * The item <thread_id>, "erased" is written first, with all that is needed to
 * find what belongs to the thread ("comms_erase"); it is in the sweeper's
 * index until nothing is left.  Then the guard of the start says "erased",
 * and the header goes, which is the moment from which the thread is gone for
 * everybody.  Then follows a pass, page by page: its messages with the signs
 * by which answers to them are known, all else of its partition, its inbound
 * messages, the items of its address pairs.  A pass may be broken off and
 * begun again anywhere: what leads to an item goes behind it, and media are
 * noted in "comms_media" before the message that names them goes.
 *
 * Somebody may have begun to replay a journal of the thread before its header
 * went, and write an item behind the pass.  Hence a second pass, by the
 * sweeper, when any call that was under way is over; it takes "comms_erase"
 * with it.  What stays is what the next erase is answered with.
 *
 * Cost: four writes and, for each hundred messages, a query and some twenty
 * removals of 25 items each.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


#define NGX_COMMS_DYNAMODB_ERASE_TRIES  100
#define NGX_COMMS_DYNAMODB_ERASE_PAGE   100

/* between the passes, ms: longer than a call with its repetitions takes */
#define NGX_COMMS_DYNAMODB_ERASE_LATE   25000


typedef struct {
    ngx_str_t                     thread_id;
    json_t                       *item;       /* the header, then what
                                                 "comms_erase" holds of it */
    json_t                       *media;      /* {media_id: true} */
    json_t                       *keys;       /* of the page, to go last */
    json_t                       *signs;      /* to go before them */
    json_t                       *inbound;    /* the same, other table */
    ngx_array_t                  *places;
    ngx_uint_t                    place;
    ngx_comms_dynamodb_table_t   *table;      /* of the partition */
    ngx_uint_t                    tries;
    ngx_comms_dynamodb_step_pt    page;       /* the page's own step */
    ngx_comms_dynamodb_step_pt    step;       /* NULL: an operation */
    void                         *data;
} ngx_comms_dynamodb_erase_t;


static ngx_comms_dynamodb_erase_t *ngx_comms_dynamodb_erase_of(
    ngx_comms_dynamodb_task_t *t, ngx_str_t thread_id);
static void ngx_comms_dynamodb_erase_read(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_erase_got(ngx_comms_dynamodb_task_t *t,
    void *data);
static json_t *ngx_comms_dynamodb_erase_needs(ngx_comms_dynamodb_task_t *t,
    json_t *item);
static void ngx_comms_dynamodb_erase_noted(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_erase_guarded(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_erase_gone(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_erase_known(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_erase_resumed(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_erase_messages(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_erase_page(ngx_comms_dynamodb_task_t *t,
    void *data);
static ngx_int_t ngx_comms_dynamodb_erase_message(
    ngx_comms_dynamodb_task_t *t, ngx_comms_dynamodb_erase_t *e,
    json_t *item);
static void ngx_comms_dynamodb_erase_signs(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_erase_said(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_erase_keys(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_erase_partition(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_erase_rest(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_erase_inbound(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_erase_t *e);
static void ngx_comms_dynamodb_erase_pairs(ngx_comms_dynamodb_task_t *t,
    void *data);
static ngx_int_t ngx_comms_dynamodb_erase_pair(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_erase_t *e, json_t *pair);
static void ngx_comms_dynamodb_erase_passed(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_erase_end(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_erase_answer(ngx_comms_dynamodb_task_t *t,
    void *data);
static json_t *ngx_comms_dynamodb_erase_outcome(json_t *item);


static ngx_str_t  ngx_comms_dynamodb_erased = ngx_string("erased");


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_erase_members[] = {
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


void
ngx_comms_dynamodb_op_erase(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_erase_t  *e;

    if (ngx_comms_sqlite_members("erase", t->in,
                                 ngx_comms_dynamodb_erase_members)
        != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    e = ngx_comms_dynamodb_erase_of(t, ngx_comms_sqlite_text(t->in,
                                                             "thread_id"));
    if (e != NULL) {
        ngx_comms_dynamodb_erase_read(t, e);
    }
}


void
ngx_comms_dynamodb_erase_resume(ngx_comms_dynamodb_task_t *t,
    ngx_str_t thread_id, ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_comms_dynamodb_erase_t  *e;

    e = ngx_comms_dynamodb_erase_of(t, thread_id);

    if (e != NULL) {
        e->step = step;
        e->data = data;

        ngx_comms_dynamodb_erase_read(t, e);
    }
}


static ngx_comms_dynamodb_erase_t *
ngx_comms_dynamodb_erase_of(ngx_comms_dynamodb_task_t *t,
    ngx_str_t thread_id)
{
    ngx_comms_dynamodb_erase_t  *e;

    e = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_erase_t));

    if (e == NULL) {
        ngx_comms_dynamodb_fail(t);
        return NULL;
    }

    e->thread_id = thread_id;

    return e;
}


static void
ngx_comms_dynamodb_erase_read(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_erase_t *e = data;

    if (++e->tries > NGX_COMMS_DYNAMODB_ERASE_TRIES) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "comms thread \"%V\" changes too often to be erased",
                      &e->thread_id);
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_thread(t, e->thread_id, ngx_comms_dynamodb_erase_got,
                              e);
}


static void
ngx_comms_dynamodb_erase_got(ngx_comms_dynamodb_task_t *t, void *data)
{
    int64_t                       ttl, now;
    json_t                       *needs, *conversation;
    ngx_comms_dynamodb_update_t   u;

    ngx_comms_dynamodb_erase_t *e = data;

    e->item = t->item;

    if (e->item == NULL) {
        ngx_comms_dynamodb_get(t, &t->db->threads, e->thread_id,
                               ngx_comms_dynamodb_erased,
                               ngx_comms_dynamodb_erase_known, e);
        return;
    }

    now = ngx_comms_clock_ms();
    ttl = ngx_comms_dynamodb_ttl(t->db);
    needs = ngx_comms_dynamodb_erase_needs(t, e->item);
    conversation = json_object_get(e->item, "ai_conversation_id");

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = e->thread_id;
    u.sk = ngx_comms_dynamodb_erased;
    u.values = json_pack("{s:o, s:O, s:O, s:O, s:I}",
        ":erase", needs,
        ":ai", (conversation != NULL) ? conversation : json_null(),
        ":c", json_object_get(e->item, "comms_commits"),
        ":shard", json_object_get(e->item, "comms_shard"),
        ":at", (json_int_t) now);

    ngx_str_set(&u.update,
        "SET #comms_erase = :erase, #ai_conversation_id = :ai,"
        " #comms_applied = :c, #gsi_sweep = :shard, #gsi_sweep_at = :at");
    ngx_str_set(&u.condition,
        "attribute_not_exists(#comms_applied) OR #comms_applied <= :c");

    if (ttl != 0 && u.values != NULL
        && json_object_set_new(u.values, ":ttl", json_integer(ttl)) == 0)
    {
        u.update = ngx_comms_dynamodb_text(t, "%V, #ttl = :ttl", &u.update);
    }

    if (u.values == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_update(t, &t->db->threads, &u,
                              ngx_comms_dynamodb_erase_noted, e);
}


/* what is needed of a header to find all that belongs to its thread */

static json_t *
ngx_comms_dynamodb_erase_needs(ngx_comms_dynamodb_task_t *t, json_t *item)
{
    json_t       *needs, *value;
    ngx_uint_t    i;
    const char   *name;

    static const char  *names[] = {
        "thread_id", "conversation_id", "company_id", "project_id",
        "comms_pairs", "gsi_created", NULL
    };

    needs = json_object();

    for (i = 0; names[i] != NULL; i++) {

        name = ngx_comms_dynamodb_header_name(t->db, names[i]);
        value = json_object_get(item, name);

        if (value != NULL && json_object_set(needs, name, value) != 0) {
            json_decref(needs);
            return NULL;
        }
    }

    return needs;
}


static void
ngx_comms_dynamodb_erase_noted(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_str_t                    conversation_id;
    ngx_comms_dynamodb_update_t  u;

    ngx_comms_dynamodb_erase_t *e = data;

    if (t->refused) {
        ngx_comms_dynamodb_erase_read(t, e);
        return;
    }

    conversation_id = ngx_comms_json_view(
            ngx_comms_dynamodb_header_get(t->db, e->item, "conversation_id"));

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = ngx_comms_dynamodb_accept_key(t, conversation_id);
    u.sk = ngx_comms_dynamodb_guard;
    u.values = json_pack("{s:o, s:b}",
                         ":thread", ngx_comms_dynamodb_string(e->thread_id),
                         ":erased", 1);

    ngx_str_set(&u.update, "SET #comms_accepted.#erased = :erased"
                           " REMOVE #comms_payload, #gsi_sweep,"
                           " #gsi_sweep_at");
    ngx_str_set(&u.condition, "#comms_accepted.#thread_id = :thread");

    ngx_comms_dynamodb_update(t, &t->db->threads, &u,
                              ngx_comms_dynamodb_erase_guarded, e);
}


/* refused where the guard's time to live is over: then it guards no more */

static void
ngx_comms_dynamodb_erase_guarded(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *values;

    ngx_comms_dynamodb_erase_t *e = data;

    values = json_pack("{s:O, s:O}",
                       ":v", json_object_get(e->item, "version"),
                       ":c", json_object_get(e->item, "comms_commits"));

    ngx_comms_dynamodb_delete(t, &t->db->threads, e->thread_id,
                              ngx_comms_dynamodb_record,
                              "#version = :v AND #comms_commits = :c", values,
                              ngx_comms_dynamodb_erase_gone, e);
}


static void
ngx_comms_dynamodb_erase_gone(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t     *counts;
    ngx_str_t   status, name;
    ngx_int_t   n;

    ngx_comms_dynamodb_erase_t *e = data;

    if (t->refused) {
        ngx_comms_dynamodb_erase_read(t, e);
        return;
    }

    t->changed = e->thread_id;

    status = ngx_comms_sqlite_text(e->item, "conversation_status");
    name = ngx_comms_dynamodb_text(t, "threads %V%Z", &status);
    n = json_object_size(json_object_get(e->item, "comms_intents"));

    counts = json_pack("{s:i}", name.data, -1);

    if (n != 0) {
        (void) json_object_set_new(counts, "effects_unfinished",
                                   json_integer(-n));
    }

    ngx_comms_dynamodb_count(t, e->thread_id, counts,
                             ngx_comms_dynamodb_erase_resumed, e);
}


/* there is no header: was there ever one? */

static void
ngx_comms_dynamodb_erase_known(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_erase_t *e = data;

    if (t->item == NULL) {

        if (e->step != NULL) {
            e->step(t, e->data);
            return;
        }

        ngx_comms_dynamodb_finish(t, NGX_DECLINED, NULL);
        return;
    }

    e->item = json_object_get(t->item, "comms_erase");

    if (e->item == NULL) {
        ngx_comms_dynamodb_erase_end(t, e);
        return;
    }

    ngx_comms_dynamodb_erase_resumed(t, e);
}


/* the pass begins */

static void
ngx_comms_dynamodb_erase_resumed(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_erase_t *e = data;

    e->media = ngx_comms_dynamodb_hold(t, json_object());
    e->places = ngx_comms_dynamodb_places(t, e->item);
    e->place = 0;

    if (e->media == NULL || e->places == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_erase_messages(t, e);
}


static void
ngx_comms_dynamodb_erase_messages(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_place_t  *place;
    ngx_comms_dynamodb_query_t   q;

    ngx_comms_dynamodb_erase_t *e = data;

    if (e->place == e->places->nelts) {
        e->table = &t->db->threads;
        ngx_comms_dynamodb_erase_partition(t, e);
        return;
    }

    place = e->places->elts;
    place += e->place;

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.key = "#pk = :pk AND begins_with(#sk, :prefix)";
    q.limit = NGX_COMMS_DYNAMODB_ERASE_PAGE;
    q.forward = 1;
    q.values = json_pack("{s:o, s:o}",
                         ":pk", ngx_comms_dynamodb_string(place->pk),
                         ":prefix", ngx_comms_dynamodb_string(place->prefix));

    ngx_comms_dynamodb_query(t, &t->db->threads, &q,
                             ngx_comms_dynamodb_erase_page, e);
}


static void
ngx_comms_dynamodb_erase_page(ngx_comms_dynamodb_task_t *t, void *data)
{
    size_t   i;
    json_t  *item;

    ngx_comms_dynamodb_erase_t *e = data;

    if (json_array_size(t->items) == 0) {
        e->place++;
        ngx_comms_dynamodb_erase_messages(t, e);
        return;
    }

    e->table = &t->db->threads;
    e->page = ngx_comms_dynamodb_erase_messages;
    e->keys = ngx_comms_dynamodb_hold(t, json_object());
    e->signs = ngx_comms_dynamodb_hold(t, json_object());
    e->inbound = ngx_comms_dynamodb_hold(t, json_object());

    json_array_foreach(t->items, i, item) {
        if (ngx_comms_dynamodb_erase_message(t, e, item) != NGX_OK) {
            ngx_comms_dynamodb_fail(t);
            return;
        }
    }

    ngx_comms_dynamodb_erase_media(t, e->thread_id, e->media,
                                   ngx_comms_dynamodb_erase_signs, e);
}


static ngx_int_t
ngx_comms_dynamodb_erase_message(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_erase_t *e, json_t *item)
{
    ngx_str_t    id, created, entry_id;
    ngx_uint_t   i;
    const char  *role;

    static const struct {
        const char  *member;
        const char  *kind;
    } signs[] = {
        { "email_message_id", "mail" },
        { "provider_message_id", "quote" },
        { NULL, NULL }
    };

    created = ngx_comms_sqlite_text(e->item, "gsi_created");

    for (i = 0; signs[i].member != NULL; i++) {

        id = ngx_comms_sqlite_text(item, signs[i].member);

        if (id.len != 0
            && ngx_comms_dynamodb_key_add(e->signs,
                   ngx_comms_dynamodb_sign_key(t, signs[i].kind, id), created)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    role = json_string_value(json_object_get(item, "role"));
    entry_id = ngx_comms_sqlite_text(item, "entry_id");

    if (role != NULL && ngx_strcmp(role, "user") == 0
        && ngx_comms_dynamodb_key_add(e->inbound,
                             ngx_comms_dynamodb_inbound_key(t, entry_id),
                             ngx_comms_dynamodb_only)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_dynamodb_media(item, e->media) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_dynamodb_key_add(e->keys,
                          ngx_comms_sqlite_text(item, t->db->threads.pk),
                          ngx_comms_sqlite_text(item, t->db->threads.sk));
}


ngx_int_t
ngx_comms_dynamodb_media(json_t *message, json_t *media)
{
    size_t       i;
    json_t      *one;
    const char  *id;

    json_array_foreach(json_object_get(message, "media"), i, one) {

        id = json_string_value(json_object_get(one, "media_id"));

        if (id != NULL && json_object_set_new(media, id, json_true()) != 0) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_comms_dynamodb_erase_media(ngx_comms_dynamodb_task_t *t,
    ngx_str_t thread_id, json_t *media, ngx_comms_dynamodb_step_pt step,
    void *data)
{
    json_t                       *ids, *value;
    const char                   *id;
    ngx_comms_dynamodb_update_t   u;

    if (json_object_size(media) == 0) {
        step(t, data);
        return;
    }

    ids = json_array();

    json_object_foreach(media, id, value) {
        (void) json_array_append_new(ids, json_string(id));
    }

    (void) json_object_clear(media);

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = thread_id;
    u.sk = ngx_comms_dynamodb_erased;
    u.values = json_pack("{s:o, s:[], s:I}", ":media", ids, ":empty",
                         ":at", (json_int_t) ngx_comms_clock_ms());

    ngx_str_set(&u.update,
        "SET #comms_media = list_append(if_not_exists(#comms_media, :empty),"
        " :media), #gsi_sweep_at = :at");
    ngx_str_set(&u.condition, "attribute_exists(#gsi_sweep)");

    ngx_comms_dynamodb_update(t, &t->db->threads, &u, step, data);
}


static void
ngx_comms_dynamodb_erase_signs(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_erase_t *e = data;

    ngx_comms_dynamodb_remove(t, &t->db->threads, e->signs,
                              ngx_comms_dynamodb_erase_said, e);
}


static void
ngx_comms_dynamodb_erase_said(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_erase_t *e = data;

    ngx_comms_dynamodb_remove(t, &t->db->inbound, e->inbound,
                              ngx_comms_dynamodb_erase_keys, e);
}


static void
ngx_comms_dynamodb_erase_keys(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_erase_t *e = data;

    ngx_comms_dynamodb_remove(t, e->table, e->keys, e->page, e);
}


/* what else is in the partition of the thread, of one table and the next */

static void
ngx_comms_dynamodb_erase_partition(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_query_t  q;

    ngx_comms_dynamodb_erase_t *e = data;

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.key = "#pk = :pk";
    q.limit = NGX_COMMS_DYNAMODB_ERASE_PAGE;
    q.forward = 1;
    q.values = json_pack("{s:o}", ":pk",
                         ngx_comms_dynamodb_string(e->thread_id));

    ngx_comms_dynamodb_query(t, e->table, &q, ngx_comms_dynamodb_erase_rest,
                             e);
}


static void
ngx_comms_dynamodb_erase_rest(ngx_comms_dynamodb_task_t *t, void *data)
{
    size_t      i;
    json_t     *item;
    ngx_str_t   sk, inbound_id;

    ngx_comms_dynamodb_erase_t *e = data;

    e->page = ngx_comms_dynamodb_erase_partition;
    e->keys = ngx_comms_dynamodb_hold(t, json_object());
    e->inbound = ngx_comms_dynamodb_hold(t, json_object());

    json_array_foreach(t->items, i, item) {

        sk = ngx_comms_sqlite_text(item, e->table->sk);
        inbound_id = ngx_comms_sqlite_text(item, "comms_inbound_id");

        if (sk.len == ngx_comms_dynamodb_erased.len
            && ngx_memcmp(sk.data, ngx_comms_dynamodb_erased.data, sk.len)
               == 0)
        {
            continue;
        }

        if (ngx_comms_dynamodb_key_add(e->keys, e->thread_id, sk) != NGX_OK
            || (inbound_id.len != 0
                && ngx_comms_dynamodb_key_add(e->inbound,
                             ngx_comms_dynamodb_inbound_key(t, inbound_id),
                             ngx_comms_dynamodb_only)
                   != NGX_OK))
        {
            ngx_comms_dynamodb_fail(t);
            return;
        }
    }

    if (json_object_size(e->keys) != 0) {
        ngx_comms_dynamodb_erase_said(t, e);
        return;
    }

    if (e->table == &t->db->threads && t->db->conf->effects_table.len != 0) {
        e->table = &t->db->effects;
        ngx_comms_dynamodb_erase_partition(t, e);
        return;
    }

    ngx_comms_dynamodb_erase_inbound(t, e);
}


static void
ngx_comms_dynamodb_erase_inbound(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_erase_t *e)
{
    ngx_comms_dynamodb_inbound_erase(t, e->thread_id, e->item, e->media,
                                     ngx_comms_dynamodb_erase_pairs, e);
}


static void
ngx_comms_dynamodb_erase_pairs(ngx_comms_dynamodb_task_t *t, void *data)
{
    size_t   i;
    json_t  *pair;

    ngx_comms_dynamodb_erase_t *e = data;

    e->keys = ngx_comms_dynamodb_hold(t, json_object());

    json_array_foreach(json_object_get(e->item, "comms_pairs"), i, pair) {
        if (ngx_comms_dynamodb_erase_pair(t, e, pair) != NGX_OK) {
            ngx_comms_dynamodb_fail(t);
            return;
        }
    }

    ngx_comms_dynamodb_remove(t, &t->db->threads, e->keys,
                              ngx_comms_dynamodb_erase_passed, e);
}


/* the two items of a pair, and the record of its channel */

static ngx_int_t
ngx_comms_dynamodb_erase_pair(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_erase_t *e, json_t *pair)
{
    ngx_str_t  pk, sk, created;

    created = ngx_comms_sqlite_text(e->item, "gsi_created");

    if (ngx_comms_dynamodb_key_add(e->keys, ngx_comms_dynamodb_pair(t, pair),
                                   created)
        != NGX_OK
        || ngx_comms_dynamodb_key_add(e->keys,
                             ngx_comms_dynamodb_person(t, e->item, pair),
                             created)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (t->db->conf->layout == NGX_COMMS_STORE_SINGLE) {
        return NGX_OK;
    }

    if (ngx_comms_dynamodb_copy_key(t, e->item, pair, &pk, &sk) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_dynamodb_key_add(e->keys, pk, sk);
}


/* the pass is over: the first, or the last */

static void
ngx_comms_dynamodb_erase_passed(ngx_comms_dynamodb_task_t *t, void *data)
{
    int64_t                      now;
    ngx_comms_dynamodb_update_t  u;

    ngx_comms_dynamodb_erase_t *e = data;

    now = ngx_comms_clock_ms();

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = e->thread_id;
    u.sk = ngx_comms_dynamodb_erased;
    u.values = json_pack("{s:I}", ":late",
                         (json_int_t) now - NGX_COMMS_DYNAMODB_ERASE_LATE);

    ngx_str_set(&u.update, "REMOVE #comms_erase, #gsi_sweep, #gsi_sweep_at");
    ngx_str_set(&u.condition, "#comms_passed_at < :late");

    ngx_comms_dynamodb_update(t, &t->db->threads, &u,
                              ngx_comms_dynamodb_erase_end, e);
}


static void
ngx_comms_dynamodb_erase_end(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_update_t  u;

    ngx_comms_dynamodb_erase_t *e = data;

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = e->thread_id;
    u.sk = ngx_comms_dynamodb_erased;
    u.returns = "ALL_NEW";
    u.values = json_pack("{s:I}", ":now", (json_int_t) ngx_comms_clock_ms());

    ngx_str_set(&u.update, "SET #comms_passed_at ="
                           " if_not_exists(#comms_passed_at, :now)");
    ngx_str_set(&u.condition, "attribute_exists(#pk)");

    ngx_comms_dynamodb_update(t, &t->db->threads, &u,
                              ngx_comms_dynamodb_erase_answer, e);
}


static void
ngx_comms_dynamodb_erase_answer(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *outcome;

    ngx_comms_dynamodb_erase_t *e = data;

    if (e->step != NULL) {
        e->step(t, e->data);
        return;
    }

    outcome = (t->item != NULL) ? ngx_comms_dynamodb_erase_outcome(t->item)
                                : NULL;
    if (outcome == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_finish(t, NGX_OK, outcome);
}


static json_t *
ngx_comms_dynamodb_erase_outcome(json_t *item)
{
    size_t   i;
    json_t  *media, *seen, *id, *conversation;

    media = json_array();
    seen = json_object();

    json_array_foreach(json_object_get(item, "comms_media"), i, id) {

        if (json_object_get(seen, json_string_value(id)) != NULL) {
            continue;
        }

        (void) json_object_set_new(seen, json_string_value(id), json_true());
        (void) json_array_append(media, id);
    }

    json_decref(seen);

    conversation = json_object_get(item, "ai_conversation_id");

    return json_pack("{s:o, s:O}", "media", media, "ai_conversation_id",
                     (conversation != NULL) ? conversation : json_null());
}
