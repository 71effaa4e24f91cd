
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Meta's webhooks, normalised.
 *
 * One body holds several entries (WhatsApp accounts), each several changes,
 * each several messages or statuses.  What one of them lacks is that one's
 * misfortune: it is ignored with its reason, and the others are kept, because
 * Meta sends the whole body again for seven days until it is taken.
 *
 * For the same reason very old messages arrive.  What is older than eight
 * days is ignored: beyond that its dedupe_id may be forgotten.
 *
 * People have numbers, ids ("bsuid:", scoped to the business), or both.  The
 * number is the person's address where there is one, the id is then an alias.
 *
 * Source: "Webhooks" of the WhatsApp Business Platform,
 * https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks and
 * ".../whatsapp/business-scoped-user-ids".
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_address.h>
#include <channel/ngx_comms_event.h>
#include <channel/ngx_comms_meta.h>


#define NGX_COMMS_META_MAX_AGE    (8 * 24 * 3600)
#define NGX_COMMS_META_NO_ESCAPE  0x10000


static json_t *ngx_comms_meta_document(ngx_pool_t *pool, ngx_str_t *body);
static void ngx_comms_meta_mend(u_char *p, u_char *last);
static ngx_uint_t ngx_comms_meta_escape(u_char *p, u_char *last);
static ngx_int_t ngx_comms_meta_entries(ngx_pool_t *pool, json_t *document,
    time_t now, json_t *events);
static ngx_int_t ngx_comms_meta_change(ngx_pool_t *pool, json_t *change,
    time_t now, json_t *events);
static ngx_int_t ngx_comms_meta_value(ngx_pool_t *pool, json_t *value,
    ngx_str_t *company, time_t now, json_t *events);
static ngx_int_t ngx_comms_meta_message_event(ngx_pool_t *pool,
    json_t *value, json_t *message, ngx_str_t *company, json_t *event,
    const char **ignored);
static ngx_int_t ngx_comms_meta_sender(ngx_pool_t *pool, json_t *value,
    json_t *message, json_t *event, const char **ignored);
static json_t *ngx_comms_meta_contact(json_t *value, json_t *message);
static ngx_uint_t ngx_comms_meta_same(json_t *one, const char *a,
    json_t *two, const char *b);
static ngx_int_t ngx_comms_meta_origin(ngx_pool_t *pool, json_t *message,
    json_t *event, ngx_str_t *content);
static ngx_uint_t ngx_comms_meta_word(ngx_str_t *text, const char *word);


ngx_int_t
ngx_comms_meta_parse(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials, json_t **events, const char **words)
{
    json_t     *document, *list;
    ngx_int_t   rc;
    ngx_str_t   object;

    *events = NULL;

    document = ngx_comms_meta_document(pool, &wh->body);

    if (!json_is_object(document)) {
        json_decref(document);
        *words = "the body is no JSON object";
        return NGX_DECLINED;
    }

    if (ngx_comms_json_str(document, "object", &object) != NGX_OK
        || !json_is_array(json_object_get(document, "entry")))
    {
        json_decref(document);
        *words = "the body has no object and entry";
        return NGX_DECLINED;
    }

    list = json_array();

    if (list == NULL) {
        rc = NGX_ERROR;

    } else if (!ngx_comms_meta_word(&object, "whatsapp_business_account")) {
        rc = ngx_comms_meta_ignore(list, "not about WhatsApp");

    } else {
        rc = ngx_comms_meta_entries(pool, document, wh->now, list);
    }

    json_decref(document);

    if (rc != NGX_OK) {
        json_decref(list);
        return NGX_ERROR;
    }

    *events = list;

    return NGX_OK;
}


/*
 * A NUL and half of a surrogate pair are no text in JSON here, and one message
 * with either would keep all the others of its body out, again and again for
 * seven days.  They become U+FFFD.
 */

static json_t *
ngx_comms_meta_document(ngx_pool_t *pool, ngx_str_t *body)
{
    json_t                  *document;
    ngx_str_t                mended;
    ngx_comms_json_error_t   err;

    document = ngx_comms_json_parse(body, &err);

    if (document != NULL || body->len == 0) {
        return document;
    }

    mended.len = body->len;
    mended.data = ngx_pstrdup(pool, body);
    if (mended.data == NULL) {
        return NULL;
    }

    ngx_comms_meta_mend(mended.data, mended.data + mended.len);

    return ngx_comms_json_parse(&mended, &err);
}


static void
ngx_comms_meta_mend(u_char *p, u_char *last)
{
    ngx_uint_t  unit, next;

    while (p < last) {

        if (*p != '\\') {
            p++;
            continue;
        }

        unit = ngx_comms_meta_escape(p, last);

        if (unit == NGX_COMMS_META_NO_ESCAPE) {
            p += 2;
            continue;
        }

        if (unit >= 0xd800 && unit <= 0xdbff) {
            next = ngx_comms_meta_escape(p + 6, last);

            if (next >= 0xdc00 && next <= 0xdfff) {
                p += 12;
                continue;
            }
        }

        if (unit == 0 || (unit >= 0xd800 && unit <= 0xdfff)) {
            ngx_memcpy(p + 2, "fffd", 4);
        }

        p += 6;
    }
}


/* the unit that the escape of six characters at p stands for */

static ngx_uint_t
ngx_comms_meta_escape(u_char *p, u_char *last)
{
    ngx_int_t  unit;

    if (last - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return NGX_COMMS_META_NO_ESCAPE;
    }

    unit = ngx_hextoi(p + 2, 4);

    return (unit == NGX_ERROR) ? NGX_COMMS_META_NO_ESCAPE
                               : (ngx_uint_t) unit;
}


static ngx_int_t
ngx_comms_meta_entries(ngx_pool_t *pool, json_t *document, time_t now,
    json_t *events)
{
    json_t  *entry, *change;
    size_t   i, j;

    json_array_foreach(json_object_get(document, "entry"), i, entry) {

        json_array_foreach(json_object_get(entry, "changes"), j, change) {

            if (ngx_comms_meta_change(pool, change, now, events) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_meta_change(ngx_pool_t *pool, json_t *change, time_t now,
    json_t *events)
{
    json_t     *value, *metadata;
    ngx_str_t   field, number, company;

    (void) ngx_comms_json_str(change, "field", &field);

    if (!ngx_comms_meta_word(&field, "messages")
        && !ngx_comms_meta_word(&field, "user_preferences"))
    {
        return ngx_comms_meta_ignore(events, "not about messages");
    }

    value = json_object_get(change, "value");
    metadata = json_object_get(value, "metadata");

    (void) ngx_comms_json_str(metadata, "display_phone_number", &number);

    if (ngx_comms_event_tel(pool, &number, &company) != NGX_OK) {
        return NGX_ERROR;
    }

    if (company.len == 0) {
        return ngx_comms_meta_ignore(events,
                                     "not addressed to a phone number");
    }

    return ngx_comms_meta_value(pool, value, &company, now, events);
}


static ngx_int_t
ngx_comms_meta_value(ngx_pool_t *pool, json_t *value, ngx_str_t *company,
    time_t now, json_t *events)
{
    size_t   i;
    json_t  *item;

    json_array_foreach(json_object_get(value, "messages"), i, item) {

        if (ngx_comms_meta_message(pool, value, item, company, now, events)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    json_array_foreach(json_object_get(value, "statuses"), i, item) {

        if (ngx_comms_meta_status(pool, item, events) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    json_array_foreach(json_object_get(value, "user_preferences"), i, item) {

        if (ngx_comms_meta_preference(pool, item, company, events)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (json_array_size(json_object_get(value, "errors")) > 0) {
        return ngx_comms_meta_ignore(events, "an error of the account");
    }

    return NGX_OK;
}


ngx_int_t
ngx_comms_meta_message(ngx_pool_t *pool, json_t *value, json_t *message,
    ngx_str_t *company, time_t now, json_t *events)
{
    json_t      *event;
    int64_t      seconds;
    ngx_str_t    type, id;
    const char  *ignored;

    if (ngx_comms_json_str(message, "id", &id) != NGX_OK
        || !ngx_comms_meta_wamid(&id))
    {
        return ngx_comms_meta_ignore(events, "a message without an id");
    }

    if (ngx_comms_meta_time(message, &seconds) != NGX_OK) {
        return ngx_comms_meta_ignore(events, "a message without a time");
    }

    if (now > NGX_COMMS_META_MAX_AGE
        && seconds < (int64_t) now - NGX_COMMS_META_MAX_AGE)
    {
        return ngx_comms_meta_ignore(events, "older than eight days");
    }

    (void) ngx_comms_json_str(message, "type", &type);

    if (ngx_comms_meta_word(&type, "system")) {
        return ngx_comms_meta_system(pool, message, company, events);
    }

    event = ngx_comms_event_create("message", "meta", NGX_COMMS_WHATSAPP);
    ignored = NULL;

    if (event == NULL
        || ngx_comms_event_dedupe(pool, event, "meta", &id, NULL) != NGX_OK
        || ngx_comms_json_set_str(event, "provider_message_id", &id)
           != NGX_OK
        || json_object_set_new(event, "sent_at", json_integer(seconds * 1000))
           != 0
        || ngx_comms_meta_message_event(pool, value, message, company, event,
                                        &ignored)
           != NGX_OK)
    {
        json_decref(event);
        return NGX_ERROR;
    }

    if (ignored != NULL) {
        json_decref(event);
        return ngx_comms_meta_ignore(events, ignored);
    }

    return (json_array_append_new(events, event) == 0) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_meta_message_event(ngx_pool_t *pool, json_t *value,
    json_t *message, ngx_str_t *company, json_t *event, const char **ignored)
{
    ngx_str_t  type, content;

    ngx_str_null(&content);

    (void) ngx_comms_json_str(message, "type", &type);

    if (json_object_get(message, "group_id") != NULL) {
        *ignored = "written to a group";
        return NGX_OK;
    }

    if (ngx_comms_meta_word(&type, "request_welcome")) {
        *ignored = "a chat was opened and nothing written";
        return NGX_OK;
    }

    if (ngx_comms_json_set_str(event, "company_address", company) != NGX_OK
        || ngx_comms_meta_sender(pool, value, message, event, ignored)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (*ignored != NULL) {
        return NGX_OK;
    }

    if (ngx_comms_meta_words(pool, message, event, &content) != NGX_OK) {
        return NGX_ERROR;
    }

    if (content.len == 0 && ngx_comms_meta_word(&type, "reaction")) {
        *ignored = "a reaction was taken back";
        return NGX_OK;
    }

    if (ngx_comms_meta_origin(pool, message, event, &content) != NGX_OK) {
        return NGX_ERROR;
    }

    if (content.len == 0) {
        ngx_str_set(&content, "[message without text]");
    }

    return ngx_comms_json_set_str(event, "content", &content);
}


static ngx_int_t
ngx_comms_meta_sender(ngx_pool_t *pool, json_t *value, json_t *message,
    json_t *event, const char **ignored)
{
    json_t     *contact;
    ngx_str_t   person, alias, known, other, raw, name;

    contact = ngx_comms_meta_contact(value, message);

    if (ngx_comms_meta_person(pool, message, "from", "from_user_id", &person,
                              &alias)
        != NGX_OK
        || ngx_comms_meta_person(pool, contact, "wa_id", "user_id", &known,
                                 &other)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the contact may say a number that the message leaves out */

    if (person.len == 0 || (ngx_comms_address_is(&person, "bsuid")
                            && ngx_comms_address_is(&known, "tel")))
    {
        alias = (person.len == 0) ? other : person;
        person = known;
    }

    if (person.len == 0) {
        *ignored = "the sender is no person's address";
        return NGX_OK;
    }

    if (ngx_comms_json_set_str(event, "person_address", &person) != NGX_OK
        || ngx_comms_event_alias(event, &alias) != NGX_OK
        || ngx_comms_event_alias(event, &other) != NGX_OK)
    {
        return NGX_ERROR;
    }

    (void) ngx_comms_json_str(json_object_get(contact, "profile"), "name",
                              &raw);

    if (ngx_comms_event_line(pool, &raw, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (name.len > 0) {
        return ngx_comms_json_set_str(event, "person_name", &name);
    }

    return NGX_OK;
}


/* whose message it is, of the change's contacts; or NULL */

static json_t *
ngx_comms_meta_contact(json_t *value, json_t *message)
{
    size_t   i;
    json_t  *contact;

    json_array_foreach(json_object_get(value, "contacts"), i, contact) {

        if (ngx_comms_meta_same(contact, "wa_id", message, "from")
            || ngx_comms_meta_same(contact, "user_id", message,
                                   "from_user_id"))
        {
            return contact;
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_comms_meta_same(json_t *one, const char *a, json_t *two, const char *b)
{
    ngx_str_t  first, second;

    return ngx_comms_json_str(one, a, &first) == NGX_OK
           && ngx_comms_json_str(two, b, &second) == NGX_OK
           && first.len > 0
           && first.len == second.len
           && ngx_memcmp(first.data, second.data, first.len) == 0;
}


/* what the message quotes, and where its text or its author came from */

static ngx_int_t
ngx_comms_meta_origin(ngx_pool_t *pool, json_t *message, json_t *event,
    ngx_str_t *content)
{
    json_t     *context, *referral;
    ngx_str_t   id, none, raw, headline;

    ngx_str_null(&none);

    context = json_object_get(message, "context");

    if (ngx_comms_json_str(context, "id", &id) == NGX_OK
        && ngx_comms_meta_wamid(&id)
        && json_object_get(event, "replied_to") == NULL
        && ngx_comms_json_set_str(event, "replied_to", &id) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if ((json_is_true(json_object_get(context, "forwarded"))
         || json_is_true(json_object_get(context, "frequently_forwarded")))
        && ngx_comms_event_note(pool, content, "forwarded", &none) != NGX_OK)
    {
        return NGX_ERROR;
    }

    referral = json_object_get(message, "referral");

    if (!json_is_object(referral)) {
        return NGX_OK;
    }

    (void) ngx_comms_json_str(referral, "headline", &raw);

    if (ngx_comms_event_line(pool, &raw, &headline) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_event_note(pool, content, "came from an advertisement",
                                &headline);
}


ngx_int_t
ngx_comms_meta_ignore(json_t *events, const char *reason)
{
    return (json_array_append_new(events, ngx_comms_event_ignored(reason))
            == 0) ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_comms_meta_word(ngx_str_t *text, const char *word)
{
    return text->len == ngx_strlen(word)
           && ngx_strncmp(text->data, word, text->len) == 0;
}
