
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Meta: the signature of webhooks, the handshake, the credentials, and what
 * fetches a medium.
 *
 * X-Hub-Signature-256 is "sha256=" and the lower-case hex of HMAC-SHA256 with
 * the app secret over the raw bytes of the body.  Meta writes what is not
 * ASCII as escapes, so a body that was parsed and written again differs.
 * Several app secrets are valid while one is being replaced.
 *
 * Neither URL nor time are signed; an event's dedupe_id is what makes a
 * replay harmless.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_credentials.h>
#include <channel/ngx_comms_event.h>
#include <channel/ngx_comms_meta.h>


#define NGX_COMMS_META_MAX_SECRETS    8
#define NGX_COMMS_META_MIN_SECRET     8
#define NGX_COMMS_META_MAX_TOKEN      1024
#define NGX_COMMS_META_MAX_ID         32
#define NGX_COMMS_META_MAX_ARGS       16
#define NGX_COMMS_META_MAX_CHALLENGE  128

#define NGX_COMMS_META_SCHEME         "sha256="


static ngx_uint_t ngx_comms_meta_version_valid(ngx_str_t *version);
static ngx_uint_t ngx_comms_meta_url_valid(ngx_str_t *url);


static const char  *ngx_comms_meta_members[] = {
    "provider",
    "access_token",
    "phone_number_id",
    "app_secrets",
    "verify_token",
    "api_version",
    "graph_url",
    NULL
};


ngx_int_t
ngx_comms_meta_verify(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials)
{
    u_char       mac[NGX_COMMS_SHA256_LEN];
    u_char       hex[sizeof(NGX_COMMS_META_SCHEME) - 1
                     + 2 * NGX_COMMS_SHA256_LEN];
    size_t       i;
    json_t      *secrets, *value;
    ngx_str_t   *signature, key, expected;
    ngx_uint_t   fits;

    signature = ngx_comms_webhook_header(wh, "X-Hub-Signature-256");
    if (signature == NULL) {
        return NGX_DECLINED;
    }

    expected.data = hex;
    expected.len = sizeof(hex);

    ngx_memcpy(hex, NGX_COMMS_META_SCHEME, sizeof(NGX_COMMS_META_SCHEME) - 1);

    secrets = json_object_get(credentials, "app_secrets");
    fits = 0;

    json_array_foreach(secrets, i, value) {
        key = ngx_comms_json_view(value);

        if (i == NGX_COMMS_META_MAX_SECRETS || key.len == 0) {
            break;
        }

        if (ngx_comms_hmac_sha256(&key, &wh->body, 1, mac) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_hex_dump(hex + sizeof(NGX_COMMS_META_SCHEME) - 1, mac,
                     NGX_COMMS_SHA256_LEN);

        fits |= ngx_comms_equal(signature, &expected);
    }

    return fits ? NGX_OK : NGX_DECLINED;
}


/* GET ?hub.mode=subscribe&hub.verify_token=...&hub.challenge=... */

ngx_int_t
ngx_comms_meta_handshake(ngx_pool_t *pool, ngx_str_t *args,
    json_t *credentials, ngx_str_t *answer)
{
    ngx_int_t     rc;
    ngx_str_t    *mode, *token, *challenge, subscribe, expected;
    ngx_array_t   fields;

    rc = ngx_comms_form_parse(pool, args, NGX_COMMS_META_MAX_ARGS, &fields);
    if (rc != NGX_OK) {
        return rc;
    }

    mode = ngx_comms_form_field(&fields, "hub.mode");
    token = ngx_comms_form_field(&fields, "hub.verify_token");
    challenge = ngx_comms_form_field(&fields, "hub.challenge");

    ngx_str_set(&subscribe, "subscribe");

    if (mode == NULL || token == NULL || challenge == NULL
        || !ngx_comms_equal(mode, &subscribe)
        || ngx_comms_json_str(credentials, "verify_token", &expected)
           != NGX_OK
        || expected.len == 0
        || !ngx_comms_equal(token, &expected))
    {
        return NGX_DECLINED;
    }

    /* it is sent back: nothing that a browser could take for more */

    if (!ngx_comms_event_token(challenge, "._-",
                               NGX_COMMS_META_MAX_CHALLENGE))
    {
        return NGX_DECLINED;
    }

    *answer = *challenge;

    return NGX_OK;
}


ngx_int_t
ngx_comms_meta_check(json_t *credentials, const char **field,
    const char **words)
{
    json_t     *value;
    ngx_str_t   text;

    *field = ngx_comms_credentials_unknown(credentials,
                                           ngx_comms_meta_members);
    if (*field != NULL) {
        *words = "is unknown; allowed are access_token, phone_number_id, "
                 "app_secrets, verify_token, api_version and graph_url";
        return NGX_DECLINED;
    }

    *field = "access_token";
    *words = "must be a string of 1 to 1024 visible characters";

    value = json_object_get(credentials, *field);

    if (!ngx_comms_credentials_visible(value, 1, NGX_COMMS_META_MAX_TOKEN)) {
        return NGX_DECLINED;
    }

    *field = "phone_number_id";
    *words = "must be 1 to 32 digits (the id of the number at Meta, and not "
             "the number)";

    if (ngx_comms_json_str(credentials, *field, &text) != NGX_OK
        || !ngx_comms_meta_id_valid(&text))
    {
        return NGX_DECLINED;
    }

    *field = "app_secrets";
    *words = "must be an array of 1 to 8 strings of 8 to 256 visible "
             "characters";

    value = json_object_get(credentials, *field);

    if (!ngx_comms_credentials_secrets(value, 1, NGX_COMMS_META_MAX_SECRETS,
                                       NGX_COMMS_META_MIN_SECRET))
    {
        return NGX_DECLINED;
    }

    *field = "verify_token";
    *words = "must be a string of 8 to 256 visible characters";

    value = json_object_get(credentials, *field);

    if (!ngx_comms_credentials_secret(value, NGX_COMMS_META_MIN_SECRET)) {
        return NGX_DECLINED;
    }

    *field = "api_version";
    *words = "must be a version like \"" NGX_COMMS_META_VERSION "\"";

    value = json_object_get(credentials, *field);
    text = ngx_comms_json_view(value);

    if (value != NULL && !ngx_comms_meta_version_valid(&text)) {
        return NGX_DECLINED;
    }

    *field = "graph_url";
    *words = "must be a URL of scheme, host and port, without a slash at its "
             "end";

    value = json_object_get(credentials, *field);
    text = ngx_comms_json_view(value);

    if (value != NULL && !ngx_comms_meta_url_valid(&text)) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* "v", one or two digits, ".", one or two digits */

static ngx_uint_t
ngx_comms_meta_version_valid(ngx_str_t *version)
{
    u_char     *dot, *last;
    ngx_int_t   major, minor;

    if (version->len < sizeof("v1.0") - 1
        || version->len > sizeof("v99.99") - 1
        || version->data[0] != 'v')
    {
        return 0;
    }

    last = version->data + version->len;
    dot = ngx_strlchr(version->data, last, '.');

    if (dot == NULL) {
        return 0;
    }

    major = ngx_atoi(version->data + 1, dot - version->data - 1);
    minor = ngx_atoi(dot + 1, last - dot - 1);

    return major >= 1 && major <= 99 && minor >= 0 && minor <= 99;
}


static ngx_uint_t
ngx_comms_meta_url_valid(ngx_str_t *url)
{
    ngx_str_t  host;

    if (url->len > sizeof("https://") - 1
        && ngx_strncmp(url->data, "https://", sizeof("https://") - 1) == 0)
    {
        host.data = url->data + sizeof("https://") - 1;

    } else if (url->len > sizeof("http://") - 1
               && ngx_strncmp(url->data, "http://", sizeof("http://") - 1)
                  == 0)
    {
        host.data = url->data + sizeof("http://") - 1;

    } else {
        return 0;
    }

    host.len = url->data + url->len - host.data;

    return ngx_comms_event_token(&host, ".-:[]", NGX_COMMS_EVENT_MAX_ID);
}


void
ngx_comms_meta_version(json_t *credentials, ngx_str_t *version)
{
    if (ngx_comms_json_str(credentials, "api_version", version) != NGX_OK
        || !ngx_comms_meta_version_valid(version))
    {
        ngx_str_set(version, NGX_COMMS_META_VERSION);
    }
}


ngx_uint_t
ngx_comms_meta_id_valid(ngx_str_t *id)
{
    size_t  i;

    if (id->len == 0 || id->len > NGX_COMMS_META_MAX_ID) {
        return 0;
    }

    for (i = 0; i < id->len; i++) {
        if (id->data[i] < '0' || id->data[i] > '9') {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
ngx_comms_meta_bearer(ngx_pool_t *pool, json_t *credentials,
    ngx_str_t *value)
{
    u_char     *p;
    ngx_str_t   token;

    if (ngx_comms_json_str(credentials, "access_token", &token) != NGX_OK
        || token.len == 0)
    {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(pool, sizeof("Bearer ") - 1 + token.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;
    value->len = ngx_sprintf(p, "Bearer %V", &token) - p;

    return NGX_OK;
}


/*
 * GET {version}/{media id}?phone_number_id=... answers with the URL that
 * holds the bytes for five minutes; both want the token.
 */

ngx_int_t
ngx_comms_meta_media(ngx_pool_t *pool, json_t *media, json_t *credentials,
    ngx_str_t *url, ngx_array_t *headers, ngx_uint_t *again)
{
    u_char        *p;
    size_t         len;
    ngx_int_t      rc;
    ngx_str_t      id, number, version, graph, bearer;
    ngx_keyval_t  *header;

    *again = 1;

    if (ngx_comms_json_str(media, "provider_media_id", &id) != NGX_OK
        || !ngx_comms_meta_id_valid(&id)
        || ngx_comms_json_str(credentials, "phone_number_id", &number)
           != NGX_OK
        || !ngx_comms_meta_id_valid(&number))
    {
        return NGX_DECLINED;
    }

    rc = ngx_comms_meta_bearer(pool, credentials, &bearer);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_comms_meta_version(credentials, &version);

    if (ngx_comms_json_str(credentials, "graph_url", &graph) != NGX_OK) {
        ngx_str_set(&graph, NGX_COMMS_META_GRAPH);
    }

    len = graph.len + version.len + id.len + number.len
          + sizeof("//?phone_number_id=") - 1;

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    url->data = p;
    url->len = ngx_sprintf(p, "%V/%V/%V?phone_number_id=%V", &graph,
                           &version, &id, &number)
               - p;

    header = ngx_array_push(headers);
    if (header == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&header->key, "Authorization");
    header->value = bearer;

    return NGX_OK;
}


ngx_int_t
ngx_comms_meta_media_url(ngx_pool_t *pool, ngx_str_t *answer, ngx_str_t *url)
{
    size_t                   i;
    json_t                  *document;
    ngx_int_t                rc;
    ngx_str_t                text;
    ngx_comms_json_error_t   err;

    document = ngx_comms_json_parse(answer, &err);

    if (!json_is_object(document)
        || ngx_comms_json_str(document, "url", &text) != NGX_OK
        || text.len == 0 || text.len > NGX_COMMS_EVENT_MAX_URL)
    {
        json_decref(document);
        return NGX_DECLINED;
    }

    for (i = 0; i < text.len; i++) {
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f) {
            json_decref(document);
            return NGX_DECLINED;
        }
    }

    url->len = text.len;
    url->data = ngx_pstrdup(pool, &text);

    rc = (url->data != NULL) ? NGX_OK : NGX_ERROR;

    json_decref(document);

    return rc;
}
