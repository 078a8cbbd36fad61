"""aiohttp's server with nothing of ours but notes of what it calls."""

import asyncio

from aiohttp import web

MAX_LINE, MAX_FIELD, MAX_FIELDS = 1000, 2000, 10
GET = b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"


class Bare(web.RequestHandler):
    """Lets the parser's messages pile up, and notes what it is called with."""

    def __init__(self, manager, **options):
        super().__init__(manager, **options)
        self.calls = []
        self.changed = asyncio.Event()
        self.keep_open = False

    async def start(self):
        """Take the place of aiohttp's loop, as ours does."""
        self.calls.append("start")
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
            await self._loop.create_future()
        except asyncio.CancelledError:
            self.note("cancelled")
            raise

    def note(self, call):
        """Remember a call."""
        self.calls.append(call)
        self.changed.set()

    def data_received(self, data):
        """Pass on."""
        super().data_received(data)
        self.note("data")

    def eof_received(self):
        """Keep the connection where the test says so."""
        self.note("eof")
        return self.keep_open

    def pause_writing(self):
        """Pass on."""
        super().pause_writing()
        self.note("pause")

    def resume_writing(self):
        """Pass on."""
        super().resume_writing()
        self.note("resume")

    def connection_lost(self, exc):
        """Pass on."""
        super().connection_lost(exc)
        self.note("lost")

    async def until(self, call):
        """Wait until something has been called."""
        async with asyncio.timeout(10):
            while call not in self.calls:
                self.changed.clear()
                await self.changed.wait()


class BareServer(web.Server):
    """Makes such protocols, and says when one has been connected."""

    address = ("", 0)

    def __init__(self, handler, **options):
        super().__init__(handler, **options)
        self.connected = asyncio.Event()

    def connection_made(self, handler, transport):
        """Pass on."""
        super().connection_made(handler, transport)
        self.connected.set()

    def __call__(self):
        """Make one, from the arguments the server was given."""
        return Bare(self, loop=self._loop, **self._kwargs)


class Cancellable:
    """What aiohttp asks of the request that is being served."""

    def __init__(self):
        self.cancelled: list[BaseException] = []

    def _cancel(self, exc):
        self.cancelled.append(exc)


async def protocol_of(server, peer, data=b""):
    """Send, and return the protocol that has received it."""
    peer[1].write(data or GET)
    async with asyncio.timeout(10):
        await server.connected.wait()
    protocol = server.connections[0]
    await protocol.until("data")
    return protocol
