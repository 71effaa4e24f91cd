
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The bus over SNS and SQS.
 *
 * What SQS cannot promise, and what becomes of it here:
 *
 *   - Ids for deduplication count for five minutes, on FIFO queues and topics
 *     only.  On standard ones a repeated put or publish gives another copy;
 *     flows write down every effect before they attempt it and do it once.
 *   - A receive cannot be taken back.  A message that is given back uncounted
 *     is sent again as a copy that knows the count so far, and the original
 *     is deleted: what fails in between leaves both, never none.  A FIFO
 *     queue cannot delay a single message, so there an uncounted one that
 *     must wait is counted after all.
 *   - Visibility is in whole seconds, rounded up, and ends twelve hours after
 *     the receive whatever is asked for.
 *   - Nobody tells when an invisible message will be visible: "next_at" only
 *     ever says that there is more now.  The long poll stands in for it.
 *   - Whether a receipt is stale is known for those that this process handed
 *     out; SQS itself answers OK to the deletion of one.
 *   - "oldest_ready_age" is not in the answer of depths, whose figures are
 *     approximate and up to five seconds old.
 */


#ifndef _NGX_COMMS_BUS_AWS_H_INCLUDED_
#define _NGX_COMMS_BUS_AWS_H_INCLUDED_


#include <bus/ngx_comms_bus.h>
#include <aws/ngx_comms_aws.h>


/* seconds; SQS waits no longer */
#define NGX_COMMS_BUS_AWS_MAX_WAIT  20


typedef struct {
    /* of the topic; when it ends in ".fifo" the queues are FIFO, too */
    ngx_str_t          topic;

    /*
     * The queue "open" is named PREFIX + "open", its dead letters PREFIX +
     * "open-dlq", both with ".fifo" behind when they are FIFO.
     */
    ngx_str_t          queue_prefix;

    ngx_uint_t         wait;      /* of a long poll, seconds, 0..20;
                                     NGX_CONF_UNSET_UINT: 20 */
    ngx_comms_zone_t  *zone;
} ngx_comms_bus_aws_conf_t;


/*
 * At configuration time; NULL after logging.  The client is initialized by
 * its owner, before init_process of the bus.
 */
ngx_comms_bus_t *ngx_comms_bus_aws(ngx_conf_t *cf, ngx_comms_aws_t *aws,
    ngx_comms_bus_aws_conf_t *conf);


#endif /* _NGX_COMMS_BUS_AWS_H_INCLUDED_ */
