
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a file is: what it says is believed only as far as its first bytes
 * bear it out.  Nothing that a browser or a system would run passes: HTML,
 * SVG, scripts and programs have no row here.
 *
 * To add a type: add a kind with its magic to ngx_comms_media_kind(), and a
 * row for each name under which it comes.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_text.h>
#include <media/ngx_comms_media.h>


typedef enum {
    NGX_COMMS_MEDIA_UNKNOWN = 0,
    NGX_COMMS_MEDIA_JPEG,
    NGX_COMMS_MEDIA_PNG,
    NGX_COMMS_MEDIA_GIF,
    NGX_COMMS_MEDIA_WEBP,
    NGX_COMMS_MEDIA_HEIC,
    NGX_COMMS_MEDIA_PDF,
    NGX_COMMS_MEDIA_MP4,
    NGX_COMMS_MEDIA_M4A,
    NGX_COMMS_MEDIA_3GP,
    NGX_COMMS_MEDIA_QUICKTIME,
    NGX_COMMS_MEDIA_OGG,
    NGX_COMMS_MEDIA_MP3,
    NGX_COMMS_MEDIA_AAC,
    NGX_COMMS_MEDIA_AMR,
    NGX_COMMS_MEDIA_WAV,
    NGX_COMMS_MEDIA_OFFICE,
    NGX_COMMS_MEDIA_VCARD,
    NGX_COMMS_MEDIA_CALENDAR,
    NGX_COMMS_MEDIA_TEXT
} ngx_comms_media_kind_e;


typedef struct {
    const char              *name;      /* as it comes, lower case */
    ngx_comms_media_kind_e   kind;
    const char              *type;      /* as it is kept */
} ngx_comms_media_row_t;


typedef struct {
    ngx_comms_media_kind_e   kind;
    size_t                   offset;
    size_t                   len;
    const char              *bytes;
} ngx_comms_media_magic_t;


static ngx_comms_media_kind_e ngx_comms_media_kind(ngx_str_t *bytes);
static ngx_comms_media_kind_e ngx_comms_media_brand(ngx_str_t *bytes);
static ngx_comms_media_kind_e ngx_comms_media_zip(ngx_str_t *bytes);
static ngx_comms_media_kind_e ngx_comms_media_words(ngx_str_t *bytes);
static ngx_uint_t ngx_comms_media_begins(ngx_str_t *bytes, size_t offset,
    const char *with);
static const ngx_comms_media_row_t *ngx_comms_media_row(ngx_str_t *name);


static const ngx_comms_media_row_t  ngx_comms_media_types[] = {
    { "image/jpeg", NGX_COMMS_MEDIA_JPEG, "image/jpeg" },
    { "image/jpg", NGX_COMMS_MEDIA_JPEG, "image/jpeg" },
    { "image/png", NGX_COMMS_MEDIA_PNG, "image/png" },
    { "image/gif", NGX_COMMS_MEDIA_GIF, "image/gif" },
    { "image/webp", NGX_COMMS_MEDIA_WEBP, "image/webp" },
    { "image/heic", NGX_COMMS_MEDIA_HEIC, "image/heic" },
    { "image/heif", NGX_COMMS_MEDIA_HEIC, "image/heic" },
    { "application/pdf", NGX_COMMS_MEDIA_PDF, "application/pdf" },
    { "video/mp4", NGX_COMMS_MEDIA_MP4, "video/mp4" },
    { "audio/mp4", NGX_COMMS_MEDIA_M4A, "audio/mp4" },
    { "audio/mp4", NGX_COMMS_MEDIA_MP4, "audio/mp4" },
    { "audio/m4a", NGX_COMMS_MEDIA_M4A, "audio/mp4" },
    { "audio/x-m4a", NGX_COMMS_MEDIA_M4A, "audio/mp4" },
    { "video/3gpp", NGX_COMMS_MEDIA_3GP, "video/3gpp" },
    { "audio/3gpp", NGX_COMMS_MEDIA_3GP, "audio/3gpp" },
    { "video/quicktime", NGX_COMMS_MEDIA_QUICKTIME, "video/quicktime" },
    { "audio/ogg", NGX_COMMS_MEDIA_OGG, "audio/ogg" },
    { "audio/opus", NGX_COMMS_MEDIA_OGG, "audio/ogg" },
    { "audio/mpeg", NGX_COMMS_MEDIA_MP3, "audio/mpeg" },
    { "audio/mp3", NGX_COMMS_MEDIA_MP3, "audio/mpeg" },
    { "audio/aac", NGX_COMMS_MEDIA_AAC, "audio/aac" },
    { "audio/amr", NGX_COMMS_MEDIA_AMR, "audio/amr" },
    { "audio/wav", NGX_COMMS_MEDIA_WAV, "audio/wav" },
    { "audio/x-wav", NGX_COMMS_MEDIA_WAV, "audio/wav" },
    { "text/vcard", NGX_COMMS_MEDIA_VCARD, "text/vcard" },
    { "text/x-vcard", NGX_COMMS_MEDIA_VCARD, "text/vcard" },
    { "text/directory", NGX_COMMS_MEDIA_VCARD, "text/vcard" },
    { "text/calendar", NGX_COMMS_MEDIA_CALENDAR, "text/calendar" },
    { "text/plain", NGX_COMMS_MEDIA_TEXT, "text/plain" },
    { "text/plain", NGX_COMMS_MEDIA_VCARD, "text/plain" },
    { "text/plain", NGX_COMMS_MEDIA_CALENDAR, "text/plain" },
    { "text/csv", NGX_COMMS_MEDIA_TEXT, "text/csv" },

#define ngx_comms_media_openxml(name)                                         \
    { "application/vnd.openxmlformats-officedocument." name,                  \
      NGX_COMMS_MEDIA_OFFICE,                                                 \
      "application/vnd.openxmlformats-officedocument." name }

    ngx_comms_media_openxml("wordprocessingml.document"),
    ngx_comms_media_openxml("spreadsheetml.sheet"),
    ngx_comms_media_openxml("presentationml.presentation"),

#define ngx_comms_media_opendocument(name)                                    \
    { "application/vnd.oasis.opendocument." name, NGX_COMMS_MEDIA_OFFICE,     \
      "application/vnd.oasis.opendocument." name }

    ngx_comms_media_opendocument("text"),
    ngx_comms_media_opendocument("spreadsheet"),
    ngx_comms_media_opendocument("presentation"),

    { NULL, 0, NULL }
};


static const ngx_comms_media_magic_t  ngx_comms_media_magics[] = {
    { NGX_COMMS_MEDIA_JPEG, 0, 3, "\xff\xd8\xff" },
    { NGX_COMMS_MEDIA_PNG, 0, 8, "\x89PNG\r\n\x1a\n" },
    { NGX_COMMS_MEDIA_GIF, 0, 6, "GIF87a" },
    { NGX_COMMS_MEDIA_GIF, 0, 6, "GIF89a" },
    { NGX_COMMS_MEDIA_PDF, 0, 5, "%PDF-" },
    { NGX_COMMS_MEDIA_OGG, 0, 4, "OggS" },
    { NGX_COMMS_MEDIA_AMR, 0, 5, "#!AMR" },
    { NGX_COMMS_MEDIA_MP3, 0, 3, "ID3" },
    { NGX_COMMS_MEDIA_AAC, 0, 2, "\xff\xf1" },
    { NGX_COMMS_MEDIA_AAC, 0, 2, "\xff\xf9" },
    { NGX_COMMS_MEDIA_MP3, 0, 2, "\xff\xfb" },
    { NGX_COMMS_MEDIA_MP3, 0, 2, "\xff\xfa" },
    { NGX_COMMS_MEDIA_MP3, 0, 2, "\xff\xf3" },
    { NGX_COMMS_MEDIA_MP3, 0, 2, "\xff\xf2" },
    { NGX_COMMS_MEDIA_UNKNOWN, 0, 0, NULL }
};


const char *
ngx_comms_media_type(ngx_str_t *content_type, ngx_str_t *bytes)
{
    u_char                        *p;
    ngx_str_t                      name;
    ngx_comms_media_kind_e         kind;
    const ngx_comms_media_row_t   *row, *said;

    name = *content_type;

    p = ngx_strlchr(name.data, name.data + name.len, ';');

    if (p != NULL) {
        name.len = p - name.data;
    }

    name = ngx_comms_trim(name);

    kind = ngx_comms_media_kind(bytes);

    if (kind == NGX_COMMS_MEDIA_UNKNOWN) {
        return NULL;
    }

    said = ngx_comms_media_row(&name);

    /* a type may stand in several rows, one behind the other */

    for (row = said; row != NULL && row->name != NULL; row++) {
        if (ngx_strcmp(row->name, said->name) != 0) {
            break;
        }

        if (row->kind == kind) {
            return row->type;
        }
    }

    /*
     * A picture is a picture, whatever it was called.  Text and archives are
     * what they are called, and were called something else.
     */

    if (kind == NGX_COMMS_MEDIA_OFFICE
        || (kind >= NGX_COMMS_MEDIA_VCARD && name.len != 0))
    {
        return NULL;
    }

    for (row = ngx_comms_media_types; row->name != NULL; row++) {
        if (row->kind == kind) {
            return row->type;
        }
    }

    return NULL;
}


static const ngx_comms_media_row_t *
ngx_comms_media_row(ngx_str_t *name)
{
    const ngx_comms_media_row_t  *row;

    for (row = ngx_comms_media_types; row->name != NULL; row++) {
        if (name->len == ngx_strlen(row->name)
            && ngx_strncasecmp(name->data, (u_char *) row->name, name->len)
               == 0)
        {
            return row;
        }
    }

    return NULL;
}


static ngx_comms_media_kind_e
ngx_comms_media_kind(ngx_str_t *bytes)
{
    const ngx_comms_media_magic_t  *magic;

    for (magic = ngx_comms_media_magics; magic->bytes != NULL; magic++) {
        if (bytes->len >= magic->offset + magic->len
            && ngx_memcmp(bytes->data + magic->offset, magic->bytes,
                          magic->len) == 0)
        {
            return magic->kind;
        }
    }

    if (ngx_comms_media_begins(bytes, 0, "RIFF")) {

        if (ngx_comms_media_begins(bytes, 8, "WEBP")) {
            return NGX_COMMS_MEDIA_WEBP;
        }

        return ngx_comms_media_begins(bytes, 8, "WAVE")
               ? NGX_COMMS_MEDIA_WAV : NGX_COMMS_MEDIA_UNKNOWN;
    }

    if (ngx_comms_media_begins(bytes, 4, "ftyp")) {
        return ngx_comms_media_brand(bytes);
    }

    if (ngx_comms_media_begins(bytes, 0, "PK\x03\x04")) {
        return ngx_comms_media_zip(bytes);
    }

    return ngx_comms_media_words(bytes);
}


/* the major brand of an ISO base media file (ISO/IEC 14496-12 4.3) */

static ngx_comms_media_kind_e
ngx_comms_media_brand(ngx_str_t *bytes)
{
    ngx_uint_t  i;

    static const struct {
        const char              *brand;
        ngx_comms_media_kind_e   kind;
    } brands[] = {
        { "heic", NGX_COMMS_MEDIA_HEIC },
        { "heix", NGX_COMMS_MEDIA_HEIC },
        { "heim", NGX_COMMS_MEDIA_HEIC },
        { "mif1", NGX_COMMS_MEDIA_HEIC },
        { "msf1", NGX_COMMS_MEDIA_HEIC },
        { "M4A ", NGX_COMMS_MEDIA_M4A },
        { "M4B ", NGX_COMMS_MEDIA_M4A },
        { "qt  ", NGX_COMMS_MEDIA_QUICKTIME },
        { "3gp", NGX_COMMS_MEDIA_3GP },
        { "3g2", NGX_COMMS_MEDIA_3GP },
        { "isom", NGX_COMMS_MEDIA_MP4 },
        { "iso", NGX_COMMS_MEDIA_MP4 },
        { "mp4", NGX_COMMS_MEDIA_MP4 },
        { "avc1", NGX_COMMS_MEDIA_MP4 },
        { "M4V", NGX_COMMS_MEDIA_MP4 },
        { "MSNV", NGX_COMMS_MEDIA_MP4 },
        { "dash", NGX_COMMS_MEDIA_MP4 },
        { NULL, NGX_COMMS_MEDIA_UNKNOWN }
    };

    for (i = 0; brands[i].brand != NULL; i++) {
        if (ngx_comms_media_begins(bytes, 8, brands[i].brand)) {
            break;
        }
    }

    return brands[i].kind;
}


/* documents begin with a part of their own; other archives do not pass */

static ngx_comms_media_kind_e
ngx_comms_media_zip(ngx_str_t *bytes)
{
    ngx_uint_t  i;

    static const char  *firsts[] = {
        "[Content_Types].xml", "_rels/", "docProps/", "word/", "xl/", "ppt/",
        "mimetypeapplication/vnd.oasis.opendocument.", NULL
    };

    /* the name of the first file is behind a header of 30 bytes */

    for (i = 0; firsts[i] != NULL; i++) {
        if (ngx_comms_media_begins(bytes, 30, firsts[i])) {
            return NGX_COMMS_MEDIA_OFFICE;
        }
    }

    return NGX_COMMS_MEDIA_UNKNOWN;
}


/* text is UTF-8 all through, without controls, and no markup */

static ngx_comms_media_kind_e
ngx_comms_media_words(ngx_str_t *bytes)
{
    size_t      i;
    ngx_str_t   text;

    text = *bytes;

    if (ngx_comms_media_begins(&text, 0, "\xef\xbb\xbf")) {
        text.data += 3;
        text.len -= 3;
    }

    for (i = 0; i < text.len; i++) {
        if (text.data[i] < ' ' && text.data[i] != LF && text.data[i] != CR
            && text.data[i] != '\t' && text.data[i] != '\f')
        {
            return NGX_COMMS_MEDIA_UNKNOWN;
        }
    }

    if (!ngx_comms_utf8_valid(&text)) {
        return NGX_COMMS_MEDIA_UNKNOWN;
    }

    text = ngx_comms_trim(text);

    if (text.len == 0 || text.data[0] == '<'
        || ngx_comms_media_begins(&text, 0, "#!"))
    {
        return NGX_COMMS_MEDIA_UNKNOWN;
    }

    if (ngx_comms_media_begins(&text, 0, "BEGIN:VCARD")) {
        return NGX_COMMS_MEDIA_VCARD;
    }

    if (ngx_comms_media_begins(&text, 0, "BEGIN:VCALENDAR")) {
        return NGX_COMMS_MEDIA_CALENDAR;
    }

    return NGX_COMMS_MEDIA_TEXT;
}


static ngx_uint_t
ngx_comms_media_begins(ngx_str_t *bytes, size_t offset, const char *with)
{
    size_t  len;

    len = ngx_strlen(with);

    return bytes->len >= offset + len
           && ngx_memcmp(bytes->data + offset, with, len) == 0;
}
