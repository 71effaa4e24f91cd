
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "base/ngx_comms_crypto.h"
#include "base/ngx_comms_json.h"
#include "channel/ngx_comms_channel.h"
#include "channel/ngx_comms_email.h"
#include "channel/ngx_comms_smtp.h"


#define NOW     INT64_C(1795347960000)
#define SECRET  "0123456789abcdef-secret"
#define MAIL    "From: Ada <ada@example.org>\r\nMessage-ID: <m1@example.org>" \
                "\r\n\r\nYes\r\n"


typedef struct {
    ngx_uint_t         status;
    const char        *body;
    ngx_comms_send_e   verdict;
    const char        *code;
    const char        *id;
    const char        *label;
} unit_reply_t;


static json_t *
unit_credentials(void)
{
    return json_pack("{s:s,s:s,s:s,s:[s,s],s:[s]}", "provider", "smtp",
                     "username", "acme", "password", "secret word",
                     "inbound_secrets", "another-secret-of-ours", SECRET,
                     "reply_keys", "0123456789abcdef");
}


static void
unit_header(ngx_comms_webhook_t *wh, const char *name, const char *value)
{
    ngx_keyval_t  *header;

    header = ngx_array_push(&wh->headers);
    header->key = unit_str(name);
    header->value = unit_str(value);
}


static void
unit_webhook(ngx_pool_t *pool, ngx_comms_webhook_t *wh)
{
    ngx_memzero(wh, sizeof(ngx_comms_webhook_t));

    assert_int_equal(ngx_array_init(&wh->headers, pool, 4,
                                    sizeof(ngx_keyval_t)), NGX_OK);

    wh->content_type = unit_str("message/rfc822");
    wh->body = unit_str(MAIL);
    unit_header(wh, "X-Envelope-From", "ada@example.org");
    unit_header(wh, "X-Envelope-To", "care+t0@in.acme.example");
}


static void
test_shown(void **state)
{
    json_t               *credentials;
    ngx_uint_t            i;
    ngx_comms_webhook_t   wh;

    static const struct {
        const char  *value;
        ngx_int_t    rc;

    } shown[] = {
        { "Bearer " SECRET, NGX_OK },
        { "bearer another-secret-of-ours", NGX_OK },
        /* pipe:0123456789abcdef-secret */
        { "Basic cGlwZTowMTIzNDU2Nzg5YWJjZGVmLXNlY3JldA==", NGX_OK },
        { "Basic MDEyMzQ1Njc4OWFiY2RlZi1zZWNyZXQ=", NGX_DECLINED },
        { "Basic !", NGX_DECLINED },
        { "Bearer " SECRET "x", NGX_DECLINED },
        { "Bearer 0123456789abcdef-secre", NGX_DECLINED },
        { "Bearer ", NGX_DECLINED },
        { SECRET, NGX_DECLINED },
        { "", NGX_DECLINED },
        { NULL, NGX_DECLINED }
    };

    credentials = unit_credentials();

    for (i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        unit_webhook(*state, &wh);

        if (shown[i].value != NULL) {
            unit_header(&wh, "Authorization", shown[i].value);
        }

        if (ngx_comms_smtp.verify(*state, &wh, credentials) != shown[i].rc) {
            fail_msg("header %lu", (unsigned long) i);
        }
    }

    json_decref(credentials);
}


static void
unit_sign(ngx_pool_t *pool, ngx_comms_webhook_t *wh, const char *timestamp,
    const char *secret)
{
    u_char     *p, mac[NGX_COMMS_SHA256_LEN];
    ngx_str_t   key, signed_text;

    key = unit_str(secret);
    signed_text.data = ngx_palloc(pool, 1024);
    signed_text.len = ngx_sprintf(signed_text.data, "%s\n%s\n%s\n" MAIL,
                                  timestamp, "ada@example.org",
                                  "care+t0@in.acme.example")
                      - signed_text.data;

    assert_int_equal(ngx_comms_hmac_sha256(&key, &signed_text, 1, mac),
                     NGX_OK);

    p = ngx_palloc(pool, 128);
    ngx_memcpy(p, "sha256=", 7);
    *ngx_hex_dump(p + 7, mac, sizeof(mac)) = '\0';

    unit_header(wh, "X-Comms-Timestamp", timestamp);
    unit_header(wh, "X-Comms-Signature", (char *) p);
}


static void
test_signed(void **state)
{
    u_char               *copy;
    size_t                i;
    json_t               *credentials;
    ngx_str_t            *value;
    ngx_uint_t            n;
    ngx_comms_webhook_t   wh;

    static const struct {
        const char  *timestamp;
        const char  *secret;
        ngx_int_t    rc;

    } cases[] = {
        { "1795347960", SECRET, NGX_OK },
        { "1795347660", "another-secret-of-ours", NGX_OK },
        { "1795348260", SECRET, NGX_OK },
        { "1795347659", SECRET, NGX_DECLINED },
        { "1795348261", SECRET, NGX_DECLINED },
        { "1795347960", "no-secret-of-ours", NGX_DECLINED },
        { "x", SECRET, NGX_DECLINED },
        { "", SECRET, NGX_DECLINED }
    };

    credentials = unit_credentials();
    unit_clock_set(NOW);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_webhook(*state, &wh);
        unit_sign(*state, &wh, cases[i].timestamp, cases[i].secret);

        if (ngx_comms_smtp.verify(*state, &wh, credentials) != cases[i].rc) {
            fail_msg("signature %lu", (unsigned long) i);
        }
    }

    /* one bit of the mail, and of each header */

    for (i = 0; i < sizeof(MAIL) - 1; i++) {
        unit_webhook(*state, &wh);
        unit_sign(*state, &wh, "1795347960", SECRET);

        copy = ngx_pstrdup(*state, &wh.body);
        copy[i] ^= (u_char) (1 << (i % 8));
        wh.body.data = copy;

        assert_int_equal(ngx_comms_smtp.verify(*state, &wh, credentials),
                         NGX_DECLINED);
    }

    for (n = 0; n < 4; n++) {
        unit_webhook(*state, &wh);
        unit_sign(*state, &wh, "1795347960", SECRET);

        value = &((ngx_keyval_t *) wh.headers.elts)[n].value;
        copy = ngx_pstrdup(*state, value);
        copy[value->len - 1] ^= 1;
        value->data = copy;

        assert_int_equal(ngx_comms_smtp.verify(*state, &wh, credentials),
                         NGX_DECLINED);
    }

    json_decref(credentials);
}


static void
test_parse(void **state)
{
    json_t               *events, *event;
    const char           *words;
    ngx_comms_webhook_t   wh;

    unit_webhook(*state, &wh);

    assert_int_equal(ngx_comms_smtp.parse(*state, &wh, NULL, &events, &words),
                     NGX_OK);

    event = json_array_get(events, 0);
    assert_string_equal(json_string_value(json_object_get(event,
                                                          "dedupe_id")),
                        "smtp:<m1@example.org>");
    assert_string_equal(json_string_value(json_object_get(event,
                                                          "reply_token")),
                        "t0");
    json_decref(events);

    wh.content_type = unit_str("text/plain");
    assert_int_equal(ngx_comms_smtp.parse(*state, &wh, NULL, &events, &words),
                     NGX_DECLINED);

    /* without an envelope a report could not be told from a mail */

    unit_webhook(*state, &wh);
    wh.headers.nelts = 0;
    assert_int_equal(ngx_comms_smtp.parse(*state, &wh, NULL, &events, &words),
                     NGX_DECLINED);

    unit_header(&wh, "X-Envelope-From", "ada@example.org");
    unit_header(&wh, "X-Envelope-To", "nobody");
    assert_int_equal(ngx_comms_smtp.parse(*state, &wh, NULL, &events, &words),
                     NGX_DECLINED);
}


static void
unit_message(ngx_comms_outbound_t *message)
{
    ngx_memzero(message, sizeof(ngx_comms_outbound_t));

    message->channel = NGX_COMMS_EMAIL;
    message->company_address = unit_str("mailto:jobs@acme.example");
    message->person_address = unit_str("mailto:ada@example.org");
    message->person_name = unit_str("Ada \"A\" Byron\r\nBcc: x@y.example");
    message->content = unit_str("Hello\n.\nFrom here = there \n\xe2\x9c\x93");
    message->subject = unit_str("Gr\xc3\xbc\xc3\x9f" "e\r\nBcc: e@x.example");
    message->sender_name = unit_str("Acme Care");
    message->message_id = unit_str("<th_1.e1@acme.example>");
    message->reply_to = unit_str("reply+t@in.acme.example");
    message->in_reply_to = unit_str("<m3@example.org>");
    message->references = unit_str("<m1@acme.example> <m3@example.org>");
    message->unsubscribe = unit_str("https://acme.example/u/1");
}


static void
test_build(void **state)
{
    json_t                *credentials;
    const char            *words;
    ngx_comms_request_t    rq;
    ngx_comms_outbound_t   message;

    credentials = unit_credentials();
    unit_clock_set(NOW);
    unit_message(&message);

    assert_int_equal(ngx_comms_smtp.build(*state, &message, credentials, &rq,
                                          &words), NGX_OK);

    assert_non_null(rq.mail);
    assert_text(rq.mail->from, "reply+t@in.acme.example");
    assert_text(rq.mail->to, "ada@example.org");
    assert_text(rq.mail->username, "acme");
    assert_text(rq.mail->password, "secret word");

    assert_text(rq.body,
        "Date: Sun, 22 Nov 2026 11:46:00 +0000\r\n"
        "From: \"Acme Care\"\r\n <jobs@acme.example>\r\n"
        "To: \"Ada \\\"A\\\" Byron Bcc: x@y.example\"\r\n"
        " <ada@example.org>\r\n"
        "Reply-To: reply+t@in.acme.example\r\n"
        "Subject: =?UTF-8?B?R3LDvMOfZSBCY2M6IGVAeC5leGFtcGxl?=\r\n"
        "Message-ID: <th_1.e1@acme.example>\r\n"
        "In-Reply-To: <m3@example.org>\r\n"
        "References: <m1@acme.example> <m3@example.org>\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "X-Auto-Response-Suppress: All\r\n"
        "List-Unsubscribe: <https://acme.example/u/1>\r\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        "Hello\r\n=2E\r\n=46rom here =3D there=20\r\n=E2=9C=93\r\n");

    message.channel = NGX_COMMS_SMS;
    assert_int_equal(ngx_comms_smtp.build(*state, &message, credentials, &rq,
                                          &words), NGX_DECLINED);

    unit_message(&message);
    message.media = json_pack("[{s:s}]", "content", "no base64");
    assert_int_equal(ngx_comms_smtp.build(*state, &message, credentials, &rq,
                                          &words), NGX_DECLINED);
    json_decref(message.media);
    json_decref(credentials);
}


/* mails for other software to read: t/corpus/outgoing.test.mjs */

static void
test_written(void **state)
{
    FILE                  *file;
    char                   path[512];
    json_t                *credentials;
    ngx_uint_t             i;
    const char            *dir, *words;
    ngx_comms_request_t    rq;
    ngx_comms_outbound_t   message;

    dir = getenv("COMMS_MAILS");

    if (dir == NULL) {
        skip();
    }

    credentials = unit_credentials();

    for (i = 0; i < 3; i++) {
        unit_message(&message);

        if (i == 1) {
            message.content = unit_str("\xe6\x9c\x88\xe6\x9b\x9c\xe6\x97\xa5"
                                       "\r\n\r\n\xe3\x81\xaf\xe3\x81\x84");
            message.sender_name = unit_str("\xc3\x84" "cme, \"Care\"");
        }

        if (i == 2) {
            message.media = json_pack("[{s:s,s:s,s:s}]", "content",
                                      "JVBERi0xLjQKJSVFT0YK", "content_type",
                                      "application/pdf", "filename",
                                      "F\xc3\xbchrung \xe2\x80\x93 "
                                      "sehr lang und noch l\xc3\xa4nger "
                                      "als eine Zeile.pdf");
        }

        assert_int_equal(ngx_comms_smtp.build(*state, &message, credentials,
                                              &rq, &words), NGX_OK);
        json_decref(message.media);

        snprintf(path, sizeof(path), "%s/%lu.eml", dir, (unsigned long) i);
        file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(rq.body.data, 1, rq.body.len, file),
                         rq.body.len);
        fclose(file);
    }

    json_decref(credentials);
}


static const unit_reply_t  replies[] = {
    { 250, "250 2.0.0 Ok: queued as 4Cx7-Ab_9\r\n", NGX_COMMS_SENT, "",
      "4Cx7-Ab_9", "sent" },
    { 250, "250 OK id=1rAbCd-0001-EF", NGX_COMMS_SENT, "",
      "1rAbCd-0001-EF", "sent" },
    { 250, "", NGX_COMMS_SENT, "", "", "sent" },
    { 421, "421 4.3.2 closing", NGX_COMMS_SEND_RETRY, "421 4.3.2", "",
      "unavailable" },
    { 450, "450 4.2.0 greylisted", NGX_COMMS_SEND_RETRY, "450 4.2.0", "",
      "mailbox_busy" },
    { 452, "452 4.2.2 full", NGX_COMMS_SEND_RETRY, "452 4.2.2", "",
      "mailbox_full" },
    { 550, "550 5.1.1 <ada@example.org> unknown", NGX_COMMS_SEND_REFUSED,
      "550 5.1.1", "", "unknown_mailbox" },
    { 550, "550-5.7.26 unauthenticated\r\n550 5.7.26 see",
      NGX_COMMS_SEND_CONFIG, "550 5.7.26", "", "unauthenticated" },
    { 554, "554 5.7.1 from 192.0.2.5.1.1 spam", NGX_COMMS_SEND_REFUSED,
      "554 5.7.1", "", "policy" },
    { 550, "550 4.2.1 of another class", NGX_COMMS_SEND_REFUSED, "550", "",
      "mailbox_unavailable" },
    { 552, "", NGX_COMMS_SEND_REFUSED, "552", "", "mailbox_full" },
    { 535, "535 5.7.8 bad password", NGX_COMMS_SEND_CONFIG, "535 5.7.8", "",
      "authentication" },
    { 535, "", NGX_COMMS_SEND_CONFIG, "535", "", "authentication" },
    { 553, "553 5.3.2 not now", NGX_COMMS_SEND_REFUSED, "553 5.3.2", "",
      "unavailable" },
    { 599, "", NGX_COMMS_SEND_REFUSED, "599", "", "refused" },
    { 499, "", NGX_COMMS_SEND_RETRY, "499", "", "temporary" },
    { 354, "", NGX_COMMS_SEND_UNKNOWN, "", "", "unreadable_answer" }
};


static void
test_read(void **state)
{
    ngx_uint_t          i;
    ngx_comms_sent_t    sent;
    ngx_comms_answer_t  an;

    for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        ngx_memzero(&an, sizeof(ngx_comms_answer_t));
        an.outcome = NGX_COMMS_EXCHANGE_COMPLETE;
        an.status = replies[i].status;
        an.body = unit_str(replies[i].body);

        assert_int_equal(ngx_comms_smtp.read(*state, &an, &sent), NGX_OK);

        if (sent.verdict != replies[i].verdict
            || strcmp(sent.label, replies[i].label) != 0)
        {
            fail_msg("reply %lu: %d, %s", (unsigned long) i, sent.verdict,
                     sent.label);
        }

        unit_assert_text(&sent.code, replies[i].code,
                         strlen(replies[i].code), "code", (int) i);
        unit_assert_text(&sent.provider_message_id, replies[i].id,
                         strlen(replies[i].id), "id", (int) i);
    }

    ngx_memzero(&an, sizeof(ngx_comms_answer_t));

    an.outcome = NGX_COMMS_EXCHANGE_UNSENT;
    assert_int_equal(ngx_comms_smtp.read(*state, &an, &sent), NGX_OK);
    assert_int_equal(sent.verdict, NGX_COMMS_SEND_RETRY);

    an.outcome = NGX_COMMS_EXCHANGE_UNKNOWN;
    assert_int_equal(ngx_comms_smtp.read(*state, &an, &sent), NGX_OK);
    assert_int_equal(sent.verdict, NGX_COMMS_SEND_UNKNOWN);

    an.outcome = NGX_COMMS_EXCHANGE_COMPLETE;
    an.status = 250;
    assert_int_equal(ngx_comms_smtp.read(*state, &an, &sent), NGX_OK);
    assert_int_equal(sent.verdict, NGX_COMMS_SENT);
}


static void
test_marker(void **state)
{
    ngx_str_t  thread, entry, company, id, marker, expected;

    thread = unit_str("th_01K9Z8V7W6X5Y4T3S2R1Q0P9N8");
    entry = unit_str("01K9Z8V7W6X5Y4T3S2R1Q0P9N9");
    company = unit_str("jobs@acme.example");
    expected = unit_str("th_01K9Z8V7W6X5Y4T3S2R1Q0P9N8."
                        "01K9Z8V7W6X5Y4T3S2R1Q0P9N9");

    assert_int_equal(ngx_comms_email_message_id(*state, &thread, &entry,
                                                &company, &id), NGX_OK);
    assert_int_equal(ngx_comms_email_marker(*state, &id, &marker), NGX_OK);
    unit_assert_text(&marker, (char *) expected.data, expected.len, "", 0);

    id = unit_str("<th_01k9z8v7w6x5y4t3s2r1q0p9n8@acme.example>");
    assert_int_equal(ngx_comms_email_marker(*state, &id, &marker),
                     NGX_DECLINED);

    id = unit_str("<th_01k9z8v7w6x5y4t3s2r1q0p9nu."
                  "01k9z8v7w6x5y4t3s2r1q0p9n9@acme.example>");
    assert_int_equal(ngx_comms_email_marker(*state, &id, &marker),
                     NGX_DECLINED);
}


static void
test_check(void **state)
{
    json_t      *credentials;
    ngx_uint_t   i;
    const char  *field, *words;

    static const char  *mistakes[][2] = {
        { "username", "7" },
        { "username", "\"\"" },
        { "inbound_secrets", "[]" },
        { "inbound_secrets", "[\"short\"]" },
        { "reply_keys", "\"0123456789abcdef\"" },
        { "host", "\"mail.acme.example\"" },
        { NULL, NULL }
    };

    credentials = unit_credentials();
    json_object_set_new(credentials, "password", json_string("word"));
    assert_int_equal(ngx_comms_smtp.check(credentials, &field, &words),
                     NGX_OK);

    json_object_del(credentials, "password");
    assert_int_equal(ngx_comms_smtp.check(credentials, &field, &words),
                     NGX_DECLINED);

    json_object_del(credentials, "username");
    assert_int_equal(ngx_comms_smtp.check(credentials, &field, &words),
                     NGX_OK);
    json_decref(credentials);

    for (i = 0; mistakes[i][0] != NULL; i++) {
        credentials = unit_credentials();
        json_object_set_new(credentials, "password", json_string("word"));
        json_object_set_new(credentials, mistakes[i][0],
                            json_loads(mistakes[i][1], JSON_DECODE_ANY,
                                       NULL));

        assert_int_equal(ngx_comms_smtp.check(credentials, &field, &words),
                         NGX_DECLINED);
        assert_string_equal(field, mistakes[i][0]);
        json_decref(credentials);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_shown),
        pool_test(test_signed),
        pool_test(test_parse),
        pool_test(test_build),
        pool_test(test_written),
        pool_test(test_read),
        pool_test(test_marker),
        pool_test(test_check)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
