
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The consent ledger: what each person said to each company, numbered from
 * one, so that the order is that in which it was written and no clock's.
 * Nothing in it is ever changed or removed.
 *
 * Cost: one query, and for an entry one write.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


#define NGX_COMMS_DYNAMODB_CONSENT_TRIES  100

/* entries that the ledger gives at most, the newest */
#define NGX_COMMS_DYNAMODB_MAX_LEDGER     1000


typedef struct {
    ngx_str_t                    key;
    ngx_uint_t                   tries;
    ngx_comms_dynamodb_step_pt   step;
    void                        *data;
} ngx_comms_dynamodb_consent_t;


static ngx_comms_dynamodb_consent_t *ngx_comms_dynamodb_consent_of(
    ngx_comms_dynamodb_task_t *t, ngx_str_t company_id,
    ngx_str_t person_address);
static void ngx_comms_dynamodb_consent_last(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_consent_t *c, size_t n,
    ngx_comms_dynamodb_step_pt step);
static void ngx_comms_dynamodb_consent_asked(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_consent_write(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_consent_written(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_ledger_got(ngx_comms_dynamodb_task_t *t,
    void *data);
static json_t *ngx_comms_dynamodb_said(json_t *item);


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_consent_members[] =
{
    { "company_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "person_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "opted_out", NGX_COMMS_SQLITE_BOOLEAN, 0, 0, 0 },
    { "source", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "proof", NGX_COMMS_SQLITE_TEXT, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_ledger_members[] =
{
    { "company_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "person_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static ngx_comms_dynamodb_consent_t *
ngx_comms_dynamodb_consent_of(ngx_comms_dynamodb_task_t *t,
    ngx_str_t company_id, ngx_str_t person_address)
{
    ngx_comms_dynamodb_consent_t  *c;

    c = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_consent_t));
    if (c == NULL) {
        return NULL;
    }

    person_address = ngx_comms_dynamodb_part(t, person_address);
    c->key = ngx_comms_dynamodb_text(t, "%V#%V", &company_id,
                                     &person_address);

    return c;
}


static void
ngx_comms_dynamodb_consent_last(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_consent_t *c, size_t n,
    ngx_comms_dynamodb_step_pt step)
{
    ngx_comms_dynamodb_query_t  q;

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.key = "#pk = :pk";
    q.values = json_pack("{s:o}", ":pk", ngx_comms_dynamodb_string(c->key));
    q.limit = n;

    ngx_comms_dynamodb_query(t, &t->db->consent, &q, step, c);
}


void
ngx_comms_dynamodb_opted_out(ngx_comms_dynamodb_task_t *t,
    ngx_str_t company_id, ngx_str_t person_address,
    ngx_comms_dynamodb_step_pt step, void *data)
{
    ngx_comms_dynamodb_consent_t  *c;

    c = ngx_comms_dynamodb_consent_of(t, company_id, person_address);
    if (c == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    c->step = step;
    c->data = data;

    ngx_comms_dynamodb_consent_last(t, c, 1,
                                    ngx_comms_dynamodb_consent_asked);
}


static void
ngx_comms_dynamodb_consent_asked(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *last;

    ngx_comms_dynamodb_consent_t *c = data;

    last = json_array_get(t->items, 0);
    t->count = json_is_true(json_object_get(last, "opted_out"));

    c->step(t, c->data);
}


void
ngx_comms_dynamodb_op_consent(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_consent_t  *c;

    c = NULL;

    if (ngx_comms_sqlite_members("consent", t->in,
                                 ngx_comms_dynamodb_consent_members)
        == NGX_OK)
    {
        c = ngx_comms_dynamodb_consent_of(t,
                             ngx_comms_sqlite_text(t->in, "company_id"),
                             ngx_comms_sqlite_text(t->in, "person_address"));
    }

    if (c == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_consent_last(t, c, 1,
                                    ngx_comms_dynamodb_consent_write);
}


static void
ngx_comms_dynamodb_consent_write(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t   *doc, *last;
    int64_t   n;

    ngx_comms_dynamodb_consent_t *c = data;

    last = json_array_get(t->items, 0);
    n = json_integer_value(json_object_get(last, "number")) + 1;

    doc = json_pack("{s:O, s:O, s:O, s:o, s:I}",
                    "opted_out", json_object_get(t->in, "opted_out"),
                    "source", json_object_get(t->in, "source"),
                    "proof", json_object_get(t->in, "proof"),
                    "at", ngx_comms_dynamodb_time(ngx_comms_clock_ms()),
                    "number", (json_int_t) n);

    ngx_comms_dynamodb_put(t, &t->db->consent, c->key,
                           ngx_comms_dynamodb_text(t, "%012L", n), doc,
                           "attribute_not_exists(#pk)", NULL,
                           ngx_comms_dynamodb_consent_written, c);
}


static void
ngx_comms_dynamodb_consent_written(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_consent_t *c = data;

    if (!t->refused) {
        ngx_comms_dynamodb_finish(t, NGX_OK, NULL);
        return;
    }

    if (++c->tries == NGX_COMMS_DYNAMODB_CONSENT_TRIES) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_consent_last(t, c, 1,
                                    ngx_comms_dynamodb_consent_write);
}


void
ngx_comms_dynamodb_op_ledger(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_consent_t  *c;

    c = NULL;

    if (ngx_comms_sqlite_members("ledger", t->in,
                                 ngx_comms_dynamodb_ledger_members)
        == NGX_OK)
    {
        c = ngx_comms_dynamodb_consent_of(t,
                             ngx_comms_sqlite_text(t->in, "company_id"),
                             ngx_comms_sqlite_text(t->in, "person_address"));
    }

    if (c == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_consent_last(t, c, NGX_COMMS_DYNAMODB_MAX_LEDGER,
                                    ngx_comms_dynamodb_ledger_got);
}


static void
ngx_comms_dynamodb_ledger_got(ngx_comms_dynamodb_task_t *t, void *data)
{
    size_t   i;
    json_t  *entries, *last, *answer;

    entries = json_array();

    for (i = json_array_size(t->items); i != 0; i--) {
        if (json_array_append_new(entries,
                  ngx_comms_dynamodb_said(json_array_get(t->items, i - 1)))
            != 0)
        {
            json_decref(entries);
            ngx_comms_dynamodb_fail(t);
            return;
        }
    }

    last = json_array_get(t->items, 0);

    answer = json_pack("{s:b, s:o}", "opted_out",
                       json_is_true(json_object_get(last, "opted_out")),
                       "entries", entries);

    if (answer == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_finish(t, NGX_OK, answer);
}


static json_t *
ngx_comms_dynamodb_said(json_t *item)
{
    int64_t    at;
    ngx_str_t  text;

    text = ngx_comms_sqlite_text(item, "at");

    if (ngx_comms_iso8601_parse(&text, &at) != NGX_OK) {
        at = 0;
    }

    return json_pack("{s:O, s:O, s:O, s:I}",
                     "opted_out", json_object_get(item, "opted_out"),
                     "source", json_object_get(item, "source"),
                     "proof", json_object_get(item, "proof"),
                     "at", (json_int_t) at);
}
