#
# Copyright (C) the ngx_http_comms_module authors
#
# The directive comms_smtp.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 2 + 2);

run_tests();

__DATA__

=== TEST 1: all of it, and nobody gets in
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /relay/ {
        comms_provider smtp name=relay;
        comms_smtp smtps://[::1]:465 tls=required timeout=10m ca=ca.pem;
    }
    location /more/ {
        comms_provider smtp name=more;
        comms_smtp SMTP://localhost:25 tls=off;
    }
END
--- request eval
['GET /relay/', 'POST /more/']
--- error_code eval
[404, 404]
--- no_error_log
[error]

=== TEST 2: no URL of a mail server
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /relay/ {
        comms_provider smtp name=relay;
        comms_smtp mail.example.com:25;
    }
END
--- must_die
--- error_log
invalid value "mail.example.com:25" in "comms_smtp" directive, it must be "smtp://host:port" or "smtps://host:port"

=== TEST 3: no port
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /relay/ {
        comms_provider smtp name=relay;
        comms_smtp smtp://mail.example.com;
    }
END
--- must_die
--- error_log
invalid value "smtp://mail.example.com" in "comms_smtp" directive

=== TEST 4: a path
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /relay/ {
        comms_provider smtp name=relay;
        comms_smtp smtp://mail.example.com:25/x;
    }
END
--- must_die
--- error_log
invalid value "smtp://mail.example.com:25/x" in "comms_smtp" directive

=== TEST 5: credentials in the URL
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /relay/ {
        comms_provider smtp name=relay;
        comms_smtp smtp://a:b@mail.example.com:25;
    }
END
--- must_die
--- error_log
in "comms_smtp" directive, it must be "smtp://host:port"

=== TEST 6: an unknown parameter
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /relay/ {
        comms_provider smtp name=relay;
        comms_smtp smtp://127.0.0.1:25 tls=maybe;
    }
END
--- must_die
--- error_log
invalid parameter "tls=maybe" in "comms_smtp" directive, allowed are "tls=required" or "tls=off", "timeout=" between 1s and 10m, and "ca=file"

=== TEST 7: a timeout out of bounds
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /relay/ {
        comms_provider smtp name=relay;
        comms_smtp smtp://127.0.0.1:25 timeout=11m;
    }
END
--- must_die
--- error_log
invalid parameter "timeout=11m" in "comms_smtp" directive

=== TEST 8: no TLS over TLS
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /relay/ {
        comms_provider smtp name=relay;
        comms_smtp smtps://127.0.0.1:465 tls=off;
    }
END
--- must_die
--- error_log
"tls=off" in "comms_smtp" directive conflicts with "smtps:"

=== TEST 9: twice
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /relay/ {
        comms_provider smtp name=relay;
        comms_smtp smtp://127.0.0.1:25; comms_smtp smtp://127.0.0.1:26;
    }
END
--- must_die
--- error_log
"comms_smtp" directive is duplicate

=== TEST 10: left out
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /relay/ {
        comms_provider smtp name=relay;
        
    }
END
--- must_die
--- error_log
"comms_provider smtp" in location "/relay/" requires "comms_smtp smtp://host:port" there

=== TEST 11: with a provider of HTTP
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /relay/ {
        comms_provider openai name=relay;
        comms_smtp smtp://127.0.0.1:25;
    }
END
--- must_die
--- error_log
"comms_smtp" in location "/relay/" requires "comms_provider smtp" there

=== TEST 12: without a provider
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /relay/ {
        
        comms_smtp smtp://127.0.0.1:25;
    }
END
--- must_die
--- error_log
"comms_smtp" in location "/relay/" requires "comms_provider smtp" there

=== TEST 13: with proxy_pass
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /relay/ {
        comms_provider smtp name=relay;
        comms_smtp smtp://127.0.0.1:25; proxy_pass http://127.0.0.1:1/;
    }
END
--- must_die
--- error_log
"comms_smtp" in location "/relay/" conflicts with "proxy_pass"

=== TEST 14: credentials of SendGrid with a location of SMTP
--- more_http
    comms_workers on;
--- project eval
sub { $_[0]{channel_config}{email}{provider} = 'relay' }
--- more_config eval
::providers() . <<'END'
    location /relay/ {
        comms_provider smtp name=relay;
        comms_smtp smtp://127.0.0.1:25;
    }
END
--- must_die
--- error_log
field "channel_config.email.provider" is "relay", must be the name of a "comms_provider" location with the protocol of the credentials
