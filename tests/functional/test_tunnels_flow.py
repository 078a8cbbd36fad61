"""How bytes flow in a tunnel, and how they end: row A80 of the requirements."""

import asyncio
import hashlib
import os

import pytest

from tests.support.client import request_bytes
from tests.support.tunnels import (
    MIB,
    connect_bytes,
    digest,
    gone,
    held,
    idle,
    only,
    opened,
    pour,
)

# tunnel.py's upper mark for one direction, and the most that a loop reads at once.
MOST_HELD = 256 * 1024 + 256 * 1024
# More than the kernel's buffers of both hops can take.
FLOOD = 64 * MIB


async def test_a80_a_client_that_ends_its_side_still_gets_everything(
    tunnelling, make_origin, make_client
):
    """The origin sees the end, and answers after it."""
    after = os.urandom(MIB)

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
    data = os.urandom(4 * MIB)
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
    data = os.urandom(4 * MIB)

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


async def test_a80_what_has_come_of_an_origin_before_its_reset_is_delivered(
    tunnelling, make_origin, make_client
):
    """Though the client reads it later."""
    origin = await make_origin(idle)
    proxy = await tunnelling(origin)
    client = await opened(make_client, proxy, origin)
    await origin.until(lambda: origin.open == 1)
    tunnel, sent = only(proxy), 0
    while not held(tunnel):
        await origin.connections[0].send(bytes(MIB // 8))
        sent += MIB // 8
        await origin.until(lambda n=sent: tunnel.origin.received == n)

    origin.connections[0].reset()
    await origin.until(lambda: tunnel.origin.transport is None)

    assert await digest(client.reader) == hashlib.sha256(bytes(sent)).hexdigest()
    await gone(proxy)


async def test_random_bytes_both_ways_at_the_same_time_arrive_unchanged(
    tunnelling, make_origin, make_client
):
    """Eight mebibytes each."""
    up, down = (os.urandom(8 * MIB) for _ in range(2))
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


@pytest.mark.parametrize("early", [b"", b"early"])
async def test_a80_a_client_that_ends_its_side_with_its_connect_is_served(
    tunnelling, make_origin, make_client, early
):
    """In one packet, or nearly: what it asked for is not over with that."""

    async def script(connection):
        received = await connection.closed()
        await connection.send(b"got %d" % len(received))

    origin = await make_origin(script)
    proxy = await tunnelling(origin)
    for _ in range(10):
        client = await make_client(proxy)
        await client.send(connect_bytes(origin.authority), early)
        client.shut_writing()

        assert (await client.until_closed()).endswith(b"got %d" % len(early))


@pytest.mark.parametrize("side", ["client", "origin"])
async def test_a80_a_reset_is_passed_on_as_a_reset(
    tunnelling, make_origin, make_client, side
):
    """What was cut off must not look complete to the other side."""
    ends: asyncio.Queue[str] = asyncio.Queue()

    async def script(connection):
        await connection.reader.readexactly(1)
        if side == "origin":
            connection.reset()
            return
        try:
            await connection.reader.read()
            ends.put_nowait("end")
        except ConnectionResetError:
            ends.put_nowait("reset")

    origin = await make_origin(script)
    client = await opened(make_client, await tunnelling(origin), origin)
    await client.send(b"x")
    if side == "origin":
        assert await client.was_reset()
        return
    await origin.until(lambda: not origin.connections[0].reader._buffer)
    client.reset()
    async with asyncio.timeout(5):
        assert await ends.get() == "reset"
