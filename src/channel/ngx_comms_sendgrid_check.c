
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * SendGrid's credentials in the secrets file.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_credentials.h>
#include <channel/ngx_comms_sendgrid.h>


#define NGX_COMMS_SENDGRID_MIN_TOKEN   16
#define NGX_COMMS_SENDGRID_MAX_TOKENS  8


static ngx_uint_t ngx_comms_sendgrid_keys_usable(json_t *value);
static ngx_uint_t ngx_comms_sendgrid_key_usable(json_t *value);


static const char  *ngx_comms_sendgrid_members[] = {
    "provider",
    "api_key",
    "inbound_tokens",
    "reply_keys",
    "inbound_public_key",
    "event_public_key",
    NULL
};


ngx_int_t
ngx_comms_sendgrid_check(json_t *credentials, const char **field,
    const char **words)
{
    json_t      *value;
    ngx_uint_t   i;

    static const char *const  keys[] = {
        "inbound_public_key", "event_public_key", NULL
    };

    *field = ngx_comms_credentials_unknown(credentials,
                                           ngx_comms_sendgrid_members);
    if (*field != NULL) {
        *words = "is unknown; allowed are api_key, inbound_tokens, "
                 "reply_keys, inbound_public_key and event_public_key";
        return NGX_DECLINED;
    }

    *field = "api_key";
    *words = "must be a string of 1 to 256 visible characters";

    value = json_object_get(credentials, *field);

    if (!ngx_comms_credentials_secret(value, 1)) {
        return NGX_DECLINED;
    }

    *field = "inbound_tokens";
    *words = "must be an array of 1 to 8 strings of 16 to 256 visible "
             "characters";

    value = json_object_get(credentials, *field);

    if (!ngx_comms_credentials_secrets(value, 1,
                                       NGX_COMMS_SENDGRID_MAX_TOKENS,
                                       NGX_COMMS_SENDGRID_MIN_TOKEN))
    {
        return NGX_DECLINED;
    }

    *field = "reply_keys";

    value = json_object_get(credentials, *field);

    if (!ngx_comms_credentials_secrets(value, 1,
                                       NGX_COMMS_SENDGRID_MAX_TOKENS,
                                       NGX_COMMS_SENDGRID_MIN_TOKEN))
    {
        return NGX_DECLINED;
    }

    *words = "must be base64 of a P-256 public key (SubjectPublicKeyInfo), "
             "as SendGrid shows it, or an array of 1 to 8 of them";

    for (i = 0; keys[i] != NULL; i++) {
        *field = keys[i];

        value = json_object_get(credentials, *field);

        if (value != NULL && !ngx_comms_sendgrid_keys_usable(value)) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* one, or an array of them */

static ngx_uint_t
ngx_comms_sendgrid_keys_usable(json_t *value)
{
    json_t  *key;
    size_t   i;

    if (!json_is_array(value)) {
        return ngx_comms_sendgrid_key_usable(value);
    }

    if (json_array_size(value) == 0
        || json_array_size(value) > NGX_COMMS_SENDGRID_MAX_TOKENS)
    {
        return 0;
    }

    json_array_foreach(value, i, key) {
        if (!ngx_comms_sendgrid_key_usable(key)) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_comms_sendgrid_key_usable(json_t *value)
{
    ngx_str_t  key, signature, text;

    if (!ngx_comms_credentials_secret(value, 1)) {
        return 0;
    }

    /* a signature of nothing is bad with any key, but not with no key */

    key = ngx_comms_json_view(value);
    ngx_str_set(&signature, "AA==");
    ngx_str_null(&text);

    return ngx_comms_ecdsa_verify(&key, &signature, &text, 1) == NGX_DECLINED;
}
