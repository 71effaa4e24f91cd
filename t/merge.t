#
# Copyright (C) the ngx_http_comms_module authors
#
# Where directives may stand, what is inherited, and other modules beside ours.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * blocks() * 3;

run_tests();

__DATA__

=== TEST 1: comms_wait_max and comms_public_base_url in http, server and location
--- more_http
    comms_workers off;
    comms_wait_max 1h;
    comms_public_base_url http://a.example.org;
--- more_config
    comms_wait_max 0;
    comms_public_base_url http://b.example.org;
    location = /t { comms_wait_max 5s; comms_public_base_url http://c.example.org; comms_initiate; }
--- request
GET /status
--- no_error_log
[error]

=== TEST 2: a location inherits from http
--- more_http
    comms_workers off;
    comms_public_base_url http://a.example.org;
--- form eval: []
--- signed_url: http://a.example.org/webhooks/twilio
--- no_error_log
[error]

=== TEST 3: a server overrides http
--- more_http
    comms_workers off;
    comms_public_base_url http://a.example.org;
--- more_config
    comms_public_base_url http://b.example.org;
--- form eval: []
--- signed_url: http://b.example.org/webhooks/twilio
--- no_error_log
[error]

=== TEST 4: what is overridden does not count
--- more_http
    comms_workers off;
    comms_public_base_url http://a.example.org;
--- more_config
    comms_public_base_url http://b.example.org;
--- form eval: []
--- signed_url: http://a.example.org/webhooks/twilio
--- error_code: 403
--- no_error_log
[error]

=== TEST 5: a nested location has a handler of its own
--- more_http
    comms_workers off;
--- config
    location /outer {
        comms_public_base_url http://a.example.org;
        comms_status;
        location /outer/inner { comms_webhook twilio; }
    }
--- form eval: []
--- path: /outer/inner
--- signed_url: http://a.example.org/outer/inner
--- no_error_log
[error]

=== TEST 6: a handler is not inherited by a nested location
--- config
    location /outer {
        comms_status;
        location /outer/inner { return 200 "mine\n"; }
    }
--- request eval
['GET /outer', 'GET /outer/inner', 'GET /outer/more']
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['version', '^mine\n$', 'version']
--- no_error_log
[error]

=== TEST 7: "if" in a location belongs to it
--- config
    location = /status {
        if ($arg_x) { set $y 1; }
        comms_status;
    }
--- request eval
['GET /status', 'GET /status?x=1']
--- error_code eval
[200, 200]
--- response_body_like eval
['version', 'version']
--- no_error_log
[error]

=== TEST 8: "if" with comms_initiate
--- config
    location = /initiate-conversation {
        if ($http_x_other) { set $y 1; }
        comms_initiate;
    }
--- request eval
[::start(), ::start()]
--- more_headers eval
['x-api-key: ' . ::KEY, 'x-api-key: ' . ::KEY . "\nX-Other: 1"]
--- error_code eval
[202, 202]
--- response_body_like eval
['success', 'success']
--- no_error_log
[error]

=== TEST 9: "limit_except" in a location belongs to it
--- config
    location /conversations {
        comms_conversations;
        limit_except GET { deny all; }
    }
--- request eval
['GET /conversations', 'POST /conversations']
--- error_code eval
[200, 403]
--- response_body_like eval
['conversations', '403']

=== TEST 10: access rules go before
--- config
    location = /status { deny all; comms_status; }
--- request
GET /status
--- error_code: 403

=== TEST 11: error pages of the server are kept
--- config
    error_page 404 /none;
    error_page 503 /busy;
    location = /none { internal; return 404 "none of ours\n"; }
    location = /initiate-conversation { client_max_body_size 1; comms_initiate; }
--- request eval
['GET /nothing', ::start()]
--- error_code eval
[404, 413]
--- response_body_like eval
['^none of ours\n$', 'PAYLOAD_TOO_LARGE']

=== TEST 12: the API's own errors are not taken by error_page
--- config
    error_page 400 401 404 /page;
    location = /page { internal; return 200 "page\n"; }
    location /conversations { comms_conversations; }
--- request
GET /conversations/x
--- error_code: 404
--- response_body_like: NOT_FOUND

=== TEST 13: an internal redirect finds the handler
--- config
    location = /t { rewrite ^ /status last; }
    location = /status { comms_status; }
--- request
GET /t
--- response_body_like: version
--- no_error_log
[error]

=== TEST 14: directives in any order
--- http_config
    server { listen $TEST_NGINX_RAND_PORT_1; location = /status { comms_status; } }
    comms_workers off;
    comms_secrets ../html/secrets.json;
    comms_projects ../html/projects;
    comms_bus sqlite;
    comms_store sqlite path=logs/comms.db;
    comms_zone comms:1m;
--- request
GET /status
--- no_error_log
[error]

=== TEST 15: a handler and proxy_pass
--- config
    location = /t { comms_status; proxy_pass http://127.0.0.1:1; }
--- must_die
--- error_log
"comms_status" in location "/t" conflicts with another directive there that answers requests

=== TEST 16: comms_wait_max 2h
--- more_http
    comms_wait_max 2h;
--- must_die
--- error_log
invalid value "2h" in "comms_wait_max" directive, it must be between 0 and 1h

=== TEST 17: comms_wait_max -1
--- more_http
    comms_wait_max -1;
--- must_die
--- error_log
"comms_wait_max" directive invalid value

=== TEST 18: comms_wait_max x
--- more_http
    comms_wait_max x;
--- must_die
--- error_log
"comms_wait_max" directive invalid value

=== TEST 19: comms_wait_max twice
--- more_http
    comms_wait_max 1s;
    comms_wait_max 2s;
--- must_die
--- error_log
"comms_wait_max" directive is duplicate
