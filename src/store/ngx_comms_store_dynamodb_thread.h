
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Inside of the DynamoDB store: a thread's header item, and what belongs to
 * it.  The file head of ngx_comms_store_dynamodb.c says what is where.
 */


#ifndef _NGX_COMMS_STORE_DYNAMODB_THREAD_H_INCLUDED_
#define _NGX_COMMS_STORE_DYNAMODB_THREAD_H_INCLUDED_


#include <store/ngx_comms_store_dynamodb_task.h>


/* attributes that no record may have: names of ours start with these */
#define NGX_COMMS_DYNAMODB_OURS   "comms_"
#define NGX_COMMS_DYNAMODB_INDEX  "gsi_"

#define NGX_COMMS_DYNAMODB_SHARDS  8

/* a guard's owner is given so long to finish it, in ms */
#define NGX_COMMS_DYNAMODB_FRESH  5000


/* where messages of a channel stand: behind "prefix" in the partition "pk" */
typedef struct {
    ngx_str_t   pk;
    ngx_str_t   prefix;
} ngx_comms_dynamodb_place_t;


/* the sort key of a header */
extern ngx_str_t  ngx_comms_dynamodb_record;


/* the item of a new thread, from what accept was given; NULL: memory */
json_t *ngx_comms_dynamodb_header_make(ngx_comms_dynamodb_task_t *t,
    json_t *in, json_t *journal);

/* the header that an item holds, as the rest of the module knows it */
json_t *ngx_comms_dynamodb_header(ngx_comms_dynamodb_task_t *t,
    json_t *item);

/* a message, an effect, ... without what is ours; a new reference */
json_t *ngx_comms_dynamodb_public(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, json_t *item);

/* an attribute of a header item, by its outside name; borrowed */
json_t *ngx_comms_dynamodb_header_get(ngx_comms_dynamodb_t *db, json_t *item,
    const char *name);

/* its name inside */
const char *ngx_comms_dynamodb_header_name(ngx_comms_dynamodb_t *db,
    const char *name);

/*
 * The places where the thread's messages are; each once.  The first
 * of them has messages of no channel of the thread.
 */
ngx_array_t *ngx_comms_dynamodb_places(ngx_comms_dynamodb_task_t *t,
    json_t *item);
ngx_int_t ngx_comms_dynamodb_place(ngx_comms_dynamodb_task_t *t,
    json_t *item, ngx_str_t channel, ngx_comms_dynamodb_place_t *place);

/* the record of a pair's channel (layout per_channel), and its key */
json_t *ngx_comms_dynamodb_copy(ngx_comms_dynamodb_task_t *t, json_t *item,
    json_t *pair, ngx_str_t *pk, ngx_str_t *sk);

/* the key of that record */
ngx_int_t ngx_comms_dynamodb_copy_key(ngx_comms_dynamodb_task_t *t,
    json_t *item, json_t *pair, ngx_str_t *pk, ngx_str_t *sk);

/* is this person of the thread? */
ngx_uint_t ngx_comms_dynamodb_knows(json_t *item, ngx_str_t person_address);

/* address pairs in an input: NGX_OK or NGX_ERROR; "what" is for the log */
ngx_int_t ngx_comms_dynamodb_check_pairs(const char *what, json_t *in);

/* NGX_OK with a key's part for the time: it sorts as times do */
ngx_str_t ngx_comms_dynamodb_when(ngx_comms_dynamodb_task_t *t, int64_t ms,
    ngx_str_t id);

/* the partition of an address pair, in "threads" and in "inbound" */
ngx_str_t ngx_comms_dynamodb_pair(ngx_comms_dynamodb_task_t *t,
    json_t *pair);

/* the partition of a person's threads with the company of the header */
ngx_str_t ngx_comms_dynamodb_person(ngx_comms_dynamodb_task_t *t,
    json_t *item, json_t *pair);

/* one of NGX_COMMS_DYNAMODB_SHARDS, as text */
json_t *ngx_comms_dynamodb_shard(ngx_str_t id);

/* a time in a record's form; NULL when out of memory */
json_t *ngx_comms_dynamodb_time(int64_t ms);

/* 1: counts as an open conversation */
ngx_uint_t ngx_comms_dynamodb_is_open(ngx_str_t status);


/* is the input of a record fit to be written?  NGX_OK or NGX_ERROR */
ngx_int_t ngx_comms_dynamodb_record_check(json_t *in);


/*
 * Journal: brings all that the header item's journal says to where it
 * belongs, and empties it; then takes the step.  "item" stays as it was.
 */
void ngx_comms_dynamodb_replay(ngx_comms_dynamodb_task_t *t,
    ngx_str_t thread_id, json_t *item, ngx_comms_dynamodb_step_pt step,
    void *data);

/* the same for a header that is read now; t->item: the header, or NULL */
void ngx_comms_dynamodb_thread(ngx_comms_dynamodb_task_t *t,
    ngx_str_t thread_id, ngx_comms_dynamodb_step_pt step, void *data);

/*
 * Writes the two items of each pair: whose thread is it, which threads has a
 * person.  Done when a thread starts, and again while it lives on.
 */
void ngx_comms_dynamodb_pairs(ngx_comms_dynamodb_task_t *t, json_t *item,
    ngx_comms_dynamodb_step_pt step, void *data);

/* an effect for the outside, of an intent in a header or of an item */
json_t *ngx_comms_dynamodb_effect(const char *id, json_t *item);

/* effects that are settled in the journal of an item: {effect_id: true} */
json_t *ngx_comms_dynamodb_settled(json_t *item);

/* writes one message of a journal down; c: the number of its commit */
void ngx_comms_dynamodb_message(ngx_comms_dynamodb_task_t *t,
    ngx_str_t thread_id, json_t *item, json_t *entry, int64_t c,
    ngx_comms_dynamodb_step_pt step, void *data);

/*
 * For a condition: the names of values, in "list" with commas between them,
 * that hold the statuses which "status" may not take the place of; empty when
 * it may take any.  They are added to "values".
 */
ngx_int_t ngx_comms_dynamodb_above(ngx_comms_dynamodb_task_t *t,
    json_t *status, json_t *values, ngx_str_t *list);

/*
 * The partition of the threads that have a message of this id; "kind" is
 * "mail" or "quote".  Empty when out of memory.
 */
ngx_str_t ngx_comms_dynamodb_sign_key(ngx_comms_dynamodb_task_t *t,
    const char *kind, ngx_str_t id);

/* the newest n messages, oldest first: t->items */
void ngx_comms_dynamodb_newest(ngx_comms_dynamodb_task_t *t, json_t *item,
    int64_t n, ngx_comms_dynamodb_step_pt step, void *data);

/* messages with a turn_id that are pending, oldest first: t->items */
void ngx_comms_dynamodb_unsent(ngx_comms_dynamodb_task_t *t,
    ngx_str_t thread_id, ngx_comms_dynamodb_step_pt step, void *data);


/*
 * Inbound messages.
 */

/* the key of one, and the sort key of whatever has a partition of its own */
ngx_str_t ngx_comms_dynamodb_inbound_key(ngx_comms_dynamodb_task_t *t,
    ngx_str_t inbound_id);
extern ngx_str_t  ngx_comms_dynamodb_only;

/* one is answered by a turn of the thread */
void ngx_comms_dynamodb_inbound_done(ngx_comms_dynamodb_task_t *t,
    ngx_str_t inbound_id, ngx_str_t thread_id, ngx_str_t turn_id,
    ngx_comms_dynamodb_step_pt step, void *data);

/* one waits for this thread from now on */
void ngx_comms_dynamodb_inbound_bind(ngx_comms_dynamodb_task_t *t,
    ngx_str_t inbound_id, ngx_str_t thread_id,
    ngx_comms_dynamodb_step_pt step, void *data);

/* removes the hints to a message that waits no more, by its item */
void ngx_comms_dynamodb_unhint(ngx_comms_dynamodb_task_t *t, json_t *item,
    ngx_comms_dynamodb_step_pt step, void *data);

/* what waits for the thread, oldest first: t->items, as it was kept */
void ngx_comms_dynamodb_waiting(ngx_comms_dynamodb_task_t *t,
    ngx_str_t thread_id, json_t *item, ngx_comms_dynamodb_step_pt step,
    void *data);

/*
 * Removes the inbound messages that are the thread's own: "item" is its
 * header, or what is left of it.  The media that they name are noted before,
 * through "media", which is empty.
 */
void ngx_comms_dynamodb_inbound_erase(ngx_comms_dynamodb_task_t *t,
    ngx_str_t thread_id, json_t *item, json_t *media,
    ngx_comms_dynamodb_step_pt step, void *data);

/*
 * Media_ids in the "media" of a message or an event are added to "media"
 * ({media_id: true}); NGX_ERROR: out of memory.  Those in "media" are noted
 * durably, in what will be left of the thread, and "media" is empty then.
 */
ngx_int_t ngx_comms_dynamodb_media(json_t *message, json_t *media);
void ngx_comms_dynamodb_erase_media(ngx_comms_dynamodb_task_t *t,
    ngx_str_t thread_id, json_t *media, ngx_comms_dynamodb_step_pt step,
    void *data);

/* the partition of what was set aside under an address pair */
ngx_str_t ngx_comms_dynamodb_orphans(ngx_comms_dynamodb_task_t *t,
    ngx_str_t pair);

/* the guard of the start of this conversation: the key of its partition */
ngx_str_t ngx_comms_dynamodb_accept_key(ngx_comms_dynamodb_task_t *t,
    ngx_str_t conversation_id);
extern ngx_str_t  ngx_comms_dynamodb_guard;

/* goes on with an erasure that somebody has left unfinished */
void ngx_comms_dynamodb_erase_resume(ngx_comms_dynamodb_task_t *t,
    ngx_str_t thread_id, ngx_comms_dynamodb_step_pt step, void *data);

/* goes on with a keep or an accept that somebody has left unfinished */
void ngx_comms_dynamodb_keep_resume(ngx_comms_dynamodb_task_t *t,
    json_t *guard, ngx_comms_dynamodb_step_pt step, void *data);
void ngx_comms_dynamodb_accept_resume(ngx_comms_dynamodb_task_t *t,
    json_t *guard, ngx_comms_dynamodb_step_pt step, void *data);


/* t->count 1: this person has opted out of the company; else 0 */
void ngx_comms_dynamodb_opted_out(ngx_comms_dynamodb_task_t *t,
    ngx_str_t company_id, ngx_str_t person_address,
    ngx_comms_dynamodb_step_pt step, void *data);


/*
 * Figures: adds to counters ({name: n}); taken over.  A name is "threads
 * <status>", "inbound_waiting" or "effects_unfinished".
 */
void ngx_comms_dynamodb_count(ngx_comms_dynamodb_task_t *t, ngx_str_t id,
    json_t *numbers, ngx_comms_dynamodb_step_pt step, void *data);


/* first steps of the operations */
void ngx_comms_dynamodb_op_admit(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_accept(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_keep(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_find(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_sent_as(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_link(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_claim(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_intend(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_withdraw(ngx_comms_dynamodb_task_t *t,
    void *data);
void ngx_comms_dynamodb_op_record(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_erase(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_orphan(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_inbound(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_consent(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_ledger(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_load(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_list(ngx_comms_dynamodb_task_t *t, void *data);
void ngx_comms_dynamodb_op_figures(ngx_comms_dynamodb_task_t *t, void *data);


/* the sweeper of this worker */
ngx_int_t ngx_comms_dynamodb_sweep_init(ngx_comms_dynamodb_t *db,
    ngx_cycle_t *cycle);
void ngx_comms_dynamodb_sweep_exit(ngx_comms_dynamodb_t *db);


#endif /* _NGX_COMMS_STORE_DYNAMODB_THREAD_H_INCLUDED_ */
