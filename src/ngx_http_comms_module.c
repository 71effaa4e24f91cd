
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The directives, and the start and stop of processes.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_comms_module.h>
#include <ngx_http_comms_conf.h>
#include <http/ngx_http_comms_status.h>
#include <http/ngx_http_comms_wait.h>
#include <project/ngx_comms_project_aws.h>


static ngx_int_t ngx_http_comms_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_comms_init_process(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_comms_init_backends(ngx_cycle_t *cycle,
    ngx_http_comms_main_conf_t *mcf);
static void ngx_http_comms_exit_process(ngx_cycle_t *cycle);
static ngx_http_comms_main_conf_t *ngx_http_comms_worker_conf(
    ngx_cycle_t *cycle);


static ngx_http_comms_bounds_t  ngx_http_comms_lease_term_bounds = {
    ngx_http_comms_conf_bounds, 1000, 3600000, "between 1s and 1h"
};


static ngx_http_comms_bounds_t  ngx_http_comms_turn_timeout_bounds = {
    ngx_http_comms_conf_bounds, 1000, 43200000, "between 1s and 12h"
};


static ngx_http_comms_bounds_t  ngx_http_comms_store_timeout_bounds = {
    ngx_http_comms_conf_bounds, 100, 600000, "between 100ms and 10m"
};


static ngx_http_comms_bounds_t  ngx_http_comms_wait_max_bounds = {
    ngx_http_comms_conf_bounds, 0, 3600000, "between 0 and 1h"
};


static ngx_http_comms_bounds_t  ngx_http_comms_history_bounds = {
    ngx_http_comms_conf_bounds, 0, 200, "between 0 and 200"
};


static ngx_http_comms_bounds_t  ngx_http_comms_max_jobs_bounds = {
    ngx_http_comms_conf_bounds, 1, 1000000,
    "at least 1 and less than half of \"worker_connections\""
};


static ngx_command_t  ngx_http_comms_commands[] = {

    { ngx_string("comms_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_comms_conf_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_store"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_comms_conf_store,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_bus"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_comms_conf_bus,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_journal"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_comms_main_conf_t, journal),
      NULL },

    { ngx_string("comms_thread_pool"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_comms_main_conf_t, thread_pool),
      NULL },

    { ngx_string("comms_media"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_comms_conf_media,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_fetch_allow"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_comms_conf_fetch_allow,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_projects"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_comms_conf_projects,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_secrets"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_comms_conf_secrets,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_aws"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_comms_conf_aws,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_worker"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_comms_conf_worker,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_workers"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_comms_main_conf_t, consume),
      NULL },

    { ngx_string("comms_lease_term"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_comms_main_conf_t, engine.lease_term),
      &ngx_http_comms_lease_term_bounds },

    { ngx_string("comms_turn_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_comms_main_conf_t, engine.turn_timeout),
      &ngx_http_comms_turn_timeout_bounds },

    { ngx_string("comms_store_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_comms_main_conf_t, engine.op_timeout),
      &ngx_http_comms_store_timeout_bounds },

    { ngx_string("comms_history"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_comms_main_conf_t, engine.history),
      &ngx_http_comms_history_bounds },

    { ngx_string("comms_max_jobs"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_comms_main_conf_t, jobs.max_jobs),
      &ngx_http_comms_max_jobs_bounds },

    { ngx_string("comms_public_base_url"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_comms_conf_public_base_url,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_wait_max"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_comms_loc_conf_t, wait_max),
      &ngx_http_comms_wait_max_bounds },

    { ngx_string("comms_initiate"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_comms_conf_initiate,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_conversations"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_comms_conf_conversations,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_unsubscribe"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_comms_conf_unsubscribe,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_webhook"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_comms_conf_webhook,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_sns"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_comms_conf_sns,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_comms_conf_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_provider"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_comms_conf_provider,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_smtp"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_comms_conf_smtp,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("comms_jobs"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_comms_conf_jobs,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_comms_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_comms_conf_phases,            /* postconfiguration */

    ngx_http_comms_create_main_conf,       /* create main configuration */
    ngx_http_comms_init_main_conf,         /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_comms_create_loc_conf,        /* create location configuration */
    ngx_http_comms_merge_loc_conf          /* merge location configuration */
};


ngx_module_t  ngx_http_comms_module = {
    NGX_MODULE_V1,
    &ngx_http_comms_module_ctx,            /* module context */
    ngx_http_comms_commands,               /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_comms_init_module,            /* init module */
    ngx_http_comms_init_process,           /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_comms_exit_process,           /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_comms_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                   n;
    ngx_core_conf_t             *ccf;
    ngx_http_comms_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_comms_module);

    if (mcf == NULL || !mcf->enabled) {
        return NGX_OK;
    }

    ngx_http_comms_limit_jobs(cycle, mcf);

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    n = ccf->master ? (ngx_uint_t) ccf->worker_processes : 1;

    return ngx_comms_notice_init_module(cycle, n);
}


static ngx_int_t
ngx_http_comms_init_process(ngx_cycle_t *cycle)
{
    ngx_http_comms_main_conf_t  *mcf;

    mcf = ngx_http_comms_worker_conf(cycle);

    if (mcf == NULL) {
        return NGX_OK;
    }

    ngx_http_comms_status_init_process();

    if (ngx_comms_notice_init_process(cycle, mcf->engine.zone) != NGX_OK
        || ngx_http_comms_wait_init_process() != NGX_OK
        || ngx_http_comms_init_backends(cycle, mcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!mcf->consume || mcf->jobs.ctx == NULL) {
        return NGX_OK;
    }

    return ngx_http_comms_consumer_start(cycle, &mcf->engine,
                                         mcf->engine.bus, mcf->engine.zone,
                                         &mcf->jobs, &mcf->providers,
                                         &mcf->workers);
}


static ngx_int_t
ngx_http_comms_init_backends(ngx_cycle_t *cycle,
    ngx_http_comms_main_conf_t *mcf)
{
    ngx_str_t            words;
    ngx_comms_engine_t  *engine;

    engine = &mcf->engine;

    engine->curl = ngx_comms_curl_loop_create(cycle, &mcf->network);
    if (engine->curl == NULL) {
        return NGX_ERROR;
    }

    ngx_http_comms_conf_smtp_loop(mcf, engine->curl);

    if (engine->media != NULL
        && ngx_comms_media_init_process(engine->media, cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (mcf->aws.client != NULL) {
        if (ngx_comms_aws_init_process(mcf->aws.client, cycle) != NGX_OK) {
            return NGX_ERROR;
        }

        words = ngx_comms_aws_words(mcf->aws.client);

        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0, "comms aws: %V", &words);
    }

    if (mcf->sns != NULL
        && ngx_comms_sns_init_process(mcf->sns, cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (engine->store->init_process(engine->store, cycle) != NGX_OK
        || engine->bus->init_process(engine->bus, cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!mcf->aws.uses[NGX_HTTP_COMMS_AWS_STORE]) {
        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "comms store is %V, path \"%V\"",
                      &engine->store->name, &mcf->store_path);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "comms store is %V", &engine->store->name);
    }

    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                  "comms bus is %V", &engine->bus->name);

    if (engine->projects != NULL) {
        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "comms projects are %V", &engine->projects->name);
        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "comms secrets are %V", &engine->secrets->name);
    }

    if (ngx_worker == 0 && mcf->aws.uses[NGX_HTTP_COMMS_AWS_PROJECTS]) {
        ngx_comms_projects_dynamodb_check(engine->projects);
    }

    if (ngx_worker == 0 && mcf->aws.uses[NGX_HTTP_COMMS_AWS_SECRETS]) {
        ngx_comms_secrets_aws_check(engine->secrets);
    }

    return NGX_OK;
}


static void
ngx_http_comms_exit_process(ngx_cycle_t *cycle)
{
    ngx_comms_engine_t          *engine;
    ngx_http_comms_main_conf_t  *mcf;

    mcf = ngx_http_comms_worker_conf(cycle);

    if (mcf == NULL) {
        return;
    }

    engine = &mcf->engine;

    engine->bus->exit_process(engine->bus);
    engine->store->exit_process(engine->store);

    if (mcf->sns != NULL) {
        ngx_comms_sns_exit_process(mcf->sns);
    }

    if (mcf->aws.client != NULL) {
        ngx_comms_aws_exit_process(mcf->aws.client);
    }

    if (engine->curl != NULL) {
        ngx_comms_curl_loop_destroy(engine->curl);
        engine->curl = NULL;
    }
}


/*
 * The configuration, in a process that serves requests.  Others, such as the
 * cache manager, must not open the store or consume queues.
 */

static ngx_http_comms_main_conf_t *
ngx_http_comms_worker_conf(ngx_cycle_t *cycle)
{
    ngx_http_comms_main_conf_t  *mcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NULL;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_comms_module);

    if (mcf == NULL || !mcf->enabled) {
        return NULL;
    }

    return mcf;
}
