#
# Copyright (C) the ngx_http_comms_module authors
#
# Several worker processes: what they share, and that each job runs once.

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


master_on();
workers(2);

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 16 + 4);

run_tests();

__DATA__

=== TEST 1: both workers start
--- request
GET /status
--- grep_error_log eval
qr/comms bus is sqlite/
--- grep_error_log_out
comms bus is sqlite
comms bus is sqlite
--- no_error_log
[error]

=== TEST 2: counters are one sum
--- request eval
[map({ ::start('request_data.request_id' => sprintf '550e8400-e29b-41d4-a716-4466554410%02d', $_) } 1 .. 6), 'GET /metrics']
--- error_code eval
[(202) x 6, 200]
--- response_body_like eval
[('success') x 6, 'comms_accepted_total 6\n(?:.*\n)*comms_queue_messages\{queue="open",state="ready"\} 6\n']
--- no_error_log
[error]

=== TEST 3: a limit is of all workers
--- project eval
sub { $_[0]{rate_limits} = { requests_per_day => 3 } }
--- request eval
[map({ ::start('request_data.request_id' => sprintf '550e8400-e29b-41d4-a716-4466554410%02d', $_) } 1 .. 6)]
--- error_code eval
[(202) x 3, (429) x 3]
--- response_body_like eval
[('success') x 3, ('RATE_LIMIT_EXCEEDED') x 3]
--- no_error_log
[error]

=== TEST 4: a repetition is known to the other worker
--- request eval
[(::start()) x 6, 'GET /metrics']
--- error_code eval
[(202) x 6, 200]
--- response_body_like eval
[('success') x 6, 'comms_accepted_total 1\n(?:.*\n)*comms_repeated_total 5\n']
--- no_error_log
[error]

=== TEST 5: whoever finishes the job, the waiting request hears of it
--- more_http
    comms_workers on;
--- more_config eval
::providers(openai => ::ai('sms'), twilio => ::taken())
--- request eval
[map({ ::start('request_data.request_id' => sprintf '550e8400-e29b-41d4-a716-4466554410%02d', $_) } 1 .. 6), 'GET /metrics']
--- more_headers eval
[("Prefer: wait=10\nx-api-key: " . ::KEY) x 6, '']
--- error_code eval
[(200) x 7]
--- response_body_like eval
[('"channel_states":\{"sms":"sent"') x 6, 'comms_ai_calls_total 6\n(?:.*\n)*comms_sent_total 6\n']
--- timeout: 20
--- no_error_log
[error]
