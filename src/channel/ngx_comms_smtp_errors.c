
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What mail systems say when they do not take a mail, and what that means for
 * a message: replies to a client (RFC 5321), and the status in a report about
 * a mail that came back (RFC 3464), which uses the same codes.
 *
 * The enhanced status code (RFC 3463) decides where there is one, since it
 * says why; the reply code alone says at best what.  Its class is 4 where
 * trying again may help and 5 where not, and that is kept: the verdict of a
 * row holds for class 5.
 *
 * To add a code: add a row before those that fit more.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <channel/ngx_comms_smtp.h>


#define NGX_COMMS_SMTP_REGISTRY                                               \
    "https://www.iana.org/assignments/smtp-enhanced-status-codes"


static ngx_uint_t ngx_comms_smtp_digits(u_char **pos, u_char *last);


static const ngx_comms_smtp_error_t  ngx_comms_smtp_statuses[] = {

    { "1.1", 0, NGX_COMMS_SEND_REFUSED, "unknown_mailbox",
      "the person's mailbox does not exist", "RFC 3463 3.2" },

    { "1.2", 0, NGX_COMMS_SEND_REFUSED, "unknown_domain",
      "the domain of the person's address takes no mail", "RFC 3463 3.2" },

    { "1.3", 0, NGX_COMMS_SEND_REFUSED, "invalid_recipient",
      "the person's address is invalid", "RFC 3463 3.2" },

    { "1.4", 0, NGX_COMMS_SEND_REFUSED, "ambiguous_recipient",
      "the person's address fits several mailboxes", "RFC 3463 3.2" },

    { "1.6", 0, NGX_COMMS_SEND_REFUSED, "mailbox_moved",
      "the person's mailbox has moved without a new address",
      "RFC 3463 3.2" },

    { "1.7", 0, NGX_COMMS_SEND_CONFIG, "invalid_sender",
      "the company's address is invalid: check company_email",
      "RFC 3463 3.2" },

    { "1.8", 0, NGX_COMMS_SEND_CONFIG, "invalid_sender",
      "the domain of company_email or reply_to does not take mail",
      "RFC 3463 3.2" },

    { "1.9", 0, NGX_COMMS_SEND_REFUSED, "recipient_relayed",
      "the mail was given to a system that cannot say what became of it",
      "RFC 5321, RFC 3886; " NGX_COMMS_SMTP_REGISTRY },

    { "1.10", 0, NGX_COMMS_SEND_REFUSED, "unknown_domain",
      "the person's domain says that it takes no mail (null MX)",
      "RFC 7505 4.2" },

    { "2.1", 0, NGX_COMMS_SEND_REFUSED, "mailbox_disabled",
      "the person's mailbox is disabled", "RFC 3463 3.3" },

    { "2.2", 0, NGX_COMMS_SEND_REFUSED, "mailbox_full",
      "the person's mailbox is full", "RFC 3463 3.3" },

    { "2.3", 0, NGX_COMMS_SEND_REFUSED, "too_large",
      "the mail is larger than the person's mailbox takes",
      "RFC 3463 3.3" },

    { "2.4", 0, NGX_COMMS_SEND_REFUSED, "mailing_list",
      "the person's address is a list that failed", "RFC 3463 3.3" },

    { "3.1", 0, NGX_COMMS_SEND_RETRY, "system_full",
      "the person's mail system is full", "RFC 3463 3.4" },

    { "3.2", 0, NGX_COMMS_SEND_RETRY, "unavailable",
      "the person's mail system takes no mail now", "RFC 3463 3.4" },

    { "3.4", 0, NGX_COMMS_SEND_REFUSED, "too_large",
      "the mail is larger than the mail system takes", "RFC 3463 3.4" },

    { "3.0", 0, NGX_COMMS_SEND_REFUSED, "system_error",
      "the person's mail system failed", "RFC 3463 3.4" },

    { "4.1", 0, NGX_COMMS_SEND_REFUSED, "no_answer_from_host",
      "the person's mail system did not answer", "RFC 3463 3.5" },

    { "4.2", 0, NGX_COMMS_SEND_REFUSED, "bad_connection",
      "the connection to the person's mail system broke", "RFC 3463 3.5" },

    { "4.3", 0, NGX_COMMS_SEND_REFUSED, "directory_failure",
      "the route of the mail could not be found", "RFC 3463 3.5" },

    { "4.4", 0, NGX_COMMS_SEND_REFUSED, "unroutable",
      "there is no route to the person's domain", "RFC 3463 3.5" },

    { "4.5", 0, NGX_COMMS_SEND_RETRY, "congested",
      "the person's mail system is congested", "RFC 3463 3.5" },

    { "4.6", 0, NGX_COMMS_SEND_REFUSED, "mail_loop",
      "the mail went round in a circle", "RFC 3463 3.5" },

    { "4.7", 0, NGX_COMMS_SEND_REFUSED, "expired",
      "the mail could not be delivered in time", "RFC 3463 3.5" },

    { "5.1", 0, NGX_COMMS_SEND_CONFIG, "protocol",
      "the mail server does not allow this command now: check TLS and "
      "username", "RFC 3463 3.6" },

    { "5.3", 0, NGX_COMMS_SEND_RETRY, "too_many_recipients",
      "too many recipients at once", "RFC 3463 3.6" },

    { "6.7", 0, NGX_COMMS_SEND_REFUSED, "no_utf8",
      "the person's mail system does not take an address like this",
      "RFC 6531; " NGX_COMMS_SMTP_REGISTRY },

    { "7.1", 0, NGX_COMMS_SEND_REFUSED, "policy",
      "the mail was refused by a policy: reputation of the sender, or spam",
      "RFC 3463 3.8" },

    { "7.2", 0, NGX_COMMS_SEND_REFUSED, "not_a_member",
      "the person's address is a list that does not take this sender",
      "RFC 3463 3.8" },

    { "7.4", 0, NGX_COMMS_SEND_CONFIG, "authentication_mechanism",
      "the mail server does not know this kind of AUTH", "RFC 4954 6" },

    { "7.5", 0, NGX_COMMS_SEND_CONFIG, "authentication",
      "the mail server refused the encryption of AUTH", "RFC 3463 3.8" },

    { "7.8", 0, NGX_COMMS_SEND_CONFIG, "authentication",
      "the mail server refused username and password", "RFC 4954 6" },

    { "7.9", 0, NGX_COMMS_SEND_CONFIG, "authentication_mechanism",
      "the mail server demands a stronger kind of AUTH", "RFC 4954 6" },

    { "7.11", 0, NGX_COMMS_SEND_CONFIG, "encryption_required",
      "the mail server demands TLS for AUTH", "RFC 4954 6" },

    { "7.12", 0, NGX_COMMS_SEND_CONFIG, "password_transition",
      "the mail server demands a login by another way first",
      "RFC 4954 6" },

    { "7.13", 0, NGX_COMMS_SEND_CONFIG, "account_disabled",
      "the account of username is disabled", "RFC 5248 3" },

    { "7.20", 0, NGX_COMMS_SEND_CONFIG, "unsigned",
      "no DKIM signature passed: let the mail server sign for "
      "company_email's domain", "RFC 7372 3.1" },

    { "7.21", 0, NGX_COMMS_SEND_CONFIG, "unsigned",
      "no acceptable DKIM signature: let the mail server sign for "
      "company_email's domain", "RFC 7372 3.1" },

    { "7.22", 0, NGX_COMMS_SEND_CONFIG, "unsigned",
      "no DKIM signature of the sender's domain", "RFC 7372 3.1" },

    { "7.23", 0, NGX_COMMS_SEND_CONFIG, "spf",
      "SPF refuses the mail server for the envelope's domain",
      "RFC 7372 3.2" },

    { "7.24", 0, NGX_COMMS_SEND_CONFIG, "spf",
      "the SPF record of the envelope's domain is broken",
      "RFC 7372 3.2" },

    { "7.25", 0, NGX_COMMS_SEND_CONFIG, "reverse_dns",
      "the mail server's address has no valid name", "RFC 7372 3.3" },

    { "7.26", 0, NGX_COMMS_SEND_CONFIG, "unauthenticated",
      "the mail passed neither DKIM nor SPF for its sender's domain",
      "RFC 7372 3.4" },

    { "7.27", 0, NGX_COMMS_SEND_CONFIG, "invalid_sender",
      "the envelope's domain says that it takes no mail (null MX)",
      "RFC 7505 4.2" },

    { "7.28", 0, NGX_COMMS_SEND_REFUSED, "flood",
      "too many mails at once", NGX_COMMS_SMTP_REGISTRY },

    { "7.57", 0, NGX_COMMS_SEND_CONFIG, "authentication",
      "the mail server demands AUTH: set username and password",
      "https://learn.microsoft.com/exchange/mail-flow-best-practices/"
      "non-delivery-reports-in-exchange-online" },

    { "7.60", 0, NGX_COMMS_SEND_CONFIG, "not_send_as",
      "username may not send as company_email",
      "https://learn.microsoft.com/exchange/troubleshoot/"
      "email-delivery/send-as-error" },

    { "7.0", 0, NGX_COMMS_SEND_REFUSED, "policy",
      "the mail was refused by a policy", "RFC 3463 3.8" }
};


static const ngx_comms_smtp_error_t  ngx_comms_smtp_codes[] = {

    { NULL, 421, NGX_COMMS_SEND_RETRY, "unavailable",
      "the mail server closes its connections now", "RFC 5321 4.2.3" },

    { NULL, 450, NGX_COMMS_SEND_RETRY, "mailbox_busy",
      "the mailbox is not available now, or the sender is greylisted",
      "RFC 5321 4.2.3, RFC 6647" },

    { NULL, 451, NGX_COMMS_SEND_RETRY, "server_error",
      "the mail server failed for now", "RFC 5321 4.2.3" },

    { NULL, 452, NGX_COMMS_SEND_RETRY, "system_full",
      "the mail server is full", "RFC 5321 4.2.3" },

    { NULL, 454, NGX_COMMS_SEND_RETRY, "temporary_authentication",
      "AUTH or TLS does not work at the mail server now",
      "RFC 4954 4.7.0, RFC 3207 4" },

    { NULL, 455, NGX_COMMS_SEND_RETRY, "parameters",
      "the mail server cannot take the parameters now", "RFC 5321 4.2.3" },

    { NULL, 500, NGX_COMMS_SEND_CONFIG, "protocol",
      "the mail server does not know the command", "RFC 5321 4.2.3" },

    { NULL, 501, NGX_COMMS_SEND_REFUSED, "syntax",
      "the mail server refuses the address or a parameter",
      "RFC 5321 4.2.3" },

    { NULL, 502, NGX_COMMS_SEND_CONFIG, "protocol",
      "the mail server does not know the command", "RFC 5321 4.2.3" },

    { NULL, 503, NGX_COMMS_SEND_CONFIG, "protocol",
      "the mail server refuses the order of commands; it may demand AUTH",
      "RFC 5321 4.2.3" },

    { NULL, 504, NGX_COMMS_SEND_CONFIG, "authentication_mechanism",
      "the mail server does not know this kind of AUTH", "RFC 4954 4" },

    { NULL, 521, NGX_COMMS_SEND_REFUSED, "unknown_domain",
      "the host takes no mail", "RFC 7504 3" },

    { NULL, 530, NGX_COMMS_SEND_CONFIG, "authentication",
      "the mail server demands AUTH, or TLS before it: check username",
      "RFC 4954 6, RFC 3207 4" },

    { NULL, 534, NGX_COMMS_SEND_CONFIG, "authentication_mechanism",
      "the mail server demands a stronger kind of AUTH", "RFC 4954 6" },

    { NULL, 535, NGX_COMMS_SEND_CONFIG, "authentication",
      "the mail server refused username and password", "RFC 4954 6" },

    { NULL, 538, NGX_COMMS_SEND_CONFIG, "encryption_required",
      "the mail server demands TLS for AUTH", "RFC 4954 6" },

    { NULL, 541, NGX_COMMS_SEND_REFUSED, "policy",
      "the mail was refused by a policy", "RFC 5321 4.2.1: fifth class" },

    { NULL, 550, NGX_COMMS_SEND_REFUSED, "mailbox_unavailable",
      "the person's mailbox does not exist, or a policy refuses the mail",
      "RFC 5321 4.2.3" },

    { NULL, 551, NGX_COMMS_SEND_REFUSED, "mailbox_moved",
      "the person's mailbox is elsewhere", "RFC 5321 4.2.3" },

    { NULL, 552, NGX_COMMS_SEND_REFUSED, "mailbox_full",
      "the person's mailbox is full, or the mail too large",
      "RFC 5321 4.2.3" },

    { NULL, 553, NGX_COMMS_SEND_REFUSED, "invalid_recipient",
      "the mail server refuses an address of the mail", "RFC 5321 4.2.3" },

    { NULL, 554, NGX_COMMS_SEND_REFUSED, "transaction_failed",
      "the mail was refused as it is", "RFC 5321 4.2.3" },

    { NULL, 555, NGX_COMMS_SEND_CONFIG, "parameters",
      "the mail server does not know the parameters of the envelope",
      "RFC 5321 4.2.3" },

    { NULL, 556, NGX_COMMS_SEND_REFUSED, "unknown_domain",
      "the domain of the person's address takes no mail", "RFC 7504 4" }
};


static const ngx_comms_smtp_error_t  ngx_comms_smtp_later = {
    NULL, 0, NGX_COMMS_SEND_RETRY, "temporary",
    "the mail was not taken for now", "RFC 5321 4.2.1: fourth class"
};


static const ngx_comms_smtp_error_t  ngx_comms_smtp_never = {
    NULL, 0, NGX_COMMS_SEND_REFUSED, "refused",
    "the mail was refused", "RFC 5321 4.2.1: fifth class"
};


const ngx_comms_smtp_error_t *
ngx_comms_smtp_error(ngx_uint_t code, ngx_str_t *status)
{
    size_t                         len;
    ngx_uint_t                     i, n;
    const ngx_comms_smtp_error_t  *known;

    n = sizeof(ngx_comms_smtp_statuses) / sizeof(ngx_comms_smtp_statuses[0]);

    for (i = 0; i < n; i++) {
        known = &ngx_comms_smtp_statuses[i];
        len = ngx_strlen(known->status);

        if (status->len == len + 2
            && ngx_strncmp(status->data + 2, known->status, len) == 0)
        {
            return known;
        }
    }

    n = sizeof(ngx_comms_smtp_codes) / sizeof(ngx_comms_smtp_codes[0]);

    for (i = 0; i < n; i++) {
        if (ngx_comms_smtp_codes[i].code == code) {
            return &ngx_comms_smtp_codes[i];
        }
    }

    if (code / 100 == 4
        || (code == 0 && status->len > 0 && status->data[0] == '4'))
    {
        return &ngx_comms_smtp_later;
    }

    return &ngx_comms_smtp_never;
}


ngx_int_t
ngx_comms_smtp_status(ngx_str_t *text, ngx_str_t *status)
{
    u_char  *p, *s, *last;

    last = text->data + text->len;

    for (p = text->data; p < last; p++) {

        if (*p != '2' && *p != '4' && *p != '5') {
            continue;
        }

        /* neither in a word nor in an IP address */

        if (p > text->data
            && (p[-1] == '.' || (p[-1] >= '0' && p[-1] <= '9')
                || ((p[-1] | 0x20) >= 'a' && (p[-1] | 0x20) <= 'z')))
        {
            continue;
        }

        s = p + 1;

        if (s == last || *s++ != '.' || !ngx_comms_smtp_digits(&s, last)
            || s == last || *s++ != '.' || !ngx_comms_smtp_digits(&s, last))
        {
            continue;
        }

        if (s + 1 < last && *s == '.' && s[1] >= '0' && s[1] <= '9') {
            continue;
        }

        status->data = p;
        status->len = s - p;

        return NGX_OK;
    }

    ngx_str_null(status);

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_comms_smtp_digits(u_char **pos, u_char *last)
{
    u_char      *p;
    ngx_uint_t   n;

    n = 0;

    for (p = *pos; p < last && *p >= '0' && *p <= '9'; p++) {
        n++;
    }

    *pos = p;

    return n >= 1 && n <= 3;
}


const char *
ngx_comms_smtp_verdict(ngx_comms_send_e verdict)
{
    switch (verdict) {

    case NGX_COMMS_SEND_RETRY:
        return "retry";

    case NGX_COMMS_SEND_OPTED_OUT:
        return "opted_out";

    case NGX_COMMS_SEND_CONFIG:
        return "config";

    default:
        return "refused";
    }
}
