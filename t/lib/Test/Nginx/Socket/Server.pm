package Test::Nginx::Socket;

#
# Copyright (C) the ngx_http_comms_module authors
#
# The servers of a block: the server root with its files and configuration,
# the nginx process, and the server that "tcp_listen" asks for.
#

use 5.010;
use strict;
use warnings;

use File::Path qw( make_path remove_tree );
use File::Temp ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use POSIX qw( :sys_wait_h );
use Test::More ();
use Time::HiRes qw( time );

our ($NginxBinary, $ServerAddr, $ServerPort, $ServerName, $ServRoot, $LogDir,
     $HtmlDir, $ConfDir, $ConfFile, $PidFile, $ErrLogFile, $Workers,
     $WorkerConnections, $Master, $LogLevel, $RootLocation, @Env,
     @CleanupHandlers, $NginxPid, $TcpPid);


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

# "dying": nginx is meant to refuse its configuration, and then frees nothing
sub spawn_nginx {
    my ($dying) = @_;
    my @command = ($NginxBinary, '-p', "$ServRoot/", '-c', $ConfFile,
                   '-e', $ErrLogFile);

    if ($ENV{TEST_NGINX_USE_VALGRIND}) {
        unshift @command, 'valgrind', '-q', '--num-callers=40';
    }

    unlink $PidFile;

    $NginxPid = fork // bail_out("cannot fork: $!");

    return if $NginxPid != 0;

    if ($dying) {
        $ENV{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} // (),
                                       'detect_leaks=0';
    }

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


1;
