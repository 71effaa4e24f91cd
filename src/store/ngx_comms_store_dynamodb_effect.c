
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The send gate.
 *
 * An intent stands in the header's item, so that one condition asks for the
 * fence and for the intent.  Once settled it is an item of its own.  Between
 * "is it settled?" and "write the intent" somebody may settle it; hence the
 * write is refused when anything was committed since the header was read, and
 * all is asked again.
 *
 * An intent carries a token: a call that was answered only the second time
 * it was sent finds its own intent, which is no reason to stop.
 *
 * What else is asked of the header (its owner, what came in, the channel's
 * state) are conditions of the same write: they cost nothing.
 *
 * Cost: two reads, one for the consent where asked for, the write, a counter.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <store/ngx_comms_store_dynamodb_thread.h>
#include <store/ngx_comms_store_gate.h>


#define NGX_COMMS_DYNAMODB_INTEND_TRIES  200


typedef struct {
    ngx_str_t                    thread_id;
    json_t                      *item;
    ngx_str_t                    token;
    ngx_uint_t                   tries;
} ngx_comms_dynamodb_intend_t;


static void ngx_comms_dynamodb_intend_read(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_intend_got(ngx_comms_dynamodb_task_t *t,
    void *data);
static ngx_uint_t ngx_comms_dynamodb_intend_own(
    ngx_comms_dynamodb_intend_t *i, json_t *intent);
static void ngx_comms_dynamodb_intend_settled(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_intend_write(ngx_comms_dynamodb_task_t *t,
    void *data);
static ngx_int_t ngx_comms_dynamodb_intend_conditions(
    ngx_comms_dynamodb_task_t *t, ngx_comms_dynamodb_update_t *u);
static ngx_int_t ngx_comms_dynamodb_intend_condition(
    ngx_comms_dynamodb_task_t *t, ngx_comms_dynamodb_update_t *u,
    const char *condition, const char *name, json_t *value);
static void ngx_comms_dynamodb_intend_written(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_intend_ok(ngx_comms_dynamodb_task_t *t);
static void ngx_comms_dynamodb_intend_refuse(ngx_comms_dynamodb_task_t *t,
    const char *why);
static void ngx_comms_dynamodb_intend_before(ngx_comms_dynamodb_task_t *t,
    json_t *effect);
static void ngx_comms_dynamodb_effect_done(ngx_comms_dynamodb_task_t *t,
    void *data);
static void ngx_comms_dynamodb_withdrawn(ngx_comms_dynamodb_task_t *t,
    void *data);


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_intend_members[] =
{
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


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_withdraw_members[]
    =
{
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "effect_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "attempt", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


void
ngx_comms_dynamodb_op_intend(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_intend_t  *i;

    i = ngx_pcalloc(t->pool, sizeof(ngx_comms_dynamodb_intend_t));

    if (i == NULL
        || ngx_comms_sqlite_members("intend", t->in,
                                    ngx_comms_dynamodb_intend_members)
           != NGX_OK
        || ngx_comms_store_gate_check(t->in) != NGX_OK
        || ngx_comms_id_mint(t->pool, "", &i->token) != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    i->thread_id = ngx_comms_sqlite_text(t->in, "thread_id");

    ngx_comms_dynamodb_intend_read(t, i);
}


static void
ngx_comms_dynamodb_intend_read(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_intend_t *i = data;

    if (++i->tries > NGX_COMMS_DYNAMODB_INTEND_TRIES) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "comms thread \"%V\" changes too often to intend "
                      "anything", &i->thread_id);
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_thread(t, i->thread_id, ngx_comms_dynamodb_intend_got,
                              i);
}


static void
ngx_comms_dynamodb_intend_got(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t      *intent, *fence, *settled;
    ngx_str_t    sk;
    const char  *id;

    ngx_comms_dynamodb_intend_t *i = data;

    i->item = t->item;
    id = json_string_value(json_object_get(t->in, "effect_id"));
    fence = json_object_get(t->in, "fence");

    if (i->item == NULL
        || (json_is_integer(fence)
            && !json_equal(fence, json_object_get(i->item, "fence"))))
    {
        ngx_comms_dynamodb_intend_refuse(t, "fence");
        return;
    }

    settled = ngx_comms_dynamodb_hold(t, ngx_comms_dynamodb_settled(i->item));

    if (json_object_get(settled, id) != NULL) {
        ngx_comms_dynamodb_intend_read(t, i);
        return;
    }

    intent = json_object_get(json_object_get(i->item, "comms_intents"), id);

    if (intent != NULL) {
        if (ngx_comms_dynamodb_intend_own(i, intent)) {
            ngx_comms_dynamodb_intend_ok(t);
            return;
        }

        ngx_comms_dynamodb_intend_before(t,
            ngx_comms_dynamodb_effect(id, intent));
        return;
    }

    sk = ngx_comms_dynamodb_part(t, ngx_comms_sqlite_text(t->in,
                                                          "effect_id"));
    sk = ngx_comms_dynamodb_text(t, "effect#%V", &sk);

    ngx_comms_dynamodb_get(t, &t->db->effects, i->thread_id, sk,
                           ngx_comms_dynamodb_intend_settled, i);
}


static ngx_uint_t
ngx_comms_dynamodb_intend_own(ngx_comms_dynamodb_intend_t *i, json_t *intent)
{
    ngx_str_t  token;

    token = ngx_comms_sqlite_text(intent, "token");

    return token.len == i->token.len
           && ngx_memcmp(token.data, i->token.data, token.len) == 0;
}


static void
ngx_comms_dynamodb_intend_settled(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_str_t    company_id, person_address;
    const char  *id;

    ngx_comms_dynamodb_intend_t *i = data;

    if (t->item != NULL) {
        id = json_string_value(json_object_get(t->in, "effect_id"));

        ngx_comms_dynamodb_intend_before(t,
                                     ngx_comms_dynamodb_effect(id, t->item));
        return;
    }

    person_address = ngx_comms_sqlite_text(t->in, "person_address");
    t->count = 0;

    if (person_address.len == 0) {
        ngx_comms_dynamodb_intend_write(t, i);
        return;
    }

    company_id = ngx_comms_json_view(
                 ngx_comms_dynamodb_header_get(t->db, i->item, "company_id"));

    ngx_comms_dynamodb_opted_out(t, company_id, person_address,
                                 ngx_comms_dynamodb_intend_write, i);
}


static void
ngx_comms_dynamodb_intend_write(ngx_comms_dynamodb_task_t *t, void *data)
{
    json_t                       *detail;
    const char                   *why;
    ngx_comms_dynamodb_update_t   u;

    ngx_comms_dynamodb_intend_t *i = data;

    why = t->count ? "opted_out" : ngx_comms_store_gate(t->in, i->item);

    if (why != NULL) {
        ngx_comms_dynamodb_intend_refuse(t, why);
        return;
    }

    detail = json_object_get(t->in, "detail");

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = i->thread_id;
    u.sk = ngx_comms_dynamodb_record;
    u.names = json_pack("{s:O}", "#e", json_object_get(t->in, "effect_id"));
    u.values = json_pack("{s:{s:O, s:I, s:o, s:o, s:O*}, s:O, s:O}", ":intent",
        "kind", json_object_get(t->in, "kind"),
        "intended_at", (json_int_t) ngx_comms_clock_now(),
        "detail", ngx_comms_dynamodb_pack((detail != NULL) ? detail
                                                           : json_null()),
        "token", ngx_comms_dynamodb_string(i->token),
        "attempt", json_object_get(detail, "attempt"),
        ":c", json_object_get(i->item, "comms_commits"),
        ":fence", json_object_get(i->item, "fence"));

    ngx_str_set(&u.update, "SET #comms_intents.#e = :intent");
    ngx_str_set(&u.condition, "attribute_not_exists(#comms_intents.#e)"
                              " AND #comms_commits = :c AND #fence = :fence");

    if (ngx_comms_dynamodb_intend_conditions(t, &u) != NGX_OK) {
        json_decref(u.names);
        json_decref(u.values);
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_comms_dynamodb_update(t, &t->db->threads, &u,
                              ngx_comms_dynamodb_intend_written, i);
}


/*
 * What ngx_comms_store_gate() has found in the header that was read, as
 * conditions of the write: it may have changed since.
 */

static ngx_int_t
ngx_comms_dynamodb_intend_conditions(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_update_t *u)
{
    json_t      *newest, *channel;
    const char  *owner;

    owner = json_string_value(json_object_get(t->in, "owner"));
    newest = json_object_get(t->in, "newest_inbound_id");
    channel = json_object_get(t->in, "channel");

    if (owner != NULL
        && ngx_comms_dynamodb_intend_condition(t, u,
               (ngx_strcmp(owner, "human") == 0)
               ? "#hand_off_to_human = :human"
               : "(attribute_not_exists(#hand_off_to_human)"
                 " OR #hand_off_to_human <> :human)",
               ":human", json_integer(1))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* no value of a key is empty, and not every engine compares with one */

    if (json_string_length(newest) != 0
        && ngx_comms_dynamodb_intend_condition(t, u,
               "(attribute_not_exists(#newest_inbound_id)"
               " OR #newest_inbound_id <= :newest)",
               ":newest", json_incref(newest))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (json_is_string(newest) && json_string_length(newest) == 0) {
        u->condition = ngx_comms_dynamodb_text(t,
                           "%V AND attribute_not_exists(#newest_inbound_id)",
                           &u->condition);
    }

    if (json_is_string(channel)
        && (json_object_set(u->names, "#ch", channel) != 0
            || ngx_comms_dynamodb_intend_condition(t, u,
                   "#channel_states.#ch = :pending", ":pending",
                   json_string("pending"))
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    return (u->condition.len != 0) ? NGX_OK : NGX_ERROR;
}


/* takes over the reference to the value */

static ngx_int_t
ngx_comms_dynamodb_intend_condition(ngx_comms_dynamodb_task_t *t,
    ngx_comms_dynamodb_update_t *u, const char *condition, const char *name,
    json_t *value)
{
    u->condition = ngx_comms_dynamodb_text(t, "%V AND %s", &u->condition,
                                           condition);

    return json_object_set_new(u->values, name, value) == 0 ? NGX_OK
                                                            : NGX_ERROR;
}


static void
ngx_comms_dynamodb_intend_written(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_intend_t *i = data;

    if (t->refused) {
        ngx_comms_dynamodb_intend_read(t, i);
        return;
    }

    ngx_comms_dynamodb_intend_ok(t);
}


static void
ngx_comms_dynamodb_intend_ok(ngx_comms_dynamodb_task_t *t)
{
    ngx_comms_dynamodb_commit(t, NULL);

    ngx_comms_dynamodb_count(t, ngx_comms_sqlite_text(t->in, "thread_id"),
                             json_pack("{s:i}", "effects_unfinished", 1),
                             ngx_comms_dynamodb_effect_done, NULL);
}


static void
ngx_comms_dynamodb_intend_refuse(ngx_comms_dynamodb_task_t *t,
    const char *why)
{
    json_t  *answer;

    answer = json_pack("{s:s}", "refused", why);

    ngx_comms_dynamodb_finish(t, (answer != NULL) ? NGX_ABORT : NGX_ERROR,
                              answer);
}


static void
ngx_comms_dynamodb_intend_before(ngx_comms_dynamodb_task_t *t,
    json_t *effect)
{
    json_t  *answer;

    answer = json_pack("{s:o}", "effect", effect);

    ngx_comms_dynamodb_finish(t, (answer != NULL) ? NGX_DECLINED : NGX_ERROR,
                              answer);
}


json_t *
ngx_comms_dynamodb_effect(const char *id, json_t *item)
{
    int64_t   age;
    json_t   *state, *detail, *outcome;

    state = json_object_get(item, "state");
    detail = json_object_get(item, "detail");
    outcome = json_object_get(item, "outcome");

    /* the clock may have been set back, or be another machine's */

    age = ngx_comms_clock_now()
          - json_integer_value(json_object_get(item, "intended_at"));

    return json_pack("{s:s, s:O, s:o, s:O, s:I, s:o, s:o}",
        "effect_id", id,
        "kind", json_object_get(item, "kind"),
        "state", (state != NULL) ? json_incref(state) : json_string("intent"),
        "intended_at", json_object_get(item, "intended_at"),
        "age", (json_int_t) ngx_max(age, 0),
        "detail", (detail != NULL) ? ngx_comms_dynamodb_unpack(detail)
                                   : json_null(),
        "outcome", (outcome != NULL) ? ngx_comms_dynamodb_unpack(outcome)
                                     : json_null());
}


void
ngx_comms_dynamodb_op_withdraw(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_update_t  u;

    if (ngx_comms_sqlite_members("withdraw", t->in,
                                 ngx_comms_dynamodb_withdraw_members)
        != NGX_OK)
    {
        ngx_comms_dynamodb_fail(t);
        return;
    }

    ngx_memzero(&u, sizeof(ngx_comms_dynamodb_update_t));

    u.pk = ngx_comms_sqlite_text(t->in, "thread_id");
    u.sk = ngx_comms_dynamodb_record;
    u.names = json_pack("{s:O}", "#e", json_object_get(t->in, "effect_id"));

    ngx_str_set(&u.update, "REMOVE #comms_intents.#e");
    ngx_str_set(&u.condition, "attribute_exists(#comms_intents.#e)");

    if (ngx_comms_sqlite_has(t->in, "attempt")) {
        ngx_str_set(&u.condition, "#comms_intents.#e.#attempt = :attempt");
        u.values = json_pack("{s:O}", ":attempt",
                             json_object_get(t->in, "attempt"));
    }

    ngx_comms_dynamodb_update(t, &t->db->threads, &u,
                              ngx_comms_dynamodb_withdrawn, NULL);
}


static void
ngx_comms_dynamodb_withdrawn(ngx_comms_dynamodb_task_t *t, void *data)
{
    if (t->refused) {
        ngx_comms_dynamodb_finish(t, NGX_OK, NULL);
        return;
    }

    ngx_comms_dynamodb_commit(t, NULL);

    ngx_comms_dynamodb_count(t, ngx_comms_sqlite_text(t->in, "thread_id"),
                             json_pack("{s:i}", "effects_unfinished", -1),
                             ngx_comms_dynamodb_effect_done, NULL);
}


static void
ngx_comms_dynamodb_effect_done(ngx_comms_dynamodb_task_t *t, void *data)
{
    ngx_comms_dynamodb_finish(t, NGX_OK, NULL);
}
