
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the files that read mails with GMime share; for them alone.
 */


#ifndef _NGX_COMMS_EMAIL_HEADERS_H_INCLUDED_
#define _NGX_COMMS_EMAIL_HEADERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <gmime/gmime.h>
#include <base/ngx_comms_id.h>


#define NGX_COMMS_EMAIL_MAX_NAME  128     /* code points */

/* of a Message-ID of ours what is before "@": thread id, ".", entry id */
#define NGX_COMMS_EMAIL_OWN_LEN                                               \
    (NGX_COMMS_THREAD_ID_LEN + 1 + NGX_COMMS_ULID_LEN)


/* a header block or a whole message; the caller unrefs it.  NULL: neither */
GMimeMessage *ngx_comms_email_open(ngx_str_t *bytes);

/* as ngx_comms_email_headers() */
ngx_int_t ngx_comms_email_read_headers(ngx_pool_t *pool, GMimeMessage *mail,
    json_t *event, const char **words);

/* why no person wrote this mail, static; or NULL */
const char *ngx_comms_email_automatic(GMimeMessage *mail);

/* 1 when it is, by its form or its sender, a report about another mail */
ngx_uint_t ngx_comms_email_reports(GMimeMessage *mail);

/* the parameters of RFC 3676 */
void ngx_comms_email_flowed(GMimeObject *part, ngx_uint_t *flowed,
    ngx_uint_t *delsp);

/* a field's text in one line, valid and bounded, in the pool */
ngx_int_t ngx_comms_email_clean(ngx_pool_t *pool, const char *value,
    size_t max, ngx_str_t *line);


#endif /* _NGX_COMMS_EMAIL_HEADERS_H_INCLUDED_ */
