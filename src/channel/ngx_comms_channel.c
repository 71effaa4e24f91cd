
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The lists: which channels there are, and which providers carry them.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <channel/ngx_comms_channel.h>


/* in the order of ngx_comms_channel_e */
ngx_str_t  ngx_comms_channel_names[NGX_COMMS_CHANNELS] = {
    ngx_string("whatsapp"),
    ngx_string("sms"),
    ngx_string("email")
};


static ngx_comms_provider_t  *ngx_comms_providers[] = {
    &ngx_comms_twilio,
    &ngx_comms_sendgrid,
    &ngx_comms_meta,
    &ngx_comms_smtp,
    NULL
};


ngx_int_t
ngx_comms_channel_by_name(ngx_str_t *name)
{
    ngx_int_t   i;
    ngx_str_t  *known;

    for (i = 0; i < NGX_COMMS_CHANNELS; i++) {
        known = &ngx_comms_channel_names[i];

        if (known->len == name->len
            && ngx_strncmp(known->data, name->data, name->len) == 0)
        {
            return i;
        }
    }

    return NGX_ERROR;
}


ngx_comms_provider_t *
ngx_comms_provider_by_name(ngx_str_t *name)
{
    ngx_str_t   *known;
    ngx_uint_t   i;

    for (i = 0; ngx_comms_providers[i] != NULL; i++) {
        known = &ngx_comms_providers[i]->name;

        if (known->len == name->len
            && ngx_strncmp(known->data, name->data, name->len) == 0)
        {
            return ngx_comms_providers[i];
        }
    }

    return NULL;
}


ngx_str_t *
ngx_comms_webhook_header(ngx_comms_webhook_t *wh, const char *name)
{
    size_t         len;
    ngx_str_t     *found;
    ngx_uint_t     i;
    ngx_keyval_t  *header;

    len = ngx_strlen(name);
    found = NULL;
    header = wh->headers.elts;

    for (i = 0; i < wh->headers.nelts; i++) {

        if (header[i].key.len != len
            || ngx_strncasecmp(header[i].key.data, (u_char *) name, len) != 0)
        {
            continue;
        }

        if (found != NULL) {
            return NULL;
        }

        found = &header[i].value;
    }

    return found;
}
