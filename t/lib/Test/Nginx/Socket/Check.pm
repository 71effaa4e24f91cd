package Test::Nginx::Socket;

#
# Copyright (C) the ngx_http_comms_module authors
#
# Checks: each call of Test::More is one test of the plan, but those that are
# made after nginx has stopped.
#

use 5.010;
use strict;
use warnings;

use Test::More ();
use Time::HiRes qw( time );

our ($ServerPort, $LogDir, $ErrLogFile, $Timeout, $LogPos);


my $Bad = qr/\[(?:alert|crit|emerg)\]|Sanitizer|runtime error:
             |\bAssertion\b.*\bfailed\b/x;


# checks: each Test::More call is one test of the plan -----------------------

sub of {
    my ($block, $section, $i, $many) = @_;
    my $value = $block->$section;

    if (ref $value eq 'ARRAY') {
        return $value->[$i];
    }

    bail_out($block->name, " - \"$section\" must be an array") if $many;

    return $value;
}


sub same {
    my ($got, $expected, $name) = @_;

    $got //= '';

    if (ref $expected) {
        Test::More::like($got, $expected, $name);

    } else {
        Test::More::is($got, $expected, $name);
    }
}


sub check_code {
    my ($block, $response, $i, $many) = @_;
    my $code = $response ? $response->code : '';
    my $name = $block->name . ' - status code ok';

    if (defined $block->error_code_like) {
        my $pattern = of($block, 'error_code_like', $i, $many);

        Test::More::like($code, qr/$pattern/sm, $name);
        return;
    }

    my $expected = defined $block->error_code
                   ? of($block, 'error_code', $i, $many) : 200;

    Test::More::is($code, $expected, $name);
}


sub check_raw_headers {
    my ($block, $headers, $i, $many) = @_;

    if (defined $block->raw_response_headers_like) {
        my $pattern = of($block, 'raw_response_headers_like', $i, $many);

        Test::More::like($headers, qr/$pattern/s,
                         $block->name . ' - raw resp headers like');
    }

    if (defined $block->raw_response_headers_unlike) {
        my $pattern = of($block, 'raw_response_headers_unlike', $i, $many);

        Test::More::unlike($headers, qr/$pattern/s,
                           $block->name . ' - raw resp headers unlike');
    }
}


sub check_headers {
    my ($block, $response, $headers, $i, $many) = @_;
    my $like = !defined $block->response_headers;
    my $section = $like ? 'response_headers_like' : 'response_headers';
    my $name = $block->name;

    return if !defined $block->$section;

    my %seen;

    for (split /\n/, of($block, $section, $i, $many) // '') {
        s/^\s+|\s+$//g;

        next if $_ eq '' || $seen{$_}++;

        if (!$like && s/^!\s*//) {
            Test::More::unlike($headers, qr/^\s*\Q$_\E\s*:/mi,
                               "$name - no header $_");
            next;
        }

        my ($key, $value) = split /\s*:\s*/, $_, 2;
        my $got = ($response ? $response->header($key) : undef) // '';

        $value =~ s/\$ServerPort\b/$ServerPort/g;

        if ($like) {
            Test::More::like($got, qr/^$value$/, "$name - header $key like");

        } else {
            Test::More::is($got, $value, "$name - header $key ok");
        }
    }
}


sub check_body {
    my ($block, $response, $i, $many, $repeat) = @_;
    my $got = ($response ? $response->content : undef) // '';
    my $name = $block->name . " - response body (req $repeat)";

    if (defined $block->response_body) {
        my $expected = of($block, 'response_body', $i, $many);

        $expected =~ s/\$ServerPort\b/$ServerPort/g if !ref $expected;
        same($got, $expected, $name);

    } elsif (defined $block->response_body_like) {
        my $pattern = of($block, 'response_body_like', $i, $many);

        Test::More::like($got, qr/$pattern/s, $name);

    } elsif (defined $block->response_body_unlike) {
        my $pattern = of($block, 'response_body_unlike', $i, $many);

        Test::More::unlike($got, qr/$pattern/s, $name);
    }
}


# error.log ------------------------------------------------------------------

sub read_file {
    my ($path, $from) = @_;

    open my $in, '<:raw', $path or return '';
    seek $in, $from, 0 if $from;

    local $/;

    return <$in> // '';
}


sub patterns {
    my ($value) = @_;

    return () if !defined $value;
    return grep { defined } @$value if ref $value eq 'ARRAY';
    return ($value) if ref $value;
    return grep { length } split /\n+/, $value;
}


sub hit {
    my ($pattern, $line) = @_;

    return ref $pattern ? $line =~ $pattern : index($line, $pattern) >= 0;
}


sub missing {
    my ($lines, @patterns) = @_;

    return grep { my $p = $_; !grep { hit($p, $_) } @$lines } @patterns;
}


# what was logged since the check before, once the wanted lines are there
sub new_lines {
    my ($wanted, $enough) = @_;
    my $until = time() + $Timeout;
    my $text;

    do {
        pause();
        $text = read_file($ErrLogFile, $LogPos);
    } while (time() < $until
             && (missing([split /^/, $text], @$wanted) || !$enough->($text)));

    $LogPos += length $text;

    return split /^/, $text;
}


sub check_error_log {
    my ($block, $repeat) = @_;
    my $name = $block->name;
    my @wanted = patterns(scalar $block->error_log);
    my @unwanted = patterns(scalar $block->no_error_log);
    my $grep = $block->grep_error_log;
    my $out = $block->grep_error_log_out;

    $grep = $grep->[$repeat] if ref $grep eq 'ARRAY';
    $out = $out->[$repeat] if ref $out eq 'ARRAY';

    bail_out("$name - no grep_error_log_out") if defined $grep
                                                 && !defined $out;

    my $found = sub {
        my $pattern = ref $grep ? $grep : qr/\Q$grep\E/;

        return join '', map { /$pattern/ && $& !~ /\n/ ? "$&\n" : () } @_;
    };

    my @lines = new_lines(\@wanted, sub {
        return 1 if !defined $grep;

        my $got = $found->(split /^/, $_[0]);

        return ref $out ? $got =~ $out : length $got >= length $out;
    });

    same($found->(@lines), $out, "$name - grep_error_log_out (req $repeat)")
        if defined $grep;

    for my $pattern (@wanted) {
        Test::More::ok(!missing(\@lines, $pattern),
            "$name - \"$pattern\" matches a line in error.log (req $repeat)");
    }

    for my $pattern (@unwanted) {
        my ($line) = grep { hit($pattern, $_) } @lines;

        Test::More::ok(!defined $line,
            "$name - \"$pattern\" matches no line in error.log (req $repeat)")
            or Test::More::diag($line);
    }
}


sub check_last_words {
    my ($block) = @_;
    my $name = $block->name;
    my @wanted = patterns(scalar $block->error_log);
    my @unwanted = patterns(scalar $block->no_error_log);

    my @late = split /^/, read_file($ErrLogFile, $LogPos);
    my @lines = (split(/^/, read_file($ErrLogFile)),
                 split(/^/, read_file("$LogDir/stderr.log")));

    my @bad = ((grep { $_ =~ $Bad } @lines),
               (grep { my $line = $_; grep { hit($_, $line) } @unwanted }
                @late));

    @bad = grep { my $line = $_; !grep { hit($_, $line) } @wanted } @bad;

    for my $line (@bad) {
        chomp $line;
        Test::More::fail("$name - error.log: $line");
    }
}


1;
