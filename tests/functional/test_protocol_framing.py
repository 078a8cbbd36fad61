"""Where responses end: rows A61 to A69, A74, A75 and A78 of the requirements."""

import pytest

from tests.support.client import request_bytes
from tests.support.own_errors import assert_own_error

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 404 No\r\nContent-Length: 7\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 204 No\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 400\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    ],
)
async def test_a61_a62_a63_a_response_without_body_ends_with_its_head(
    client, make_origin, method, head
):
    """Whatever its framing says; both connections serve the next request."""

    async def script(connection):
        await connection.request()
        await connection.send(head)
        await connection.request()
        await connection.reply(b"next")

    origin = await make_origin(script)
    response = await client.get(f"{origin.url}/", method=method)
    following = await client.get(f"{origin.url}/")

    lengths = ["400"] if b"400" in head else ["7"] if b": 7" in head else []
    assert response.body == b""
    assert response.values("Content-Length") == lengths
    assert response.values("Transfer-Encoding") == []
    assert following.body == b"next"
    assert origin.accepted == 1


async def test_a63_a_client_of_http_1_0_gets_no_transfer_encoding(client, origin):
    """A body without a length ends with its connection."""
    await client.send(b"GET %b/chunked/5 HTTP/1.0\r\n\r\n" % origin.url.encode())

    head, _, body = (await client.until_closed()).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"\r\nConnection: close" in head
    assert body == b"yyyyy"


BAD_HEADS = [
    pytest.param(b"Content-Length: 3\r\nContent-Length: 4\r\n", id="a64-differing"),
    pytest.param(b"Content-Length: 3\r\nContent-Length: 3\r\n", id="a64-identical"),
    pytest.param(b"Content-Length: 3, 3\r\n", id="a64-list"),
    pytest.param(b"Content-Length: +3\r\n", id="a64-sign"),
    pytest.param(b"Content-Length: -3\r\n", id="a64-negative"),
    pytest.param(b"Content-Length: 0x3\r\n", id="a64-hexadecimal"),
    pytest.param(b"Content-Length: \r\n", id="a64-empty"),
    pytest.param(b"Content-Length: 3 3\r\n", id="a64-blank-inside"),
    pytest.param(b"Content-Length: %d\r\n" % 2**63, id="a64-huge"),
    pytest.param(b"Content-Length: %d\r\n" % (2**64 + 3), id="a64-overflowing"),
    pytest.param(
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", id="a65-length-first"
    ),
    pytest.param(
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", id="a65-coding-first"
    ),
    pytest.param(b"Content-Length : 3\r\n", id="a66-space-before-colon"),
    pytest.param(b"Content-Length: 3\r\nX-A : 1\r\n", id="a66-any-field"),
    pytest.param(b"Content-Length: 3\r\nX-A: 1\r\n 2\r\n", id="a67-folded"),
    pytest.param(b" X-A: 1\r\nContent-Length: 3\r\n", id="a67-before-the-first"),
    *(
        pytest.param(
            b"Content-Length: 3\r\nX-A: a%cb\r\n" % code, id=f"a68-control-{code:02x}"
        )
        for code in (0x00, 0x01, 0x07, 0x08, 0x0A, 0x0B, 0x0C, 0x0D, 0x1B, 0x1F, 0x7F)
    ),
]


@pytest.mark.parametrize("fields", BAD_HEADS)
async def test_a64_to_a68_a_malformed_response_head_is_502(client, make_origin, fields):
    """It is discarded whole, and so is its connection; none of it is shown."""

    async def script(connection):
        await connection.request()
        await connection.send(OK, b"X-B: secret\r\n", fields, b"\r\nabc")
        await connection.closed()

    origin = await make_origin(script)
    response = await client.get(f"{origin.url}/")
    await origin.until(lambda: origin.open == 0)

    assert_own_error(response, 502, "http_protocol_error")
    assert b"secret" not in response.body
    assert response.value("X-B") is None


@pytest.mark.parametrize(
    "coding",
    [
        b"gzip",
        b"gzip, chunked",
        b"chunked, gzip",
        b"identity",
        b"xchunked",
        b"chunked,",
    ],
)
async def test_a69_a_coding_that_we_cannot_decode_is_502(client, make_origin, coding):
    """Coded bytes are never handed on as content."""

    async def script(connection):
        await connection.request()
        await connection.send(OK, b"Transfer-Encoding: %b\r\n\r\n" % coding)
        await connection.send(b"3\r\nabc\r\n0\r\n\r\n")

    origin = await make_origin(script)
    response = await client.get(f"{origin.url}/")

    assert response.status == 502
    error = response.value("Proxy-Status").partition("error=")[2]
    assert error in ("http_response_transfer_coding", "http_protocol_error")
    assert_own_error(response, 502, error)


@pytest.mark.parametrize(
    "line",
    [
        *(b"HTTP/1.1 999 Odd", b"HTTP/1.1 600 Odd", b"HTTP/1.1 099 Odd"),
        *(
            b"HTTP/2.0 200 OK",
            b"HTTP/0.9 200 OK",
            b"HTTP/1.1 20 OK",
            b"HTTP/1.1 2000 OK",
        ),
        *(
            b"HTTP/1.1 OK",
            b"hello",
            b"ICY 200 OK",
            b"<html>secret",
            b"\x16\x03\x01\x02",
        ),
    ],
)
async def test_a78_a_status_line_that_is_not_http_1_is_502(client, make_origin, line):
    """Other versions, other numbers, other protocols."""

    async def script(connection):
        await connection.request()
        await connection.send(line, b"\r\nContent-Length: 3\r\n\r\nabc")
        await connection.closed()

    origin = await make_origin(script)
    response = await client.get(f"{origin.url}/")

    assert_own_error(response, 502, "http_protocol_error")
    assert b"secret" not in response.body


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        (b"299 Nearly Fine", 299, b"Nearly Fine"),
        (b"399 x", 399, b"x"),
        (b"499 Client: Gone; 100%", 499, b"Client: Gone; 100%"),
        (b"599 ", 599, b""),
        (b"200", 200, b""),
    ],
)
async def test_a78_an_unknown_status_is_forwarded_with_its_reason(
    client, make_origin, line, status, reason
):
    """From 200 to 599 the number is the origin's to choose."""

    async def script(connection):
        await connection.request()
        await connection.send(b"HTTP/1.1 ", line, b"\r\nContent-Length: 3\r\n\r\nabc")

    origin = await make_origin(script)
    response = await client.get(f"{origin.url}/")

    assert (response.status, response.reason) == (status, reason)
    assert response.body == b"abc"


@pytest.mark.parametrize("field", [b"", b"Connection: keep-alive\r\n"])
async def test_a74_a_client_of_http_1_0_has_no_persistent_connection(
    client, origin, field
):
    """Keep-Alive was never safe through proxies that did not know it."""
    await client.send(b"GET %b/ HTTP/1.0\r\n%b\r\n" % (origin.url.encode(), field))

    received = await client.until_closed()
    assert received.startswith(OK.replace(b"OK", b"Fine"))
    assert b"\r\nConnection: close\r\n" in received
    assert received.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize(
    ("version", "field", "connections"),
    [
        (b"HTTP/1.1", b"Connection: close\r\n", 2),
        (b"HTTP/1.1", b"connection: X, CLOSE\r\n", 2),
        (b"HTTP/1.1", b"", 1),
        (b"HTTP/1.0", b"", 2),
        (b"HTTP/1.0", b"Connection: Keep-Alive\r\n", 1),
        (b"HTTP/1.1", b"Connection: keep-alive, close\r\n", 2),
    ],
)
async def test_a75_an_origin_decides_whether_its_connection_is_reused(
    client, make_origin, version, field, connections
):
    """The client's own connection lives on either way."""

    async def script(connection):
        while True:
            await connection.request()
            await connection.send(
                version, b" 200 OK\r\nContent-Length: 3\r\n", field, b"\r\nabc"
            )

    origin = await make_origin(script)
    for _ in range(2):
        response = await client.get(f"{origin.url}/")

        assert response.body == b"abc"
        assert response.values("Connection") == []
    assert origin.accepted == connections


async def test_a75_a_clients_close_does_not_reduce_reuse_upstream(
    proxy, make_client, origin
):
    """Connection is about the client's own hop."""
    for _ in range(5):
        client = await make_client(proxy)
        await client.send(request_bytes(f"{origin.url}/", "Connection: close"))

        received = await client.until_closed()
        assert received.endswith(b"hello")
        assert b"\r\nConnection: close\r\n" in received
    assert origin.accepted == 1
