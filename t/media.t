#
# Copyright (C) the ngx_http_comms_module authors
#
# The directives comms_media and comms_fetch_allow.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 2);

run_tests();

__DATA__

=== TEST 1: all of it
--- more_http
    comms_workers off;
    comms_media media/ max_size=1m max_total=2m;
    comms_fetch_allow 10.0.0.0/8 ::1;
    comms_fetch_allow 192.168.1.1;
--- request
GET /status
--- error_code: 200
--- no_error_log
[error]

=== TEST 2: a size that is none
--- more_http
    comms_media media max_size=big;
--- must_die
--- error_log
invalid parameter "max_size=big" in "comms_media" directive, allowed are "max_size=" and "max_total=" with a size

=== TEST 3: an unknown parameter
--- more_http
    comms_media media size=1m;
--- must_die
--- error_log
invalid parameter "size=1m" in "comms_media" directive

=== TEST 4: one larger than all
--- more_http
    comms_media media max_size=2m max_total=1m;
--- must_die
--- error_log
"max_size" in "comms_media" directive must be between 1k and 256m and not more than "max_total"

=== TEST 5: too small
--- more_http
    comms_media media max_size=1;
--- must_die
--- error_log
"max_size" in "comms_media" directive must be between 1k and 256m

=== TEST 6: twice
--- more_http
    comms_media media; comms_media media;
--- must_die
--- error_log
"comms_media" directive is duplicate

=== TEST 7: no network
--- more_http
    comms_fetch_allow localhost;
--- must_die
--- error_log
invalid value "localhost" in "comms_fetch_allow" directive, it must be an address or a network
