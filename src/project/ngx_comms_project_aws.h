
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Projects in a DynamoDB table, credentials in Secrets Manager.
 *
 * Both are fetched on need and kept for their term; shortly before its end
 * the next look-up refreshes them behind the caller's back.  While a service
 * does not answer what is known stays good for an hour.
 *
 * Nothing of them is known while nginx reads its configuration, so a mistake
 * shows when the project is first used: it is logged with its field, and the
 * look-up gives NGX_ERROR.  ngx_comms_projects_check() is for files alone.
 */


#ifndef _NGX_COMMS_PROJECT_AWS_H_INCLUDED_
#define _NGX_COMMS_PROJECT_AWS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <project/ngx_comms_project.h>
#include <aws/ngx_comms_aws.h>


/*
 * The table has the key company_id (hash), project_id (range); an item is the
 * project's document, as attributes.  API keys are found by the index
 * "api-key-sha256-index" on gsi_api_key_sha256, which projects
 * api_key_sha256: an item opens its company for the key whose digest both
 * attributes have.  A project can be found so by one key; each further one is
 * an item of its own, with any other project_id ("key#<digest>") and these
 * two attributes.
 */
typedef struct {
    ngx_str_t    table;         /* "company-data" */
    ngx_msec_t   term;          /* 0: one minute */
} ngx_comms_projects_dynamodb_conf_t;


/*
 * A secret is named prefix + id, its string is the credentials object.  What
 * its version AWSPREVIOUS would verify is verified, too.
 */
typedef struct {
    ngx_str_t    prefix;        /* "comms/" */
    ngx_msec_t   term;          /* 0: five minutes */
} ngx_comms_secrets_aws_conf_t;


/*
 * The check at start, in one worker process: logs what they are connected to,
 * or what is missing, soon after.  For those made by the functions below.
 */
void ngx_comms_projects_dynamodb_check(ngx_comms_projects_t *projects);
void ngx_comms_secrets_aws_check(ngx_comms_secrets_t *secrets);


/* at configuration time; NULL when out of memory */
ngx_comms_projects_t *ngx_comms_projects_dynamodb(ngx_conf_t *cf,
    ngx_comms_aws_t *aws, ngx_comms_projects_dynamodb_conf_t *conf);
ngx_comms_secrets_t *ngx_comms_secrets_aws(ngx_conf_t *cf,
    ngx_comms_aws_t *aws, ngx_comms_secrets_aws_conf_t *conf);


#endif /* _NGX_COMMS_PROJECT_AWS_H_INCLUDED_ */
