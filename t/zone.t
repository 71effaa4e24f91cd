#
# Copyright (C) the ngx_http_comms_module authors
#
# The directive comms_zone.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 2 + 3);

run_tests();

__DATA__

=== TEST 1: the smallest zone
--- http_config
    comms_zone comms:64k;
    comms_store sqlite path=logs/comms.db;
--- config
    location = /status { comms_status; }
--- request
GET /status
--- response_headers
Content-Type: application/json
--- no_error_log
[error]

=== TEST 2: no directive of ours, nothing is made
--- http_config
--- config
    location /t { return 200 "nothing\n"; }
--- request
GET /t
--- response_body
nothing
--- no_error_log
comms

=== TEST 3: a zone alone opens its store
--- http_config
    comms_zone comms:1m;
    comms_store sqlite path=logs/comms.db;
--- config
    location /t { return 200; }
--- request
GET /t
--- error_log
comms store is sqlite, path "logs/comms.db"
comms bus is sqlite

=== TEST 4: "comms"
--- http_config
    comms_zone comms;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid value "comms" in "comms_zone" directive, it must be "name:size"

=== TEST 5: ":1m"
--- http_config
    comms_zone :1m;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid value ":1m" in "comms_zone" directive, it must be "name:size"

=== TEST 6: "comms:"
--- http_config
    comms_zone comms:;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid zone size "comms:"

=== TEST 7: "comms:many"
--- http_config
    comms_zone comms:many;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid zone size "comms:many"

=== TEST 8: "comms:-1m"
--- http_config
    comms_zone comms:-1m;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid zone size "comms:-1m"

=== TEST 9: "comms:63k"
--- http_config
    comms_zone comms:63k;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
zone "comms:63k" is too small, it must be at least 64k

=== TEST 10: "comms:0"
--- http_config
    comms_zone comms:0;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
zone "comms:0" is too small, it must be at least 64k

=== TEST 11: two zones
--- http_config
    comms_zone comms:1m;
    comms_zone comms:1m;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
"comms_zone" directive is duplicate

=== TEST 12: no size at all
--- http_config
    comms_zone;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid number of arguments in "comms_zone" directive

=== TEST 13: not in a server
--- http_config

--- config
    comms_zone comms:1m;
--- must_die
--- error_log
"comms_zone" directive is not allowed here

=== TEST 14: missing for comms_status
--- http_config

--- config
    location = /status { comms_status; }
--- must_die
--- error_log
"comms_status" requires the directive "comms_zone name:size" on the http level

=== TEST 15: missing for comms_initiate
--- http_config

--- config
    location = /initiate-conversation { comms_initiate; }
--- must_die
--- error_log
"comms_initiate" requires the directive "comms_zone name:size" on the http level

=== TEST 16: missing for comms_projects
--- http_config
    comms_projects ../html/projects;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
"comms_projects" requires the directive "comms_zone name:size" on the http level
