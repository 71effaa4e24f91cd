
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The directives of the http level that no slot function reads.
 *
 * To add a backend of the store or the bus: add a row to its table here.
 */


#include <ngx_http_comms_conf.h>


typedef struct {
    ngx_str_t   name;
    ngx_str_t   path;           /* default of "path=" */
    ngx_int_t   aws;            /* ngx_http_comms_aws_backend_e, or -1 */
} ngx_http_comms_backend_t;


static ngx_http_comms_backend_t *ngx_http_comms_conf_backend(
    ngx_http_comms_backend_t *backend, ngx_str_t *name);
static char *ngx_http_comms_conf_store_params(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_http_comms_main_conf_t *mcf);
static char *ngx_http_comms_conf_path(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_str_t *path);
static char *ngx_http_comms_conf_documents(ngx_conf_t *cf,
    ngx_command_t *cmd, ngx_http_comms_main_conf_t *mcf, ngx_str_t *path,
    const char *backend, ngx_http_comms_aws_backend_e aws);
static ngx_int_t ngx_http_comms_conf_worker_param(ngx_str_t *value,
    ngx_http_comms_worker_t *worker, const char **allowed);
static ngx_int_t ngx_http_comms_conf_number(ngx_str_t *value, size_t skip,
    ngx_uint_t low, ngx_uint_t high, ngx_uint_t *number);
static ngx_int_t ngx_http_comms_conf_time(ngx_str_t *value, size_t skip,
    ngx_msec_t low, ngx_msec_t high, ngx_msec_t *time);


static ngx_http_comms_backend_t  ngx_http_comms_stores[] = {
    { ngx_string("sqlite"), ngx_string("comms/comms.db"), -1 },
    { ngx_string("dynamodb"), ngx_null_string, NGX_HTTP_COMMS_AWS_STORE },
    { ngx_null_string, ngx_null_string, -1 }
};


static ngx_http_comms_backend_t  ngx_http_comms_buses[] = {
    { ngx_string("sqlite"), ngx_null_string, -1 },
    { ngx_string("aws"), ngx_null_string, NGX_HTTP_COMMS_AWS_BUS },
    { ngx_null_string, ngx_null_string, -1 }
};


char *
ngx_http_comms_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_comms_main_conf_t *mcf = conf;

    u_char     *p;
    ssize_t     size;
    ngx_str_t  *value, text;

    if (mcf->zone_name.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    p = (u_char *) ngx_strchr(value[1].data, ':');

    if (p == NULL || p == value[1].data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it must "
                           "be \"name:size\"", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    text.data = p + 1;
    text.len = value[1].data + value[1].len - text.data;

    size = ngx_parse_size(&text);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid zone size \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (size < NGX_COMMS_ZONE_MIN_SIZE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is too small, it must be at least "
                           "%uzk", &value[1],
                           (size_t) NGX_COMMS_ZONE_MIN_SIZE / 1024);
        return NGX_CONF_ERROR;
    }

    mcf->zone_name.data = value[1].data;
    mcf->zone_name.len = p - value[1].data;
    mcf->zone_size = size;

    return NGX_CONF_OK;
}


char *
ngx_http_comms_conf_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_comms_main_conf_t *mcf = conf;

    ngx_str_t                 *value;
    ngx_http_comms_backend_t  *backend;

    if (mcf->store.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    backend = ngx_http_comms_conf_backend(ngx_http_comms_stores, &value[1]);

    if (backend == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it must "
                           "be \"sqlite\" or \"dynamodb\"", &value[1],
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    mcf->store = backend->name;
    mcf->store_path = backend->path;

    if (backend->aws != -1) {
        return ngx_http_comms_conf_aws_params(cf, cmd, mcf, backend->aws);
    }

    return ngx_http_comms_conf_store_params(cf, cmd, mcf);
}


/* "path=" and "retention=" behind the name of the embedded backend */

static char *
ngx_http_comms_conf_store_params(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_comms_main_conf_t *mcf)
{
    ngx_str_t   *value;
    ngx_int_t    days;
    ngx_uint_t   i, path, retention;

    value = cf->args->elts;
    path = 0;
    retention = 0;

    for (i = 2; i < cf->args->nelts; i++) {

        if (value[i].len > 5 && ngx_strncmp(value[i].data, "path=", 5) == 0) {
            mcf->store_path.data = value[i].data + 5;
            mcf->store_path.len = value[i].len - 5;
            path++;

        } else if (value[i].len > 10
                   && ngx_strncmp(value[i].data, "retention=", 10) == 0)
        {
            days = ngx_atoi(value[i].data + 10, value[i].len - 10);

            if (days < 1 || days > 36500) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid value \"%V\" in \"%V\" "
                                   "directive, \"retention\" must be between "
                                   "1 and 36500", &value[i], &cmd->name);
                return NGX_CONF_ERROR;
            }

            mcf->retention_days = days;
            retention++;

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\" "
                               "directive, it must be \"path=file\" or "
                               "\"retention=days\"", &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }

        if (path > 1 || retention > 1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate parameter \"%V\" in \"%V\" "
                               "directive", &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_comms_conf_bus(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_comms_main_conf_t *mcf = conf;

    ngx_str_t                 *value;
    ngx_http_comms_backend_t  *backend;

    if (mcf->bus.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    backend = ngx_http_comms_conf_backend(ngx_http_comms_buses, &value[1]);

    if (backend == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it must "
                           "be \"sqlite\" or \"aws\"", &value[1],
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    mcf->bus = backend->name;

    if (backend->aws != -1) {
        return ngx_http_comms_conf_aws_params(cf, cmd, mcf, backend->aws);
    }

    return ngx_http_comms_conf_path(cf, cmd, &mcf->bus_path);
}


/* "path=" behind the name of the embedded backend */

static char *
ngx_http_comms_conf_path(ngx_conf_t *cf, ngx_command_t *cmd, ngx_str_t *path)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (cf->args->nelts > 3) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of parameters in \"%V\" "
                           "directive, \"path=file\" is allowed once",
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (value[2].len <= 5 || ngx_strncmp(value[2].data, "path=", 5) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"%V\" directive, it "
                           "must be \"path=file\"", &value[2], &cmd->name);
        return NGX_CONF_ERROR;
    }

    path->data = value[2].data + 5;
    path->len = value[2].len - 5;

    return NGX_CONF_OK;
}


char *
ngx_http_comms_conf_projects(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_comms_main_conf_t *mcf = conf;

    return ngx_http_comms_conf_documents(cf, cmd, mcf, &mcf->projects_dir,
                                         "dynamodb",
                                         NGX_HTTP_COMMS_AWS_PROJECTS);
}


char *
ngx_http_comms_conf_secrets(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_comms_main_conf_t *mcf = conf;

    return ngx_http_comms_conf_documents(cf, cmd, mcf, &mcf->secrets_path,
                                         "aws",
                                         NGX_HTTP_COMMS_AWS_SECRETS);
}


/* one argument is a path; with more, the first names a backend */

static char *
ngx_http_comms_conf_documents(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_comms_main_conf_t *mcf, ngx_str_t *path, const char *backend,
    ngx_http_comms_aws_backend_e aws)
{
    ngx_str_t  *value;

    if (path->len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;
    *path = value[1];

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (value[1].len == ngx_strlen(backend)
        && ngx_strncmp(value[1].data, backend, value[1].len) == 0)
    {
        return ngx_http_comms_conf_aws_params(cf, cmd, mcf, aws);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive, it must be "
                       "a path alone, or \"%s\" with parameters", &value[1],
                       &cmd->name, backend);

    return NGX_CONF_ERROR;
}


static ngx_http_comms_backend_t *
ngx_http_comms_conf_backend(ngx_http_comms_backend_t *backend,
    ngx_str_t *name)
{
    for ( /* void */ ; backend->name.len != 0; backend++) {
        if (backend->name.len == name->len
            && ngx_strncmp(backend->name.data, name->data, name->len) == 0)
        {
            return backend;
        }
    }

    return NULL;
}


char *
ngx_http_comms_conf_worker(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_comms_main_conf_t *mcf = conf;

    ngx_str_t                *value;
    ngx_uint_t                i;
    const char               *allowed;
    ngx_http_comms_worker_t  *worker;

    value = cf->args->elts;
    worker = mcf->workers.elts;

    for (i = 0; i < mcf->workers.nelts; i++) {
        if (worker[i].queue.len == value[1].len
            && ngx_strncmp(worker[i].queue.data, value[1].data, value[1].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate queue \"%V\" in \"%V\" directive",
                               &value[1], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_comms_conf_steps(&value[1]) == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it must "
                           "be one of \"open\", \"reply\", \"whatsapp\", "
                           "\"sms\" or \"email\"", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_comms_conf_add_worker(mcf, &value[1], &worker) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        allowed = NULL;

        if (ngx_http_comms_conf_worker_param(&value[i], worker, &allowed)
            == NGX_OK)
        {
            continue;
        }

        if (allowed == NULL) {
            allowed = "one of \"concurrency=\", \"visibility=\", "
                      "\"heartbeat=\" or \"max_receives=\"";
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"%V\" directive, it "
                           "must be %s", &value[i], &cmd->name, allowed);
        return NGX_CONF_ERROR;
    }

    return ngx_http_comms_conf_worker_check(cf, worker);
}


char *
ngx_http_comms_conf_worker_check(ngx_conf_t *cf,
    ngx_http_comms_worker_t *worker)
{
    if (worker->visibility == 0 || worker->heartbeat < worker->visibility) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"heartbeat\" must be less than \"visibility\" "
                       "in \"comms_worker\" directive: %Mms and %Mms",
                       worker->heartbeat, worker->visibility);

    return NGX_CONF_ERROR;
}


/* NGX_DECLINED; *allowed is set when only the value is wrong */

static ngx_int_t
ngx_http_comms_conf_worker_param(ngx_str_t *value,
    ngx_http_comms_worker_t *worker, const char **allowed)
{
    if (ngx_strncmp(value->data, "concurrency=", 12) == 0) {
        *allowed = "between 1 and 10000";
        return ngx_http_comms_conf_number(value, 12, 1, 10000,
                                          &worker->concurrency);
    }

    if (ngx_strncmp(value->data, "visibility=", 11) == 0) {
        *allowed = "between 1s and 12h";
        return ngx_http_comms_conf_time(value, 11, 1000, 43200000,
                                        &worker->visibility);
    }

    if (ngx_strncmp(value->data, "heartbeat=", 10) == 0) {
        *allowed = "at least 100ms and less than the visibility";
        return ngx_http_comms_conf_time(value, 10, 100, 43200000,
                                        &worker->heartbeat);
    }

    if (ngx_strncmp(value->data, "max_receives=", 13) == 0) {
        *allowed = "between 1 and 1000";
        return ngx_http_comms_conf_number(value, 13, 1, 1000,
                                          &worker->max_receives);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_comms_conf_number(ngx_str_t *value, size_t skip, ngx_uint_t low,
    ngx_uint_t high, ngx_uint_t *number)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data + skip, value->len - skip);

    if (n == NGX_ERROR || (ngx_uint_t) n < low || (ngx_uint_t) n > high) {
        return NGX_DECLINED;
    }

    *number = n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_comms_conf_time(ngx_str_t *value, size_t skip, ngx_msec_t low,
    ngx_msec_t high, ngx_msec_t *time)
{
    ngx_int_t  ms;
    ngx_str_t  text;

    text.data = value->data + skip;
    text.len = value->len - skip;

    ms = ngx_parse_time(&text, 0);

    if (ms == NGX_ERROR || (ngx_msec_t) ms < low || (ngx_msec_t) ms > high) {
        return NGX_DECLINED;
    }

    *time = ms;

    return NGX_OK;
}


ngx_int_t
ngx_http_comms_conf_add_worker(ngx_http_comms_main_conf_t *mcf,
    ngx_str_t *queue, ngx_http_comms_worker_t **worker)
{
    ngx_http_comms_worker_t  *w;

    w = ngx_array_push(&mcf->workers);
    if (w == NULL) {
        return NGX_ERROR;
    }

    w->queue = *queue;
    w->steps = ngx_http_comms_conf_steps(queue);
    w->concurrency = 64;
    w->visibility = 0;
    w->heartbeat = 0;
    w->max_receives = 12;

    *worker = w;

    return NGX_OK;
}


const ngx_comms_step_t *
ngx_http_comms_conf_steps(ngx_str_t *queue)
{
    ngx_comms_flow_of_queue_t  *flow;

    for (flow = ngx_comms_flows; flow->queue.len != 0; flow++) {
        if (flow->queue.len == queue->len
            && ngx_strncmp(flow->queue.data, queue->data, queue->len) == 0)
        {
            return flow->steps;
        }
    }

    return NULL;
}


char *
ngx_http_comms_conf_public_base_url(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_comms_loc_conf_t *lcf = conf;

    size_t      scheme, i;
    ngx_str_t  *value, url;

    if (lcf->public_base_url.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    url = value[1];

    if (ngx_strncmp(url.data, "https://", 8) == 0) {
        scheme = 8;

    } else if (ngx_strncmp(url.data, "http://", 7) == 0) {
        scheme = 7;

    } else {
        goto invalid;
    }

    while (url.len > scheme && url.data[url.len - 1] == '/') {
        url.len--;
    }

    if (url.len == scheme || url.data[scheme] == '/') {
        goto invalid;
    }

    for (i = scheme; i < url.len; i++) {
        if (url.data[i] <= ' ' || url.data[i] >= 0x7f
            || url.data[i] == '?' || url.data[i] == '#')
        {
            goto invalid;
        }
    }

    lcf->public_base_url = url;

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive, it must be "
                       "\"http://host\" or \"https://host\", with a port or a "
                       "path where needed and without \"?\" and \"#\"",
                       &value[1], &cmd->name);

    return NGX_CONF_ERROR;
}


char *
ngx_http_comms_conf_bounds(ngx_conf_t *cf, void *post, void *data)
{
    ngx_http_comms_bounds_t *bounds = post;
    ngx_uint_t *value = data;

    if (*value >= bounds->low && *value <= bounds->high) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive, it must be "
                       "%s", &((ngx_str_t *) cf->args->elts)[1],
                       (ngx_str_t *) cf->args->elts, bounds->allowed);

    return NGX_CONF_ERROR;
}
