
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A provider's table of error codes: what each means for a message.  The same
 * row answers for a refused request and for a status webhook.
 */


#ifndef _NGX_COMMS_CODES_H_INCLUDED_
#define _NGX_COMMS_CODES_H_INCLUDED_


#include <channel/ngx_comms_channel.h>


typedef struct {
    ngx_uint_t          code;
    ngx_comms_send_e    verdict;
    const char         *label;         /* metric label */
    const char         *words;         /* for the operator */
    ngx_msec_t          retry_after;   /* of RETRY; 0: the sender decides */
} ngx_comms_code_t;


/* the row of the code in a table in ascending order, or NULL */
const ngx_comms_code_t *ngx_comms_code_find(const ngx_comms_code_t *table,
    ngx_uint_t n, ngx_uint_t code);

/* the verdict, label, words and delay of a row */
void ngx_comms_code_judge(ngx_comms_sent_t *sent, const ngx_comms_code_t *row);

/*
 * Sets "verdict", "code", "label" and "words" of a status event that says
 * that a message failed.  "row" is what is known of the code, or NULL: then
 * it is refused as "failed".  "code" may be empty.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_comms_code_event(json_t *event, ngx_str_t *code,
    const ngx_comms_code_t *row);


#endif /* _NGX_COMMS_CODES_H_INCLUDED_ */
