
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A configuration file in JSON: reading it, and saying what is wrong in it.
 *
 * Files are read while nginx reads its configuration, where waiting for a
 * disk is right.  A document lives in memory of its own until it is closed;
 * who wants to keep "root" takes a reference.
 */


#ifndef _NGX_COMMS_DOCUMENT_H_INCLUDED_
#define _NGX_COMMS_DOCUMENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <project/ngx_comms_json_lines.h>


#define NGX_COMMS_DOCUMENT_MAX_SIZE  (1024 * 1024)


typedef struct {
    ngx_log_t    *log;
    ngx_str_t     path;        /* NUL-terminated */
    ngx_str_t     text;
    json_t       *root;        /* an object */
    ngx_uint_t    secret;      /* no value of it is ever shown */
    ngx_uint_t    mistakes;
} ngx_comms_document_t;


/*
 * Reads the file of the path and log given in *doc.  NGX_ERROR after
 * logging, and then too it must be closed.  A secret document whose file may
 * be touched by others is refused.
 */
ngx_int_t ngx_comms_document_read(ngx_comms_document_t *doc);

void ngx_comms_document_close(ngx_comms_document_t *doc);

/*
 * Logs a mistake: the field, its value (NULL: missing) unless "hidden", and
 * what it must be.
 */
void ngx_comms_document_mistake(ngx_comms_document_t *doc,
    ngx_comms_json_path_t *path, json_t *value, ngx_uint_t hidden,
    const char *must);

/* logs a mistake in words of one's own: field "x" <words> */
void ngx_comms_document_wrong(ngx_comms_document_t *doc,
    ngx_comms_json_path_t *path, const char *words);


#endif /* _NGX_COMMS_DOCUMENT_H_INCLUDED_ */
