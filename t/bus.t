#
# Copyright (C) the ngx_http_comms_module authors
#
# The directive comms_bus.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 3 + 1);

run_tests();

__DATA__

=== TEST 1: sqlite
--- http_config
    comms_zone comms:1m;
    comms_store sqlite path=logs/comms.db;
    comms_bus sqlite;
--- config
    location = /status { comms_status; }
--- request
GET /status
--- response_body_like: "bus":"sqlite"
--- error_log
comms bus is sqlite
--- no_error_log
[error]

=== TEST 2: what was accepted is in the queue "open"
--- request eval
[::start(), 'GET /status']
--- error_code eval
[202, 200]
--- response_body_like eval
['"status":"success"',
 '"open":\{[^}]*"ready":1[,}]|"open":\{"ready":1[,}]']
--- no_error_log
[error]

=== TEST 3: "sns"
--- http_config
    comms_zone comms:1m;
    comms_bus sns;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid value "sns" in "comms_bus" directive, it must be "sqlite"

=== TEST 4: "sqlite path=x"
--- http_config
    comms_zone comms:1m;
    comms_bus sqlite path=x;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
"path=" of "comms_bus" must be left to "comms_store": both are in one file

=== TEST 5: two buses
--- http_config
    comms_zone comms:1m;
    comms_bus sqlite;
    comms_bus sqlite;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
"comms_bus" directive is duplicate
