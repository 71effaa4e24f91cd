
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The files are lines: "[name]" (in the config file "[profile name]", but
 * "[default]"), "key = value", comments behind "#" or ";".  Indented lines
 * belong to settings of other services.  A section may come several times,
 * and the last value of a key counts.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_text.h>
#include <aws/ngx_comms_aws_profile.h>


static void ngx_comms_aws_profile_file(ngx_str_t *text, ngx_str_t *name,
    ngx_uint_t config, ngx_comms_aws_profile_t *profile);
static ngx_uint_t ngx_comms_aws_profile_section(ngx_str_t line,
    ngx_str_t *name, ngx_uint_t config);
static void ngx_comms_aws_profile_line(ngx_str_t line,
    ngx_comms_aws_profile_t *profile);
static ngx_str_t ngx_comms_aws_profile_value(u_char *p, u_char *last);


/* where the value of a key goes */
static struct {
    ngx_str_t   key;
    size_t      offset;
} ngx_comms_aws_profile_keys[] = {
    { ngx_string("aws_access_key_id"),
      offsetof(ngx_comms_aws_profile_t, keys.access_key) },
    { ngx_string("aws_secret_access_key"),
      offsetof(ngx_comms_aws_profile_t, keys.secret_key) },
    { ngx_string("aws_session_token"),
      offsetof(ngx_comms_aws_profile_t, keys.token) },
    { ngx_string("region"),
      offsetof(ngx_comms_aws_profile_t, region) },
    { ngx_string("role_arn"),
      offsetof(ngx_comms_aws_profile_t, role_arn) },
    { ngx_string("role_session_name"),
      offsetof(ngx_comms_aws_profile_t, role_session_name) },
    { ngx_string("web_identity_token_file"),
      offsetof(ngx_comms_aws_profile_t, token_file) },
    { ngx_null_string, 0 }
};


static ngx_str_t  ngx_comms_aws_profile_unsupported[] = {
    ngx_string("source_profile"),
    ngx_string("credential_source"),
    ngx_string("credential_process"),
    ngx_string("sso_session"),
    ngx_string("sso_start_url"),
    ngx_string("login_session"),
    ngx_null_string
};


void
ngx_comms_aws_profile_read(ngx_str_t *credentials, ngx_str_t *config,
    ngx_str_t *name, ngx_comms_aws_profile_t *profile)
{
    ngx_memzero(profile, sizeof(ngx_comms_aws_profile_t));

    ngx_comms_aws_profile_file(config, name, 1, profile);
    ngx_comms_aws_profile_file(credentials, name, 0, profile);
}


static void
ngx_comms_aws_profile_file(ngx_str_t *text, ngx_str_t *name,
    ngx_uint_t config, ngx_comms_aws_profile_t *profile)
{
    u_char      *p, *last, *end;
    ngx_str_t    line;
    ngx_uint_t   ours;

    ours = 0;
    end = text->data + text->len;

    for (p = text->data; p < end; p = last + 1) {
        last = ngx_strlchr(p, end, LF);
        if (last == NULL) {
            last = end;
        }

        if (*p == ' ' || *p == '\t' || *p == '#' || *p == ';') {
            continue;
        }

        line.data = p;
        line.len = last - p;
        line = ngx_comms_trim(line);

        if (line.len != 0 && line.data[0] == '[') {
            ours = ngx_comms_aws_profile_section(line, name, config);
            profile->found |= ours;

        } else if (ours) {
            ngx_comms_aws_profile_line(line, profile);
        }
    }
}


/* is it the section of the profile? */

static ngx_uint_t
ngx_comms_aws_profile_section(ngx_str_t line, ngx_str_t *name,
    ngx_uint_t config)
{
    u_char     *last;
    ngx_str_t   found;
    ngx_uint_t  prefixed;

    last = ngx_strlchr(line.data, line.data + line.len, ']');
    if (last == NULL) {
        return 0;
    }

    found.data = line.data + 1;
    found.len = last - found.data;
    found = ngx_comms_trim(found);
    prefixed = 0;

    if (config && found.len > sizeof("profile ") - 1
        && ngx_strncmp(found.data, "profile", 7) == 0
        && (found.data[7] == ' ' || found.data[7] == '\t'))
    {
        found.data += 7;
        found.len -= 7;
        found = ngx_comms_trim(found);
        prefixed = 1;
    }

    if (found.len != name->len
        || ngx_memcmp(found.data, name->data, name->len) != 0)
    {
        return 0;
    }

    return !config || prefixed
           || (name->len == 7 && ngx_memcmp(name->data, "default", 7) == 0);
}


static void
ngx_comms_aws_profile_line(ngx_str_t line, ngx_comms_aws_profile_t *profile)
{
    u_char     *p, *last;
    ngx_str_t   key, value;
    ngx_uint_t  i;

    last = line.data + line.len;

    p = ngx_strlchr(line.data, last, '=');
    if (p == NULL) {
        return;
    }

    key.data = line.data;
    key.len = p - line.data;
    key = ngx_comms_trim(key);
    value = ngx_comms_aws_profile_value(p + 1, last);

    for (i = 0; ngx_comms_aws_profile_keys[i].key.len; i++) {
        if (ngx_comms_same_word(&key, &ngx_comms_aws_profile_keys[i].key)) {
            *(ngx_str_t *) ((u_char *) profile
                            + ngx_comms_aws_profile_keys[i].offset) = value;
            return;
        }
    }

    for (i = 0; ngx_comms_aws_profile_unsupported[i].len; i++) {
        if (ngx_comms_same_word(&key, &ngx_comms_aws_profile_unsupported[i])) {
            profile->unsupported =
                         (char *) ngx_comms_aws_profile_unsupported[i].data;
            return;
        }
    }
}


static ngx_str_t
ngx_comms_aws_profile_value(u_char *p, u_char *last)
{
    u_char     *q;
    ngx_str_t   value;

    for (q = p + 1; q < last; q++) {
        if ((*q == '#' || *q == ';') && (q[-1] == ' ' || q[-1] == '\t')) {
            last = q;
            break;
        }
    }

    value.data = p;
    value.len = last - p;

    return ngx_comms_trim(value);
}
