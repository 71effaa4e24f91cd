
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * HTML mail to plain text.
 *
 * A tokenizer and no parser: it walks the bytes once, knows tags, comments
 * and character references, and keeps no tree and no stack, so that its time
 * is linear and its memory is the output's, which is never longer than the
 * input and a little.
 *
 * What is left out ("skipped") is an element by name: tags of that name are
 * counted until the one that began it is closed.  Scripts and styles end at
 * their own end tag, whatever stands in them.
 *
 * Quoted history is skipped by the marks that mail software leaves.  When
 * nothing is left then, the mail is read again with the history kept.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_email.h>


#define NGX_COMMS_HTML_MAX_LINK  500


typedef struct {
    ngx_str_t    name;
    ngx_str_t    class;
    ngx_str_t    id;
    ngx_str_t    type;
    ngx_str_t    href;
    unsigned     closing:1;
} ngx_comms_html_tag_t;


typedef struct {
    u_char      *pos;           /* input */
    u_char      *last;

    u_char      *start;         /* output */
    u_char      *out;
    u_char      *end;

    ngx_uint_t   newlines;      /* owed before the next character */
    ngx_uint_t   blank;         /* the same */

    ngx_str_t    skipped;       /* name of the element that is left out */
    ngx_uint_t   depth;

    ngx_str_t    href;          /* of the link that is open */
    u_char      *link;          /* where its text began */

    unsigned     quotes:1;      /* keep quoted history */
    unsigned     done:1;        /* nothing behind is wanted */
} ngx_comms_html_t;


typedef struct {
    const char  *name;
    ngx_uint_t   newlines;
} ngx_comms_html_block_t;


static void ngx_comms_html_walk(ngx_comms_html_t *html);
static ngx_uint_t ngx_comms_html_markup(ngx_comms_html_t *html);
static void ngx_comms_html_past(ngx_comms_html_t *html, const char *mark,
    size_t len);
static u_char *ngx_comms_html_read_tag(ngx_comms_html_t *html,
    ngx_comms_html_tag_t *tag);
static u_char *ngx_comms_html_read_attribute(u_char *p, u_char *last,
    ngx_comms_html_tag_t *tag);
static void ngx_comms_html_tag(ngx_comms_html_t *html,
    ngx_comms_html_tag_t *tag);
static void ngx_comms_html_raw(ngx_comms_html_t *html, ngx_str_t *name);
static ngx_uint_t ngx_comms_html_skip(ngx_comms_html_t *html,
    ngx_comms_html_tag_t *tag);
static void ngx_comms_html_layout(ngx_comms_html_t *html,
    ngx_comms_html_tag_t *tag);
static void ngx_comms_html_link(ngx_comms_html_t *html,
    ngx_comms_html_tag_t *tag);
static ngx_uint_t ngx_comms_html_link_shown(ngx_comms_html_t *html);
static void ngx_comms_html_code(ngx_comms_html_t *html, uint32_t code);
static void ngx_comms_html_put(ngx_comms_html_t *html, u_char *bytes,
    size_t len);
static void ngx_comms_html_newlines(ngx_comms_html_t *html, ngx_uint_t n);
static ngx_uint_t ngx_comms_html_is(ngx_str_t *value, const char *word);
static ngx_uint_t ngx_comms_html_has(ngx_str_t *value, const char *word);


static const ngx_comms_html_block_t  ngx_comms_html_blocks[] = {
    { "p", 2 }, { "div", 1 }, { "li", 1 }, { "ul", 1 }, { "ol", 1 },
    { "tr", 1 }, { "table", 1 }, { "h1", 2 }, { "h2", 2 }, { "h3", 2 },
    { "h4", 2 }, { "h5", 2 }, { "h6", 2 }, { "blockquote", 2 },
    { "pre", 2 }, { "hr", 2 }, { "section", 1 }, { "article", 1 },
    { "header", 1 }, { "footer", 1 }, { "address", 1 }, { "dl", 1 },
    { "dt", 1 }, { "dd", 1 }, { "center", 1 }, { "form", 1 },
    { NULL, 0 }
};


/* classes and ids of elements that hold history or a signature */

static const char *const  ngx_comms_html_quote_classes[] = {
    "gmail_quote", "gmail_signature", "moz-cite-prefix", "moz-signature",
    "yahoo_quoted", "protonmail_quote", "zmail_extra", "tutanota_quote",
    NULL
};


/* what stands before history that follows without an element of its own */

static const char *const  ngx_comms_html_quote_ids[] = {
    "divRplyFwdMsg", "appendonsend", "OLK_SRC_BODY_SECTION",
    "mail-editor-reference-message-container", NULL
};


ngx_int_t
ngx_comms_email_html_text(ngx_pool_t *pool, ngx_str_t *html, ngx_str_t *text)
{
    ngx_str_t         input, charset;
    ngx_uint_t        quotes;
    ngx_comms_html_t  walk;

    input = *html;

    if (input.len > NGX_COMMS_EMAIL_MAX_HTML) {
        input.len = NGX_COMMS_EMAIL_MAX_HTML;

        while (input.len > 0 && (html->data[input.len] & 0xc0) == 0x80) {
            input.len--;
        }
    }

    if (!ngx_comms_utf8_valid(&input)) {
        ngx_str_null(&charset);

        if (ngx_comms_to_utf8(pool, &charset, &input, text) != NGX_OK) {
            return NGX_ERROR;
        }

        input = *text;
    }

    ngx_str_null(text);

    for (quotes = 0; quotes < 2 && text->len == 0; quotes++) {

        ngx_memzero(&walk, sizeof(ngx_comms_html_t));

        walk.pos = input.data;
        walk.last = input.data + input.len;

        walk.start = ngx_pnalloc(pool, input.len + 1);
        if (walk.start == NULL) {
            return NGX_ERROR;
        }

        walk.out = walk.start;
        walk.end = walk.start + input.len;
        walk.quotes = quotes;

        ngx_comms_html_walk(&walk);

        text->data = walk.start;
        text->len = walk.out - walk.start;
    }

    return NGX_OK;
}


static void
ngx_comms_html_walk(ngx_comms_html_t *html)
{
    u_char    *p;
    uint32_t   code;

    while (html->pos < html->last && !html->done) {

        p = html->pos;

        if (*p == '<' && ngx_comms_html_markup(html)) {
            continue;
        }

        if (html->skipped.len) {
            html->pos++;
            continue;
        }

        if (*p == '&') {
            code = ngx_comms_email_entity(&html->pos, html->last);
            ngx_comms_html_code(html, code);
            continue;
        }

        html->pos++;

        if (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'
            || *p == '\f')
        {
            html->blank = 1;
            continue;
        }

        /* the bytes of a character go one by one */

        ngx_comms_html_put(html, p, 1);
    }
}


/* 1 when it was markup, and has been taken */

static ngx_uint_t
ngx_comms_html_markup(ngx_comms_html_t *html)
{
    u_char                *p, *next;
    ngx_comms_html_tag_t   tag;

    p = html->pos + 1;

    if (p == html->last) {
        return 0;
    }

    if (*p == '!' || *p == '?') {

        if (html->last - p >= 3 && p[1] == '-' && p[2] == '-') {
            ngx_comms_html_past(html, "-->", 3);

        } else {
            ngx_comms_html_past(html, ">", 1);
        }

        return 1;
    }

    next = ngx_comms_html_read_tag(html, &tag);

    if (next == NULL) {
        return 0;
    }

    html->pos = next;

    ngx_comms_html_tag(html, &tag);

    return 1;
}


static void
ngx_comms_html_past(ngx_comms_html_t *html, const char *mark, size_t len)
{
    u_char  *p;

    for (p = html->pos; (size_t) (html->last - p) >= len; p++) {
        if (ngx_memcmp(p, mark, len) == 0) {
            html->pos = p + len;
            return;
        }
    }

    html->pos = html->last;
}


/* returns what follows the tag, or NULL when it is none */

static u_char *
ngx_comms_html_read_tag(ngx_comms_html_t *html, ngx_comms_html_tag_t *tag)
{
    u_char  *p, *last;

    ngx_memzero(tag, sizeof(ngx_comms_html_tag_t));

    p = html->pos + 1;
    last = html->last;

    if (p < last && *p == '/') {
        tag->closing = 1;
        p++;
    }

    if (p == last || ngx_tolower(*p) < 'a' || ngx_tolower(*p) > 'z') {
        return NULL;
    }

    tag->name.data = p;

    while (p < last && *p > ' ' && *p != '>' && *p != '/') {
        p++;
    }

    tag->name.len = p - tag->name.data;

    while (p < last && *p != '>') {

        if (*p <= ' ' || *p == '/') {
            p++;
            continue;
        }

        p = ngx_comms_html_read_attribute(p, last, tag);
    }

    return (p < last) ? p + 1 : last;
}


static u_char *
ngx_comms_html_read_attribute(u_char *p, u_char *last,
    ngx_comms_html_tag_t *tag)
{
    u_char     *s, quote;
    ngx_str_t   name, value;

    name.data = p;

    /* a "=" at the start belongs to the name, else nothing would be taken */

    p++;

    while (p < last && *p > ' ' && *p != '=' && *p != '>' && *p != '/') {
        p++;
    }

    name.len = p - name.data;

    for (s = p; s < last && *s <= ' '; s++) { /* void */ }

    if (s == last || *s != '=') {
        return p;
    }

    for (p = s + 1; p < last && *p <= ' '; p++) { /* void */ }

    quote = (p < last && (*p == '"' || *p == '\'')) ? *p++ : '\0';

    value.data = p;

    if (quote != '\0') {
        while (p < last && *p != quote) {
            p++;
        }

    } else {
        while (p < last && *p > ' ' && *p != '>') {
            p++;
        }
    }

    value.len = p - value.data;

    if (ngx_comms_html_is(&name, "class")) {
        tag->class = value;

    } else if (ngx_comms_html_is(&name, "id")) {
        tag->id = value;

    } else if (ngx_comms_html_is(&name, "type")) {
        tag->type = value;

    } else if (ngx_comms_html_is(&name, "href")) {
        tag->href = value;
    }

    return (quote != '\0' && p < last) ? p + 1 : p;
}


static void
ngx_comms_html_tag(ngx_comms_html_t *html, ngx_comms_html_tag_t *tag)
{
    if (html->skipped.len) {

        if (ngx_comms_same_word(&html->skipped, &tag->name)) {

            if (!tag->closing) {
                html->depth++;

            } else if (--html->depth == 0) {
                html->skipped.len = 0;
                ngx_comms_html_newlines(html, 1);
            }
        }

        return;
    }

    if (!tag->closing) {

        if (ngx_comms_html_is(&tag->name, "script")
            || ngx_comms_html_is(&tag->name, "style")
            || ngx_comms_html_is(&tag->name, "title"))
        {
            ngx_comms_html_raw(html, &tag->name);
            return;
        }

        if (ngx_comms_html_skip(html, tag)) {
            return;
        }
    }

    if (ngx_comms_html_is(&tag->name, "a")) {
        ngx_comms_html_link(html, tag);
        return;
    }

    ngx_comms_html_layout(html, tag);
}


/* on to the end tag of an element that holds no markup */

static void
ngx_comms_html_raw(ngx_comms_html_t *html, ngx_str_t *name)
{
    u_char  *p;

    for (p = html->pos; (size_t) (html->last - p) > name->len + 2; p++) {

        if (p[0] == '<' && p[1] == '/'
            && ngx_strncasecmp(p + 2, name->data, name->len) == 0)
        {
            html->pos = p;
            ngx_comms_html_past(html, ">", 1);
            return;
        }
    }

    html->pos = html->last;
}


static ngx_uint_t
ngx_comms_html_skip(ngx_comms_html_t *html, ngx_comms_html_tag_t *tag)
{
    ngx_uint_t  i, quoted;

    if (html->quotes) {
        return 0;
    }

    for (i = 0; ngx_comms_html_quote_ids[i] != NULL; i++) {
        if (ngx_comms_html_has(&tag->id, ngx_comms_html_quote_ids[i])) {
            html->done = 1;
            return 1;
        }
    }

    if (!ngx_comms_html_is(&tag->name, "blockquote")
        && !ngx_comms_html_is(&tag->name, "div")
        && !ngx_comms_html_is(&tag->name, "span")
        && !ngx_comms_html_is(&tag->name, "table"))
    {
        return 0;
    }

    quoted = ngx_comms_html_is(&tag->name, "blockquote")
             && ngx_comms_html_is(&tag->type, "cite");

    for (i = 0; ngx_comms_html_quote_classes[i] != NULL; i++) {
        quoted |= ngx_comms_html_has(&tag->class,
                                     ngx_comms_html_quote_classes[i]);
    }

    if (quoted) {
        html->skipped = tag->name;
        html->depth = 1;
    }

    return quoted;
}


static void
ngx_comms_html_layout(ngx_comms_html_t *html, ngx_comms_html_tag_t *tag)
{
    ngx_uint_t  i;

    if (ngx_comms_html_is(&tag->name, "br")) {
        ngx_comms_html_newlines(html, html->newlines + 1);
        return;
    }

    if (ngx_comms_html_is(&tag->name, "td")
        || ngx_comms_html_is(&tag->name, "th"))
    {
        html->blank = 1;
        return;
    }

    for (i = 0; ngx_comms_html_blocks[i].name != NULL; i++) {

        if (!ngx_comms_html_is(&tag->name, ngx_comms_html_blocks[i].name)) {
            continue;
        }

        ngx_comms_html_newlines(html, ngx_comms_html_blocks[i].newlines);

        if (!tag->closing && ngx_comms_html_is(&tag->name, "li")) {
            ngx_comms_html_put(html, (u_char *) "-", 1);
            html->blank = 1;
        }

        return;
    }
}


/* the address goes behind the link's text, when that does not show it */

static void
ngx_comms_html_link(ngx_comms_html_t *html, ngx_comms_html_tag_t *tag)
{
    u_char    *p, *last;
    uint32_t   code;

    if (!tag->closing) {
        html->href = tag->href;
        html->link = html->out;
        return;
    }

    if (html->href.len == 0
        || html->href.len > NGX_COMMS_HTML_MAX_LINK
        || html->out == html->link
        || ngx_comms_html_link_shown(html))
    {
        html->href.len = 0;
        return;
    }

    html->blank = 1;
    ngx_comms_html_put(html, (u_char *) "(", 1);

    p = html->href.data;
    last = p + html->href.len;

    while (p < last) {

        if (*p == '&') {
            code = ngx_comms_email_entity(&p, last);
            ngx_comms_html_code(html, code);
            continue;
        }

        if (*p > ' ') {
            ngx_comms_html_put(html, p, 1);
        }

        p++;
    }

    ngx_comms_html_put(html, (u_char *) ")", 1);

    html->href.len = 0;
}


/* also 1 when the address is of no use outside the mail */

static ngx_uint_t
ngx_comms_html_link_shown(ngx_comms_html_t *html)
{
    u_char      *p;
    size_t       len, skip;
    ngx_str_t    bare;
    ngx_uint_t   i;

    static const char  *kinds[] = {
        "https://", "http://", "mailto:", "tel:", NULL
    };

    skip = 0;

    for (i = 0; kinds[i] != NULL; i++) {
        len = ngx_strlen(kinds[i]);

        if (html->href.len > len
            && ngx_strncasecmp(html->href.data, (u_char *) kinds[i], len) == 0)
        {
            skip = len;
            break;
        }
    }

    if (skip == 0) {
        return 1;
    }

    bare.data = html->href.data + skip;
    bare.len = html->href.len - skip;

    if (bare.len > 0 && bare.data[bare.len - 1] == '/') {
        bare.len--;
    }

    for (p = html->link; (size_t) (html->out - p) >= bare.len; p++) {
        if (ngx_strncasecmp(p, bare.data, bare.len) == 0) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_comms_html_code(ngx_comms_html_t *html, uint32_t code)
{
    u_char  *p, bytes[4];

    if (code <= ' ' || code == 0xa0) {
        html->blank = 1;
        return;
    }

    /* a soft hyphen is not there unless a line is broken at it */

    if (code == 0xad) {
        return;
    }

    p = bytes;

    if (code < 0x80) {
        *p++ = (u_char) code;

    } else if (code < 0x800) {
        *p++ = (u_char) (0xc0 | (code >> 6));
        *p++ = (u_char) (0x80 | (code & 0x3f));

    } else if (code < 0x10000) {
        *p++ = (u_char) (0xe0 | (code >> 12));
        *p++ = (u_char) (0x80 | ((code >> 6) & 0x3f));
        *p++ = (u_char) (0x80 | (code & 0x3f));

    } else {
        *p++ = (u_char) (0xf0 | (code >> 18));
        *p++ = (u_char) (0x80 | ((code >> 12) & 0x3f));
        *p++ = (u_char) (0x80 | ((code >> 6) & 0x3f));
        *p++ = (u_char) (0x80 | (code & 0x3f));
    }

    ngx_comms_html_put(html, bytes, p - bytes);
}


/* all of the bytes or, when the room is used up, none, so that no character
   is cut; what is owed goes before them */

static void
ngx_comms_html_put(ngx_comms_html_t *html, u_char *bytes, size_t len)
{
    size_t  owed;

    if (html->out == html->start) {
        html->newlines = 0;
        html->blank = 0;
    }

    owed = html->newlines ? html->newlines : html->blank;

    if ((size_t) (html->end - html->out) < owed + len) {
        html->done = 1;
        return;
    }

    if (owed > 0) {
        ngx_memset(html->out, html->newlines ? '\n' : ' ', owed);
        html->out += owed;
    }

    html->newlines = 0;
    html->blank = 0;

    html->out = ngx_cpymem(html->out, bytes, len);
}


/* at least so many line ends are owed, and never more than two */

static void
ngx_comms_html_newlines(ngx_comms_html_t *html, ngx_uint_t n)
{
    n = ngx_min(n, 2);

    if (html->newlines < n) {
        html->newlines = n;
    }
}


static ngx_uint_t
ngx_comms_html_is(ngx_str_t *value, const char *word)
{
    size_t  len;

    len = ngx_strlen(word);

    return value->len == len
           && ngx_strncasecmp(value->data, (u_char *) word, len) == 0;
}


/* does the value hold the word, in this letter case? */

static ngx_uint_t
ngx_comms_html_has(ngx_str_t *value, const char *word)
{
    size_t  i, len;

    len = ngx_strlen(word);

    for (i = 0; i + len <= value->len; i++) {
        if (ngx_memcmp(value->data + i, word, len) == 0) {
            return 1;
        }
    }

    return 0;
}
