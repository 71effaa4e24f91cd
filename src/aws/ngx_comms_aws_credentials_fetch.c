
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Where credentials are fetched: each source is a chain of steps, and the
 * answer to a step begins the next.
 *
 *   profile        read the two files
 *   web identity   read the token file -> STS, unsigned
 *   container      (read the token file) -> the endpoint
 *   metadata       PUT token -> GET role -> GET keys
 *
 * Without a region from elsewhere, the instance metadata is asked for it at
 * the end (with a PUT for a token, if there was none before).
 *
 * Invariants: the last thing that a step does is to start another one or to
 * end the fetch, after which nothing of it is there; what came from outside
 * is checked before it becomes a header, a path or a key.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <aws/ngx_comms_aws_credentials_private.h>
#include <aws/ngx_comms_aws_wire.h>


#define NGX_COMMS_AWS_METADATA_TIMEOUT   1000    /* ms */
#define NGX_COMMS_AWS_CONTAINER_TIMEOUT  2000
#define NGX_COMMS_AWS_STS_TIMEOUT        5000
#define NGX_COMMS_AWS_TRIES              3
#define NGX_COMMS_AWS_TRY_DELAY          1000
#define NGX_COMMS_AWS_MAX_KEY            256
#define NGX_COMMS_AWS_MAX_TOKEN          16384
#define NGX_COMMS_AWS_MAX_ROLE           128


static void ngx_comms_aws_fetch_profile(ngx_comms_aws_credentials_t *cr);
static void ngx_comms_aws_fetch_identity(ngx_comms_aws_credentials_t *cr);
static void ngx_comms_aws_fetch_sts(ngx_comms_aws_credentials_t *cr);
static void ngx_comms_aws_fetch_sts_done(void *data, ngx_comms_answer_t *an);
static void ngx_comms_aws_fetch_container(ngx_comms_aws_credentials_t *cr);
static void ngx_comms_aws_fetch_container_ask(ngx_comms_aws_credentials_t *cr);
static void ngx_comms_aws_fetch_container_done(void *data,
    ngx_comms_answer_t *an);
static void ngx_comms_aws_fetch_token(ngx_comms_aws_credentials_t *cr);
static void ngx_comms_aws_fetch_token_done(void *data,
    ngx_comms_answer_t *an);
static void ngx_comms_aws_fetch_role_done(void *data, ngx_comms_answer_t *an);
static void ngx_comms_aws_fetch_keys_done(void *data, ngx_comms_answer_t *an);
static void ngx_comms_aws_fetch_region(ngx_comms_aws_credentials_t *cr);
static void ngx_comms_aws_fetch_region_done(void *data,
    ngx_comms_answer_t *an);
static void ngx_comms_aws_fetch_metadata(ngx_comms_aws_credentials_t *cr,
    const char *path, ngx_str_t *name, ngx_comms_curl_transfer_pt handler);
static ngx_int_t ngx_comms_aws_fetch_file(ngx_comms_aws_credentials_t *cr);
static ngx_int_t ngx_comms_aws_fetch_json(ngx_comms_aws_credentials_t *cr,
    ngx_comms_answer_t *an);
static ngx_int_t ngx_comms_aws_fetch_keys(ngx_comms_aws_credentials_t *cr,
    json_t *keys, const char *token);
static ngx_int_t ngx_comms_aws_fetch_member(ngx_comms_aws_credentials_t *cr,
    json_t *object, const char *key, size_t max, ngx_str_t *value);
static ngx_int_t ngx_comms_aws_fetch_copy(ngx_pool_t *pool, ngx_str_t *from,
    ngx_str_t *to);
static void ngx_comms_aws_fetch_send(ngx_comms_aws_credentials_t *cr,
    ngx_comms_aws_endpoint_t *ep, ngx_comms_request_t *rq,
    ngx_msec_t timeout, ngx_uint_t direct,
    ngx_comms_curl_transfer_pt handler);
static ngx_uint_t ngx_comms_aws_fetch_again(ngx_comms_aws_credentials_t *cr,
    ngx_comms_answer_t *an, ngx_comms_aws_step_pt step);
static void ngx_comms_aws_fetch_try(ngx_event_t *ev);


void
ngx_comms_aws_fetch(ngx_comms_aws_credentials_t *cr)
{
    ngx_int_t   rc;
    ngx_str_t  *file;

    rc = NGX_OK;
    file = &cr->env->container_token_file;

    switch (cr->source) {

    case NGX_COMMS_AWS_FILES:
        rc = ngx_comms_aws_read(cr, &cr->env->credentials_file,
                                &cr->env->config_file,
                                ngx_comms_aws_fetch_profile);
        break;

    case NGX_COMMS_AWS_WEB_IDENTITY:
        rc = ngx_comms_aws_read(cr, &cr->env->token_file, NULL,
                                ngx_comms_aws_fetch_identity);
        break;

    case NGX_COMMS_AWS_CONTAINER:

        if (file->len == 0) {
            ngx_comms_aws_fetch_container(cr);
            break;
        }

        rc = ngx_comms_aws_read(cr, file, NULL, ngx_comms_aws_fetch_container);
        break;

    case NGX_COMMS_AWS_ENVIRONMENT:
        ngx_comms_aws_fetch_region(cr);
        break;

    default:
        ngx_comms_aws_fetch_token(cr);
        break;
    }

    if (rc != NGX_OK) {
        ngx_comms_aws_credentials_end(cr, "the thread pool is overloaded");
    }
}


static void
ngx_comms_aws_fetch_profile(ngx_comms_aws_credentials_t *cr)
{
    ngx_comms_aws_keys_t     *keys;
    ngx_comms_aws_profile_t   profile;

    ngx_comms_aws_profile_read(&cr->files->texts[0], &cr->files->texts[1],
                               &cr->profile_name, &profile);

    keys = &profile.keys;

    if (keys->access_key.len == 0 || keys->secret_key.len == 0) {

        if (cr->region.len == 0 && cr->keys.access_key.len != 0) {
            /* those of the start will do, it is the region that is missing */
            ngx_comms_aws_fetch_region(cr);
            return;
        }

        ngx_comms_aws_credentials_end(cr, "the profile has none, or its file "
                                      "cannot be read by the workers' user");
        return;
    }

    if (ngx_comms_aws_fetch_copy(cr->fetch, &keys->access_key,
                                 &cr->fetched.access_key) != NGX_OK
        || ngx_comms_aws_fetch_copy(cr->fetch, &keys->secret_key,
                                    &cr->fetched.secret_key) != NGX_OK
        || ngx_comms_aws_fetch_copy(cr->fetch, &keys->token,
                                    &cr->fetched.token) != NGX_OK)
    {
        ngx_comms_aws_credentials_end(cr, "out of memory");
        return;
    }

    ngx_comms_aws_fetch_region(cr);
}


static void
ngx_comms_aws_fetch_identity(ngx_comms_aws_credentials_t *cr)
{
    if (ngx_comms_aws_fetch_file(cr) != NGX_OK) {
        ngx_comms_aws_credentials_end(cr, "the web identity token file "
                                      "cannot be read, or is no token");
        return;
    }

    if (cr->region.len == 0 && cr->env->endpoint.len == 0
        && cr->env->endpoints[NGX_COMMS_AWS_STS].len == 0)
    {
        ngx_comms_aws_credentials_end(cr, "web identity needs a region: set "
                                      "AWS_REGION");
        return;
    }

    ngx_comms_aws_fetch_sts(cr);
}


static void
ngx_comms_aws_fetch_sts(ngx_comms_aws_credentials_t *cr)
{
    json_t                    *in;
    ngx_int_t                  rc;
    ngx_str_t                  session, url, method;
    ngx_comms_request_t        rq;
    ngx_comms_aws_endpoint_t   ep;
    ngx_comms_aws_protocol_t  *proto;

    proto = ngx_comms_aws_protocol(NGX_COMMS_AWS_STS);
    session = cr->env->role_session_name;
    url = cr->env->endpoints[NGX_COMMS_AWS_STS];

    if (session.len == 0) {
        ngx_str_set(&session, "ngx-comms");
    }

    ngx_str_set(&method, "POST");

    rc = url.len ? ngx_comms_aws_endpoint_parse(cr->fetch, &url, &ep)
                 : ngx_comms_aws_endpoint_regional(cr->fetch, &proto->name,
                                                   &cr->region, &ep);

    in = json_object();

    if (rc != NGX_OK || in == NULL
        || ngx_comms_json_set_str(in, "RoleArn", &cr->env->role_arn) != NGX_OK
        || ngx_comms_json_set_str(in, "RoleSessionName", &session) != NGX_OK
        || ngx_comms_json_set_str(in, "WebIdentityToken", &cr->token)
           != NGX_OK
        || ngx_comms_request_init(&rq, cr->fetch) != NGX_OK
        || ngx_comms_aws_wire_body(cr->fetch, proto,
                                   "AssumeRoleWithWebIdentity", in, &rq.body)
           != NGX_OK
        || ngx_comms_request_header(&rq, "Content-Type",
                                    &proto->content_type) != NGX_OK)
    {
        json_decref(in);
        ngx_comms_aws_credentials_end(cr, "the request to STS could not be "
                                      "made");
        return;
    }

    json_decref(in);

    rq.method = method;
    rq.path = ep.path;
    ngx_comms_aws_fetch_send(cr, &ep, &rq, NGX_COMMS_AWS_STS_TIMEOUT, 0,
                             ngx_comms_aws_fetch_sts_done);
}


static void
ngx_comms_aws_fetch_sts_done(void *data, ngx_comms_answer_t *an)
{
    ngx_comms_aws_credentials_t *cr = data;

    json_t                    *out;
    ngx_int_t                  rc;
    ngx_comms_aws_error_t      error;
    ngx_comms_aws_protocol_t  *proto;

    cr->transfer = NULL;
    proto = ngx_comms_aws_protocol(NGX_COMMS_AWS_STS);

    if (ngx_comms_aws_fetch_again(cr, an, ngx_comms_aws_fetch_sts)) {
        return;
    }

    if (an->outcome != NGX_COMMS_EXCHANGE_COMPLETE) {
        ngx_comms_aws_credentials_end(cr, "STS cannot be reached");
        return;
    }

    if (an->status != 200) {
        ngx_comms_aws_wire_error(cr->fetch, proto, an, &error);
        ngx_log_error(NGX_LOG_ERR, cr->log, 0,
                      "STS refused the web identity of role \"%V\": %V, "
                      "status %ui", &cr->env->role_arn, &error.code,
                      an->status);
        ngx_comms_aws_credentials_end(cr, "STS refused");
        return;
    }

    rc = NGX_ERROR;

    if (ngx_comms_aws_wire_answer(cr->fetch, proto, an, &out) == NGX_OK) {
        rc = ngx_comms_aws_fetch_keys(cr, out, "SessionToken");
        json_decref(out);
    }

    if (rc != NGX_OK) {
        ngx_comms_aws_credentials_end(cr, "STS gave no credentials");
        return;
    }

    ngx_comms_aws_fetch_region(cr);
}


static void
ngx_comms_aws_fetch_container(ngx_comms_aws_credentials_t *cr)
{
    if (cr->env->container_token_file.len == 0) {
        cr->token = cr->env->container_token;

    } else if (ngx_comms_aws_fetch_file(cr) != NGX_OK) {
        ngx_comms_aws_credentials_end(cr, "the authorization token file "
                                      "cannot be read, or is no token");
        return;
    }

    ngx_comms_aws_fetch_container_ask(cr);
}


static void
ngx_comms_aws_fetch_container_ask(ngx_comms_aws_credentials_t *cr)
{
    ngx_comms_request_t  rq;

    if (ngx_comms_request_init(&rq, cr->fetch) != NGX_OK
        || (cr->token.len
            && ngx_comms_request_header(&rq, "Authorization", &cr->token)
               != NGX_OK))
    {
        ngx_comms_aws_credentials_end(cr, "the authorization token is none");
        return;
    }

    ngx_str_set(&rq.method, "GET");
    rq.path = cr->endpoint.path;
    rq.args = cr->endpoint.args;

    ngx_comms_aws_fetch_send(cr, &cr->endpoint, &rq,
                             NGX_COMMS_AWS_CONTAINER_TIMEOUT, 1,
                             ngx_comms_aws_fetch_container_done);
}


static void
ngx_comms_aws_fetch_container_done(void *data, ngx_comms_answer_t *an)
{
    ngx_comms_aws_credentials_t *cr = data;

    cr->transfer = NULL;

    if (ngx_comms_aws_fetch_again(cr, an, ngx_comms_aws_fetch_container_ask)) {
        return;
    }

    if (ngx_comms_aws_fetch_json(cr, an) != NGX_OK) {
        ngx_comms_aws_credentials_end(cr, "the container's endpoint gave "
                                      "none");
        return;
    }

    ngx_comms_aws_fetch_region(cr);
}


/* the token that all other requests for metadata bring along */

static void
ngx_comms_aws_fetch_token(ngx_comms_aws_credentials_t *cr)
{
    ngx_str_t            ttl;
    ngx_comms_request_t  rq;

    ngx_str_set(&ttl, "21600");

    if (ngx_comms_request_init(&rq, cr->fetch) != NGX_OK
        || ngx_comms_request_header(&rq,
                                    "x-aws-ec2-metadata-token-ttl-seconds",
                                    &ttl) != NGX_OK)
    {
        ngx_comms_aws_credentials_end(cr, "out of memory");
        return;
    }

    ngx_str_set(&rq.method, "PUT");
    ngx_str_set(&rq.path, "latest/api/token");

    ngx_comms_aws_fetch_send(cr, &cr->metadata, &rq,
                             NGX_COMMS_AWS_METADATA_TIMEOUT, 1,
                             ngx_comms_aws_fetch_token_done);
}


static void
ngx_comms_aws_fetch_token_done(void *data, ngx_comms_answer_t *an)
{
    ngx_comms_aws_credentials_t *cr = data;

    ngx_str_t  text, none;

    cr->transfer = NULL;
    text = ngx_comms_trim(an->body);

    if (an->outcome == NGX_COMMS_EXCHANGE_UNSENT) {
        ngx_comms_aws_credentials_end(cr, "there is no instance metadata");
        return;
    }

    if (an->status == 200 && text.len && text.len <= NGX_COMMS_AWS_MAX_TOKEN) {
        if (ngx_comms_aws_fetch_copy(cr->fetch, &text, &cr->token) != NGX_OK) {
            ngx_comms_aws_credentials_end(cr, "out of memory");
            return;
        }

    } else if (cr->env->metadata_v1_disabled
               || (an->outcome == NGX_COMMS_EXCHANGE_COMPLETE
                   && an->status != 403 && an->status != 404
                   && an->status != 405))
    {
        ngx_comms_aws_credentials_end(cr, "the instance metadata gave no "
                                      "token (in a container, its hop limit "
                                      "must be 2)");
        return;
    }

    /* without a token it is version 1 of the metadata service */

    if (cr->source != NGX_COMMS_AWS_METADATA || cr->fetched.access_key.len) {
        ngx_comms_aws_fetch_region(cr);
        return;
    }

    ngx_str_null(&none);
    ngx_comms_aws_fetch_metadata(cr,
                                 "latest/meta-data/iam/security-credentials/",
                                 &none, ngx_comms_aws_fetch_role_done);
}


static void
ngx_comms_aws_fetch_role_done(void *data, ngx_comms_answer_t *an)
{
    ngx_comms_aws_credentials_t *cr = data;

    size_t     i;
    u_char     ch;
    ngx_str_t  text;

    cr->transfer = NULL;
    text = ngx_comms_trim(an->body);

    if (an->status != 200 || text.len == 0
        || text.len > NGX_COMMS_AWS_MAX_ROLE)
    {
        ngx_comms_aws_credentials_end(cr, "the instance has no role");
        return;
    }

    for (i = 0; i < text.len; i++) {
        ch = text.data[i];

        if ((ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z')
            && (ch < '0' || ch > '9')
            && (ch == '\0' || ngx_strchr("+=,.@_-", ch) == NULL))
        {
            ngx_comms_aws_credentials_end(cr, "the instance's role has an "
                                          "invalid name");
            return;
        }
    }

    if (ngx_comms_aws_fetch_copy(cr->fetch, &text, &cr->role) != NGX_OK) {
        ngx_comms_aws_credentials_end(cr, "out of memory");
        return;
    }

    ngx_comms_aws_fetch_metadata(cr,
                                 "latest/meta-data/iam/security-credentials/",
                                 &cr->role, ngx_comms_aws_fetch_keys_done);
}


static void
ngx_comms_aws_fetch_keys_done(void *data, ngx_comms_answer_t *an)
{
    ngx_comms_aws_credentials_t *cr = data;

    cr->transfer = NULL;

    if (ngx_comms_aws_fetch_json(cr, an) != NGX_OK) {
        ngx_comms_aws_credentials_end(cr, "the instance metadata gave none");
        return;
    }

    cr->fetched_expires = ngx_comms_aws_extended(cr->fetched_expires,
                                                 ngx_time() + *cr->skew,
                                                 (ngx_uint_t) ngx_random());

    ngx_comms_aws_fetch_region(cr);
}


/* the last step of every source; only some need it */

static void
ngx_comms_aws_fetch_region(ngx_comms_aws_credentials_t *cr)
{
    ngx_str_t  none;

    if (cr->region.len != 0) {
        ngx_comms_aws_credentials_end(cr, NULL);
        return;
    }

    if (cr->env->metadata_disabled) {
        ngx_comms_aws_credentials_end(cr, "there is no region: set "
                                      "AWS_REGION");
        return;
    }

    if (cr->source != NGX_COMMS_AWS_METADATA && cr->tries == 0) {
        /* once, and with it comes back here */
        cr->tries = 1;
        ngx_str_null(&cr->token);
        ngx_comms_aws_fetch_token(cr);
        return;
    }

    ngx_str_null(&none);
    ngx_comms_aws_fetch_metadata(cr, "latest/meta-data/placement/region",
                                 &none, ngx_comms_aws_fetch_region_done);
}


static void
ngx_comms_aws_fetch_region_done(void *data, ngx_comms_answer_t *an)
{
    ngx_comms_aws_credentials_t *cr = data;

    ngx_str_t  text;

    cr->transfer = NULL;
    text = ngx_comms_trim(an->body);

    if (an->status != 200 || !ngx_comms_aws_region_valid(&text)) {
        ngx_comms_aws_credentials_end(cr, "the instance metadata gave no "
                                      "region");
        return;
    }

    if (cr->regions == NULL) {
        cr->regions = ngx_create_pool(512, cr->log);
    }

    if (cr->regions == NULL
        || ngx_comms_aws_fetch_copy(cr->regions, &text, &cr->region)
           != NGX_OK)
    {
        ngx_comms_aws_credentials_end(cr, "out of memory");
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, cr->log, 0,
                  "AWS region is %V, from the instance metadata",
                  &cr->region);

    ngx_comms_aws_credentials_end(cr, NULL);
}


static void
ngx_comms_aws_fetch_metadata(ngx_comms_aws_credentials_t *cr,
    const char *path, ngx_str_t *name, ngx_comms_curl_transfer_pt handler)
{
    u_char               *p;
    ngx_comms_request_t   rq;

    p = ngx_pnalloc(cr->fetch, ngx_strlen(path) + name->len);

    if (p == NULL || ngx_comms_request_init(&rq, cr->fetch) != NGX_OK
        || (cr->token.len
            && ngx_comms_request_header(&rq, "x-aws-ec2-metadata-token",
                                        &cr->token) != NGX_OK))
    {
        ngx_comms_aws_credentials_end(cr, "the instance metadata's token is "
                                      "none");
        return;
    }

    rq.path.data = p;
    rq.path.len = ngx_sprintf(p, "%s%V", path, name) - p;
    ngx_str_set(&rq.method, "GET");

    ngx_comms_aws_fetch_send(cr, &cr->metadata, &rq,
                             NGX_COMMS_AWS_METADATA_TIMEOUT, 1, handler);
}


/* the token that the thread has read; it will stand in a header or a form */

static ngx_int_t
ngx_comms_aws_fetch_file(ngx_comms_aws_credentials_t *cr)
{
    size_t     i;
    ngx_str_t  text;

    text = ngx_comms_trim(cr->files->texts[0]);

    if (text.len == 0 || text.len > NGX_COMMS_AWS_MAX_TOKEN) {
        return NGX_ERROR;
    }

    for (i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] > 0x7e) {
            return NGX_ERROR;
        }
    }

    return ngx_comms_aws_fetch_copy(cr->fetch, &text, &cr->token);
}


static ngx_int_t
ngx_comms_aws_fetch_json(ngx_comms_aws_credentials_t *cr,
    ngx_comms_answer_t *an)
{
    json_t                  *body;
    ngx_int_t                rc;
    ngx_comms_json_error_t   err;

    if (an->outcome != NGX_COMMS_EXCHANGE_COMPLETE || an->status != 200) {
        return NGX_ERROR;
    }

    body = ngx_comms_json_parse(&an->body, &err);

    /* with status 200 there may be an error in it, and no keys */

    rc = ngx_comms_aws_fetch_keys(cr, body, "Token");

    json_decref(body);

    return rc;
}


static ngx_int_t
ngx_comms_aws_fetch_keys(ngx_comms_aws_credentials_t *cr, json_t *keys,
    const char *token)
{
    int64_t                ms;
    ngx_str_t              expiration;
    ngx_comms_aws_keys_t  *fetched;

    fetched = &cr->fetched;

    if (!json_is_object(keys)
        || ngx_comms_aws_fetch_member(cr, keys, "AccessKeyId",
                                      NGX_COMMS_AWS_MAX_KEY,
                                      &fetched->access_key) != NGX_OK
        || ngx_comms_aws_fetch_member(cr, keys, "SecretAccessKey",
                                      NGX_COMMS_AWS_MAX_KEY,
                                      &fetched->secret_key) != NGX_OK
        || ngx_comms_aws_fetch_member(cr, keys, token,
                                      NGX_COMMS_AWS_MAX_TOKEN,
                                      &fetched->token) == NGX_ERROR
        || fetched->access_key.len == 0 || fetched->secret_key.len == 0)
    {
        ngx_memzero(fetched, sizeof(ngx_comms_aws_keys_t));
        return NGX_ERROR;
    }

    cr->fetched_expires = 0;

    if (ngx_comms_json_str(keys, "Expiration", &expiration) == NGX_DECLINED) {
        return NGX_OK;
    }

    if (ngx_comms_iso8601_parse(&expiration, &ms) != NGX_OK) {
        ngx_memzero(fetched, sizeof(ngx_comms_aws_keys_t));
        return NGX_ERROR;
    }

    cr->fetched_expires = (time_t) (ms / 1000);

    return NGX_OK;
}


/* NGX_DECLINED: absent */

static ngx_int_t
ngx_comms_aws_fetch_member(ngx_comms_aws_credentials_t *cr, json_t *object,
    const char *key, size_t max, ngx_str_t *value)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    rc = ngx_comms_json_str(object, key, &text);
    if (rc != NGX_OK) {
        return rc;
    }

    if (text.len > max) {
        return NGX_ERROR;
    }

    return ngx_comms_aws_fetch_copy(cr->fetch, &text, value);
}


static ngx_int_t
ngx_comms_aws_fetch_copy(ngx_pool_t *pool, ngx_str_t *from, ngx_str_t *to)
{
    u_char  *p;

    p = ngx_pnalloc(pool, from->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(p, "%V%Z", from);

    to->data = p;
    to->len = from->len;

    return NGX_OK;
}


static void
ngx_comms_aws_fetch_send(ngx_comms_aws_credentials_t *cr,
    ngx_comms_aws_endpoint_t *ep, ngx_comms_request_t *rq,
    ngx_msec_t timeout, ngx_uint_t direct, ngx_comms_curl_transfer_pt handler)
{
    cr->transfer = ngx_comms_curl_transfer(cr->loop, &ep->base, rq, timeout,
                                           direct, handler, cr);

    if (cr->transfer == NULL) {
        ngx_comms_aws_credentials_end(cr, "the request could not be made");
    }
}


/* 1: it will be, after a second */

static ngx_uint_t
ngx_comms_aws_fetch_again(ngx_comms_aws_credentials_t *cr,
    ngx_comms_answer_t *an, ngx_comms_aws_step_pt step)
{
    if (an->outcome == NGX_COMMS_EXCHANGE_COMPLETE && an->status < 500
        && an->status != 429
        && !(an->status == 400
             && ngx_strlcasestrn(an->body.data,
                                 an->body.data + an->body.len,
                                 (u_char *) "IDPCommunicationError",
                                 sizeof("IDPCommunicationError") - 2)
                != NULL))
    {
        cr->tries = 0;
        return 0;
    }

    if (++cr->tries >= NGX_COMMS_AWS_TRIES) {
        cr->tries = 0;
        return 0;
    }

    cr->step = step;
    cr->event.handler = ngx_comms_aws_fetch_try;
    ngx_add_timer(&cr->event, NGX_COMMS_AWS_TRY_DELAY);

    return 1;
}


static void
ngx_comms_aws_fetch_try(ngx_event_t *ev)
{
    ngx_comms_aws_credentials_t  *cr;

    cr = ev->data;

    cr->step(cr);
}
