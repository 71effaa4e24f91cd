#
# Copyright (C) the ngx_http_comms_module authors
#
# The directive comms_conversations: threads are read, by whoever has a key of
# their company.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 3 + 29);

run_tests();

__DATA__

=== TEST 1: an empty listing
--- request
GET /conversations
--- response_body_like: "conversations":\[\]
--- response_headers
Content-Type: application/json
Cache-Control: no-store
--- no_error_log
[error]

=== TEST 2: HEAD
--- request
HEAD /conversations
--- response_headers
Content-Type: application/json
--- response_body
--- no_error_log
[error]

=== TEST 3: UNAUTHORIZED, no key
--- more_headers
X-Other: 1
--- request
GET /conversations
--- error_code: 401
--- response_body_like eval
::refused('UNAUTHORIZED')

=== TEST 4: UNAUTHORIZED, a wrong key
--- more_headers
x-api-key: wrong
--- request
GET /conversations
--- error_code: 401
--- response_body_like eval
::refused('UNAUTHORIZED')

=== TEST 5: UNAUTHORIZED, the key as an argument
--- more_headers
X-Other: 1
--- request
GET /conversations?x-api-key=key-of-acme-0123456789
--- error_code: 401
--- response_body_like eval
::refused('UNAUTHORIZED')

=== TEST 6: UNAUTHORIZED comes before NOT_FOUND
--- more_headers
x-api-key: wrong
--- request
GET /conversations/th_00000000000000000000000000
--- error_code: 401
--- response_body_like eval
::refused('UNAUTHORIZED')

=== TEST 7: UNAUTHORIZED, another company
--- request
GET /conversations?company_id=other
--- error_code: 401
--- response_body_like eval
::refused('UNAUTHORIZED')

=== TEST 8: NOT_FOUND, a thread that is not there
--- request
GET /conversations/th_01M82HDEJW88NATQG9C36KAZY6
--- error_code: 404
--- response_body_like eval
::refused('NOT_FOUND')

=== TEST 9: NOT_FOUND, no thread_id
--- request
GET /conversations/x
--- error_code: 404
--- response_body_like eval
::refused('NOT_FOUND')

=== TEST 10: NOT_FOUND, too long
--- request
GET /conversations/th_01M82HDEJW88NATQG9C36KAZY6A
--- error_code: 404
--- response_body_like eval
::refused('NOT_FOUND')

=== TEST 11: NOT_FOUND, lower case
--- request
GET /conversations/th_01m82hdejw88natqg9c36kazy6
--- error_code: 404
--- response_body_like eval
::refused('NOT_FOUND')

=== TEST 12: NOT_FOUND, a path below it
--- request
GET /conversations/th_01M82HDEJW88NATQG9C36KAZY6/messages
--- error_code: 404
--- response_body_like eval
::refused('NOT_FOUND')

=== TEST 13: NOT_FOUND, escapes
--- request
GET /conversations/th_%ff%22
--- error_code: 404
--- response_body_like eval
::refused('NOT_FOUND')

=== TEST 14: a slash at the end is the listing
--- request
GET /conversations/
--- response_body_like: "conversations":\[\]
--- no_error_log
[error]

=== TEST 15: the thread that was accepted is in the listing
--- request eval
[::start(), 'GET /conversations']
--- error_code eval
[202, 200]
--- response_body_like eval
['success', '"conversations":\\[\\{(?=.*"thread_id":"th_\\w{26}")(?=.*"project_id":"care")(?=.*"request_id":"550e8400-e29b-41d4-a716-446655440001")']
--- no_error_log
[error]

=== TEST 16: by company and project
--- request eval
[::start('request_data.channel_method' => 'all'),
 'GET /conversations?company_id=acme&project_id=care',
 'GET /conversations?project_id=asleep',
 'GET /conversations?company_id=acme']
--- error_code eval
[202, 200, 200, 200]
--- response_body_like eval
['success',
 '550e8400-e29b-41d4-a716-446655440001',
 '"conversations":\[\]',
 '550e8400-e29b-41d4-a716-446655440001']
--- no_error_log
[error]

=== TEST 17: by status
--- request eval
[::start('request_data.channel_method' => 'all'),
 'GET /conversations?status=queued',
 'GET /conversations?status=completed']
--- error_code eval
[202, 200, 200]
--- response_body_like eval
['success',
 '550e8400-e29b-41d4-a716-446655440001',
 '"conversations":\[\]']
--- no_error_log
[error]

=== TEST 18: by recipient, phone
--- request eval
[::start('request_data.channel_method' => 'all'),
 'GET /conversations?recipient=%2B447700900123',
 'GET /conversations?recipient=+447700900123',
 'GET /conversations?recipient=%2B447700900124']
--- error_code eval
[202, 200, 200, 200]
--- response_body_like eval
['success',
 '550e8400-e29b-41d4-a716-446655440001',
 '550e8400-e29b-41d4-a716-446655440001',
 '"conversations":\[\]']
--- no_error_log
[error]

=== TEST 19: by recipient, email
--- request eval
[::start('request_data.channel_method' => 'all'),
 'GET /conversations?recipient=ada@example.org',
 'GET /conversations?recipient=ADA%40EXAMPLE.org',
 'GET /conversations?recipient=eve@example.org']
--- error_code eval
[202, 200, 200, 200]
--- response_body_like eval
['success',
 '550e8400-e29b-41d4-a716-446655440001',
 '550e8400-e29b-41d4-a716-446655440001',
 '"conversations":\[\]']
--- no_error_log
[error]

=== TEST 20: limit
--- request eval
[::start('request_data.channel_method' => 'all'),
 'GET /conversations?limit=1',
 'GET /conversations?limit=200']
--- error_code eval
[202, 200, 200]
--- response_body_like eval
['success',
 '550e8400-e29b-41d4-a716-446655440001',
 '550e8400-e29b-41d4-a716-446655440001']
--- no_error_log
[error]

=== TEST 21: INVALID_LIMIT, 0
--- request
GET /conversations?limit=0
--- error_code: 400
--- response_body_like eval
::refused('INVALID_LIMIT')

=== TEST 22: INVALID_LIMIT, 201
--- request
GET /conversations?limit=201
--- error_code: 400
--- response_body_like eval
::refused('INVALID_LIMIT')

=== TEST 23: INVALID_LIMIT, a word
--- request
GET /conversations?limit=x
--- error_code: 400
--- response_body_like eval
::refused('INVALID_LIMIT')

=== TEST 24: INVALID_LIMIT, negative
--- request
GET /conversations?limit=-1
--- error_code: 400
--- response_body_like eval
::refused('INVALID_LIMIT')

=== TEST 25: INVALID_RECIPIENT
--- request
GET /conversations?recipient=ada
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT')

=== TEST 26: INVALID_CURSOR
--- request
GET /conversations?cursor=nonsense
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CURSOR')

=== TEST 27: INVALID_PARAMETER, unknown
--- request
GET /conversations?colour=red
--- error_code: 400
--- response_body_like eval
::refused('INVALID_PARAMETER')

=== TEST 28: INVALID_PARAMETER, empty
--- request
GET /conversations?status=
--- error_code: 400
--- response_body_like eval
::refused('INVALID_PARAMETER')

=== TEST 29: INVALID_PARAMETER, not UTF-8
--- request
GET /conversations?status=%ff
--- error_code: 400
--- response_body_like eval
::refused('INVALID_PARAMETER')

=== TEST 30: INVALID_PARAMETER, NUL
--- request
GET /conversations?status=a%00b
--- error_code: 400
--- response_body_like eval
::refused('INVALID_PARAMETER')

=== TEST 31: INVALID_PARAMETER, a broken escape
--- request
GET /conversations?status=%zz
--- error_code: 400
--- response_body_like eval
::refused('INVALID_PARAMETER')

=== TEST 32: INVALID_PARAMETER, too many
--- request
GET /conversations?status=a0&status=a1&status=a2&status=a3&status=a4&status=a5&status=a6&status=a7&status=a8&status=a9&status=a10&status=a11&status=a12&status=a13&status=a14&status=a15&status=a16&status=a17&status=a18&status=a19&status=a20&status=a21&status=a22&status=a23&status=a24&status=a25&status=a26&status=a27&status=a28&status=a29&status=a30&status=a31&status=a32&status=a33&status=a34&status=a35&status=a36&status=a37&status=a38&status=a39
--- error_code: 400
--- response_body_like eval
::refused('INVALID_PARAMETER')

=== TEST 33: MISSING_IDENTIFIERS, a key of two companies
--- text_of eval
{ 'projects/other.json' => do {
    my $p = ::project(); $p->{company_id} = 'other';
    $p->{api_key_sha256} = [$p->{api_key_sha256}[1]];
    JSON::PP->new->encode($p) } }
--- more_headers eval
'x-api-key: ' . ::KEY2
--- request
GET /conversations
--- error_code: 400
--- response_body_like eval
::refused('MISSING_IDENTIFIERS')

=== TEST 34: a key of two companies, and one of them
--- text_of eval
{ 'projects/other.json' => do {
    my $p = ::project(); $p->{company_id} = 'other';
    $p->{api_key_sha256} = [$p->{api_key_sha256}[1]];
    JSON::PP->new->encode($p) } }
--- more_headers eval
'x-api-key: ' . ::KEY2
--- request
GET /conversations?company_id=other
--- response_body_like: "conversations":\[\]

=== TEST 35: a key of one of two companies
--- text_of eval
{ 'projects/other.json' => do {
    my $p = ::project(); $p->{company_id} = 'other';
    $p->{api_key_sha256} = [$p->{api_key_sha256}[1]];
    JSON::PP->new->encode($p) } }
--- request
GET /conversations?company_id=other
--- error_code: 401
--- response_body_like eval
::refused('UNAUTHORIZED')

=== TEST 36: pages
--- request eval
[::start(), ::start('request_data.request_id' => ::ID2), 'GET /conversations?limit=1', 'GET /conversations?limit=2']
--- error_code eval
[202, 202, 200, 200]
--- response_body_like eval
['success', 'success',
 '"conversations":\\[\\{(?!.*"thread_id".*"thread_id").*"next_cursor":"[^"]+"|"cursor":"[^"]+"',
 '"thread_id".*"thread_id"']
--- no_error_log
[error]

=== TEST 37: what is asked for is in no log
--- log_level: info
--- more_http
    comms_workers off;
    log_format whole '$request|$uri|$request_uri|$args|$query_string';
--- config
    location /conversations {
        access_log logs/whole.log whole;
        comms_conversations;
    }
    location = /whole { root logs; rewrite ^ /whole.log break; }
--- request eval
['GET /conversations?recipient=ada@example.org', 'GET /whole']
--- error_code eval
[200, 200]
--- response_body_like eval
['conversations', '^GET /conversations HTTP/1.1\\|/conversations\\|/conversations\\|-\\|-\n$']
--- no_error_log
ada@example.org
key-of-acme

=== TEST 38: in a regex location
--- config
    location ~ ^/c { comms_conversations; }
--- must_die
--- error_log
"comms_conversations" directive is not allowed in location

=== TEST 39: in a named location
--- config
    location @c { comms_conversations; }
--- must_die
--- error_log
"comms_conversations" directive is not allowed in location "@c", it must be a location given by a prefix string

=== TEST 40: with an argument
--- config
    location /c { comms_conversations all; }
--- must_die
--- error_log
invalid number of arguments in "comms_conversations" directive

=== TEST 41: twice
--- config
    location /c { comms_conversations; comms_conversations; }
--- must_die
--- error_log
"comms_conversations" directive is duplicate
