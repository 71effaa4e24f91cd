#
# Copyright (C) the ngx_http_comms_module authors
#
# The directive comms_status.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 3 + 11);

run_tests();

__DATA__

=== TEST 1: JSON
--- request
GET /status
--- response_body_like: ^\{"version":"[0-9.]+","uptime":\d+,"pid":\d+,"store":"sqlite","bus":"sqlite","queues":\{"open":\{"ready":0,"in_flight":0,"delayed":0,"dead":0,"oldest_ready_age":0\}.*"whatsapp":.*"counters":\{"accepted_total":0
--- response_headers
Content-Type: application/json
Cache-Control: no-store
--- no_error_log
[error]

=== TEST 2: "json" said
--- config
    location = /t { comms_status json; }
--- request
GET /t
--- response_body_like: ^\{"version"
--- no_error_log
[error]

=== TEST 3: HEAD
--- request
HEAD /status
--- response_headers
Content-Type: application/json
--- response_body
--- no_error_log
[error]

=== TEST 4: Prometheus
--- request
GET /metrics
--- response_body_like: # HELP comms_accepted_total .+\n# TYPE comms_accepted_total counter\ncomms_accepted_total 0\n.*comms_store_up 1\n.*comms_queue_messages\{queue="open",state="ready"\} 0\n
--- response_headers
Content-Type: text/plain; version=0.0.4; charset=utf-8
Cache-Control: no-store
--- no_error_log
[error]

=== TEST 5: Prometheus, every line is well formed
--- request
GET /metrics
--- response_body_like: ^(?:# (?:HELP comms_[a-z_]+ [^\n]+|TYPE comms_[a-z_]+ (?:counter|gauge))\n|comms_[a-z_]+(?:\{[a-z]+="[a-z_]+"(?:,[a-z]+="[a-z_]+")*\})? [0-9.]+\n)+$
--- no_error_log
[error]

=== TEST 6: needs no key
--- more_headers
X-Other: 1
--- request
GET /status
--- no_error_log
[error]

=== TEST 7: arguments change nothing
--- request
GET /status?format=prometheus
--- response_body_like: ^\{"version"
--- no_error_log
[error]

=== TEST 8: needs no project
--- http_config
    comms_zone comms:1m;
    comms_store sqlite path=logs/comms.db;
--- config
    location = /status { comms_status; }
--- request
GET /status
--- response_body_like: "store":"sqlite"
--- no_error_log
[error]

=== TEST 9: counters count
--- request eval
[::start(), ::start(), ::start('request_data.channel_method' => 'fax'), 'GET /metrics']
--- error_code eval
[202, 202, 400, 200]
--- response_body_like eval
['', '', '', 'comms_accepted_total 1\n(?:.*\n)*comms_repeated_total 1\n(?:.*\n)*comms_rejected_total 1\n']
--- no_error_log
[error]

=== TEST 10: the store is gone: it says so, and still answers
--- http_config
    comms_zone comms:1m;
    comms_store sqlite path=/dev/null/comms.db;
--- config
    location = /metrics { comms_status prometheus; }
--- request
GET /metrics
--- response_body_like: comms_store_up 0\n
--- error_log
[crit]
cannot be used

=== TEST 11: an unknown format
--- config
    location = /t { comms_status xml; }
--- must_die
--- error_log
invalid value "xml" in "comms_status" directive, it must be "json" or "prometheus"

=== TEST 12: two formats
--- config
    location = /t { comms_status json prometheus; }
--- must_die
--- error_log
invalid number of arguments in "comms_status" directive

=== TEST 13: twice
--- config
    location = /t { comms_status; comms_status; }
--- must_die
--- error_log
"comms_status" directive is duplicate
