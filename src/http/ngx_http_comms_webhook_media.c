
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Attachments that a webhook itself carries: their bytes go to the media
 * store before the message is kept, since nobody will have them afterwards.
 *
 * The id of a file is made from the message's dedupe_id and the number of the
 * part, so that a webhook that is sent again writes the same file.  What
 * cannot be kept is noted in the message ("refused"), which is kept all the
 * same; only a store that is out of order makes the provider send it again.
 */


#include <http/ngx_http_comms_webhook.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>


/* bytes on their way; they outlive a request that goes away */
typedef struct {
    ngx_comms_op_t   *op;           /* of the request */
    ngx_str_t         media_id;
    ngx_str_t         type;
    ngx_str_t         bytes;
} ngx_http_comms_medium_t;


static ngx_int_t ngx_http_comms_webhook_medium(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, json_t *event, json_t *medium);
static ngx_int_t ngx_http_comms_webhook_medium_put(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, ngx_str_t *id, json_t *medium,
    ngx_str_t *bytes);
static void ngx_http_comms_webhook_medium_was_put(ngx_comms_op_t *op);
static void ngx_http_comms_webhook_medium_done(ngx_http_request_t *r,
    void *data, ngx_int_t rc, json_t *answer);
static ngx_int_t ngx_http_comms_webhook_medium_note(json_t *medium,
    ngx_int_t rc, json_t *answer);


ngx_int_t
ngx_http_comms_webhook_media(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, json_t *event)
{
    json_t     *media, *medium;
    ngx_int_t   rc;

    media = json_object_get(event, "media");

    while (in->medium < json_array_size(media)) {
        medium = json_array_get(media, in->medium);

        if (json_is_integer(json_object_get(medium, "part"))) {
            rc = ngx_http_comms_webhook_medium(r, in, event, medium);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        in->medium++;
    }

    return NGX_OK;
}


/* NGX_OK: it is noted; NGX_AGAIN: it is being written */

static ngx_int_t
ngx_http_comms_webhook_medium(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, json_t *event, json_t *medium)
{
    u_char     *p;
    json_t     *why;
    int64_t     part;
    ngx_int_t   rc;
    ngx_str_t   bytes, dedupe, name, id;

    part = json_integer_value(json_object_get(medium, "part"));
    why = NULL;

    if (in->engine->media == NULL) {
        why = json_string("no media store");

    } else if (in->provider->attachment == NULL || part < 0) {
        why = json_string("no such part");
    }

    if (why != NULL) {
        return json_object_set_new(medium, "refused", why) == 0 ? NGX_OK
                                                                : NGX_ERROR;
    }

    rc = in->provider->attachment(r->pool, &in->webhook, (ngx_uint_t) part,
                                  &bytes);

    if (rc == NGX_DECLINED) {
        why = json_string("no such part");

        return json_object_set_new(medium, "refused", why) == 0 ? NGX_OK
                                                                : NGX_ERROR;
    }

    (void) ngx_comms_json_str(event, "dedupe_id", &dedupe);

    p = ngx_pnalloc(r->pool, dedupe.len + 1 + NGX_INT64_LEN);

    if (rc != NGX_OK || p == NULL) {
        return NGX_ERROR;
    }

    name.data = p;
    name.len = ngx_sprintf(p, "%V#%L", &dedupe, part) - p;

    if (ngx_comms_id_of(r->pool, "md_", &name, &id) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_comms_webhook_medium_put(r, in, &id, medium, &bytes);
}


static ngx_int_t
ngx_http_comms_webhook_medium_put(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, ngx_str_t *id, json_t *medium,
    ngx_str_t *bytes)
{
    u_char                   *p;
    ngx_str_t                 type;
    ngx_comms_op_t           *op;
    ngx_http_comms_medium_t  *m;

    (void) ngx_comms_json_str(medium, "content_type", &type);

    m = ngx_alloc(sizeof(ngx_http_comms_medium_t) + id->len + type.len
                  + bytes->len, r->connection->log);
    if (m == NULL) {
        return NGX_ERROR;
    }

    p = (u_char *) m + sizeof(ngx_http_comms_medium_t);

    m->media_id.len = id->len;
    m->media_id.data = p;
    p = ngx_cpymem(p, id->data, id->len);

    m->type.len = type.len;
    m->type.data = p;
    p = ngx_cpymem(p, type.data, type.len);

    m->bytes.len = bytes->len;
    m->bytes.data = p;
    ngx_memcpy(p, bytes->data, bytes->len);

    op = ngx_comms_op_create(ngx_http_comms_webhook_medium_was_put, m, 0);
    if (op == NULL) {
        ngx_free(m);
        return NGX_ERROR;
    }

    m->op = ngx_http_comms_await_op(in->await, in->engine->op_timeout,
                                    ngx_http_comms_webhook_medium_done);
    if (m->op == NULL) {
        ngx_comms_op_cancel(op);
        ngx_comms_op_finish(op, NGX_ERROR, NULL);
        ngx_free(m);

        return NGX_ERROR;
    }

    ngx_comms_media_put(in->engine->media, &m->media_id, &m->type, &m->bytes,
                        op);

    return NGX_AGAIN;
}


static void
ngx_http_comms_webhook_medium_was_put(ngx_comms_op_t *op)
{
    ngx_http_comms_medium_t *m = op->data;

    ngx_comms_op_finish(m->op, op->rc, json_incref(op->answer));

    ngx_free(m);
}


static void
ngx_http_comms_webhook_medium_done(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer)
{
    ngx_http_comms_inbound_t *in = data;

    json_t  *event, *medium;

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        ngx_http_comms_webhook_unkept(r, in);
        return;
    }

    event = json_array_get(in->events, in->next - 1);
    medium = json_array_get(json_object_get(event, "media"), in->medium);

    in->medium++;

    if (ngx_http_comms_webhook_medium_note(medium, rc, answer) != NGX_OK
        || ngx_http_comms_webhook_keep(r, in, event) != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


/* the file's type is what its bytes say, its size what was written */

static ngx_int_t
ngx_http_comms_webhook_medium_note(json_t *medium, ngx_int_t rc,
    json_t *answer)
{
    json_t      *value;
    ngx_uint_t   i;

    static const char  *kept[] = {
        "media_id", "content_type", "size", "sha256", NULL
    };

    if (rc == NGX_DECLINED) {
        value = json_deep_copy(json_object_get(answer, "refused"));

        return json_object_set_new(medium, "refused", value) == 0 ? NGX_OK
                                                                  : NGX_ERROR;
    }

    for (i = 0; kept[i] != NULL; i++) {
        value = json_deep_copy(json_object_get(answer, kept[i]));

        if (json_object_set_new(medium, kept[i], value) != 0) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
