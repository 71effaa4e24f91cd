
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <base/ngx_comms_json.h>
#include <bus/ngx_comms_sns_message.h>


/* RSA of 8192 bits gives 1024 bytes */
#define NGX_COMMS_SNS_MAX_SIGNATURE  1024

#define NGX_COMMS_SNS_MAX_URL        1024


typedef struct {
    const char   *name;
    ngx_uint_t    types;        /* that have it, 1 << type */
    ngx_uint_t    optional;
} ngx_comms_sns_member_t;


typedef enum {
    NGX_COMMS_SNS_NOTIFICATION = 0,
    NGX_COMMS_SNS_SUBSCRIBE,
    NGX_COMMS_SNS_UNSUBSCRIBE,
    NGX_COMMS_SNS_TYPES
} ngx_comms_sns_type_e;


static ngx_int_t ngx_comms_sns_type(json_t *message);
static u_char *ngx_comms_sns_host_end(ngx_str_t *url);
static ngx_uint_t ngx_comms_sns_domain(u_char *p, u_char *last);
static const EVP_MD *ngx_comms_sns_digest(json_t *message, ngx_uint_t sha1);
static ngx_int_t ngx_comms_sns_signature(json_t *message, u_char *buf,
    ngx_str_t *signature);
static X509 *ngx_comms_sns_certificate(ngx_str_t *pem);
static ngx_int_t ngx_comms_sns_check(X509 *cert, const EVP_MD *md,
    ngx_str_t *signature, ngx_str_t *text);


#define NGX_COMMS_SNS_ALL        ((1 << NGX_COMMS_SNS_TYPES) - 1)
#define NGX_COMMS_SNS_NOTIFIED   (1 << NGX_COMMS_SNS_NOTIFICATION)
#define NGX_COMMS_SNS_CONFIRMED  (NGX_COMMS_SNS_ALL & ~NGX_COMMS_SNS_NOTIFIED)


/* in the order in which they are signed */

static const ngx_comms_sns_member_t  ngx_comms_sns_members[] = {
    { "Message", NGX_COMMS_SNS_ALL, 0 },
    { "MessageId", NGX_COMMS_SNS_ALL, 0 },
    { "Subject", NGX_COMMS_SNS_NOTIFIED, 1 },
    { "SubscribeURL", NGX_COMMS_SNS_CONFIRMED, 0 },
    { "Timestamp", NGX_COMMS_SNS_ALL, 0 },
    { "Token", NGX_COMMS_SNS_CONFIRMED, 0 },
    { "TopicArn", NGX_COMMS_SNS_ALL, 0 },
    { "Type", NGX_COMMS_SNS_ALL, 0 },
    { NULL, 0, 0 }
};


static const char  *ngx_comms_sns_types[NGX_COMMS_SNS_TYPES] = {
    "Notification",
    "SubscriptionConfirmation",
    "UnsubscribeConfirmation"
};


ngx_uint_t
ngx_comms_sns_url_valid(ngx_str_t *url)
{
    return ngx_comms_sns_host_end(url) != NULL;
}


ngx_uint_t
ngx_comms_sns_certificate_url_valid(ngx_str_t *url)
{
    size_t   len;
    u_char  *path, *last;

    path = ngx_comms_sns_host_end(url);

    if (path == NULL) {
        return 0;
    }

    last = url->data + url->len;
    len = sizeof(".pem") - 1;

    return (size_t) (last - path) > len
           && ngx_strlchr(path, last, '?') == NULL
           && ngx_strncmp(last - len, ".pem", len) == 0;
}


/* where the path begins, or NULL */

static u_char *
ngx_comms_sns_host_end(ngx_str_t *url)
{
    size_t   scheme;
    u_char  *p, *host, *last;

    scheme = sizeof("https://") - 1;

    if (url->len > NGX_COMMS_SNS_MAX_URL
        || url->len <= scheme
        || ngx_strncmp(url->data, "https://", scheme) != 0)
    {
        return NULL;
    }

    last = url->data + url->len;
    host = url->data + scheme;

    for (p = host; p < last; p++) {
        if (*p <= ' ' || *p >= 0x7f || *p == '\\' || *p == '#') {
            return NULL;
        }
    }

    p = ngx_strlchr(host, last, '/');

    if (p == NULL || !ngx_comms_sns_domain(host, p)) {
        return NULL;
    }

    return p;
}


/* sns.<three or more letters, digits, "-">.amazonaws.com[.cn] */

static ngx_uint_t
ngx_comms_sns_domain(u_char *p, u_char *last)
{
    size_t      i, n, len;
    ngx_str_t  *domain;

    static ngx_str_t  domains[] = {
        ngx_string(".amazonaws.com"),
        ngx_string(".amazonaws.com.cn"),
        ngx_null_string
    };

    len = last - p;

    if (len < 4 || ngx_strncmp(p, "sns.", 4) != 0) {
        return 0;
    }

    for (domain = domains; domain->len; domain++) {

        if (len < 4 + 3 + domain->len
            || ngx_strncmp(last - domain->len, domain->data, domain->len)
               != 0)
        {
            continue;
        }

        n = len - domain->len;

        for (i = 4; i < n; i++) {
            if (!(p[i] >= 'a' && p[i] <= 'z') && !(p[i] >= 'A' && p[i] <= 'Z')
                && !(p[i] >= '0' && p[i] <= '9') && p[i] != '-')
            {
                break;
            }
        }

        if (i == n) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_comms_sns_type(json_t *message)
{
    ngx_int_t   i;
    ngx_str_t   type;

    type = ngx_comms_json_view(json_object_get(message, "Type"));

    for (i = 0; i < NGX_COMMS_SNS_TYPES; i++) {
        if (type.len == ngx_strlen(ngx_comms_sns_types[i])
            && ngx_strncmp(type.data, ngx_comms_sns_types[i], type.len) == 0)
        {
            return i;
        }
    }

    return NGX_ERROR;
}


ngx_int_t
ngx_comms_sns_canonical(ngx_pool_t *pool, json_t *message, ngx_str_t *text)
{
    size_t                         len;
    u_char                        *p;
    ngx_int_t                      type;
    ngx_str_t                      value;
    const ngx_comms_sns_member_t  *member;

    type = ngx_comms_sns_type(message);

    if (type == NGX_ERROR) {
        return NGX_DECLINED;
    }

    len = 0;

    for (member = ngx_comms_sns_members; member->name != NULL; member++) {

        if (!(member->types & (1 << type))) {
            continue;
        }

        switch (ngx_comms_json_str(message, member->name, &value)) {

        case NGX_OK:
            len += ngx_strlen(member->name) + value.len + 2;
            break;

        case NGX_DECLINED:
            if (member->optional) {
                break;
            }

            return NGX_DECLINED;

        default: /* NGX_ERROR */
            return NGX_DECLINED;
        }
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    for (member = ngx_comms_sns_members; member->name != NULL; member++) {

        if (!(member->types & (1 << type))
            || ngx_comms_json_str(message, member->name, &value) != NGX_OK)
        {
            continue;
        }

        p = ngx_sprintf(p, "%s\n%V\n", member->name, &value);
    }

    text->len = p - text->data;

    return NGX_OK;
}


ngx_int_t
ngx_comms_sns_verify(ngx_pool_t *pool, json_t *message, ngx_str_t *pem,
    ngx_uint_t sha1)
{
    X509          *cert;
    u_char         buf[NGX_COMMS_SNS_MAX_SIGNATURE + 4];
    ngx_int_t      rc;
    ngx_str_t      text, signature;
    const EVP_MD  *md;

    md = ngx_comms_sns_digest(message, sha1);

    if (md == NULL
        || ngx_comms_sns_signature(message, buf, &signature) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rc = ngx_comms_sns_canonical(pool, message, &text);
    if (rc != NGX_OK) {
        return rc;
    }

    cert = ngx_comms_sns_certificate(pem);
    if (cert == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_comms_sns_check(cert, md, &signature, &text);

    X509_free(cert);
    ERR_clear_error();

    return rc;
}


static const EVP_MD *
ngx_comms_sns_digest(json_t *message, ngx_uint_t sha1)
{
    ngx_str_t  version;

    version = ngx_comms_json_view(json_object_get(message,
                                                  "SignatureVersion"));

    if (version.len != 1) {
        return NULL;
    }

    switch (version.data[0]) {

    case '1':
        return sha1 ? EVP_sha1() : NULL;

    case '2':
        return EVP_sha256();

    default:
        return NULL;
    }
}


static ngx_int_t
ngx_comms_sns_signature(json_t *message, u_char *buf, ngx_str_t *signature)
{
    ngx_str_t  text;

    text = ngx_comms_json_view(json_object_get(message, "Signature"));

    if (text.len == 0
        || ngx_base64_decoded_length(text.len)
           > NGX_COMMS_SNS_MAX_SIGNATURE)
    {
        return NGX_DECLINED;
    }

    signature->data = buf;

    return ngx_decode_base64(signature, &text) == NGX_OK ? NGX_OK
                                                         : NGX_DECLINED;
}


/* NULL also when it is not valid now */

static X509 *
ngx_comms_sns_certificate(ngx_str_t *pem)
{
    BIO   *bio;
    X509  *cert;

    if (pem->len == 0 || pem->len > NGX_COMMS_SNS_MAX_CERTIFICATE) {
        return NULL;
    }

    bio = BIO_new_mem_buf(pem->data, (int) pem->len);
    if (bio == NULL) {
        return NULL;
    }

    cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);

    if (cert == NULL) {
        ERR_clear_error();
        return NULL;
    }

    if (X509_cmp_current_time(X509_get0_notBefore(cert)) >= 0
        || X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
    {
        X509_free(cert);
        return NULL;
    }

    return cert;
}


static ngx_int_t
ngx_comms_sns_check(X509 *cert, const EVP_MD *md, ngx_str_t *signature,
    ngx_str_t *text)
{
    EVP_PKEY    *key;
    ngx_int_t    rc;
    EVP_MD_CTX  *ctx;

    key = X509_get0_pubkey(cert);

    if (key == NULL || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
        return NGX_ERROR;
    }

    ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1) {
        rc = EVP_DigestVerify(ctx, signature->data, signature->len,
                              text->data, text->len)
             == 1 ? NGX_OK : NGX_DECLINED;
    }

    EVP_MD_CTX_free(ctx);

    return rc;
}
