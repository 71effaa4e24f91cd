
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * A scanner without a tree: it goes forward through the text once.
 *
 * Invariants: nothing is read behind "last"; a document type is refused, so
 * that no entity but the five of XML and character references exists; a
 * closing tag must be that of the open element; text is never longer than its
 * source, for which reason it is decoded into as many bytes.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_text.h>
#include <aws/ngx_comms_aws_xml.h>


#define NGX_COMMS_AWS_XML_NAME    128
#define NGX_COMMS_AWS_XML_ENTITY  10


static ngx_int_t ngx_comms_aws_xml_skip(ngx_comms_aws_xml_t *xml,
    const char *start, const char *end);
static ngx_int_t ngx_comms_aws_xml_open(ngx_comms_aws_xml_t *xml,
    ngx_uint_t *empty);
static ngx_int_t ngx_comms_aws_xml_close(ngx_comms_aws_xml_t *xml,
    ngx_str_t *name);
static ngx_int_t ngx_comms_aws_xml_name(ngx_comms_aws_xml_t *xml,
    ngx_str_t *name);
static ngx_int_t ngx_comms_aws_xml_text(ngx_comms_aws_xml_t *xml,
    ngx_pool_t *pool, ngx_str_t *text);
static u_char *ngx_comms_aws_xml_entity(ngx_comms_aws_xml_t *xml, u_char *dst);
static u_char *ngx_comms_aws_xml_reference(ngx_str_t *entity, u_char *dst);
static ngx_uint_t ngx_comms_aws_xml_at(ngx_comms_aws_xml_t *xml,
    const char *text);
static void ngx_comms_aws_xml_blanks(ngx_comms_aws_xml_t *xml);


void
ngx_comms_aws_xml_init(ngx_comms_aws_xml_t *xml, ngx_str_t *text)
{
    ngx_memzero(xml, sizeof(ngx_comms_aws_xml_t));

    xml->pos = text->data;
    xml->last = text->data + text->len;
}


ngx_int_t
ngx_comms_aws_xml_next(ngx_comms_aws_xml_t *xml, ngx_pool_t *pool,
    ngx_str_t *name, ngx_str_t *text)
{
    ngx_int_t   rc;
    ngx_uint_t  empty, leaf;

    /* 1: the element that was opened last has had no elements in it */
    leaf = 0;

    for ( ;; ) {

        if (!leaf) {
            ngx_comms_aws_xml_blanks(xml);

            if (xml->pos == xml->last) {
                return (xml->depth == 0 && xml->root) ? NGX_DONE : NGX_ERROR;
            }
        }

        if (leaf) {
            rc = ngx_comms_aws_xml_text(xml, pool, text);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        if (ngx_comms_aws_xml_at(xml, "</")) {
            rc = ngx_comms_aws_xml_close(xml, name);

            if (rc != NGX_OK || leaf) {
                return rc;
            }

            continue;
        }

        if (leaf && ngx_comms_trim(*text).len != 0) {
            /* text and elements mixed: no answer of these services */
            return NGX_ERROR;
        }

        if (ngx_comms_aws_xml_at(xml, "<?")) {
            rc = ngx_comms_aws_xml_skip(xml, "<?", "?>");

        } else if (ngx_comms_aws_xml_at(xml, "<!--")) {
            rc = ngx_comms_aws_xml_skip(xml, "<!--", "-->");

        } else {
            rc = ngx_comms_aws_xml_open(xml, &empty);
            leaf = 1;

            if (rc == NGX_OK && empty) {
                *name = xml->parents[--xml->depth];
                ngx_str_null(text);
                return NGX_OK;
            }
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }
}


static ngx_int_t
ngx_comms_aws_xml_skip(ngx_comms_aws_xml_t *xml, const char *start,
    const char *end)
{
    u_char  *p;
    size_t   len;

    len = ngx_strlen(end);

    for (p = xml->pos + ngx_strlen(start);
         p < xml->last && (size_t) (xml->last - p) >= len;
         p++)
    {
        if (ngx_memcmp(p, end, len) == 0) {
            xml->pos = p + len;
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


/* attributes are passed over: the answers have but namespaces there */

static ngx_int_t
ngx_comms_aws_xml_open(ngx_comms_aws_xml_t *xml, ngx_uint_t *empty)
{
    u_char     *p, quote;
    ngx_str_t   name;

    if (!ngx_comms_aws_xml_at(xml, "<")
        || xml->depth == NGX_COMMS_AWS_XML_DEPTH
        || (xml->depth == 0 && xml->root))
    {
        return NGX_ERROR;
    }

    xml->pos++;
    xml->root = 1;

    if (ngx_comms_aws_xml_name(xml, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    quote = 0;

    for (p = xml->pos; p < xml->last; p++) {

        if (quote) {
            if (*p == quote) {
                quote = 0;
            }

            continue;
        }

        if (*p == '"' || *p == '\'') {
            quote = *p;
            continue;
        }

        if (*p == '<') {
            return NGX_ERROR;
        }

        if (*p == '>') {
            *empty = (p > xml->pos && p[-1] == '/');
            xml->pos = p + 1;
            xml->parents[xml->depth++] = name;
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_comms_aws_xml_close(ngx_comms_aws_xml_t *xml, ngx_str_t *name)
{
    ngx_str_t  *open;

    xml->pos += 2;

    if (xml->depth == 0 || ngx_comms_aws_xml_name(xml, name) != NGX_OK) {
        return NGX_ERROR;
    }

    open = &xml->parents[--xml->depth];

    if (open->len != name->len
        || ngx_memcmp(open->data, name->data, name->len) != 0)
    {
        return NGX_ERROR;
    }

    ngx_comms_aws_xml_blanks(xml);

    if (xml->pos == xml->last || *xml->pos != '>') {
        return NGX_ERROR;
    }

    xml->pos++;

    return NGX_OK;
}


static ngx_int_t
ngx_comms_aws_xml_name(ngx_comms_aws_xml_t *xml, ngx_str_t *name)
{
    u_char  *p, ch;

    name->data = xml->pos;

    for (p = xml->pos; p < xml->last; p++) {
        ch = *p;

        if (ch == ':') {
            name->data = p + 1;
            continue;
        }

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
            || (ch >= '0' && ch <= '9') || ch == '_' || ch == '-'
            || ch == '.')
        {
            continue;
        }

        break;
    }

    name->len = p - name->data;
    xml->pos = p;

    return (name->len != 0 && name->len <= NGX_COMMS_AWS_XML_NAME)
           ? NGX_OK : NGX_ERROR;
}


/* up to the next tag, with CDATA sections taken in */

static ngx_int_t
ngx_comms_aws_xml_text(ngx_comms_aws_xml_t *xml, ngx_pool_t *pool,
    ngx_str_t *text)
{
    size_t   len;
    u_char  *dst, *start;

    for (start = xml->pos; start < xml->last && *start != '<'; start++) {
        /* void */
    }

    len = start - xml->pos;

    if (ngx_comms_aws_xml_at(xml, "<![CDATA[")
        || (start < xml->last && xml->last - start >= 9
            && ngx_memcmp(start, "<![CDATA[", 9) == 0))
    {
        len = xml->last - xml->pos;
    }

    dst = ngx_pnalloc(pool, len + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    text->data = dst;

    while (xml->pos < xml->last) {

        if (ngx_comms_aws_xml_at(xml, "<![CDATA[")) {
            start = xml->pos + 9;

            if (ngx_comms_aws_xml_skip(xml, "<![CDATA[", "]]>") != NGX_OK) {
                return NGX_ERROR;
            }

            dst = ngx_cpymem(dst, start, xml->pos - 3 - start);
            continue;
        }

        if (*xml->pos == '<') {
            break;
        }

        if (*xml->pos == '\0') {
            return NGX_ERROR;
        }

        if (*xml->pos != '&') {
            *dst++ = *xml->pos++;
            continue;
        }

        dst = ngx_comms_aws_xml_entity(xml, dst);
        if (dst == NULL) {
            return NGX_ERROR;
        }
    }

    if (xml->pos == xml->last) {
        return NGX_ERROR;
    }

    text->len = dst - text->data;

    return NGX_OK;
}


static u_char *
ngx_comms_aws_xml_entity(ngx_comms_aws_xml_t *xml, u_char *dst)
{
    u_char      *end, *last;
    ngx_str_t    entity;
    ngx_uint_t   i;

    static struct {
        ngx_str_t   name;
        u_char      ch;
    } entities[] = {
        { ngx_string("lt"), '<' },
        { ngx_string("gt"), '>' },
        { ngx_string("amp"), '&' },
        { ngx_string("quot"), '"' },
        { ngx_string("apos"), '\'' }
    };

    entity.data = xml->pos + 1;
    last = ngx_min(xml->last, entity.data + NGX_COMMS_AWS_XML_ENTITY);

    end = ngx_strlchr(entity.data, last, ';');
    if (end == NULL) {
        return NULL;
    }

    entity.len = end - entity.data;
    xml->pos = end + 1;

    if (entity.len > 1 && entity.data[0] == '#') {
        return ngx_comms_aws_xml_reference(&entity, dst);
    }

    for (i = 0; i < sizeof(entities) / sizeof(entities[0]); i++) {
        if (entity.len == entities[i].name.len
            && ngx_memcmp(entity.data, entities[i].name.data, entity.len) == 0)
        {
            *dst++ = entities[i].ch;
            return dst;
        }
    }

    return NULL;
}


/* "#65" or "#x41": never longer in UTF-8 than it is here */

static u_char *
ngx_comms_aws_xml_reference(ngx_str_t *entity, u_char *dst)
{
    ngx_int_t  n;

    if (entity->data[1] == 'x') {
        n = ngx_hextoi(entity->data + 2, entity->len - 2);

    } else {
        n = ngx_atoi(entity->data + 1, entity->len - 1);
    }

    if (n <= 0 || n > 0x10ffff || (n >= 0xd800 && n <= 0xdfff)) {
        return NULL;
    }

    if (n < 0x80) {
        *dst++ = (u_char) n;
        return dst;
    }

    if (n < 0x800) {
        *dst++ = (u_char) (0xc0 | (n >> 6));

    } else {

        if (n < 0x10000) {
            *dst++ = (u_char) (0xe0 | (n >> 12));

        } else {
            *dst++ = (u_char) (0xf0 | (n >> 18));
            *dst++ = (u_char) (0x80 | ((n >> 12) & 0x3f));
        }

        *dst++ = (u_char) (0x80 | ((n >> 6) & 0x3f));
    }

    *dst++ = (u_char) (0x80 | (n & 0x3f));

    return dst;
}


static ngx_uint_t
ngx_comms_aws_xml_at(ngx_comms_aws_xml_t *xml, const char *text)
{
    size_t  len;

    len = ngx_strlen(text);

    return (size_t) (xml->last - xml->pos) >= len
           && ngx_memcmp(xml->pos, text, len) == 0;
}


static void
ngx_comms_aws_xml_blanks(ngx_comms_aws_xml_t *xml)
{
    while (xml->pos < xml->last
           && (*xml->pos == ' ' || *xml->pos == '\t' || *xml->pos == CR
               || *xml->pos == LF))
    {
        xml->pos++;
    }
}
