
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What Meta's webhooks say besides messages: what became of ours, that a
 * person has another number or id, and that one wants no marketing any more.
 * And what all of them are made of: times, ids, addresses.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_event.h>
#include <channel/ngx_comms_meta.h>


/* the year 2100: no time of a webhook is later */
#define NGX_COMMS_META_MAX_TIME  4102444800


static const char *ngx_comms_meta_status_of(ngx_str_t *said);
static ngx_int_t ngx_comms_meta_status_event(ngx_pool_t *pool,
    json_t *status, const char *name, json_t *event);
static ngx_int_t ngx_comms_meta_status_failure(ngx_pool_t *pool,
    json_t *status, json_t *event);
static ngx_int_t ngx_comms_meta_identity(ngx_pool_t *pool, json_t *message,
    ngx_str_t *company, ngx_str_t *previous, ngx_str_t *person,
    const char *suffix, json_t *events);
static ngx_int_t ngx_comms_meta_preference_event(ngx_pool_t *pool,
    json_t *preference, ngx_str_t *company, ngx_uint_t opted_out,
    json_t *event);


ngx_int_t
ngx_comms_meta_status(ngx_pool_t *pool, json_t *status, json_t *events)
{
    json_t      *event;
    ngx_str_t    id, said;
    const char  *name;

    (void) ngx_comms_json_str(status, "status", &said);

    name = ngx_comms_meta_status_of(&said);

    if (name == NULL) {
        return ngx_comms_meta_ignore(events, "a status that changes nothing");
    }

    if (ngx_comms_json_str(status, "id", &id) != NGX_OK
        || !ngx_comms_meta_wamid(&id))
    {
        return ngx_comms_meta_ignore(events, "a status without an id");
    }

    event = ngx_comms_event_create("status", "meta", NGX_COMMS_WHATSAPP);

    if (event == NULL
        || ngx_comms_event_dedupe(pool, event, "meta", &id, name) != NGX_OK
        || ngx_comms_json_set_str(event, "provider_message_id", &id)
           != NGX_OK
        || ngx_comms_meta_status_event(pool, status, name, event) != NGX_OK)
    {
        json_decref(event);
        return NGX_ERROR;
    }

    return (json_array_append_new(events, event) == 0) ? NGX_OK : NGX_ERROR;
}


/* ours for Meta's, or NULL; a voice message that was played was read */

static const char *
ngx_comms_meta_status_of(ngx_str_t *said)
{
    ngx_uint_t  i;

    static const char  *names[][2] = {
        { "sent", "sent" },
        { "delivered", "delivered" },
        { "read", "read" },
        { "played", "read" },
        { "failed", "failed" },
        { NULL, NULL }
    };

    for (i = 0; names[i][0] != NULL; i++) {

        if (said->len == ngx_strlen(names[i][0])
            && ngx_strncmp(said->data, names[i][0], said->len) == 0)
        {
            return names[i][1];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_comms_meta_status_event(ngx_pool_t *pool, json_t *status,
    const char *name, json_t *event)
{
    int64_t    seconds;
    ngx_str_t  marker, person, alias;

    seconds = 0;
    (void) ngx_comms_meta_time(status, &seconds);

    if (json_object_set_new(event, "status", json_string(name)) != 0
        || json_object_set_new(event, "at", json_integer(seconds * 1000))
           != 0)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_json_str(status, "biz_opaque_callback_data", &marker)
        == NGX_OK
        && ngx_comms_event_marker(&marker)
        && ngx_comms_json_set_str(event, "marker", &marker) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_meta_person(pool, status, "recipient_id",
                              "recipient_user_id", &person, &alias)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (person.len > 0
        && ngx_comms_json_set_str(event, "person_address", &person) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_strcmp(name, "failed") != 0) {
        return NGX_OK;
    }

    return ngx_comms_meta_status_failure(pool, status, event);
}


static ngx_int_t
ngx_comms_meta_status_failure(ngx_pool_t *pool, json_t *status,
    json_t *event)
{
    json_t                  *error;
    ngx_str_t                code;
    const ngx_comms_code_t  *row;

    error = json_array_get(json_object_get(status, "errors"), 0);

    if (ngx_comms_meta_error_code(pool, error, &code, &row) == NGX_ERROR) {
        return NGX_ERROR;
    }

    return ngx_comms_code_event(event, &code, row);
}


/*
 * {"type": "user_changed_number", "wa_id": new, "user_id": new,
 *  "previous_user_id"}, with "from" the number until then; or
 * {"type": "user_changed_user_id", "user_id": new, "previous_user_id"}
 */

ngx_int_t
ngx_comms_meta_system(ngx_pool_t *pool, json_t *message, ngx_str_t *company,
    json_t *events)
{
    json_t     *system;
    size_t      known;
    ngx_str_t   before, after, from, to;

    system = json_object_get(message, "system");
    known = json_array_size(events);

    if (ngx_comms_meta_person(pool, message, "from", "from_user_id", &from,
                              &before)
        != NGX_OK
        || ngx_comms_meta_person(pool, system, "wa_id", "user_id", &to,
                                 &after)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_meta_identity(pool, message, company, &from, &to, NULL,
                                events)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* another number is another id, too */

    if (ngx_comms_meta_person(pool, system, "none", "previous_user_id",
                              &from, &before)
        != NGX_OK
        || ngx_comms_meta_person(pool, system, "none", "user_id", &to,
                                 &after)
           != NGX_OK
        || ngx_comms_meta_identity(pool, message, company, &from, &to,
                                   "user_id", events)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (json_array_size(events) == known) {
        return ngx_comms_meta_ignore(events,
                                     "a system message that changes nothing");
    }

    return NGX_OK;
}


/* nothing where one of the two is not known, or both are the same */

static ngx_int_t
ngx_comms_meta_identity(ngx_pool_t *pool, json_t *message,
    ngx_str_t *company, ngx_str_t *previous, ngx_str_t *person,
    const char *suffix, json_t *events)
{
    json_t     *event;
    int64_t     seconds;
    ngx_str_t   id;

    if (previous->len == 0 || person->len == 0
        || previous->data[0] != person->data[0]
        || (previous->len == person->len
            && ngx_memcmp(previous->data, person->data, person->len) == 0))
    {
        return NGX_OK;
    }

    seconds = 0;
    (void) ngx_comms_meta_time(message, &seconds);
    (void) ngx_comms_json_str(message, "id", &id);

    event = ngx_comms_event_create("identity", "meta", NGX_COMMS_WHATSAPP);

    if (event == NULL
        || ngx_comms_event_dedupe(pool, event, "meta", &id, suffix) != NGX_OK
        || ngx_comms_json_set_str(event, "company_address", company) != NGX_OK
        || ngx_comms_json_set_str(event, "previous", previous) != NGX_OK
        || ngx_comms_json_set_str(event, "person_address", person) != NGX_OK
        || json_object_set_new(event, "at", json_integer(seconds * 1000))
           != 0)
    {
        json_decref(event);
        return NGX_ERROR;
    }

    return (json_array_append_new(events, event) == 0) ? NGX_OK : NGX_ERROR;
}


/*
 * {"wa_id", "user_id"?, "category": "marketing_messages",
 *  "value": "stop" | "resume", "detail", "timestamp"}: the person tapped it
 * in the chat's settings
 */

ngx_int_t
ngx_comms_meta_preference(ngx_pool_t *pool, json_t *preference,
    ngx_str_t *company, json_t *events)
{
    json_t      *event;
    ngx_str_t    value;
    ngx_uint_t   opted_out;

    (void) ngx_comms_json_str(preference, "value", &value);

    if (value.len == 4 && ngx_strncmp(value.data, "stop", 4) == 0) {
        opted_out = 1;

    } else if (value.len == 6 && ngx_strncmp(value.data, "resume", 6) == 0) {
        opted_out = 0;

    } else {
        return ngx_comms_meta_ignore(events, "an unknown preference");
    }

    event = ngx_comms_event_create("consent", "meta", NGX_COMMS_WHATSAPP);

    if (event == NULL
        || ngx_comms_meta_preference_event(pool, preference, company,
                                           opted_out, event)
           != NGX_OK)
    {
        json_decref(event);
        return NGX_ERROR;
    }

    if (json_object_get(event, "person_address") == NULL) {
        json_decref(event);
        return ngx_comms_meta_ignore(events, "a preference of nobody");
    }

    return (json_array_append_new(events, event) == 0) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_meta_preference_event(ngx_pool_t *pool, json_t *preference,
    ngx_str_t *company, ngx_uint_t opted_out, json_t *event)
{
    u_char       buf[NGX_INT64_LEN + 1];
    int64_t      seconds;
    ngx_str_t    person, alias, raw, proof;
    const char  *word;

    seconds = 0;
    (void) ngx_comms_meta_time(preference, &seconds);
    (void) ngx_comms_json_str(preference, "detail", &raw);

    word = opted_out ? "stop" : "resume";

    if (ngx_comms_meta_person(pool, preference, "wa_id", "user_id", &person,
                              &alias)
        != NGX_OK
        || ngx_comms_event_line(pool, &raw, &proof) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (person.len == 0) {
        return NGX_OK;
    }

    if (proof.len == 0) {
        proof.data = (u_char *) word;
        proof.len = ngx_strlen(word);
    }

    *ngx_sprintf(buf, "%L", seconds) = '\0';

    if (ngx_comms_json_set_str(event, "person_address", &person) != NGX_OK
        || ngx_comms_event_alias(event, &alias) != NGX_OK
        || ngx_comms_json_set_str(event, "company_address", company) != NGX_OK
        || ngx_comms_json_set_str(event, "proof", &proof) != NGX_OK
        || json_object_set_new(event, "opted_out", json_boolean(opted_out))
           != 0
        || json_object_set_new(event, "at", json_integer(seconds * 1000))
           != 0)
    {
        return NGX_ERROR;
    }

    /* there is no id: person, word and second are one */

    raw.data = ngx_pnalloc(pool, person.len + sizeof("resume:") - 1);
    if (raw.data == NULL) {
        return NGX_ERROR;
    }

    raw.len = ngx_sprintf(raw.data, "%s:%V", word, &person) - raw.data;

    return ngx_comms_event_dedupe(pool, event, "meta", &raw, (char *) buf);
}


ngx_int_t
ngx_comms_meta_time(json_t *object, int64_t *seconds)
{
    time_t      n;
    int64_t     number;
    ngx_str_t   text;

    switch (ngx_comms_json_str(object, "timestamp", &text)) {

    case NGX_OK:
        n = ngx_atotm(text.data, text.len);
        break;

    case NGX_ERROR:
        if (ngx_comms_json_int(object, "timestamp", &number) != NGX_OK) {
            return NGX_DECLINED;
        }

        n = number;
        break;

    default:
        return NGX_DECLINED;
    }

    if (n <= 0 || n > NGX_COMMS_META_MAX_TIME) {
        return NGX_DECLINED;
    }

    *seconds = n;

    return NGX_OK;
}


ngx_uint_t
ngx_comms_meta_wamid(ngx_str_t *id)
{
    return ngx_comms_event_token(id, "._=+/-", NGX_COMMS_EVENT_MAX_ID);
}


ngx_int_t
ngx_comms_meta_person(ngx_pool_t *pool, json_t *object, const char *number,
    const char *user_id, ngx_str_t *person, ngx_str_t *alias)
{
    ngx_str_t  raw, id;

    (void) ngx_comms_json_str(object, number, &raw);

    if (ngx_comms_event_tel(pool, &raw, person) != NGX_OK) {
        return NGX_ERROR;
    }

    (void) ngx_comms_json_str(object, user_id, &id);

    /* some fields for a number hold the id of people who hide theirs */

    if (id.len == 0 && person->len == 0
        && ngx_strlchr(raw.data, raw.data + raw.len, '.') != NULL)
    {
        id = raw;
    }

    if (ngx_comms_event_bsuid(pool, &id, alias) != NGX_OK) {
        return NGX_ERROR;
    }

    if (person->len == 0) {
        *person = *alias;
        ngx_str_null(alias);
    }

    return NGX_OK;
}
