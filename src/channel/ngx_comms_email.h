
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
#include <channel/ngx_comms_channel.h>


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
 * What an attachment of that type is called in "content", static: "digital
 * signature", ...; NULL: by its own name.  Sets *kept to 0 when its bytes are
 * nothing that a person sent, such as a signature.
 */
const char *ngx_comms_email_type_words(ngx_str_t *type, ngx_uint_t *kept);

/*
 * Adds an element to the event's "media".  The name, which may be empty, is
 * one line of UTF-8.
 */
ngx_int_t ngx_comms_email_add_medium(ngx_pool_t *pool, json_t *event,
    ngx_uint_t part, ngx_str_t *type, ngx_str_t *name, size_t size);

/*
 * Text of format=flowed (RFC 3676) with its paragraphs made one line each;
 * "delsp" is its parameter DelSp.
 */
ngx_int_t ngx_comms_email_unflow(ngx_pool_t *pool, ngx_str_t *text,
    ngx_uint_t delsp, ngx_str_t *lines);

/*
 * Sets "person_address" and "person_name" of the event from a From field's
 * value.  NGX_DECLINED: no valid address in it.
 */
ngx_int_t ngx_comms_email_person(ngx_pool_t *pool, ngx_str_t *from,
    json_t *event);

/* why a message cannot be sent as a mail at all, or NULL */
const char *ngx_comms_email_unfit(ngx_comms_outbound_t *message);

/* 1 when it is "https://" and what a field's "<...>" may hold */
ngx_uint_t ngx_comms_email_url(ngx_str_t *url);

/*
 * Why no person is the sender of the envelope: it is empty, as that of all
 * reports (RFC 5321 4.5.5), or a mail system's own address; or NULL.
 */
const char *ngx_comms_email_machine(ngx_str_t *sender);

/*
 * Sets "company_address" and "reply_token" of the event from the envelope's
 * recipients, an array of strings: of several the one with a reply token, else
 * the first valid one.  NGX_DECLINED: there is none.
 */
ngx_int_t ngx_comms_email_recipients(ngx_pool_t *pool, json_t *to,
    json_t *event);

/*
 * The marker that a Message-ID of ours was made of, "<thread_id>.<entry_id>";
 * NGX_DECLINED: it is none of ours.
 */
ngx_int_t ngx_comms_email_marker(ngx_pool_t *pool, ngx_str_t *message_id,
    ngx_str_t *marker);

/*
 * Sets "dedupe_id", and of a message "provider_message_id": the same each time
 * that the mail comes, by its Message-ID, or by "body", which holds it.
 */
ngx_int_t ngx_comms_email_identify(ngx_pool_t *pool, ngx_str_t *provider,
    ngx_str_t *body, json_t *event);


/* the pieces of a report about a mail; each may be empty */
typedef struct {
    ngx_str_t   status;        /* fields of a delivery status (RFC 3464 2), a
                                  disposition (RFC 8098 3), or of feedback
                                  (RFC 5965 3) */
    ngx_str_t   original;      /* header block of the mail that it is about */
    ngx_str_t   text;          /* what it says to people */
    ngx_str_t   subject;
} ngx_comms_email_report_t;


/*
 * Sets the event to what the report says: "kind" "status" or "consent" with
 * "channel", "marker", "provider_message_id" (our Message-ID) and what that
 * kind has; "provider" and "dedupe_id" are the caller's.  NGX_DECLINED with
 * *words: it says nothing final about a mail of ours.
 */
ngx_int_t ngx_comms_email_report(ngx_pool_t *pool,
    ngx_comms_email_report_t *report, json_t *event, const char **words);

/*
 * A whole MIME message (RFC 5322) to one event (ngx_comms_channel.h): all that
 * ngx_comms_email_headers() sets, "content", and "media", whose "part" counts
 * the message's leaves.  Of a report about a mail of ours what
 * ngx_comms_email_report() sets.  The returns are those of
 * ngx_comms_email_headers().
 */
ngx_int_t ngx_comms_email_parse_raw(ngx_pool_t *pool, ngx_str_t *raw,
    json_t *event, const char **words);

/* the decoded bytes of a leaf; NGX_DECLINED: there is none of that number */
ngx_int_t ngx_comms_email_part(ngx_pool_t *pool, ngx_str_t *raw,
    ngx_uint_t part, ngx_str_t *bytes);

/*
 * Reads a raw header block into the event: email_message_id, message_ids,
 * references, subject, person_address, person_name, and whether it must be
 * ignored (RFC 3834 Auto-Submitted other than "no", Precedence bulk, list or
 * junk, a mailing list, a report, a mail of our own that came back).
 * NGX_OK; NGX_DECLINED with *words: ignore this mail; NGX_ERROR: memory.
 */
ngx_int_t ngx_comms_email_headers(ngx_pool_t *pool, ngx_str_t *block,
    json_t *event, const char **words);

/*
 * What the header block says about the body that came apart from it: whether
 * the mail is a report, and whether its text is format=flowed.
 */
void ngx_comms_email_form(ngx_str_t *block, ngx_uint_t *report,
    ngx_uint_t *flowed, ngx_uint_t *delsp);


#endif /* _NGX_COMMS_EMAIL_H_INCLUDED_ */
