
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * SendGrid's v3/mail/send: email, the way out.
 *
 * The mail carries a Message-ID of ours, because the one that SendGrid would
 * make is not known when it is sent, and the marker in custom_args, which
 * every event about it brings back.  It says that a machine made it
 * (RFC 3834), so that a machine at the other end keeps silent.
 *
 * SendGrid has no idempotency key, so that "may have been taken over" is never
 * called a failure.  A 5xx is such: it may come from a proxy that had passed
 * the mail on.  The exception is a 503 with SendGrid's own errors in it, which
 * only SendGrid itself writes, and only instead of taking the mail.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_address.h>
#include <channel/ngx_comms_email.h>
#include <channel/ngx_comms_sendgrid.h>


#define NGX_COMMS_SENDGRID_MAX_SUBJECT     255     /* code points */
#define NGX_COMMS_SENDGRID_MAX_NAME        128
#define NGX_COMMS_SENDGRID_MAX_REFERENCES  900     /* RFC 5322 2.1.1: 998 */
#define NGX_COMMS_SENDGRID_MAX_URL         900     /* the same */
#define NGX_COMMS_SENDGRID_MAX_WAIT        3600    /* seconds */
#define NGX_COMMS_SENDGRID_MAX_ID          128
#define NGX_COMMS_SENDGRID_MAX_FIELD       64


static ngx_int_t ngx_comms_sendgrid_build(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, json_t *credentials,
    ngx_comms_request_t *rq, const char **words);
static ngx_int_t ngx_comms_sendgrid_request(ngx_pool_t *pool,
    json_t *credentials, ngx_comms_request_t *rq);
static ngx_int_t ngx_comms_sendgrid_mail(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, json_t *mail);
static ngx_int_t ngx_comms_sendgrid_recipient(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, json_t *mail);
static ngx_int_t ngx_comms_sendgrid_bodies(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, json_t *mail);
static ngx_int_t ngx_comms_sendgrid_attachments(
    ngx_comms_outbound_t *message, json_t *mail);
static ngx_int_t ngx_comms_sendgrid_headers(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, json_t *mail);
static ngx_int_t ngx_comms_sendgrid_unsubscribe(ngx_pool_t *pool,
    ngx_str_t *url, json_t *headers);
static ngx_int_t ngx_comms_sendgrid_references(ngx_pool_t *pool,
    ngx_str_t *references, ngx_str_t *text);
static ngx_int_t ngx_comms_sendgrid_line(ngx_pool_t *pool, ngx_str_t *text,
    size_t max, ngx_str_t *line);
static json_t *ngx_comms_sendgrid_party(ngx_str_t *email, ngx_str_t *name);
static json_t *ngx_comms_sendgrid_body(const char *type, ngx_str_t *text);
static ngx_int_t ngx_comms_sendgrid_read(ngx_pool_t *pool,
    ngx_comms_answer_t *an, ngx_comms_sent_t *sent);
static ngx_int_t ngx_comms_sendgrid_read_taken(ngx_pool_t *pool,
    ngx_comms_answer_t *an, ngx_comms_sent_t *sent);
static ngx_int_t ngx_comms_sendgrid_read_error(ngx_pool_t *pool,
    ngx_comms_answer_t *an, ngx_comms_sent_t *sent);
static ngx_int_t ngx_comms_sendgrid_code(ngx_pool_t *pool, ngx_uint_t status,
    ngx_str_t *field, ngx_str_t *code);
static void ngx_comms_sendgrid_wait(ngx_comms_answer_t *an,
    ngx_comms_sent_t *sent);
static void ngx_comms_sendgrid_verdict(ngx_comms_sent_t *sent,
    ngx_comms_send_e verdict, const char *label, const char *words);


ngx_comms_provider_t  ngx_comms_sendgrid = {
    ngx_string("sendgrid"),

    ngx_comms_sendgrid_build,
    ngx_comms_sendgrid_read,
    ngx_comms_sendgrid_verify,
    ngx_comms_sendgrid_parse,

    ngx_comms_sendgrid_attachment,

    NULL, NULL, NULL,

    ngx_string("text/plain"),
    ngx_null_string,

    ngx_comms_sendgrid_check,

    1 << NGX_COMMS_EMAIL
};


static ngx_int_t
ngx_comms_sendgrid_build(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    json_t *credentials, ngx_comms_request_t *rq, const char **words)
{
    json_t     *mail;
    ngx_int_t   rc;

    *words = ngx_comms_email_unfit(message);
    if (*words != NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_comms_sendgrid_request(pool, credentials, rq);
    if (rc != NGX_OK) {
        *words = "the credentials have no usable api_key";
        return rc;
    }

    mail = json_object();
    if (mail == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_comms_sendgrid_mail(pool, message, mail);

    if (rc == NGX_OK) {
        rc = ngx_comms_json_dump(pool, mail, &rq->body);
    }

    json_decref(mail);

    return rc;
}


static ngx_int_t
ngx_comms_sendgrid_request(ngx_pool_t *pool, json_t *credentials,
    ngx_comms_request_t *rq)
{
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t   key, value;

    if (ngx_comms_json_str(credentials, "api_key", &key) != NGX_OK
        || key.len == 0)
    {
        return NGX_DECLINED;
    }

    if (ngx_comms_request_init(rq, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&rq->method, "POST");
    ngx_str_set(&rq->path, "v3/mail/send");

    p = ngx_pnalloc(pool, sizeof("Bearer ") - 1 + key.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    value.len = ngx_sprintf(p, "Bearer %V", &key) - p;

    rc = ngx_comms_request_header(rq, "Authorization", &value);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_set(&value, "application/json");

    return ngx_comms_request_header(rq, "Content-Type", &value);
}


static ngx_int_t
ngx_comms_sendgrid_mail(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    json_t *mail)
{
    json_t     *tracking;
    ngx_str_t   email, name, subject;

    email = ngx_comms_address_bare(&message->company_address);

    if (ngx_comms_sendgrid_line(pool, &message->sender_name,
                                NGX_COMMS_SENDGRID_MAX_NAME, &name)
        != NGX_OK
        || ngx_comms_sendgrid_line(pool, &message->subject,
                                   NGX_COMMS_SENDGRID_MAX_SUBJECT, &subject)
           != NGX_OK
        || ngx_comms_sendgrid_recipient(pool, message, mail) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* SendGrid demands a subject */

    if (subject.len == 0) {
        subject = name;
    }

    if (subject.len == 0) {
        ngx_str_set(&subject, "(no subject)");
    }

    if (json_object_set_new(mail, "from",
                            ngx_comms_sendgrid_party(&email, &name))
        != 0
        || ngx_comms_json_set_str(mail, "subject", &subject) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_str_null(&name);

    if (message->reply_to.len
        && json_object_set_new(mail, "reply_to",
                               ngx_comms_sendgrid_party(&message->reply_to,
                                                        &name))
           != 0)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_sendgrid_bodies(pool, message, mail) != NGX_OK
        || ngx_comms_sendgrid_attachments(message, mail) != NGX_OK
        || ngx_comms_sendgrid_headers(pool, message, mail) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* what a person reads and clicks is nobody's business here */

    tracking = json_pack("{s:{s:b,s:b},s:{s:b}}",
                         "click_tracking", "enable", 0, "enable_text", 0,
                         "open_tracking", "enable", 0);

    return (json_object_set_new(mail, "tracking_settings", tracking) == 0)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_sendgrid_recipient(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    json_t *mail)
{
    json_t     *args, *to;
    ngx_str_t   email, name;

    email = ngx_comms_address_bare(&message->person_address);

    if (ngx_comms_sendgrid_line(pool, &message->person_name,
                                NGX_COMMS_SENDGRID_MAX_NAME, &name)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    to = json_pack("[{s:[o]}]", "to",
                   ngx_comms_sendgrid_party(&email, &name));

    if (json_object_set_new(mail, "personalizations", to) != 0) {
        return NGX_ERROR;
    }

    if (message->marker.len == 0) {
        return NGX_OK;
    }

    args = json_object();

    if (json_object_set_new(json_array_get(to, 0), "custom_args", args) != 0) {
        return NGX_ERROR;
    }

    return ngx_comms_json_set_str(args, "comms_effect", &message->marker);
}


static ngx_int_t
ngx_comms_sendgrid_bodies(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    json_t *mail)
{
    json_t     *content;
    ngx_str_t   html;

    if (ngx_comms_email_text_html(pool, &message->content, &html) != NGX_OK) {
        return NGX_ERROR;
    }

    /* RFC 2046 5.1.4, and SendGrid demands it: the plainest one first */

    content = json_pack("[o,o]",
                        ngx_comms_sendgrid_body("text/plain",
                                                &message->content),
                        ngx_comms_sendgrid_body("text/html", &html));

    return (json_object_set_new(mail, "content", content) == 0)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_comms_sendgrid_attachments(ngx_comms_outbound_t *message, json_t *mail)
{
    json_t  *list, *medium, *name, *file;
    size_t   i;

    if (json_array_size(message->media) == 0) {
        return NGX_OK;
    }

    list = json_array();

    if (json_object_set_new(mail, "attachments", list) != 0) {
        return NGX_ERROR;
    }

    json_array_foreach(message->media, i, medium) {

        name = json_object_get(medium, "filename");

        /* SendGrid demands a file name */

        file = json_pack("{s:O,s:s,s:s*,s:s}",
                         "content", json_object_get(medium, "content"),
                         "filename", json_is_string(name)
                                     ? json_string_value(name) : "attachment",
                         "type", json_string_value(
                                     json_object_get(medium, "content_type")),
                         "disposition", "attachment");

        if (json_array_append_new(list, file) != 0) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* RFC 2369 3.2, RFC 8058 3.1 */

static ngx_int_t
ngx_comms_sendgrid_unsubscribe(ngx_pool_t *pool, ngx_str_t *url,
    json_t *headers)
{
    u_char     *p;
    ngx_str_t   value;

    if (!ngx_comms_email_url(url) || url->len > NGX_COMMS_SENDGRID_MAX_URL) {
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, url->len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    value.len = ngx_sprintf(p, "<%V>", url) - p;

    if (ngx_comms_json_set_str(headers, "List-Unsubscribe", &value) != NGX_OK
        || json_object_set_new(headers, "List-Unsubscribe-Post",
                               json_string("List-Unsubscribe=One-Click"))
           != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_sendgrid_headers(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    json_t *mail)
{
    json_t      *headers;
    ngx_str_t    references, line;
    ngx_uint_t   i;

    struct {
        const char  *name;
        ngx_str_t   *value;

    } fields[] = {
        { "Message-ID", &message->message_id },
        { "In-Reply-To", &message->in_reply_to },
        { "References", &references },
        { NULL, NULL }
    };

    if (ngx_comms_sendgrid_references(pool, &message->references,
                                      &references)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    headers = json_pack("{s:s,s:s}", "Auto-Submitted", "auto-generated",
                        "X-Auto-Response-Suppress", "All");

    if (json_object_set_new(mail, "headers", headers) != 0
        || ngx_comms_sendgrid_unsubscribe(pool, &message->unsubscribe,
                                          headers)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; fields[i].name != NULL; i++) {

        if (ngx_comms_one_line(pool, fields[i].value, &line) != NGX_OK) {
            return NGX_ERROR;
        }

        if (line.len > 0
            && ngx_comms_utf8_valid(&line)
            && ngx_comms_json_set_str(headers, fields[i].name, &line)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * A line of a header has its limit: the first id, which began the
 * conversation, and as many of the newest as fit
 */

static ngx_int_t
ngx_comms_sendgrid_references(ngx_pool_t *pool, ngx_str_t *references,
    ngx_str_t *text)
{
    u_char     *p, *first;
    size_t      len;
    ngx_str_t   line;

    if (ngx_comms_one_line(pool, references, &line) != NGX_OK) {
        return NGX_ERROR;
    }

    *text = line;

    if (line.len <= NGX_COMMS_SENDGRID_MAX_REFERENCES) {
        return NGX_OK;
    }

    first = ngx_strlchr(line.data, line.data + line.len, ' ');

    len = (first != NULL) ? first - line.data : 0;

    if (len == 0 || len > NGX_COMMS_SENDGRID_MAX_REFERENCES / 2) {
        ngx_str_null(text);
        return NGX_OK;
    }

    p = line.data + line.len - (NGX_COMMS_SENDGRID_MAX_REFERENCES - len - 1);

    while (p < line.data + line.len && p[-1] != ' ') {
        p++;
    }

    text->len = len;

    if (p < line.data + line.len) {
        text->data = ngx_pnalloc(pool, len + 1 + (line.data + line.len - p));
        if (text->data == NULL) {
            return NGX_ERROR;
        }

        first = ngx_cpymem(text->data, line.data, len);
        *first++ = ' ';
        first = ngx_cpymem(first, p, line.data + line.len - p);

        text->len = first - text->data;
    }

    return NGX_OK;
}


/* free of line ends, so that it cannot begin another header */

static ngx_int_t
ngx_comms_sendgrid_line(ngx_pool_t *pool, ngx_str_t *text, size_t max,
    ngx_str_t *line)
{
    ngx_str_t  whole;

    if (ngx_comms_one_line(pool, text, &whole) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_shorten(pool, &whole, max, line);
}


/* NULL when out of memory */

static json_t *
ngx_comms_sendgrid_party(ngx_str_t *email, ngx_str_t *name)
{
    json_t  *party;

    party = json_object();
    if (party == NULL) {
        return NULL;
    }

    if (ngx_comms_json_set_str(party, "email", email) != NGX_OK
        || (name->len > 0
            && ngx_comms_json_set_str(party, "name", name) != NGX_OK))
    {
        json_decref(party);
        return NULL;
    }

    return party;
}


static json_t *
ngx_comms_sendgrid_body(const char *type, ngx_str_t *text)
{
    json_t  *body;

    body = json_pack("{s:s}", "type", type);
    if (body == NULL) {
        return NULL;
    }

    if (ngx_comms_json_set_str(body, "value", text) != NGX_OK) {
        json_decref(body);
        return NULL;
    }

    return body;
}


static ngx_int_t
ngx_comms_sendgrid_read(ngx_pool_t *pool, ngx_comms_answer_t *an,
    ngx_comms_sent_t *sent)
{
    ngx_memzero(sent, sizeof(ngx_comms_sent_t));

    if (an->outcome == NGX_COMMS_EXCHANGE_UNSENT) {
        ngx_comms_sendgrid_verdict(sent, NGX_COMMS_SEND_RETRY, "unsent",
                                   "SendGrid could not be reached");
        return NGX_OK;
    }

    if (an->outcome != NGX_COMMS_EXCHANGE_COMPLETE) {
        ngx_comms_sendgrid_verdict(sent, NGX_COMMS_SEND_UNKNOWN, "no_answer",
                                   "no whole answer came from SendGrid");
        return NGX_OK;
    }

    if (an->status >= 200 && an->status < 300) {
        return ngx_comms_sendgrid_read_taken(pool, an, sent);
    }

    return ngx_comms_sendgrid_read_error(pool, an, sent);
}


static ngx_int_t
ngx_comms_sendgrid_read_taken(ngx_pool_t *pool, ngx_comms_answer_t *an,
    ngx_comms_sent_t *sent)
{
    ngx_str_t  *id;

    id = ngx_comms_answer_header(an, "X-Message-Id");

    if (id == NULL || id->len == 0 || id->len > NGX_COMMS_SENDGRID_MAX_ID
        || !ngx_comms_utf8_valid(id))
    {
        ngx_comms_sendgrid_verdict(sent, NGX_COMMS_SEND_UNKNOWN,
                                   "unreadable_answer",
                                   "an answer of success names no message");
        return NGX_OK;
    }

    sent->provider_message_id.len = id->len;
    sent->provider_message_id.data = ngx_pstrdup(pool, id);
    if (sent->provider_message_id.data == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sendgrid_verdict(sent, NGX_COMMS_SENT, "sent", "sent");

    return NGX_OK;
}


static ngx_int_t
ngx_comms_sendgrid_read_error(ngx_pool_t *pool, ngx_comms_answer_t *an,
    ngx_comms_sent_t *sent)
{
    json_t                            *answer, *errors;
    ngx_int_t                          rc;
    ngx_str_t                          field;
    ngx_comms_json_error_t             err;
    const ngx_comms_sendgrid_error_t  *error;

    /* a 413 may be a page of HTML: no JSON is no mistake */

    answer = ngx_comms_json_parse(&an->body, &err);
    errors = json_object_get(answer, "errors");

    ngx_str_null(&field);
    (void) ngx_comms_json_str(json_array_get(errors, 0), "field", &field);

    rc = ngx_comms_sendgrid_code(pool, an->status, &field, &sent->code);

    if (an->status < 500) {
        error = ngx_comms_sendgrid_error(an->status, &field);

        ngx_comms_sendgrid_verdict(sent, error->verdict, error->label,
                                   error->words);

    } else if (an->status == 503 && json_array_size(errors) > 0) {
        ngx_comms_sendgrid_verdict(sent, NGX_COMMS_SEND_RETRY, "unavailable",
                                   "SendGrid says that it is unavailable");

    } else {
        ngx_comms_sendgrid_verdict(sent, NGX_COMMS_SEND_UNKNOWN,
                                   "server_error",
                                   "SendGrid failed and may have taken the "
                                   "mail over");
    }

    json_decref(answer);

    if (sent->verdict == NGX_COMMS_SEND_RETRY) {
        ngx_comms_sendgrid_wait(an, sent);
    }

    return rc;
}


/* "400" or "400 from.email": never the message, which may hold addresses */

static ngx_int_t
ngx_comms_sendgrid_code(ngx_pool_t *pool, ngx_uint_t status,
    ngx_str_t *field, ngx_str_t *code)
{
    u_char  *p, ch;
    size_t   i, len;

    len = ngx_min(field->len, NGX_COMMS_SENDGRID_MAX_FIELD);

    for (i = 0; i < len; i++) {
        ch = ngx_tolower(field->data[i]);

        if ((ch < 'a' || ch > 'z') && (ch < '0' || ch > '9')
            && ch != '.' && ch != '_' && ch != '[' && ch != ']')
        {
            len = 0;
        }
    }

    p = ngx_pnalloc(pool, NGX_INT_T_LEN + 1 + len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    code->data = p;

    p = ngx_sprintf(p, "%ui", status);

    if (len > 0) {
        *p++ = ' ';
        p = ngx_cpymem(p, field->data, len);
    }

    code->len = p - code->data;

    return NGX_OK;
}


static void
ngx_comms_sendgrid_wait(ngx_comms_answer_t *an, ngx_comms_sent_t *sent)
{
    time_t      reset;
    int64_t     seconds;
    ngx_str_t  *value;

    value = ngx_comms_answer_header(an, "X-RateLimit-Reset");
    if (value == NULL) {
        return;
    }

    reset = ngx_atotm(value->data, value->len);
    if (reset == (time_t) NGX_ERROR) {
        return;
    }

    seconds = (int64_t) reset - ngx_comms_clock_ms() / 1000;

    if (seconds > 0) {
        sent->retry_after = ngx_min(seconds, NGX_COMMS_SENDGRID_MAX_WAIT)
                            * 1000;
    }
}


static void
ngx_comms_sendgrid_verdict(ngx_comms_sent_t *sent, ngx_comms_send_e verdict,
    const char *label, const char *words)
{
    sent->verdict = verdict;
    sent->label = label;
    sent->words = words;
}
