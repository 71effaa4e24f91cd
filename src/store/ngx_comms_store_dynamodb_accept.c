
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The start of a thread.
 *
 * The commit is the guard: one item, named after the conversation_id, that
 * is put once only and holds all that was given to accept.  The header, the
 * items of the address pairs and the queue entry follow from it, through the
 * journal; then the guard keeps the answer alone.  A guard that still has its
 * payload is in the sweeper's index, and whoever is told "accepted before" by
 * one that is not fresh goes on with it.
 *
 * Cost: guard, header, two items for each pair, queue entry, the emptying of
 * the journal, a counter, the guard again.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


typedef struct {
    size_t                       i;
    json_t                      *accepted;
    json_t                      *opted_out;
} ngx_comms_dynamodb_admit_t;


typedef struct {
    json_t                      *payload;    /* what accept was given */
    json_t                      *item;       /* the header's */
    ngx_str_t                    thread_id;
    ngx_str_t                    guard;
    ngx_str_t                    token;
    ngx_uint_t                   created;
    ngx_uint_t                   own;        /* nobody else accepted it */
    ngx_comms_dynamodb_step_pt   step;
    void                        *data;
} ngx_comms_dynamodb_accept_t;


static void ngx_comms_dynamodb_admit_guard(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_admit_address(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_admit_asked(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_admit_done(ngx_comms_dynamodb_task_t *t,
    void *data);
static ngx_int_t ngx_comms_dynamodb_accept_check(json_t *in);
static void ngx_comms_dynamodb_accept_guard(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_accept_t *a);
static void ngx_comms_dynamodb_accept_guarded(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_accept_before(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_accept_declined(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_accept_header(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_accept_t *a);
static void ngx_comms_dynamodb_accept_made(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_accept_other(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_accept_undone(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_accept_count(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_accept_finish(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_accept_end(ngx_comms_dynamodb_task_t *t,
    void *data);


ngx_str_t  ngx_comms_dynamodb_guard = ngx_string("guard");


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_admit_members[] = {
    { "company_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "project_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "conversation_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "addresses", NGX_COMMS_SQLITE_NAMES, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_accept_members[] =
{
    { "record", NGX_COMMS_SQLITE_OBJECT, 0, 0, 0 },
    { "request_hash", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "queue_timestamp", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "pairs", NGX_COMMS_SQLITE_ARRAY, 0, 0, 0 },
    { "queue", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "body", NGX_COMMS_SQLITE_OBJECT, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_header_members[] =
{
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "conversation_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "company_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "project_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "request_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "channel_method", NGX_COMMS_SQLITE_NAMES, 0, 0, 0 },
    { "conversation_status", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


void
ngx_comms_dynamodb_op_admit(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_str_t                    key;
    ngx_comms_dynamodb_admit_t  *a;

    if (ngx_comms_sqlite_members("admit", t->in,
                                 ngx_comms_dynamodb_admit_members)
        != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    a = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_admit_t));
    if (a == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    a->opted_out = ngx_comms_dynamodb_hold(t, json_array());

    key = ngx_comms_dynamodb_accept_key(t,
                           ngx_comms_sqlite_text(t->in, "conversation_id"));

    ngx_comms_dynamodb_get(t, &t->db->threads, key, ngx_comms_dynamodb_guard,
                           ngx_comms_dynamodb_admit_guard, a);
}


static void
ngx_comms_dynamodb_admit_guard(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_admit_t *a = data;

    a->accepted = json_object_get(t->item, "comms_accepted");

    /*
     * What is shown as accepted can be read and is queued: whoever accepted
     * it may have died after the guard.
     */
    if (ngx_comms_sqlite_has(t->item, "comms_payload")) {
        ngx_comms_dynamodb_accept_resume(t, t->item,
                                         ngx_comms_dynamodb_admit_address, a);
        return;
    }

    ngx_comms_dynamodb_admit_address(t, a);
}


static void
ngx_comms_dynamodb_admit_address(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t                      *address;
    ngx_str_t                    company_id, project_id, open;
    ngx_comms_dynamodb_query_t   q;

    ngx_comms_dynamodb_admit_t *a = data;

    company_id = ngx_comms_sqlite_text(t->in, "company_id");
    address = json_array_get(json_object_get(t->in, "addresses"), a->i);

    if (address != NULL) {
        ngx_comms_dynamodb_opted_out(t, company_id,
                                     ngx_comms_json_view(address),
                                     ngx_comms_dynamodb_admit_asked, a);
        return;
    }

    project_id = ngx_comms_sqlite_text(t->in, "project_id");
    open = ngx_comms_dynamodb_text(t, "%V#%V", &company_id, &project_id);

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.index = "open-index";
    q.key = "#gsi_open = :open";
    q.values = json_pack("{s:o}", ":open", ngx_comms_dynamodb_string(open));
    q.limit = 1;
    q.count = 1;

    ngx_comms_dynamodb_query(t, &t->db->threads, &q,
                             ngx_comms_dynamodb_admit_done, a);
}


static void
ngx_comms_dynamodb_admit_asked(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *address;

    ngx_comms_dynamodb_admit_t *a = data;

    address = json_array_get(json_object_get(t->in, "addresses"), a->i++);

    if (t->count && json_array_append(a->opted_out, address) != 0) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_admit_address(t, a);
}


static void
ngx_comms_dynamodb_admit_done(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *answer;

    ngx_comms_dynamodb_admit_t *a = data;

    answer = json_pack("{s:O, s:O, s:I}",
                       "accepted",
                       (a->accepted != NULL) ? a->accepted : json_null(),
                       "opted_out", a->opted_out,
                       "open_conversations", (json_int_t) t->count);

    if (answer == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_finish(t, NGX_OK, answer);
}


void
ngx_comms_dynamodb_op_accept(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_accept_t  *a;

    if (ngx_comms_dynamodb_accept_check(t->in) != NGX_OK) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    a = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_accept_t));

    if (a == NULL
        || ngx_comms_id_mint(t->pool, "", &a->token) != NGX_OK
        || json_object_set_new(t->in, "now",
                               json_integer(ngx_comms_clock_ms()))
           != 0)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    a->payload = t->in;
    a->own = 1;

    ngx_comms_dynamodb_accept_guard(t, a);
}


static ngx_int_t
ngx_comms_dynamodb_accept_check(json_t *in)
{
    if (ngx_comms_sqlite_members("accept", in,
                                 ngx_comms_dynamodb_accept_members)
        != NGX_OK
        || ngx_comms_sqlite_members("accept record",
                                    json_object_get(in, "record"),
                                    ngx_comms_dynamodb_header_members)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_dynamodb_check_pairs("accept pair", in);
}


static void
ngx_comms_dynamodb_accept_guard(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_accept_t *a)
{
    json_t     *doc, *record, *values, *now;
    ngx_str_t   conversation_id;

    record = json_object_get(t->in, "record");
    now = json_object_get(t->in, "now");
    conversation_id = ngx_comms_sqlite_text(record, "conversation_id");

    a->guard = ngx_comms_dynamodb_accept_key(t, conversation_id);

    doc = json_pack("{s:{s:O, s:O, s:O, s:O, s:O, s:O}, s:o, s:o, s:o, s:O}",
        "comms_accepted",
        "thread_id", json_object_get(record, "thread_id"),
        "conversation_id", json_object_get(record, "conversation_id"),
        "request_id", json_object_get(record, "request_id"),
        "request_hash", json_object_get(t->in, "request_hash"),
        "channels", json_object_get(record, "channel_method"),
        "queue_timestamp", json_object_get(t->in, "queue_timestamp"),
        "comms_token", ngx_comms_dynamodb_string(a->token),
        "comms_payload", ngx_comms_dynamodb_pack(t->in),
        "gsi_sweep", ngx_comms_dynamodb_shard(conversation_id),
        "gsi_sweep_at", now);

    values = json_pack("{s:I}", ":now",
                       (json_int_t) (json_integer_value(now) / 1000));

    ngx_comms_dynamodb_put(t, &t->db->threads, a->guard,
                           ngx_comms_dynamodb_guard, doc,
                           "attribute_not_exists(#pk) OR #ttl < :now", values,
                           ngx_comms_dynamodb_accept_guarded, a);
}


static void
ngx_comms_dynamodb_accept_guarded(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_accept_t *a = data;

    if (t->refused) {
        ngx_comms_dynamodb_get(t, &t->db->threads, a->guard,
                               ngx_comms_dynamodb_guard,
                               ngx_comms_dynamodb_accept_before, a);
        return;
    }

    ngx_comms_dynamodb_accept_header(t, a);
}


/*
 * Accepted before; by ourselves, when the call was answered only the second
 * time it was sent.
 */

static void
ngx_comms_dynamodb_accept_before(ngx_comms_dynamodb_task_t *t, void *data)
{
    int64_t    at;
    ngx_str_t  token;

    ngx_comms_dynamodb_accept_t *a = data;

    if (t->item == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    token = ngx_comms_sqlite_text(t->item, "comms_token");

    if (token.len == a->token.len
        && ngx_memcmp(token.data, a->token.data, token.len) == 0)
    {
        ngx_comms_dynamodb_accept_header(t, a);
        return;
    }

    a->own = 0;
    a->item = t->item;
    at = json_integer_value(json_object_get(t->item, "gsi_sweep_at"));

    if (ngx_comms_sqlite_has(t->item, "comms_payload")
        && at < ngx_comms_clock_ms() - NGX_COMMS_DYNAMODB_FRESH)
    {
        ngx_comms_dynamodb_accept_resume(t, t->item,
                                         ngx_comms_dynamodb_accept_declined,
                                         t->item);
        return;
    }

    ngx_comms_dynamodb_accept_declined(t, t->item);
}


static void
ngx_comms_dynamodb_accept_declined(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t *guard = data;

    ngx_comms_dynamodb_finish(t, NGX_DECLINED,
                    json_incref(json_object_get(guard, "comms_accepted")));
}


void
ngx_comms_dynamodb_accept_resume(ngx_comms_dynamodb_task_t *t, json_t *guard,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_str_t                     conversation_id;
    ngx_comms_dynamodb_accept_t  *a;

    a = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_accept_t));
    if (a == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    a->payload = ngx_comms_dynamodb_hold(t,
                                  ngx_comms_dynamodb_unpack(
                                  json_object_get(guard, "comms_payload")));

    if (a->payload == NULL) {
        step(t, data);
        return;
    }

    conversation_id = ngx_comms_sqlite_text(json_object_get(a->payload,
                                                            "record"),
                                            "conversation_id");

    a->guard = ngx_comms_dynamodb_accept_key(t, conversation_id);
    a->step = step;
    a->data = data;

    ngx_comms_dynamodb_accept_header(t, a);
}


static void
ngx_comms_dynamodb_accept_header(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_accept_t *a)
{
    json_t  *journal, *record;

    record = json_object_get(a->payload, "record");

    journal = json_pack("{s:O, s:O}",
                        "queue", json_object_get(a->payload, "queue"),
                        "body", json_object_get(a->payload, "body"));

    a->thread_id = ngx_comms_sqlite_text(record, "thread_id");
    a->item = ngx_comms_dynamodb_hold(t,
                      ngx_comms_dynamodb_header_make(t, a->payload, journal));

    if (a->item == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_put(t, &t->db->threads, a->thread_id,
                           ngx_comms_dynamodb_record, json_incref(a->item),
                           "attribute_not_exists(#pk)", NULL,
                           ngx_comms_dynamodb_accept_made, a);
}


static void
ngx_comms_dynamodb_accept_made(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_accept_t *a = data;

    if (t->refused) {
        ngx_comms_dynamodb_get(t, &t->db->threads, a->thread_id,
                               ngx_comms_dynamodb_record,
                               ngx_comms_dynamodb_accept_other, a);
        return;
    }

    a->created = 1;

    if (a->own) {
        ngx_comms_dynamodb_commit(t, NULL);
    }

    ngx_comms_dynamodb_replay(t, a->thread_id, a->item,
                              ngx_comms_dynamodb_accept_count, a);
}


/* the header was made by somebody who went on with this guard; or not? */

static void
ngx_comms_dynamodb_accept_other(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_str_t  its, ours;

    ngx_comms_dynamodb_accept_t *a = data;

    its = ngx_comms_json_view(
            ngx_comms_dynamodb_header_get(t->db, t->item, "conversation_id"));
    ours = ngx_comms_json_view(
            ngx_comms_dynamodb_header_get(t->db, a->item, "conversation_id"));

    if (its.len == ours.len && ngx_memcmp(its.data, ours.data, its.len) == 0)
    {
        ngx_comms_dynamodb_replay(t, a->thread_id, t->item,
                                  ngx_comms_dynamodb_accept_count, a);
        return;
    }

    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                  "comms \"accept\" was given the thread_id of another "
                  "thread");

    ngx_comms_dynamodb_delete(t, &t->db->threads, a->guard,
                              ngx_comms_dynamodb_guard, NULL, NULL,
                              ngx_comms_dynamodb_accept_undone, a);
}


static void
ngx_comms_dynamodb_accept_undone(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_fail(t);
}


static void
ngx_comms_dynamodb_accept_count(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_str_t  status, name;

    ngx_comms_dynamodb_accept_t *a = data;

    if (!a->created) {
        ngx_comms_dynamodb_accept_finish(t, a);
        return;
    }

    status = ngx_comms_sqlite_text(a->item, "conversation_status");
    name = ngx_comms_dynamodb_text(t, "threads %V%Z", &status);

    ngx_comms_dynamodb_count(t, a->thread_id,
                             json_pack("{s:i}", name.data, 1),
                             ngx_comms_dynamodb_accept_finish, a);
}


static void
ngx_comms_dynamodb_accept_finish(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_update_t  u;

    ngx_comms_dynamodb_accept_t *a = data;

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = a->guard;
    u.sk = ngx_comms_dynamodb_guard;

    ngx_str_set(&u.update, "REMOVE #comms_payload, #gsi_sweep, #gsi_sweep_at");
    ngx_str_set(&u.condition, "attribute_exists(#pk)");

    ngx_comms_dynamodb_update(t, &t->db->threads, &u,
                              ngx_comms_dynamodb_accept_end, a);
}


static void
ngx_comms_dynamodb_accept_end(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_accept_t *a = data;

    if (a->step != NULL) {
        a->step(t, a->data);
        return;
    }

    ngx_comms_dynamodb_finish(t, NGX_OK, NULL);
}


ngx_str_t
ngx_comms_dynamodb_accept_key(ngx_comms_dynamodb_task_t *t,
    ngx_str_t conversation_id)
{
    conversation_id = ngx_comms_dynamodb_part(t, conversation_id);

    return ngx_comms_dynamodb_text(t, "request#%V", &conversation_id);
}
