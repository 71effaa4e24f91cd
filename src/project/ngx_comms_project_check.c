
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a project's file may say.
 *
 * The tables below are the format: each member with its bounds.  What depends
 * on more than one member, or on the secrets, is checked behind them; what is
 * wrong by itself already is passed over there, so that each mistake is
 * named once.
 *
 * To add a member: add a row, and read it where it is meant to work.
 */


#include <project/ngx_comms_project_files.h>
#include <project/ngx_comms_fields.h>
#include <project/ngx_comms_project_values.h>
#include <ai/ngx_comms_ai.h>
#include <ai/ngx_comms_prompt.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_address.h>


#define NGX_COMMS_WORD_WORDS                                                  \
    "a list of 1 to 32 words of 1 to 40 characters"

#define NGX_COMMS_TEMPLATE_WORDS                                              \
    "a text of 1 to 65536 characters with {{channels}} and {{manners}} in it,"\
    " and no others than {{who}}, {{instructions}}, {{task}}, {{channels}},"  \
    " {{arrived}} and {{manners}}"


static void ngx_comms_check_allowed(ngx_comms_document_t *doc);
static void ngx_comms_check_variables(ngx_comms_document_t *doc);
static void ngx_comms_check_quiet(ngx_comms_document_t *doc);
static void ngx_comms_check_credentials(ngx_comms_document_t *doc,
    ngx_comms_secrets_t *secrets);
static void ngx_comms_check_ai_key(ngx_comms_document_t *doc,
    ngx_comms_secrets_t *secrets, json_t *id, ngx_comms_json_path_t *at);
static void ngx_comms_check_carrier(ngx_comms_document_t *doc,
    ngx_comms_secrets_t *secrets, json_t *id, ngx_uint_t channel,
    ngx_comms_json_path_t *at);
static json_t *ngx_comms_check_provider_of(ngx_comms_secrets_t *secrets,
    json_t *id, ngx_str_t *protocol);
static ngx_uint_t ngx_comms_check_location(ngx_comms_secrets_t *secrets,
    json_t *config, const char *reference,
    ngx_comms_protocol_of_pt protocol_of, void *data);
static ngx_int_t ngx_comms_check_shown(ngx_comms_document_t *doc,
    ngx_comms_json_path_t *at, json_t *value);


static const ngx_comms_field_t  ngx_comms_limit_fields[] = {

    { "requests_per_minute", NGX_COMMS_FIELD_INTEGER, 0, 0, 1, 1000000,
      NULL, NULL, "an integer between 1 and 1000000" },
    { "requests_per_day", NGX_COMMS_FIELD_INTEGER, 0, 0, 1, 1000000000,
      NULL, NULL, "an integer between 1 and 1000000000" },
    { "concurrent_conversations", NGX_COMMS_FIELD_INTEGER, 0, 0, 1,
      1000000000, NULL, NULL, "an integer between 1 and 1000000000" },
    { "max_message_length", NGX_COMMS_FIELD_INTEGER, 0, 0, 1, 100000,
      NULL, NULL, "an integer between 1 and 100000" },
    { "turns_per_hour", NGX_COMMS_FIELD_INTEGER, 0, 0, 1, 100000,
      NULL, NULL, "an integer between 1 and 100000" },

    { NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL }
};


static const ngx_comms_field_t  ngx_comms_burst_fields[] = {

    { "window_ms", NGX_COMMS_FIELD_INTEGER, 0, 0, 0, 60000,
      NULL, NULL, "an integer between 0 and 60000" },
    { "max_wait_ms", NGX_COMMS_FIELD_INTEGER, 0, 0, 1, 300000,
      NULL, NULL, "an integer between 1 and 300000" },

    { NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL }
};


static const ngx_comms_field_t  ngx_comms_word_fields[] = {

    { "stop", NGX_COMMS_FIELD_LIST, 0, 0, 1, 32,
      ngx_comms_check_word, NULL, NGX_COMMS_WORD_WORDS },
    { "start", NGX_COMMS_FIELD_LIST, 0, 0, 1, 32,
      ngx_comms_check_word, NULL, NGX_COMMS_WORD_WORDS },
    { "help", NGX_COMMS_FIELD_LIST, 0, 0, 1, 32,
      ngx_comms_check_word, NULL, NGX_COMMS_WORD_WORDS },

    { NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL }
};


static const ngx_comms_field_t  ngx_comms_rep_fields[] = {

    { "name", NGX_COMMS_FIELD_STRING, 1, 1, 1, 200, NULL, NULL,
      "a string of 1 to 200 characters" },
    { "title", NGX_COMMS_FIELD_STRING, 0, 1, 1, 200, NULL, NULL,
      "a string of 1 to 200 characters" },
    { "email", NGX_COMMS_FIELD_STRING, 0, 1, 3, 254,
      ngx_comms_email_valid, NULL, "an email address" },
    { "phone", NGX_COMMS_FIELD_STRING, 0, 1, 1, 40, NULL, NULL,
      "a string of 1 to 40 characters" },

    { NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL }
};


static const ngx_comms_field_t  ngx_comms_second_fields[] = {

    { "provider", NGX_COMMS_FIELD_STRING, 1, 0, 1, NGX_COMMS_NAME_MAX,
      ngx_comms_name_valid, NULL, NGX_COMMS_NAME_WORDS },
    { "model", NGX_COMMS_FIELD_STRING, 1, 0, 1, 128, NULL, NULL,
      "a string of 1 to 128 characters" },
    { "max_output_tokens", NGX_COMMS_FIELD_INTEGER, 0, 0, 16, 100000, NULL,
      NULL, "an integer between 16 and 100000" },
    { "max_attempts", NGX_COMMS_FIELD_INTEGER, 0, 0, 1, 5, NULL, NULL,
      "an integer between 1 and 5" },
    { "api_key_reference", NGX_COMMS_FIELD_STRING, 1, 1, 1,
      NGX_COMMS_NAME_MAX, ngx_comms_name_valid, NULL, NGX_COMMS_NAME_WORDS },

    { NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL }
};


static const ngx_comms_field_t  ngx_comms_ai_fields[] = {

    { "provider", NGX_COMMS_FIELD_STRING, 1, 0, 1, NGX_COMMS_NAME_MAX,
      ngx_comms_name_valid, NULL, NGX_COMMS_NAME_WORDS },
    { "model", NGX_COMMS_FIELD_STRING, 1, 0, 1, 128, NULL, NULL,
      "a string of 1 to 128 characters" },
    { "state", NGX_COMMS_FIELD_STRING, 0, 0, 1, 32,
      ngx_comms_check_state, NULL, "\"conversations\" or \"replay\"" },
    { "instructions_first", NGX_COMMS_FIELD_TEXT, 1, 1, 1, 65536, NULL, NULL,
      "a string of 1 to 65536 characters" },
    { "instructions_reply", NGX_COMMS_FIELD_TEXT, 1, 1, 1, 65536, NULL, NULL,
      "a string of 1 to 65536 characters" },
    { "template_first", NGX_COMMS_FIELD_TEXT, 0, 1, 1, 65536,
      ngx_comms_prompt_template_valid, NULL, NGX_COMMS_TEMPLATE_WORDS },
    { "template_reply", NGX_COMMS_FIELD_TEXT, 0, 1, 1, 65536,
      ngx_comms_prompt_template_valid, NULL, NGX_COMMS_TEMPLATE_WORDS },
    { "max_output_tokens", NGX_COMMS_FIELD_INTEGER, 0, 0, 16, 100000, NULL,
      NULL, "an integer between 16 and 100000" },
    { "api_key_reference", NGX_COMMS_FIELD_STRING, 1, 1, 1,
      NGX_COMMS_NAME_MAX, ngx_comms_name_valid, NULL, NGX_COMMS_NAME_WORDS },
    { "max_attempts", NGX_COMMS_FIELD_INTEGER, 0, 0, 1, 5, NULL, NULL,
      "an integer between 1 and 5" },
    { "fallback", NGX_COMMS_FIELD_OBJECT, 0, 0, 0, 0, NULL,
      ngx_comms_second_fields, "an object" },
    { "holding_message", NGX_COMMS_FIELD_TEXT, 0, 1, 1, 1000, NULL, NULL,
      "a string of 1 to 1000 characters" },
    { "on_outage", NGX_COMMS_FIELD_STRING, 0, 0, 1, 16,
      ngx_comms_check_outage, NULL, "\"wait\" or \"hand_off\"" },

    { NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL }
};


static const ngx_comms_field_t  ngx_comms_quiet_fields[] = {

    { "from", NGX_COMMS_FIELD_STRING, 1, 0, 5, 5, ngx_comms_check_time, NULL,
      "a time between \"00:00\" and \"23:59\"" },
    { "to", NGX_COMMS_FIELD_STRING, 1, 0, 5, 5, ngx_comms_check_time, NULL,
      "a time between \"00:00\" and \"23:59\"" },
    { "time_zone", NGX_COMMS_FIELD_STRING, 1, 0, 1, 64, ngx_comms_check_zone,
      NULL, "a time zone of the system's tz database, as \"Europe/London\"" },
    { "days", NGX_COMMS_FIELD_LIST, 0, 0, 1, 7, ngx_comms_check_day, NULL,
      "a list of 1 to 7 of \"monday\" to \"sunday\"" },
    { "replies", NGX_COMMS_FIELD_BOOLEAN, 0, 0, 0, 0, NULL, NULL,
      "true or false" },

    { NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL }
};


static const ngx_comms_field_t  ngx_comms_whatsapp_fields[] = {

    { "company_whatsapp_number", NGX_COMMS_FIELD_STRING, 1, 1, 3, 16,
      ngx_comms_tel_valid, NULL, "a number in E.164 form, \"+\" and digits" },
    { "provider", NGX_COMMS_FIELD_STRING, 1, 0, 1, NGX_COMMS_NAME_MAX,
      ngx_comms_name_valid, NULL, NGX_COMMS_NAME_WORDS },
    { "credentials_id", NGX_COMMS_FIELD_STRING, 1, 0, 1, NGX_COMMS_NAME_MAX,
      ngx_comms_name_valid, NULL, NGX_COMMS_NAME_WORDS },
    { "whatsapp_template_sid", NGX_COMMS_FIELD_STRING, 0, 0, 34, 34,
      ngx_comms_check_template, NULL, "\"HX\" and 32 hex digits" },
    { "whatsapp_template_name", NGX_COMMS_FIELD_STRING, 0, 0, 1, 512,
      ngx_comms_check_template_name, NULL,
      "1 to 512 lower-case letters, digits and \"_\"" },
    { "whatsapp_template_language", NGX_COMMS_FIELD_STRING, 0, 0, 2, 10,
      ngx_comms_check_language, NULL,
      "a language code of WhatsApp's, as \"en\" or \"en_GB\"" },
    { "outside_window", NGX_COMMS_FIELD_STRING, 0, 0, 1, 32,
      ngx_comms_check_outside, NULL,
      "\"template\", \"channel\" or \"hold\"" },
    { "messages_per_second", NGX_COMMS_FIELD_INTEGER, 0, 0, 1, 100000, NULL,
      NULL, "an integer between 1 and 100000" },
    { "whatsapp_template_variables", NGX_COMMS_FIELD_MAP, 0, 0, 1, 100,
      ngx_comms_check_source, NULL,
      "1 to 100 names, each with \"message\", \"recipient_first_name\","
      " \"recipient_last_name\", \"company_name\", \"project_name\","
      " \"company_rep.name\" or \"project_data.<member>\"" },
    { "status_callback", NGX_COMMS_FIELD_STRING, 0, 0, 9, 1000,
      ngx_comms_check_callback, NULL,
      "an \"https://\" URL of 9 to 1000 visible characters" },

    { NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL }
};


static const ngx_comms_field_t  ngx_comms_sms_fields[] = {

    { "company_sms_number", NGX_COMMS_FIELD_STRING, 1, 1, 3, 16,
      ngx_comms_tel_valid, NULL, "a number in E.164 form, \"+\" and digits" },
    { "provider", NGX_COMMS_FIELD_STRING, 1, 0, 1, NGX_COMMS_NAME_MAX,
      ngx_comms_name_valid, NULL, NGX_COMMS_NAME_WORDS },
    { "credentials_id", NGX_COMMS_FIELD_STRING, 1, 0, 1, NGX_COMMS_NAME_MAX,
      ngx_comms_name_valid, NULL, NGX_COMMS_NAME_WORDS },
    { "status_callback", NGX_COMMS_FIELD_STRING, 0, 0, 9, 1000,
      ngx_comms_check_callback, NULL,
      "an \"https://\" URL of 9 to 1000 visible characters" },
    { "messaging_service_sid", NGX_COMMS_FIELD_STRING, 0, 0, 34, 34,
      ngx_comms_check_service, NULL, "\"MG\" and 32 hex digits" },
    { "max_segments", NGX_COMMS_FIELD_INTEGER, 0, 0, 1, 10, NULL, NULL,
      "an integer between 1 and 10" },
    { "split", NGX_COMMS_FIELD_BOOLEAN, 0, 0, 0, 0, NULL, NULL,
      "true or false" },
    { "messages_per_second", NGX_COMMS_FIELD_INTEGER, 0, 0, 1, 100000, NULL,
      NULL, "an integer between 1 and 100000" },

    { NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL }
};


static const ngx_comms_field_t  ngx_comms_email_fields[] = {

    { "company_email", NGX_COMMS_FIELD_STRING, 1, 1, 3, 254,
      ngx_comms_email_valid, NULL, "an email address" },
    { "provider", NGX_COMMS_FIELD_STRING, 1, 0, 1, NGX_COMMS_NAME_MAX,
      ngx_comms_name_valid, NULL, NGX_COMMS_NAME_WORDS },
    { "credentials_id", NGX_COMMS_FIELD_STRING, 1, 0, 1, NGX_COMMS_NAME_MAX,
      ngx_comms_name_valid, NULL, NGX_COMMS_NAME_WORDS },
    { "reply_to", NGX_COMMS_FIELD_STRING, 0, 1, 3, 254,
      ngx_comms_check_reply_to, NULL,
      "an email address with at most 20 characters and no \"+\" before"
      " the \"@\"" },
    { "unsubscribe_url", NGX_COMMS_FIELD_STRING, 0, 0, 9, 1000,
      ngx_comms_check_callback, NULL,
      "an \"https://\" URL without \"?\" and \"#\"" },
    { "sender_name", NGX_COMMS_FIELD_STRING, 0, 1, 1, 100, NULL, NULL,
      "a string of 1 to 100 characters" },
    { "default_subject", NGX_COMMS_FIELD_STRING, 0, 1, 1, 200, NULL, NULL,
      "a string of 1 to 200 characters" },
    { "messages_per_second", NGX_COMMS_FIELD_INTEGER, 0, 0, 1, 100000, NULL,
      NULL, "an integer between 1 and 100000" },

    { NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL }
};


static const ngx_comms_field_t  ngx_comms_channel_fields[] = {

    { "whatsapp", NGX_COMMS_FIELD_OBJECT, 0, 0, 0, 0, NULL,
      ngx_comms_whatsapp_fields, "an object" },
    { "sms", NGX_COMMS_FIELD_OBJECT, 0, 0, 0, 0, NULL,
      ngx_comms_sms_fields, "an object" },
    { "email", NGX_COMMS_FIELD_OBJECT, 0, 0, 0, 0, NULL,
      ngx_comms_email_fields, "an object" },

    { NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL }
};


static const ngx_comms_field_t  ngx_comms_project_fields[] = {

    { "company_id", NGX_COMMS_FIELD_STRING, 1, 0, 1, NGX_COMMS_NAME_MAX,
      ngx_comms_name_valid, NULL, NGX_COMMS_NAME_WORDS },
    { "project_id", NGX_COMMS_FIELD_STRING, 1, 0, 1, NGX_COMMS_NAME_MAX,
      ngx_comms_name_valid, NULL, NGX_COMMS_NAME_WORDS },
    { "company_name", NGX_COMMS_FIELD_STRING, 1, 0, 1, 200, NULL, NULL,
      "a string of 1 to 200 characters" },
    { "project_name", NGX_COMMS_FIELD_STRING, 1, 0, 1, 200, NULL, NULL,
      "a string of 1 to 200 characters" },
    { "api_key_sha256", NGX_COMMS_FIELD_LIST, 1, 1, 1, 16,
      ngx_comms_check_digest, NULL,
      "a list of 1 to 16 SHA-256 digests, 64 lower-case hex digits each" },
    { "project_status", NGX_COMMS_FIELD_STRING, 1, 0, 1, 32,
      ngx_comms_check_status, NULL, "\"active\" or \"inactive\"" },
    { "allowed_channels", NGX_COMMS_FIELD_LIST, 1, 0, 1, NGX_COMMS_CHANNELS,
      ngx_comms_check_channel, NULL,
      "a list of \"whatsapp\", \"sms\", \"email\", each at most once" },
    { "rate_limits", NGX_COMMS_FIELD_OBJECT, 0, 0, 0, 0, NULL,
      ngx_comms_limit_fields, "an object" },
    { "company_rep", NGX_COMMS_FIELD_OBJECT, 0, 0, 0, 0, NULL,
      ngx_comms_rep_fields, "an object" },
    { "ai_config", NGX_COMMS_FIELD_OBJECT, 1, 0, 0, 0, NULL,
      ngx_comms_ai_fields, "an object" },
    { "channel_config", NGX_COMMS_FIELD_OBJECT, 1, 0, 0, 0, NULL,
      ngx_comms_channel_fields, "an object" },
    { "burst", NGX_COMMS_FIELD_OBJECT, 0, 0, 0, 0, NULL,
      ngx_comms_burst_fields, "an object" },
    { "consent_words", NGX_COMMS_FIELD_OBJECT, 0, 0, 0, 0, NULL,
      ngx_comms_word_fields, "an object" },
    { "help_message", NGX_COMMS_FIELD_TEXT, 0, 1, 1, 320, NULL, NULL,
      "a string of 1 to 320 characters" },
    { "quiet_hours", NGX_COMMS_FIELD_OBJECT, 0, 0, 0, 0, NULL,
      ngx_comms_quiet_fields, "an object" },

    { NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL }
};


ngx_int_t
ngx_comms_project_check(ngx_comms_document_t *doc,
    ngx_comms_secrets_t *secrets)
{
    ngx_comms_json_path_t  root;

    ngx_memzero(&root, sizeof(ngx_comms_json_path_t));

    ngx_comms_fields_check(doc, ngx_comms_project_fields, doc->root, &root);

    ngx_comms_check_allowed(doc);
    ngx_comms_check_variables(doc);
    ngx_comms_check_quiet(doc);

    if (secrets != NULL) {
        ngx_comms_check_credentials(doc, secrets);
    }

    return doc->mistakes == 0 ? NGX_OK : NGX_ERROR;
}


static void
ngx_comms_check_allowed(ngx_comms_document_t *doc)
{
    json_t                 *channels, *channel, *config;
    ngx_int_t               n;
    ngx_str_t               name;
    ngx_uint_t              seen;
    ngx_comms_json_path_t   root, at, element;

    ngx_memzero(&root, sizeof(ngx_comms_json_path_t));

    at.parent = &root;
    at.key = "allowed_channels";

    element.parent = &at;
    element.key = NULL;
    element.index = 0;

    seen = 0;
    channels = json_object_get(doc->root, "allowed_channels");
    config = json_object_get(doc->root, "channel_config");

    json_array_foreach(channels, element.index, channel) {
        name = ngx_comms_json_view(channel);
        n = ngx_comms_channel_by_name(&name);

        if (n == NGX_ERROR) {
            continue;
        }

        if (seen & (1 << n)) {
            ngx_comms_document_mistake(doc, &element, channel, 0,
                                       "listed only once");
            continue;
        }

        seen |= 1 << n;

        if (json_object_get(config, json_string_value(channel)) == NULL) {
            ngx_comms_document_mistake(doc, &element, channel, 0,
                                       "a member of \"channel_config\"");
        }
    }
}


static void
ngx_comms_check_variables(ngx_comms_document_t *doc)
{
    json_t                 *config;
    ngx_comms_json_path_t   root, channels, at, member;

    ngx_memzero(&root, sizeof(ngx_comms_json_path_t));

    channels.parent = &root;
    channels.key = "channel_config";

    at.parent = &channels;
    at.key = "whatsapp";

    member.parent = &at;
    member.key = "whatsapp_template_variables";

    config = json_object_get(json_object_get(doc->root, channels.key),
                             at.key);

    if (json_object_get(config, member.key) != NULL
        && json_object_get(config, "whatsapp_template_sid") == NULL
        && json_object_get(config, "whatsapp_template_name") == NULL)
    {
        ngx_comms_document_wrong(doc, &member, "is useless without"
                                 " \"whatsapp_template_sid\"");
    }

    member.key = "whatsapp_template_language";

    if ((json_object_get(config, member.key) == NULL)
        != (json_object_get(config, "whatsapp_template_name") == NULL))
    {
        ngx_comms_document_wrong(doc, &member, "goes together with"
                                 " \"whatsapp_template_name\"");
    }

    member.key = "outside_window";

    if (json_is_string(json_object_get(config, member.key))
        && ngx_strcmp(json_string_value(json_object_get(config, member.key)),
                      "template")
           == 0
        && json_object_get(config, "whatsapp_template_sid") == NULL
        && json_object_get(config, "whatsapp_template_name") == NULL)
    {
        ngx_comms_document_wrong(doc, &member, "is \"template\", and there"
                                 " is no template");
    }
}


/* equal times are a whole day, and not all days may be quiet */

static void
ngx_comms_check_quiet(ngx_comms_document_t *doc)
{
    size_t                  i, k;
    json_t                 *quiet, *days;
    ngx_comms_json_path_t   root, at, member;

    ngx_memzero(&root, sizeof(ngx_comms_json_path_t));

    at.parent = &root;
    at.key = "quiet_hours";

    member.parent = &at;
    member.key = "days";

    quiet = json_object_get(doc->root, at.key);
    days = json_object_get(quiet, member.key);

    for (i = 0; i < json_array_size(days); i++) {
        for (k = 0; k < i; k++) {
            if (json_equal(json_array_get(days, i), json_array_get(days, k)))
            {
                ngx_comms_document_wrong(doc, &member, "names a day twice");
                return;
            }
        }
    }

    member.key = "to";

    if (json_is_string(json_object_get(quiet, "from"))
        && json_equal(json_object_get(quiet, "from"),
                      json_object_get(quiet, member.key))
        && (days == NULL || json_array_size(days) == 7))
    {
        ngx_comms_document_wrong(doc, &member, "equals \"from\", a whole"
                                 " day, and all days are meant");
    }
}


static void
ngx_comms_check_credentials(ngx_comms_document_t *doc,
    ngx_comms_secrets_t *secrets)
{
    json_t                 *config, *id;
    ngx_int_t               channel;
    ngx_str_t               name;
    const char             *key;
    ngx_comms_json_path_t   root, top, at, member;

    ngx_memzero(&root, sizeof(ngx_comms_json_path_t));

    top.parent = &root;
    top.key = "ai_config";

    member.parent = &top;
    member.key = "api_key_reference";

    id = json_object_get(json_object_get(doc->root, top.key), member.key);

    ngx_comms_check_ai_key(doc, secrets, id, &member);

    at.parent = &top;
    at.key = "fallback";
    member.parent = &at;

    id = json_object_get(json_object_get(json_object_get(doc->root, top.key),
                                         at.key),
                         member.key);

    ngx_comms_check_ai_key(doc, secrets, id, &member);

    top.key = "channel_config";
    at.parent = &top;
    member.parent = &at;
    member.key = "credentials_id";

    json_object_foreach(json_object_get(doc->root, top.key), key, config) {
        at.key = key;
        name.data = (u_char *) key;
        name.len = ngx_strlen(key);

        channel = ngx_comms_channel_by_name(&name);
        id = json_object_get(config, member.key);

        if (channel != NGX_ERROR) {
            ngx_comms_check_carrier(doc, secrets, id, channel, &member);
        }
    }
}


static void
ngx_comms_check_ai_key(ngx_comms_document_t *doc,
    ngx_comms_secrets_t *secrets, json_t *id, ngx_comms_json_path_t *at)
{
    ngx_str_t  name, protocol;

    name = ngx_comms_json_view(id);

    if (!ngx_comms_name_valid(&name)) {
        return;
    }

    if (ngx_comms_check_provider_of(secrets, id, &protocol) == NULL
        || ngx_comms_ai_by_name(&protocol) == NULL)
    {
        ngx_comms_document_mistake(doc, at, id, 1,
                                   "the id of an AI's credentials in the"
                                   " \"comms_secrets\" file");
    }
}


static void
ngx_comms_check_carrier(ngx_comms_document_t *doc,
    ngx_comms_secrets_t *secrets, json_t *id, ngx_uint_t channel,
    ngx_comms_json_path_t *at)
{
    ngx_str_t              name, protocol;
    ngx_comms_provider_t  *provider;

    name = ngx_comms_json_view(id);

    if (!ngx_comms_name_valid(&name)) {
        return;
    }

    if (ngx_comms_check_provider_of(secrets, id, &protocol) == NULL) {
        ngx_comms_document_mistake(doc, at, id, 0,
                                   "the id of credentials in the"
                                   " \"comms_secrets\" file");
        return;
    }

    provider = ngx_comms_provider_by_name(&protocol);

    if (provider == NULL || !(provider->channels & (1 << channel))) {
        ngx_comms_document_mistake(doc, at, id, 0,
                                   "the id of credentials for a provider"
                                   " that carries this channel");
    }
}


/* the credentials of that id with their protocol, or NULL */

static json_t *
ngx_comms_check_provider_of(ngx_comms_secrets_t *secrets, json_t *id,
    ngx_str_t *protocol)
{
    json_t     *credentials;
    ngx_str_t   name;

    name = ngx_comms_json_view(id);

    if (secrets->get(secrets, &name, &credentials, NULL) != NGX_OK
        || ngx_comms_json_str(credentials, "provider", protocol) != NGX_OK)
    {
        return NULL;
    }

    return credentials;
}


ngx_int_t
ngx_comms_project_check_providers(ngx_comms_document_t *doc,
    ngx_comms_project_t *project, ngx_comms_secrets_t *secrets,
    ngx_comms_protocol_of_pt protocol_of, void *data)
{
    json_t                 *config;
    ngx_int_t               rc;
    const char             *key;
    ngx_comms_json_path_t   root, top, at, member;

    ngx_memzero(&root, sizeof(ngx_comms_json_path_t));

    rc = NGX_OK;

    top.parent = &root;
    top.key = "ai_config";

    member.parent = &top;
    member.key = "provider";

    config = json_object_get(project->config, top.key);

    if (!ngx_comms_check_location(secrets, config, "api_key_reference",
                                  protocol_of, data))
    {
        rc = ngx_comms_check_shown(doc, &member,
                                   json_object_get(config, member.key));
    }

    config = json_object_get(config, "fallback");

    at.parent = &top;
    at.key = "fallback";
    member.parent = &at;

    if (config != NULL
        && !ngx_comms_check_location(secrets, config, "api_key_reference",
                                     protocol_of, data))
    {
        rc = ngx_comms_check_shown(doc, &member,
                                   json_object_get(config, member.key));
    }

    top.key = "channel_config";
    at.parent = &top;
    member.parent = &at;

    json_object_foreach(json_object_get(project->config, top.key), key,
                        config)
    {
        at.key = key;

        if (!ngx_comms_check_location(secrets, config, "credentials_id",
                                      protocol_of, data))
        {
            rc = ngx_comms_check_shown(doc, &member,
                                       json_object_get(config, member.key));
        }
    }

    return rc;
}


/* 1 when the provider has a location of the credentials' protocol */

static ngx_uint_t
ngx_comms_check_location(ngx_comms_secrets_t *secrets, json_t *config,
    const char *reference, ngx_comms_protocol_of_pt protocol_of, void *data)
{
    ngx_str_t  name, protocol, spoken;

    name = ngx_comms_json_view(json_object_get(config, "provider"));

    return ngx_comms_check_provider_of(secrets,
                                       json_object_get(config, reference),
                                       &protocol)
           != NULL
           && protocol_of(data, &name, &spoken) == NGX_OK
           && spoken.len == protocol.len
           && ngx_memcmp(spoken.data, protocol.data, spoken.len) == 0;
}


static ngx_int_t
ngx_comms_check_shown(ngx_comms_document_t *doc, ngx_comms_json_path_t *at,
    json_t *value)
{
    if (doc->text.data == NULL && ngx_comms_document_read(doc) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_comms_document_mistake(doc, at, value, 0,
                               "the name of a \"comms_provider\" location"
                               " with the protocol of the credentials");

    return NGX_ERROR;
}
