
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A profile of the shared files, ~/.aws/credentials and ~/.aws/config.
 */


#ifndef _NGX_COMMS_AWS_PROFILE_H_INCLUDED_
#define _NGX_COMMS_AWS_PROFILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <aws/ngx_comms_aws_sign.h>


/* all strings are borrowed from the texts; empty where absent */
typedef struct {
    ngx_comms_aws_keys_t   keys;
    ngx_str_t              region;
    ngx_str_t              role_arn;
    ngx_str_t              role_session_name;
    ngx_str_t              token_file;       /* web_identity_token_file */
    const char            *unsupported;      /* a setting that says where the
                                                keys are, which we do not
                                                know how to follow; or NULL */
    unsigned               found:1;          /* in one of the files */
} ngx_comms_aws_profile_t;


/*
 * Reads the profile out of the two texts.  Where both have a value, that of
 * the credentials file counts.
 */
void ngx_comms_aws_profile_read(ngx_str_t *credentials, ngx_str_t *config,
    ngx_str_t *name, ngx_comms_aws_profile_t *profile);


#endif /* _NGX_COMMS_AWS_PROFILE_H_INCLUDED_ */
