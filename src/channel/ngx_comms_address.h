
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Addresses: where a person or a company is reached, always with its kind:
 * "tel:+447700900123", "mailto:ada@example.org", "bsuid:US.1349...".
 */


#ifndef _NGX_COMMS_ADDRESS_H_INCLUDED_
#define _NGX_COMMS_ADDRESS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* E.164: "+", 2 to 15 digits, the first not 0 */
ngx_uint_t ngx_comms_tel_valid(ngx_str_t *tel);

/*
 * RFC 5321 4.1.2 Mailbox with a dot-string local part of at most 64 octets
 * and a domain of at most 255 with at least two labels; no quoted local
 * parts, no address literals, no controls.
 */
ngx_uint_t ngx_comms_email_valid(ngx_str_t *email);

/*
 * "tel:" + number, as it is.  "mailto:" + address: the domain in lower case
 * and the local part too, since that is how people's mail software compares
 * them.  In the pool; NGX_OK or NGX_ERROR (memory).
 */
ngx_int_t ngx_comms_address_tel(ngx_pool_t *pool, ngx_str_t *tel,
    ngx_str_t *address);
ngx_int_t ngx_comms_address_email(ngx_pool_t *pool, ngx_str_t *email,
    ngx_str_t *address);

/* what is behind the kind: "+4477...", "ada@example.org"; borrowed */
ngx_str_t ngx_comms_address_bare(ngx_str_t *address);

/* 1 when the address starts with the kind ("tel", "mailto", "bsuid") */
ngx_uint_t ngx_comms_address_is(ngx_str_t *address, const char *kind);

/*
 * The IANA name of the time zone of a number's country, static; NGX_DECLINED
 * when the country has several, or it is no phone number.
 */
ngx_int_t ngx_comms_address_time_zone(ngx_str_t *address, ngx_str_t *zone);


#endif /* _NGX_COMMS_ADDRESS_H_INCLUDED_ */
