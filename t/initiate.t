#
# Copyright (C) the ngx_http_comms_module authors
#
# POST /initiate-conversation: what is accepted, once and only once.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * blocks() * 6;

run_tests();

__DATA__

=== TEST 1: one channel
--- request eval
::start()
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('sms')
--- no_error_log
[error]

=== TEST 2: a list of one
--- request eval
::start('request_data.channel_method' => ['email'])
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('email')
--- no_error_log
[error]

=== TEST 3: a list of three
--- request eval
::start('request_data.channel_method' => ['email', 'sms', 'whatsapp'])
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('whatsapp', 'sms', 'email')
--- no_error_log
[error]

=== TEST 4: the same channel twice is once
--- request eval
::start('request_data.channel_method' => ['sms', 'sms'])
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('sms')
--- no_error_log
[error]

=== TEST 5: "all"
--- request eval
::start('request_data.channel_method' => 'all')
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('whatsapp', 'sms', 'email')
--- no_error_log
[error]

=== TEST 6: "all", no email
--- request eval
::start('request_data.channel_method' => 'all', 'recipient_data.recipient_email' => ::GONE)
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('whatsapp', 'sms')
--- no_error_log
[error]

=== TEST 7: "all", no phone
--- request eval
::start('request_data.channel_method' => 'all', 'recipient_data.recipient_tel' => ::GONE)
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('email')
--- no_error_log
[error]

=== TEST 8: "all" is what the project allows
--- project eval
sub { $_[0]{allowed_channels} = ['email'] }
--- request eval
::start('request_data.channel_method' => 'all')
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('email')
--- no_error_log
[error]

=== TEST 9: no project_data
--- request eval
::start(project_data => ::GONE)
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('sms')
--- no_error_log
[error]

=== TEST 10: no names
--- request eval
::start('recipient_data.recipient_first_name' => ::GONE, 'recipient_data.recipient_last_name' => undef)
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('sms')
--- no_error_log
[error]

=== TEST 11: names in any script
--- request eval
::start('recipient_data.recipient_first_name' => "\x{10D0}\x{10D3}\x{10D0} \x{1F600}")
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('sms')
--- no_error_log
[error]

=== TEST 12: a timestamp with an offset
--- request eval
::start('request_data.initial_request_timestamp' => '2026-11-22T11:45:32+05:30')
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('sms')
--- no_error_log
[error]

=== TEST 13: members that nobody knows
--- request eval
::start('request_data.more' => 1, more => { a => [1] })
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('sms')
--- no_error_log
[error]

=== TEST 14: another key of the company
--- more_headers eval
'x-api-key: ' . ::KEY2
--- request eval
::start()
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('sms')
--- no_error_log
[error]

=== TEST 15: the name of the header in upper case
--- more_headers eval
'X-API-KEY: ' . ::KEY
--- request eval
::start()
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('sms')
--- no_error_log
[error]

=== TEST 16: a type with a parameter
--- more_headers eval
'x-api-key: ' . ::KEY . "\nContent-Type: Application/JSON; charset=utf-8"
--- request eval
::start()
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('sms')
--- no_error_log
[error]

=== TEST 17: two threads have two ids
--- request eval
[::start(), ::start('request_data.request_id' => ::ID2), 'GET /status']
--- error_code eval
[202, 202, 200]
--- response_body_like eval
['"thread_id":"th_', '"conversation_id":"acme#care#550e8400-e29b-41d4-a716-446655440002"',
 '"accepted_total":2']
--- no_error_log
[error]

=== TEST 18: again: the same answer, once accepted
--- request eval
[::start(), ::start(), 'GET /status']
--- error_code eval
[202, 202, 200]
--- response_headers_like eval
['Location: /conversations/th_\w{26}', 'Location: /conversations/th_\w{26}', 'Content-Type: application/json']
--- response_body eval
[qr<^(?{ $::first = undef })(.*"success".*)$(?{ $::first = $1 })>,
 qr<^(.*"success".*)$(?(?{ $1 ne $::first })(?!))>,
 qr<"accepted_total":1,"repeated_total":1>]
--- no_error_log
[error]

=== TEST 19: members in another order, other blanks: the same request
--- request eval
[::start(), do {
    my $d = JSON::PP->new->decode(::start_json());
    my $json = JSON::PP->new->sort_by(sub { $JSON::PP::b cmp $JSON::PP::a });
    "POST /initiate-conversation\n" . $json->pretty->encode($d) }, 'GET /status']
--- error_code eval
[202, 202, 200]
--- response_body_like eval
['success', 'success', '"accepted_total":1,"repeated_total":1']
--- no_error_log
[error]

=== TEST 20: escapes and plain characters: the same request
--- request eval
[::start('recipient_data.recipient_first_name' => 'Ada'), do {
    my $text = ::start('recipient_data.recipient_first_name' => 'Ada');
    $text =~ s/"Ada"/"\\u0041da"/; $text }]
--- error_code eval
[202, 202]
--- response_body_like eval
['success', 'success']
--- no_error_log
[error]

=== TEST 21: REQUEST_ID_REUSED, another channel
--- request eval
[::start(), ::start('request_data.channel_method' => 'email')]
--- error_code eval
[202, 409]
--- response_body_like eval
['success', '^\\{"status":"error","error_code":"REQUEST_ID_REUSED","message":"[^"]+","request_id":"550e8400-e29b-41d4-a716-446655440001"\\}$']
--- no_error_log
[error]

=== TEST 22: REQUEST_ID_REUSED, another person
--- request eval
[::start(), ::start('recipient_data.recipient_tel' => '+447700900124')]
--- error_code eval
[202, 409]
--- response_body_like eval
['success', '^\\{"status":"error","error_code":"REQUEST_ID_REUSED","message":"[^"]+","request_id":"550e8400-e29b-41d4-a716-446655440001"\\}$']
--- no_error_log
[error]

=== TEST 23: REQUEST_ID_REUSED, another fact
--- request eval
[::start(), ::start('project_data.jobRole' => 'Cook')]
--- error_code eval
[202, 409]
--- response_body_like eval
['success', '^\\{"status":"error","error_code":"REQUEST_ID_REUSED","message":"[^"]+","request_id":"550e8400-e29b-41d4-a716-446655440001"\\}$']
--- no_error_log
[error]

=== TEST 24: REQUEST_ID_REUSED, one member more
--- request eval
[::start(), ::start(more => 1)]
--- error_code eval
[202, 409]
--- response_body_like eval
['success', '^\\{"status":"error","error_code":"REQUEST_ID_REUSED","message":"[^"]+","request_id":"550e8400-e29b-41d4-a716-446655440001"\\}$']
--- no_error_log
[error]

=== TEST 25: REQUEST_ID_REUSED, another time
--- request eval
[::start(), ::start('request_data.initial_request_timestamp' => '2026-11-22T11:45:33.789Z')]
--- error_code eval
[202, 409]
--- response_body_like eval
['success', '^\\{"status":"error","error_code":"REQUEST_ID_REUSED","message":"[^"]+","request_id":"550e8400-e29b-41d4-a716-446655440001"\\}$']
--- no_error_log
[error]

=== TEST 26: a request_id belongs to a project: another project has its own
--- text_of eval
{ 'projects/asleep.json' => do {
    my $p = ::project(); $p->{project_id} = 'asleep';
    JSON::PP->new->encode($p) } }
--- request eval
[::start(), ::start('company_data.project_id' => 'asleep')]
--- error_code eval
[202, 202]
--- response_body_like eval
['acme#care#', 'acme#asleep#']
--- no_error_log
[error]

=== TEST 27: RATE_LIMIT_EXCEEDED, requests_per_minute
--- project eval
sub { $_[0]{rate_limits} = { requests_per_minute => 2 } }
--- request eval
[::start(), ::start('request_data.request_id' => ::ID2), ::start('request_data.request_id' => ::ID3)]
--- error_code eval
[202, 202, 429]
--- response_headers_like eval
['Location: /conversations/.*', 'Location: /conversations/.*', 'Retry-After: [1-9][0-9]{0,2}']
--- response_body_like eval
['success', 'success', '"error_code":"RATE_LIMIT_EXCEEDED","message":"[^"]*requests_per_minute[^"]*","request_id":"550e8400-e29b-41d4-a716-446655440003"']
--- no_error_log
[error]

=== TEST 28: RATE_LIMIT_EXCEEDED, requests_per_day
--- project eval
sub { $_[0]{rate_limits} = { requests_per_day => 1 } }
--- request eval
[::start(), ::start('request_data.request_id' => ::ID2)]
--- error_code eval
[202, 429]
--- response_headers_like eval
['Location: /conversations/.*', 'Retry-After: [1-9][0-9]{0,5}']
--- response_body_like eval
['success', '"error_code":"RATE_LIMIT_EXCEEDED","message":"[^"]*requests_per_day']
--- no_error_log
[error]

=== TEST 29: RATE_LIMIT_EXCEEDED, concurrent_conversations
--- project eval
sub { $_[0]{rate_limits} = { concurrent_conversations => 1 } }
--- request eval
[::start(), ::start('request_data.request_id' => ::ID2)]
--- error_code eval
[202, 429]
--- response_headers_like eval
['Location: /conversations/.*', 'Retry-After: [1-9][0-9]*']
--- response_body_like eval
['success', '"error_code":"RATE_LIMIT_EXCEEDED","message":"[^"]*concurrent_conversations']
--- no_error_log
[error]

=== TEST 30: a repetition is answered when the limit is reached
--- project eval
sub { $_[0]{rate_limits} = { requests_per_minute => 1 } }
--- request eval
[::start(), ::start(), ::start('request_data.channel_method' => 'email'), ::start('request_data.request_id' => ::ID2)]
--- error_code eval
[202, 202, 409, 429]
--- response_body_like eval
['success', 'success', 'REQUEST_ID_REUSED', 'RATE_LIMIT_EXCEEDED']
--- no_error_log
[error]

=== TEST 31: what was refused takes nothing from the limit
--- project eval
sub { $_[0]{rate_limits} = { requests_per_minute => 1 } }
--- request eval
[::start('recipient_data.comms_consent' => JSON::PP::false), ::start('request_data.channel_method' => 'fax'), ::start()]
--- error_code eval
[403, 400, 202]
--- response_body_like eval
['CONSENT_REQUIRED', 'UNSUPPORTED_CHANNEL', 'success']
--- no_error_log
[error]

=== TEST 32: a limit is of one project
--- project eval
sub { $_[0]{rate_limits} = { requests_per_minute => 1 } }
--- text_of eval
{ 'projects/asleep.json' => do {
    my $p = ::project(); $p->{project_id} = 'asleep';
    JSON::PP->new->encode($p) } }
--- request eval
[::start(), ::start('company_data.project_id' => 'asleep')]
--- error_code eval
[202, 202]
--- response_body_like eval
['success', 'success']
--- no_error_log
[error]

=== TEST 33: nothing of a person or a key in the log
--- log_level: info
--- request eval
::start('request_data.channel_method' => 'all')
--- error_code: 202
--- response_body_like: success
--- no_error_log
7700900123
ada@example.org
key-of-acme
Byron
Nurse

=== TEST 34: with an argument
--- config
    location /t { comms_initiate now; }
--- must_die
--- error_log
invalid number of arguments in "comms_initiate" directive

=== TEST 35: in a server
--- config
    comms_initiate;
--- must_die
--- error_log
"comms_initiate" directive is not allowed here

=== TEST 36: twice
--- config
    location /t { comms_initiate; comms_initiate; }
--- must_die
--- error_log
"comms_initiate" directive is duplicate

=== TEST 37: with another handler of ours
--- config
    location /t { comms_initiate; comms_status; }
--- must_die
--- error_log
"comms_status" directive conflicts with another comms directive in this location

=== TEST 38: one channel after the other, in their order
--- request eval
::start('request_data.channel_method' => { fallback => ['sms', 'whatsapp', 'email'], after => 86400 })
--- error_code: 202
--- response_headers_like
Content-Type: application/json
Location: /conversations/th_[0-9A-HJKMNP-TV-Z]{26}
--- response_body_like eval
::accepted('sms', 'whatsapp', 'email')
--- no_error_log
[error]
[alert]
