
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Reading threads: one whole, a page of them, figures.
 *
 * Pages are walked by key, newest first: of an index by company, which has
 * the headers; or of the items that a start makes for each person, whose
 * headers are then read.  Other filters pick among what the walk brings.
 *
 * Figures are counters, spread over NGX_COMMS_DYNAMODB_SHARDS items.  They
 * are raised after the write that they count, at most once: a worker that
 * dies between the two leaves a figure off by one.  No flow depends on one;
 * the limit of open conversations is counted from an index instead.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


/* "<ms>.<thread_id>" */
#define NGX_COMMS_DYNAMODB_CURSOR                                             \
    (NGX_INT64_LEN + 1 + NGX_COMMS_THREAD_ID_LEN)


typedef struct {
    ngx_str_t                    before;     /* the key behind the page */
    json_t                      *found;      /* items of headers */
    size_t                       limit;
    json_t                      *walked;     /* keys of one person's threads */
} ngx_comms_dynamodb_list_t;


static void ngx_comms_dynamodb_load_got(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_load_done(ngx_comms_dynamodb_task_t *t,
    void *data);
static ngx_int_t ngx_comms_dynamodb_cursor_read(ngx_comms_dynamodb_task_t *t,
    ngx_str_t text, ngx_str_t *key);
static json_t *ngx_comms_dynamodb_cursor_write(ngx_comms_dynamodb_task_t *t,
    ngx_str_t key);
static void ngx_comms_dynamodb_list_company(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_list_t *l);
static void ngx_comms_dynamodb_list_listed(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_list_person(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_list_t *l);
static void ngx_comms_dynamodb_list_walked(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_list_headers(ngx_comms_dynamodb_task_t *t,
    void *data);
static ngx_uint_t ngx_comms_dynamodb_list_fits(ngx_comms_dynamodb_task_t *t,
    json_t *item);
static void ngx_comms_dynamodb_list_answer(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_list_t *l);
static void ngx_comms_dynamodb_figures_got(ngx_comms_dynamodb_task_t *t,
    void *data);
static ngx_int_t ngx_comms_dynamodb_figure(json_t *figures, const char *name,
    json_t *n);


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_load_members[] = {
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "messages", NGX_COMMS_SQLITE_INTEGER, 0, 0, INT32_MAX },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_list_members[] = {
    { "company_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "project_id", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { "status", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { "recipient", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { "cursor", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "limit", NGX_COMMS_SQLITE_INTEGER, 0, 1, NGX_COMMS_STORE_MAX_PAGE },
    { NULL, 0, 0, 0, 0 }
};


static ngx_str_t  ngx_comms_dynamodb_counter = ngx_string("count");


void
ngx_comms_dynamodb_op_load(ngx_comms_dynamodb_task_t *t, void *data)
{
    if (ngx_comms_sqlite_members("load", t->in,
                                 ngx_comms_dynamodb_load_members)
        != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_thread(t, ngx_comms_sqlite_text(t->in, "thread_id"),
                              ngx_comms_dynamodb_load_got, NULL);
}


static void
ngx_comms_dynamodb_load_got(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *item;

    item = t->item;

    if (item == NULL) {
        ngx_comms_dynamodb_finish(t, NGX_DECLINED, NULL);
        return;
    }

    ngx_comms_dynamodb_newest(t, item,
                       json_integer_value(json_object_get(t->in, "messages")),
                       ngx_comms_dynamodb_load_done, item);
}


static void
ngx_comms_dynamodb_load_done(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t  *header, *answer;

    header = ngx_comms_dynamodb_header(t, data);

    (void) json_object_set(header, "messages", t->items);

    answer = json_pack("{s:o}", "record", header);

    if (answer == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_finish(t, NGX_OK, answer);
}


void
ngx_comms_dynamodb_op_list(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_str_t                   cursor;
    ngx_comms_dynamodb_list_t  *l;

    l = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_list_t));

    if (l == NULL
        || ngx_comms_sqlite_members("list", t->in,
                                    ngx_comms_dynamodb_list_members)
           != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    l->found = ngx_comms_dynamodb_hold(t, json_array());
    l->limit = (size_t) json_integer_value(json_object_get(t->in, "limit"));

    cursor = ngx_comms_sqlite_text(t->in, "cursor");

    if (ngx_comms_dynamodb_cursor_read(t, cursor, &l->before) != NGX_OK) {
        ngx_comms_dynamodb_finish(t, NGX_DECLINED, NULL);
        return;
    }

    if (ngx_comms_sqlite_has(t->in, "recipient")) {
        ngx_comms_dynamodb_list_person(t, l);
        return;
    }

    ngx_comms_dynamodb_list_company(t, l);
}


/* no cursor is the key behind all threads; NGX_DECLINED: none of ours */

static ngx_int_t
ngx_comms_dynamodb_cursor_read(ngx_comms_dynamodb_task_t *t, ngx_str_t text,
    ngx_str_t *key)
{
    u_char     *dot, buf[NGX_COMMS_DYNAMODB_CURSOR];
    time_t      ms;
    ngx_str_t   bytes, thread_id;

    if (text.len == 0) {
        ngx_str_set(key, "~");
        return NGX_OK;
    }

    if (ngx_base64_decoded_length(text.len) > sizeof(buf)) {
        return NGX_DECLINED;
    }

    bytes.data = buf;

    if (ngx_decode_base64url(&bytes, &text) != NGX_OK) {
        return NGX_DECLINED;
    }

    dot = ngx_strlchr(bytes.data, bytes.data + bytes.len, '.');

    if (dot == NULL) {
        return NGX_DECLINED;
    }

    ms = ngx_atotm(bytes.data, dot - bytes.data);

    thread_id.data = dot + 1;
    thread_id.len = bytes.data + bytes.len - thread_id.data;

    if (ms == NGX_ERROR || !ngx_comms_thread_id_valid(&thread_id)) {
        return NGX_DECLINED;
    }

    *key = ngx_comms_dynamodb_when(t, ms, thread_id);

    return (key->len != 0) ? NGX_OK : NGX_DECLINED;
}


static json_t *
ngx_comms_dynamodb_cursor_write(ngx_comms_dynamodb_task_t *t, ngx_str_t key)
{
    ngx_str_t  text;

    text.data = ngx_pnalloc(t->pool, ngx_base64_encoded_length(key.len));
    if (text.data == NULL) {
        return NULL;
    }

    ngx_encode_base64url(&text, &key);

    return ngx_comms_dynamodb_string(text);
}


/* one thread more than asked for is read: is there another page? */

static void
ngx_comms_dynamodb_list_company(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_list_t *l)
{
    json_t                      *project_id, *status;
    ngx_str_t                    filter;
    ngx_comms_dynamodb_query_t   q;

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.index = "company-created-index";
    q.key = "#gsi_company_id = :company AND #gsi_created < :before";
    q.limit = l->limit + 1;
    q.values = json_pack("{s:O, s:o}",
                         ":company", json_object_get(t->in, "company_id"),
                         ":before", ngx_comms_dynamodb_string(l->before));

    project_id = json_object_get(t->in, "project_id");
    status = json_object_get(t->in, "status");

    ngx_str_null(&filter);

    if (json_is_string(project_id)) {
        (void) json_object_set(q.values, ":project", project_id);
        filter = ngx_comms_dynamodb_text(t, "#%s = :project",
                      ngx_comms_dynamodb_header_name(t->db, "project_id"));
    }

    if (json_is_string(status)) {
        (void) json_object_set(q.values, ":status", status);
        filter = ngx_comms_dynamodb_text(t, "%V%s#conversation_status ="
                                            " :status", &filter,
                                         filter.len ? " AND " : "");
    }

    if (filter.len != 0) {
        filter = ngx_comms_dynamodb_text(t, "%V%Z", &filter);
        q.filter = (char *) filter.data;
    }

    ngx_comms_dynamodb_query(t, &t->db->threads, &q,
                             ngx_comms_dynamodb_list_listed, l);
}


static void
ngx_comms_dynamodb_list_listed(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_list_t *l = data;

    l->found = t->items;

    ngx_comms_dynamodb_list_answer(t, l);
}


static void
ngx_comms_dynamodb_list_person(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_list_t *l)
{
    ngx_str_t                    company_id, person, key;
    ngx_comms_dynamodb_query_t   q;

    company_id = ngx_comms_sqlite_text(t->in, "company_id");
    person = ngx_comms_dynamodb_part(t, ngx_comms_sqlite_text(t->in,
                                                              "recipient"));
    key = ngx_comms_dynamodb_text(t, "person#%V#%V", &company_id, &person);

    ngx_memzero(&q, sizeof(ngx_comms_dynamodb_query_t));

    q.key = "#pk = :pk AND #sk < :before";
    q.limit = NGX_COMMS_DYNAMODB_BATCH;
    q.values = json_pack("{s:o, s:o}", ":pk", ngx_comms_dynamodb_string(key),
                         ":before", ngx_comms_dynamodb_string(l->before));

    ngx_comms_dynamodb_query(t, &t->db->threads, &q,
                             ngx_comms_dynamodb_list_walked, l);
}


static void
ngx_comms_dynamodb_list_walked(ngx_comms_dynamodb_task_t *t, void *data)
{
    size_t   i;
    json_t  *keys, *key, *found;

    ngx_comms_dynamodb_list_t *l = data;

    l->walked = t->items;

    if (json_array_size(l->walked) == 0) {
        ngx_comms_dynamodb_list_answer(t, l);
        return;
    }

    keys = json_array();

    json_array_foreach(l->walked, i, key) {
        found = json_object_get(key, "comms_found");

        (void) json_array_append_new(keys,
                   json_pack("[O, s]", json_object_get(found, "thread_id"),
                             "record"));

        l->before = ngx_comms_sqlite_text(key, t->db->threads.sk);
    }

    ngx_comms_dynamodb_batch(t, &t->db->threads, keys,
                             ngx_comms_dynamodb_list_headers, l);
}


/* a batch has no order: that of the walk is taken */

static void
ngx_comms_dynamodb_list_headers(ngx_comms_dynamodb_task_t *t, void *data)
{
    size_t      i;
    json_t     *headers, *item, *key;
    ngx_str_t   when;

    ngx_comms_dynamodb_list_t *l = data;

    headers = ngx_comms_dynamodb_hold(t, json_object());

    json_array_foreach(t->items, i, item) {
        when = ngx_comms_sqlite_text(item, "gsi_created");

        if (ngx_comms_dynamodb_list_fits(t, item)) {
            (void) json_object_set(headers, (char *) when.data, item);
        }
    }

    json_array_foreach(l->walked, i, key) {
        when = ngx_comms_sqlite_text(key, t->db->threads.sk);
        item = json_object_get(headers, (char *) when.data);

        if (item != NULL && json_array_size(l->found) <= l->limit) {
            (void) json_array_append(l->found, item);
        }
    }

    if (json_array_size(l->found) <= l->limit
        && json_array_size(l->walked) == NGX_COMMS_DYNAMODB_BATCH)
    {
        ngx_comms_dynamodb_list_person(t, l);
        return;
    }

    ngx_comms_dynamodb_list_answer(t, l);
}


static ngx_uint_t
ngx_comms_dynamodb_list_fits(ngx_comms_dynamodb_task_t *t, json_t *item)
{
    json_t  *project_id, *status;

    project_id = json_object_get(t->in, "project_id");
    status = json_object_get(t->in, "status");

    return (!json_is_string(project_id)
            || json_equal(project_id,
                          ngx_comms_dynamodb_header_get(t->db, item,
                                                        "project_id")))
           && (!json_is_string(status)
               || json_equal(status, json_object_get(item,
                                                     "conversation_status")));
}


static void
ngx_comms_dynamodb_list_answer(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_list_t *l)
{
    size_t   i;
    json_t  *page, *header, *item, *cursor, *answer;

    page = json_array();
    cursor = json_null();

    json_array_foreach(l->found, i, item) {

        if (i == l->limit) {
            item = json_array_get(l->found, i - 1);
            cursor = ngx_comms_dynamodb_cursor_write(t,
                                 ngx_comms_sqlite_text(item, "gsi_created"));
            break;
        }

        header = ngx_comms_dynamodb_header(t, item);

        (void) json_object_del(header, "project_data");
        (void) json_object_del(header, "ai_config");
        (void) json_object_del(header, "channel_config");

        if (json_array_append_new(page, header) != 0) {
            json_decref(page);
            page = NULL;
            break;
        }
    }

    answer = json_pack("{s:o, s:o}", "conversations", page, "cursor", cursor);

    if (answer == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_finish(t, NGX_OK, answer);
}


void
ngx_comms_dynamodb_count(ngx_comms_dynamodb_task_t *t, ngx_str_t id,
    json_t *numbers, ngx_comms_dynamodb_step_pt step, void *data)
{
    char                          name[sizeof("#n") + NGX_INT_T_LEN];
    json_t                       *n, *shard;
    ngx_uint_t                    i;
    const char                   *key;
    ngx_comms_dynamodb_update_t   u;

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    shard = ngx_comms_dynamodb_hold(t, ngx_comms_dynamodb_shard(id));

    u.pk = ngx_comms_dynamodb_text(t, "count#%s", json_string_value(shard));
    u.sk = ngx_comms_dynamodb_counter;
    u.names = json_object();
    u.values = json_object();

    i = 0;

    json_object_foreach(numbers, key, n) {

        (void) snprintf(name, sizeof(name), "#n%u", (unsigned) i);
        (void) json_object_set_new(u.names, name, json_string(key));

        u.update = ngx_comms_dynamodb_text(t, "%V%s %s :%s", &u.update,
                                           i++ ? "," : "ADD", name, name + 1);

        name[0] = ':';
        (void) json_object_set(u.values, name, n);
    }

    json_decref(numbers);

    ngx_comms_dynamodb_update(t, &t->db->threads, &u, step, data);
}


void
ngx_comms_dynamodb_op_figures(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t      *keys;
    ngx_uint_t   i;

    keys = json_array();

    for (i = 0; i < NGX_COMMS_DYNAMODB_SHARDS; i++) {
        (void) json_array_append_new(keys,
                   json_pack("[o, s]", json_sprintf("count#%u", (unsigned) i),
                             "count"));
    }

    ngx_comms_dynamodb_batch(t, &t->db->threads, keys,
                             ngx_comms_dynamodb_figures_got, NULL);
}


static void
ngx_comms_dynamodb_figures_got(ngx_comms_dynamodb_task_t *t, void *data)
{
    size_t       i;
    json_t      *figures, *threads, *item, *n;
    void        *next;
    ngx_int_t    rc;
    const char  *name;

    threads = json_object();
    figures = json_pack("{s:o, s:i, s:i}", "threads", threads,
                        "inbound_waiting", 0, "effects_unfinished", 0);
    rc = (figures != NULL) ? NGX_OK : NGX_ERROR;

    json_array_foreach(t->items, i, item) {
        json_object_foreach(item, name, n) {

            if (rc == NGX_OK && json_is_integer(n)) {
                rc = (ngx_strncmp(name, "threads ", 8) == 0)
                     ? ngx_comms_dynamodb_figure(threads, name + 8, n)
                     : ngx_comms_dynamodb_figure(figures, name, n);
            }
        }
    }

    if (rc != NGX_OK) {
        json_decref(figures);
        ngx_comms_dynamodb_fail(t);
        return;
    }

    json_object_foreach_safe(threads, next, name, n) {
        if (json_integer_value(n) <= 0) {
            (void) json_object_del(threads, name);
        }
    }

    ngx_comms_dynamodb_finish(t, NGX_OK, figures);
}


static ngx_int_t
ngx_comms_dynamodb_figure(json_t *figures, const char *name, json_t *n)
{
    int64_t  sum;

    sum = json_integer_value(json_object_get(figures, name))
          + json_integer_value(n);

    return json_object_set_new(figures, name, json_integer(sum)) == 0
           ? NGX_OK : NGX_ERROR;
}
