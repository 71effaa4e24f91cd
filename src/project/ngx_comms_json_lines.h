
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Where in a JSON text does a value stand?  jansson keeps no positions, and
 * only a mistake asks for one, so the text is looked through again then.
 */


#ifndef _NGX_COMMS_JSON_LINES_H_INCLUDED_
#define _NGX_COMMS_JSON_LINES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A way to a value, from the value up; kept on the stack while a document is
 * walked.  The document itself has no parent.
 */
typedef struct ngx_comms_json_path_s  ngx_comms_json_path_t;

struct ngx_comms_json_path_s {
    ngx_comms_json_path_t   *parent;
    const char              *key;       /* NULL: an element of an array */
    ngx_uint_t               index;
};


/*
 * The line (1-based) of the member's name or of the element; when there is no
 * such value, that of the deepest object or array on the way to it.
 */
ngx_uint_t ngx_comms_json_line(ngx_str_t *text, ngx_comms_json_path_t *path);

/* writes "rate_limits.requests_per_day", "api_key_sha256[1]" */
u_char *ngx_comms_json_path_text(u_char *p, u_char *last,
    ngx_comms_json_path_t *path);


#endif /* _NGX_COMMS_JSON_LINES_H_INCLUDED_ */
