#
# Copyright (C) the ngx_http_comms_module authors
#
# The directive comms_unsubscribe: its mistakes, and links that are none.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 2 + 5);

run_tests();

__DATA__

=== TEST 1: a token that nobody has made
--- config
    location /unsubscribe/ { comms_unsubscribe; }
--- request
GET /unsubscribe/01m82w9avq964qvb7hm68jkpnv-0123456789abcdef
--- error_code: 404
--- response_headers
Content-Type: text/html; charset=utf-8
Cache-Control: no-store
--- response_body_like: This link is not valid
--- no_error_log
[error]

=== TEST 2: no token at all
--- config
    location /unsubscribe/ { comms_unsubscribe; }
--- request
POST /unsubscribe/
List-Unsubscribe=One-Click
--- error_code: 404
--- response_body_like: This link is not valid
--- no_error_log
[error]

=== TEST 3: another method
--- config
    location /unsubscribe/ { comms_unsubscribe; }
--- request
DELETE /unsubscribe/x
--- error_code: 405
--- response_headers
Allow: GET, HEAD, POST
--- no_error_log
[error]

=== TEST 4: no prefix location
--- config
    location ~ ^/u { comms_unsubscribe; }
--- must_die
--- error_log
"comms_unsubscribe" directive is not allowed in location

=== TEST 5: a parameter
--- config
    location /u/ { comms_unsubscribe all; }
--- must_die
--- error_log
invalid number of arguments in "comms_unsubscribe" directive

=== TEST 6: twice
--- config
    location /u/ { comms_unsubscribe; comms_unsubscribe; }
--- must_die
--- error_log
"comms_unsubscribe" directive is duplicate

=== TEST 7: with another
--- config
    location /u/ { comms_unsubscribe; comms_initiate; }
--- must_die
--- error_log
conflicts with another comms directive in this location

=== TEST 8: the URL in the project
--- config
    location /unsubscribe/ { comms_unsubscribe; }
--- project eval
sub { my ($p) = @_; $p->{channel_config}{email}{unsubscribe_url} = 'http://acme.example/u' }
--- must_die
--- error_log
field "channel_config.email.unsubscribe_url" is "http://acme.example/u", must be an "https://" URL without "?" and "#"
