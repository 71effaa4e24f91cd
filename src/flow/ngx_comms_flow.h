
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the product does: each flow is one file with one table of steps.
 *
 * To add a flow: write flow/ngx_comms_<name>.c with its table, and add a row
 * to ngx_comms_flows[] in ngx_comms_flow.c.
 */


#ifndef _NGX_COMMS_FLOW_H_INCLUDED_
#define _NGX_COMMS_FLOW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_exchange.h>
#include <guard/ngx_comms_zone.h>
#include <curl/ngx_comms_curl_loop.h>
#include <media/ngx_comms_media.h>
#include <store/ngx_comms_store.h>
#include <bus/ngx_comms_bus.h>
#include <project/ngx_comms_project.h>
#include <job/ngx_comms_steps.h>


/* what flows (and the handlers that face callers) work with */
struct ngx_comms_engine_s {
    ngx_comms_zone_t       *zone;
    ngx_comms_store_t      *store;
    ngx_comms_bus_t        *bus;
    ngx_comms_projects_t   *projects;
    ngx_comms_secrets_t    *secrets;
    ngx_comms_curl_loop_t  *curl;           /* of the worker process */
    ngx_comms_media_t      *media;          /* NULL: media are not kept */
    ngx_array_t            *fetch_allow;    /* of ngx_cidr_t, or NULL */

    ngx_msec_t              op_timeout;     /* of a store or bus operation */
    ngx_msec_t              lease_term;     /* of a turn's lease */
    ngx_msec_t              turn_timeout;   /* of one turn, all in all */
    ngx_uint_t              history;        /* messages replayed to an AI
                                               that keeps no memory */
    ngx_uint_t              serialise_by_queue;
                                            /* FIFO groups keep turns of a
                                               thread apart: no lock needed */
};


typedef struct {
    ngx_str_t                queue;
    const ngx_comms_step_t  *steps;
} ngx_comms_flow_of_queue_t;


/* which flow takes the messages of which queue; ends with an empty name */
extern ngx_comms_flow_of_queue_t  ngx_comms_flows[];


#endif /* _NGX_COMMS_FLOW_H_INCLUDED_ */
