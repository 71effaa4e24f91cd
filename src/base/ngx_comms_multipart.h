
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * multipart/form-data (RFC 7578) of a request body already in memory.
 */


#ifndef _NGX_COMMS_MULTIPART_H_INCLUDED_
#define _NGX_COMMS_MULTIPART_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_COMMS_MULTIPART_MAX_PARTS    128
#define NGX_COMMS_MULTIPART_MAX_HEADERS  16384   /* bytes, per part */


typedef struct {
    ngx_str_t   name;
    ngx_str_t   filename;       /* empty for a field */
    ngx_str_t   content_type;
    ngx_str_t   data;           /* a view into the body */
} ngx_comms_part_t;


/*
 * The parts of "body", whose Content-Type header is "type", as an array of
 * ngx_comms_part_t.  NGX_DECLINED: no boundary, no closing boundary
 * (truncated), a part without a name, too many parts; NGX_ERROR: memory.
 */
ngx_int_t ngx_comms_multipart_parse(ngx_pool_t *pool, ngx_str_t *type,
    ngx_str_t *body, ngx_array_t *parts);

/* first part of that name, or NULL */
ngx_comms_part_t *ngx_comms_multipart_field(ngx_array_t *parts,
    const char *name);


#endif /* _NGX_COMMS_MULTIPART_H_INCLUDED_ */
