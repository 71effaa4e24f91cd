
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a project's rate_limits allow.
 *
 * Open conversations come first: a request refused for their sake uses
 * nothing up.  requests_per_minute and requests_per_day count what passed.
 */


#include <http/ngx_http_comms_initiate.h>


#define NGX_HTTP_COMMS_MINUTE      60
#define NGX_HTTP_COMMS_DAY         86400

/* seconds until a conversation may have ended */
#define NGX_HTTP_COMMS_RETRY_OPEN  60


static ngx_int_t ngx_http_comms_initiate_rate(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in, const char *prefix, ngx_uint_t limit,
    ngx_uint_t window, ngx_http_comms_error_t *error);


ngx_int_t
ngx_http_comms_initiate_limits(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in, int64_t open,
    ngx_http_comms_error_t *error)
{
    ngx_comms_project_t  *project;

    project = in->project;

    if (project->concurrent_conversations != 0
        && open >= (int64_t) project->concurrent_conversations)
    {
        ngx_http_comms_refuse(error, NGX_HTTP_TOO_MANY_REQUESTS,
                              "RATE_LIMIT_EXCEEDED",
                              "The project has as many open conversations as "
                              "concurrent_conversations allows");
        error->retry_after = NGX_HTTP_COMMS_RETRY_OPEN;

        return NGX_DECLINED;
    }

    if (ngx_http_comms_initiate_rate(r, in, "minute",
                                     project->requests_per_minute,
                                     NGX_HTTP_COMMS_MINUTE, error)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_http_comms_initiate_rate(r, in, "day",
                                        project->requests_per_day,
                                        NGX_HTTP_COMMS_DAY, error);
}


static ngx_int_t
ngx_http_comms_initiate_rate(ngx_http_request_t *r,
    ngx_http_comms_initiate_t *in, const char *prefix, ngx_uint_t limit,
    ngx_uint_t window, ngx_http_comms_error_t *error)
{
    ngx_str_t   key;
    ngx_uint_t  retry_after;

    if (limit == 0) {
        return NGX_OK;
    }

    key.len = ngx_strlen(prefix) + in->start.company_id.len
              + in->start.project_id.len + 2;

    key.data = ngx_pnalloc(r->pool, key.len);

    /* limits must not stop the product */

    if (key.data == NULL) {
        return NGX_OK;
    }

    ngx_sprintf(key.data, "%s:%V#%V", prefix, &in->start.company_id,
                &in->start.project_id);

    if (ngx_comms_limiter_take(in->engine->zone, &key, limit, window,
                               &retry_after)
        != NGX_DECLINED)
    {
        return NGX_OK;
    }

    ngx_http_comms_refuse(error, NGX_HTTP_TOO_MANY_REQUESTS,
                          "RATE_LIMIT_EXCEEDED",
                          window == NGX_HTTP_COMMS_MINUTE
                              ? "The project's requests_per_minute are used up"
                              : "The project's requests_per_day are used up");
    error->retry_after = retry_after;

    return NGX_DECLINED;
}
