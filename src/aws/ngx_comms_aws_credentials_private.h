
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the files about credentials share.
 */


#ifndef _NGX_COMMS_AWS_CREDENTIALS_PRIVATE_H_INCLUDED_
#define _NGX_COMMS_AWS_CREDENTIALS_PRIVATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_thread_pool.h>
#include <aws/ngx_comms_aws_credentials.h>
#include <aws/ngx_comms_aws_endpoint.h>
#include <aws/ngx_comms_aws_refresh.h>
#include <guard/ngx_comms_zone.h>


#define NGX_COMMS_AWS_MAX_FILE  (256 * 1024)


/* two files at most, read in the thread; the texts are from malloc() */
typedef struct {
    const char     *paths[2];      /* NULL: none */
    ngx_str_t       texts[2];
    ngx_err_t       errors[2];
} ngx_comms_aws_files_t;


typedef void (*ngx_comms_aws_step_pt)(ngx_comms_aws_credentials_t *cr);


struct ngx_comms_aws_credentials_s {
    void                          *unused[3];   /* what debug builds of */
    ngx_socket_t                   fd;          /* nginx read through an
                                                   event's data */

    ngx_comms_aws_environment_t   *env;
    ngx_str_t                      profile_name;
    ngx_comms_aws_profile_t        profile;
    ngx_comms_aws_source_e         source;
    ngx_comms_aws_endpoint_t       endpoint;    /* of source, where it has
                                                   one */
    ngx_comms_aws_endpoint_t       metadata;
    ngx_str_t                      words;

    /* the result */
    ngx_pool_t                    *pool;        /* of the keys, when fetched */
    ngx_comms_aws_keys_t           keys;
    ngx_str_t                      region;
    time_t                         expires;     /* 0: never */
    ngx_uint_t                     generation;
    time_t                         next;        /* no fetch before */
    time_t                         soon;        /* the same without valid
                                                   keys */
    time_t                        *skew;        /* AWS's clock less ours */

    /* the fetch that is under way */
    ngx_pool_t                    *fetch;       /* NULL: none is */
    ngx_comms_aws_keys_t           fetched;
    time_t                         fetched_expires;
    ngx_str_t                      token;       /* for the next step */
    ngx_str_t                      role;
    ngx_uint_t                     tries;
    ngx_comms_aws_step_pt          step;        /* what is tried again */
    ngx_comms_curl_transfer_t     *transfer;

    ngx_comms_zone_t              *zone;        /* may be NULL */
    uint64_t                       turn;        /* the lease's token */
    ngx_uint_t                     leased;      /* the turn is ours */
    ngx_msec_t                     patience;    /* we wait for it until then */

    ngx_comms_curl_loop_t         *loop;
    ngx_log_t                     *log;
    ngx_thread_pool_t             *threads;
    ngx_thread_task_t             *task;
    ngx_comms_aws_files_t         *files;
    ngx_event_t                    event;       /* before our turn and the
                                                   next try, and while the
                                                   thread reads */
    ngx_queue_t                    waiting;
    ngx_pool_t                    *regions;     /* the region, when fetched */
};


/* credentials.c */

/* the fetch is over: with new keys in "fetched", or with words why not */
void ngx_comms_aws_credentials_end(ngx_comms_aws_credentials_t *cr,
    const char *failure);


/* credentials_fetch.c */

/* the first step of the source */
void ngx_comms_aws_fetch(ngx_comms_aws_credentials_t *cr);


/* credentials_read.c */

/* blocking: at configuration time, and in the thread */
void ngx_comms_aws_files_read(ngx_comms_aws_files_t *files);
void ngx_comms_aws_files_free(ngx_comms_aws_files_t *files);

ngx_int_t ngx_comms_aws_read_init(ngx_comms_aws_credentials_t *cr,
    ngx_cycle_t *cycle);

/* reads in the thread, then calls cr->step; NGX_ERROR: cannot be started */
ngx_int_t ngx_comms_aws_read(ngx_comms_aws_credentials_t *cr,
    ngx_str_t *first, ngx_str_t *second, ngx_comms_aws_step_pt step);


#endif /* _NGX_COMMS_AWS_CREDENTIALS_PRIVATE_H_INCLUDED_ */
