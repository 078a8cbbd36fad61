"""What tunnels lead to, and looks into them from outside."""

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from reuse_proxy.downstream.tunnel import Tunnel
from reuse_proxy.service import Service
from tests.support.client import Client, Response, request_bytes
from tests.support.origin import Origin, OriginConnection
from tests.support.own_errors import assert_refused

MIB = 1024 * 1024
_PIECE = bytes(64 * 1024)
# A sender whose bytes nobody has taken for so long is taken to be stopped.
_STOPPED_S = 0.5


async def echo(connection: OriginConnection) -> None:
    """Send back whatever comes, and then the end."""
    while data := await connection.reader.read(65536):
        await connection.send(data)


async def idle(connection: OriginConnection) -> None:
    """Do nothing until the test says so."""
    await connection.origin.release.wait()


@contextlib.asynccontextmanager
async def tunnelling_to_origins(
    make_proxy: Callable[..., Any],
) -> AsyncIterator[Callable[..., Any]]:
    """Start proxies that allow tunnels to origins; at the end none may be open."""
    services: list[Service] = []

    async def make(*origins: Origin, **settings: object) -> Service:
        ports = ",".join(str(origin.port) for origin in origins) or "none"
        service: Service = await make_proxy(**{"connect_ports": ports, **settings})
        services.append(service)
        return service

    yield make
    async with asyncio.timeout(15):
        for service in services:
            while service.tunnels.open:
                await asyncio.sleep(0.01)


def connect_bytes(authority: bytes | str, *fields: bytes) -> bytes:
    """Spell a CONNECT request."""
    name = authority if isinstance(authority, bytes) else authority.encode()
    lines = [b"CONNECT %b HTTP/1.1" % name, b"Host: %b" % name, *fields, b"", b""]
    return b"\r\n".join(lines)


async def opened(
    make_client: Callable[..., Any], proxy: Service, origin: Origin
) -> Client:
    """Open a tunnel to an origin."""
    client: Client = await make_client(proxy)
    assert await client.connect(origin.authority) == 200
    return client


async def echoed(client: Client, data: bytes) -> bytes:
    """Send bytes to an origin that sends them back."""
    await client.send(data)
    async with asyncio.timeout(15):
        return await client.reader.readexactly(len(data))


async def refused(
    client: Client,
    authority: bytes | str,
    status: int,
    error: str = "http_request_denied",
) -> Response:
    """Send a CONNECT with a request behind it; return the one answer that came."""
    smuggled = request_bytes("http://smuggled.test/")
    raw = connect_bytes(authority) + smuggled
    return await assert_refused(client, raw, status, error=error, method="CONNECT")


async def behind(client: Client, last: bytes) -> bytes:
    """Read what follows a response, up to certain bytes or the end."""
    received, _ = client._parser.trailing_data
    async with asyncio.timeout(15):
        while not received.endswith(last):
            data = await client.reader.read(65536)
            if not data:
                break
            received += data
    return received


async def pour(writer: asyncio.StreamWriter, most: int) -> int:
    """Write zeros until the other side takes no more; return how many were written."""
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < most:
            writer.write(_PIECE)
            sent += len(_PIECE)
            async with asyncio.timeout(_STOPPED_S):
                await writer.drain()
    return sent


async def digest(reader: asyncio.StreamReader) -> str:
    """Read to the end; return the SHA-256 of what came."""
    sha = hashlib.sha256()
    async with asyncio.timeout(30):
        while data := await reader.read(65536):
            sha.update(data)
    return sha.hexdigest()


def held(tunnel: Tunnel) -> int:
    """Bytes that a tunnel has taken from one side and not given to the other."""
    return sum(
        end.transport.get_write_buffer_size()
        for end in (tunnel.client, tunnel.origin)
        if end.transport is not None
    )


def only(proxy: Service) -> Tunnel:
    """Return the one tunnel that is open."""
    (tunnel,) = proxy.tunnels.open
    return tunnel


async def gone(proxy: Service) -> None:
    """Wait until there is no tunnel, no client and no socket to an origin."""
    async with asyncio.timeout(15):
        while (
            proxy.tunnels.open or proxy.server.connections or proxy.session.pool.sockets
        ):
            await asyncio.sleep(0.01)


def descriptors() -> int:
    """Count the open descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def task_names() -> list[str]:
    """Name the tasks that are running, but for the one that asks."""
    this = asyncio.current_task()
    return sorted(task.get_name() for task in asyncio.all_tasks() if task is not this)


def need_ipv6() -> None:
    """Skip where this machine has no IPv6 loopback."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no ::1")
