
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a record may say.  It is looked at before anything is written, since
 * what is committed has to be replayed.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <store/ngx_comms_store_dynamodb_thread.h>


static ngx_int_t ngx_comms_dynamodb_record_check_set(json_t *set);
static ngx_int_t ngx_comms_dynamodb_record_check_effect(json_t *effect);


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_record_members[] =
{
    { "thread_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "fence", NGX_COMMS_SQLITE_INTEGER, 1, 0, INT64_MAX },
    { "effect", NGX_COMMS_SQLITE_OBJECT, 1, 0, 0 },
    { "set", NGX_COMMS_SQLITE_OBJECT, 1, 0, 0 },
    { "channel_state", NGX_COMMS_SQLITE_OBJECT, 1, 0, 0 },
    { "messages", NGX_COMMS_SQLITE_ARRAY, 1, 0, 0 },
    { "inbound_done", NGX_COMMS_SQLITE_NAMES, 1, 0, 0 },
    { "turn_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_state_members[] = {
    { "channel", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { "status", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "reason", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "only_pending", NGX_COMMS_SQLITE_BOOLEAN, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_set_members[] = {
    { "conversation_status", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_settle_members[] =
{
    { "effect_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "state", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


static const ngx_comms_sqlite_member_t  ngx_comms_dynamodb_message_members[] =
{
    { "entry_id", NGX_COMMS_SQLITE_NAME, 0, 0, 0 },
    { "message_timestamp", NGX_COMMS_SQLITE_NAME, 1, 0, 0 },
    { "status", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "turn_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "provider_message_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { "email_message_id", NGX_COMMS_SQLITE_TEXT, 1, 0, 0 },
    { NULL, 0, 0, 0, 0 }
};


/* attributes that a record cannot set */
static const char  *ngx_comms_dynamodb_fixed[] = {
    "thread_id", "conversation_id", "company_id", "project_id", "request_id",
    "fence", "version", "created_at", "updated_at", "channel_states",
    "channel_reasons", "messages", "newest_inbound_id", "ttl", "sort_key",
    "primary_channel", NULL
};


ngx_int_t
ngx_comms_dynamodb_record_check(json_t *in)
{
    size_t   i;
    json_t  *message;

    if (ngx_comms_sqlite_members("record", in,
                                 ngx_comms_dynamodb_record_members)
        != NGX_OK
        || ngx_comms_dynamodb_record_check_set(json_object_get(in, "set"))
           != NGX_OK
        || ngx_comms_dynamodb_record_check_effect(
                                          json_object_get(in, "effect"))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_sqlite_has(in, "channel_state")
        && ngx_comms_sqlite_members("record channel_state",
                                    json_object_get(in, "channel_state"),
                                    ngx_comms_dynamodb_state_members)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    json_array_foreach(json_object_get(in, "messages"), i, message) {
        if (ngx_comms_sqlite_members("record message", message,
                                     ngx_comms_dynamodb_message_members)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_dynamodb_record_check_set(json_t *set)
{
    json_t      *value;
    ngx_uint_t   i, wrong;
    const char  *name;

    if (!json_is_object(set)) {
        return NGX_OK;
    }

    if (ngx_comms_sqlite_members("record set", set,
                                 ngx_comms_dynamodb_set_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    json_object_foreach(set, name, value) {

        wrong = ngx_strncmp(name, NGX_COMMS_DYNAMODB_OURS,
                            sizeof(NGX_COMMS_DYNAMODB_OURS) - 1) == 0
                || ngx_strncmp(name, NGX_COMMS_DYNAMODB_INDEX,
                               sizeof(NGX_COMMS_DYNAMODB_INDEX) - 1) == 0;

        for (i = 0; ngx_comms_dynamodb_fixed[i] != NULL; i++) {
            if (ngx_strcmp(name, ngx_comms_dynamodb_fixed[i]) == 0) {
                wrong = 1;
            }
        }

        if (wrong) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "comms \"record\" was asked to set \"%s\"", name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_comms_dynamodb_record_check_effect(json_t *effect)
{
    const char  *state;

    if (!json_is_object(effect)) {
        return NGX_OK;
    }

    if (ngx_comms_sqlite_members("record effect", effect,
                                 ngx_comms_dynamodb_settle_members)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    state = json_string_value(json_object_get(effect, "state"));

    if (ngx_strcmp(state, "done") != 0 && ngx_strcmp(state, "failed") != 0
        && ngx_strcmp(state, "unknown") != 0)
    {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "comms \"record\" was asked to settle an effect as "
                      "\"%s\"", state);
        return NGX_ERROR;
    }

    return NGX_OK;
}
