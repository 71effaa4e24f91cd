
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The store over DynamoDB, or an engine with its API.  It needs conditional
 * writes of single items, updates that answer with the item, queries,
 * BatchGetItem, BatchWriteItem (to remove) and indices; no transactions, no
 * time to live (expired items are left out when they are read), no item in
 * the answer to a refused write.
 *
 * Invariants:
 *   1. Each operation has one conditional write of one item that makes it
 *      true: accept and keep the guard, claim and intend and withdraw and
 *      record the header, consent the ledger's next entry, orphan and done
 *      the message.  All else follows from what that write says, may be done
 *      twice, and is gone on with by whoever comes across it, or the sweeper.
 *   2. A fence is a condition of the very write that it protects.
 *   3. A journal is replayed before its header is acted on.  So a message
 *      that was answered can never be answered again: the answer and the
 *      messages that it answers are one commit, and a claim replays it before
 *      it looks at what waits.
 *   4. What decides is read from a table, consistently; an index serves
 *      lists, the sweeper, and the count of open conversations.
 *   5. The cost of an operation does not depend on the length of a thread.
 *
 * Tables (all keys are strings but gsi_sweep_at, a number):
 *   "table", layout single: thread_id, sort_key
 *   "table", layout per_channel: primary_channel, conversation_id
 *     <thread_id>, record             the header; journal; intents
 *     <thread_id>, msg#<ulid>         a message (single)
 *     <person>, <conversation_id>#<company>                 (per_channel:)
 *                                     the record of a channel
 *     <person>, <conversation_id>#<company>#msg#<ulid>      a message
 *     <thread_id>, entry#..., unsent#...   beside messages
 *     <thread_id>, effect#...         settled, without an effects table
 *     <thread_id>, done#...           inbound messages without a message
 *     <thread_id>, erased             of one that was erased
 *     request#<conversation_id>, guard     the guard of accept
 *     pair#..., person#<company_id>#..., mail#..., quote#...
 *                                     the threads of each, newest last
 *     count#<n>, count                figures
 *   indices of both layouts, projecting all:
 *     company-created-index           gsi_company_id, gsi_created
 *     open-index                      gsi_open                (keys only)
 *     sweep-index                     gsi_sweep, gsi_sweep_at (keys only)
 *     company-whatsapp-number-recipient-tel-index
 *                             gsi_company_whatsapp_number, gsi_recipient_tel
 *     company-sms-number-recipient-tel-index
 *                             gsi_company_sms_number, gsi_recipient_tel
 *     company-email-recipient-email-index
 *                             gsi_company_email, gsi_recipient_email
 *     MessageIdIndex                  initial_email_message_id
 *     company-id-project-id-index     company_id, project_id
 *   and of per_channel:
 *     thread-id-index                 thread_id
 *   The last six serve people and other programs; nothing here reads them.
 *   "inbound_table": item_key, sort_key; sweep-index as above
 *   "effects_table", "consent_table": item_key, sort_key
 *   Time to live, where there is: the attribute "ttl" of all but consent.
 *
 * Limit: an item has 400 KB, and what is committed with a header passes
 * through it.  A record with more than that is refused by the service, which
 * is NGX_ERROR; so is a start.  The length of a thread has no such limit.
 *
 * Attributes whose names begin with "comms_" or "gsi_" are ours.
 *
 * To change what is stored, begin with ngx_comms_store_dynamodb_thread.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <store/ngx_comms_store_dynamodb.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


static void ngx_comms_store_dynamodb_admit(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_accept(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_keep(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_find(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_link(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_claim(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_intend(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_withdraw(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_record(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_erase(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_orphan(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_inbound(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_consent(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_ledger(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_sent_as(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_load(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_list(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_figures(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static ngx_int_t ngx_comms_store_dynamodb_init_process(
    ngx_comms_store_t *store, ngx_cycle_t *cycle);
static void ngx_comms_store_dynamodb_exit_process(ngx_comms_store_t *store);
static void ngx_comms_store_dynamodb_tables(ngx_comms_dynamodb_t *db);


ngx_comms_store_t *
ngx_comms_store_dynamodb(ngx_conf_t *cf, ngx_comms_aws_t *aws,
    ngx_comms_store_dynamodb_conf_t *conf)
{
    ngx_comms_store_t     *store;
    ngx_comms_dynamodb_t  *db;

    store = ngx_pcalloc(cf->pool, sizeof(ngx_comms_store_t));
    db = ngx_pcalloc(cf->pool, sizeof(ngx_comms_dynamodb_t));

    if (store == NULL || db == NULL) {
        return NULL;
    }

    db->aws = aws;
    db->conf = conf;

    ngx_comms_store_dynamodb_tables(db);

    ngx_str_set(&store->name, "dynamodb");
    store->data = db;

    store->admit = ngx_comms_store_dynamodb_admit;
    store->accept = ngx_comms_store_dynamodb_accept;
    store->keep = ngx_comms_store_dynamodb_keep;
    store->find = ngx_comms_store_dynamodb_find;
    store->link = ngx_comms_store_dynamodb_link;
    store->claim = ngx_comms_store_dynamodb_claim;
    store->intend = ngx_comms_store_dynamodb_intend;
    store->withdraw = ngx_comms_store_dynamodb_withdraw;
    store->record = ngx_comms_store_dynamodb_record;
    store->erase = ngx_comms_store_dynamodb_erase;
    store->orphan = ngx_comms_store_dynamodb_orphan;
    store->inbound = ngx_comms_store_dynamodb_inbound;
    store->consent = ngx_comms_store_dynamodb_consent;
    store->ledger = ngx_comms_store_dynamodb_ledger;
    store->sent_as = ngx_comms_store_dynamodb_sent_as;
    store->load = ngx_comms_store_dynamodb_load;
    store->list = ngx_comms_store_dynamodb_list;
    store->figures = ngx_comms_store_dynamodb_figures;
    store->init_process = ngx_comms_store_dynamodb_init_process;
    store->exit_process = ngx_comms_store_dynamodb_exit_process;

    return store;
}


static void
ngx_comms_store_dynamodb_tables(ngx_comms_dynamodb_t *db)
{
    db->threads.name = db->conf->table;
    db->threads.pk = "thread_id";
    db->threads.sk = "sort_key";

    if (db->conf->layout == NGX_COMMS_STORE_PER_CHANNEL) {
        db->threads.pk = "primary_channel";
        db->threads.sk = "conversation_id";
    }

    db->inbound.name = db->conf->inbound_table;
    db->inbound.pk = "item_key";
    db->inbound.sk = "sort_key";

    db->consent.name = db->conf->consent_table;
    db->consent.pk = "item_key";
    db->consent.sk = "sort_key";

    db->effects = db->threads;

    if (db->conf->effects_table.len != 0) {
        db->effects = db->inbound;
        db->effects.name = db->conf->effects_table;
    }
}


static void
ngx_comms_store_dynamodb_admit(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_admit);
}


static void
ngx_comms_store_dynamodb_accept(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_accept);
}


static void
ngx_comms_store_dynamodb_keep(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_keep);
}


static void
ngx_comms_store_dynamodb_find(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_find);
}


static void
ngx_comms_store_dynamodb_link(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_link);
}


static void
ngx_comms_store_dynamodb_claim(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_claim);
}


static void
ngx_comms_store_dynamodb_intend(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_intend);
}


static void
ngx_comms_store_dynamodb_withdraw(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_withdraw);
}


static void
ngx_comms_store_dynamodb_record(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_record);
}


static void
ngx_comms_store_dynamodb_erase(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_erase);
}


static void
ngx_comms_store_dynamodb_orphan(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_orphan);
}


static void
ngx_comms_store_dynamodb_inbound(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_inbound);
}


static void
ngx_comms_store_dynamodb_consent(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_consent);
}


static void
ngx_comms_store_dynamodb_ledger(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_ledger);
}


static void
ngx_comms_store_dynamodb_sent_as(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_sent_as);
}


static void
ngx_comms_store_dynamodb_load(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_load);
}


static void
ngx_comms_store_dynamodb_list(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_list);
}


static void
ngx_comms_store_dynamodb_figures(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_figures);
}


static ngx_int_t
ngx_comms_store_dynamodb_init_process(ngx_comms_store_t *store,
    ngx_cycle_t *cycle)
{
    if (ngx_worker == 0) {
        ngx_comms_dynamodb_check(store->data);
    }

    return ngx_comms_dynamodb_sweep_init(store->data, cycle);
}


static void
ngx_comms_store_dynamodb_exit_process(ngx_comms_store_t *store)
{
    ngx_comms_dynamodb_sweep_exit(store->data);
}
