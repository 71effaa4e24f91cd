
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <store/ngx_comms_store_gate.h>


ngx_int_t
ngx_comms_store_gate_check(json_t *in)
{
    const char  *owner;

    owner = json_string_value(json_object_get(in, "owner"));

    if (owner == NULL || ngx_strcmp(owner, "ai") == 0
        || ngx_strcmp(owner, "human") == 0)
    {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                  "comms \"intend\" was asked with a wrong \"owner\"");

    return NGX_ERROR;
}


const char *
ngx_comms_store_gate(json_t *in, json_t *header)
{
    json_t      *states;
    const char  *owner, *newest, *known, *channel, *state;

    owner = json_string_value(json_object_get(in, "owner"));

    if (owner != NULL
        && ngx_comms_store_gate_human(header)
           != (ngx_strcmp(owner, "human") == 0))
    {
        return "owner";
    }

    known = json_string_value(json_object_get(in, "newest_inbound_id"));
    newest = json_string_value(json_object_get(header, "newest_inbound_id"));

    if (known != NULL && newest != NULL && ngx_strcmp(newest, known) > 0) {
        return "newer";
    }

    channel = json_string_value(json_object_get(in, "channel"));

    if (channel != NULL) {
        states = json_object_get(header, "channel_states");
        state = json_string_value(json_object_get(states, channel));

        if (state == NULL || ngx_strcmp(state, "pending") != 0) {
            return "channel";
        }
    }

    return NULL;
}


ngx_uint_t
ngx_comms_store_gate_human(json_t *header)
{
    return json_integer_value(json_object_get(header, "hand_off_to_human"))
           == 1;
}
