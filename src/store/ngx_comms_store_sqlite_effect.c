
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The send gate.  An effect is written down before it is attempted, and once
 * only: whoever finds it written down already must not just do it again.
 *
 * States: "intent" -> "done", "failed" or "unknown".  Only an "intent" can
 * be withdrawn.
 *
 * The gate's questions, in this order: is the thread still the asker's (its
 * fence); was the effect written down before; does the person want it; is the
 * thread owned by whom the asker speaks for; has nothing come in that the
 * asker does not know of; is it still the channel's first message.  The first
 * two come first because they are about what has happened already, which no
 * opt-out undoes.
 *
 * Cost: four statements, whatever is asked.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_json.h>
#include <sqlite/ngx_comms_sqlite_members.h>
#include <store/ngx_comms_store_gate.h>
#include <store/ngx_comms_store_sqlite_works.h>


static ngx_int_t ngx_comms_store_sqlite_gate(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **header);
static ngx_int_t ngx_comms_store_sqlite_wanted(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t *header);
static ngx_int_t ngx_comms_store_sqlite_written(ngx_comms_sqlite_txn_t *txn,
    json_t *in, json_t **answer);
static ngx_int_t ngx_comms_store_sqlite_write(ngx_comms_sqlite_txn_t *txn,
    json_t *in);
static ngx_int_t ngx_comms_store_sqlite_refuse(const char *why,
    json_t **answer);
static ngx_uint_t ngx_comms_store_sqlite_is(ngx_str_t *word,
    ngx_str_t *words);
static ngx_int_t ngx_comms_store_sqlite_unforeseen(
    ngx_comms_sqlite_txn_t *txn, ngx_str_t *thread_id, json_t *effect);


static const ngx_comms_sqlite_member_t  ngx_comms_store_intend_members[] = {
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "effect_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "kind", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "detail", NGX_COMMS_SQLITE_OBJECT, 1, 0, 0 },
    { "fence", NGX_COMMS_SQLITE_INTEGER, 1, 0, INT64_MAX },
    { "person_address", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { "owner", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { "newest_inbound_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "channel", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_store_withdraw_members[] = {
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "effect_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "attempt", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_store_settle_members[] = {
    { "effect_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "state", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


/* what an effect may be settled as */
static ngx_str_t  ngx_comms_store_sqlite_settled[] = {
    ngx_string("done"),
    ngx_string("failed"),
    ngx_string("unknown"),
    ngx_null_string
};


ngx_int_t
ngx_comms_store_sqlite_intend(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    json_t      *header;
    ngx_int_t    rc;
    const char  *why;

    if (ngx_comms_sqlite_members("intend", in,
                                 ngx_comms_store_intend_members)
        != NGX_OK
        || ngx_comms_store_gate_check(in) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_comms_store_sqlite_gate(txn, in, &header);

    if (rc == NGX_DECLINED) {
        return ngx_comms_store_sqlite_refuse("fence", answer);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_comms_store_sqlite_written(txn, in, answer);

    if (rc == NGX_OK) {
        rc = ngx_comms_store_sqlite_wanted(txn, in, header);

        if (rc == NGX_DECLINED) {
            rc = ngx_comms_store_sqlite_refuse("opted_out", answer);
        }
    }

    why = ngx_comms_store_gate(in, header);

    if (rc == NGX_OK && why != NULL) {
        rc = ngx_comms_store_sqlite_refuse(why, answer);
    }

    json_decref(header);

    return (rc == NGX_OK) ? ngx_comms_store_sqlite_write(txn, in) : rc;
}


/*
 * Is the thread the asker's?  A thread that is gone is nobody's: NGX_DECLINED.
 * Else what the gate asks of its header; of the document in it, which may be
 * large, only when it is asked for.
 */

static ngx_int_t
ngx_comms_store_sqlite_gate(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **header)
{
    int64_t        fence;
    ngx_int_t      rc;
    ngx_str_t      thread_id;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT company_id, fence, newest_inbound_id,"
        " CASE WHEN ?2 THEN channel_states END,"
        " CASE WHEN ?3 THEN json_extract(record, '$.hand_off_to_human') END"
        " FROM threads WHERE thread_id = ?1");
    if (st == NULL) {
        return NGX_ERROR;
    }

    thread_id = ngx_comms_sqlite_text(in, "thread_id");

    ngx_comms_sqlite_bind_str(st, 1, &thread_id);
    ngx_comms_sqlite_bind_int(st, 2, ngx_comms_sqlite_has(in, "channel"));
    ngx_comms_sqlite_bind_int(st, 3, ngx_comms_sqlite_has(in, "owner"));

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_DECLINED : NGX_ERROR;
    }

    if (ngx_comms_json_int(in, "fence", &fence) == NGX_OK
        && fence != sqlite3_column_int64(st, 1))
    {
        (void) sqlite3_reset(st);
        return NGX_DECLINED;
    }

    *header = json_pack("{s:o, s:o, s:o, s:o}",
                  "company_id", ngx_comms_sqlite_column(st, 0),
                  "newest_inbound_id", ngx_comms_sqlite_column(st, 2),
                  "channel_states", ngx_comms_sqlite_column_json(st, 3),
                  "hand_off_to_human", ngx_comms_sqlite_column(st, 4));

    (void) sqlite3_reset(st);

    return (*header != NULL) ? NGX_OK : NGX_ERROR;
}


/* NGX_DECLINED: the person said no to the company */

static ngx_int_t
ngx_comms_store_sqlite_wanted(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t *header)
{
    ngx_str_t  company_id, person_address;

    person_address = ngx_comms_sqlite_text(in, "person_address");

    if (person_address.len == 0) {
        return NGX_OK;
    }

    company_id = ngx_comms_sqlite_text(header, "company_id");

    return ngx_comms_store_sqlite_may_write(txn, &company_id,
                                            &person_address);
}


/* NGX_OK: not yet; NGX_DECLINED: it was, see the answer; NGX_ERROR */

static ngx_int_t
ngx_comms_store_sqlite_written(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    ngx_int_t      rc;
    ngx_str_t      thread_id, effect_id;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "SELECT " NGX_COMMS_STORE_SQLITE_EFFECT " FROM effects"
        " WHERE thread_id = ?1 AND effect_id = ?2");
    if (st == NULL) {
        return NGX_ERROR;
    }

    thread_id = ngx_comms_sqlite_text(in, "thread_id");
    effect_id = ngx_comms_sqlite_text(in, "effect_id");

    ngx_comms_sqlite_bind_str(st, 1, &thread_id);
    ngx_comms_sqlite_bind_str(st, 2, &effect_id);

    rc = ngx_comms_sqlite_step(txn, st);

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? NGX_OK : NGX_ERROR;
    }

    *answer = json_pack("{s:o}", "effect",
                        ngx_comms_store_sqlite_effect(txn, st));

    (void) sqlite3_reset(st);

    return (*answer != NULL) ? NGX_DECLINED : NGX_ERROR;
}


json_t *
ngx_comms_store_sqlite_effect(ngx_comms_sqlite_txn_t *txn, sqlite3_stmt *st)
{
    int64_t  age;

    age = ngx_comms_sqlite_now(txn) - sqlite3_column_int64(st, 3);

    /* the clock may have been set back */

    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:o}",
                     "effect_id", ngx_comms_sqlite_column(st, 0),
                     "kind", ngx_comms_sqlite_column(st, 1),
                     "state", ngx_comms_sqlite_column(st, 2),
                     "intended_at", ngx_comms_sqlite_column(st, 3),
                     "age", (json_int_t) ngx_max(age, 0),
                     "detail", ngx_comms_sqlite_column_json(st, 4),
                     "outcome", ngx_comms_sqlite_column_json(st, 5));
}


static ngx_int_t
ngx_comms_store_sqlite_write(ngx_comms_sqlite_txn_t *txn, json_t *in)
{
    ngx_str_t      thread_id, effect_id, kind;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "INSERT INTO effects (thread_id, effect_id, kind, state,"
        " intended_at, detail) VALUES (?1, ?2, ?3, 'intent', ?4, ?5)");
    if (st == NULL) {
        return NGX_ERROR;
    }

    thread_id = ngx_comms_sqlite_text(in, "thread_id");
    effect_id = ngx_comms_sqlite_text(in, "effect_id");
    kind = ngx_comms_sqlite_text(in, "kind");

    ngx_comms_sqlite_bind_str(st, 1, &thread_id);
    ngx_comms_sqlite_bind_str(st, 2, &effect_id);
    ngx_comms_sqlite_bind_str(st, 3, &kind);
    ngx_comms_sqlite_bind_int(st, 4, ngx_comms_sqlite_now(txn));
    ngx_comms_sqlite_bind_json(st, 5, json_object_get(in, "detail"));

    return ngx_comms_sqlite_execute(txn, st);
}


static ngx_int_t
ngx_comms_store_sqlite_refuse(const char *why, json_t **answer)
{
    *answer = json_pack("{s:s}", "refused", why);

    return (*answer != NULL) ? NGX_ABORT : NGX_ERROR;
}


ngx_int_t
ngx_comms_store_sqlite_withdraw(ngx_comms_sqlite_txn_t *txn, json_t *in,
    json_t **answer)
{
    ngx_str_t      thread_id, effect_id, attempt;
    sqlite3_stmt  *st;

    if (ngx_comms_sqlite_members("withdraw", in,
                                 ngx_comms_store_withdraw_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    st = ngx_comms_sqlite_prepare(txn,
        "DELETE FROM effects"
        " WHERE thread_id = ?1 AND effect_id = ?2 AND state = 'intent'"
        " AND (?3 IS NULL OR json_extract(detail, '$.attempt') = ?3)");
    if (st == NULL) {
        return NGX_ERROR;
    }

    thread_id = ngx_comms_sqlite_text(in, "thread_id");
    effect_id = ngx_comms_sqlite_text(in, "effect_id");
    attempt = ngx_comms_sqlite_text(in, "attempt");

    ngx_comms_sqlite_bind_str(st, 1, &thread_id);
    ngx_comms_sqlite_bind_str(st, 2, &effect_id);
    ngx_comms_sqlite_bind_str(st, 3, attempt.len ? &attempt : NULL);

    return ngx_comms_sqlite_execute(txn, st);
}


ngx_int_t
ngx_comms_store_sqlite_settle(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t *effect)
{
    ngx_str_t      effect_id, state;
    sqlite3_stmt  *st;

    if (ngx_comms_sqlite_members("record effect", effect,
                                 ngx_comms_store_settle_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    state = ngx_comms_sqlite_text(effect, "state");

    if (!ngx_comms_store_sqlite_is(&state, ngx_comms_store_sqlite_settled)) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "comms \"record\" was asked to settle an effect as "
                      "\"%V\"", &state);
        return NGX_ERROR;
    }

    st = ngx_comms_sqlite_prepare(txn,
        "UPDATE effects SET state = ?3, outcome = ?4, settled_at = ?5"
        " WHERE thread_id = ?1 AND effect_id = ?2");
    if (st == NULL) {
        return NGX_ERROR;
    }

    effect_id = ngx_comms_sqlite_text(effect, "effect_id");

    ngx_comms_sqlite_bind_str(st, 1, thread_id);
    ngx_comms_sqlite_bind_str(st, 2, &effect_id);
    ngx_comms_sqlite_bind_str(st, 3, &state);
    ngx_comms_sqlite_bind_json(st, 4, json_object_get(effect, "outcome"));
    ngx_comms_sqlite_bind_int(st, 5, ngx_comms_sqlite_now(txn));

    if (ngx_comms_sqlite_execute(txn, st) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_comms_sqlite_changes(txn) != 0) {
        return NGX_OK;
    }

    return ngx_comms_store_sqlite_unforeseen(txn, thread_id, effect);
}


static ngx_uint_t
ngx_comms_store_sqlite_is(ngx_str_t *word, ngx_str_t *words)
{
    for ( /* void */ ; words->len != 0; words++) {
        if (word->len == words->len
            && ngx_memcmp(word->data, words->data, word->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * An effect that happened after somebody had withdrawn its intent, believing
 * that it could not: written down all the same, so that it does not happen
 * again.
 */

static ngx_int_t
ngx_comms_store_sqlite_unforeseen(ngx_comms_sqlite_txn_t *txn,
    ngx_str_t *thread_id, json_t *effect)
{
    ngx_str_t      effect_id, state;
    sqlite3_stmt  *st;

    st = ngx_comms_sqlite_prepare(txn,
        "INSERT INTO effects (thread_id, effect_id, kind, state,"
        " intended_at, settled_at, outcome)"
        " VALUES (?1, ?2, 'withdrawn', ?3, ?4, ?4, ?5)");
    if (st == NULL) {
        return NGX_ERROR;
    }

    effect_id = ngx_comms_sqlite_text(effect, "effect_id");
    state = ngx_comms_sqlite_text(effect, "state");

    ngx_comms_sqlite_bind_str(st, 1, thread_id);
    ngx_comms_sqlite_bind_str(st, 2, &effect_id);
    ngx_comms_sqlite_bind_str(st, 3, &state);
    ngx_comms_sqlite_bind_int(st, 4, ngx_comms_sqlite_now(txn));
    ngx_comms_sqlite_bind_json(st, 5, json_object_get(effect, "outcome"));

    return ngx_comms_sqlite_execute(txn, st);
}
