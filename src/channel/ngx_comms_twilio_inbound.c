
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Twilio's webhooks, normalised: inbound SMS and WhatsApp messages.  Status
 * callbacks come to the same place, see ngx_comms_twilio_status.c.
 *
 * Parameters join without notice, so nothing here depends on which others
 * there are.  What a person sent besides text is told in words in square
 * brackets, because the AI reads text alone.
 *
 * People on WhatsApp have numbers, ids ("whatsapp:US.1349...", or
 * ExternalUserId beside a number), or both.  The number is the person's
 * address where there is one, the id is then an alias.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_address.h>
#include <channel/ngx_comms_event.h>
#include <channel/ngx_comms_twilio.h>


#define NGX_COMMS_TWILIO_MAX_FIELDS   512
#define NGX_COMMS_TWILIO_MAX_MEDIA    10


static ngx_int_t ngx_comms_twilio_message(ngx_pool_t *pool,
    ngx_array_t *fields, json_t **event);
static ngx_int_t ngx_comms_twilio_parties(ngx_pool_t *pool,
    ngx_array_t *fields, json_t *event, const char **ignored);
static ngx_int_t ngx_comms_twilio_person(ngx_pool_t *pool,
    ngx_array_t *fields, ngx_comms_twilio_party_t *person, json_t *event);
static ngx_int_t ngx_comms_twilio_facts(ngx_pool_t *pool,
    ngx_array_t *fields, json_t *event);
static ngx_int_t ngx_comms_twilio_opt_out(ngx_array_t *fields,
    json_t *event);
static ngx_int_t ngx_comms_twilio_content(ngx_pool_t *pool,
    ngx_array_t *fields, json_t *event);
static ngx_int_t ngx_comms_twilio_origin(ngx_pool_t *pool,
    ngx_array_t *fields, ngx_str_t *content);
static ngx_int_t ngx_comms_twilio_media(ngx_pool_t *pool,
    ngx_array_t *fields, json_t *event, ngx_str_t *content);
static ngx_int_t ngx_comms_twilio_medium(ngx_str_t *url, ngx_str_t *type,
    json_t *event);
static ngx_uint_t ngx_comms_twilio_link(ngx_str_t *url);


ngx_int_t
ngx_comms_twilio_parse(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials, json_t **events, const char **words)
{
    json_t       *event;
    ngx_int_t     rc;
    ngx_str_t    *sid;
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
        || !ngx_comms_event_token(sid, "", NGX_COMMS_TWILIO_MAX_SID))
    {
        *words = "the form has no MessageSid";
        return NGX_DECLINED;
    }

    event = NULL;

    rc = ngx_comms_twilio_is_status(&fields)
         ? ngx_comms_twilio_status(pool, wh, &fields, &event)
         : ngx_comms_twilio_message(pool, &fields, &event);

    if (rc != NGX_OK) {
        json_decref(event);
        *words = "the form has no From or To";
        return rc;
    }

    *events = json_array();

    /* takes the reference over, whatever it returns */

    if (json_array_append_new(*events, event) != 0) {
        json_decref(*events);
        *events = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_str_t
ngx_comms_twilio_field(ngx_array_t *fields, const char *name)
{
    ngx_str_t  *value, none;

    ngx_str_null(&none);

    value = ngx_comms_form_field(fields, name);

    return (value != NULL) ? *value : none;
}


static ngx_int_t
ngx_comms_twilio_message(ngx_pool_t *pool, ngx_array_t *fields,
    json_t **event)
{
    ngx_int_t    rc;
    const char  *ignored;

    *event = json_pack("{s:s, s:s}", "kind", "message", "provider", "twilio");

    if (*event == NULL) {
        return NGX_ERROR;
    }

    ignored = NULL;

    rc = ngx_comms_twilio_parties(pool, fields, *event, &ignored);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ignored != NULL) {
        json_decref(*event);
        *event = ngx_comms_event_ignored(ignored);

        return NGX_OK;
    }

    if (ngx_comms_twilio_facts(pool, fields, *event) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_twilio_content(pool, fields, *event);
}


static ngx_int_t
ngx_comms_twilio_parties(ngx_pool_t *pool, ngx_array_t *fields,
    json_t *event, const char **ignored)
{
    ngx_str_t                 *from, *to;
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

    if (ngx_comms_twilio_person(pool, fields, &person, event) != NGX_OK) {
        return NGX_ERROR;
    }

    if (json_object_get(event, "person_address") == NULL) {
        *ignored = "the sender is no person's address";
        return NGX_OK;
    }

    if (!ngx_comms_address_is(&company.address, "tel")) {
        *ignored = "not addressed to a phone number";
        return NGX_OK;
    }

    if (ngx_comms_json_set_str(event, "channel",
                               &ngx_comms_channel_names[person.channel])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_json_set_str(event, "company_address",
                                  &company.address);
}


/* the sender, by number where one is known */

static ngx_int_t
ngx_comms_twilio_person(ngx_pool_t *pool, ngx_array_t *fields,
    ngx_comms_twilio_party_t *person, json_t *event)
{
    ngx_str_t  value, external, number, address;

    ngx_str_null(&external);
    ngx_str_null(&number);

    if (person->channel == NGX_COMMS_WHATSAPP) {
        value = ngx_comms_twilio_field(fields, "ExternalUserId");

        if (ngx_comms_event_bsuid(pool, &value, &external) != NGX_OK) {
            return NGX_ERROR;
        }

        value = ngx_comms_twilio_field(fields, "WaId");

        if (ngx_comms_event_tel(pool, &value, &number) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    address = person->address;

    if (!ngx_comms_address_is(&address, "tel") && number.len > 0) {
        address = number;
    }

    if (address.len == 0) {
        address = external;
    }

    if (address.len == 0) {
        return NGX_OK;
    }

    if (ngx_comms_json_set_str(event, "person_address", &address) != NGX_OK
        || ngx_comms_event_alias(event, &person->address) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_event_alias(event, &external);
}


ngx_int_t
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
        return ngx_comms_event_bsuid(pool, &bare, &party->address);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_twilio_facts(ngx_pool_t *pool, ngx_array_t *fields, json_t *event)
{
    ngx_str_t  sid, replied, raw, name;

    sid = ngx_comms_twilio_field(fields, "MessageSid");

    if (ngx_comms_json_set_str(event, "provider_message_id", &sid) != NGX_OK
        || ngx_comms_event_dedupe(pool, event, "twilio", &sid, NULL)
           != NGX_OK
        || ngx_comms_twilio_opt_out(fields, event) != NGX_OK)
    {
        return NGX_ERROR;
    }

    replied = ngx_comms_twilio_field(fields, "OriginalRepliedMessageSid");

    if (ngx_comms_event_token(&replied, "", NGX_COMMS_TWILIO_MAX_SID)
        && ngx_comms_json_set_str(event, "replied_to", &replied) != NGX_OK)
    {
        return NGX_ERROR;
    }

    raw = ngx_comms_twilio_field(fields, "ProfileName");

    if (ngx_comms_event_line(pool, &raw, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (name.len == 0) {
        return NGX_OK;
    }

    return ngx_comms_json_set_str(event, "person_name", &name);
}


/* Advanced Opt-Out tells what it made of a keyword */

static ngx_int_t
ngx_comms_twilio_opt_out(ngx_array_t *fields, json_t *event)
{
    ngx_str_t   said, known;
    ngx_uint_t  i;

    static const char  *types[] = { "STOP", "START", "HELP", NULL };

    said = ngx_comms_twilio_field(fields, "OptOutType");

    for (i = 0; types[i] != NULL; i++) {
        known.data = (u_char *) types[i];
        known.len = ngx_strlen(types[i]);

        if (ngx_comms_same_word(&said, &known)) {
            return ngx_comms_json_set_str(event, "opt_out_type", &known);
        }
    }

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
    ngx_str_t   content, raw, place[4];
    ngx_uint_t  i;

    static const char  *names[] = {
        "Body", "ButtonText", "ListTitle", "ButtonPayload", "ListId", NULL
    };

    ngx_str_null(&content);

    for (i = 0; names[i] != NULL && content.len == 0; i++) {
        raw = ngx_comms_twilio_field(fields, names[i]);

        if (ngx_comms_event_text(pool, &raw, &content) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    place[0] = ngx_comms_twilio_field(fields, "Latitude");
    place[1] = ngx_comms_twilio_field(fields, "Longitude");
    place[2] = ngx_comms_twilio_field(fields, "Label");
    place[3] = ngx_comms_twilio_field(fields, "Address");

    if (ngx_comms_event_location(pool, &content, place) != NGX_OK
        || ngx_comms_twilio_media(pool, fields, event, &content) != NGX_OK
        || ngx_comms_twilio_origin(pool, fields, &content) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (content.len == 0) {
        ngx_str_set(&content, "[message without text]");
    }

    return ngx_comms_json_set_str(event, "content", &content);
}


/* other people's words, and what brought the person here */

static ngx_int_t
ngx_comms_twilio_origin(ngx_pool_t *pool, ngx_array_t *fields,
    ngx_str_t *content)
{
    ngx_str_t  said, frequently, yes, none, raw, headline;

    ngx_str_null(&none);
    ngx_str_set(&yes, "true");

    said = ngx_comms_twilio_field(fields, "Forwarded");
    frequently = ngx_comms_twilio_field(fields, "FrequentlyForwarded");

    if ((ngx_comms_same_word(&said, &yes)
         || ngx_comms_same_word(&frequently, &yes))
        && ngx_comms_event_note(pool, content, "forwarded", &none) != NGX_OK)
    {
        return NGX_ERROR;
    }

    raw = ngx_comms_twilio_field(fields, "ReferralHeadline");

    if (raw.len == 0
        && ngx_comms_form_field(fields, "ReferralCtwaClid") == NULL
        && ngx_comms_form_field(fields, "ReferralSourceId") == NULL)
    {
        return NGX_OK;
    }

    if (ngx_comms_event_line(pool, &raw, &headline) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_event_note(pool, content, "came from an advertisement",
                                &headline);
}


static ngx_int_t
ngx_comms_twilio_media(ngx_pool_t *pool, ngx_array_t *fields, json_t *event,
    ngx_str_t *content)
{
    u_char      name[sizeof("MediaContentType99")];
    ngx_int_t   i, n;
    ngx_str_t   raw, url, type;

    raw = ngx_comms_twilio_field(fields, "NumMedia");
    n = ngx_atoi(raw.data, raw.len);

    for (i = 0; i < n && i < NGX_COMMS_TWILIO_MAX_MEDIA; i++) {

        *ngx_sprintf(name, "MediaContentType%i", i) = '\0';
        raw = ngx_comms_twilio_field(fields, (char *) name);

        *ngx_sprintf(name, "MediaUrl%i", i) = '\0';
        url = ngx_comms_twilio_field(fields, (char *) name);

        if (ngx_comms_event_media_type(pool, &raw, &type) != NGX_OK
            || ngx_comms_event_note(pool, content,
                                    ngx_comms_event_media_word(&type), &type)
               != NGX_OK
            || ngx_comms_twilio_medium(&url, &type, event) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_twilio_medium(ngx_str_t *url, ngx_str_t *type, json_t *event)
{
    json_t  *media, *medium;

    if (!ngx_comms_twilio_link(url)) {
        return NGX_OK;
    }

    media = json_object_get(event, "media");

    if (media == NULL) {
        media = json_array();

        if (json_object_set_new(event, "media", media) != 0) {
            return NGX_ERROR;
        }
    }

    medium = json_object();

    if (json_array_append_new(media, medium) != 0
        || ngx_comms_json_set_str(medium, "url", url) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_event_medium(medium, type);
}


static ngx_uint_t
ngx_comms_twilio_link(ngx_str_t *url)
{
    size_t  i;

    if (url->len > NGX_COMMS_EVENT_MAX_URL
        || url->len <= sizeof("https://") - 1
        || (ngx_strncmp(url->data, "https://", sizeof("https://") - 1) != 0
            && ngx_strncmp(url->data, "http://", sizeof("http://") - 1)
               != 0))
    {
        return 0;
    }

    for (i = 0; i < url->len; i++) {
        if (url->data[i] <= 0x20 || url->data[i] >= 0x7f) {
            return 0;
        }
    }

    return 1;
}
