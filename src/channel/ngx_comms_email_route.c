
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Whose mail it is: what the envelope (RFC 5321) of a mail says, and what
 * must hold before one leaves.
 *
 * The envelope is believed about the address of ours that the mail came in
 * through, never To or Cc: a mail can be addressed to anybody.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_address.h>
#include <channel/ngx_comms_email.h>


#define NGX_COMMS_EMAIL_MAX_TOKEN  64     /* of a plus address */


static ngx_uint_t ngx_comms_email_marker_char(u_char ch);


const char *
ngx_comms_email_unfit(ngx_comms_outbound_t *message)
{
    ngx_str_t  bare;

    if (message->channel != NGX_COMMS_EMAIL) {
        return "this provider carries email only";
    }

    bare = ngx_comms_address_bare(&message->company_address);

    if (!ngx_comms_address_is(&message->company_address, "mailto")
        || !ngx_comms_email_valid(&bare))
    {
        return "the company's address is no email address";
    }

    bare = ngx_comms_address_bare(&message->person_address);

    if (!ngx_comms_address_is(&message->person_address, "mailto")
        || !ngx_comms_email_valid(&bare))
    {
        return "the person's address is no email address";
    }

    if (message->reply_to.len
        && !ngx_comms_email_valid(&message->reply_to))
    {
        return "the Reply-To address is no email address";
    }

    if (!ngx_comms_utf8_valid(&message->content)
        || !ngx_comms_utf8_valid(&message->subject)
        || !ngx_comms_utf8_valid(&message->sender_name)
        || !ngx_comms_utf8_valid(&message->person_name))
    {
        return "the message is not valid UTF-8";
    }

    bare = ngx_comms_trim(message->content);

    if (bare.len == 0) {
        return "the message is empty";
    }

    return NULL;
}


ngx_uint_t
ngx_comms_email_url(ngx_str_t *url)
{
    size_t  i;

    if (url->len < sizeof("https://x") - 1
        || ngx_strncmp(url->data, "https://", sizeof("https://") - 1) != 0)
    {
        return 0;
    }

    for (i = 0; i < url->len; i++) {
        if (url->data[i] <= 0x20 || url->data[i] >= 0x7f
            || url->data[i] == '<' || url->data[i] == '>')
        {
            return 0;
        }
    }

    return 1;
}


const char *
ngx_comms_email_machine(ngx_str_t *sender)
{
    ngx_str_t    address;
    ngx_uint_t   i;

    static ngx_str_t  machines[] = {
        ngx_string("mailer-daemon"),
        ngx_string("postmaster"),
        ngx_null_string
    };

    address = ngx_comms_trim(*sender);

    if (address.len >= 2 && address.data[0] == '<') {
        address.data++;
        address.len -= 2;
    }

    if (address.len == 0) {
        return "null envelope sender";
    }

    for (i = 0; machines[i].len; i++) {

        if (address.len < machines[i].len
            || ngx_strncasecmp(address.data, machines[i].data,
                               machines[i].len)
               != 0)
        {
            continue;
        }

        if (address.len == machines[i].len
            || address.data[machines[i].len] == '@')
        {
            return "delivery report";
        }
    }

    return NULL;
}


ngx_int_t
ngx_comms_email_recipients(ngx_pool_t *pool, json_t *to, json_t *event)
{
    json_t     *value;
    size_t      i;
    ngx_int_t   rc;
    ngx_str_t   email, bare, plus, token, company, address;

    ngx_str_null(&company);
    ngx_str_null(&token);

    json_array_foreach(to, i, value) {

        email = ngx_comms_json_view(value);

        if (!ngx_comms_email_valid(&email)) {
            continue;
        }

        rc = ngx_comms_email_unplus(pool, &email, &bare, &plus);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (company.len == 0) {
            company = bare;
        }

        if (rc == NGX_OK && plus.len <= NGX_COMMS_EMAIL_MAX_TOKEN) {
            company = bare;
            token = plus;
            break;
        }
    }

    if (company.len == 0) {
        return NGX_DECLINED;
    }

    if (ngx_comms_address_email(pool, &company, &address) != NGX_OK
        || ngx_comms_json_set_str(event, "company_address", &address)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (token.len == 0) {
        return NGX_OK;
    }

    plus.len = token.len;
    plus.data = ngx_pnalloc(pool, token.len);
    if (plus.data == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(plus.data, token.data, token.len);

    return ngx_comms_json_set_str(event, "reply_token", &plus);
}


ngx_int_t
ngx_comms_email_marker(ngx_pool_t *pool, ngx_str_t *message_id,
    ngx_str_t *marker)
{
    u_char  *p, *s;
    size_t   i, len;

    /* "<th_" ULID "." ULID "@" */

    len = NGX_COMMS_THREAD_ID_LEN + 1 + NGX_COMMS_ULID_LEN;

    if (message_id->len < 1 + len + sizeof("@a>") - 1
        || ngx_strncasecmp(message_id->data, (u_char *) "<th_", 4) != 0)
    {
        return NGX_DECLINED;
    }

    s = message_id->data + 1;

    for (i = 3; i < len; i++) {

        if (i == NGX_COMMS_THREAD_ID_LEN) {
            if (s[i] != '.') {
                return NGX_DECLINED;
            }

        } else if (!ngx_comms_email_marker_char(s[i])) {
            return NGX_DECLINED;
        }
    }

    if (s[len] != '@') {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    marker->data = p;
    marker->len = len;

    ngx_memcpy(p, "th_", 3);

    for (i = 3; i < len; i++) {
        p[i] = ngx_toupper(s[i]);
    }

    return NGX_OK;
}


/* Crockford's base32 in any letter case, without I, L, O and U */

static ngx_uint_t
ngx_comms_email_marker_char(u_char ch)
{
    ch = ngx_toupper(ch);

    return (ch >= '0' && ch <= '9')
           || (ch >= 'A' && ch <= 'Z' && ch != 'I' && ch != 'L' && ch != 'O'
               && ch != 'U');
}


ngx_int_t
ngx_comms_email_identify(ngx_pool_t *pool, ngx_str_t *provider,
    ngx_str_t *body, json_t *event)
{
    u_char     *p;
    ngx_str_t   id, status, dedupe;

    ngx_str_null(&status);

    if (ngx_comms_json_str(event, "marker", &id) == NGX_OK) {

        /* one report says all about one mail, however many come */

        if (ngx_comms_json_str(event, "status", &status) != NGX_OK) {
            ngx_str_set(&status, "consent");
        }

    } else {

        if (ngx_comms_json_str(event, "email_message_id", &id) != NGX_OK
            && ngx_comms_sha256_hex(pool, body, &id) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ngx_comms_json_set_str(event, "provider_message_id", &id)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    p = ngx_pnalloc(pool, provider->len + id.len + status.len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    dedupe.data = p;
    p = ngx_sprintf(p, "%V:%V", provider, &id);

    if (status.len > 0) {
        p = ngx_sprintf(p, ":%V", &status);
    }

    dedupe.len = p - dedupe.data;

    return ngx_comms_json_set_str(event, "dedupe_id", &dedupe);
}
