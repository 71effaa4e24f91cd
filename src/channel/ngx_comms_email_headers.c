
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Header fields of mails (RFC 5322, RFC 2047), read with GMime.
 *
 * GMime takes a message apart; what is believed of it is decided here.  It
 * hands out strings that die with the message, so all that is kept goes into
 * the event or the pool before the message is released, which each function
 * that makes one does itself.
 *
 * GMime runs on GLib, whose allocator ends the process when memory runs out:
 * a mail is held in memory once more while it is read, and its size is what
 * client_max_body_size lets in.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_address.h>
#include <channel/ngx_comms_email.h>
#include <channel/ngx_comms_email_headers.h>


#define NGX_COMMS_EMAIL_MAX_SUBJECT  255     /* code points */
#define NGX_COMMS_EMAIL_MAX_FIELD    4096    /* bytes */
#define NGX_COMMS_EMAIL_MAX_FROM     1024


static void ngx_comms_email_init(void);
static ngx_int_t ngx_comms_email_read_subject(ngx_pool_t *pool,
    GMimeMessage *mail, json_t *event);
static ngx_int_t ngx_comms_email_read_ids(ngx_pool_t *pool,
    GMimeMessage *mail, json_t *event);
static ngx_int_t ngx_comms_email_ids(ngx_pool_t *pool, const char *value,
    ngx_array_t *ids);
static ngx_int_t ngx_comms_email_add_id(ngx_array_t *ids, ngx_str_t *id);
static ngx_int_t ngx_comms_email_set_message_ids(ngx_pool_t *pool,
    ngx_array_t *answered, ngx_array_t *references, json_t *event);
static ngx_int_t ngx_comms_email_set_references(ngx_pool_t *pool,
    ngx_array_t *references, ngx_str_t *own, json_t *event);
static ngx_int_t ngx_comms_email_set_person(ngx_pool_t *pool,
    InternetAddressList *list, json_t *event);
static InternetAddress *ngx_comms_email_mailbox(InternetAddressList *list);


ngx_int_t
ngx_comms_email_headers(ngx_pool_t *pool, ngx_str_t *block, json_t *event,
    const char **words)
{
    ngx_int_t      rc;
    GMimeMessage  *mail;

    mail = ngx_comms_email_open(block);

    if (mail == NULL) {
        *words = "not a mail";
        return NGX_DECLINED;
    }

    rc = ngx_comms_email_read_headers(pool, mail, event, words);

    g_object_unref(mail);

    return rc;
}


ngx_int_t
ngx_comms_email_person(ngx_pool_t *pool, ngx_str_t *from, json_t *event)
{
    u_char               *p;
    size_t                len;
    ngx_int_t             rc;
    ngx_str_t             line;
    InternetAddressList  *list;

    if (ngx_comms_one_line(pool, from, &line) != NGX_OK) {
        return NGX_ERROR;
    }

    len = ngx_min(line.len, NGX_COMMS_EMAIL_MAX_FROM);

    p = ngx_pnalloc(pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, line.data, len);
    p[len] = '\0';

    ngx_comms_email_init();

    list = internet_address_list_parse(NULL, (char *) p);

    if (list == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_comms_email_set_person(pool, list, event);

    g_object_unref(list);

    return rc;
}


static void
ngx_comms_email_init(void)
{
    static ngx_uint_t  initialised;

    /* in each process when it is first needed: GLib may keep threads */

    if (!initialised) {
        g_mime_init();
        initialised = 1;
    }
}


GMimeMessage *
ngx_comms_email_open(ngx_str_t *bytes)
{
    GMimeStream   *stream;
    GMimeParser   *parser;
    GMimeMessage  *mail;

    ngx_comms_email_init();

    stream = g_mime_stream_mem_new_with_buffer((char *) bytes->data,
                                               bytes->len);
    if (stream == NULL) {
        return NULL;
    }

    parser = g_mime_parser_new_with_stream(stream);
    mail = g_mime_parser_construct_message(parser, NULL);

    g_object_unref(parser);
    g_object_unref(stream);

    return mail;
}


ngx_int_t
ngx_comms_email_read_headers(ngx_pool_t *pool, GMimeMessage *mail,
    json_t *event, const char **words)
{
    InternetAddressList  *from;

    *words = ngx_comms_email_automatic(mail);
    if (*words != NULL) {
        return NGX_DECLINED;
    }

    from = g_mime_message_get_from(mail);

    if (from != NULL
        && ngx_comms_email_set_person(pool, from, event) == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_email_read_subject(pool, mail, event) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_comms_email_read_ids(pool, mail, event);
}


static ngx_int_t
ngx_comms_email_read_subject(ngx_pool_t *pool, GMimeMessage *mail,
    json_t *event)
{
    ngx_str_t    subject;
    const char  *value;

    value = g_mime_message_get_subject(mail);
    if (value == NULL) {
        return NGX_OK;
    }

    if (ngx_comms_email_clean(pool, value, NGX_COMMS_EMAIL_MAX_SUBJECT,
                              &subject)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (subject.len == 0) {
        return NGX_OK;
    }

    return ngx_comms_json_set_str(event, "subject", &subject);
}


static ngx_int_t
ngx_comms_email_read_ids(ngx_pool_t *pool, GMimeMessage *mail,
    json_t *event)
{
    ngx_str_t    *own;
    GMimeObject  *object;
    ngx_array_t   ids, answered, references;

    if (ngx_array_init(&ids, pool, 1, sizeof(ngx_str_t)) != NGX_OK
        || ngx_array_init(&answered, pool, 2, sizeof(ngx_str_t)) != NGX_OK
        || ngx_array_init(&references, pool, 4, sizeof(ngx_str_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    object = GMIME_OBJECT(mail);

    if (ngx_comms_email_ids(pool,
                            g_mime_object_get_header(object, "Message-ID"),
                            &ids)
        != NGX_OK
        || ngx_comms_email_ids(pool,
                               g_mime_object_get_header(object,
                                                        "In-Reply-To"),
                               &answered)
           != NGX_OK
        || ngx_comms_email_ids(pool,
                               g_mime_object_get_header(object, "References"),
                               &references)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    own = (ids.nelts > 0) ? ids.elts : NULL;

    if (own != NULL
        && ngx_comms_json_set_str(event, "email_message_id", own) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_email_set_message_ids(pool, &answered, &references, event)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* RFC 5322 3.6.4: of a mail without References its In-Reply-To */

    if (references.nelts == 0 && answered.nelts == 1) {
        references = answered;
    }

    return ngx_comms_email_set_references(pool, &references, own, event);
}


/* all "<...>" of a field's value, in order; the newest ones if too many */

static ngx_int_t
ngx_comms_email_ids(ngx_pool_t *pool, const char *value, ngx_array_t *ids)
{
    u_char      *p, *start;
    ngx_str_t    id, *known;
    const char  *s;

    if (value == NULL) {
        return NGX_OK;
    }

    start = NULL;

    for (s = value; *s != '\0'; s++) {

        if (*s == '<') {
            start = (u_char *) s;
            continue;
        }

        if ((u_char) *s <= ' ' || (u_char) *s >= 0x7f) {
            start = NULL;
            continue;
        }

        if (*s != '>' || start == NULL) {
            continue;
        }

        id.data = start;
        id.len = (u_char *) s + 1 - start;
        start = NULL;

        if (id.len < sizeof("<a>") - 1 || id.len > NGX_COMMS_EMAIL_MAX_ID) {
            continue;
        }

        p = ngx_pstrdup(pool, &id);
        if (p == NULL) {
            return NGX_ERROR;
        }

        id.data = p;

        if (ids->nelts == NGX_COMMS_EMAIL_MAX_IDS) {
            known = ids->elts;

            /* the first one began the conversation, and is kept */

            ngx_memmove(&known[1], &known[2],
                        (ids->nelts - 2) * sizeof(ngx_str_t));
            ids->nelts--;
        }

        if (ngx_comms_email_add_id(ids, &id) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* once */

static ngx_int_t
ngx_comms_email_add_id(ngx_array_t *ids, ngx_str_t *id)
{
    ngx_str_t   *known;
    ngx_uint_t   i;

    known = ids->elts;

    for (i = 0; i < ids->nelts; i++) {
        if (known[i].len == id->len
            && ngx_memcmp(known[i].data, id->data, id->len) == 0)
        {
            return NGX_OK;
        }
    }

    known = ngx_array_push(ids);
    if (known == NULL) {
        return NGX_ERROR;
    }

    *known = *id;

    return NGX_OK;
}


/* newest first: In-Reply-To, then References from its end */

static ngx_int_t
ngx_comms_email_set_message_ids(ngx_pool_t *pool, ngx_array_t *answered,
    ngx_array_t *references, json_t *event)
{
    json_t       *list;
    ngx_str_t    *id;
    ngx_uint_t    i;
    ngx_array_t   ids;

    if (ngx_array_init(&ids, pool, 8, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    id = answered->elts;

    for (i = 0; i < answered->nelts; i++) {
        if (ngx_comms_email_add_id(&ids, &id[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    id = references->elts;

    for (i = references->nelts; i > 0; i--) {
        if (ngx_comms_email_add_id(&ids, &id[i - 1]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ids.nelts == 0) {
        return NGX_OK;
    }

    list = json_array();

    id = ids.elts;

    for (i = 0; i < ids.nelts; i++) {
        if (json_array_append_new(list, ngx_comms_json_string(&id[i])) != 0) {
            json_decref(list);
            return NGX_ERROR;
        }
    }

    return (json_object_set_new(event, "message_ids", list) == 0)
           ? NGX_OK : NGX_ERROR;
}


/* what an answer to this mail has to say in References (RFC 5322 3.6.4) */

static ngx_int_t
ngx_comms_email_set_references(ngx_pool_t *pool, ngx_array_t *references,
    ngx_str_t *own, json_t *event)
{
    u_char      *p;
    size_t       len;
    ngx_str_t   *id, text;
    ngx_uint_t   i;

    if (own != NULL && ngx_comms_email_add_id(references, own) != NGX_OK) {
        return NGX_ERROR;
    }

    if (references->nelts == 0) {
        return NGX_OK;
    }

    len = 0;
    id = references->elts;

    for (i = 0; i < references->nelts; i++) {
        len += id[i].len + 1;
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text.data = p;

    for (i = 0; i < references->nelts; i++) {

        if (i > 0) {
            *p++ = ' ';
        }

        p = ngx_cpymem(p, id[i].data, id[i].len);
    }

    text.len = p - text.data;

    return ngx_comms_json_set_str(event, "references", &text);
}


/* NGX_DECLINED: there is no valid address in the list */

static ngx_int_t
ngx_comms_email_set_person(ngx_pool_t *pool, InternetAddressList *list,
    json_t *event)
{
    ngx_str_t         email, address, name;
    const char       *value;
    InternetAddress  *mailbox;

    mailbox = ngx_comms_email_mailbox(list);
    if (mailbox == NULL) {
        return NGX_DECLINED;
    }

    value = internet_address_mailbox_get_idn_addr(
                                       INTERNET_ADDRESS_MAILBOX(mailbox));
    if (value == NULL) {
        return NGX_DECLINED;
    }

    email.data = (u_char *) value;
    email.len = ngx_strlen(value);

    if (!ngx_comms_email_valid(&email)) {
        return NGX_DECLINED;
    }

    if (ngx_comms_address_email(pool, &email, &address) != NGX_OK
        || ngx_comms_json_set_str(event, "person_address", &address)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    value = internet_address_get_name(mailbox);

    if (value == NULL) {
        return NGX_OK;
    }

    if (ngx_comms_email_clean(pool, value, NGX_COMMS_EMAIL_MAX_NAME, &name)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (name.len == 0) {
        return NGX_OK;
    }

    return ngx_comms_json_set_str(event, "person_name", &name);
}


/* the first mailbox, in a group as well; borrowed */

static InternetAddress *
ngx_comms_email_mailbox(InternetAddressList *list)
{
    ngx_uint_t        depth;
    InternetAddress  *first;

    for (depth = 0; depth < 2; depth++) {

        if (list == NULL || internet_address_list_length(list) < 1) {
            return NULL;
        }

        first = internet_address_list_get_address(list, 0);

        if (INTERNET_ADDRESS_IS_MAILBOX(first)) {
            return first;
        }

        if (!INTERNET_ADDRESS_IS_GROUP(first)) {
            return NULL;
        }

        list = internet_address_group_get_members(
                                             INTERNET_ADDRESS_GROUP(first));
    }

    return NULL;
}


ngx_int_t
ngx_comms_email_clean(ngx_pool_t *pool, const char *value, size_t max,
    ngx_str_t *line)
{
    ngx_str_t  bytes, charset, text, whole;

    bytes.data = (u_char *) value;
    bytes.len = ngx_min(ngx_strlen(value), NGX_COMMS_EMAIL_MAX_FIELD);

    ngx_str_null(&charset);

    if (ngx_comms_to_utf8(pool, &charset, &bytes, &text) != NGX_OK
        || ngx_comms_one_line(pool, &text, &whole) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_shorten(pool, &whole, max, line);
}
