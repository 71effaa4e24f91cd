
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "base/ngx_comms_json.h"
#include "channel/ngx_comms_channel.h"
#include "channel/ngx_comms_email.h"


#define TOKEN    "0123456789abcdefXYZ"
#define BOUNDARY "xYzZY"
#define TYPE     "multipart/form-data; boundary=" BOUNDARY
#define NOW      INT64_C(1600112502000)
#define ONE_DAY  INT64_C(86400000)
#define THREE_DAYS  (3 * ONE_DAY)

#define KEY                                                                   \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF"\
    "9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="

#define SIGNATURE                                                             \
    "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+l"\
    "uQAbPIqHh89M15TluLtEZtM="

#define BODY                                                                  \
    "[{\"email\":\"hello@world.com\",\"event\":\"dropped\","                  \
    "\"reason\":\"Bounced Address\","                                         \
    "\"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\","\
    "\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-"          \
    "756b745b58-kmzbl-18-5F5FC76C-9.0\","                                     \
    "\"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\"," \
    "\"timestamp\":1600112492}]"

#define FIELD(name, value)                                                    \
    "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"" name          \
    "\"\r\n\r\n" value "\r\n"

#define FILE_(name, value)                                                    \
    "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"attachment1\";" \
    " filename=\"" name "\"\r\nContent-Type: image/png\r\n\r\n" value "\r\n"

#define END       "--" BOUNDARY "--\r\n"

#define ENVELOPE                                                              \
    FIELD("envelope", "{\"to\":[\"reply+AbC-1@in.example.org\"],"             \
          "\"from\":\"ada@example.org\"}")

#define HEADERS                                                               \
    FIELD("headers", "From: =?iso-8859-1?Q?Ad=E1?= Byron <Ada@Example.org>\n" \
          "Message-ID: <m3@example.org>\nIn-Reply-To: <m2@acme.example>\n"    \
          "References: <m1@acme.example>\n <m2@acme.example>\n"               \
          "Subject: Re: =?utf-8?B?SGVsbMO2?=\n")


typedef struct {
    const char  *body;
    const char  *member;
    const char  *value;        /* NULL: the member is absent */
} unit_inbound_t;


typedef struct {
    const char  *tail;
    const char  *timestamp;
    const char  *signature;
    const char  *body;
    int64_t      now;
    ngx_int_t    rc;
} unit_signed_t;


typedef struct {
    ngx_uint_t         status;
    const char        *body;
    ngx_comms_send_e   verdict;
    const char        *code;
} unit_read_t;


static json_t *
unit_credentials(void)
{
    return json_pack("{s:s,s:s,s:[s,s],s:[s]}", "provider", "sendgrid",
                     "api_key", "SG.key", "inbound_tokens",
                     "another-token-of-ours", TOKEN, "reply_keys",
                     "0123456789abcdef");
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
unit_webhook(ngx_pool_t *pool, ngx_comms_webhook_t *wh, const char *body)
{
    ngx_memzero(wh, sizeof(ngx_comms_webhook_t));

    assert_int_equal(ngx_array_init(&wh->urls, pool, 1, sizeof(ngx_str_t)),
                     NGX_OK);
    assert_int_equal(ngx_array_init(&wh->headers, pool, 2,
                                    sizeof(ngx_keyval_t)), NGX_OK);

    wh->tail = unit_str(TOKEN);
    wh->content_type = unit_str(TYPE);
    wh->body = unit_str(body);
}


static unit_signed_t  signed_webhooks[] = {
    { TOKEN, "1600112502", SIGNATURE, BODY "\r\n", NOW, NGX_OK },
    { "/" TOKEN, "1600112502", SIGNATURE, BODY "\r\n", NOW, NGX_OK },
    { "another-token-of-ours", "1600112502", SIGNATURE, BODY "\r\n", NOW,
      NGX_OK },
    { TOKEN, "1600112502", SIGNATURE, BODY "\r\n", NOW + 300000, NGX_OK },
    { TOKEN, "1600112502", SIGNATURE, BODY "\r\n", NOW + THREE_DAYS + 300000,
      NGX_OK },
    { TOKEN, "1600112502", SIGNATURE, BODY "\r\n", NOW - 300000, NGX_OK },

    { TOKEN, "1600112502", SIGNATURE, BODY "\r\n", NOW + THREE_DAYS + 301000,
      NGX_DECLINED },
    { TOKEN, "1600112502", SIGNATURE, BODY "\r\n", NOW - 301000,
      NGX_DECLINED },
    { TOKEN, "1600112503", SIGNATURE, BODY "\r\n", NOW, NGX_DECLINED },
    { TOKEN, "", SIGNATURE, BODY "\r\n", NOW, NGX_DECLINED },
    { TOKEN, "-1", SIGNATURE, BODY "\r\n", NOW, NGX_DECLINED },
    { TOKEN, "99999999999999999999", SIGNATURE, BODY "\r\n", NOW,
      NGX_DECLINED },
    { TOKEN, "1600112502", SIGNATURE, BODY, NOW, NGX_DECLINED },
    { TOKEN, "1600112502", "", BODY "\r\n", NOW, NGX_DECLINED },
    { TOKEN, "1600112502", "!", BODY "\r\n", NOW, NGX_DECLINED },
    { TOKEN, NULL, SIGNATURE, BODY "\r\n", NOW, NGX_DECLINED },
    { TOKEN, "1600112502", NULL, BODY "\r\n", NOW, NGX_DECLINED },
    { "", "1600112502", SIGNATURE, BODY "\r\n", NOW, NGX_DECLINED },
    { TOKEN "x", "1600112502", SIGNATURE, BODY "\r\n", NOW, NGX_DECLINED },
    { "0123456789abcdefXY", "1600112502", SIGNATURE, BODY "\r\n", NOW,
      NGX_DECLINED }
};


static void
test_verify(void **state)
{
    json_t               *credentials;
    ngx_int_t             rc;
    ngx_uint_t            i;
    unit_signed_t        *s;
    ngx_comms_webhook_t   wh;

    credentials = unit_credentials();
    json_object_set_new(credentials, "inbound_public_key", json_string(KEY));

    for (i = 0; i < sizeof(signed_webhooks) / sizeof(unit_signed_t); i++) {
        s = &signed_webhooks[i];

        unit_clock_set(s->now);
        unit_webhook(*state, &wh, s->body);
        wh.tail = unit_str(s->tail);

        if (s->signature != NULL) {
            unit_header(&wh, "X-Twilio-Email-Event-Webhook-Signature",
                        s->signature);
        }

        if (s->timestamp != NULL) {
            unit_header(&wh, "x-twilio-email-event-webhook-timestamp",
                        s->timestamp);
        }

        rc = ngx_comms_sendgrid.verify(*state, &wh, credentials);

        if (rc != s->rc) {
            fail_msg("webhook %lu: %ld", (unsigned long) i, (long) rc);
        }
    }

    json_decref(credentials);
}


static void
test_verify_bits(void **state)
{
    u_char               *copy;
    size_t                i;
    json_t               *credentials;
    ngx_comms_webhook_t   wh;

    credentials = unit_credentials();
    json_object_set_new(credentials, "inbound_public_key", json_string(KEY));
    unit_clock_set(NOW);

    for (i = 0; i < sizeof(BODY "\r\n") - 1; i++) {
        unit_webhook(*state, &wh, BODY "\r\n");
        unit_header(&wh, "X-Twilio-Email-Event-Webhook-Signature", SIGNATURE);
        unit_header(&wh, "X-Twilio-Email-Event-Webhook-Timestamp",
                    "1600112502");

        copy = ngx_pstrdup(*state, &wh.body);
        copy[i] ^= (u_char) (1 << (i % 8));
        wh.body.data = copy;

        assert_int_equal(ngx_comms_sendgrid.verify(*state, &wh, credentials),
                         NGX_DECLINED);
    }

    json_decref(credentials);
}


static void
test_verify_token(void **state)
{
    u_char                tail[] = TOKEN;
    size_t                i;
    json_t               *credentials;
    ngx_comms_webhook_t   wh;

    credentials = unit_credentials();
    unit_webhook(*state, &wh, "");

    assert_int_equal(ngx_comms_sendgrid.verify(*state, &wh, credentials),
                     NGX_OK);

    wh.tail.data = tail;

    for (i = 0; i < sizeof(TOKEN) - 1; i++) {
        tail[i] ^= 1;
        assert_int_equal(ngx_comms_sendgrid.verify(*state, &wh, credentials),
                         NGX_DECLINED);
        tail[i] ^= 1;
    }

    json_decref(credentials);
}


static unit_inbound_t  inbound[] = {
    { ENVELOPE HEADERS FIELD("text", "Hello") END, "kind", "message" },
    { ENVELOPE HEADERS FIELD("text", "Hello") END, "channel", "email" },
    { ENVELOPE HEADERS FIELD("text", "Hello") END, "provider", "sendgrid" },
    { ENVELOPE HEADERS FIELD("text", "Hello") END, "content", "Hello" },
    { ENVELOPE HEADERS FIELD("text", "Hello") END, "company_address",
      "mailto:reply@in.example.org" },
    { ENVELOPE HEADERS FIELD("text", "Hello") END, "reply_token", "abc-1" },
    { ENVELOPE HEADERS FIELD("text", "Hello") END, "person_address",
      "mailto:ada@example.org" },
    { ENVELOPE HEADERS FIELD("text", "Hello") END, "person_name",
      "Ad\xc3\xa1 Byron" },
    { ENVELOPE HEADERS FIELD("text", "Hello") END, "subject",
      "Re: Hell\xc3\xb6" },
    { ENVELOPE HEADERS FIELD("text", "Hello") END, "email_message_id",
      "<m3@example.org>" },
    { ENVELOPE HEADERS FIELD("text", "Hello") END, "provider_message_id",
      "<m3@example.org>" },
    { ENVELOPE HEADERS FIELD("text", "Hello") END, "dedupe_id",
      "sendgrid:<m3@example.org>" },
    { ENVELOPE HEADERS FIELD("text", "Hello") END, "references",
      "<m1@acme.example> <m2@acme.example> <m3@example.org>" },

    { ENVELOPE HEADERS FIELD("charsets", "{\"text\":\"iso-8859-1\"}")
      FIELD("text", "caf\xe9") END, "content", "caf\xc3\xa9" },
    { ENVELOPE HEADERS FIELD("charsets", "broken") FIELD("text", "caf\xe9")
      END, "content", "caf\xef\xbf\xbd" },
    { ENVELOPE HEADERS FIELD("html", "<p>One</p><p>Two</p>") END, "content",
      "One\n\nTwo" },
    { ENVELOPE HEADERS FIELD("text", " \r\n") FIELD("html", "<b>Bold</b>")
      END, "content", "Bold" },
    { ENVELOPE HEADERS FIELD("text", "") FILE_("a b.png", "x") END, "content",
      "[attachment: a b.png]" },
    { ENVELOPE HEADERS END, "content", "[message without text]" },

    { ENVELOPE FIELD("from", "Ada <ada@example.org>") FIELD("subject", "S")
      FIELD("text", "x") END, "person_address", "mailto:ada@example.org" },
    { ENVELOPE FIELD("from", "Ada <ada@example.org>") FIELD("subject", "S")
      FIELD("text", "x") END, "subject", "S" },
    { ENVELOPE FIELD("from", "Ada <ada@example.org>") FIELD("text", "x") END,
      "email_message_id", NULL },

    { FIELD("envelope", "{\"to\":[\"x@y.example\",\"r+t@in.example.org\"],"
            "\"from\":\"a@b.example\"}") HEADERS FIELD("text", "x") END,
      "company_address", "mailto:r@in.example.org" },
    { FIELD("envelope", "{\"to\":[\"jobs@acme.example\"],"
            "\"from\":\"a@b.example\"}") HEADERS FIELD("text", "x") END,
      "reply_token", NULL },

    { FIELD("envelope", "{\"to\":[\"a@b.example\"],\"from\":\"\"}") HEADERS
      FIELD("text", "x") END, "reason", "null envelope sender" },
    { FIELD("envelope", "{\"to\":[\"a@b.example\"],\"from\":\"<>\"}") HEADERS
      FIELD("text", "x") END, "kind", "ignored" },
    { FIELD("envelope", "{\"to\":[\"a@b.example\"],\"from\":"
            "\"MAILER-DAEMON@x.example\"}") HEADERS FIELD("text", "x") END,
      "reason", "delivery report" },
    { ENVELOPE FIELD("headers", "Auto-Submitted: auto-replied (away)\n")
      FIELD("text", "x") END, "reason", "auto-submitted" },
    { ENVELOPE FIELD("headers", "Precedence: bulk\n") FIELD("text", "x") END,
      "reason", "bulk mail" },
    { ENVELOPE FIELD("headers", "From: MAILER-DAEMON@x.example\nContent-Type: "
                     "multipart/report; report-type=delivery-status;\n"
                     " boundary=\"b\"\n") FIELD("text", "x") END, "reason",
      "delivery report about no mail of ours" },
    { ENVELOPE FIELD("headers", "From: nobody\n") FIELD("text", "x") END,
      "reason", "no valid sender address" },
    { ENVELOPE FIELD("from", "ada@[127.0.0.1]") FIELD("text", "x") END,
      "reason", "no valid sender address" },

    { ENVELOPE FIELD("email", "From: ada@example.org\r\n"
                     "Message-ID: <r1@example.org>\r\n\r\nRaw") END,
      "content", "Raw" },
    { ENVELOPE FIELD("rawEmail", "From: ada@example.org\r\n"
                     "Message-ID: <r1@example.org>\r\n\r\nRaw") END,
      "email_message_id", "<r1@example.org>" }
};


static void
test_parse(void **state)
{
    json_t               *events, *event;
    ngx_int_t             rc;
    ngx_str_t             value;
    ngx_uint_t            i;
    const char           *words;
    unit_inbound_t       *in;
    ngx_comms_webhook_t   wh;

    for (i = 0; i < sizeof(inbound) / sizeof(inbound[0]); i++) {
        in = &inbound[i];

        unit_webhook(*state, &wh, in->body);

        rc = ngx_comms_sendgrid.parse(*state, &wh, NULL, &events, &words);

        if (rc != NGX_OK) {
            fail_msg("mail %lu: %ld, %s", (unsigned long) i, (long) rc,
                     words);
        }

        assert_int_equal(json_array_size(events), 1);

        event = json_array_get(events, 0);

        if (in->value == NULL) {
            assert_null(json_object_get(event, in->member));

        } else {
            value = ngx_comms_json_view(json_object_get(event, in->member));
            unit_assert_text(&value, in->value, strlen(in->value),
                             in->body, (int) i);
        }

        json_decref(events);
    }
}


static void
test_parse_ids(void **state)
{
    json_t               *events, *ids;
    const char           *words;
    ngx_comms_webhook_t   wh;

    unit_webhook(*state, &wh, ENVELOPE HEADERS FIELD("text", "x") END);

    assert_int_equal(ngx_comms_sendgrid.parse(*state, &wh, NULL, &events,
                                              &words), NGX_OK);

    ids = json_object_get(json_array_get(events, 0), "message_ids");

    assert_int_equal(json_array_size(ids), 2);
    assert_string_equal(json_string_value(json_array_get(ids, 0)),
                        "<m2@acme.example>");
    assert_string_equal(json_string_value(json_array_get(ids, 1)),
                        "<m1@acme.example>");

    json_decref(events);
}


static void
test_parse_refused(void **state)
{
    json_t               *events;
    ngx_uint_t            i;
    const char           *words;
    ngx_comms_webhook_t   wh;

    static const char  *bodies[] = {
        "",
        ENVELOPE HEADERS FIELD("text", "x"),
        HEADERS FIELD("text", "x") END,
        FIELD("envelope", "{") HEADERS END,
        FIELD("envelope", "[]") HEADERS END,
        FIELD("envelope", "{\"to\":\"a@b.example\",\"from\":\"a@b.example\"}")
            END,
        FIELD("envelope", "{\"to\":[],\"from\":\"a@b.example\"}") HEADERS END,
        FIELD("envelope", "{\"to\":[7,\"x\"],\"from\":\"a@b.example\"}")
            HEADERS END,
        NULL
    };

    for (i = 0; bodies[i] != NULL; i++) {
        unit_webhook(*state, &wh, bodies[i]);
        words = NULL;

        assert_int_equal(ngx_comms_sendgrid.parse(*state, &wh, NULL, &events,
                                                  &words), NGX_DECLINED);
        assert_non_null(words);
        assert_null(events);
    }
}


static void
unit_message(ngx_comms_outbound_t *message)
{
    ngx_memzero(message, sizeof(ngx_comms_outbound_t));

    message->channel = NGX_COMMS_EMAIL;
    message->company_address = unit_str("mailto:jobs@acme.example");
    message->person_address = unit_str("mailto:ada@example.org");
    message->person_name = unit_str("Ada\r\nBcc: x@y.example");
    message->content = unit_str("Hi <b>Ada</b> & co\nline\n\n\"two\"");
    message->marker = unit_str("send/1");
    message->subject = unit_str("Your job\r\nBcc: eve@example.org");
    message->sender_name = unit_str("Acme");
    message->message_id = unit_str("<th_1.e1@acme.example>");
    message->reply_to = unit_str("reply+t@in.example.org");
    message->in_reply_to = unit_str("<m3@example.org>");
    message->references = unit_str("<m1@acme.example> <m3@example.org>");
}


static void
test_build(void **state)
{
    const char            *words;
    json_t                *mail, *wanted, *credentials;
    ngx_str_t              got, expected;
    ngx_keyval_t          *header;
    ngx_comms_request_t    rq;
    ngx_comms_outbound_t   message;
    ngx_comms_json_error_t err;

    credentials = unit_credentials();
    unit_message(&message);

    assert_int_equal(ngx_comms_sendgrid.build(*state, &message, credentials,
                                              &rq, &words), NGX_OK);

    assert_text(rq.method, "POST");
    assert_text(rq.path, "v3/mail/send");

    header = rq.headers.elts;
    assert_text(header[0].key, "Authorization");
    assert_text(header[0].value, "Bearer SG.key");

    mail = ngx_comms_json_parse(&rq.body, &err);
    assert_non_null(mail);

    wanted = json_loads(
        "{\"personalizations\":[{\"to\":[{\"email\":\"ada@example.org\","
        "\"name\":\"Ada Bcc: x@y.example\"}],"
        "\"custom_args\":{\"comms_effect\":\"send/1\"}}],"
        "\"from\":{\"email\":\"jobs@acme.example\",\"name\":\"Acme\"},"
        "\"reply_to\":{\"email\":\"reply+t@in.example.org\"},"
        "\"subject\":\"Your job Bcc: eve@example.org\","
        "\"content\":[{\"type\":\"text/plain\",\"value\":"
        "\"Hi <b>Ada</b> & co\\nline\\n\\n\\\"two\\\"\"},"
        "{\"type\":\"text/html\",\"value\":\"<!DOCTYPE html>\\n<html><body>\\n"
        "<p>Hi &lt;b&gt;Ada&lt;/b&gt; &amp; co<br>\\nline</p>\\n"
        "<p>&quot;two&quot;</p>\\n</body></html>\\n\"}],"
        "\"headers\":{\"Message-ID\":\"<th_1.e1@acme.example>\","
        "\"In-Reply-To\":\"<m3@example.org>\","
        "\"References\":\"<m1@acme.example> <m3@example.org>\","
        "\"Auto-Submitted\":\"auto-generated\","
        "\"X-Auto-Response-Suppress\":\"All\"},"
        "\"tracking_settings\":{\"click_tracking\":{\"enable\":false,"
        "\"enable_text\":false},\"open_tracking\":{\"enable\":false}}}",
        0, NULL);
    assert_non_null(wanted);

    assert_int_equal(ngx_comms_json_dump_canonical(*state, mail, &got),
                     NGX_OK);
    assert_int_equal(ngx_comms_json_dump_canonical(*state, wanted, &expected),
                     NGX_OK);
    assert_string_equal((char *) got.data, (char *) expected.data);

    json_decref(mail);
    json_decref(wanted);
    json_decref(credentials);
}


/* a long conversation keeps its first id and the newest, on one line */

static void
test_build_references(void **state)
{
    u_char                 *p, text[8192];
    json_t                 *mail, *credentials;
    ngx_str_t               value;
    ngx_uint_t              i;
    const char             *words;
    ngx_comms_request_t     rq;
    ngx_comms_outbound_t    message;
    ngx_comms_json_error_t  err;

    credentials = unit_credentials();
    unit_message(&message);

    p = text;

    for (i = 0; i < 200; i++) {
        p = ngx_sprintf(p, "%s<m%03ui@acme.example>", (i > 0) ? " " : "", i);
    }

    message.references.data = text;
    message.references.len = p - text;

    assert_int_equal(ngx_comms_sendgrid.build(*state, &message, credentials,
                                              &rq, &words), NGX_OK);

    mail = ngx_comms_json_parse(&rq.body, &err);
    value = ngx_comms_json_view(json_object_get(json_object_get(mail,
                                                                "headers"),
                                                "References"));

    assert_in_range(value.len, 850, 900);
    assert_memory_equal(value.data, "<m000@acme.example> <m", 22);
    assert_memory_equal(value.data + value.len - 19, "<m199@acme.example>",
                        19);

    json_decref(mail);
    json_decref(credentials);
}


static void
test_build_refused(void **state)
{
    json_t                *credentials;
    const char            *words;
    ngx_comms_request_t    rq;
    ngx_comms_outbound_t   message;

    credentials = unit_credentials();

    unit_message(&message);
    message.person_address = unit_str("tel:+447700900123");
    assert_int_equal(ngx_comms_sendgrid.build(*state, &message, credentials,
                                              &rq, &words), NGX_DECLINED);

    unit_message(&message);
    message.content = unit_str("\n");
    assert_int_equal(ngx_comms_sendgrid.build(*state, &message, credentials,
                                              &rq, &words), NGX_DECLINED);

    unit_message(&message);
    message.content = unit_str("\xff");
    assert_int_equal(ngx_comms_sendgrid.build(*state, &message, credentials,
                                              &rq, &words), NGX_DECLINED);

    unit_message(&message);
    message.channel = NGX_COMMS_SMS;
    assert_int_equal(ngx_comms_sendgrid.build(*state, &message, credentials,
                                              &rq, &words), NGX_DECLINED);

    json_decref(credentials);
}


static unit_read_t  answers[] = {
    { 202, "", NGX_COMMS_SENT, "" },
    { 400, "{\"errors\":[{\"message\":\"x ada@example.org\",\"field\":"
      "\"personalizations.0.to.0.email\"}]}", NGX_COMMS_SEND_REFUSED,
      "400 personalizations.0.to.0.email" },
    { 400, "{\"errors\":[{\"message\":\"x\",\"field\":\"from.email\"}]}",
      NGX_COMMS_SEND_CONFIG, "400 from.email" },
    { 400, "{\"errors\":[{\"message\":\"x\",\"field\":null}]}",
      NGX_COMMS_SEND_REFUSED, "400" },
    { 400, "{\"errors\":[{\"field\":\"ada@example.org\"}]}",
      NGX_COMMS_SEND_REFUSED, "400" },
    { 400, "{\"errors\":[7]}", NGX_COMMS_SEND_REFUSED, "400" },
    { 400, "{\"errors\":{}}", NGX_COMMS_SEND_REFUSED, "400" },
    { 401, "{}", NGX_COMMS_SEND_CONFIG, "401" },
    { 403, "{}", NGX_COMMS_SEND_CONFIG, "403" },
    { 413, "<html><h1>413</h1></html>", NGX_COMMS_SEND_REFUSED, "413" },
    { 429, "{\"errors\":[{\"message\":\"too many requests\"}]}",
      NGX_COMMS_SEND_RETRY, "429" },
    { 500, "{\"errors\":[{\"message\":\"x\"}]}", NGX_COMMS_SEND_UNKNOWN,
      "500" },
    { 502, "", NGX_COMMS_SEND_UNKNOWN, "502" },
    { 503, "<html>", NGX_COMMS_SEND_UNKNOWN, "503" },
    { 503, "{\"errors\":[{\"message\":\"x\"}]}", NGX_COMMS_SEND_RETRY,
      "503" },
    { 301, "", NGX_COMMS_SEND_CONFIG, "301" }
};


static void
test_read(void **state)
{
    ngx_uint_t           i;
    ngx_keyval_t        *header;
    ngx_comms_sent_t     sent;
    ngx_comms_answer_t   an;

    unit_clock_set(NOW);

    ngx_memzero(&an, sizeof(ngx_comms_answer_t));
    assert_int_equal(ngx_array_init(&an.headers, *state, 2,
                                    sizeof(ngx_keyval_t)), NGX_OK);

    an.status = 202;
    assert_int_equal(ngx_comms_sendgrid.read(*state, &an, &sent), NGX_OK);
    assert_int_equal(sent.verdict, NGX_COMMS_SEND_UNKNOWN);

    header = ngx_array_push(&an.headers);
    header->key = unit_str("X-Message-Id");
    header->value = unit_str("LRzXl_NHStOGhQ4kofSm_A");

    header = ngx_array_push(&an.headers);
    header->key = unit_str("X-RateLimit-Reset");
    header->value = unit_str("1600112512");

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        an.status = answers[i].status;
        an.body = unit_str(answers[i].body);

        assert_int_equal(ngx_comms_sendgrid.read(*state, &an, &sent), NGX_OK);

        if (sent.verdict != answers[i].verdict) {
            fail_msg("answer %lu: verdict %d", (unsigned long) i,
                     (int) sent.verdict);
        }

        unit_assert_text(&sent.code, answers[i].code,
                         strlen(answers[i].code), answers[i].body, (int) i);
        assert_non_null(sent.label);
        assert_non_null(sent.words);

        if (sent.verdict == NGX_COMMS_SENT) {
            assert_text(sent.provider_message_id, "LRzXl_NHStOGhQ4kofSm_A");
        }

        if (sent.verdict == NGX_COMMS_SEND_RETRY) {
            assert_int_equal(sent.retry_after, 10000);
        }
    }

    header->value = unit_str("1600112000");
    an.status = 429;
    assert_int_equal(ngx_comms_sendgrid.read(*state, &an, &sent), NGX_OK);
    assert_int_equal(sent.retry_after, 0);

    an.outcome = NGX_COMMS_EXCHANGE_UNSENT;
    assert_int_equal(ngx_comms_sendgrid.read(*state, &an, &sent), NGX_OK);
    assert_int_equal(sent.verdict, NGX_COMMS_SEND_RETRY);

    an.outcome = NGX_COMMS_EXCHANGE_UNKNOWN;
    assert_int_equal(ngx_comms_sendgrid.read(*state, &an, &sent), NGX_OK);
    assert_int_equal(sent.verdict, NGX_COMMS_SEND_UNKNOWN);
}


static void
test_check(void **state)
{
    json_t      *credentials;
    ngx_uint_t   i;
    const char  *field, *words;

    static const char  *mistakes[][2] = {
        { "api_key", "\"\"" },
        { "api_key", "null" },
        { "inbound_tokens", "[]" },
        { "inbound_tokens", "[\"short\"]" },
        { "inbound_tokens", "\"0123456789abcdef\"" },
        { "reply_keys", "[7]" },
        { "reply_keys", "[\"0123456789abcde\"]" },
        { "inbound_public_key", "\"AAAA\"" },
        { "inbound_public_key", "7" },
        { "reply_key", "\"0123456789abcdef\"" },
        { NULL, NULL }
    };

    credentials = unit_credentials();
    assert_int_equal(ngx_comms_sendgrid.check(credentials, &field, &words),
                     NGX_OK);
    json_object_set_new(credentials, "inbound_public_key", json_string(KEY));
    assert_int_equal(ngx_comms_sendgrid.check(credentials, &field, &words),
                     NGX_OK);
    json_decref(credentials);

    for (i = 0; mistakes[i][0] != NULL; i++) {
        credentials = unit_credentials();
        json_object_set_new(credentials, mistakes[i][0],
                            json_loads(mistakes[i][1], JSON_DECODE_ANY,
                                       NULL));

        assert_int_equal(ngx_comms_sendgrid.check(credentials, &field,
                                                  &words), NGX_DECLINED);
        assert_string_equal(field, mistakes[i][0]);
        assert_non_null(words);
        json_decref(credentials);
    }
}


static void
test_ids(void **state)
{
    ngx_str_t  a, b, c, out, plus;

    a = unit_str("th_01ABC");
    b = unit_str("01XYZ");
    c = unit_str("Jobs@Acme.Example");
    assert_int_equal(ngx_comms_email_message_id(*state, &a, &b, &c, &out),
                     NGX_OK);
    assert_text(out, "<th_01abc.01xyz@acme.example>");

    a = unit_str("reply@in.example.org");
    b = unit_str("token");
    assert_int_equal(ngx_comms_email_plus(*state, &a, &b, &out), NGX_OK);
    assert_text(out, "reply+token@in.example.org");

    assert_int_equal(ngx_comms_email_unplus(*state, &out, &b, &plus), NGX_OK);
    assert_text(b, "reply@in.example.org");
    assert_text(plus, "token");

    assert_int_equal(ngx_comms_email_unplus(*state, &a, &b, &plus),
                     NGX_DECLINED);
    assert_text(b, "reply@in.example.org");

    a = unit_str("reply+@in.example.org");
    assert_int_equal(ngx_comms_email_unplus(*state, &a, &b, &plus),
                     NGX_DECLINED);
    a = unit_str("+x@in.example.org");
    assert_int_equal(ngx_comms_email_unplus(*state, &a, &b, &plus),
                     NGX_DECLINED);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_verify),
        pool_test(test_verify_bits),
        pool_test(test_verify_token),
        pool_test(test_parse),
        pool_test(test_parse_ids),
        pool_test(test_parse_refused),
        pool_test(test_build),
        pool_test(test_build_references),
        pool_test(test_build_refused),
        pool_test(test_read),
        cmocka_unit_test(test_check),
        pool_test(test_ids)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
