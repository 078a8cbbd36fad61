"""A gigabyte either way passes through a few megabytes of memory."""

import asyncio
import contextlib
import sys
from pathlib import Path

import pytest

from tests.support.client import Client, request_bytes
from tests.support.serving import serving

MIB = 1024 * 1024
GIB = 1024 * MIB
MOST = 16 * MIB
PIECE = b"z" * MIB


def peak(pid):
    """The highest resident memory of a process so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


async def fountain(connection):
    """Answer GET with a gigabyte, PUT with the number of bytes received."""
    while True:
        request = await connection.head()
        if request.method == b"GET":
            await connection.send(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB
            )
            for _ in range(GIB // MIB):
                await connection.send(PIECE)
            continue
        received = 0
        while received < GIB:
            received += len(await connection.reader.read(MIB))
        await connection.reply(b"%d" % received)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("way", ["down", "up"])
async def test_a_gigabyte_raises_the_memory_by_less_than_16_mib(make_origin, way):
    """Measured on a proxy process of its own, after it has served something small."""
    origin = await make_origin(fountain)
    url = f"http://127.0.0.1:{origin.port}/"
    async with serving() as server, Client(server.listening) as client:
        warm_up = await Client(server.listening).__aenter__()
        await warm_up.get(f"http://{server.admin}/")
        await warm_up.close()
        before = peak(server.pid)
        if way == "down":
            received = await download(client, url)
        else:
            received = await upload(client, url)

        assert received == GIB
        assert peak(server.pid) - before < MOST


async def download(client, url):
    """Read a gigabyte, and count it."""
    await client.send(request_bytes(url))
    await client.reader.readuntil(b"\r\n\r\n")
    received = 0
    while received < GIB:
        received += len(await client.reader.read(MIB))
    return received


async def upload(client, url):
    """Send a gigabyte; return what the origin says it got."""
    await client.send(request_bytes(url, f"Content-Length: {GIB}", method="PUT"))
    with contextlib.suppress(ConnectionError):
        for _ in range(GIB // MIB):
            await client.send(PIECE)
    async with asyncio.timeout(30):
        return int((await client.response("PUT")).body)
