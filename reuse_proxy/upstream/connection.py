"""One upstream connection: HTTP/1.1 on ``asyncio.Protocol``.

The exchange pulls: it waits for :meth:`UpstreamConnection.receive` and takes what has
come.  What bytes mean is ``response``'s; this module knows nothing of pools, clients or
retries, and tells its owner only of what happens while no exchange is looking.
"""

import asyncio
import select
from asyncio import Protocol as AsyncioProtocol
from typing import TYPE_CHECKING, Final, cast

from reuse_proxy.errors import (
    ProxyError,
    UpstreamClosedError,
    UpstreamProtocolError,
)
from reuse_proxy.upstream.books import CloseReason, State
from reuse_proxy.upstream.endings import ended_early
from reuse_proxy.upstream.response import ResponseReader

if TYPE_CHECKING:
    import ssl

    from reuse_proxy.upstream.books import OriginPool
    from reuse_proxy.upstream.roles import ConnectionOwner, Listener

# Response bytes held for an exchange that is not taking them; one read of uvloop
# is up to 256 KB, so the upper mark is passed by at most that.
_HIGH_WATER: Final = 256 * 1024
# Linux alone tells a FIN from data without reading.
_POLLRDHUP: Final = getattr(select, "POLLRDHUP", 0)
# Looked up once: an enumeration's members are descriptors on Python 3.11.
_RESTING: Final = (State.IDLE, State.PRIVATE)


class UpstreamConnection(AsyncioProtocol):
    """A connection to an origin, used for one exchange at a time.

    Attributes:
        response: reads what the origin sends.
        request_sent: all of the request has been handed to the transport.
        error: why the exchange on this connection failed.
        listener: who is called once when more has come.
        reading: False while the origin is kept waiting for the client.
        moved: bytes have moved since the session's sweep last looked.
        ended: the origin has closed its side.
    """

    __slots__ = (
        "_can_write",
        "_loop",
        "_outbox",
        "_owner",
        "_poll",
        "_transport",
        "_unsent",
        "_waiter",
        "address",
        "ended",
        "error",
        "expires_at",
        "idle_since",
        "leases",
        "listener",
        "local_address",
        "miss",
        "moved",
        "moved_at",
        "opened_at",
        "pool",
        "reading",
        "request_sent",
        "requests",
        "response",
        "retire",
        "state",
    )
    capacity = 1

    def __init__(
        self,
        pool: "OriginPool",
        owner: "ConnectionOwner",
        *,
        loop: "asyncio.AbstractEventLoop",
    ) -> None:
        self.pool = pool
        self._outbox = owner.outbox
        self._unsent: bytes | None = None  # what waits for the end of the turn
        self._owner = owner
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._can_write: asyncio.Future[None] | None = None
        self.listener: Listener | None = None
        self.response = ResponseReader()
        self.state = State.CONNECTING
        self.leases = self.requests = 0
        self.opened_at = self.idle_since = self.moved_at = loop.time()
        self.expires_at = float("inf")
        self.retire: CloseReason | None = None
        self.miss = ""
        self.moved = self.ended = False
        self.reading = self.request_sent = True
        self.error: ProxyError | None = None

    # Connect...

    def connection_made(self, transport: "asyncio.BaseTransport") -> None:
        """Keep the transport and what identifies it (asyncio's callback)."""
        self._transport = cast("asyncio.Transport", transport)
        self.address = transport.get_extra_info("peername")
        self.local_address = transport.get_extra_info("sockname")
        self._poll = select.poll()
        self._poll.register(self.fileno(), select.POLLIN | _POLLRDHUP)

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 once it is closed."""
        if (transport := self._transport) is None:
            return -1
        sock = transport.get_extra_info("socket")
        return -1 if sock is None else cast("int", sock.fileno())

    # Use...

    def ready(self) -> bool:
        """Tell whether this connection may carry a request (design D5).

        On one that has been used, anything readable, be it data, FIN or RST, means
        that it may not.  A fresh one is not polled: TLS tickets may have come.
        """
        transport = self._transport
        return (
            transport is not None
            and not self.response.surplus
            and not transport.is_closing()
            and not (self.requests and self._poll.poll(0))
        )

    @property
    def hung_up(self) -> bool:
        """Whether the origin has closed its side, as the kernel knows it."""
        polled = self._poll.poll(0) if self._transport is not None else ()
        return any(events & _POLLRDHUP for _, events in polled)

    def send(self, method: str, head: bytes, complete: bool) -> None:  # noqa: FBT001 - keywords are slower
        """Start an exchange: write a request's head, and its body where it is short.

        Args:
            method: decides whether the response has a body.
            head: the bytes to write.
            complete: nothing more of the request follows.
        """
        self.response.expect(method)
        self.request_sent = complete
        self.requests += 1
        if complete and self._outbox.crowded:
            self._unsent = head
            self._outbox.add(self)
        elif self._transport is not None:
            self._transport.write(head)

    def flush(self) -> None:
        """Send what waits for the end of the turn."""
        data, self._unsent = self._unsent, None
        if data and self._transport is not None:
            self._transport.write(data)

    async def write(self, pieces: list[bytes], *, complete: bool = False) -> None:
        """Write more of the request, no faster than the origin takes it.

        Raises:
            ProxyError: the connection failed meanwhile.
        """
        if pieces and self._transport is not None and self._poll.poll(0):
            # An early response, perhaps with a reset behind it, which a failing write
            # would hide.  Two turns: the loop may have looked at its sockets already.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        if self._transport is not None:
            self._transport.writelines(pieces)
        self.moved = True
        if self._can_write is not None:
            await self._can_write
        self.request_sent = complete

    def arrival(self) -> "asyncio.Future[None]":
        """Return what becomes done once more has come; the caller looks first.

        Raises:
            ProxyError: the response cannot be completed.
        """
        if self.error is not None:
            raise self.error
        self._waiter = self._loop.create_future()
        return self._waiter

    async def receive(self) -> None:
        """Wait until a head, body bytes or the end of the response have come.

        Raises:
            ProxyError: the response cannot be completed; bytes that came before
                have been handed out.
        """
        response = self.response
        while not (response.heads or response.body or response.complete):
            await self.arrival()

    def take_body(self) -> list[bytes]:
        """Return the body bytes that have come, and make room for more."""
        response = self.response
        body, response.body = response.body, []
        response.buffered = 0
        if not self.reading:
            self._resume()
        return body

    def detach(self) -> "tuple[asyncio.Transport | None, bytes]":
        """Give the transport away, with bytes that have come and are not HTTP.

        Its new protocol calls :meth:`connection_lost`.  None: the origin has closed.
        UpstreamClosedError: it has closed and said nothing.
        """
        self.flush()
        transport, response = self._transport, self.response
        if transport is None or transport.is_closing():
            if response.switched or response.behind:
                return None, response.behind
            raise UpstreamClosedError(
                f"{self.pool.origin} closed the connection at once."
            )
        self._resume()
        return transport, response.behind

    @property
    def tls(self) -> "ssl.SSLObject | None":
        """What TLS has agreed on, if it is spoken."""
        if (transport := self._transport) is None:
            return None
        return cast("ssl.SSLObject | None", transport.get_extra_info("ssl_object"))

    # Release...

    @property
    def idle_limit(self) -> float:
        """For how long the origin said it keeps an idle connection, in seconds."""
        return self.response.idle_limit

    def is_reusable(self) -> bool:
        """Tell whether another exchange may follow the one that has ended."""
        response = self.response
        return (
            response.complete
            and self.request_sent
            and response.persistent
            and not response.surplus
            and self.error is None
        )

    def discard_body(self) -> None:
        """Drop what has not been taken, and keep nothing more (design D7)."""
        self.response.discard()
        self._resume()

    def fail(self, error: ProxyError) -> None:
        """End the exchange with an error, and the connection with it."""
        if self.response.complete:
            self.response.surplus = True
        elif self.error is None:
            self.error = error
        self._wake()
        self.abort()

    def abort(self) -> None:
        """Close the socket without waiting for unsent bytes."""
        self._unsent = None
        if self._transport is not None:
            self._transport.abort()

    # asyncio's callbacks...

    def data_received(self, data: bytes) -> None:
        """Parse what the origin sent."""
        self.moved = True
        if self.state in _RESTING:
            self.response.surplus = True
            self._owner.connection_broken(self, CloseReason.UNSOLICITED)
            return
        response = self.response
        try:
            response.feed(data)
        except UpstreamProtocolError as error:
            self.fail(error)
        if response.buffered >= _HIGH_WATER and self.reading:
            self.reading = False
            if self._transport is not None:
                self._transport.pause_reading()
        # Last: whoever listens may begin the next exchange on this connection.
        self._wake()

    def eof_received(self) -> bool:
        """Take the origin's FIN; tell whether the other direction stays open."""
        self.ended = True
        if self.response.switched:
            return self.tls is None
        if self.state in _RESTING:
            self._owner.connection_broken(self, CloseReason.SERVER_CLOSE)
        elif self.response.complete or not self.response.end():
            self._closed_early(None)
        else:
            self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Settle whatever still waits and tell the owner that the socket is gone."""
        self._transport = None
        if self.state in _RESTING:
            self._owner.connection_broken(self, CloseReason.SERVER_CLOSE)
        else:
            self._closed_early(exc)
        if self._can_write is not None and not self._can_write.done():
            self._can_write.set_result(None)
        self._can_write = None
        self._owner.connection_gone(self)

    def pause_writing(self) -> None:
        """Make :meth:`write` wait: the origin takes no more for now."""
        self._can_write = self._loop.create_future()

    def resume_writing(self) -> None:
        """Let :meth:`write` go on."""
        if self._can_write is not None and not self._can_write.done():
            self._can_write.set_result(None)
        self._can_write = None
        self.moved = True

    # Rules...

    def _closed_early(self, exc: Exception | None) -> None:
        response = self.response
        if not response.complete and self.error is None:
            self.error = ended_early(exc, received=response.received)
        response.persistent = False
        self._wake()

    def _wake(self) -> None:
        listener = self.listener
        if listener is not None:
            self.listener = None
            listener.arrived()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _resume(self) -> None:
        if self.reading:
            return
        self.reading = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def __repr__(self) -> str:
        known = f"{self.pool.origin} {self.state} requests={self.requests}"
        return f"<UpstreamConnection {known}>"
