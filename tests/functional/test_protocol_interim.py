"""Interim responses, Expect and Upgrade: rows A55 to A60 of the requirements."""

import asyncio

import pytest

from tests.support.client import request_bytes
from tests.support.own_errors import (
    assert_own_error,
    assert_refused,
    assert_untouched,
)

EXPECT = "Expect: 100-continue"
FINAL = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def upload(origin, *fields, body=b"", length=5):
    """Spell a POST of five bytes, with or without them."""
    lines = (f"Content-Length: {length}", *fields)
    return request_bytes(f"{origin.url}/", *lines, method="POST", body=body)


async def test_a55_interim_responses_arrive_in_order_before_the_final_one(
    client, make_origin
):
    """Early hints are of use only while the final response is being made."""

    async def script(connection):
        await connection.request()
        await connection.send(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X-A\r\nX-A: 1\r\n\r\n"
            b"HTTP/1.1 102 Processing\r\n\r\n"
        )
        await connection.origin.release.wait()
        await connection.send(FINAL)

    origin = await make_origin(script)
    await client.send(request_bytes(f"{origin.url}/"))
    early = await client.reader.readuntil(b"102 Processing\r\n\r\n")
    origin.release.set()
    response = await client.response()

    assert early == (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    )
    assert (response.status, response.body) == (200, b"hello")


async def test_a55_a_client_of_http_1_0_gets_no_interim_response(client, make_origin):
    """It would take it for the final one."""

    async def script(connection):
        await connection.request()
        await connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", FINAL)

    origin = await make_origin(script)
    await client.send(b"GET %b/ HTTP/1.0\r\n\r\n" % origin.url.encode())

    received = await client.until_closed()
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Link" not in received


async def test_a55_a63_an_interim_response_carries_no_framing(client, make_origin):
    """Content-Length and Transfer-Encoding have no place on 1xx."""

    async def script(connection):
        await connection.request()
        await connection.send(
            b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\nX-A: 1\r\n\r\n", FINAL
        )

    origin = await make_origin(script)
    await client.send(request_bytes(f"{origin.url}/"))

    early = await client.reader.readuntil(b"\r\n\r\n")
    assert early == b"HTTP/1.1 103 Early Hints\r\nX-A: 1\r\n\r\n"
    assert (await client.response()).body == b"hello"


async def test_a55_interim_responses_without_end_are_an_error(client, make_origin):
    """A hundred are more than anybody needs."""

    async def script(connection):
        await connection.request()
        await connection.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 10_000)
        await connection.closed()

    origin = await make_origin(script)
    response = await client.get(f"{origin.url}/")

    assert_own_error(response, 502, "http_protocol_error")
    assert len(response.interim) <= 100


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a56_expect_is_forwarded_and_the_body_waits_for_the_origins_100(
    client, make_origin, framing
):
    """The client is not told to continue by us."""

    async def script(connection):
        request = await connection.head()
        await connection.origin.release.wait()
        await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await connection.body(request)
        await connection.reply(request.body)

    origin = await make_origin(script)
    if framing == "length":
        head, body = upload(origin, EXPECT), b"hello"
    else:
        fields = (EXPECT, "Transfer-Encoding: chunked")
        head = request_bytes(f"{origin.url}/", *fields, method="POST")
        body = b"5\r\nhello\r\n0\r\n\r\n"
    await client.send(head)
    await origin.until(lambda: len(origin.requests) == 1)
    origin.release.set()
    interim = await client.reader.readuntil(b"\r\n\r\n")
    await client.send(body)
    response = await client.response("POST")

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert response.body == b"hello"
    assert origin.requests[0].values(b"expect") == [b"100-continue"]


@pytest.mark.parametrize("status", [417, 401, 403, 200])
async def test_a56_a_final_answer_instead_of_100_is_relayed_without_the_body(
    client, make_origin, status
):
    """The origin does not want the body, so it gets none of it."""
    after = asyncio.get_running_loop().create_future()

    async def script(connection):
        await connection.head()
        await connection.reply(b"hello", status=status)
        after.set_result(await connection.closed())

    origin = await make_origin(script)
    await client.send(upload(origin, EXPECT))
    response = await client.response("POST")
    await client.send(b"body!")

    assert (response.status, response.interim) == (status, [])
    assert response.value("Connection") == "close"
    assert await after == b""
    assert await client.rest() == b""


async def test_a56_our_own_refusal_comes_at_once(make_proxy, make_client, origin):
    """413 without reading a byte of the body, and without 100."""
    client = await make_client(await make_proxy(max_request_body=4))
    await client.send(upload(origin, EXPECT))
    response = await client.response("POST")

    assert_own_error(response, 413)
    assert response.interim == []
    assert_untouched(origin)


async def test_a57_an_origin_that_ignores_expect_gets_the_body_after_a_second(
    client, make_origin
):
    """Both sides waiting for each other would never end."""

    async def script(connection):
        await connection.request()
        await connection.send(FINAL)

    origin = await make_origin(script)
    await client.send(upload(origin, EXPECT, body=b"12345"))

    assert (await client.response("POST")).body == b"hello"
    assert origin.requests[0].body == b"12345"


async def test_a58_expect_of_http_1_0_is_ignored(client, origin):
    """The body follows at once, and no 100 is asked for."""
    raw = upload(origin, EXPECT, body=b"12345").replace(b"HTTP/1.1", b"HTTP/1.0")
    await client.send(raw)
    response = await client.response("POST")

    assert (response.status, response.interim) == (200, [])
    assert origin.requests[0].values(b"expect") == []
    assert origin.requests[0].body == b"12345"


async def test_a58_expect_without_a_body_is_not_forwarded(client, origin):
    """There is nothing to continue with."""
    response = await client.get(f"{origin.url}/", EXPECT)

    assert (response.status, response.interim) == (200, [])
    assert origin.requests[0].values(b"expect") == []


@pytest.mark.parametrize("value", ["200-ok", "100-continue, x", ""])
async def test_a58_an_unknown_expectation_is_417(client, origin, value):
    """We cannot promise what we do not understand."""
    raw = upload(origin, f"Expect: {value}", body=b"12345")

    await assert_refused(client, raw, 417, method="POST")
    assert_untouched(origin)


@pytest.mark.parametrize(
    ("version", "protocol"),
    [
        (b"HTTP/1.0", "websocket"),
        (b"HTTP/1.0", "h2c"),
        (b"HTTP/1.1", "h2c"),
        (b"HTTP/1.1", "h2c, HTTP/2.0"),
    ],
)
async def test_a59_upgrade_is_stripped_and_the_request_served_without(
    client, origin, version, protocol
):
    """HTTP/1.0 knows none, and HTTP/2 could not be pooled: the origin never sees it."""
    fields = (f"Upgrade: {protocol}", "Connection: Upgrade, HTTP2-Settings")
    raw = request_bytes(f"{origin.url}/", *fields, "HTTP2-Settings: AAA")
    await client.send(raw.replace(b"HTTP/1.1", version))
    response = await client.response()

    assert (response.status, response.body) == (200, b"hello")
    for name in (b"upgrade", b"connection", b"http2-settings"):
        assert origin.requests[0].values(name) == []


@pytest.mark.parametrize("fields", [[], ["Upgrade: websocket", "Connection: Upgrade"]])
@pytest.mark.parametrize("at_once", [True, False])
async def test_a59_a60_a_101_that_nobody_asked_the_origin_for_is_502(
    make_proxy, make_client, make_origin, fields, at_once
):
    """None of its bytes reach the client, and its connection is not used again."""
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"

    async def script(connection):
        await connection.request()
        if connection.number == 1:
            await connection.send(switch, b"tunnel bytes" if at_once else b"")
            await connection.closed()
        await connection.reply(b"hello")

    origin = await make_origin(script)
    service = await make_proxy()
    client = await make_client(service)
    first = await client.get(f"{origin.url}/", *fields)
    client = await make_client(service)
    second = await client.get(f"{origin.url}/")

    assert first.interim == []
    assert_own_error(first, 502, "http_upgrade_failed")
    assert second.body == b"hello"
    assert origin.accepted == 2


async def test_a60_bytes_sent_ahead_of_an_upgrade_are_not_served_as_requests(
    client, origin
):
    """An optimistic client's next bytes belong to the other protocol."""
    fields = ("Upgrade: websocket", "Connection: Upgrade")
    await client.send(
        request_bytes(f"{origin.url}/", *fields),
        request_bytes(f"{origin.url}/smuggled"),
    )

    received = await client.until_closed()
    assert received.count(b"HTTP/1.1 200") == 1
    assert [request.target for request in origin.requests] == [b"/"]
