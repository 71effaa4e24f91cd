
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * JSON for nginx: jansson made nginx-shaped.
 *
 * Documents from outside go through ngx_comms_json_parse(), which bounds
 * depth and refuses duplicate keys, NUL characters and invalid UTF-8, and says
 * where the mistake is.  Strings are borrowed from the document as ngx_str_t;
 * they live as long as the document does.
 *
 * jansson's reference counts are atomic here (JSON_HAVE_ATOMIC_BUILTINS), so a
 * document may be handed over to a thread, but only one thread at a time may
 * change or read it.
 */


#ifndef _NGX_COMMS_JSON_H_INCLUDED_
#define _NGX_COMMS_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>


/* nesting allowed in a document from outside */
#define NGX_COMMS_JSON_MAX_DEPTH  32


typedef struct {
    ngx_uint_t   line;         /* 1-based */
    ngx_uint_t   column;       /* 1-based, in bytes */
    u_char       text[128];    /* what is wrong, NUL-terminated */
} ngx_comms_json_error_t;


/*
 * Parses text.  Returns a new reference, or NULL with *err filled in.  Any
 * JSON value is accepted at the top; the caller checks the type.
 */
json_t *ngx_comms_json_parse(ngx_str_t *text, ngx_comms_json_error_t *err);

/*
 * The string member "key" of an object, borrowed.  NGX_OK; NGX_DECLINED when
 * the object is NULL, or the member is absent or null (*value is then
 * empty); NGX_ERROR when it is there and is not a string.
 */
ngx_int_t ngx_comms_json_str(json_t *object, const char *key,
    ngx_str_t *value);

/* the same for an integer member; *value is left alone unless NGX_OK */
ngx_int_t ngx_comms_json_int(json_t *object, const char *key,
    int64_t *value);

/* a borrowed view of a JSON string value; empty when it is no string */
ngx_str_t ngx_comms_json_view(json_t *value);

/* a new string value; NULL when out of memory or the bytes are not UTF-8 */
json_t *ngx_comms_json_string(ngx_str_t *value);

/*
 * Sets a string member, copying the bytes.  NGX_ERROR when out of memory or
 * the bytes are not UTF-8.
 */
ngx_int_t ngx_comms_json_set_str(json_t *object, const char *key,
    ngx_str_t *value);

/*
 * Compact text of a document in the pool (NUL-terminated, not counted in
 * len).  Returns NGX_OK or NGX_ERROR (out of memory).
 */
ngx_int_t ngx_comms_json_dump(ngx_pool_t *pool, json_t *value,
    ngx_str_t *text);

/*
 * The same with object keys sorted: equal documents give equal text, which
 * makes it fit for hashing.
 */
ngx_int_t ngx_comms_json_dump_canonical(ngx_pool_t *pool, json_t *value,
    ngx_str_t *text);


#endif /* _NGX_COMMS_JSON_H_INCLUDED_ */
