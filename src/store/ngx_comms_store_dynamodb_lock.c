
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The lock of a thread, over several machines: one item, conditional writes.
 *
 * The item of a table with the keys item_key and sort_key:
 *
 *   item_key       the thread's id         sort_key   "lock"
 *   lock_token     the holder's, random
 *   lease_version  random, changed by each renewal
 *   lease_term     the holder's, ms
 *   wanted         somebody else came since it was taken
 *   purge_after    seconds: a table may name this attribute as its time to
 *                  live, so that locks of threads which nobody works on
 *                  again go away; nothing here looks at it
 *
 *   free    --lock-->    held       condition: no item
 *   held    --lock-->    held, wanted; NGX_BUSY   condition: same holder
 *   held    --renew-->   held       condition: our token
 *   held    --unlock-->  free       condition: our token, not wanted
 *   wanted  --unlock-->  held, mark cleared; NGX_AGAIN
 *   held    --lock, when the version has stood for a whole term by the own
 *             clock of whoever asks-->  held by it   condition: that version
 *
 * Invariants:
 *   1. The mark and its absence are conditions of the writes that set the
 *      mark and remove the item.  Hence either the holder sees that somebody
 *      came, or the one who came finds the lock free.
 *   2. No clock of another machine is ever compared with one of ours.
 *   3. A token is used for one lock only.  So a request that the network
 *      kept back and delivers late meets another token, and does nothing.
 *   4. The lock item is not the fence; the thread's header is, whatever
 *      becomes of this table.
 *
 * The service's answer to a refused write is not relied upon to bring the
 * item: it is read.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_crypto.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_lock.h>
#include <store/ngx_comms_store_dynamodb_task.h>
#include <store/ngx_comms_store_dynamodb_watch.h>


/* a lock that passes from hand to hand meanwhile is held, after so many */
#define NGX_COMMS_DYNAMODB_LOCK_TRIES   3

#define NGX_COMMS_DYNAMODB_LOCK_RANDOM  16
#define NGX_COMMS_DYNAMODB_LOCK_TOKEN   64
#define NGX_COMMS_DYNAMODB_LOCK_TERM    86400000
#define NGX_COMMS_DYNAMODB_LOCK_PURGE   604800


struct ngx_comms_dynamodb_lock_s {
    ngx_comms_dynamodb_table_t   table;
    ngx_comms_dynamodb_watch_t   watch;
};


typedef struct {
    ngx_str_t                    thread_id;
    ngx_str_t                    token;
    int64_t                      term;
    ngx_str_t                    seen;       /* version taken over */
    int64_t                      held_term;
    ngx_uint_t                   tries;
} ngx_comms_dynamodb_lock_ctx_t;


static void ngx_comms_store_dynamodb_lock_start(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_renew(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);
static void ngx_comms_store_dynamodb_unlock(ngx_comms_store_t *store,
    json_t *in, ngx_comms_op_t *op);

static void ngx_comms_dynamodb_op_lock(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_lock_take(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_lock_ctx_t *lc);
static void ngx_comms_dynamodb_lock_taken(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_lock_read(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_lock_want(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_lock_ctx_t *lc);
static void ngx_comms_dynamodb_lock_wanted(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_lock_again(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_lock_ctx_t *lc);
static void ngx_comms_dynamodb_lock_busy(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_lock_ctx_t *lc);

static void ngx_comms_dynamodb_op_renew(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_renewed(ngx_comms_dynamodb_task_t *t,
    void *data);

static void ngx_comms_dynamodb_op_unlock(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_unlocked(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_unlock_read(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_unlock_heeded(ngx_comms_dynamodb_task_t *t,
    void *data);

static ngx_comms_dynamodb_lock_ctx_t *ngx_comms_dynamodb_lock_ctx(
    ngx_comms_dynamodb_task_t *t);
static ngx_int_t ngx_comms_dynamodb_lock_update(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_lock_ctx_t *lc, ngx_comms_dynamodb_update_t *u);
static ngx_str_t ngx_comms_dynamodb_lock_random(ngx_comms_dynamodb_task_t *t);


static ngx_str_t  ngx_comms_dynamodb_lock_key = ngx_string("lock");


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_lock_members[] = {
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "token", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { "term", NGX_COMMS_SQLITE_INTEGER, 0, 1, NGX_COMMS_DYNAMODB_LOCK_TERM },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_renew_members[] = {
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "token", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "term", NGX_COMMS_SQLITE_INTEGER, 0, 1, NGX_COMMS_DYNAMODB_LOCK_TERM },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_unlock_members[] = {
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "token", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "force", NGX_COMMS_SQLITE_BOOLEAN, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


ngx_int_t
ngx_comms_store_dynamodb_lock(ngx_conf_t *cf, ngx_comms_store_t *store,
    ngx_str_t *table)
{
    ngx_comms_dynamodb_t       *db;
    ngx_comms_dynamodb_lock_t  *lock;

    lock = ngx_pcalloc(cf->pool, sizeof(ngx_comms_dynamodb_lock_t));
    if (lock == NULL) {
        return NGX_ERROR;
    }

    lock->table.name = *table;
    lock->table.pk = "item_key";
    lock->table.sk = "sort_key";

    db = store->data;
    db->lock = lock;

    store->lock = ngx_comms_store_dynamodb_lock_start;
    store->renew = ngx_comms_store_dynamodb_renew;
    store->unlock = ngx_comms_store_dynamodb_unlock;

    return NGX_OK;
}


ngx_comms_dynamodb_table_t *
ngx_comms_dynamodb_lock_table(ngx_comms_dynamodb_t *db)
{
    return (db->lock != NULL) ? &db->lock->table : NULL;
}


static void
ngx_comms_store_dynamodb_lock_start(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op, ngx_comms_dynamodb_op_lock);
}


static void
ngx_comms_store_dynamodb_renew(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_renew);
}


static void
ngx_comms_store_dynamodb_unlock(ngx_comms_store_t *store, json_t *in,
    ngx_comms_op_t *op)
{
    ngx_comms_dynamodb_start(store->data, in, op,
                             ngx_comms_dynamodb_op_unlock);
}


static void
ngx_comms_dynamodb_op_lock(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_lock_ctx_t  *lc;

    if (ngx_comms_sqlite_members("lock", t->in,
                                 ngx_comms_dynamodb_lock_members)
        != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    lc = ngx_comms_dynamodb_lock_ctx(t);

    if (lc == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_lock_take(t, lc);
}


/* a free lock, or the one whose version has stood too long */

static void
ngx_comms_dynamodb_lock_take(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_lock_ctx_t *lc)
{
    ngx_comms_dynamodb_update_t  u;

    if (ngx_comms_dynamodb_lock_update(t, lc, &u) != NGX_OK) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_str_set(&u.update, "SET #lock_token = :token,"
                           " #lease_version = :version, #lease_term = :term,"
                           " #purge_after = :purge REMOVE #wanted");

    /* the own token is there when an answer to this very write was lost */

    if (lc->seen.len == 0) {
        ngx_str_set(&u.condition,
                    "attribute_not_exists(#pk) OR #lock_token = :token");

    } else {
        ngx_str_set(&u.condition,
                    "#lease_version = :seen OR #lock_token = :token");

        if (json_object_set_new(u.values, ":seen",
                                ngx_comms_dynamodb_string(lc->seen))
            != 0)
        {
            json_decref(u.values);
            ngx_comms_dynamodb_fail(t);
            return;
        }
    }

    ngx_comms_dynamodb_update(t, &t->db->lock->table, &u,
                              ngx_comms_dynamodb_lock_taken, lc);
}


static void
ngx_comms_dynamodb_lock_taken(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_lock_ctx_t *lc = data;

    if (t->refused) {
        ngx_comms_dynamodb_get(t, &t->db->lock->table, lc->thread_id,
                               ngx_comms_dynamodb_lock_key,
                               ngx_comms_dynamodb_lock_read, lc);
        return;
    }

    if (lc->seen.len != 0) {
        ngx_comms_count(t->db->conf->zone, NGX_COMMS_COUNT_LEASE_TAKEN_OVER,
                        1);
    }

    ngx_comms_dynamodb_unwatch(&t->db->lock->watch, &lc->thread_id);

    ngx_comms_dynamodb_finish(t, NGX_OK,
                              json_pack("{s:o}", "token",
                                        ngx_comms_dynamodb_string(lc->token)));
}


static void
ngx_comms_dynamodb_lock_read(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_lock_ctx_t *lc = data;

    ngx_str_t  version;

    ngx_str_null(&lc->seen);

    if (t->item == NULL) {
        ngx_comms_dynamodb_lock_again(t, lc);
        return;
    }

    /* what others wrote is bounded; without a term of theirs ours has to do */

    if (ngx_comms_json_int(t->item, "lease_term", &lc->held_term) != NGX_OK
        || lc->held_term < 1
        || lc->held_term > NGX_COMMS_DYNAMODB_LOCK_TERM)
    {
        lc->held_term = lc->term;
    }

    (void) ngx_comms_json_str(t->item, "lease_version", &version);

    if (version.len != 0
        && ngx_comms_dynamodb_watch(&t->db->lock->watch, &lc->thread_id,
                                    &version, (ngx_msec_t) lc->held_term,
                                    ngx_current_msec)
        && lc->tries < NGX_COMMS_DYNAMODB_LOCK_TRIES)
    {
        lc->tries++;
        lc->seen = version;
        ngx_comms_dynamodb_lock_take(t, lc);
        return;
    }

    if (json_object_get(t->item, "wanted") != NULL) {
        ngx_comms_dynamodb_lock_busy(t, lc);
        return;
    }

    ngx_comms_dynamodb_lock_want(t, lc);
}


static void
ngx_comms_dynamodb_lock_want(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_lock_ctx_t *lc)
{
    json_t                       *held;
    ngx_comms_dynamodb_update_t   u;

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    held = json_object_get(t->item, "lock_token");

    u.pk = lc->thread_id;
    u.sk = ngx_comms_dynamodb_lock_key;
    ngx_str_set(&u.update, "SET #wanted = :wanted");
    ngx_str_set(&u.condition, "#lock_token = :held");
    u.values = json_pack("{s:i, s:O}", ":wanted", 1, ":held", held);

    if (u.values == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_update(t, &t->db->lock->table, &u,
                              ngx_comms_dynamodb_lock_wanted, lc);
}


static void
ngx_comms_dynamodb_lock_wanted(ngx_comms_dynamodb_task_t *t, void *data)
{
    if (t->refused) {
        ngx_comms_dynamodb_lock_again(t, data);
        return;
    }

    ngx_comms_dynamodb_lock_busy(t, data);
}


/* it was given back, or passed on, just now */

static void
ngx_comms_dynamodb_lock_again(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_lock_ctx_t *lc)
{
    if (lc->tries++ < NGX_COMMS_DYNAMODB_LOCK_TRIES) {
        ngx_comms_dynamodb_lock_take(t, lc);
        return;
    }

    ngx_comms_dynamodb_lock_busy(t, lc);
}


static void
ngx_comms_dynamodb_lock_busy(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_lock_ctx_t *lc)
{
    json_t  *answer;

    answer = json_pack("{s:I}", "term", (json_int_t) lc->held_term);

    ngx_comms_dynamodb_finish(t, answer ? NGX_BUSY : NGX_ERROR, answer);
}


static void
ngx_comms_dynamodb_op_renew(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_update_t     u;
    ngx_comms_dynamodb_lock_ctx_t  *lc;

    if (ngx_comms_sqlite_members("renew", t->in,
                                 ngx_comms_dynamodb_renew_members)
        != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    lc = ngx_comms_dynamodb_lock_ctx(t);

    if (lc == NULL || ngx_comms_dynamodb_lock_update(t, lc, &u) != NGX_OK) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_str_set(&u.update, "SET #lease_version = :version,"
                           " #lease_term = :term, #purge_after = :purge");
    ngx_str_set(&u.condition, "#lock_token = :token");

    ngx_comms_dynamodb_update(t, &t->db->lock->table, &u,
                              ngx_comms_dynamodb_renewed, lc);
}


static void
ngx_comms_dynamodb_renewed(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_finish(t, t->refused ? NGX_DECLINED : NGX_OK, NULL);
}


static void
ngx_comms_dynamodb_op_unlock(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t                         *values;
    ngx_uint_t                      force;
    ngx_comms_dynamodb_lock_ctx_t  *lc;

    if (ngx_comms_sqlite_members("unlock", t->in,
                                 ngx_comms_dynamodb_unlock_members)
        != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    lc = ngx_comms_dynamodb_lock_ctx(t);
    values = (lc != NULL) ? json_pack("{s:o}", ":token",
                                      ngx_comms_dynamodb_string(lc->token))
                          : NULL;

    if (values == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    force = json_is_true(json_object_get(t->in, "force"));

    ngx_comms_dynamodb_delete(t, &t->db->lock->table, lc->thread_id,
                              ngx_comms_dynamodb_lock_key,
                              force ? "#lock_token = :token"
                                    : "#lock_token = :token"
                                      " AND attribute_not_exists(#wanted)",
                              values, ngx_comms_dynamodb_unlocked, lc);
}


static void
ngx_comms_dynamodb_unlocked(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_lock_ctx_t *lc = data;

    if (!t->refused) {
        ngx_comms_dynamodb_finish(t, NGX_OK, NULL);
        return;
    }

    if (json_is_true(json_object_get(t->in, "force"))) {
        ngx_comms_dynamodb_finish(t, NGX_DECLINED, NULL);
        return;
    }

    ngx_comms_dynamodb_get(t, &t->db->lock->table, lc->thread_id,
                           ngx_comms_dynamodb_lock_key,
                           ngx_comms_dynamodb_unlock_read, lc);
}


static void
ngx_comms_dynamodb_unlock_read(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_lock_ctx_t *lc = data;

    json_t                       *values;
    ngx_str_t                     token;
    ngx_comms_dynamodb_update_t   u;

    (void) ngx_comms_json_str(t->item, "lock_token", &token);

    if (token.len != lc->token.len
        || ngx_memcmp(token.data, lc->token.data, token.len) != 0)
    {
        ngx_comms_dynamodb_finish(t, NGX_DECLINED, NULL);
        return;
    }

    values = json_pack("{s:o}", ":token",
                       ngx_comms_dynamodb_string(lc->token));

    if (values == NULL) {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = lc->thread_id;
    u.sk = ngx_comms_dynamodb_lock_key;
    u.values = values;
    ngx_str_set(&u.update, "REMOVE #wanted");
    ngx_str_set(&u.condition, "#lock_token = :token");

    ngx_comms_dynamodb_update(t, &t->db->lock->table, &u,
                              ngx_comms_dynamodb_unlock_heeded, lc);
}


static void
ngx_comms_dynamodb_unlock_heeded(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_finish(t, t->refused ? NGX_DECLINED : NGX_AGAIN, NULL);
}


/* what the input says; NULL when out of memory or it is too long */

static ngx_comms_dynamodb_lock_ctx_t *
ngx_comms_dynamodb_lock_ctx(ngx_comms_dynamodb_task_t *t)
{
    ngx_comms_dynamodb_lock_ctx_t  *lc;

    lc = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_lock_ctx_t));
    if (lc == NULL) {
        return NULL;
    }

    lc->thread_id = ngx_comms_sqlite_text(t->in, "thread_id");
    lc->token = ngx_comms_sqlite_text(t->in, "token");
    lc->term = json_integer_value(json_object_get(t->in, "term"));
    lc->held_term = lc->term;

    if (lc->token.len == 0) {
        lc->token = ngx_comms_dynamodb_lock_random(t);
    }

    if (lc->thread_id.len > NGX_COMMS_DYNAMODB_WATCH_ID
        || lc->token.len == 0
        || lc->token.len > NGX_COMMS_DYNAMODB_LOCK_TOKEN)
    {
        return NULL;
    }

    return lc;
}


/* an update with what a lock that is ours for another term consists of */

static ngx_int_t
ngx_comms_dynamodb_lock_update(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_lock_ctx_t *lc, ngx_comms_dynamodb_update_t *u)
{
    ngx_str_t  version;

    ngx_memzero(u, sizeof(ngx_comms_dynamodb_update_t));

    version = ngx_comms_dynamodb_lock_random(t);

    if (version.len == 0) {
        return NGX_ERROR;
    }

    u->pk = lc->thread_id;
    u->sk = ngx_comms_dynamodb_lock_key;
    u->values = json_pack("{s:o, s:o, s:I, s:I}",
                          ":token", ngx_comms_dynamodb_string(lc->token),
                          ":version", ngx_comms_dynamodb_string(version),
                          ":term", (json_int_t) lc->term,
                          ":purge", (json_int_t) (ngx_comms_clock_ms() / 1000
                                            + NGX_COMMS_DYNAMODB_LOCK_PURGE));

    return u->values != NULL ? NGX_OK : NGX_ERROR;
}


/* empty when out of memory or out of randomness */

static ngx_str_t
ngx_comms_dynamodb_lock_random(ngx_comms_dynamodb_task_t *t)
{
    u_char     bytes[NGX_COMMS_DYNAMODB_LOCK_RANDOM];
    ngx_str_t  text;

    ngx_str_null(&text);

    if (ngx_comms_random(bytes, sizeof(bytes)) != NGX_OK) {
        return text;
    }

    text.data = ngx_pnalloc(t->pool, 2 * sizeof(bytes));

    if (text.data != NULL) {
        text.len = ngx_hex_dump(text.data, bytes, sizeof(bytes)) - text.data;
    }

    return text;
}
