"""Go: net/http."""

from typing import Final

from reuse_proxy.ledger.advice.guide import Advice, Guide

_SHARED: Final = (
    "t := http.DefaultTransport.(*http.Transport).Clone()",
    "t.MaxIdleConnsPerHost = 32",
    "client := &http.Client{Transport: t} // once, not for each request",
)
_CLOSED: Final = (
    "defer resp.Body.Close()",
    "defer io.Copy(io.Discard, resp.Body) // runs first, and reads what is left",
)

GO: Final = Guide(
    connection_per_request=Advice(
        "A Transport made for each request, or a body that is not read and closed,"
        " costs a connection each time",
        (
            "Share one http.Client, and with it one Transport, in the whole program.",
            "Read every body to its end and close it, on errors as well.",
            (
                "Raise MaxIdleConnsPerHost for parallel requests: it is 2 by default, and"
                " the proxy is one host."
            ),
        ),
        _SHARED,
    ),
    abandons_body=Advice(
        "A body that is not read to its end, closed or not, takes its connection along",
        (
            (
                "Read what is left with io.Copy(io.Discard, resp.Body), then close it, on every"
                " path."
            ),
            (
                "Do not count on Go 1.27 alone: its Close reads on in the background, for at"
                " most 256 KiB and 50 ms."
            ),
            "Send HEAD or a Range where the body is not wanted.",
        ),
        _CLOSED,
    ),
    never_reads=Advice(
        "Responses are held whose bodies are neither read nor closed",
        (
            "Defer resp.Body.Close() after the error check of every request.",
            "Find the places with a linter: golangci-lint run --enable bodyclose.",
            "Do not wait for Go 1.27: it drains bodies that are closed, not these.",
        ),
        _CLOSED,
    ),
    unpoolable_tunnels=Advice(
        "Each short tunnel for https:// costs a connection to its origin",
        (
            (
                "Share one http.Client, and read and close every body: its Transport then"
                " keeps the tunnels."
            ),
        ),
        _SHARED,
    ),
    keep_alive=(
        "remove DisableKeepAlives: true from the Transport and Close: true from requests"
    ),
    trust="SSL_CERT_FILE",
)
