
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <store/ngx_comms_store_dynamodb_watch.h>


static ngx_comms_dynamodb_watched_t *ngx_comms_dynamodb_watched(
    ngx_comms_dynamodb_watch_t *watch, ngx_str_t *id);
static ngx_comms_dynamodb_watched_t *ngx_comms_dynamodb_watch_place(
    ngx_comms_dynamodb_watch_t *watch, ngx_msec_t now);


ngx_uint_t
ngx_comms_dynamodb_watch(ngx_comms_dynamodb_watch_t *watch, ngx_str_t *id,
    ngx_str_t *version, ngx_msec_t term, ngx_msec_t now)
{
    ngx_comms_dynamodb_watched_t  *w;

    if (id->len == 0 || id->len > NGX_COMMS_DYNAMODB_WATCH_ID
        || version->len > NGX_COMMS_DYNAMODB_WATCH_ID)
    {
        return 0;
    }

    w = ngx_comms_dynamodb_watched(watch, id);

    if (w != NULL && w->version_len == version->len
        && ngx_memcmp(w->version, version->data, version->len) == 0)
    {
        w->asked = now;
        return now - w->seen >= term;
    }

    if (w == NULL) {
        w = ngx_comms_dynamodb_watch_place(watch, now);

        ngx_memcpy(w->id, id->data, id->len);
        w->id_len = id->len;
    }

    ngx_memcpy(w->version, version->data, version->len);
    w->version_len = version->len;
    w->seen = now;
    w->asked = now;

    return 0;
}


void
ngx_comms_dynamodb_unwatch(ngx_comms_dynamodb_watch_t *watch, ngx_str_t *id)
{
    ngx_comms_dynamodb_watched_t  *w;

    w = ngx_comms_dynamodb_watched(watch, id);

    if (w != NULL) {
        w->id_len = 0;
    }
}


static ngx_comms_dynamodb_watched_t *
ngx_comms_dynamodb_watched(ngx_comms_dynamodb_watch_t *watch, ngx_str_t *id)
{
    ngx_uint_t                     i;
    ngx_comms_dynamodb_watched_t  *w;

    for (i = 0; i < NGX_COMMS_DYNAMODB_WATCHED; i++) {
        w = &watch->locks[i];

        if (w->id_len != 0 && w->id_len == id->len
            && ngx_memcmp(w->id, id->data, id->len) == 0)
        {
            return w;
        }
    }

    return NULL;
}


/* a free place, or that of the lock asked about longest ago */

static ngx_comms_dynamodb_watched_t *
ngx_comms_dynamodb_watch_place(ngx_comms_dynamodb_watch_t *watch,
    ngx_msec_t now)
{
    ngx_uint_t                     i;
    ngx_comms_dynamodb_watched_t  *w, *oldest;

    oldest = &watch->locks[0];

    for (i = 0; i < NGX_COMMS_DYNAMODB_WATCHED; i++) {
        w = &watch->locks[i];

        if (w->id_len == 0) {
            return w;
        }

        if (now - w->asked > now - oldest->asked) {
            oldest = w;
        }
    }

    return oldest;
}
