"""Ruby: Net::HTTP, net-http-persistent and Faraday."""

from typing import Final

from reuse_proxy.ledger.advice.guide import Advice, Guide

_STARTED: Final = (
    "Net::HTTP.start(uri.host, uri.port) do |http|",
    "  paths.each { |path| puts http.get(path).body }",
    "end",
)
_READ: Final = (
    "http.request_get(path) do |response|",
    "  response.read_body { |chunk| file.write(chunk) }",
    "end",
)

RUBY: Final = Guide(
    connection_per_request=Advice(
        "Net::HTTP.get, URI.open, and requests outside of a start block open a"
        " connection each time",
        (
            "Send the requests inside of one Net::HTTP.start block.",
            (
                "Or use the gem net-http-persistent, or Faraday with its adapter"
                " :net_http_persistent."
            ),
            (
                "Raise keep_alive_timeout, 2 seconds by default, if requests are further"
                " apart."
            ),
        ),
        _STARTED,
    ),
    abandons_body=Advice(
        "A read_body block that is left by break or an error takes its connection along",
        (
            "Let read_body run to the end of the body.",
            "Send HEAD or a Range where the body is not wanted.",
            "Call flush on responses of the gem http whose body you ignore.",
        ),
        _READ,
    ),
    never_reads=Advice(
        "Responses are held whose bodies are not read",
        (
            "Let read_body run to the end, and do nothing slow in its block.",
            "Call flush on responses of the gem http whose body you ignore.",
        ),
        _READ,
    ),
    unpoolable_tunnels=Advice(
        "Each short tunnel for https:// costs a connection to its origin",
        (
            (
                "Use one Net::HTTP.start block, or net-http-persistent, which keep their"
                " tunnels."
            ),
        ),
        (
            "Net::HTTP.start(uri.host, uri.port, use_ssl: true) do |http|",
            *_STARTED[1:],
        ),
    ),
    keep_alive="call start first, since Net::HTTP adds it to requests outside of start",
    trust="SSL_CERT_FILE",
)
