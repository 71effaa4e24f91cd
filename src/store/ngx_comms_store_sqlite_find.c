
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Whose thread is an inbound message?  The surest sign first: it answers a
 * message that we know, it was sent to an address that only one thread has,
 * or it is from somebody we write to.
 *
 * Signs are not secrets: a mail's Message-ID travels with each forward, and
 * a reply address can be passed on.  Hence no sign counts unless the sender
 * is one of the thread's person addresses.  Each sign is tried with all the
 * addresses that the sender has before the next sign is.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <store/ngx_comms_store_sqlite_works.h>


/* ids in a mail's References that are looked at, newest first */
#define NGX_COMMS_STORE_SQLITE_MAX_REFERENCES  64


/* in the eyes of a sign, the sender is "person" */
typedef ngx_int_t (*ngx_comms_store_sqlite_by_pt)(
    ngx_comms_sqlite_txn_t *txn, json_t *in, ngx_str_t *person,
    json_t **answer);


static ngx_int_t ngx_comms_store_sqlite_by(ngx_comms_sqlite_txn_t *txn,
    ngx_comms_store_sqlite_by_pt sign, json_t *in, json_t **answer);
static ngx_int_t ngx_comms_store_sqlite_bind(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t *found);
static ngx_int_t ngx_comms_store_sqlite_newest_inbound(
    ngx_comms_sqlite_txn_t *txn, ngx_str_t *thread_id,
    ngx_str_t *inbound_id);
static ngx_int_t ngx_comms_store_sqlite_by_mails(ngx_comms_sqlite_txn_t *txn,
    json_t *in, ngx_str_t *person, json_t **answer);
static ngx_int_t ngx_comms_store_sqlite_by_mail(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *message_id, ngx_str_t *person_address, json_t **answer);
static ngx_int_t ngx_comms_store_sqlite_by_quote(ngx_comms_sqlite_txn_t *txn,
    json_t *in, ngx_str_t *person, json_t **answer);
static ngx_int_t ngx_comms_store_sqlite_by_token(ngx_comms_sqlite_txn_t *txn,
    json_t *in, ngx_str_t *person, json_t **answer);
static ngx_int_t ngx_comms_store_sqlite_by_pair(ngx_comms_sqlite_txn_t *txn,
    json_t *in, ngx_str_t *person, json_t **answer);
static ngx_int_t ngx_comms_store_sqlite_found(ngx_comms_sqlite_txn_t *txn,
    sqlite3_stmt *st, const char *by, json_t **answer);


static const ngx_comms_sqlite_member_t  ngx_comms_store_find_members[] = {
    { "channel", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "company_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "person_address", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "aliases", NGX_COMMS_SQLITE_NAMES, 1, 0, 0 },
    { "message_ids", NGX_COMMS_SQLITE_ARRAY, 1, 0, 0 },
    { "replied_to", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "thread_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "inbound_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_store_sent_as_members[] = {
    { "provider_message_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static ngx_comms_store_sqlite_by_pt  ngx_comms_store_sqlite_signs[] = {
    ngx_comms_store_sqlite_by_mails,
    ngx_comms_store_sqlite_by_quote,
    ngx_comms_store_sqlite_by_token,
    ngx_comms_store_sqlite_by_pair
};


ngx_int_t
ngx_comms_store_sqlite_find(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    ngx_int_t   rc;
    ngx_uint_t  i, n;

    if (ngx_comms_sqlite_members("find", in, ngx_comms_store_find_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = sizeof(ngx_comms_store_sqlite_signs)
        / sizeof(ngx_comms_store_sqlite_by_pt);

    for (i = 0; i < n; i++) {
        rc = ngx_comms_store_sqlite_by(txn, ngx_comms_store_sqlite_signs[i],
                                       in, answer);

        if (rc == NGX_OK) {
            return ngx_comms_store_sqlite_bind(txn, in, *answer);
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_comms_store_sqlite_by(ngx_comms_sqlite_txn_t *txn,
    ngx_comms_store_sqlite_by_pt sign, json_t *in, json_t **answer)
{
    size_t      i;
    json_t     *aliases;
    ngx_int_t   rc;
    ngx_str_t   person;

    person = ngx_comms_sqlite_text(in, "person_address");

    rc = sign(txn, in, &person, answer);

    aliases = json_object_get(in, "aliases");

    for (i = 0;
         rc == NGX_DECLINED && i < json_array_size(aliases)
         && i < NGX_COMMS_STORE_SQLITE_MAX_ALIASES;
         i++)
    {
        person = ngx_comms_json_view(json_array_get(aliases, i));

        rc = sign(txn, in, &person, answer);
    }

    return rc;
}


static ngx_int_t
ngx_comms_store_sqlite_bind(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t *found)
{
    ngx_str_t      inbound_id, thread_id;
    sqlite3_stmt  *st;

    inbound_id = ngx_comms_sqlite_text(in, "inbound_id");

    if (inbound_id.len == 0) {
        return NGX_OK;
    }

    st = ngx_comms_sqlite_prepare(txn,
        "UPDATE inbound SET thread_id = ?2"
        " WHERE inbound_id = ?1 AND state = 'waiting'");
    if (st == NULL) {
        return NGX_ERROR;
    }

    thread_id = ngx_comms_sqlite_text(found, "thread_id");

    ngx_comms_sqlite_bind_str(st, 1, &inbound_id);
    ngx_comms_sqlite_bind_str(st, 2, &thread_id);

    if (ngx_comms_sqlite_execute(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    /* one that waits no more was answered, and is not news to the thread */

    if (ngx_comms_sqlite_changes(txn) == 0) {
        return NGX_OK;
    }

    return ngx_comms_store_sqlite_newest_inbound(txn, &thread_id,
                                                 &inbound_id);
}


static ngx_int_t
ngx_comms_store_sqlite_newest_inbound(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, ngx_str_t *inbound_id)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "UPDATE threads SET newest_inbound_id = ?2"
        " WHERE thread_id = ?1 AND newest_inbound_id < ?2");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, thread_id);
    ngx_comms_sqlite_bind_str(st, 2, inbound_id);

    return ngx_comms_sqlite_execute(txn, st);
}


static ngx_int_t
ngx_comms_store_sqlite_by_mails(ngx_comms_sqlite_txn_t *txn, json_t *in,
    ngx_str_t *person, json_t **answer)
{
    size_t      i;
    json_t     *id;
    ngx_int_t   rc;
    ngx_str_t   message_id;

    json_array_foreach(json_object_get(in, "message_ids"), i, id) {

        if (i == NGX_COMMS_STORE_SQLITE_MAX_REFERENCES) {
            break;
        }

        message_id = ngx_comms_json_view(id);

        if (message_id.len == 0) {
            continue;
        }

        rc = ngx_comms_store_sqlite_by_mail(txn, &message_id, person,
                                            answer);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_comms_store_sqlite_by_mail(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *message_id, ngx_str_t *person_address, json_t **answer)
{
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT t.thread_id, t.company_id, t.project_id"
        " FROM messages m JOIN threads t ON t.thread_id = m.thread_id"
        " WHERE m.email_message_id = ?1"
        " AND EXISTS (SELECT 1 FROM address_pairs p"
        "     WHERE p.thread_id = m.thread_id AND p.person_address = ?2)"
        " ORDER BY t.created_at DESC, t.thread_id DESC LIMIT 1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, message_id);
    ngx_comms_sqlite_bind_str(st, 2, person_address);

    return ngx_comms_store_sqlite_found(txn, st, "message_id", answer);
}


static ngx_int_t
ngx_comms_store_sqlite_by_quote(ngx_comms_sqlite_txn_t *txn, json_t *in,
    ngx_str_t *person, json_t **answer)
{
    ngx_str_t      replied_to;
    sqlite3_stmt  *st;

    replied_to = ngx_comms_sqlite_text(in, "replied_to");

    if (replied_to.len == 0) {
        return NGX_DECLINED;
    }

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT t.thread_id, t.company_id, t.project_id"
        " FROM messages m JOIN threads t ON t.thread_id = m.thread_id"
        " WHERE m.provider_message_id = ?1"
        " AND EXISTS (SELECT 1 FROM address_pairs p"
        "     WHERE p.thread_id = m.thread_id AND p.person_address = ?2)"
        " ORDER BY t.created_at DESC, t.thread_id DESC LIMIT 1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, &replied_to);
    ngx_comms_sqlite_bind_str(st, 2, person);

    return ngx_comms_store_sqlite_found(txn, st, "message_id", answer);
}


static ngx_int_t
ngx_comms_store_sqlite_by_token(ngx_comms_sqlite_txn_t *txn, json_t *in,
    ngx_str_t *person, json_t **answer)
{
    ngx_str_t      thread_id;
    sqlite3_stmt  *st;

    thread_id = ngx_comms_sqlite_text(in, "thread_id");

    if (thread_id.len == 0) {
        return NGX_DECLINED;
    }

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT t.thread_id, t.company_id, t.project_id FROM threads t"
        " WHERE t.thread_id = ?1"
        " AND EXISTS (SELECT 1 FROM address_pairs p"
        "     WHERE p.thread_id = ?1 AND p.person_address = ?2)");
    if (st == NULL) {
        return NGX_ERROR;
    }

    ngx_comms_sqlite_bind_str(st, 1, &thread_id);
    ngx_comms_sqlite_bind_str(st, 2, person);

    return ngx_comms_store_sqlite_found(txn, st, "token", answer);
}


static ngx_int_t
ngx_comms_store_sqlite_by_pair(ngx_comms_sqlite_txn_t *txn, json_t *in,
    ngx_str_t *person, json_t **answer)
{
    ngx_str_t      channel, company_address;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT t.thread_id, t.company_id, t.project_id"
        " FROM address_pairs p JOIN threads t ON t.thread_id = p.thread_id"
        " WHERE p.company_address = ?1 AND p.person_address = ?2"
        " AND p.channel = ?3"
        " ORDER BY p.created_at DESC, p.thread_id DESC LIMIT 1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    channel = ngx_comms_sqlite_text(in, "channel");
    company_address = ngx_comms_sqlite_text(in, "company_address");
    ngx_comms_sqlite_bind_str(st, 1, &company_address);
    ngx_comms_sqlite_bind_str(st, 2, person);
    ngx_comms_sqlite_bind_str(st, 3, &channel);

    return ngx_comms_store_sqlite_found(txn, st, "pair", answer);
}


static ngx_int_t
ngx_comms_store_sqlite_found(ngx_comms_sqlite_txn_t *txn, sqlite3_stmt *st,
    const char *by, json_t **answer)
{
    ngx_int_t  rc;

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_DECLINED : NGX_ERROR;
    }

    *answer = json_pack("{s:o, s:o, s:o, s:s}",
                        "thread_id", ngx_comms_sqlite_column(st, 0),
                        "company_id", ngx_comms_sqlite_column(st, 1),
                        "project_id", ngx_comms_sqlite_column(st, 2),
                        "by", by);

    (void) sqlite3_reset(st);

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_comms_store_sqlite_sent_as(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    ngx_int_t      rc;
    ngx_str_t      id;
    sqlite3_stmt  *st;

    if (ngx_comms_sqlite_members("sent_as", in,
                                 ngx_comms_store_sent_as_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* of a person's message it says nothing: that one was never sent */

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT thread_id, entry_id FROM messages"
        " WHERE provider_message_id = ?1"
        " AND json_extract(message, '$.role') IS NOT 'user'"
        " ORDER BY thread_id DESC, seq DESC LIMIT 1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    id = ngx_comms_sqlite_text(in, "provider_message_id");
    ngx_comms_sqlite_bind_str(st, 1, &id);

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_DECLINED : NGX_ERROR;
    }

    *answer = json_pack("{s:o, s:o}",
                        "thread_id", ngx_comms_sqlite_column(st, 0),
                        "entry_id", ngx_comms_sqlite_column(st, 1));

    (void) sqlite3_reset(st);

    return (*answer != NULL) ? NGX_OK : NGX_ERROR;
}
