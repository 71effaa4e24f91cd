#
# Copyright (C) the ngx_http_comms_module authors
#
# The webhook of SendGrid: mails.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 3 + 22);

run_tests();

__DATA__

=== TEST 1: a mail is acknowledged
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- response_body
--- no_error_log
[error]

=== TEST 2: it is kept before that, once
--- request eval
[map({ ::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789') } 1 .. 2), 'GET /status']
--- more_headers eval
[('Content-Type: multipart/form-data; boundary=xYzZY') x 2, '']
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['^$', '^$', '"inbound_waiting":1.*"inbound_total":1,"inbound_duplicate_total":1']
--- no_error_log
[error]

=== TEST 3: a bounce has no sender
--- request eval
[::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', envelope => '{"to":["care@acme.example"],"from":""}'), 'GET /status']
--- more_headers eval
['Content-Type: multipart/form-data; boundary=xYzZY', '']
--- error_code eval
[200, 200]
--- response_body_like eval
['^$', '"inbound_total":0,"inbound_duplicate_total":0,"inbound_ignored_total":1']
--- no_error_log
[error]

=== TEST 4: a mailer daemon
--- request eval
[::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', envelope => '{"to":["care@acme.example"],"from":"MAILER-DAEMON@example.org"}'), 'GET /status']
--- more_headers eval
['Content-Type: multipart/form-data; boundary=xYzZY', '']
--- error_code eval
[200, 200]
--- response_body_like eval
['^$', '"inbound_total":0,"inbound_duplicate_total":0,"inbound_ignored_total":1']
--- no_error_log
[error]

=== TEST 5: an automatic reply (RFC 3834)
--- request eval
[::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', headers => "From: Ada <ada\@example.org>\r\nMessage-ID: <m2\@example.org>\r\nAuto-Submitted: auto-replied\r\n"), 'GET /status']
--- more_headers eval
['Content-Type: multipart/form-data; boundary=xYzZY', '']
--- error_code eval
[200, 200]
--- response_body_like eval
['^$', '"inbound_total":0,"inbound_duplicate_total":0,"inbound_ignored_total":1']
--- no_error_log
[error]

=== TEST 6: bulk mail
--- request eval
[::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', headers => "From: Ada <ada\@example.org>\r\nMessage-ID: <m2\@example.org>\r\nPrecedence: bulk\r\n"), 'GET /status']
--- more_headers eval
['Content-Type: multipart/form-data; boundary=xYzZY', '']
--- error_code eval
[200, 200]
--- response_body_like eval
['^$', '"inbound_total":0,"inbound_duplicate_total":0,"inbound_ignored_total":1']
--- no_error_log
[error]

=== TEST 7: a whole mail, as it came
--- request eval
[::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', email => "From: Ada <ada\@example.org>\r\nTo: care\@acme.example\r\nSubject: Re: x\r\nMessage-ID: <r1\@example.org>\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe\r\n", text => ::GONE, headers => ::GONE, charsets => ::GONE), 'GET /status']
--- more_headers eval
['Content-Type: multipart/form-data; boundary=xYzZY', '']
--- error_code eval
[200, 200]
--- response_body_like eval
['^$', '"inbound_total":1']
--- no_error_log
[error]

=== TEST 8: another charset
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', text => "Gr\xfc\xdfe", charsets => '{"text":"iso-8859-1"}')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- response_body
--- no_error_log
[error]

=== TEST 9: a charset that nobody knows
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', text => "a\xffb", charsets => '{"text":"x-unknown"}')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- response_body
--- no_error_log
[error]

=== TEST 10: HTML alone
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', text => ::GONE, html => '<p>Yes</p>')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- response_body
--- no_error_log
[error]

=== TEST 11: no text at all
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', text => ::GONE)
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- response_body
--- no_error_log
[error]

=== TEST 12: a very long text
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', text => 'x' x 100_000)
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- response_body
--- no_error_log
[error]

=== TEST 13: an empty text
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', text => '')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- response_body
--- no_error_log
[error]

=== TEST 14: parts that nobody knows
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', spam_score => '1.2', dkim => 'none', more => "\xff\xfe")
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- response_body
--- no_error_log
[error]

=== TEST 15: a wrong segment
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-9999999999')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
comms webhook of "sendgrid" is not verified

=== TEST 16: a segment cut off
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-012345678')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
comms webhook of "sendgrid" is not verified

=== TEST 17: a segment and more
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789/more')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
comms webhook of "sendgrid" is not verified

=== TEST 18: no segment
--- request eval
::sendgrid_mail('/webhooks/sendgrid/')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
comms webhook of "sendgrid" is not verified

=== TEST 19: the segment as an argument
--- request eval
::sendgrid_mail('/webhooks/sendgrid/?inbound-segment-0123456789')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
comms webhook of "sendgrid" is not verified

=== TEST 20: no multipart
--- request eval
"POST /webhooks/sendgrid/inbound-segment-0123456789\na=b"
--- more_headers
Content-Type: application/x-www-form-urlencoded
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"the body is no multipart/form-data"
--- error_log
comms webhook of "sendgrid" is verified and cannot be read: the body is no multipart/form-data

=== TEST 21: no boundary
--- request eval
"POST /webhooks/sendgrid/inbound-segment-0123456789\nx"
--- more_headers
Content-Type: multipart/form-data
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"the body is no multipart/form-data"
--- error_log
comms webhook of "sendgrid" is verified and cannot be read: the body is no multipart/form-data

=== TEST 22: no body
--- request eval
"POST /webhooks/sendgrid/inbound-segment-0123456789\n"
--- more_headers
Content-Type: multipart/form-data; boundary=x
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"the body is no multipart/form-data"
--- error_log
comms webhook of "sendgrid" is verified and cannot be read: the body is no multipart/form-data

=== TEST 23: no envelope
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', envelope => ::GONE)
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"the form has no valid envelope"

=== TEST 24: an envelope that is no JSON
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', envelope => '{')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"the form has no valid envelope"

=== TEST 25: an envelope without "to"
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', envelope => '{"from":"ada@example.org"}')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"the form has no valid envelope"

=== TEST 26: an envelope that is a list
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', envelope => '[]')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"the form has no valid envelope"

=== TEST 27: a mail to nobody of ours
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', envelope => '{"to":[],"from":"ada@example.org"}')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- error_code: 400
--- response_body_like: the envelope names no address of ours

=== TEST 28: the segment is a secret: in no log
--- log_level: info
--- config
    location /webhooks/sendgrid/ { comms_webhook sendgrid; }
--- init
1;
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789', text => 'My secret words')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- no_error_log
inbound-segment
ada@example.org
secret words

=== TEST 29: nor in access.log
--- more_http
    comms_workers off;
    log_format whole '$request|$uri|$request_uri|$args';
--- config
    location /webhooks/sendgrid/ {
        access_log logs/whole.log whole;
        comms_webhook sendgrid;
    }
    location = /whole { root logs; rewrite ^ /whole.log break; }
--- request eval
[::sendgrid_mail('/webhooks/sendgrid/inbound-segment-0123456789?a=b'), 'GET /whole']
--- more_headers eval
['Content-Type: multipart/form-data; boundary=xYzZY', '']
--- error_code eval
[200, 200]
--- response_body eval
['', "POST /webhooks/sendgrid/- HTTP/1.1|/webhooks/sendgrid/-|/webhooks/sendgrid/-|-\n"]
--- no_error_log
[error]

=== TEST 30: nor in an error's log line
--- log_level: info
--- request eval
::sendgrid_mail('/webhooks/sendgrid/inbound-segment-9999999999')
--- more_headers
Content-Type: multipart/form-data; boundary=xYzZY
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
POST /webhooks/sendgrid/- HTTP/1.1
--- no_error_log
inbound-segment
ada@example.org
