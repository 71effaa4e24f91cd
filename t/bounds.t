#
# Copyright (C) the ngx_http_comms_module authors
#
# Whatever comes from outside is bounded: sizes, nesting, characters, types,
# methods.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 2 + 47);

run_tests();

__DATA__

=== TEST 1: 413 by Content-Length
--- config
    location = /initiate-conversation {
        client_max_body_size 1k;
        comms_initiate;
    }
    location = /status { comms_status; }
    location /conversations { client_max_body_size 1k; comms_conversations; }
    location /webhooks/twilio { client_max_body_size 1k; comms_webhook twilio; }
--- request eval
::start(more => 'x' x 2000)
--- error_code: 413
--- response_headers
Content-Type: application/json
--- response_body_like eval
::refused('PAYLOAD_TOO_LARGE')

=== TEST 2: 413 of a chunked body
--- config
    location = /initiate-conversation {
        client_max_body_size 1k;
        comms_initiate;
    }
    location = /status { comms_status; }
    location /conversations { client_max_body_size 1k; comms_conversations; }
    location /webhooks/twilio { client_max_body_size 1k; comms_webhook twilio; }
--- raw_request eval
"POST /initiate-conversation HTTP/1.1\r\nHost: localhost\r\nx-api-key: " . ::KEY
. "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
. "1f4\r\n" . ('x' x 500) . "\r\n" . "3e8\r\n" . ('x' x 1000) . "\r\n0\r\n\r\n"
--- error_code: 413
--- response_headers
Content-Type: application/json
--- response_body_like eval
::refused('PAYLOAD_TOO_LARGE')

=== TEST 3: 413 of a webhook
--- config
    location = /initiate-conversation {
        client_max_body_size 1k;
        comms_initiate;
    }
    location = /status { comms_status; }
    location /conversations { client_max_body_size 1k; comms_conversations; }
    location /webhooks/twilio { client_max_body_size 1k; comms_webhook twilio; }
--- request eval
"POST /webhooks/twilio\n" . ('x' x 2000)
--- error_code: 413
--- response_headers
Content-Type: application/json
--- response_body_like eval
::refused('PAYLOAD_TOO_LARGE')

=== TEST 4: 413 for GET with a body
--- config
    location = /initiate-conversation {
        client_max_body_size 1k;
        comms_initiate;
    }
    location = /status { comms_status; }
    location /conversations { client_max_body_size 1k; comms_conversations; }
    location /webhooks/twilio { client_max_body_size 1k; comms_webhook twilio; }
--- request eval
"GET /conversations\n" . ('x' x 2000)
--- error_code: 413
--- response_body_like eval
::refused('PAYLOAD_TOO_LARGE')

=== TEST 5: 413 keeps an error_page of one's own
--- config
    location = /initiate-conversation {
        client_max_body_size 100;
        error_page 413 /too-large;
        comms_initiate;
    }
    location = /too-large { internal; return 413 "mine\n"; }
--- request eval
::start()
--- error_code: 413
--- response_body
mine

=== TEST 6: a body in chunks and in packets
--- raw_request eval
my $json = ::start_json();
my @half = (substr($json, 0, 50), substr($json, 50));
["POST /initiate-conversation HTTP/1.1\r\nHost: localhost\r\nx-api-key: " . ::KEY
 . "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
 sprintf("%x\r\n%s\r\n", length $half[0], $half[0]),
 sprintf("%x\r\n%s\r\n0\r\n\r\n", length $half[1], $half[1])]
--- error_code: 202
--- response_body_like: success
--- no_error_log
[error]

=== TEST 7: a body of exactly client_max_body_size
--- config eval
'    location = /initiate-conversation { client_max_body_size '
. length(::start_json()) . '; comms_initiate; }'
--- request eval
::start()
--- error_code: 202
--- response_body_like: success
--- no_error_log
[error]

=== TEST 8: a large body stays in memory
--- config
    location = /initiate-conversation {
        client_max_body_size 4m;
        client_body_buffer_size 1k;
        comms_initiate;
    }
--- request eval
::start('project_data.long' => 'x' x 1_000_000)
--- error_code: 202
--- response_body_like: success
--- no_error_log
a client request body is buffered to a temporary file
[error]

=== TEST 9: nested too deeply, lists
--- request eval
"POST /initiate-conversation\n" . ('[' x 100_000)
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON: nested too deeply

=== TEST 10: nested too deeply, objects
--- request eval
"POST /initiate-conversation\n" . ('{"a":' x 5000) . '1' . ('}' x 5000)
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON: nested too deeply

=== TEST 11: deep, in strings, is not deep
--- request eval
"POST /initiate-conversation\n" . ::start_json(more => '[' x 3000)
--- error_code: 202
--- response_body_like: success

=== TEST 12: a member twice
--- request eval
"POST /initiate-conversation\n" . '{"company_data":{},"company_data":{}}'
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 13: a member twice, deep
--- request eval
"POST /initiate-conversation\n" . '{"company_data":{"company_id":"acme","company_id":"other"}}'
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 14: NUL in a string, escaped
--- request eval
"POST /initiate-conversation\n" . '{"company_data":{"company_id":"ac\u0000me","project_id":"care"}}'
--- error_code: 400
--- response_body_like: "error_code":"(INVALID_REQUEST|UNAUTHORIZED)"

=== TEST 15: NUL in the text
--- request eval
"POST /initiate-conversation\n" . "{\"a\":\0}"
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 16: NUL behind the document
--- request eval
"POST /initiate-conversation\n" . ::start_json() . "\0"
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 17: text behind the document
--- request eval
"POST /initiate-conversation\n" . ::start_json() . '{}'
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 18: invalid UTF-8
--- request eval
"POST /initiate-conversation\n" . "{\"company_data\":\"\xff\xfe\"}"
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 19: UTF-8, overlong
--- request eval
"POST /initiate-conversation\n" . "{\"a\":\"\xc0\xaf\"}"
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 20: UTF-8, a lone surrogate, as bytes
--- request eval
"POST /initiate-conversation\n" . "{\"a\":\"\xed\xa0\x80\"}"
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 21: UTF-8, a lone surrogate, escaped
--- request eval
"POST /initiate-conversation\n" . '{"a":"\ud800"}'
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 22: a byte order mark
--- request eval
"POST /initiate-conversation\n" . "\xef\xbb\xbf" . ::start_json()
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 23: a control character in a string
--- request eval
"POST /initiate-conversation\n" . "{\"a\":\"\x01\"}"
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 24: single quotes
--- request eval
"POST /initiate-conversation\n" . "{'a':1}"
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 25: a comma too many
--- request eval
"POST /initiate-conversation\n" . '{"a":1,}'
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 26: a huge number
--- request eval
"POST /initiate-conversation\n" . ::start_json() =~ s/"Nurse"/1e999/r
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 27: a huge integer
--- request eval
"POST /initiate-conversation\n" . ::start_json() =~ s/"Nurse"/99999999999999999999/r
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 28: not a number
--- request eval
"POST /initiate-conversation\n" . ::start_json() =~ s/"Nurse"/NaN/r
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON:

=== TEST 29: long names
--- request eval
"POST /initiate-conversation\n" . ::start_json('recipient_data.recipient_first_name' => 'x' x 257)
--- error_code: 400
--- response_body_like: INVALID_RECIPIENT_FIRST_NAME_FORMAT

=== TEST 30: long names, the last one
--- request eval
"POST /initiate-conversation\n" . ::start_json('recipient_data.recipient_last_name' => 'x' x 257)
--- error_code: 400
--- response_body_like: INVALID_RECIPIENT_LAST_NAME_FORMAT

=== TEST 31: a name that is no string
--- request eval
"POST /initiate-conversation\n" . ::start_json('recipient_data.recipient_first_name' => 1)
--- error_code: 400
--- response_body_like: INVALID_RECIPIENT_FIRST_NAME_FORMAT

=== TEST 32: 415 text/plain
--- request eval
::start()
--- more_headers eval
'x-api-key: ' . ::KEY . "\nContent-Type: text/plain"
--- error_code: 415
--- response_headers
Content-Type: application/json
--- response_body_like: "error_code":"UNSUPPORTED_MEDIA_TYPE"

=== TEST 33: 415 application/x-www-form-urlencoded
--- request eval
::start()
--- more_headers eval
'x-api-key: ' . ::KEY . "\nContent-Type: application/x-www-form-urlencoded"
--- error_code: 415
--- response_headers
Content-Type: application/json
--- response_body_like: "error_code":"UNSUPPORTED_MEDIA_TYPE"

=== TEST 34: 415 application/jsonx
--- request eval
::start()
--- more_headers eval
'x-api-key: ' . ::KEY . "\nContent-Type: application/jsonx"
--- error_code: 415
--- response_headers
Content-Type: application/json
--- response_body_like: "error_code":"UNSUPPORTED_MEDIA_TYPE"

=== TEST 35: 415 application
--- request eval
::start()
--- more_headers eval
'x-api-key: ' . ::KEY . "\nContent-Type: application"
--- error_code: 415
--- response_headers
Content-Type: application/json
--- response_body_like: "error_code":"UNSUPPORTED_MEDIA_TYPE"

=== TEST 36: 415 multipart/form-data; boundary=x
--- request eval
::start()
--- more_headers eval
'x-api-key: ' . ::KEY . "\nContent-Type: multipart/form-data; boundary=x"
--- error_code: 415
--- response_headers
Content-Type: application/json
--- response_body_like: "error_code":"UNSUPPORTED_MEDIA_TYPE"

=== TEST 37: 202 application/vnd.acme+json
--- request eval
::start()
--- more_headers eval
'x-api-key: ' . ::KEY . "\nContent-Type: application/vnd.acme+json"
--- error_code: 202
--- response_body_like: success

=== TEST 38: 202 application/json;charset=utf-8
--- request eval
::start()
--- more_headers eval
'x-api-key: ' . ::KEY . "\nContent-Type: application/json;charset=utf-8"
--- error_code: 202
--- response_body_like: success

=== TEST 39: 202 APPLICATION/JSON ; x=y
--- request eval
::start()
--- more_headers eval
'x-api-key: ' . ::KEY . "\nContent-Type: APPLICATION/JSON ; x=y"
--- error_code: 202
--- response_body_like: success

=== TEST 40: 405 GET /initiate-conversation
--- request
GET /initiate-conversation
--- error_code: 405
--- response_headers
Allow: POST
Content-Type: application/json
--- response_body_like: "error_code":"METHOD_NOT_ALLOWED"

=== TEST 41: 405 PUT /initiate-conversation
--- request
PUT /initiate-conversation
--- error_code: 405
--- response_headers
Allow: POST
Content-Type: application/json
--- response_body_like: "error_code":"METHOD_NOT_ALLOWED"

=== TEST 42: 405 DELETE /initiate-conversation
--- request
DELETE /initiate-conversation
--- error_code: 405
--- response_headers
Allow: POST
Content-Type: application/json
--- response_body_like: "error_code":"METHOD_NOT_ALLOWED"

=== TEST 43: 405 OPTIONS /initiate-conversation
--- request
OPTIONS /initiate-conversation
--- error_code: 405
--- response_headers
Allow: POST
Content-Type: application/json
--- response_body_like: "error_code":"METHOD_NOT_ALLOWED"

=== TEST 44: 405 GET /webhooks/twilio
--- request
GET /webhooks/twilio
--- error_code: 405
--- response_headers
Allow: POST
Content-Type: application/json
--- response_body_like: "error_code":"METHOD_NOT_ALLOWED"

=== TEST 45: 405 PUT /webhooks/sendgrid/x
--- request
PUT /webhooks/sendgrid/x
--- error_code: 405
--- response_headers
Allow: POST
Content-Type: application/json
--- response_body_like: "error_code":"METHOD_NOT_ALLOWED"

=== TEST 46: 405 POST /conversations
--- request
POST /conversations
--- error_code: 405
--- response_headers
Allow: GET, HEAD
Content-Type: application/json
--- response_body_like: "error_code":"METHOD_NOT_ALLOWED"

=== TEST 47: 405 DELETE /conversations/th_00000000000000000000000000
--- request
DELETE /conversations/th_00000000000000000000000000
--- error_code: 405
--- response_headers
Allow: GET, HEAD
Content-Type: application/json
--- response_body_like: "error_code":"METHOD_NOT_ALLOWED"

=== TEST 48: 405 POST /status
--- request
POST /status
--- error_code: 405
--- response_headers
Allow: GET, HEAD
Content-Type: application/json
--- response_body_like: "error_code":"METHOD_NOT_ALLOWED"

=== TEST 49: 405 PUT /metrics
--- request
PUT /metrics
--- error_code: 405
--- response_headers
Allow: GET, HEAD
Content-Type: application/json
--- response_body_like: "error_code":"METHOD_NOT_ALLOWED"

=== TEST 50: a request_id that is no string is not repeated
--- request eval
::start('request_data.request_id' => { a => 1 })
--- error_code: 400
--- response_body_like: "request_id":null

=== TEST 51: many headers
--- request eval
::start()
--- more_headers eval
(CORE::join '', map { "X-$_: " . ('y' x 100) . "\n" } 1 .. 60) . 'x-api-key: ' . ::KEY
--- error_code: 202
--- response_body_like: success
--- no_error_log
[error]

=== TEST 52: client_max_body_size 0 is refused
--- config
    location /t { client_max_body_size 0; comms_initiate; }
--- must_die
--- error_log
"client_max_body_size" must not be 0 in location "/t": "comms_initiate" keeps bodies in memory

=== TEST 53: client_body_in_file_only is refused
--- config
    location /t { client_body_in_file_only on; comms_webhook twilio; }
--- must_die
--- error_log
"client_body_in_file_only" must be off in location "/t": "comms_webhook" keeps bodies in memory

=== TEST 54: two requests on one connection
--- pipelined_requests eval
[::start(), ::start('request_data.request_id' => ::ID2)]
--- error_code eval
[202, 202]
--- response_body_like eval
[::accepted('sms'), '"status":"success"']
--- no_error_log
[error]

=== TEST 55: what is refused before its body is read leaves the connection usable
--- pipelined_requests eval
["PUT /initiate-conversation\n" . ::start_json(), ::start(),
 "POST /status\n" . ('x' x 3000), 'GET /status']
--- error_code eval
[405, 202, 405, 200]
--- response_body_like eval
['METHOD_NOT_ALLOWED', 'success', 'METHOD_NOT_ALLOWED', 'accepted_total":1']
--- no_error_log
[error]

=== TEST 56: Expect: 100-continue
--- raw_request eval
my $json = ::start_json();
["POST /initiate-conversation HTTP/1.1\r\nHost: localhost\r\n"
 . "Expect: 100-continue\r\nConnection: close\r\nContent-Length: "
 . length($json) . "\r\nx-api-key: " . ::KEY . "\r\n\r\n", $json]
--- ignore_response
--- no_error_log
[error]

=== TEST 57: a body that never comes
--- config
    client_body_timeout 100ms;
    location = /initiate-conversation { comms_initiate; }
--- raw_request eval
"POST /initiate-conversation HTTP/1.1\r\nHost: localhost\r\n"
. "Connection: close\r\nContent-Length: 100\r\n\r\n{"
--- error_code:
--- no_error_log
[error]
[alert]

=== TEST 58: a webhook without Host
--- raw_request eval
"POST /webhooks/twilio HTTP/1.0\r\nContent-Length: 1\r\n"
. "X-Twilio-Signature: AAAA\r\n\r\nx"
--- error_code: 403
--- response_body_like: FORBIDDEN
