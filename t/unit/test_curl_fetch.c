
/*
 * Copyright (C) the ngx_http_comms_module authors
 */


#include "nginx_env.h"
#include "curl/ngx_comms_fetch.h"


static ngx_uint_t
public(const char *text)
{
    struct sockaddr_in   sin;
    struct sockaddr_in6  sin6;

    ngx_memzero(&sin, sizeof(struct sockaddr_in));
    ngx_memzero(&sin6, sizeof(struct sockaddr_in6));

    sin.sin_family = AF_INET;
    sin6.sin6_family = AF_INET6;

    if (inet_pton(AF_INET, text, &sin.sin_addr) == 1) {
        return ngx_comms_fetch_public((struct sockaddr *) &sin);
    }

    assert_int_equal(inet_pton(AF_INET6, text, &sin6.sin6_addr), 1);

    return ngx_comms_fetch_public((struct sockaddr *) &sin6);
}


static void
test_refused(void **state)
{
    ngx_uint_t  i;

    static const char  *refused[] = {
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1",
        "100.127.255.255", "127.0.0.1", "127.255.0.1", "169.254.169.254",
        "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1",
        "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255",
        "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255",
        "240.0.0.1", "255.255.255.255",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "fc00::1", "fd00:ec2::254",
        "fe80::1", "fec0::1", "ff02::1", "2001::1", "2001:1::1",
        "2001:1ff:ffff::1", "2001:db8::1", "2002:7f00:1::", "3fff::1",
        "3fff:fff:ffff::1", "4000::1", "1fff::1", NULL
    };

    for (i = 0; refused[i] != NULL; i++) {
        if (public(refused[i])) {
            fail_msg("%s is not public", refused[i]);
        }
    }
}


static void
test_reached(void **state)
{
    ngx_uint_t  i;

    static const char  *reached[] = {
        "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255",
        "100.128.0.0", "126.255.255.255", "128.0.0.1", "169.253.255.255",
        "172.15.255.255", "172.32.0.0", "192.0.1.1", "192.167.255.255",
        "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
        "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700::1111",
        "3fff:1000::1", "3ffe::1", NULL
    };

    for (i = 0; reached[i] != NULL; i++) {
        if (!public(reached[i])) {
            fail_msg("%s is public", reached[i]);
        }
    }
}


static void
test_families(void **state)
{
    struct sockaddr_un  sun;

    ngx_memzero(&sun, sizeof(struct sockaddr_un));
    sun.sun_family = AF_UNIX;

    assert_int_equal(ngx_comms_fetch_public((struct sockaddr *) &sun), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        pool_test(test_refused),
        pool_test(test_reached),
        pool_test(test_families),
    };

    return cmocka_run_group_tests(tests, unit_setup, NULL);
}
