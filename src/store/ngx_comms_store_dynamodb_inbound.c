
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What becomes of a message from a person: it is bound to a thread, a turn
 * takes it, or it belongs to nobody.
 *
 * Items, all in the inbound table, beside those of keep:
 *   thread#<thread_id>   a hint for each that is bound to the thread
 *   orphan#pair#...      a hint for each that was set aside
 * A hint says where to look, in the order of arrival; whether its message
 * waits, and for whom, is said by the message alone.  A hint that was left
 * behind costs one read and is removed by the claim that meets it.
 *
 * Cost: bind: a read, hint, message, the hint before, the thread's header;
 * done and orphan: the message, its hints, a counter; and for an orphan a
 * read and one more hint.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


typedef struct {
    ngx_str_t                    inbound_id;
    ngx_str_t                    thread_id;
    json_t                      *item;
    ngx_comms_dynamodb_step_pt   step;
    void                        *data;
} ngx_comms_dynamodb_inbound_t;


static ngx_comms_dynamodb_inbound_t *ngx_comms_dynamodb_inbound_of(
    ngx_comms_dynamodb_task_t *t, ngx_str_t inbound_id,
    ngx_comms_dynamodb_step_pt step, void *data);
static void ngx_comms_dynamodb_inbound_taken(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_inbound_hints(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_inbound_bound(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_inbound_left(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_bind_got(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_bind_hinted(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_bind_done(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_bind_raised(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_orphan_got(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_orphan_hinted(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_orphan_done(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_inbound_got(ngx_comms_dynamodb_task_t *t,
    void *data);


ngx_str_t  ngx_comms_dynamodb_only = ngx_string("inbound");


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_orphan_members[] =
{
    { "inbound_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "reason", NGX_COMMS_SQLITE_TEXT, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_inbound_members[] =
{
    { "inbound_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


ngx_str_t
ngx_comms_dynamodb_inbound_key(ngx_comms_dynamodb_task_t *t,
    ngx_str_t inbound_id)
{
    inbound_id = ngx_comms_dynamodb_part(t, inbound_id);

    return ngx_comms_dynamodb_text(t, "in#%V", &inbound_id);
}


static ngx_comms_dynamodb_inbound_t *
ngx_comms_dynamodb_inbound_of(ngx_comms_dynamodb_task_t *t,
    ngx_str_t inbound_id, ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_comms_dynamodb_inbound_t  *n;

    n = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_inbound_t));

    if (n == NULL) {
        ngx_comms_dynamodb_fail(t);
        return NULL;
    }

    n->inbound_id = inbound_id;
    n->step = step;
    n->data = data;

    return n;
}


void
ngx_comms_dynamodb_inbound_done(ngx_comms_dynamodb_task_t *t,
    ngx_str_t inbound_id, ngx_str_t thread_id, ngx_str_t turn_id,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_comms_dynamodb_update_t    u;
    ngx_comms_dynamodb_inbound_t  *n;

    n = ngx_comms_dynamodb_inbound_of(t, inbound_id, step, data);
    if (n == NULL) {
        return;
    }

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = ngx_comms_dynamodb_inbound_key(t, inbound_id);
    u.sk = ngx_comms_dynamodb_only;
    u.returns = "ALL_OLD";
    u.values = json_pack("{s:s, s:o, s:o}", ":done", "done",
                         ":thread", ngx_comms_dynamodb_string(thread_id),
                         ":turn", ngx_comms_dynamodb_string(turn_id));

    ngx_str_set(&u.update,
                "SET #state = :done, #thread_id = :thread, #turn_id = :turn");
    ngx_str_set(&u.condition, "attribute_exists(#pk) AND #state <> :done");

    ngx_comms_dynamodb_update(t, &t->db->inbound, &u,
                              ngx_comms_dynamodb_inbound_taken, n);
}


/* by the one who took it, and nobody else: it does not wait any more */

static void
ngx_comms_dynamodb_inbound_taken(ngx_comms_dynamodb_task_t *t, void *data)
{
    const char  *was;

    ngx_comms_dynamodb_inbound_t *n = data;

    if (t->refused || t->item == NULL) {
        n->step(t, n->data);
        return;
    }

    n->item = t->item;
    was = json_string_value(json_object_get(n->item, "state"));

    if (was == NULL || ngx_strcmp(was, "waiting") != 0) {
        ngx_comms_dynamodb_inbound_hints(t, n);
        return;
    }

    ngx_comms_dynamodb_count(t, n->inbound_id,
                             json_pack("{s:i}", "inbound_waiting", -1),
                             ngx_comms_dynamodb_inbound_hints, n);
}


static void
ngx_comms_dynamodb_inbound_hints(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_inbound_t *n = data;

    if (json_is_true(json_object_get(n->item, "comms_signed"))) {
        ngx_comms_dynamodb_inbound_bound(t, n);
        return;
    }

    ngx_comms_dynamodb_delete(t, &t->db->inbound,
                              ngx_comms_sqlite_text(n->item, "comms_pair"),
                              ngx_comms_sqlite_text(n->item, "comms_when"),
                              NULL, NULL, ngx_comms_dynamodb_inbound_bound,
                              n);
}


static void
ngx_comms_dynamodb_inbound_bound(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_str_t  thread_id;

    ngx_comms_dynamodb_inbound_t *n = data;

    thread_id = ngx_comms_sqlite_text(n->item, "thread_id");

    if (thread_id.len == 0) {
        n->step(t, n->data);
        return;
    }

    ngx_comms_dynamodb_delete(t, &t->db->inbound,
                        ngx_comms_dynamodb_text(t, "thread#%V", &thread_id),
                        ngx_comms_sqlite_text(n->item, "comms_when"),
                        NULL, NULL, ngx_comms_dynamodb_inbound_left, n);
}


static void
ngx_comms_dynamodb_inbound_left(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_inbound_t *n = data;

    n->step(t, n->data);
}


void
ngx_comms_dynamodb_unhint(ngx_comms_dynamodb_task_t *t, json_t *item,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_str_t                      none;
    ngx_comms_dynamodb_inbound_t  *n;

    ngx_str_null(&none);

    n = ngx_comms_dynamodb_inbound_of(t, none, step, data);

    if (n != NULL) {
        n->item = item;
        ngx_comms_dynamodb_inbound_hints(t, n);
    }
}


void
ngx_comms_dynamodb_inbound_bind(ngx_comms_dynamodb_task_t *t,
    ngx_str_t inbound_id, ngx_str_t thread_id,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_comms_dynamodb_inbound_t  *n;

    n = ngx_comms_dynamodb_inbound_of(t, inbound_id, step, data);
    if (n == NULL) {
        return;
    }

    n->thread_id = thread_id;

    ngx_comms_dynamodb_get(t, &t->db->inbound,
                           ngx_comms_dynamodb_inbound_key(t, inbound_id),
                           ngx_comms_dynamodb_only,
                           ngx_comms_dynamodb_bind_got, n);
}


/* the hint comes first: a binding without one would be found by nobody */

static void
ngx_comms_dynamodb_bind_got(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t      *doc;
    const char  *state;

    ngx_comms_dynamodb_inbound_t *n = data;

    state = json_string_value(json_object_get(t->item, "state"));

    if (state == NULL || ngx_strcmp(state, "waiting") != 0) {
        n->step(t, n->data);
        return;
    }

    n->item = t->item;

    doc = json_pack("{s:o}", "comms_inbound_id",
                    ngx_comms_dynamodb_string(n->inbound_id));

    ngx_comms_dynamodb_put(t, &t->db->inbound,
                     ngx_comms_dynamodb_text(t, "thread#%V", &n->thread_id),
                     ngx_comms_sqlite_text(n->item, "comms_when"), doc, NULL,
                     NULL, ngx_comms_dynamodb_bind_hinted, n);
}


static void
ngx_comms_dynamodb_bind_hinted(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_update_t  u;

    ngx_comms_dynamodb_inbound_t *n = data;

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = ngx_comms_dynamodb_inbound_key(t, n->inbound_id);
    u.sk = ngx_comms_dynamodb_only;
    u.values = json_pack("{s:s, s:o}", ":waiting", "waiting",
                         ":thread", ngx_comms_dynamodb_string(n->thread_id));

    ngx_str_set(&u.update, "SET #thread_id = :thread");
    ngx_str_set(&u.condition, "#state = :waiting");

    ngx_comms_dynamodb_update(t, &t->db->inbound, &u,
                              ngx_comms_dynamodb_bind_done, n);
}


/*
 * The send gate of the thread is told; not of a message that waits no more:
 * that one was answered, and is not news.
 */

static void
ngx_comms_dynamodb_bind_done(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_update_t  u;

    ngx_comms_dynamodb_inbound_t *n = data;

    if (t->refused) {
        n->step(t, n->data);
        return;
    }

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = n->thread_id;
    u.sk = ngx_comms_dynamodb_record;
    u.values = json_pack("{s:o}", ":id",
                         ngx_comms_dynamodb_string(n->inbound_id));

    ngx_str_set(&u.update, "SET #newest_inbound_id = :id");
    ngx_str_set(&u.condition, "attribute_exists(#pk)"
                              " AND (attribute_not_exists(#newest_inbound_id)"
                              " OR #newest_inbound_id < :id)");

    ngx_comms_dynamodb_update(t, &t->db->threads, &u,
                              ngx_comms_dynamodb_bind_raised, n);
}


/* what it was hinted by before leads nowhere now */

static void
ngx_comms_dynamodb_bind_raised(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_str_t  before;

    ngx_comms_dynamodb_inbound_t *n = data;

    before = ngx_comms_sqlite_text(n->item, "thread_id");

    if (before.len == n->thread_id.len
        && ngx_memcmp(before.data, n->thread_id.data, before.len) == 0)
    {
        n->step(t, n->data);
        return;
    }

    ngx_comms_dynamodb_inbound_hints(t, n);
}


void
ngx_comms_dynamodb_op_orphan(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_str_t                      inbound_id;
    ngx_comms_dynamodb_inbound_t  *n;

    if (ngx_comms_sqlite_members("orphan", t->in,
                                 ngx_comms_dynamodb_orphan_members)
        != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    inbound_id = ngx_comms_sqlite_text(t->in, "inbound_id");

    n = ngx_comms_dynamodb_inbound_of(t, inbound_id,
                                      ngx_comms_dynamodb_orphan_done, NULL);
    if (n == NULL) {
        return;
    }

    ngx_comms_dynamodb_get(t, &t->db->inbound,
                           ngx_comms_dynamodb_inbound_key(t, inbound_id),
                           ngx_comms_dynamodb_only,
                           ngx_comms_dynamodb_orphan_got, n);
}


/* by its hint it is found when the person's data are erased */

static void
ngx_comms_dynamodb_orphan_got(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t      *doc;
    ngx_str_t    pair;
    const char  *state;

    ngx_comms_dynamodb_inbound_t *n = data;

    state = json_string_value(json_object_get(t->item, "state"));

    if (state == NULL || ngx_strcmp(state, "waiting") != 0) {
        n->step(t, n->data);
        return;
    }

    pair = ngx_comms_sqlite_text(t->item, "comms_pair");

    doc = json_pack("{s:o}", "comms_inbound_id",
                    ngx_comms_dynamodb_string(n->inbound_id));

    ngx_comms_dynamodb_put(t, &t->db->inbound,
                           ngx_comms_dynamodb_orphans(t, pair),
                           ngx_comms_sqlite_text(t->item, "comms_when"), doc,
                           NULL, NULL, ngx_comms_dynamodb_orphan_hinted, n);
}


ngx_str_t
ngx_comms_dynamodb_orphans(ngx_comms_dynamodb_task_t *t, ngx_str_t pair)
{
    return ngx_comms_dynamodb_text(t, "orphan#%V", &pair);
}


static void
ngx_comms_dynamodb_orphan_hinted(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_update_t  u;

    ngx_comms_dynamodb_inbound_t *n = data;

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = ngx_comms_dynamodb_inbound_key(t, n->inbound_id);
    u.sk = ngx_comms_dynamodb_only;
    u.returns = "ALL_OLD";
    u.values = json_pack("{s:s, s:s, s:O}", ":orphan", "orphan",
                         ":waiting", "waiting",
                         ":reason", json_object_get(t->in, "reason"));

    ngx_str_set(&u.update, "SET #state = :orphan, #reason = :reason");
    ngx_str_set(&u.condition, "#state = :waiting");

    ngx_comms_dynamodb_update(t, &t->db->inbound, &u,
                              ngx_comms_dynamodb_inbound_taken, n);
}


static void
ngx_comms_dynamodb_orphan_done(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_finish(t, NGX_OK, NULL);
}


void
ngx_comms_dynamodb_op_inbound(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_str_t  key;

    if (ngx_comms_sqlite_members("inbound", t->in,
                                 ngx_comms_dynamodb_inbound_members)
        != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    key = ngx_comms_dynamodb_inbound_key(t,
                                ngx_comms_sqlite_text(t->in, "inbound_id"));

    ngx_comms_dynamodb_get(t, &t->db->inbound, key, ngx_comms_dynamodb_only,
                           ngx_comms_dynamodb_inbound_got, NULL);
}


static void
ngx_comms_dynamodb_inbound_got(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *answer;

    if (t->item == NULL) {
        ngx_comms_dynamodb_finish(t, NGX_DECLINED, NULL);
        return;
    }

    answer = json_pack("{s:o, s:O}",
                       "inbound", ngx_comms_dynamodb_unpack(
                                      json_object_get(t->item, "event")),
                       "state", json_object_get(t->item, "state"));

    if (answer == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_finish(t, NGX_OK, answer);
}
