
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Words that are for the company and not for the AI: STOP, START and HELP.
 *
 * A word counts only as a whole message, whatever its case and the blanks,
 * points and marks around it.  English ones are built in (CTIA Messaging
 * Principles 5.1.3, Twilio's default lists); a project may add its own
 * ("consent_words").  Where the provider says itself what a message was
 * (Twilio's OptOutType) its word holds, and it has answered it, too.
 */


#include <flow/ngx_comms_turn.h>
#include <base/ngx_comms_clock.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>


typedef struct {
    ngx_comms_word_e   word;
    const char        *key;          /* in "consent_words" */
    const char        *type;         /* as the provider says it */
    ngx_str_t         *words;
} ngx_comms_inbound_family_t;


static ngx_comms_word_e ngx_comms_inbound_said(json_t *event);
static ngx_str_t ngx_comms_inbound_bare(ngx_str_t text);
static ngx_uint_t ngx_comms_inbound_listed(ngx_str_t *text, json_t *words);


static ngx_str_t  ngx_comms_inbound_stop[] = {
    ngx_string("STOP"), ngx_string("STOPALL"), ngx_string("STOP ALL"),
    ngx_string("UNSUBSCRIBE"), ngx_string("CANCEL"), ngx_string("END"),
    ngx_string("QUIT"), ngx_string("REVOKE"), ngx_string("OPTOUT"),
    ngx_null_string
};


static ngx_str_t  ngx_comms_inbound_start[] = {
    ngx_string("START"), ngx_string("UNSTOP"),
    ngx_null_string
};


static ngx_str_t  ngx_comms_inbound_help_words[] = {
    ngx_string("HELP"), ngx_string("INFO"),
    ngx_null_string
};


static ngx_comms_inbound_family_t  ngx_comms_inbound_families[] = {
    { NGX_COMMS_WORD_STOP, "stop", "STOP", ngx_comms_inbound_stop },
    { NGX_COMMS_WORD_START, "start", "START", ngx_comms_inbound_start },
    { NGX_COMMS_WORD_HELP, "help", "HELP", ngx_comms_inbound_help_words },
    { NGX_COMMS_WORD_NONE, NULL, NULL, NULL }
};


ngx_comms_word_e
ngx_comms_inbound_word(ngx_comms_thread_t *t, json_t *event)
{
    json_t                      *own;
    ngx_str_t                    text, channel, *word;
    ngx_comms_word_e             said;
    ngx_comms_inbound_family_t  *family;

    said = ngx_comms_inbound_said(event);

    if (said != NGX_COMMS_WORD_NONE) {
        return said;
    }

    (void) ngx_comms_json_str(event, "channel", &channel);
    (void) ngx_comms_json_str(event, "content", &text);

    /* a mail has its link */

    if (ngx_comms_channel_by_name(&channel) == NGX_COMMS_EMAIL) {
        return NGX_COMMS_WORD_NONE;
    }

    text = ngx_comms_inbound_bare(text);

    own = t->project ? json_object_get(t->project->config, "consent_words")
                     : NULL;

    for (family = ngx_comms_inbound_families; family->key; family++) {

        if (ngx_comms_inbound_listed(&text,
                                     json_object_get(own, family->key)))
        {
            return family->word;
        }

        for (word = family->words; word->len; word++) {
            if (ngx_comms_same_word(&text, word)) {
                return family->word;
            }
        }
    }

    return NGX_COMMS_WORD_NONE;
}


static ngx_comms_word_e
ngx_comms_inbound_said(json_t *event)
{
    ngx_str_t                    type;
    ngx_comms_inbound_family_t  *family;

    if (ngx_comms_json_str(event, "opt_out_type", &type) != NGX_OK) {
        return NGX_COMMS_WORD_NONE;
    }

    for (family = ngx_comms_inbound_families; family->key; family++) {
        if (type.len == ngx_strlen(family->type)
            && ngx_strncmp(type.data, family->type, type.len) == 0)
        {
            return family->word;
        }
    }

    return NGX_COMMS_WORD_NONE;
}


static ngx_str_t
ngx_comms_inbound_bare(ngx_str_t text)
{
    text = ngx_comms_trim(text);

    while (text.len && (text.data[text.len - 1] == '.'
                        || text.data[text.len - 1] == '!'
                        || text.data[text.len - 1] == '?'))
    {
        text.len--;
    }

    return ngx_comms_trim(text);
}


static ngx_uint_t
ngx_comms_inbound_listed(ngx_str_t *text, json_t *words)
{
    size_t      i;
    json_t     *one;
    ngx_str_t   word;

    json_array_foreach(words, i, one) {
        word = ngx_comms_json_view(one);

        if (ngx_comms_same_word(text, &word)) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_comms_inbound_helps(ngx_comms_thread_t *t)
{
    ngx_str_t  type;

    return ngx_comms_inbound_word(t, t->event) == NGX_COMMS_WORD_HELP
           && ngx_comms_json_str(t->event, "opt_out_type", &type) != NGX_OK;
}


json_t *
ngx_comms_inbound_help(ngx_comms_flow_t *f)
{
    u_char               now[NGX_COMMS_ISO8601_LEN + 1], *p;
    ngx_str_t            entry_id, inbound_id, channel, company, text, name;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    (void) ngx_comms_json_str(t->event, "inbound_id", &inbound_id);
    (void) ngx_comms_json_str(t->event, "channel", &channel);

    *ngx_comms_iso8601(now, ngx_comms_clock_ms()) = '\0';

    /* the same id whenever this is run again, so it is one message */

    text.len = inbound_id.len + sizeof("#help") - 1;
    text.data = ngx_pnalloc(f->pool, text.len);
    if (text.data == NULL) {
        return NULL;
    }

    ngx_sprintf(text.data, "%V#help", &inbound_id);

    if (ngx_comms_id_of(f->pool, "", &text, &entry_id) != NGX_OK
        || ngx_comms_project_address(f->pool, t->project,
                                     ngx_comms_channel_by_name(&channel),
                                     &company) != NGX_OK)
    {
        return NULL;
    }

    if (ngx_comms_json_str(t->project->config, "help_message", &text)
        != NGX_OK)
    {
        (void) ngx_comms_json_str(t->project->config, "company_name", &name);

        text.data = ngx_pnalloc(f->pool, name.len
                                + sizeof(": reply STOP to end.") - 1);
        if (text.data == NULL) {
            return NULL;
        }

        p = ngx_sprintf(text.data, "%V: reply STOP to end.", &name);
        text.len = p - text.data;
    }

    return json_pack("{s:s%, s:s, s:s, s:s%, s:s%, s:s%, s:O, s:s, s:s%,"
                     " s:b}",
                     "entry_id", entry_id.data, entry_id.len,
                     "message_timestamp", now,
                     "role", "system",
                     "channel", channel.data, channel.len,
                     "content", text.data, text.len,
                     "company_address", company.data, company.len,
                     "person_address",
                     json_object_get(t->event, "person_address"),
                     "status", "pending",
                     "turn_id", entry_id.data, entry_id.len,
                     "asked_for", 1);
}
