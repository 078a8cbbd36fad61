"""Python: the standard library, urllib3, and programs with a User-Agent of their own."""

from typing import Final

from reuse_proxy.ledger.advice.guide import Advice, Guide
from reuse_proxy.ledger.advice.python import REQUESTS

_TUNNELS: Final = "Each short tunnel for https:// costs a connection to its origin"
_SHORTER: Final = "Send HEAD or a Range where the body is not wanted."
_TRUST: Final = "SSL_CERT_FILE"

_HTTP_CLIENT: Final = (
    "from http.client import HTTPConnection",
    "",
    'connection = HTTPConnection("127.0.0.1", 4128)  # reuse-proxy, once',
    'connection.request("GET", "http://origin.example/path")',
    "body = connection.getresponse().read()",
)
URLLIB: Final = Guide(
    connection_per_request=Advice(
        "urllib.request sends Connection: close with every request and reuses nothing",
        (
            (
                "Use a library with a pool: requests.Session, httpx.Client or"
                " urllib3.PoolManager."
            ),
            (
                "Or keep one http.client.HTTPConnection open, and read each response to its"
                " end."
            ),
        ),
        _HTTP_CLIENT,
    ),
    abandons_body=Advice(
        "Responses are closed before they were read to their end",
        (
            (
                "Call read() on every response of urlopen() or getresponse(), on HTTPError"
                " as well."
            ),
            _SHORTER,
        ),
        (
            "with urllib.request.urlopen(url, timeout=10) as response:",
            "    body = response.read()",
        ),
    ),
    never_reads=Advice(
        "Responses are held, neither read nor closed",
        (
            "Open them in a with statement, so that errors close them too.",
            "Read each to its end before you ask for the next.",
        ),
        (
            "with urllib.request.urlopen(url, timeout=10) as response:",
            "    body = response.read()",
        ),
    ),
    unpoolable_tunnels=Advice(
        "urllib.request opens a tunnel for each https:// request",
        (
            (
                "Use a library that keeps its tunnels: requests.Session, httpx.Client or"
                " urllib3.PoolManager."
            ),
        ),
    ),
    keep_alive="urllib.request cannot do without it, so use another library",
    trust=_TRUST,
)

_MANAGER: Final = (
    'http = urllib3.ProxyManager("http://127.0.0.1:4128", maxsize=10)  # once',
    'response = http.request("GET", url)',
)
_URLLIB3_STREAM: Final = (
    'response = http.request("GET", url, preload_content=False)',
    "try:",
    "    handle(response.read(65536))",
    "finally:",
    "    response.drain_conn()",
    "    response.release_conn()",
)
URLLIB3: Final = Guide(
    connection_per_request=Advice(
        "A manager made for each request, or a pool smaller than the number of threads,"
        " drops its connections",
        (
            "Make one ProxyManager for the program, and share it among threads.",
            "Give it a maxsize of as many threads as use it: it is 1 by default.",
        ),
        _MANAGER,
    ),
    abandons_body=Advice(
        "With preload_content=False, a response that is closed before its end takes its"
        " connection along",
        (
            "Call drain_conn() and then release_conn() on every such response.",
            _SHORTER,
        ),
        _URLLIB3_STREAM,
    ),
    never_reads=Advice(
        "Responses of preload_content=False are held, neither read nor released",
        ("Read, drain and release them in a finally clause.",),
        _URLLIB3_STREAM,
    ),
    unpoolable_tunnels=Advice(
        _TUNNELS,
        ("Make one ProxyManager for all requests: it keeps its tunnels.",),
        _MANAGER,
    ),
    keep_alive='remove "Connection: close" from its headers',
    trust=_TRUST,
)

_ONE_CLIENT: Final = (
    "Make one requests.Session, httpx.Client or aiohttp.ClientSession for the program."
)
PYTHON: Final = Guide(
    connection_per_request=Advice(
        "A function such as requests.get(), or a client made for each request, opens a"
        " connection each time",
        (
            _ONE_CLIENT,
            "Replace urllib.request, which cannot keep a connection.",
        ),
        REQUESTS.connection_per_request.code,
    ),
    abandons_body=Advice(
        "A streamed response that is closed before its end takes its connection along",
        (
            "Read streamed responses to their end, or do not stream them.",
            _SHORTER,
        ),
        REQUESTS.abandons_body.code,
    ),
    never_reads=Advice(
        "Streamed responses are held, neither read nor closed",
        ("Open them in a with statement, and read each to its end.",),
        REQUESTS.abandons_body.code,
    ),
    unpoolable_tunnels=Advice(
        _TUNNELS, (_ONE_CLIENT,), REQUESTS.unpoolable_tunnels.code
    ),
    keep_alive='remove "Connection: close" from its headers, or leave urllib.request',
    trust="SSL_CERT_FILE, for requests REQUESTS_CA_BUNDLE",
)
