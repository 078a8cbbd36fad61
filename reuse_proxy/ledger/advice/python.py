"""Python: requests, httpx and aiohttp; the rest is in ``python_others``."""

from typing import Final

from reuse_proxy.ledger.advice.guide import Advice, Guide

_TUNNELS: Final = "Each short tunnel for https:// costs a connection to its origin"
_SHORTER: Final = "Send HEAD or a Range where the body is not wanted."
_TRUST: Final = "SSL_CERT_FILE"

_SESSION: Final = (
    "session = requests.Session()  # once, not for each request",
    "response = session.get(url, timeout=10)",
)
_REQUESTS_STREAM: Final = (
    "with session.get(url, stream=True, timeout=10) as response:",
    "    for chunk in response.iter_content(65536):",
    "        handle(chunk)",
)
REQUESTS: Final = Guide(
    connection_per_request=Advice(
        "requests.get() and its like open a Session for each call and close it",
        (
            "Make one requests.Session, and call its get() and post() instead.",
            (
                "Keep a Session for each thread: requests does not promise that they may"
                " share one."
            ),
        ),
        _SESSION,
    ),
    abandons_body=Advice(
        "With stream=True, a response that is closed before its end takes its"
        " connection along",
        (
            "Leave out stream=True, or read the response to its end.",
            (
                "Do not rely on the with statement: it closes the connection if anything is"
                " unread."
            ),
            _SHORTER,
        ),
        _REQUESTS_STREAM,
    ),
    never_reads=Advice(
        "Responses of stream=True are held, neither read nor closed",
        (
            "Open streamed responses in a with statement, so that errors close them too.",
            "Read each to its end before you ask for the next.",
        ),
        _REQUESTS_STREAM,
    ),
    unpoolable_tunnels=Advice(
        _TUNNELS,
        ("Make one requests.Session for all requests: it keeps its tunnels.",),
        _SESSION,
    ),
    keep_alive='remove "Connection: close" from session.headers and from calls',
    trust="REQUESTS_CA_BUNDLE",
)

_CLIENT: Final = (
    "client = httpx.Client(limits=httpx.Limits(keepalive_expiry=30))  # once",
    "response = client.get(url)",
)
_HTTPX_STREAM: Final = (
    'with client.stream("GET", url) as response:',
    "    for chunk in response.iter_bytes():",
    "        handle(chunk)",
)
HTTPX: Final = Guide(
    connection_per_request=Advice(
        "httpx.get() and its like open a Client for each call and close it",
        (
            "Make one httpx.Client or AsyncClient for the program, and call its methods.",
            (
                "Raise keepalive_expiry, 5 seconds by default, if requests are further"
                " apart."
            ),
        ),
        _CLIENT,
    ),
    abandons_body=Advice(
        "A stream() block that is left before the body's end closes its connection",
        (
            (
                "Read the response to its end in the block: read(), or a loop over"
                " iter_bytes()."
            ),
            "Use get() instead of stream() where the body is small.",
            _SHORTER,
        ),
        _HTTPX_STREAM,
    ),
    never_reads=Advice(
        "Streamed responses are held, neither read nor closed",
        (
            "Use stream() as a context manager, so that errors close the response too.",
            "Close what send(..., stream=True) returns, with close() or aclose().",
        ),
        _HTTPX_STREAM,
    ),
    unpoolable_tunnels=Advice(
        _TUNNELS,
        (
            "Make one httpx.Client or AsyncClient for all requests: it keeps its tunnels.",
        ),
        _CLIENT,
    ),
    keep_alive='remove "Connection: close" from the headers of client and calls',
    trust=_TRUST,
)

_CLIENT_SESSION: Final = (
    "async def main():",
    "    async with aiohttp.ClientSession(trust_env=True) as session:  # once",
    "        for url in urls:",
    "            async with session.get(url) as response:",
    "                body = await response.read()",
)
AIOHTTP: Final = Guide(
    connection_per_request=Advice(
        "A ClientSession for each request has a pool of its own, which ends with it",
        (
            "Make one ClientSession for the whole program, and close it at the end.",
            "Read every body in its async with block.",
        ),
        _CLIENT_SESSION,
    ),
    abandons_body=Advice(
        "A body that is still arriving when its async with block ends takes its"
        " connection along",
        (
            "Call await response.read() in the block, also where only the status counts.",
            "Do not rely on release(): it reads nothing.",
            _SHORTER,
        ),
        _CLIENT_SESSION,
    ),
    never_reads=Advice(
        "Responses are held, neither read nor closed",
        (
            "Use async with session.get(...), so that errors close the response too.",
            "Read the body before you await anything slow.",
        ),
        _CLIENT_SESSION,
    ),
    unpoolable_tunnels=Advice(
        _TUNNELS,
        ("Make one ClientSession for the whole program: it keeps its tunnels.",),
        _CLIENT_SESSION,
    ),
    keep_alive=(
        'remove force_close=True from the TCPConnector, and "Connection: close" from'
        " headers"
    ),
    trust=_TRUST,
)
