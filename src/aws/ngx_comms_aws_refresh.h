
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * When credentials are fetched again, by the clock alone.  All times are in
 * seconds, by AWS's clock.
 */


#ifndef _NGX_COMMS_AWS_REFRESH_H_INCLUDED_
#define _NGX_COMMS_AWS_REFRESH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef enum {
    NGX_COMMS_AWS_FRESH = 0,
    NGX_COMMS_AWS_ADVISED,       /* fetched beside the calls */
    NGX_COMMS_AWS_REQUIRED,      /* calls wait for it */
    NGX_COMMS_AWS_OVER           /* no call can use them */
} ngx_comms_aws_age_e;


/*
 * The windows of the SDKs (botocore, credentials.py): advised from 15 minutes
 * before the end, required from 10.  "expires": 0 for those that never end.
 */
ngx_comms_aws_age_e ngx_comms_aws_age(time_t expires, time_t now);

/*
 * In an outage the metadata service hands out what is about to expire or has,
 * and the other services go on accepting it: what ends within the window is
 * used for 15 minutes and 2 to 10 more (botocore, utils.py).  The end to go
 * by; "random" is any number.
 */
time_t ngx_comms_aws_extended(time_t expires, time_t now, ngx_uint_t random);

/*
 * Seconds before the next fetch behind one that succeeded, so that a source
 * that gives nothing but old keys is not asked with each call.  Keys that last
 * for minutes only leave room for several.
 */
time_t ngx_comms_aws_pause(time_t expires, time_t now, ngx_uint_t random);


#endif /* _NGX_COMMS_AWS_REFRESH_H_INCLUDED_ */
