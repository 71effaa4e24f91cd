#
# Copyright (C) the ngx_http_comms_module authors
#
# The directives comms_store, comms_thread_pool and comms_store_timeout.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 2 + 11);

run_tests();

__DATA__

=== TEST 1: a path relative to the prefix
--- http_config
    comms_zone comms:1m;
    comms_store sqlite path=logs/here.db;
--- config
    location = /status { comms_status; }
--- request
GET /status
--- response_body_like: "store":"sqlite"
--- error_log eval
qr{comms store is sqlite, path "logs/here\.db"}
--- no_error_log
[error]

=== TEST 2: an absolute path
--- http_config
    comms_zone comms:1m;
    comms_store sqlite path=$TEST_NGINX_SERVER_ROOT/logs/here.db;
--- config
    location = /status { comms_status; }
--- request
GET /status
--- response_body_like: "store":"sqlite"
--- no_error_log
[error]

=== TEST 3: a thread pool of its own
--- main_config
    thread_pool stores threads=2 max_queue=1024;
--- http_config
    comms_zone comms:1m;
    comms_store sqlite path=logs/comms.db;
    comms_thread_pool stores;
    comms_store_timeout 2s;
--- config
    location = /status { comms_status; }
--- request
GET /status
--- response_body_like: "store":"sqlite"
--- no_error_log
[error]

=== TEST 4: "dynamo"
--- http_config
    comms_zone comms:1m;
    comms_store dynamo;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid value "dynamo" in "comms_store" directive, it must be "sqlite"

=== TEST 5: "SQLite"
--- http_config
    comms_zone comms:1m;
    comms_store SQLite;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid value "SQLite" in "comms_store" directive, it must be "sqlite"

=== TEST 6: "sqlite file=x"
--- http_config
    comms_zone comms:1m;
    comms_store sqlite file=x;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid parameter "file=x" in "comms_store" directive, it must be "path=file" or "retention=days"

=== TEST 7: "sqlite path="
--- http_config
    comms_zone comms:1m;
    comms_store sqlite path=;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid parameter "path=" in "comms_store" directive, it must be "path=file" or "retention=days"

=== TEST 8: "sqlite path=x path=y"
--- http_config
    comms_zone comms:1m;
    comms_store sqlite path=x path=y;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
duplicate parameter "path=y" in "comms_store" directive

=== TEST 9: two stores
--- http_config
    comms_zone comms:1m;
    comms_store sqlite;
    comms_store sqlite;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
"comms_store" directive is duplicate

=== TEST 10: a thread pool that is not there
--- http_config
    comms_zone comms:1m;
    comms_thread_pool nobody;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
unknown thread pool "nobody"

=== TEST 11: two thread pools
--- http_config
    comms_zone comms:1m;
    comms_thread_pool a;
    comms_thread_pool b;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
"comms_thread_pool" directive is duplicate

=== TEST 12: comms_store_timeout 99ms
--- http_config
    comms_zone comms:1m;
    comms_store_timeout 99ms;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid value "99ms" in "comms_store_timeout" directive, it must be between 100ms and 10m

=== TEST 13: comms_store_timeout 11m
--- http_config
    comms_zone comms:1m;
    comms_store_timeout 11m;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid value "11m" in "comms_store_timeout" directive, it must be between 100ms and 10m

=== TEST 14: comms_store_timeout soon
--- http_config
    comms_zone comms:1m;
    comms_store_timeout soon;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
"comms_store_timeout" directive invalid value

=== TEST 15: a store that cannot be opened
--- http_config
    comms_zone comms:1m;
    comms_store sqlite path=/dev/null/comms.db;
--- config
    location = /status { comms_status; }
--- request
GET /status
--- response_body_like: "store":"unavailable","bus":"unavailable"|"bus":"unavailable".*"store":"unavailable"
--- error_log
[crit]
cannot be used

=== TEST 16: a start request without a store: 503, try again
--- http_config
    comms_zone comms:1m;
    comms_store sqlite path=/dev/null/comms.db;
    comms_projects ../html/projects;
    comms_secrets ../html/secrets.json;
    comms_workers off;
--- request eval
::start()
--- error_code: 503
--- response_headers
Content-Type: application/json
Retry-After: 1
--- response_body_like: "error_code":"DATABASE_ERROR"
--- error_log
[crit]
cannot be used

=== TEST 17: a retention
--- http_config
    comms_zone comms:1m;
    comms_store sqlite retention=400 path=logs/retention.db;
--- config
    location = /status { comms_status; }
--- request
GET /status
--- response_body_like: "store":"sqlite"
--- no_error_log
[error]

=== TEST 18: a retention of no days
--- http_config
    comms_zone comms:1m;
    comms_store sqlite retention=0;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid value "retention=0" in "comms_store" directive, "retention" must be between 1 and 36500

=== TEST 19: a retention that is no number
--- http_config
    comms_zone comms:1m;
    comms_store sqlite retention=1y;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
invalid value "retention=1y" in "comms_store" directive, "retention" must be between 1 and 36500

=== TEST 20: two retentions
--- http_config
    comms_zone comms:1m;
    comms_store sqlite retention=1 retention=2;
--- config
    location = /status { comms_status; }
--- must_die
--- error_log
duplicate parameter "retention=2" in "comms_store" directive
