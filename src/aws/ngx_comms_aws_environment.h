
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the SDKs' environment variables say.  nginx clears the environment of
 * its workers; it is read at configuration time, in the master, so that no
 * "env" directive is needed.
 */


#ifndef _NGX_COMMS_AWS_ENVIRONMENT_H_INCLUDED_
#define _NGX_COMMS_AWS_ENVIRONMENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <curl/ngx_comms_curl_loop.h>
#include <aws/ngx_comms_aws.h>
#include <aws/ngx_comms_aws_profile.h>
#include <aws/ngx_comms_aws_sign.h>


/* empty where a variable is not set; all of them are NUL-terminated */
typedef struct {
    ngx_comms_aws_keys_t      keys;
    ngx_str_t                 region;
    ngx_str_t                 profile;
    ngx_str_t                 credentials_file;
    ngx_str_t                 config_file;

    ngx_str_t                 role_arn;          /* web identity */
    ngx_str_t                 role_session_name;
    ngx_str_t                 token_file;

    ngx_str_t                 container_path;    /* relative to 169.254.170.2 */
    ngx_str_t                 container_url;
    ngx_str_t                 container_token;
    ngx_str_t                 container_token_file;

    ngx_str_t                 metadata_url;
    ngx_str_t                 endpoint;
    ngx_str_t                 endpoints[NGX_COMMS_AWS_SERVICES];

    ngx_comms_curl_network_t  network;

    unsigned                  metadata_disabled:1;
    unsigned                  metadata_v1_disabled:1;
} ngx_comms_aws_environment_t;


typedef enum {
    NGX_COMMS_AWS_NOWHERE = 0,
    NGX_COMMS_AWS_ENVIRONMENT,
    NGX_COMMS_AWS_WEB_IDENTITY,
    NGX_COMMS_AWS_FILES,
    NGX_COMMS_AWS_CONTAINER,
    NGX_COMMS_AWS_METADATA
} ngx_comms_aws_source_e;


ngx_int_t ngx_comms_aws_environment_read(ngx_pool_t *pool,
    ngx_comms_aws_environment_t *env);

/*
 * Where credentials come from, in the order of the enumeration.  A profile
 * that the configuration names ("named") goes before the environment.
 */
ngx_comms_aws_source_e ngx_comms_aws_environment_source(
    ngx_comms_aws_environment_t *env, ngx_comms_aws_profile_t *profile,
    ngx_uint_t named);


#endif /* _NGX_COMMS_AWS_ENVIRONMENT_H_INCLUDED_ */
