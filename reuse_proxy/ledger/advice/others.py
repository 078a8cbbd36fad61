"""Perl, .NET, and programs of which nothing is known."""

from typing import Final

from reuse_proxy.ledger.advice.guide import Advice, Guide

_TUNNELS: Final = "Each short tunnel for https:// costs a connection to its origin"
_SHORTER: Final = "Send HEAD or a Range where the body is not wanted."

_LWP: Final = (
    "my $ua = LWP::UserAgent->new(env_proxy => 1, keep_alive => 10); # once",
    "my $response = $ua->get($url);",
)
PERL: Final = Guide(
    connection_per_request=Advice(
        "LWP::UserAgent keeps no connection unless told to, and HTTP::Tiny none to a"
        " proxy",
        (
            "Make one LWP::UserAgent with keep_alive => 10.",
            "Replace HTTP::Tiny by it where connections are to be kept.",
        ),
        _LWP,
    ),
    abandons_body=Advice(
        "max_size, a timeout, or a callback that dies ends a response before its end",
        (
            "Remove or raise max_size and timeout.",
            "Let callbacks return, so that the body is read to its end.",
            _SHORTER,
        ),
    ),
    never_reads=Advice(
        "A callback waits while the response is not read",
        ("Do nothing slow in callbacks: save the body first, with :content_file.",),
        ("my $response = $ua->get($url, ':content_file' => $file);",),
    ),
    unpoolable_tunnels=Advice(
        _TUNNELS,
        ("Make one LWP::UserAgent with keep_alive => 10: it keeps its tunnels.",),
        _LWP,
    ),
    keep_alive="pass keep_alive => 10 to LWP::UserAgent->new",
    trust="PERL_LWP_SSL_CA_FILE, for HTTP::Tiny SSL_CERT_FILE",
)

_HTTP_CLIENT: Final = (
    "static readonly HttpClient Client = new(new SocketsHttpHandler",
    "{",
    "    PooledConnectionLifetime = TimeSpan.FromMinutes(2),",
    "});",
)
_USING: Final = (
    "using var response = await Client.GetAsync(uri);",
    "var body = await response.Content.ReadAsByteArrayAsync();",
)
DOTNET: Final = Guide(
    connection_per_request=Advice(
        "An HttpClient made for each request has a pool of its own, which ends with it",
        (
            "Keep one static HttpClient, or get clients from IHttpClientFactory.",
            "Set PooledConnectionLifetime, so that it notices changes of DNS.",
        ),
        _HTTP_CLIENT,
    ),
    abandons_body=Advice(
        "With ResponseHeadersRead, a response that is disposed of early can take its"
        " connection along",
        (
            "Read the stream to its end before you dispose of the response.",
            (
                "Or raise MaxResponseDrainSize and ResponseDrainTimeout of its"
                " SocketsHttpHandler, 1 MiB and 2 seconds."
            ),
            _SHORTER,
        ),
        _USING,
    ),
    never_reads=Advice(
        "Responses of ResponseHeadersRead are held, neither read nor disposed of",
        (
            "Declare every HttpResponseMessage with using.",
            "Read its content to the end, whatever the status is.",
        ),
        _USING,
    ),
    unpoolable_tunnels=Advice(
        _TUNNELS,
        ("Keep one static HttpClient: it keeps its tunnels.",),
        _HTTP_CLIENT,
    ),
    keep_alive="remove ConnectionClose = true from DefaultRequestHeaders and requests",
    trust="SSL_CERT_FILE on Linux",
)

UNKNOWN: Final = Guide(
    connection_per_request=Advice(
        "The program makes a new HTTP client for each request, or does not let its"
        " client keep connections",
        (
            "Make one client, session or agent for the whole program.",
            "Switch keep-alive on, if its library has it off.",
            "Read every response to its end, and close it.",
        ),
    ),
    abandons_body=Advice(
        "A response that is closed before its end takes its connection along",
        (
            "Read every response to its end before you close it, on errors as well.",
            _SHORTER,
        ),
    ),
    never_reads=Advice(
        "Responses are held that are neither read nor closed",
        (
            "Close every response, on errors as well.",
            "Read it to its end, so that its connection can be used again.",
        ),
    ),
    unpoolable_tunnels=Advice(
        _TUNNELS,
        ("Make one client for the whole program, so that it keeps its tunnels.",),
    ),
    keep_alive="switch keep-alive on in its HTTP client",
    trust="its own setting or SSL_CERT_FILE",
)
