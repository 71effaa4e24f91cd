
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What is attached to mails, as an event tells it; and text that its sender's
 * software broke into lines (RFC 3676).
 *
 * To add a type that has words of its own: add a row.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_email.h>


#define NGX_COMMS_EMAIL_MAX_MEDIA  32     /* of an event */


typedef struct {
    ngx_str_t    type;
    const char  *words;
    ngx_uint_t   kept;
} ngx_comms_email_type_t;


static u_char *ngx_comms_email_depth(u_char *p, u_char *last,
    ngx_uint_t *depth);


static const ngx_comms_email_type_t  ngx_comms_email_types[] = {

    /* RFC 8551 3.2, RFC 3156 5 */

    { ngx_string("application/pkcs7-signature"), "digital signature", 0 },
    { ngx_string("application/x-pkcs7-signature"), "digital signature", 0 },
    { ngx_string("application/pgp-signature"), "digital signature", 0 },
    { ngx_string("application/pgp-keys"), "public key", 0 },

    /* RFC 8551 3.2, RFC 3156 4; nothing here can read them */

    { ngx_string("application/pkcs7-mime"), "encrypted message", 0 },
    { ngx_string("application/x-pkcs7-mime"), "encrypted message", 0 },
    { ngx_string("application/pgp-encrypted"), "encrypted message", 0 },

    /* RFC 5546; Outlook's own format */

    { ngx_string("text/calendar"), "calendar invitation", 1 },
    { ngx_string("application/ics"), "calendar invitation", 1 },
    { ngx_string("application/ms-tnef"), "winmail.dat", 1 },
    { ngx_string("application/vnd.ms-tnef"), "winmail.dat", 1 },

    { ngx_string("text/vcard"), "contact", 1 },
    { ngx_string("text/x-vcard"), "contact", 1 },
    { ngx_string("text/directory"), "contact", 1 },

    { ngx_null_string, NULL, 0 }
};


const char *
ngx_comms_email_type_words(ngx_str_t *type, ngx_uint_t *kept)
{
    const ngx_comms_email_type_t  *known;

    for (known = ngx_comms_email_types; known->type.len; known++) {

        if (known->type.len == type->len
            && ngx_strncmp(known->type.data, type->data, type->len) == 0)
        {
            *kept = known->kept;
            return known->words;
        }
    }

    *kept = 1;

    return NULL;
}


ngx_int_t
ngx_comms_email_add_medium(ngx_pool_t *pool, json_t *event, ngx_uint_t part,
    ngx_str_t *type, ngx_str_t *name, size_t size)
{
    json_t  *media, *medium;

    media = json_object_get(event, "media");

    if (media == NULL) {
        media = json_array();

        if (json_object_set_new(event, "media", media) != 0) {
            return NGX_ERROR;
        }
    }

    if (json_array_size(media) == NGX_COMMS_EMAIL_MAX_MEDIA) {
        return NGX_OK;
    }

    medium = json_pack("{s:I}", "part", (json_int_t) part);

    if (json_array_append_new(media, medium) != 0
        || ngx_comms_json_set_str(medium, "content_type", type) != NGX_OK
        || (name->len > 0
            && ngx_comms_json_set_str(medium, "filename", name) != NGX_OK)
        || (size > 0
            && json_object_set_new(medium, "size",
                                   json_integer((json_int_t) size))
               != 0))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * RFC 3676 4.1, 4.2: a line that ends in a blank goes on in the next one of
 * the same quote depth; a blank at the begin of a line is stuffing; "-- " is
 * no flowed line.
 */

ngx_int_t
ngx_comms_email_unflow(ngx_pool_t *pool, ngx_str_t *text, ngx_uint_t delsp,
    ngx_str_t *lines)
{
    u_char      *p, *s, *end, *next, *last;
    ngx_uint_t   depth, before, open, flows;

    p = ngx_pnalloc(pool, text->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    lines->data = p;
    last = text->data + text->len;
    before = 0;
    open = 0;

    for (s = text->data; s < last; s = next) {

        end = ngx_strlchr(s, last, '\n');
        next = (end != NULL) ? end + 1 : last;
        end = (end != NULL) ? end : last;

        if (end > s && end[-1] == '\r') {
            end--;
        }

        end = ngx_max(end, s);

        if (open) {
            (void) ngx_comms_email_depth(s, end, &depth);

            if (depth != before) {
                *p++ = '\n';
                open = 0;
            }
        }

        if (open) {
            s = ngx_comms_email_depth(s, end, &depth);

        } else {
            end = ngx_max(end, s);
            before = 0;
            (void) ngx_comms_email_depth(s, end, &before);

            if (before == 0 && s < end && *s == ' ') {
                s++;
            }
        }

        flows = (end > s && end[-1] == ' '
                 && !(end - s == 3 && ngx_strncmp(s, "-- ", 3) == 0));

        p = ngx_cpymem(p, s, end - s);

        if (flows) {
            p -= (delsp != 0);
            open = 1;

        } else {
            *p++ = '\n';
            open = 0;
        }
    }

    lines->len = p - lines->data;

    return NGX_OK;
}


/* behind the ">" of a line, and the blank that stuffs it */

static u_char *
ngx_comms_email_depth(u_char *p, u_char *last, ngx_uint_t *depth)
{
    ngx_uint_t  n;

    for (n = 0; p < last && *p == '>'; p++) {
        n++;
    }

    if (p < last && *p == ' ') {
        p++;
    }

    *depth = n;

    return p;
}
