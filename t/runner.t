#
# Copyright (C) the ngx_http_comms_module authors
#
# The runner itself, where it is t/lib's: sections that it must understand as
# Test::Nginx does.  Nothing here is about our module.

use Test::Nginx::Socket;

repeat_each(2);
no_shuffle();

plan tests => repeat_each() * (blocks() * 2 + 8);

run_tests();

__DATA__

=== TEST 1: a response
--- config
    location /t { add_header X-One 1; return 200 "hi\n"; }
--- request
GET /t
--- response_body
hi
--- response_headers
Content-Type: text/plain
X-One: 1
! X-Two
--- raw_response_headers_like: X-One: 1\r\n
--- no_error_log
[error]
[alert]

=== TEST 2: arrays of requests
--- config
    location /t { return 200 "$request_method $http_x $http_content_length\n"; }
--- request eval
["GET /t", "POST /t\nfoo\n"]
--- more_headers eval
["X: a", "X: b"]
--- error_code eval
[200, 200]
--- response_body eval
["GET a \n", "POST b 3\n"]

=== TEST 3: a Content-Length of one's own keeps the body as it is
--- config
    location /t {
        client_body_in_single_buffer on;
        proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/echo;
    }
    location /echo { return 200 "$http_content_length\n"; }
--- request eval
"POST /t\n foo\n"
--- more_headers
Content-Length: 5
--- response_body
5

=== TEST 4: packets
--- config
    location /t { return 200 "$arg_a\n"; }
--- raw_request eval
["GET /t?a=b HT", "TP/1.0\r\n", "\r\n"]
--- response_body
b

=== TEST 5: pipelined
--- config
    location /t { return 200 "$arg_n\n"; }
--- pipelined_requests eval
["GET /t?n=1", "GET /t?n=2"]
--- response_body eval
["1\n", "2\n"]

=== TEST 6: status 404 and a body that must not be
--- config
    location /t { return 404; }
--- request
GET /t
--- error_code: 404
--- response_body_unlike: 500

=== TEST 7: error_code_like
--- config
    location /t { return 503; }
--- request
GET /t
--- error_code_like: ^50[0-9]$

=== TEST 8: HEAD
--- config
    location /t { return 200 "hi\n"; }
--- request
HEAD /t
--- response_headers
Content-Length: 3
--- response_body

=== TEST 9: files, and a chunked response
--- config
    location /t.html { ssi on; ssi_types text/html; default_type text/html; }
--- user_files
>>> t.html
one
>>> deep/two.txt
two
--- request
GET /t.html
--- response_body
one

=== TEST 10: the configuration is wrong
--- config
    location /t { foo; }
--- must_die
--- error_log
unknown directive "foo"
--- no_error_log
[alert]

=== TEST 11: an exit code
--- config
    location /t { foo; }
--- must_die: 1

=== TEST 12: a server of the block
--- config
    location /t { proxy_pass http://127.0.0.1:19890/; }
--- tcp_listen: 19890
--- tcp_reply eval
"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"
--- request
GET /t
--- response_body chomp
ok

=== TEST 13: grep_error_log
--- config
    location /t { return 200; }
    log_not_found on;
--- request
GET /t/../nothing
--- error_code: 404
--- grep_error_log eval
qr/open\(\) ".*nothing" failed/
--- grep_error_log_out eval
qr/^open\(\) ".*html\/nothing" failed\n$/

=== TEST 14: a response that nobody waits for
--- config
    location /t { return 200; }
--- request
GET /t
--- ignore_response
--- no_error_log
[error]

=== TEST 15: a client that goes away
--- config
    location /t { limit_rate 1; return 200 "very long\n"; }
--- request
GET /t
--- timeout: 100ms
--- abort
--- ignore_response
--- wait: 0.1
--- no_error_log
[alert]
