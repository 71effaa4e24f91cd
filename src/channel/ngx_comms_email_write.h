
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What the files that write mails share; for them alone.
 */


#ifndef _NGX_COMMS_EMAIL_WRITE_H_INCLUDED_
#define _NGX_COMMS_EMAIL_WRITE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A text that grows in the pool.  Once memory has run out nothing is written
 * any more, and "failed" says so: it is looked at once, when all is written.
 */
typedef struct {
    ngx_pool_t   *pool;
    u_char       *start;
    u_char       *pos;
    u_char       *end;
    ngx_uint_t    failed;        /* unsigned  failed:1; */
} ngx_comms_email_text_t;


void ngx_comms_email_put(ngx_comms_email_text_t *out, ngx_str_t *bytes);
void ngx_comms_email_puts(ngx_comms_email_text_t *out, const char *text);

/*
 * "Name: value" and its line end, folded at blanks (RFC 5322 2.2.3).  The
 * value is one line of ASCII.
 */
void ngx_comms_email_put_field(ngx_comms_email_text_t *out, const char *name,
    ngx_str_t *value);

/*
 * The same of words in UTF-8: as encoded-words (RFC 2047) unless they are
 * plain ASCII.  The value is one line.
 */
void ngx_comms_email_put_words(ngx_comms_email_text_t *out, const char *name,
    ngx_str_t *value);

/*
 * "Name: Display Name <address>"; the name is one line of UTF-8, or empty.
 */
void ngx_comms_email_put_mailbox(ngx_comms_email_text_t *out,
    const char *name, ngx_str_t *display, ngx_str_t *address);

/*
 * A parameter of a field on a line of its own, ";" before it: quoted, and
 * when it is not plain ASCII in the form of RFC 2231 3, 4.
 */
void ngx_comms_email_put_parameter(ngx_comms_email_text_t *out,
    const char *name, ngx_str_t *value);

/*
 * A text's lines in quoted-printable (RFC 2045 6.7), or in base64 where that
 * is shorter, behind the field that says which.  Every line end becomes CRLF.
 */
void ngx_comms_email_put_text(ngx_comms_email_text_t *out, ngx_str_t *text);

/*
 * Base64 that is there already, in lines of 76 characters (RFC 2045 6.8).
 * NGX_DECLINED: it is none.
 */
ngx_int_t ngx_comms_email_put_base64(ngx_comms_email_text_t *out,
    ngx_str_t *base64);


#endif /* _NGX_COMMS_EMAIL_WRITE_H_INCLUDED_ */
