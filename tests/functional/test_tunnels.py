"""CONNECT as an opaque pipe, from the first byte on: row A79 of the requirements."""

import asyncio
import os

import pytest

from tests.support.client import request_bytes
from tests.support.programs import need, run
from tests.support.tunnels import (
    behind,
    connect_bytes,
    echo,
    echoed,
    need_ipv6,
    opened,
)


async def test_a79_the_answer_has_no_framing_and_the_tunnel_starts_behind_it(
    tunnelling, make_origin, make_client
):
    """Neither Content-Length nor Transfer-Encoding; the next byte is the origin's."""
    origin = await make_origin(echo)
    client = await make_client(await tunnelling(origin))
    await client.send(connect_bytes(origin.authority))

    head = await client.reader.readuntil(b"\r\n\r\n")

    assert head == b"HTTP/1.1 200 Connection Established\r\n\r\n"
    assert await echoed(client, b"\x16\x03\x01\0\xff") == b"\x16\x03\x01\0\xff"


@pytest.mark.parametrize("size", [5, 200_000])
async def test_a79_bytes_in_one_packet_with_the_connect_head_arrive_in_order(
    tunnelling, make_origin, make_client, size
):
    """An optimistic client does not wait for the answer."""
    early = os.urandom(size)
    origin = await make_origin(echo)
    client = await make_client(await tunnelling(origin))

    await client.send(connect_bytes(origin.authority), early)
    await client.reader.readuntil(b"\r\n\r\n")

    assert await client.reader.readexactly(size) == early
    assert await echoed(client, b"later") == b"later"


@pytest.mark.parametrize("size", [5, 200_000])
async def test_a79_bytes_that_come_before_the_answer_arrive_in_order(
    tunnelling, make_origin, make_client, names, size
):
    """Also more of them than are held: the client is stopped meanwhile."""
    names.hold = asyncio.Event()
    early = os.urandom(size)
    origin = await make_origin(echo)
    proxy = await tunnelling(origin)
    client = await make_client(proxy)
    await client.send(connect_bytes(origin.authority))
    await origin.until(lambda: bool(names.lookups))

    for at in range(0, size, 1000):
        await client.send(early[at : at + 1000])
    names.hold.set()
    await client.reader.readuntil(b"\r\n\r\n")

    assert await client.reader.readexactly(size) == early


async def test_a79_bytes_that_the_origin_sends_at_once_follow_the_answer(
    tunnelling, make_origin, make_client
):
    """Mail servers and the like speak first."""

    async def greet(connection):
        await connection.send(b"220 welcome\r\n")
        await echo(connection)

    origin = await make_origin(greet)
    proxy = await tunnelling(origin)
    for _ in range(10):
        client = await make_client(proxy)
        await client.send(connect_bytes(origin.authority), b"EHLO\r\n")

        assert await client.reader.readuntil(b"\r\n\r\n") == (
            b"HTTP/1.1 200 Connection Established\r\n\r\n"
        )
        assert await client.reader.readexactly(19) == b"220 welcome\r\nEHLO\r\n"


async def test_a80_what_an_origin_sends_before_it_closes_at_once_is_delivered(
    tunnelling, make_origin, make_client
):
    """As the daytime service does; then both sides are closed."""

    async def tell(connection):
        await connection.send(b"12:00\r\n")

    origin = await make_origin(tell)
    proxy = await tunnelling(origin)
    for _ in range(10):
        client = await make_client(proxy)
        await client.send(connect_bytes(origin.authority))

        assert await client.until_closed() == (
            b"HTTP/1.1 200 Connection Established\r\n\r\n12:00\r\n"
        )


@pytest.mark.parametrize("path", ["", "bytes/100000"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_connect_follows_a_plain_request_on_the_same_connection(
    tunnelling, make_origin, make_client, path, at_once
):
    """Pipelined or not: nothing of the response is lost, nor of the tunnel."""
    plain, origin = await make_origin(), await make_origin(echo)
    client = await make_client(await tunnelling(origin))
    first = request_bytes(f"{plain.url}/{path}")
    connect = connect_bytes(origin.authority)
    await client.send(first, *((connect, b"early") if at_once else ()))
    response = await client.response()
    if not at_once:
        await client.send(connect, b"early")

    assert response.status == 200
    assert response.value("Connection") is None
    assert await behind(client, b"early") == (
        b"HTTP/1.1 200 Connection Established\r\n\r\nearly"
    )
    assert await echoed(client, b"later") == b"later"


async def test_tls_is_between_the_client_and_the_origin(
    tunnelling, tls_origin, make_client, authority
):
    """The client verifies the origin's own certificate, and no field of ours is seen."""
    client = await opened(make_client, await tunnelling(tls_origin), tls_origin)
    await client.start_tls(authority.client(), "origin.test")

    responses = [await client.ask("/bytes/300000", "Host: a") for _ in range(2)]

    assert [len(response.body) for response in responses] == [300_000] * 2
    assert responses[0].value("Via") is None
    assert tls_origin.requests[0].lines == [b"Host: a"]
    assert tls_origin.accepted == 1


async def test_curl_with_proxytunnel_talks_plain_http(tunnelling, origin):
    """Every one of its requests has a tunnel of its own: nothing can be reused."""
    proxy = await tunnelling(origin)
    command = (need("curl"), "-sSfp", "-x", proxy.url, f"{origin.url}/bytes/9")

    assert [await run(*command) for _ in range(2)] == ["x" * 9] * 2

    assert origin.accepted == 2
    assert [request.values(b"via") for request in origin.requests] == [[], []]


async def test_a_head_that_comes_in_pieces_opens_a_tunnel(
    tunnelling, make_origin, make_client
):
    """Byte by byte, the tunnel's first ones in the last packet."""
    origin = await make_origin(echo)
    client = await make_client(await tunnelling(origin))
    head = connect_bytes(origin.authority)
    for at in range(len(head) - 1):
        await client.send(head[at : at + 1])
        await asyncio.sleep(0)
    await client.send(head[-1:], b"early")

    await client.reader.readuntil(b"\r\n\r\n")

    assert await client.reader.readexactly(5) == b"early"


async def test_a_client_of_http_1_0_may_connect(tunnelling, make_origin, make_client):
    """Old clients do, and send no Host."""
    origin = await make_origin(echo)
    client = await make_client(await tunnelling(origin))
    await client.send(b"CONNECT %b HTTP/1.0\r\n\r\nearly" % origin.authority)

    head = await client.reader.readuntil(b"\r\n\r\n")

    assert head == b"HTTP/1.1 200 Connection Established\r\n\r\n"
    assert await client.reader.readexactly(5) == b"early"


async def test_an_ipv6_literal_may_be_connected_to(
    tunnelling, make_origin, make_client
):
    """In brackets, as an authority spells it."""
    need_ipv6()
    origin = await make_origin(echo, host="::1", name="[::1]")
    client = await opened(make_client, await tunnelling(origin), origin)

    assert await echoed(client, b"hello") == b"hello"
