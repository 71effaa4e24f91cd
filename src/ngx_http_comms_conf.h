
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The configuration of the module: what the tables of ngx_http_comms_module.c
 * point at.  Handlers of directives only note what was said; everything that
 * depends on several directives is made and checked once all of them are
 * read, so that their order means nothing.
 */


#ifndef _NGX_HTTP_COMMS_CONF_H_INCLUDED_
#define _NGX_HTTP_COMMS_CONF_H_INCLUDED_


#include <ngx_http_comms_module.h>


/* a "post" for ngx_conf_set_msec_slot() and ngx_conf_set_num_slot() */
typedef struct {
    ngx_conf_post_handler_pt   post_handler;
    ngx_uint_t                 low;
    ngx_uint_t                 high;
    const char                *allowed;     /* "between 1s and 1h" */
} ngx_http_comms_bounds_t;


void *ngx_http_comms_create_main_conf(ngx_conf_t *cf);
char *ngx_http_comms_init_main_conf(ngx_conf_t *cf, void *conf);
void *ngx_http_comms_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_comms_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);

/*
 * comms_max_jobs against worker_connections.  When the "events" block stands
 * behind the "http" block this is known only after the configuration was
 * read; then a value that is too large is lowered, with a warning.
 */
void ngx_http_comms_limit_jobs(ngx_cycle_t *cycle,
    ngx_http_comms_main_conf_t *mcf);


/* handlers of directives, on the http level */
char *ngx_http_comms_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_store(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_bus(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_worker(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_public_base_url(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_bounds(ngx_conf_t *cf, void *post, void *data);

char *ngx_http_comms_conf_projects(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_secrets(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_aws(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * The AWS backends: reads the parameters behind a backend's name, says
 * whether any is in use, and makes the client, the bus, the store, the
 * secrets and the projects, in this order.
 */
char *ngx_http_comms_conf_aws_params(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_comms_main_conf_t *mcf, ngx_http_comms_aws_backend_e backend);
ngx_uint_t ngx_http_comms_conf_uses_aws(ngx_http_comms_main_conf_t *mcf);
char *ngx_http_comms_conf_aws_client(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf);
char *ngx_http_comms_conf_aws_bus(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf);
char *ngx_http_comms_conf_aws_store(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf);
char *ngx_http_comms_conf_aws_secrets(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf);
char *ngx_http_comms_conf_aws_projects(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf);

/* the flow of a queue, or NULL when there is no such queue */
const ngx_comms_step_t *ngx_http_comms_conf_steps(ngx_str_t *queue);

/* the heartbeat against the visibility, if that is known */
char *ngx_http_comms_conf_worker_check(ngx_conf_t *cf,
    ngx_http_comms_worker_t *worker);

/*
 * Adds "comms_worker" with its defaults for a queue that has none yet; the
 * visibility is open until the bus is known.
 */
ngx_int_t ngx_http_comms_conf_add_worker(ngx_http_comms_main_conf_t *mcf,
    ngx_str_t *queue, ngx_http_comms_worker_t **worker);


/* and in locations */
char *ngx_http_comms_conf_initiate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_unsubscribe(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_conversations(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_webhook(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_sns(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_jobs(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_provider(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_smtp(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

char *ngx_http_comms_conf_media(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_comms_conf_fetch_allow(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* makes the media store, where "comms_media" asks for one */
char *ngx_http_comms_conf_media_store(ngx_conf_t *cf,
    ngx_http_comms_main_conf_t *mcf);

/* in a worker: what its locations with "comms_smtp" hand mails over by */
void ngx_http_comms_conf_smtp_loop(ngx_http_comms_main_conf_t *mcf,
    ngx_comms_curl_loop_t *loop);

/*
 * Gives the location of such a directive its handler.  NGX_CONF_OK, or what
 * to say behind the directive's name.
 */
char *ngx_http_comms_conf_handler(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_http_comms_loc_conf_t *lcf, ngx_http_handler_pt handler);

/* postconfiguration: what such locations need of the phases */
ngx_int_t ngx_http_comms_conf_phases(ngx_conf_t *cf);

/* the checks and settings of such locations, when they are merged */
char *ngx_http_comms_conf_merge_body(ngx_conf_t *cf,
    ngx_http_comms_loc_conf_t *lcf);
char *ngx_http_comms_conf_merge_webhook(ngx_conf_t *cf,
    ngx_http_comms_loc_conf_t *lcf);
char *ngx_http_comms_conf_merge_provider(ngx_conf_t *cf,
    ngx_http_comms_loc_conf_t *lcf);

/* the protocol of a provider location, as ngx_comms_projects_check() asks */
ngx_int_t ngx_http_comms_conf_protocol_of(void *data, ngx_str_t *name,
    ngx_str_t *protocol);


#endif /* _NGX_HTTP_COMMS_CONF_H_INCLUDED_ */
