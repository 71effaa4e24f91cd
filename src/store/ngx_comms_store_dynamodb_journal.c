
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The journal: how a write of many items becomes one.
 *
 * A header's item has a list, "comms_journal", of what was committed with it
 * and is not yet everywhere it belongs, each entry one document as text; and
 * "comms_commits", the number of the newest.  One conditional write appends
 * to the list, raises the number and changes the header: that is the commit.
 * Then the entries are replayed, and the list is emptied on condition that
 * the number is still the same.
 *
 * Invariants:
 *   1. Whoever reads a header to act on it replays its journal first.
 *   2. Entries are replayed in order, all of them.  Any number may replay at
 *      once: an item notes the number of the commit written to it last, and
 *      takes none that is older.  So a slow replay cannot undo a newer one.
 *   3. Everything an entry does may be done twice.
 *   4. While the list is not empty the item is in the sweeper's index.
 *
 * Cost: nothing but the commit where there is nothing to replay; else one
 * write for the emptying, and those of the entries.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


/* reads of one header before what others add meanwhile is left to them */
#define NGX_COMMS_DYNAMODB_REREADS  8


typedef struct {
    ngx_str_t                    thread_id;
    json_t                      *item;
    json_t                      *journal;
    json_t                      *doc;        /* the entry, */
    size_t                       n;          /* its place in the list, */
    int64_t                      c;          /* and its number */
    size_t                       i;          /* of the part in it */
    json_t                      *fresh;
    ngx_comms_dynamodb_step_pt   step;
    void                        *data;
} ngx_comms_dynamodb_replay_t;


typedef struct {
    json_t                      *item;
    size_t                       i;
    ngx_uint_t                   second;     /* of two items of a pair */
    ngx_comms_dynamodb_step_pt   step;
    void                        *data;
} ngx_comms_dynamodb_pairs_t;


typedef struct {
    ngx_str_t                    thread_id;
    ngx_uint_t                   reads;
    ngx_comms_dynamodb_step_pt   step;
    void                        *data;
} ngx_comms_dynamodb_read_t;


static void ngx_comms_dynamodb_replay_entry(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_replay_message(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_replay_effect(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_replay_t *r);
static json_t *ngx_comms_dynamodb_replay_values(
    ngx_comms_dynamodb_task_t *t, ngx_comms_dynamodb_replay_t *r);
static void ngx_comms_dynamodb_replay_inbound(ngx_comms_dynamodb_task_t *t,
    void *data);
static ngx_uint_t ngx_comms_dynamodb_replay_said(json_t *doc, json_t *id);
static void ngx_comms_dynamodb_replay_done_one(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_pairs_next(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_replay_queue(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_replay_next(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_replay_fresh(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_replay_copy(ngx_comms_dynamodb_task_t *t,
    void *data);
static json_t *ngx_comms_dynamodb_replay_channel(
    ngx_comms_dynamodb_replay_t *r);
static void ngx_comms_dynamodb_replay_empty(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_replay_t *r);
static void ngx_comms_dynamodb_replay_done(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_thread_get(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_thread_got(ngx_comms_dynamodb_task_t *t,
    void *data);


void
ngx_comms_dynamodb_replay(ngx_comms_dynamodb_task_t *t, ngx_str_t thread_id,
    json_t *item, ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_comms_dynamodb_replay_t  *r;

    if (json_array_size(json_object_get(item, "comms_journal")) == 0) {
        step(t, data);
        return;
    }

    r = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_replay_t));
    if (r == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    r->thread_id = thread_id;
    r->item = item;
    r->journal = json_object_get(item, "comms_journal");
    r->step = step;
    r->data = data;

    r->c = json_integer_value(json_object_get(item, "comms_commits"))
           - json_array_size(r->journal) + 1;

    ngx_comms_dynamodb_replay_entry(t, r);
}


static void
ngx_comms_dynamodb_replay_entry(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_replay_t *r = data;

    if (r->n == json_array_size(r->journal)) {

        if (t->db->conf->layout == NGX_COMMS_STORE_SINGLE) {
            ngx_comms_dynamodb_replay_empty(t, r);
            return;
        }

        ngx_comms_dynamodb_get(t, &t->db->threads, r->thread_id,
                               ngx_comms_dynamodb_record,
                               ngx_comms_dynamodb_replay_fresh, r);
        return;
    }

    r->doc = ngx_comms_dynamodb_hold(t,
                 ngx_comms_dynamodb_unpack(json_array_get(r->journal, r->n)));

    if (r->doc == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    r->i = 0;

    ngx_comms_dynamodb_replay_message(t, r);
}


static void
ngx_comms_dynamodb_replay_message(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *message;

    ngx_comms_dynamodb_replay_t *r = data;

    message = json_array_get(json_object_get(r->doc, "messages"), r->i);

    if (message != NULL) {
        r->i++;
        ngx_comms_dynamodb_message(t, r->thread_id, r->item, message, r->c,
                                   ngx_comms_dynamodb_replay_message, r);
        return;
    }

    r->i = 0;

    if (ngx_comms_sqlite_has(r->doc, "effect")) {
        ngx_comms_dynamodb_replay_effect(t, r);
        return;
    }

    ngx_comms_dynamodb_replay_inbound(t, r);
}


/* an intent stays in the header until its effect stands here */

static void
ngx_comms_dynamodb_replay_effect(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_replay_t *r)
{
    ngx_str_t                    effect_id;
    ngx_comms_dynamodb_update_t  u;

    effect_id = ngx_comms_dynamodb_part(t,
                   ngx_comms_sqlite_text(json_object_get(r->doc, "effect"),
                                         "effect_id"));

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = r->thread_id;
    u.sk = ngx_comms_dynamodb_text(t, "effect#%V", &effect_id);
    u.values = ngx_comms_dynamodb_replay_values(t, r);

    ngx_str_set(&u.update,
        "SET #effect_id = :id, #state = :state, #outcome = :outcome,"
        " #settled_at = :at, #comms_applied = :c,"
        " #kind = if_not_exists(#kind, :kind),"
        " #intended_at = if_not_exists(#intended_at, :intended),"
        " #detail = if_not_exists(#detail, :detail)");
    ngx_str_set(&u.condition,
        "attribute_not_exists(#comms_applied) OR #comms_applied <= :c");

    if (ngx_comms_dynamodb_ttl(t->db) != 0) {
        u.update = ngx_comms_dynamodb_text(t, "%V, #ttl = :ttl", &u.update);
    }

    if (u.values == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_update(t, &t->db->effects, &u,
                              ngx_comms_dynamodb_replay_inbound, r);
}


static json_t *
ngx_comms_dynamodb_replay_values(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_replay_t *r)
{
    json_t      *values, *effect, *id, *intent, *at, *outcome;
    int64_t      ttl;

    effect = json_object_get(r->doc, "effect");
    id = json_object_get(effect, "effect_id");
    intent = json_object_get(json_object_get(r->item, "comms_intents"),
                             json_string_value(id));
    at = json_object_get(r->doc, "at");
    outcome = json_object_get(effect, "outcome");

    if (outcome == NULL) {
        outcome = json_null();
    }

    /* one that was withdrawn has nothing of its intent left */

    values = json_pack("{s:O, s:O, s:o, s:O, s:I, s:O*, s:O*, s:O*}",
                       ":id", id,
                       ":state", json_object_get(effect, "state"),
                       ":outcome", ngx_comms_dynamodb_pack(outcome),
                       ":at", at,
                       ":c", (json_int_t) r->c,
                       ":kind", json_object_get(intent, "kind"),
                       ":intended", json_object_get(intent, "intended_at"),
                       ":detail", json_object_get(intent, "detail"));

    if (values != NULL && intent == NULL
        && (json_object_set_new(values, ":kind", json_string("withdrawn"))
            != 0
            || json_object_set(values, ":intended", at) != 0
            || json_object_set_new(values, ":detail", json_string("null"))
               != 0))
    {
        json_decref(values);
        return NULL;
    }

    ttl = ngx_comms_dynamodb_ttl(t->db);

    if (values != NULL && ttl != 0
        && json_object_set_new(values, ":ttl", json_integer(ttl)) != 0)
    {
        json_decref(values);
        return NULL;
    }

    return values;
}


static void
ngx_comms_dynamodb_replay_inbound(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t     *id, *doc;
    ngx_str_t   part;

    ngx_comms_dynamodb_replay_t *r = data;

    id = json_array_get(json_object_get(r->doc, "inbound_done"), r->i);

    if (id != NULL) {

        /* by the message of its id it is known whose it was; or by this */

        if (!ngx_comms_dynamodb_replay_said(r->doc, id)) {
            part = ngx_comms_dynamodb_part(t, ngx_comms_json_view(id));
            doc = json_pack("{s:O}", "comms_inbound_id", id);

            ngx_comms_dynamodb_put(t, &t->db->threads, r->thread_id,
                               ngx_comms_dynamodb_text(t, "done#%V", &part),
                               doc, NULL, NULL,
                               ngx_comms_dynamodb_replay_done_one, r);
            return;
        }

        ngx_comms_dynamodb_replay_done_one(t, r);
        return;
    }

    if (ngx_comms_sqlite_has(r->doc, "queue")
        || ngx_comms_sqlite_has(r->doc, "pairs"))
    {
        ngx_comms_dynamodb_pairs(t, r->item, ngx_comms_dynamodb_replay_queue,
                                 r);
        return;
    }

    ngx_comms_dynamodb_replay_next(t, r);
}


/* does the entry hold the message of a person with this id? */

static ngx_uint_t
ngx_comms_dynamodb_replay_said(json_t *doc, json_t *id)
{
    size_t   i;
    json_t  *entry, *message;

    json_array_foreach(json_object_get(doc, "messages"), i, entry) {

        message = json_object_get(entry, "message");

        if (json_equal(json_object_get(message, "entry_id"), id)) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_comms_dynamodb_replay_done_one(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *id;

    ngx_comms_dynamodb_replay_t *r = data;

    id = json_array_get(json_object_get(r->doc, "inbound_done"), r->i++);

    ngx_comms_dynamodb_inbound_done(t, ngx_comms_json_view(id), r->thread_id,
                                 ngx_comms_sqlite_text(r->doc, "turn_id"),
                                 ngx_comms_dynamodb_replay_inbound, r);
}


void
ngx_comms_dynamodb_pairs(ngx_comms_dynamodb_task_t *t, json_t *item,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_comms_dynamodb_pairs_t  *p;

    p = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_pairs_t));
    if (p == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    p->item = item;
    p->step = step;
    p->data = data;

    ngx_comms_dynamodb_pairs_next(t, p);
}


static void
ngx_comms_dynamodb_pairs_next(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t     *pair, *doc;
    ngx_str_t   pk;

    ngx_comms_dynamodb_pairs_t *p = data;

    pair = json_array_get(json_object_get(p->item, "comms_pairs"), p->i);

    if (pair == NULL) {
        p->step(t, p->data);
        return;
    }

    if (!p->second) {
        pk = ngx_comms_dynamodb_pair(t, pair);

    } else {
        pk = ngx_comms_dynamodb_person(t, p->item, pair);
        p->i++;
    }

    p->second = !p->second;

    doc = json_pack("{s:{s:O, s:O, s:O}}", "comms_found",
        "thread_id",
        ngx_comms_dynamodb_header_get(t->db, p->item, "thread_id"),
        "company_id",
        ngx_comms_dynamodb_header_get(t->db, p->item, "company_id"),
        "project_id",
        ngx_comms_dynamodb_header_get(t->db, p->item, "project_id"));

    ngx_comms_dynamodb_put(t, &t->db->threads, pk,
                           ngx_comms_sqlite_text(p->item, "gsi_created"), doc,
                           NULL, NULL, ngx_comms_dynamodb_pairs_next, p);
}


static void
ngx_comms_dynamodb_replay_queue(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t     *in;
    ngx_str_t   dedupe_id;

    ngx_comms_dynamodb_replay_t *r = data;

    if (!ngx_comms_sqlite_has(r->doc, "queue")) {
        ngx_comms_dynamodb_replay_next(t, r);
        return;
    }

    dedupe_id = ngx_comms_dynamodb_text(t, "accept:%V", &r->thread_id);

    in = json_pack("{s:O, s:O, s:o, s:o}",
                   "queue", json_object_get(r->doc, "queue"),
                   "body", json_object_get(r->doc, "body"),
                   "group", ngx_comms_dynamodb_string(r->thread_id),
                   "dedupe_id", ngx_comms_dynamodb_string(dedupe_id));

    ngx_comms_dynamodb_enqueue(t, in, ngx_comms_dynamodb_replay_next, r);
}


static void
ngx_comms_dynamodb_replay_next(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_replay_t *r = data;

    r->n++;
    r->c++;

    ngx_comms_dynamodb_replay_entry(t, r);
}


static void
ngx_comms_dynamodb_replay_fresh(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_replay_t *r = data;

    r->i = 0;
    r->fresh = t->item;

    ngx_comms_dynamodb_replay_copy(t, r);
}


/* the records of the channels, of the header as it is now */

static void
ngx_comms_dynamodb_replay_copy(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t     *pair, *copy, *values;
    ngx_str_t   pk, sk;

    ngx_comms_dynamodb_replay_t *r = data;

    pair = ngx_comms_dynamodb_replay_channel(r);

    if (pair == NULL) {
        ngx_comms_dynamodb_replay_empty(t, r);
        return;
    }

    copy = ngx_comms_dynamodb_copy(t, r->fresh, pair, &pk, &sk);
    values = json_pack("{s:O}", ":v", json_object_get(r->fresh, "version"));

    if (copy == NULL || values == NULL) {
        json_decref(copy);
        json_decref(values);
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_put(t, &t->db->threads, pk, sk, copy,
        "attribute_not_exists(#comms_applied) OR #comms_applied <= :v",
        values, ngx_comms_dynamodb_replay_copy, r);
}


/* the pair of the next channel: it may have more, as email with reply_to */

static json_t *
ngx_comms_dynamodb_replay_channel(ngx_comms_dynamodb_replay_t *r)
{
    size_t   i;
    json_t  *pairs, *pair;

    pairs = json_object_get(r->fresh, "comms_pairs");

    while (r->i < json_array_size(pairs)) {
        pair = json_array_get(pairs, r->i++);

        for (i = 0; i < r->i - 1; i++) {
            if (json_equal(json_object_get(json_array_get(pairs, i),
                                           "channel"),
                           json_object_get(pair, "channel")))
            {
                break;
            }
        }

        if (i == r->i - 1) {
            return pair;
        }
    }

    return NULL;
}


static void
ngx_comms_dynamodb_replay_empty(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_replay_t *r)
{
    char                         name[sizeof("#e") + NGX_INT_T_LEN];
    json_t                      *settled, *effect;
    ngx_uint_t                   n;
    const char                  *id;
    ngx_comms_dynamodb_update_t  u;

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = r->thread_id;
    u.sk = ngx_comms_dynamodb_record;
    u.names = json_object();
    u.values = json_pack("{s:[], s:I}", ":empty", ":c",
                         (json_int_t) (r->c - 1));

    ngx_str_set(&u.update,
        "SET #comms_journal = :empty REMOVE #gsi_sweep, #gsi_sweep_at");
    ngx_str_set(&u.condition, "#comms_commits = :c");

    n = 0;
    settled = ngx_comms_dynamodb_hold(t, ngx_comms_dynamodb_settled(r->item));

    json_object_foreach(settled, id, effect) {
        (void) snprintf(name, sizeof(name), "#e%u", (unsigned) n++);

        if (json_object_set_new(u.names, name, json_string(id)) != 0) {
            json_decref(u.names);
            json_decref(u.values);
            ngx_comms_dynamodb_fail(t);
            return;
        }

        u.update = ngx_comms_dynamodb_text(t, "%V, #comms_intents.%s",
                                           &u.update, name);
    }

    ngx_comms_dynamodb_update(t, &t->db->threads, &u,
                              ngx_comms_dynamodb_replay_done, r);
}


/* when others came meanwhile, they empty it */

static void
ngx_comms_dynamodb_replay_done(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_replay_t *r = data;

    r->step(t, r->data);
}


json_t *
ngx_comms_dynamodb_settled(json_t *item)
{
    size_t       i;
    json_t      *settled, *text, *doc;
    const char  *id;

    settled = json_object();

    json_array_foreach(json_object_get(item, "comms_journal"), i, text) {

        doc = ngx_comms_dynamodb_unpack(text);
        id = json_string_value(json_object_get(json_object_get(doc, "effect"),
                                               "effect_id"));

        if (id != NULL) {
            (void) json_object_set_new(settled, id, json_true());
        }

        json_decref(doc);
    }

    return settled;
}


void
ngx_comms_dynamodb_thread(ngx_comms_dynamodb_task_t *t, ngx_str_t thread_id,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_comms_dynamodb_read_t  *rd;

    rd = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_read_t));
    if (rd == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    rd->thread_id = thread_id;
    rd->step = step;
    rd->data = data;

    ngx_comms_dynamodb_thread_get(t, rd);
}


static void
ngx_comms_dynamodb_thread_get(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_read_t *rd = data;

    ngx_comms_dynamodb_get(t, &t->db->threads, rd->thread_id,
                           ngx_comms_dynamodb_record,
                           ngx_comms_dynamodb_thread_got, rd);
}


static void
ngx_comms_dynamodb_thread_got(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_read_t *rd = data;

    if (t->item == NULL
        || ++rd->reads > NGX_COMMS_DYNAMODB_REREADS
        || json_array_size(json_object_get(t->item, "comms_journal")) == 0)
    {
        rd->step(t, rd->data);
        return;
    }

    ngx_comms_dynamodb_replay(t, rd->thread_id, t->item,
                              ngx_comms_dynamodb_thread_get, rd);
}
