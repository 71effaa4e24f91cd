
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Items of DynamoDB as documents.
 */


#ifndef _NGX_COMMS_PROJECT_DYNAMODB_ITEM_H_INCLUDED_
#define _NGX_COMMS_PROJECT_DYNAMODB_ITEM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <project/ngx_comms_project.h>


/*
 * The document that an item ({"name": {"S": ...}}) stands for: a new
 * reference.  NULL: out of memory, or something in it is no attribute value,
 * is binary, or is nested too deeply.  Attributes named "gsi_..." serve
 * indexes and are left out.
 */
json_t *ngx_comms_project_document(json_t *item);

/*
 * A project that lives as long as the cycle, of a document that is checked as
 * those of files are; takes over the reference.  NULL, logged: a mistake in
 * it, or out of memory.
 */
ngx_comms_project_t *ngx_comms_project_make(json_t *document);


#endif /* _NGX_COMMS_PROJECT_DYNAMODB_ITEM_H_INCLUDED_ */
