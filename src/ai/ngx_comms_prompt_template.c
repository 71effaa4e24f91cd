
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * The instructions' order: a template with slots.
 *
 * A slot is a name in double braces.  What fills it is not looked at again,
 * so nothing that a project's text or a channel's name says can bring
 * another slot in.  Facts about people have no slot: they are data, and stand
 * in the input.
 */


#include <ai/ngx_comms_prompt.h>
#include <ai/ngx_comms_prompt_private.h>
#include <base/ngx_comms_json.h>


typedef struct {
    ngx_str_t     name;
    ngx_int_t   (*fill)(ngx_array_t *words, ngx_comms_prompt_t *prompt);
} ngx_comms_prompt_slot_t;


static ngx_int_t ngx_comms_prompt_expand(ngx_pool_t *pool,
    ngx_comms_prompt_t *prompt, const char *key, const char *template,
    ngx_str_t *instructions);
static ngx_comms_prompt_slot_t *ngx_comms_prompt_slot(ngx_str_t *text,
    size_t *len);


/*
 * The instructions, in the order in which the AI reads them.  A project may
 * bring templates of its own, "template_first" and "template_reply" of its
 * ai_config, with the same slots.
 */

#define NGX_COMMS_PROMPT_FIRST                                                \
    "{{who}}\n"                                                               \
    "{{instructions}}\n\n"                                                    \
    "{{task}}"                                                                \
    "{{channels}}"                                                            \
    "{{manners}}"

#define NGX_COMMS_PROMPT_REPLY                                                \
    "{{who}}\n"                                                               \
    "{{instructions}}\n\n"                                                    \
    "{{task}}"                                                                \
    "{{channels}}"                                                            \
    "{{arrived}}"                                                             \
    "{{manners}}"


static ngx_comms_prompt_slot_t  ngx_comms_prompt_slots[] = {
    { ngx_string("who"), ngx_comms_prompt_fill_who },
    { ngx_string("instructions"), ngx_comms_prompt_fill_instructions },
    { ngx_string("task"), ngx_comms_prompt_fill_task },
    { ngx_string("channels"), ngx_comms_prompt_fill_channels },
    { ngx_string("arrived"), ngx_comms_prompt_fill_arrived },
    { ngx_string("manners"), ngx_comms_prompt_fill_manners },
    { ngx_null_string, NULL }
};


ngx_int_t
ngx_comms_prompt_first(ngx_pool_t *pool, json_t *project, json_t *record,
    ngx_str_t *instructions)
{
    ngx_comms_prompt_t  prompt;

    prompt.project = project;
    prompt.record = record;
    prompt.channel = NULL;

    return ngx_comms_prompt_expand(pool, &prompt, "template_first",
                                   NGX_COMMS_PROMPT_FIRST, instructions);
}


ngx_int_t
ngx_comms_prompt_reply(ngx_pool_t *pool, json_t *project, json_t *record,
    ngx_str_t *channel, ngx_str_t *instructions)
{
    ngx_comms_prompt_t  prompt;

    prompt.project = project;
    prompt.record = record;
    prompt.channel = channel;

    return ngx_comms_prompt_expand(pool, &prompt, "template_reply",
                                   NGX_COMMS_PROMPT_REPLY, instructions);
}


/* the project's template, or ours, with every slot filled in */

static ngx_int_t
ngx_comms_prompt_expand(ngx_pool_t *pool, ngx_comms_prompt_t *prompt,
    const char *key, const char *template, ngx_str_t *instructions)
{
    size_t                    len;
    ngx_str_t                 text;
    ngx_array_t               words;
    ngx_comms_prompt_slot_t  *slot;

    if (ngx_array_init(&words, pool, 4096, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    text = ngx_comms_json_view(
               json_object_get(json_object_get(prompt->project, "ai_config"),
                               key));
    if (text.len == 0) {
        text.data = (u_char *) template;
        text.len = ngx_strlen(template);
    }

    while (text.len) {
        slot = ngx_comms_prompt_slot(&text, &len);

        if (slot != NULL) {
            if (slot->fill(&words, prompt) != NGX_OK) {
                return NGX_ERROR;
            }

        } else if (ngx_comms_prompt_add(&words, text.data, len) != NGX_OK) {
            return NGX_ERROR;
        }

        text.data += len;
        text.len -= len;
    }

    instructions->data = words.elts;
    instructions->len = words.nelts;

    return NGX_OK;
}


/*
 * The slot that the text begins with, and its length; or NULL, and the length
 * of what comes before the next one.
 */

static ngx_comms_prompt_slot_t *
ngx_comms_prompt_slot(ngx_str_t *text, size_t *len)
{
    u_char                   *p, *last, *end;
    ngx_comms_prompt_slot_t  *slot;

    last = text->data + text->len;

    for (p = text->data; last - p >= 4; p++) {

        if (p[0] != '{' || p[1] != '{') {
            continue;
        }

        end = ngx_strlchr(p, last, '}');

        if (end == NULL || last - end < 2 || end[1] != '}') {
            continue;
        }

        for (slot = ngx_comms_prompt_slots; slot->name.len; slot++) {

            if (slot->name.len != (size_t) (end - p - 2)
                || ngx_memcmp(slot->name.data, p + 2, slot->name.len) != 0)
            {
                continue;
            }

            if (p != text->data) {
                *len = p - text->data;
                return NULL;
            }

            *len = end + 2 - p;
            return slot;
        }
    }

    *len = text->len;

    return NULL;
}


ngx_uint_t
ngx_comms_prompt_template_valid(ngx_str_t *template)
{
    size_t                    len;
    ngx_str_t                 text;
    ngx_uint_t                channels, manners;
    ngx_comms_prompt_slot_t  *slot;

    text = *template;
    channels = 0;
    manners = 0;

    while (text.len) {
        slot = ngx_comms_prompt_slot(&text, &len);

        if (slot == NULL && ngx_strnstr(text.data, "{{", len) != NULL) {
            return 0;
        }

        channels |= (slot && slot->fill == ngx_comms_prompt_fill_channels);
        manners |= (slot && slot->fill == ngx_comms_prompt_fill_manners);

        text.data += len;
        text.len -= len;
    }

    return channels && manners;
}
