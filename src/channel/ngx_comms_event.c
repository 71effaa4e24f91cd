
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * See ngx_comms_event.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_address.h>
#include <channel/ngx_comms_event.h>


#define NGX_COMMS_EVENT_MAX_MARKER  128
#define NGX_COMMS_EVENT_MAX_BSUID   160
#define NGX_COMMS_EVENT_MAX_TYPE    64
#define NGX_COMMS_EVENT_MAX_TEL     32     /* with blanks and brackets */


json_t *
ngx_comms_event_create(const char *kind, const char *provider,
    ngx_uint_t channel)
{
    ngx_str_t  *name;

    name = &ngx_comms_channel_names[channel];

    return json_pack("{s:s, s:s, s:s%}", "kind", kind, "provider", provider,
                     "channel", name->data, name->len);
}


json_t *
ngx_comms_event_ignored(const char *reason)
{
    return json_pack("{s:s, s:s}", "kind", "ignored", "reason", reason);
}


ngx_int_t
ngx_comms_event_dedupe(ngx_pool_t *pool, json_t *event, const char *provider,
    ngx_str_t *id, const char *suffix)
{
    u_char     *p;
    size_t      len;
    ngx_str_t   dedupe;

    len = ngx_strlen(provider) + 1 + id->len;

    if (suffix != NULL) {
        len += 1 + ngx_strlen(suffix);
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    dedupe.data = p;
    dedupe.len = len;

    p = ngx_sprintf(p, "%s:%V", provider, id);

    if (suffix != NULL) {
        ngx_sprintf(p, ":%s", suffix);
    }

    return ngx_comms_json_set_str(event, "dedupe_id", &dedupe);
}


ngx_uint_t
ngx_comms_event_token(ngx_str_t *text, const char *marks, size_t max)
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


ngx_uint_t
ngx_comms_event_marker(ngx_str_t *marker)
{
    return ngx_comms_event_token(marker, "._-", NGX_COMMS_EVENT_MAX_MARKER);
}


ngx_int_t
ngx_comms_event_bsuid(ngx_pool_t *pool, ngx_str_t *id, ngx_str_t *address)
{
    u_char     *p;
    ngx_str_t   bare;

    ngx_str_null(address);

    bare = ngx_comms_address_bare(id);

    if (!ngx_comms_event_token(&bare, "._-", NGX_COMMS_EVENT_MAX_BSUID)) {
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


ngx_int_t
ngx_comms_event_tel(ngx_pool_t *pool, ngx_str_t *number, ngx_str_t *address)
{
    u_char      ch, digits[NGX_COMMS_EVENT_MAX_TEL + 1];
    size_t      i, n;
    ngx_str_t   tel;

    ngx_str_null(address);

    if (number->len > NGX_COMMS_EVENT_MAX_TEL) {
        return NGX_OK;
    }

    digits[0] = '+';
    n = 1;

    for (i = 0; i < number->len; i++) {
        ch = number->data[i];

        if (ch >= '0' && ch <= '9') {
            digits[n++] = ch;

        } else if (ch == '\0' || ngx_strchr(" ()-.", ch) == NULL) {
            if (ch != '+' || i > 0) {
                return NGX_OK;
            }
        }
    }

    tel.data = digits;
    tel.len = n;

    if (!ngx_comms_tel_valid(&tel)) {
        return NGX_OK;
    }

    return ngx_comms_address_tel(pool, &tel, address);
}


ngx_int_t
ngx_comms_event_alias(json_t *event, ngx_str_t *address)
{
    json_t     *aliases, *known;
    size_t      i;
    ngx_str_t   own, value;

    (void) ngx_comms_json_str(event, "person_address", &own);

    if (address->len == 0
        || (own.len == address->len
            && ngx_memcmp(own.data, address->data, own.len) == 0))
    {
        return NGX_OK;
    }

    aliases = json_object_get(event, "aliases");

    if (aliases == NULL) {
        aliases = json_array();

        if (json_object_set_new(event, "aliases", aliases) != 0) {
            return NGX_ERROR;
        }
    }

    json_array_foreach(aliases, i, known) {
        value = ngx_comms_json_view(known);

        if (value.len == address->len
            && ngx_memcmp(value.data, address->data, value.len) == 0)
        {
            return NGX_OK;
        }
    }

    return (json_array_append_new(aliases, ngx_comms_json_string(address))
            == 0) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_comms_event_text(ngx_pool_t *pool, ngx_str_t *raw, ngx_str_t *text)
{
    ngx_str_t  utf8, whole;

    ngx_str_null(text);
    ngx_str_null(&utf8);

    if (raw->len == 0) {
        return NGX_OK;
    }

    if (ngx_comms_to_utf8(pool, &utf8, raw, &whole) != NGX_OK) {
        return NGX_ERROR;
    }

    whole = ngx_comms_trim(whole);

    return ngx_comms_shorten(pool, &whole, NGX_COMMS_EVENT_MAX_CONTENT, text);
}


ngx_int_t
ngx_comms_event_line(ngx_pool_t *pool, ngx_str_t *raw, ngx_str_t *line)
{
    ngx_str_t  text, whole;

    if (ngx_comms_event_text(pool, raw, &text) != NGX_OK
        || ngx_comms_one_line(pool, &text, &whole) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_shorten(pool, &whole, NGX_COMMS_EVENT_MAX_LINE, line);
}


ngx_int_t
ngx_comms_event_append(ngx_pool_t *pool, ngx_str_t *content, ngx_str_t *text)
{
    u_char  *p;

    if (text->len == 0) {
        return NGX_OK;
    }

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


ngx_int_t
ngx_comms_event_note(ngx_pool_t *pool, ngx_str_t *content, const char *word,
    ngx_str_t *text)
{
    u_char     *p;
    ngx_str_t   note;

    p = ngx_pnalloc(pool, sizeof("[: ]") - 1 + ngx_strlen(word) + text->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    note.data = p;

    if (text->len > 0) {
        p = ngx_sprintf(p, "[%s: %V]", word, text);

    } else {
        p = ngx_sprintf(p, "[%s]", word);
    }

    note.len = p - note.data;

    return ngx_comms_event_append(pool, content, &note);
}


/* "place": latitude, longitude, label, address */

ngx_int_t
ngx_comms_event_location(ngx_pool_t *pool, ngx_str_t *content,
    ngx_str_t place[4])
{
    u_char      *p;
    size_t       len;
    ngx_str_t    line[4], text;
    ngx_uint_t   i;

    len = sizeof(",  (, )") - 1;

    for (i = 0; i < 4; i++) {

        if (ngx_comms_event_line(pool, &place[i], &line[i]) != NGX_OK) {
            return NGX_ERROR;
        }

        len += line[i].len;
    }

    if (line[0].len == 0 || line[1].len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text.data = p;

    p = ngx_sprintf(p, "%V, %V", &line[0], &line[1]);

    if (line[2].len > 0 && line[3].len > 0) {
        p = ngx_sprintf(p, " (%V, %V)", &line[2], &line[3]);

    } else if (line[2].len > 0 || line[3].len > 0) {
        p = ngx_sprintf(p, " (%V%V)", &line[2], &line[3]);
    }

    text.len = p - text.data;

    return ngx_comms_event_note(pool, content, "location", &text);
}


const char *
ngx_comms_event_media_word(ngx_str_t *type)
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


ngx_int_t
ngx_comms_event_media_type(ngx_pool_t *pool, ngx_str_t *raw, ngx_str_t *type)
{
    u_char     *end;
    ngx_str_t   bare;

    ngx_str_null(type);

    bare = *raw;
    end = ngx_strlchr(bare.data, bare.data + bare.len, ';');

    if (end != NULL) {
        bare.len = end - bare.data;
    }

    bare = ngx_comms_trim(bare);

    if (!ngx_comms_event_token(&bare, "/+.-", NGX_COMMS_EVENT_MAX_TYPE)) {
        return NGX_OK;
    }

    type->data = ngx_pnalloc(pool, bare.len);
    if (type->data == NULL) {
        return NGX_ERROR;
    }

    type->len = bare.len;
    ngx_strlow(type->data, bare.data, bare.len);

    return NGX_OK;
}


ngx_int_t
ngx_comms_event_medium(json_t *medium, ngx_str_t *type)
{
    ngx_str_t  unknown;

    ngx_str_set(&unknown, "application/octet-stream");

    return ngx_comms_json_set_str(medium, "content_type",
                                  (type->len > 0) ? type : &unknown);
}
