#
# Copyright (C) the ngx_http_comms_module authors
#
# The directive comms_jobs.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 2 + 4);

run_tests();

__DATA__

=== TEST 1: is internal
--- more_http
    comms_workers on;
--- more_config eval
::providers()
--- request
GET /comms/jobs
--- error_code: 404
--- no_error_log
[error]

=== TEST 2: is internal, and what is below it too
--- more_http
    comms_workers on;
--- more_config eval
::providers()
--- request
GET /comms/jobs/1
--- error_code: 404
--- no_error_log
[error]

=== TEST 3: two workers
--- more_http
    comms_workers on;
--- more_config eval
::providers()
--- request
GET /status
--- response_body_like: "leases":0
--- no_error_log
[error]

=== TEST 4: twice
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more/jobs { comms_jobs; }
END
--- must_die
--- error_log
"comms_jobs" directive is duplicate, location "/comms/jobs" has it already

=== TEST 5: twice in one location
--- more_http
    comms_workers on;
--- more_config
    location /more/jobs { comms_jobs; comms_jobs; }
--- must_die
--- error_log
"comms_jobs" directive is duplicate

=== TEST 6: in a regex location
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location ~ /jobs$ { comms_jobs; }
END
--- must_die
--- error_log
"comms_jobs" directive is not allowed in location

=== TEST 7: in a named location
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location @jobs { comms_jobs; }
END
--- must_die
--- error_log
"comms_jobs" directive is not allowed in location "@jobs", it must be a location given by a prefix string

=== TEST 8: with an argument
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more/jobs { comms_jobs now; }
END
--- must_die
--- error_log
invalid number of arguments in "comms_jobs" directive

=== TEST 9: none, and queues are consumed
--- more_http
    comms_workers on;
--- config eval
CORE::join '', grep { !/comms_jobs/ } split /^/, ::providers()
--- must_die
--- error_log
"comms_provider" requires a location with "comms_jobs": add "location /comms/jobs { comms_jobs; }" to a server, or set "comms_workers off" where another nginx consumes the queues

=== TEST 10: an AI that hangs up: the job is tried again
--- more_http
    comms_workers on;
--- more_config eval
::providers() =~ s{:\$TEST_NGINX_SERVER_PORT/fake/openai}{:19891}r
--- tcp_listen: 19891
--- tcp_reply eval: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
--- request eval
::start()
--- more_headers eval
"Prefer: wait=1\nx-api-key: " . ::KEY
--- error_code: 202
--- error_log
to be retried
job: open
--- no_error_log
7700900123
[alert]
