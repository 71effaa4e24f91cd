
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Fetching what a URL from outside names: pictures and documents of people's
 * messages.  Whoever wrote the URL must not reach what only this machine can
 * (server-side request forgery), so every connection, that of a redirect
 * too, is checked by the address it is made to.
 */


#ifndef _NGX_COMMS_FETCH_H_INCLUDED_
#define _NGX_COMMS_FETCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_exchange.h>
#include <curl/ngx_comms_curl_loop.h>


/*
 * Starts a GET.  "url" is "https://..."; "http://..." only reaches addresses
 * in "allow".  "headers" (array of ngx_keyval_t, or NULL) go to the URL's own
 * host; of them Authorization and Cookie never follow a redirect to another
 * one.  At most three redirects, never from https to http.  "max_size" bytes
 * of body at the most; "timeout" in ms, for all of it.  "allow" (array of
 * ngx_cidr_t, or NULL) are addresses that are reached though they are not
 * public.  Where the environment names a proxy, its address is checked, and
 * the rest is up to the proxy.
 *
 * NULL when it could not even be started: memory, or no such URL.  The
 * handler is called once, from an event: see ngx_comms_curl_transfer(); the
 * failure of a forbidden address is "address is not allowed", that of a body
 * beyond the limit "too large".
 */
ngx_comms_curl_transfer_t *ngx_comms_fetch(ngx_comms_curl_loop_t *loop,
    ngx_str_t *url, ngx_array_t *headers, size_t max_size, ngx_msec_t timeout,
    ngx_array_t *allow, ngx_comms_curl_transfer_pt handler, void *data);

/*
 * 1 when the whole Internet may reach the address: none of those that are
 * private, of this machine or network, reserved, multicast, or that carry
 * another address inside (IANA's registries of special-purpose addresses).
 */
ngx_uint_t ngx_comms_fetch_public(struct sockaddr *sockaddr);


#endif /* _NGX_COMMS_FETCH_H_INCLUDED_ */
