
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Enough of XML for the answers of AWS's query protocol: elements, character
 * data, entities.
 */


#ifndef _NGX_COMMS_AWS_XML_H_INCLUDED_
#define _NGX_COMMS_AWS_XML_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_COMMS_AWS_XML_DEPTH  16


/*
 * A walk over the leaf elements of a document.  Set up by
 * ngx_comms_aws_xml_init(); the rest is its own, but for "depth" and
 * "parents", the open elements around the leaf that was given last.
 */
typedef struct {
    u_char      *pos;
    u_char      *last;
    ngx_uint_t   depth;
    ngx_str_t    parents[NGX_COMMS_AWS_XML_DEPTH];
    unsigned     root:1;
} ngx_comms_aws_xml_t;


void ngx_comms_aws_xml_init(ngx_comms_aws_xml_t *xml, ngx_str_t *text);

/*
 * The next leaf element: its name without namespace prefix, and its text,
 * decoded into the pool.  NGX_OK; NGX_DONE at the end of the document;
 * NGX_ERROR: not well-formed, too deep, a document type, or out of memory.
 */
ngx_int_t ngx_comms_aws_xml_next(ngx_comms_aws_xml_t *xml, ngx_pool_t *pool,
    ngx_str_t *name, ngx_str_t *text);


#endif /* _NGX_COMMS_AWS_XML_H_INCLUDED_ */
