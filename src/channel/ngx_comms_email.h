
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Email: identity of mails, quoting, what the person really wrote.
 */


#ifndef _NGX_COMMS_EMAIL_H_INCLUDED_
#define _NGX_COMMS_EMAIL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>


/*
 * Our Message-ID of a message: "<" thread id "." entry id "@" domain of the
 * company's address ">", in lower case.  The same message always has the
 * same one, so that a second send of it can be recognised.
 */
ngx_int_t ngx_comms_email_message_id(ngx_pool_t *pool, ngx_str_t *thread_id,
    ngx_str_t *entry_id, ngx_str_t *company_email, ngx_str_t *message_id);

/*
 * "reply@inbound.example" and a token to "reply+token@inbound.example".
 */
ngx_int_t ngx_comms_email_plus(ngx_pool_t *pool, ngx_str_t *address,
    ngx_str_t *token, ngx_str_t *plussed);

/*
 * Takes the plus part off: NGX_OK with both, NGX_DECLINED when there is none
 * (bare is then the address itself).
 */
ngx_int_t ngx_comms_email_unplus(ngx_pool_t *pool, ngx_str_t *address,
    ngx_str_t *bare, ngx_str_t *plus);

/*
 * The part of a plain-text mail that its sender wrote: quoted history
 * ("On ... wrote:" in the languages listed in the source, ">" lines,
 * "-----Original Message-----", Outlook's header block) and the signature
 * behind "-- " are cut off.  When nothing would be left, the whole text.
 */
ngx_int_t ngx_comms_email_unquote(ngx_pool_t *pool, ngx_str_t *text,
    ngx_str_t *written);

/*
 * HTML to text: block elements to lines, links kept, entities decoded, style,
 * script and quoted history (gmail_quote, blockquote type=cite) dropped.
 */
ngx_int_t ngx_comms_email_html_text(ngx_pool_t *pool, ngx_str_t *html,
    ngx_str_t *text);

/*
 * A mail's header block and body parts to one event (ngx_comms_channel.h).
 * "raw" is a whole MIME message (RFC 5322).
 */
ngx_int_t ngx_comms_email_parse_raw(ngx_pool_t *pool, ngx_str_t *raw,
    json_t *event, const char **words);

/*
 * Reads a raw header block into the event: email_message_id, message_ids,
 * references, subject, and whether it must be ignored (RFC 3834
 * Auto-Submitted other than "no", Precedence bulk, list or junk).
 * NGX_OK; NGX_DECLINED with *words: ignore this mail; NGX_ERROR: memory.
 */
ngx_int_t ngx_comms_email_headers(ngx_pool_t *pool, ngx_str_t *block,
    json_t *event, const char **words);


#endif /* _NGX_COMMS_EMAIL_H_INCLUDED_ */
