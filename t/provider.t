#
# Copyright (C) the ngx_http_comms_module authors
#
# The directive comms_provider.

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
--- request eval
['GET /comms/openai/responses', 'GET /comms/twilio/', 'POST /comms/sendgrid/v3/mail/send']
--- error_code eval
[404, 404, 404]
--- no_error_log
[error]

=== TEST 2: two locations of one protocol
--- more_http
    comms_workers on;
--- project eval
sub { $_[0]{ai_config}{provider} = 'local' }
--- more_config eval
::providers() . <<'END'
    location /comms/local/ {
        comms_provider openai name=local;
        proxy_pass http://127.0.0.1:1/v1/;
    }
END
--- request
GET /status
--- no_error_log
[error]

=== TEST 3: an unknown protocol
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more/ {
        comms_provider carrier;
        proxy_pass http://127.0.0.1:1/;
    }
END
--- must_die
--- error_log
invalid value "carrier" in "comms_provider" directive, it must be "openai", "twilio", "meta", "sendgrid" or "smtp"

=== TEST 4: a name that is there
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more/ {
        comms_provider openai;
        proxy_pass http://127.0.0.1:1/;
    }
END
--- must_die
--- error_log
duplicate name "openai" in "comms_provider" directive, use "name=" to tell locations of one protocol apart

=== TEST 5: an unknown parameter
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more/ {
        comms_provider openai as=more;
        proxy_pass http://127.0.0.1:1/;
    }
END
--- must_die
--- error_log
invalid parameter "as=more" in "comms_provider" directive, it must be "name=name"

=== TEST 6: an empty name
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more/ {
        comms_provider openai name=;
        proxy_pass http://127.0.0.1:1/;
    }
END
--- must_die
--- error_log
invalid parameter "name=" in "comms_provider" directive, it must be "name=name"

=== TEST 7: twice in one location
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more/ {
        comms_provider openai name=more; comms_provider twilio name=x;
        proxy_pass http://127.0.0.1:1/;
    }
END
--- must_die
--- error_log
"comms_provider" directive is duplicate

=== TEST 8: without "/" at the end
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more {
        comms_provider openai name=more;
        proxy_pass http://127.0.0.1:1;
    }
END
--- must_die
--- error_log
"comms_provider" directive is not allowed in location "/more", it must be a location given by a prefix string that ends in "/"

=== TEST 9: an exact location
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location = /more/ {
        comms_provider openai name=more;
        proxy_pass http://127.0.0.1:1;
    }
END
--- must_die
--- error_log
"comms_provider" directive is not allowed in location "/more/", it must be a location given by a prefix string that ends in "/"

=== TEST 10: a named location
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location @more {
        comms_provider openai name=more;
        proxy_pass http://127.0.0.1:1;
    }
END
--- must_die
--- error_log
"comms_provider" directive is not allowed in location "@more", it must be a location given by a prefix string that ends in "/"

=== TEST 11: a regex location
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location ~ ^/more/ {
        comms_provider openai name=more;
        proxy_pass http://127.0.0.1:1;
    }
END
--- must_die
--- error_log
must be a location given by a prefix string that ends in "/"

=== TEST 12: no proxy_pass
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more/ {
        comms_provider openai name=more;
    }
END
--- must_die
--- error_log
"proxy_pass" with a URL without variables

=== TEST 13: a proxy_pass with variables
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more/ {
        comms_provider openai name=more;
        proxy_pass http://$arg_host/;
    }
END
--- must_die
--- error_log
"proxy_pass" with a URL without variables

=== TEST 14: return instead
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more/ {
        comms_provider openai name=more;
        return 200;
    }
END
--- must_die
--- error_log
"proxy_pass" with a URL without variables

=== TEST 15: proxy_intercept_errors
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more/ {
        comms_provider openai name=more;
        proxy_pass http://127.0.0.1:1/;
        proxy_intercept_errors on;
    }
END
--- must_die
--- error_log
"proxy_intercept_errors off": the provider's own errors decide what happens to a message

=== TEST 16: proxy_pass_request_headers
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more/ {
        comms_provider openai name=more;
        proxy_pass http://127.0.0.1:1/;
        proxy_pass_request_headers off;
    }
END
--- must_die
--- error_log
"proxy_pass_request_headers on": the headers of a call, its credentials among them, are the request's own

=== TEST 17: proxy_pass_request_body
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more/ {
        comms_provider openai name=more;
        proxy_pass http://127.0.0.1:1/;
        proxy_pass_request_body off;
    }
END
--- must_die
--- error_log
"proxy_pass_request_body on"

=== TEST 18: non_idempotent
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more/ {
        comms_provider openai name=more;
        proxy_pass http://127.0.0.1:1/;
        proxy_next_upstream error timeout non_idempotent;
    }
END
--- must_die
--- error_log
"proxy_next_upstream" without "non_idempotent": it would send messages twice

=== TEST 19: proxy_store
--- more_http
    comms_workers on;
--- more_config eval
::providers() . <<'END'
    location /more/ {
        comms_provider openai name=more;
        proxy_pass http://127.0.0.1:1/;
        proxy_store on;
    }
END
--- must_die
--- error_log
"proxy_store off"

=== TEST 20: a project names a provider without a location
--- more_http
    comms_workers on;
--- project eval
sub { $_[0]{ai_config}{provider} = 'nowhere' }
--- more_config eval
::providers()
--- must_die
--- error_log
field "ai_config.provider" is "nowhere", must be the name of a "comms_provider" location with the protocol of the credentials

=== TEST 21: a project names a location of another protocol
--- more_http
    comms_workers on;
--- project eval
sub { $_[0]{channel_config}{sms}{provider} = 'sendgrid' }
--- more_config eval
::providers()
--- must_die
--- error_log
field "channel_config.sms.provider" is "sendgrid", must be the name of a "comms_provider" location with the protocol of the credentials

=== TEST 22: not asked where queues are not consumed
--- project eval
sub { $_[0]{ai_config}{provider} = 'nowhere' }
--- request
GET /status
--- no_error_log
[error]

=== TEST 23: conflicts with a handler
--- more_config
    location /more/ { comms_status; comms_provider openai; }
--- must_die
--- error_log
"comms_provider" directive conflicts with another comms directive in this location

=== TEST 24: a project's second AI has no location
--- more_http
    comms_workers on;
--- project eval
sub {
    $_[0]{ai_config}{fallback} = {
        provider => 'nowhere', model => 'two',
        api_key_reference => $_[0]{ai_config}{api_key_reference},
    };
}
--- more_config eval
::providers()
--- must_die
--- error_log
field "ai_config.fallback.provider" is "nowhere", must be the name of a "comms_provider" location with the protocol of the credentials
