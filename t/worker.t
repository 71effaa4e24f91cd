#
# Copyright (C) the ngx_http_comms_module authors
#
# The directives that say how queues are consumed: comms_worker,
# comms_workers, comms_lease_term, comms_turn_timeout, comms_history,
# comms_max_jobs.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 2 + 6);

run_tests();

__DATA__

=== TEST 1: every parameter
--- more_http
    comms_worker open concurrency=1 visibility=1s heartbeat=100ms max_receives=1;
    comms_worker reply concurrency=10000 visibility=12h max_receives=1000;
    comms_worker whatsapp;
    comms_worker sms visibility=10s;
    comms_worker email heartbeat=1s;
    comms_lease_term 1s;
    comms_turn_timeout 12h;
    comms_history 0;
    comms_max_jobs 8;
--- more_config eval
::providers()
--- request
GET /status
--- response_body_like: "store":"sqlite"
--- no_error_log
[error]

=== TEST 2: more jobs than connections
--- more_http
    comms_max_jobs 32;
--- more_config eval
::providers()
--- request
GET /status
--- error_log
"comms_max_jobs" 32 must be less than half of "worker_connections" 64, lowered to 31
--- no_error_log
[error]

=== TEST 3: no consumer where comms_workers is off
--- request eval
[::start(), 'GET /metrics']
--- error_code eval
[202, 200]
--- response_body_like eval
['success', 'comms_queue_messages\{queue="open",state="ready"\} 1\n']
--- no_error_log
[error]

=== TEST 4: comms_worker fax
--- more_http
    comms_workers off;
    comms_worker fax;
--- must_die
--- error_log
invalid value "fax" in "comms_worker" directive, it must be one of "open", "reply", "whatsapp", "sms" or "email"

=== TEST 5: comms_worker open speed=1
--- more_http
    comms_workers off;
    comms_worker open speed=1;
--- must_die
--- error_log
invalid parameter "speed=1" in "comms_worker" directive, it must be one of "concurrency=", "visibility=", "heartbeat=" or "max_receives="

=== TEST 6: comms_worker open concurrency=0
--- more_http
    comms_workers off;
    comms_worker open concurrency=0;
--- must_die
--- error_log
invalid parameter "concurrency=0" in "comms_worker" directive, it must be between 1 and 10000

=== TEST 7: comms_worker open concurrency=10001
--- more_http
    comms_workers off;
    comms_worker open concurrency=10001;
--- must_die
--- error_log
invalid parameter "concurrency=10001" in "comms_worker" directive, it must be between 1 and 10000

=== TEST 8: comms_worker open concurrency=many
--- more_http
    comms_workers off;
    comms_worker open concurrency=many;
--- must_die
--- error_log
invalid parameter "concurrency=many" in "comms_worker" directive, it must be between 1 and 10000

=== TEST 9: comms_worker open concurrency=
--- more_http
    comms_workers off;
    comms_worker open concurrency=;
--- must_die
--- error_log
invalid parameter "concurrency=" in "comms_worker" directive, it must be between 1 and 10000

=== TEST 10: comms_worker open concurrency=99999999999999999999
--- more_http
    comms_workers off;
    comms_worker open concurrency=99999999999999999999;
--- must_die
--- error_log
invalid parameter "concurrency=99999999999999999999" in "comms_worker" directive, it must be between 1 and 10000

=== TEST 11: comms_worker open visibility=999ms
--- more_http
    comms_workers off;
    comms_worker open visibility=999ms;
--- must_die
--- error_log
invalid parameter "visibility=999ms" in "comms_worker" directive, it must be between 1s and 12h

=== TEST 12: comms_worker open visibility=13h
--- more_http
    comms_workers off;
    comms_worker open visibility=13h;
--- must_die
--- error_log
invalid parameter "visibility=13h" in "comms_worker" directive, it must be between 1s and 12h

=== TEST 13: comms_worker open visibility=-1s
--- more_http
    comms_workers off;
    comms_worker open visibility=-1s;
--- must_die
--- error_log
invalid parameter "visibility=-1s" in "comms_worker" directive, it must be between 1s and 12h

=== TEST 14: comms_worker open heartbeat=99ms
--- more_http
    comms_workers off;
    comms_worker open heartbeat=99ms;
--- must_die
--- error_log
invalid parameter "heartbeat=99ms" in "comms_worker" directive, it must be at least 100ms and less than the visibility

=== TEST 15: comms_worker open visibility=10s heartbeat=10s
--- more_http
    comms_workers off;
    comms_worker open visibility=10s heartbeat=10s;
--- must_die
--- error_log
"heartbeat" must be less than "visibility" in "comms_worker" directive: 10000ms and 10000ms

=== TEST 16: comms_worker open heartbeat=60s
--- more_http
    comms_workers off;
    comms_worker open heartbeat=60s;
--- must_die
--- error_log
"heartbeat" must be less than "visibility" in "comms_worker" directive: 60000ms and 60000ms

=== TEST 17: comms_worker open max_receives=0
--- more_http
    comms_workers off;
    comms_worker open max_receives=0;
--- must_die
--- error_log
invalid parameter "max_receives=0" in "comms_worker" directive, it must be between 1 and 1000

=== TEST 18: comms_worker open max_receives=1001
--- more_http
    comms_workers off;
    comms_worker open max_receives=1001;
--- must_die
--- error_log
invalid parameter "max_receives=1001" in "comms_worker" directive, it must be between 1 and 1000

=== TEST 19: one queue twice
--- more_http
    comms_workers off;
    comms_worker sms;
    comms_worker sms;
--- must_die
--- error_log
duplicate queue "sms" in "comms_worker" directive

=== TEST 20: no queue
--- more_http
    comms_workers off;
    comms_worker;
--- must_die
--- error_log
invalid number of arguments in "comms_worker" directive

=== TEST 21: comms_workers maybe
--- more_http
    comms_workers off;
    comms_workers maybe;
--- must_die
--- error_log
"comms_workers" directive is duplicate

=== TEST 22: comms_workers must be on or off
--- http_config
    comms_zone comms:1m;
    comms_workers maybe;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid value "maybe" in "comms_workers" directive, it must be "on" or "off"

=== TEST 23: comms_lease_term 999ms
--- more_http
    comms_workers off;
    comms_lease_term 999ms;
--- must_die
--- error_log
invalid value "999ms" in "comms_lease_term" directive, it must be between 1s and 1h

=== TEST 24: comms_lease_term 2h
--- more_http
    comms_workers off;
    comms_lease_term 2h;
--- must_die
--- error_log
invalid value "2h" in "comms_lease_term" directive, it must be between 1s and 1h

=== TEST 25: comms_lease_term x
--- more_http
    comms_workers off;
    comms_lease_term x;
--- must_die
--- error_log
"comms_lease_term" directive invalid value

=== TEST 26: comms_turn_timeout 0
--- more_http
    comms_workers off;
    comms_turn_timeout 0;
--- must_die
--- error_log
invalid value "0" in "comms_turn_timeout" directive, it must be between 1s and 12h

=== TEST 27: comms_turn_timeout 13h
--- more_http
    comms_workers off;
    comms_turn_timeout 13h;
--- must_die
--- error_log
invalid value "13h" in "comms_turn_timeout" directive, it must be between 1s and 12h

=== TEST 28: comms_turn_timeout x
--- more_http
    comms_workers off;
    comms_turn_timeout x;
--- must_die
--- error_log
"comms_turn_timeout" directive invalid value

=== TEST 29: comms_history 201
--- more_http
    comms_workers off;
    comms_history 201;
--- must_die
--- error_log
invalid value "201" in "comms_history" directive, it must be between 0 and 200

=== TEST 30: comms_history -1
--- more_http
    comms_workers off;
    comms_history -1;
--- must_die
--- error_log
"comms_history" directive invalid number

=== TEST 31: comms_max_jobs 0
--- more_http
    comms_workers off;
    comms_max_jobs 0;
--- must_die
--- error_log
invalid value "0" in "comms_max_jobs" directive, it must be at least 1 and less than half of "worker_connections"

=== TEST 32: comms_max_jobs x
--- more_http
    comms_workers off;
    comms_max_jobs x;
--- must_die
--- error_log
"comms_max_jobs" directive invalid number

=== TEST 33: a worker needs projects
--- http_config
    comms_zone comms:1m;
    comms_worker open;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
"comms_worker" requires the directive "comms_projects directory" on the http level
