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
        if request.target == b"/small":
            await connection.reply(b"small")
            continue
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
        await warm_up(server)
        before = peak(server.pid)
        received = await MOVE[way](client, url)

        assert received == GIB
        assert peak(server.pid) - before < MOST


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.timeout(200)
@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("way", ["down", "up"])
@pytest.mark.parametrize("opened", [False, True], ids=["tunnel", "interception"])
async def test_so_does_a_gigabyte_through_a_tunnel_and_through_interception(
    make_origin, authority, local_ca, way, opened
):
    """TLS with one origin: end to end, or opened and closed again in between."""
    origin = await make_origin(fountain, tls=authority.server())
    flags = ["--connect-ports", str(origin.port), "--ca-file", str(authority.file)]
    if opened:
        flags += ["--intercept", "127.0.0.1", "--ca-dir", str(local_ca.folder)]
    trusted = local_ca.client() if opened else authority.client()
    async with serving(*flags) as server:
        for size in (1, 0):  # once for something small
            async with Client(server.listening) as client:
                assert await client.connect(f"127.0.0.1:{origin.port}") == 200
                await client.start_tls(trusted, "127.0.0.1")
                if size:
                    assert (await client.ask("/small", "Host: x")).body == b"small"
                    continue
                before = peak(server.pid)

                assert await MOVE[way](client, "/") == GIB
                assert peak(server.pid) - before < MOST


async def warm_up(server):
    """Have the proxy answer something."""
    client = await Client(server.listening).__aenter__()
    await client.get(f"http://{server.admin}/")
    await client.close()


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


MOVE = {"down": download, "up": upload}
