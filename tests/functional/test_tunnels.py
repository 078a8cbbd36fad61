"""CONNECT as an opaque pipe: rows A79 and A80 of the requirements."""

import asyncio
import hashlib
import random

import pytest

from tests.support.client import request_bytes
from tests.support.tunnels import (
    MIB,
    behind,
    connect_bytes,
    digest,
    echo,
    echoed,
    gone,
    held,
    idle,
    need_ipv6,
    only,
    opened,
    pour,
    tunnelling_to_origins,
)

# tunnel.py's upper mark for one direction, and the most that a loop reads at once.
MOST_HELD = 256 * 1024 + 256 * 1024
# More than the kernel's buffers of both hops can take.
FLOOD = 64 * MIB


@pytest.fixture
async def tunnelling(make_proxy):
    """Start proxies that allow tunnels to given origins."""
    async with tunnelling_to_origins(make_proxy) as make:
        yield make


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
    early = random.Random(1).randbytes(size)
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
    early = random.Random(2).randbytes(size)
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


async def test_a80_a_client_that_ends_its_side_still_gets_everything(
    tunnelling, make_origin, make_client
):
    """The origin sees the end, and answers after it."""
    after = random.Random(3).randbytes(MIB)

    async def answer_the_end(connection):
        await connection.send(await connection.reader.read(), after)

    origin = await make_origin(answer_the_end)
    proxy = await tunnelling(origin)
    client = await opened(make_client, proxy, origin)
    await client.send(b"question")
    client.shut_writing()

    assert await client.until_closed() == b"question" + after
    await gone(proxy)


async def test_a80_an_origin_that_ends_its_side_still_gets_everything(
    tunnelling, make_origin, make_client
):
    """The client sees the end, and sends after it."""
    received = asyncio.get_running_loop().create_future()

    async def end_first(connection):
        await connection.reader.readexactly(1)
        await connection.send(b"no more")
        connection.writer.write_eof()
        received.set_result(await connection.reader.read())

    origin = await make_origin(end_first)
    proxy = await tunnelling(origin)
    client = await opened(make_client, proxy, origin)
    await client.send(b"?")
    assert await client.reader.read() == b"no more"

    await client.send(bytes(MIB))
    client.shut_writing()

    assert await received == bytes(MIB)
    await gone(proxy)


async def test_a80_what_a_client_sends_before_it_closes_is_delivered(
    tunnelling, make_origin, make_client
):
    """Megabytes of it; then the origin sees the end, and both sides are closed."""
    data = random.Random(4).randbytes(4 * MIB)
    received = asyncio.get_running_loop().create_future()

    async def collect(connection):
        received.set_result(await digest(connection.reader))

    origin = await make_origin(collect)
    proxy = await tunnelling(origin)
    client = await opened(make_client, proxy, origin)
    client.writer.write(data)
    await client.close()

    assert await received == hashlib.sha256(data).hexdigest()
    await gone(proxy)


async def test_a80_what_an_origin_sends_before_it_closes_is_delivered(
    tunnelling, make_origin, make_client
):
    """The client sees the end behind the last byte, and need not close first."""
    data = random.Random(5).randbytes(4 * MIB)

    async def tell(connection):
        await connection.reader.readexactly(1)
        await connection.send(data)

    origin = await make_origin(tell)
    proxy = await tunnelling(origin)
    client = await opened(make_client, proxy, origin)
    await client.send(b"?")

    assert await digest(client.reader) == hashlib.sha256(data).hexdigest()
    client.writer.close()
    await gone(proxy)


@pytest.mark.parametrize("side", ["client", "origin"])
async def test_a80_a_reset_of_one_side_closes_the_other(
    tunnelling, make_origin, make_client, side
):
    """Nobody is left waiting."""
    ended = asyncio.get_running_loop().create_future()

    async def wait(connection):
        ended.set_result(await connection.closed())

    origin = await make_origin(wait)
    proxy = await tunnelling(origin)
    client = await opened(make_client, proxy, origin)
    await origin.until(lambda: origin.open == 1)

    if side == "client":
        client.reset()
        assert await ended == b""
    else:
        origin.connections[0].reset()
        assert await client.until_closed() == b""

    await gone(proxy)


async def test_random_bytes_both_ways_at_the_same_time_arrive_unchanged(
    tunnelling, make_origin, make_client
):
    """Eight mebibytes each."""
    up, down = (random.Random(seed).randbytes(8 * MIB) for seed in (6, 7))
    arrived = asyncio.get_running_loop().create_future()

    async def both(connection):
        async def send():
            await connection.send(down)
            connection.writer.write_eof()

        assert await connection.reader.readexactly(1) == b"?"
        seen, _ = await asyncio.gather(digest(connection.reader), send())
        arrived.set_result(seen)

    origin = await make_origin(both)
    proxy = await tunnelling(origin)
    client = await opened(make_client, proxy, origin)

    async def send():
        await client.send(b"?", up)
        client.shut_writing()

    seen, _ = await asyncio.gather(digest(client.reader), send())

    assert seen == hashlib.sha256(down).hexdigest()
    assert await arrived == hashlib.sha256(up).hexdigest()
    await gone(proxy)


@pytest.mark.parametrize("slow", ["client", "origin"])
async def test_a_side_that_does_not_read_stops_the_other_one(
    tunnelling, make_origin, make_client, slow
):
    """What is held stays bounded; once it reads, all of it arrives."""
    origin = await make_origin(idle)
    proxy = await tunnelling(origin)
    client = await opened(make_client, proxy, origin)
    await origin.until(lambda: origin.open == 1)
    ends = [client, origin.connections[0]]
    reads, writes = ends if slow == "client" else reversed(ends)

    sent = await pour(writes.writer, FLOOD)
    most = held(only(proxy))
    writes.writer.write_eof()

    assert sent < FLOOD
    assert 0 < most <= MOST_HELD
    assert await digest(reads.reader) == hashlib.sha256(bytes(sent)).hexdigest()


async def test_a_client_that_has_not_read_its_last_response_is_stopped_too(
    tunnelling, make_origin, make_client
):
    """What waits for it when the tunnel opens does not hide that it does not read."""
    plain, origin = await make_origin(), await make_origin(idle)
    proxy = await tunnelling(origin)
    client = await make_client(proxy)
    (inside,) = proxy.server.connections
    asked = 0
    while not inside.buffered:
        await client.send(request_bytes(f"{plain.url}/bytes/262144"))
        asked += 1
        await plain.until(lambda n=asked: len(plain.requests) == n)
        await plain.until(lambda: inside.idle_since is not None)
    await client.send(connect_bytes(origin.authority))
    await origin.until(lambda: origin.open == 1)
    before = held(only(proxy))

    sent = await pour(origin.connections[0].writer, FLOOD)

    assert sent < FLOOD
    assert held(only(proxy)) <= before + MOST_HELD


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
