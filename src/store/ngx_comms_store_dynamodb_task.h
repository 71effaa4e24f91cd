
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Inside of the DynamoDB store: tasks, and the items they work on.
 *
 * A task carries out one operation of the store, call by call.  A step is a
 * function that looks at what the last call brought and either starts one
 * more thing, naming the step that goes on, or ends the task; it does one of
 * both exactly once, as the last thing before it returns.  What several steps
 * share is allocated from the task's pool and handed along as "data".
 *
 * Documents on this side of the task are plain JSON; the attribute values of
 * the wire ({"S": ...}) are seen in ngx_comms_store_dynamodb_item.c alone.
 * In expressions "#name" stands for the attribute of that name without being
 * declared; "#pk" and "#sk" for the keys of the table.
 */


#ifndef _NGX_COMMS_STORE_DYNAMODB_TASK_H_INCLUDED_
#define _NGX_COMMS_STORE_DYNAMODB_TASK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <jansson.h>
#include <base/ngx_comms_op.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <store/ngx_comms_store_dynamodb.h>


typedef struct ngx_comms_dynamodb_task_s  ngx_comms_dynamodb_task_t;
typedef struct ngx_comms_dynamodb_lock_s  ngx_comms_dynamodb_lock_t;

typedef void (*ngx_comms_dynamodb_step_pt)(ngx_comms_dynamodb_task_t *t,
    void *data);


typedef struct {
    ngx_str_t                          name;
    const char                        *pk;       /* attributes of the key */
    const char                        *sk;
} ngx_comms_dynamodb_table_t;


typedef struct {
    ngx_comms_aws_t                   *aws;
    ngx_comms_store_dynamodb_conf_t   *conf;

    ngx_comms_dynamodb_table_t         threads;
    ngx_comms_dynamodb_table_t         effects;
    ngx_comms_dynamodb_table_t         inbound;
    ngx_comms_dynamodb_table_t         consent;
    ngx_comms_dynamodb_lock_t         *lock;     /* NULL: no lock table */

    ngx_event_t                        sweep;
    ngx_uint_t                         sweeping;
} ngx_comms_dynamodb_t;


struct ngx_comms_dynamodb_task_s {
    ngx_comms_dynamodb_t              *db;
    ngx_comms_op_t                    *op;       /* NULL: nobody waits */
    json_t                            *in;
    ngx_pool_t                        *pool;
    ngx_event_t                        first;

    /* once set, the operation is durable, and this is its answer, whatever
       becomes of the calls that remain */
    ngx_uint_t                         committed;
    json_t                            *outcome;

    ngx_str_t                          changed;  /* this thread: workers are
                                                    told at the end */

    /* what the last call brought; borrowed */
    ngx_uint_t                         refused;  /* its condition failed */
    json_t                            *item;     /* get, update */
    json_t                            *items;    /* query, batch: an array */
    int64_t                            count;    /* count */
    json_t                            *left;     /* what a batch of writes
                                                    has not done */

    /* the call under way */
    ngx_comms_dynamodb_table_t        *table;
    ngx_comms_dynamodb_step_pt         step;
    void                              *data;
    const char                        *operation;
    json_t                            *request;  /* of a query, for its next
                                                    page */
    size_t                             limit;
};


/* ngx_comms_store_dynamodb_check.c: logs what is there, or what is missing */
void ngx_comms_dynamodb_check(ngx_comms_dynamodb_t *db);

/* the table of the locks; NULL: there are none */
ngx_comms_dynamodb_table_t *ngx_comms_dynamodb_lock_table(
    ngx_comms_dynamodb_t *db);


/* the first step is taken on the next turn of the event loop */
void ngx_comms_dynamodb_start(ngx_comms_dynamodb_t *db, json_t *in,
    ngx_comms_op_t *op, ngx_comms_dynamodb_step_pt first);

/* ends the task; takes over the reference to the answer */
void ngx_comms_dynamodb_finish(ngx_comms_dynamodb_task_t *t, ngx_int_t rc,
    json_t *answer);

/* ends it with NGX_ERROR, or as it was committed */
void ngx_comms_dynamodb_fail(ngx_comms_dynamodb_task_t *t);

/* NGX_OK with the outcome, which is taken over, from here on */
void ngx_comms_dynamodb_commit(ngx_comms_dynamodb_task_t *t,
    json_t *outcome);

/* the document lives as long as the task; NULL stays NULL */
json_t *ngx_comms_dynamodb_hold(ngx_comms_dynamodb_task_t *t, json_t *doc);

/*
 * A key or an expression in the pool, by a format of ngx_sprintf(); empty
 * when out of memory.
 */
ngx_str_t ngx_comms_dynamodb_text(ngx_comms_dynamodb_task_t *t,
    const char *fmt, ...);

/* a text from outside as part of a key: its hash when it is long */
ngx_str_t ngx_comms_dynamodb_part(ngx_comms_dynamodb_task_t *t,
    ngx_str_t text);


/*
 * The calls.  "values" (":name" -> plain value), documents and whatever else
 * is given by reference are taken over, and may be NULL where there are none;
 * a NULL that stands for a lack of memory ends the task.  Any failure but a
 * condition's ends the task.
 */

/* t->item: NULL when there is none, or its time is over */
void ngx_comms_dynamodb_get(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, ngx_str_t pk, ngx_str_t sk,
    ngx_comms_dynamodb_step_pt step, void *data);

/* puts an item: the key is added to the document */
void ngx_comms_dynamodb_put(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, ngx_str_t pk, ngx_str_t sk,
    json_t *doc, const char *condition, json_t *values,
    ngx_comms_dynamodb_step_pt step, void *data);

/* an update of one item */
typedef struct {
    ngx_str_t                          pk;
    ngx_str_t                          sk;
    ngx_str_t                          update;
    ngx_str_t                          condition;   /* may be empty */
    json_t                            *names;       /* may be NULL */
    json_t                            *values;      /* may be NULL */
    const char                        *returns;     /* "ALL_NEW", ... */
} ngx_comms_dynamodb_update_t;

/* t->item: what "returns" asked for */
void ngx_comms_dynamodb_update(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, ngx_comms_dynamodb_update_t *u,
    ngx_comms_dynamodb_step_pt step, void *data);

void ngx_comms_dynamodb_delete(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, ngx_str_t pk, ngx_str_t sk,
    const char *condition, json_t *values,
    ngx_comms_dynamodb_step_pt step, void *data);

/* a walk over part of a table or of an index */
typedef struct {
    const char                        *index;       /* NULL: the table */
    const char                        *key;         /* condition of the key */
    const char                        *filter;      /* NULL: none */
    json_t                            *values;
    size_t                             limit;
    ngx_uint_t                         forward;
    ngx_uint_t                         count;       /* the number alone */
} ngx_comms_dynamodb_query_t;

/* t->items, or t->count */
void ngx_comms_dynamodb_query(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, ngx_comms_dynamodb_query_t *q,
    ngx_comms_dynamodb_step_pt step, void *data);

/*
 * Items by their keys ([[pk, sk], ...], each once, at most 100), in no order;
 * t->items.
 */
#define NGX_COMMS_DYNAMODB_BATCH  100

void ngx_comms_dynamodb_batch(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, json_t *keys,
    ngx_comms_dynamodb_step_pt step, void *data);

/*
 * Removes items by their keys, any number of them.  The keys are collected
 * in an object (of the pool), each once, and have no order.
 */
ngx_int_t ngx_comms_dynamodb_key_add(json_t *keys, ngx_str_t pk,
    ngx_str_t sk);
void ngx_comms_dynamodb_remove(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_table_t *table, json_t *keys,
    ngx_comms_dynamodb_step_pt step, void *data);

/* a queue entry; "in" is what "put" of a bus takes */
void ngx_comms_dynamodb_enqueue(ngx_comms_dynamodb_task_t *t, json_t *in,
    ngx_comms_dynamodb_step_pt step, void *data);


/* the wire's form of a plain document, and back; NULL when out of memory */
json_t *ngx_comms_dynamodb_value(json_t *plain);
json_t *ngx_comms_dynamodb_item(json_t *plain);
json_t *ngx_comms_dynamodb_plain(json_t *item);

/* a document as text in an attribute, and back; NULL: broken */
json_t *ngx_comms_dynamodb_pack(json_t *doc);
json_t *ngx_comms_dynamodb_unpack(json_t *text);

/* a plain string from an ngx_str_t; NULL when out of memory */
json_t *ngx_comms_dynamodb_string(ngx_str_t text);

/* when an item written now is due to go, in seconds; 0: never */
int64_t ngx_comms_dynamodb_ttl(ngx_comms_dynamodb_t *db);


#endif /* _NGX_COMMS_STORE_DYNAMODB_TASK_H_INCLUDED_ */
