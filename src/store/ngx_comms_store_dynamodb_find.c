
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Whose thread is it?  All signs are looked up in the table itself, never in
 * an index, which may lag behind a message that has just been sent.
 *
 * Cost: one query for each sign until one is known, and a read where the
 * sender is a person of the thread since later; binding the message found
 * takes a read and up to four writes.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


/* ids in a mail's References that are looked at, newest first */
#define NGX_COMMS_DYNAMODB_MAX_REFERENCES  64

/* threads with a message of one id that are looked at, newest first */
#define NGX_COMMS_DYNAMODB_MAX_CANDIDATES  8

/* addresses in a message's "aliases" that are looked at */
#define NGX_COMMS_DYNAMODB_MAX_ALIASES     8


typedef struct ngx_comms_dynamodb_find_s  ngx_comms_dynamodb_find_t;

typedef void (*ngx_comms_dynamodb_next_pt)(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f);


struct ngx_comms_dynamodb_find_s {
    size_t                       i;          /* of the message ids */
    size_t                       k;          /* of what is looked at now */
    json_t                      *candidates;
    json_t                      *found;
    json_t                      *answer;
    ngx_comms_dynamodb_next_pt   next;       /* sign */
};


static void ngx_comms_dynamodb_find_mail(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f);
static void ngx_comms_dynamodb_find_quote(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f);
static void ngx_comms_dynamodb_find_sign(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f, const char *kind, ngx_str_t id,
    ngx_comms_dynamodb_next_pt next);
static void ngx_comms_dynamodb_find_signed(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_find_candidate(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f);
static void ngx_comms_dynamodb_find_linked(ngx_comms_dynamodb_task_t *t,
    void *data);
static ngx_int_t ngx_comms_dynamodb_find_sender(ngx_comms_dynamodb_task_t *t,
    size_t n, ngx_str_t *address);
static ngx_uint_t ngx_comms_dynamodb_find_knows(ngx_comms_dynamodb_task_t *t,
    json_t *item);
static void ngx_comms_dynamodb_find_token(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f);
static void ngx_comms_dynamodb_find_thread(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_find_pair(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f);
static void ngx_comms_dynamodb_find_paired(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_found(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f, json_t *found, const char *by);
static void ngx_comms_dynamodb_find_bound(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_sent_as_got(ngx_comms_dynamodb_task_t *t,
    void *data);


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_find_members[] = {
    { "channel", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "company_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "person_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "aliases", NGX_COMMS_SQLITE_NAMES, 1, 0, 0 },
    { "message_ids", NGX_COMMS_SQLITE_ARRAY, 1, 0, 0 },
    { "replied_to", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "thread_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "inbound_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_sent_as_members[] =
{
    { "provider_message_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


void
ngx_comms_dynamodb_op_find(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_find_t  *f;

    f = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_find_t));

    if (f == NULL
        || ngx_comms_sqlite_members("find", t->in,
                                    ngx_comms_dynamodb_find_members)
           != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_find_mail(t, f);
}


static void
ngx_comms_dynamodb_find_mail(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f)
{
    json_t     *ids;
    ngx_str_t   id;

    ids = json_object_get(t->in, "message_ids");

    while (f->i < json_array_size(ids)
           && f->i < NGX_COMMS_DYNAMODB_MAX_REFERENCES)
    {
        id = ngx_comms_json_view(json_array_get(ids, f->i++));

        if (id.len != 0) {
            ngx_comms_dynamodb_find_sign(t, f, "mail", id,
                                         ngx_comms_dynamodb_find_mail);
            return;
        }
    }

    ngx_comms_dynamodb_find_quote(t, f);
}


static void
ngx_comms_dynamodb_find_quote(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f)
{
    ngx_str_t  replied_to;

    replied_to = ngx_comms_sqlite_text(t->in, "replied_to");

    if (replied_to.len == 0) {
        ngx_comms_dynamodb_find_token(t, f);
        return;
    }

    ngx_comms_dynamodb_find_sign(t, f, "quote", replied_to,
                                 ngx_comms_dynamodb_find_token);
}


/*
 * The newest thread that has such a message and this person; "next" where
 * there is none.
 */

static void
ngx_comms_dynamodb_find_sign(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f, const char *kind, ngx_str_t id,
    ngx_comms_dynamodb_next_pt next)
{
    ngx_comms_dynamodb_query_t  q;

    f->next = next;
    f->k = 0;

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.key = "#pk = :pk";
    q.limit = NGX_COMMS_DYNAMODB_MAX_CANDIDATES;
    q.values = json_pack("{s:o}", ":pk",
                         ngx_comms_dynamodb_string(
                             ngx_comms_dynamodb_sign_key(t, kind, id)));

    ngx_comms_dynamodb_query(t, &t->db->threads, &q,
                             ngx_comms_dynamodb_find_signed, f);
}


static void
ngx_comms_dynamodb_find_signed(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_find_t *f = data;

    f->candidates = t->items;

    ngx_comms_dynamodb_find_candidate(t, f);
}


/*
 * Beside the id stand the thread's persons of the time when the message was
 * written.  An address that was linked since is in the header alone.
 */

static void
ngx_comms_dynamodb_find_candidate(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f)
{
    size_t     n, i;
    json_t    *candidate, *person;
    ngx_str_t  sender, address;

    candidate = json_array_get(f->candidates, f->k);

    if (candidate == NULL) {
        f->next(t, f);
        return;
    }

    f->found = json_object_get(candidate, "comms_found");

    for (n = 0; ngx_comms_dynamodb_find_sender(t, n, &sender) == NGX_OK; n++)
    {
        json_array_foreach(json_object_get(candidate, "comms_persons"), i,
                           person)
        {
            address = ngx_comms_json_view(person);

            if (address.len == sender.len
                && ngx_memcmp(address.data, sender.data, sender.len) == 0)
            {
                ngx_comms_dynamodb_found(t, f, f->found, "message_id");
                return;
            }
        }
    }

    ngx_comms_dynamodb_get(t, &t->db->threads,
                           ngx_comms_sqlite_text(f->found, "thread_id"),
                           ngx_comms_dynamodb_record,
                           ngx_comms_dynamodb_find_linked, f);
}


static void
ngx_comms_dynamodb_find_linked(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_find_t *f = data;

    if (ngx_comms_dynamodb_find_knows(t, t->item)) {
        ngx_comms_dynamodb_found(t, f, f->found, "message_id");
        return;
    }

    f->k++;

    ngx_comms_dynamodb_find_candidate(t, f);
}


/* the n-th address that the sender has: NGX_OK, or NGX_DONE */

static ngx_int_t
ngx_comms_dynamodb_find_sender(ngx_comms_dynamodb_task_t *t, size_t n,
    ngx_str_t *address)
{
    json_t  *aliases;

    if (n == 0) {
        *address = ngx_comms_sqlite_text(t->in, "person_address");
        return NGX_OK;
    }

    aliases = json_object_get(t->in, "aliases");

    if (n > json_array_size(aliases) || n > NGX_COMMS_DYNAMODB_MAX_ALIASES) {
        return NGX_DONE;
    }

    *address = ngx_comms_json_view(json_array_get(aliases, n - 1));

    return NGX_OK;
}


/* is the sender of the thread that this item heads? */

static ngx_uint_t
ngx_comms_dynamodb_find_knows(ngx_comms_dynamodb_task_t *t, json_t *item)
{
    size_t     n;
    ngx_str_t  sender;

    for (n = 0; ngx_comms_dynamodb_find_sender(t, n, &sender) == NGX_OK; n++)
    {
        if (ngx_comms_dynamodb_knows(item, sender)) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_comms_dynamodb_find_token(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f)
{
    ngx_str_t  thread_id;

    f->k = 0;
    thread_id = ngx_comms_sqlite_text(t->in, "thread_id");

    if (thread_id.len == 0) {
        ngx_comms_dynamodb_find_pair(t, f);
        return;
    }

    ngx_comms_dynamodb_get(t, &t->db->threads,
                           ngx_comms_dynamodb_part(t, thread_id),
                           ngx_comms_dynamodb_record,
                           ngx_comms_dynamodb_find_thread, f);
}


static void
ngx_comms_dynamodb_find_thread(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *header;

    ngx_comms_dynamodb_find_t *f = data;

    if (!ngx_comms_dynamodb_find_knows(t, t->item)) {
        ngx_comms_dynamodb_find_pair(t, f);
        return;
    }

    header = ngx_comms_dynamodb_hold(t,
                                     ngx_comms_dynamodb_header(t, t->item));

    ngx_comms_dynamodb_found(t, f, header, "token");
}


static void
ngx_comms_dynamodb_find_pair(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f)
{
    json_t                      *pair;
    ngx_str_t                    sender, key;
    ngx_comms_dynamodb_query_t   q;

    if (ngx_comms_dynamodb_find_sender(t, f->k++, &sender) != NGX_OK) {
        ngx_comms_dynamodb_finish(t, NGX_DECLINED, NULL);
        return;
    }

    pair = ngx_comms_dynamodb_hold(t,
               json_pack("{s:O, s:O, s:o}",
                   "channel", json_object_get(t->in, "channel"),
                   "company_address", json_object_get(t->in,
                                                      "company_address"),
                   "person_address", ngx_comms_dynamodb_string(sender)));

    if (pair == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    key = ngx_comms_dynamodb_pair(t, pair);

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.key = "#pk = :pk";
    q.limit = 1;
    q.values = json_pack("{s:o}", ":pk", ngx_comms_dynamodb_string(key));

    ngx_comms_dynamodb_query(t, &t->db->threads, &q,
                             ngx_comms_dynamodb_find_paired, f);
}


static void
ngx_comms_dynamodb_find_paired(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *found;

    ngx_comms_dynamodb_find_t *f = data;

    found = json_array_get(t->items, 0);

    if (found == NULL) {
        ngx_comms_dynamodb_find_pair(t, f);
        return;
    }

    ngx_comms_dynamodb_found(t, f, json_object_get(found, "comms_found"),
                             "pair");
}


static void
ngx_comms_dynamodb_found(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f, json_t *found, const char *by)
{
    ngx_str_t  inbound_id;

    f->answer = ngx_comms_dynamodb_hold(t,
                    json_pack("{s:O, s:O, s:O, s:s}",
                        "thread_id", json_object_get(found, "thread_id"),
                        "company_id", json_object_get(found, "company_id"),
                        "project_id", json_object_get(found, "project_id"),
                        "by", by));

    if (f->answer == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    inbound_id = ngx_comms_sqlite_text(t->in, "inbound_id");

    if (inbound_id.len == 0) {
        ngx_comms_dynamodb_find_bound(t, f);
        return;
    }

    ngx_comms_dynamodb_inbound_bind(t, inbound_id,
                          ngx_comms_sqlite_text(f->answer, "thread_id"),
                          ngx_comms_dynamodb_find_bound, f);
}


static void
ngx_comms_dynamodb_find_bound(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_find_t *f = data;

    ngx_comms_dynamodb_finish(t, NGX_OK, json_incref(f->answer));
}


void
ngx_comms_dynamodb_op_sent_as(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_str_t                    id;
    ngx_comms_dynamodb_query_t   q;

    if (ngx_comms_sqlite_members("sent_as", t->in,
                                 ngx_comms_dynamodb_sent_as_members)
        != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    id = ngx_comms_sqlite_text(t->in, "provider_message_id");

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.key = "#pk = :pk";
    q.filter = "attribute_exists(#comms_entry)";
    q.limit = 1;
    q.values = json_pack("{s:o}", ":pk",
                         ngx_comms_dynamodb_string(
                             ngx_comms_dynamodb_sign_key(t, "quote", id)));

    ngx_comms_dynamodb_query(t, &t->db->threads, &q,
                             ngx_comms_dynamodb_sent_as_got, NULL);
}


static void
ngx_comms_dynamodb_sent_as_got(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *item, *answer;

    item = json_array_get(t->items, 0);

    if (item == NULL) {
        ngx_comms_dynamodb_finish(t, NGX_DECLINED, NULL);
        return;
    }

    answer = json_pack("{s:O, s:O}",
                 "thread_id", json_object_get(json_object_get(item,
                                                              "comms_found"),
                                              "thread_id"),
                 "entry_id", json_object_get(item, "comms_entry"));

    if (answer == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_finish(t, NGX_OK, answer);
}
