
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#ifndef _NGX_HTTP_COMMS_MODULE_H_INCLUDED_
#define _NGX_HTTP_COMMS_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <flow/ngx_comms_flow.h>
#include <sqlite/ngx_comms_sqlite.h>
#include <aws/ngx_comms_aws.h>
#include <bus/ngx_comms_sns.h>
#include <http/ngx_http_comms_sns.h>
#include <job/ngx_http_comms_job.h>


#define NGX_HTTP_COMMS_VERSION  "0.1.0"


/* which of the backends are on AWS */
typedef enum {
    NGX_HTTP_COMMS_AWS_STORE = 0,
    NGX_HTTP_COMMS_AWS_BUS,
    NGX_HTTP_COMMS_AWS_PROJECTS,
    NGX_HTTP_COMMS_AWS_SECRETS,
    NGX_HTTP_COMMS_AWS_BACKENDS
} ngx_http_comms_aws_backend_e;


/* what "comms_aws" and the parameters of the AWS backends say, as written */
typedef struct {
    ngx_comms_aws_t            *client;         /* NULL: not in use */
    ngx_comms_aws_conf_t        conf;
    ngx_str_t                   endpoint;       /* of services without one */
    ngx_str_t                   max_attempts;

    ngx_str_t                   table;
    ngx_str_t                   layout;
    ngx_str_t                   inbound_table;
    ngx_str_t                   effects_table;
    ngx_str_t                   consent_table;
    ngx_str_t                   lock_table;
    ngx_str_t                   retention;      /* days */

    ngx_str_t                   topic;
    ngx_str_t                   queue_prefix;
    ngx_str_t                   wait;           /* seconds */
    ngx_str_t                   serialise;

    ngx_str_t                   projects_table;
    ngx_str_t                   projects_term;
    ngx_str_t                   secrets_prefix;
    ngx_str_t                   secrets_term;

    ngx_uint_t                  configured;
    ngx_uint_t                  uses[NGX_HTTP_COMMS_AWS_BACKENDS];
} ngx_http_comms_aws_t;


typedef struct {
    ngx_comms_engine_t          engine;
    ngx_comms_curl_network_t    network;        /* by the environment */

    ngx_str_t                   media_dir;      /* empty: none are kept */
    off_t                       media_size;     /* of one */
    off_t                       media_total;
    ngx_comms_sqlite_t         *sqlite;         /* NULL: not in use */
    ngx_http_comms_aws_t        aws;
    ngx_comms_sns_t            *sns;            /* NULL: no "comms_sns" */

    ngx_str_t                   zone_name;
    ngx_int_t                   zone_size;

    ngx_str_t                   store;          /* backend's name */
    ngx_str_t                   store_path;
    ngx_uint_t                  retention_days;
    ngx_str_t                   bus;
    ngx_str_t                   bus_path;       /* where the store is not
                                                   embedded, too */
    ngx_str_t                   journal;        /* path, or "off" */
    ngx_str_t                   projects_dir;
    ngx_str_t                   secrets_path;
    ngx_str_t                   thread_pool;

    ngx_http_comms_job_conf_t   jobs;
    ngx_array_t                 providers;      /* ngx_http_comms_provider_t */
    ngx_array_t                 workers;        /* ngx_http_comms_worker_t */
    ngx_flag_t                  consume;        /* comms_workers */
    ngx_uint_t                  enabled;        /* some directive needs us */
    ngx_str_t                   demand;         /* the first directive that
                                                   needs projects; or empty */
} ngx_http_comms_main_conf_t;


typedef struct {
    ngx_str_t                   public_base_url;  /* no slash at its end */
    ngx_msec_t                  wait_max;         /* of Prefer: wait=N */

    ngx_comms_provider_t       *webhook;          /* NULL: no webhook here */
    ngx_str_t                   webhook_credentials;   /* empty: any */
    ngx_http_comms_sns_conf_t  *sns;              /* NULL: no topic here */
    ngx_uint_t                  status_format;    /* enum below */

    ngx_str_t                   provider;         /* comms_provider name */
    ngx_comms_curl_relay_t     *relay;            /* comms_smtp, or NULL */

    ngx_http_handler_pt         handler;          /* NULL: none of ours */
    ngx_str_t                   directive;        /* that has set it */
    unsigned                    takes_body:1;
} ngx_http_comms_loc_conf_t;


enum {
    NGX_HTTP_COMMS_STATUS_JSON = 0,
    NGX_HTTP_COMMS_STATUS_PROMETHEUS
};


extern ngx_module_t  ngx_http_comms_module;


#endif /* _NGX_HTTP_COMMS_MODULE_H_INCLUDED_ */
