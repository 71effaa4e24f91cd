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

use File::Spec ();
use IO::Socket::INET ();
use List::Util qw( shuffle );
use POSIX qw( :sys_wait_h );
use Scalar::Util qw( looks_like_number );
use Test::More ();
use Time::HiRes qw( time );

# the same package, by what it is about
use Test::Nginx::Socket::Server ();
use Test::Nginx::Socket::Talk ();
use Test::Nginx::Socket::Check ();

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
our $ServRoot = File::Spec->rel2abs($ENV{TEST_NGINX_SERVROOT}
                                    || 't/servroot');

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

    spawn_nginx(1);

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

        select undef, undef, undef, seconds(scalar $block->wait)
            if $block->wait;

        check_error_log($block, $repeat);
    }
}


1;
