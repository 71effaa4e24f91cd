
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Inside of the file backends of projects and secrets.
 */


#ifndef _NGX_COMMS_PROJECT_FILES_H_INCLUDED_
#define _NGX_COMMS_PROJECT_FILES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <project/ngx_comms_project.h>
#include <project/ngx_comms_document.h>


#define NGX_COMMS_NAME_MAX    64
#define NGX_COMMS_NAME_WORDS                                                  \
    "1 to 64 letters, digits, \".\", \"_\" or \"-\""


/* an id of a company, a project, credentials, or the name of a provider */
ngx_uint_t ngx_comms_name_valid(ngx_str_t *name);

/* "files <path>" in the pool, for the log */
ngx_int_t ngx_comms_files_name(ngx_pool_t *pool, ngx_str_t *path,
    ngx_str_t *name);

/*
 * Checks a whole project document, logging each mistake.  "secrets" may be
 * NULL when they could not be read.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_comms_project_check(ngx_comms_document_t *doc,
    ngx_comms_secrets_t *secrets);

/*
 * Checks that the providers that a project names have a location, and that it
 * speaks the protocol of the credentials.  The document's file is read only
 * when there is a mistake to be shown.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_comms_project_check_providers(ngx_comms_document_t *doc,
    ngx_comms_project_t *project, ngx_comms_secrets_t *secrets,
    ngx_comms_protocol_of_pt protocol_of, void *data);


#endif /* _NGX_COMMS_PROJECT_FILES_H_INCLUDED_ */
