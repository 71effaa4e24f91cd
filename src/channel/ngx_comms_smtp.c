
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Email by a mail server (SMTP submission): what is handed to it, and what its
 * reply means.
 *
 * The request is a whole mail and its envelope; who sends it is not known
 * here.  The sender of the envelope is the Reply-To address where there is
 * one, token and all: reports about mails that cannot be delivered then come
 * back by the same way as answers (RFC 5321 4.4, 6.1).
 *
 * A reply of the mail server is believed: 2yz took the mail over, 4yz and 5yz
 * did not (RFC 5321 4.2.1).  Where none came behind the end of the data, it
 * may have been taken over.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_address.h>
#include <channel/ngx_comms_credentials.h>
#include <channel/ngx_comms_email.h>
#include <channel/ngx_comms_smtp.h>


#define NGX_COMMS_SMTP_MIN_SECRET  16
#define NGX_COMMS_SMTP_MAX_SECRETS 8
#define NGX_COMMS_SMTP_MAX_ID      128     /* bytes of a queue id */
#define NGX_COMMS_SMTP_MAX_REPLY   2048    /* bytes of a reply looked at */


static ngx_int_t ngx_comms_smtp_build(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, json_t *credentials,
    ngx_comms_request_t *rq, const char **words);
static ngx_int_t ngx_comms_smtp_read(ngx_pool_t *pool,
    ngx_comms_answer_t *an, ngx_comms_sent_t *sent);
static ngx_int_t ngx_comms_smtp_queue_id(ngx_pool_t *pool, ngx_str_t *reply,
    ngx_str_t *id);
static ngx_int_t ngx_comms_smtp_read_error(ngx_pool_t *pool,
    ngx_comms_answer_t *an, ngx_str_t *reply, ngx_comms_sent_t *sent);
static void ngx_comms_smtp_judge(ngx_comms_sent_t *sent,
    ngx_comms_send_e verdict, const char *label, const char *words);
static ngx_int_t ngx_comms_smtp_check(json_t *credentials,
    const char **field, const char **words);


ngx_comms_provider_t  ngx_comms_smtp = {
    ngx_string("smtp"),

    ngx_comms_smtp_build,
    ngx_comms_smtp_read,
    ngx_comms_smtp_verify,
    ngx_comms_smtp_parse,

    ngx_comms_smtp_attachment,

    NULL, NULL, NULL,

    ngx_string("text/plain"),
    ngx_null_string,

    ngx_comms_smtp_check,

    1 << NGX_COMMS_EMAIL
};


static const char  *ngx_comms_smtp_members[] = {
    "provider",
    "username",
    "password",
    "inbound_secrets",
    "reply_keys",
    NULL
};


static ngx_int_t
ngx_comms_smtp_build(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    json_t *credentials, ngx_comms_request_t *rq, const char **words)
{
    ngx_comms_mail_t  *mail;

    *words = ngx_comms_email_unfit(message);
    if (*words != NULL) {
        return NGX_DECLINED;
    }

    if (ngx_comms_request_init(rq, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    mail = ngx_pcalloc(pool, sizeof(ngx_comms_mail_t));
    if (mail == NULL) {
        return NGX_ERROR;
    }

    mail->from = (message->reply_to.len > 0)
                 ? message->reply_to
                 : ngx_comms_address_bare(&message->company_address);

    mail->to = ngx_comms_address_bare(&message->person_address);

    if (ngx_comms_json_str(credentials, "username", &mail->username)
        == NGX_ERROR
        || ngx_comms_json_str(credentials, "password", &mail->password)
           == NGX_ERROR)
    {
        *words = "the credentials have no usable username and password";
        return NGX_DECLINED;
    }

    rq->mail = mail;

    return ngx_comms_smtp_mail(pool, message, rq, words);
}


static ngx_int_t
ngx_comms_smtp_read(ngx_pool_t *pool, ngx_comms_answer_t *an,
    ngx_comms_sent_t *sent)
{
    ngx_str_t  reply;

    ngx_memzero(sent, sizeof(ngx_comms_sent_t));

    if (an->outcome == NGX_COMMS_EXCHANGE_UNSENT) {
        ngx_comms_smtp_judge(sent, NGX_COMMS_SEND_RETRY, "unsent",
                             "the mail server could not be reached");
        return NGX_OK;
    }

    if (an->outcome != NGX_COMMS_EXCHANGE_COMPLETE) {
        ngx_comms_smtp_judge(sent, NGX_COMMS_SEND_UNKNOWN, "no_answer",
                             "no reply came from the mail server when it had "
                             "the mail");
        return NGX_OK;
    }

    reply = an->body;
    reply.len = ngx_min(reply.len, NGX_COMMS_SMTP_MAX_REPLY);

    if (an->status / 100 == 2) {
        ngx_comms_smtp_judge(sent, NGX_COMMS_SENT, "sent", "sent");

        return ngx_comms_smtp_queue_id(pool, &reply,
                                       &sent->provider_message_id);
    }

    if (an->status / 100 == 4 || an->status / 100 == 5) {
        return ngx_comms_smtp_read_error(pool, an, &reply, sent);
    }

    ngx_comms_smtp_judge(sent, NGX_COMMS_SEND_UNKNOWN, "unreadable_answer",
                         "what the mail server replied is no reply to a mail");

    return NGX_OK;
}


/*
 * What the mail server calls the mail: behind "queued as " (Postfix, Exchange)
 * or "id=" (Exim).  RFC 5321 says nothing about it; empty when not found.
 */

static ngx_int_t
ngx_comms_smtp_queue_id(ngx_pool_t *pool, ngx_str_t *reply, ngx_str_t *id)
{
    u_char      *p, *s, *last;
    size_t       len;
    ngx_uint_t   i;

    static const char *const  marks[] = { "queued as ", "id=", NULL };

    ngx_str_null(id);

    last = reply->data + reply->len;

    for (i = 0; marks[i] != NULL; i++) {

        len = ngx_strlen(marks[i]);

        if (reply->len <= len) {
            continue;
        }

        p = ngx_strlcasestrn(reply->data, last, (u_char *) marks[i], len - 1);

        if (p == NULL) {
            continue;
        }

        p += len;

        for (s = p; s < last && s - p < NGX_COMMS_SMTP_MAX_ID; s++) {

            if ((*s < '0' || *s > '9') && (*s < 'A' || *s > 'Z')
                && (*s < 'a' || *s > 'z') && *s != '-' && *s != '_')
            {
                break;
            }
        }

        if (s == p) {
            continue;
        }

        id->len = s - p;
        id->data = p;
        id->data = ngx_pstrdup(pool, id);

        return (id->data != NULL) ? NGX_OK : NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_smtp_read_error(ngx_pool_t *pool, ngx_comms_answer_t *an,
    ngx_str_t *reply, ngx_comms_sent_t *sent)
{
    u_char                        *p;
    ngx_str_t                      status;
    const ngx_comms_smtp_error_t  *error;

    /* a code of another class belongs to something else in the text */

    if (ngx_comms_smtp_status(reply, &status) != NGX_OK
        || (ngx_uint_t) (status.data[0] - '0') != an->status / 100)
    {
        ngx_str_null(&status);
    }

    error = ngx_comms_smtp_error(an->status, &status);

    ngx_comms_smtp_judge(sent, error->verdict, error->label, error->words);

    if (an->status / 100 == 4) {
        sent->verdict = NGX_COMMS_SEND_RETRY;

    } else if (sent->verdict == NGX_COMMS_SEND_RETRY) {
        sent->verdict = NGX_COMMS_SEND_REFUSED;
    }

    /* never the text, which may hold addresses */

    p = ngx_pnalloc(pool, NGX_INT_T_LEN + 1 + status.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    sent->code.data = p;

    p = ngx_sprintf(p, "%ui", an->status);

    if (status.len > 0) {
        p = ngx_sprintf(p, " %V", &status);
    }

    sent->code.len = p - sent->code.data;

    return NGX_OK;
}


static void
ngx_comms_smtp_judge(ngx_comms_sent_t *sent, ngx_comms_send_e verdict,
    const char *label, const char *words)
{
    sent->verdict = verdict;
    sent->label = label;
    sent->words = words;
}


static ngx_int_t
ngx_comms_smtp_check(json_t *credentials, const char **field,
    const char **words)
{
    json_t  *username, *password;

    *field = ngx_comms_credentials_unknown(credentials,
                                           ngx_comms_smtp_members);
    if (*field != NULL) {
        *words = "is unknown; allowed are username, password, "
                 "inbound_secrets and reply_keys";
        return NGX_DECLINED;
    }

    username = json_object_get(credentials, "username");
    password = json_object_get(credentials, "password");

    *words = "must be a string of 1 to 256 visible characters, and username "
             "and password be both there or both not";

    *field = "username";

    if ((username == NULL) != (password == NULL)
        || (username != NULL && !ngx_comms_credentials_secret(username, 1)))
    {
        return NGX_DECLINED;
    }

    *field = "password";

    if (password != NULL && !ngx_comms_credentials_secret(password, 1)) {
        return NGX_DECLINED;
    }

    *words = "must be an array of 1 to 8 strings of 16 to 256 visible "
             "characters";

    *field = "inbound_secrets";

    if (!ngx_comms_credentials_secrets(json_object_get(credentials, *field),
                                       1, NGX_COMMS_SMTP_MAX_SECRETS,
                                       NGX_COMMS_SMTP_MIN_SECRET))
    {
        return NGX_DECLINED;
    }

    *field = "reply_keys";

    if (!ngx_comms_credentials_secrets(json_object_get(credentials, *field),
                                       1, NGX_COMMS_SMTP_MAX_SECRETS,
                                       NGX_COMMS_SMTP_MIN_SECRET))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}
