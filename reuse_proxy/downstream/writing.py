"""What is written to one client: at once or together, and how far it has been taken."""

import asyncio
from typing import TYPE_CHECKING

from reuse_proxy.downstream.reply import ClientGoneError
from reuse_proxy.downstream.sockets import buffered, descriptor_of

if TYPE_CHECKING:
    from reuse_proxy.downstream.accesslog import ClientLog
    from reuse_proxy.outbox import Outbox


class ClientWriter(asyncio.Protocol):
    """The writing side of a client connection.

    Attributes:
        below: what carries its TLS, where that is ours.
        log: what the access log remembers of it; None while that is off.
        written: how many bytes it has been sent.
        writing_paused: the kernel takes no more for now.
    """

    __slots__ = (
        "_loop",
        "_outbox",
        "_room",
        "_unsent",
        "below",
        "log",
        "transport",
        "writing_paused",
        "written",
    )

    def __init__(
        self,
        outbox: "Outbox",
        loop: "asyncio.AbstractEventLoop",
    ) -> None:
        self._outbox = outbox
        self._loop = loop
        self._room: asyncio.Future[None] | None = None
        # What waits for the end of the turn.
        self._unsent: bytes | None = None
        self.transport: asyncio.Transport | None = None
        self.below: asyncio.Transport | None = None
        self.log: ClientLog | None = None
        self.written = 0
        self.writing_paused = False

    # Write...

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport.

        Raises:
            ClientGoneError: the client has gone.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ClientGoneError("the client has gone")
        self.written += len(data)
        if self._unsent is not None:
            self.flush()
        transport.write(data)

    def write_soon(self, data: bytes) -> None:
        """Hand bytes over at the end of the turn, where many others do.

        Not parts of a body: how much is held for a client must be known at once.

        Raises:
            ClientGoneError: the client has gone.
        """
        transport = self.transport
        if not self._outbox.crowded or self._unsent is not None or transport is None:
            self.write(data)
        elif transport.is_closing():
            raise ClientGoneError("the client has gone")
        else:
            self.written += len(data)
            self._unsent = data
            self._outbox.add(self)

    def flush(self) -> None:
        """Hand over what waits for the end of the turn."""
        data, self._unsent = self._unsent, None
        if data is not None and self.transport is not None:
            self.transport.write(data)

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    async def taken(self) -> None:
        """Wait until the kernel has taken all that was written.

        Raises:
            ClientGoneError: the client has gone.
        """
        self._room = self._loop.create_future()
        try:
            await self._room
        finally:
            self._room = None
        if self.transport is None:
            raise ClientGoneError("the client has gone")

    # Inspect...

    @property
    def buffered(self) -> int:
        """Bytes that wait in the transport."""
        return buffered(self.transport) + buffered(self.below)

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 once it is closed."""
        return descriptor_of(self.transport)

    @property
    def left(self) -> bool:
        """Whether the connection is closed."""
        return self.transport is None
