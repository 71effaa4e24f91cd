
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Reports about mails of ours that come back as mails: delivery status
 * notifications (RFC 3464), read receipts (RFC 8098), complaints (RFC 5965),
 * and the free text of mail systems that know none of these (qmail, old Exim
 * and Exchange, gateways).
 *
 * What a report is about is known by our Message-ID, which carries thread and
 * entry: looked for in the returned header block, in the report's fields, and
 * in its text, which often quotes the mail.  A report without one is
 * about no mail of ours; a "bounce" that somebody made up would need an id
 * that only the receiver of that very mail has seen.
 *
 * Only what is final is told: a delay is not, the mail system goes on trying
 * (RFC 3464 2.3.3).
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_email.h>
#include <channel/ngx_comms_smtp.h>


#define NGX_COMMS_EMAIL_MAX_REPORT  65536    /* bytes looked at of a piece */


typedef struct {
    ngx_str_t   message_id;    /* ours, in lower case */
    ngx_str_t   marker;
    ngx_str_t   before;        /* the text above it */
} ngx_comms_email_subject_t;


static ngx_int_t ngx_comms_email_find_ours(ngx_pool_t *pool,
    ngx_comms_email_report_t *report, ngx_comms_email_subject_t *about);
static ngx_int_t ngx_comms_email_scan(ngx_pool_t *pool, ngx_str_t *text,
    ngx_comms_email_subject_t *about);
static ngx_int_t ngx_comms_email_status(ngx_pool_t *pool,
    ngx_comms_email_report_t *report, ngx_comms_email_subject_t *about,
    json_t *event, const char **words);
static ngx_int_t ngx_comms_email_free_text(ngx_pool_t *pool,
    ngx_comms_email_report_t *report, ngx_comms_email_subject_t *about,
    json_t *event, const char **words);
static ngx_int_t ngx_comms_email_failed(ngx_pool_t *pool, ngx_uint_t code,
    ngx_str_t *status, json_t *event);
static ngx_uint_t ngx_comms_email_reply_code(ngx_str_t *text);
static ngx_int_t ngx_comms_email_complaint(ngx_pool_t *pool,
    ngx_comms_email_report_t *report, ngx_str_t *type, json_t *event,
    const char **words);
static ngx_int_t ngx_comms_email_about(ngx_comms_email_subject_t *about,
    const char *kind, json_t *event);
static ngx_int_t ngx_comms_email_group(ngx_str_t *blob, ngx_str_t *group);
static ngx_int_t ngx_comms_email_named(ngx_pool_t *pool, ngx_str_t *block,
    const char *name, ngx_str_t *value);
static ngx_uint_t ngx_comms_email_holds(ngx_str_t *text, const char *word);


ngx_int_t
ngx_comms_email_report(ngx_pool_t *pool, ngx_comms_email_report_t *report,
    json_t *event, const char **words)
{
    ngx_int_t                  rc;
    ngx_str_t                  value;
    ngx_comms_email_subject_t  about;

    *words = "delivery report about no mail of ours";

    report->status.len = ngx_min(report->status.len,
                                 NGX_COMMS_EMAIL_MAX_REPORT);
    report->original.len = ngx_min(report->original.len,
                                   NGX_COMMS_EMAIL_MAX_REPORT);
    report->text.len = ngx_min(report->text.len, NGX_COMMS_EMAIL_MAX_REPORT);

    rc = ngx_comms_email_find_ours(pool, report, &about);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_comms_email_named(pool, &report->status, "Feedback-Type", &value);

    if (rc == NGX_OK) {

        if (ngx_comms_email_about(&about, "consent", event) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_comms_email_complaint(pool, report, &value, event, words);
    }

    if (rc == NGX_ERROR
        || ngx_comms_email_about(&about, "status", event) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_comms_email_named(pool, &report->status, "Disposition", &value);

    if (rc == NGX_OK) {

        /* "manual-action/MDN-sent-manually; displayed" (RFC 8098 3.2.6) */

        if (!ngx_comms_email_holds(&value, "displayed")) {
            *words = "receipt that does not say that the mail was read";
            return NGX_DECLINED;
        }

        return (json_object_set_new(event, "status", json_string("read"))
                == 0)
               ? NGX_OK : NGX_ERROR;
    }

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    rc = ngx_comms_email_status(pool, report, &about, event, words);

    if (rc == NGX_DONE) {
        rc = ngx_comms_email_free_text(pool, report, &about, event, words);
    }

    return rc;
}


static ngx_int_t
ngx_comms_email_find_ours(ngx_pool_t *pool, ngx_comms_email_report_t *report,
    ngx_comms_email_subject_t *about)
{
    u_char      *p;
    ngx_int_t    rc;
    ngx_str_t    value;
    ngx_uint_t   i;

    struct {
        ngx_str_t   *piece;
        const char  *name;

    } fields[] = {
        { &report->original, "Message-ID" },
        { &report->status, "Original-Message-ID" },      /* RFC 8098 3.2.5 */
        { &report->status, "X-Original-Message-ID" },
        { &report->text, "Message-ID" },
        { NULL, NULL }
    };

    about->before = report->text;

    /* a report quotes the mail behind what it says itself */

    if (ngx_comms_email_holds(&report->text, "message-id:")) {
        p = ngx_strlcasestrn(report->text.data,
                             report->text.data + report->text.len,
                             (u_char *) "message-id:",
                             sizeof("message-id:") - 2);
        about->before.len = p - report->text.data;
    }

    for (i = 0; fields[i].piece != NULL; i++) {

        rc = ngx_comms_email_named(pool, fields[i].piece, fields[i].name,
                                   &value);

        /* one that is not ours: the mail may have answered ours, no more */

        if (rc != NGX_DECLINED) {
            return (rc == NGX_OK) ? ngx_comms_email_scan(pool, &value, about)
                                  : rc;
        }
    }

    rc = ngx_comms_email_scan(pool, &report->text, about);

    if (rc == NGX_OK) {
        about->before = report->text;
        about->before.len = about->message_id.data - report->text.data;
    }

    return rc;
}


/* the first Message-ID of ours in the text; message_id views it */

static ngx_int_t
ngx_comms_email_scan(ngx_pool_t *pool, ngx_str_t *text,
    ngx_comms_email_subject_t *about)
{
    u_char     *p, *s, *last;
    ngx_int_t   rc;
    ngx_str_t   id;

    last = text->data + text->len;

    for (p = text->data; p < last; p++) {

        p = ngx_strlchr(p, last, '<');
        if (p == NULL) {
            break;
        }

        s = ngx_strlchr(p, last, '>');
        if (s == NULL) {
            break;
        }

        if (s - p >= NGX_COMMS_EMAIL_MAX_ID) {
            continue;
        }

        id.data = p;
        id.len = s + 1 - p;

        rc = ngx_comms_email_marker(pool, &id, &about->marker);

        if (rc == NGX_OK) {
            about->message_id = id;
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return NGX_DECLINED;
}


/* NGX_DONE: there are no fields that say what became of the mail */

static ngx_int_t
ngx_comms_email_status(ngx_pool_t *pool, ngx_comms_email_report_t *report,
    ngx_comms_email_subject_t *about, json_t *event, const char **words)
{
    ngx_int_t    rc;
    ngx_str_t    group, action, status, diagnostic, code;
    ngx_uint_t   reply;

    if (ngx_comms_email_group(&report->status, &group) != NGX_OK) {
        return NGX_DONE;
    }

    if (ngx_comms_email_named(pool, &group, "Action", &action) == NGX_ERROR
        || ngx_comms_email_named(pool, &group, "Status", &status)
           == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    rc = ngx_comms_email_named(pool, &group, "Diagnostic-Code", &diagnostic);
    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (ngx_strncasecmp(action.data, (u_char *) "failed", 6) != 0) {

        if (ngx_strncasecmp(action.data, (u_char *) "delivered", 9) == 0) {
            return (json_object_set_new(event, "status",
                                        json_string("delivered"))
                    == 0)
                   ? NGX_OK : NGX_ERROR;
        }

        /* delayed, relayed, expanded */

        *words = "delivery report that says nothing final";
        return NGX_DECLINED;
    }

    reply = (rc == NGX_OK) ? ngx_comms_email_reply_code(&diagnostic) : 0;

    /* "5.0.0" says nothing, and what the other side said often more */

    if (ngx_comms_smtp_status(&status, &code) != NGX_OK
        || (code.len == 5 && ngx_strncmp(code.data + 1, ".0.0", 4) == 0))
    {
        if (rc != NGX_OK
            || ngx_comms_smtp_status(&diagnostic, &status) != NGX_OK)
        {
            status = code;
        }

        code = status;
    }

    return ngx_comms_email_failed(pool, reply, &code, event);
}


/* qmail, Exim, gateways: words, our Message-ID somewhere behind them */

static ngx_int_t
ngx_comms_email_free_text(ngx_pool_t *pool, ngx_comms_email_report_t *report,
    ngx_comms_email_subject_t *about, json_t *event, const char **words)
{
    ngx_str_t    status;
    ngx_uint_t   i, code;

    static const char *const  delays[] = {
        "delayed", "will be retried", "will continue to try",
        "do not need to resend", "still trying", "temporary problem",
        "warning:", NULL
    };

    for (i = 0; delays[i] != NULL; i++) {
        if (ngx_comms_email_holds(&report->subject, delays[i])
            || ngx_comms_email_holds(&about->before, delays[i]))
        {
            *words = "delivery report that says nothing final";
            return NGX_DECLINED;
        }
    }

    code = ngx_comms_email_reply_code(&about->before);

    (void) ngx_comms_smtp_status(&about->before, &status);

    if (status.len > 0 && status.data[0] == '2') {
        ngx_str_null(&status);
    }

    return ngx_comms_email_failed(pool, code, &status, event);
}


static ngx_int_t
ngx_comms_email_failed(ngx_pool_t *pool, ngx_uint_t code, ngx_str_t *status,
    json_t *event)
{
    u_char                        *p, text[NGX_INT_T_LEN + 16];
    ngx_str_t                      known;
    ngx_comms_send_e               verdict;
    const ngx_comms_smtp_error_t  *error;

    error = ngx_comms_smtp_error(code, status);
    verdict = error->verdict;

    /* the mail system has given up: what it would retry has failed now */

    if (verdict == NGX_COMMS_SEND_RETRY) {
        verdict = NGX_COMMS_SEND_REFUSED;
    }

    p = text;

    if (code != 0) {
        p = ngx_sprintf(p, "%ui", code);
    }

    if (status->len > 0 && status->len <= sizeof("5.255.255") - 1) {
        p = ngx_sprintf(p, (code != 0) ? " %V" : "%V", status);
    }

    known.data = text;
    known.len = p - text;

    if (known.len > 0
        && ngx_comms_json_set_str(event, "code", &known) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (json_object_set_new(event, "status", json_string("bounced")) != 0
        || json_object_set_new(event, "verdict",
                               json_string(ngx_comms_smtp_verdict(verdict)))
           != 0
        || json_object_set_new(event, "label", json_string(error->label)) != 0
        || json_object_set_new(event, "words", json_string(error->words))
           != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* a 4yz or 5yz that stands alone; 0 when there is none */

static ngx_uint_t
ngx_comms_email_reply_code(ngx_str_t *text)
{
    u_char  *p, *last;

    last = text->data + text->len;

    for (p = text->data; last - p >= 3; p++) {

        if ((p[0] != '4' && p[0] != '5') || p[1] < '0' || p[1] > '5'
            || p[2] < '0' || p[2] > '9')
        {
            continue;
        }

        if (p > text->data && p[-1] != ' ' && p[-1] != '\n' && p[-1] != ':'
            && p[-1] != ';' && p[-1] != '(' && p[-1] != '\'' && p[-1] != '"')
        {
            continue;
        }

        if (last - p == 3 || p[3] == ' ' || p[3] == '-' || p[3] == '\r'
            || p[3] == '\n')
        {
            return (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
        }
    }

    return 0;
}


/* somebody pressed "this is spam", and their mailbox's provider tells us */

static ngx_int_t
ngx_comms_email_complaint(ngx_pool_t *pool, ngx_comms_email_report_t *report,
    ngx_str_t *type, json_t *event, const char **words)
{
    ngx_int_t  rc;
    ngx_str_t  to;

    *words = "feedback that is no complaint of a known person";

    if (!ngx_comms_email_holds(type, "abuse")) {
        return NGX_DECLINED;
    }

    rc = ngx_comms_email_named(pool, &report->status, "Original-Rcpt-To",
                               &to);

    if (rc == NGX_DECLINED) {
        rc = ngx_comms_email_named(pool, &report->original, "To", &to);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_comms_email_person(pool, &to, event);
    if (rc != NGX_OK) {
        return rc;
    }

    if (json_object_set_new(event, "opted_out", json_true()) != 0
        || json_object_set_new(event, "proof",
                               json_string("complaint: feedback report"))
           != 0)
    {
        return NGX_ERROR;
    }

    (void) json_object_del(event, "person_name");

    return NGX_OK;
}


static ngx_int_t
ngx_comms_email_about(ngx_comms_email_subject_t *about, const char *kind,
    json_t *event)
{
    u_char     buf[NGX_COMMS_EMAIL_MAX_ID];
    ngx_str_t  id;

    json_object_clear(event);

    /* as ours are made: relays change the letter case of a domain */

    id.data = buf;
    id.len = about->message_id.len;
    ngx_strlow(buf, about->message_id.data, id.len);

    if (ngx_comms_json_set_str(event, "marker", &about->marker) != NGX_OK
        || ngx_comms_json_set_str(event, "provider_message_id", &id) != NGX_OK
        || ngx_comms_json_set_str(event, "channel",
                                  &ngx_comms_channel_names[NGX_COMMS_EMAIL])
           != NGX_OK
        || json_object_set_new(event, "kind", json_string(kind)) != 0
        || json_object_set_new(event, "at",
                               json_integer(ngx_comms_clock_ms()))
           != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * The fields of a recipient (RFC 3464 2.1: groups with an empty line between
 * them): of one that failed, else of the first one
 */

static ngx_int_t
ngx_comms_email_group(ngx_str_t *blob, ngx_str_t *group)
{
    u_char      *p, *next, *last;
    ngx_int_t    rc;
    ngx_str_t    one;
    ngx_uint_t   blank;

    rc = NGX_DECLINED;
    one.data = blob->data;
    last = blob->data + blob->len;

    for (p = blob->data; p < last; p = next) {

        next = ngx_strlchr(p, last, '\n');
        next = (next != NULL) ? next + 1 : last;

        blank = (*p == '\n' || (*p == '\r' && next - p == 2));

        if (!blank && next < last) {
            continue;
        }

        one.len = (blank ? p : next) - one.data;

        if (ngx_comms_email_holds(&one, "action:")) {

            if (rc == NGX_DECLINED
                || ngx_comms_email_holds(&one, "action: failed"))
            {
                *group = one;
                rc = NGX_OK;
            }

            if (ngx_comms_email_holds(&one, "action: failed")) {
                break;
            }
        }

        one.data = next;
    }

    return rc;
}


/*
 * The value of the first field of that name, unfolded, in the pool; and an
 * empty one with NGX_DECLINED
 */

static ngx_int_t
ngx_comms_email_named(ngx_pool_t *pool, ngx_str_t *block, const char *name,
    ngx_str_t *value)
{
    u_char     *p, *next, *last;
    size_t      len;
    ngx_str_t   text;

    ngx_str_null(value);

    len = ngx_strlen(name);
    last = block->data + block->len;

    for (p = block->data; p < last; p = next) {

        next = ngx_strlchr(p, last, '\n');
        next = (next != NULL) ? next + 1 : last;

        if ((size_t) (last - p) <= len || p[len] != ':'
            || ngx_strncasecmp(p, (u_char *) name, len) != 0)
        {
            continue;
        }

        while (next < last && (*next == ' ' || *next == '\t')) {
            next = ngx_strlchr(next, last, '\n');
            next = (next != NULL) ? next + 1 : last;
        }

        text.data = p + len + 1;
        text.len = next - text.data;

        return ngx_comms_one_line(pool, &text, value);
    }

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_comms_email_holds(ngx_str_t *text, const char *word)
{
    size_t  len;

    len = ngx_strlen(word);

    return text->len >= len
           && ngx_strlcasestrn(text->data, text->data + text->len,
                               (u_char *) word, len - 1)
              != NULL;
}
