
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <store/ngx_comms_store.h>
#include <store/ngx_comms_store_status.h>


#define NGX_COMMS_STORE_NO_RANK  (-1)


static ngx_int_t ngx_comms_store_status_rank(json_t *status);


static const struct {
    const char  *status;
    ngx_int_t    rank;
} ngx_comms_store_status_ranks[] = {
    NGX_COMMS_STATUS_RANKS,
    { NULL, NGX_COMMS_STORE_NO_RANK }
};


/* what a status says of itself goes with it */

static const char  *ngx_comms_store_status_members[] = {
    "status", "status_at", "reason", "reason_code", NULL
};


static ngx_int_t
ngx_comms_store_status_rank(json_t *status)
{
    ngx_uint_t   i;
    const char  *text;

    text = json_string_value(status);

    if (text == NULL) {
        return NGX_COMMS_STORE_NO_RANK;
    }

    for (i = 0; ngx_comms_store_status_ranks[i].status != NULL; i++) {
        if (ngx_strcmp(text, ngx_comms_store_status_ranks[i].status) == 0) {
            break;
        }
    }

    return ngx_comms_store_status_ranks[i].rank;
}


ngx_uint_t
ngx_comms_store_status_may(json_t *from, json_t *to)
{
    ngx_int_t  rank;

    rank = ngx_comms_store_status_rank(to);

    return rank == NGX_COMMS_STORE_NO_RANK
           || rank >= ngx_comms_store_status_rank(from);
}


ngx_uint_t
ngx_comms_store_status_member(const char *member)
{
    ngx_uint_t  i;

    for (i = 0; ngx_comms_store_status_members[i] != NULL; i++) {
        if (ngx_strcmp(member, ngx_comms_store_status_members[i]) == 0) {
            return 1;
        }
    }

    return 0;
}


json_t *
ngx_comms_store_status_above(json_t *to)
{
    json_t      *above;
    ngx_int_t    rank;
    ngx_uint_t   i;

    above = json_array();
    rank = ngx_comms_store_status_rank(to);

    if (rank == NGX_COMMS_STORE_NO_RANK) {
        return above;
    }

    for (i = 0; ngx_comms_store_status_ranks[i].status != NULL; i++) {

        if (ngx_comms_store_status_ranks[i].rank <= rank) {
            continue;
        }

        if (json_array_append_new(above,
                        json_string(ngx_comms_store_status_ranks[i].status))
            != 0)
        {
            json_decref(above);
            return NULL;
        }
    }

    return above;
}


ngx_int_t
ngx_comms_store_status_update(json_t *message, json_t *members)
{
    json_t      *taken;
    ngx_int_t    rc;
    ngx_uint_t   i;

    if (ngx_comms_store_status_may(json_object_get(message, "status"),
                                   json_object_get(members, "status")))
    {
        return (json_object_update(message, members) == 0) ? NGX_OK
                                                           : NGX_ERROR;
    }

    taken = json_copy(members);

    for (i = 0; ngx_comms_store_status_members[i] != NULL; i++) {
        (void) json_object_del(taken, ngx_comms_store_status_members[i]);
    }

    rc = (taken != NULL && json_object_update(message, taken) == 0)
         ? NGX_OK : NGX_ERROR;

    json_decref(taken);

    return rc;
}
