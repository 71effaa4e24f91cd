
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a JSON object may hold, as a table: each row is a member, its kind,
 * bounds and the words that say what is allowed.  A member without a row is
 * a mistake, so nothing in a file is read and ignored.
 */


#ifndef _NGX_COMMS_FIELDS_H_INCLUDED_
#define _NGX_COMMS_FIELDS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <project/ngx_comms_document.h>


typedef enum {
    NGX_COMMS_FIELD_STRING = 0,  /* one line; min and max in characters */
    NGX_COMMS_FIELD_TEXT,        /* the same with line breaks */
    NGX_COMMS_FIELD_INTEGER,     /* min and max of the value */
    NGX_COMMS_FIELD_BOOLEAN,
    NGX_COMMS_FIELD_OBJECT,      /* its members have a table of their own */
    NGX_COMMS_FIELD_LIST,        /* of strings; min and max of its length */
    NGX_COMMS_FIELD_MAP          /* any name to a string; min and max of its
                                    size */
} ngx_comms_field_e;


typedef struct ngx_comms_field_s  ngx_comms_field_t;

struct ngx_comms_field_s {
    const char               *name;         /* NULL ends the table */
    ngx_comms_field_e         kind;
    ngx_uint_t                required;
    ngx_uint_t                hidden;       /* the value is not for a log */
    int64_t                   min;
    int64_t                   max;
    ngx_uint_t              (*valid)(ngx_str_t *value);   /* or NULL */
    const ngx_comms_field_t  *fields;       /* of an object */
    const char               *must;
};


/* logs each mistake of the object that stands at "at" */
void ngx_comms_fields_check(ngx_comms_document_t *doc,
    const ngx_comms_field_t *fields, json_t *object,
    ngx_comms_json_path_t *at);


#endif /* _NGX_COMMS_FIELDS_H_INCLUDED_ */
