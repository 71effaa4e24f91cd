
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "base/ngx_comms_crypto.h"
#include "base/ngx_comms_json.h"
#include "base/ngx_comms_text.h"
#include "channel/ngx_comms_channel.h"
#include "channel/ngx_comms_twilio.h"


#define SID    "0123456789abcdef0123456789abcdef"
#define FORM   "application/x-www-form-urlencoded"

#define CALL   "CallSid=CA1234567890ABCDE&Digits=1234&To=%2B18005551212"
#define CALL1  CALL "&Caller=%2B12349013030&From=%2B12349013030"
#define CALL2  CALL "&Caller=%2B14158675309&From=%2B14158675309"
#define URL    "https://mycompany.com/myapp.php?foo=1&bar=2"
#define PORT   "https://mycompany.com:1234/myapp.php?foo=1&bar=2"
#define HASH                                                                  \
    "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
#define JSON   "{\"property\": \"value\", \"boolean\": true}"

#define INBOUND                                                               \
    "MessageSid=SM" SID "&AccountSid=AC" SID "&SmsStatus=received"            \
    "&From=%2B447700900123&To=%2B447700900999&NumMedia=0"

#define STATUS                                                                \
    "MessageSid=SM" SID "&AccountSid=AC" SID                                  \
    "&From=%2B447700900999&To=%2B447700900123"

#define WHATSAPP                                                              \
    "MessageSid=SM" SID "&AccountSid=AC" SID "&SmsStatus=received"            \
    "&From=whatsapp%3A%2B447700900123&To=whatsapp%3A%2B447700900999"


typedef struct {
    const char  *url;
    const char  *type;
    const char  *body;
    const char  *signature;
    ngx_int_t    rc;
} unit_signed_t;


typedef struct {
    ngx_uint_t         status;
    const char        *body;
    ngx_comms_send_e   verdict;
    const char        *code;
} unit_read_t;


typedef struct {
    const char  *body;
    const char  *member;
    const char  *value;        /* NULL: the member is absent */
} unit_inbound_t;


static json_t *
unit_credentials(void)
{
    return json_pack("{s:s,s:s,s:s,s:[s]}", "provider", "twilio",
                     "account_sid", "AC" SID, "auth_token", "new-token",
                     "previous_auth_tokens", "12345");
}


static void
unit_webhook(ngx_pool_t *pool, ngx_comms_webhook_t *wh, const char *url,
    const char *type, const char *body, const char *signature)
{
    ngx_str_t     *u;
    ngx_keyval_t  *header;

    ngx_memzero(wh, sizeof(ngx_comms_webhook_t));

    assert_int_equal(ngx_array_init(&wh->urls, pool, 2, sizeof(ngx_str_t)),
                     NGX_OK);
    assert_int_equal(ngx_array_init(&wh->headers, pool, 2,
                                    sizeof(ngx_keyval_t)), NGX_OK);

    u = ngx_array_push(&wh->urls);
    *u = unit_str("http://127.0.0.1/elsewhere");
    u = ngx_array_push(&wh->urls);
    *u = unit_str(url);

    if (signature != NULL) {
        header = ngx_array_push(&wh->headers);
        header->key = unit_str("x-twilio-signature");
        header->value = unit_str(signature);
    }

    wh->content_type = unit_str(type);
    wh->body = unit_str(body);
}


static unit_signed_t  signed_webhooks[] = {
    { URL, FORM, CALL1, "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", NGX_OK },
    { URL, FORM "; charset=utf-8", CALL1, "0/KCTR6DLpKmkAf8muzZqo1nDgQ=",
      NGX_OK },
    { URL "#rc=5&rp=all", FORM, CALL1, "0/KCTR6DLpKmkAf8muzZqo1nDgQ=",
      NGX_OK },
    { URL, FORM, CALL2, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", NGX_OK },
    { URL, FORM, CALL1, "EpDEmp1PyjDYp77YxYU3GILBWzE=", NGX_OK },
    { "https://mycompany.com:443/myapp.php?foo=1&bar=2", FORM, CALL1,
      "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", NGX_OK },
    { PORT, FORM, CALL1, "qERtAmzS12GPa6TT11iKcG/MY9A=", NGX_OK },
    { PORT, FORM, CALL1, "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", NGX_OK },
    { URL "&bodySHA256=" HASH, "application/json", JSON,
      "a9nBmqA0ju/hNViExpshrM61xv4=", NGX_OK },

    /* a repeated field with the same value counts once */
    { URL, FORM, CALL1 "&Digits=1234", "0/KCTR6DLpKmkAf8muzZqo1nDgQ=",
      NGX_OK },

    { URL, FORM, CALL1, NULL, NGX_DECLINED },
    { URL, FORM, CALL1, "", NGX_DECLINED },
    { URL, FORM, CALL1, "0/KCTR6DLpKmkAf8muzZqo1nDgQ", NGX_DECLINED },
    { URL, FORM, CALL1, "0/KCTR6DLpKmkAf8muzZqo1nDgR=", NGX_DECLINED },
    { URL, FORM, CALL2, "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", NGX_DECLINED },
    { URL, FORM, CALL1 "&New=1", "0/KCTR6DLpKmkAf8muzZqo1nDgQ=",
      NGX_DECLINED },
    { URL, FORM, CALL1 "&Digits=1235", "0/KCTR6DLpKmkAf8muzZqo1nDgQ=",
      NGX_DECLINED },
    { "http://mycompany.com/myapp.php?foo=1&bar=2", FORM, CALL1,
      "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", NGX_DECLINED },
    { "https://mycompany.com/myapp.php?bar=2&foo=1", FORM, CALL1,
      "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", NGX_DECLINED },
    { URL, FORM, CALL1 "%", "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", NGX_DECLINED },
    { URL "&bodySHA256=" HASH, "application/json", JSON " ",
      "a9nBmqA0ju/hNViExpshrM61xv4=", NGX_DECLINED },
    { URL, "application/json", JSON, "a9nBmqA0ju/hNViExpshrM61xv4=",
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

    for (i = 0; i < sizeof(signed_webhooks) / sizeof(unit_signed_t); i++) {
        s = &signed_webhooks[i];

        unit_webhook(*state, &wh, s->url, s->type, s->body, s->signature);

        rc = ngx_comms_twilio.verify(*state, &wh, credentials);

        if (rc != s->rc) {
            fail_msg("webhook %lu: %ld", (unsigned long) i, (long) rc);
        }
    }

    json_decref(credentials);
}


/* each bit of the body and of the URL counts */

static void
test_verify_bits(void **state)
{
    u_char               *copy;
    size_t                i;
    json_t               *credentials;
    ngx_str_t            *url;
    ngx_uint_t            bit;
    ngx_comms_webhook_t   wh;

    credentials = unit_credentials();

    for (i = 0; i < sizeof(CALL1) - 1 + sizeof(URL) - 1; i++) {
        for (bit = 0; bit < 7; bit++) {

            unit_webhook(*state, &wh, URL, FORM, CALL1,
                         "0/KCTR6DLpKmkAf8muzZqo1nDgQ=");

            url = (ngx_str_t *) wh.urls.elts + 1;

            if (i < wh.body.len) {
                copy = ngx_pstrdup(*state, &wh.body);
                copy[i] ^= (u_char) (1 << bit);
                wh.body.data = copy;

                /* another order of the fields is the same form; a "+" and
                   a "%2B" differ, a "%2b" does not */

                if (copy[i] == 'b' && bit == 5) {
                    continue;
                }

            } else {
                copy = ngx_pstrdup(*state, url);
                copy[i - wh.body.len] ^= (u_char) (1 << bit);
                url->data = copy;

                /* what follows is no part of the text in these */

                if (copy[i - wh.body.len] == '#') {
                    continue;
                }
            }

            assert_int_equal(ngx_comms_twilio.verify(*state, &wh,
                                                     credentials),
                             NGX_DECLINED);
        }
    }

    json_decref(credentials);
}


static void
test_verify_account(void **state)
{
    u_char                mac[NGX_COMMS_SHA1_LEN];
    json_t               *credentials;
    ngx_str_t             key, parts[1], bytes, signature;
    ngx_keyval_t         *header;
    ngx_comms_webhook_t   wh;

    /* signed with the right token, for another account */

    credentials = unit_credentials();

    unit_webhook(*state, &wh, "https://x.example/", FORM,
                 "AccountSid=ACffffffffffffffffffffffffffffffff", "");

    key = unit_str("new-token");
    parts[0] = unit_str("https://x.example/"
                        "AccountSidACffffffffffffffffffffffffffffffff");

    assert_int_equal(ngx_comms_hmac_sha1(&key, parts, 1, mac), NGX_OK);

    bytes.data = mac;
    bytes.len = sizeof(mac);
    assert_int_equal(ngx_comms_base64(*state, &bytes, &signature), NGX_OK);

    header = wh.headers.elts;
    header->value = signature;

    assert_int_equal(ngx_comms_twilio.verify(*state, &wh, credentials),
                     NGX_DECLINED);

    json_object_set_new(credentials, "account_sid",
                        json_string("ACffffffffffffffffffffffffffffffff"));

    assert_int_equal(ngx_comms_twilio.verify(*state, &wh, credentials),
                     NGX_OK);

    json_decref(credentials);
}


static unit_inbound_t  inbound[] = {
    { INBOUND "&Body=Hello", "kind", "message" },
    { INBOUND "&Body=Hello", "channel", "sms" },
    { INBOUND "&Body=Hello", "provider", "twilio" },
    { INBOUND "&Body=Hello", "content", "Hello" },
    { INBOUND "&Body=Hello", "person_address", "tel:+447700900123" },
    { INBOUND "&Body=Hello", "company_address", "tel:+447700900999" },
    { INBOUND "&Body=Hello", "provider_message_id", "SM" SID },
    { INBOUND "&Body=Hello", "dedupe_id", "twilio:SM" SID },
    { INBOUND "&Body=Hello", "person_name", NULL },
    { INBOUND "&Body=%FF%41", "content", "\xef\xbf\xbd" "A" },
    { INBOUND "&Body=A%00B", "content", "AB" },
    { INBOUND "&Body=", "content", "[message without text]" },
    { WHATSAPP "&Body=Hi", "channel", "whatsapp" },
    { WHATSAPP "&Body=Hi", "person_address", "tel:+447700900123" },
    { WHATSAPP "&Body=Hi&ProfileName=Ada+%0D%0AByron", "person_name",
      "Ada Byron" },
    { WHATSAPP "&Body=Yes&ButtonText=Yes&ButtonPayload=y", "content", "Yes" },
    { WHATSAPP "&Body=&ButtonText=Yes&ButtonPayload=y", "content", "Yes" },
    { WHATSAPP "&Body=&ButtonPayload=y", "content", "y" },
    { WHATSAPP "&ListId=9&ListTitle=Monday", "content", "Monday" },
    { WHATSAPP "&Body=re&OriginalRepliedMessageSid=SM1234", "replied_to",
      "SM1234" },
    { WHATSAPP "&Latitude=51.5&Longitude=-0.12&Label=Home&Address=1+Road",
      "content", "[location: 51.5, -0.12 (Home, 1 Road)]" },
    { WHATSAPP "&Body=see&NumMedia=2&MediaContentType0=image/jpeg"
      "&MediaContentType1=application/pdf", "content",
      "see\n[image: image/jpeg]\n[file: application/pdf]" },
    { WHATSAPP "&Body=&NumMedia=1&MediaContentType0=audio/ogg", "content",
      "[audio: audio/ogg]" },
    { WHATSAPP "&Body=&NumMedia=1&MediaContentType0=%0Ax%5D", "content",
      "[file]" },
    { "MessageSid=SM1&From=whatsapp:US.13491208655302741918"
      "&To=whatsapp:%2B447700900999&Body=x", "person_address",
      "bsuid:US.13491208655302741918" },
    { "MessageSid=SM1&From=whatsapp:&ExternalUserId=US.1349"
      "&To=whatsapp:%2B447700900999&Body=x", "person_address",
      "bsuid:US.1349" },
    { "MessageSid=SM1&From=rcs:ada&To=rcs:x&Body=x", "kind", "ignored" },
    { "MessageSid=SM1&From=12345&To=%2B447700900999&Body=x", "reason",
      "the sender is no person's address" },
    { "MessageSid=SM1&From=%2B447700900123&To=12345&Body=x", "reason",
      "not addressed to a phone number" },
    { "MessageSid=SM1&MessageStatus=queued&From=%2B12&To=%2B13", "reason",
      "a status that changes nothing" },
    { "MessageSid=SM1&SmsStatus=sent&MessageStatus=sent&From=%2B12&To=%2B13",
      "kind", "status" },
    { STATUS "&MessageStatus=delivered", "status", "delivered" },
    { STATUS "&MessageStatus=delivered", "channel", "sms" },
    { STATUS "&MessageStatus=delivered", "person_address",
      "tel:+447700900123" },
    { STATUS "&MessageStatus=delivered", "provider_message_id", "SM" SID },
    { STATUS "&MessageStatus=delivered", "dedupe_id",
      "twilio:SM" SID ":delivered" },
    { STATUS "&MessageStatus=delivered", "marker", "th_1.e-2" },
    { STATUS "&MessageStatus=delivered", "verdict", NULL },
    { STATUS "&MessageStatus=sent&ChannelPrefix=whatsapp", "channel",
      "whatsapp" },
    { STATUS "&MessageStatus=delivered&EventType=READ", "status", "read" },
    { STATUS "&EventType=READ", "status", "read" },
    { STATUS "&MessageStatus=undelivered&ErrorCode=63016", "status",
      "failed" },
    { STATUS "&MessageStatus=undelivered&ErrorCode=63016", "verdict",
      "window" },
    { STATUS "&MessageStatus=undelivered&ErrorCode=63016", "code", "63016" },
    { STATUS "&MessageStatus=undelivered&ErrorCode=63016", "label",
      "outside_window" },
    { STATUS "&MessageStatus=failed&ErrorCode=21610", "verdict",
      "opted_out" },
    { STATUS "&MessageStatus=failed&ErrorCode=30007", "verdict", "refused" },
    { STATUS "&MessageStatus=failed&ErrorCode=30034", "verdict", "config" },
    { STATUS "&MessageStatus=failed&ErrorCode=30008", "verdict", "retry" },
    { STATUS "&MessageStatus=failed&ErrorCode=77777", "verdict", "refused" },
    { STATUS "&MessageStatus=failed&ErrorCode=77777", "code", "77777" },
    { STATUS "&MessageStatus=failed&ErrorCode=x", "code", NULL },
    { STATUS "&MessageStatus=failed", "verdict", "refused" },
    { STATUS "&MessageStatus=canceled", "status", "failed" },
    { "MessageSid=SM1&MessageStatus=sent&To=rcs:x", "reason",
      "not a channel of ours" },

    { INBOUND "&Body=STOP&OptOutType=STOP", "opt_out_type", "STOP" },
    { INBOUND "&Body=hi&OptOutType=Help", "opt_out_type", "HELP" },
    { INBOUND "&Body=hi&OptOutType=MAYBE", "opt_out_type", NULL },
    { WHATSAPP "&Body=Hi&Forwarded=true", "content", "Hi\n[forwarded]" },
    { WHATSAPP "&Body=Hi&ReferralHeadline=Nurses%0Awanted", "content",
      "Hi\n[came from an advertisement: Nurses wanted]" },
    { "MessageSid=SM1&From=whatsapp:US.1349&WaId=447700900123"
      "&To=whatsapp:%2B447700900999&Body=x", "person_address",
      "tel:+447700900123" }
};


static void
test_parse(void **state)
{
    json_t               *events, *event;
    ngx_str_t             value;
    ngx_uint_t            i;
    const char           *words;
    unit_inbound_t       *in;
    ngx_comms_webhook_t   wh;

    for (i = 0; i < sizeof(inbound) / sizeof(inbound[0]); i++) {
        in = &inbound[i];

        unit_webhook(*state, &wh, URL "&m=th_1.e-2", FORM, in->body, NULL);

        assert_int_equal(ngx_comms_twilio.parse(*state, &wh, NULL, &events,
                                                &words), NGX_OK);
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
test_parse_refused(void **state)
{
    json_t               *events;
    ngx_uint_t            i;
    const char           *words;
    ngx_comms_webhook_t   wh;

    static const char  *bodies[] = {
        "", "Body=x", "MessageSid=&From=%2B12&To=%2B13", "MessageSid=SM1",
        "MessageSid=SM1&From=%2B12", "MessageSid=S%0AM&From=%2B12&To=%2B13",
        "MessageSid=SM1&From=%zz", NULL
    };

    for (i = 0; bodies[i] != NULL; i++) {
        unit_webhook(*state, &wh, URL, FORM, bodies[i], NULL);
        words = NULL;

        assert_int_equal(ngx_comms_twilio.parse(*state, &wh, NULL, &events,
                                                &words), NGX_DECLINED);
        assert_non_null(words);
        assert_null(events);
    }
}


static void
unit_message(ngx_comms_outbound_t *message, ngx_uint_t channel)
{
    ngx_memzero(message, sizeof(ngx_comms_outbound_t));

    message->channel = channel;
    message->company_address = unit_str("tel:+447700900999");
    message->person_address = unit_str("tel:+447700900123");
    message->content = unit_str("Hello & welcome");
}


static ngx_str_t
unit_field(ngx_pool_t *pool, ngx_comms_request_t *rq, const char *name)
{
    ngx_str_t    *value, none;
    ngx_array_t   fields;

    ngx_str_null(&none);

    assert_int_equal(ngx_comms_form_parse(pool, &rq->body, 64, &fields),
                     NGX_OK);

    value = ngx_comms_form_field(&fields, name);

    return (value != NULL) ? *value : none;
}


static void
test_build_sms(void **state)
{
    json_t                *credentials;
    ngx_str_t              value;
    const char            *words;
    ngx_keyval_t          *header;
    ngx_comms_request_t    rq;
    ngx_comms_outbound_t   message;

    credentials = unit_credentials();
    unit_message(&message, NGX_COMMS_SMS);
    message.marker = unit_str("ef&1");
    message.status_callback = unit_str("https://x.example/cb#rc=5");

    assert_int_equal(ngx_comms_twilio.build(*state, &message, credentials,
                                            &rq, &words), NGX_OK);

    assert_text(rq.method, "POST");
    assert_text(rq.path, "2010-04-01/Accounts/AC" SID "/Messages.json");

    header = rq.headers.elts;
    assert_text(header->key, "Authorization");
    assert_text(header->value, "Basic QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFi"
                               "Y2RlZjpuZXctdG9rZW4=");

    value = unit_field(*state, &rq, "To");
    assert_text(value, "+447700900123");
    value = unit_field(*state, &rq, "From");
    assert_text(value, "+447700900999");
    value = unit_field(*state, &rq, "Body");
    assert_text(value, "Hello & welcome");
    value = unit_field(*state, &rq, "StatusCallback");
    assert_text(value, "https://x.example/cb?m=ef%261#rc=5");

    json_object_set_new(credentials, "api_key_sid", json_string("SK" SID));
    json_object_set_new(credentials, "api_key_secret", json_string("s"));

    assert_int_equal(ngx_comms_twilio.build(*state, &message, credentials,
                                            &rq, &words), NGX_OK);

    header = rq.headers.elts;
    assert_text(header->value, "Basic U0swMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFi"
                               "Y2RlZjpz");

    json_decref(credentials);
}


static void
test_build_whatsapp(void **state)
{
    json_t                *credentials;
    ngx_str_t              value;
    const char            *words;
    ngx_comms_request_t    rq;
    ngx_comms_outbound_t   message;

    credentials = unit_credentials();
    unit_message(&message, NGX_COMMS_WHATSAPP);
    message.person_address = unit_str("bsuid:US.1349");
    message.template_sid = unit_str("HX" SID);
    message.template_variables = json_pack("{s:s,s:s}", "2", "a\nb\t c",
                                           "1", "Ada");

    assert_int_equal(ngx_comms_twilio.build(*state, &message, credentials,
                                            &rq, &words), NGX_OK);

    value = unit_field(*state, &rq, "To");
    assert_text(value, "whatsapp:US.1349");
    value = unit_field(*state, &rq, "From");
    assert_text(value, "whatsapp:+447700900999");
    value = unit_field(*state, &rq, "ContentSid");
    assert_text(value, "HX" SID);
    value = unit_field(*state, &rq, "ContentVariables");
    assert_text(value, "{\"1\":\"Ada\",\"2\":\"a b c\"}");
    value = unit_field(*state, &rq, "Body");
    assert_int_equal(value.len, 0);

    json_decref(message.template_variables);
    json_decref(credentials);
}


static void
test_build_refused(void **state)
{
    u_char                 text[3204];
    size_t                 i;
    json_t                *credentials;
    const char            *words;
    ngx_comms_request_t    rq;
    ngx_comms_outbound_t   message;

    credentials = unit_credentials();

    for (i = 0; i < sizeof(text); i += 2) {
        text[i] = 0xc3;
        text[i + 1] = 0xa9;
    }

    unit_message(&message, NGX_COMMS_SMS);
    message.content.data = text;
    message.content.len = 3200;
    assert_int_equal(ngx_comms_twilio.build(*state, &message, credentials,
                                            &rq, &words), NGX_OK);

    message.content.len = 3202;
    assert_int_equal(ngx_comms_twilio.build(*state, &message, credentials,
                                            &rq, &words), NGX_DECLINED);
    assert_string_equal(words, "the message is longer than 1600 characters");

    unit_message(&message, NGX_COMMS_SMS);
    message.person_address = unit_str("bsuid:US.1349");
    assert_int_equal(ngx_comms_twilio.build(*state, &message, credentials,
                                            &rq, &words), NGX_DECLINED);

    unit_message(&message, NGX_COMMS_SMS);
    message.person_address = unit_str("mailto:ada@example.org");
    assert_int_equal(ngx_comms_twilio.build(*state, &message, credentials,
                                            &rq, &words), NGX_DECLINED);

    unit_message(&message, NGX_COMMS_SMS);
    message.content = unit_str(" \n");
    assert_int_equal(ngx_comms_twilio.build(*state, &message, credentials,
                                            &rq, &words), NGX_DECLINED);

    unit_message(&message, NGX_COMMS_EMAIL);
    assert_int_equal(ngx_comms_twilio.build(*state, &message, credentials,
                                            &rq, &words), NGX_DECLINED);

    json_decref(credentials);
}


static unit_read_t  answers[] = {
    { 201, "{\"sid\":\"SM" SID "\",\"status\":\"queued\"}", NGX_COMMS_SENT,
      "" },
    { 201, "{\"sid\":\"SM" SID "\",\"status\":\"failed\",\"error_code\":63016}",
      NGX_COMMS_SEND_WINDOW, "63016" },
    { 201, "", NGX_COMMS_SEND_UNKNOWN, "" },
    { 201, "<html>", NGX_COMMS_SEND_UNKNOWN, "" },
    { 200, "{\"status\":\"queued\"}", NGX_COMMS_SEND_UNKNOWN, "" },
    { 201, "{\"sid\":\"SM\\u0000\"}", NGX_COMMS_SEND_UNKNOWN, "" },
    { 401, "{\"code\":20003}", NGX_COMMS_SEND_CONFIG, "20003" },
    { 429, "{\"code\":20429}", NGX_COMMS_SEND_RETRY, "20429" },
    { 429, "slow down", NGX_COMMS_SEND_RETRY, "" },
    { 400, "{\"code\":21211}", NGX_COMMS_SEND_REFUSED, "21211" },
    { 400, "{\"code\":21610}", NGX_COMMS_SEND_OPTED_OUT, "21610" },
    { 400, "{\"code\":63016}", NGX_COMMS_SEND_WINDOW, "63016" },
    { 400, "{\"code\":21655}", NGX_COMMS_SEND_CONFIG, "21655" },
    { 400, "{\"code\":63018}", NGX_COMMS_SEND_RETRY, "63018" },
    { 400, "{\"code\":99999}", NGX_COMMS_SEND_REFUSED, "99999" },
    { 400, "{\"code\":-1}", NGX_COMMS_SEND_REFUSED, "" },
    { 404, "{}", NGX_COMMS_SEND_CONFIG, "" },
    { 302, "", NGX_COMMS_SEND_CONFIG, "" },
    { 500, "{\"code\":20500}", NGX_COMMS_SEND_UNKNOWN, "20500" },
    { 502, "<html>", NGX_COMMS_SEND_UNKNOWN, "" },
    { 503, "", NGX_COMMS_SEND_UNKNOWN, "" },
    { 503, "{\"code\":20503}", NGX_COMMS_SEND_RETRY, "20503" },
    { 504, "", NGX_COMMS_SEND_UNKNOWN, "" }
};


static void
test_read(void **state)
{
    ngx_uint_t           i;
    ngx_keyval_t        *header;
    ngx_comms_sent_t     sent;
    ngx_comms_answer_t   an;

    ngx_memzero(&an, sizeof(ngx_comms_answer_t));
    assert_int_equal(ngx_array_init(&an.headers, *state, 1,
                                    sizeof(ngx_keyval_t)), NGX_OK);

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        an.status = answers[i].status;
        an.body = unit_str(answers[i].body);

        assert_int_equal(ngx_comms_twilio.read(*state, &an, &sent), NGX_OK);

        if (sent.verdict != answers[i].verdict) {
            fail_msg("answer %lu: verdict %d", (unsigned long) i,
                     (int) sent.verdict);
        }

        unit_assert_text(&sent.code, answers[i].code,
                         strlen(answers[i].code), answers[i].body, (int) i);
        assert_non_null(sent.label);
        assert_non_null(sent.words);

        if (sent.verdict == NGX_COMMS_SENT) {
            assert_text(sent.provider_message_id, "SM" SID);
        }
    }

    header = ngx_array_push(&an.headers);
    header->key = unit_str("retry-after");
    header->value = unit_str("7");
    an.status = 429;

    assert_int_equal(ngx_comms_twilio.read(*state, &an, &sent), NGX_OK);
    assert_int_equal(sent.retry_after, 7000);

    an.outcome = NGX_COMMS_EXCHANGE_UNSENT;
    assert_int_equal(ngx_comms_twilio.read(*state, &an, &sent), NGX_OK);
    assert_int_equal(sent.verdict, NGX_COMMS_SEND_RETRY);

    an.outcome = NGX_COMMS_EXCHANGE_UNKNOWN;
    assert_int_equal(ngx_comms_twilio.read(*state, &an, &sent), NGX_OK);
    assert_int_equal(sent.verdict, NGX_COMMS_SEND_UNKNOWN);
}


static void
test_check(void **state)
{
    json_t      *credentials;
    ngx_uint_t   i;
    const char  *field, *words;

    static const char  *mistakes[][3] = {
        { "account_sid", "\"AC12\"", "account_sid" },
        { "account_sid", "7", "account_sid" },
        { "auth_token", "\"\"", "auth_token" },
        { "auth_token", "\"a b\"", "auth_token" },
        { "previous_auth_tokens", "\"x\"", "previous_auth_tokens" },
        { "previous_auth_tokens", "[7]", "previous_auth_tokens" },
        { "api_key_sid", "\"SK" SID "\"", "api_key_secret" },
        { "api_key_secret", "\"s\"", "api_key_sid" },
        { "auth_tokn", "\"x\"", "auth_tokn" },
        { NULL, NULL, NULL }
    };

    credentials = unit_credentials();
    assert_int_equal(ngx_comms_twilio.check(credentials, &field, &words),
                     NGX_OK);
    json_decref(credentials);

    for (i = 0; mistakes[i][0] != NULL; i++) {
        credentials = unit_credentials();
        json_object_set_new(credentials, mistakes[i][0],
                            json_loads(mistakes[i][1], JSON_DECODE_ANY,
                                       NULL));

        assert_int_equal(ngx_comms_twilio.check(credentials, &field, &words),
                         NGX_DECLINED);
        assert_string_equal(field, mistakes[i][2]);
        assert_non_null(words);
        json_decref(credentials);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_verify),
        pool_test(test_verify_bits),
        pool_test(test_verify_account),
        pool_test(test_parse),
        pool_test(test_parse_refused),
        pool_test(test_build_sms),
        pool_test(test_build_whatsapp),
        pool_test(test_build_refused),
        pool_test(test_read),
        cmocka_unit_test(test_check)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
