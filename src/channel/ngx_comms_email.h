
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


#define NGX_COMMS_EMAIL_MAX_TEXT    131072     /* bytes that are looked at */
#define NGX_COMMS_EMAIL_MAX_HTML    1048576
#define NGX_COMMS_EMAIL_MAX_CONTENT 32768      /* code points, of an event */
#define NGX_COMMS_EMAIL_MAX_IDS     32         /* of References */
#define NGX_COMMS_EMAIL_MAX_ID      250        /* bytes, with "<" and ">" */


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
 * "-----Original Message-----", Outlook's header block), the signature
 * behind "-- " and a last line as "Sent from my phone" are cut off.  When
 * nothing would be left, the whole text.
 */
ngx_int_t ngx_comms_email_unquote(ngx_pool_t *pool, ngx_str_t *text,
    ngx_str_t *written);

/*
 * HTML to text: block elements to lines, links kept, entities decoded, style,
 * script and quoted history (gmail_quote, blockquote type=cite) dropped.
 */
ngx_int_t ngx_comms_email_html_text(ngx_pool_t *pool, ngx_str_t *html,
    ngx_str_t *text);

/* plain text to a small HTML document: paragraphs, line breaks, escapes */
ngx_int_t ngx_comms_email_text_html(ngx_pool_t *pool, ngx_str_t *text,
    ngx_str_t *html);

/*
 * A character reference of HTML at *pos, which is "&": its code point, or "&"
 * itself when it is none.  Moves *pos behind what was read.
 */
uint32_t ngx_comms_email_entity(u_char **pos, u_char *last);

/*
 * Sets "content" of the event from a mail's bodies, which are UTF-8 and may
 * be empty: the text, else the HTML, without what is quoted; else the names
 * of the attachments (array of ngx_str_t).
 */
ngx_int_t ngx_comms_email_content(ngx_pool_t *pool, ngx_str_t *text,
    ngx_str_t *html, ngx_array_t *attachments, json_t *event);

/*
 * Sets "person_address" and "person_name" of the event from a From field's
 * value.  NGX_DECLINED: no valid address in it.
 */
ngx_int_t ngx_comms_email_person(ngx_pool_t *pool, ngx_str_t *from,
    json_t *event);

/*
 * A mail's header block and body parts to one event (ngx_comms_channel.h):
 * all that ngx_comms_email_headers() sets, and "content".  "raw" is a whole
 * MIME message (RFC 5322).  The returns are the same.
 */
ngx_int_t ngx_comms_email_parse_raw(ngx_pool_t *pool, ngx_str_t *raw,
    json_t *event, const char **words);

/*
 * Reads a raw header block into the event: email_message_id, message_ids,
 * references, subject, person_address, person_name, and whether it must be
 * ignored (RFC 3834 Auto-Submitted other than "no", Precedence bulk, list or
 * junk, a mailing list, a delivery report).
 * NGX_OK; NGX_DECLINED with *words: ignore this mail; NGX_ERROR: memory.
 */
ngx_int_t ngx_comms_email_headers(ngx_pool_t *pool, ngx_str_t *block,
    json_t *event, const char **words);


#endif /* _NGX_COMMS_EMAIL_H_INCLUDED_ */
