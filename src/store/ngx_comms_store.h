
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The store: conversation records, inbound messages, effects, consent.
 *
 * Every operation has one form: a JSON document in, an rc and a JSON document
 * out, later.  The reference to "in" is taken over.  The operation is
 * finished as ngx_comms_op.h says.  NGX_ERROR means that nothing was written
 * and that trying again is safe; it has been logged.
 *
 * To add a backend: fill in one ngx_comms_store_t, and add a row to the
 * table of the "comms_store" directive.
 *
 * An "address pair" is company address + person address on a channel.
 * Times are milliseconds since the epoch unless they end in _timestamp or
 * _at inside a record, where they are ISO 8601 as 1.3 of the product says.
 */


#ifndef _NGX_COMMS_STORE_H_INCLUDED_
#define _NGX_COMMS_STORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_op.h>


typedef struct ngx_comms_store_s  ngx_comms_store_t;

typedef void (*ngx_comms_store_op_pt)(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op);


struct ngx_comms_store_s {
    ngx_str_t               name;        /* for the log: "sqlite <path>" */
    void                   *data;

    /*
     * What an accept depends on.
     * in   {"company_id", "project_id", "conversation_id",
     *       "addresses": [person addresses]}
     * out  {"accepted": null | {"thread_id", "conversation_id", "request_id",
     *           "request_hash", "channels": [], "queue_timestamp"},
     *       "opted_out": [those of the addresses that are opted out],
     *       "open_conversations": number of the project's threads that are
     *           neither "completed" nor "failed"}
     */
    ngx_comms_store_op_pt   admit;

    /*
     * Creates a thread and its queue entry in one durable step.
     * in   {"record": header attributes (thread_id, conversation_id,
     *           company_id, project_id, request_id, ...),
     *       "request_hash", "queue_timestamp",
     *       "pairs": [{"channel", "company_address", "person_address"}],
     *       "queue": "open", "body": {queue body}}
     * NGX_OK; NGX_DECLINED: conversation_id was accepted before,
     * out = as "accepted" of admit.
     */
    ngx_comms_store_op_pt   accept;

    /*
     * Keeps an inbound message under its address pair, with its queue entry,
     * in one durable step; the dedupe_id makes it once only.
     * in   {"inbound": event of kind "message" with "inbound_id" (ULID),
     *           "received_at" (ms) and "credentials_id" added,
     *       "queue": "reply", "body": {...}}
     * NGX_OK; NGX_DECLINED: seen before.
     */
    ngx_comms_store_op_pt   keep;

    /*
     * Which thread does an inbound message belong to?  In this order: by
     * "message_ids" and "replied_to" (a message of ours with that id), by
     * "thread_id" (from a verified reply token), by address pair (the newest
     * thread with it).  In each case the sender must be one of the thread's
     * person addresses.
     * "aliases" are other addresses of the same person: each counts as the
     * sender where "person_address" does not fit.
     * With "inbound_id" that message is bound to the thread found: from then
     * on it waits for this thread alone, whatever its address pair; and the
     * header's "newest_inbound_id" becomes this id where it is the greater
     * (ids are ULIDs), which is what the send gate asks about.
     * in   {"channel", "company_address", "person_address",
     *       "aliases"?: [], "message_ids"?: [], "replied_to"?, "thread_id"?,
     *       "inbound_id"?}
     * out  {"thread_id", "company_id", "project_id", "by":
     *       "message_id" | "token" | "pair"}; NGX_DECLINED: none.
     */
    ngx_comms_store_op_pt   find;

    /*
     * Adds address pairs to a thread: another address of its person.
     * in   {"thread_id", "pairs": [{"channel", "company_address",
     *       "person_address"}]}
     * NGX_OK, also when it has them; NGX_DECLINED: no such thread.
     */
    ngx_comms_store_op_pt   link;

    /*
     * Takes a thread for one turn: raises its fence by one and reads all
     * that the turn needs (a backend may leave the newest inbound messages
     * to the next turn when there are very many).
     * in   {"thread_id", "history": how many of the newest messages}
     * out  {"fence", "record": header,
     *       "inbound": waiting inbound messages, oldest first, each as it
     *           was kept: those bound to the thread, and those not yet bound
     *           that nothing but their address pair links, where the thread
     *           is the newest of that pair,
     *       "unsent": messages of the record with a "turn_id" and the status
     *           "pending", oldest first,
     *       "effects": effects of the thread in state "intent",
     *       "messages": history, oldest first}
     * NGX_DECLINED: no such thread.
     */
    ngx_comms_store_op_pt   claim;

    /*
     * Writes an effect down before it is attempted: the send gate.
     * in   {"thread_id", "effect_id", "kind": "ai" | "send" | "publish",
     *       "detail": {}, "fence"?: must be the thread's,
     *       "person_address"?: must not be opted out of the company,
     *       "owner"?: "ai" | "human": who must own the thread (a human
     *           where the header's "hand_off_to_human" is 1),
     *       "newest_inbound_id"?: the header's must not be greater; ""
     *           where nothing may have come in at all,
     *       "channel"?: its state must be "pending" (a first message)}
     * Asked in this order: fence, written before, opted out, owner, newer,
     * channel; all but the consent in the one conditional write.
     * NGX_OK        go ahead
     * NGX_DECLINED  it was written before; out = {"effect": {"effect_id",
     *               "state": "intent" | "done" | "failed" | "unknown",
     *               "intended_at" (ms), "age" (ms), "detail", "outcome"}}
     * NGX_ABORT     refused; out = {"refused": "fence" | "opted_out" |
     *               "owner" | "newer" | "channel"}; a thread that does not
     *               exist has no fence
     */
    ngx_comms_store_op_pt   intend;

    /*
     * Removes an intent that surely had no effect, so that the next attempt
     * may intend again.  An effect that is settled stays.  With "attempt"
     * so does an intent whose "detail" has not this "attempt": a withdraw
     * that comes late takes nothing from the attempt after it.
     * in   {"thread_id", "effect_id", "attempt"?}
     * NGX_OK, also when there is no such intent.
     */
    ngx_comms_store_op_pt   withdraw;

    /*
     * Records what happened, in one durable step.  The same record again
     * changes nothing but version and updated_at.
     * in   {"thread_id",
     *       "fence"?: must be the thread's,
     *       "effect"?: {"effect_id", "state", "outcome"},
     *       "set"?: header attributes to replace,
     *       "channel_state"?: {"channel", "status", "reason"?,
     *           "only_pending"?: true}; "channel" null means all of the
     *           thread's channels; with "only_pending" those whose state is
     *           another are left as they are,
     *       "messages"?: [messages; one with a known entry_id is updated
     *           with the members given, else it is appended],
     *       "inbound_done"?: [inbound_ids], "turn_id"?}
     * The status of a message, and of a channel, never moves backwards:
     * NGX_COMMS_STATUS_RANKS.  An update with a lower rank changes neither
     * "status" nor "status_at", "reason" and "reason_code"; its other members
     * are taken.
     * The reason of a channel's state is kept in "channel_reasons".  An
     * effect that was not intended, or withdrawn, is written down all the
     * same.  A notice (NGX_COMMS_NOTICE_THREAD) goes to all workers.
     * out  {"channel_states": {channel: status}}
     * NGX_OK; NGX_ABORT: an older fence, nothing was written;
     * NGX_DECLINED: no such thread.
     */
    ngx_comms_store_op_pt   record;

    /*
     * Erases a person's data of one thread: the thread with its messages and
     * effects, its address pairs, the inbound messages that are its own or
     * were set aside under its address pairs, and what waits in queues for it
     * where they are in the store's file.  What the person said about
     * consent stays, being proof; and "admit" and "accept" go on to answer as
     * before, with "erased": true beside.  Whoever has the thread in his
     * hands is refused ("fence", NGX_DECLINED) from the first moment.
     *
     * It may be asked again, and has to be where it was not answered: what
     * was left in the middle is gone on with, and the answer is the same for
     * as long as the thread is remembered.
     * in   {"thread_id"}
     * out  {"media": [each "media_id" in the "media" of its messages],
     *       "ai_conversation_id": string | null}
     * NGX_OK; NGX_DECLINED: no such thread.
     */
    ngx_comms_store_op_pt   erase;

    /*
     * Sets inbound messages aside that belong to no thread.
     * in   {"inbound_id", "reason"}
     * NGX_OK, also when it is not waiting any more.
     */
    ngx_comms_store_op_pt   orphan;

    /*
     * One kept inbound message.
     * in   {"inbound_id"}
     * out  {"inbound": as it was kept, "state": "waiting" | "done" |
     *       "orphan"}; NGX_DECLINED: unknown.
     */
    ngx_comms_store_op_pt   inbound;

    /*
     * The consent ledger: appends what a person said.
     * in   {"company_id", "person_address", "opted_out": true | false,
     *       "source": "keyword" | "provider" | "api" | "link", "proof": text}
     */
    ngx_comms_store_op_pt   consent;

    /*
     * What the ledger knows of a person, oldest first, at most 1000 entries.
     * in   {"company_id", "person_address"}
     * out  {"opted_out": true | false, "entries": [{"opted_out", "source",
     *       "proof", "at": ms}]}
     */
    ngx_comms_store_op_pt   ledger;

    /*
     * The message of a thread with this id of the provider's, for a delivery
     * webhook that brings no marker.
     * in   {"provider_message_id"}
     * out  {"thread_id", "entry_id"}; NGX_DECLINED: none (yet).
     */
    ngx_comms_store_op_pt   sent_as;

    /*
     * A thread, whole.
     * in   {"thread_id", "messages": at most so many, newest}
     * out  {"record": header with "messages": [], oldest first};
     * NGX_DECLINED: none.
     */
    ngx_comms_store_op_pt   load;

    /*
     * A page of threads, newest first.
     * in   {"company_id", "project_id"?, "status"?, "recipient"?: person
     *       address, "cursor"?: what a page before gave, "limit": 1..200}
     * out  {"conversations": [headers, without project_data, ai_config and
     *       channel_config], "cursor": string | null};
     * NGX_DECLINED: a cursor that is none of ours.
     */
    ngx_comms_store_op_pt   list;

    /*
     * Figures for the status page.
     * in   {}
     * out  {"threads": {status: n}, "inbound_waiting": n,
     *       "effects_unfinished": n, "journal"?: n}
     * "journal": messages in it, present when a journal is in use; then also
     * with NGX_ERROR, when nothing else is known.
     */
    ngx_comms_store_op_pt   figures;

    /*
     * The lock of a thread: one turn at a time, over several machines.  A
     * backend for one machine has none of these three (NULL).  The fence is
     * what protects the record; the lock keeps turns from working in vain.
     *
     * in   {"thread_id", "term": ms, "token"?: 1..64 characters, never used
     *       before}
     * out  {"token"}
     * NGX_OK; NGX_BUSY: held by somebody else, out = {"term": the holder's},
     * and it is marked as wanted.  A lock that was not renewed for its
     * holder's term is taken over: the term is counted by the clock of the
     * process that asks, from when it first asked, so it has to ask again.
     */
    ngx_comms_store_op_pt   lock;

    /*
     * in   {"thread_id", "token", "term"}
     * NGX_OK; NGX_DECLINED: no longer ours.
     */
    ngx_comms_store_op_pt   renew;

    /*
     * in   {"thread_id", "token", "force": even when it is wanted}
     * NGX_OK: given back; NGX_AGAIN: still held, since somebody wanted it
     * meanwhile, and the mark is cleared; NGX_DECLINED: was no longer ours.
     */
    ngx_comms_store_op_pt   unlock;

    /* in a worker; NGX_ERROR ends the worker's start */
    ngx_int_t             (*init_process)(ngx_comms_store_t *store,
                               ngx_cycle_t *cycle);
    void                  (*exit_process)(ngx_comms_store_t *store);
};


/*
 * How far a message, or a channel's first message, has come.  "bounced" stands
 * above "delivered": a mail server may take a mail over and refuse it later.
 */
#define NGX_COMMS_STATUS_RANKS                                                \
    { "pending", 0 }, { "cancelled", 1 }, { "unknown", 2 }, { "sent", 3 },    \
    { "failed", 4 }, { "delivered", 5 }, { "bounced", 6 }, { "read", 7 }


/*
 * Attributes that the store derives by itself in "accept": created_at,
 * updated_at, version 1, fence 0, channel_states with "pending" for each of
 * channel_method; conversation_status "queued" unless the record says another.
 * "record" raises version and updated_at, "claim" version.
 * These, the ids and "messages" cannot be "set"; conversation_status can.
 *
 * An input that lacks a member, or has one of a wrong type, is a mistake of
 * ours: NGX_ERROR, and an alert in the log that names the member.
 */


/* the embedded backend, over an ngx_comms_sqlite_t */
#define NGX_COMMS_STORE_MAX_PAGE  200


#endif /* _NGX_COMMS_STORE_H_INCLUDED_ */
