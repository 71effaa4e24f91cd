package Test::Comms;

#
# Copyright (C) the ngx_http_comms_module authors
#
# What the files t/*.t have in common: a company with its projects, secrets
# and providers, the documents people send, and a configuration around them.
#
#     BEGIN { require './t/lib/Test/Comms.pm'; Test::Comms->import }
#
# (By its path: "use lib 't/lib'" would hide an installed Test::Nginx.)
#
# world() gives each block what it does not say itself:
#
#   config         locations for everything
#   http_config    a zone, a store, projects, secrets; no queue is consumed
#   user_files     projects/acme.json, projects/asleep.json, secrets.json
#   more_headers   the key of the company, JSON
#   request        GET /status
#
# and it reads sections of its own:
#
#   more_http      added to http_config
#   more_config    added to config
#   project eval   sub { my ($project) = @_; ... } changes acme.json
#   secrets eval   the same for secrets.json
#   text_of eval   { 'projects/acme.json' => '{' }: files as they are
#   secrets_mode   the umask that secrets.json is written with
#   form eval      [Body => 'Hello']: the request is a webhook of Twilio with
#                  a form that has these changes, signed
#   path           of that webhook
#   signed_url     what Twilio has signed, when it is another URL
#   signed_with    and the token, when it is another one
#
# Files are written with umask 077, since secrets must be nobody else's.
#

use 5.010;
use strict;
use warnings;

use Digest::SHA qw( hmac_sha1 sha256_hex );
use Exporter 'import';
use JSON::PP ();
use MIME::Base64 qw( encode_base64 );

our @EXPORT = qw(
    world project secrets start start_json accepted refused twilio_form
    twilio_headers sendgrid_mail providers jobs ID1 ID2 ID3 KEY KEY2 SID TOKEN
    OLD_TOKEN INBOUND GONE
);

use constant {
    ID1 => '550e8400-e29b-41d4-a716-446655440001',
    ID2 => '550e8400-e29b-41d4-a716-446655440002',
    ID3 => '550e8400-e29b-41d4-a716-446655440003',
    KEY => 'key-of-acme-0123456789',
    KEY2 => 'key-of-both-0123456789',
    SID => 'AC' . '0123456789abcdef' x 2,
    TOKEN => 'auth-token-of-acme-01234567890',
    OLD_TOKEN => 'auth-token-of-acme-of-last-year',
    INBOUND => 'inbound-segment-0123456789',
    GONE => \'gone',
};

my $Json = JSON::PP->new->canonical->utf8;


sub project {
    return {
        company_id => 'acme',
        project_id => 'care',
        company_name => 'Acme Care',
        project_name => 'Recruitment',
        api_key_sha256 => [sha256_hex(KEY), sha256_hex(KEY2)],
        project_status => 'active',
        allowed_channels => ['whatsapp', 'sms', 'email'],
        ai_config => {
            provider => 'openai',
            model => 'gpt-test',
            state => 'replay',
            instructions_first => 'Invite them.',
            instructions_reply => 'Answer them.',
            api_key_reference => 'openai-main',
        },
        channel_config => {
            whatsapp => {
                company_whatsapp_number => '+441632960001',
                provider => 'twilio',
                credentials_id => 'twilio-acme',
            },
            sms => {
                company_sms_number => '+441632960002',
                provider => 'twilio',
                credentials_id => 'twilio-acme',
            },
            email => {
                company_email => 'care@acme.example',
                provider => 'sendgrid',
                credentials_id => 'sendgrid-acme',
                reply_to => 'reply@in.acme.example',
            },
        },
    };
}


sub secrets {
    return {
        'twilio-acme' => {
            provider => 'twilio', account_sid => SID, auth_token => TOKEN,
            previous_auth_tokens => [OLD_TOKEN],
        },
        'sendgrid-acme' => {
            provider => 'sendgrid', api_key => 'SG.key-of-acme',
            inbound_tokens => [INBOUND],
            reply_keys => ['reply-signing-key-0123456789'],
        },
        'openai-main' => { provider => 'openai', api_key => 'sk-of-acme' },
    };
}


sub pretty {
    my ($document) = @_;

    return JSON::PP->new->canonical->utf8->pretty->encode($document);
}


my $Http = <<'END';
    comms_zone comms:1m;
    comms_store sqlite path=logs/comms.db;
    comms_projects ../html/projects;
    comms_secrets ../html/secrets.json;
END

my $Config = <<'END';
    location = /initiate-conversation { comms_initiate; }
    location /conversations { comms_conversations; }
    location /webhooks/twilio { comms_webhook twilio; }
    location /webhooks/sendgrid/ { comms_webhook sendgrid; }
    location = /status { comms_status; }
    location = /metrics { comms_status prometheus; }
END


# the location in which jobs run
sub jobs {
    return "    location /comms/jobs { comms_jobs; }\n";
}


# Provider locations whose provider is this nginx itself: each answers
# "return $code $body" (body in single quotes of nginx).
sub providers {
    my (%answer) = @_;
    my $text = jobs();

    for my $name (qw( openai twilio sendgrid )) {
        my $more = $answer{"more_$name"} // '';
        my $return = $answer{$name} // '500';

        $text .= <<"END";
    location /comms/$name/ {
        comms_provider $name;
        proxy_pass http://127.0.0.1:\$TEST_NGINX_SERVER_PORT/fake/$name/;
        proxy_http_version 1.1;
        $more
    }

    location /fake/$name/ {
        default_type application/json;
        return $return;
    }
END
    }

    return $text;
}


sub files {
    my ($block) = @_;
    my $acme = project();
    my $asleep = project();
    my $secrets = secrets();

    $asleep->{project_id} = 'asleep';
    $asleep->{project_status} = 'inactive';

    $block->project->($acme) if defined $block->project;
    $block->secrets->($secrets) if defined $block->secrets;

    my %text = (
        'projects/acme.json' => pretty($acme),
        'projects/asleep.json' => pretty($asleep),
        'secrets.json' => pretty($secrets),
        %{ $block->text_of // {} },
    );

    delete @text{ grep { !defined $text{$_} } keys %text };

    return [ map { [$_, $text{$_}] } sort keys %text ];
}


sub world {
    my ($block) = @_;

    umask(defined $block->secrets_mode ? oct $block->secrets_mode : 077);

    if (!defined $block->http_config) {
        my $more = $block->more_http // "    comms_workers off;\n";

        $block->set_value(http_config => $Http . $more);
    }

    if (!defined $block->config) {
        $block->set_value(config => $Config . ($block->more_config // ''));
    }

    if (!defined $block->user_files) {
        $block->set_value(user_files => files($block));
    }

    if (defined $block->form) {
        my $path = $block->path // '/webhooks/twilio';
        my $form = twilio_form(@{ $block->form });

        $block->set_value(request => "POST $path\n$form");
        $block->set_value(more_headers =>
            twilio_headers($block->signed_url // "http://localhost$path",
                           $form, scalar $block->signed_with));
    }

    if (!defined $block->more_headers) {
        $block->set_value(more_headers =>
            'x-api-key: ' . KEY . "\nContent-Type: application/json\n");
    }

    if (!defined $block->request && !defined $block->raw_request
        && !defined $block->pipelined_requests)
    {
        $block->set_value(request => "GET /status\n");
    }
}


# The document of a start request, with changes: 'a.b' => value, or GONE.
sub start_json {
    my (%change) = @_;

    my $document = {
        company_data => { company_id => 'acme', project_id => 'care' },
        recipient_data => {
            recipient_first_name => 'Ada',
            recipient_last_name => 'Byron',
            recipient_tel => '+447700900123',
            recipient_email => 'ada@example.org',
            comms_consent => JSON::PP::true,
        },
        project_data => { jobRole => 'Nurse' },
        request_data => {
            request_id => ID1,
            channel_method => 'sms',
            initial_request_timestamp => '2026-11-22T11:45:32.789Z',
        },
    };

    for my $path (sort keys %change) {
        my @keys = split /\./, $path;
        my $last = pop @keys;
        my $at = $document;

        $at = $at->{$_} for @keys;

        if (ref $change{$path} && $change{$path} == GONE) {
            delete $at->{$last};

        } else {
            $at->{$last} = $change{$path};
        }
    }

    return $Json->encode($document);
}


sub start {
    return "POST /initiate-conversation\n" . start_json(@_);
}


# The answer to a start request, as a pattern: the channels in their order.
sub accepted {
    my (@channels) = @_;
    my $channels = join ',', map { qq("$_") } @channels;

    return '^\{"status":"success","request_id":"' . ID1 . '",'
           . '"thread_id":"th_[0-9A-HJKMNP-TV-Z]{26}",'
           . '"conversation_id":"acme#care#' . ID1 . '",'
           . "\"channels\":\\[$channels\\],"
           . '"message":"Request accepted and queued for processing",'
           . '"queue_timestamp":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"'
           . '\}$';
}


# An error: its code, and the request_id that it repeats (undef: null).
sub refused {
    my ($code, $request_id) = @_;

    $request_id = defined $request_id ? qq("\Q$request_id\E") : 'null';

    return qq(^\\{"status":"error","error_code":"$code","message":".+",)
           . qq("request_id":$request_id\\}\$);
}


sub escape {
    my ($text) = @_;

    return $text =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ger;
}


# a form, as Twilio posts it
sub twilio_form {
    my (%change) = @_;
    my %form = (
        MessageSid => 'SM' . '0' x 31 . '1',
        AccountSid => SID,
        From => '+447700900123',
        To => '+441632960002',
        Body => 'Hello there',
        NumMedia => 0,
        %change,
    );

    delete @form{ grep { ref $form{$_} } keys %form };

    return join '&', map { escape($_) . '=' . escape($form{$_}) }
                     sort keys %form;
}


# the headers of such a request, signed: (url, form, token)
sub twilio_headers {
    my ($url, $form, $token) = @_;

    my %form = map { my ($k, $v) = split /=/, $_, 2;
                     s/%(..)/chr hex $1/ge for $k, $v;
                     ($k => $v) } split /&/, $form;

    my $text = $url . join '', map { $_ . $form{$_} } sort keys %form;

    return "Content-Type: application/x-www-form-urlencoded\n"
           . 'X-Twilio-Signature: '
           . encode_base64(hmac_sha1($text, $token // TOKEN), '') . "\n";
}


# The request and its headers for a mail, as Inbound Parse posts it.
sub sendgrid_mail {
    my ($path, %change) = @_;
    my %part = (
        headers => "From: Ada <ada\@example.org>\r\nTo: care\@acme.example"
                   . "\r\nSubject: Re: Your application\r\n"
                   . "Message-ID: <m1\@example.org>\r\n",
        from => 'Ada <ada@example.org>',
        to => 'care@acme.example',
        subject => 'Re: Your application',
        text => "Yes, please.\r\n",
        envelope => '{"to":["care@acme.example"],"from":"ada@example.org"}',
        charsets => '{"to":"UTF-8","from":"UTF-8","subject":"UTF-8",'
                    . '"text":"utf-8"}',
        %change,
    );

    delete @part{ grep { ref $part{$_} } keys %part };

    my $body = join '', map {
        "--xYzZY\r\nContent-Disposition: form-data; name=\"$_\"\r\n\r\n"
        . "$part{$_}\r\n"
    } sort keys %part;

    $body .= "--xYzZY--";

    return "POST $path\n$body";
}


1;
