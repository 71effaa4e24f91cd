
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What an HTTP endpoint of SNS asks the network for: the certificates that
 * messages are signed with, and the confirmation of a subscription.
 *
 * Only addresses that ngx_comms_sns_url_valid() knows as SNS's own are ever
 * fetched, by HTTPS, through the proxy of the environment.  An "endpoint"
 * stands in for their host: another way to the same SNS, and trusted as that.
 */


#ifndef _NGX_COMMS_SNS_H_INCLUDED_
#define _NGX_COMMS_SNS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_op.h>


typedef struct ngx_comms_sns_s  ngx_comms_sns_t;


/*
 * At configuration time: reads proxies and CA bundle from the environment.
 * NULL when out of memory.
 */
ngx_comms_sns_t *ngx_comms_sns_add(ngx_conf_t *cf);

/* in a worker; NGX_ERROR after logging */
ngx_int_t ngx_comms_sns_init_process(ngx_comms_sns_t *sns,
    ngx_cycle_t *cycle);

/* ends what is in flight; no handler is called any more */
void ngx_comms_sns_exit_process(ngx_comms_sns_t *sns);

/*
 * The certificate at an address, out of the cache of this worker process.
 * "endpoint" is "https://host[:port]", NUL-terminated, or empty.
 *
 *   NGX_OK        *pem is borrowed until the caller returns to the event loop
 *   NGX_AGAIN     it is not here; with "op" it is fetched, and the caller asks
 *                 again once the operation says NGX_OK.  The operation says
 *                 NGX_DECLINED when SNS has no such certificate, NGX_ERROR
 *                 when it could not be asked
 *   NGX_BUSY      too much is being fetched; "op" is left alone
 *   NGX_DECLINED  no address of a certificate of SNS; the same
 */
ngx_int_t ngx_comms_sns_certificate(ngx_comms_sns_t *sns,
    ngx_str_t *endpoint, ngx_str_t *url, ngx_str_t *pem, ngx_comms_op_t *op);

/*
 * Confirms a subscription: asks for its SubscribeURL.  Returns, and answers
 * "op", as above, but for NGX_OK, which is not returned.
 */
ngx_int_t ngx_comms_sns_confirm(ngx_comms_sns_t *sns, ngx_str_t *endpoint,
    ngx_str_t *url, ngx_comms_op_t *op);


#endif /* _NGX_COMMS_SNS_H_INCLUDED_ */
