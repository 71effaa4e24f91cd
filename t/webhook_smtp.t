#
# Copyright (C) the ngx_http_comms_module authors
#
# The webhook for mails that a mail server hands over.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Digest::SHA qw( hmac_sha256_hex );
use Test::Nginx::Socket;

my $Secret = '0123456789abcdef-of-smtp';
my $Mail = "From: Ada <ada\@example.org>\r\nMessage-ID: <m1\@example.org>"
           . "\r\nSubject: Hi\r\n\r\nYes.";
my $Envelope = "Content-Type: message/rfc822\n"
               . "X-Envelope-From: ada\@example.org\n"
               . "X-Envelope-To: care\@acme.example\n";

sub mail { return "POST /webhooks/smtp\n$Mail" }

sub headers {
    my ($more) = @_;

    return $Envelope . ($more // "Authorization: Bearer $Secret\n");
}

sub signed {
    my ($from) = @_;
    my $now = time;
    my $mac = hmac_sha256_hex("$now\n$from\ncare\@acme.example\n$Mail",
                              $Secret);

    return headers("X-Comms-Timestamp: $now\nX-Comms-Signature: sha256=$mac\n");
}

repeat_each(1);
no_shuffle();
no_long_string();

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value(more_config =>
        "    location /webhooks/smtp { comms_webhook smtp; }\n");
    $block->set_value(secrets => sub {
        $_[0]{'smtp-acme'} = {
            provider => 'smtp', inbound_secrets => [$Secret],
            reply_keys => ['0123456789abcdef'],
        };
    });

    world($block);
});

plan tests => repeat_each() * (blocks() * 3 + 9);

run_tests();

__DATA__

=== TEST 1: a mail is kept, once
--- request eval
[(::mail()) x 2, 'GET /status']
--- more_headers eval
[(::headers()) x 2, '']
--- error_code eval
[200, 200, 200]
--- response_body_like eval
['^$', '^$', '"inbound_waiting":1.*"inbound_total":1,"inbound_duplicate_total":1']
--- no_error_log
[error]

=== TEST 2: no secret
--- request eval
::mail()
--- more_headers eval
::headers("X-Nothing: x\n")
--- error_code: 403
--- response_body_like: "error_code":"
--- no_error_log
[error]

=== TEST 3: signed
--- request eval
[::mail(), 'GET /status']
--- more_headers eval
[::signed('ada@example.org'), '']
--- error_code eval
[200, 200]
--- response_body_like eval
['^$', '"inbound_total":1,']
--- no_error_log
[error]

=== TEST 4: signed for another sender
--- request eval
::mail()
--- more_headers eval
::signed('eve@example.org')
--- error_code: 403
--- response_body_like: "error_code":"
--- no_error_log
[error]

=== TEST 5: no envelope
--- request eval
::mail()
--- more_headers eval
"Content-Type: message/rfc822\nAuthorization: Bearer 0123456789abcdef-of-smtp\n"
--- error_code: 400
--- response_body_like: X-Envelope-From is missing
--- no_error_log
[error]

=== TEST 6: not a mail
--- request eval
::mail()
--- more_headers eval
"Content-Type: text/plain\nX-Envelope-From: a\@b.example\nAuthorization: Bearer 0123456789abcdef-of-smtp\n"
--- error_code: 400
--- response_body_like: the body is no message/rfc822
--- no_error_log
[error]
