"""A bare server of aiohttp, and a peer that is connected to it."""

import asyncio
import contextlib

import pytest
from aiohttp import web

from tests.support.bare import MAX_FIELD, MAX_FIELDS, MAX_LINE, BareServer


@pytest.fixture
async def server():
    """A server with our parameters on a socket."""

    async def handler(request):
        raise AssertionError(request)

    server = BareServer(
        handler,
        handler_cancellation=True,
        access_log=None,
        tcp_keepalive=False,
        auto_decompress=False,
        max_line_size=MAX_LINE,
        max_field_size=MAX_FIELD,
        max_headers=MAX_FIELDS,
        read_bufsize=65536,
    )
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.address = runner.addresses[0]
    yield server
    await server.shutdown(0.001)
    await runner.cleanup()


@pytest.fixture
async def peer(server):
    """A connected client's reader and writer."""
    reader, writer = await asyncio.open_connection(*server.address)
    yield reader, writer
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
