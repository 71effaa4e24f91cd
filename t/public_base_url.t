#
# Copyright (C) the ngx_http_comms_module authors
#
# The directive comms_public_base_url: the URL that providers sign.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * blocks() * 2;

run_tests();

__DATA__

=== TEST 1: comms_public_base_url ftp://x
--- more_http
    comms_workers off;
    comms_public_base_url ftp://x;
--- must_die
--- error_log
invalid value "ftp://x" in "comms_public_base_url" directive, it must be "http://host" or "https://host", with a port or a path where needed and without "?" and "#"

=== TEST 2: comms_public_base_url example.org
--- more_http
    comms_workers off;
    comms_public_base_url example.org;
--- must_die
--- error_log
invalid value "example.org" in "comms_public_base_url" directive, it must be "http://host" or "https://host", with a port or a path where needed and without "?" and "#"

=== TEST 3: comms_public_base_url https://
--- more_http
    comms_workers off;
    comms_public_base_url https://;
--- must_die
--- error_log
invalid value "https://" in "comms_public_base_url" directive, it must be "http://host" or "https://host", with a port or a path where needed and without "?" and "#"

=== TEST 4: comms_public_base_url http:///
--- more_http
    comms_workers off;
    comms_public_base_url http:///;
--- must_die
--- error_log
invalid value "http:///" in "comms_public_base_url" directive, it must be "http://host" or "https://host", with a port or a path where needed and without "?" and "#"

=== TEST 5: comms_public_base_url https:///path
--- more_http
    comms_workers off;
    comms_public_base_url https:///path;
--- must_die
--- error_log
invalid value "https:///path" in "comms_public_base_url" directive, it must be "http://host" or "https://host", with a port or a path where needed and without "?" and "#"

=== TEST 6: comms_public_base_url "https://exa mple.org"
--- more_http
    comms_workers off;
    comms_public_base_url "https://exa mple.org";
--- must_die
--- error_log
invalid value "https://exa mple.org" in "comms_public_base_url" directive, it must be "http://host" or "https://host", with a port or a path where needed and without "?" and "#"

=== TEST 7: comms_public_base_url https://x?y
--- more_http
    comms_workers off;
    comms_public_base_url https://x?y;
--- must_die
--- error_log
invalid value "https://x?y" in "comms_public_base_url" directive, it must be "http://host" or "https://host", with a port or a path where needed and without "?" and "#"

=== TEST 8: comms_public_base_url https://x#y
--- more_http
    comms_workers off;
    comms_public_base_url https://x#y;
--- must_die
--- error_log
invalid value "https://x#y" in "comms_public_base_url" directive, it must be "http://host" or "https://host", with a port or a path where needed and without "?" and "#"

=== TEST 9: comms_public_base_url ""
--- more_http
    comms_workers off;
    comms_public_base_url "";
--- must_die
--- error_log
invalid value "" in "comms_public_base_url" directive, it must be "http://host" or "https://host", with a port or a path where needed and without "?" and "#"

=== TEST 10: twice
--- more_http
    comms_workers off;
    comms_public_base_url http://a;
    comms_public_base_url http://b;
--- must_die
--- error_log
"comms_public_base_url" directive is duplicate

=== TEST 11: a URL
--- more_http
    comms_workers off;
    comms_public_base_url https://comms.example.org;
--- form eval: []
--- signed_url: https://comms.example.org/webhooks/twilio
--- no_error_log
[error]

=== TEST 12: slashes at the end
--- more_http
    comms_workers off;
    comms_public_base_url https://comms.example.org//;
--- form eval: []
--- signed_url: https://comms.example.org/webhooks/twilio
--- no_error_log
[error]

=== TEST 13: a port
--- more_http
    comms_workers off;
    comms_public_base_url http://comms.example.org:8080;
--- form eval: []
--- signed_url: http://comms.example.org:8080/webhooks/twilio
--- no_error_log
[error]

=== TEST 14: a path
--- more_http
    comms_workers off;
    comms_public_base_url https://example.org/comms;
--- form eval: []
--- signed_url: https://example.org/comms/webhooks/twilio
--- no_error_log
[error]

=== TEST 15: the standard port, which Twilio may leave out
--- more_http
    comms_workers off;
    comms_public_base_url https://comms.example.org:443;
--- form eval: []
--- signed_url: https://comms.example.org/webhooks/twilio
--- no_error_log
[error]

=== TEST 16: without a port, which Twilio may add
--- more_http
    comms_workers off;
    comms_public_base_url https://comms.example.org;
--- form eval: []
--- signed_url: https://comms.example.org:443/webhooks/twilio
--- no_error_log
[error]

=== TEST 17: Host is tried too
--- more_http
    comms_workers off;
    comms_public_base_url https://comms.example.org;
--- form eval: []
--- no_error_log
[error]

=== TEST 18: another URL
--- more_http
    comms_workers off;
    comms_public_base_url https://comms.example.org;
--- form eval: []
--- signed_url: https://other.example.org/webhooks/twilio
--- error_code: 403
--- response_body_like: FORBIDDEN

=== TEST 19: X-Forwarded headers are not believed
--- request eval
"POST /webhooks/twilio\n" . ::twilio_form()
--- more_headers eval
::twilio_headers('https://evil.example.org/webhooks/twilio',
    ::twilio_form())
. "X-Forwarded-Host: evil.example.org\nX-Forwarded-Proto: https\n"
--- error_code: 403
--- response_body_like: FORBIDDEN

=== TEST 20: a location has its own
--- more_http
    comms_workers off;
    comms_public_base_url https://outer.example.org;
--- config
    location = /hook {
        comms_public_base_url https://inner.example.org;
        comms_webhook twilio;
    }
--- form eval: []
--- path: /hook
--- signed_url: https://inner.example.org/hook
--- no_error_log
[error]
