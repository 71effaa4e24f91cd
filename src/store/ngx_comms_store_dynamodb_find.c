
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Whose thread is it?  All signs are looked up in the table itself, never in
 * an index, which may lag behind a message that has just been sent.
 *
 * Cost: one query for each sign until one is known; binding the message
 * found takes a read and up to three writes.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


/* ids in a mail's References that are looked at, newest first */
#define NGX_COMMS_DYNAMODB_MAX_REFERENCES  64


typedef struct {
    size_t                       i;
    json_t                      *answer;
} ngx_comms_dynamodb_find_t;


static void ngx_comms_dynamodb_find_mail(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f);
static void ngx_comms_dynamodb_find_mailed(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_find_quote(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f);
static void ngx_comms_dynamodb_find_quoted(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_find_sign(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f, const char *kind, ngx_str_t id,
    ngx_comms_dynamodb_step_pt step);
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


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_find_members[] = {
    { "channel", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "company_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "person_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "message_ids", NGX_COMMS_SQLITE_ARRAY, 1, 0, 0 },
    { "replied_to", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "thread_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "inbound_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
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
                                         ngx_comms_dynamodb_find_mailed);
            return;
        }
    }

    ngx_comms_dynamodb_find_quote(t, f);
}


static void
ngx_comms_dynamodb_find_mailed(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *found;

    ngx_comms_dynamodb_find_t *f = data;

    found = json_array_get(t->items, 0);

    if (found != NULL) {
        ngx_comms_dynamodb_found(t, f, json_object_get(found, "comms_found"),
                                 "message_id");
        return;
    }

    ngx_comms_dynamodb_find_mail(t, f);
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
                                 ngx_comms_dynamodb_find_quoted);
}


static void
ngx_comms_dynamodb_find_quoted(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *found;

    ngx_comms_dynamodb_find_t *f = data;

    found = json_array_get(t->items, 0);

    if (found != NULL) {
        ngx_comms_dynamodb_found(t, f, json_object_get(found, "comms_found"),
                                 "message_id");
        return;
    }

    ngx_comms_dynamodb_find_token(t, f);
}


/* the newest thread that has such a message and this person */

static void
ngx_comms_dynamodb_find_sign(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f, const char *kind, ngx_str_t id,
    ngx_comms_dynamodb_step_pt step)
{
    ngx_str_t                    hex, key;
    ngx_comms_dynamodb_query_t   q;

    if (ngx_comms_sha256_hex(t->pool, &id, &hex) != NGX_OK) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    key = ngx_comms_dynamodb_text(t, "%s#%V", kind, &hex);

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.key = "#pk = :pk";
    q.filter = "contains(#comms_persons, :person)";
    q.limit = 1;
    q.values = json_pack("{s:o, s:O}", ":pk", ngx_comms_dynamodb_string(key),
                         ":person", json_object_get(t->in, "person_address"));

    ngx_comms_dynamodb_query(t, &t->db->threads, &q, step, f);
}


static void
ngx_comms_dynamodb_find_token(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_find_t *f)
{
    ngx_str_t  thread_id;

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
    json_t     *header;
    ngx_str_t   person_address;

    ngx_comms_dynamodb_find_t *f = data;

    person_address = ngx_comms_sqlite_text(t->in, "person_address");

    if (t->item == NULL
        || !ngx_comms_dynamodb_knows(t->item, person_address))
    {
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
    ngx_str_t                    key;
    ngx_comms_dynamodb_query_t   q;

    key = ngx_comms_dynamodb_pair(t, t->in);

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
        ngx_comms_dynamodb_finish(t, NGX_DECLINED, NULL);
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
