
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a verified webhook holds becomes durable, event by event:
 *
 *   message              the media store, where it carries files;
 *                        store.keep, with its entry in the queue "reply"
 *   status, consent,     the queue "status"
 *   identity
 *   anything else        counted
 *
 * Invariants:
 *   1. 2xx is said only after every event of the webhook is durable.  When
 *      one could not be kept, 503 makes the provider send all of them again;
 *      those kept before are then known by their dedupe_id.
 *   2. An event is kept with the names of the credentials that verified it:
 *      what it may touch is decided by them, later.
 */


#include <http/ngx_http_comms_webhook.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>


/* reports put at once */
#define NGX_HTTP_COMMS_WEBHOOK_BATCH  64


typedef ngx_int_t (*ngx_http_comms_webhook_event_pt)(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, json_t *event);


typedef struct {
    ngx_str_t                         kind;
    ngx_http_comms_webhook_event_pt   keep;
} ngx_http_comms_webhook_kind_t;


/* a batch on its way; it outlives a request that goes away */
typedef struct {
    ngx_comms_op_t                   *op;     /* of the request */
    ngx_uint_t                        left;
    ngx_int_t                         rc;
} ngx_http_comms_reports_t;


static void ngx_http_comms_webhook_next(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in);
static ngx_http_comms_webhook_kind_t *ngx_http_comms_webhook_row(
    json_t *event);
static void ngx_http_comms_webhook_kept(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer);
static ngx_int_t ngx_http_comms_webhook_put(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, json_t *event);
static json_t *ngx_http_comms_webhook_report(ngx_http_comms_inbound_t *in,
    json_t *event);
static void ngx_http_comms_webhook_report_put(ngx_comms_op_t *op);
static void ngx_http_comms_webhook_was_put(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer);
static json_t *ngx_http_comms_webhook_signed(ngx_http_comms_inbound_t *in,
    json_t *event);


static ngx_http_comms_webhook_kind_t  ngx_http_comms_webhook_kinds[] = {
    { ngx_string("message"), ngx_http_comms_webhook_keep },
    { ngx_string("status"), ngx_http_comms_webhook_put },
    { ngx_string("consent"), ngx_http_comms_webhook_put },
    { ngx_string("identity"), ngx_http_comms_webhook_put },
    { ngx_null_string, NULL }
};


void
ngx_http_comms_webhook_parse(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in)
{
    json_t      *events;
    ngx_int_t    rc;
    const char  *words;

    words = "malformed";

    rc = in->provider->parse(r->pool, &in->webhook, in->verified.credentials,
                             &events, &words);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "comms webhook of \"%V\" is verified and cannot be "
                      "read: %s", &in->provider->name, words);

        ngx_http_comms_webhook_refuse(r, NGX_HTTP_BAD_REQUEST,
                                      "INVALID_REQUEST", words);
        return;
    }

    if (rc != NGX_OK || ngx_http_comms_keep_json(r, events) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    in->events = events;

    ngx_http_comms_webhook_next(r, in);
}


/* keeps the next event, or says that all are kept */

static void
ngx_http_comms_webhook_next(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in)
{
    json_t                         *event;
    ngx_http_comms_webhook_kind_t  *row;

    while (in->next < json_array_size(in->events)) {
        event = json_array_get(in->events, in->next++);

        row = ngx_http_comms_webhook_row(event);

        if (row->keep == NULL) {
            ngx_comms_count(in->engine->zone,
                            NGX_COMMS_COUNT_INBOUND_IGNORED, 1);
            continue;
        }

        in->medium = 0;

        if (row->keep(r, in, event) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        }

        return;
    }

    ngx_http_finalize_request(r,
                              ngx_http_comms_send(r, NGX_HTTP_OK,
                                                  &in->provider->ack_type,
                                                  &in->provider->ack_body));
}


/* the last row where the kind is none that is kept */

static ngx_http_comms_webhook_kind_t *
ngx_http_comms_webhook_row(json_t *event)
{
    ngx_str_t                       kind;
    ngx_http_comms_webhook_kind_t  *row;

    (void) ngx_comms_json_str(event, "kind", &kind);

    for (row = ngx_http_comms_webhook_kinds; row->keep != NULL; row++) {
        if (kind.len == row->kind.len
            && ngx_strncmp(kind.data, row->kind.data, kind.len) == 0)
        {
            break;
        }
    }

    return row;
}


ngx_int_t
ngx_http_comms_webhook_keep(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, json_t *event)
{
    json_t             *document, *inbound;
    ngx_int_t           rc;
    ngx_str_t           inbound_id;
    ngx_comms_op_t     *op;
    ngx_comms_store_t  *store;

    rc = ngx_http_comms_webhook_media(r, in, event);

    if (rc != NGX_OK) {
        return (rc == NGX_AGAIN) ? NGX_OK : NGX_ERROR;
    }

    if (ngx_comms_id_mint(r->pool, "in_", &inbound_id) != NGX_OK) {
        return NGX_ERROR;
    }

    inbound = ngx_http_comms_webhook_signed(in, event);

    if (ngx_comms_json_set_str(inbound, "inbound_id", &inbound_id) != NGX_OK) {
        json_decref(inbound);
        return NGX_ERROR;
    }

    document = json_pack("{s:o, s:s, s:{s:s, s:s%}}", "inbound", inbound,
                         "queue", NGX_COMMS_QUEUE_REPLY,
                         "body", "kind", "reply",
                         "inbound_id", inbound_id.data, inbound_id.len);
    if (document == NULL) {
        return NGX_ERROR;
    }

    op = ngx_http_comms_await_op(in->await, in->engine->op_timeout,
                                 ngx_http_comms_webhook_kept);
    if (op == NULL) {
        json_decref(document);
        return NGX_ERROR;
    }

    store = in->engine->store;
    store->keep(store, document, op);

    return NGX_OK;
}


static void
ngx_http_comms_webhook_kept(ngx_http_request_t *r, void *data, ngx_int_t rc,
    json_t *answer)
{
    ngx_http_comms_inbound_t *in = data;

    if (rc == NGX_OK) {
        ngx_comms_count(in->engine->zone, NGX_COMMS_COUNT_INBOUND, 1);

    } else if (rc == NGX_DECLINED) {
        ngx_comms_count(in->engine->zone, NGX_COMMS_COUNT_INBOUND_DUPLICATE,
                        1);

    } else {
        ngx_http_comms_webhook_unkept(r, in);
        return;
    }

    ngx_http_comms_webhook_next(r, in);
}


/*
 * A webhook may bring thousands of reports.  Those that follow each other are
 * put a batch at a time: what the backend commits together costs once.
 */

static ngx_int_t
ngx_http_comms_webhook_put(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in, json_t *event)
{
    json_t                    *documents[NGX_HTTP_COMMS_WEBHOOK_BATCH];
    ngx_uint_t                 i, n;
    ngx_comms_op_t            *op, *puts[NGX_HTTP_COMMS_WEBHOOK_BATCH];
    ngx_http_comms_reports_t  *reports;

    n = 0;

    for ( ;; ) {
        documents[n] = ngx_http_comms_webhook_report(in, event);

        if (documents[n] == NULL) {
            goto failed;
        }

        n++;

        event = json_array_get(in->events, in->next);

        if (n == NGX_HTTP_COMMS_WEBHOOK_BATCH || event == NULL
            || ngx_http_comms_webhook_row(event)->keep
               != ngx_http_comms_webhook_put)
        {
            break;
        }

        in->next++;
    }

    reports = ngx_alloc(sizeof(ngx_http_comms_reports_t), r->connection->log);
    if (reports == NULL) {
        goto failed;
    }

    for (i = 0; i < n; i++) {
        puts[i] = ngx_comms_op_create(ngx_http_comms_webhook_report_put,
                                      reports, 0);
        if (puts[i] == NULL) {
            goto undo;
        }
    }

    op = ngx_http_comms_await_op(in->await, in->engine->op_timeout,
                                 ngx_http_comms_webhook_was_put);
    if (op == NULL) {
        goto undo;
    }

    in->batch = n;

    reports->op = op;
    reports->left = n;
    reports->rc = NGX_OK;

    for (i = 0; i < n; i++) {
        in->engine->bus->put(in->engine->bus, documents[i], puts[i]);
    }

    return NGX_OK;

undo:

    while (i-- > 0) {
        ngx_comms_op_cancel(puts[i]);
        ngx_comms_op_finish(puts[i], NGX_ERROR, NULL);
    }

    ngx_free(reports);

failed:

    while (n-- > 0) {
        json_decref(documents[n]);
    }

    return NGX_ERROR;
}


static json_t *
ngx_http_comms_webhook_report(ngx_http_comms_inbound_t *in, json_t *event)
{
    ngx_str_t  group;

    /* what is said of one message stays in its order where queues have one */

    if (ngx_comms_json_str(event, "marker", &group) != NGX_OK
        && ngx_comms_json_str(event, "provider_message_id", &group) != NGX_OK)
    {
        (void) ngx_comms_json_str(event, "dedupe_id", &group);
    }

    return json_pack("{s:s, s:{s:s, s:o}, s:s%, s:O}",
                     "queue", NGX_COMMS_QUEUE_STATUS,
                     "body", "kind", "status",
                     "event", ngx_http_comms_webhook_signed(in, event),
                     "group", (char *) group.data, group.len,
                     "dedupe_id", json_object_get(event, "dedupe_id"));
}


/* one of a batch; the request may be gone by then */

static void
ngx_http_comms_webhook_report_put(ngx_comms_op_t *op)
{
    ngx_http_comms_reports_t *reports = op->data;

    if (op->rc != NGX_OK) {
        reports->rc = NGX_ERROR;
    }

    if (--reports->left == 0) {
        ngx_comms_op_finish(reports->op, reports->rc, NULL);
        ngx_free(reports);
    }
}


static void
ngx_http_comms_webhook_was_put(ngx_http_request_t *r, void *data,
    ngx_int_t rc, json_t *answer)
{
    ngx_http_comms_inbound_t *in = data;

    if (rc != NGX_OK) {
        ngx_http_comms_webhook_unkept(r, in);
        return;
    }

    ngx_comms_count(in->engine->zone, NGX_COMMS_COUNT_STATUS, in->batch);

    ngx_http_comms_webhook_next(r, in);
}


/*
 * A copy of the event, for the thread that writes it, with what is known of
 * its delivery; NULL: memory.
 */

static json_t *
ngx_http_comms_webhook_signed(ngx_http_comms_inbound_t *in, json_t *event)
{
    json_t  *copy;

    copy = json_deep_copy(event);

    if (ngx_comms_json_set_str(copy, "credentials_id", &in->verified.id)
        != NGX_OK
        || json_object_set_new(copy, "received_at",
                               json_integer(ngx_comms_clock_ms()))
           != 0
        || (json_array_size(in->names) > 1
            && json_object_set_new(copy, "credentials_ids",
                                   json_deep_copy(in->names))
               != 0))
    {
        json_decref(copy);
        return NULL;
    }

    return copy;
}


void
ngx_http_comms_webhook_unkept(ngx_http_request_t *r,
    ngx_http_comms_inbound_t *in)
{
    ngx_comms_count(in->engine->zone, NGX_COMMS_COUNT_UNAVAILABLE, 1);

    ngx_http_comms_webhook_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                  "DATABASE_ERROR",
                                  "The message could not be kept, send it "
                                  "again");
}
