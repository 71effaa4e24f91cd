
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "base/ngx_comms_json.h"
#include "channel/ngx_comms_channel.h"
#include "channel/ngx_comms_meta.h"


#define SECRET  "app_secret"
#define BODY    "{\"object\":\"whatsapp_business_account\",\"entry\":[]}"
#define SIGNED                                                                \
    "sha256="                                                                 \
    "c236c758c9b2bd40b388a550eeca09eaca72384dd0aa5e7c31d19cddac5bba46"
#define WAMID   "wamid.HBgMNDQ3NzAwOTAwMTIzFQIAERgS/+A="


typedef struct {
    ngx_uint_t         status;
    const char        *body;
    ngx_comms_send_e   verdict;
    const char        *code;
} unit_read_t;


static json_t *
unit_credentials(void)
{
    return json_pack("{s:s, s:s, s:s, s:[s,s], s:s}", "provider", "meta",
                     "access_token", "EAAtoken", "phone_number_id",
                     "100000000000001", "app_secrets", "another_one", SECRET,
                     "verify_token", "verify-me");
}


static void
unit_webhook(ngx_pool_t *pool, ngx_comms_webhook_t *wh, const char *body,
    const char *signature)
{
    ngx_keyval_t  *header;

    ngx_memzero(wh, sizeof(ngx_comms_webhook_t));

    assert_int_equal(ngx_array_init(&wh->urls, pool, 1, sizeof(ngx_str_t)),
                     NGX_OK);
    assert_int_equal(ngx_array_init(&wh->headers, pool, 1,
                                    sizeof(ngx_keyval_t)), NGX_OK);

    if (signature != NULL) {
        header = ngx_array_push(&wh->headers);
        header->key = unit_str("x-hub-signature-256");
        header->value = unit_str(signature);
    }

    wh->body = unit_str(body);
}


static void
test_verify(void **state)
{
    json_t               *credentials;
    ngx_comms_webhook_t   wh;

    credentials = unit_credentials();

    unit_webhook(*state, &wh, BODY, SIGNED);
    assert_int_equal(ngx_comms_meta.verify(*state, &wh, credentials), NGX_OK);

    unit_webhook(*state, &wh, BODY, NULL);
    assert_int_equal(ngx_comms_meta.verify(*state, &wh, credentials),
                     NGX_DECLINED);

    unit_webhook(*state, &wh, BODY, "");
    assert_int_equal(ngx_comms_meta.verify(*state, &wh, credentials),
                     NGX_DECLINED);

    unit_webhook(*state, &wh, BODY, SIGNED " ");
    assert_int_equal(ngx_comms_meta.verify(*state, &wh, credentials),
                     NGX_DECLINED);

    unit_webhook(*state, &wh, BODY, &SIGNED[sizeof("sha256=") - 1]);
    assert_int_equal(ngx_comms_meta.verify(*state, &wh, credentials),
                     NGX_DECLINED);

    /* when the secret was withdrawn */

    json_array_remove(json_object_get(credentials, "app_secrets"), 1);
    unit_webhook(*state, &wh, BODY, SIGNED);
    assert_int_equal(ngx_comms_meta.verify(*state, &wh, credentials),
                     NGX_DECLINED);

    json_array_clear(json_object_get(credentials, "app_secrets"));
    assert_int_equal(ngx_comms_meta.verify(*state, &wh, credentials),
                     NGX_DECLINED);

    json_decref(credentials);
}


/* each bit of the body and of the signature counts */

static void
test_verify_bits(void **state)
{
    u_char               *copy;
    size_t                i;
    json_t               *credentials;
    ngx_str_t            *value;
    ngx_uint_t            bit;
    ngx_keyval_t         *header;
    ngx_comms_webhook_t   wh;

    credentials = unit_credentials();

    for (i = 0; i < sizeof(BODY) - 1 + sizeof(SIGNED) - 1; i++) {
        for (bit = 0; bit < 8; bit++) {
            unit_webhook(*state, &wh, BODY, SIGNED);

            header = wh.headers.elts;
            value = (i < sizeof(BODY) - 1) ? &wh.body : &header->value;

            copy = ngx_pstrdup(*state, value);
            copy[(i < sizeof(BODY) - 1) ? i : i - (sizeof(BODY) - 1)]
                ^= (u_char) (1 << bit);
            value->data = copy;

            assert_int_equal(ngx_comms_meta.verify(*state, &wh, credentials),
                             NGX_DECLINED);
        }
    }

    json_decref(credentials);
}


static void
test_handshake(void **state)
{
    json_t      *credentials;
    ngx_str_t    args, answer;
    ngx_uint_t   i;

    static const char  *refused[] = {
        "",
        "hub.mode=subscribe&hub.verify_token=verify-me",
        "hub.mode=subscribe&hub.challenge=1",
        "hub.verify_token=verify-me&hub.challenge=1",
        "hub.mode=unsubscribe&hub.verify_token=verify-me&hub.challenge=1",
        "hub.mode=subscribe&hub.verify_token=verify-mE&hub.challenge=1",
        "hub.mode=subscribe&hub.verify_token=&hub.challenge=1",
        "hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=",
        "hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=%3Cb%3E",
        "hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=%zz",
        NULL
    };

    credentials = unit_credentials();

    args = unit_str("hub.mode=subscribe&hub.challenge=1158201444"
                    "&hub.verify_token=verify%2Dme");
    assert_int_equal(ngx_comms_meta.handshake(*state, &args, credentials,
                                              &answer), NGX_OK);
    assert_text(answer, "1158201444");

    for (i = 0; refused[i] != NULL; i++) {
        args = unit_str(refused[i]);

        if (ngx_comms_meta.handshake(*state, &args, credentials, &answer)
            != NGX_DECLINED)
        {
            fail_msg("%s", refused[i]);
        }
    }

    json_object_del(credentials, "verify_token");
    args = unit_str("hub.mode=subscribe&hub.challenge=1&hub.verify_token=");
    assert_int_equal(ngx_comms_meta.handshake(*state, &args, credentials,
                                              &answer), NGX_DECLINED);

    json_decref(credentials);
}


static void
unit_message(ngx_comms_outbound_t *message)
{
    ngx_memzero(message, sizeof(ngx_comms_outbound_t));

    message->channel = NGX_COMMS_WHATSAPP;
    message->company_address = unit_str("tel:+447700900999");
    message->person_address = unit_str("tel:+447700900123");
    message->content = unit_str("Hello");
}


/* what is built is this body, whatever the order of its members */

static void
unit_built(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    const char *expected)
{
    json_t                  *credentials, *body, *wanted;
    const char              *words;
    ngx_keyval_t            *header;
    ngx_comms_request_t      rq;
    ngx_comms_json_error_t   err;

    credentials = unit_credentials();
    words = NULL;

    if (ngx_comms_meta.build(pool, message, credentials, &rq, &words)
        != NGX_OK)
    {
        fail_msg("%s: %s", expected, words);
    }

    assert_text(rq.method, "POST");
    assert_text(rq.path, "v26.0/100000000000001/messages");
    assert_int_equal(rq.args.len, 0);

    header = rq.headers.elts;
    assert_text(header[0].key, "Authorization");
    assert_text(header[0].value, "Bearer EAAtoken");
    assert_text(header[1].value, "application/json");

    body = ngx_comms_json_parse(&rq.body, &err);
    wanted = json_loads(expected, 0, NULL);
    assert_non_null(wanted);

    if (!json_equal(body, wanted)) {
        fail_msg("%.*s is not %s", (int) rq.body.len, rq.body.data, expected);
    }

    json_decref(body);
    json_decref(wanted);
    json_decref(credentials);
}


#define COMMON                                                                \
    "\"messaging_product\":\"whatsapp\",\"recipient_type\":\"individual\","

#define TEMPLATE                                                              \
    "{" COMMON "\"to\":\"447700900123\",\"type\":\"template\",\"template\":{" \
    "\"name\":\"first_hello\","                                               \
    "\"language\":{\"policy\":\"deterministic\",\"code\":\"en_US\"}"


static void
test_build(void **state)
{
    ngx_comms_outbound_t  message;

    unit_message(&message);
    unit_built(*state, &message,
               "{" COMMON "\"to\":\"447700900123\",\"type\":\"text\","
               "\"text\":{\"preview_url\":false,\"body\":\"Hello\"}}");

    /* in "to" it would be lost without an error */

    message.person_address = unit_str("bsuid:US.1349");
    message.marker = unit_str("th_1.e1");
    message.replied_to = unit_str(WAMID);
    unit_built(*state, &message,
               "{" COMMON "\"recipient\":\"US.1349\",\"type\":\"text\","
               "\"text\":{\"preview_url\":false,\"body\":\"Hello\"},"
               "\"biz_opaque_callback_data\":\"th_1.e1\","
               "\"context\":{\"message_id\":\"" WAMID "\"}}");

    unit_message(&message);
    message.template_name = unit_str("first_hello");
    message.template_language = unit_str("en_US");
    unit_built(*state, &message, TEMPLATE "}}");

    message.template_variables = json_pack("{s:s,s:s,s:s}", "2", "a\nb\t c",
                                           "1", "Ada", "3", "x");
    unit_built(*state, &message, TEMPLATE ",\"components\":[{"
               "\"type\":\"body\",\"parameters\":["
               "{\"type\":\"text\",\"text\":\"Ada\"},"
               "{\"type\":\"text\",\"text\":\"a b c\"},"
               "{\"type\":\"text\",\"text\":\"x\"}]}]}}");
    json_decref(message.template_variables);

    message.template_variables = json_pack("{s:s,s:s}", "text", "Hi",
                                           "first_name", "Ada");
    unit_built(*state, &message, TEMPLATE ",\"components\":[{"
               "\"type\":\"body\",\"parameters\":["
               "{\"type\":\"text\",\"parameter_name\":\"first_name\","
               "\"text\":\"Ada\"},"
               "{\"type\":\"text\",\"parameter_name\":\"text\","
               "\"text\":\"Hi\"}]}]}}");
    json_decref(message.template_variables);
}


static void
test_build_media(void **state)
{
    char                  expected[512];
    ngx_uint_t            i;
    ngx_comms_outbound_t  message;

    static const char  *kinds[][2] = {
        { "image/jpeg", "image" },
        { "image/png", "image" },
        { "video/mp4", "video" },
        { "application/pdf", "document" },
        { "image/gif", "document" },
        { NULL, NULL }
    };

    unit_message(&message);

    for (i = 0; kinds[i][0] != NULL; i++) {
        message.media = json_pack("[{s:s, s:s}]", "url",
                                  "https://x.example/f", "content_type",
                                  kinds[i][0]);

        (void) snprintf(expected, sizeof(expected),
                        "{" COMMON "\"to\":\"447700900123\",\"type\":\"%s\","
                        "\"%s\":{\"link\":\"https://x.example/f\","
                        "\"caption\":\"Hello\"}}", kinds[i][1], kinds[i][1]);

        unit_built(*state, &message, expected);
        json_decref(message.media);
    }

    ngx_str_null(&message.content);
    message.media = json_pack("[{s:s, s:s, s:s}]", "url",
                              "https://x.example/f", "content_type",
                              "audio/ogg; codecs=opus", "filename", "f.ogg");

    unit_built(*state, &message,
               "{" COMMON "\"to\":\"447700900123\",\"type\":\"audio\","
               "\"audio\":{\"link\":\"https://x.example/f\"}}");
    json_decref(message.media);

    message.media = json_pack("[{s:s, s:s, s:s}]", "url",
                              "https://x.example/f", "content_type",
                              "application/pdf", "filename", "offer.pdf");

    unit_built(*state, &message,
               "{" COMMON "\"to\":\"447700900123\",\"type\":\"document\","
               "\"document\":{\"link\":\"https://x.example/f\","
               "\"filename\":\"offer.pdf\"}}");
    json_decref(message.media);
}


static void
unit_refused(ngx_pool_t *pool, ngx_comms_outbound_t *message,
    json_t *credentials)
{
    const char           *words;
    ngx_comms_request_t   rq;

    words = NULL;

    assert_int_equal(ngx_comms_meta.build(pool, message, credentials, &rq,
                                          &words), NGX_DECLINED);
    assert_non_null(words);

    json_decref(message->template_variables);
    json_decref(message->media);

    unit_message(message);
}


static void
test_build_refused(void **state)
{
    u_char                *p;
    json_t                *credentials;
    ngx_comms_outbound_t   message;

    credentials = unit_credentials();

    unit_message(&message);
    message.channel = NGX_COMMS_SMS;
    unit_refused(*state, &message, credentials);

    message.person_address = unit_str("tel:447700900123");
    unit_refused(*state, &message, credentials);

    message.person_address = unit_str("mailto:ada@example.org");
    unit_refused(*state, &message, credentials);

    message.person_address = unit_str("bsuid:US.1\"x");
    unit_refused(*state, &message, credentials);

    message.content = unit_str(" \n");
    unit_refused(*state, &message, credentials);

    message.content = unit_str("\xff");
    unit_refused(*state, &message, credentials);

    p = ngx_palloc(*state, 4097);
    ngx_memset(p, 'a', 4097);
    message.content.data = p;
    message.content.len = 4097;
    unit_refused(*state, &message, credentials);

    message.template_sid = unit_str("HX0123");
    unit_refused(*state, &message, credentials);

    message.template_name = unit_str("hello");
    unit_refused(*state, &message, credentials);

    message.template_name = unit_str("hel lo");
    message.template_language = unit_str("en");
    unit_refused(*state, &message, credentials);

    message.template_name = unit_str("hello");
    message.template_language = unit_str("en");
    message.template_variables = json_pack("{s:s,s:s}", "1", "a", "3", "b");
    unit_refused(*state, &message, credentials);

    message.template_name = unit_str("hello");
    message.template_language = unit_str("en");
    message.template_variables = json_pack("{s:s,s:s}", "1", "a", "name",
                                           "b");
    unit_refused(*state, &message, credentials);

    message.template_name = unit_str("hello");
    message.template_language = unit_str("en");
    message.template_variables = json_pack("{s:i}", "1", 7);
    unit_refused(*state, &message, credentials);

    message.media = json_pack("[{s:s},{s:s}]", "url", "https://a", "url",
                              "https://b");
    unit_refused(*state, &message, credentials);

    message.media = json_pack("[{s:s}]", "content_type", "image/jpeg");
    unit_refused(*state, &message, credentials);

    message.media = json_pack("[{s:s,s:s}]", "url", "https://a",
                              "content_type", "audio/ogg");
    unit_refused(*state, &message, credentials);

    json_object_set_new(credentials, "phone_number_id", json_string("1/2"));
    unit_refused(*state, &message, credentials);

    json_decref(credentials);
}


#define ERROR(code)  "{\"error\":{\"message\":\"x\",\"code\":" #code "}}"

/* the status does not matter where the body speaks */

static unit_read_t  answers[] = {
    { 200, "{\"messages\":[{\"id\":\"" WAMID "\"}]}", NGX_COMMS_SENT, "" },
    { 200, "{\"messages\":[{\"id\":\"" WAMID "\",\"message_status\":"
      "\"held_for_quality_assessment\"}]}", NGX_COMMS_SENT, "" },
    { 200, "{\"messages\":[]}", NGX_COMMS_SEND_UNKNOWN, "" },
    { 200, "{\"messages\":[{\"id\":\"a b\"}]}", NGX_COMMS_SEND_UNKNOWN, "" },
    { 200, "", NGX_COMMS_SEND_UNKNOWN, "" },
    { 200, "<html>", NGX_COMMS_SEND_UNKNOWN, "" },
    { 200, ERROR(131047), NGX_COMMS_SEND_WINDOW, "131047" },
    { 400, ERROR(131047), NGX_COMMS_SEND_WINDOW, "131047" },
    { 400, ERROR(131056), NGX_COMMS_SEND_RETRY, "131056" },
    { 400, ERROR(130429), NGX_COMMS_SEND_RETRY, "130429" },
    { 429, ERROR(130429), NGX_COMMS_SEND_RETRY, "130429" },
    { 400, ERROR(131026), NGX_COMMS_SEND_REFUSED, "131026" },
    { 429, ERROR(131048), NGX_COMMS_SEND_REFUSED, "131048" },
    { 400, ERROR(131050), NGX_COMMS_SEND_OPTED_OUT, "131050" },
    { 401, ERROR(190), NGX_COMMS_SEND_CONFIG, "190" },
    { 500, ERROR(0), NGX_COMMS_SEND_CONFIG, "0" },
    { 403, ERROR(217), NGX_COMMS_SEND_CONFIG, "217" },
    { 500, ERROR(2), NGX_COMMS_SEND_RETRY, "2" },
    { 500, ERROR(131000), NGX_COMMS_SEND_RETRY, "131000" },
    { 400, ERROR(132001), NGX_COMMS_SEND_CONFIG, "132001" },
    { 400, ERROR(777777), NGX_COMMS_SEND_REFUSED, "777777" },
    { 500, "{\"error\":{\"code\":777777,\"is_transient\":true}}",
      NGX_COMMS_SEND_RETRY, "777777" },
    { 400, "{\"error\":{\"code\":\"x\"}}", NGX_COMMS_SEND_CONFIG, "" },
    { 400, "{\"error\":{\"code\":-1}}", NGX_COMMS_SEND_CONFIG, "" },
    { 404, "<html>", NGX_COMMS_SEND_CONFIG, "" },
    { 302, "", NGX_COMMS_SEND_CONFIG, "" },
    { 429, "", NGX_COMMS_SEND_RETRY, "" },
    { 408, "", NGX_COMMS_SEND_RETRY, "" },
    { 500, "", NGX_COMMS_SEND_UNKNOWN, "" },
    { 502, "<html>", NGX_COMMS_SEND_UNKNOWN, "" },
    { 503, "[]", NGX_COMMS_SEND_UNKNOWN, "" }
};


static void
test_read(void **state)
{
    ngx_uint_t           i;
    ngx_comms_sent_t     sent;
    ngx_comms_answer_t   an;

    ngx_memzero(&an, sizeof(ngx_comms_answer_t));
    assert_int_equal(ngx_array_init(&an.headers, *state, 1,
                                    sizeof(ngx_keyval_t)), NGX_OK);

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        an.status = answers[i].status;
        an.body = unit_str(answers[i].body);

        assert_int_equal(ngx_comms_meta.read(*state, &an, &sent), NGX_OK);

        if (sent.verdict != answers[i].verdict) {
            fail_msg("answer %lu: verdict %d", (unsigned long) i,
                     (int) sent.verdict);
        }

        unit_assert_text(&sent.code, answers[i].code,
                         strlen(answers[i].code), answers[i].body, (int) i);
        assert_non_null(sent.label);
        assert_non_null(sent.words);

        if (sent.verdict == NGX_COMMS_SENT) {
            assert_text(sent.provider_message_id, WAMID);
        }
    }

    an.status = 400;
    an.body = unit_str(ERROR(131056));
    assert_int_equal(ngx_comms_meta.read(*state, &an, &sent), NGX_OK);
    assert_int_equal(sent.retry_after, 6000);

    an.outcome = NGX_COMMS_EXCHANGE_UNSENT;
    assert_int_equal(ngx_comms_meta.read(*state, &an, &sent), NGX_OK);
    assert_int_equal(sent.verdict, NGX_COMMS_SEND_RETRY);

    an.outcome = NGX_COMMS_EXCHANGE_UNKNOWN;
    assert_int_equal(ngx_comms_meta.read(*state, &an, &sent), NGX_OK);
    assert_int_equal(sent.verdict, NGX_COMMS_SEND_UNKNOWN);
}


static void
test_media(void **state)
{
    json_t        *credentials, *media;
    ngx_str_t      url, answer;
    ngx_uint_t     again, i;
    ngx_array_t    headers;
    ngx_keyval_t  *header;

    static const char  *answers[] = {
        "", "[]", "{}", "{\"url\":7}", "{\"url\":\"\"}",
        "{\"url\":\"https://x/\\r\\nHost: y\"}", NULL
    };

    credentials = unit_credentials();
    assert_int_equal(ngx_array_init(&headers, *state, 1,
                                    sizeof(ngx_keyval_t)), NGX_OK);

    media = json_pack("{s:s}", "provider_media_id", "1234567890");
    assert_int_equal(ngx_comms_meta.media(*state, media, credentials, &url,
                                          &headers, &again), NGX_OK);
    assert_text(url, "https://graph.facebook.com/v26.0/1234567890"
                     "?phone_number_id=100000000000001");
    assert_int_equal(again, 1);

    header = headers.elts;
    assert_int_equal(headers.nelts, 1);
    assert_text(header->key, "Authorization");
    assert_text(header->value, "Bearer EAAtoken");

    json_object_set_new(credentials, "graph_url",
                        json_string("http://127.0.0.1:9104"));
    json_object_set_new(credentials, "api_version", json_string("v27.0"));
    assert_int_equal(ngx_comms_meta.media(*state, media, credentials, &url,
                                          &headers, &again), NGX_OK);
    assert_text(url, "http://127.0.0.1:9104/v27.0/1234567890"
                     "?phone_number_id=100000000000001");
    json_decref(media);

    media = json_pack("{s:s}", "provider_media_id", "../me");
    assert_int_equal(ngx_comms_meta.media(*state, media, credentials, &url,
                                          &headers, &again), NGX_DECLINED);
    json_decref(media);
    json_decref(credentials);

    answer = unit_str("{\"url\":\"https:\\/\\/lookaside.fbsbx.com\\/a?mid=1\","
                      "\"mime_type\":\"image/jpeg\"}");
    assert_int_equal(ngx_comms_meta.media_url(*state, &answer, &url), NGX_OK);
    assert_text(url, "https://lookaside.fbsbx.com/a?mid=1");

    for (i = 0; answers[i] != NULL; i++) {
        answer = unit_str(answers[i]);
        assert_int_equal(ngx_comms_meta.media_url(*state, &answer, &url),
                         NGX_DECLINED);
    }
}


static void
test_check(void **state)
{
    json_t      *credentials, *value;
    ngx_uint_t   i;
    const char  *field, *words;

    static const char  *cases[][3] = {
        { "api_version", "\"v26.0\"", NULL },
        { "graph_url", "\"https://graph.example:8443\"", NULL },
        { "access_token", "null", "access_token" },
        { "access_token", "\"\"", "access_token" },
        { "access_token", "\"a b\"", "access_token" },
        { "phone_number_id", "100000000000001", "phone_number_id" },
        { "phone_number_id", "\"+447700900999\"", "phone_number_id" },
        { "app_secrets", "\"app_secret\"", "app_secrets" },
        { "app_secrets", "[]", "app_secrets" },
        { "app_secrets", "[\"short\"]", "app_secrets" },
        { "verify_token", "\"short\"", "verify_token" },
        { "api_version", "\"26.0\"", "api_version" },
        { "api_version", "\"v26\"", "api_version" },
        { "api_version", "\"v26.0/..\"", "api_version" },
        { "api_version", "7", "api_version" },
        { "graph_url", "\"https://graph.example/\"", "graph_url" },
        { "graph_url", "\"graph.example\"", "graph_url" },
        { "app_secret", "\"app_secret\"", "app_secret" },
        { NULL, NULL, NULL }
    };

    for (i = 0; cases[i][0] != NULL; i++) {
        credentials = unit_credentials();
        value = json_loads(cases[i][1], JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        json_object_set_new(credentials, cases[i][0], value);

        if (cases[i][2] == NULL) {
            assert_int_equal(ngx_comms_meta.check(credentials, &field,
                                                  &words), NGX_OK);

        } else {
            assert_int_equal(ngx_comms_meta.check(credentials, &field,
                                                  &words), NGX_DECLINED);
            assert_string_equal(field, cases[i][2]);
            assert_non_null(words);
        }

        json_decref(credentials);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_verify),
        pool_test(test_verify_bits),
        pool_test(test_handshake),
        pool_test(test_build),
        pool_test(test_build_media),
        pool_test(test_build_refused),
        pool_test(test_read),
        pool_test(test_media),
        cmocka_unit_test(test_check)
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
