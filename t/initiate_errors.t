#
# Copyright (C) the ngx_http_comms_module authors
#
# Every row of the errors of POST /initiate-conversation, in the order in which
# they are checked, and that the order holds.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 2 + 15);

run_tests();

__DATA__

=== TEST 1: PAYLOAD_TOO_LARGE
--- config
    location = /initiate-conversation {
        client_max_body_size 100;
        comms_initiate;
    }
--- request eval
::start()
--- error_code: 413
--- response_headers
Content-Type: application/json
--- response_body_like eval
::refused('PAYLOAD_TOO_LARGE')

=== TEST 2: INVALID_REQUEST, no body
--- request
POST /initiate-conversation
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is empty, line 1, column 1","request_id":null

=== TEST 3: INVALID_REQUEST, not JSON
--- request eval
"POST /initiate-conversation\n" . "{\n  \"a\": x\n}"
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON: .*line 2, column 8.*","request_id":null

=== TEST 4: INVALID_REQUEST, cut off
--- request eval
"POST /initiate-conversation\n" . substr(::start_json(), 0, -1)
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body is not valid JSON: .*","request_id":null

=== TEST 5: INVALID_REQUEST, a list
--- request eval
"POST /initiate-conversation\n" . '[]'
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body must be a JSON object, line 1, column 1.*","request_id":null

=== TEST 6: INVALID_REQUEST, a string
--- request eval
"POST /initiate-conversation\n" . '"x"'
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body must be a JSON object, line 1, column 1.*","request_id":null

=== TEST 7: INVALID_REQUEST, a number
--- request eval
"POST /initiate-conversation\n" . '1'
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body must be a JSON object, line 1, column 1.*","request_id":null

=== TEST 8: INVALID_REQUEST, null
--- request eval
"POST /initiate-conversation\n" . 'null'
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST","message":"Request body must be a JSON object, line 1, column 1.*","request_id":null

=== TEST 9: MISSING_IDENTIFIERS, an empty object
--- request eval
"POST /initiate-conversation\n" . '{}'
--- error_code: 400
--- response_body_like: "error_code":"MISSING_IDENTIFIERS","message":".*","request_id":null

=== TEST 10: MISSING_IDENTIFIERS, no company_data
--- request eval
::start(company_data => ::GONE)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_IDENTIFIERS', ::ID1)

=== TEST 11: MISSING_IDENTIFIERS, company_data is a list
--- request eval
::start(company_data => [])
--- error_code: 400
--- response_body_like eval
::refused('MISSING_IDENTIFIERS', ::ID1)

=== TEST 12: MISSING_IDENTIFIERS, no company_id
--- request eval
::start('company_data.company_id' => ::GONE)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_IDENTIFIERS', ::ID1)

=== TEST 13: MISSING_IDENTIFIERS, company_id is empty
--- request eval
::start('company_data.company_id' => '')
--- error_code: 400
--- response_body_like eval
::refused('MISSING_IDENTIFIERS', ::ID1)

=== TEST 14: MISSING_IDENTIFIERS, company_id is a number
--- request eval
::start('company_data.company_id' => 7)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_IDENTIFIERS', ::ID1)

=== TEST 15: MISSING_IDENTIFIERS, company_id is null
--- request eval
::start('company_data.company_id' => undef)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_IDENTIFIERS', ::ID1)

=== TEST 16: MISSING_IDENTIFIERS, no project_id
--- request eval
::start('company_data.project_id' => ::GONE)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_IDENTIFIERS', ::ID1)

=== TEST 17: MISSING_IDENTIFIERS, project_id is empty
--- request eval
::start('company_data.project_id' => '')
--- error_code: 400
--- response_body_like eval
::refused('MISSING_IDENTIFIERS', ::ID1)

=== TEST 18: MISSING_IDENTIFIERS, project_id is a number
--- request eval
::start('company_data.project_id' => 7)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_IDENTIFIERS', ::ID1)

=== TEST 19: MISSING_IDENTIFIERS, project_id is null
--- request eval
::start('company_data.project_id' => undef)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_IDENTIFIERS', ::ID1)

=== TEST 20: UNAUTHORIZED, no key
--- more_headers
Content-Type: application/json
--- request eval
::start()
--- error_code: 401
--- response_body_like eval
::refused('UNAUTHORIZED', ::ID1)

=== TEST 21: UNAUTHORIZED, an empty key
--- more_headers
x-api-key:
--- request eval
::start()
--- error_code: 401
--- response_body_like eval
::refused('UNAUTHORIZED', ::ID1)

=== TEST 22: UNAUTHORIZED, a wrong key
--- more_headers
x-api-key: key-of-nobody-0123456789
--- request eval
::start()
--- error_code: 401
--- response_body_like eval
::refused('UNAUTHORIZED', ::ID1)

=== TEST 23: UNAUTHORIZED, a key cut off
--- more_headers
x-api-key: key-of-acme-012345678
--- request eval
::start()
--- error_code: 401
--- response_body_like eval
::refused('UNAUTHORIZED', ::ID1)

=== TEST 24: UNAUTHORIZED, the digest instead of the key
--- more_headers eval
'x-api-key: ' . ::project()->{api_key_sha256}[0]
--- request eval
::start()
--- error_code: 401
--- response_body_like eval
::refused('UNAUTHORIZED', ::ID1)

=== TEST 25: UNAUTHORIZED, an unknown company
--- request eval
::start('company_data.company_id' => 'nobody')
--- error_code: 401
--- response_body_like eval
::refused('UNAUTHORIZED', ::ID1)

=== TEST 26: UNAUTHORIZED, a company_id of 5000 bytes
--- request eval
::start('company_data.company_id' => 'x' x 5000)
--- error_code: 401
--- response_body_like eval
::refused('UNAUTHORIZED', ::ID1)

=== TEST 27: UNAUTHORIZED, a wrong key and an unknown company look the same
--- request eval
[::start(), ::start('company_data.company_id' => 'nobody')]
--- more_headers eval
['x-api-key: wrong', 'x-api-key: wrong']
--- error_code eval
[401, 401]
--- response_body eval
['{"status":"error","error_code":"UNAUTHORIZED","message":"x-api-key is missing or does not open this company","request_id":"550e8400-e29b-41d4-a716-446655440001"}',
 '{"status":"error","error_code":"UNAUTHORIZED","message":"x-api-key is missing or does not open this company","request_id":"550e8400-e29b-41d4-a716-446655440001"}']

=== TEST 28: MISSING_RECIPIENT_DATA
--- request eval
::start(recipient_data => ::GONE)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_RECIPIENT_DATA', ::ID1)

=== TEST 29: MISSING_RECIPIENT_DATA, null
--- request eval
::start(recipient_data => undef)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_RECIPIENT_DATA', ::ID1)

=== TEST 30: INVALID_RECIPIENT_DATA_TYPE
--- request eval
::start(recipient_data => 'x')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_DATA_TYPE', ::ID1)

=== TEST 31: MISSING_REQUEST_DATA
--- request eval
::start(request_data => ::GONE)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_REQUEST_DATA')

=== TEST 32: MISSING_REQUEST_DATA, null
--- request eval
::start(request_data => undef)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_REQUEST_DATA')

=== TEST 33: INVALID_REQUEST_DATA_TYPE
--- request eval
::start(request_data => 'x')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_REQUEST_DATA_TYPE')

=== TEST 34: INVALID_PROJECT_DATA_TYPE
--- request eval
::start(project_data => ['x'])
--- error_code: 400
--- response_body_like eval
::refused('INVALID_PROJECT_DATA_TYPE', ::ID1)

=== TEST 35: MISSING_REQUEST_ID
--- request eval
::start('request_data.request_id' => ::GONE)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_REQUEST_ID')

=== TEST 36: MISSING_REQUEST_ID, null
--- request eval
::start('request_data.request_id' => undef)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_REQUEST_ID')

=== TEST 37: INVALID_REQUEST_ID_FORMAT, empty
--- request eval
::start('request_data.request_id' => '')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_REQUEST_ID_FORMAT')

=== TEST 38: INVALID_REQUEST_ID_FORMAT, a number
--- request eval
::start('request_data.request_id' => 20261122)
--- error_code: 400
--- response_body_like eval
::refused('INVALID_REQUEST_ID_FORMAT')

=== TEST 39: MISSING_INITIAL_REQUEST_TIMESTAMP
--- request eval
::start('request_data.initial_request_timestamp' => ::GONE)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_INITIAL_REQUEST_TIMESTAMP', ::ID1)

=== TEST 40: MISSING_INITIAL_REQUEST_TIMESTAMP, null
--- request eval
::start('request_data.initial_request_timestamp' => undef)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_INITIAL_REQUEST_TIMESTAMP', ::ID1)

=== TEST 41: INVALID_INITIAL_REQUEST_TIMESTAMP_FORMAT, empty
--- request eval
::start('request_data.initial_request_timestamp' => '')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_INITIAL_REQUEST_TIMESTAMP_FORMAT', ::ID1)

=== TEST 42: INVALID_INITIAL_REQUEST_TIMESTAMP_FORMAT, a number
--- request eval
::start('request_data.initial_request_timestamp' => 20261122)
--- error_code: 400
--- response_body_like eval
::refused('INVALID_INITIAL_REQUEST_TIMESTAMP_FORMAT', ::ID1)

=== TEST 43: MISSING_CHANNEL_METHOD
--- request eval
::start('request_data.channel_method' => ::GONE)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_CHANNEL_METHOD', ::ID1)

=== TEST 44: INVALID_CHANNEL_METHOD_FORMAT, empty
--- request eval
::start('request_data.channel_method' => '')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 45: INVALID_CHANNEL_METHOD_FORMAT, a number
--- request eval
::start('request_data.channel_method' => 1)
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 46: INVALID_CHANNEL_METHOD_FORMAT, an empty list
--- request eval
::start('request_data.channel_method' => [])
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 47: INVALID_CHANNEL_METHOD_FORMAT, a list with a number
--- request eval
::start('request_data.channel_method' => ['sms', 1])
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 48: INVALID_CHANNEL_METHOD_FORMAT, a list with an empty string
--- request eval
::start('request_data.channel_method' => ['sms', ''])
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 49: INVALID_CHANNEL_METHOD_FORMAT, true
--- request eval
::start('request_data.channel_method' => JSON::PP::true)
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 50: INVALID_CHANNEL_METHOD_FORMAT, a fallback without a time
--- request eval
::start('request_data.channel_method' => { fallback => ['whatsapp', 'sms'] })
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 51: INVALID_REQUEST_ID, upper case
--- request eval
::start('request_data.request_id' => '550E8400-E29B-41D4-A716-446655440001')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_REQUEST_ID',
    '550E8400-E29B-41D4-A716-446655440001')

=== TEST 52: INVALID_REQUEST_ID, version 1
--- request eval
::start('request_data.request_id' => '550e8400-e29b-11d4-a716-446655440001')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_REQUEST_ID',
    '550e8400-e29b-11d4-a716-446655440001')

=== TEST 53: INVALID_REQUEST_ID, a wrong variant
--- request eval
::start('request_data.request_id' => '550e8400-e29b-41d4-c716-446655440001')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_REQUEST_ID',
    '550e8400-e29b-41d4-c716-446655440001')

=== TEST 54: INVALID_REQUEST_ID, no hyphens
--- request eval
::start('request_data.request_id' => '550e8400e29b41d4a716446655440001')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_REQUEST_ID',
    '550e8400e29b41d4a716446655440001')

=== TEST 55: INVALID_REQUEST_ID, too short
--- request eval
::start('request_data.request_id' => '550e8400-e29b-41d4-a716-44665544000')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_REQUEST_ID',
    '550e8400-e29b-41d4-a716-44665544000')

=== TEST 56: INVALID_REQUEST_ID, too long
--- request eval
::start('request_data.request_id' => '550e8400-e29b-41d4-a716-4466554400011')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_REQUEST_ID',
    '550e8400-e29b-41d4-a716-4466554400011')

=== TEST 57: INVALID_REQUEST_ID, braces
--- request eval
::start('request_data.request_id' => '{550e8400-e29b-41d4-a716-446655440001}')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_REQUEST_ID',
    '{550e8400-e29b-41d4-a716-446655440001}')

=== TEST 58: INVALID_REQUEST_ID, other words
--- request eval
::start('request_data.request_id' => 'one')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_REQUEST_ID',
    'one')

=== TEST 59: UNSUPPORTED_CHANNEL, fax
--- request eval
::start('request_data.channel_method' => 'fax')
--- error_code: 400
--- response_body_like eval
::refused('UNSUPPORTED_CHANNEL', ::ID1)

=== TEST 60: UNSUPPORTED_CHANNEL, upper case
--- request eval
::start('request_data.channel_method' => 'SMS')
--- error_code: 400
--- response_body_like eval
::refused('UNSUPPORTED_CHANNEL', ::ID1)

=== TEST 61: UNSUPPORTED_CHANNEL, in a list
--- request eval
::start('request_data.channel_method' => ['sms', 'fax'])
--- error_code: 400
--- response_body_like eval
::refused('UNSUPPORTED_CHANNEL', ::ID1)

=== TEST 62: UNSUPPORTED_CHANNEL, "all" in a list
--- request eval
::start('request_data.channel_method' => ['all'])
--- error_code: 400
--- response_body_like eval
::refused('UNSUPPORTED_CHANNEL', ::ID1)

=== TEST 63: INVALID_TIMESTAMP, yesterday
--- request eval
::start('request_data.initial_request_timestamp' => 'yesterday')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_TIMESTAMP', ::ID1)

=== TEST 64: INVALID_TIMESTAMP, 2026-11-22
--- request eval
::start('request_data.initial_request_timestamp' => '2026-11-22')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_TIMESTAMP', ::ID1)

=== TEST 65: INVALID_TIMESTAMP, 2026-13-22T11:45:32Z
--- request eval
::start('request_data.initial_request_timestamp' => '2026-13-22T11:45:32Z')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_TIMESTAMP', ::ID1)

=== TEST 66: INVALID_TIMESTAMP, 2026-02-30T11:45:32Z
--- request eval
::start('request_data.initial_request_timestamp' => '2026-02-30T11:45:32Z')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_TIMESTAMP', ::ID1)

=== TEST 67: INVALID_TIMESTAMP, 2026-11-22T25:45:32Z
--- request eval
::start('request_data.initial_request_timestamp' => '2026-11-22T25:45:32Z')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_TIMESTAMP', ::ID1)

=== TEST 68: INVALID_TIMESTAMP, 2026-11-22T11:45:32
--- request eval
::start('request_data.initial_request_timestamp' => '2026-11-22T11:45:32')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_TIMESTAMP', ::ID1)

=== TEST 69: INVALID_TIMESTAMP, 2026-11-22T11:45:32Zx
--- request eval
::start('request_data.initial_request_timestamp' => '2026-11-22T11:45:32Zx')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_TIMESTAMP', ::ID1)

=== TEST 70: INVALID_TIMESTAMP, 1700000000
--- request eval
::start('request_data.initial_request_timestamp' => '1700000000')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_TIMESTAMP', ::ID1)

=== TEST 71: MISSING_RECIPIENT_TEL, sms
--- request eval
::start('recipient_data.recipient_tel' => ::GONE)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_RECIPIENT_TEL', ::ID1)

=== TEST 72: MISSING_RECIPIENT_TEL, whatsapp in a list
--- request eval
::start('recipient_data.recipient_tel' => ::GONE, 'request_data.channel_method' => ['email', 'whatsapp'])
--- error_code: 400
--- response_body_like eval
::refused('MISSING_RECIPIENT_TEL', ::ID1)

=== TEST 73: MISSING_RECIPIENT_TEL, "all" and no address at all
--- request eval
::start('recipient_data.recipient_tel' => ::GONE, 'recipient_data.recipient_email' => ::GONE, 'request_data.channel_method' => 'all')
--- error_code: 400
--- response_body_like eval
::refused('MISSING_RECIPIENT_TEL', ::ID1)

=== TEST 74: INVALID_RECIPIENT_TEL, no "+"
--- request eval
::start('recipient_data.recipient_tel' => '447700900123')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_TEL', ::ID1)

=== TEST 75: INVALID_RECIPIENT_TEL, letters
--- request eval
::start('recipient_data.recipient_tel' => '+4477009OO123')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_TEL', ::ID1)

=== TEST 76: INVALID_RECIPIENT_TEL, a leading zero
--- request eval
::start('recipient_data.recipient_tel' => '+07700900123')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_TEL', ::ID1)

=== TEST 77: INVALID_RECIPIENT_TEL, too long
--- request eval
::start('recipient_data.recipient_tel' => '+1234567890123456')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_TEL', ::ID1)

=== TEST 78: INVALID_RECIPIENT_TEL, blanks
--- request eval
::start('recipient_data.recipient_tel' => '+44 7700 900123')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_TEL', ::ID1)

=== TEST 79: INVALID_RECIPIENT_TEL, empty
--- request eval
::start('recipient_data.recipient_tel' => '')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_TEL', ::ID1)

=== TEST 80: INVALID_RECIPIENT_TEL, a number
--- request eval
::start('recipient_data.recipient_tel' => 447700900123)
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_TEL', ::ID1)

=== TEST 81: MISSING_RECIPIENT_EMAIL
--- request eval
::start('recipient_data.recipient_email' => ::GONE, 'request_data.channel_method' => 'email')
--- error_code: 400
--- response_body_like eval
::refused('MISSING_RECIPIENT_EMAIL', ::ID1)

=== TEST 82: INVALID_RECIPIENT_EMAIL, no "@"
--- request eval
::start('recipient_data.recipient_email' => 'ada.example.org', 'request_data.channel_method' => 'email')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_EMAIL', ::ID1)

=== TEST 83: INVALID_RECIPIENT_EMAIL, two "@"
--- request eval
::start('recipient_data.recipient_email' => 'ada@b@example.org', 'request_data.channel_method' => 'email')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_EMAIL', ::ID1)

=== TEST 84: INVALID_RECIPIENT_EMAIL, a name with it
--- request eval
::start('recipient_data.recipient_email' => 'Ada <ada@example.org>', 'request_data.channel_method' => 'email')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_EMAIL', ::ID1)

=== TEST 85: INVALID_RECIPIENT_EMAIL, a line end
--- request eval
::start('recipient_data.recipient_email' => "ada\@example.org\r\nBcc: x\@example.org", 'request_data.channel_method' => 'email')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_EMAIL', ::ID1)

=== TEST 86: INVALID_RECIPIENT_EMAIL, two addresses
--- request eval
::start('recipient_data.recipient_email' => 'ada@example.org,eve@example.org', 'request_data.channel_method' => 'email')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_EMAIL', ::ID1)

=== TEST 87: INVALID_RECIPIENT_EMAIL, nothing before "@"
--- request eval
::start('recipient_data.recipient_email' => '@example.org', 'request_data.channel_method' => 'email')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_EMAIL', ::ID1)

=== TEST 88: INVALID_RECIPIENT_EMAIL, nothing behind "@"
--- request eval
::start('recipient_data.recipient_email' => 'ada@', 'request_data.channel_method' => 'email')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_EMAIL', ::ID1)

=== TEST 89: INVALID_RECIPIENT_EMAIL, a long local part
--- request eval
::start('recipient_data.recipient_email' => ('a' x 65) . '@example.org', 'request_data.channel_method' => 'email')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_EMAIL', ::ID1)

=== TEST 90: INVALID_RECIPIENT_EMAIL, a number
--- request eval
::start('recipient_data.recipient_email' => 7, 'request_data.channel_method' => 'email')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_RECIPIENT_EMAIL', ::ID1)

=== TEST 91: MISSING_COMMS_CONSENT
--- request eval
::start('recipient_data.comms_consent' => ::GONE)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_COMMS_CONSENT', ::ID1)

=== TEST 92: MISSING_COMMS_CONSENT, null
--- request eval
::start('recipient_data.comms_consent' => undef)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_COMMS_CONSENT', ::ID1)

=== TEST 93: INVALID_COMMS_CONSENT_TYPE, "true"
--- request eval
::start('recipient_data.comms_consent' => 'true')
--- error_code: 400
--- response_body_like eval
::refused('INVALID_COMMS_CONSENT_TYPE', ::ID1)

=== TEST 94: INVALID_COMMS_CONSENT_TYPE, 1
--- request eval
::start('recipient_data.comms_consent' => 1)
--- error_code: 400
--- response_body_like eval
::refused('INVALID_COMMS_CONSENT_TYPE', ::ID1)

=== TEST 95: INVALID_COMMS_CONSENT_TYPE, a list
--- request eval
::start('recipient_data.comms_consent' => [])
--- error_code: 400
--- response_body_like eval
::refused('INVALID_COMMS_CONSENT_TYPE', ::ID1)

=== TEST 96: CONSENT_REQUIRED
--- request eval
::start('recipient_data.comms_consent' => JSON::PP::false)
--- error_code: 403
--- response_body_like eval
::refused('CONSENT_REQUIRED', ::ID1)

=== TEST 97: COMPANY_NOT_FOUND
--- request eval
::start('company_data.project_id' => 'nothing')
--- error_code: 404
--- response_body_like eval
::refused('COMPANY_NOT_FOUND', ::ID1)

=== TEST 98: PROJECT_INACTIVE
--- request eval
::start('company_data.project_id' => 'asleep')
--- error_code: 403
--- response_body_like eval
::refused('PROJECT_INACTIVE', ::ID1)

=== TEST 99: CHANNEL_NOT_ALLOWED
--- project eval
sub { $_[0]{allowed_channels} = ['email'] }
--- request eval
::start()
--- error_code: 403
--- response_body_like eval
::refused('CHANNEL_NOT_ALLOWED', ::ID1)

=== TEST 100: CHANNEL_NOT_ALLOWED, one of a list
--- project eval
sub { $_[0]{allowed_channels} = ['email'] }
--- request eval
::start('request_data.channel_method' => ['email', 'sms'])
--- error_code: 403
--- response_body_like eval
::refused('CHANNEL_NOT_ALLOWED', ::ID1)

=== TEST 101: CHANNEL_NOT_ALLOWED, "all", and no address for what is allowed
--- project eval
sub { $_[0]{allowed_channels} = ['email'] }
--- request eval
::start('recipient_data.recipient_email' => ::GONE, 'request_data.channel_method' => 'all')
--- error_code: 403
--- response_body_like eval
::refused('CHANNEL_NOT_ALLOWED', ::ID1)

=== TEST 102: MISSING_IDENTIFIERS before UNAUTHORIZED
--- more_headers
Content-Type: application/json
--- request eval
::start(company_data => ::GONE)
--- error_code: 400
--- response_body_like: "error_code":"MISSING_IDENTIFIERS"

=== TEST 103: UNAUTHORIZED before MISSING_RECIPIENT_DATA
--- more_headers
Content-Type: application/json
--- request eval
::start(recipient_data => ::GONE, request_data => ::GONE)
--- error_code: 401
--- response_body_like: "error_code":"UNAUTHORIZED"

=== TEST 104: MISSING_RECIPIENT_DATA before MISSING_REQUEST_DATA
--- request eval
::start(recipient_data => ::GONE, request_data => ::GONE)
--- error_code: 400
--- response_body_like: "error_code":"MISSING_RECIPIENT_DATA"

=== TEST 105: INVALID_REQUEST_DATA_TYPE before INVALID_PROJECT_DATA_TYPE
--- request eval
::start(request_data => 1, project_data => 1)
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST_DATA_TYPE"

=== TEST 106: INVALID_PROJECT_DATA_TYPE before MISSING_REQUEST_ID
--- request eval
::start(project_data => 1, 'request_data.request_id' => ::GONE)
--- error_code: 400
--- response_body_like: "error_code":"INVALID_PROJECT_DATA_TYPE"

=== TEST 107: MISSING_REQUEST_ID before MISSING_CHANNEL_METHOD
--- request eval
::start('request_data.request_id' => ::GONE, 'request_data.channel_method' => ::GONE)
--- error_code: 400
--- response_body_like: "error_code":"MISSING_REQUEST_ID"

=== TEST 108: MISSING_CHANNEL_METHOD before MISSING_INITIAL_REQUEST_TIMESTAMP
--- request eval
::start('request_data.channel_method' => ::GONE, 'request_data.initial_request_timestamp' => ::GONE)
--- error_code: 400
--- response_body_like: "error_code":"MISSING_CHANNEL_METHOD"

=== TEST 109: MISSING_INITIAL_REQUEST_TIMESTAMP before INVALID_REQUEST_ID
--- request eval
::start('request_data.initial_request_timestamp' => ::GONE, 'request_data.request_id' => 'one')
--- error_code: 400
--- response_body_like: "error_code":"MISSING_INITIAL_REQUEST_TIMESTAMP"

=== TEST 110: INVALID_REQUEST_ID before UNSUPPORTED_CHANNEL
--- request eval
::start('request_data.request_id' => 'one', 'request_data.channel_method' => 'fax')
--- error_code: 400
--- response_body_like: "error_code":"INVALID_REQUEST_ID"

=== TEST 111: UNSUPPORTED_CHANNEL before INVALID_TIMESTAMP
--- request eval
::start('request_data.channel_method' => 'fax', 'request_data.initial_request_timestamp' => 'x')
--- error_code: 400
--- response_body_like: "error_code":"UNSUPPORTED_CHANNEL"

=== TEST 112: INVALID_TIMESTAMP before INVALID_RECIPIENT_TEL
--- request eval
::start('request_data.initial_request_timestamp' => 'x', 'recipient_data.recipient_tel' => 'x')
--- error_code: 400
--- response_body_like: "error_code":"INVALID_TIMESTAMP"

=== TEST 113: INVALID_RECIPIENT_TEL before INVALID_RECIPIENT_EMAIL
--- request eval
::start('request_data.channel_method' => ['sms', 'email'], 'recipient_data.recipient_tel' => 'x', 'recipient_data.recipient_email' => 'x')
--- error_code: 400
--- response_body_like: "error_code":"INVALID_RECIPIENT_TEL"

=== TEST 114: INVALID_RECIPIENT_EMAIL before MISSING_COMMS_CONSENT
--- request eval
::start('request_data.channel_method' => 'email', 'recipient_data.recipient_email' => 'x', 'recipient_data.comms_consent' => ::GONE)
--- error_code: 400
--- response_body_like: "error_code":"INVALID_RECIPIENT_EMAIL"

=== TEST 115: CONSENT_REQUIRED before COMPANY_NOT_FOUND
--- request eval
::start('recipient_data.comms_consent' => JSON::PP::false, 'company_data.project_id' => 'nothing')
--- error_code: 403
--- response_body_like: "error_code":"CONSENT_REQUIRED"

=== TEST 116: PROJECT_INACTIVE before CHANNEL_NOT_ALLOWED
--- text_of eval
{ 'projects/asleep.json' => do {
    my $p = ::project();
    @$p{qw(project_id project_status allowed_channels)}
        = ('asleep', 'inactive', ['email']);
    JSON::PP->new->encode($p) } }
--- request eval
::start('company_data.project_id' => 'asleep')
--- error_code: 403
--- response_body_like: "error_code":"PROJECT_INACTIVE"

=== TEST 117: what was refused is not accepted: the same request_id is new
--- request eval
[::start('recipient_data.comms_consent' => JSON::PP::false), ::start(), 'GET /status']
--- error_code eval
[403, 202, 200]
--- response_body_like eval
['CONSENT_REQUIRED', '"status":"success"', '"accepted_total":1,"repeated_total":0,"rejected_total":1']
--- no_error_log
[error]

=== TEST 118: errors show no person in the log
--- log_level: info
--- request eval
::start('recipient_data.recipient_tel' => '+07700900123')
--- error_code: 400
--- response_body_like: INVALID_RECIPIENT_TEL
--- error_log
comms start request refused: INVALID_RECIPIENT_TEL
--- no_error_log
7700900123
ada@example.org
key-of-acme
Byron

=== TEST 119: INVALID_CHANNEL_METHOD_FORMAT, a fallback: no time at all
--- request eval
::start('request_data.channel_method' => { fallback => ['whatsapp', 'sms'], after => 0 })
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 120: INVALID_CHANNEL_METHOD_FORMAT, a fallback: a time over a day
--- request eval
::start('request_data.channel_method' => { fallback => ['whatsapp', 'sms'], after => 86401 })
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 121: INVALID_CHANNEL_METHOD_FORMAT, a fallback: half a second
--- request eval
::start('request_data.channel_method' => { fallback => ['whatsapp', 'sms'], after => 0.5 })
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 122: INVALID_CHANNEL_METHOD_FORMAT, a fallback: a time that is no number
--- request eval
::start('request_data.channel_method' => { fallback => ['whatsapp', 'sms'], after => '60' })
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 123: INVALID_CHANNEL_METHOD_FORMAT, a fallback: one channel
--- request eval
::start('request_data.channel_method' => { fallback => ['whatsapp'], after => 60 })
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 124: INVALID_CHANNEL_METHOD_FORMAT, a fallback: four channels
--- request eval
::start('request_data.channel_method' => { fallback => ['whatsapp', 'sms', 'email', 'fax'], after => 60 })
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 125: INVALID_CHANNEL_METHOD_FORMAT, a fallback: a channel twice
--- request eval
::start('request_data.channel_method' => { fallback => ['sms', 'email', 'sms'], after => 60 })
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 126: INVALID_CHANNEL_METHOD_FORMAT, a fallback: no list
--- request eval
::start('request_data.channel_method' => { fallback => 'sms', after => 60 })
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 127: INVALID_CHANNEL_METHOD_FORMAT, a fallback: a number for a channel
--- request eval
::start('request_data.channel_method' => { fallback => ['sms', 1], after => 60 })
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 128: INVALID_CHANNEL_METHOD_FORMAT, a fallback: another member
--- request eval
::start('request_data.channel_method' => { fallback => ['whatsapp', 'sms'], after => 60, then => 'email' })
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 129: INVALID_CHANNEL_METHOD_FORMAT, a fallback: no member
--- request eval
::start('request_data.channel_method' => {})
--- error_code: 400
--- response_body_like eval
::refused('INVALID_CHANNEL_METHOD_FORMAT', ::ID1)

=== TEST 130: UNSUPPORTED_CHANNEL, in a fallback
--- request eval
::start('request_data.channel_method' => { fallback => ['sms', 'fax'], after => 60 })
--- error_code: 400
--- response_body_like eval
::refused('UNSUPPORTED_CHANNEL', ::ID1)

=== TEST 131: MISSING_RECIPIENT_EMAIL, for the second of a fallback
--- request eval
::start('request_data.channel_method' => { fallback => ['sms', 'email'], after => 60 }, 'recipient_data.recipient_email' => ::GONE)
--- error_code: 400
--- response_body_like eval
::refused('MISSING_RECIPIENT_EMAIL', ::ID1)
