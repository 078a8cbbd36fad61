"""Clients that never read must not keep an origin from the others (design D8)."""

import asyncio
import contextlib
import socket

import pytest

from tests.support.client import Client, request_bytes
from tests.support.serving import serving

MIB = 1024 * 1024
NEVER_READERS = 64
OTHERS = 8
CAP = 8


def never_reader(address, url):
    """Send a request and read nothing; the kernel may take what it likes."""
    sock = socket.create_connection((address.host, address.port))
    sock.sendall(request_bytes(url))
    return sock


async def slowest_of_the_others(origin):
    """Return how long the slowest of eight readers waits beside 64 never-readers."""
    loop = asyncio.get_running_loop()
    accepted, asked = origin.accepted, len(origin.requests)
    with contextlib.ExitStack() as sockets:
        async with serving("--max-per-origin", str(CAP)) as server:
            url = f"{origin.url}/bytes/{8 * MIB}"
            for _ in range(NEVER_READERS):
                sockets.enter_context(never_reader(server.listening, url))
            await origin.until(lambda: len(origin.requests) == asked + CAP)

            async def other():
                started = loop.time()
                async with Client(server.listening) as client:
                    assert (await client.get(f"{origin.url}/bytes/5")).body == b"xxxxx"
                return loop.time() - started

            waits = await asyncio.gather(*(other() for _ in range(OTHERS)))
    assert origin.accepted - accepted <= CAP
    return max(waits)


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_sixty_four_never_readers_delay_others_by_less_than_three_seconds(origin):
    """Eight connections, sixty-four bodies of 8 MiB that nobody reads.

    The best of three tries: what else the machine does only ever adds to it.
    """
    origin.name = "127.0.0.1"
    waits: list[float] = []
    while not waits or (min(waits) >= 3 and len(waits) < 3):
        waits.append(await slowest_of_the_others(origin))

    assert min(waits) < 3


async def test_the_next_never_reader_gets_less_time_than_the_first(
    make_proxy, make_origin
):
    """However long its response is in coming: nobody has a spool meanwhile."""
    loop = asyncio.get_running_loop()
    started: list[float] = []

    async def script(connection):
        while True:
            request = await connection.request()
            if request.target == b"/small":
                await connection.reply(b"small")
                continue
            if started:
                await connection.origin.release.wait()
            started.append(loop.time())
            with contextlib.suppress(ConnectionError):
                await connection.reply(bytes(8 * MIB))

    origin = await make_origin(script)
    proxy = await make_proxy(max_per_origin=1, drain_timeout="10s")
    address = proxy.listening[0]
    with contextlib.ExitStack() as sockets:
        for _ in range(2):
            sockets.enter_context(never_reader(address, f"{origin.url}/big"))
        async with Client(address) as other:
            await other.send(request_bytes(f"{origin.url}/small"))
            await origin.until(lambda: len(origin.requests) == 2)
            await origin.until(lambda: not len(proxy.stall_watch))
            await asyncio.sleep(0.1)
            origin.release.set()
            assert (await other.response()).body == b"small"
    (pool,) = proxy.session.pool.origins.values()

    assert proxy.stall_watch.stalls == 2
    assert loop.time() - started[1] < started[1] - started[0]
    assert proxy.stall_watch.is_suspicious(pool)


async def test_a_client_that_reads_slowly_is_left_alone_while_nobody_waits(
    proxy, origin, make_client
):
    """Pauses of a second are no stall when nobody else wants the origin."""
    client = await make_client(proxy)
    await client.send(request_bytes(f"{origin.url}/bytes/{8 * MIB}"))
    received = 0
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    while received < 8 * MIB:
        received += len(await client.reader.read(4 * MIB))
        if received < 6 * MIB:
            await asyncio.sleep(0.1)

    assert received == 8 * MIB
    assert proxy.stall_watch.stalls == 0


async def test_what_is_held_for_slow_clients_stays_below_its_total(make_proxy, origin):
    """Ten bodies that nobody reads under a spool of two megabytes in all.

    Each may pass it by what a connection holds: 256 KiB, and one read of 256 KiB.
    """
    proxy = await make_proxy(spool_total="2 MiB", spool_per_response="1 MiB")
    highest = 0
    with contextlib.ExitStack() as sockets:
        for _ in range(10):
            url = f"{origin.url}/bytes/{16 * MIB}"
            sockets.enter_context(never_reader(proxy.listening[0], url))
        await origin.until(lambda: len(origin.requests) == 10)
        for _ in range(20):
            await asyncio.sleep(0.05)
            highest = max(highest, sum(c.buffered for c in proxy.server.connections))

    assert 0 < highest <= 2 * MIB + 10 * MIB // 2


@pytest.mark.parametrize("pause", [0.05, 0.15])
async def test_a_client_that_keeps_reading_is_not_reset_for_those_who_wait(
    make_proxy, origin, make_client, pause
):
    """One connection, a body of 8 MiB read in small bites, and somebody waits."""
    proxy = await make_proxy(max_per_origin=1, client_stall_timeout="5s")
    reader = await make_client(proxy)
    await reader.send(request_bytes(f"{origin.url}/bytes/{8 * MIB}"))
    await reader.reader.readuntil(b"\r\n\r\n")
    waiting = await make_client(proxy)
    await waiting.send(request_bytes(f"{origin.url}/bytes/5"))
    received, loop = 0, asyncio.get_running_loop()
    until = loop.time() + 3
    while received < 8 * MIB:
        data = await reader.reader.read(64 * 1024)
        assert data
        received += len(data)
        if loop.time() < until:
            await asyncio.sleep(pause)

    assert received == 8 * MIB
    assert (await waiting.response()).body == b"xxxxx"
