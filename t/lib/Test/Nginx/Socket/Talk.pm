package Test::Nginx::Socket;

#
# Copyright (C) the ngx_http_comms_module authors
#
# Requests, made of the sections of a block, and what comes back.
#

use 5.010;
use strict;
use warnings;

use Errno qw( EAGAIN EINTR );
use HTTP::Response ();
use IO::Select ();
use IO::Socket::INET ();
use Test::More ();
use Time::HiRes qw( time );

our ($ServerAddr, $ServerPort, $ServerName, $Timeout);


# requests -------------------------------------------------------------------

# a list of requests, each a list of {value, delay_before}
sub requests_of {
    my ($block) = @_;
    my $name = $block->name;
    my $raw = $block->raw_request;
    my $many = $block->pipelined_requests;

    if (defined $raw) {
        return [ map { { value => $_ } } ref $raw ? @$raw : $raw ];
    }

    if ($many) {
        my $all = '';

        for my $i (0 .. $#$many) {
            my $connection = $i == $#$many ? 'close' : 'keep-alive';

            $all .= join '', map { $_->{value} }
                    @{ build($block, $many->[$i], $i, $connection) };
        }

        return [{ value => $all }];
    }

    $many = $block->request;

    if (!defined $many) {
        bail_out("$name - no \"request\"");
    }

    if (!ref $many) {
        1 while $many =~ s/^\s*\#[^\n]+\s+|^\s+//s;
        $many = [$many];
    }

    return map { build($block, $many->[$_], $_, 'close') } 0 .. $#$many;
}


# Adds the headers.  A request may come in packets; the first one then has
# the request line, and the body is sent as it is given.
sub build {
    my ($block, $request, $i, $connection) = @_;
    my $more = $block->more_headers // '';
    my @packets = map { ref $_ ? { %$_ } : { value => $_ } }
                  ref $request ? @$request : $request;

    $more = $more->[$i] if ref $more;

    bail_out($block->name . " - no \"more_headers\" for request $i")
        if !defined $more;

    my @lines = grep { /\S/ && !/^\s*\#/ } split /\n+/, $more;
    my %have = map { /^([^:]+)/ ? (lc $1 => 1) : () } @lines;
    my $chunked = grep { /^transfer-encoding:\s*chunked\s*$/i } @lines;

    my ($line, $body) = split /\n/, $packets[0]{value}, 2;
    my ($method, $url, $version) = split ' ', $line;

    $body //= '';

    if (@packets == 1 && $body ne '' && !$chunked
        && !$have{'content-length'})
    {
        $body =~ s/^\s+|\s+$//g;
        push @lines, 'Content-Length: ' . length $body;

    } elsif (@packets > 1 && !$chunked && !$have{'content-length'}) {
        my $all = join '', $body, map { $_->{value} } @packets[1 .. $#packets];

        push @lines, 'Content-Length: ' . length $all if $all ne '';
    }

    unshift @lines, "Connection: $connection" if !$have{connection};
    unshift @lines, "Host: $ServerName" if !$have{host};

    $packets[0]{value} = join "\r\n",
        join(' ', $method, $url // '/', $version // 'HTTP/1.1'),
        @lines, '', $body;

    return \@packets;
}


# sends and reads at once: an answer may come before the request is all out
sub talk {
    my ($block, $packets) = @_;
    my $name = $block->name;
    my $until = time() + (seconds(scalar $block->timeout) // $Timeout);
    my ($out, $in, $sent, $over) = ('', '', 0, 0);
    my @packets = @$packets;
    my $head = $packets[0]{value} =~ /^\s*HEAD\s/;
    my $socket = IO::Socket::INET->new(PeerAddr => $ServerAddr,
                                       PeerPort => $ServerPort);

    if (!$socket) {
        Test::More::fail("$name - cannot connect: $!");
        return ('', $head);
    }

    local $SIG{PIPE} = 'IGNORE';

    $socket->blocking(0);

    while (1) {

        if ($sent == length $out && @packets) {
            my $packet = shift @packets;

            select undef, undef, undef, $packet->{delay_before}
                if $packet->{delay_before};

            ($out, $sent) = ($packet->{value}, 0);
        }

        my $left = $until - time();
        my $writing = $sent < length $out;
        my $r = IO::Select->new($socket);
        my $w = IO::Select->new($writing ? $socket : ());
        my ($readable, $writable) = IO::Select->select($r, $w, undef,
                                                       $left > 0 ? $left : 0);

        if (!$readable) {
            Test::More::fail("$name - ERROR: client socket timed out")
                if !defined $block->abort;
            last;
        }

        if (@$writable) {
            my $n = syswrite $socket, $out, length($out) - $sent, $sent;

            if (defined $n) {
                $sent += $n;

            } elsif (!$!{EAGAIN} && !$!{EINTR}) {
                ($out, $sent, @packets) = ('', 0);
            }
        }

        if (@$readable) {
            my $n = sysread $socket, $in, 65536, length $in;

            last if defined $n && $n == 0;
            last if !defined $n && !$!{EAGAIN} && !$!{EINTR};
        }
    }

    close $socket;

    return ($in, $head);
}


# answers --------------------------------------------------------------------

# the response, its raw headers, and what comes behind it
sub parse {
    my ($raw, $head) = @_;

    $raw //= '';

    return (undef, '', '') if $raw !~ /\A(.*?\r\n)\r\n(.*)\z/s;

    my ($headers, $rest) = ($1, $2);
    my $response = HTTP::Response->parse($headers . "\r\n");
    my $coding = $response->header('Transfer-Encoding') // '';
    my $length = $response->header('Content-Length');
    my $left = '';

    if ($head || $response->code =~ /^(?:1..|204|304)$/) {
        ($left, $rest) = ($rest, '');

    } elsif ($coding eq 'chunked') {
        ($rest, $left) = unchunk($rest);

    } elsif (defined $length && length $rest > $length) {
        $left = substr $rest, $length;
        $rest = substr $rest, 0, $length;

    } elsif (defined $length && length $rest < $length) {
        Test::More::diag("response is truncated, $length expected");
    }

    $response->content($rest);

    return ($response, $headers, $left);
}


sub unchunk {
    my ($raw) = @_;
    my $body = '';

    while ($raw =~ s/\A[ \t]*([0-9A-Fa-f]+)[^\r\n]*\r\n//) {
        my $size = hex $1;

        if ($size == 0) {
            $raw =~ s/\A(?:[^\r\n]+\r\n)*\r\n//
                or Test::More::fail('last chunk is complete');
            return ($body, $raw);
        }

        $body .= substr $raw, 0, $size, '';

        if ($raw !~ s/\A\r\n//) {
            last;
        }
    }

    Test::More::fail('response has valid chunks');

    return ($body, '');
}


1;
