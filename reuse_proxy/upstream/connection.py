"""One upstream connection: HTTP/1.1 on ``asyncio.Protocol``.

The exchange pulls: it waits for :meth:`UpstreamConnection.receive` and takes what has
come.  What bytes mean is ``response``'s; this module knows nothing of pools, clients or
retries, and tells its owner only of what happens while no exchange is looking.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from reuse_proxy.errors import (
    ProxyError,
    UpstreamClosedError,
    UpstreamProtocolError,
)
from reuse_proxy.upstream.books import CloseReason, State
from reuse_proxy.upstream.endings import asked_through, ended_early
from reuse_proxy.upstream.response import ResponseReader
from reuse_proxy.upstream.sockets import UpstreamSocket

if TYPE_CHECKING:
    from reuse_proxy.upstream.books import OriginPool
    from reuse_proxy.upstream.roles import ConnectionOwner, Listener

# Response bytes held for an exchange that is not taking them; one read of uvloop
# is up to 256 KB, so the upper mark is passed by at most that.
_HIGH_WATER: Final = 256 * 1024
# Looked up once: an enumeration's members are descriptors on Python 3.11.
_RESTING: Final = (State.IDLE, State.PRIVATE)


class UpstreamConnection(UpstreamSocket):
    """A connection to an origin, used for one exchange at a time.

    Attributes:
        response: reads what the origin sends.
        miss: why this was opened, and ``connect_seconds`` how long that took.
        request_sent: all of the request has been handed to the transport.
        untouched: the origin has been sent nothing of the request that failed.
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
        "_unsent",
        "_waiter",
        "connect_seconds",
        "ended",
        "error",
        "expires_at",
        "idle_since",
        "leases",
        "listener",
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
        "untouched",
    )
    capacity = 1

    def __init__(
        self,
        pool: "OriginPool",
        owner: "ConnectionOwner",
        *,
        loop: "asyncio.AbstractEventLoop",
    ) -> None:
        super().__init__()
        self.pool = pool
        self._outbox = owner.outbox
        self._unsent: bytes | None = None  # what waits for the end of the turn
        self._owner = owner
        self._loop = loop
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
        self.connect_seconds = 0.0
        self.moved = self.ended = self.untouched = False
        self.reading = self.request_sent = True
        self.error: ProxyError | None = None

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
            and not (self.requests and self.is_readable())
        )

    def send(self, method: str, head: bytes, *, complete: bool) -> None:
        """Start an exchange: write a request's head, and its body where it is short.

        Args:
            method: decides whether the response has a body.
            head: the bytes to write.
            complete: nothing more of the request follows.
        """
        self.response.expect(method)
        self.request_sent = complete
        self.requests += 1
        if self._transport is not None:
            self._transport.write(head)

    def send_soon(self, method: str, head: bytes) -> None:
        """Start an exchange without a request body; write at the end of the turn.

        Where the connection is found not to be usable by then, the exchange fails with
        UpstreamClosedError, and ``untouched`` is set.
        """
        if not self._outbox.crowded:
            self.send(method, head, complete=True)
            return
        self.response.expect(method)
        self.request_sent = False
        self.requests += 1
        self._unsent = head
        self._outbox.add(self)

    def flush(self) -> None:
        """Send what waits for the end of the turn, if :meth:`ready` holds still."""
        data, transport = self._unsent, self._transport
        if data is None or transport is None:
            return
        if transport.is_closing() or (self.requests > 1 and self.is_readable()):
            self._turn_down()
            return
        self._unsent = None
        self.request_sent = True
        transport.write(data)

    async def write(self, pieces: list[bytes], *, complete: bool = False) -> None:
        """Write more of the request, no faster than the origin takes it.

        Raises:
            ProxyError: the connection failed meanwhile.
        """
        if pieces and self._transport is not None and self.is_readable():
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
        transport, response = self._transport, self.response
        if transport is None or transport.is_closing():
            if response.switched or response.behind:
                return None, response.behind
            raise UpstreamClosedError(
                f"{self.pool.origin} closed the connection at once."
            )
        self._resume()
        return transport, response.behind

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

    # asyncio's callbacks...

    def data_received(self, data: bytes) -> None:
        """Parse what the origin sent."""
        self.moved = True
        if self.state in _RESTING:
            self.response.surplus = True
            self._owner.connection_broken(self, CloseReason.UNSOLICITED)
            return
        if self._unsent is not None:
            self._turn_down()
            return
        response = self.response
        try:
            response.feed(data)
        except UpstreamProtocolError as error:
            error.sentence += asked_through(self.pool.origin)
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
        elif self._unsent is not None:
            self._turn_down()
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
        elif self._unsent is not None:
            self._turn_down()
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

    def _turn_down(self) -> None:
        """End an exchange of which the origin has heard nothing."""
        self._unsent = None
        self.untouched = True
        self.error = ended_early(None, self.pool.origin, received=False)
        self._owner.connection_broken(self, CloseReason.STALE)
        self._wake()

    def _closed_early(self, exc: Exception | None) -> None:
        response = self.response
        if not response.complete and self.error is None:
            origin, received = self.pool.origin, response.received
            self.error = ended_early(exc, origin, received=received)
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
