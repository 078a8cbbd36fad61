"""A bare upstream connection and the origin's end of it."""

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from reuse_proxy.http.target import Origin as Key
from reuse_proxy.outbox import Outbox
from reuse_proxy.upstream.books import CloseReason, OriginPool, State
from reuse_proxy.upstream.connection import UpstreamConnection
from reuse_proxy.upstream.stats import OriginStats
from tests.support.origin import Origin

if TYPE_CHECKING:
    from reuse_proxy.upstream.head import ResponseHead

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Owner:
    """Notes what a connection tells while no exchange uses it."""

    def __init__(self) -> None:
        self.broken: list[CloseReason] = []
        self.outbox = Outbox(asyncio.get_running_loop())
        self.gone = asyncio.Event()

    def connection_broken(self, connection, reason):
        """Note why, and leave the books as the session does."""
        self.broken.append(reason)
        connection.state = State.CLOSED
        connection.abort()

    def connection_gone(self, _):
        """Note the end."""
        self.gone.set()


class Wire:
    """A connection with its owner and the origin's end of it."""

    def __init__(self, connection, owner, origin):
        self.connection = connection
        self.owner = owner
        self.peer = origin.connections[0]
        self.until = origin.until
        self.heads: list[ResponseHead] = []

    async def send(self, method="GET", head=GET, *, complete=True):
        """Start an exchange, as after a lease, and wait until it has arrived."""
        self.connection.state = State.ACTIVE
        self.connection.send(method, head, complete=complete)
        await self.peer.reader.readexactly(len(head))

    async def head(self):
        """Receive up to the next head."""
        while not (heads := self.connection.response.heads):
            await self.connection.receive()
        return heads.popleft()

    async def body(self):
        """Receive the rest of the body."""
        body = b"".join(self.connection.take_body())
        while not self.connection.response.complete:
            await self.connection.receive()
            body += b"".join(self.connection.take_body())
        return body

    async def rest(self):
        """Receive heads, noted in `heads`, and the body."""
        self.heads.append(head := await self.head())
        while head.interim:
            self.heads.append(head := await self.head())
        await self.body()

    async def exchange(self, response, method="GET"):
        """Send a request, answer it with these bytes, and receive them."""
        await self.send(method)
        await self.peer.send(response)
        head = await self.head()
        while head.interim:
            head = await self.head()
        return head, await self.body()


@asynccontextmanager
async def wired():
    """Connect to an origin that does only what the test makes it do."""

    async def wait(connection):
        await connection.origin.release.wait()

    loop = asyncio.get_running_loop()
    key = Key("http", "a.test", 80)
    owner = Owner()
    async with Origin(wait) as origin:
        _, connection = await loop.create_connection(
            lambda: UpstreamConnection(
                OriginPool(key, OriginStats("a")), owner, loop=loop
            ),
            "127.0.0.1",
            origin.port,
        )
        await origin.until(lambda: bool(origin.connections))
        try:
            async with asyncio.timeout(10):
                yield Wire(connection, owner, origin)
        finally:
            connection.state = State.CLOSED
            connection.abort()
            async with asyncio.timeout(5):
                await owner.gone.wait()
