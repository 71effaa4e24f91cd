
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#ifndef _NGX_HTTP_COMMS_STATUS_H_INCLUDED_
#define _NGX_HTTP_COMMS_STATUS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <guard/ngx_comms_zone.h>


/* in a worker: uptime counts from here */
void ngx_http_comms_status_init_process(void);

/*
 * The metrics as Prometheus text exposition format 0.0.4 in the pool.
 * "queues" (of bus.depths) and "figures" (of store.figures) may be NULL when
 * the backend did not answer, "journal" (the number of messages in it) when
 * there is none.
 */
ngx_int_t ngx_http_comms_metrics(ngx_pool_t *pool, ngx_comms_zone_t *zone,
    json_t *queues, json_t *figures, json_t *journal, ngx_str_t *text);


#endif /* _NGX_HTTP_COMMS_STATUS_H_INCLUDED_ */
