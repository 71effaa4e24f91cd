
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The HTTP side: content handlers, and the one way they answer.
 */


#ifndef _NGX_HTTP_COMMS_ANSWER_H_INCLUDED_
#define _NGX_HTTP_COMMS_ANSWER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <jansson.h>


/* an error of the API: 1.4 of the product gives the list and the order */
typedef struct {
    ngx_uint_t    status;
    const char   *code;         /* "INVALID_REQUEST" */
    const char   *message;
    ngx_uint_t    retry_after;  /* seconds; 0: no such header */
} ngx_http_comms_error_t;


/*
 * Sends a JSON document; takes over the reference.  Returns what a content
 * handler returns, for ngx_http_finalize_request().
 */
ngx_int_t ngx_http_comms_send_json(ngx_http_request_t *r, ngx_uint_t status,
    json_t *document);

/*
 * Sends {"status":"error","error_code","message","request_id"}; request_id
 * may be empty (null is sent then).
 */
ngx_int_t ngx_http_comms_send_error(ngx_http_request_t *r,
    ngx_http_comms_error_t *error, ngx_str_t *request_id);

/* sends bytes */
ngx_int_t ngx_http_comms_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_str_t *body);

/* adds a response header; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_comms_add_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);

/* the first request header of that name, or NULL */
ngx_str_t *ngx_http_comms_header(ngx_http_request_t *r, const char *name);

/*
 * The request's body as one string.  It is in memory (the directives that
 * take bodies see to the buffer), unless it came in very small chunks.
 * NGX_DECLINED: there is none.
 */
ngx_int_t ngx_http_comms_body(ngx_http_request_t *r, ngx_str_t *body);


/*
 * From here on logs show the request as made for the URI "shown", without
 * arguments: what stood there was a secret or a person's address.
 */
ngx_int_t ngx_http_comms_hide(ngx_http_request_t *r, ngx_str_t *shown);


/*
 * Phase handler, before the location is looked up: makes way for the answer
 * to a body that is too large.  HTTP/2 drops such a body without marking the
 * request, so nginx would refuse it once more on its way to the error page.
 */
ngx_int_t ngx_http_comms_too_large_handler(ngx_http_request_t *r);


/* content handlers, set by the directives of the same name */
ngx_int_t ngx_http_comms_initiate_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_comms_conversations_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_comms_webhook_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_comms_unsubscribe_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_comms_status_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_COMMS_ANSWER_H_INCLUDED_ */
