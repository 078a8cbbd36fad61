"""What downstream/listener.py takes from aiohttp beyond its documentation.

``web.Server`` makes protocols for the sites, lists them, and ends them.  Ours is not
aiohttp's: where a test here fails after an update, the seam has to be looked at.
"""

import asyncio

import pytest
from aiohttp import web


class Noting(asyncio.Protocol):
    """A protocol that is not aiohttp's, and notes what its server calls."""

    def __init__(self, server):
        self.server = server
        self.calls = []

    def connection_made(self, transport):
        """Enter itself, as ours does."""
        self.transport = transport
        self.server._connections[self] = transport
        self.server.connected.set()

    def close(self):
        """Note the soft end."""
        self.calls.append("close")

    async def shutdown(self, timeout=None):  # noqa: ASYNC109 - aiohttp's
        """Note the hard one."""
        self.calls.append(("shutdown", timeout))
        self.transport.abort()


class ForeignServer(web.Server):
    """Makes such protocols."""

    def __init__(self):
        super().__init__(self.refuse)
        self.connected = asyncio.Event()

    async def refuse(self, request):
        """Nothing of aiohttp's parses a request here."""
        raise AssertionError(request)

    def __call__(self):
        """Make one."""
        return Noting(self)


@pytest.fixture
async def served():
    """A foreign server that has been connected to, and its runner."""
    server = ForeignServer()
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _, writer = await asyncio.open_connection(*runner.addresses[0][:2])
    async with asyncio.timeout(10):
        await server.connected.wait()
    yield server, runner
    await runner.cleanup()
    writer.close()


async def test_a_site_takes_its_protocols_from_calling_the_server(served):
    """`connections` lists the keys of `_connections`; `_loop` is the running one."""
    server, _ = served

    (protocol,) = server.connections
    assert isinstance(protocol, Noting)
    assert server._connections == {protocol: protocol.transport}
    assert server._loop is asyncio.get_running_loop()


async def test_pre_shutdown_closes_every_connection_softly(served):
    """By close()."""
    server, _ = served
    server.pre_shutdown()

    assert server.connections[0].calls == ["close"]


async def test_shutdown_ends_every_connection_and_forgets_it(served):
    """By awaiting shutdown() with its own timeout."""
    server, _ = served
    (protocol,) = server.connections
    await server.shutdown(0.5)

    assert protocol.calls == [("shutdown", 0.5)]
    assert server.connections == []


async def test_a_runner_that_is_cleaned_up_does_both(served):
    """Softly first; nothing else is called on a protocol."""
    server, runner = served
    (protocol,) = server.connections
    await runner.cleanup()

    assert protocol.calls == ["close", ("shutdown", 60.0)]
