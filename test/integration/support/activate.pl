# Opens listening sockets and hands them over as systemd does: activate.pl unix:/path tcp:PORT ... -- COMMAND ...
use strict;
use warnings;
use Socket;

# Descriptors up to this one stay open in the command.
$^F = 50;
my @sockets;
while (defined(my $word = shift @ARGV)) {
    last if $word eq '--';
    my ($kind, $where) = split /:/, $word, 2;
    socket(my $socket, $kind eq 'unix' ? PF_UNIX : PF_INET, SOCK_STREAM, 0) or die "socket: $!";
    setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1);
    bind($socket, $kind eq 'unix' ? pack_sockaddr_un($where) : pack_sockaddr_in($where, INADDR_LOOPBACK)) or die "bind $word: $!";
    listen($socket, 128) or die "listen: $!";
    chmod 0666, $where if $kind eq 'unix';
    push @sockets, $socket;
}
$ENV{LISTEN_FDS} = @sockets;
$ENV{LISTEN_PID} = $$ unless defined $ENV{LISTEN_PID};
exec @ARGV or die "exec: $!";
