
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The values of a project's members: each function tells whether a string is
 * one.
 */


#include <project/ngx_comms_project_files.h>
#include <project/ngx_comms_project_values.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_time_zone.h>
#include <channel/ngx_comms_address.h>


/* "+" and a reply token of 43 characters must fit before the "@" too */
#define NGX_COMMS_REPLY_LOCAL_MAX  20


static ngx_uint_t ngx_comms_check_sid(ngx_str_t *value, const char *prefix);
static ngx_uint_t ngx_comms_check_is(ngx_str_t *value, const char *word);


ngx_uint_t
ngx_comms_name_valid(ngx_str_t *name)
{
    size_t  i;
    u_char  ch;

    if (name->len == 0 || name->len > NGX_COMMS_NAME_MAX) {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
              || (ch >= '0' && ch <= '9')
              || ch == '.' || ch == '_' || ch == '-'))
        {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_comms_check_digest(ngx_str_t *value)
{
    size_t  i;
    u_char  ch;

    if (value->len != 64) {
        return 0;
    }

    for (i = 0; i < value->len; i++) {
        ch = value->data[i];

        if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f'))) {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_comms_check_status(ngx_str_t *value)
{
    return ngx_comms_check_is(value, "active")
           || ngx_comms_check_is(value, "inactive");
}


ngx_uint_t
ngx_comms_check_channel(ngx_str_t *value)
{
    return ngx_comms_channel_by_name(value) != NGX_ERROR;
}


ngx_uint_t
ngx_comms_check_state(ngx_str_t *value)
{
    return ngx_comms_check_is(value, "conversations")
           || ngx_comms_check_is(value, "replay");
}


ngx_uint_t
ngx_comms_check_word(ngx_str_t *value)
{
    return value->len >= 1 && value->len <= 40
           && value->data[0] != ' ' && value->data[value->len - 1] != ' ';
}


ngx_uint_t
ngx_comms_check_outage(ngx_str_t *value)
{
    return ngx_comms_check_is(value, "wait")
           || ngx_comms_check_is(value, "hand_off");
}


ngx_uint_t
ngx_comms_check_reply_to(ngx_str_t *value)
{
    u_char  *at;

    if (!ngx_comms_email_valid(value)) {
        return 0;
    }

    at = ngx_strlchr(value->data, value->data + value->len, '@');

    return at != NULL
           && at - value->data <= NGX_COMMS_REPLY_LOCAL_MAX
           && ngx_strlchr(value->data, at, '+') == NULL;
}


ngx_uint_t
ngx_comms_check_callback(ngx_str_t *value)
{
    size_t  i;

    if (value->len <= sizeof("https://") - 1
        || ngx_strncmp(value->data, "https://", sizeof("https://") - 1) != 0)
    {
        return 0;
    }

    for (i = 0; i < value->len; i++) {
        if (value->data[i] <= ' ' || value->data[i] >= 0x7f) {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_comms_check_template(ngx_str_t *value)
{
    return ngx_comms_check_sid(value, "HX");
}


ngx_uint_t
ngx_comms_check_service(ngx_str_t *value)
{
    return ngx_comms_check_sid(value, "MG");
}


/* a template's name at Meta */

ngx_uint_t
ngx_comms_check_template_name(ngx_str_t *value)
{
    size_t  i;
    u_char  ch;

    for (i = 0; i < value->len; i++) {
        ch = value->data[i];

        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9')
              || ch == '_'))
        {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_comms_check_language(ngx_str_t *value)
{
    size_t  i;
    u_char  ch;

    for (i = 0; i < value->len; i++) {
        ch = value->data[i] | 0x20;

        if (!(ch >= 'a' && ch <= 'z') && !(value->data[i] == '_' && i > 1)) {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_comms_check_outside(ngx_str_t *value)
{
    return ngx_comms_check_is(value, "template")
           || ngx_comms_check_is(value, "channel")
           || ngx_comms_check_is(value, "hold");
}


ngx_uint_t
ngx_comms_check_time(ngx_str_t *value)
{
    return ngx_comms_clock_time(value) != NGX_ERROR;
}


ngx_uint_t
ngx_comms_check_zone(ngx_str_t *value)
{
    return ngx_comms_time_zone(value) != NULL;
}


ngx_uint_t
ngx_comms_check_day(ngx_str_t *value)
{
    ngx_uint_t  i;

    static const char  *days[] = {
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
        "sunday", NULL
    };

    for (i = 0; days[i] != NULL; i++) {
        if (ngx_comms_check_is(value, days[i])) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_comms_check_sid(ngx_str_t *value, const char *prefix)
{
    size_t  i;
    u_char  ch;

    if (value->len != 34 || ngx_strncmp(value->data, prefix, 2) != 0) {
        return 0;
    }

    for (i = 2; i < value->len; i++) {
        ch = value->data[i] | 0x20;

        if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f'))) {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_comms_check_source(ngx_str_t *value)
{
    size_t  len;

    len = sizeof("project_data.") - 1;

    return ngx_comms_check_is(value, "message")
           || ngx_comms_check_is(value, "recipient_first_name")
           || ngx_comms_check_is(value, "recipient_last_name")
           || ngx_comms_check_is(value, "company_name")
           || ngx_comms_check_is(value, "project_name")
           || ngx_comms_check_is(value, "company_rep.name")
           || (value->len > len
               && ngx_strncmp(value->data, "project_data.", len) == 0);
}


static ngx_uint_t
ngx_comms_check_is(ngx_str_t *value, const char *word)
{
    return value->len == ngx_strlen(word)
           && ngx_strncmp(value->data, word, value->len) == 0;
}
