
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * SendGrid's Event Webhook: what became of mails.
 *
 * A webhook is an array of up to some thousand events of all mails of the
 * account, those of other software among them.  Ours are known by the marker
 * in "comms_effect", which came with the mail in custom_args and which
 * SendGrid puts into each event beside its own members.  An unsubscription
 * needs no mail: it is told whichever mail it was said in.
 *
 *   processed             sent: SendGrid has it, also where our request's
 *                         answer was lost
 *   delivered             delivered
 *   open, click           read (only where tracking was switched on)
 *   bounce                bounced; of type "blocked" failed: the mailbox may
 *                         well exist
 *   dropped               failed: SendGrid itself did not send it
 *   deferred              nothing: SendGrid goes on trying
 *   unsubscribe, group_unsubscribe, spamreport   opted out
 *   group_resubscribe                            in again
 *
 * "reason" and "response" are prose with addresses in it: what is known of
 * them is the enhanced status code in "status", and words of our own.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_address.h>
#include <channel/ngx_comms_sendgrid.h>
#include <channel/ngx_comms_smtp.h>


#define NGX_COMMS_SENDGRID_MAX_EVENTS    10000
#define NGX_COMMS_SENDGRID_MAX_EVENT_ID  128
#define NGX_COMMS_SENDGRID_MAX_MARKER    128
#define NGX_COMMS_SENDGRID_MAX_SECONDS   INT64_C(253402300799)   /* 9999 */


typedef struct {
    const char  *event;
    const char  *status;       /* NULL: none */
    const char  *opted;        /* proof of a consent event; NULL: none */
    ngx_uint_t   out;          /* unsigned  out:1; */
} ngx_comms_sendgrid_kind_t;


static ngx_int_t ngx_comms_sendgrid_one(ngx_pool_t *pool, json_t *said,
    json_t *event, const char **ignored);
static ngx_int_t ngx_comms_sendgrid_basics(ngx_pool_t *pool, json_t *said,
    json_t *event, const char **ignored);
static ngx_int_t ngx_comms_sendgrid_message(json_t *said, json_t *event,
    ngx_uint_t *ours);
static ngx_int_t ngx_comms_sendgrid_person(ngx_pool_t *pool, json_t *said,
    json_t *event);
static ngx_int_t ngx_comms_sendgrid_failure(json_t *said, ngx_str_t *kind,
    json_t *event);
static const ngx_comms_sendgrid_kind_t *ngx_comms_sendgrid_kind(
    ngx_str_t *name);


static const ngx_comms_sendgrid_kind_t  ngx_comms_sendgrid_kinds[] = {
    { "processed", "sent", NULL, 0 },
    { "delivered", "delivered", NULL, 0 },
    { "open", "read", NULL, 0 },
    { "click", "read", NULL, 0 },
    { "bounce", "bounced", NULL, 0 },
    { "dropped", "failed", NULL, 0 },
    { "unsubscribe", NULL, "SendGrid: unsubscribe", 1 },
    { "group_unsubscribe", NULL, "SendGrid: group_unsubscribe", 1 },
    { "spamreport", NULL, "SendGrid: spamreport", 1 },
    { "group_resubscribe", NULL, "SendGrid: group_resubscribe", 0 },
    { NULL, NULL, NULL, 0 }
};


ngx_int_t
ngx_comms_sendgrid_events(ngx_pool_t *pool, ngx_str_t *body, json_t **events,
    const char **words)
{
    json_t                  *document, *list, *said, *event;
    size_t                   i;
    ngx_int_t                rc;
    const char              *ignored;
    ngx_comms_json_error_t   err;

    document = ngx_comms_json_parse(body, &err);

    if (!json_is_array(document) || json_array_size(document) == 0
        || json_array_size(document) > NGX_COMMS_SENDGRID_MAX_EVENTS)
    {
        json_decref(document);
        *words = "the body is no array of 1 to 10000 events";
        return NGX_DECLINED;
    }

    rc = NGX_OK;
    list = json_array();

    json_array_foreach(document, i, said) {

        ignored = NULL;
        event = json_object();

        rc = ngx_comms_sendgrid_one(pool, said, event, &ignored);

        if (rc == NGX_OK && ignored != NULL) {
            json_object_clear(event);

            if (json_object_set_new(event, "kind", json_string("ignored")) != 0
                || json_object_set_new(event, "reason", json_string(ignored))
                   != 0)
            {
                rc = NGX_ERROR;
            }
        }

        /* takes the reference over, whatever it returns */

        if (json_array_append_new(list, event) != 0) {
            rc = NGX_ERROR;
        }

        if (rc != NGX_OK) {
            break;
        }
    }

    json_decref(document);

    if (rc != NGX_OK) {
        json_decref(list);
        return rc;
    }

    *events = list;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_sendgrid_one(ngx_pool_t *pool, json_t *said, json_t *event,
    const char **ignored)
{
    ngx_int_t                         rc;
    ngx_str_t                         name;
    ngx_uint_t                        ours;
    const ngx_comms_sendgrid_kind_t  *kind;

    (void) ngx_comms_json_str(said, "event", &name);

    kind = ngx_comms_sendgrid_kind(&name);

    if (kind == NULL) {
        *ignored = "an event that says nothing final";
        return NGX_OK;
    }

    rc = ngx_comms_sendgrid_basics(pool, said, event, ignored);
    if (rc != NGX_OK || *ignored != NULL) {
        return rc;
    }

    if (ngx_comms_sendgrid_message(said, event, &ours) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_comms_sendgrid_person(pool, said, event);
    if (rc == NGX_ERROR) {
        return rc;
    }

    if (kind->status == NULL) {

        if (rc != NGX_OK) {
            *ignored = "an unsubscription of no valid address";
            return NGX_OK;
        }

        if (json_object_set_new(event, "kind", json_string("consent")) != 0
            || json_object_set_new(event, "opted_out",
                                   json_boolean(kind->out))
               != 0
            || json_object_set_new(event, "proof", json_string(kind->opted))
               != 0)
        {
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    if (!ours) {
        *ignored = "an event about no mail of ours";
        return NGX_OK;
    }

    if (json_object_set_new(event, "kind", json_string("status")) != 0
        || json_object_set_new(event, "status", json_string(kind->status))
           != 0)
    {
        return NGX_ERROR;
    }

    return ngx_comms_sendgrid_failure(said, &name, event);
}


static const ngx_comms_sendgrid_kind_t *
ngx_comms_sendgrid_kind(ngx_str_t *name)
{
    const ngx_comms_sendgrid_kind_t  *kind;

    for (kind = ngx_comms_sendgrid_kinds; kind->event != NULL; kind++) {
        if (name->len == ngx_strlen(kind->event)
            && ngx_strncmp(name->data, kind->event, name->len) == 0)
        {
            return kind;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_comms_sendgrid_basics(ngx_pool_t *pool, json_t *said, json_t *event,
    const char **ignored)
{
    u_char     *p;
    int64_t     seconds;
    ngx_str_t   id, dedupe;

    if (ngx_comms_json_str(said, "sg_event_id", &id) != NGX_OK
        || id.len == 0 || id.len > NGX_COMMS_SENDGRID_MAX_EVENT_ID)
    {
        *ignored = "an event without an id";
        return NGX_OK;
    }

    if (ngx_comms_json_int(said, "timestamp", &seconds) != NGX_OK
        || seconds < 0 || seconds > NGX_COMMS_SENDGRID_MAX_SECONDS)
    {
        seconds = ngx_comms_clock_ms() / 1000;
    }

    p = ngx_pnalloc(pool, sizeof("sendgrid:") - 1 + id.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    dedupe.data = p;
    dedupe.len = ngx_sprintf(p, "sendgrid:%V", &id) - p;

    if (ngx_comms_json_set_str(event, "dedupe_id", &dedupe) != NGX_OK
        || json_object_set_new(event, "at", json_integer(seconds * 1000)) != 0
        || json_object_set_new(event, "provider", json_string("sendgrid")) != 0
        || ngx_comms_json_set_str(event, "channel",
                                  &ngx_comms_channel_names[NGX_COMMS_EMAIL])
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* "X-Message-Id" of the answer to our request, and what SendGrid adds to it */

static ngx_int_t
ngx_comms_sendgrid_message(json_t *said, json_t *event, ngx_uint_t *ours)
{
    u_char      *p;
    ngx_str_t    id, marker;
    ngx_uint_t   i;

    static ngx_str_t  tails[] = {
        ngx_string(".filter"), ngx_string(".recvd"), ngx_string("."),
        ngx_null_string
    };

    *ours = 0;

    if (ngx_comms_json_str(said, "sg_message_id", &id) == NGX_OK) {

        for (i = 0; tails[i].len; i++) {
            p = ngx_strnstr(id.data, (char *) tails[i].data, id.len);

            if (p != NULL) {
                id.len = p - id.data;
                break;
            }
        }

        if (id.len > 0 && id.len <= NGX_COMMS_SENDGRID_MAX_EVENT_ID
            && ngx_comms_json_set_str(event, "provider_message_id", &id)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_comms_json_str(said, "comms_effect", &marker) != NGX_OK
        || marker.len == 0 || marker.len > NGX_COMMS_SENDGRID_MAX_MARKER)
    {
        return NGX_OK;
    }

    *ours = 1;

    return ngx_comms_json_set_str(event, "marker", &marker);
}


/* NGX_DECLINED: no valid address */

static ngx_int_t
ngx_comms_sendgrid_person(ngx_pool_t *pool, json_t *said, json_t *event)
{
    ngx_str_t  email, address;

    if (ngx_comms_json_str(said, "email", &email) != NGX_OK
        || !ngx_comms_email_valid(&email))
    {
        return NGX_DECLINED;
    }

    if (ngx_comms_address_email(pool, &email, &address) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_json_set_str(event, "person_address", &address);
}


static ngx_int_t
ngx_comms_sendgrid_failure(json_t *said, ngx_str_t *kind, json_t *event)
{
    ngx_str_t                         type, status, reason, code;
    const char                       *label, *words;
    ngx_comms_send_e                  verdict;
    const ngx_comms_smtp_error_t     *error;
    const ngx_comms_sendgrid_drop_t  *drop;

    (void) ngx_comms_json_str(said, "type", &type);
    (void) ngx_comms_json_str(said, "status", &status);
    (void) ngx_comms_json_str(said, "reason", &reason);

    if (kind->data[0] == 'd' && kind->len == sizeof("dropped") - 1) {
        drop = ngx_comms_sendgrid_drop(&reason);
        verdict = drop->verdict;
        label = drop->label;
        words = drop->words;
        ngx_str_set(&code, "dropped");

    } else if (kind->data[0] == 'b') {

        if (ngx_comms_smtp_status(&status, &code) != NGX_OK) {
            (void) ngx_comms_smtp_status(&reason, &code);
        }

        error = ngx_comms_smtp_error(0, &code);
        label = error->label;
        words = error->words;

        /* SendGrid has given up: what it would retry has failed now */

        verdict = (error->verdict == NGX_COMMS_SEND_RETRY)
                  ? NGX_COMMS_SEND_REFUSED : error->verdict;

        if (type.len == 7 && ngx_strncmp(type.data, "blocked", 7) == 0
            && json_object_set_new(event, "status", json_string("failed"))
               != 0)
        {
            return NGX_ERROR;
        }

    } else {
        return NGX_OK;
    }

    if ((code.len > 0
         && ngx_comms_json_set_str(event, "code", &code) != NGX_OK)
        || json_object_set_new(event, "verdict",
                               json_string(ngx_comms_smtp_verdict(verdict)))
           != 0
        || json_object_set_new(event, "label", json_string(label)) != 0
        || json_object_set_new(event, "words", json_string(words)) != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}
