
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * From a message of the record to what goes out on its channel: the names,
 * the template's variables, the identity of a mail.
 *
 * Everything is taken from the message, the project and the facts, so that
 * composing the same message again after a crash gives the same bytes.
 */


#include <flow/ngx_comms_thread.h>
#include <base/ngx_comms_id.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_address.h>
#include <channel/ngx_comms_email.h>
#include <channel/ngx_comms_sms.h>


static ngx_int_t ngx_comms_compose_marker(ngx_comms_flow_t *f,
    json_t *config);
static ngx_int_t ngx_comms_compose_name(ngx_comms_flow_t *f);
static ngx_int_t ngx_comms_compose_template(ngx_comms_flow_t *f,
    json_t *config);
static ngx_int_t ngx_comms_compose_variable(ngx_comms_flow_t *f,
    ngx_str_t *source, ngx_str_t *value);
static json_t *ngx_comms_compose_fact(ngx_comms_flow_t *f, ngx_str_t *source);
static ngx_int_t ngx_comms_compose_sms(ngx_comms_flow_t *f, json_t *config);
static ngx_int_t ngx_comms_compose_email(ngx_comms_flow_t *f, json_t *config);
static ngx_int_t ngx_comms_compose_unsubscribe(ngx_comms_flow_t *f,
    json_t *config, ngx_str_t *key);
static ngx_int_t ngx_comms_compose_reply_to(ngx_comms_flow_t *f,
    json_t *config, ngx_str_t *company_email);


ngx_int_t
ngx_comms_compose(ngx_comms_flow_t *f, const char **words)
{
    json_t                *config;
    ngx_str_t              content;
    ngx_comms_send_t      *s;
    ngx_comms_thread_t    *t;
    ngx_comms_outbound_t  *out;

    t = f->ctx;
    s = &t->send;
    out = &s->outbound;

    config = ngx_comms_project_channel(t->project, s->channel);

    if (config == NULL) {
        *words = "channel is not configured";
        return NGX_DECLINED;
    }

    out->channel = s->channel;

    if (ngx_comms_thread_str(f, s->message, "company_address",
                             &out->company_address) != NGX_OK
        || ngx_comms_thread_str(f, s->message, "person_address",
                                &out->person_address) != NGX_OK
        || ngx_comms_thread_str(f, s->message, "content", &content) != NGX_OK
        || ngx_comms_compose_marker(f, config) != NGX_OK
        || ngx_comms_compose_name(f) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (out->company_address.len == 0 || out->person_address.len == 0
        || content.len == 0)
    {
        *words = "message lacks an address or its text";
        return NGX_DECLINED;
    }

    if (ngx_comms_shorten(f->pool, &content,
                          ngx_comms_prompt_limit(t->project->config,
                                    &ngx_comms_channel_names[s->channel]),
                          &out->content)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (s->channel == NGX_COMMS_EMAIL) {
        return ngx_comms_compose_email(f, config);
    }

    if (s->channel == NGX_COMMS_SMS) {
        return ngx_comms_compose_sms(f, config);
    }

    if (s->template) {
        return ngx_comms_compose_template(f, config);
    }

    return NGX_OK;
}


/* what a delivery report brings back, and where to */

static ngx_int_t
ngx_comms_compose_marker(ngx_comms_flow_t *f, json_t *config)
{
    ngx_str_t              entry_id;
    ngx_comms_thread_t    *t;
    ngx_comms_outbound_t  *out;

    t = f->ctx;
    out = &t->send.outbound;

    (void) ngx_comms_json_str(t->send.message, "entry_id", &entry_id);

    out->marker.data = ngx_pnalloc(f->pool, t->thread_id.len + 1
                                            + entry_id.len);
    if (out->marker.data == NULL) {
        return NGX_ERROR;
    }

    out->marker.len = ngx_sprintf(out->marker.data, "%V.%V", &t->thread_id,
                                  &entry_id)
                      - out->marker.data;

    return ngx_comms_thread_str(f, config, "status_callback",
                                &out->status_callback);
}


static ngx_int_t
ngx_comms_compose_name(ngx_comms_flow_t *f)
{
    u_char              *p;
    ngx_str_t            first, last, *name;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    name = &t->send.outbound.person_name;

    (void) ngx_comms_json_str(t->facts, "recipient_first_name", &first);
    (void) ngx_comms_json_str(t->facts, "recipient_last_name", &last);

    if (first.len + last.len == 0) {
        return NGX_OK;
    }

    name->data = ngx_pnalloc(f->pool, first.len + 1 + last.len);
    if (name->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(name->data, first.data, first.len);

    if (first.len && last.len) {
        *p++ = ' ';
    }

    p = ngx_cpymem(p, last.data, last.len);
    name->len = p - name->data;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_compose_template(ngx_comms_flow_t *f, json_t *config)
{
    json_t              *source, *values, *variables;
    ngx_str_t            from, value;
    const char          *key;
    ngx_comms_send_t    *s;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    s = &t->send;

    if (ngx_comms_thread_str(f, config, "whatsapp_template_sid",
                             &s->outbound.template_sid)
        != NGX_OK
        || ngx_comms_thread_str(f, config, "whatsapp_template_name",
                                &s->outbound.template_name)
           != NGX_OK
        || ngx_comms_thread_str(f, config, "whatsapp_template_language",
                                &s->outbound.template_language)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    values = json_object();
    if (values == NULL) {
        return NGX_ERROR;
    }

    json_decref(s->outbound.template_variables);
    s->outbound.template_variables = values;

    variables = json_object_get(config, "whatsapp_template_variables");

    json_object_foreach(variables, key, source) {
        from = ngx_comms_json_view(source);

        if (ngx_comms_compose_variable(f, &from, &value) != NGX_OK
            || ngx_comms_json_set_str(values, key, &value) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* a variable may not be empty: WhatsApp refuses the whole message then */

static ngx_int_t
ngx_comms_compose_variable(ngx_comms_flow_t *f, ngx_str_t *source,
    ngx_str_t *value)
{
    json_t              *fact;
    ngx_str_t            text;
    ngx_comms_thread_t  *t;

    t = f->ctx;

    if (source->len == sizeof("message") - 1
        && ngx_strncmp(source->data, "message", source->len) == 0)
    {
        text = t->send.outbound.content;

    } else {
        fact = ngx_comms_compose_fact(f, source);

        if (json_is_integer(fact)) {
            text.data = ngx_pnalloc(f->pool, NGX_INT64_LEN);
            if (text.data == NULL) {
                return NGX_ERROR;
            }

            text.len = ngx_sprintf(text.data, "%L",
                                   (int64_t) json_integer_value(fact))
                       - text.data;

        } else {
            text = ngx_comms_json_view(fact);
        }
    }

    if (ngx_comms_one_line(f->pool, &text, value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (value->len == 0) {
        ngx_str_set(value, "-");
    }

    return NGX_OK;
}


/* "recipient_first_name", "project_data.jobRole", "company_rep.name" */

static json_t *
ngx_comms_compose_fact(ngx_comms_flow_t *f, ngx_str_t *source)
{
    u_char              *dot, *last;
    json_t              *fact;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    last = source->data + source->len;
    dot = ngx_strlchr(source->data, last, '.');

    if (dot == NULL) {
        fact = json_object_getn(t->facts, (char *) source->data, source->len);

        return fact ? fact : json_object_getn(t->project->config,
                                              (char *) source->data,
                                              source->len);
    }

    fact = json_object_getn(t->facts, (char *) source->data,
                            dot - source->data);
    if (fact == NULL) {
        fact = json_object_getn(t->project->config, (char *) source->data,
                                dot - source->data);
    }

    return json_object_getn(fact, (char *) dot + 1, last - dot - 1);
}


static ngx_int_t
ngx_comms_compose_sms(ngx_comms_flow_t *f, json_t *config)
{
    ngx_str_t             *texts;
    ngx_array_t            pieces;
    ngx_comms_sms_t        sms;
    ngx_comms_thread_t    *t;
    ngx_comms_outbound_t  *out;

    t = f->ctx;
    out = &t->send.outbound;

    ngx_comms_sms_count(&out->content, &sms);

    if (sms.segments > ngx_comms_parts_segments(config)) {

        /* who wrote it knew of another limit */

        if (ngx_array_init(&pieces, f->pool, 4, sizeof(ngx_str_t)) != NGX_OK
            || ngx_comms_parts_cut(f->pool, config, &out->content, &pieces)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        texts = pieces.elts;
        out->content = texts[0];
    }

    return ngx_comms_thread_str(f, config, "messaging_service_sid",
                                &out->messaging_service);
}


static ngx_int_t
ngx_comms_compose_email(ngx_comms_flow_t *f, json_t *config)
{
    ngx_str_t              entry_id, company;
    ngx_comms_send_t      *s;
    ngx_comms_thread_t    *t;
    ngx_comms_outbound_t  *out;

    t = f->ctx;
    s = &t->send;
    out = &s->outbound;

    company = ngx_comms_address_bare(&out->company_address);
    (void) ngx_comms_json_str(s->message, "entry_id", &entry_id);

    if (ngx_comms_thread_str(f, s->message, "subject", &out->subject) != NGX_OK
        || ngx_comms_thread_str(f, s->message, "in_reply_to",
                                &out->in_reply_to) != NGX_OK
        || ngx_comms_thread_str(f, s->message, "references",
                                &out->references) != NGX_OK
        || ngx_comms_thread_str(f, config, "sender_name", &out->sender_name)
           != NGX_OK
        || ngx_comms_email_message_id(f->pool, &t->thread_id, &entry_id,
                                      &company, &out->message_id) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (out->subject.len == 0
        && ngx_comms_thread_str(f, config, "default_subject", &out->subject)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (out->subject.len == 0
        && ngx_comms_thread_str(f, t->project->config, "project_name",
                                &out->subject)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (out->sender_name.len == 0
        && ngx_comms_thread_str(f, t->project->config, "company_name",
                                &out->sender_name)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_compose_reply_to(f, config, &company);
}


/* an answer finds its thread by this address when its headers were lost */

static ngx_int_t
ngx_comms_compose_reply_to(ngx_comms_flow_t *f, json_t *config,
    ngx_str_t *company_email)
{
    ngx_str_t              base, key, token;
    ngx_comms_send_t      *s;
    ngx_comms_thread_t    *t;

    t = f->ctx;
    s = &t->send;

    if (ngx_comms_json_str(config, "reply_to", &base) != NGX_OK) {
        base = *company_email;
    }

    key = ngx_comms_json_view(json_array_get(
                              json_object_get(s->credentials, "reply_keys"),
                              0));

    if (key.len == 0) {
        s->outbound.reply_to.len = base.len;
        s->outbound.reply_to.data = ngx_pstrdup(f->pool, &base);

        return s->outbound.reply_to.data ? NGX_OK : NGX_ERROR;
    }

    if (ngx_comms_compose_unsubscribe(f, config, &key) != NGX_OK
        || ngx_comms_reply_token(f->pool, &key, &t->thread_id, &token)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_comms_email_plus(f->pool, &base, &token,
                                &s->outbound.reply_to);
}


/* the location of "comms_unsubscribe", and a token behind it */

static ngx_int_t
ngx_comms_compose_unsubscribe(ngx_comms_flow_t *f, json_t *config,
    ngx_str_t *key)
{
    u_char              *p;
    ngx_str_t            base, token, *url;
    ngx_comms_thread_t  *t;

    t = f->ctx;
    url = &t->send.outbound.unsubscribe;

    if (ngx_comms_json_str(config, "unsubscribe_url", &base) != NGX_OK) {
        return NGX_OK;
    }

    if (base.data[base.len - 1] == '/') {
        base.len--;
    }

    if (ngx_comms_unsubscribe_token(f->pool, key, &t->thread_id, &token)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(f->pool, base.len + 1 + token.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    url->data = p;
    url->len = ngx_sprintf(p, "%V/%V", &base, &token) - p;

    return NGX_OK;
}
