"""Clients that never read must not keep an origin from the others (design D8)."""

import asyncio
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


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_sixty_four_never_readers_delay_others_by_less_than_three_seconds(origin):
    """Eight connections, sixty-four bodies of 8 MiB that nobody reads."""
    origin.name = "127.0.0.1"
    async with serving("--max-per-origin", str(CAP)) as server:
        url = f"{origin.url}/bytes/{8 * MIB}"
        sockets = [never_reader(server.listening, url) for _ in range(NEVER_READERS)]
        await origin.until(lambda: len(origin.requests) == CAP)

        async def other():
            async with Client(server.listening) as client, asyncio.timeout(3):
                return (await client.get(f"{origin.url}/bytes/5")).body

        bodies = await asyncio.gather(*(other() for _ in range(OTHERS)))

        assert bodies == [b"xxxxx"] * OTHERS
        assert origin.accepted <= CAP
        for sock in sockets:
            sock.close()


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
    """Ten bodies that nobody reads under a spool of two megabytes in all."""
    proxy = await make_proxy(spool_total="2 MiB", spool_per_response="1 MiB")
    sockets = [
        never_reader(proxy.listening[0], f"{origin.url}/bytes/{16 * MIB}")
        for _ in range(10)
    ]
    await origin.until(lambda: len(origin.requests) == 10)
    highest = 0
    for _ in range(20):
        await asyncio.sleep(0.05)
        highest = max(highest, sum(c.buffered for c in proxy.server.connections))

    assert 0 < highest <= 2 * MIB + 10 * 300_000
    for sock in sockets:
        sock.close()


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
