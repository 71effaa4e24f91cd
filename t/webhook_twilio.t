#
# Copyright (C) the ngx_http_comms_module authors
#
# The directive comms_webhook, and the webhook of Twilio: signatures are
# computed here as Twilio documents them.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 3 + 21);

run_tests();

__DATA__

=== TEST 1: a message is acknowledged with empty TwiML
--- form eval: []
--- response_body_like: <Response
--- response_headers_like
Content-Type: (text|application)/xml.*
--- no_error_log
[error]

=== TEST 2: it is kept before that, once
--- request eval
[map({ "POST /webhooks/twilio\n" . ::twilio_form() } 1 .. 2), 'GET /status']
--- more_headers eval
[map({ ::twilio_headers('http://localhost/webhooks/twilio', ::twilio_form()) } 1 .. 2), '']
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['<Response', '<Response', '"inbound_waiting":1.*"inbound_total":1,"inbound_duplicate_total":1']
--- no_error_log
[error]

=== TEST 3: two messages are two
--- request eval
my @forms = (::twilio_form(), ::twilio_form(MessageSid => 'SM' . '2' x 32));
[map({ "POST /webhooks/twilio\n$_" } @forms), 'GET /status']
--- more_headers eval
my @forms = (::twilio_form(), ::twilio_form(MessageSid => 'SM' . '2' x 32));
[map({ ::twilio_headers('http://localhost/webhooks/twilio', $_) } @forms), '']
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['<Response', '<Response', '"inbound_waiting":2.*"inbound_total":2,"inbound_duplicate_total":0']
--- no_error_log
[error]

=== TEST 4: WhatsApp
--- form eval: [From => 'whatsapp:+447700900123', To => 'whatsapp:+441632960001']
--- response_body_like: <Response
--- no_error_log
[error]

=== TEST 5: text in any script
--- form eval: [Body => "\xe1\x83\x90 \xf0\x9f\x98\x80"]
--- response_body_like: <Response
--- no_error_log
[error]

=== TEST 6: blanks, "+" and "&" in the text
--- form eval: [Body => ' a+b & c=d % ']
--- response_body_like: <Response
--- no_error_log
[error]

=== TEST 7: an empty text
--- form eval: [Body => '']
--- response_body_like: <Response
--- no_error_log
[error]

=== TEST 8: media
--- form eval: [NumMedia => 2, MediaContentType0 => 'image/jpeg', MediaUrl0 => 'https://api.twilio.com/x', MediaContentType1 => 'audio/ogg', MediaUrl1 => 'https://api.twilio.com/y']
--- response_body_like: <Response
--- no_error_log
[error]

=== TEST 9: a button
--- form eval: [Body => '', ButtonText => 'Yes', ButtonPayload => 'yes']
--- response_body_like: <Response
--- no_error_log
[error]

=== TEST 10: a place
--- form eval: [Latitude => '51.5', Longitude => '-0.12', Label => 'Here']
--- response_body_like: <Response
--- no_error_log
[error]

=== TEST 11: parameters that nobody knows
--- form eval: [Zebra => '1', 'a.b' => '2', SmsStatus => 'received']
--- response_body_like: <Response
--- no_error_log
[error]

=== TEST 12: a very long text
--- form eval: [Body => 'x' x 20000]
--- response_body_like: <Response
--- no_error_log
[error]

=== TEST 13: no AccountSid
--- form eval: [AccountSid => ::GONE]
--- response_body_like: <Response
--- no_error_log
[error]

=== TEST 14: a delivery report is no message, and is kept once
--- request eval
[map({ "POST /webhooks/twilio\n" . ::twilio_form(MessageStatus => 'delivered') } 1 .. 2), 'GET /status']
--- more_headers eval
[map({ ::twilio_headers('http://localhost/webhooks/twilio', ::twilio_form(MessageStatus => 'delivered')) } 1 .. 2), '']
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['<Response', '<Response', '"status":\{"ready":1,.*"inbound_total":0,"inbound_duplicate_total":0,"inbound_ignored_total":0']
--- no_error_log
[error]

=== TEST 15: another channel of Twilio is ignored
--- request eval
["POST /webhooks/twilio\n" . ::twilio_form(From => 'messenger:1', To => 'messenger:2'), 'GET /status']
--- more_headers eval
[::twilio_headers('http://localhost/webhooks/twilio', ::twilio_form(From => 'messenger:1', To => 'messenger:2')), '']
--- error_code eval
[200, 200]
--- response_body_like eval
['<Response', '"inbound_total":0,"inbound_duplicate_total":0,"inbound_ignored_total":1']
--- no_error_log
[error]

=== TEST 16: a short code that nobody can be reached at is ignored
--- request eval
["POST /webhooks/twilio\n" . ::twilio_form(From => '12345'), 'GET /status']
--- more_headers eval
[::twilio_headers('http://localhost/webhooks/twilio', ::twilio_form(From => '12345')), '']
--- error_code eval
[200, 200]
--- response_body_like eval
['<Response', '"inbound_total":0,"inbound_duplicate_total":0,"inbound_ignored_total":1']
--- no_error_log
[error]

=== TEST 17: mixed channels are ignored
--- request eval
["POST /webhooks/twilio\n" . ::twilio_form(From => 'whatsapp:+447700900123'), 'GET /status']
--- more_headers eval
[::twilio_headers('http://localhost/webhooks/twilio', ::twilio_form(From => 'whatsapp:+447700900123')), '']
--- error_code eval
[200, 200]
--- response_body_like eval
['<Response', '"inbound_total":0,"inbound_duplicate_total":0,"inbound_ignored_total":1']
--- no_error_log
[error]

=== TEST 18: the token before the last rotation
--- form eval: []
--- signed_with eval: ::OLD_TOKEN
--- response_body_like: <Response
--- no_error_log
[error]

=== TEST 19: no signature
--- request eval
"POST /webhooks/twilio\n" . ::twilio_form()
--- more_headers
Content-Type: application/x-www-form-urlencoded
--- error_code: 403
--- response_headers
Content-Type: application/json
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
comms webhook of "twilio" is not verified

=== TEST 20: an empty signature
--- request eval
"POST /webhooks/twilio\n" . ::twilio_form()
--- more_headers
Content-Type: application/x-www-form-urlencoded
X-Twilio-Signature:
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
comms webhook of "twilio" is not verified

=== TEST 21: a wrong token
--- form eval: []
--- signed_with eval: 'another-token'
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
comms webhook of "twilio" is not verified

=== TEST 22: another URL
--- form eval: []
--- signed_url: http://localhost/webhooks/other
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
comms webhook of "twilio" is not verified

=== TEST 23: another scheme
--- form eval: []
--- signed_url: https://localhost/webhooks/twilio
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
comms webhook of "twilio" is not verified

=== TEST 24: one byte of the body changed
--- request eval
"POST /webhooks/twilio\n" . ::twilio_form(Body => 'Hello thera')
--- more_headers eval
::twilio_headers('http://localhost/webhooks/twilio', ::twilio_form())
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
comms webhook of "twilio" is not verified

=== TEST 25: a parameter more
--- request eval
"POST /webhooks/twilio\n" . ::twilio_form() . '&Body=Bye'
--- more_headers eval
::twilio_headers('http://localhost/webhooks/twilio', ::twilio_form())
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
comms webhook of "twilio" is not verified

=== TEST 26: a query that was not signed
--- form eval: []
--- path: /webhooks/twilio?x=1
--- signed_url: http://localhost/webhooks/twilio
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
comms webhook of "twilio" is not verified

=== TEST 27: a query that was signed
--- form eval: []
--- path: /webhooks/twilio?x=1&y=%20z
--- response_body_like: <Response
--- no_error_log
[error]

=== TEST 28: the account of somebody else
--- form eval: [AccountSid => 'AC' . 'f' x 32]
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
comms webhook of "twilio" is not verified

=== TEST 29: another Host
--- request eval
"POST /webhooks/twilio\n" . ::twilio_form()
--- more_headers eval
::twilio_headers('http://localhost/webhooks/twilio', ::twilio_form()) . "Host: evil.example.org"
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- error_log
comms webhook of "twilio" is not verified

=== TEST 30: no body, not signed
--- request
POST /webhooks/twilio
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"

=== TEST 31: JSON, not signed
--- request
POST /webhooks/twilio
{"MessageSid":"x"}
--- more_headers
Content-Type: application/json
X-Twilio-Signature: AAAA
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"

=== TEST 32: signed, no MessageSid
--- form eval: [MessageSid => ::GONE]
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"the form has no MessageSid"
--- error_log
comms webhook of "twilio" is verified and cannot be read: the form has no MessageSid

=== TEST 33: signed, a MessageSid with blanks
--- form eval: [MessageSid => 'S M']
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"the form has no MessageSid"
--- error_log
comms webhook of "twilio" is verified and cannot be read: the form has no MessageSid

=== TEST 34: signed, no From
--- form eval: [From => ::GONE]
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"the form has no From or To"
--- error_log
comms webhook of "twilio" is verified and cannot be read: the form has no From or To

=== TEST 35: signed, no To
--- form eval: [To => ::GONE]
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"the form has no From or To"
--- error_log
comms webhook of "twilio" is verified and cannot be read: the form has no From or To

=== TEST 36: credentials=, the right ones
--- config
    location = /hook { comms_webhook twilio credentials=twilio-acme; }
--- form eval: []
--- path: /hook
--- response_body_like: <Response
--- no_error_log
[error]

=== TEST 37: any credentials fit by default
--- secrets eval
sub { $_[0]{'twilio-two'} = { provider => 'twilio', account_sid => 'AC' . 'f' x 32, auth_token => 'token-of-two' } }
--- form eval: [AccountSid => 'AC' . 'f' x 32]
--- signed_with eval: 'token-of-two'
--- response_body_like: <Response
--- no_error_log
[error]

=== TEST 38: credentials=, other ones
--- secrets eval
sub { $_[0]{'twilio-two'} = { provider => 'twilio', account_sid => 'AC' . 'f' x 32, auth_token => 'token-of-two' } }
--- config
    location = /hook { comms_webhook twilio credentials=twilio-acme; }
--- form eval: [AccountSid => 'AC' . 'f' x 32]
--- path: /hook
--- signed_with eval: 'token-of-two'
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"

=== TEST 39: nothing of a person in the log
--- log_level: info
--- form eval: [Body => 'My secret words', ProfileName => 'Ada Byron']
--- response_body_like: <Response
--- no_error_log
7700900123
secret words
Byron
auth-token

=== TEST 40: nor when it is refused
--- log_level: info
--- form eval: [Body => 'My secret words']
--- signed_with eval: 'wrong'
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN","message":"Webhook is not verified"
--- no_error_log
7700900123
secret words
auth-token

=== TEST 41: an unknown provider
--- config
    location /t { comms_webhook carrier; }
--- must_die
--- error_log
invalid value "carrier" in "comms_webhook" directive, it must be "twilio", "meta", "sendgrid" or "smtp"

=== TEST 42: an AI has no webhook
--- config
    location /t { comms_webhook openai; }
--- must_die
--- error_log
invalid value "openai" in "comms_webhook" directive, it must be "twilio", "meta", "sendgrid" or "smtp"

=== TEST 43: no provider
--- config
    location /t { comms_webhook; }
--- must_die
--- error_log
invalid number of arguments in "comms_webhook" directive

=== TEST 44: an unknown parameter
--- config
    location /t { comms_webhook twilio token=x; }
--- must_die
--- error_log
invalid parameter "token=x" in "comms_webhook" directive, it must be "credentials=id"

=== TEST 45: no credentials
--- config
    location /t { comms_webhook twilio credentials=; }
--- must_die
--- error_log
invalid parameter "credentials=" in "comms_webhook" directive, it must be "credentials=id"

=== TEST 46: credentials that are not there
--- config
    location /t { comms_webhook twilio credentials=nobody; }
--- must_die
--- error_log
nobody

=== TEST 47: credentials of another provider
--- config
    location /t { comms_webhook twilio credentials=sendgrid-acme; }
--- must_die
--- error_log
sendgrid-acme

=== TEST 48: in a regex location
--- config
    location ~ ^/t { comms_webhook twilio; }
--- must_die
--- error_log
"comms_webhook" directive is not allowed in location

=== TEST 49: in a named location
--- config
    location @t { comms_webhook twilio; }
--- must_die
--- error_log
"comms_webhook" directive is not allowed in location "@t", it must be a location given by a prefix string

=== TEST 50: twice
--- config
    location /t { comms_webhook twilio; comms_webhook twilio; }
--- must_die
--- error_log
"comms_webhook" directive is duplicate
