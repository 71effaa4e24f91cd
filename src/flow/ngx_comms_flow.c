
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include <flow/ngx_comms_flow.h>
#include <flow/ngx_comms_thread.h>


ngx_comms_flow_of_queue_t  ngx_comms_flows[] = {
    { ngx_string(NGX_COMMS_QUEUE_OPEN), ngx_comms_open_steps },
    { ngx_string(NGX_COMMS_QUEUE_REPLY), ngx_comms_turn_steps },
    { ngx_string(NGX_COMMS_QUEUE_STATUS), ngx_comms_status_steps },
    { ngx_string(NGX_COMMS_QUEUE_LATER), ngx_comms_fallback_steps },
    { ngx_string("whatsapp"), ngx_comms_deliver_steps },
    { ngx_string("sms"), ngx_comms_deliver_steps },
    { ngx_string("email"), ngx_comms_deliver_steps },
    { ngx_null_string, NULL }
};
