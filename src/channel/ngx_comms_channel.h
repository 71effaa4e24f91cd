
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
    ngx_str_t    marker;              /* effect id: comes back in callbacks */
    ngx_str_t    status_callback;     /* URL, or empty */

    ngx_str_t    template_sid;        /* WhatsApp: send this template */
    json_t      *template_variables;  /* of name -> text, or NULL */

    ngx_str_t    subject;             /* email, from here on */
    ngx_str_t    sender_name;
    ngx_str_t    message_id;          /* "<...@domain>", ours */
    ngx_str_t    reply_to;
    ngx_str_t    in_reply_to;         /* "<...>" */
    ngx_str_t    references;          /* "<...> <...>" */
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
 * An event of a webhook:
 *   {"kind": "message",
 *    "channel", "provider",
 *    "provider_message_id",       Twilio: MessageSid; email: Message-ID
 *    "dedupe_id",                 "<provider>:<id>", the same on each retry
 *    "company_address", "person_address", "person_name"?,
 *    "content",                   what the person wrote; quoted history cut
 *    "subject"?,
 *    "email_message_id"?, "references"?: "<..> <..>",
 *    "message_ids"?: ["<..>"],    In-Reply-To and References, newest first
 *    "reply_token"?,              from the plus-address, unverified
 *    "replied_to"?}               the provider's id of the message quoted
 * or
 *   {"kind": "ignored", "reason": "auto-submitted" | ...}
 * Each is a complete answer to "what happened": further kinds may join.
 */


/* the provider of that name, or NULL */
ngx_comms_provider_t *ngx_comms_provider_by_name(ngx_str_t *name);


extern ngx_comms_provider_t  ngx_comms_twilio;
extern ngx_comms_provider_t  ngx_comms_sendgrid;


#endif /* _NGX_COMMS_CHANNEL_H_INCLUDED_ */
