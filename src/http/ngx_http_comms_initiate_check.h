
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a start request must be.  Pure functions over the parsed body: no
 * request, no I/O, so that every row can be tested alone.  Each gives the
 * first error in the order that the API promises.
 */


#ifndef _NGX_HTTP_COMMS_INITIATE_CHECK_H_INCLUDED_
#define _NGX_HTTP_COMMS_INITIATE_CHECK_H_INCLUDED_


#include <http/ngx_http_comms_answer.h>
#include <project/ngx_comms_project.h>


/* a start request; the strings are borrowed from its body */
typedef struct {
    ngx_str_t    company_id;
    ngx_str_t    project_id;
    ngx_str_t    request_id;     /* may be set before it is checked */
    ngx_str_t    timestamp;

    ngx_str_t    tel;            /* empty: not given, as below */
    ngx_str_t    email;
    ngx_str_t    first_name;
    ngx_str_t    last_name;
    ngx_str_t    time_zone;      /* "Europe/London" */

    json_t      *project_data;   /* NULL: not given */

    json_t      *fallback;       /* channels in their order; NULL: at once */
    json_int_t   after;          /* seconds from one to the next */

    ngx_uint_t   all;            /* channel_method is "all" */
    ngx_uint_t   channels;       /* asked for: 1 << channel; with "all" those
                                    for which there is an address */
} ngx_http_comms_start_t;


/*
 * All return NGX_OK, or NGX_DECLINED with the error.
 */

/* whose request is it?  Before the key is looked at */
ngx_int_t ngx_http_comms_start_identify(json_t *body,
    ngx_http_comms_start_t *start, ngx_http_comms_error_t *error);

/* everything that the body alone tells */
ngx_int_t ngx_http_comms_start_check(json_t *body,
    ngx_http_comms_start_t *start, ngx_http_comms_error_t *error);

/*
 * What the project says ("project" is NULL when there is none).  Reduces
 * start->channels of "all" to those that the project allows.
 */
ngx_int_t ngx_http_comms_start_allowed(ngx_http_comms_start_t *start,
    ngx_comms_project_t *project, ngx_http_comms_error_t *error);

/* fills in an error and returns NGX_DECLINED */
ngx_int_t ngx_http_comms_refuse(ngx_http_comms_error_t *error,
    ngx_uint_t status, const char *code, const char *message);


#endif /* _NGX_HTTP_COMMS_INITIATE_CHECK_H_INCLUDED_ */
