
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A thread's header: its item, the attributes of the indices, the record of
 * each channel, and the places of messages.  This file alone knows what the
 * two layouts call things.
 *
 * In layout "per_channel" the header of the thread stands beside the records
 * of its channels.  So that the indices find those and not the header, it has
 * the attributes that are keys of an index under names of ours.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <guard/ngx_comms_zone.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


static ngx_int_t ngx_comms_dynamodb_header_own(ngx_comms_dynamodb_task_t *t,
    json_t *in, json_t *item);
static json_t *ngx_comms_dynamodb_pending(json_t *channels);
static ngx_int_t ngx_comms_dynamodb_rename(ngx_comms_dynamodb_t *db,
    json_t *item);
static ngx_int_t ngx_comms_dynamodb_indices(json_t *item, json_t *pair);
static ngx_int_t ngx_comms_dynamodb_index(json_t *item, const char *name,
    ngx_str_t address);
static ngx_str_t ngx_comms_dynamodb_bare(ngx_str_t address);
static ngx_uint_t ngx_comms_dynamodb_same(ngx_str_t *a, ngx_str_t *b);
static ngx_uint_t ngx_comms_dynamodb_starts(const char *name,
    const char *prefix);


ngx_str_t  ngx_comms_dynamodb_record = ngx_string("record");


static const struct {
    const char  *outside;
    const char  *inside;
} ngx_comms_dynamodb_renamed[] = {
    { "thread_id", "comms_thread_id" },
    { "conversation_id", "comms_conversation_id" },
    { "company_id", "comms_company_id" },
    { "project_id", "comms_project_id" },
    { NULL, NULL }
};


/* the attributes of the layouts' indices, for each channel */
static const struct {
    const char  *channel;
    const char  *company;
    const char  *person;
} ngx_comms_dynamodb_sparse[] = {
    { "whatsapp", "gsi_company_whatsapp_number", "gsi_recipient_tel" },
    { "sms", "gsi_company_sms_number", "gsi_recipient_tel" },
    { "email", "gsi_company_email", "gsi_recipient_email" },
    { NULL, NULL, NULL }
};


json_t *
ngx_comms_dynamodb_header_make(ngx_comms_dynamodb_task_t *t, json_t *in,
    json_t *journal)
{
    size_t   i;
    json_t  *item, *pair, *packed;

    item = json_copy(json_object_get(in, "record"));
    packed = ngx_comms_dynamodb_pack(journal);

    json_decref(journal);

    if (item == NULL
        || json_object_set_new(item, "comms_journal",
                               json_pack("[o]", packed)) != 0
        || ngx_comms_dynamodb_header_own(t, in, item) != NGX_OK)
    {
        json_decref(item);
        return NULL;
    }

    if (t->db->conf->layout == NGX_COMMS_STORE_SINGLE) {

        json_array_foreach(json_object_get(in, "pairs"), i, pair) {
            if (ngx_comms_dynamodb_indices(item, pair) != NGX_OK) {
                json_decref(item);
                return NULL;
            }
        }

        return item;
    }

    if (ngx_comms_dynamodb_rename(t->db, item) != NGX_OK) {
        json_decref(item);
        return NULL;
    }

    return item;
}


/* what the store derives by itself, and what it needs */

static ngx_int_t
ngx_comms_dynamodb_header_own(ngx_comms_dynamodb_task_t *t, json_t *in,
    json_t *item)
{
    json_t     *own, *text;
    int64_t     now;
    ngx_int_t   rc;
    ngx_str_t   thread_id, company_id, project_id, status, open;

    now = json_integer_value(json_object_get(in, "now"));

    thread_id = ngx_comms_sqlite_text(item, "thread_id");
    company_id = ngx_comms_sqlite_text(item, "company_id");
    project_id = ngx_comms_sqlite_text(item, "project_id");
    status = ngx_comms_sqlite_text(item, "conversation_status");
    open = ngx_comms_dynamodb_text(t, "%V#%V", &company_id, &project_id);

    if (status.len == 0) {
        ngx_str_set(&status, "queued");
    }

    text = ngx_comms_dynamodb_string(open);

    (void) json_object_del(item, "messages");

    own = json_pack("{s:o, s:i, s:i, s:o, s:o, s:o, s:{}, s:i, s:{}, s:O,"
        " s:I, s:o, s:o, s:o, s:I, s:O, s:o, s:o}",
        "conversation_status", ngx_comms_dynamodb_string(status),
        "version", 1,
        "fence", 0,
        "created_at", ngx_comms_dynamodb_time(now),
        "updated_at", ngx_comms_dynamodb_time(now),
        "channel_states", ngx_comms_dynamodb_pending(
                                     json_object_get(item, "channel_method")),
        "channel_reasons",
        "comms_commits", 1,
        "comms_intents",
        "comms_pairs", json_object_get(in, "pairs"),
        "comms_pairs_at", (json_int_t) now,
        "gsi_company_id", ngx_comms_dynamodb_string(company_id),
        "gsi_created", ngx_comms_dynamodb_string(
                           ngx_comms_dynamodb_when(t, now, thread_id)),
        "gsi_sweep", ngx_comms_dynamodb_shard(thread_id),
        "gsi_sweep_at", (json_int_t) now,
        "comms_open", text,
        "gsi_open", json_incref(text),
        "comms_shard", ngx_comms_dynamodb_shard(thread_id));

    if (own != NULL && !ngx_comms_dynamodb_is_open(status)) {
        (void) json_object_del(own, "gsi_open");
    }

    rc = (own != NULL && json_object_update(item, own) == 0)
         ? NGX_OK : NGX_ERROR;

    json_decref(own);
    json_decref(text);

    return rc;
}


/* the channel states that a thread starts with, or NULL */

static json_t *
ngx_comms_dynamodb_pending(json_t *channels)
{
    size_t   i;
    json_t  *states, *channel;

    states = json_object();

    json_array_foreach(channels, i, channel) {
        if (json_object_set_new(states, json_string_value(channel),
                                json_string("pending"))
            != 0)
        {
            json_decref(states);
            return NULL;
        }
    }

    return states;
}


static ngx_int_t
ngx_comms_dynamodb_rename(ngx_comms_dynamodb_t *db, json_t *item)
{
    json_t      *value;
    ngx_uint_t   i;

    for (i = 0; ngx_comms_dynamodb_renamed[i].outside != NULL; i++) {

        value = json_object_get(item, ngx_comms_dynamodb_renamed[i].outside);

        if (value == NULL) {
            continue;
        }

        if (json_object_set(item, ngx_comms_dynamodb_renamed[i].inside, value)
            != 0)
        {
            return NGX_ERROR;
        }

        (void) json_object_del(item, ngx_comms_dynamodb_renamed[i].outside);
    }

    return NGX_OK;
}


const char *
ngx_comms_dynamodb_header_name(ngx_comms_dynamodb_t *db, const char *name)
{
    ngx_uint_t  i;

    if (db->conf->layout == NGX_COMMS_STORE_SINGLE) {
        return name;
    }

    for (i = 0; ngx_comms_dynamodb_renamed[i].outside != NULL; i++) {
        if (ngx_strcmp(name, ngx_comms_dynamodb_renamed[i].outside) == 0) {
            return ngx_comms_dynamodb_renamed[i].inside;
        }
    }

    return name;
}


json_t *
ngx_comms_dynamodb_header_get(ngx_comms_dynamodb_t *db, json_t *item,
    const char *name)
{
    return json_object_get(item, ngx_comms_dynamodb_header_name(db, name));
}


json_t *
ngx_comms_dynamodb_header(ngx_comms_dynamodb_task_t *t, json_t *item)
{
    json_t      *header, *value;
    ngx_uint_t   i;

    header = ngx_comms_dynamodb_public(t, &t->db->threads, item);

    for (i = 0; ngx_comms_dynamodb_renamed[i].outside != NULL; i++) {

        value = ngx_comms_dynamodb_header_get(t->db, item,
                                      ngx_comms_dynamodb_renamed[i].outside);

        if (json_object_set(header, ngx_comms_dynamodb_renamed[i].outside,
                            value)
            != 0)
        {
            json_decref(header);
            return NULL;
        }
    }

    return header;
}


json_t *
ngx_comms_dynamodb_public(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, json_t *item)
{
    json_t      *public, *value;
    const char  *name;

    public = json_object();

    json_object_foreach(item, name, value) {

        if (ngx_comms_dynamodb_starts(name, NGX_COMMS_DYNAMODB_OURS)
            || ngx_comms_dynamodb_starts(name, NGX_COMMS_DYNAMODB_INDEX)
            || ngx_strcmp(name, table->pk) == 0
            || ngx_strcmp(name, table->sk) == 0
            || ngx_strcmp(name, "initial_email_message_id") == 0
            || ngx_strcmp(name, "ttl") == 0)
        {
            continue;
        }

        if (json_object_set(public, name, value) != 0) {
            json_decref(public);
            return NULL;
        }
    }

    return public;
}


static ngx_int_t
ngx_comms_dynamodb_indices(json_t *item, json_t *pair)
{
    ngx_str_t   channel, company, person;
    ngx_uint_t  i;

    channel = ngx_comms_sqlite_text(pair, "channel");
    company = ngx_comms_sqlite_text(pair, "company_address");
    person = ngx_comms_sqlite_text(pair, "person_address");

    for (i = 0; ngx_comms_dynamodb_sparse[i].channel != NULL; i++) {

        if (ngx_strcmp(channel.data, ngx_comms_dynamodb_sparse[i].channel)
            != 0)
        {
            continue;
        }

        if (ngx_comms_dynamodb_index(item,
                     ngx_comms_dynamodb_sparse[i].company, company) != NGX_OK
            || ngx_comms_dynamodb_index(item,
                     ngx_comms_dynamodb_sparse[i].person, person) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* an address that is neither a number nor a mailbox is in no index */

static ngx_int_t
ngx_comms_dynamodb_index(json_t *item, const char *name, ngx_str_t address)
{
    ngx_str_t  bare;

    bare = ngx_comms_dynamodb_bare(address);

    if (bare.len == address.len || bare.len == 0) {
        return NGX_OK;
    }

    return json_object_set_new(item, name, ngx_comms_dynamodb_string(bare))
           == 0 ? NGX_OK : NGX_ERROR;
}


/* "+447700900123" of "tel:+447700900123", ... */

static ngx_str_t
ngx_comms_dynamodb_bare(ngx_str_t address)
{
    ngx_uint_t        i;
    static ngx_str_t  kinds[] = {
        ngx_string("tel:"), ngx_string("mailto:")
    };

    for (i = 0; i < 2; i++) {
        if (address.len > kinds[i].len
            && ngx_strncmp(address.data, kinds[i].data, kinds[i].len) == 0)
        {
            address.data += kinds[i].len;
            address.len -= kinds[i].len;
            break;
        }
    }

    return address;
}


ngx_array_t *
ngx_comms_dynamodb_places(ngx_comms_dynamodb_task_t *t, json_t *item)
{
    size_t                       i;
    json_t                      *pairs;
    ngx_uint_t                   k, n;
    ngx_array_t                 *places;
    ngx_comms_dynamodb_place_t   place, *known, *new;

    pairs = json_object_get(item, "comms_pairs");
    n = ngx_max(json_array_size(pairs), 1);

    places = ngx_array_create(t->pool, n, sizeof(ngx_comms_dynamodb_place_t));
    if (places == NULL) {
        return NULL;
    }

    for (i = 0; i < n; i++) {

        if (ngx_comms_dynamodb_place(t, item,
                        ngx_comms_sqlite_text(json_array_get(pairs, i),
                                              "channel"), &place)
            != NGX_OK)
        {
            return NULL;
        }

        known = places->elts;

        for (k = 0; k < places->nelts; k++) {
            if (ngx_comms_dynamodb_same(&known[k].pk, &place.pk)
                && ngx_comms_dynamodb_same(&known[k].prefix, &place.prefix))
            {
                break;
            }
        }

        if (k < places->nelts) {
            continue;
        }

        new = ngx_array_push(places);
        if (new == NULL) {
            return NULL;
        }

        *new = place;
    }

    return places;
}


ngx_int_t
ngx_comms_dynamodb_place(ngx_comms_dynamodb_task_t *t, json_t *item,
    ngx_str_t channel, ngx_comms_dynamodb_place_t *place)
{
    size_t      i;
    json_t     *pairs, *pair, *its;
    ngx_str_t   name, sk;

    pairs = json_object_get(item, "comms_pairs");

    if (t->db->conf->layout == NGX_COMMS_STORE_SINGLE
        || json_array_size(pairs) == 0)
    {
        place->pk = ngx_comms_json_view(
                     ngx_comms_dynamodb_header_get(t->db, item, "thread_id"));
        ngx_str_set(&place->prefix, "msg#");
        return NGX_OK;
    }

    its = json_array_get(pairs, 0);

    json_array_foreach(pairs, i, pair) {
        name = ngx_comms_sqlite_text(pair, "channel");

        if (ngx_comms_dynamodb_same(&name, &channel)) {
            its = pair;
            break;
        }
    }

    if (ngx_comms_dynamodb_copy_key(t, item, its, &place->pk, &sk) != NGX_OK)
    {
        return NGX_ERROR;
    }

    place->prefix = ngx_comms_dynamodb_text(t, "%V#msg#", &sk);

    return (place->prefix.len != 0) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_comms_dynamodb_copy_key(ngx_comms_dynamodb_task_t *t, json_t *item,
    json_t *pair, ngx_str_t *pk, ngx_str_t *sk)
{
    ngx_str_t  company, conversation_id;

    company = ngx_comms_dynamodb_bare(
                             ngx_comms_sqlite_text(pair, "company_address"));
    conversation_id = ngx_comms_json_view(
               ngx_comms_dynamodb_header_get(t->db, item, "conversation_id"));

    if (company.len > 1 && company.data[0] == '+') {
        company.data++;
        company.len--;
    }

    *pk = ngx_comms_dynamodb_bare(
                              ngx_comms_sqlite_text(pair, "person_address"));
    *sk = ngx_comms_dynamodb_text(t, "%V#%V", &conversation_id, &company);

    return (pk->len != 0 && sk->len != 0) ? NGX_OK : NGX_ERROR;
}


json_t *
ngx_comms_dynamodb_copy(ngx_comms_dynamodb_task_t *t, json_t *item,
    json_t *pair, ngx_str_t *pk, ngx_str_t *sk)
{
    size_t      i;
    json_t     *copy, *other, *mail;
    ngx_str_t   other_pk, other_sk;

    if (ngx_comms_dynamodb_copy_key(t, item, pair, pk, sk) != NGX_OK) {
        return NULL;
    }

    copy = ngx_comms_dynamodb_header(t, item);

    if (json_object_set(copy, "comms_applied",
                        json_object_get(item, "version"))
        != 0)
    {
        json_decref(copy);
        return NULL;
    }

    mail = json_object_get(item, "initial_email_message_id");

    if (mail != NULL
        && json_object_set(copy, "initial_email_message_id", mail) != 0)
    {
        json_decref(copy);
        return NULL;
    }

    /* two channels with the same addresses have one record */

    json_array_foreach(json_object_get(item, "comms_pairs"), i, other) {
        if (ngx_comms_dynamodb_copy_key(t, item, other, &other_pk, &other_sk)
            != NGX_OK
            || (ngx_comms_dynamodb_same(pk, &other_pk)
                && ngx_comms_dynamodb_same(sk, &other_sk)
                && ngx_comms_dynamodb_indices(copy, other) != NGX_OK))
        {
            json_decref(copy);
            return NULL;
        }
    }

    return copy;
}


ngx_uint_t
ngx_comms_dynamodb_knows(json_t *item, ngx_str_t person_address)
{
    size_t      i;
    json_t     *pair;
    ngx_str_t   address;

    json_array_foreach(json_object_get(item, "comms_pairs"), i, pair) {
        address = ngx_comms_sqlite_text(pair, "person_address");

        if (ngx_comms_dynamodb_same(&address, &person_address)) {
            return 1;
        }
    }

    return 0;
}


ngx_str_t
ngx_comms_dynamodb_when(ngx_comms_dynamodb_task_t *t, int64_t ms,
    ngx_str_t id)
{
    return ngx_comms_dynamodb_text(t, "%015L.%V", ms, &id);
}


ngx_str_t
ngx_comms_dynamodb_pair(ngx_comms_dynamodb_task_t *t, json_t *pair)
{
    ngx_str_t  channel, company, person;

    channel = ngx_comms_sqlite_text(pair, "channel");
    company = ngx_comms_dynamodb_part(t, ngx_comms_sqlite_text(pair,
                                                       "company_address"));
    person = ngx_comms_dynamodb_part(t, ngx_comms_sqlite_text(pair,
                                                        "person_address"));

    return ngx_comms_dynamodb_text(t, "pair#%V#%V#%V", &channel, &company,
                                   &person);
}


ngx_str_t
ngx_comms_dynamodb_person(ngx_comms_dynamodb_task_t *t, json_t *item,
    json_t *pair)
{
    ngx_str_t  company, person;

    company = ngx_comms_json_view(
                    ngx_comms_dynamodb_header_get(t->db, item, "company_id"));
    person = ngx_comms_dynamodb_part(t, ngx_comms_sqlite_text(pair,
                                                         "person_address"));

    return ngx_comms_dynamodb_text(t, "person#%V#%V", &company, &person);
}


json_t *
ngx_comms_dynamodb_shard(ngx_str_t id)
{
    return json_sprintf("%u", (unsigned) (ngx_comms_notice_hash(&id)
                                          % NGX_COMMS_DYNAMODB_SHARDS));
}


json_t *
ngx_comms_dynamodb_time(int64_t ms)
{
    u_char  text[NGX_COMMS_ISO8601_LEN];

    (void) ngx_comms_iso8601(text, ms);

    return json_stringn((char *) text, NGX_COMMS_ISO8601_LEN);
}


ngx_uint_t
ngx_comms_dynamodb_is_open(ngx_str_t status)
{
    static ngx_str_t  completed = ngx_string("completed");
    static ngx_str_t  failed = ngx_string("failed");

    return !ngx_comms_dynamodb_same(&status, &completed)
           && !ngx_comms_dynamodb_same(&status, &failed);
}


static ngx_uint_t
ngx_comms_dynamodb_same(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}


static ngx_uint_t
ngx_comms_dynamodb_starts(const char *name, const char *prefix)
{
    return ngx_strncmp(name, prefix, ngx_strlen(prefix)) == 0;
}
