
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include <openssl/err.h>
#include "base/ngx_comms_crypto.h"


#define UNIT_SENDGRID_KEY                                                     \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF"\
    "9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="

#define UNIT_SENDGRID_SIGNATURE                                               \
    "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+l"\
    "uQAbPIqHh89M15TluLtEZtM="

#define UNIT_SENDGRID_BODY                                                    \
    "[{\"email\":\"hello@world.com\",\"event\":\"dropped\","                  \
    "\"reason\":\"Bounced Address\","                                         \
    "\"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\","\
    "\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-"          \
    "756b745b58-kmzbl-18-5F5FC76C-9.0\","                                     \
    "\"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\"," \
    "\"timestamp\":1600112492}]\r\n"


typedef struct {
    ngx_str_t    key;
    ngx_str_t    data;
    const char  *mac;           /* hex */
} unit_mac_t;


/* RFC 4231, cases 1 to 4 */

static unit_mac_t  rfc4231[] = {
    { ngx_string("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
                 "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"),
      ngx_string("Hi There"),
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },

    { ngx_string("Jefe"), ngx_string("what do ya want for nothing?"),
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },

    { ngx_string("\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
                 "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"),
      ngx_string("\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
                 "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
                 "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
                 "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
                 "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"),
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },

    { ngx_string("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d"
                 "\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19"),
      ngx_string("\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd"
                 "\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd"
                 "\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd"
                 "\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd"
                 "\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd"),
      "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" }
};


static void
assert_hex(u_char *bytes, size_t len, const char *expected)
{
    u_char  hex[2 * NGX_COMMS_SHA256_LEN];

    ngx_hex_dump(hex, bytes, len);

    assert_int_equal(ngx_strlen(expected), 2 * len);
    assert_memory_equal(hex, expected, 2 * len);
}


static void
test_sha256(void **state)
{
    ngx_str_t  data, hex;

    data = unit_str("abc");
    assert_int_equal(ngx_comms_sha256_hex(*state, &data, &hex), NGX_OK);
    assert_text(hex, "ba7816bf8f01cfea414140de5dae2223"
                     "b00361a396177a9cb410ff61f20015ad");

    ngx_str_null(&data);
    assert_int_equal(ngx_comms_sha256_hex(*state, &data, &hex), NGX_OK);
    assert_text(hex, "e3b0c44298fc1c149afbf4c8996fb924"
                     "27ae41e4649b934ca495991b7852b855");

    data = unit_str("{\"property\": \"value\", \"boolean\": true}");
    assert_int_equal(ngx_comms_sha256_hex(*state, &data, &hex), NGX_OK);
    assert_text(hex, "0a1ff7634d9ab3b95db5c9a2dfe9416e"
                     "41502b283a80c7cf19632632f96e6620");
}


static void
test_hmac_sha256(void **state)
{
    u_char      mac[NGX_COMMS_SHA256_LEN];
    ngx_uint_t  i;

    for (i = 0; i < sizeof(rfc4231) / sizeof(rfc4231[0]); i++) {
        assert_int_equal(ngx_comms_hmac_sha256(&rfc4231[i].key,
                                               &rfc4231[i].data, 1, mac),
                         NGX_OK);
        assert_hex(mac, sizeof(mac), rfc4231[i].mac);
    }
}


static void
test_hmac_sha256_long_key(void **state)
{
    u_char     bytes[131], mac[NGX_COMMS_SHA256_LEN];
    ngx_str_t  key, data;

    /* RFC 4231, case 6 */

    ngx_memset(bytes, 0xaa, sizeof(bytes));
    key.data = bytes;
    key.len = sizeof(bytes);
    data = unit_str("Test Using Larger Than Block-Size Key - Hash Key First");

    assert_int_equal(ngx_comms_hmac_sha256(&key, &data, 1, mac), NGX_OK);
    assert_hex(mac, sizeof(mac), "60e431591ee0b67f0d8a26aacbf5b77f"
                                 "8e0bc6213728c5140546040f0ee37f54");
}


static void
test_hmac_sha1(void **state)
{
    u_char     bytes[80], mac[NGX_COMMS_SHA1_LEN];
    ngx_str_t  key, data;

    /* RFC 2202, cases 2 and 6 */

    key = unit_str("Jefe");
    data = unit_str("what do ya want for nothing?");
    assert_int_equal(ngx_comms_hmac_sha1(&key, &data, 1, mac), NGX_OK);
    assert_hex(mac, sizeof(mac), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");

    ngx_memset(bytes, 0xaa, sizeof(bytes));
    key.data = bytes;
    key.len = sizeof(bytes);
    data = unit_str("Test Using Larger Than Block-Size Key - Hash Key First");
    assert_int_equal(ngx_comms_hmac_sha1(&key, &data, 1, mac), NGX_OK);
    assert_hex(mac, sizeof(mac), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
}


static void
test_hmac_parts(void **state)
{
    u_char      mac[NGX_COMMS_SHA256_LEN];
    ngx_str_t   key, parts[4];

    key = unit_str("Jefe");
    parts[0] = unit_str("what do ya ");
    ngx_str_null(&parts[1]);
    parts[2] = unit_str("want for ");
    parts[3] = unit_str("nothing?");

    assert_int_equal(ngx_comms_hmac_sha256(&key, parts, 4, mac), NGX_OK);
    assert_hex(mac, sizeof(mac), rfc4231[1].mac);

    /* an empty key and no data are values like any other */

    ngx_str_null(&key);
    assert_int_equal(ngx_comms_hmac_sha256(&key, NULL, 0, mac), NGX_OK);
    assert_hex(mac, sizeof(mac), "b613679a0814d9ec772f95d778c35fc5"
                                 "ff1697c493715653c6c712144292c5ad");
}


/* what Meta and OpenAI sign */

static void
test_hmac_of_providers(void **state)
{
    u_char     mac[NGX_COMMS_SHA256_LEN], secret[64];
    ngx_str_t  key, text, bytes, parts[5];

    key = unit_str("app_secret");
    text = unit_str("{\"object\":\"whatsapp_business_account\","
                    "\"entry\":[]}");
    assert_int_equal(ngx_comms_hmac_sha256(&key, &text, 1, mac), NGX_OK);
    assert_hex(mac, sizeof(mac), "c236c758c9b2bd40b388a550eeca09ea"
                                 "ca72384dd0aa5e7c31d19cddac5bba46");

    text = unit_str("RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=");
    key.data = secret;
    assert_int_equal(ngx_decode_base64(&key, &text), NGX_OK);

    parts[0] = unit_str("wh_685c059ae39c8190af8c71ed1022a24d");
    parts[1] = unit_str(".");
    parts[2] = unit_str("1750861210");
    parts[3] = unit_str(".");
    parts[4] = unit_str("{\"id\": \"evt_685c059ae3a481909bdc86819b066fb6\", "
                        "\"object\": \"event\", \"created_at\": 1750861210, "
                        "\"type\": \"response.completed\", "
                        "\"data\": {\"id\": \"resp_123\"}}");
    assert_int_equal(ngx_comms_hmac_sha256(&key, parts, 5, mac), NGX_OK);

    bytes.data = mac;
    bytes.len = sizeof(mac);
    assert_int_equal(ngx_comms_base64(*state, &bytes, &text), NGX_OK);
    assert_text(text, "gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY=");
}


static void
test_ecdsa(void **state)
{
    ngx_str_t  key, signature, parts[2];

    key = unit_str(UNIT_SENDGRID_KEY);
    signature = unit_str(UNIT_SENDGRID_SIGNATURE);
    parts[0] = unit_str("1600112502");
    parts[1] = unit_str(UNIT_SENDGRID_BODY);

    assert_int_equal(ngx_comms_ecdsa_verify(&key, &signature, parts, 2),
                     NGX_OK);

    /* the line end belongs to what is signed */

    parts[1].len -= 2;
    assert_int_equal(ngx_comms_ecdsa_verify(&key, &signature, parts, 2),
                     NGX_DECLINED);
    parts[1].len += 2;

    parts[0] = unit_str("1600112503");
    assert_int_equal(ngx_comms_ecdsa_verify(&key, &signature, parts, 2),
                     NGX_DECLINED);

    assert_int_equal(ERR_peek_error(), 0);
}


static void
test_ecdsa_bad_signatures(void **state)
{
    u_char               huge[4096];
    ngx_str_t            key, signature, parts[2];
    ngx_uint_t           i;
    static const char  *bad[] = {
        "", "=", "!!!!", "AAAA", "MEUCIGHQ", "MAA=", "MAYCAQACAQA=",
        "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0J"
        "uG+luQAbPIqHh89M15TluLtEZtQ=",
        UNIT_SENDGRID_SIGNATURE "AAAA", " " UNIT_SENDGRID_SIGNATURE
    };

    key = unit_str(UNIT_SENDGRID_KEY);
    parts[0] = unit_str("1600112502");
    parts[1] = unit_str(UNIT_SENDGRID_BODY);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        signature = unit_str(bad[i]);

        if (ngx_comms_ecdsa_verify(&key, &signature, parts, 2)
            != NGX_DECLINED)
        {
            fail_msg("%s", bad[i]);
        }
    }

    ngx_memset(huge, 'A', sizeof(huge));
    signature.data = huge;
    signature.len = sizeof(huge);
    assert_int_equal(ngx_comms_ecdsa_verify(&key, &signature, parts, 2),
                     NGX_DECLINED);

    assert_int_equal(ERR_peek_error(), 0);
}


static void
test_ecdsa_bad_keys(void **state)
{
    ngx_str_t            key, signature, part;
    ngx_uint_t           i;
    static const char  *bad[] = {
        "", "none", "AAAA", UNIT_SENDGRID_KEY "AAAA",

        /* P-384, and RSA */

        "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEEDB5hZtnZljgQuMA8dSlKTpwhMHu"
        "pkGa1yAqzjaer65s9KIvvx/tE9tVrTSzeV+Iq/Yj/re5XUtOEPPvrM2YdVCQ"
        "0xCJwaCb9RK5ffqZ28lxuoWkqml9PAw6t0o29iVj",
        "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC043lfnE8KMRKUQbe3kIQ+"
        "TGF5eNHAodZJA+ntL1RwjfNJF2zJ5JzL0w06r+dVi/PpTLuVkevLCBQsbP5s"
        "27GZm8yE0Xwqky83kpJ/gjkIx+qAqte36BWlacxqfmZ7YOZIu0M2d+l8c5N9"
        "x2r2mHVulCusdqTSvKayVqjndfRczQIDAQAB"
    };

    signature = unit_str(UNIT_SENDGRID_SIGNATURE);
    part = unit_str("x");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        key = unit_str(bad[i]);
        assert_int_equal(ngx_comms_ecdsa_verify(&key, &signature, &part, 1),
                         NGX_ERROR);
    }

    assert_int_equal(ERR_peek_error(), 0);
}


static void
test_equal(void **state)
{
    ngx_str_t  a, b;

    a = unit_str("secret");
    b = unit_str("secret");
    assert_true(ngx_comms_equal(&a, &b));

    b = unit_str("secres");
    assert_false(ngx_comms_equal(&a, &b));
    b = unit_str("tecret");
    assert_false(ngx_comms_equal(&a, &b));
    b = unit_str("secre");
    assert_false(ngx_comms_equal(&a, &b));
    assert_false(ngx_comms_equal(&b, &a));

    /* what a repeated first byte must not make equal */

    a = unit_str("aaa");
    b = unit_str("aaaa");
    assert_false(ngx_comms_equal(&a, &b));
    assert_false(ngx_comms_equal(&b, &a));

    ngx_str_null(&a);
    assert_false(ngx_comms_equal(&a, &b));
    assert_false(ngx_comms_equal(&b, &a));

    ngx_str_null(&b);
    assert_true(ngx_comms_equal(&a, &b));
}


static void
test_random(void **state)
{
    u_char  a[32], b[32];

    assert_int_equal(ngx_comms_random(a, sizeof(a)), NGX_OK);
    assert_int_equal(ngx_comms_random(b, sizeof(b)), NGX_OK);
    assert_memory_not_equal(a, b, sizeof(a));
}


/* RFC 4648 10 */

static void
test_base64(void **state)
{
    ngx_str_t  bytes, text;

    bytes = unit_str("foobar");
    assert_int_equal(ngx_comms_base64(*state, &bytes, &text), NGX_OK);
    assert_text(text, "Zm9vYmFy");

    bytes.len = 5;
    assert_int_equal(ngx_comms_base64(*state, &bytes, &text), NGX_OK);
    assert_text(text, "Zm9vYmE=");

    bytes.len = 4;
    assert_int_equal(ngx_comms_base64(*state, &bytes, &text), NGX_OK);
    assert_text(text, "Zm9vYg==");

    bytes.len = 0;
    assert_int_equal(ngx_comms_base64(*state, &bytes, &text), NGX_OK);
    assert_text(text, "");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_sha256),
        pool_test(test_hmac_sha256),
        pool_test(test_hmac_sha256_long_key),
        pool_test(test_hmac_sha1),
        pool_test(test_hmac_parts),
        pool_test(test_hmac_of_providers),
        pool_test(test_ecdsa),
        pool_test(test_ecdsa_bad_signatures),
        pool_test(test_ecdsa_bad_keys),
        pool_test(test_equal),
        pool_test(test_random),
        pool_test(test_base64)
    };

    return cmocka_run_group_tests_name("base/crypto", tests, unit_setup,
                                       NULL);
}
