
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a turn starts with.
 *
 * Raising the fence is one write of the header, which answers with the header
 * as it is then.  Whoever wrote with an older fence did so before, and stands
 * in it or in its journal, which is replayed before anything else is read;
 * whoever comes later with it is refused.  So a message that was answered is
 * done before the turn looks at what waits.
 *
 * Cost: the write, and a query for each: hints bound to the thread, each of
 * its pairs (two where it is the newest thread of it), unsent messages, the
 * history; one read of all messages hinted at.  None depends on the length
 * of the thread.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


/* inbound messages that one turn takes at most */
#define NGX_COMMS_DYNAMODB_MAX_INBOUND  NGX_COMMS_DYNAMODB_BATCH


typedef struct {
    ngx_str_t                    thread_id;
    json_t                      *item;
    json_t                      *inbound;
    json_t                      *unsent;
} ngx_comms_dynamodb_claim_t;


typedef struct {
    ngx_str_t                    thread_id;
    json_t                      *item;
    json_t                      *hints;    /* {time and id: by its pair?} */
    json_t                      *found;
    ngx_str_t                    pair;
    size_t                       i;
    ngx_comms_dynamodb_step_pt   step;
    void                        *data;
} ngx_comms_dynamodb_waiting_t;


static void ngx_comms_dynamodb_claim_raised(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_claim_ready(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_claim_renewed(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_claim_waiting(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_claim_inbound(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_claim_unsent(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_claim_done(ngx_comms_dynamodb_task_t *t,
    void *data);
static json_t *ngx_comms_dynamodb_intents(ngx_comms_dynamodb_task_t *t,
    json_t *item);
static int ngx_libc_cdecl ngx_comms_dynamodb_older(const void *one,
    const void *two);
static void ngx_comms_dynamodb_waiting_hints(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_waiting_t *w, ngx_str_t key,
    ngx_comms_dynamodb_step_pt step);
static ngx_int_t ngx_comms_dynamodb_waiting_note(
    ngx_comms_dynamodb_task_t *t, ngx_comms_dynamodb_waiting_t *w,
    ngx_uint_t by_pair);
static void ngx_comms_dynamodb_waiting_bound(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_waiting_pair(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_waiting_t *w);
static void ngx_comms_dynamodb_waiting_newest(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_waiting_paired(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_waiting_read(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_waiting_t *w);
static void ngx_comms_dynamodb_waiting_got(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_waiting_tidy(ngx_comms_dynamodb_task_t *t,
    void *data);
static ngx_uint_t ngx_comms_dynamodb_waits(json_t *item);
static ngx_uint_t ngx_comms_dynamodb_waits_for(
    ngx_comms_dynamodb_waiting_t *w, json_t *item);
static const char **ngx_comms_dynamodb_sorted(ngx_comms_dynamodb_task_t *t,
    json_t *object, size_t *n);
static int ngx_libc_cdecl ngx_comms_dynamodb_compare(const void *one,
    const void *two);


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_claim_members[] = {
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "history", NGX_COMMS_SQLITE_INTEGER, 0, 0, 100000 },
    { NULL, 0, 0, 0, 0 }
};


void
ngx_comms_dynamodb_op_claim(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_claim_t   *c;
    ngx_comms_dynamodb_update_t   u;

    c = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_claim_t));

    if (c == NULL
        || ngx_comms_sqlite_members("claim", t->in,
                                    ngx_comms_dynamodb_claim_members)
           != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    c->thread_id = ngx_comms_sqlite_text(t->in, "thread_id");

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = c->thread_id;
    u.sk = ngx_comms_dynamodb_record;
    u.returns = "ALL_NEW";
    u.values = json_pack("{s:i, s:I}", ":one", 1, ":now",
                         (json_int_t) (ngx_comms_clock_ms() / 1000));

    ngx_str_set(&u.update,
                "SET #fence = #fence + :one, #version = #version + :one");
    ngx_str_set(&u.condition, "attribute_exists(#pk)"
                         " AND (attribute_not_exists(#ttl) OR #ttl >= :now)");

    ngx_comms_dynamodb_update(t, &t->db->threads, &u,
                              ngx_comms_dynamodb_claim_raised, c);
}


static void
ngx_comms_dynamodb_claim_raised(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_claim_t *c = data;

    if (t->refused || t->item == NULL) {
        ngx_comms_dynamodb_finish(t, NGX_DECLINED, NULL);
        return;
    }

    c->item = t->item;

    ngx_comms_dynamodb_replay(t, c->thread_id, c->item,
                              ngx_comms_dynamodb_claim_ready, c);
}


/*
 * The items of the pairs have a time to live from when they were written; a
 * thread that is still talked in would lose them while it lives.
 */

static void
ngx_comms_dynamodb_claim_ready(ngx_comms_dynamodb_task_t *t, void *data)
{
    int64_t  age, days;

    ngx_comms_dynamodb_claim_t *c = data;

    days = t->db->conf->retention_days;
    age = ngx_comms_clock_ms()
          - json_integer_value(json_object_get(c->item, "comms_pairs_at"));

    if (days != 0 && age > days * (86400000 / 2)) {
        ngx_comms_dynamodb_pairs(t, c->item, ngx_comms_dynamodb_claim_renewed,
                                 c);
        return;
    }

    ngx_comms_dynamodb_claim_waiting(t, c);
}


static void
ngx_comms_dynamodb_claim_renewed(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_update_t  u;

    ngx_comms_dynamodb_claim_t *c = data;

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = c->thread_id;
    u.sk = ngx_comms_dynamodb_record;
    u.values = json_pack("{s:I}", ":now", (json_int_t) ngx_comms_clock_ms());

    ngx_str_set(&u.update, "SET #comms_pairs_at = :now");
    ngx_str_set(&u.condition, "attribute_exists(#pk)");

    ngx_comms_dynamodb_update(t, &t->db->threads, &u,
                              ngx_comms_dynamodb_claim_waiting, c);
}


static void
ngx_comms_dynamodb_claim_waiting(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_claim_t *c = data;

    ngx_comms_dynamodb_waiting(t, c->thread_id, c->item,
                               ngx_comms_dynamodb_claim_inbound, c);
}


static void
ngx_comms_dynamodb_claim_inbound(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_claim_t *c = data;

    c->inbound = t->items;

    ngx_comms_dynamodb_unsent(t, c->thread_id,
                              ngx_comms_dynamodb_claim_unsent, c);
}


static void
ngx_comms_dynamodb_claim_unsent(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_claim_t *c = data;

    c->unsent = t->items;

    ngx_comms_dynamodb_newest(t, c->item,
                 json_integer_value(json_object_get(t->in, "history")),
                 ngx_comms_dynamodb_claim_done, c);
}


static void
ngx_comms_dynamodb_claim_done(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *answer;

    ngx_comms_dynamodb_claim_t *c = data;

    answer = json_pack("{s:O, s:o, s:O, s:O, s:o, s:O}",
                       "fence", json_object_get(c->item, "fence"),
                       "record", ngx_comms_dynamodb_header(t, c->item),
                       "inbound", c->inbound,
                       "unsent", c->unsent,
                       "effects", ngx_comms_dynamodb_intents(t, c->item),
                       "messages", t->items);

    if (answer == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_finish(t, NGX_OK, answer);
}


/* what is intended and not settled, the oldest first */

static json_t *
ngx_comms_dynamodb_intents(ngx_comms_dynamodb_task_t *t, json_t *item)
{
    size_t       i, n;
    json_t      *intents, *intent, *settled, *effects, **elts;
    const char  *id;

    intents = json_object_get(item, "comms_intents");
    settled = ngx_comms_dynamodb_hold(t, ngx_comms_dynamodb_settled(item));
    effects = json_array();
    n = 0;

    elts = ngx_palloc(t->pool, (json_object_size(intents) + 1)
                               * sizeof(json_t *));
    if (elts == NULL) {
        json_decref(effects);
        return NULL;
    }

    json_object_foreach(intents, id, intent) {

        if (json_object_get(settled, id) != NULL) {
            continue;
        }

        elts[n] = ngx_comms_dynamodb_hold(t,
                                       ngx_comms_dynamodb_effect(id, intent));

        if (elts[n++] == NULL) {
            json_decref(effects);
            return NULL;
        }
    }

    ngx_qsort(elts, n, sizeof(json_t *), ngx_comms_dynamodb_older);

    for (i = 0; i < n; i++) {
        (void) json_array_append(effects, elts[i]);
    }

    return effects;
}


static int ngx_libc_cdecl
ngx_comms_dynamodb_older(const void *one, const void *two)
{
    json_t   *a, *b;
    int64_t   at, bt;

    a = *(json_t **) one;
    b = *(json_t **) two;

    at = json_integer_value(json_object_get(a, "intended_at"));
    bt = json_integer_value(json_object_get(b, "intended_at"));

    if (at != bt) {
        return (at < bt) ? -1 : 1;
    }

    return ngx_strcmp(json_string_value(json_object_get(a, "effect_id")),
                      json_string_value(json_object_get(b, "effect_id")));
}


void
ngx_comms_dynamodb_waiting(ngx_comms_dynamodb_task_t *t, ngx_str_t thread_id,
    json_t *item, ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_comms_dynamodb_waiting_t  *w;

    w = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_waiting_t));
    if (w == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    w->thread_id = thread_id;
    w->item = item;
    w->hints = ngx_comms_dynamodb_hold(t, json_object());
    w->step = step;
    w->data = data;

    ngx_comms_dynamodb_waiting_hints(t, w,
                          ngx_comms_dynamodb_text(t, "thread#%V", &thread_id),
                          ngx_comms_dynamodb_waiting_bound);
}


static void
ngx_comms_dynamodb_waiting_hints(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_waiting_t *w, ngx_str_t key,
    ngx_comms_dynamodb_step_pt step)
{
    ngx_comms_dynamodb_query_t  q;

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.key = "#pk = :pk";
    q.values = json_pack("{s:o}", ":pk", ngx_comms_dynamodb_string(key));
    q.limit = NGX_COMMS_DYNAMODB_MAX_INBOUND;
    q.forward = 1;

    ngx_comms_dynamodb_query(t, &t->db->inbound, &q, step, w);
}


static ngx_int_t
ngx_comms_dynamodb_waiting_note(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_waiting_t *w, ngx_uint_t by_pair)
{
    size_t       i;
    json_t      *hint;
    const char  *when;

    json_array_foreach(t->items, i, hint) {

        when = json_string_value(json_object_get(hint, t->db->inbound.sk));

        if (json_object_set_new(w->hints, when,
                json_pack("{s:O, s:b}", "inbound_id",
                          json_object_get(hint, "comms_inbound_id"),
                          "by_pair", (int) by_pair))
            != 0)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_comms_dynamodb_waiting_bound(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_waiting_t *w = data;

    if (ngx_comms_dynamodb_waiting_note(t, w, 0) != NGX_OK) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_waiting_pair(t, w);
}


static void
ngx_comms_dynamodb_waiting_pair(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_waiting_t *w)
{
    json_t                      *pair;
    ngx_comms_dynamodb_query_t   q;

    pair = json_array_get(json_object_get(w->item, "comms_pairs"), w->i);

    if (pair == NULL) {
        ngx_comms_dynamodb_waiting_read(t, w);
        return;
    }

    w->i++;
    w->pair = ngx_comms_dynamodb_pair(t, pair);

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.key = "#pk = :pk";
    q.values = json_pack("{s:o}", ":pk", ngx_comms_dynamodb_string(w->pair));
    q.limit = 1;

    ngx_comms_dynamodb_query(t, &t->db->threads, &q,
                             ngx_comms_dynamodb_waiting_newest, w);
}


/* is the thread the newest of the pair? */

static void
ngx_comms_dynamodb_waiting_newest(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t     *found;
    ngx_str_t   newest;

    ngx_comms_dynamodb_waiting_t *w = data;

    found = json_object_get(json_array_get(t->items, 0), "comms_found");
    newest = ngx_comms_sqlite_text(found, "thread_id");

    if (newest.len != w->thread_id.len
        || ngx_memcmp(newest.data, w->thread_id.data, newest.len) != 0)
    {
        ngx_comms_dynamodb_waiting_pair(t, w);
        return;
    }

    ngx_comms_dynamodb_waiting_hints(t, w, w->pair,
                                     ngx_comms_dynamodb_waiting_paired);
}


static void
ngx_comms_dynamodb_waiting_paired(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_waiting_t *w = data;

    if (ngx_comms_dynamodb_waiting_note(t, w, 1) != NGX_OK) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_waiting_pair(t, w);
}


static void
ngx_comms_dynamodb_waiting_read(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_waiting_t *w)
{
    size_t        i, n;
    json_t       *keys, *hint;
    ngx_str_t     id;
    const char  **when;

    t->items = w->hints;

    if (json_object_size(w->hints) == 0) {
        t->items = ngx_comms_dynamodb_hold(t, json_array());
        w->step(t, w->data);
        return;
    }

    when = ngx_comms_dynamodb_sorted(t, w->hints, &n);
    keys = json_array();

    if (when == NULL) {
        json_decref(keys);
        ngx_comms_dynamodb_fail(t);
        return;
    }

    for (i = 0; i < ngx_min(n, NGX_COMMS_DYNAMODB_MAX_INBOUND); i++) {

        hint = json_object_get(w->hints, when[i]);
        id = ngx_comms_dynamodb_part(t, ngx_comms_sqlite_text(hint,
                                                              "inbound_id"));
        id = ngx_comms_dynamodb_text(t, "in#%V", &id);

        (void) json_array_append_new(keys,
                   json_pack("[o, s]", ngx_comms_dynamodb_string(id),
                             "inbound"));
    }

    ngx_comms_dynamodb_batch(t, &t->db->inbound, keys,
                             ngx_comms_dynamodb_waiting_got, w);
}


static void
ngx_comms_dynamodb_waiting_got(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_waiting_t *w = data;

    w->found = t->items;
    w->i = 0;

    ngx_comms_dynamodb_waiting_tidy(t, w);
}


/* hints that were left behind go; the rest is in the order of arrival */

static void
ngx_comms_dynamodb_waiting_tidy(ngx_comms_dynamodb_task_t *t, void *data)
{
    size_t        n, k;
    json_t       *item, *byw, *inbound;
    const char  **when;

    ngx_comms_dynamodb_waiting_t *w = data;

    while (w->i < json_array_size(w->found)) {
        item = json_array_get(w->found, w->i++);

        if (!ngx_comms_dynamodb_waits(item)) {
            ngx_comms_dynamodb_unhint(t, item,
                                      ngx_comms_dynamodb_waiting_tidy, w);
            return;
        }
    }

    byw = ngx_comms_dynamodb_hold(t, json_object());
    inbound = ngx_comms_dynamodb_hold(t, json_array());

    json_array_foreach(w->found, n, item) {
        if (ngx_comms_dynamodb_waits_for(w, item)) {
            (void) json_object_set_new(byw,
                json_string_value(json_object_get(item, "comms_when")),
                ngx_comms_dynamodb_unpack(json_object_get(item, "event")));
        }
    }

    when = ngx_comms_dynamodb_sorted(t, byw, &n);

    if (when == NULL || inbound == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    for (k = 0; k < n; k++) {
        (void) json_array_append(inbound, json_object_get(byw, when[k]));
    }

    t->items = inbound;

    w->step(t, w->data);
}


static ngx_uint_t
ngx_comms_dynamodb_waits(json_t *item)
{
    const char  *state;

    state = json_string_value(json_object_get(item, "state"));

    return state != NULL && ngx_strcmp(state, "waiting") == 0;
}


static ngx_uint_t
ngx_comms_dynamodb_waits_for(ngx_comms_dynamodb_waiting_t *w, json_t *item)
{
    json_t     *hint;
    ngx_str_t   thread_id;

    if (!ngx_comms_dynamodb_waits(item)) {
        return 0;
    }

    thread_id = ngx_comms_sqlite_text(item, "thread_id");

    if (thread_id.len != 0) {
        return thread_id.len == w->thread_id.len
               && ngx_memcmp(thread_id.data, w->thread_id.data, thread_id.len)
                  == 0;
    }

    hint = json_object_get(w->hints,
                json_string_value(json_object_get(item, "comms_when")));

    return json_is_true(json_object_get(hint, "by_pair"));
}


/* the names of an object's members, sorted */

static const char **
ngx_comms_dynamodb_sorted(ngx_comms_dynamodb_task_t *t, json_t *object,
    size_t *n)
{
    json_t       *value;
    const char   *name, **names;

    names = ngx_palloc(t->pool, (json_object_size(object) + 1)
                                * sizeof(char *));
    if (names == NULL) {
        return NULL;
    }

    *n = 0;

    json_object_foreach(object, name, value) {
        names[(*n)++] = name;
    }

    ngx_qsort(names, *n, sizeof(char *), ngx_comms_dynamodb_compare);

    return names;
}


static int ngx_libc_cdecl
ngx_comms_dynamodb_compare(const void *one, const void *two)
{
    return ngx_strcmp(*(char **) one, *(char **) two);
}
