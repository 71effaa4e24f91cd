
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * X-Twilio-Signature, and the check of Twilio's credentials.
 *
 * A signature is base64 of HMAC-SHA1 with the account's auth token (never an
 * API key) over the URL that Twilio asked for, followed by the form's
 * parameters: sorted by name, name and value without separators, the values
 * of a repeated name sorted and each of them once.  A body that is no form is
 * not part of it; then the URL's query carries bodySHA256.
 *
 * Twilio signs the URL with or without the port, whatever was configured, so
 * that each URL of the webhook is tried in three forms: as it is, without the
 * port, with the standard port of its scheme.
 *
 * There is no timestamp in it and so no window against replay: an event's
 * dedupe_id is what makes a replay harmless.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_credentials.h>
#include <channel/ngx_comms_twilio.h>


#define NGX_COMMS_TWILIO_MAX_FIELDS  512
#define NGX_COMMS_TWILIO_MAX_URLS    8
#define NGX_COMMS_TWILIO_MAX_TOKENS  8


static ngx_int_t ngx_comms_twilio_signed_form(ngx_pool_t *pool,
    ngx_comms_webhook_t *wh, json_t *credentials, ngx_str_t *text);
static int ngx_libc_cdecl ngx_comms_twilio_cmp_fields(const void *one,
    const void *two);
static ngx_int_t ngx_comms_twilio_cmp_bytes(const ngx_str_t *one,
    const ngx_str_t *two);
static ngx_int_t ngx_comms_twilio_signed_body(ngx_pool_t *pool,
    ngx_comms_webhook_t *wh, ngx_str_t *url);
static ngx_int_t ngx_comms_twilio_url_forms(ngx_pool_t *pool, ngx_str_t *url,
    ngx_str_t forms[3]);
static ngx_int_t ngx_comms_twilio_url_join(ngx_pool_t *pool, u_char *start,
    u_char *authority, const char *port, u_char *path, u_char *last,
    ngx_str_t *url);
static ngx_uint_t ngx_comms_twilio_tokens(json_t *credentials,
    ngx_str_t tokens[NGX_COMMS_TWILIO_MAX_TOKENS]);
static ngx_int_t ngx_comms_twilio_match(ngx_pool_t *pool, ngx_str_t *token,
    ngx_str_t *url, ngx_str_t *text, ngx_str_t *signature);


static const char  *ngx_comms_twilio_members[] = {
    "provider",
    "account_sid",
    "auth_token",
    "previous_auth_tokens",
    "api_key_sid",
    "api_key_secret",
    NULL
};


ngx_int_t
ngx_comms_twilio_verify(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials)
{
    ngx_int_t    rc, form;
    ngx_str_t   *signature, *urls, forms[3], text;
    ngx_str_t    tokens[NGX_COMMS_TWILIO_MAX_TOKENS];
    ngx_uint_t   i, j, k, ntokens;

    signature = ngx_comms_webhook_header(wh, "X-Twilio-Signature");
    if (signature == NULL) {
        return NGX_DECLINED;
    }

    form = ngx_comms_twilio_signed_form(pool, wh, credentials, &text);
    if (form == NGX_ERROR || form == NGX_ABORT) {
        return (form == NGX_ERROR) ? NGX_ERROR : NGX_DECLINED;
    }

    ntokens = ngx_comms_twilio_tokens(credentials, tokens);
    urls = wh->urls.elts;

    for (i = 0; i < wh->urls.nelts && i < NGX_COMMS_TWILIO_MAX_URLS; i++) {

        if (form == NGX_DECLINED) {
            rc = ngx_comms_twilio_signed_body(pool, wh, &urls[i]);

            if (rc == NGX_DECLINED) {
                continue;
            }

            if (rc != NGX_OK) {
                return rc;
            }
        }

        if (ngx_comms_twilio_url_forms(pool, &urls[i], forms) != NGX_OK) {
            return NGX_ERROR;
        }

        for (j = 0; j < 3; j++) {
            for (k = 0; k < ntokens; k++) {

                rc = ngx_comms_twilio_match(pool, &tokens[k], &forms[j],
                                            &text, signature);
                if (rc != NGX_DECLINED) {
                    return rc;
                }
            }
        }
    }

    return NGX_DECLINED;
}


/*
 * NGX_OK with the part of the signed text that the form makes; NGX_DECLINED
 * when the body is no form; NGX_ABORT when the form is not one that these
 * credentials may have signed; NGX_ERROR when out of memory
 */

static ngx_int_t
ngx_comms_twilio_signed_form(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials, ngx_str_t *text)
{
    u_char        *p;
    size_t         len;
    ngx_int_t      rc;
    ngx_str_t      form, account, *named;
    ngx_uint_t     i;
    ngx_array_t    fields;
    ngx_keyval_t  *field;

    ngx_str_null(text);
    ngx_str_set(&form, "application/x-www-form-urlencoded");

    if (wh->content_type.len < form.len
        || ngx_strncasecmp(wh->content_type.data, form.data, form.len) != 0)
    {
        return NGX_DECLINED;
    }

    rc = ngx_comms_form_parse(pool, &wh->body, NGX_COMMS_TWILIO_MAX_FIELDS,
                              &fields);
    if (rc != NGX_OK) {
        return (rc == NGX_ERROR) ? NGX_ERROR : NGX_ABORT;
    }

    named = ngx_comms_form_field(&fields, "AccountSid");

    /* an absent one proves nothing, and the signature everything */

    if (named != NULL
        && (ngx_comms_json_str(credentials, "account_sid", &account)
            != NGX_OK
            || !ngx_comms_equal(named, &account)))
    {
        return NGX_ABORT;
    }

    field = fields.elts;

    ngx_qsort(field, fields.nelts, sizeof(ngx_keyval_t),
              ngx_comms_twilio_cmp_fields);

    len = 0;

    for (i = 0; i < fields.nelts; i++) {
        len += field[i].key.len + field[i].value.len;
    }

    p = ngx_pnalloc(pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    for (i = 0; i < fields.nelts; i++) {

        if (i > 0
            && ngx_comms_twilio_cmp_fields(&field[i - 1], &field[i]) == 0)
        {
            continue;
        }

        p = ngx_cpymem(p, field[i].key.data, field[i].key.len);
        p = ngx_cpymem(p, field[i].value.data, field[i].value.len);
    }

    text->len = p - text->data;

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_comms_twilio_cmp_fields(const void *one, const void *two)
{
    ngx_int_t            rc;
    const ngx_keyval_t  *first, *second;

    first = one;
    second = two;

    rc = ngx_comms_twilio_cmp_bytes(&first->key, &second->key);

    if (rc == 0) {
        rc = ngx_comms_twilio_cmp_bytes(&first->value, &second->value);
    }

    return (int) rc;
}


static ngx_int_t
ngx_comms_twilio_cmp_bytes(const ngx_str_t *one, const ngx_str_t *two)
{
    return ngx_memn2cmp(one->data, two->data, one->len, two->len);
}


/* does bodySHA256 in the URL's query belong to the body? */

static ngx_int_t
ngx_comms_twilio_signed_body(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    ngx_str_t *url)
{
    u_char     *p, *last, *end;
    ngx_str_t   said, hex;

    last = url->data + url->len;

    p = ngx_strlchr(url->data, last, '?');

    while (p != NULL) {
        p++;

        end = ngx_strlchr(p, last, '&');

        if ((size_t) (last - p) >= sizeof("bodySHA256=") - 1
            && ngx_strncmp(p, "bodySHA256=", sizeof("bodySHA256=") - 1) == 0)
        {
            said.data = p + sizeof("bodySHA256=") - 1;
            said.len = ((end != NULL) ? end : last) - said.data;

            if (ngx_comms_sha256_hex(pool, &wh->body, &hex) != NGX_OK) {
                return NGX_ERROR;
            }

            return ngx_comms_equal(&said, &hex) ? NGX_OK : NGX_DECLINED;
        }

        p = end;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_comms_twilio_url_forms(ngx_pool_t *pool, ngx_str_t *url,
    ngx_str_t forms[3])
{
    u_char      *p, *start, *last, *authority, *path, *port;
    const char  *standard;

    start = url->data;
    last = start + url->len;

    /* connection overrides are not signed */

    p = ngx_strlchr(start, last, '#');
    if (p != NULL) {
        last = p;
    }

    forms[0].data = start;
    forms[0].len = last - start;
    forms[1] = forms[0];
    forms[2] = forms[0];

    if (forms[0].len > sizeof("https://") - 1
        && ngx_strncasecmp(start, (u_char *) "https://", 8) == 0)
    {
        authority = start + sizeof("https://") - 1;
        standard = ":443";

    } else if (forms[0].len > sizeof("http://") - 1
               && ngx_strncasecmp(start, (u_char *) "http://", 7) == 0)
    {
        authority = start + sizeof("http://") - 1;
        standard = ":80";

    } else {
        return NGX_OK;
    }

    for (path = authority; path < last; path++) {
        if (*path == '/' || *path == '?') {
            break;
        }
    }

    /* in an IPv6 literal and in userinfo a colon makes no port */

    port = NULL;

    for (p = path; p > authority; p--) {

        if (p[-1] == ']' || p[-1] == '@') {
            break;
        }

        if (p[-1] == ':') {
            port = p - 1;
            break;
        }
    }

    if (port == NULL) {
        port = path;
    }

    if (ngx_comms_twilio_url_join(pool, start, port, "", path, last,
                                  &forms[1])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (port != path) {
        standard = "";
    }

    return ngx_comms_twilio_url_join(pool, start, path, standard, path, last,
                                     &forms[2]);
}


/* what is before "authority", the port, and what is from "path" on */

static ngx_int_t
ngx_comms_twilio_url_join(ngx_pool_t *pool, u_char *start, u_char *authority,
    const char *port, u_char *path, u_char *last, ngx_str_t *url)
{
    u_char  *p;
    size_t   len;

    len = ngx_strlen(port);

    p = ngx_pnalloc(pool, (authority - start) + len + (last - path));
    if (p == NULL) {
        return NGX_ERROR;
    }

    url->data = p;

    p = ngx_cpymem(p, start, authority - start);
    p = ngx_cpymem(p, port, len);
    p = ngx_cpymem(p, path, last - path);

    url->len = p - url->data;

    return NGX_OK;
}


/* the newest token first, then those that a rotation left valid */

static ngx_uint_t
ngx_comms_twilio_tokens(json_t *credentials,
    ngx_str_t tokens[NGX_COMMS_TWILIO_MAX_TOKENS])
{
    json_t      *previous, *value;
    size_t       i;
    ngx_uint_t   n;

    n = 0;

    if (ngx_comms_json_str(credentials, "auth_token", &tokens[0]) == NGX_OK
        && tokens[0].len > 0)
    {
        n++;
    }

    previous = json_object_get(credentials, "previous_auth_tokens");

    json_array_foreach(previous, i, value) {

        if (n == NGX_COMMS_TWILIO_MAX_TOKENS) {
            break;
        }

        tokens[n] = ngx_comms_json_view(value);

        if (tokens[n].len > 0) {
            n++;
        }
    }

    return n;
}


static ngx_int_t
ngx_comms_twilio_match(ngx_pool_t *pool, ngx_str_t *token, ngx_str_t *url,
    ngx_str_t *text, ngx_str_t *signature)
{
    u_char     mac[NGX_COMMS_SHA1_LEN];
    ngx_str_t  parts[2], bytes, expected;

    parts[0] = *url;
    parts[1] = *text;

    if (ngx_comms_hmac_sha1(token, parts, 2, mac) != NGX_OK) {
        return NGX_ERROR;
    }

    bytes.data = mac;
    bytes.len = NGX_COMMS_SHA1_LEN;

    if (ngx_comms_base64(pool, &bytes, &expected) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_equal(signature, &expected) ? NGX_OK : NGX_DECLINED;
}


ngx_uint_t
ngx_comms_twilio_sid_valid(ngx_str_t *sid, const char *kind)
{
    u_char  ch;
    size_t  i;

    if (sid->len != 34
        || sid->data[0] != (u_char) kind[0]
        || sid->data[1] != (u_char) kind[1])
    {
        return 0;
    }

    for (i = 2; i < sid->len; i++) {
        ch = ngx_tolower(sid->data[i]);

        if ((ch < '0' || ch > '9') && (ch < 'a' || ch > 'f')) {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
ngx_comms_twilio_check(json_t *credentials, const char **field,
    const char **words)
{
    json_t     *value, *secret;
    ngx_str_t   sid;

    *field = ngx_comms_credentials_unknown(credentials,
                                           ngx_comms_twilio_members);
    if (*field != NULL) {
        *words = "is unknown; allowed are account_sid, auth_token, "
                 "previous_auth_tokens, api_key_sid and api_key_secret";
        return NGX_DECLINED;
    }

    *field = "account_sid";
    *words = "must be \"AC\" and 32 hexadecimal digits";

    if (ngx_comms_json_str(credentials, *field, &sid) != NGX_OK
        || !ngx_comms_twilio_sid_valid(&sid, "AC"))
    {
        return NGX_DECLINED;
    }

    *field = "auth_token";
    *words = "must be a string of 1 to 256 visible characters";

    value = json_object_get(credentials, *field);

    if (!ngx_comms_credentials_secret(value, 1)) {
        return NGX_DECLINED;
    }

    *field = "previous_auth_tokens";
    *words = "must be an array of at most 7 strings of 1 to 256 visible "
             "characters";

    value = json_object_get(credentials, *field);

    if (value != NULL
        && !ngx_comms_credentials_secrets(value, 0,
                                          NGX_COMMS_TWILIO_MAX_TOKENS - 1, 1))
    {
        return NGX_DECLINED;
    }

    value = json_object_get(credentials, "api_key_sid");
    secret = json_object_get(credentials, "api_key_secret");

    if (value == NULL && secret == NULL) {
        return NGX_OK;
    }

    *field = "api_key_sid";
    *words = "must be \"SK\" and 32 hexadecimal digits, together with "
             "api_key_secret";

    sid = ngx_comms_json_view(value);

    if (!ngx_comms_twilio_sid_valid(&sid, "SK")) {
        return NGX_DECLINED;
    }

    *field = "api_key_secret";
    *words = "must be a string of 1 to 256 visible characters, together with "
             "api_key_sid";

    return ngx_comms_credentials_secret(secret, 1) ? NGX_OK : NGX_DECLINED;
}
