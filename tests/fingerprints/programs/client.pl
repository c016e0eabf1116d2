# One request with a library of Perl: `perl client.pl LIBRARY URL NAME VALUE NAME VALUE ...`.
use strict;
use warnings;

my ($library, $url, @headers) = @ARGV;

if ($library eq 'lwp') {
    require LWP::UserAgent;
    LWP::UserAgent->new(ssl_opts => {verify_hostname => 0, SSL_verify_mode => 0})->get($url, @headers);
} elsif ($library eq 'http-tiny') {
    require HTTP::Tiny;
    my %fields = @headers;
    HTTP::Tiny->new(verify_SSL => 0)->get($url, {headers => \%fields});
} elsif ($library eq 'mojo') {
    require Mojo::UserAgent;
    Mojo::UserAgent->new(insecure => 1)->get($url, {@headers});
} elsif ($library eq 'furl') {
    require Furl;
    my %fields = @headers;
    my $agent = delete $fields{'User-Agent'};
    my @options = defined $agent ? (agent => $agent) : ();
    Furl->new(@options, ssl_opts => {SSL_verify_mode => 0})->get($url, [%fields]);
} else {
    die $library;
}
