
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What an SMS holds: its alphabet, its segments, and how a text that is too
 * long for one becomes several.
 *
 * Source of all sizes: 3GPP TS 23.038 (the alphabets) and TS 23.040 9.2.3.24.1
 * (six octets of each segment of a concatenated message are its header).
 */


#ifndef _NGX_COMMS_SMS_H_INCLUDED_
#define _NGX_COMMS_SMS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef enum {
    NGX_COMMS_SMS_GSM7 = 0,    /* 160 septets, or 153 in each of several */
    NGX_COMMS_SMS_UCS2         /* 70 units of 16 bits, or 67 */
} ngx_comms_sms_alphabet_e;


typedef struct {
    ngx_comms_sms_alphabet_e   alphabet;
    size_t                     units;      /* septets, or units of 16 bits */
    ngx_uint_t                 segments;   /* 0 for an empty text */
} ngx_comms_sms_t;


/*
 * Counts the text as one SMS.  A single character outside GSM 7 makes all of
 * it UCS-2.  A character of the extension table takes two septets, one beyond
 * U+FFFF two units, and neither is divided between segments.  Bytes that are
 * not UTF-8 count as U+FFFD.
 */
void ngx_comms_sms_count(ngx_str_t *text, ngx_comms_sms_t *sms);

/*
 * Divides the text into an array of ngx_str_t, each of at most "segments" (1
 * or more) segments: behind the last sentence that leaves at least half of
 * what fits, else at a blank, else between characters.  White space where it
 * is cut and at both ends goes.  The parts are views of the text; a text of
 * white space gives none.  NGX_OK, or NGX_ERROR (out of memory).
 */
ngx_int_t ngx_comms_sms_split(ngx_pool_t *pool, ngx_str_t *text,
    ngx_uint_t segments, ngx_array_t *parts);


#endif /* _NGX_COMMS_SMS_H_INCLUDED_ */
