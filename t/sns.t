#
# Copyright (C) the ngx_http_comms_module authors
#
# The directive comms_sns: what may be said.  What it does is in
# t/aws/sns.test.mjs.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();

our $Http = <<'EOC';
    comms_zone comms:1m;
    comms_aws region=eu-west-1 endpoint=http://127.0.0.1:1 max_attempts=1;
    comms_store dynamodb table=threads layout=single;
    comms_bus sqlite path=logs/comms.db;
    comms_projects ../html/projects;
    comms_secrets ../html/secrets.json;
    comms_workers off;
EOC

add_block_preprocessor(sub {
    my ($block) = @_;

    $block->set_value('http_config', $Http)
        unless defined $block->http_config;
    world($block);
});

plan tests => repeat_each() * (blocks() * 2 + 1);

run_tests();

__DATA__

=== TEST 1: everything said
--- config
    location = /sns {
        comms_sns topic=arn:aws:sns:eu-west-1:123456789012:comms-channels
            topic=arn:aws-cn:sns:cn-north-1:123456789012:x channel=sms
            channel=email signature=2 endpoint=https://127.0.0.1:8443;
    }
--- request
GET /sns
--- error_code: 405
--- response_headers
Allow: POST
--- response_body_like: "error_code":"METHOD_NOT_ALLOWED"

=== TEST 2: a message of another topic
--- config
    location = /sns { comms_sns topic=arn:aws:sns:eu-west-1:123456789012:a; }
--- request
POST /sns
{"Type":"Notification","TopicArn":"arn:aws:sns:eu-west-1:123456789012:ab","MessageId":"1"}
--- error_code: 403
--- response_body_like: "message":"Topic is not configured here"

=== TEST 3: no message of SNS
--- config
    location = /sns { comms_sns topic=arn:aws:sns:eu-west-1:123456789012:a; }
--- request
POST /sns
{"body":{},"channels":["sms"]}
--- more_headers
x-amz-sns-rawdelivery: true
--- error_code: 400
--- response_body_like: raw message delivery has no signature and must be off

=== TEST 4: no topic
--- config
    location = /sns { comms_sns signature=2; }
--- must_die
--- error_log
"comms_sns" directive must have "topic=": the ARN of an SNS topic

=== TEST 5: no ARN
--- config
    location = /sns { comms_sns topic=comms-channels; }
--- must_die
--- error_log
invalid value "comms-channels" of "topic=" in "comms_sns" directive, it must be the ARN of an SNS topic

=== TEST 6: a FIFO topic
--- config
    location = /sns { comms_sns topic=arn:aws:sns:eu-west-1:1:a.fifo; }
--- must_die
--- error_log
FIFO topics deliver to SQS alone

=== TEST 7: an unknown parameter
--- config
    location = /sns { comms_sns topic=arn:aws:sns:eu-west-1:1:a queue=sms; }
--- must_die
--- error_log
invalid parameter "queue=sms" in "comms_sns" directive, it must be one of "topic=arn", "channel=name", "signature=2" or "endpoint=https://host[:port]"

=== TEST 8: an unknown channel
--- config
    location = /sns { comms_sns topic=arn:aws:sns:eu-west-1:1:a channel=fax; }
--- must_die
--- error_log
invalid parameter "channel=fax" in "comms_sns" directive

=== TEST 9: a channel twice
--- config
    location = /sns {
        comms_sns topic=arn:aws:sns:eu-west-1:1:a channel=sms channel=sms;
    }
--- must_die
--- error_log
"comms_sns" directive names a channel twice

=== TEST 10: an unknown version of signatures
--- config
    location = /sns { comms_sns topic=arn:aws:sns:eu-west-1:1:a signature=1; }
--- must_die
--- error_log
invalid parameter "signature=1" in "comms_sns" directive

=== TEST 11: an endpoint that proves nothing
--- config
    location = /sns {
        comms_sns topic=arn:aws:sns:eu-west-1:1:a endpoint=http://127.0.0.1;
    }
--- must_die
--- error_log
invalid parameter "endpoint=http://127.0.0.1" in "comms_sns" directive

=== TEST 12: an endpoint with a path
--- config
    location = /sns {
        comms_sns topic=arn:aws:sns:eu-west-1:1:a endpoint=https://a/b;
    }
--- must_die
--- error_log
invalid parameter "endpoint=https://a/b" in "comms_sns" directive

=== TEST 13: no parameter
--- config
    location = /sns { comms_sns; }
--- must_die
--- error_log
invalid number of arguments in "comms_sns" directive

=== TEST 14: beside another directive
--- config
    location = /sns {
        comms_initiate;
        comms_sns topic=arn:aws:sns:eu-west-1:1:a;
    }
--- must_die
--- error_log
"comms_sns" directive conflicts with another comms directive in this location

=== TEST 15: threads that nobody else can have begun
--- http_config
    comms_zone comms:1m;
    comms_store sqlite path=logs/comms.db;
    comms_projects ../html/projects;
    comms_secrets ../html/secrets.json;
    comms_workers off;
--- config
    location = /sns { comms_sns topic=arn:aws:sns:eu-west-1:1:a; }
--- must_die
--- error_log
"comms_sns" requires "comms_store dynamodb"
