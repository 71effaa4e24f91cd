
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a start request becomes in the store.
 *
 * The record carries a copy of what the project said at this moment, so that
 * a conversation goes on as it began when the project changes.  It names
 * credentials and never holds one.
 */


#include <http/ngx_http_comms_initiate.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_address.h>


static json_t *ngx_http_comms_initiate_record(ngx_http_comms_initiate_t *in,
    ngx_str_t *thread_id);
static json_t *ngx_http_comms_initiate_channels(
    ngx_http_comms_start_t *start);
static ngx_int_t ngx_http_comms_initiate_facts(json_t *record,
    ngx_http_comms_initiate_t *in);
static ngx_int_t ngx_http_comms_initiate_config(json_t *record,
    json_t *config);
static ngx_int_t ngx_http_comms_initiate_reply_pair(ngx_pool_t *pool,
    ngx_http_comms_initiate_t *in, json_t *pairs, ngx_str_t *person);
static json_t *ngx_http_comms_initiate_pairs(ngx_pool_t *pool,
    ngx_http_comms_initiate_t *in);


ngx_int_t
ngx_http_comms_initiate_address(ngx_pool_t *pool,
    ngx_http_comms_start_t *start, ngx_uint_t channel, ngx_str_t *address)
{
    if (channel == NGX_COMMS_EMAIL) {
        return ngx_comms_address_email(pool, &start->email, address);
    }

    return ngx_comms_address_tel(pool, &start->tel, address);
}


json_t *
ngx_http_comms_channel_list(ngx_uint_t channels)
{
    json_t      *list;
    ngx_uint_t   i;

    list = json_array();
    if (list == NULL) {
        return NULL;
    }

    for (i = 0; i < NGX_COMMS_CHANNELS; i++) {
        if (!(channels & (1 << i))) {
            continue;
        }

        if (json_array_append_new(list,
                           ngx_comms_json_string(&ngx_comms_channel_names[i]))
            != 0)
        {
            json_decref(list);
            return NULL;
        }
    }

    return list;
}


json_t *
ngx_http_comms_initiate_admit_in(ngx_pool_t *pool,
    ngx_http_comms_initiate_t *in)
{
    json_t      *addresses;
    ngx_str_t    address;
    ngx_uint_t   i, tel;

    addresses = json_array();
    if (addresses == NULL) {
        return NULL;
    }

    tel = 0;

    for (i = 0; i < NGX_COMMS_CHANNELS; i++) {
        if (!(in->start.channels & (1 << i))) {
            continue;
        }

        /* WhatsApp and SMS share the number */

        if (i != NGX_COMMS_EMAIL && tel++) {
            continue;
        }

        if (ngx_http_comms_initiate_address(pool, &in->start, i, &address)
            != NGX_OK
            || json_array_append_new(addresses,
                                     ngx_comms_json_string(&address))
               != 0)
        {
            json_decref(addresses);
            return NULL;
        }
    }

    return json_pack("{s:s%, s:s%, s:s%, s:o}",
                     "company_id", in->start.company_id.data,
                     in->start.company_id.len,
                     "project_id", in->start.project_id.data,
                     in->start.project_id.len,
                     "conversation_id", in->conversation_id.data,
                     in->conversation_id.len, "addresses", addresses);
}


json_t *
ngx_http_comms_initiate_accept_in(ngx_pool_t *pool,
    ngx_http_comms_initiate_t *in)
{
    json_t     *record, *pairs;
    ngx_str_t   thread_id, now;

    if (ngx_comms_id_mint(pool, "th_", &thread_id) != NGX_OK
        || ngx_comms_iso8601_str(pool, ngx_comms_clock_ms(), &now) != NGX_OK)
    {
        return NULL;
    }

    record = ngx_http_comms_initiate_record(in, &thread_id);
    if (record == NULL) {
        return NULL;
    }

    pairs = ngx_http_comms_initiate_pairs(pool, in);
    if (pairs == NULL) {
        json_decref(record);
        return NULL;
    }

    return json_pack("{s:o, s:s%, s:s%, s:o, s:s,"
                     " s:{s:s, s:s%, s:s%, s:s%}}",
                     "record", record,
                     "request_hash", in->hash.data, in->hash.len,
                     "queue_timestamp", now.data, now.len,
                     "pairs", pairs, "queue", NGX_COMMS_QUEUE_OPEN,
                     "body", "kind", "open",
                     "thread_id", thread_id.data, thread_id.len,
                     "company_id", in->start.company_id.data,
                     in->start.company_id.len,
                     "project_id", in->start.project_id.data,
                     in->start.project_id.len);
}


static json_t *
ngx_http_comms_initiate_record(ngx_http_comms_initiate_t *in,
    ngx_str_t *thread_id)
{
    json_t                  *record, *channels;
    ngx_http_comms_start_t  *start;

    start = &in->start;

    channels = ngx_http_comms_initiate_channels(start);

    record = json_pack("{s:o, s:s, s:b}", "channel_method", channels,
                       "delivery", start->fallback ? "fallback" : "broadcast",
                       "comms_consent", 1);
    if (record == NULL) {
        return NULL;
    }

    if (ngx_comms_json_set_str(record, "thread_id", thread_id) != NGX_OK
        || ngx_comms_json_set_str(record, "conversation_id",
                                  &in->conversation_id)
           != NGX_OK
        || ngx_comms_json_set_str(record, "company_id", &start->company_id)
           != NGX_OK
        || ngx_comms_json_set_str(record, "project_id", &start->project_id)
           != NGX_OK
        || ngx_comms_json_set_str(record, "request_id", &start->request_id)
           != NGX_OK
        || ngx_comms_json_set_str(record, "initial_request_timestamp",
                                  &start->timestamp)
           != NGX_OK
        || ngx_http_comms_initiate_facts(record, in) != NGX_OK
        || ngx_http_comms_initiate_config(record, in->project->config)
           != NGX_OK)
    {
        json_decref(record);
        return NULL;
    }

    return record;
}


/* in the order in which they are used; NULL: memory */

static json_t *
ngx_http_comms_initiate_channels(ngx_http_comms_start_t *start)
{
    return start->fallback ? json_deep_copy(start->fallback)
                           : ngx_http_comms_channel_list(start->channels);
}


/* what the request may leave out is left out of the record too */

static ngx_int_t
ngx_http_comms_initiate_facts(json_t *record, ngx_http_comms_initiate_t *in)
{
    ngx_str_t               *value;
    ngx_uint_t               i;
    ngx_http_comms_start_t  *start;

    static const struct {
        const char  *key;
        size_t       offset;
    } facts[] = {
        { "recipient_tel", offsetof(ngx_http_comms_start_t, tel) },
        { "recipient_email", offsetof(ngx_http_comms_start_t, email) },
        { "recipient_first_name",
          offsetof(ngx_http_comms_start_t, first_name) },
        { "recipient_last_name",
          offsetof(ngx_http_comms_start_t, last_name) },
        { "recipient_time_zone",
          offsetof(ngx_http_comms_start_t, time_zone) },
        { NULL, 0 }
    };

    start = &in->start;

    for (i = 0; facts[i].key != NULL; i++) {
        value = (ngx_str_t *) ((u_char *) start + facts[i].offset);

        if (value->len != 0
            && ngx_comms_json_set_str(record, facts[i].key, value) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (start->fallback != NULL
        && json_object_set_new(record, "fallback",
                               json_pack("{s:o, s:I}", "channels",
                                     ngx_http_comms_initiate_channels(start),
                                     "after", start->after))
           != 0)
    {
        return NGX_ERROR;
    }

    if (start->project_data != NULL
        && json_object_set(record, "project_data", start->project_data) != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Copies, because a record is read in a thread, and documents are not shared
 * between threads.
 */

static ngx_int_t
ngx_http_comms_initiate_config(json_t *record, json_t *config)
{
    json_t      *value;
    ngx_uint_t   i;

    static const char  *keys[] = {
        "company_name", "project_name", "company_rep", "allowed_channels",
        "ai_config", "channel_config", NULL
    };

    for (i = 0; keys[i] != NULL; i++) {
        value = json_object_get(config, keys[i]);

        if (value == NULL) {
            continue;
        }

        if (json_object_set_new(record, keys[i], json_deep_copy(value)) != 0)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* people also write to the address that replies go to, without its token */

static ngx_int_t
ngx_http_comms_initiate_reply_pair(ngx_pool_t *pool,
    ngx_http_comms_initiate_t *in, json_t *pairs, ngx_str_t *person)
{
    json_t     *pair;
    ngx_str_t   reply_to, address;

    if (ngx_comms_json_str(ngx_comms_project_channel(in->project,
                                                     NGX_COMMS_EMAIL),
                           "reply_to", &reply_to)
        != NGX_OK)
    {
        return NGX_OK;
    }

    if (ngx_comms_address_email(pool, &reply_to, &address) != NGX_OK) {
        return NGX_ERROR;
    }

    pair = json_pack("{s:s%, s:s%, s:s%}",
                     "channel",
                     ngx_comms_channel_names[NGX_COMMS_EMAIL].data,
                     ngx_comms_channel_names[NGX_COMMS_EMAIL].len,
                     "company_address", address.data, address.len,
                     "person_address", person->data, person->len);

    return json_array_append_new(pairs, pair) == 0 ? NGX_OK : NGX_ERROR;
}


static json_t *
ngx_http_comms_initiate_pairs(ngx_pool_t *pool, ngx_http_comms_initiate_t *in)
{
    json_t      *pairs, *pair;
    ngx_str_t    company, person, *name;
    ngx_uint_t   i;

    pairs = json_array();
    if (pairs == NULL) {
        return NULL;
    }

    for (i = 0; i < NGX_COMMS_CHANNELS; i++) {
        if (!(in->start.channels & (1 << i))) {
            continue;
        }

        if (ngx_comms_project_address(pool, in->project, i, &company)
            != NGX_OK
            || ngx_http_comms_initiate_address(pool, &in->start, i, &person)
               != NGX_OK)
        {
            goto failed;
        }

        name = &ngx_comms_channel_names[i];

        pair = json_pack("{s:s%, s:s%, s:s%}",
                         "channel", name->data, name->len,
                         "company_address", company.data, company.len,
                         "person_address", person.data, person.len);

        if (json_array_append_new(pairs, pair) != 0) {
            goto failed;
        }

        if (i == NGX_COMMS_EMAIL
            && ngx_http_comms_initiate_reply_pair(pool, in, pairs, &person)
               != NGX_OK)
        {
            goto failed;
        }
    }

    return pairs;

failed:

    json_decref(pairs);

    return NULL;
}


json_t *
ngx_http_comms_initiate_summary(json_t *document)
{
    json_t  *record;

    record = json_object_get(document, "record");

    return json_pack("{s:o, s:o, s:o}",
                        "thread_id",
                        json_copy(json_object_get(record, "thread_id")),
                        "channels",
                        json_deep_copy(json_object_get(record,
                                                       "channel_method")),
                        "queue_timestamp",
                        json_copy(json_object_get(document,
                                                  "queue_timestamp")));
}
