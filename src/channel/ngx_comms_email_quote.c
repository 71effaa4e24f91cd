
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * What a person wrote into a plain-text mail, and what their software quoted.
 *
 * The text is read once, line by line.  A line is one of:
 *
 *   own           kept
 *   quoted        begins with ">": left out; own lines may follow it, since
 *                 people answer below and between
 *   attribution   "On <date> <somebody> wrote:" over up to four lines.  When
 *                 ">" lines follow it is left out as they are; when not, all
 *                 that follows is history
 *   forwarded     "---- Forwarded message ----": it and all behind it are kept
 *   the end       "-- ", "-----Original Message-----", Outlook's block of
 *                 From:, Sent:, To:, Subject:; nothing behind it is kept
 *
 * An attribution must end with a colon and hold a digit, and one that is not
 * followed by ">" also a time or an address: "On Monday she wrote:" may well
 * be the person's own text.  When in doubt text is kept: too much history
 * costs the AI a little attention, a lost answer costs the conversation.
 *
 * To add a language: add rows to the tables.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <base/ngx_comms_text.h>
#include <channel/ngx_comms_email.h>


#define NGX_COMMS_EMAIL_MAX_ATTRIBUTION  512   /* bytes */
#define NGX_COMMS_EMAIL_MAX_WRAP         4     /* lines */
#define NGX_COMMS_EMAIL_MAX_BLOCK        8     /* lines of Outlook's block */
#define NGX_COMMS_EMAIL_MAX_PHONE_LINE   80    /* bytes of "Sent from ..." */


typedef struct {
    u_char      *pos;       /* next line */
    u_char      *last;
    ngx_str_t    line;      /* without its end and blanks behind it */
} ngx_comms_email_lines_t;


typedef struct {
    const char  *front;     /* "" when the sentence may begin with anything */
    const char  *verb;
} ngx_comms_email_attribution_t;


static u_char *ngx_comms_email_rest(u_char *p, u_char *start,
    ngx_comms_email_lines_t *lines);
static ngx_int_t ngx_comms_email_bound(ngx_pool_t *pool, ngx_str_t *text,
    ngx_str_t *whole);
static ngx_uint_t ngx_comms_email_line(ngx_comms_email_lines_t *lines);
static ngx_uint_t ngx_comms_email_line_filled(ngx_comms_email_lines_t *lines);
static ngx_uint_t ngx_comms_email_is_end(ngx_comms_email_lines_t *lines);
static ngx_uint_t ngx_comms_email_is_separator(ngx_str_t *line);
static ngx_uint_t ngx_comms_email_is_forward(ngx_str_t *line);
static ngx_uint_t ngx_comms_email_titled(ngx_str_t *line, size_t dashes,
    const char *const *titles);
static ngx_uint_t ngx_comms_email_is_block(ngx_comms_email_lines_t *lines);
static ngx_uint_t ngx_comms_email_field(ngx_str_t *line,
    const char *const *names);
static ngx_int_t ngx_comms_email_attribution(ngx_comms_email_lines_t *lines);
static ngx_uint_t ngx_comms_email_attributes(ngx_str_t *text,
    ngx_uint_t *sure);
static u_char *ngx_comms_email_find(ngx_str_t *text, const char *word);
static u_char *ngx_comms_email_join(u_char *p, u_char *end, ngx_str_t *line);
static void ngx_comms_email_cut_phone_line(ngx_str_t *text);


static const ngx_comms_email_attribution_t  ngx_comms_email_attributions[] = {
    { "On ", "wrote" },
    { "Am ", "schrieb" },
    { "Am ", "geschrieben" },
    { "Le ", "\xc3\xa9" "crit" },
    { "El ", "escribi\xc3\xb3" },
    { "El ", "ha escrito" },
    { "Il ", "ha scritto" },
    { "Op ", "schreef" },
    { "Op ", "geschreven" },
    { "Em ", "escreveu" },
    { "No dia ", "escreveu" },
    { "Den ", "skrev" },
    { "W dniu ", "napisa\xc5\x82" },
    { "W dniu ", "pisze" },
    { "Dnia ", "napisa\xc5\x82" },
    { "Dne ", "napsal" },
    { "", "wrote:" },
    { "", "schrieb am" },
    { "", "schrieb:" },
    { "", "escribi\xc3\xb3:" },
    { "", "ha scritto:" },
    { "", "escreveu:" },
    { "", "schreef:" },
    { "", "kirjoitti" },
    { "", "napisa\xc5\x82(a)" },
    { "", "\xd0\xbf\xd0\xb8\xd1\x88\xd0\xb5\xd1\x82" },
    { "", "\xd0\xbd\xd0\xb0\xd0\xbf\xd0\xb8\xd1\x81\xd0\xb0\xd0\xbb" },
    { "", "\xd0\xbf\xd0\xb8\xd1\x81\xd0\xb0\xd0\xbb" },
    { "", "yazd\xc4\xb1" },
    { "", "\xe5\x86\x99\xe9\x81\x93" },
    { "", "\xe5\xaf\xab\xe9\x81\x93" },
    { "", "\xe3\x81\xae\xe3\x83\xa1\xe3\x83\xbc\xe3\x83\xab" },
    { "", "\xe6\x9b\xb8\xe3\x81\x8d\xe3\x81\xbe\xe3\x81\x97\xe3\x81\x9f" },
    { NULL, NULL }
};


/* within rows of "-" */

static const char *const  ngx_comms_email_separators[] = {
    "Original Message", "Original message", "Original Appointment",
    "Urspr\xc3\xbcngliche Nachricht", "Original-Nachricht",
    "Originalnachricht", "Message d'origine", "Message original",
    "Message d\xe2\x80\x99origine", "Mensaje original", "Mensagem original",
    "Messaggio originale", "Oorspronkelijk bericht",
    "Oorspronkelijke bericht", "Ursprungligt meddelande",
    "Originalmeddelande", "Oprindelig meddelelse", "Opprinnelig melding",
    "Alkuper\xc3\xa4inen viesti",
    "Wiadomo\xc5\x9b\xc4\x87 oryginalna", "Oryginalna wiadomo\xc5\x9b\xc4\x87",
    "\xd0\x98\xd1\x81\xd1\x85\xd0\xbe\xd0\xb4\xd0\xbd\xd0\xbe\xd0\xb5 "
    "\xd1\x81\xd0\xbe\xd0\xbe\xd0\xb1\xd1\x89\xd0\xb5\xd0\xbd\xd0\xb8"
    "\xd0\xb5",
    "\xe5\x8e\x9f\xe5\xa7\x8b\xe9\x82\xae\xe4\xbb\xb6",
    NULL
};


static const char *const  ngx_comms_email_from_names[] = {
    "From", "Von", "De", "Da", "Van", "Fr\xc3\xa5n", "Fra", "Od",
    "L\xc3\xa4hett\xc3\xa4j\xc3\xa4", "Kimden", "\xd0\x9e\xd1\x82",
    "\xe5\xb7\xae\xe5\x87\xba\xe4\xba\xba",
    "\xe5\x8f\x91\xe4\xbb\xb6\xe4\xba\xba",
    "\xe5\xaf\x84\xe4\xbb\xb6\xe8\x80\x85",
    NULL
};


static const char *const  ngx_comms_email_sent_names[] = {
    "Sent", "Date", "Gesendet", "Datum", "Envoy\xc3\xa9", "Enviado",
    "Enviado el", "Fecha", "Inviato", "Data", "Verzonden", "Enviada",
    "Enviada em", "Enviado em", "Skickat", "Sendt", "Wys\xc5\x82" "ano",
    "L\xc3\xa4hetetty", "G\xc3\xb6nderildi",
    "\xd0\x9e\xd1\x82\xd0\xbf\xd1\x80\xd0\xb0\xd0\xb2\xd0\xbb\xd0\xb5"
    "\xd0\xbd\xd0\xbe",
    "\xd0\x94\xd0\xb0\xd1\x82\xd0\xb0",
    "\xe9\x80\x81\xe4\xbf\xa1\xe6\x97\xa5\xe6\x99\x82",
    "\xe5\x8f\x91\xe9\x80\x81\xe6\x97\xb6\xe9\x97\xb4",
    "\xe5\xaf\x84\xe4\xbb\xb6\xe6\x97\xa5\xe6\x9c\x9f",
    NULL
};


static const char *const  ngx_comms_email_to_names[] = {
    "To", "An", "\xc3\x80", "A", "Para", "Aan", "Till", "Til", "Do",
    "Vastaanottaja", "Kime", "\xd0\x9a\xd0\xbe\xd0\xbc\xd1\x83",
    "\xe5\xae\x9b\xe5\x85\x88",
    "\xe6\x94\xb6\xe4\xbb\xb6\xe4\xba\xba",
    "\xe6\x94\xb6\xe4\xbb\xb6\xe8\x80\x85",
    NULL
};


static const char *const  ngx_comms_email_subject_names[] = {
    "Subject", "Betreff", "Objet", "Asunto", "Oggetto", "Onderwerp",
    "Assunto", "\xc3\x84mne", "Emne", "Temat", "Aihe", "Konu",
    "\xd0\xa2\xd0\xb5\xd0\xbc\xd0\xb0",
    "\xe4\xbb\xb6\xe5\x90\x8d",
    "\xe4\xb8\xbb\xe9\xa2\x98",
    "\xe4\xb8\xbb\xe6\x97\xa8",
    NULL
};


/* within rows of "-", or alone on a line that ends with a colon */

static const char *const  ngx_comms_email_forwards[] = {
    "Forwarded message", "Begin forwarded message",
    "Weitergeleitete Nachricht", "Anfang der weitergeleiteten Nachricht",
    "Anfang der weitergeleiteten E-Mail",
    "Message transf\xc3\xa9r\xc3\xa9",
    "D\xc3\xa9" "but du message transf\xc3\xa9r\xc3\xa9",
    "D\xc3\xa9" "but du message r\xc3\xa9" "exp\xc3\xa9" "di\xc3\xa9",
    "Mensaje reenviado", "Inicio del mensaje reenviado",
    "Messaggio inoltrato", "Inizio messaggio inoltrato",
    "Mensagem encaminhada", "In\xc3\xad" "cio da mensagem reencaminhada",
    "Doorgestuurd bericht", "Begin doorgestuurd bericht",
    "Wiadomo\xc5\x9b\xc4\x87 przekazana dalej",
    "Przekazana wiadomo\xc5\x9b\xc4\x87",
    NULL
};


static const char *const  ngx_comms_email_phone_lines[] = {
    "Sent from my ", "Sent from Outlook", "Sent from Mail for ",
    "Sent from Yahoo Mail", "Get Outlook for ", "Von meinem iPhone",
    "Von meinem iPad", "Gesendet von ", "Gesendet mit ",
    "Diese Nachricht wurde von meinem ", "Envoy\xc3\xa9 de mon ",
    "Envoy\xc3\xa9 depuis mon ", "Enviado desde mi ", "Enviado do meu ",
    "Inviato da ", "Verzonden vanaf mijn ",
    "Von meinem Galaxy ", "Von meinem Samsung ", "Verstuurd vanaf mijn ",
    "Wys\xc5\x82" "ane z ", "Wys\xc5\x82" "ano z ",
    "Enviado desde ", "Enviado a partir do ", "Envoy\xc3\xa9 avec ",
    "Sent with Proton Mail", "Outlook f\xc3\xbcr ",
    "T\xc3\xa9l\xc3\xa9" "charger Outlook pour ", "Obtenez Outlook pour ",
    "Obtener Outlook para ", "Scarica Outlook per ",
    "Obter o Outlook para ", "Outlook voor ", "Download Outlook voor ",
    "Pobierz aplikacj\xc4\x99 Outlook dla ", "Diese E-Mail wurde von ",
    "Yahoo Mail: ", "Enviado do Outlook ", "Enviado do Yahoo ",
    NULL
};


ngx_int_t
ngx_comms_email_unquote(ngx_pool_t *pool, ngx_str_t *text,
    ngx_str_t *written)
{
    u_char                   *p;
    ngx_int_t                 rc;
    ngx_str_t                 whole;
    ngx_uint_t                blank;
    ngx_comms_email_lines_t   lines;

    if (ngx_comms_email_bound(pool, text, &whole) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(pool, whole.len + 3);
    if (p == NULL) {
        return NGX_ERROR;
    }

    written->data = p;

    lines.pos = whole.data;
    lines.last = whole.data + whole.len;
    blank = 0;

    while (ngx_comms_email_line(&lines)) {

        if (ngx_comms_email_is_forward(&lines.line)) {
            p = ngx_comms_email_rest(p, written->data, &lines);
            break;
        }

        if (ngx_comms_email_is_end(&lines)) {
            break;
        }

        rc = ngx_comms_email_attribution(&lines);

        if (rc == NGX_DONE) {
            break;
        }

        if (rc == NGX_OK
            || (lines.line.len > 0 && lines.line.data[0] == '>'))
        {
            blank = 1;
            continue;
        }

        if (lines.line.len == 0) {
            blank = 1;
            continue;
        }

        if (p > written->data) {
            *p++ = '\n';

            if (blank) {
                *p++ = '\n';
            }
        }

        blank = 0;
        p = ngx_cpymem(p, lines.line.data, lines.line.len);
    }

    written->len = p - written->data;

    ngx_comms_email_cut_phone_line(written);

    *written = ngx_comms_trim(*written);

    if (written->len == 0) {
        *written = whole;
    }

    return NGX_OK;
}


/* what somebody forwards is what they want to say: it is kept as it is */

static u_char *
ngx_comms_email_rest(u_char *p, u_char *start, ngx_comms_email_lines_t *lines)
{
    u_char  *s;

    if (p > start) {
        *p++ = '\n';
        *p++ = '\n';
    }

    for (s = lines->line.data; s < lines->last; s++) {
        if (*s != '\r') {
            *p++ = *s;
        }
    }

    return p;
}


/* valid UTF-8 of a bounded length, without blanks at its ends */

static ngx_int_t
ngx_comms_email_bound(ngx_pool_t *pool, ngx_str_t *text, ngx_str_t *whole)
{
    size_t     len;
    ngx_str_t  charset;

    *whole = *text;

    if (!ngx_comms_utf8_valid(text)) {
        ngx_str_null(&charset);

        if (ngx_comms_to_utf8(pool, &charset, text, whole) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (whole->len > NGX_COMMS_EMAIL_MAX_TEXT) {
        len = NGX_COMMS_EMAIL_MAX_TEXT;

        while (len > 0 && (whole->data[len] & 0xc0) == 0x80) {
            len--;
        }

        whole->len = len;
    }

    *whole = ngx_comms_trim(*whole);

    return NGX_OK;
}


/* reads the next line; 0 when there is none */

static ngx_uint_t
ngx_comms_email_line(ngx_comms_email_lines_t *lines)
{
    u_char  *p;

    if (lines->pos >= lines->last) {
        return 0;
    }

    p = ngx_strlchr(lines->pos, lines->last, '\n');
    if (p == NULL) {
        p = lines->last;
    }

    lines->line.data = lines->pos;
    lines->line.len = p - lines->pos;
    lines->pos = p + 1;

    while (lines->line.len > 0
           && (lines->line.data[lines->line.len - 1] == ' '
               || lines->line.data[lines->line.len - 1] == '\t'
               || lines->line.data[lines->line.len - 1] == '\r'))
    {
        lines->line.len--;
    }

    return 1;
}


static ngx_uint_t
ngx_comms_email_line_filled(ngx_comms_email_lines_t *lines)
{
    while (ngx_comms_email_line(lines)) {
        if (lines->line.len > 0) {
            return 1;
        }
    }

    return 0;
}


/* does the mail of this person end before this line? */

static ngx_uint_t
ngx_comms_email_is_end(ngx_comms_email_lines_t *lines)
{
    ngx_str_t  *line;

    line = &lines->line;

    /* RFC 3676 4.3; the blank behind it is trimmed, and often lost anyway */

    if (line->len == 2 && line->data[0] == '-' && line->data[1] == '-') {
        return 1;
    }

    return ngx_comms_email_is_separator(line)
           || ngx_comms_email_is_block(lines);
}


static ngx_uint_t
ngx_comms_email_is_separator(ngx_str_t *line)
{
    return ngx_comms_email_titled(line, 2, ngx_comms_email_separators);
}


static ngx_uint_t
ngx_comms_email_is_forward(ngx_str_t *line)
{
    ngx_str_t  title;

    title = *line;

    if (title.len > 0 && title.data[title.len - 1] == ':') {
        title.len--;
        title = ngx_comms_trim(title);

        return ngx_comms_email_titled(&title, 0, ngx_comms_email_forwards);
    }

    return ngx_comms_email_titled(line, 2, ngx_comms_email_forwards);
}


/* one of the titles, with that many "-" or more at each side of it */

static ngx_uint_t
ngx_comms_email_titled(ngx_str_t *line, size_t dashes,
    const char *const *titles)
{
    u_char     *p, *last;
    size_t      len;
    ngx_str_t   title;

    p = line->data;
    last = p + line->len;

    while (p < last && *p == '-') {
        p++;
    }

    while (last > p && last[-1] == '-') {
        last--;
    }

    if ((size_t) (p - line->data) < dashes
        || (size_t) (line->data + line->len - last) < dashes)
    {
        return 0;
    }

    title.data = p;
    title.len = last - p;
    title = ngx_comms_trim(title);

    for ( /* void */ ; *titles != NULL; titles++) {
        len = ngx_strlen(*titles);

        if (title.len == len
            && ngx_strncasecmp(title.data, (u_char *) *titles, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * From: or Sent: (GMX), and behind it the other one and To: or Subject:, or
 * To: and Subject:; a rule of "_" may stand before it
 */

static ngx_uint_t
ngx_comms_email_is_block(ngx_comms_email_lines_t *lines)
{
    size_t                    i;
    ngx_uint_t                n, from, sent, to, subject;
    ngx_comms_email_lines_t   ahead;

    ahead = *lines;

    if (ahead.line.len >= 10 && ahead.line.data[0] == '_') {

        for (i = 0; i < ahead.line.len; i++) {
            if (ahead.line.data[i] != '_') {
                return 0;
            }
        }

        if (!ngx_comms_email_line_filled(&ahead)) {
            return 0;
        }
    }

    from = ngx_comms_email_field(&ahead.line, ngx_comms_email_from_names);
    sent = ngx_comms_email_field(&ahead.line, ngx_comms_email_sent_names);

    if (!from && !sent) {
        return 0;
    }

    to = 0;
    subject = 0;

    for (n = 0; n < NGX_COMMS_EMAIL_MAX_BLOCK; n++) {

        if (!ngx_comms_email_line(&ahead)) {
            break;
        }

        from |= ngx_comms_email_field(&ahead.line, ngx_comms_email_from_names);
        sent |= ngx_comms_email_field(&ahead.line, ngx_comms_email_sent_names);
        to |= ngx_comms_email_field(&ahead.line, ngx_comms_email_to_names);
        subject |= ngx_comms_email_field(&ahead.line,
                                         ngx_comms_email_subject_names);
    }

    return from && sent + to + subject >= 2;
}


/* does the line begin with one of the names and a colon, maybe in bold? */

static ngx_uint_t
ngx_comms_email_field(ngx_str_t *line, const char *const *names)
{
    u_char     *p, *last, *s;
    size_t      len;
    ngx_str_t   rest;

    p = line->data;
    last = p + line->len;

    while (p < last && (*p == '*' || *p == ' ' || *p == '\t')) {
        p++;
    }

    for ( /* void */ ; *names != NULL; names++) {

        len = ngx_strlen(*names);

        if ((size_t) (last - p) <= len
            || ngx_strncasecmp(p, (u_char *) *names, len) != 0)
        {
            continue;
        }

        s = p + len;

        /* blanks before the colon, of both kinds, are French */

        while (s < last && (*s == ' ' || *s == '*')) {
            s++;
        }

        if (last - s >= 2 && s[0] == 0xc2 && s[1] == 0xa0) {
            s += 2;
        }

        rest.data = s;
        rest.len = last - s;

        if (rest.len > 0 && s[0] == ':') {
            return 1;
        }

        if (rest.len >= 3 && ngx_strncmp(s, "\xef\xbc\x9a", 3) == 0) {
            return 1;
        }
    }

    return 0;
}


/*
 * NGX_OK: an attribution with ">" lines behind it; the lines stand at its
 * last one.  NGX_DONE: an attribution behind which all is history.
 * NGX_DECLINED: none.
 */

static ngx_int_t
ngx_comms_email_attribution(ngx_comms_email_lines_t *lines)
{
    u_char                   *p, buf[NGX_COMMS_EMAIL_MAX_ATTRIBUTION];
    ngx_str_t                 text;
    ngx_uint_t                n, sure;
    ngx_comms_email_lines_t   ahead, behind;

    ahead = *lines;
    p = buf;

    for (n = 0; n < NGX_COMMS_EMAIL_MAX_WRAP; n++) {

        if (n > 0 && !ngx_comms_email_line(&ahead)) {
            return NGX_DECLINED;
        }

        if (ahead.line.len == 0 || ahead.line.data[0] == '>') {
            return NGX_DECLINED;
        }

        p = ngx_comms_email_join(p, buf + sizeof(buf), &ahead.line);
        if (p == NULL) {
            return NGX_DECLINED;
        }

        text.data = buf + 1;
        text.len = p - text.data;

        if (!ngx_comms_email_attributes(&text, &sure)) {
            continue;
        }

        behind = ahead;

        if (ngx_comms_email_line_filled(&behind)
            && behind.line.data[0] == '>')
        {
            *lines = ahead;
            return NGX_OK;
        }

        return sure ? NGX_DONE : NGX_DECLINED;
    }

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_comms_email_attributes(ngx_str_t *text, ngx_uint_t *sure)
{
    u_char                               *p, *last;
    size_t                                len;
    ngx_uint_t                            digit, time, at;
    const ngx_comms_email_attribution_t  *known;

    *sure = 0;
    *text = ngx_comms_trim(*text);

    if (text->len < 3
        || (text->data[text->len - 1] != ':'
            && ngx_strncmp(text->data + text->len - 3, "\xef\xbc\x9a", 3)
               != 0))
    {
        return 0;
    }

    digit = 0;
    time = 0;
    at = 0;
    last = text->data + text->len;

    for (p = text->data; p < last; p++) {

        if (*p >= '0' && *p <= '9') {
            digit = 1;

            if (last - p > 2 && p[1] == ':' && p[2] >= '0' && p[2] <= '9') {
                time = 1;
            }
        }

        if (*p == '@') {
            at = 1;
        }
    }

    if (!digit && !at) {
        return 0;
    }

    *sure = time || at;

    /* "2026-11-22 10:00 GMT+01:00 Ada Byron <ada@example.org>:" */

    if (at && text->len > 8 && text->data[0] >= '0' && text->data[0] <= '9'
        && text->data[4] == '-' && last[-2] == '>')
    {
        return 1;
    }

    for (known = ngx_comms_email_attributions; known->front != NULL; known++) {

        len = ngx_strlen(known->front);

        if (len == 0) {

            if (*sure && ngx_comms_email_find(text, known->verb) != NULL) {
                return 1;
            }

            continue;
        }

        if (digit && text->len > len
            && ngx_strncmp(text->data, known->front, len) == 0
            && ngx_comms_email_find(text, known->verb) != NULL)
        {
            return 1;
        }
    }

    return 0;
}


static u_char *
ngx_comms_email_find(ngx_str_t *text, const char *word)
{
    u_char  *p, *last;
    size_t   len;

    len = ngx_strlen(word);
    last = text->data + text->len;

    for (p = text->data; (size_t) (last - p) >= len; p++) {
        if (ngx_strncmp(p, word, len) == 0) {
            return p;
        }
    }

    return NULL;
}


/*
 * Adds a blank and a line to an attribution, with every kind of blank made
 * one; NULL when there is no room
 */

static u_char *
ngx_comms_email_join(u_char *p, u_char *end, ngx_str_t *line)
{
    u_char  *s, *last;

    if ((size_t) (end - p) < line->len + 1) {
        return NULL;
    }

    s = line->data;
    last = s + line->len;

    *p++ = ' ';

    while (s < last) {

        if (last - s >= 2 && s[0] == 0xc2 && s[1] == 0xa0) {
            *p++ = ' ';
            s += 2;

        } else if (last - s >= 3 && s[0] == 0xe2 && s[1] == 0x80
                   && s[2] == 0xaf)
        {
            *p++ = ' ';
            s += 3;

        } else {
            *p++ = *s++;
        }
    }

    return p;
}


/* a last line that the phone wrote */

static void
ngx_comms_email_cut_phone_line(ngx_str_t *text)
{
    u_char      *p;
    size_t       len;
    ngx_str_t    line;
    ngx_uint_t   i;

    for (p = text->data + text->len; p > text->data; p--) {
        if (p[-1] == '\n') {
            break;
        }
    }

    line.data = p;
    line.len = text->data + text->len - p;

    if (p == text->data || line.len > NGX_COMMS_EMAIL_MAX_PHONE_LINE) {
        return;
    }

    for (i = 0; ngx_comms_email_phone_lines[i] != NULL; i++) {
        len = ngx_strlen(ngx_comms_email_phone_lines[i]);

        if (line.len >= len
            && ngx_strncmp(line.data, ngx_comms_email_phone_lines[i], len)
               == 0)
        {
            text->len = p - text->data;
            return;
        }
    }
}
