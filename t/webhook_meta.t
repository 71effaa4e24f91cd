#
# Copyright (C) the ngx_http_comms_module authors
#
# The webhook of Meta: the handshake, and signatures over the raw body.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;
use Digest::SHA qw( hmac_sha256_hex );

repeat_each(1);
no_shuffle();
no_long_string();

our $Status = '{"object":"whatsapp_business_account","entry":[{"id":"1",'
    . '"changes":[{"field":"messages","value":{"messaging_product":"whatsapp",'
    . '"metadata":{"display_phone_number":"441632960001",'
    . '"phone_number_id":"106540352242922"},"statuses":[{"id":"wamid.A",'
    . '"status":"delivered","timestamp":"1795000000",'
    . '"recipient_id":"447700900123"}]}}]}]}';

sub signed {
    my ($body, $secret) = @_;

    return "Content-Type: application/json\nX-Hub-Signature-256: sha256="
           . hmac_sha256_hex($body, $secret // 'app-secret-0123456789') . "\n";
}

add_block_preprocessor(sub {
    my ($block) = @_;

    if (!defined $block->secrets) {
        $block->set_value(secrets => sub {
            my ($s) = @_;
            my $n = 0;

            $s->{$_} = {
                provider => 'meta', access_token => 'EAAB-0123456789',
                phone_number_id => '10654035224292' . $n,
                app_secrets => ['app-secret-0123456789'],
                verify_token => 'verify-me-' . $n++,
            } for qw( meta-a meta-b );
        });
    }

    if (!defined $block->more_config) {
        $block->set_value(more_config =>
            "    location /webhooks/meta { comms_webhook meta; }\n");
    }

    world($block);
});

plan tests => repeat_each() * (blocks() * 3 + 9);

run_tests();

__DATA__

=== TEST 1: the handshake
--- request
GET /webhooks/meta?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify-me-0
--- response_headers
Content-Type: text/plain
--- response_body chomp
1158201444
--- no_error_log
[error]

=== TEST 2: the handshake, by the last of several credentials
--- request
GET /webhooks/meta?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify-me-1
--- response_headers
Content-Type: text/plain
--- response_body chomp
1158201444
--- no_error_log
[error]

=== TEST 3: the handshake, a wrong word, which no log shows
--- log_level: info
--- request
GET /webhooks/meta?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify-me-not
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN"
--- error_log
comms webhook of "meta" is not verified
--- no_error_log
verify-me-not

=== TEST 4: the handshake, another mode
--- request
GET /webhooks/meta?hub.mode=unsubscribe&hub.challenge=1158201444&hub.verify_token=verify-me-0
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN"
--- no_error_log
[error]

=== TEST 5: the handshake, no arguments
--- request
GET /webhooks/meta
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN"
--- no_error_log
[error]

=== TEST 6: the handshake with credentials= knows those alone
--- more_config
    location /webhooks/meta { comms_webhook meta credentials=meta-b; }
--- request
GET /webhooks/meta?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify-me-0
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN"
--- no_error_log
[error]

=== TEST 7: PUT
--- request
PUT /webhooks/meta
--- error_code: 405
--- response_headers
Allow: GET, POST
--- response_body_like: "error_code":"METHOD_NOT_ALLOWED"

=== TEST 8: a report is kept once
--- request eval
["POST /webhooks/meta\n$::Status", "POST /webhooks/meta\n$::Status", 'GET /status']
--- more_headers eval
[::signed($::Status), ::signed($::Status), '']
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['', '', '"status":\{"ready":1,']
--- no_error_log
[error]

=== TEST 9: another secret
--- request eval
"POST /webhooks/meta\n$::Status"
--- more_headers eval
::signed($::Status, 'another-secret-0123456789')
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN"
--- error_log
comms webhook of "meta" is not verified

=== TEST 10: one byte changed
--- request eval
"POST /webhooks/meta\n" . $::Status =~ s/delivered/read/r
--- more_headers eval
::signed($::Status)
--- error_code: 403
--- response_body_like: "error_code":"FORBIDDEN"
--- error_log
comms webhook of "meta" is not verified

=== TEST 11: GET where a provider has no handshake
--- request
GET /webhooks/twilio
--- error_code: 405
--- response_headers
Allow: POST
--- response_body_like: "error_code":"METHOD_NOT_ALLOWED"
