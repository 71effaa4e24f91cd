
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the files of the Meta provider share; for them alone.
 */


#ifndef _NGX_COMMS_META_H_INCLUDED_
#define _NGX_COMMS_META_H_INCLUDED_


#include <channel/ngx_comms_channel.h>
#include <channel/ngx_comms_codes.h>


/* what is called when the credentials say nothing else: current in 2026 */
#define NGX_COMMS_META_VERSION  "v26.0"
#define NGX_COMMS_META_GRAPH    "https://graph.facebook.com"


/* what is known about an error code of the Cloud API, or NULL */
const ngx_comms_code_t *ngx_comms_meta_error(ngx_uint_t code);

/*
 * The "code" member of an error object, as text in the pool, and its row or
 * NULL.  NGX_DECLINED: there is none; NGX_ERROR: memory.
 */
ngx_int_t ngx_comms_meta_error_code(ngx_pool_t *pool, json_t *error,
    ngx_str_t *text, const ngx_comms_code_t **row);

/* the API's version of the credentials, or the default; "v26.0" */
void ngx_comms_meta_version(json_t *credentials, ngx_str_t *version);

/* 1 when 1 to 32 digits, as all ids of Meta's Graph are */
ngx_uint_t ngx_comms_meta_id_valid(ngx_str_t *id);

/* "Authorization: Bearer ..."; NGX_DECLINED: no usable access_token */
ngx_int_t ngx_comms_meta_bearer(ngx_pool_t *pool, json_t *credentials,
    ngx_str_t *value);

/*
 * The part of the send request that says what is sent: sets "type" and the
 * member of that name.  NGX_DECLINED with *words; NGX_ERROR: memory.
 */
ngx_int_t ngx_comms_meta_content(ngx_pool_t *pool,
    ngx_comms_outbound_t *message, json_t *body, const char **words);

ngx_int_t ngx_comms_meta_verify(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials);
ngx_int_t ngx_comms_meta_handshake(ngx_pool_t *pool, ngx_str_t *args,
    json_t *credentials, ngx_str_t *answer);
ngx_int_t ngx_comms_meta_check(json_t *credentials, const char **field,
    const char **words);

ngx_int_t ngx_comms_meta_media(ngx_pool_t *pool, json_t *media,
    json_t *credentials, ngx_str_t *url, ngx_array_t *headers,
    ngx_uint_t *again);
ngx_int_t ngx_comms_meta_media_url(ngx_pool_t *pool, ngx_str_t *answer,
    ngx_str_t *url);

ngx_int_t ngx_comms_meta_parse(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
    json_t *credentials, json_t **events, const char **words);

/*
 * The parsers of what a change holds.  Each appends its event to "events";
 * "value" is the change's, and "company" the address that it was written to.
 * NGX_OK or NGX_ERROR (memory).
 */
ngx_int_t ngx_comms_meta_message(ngx_pool_t *pool, json_t *value,
    json_t *message, ngx_str_t *company, time_t now, json_t *events);
ngx_int_t ngx_comms_meta_status(ngx_pool_t *pool, json_t *status,
    json_t *events);
ngx_int_t ngx_comms_meta_system(ngx_pool_t *pool, json_t *message,
    ngx_str_t *company, json_t *events);
ngx_int_t ngx_comms_meta_preference(ngx_pool_t *pool, json_t *preference,
    ngx_str_t *company, json_t *events);

/* what a message says, in words, and its media into the event */
ngx_int_t ngx_comms_meta_words(ngx_pool_t *pool, json_t *message,
    json_t *event, ngx_str_t *content);

/* an "ignored" event; NGX_OK or NGX_ERROR (memory) */
ngx_int_t ngx_comms_meta_ignore(json_t *events, const char *reason);

/*
 * "timestamp" of a message or status, in seconds since the epoch: a string
 * of digits, or a number.  NGX_DECLINED when it is absent or no time.
 */
ngx_int_t ngx_comms_meta_time(json_t *object, int64_t *seconds);

/* a wamid: characters of base64 and dots */
ngx_uint_t ngx_comms_meta_wamid(ngx_str_t *id);

/*
 * The addresses of a person in an object that has the number and the user
 * id under these names: the number is the person's where there is one.  Both
 * are empty when there is none.
 */
ngx_int_t ngx_comms_meta_person(ngx_pool_t *pool, json_t *object,
    const char *number, const char *user_id, ngx_str_t *person,
    ngx_str_t *alias);


#endif /* _NGX_COMMS_META_H_INCLUDED_ */
