
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A thread in work: the state that the flows share, and the rows of their
 * tables that deal with the thread itself (lease, lock, claim), the AI (ask)
 * and with a channel (send).
 *
 * f->ctx of each flow is an ngx_comms_thread_t, made by
 * ngx_comms_thread_create() in the first row.  JSON documents in it are
 * references of its own, given up when the flow's pool goes.
 *
 * Invariants:
 *   1. Nothing is asked of the AI and nothing is sent without an intent in
 *      the store (ask: "ai:<turn>", send: "send:<entry>").
 *   2. An intent that surely had no effect is withdrawn; one that may have
 *      had an effect stays, and the next run finds it.
 *   3. What the AI said is durable, as a message with the status "pending",
 *      before it is sent.  The messages it answers become "done" in the same
 *      step.
 */


#ifndef _NGX_COMMS_THREAD_H_INCLUDED_
#define _NGX_COMMS_THREAD_H_INCLUDED_


#include <flow/ngx_comms_flow.h>
#include <ai/ngx_comms_ai.h>
#include <ai/ngx_comms_prompt.h>
#include <guard/ngx_comms_breaker.h>
#include <guard/ngx_comms_budget.h>
#include <guard/ngx_comms_rate.h>


/* tries of one write before the flow gives its message back */
#define NGX_COMMS_WRITE_TRIES     5

/* rounds of collect, ask, send under one lease */
#define NGX_COMMS_TURN_ROUNDS     20

/*
 * A send's intent without an outcome that is younger than this may still be
 * in the hands of another worker, ms.  Above the provider locations' time-out
 * (60 s by default) plus the margin of a call.
 */
#define NGX_COMMS_SEND_IN_DOUBT   90000


typedef struct {
    ngx_comms_ai_t          *ai;
    ngx_str_t                provider;      /* name of the location */
    ngx_comms_question_t     question;
    ngx_comms_step_pt        compose;       /* fills the question in */
    ngx_comms_ai_answer_t    answer;
    ngx_str_t                effect_id;
    ngx_str_t                turn_id;
    json_t                  *detail;        /* of the intent */
    json_t                  *outcome;       /* of an ask settled earlier */
    ngx_msec_t               asked_at;
    ngx_msec_t               took;          /* ms */

    ngx_str_t                breaker_key;   /* of provider, key and model */
    ngx_str_t                budget_key;    /* of project and provider */
    uint64_t                 breaker;       /* token of an admitted call */
    ngx_comms_rate_call_t    rate;
    int64_t                  waiting_since; /* ms by the wall clock; 0: not
                                               known */
    ngx_uint_t               attempts;      /* calls of this choice */
    json_t                  *log;           /* what each attempt was */

    unsigned                 live:1;        /* a person waits */
    unsigned                 second:1;      /* the project's second choice */
    unsigned                 admitted:1;    /* and not reported yet */
    unsigned                 intended:1;    /* by this run */
    unsigned                 pausing:1;     /* before the next attempt */
    unsigned                 hold:1;        /* say that it takes longer */
    unsigned                 handed_over:1; /* to a human, and no failure */
    unsigned                 counted:1;     /* as a turn of this hour */
    unsigned                 replay:1;      /* the provider keeps no memory */
    unsigned                 created:1;     /* the AI conversation is new and
                                               not in the record yet */
    unsigned                 reseed:1;      /* and must be told what was said
                                               before */
    unsigned                 in_doubt:1;    /* an earlier ask has no outcome */
    unsigned                 settled:1;     /* an earlier ask has one */
    unsigned                 answered:1;
    unsigned                 gave_up:1;     /* there will be no answer */
} ngx_comms_ask_t;


typedef struct {
    json_t                  *message;       /* of the record */
    ngx_uint_t               channel;
    ngx_comms_provider_t    *provider;
    ngx_str_t                provider_name;
    json_t                  *credentials;   /* borrowed from the secrets */
    ngx_comms_outbound_t     outbound;
    ngx_comms_request_t      request;
    ngx_comms_sent_t         sent;
    ngx_str_t                effect_id;
    ngx_str_t                attempt;       /* this run's mark on the intent */
    const char              *cancelled;     /* why it was not sent, static */
    ngx_uint_t               patience;      /* tries to record beyond those of
                                               other writes */
    ngx_msec_t               wait;          /* for its slot, ms */
    json_t                  *moved;         /* takes its place on another
                                               channel */
    unsigned                 settled:1;     /* an earlier run did it all */
    unsigned                 called:1;      /* the provider answered this run */
    unsigned                 decided:1;     /* "sent" holds the verdict */
    unsigned                 first:1;       /* a first message: its channel's
                                               state follows it */
    unsigned                 late:1;        /* the gate did not answer, and may
                                               have let the send pass */
    unsigned                 unsent:1;      /* surely never begun, while its
                                               intent may stand */
    unsigned                 recorded:1;    /* the record knows the end of it */
    unsigned                 gave_up:1;     /* its queue message is dying */
    unsigned                 withdrawn:1;
    unsigned                 all_failed:1;  /* no channel is left to hope for */
    unsigned                 template:1;    /* goes out as a template */
    unsigned                 closed:1;      /* the provider says that the
                                               window is closed */
    unsigned                 held:1;        /* left to a human for that */
    unsigned                 aside:1;       /* the channel's state does not
                                               follow it: a further part, or
                                               moved here */
    unsigned                 linking:1;     /* its address is new to the
                                               thread */
    unsigned                 paced:1;       /* has waited for its slot */
} ngx_comms_send_t;


/* a word about consent, for each address of the person */
typedef struct {
    json_t                  *addresses;
    size_t                   next;          /* to be written */
} ngx_comms_consent_t;


typedef struct {
    ngx_str_t                thread_id;
    ngx_str_t                company_id;
    ngx_str_t                project_id;
    ngx_comms_project_t     *project;

    json_t                  *facts;         /* header of the record, or the
                                               context object: same names */

    uint64_t                 lease;         /* token; 0: none held */
    ngx_str_t                lock;          /* token of the store's lock */
    ngx_msec_t               lock_since;    /* it is ours from then for a
                                               term */
    ngx_event_t              renewal;
    ngx_msec_t               renewal_since;
    ngx_comms_op_t          *renewing;      /* the lock's renewal under way */
    int64_t                  fence;         /* 0: not claimed */
    json_t                  *claim;         /* what the claim answered */

    json_t                  *inbound;       /* messages of this turn */
    json_t                  *reply;         /* the message that answers them */
    struct ngx_comms_media_fetch_s
                            *media;         /* of them, being fetched */
    json_t                  *parts;         /* what follows the message to be
                                               sent, or NULL */
    size_t                   part;          /* the next one */
    json_t                  *event;         /* the message that woke us, or
                                               the report of a provider */
    ngx_str_t                entry_id;      /* of the message reported on */
    ngx_str_t                person;        /* whose consent is reported */
    ngx_uint_t               rounds;
    ngx_msec_t               started;

    ngx_comms_ask_t          ask;
    ngx_comms_send_t         send;
    ngx_comms_consent_t      consent;

    ngx_uint_t               tries;         /* of the write in this row */
    unsigned                 pausing:1;
    unsigned                 lease_lost:1;
    unsigned                 lock_asked:1;  /* the lock may be ours */
    unsigned                 locked:1;      /* it is */
} ngx_comms_thread_t;


/* makes f->ctx; NULL when out of memory */
ngx_comms_thread_t *ngx_comms_thread_create(ngx_comms_flow_t *f);

/*
 * Names the thread for log and lease.  NGX_DECLINED when an id is missing or
 * malformed; NGX_ERROR when out of memory.
 */
ngx_int_t ngx_comms_thread_name(ngx_comms_flow_t *f, json_t *ids);


/* rows: each pair is a start and its done */

ngx_int_t ngx_comms_thread_project(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_thread_project_done(ngx_comms_flow_t *f);

ngx_int_t ngx_comms_thread_lease(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_thread_group(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_thread_group_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_thread_lock(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_thread_lock_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_thread_claim(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_thread_claim_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_thread_release(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_thread_release_done(ngx_comms_flow_t *f);

ngx_int_t ngx_comms_ask_credentials(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_credentials_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_leave(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_hold(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_hold_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_conversation(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_conversation_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_remember(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_remember_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_intend(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_intend_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_look(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_look_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_call(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_call_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_settle(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_ask_settle_done(ngx_comms_flow_t *f);

ngx_int_t ngx_comms_send_window(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_window_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_link(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_link_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_status_window(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_status_window_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_status_again_record(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_status_again_record_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_status_again_wake(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_status_again_wake_done(ngx_comms_flow_t *f);

ngx_int_t ngx_comms_send_credentials(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_credentials_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_compose(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_quiet(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_pace(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_pace_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_gate(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_gate_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_call(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_call_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_record(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_record_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_suppress(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_suppress_done(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_conclude(ngx_comms_flow_t *f);
ngx_int_t ngx_comms_send_conclude_done(ngx_comms_flow_t *f);


/* the lease's part in the making and the end of f->ctx */
void ngx_comms_thread_lease_init(ngx_comms_flow_t *f);
void ngx_comms_thread_lease_end(ngx_comms_thread_t *t);

/* 1 when the lease was lost */
ngx_uint_t ngx_comms_thread_overdue(ngx_comms_flow_t *f);


/* for writing rows */

/*
 * Is it still ours to act?  NGX_OK, or NGX_ERROR with the verdict set: the
 * queue message or the lease was lost, or the turn took too long.
 */
ngx_int_t ngx_comms_thread_ours(ngx_comms_flow_t *f);

/* 1 when the flow is over and its queue message goes to the dead letters */
ngx_uint_t ngx_comms_thread_dies(ngx_comms_flow_t *f);

/*
 * Issues a store operation with "in" (whose reference is taken over; NULL
 * counts as out of memory).  NGX_AGAIN or NGX_ERROR.
 */
ngx_int_t ngx_comms_thread_store(ngx_comms_flow_t *f,
    ngx_comms_store_op_pt op, json_t *in);

/*
 * First line of a start that writes: 1 when the row waits before its next
 * try; the start then returns NGX_AGAIN.
 */
ngx_uint_t ngx_comms_thread_pause(ngx_comms_flow_t *f);

/*
 * First line of the done: NGX_OK when the write was answered (f->op_rc is
 * then one of the operation's own codes but not NGX_ERROR); NGX_BUSY to run
 * the row again; NGX_ERROR when it was tried often enough.
 */
ngx_int_t ngx_comms_thread_written(ngx_comms_flow_t *f);

/*
 * The same for a record under the turn's fence; NGX_ERROR also when it was
 * refused because the thread passed to another turn.
 */
ngx_int_t ngx_comms_thread_recorded(ngx_comms_flow_t *f);

/* a copy of a string member in the flow's pool; empty when absent */
ngx_int_t ngx_comms_thread_str(ngx_comms_flow_t *f, json_t *object,
    const char *key, ngx_str_t *value);

/* notes whether a channel of the thread may still carry its first message */
void ngx_comms_send_hope(ngx_comms_send_t *s, json_t *states);

/* sets a send up for a message of the record; NGX_OK or NGX_ERROR */
ngx_int_t ngx_comms_send_prepare(ngx_comms_flow_t *f, json_t *message,
    ngx_uint_t first);

/* segments that a text message may have, by its channel_config */
ngx_uint_t ngx_comms_parts_segments(json_t *config);

/*
 * Makes an SMS of the record fit: its content is shortened, or cut into what
 * it and "parts" (a new array of messages, else NULL) hold.
 */
ngx_int_t ngx_comms_parts_make(ngx_comms_flow_t *f, json_t *message,
    json_t **parts);

/* cuts a text that is not empty into one ngx_str_t or more, in the pool */
ngx_int_t ngx_comms_parts_cut(ngx_pool_t *pool, json_t *config,
    ngx_str_t *content, ngx_array_t *pieces);

/* what follows the first of a claim's unsent messages: more of its answer */
ngx_int_t ngx_comms_parts_unsent(ngx_comms_thread_t *t, json_t *unsent);

/*
 * When the message was sent and a part follows: NGX_DECLINED, and the send is
 * set up for it; else NGX_OK.
 */
ngx_int_t ngx_comms_parts_next(ngx_comms_flow_t *f);

/* adds to the array what becomes of the parts behind one that was not sent */
ngx_int_t ngx_comms_parts_forsake(ngx_comms_flow_t *f, json_t *messages);

/* adds to a record until when the person may be written to on WhatsApp */
ngx_int_t ngx_comms_send_window_set(ngx_comms_thread_t *t, json_t *in);

/*
 * Whose word about consent it is: the address "from", the "aliases" (an array,
 * or NULL) and those in "facts".  Then, as start and done of a row, writes it
 * down for each of them.
 */
ngx_int_t ngx_comms_consent_of(ngx_comms_flow_t *f, json_t *facts,
    json_t *from, json_t *aliases);
ngx_int_t ngx_comms_consent_write(ngx_comms_flow_t *f, ngx_uint_t opted_out,
    const char *source, ngx_str_t *proof);
ngx_int_t ngx_comms_consent_written(ngx_comms_flow_t *f);

/*
 * Fills in the send's outbound message from the message, the project and the
 * facts.  NGX_DECLINED with *words when the project or the message lacks
 * something that is needed; NGX_ERROR when out of memory.
 */
ngx_int_t ngx_comms_compose(ngx_comms_flow_t *f, const char **words);

/*
 * Sets an ask up for a turn; "compose" fills in the question's instructions,
 * input and schema when they are needed.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_comms_ask_prepare(ngx_comms_flow_t *f, ngx_str_t *turn_id,
    ngx_comms_step_pt compose);


extern ngx_comms_step_t  ngx_comms_open_steps[];
extern ngx_comms_step_t  ngx_comms_deliver_steps[];
extern ngx_comms_step_t  ngx_comms_turn_steps[];
extern ngx_comms_step_t  ngx_comms_status_steps[];
extern ngx_comms_step_t  ngx_comms_fallback_steps[];


/*
 * Behind a call that a provider refused with 401: 1 when the credentials of
 * that id are fetched anew for the next run, as they may have been rotated.
 */
ngx_uint_t ngx_comms_thread_rotated(ngx_comms_flow_t *f, ngx_str_t *id);


#endif /* _NGX_COMMS_THREAD_H_INCLUDED_ */
