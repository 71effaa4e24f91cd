
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ai/ngx_comms_ai.h>


/* a protocol is known once it stands here */

static ngx_comms_ai_t  *ngx_comms_ais[] = {
    &ngx_comms_openai,
    NULL
};


ngx_comms_ai_t *
ngx_comms_ai_by_name(ngx_str_t *name)
{
    ngx_comms_ai_t  **ai;

    for (ai = ngx_comms_ais; *ai != NULL; ai++) {

        if ((*ai)->name.len == name->len
            && ngx_strncmp((*ai)->name.data, name->data, name->len) == 0)
        {
            return *ai;
        }
    }

    return NULL;
}
