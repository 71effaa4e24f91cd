
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Messages that SNS delivers to HTTP endpoints: are they of SNS?
 *
 * Pure: the certificate is fetched by whoever calls, from the address that
 * was checked here.  MessageAttributes are not signed, so nothing may be
 * decided by them.
 */


#ifndef _NGX_COMMS_SNS_MESSAGE_H_INCLUDED_
#define _NGX_COMMS_SNS_MESSAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>


/* bytes of a certificate (PEM) that are looked at */
#define NGX_COMMS_SNS_MAX_CERTIFICATE  65536


/*
 * 1 when it is an HTTPS address of SNS itself, "https://sns.<region>.
 * amazonaws.com" or ".com.cn", without user, port, query and fragment:
 * anybody may put any address into a message.
 */
ngx_uint_t ngx_comms_sns_url_valid(ngx_str_t *url);

/* the same, and its path ends in ".pem" */
ngx_uint_t ngx_comms_sns_certificate_url_valid(ngx_str_t *url);

/*
 * What is signed, in the pool.  NGX_DECLINED: a member is missing or no
 * string, or the type is unknown; NGX_ERROR: out of memory.
 */
ngx_int_t ngx_comms_sns_canonical(ngx_pool_t *pool, json_t *message,
    ngx_str_t *text);

/*
 * Is the message signed by the certificate (PEM)?  Version "1" is RSA with
 * SHA-1, "2" with SHA-256; with "sha1" 0 the first is refused.  NGX_OK: yes,
 * and the certificate is valid now; NGX_DECLINED: no; NGX_ERROR: the
 * certificate is unusable, or out of memory.
 *
 * Whether the certificate is Amazon's follows from the TLS connection that it
 * came over, hence from its address.
 */
ngx_int_t ngx_comms_sns_verify(ngx_pool_t *pool, json_t *message,
    ngx_str_t *pem, ngx_uint_t sha1);


#endif /* _NGX_COMMS_SNS_MESSAGE_H_INCLUDED_ */
