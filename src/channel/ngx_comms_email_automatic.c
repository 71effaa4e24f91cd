
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Mails that no person wrote: they are never answered, or two machines would
 * write to each other for ever (RFC 3834 2).
 *
 * What a mail says in its header decides.  Subjects are looked at for the
 * words alone that an absence notice of well-known software begins with, since
 * some relays drop the fields that would say it; a person who answers such a
 * mail writes "Re:" before them.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_email.h>
#include <channel/ngx_comms_email_headers.h>


static const char *ngx_comms_email_bulk(GMimeObject *object);
static ngx_uint_t ngx_comms_email_absence(GMimeMessage *mail);
static ngx_uint_t ngx_comms_email_own(GMimeMessage *mail);
static ngx_uint_t ngx_comms_email_word_is(const char *value,
    const char *word);


const char *
ngx_comms_email_automatic(GMimeMessage *mail)
{
    const char   *value;
    ngx_uint_t    i;
    GMimeObject  *object;

    static const char *const  fields[] = {
        "X-Autoreply", "X-Autorespond", "X-Autoresponse", "X-Auto-Reply",
        "X-Mail-Autoreply", "X-Auto-Response-From", "X-FC-MachineGenerated",
        NULL
    };

    object = GMIME_OBJECT(mail);

    value = g_mime_object_get_header(object, "Auto-Submitted");
    if (value != NULL && !ngx_comms_email_word_is(value, "no")) {
        return "auto-submitted";
    }

    for (i = 0; fields[i] != NULL; i++) {
        value = g_mime_object_get_header(object, fields[i]);

        if (value != NULL && !ngx_comms_email_word_is(value, "no")) {
            return "auto-submitted";
        }
    }

    value = ngx_comms_email_bulk(object);
    if (value != NULL) {
        return value;
    }

    if (ngx_comms_email_reports(mail)) {
        return "delivery report";
    }

    value = g_mime_object_get_header(object, "Return-Path");
    if (value != NULL && ngx_comms_email_word_is(value, "<>")) {
        return "null return path";
    }

    if (ngx_comms_email_own(mail)) {
        return "a mail of ours that came back";
    }

    return ngx_comms_email_absence(mail) ? "auto-submitted" : NULL;
}


static const char *
ngx_comms_email_bulk(GMimeObject *object)
{
    const char  *value;
    ngx_uint_t   i;

    static const char *const  lists[] = {
        "bulk", "list", "junk", "auto_reply", NULL
    };

    value = g_mime_object_get_header(object, "Precedence");

    if (value == NULL) {
        value = g_mime_object_get_header(object, "X-Precedence");
    }

    for (i = 0; value != NULL && lists[i] != NULL; i++) {
        if (ngx_comms_email_word_is(value, lists[i])) {
            return "bulk mail";
        }
    }

    /* RFC 2919, RFC 2369, and what Mailman adds */

    if (g_mime_object_get_header(object, "List-Id") != NULL
        || g_mime_object_get_header(object, "List-Post") != NULL
        || g_mime_object_get_header(object, "X-Mailman-Version") != NULL)
    {
        return "mailing list";
    }

    return NULL;
}


ngx_uint_t
ngx_comms_email_reports(GMimeMessage *mail)
{
    ngx_str_t             address;
    const char           *value;
    GMimeObject          *object;
    InternetAddressList  *from;

    /* GMime gives the Content fields to the part within the message */

    object = g_mime_message_get_mime_part(mail);

    if (object != NULL
        && g_mime_content_type_is_type(g_mime_object_get_content_type(object),
                                       "multipart", "report"))
    {
        return 1;
    }

    /* Exim */

    if (g_mime_object_get_header(GMIME_OBJECT(mail), "X-Failed-Recipients")
        != NULL)
    {
        return 1;
    }

    from = g_mime_message_get_from(mail);
    value = NULL;

    if (from != NULL && internet_address_list_length(from) > 0
        && INTERNET_ADDRESS_IS_MAILBOX(
               internet_address_list_get_address(from, 0)))
    {
        value = internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(
                    internet_address_list_get_address(from, 0)));
    }

    if (value == NULL || *value == '\0') {
        return 0;
    }

    address.data = (u_char *) value;
    address.len = ngx_strlen(value);

    return ngx_comms_email_machine(&address) != NULL;
}


/* has a mailbox or a relay sent us what we wrote? */

static ngx_uint_t
ngx_comms_email_own(GMimeMessage *mail)
{
    const char  *value;

    value = g_mime_message_get_message_id(mail);

    /* GMime takes the "<" off */

    return value != NULL
           && ngx_strlen(value) > NGX_COMMS_EMAIL_OWN_LEN
           && ngx_strncasecmp((u_char *) value, (u_char *) "th_", 3) == 0
           && value[NGX_COMMS_EMAIL_OWN_LEN] == '@';
}


static ngx_uint_t
ngx_comms_email_absence(GMimeMessage *mail)
{
    size_t       len;
    const char  *subject;
    ngx_uint_t   i;

    static const char *const  notices[] = {
        "Automatic reply:", "Auto-Reply:", "Autoreply:", "Auto Reply:",
        "Out of Office:", "Out of Office AutoReply:", "Out of office reply:",
        "Automatische Antwort:", "Abwesenheitsnotiz:",
        "Automatische Abwesenheitsnotiz:",
        "R\xc3\xa9ponse automatique :", "R\xc3\xa9ponse automatique:",
        "R\xc3\xa9ponse automatique\xc2\xa0:",
        "Respuesta autom\xc3\xa1tica:", "Risposta automatica:",
        "Resposta autom\xc3\xa1tica:", "Automatisch antwoord:",
        "Odpowied\xc5\xba automatyczna:", "Autosvar:",
        NULL
    };

    subject = g_mime_message_get_subject(mail);

    if (subject == NULL) {
        return 0;
    }

    for (i = 0; notices[i] != NULL; i++) {
        len = ngx_strlen(notices[i]);

        if (ngx_strncasecmp((u_char *) subject, (u_char *) notices[i], len)
            == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* is it the first word of the value? */

static ngx_uint_t
ngx_comms_email_word_is(const char *value, const char *word)
{
    size_t      len;
    ngx_str_t   first, wanted;

    while (*value == ' ' || *value == '\t') {
        value++;
    }

    len = strcspn(value, " \t\r\n;(");

    first.data = (u_char *) value;
    first.len = len;
    wanted.data = (u_char *) word;
    wanted.len = ngx_strlen(word);

    return ngx_comms_same_word(&first, &wanted);
}


void
ngx_comms_email_form(ngx_str_t *block, ngx_uint_t *report,
    ngx_uint_t *flowed, ngx_uint_t *delsp)
{
    GMimeObject   *part;
    GMimeMessage  *mail;

    *report = 0;
    *flowed = 0;
    *delsp = 0;

    mail = ngx_comms_email_open(block);

    if (mail == NULL) {
        return;
    }

    *report = ngx_comms_email_reports(mail);

    part = g_mime_message_get_mime_part(mail);

    if (part != NULL) {
        ngx_comms_email_flowed(part, flowed, delsp);
    }

    g_object_unref(mail);
}


void
ngx_comms_email_flowed(GMimeObject *part, ngx_uint_t *flowed,
    ngx_uint_t *delsp)
{
    const char  *value;

    value = g_mime_object_get_content_type_parameter(part, "format");
    *flowed = (value != NULL && ngx_comms_email_word_is(value, "flowed"));

    value = g_mime_object_get_content_type_parameter(part, "delsp");
    *delsp = (value != NULL && ngx_comms_email_word_is(value, "yes"));
}
