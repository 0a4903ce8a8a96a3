# Receives datagrams on a unix socket ("@name": an abstract one) and prints each on a line, with | for its line ends.
use strict;
use warnings;
use Socket;

$| = 1;
my $address = shift @ARGV;
$address =~ s/^\@/\0/;
socket(my $socket, PF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
bind($socket, pack_sockaddr_un($address)) or die "bind: $!";
chmod 0666, $address unless $address =~ /^\0/;
print "listening\n";
while (defined recv($socket, my $text, 8192, 0)) {
    $text =~ s/\n/|/g;
    print "$text\n";
}
