
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Twilio's webhooks, normalised: inbound SMS and WhatsApp messages.
 *
 * Parameters join without notice, so nothing here depends on which others
 * there are.  What a person sent besides text is told in words in square
 * brackets, because the AI reads text alone.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_address.h>
#include <channel/ngx_comms_twilio.h>


#define NGX_COMMS_TWILIO_MAX_FIELDS   512
#define NGX_COMMS_TWILIO_MAX_MEDIA    10
#define NGX_COMMS_TWILIO_MAX_SID      64
#define NGX_COMMS_TWILIO_MAX_BSUID    160
#define NGX_COMMS_TWILIO_MAX_NAME     128     /* code points */
#define NGX_COMMS_TWILIO_MAX_CONTENT  16384   /* code points */
#define NGX_COMMS_TWILIO_MAX_TYPE     64


typedef struct {
    ngx_uint_t   channel;
    ngx_str_t    address;      /* with kind; empty when it is not usable */
} ngx_comms_twilio_party_t;


static ngx_int_t ngx_comms_twilio_message(ngx_pool_t *pool,
    ngx_array_t *fields, json_t *event, const char **ignored);
static const char *ngx_comms_twilio_status_event(ngx_array_t *fields);
static ngx_int_t ngx_comms_twilio_parties(ngx_pool_t *pool,
    ngx_array_t *fields, json_t *event, const char **ignored);
static ngx_int_t ngx_comms_twilio_read_party(ngx_pool_t *pool,
    ngx_str_t *value, ngx_comms_twilio_party_t *party);
static ngx_int_t ngx_comms_twilio_bsuid(ngx_pool_t *pool, ngx_str_t *id,
    ngx_str_t *address);
static ngx_int_t ngx_comms_twilio_content(ngx_pool_t *pool,
    ngx_array_t *fields, json_t *event);
static ngx_int_t ngx_comms_twilio_text(ngx_pool_t *pool, ngx_array_t *fields,
    const char *name, ngx_str_t *text);
static ngx_int_t ngx_comms_twilio_line(ngx_pool_t *pool, ngx_array_t *fields,
    const char *name, ngx_str_t *line);
static ngx_int_t ngx_comms_twilio_append(ngx_pool_t *pool,
    ngx_str_t *content, ngx_str_t *text);
static ngx_int_t ngx_comms_twilio_location(ngx_pool_t *pool,
    ngx_array_t *fields, ngx_str_t *content);
static ngx_int_t ngx_comms_twilio_media(ngx_pool_t *pool,
    ngx_array_t *fields, ngx_str_t *content);
static const char *ngx_comms_twilio_media_word(ngx_str_t *type);
static ngx_uint_t ngx_comms_twilio_token(ngx_str_t *text, const char *marks,
    size_t max);


ngx_int_t
ngx_comms_twilio_parse(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials, json_t **events, const char **words)
{
    json_t       *event;
    ngx_int_t     rc;
    ngx_str_t    *sid, reason;
    const char   *ignored;
    ngx_array_t   fields;

    *events = NULL;

    rc = ngx_comms_form_parse(pool, &wh->body, NGX_COMMS_TWILIO_MAX_FIELDS,
                              &fields);
    if (rc != NGX_OK) {
        *words = "the body is no form";
        return rc;
    }

    sid = ngx_comms_form_field(&fields, "MessageSid");

    if (sid == NULL
        || !ngx_comms_twilio_token(sid, "", NGX_COMMS_TWILIO_MAX_SID))
    {
        *words = "the form has no MessageSid";
        return NGX_DECLINED;
    }

    event = json_object();
    if (event == NULL) {
        return NGX_ERROR;
    }

    ignored = ngx_comms_twilio_status_event(&fields);

    rc = (ignored == NULL)
         ? ngx_comms_twilio_message(pool, &fields, event, &ignored) : NGX_OK;

    if (rc == NGX_OK && ignored != NULL) {
        json_object_clear(event);

        reason.data = (u_char *) ignored;
        reason.len = ngx_strlen(ignored);

        if (json_object_set_new(event, "kind", json_string("ignored")) != 0
            || ngx_comms_json_set_str(event, "reason", &reason) != NGX_OK)
        {
            rc = NGX_ERROR;
        }
    }

    if (rc == NGX_OK) {
        *events = json_array();

        /* takes the reference over, whatever it returns */

        if (json_array_append_new(*events, event) != 0) {
            json_decref(*events);
            *events = NULL;
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    json_decref(event);
    *words = "the form has no From or To";

    return rc;
}


/* why this is no message from a person, or NULL */

static const char *
ngx_comms_twilio_status_event(ngx_array_t *fields)
{
    ngx_str_t   *status, received;
    ngx_uint_t   i;

    static const char  *names[] = { "MessageStatus", "SmsStatus", NULL };

    ngx_str_set(&received, "received");

    for (i = 0; names[i] != NULL; i++) {
        status = ngx_comms_form_field(fields, names[i]);

        if (status != NULL && status->len > 0
            && !ngx_comms_same_word(status, &received))
        {
            return "status callback";
        }
    }

    return NULL;
}


static ngx_int_t
ngx_comms_twilio_message(ngx_pool_t *pool, ngx_array_t *fields,
    json_t *event, const char **ignored)
{
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t  *sid, *replied, id, name;

    rc = ngx_comms_twilio_parties(pool, fields, event, ignored);
    if (rc != NGX_OK || *ignored != NULL) {
        return rc;
    }

    sid = ngx_comms_form_field(fields, "MessageSid");

    p = ngx_pnalloc(pool, sizeof("twilio:") - 1 + sid->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    id.data = p;
    id.len = ngx_sprintf(p, "twilio:%V", sid) - p;

    if (json_object_set_new(event, "kind", json_string("message")) != 0
        || json_object_set_new(event, "provider", json_string("twilio")) != 0
        || ngx_comms_json_set_str(event, "provider_message_id", sid) != NGX_OK
        || ngx_comms_json_set_str(event, "dedupe_id", &id) != NGX_OK)
    {
        return NGX_ERROR;
    }

    replied = ngx_comms_form_field(fields, "OriginalRepliedMessageSid");

    if (replied != NULL
        && ngx_comms_twilio_token(replied, "", NGX_COMMS_TWILIO_MAX_SID)
        && ngx_comms_json_set_str(event, "replied_to", replied) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_twilio_line(pool, fields, "ProfileName", &name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (name.len > 0
        && ngx_comms_json_set_str(event, "person_name", &name) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_twilio_content(pool, fields, event);
}


static ngx_int_t
ngx_comms_twilio_parties(ngx_pool_t *pool, ngx_array_t *fields,
    json_t *event, const char **ignored)
{
    ngx_str_t                 *from, *to, *external;
    ngx_comms_twilio_party_t   person, company;

    from = ngx_comms_form_field(fields, "From");
    to = ngx_comms_form_field(fields, "To");

    if (from == NULL || to == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_comms_twilio_read_party(pool, from, &person) != NGX_OK
        || ngx_comms_twilio_read_party(pool, to, &company) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (person.channel == NGX_COMMS_CHANNELS
        || company.channel != person.channel)
    {
        *ignored = "not a channel of ours";
        return NGX_OK;
    }

    /* people without a visible number are known by this id */

    external = ngx_comms_form_field(fields, "ExternalUserId");

    if (person.address.len == 0
        && person.channel == NGX_COMMS_WHATSAPP
        && external != NULL
        && ngx_comms_twilio_bsuid(pool, external, &person.address) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (person.address.len == 0) {
        *ignored = "the sender is no person's address";
        return NGX_OK;
    }

    if (!ngx_comms_address_is(&company.address, "tel")) {
        *ignored = "not addressed to a phone number";
        return NGX_OK;
    }

    if (ngx_comms_json_set_str(event, "channel",
                               &ngx_comms_channel_names[person.channel])
        != NGX_OK
        || ngx_comms_json_set_str(event, "person_address", &person.address)
           != NGX_OK
        || ngx_comms_json_set_str(event, "company_address",
                                  &company.address)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_twilio_read_party(ngx_pool_t *pool, ngx_str_t *value,
    ngx_comms_twilio_party_t *party)
{
    u_char     *colon;
    ngx_str_t   bare, kind;

    ngx_memzero(party, sizeof(ngx_comms_twilio_party_t));

    bare = *value;
    colon = ngx_strlchr(value->data, value->data + value->len, ':');

    if (colon == NULL) {
        party->channel = NGX_COMMS_SMS;

    } else {
        kind.data = value->data;
        kind.len = colon - value->data;

        bare.data = colon + 1;
        bare.len = value->len - kind.len - 1;

        if (!ngx_comms_same_word(&kind,
                               &ngx_comms_channel_names[NGX_COMMS_WHATSAPP]))
        {
            party->channel = NGX_COMMS_CHANNELS;
            return NGX_OK;
        }

        party->channel = NGX_COMMS_WHATSAPP;
    }

    if (ngx_comms_tel_valid(&bare)) {
        return ngx_comms_address_tel(pool, &bare, &party->address);
    }

    if (party->channel == NGX_COMMS_WHATSAPP) {
        return ngx_comms_twilio_bsuid(pool, &bare, &party->address);
    }

    return NGX_OK;
}


/* leaves the address empty when it is none */

static ngx_int_t
ngx_comms_twilio_bsuid(ngx_pool_t *pool, ngx_str_t *id, ngx_str_t *address)
{
    u_char     *p;
    ngx_str_t   bare;

    bare = ngx_comms_address_bare(id);

    if (!ngx_comms_twilio_token(&bare, "._-", NGX_COMMS_TWILIO_MAX_BSUID)) {
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, sizeof("bsuid:") - 1 + bare.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    address->data = p;
    address->len = ngx_sprintf(p, "bsuid:%V", &bare) - p;

    return NGX_OK;
}


/*
 * The text; when there is none, what the person tapped, in the order of how
 * well it reads.  Location and media follow.
 */

static ngx_int_t
ngx_comms_twilio_content(ngx_pool_t *pool, ngx_array_t *fields,
    json_t *event)
{
    ngx_str_t   content, text, trimmed;
    ngx_uint_t  i;

    static const char  *names[] = {
        "Body", "ButtonText", "ListTitle", "ButtonPayload", "ListId", NULL
    };

    ngx_str_null(&content);

    for (i = 0; names[i] != NULL && content.len == 0; i++) {

        if (ngx_comms_twilio_text(pool, fields, names[i], &text) != NGX_OK) {
            return NGX_ERROR;
        }

        trimmed = ngx_comms_trim(text);

        if (ngx_comms_shorten(pool, &trimmed, NGX_COMMS_TWILIO_MAX_CONTENT,
                              &content)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_comms_twilio_location(pool, fields, &content) != NGX_OK
        || ngx_comms_twilio_media(pool, fields, &content) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (content.len == 0) {
        ngx_str_set(&content, "[message without text]");
    }

    return ngx_comms_json_set_str(event, "content", &content);
}


/* a field as UTF-8, empty when absent */

static ngx_int_t
ngx_comms_twilio_text(ngx_pool_t *pool, ngx_array_t *fields,
    const char *name, ngx_str_t *text)
{
    ngx_str_t  *value, utf8;

    ngx_str_null(text);

    value = ngx_comms_form_field(fields, name);
    if (value == NULL || value->len == 0) {
        return NGX_OK;
    }

    ngx_str_null(&utf8);

    return ngx_comms_to_utf8(pool, &utf8, value, text);
}


static ngx_int_t
ngx_comms_twilio_line(ngx_pool_t *pool, ngx_array_t *fields,
    const char *name, ngx_str_t *line)
{
    ngx_str_t  text, whole;

    if (ngx_comms_twilio_text(pool, fields, name, &text) != NGX_OK
        || ngx_comms_one_line(pool, &text, &whole) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_shorten(pool, &whole, NGX_COMMS_TWILIO_MAX_NAME, line);
}


/* on a line of its own */

static ngx_int_t
ngx_comms_twilio_append(ngx_pool_t *pool, ngx_str_t *content,
    ngx_str_t *text)
{
    u_char  *p;

    if (content->len == 0) {
        *content = *text;
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, content->len + 1 + text->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    content->len = ngx_sprintf(p, "%V\n%V", content, text) - p;
    content->data = p;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_twilio_location(ngx_pool_t *pool, ngx_array_t *fields,
    ngx_str_t *content)
{
    u_char     *p;
    ngx_str_t   latitude, longitude, address, label, text;

    if (ngx_comms_twilio_line(pool, fields, "Latitude", &latitude) != NGX_OK
        || ngx_comms_twilio_line(pool, fields, "Longitude", &longitude)
           != NGX_OK
        || ngx_comms_twilio_line(pool, fields, "Address", &address) != NGX_OK
        || ngx_comms_twilio_line(pool, fields, "Label", &label) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (latitude.len == 0 || longitude.len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, sizeof("[location: , ,  ()]") + latitude.len
                          + longitude.len + address.len + label.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text.data = p;

    p = ngx_sprintf(p, "[location: %V, %V", &latitude, &longitude);

    if (label.len && address.len) {
        p = ngx_sprintf(p, " (%V, %V)", &label, &address);

    } else if (label.len || address.len) {
        p = ngx_sprintf(p, " (%V%V)", &label, &address);
    }

    *p++ = ']';

    text.len = p - text.data;

    return ngx_comms_twilio_append(pool, content, &text);
}


static ngx_int_t
ngx_comms_twilio_media(ngx_pool_t *pool, ngx_array_t *fields,
    ngx_str_t *content)
{
    u_char      *p, name[sizeof("MediaContentType99")];
    ngx_int_t    i, n;
    ngx_str_t   *count, *type, text;
    const char  *word;

    count = ngx_comms_form_field(fields, "NumMedia");
    if (count == NULL) {
        return NGX_OK;
    }

    n = ngx_atoi(count->data, count->len);

    for (i = 0; i < n && i < NGX_COMMS_TWILIO_MAX_MEDIA; i++) {

        *ngx_sprintf(name, "MediaContentType%i", i) = '\0';

        type = ngx_comms_form_field(fields, (char *) name);

        if (type == NULL
            || !ngx_comms_twilio_token(type, "/+.-",
                                       NGX_COMMS_TWILIO_MAX_TYPE))
        {
            ngx_str_set(&text, "[file]");

        } else {
            word = ngx_comms_twilio_media_word(type);

            p = ngx_pnalloc(pool, ngx_strlen(word) + type->len
                                  + sizeof("[: ]"));
            if (p == NULL) {
                return NGX_ERROR;
            }

            text.data = p;
            text.len = ngx_sprintf(p, "[%s: %V]", word, type) - p;
        }

        if (ngx_comms_twilio_append(pool, content, &text) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static const char *
ngx_comms_twilio_media_word(ngx_str_t *type)
{
    size_t      len;
    ngx_uint_t  i;

    static const char  *kinds[][2] = {
        { "image/", "image" },
        { "audio/", "audio" },
        { "video/", "video" },
        { "text/vcard", "contact" },
        { "text/x-vcard", "contact" },
        { NULL, NULL }
    };

    for (i = 0; kinds[i][0] != NULL; i++) {
        len = ngx_strlen(kinds[i][0]);

        if (type->len >= len
            && ngx_strncasecmp(type->data, (u_char *) kinds[i][0], len) == 0)
        {
            return kinds[i][1];
        }
    }

    return "file";
}


/* 1 when 1 to max letters, digits and characters of "marks" */

static ngx_uint_t
ngx_comms_twilio_token(ngx_str_t *text, const char *marks, size_t max)
{
    u_char  ch;
    size_t  i;

    if (text->len == 0 || text->len > max) {
        return 0;
    }

    for (i = 0; i < text->len; i++) {
        ch = ngx_tolower(text->data[i]);

        if ((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9')) {
            continue;
        }

        if (ch == '\0' || ngx_strchr(marks, ch) == NULL) {
            return 0;
        }
    }

    return 1;
}
