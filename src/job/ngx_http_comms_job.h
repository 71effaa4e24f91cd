
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Background work inside nginx's HTTP machinery: connectionless requests
 * (job), provider subrequests (call), queues to jobs (consumer).
 */


#ifndef _NGX_HTTP_COMMS_JOB_H_INCLUDED_
#define _NGX_HTTP_COMMS_JOB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <job/ngx_comms_steps.h>
#include <bus/ngx_comms_bus.h>
#include <guard/ngx_comms_zone.h>
#include <curl/ngx_comms_curl_mail.h>


/*
 * Where jobs run: the internal location marked by "comms_jobs", found when
 * the configuration is read.
 */
typedef struct {
    ngx_http_conf_ctx_t   *ctx;          /* of the server block */
    ngx_str_t              uri;          /* the location's own */
    ngx_uint_t             max_jobs;     /* of one worker; two connection
                                            slots each */
} ngx_http_comms_job_conf_t;


/* a location marked by "comms_provider" */
typedef struct {
    ngx_str_t                name;       /* projects refer to it */
    ngx_str_t                protocol;   /* "twilio", "openai", ... */
    ngx_str_t                uri;        /* ends in "/" */
    ngx_msec_t               timeout;    /* connect + send + read */
    ngx_comms_curl_relay_t  *relay;      /* "comms_smtp"; NULL: HTTP */
    ngx_comms_curl_loop_t   *loop;       /* of the worker, for the relay */
} ngx_http_comms_provider_t;


typedef struct ngx_http_comms_call_s  ngx_http_comms_call_t;


struct ngx_comms_job_s {
    ngx_http_request_t     *request;     /* NULL once it is gone */
    ngx_comms_flow_t       *flow;        /* NULL once it is over */
    ngx_array_t            *providers;   /* of ngx_http_comms_provider_t */
    ngx_http_comms_call_t  *call;        /* in flight, or NULL */
    unsigned                broken:1;    /* nginx ran out of memory inside a
                                            subrequest's creation */
};


/*
 * Starts a job: makes the request and lets it run into its location, whose
 * handler runs the flow.  NGX_OK: from now on the flow ends by "finished";
 * NGX_ERROR: no slot or no memory, logged; the flow is the caller's still.
 * NGX_DECLINED: too many jobs, or the worker is exiting.
 */
ngx_int_t ngx_http_comms_job_start(ngx_http_comms_job_conf_t *jcf,
    ngx_array_t *providers, ngx_comms_flow_t *flow);

/* content handler of the location that "comms_jobs" marks */
ngx_int_t ngx_http_comms_job_handler(ngx_http_request_t *r);

/* the flow is over: ends the request */
void ngx_http_comms_job_finish(ngx_comms_job_t *job);

/* of the job itself: its request ends while a call is in flight */
void ngx_http_comms_call_abort(ngx_http_comms_call_t *call);

/* jobs of this worker in flight */
ngx_uint_t ngx_http_comms_jobs(void);


/*
 * 1 when ngx_http_comms_job_start() would decline: too many jobs, too few
 * connections left for callers, or the worker is exiting
 */
ngx_uint_t ngx_http_comms_job_full(ngx_http_comms_job_conf_t *jcf);


/* "comms_worker": one queue */
typedef struct {
    ngx_str_t                queue;
    const ngx_comms_step_t  *steps;
    ngx_uint_t               concurrency;    /* jobs at once, per worker
                                                process; 1..10000 */
    ngx_msec_t               visibility;     /* 0: the queue's own */
    ngx_msec_t               heartbeat;      /* extend by visibility each;
                                                0: a third of it */
    ngx_uint_t               max_receives;   /* then dead letters */
} ngx_http_comms_worker_t;


/*
 * In a worker process: consumes the queues (array of
 * ngx_http_comms_worker_t).  Stops taking messages when the worker exits.
 */
ngx_int_t ngx_http_comms_consumer_start(ngx_cycle_t *cycle,
    ngx_comms_engine_t *engine, ngx_comms_bus_t *bus, ngx_comms_zone_t *zone,
    ngx_http_comms_job_conf_t *jcf, ngx_array_t *providers,
    ngx_array_t *workers);


extern ngx_module_t  ngx_http_comms_module;


#endif /* _NGX_HTTP_COMMS_JOB_H_INCLUDED_ */
