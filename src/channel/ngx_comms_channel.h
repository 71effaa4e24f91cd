
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Channels and the providers that carry them.  Pure: bytes in, bytes out, no
 * I/O, no HTTP types, so that every function here can be fuzzed bare.
 *
 * To add a provider: write channel/ngx_comms_<name>.c with one
 * ngx_comms_provider_t, and put it into the list of ngx_comms_channel.c.
 */


#ifndef _NGX_COMMS_CHANNEL_H_INCLUDED_
#define _NGX_COMMS_CHANNEL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <base/ngx_comms_exchange.h>


typedef enum {
    NGX_COMMS_WHATSAPP = 0,
    NGX_COMMS_SMS,
    NGX_COMMS_EMAIL,
    NGX_COMMS_CHANNELS        /* how many there are */
} ngx_comms_channel_e;


/* "whatsapp", "sms", "email" */
extern ngx_str_t  ngx_comms_channel_names[NGX_COMMS_CHANNELS];

/* the channel of that name, or NGX_ERROR */
ngx_int_t ngx_comms_channel_by_name(ngx_str_t *name);


/* one message on its way to a person; empty strings where not used */
typedef struct {
    ngx_uint_t   channel;             /* ngx_comms_channel_e */
    ngx_str_t    company_address;     /* with kind */
    ngx_str_t    person_address;
    ngx_str_t    person_name;
    ngx_str_t    content;
    ngx_str_t    marker;              /* "<thread_id>.<entry_id>": comes back
                                         in delivery webhooks */
    ngx_str_t    status_callback;     /* URL, or empty */
    ngx_str_t    replied_to;          /* WhatsApp: the provider's id of the
                                         message that this one quotes */

    ngx_str_t    template_sid;        /* WhatsApp at Twilio: this template */
    ngx_str_t    template_name;       /* WhatsApp at Meta: name and language */
    ngx_str_t    template_language;   /* code of it, "en_US" */
    json_t      *template_variables;  /* of name -> text, or NULL */
    ngx_str_t    messaging_service;   /* SMS at Twilio: "MG...", or empty */

    json_t      *media;               /* array of {"url", "content_type",
                                         "filename"?}, or NULL; email: of
                                         {"content" (base64), "content_type",
                                         "filename"} */

    ngx_str_t    subject;             /* email, from here on */
    ngx_str_t    sender_name;
    ngx_str_t    message_id;          /* "<...@domain>", ours */
    ngx_str_t    reply_to;
    ngx_str_t    in_reply_to;         /* "<...>" */
    ngx_str_t    references;          /* "<...> <...>" */
    ngx_str_t    unsubscribe;         /* URL of RFC 8058's one click, or
                                         empty */
} ngx_comms_outbound_t;


typedef enum {
    NGX_COMMS_SENT = 0,        /* the provider took it over */
    NGX_COMMS_SEND_RETRY,      /* surely not taken; try again later */
    NGX_COMMS_SEND_REFUSED,    /* permanent for this message or address */
    NGX_COMMS_SEND_OPTED_OUT,  /* permanent; the person said STOP */
    NGX_COMMS_SEND_WINDOW,     /* WhatsApp: outside the 24-hour window */
    NGX_COMMS_SEND_CONFIG,     /* our configuration or credentials are wrong */
    NGX_COMMS_SEND_UNKNOWN     /* it may have been taken over */
} ngx_comms_send_e;


typedef struct {
    ngx_comms_send_e   verdict;
    ngx_str_t          provider_message_id;   /* when SENT */
    ngx_str_t          code;                  /* the provider's own error */
    const char        *label;                 /* metric label, static */
    const char        *words;                 /* for the operator, static */
    ngx_msec_t         retry_after;           /* 0: not said */
} ngx_comms_sent_t;


/* a webhook request as it was received */
typedef struct {
    ngx_array_t    urls;           /* of ngx_str_t: the full URLs (scheme, host,
                                      port, path, query) that the caller may
                                      have asked for, likeliest first */
    ngx_str_t      tail;           /* what follows the location's own path */
    ngx_str_t      content_type;
    ngx_array_t    headers;        /* of ngx_keyval_t */
    ngx_str_t      body;           /* raw bytes */
    time_t         now;            /* for signatures that carry a time */
} ngx_comms_webhook_t;


/* a header of the webhook; NULL when absent, and when there are several */
ngx_str_t *ngx_comms_webhook_header(ngx_comms_webhook_t *wh,
    const char *name);


typedef struct {
    ngx_str_t   name;

    /*
     * Builds the send request.  NGX_OK, NGX_DECLINED when the message cannot
     * be sent this way at all (*words says why), NGX_ERROR (memory).
     * "credentials" is the provider's object of the secrets file.
     */
    ngx_int_t (*build)(ngx_pool_t *pool, ngx_comms_outbound_t *message,
        json_t *credentials, ngx_comms_request_t *rq, const char **words);

    /* reads the answer, whatever it is; only NGX_ERROR is out of memory */
    ngx_int_t (*read)(ngx_pool_t *pool, ngx_comms_answer_t *an,
        ngx_comms_sent_t *sent);

    /*
     * Is this webhook signed with these credentials?  NGX_OK, NGX_DECLINED,
     * or NGX_ERROR (memory).  Called before anything else looks at the body.
     */
    ngx_int_t (*verify)(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
        json_t *credentials);

    /*
     * Normalises a verified webhook into a JSON array of events (a new
     * reference): see below.  NGX_DECLINED: not a webhook of this provider
     * (malformed; *words says what); NGX_ERROR: memory.
     */
    ngx_int_t (*parse)(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
        json_t *credentials, json_t **events, const char **words);

    /*
     * The bytes of the part that an event's "media" names, decoded, in the
     * pool.  NGX_DECLINED: no such part.  NULL where webhooks carry none.
     */
    ngx_int_t (*attachment)(ngx_pool_t *pool, ngx_comms_webhook_t *wh,
        ngx_uint_t part, ngx_str_t *bytes);

    /*
     * The provider's handshake: a GET.  NGX_OK with the body that answers it
     * (text/plain), NGX_DECLINED when it is not known to these credentials.
     * NULL where there is none.
     */
    ngx_int_t (*handshake)(ngx_pool_t *pool, ngx_str_t *args,
        json_t *credentials, ngx_str_t *answer);

    /*
     * Where a medium of an inbound message is: "url" and the headers that
     * fetch it ("Authorization").  "media" is one element of an event's.
     * With *again set, the answer of that request is to be given to
     * "media_url", which reads the real URL out of it (Meta).  NGX_DECLINED
     * when it cannot be fetched.  NULL where messages have no media.
     */
    ngx_int_t (*media)(ngx_pool_t *pool, json_t *media, json_t *credentials,
        ngx_str_t *url, ngx_array_t *headers, ngx_uint_t *again);
    ngx_int_t (*media_url)(ngx_pool_t *pool, ngx_str_t *answer,
        ngx_str_t *url);

    /* what a 2xx carries back */
    ngx_str_t   ack_type;
    ngx_str_t   ack_body;

    /*
     * Checks one credentials object of the secrets file: NGX_OK, or
     * NGX_DECLINED with the field that is wrong and what is allowed.
     */
    ngx_int_t (*check)(json_t *credentials, const char **field,
        const char **words);

    /* bit mask of 1 << ngx_comms_channel_e that it carries */
    ngx_uint_t  channels;
} ngx_comms_provider_t;


/*
 * An event of a webhook; each is a complete answer to "what happened".
 *
 *   {"kind": "message",
 *    "channel", "provider",
 *    "provider_message_id",       Twilio: MessageSid; Meta: wamid; email:
 *                                 Message-ID
 *    "dedupe_id",                 "<provider>:<id>", the same on each retry
 *    "company_address", "person_address", "person_name"?,
 *    "aliases"?: [addresses],     the same person's others ("bsuid:..")
 *    "content",                   what the person meant, in words: quoted
 *                                 history cut; a button's text; a place or a
 *                                 contact as one line of text
 *    "sent_at"?,                  by the provider's clock, ms
 *    "media"?: [{"url" | "provider_media_id" | "part", "content_type",
 *        "filename"?, "size"?}],  "part": number of the webhook's own part
 *                                 that holds the bytes, see "attachment"
 *    "opt_out_type"?: "STOP" | "START" | "HELP",
 *                                 said by the provider itself
 *    "subject"?,
 *    "email_message_id"?, "references"?: "<..> <..>",
 *    "message_ids"?: ["<..>"],    In-Reply-To and References, newest first
 *    "reply_token"?,              from the plus-address, unverified
 *    "replied_to"?}               the provider's id of the message quoted
 *
 *   {"kind": "status",            what became of a message of ours
 *    "channel", "provider", "dedupe_id",
 *    "provider_message_id"?, "marker"?,     one of them at least
 *    "person_address"?,
 *    "status": "sent" | "delivered" | "read" | "failed" | "bounced",
 *    "at": ms,
 *    "verdict"?: "refused" | "opted_out" | "window" | "config" | "retry",
 *    "code"?, "label"?, "words"?}           of a failure, from the provider's
 *                                           table of errors
 *
 *   {"kind": "consent",           said outside of a message
 *    "channel", "provider", "dedupe_id", "person_address",
 *    "company_address"?, "provider_message_id"?, "marker"?,
 *    "opted_out": true | false, "proof": text, "at": ms}
 *
 *   {"kind": "identity",          a person has another address now
 *    "channel", "provider", "dedupe_id", "company_address",
 *    "previous": address, "person_address": address, "at": ms}
 *
 *   {"kind": "ignored", "reason": "auto-submitted" | ...}
 */


/* the provider of that name, or NULL */
ngx_comms_provider_t *ngx_comms_provider_by_name(ngx_str_t *name);


extern ngx_comms_provider_t  ngx_comms_twilio;
extern ngx_comms_provider_t  ngx_comms_sendgrid;
extern ngx_comms_provider_t  ngx_comms_meta;
extern ngx_comms_provider_t  ngx_comms_smtp;


#endif /* _NGX_COMMS_CHANNEL_H_INCLUDED_ */
