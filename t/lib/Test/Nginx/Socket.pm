package Test::Nginx::Socket;

#
# Copyright (C) the ngx_http_comms_module authors
#
# A small runner for the files t/*.t, used where Test::Nginx is not installed.
#
# A block is one nginx: its configuration is written, nginx is started, the
# requests are sent, what comes back and what error.log says is compared, and
# nginx is stopped.  Sections, functions, environment and the number of tests
# are those of Test::Nginx, so that a file passes under both with one plan.
#
# What is different on purpose:
#
#   - nginx is a child in the foreground, and there is no fixed time to wait
#     anywhere: the port is connected to, error.log is read again until the
#     expected lines are there or the timeout is over;
#   - after nginx has stopped, its whole error.log is looked at once more.  A
#     line with [alert], [crit], [emerg], with a sanitizer's report, or of
#     "no_error_log" fails the block unless "error_log" asked for it.  Such a
#     failure is no test of the plan.
#

use 5.010;
use strict;
use warnings;

use Test::Base -base;

use Cwd ();
use Errno qw( EAGAIN EINTR EPIPE ECONNRESET EWOULDBLOCK );
use File::Path qw( make_path remove_tree );
use File::Temp ();
use HTTP::Response ();
use IO::Select ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use List::Util qw( shuffle );
use POSIX qw( :sys_wait_h );
use Scalar::Util qw( looks_like_number );
use Test::More ();
use Time::HiRes qw( time );

our $VERSION = '0.1';

our @EXPORT = qw(
    repeat_each workers worker_connections master_on master_off log_level
    no_shuffle no_root_location add_block_preprocessor add_cleanup_handler
    server_port server_root html_dir server_name timeout env_to_nginx bail_out
    no_long_string run_tests
);

our $NginxBinary = $ENV{TEST_NGINX_BINARY} || 'nginx';
our $ServerPort = $ENV{TEST_NGINX_SERVER_PORT} || $ENV{TEST_NGINX_PORT}
                  || free_port();
our $ServerAddr = '127.0.0.1';
our $ServerName = 'localhost';
our $ServRoot = Cwd::abs_path('.') . '/t/servroot';

if ($ENV{TEST_NGINX_SERVROOT}) {
    $ServRoot = File::Spec->rel2abs($ENV{TEST_NGINX_SERVROOT});
}

our $LogDir = "$ServRoot/logs";
our $HtmlDir = "$ServRoot/html";
our $ConfDir = "$ServRoot/conf";
our $ConfFile = "$ConfDir/nginx.conf";
our $PidFile = "$LogDir/nginx.pid";
our $ErrLogFile = "$LogDir/error.log";

$ENV{TEST_NGINX_SERVER_PORT} = $ServerPort;
$ENV{TEST_NGINX_SERVER_ROOT} = $ServRoot;

our $RepeatEach = 1;
our $Workers = 1;
our $WorkerConnections = 64;
our $Master = 'off';
our $LogLevel = $ENV{TEST_NGINX_LOG_LEVEL} || 'debug';
our $Timeout = $ENV{TEST_NGINX_TIMEOUT} || 3;
our $Shuffle = 1;
our $RootLocation = 1;

our (@Preprocessors, @CleanupHandlers, @Env);
our ($NginxPid, $TcpPid);
our $LogPos = 0;

my $Bad = qr/\[(?:alert|crit|emerg)\]|Sanitizer|runtime error:
             |\bAssertion\b.*\bfailed\b/x;


# settings -------------------------------------------------------------------

sub repeat_each { $RepeatEach = shift if @_; $RepeatEach }
sub workers { $Workers = shift if @_; $Workers }
sub worker_connections { $WorkerConnections = shift if @_; $WorkerConnections }
sub master_on { $Master = 'on' }
sub master_off { $Master = 'off' }
sub log_level { $LogLevel = shift if @_; $LogLevel }
sub no_shuffle { $Shuffle = 0 }
sub no_root_location { $RootLocation = 0 }
sub add_block_preprocessor (&) { unshift @Preprocessors, shift }
sub add_cleanup_handler { unshift @CleanupHandlers, shift }
sub server_port { $ServerPort = shift if @_; $ServerPort }
sub server_root { $ServRoot }
sub html_dir { $HtmlDir }
sub server_name { $ServerName = shift if @_; $ServerName }
sub timeout { $Timeout = shift if @_; $Timeout }
sub env_to_nginx { push @Env, @_ }
sub no_long_string { }


sub bail_out {
    cleanup();
    Test::More::BAIL_OUT(join '', @_);
}


# a pause of the runner itself, between two looks at something
sub pause {
    select undef, undef, undef, 0.01;
}


sub free_port {
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
        or die "no free port: $!\n";

    return $socket->sockport;
}


sub seconds {
    my ($time) = @_;

    return undef if !defined $time;

    $time =~ s/\s+\z//;

    return $time =~ /^([\d.]+)ms$/ ? $1 / 1000 : $time =~ s/s$//r;
}


# running --------------------------------------------------------------------

sub run_tests {
    my @blocks = Test::Base::blocks();

    for my $block ($Shuffle ? shuffle @blocks : @blocks) {
        $_->($block) for @Preprocessors;

        next if defined $block->SKIP;

        $block->set_value(name => "$0 " . $block->name);
        run_block($block);
    }

    cleanup();
}


sub run_block {
    my ($block) = @_;
    my $name = $block->name;
    my $ports = {};

    bail_out("$name - no \"config\"") if !defined $block->config;

    make_server_root();
    write_files($block, $ports);
    write_config($block, $ports);

    $LogPos = 0;

    if (defined $block->must_die) {
        must_die($block, $_) for 0 .. $RepeatEach - 1;
        return;
    }

    start_nginx($name);

    if (defined $block->init) {
        eval $block->init;
        bail_out("$name - init: $@") if $@;
    }

    for my $i (0 .. $RepeatEach - 1) {
        my $query = start_tcp($block, $ports);

        run_requests($block, $i, $ports);
        check_tcp($block, $query);
    }

    stop_nginx($name);
    check_last_words($block);
}


sub must_die {
    my ($block, $repeat) = @_;
    my $name = $block->name;
    my $until = time() + 10;
    my $status;

    spawn_nginx();

    while (1) {
        if (waitpid($NginxPid, WNOHANG) > 0) {
            $status = $?;
            undef $NginxPid;
            last;
        }

        last if -s $PidFile || time() > $until;

        pause();
    }

    if (!defined $status) {
        Test::More::fail("$name - die as expected");
        Test::More::diag('nginx has started');
        stop_nginx($name);

    } elsif ($status & 127) {
        Test::More::fail("$name - die as expected");
        Test::More::diag('nginx was killed by signal ' . ($status & 127));

    } elsif (looks_like_number($block->must_die)) {
        Test::More::is($status >> 8, $block->must_die + 0,
                       "$name - die with the expected exit code");

    } else {
        Test::More::isnt($status, 0, "$name - die as expected");
    }

    check_error_log($block, $repeat);
}


sub run_requests {
    my ($block, $repeat, $ports) = @_;
    my $name = $block->name;
    my @requests = requests_of($block, $ports);
    my $pipelined = $block->pipelined_requests;
    my $n = $pipelined ? @$pipelined : @requests;
    my $many = $n > 1 || defined $pipelined;
    my ($raw, $head);

    for my $i (0 .. $n - 1) {

        if (!$pipelined || $i == 0) {
            ($raw, $head) = talk($block, $requests[$i]);
        }

        if (!defined $block->ignore_response) {
            my ($response, $headers, $left) = parse($raw, $head);

            $raw = $left;

            check_code($block, $response, $i, $many);
            check_raw_headers($block, $headers, $i, $many);
            check_headers($block, $response, $headers, $i, $many);
            check_body($block, $response, $i, $many, $repeat);
        }

        select undef, undef, undef, seconds(scalar $block->wait) if $block->wait;

        check_error_log($block, $repeat);
    }
}


# the server root ------------------------------------------------------------

sub make_server_root {
    remove_tree($HtmlDir, $LogDir, $ConfDir, glob "$ServRoot/*_temp");

    my $mask = umask 022;

    make_path($HtmlDir, $LogDir, $ConfDir);
    umask $mask;
}


sub expand {
    my ($text, $ports) = @_;

    return '' if !defined $text;

    $text =~ s{\$(TEST_NGINX_[_A-Z0-9]+)}{
        my $name = $1;

        if ($name =~ /^TEST_NGINX_RAND_PORT_\d+$/) {
            $ports->{$name} //= free_port();

        } elsif (!defined $ENV{$name}) {
            bail_out("environment $name is not set");

        } else {
            $ENV{$name};
        }
    }eg;

    return $text;
}


sub write_files {
    my ($block, $ports) = @_;
    my $files = $block->user_files or return;

    if (!ref $files) {
        my @parts = split /^>>> (\S+)(?:[ \t]+(\S+))?[ \t]*\n/m, $files;

        shift @parts;
        $files = [];

        while (@parts) {
            my ($path, $date, $body) = splice @parts, 0, 3;

            push @$files, [$path, $body, $date];
        }
    }

    for my $file (@$files) {
        my ($path, $body, $date) = @$file;

        $path = "$HtmlDir/$path" if $path !~ m{^/};
        make_path($1) if $path =~ m{^(.*)/};

        write_file($path, expand($body, $ports));

        if (defined $date) {
            system('touch', '-t', $date, $path) == 0
                or bail_out("cannot touch $path");
        }
    }
}


sub write_file {
    my ($path, $text) = @_;

    open my $out, '>:raw', $path or bail_out("cannot write $path: $!");
    print $out $text;
    close $out or bail_out("cannot write $path: $!");
}


sub write_config {
    my ($block, $ports) = @_;
    my $level = $block->log_level || $LogLevel;
    my $modules = join '', map { "load_module $_;\n" }
                           split ' ', $ENV{TEST_NGINX_LOAD_MODULES} // '';
    my $env = join '', map { "env $_;\n" } @Env;
    my $user = $> == 0 ? 'user root;' : '';
    my $root = $RootLocation
               ? "location / { root $HtmlDir; index index.html index.htm; }"
               : '';
    my %part = map { $_ => expand(scalar $block->$_, $ports) }
               qw( main_config http_config config post_main_config );

    chomp $level;

    write_file($ConfFile, <<"END");
worker_processes $Workers;
daemon off;
master_process $Master;
error_log $ErrLogFile $level;
pid $PidFile;
env ASAN_OPTIONS;
env UBSAN_OPTIONS;
env LSAN_OPTIONS;
$env$modules
$part{main_config}

http {
    access_log $LogDir/access.log;
    default_type text/plain;
    keepalive_timeout 68;

    client_body_temp_path client_body_temp;
    proxy_temp_path proxy_temp;
    fastcgi_temp_path fastcgi_temp;
    uwsgi_temp_path uwsgi_temp;
    scgi_temp_path scgi_temp;

$part{http_config}

    server {
        listen $ServerPort;
        server_name '$ServerName';
        client_max_body_size 30m;

$part{config}

        $root
    }
}

$part{post_main_config}

events {
    accept_mutex off;
    worker_connections $WorkerConnections;
}

$user
END
}


# processes ------------------------------------------------------------------

sub spawn_nginx {
    my @command = ($NginxBinary, '-p', "$ServRoot/", '-c', $ConfFile,
                   '-e', $ErrLogFile);

    if ($ENV{TEST_NGINX_USE_VALGRIND}) {
        unshift @command, 'valgrind', '-q', '--num-callers=40';
    }

    unlink $PidFile;

    $NginxPid = fork // bail_out("cannot fork: $!");

    return if $NginxPid != 0;

    umask 022;
    open STDOUT, '>', '/dev/null';
    open STDERR, '>>', "$LogDir/stderr.log";

    exec { $command[0] } @command or POSIX::_exit(127);
}


sub start_nginx {
    my ($name) = @_;
    my $until = time() + ($ENV{TEST_NGINX_USE_VALGRIND} ? 60 : 15);

    spawn_nginx();

    while (time() < $until) {

        if (waitpid($NginxPid, WNOHANG) > 0) {
            undef $NginxPid;
            bail_out("$name - nginx does not start: ",
                     join '', grep { /\[emerg\]/ }
                              split /^/, read_file("$LogDir/stderr.log"));
        }

        if (-s $PidFile
            && IO::Socket::INET->new(PeerAddr => $ServerAddr,
                                     PeerPort => $ServerPort))
        {
            return;
        }

        pause();
    }

    bail_out("$name - nginx does not listen on port $ServerPort");
}


# asks nicely first; a process that does not hear is killed
sub stop_nginx {
    my ($name) = @_;

    return if !defined $NginxPid;

    for my $signal (qw( QUIT TERM KILL )) {
        my $until = time() + ($ENV{TEST_NGINX_USE_VALGRIND} ? 30 : 8);

        kill $signal, $NginxPid;

        while (time() < $until) {

            if (waitpid($NginxPid, WNOHANG) != 0) {
                my $status = $?;

                undef $NginxPid;

                if ($signal ne 'QUIT') {
                    Test::More::fail("$name - nginx stopped after $signal");

                } elsif ($status != 0) {
                    Test::More::fail("$name - nginx ended with $status");
                }

                return;
            }

            pause();
        }
    }

    bail_out("$name - nginx $NginxPid cannot be killed");
}


sub cleanup {
    $_->() for splice @CleanupHandlers;

    if (defined $TcpPid) {
        kill 'KILL', $TcpPid;
        waitpid $TcpPid, 0;
        undef $TcpPid;
    }

    if (defined $NginxPid) {
        kill 'TERM', $NginxPid;
        waitpid $NginxPid, 0;
        undef $NginxPid;
    }
}


# the exit status is that of the tests, whatever is reaped here
sub END {
    local $?;

    cleanup();
}


# a server that a block asks for ---------------------------------------------

sub start_tcp {
    my ($block, $ports) = @_;
    my $target = $block->tcp_listen;

    return undef if !defined $target;

    my $name = $block->name;
    my $want = $block->tcp_query_len // length($block->tcp_query // '');
    my $query = File::Temp->new;
    my $delay = seconds(scalar $block->tcp_reply_delay);
    my $reply = $block->tcp_reply;

    bail_out("$name - no tcp_reply") if !defined $reply;

    chomp $target;
    $target = expand($target, $ports);

    my $listen = $target =~ /^\d+$/
        ? IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5,
                                LocalPort => $target, ReuseAddr => 1)
        : IO::Socket::UNIX->new(Local => $target, Listen => 5);

    bail_out("$name - cannot listen on $target: $!") if !$listen;

    $TcpPid = fork // bail_out("cannot fork: $!");

    if ($TcpPid != 0) {
        return $query;
    }

    local $SIG{PIPE} = 'IGNORE';

    while (my $socket = $listen->accept) {
        my $got = '';

        do {
            sysread $socket, $got, 65536, length $got or last;
        } while (length $got < $want);

        write_file($query->filename, $got);

        select undef, undef, undef, $delay if $delay;

        my $said = ref $reply eq 'CODE' ? $reply->($got) : $reply;

        print $socket $_ for ref $said ? @$said : $said;
        close $socket;
    }

    POSIX::_exit(0);
}


sub check_tcp {
    my ($block, $query) = @_;

    return if !defined $query;

    my $name = $block->name;
    my $got = read_file($query->filename);

    kill 'KILL', $TcpPid;
    waitpid $TcpPid, 0;
    undef $TcpPid;

    if (defined $block->tcp_query) {
        same($got, $block->tcp_query, "$name - tcp_query ok");
    }

    if (defined $block->tcp_query_len) {
        Test::More::is(length $got, $block->tcp_query_len,
                       "$name - TCP query length ok");
    }
}


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
