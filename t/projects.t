#
# Copyright (C) the ngx_http_comms_module authors
#
# The directive comms_projects, and every mistake in a project's file.

BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }

use Test::Nginx::Socket;

repeat_each(1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&world);

plan tests => repeat_each() * (blocks() * 2 + 19);

run_tests();

__DATA__

=== TEST 1: two projects of a company
--- request
GET /status
--- error_log
comms projects are files
comms secrets are files
--- no_error_log
[error]

=== TEST 2: every member
--- project eval
sub {
    my ($p) = @_;
    $p->{rate_limits} = { requests_per_minute => 1, requests_per_day => 1,
        concurrent_conversations => 1, max_message_length => 1 };
    $p->{company_rep} = { name => 'Carol', title => 'Manager',
        email => 'carol@acme.example', phone => '+44 1632 960000' };
    $p->{ai_config}{max_output_tokens} = 16;
    $p->{quiet_hours} = { from => '21:00', to => '08:00',
        time_zone => 'Europe/London', days => ['monday', 'sunday'],
        replies => JSON::PP::true() };
    $p->{channel_config}{whatsapp}{whatsapp_template_name} = 'hello_1';
    $p->{channel_config}{whatsapp}{whatsapp_template_language} = 'en_GB';
    $p->{channel_config}{whatsapp}{outside_window} = 'template';
    $p->{channel_config}{whatsapp}{messages_per_second} = 80;
    $p->{channel_config}{sms} = { %{ $p->{channel_config}{sms} // {} },
        messaging_service_sid => 'MG' . 'b' x 32, max_segments => 10,
        split => JSON::PP::false(), messages_per_second => 1 }
        if $p->{channel_config}{sms};
    $p->{channel_config}{email}{messages_per_second} = 100000;
    $p->{channel_config}{whatsapp}{whatsapp_template_sid} = 'HX' . 'a' x 32;
    $p->{channel_config}{whatsapp}{whatsapp_template_variables} = {
        1 => 'recipient_first_name', 2 => 'recipient_last_name',
        3 => 'company_name', 4 => 'project_name', 5 => 'company_rep.name',
        6 => 'project_data.jobRole', 7 => 'message' };
    $p->{channel_config}{$_}{status_callback} =
        'https://comms.acme.example/webhooks/twilio#rc=5' for qw(whatsapp sms);
    $p->{channel_config}{email}{sender_name} = 'Carol';
    $p->{channel_config}{email}{default_subject} = 'Hello';
}
--- request
GET /status
--- no_error_log
[error]

=== TEST 3: files that are no "*.json" are left alone
--- text_of eval
{ 'projects/README' => 'x', 'projects/.hidden.json' => 'x', 'projects/a.json.bak' => 'x' }
--- request
GET /status
--- no_error_log
[error]

=== TEST 4: no directory
--- http_config
    comms_zone comms:1m;
    comms_projects nowhere;
    comms_secrets ../html/secrets.json;
--- must_die
--- error_log
opendir() "
conf/nowhere" failed (2: No such file or directory)

=== TEST 5: an empty directory
--- text_of eval
{ 'projects/acme.json' => undef, 'projects/asleep.json' => undef, 'projects/README' => '' }
--- must_die
--- error_log
no "*.json" files in "

=== TEST 6: no directive
--- http_config
    comms_zone comms:1m;
    comms_secrets ../html/secrets.json;
--- must_die
--- error_log
requires the directive "comms_projects directory" on the http level

=== TEST 7: twice
--- more_http
    comms_projects x;
--- must_die
--- error_log
"comms_projects" directive is duplicate

=== TEST 8: no argument
--- http_config
    comms_projects;
--- must_die
--- error_log
invalid number of arguments in "comms_projects" directive

=== TEST 9: an empty file
--- text_of eval
{ 'projects/acme.json' => '' }
--- must_die
--- error_log
/projects/acme.json" line 1 column 1: empty document

=== TEST 10: not JSON
--- text_of eval
{ 'projects/acme.json' => "{\n  \"company_id\": acme\n}" }
--- must_die
--- error_log
/projects/acme.json" line 2 column 20: invalid syntax

=== TEST 11: a list
--- text_of eval
{ 'projects/acme.json' => '[]' }
--- must_die
--- error_log
/projects/acme.json" line 1: must be a JSON object

=== TEST 12: a member twice
--- text_of eval
{ 'projects/acme.json' => '{"company_id":"a","company_id":"b"}' }
--- must_die
--- error_log
/projects/acme.json" line 1 column

=== TEST 13: an empty object
--- text_of eval
{ 'projects/acme.json' => '{}' }
--- must_die
--- error_log
field "company_id" is missing
field "project_id" is missing
field "company_name" is missing
field "project_name" is missing
field "api_key_sha256" is missing
field "project_status" is missing
field "allowed_channels" is missing
field "ai_config" is missing
field "channel_config" is missing

=== TEST 14: a file that is too large
--- text_of eval
{ 'projects/acme.json' => '{"a":"' . ('x' x 1_048_577) . '"}' }
--- must_die
--- error_log
must have at most 1048576

=== TEST 15: nested too deeply
--- text_of eval
{ 'projects/acme.json' => '{"a":' . ('[' x 5000) }
--- must_die
--- error_log
nested too deeply

=== TEST 16: the line is told
--- project eval
sub { my ($p) = @_; $p->{project_status} = 'asleep' }
--- must_die
--- error_log
/projects/acme.json" line 41: field "project_status" is "asleep", must be "active" or "inactive"

=== TEST 17: company_id, "#" in it
--- project eval
sub { my ($p) = @_; $p->{company_id} = 'a#b' }
--- must_die
--- error_log
field "company_id" is "a#b", must be 1 to 64 letters, digits, ".", "_" or "-"

=== TEST 18: company_id, empty
--- project eval
sub { my ($p) = @_; $p->{company_id} = '' }
--- must_die
--- error_log
field "company_id" is "", must be 1 to 64 letters, digits, ".", "_" or "-"

=== TEST 19: company_id, a number
--- project eval
sub { my ($p) = @_; $p->{company_id} = 7 }
--- must_die
--- error_log
field "company_id" is "7", must be 1 to 64 letters, digits, ".", "_" or "-"

=== TEST 20: company_id, too long
--- project eval
sub { my ($p) = @_; $p->{company_id} = 'x' x 65 }
--- must_die
--- error_log
field "company_id" is a string of 65 bytes, must be 1 to 64 letters, digits, ".", "_" or "-"

=== TEST 21: company_id, null
--- project eval
sub { my ($p) = @_; $p->{company_id} = undef }
--- must_die
--- error_log
field "company_id" is null, must be 1 to 64 letters, digits, ".", "_" or "-"

=== TEST 22: project_id, "#" in it
--- project eval
sub { my ($p) = @_; $p->{project_id} = 'a#b' }
--- must_die
--- error_log
field "project_id" is "a#b", must be 1 to 64 letters, digits, ".", "_" or "-"

=== TEST 23: project_id, empty
--- project eval
sub { my ($p) = @_; $p->{project_id} = '' }
--- must_die
--- error_log
field "project_id" is "", must be 1 to 64 letters, digits, ".", "_" or "-"

=== TEST 24: project_id, a number
--- project eval
sub { my ($p) = @_; $p->{project_id} = 7 }
--- must_die
--- error_log
field "project_id" is "7", must be 1 to 64 letters, digits, ".", "_" or "-"

=== TEST 25: project_id, too long
--- project eval
sub { my ($p) = @_; $p->{project_id} = 'x' x 65 }
--- must_die
--- error_log
field "project_id" is a string of 65 bytes, must be 1 to 64 letters, digits, ".", "_" or "-"

=== TEST 26: project_id, null
--- project eval
sub { my ($p) = @_; $p->{project_id} = undef }
--- must_die
--- error_log
field "project_id" is null, must be 1 to 64 letters, digits, ".", "_" or "-"

=== TEST 27: company_name, empty
--- project eval
sub { my ($p) = @_; $p->{company_name} = '' }
--- must_die
--- error_log
field "company_name" is "", must be a string of 1 to 200 characters

=== TEST 28: company_name, too long
--- project eval
sub { my ($p) = @_; $p->{company_name} = 'x' x 201 }
--- must_die
--- error_log
field "company_name" is a string of 201 bytes, must be a string of 1 to 200 characters

=== TEST 29: company_name, a line end
--- project eval
sub { my ($p) = @_; $p->{company_name} = "a\nb" }
--- must_die
--- error_log
must be a string of 1 to 200 characters

=== TEST 30: project_name, empty
--- project eval
sub { my ($p) = @_; $p->{project_name} = '' }
--- must_die
--- error_log
field "project_name" is "", must be a string of 1 to 200 characters

=== TEST 31: project_name, too long
--- project eval
sub { my ($p) = @_; $p->{project_name} = 'x' x 201 }
--- must_die
--- error_log
field "project_name" is a string of 201 bytes, must be a string of 1 to 200 characters

=== TEST 32: project_name, a line end
--- project eval
sub { my ($p) = @_; $p->{project_name} = "a\nb" }
--- must_die
--- error_log
must be a string of 1 to 200 characters

=== TEST 33: api_key_sha256, empty list
--- project eval
sub { my ($p) = @_; $p->{api_key_sha256} = [] }
--- must_die
--- error_log
field "api_key_sha256" is not valid, must be a list of 1 to 16 SHA-256 digests, 64 lower-case hex digits each

=== TEST 34: api_key_sha256, a string
--- project eval
sub { my ($p) = @_; $p->{api_key_sha256} = 'a' x 64 }
--- must_die
--- error_log
field "api_key_sha256" is not valid, must be a list of 1 to 16 SHA-256 digests, 64 lower-case hex digits each

=== TEST 35: api_key_sha256, upper case
--- project eval
sub { my ($p) = @_; $p->{api_key_sha256} = ['A' x 64] }
--- must_die
--- error_log
field "api_key_sha256[0]" is not valid, must be a list of 1 to 16 SHA-256 digests, 64 lower-case hex digits each

=== TEST 36: api_key_sha256, too short
--- project eval
sub { my ($p) = @_; $p->{api_key_sha256} = ['a' x 63] }
--- must_die
--- error_log
field "api_key_sha256[0]" is not valid, must be a list of 1 to 16 SHA-256 digests, 64 lower-case hex digits each

=== TEST 37: api_key_sha256, the second one
--- project eval
sub { my ($p) = @_; $p->{api_key_sha256} = ['a' x 64, 'x'] }
--- must_die
--- error_log
field "api_key_sha256[1]" is not valid, must be a list of 1 to 16 SHA-256 digests, 64 lower-case hex digits each

=== TEST 38: api_key_sha256, 17 of them
--- project eval
sub { my ($p) = @_; $p->{api_key_sha256} = [('a' x 64) x 17] }
--- must_die
--- error_log
field "api_key_sha256" is not valid, must be a list of 1 to 16 SHA-256 digests, 64 lower-case hex digits each

=== TEST 39: project_status
--- project eval
sub { my ($p) = @_; $p->{project_status} = JSON::PP::true }
--- must_die
--- error_log
field "project_status" is "true", must be "active" or "inactive"

=== TEST 40: allowed_channels, empty
--- project eval
sub { my ($p) = @_; $p->{allowed_channels} = [] }
--- must_die
--- error_log
field "allowed_channels" is an array, must be a list of "whatsapp", "sms", "email", each at most once

=== TEST 41: allowed_channels, a string
--- project eval
sub { my ($p) = @_; $p->{allowed_channels} = 'sms' }
--- must_die
--- error_log
field "allowed_channels" is "sms", must be a list of "whatsapp", "sms", "email", each at most once

=== TEST 42: allowed_channels, fax
--- project eval
sub { my ($p) = @_; $p->{allowed_channels} = ['fax'] }
--- must_die
--- error_log
field "allowed_channels[0]" is "fax", must be a list of "whatsapp", "sms", "email", each at most once

=== TEST 43: allowed_channels, twice
--- project eval
sub { my ($p) = @_; $p->{allowed_channels} = ['sms', 'sms'] }
--- must_die
--- error_log
field "allowed_channels[1]" is "sms", must be listed only once

=== TEST 44: allowed_channels, without a configuration
--- project eval
sub { my ($p) = @_; delete $p->{channel_config}{sms} }
--- must_die
--- error_log
field "allowed_channels[1]" is "sms", must be a member of "channel_config"

=== TEST 45: rate_limits, a list
--- project eval
sub { my ($p) = @_; $p->{rate_limits} = [] }
--- must_die
--- error_log
field "rate_limits" is an array, must be an object

=== TEST 46: rate_limits.requests_per_minute 0
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{requests_per_minute} = 0 }
--- must_die
--- error_log
field "rate_limits.requests_per_minute" is "0", must be an integer between 1 and 1000000

=== TEST 47: rate_limits.requests_per_minute 1000001
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{requests_per_minute} = 1000001 }
--- must_die
--- error_log
field "rate_limits.requests_per_minute" is "1000001", must be an integer between 1 and 1000000

=== TEST 48: rate_limits.requests_per_minute '1'
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{requests_per_minute} = '1' }
--- must_die
--- error_log
field "rate_limits.requests_per_minute" is "1", must be an integer between 1 and 1000000

=== TEST 49: rate_limits.requests_per_minute 1.5
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{requests_per_minute} = 1.5 }
--- must_die
--- error_log
field "rate_limits.requests_per_minute" is a fraction, must be an integer between 1 and 1000000

=== TEST 50: rate_limits.requests_per_day 0
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{requests_per_day} = 0 }
--- must_die
--- error_log
field "rate_limits.requests_per_day" is "0", must be an integer between 1 and 1000000000

=== TEST 51: rate_limits.requests_per_day 1000000001
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{requests_per_day} = 1000000001 }
--- must_die
--- error_log
field "rate_limits.requests_per_day" is "1000000001", must be an integer between 1 and 1000000000

=== TEST 52: rate_limits.requests_per_day '1'
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{requests_per_day} = '1' }
--- must_die
--- error_log
field "rate_limits.requests_per_day" is "1", must be an integer between 1 and 1000000000

=== TEST 53: rate_limits.requests_per_day 1.5
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{requests_per_day} = 1.5 }
--- must_die
--- error_log
field "rate_limits.requests_per_day" is a fraction, must be an integer between 1 and 1000000000

=== TEST 54: rate_limits.concurrent_conversations 0
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{concurrent_conversations} = 0 }
--- must_die
--- error_log
field "rate_limits.concurrent_conversations" is "0", must be an integer between 1 and 1000000000

=== TEST 55: rate_limits.concurrent_conversations 1000000001
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{concurrent_conversations} = 1000000001 }
--- must_die
--- error_log
field "rate_limits.concurrent_conversations" is "1000000001", must be an integer between 1 and 1000000000

=== TEST 56: rate_limits.concurrent_conversations '1'
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{concurrent_conversations} = '1' }
--- must_die
--- error_log
field "rate_limits.concurrent_conversations" is "1", must be an integer between 1 and 1000000000

=== TEST 57: rate_limits.concurrent_conversations 1.5
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{concurrent_conversations} = 1.5 }
--- must_die
--- error_log
field "rate_limits.concurrent_conversations" is a fraction, must be an integer between 1 and 1000000000

=== TEST 58: rate_limits.max_message_length 0
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{max_message_length} = 0 }
--- must_die
--- error_log
field "rate_limits.max_message_length" is "0", must be an integer between 1 and 100000

=== TEST 59: rate_limits.max_message_length 100001
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{max_message_length} = 100001 }
--- must_die
--- error_log
field "rate_limits.max_message_length" is "100001", must be an integer between 1 and 100000

=== TEST 60: rate_limits.max_message_length '1'
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{max_message_length} = '1' }
--- must_die
--- error_log
field "rate_limits.max_message_length" is "1", must be an integer between 1 and 100000

=== TEST 61: rate_limits.max_message_length 1.5
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{max_message_length} = 1.5 }
--- must_die
--- error_log
field "rate_limits.max_message_length" is a fraction, must be an integer between 1 and 100000

=== TEST 62: company_rep without a name
--- project eval
sub { my ($p) = @_; $p->{company_rep} = {} }
--- must_die
--- error_log
field "company_rep.name" is missing, must be a string of 1 to 200 characters

=== TEST 63: company_rep.email, shown to nobody
--- project eval
sub { my ($p) = @_; $p->{company_rep} = { name => 'C', email => 'carol' } }
--- must_die
--- error_log
field "company_rep.email" is not valid, must be an email address

=== TEST 64: ai_config.provider
--- project eval
sub { my ($p) = @_; $p->{ai_config}{provider} = 'a b' }
--- must_die
--- error_log
field "ai_config.provider" is "a b", must be 1 to 64 letters, digits, ".", "_" or "-"

=== TEST 65: ai_config.model
--- project eval
sub { my ($p) = @_; delete $p->{ai_config}{model} }
--- must_die
--- error_log
field "ai_config.model" is missing, must be a string of 1 to 128 characters

=== TEST 66: ai_config.state
--- project eval
sub { my ($p) = @_; $p->{ai_config}{state} = 'threads' }
--- must_die
--- error_log
field "ai_config.state" is "threads", must be "conversations" or "replay"

=== TEST 67: ai_config.instructions_first
--- project eval
sub { my ($p) = @_; $p->{ai_config}{instructions_first} = '' }
--- must_die
--- error_log
field "ai_config.instructions_first" is not valid, must be a string of 1 to 65536 characters

=== TEST 68: ai_config.instructions_reply
--- project eval
sub { my ($p) = @_; $p->{ai_config}{instructions_reply} = '' }
--- must_die
--- error_log
field "ai_config.instructions_reply" is not valid, must be a string of 1 to 65536 characters

=== TEST 69: ai_config.max_output_tokens 15
--- project eval
sub { my ($p) = @_; $p->{ai_config}{max_output_tokens} = 15 }
--- must_die
--- error_log
field "ai_config.max_output_tokens" is "15", must be an integer between 16 and 100000

=== TEST 70: ai_config.max_output_tokens 100001
--- project eval
sub { my ($p) = @_; $p->{ai_config}{max_output_tokens} = 100001 }
--- must_die
--- error_log
field "ai_config.max_output_tokens" is "100001", must be an integer between 16 and 100000

=== TEST 71: ai_config.api_key_reference, unknown
--- project eval
sub { my ($p) = @_; $p->{ai_config}{api_key_reference} = 'nobody' }
--- must_die
--- error_log
field "ai_config.api_key_reference" is not valid, must be the id of an AI's credentials in the "comms_secrets" file

=== TEST 72: ai_config.api_key_reference, of a carrier
--- project eval
sub { my ($p) = @_; $p->{ai_config}{api_key_reference} = 'twilio-acme' }
--- must_die
--- error_log
field "ai_config.api_key_reference" is not valid, must be the id of an AI's credentials in the "comms_secrets" file

=== TEST 73: channel_config.fax
--- project eval
sub { my ($p) = @_; $p->{channel_config}{fax} = {} }
--- must_die
--- error_log
field "channel_config.fax" is unknown; allowed are "whatsapp", "sms", "email"

=== TEST 74: company_whatsapp_number
--- project eval
sub { my ($p) = @_; $p->{channel_config}{whatsapp}{company_whatsapp_number} = '01632960001' }
--- must_die
--- error_log
field "channel_config.whatsapp.company_whatsapp_number" is not valid, must be a number in E.164 form, "+" and digits

=== TEST 75: company_sms_number
--- project eval
sub { my ($p) = @_; $p->{channel_config}{sms}{company_sms_number} = '01632960001' }
--- must_die
--- error_log
field "channel_config.sms.company_sms_number" is not valid, must be a number in E.164 form, "+" and digits

=== TEST 76: company_email
--- project eval
sub { my ($p) = @_; $p->{channel_config}{email}{company_email} = 'care' }
--- must_die
--- error_log
field "channel_config.email.company_email" is not valid, must be an email address

=== TEST 77: reply_to with "+"
--- project eval
sub { my ($p) = @_; $p->{channel_config}{email}{reply_to} = 'a+b@in.acme.example' }
--- must_die
--- error_log
field "channel_config.email.reply_to" is not valid, must be an email address with at most 20 characters and no "+" before the "@"

=== TEST 78: reply_to, too long
--- project eval
sub { my ($p) = @_; $p->{channel_config}{email}{reply_to} = ('a' x 21) . '@in.acme.example' }
--- must_die
--- error_log
must be an email address with at most 20 characters and no "+" before the "@"

=== TEST 79: sender_name with a line end
--- project eval
sub { my ($p) = @_; $p->{channel_config}{email}{sender_name} = "a\nb" }
--- must_die
--- error_log
field "channel_config.email.sender_name" is not valid, must be a string of 1 to 100 characters

=== TEST 80: default_subject, too long
--- project eval
sub { my ($p) = @_; $p->{channel_config}{email}{default_subject} = 'x' x 201 }
--- must_die
--- error_log
field "channel_config.email.default_subject" is not valid, must be a string of 1 to 200 characters

=== TEST 81: credentials_id, unknown
--- project eval
sub { my ($p) = @_; $p->{channel_config}{sms}{credentials_id} = 'nobody' }
--- must_die
--- error_log
field "channel_config.sms.credentials_id" is "nobody", must be the id of credentials in the "comms_secrets" file

=== TEST 82: credentials_id, of another carrier
--- project eval
sub { my ($p) = @_; $p->{channel_config}{sms}{credentials_id} = 'sendgrid-acme' }
--- must_die
--- error_log
field "channel_config.sms.credentials_id" is "sendgrid-acme", must be the id of credentials for a provider that carries this channel

=== TEST 83: credentials_id, of an AI
--- project eval
sub { my ($p) = @_; $p->{channel_config}{email}{credentials_id} = 'openai-main' }
--- must_die
--- error_log
field "channel_config.email.credentials_id" is "openai-main", must be the id of credentials for a provider that carries this channel

=== TEST 84: whatsapp_template_sid
--- project eval
sub { my ($p) = @_; $p->{channel_config}{whatsapp}{whatsapp_template_sid} = 'HX12' }
--- must_die
--- error_log
field "channel_config.whatsapp.whatsapp_template_sid" is "HX12", must be "HX" and 32 hex digits

=== TEST 85: whatsapp_template_variables, no template
--- project eval
sub { my ($p) = @_; $p->{channel_config}{whatsapp}{whatsapp_template_variables} = { 1 => 'message' } }
--- must_die
--- error_log
field "channel_config.whatsapp.whatsapp_template_variables" is useless without "whatsapp_template_sid"

=== TEST 86: whatsapp_template_variables, unknown source
--- project eval
sub { my ($p) = @_; $p->{channel_config}{whatsapp}{whatsapp_template_sid} = 'HX' . 'a' x 32; $p->{channel_config}{whatsapp}{whatsapp_template_variables} = { 1 => 'recipient_tel' } }
--- must_die
--- error_log
field "channel_config.whatsapp.whatsapp_template_variables.1" is "recipient_tel", must be 1 to 100 names, each with "message"

=== TEST 87: whatsapp_template_variables, empty
--- project eval
sub { my ($p) = @_; $p->{channel_config}{whatsapp}{whatsapp_template_sid} = 'HX' . 'a' x 32; $p->{channel_config}{whatsapp}{whatsapp_template_variables} = {} }
--- must_die
--- error_log
field "channel_config.whatsapp.whatsapp_template_variables" is an object, must be 1 to 100 names

=== TEST 88: an unknown member
--- project eval
sub { my ($p) = @_; $p->{hand_off} = {} }
--- must_die
--- error_log
field "hand_off" is unknown; allowed are "company_id", "project_id", "company_name", "project_name", "api_key_sha256", "project_status", "allowed_channels", "rate_limits", "company_rep", "ai_config", "channel_config", "burst", "consent_words", "help_message", "quiet_hours"

=== TEST 89: an unknown member, deep
--- project eval
sub { my ($p) = @_; $p->{channel_config}{sms}{sender_name} = 'x' }
--- must_die
--- error_log
field "channel_config.sms.sender_name" is unknown; allowed are "company_sms_number", "provider", "credentials_id", "status_callback", "messaging_service_sid", "max_segments", "split", "messages_per_second"

=== TEST 90: every mistake of a file at once
--- project eval
sub { my ($p) = @_; $p->{company_id} = ''; $p->{ai_config}{state} = 'x'; $p->{allowed_channels} = ['fax'] }
--- must_die
--- error_log
field "company_id"
field "ai_config.state"
field "allowed_channels[0]"

=== TEST 91: the same project in two files
--- text_of eval
{ 'projects/b.json' => JSON::PP->new->encode(::project()) }
--- must_die
--- error_log
/projects/b.json" has project "care" of company "acme", which "
/projects/acme.json" has already

=== TEST 92: what may be a secret or a person is not shown
--- project eval
sub { my ($p) = @_;
      $p->{api_key_sha256} = ['this-is-the-key-itself'];
      $p->{channel_config}{sms}{company_sms_number} = '07700900999';
      $p->{company_rep} = { name => 'C', email => 'carol at home' } }
--- must_die
--- error_log
field "api_key_sha256[0]" is not valid
field "channel_config.sms.company_sms_number" is not valid
field "company_rep.email" is not valid
--- no_error_log
this-is-the-key-itself
07700900999
carol at home

=== TEST 93: status_callback, no https
--- project eval
sub { my ($p) = @_; $p->{channel_config}{sms}{status_callback} = 'http://comms.acme.example/webhooks/twilio' }
--- must_die
--- error_log
field "channel_config.sms.status_callback" is "http://comms.acme.example/webhooks/twilio", must be an "https://" URL of 9 to 1000 visible characters

=== TEST 94: status_callback, a blank
--- project eval
sub { my ($p) = @_; $p->{channel_config}{sms}{status_callback} = 'https://comms.acme.example/webhooks/ twilio' }
--- must_die
--- error_log
field "channel_config.sms.status_callback" is "https://comms.acme.example/webhooks/ twilio", must be an "https://" URL of 9 to 1000 visible characters

=== TEST 95: outside_window, unknown
--- project eval
sub { my ($p) = @_; $p->{channel_config}{whatsapp}{outside_window} = 'later' }
--- must_die
--- error_log
field "channel_config.whatsapp.outside_window" is "later", must be "template", "channel" or "hold"

=== TEST 96: outside_window, no template
--- project eval
sub { my ($p) = @_; delete $p->{channel_config}{whatsapp}{whatsapp_template_sid}; delete $p->{channel_config}{whatsapp}{whatsapp_template_variables}; $p->{channel_config}{whatsapp}{outside_window} = 'template' }
--- must_die
--- error_log
field "channel_config.whatsapp.outside_window" is "template", and there is no template

=== TEST 97: whatsapp_template_name
--- project eval
sub { my ($p) = @_; $p->{channel_config}{whatsapp}{whatsapp_template_name} = 'Hello World'; $p->{channel_config}{whatsapp}{whatsapp_template_language} = 'en' }
--- must_die
--- error_log
field "channel_config.whatsapp.whatsapp_template_name" is "Hello World", must be 1 to 512 lower-case letters, digits and "_"

=== TEST 98: whatsapp_template_language
--- project eval
sub { my ($p) = @_; $p->{channel_config}{whatsapp}{whatsapp_template_name} = 'hello'; $p->{channel_config}{whatsapp}{whatsapp_template_language} = 'e1' }
--- must_die
--- error_log
field "channel_config.whatsapp.whatsapp_template_language" is "e1", must be a language code of WhatsApp's, as "en" or "en_GB"

=== TEST 99: a template's name without a language
--- project eval
sub { my ($p) = @_; $p->{channel_config}{whatsapp}{whatsapp_template_name} = 'hello' }
--- must_die
--- error_log
field "channel_config.whatsapp.whatsapp_template_language" goes together with "whatsapp_template_name"

=== TEST 100: messages_per_second
--- project eval
sub { my ($p) = @_; $p->{channel_config}{sms}{messages_per_second} = 0 }
--- must_die
--- error_log
field "channel_config.sms.messages_per_second" is "0", must be an integer between 1 and 100000

=== TEST 101: messaging_service_sid
--- project eval
sub { my ($p) = @_; $p->{channel_config}{sms}{messaging_service_sid} = 'HX' . 'a' x 32 }
--- must_die
--- error_log
must be "MG" and 32 hex digits

=== TEST 102: max_segments
--- project eval
sub { my ($p) = @_; $p->{channel_config}{sms}{max_segments} = 11 }
--- must_die
--- error_log
field "channel_config.sms.max_segments" is "11", must be an integer between 1 and 10

=== TEST 103: split
--- project eval
sub { my ($p) = @_; $p->{channel_config}{sms}{split} = 'yes' }
--- must_die
--- error_log
field "channel_config.sms.split" is "yes", must be true or false

=== TEST 104: quiet_hours, no time
--- project eval
sub { my ($p) = @_; $p->{quiet_hours} = { from => '21:00', to => '08:00', time_zone => 'Europe/London', from => '24:00' } }
--- must_die
--- error_log
field "quiet_hours.from" is "24:00", must be a time between "00:00" and "23:59"

=== TEST 105: quiet_hours, no such minute
--- project eval
sub { my ($p) = @_; $p->{quiet_hours} = { from => '21:00', to => '08:00', time_zone => 'Europe/London', to => '08:60' } }
--- must_die
--- error_log
field "quiet_hours.to" is "08:60", must be a time between "00:00" and "23:59"

=== TEST 106: quiet_hours, an unknown zone
--- project eval
sub { my ($p) = @_; $p->{quiet_hours} = { from => '21:00', to => '08:00', time_zone => 'Europe/London', time_zone => 'Europe/Nowhere' } }
--- must_die
--- error_log
field "quiet_hours.time_zone" is "Europe/Nowhere", must be a time zone of the system's tz database, as "Europe/London"

=== TEST 107: quiet_hours, a zone by its path
--- project eval
sub { my ($p) = @_; $p->{quiet_hours} = { from => '21:00', to => '08:00', time_zone => 'Europe/London', time_zone => '../zoneinfo/UTC' } }
--- must_die
--- error_log
field "quiet_hours.time_zone" is "../zoneinfo/UTC"

=== TEST 108: quiet_hours, an unknown day
--- project eval
sub { my ($p) = @_; $p->{quiet_hours} = { from => '21:00', to => '08:00', time_zone => 'Europe/London', days => ['Mon'] } }
--- must_die
--- error_log
field "quiet_hours.days[0]" is "Mon", must be a list of 1 to 7 of "monday" to "sunday"

=== TEST 109: quiet_hours, a day twice
--- project eval
sub { my ($p) = @_; $p->{quiet_hours} = { from => '21:00', to => '08:00', time_zone => 'Europe/London', days => ['monday', 'monday'] } }
--- must_die
--- error_log
field "quiet_hours.days" names a day twice

=== TEST 110: quiet_hours, for ever
--- project eval
sub { my ($p) = @_; $p->{quiet_hours} = { from => '21:00', to => '08:00', time_zone => 'Europe/London', to => '21:00' } }
--- must_die
--- error_log
field "quiet_hours.to" equals "from", a whole day, and all days are meant

=== TEST 111: quiet_hours, replies
--- project eval
sub { my ($p) = @_; $p->{quiet_hours} = { from => '21:00', to => '08:00', time_zone => 'Europe/London', replies => 1 } }
--- must_die
--- error_log
field "quiet_hours.replies" is "1", must be true or false

=== TEST 112: ai_config.max_attempts 0
--- project eval
sub { my ($p) = @_; $p->{ai_config}{max_attempts} = 0 }
--- must_die
--- error_log
field "ai_config.max_attempts" is "0", must be an integer between 1 and 5

=== TEST 113: ai_config.on_outage
--- project eval
sub { my ($p) = @_; $p->{ai_config}{on_outage} = 'panic' }
--- must_die
--- error_log
field "ai_config.on_outage" is "panic", must be "wait" or "hand_off"

=== TEST 114: ai_config.holding_message, empty
--- project eval
sub { my ($p) = @_; $p->{ai_config}{holding_message} = '' }
--- must_die
--- error_log
field "ai_config.holding_message"

=== TEST 115: ai_config.fallback without a model
--- project eval
sub { my ($p) = @_; $p->{ai_config}{fallback} = { provider => 'openai', api_key_reference => 'x' } }
--- must_die
--- error_log
field "ai_config.fallback.model" is missing

=== TEST 116: ai_config.fallback with unknown credentials
--- project eval
sub { my ($p) = @_; $p->{ai_config}{fallback} = { provider => 'openai', model => 'm', api_key_reference => 'nobody' } }
--- must_die
--- error_log
field "ai_config.fallback.api_key_reference"

=== TEST 117: ai_config.fallback of a fallback
--- project eval
sub { my ($p) = @_; $p->{ai_config}{fallback} = { provider => 'openai', model => 'm', api_key_reference => $p->{ai_config}{api_key_reference}, fallback => {} } }
--- must_die
--- error_log
field "ai_config.fallback.fallback" is unknown

=== TEST 118: ai_config.template_reply without what is data
--- project eval
sub { my ($p) = @_; $p->{ai_config}{template_reply} = 'Be brief. {{channels}}' }
--- must_die
--- error_log
field "ai_config.template_reply"

=== TEST 119: ai_config.template_first with an unknown slot
--- project eval
sub { my ($p) = @_; $p->{ai_config}{template_first} = '{{channels}}{{manners}}{{facts}}' }
--- must_die
--- error_log
field "ai_config.template_first"

=== TEST 120: burst.window_ms too long
--- project eval
sub { my ($p) = @_; $p->{burst}{window_ms} = 60001 }
--- must_die
--- error_log
field "burst.window_ms" is "60001", must be an integer between 0 and 60000

=== TEST 121: burst, an unknown member
--- project eval
sub { my ($p) = @_; $p->{burst}{policy} = 'reject' }
--- must_die
--- error_log
field "burst.policy" is unknown

=== TEST 122: consent_words, an empty word
--- project eval
sub { my ($p) = @_; $p->{consent_words}{stop} = ['STOPP', ''] }
--- must_die
--- error_log
field "consent_words.stop[1]"

=== TEST 123: help_message too long
--- project eval
sub { my ($p) = @_; $p->{help_message} = 'x' x 321 }
--- must_die
--- error_log
field "help_message"

=== TEST 124: rate_limits.turns_per_hour 0
--- project eval
sub { my ($p) = @_; $p->{rate_limits}{turns_per_hour} = 0 }
--- must_die
--- error_log
field "rate_limits.turns_per_hour" is "0", must be an integer between 1 and 100000
