#
# Copyright (C) the ngx_http_comms_module authors
#
# The directive comms_secrets, its file's mode, and every mistake in it.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 2 + 9);

run_tests();

__DATA__

=== TEST 1: mode 0600
--- request
GET /status
--- error_log
comms secrets are files
--- no_error_log
[error]

=== TEST 2: mode 0644
--- secrets_mode: 022
--- must_die
--- error_log
/secrets.json" has mode 0644, must be 0600

=== TEST 3: mode 0640
--- secrets_mode: 037
--- must_die
--- error_log
/secrets.json" has mode 0640, must be 0600

=== TEST 4: no file
--- text_of eval
{ 'secrets.json' => undef }
--- must_die
--- error_log
open() "
/secrets.json" failed (2: No such file or directory)

=== TEST 5: a directory
--- http_config
    comms_zone comms:1m;
    comms_projects ../html/projects;
    comms_secrets ../html/projects;
--- must_die
--- error_log
/projects" is not a regular file

=== TEST 6: no directive
--- http_config
    comms_zone comms:1m;
    comms_projects ../html/projects;
--- must_die
--- error_log
requires the directive "comms_secrets file" on the http level

=== TEST 7: twice
--- more_http
    comms_secrets x;
--- must_die
--- error_log
"comms_secrets" directive is duplicate

=== TEST 8: no argument
--- http_config
    comms_secrets;
--- must_die
--- error_log
invalid number of arguments in "comms_secrets" directive

=== TEST 9: an empty file
--- text_of eval
{ 'secrets.json' => '' }
--- must_die
--- error_log
/secrets.json" line 1 column 1: invalid JSON

=== TEST 10: not JSON: the text is not shown
--- text_of eval
{ 'secrets.json' => "{\n \"a\": my-secret-word\n}" }
--- must_die
--- error_log
/secrets.json" line 2 column 8: invalid JSON
--- no_error_log
my-secret-word

=== TEST 11: a list
--- text_of eval
{ 'secrets.json' => '[]' }
--- must_die
--- error_log
/secrets.json" line 1: must be a JSON object

=== TEST 12: an id
--- secrets eval
sub { my ($s) = @_; $s->{'a#b'} = {} }
--- must_die
--- error_log
field "a#b" is no id of credentials, which is 1 to 64 letters, digits, ".", "_" or "-"

=== TEST 13: no object
--- secrets eval
sub { my ($s) = @_; $s->{a} = 'x' }
--- must_die
--- error_log
field "a" is not valid, must be an object

=== TEST 14: no provider
--- secrets eval
sub { my ($s) = @_; $s->{a} = {} }
--- must_die
--- error_log
field "a.provider" is missing, must be the name of a known protocol, as in "comms_provider"

=== TEST 15: an unknown provider
--- secrets eval
sub { my ($s) = @_; $s->{a} = { provider => 'carrier' } }
--- must_die
--- error_log
field "a.provider" is not valid, must be the name of a known protocol, as in "comms_provider"

=== TEST 16: openai, an unknown member
--- secrets eval
sub { my ($s) = @_; $s->{'openai-main'}{organization} = 'x' }
--- must_die
--- error_log
field "openai-main.organization" is unknown; allowed are provider, api_key

=== TEST 17: openai, api_key, missing
--- secrets eval
sub { my ($s) = @_; delete $s->{'openai-main'}{api_key} }
--- must_die
--- error_log
field "openai-main.api_key" must be a string of 1 to 512 visible characters

=== TEST 18: openai, api_key, empty
--- secrets eval
sub { my ($s) = @_; $s->{'openai-main'}{api_key} = '' }
--- must_die
--- error_log
field "openai-main.api_key" must be a string of 1 to 512 visible characters

=== TEST 19: openai, api_key, a blank in it
--- secrets eval
sub { my ($s) = @_; $s->{'openai-main'}{api_key} = 'a b' }
--- must_die
--- error_log
field "openai-main.api_key" must be a string of 1 to 512 visible characters

=== TEST 20: openai, api_key, a line end in it
--- secrets eval
sub { my ($s) = @_; $s->{'openai-main'}{api_key} = "a\r\nX: y" }
--- must_die
--- error_log
field "openai-main.api_key" must be a string of 1 to 512 visible characters

=== TEST 21: openai, api_key, a number
--- secrets eval
sub { my ($s) = @_; $s->{'openai-main'}{api_key} = 7 }
--- must_die
--- error_log
field "openai-main.api_key" must be a string of 1 to 512 visible characters

=== TEST 22: openai, api_key, too long
--- secrets eval
sub { my ($s) = @_; $s->{'openai-main'}{api_key} = 'x' x 513 }
--- must_die
--- error_log
field "openai-main.api_key" must be a string of 1 to 512 visible characters

=== TEST 23: twilio, an unknown member
--- secrets eval
sub { my ($s) = @_; $s->{'twilio-acme'}{token} = 'x' }
--- must_die
--- error_log
field "twilio-acme.token" is unknown; allowed are account_sid, auth_token, previous_auth_tokens, api_key_sid and api_key_secret

=== TEST 24: twilio, account_sid, missing
--- secrets eval
sub { my ($s) = @_; delete $s->{'twilio-acme'}{account_sid} }
--- must_die
--- error_log
field "twilio-acme.account_sid" must be "AC" and 32 hexadecimal digits

=== TEST 25: twilio, account_sid, too short
--- secrets eval
sub { my ($s) = @_; $s->{'twilio-acme'}{account_sid} = 'AC12' }
--- must_die
--- error_log
field "twilio-acme.account_sid" must be "AC" and 32 hexadecimal digits

=== TEST 26: twilio, account_sid, no digits
--- secrets eval
sub { my ($s) = @_; $s->{'twilio-acme'}{account_sid} = 'AC' . 'x' x 32 }
--- must_die
--- error_log
field "twilio-acme.account_sid" must be "AC" and 32 hexadecimal digits

=== TEST 27: twilio, account_sid, of a key
--- secrets eval
sub { my ($s) = @_; $s->{'twilio-acme'}{account_sid} = 'SK' . '0' x 32 }
--- must_die
--- error_log
field "twilio-acme.account_sid" must be "AC" and 32 hexadecimal digits

=== TEST 28: twilio, auth_token, missing
--- secrets eval
sub { my ($s) = @_; delete $s->{'twilio-acme'}{auth_token} }
--- must_die
--- error_log
field "twilio-acme.auth_token" must be a string of 1 to 256 visible characters

=== TEST 29: twilio, auth_token, empty
--- secrets eval
sub { my ($s) = @_; $s->{'twilio-acme'}{auth_token} = '' }
--- must_die
--- error_log
field "twilio-acme.auth_token" must be a string of 1 to 256 visible characters

=== TEST 30: twilio, auth_token, not ASCII
--- secrets eval
sub { my ($s) = @_; $s->{'twilio-acme'}{auth_token} = "\x{e9}" }
--- must_die
--- error_log
field "twilio-acme.auth_token" must be a string of 1 to 256 visible characters

=== TEST 31: twilio, previous_auth_tokens, a string
--- secrets eval
sub { my ($s) = @_; $s->{'twilio-acme'}{previous_auth_tokens} = 'x' }
--- must_die
--- error_log
field "twilio-acme.previous_auth_tokens" must be an array of at most 7 strings of 1 to 256 visible characters

=== TEST 32: twilio, previous_auth_tokens, 8 of them
--- secrets eval
sub { my ($s) = @_; $s->{'twilio-acme'}{previous_auth_tokens} = [('x') x 8] }
--- must_die
--- error_log
field "twilio-acme.previous_auth_tokens" must be an array of at most 7 strings of 1 to 256 visible characters

=== TEST 33: twilio, previous_auth_tokens, an empty one
--- secrets eval
sub { my ($s) = @_; $s->{'twilio-acme'}{previous_auth_tokens} = [''] }
--- must_die
--- error_log
field "twilio-acme.previous_auth_tokens" must be an array of at most 7 strings of 1 to 256 visible characters

=== TEST 34: twilio, api_key_sid
--- secrets eval
sub { my ($s) = @_; $s->{'twilio-acme'}{api_key_sid} = 'AC' . '0' x 32; $s->{'twilio-acme'}{api_key_secret} = 'x' }
--- must_die
--- error_log
field "twilio-acme.api_key_sid" must be "SK" and 32 hexadecimal digits, together with api_key_secret

=== TEST 35: twilio, api_key_secret alone
--- secrets eval
sub { my ($s) = @_; $s->{'twilio-acme'}{api_key_secret} = 'x' }
--- must_die
--- error_log
field "twilio-acme.api_key_sid" must be "SK" and 32 hexadecimal digits, together with api_key_secret

=== TEST 36: twilio, api_key_sid alone
--- secrets eval
sub { my ($s) = @_; $s->{'twilio-acme'}{api_key_sid} = 'SK' . '0' x 32 }
--- must_die
--- error_log
field "twilio-acme.api_key_secret" must be a string of 1 to 256 visible characters, together with api_key_sid

=== TEST 37: sendgrid, an unknown member
--- secrets eval
sub { my ($s) = @_; $s->{'sendgrid-acme'}{token} = 'x' }
--- must_die
--- error_log
field "sendgrid-acme.token" is unknown; allowed are api_key, inbound_tokens, reply_keys, inbound_public_key and event_public_key

=== TEST 38: sendgrid, api_key
--- secrets eval
sub { my ($s) = @_; delete $s->{'sendgrid-acme'}{api_key} }
--- must_die
--- error_log
field "sendgrid-acme.api_key" must be a string of 1 to 256 visible characters

=== TEST 39: sendgrid, inbound_tokens, missing
--- secrets eval
sub { my ($s) = @_; delete $s->{'sendgrid-acme'}{inbound_tokens} }
--- must_die
--- error_log
field "sendgrid-acme.inbound_tokens" must be an array of 1 to 8 strings of 16 to 256 visible characters

=== TEST 40: sendgrid, inbound_tokens, empty
--- secrets eval
sub { my ($s) = @_; $s->{'sendgrid-acme'}{inbound_tokens} = [] }
--- must_die
--- error_log
field "sendgrid-acme.inbound_tokens" must be an array of 1 to 8 strings of 16 to 256 visible characters

=== TEST 41: sendgrid, inbound_tokens, too short
--- secrets eval
sub { my ($s) = @_; $s->{'sendgrid-acme'}{inbound_tokens} = ['x' x 15] }
--- must_die
--- error_log
field "sendgrid-acme.inbound_tokens" must be an array of 1 to 8 strings of 16 to 256 visible characters

=== TEST 42: sendgrid, inbound_tokens, 9 of them
--- secrets eval
sub { my ($s) = @_; $s->{'sendgrid-acme'}{inbound_tokens} = [('x' x 16) x 9] }
--- must_die
--- error_log
field "sendgrid-acme.inbound_tokens" must be an array of 1 to 8 strings of 16 to 256 visible characters

=== TEST 43: sendgrid, inbound_tokens, a string
--- secrets eval
sub { my ($s) = @_; $s->{'sendgrid-acme'}{inbound_tokens} = 'x' x 16 }
--- must_die
--- error_log
field "sendgrid-acme.inbound_tokens" must be an array of 1 to 8 strings of 16 to 256 visible characters

=== TEST 44: sendgrid, reply_keys, missing
--- secrets eval
sub { my ($s) = @_; delete $s->{'sendgrid-acme'}{reply_keys} }
--- must_die
--- error_log
field "sendgrid-acme.reply_keys" must be an array of 1 to 8 strings of 16 to 256 visible characters

=== TEST 45: sendgrid, reply_keys, empty
--- secrets eval
sub { my ($s) = @_; $s->{'sendgrid-acme'}{reply_keys} = [] }
--- must_die
--- error_log
field "sendgrid-acme.reply_keys" must be an array of 1 to 8 strings of 16 to 256 visible characters

=== TEST 46: sendgrid, reply_keys, too short
--- secrets eval
sub { my ($s) = @_; $s->{'sendgrid-acme'}{reply_keys} = ['x' x 15] }
--- must_die
--- error_log
field "sendgrid-acme.reply_keys" must be an array of 1 to 8 strings of 16 to 256 visible characters

=== TEST 47: sendgrid, reply_keys, 9 of them
--- secrets eval
sub { my ($s) = @_; $s->{'sendgrid-acme'}{reply_keys} = [('x' x 16) x 9] }
--- must_die
--- error_log
field "sendgrid-acme.reply_keys" must be an array of 1 to 8 strings of 16 to 256 visible characters

=== TEST 48: sendgrid, reply_keys, a string
--- secrets eval
sub { my ($s) = @_; $s->{'sendgrid-acme'}{reply_keys} = 'x' x 16 }
--- must_die
--- error_log
field "sendgrid-acme.reply_keys" must be an array of 1 to 8 strings of 16 to 256 visible characters

=== TEST 49: sendgrid, inbound_public_key, no base64
--- secrets eval
sub { my ($s) = @_; $s->{'sendgrid-acme'}{inbound_public_key} = '***' }
--- must_die
--- error_log
field "sendgrid-acme.inbound_public_key" must be base64 of a P-256 public key (SubjectPublicKeyInfo), as SendGrid shows it

=== TEST 50: sendgrid, inbound_public_key, no key
--- secrets eval
sub { my ($s) = @_; $s->{'sendgrid-acme'}{inbound_public_key} = 'AAAA' }
--- must_die
--- error_log
field "sendgrid-acme.inbound_public_key" must be base64 of a P-256 public key (SubjectPublicKeyInfo), as SendGrid shows it

=== TEST 51: sendgrid, inbound_public_key, a list
--- secrets eval
sub { my ($s) = @_; $s->{'sendgrid-acme'}{inbound_public_key} = [] }
--- must_die
--- error_log
field "sendgrid-acme.inbound_public_key" must be base64 of a P-256 public key (SubjectPublicKeyInfo), as SendGrid shows it

=== TEST 52: every mistake at once
--- secrets eval
sub { my ($s) = @_; $s->{a} = 'x'; delete $s->{'twilio-acme'}{auth_token} }
--- must_die
--- error_log
field "a" is not valid, must be an object
field "twilio-acme.auth_token"

=== TEST 53: no secret is shown
--- secrets eval
sub { my ($s) = @_;
      $s->{'openai-main'}{api_key} = 'sk secret-word';
      $s->{'twilio-acme'}{account_sid} = 'secret-sid';
      $s->{'sendgrid-acme'}{reply_keys} = ['secret-key'] }
--- must_die
--- error_log
field "openai-main.api_key"
field "twilio-acme.account_sid"
field "sendgrid-acme.reply_keys"
--- no_error_log
secret-word
secret-sid
secret-key

=== TEST 54: sendgrid, event_public_key, more than eight
--- secrets eval
sub { my ($s) = @_; $s->{'sendgrid-acme'}{event_public_key} = [('AAAA') x 9] }
--- must_die
--- error_log
field "sendgrid-acme.event_public_key" must be base64 of a P-256 public key (SubjectPublicKeyInfo), as SendGrid shows it, or an array of 1 to 8 of them

=== TEST 55: smtp, an unknown member
--- secrets eval
sub { my ($s) = @_; $s->{'smtp-acme'} = { provider => 'smtp', host => 'x' } }
--- must_die
--- error_log
field "smtp-acme.host" is unknown; allowed are username, password, inbound_secrets and reply_keys

=== TEST 56: smtp, a user name without a password
--- secrets eval
sub { my ($s) = @_; $s->{'smtp-acme'} = { provider => 'smtp', username => 'x' } }
--- must_die
--- error_log
field "smtp-acme.username" must be a string of 1 to 256 visible characters, and username and password be both there or both not

=== TEST 57: smtp, inbound_secrets, too short
--- secrets eval
sub { my ($s) = @_; $s->{'smtp-acme'} = { provider => 'smtp', inbound_secrets => ['short'] } }
--- must_die
--- error_log
field "smtp-acme.inbound_secrets" must be an array of 1 to 8 strings of 16 to 256 visible characters
