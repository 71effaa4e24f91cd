
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A whole mail (RFC 5322): text, and what is attached.
 *
 *   no attachments   text/plain
 *   attachments      multipart/mixed of text/plain and each of them
 *
 * It says that a machine wrote it (RFC 3834 5, and the field that Exchange
 * looks at), so that a machine at the other end keeps silent.  Signing it
 * (DKIM) is the mail server's work, which has the keys.
 *
 * A boundary begins with "=_", which neither quoted-printable nor base64 can
 * hold (RFC 2045 6.7), so that no content can contain it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_address.h>
#include <channel/ngx_comms_email.h>
#include <channel/ngx_comms_email_write.h>
#include <channel/ngx_comms_smtp.h>


#define NGX_COMMS_SMTP_MAX_NAME      128         /* code points */
#define NGX_COMMS_SMTP_MAX_SUBJECT   255
#define NGX_COMMS_SMTP_MAX_FILENAME  100
#define NGX_COMMS_SMTP_MAX_TYPE      127         /* RFC 6838 4.2 */
#define NGX_COMMS_SMTP_MAX_URL       900         /* RFC 5322 2.1.1: 998 */
#define NGX_COMMS_SMTP_MAX_MAIL      26214400    /* bytes: what the large
                                                    mailboxes take */
#define NGX_COMMS_SMTP_BOUNDARY      32


static ngx_int_t ngx_comms_smtp_parties(ngx_comms_email_text_t *out,
    ngx_comms_outbound_t *message);
static void ngx_comms_smtp_date(ngx_comms_email_text_t *out);
static ngx_int_t ngx_comms_smtp_ids(ngx_comms_email_text_t *out,
    ngx_comms_outbound_t *message);
static void ngx_comms_smtp_unsubscribe(ngx_comms_email_text_t *out,
    ngx_str_t *url);
static ngx_int_t ngx_comms_smtp_body(ngx_comms_email_text_t *out,
    ngx_comms_outbound_t *message, const char **words);
static ngx_int_t ngx_comms_smtp_part(ngx_comms_email_text_t *out,
    json_t *medium);
static ngx_uint_t ngx_comms_smtp_type_valid(ngx_str_t *type);
static ngx_int_t ngx_comms_smtp_line(ngx_pool_t *pool, ngx_str_t *text,
    size_t max, ngx_str_t *line);
static ngx_uint_t ngx_comms_smtp_ascii(ngx_str_t *line);


ngx_int_t
ngx_comms_smtp_mail(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    ngx_comms_request_t *rq, const char **words)
{
    ngx_int_t               rc;
    ngx_comms_email_text_t  out;

    ngx_memzero(&out, sizeof(ngx_comms_email_text_t));
    out.pool = pool;

    ngx_comms_smtp_date(&out);

    if (ngx_comms_smtp_parties(&out, message) != NGX_OK
        || ngx_comms_smtp_ids(&out, message) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_comms_email_puts(&out, "Auto-Submitted: auto-generated" CRLF
                               "X-Auto-Response-Suppress: All" CRLF);

    ngx_comms_smtp_unsubscribe(&out, &message->unsubscribe);

    ngx_comms_email_puts(&out, "MIME-Version: 1.0" CRLF);

    rc = ngx_comms_smtp_body(&out, message, words);

    if (rc != NGX_OK) {
        return rc;
    }

    if (out.failed) {
        return NGX_ERROR;
    }

    rq->body.data = out.start;
    rq->body.len = out.pos - out.start;

    if (rq->body.len > NGX_COMMS_SMTP_MAX_MAIL) {
        *words = "the mail with its attachments is larger than 25 MB";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_smtp_parties(ngx_comms_email_text_t *out,
    ngx_comms_outbound_t *message)
{
    ngx_str_t  email, name, subject, none;

    ngx_str_null(&none);

    if (ngx_comms_smtp_line(out->pool, &message->sender_name,
                            NGX_COMMS_SMTP_MAX_NAME, &name)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    email = ngx_comms_address_bare(&message->company_address);
    ngx_comms_email_put_mailbox(out, "From", &name, &email);

    if (ngx_comms_smtp_line(out->pool, &message->person_name,
                            NGX_COMMS_SMTP_MAX_NAME, &name)
        != NGX_OK
        || ngx_comms_smtp_line(out->pool, &message->subject,
                               NGX_COMMS_SMTP_MAX_SUBJECT, &subject)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    email = ngx_comms_address_bare(&message->person_address);
    ngx_comms_email_put_mailbox(out, "To", &name, &email);

    if (message->reply_to.len > 0) {
        ngx_comms_email_put_mailbox(out, "Reply-To", &none,
                                    &message->reply_to);
    }

    if (subject.len > 0) {
        ngx_comms_email_put_words(out, "Subject", &subject);
    }

    return NGX_OK;
}


/* RFC 5322 3.3 */

static void
ngx_comms_smtp_date(ngx_comms_email_text_t *out)
{
    u_char     *p, text[sizeof("Sun, 22 Nov 2026 11:46:00 +0000") + 16];
    ngx_tm_t    tm;
    ngx_str_t   date;

    static const char *const  days[] = {
        "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"
    };

    static const char *const  months[] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun",
        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
    };

    ngx_gmtime((time_t) (ngx_comms_clock_ms() / 1000), &tm);

    p = ngx_sprintf(text, "%s, %02d %s %4d %02d:%02d:%02d +0000",
                    days[tm.ngx_tm_wday], tm.ngx_tm_mday,
                    months[tm.ngx_tm_mon - 1], tm.ngx_tm_year,
                    tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec);

    date.data = text;
    date.len = p - text;

    ngx_comms_email_put_field(out, "Date", &date);
}


static ngx_int_t
ngx_comms_smtp_ids(ngx_comms_email_text_t *out,
    ngx_comms_outbound_t *message)
{
    ngx_str_t    line;
    ngx_uint_t   i;

    struct {
        const char  *name;
        ngx_str_t   *value;

    } fields[] = {
        { "Message-ID", &message->message_id },
        { "In-Reply-To", &message->in_reply_to },
        { "References", &message->references },
        { NULL, NULL }
    };

    for (i = 0; fields[i].name != NULL; i++) {

        if (ngx_comms_one_line(out->pool, fields[i].value, &line) != NGX_OK) {
            return NGX_ERROR;
        }

        if (line.len > 0 && ngx_comms_smtp_ascii(&line)) {
            ngx_comms_email_put_field(out, fields[i].name, &line);
        }
    }

    return NGX_OK;
}


/* RFC 2369 3.2, RFC 8058 3.1 */

static void
ngx_comms_smtp_unsubscribe(ngx_comms_email_text_t *out, ngx_str_t *url)
{
    if (!ngx_comms_email_url(url) || url->len > NGX_COMMS_SMTP_MAX_URL) {
        return;
    }

    ngx_comms_email_puts(out, "List-Unsubscribe: <");
    ngx_comms_email_put(out, url);
    ngx_comms_email_puts(out, ">" CRLF "List-Unsubscribe-Post: "
                              "List-Unsubscribe=One-Click" CRLF);
}


static ngx_int_t
ngx_comms_smtp_body(ngx_comms_email_text_t *out,
    ngx_comms_outbound_t *message, const char **words)
{
    json_t     *medium;
    size_t      i;
    ngx_int_t   rc;
    ngx_str_t   boundary;

    if (json_array_size(message->media) == 0) {
        ngx_comms_email_puts(out, "Content-Type: text/plain; charset=utf-8"
                                  CRLF);
        ngx_comms_email_put_text(out, &message->content);

        return NGX_OK;
    }

    if (ngx_comms_sha256_hex(out->pool, &message->message_id, &boundary)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    boundary.len = NGX_COMMS_SMTP_BOUNDARY;

    ngx_comms_email_puts(out, "Content-Type: multipart/mixed;" CRLF
                              " boundary=\"=_");
    ngx_comms_email_put(out, &boundary);
    ngx_comms_email_puts(out, "\"" CRLF CRLF "--=_");
    ngx_comms_email_put(out, &boundary);
    ngx_comms_email_puts(out, CRLF "Content-Type: text/plain; charset=utf-8"
                              CRLF);
    ngx_comms_email_put_text(out, &message->content);

    json_array_foreach(message->media, i, medium) {

        ngx_comms_email_puts(out, CRLF "--=_");
        ngx_comms_email_put(out, &boundary);
        ngx_comms_email_puts(out, CRLF);

        rc = ngx_comms_smtp_part(out, medium);

        if (rc != NGX_OK) {
            *words = "an attachment has no content in base64";
            return rc;
        }
    }

    ngx_comms_email_puts(out, CRLF "--=_");
    ngx_comms_email_put(out, &boundary);
    ngx_comms_email_puts(out, "--" CRLF);

    return NGX_OK;
}


static ngx_int_t
ngx_comms_smtp_part(ngx_comms_email_text_t *out, json_t *medium)
{
    ngx_str_t  type, name, line, content;

    if (ngx_comms_json_str(medium, "content", &content) != NGX_OK
        || content.len == 0)
    {
        return NGX_DECLINED;
    }

    if (ngx_comms_json_str(medium, "content_type", &type) != NGX_OK
        || !ngx_comms_smtp_type_valid(&type))
    {
        ngx_str_set(&type, "application/octet-stream");
    }

    (void) ngx_comms_json_str(medium, "filename", &name);

    if (ngx_comms_smtp_line(out->pool, &name, NGX_COMMS_SMTP_MAX_FILENAME,
                            &line)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_comms_email_put_field(out, "Content-Type", &type);
    ngx_comms_email_puts(out, "Content-Disposition: attachment");

    if (line.len > 0) {
        ngx_comms_email_put_parameter(out, "filename", &line);
    }

    ngx_comms_email_puts(out, CRLF "Content-Transfer-Encoding: base64" CRLF
                              CRLF);

    return ngx_comms_email_put_base64(out, &content);
}


/* "type/subtype" of RFC 6838's characters, without parameters */

static ngx_uint_t
ngx_comms_smtp_type_valid(ngx_str_t *type)
{
    u_char       ch;
    size_t       i;
    ngx_uint_t   slashes;

    slashes = 0;

    for (i = 0; i < type->len; i++) {
        ch = type->data[i];

        if (ch == '/') {
            slashes++;

        } else if ((ch < '0' || ch > '9')
                   && ((ch | 0x20) < 'a' || (ch | 0x20) > 'z')
                   && ch != '.' && ch != '-' && ch != '+' && ch != '_')
        {
            return 0;
        }
    }

    return slashes == 1 && type->len >= 3 && type->data[0] != '/'
           && type->data[type->len - 1] != '/'
           && type->len <= NGX_COMMS_SMTP_MAX_TYPE;
}


/* free of line ends, so that it cannot begin another field */

static ngx_int_t
ngx_comms_smtp_line(ngx_pool_t *pool, ngx_str_t *text, size_t max,
    ngx_str_t *line)
{
    ngx_str_t  whole, charset, clean;

    ngx_str_null(&charset);

    if (ngx_comms_to_utf8(pool, &charset, text, &clean) != NGX_OK
        || ngx_comms_one_line(pool, &clean, &whole) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_shorten(pool, &whole, max, line);
}


static ngx_uint_t
ngx_comms_smtp_ascii(ngx_str_t *line)
{
    size_t  i;

    for (i = 0; i < line->len; i++) {
        if (line->data[i] < 0x20 || line->data[i] > 0x7e) {
            return 0;
        }
    }

    return 1;
}
