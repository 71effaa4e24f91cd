#
# Copyright (C) the ngx_http_comms_module authors
#
# "Prefer: wait=N" and the directive comms_wait_max: a start request is held
# until its thread has settled.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

# What the AI says, as a provider location's "return": one text for all three
# channels, in the Responses format of OpenAI.
sub ai {
    my %text = map { $_ => { message => "Hello on $_." } } @_;

    $text{email}{subject} = 'Your application' if $text{email};

    my $said = JSON::PP->new->canonical->encode(\%text);
    my $answer = JSON::PP->new->canonical->encode({
        id => 'resp_1', object => 'response', status => 'completed',
        model => 'gpt-test',
        output => [{
            id => 'msg_1', type => 'message', role => 'assistant',
            status => 'completed',
            content => [{ type => 'output_text', text => $said,
                          annotations => [] }],
        }],
        usage => { input_tokens => 20, output_tokens => 10,
                   total_tokens => 30 },
    });

    # nginx takes one backslash of two away
    $answer =~ s/\\/\\\\/g;

    return "200 '$answer'";
}


# Twilio has taken a message over
sub taken {
    return '201 \'{"sid":"SM' . '0' x 31 . '9","status":"queued"}\'';
}


repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 4 + 16);

run_tests();

__DATA__

=== TEST 1: the finished state
--- more_http
    comms_workers on;
--- more_config eval
::providers(openai => ::ai('sms'), twilio => ::taken())
--- request eval
::start()
--- more_headers eval
"Prefer: wait=10\nx-api-key: " . ::KEY
--- response_headers
Preference-Applied: wait=10
--- response_body_like: ^\{"status":"success",.*"channel_states":\{"sms":"sent".*"messages":\[.*"content":"Hello on sms\."
--- no_error_log
[error]
--- timeout: 15

=== TEST 2: every channel
--- more_http
    comms_workers on;
--- more_config eval
::providers(openai => ::ai(qw(whatsapp sms)), twilio => ::taken(),
    sendgrid => '202', more_sendgrid => '')
--- request eval
::start('request_data.channel_method' => ['sms', 'whatsapp'])
--- more_headers eval
"Prefer: wait=10\nx-api-key: " . ::KEY
--- response_headers
Preference-Applied: wait=10
--- response_body_like: "channel_states":\{"whatsapp":"sent","sms":"sent"\}
--- timeout: 15

=== TEST 3: Location is there too
--- more_http
    comms_workers on;
--- more_config eval
::providers(openai => ::ai('sms'), twilio => ::taken())
--- request eval
::start()
--- more_headers eval
"Prefer: wait=10\nx-api-key: " . ::KEY
--- response_body_like: "status":"success"
--- response_headers_like
Location: /conversations/th_\w{26}
--- timeout: 15

=== TEST 4: not finished in time: 202
--- request eval
::start()
--- more_headers eval
"Prefer: wait=1\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
Preference-Applied: wait=1
--- response_body_like: ^\{"status":"success".*"queue_timestamp":"[^"]+"\}$
--- no_error_log
[error]
--- timeout: 15

=== TEST 5: comms_wait_max is the most
--- more_http
    comms_workers off;
    comms_wait_max 1s;
--- request eval
::start()
--- more_headers eval
"Prefer: wait=3600\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
Preference-Applied: wait=1
--- response_body_like: success
--- no_error_log
[error]
--- timeout: 15

=== TEST 6: comms_wait_max 0 waits for nothing
--- more_http
    comms_workers off;
    comms_wait_max 0;
--- request eval
::start()
--- more_headers eval
"Prefer: wait=3600\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
! Preference-Applied
--- response_body_like: success
--- no_error_log
[error]
--- timeout: 15

=== TEST 7: Prefer: wait=0
--- request eval
::start()
--- more_headers eval
"Prefer: wait=0\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
! Preference-Applied
--- response_body_like: success
--- no_error_log
[error]
--- timeout: 15

=== TEST 8: Prefer: wait=
--- request eval
::start()
--- more_headers eval
"Prefer: wait=\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
! Preference-Applied
--- response_body_like: success
--- no_error_log
[error]
--- timeout: 15

=== TEST 9: Prefer: wait=x
--- request eval
::start()
--- more_headers eval
"Prefer: wait=x\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
! Preference-Applied
--- response_body_like: success
--- no_error_log
[error]
--- timeout: 15

=== TEST 10: Prefer: wait=-1
--- request eval
::start()
--- more_headers eval
"Prefer: wait=-1\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
! Preference-Applied
--- response_body_like: success
--- no_error_log
[error]
--- timeout: 15

=== TEST 11: Prefer: respond-async
--- request eval
::start()
--- more_headers eval
"Prefer: respond-async\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
! Preference-Applied
--- response_body_like: success
--- no_error_log
[error]
--- timeout: 15

=== TEST 12: Prefer: waiting=5
--- request eval
::start()
--- more_headers eval
"Prefer: waiting=5\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
! Preference-Applied
--- response_body_like: success
--- no_error_log
[error]
--- timeout: 15

=== TEST 13: Prefer: return=minimal; wait=5
--- request eval
::start()
--- more_headers eval
"Prefer: return=minimal; wait=5\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
! Preference-Applied
--- response_body_like: success
--- no_error_log
[error]
--- timeout: 15

=== TEST 14: Prefer: respond-async, wait=1
--- request eval
::start()
--- more_headers eval
"Prefer: respond-async, wait=1\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
Preference-Applied: wait=1
--- response_body_like: success
--- no_error_log
[error]
--- timeout: 15

=== TEST 15: Prefer: WAIT=1
--- request eval
::start()
--- more_headers eval
"Prefer: WAIT=1\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
Preference-Applied: wait=1
--- response_body_like: success
--- no_error_log
[error]
--- timeout: 15

=== TEST 16: Prefer: wait=1, respond-async
--- request eval
::start()
--- more_headers eval
"Prefer: wait=1, respond-async\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
Preference-Applied: wait=1
--- response_body_like: success
--- no_error_log
[error]
--- timeout: 15

=== TEST 17: Prefer: handling=lenient,wait=1
--- request eval
::start()
--- more_headers eval
"Prefer: handling=lenient,wait=1\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
Preference-Applied: wait=1
--- response_body_like: success
--- no_error_log
[error]
--- timeout: 15

=== TEST 18: Prefer in two headers
--- request eval
::start()
--- more_headers eval
"Prefer: respond-async\nPrefer: wait=1\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
Preference-Applied: wait=1
--- response_body_like: success
--- no_error_log
[error]

=== TEST 19: an error is not waited for
--- request eval
::start('request_data.channel_method' => 'fax')
--- more_headers eval
"Prefer: wait=10\nx-api-key: " . ::KEY
--- error_code: 400
--- response_headers
! Preference-Applied
--- response_body_like: UNSUPPORTED_CHANNEL
--- timeout: 15

=== TEST 20: the AI refuses the key: that is mended some day, the thread waits
--- more_http
    comms_workers on;
--- more_config eval
::providers(openai => q{401 '{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}'}, twilio => ::taken())
--- request eval
::start()
--- more_headers eval
"Prefer: wait=1\nx-api-key: " . ::KEY
--- error_code: 202
--- response_headers
Preference-Applied: wait=1
--- response_body_like: success
--- error_log
the API key is refused, see "api_key_reference": invalid_api_key, to be retried
--- timeout: 15

=== TEST 21: the AI refuses the request: the thread has failed
--- more_http
    comms_workers on;
--- more_config eval
::providers(openai => q{400 '{"error":{"message":"Invalid prompt","type":"invalid_request_error","code":"invalid_prompt"}}'}, twilio => ::taken())
--- request eval
::start()
--- more_headers eval
"Prefer: wait=10\nx-api-key: " . ::KEY
--- response_headers
Preference-Applied: wait=10
--- response_body_like: "conversation_status":"failed"|"status":"failed"
--- timeout: 15

=== TEST 22: the carrier refuses the number
--- more_http
    comms_workers on;
--- more_config eval
::providers(openai => ::ai('sms'), twilio => q{400 '{"code":21211,"message":"Invalid To number","status":400}'})
--- request eval
::start()
--- more_headers eval
"Prefer: wait=10\nx-api-key: " . ::KEY
--- response_headers
Preference-Applied: wait=10
--- response_body_like: "channel_states":\{"sms":"failed"
--- timeout: 15

=== TEST 23: a client that goes away is forgotten
--- request eval
[::start(), 'GET /status']
--- more_headers eval
["Prefer: wait=30\nx-api-key: " . ::KEY, '']
--- timeout: 1
--- abort
--- error_code eval
['', 200]
--- response_body_like eval
['^$', '"waiting_requests":0']
--- no_error_log
[error]

=== TEST 24: a repetition of what has settled is answered at once
--- more_http
    comms_workers on;
--- more_config eval
::providers(openai => ::ai('sms'), twilio => ::taken())
--- request eval
[::start(), ::start()]
--- more_headers eval
[("Prefer: wait=10\nx-api-key: " . ::KEY) x 2]
--- error_code eval
[200, 200]
--- response_body_like eval
[('"channel_states":\{"sms":"sent"') x 2]
--- timeout: 15
--- no_error_log
[error]

=== TEST 25: what was sent can be read
--- more_http
    comms_workers on;
--- more_config eval
::providers(openai => ::ai('sms'), twilio => ::taken())
--- request eval
[::start(), 'GET /conversations', 'GET /metrics']
--- more_headers eval
["Prefer: wait=10\nx-api-key: " . ::KEY, 'x-api-key: ' . ::KEY, '']
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['success', '"thread_id":"th_', 'comms_ai_calls_total 1\n(?:.*\n)*comms_sent_total 1\n']
--- timeout: 15
--- no_error_log
[error]

=== TEST 26: nothing of a person, a message or a key is in the log
--- more_http
    comms_workers on;
--- log_level: info
--- more_config eval
::providers(openai => ::ai('sms'), twilio => ::taken())
--- request eval
::start()
--- more_headers eval
"Prefer: wait=10\nx-api-key: " . ::KEY
--- response_body_like: Hello on sms
--- timeout: 15
--- no_error_log
7700900123
ada@example.org
Hello on sms
sk-of-acme
auth-token
key-of-acme

=== TEST 27: RECIPIENT_OPTED_OUT, once STOP was handled
--- more_http
    comms_workers on;
--- more_config eval
::providers(openai => ::ai('sms'), twilio => ::taken())
--- request eval
[::start(), "POST /webhooks/twilio\n" . ::twilio_form(Body => 'STOP'),
 (map { ::start('request_data.request_id' => sprintf '550e8400-e29b-41d4-a716-4466554410%02d', $_) } 1), 'GET /metrics']
--- more_headers eval
["Prefer: wait=10\nx-api-key: " . ::KEY,
 ::twilio_headers('http://localhost/webhooks/twilio', ::twilio_form(Body => 'STOP')),
 'x-api-key: ' . ::KEY, '']
--- wait: 1
--- error_code eval
[200, 200, 403, 200]
--- response_body_like eval
['"status":"sent"', '<Response', 'RECIPIENT_OPTED_OUT', 'comms_opt_out_total 1\n']
--- timeout: 15
--- no_error_log
[error]
