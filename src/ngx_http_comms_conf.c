
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What depends on several directives: made and checked when all of them have
 * been read.
 *
 * An nginx that merely loads the module gets nothing: "enabled" is set by the
 * directives that need the zone and the store, "demand" by those that need
 * projects and secrets too.
 */


#include <ngx_http_comms_conf.h>
#include <base/ngx_comms_time_zone.h>
#include <store/ngx_comms_store_sqlite.h>
#include <store/ngx_comms_store_journal.h>
#include <bus/ngx_comms_bus_sqlite.h>


/* how long a webhook's caller waits for the store before the journal, ms */
#define NGX_HTTP_COMMS_JOURNAL_PATIENCE  2000

/* what is taken off worker_connections for background jobs by default */
#define NGX_HTTP_COMMS_JOBS_SHARE  4


static char *ngx_http_comms_init_values(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf);
static char *ngx_http_comms_init_backends(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf);
static char *ngx_http_comms_init_shared(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf);
static char *ngx_http_comms_init_journal(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf);
static char *ngx_http_comms_init_projects(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf);
static char *ngx_http_comms_init_workers(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf);
static char *ngx_http_comms_init_jobs(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf);
static ngx_uint_t ngx_http_comms_connections(ngx_cycle_t *cycle);
static char *ngx_http_comms_conf_needs(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf, const char *directive);


void *
ngx_http_comms_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_comms_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_comms_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     mcf->engine.zone = NULL;
     *     mcf->engine.store = NULL;
     *     mcf->engine.bus = NULL;
     *     mcf->engine.projects = NULL;
     *     mcf->engine.secrets = NULL;
     *     mcf->sqlite = NULL;
     *     mcf->sns = NULL;
     *     mcf->zone_name = { 0, NULL };
     *     mcf->zone_size = 0;
     *     mcf->store = { 0, NULL };
     *     mcf->store_path = { 0, NULL };
     *     mcf->retention_days = 0;
     *     mcf->bus = { 0, NULL };
     *     mcf->projects_dir = { 0, NULL };
     *     mcf->secrets_path = { 0, NULL };
     *     mcf->thread_pool = { 0, NULL };
     *     mcf->jobs.ctx = NULL;
     *     mcf->jobs.uri = { 0, NULL };
     *     mcf->enabled = 0;
     *     mcf->demand = { 0, NULL };
     */

    mcf->engine.op_timeout = NGX_CONF_UNSET_MSEC;
    mcf->engine.lease_term = NGX_CONF_UNSET_MSEC;
    mcf->engine.turn_timeout = NGX_CONF_UNSET_MSEC;
    mcf->engine.history = NGX_CONF_UNSET_UINT;
    mcf->jobs.max_jobs = NGX_CONF_UNSET_UINT;
    mcf->consume = NGX_CONF_UNSET;

    if (ngx_array_init(&mcf->providers, cf->pool, 4,
                       sizeof(ngx_http_comms_provider_t))
        != NGX_OK)
    {
        return NULL;
    }

    if (ngx_array_init(&mcf->workers, cf->pool, 8,
                       sizeof(ngx_http_comms_worker_t))
        != NGX_OK)
    {
        return NULL;
    }

    return mcf;
}


char *
ngx_http_comms_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_comms_main_conf_t *mcf = conf;

    if (ngx_http_comms_init_values(cf, mcf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (!mcf->enabled) {
        return NGX_CONF_OK;
    }

    if (ngx_http_comms_init_backends(cf, mcf) != NGX_CONF_OK
        || ngx_http_comms_conf_media_store(cf, mcf) != NGX_CONF_OK
        || ngx_comms_curl_network_read(cf->pool, &mcf->network) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (mcf->demand.len == 0) {
        return NGX_CONF_OK;
    }

    if (ngx_http_comms_init_projects(cf, mcf) != NGX_CONF_OK
        || ngx_http_comms_init_workers(cf, mcf) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_comms_init_jobs(cf, mcf);
}


static char *
ngx_http_comms_init_values(ngx_conf_t *cf, ngx_http_comms_main_conf_t *mcf)
{
    ngx_conf_init_msec_value(mcf->engine.op_timeout, 10000);
    ngx_conf_init_msec_value(mcf->engine.lease_term, 60000);
    ngx_conf_init_msec_value(mcf->engine.turn_timeout, 300000);
    ngx_conf_init_uint_value(mcf->engine.history, 20);
    ngx_conf_init_value(mcf->consume, 1);

    if (mcf->store.len == 0) {
        ngx_str_set(&mcf->store, "sqlite");
        ngx_str_set(&mcf->store_path, "comms/comms.db");
    }

    if (mcf->bus.len == 0) {
        ngx_str_set(&mcf->bus, "sqlite");
    }

    if (mcf->thread_pool.len == 0) {
        ngx_str_set(&mcf->thread_pool, "default");
    }

    if (mcf->demand.len == 0) {

        if (mcf->projects_dir.len != 0) {
            ngx_str_set(&mcf->demand, "comms_projects");

        } else if (mcf->secrets_path.len != 0) {
            ngx_str_set(&mcf->demand, "comms_secrets");

        } else if (mcf->workers.nelts != 0) {
            ngx_str_set(&mcf->demand, "comms_worker");
        }
    }

    if (mcf->demand.len != 0 || mcf->zone_name.len != 0) {
        mcf->enabled = 1;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_comms_init_backends(ngx_conf_t *cf, ngx_http_comms_main_conf_t *mcf)
{
    ngx_comms_engine_t  *engine;

    if (mcf->zone_name.len == 0) {
        return ngx_http_comms_conf_needs(cf, mcf, "comms_zone name:size");
    }

    engine = &mcf->engine;

    engine->zone = ngx_comms_zone_add(cf, &mcf->zone_name, mcf->zone_size,
                                      &ngx_http_comms_module);
    if (engine->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_comms_conf_uses_aws(mcf)
        && ngx_http_comms_conf_aws_client(cf, mcf) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (mcf->aws.uses[NGX_HTTP_COMMS_AWS_STORE]) {
        return ngx_http_comms_init_shared(cf, mcf);
    }

    if (mcf->aws.uses[NGX_HTTP_COMMS_AWS_BUS]) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"comms_bus aws\" requires \"comms_store dynamodb\": a "
                      "thread and its queue entry are kept together");
        return NGX_CONF_ERROR;
    }

    if (mcf->sns != NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"comms_sns\" requires \"comms_store dynamodb\": what "
                      "the topic delivers is of threads that other machines "
                      "have begun");
        return NGX_CONF_ERROR;
    }

    if (mcf->journal.len) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"comms_journal\" requires a \"comms_store\" that is "
                      "not on this machine");
        return NGX_CONF_ERROR;
    }

    if (mcf->bus_path.len) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"path=\" of \"comms_bus\" must be left to "
                      "\"comms_store\": both are in one file");
        return NGX_CONF_ERROR;
    }

    mcf->sqlite = ngx_comms_sqlite_add(cf, &mcf->store_path,
                                       &mcf->thread_pool, engine->zone);
    if (mcf->sqlite == NULL) {
        return NGX_CONF_ERROR;
    }

    engine->store = ngx_comms_store_sqlite(cf, mcf->sqlite,
                                           mcf->retention_days);
    engine->bus = ngx_comms_bus_sqlite(cf, mcf->sqlite);

    if (engine->store == NULL || engine->bus == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * A store that several machines share.  With the embedded bus it serves one
 * machine, whose threads outlive it.
 */

static char *
ngx_http_comms_init_shared(ngx_conf_t *cf, ngx_http_comms_main_conf_t *mcf)
{
    if (mcf->aws.uses[NGX_HTTP_COMMS_AWS_BUS]) {
        if (ngx_http_comms_conf_aws_bus(cf, mcf) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }

    } else {
        if (mcf->bus_path.len == 0) {
            ngx_str_set(&mcf->bus_path, "comms/comms.db");
        }

        mcf->sqlite = ngx_comms_sqlite_add(cf, &mcf->bus_path,
                                           &mcf->thread_pool,
                                           mcf->engine.zone);
        if (mcf->sqlite == NULL) {
            return NGX_CONF_ERROR;
        }

        mcf->engine.bus = ngx_comms_bus_sqlite(cf, mcf->sqlite);

        if (mcf->engine.bus == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_comms_conf_aws_store(cf, mcf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_comms_init_journal(cf, mcf);
}


/* where messages from people wait while the store cannot be reached */

static char *
ngx_http_comms_init_journal(ngx_conf_t *cf, ngx_http_comms_main_conf_t *mcf)
{
    if (mcf->journal.len == sizeof("off") - 1
        && ngx_strncmp(mcf->journal.data, "off", mcf->journal.len) == 0)
    {
        return NGX_CONF_OK;
    }

    if (mcf->sqlite == NULL) {
        if (mcf->journal.len == 0) {
            ngx_str_set(&mcf->journal, "comms/journal.db");
        }

        mcf->sqlite = ngx_comms_sqlite_add(cf, &mcf->journal,
                                           &mcf->thread_pool,
                                           mcf->engine.zone);
        if (mcf->sqlite == NULL) {
            return NGX_CONF_ERROR;
        }

    } else if (mcf->journal.len) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "invalid value \"%V\" in \"comms_journal\" directive, "
                      "it must be \"off\" or left out with \"comms_bus "
                      "sqlite\", whose file it shares", &mcf->journal);
        return NGX_CONF_ERROR;
    }

    mcf->engine.store = ngx_comms_store_journal(cf, mcf->engine.store,
                                             mcf->sqlite,
                                             NGX_HTTP_COMMS_JOURNAL_PATIENCE);

    return mcf->engine.store ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_comms_init_projects(ngx_conf_t *cf, ngx_http_comms_main_conf_t *mcf)
{
    ngx_comms_engine_t  *engine;

    if (mcf->projects_dir.len == 0) {
        return ngx_http_comms_conf_needs(cf, mcf, "comms_projects directory");
    }

    if (mcf->secrets_path.len == 0) {
        return ngx_http_comms_conf_needs(cf, mcf, "comms_secrets file");
    }

    engine = &mcf->engine;

    if (ngx_comms_time_zones_load(NGX_COMMS_TIME_ZONES, cf->log) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (mcf->aws.uses[NGX_HTTP_COMMS_AWS_SECRETS]) {
        if (ngx_http_comms_conf_aws_secrets(cf, mcf) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }

    } else {
        engine->secrets = ngx_comms_secrets_files(cf, &mcf->secrets_path);

        if (engine->secrets == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    /* what is fetched on need is checked when it is fetched */

    if (mcf->aws.uses[NGX_HTTP_COMMS_AWS_PROJECTS]) {
        return ngx_http_comms_conf_aws_projects(cf, mcf);
    }

    engine->projects = ngx_comms_projects_files(cf, &mcf->projects_dir,
                          mcf->aws.uses[NGX_HTTP_COMMS_AWS_SECRETS]
                              ? NULL : engine->secrets);
    if (engine->projects == NULL) {
        return NGX_CONF_ERROR;
    }

    /* what nobody consumes here needs no provider here */

    if (!mcf->consume || mcf->aws.uses[NGX_HTTP_COMMS_AWS_SECRETS]) {
        return NGX_CONF_OK;
    }

    if (ngx_comms_projects_check(cf, engine->projects,
                                 ngx_http_comms_conf_protocol_of, mcf)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* every queue is consumed; "comms_worker" changes how */

static char *
ngx_http_comms_init_workers(ngx_conf_t *cf, ngx_http_comms_main_conf_t *mcf)
{
    ngx_uint_t                i, n;
    ngx_str_t                *queue;
    ngx_http_comms_worker_t  *worker;

    for (n = 0; ngx_comms_flows[n].queue.len != 0; n++) {
        queue = &ngx_comms_flows[n].queue;
        worker = mcf->workers.elts;

        for (i = 0; i < mcf->workers.nelts; i++) {
            if (worker[i].queue.len == queue->len
                && ngx_strncmp(worker[i].queue.data, queue->data, queue->len)
                   == 0)
            {
                break;
            }
        }

        if (i < mcf->workers.nelts) {
            continue;
        }

        if (ngx_http_comms_conf_add_worker(mcf, queue, &worker) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (mcf->aws.uses[NGX_HTTP_COMMS_AWS_BUS]) {
        /* queues of SQS have a visibility of their own */
        return NGX_CONF_OK;
    }

    worker = mcf->workers.elts;

    for (i = 0; i < mcf->workers.nelts; i++) {
        if (worker[i].visibility == 0) {
            worker[i].visibility = NGX_COMMS_BUS_VISIBILITY;
        }

        if (ngx_http_comms_conf_worker_check(cf, &worker[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_comms_init_jobs(ngx_conf_t *cf, ngx_http_comms_main_conf_t *mcf)
{
    ngx_uint_t  connections;

    if (mcf->consume && mcf->jobs.ctx == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" requires a location with \"comms_jobs\": add "
                      "\"location /comms/jobs { comms_jobs; }\" to a server, "
                      "or set \"comms_workers off\" where another nginx "
                      "consumes the queues", &mcf->demand);
        return NGX_CONF_ERROR;
    }

    if (mcf->jobs.max_jobs == NGX_CONF_UNSET_UINT) {
        return NGX_CONF_OK;
    }

    connections = ngx_http_comms_connections(cf->cycle);

    if (connections != 0 && mcf->jobs.max_jobs >= connections / 2) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"comms_max_jobs\" %ui must be less than half of "
                      "\"worker_connections\" %ui: a job takes two "
                      "connections", mcf->jobs.max_jobs, connections);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


void
ngx_http_comms_limit_jobs(ngx_cycle_t *cycle, ngx_http_comms_main_conf_t *mcf)
{
    ngx_uint_t  connections, most;

    connections = ngx_http_comms_connections(cycle);

    if (mcf->jobs.max_jobs == NGX_CONF_UNSET_UINT) {
        mcf->jobs.max_jobs = ngx_max(connections / NGX_HTTP_COMMS_JOBS_SHARE,
                                     1);
        return;
    }

    most = connections > 3 ? (connections - 1) / 2 : 1;

    if (mcf->jobs.max_jobs > most) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "\"comms_max_jobs\" %ui must be less than half of "
                      "\"worker_connections\" %ui, lowered to %ui",
                      mcf->jobs.max_jobs, connections, most);
        mcf->jobs.max_jobs = most;
    }
}


/* worker_connections; 0 while the "events" block is not read yet */

static ngx_uint_t
ngx_http_comms_connections(ngx_cycle_t *cycle)
{
    ngx_event_conf_t  *ecf;

    if (ngx_get_conf(cycle->conf_ctx, ngx_events_module) == NULL) {
        return 0;
    }

    ecf = ngx_event_get_conf(cycle->conf_ctx, ngx_event_core_module);

    return ecf->connections;
}


static char *
ngx_http_comms_conf_needs(ngx_conf_t *cf, ngx_http_comms_main_conf_t *mcf,
    const char *directive)
{
    if (mcf->demand.len != 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" requires the directive \"%s\" on the http "
                      "level", &mcf->demand, directive);

    } else {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"comms_status\" requires the directive \"%s\" on the "
                      "http level", directive);
    }

    return NGX_CONF_ERROR;
}


void *
ngx_http_comms_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_comms_loc_conf_t  *lcf;

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_comms_loc_conf_t));
    if (lcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     lcf->public_base_url = { 0, NULL };
     *     lcf->webhook = NULL;
     *     lcf->webhook_credentials = { 0, NULL };
     *     lcf->sns = NULL;
     *     lcf->status_format = 0;
     *     lcf->provider = { 0, NULL };
     *     lcf->relay = NULL;
     *     lcf->handler = NULL;
     *     lcf->directive = { 0, NULL };
     *     lcf->takes_body = 0;
     */

    lcf->wait_max = NGX_CONF_UNSET_MSEC;

    return lcf;
}


char *
ngx_http_comms_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_comms_loc_conf_t *prev = parent;
    ngx_http_comms_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    ngx_conf_merge_str_value(conf->public_base_url, prev->public_base_url,
                             "");
    ngx_conf_merge_msec_value(conf->wait_max, prev->wait_max, 30000);

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* "if" and "limit_except" stand inside the location and belong to it */

    if (clcf->noname && conf->handler == NULL && prev->handler != NULL) {
        conf->handler = prev->handler;
        conf->directive = prev->directive;
        conf->takes_body = prev->takes_body;
        conf->webhook = prev->webhook;
        conf->webhook_credentials = prev->webhook_credentials;
        conf->sns = prev->sns;
        conf->status_format = prev->status_format;

        if (clcf->handler == NULL) {
            clcf->handler = prev->handler;
        }
    }

    if (conf->handler != NULL && clcf->handler != conf->handler
        && !clcf->noname)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" in location \"%V\" conflicts with another "
                      "directive there that answers requests",
                      &conf->directive, &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->takes_body
        && ngx_http_comms_conf_merge_body(cf, conf) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (conf->webhook != NULL
        && ngx_http_comms_conf_merge_webhook(cf, conf) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (conf->provider.len != 0 || conf->relay != NULL) {
        return ngx_http_comms_conf_merge_provider(cf, conf);
    }

    return NGX_CONF_OK;
}
