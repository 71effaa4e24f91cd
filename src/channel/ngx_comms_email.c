
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Email: ids and addresses of mails, and what goes in and comes out as text.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_json.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_email.h>


static ngx_int_t ngx_comms_email_attachments(ngx_pool_t *pool,
    ngx_array_t *attachments, ngx_str_t *content);
static u_char *ngx_comms_email_html_char(u_char *p, u_char ch);


ngx_int_t
ngx_comms_email_message_id(ngx_pool_t *pool, ngx_str_t *thread_id,
    ngx_str_t *entry_id, ngx_str_t *company_email, ngx_str_t *message_id)
{
    u_char     *p, *at, *last;
    ngx_str_t   domain;

    last = company_email->data + company_email->len;

    at = ngx_strlchr(company_email->data, last, '@');
    if (at == NULL) {
        return NGX_ERROR;
    }

    domain.data = at + 1;
    domain.len = last - domain.data;

    p = ngx_pnalloc(pool, thread_id->len + entry_id->len + domain.len
                          + sizeof("<.@>") - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    message_id->data = p;
    message_id->len = ngx_sprintf(p, "<%V.%V@%V>", thread_id, entry_id,
                                  &domain)
                      - p;

    ngx_strlow(p, p, message_id->len);

    return NGX_OK;
}


ngx_int_t
ngx_comms_email_plus(ngx_pool_t *pool, ngx_str_t *address, ngx_str_t *token,
    ngx_str_t *plussed)
{
    u_char     *p, *at, *last;
    ngx_str_t   local, domain;

    last = address->data + address->len;

    at = ngx_strlchr(address->data, last, '@');
    if (at == NULL) {
        return NGX_ERROR;
    }

    local.data = address->data;
    local.len = at - address->data;
    domain.data = at + 1;
    domain.len = last - domain.data;

    p = ngx_pnalloc(pool, address->len + 1 + token->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    plussed->data = p;
    plussed->len = ngx_sprintf(p, "%V+%V@%V", &local, token, &domain) - p;

    return NGX_OK;
}


ngx_int_t
ngx_comms_email_unplus(ngx_pool_t *pool, ngx_str_t *address, ngx_str_t *bare,
    ngx_str_t *plus)
{
    u_char  *p, *at, *sign, *last;

    *bare = *address;
    ngx_str_null(plus);

    last = address->data + address->len;

    at = ngx_strlchr(address->data, last, '@');
    if (at == NULL) {
        return NGX_DECLINED;
    }

    sign = ngx_strlchr(address->data, at, '+');
    if (sign == NULL || sign == address->data || sign + 1 == at) {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(pool, address->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    bare->data = p;

    p = ngx_cpymem(p, address->data, sign - address->data);
    p = ngx_cpymem(p, at, last - at);

    bare->len = p - bare->data;

    plus->data = sign + 1;
    plus->len = at - plus->data;

    return NGX_OK;
}


ngx_int_t
ngx_comms_email_text_html(ngx_pool_t *pool, ngx_str_t *text, ngx_str_t *html)
{
    u_char      *p, *s, *last;
    ngx_str_t    trimmed;
    ngx_uint_t   breaks;

    static const char  front[] = "<!DOCTYPE html>\n<html><body>\n<p>";
    static const char  back[] = "</p>\n</body></html>\n";

    trimmed = ngx_comms_trim(*text);

    /* no character becomes longer than "&quot;", nor a break than <br> */

    p = ngx_pnalloc(pool, sizeof(front) + sizeof(back)
                          + trimmed.len * (sizeof("</p>\n<p>") - 1));
    if (p == NULL) {
        return NGX_ERROR;
    }

    html->data = p;

    p = ngx_cpymem(p, front, sizeof(front) - 1);

    breaks = 0;
    last = trimmed.data + trimmed.len;

    for (s = trimmed.data; s < last; s++) {

        if (*s == '\r') {
            continue;
        }

        if (*s == '\n') {
            breaks++;
            continue;
        }

        if (breaks == 1) {
            p = ngx_cpymem(p, "<br>\n", sizeof("<br>\n") - 1);

        } else if (breaks > 1) {
            p = ngx_cpymem(p, "</p>\n<p>", sizeof("</p>\n<p>") - 1);
        }

        breaks = 0;
        p = ngx_comms_email_html_char(p, *s);
    }

    p = ngx_cpymem(p, back, sizeof(back) - 1);

    html->len = p - html->data;

    return NGX_OK;
}


static u_char *
ngx_comms_email_html_char(u_char *p, u_char ch)
{
    switch (ch) {

    case '<':
        return ngx_cpymem(p, "&lt;", sizeof("&lt;") - 1);

    case '>':
        return ngx_cpymem(p, "&gt;", sizeof("&gt;") - 1);

    case '&':
        return ngx_cpymem(p, "&amp;", sizeof("&amp;") - 1);

    case '"':
        return ngx_cpymem(p, "&quot;", sizeof("&quot;") - 1);

    case '\'':
        return ngx_cpymem(p, "&#39;", sizeof("&#39;") - 1);

    default:
        *p++ = ch;
        return p;
    }
}


ngx_int_t
ngx_comms_email_content(ngx_pool_t *pool, ngx_str_t *text, ngx_str_t *html,
    ngx_array_t *attachments, json_t *event)
{
    ngx_str_t  plain, written, content;

    plain = ngx_comms_trim(*text);

    if (plain.len == 0 && html->len > 0) {

        if (ngx_comms_email_html_text(pool, html, &plain) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_comms_email_unquote(pool, &plain, &written) != NGX_OK) {
        return NGX_ERROR;
    }

    if (written.len == 0
        && ngx_comms_email_attachments(pool, attachments, &written) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_comms_shorten(pool, &written, NGX_COMMS_EMAIL_MAX_CONTENT,
                          &content)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (content.len == 0) {
        ngx_str_set(&content, "[message without text]");
    }

    return ngx_comms_json_set_str(event, "content", &content);
}


static ngx_int_t
ngx_comms_email_attachments(ngx_pool_t *pool, ngx_array_t *attachments,
    ngx_str_t *content)
{
    u_char      *p;
    size_t       len;
    ngx_str_t   *name;
    ngx_uint_t   i;

    len = 0;
    name = attachments->elts;

    for (i = 0; i < attachments->nelts; i++) {
        len += name[i].len + sizeof("[attachment: ]");
    }

    if (len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    content->data = p;

    for (i = 0; i < attachments->nelts; i++) {
        p = ngx_sprintf(p, (i == 0) ? "[attachment: %V]"
                                    : "\n[attachment: %V]", &name[i]);
    }

    content->len = p - content->data;

    return NGX_OK;
}
