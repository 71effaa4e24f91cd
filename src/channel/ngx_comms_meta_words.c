
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a message from Meta says, in words: the AI reads text alone.  A button
 * and a row of a list are what stands on them; all else is told in square
 * brackets.  A medium is told as well and named in "media".
 *
 * To add a type: write its function and add a row to the table.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_event.h>
#include <channel/ngx_comms_meta.h>


#define NGX_COMMS_META_MAX_CONTACTS  10
#define NGX_COMMS_META_MAX_ITEMS     30
#define NGX_COMMS_META_MAX_COUNT     100000


typedef ngx_int_t (*ngx_comms_meta_words_pt)(ngx_pool_t *pool, json_t *body,
    json_t *event, ngx_str_t *content);


static ngx_int_t ngx_comms_meta_words_unknown(ngx_pool_t *pool,
    ngx_str_t *content);
static ngx_int_t ngx_comms_meta_words_text(ngx_pool_t *pool, json_t *body,
    json_t *event, ngx_str_t *content);
static ngx_int_t ngx_comms_meta_words_button(ngx_pool_t *pool, json_t *body,
    json_t *event, ngx_str_t *content);
static ngx_int_t ngx_comms_meta_words_interactive(ngx_pool_t *pool,
    json_t *body, json_t *event, ngx_str_t *content);
static ngx_int_t ngx_comms_meta_words_location(ngx_pool_t *pool,
    json_t *body, json_t *event, ngx_str_t *content);
static void ngx_comms_meta_degrees(json_t *body, const char *member,
    u_char *buf, size_t size, ngx_str_t *text);
static ngx_int_t ngx_comms_meta_words_contacts(ngx_pool_t *pool,
    json_t *body, json_t *event, ngx_str_t *content);
static ngx_int_t ngx_comms_meta_words_reaction(ngx_pool_t *pool,
    json_t *body, json_t *event, ngx_str_t *content);
static ngx_int_t ngx_comms_meta_words_order(ngx_pool_t *pool, json_t *body,
    json_t *event, ngx_str_t *content);
static ngx_int_t ngx_comms_meta_words_medium(ngx_pool_t *pool, json_t *body,
    json_t *event, ngx_str_t *content);
static ngx_int_t ngx_comms_meta_first(ngx_pool_t *pool, json_t *object,
    const char **members, ngx_str_t *content);


typedef struct {
    const char               *type;
    ngx_comms_meta_words_pt   words;
} ngx_comms_meta_type_t;


static ngx_comms_meta_type_t  ngx_comms_meta_types[] = {
    { "text", ngx_comms_meta_words_text },
    { "button", ngx_comms_meta_words_button },
    { "interactive", ngx_comms_meta_words_interactive },
    { "location", ngx_comms_meta_words_location },
    { "contacts", ngx_comms_meta_words_contacts },
    { "reaction", ngx_comms_meta_words_reaction },
    { "order", ngx_comms_meta_words_order },
    { "image", ngx_comms_meta_words_medium },
    { "audio", ngx_comms_meta_words_medium },
    { "video", ngx_comms_meta_words_medium },
    { "document", ngx_comms_meta_words_medium },
    { "sticker", ngx_comms_meta_words_medium },
    { NULL, NULL }
};


ngx_int_t
ngx_comms_meta_words(ngx_pool_t *pool, json_t *message, json_t *event,
    ngx_str_t *content)
{
    ngx_str_t               type;
    ngx_comms_meta_type_t  *t;

    (void) ngx_comms_json_str(message, "type", &type);

    for (t = ngx_comms_meta_types; t->type != NULL; t++) {

        if (type.len == ngx_strlen(t->type)
            && ngx_strncmp(type.data, t->type, type.len) == 0)
        {
            return t->words(pool, json_object_get(message, t->type), event,
                            content);
        }
    }

    return ngx_comms_meta_words_unknown(pool, content);
}


/* polls, albums, and what WhatsApp has yet to invent */

static ngx_int_t
ngx_comms_meta_words_unknown(ngx_pool_t *pool, ngx_str_t *content)
{
    ngx_str_t  none;

    ngx_str_null(&none);

    return ngx_comms_event_note(pool, content,
                                "message of a kind that cannot be shown here",
                                &none);
}


/* the first of the members that has text */

static ngx_int_t
ngx_comms_meta_first(ngx_pool_t *pool, json_t *object, const char **members,
    ngx_str_t *content)
{
    ngx_str_t   raw;
    ngx_uint_t  i;

    for (i = 0; members[i] != NULL && content->len == 0; i++) {
        (void) ngx_comms_json_str(object, members[i], &raw);

        if (ngx_comms_event_text(pool, &raw, content) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_meta_words_text(ngx_pool_t *pool, json_t *body, json_t *event,
    ngx_str_t *content)
{
    static const char  *members[] = { "body", NULL };

    return ngx_comms_meta_first(pool, body, members, content);
}


static ngx_int_t
ngx_comms_meta_words_button(ngx_pool_t *pool, json_t *body, json_t *event,
    ngx_str_t *content)
{
    static const char  *members[] = { "text", "payload", NULL };

    return ngx_comms_meta_first(pool, body, members, content);
}


/* {"type": "button_reply", "button_reply": {"id", "title"}}, ... */

static ngx_int_t
ngx_comms_meta_words_interactive(ngx_pool_t *pool, json_t *body,
    json_t *event, ngx_str_t *content)
{
    json_t      *reply;
    ngx_str_t    raw, text;
    ngx_uint_t   i;

    static const char  *kinds[] = { "button_reply", "list_reply", NULL };
    static const char  *members[] = { "title", "id", NULL };

    for (i = 0; kinds[i] != NULL; i++) {
        reply = json_object_get(body, kinds[i]);

        if (json_is_object(reply)) {
            return ngx_comms_meta_first(pool, reply, members, content);
        }
    }

    /* a filled form of a flow */

    reply = json_object_get(body, "nfm_reply");

    if (!json_is_object(reply)) {
        return ngx_comms_meta_words_unknown(pool, content);
    }

    (void) ngx_comms_json_str(reply, "response_json", &raw);

    if (ngx_comms_event_text(pool, &raw, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_event_note(pool, content, "form", &text);
}


static ngx_int_t
ngx_comms_meta_words_location(ngx_pool_t *pool, json_t *body, json_t *event,
    ngx_str_t *content)
{
    u_char     latitude[NGX_INT64_LEN], longitude[NGX_INT64_LEN];
    ngx_str_t  place[4];

    ngx_comms_meta_degrees(body, "latitude", latitude, sizeof(latitude),
                           &place[0]);
    ngx_comms_meta_degrees(body, "longitude", longitude, sizeof(longitude),
                           &place[1]);

    (void) ngx_comms_json_str(body, "name", &place[2]);
    (void) ngx_comms_json_str(body, "address", &place[3]);

    return ngx_comms_event_location(pool, content, place);
}


/* a number or a string, in millionths of a degree at most */

static void
ngx_comms_meta_degrees(json_t *body, const char *member, u_char *buf,
    size_t size, ngx_str_t *text)
{
    double   degrees;
    json_t  *value;

    value = json_object_get(body, member);

    if (!json_is_number(value)) {
        *text = ngx_comms_json_view(value);
        return;
    }

    ngx_str_null(text);

    degrees = json_number_value(value);

    if (degrees < -180.0 || degrees > 180.0) {
        return;
    }

    text->data = buf;

    if (degrees < 0) {
        *buf++ = '-';
        degrees = -degrees;
        size--;
    }

    buf = ngx_snprintf(buf, size, "%.6f", degrees);

    while (buf[-1] == '0') {
        buf--;
    }

    if (buf[-1] == '.') {
        buf--;
    }

    text->len = buf - text->data;
}


/* [contact: name, number, address] for each card */

static ngx_int_t
ngx_comms_meta_words_contacts(ngx_pool_t *pool, json_t *body, json_t *event,
    ngx_str_t *content)
{
    u_char     *p;
    size_t      i;
    json_t     *card, *first;
    ngx_str_t   raw, name, phone, mail, text;

    json_array_foreach(body, i, card) {

        if (i == NGX_COMMS_META_MAX_CONTACTS) {
            break;
        }

        (void) ngx_comms_json_str(json_object_get(card, "name"),
                                  "formatted_name", &raw);

        if (ngx_comms_event_line(pool, &raw, &name) != NGX_OK) {
            return NGX_ERROR;
        }

        first = json_array_get(json_object_get(card, "phones"), 0);
        (void) ngx_comms_json_str(first, "phone", &raw);

        if (ngx_comms_event_line(pool, &raw, &phone) != NGX_OK) {
            return NGX_ERROR;
        }

        first = json_array_get(json_object_get(card, "emails"), 0);
        (void) ngx_comms_json_str(first, "email", &raw);

        if (ngx_comms_event_line(pool, &raw, &mail) != NGX_OK) {
            return NGX_ERROR;
        }

        p = ngx_pnalloc(pool, name.len + phone.len + mail.len
                              + sizeof(", , ") - 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        text.data = p;
        p = ngx_cpymem(p, name.data, name.len);

        if (phone.len > 0) {
            p = ngx_sprintf(p, "%s%V", (p > text.data) ? ", " : "", &phone);
        }

        if (mail.len > 0) {
            p = ngx_sprintf(p, "%s%V", (p > text.data) ? ", " : "", &mail);
        }

        text.len = p - text.data;

        if (ngx_comms_event_note(pool, content, "contact", &text) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* without an emoji it is taken back, and the content stays empty */

static ngx_int_t
ngx_comms_meta_words_reaction(ngx_pool_t *pool, json_t *body, json_t *event,
    ngx_str_t *content)
{
    ngx_str_t  id, raw, emoji;

    (void) ngx_comms_json_str(body, "emoji", &raw);

    if (ngx_comms_event_line(pool, &raw, &emoji) != NGX_OK) {
        return NGX_ERROR;
    }

    if (emoji.len == 0) {
        return NGX_OK;
    }

    if (ngx_comms_json_str(body, "message_id", &id) == NGX_OK
        && ngx_comms_meta_wamid(&id)
        && ngx_comms_json_set_str(event, "replied_to", &id) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_event_note(pool, content, "reaction", &emoji);
}


/* the text that came with it, and [ordered: 2 x retailer's id] for each */

static ngx_int_t
ngx_comms_meta_words_order(ngx_pool_t *pool, json_t *body, json_t *event,
    ngx_str_t *content)
{
    u_char     *p;
    size_t      i;
    json_t     *item;
    int64_t     quantity;
    ngx_str_t   raw, product, text;

    static const char  *members[] = { "text", NULL };

    if (ngx_comms_meta_first(pool, body, members, content) != NGX_OK) {
        return NGX_ERROR;
    }

    json_array_foreach(json_object_get(body, "product_items"), i, item) {

        if (i == NGX_COMMS_META_MAX_ITEMS) {
            break;
        }

        (void) ngx_comms_json_str(item, "product_retailer_id", &raw);

        if (ngx_comms_event_line(pool, &raw, &product) != NGX_OK) {
            return NGX_ERROR;
        }

        quantity = 1;
        (void) ngx_comms_json_int(item, "quantity", &quantity);
        quantity = ngx_max(0, ngx_min(quantity, NGX_COMMS_META_MAX_COUNT));

        p = ngx_pnalloc(pool, NGX_INT64_LEN + sizeof(" x ") - 1
                              + product.len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        text.data = p;
        text.len = ngx_sprintf(p, "%L x %V", quantity, &product) - p;

        if (ngx_comms_event_note(pool, content, "ordered", &text) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_meta_words_medium(ngx_pool_t *pool, json_t *body, json_t *event,
    ngx_str_t *content)
{
    json_t     *medium, *media;
    ngx_str_t   id, raw, type;

    static const char  *members[] = { "caption", NULL };

    (void) ngx_comms_json_str(body, "mime_type", &raw);

    if (ngx_comms_meta_first(pool, body, members, content) != NGX_OK
        || ngx_comms_event_media_type(pool, &raw, &type) != NGX_OK
        || ngx_comms_event_note(pool, content,
                                ngx_comms_event_media_word(&type), &type)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_json_str(body, "id", &id) != NGX_OK
        || !ngx_comms_meta_id_valid(&id))
    {
        return NGX_OK;
    }

    medium = json_object();
    media = json_pack("[o]", medium);

    if (json_object_set_new(event, "media", media) != 0
        || ngx_comms_json_set_str(medium, "provider_media_id", &id) != NGX_OK
        || ngx_comms_event_medium(medium, &type) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_json_str(body, "filename", &raw) != NGX_OK
        || raw.len == 0 || raw.len > NGX_COMMS_EVENT_MAX_ID)
    {
        return NGX_OK;
    }

    return ngx_comms_json_set_str(medium, "filename", &raw);
}
