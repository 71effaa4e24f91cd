
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the parsers of webhooks share: the members of an event, and how things
 * that are no text are told in words.  See ngx_comms_channel.h for the events.
 */


#ifndef _NGX_COMMS_EVENT_H_INCLUDED_
#define _NGX_COMMS_EVENT_H_INCLUDED_


#include <channel/ngx_comms_channel.h>


#define NGX_COMMS_EVENT_MAX_ID       256     /* bytes of a provider's id */
#define NGX_COMMS_EVENT_MAX_LINE     128     /* code points */
#define NGX_COMMS_EVENT_MAX_CONTENT  16384   /* code points */
#define NGX_COMMS_EVENT_MAX_URL      2048    /* bytes */


/* an empty event of that kind; a new reference, NULL when out of memory */
json_t *ngx_comms_event_create(const char *kind, const char *provider,
    ngx_uint_t channel);

/* {"kind": "ignored", "reason"}; "reason" in our own words */
json_t *ngx_comms_event_ignored(const char *reason);

/*
 * "dedupe_id": "<provider>:<id>", and ":<suffix>" unless that is NULL.  NGX_OK
 * or NGX_ERROR.
 */
ngx_int_t ngx_comms_event_dedupe(ngx_pool_t *pool, json_t *event,
    const char *provider, ngx_str_t *id, const char *suffix);

/* 1 when 1 to max letters, digits and characters of "marks" */
ngx_uint_t ngx_comms_event_token(ngx_str_t *text, const char *marks,
    size_t max);

/* 1 when it fits into a "marker" of ours: letters, digits, ".", "_", "-" */
ngx_uint_t ngx_comms_event_marker(ngx_str_t *marker);

/*
 * "bsuid:" + a WhatsApp user's id (Meta: two letters of a country, ".", up to
 * 128 letters and digits; with ".ENT." for a parent).  The address is empty
 * when the id is none.  NGX_OK or NGX_ERROR (out of memory).
 */
ngx_int_t ngx_comms_event_bsuid(ngx_pool_t *pool, ngx_str_t *id,
    ngx_str_t *address);

/* "tel:+" + digits of a number in any notation; empty when it is none */
ngx_int_t ngx_comms_event_tel(ngx_pool_t *pool, ngx_str_t *number,
    ngx_str_t *address);

/* adds an address to "aliases", unless it is empty or the person's own */
ngx_int_t ngx_comms_event_alias(json_t *event, ngx_str_t *address);

/*
 * Text from outside as UTF-8 of at most NGX_COMMS_EVENT_MAX_CONTENT code
 * points, trimmed; and as one line of at most NGX_COMMS_EVENT_MAX_LINE.
 * NGX_OK or NGX_ERROR (out of memory) for these and the ones below.
 */
ngx_int_t ngx_comms_event_text(ngx_pool_t *pool, ngx_str_t *raw,
    ngx_str_t *text);
ngx_int_t ngx_comms_event_line(ngx_pool_t *pool, ngx_str_t *raw,
    ngx_str_t *line);

/* adds a line to the content; nothing when "text" is empty */
ngx_int_t ngx_comms_event_append(ngx_pool_t *pool, ngx_str_t *content,
    ngx_str_t *text);

/* adds "[word: text]", or "[word]" when the text is empty */
ngx_int_t ngx_comms_event_note(ngx_pool_t *pool, ngx_str_t *content,
    const char *word, ngx_str_t *text);

/*
 * Adds "[location: latitude, longitude (label, address)]".  The strings are
 * raw; nothing when there are no coordinates.
 */
ngx_int_t ngx_comms_event_location(ngx_pool_t *pool, ngx_str_t *content,
    ngx_str_t place[4]);

/* what to call a medium of that type: "image", "audio", ... "file" */
const char *ngx_comms_event_media_word(ngx_str_t *type);

/*
 * The type of a medium without parameters ("audio/ogg; codecs=opus") in
 * lower case; empty when it is none.
 */
ngx_int_t ngx_comms_event_media_type(ngx_pool_t *pool, ngx_str_t *raw,
    ngx_str_t *type);

/* sets "content_type" of a medium; of unknown bytes when the type is empty */
ngx_int_t ngx_comms_event_medium(json_t *medium, ngx_str_t *type);


#endif /* _NGX_COMMS_EVENT_H_INCLUDED_ */
