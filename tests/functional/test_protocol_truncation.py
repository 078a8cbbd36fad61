"""Exchanges that end early or speak out of turn: rows A70 to A73."""

import asyncio
import contextlib

import h11
import pytest

from tests.support.client import request_bytes
from tests.support.own_errors import assert_own_error

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ENDS = ["close", "reset"]


@pytest.fixture
async def cut_short(make_origin):
    """Make an origin that sends some bytes and then ends the connection."""

    async def make(data, how, *, wait=False):
        async def script(connection):
            await connection.request()
            await connection.send(data)
            if wait:
                await connection.origin.release.wait()
            if how == "reset":
                connection.reset()

        return await make_origin(script)

    return make


@pytest.mark.parametrize("how", ENDS)
async def test_a70_a_short_counted_body_stays_short(client, cut_short, how):
    """The client gets the length that was promised and fewer bytes, then the close."""
    origin = await cut_short(OK + b"Content-Length: 9\r\n\r\npart", how, wait=True)
    await client.send(request_bytes(f"{origin.url}/"))
    head = await client.reader.readuntil(b"part")
    origin.release.set()

    assert b"\r\nContent-Length: 9\r\n" in head
    assert await client.until_closed() == b""


@pytest.mark.parametrize("how", ENDS)
async def test_a70_a_chunked_body_without_end_gets_no_last_chunk(
    client, cut_short, how
):
    """A last chunk of ours would make it whole."""
    origin = await cut_short(CHUNKED + b"4\r\npart\r\n", how, wait=True)
    await client.send(request_bytes(f"{origin.url}/"))
    await client.reader.readuntil(b"4\r\npart\r\n")
    origin.release.set()

    assert await client.until_closed() == b""


@pytest.mark.parametrize("how", ENDS)
async def test_a70_a_client_of_http_1_0_is_reset_where_a_close_would_look_complete(
    client, cut_short, how
):
    """Its body has no other end than the connection's."""
    origin = await cut_short(CHUNKED + b"4\r\npart\r\n", how, wait=True)
    await client.send(b"GET %b/ HTTP/1.0\r\n\r\n" % origin.url.encode())
    await client.reader.readuntil(b"part")
    origin.release.set()

    assert await client.was_reset()


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("data", [b"", b"HTTP/1.1", OK, OK + b"Content-Length: 5\r\n"])
async def test_a70_an_end_before_the_head_is_complete_is_502(
    client, cut_short, data, how
):
    """Nothing has been sent to the client yet, so it can be told."""
    origin = await cut_short(data, how)
    response = await client.get(f"{origin.url}/")

    if how == "close" and data:
        assert_own_error(response, 502, "http_response_incomplete")
    else:
        error = response.value("Proxy-Status").partition("error=")[2]
        assert error in ("connection_terminated", "http_response_incomplete")
        assert_own_error(response, 502, error)


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
async def test_a71_a_body_that_ends_with_a_reset_is_incomplete(
    client, cut_short, version
):
    """Only a FIN ends a body that has no length."""
    origin = await cut_short(OK + b"\r\npart", "reset", wait=True)
    await client.send(b"GET %b/ %b\r\nHost: h\r\n\r\n" % (origin.url.encode(), version))
    await client.reader.readuntil(b"part")
    origin.release.set()

    if version == b"HTTP/1.0":
        assert await client.was_reset()
    else:
        assert await client.until_closed() == b"\r\n"


async def test_a71_a_body_that_ends_with_a_close_is_complete(client, cut_short):
    """The client of HTTP/1.1 gets it chunked, and its connection lives on."""
    origin = await cut_short(OK + b"\r\nwhole", "close")
    for _ in range(2):
        response = await client.get(f"{origin.url}/")

        assert response.body == b"whole"
    assert origin.accepted == 2


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize(
    ("framing", "body"),
    [
        ("Content-Length: 9", b"part"),
        ("Transfer-Encoding: chunked", b"4\r\npart\r\n"),
        ("Transfer-Encoding: chunked", b"9\r\npart"),
    ],
)
async def test_a72_an_aborted_upload_is_aborted_upstream(
    client, make_origin, framing, body, how
):
    """Neither padded nor terminated, and never followed by another request."""
    received = asyncio.get_running_loop().create_future()

    async def script(connection):
        await connection.head()
        data = b""
        with contextlib.suppress(ConnectionError):
            while piece := await connection.reader.read(65536):
                data += piece
                connection.origin.release.set()
        received.set_result(data)

    origin = await make_origin(script)
    await client.send(
        request_bytes(f"{origin.url}/", framing, method="POST", body=body)
    )
    await origin.release.wait()
    if how == "reset":
        client.reset()
    else:
        await client.close()

    async with asyncio.timeout(5):
        data = await received
    assert data in (b"part", b"4\r\npart\r\n")


@pytest.mark.parametrize(
    "surplus",
    [
        OK + b"Content-Length: 4\r\n\r\nevil",
        OK,
        b"H",
        b"evil",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("GET", OK + b"Content-Length: 4\r\n\r\ngood"),
        ("GET", CHUNKED + b"4\r\ngood\r\n0\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        ("HEAD", OK + b"Content-Length: 4\r\n\r\n"),
    ],
)
async def test_a73_bytes_that_nobody_asked_for_are_never_a_response(
    client, make_origin, surplus, at_once, method, head
):
    """In the response's own packet or later: the connection is closed instead."""

    async def script(connection):
        await connection.request()
        if connection.number > 1:
            await connection.reply(b"new")
            return
        await connection.send(head + surplus if at_once else head)
        if not at_once:
            await connection.origin.release.wait()
            await connection.send(surplus)
        await connection.closed()

    origin = await make_origin(script)
    first = await client.get(f"{origin.url}/", method=method)
    origin.release.set()
    await origin.until(lambda: origin.open == 0)
    second = await client.get(f"{origin.url}/")

    assert first.status == int(head[9:12])
    assert first.body in (b"", b"good")
    assert second.body == b"new"
    assert origin.accepted == 2


@pytest.mark.parametrize("at_once", [True, False])
async def test_a73_an_empty_line_after_a_response_is_no_response_either(
    client, make_origin, at_once
):
    """RFC 9112 section 9.2 allows to ignore it; the next response is the right one."""

    async def script(connection):
        for number in range(2):
            await connection.request()
            await connection.send(OK, b"Content-Length: 1\r\n\r\n%d" % number)
            if not at_once:
                await connection.origin.release.wait()
            await connection.send(b"\r\n")

    origin = await make_origin(script)
    first = await client.get(f"{origin.url}/")
    origin.release.set()
    second = await client.get(f"{origin.url}/")

    assert first.body == b"0"
    assert second.body == (b"1" if origin.accepted == 1 else b"0")


async def test_a70_h11_takes_none_of_these_for_complete(client, cut_short):
    """The independent parser agrees that the body is cut short."""
    origin = await cut_short(CHUNKED + b"4\r\npart\r\n", "close")
    with pytest.raises(h11.RemoteProtocolError, match="incomplete chunked"):
        await client.get(f"{origin.url}/")


async def test_a70_an_error_of_our_own_amid_a_body_is_no_part_of_it(
    client, cut_short, monkeypatch, caplog
):
    """A page that says 500 would be taken for the rest of what was promised."""

    def fail(*_, **__):
        raise TypeError("a mistake of ours")

    monkeypatch.setattr("reuse_proxy.downstream.reply.Reply.send_body", fail)
    origin = await cut_short(
        OK + b"Content-Length: 300\r\n\r\npart", "close", wait=True
    )
    await client.send(request_bytes(f"{origin.url}/"))
    await client.reader.readuntil(b"\r\n\r\npart")
    origin.release.set()
    for connection in origin.connections:
        await connection.send(b"more")

    assert await client.until_closed() == b""
    assert "an error of our own" in caplog.text
