
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Mails as people's software writes them, and what the person said in each.
 */


#include "nginx_env.h"
#include "base/ngx_comms_json.h"
#include "base/ngx_comms_text.h"
#include "channel/ngx_comms_email.h"


#define HEAD  "From: Ada Byron <ada@example.org>\r\nMessage-ID: <a@b.cc>\r\n"
#define TEXT(charset, encoding)                                               \
    HEAD "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=" charset    \
    "\r\nContent-Transfer-Encoding: " encoding "\r\n\r\n"
#define HTML  HEAD "Content-Type: text/html; charset=utf-8\r\n\r\n"


typedef struct {
    const char  *name;
    const char  *input;
    const char  *output;
} unit_pair_t;


typedef struct {
    const char  *name;
    const char  *mail;
    const char  *content;      /* NULL: ignored */
    const char  *ignored;
} unit_mail_t;


/* plain text */

static unit_pair_t  quoted[] = {

    { "nothing quoted", "Hello\r\n\r\nthere", "Hello\n\nthere" },

    { "Gmail",
      "Yes, Monday is fine.\r\n\r\nOn Sun, 22 Nov 2026 at 10:00, Acme "
      "<jobs@acme.example> wrote:\r\n\r\n> Can you come?\r\n> Regards\r\n",
      "Yes, Monday is fine." },

    { "Gmail, wrapped",
      "Yes.\n\nOn Sun, 22 Nov 2026 at 10:00, Acme Jobs of London\n"
      "<reply+01abc-def@inbound.acme.example> wrote:\n\n> Can you?\n",
      "Yes." },

    { "Apple Mail",
      "Fine!\n\n> On 22 Nov 2026, at 10:00, Acme <j@acme.example> wrote:\n"
      "> \n> Can you?\n", "Fine!" },

    { "Thunderbird, German, below the quote",
      "Am 22.11.2026 um 10:00 schrieb Acme:\n> Kommen Sie?\n\nJa, gern.\n",
      "Ja, gern." },

    { "Thunderbird, between",
      "On 22/11/2026 10:00, Acme wrote:\n> One?\nFirst\n> Two?\nSecond\n",
      "First\n\nSecond" },

    { "Gmail, German",
      "Ja.\n\nAm So., 22. Nov. 2026 um 10:00 Uhr schrieb Acme "
      "<j@acme.example>:\n\n> Frage\n", "Ja." },

    { "Gmail, French, with no-break blanks",
      "Oui.\n\nLe\xc2\xa0" "dim. 22 nov. 2026 \xc3\xa0 10:00, Acme "
      "<j@acme.example> a\n\xc3\xa9" "crit\xc2\xa0:\n\n> Question\n", "Oui." },

    { "Gmail, Spanish",
      "S\xc3\xad.\n\nEl dom, 22 nov 2026 a las 10:00, Acme "
      "(<j@acme.example>)\nescribi\xc3\xb3:\n\n> Pregunta\n", "S\xc3\xad." },

    { "Gmail, Italian",
      "Va bene.\n\nIl giorno dom 22 nov 2026 alle ore 10:00 Acme\n"
      "<j@acme.example> ha scritto:\n\n> Domanda\n", "Va bene." },

    { "Gmail, Dutch",
      "Ja.\n\nOp zo 22 nov 2026 om 10:00 schreef Acme <j@acme.example>:\n"
      "\n> Vraag\n", "Ja." },

    { "Gmail, Portuguese",
      "Sim.\n\nEm dom., 22 de nov. de 2026 \xc3\xa0s 10:00, Acme\n"
      "<j@acme.example> escreveu:\n\n> Pergunta\n", "Sim." },

    { "Gmail, Japanese",
      "\xe3\x81\xaf\xe3\x81\x84\n\n2026\xe5\xb9\xb4" "11\xe6\x9c\x88"
      "22\xe6\x97\xa5 10:00 Acme <j@acme.example>:\n\n> Q\n",
      "\xe3\x81\xaf\xe3\x81\x84\n\n2026\xe5\xb9\xb4" "11\xe6\x9c\x88"
      "22\xe6\x97\xa5 10:00 Acme <j@acme.example>:" },

    { "Gmail, of old",
      "ok\n\n2026-11-22 10:00 GMT+01:00 Acme <j@acme.example>:\n\n> Q\n",
      "ok" },

    { "Outlook, block",
      "Monday works.\r\n\r\nFrom: Acme <j@acme.example>\r\n"
      "Sent: Sunday, November 22, 2026 10:00 AM\r\nTo: Ada <a@b.cc>\r\n"
      "Subject: Interview\r\n\r\nCan you come?\r\n", "Monday works." },

    { "Outlook, block in bold behind a rule",
      "Ok\n\n________________________________\n*From:* Acme\n"
      "*Sent:* Sunday\n*To:* Ada\n*Subject:* x\n\nQ", "Ok" },

    { "Outlook, German",
      "Passt.\n\nVon: Acme <j@acme.example>\nGesendet: Sonntag, 22. November\n"
      "An: Ada\nBetreff: Termin\n\nFrage", "Passt." },

    { "Outlook, French",
      "Oui.\n\nDe\xc2\xa0: Acme\nEnvoy\xc3\xa9\xc2\xa0: dimanche\n"
      "\xc3\x80\xc2\xa0: Ada\nObjet\xc2\xa0: Rendez-vous\n\nQ", "Oui." },

    { "Outlook, Spanish",
      "Vale.\n\nDe: Acme\nEnviado el: domingo\nPara: Ada\nAsunto: x\n\nQ",
      "Vale." },

    { "-----Original Message-----",
      "Yes\n\n-----Original Message-----\nFrom: Acme\nQ", "Yes" },

    { "-----Urspruengliche Nachricht-----",
      "Ja\n\n-----Urspr\xc3\xbcngliche Nachricht-----\nQ", "Ja" },

    { "signature", "Yes\n-- \nAda Byron\n+44 20 7946 0000", "Yes" },

    { "phone",
      "Yes\n\nSent from my iPhone\n\n> On 22 Nov 2026, at 10:00, A wrote:\n",
      "Yes" },

    { "phone, German", "Ja\n\nVon meinem iPhone gesendet", "Ja" },

    { "nothing but a quote", "> only this\n> and this",
      "> only this\n> and this" },

    { "a sentence and no attribution",
      "On Monday she wrote:\n\nplease come at 9.",
      "On Monday she wrote:\n\nplease come at 9." },

    { "a colon and a digit", "On 3 days I can:\nMon, Tue, Wed",
      "On 3 days I can:\nMon, Tue, Wed" },

    { "From: alone", "From: London\nmy answer is yes",
      "From: London\nmy answer is yes" },

    { "empty", "", "" },
    { "blank lines", "\n\n\n", "" },
    { "not UTF-8", "a\xff", "a\xef\xbf\xbd" }
};


static unit_pair_t  pages[] = {

    { "paragraphs", "<p>One</p><p>Two<br>Three</p>", "One\n\nTwo\nThree" },
    { "Gmail's lines", "<div dir=ltr>a<div><br></div><div>b</div></div>",
      "a\n\nb" },
    { "blanks", "  a \n\t b&nbsp;&nbsp;c ", "a b c" },
    { "entities", "&lt;&amp;&eacute;&#8364;&#x1F600;&#128;&bogus;&;&",
      "<&\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xe2\x82\xac&bogus;&;&" },
    { "bad numbers", "&#0;&#xD800;&#x110000;&#99999999;x&#;",
      "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx&#;" },
    { "scripts", "a<script>if (1 < 2) { '<b>' }</script><style>x{}</style>b",
      "ab" },
    { "comments", "a<!-- <b> > -->b<!DOCTYPE x>c<?xml?>d", "abcd" },
    { "list", "<ul><li>One<li>Two</ul>", "- One\n- Two" },
    { "table", "<table><tr><td>a<td>b<tr><td>c</table>", "a b\nc" },
    { "link", "<a href=\"https://acme.example/x?a=1&amp;b=2\">here</a>",
      "here (https://acme.example/x?a=1&b=2)" },
    { "link that is its text",
      "<a href=\"https://acme.example/\">acme.example</a>", "acme.example" },
    { "link of a script", "<a href=\"javascript:alert(1)\">x</a>", "x" },
    { "Gmail's quote",
      "<div>Yes</div><div class=\"gmail_quote gmail_quote_container\">"
      "<div class=gmail_attr>On ... wrote:</div><blockquote>Q<div>q</div>"
      "</blockquote></div><div>after</div>", "Yes\nafter" },
    { "cited", "Yes<blockquote type=\"cite\"><blockquote>Q</blockquote>Q"
      "</blockquote>", "Yes" },
    { "quoted by the person", "He said<blockquote>x</blockquote>",
      "He said\n\nx" },
    { "Outlook's mark",
      "<div>Ok</div><div id=\"divRplyFwdMsg\">From</div><div>Q</div>", "Ok" },
    { "nothing but history", "<blockquote type=cite>Q</blockquote>", "Q" },
    { "text of no markup", "1 < 2 and 3 > 2", "1 < 2 and 3 > 2" },
    { "cut in a tag", "a<b", "a" },
    { "cut in an attribute", "a<b class=\"x", "a" },
    { "cut in a comment", "a<!-- x", "a" },
    { "cut in a script", "a<script>x", "a" },
    { "odd attributes", "<p =x ==y id='a>b' / / class=>t", "t" },
    { "empty", "", "" }
};


static unit_mail_t  mails[] = {

    { "plain", HEAD "\r\nHello\r\n", "Hello", NULL },

    { "iso-8859-1", TEXT("iso-8859-1", "8bit") "caf\xe9", "caf\xc3\xa9",
      NULL },
    { "windows-1252", TEXT("windows-1252", "quoted-printable")
      "=80 5, it=92s =\r\nok", "\xe2\x82\xac 5, it\xe2\x80\x99s ok", NULL },
    { "utf-8", TEXT("\"utf-8\"", "base64") "R3LDvMOfZQ==",
      "Gr\xc3\xbc\xc3\x9f" "e", NULL },
    { "utf-7", TEXT("utf-7", "7bit") "Hi +AOk-", "Hi \xc3\xa9", NULL },
    { "iso-2022-jp", TEXT("iso-2022-jp", "7bit") "\x1b$B$O$$\x1b(B",
      "\xe3\x81\xaf\xe3\x81\x84", NULL },
    { "gb2312", TEXT("gb2312", "8bit") "\xc4\xe3\xba\xc3",
      "\xe4\xbd\xa0\xe5\xa5\xbd", NULL },
    { "koi8-r", TEXT("koi8-r", "8bit") "\xe4\xc1", "\xd0\x94\xd0\xb0", NULL },
    { "unknown charset", TEXT("x-nonsense", "8bit") "caf\xe9",
      "caf\xc3\xa9", NULL },
    { "no charset, 8 bit", HEAD "\r\ncaf\xc3\xa9", "caf\xc3\xa9", NULL },

    { "Gmail, both bodies",
      HEAD "Content-Type: multipart/alternative; boundary=\"0001\"\r\n\r\n"
      "--0001\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\nYes\r\n\r\n"
      "On Sun, 22 Nov 2026 at 10:00, Acme <j@acme.example> wrote:\r\n\r\n"
      "> Q\r\n\r\n--0001\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n"
      "<div>Not this</div>\r\n--0001--\r\n", "Yes", NULL },

    { "Outlook, HTML alone",
      HTML "<html><head><style>p{}</style></head><body><p class=MsoNormal>"
      "Monday<o:p></o:p></p><div style='border-top:solid'><p><b>From:</b> "
      "Acme<br><b>Sent:</b> Sunday<br><b>To:</b> Ada<br><b>Subject:</b> x"
      "</p></div><p>Q</p></body></html>", "Monday", NULL },

    { "attachment beside text",
      HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee\r\n"
      "--b\r\nContent-Type: application/pdf\r\nContent-Disposition: "
      "attachment; filename=cv.pdf\r\n\r\n%PDF\r\n--b--\r\n", "See", NULL },

    { "attachment alone",
      HEAD "Content-Type: application/pdf; name=\"cv.pdf\"\r\n"
      "Content-Disposition: attachment; filename=\"=?utf-8?Q?r=C3=A9s.pdf?=\""
      "\r\n\r\n%PDF", "[attachment: r\xc3\xa9s.pdf]", NULL },

    { "text as an attachment",
      HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
      "Content-Disposition: attachment; filename=a.txt\r\n"
      "Content-Type: text/plain\r\n\r\nsecret\r\n--b--\r\n",
      "[attachment: a.txt]", NULL },

    { "forwarded mail within",
      HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nFYI\r\n"
      "--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: x@y.zz\r\n\r\nold\r\n"
      "--b--\r\n", "FYI", NULL },

    { "no closing boundary",
      HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee",
      "See", NULL },

    { "no boundary at all",
      HEAD "Content-Type: multipart/mixed\r\n\r\nx", "[message without text]",
      NULL },

    { "empty", HEAD "\r\n", "[message without text]", NULL },

    { "out of office",
      HEAD "Auto-Submitted: auto-replied\r\n\r\nAway", NULL,
      "auto-submitted" },
    { "out of office, with a comment",
      HEAD "Auto-Submitted: Auto-Generated; x=y\r\n\r\nAway", NULL,
      "auto-submitted" },
    { "said not to be automatic",
      HEAD "Auto-Submitted: no\r\n\r\nHere", "Here", NULL },
    { "old autoresponder", HEAD "X-Autoreply: yes\r\n\r\nAway", NULL,
      "auto-submitted" },
    { "bulk", HEAD "Precedence: bulk\r\n\r\nBuy", NULL, "bulk mail" },
    { "junk", HEAD "PRECEDENCE: Junk\r\n\r\nBuy", NULL, "bulk mail" },
    { "list", HEAD "Precedence: list\r\n\r\nx", NULL, "bulk mail" },
    { "list by its id", HEAD "List-Id: Rust <r.example.org>\r\n\r\nx", NULL,
      "mailing list" },
    { "null return path", HEAD "Return-Path: <>\r\n\r\nx", NULL,
      "null return path" },
    { "bounce",
      "From: MAILER-DAEMON@mx.example\r\nContent-Type: multipart/report; "
      "report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nno\r\n"
      "--b--\r\n", NULL, "delivery report about no mail of ours" }
};


static void
test_unquote(void **state)
{
    ngx_str_t   text, written;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(quoted) / sizeof(quoted[0]); i++) {
        text = unit_str(quoted[i].input);

        assert_int_equal(ngx_comms_email_unquote(*state, &text, &written),
                         NGX_OK);
        unit_assert_text(&written, quoted[i].output,
                         strlen(quoted[i].output), quoted[i].name, (int) i);
    }
}


static void
test_html(void **state)
{
    ngx_str_t   html, text;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        html = unit_str(pages[i].input);

        assert_int_equal(ngx_comms_email_html_text(*state, &html, &text),
                         NGX_OK);
        unit_assert_text(&text, pages[i].output, strlen(pages[i].output),
                         pages[i].name, (int) i);
    }
}


static void
test_mails(void **state)
{
    json_t       *event;
    ngx_int_t     rc;
    ngx_str_t     raw, content;
    ngx_uint_t    i;
    const char   *words;
    unit_mail_t  *mail;

    for (i = 0; i < sizeof(mails) / sizeof(mails[0]); i++) {
        mail = &mails[i];
        raw = unit_str(mail->mail);
        event = json_object();
        words = NULL;

        rc = ngx_comms_email_parse_raw(*state, &raw, event, &words);

        if (mail->content == NULL) {
            if (rc != NGX_DECLINED) {
                fail_msg("%s: %ld", mail->name, (long) rc);
            }

            assert_string_equal(words, mail->ignored);

        } else {
            if (rc != NGX_OK) {
                fail_msg("%s: %ld %s", mail->name, (long) rc, words);
            }

            content = ngx_comms_json_view(json_object_get(event, "content"));
            unit_assert_text(&content, mail->content, strlen(mail->content),
                             mail->name, (int) i);
            assert_string_equal(json_string_value(
                                    json_object_get(event, "person_address")),
                                "mailto:ada@example.org");
        }

        json_decref(event);
    }
}


static void
test_fields(void **state)
{
    json_t      *event;
    ngx_str_t    block;
    const char  *words;

    event = json_object();
    block = unit_str(
        "From: \"Byron,\r\n Ada\" <ADA@Example.ORG>, second@example.org\r\n"
        "Subject: =?iso-2022-jp?B?GyRCJE8kJBsoQg==?=\r\n"
        " =?utf-8?q?_=E2=9C=93?=\r\n"
        "Message-ID:\r\n <x-1@example.org>\r\n"
        "In-Reply-To: <our.2@acme.example> (yesterday)\r\n"
        "References: <our.1@acme.example>\r\n"
        "\t<bad id@x> <> <our.2@acme.example><ext@example.net>\r\n");

    assert_int_equal(ngx_comms_email_headers(*state, &block, event, &words),
                     NGX_OK);

    assert_string_equal(json_string_value(json_object_get(event,
                                                          "person_address")),
                        "mailto:ada@example.org");
    assert_string_equal(json_string_value(json_object_get(event,
                                                          "person_name")),
                        "Byron, Ada");
    assert_string_equal(json_string_value(json_object_get(event, "subject")),
                        "\xe3\x81\xaf\xe3\x81\x84 \xe2\x9c\x93");
    assert_string_equal(json_string_value(json_object_get(event,
                                                      "email_message_id")),
                        "<x-1@example.org>");
    assert_string_equal(json_string_value(json_object_get(event,
                                                          "references")),
                        "<our.1@acme.example> <our.2@acme.example> "
                        "<ext@example.net> <x-1@example.org>");

    event = (json_decref(event), json_object());
    block = unit_str("Subject: x\r\n");

    assert_int_equal(ngx_comms_email_headers(*state, &block, event, &words),
                     NGX_OK);
    assert_null(json_object_get(event, "message_ids"));
    assert_null(json_object_get(event, "references"));
    assert_null(json_object_get(event, "person_address"));

    json_decref(event);
}


/* more ids than are kept: the first one and the newest stay */

static void
test_many_references(void **state)
{
    u_char      *p, text[65536];
    json_t      *event, *ids;
    ngx_str_t    block;
    ngx_uint_t   i;
    const char  *words;

    p = ngx_sprintf(text, "References:");

    for (i = 0; i < 1000; i++) {
        p = ngx_sprintf(p, " <r%ui@example.org>\r\n", i);
    }

    block.data = text;
    block.len = p - text;
    event = json_object();

    assert_int_equal(ngx_comms_email_headers(*state, &block, event, &words),
                     NGX_OK);

    ids = json_object_get(event, "message_ids");

    assert_int_equal(json_array_size(ids), NGX_COMMS_EMAIL_MAX_IDS);
    assert_string_equal(json_string_value(json_array_get(ids, 0)),
                        "<r999@example.org>");
    assert_string_equal(json_string_value(
                            json_array_get(ids, NGX_COMMS_EMAIL_MAX_IDS - 1)),
                        "<r0@example.org>");

    json_decref(event);
}


/* parts in parts in parts, and very long lines */

static void
test_bombs(void **state)
{
    u_char      *p, *text;
    size_t       size;
    json_t      *event;
    ngx_str_t    raw, out;
    ngx_uint_t   i;
    const char  *words;

    size = 2 * 1024 * 1024;
    text = ngx_alloc(size, ngx_cycle->log);
    assert_non_null(text);

    p = ngx_sprintf(text, "From: ada@example.org\r\n");

    for (i = 0; i < 20000; i++) {
        p = ngx_sprintf(p, "Content-Type: multipart/mixed; boundary=b%ui\r\n"
                           "\r\n--b%ui\r\n", i, i);
    }

    raw.data = text;
    raw.len = p - text;
    event = json_object();
    assert_int_equal(ngx_comms_email_parse_raw(*state, &raw, event, &words),
                     NGX_OK);
    json_decref(event);

    for (i = 0; i + 7 < size; i += 7) {
        ngx_memcpy(text + i, "<a><!--", 7);
    }

    raw.len = i;
    assert_int_equal(ngx_comms_email_html_text(*state, &raw, &out), NGX_OK);

    ngx_memset(text, '>', size);
    raw.len = size;
    assert_int_equal(ngx_comms_email_unquote(*state, &raw, &out), NGX_OK);
    assert_int_equal(ngx_comms_email_html_text(*state, &raw, &out), NGX_OK);

    ngx_memset(text, '<', size);
    assert_int_equal(ngx_comms_email_html_text(*state, &raw, &out), NGX_OK);

    ngx_memset(text, '\n', size);
    assert_int_equal(ngx_comms_email_unquote(*state, &raw, &out), NGX_OK);

    ngx_free(text);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_unquote),
        pool_test(test_html),
        pool_test(test_mails),
        pool_test(test_fields),
        pool_test(test_many_references),
        pool_test(test_bombs)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
