
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <aws/ngx_comms_aws_refresh.h>


/* seconds */
#define NGX_COMMS_AWS_ADVISORY       (15 * 60)
#define NGX_COMMS_AWS_MANDATORY      (10 * 60)
#define NGX_COMMS_AWS_OUTAGE         (15 * 60)
#define NGX_COMMS_AWS_OUTAGE_MIN     (2 * 60)
#define NGX_COMMS_AWS_OUTAGE_JITTER  (8 * 60)
#define NGX_COMMS_AWS_PAUSE          60


ngx_comms_aws_age_e
ngx_comms_aws_age(time_t expires, time_t now)
{
    time_t  left;

    left = expires - now;

    if (expires == 0 || left > NGX_COMMS_AWS_ADVISORY) {
        return NGX_COMMS_AWS_FRESH;
    }

    if (left > NGX_COMMS_AWS_MANDATORY) {
        return NGX_COMMS_AWS_ADVISED;
    }

    return (left > 0) ? NGX_COMMS_AWS_REQUIRED : NGX_COMMS_AWS_OVER;
}


time_t
ngx_comms_aws_extended(time_t expires, time_t now, ngx_uint_t random)
{
    if (ngx_comms_aws_age(expires, now) == NGX_COMMS_AWS_FRESH) {
        return expires;
    }

    return now + NGX_COMMS_AWS_OUTAGE + NGX_COMMS_AWS_OUTAGE_MIN
           + (time_t) (random % (NGX_COMMS_AWS_OUTAGE_JITTER + 1));
}


time_t
ngx_comms_aws_pause(time_t expires, time_t now, ngx_uint_t random)
{
    time_t  pause, part;

    pause = NGX_COMMS_AWS_PAUSE + (time_t) (random % NGX_COMMS_AWS_PAUSE);

    if (expires == 0) {
        return pause;
    }

    part = (expires - now) / 4;

    return ngx_max(ngx_min(pause, part), 1);
}
