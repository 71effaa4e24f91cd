
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What strings in a project may be: 1 when the value is one.
 */


#ifndef _NGX_COMMS_PROJECT_VALUES_H_INCLUDED_
#define _NGX_COMMS_PROJECT_VALUES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


ngx_uint_t ngx_comms_check_digest(ngx_str_t *value);
ngx_uint_t ngx_comms_check_status(ngx_str_t *value);
ngx_uint_t ngx_comms_check_channel(ngx_str_t *value);
ngx_uint_t ngx_comms_check_state(ngx_str_t *value);
ngx_uint_t ngx_comms_check_word(ngx_str_t *value);
ngx_uint_t ngx_comms_check_outage(ngx_str_t *value);
ngx_uint_t ngx_comms_check_reply_to(ngx_str_t *value);
ngx_uint_t ngx_comms_check_callback(ngx_str_t *value);
ngx_uint_t ngx_comms_check_template(ngx_str_t *value);
ngx_uint_t ngx_comms_check_service(ngx_str_t *value);
ngx_uint_t ngx_comms_check_template_name(ngx_str_t *value);
ngx_uint_t ngx_comms_check_language(ngx_str_t *value);
ngx_uint_t ngx_comms_check_outside(ngx_str_t *value);
ngx_uint_t ngx_comms_check_time(ngx_str_t *value);
ngx_uint_t ngx_comms_check_zone(ngx_str_t *value);
ngx_uint_t ngx_comms_check_day(ngx_str_t *value);
ngx_uint_t ngx_comms_check_source(ngx_str_t *value);


#endif /* _NGX_COMMS_PROJECT_VALUES_H_INCLUDED_ */
