
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_text.h>
#include <aws/ngx_comms_aws_environment.h>


#define ngx_comms_aws_variable(name, member)                                  \
    { name, offsetof(ngx_comms_aws_environment_t, member) }


static ngx_int_t ngx_comms_aws_environment_home(ngx_pool_t *pool,
    const char *name, ngx_str_t *path);
static ngx_uint_t ngx_comms_aws_environment_true(const char *name);


/* of several that go to one place, the first that is set counts */
static struct {
    const char  *name;
    size_t       offset;
} ngx_comms_aws_variables[] = {
    ngx_comms_aws_variable("AWS_ACCESS_KEY_ID", keys.access_key),
    ngx_comms_aws_variable("AWS_SECRET_ACCESS_KEY", keys.secret_key),
    ngx_comms_aws_variable("AWS_SESSION_TOKEN", keys.token),
    ngx_comms_aws_variable("AWS_REGION", region),
    ngx_comms_aws_variable("AWS_DEFAULT_REGION", region),
    ngx_comms_aws_variable("AWS_PROFILE", profile),
    ngx_comms_aws_variable("AWS_DEFAULT_PROFILE", profile),
    ngx_comms_aws_variable("AWS_SHARED_CREDENTIALS_FILE", credentials_file),
    ngx_comms_aws_variable("AWS_CONFIG_FILE", config_file),
    ngx_comms_aws_variable("AWS_ROLE_ARN", role_arn),
    ngx_comms_aws_variable("AWS_ROLE_SESSION_NAME", role_session_name),
    ngx_comms_aws_variable("AWS_WEB_IDENTITY_TOKEN_FILE", token_file),
    ngx_comms_aws_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                           container_path),
    ngx_comms_aws_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI",
                           container_url),
    ngx_comms_aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN",
                           container_token),
    ngx_comms_aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                           container_token_file),
    ngx_comms_aws_variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata_url),
    ngx_comms_aws_variable("AWS_ENDPOINT_URL", endpoint),
    ngx_comms_aws_variable("AWS_ENDPOINT_URL_SNS",
                           endpoints[NGX_COMMS_AWS_SNS]),
    ngx_comms_aws_variable("AWS_ENDPOINT_URL_SQS",
                           endpoints[NGX_COMMS_AWS_SQS]),
    ngx_comms_aws_variable("AWS_ENDPOINT_URL_DYNAMODB",
                           endpoints[NGX_COMMS_AWS_DYNAMODB]),
    ngx_comms_aws_variable("AWS_ENDPOINT_URL_SECRETS_MANAGER",
                           endpoints[NGX_COMMS_AWS_SECRETSMANAGER]),
    ngx_comms_aws_variable("AWS_ENDPOINT_URL_STS",
                           endpoints[NGX_COMMS_AWS_STS]),
    ngx_comms_aws_variable("AWS_CA_BUNDLE", network.ca_bundle),
    ngx_comms_aws_variable("https_proxy", network.https_proxy),
    ngx_comms_aws_variable("HTTPS_PROXY", network.https_proxy),
    ngx_comms_aws_variable("all_proxy", network.https_proxy),
    ngx_comms_aws_variable("ALL_PROXY", network.https_proxy),
    ngx_comms_aws_variable("http_proxy", network.http_proxy),
    ngx_comms_aws_variable("all_proxy", network.http_proxy),
    ngx_comms_aws_variable("ALL_PROXY", network.http_proxy),
    ngx_comms_aws_variable("no_proxy", network.no_proxy),
    ngx_comms_aws_variable("NO_PROXY", network.no_proxy),
    { NULL, 0 }
};


ngx_int_t
ngx_comms_aws_environment_read(ngx_pool_t *pool,
    ngx_comms_aws_environment_t *env)
{
    char        *text;
    ngx_str_t   *value;
    ngx_uint_t   i;

    ngx_memzero(env, sizeof(ngx_comms_aws_environment_t));

    for (i = 0; ngx_comms_aws_variables[i].name != NULL; i++) {
        text = getenv(ngx_comms_aws_variables[i].name);
        value = (ngx_str_t *) ((u_char *) env
                               + ngx_comms_aws_variables[i].offset);

        if (text == NULL || *text == '\0' || value->len != 0) {
            continue;
        }

        value->len = ngx_strlen(text);
        value->data = ngx_pnalloc(pool, value->len + 1);
        if (value->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(value->data, text, value->len + 1);
    }

    if (env->metadata_url.len == 0) {
        text = getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");

        if (text != NULL
            && ngx_strcasecmp((u_char *) text, (u_char *) "ipv6") == 0)
        {
            ngx_str_set(&env->metadata_url, "http://[fd00:ec2::254]");

        } else {
            ngx_str_set(&env->metadata_url, "http://169.254.169.254");
        }
    }

    env->metadata_disabled =
                  ngx_comms_aws_environment_true("AWS_EC2_METADATA_DISABLED");
    env->metadata_v1_disabled =
               ngx_comms_aws_environment_true("AWS_EC2_METADATA_V1_DISABLED");

    if (ngx_comms_aws_environment_home(pool, "/.aws/credentials",
                                       &env->credentials_file)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_aws_environment_home(pool, "/.aws/config",
                                          &env->config_file);
}


/* "path" stays empty when there is no home */

static ngx_int_t
ngx_comms_aws_environment_home(ngx_pool_t *pool, const char *name,
    ngx_str_t *path)
{
    char    *home;
    size_t   len;
    u_char  *p;

    home = getenv("HOME");

    if (path->len != 0 || home == NULL || *home != '/') {
        return NGX_OK;
    }

    len = ngx_strlen(home) + ngx_strlen(name);

    p = ngx_pnalloc(pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(p, "%s%s%Z", home, name);

    path->data = p;
    path->len = len;

    return NGX_OK;
}


static ngx_uint_t
ngx_comms_aws_environment_true(const char *name)
{
    char  *text;

    text = getenv(name);

    return text != NULL
           && ngx_strcasecmp((u_char *) text, (u_char *) "true") == 0;
}


ngx_comms_aws_source_e
ngx_comms_aws_environment_source(ngx_comms_aws_environment_t *env,
    ngx_comms_aws_profile_t *profile, ngx_uint_t named)
{
    if (!named) {

        if (env->keys.access_key.len && env->keys.secret_key.len) {
            return NGX_COMMS_AWS_ENVIRONMENT;
        }

        if (env->token_file.len && env->role_arn.len) {
            return NGX_COMMS_AWS_WEB_IDENTITY;
        }
    }

    if (profile->token_file.len && profile->role_arn.len) {
        return NGX_COMMS_AWS_WEB_IDENTITY;
    }

    if (profile->keys.access_key.len && profile->keys.secret_key.len) {
        return NGX_COMMS_AWS_FILES;
    }

    if (env->container_path.len || env->container_url.len) {
        return NGX_COMMS_AWS_CONTAINER;
    }

    return env->metadata_disabled ? NGX_COMMS_AWS_NOWHERE
                                  : NGX_COMMS_AWS_METADATA;
}
