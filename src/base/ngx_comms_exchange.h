
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * One HTTP exchange with a provider, as plain data: what the pure folders
 * (channel, ai) build and read, and what job/call carries out.
 */


#ifndef _NGX_COMMS_EXCHANGE_H_INCLUDED_
#define _NGX_COMMS_EXCHANGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the envelope of a mail (RFC 5321); bare addresses, no CR, LF or "<>" */
typedef struct {
    ngx_str_t     from;
    ngx_str_t     to;
    ngx_str_t     username;     /* empty: no AUTH */
    ngx_str_t     password;     /* secret */
} ngx_comms_mail_t;


typedef struct {
    ngx_str_t     method;       /* "POST" */
    ngx_str_t     path;         /* goes behind the provider location's own
                                   path; no leading slash, already safe */
    ngx_str_t     args;         /* without "?" */
    ngx_array_t   headers;      /* of ngx_keyval_t; no CR, LF or NUL in them:
                                   use ngx_comms_request_header() */
    ngx_str_t     body;
    ngx_comms_mail_t
                 *mail;         /* the body is a whole mail, to be handed over
                                   by SMTP; NULL: HTTP */
} ngx_comms_request_t;


typedef enum {
    NGX_COMMS_EXCHANGE_COMPLETE = 0,  /* an answer, whole; see status */
    NGX_COMMS_EXCHANGE_UNSENT,        /* nothing reached the provider */
    NGX_COMMS_EXCHANGE_UNKNOWN        /* it may have reached the provider:
                                         timeout, cut answer, no answer */
} ngx_comms_exchange_e;


typedef struct {
    ngx_comms_exchange_e   outcome;
    ngx_uint_t             status;     /* HTTP status, or SMTP reply code, when
                                          COMPLETE, else 0 */
    ngx_array_t            headers;    /* of ngx_keyval_t, as received */
    ngx_str_t              body;       /* lives in the flow's pool; of SMTP:
                                          the reply's text without its code,
                                          lines divided by LF */
    const char            *failure;    /* static words when not COMPLETE:
                                          "connect failed", "timed out",
                                          "truncated", "too large", ... */
} ngx_comms_answer_t;


/* sets up an empty request in the pool; NGX_OK or NGX_ERROR */
ngx_int_t ngx_comms_request_init(ngx_comms_request_t *rq, ngx_pool_t *pool);

/*
 * Adds a header.  NGX_DECLINED when name or value could break out of the
 * header (control characters, RFC 9110 5.5), NGX_ERROR when out of memory.
 */
ngx_int_t ngx_comms_request_header(ngx_comms_request_t *rq, const char *name,
    ngx_str_t *value);

/* a received header by name, case-insensitive; NULL when absent */
ngx_str_t *ngx_comms_answer_header(ngx_comms_answer_t *an, const char *name);


#endif /* _NGX_COMMS_EXCHANGE_H_INCLUDED_ */
