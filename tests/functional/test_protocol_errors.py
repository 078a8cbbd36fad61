"""Our own answers to failures: rows A86 to A89 of the requirements."""

import asyncio
import socket

import pytest

from tests.support.client import request_bytes
from tests.support.own_errors import assert_own_error, assert_refused, assert_untouched

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def closed_port():
    """A port on loopback where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


BROKEN = [
    (b"", 502, "connection_terminated"),
    (OK + b"Content-Length: 1\r\n", 502, "http_response_incomplete"),
    (OK + b"X-A: %b\r\n" % (b"a" * 70_000), 502, "http_response_header_section_size"),
    (OK + b"X-A: 1\r\n" * 300 + b"\r\n", 502, "http_response_header_section_size"),
    (OK + b"Transfer-Encoding: gzip\r\n\r\n", 502, "http_response_transfer_coding"),
    (b"secret-bytes 220 ready\r\n\r\n", 502, "http_protocol_error"),
    (OK + b"X-A : secret-bytes\r\n\r\n", 502, "http_protocol_error"),
    (
        b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
        502,
        "http_protocol_error",
    ),
    (
        b"HTTP/1.1 101 Switch\r\nUpgrade: secret-bytes\r\n\r\n",
        502,
        "http_upgrade_failed",
    ),
]


@pytest.mark.parametrize(("data", "status", "error"), BROKEN)
async def test_a86_a87_a_failed_response_names_its_failure(
    client, make_origin, data, status, error
):
    """The status of RFC 9209, its word, and nothing of what the origin sent."""

    async def script(connection):
        await connection.request()
        await connection.send(data)

    origin = await make_origin(script)
    response = await client.get(f"{origin.url}/")

    assert_own_error(response, status, error)
    assert b"secret-bytes" not in response.body
    assert response.value("Connection") is None


async def test_a86_a87_a_refused_connection_is_502(client, closed_port):
    """The error type tells it from a name that does not exist."""
    response = await client.get(f"http://origin.test:{closed_port}/")

    assert_own_error(response, 502, "connection_refused")


async def test_a86_a87_an_unknown_name_is_502(client, names):
    """The resolver says so, and is asked once."""
    for _ in range(2):
        response = await client.get("http://nowhere.invalid/")

        assert_own_error(response, 502, "dns_error")
    assert names.lookups == ["nowhere.invalid"]


async def test_a86_a87_a_slow_lookup_is_504(make_proxy, make_client, names):
    """Looking up is part of connecting, and bounded with it."""
    names.hold = asyncio.Event()
    client = await make_client(await make_proxy(connect_timeout=0.2))
    response = await client.get("http://origin.test/")

    assert_own_error(response, 504, "dns_timeout")


async def test_a86_a87_an_origin_that_does_not_accept_is_504(make_proxy, make_client):
    """A listener with a full backlog drops what else comes."""
    with socket.socket() as listener, socket.socket() as filling:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        filling.connect(listener.getsockname())
        client = await make_client(await make_proxy(connect_timeout=0.3))
        url = f"http://origin.test:{listener.getsockname()[1]}/"
        response = await client.get(url)

    assert_own_error(response, 504, "connection_timeout")


async def test_a86_a87_an_origin_that_does_not_answer_is_504(
    make_proxy, make_client, origin
):
    """The request was sent; not a byte comes back."""
    client = await make_client(await make_proxy(response_timeout=0.3))
    response = await client.get(f"{origin.url}/wait")

    assert_own_error(response, 504, "connection_read_timeout")
    assert origin.accepted == 1


@pytest.mark.parametrize("settings", [{"max_queue": 0}, {"queue_timeout": 0.2}])
async def test_a86_a87_no_room_is_503_and_says_when_to_try_again(
    make_proxy, make_client, origin, settings
):
    """The queue is full, or its time is up."""
    service = await make_proxy(max_per_origin=1, dial_patience=0, **settings)
    first, second = await make_client(service), await make_client(service)
    await first.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 1)
    response = await second.get(f"{origin.url}/")
    origin.release.set()

    assert_own_error(response, 503, "connection_limit_reached")
    assert response.value("Retry-After") == "1"
    assert (await first.response()).body == b"done"
    assert origin.accepted == 1


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://origin.test:25/", "http_request_denied"),
        ("http://169.254.169.254/", "destination_ip_prohibited"),
        ("http://metadata.test/", "destination_ip_prohibited"),
    ],
)
async def test_a86_a87_policy_is_403(client, names, url, error):
    """Which rule it was stands in the sentence."""
    names.table["metadata.test"] = ["169.254.169.254"]
    response = await client.get(url)

    assert_own_error(response, 403, error)
    assert b"(deny_" in response.body


async def test_a86_a87_a_failure_of_our_own_is_500(client, names):
    """A resolver that breaks its contract stands for any bug; nothing of it shows."""
    names.table["bug.test"] = ["no address at all"]
    response = await client.get("http://bug.test/")

    assert_own_error(response, 500, "proxy_internal_error")
    assert b"no address" not in response.body


async def test_a88_a_401_of_the_origin_stays_a_401(client, make_origin):
    """407 would send the origin's password prompt to the proxy's user."""

    async def script(connection):
        await connection.request()
        await connection.reply(b"", b'WWW-Authenticate: Basic realm="x"', status=401)

    origin = await make_origin(script)
    response = await client.get(f"{origin.url}/")

    assert response.status == 401
    assert response.values("WWW-Authenticate") == ['Basic realm="x"']
    assert response.values("Proxy-Authenticate") == []


@pytest.mark.parametrize(
    "target", ["http://nowhere.invalid/", "http://origin.test:25/", "/", "/x"]
)
async def test_a89_an_error_to_head_has_its_fields_and_no_body(client, target):
    """Content-Length is what GET would have been told."""
    request = f"{{}} {target} HTTP/1.1\r\nHost: h\r\n\r\n"
    await client.send(request.format("GET").encode())
    full = await client.response()
    await client.send(request.format("HEAD").encode())
    response = await client.response("HEAD")

    assert response.status == full.status >= 400
    assert response.body == b""
    assert response.value("Content-Length") == str(len(full.body))
    assert response.values("Proxy-Status") == full.values("Proxy-Status")


async def test_a89_an_error_outside_the_request_leaves_the_connection_open(
    client, origin
):
    """The framing is certain, so the next request is served."""
    failed = await client.get("http://nowhere.invalid/")
    response = await client.get(f"{origin.url}/")

    assert failed.value("Connection") is None
    assert response.body == b"hello"


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03secret\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"<secret>\r\n\r\n",
        b"GET http://h/\x00secret HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET http://h/ HTTP/1.1\r\nHost: h\r\nX-secret\x1b[31m: 1\r\n\r\n",
    ],
)
async def test_a89_what_is_not_http_is_refused_without_being_echoed(
    client, origin, raw
):
    """Framing is uncertain: a sentence of ours, and the close."""
    await client.send(raw)
    response = await client.response()

    assert response.status in (400, 505)
    assert_own_error(response, response.status)
    assert response.value("Connection") == "close"
    assert b"secret" not in response.body
    assert await client.rest() == b""
    assert_untouched(origin)


async def test_a89_an_error_about_an_upload_closes_after_it(client):
    """What is left of the body would be read as a request."""
    raw = request_bytes(
        "http://nowhere.invalid/", "Content-Length: 9", method="POST", body=b"part"
    )
    await client.send(raw)
    response = await client.response("POST")
    await client.send(b"-rest")

    assert_own_error(response, 502, "dns_error")
    assert response.value("Connection") == "close"
    assert await client.rest() == b""


async def test_a89_a_request_for_the_proxy_itself_is_told_what_this_is(client):
    """A browser pointed at the port gets a page that helps."""
    await client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    response = await client.response()

    assert response.status == 400
    assert b"HTTP_PROXY=http://127.0.0.1:" in response.body
    await assert_refused(client, b"GET /x HTTP/1.1\r\n\r\n")


GET = b"GET http://127.0.0.1/ HTTP/1.1\r\n"
POST = b"POST http://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.mark.parametrize(
    ("raw", "status", "words"),
    [
        (GET + b"\r\n", 400, "no Host field"),
        (GET + b"Host: a\r\nHost: b\r\n\r\n", 400, "more than one Host"),
        (GET + b"Host: a\r\nsecret x: 1\r\n\r\n", 400, "Invalid header token"),
        (GET.replace(b"1.1", b"1.2") + b"\r\n", 400, "Invalid HTTP version"),
        (
            POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "Transfer-Encoding can't be present with Content-Length",
        ),
        (POST + b"Content-Length: secret\r\n\r\n", 400, "character in Content-Length"),
        (b"GET http://127.0.0.1/secret\xe9 HTTP/1.1\r\n", 400, "percent-encoded"),
        (b"GET http:///secret HTTP/1.1\r\nHost: a\r\n\r\n", 400, "host or port"),
        (b"GET http://[::secret::]/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "host"),
        (b"GET http://[::::]/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "no IPv6 address"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "is TLS"),
        (b"FOOBAR http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 400, "HTTP_PROXY"),
    ],
)
async def test_a86_a_refused_request_is_told_what_is_wrong_with_it(
    client, raw, status, words
):
    """In a sentence that quotes nothing of the request."""
    await client.send(raw)
    response = await client.response()

    assert response.status == status
    assert response.value("Proxy-Status") == "reuse-proxy; error=http_request_error"
    assert words in response.body.decode()
    assert b"secret" not in response.body
