
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <channel/ngx_comms_codes.h>


static const char *ngx_comms_code_verdict(ngx_comms_send_e verdict);


const ngx_comms_code_t *
ngx_comms_code_find(const ngx_comms_code_t *table, ngx_uint_t n,
    ngx_uint_t code)
{
    ngx_uint_t  left, right, mid;

    left = 0;
    right = n;

    while (left < right) {
        mid = left + (right - left) / 2;

        if (table[mid].code == code) {
            return &table[mid];
        }

        if (table[mid].code < code) {
            left = mid + 1;

        } else {
            right = mid;
        }
    }

    return NULL;
}


void
ngx_comms_code_judge(ngx_comms_sent_t *sent, const ngx_comms_code_t *row)
{
    sent->verdict = row->verdict;
    sent->label = row->label;
    sent->words = row->words;
    sent->retry_after = row->retry_after;
}


ngx_int_t
ngx_comms_code_event(json_t *event, ngx_str_t *code,
    const ngx_comms_code_t *row)
{
    static const ngx_comms_code_t  unknown = {
        0, NGX_COMMS_SEND_REFUSED, "failed",
        "the provider failed the message", 0
    };

    if (row == NULL) {
        row = &unknown;
    }

    if (code->len > 0
        && ngx_comms_json_set_str(event, "code", code) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (json_object_set_new(event, "verdict",
                         json_string(ngx_comms_code_verdict(row->verdict)))
        != 0
        || json_object_set_new(event, "label", json_string(row->label)) != 0
        || json_object_set_new(event, "words", json_string(row->words)) != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static const char *
ngx_comms_code_verdict(ngx_comms_send_e verdict)
{
    switch (verdict) {

    case NGX_COMMS_SEND_RETRY:
        return "retry";

    case NGX_COMMS_SEND_OPTED_OUT:
        return "opted_out";

    case NGX_COMMS_SEND_WINDOW:
        return "window";

    case NGX_COMMS_SEND_CONFIG:
        return "config";

    default:
        return "refused";
    }
}
