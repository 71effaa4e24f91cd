
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The rows of a turn that bring in what people sent besides words: one medium
 * after the other is fetched from the provider with the credentials that
 * verified its webhook, put into the media store, and noted in its message.
 *
 *   next -> credentials -> fetch [-> fetch what the answer names] -> put
 *
 * A turn never fails for a medium: what cannot be had is "refused", with the
 * reason, and the conversation goes on.  A medium's id is made from the
 * message's, so that a turn that runs again keeps the same file.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_channel.h>
#include <curl/ngx_comms_fetch.h>
#include <flow/ngx_comms_media_fetch.h>
#include <flow/ngx_comms_thread.h>


#define NGX_COMMS_MEDIA_FETCH_MAX      10      /* of one message */
#define NGX_COMMS_MEDIA_FETCH_TRIES    3
#define NGX_COMMS_MEDIA_FETCH_TIMEOUT  20000   /* ms */
#define NGX_COMMS_MEDIA_FETCH_MARGIN   5000
#define NGX_COMMS_MEDIA_FETCH_AGAIN    500     /* ms, and more each time */


typedef enum {
    NGX_COMMS_MEDIA_NEXT = 0,
    NGX_COMMS_MEDIA_CREDENTIALS,
    NGX_COMMS_MEDIA_ADDRESS,
    NGX_COMMS_MEDIA_FETCHING,
    NGX_COMMS_MEDIA_PUTTING,
    NGX_COMMS_MEDIA_PAUSING
} ngx_comms_media_stage_e;


struct ngx_comms_media_fetch_s {
    ngx_comms_media_stage_e   stage;
    json_t                   *event;         /* borrowed from the turn's */
    json_t                   *medium;
    ngx_uint_t                n;             /* of the message, from 0 */
    ngx_uint_t                tries;

    json_t                   *credentials;   /* borrowed from the secrets */
    ngx_comms_provider_t     *provider;

    ngx_str_t                 url;
    ngx_array_t               headers;
    ngx_uint_t                again;         /* the answer names the URL */

    ngx_comms_answer_t        answer;
    ngx_str_t                 media_id;
    ngx_str_t                 content_type;
};


/* a fetch outlives the flow's patience, never its memory */
typedef struct {
    ngx_comms_flow_t         *flow;
    ngx_comms_media_fetch_t  *fetch;
    ngx_uint_t                seq;
} ngx_comms_media_call_t;


static ngx_uint_t ngx_comms_media_fetch_next(ngx_comms_thread_t *t,
    ngx_comms_media_fetch_t *m);
static ngx_int_t ngx_comms_media_fetch_credentials(ngx_comms_flow_t *f,
    ngx_comms_media_fetch_t *m);
static ngx_int_t ngx_comms_media_fetch_address(ngx_comms_flow_t *f,
    ngx_comms_media_fetch_t *m);
static ngx_int_t ngx_comms_media_fetch_get(ngx_comms_flow_t *f,
    ngx_comms_media_fetch_t *m);
static void ngx_comms_media_fetch_came(void *data, ngx_comms_answer_t *an);
static ngx_int_t ngx_comms_media_fetch_read(ngx_comms_flow_t *f,
    ngx_comms_media_fetch_t *m);
static ngx_int_t ngx_comms_media_fetch_put(ngx_comms_flow_t *f,
    ngx_comms_media_fetch_t *m);
static ngx_int_t ngx_comms_media_fetch_kept(ngx_comms_flow_t *f,
    ngx_comms_media_fetch_t *m);
static ngx_int_t ngx_comms_media_fetch_retry(ngx_comms_flow_t *f,
    ngx_comms_media_fetch_t *m, const char *reason);
static ngx_int_t ngx_comms_media_fetch_refuse(ngx_comms_flow_t *f,
    ngx_comms_media_fetch_t *m, const char *reason);
static ngx_int_t ngx_comms_media_fetch_note(ngx_comms_media_fetch_t *m,
    json_t *note);
static ngx_int_t ngx_comms_media_fetch_id(ngx_comms_flow_t *f,
    ngx_comms_media_fetch_t *m);


ngx_int_t
ngx_comms_media_fetch(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t       *t;
    ngx_comms_media_fetch_t  *m;

    t = f->ctx;

    if (t->media == NULL) {
        t->media = ngx_pcalloc(f->pool, sizeof(ngx_comms_media_fetch_t));
        if (t->media == NULL) {
            return NGX_ERROR;
        }
    }

    m = t->media;

    switch (m->stage) {

    case NGX_COMMS_MEDIA_NEXT:

        if (!ngx_comms_media_fetch_next(t, m)) {
            return NGX_OK;
        }

        if (f->engine->media == NULL) {
            return ngx_comms_media_fetch_refuse(f, m, "not_kept");
        }

        if (m->n >= NGX_COMMS_MEDIA_FETCH_MAX) {
            return ngx_comms_media_fetch_refuse(f, m, "too_many");
        }

        m->tries = 0;
        m->stage = NGX_COMMS_MEDIA_CREDENTIALS;

        /* fall through */

    case NGX_COMMS_MEDIA_CREDENTIALS:
        return ngx_comms_media_fetch_credentials(f, m);

    case NGX_COMMS_MEDIA_ADDRESS:
        return ngx_comms_media_fetch_address(f, m);

    case NGX_COMMS_MEDIA_FETCHING:
        return ngx_comms_media_fetch_get(f, m);

    case NGX_COMMS_MEDIA_PAUSING:
        return ngx_comms_flow_pause(f, m->tries * NGX_COMMS_MEDIA_FETCH_AGAIN);

    default: /* NGX_COMMS_MEDIA_PUTTING */
        return ngx_comms_media_fetch_put(f, m);
    }
}


ngx_int_t
ngx_comms_media_fetch_done(ngx_comms_flow_t *f)
{
    ngx_comms_thread_t       *t;
    ngx_comms_media_fetch_t  *m;

    t = f->ctx;
    m = t->media;

    switch (m->stage) {

    case NGX_COMMS_MEDIA_CREDENTIALS:
        if (f->op_rc == NGX_COMMS_LATE) {
            return ngx_comms_media_fetch_retry(f, m, "credentials");
        }

        return NGX_BUSY;

    case NGX_COMMS_MEDIA_FETCHING:
        if (f->op_rc == NGX_COMMS_LATE) {
            return ngx_comms_media_fetch_retry(f, m, "timeout");
        }

        return ngx_comms_media_fetch_read(f, m);

    case NGX_COMMS_MEDIA_PUTTING:
        return ngx_comms_media_fetch_kept(f, m);

    default: /* NGX_COMMS_MEDIA_PAUSING */
        m->stage = NGX_COMMS_MEDIA_CREDENTIALS;
        return NGX_BUSY;
    }
}


/* the first medium of the turn without a note; 0: there is none */

static ngx_uint_t
ngx_comms_media_fetch_next(ngx_comms_thread_t *t, ngx_comms_media_fetch_t *m)
{
    size_t   i;
    json_t  *event, *media;

    json_array_foreach(t->inbound, i, event) {
        media = json_object_get(event, "media");

        m->n = json_array_size(json_object_get(event, "kept"));

        if (m->n < json_array_size(media)) {
            m->event = event;
            m->medium = json_array_get(media, m->n);
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_comms_media_fetch_credentials(ngx_comms_flow_t *f,
    ngx_comms_media_fetch_t *m)
{
    ngx_int_t             rc;
    ngx_str_t             id, protocol;
    ngx_comms_op_t       *op;
    ngx_comms_secrets_t  *secrets;

    secrets = f->engine->secrets;

    if (ngx_comms_json_str(m->event, "credentials_id", &id) != NGX_OK) {
        return ngx_comms_media_fetch_refuse(f, m, "credentials");
    }

    op = ngx_comms_flow_op(f, f->engine->op_timeout);
    if (op == NULL) {
        return NGX_ERROR;
    }

    rc = secrets->get(secrets, &id, &m->credentials, op);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    ngx_comms_flow_unused(f, op);

    if (rc != NGX_OK
        || ngx_comms_json_str(m->credentials, "provider", &protocol) != NGX_OK)
    {
        return ngx_comms_media_fetch_refuse(f, m, "credentials");
    }

    m->provider = ngx_comms_provider_by_name(&protocol);

    if (m->provider == NULL || m->provider->media == NULL) {
        return ngx_comms_media_fetch_refuse(f, m, "not_kept");
    }

    m->stage = NGX_COMMS_MEDIA_ADDRESS;

    return NGX_BUSY;
}


static ngx_int_t
ngx_comms_media_fetch_address(ngx_comms_flow_t *f, ngx_comms_media_fetch_t *m)
{
    ngx_int_t  rc;

    if (ngx_array_init(&m->headers, f->pool, 2, sizeof(ngx_keyval_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = m->provider->media(f->pool, m->medium, m->credentials, &m->url,
                            &m->headers, &m->again);

    if (rc == NGX_DECLINED) {
        return ngx_comms_media_fetch_refuse(f, m, "no_address");
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    m->stage = NGX_COMMS_MEDIA_FETCHING;

    return NGX_BUSY;
}


static ngx_int_t
ngx_comms_media_fetch_get(ngx_comms_flow_t *f, ngx_comms_media_fetch_t *m)
{
    ngx_comms_media_call_t  *call;

    call = ngx_palloc(f->pool, sizeof(ngx_comms_media_call_t));
    if (call == NULL) {
        return NGX_ERROR;
    }

    call->flow = f;
    call->fetch = m;
    call->seq = ngx_comms_flow_wait(f, NGX_COMMS_MEDIA_FETCH_TIMEOUT
                                       + NGX_COMMS_MEDIA_FETCH_MARGIN);

    ngx_memzero(&m->answer, sizeof(ngx_comms_answer_t));
    m->answer.outcome = NGX_COMMS_EXCHANGE_UNSENT;

    if (ngx_comms_fetch(f->engine->curl, &m->url, &m->headers,
                        ngx_comms_media_max_size(f->engine->media),
                        NGX_COMMS_MEDIA_FETCH_TIMEOUT, f->engine->fetch_allow,
                        ngx_comms_media_fetch_came, call)
        == NULL)
    {
        (void) ngx_comms_flow_answer(f, call->seq, NGX_OK);
    }

    return NGX_AGAIN;
}


static void
ngx_comms_media_fetch_came(void *data, ngx_comms_answer_t *an)
{
    ngx_comms_media_call_t *call = data;

    ngx_str_t                *type;
    ngx_comms_flow_t         *f;
    ngx_comms_media_fetch_t  *m;

    f = call->flow;
    m = call->fetch;

    if (f->seq == call->seq) {
        m->answer = *an;
        ngx_memzero(&m->answer.headers, sizeof(ngx_array_t));

        if (an->body.len != 0) {
            m->answer.body.data = ngx_pstrdup(f->pool, &an->body);
        }

        ngx_str_null(&m->content_type);
        type = ngx_comms_answer_header(an, "Content-Type");

        if (type != NULL) {
            m->content_type.data = ngx_pstrdup(f->pool, type);
            m->content_type.len = m->content_type.data ? type->len : 0;
        }

        if (m->answer.body.data == NULL) {
            m->answer.body.len = 0;
        }
    }

    (void) ngx_comms_flow_answer(f, call->seq, NGX_OK);
}


static ngx_int_t
ngx_comms_media_fetch_read(ngx_comms_flow_t *f, ngx_comms_media_fetch_t *m)
{
    ngx_int_t            rc;
    ngx_comms_answer_t  *an;

    an = &m->answer;

    if (an->outcome != NGX_COMMS_EXCHANGE_COMPLETE) {

        if (an->failure != NULL && ngx_strcmp(an->failure, "too large") == 0) {
            return ngx_comms_media_fetch_refuse(f, m, "size");
        }

        if (an->failure != NULL
            && ngx_strcmp(an->failure, "address is not allowed") == 0)
        {
            return ngx_comms_media_fetch_refuse(f, m, "address");
        }

        return ngx_comms_media_fetch_retry(f, m, "unreachable");
    }

    if (an->status >= 500 || an->status == 429 || an->status == 408) {
        return ngx_comms_media_fetch_retry(f, m, "unavailable");
    }

    if (an->status != 200) {
        return ngx_comms_media_fetch_refuse(f, m, "not_found");
    }

    if (!m->again) {
        m->stage = NGX_COMMS_MEDIA_PUTTING;
        return NGX_BUSY;
    }

    m->again = 0;

    if (m->provider->media_url == NULL) {
        return ngx_comms_media_fetch_refuse(f, m, "no_address");
    }

    rc = m->provider->media_url(f->pool, &an->body, &m->url);

    if (rc == NGX_DECLINED) {
        return ngx_comms_media_fetch_refuse(f, m, "no_address");
    }

    return (rc == NGX_OK) ? NGX_BUSY : NGX_ERROR;
}


static ngx_int_t
ngx_comms_media_fetch_put(ngx_comms_flow_t *f, ngx_comms_media_fetch_t *m)
{
    ngx_str_t        type;
    ngx_comms_op_t  *op;

    if (ngx_comms_media_fetch_id(f, m) != NGX_OK) {
        return NGX_ERROR;
    }

    /* what the webhook said, else what came with the bytes */

    if (ngx_comms_json_str(m->medium, "content_type", &type) != NGX_OK
        || type.len == 0)
    {
        type = m->content_type;
    }

    m->content_type = type;

    op = ngx_comms_flow_op(f, f->engine->op_timeout);
    if (op == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_media_put(f->engine->media, &m->media_id, &m->content_type,
                        &m->answer.body, op);

    return NGX_AGAIN;
}


static ngx_int_t
ngx_comms_media_fetch_kept(ngx_comms_flow_t *f, ngx_comms_media_fetch_t *m)
{
    json_t     *note;
    ngx_str_t   reason;

    if (f->op_rc == NGX_DECLINED) {
        (void) ngx_comms_json_str(f->answer, "refused", &reason);

        return ngx_comms_media_fetch_refuse(f, m, reason.len
                                                  ? (char *) reason.data
                                                  : "type");
    }

    if (f->op_rc != NGX_OK) {
        return ngx_comms_media_fetch_retry(f, m, "not_written");
    }

    note = json_copy(f->answer);

    if (note == NULL
        || json_object_set_new(note, "state", json_string("kept")) != 0)
    {
        json_decref(note);
        return NGX_ERROR;
    }

    return ngx_comms_media_fetch_note(m, note);
}


static ngx_int_t
ngx_comms_media_fetch_retry(ngx_comms_flow_t *f, ngx_comms_media_fetch_t *m,
    const char *reason)
{
    if (++m->tries >= NGX_COMMS_MEDIA_FETCH_TRIES) {
        return ngx_comms_media_fetch_refuse(f, m, reason);
    }

    m->stage = NGX_COMMS_MEDIA_PAUSING;

    return NGX_BUSY;
}


static ngx_int_t
ngx_comms_media_fetch_refuse(ngx_comms_flow_t *f, ngx_comms_media_fetch_t *m,
    const char *reason)
{
    json_t  *note;

    ngx_log_error(NGX_LOG_WARN, f->log, 0, "medium is not kept: %s", reason);

    note = json_pack("{s:O*, s:s, s:s}",
                     "content_type",
                     json_object_get(m->medium, "content_type"),
                     "state", "refused", "reason", reason);

    if (note == NULL) {
        return NGX_ERROR;
    }

    return ngx_comms_media_fetch_note(m, note);
}


/* takes over the reference; then the next one */

static ngx_int_t
ngx_comms_media_fetch_note(ngx_comms_media_fetch_t *m, json_t *note)
{
    json_t  *kept, *filename;

    m->stage = NGX_COMMS_MEDIA_NEXT;

    filename = json_object_get(m->medium, "filename");

    if (filename != NULL && json_object_set(note, "filename", filename) != 0) {
        json_decref(note);
        return NGX_ERROR;
    }

    kept = json_object_get(m->event, "kept");

    if (kept == NULL) {
        kept = json_array();

        if (json_object_set_new(m->event, "kept", kept) != 0) {
            json_decref(note);
            return NGX_ERROR;
        }
    }

    return (json_array_append_new(kept, note) == 0) ? NGX_BUSY : NGX_ERROR;
}


/* "md_" and 26 characters of Crockford's base 32, the first of three bits */

static ngx_int_t
ngx_comms_media_fetch_id(ngx_comms_flow_t *f, ngx_comms_media_fetch_t *m)
{
    u_char       digest[NGX_COMMS_SHA256_LEN], *p;
    ngx_str_t    id, text;
    ngx_uint_t   i;

    static const u_char  alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    if (ngx_comms_json_str(m->event, "inbound_id", &id) != NGX_OK) {
        return NGX_ERROR;
    }

    text.data = ngx_pnalloc(f->pool, id.len + NGX_INT_T_LEN + 1);
    p = ngx_pnalloc(f->pool, sizeof("md_") - 1 + 26);

    if (text.data == NULL || p == NULL) {
        return NGX_ERROR;
    }

    text.len = ngx_sprintf(text.data, "%V.%ui", &id, m->n) - text.data;

    if (ngx_comms_sha256(&text, digest) != NGX_OK) {
        return NGX_ERROR;
    }

    m->media_id.data = p;
    p = ngx_cpymem(p, "md_", 3);

    *p++ = alphabet[digest[0] & 7];

    for (i = 1; i < 26; i++) {
        *p++ = alphabet[digest[i] & 31];
    }

    m->media_id.len = p - m->media_id.data;

    return NGX_OK;
}
