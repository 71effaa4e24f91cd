
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "base/ngx_comms_exchange.h"
#include "base/ngx_comms_text.h"


#define NGX_COMMS_REQUEST_HEADERS  8


static ngx_uint_t ngx_comms_header_name_safe(ngx_str_t *name);
static ngx_uint_t ngx_comms_header_value_safe(ngx_str_t *value);


ngx_int_t
ngx_comms_request_init(ngx_comms_request_t *rq, ngx_pool_t *pool)
{
    ngx_memzero(rq, sizeof(ngx_comms_request_t));

    return ngx_array_init(&rq->headers, pool, NGX_COMMS_REQUEST_HEADERS,
                          sizeof(ngx_keyval_t));
}


/*
 * Name and value are copied: callers build them in places that do not live
 * as long as the exchange does.
 */

ngx_int_t
ngx_comms_request_header(ngx_comms_request_t *rq, const char *name,
    ngx_str_t *value)
{
    u_char        *p;
    ngx_str_t      key;
    ngx_keyval_t  *header;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    if (!ngx_comms_header_name_safe(&key)
        || !ngx_comms_header_value_safe(value))
    {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(rq->headers.pool, key.len + value->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    header = ngx_array_push(&rq->headers);
    if (header == NULL) {
        return NGX_ERROR;
    }

    header->key.data = p;
    header->key.len = key.len;
    p = ngx_cpymem(p, key.data, key.len);

    header->value.data = p;
    header->value.len = value->len;

    if (value->len != 0) {
        ngx_memcpy(p, value->data, value->len);
    }

    return NGX_OK;
}


ngx_str_t *
ngx_comms_answer_header(ngx_comms_answer_t *an, const char *name)
{
    ngx_str_t      key;
    ngx_uint_t     i;
    ngx_keyval_t  *header;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    header = an->headers.elts;

    for (i = 0; i < an->headers.nelts; i++) {
        if (ngx_comms_same_word(&header[i].key, &key)) {
            return &header[i].value;
        }
    }

    return NULL;
}


/* RFC 9110 5.6.2: a token */

static ngx_uint_t
ngx_comms_header_name_safe(ngx_str_t *name)
{
    size_t  i;
    u_char  ch;

    if (name->len == 0) {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if ((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z')
            || (ch >= 'A' && ch <= 'Z'))
        {
            continue;
        }

        if (ch == '\0' || ngx_strchr("!#$%&'*+-.^_`|~", ch) == NULL) {
            return 0;
        }
    }

    return 1;
}


/* RFC 9110 5.5: of the control characters only the tab */

static ngx_uint_t
ngx_comms_header_value_safe(ngx_str_t *value)
{
    size_t  i;
    u_char  ch;

    for (i = 0; i < value->len; i++) {
        ch = value->data[i];

        if ((ch < 0x20 && ch != '\t') || ch == 0x7f) {
            return 0;
        }
    }

    return 1;
}
