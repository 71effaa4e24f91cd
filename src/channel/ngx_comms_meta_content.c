
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a message to Meta holds: text, a template, or one medium by its link.
 *
 * Source of members and limits: "Messages" of the Cloud API's reference,
 * https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_event.h>
#include <channel/ngx_comms_meta.h>


#define NGX_COMMS_META_MAX_BODY      4096    /* code points */
#define NGX_COMMS_META_MAX_CAPTION   1024    /* code points */
#define NGX_COMMS_META_MAX_NAME      512     /* of a template */
#define NGX_COMMS_META_MAX_LANGUAGE  16
#define NGX_COMMS_META_MAX_NUMBER    100     /* variables by number */
#define NGX_COMMS_META_MAX_FILENAME  240     /* bytes */


static ngx_int_t ngx_comms_meta_text(ngx_comms_outbound_t *message,
    json_t *body, const char **words);
static ngx_int_t ngx_comms_meta_template(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, json_t *body, const char **words);
static ngx_int_t ngx_comms_meta_variables(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, json_t *parameters, const char **words);
static ngx_int_t ngx_comms_meta_numbered(json_t *variables);
static ngx_int_t ngx_comms_meta_parameter(ngx_pool_t *pool,
    json_t *parameters, const char *name, json_t *value, const char **words);
static ngx_int_t ngx_comms_meta_medium(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, json_t *body, const char **words);
static const char *ngx_comms_meta_medium_kind(ngx_str_t *type);
static ngx_int_t ngx_comms_meta_caption(ngx_comms_outbound_t *message,
    const char *kind, json_t *medium, const char **words);
static ngx_int_t ngx_comms_meta_set(json_t *body, const char *type,
    json_t *value);
static int ngx_libc_cdecl ngx_comms_meta_cmp_names(const void *one,
    const void *two);


ngx_int_t
ngx_comms_meta_content(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    json_t *body, const char **words)
{
    if (message->template_name.len > 0) {
        return ngx_comms_meta_template(pool, message, body, words);
    }

    if (message->template_sid.len > 0) {
        *words = "a whatsapp_template_sid is for Twilio; Meta's templates "
                 "have a name and a language";
        return NGX_DECLINED;
    }

    if (!ngx_comms_utf8_valid(&message->content)) {
        *words = "the message is not valid UTF-8";
        return NGX_DECLINED;
    }

    if (json_array_size(message->media) > 0) {
        return ngx_comms_meta_medium(pool, message, body, words);
    }

    return ngx_comms_meta_text(message, body, words);
}


static ngx_int_t
ngx_comms_meta_text(ngx_comms_outbound_t *message, json_t *body,
    const char **words)
{
    json_t     *text;
    ngx_str_t   trimmed;

    trimmed = ngx_comms_trim(message->content);

    if (trimmed.len == 0) {
        *words = "the message is empty";
        return NGX_DECLINED;
    }

    if (ngx_comms_utf8_length(&message->content) > NGX_COMMS_META_MAX_BODY) {
        *words = "the message is longer than 4096 characters";
        return NGX_DECLINED;
    }

    text = json_pack("{s:b}", "preview_url", 0);

    if (ngx_comms_meta_set(body, "text", text) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_json_set_str(text, "body", &message->content);
}


static ngx_int_t
ngx_comms_meta_template(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    json_t *body, const char **words)
{
    json_t  *template, *language, *parameters;

    if (!ngx_comms_event_token(&message->template_name, "_",
                               NGX_COMMS_META_MAX_NAME))
    {
        *words = "the template's name is invalid";
        return NGX_DECLINED;
    }

    if (!ngx_comms_event_token(&message->template_language, "_",
                               NGX_COMMS_META_MAX_LANGUAGE))
    {
        *words = "the template has no valid language";
        return NGX_DECLINED;
    }

    template = json_object();
    language = json_pack("{s:s}", "policy", "deterministic");

    if (ngx_comms_meta_set(body, "template", template) != NGX_OK
        || ngx_comms_json_set_str(template, "name", &message->template_name)
           != NGX_OK
        || json_object_set_new(template, "language", language) != 0
        || ngx_comms_json_set_str(language, "code",
                                  &message->template_language)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (json_object_size(message->template_variables) == 0) {
        return NGX_OK;
    }

    parameters = json_array();

    if (json_object_set_new(template, "components",
                            json_pack("[{s:s, s:o}]", "type", "body",
                                      "parameters", parameters))
        != 0)
    {
        return NGX_ERROR;
    }

    return ngx_comms_meta_variables(pool, message, parameters, words);
}


/* in the order of their numbers, or with their names */

static ngx_int_t
ngx_comms_meta_variables(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    json_t *parameters, const char **words)
{
    u_char        number[NGX_INT64_LEN + 1];
    json_t       *variables, *value;
    size_t        i, n;
    ngx_int_t     rc;
    const char   *key, **names;

    variables = message->template_variables;
    n = json_object_size(variables);

    rc = ngx_comms_meta_numbered(variables);

    if (rc == NGX_DECLINED) {
        *words = "the template's variables are neither numbered from 1 on "
                 "nor named";
        return NGX_DECLINED;
    }

    names = ngx_palloc(pool, n * sizeof(char *));
    if (names == NULL) {
        return NGX_ERROR;
    }

    i = 0;

    json_object_foreach(variables, key, value) {
        names[i++] = key;
    }

    ngx_qsort(names, n, sizeof(char *), ngx_comms_meta_cmp_names);

    for (i = 0; i < n; i++) {

        if (rc == NGX_OK) {
            *ngx_sprintf(number, "%uz", i + 1) = '\0';
            value = json_object_get(variables, (char *) number);
            key = NULL;

        } else {
            key = names[i];
            value = json_object_get(variables, key);
        }

        if (ngx_comms_meta_parameter(pool, parameters, key, value, words)
            != NGX_OK)
        {
            return (*words != NULL) ? NGX_DECLINED : NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* NGX_OK: numbered 1 to n; NGX_ABORT: named; NGX_DECLINED: neither */

static ngx_int_t
ngx_comms_meta_numbered(json_t *variables)
{
    size_t       n, len;
    json_t      *value;
    ngx_int_t    number;
    ngx_str_t    name;
    ngx_uint_t   numbers;
    const char  *key;

    n = json_object_size(variables);
    numbers = 0;

    json_object_foreach(variables, key, value) {
        len = ngx_strlen(key);
        number = ngx_atoi((u_char *) key, len);

        if (number != NGX_ERROR) {

            if (number < 1 || (size_t) number > n || key[0] == '0'
                || n > NGX_COMMS_META_MAX_NUMBER)
            {
                return NGX_DECLINED;
            }

            numbers++;
            continue;
        }

        name.data = (u_char *) key;
        name.len = len;

        if (!ngx_comms_event_token(&name, "_", NGX_COMMS_EVENT_MAX_LINE)) {
            return NGX_DECLINED;
        }
    }

    if (numbers == 0) {
        return NGX_ABORT;
    }

    return (numbers == n) ? NGX_OK : NGX_DECLINED;
}


static int ngx_libc_cdecl
ngx_comms_meta_cmp_names(const void *one, const void *two)
{
    return ngx_strcmp(*(const char *const *) one,
                      *(const char *const *) two);
}


/* NGX_ERROR leaves *words NULL when out of memory */

static ngx_int_t
ngx_comms_meta_parameter(ngx_pool_t *pool, json_t *parameters,
    const char *name, json_t *value, const char **words)
{
    json_t     *parameter;
    ngx_str_t   text, line;

    *words = NULL;

    text = ngx_comms_json_view(value);

    if (ngx_comms_one_line(pool, &text, &line) != NGX_OK) {
        return NGX_ERROR;
    }

    if (line.len == 0) {
        *words = "a variable of the template is no text";
        return NGX_ERROR;
    }

    parameter = json_pack("{s:s}", "type", "text");

    if (json_array_append_new(parameters, parameter) != 0
        || ngx_comms_json_set_str(parameter, "text", &line) != NGX_OK
        || (name != NULL
            && json_object_set_new(parameter, "parameter_name",
                                   json_string(name))
               != 0))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_meta_medium(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    json_t *body, const char **words)
{
    json_t      *media, *medium;
    ngx_str_t    url, raw, type, filename;
    const char  *kind;

    media = json_array_get(message->media, 0);

    if (json_array_size(message->media) > 1) {
        *words = "a WhatsApp message holds one file";
        return NGX_DECLINED;
    }

    if (ngx_comms_json_str(media, "url", &url) != NGX_OK
        || url.len == 0 || url.len > NGX_COMMS_EVENT_MAX_URL)
    {
        *words = "the file has no address";
        return NGX_DECLINED;
    }

    (void) ngx_comms_json_str(media, "content_type", &raw);
    (void) ngx_comms_json_str(media, "filename", &filename);

    if (ngx_comms_event_media_type(pool, &raw, &type) != NGX_OK) {
        return NGX_ERROR;
    }

    kind = ngx_comms_meta_medium_kind(&type);
    medium = json_object();

    if (ngx_comms_meta_set(body, kind, medium) != NGX_OK
        || ngx_comms_json_set_str(medium, "link", &url) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_strcmp(kind, "document") == 0
        && filename.len > 0 && filename.len <= NGX_COMMS_META_MAX_FILENAME
        && ngx_comms_json_set_str(medium, "filename", &filename) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_meta_caption(message, kind, medium, words);
}


/* "Supported media types": all that is neither of these is a document */

static const char *
ngx_comms_meta_medium_kind(ngx_str_t *type)
{
    size_t      len;
    ngx_uint_t  i;

    static const char  *kinds[][2] = {
        { "image/jpeg", "image" },
        { "image/png", "image" },
        { "image/webp", "sticker" },
        { "audio/", "audio" },
        { "video/mp4", "video" },
        { "video/3gpp", "video" },
        { NULL, NULL }
    };

    for (i = 0; kinds[i][0] != NULL; i++) {
        len = ngx_strlen(kinds[i][0]);

        if (type->len >= len
            && ngx_strncmp(type->data, kinds[i][0], len) == 0)
        {
            return kinds[i][1];
        }
    }

    return "document";
}


static ngx_int_t
ngx_comms_meta_caption(ngx_comms_outbound_t *message, const char *kind,
    json_t *medium, const char **words)
{
    ngx_str_t  text;

    text = ngx_comms_trim(message->content);

    if (text.len == 0) {
        return NGX_OK;
    }

    if (ngx_strcmp(kind, "audio") == 0 || ngx_strcmp(kind, "sticker") == 0) {
        *words = "WhatsApp shows no text with sound and stickers";
        return NGX_DECLINED;
    }

    if (ngx_comms_utf8_length(&text) > NGX_COMMS_META_MAX_CAPTION) {
        *words = "the text with the file is longer than 1024 characters";
        return NGX_DECLINED;
    }

    return ngx_comms_json_set_str(medium, "caption", &text);
}


static ngx_int_t
ngx_comms_meta_set(json_t *body, const char *type, json_t *value)
{
    if (json_object_set_new(body, type, value) != 0
        || json_object_set_new(body, "type", json_string(type)) != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}
