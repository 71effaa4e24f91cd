
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Messages: one item for each, behind a ULID that was minted when it was
 * first recorded, so that they stand in the order in which they came.
 *
 * Items beside it:
 *   entry#<entry_id>  where the message is; the first to write it decides
 *   unsent#<ulid>     it has a turn_id and the status "pending".  A hint: the
 *                     message itself says whether that is so
 *   mail#..., quote#...  partitions of message ids, one item for each thread
 *                     that has a message of that id
 *
 * Cost: two writes for a message from a person, up to five for one of ours,
 * one more for a status that comes late;
 * reading n messages is one query for each place, whatever the thread's
 * length.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_thread.h>
#include <store/ngx_comms_store_status.h>


#define NGX_COMMS_DYNAMODB_MAX_UNSENT  NGX_COMMS_DYNAMODB_BATCH


typedef struct {
    ngx_str_t                    thread_id;
    json_t                      *item;       /* the thread's */
    json_t                      *entry;      /* of the journal */
    int64_t                      c;
    ngx_str_t                    alias;
    ngx_str_t                    pk;         /* of the message */
    ngx_str_t                    sk;
    ngx_uint_t                   late;       /* its status is not taken */
    json_t                      *message;    /* as it is then */
    ngx_comms_dynamodb_step_pt   step;
    void                        *data;
} ngx_comms_dynamodb_message_t;


typedef struct {
    ngx_str_t                    thread_id;
    int64_t                      n;
    ngx_array_t                 *places;
    ngx_uint_t                   place;
    json_t                      *found;
    ngx_comms_dynamodb_step_pt   step;
    void                        *data;
} ngx_comms_dynamodb_messages_t;


static void ngx_comms_dynamodb_message_known(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_message_alias(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_message_write(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_message_t *m);
static ngx_int_t ngx_comms_dynamodb_message_rank(
    ngx_comms_dynamodb_task_t *t, ngx_comms_dynamodb_message_t *m,
    ngx_comms_dynamodb_update_t *u);
static ngx_int_t ngx_comms_dynamodb_message_set(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_message_t *m, ngx_comms_dynamodb_update_t *u);
static void ngx_comms_dynamodb_message_written(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_message_quote(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_message_unsent(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_message_sign(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_message_t *m, const char *kind, ngx_str_t id,
    ngx_comms_dynamodb_step_pt step);
static void ngx_comms_dynamodb_message_done(ngx_comms_dynamodb_task_t *t,
    void *data);
static ngx_uint_t ngx_comms_dynamodb_is_unsent(json_t *message);
static void ngx_comms_dynamodb_newest_place(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_messages_t *m);
static void ngx_comms_dynamodb_newest_got(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_unsent_places(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_unsent_got(ngx_comms_dynamodb_task_t *t,
    void *data);
static json_t *ngx_comms_dynamodb_ordered(ngx_comms_dynamodb_task_t *t,
    json_t *items, size_t n);
static int ngx_libc_cdecl ngx_comms_dynamodb_order(const void *one,
    const void *two);


void
ngx_comms_dynamodb_message(ngx_comms_dynamodb_task_t *t, ngx_str_t thread_id,
    json_t *item, json_t *entry, int64_t c, ngx_comms_dynamodb_step_pt step,
    void *data)
{
    json_t                        *doc, *message;
    ngx_str_t                      key, entry_id;
    ngx_comms_dynamodb_place_t     place;
    ngx_comms_dynamodb_message_t  *m;

    message = json_object_get(entry, "message");

    m = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_message_t));

    if (m == NULL
        || ngx_comms_dynamodb_place(t, item,
                                    ngx_comms_sqlite_text(message, "channel"),
                                    &place)
           != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    m->thread_id = thread_id;
    m->item = item;
    m->entry = entry;
    m->c = c;
    m->step = step;
    m->data = data;

    key = ngx_comms_sqlite_text(entry, "key");
    entry_id = ngx_comms_dynamodb_part(t, ngx_comms_sqlite_text(message,
                                                                "entry_id"));

    m->alias = ngx_comms_dynamodb_text(t, "entry#%V", &entry_id);
    m->pk = place.pk;
    m->sk = ngx_comms_dynamodb_text(t, "%V%V", &place.prefix, &key);

    doc = json_pack("{s:o, s:o}",
                    "comms_pk", ngx_comms_dynamodb_string(m->pk),
                    "comms_sk", ngx_comms_dynamodb_string(m->sk));

    ngx_comms_dynamodb_put(t, &t->db->threads, thread_id, m->alias, doc,
                           "attribute_not_exists(#pk)", NULL,
                           ngx_comms_dynamodb_message_known, m);
}


static void
ngx_comms_dynamodb_message_known(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_message_t *m = data;

    if (!t->refused) {
        ngx_comms_dynamodb_message_write(t, m);
        return;
    }

    ngx_comms_dynamodb_get(t, &t->db->threads, m->thread_id, m->alias,
                           ngx_comms_dynamodb_message_alias, m);
}


static void
ngx_comms_dynamodb_message_alias(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_message_t *m = data;

    if (t->item != NULL) {
        m->pk = ngx_comms_sqlite_text(t->item, "comms_pk");
        m->sk = ngx_comms_sqlite_text(t->item, "comms_sk");
    }

    ngx_comms_dynamodb_message_write(t, m);
}


static void
ngx_comms_dynamodb_message_write(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_message_t *m)
{
    ngx_comms_dynamodb_update_t  u;

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = m->pk;
    u.sk = m->sk;
    u.returns = "ALL_NEW";
    u.names = json_object();
    u.values = json_pack("{s:I}", ":c", (json_int_t) m->c);

    ngx_str_set(&u.update, "SET #comms_applied = :c");
    ngx_str_set(&u.condition,
        "(attribute_not_exists(#comms_applied) OR #comms_applied <= :c)");

    if (ngx_comms_dynamodb_message_set(t, m, &u) != NGX_OK
        || ngx_comms_dynamodb_message_rank(t, m, &u) != NGX_OK)
    {
        json_decref(u.names);
        json_decref(u.values);
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_update(t, &t->db->threads, &u,
                              ngx_comms_dynamodb_message_written, m);
}


/* a status that is behind the message's is not written, but the rest is */

static ngx_int_t
ngx_comms_dynamodb_message_rank(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_message_t *m, ngx_comms_dynamodb_update_t *u)
{
    ngx_str_t  list;

    if (m->late) {
        return NGX_OK;
    }

    if (ngx_comms_dynamodb_above(t,
               json_object_get(json_object_get(m->entry, "message"),
                               "status"),
               u->values, &list)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (list.len != 0) {
        u->condition = ngx_comms_dynamodb_text(t,
                                       "%V AND NOT (#status IN (%V))",
                                       &u->condition, &list);
    }

    return (u->condition.len != 0) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_comms_dynamodb_above(ngx_comms_dynamodb_task_t *t, json_t *status,
    json_t *values, ngx_str_t *list)
{
    char      name[sizeof(":above") + NGX_INT_T_LEN];
    size_t    i;
    json_t   *above, *one;

    ngx_str_null(list);

    above = ngx_comms_dynamodb_hold(t, ngx_comms_store_status_above(status));

    if (above == NULL) {
        return NGX_ERROR;
    }

    json_array_foreach(above, i, one) {

        (void) snprintf(name, sizeof(name), ":above%u", (unsigned) i);

        *list = ngx_comms_dynamodb_text(t, "%V%s%s", list, i ? ", " : "",
                                        name);

        if (list->len == 0 || json_object_set(values, name, one) != 0) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* the members given; a new message without a time has that of its record */

static ngx_int_t
ngx_comms_dynamodb_message_set(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_message_t *m, ngx_comms_dynamodb_update_t *u)
{
    char         name[sizeof("#m") + NGX_INT_T_LEN];
    json_t      *message, *value;
    int64_t      ttl;
    ngx_uint_t   n;
    const char  *member;

    message = json_object_get(m->entry, "message");
    ttl = ngx_comms_dynamodb_ttl(t->db);
    n = 0;

    json_object_foreach(message, member, value) {

        if (m->late && ngx_comms_store_status_member(member)) {
            continue;
        }

        (void) snprintf(name, sizeof(name), "#m%u", (unsigned) n++);

        if (json_object_set_new(u->names, name, json_string(member)) != 0) {
            return NGX_ERROR;
        }

        u->update = ngx_comms_dynamodb_text(t, "%V, %s = :%s", &u->update,
                                            name, name + 1);
        name[0] = ':';

        if (json_object_set(u->values, name, value) != 0) {
            return NGX_ERROR;
        }
    }

    if (!ngx_comms_sqlite_has(message, "message_timestamp")) {
        u->update = ngx_comms_dynamodb_text(t, "%V, #message_timestamp ="
                             " if_not_exists(#message_timestamp, :at)",
                             &u->update);

        if (json_object_set(u->values, ":at", json_object_get(m->entry, "at"))
            != 0)
        {
            return NGX_ERROR;
        }
    }

    if (ttl != 0) {
        u->update = ngx_comms_dynamodb_text(t, "%V, #ttl = :ttl", &u->update);

        if (json_object_set_new(u->values, ":ttl", json_integer(ttl)) != 0) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_comms_dynamodb_message_written(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_str_t  id;

    ngx_comms_dynamodb_message_t *m = data;

    if (t->refused && !m->late
        && ngx_comms_sqlite_has(json_object_get(m->entry, "message"),
                                "status"))
    {
        m->late = 1;
        ngx_comms_dynamodb_message_write(t, m);
        return;
    }

    if (t->refused) {
        m->step(t, m->data);
        return;
    }

    m->message = t->item;

    id = ngx_comms_sqlite_text(json_object_get(m->entry, "message"),
                               "email_message_id");

    ngx_comms_dynamodb_message_sign(t, m, "mail", id,
                                    ngx_comms_dynamodb_message_quote);
}


static void
ngx_comms_dynamodb_message_quote(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_str_t  id;

    ngx_comms_dynamodb_message_t *m = data;

    id = ngx_comms_sqlite_text(json_object_get(m->entry, "message"),
                               "provider_message_id");

    ngx_comms_dynamodb_message_sign(t, m, "quote", id,
                                    ngx_comms_dynamodb_message_unsent);
}


static void
ngx_comms_dynamodb_message_unsent(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t     *values, *doc;
    ngx_str_t   ulid, sk;

    ngx_comms_dynamodb_message_t *m = data;

    if (!ngx_comms_sqlite_has(m->message, "turn_id")
        || m->sk.len < NGX_COMMS_ULID_LEN)
    {
        m->step(t, m->data);
        return;
    }

    ulid.len = NGX_COMMS_ULID_LEN;
    ulid.data = m->sk.data + m->sk.len - ulid.len;

    sk = ngx_comms_dynamodb_text(t, "unsent#%V", &ulid);
    values = json_pack("{s:I}", ":c", (json_int_t) m->c);

    if (!ngx_comms_dynamodb_is_unsent(m->message)) {
        ngx_comms_dynamodb_delete(t, &t->db->threads, m->thread_id, sk,
            "attribute_not_exists(#comms_applied) OR #comms_applied <= :c",
            values, ngx_comms_dynamodb_message_done, m);
        return;
    }

    doc = json_pack("{s:o, s:o, s:I}",
                    "comms_pk", ngx_comms_dynamodb_string(m->pk),
                    "comms_sk", ngx_comms_dynamodb_string(m->sk),
                    "comms_applied", (json_int_t) m->c);

    ngx_comms_dynamodb_put(t, &t->db->threads, m->thread_id, sk, doc,
        "attribute_not_exists(#comms_applied) OR #comms_applied <= :c",
        values, ngx_comms_dynamodb_message_done, m);
}


/* by which an answer to the message will be known */

static void
ngx_comms_dynamodb_message_sign(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_message_t *m, const char *kind, ngx_str_t id,
    ngx_comms_dynamodb_step_pt step)
{
    size_t       i;
    json_t      *doc, *persons, *pair, *entry_id;
    const char  *role;

    if (id.len == 0) {
        step(t, m);
        return;
    }

    /* a message of a person was not sent by us: only its thread is known */

    role = json_string_value(json_object_get(m->message, "role"));
    entry_id = (role != NULL && ngx_strcmp(role, "user") == 0)
               ? NULL : json_object_get(m->message, "entry_id");

    persons = json_array();

    json_array_foreach(json_object_get(m->item, "comms_pairs"), i, pair) {
        (void) json_array_append(persons,
                                 json_object_get(pair, "person_address"));
    }

    doc = json_pack("{s:{s:O, s:O, s:O}, s:o, s:O*}", "comms_found",
        "thread_id",
        ngx_comms_dynamodb_header_get(t->db, m->item, "thread_id"),
        "company_id",
        ngx_comms_dynamodb_header_get(t->db, m->item, "company_id"),
        "project_id",
        ngx_comms_dynamodb_header_get(t->db, m->item, "project_id"),
        "comms_persons", persons, "comms_entry", entry_id);

    ngx_comms_dynamodb_put(t, &t->db->threads,
                           ngx_comms_dynamodb_sign_key(t, kind, id),
                           ngx_comms_sqlite_text(m->item, "gsi_created"), doc,
                           NULL, NULL, step, m);
}


ngx_str_t
ngx_comms_dynamodb_sign_key(ngx_comms_dynamodb_task_t *t, const char *kind,
    ngx_str_t id)
{
    ngx_str_t  hex;

    if (ngx_comms_sha256_hex(t->pool, &id, &hex) != NGX_OK) {
        ngx_str_null(&hex);
        return hex;
    }

    return ngx_comms_dynamodb_text(t, "%s#%V", kind, &hex);
}


static void
ngx_comms_dynamodb_message_done(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_message_t *m = data;

    m->step(t, m->data);
}


static ngx_uint_t
ngx_comms_dynamodb_is_unsent(json_t *message)
{
    const char  *status;

    status = json_string_value(json_object_get(message, "status"));

    return ngx_comms_sqlite_text(message, "turn_id").len != 0
           && status != NULL && ngx_strcmp(status, "pending") == 0;
}


void
ngx_comms_dynamodb_newest(ngx_comms_dynamodb_task_t *t, json_t *item,
    int64_t n, ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_comms_dynamodb_messages_t  *m;

    m = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_messages_t));
    if (m == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    m->n = n;
    m->step = step;
    m->data = data;
    m->found = ngx_comms_dynamodb_hold(t, json_array());
    m->places = ngx_comms_dynamodb_places(t, item);

    if (m->found == NULL || m->places == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    if (n == 0) {
        t->items = m->found;
        step(t, data);
        return;
    }

    ngx_comms_dynamodb_newest_place(t, m);
}


static void
ngx_comms_dynamodb_newest_place(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_messages_t *m)
{
    ngx_comms_dynamodb_place_t  *place;
    ngx_comms_dynamodb_query_t   q;

    place = m->places->elts;
    place += m->place;

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.key = "#pk = :pk AND begins_with(#sk, :prefix)";
    q.limit = m->n;
    q.values = json_pack("{s:o, s:o}",
                         ":pk", ngx_comms_dynamodb_string(place->pk),
                         ":prefix", ngx_comms_dynamodb_string(place->prefix));

    ngx_comms_dynamodb_query(t, &t->db->threads, &q,
                             ngx_comms_dynamodb_newest_got, m);
}


static void
ngx_comms_dynamodb_newest_got(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_messages_t *m = data;

    if (json_array_extend(m->found, t->items) != 0) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    if (++m->place < m->places->nelts) {
        ngx_comms_dynamodb_newest_place(t, m);
        return;
    }

    t->items = ngx_comms_dynamodb_ordered(t, m->found, m->n);

    if (t->items == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    m->step(t, m->data);
}


void
ngx_comms_dynamodb_unsent(ngx_comms_dynamodb_task_t *t, ngx_str_t thread_id,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_comms_dynamodb_query_t      q;
    ngx_comms_dynamodb_messages_t  *m;

    m = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_messages_t));
    if (m == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    m->thread_id = thread_id;
    m->step = step;
    m->data = data;

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.key = "#pk = :pk AND begins_with(#sk, :prefix)";
    q.limit = NGX_COMMS_DYNAMODB_MAX_UNSENT;
    q.forward = 1;
    q.values = json_pack("{s:o, s:s}",
                         ":pk", ngx_comms_dynamodb_string(thread_id),
                         ":prefix", "unsent#");

    ngx_comms_dynamodb_query(t, &t->db->threads, &q,
                             ngx_comms_dynamodb_unsent_places, m);
}


static void
ngx_comms_dynamodb_unsent_places(ngx_comms_dynamodb_task_t *t, void *data)
{
    size_t   i;
    json_t  *keys, *hint;

    ngx_comms_dynamodb_messages_t *m = data;

    if (json_array_size(t->items) == 0) {
        m->step(t, m->data);
        return;
    }

    keys = json_array();

    json_array_foreach(t->items, i, hint) {
        (void) json_array_append_new(keys,
                   json_pack("[O, O]", json_object_get(hint, "comms_pk"),
                             json_object_get(hint, "comms_sk")));
    }

    ngx_comms_dynamodb_batch(t, &t->db->threads, keys,
                             ngx_comms_dynamodb_unsent_got, m);
}


static void
ngx_comms_dynamodb_unsent_got(ngx_comms_dynamodb_task_t *t, void *data)
{
    size_t   i;

    ngx_comms_dynamodb_messages_t *m = data;

    for (i = json_array_size(t->items); i != 0; i--) {
        if (!ngx_comms_dynamodb_is_unsent(json_array_get(t->items, i - 1))) {
            (void) json_array_remove(t->items, i - 1);
        }
    }

    t->items = ngx_comms_dynamodb_ordered(t, t->items,
                                          NGX_COMMS_DYNAMODB_MAX_UNSENT);
    if (t->items == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    m->step(t, m->data);
}


typedef struct {
    json_t      *item;
    const char  *key;
} ngx_comms_dynamodb_ordered_t;


/* the last n of the messages in their order, without what is ours */

static json_t *
ngx_comms_dynamodb_ordered(ngx_comms_dynamodb_task_t *t, json_t *items,
    size_t n)
{
    size_t                         i, size, len;
    json_t                        *key, *ordered;
    ngx_comms_dynamodb_ordered_t  *elts;

    size = json_array_size(items);

    elts = ngx_palloc(t->pool, (size + 1)
                               * sizeof(ngx_comms_dynamodb_ordered_t));
    if (elts == NULL) {
        return NULL;
    }

    for (i = 0; i < size; i++) {
        elts[i].item = json_array_get(items, i);

        key = json_object_get(elts[i].item, t->db->threads.sk);
        len = json_string_length(key);

        /* behind the prefix, which differs from channel to channel */

        elts[i].key = json_string_value(key)
                      + ((len > NGX_COMMS_ULID_LEN) ? len - NGX_COMMS_ULID_LEN
                                                    : 0);
    }

    ngx_qsort(elts, size, sizeof(ngx_comms_dynamodb_ordered_t),
              ngx_comms_dynamodb_order);

    ordered = ngx_comms_dynamodb_hold(t, json_array());

    for (i = (size > n) ? size - n : 0; i < size; i++) {
        if (json_array_append_new(ordered,
                ngx_comms_dynamodb_public(t, &t->db->threads, elts[i].item))
            != 0)
        {
            return NULL;
        }
    }

    return ordered;
}


static int ngx_libc_cdecl
ngx_comms_dynamodb_order(const void *one, const void *two)
{
    const ngx_comms_dynamodb_ordered_t *a = one, *b = two;

    return ngx_strcmp(a->key, b->key);
}
