"""Java: java.net.http, HttpURLConnection, Apache HttpClient and OkHttp."""

from typing import Final

from reuse_proxy.ledger.advice.guide import Advice, Guide

_SHARED: Final = (
    "HttpClient client = HttpClient.newHttpClient(); // once, not for each request",
    "HttpResponse<String> response = client.send(request, BodyHandlers.ofString());",
)
_READ: Final = (
    "try (InputStream body = response.body()) {",
    "    body.transferTo(OutputStream.nullOutputStream());",
    "}",
)

JAVA: Final = Guide(
    connection_per_request=Advice(
        "A client built for each request has a pool of its own, which ends with it",
        (
            "Build one HttpClient or OkHttpClient, and share it.",
            "Give Apache's HttpClient one PoolingHttpClientConnectionManager.",
            (
                "Read the stream of an HttpURLConnection to its end, then close it, instead"
                " of disconnect()."
            ),
        ),
        _SHARED,
    ),
    abandons_body=Advice(
        "A stream that is closed before its end takes its connection along",
        (
            (
                "Read what is left, of getErrorStream() as well, or use"
                " BodyHandlers.discarding()."
            ),
            "Call EntityUtils.consume(entity) of Apache's HttpClient before close().",
            "Read an OkHttp body to its end: close() reads on for 100 ms only.",
        ),
        _READ,
    ),
    never_reads=Advice(
        "Responses are held whose streams are neither read nor closed",
        (
            "Open every response and stream in try-with-resources.",
            "Read it in there to its end, whatever the status is.",
        ),
        _READ,
    ),
    unpoolable_tunnels=Advice(
        "Each short tunnel for https:// costs a connection to its origin",
        ("Build one client and share it: it keeps its tunnels.",),
        _SHARED,
    ),
    keep_alive='remove -Dhttp.keepAlive=false, and the header "Connection: close"',
    trust="-Djavax.net.ssl.trustStore",
)
