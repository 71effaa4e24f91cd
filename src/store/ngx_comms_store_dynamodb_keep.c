
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Keeping a message from a person.  Items, all in the inbound table:
 *   dedupe#<dedupe_id>   the guard and the commit: put once only, with all
 *                        that was given to keep until the rest has followed
 *   in#<inbound_id>      the message, its state, the thread it is bound to
 *   pair#...             a hint for each that waits under its address pair
 * What becomes of it afterwards is in ngx_comms_store_dynamodb_inbound.c.
 *
 * Cost: guard, message, hint, queue entry, a counter, the guard again.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_id.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


typedef struct {
    json_t                      *payload;
    ngx_str_t                    guard;
    ngx_str_t                    token;
    ngx_str_t                    inbound_id;
    ngx_uint_t                   created;
    ngx_uint_t                   own;
    ngx_comms_dynamodb_step_pt   step;
    void                        *data;
} ngx_comms_dynamodb_keep_t;


static void ngx_comms_dynamodb_keep_guarded(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_keep_before(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_keep_declined(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_keep_message(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_keep_t *k);
static void ngx_comms_dynamodb_keep_made(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_keep_other(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_keep_undone(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_keep_hint(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_keep_t *k);
static void ngx_comms_dynamodb_keep_queue(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_keep_count(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_keep_finish(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_keep_end(ngx_comms_dynamodb_task_t *t,
    void *data);
static ngx_uint_t ngx_comms_dynamodb_signed(json_t *event);


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_keep_members[] = {
    { "inbound", NGX_COMMS_SQLITE_OBJECT, 0, 0, 0 },
    { "queue", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "body", NGX_COMMS_SQLITE_OBJECT, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_event_members[] = {
    { "inbound_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "dedupe_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "channel", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "company_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "person_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "received_at", NGX_COMMS_SQLITE_INTEGER, 0, 0, INT64_MAX },
    { NULL, 0, 0, 0, 0 }
};


void
ngx_comms_dynamodb_op_keep(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t                     *event, *doc;
    ngx_str_t                   dedupe_id;
    ngx_comms_dynamodb_keep_t  *k;

    event = json_object_get(t->in, "inbound");

    k = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_keep_t));

    if (k == NULL
        || ngx_comms_sqlite_members("keep", t->in,
                                    ngx_comms_dynamodb_keep_members)
           != NGX_OK
        || ngx_comms_sqlite_members("keep inbound", event,
                                    ngx_comms_dynamodb_event_members)
           != NGX_OK
        || ngx_comms_id_mint(t->pool, "", &k->token) != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    k->own = 1;
    k->payload = t->in;

    dedupe_id = ngx_comms_dynamodb_part(t, ngx_comms_sqlite_text(event,
                                                             "dedupe_id"));
    k->guard = ngx_comms_dynamodb_text(t, "dedupe#%V", &dedupe_id);

    doc = json_pack("{s:o, s:o, s:o, s:I}",
                    "comms_token", ngx_comms_dynamodb_string(k->token),
                    "comms_payload", ngx_comms_dynamodb_pack(t->in),
                    "gsi_sweep", ngx_comms_dynamodb_shard(dedupe_id),
                    "gsi_sweep_at", (json_int_t) ngx_comms_clock_ms());

    ngx_comms_dynamodb_put(t, &t->db->inbound, k->guard,
                           ngx_comms_dynamodb_only, doc,
                           "attribute_not_exists(#pk)", NULL,
                           ngx_comms_dynamodb_keep_guarded, k);
}


static void
ngx_comms_dynamodb_keep_guarded(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_keep_t *k = data;

    if (t->refused) {
        ngx_comms_dynamodb_get(t, &t->db->inbound, k->guard,
                               ngx_comms_dynamodb_only,
                               ngx_comms_dynamodb_keep_before, k);
        return;
    }

    ngx_comms_dynamodb_keep_message(t, k);
}


static void
ngx_comms_dynamodb_keep_before(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_str_t  token;

    ngx_comms_dynamodb_keep_t *k = data;

    token = ngx_comms_sqlite_text(t->item, "comms_token");

    if (token.len == k->token.len
        && ngx_memcmp(token.data, k->token.data, token.len) == 0)
    {
        ngx_comms_dynamodb_keep_message(t, k);
        return;
    }

    /*
     * Who is told that it was kept does not send it again: so it must be
     * queued by then, whatever became of the one that kept it.
     */
    if (ngx_comms_sqlite_has(t->item, "comms_payload")) {
        ngx_comms_dynamodb_keep_resume(t, t->item,
                                       ngx_comms_dynamodb_keep_declined, k);
        return;
    }

    ngx_comms_dynamodb_keep_declined(t, k);
}


static void
ngx_comms_dynamodb_keep_declined(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_finish(t, NGX_DECLINED, NULL);
}


void
ngx_comms_dynamodb_keep_resume(ngx_comms_dynamodb_task_t *t, json_t *guard,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_comms_dynamodb_keep_t  *k;

    k = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_keep_t));
    if (k == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    k->step = step;
    k->data = data;
    k->guard = ngx_comms_sqlite_text(guard, t->db->inbound.pk);
    k->payload = ngx_comms_dynamodb_hold(t,
                                  ngx_comms_dynamodb_unpack(
                                  json_object_get(guard, "comms_payload")));

    if (k->payload == NULL) {
        step(t, data);
        return;
    }

    ngx_comms_dynamodb_keep_message(t, k);
}


static void
ngx_comms_dynamodb_keep_message(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_keep_t *k)
{
    json_t     *event, *doc;
    ngx_str_t   pair, when;

    event = json_object_get(k->payload, "inbound");

    k->inbound_id = ngx_comms_sqlite_text(event, "inbound_id");

    pair = ngx_comms_dynamodb_pair(t, event);
    when = ngx_comms_dynamodb_when(t,
                   json_integer_value(json_object_get(event, "received_at")),
                   k->inbound_id);

    doc = json_pack("{s:s, s:o, s:o, s:o, s:o, s:b}",
                    "state", "waiting",
                    "event", ngx_comms_dynamodb_pack(event),
                    "comms_guard", ngx_comms_dynamodb_string(k->guard),
                    "comms_pair", ngx_comms_dynamodb_string(pair),
                    "comms_when", ngx_comms_dynamodb_string(when),
                    "comms_signed", (int) ngx_comms_dynamodb_signed(event));

    ngx_comms_dynamodb_put(t, &t->db->inbound,
                           ngx_comms_dynamodb_inbound_key(t, k->inbound_id),
                           ngx_comms_dynamodb_only, doc,
                           "attribute_not_exists(#pk)", NULL,
                           ngx_comms_dynamodb_keep_made, k);
}


static void
ngx_comms_dynamodb_keep_made(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_keep_t *k = data;

    if (t->refused) {
        ngx_comms_dynamodb_get(t, &t->db->inbound,
                               ngx_comms_dynamodb_inbound_key(t,
                                                             k->inbound_id),
                               ngx_comms_dynamodb_only,
                               ngx_comms_dynamodb_keep_other, k);
        return;
    }

    k->created = 1;

    if (k->own) {
        ngx_comms_dynamodb_commit(t, NULL);
    }

    ngx_comms_dynamodb_keep_hint(t, k);
}


static void
ngx_comms_dynamodb_keep_other(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_str_t  its;

    ngx_comms_dynamodb_keep_t *k = data;

    its = ngx_comms_sqlite_text(t->item, "comms_guard");

    if (its.len == k->guard.len
        && ngx_memcmp(its.data, k->guard.data, its.len) == 0)
    {
        ngx_comms_dynamodb_keep_hint(t, k);
        return;
    }

    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                  "comms \"keep\" was given the inbound_id of another "
                  "message");

    ngx_comms_dynamodb_delete(t, &t->db->inbound, k->guard,
                              ngx_comms_dynamodb_only, NULL, NULL,
                              ngx_comms_dynamodb_keep_undone, k);
}


static void
ngx_comms_dynamodb_keep_undone(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_fail(t);
}


/* one that names a message or a thread must not be taken by its pair */

static void
ngx_comms_dynamodb_keep_hint(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_keep_t *k)
{
    json_t     *event, *doc;
    ngx_str_t   when;

    event = json_object_get(k->payload, "inbound");

    if (ngx_comms_dynamodb_signed(event)) {
        ngx_comms_dynamodb_keep_queue(t, k);
        return;
    }

    when = ngx_comms_dynamodb_when(t,
                   json_integer_value(json_object_get(event, "received_at")),
                   k->inbound_id);

    doc = json_pack("{s:o}", "comms_inbound_id",
                    ngx_comms_dynamodb_string(k->inbound_id));

    ngx_comms_dynamodb_put(t, &t->db->inbound,
                           ngx_comms_dynamodb_pair(t, event), when, doc, NULL,
                           NULL, ngx_comms_dynamodb_keep_queue, k);
}


static void
ngx_comms_dynamodb_keep_queue(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t     *in;
    ngx_str_t   dedupe_id;

    ngx_comms_dynamodb_keep_t *k = data;

    dedupe_id = ngx_comms_dynamodb_text(t, "keep:%V", &k->inbound_id);

    in = json_pack("{s:O, s:O, s:o}",
                   "queue", json_object_get(k->payload, "queue"),
                   "body", json_object_get(k->payload, "body"),
                   "dedupe_id", ngx_comms_dynamodb_string(dedupe_id));

    ngx_comms_dynamodb_enqueue(t, in, ngx_comms_dynamodb_keep_count, k);
}


static void
ngx_comms_dynamodb_keep_count(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_keep_t *k = data;

    if (!k->created) {
        ngx_comms_dynamodb_keep_finish(t, k);
        return;
    }

    ngx_comms_dynamodb_count(t, k->inbound_id,
                             json_pack("{s:i}", "inbound_waiting", 1),
                             ngx_comms_dynamodb_keep_finish, k);
}


static void
ngx_comms_dynamodb_keep_finish(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_update_t  u;

    ngx_comms_dynamodb_keep_t *k = data;

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = k->guard;
    u.sk = ngx_comms_dynamodb_only;

    ngx_str_set(&u.update, "REMOVE #comms_payload, #gsi_sweep, #gsi_sweep_at");
    ngx_str_set(&u.condition, "attribute_exists(#pk)");

    ngx_comms_dynamodb_update(t, &t->db->inbound, &u,
                              ngx_comms_dynamodb_keep_end, k);
}


static void
ngx_comms_dynamodb_keep_end(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_keep_t *k = data;

    if (k->step != NULL) {
        k->step(t, k->data);
        return;
    }

    ngx_comms_dynamodb_finish(t, NGX_OK, NULL);
}


static ngx_uint_t
ngx_comms_dynamodb_signed(json_t *event)
{
    json_t  *first;

    first = json_array_get(json_object_get(event, "message_ids"), 0);

    return (first != NULL && !json_is_null(first))
           || ngx_comms_sqlite_has(event, "replied_to")
           || ngx_comms_sqlite_has(event, "reply_token");
}
