"""Tunnels: a client's bytes to an origin and back, of which we know nothing.

What one side sends is written to the other as it comes, no faster than it is taken.
A half-close is carried over (RFC 9110 section 9.3.6); once both sides have ended, or
one is gone, what is still on its way is delivered and both are closed.  TLS has no
half-close: where our own end speaks it, the end of one direction ends both.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from reuse_proxy.downstream.sockets import reset, unsent
from reuse_proxy.errors import status_of

if TYPE_CHECKING:
    from reuse_proxy.downstream.client import ClientConnection
    from reuse_proxy.downstream.reply import Reply
    from reuse_proxy.upstream.connection import UpstreamConnection
    from reuse_proxy.upstream.session import UpstreamSession

# Bytes that may wait in either direction: the sender pauses at the upper mark.
_HIGH_WATER: Final = 256 * 1024
_LOW_WATER: Final = 64 * 1024
_SWEEP_S: Final = 1.0
# While the process stops, a tunnel that is silent for so long is taken to be idle.
_DRAINING_IDLE_S: Final = 5.0


class TunnelEnd(asyncio.Protocol):
    """One side of a tunnel: what it receives goes to its peer."""

    __slots__ = ("_tunnel", "ended", "peer", "received", "transport")
    peer: "TunnelEnd"

    def __init__(self, tunnel: "Tunnel", transport: asyncio.Transport) -> None:
        self._tunnel = tunnel
        self.transport: asyncio.Transport | None = transport
        self.received = 0
        self.ended = False

    def take_over(self) -> None:
        """Receive what comes from now on."""
        if self.transport is not None:
            self.transport.set_protocol(self)
            self.transport.resume_reading()

    def bound(self) -> None:
        """Bound what may wait; if anything does already, the peer has to wait, too."""
        transport = self.transport
        if transport is not None:
            # A transport tells only once that it is full, and may have told its last
            # protocol; at 0 it has told one of us, and will tell this one to resume.
            transport.set_write_buffer_limits(0)
            transport.set_write_buffer_limits(_HIGH_WATER, _LOW_WATER)
            if transport.get_write_buffer_size():
                self.pause_writing()

    # asyncio's callbacks...

    def data_received(self, data: bytes) -> None:
        """Pass bytes on."""
        self.received += len(data)
        peer = self.peer.transport
        if peer is not None:
            peer.write(data)

    def eof_received(self) -> bool:
        """Pass the end of this direction on; the other one stays open."""
        if not self.ended:  # uvloop may say it again after a pause
            self.ended = True
            self.peer.finish()
        return self.transport is not None and self.transport.can_write_eof()

    def pause_writing(self) -> None:
        """Stop the peer: this side takes no more for now."""
        peer = self.peer.transport
        if peer is not None and not peer.is_closing():
            peer.pause_reading()

    def resume_writing(self) -> None:
        """Let the peer go on."""
        peer = self.peer.transport
        if peer is not None and not peer.is_closing():
            peer.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other side, too, behind what is on its way to it.

        A reset is passed on as one, unless it would overtake that.
        """
        self.transport = None
        peer = self.peer.transport
        if exc is not None and peer is not None and not unsent(peer):
            reset(peer)
        else:
            self.peer.close()
        self._tunnel.lost(self, exc)

    # Close...

    def finish(self) -> None:
        """Send nothing more; close if nothing more will come either."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if self.ended or not transport.can_write_eof():
            self.peer.close()
            transport.close()
        else:
            # asyncio asks the kernel at once, which may know of a reset: what came
            # before it is still to be read, and then it is told to this end, too.
            with contextlib.suppress(OSError):
                transport.write_eof()

    def close(self) -> None:
        """Close once what waits has been written."""
        if self.transport is not None:
            self.transport.close()


class Tunnel:
    """Two transports joined; :meth:`closed` waits for the end of both."""

    def __init__(
        self,
        client: asyncio.Transport,
        connection: "UpstreamConnection",
        origin: asyncio.Transport,
        *,
        early: bytes,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.connection = connection
        self._early = early
        self.client = TunnelEnd(self, client)
        self.origin = TunnelEnd(self, origin)
        self.client.peer, self.origin.peer = self.origin, self.client
        self.peer_address = client.get_extra_info("peername")
        self.host = self.peer_address[0] if self.peer_address else None
        self.opened_at = self.moved_at = loop.time()
        self._moved = (0, 0, 0)
        self._closed: asyncio.Future[None] = loop.create_future()

    def start(self, *, half_closed: bool) -> None:
        """Join the sides, each of which may have sent all that it will."""
        for end in (self.origin, self.client):
            end.take_over()
        for end in (self.origin, self.client):
            end.bound()
        if self._early:
            self.client.data_received(self._early)
            self._early = b""
        if self.connection.ended:
            self.origin.eof_received()
        if half_closed:
            self.client.eof_received()

    async def closed(self) -> None:
        """Wait until both sides are closed."""
        await self._closed

    def lost(self, end: TunnelEnd, exc: Exception | None) -> None:
        """Note that one side has closed."""
        if end is self.origin:
            self.connection.connection_lost(exc)
        both = self.client.transport is None and self.origin.transport is None
        if both and not self._closed.done():
            self._closed.set_result(None)

    def abort(self) -> None:
        """Reset what is open: the peers must not take it for a whole exchange."""
        for end in (self.client, self.origin):
            if end.transport is not None:
                reset(end.transport)

    def idle(self, now: float) -> float:
        """Return for how many seconds no byte has come or been taken.

        As seen at each call: what is received, and what waits to be acknowledged.
        """
        moved = (
            self.client.received + self.origin.received,
            unsent(self.client.transport),
            unsent(self.origin.transport),
        )
        if moved != self._moved:
            self._moved, self.moved_at = moved, now
        return now - self.moved_at

    def __repr__(self) -> str:
        return (
            f"<Tunnel {self.connection.pool.origin} up={self.client.received} "
            f"down={self.origin.received}>"
        )


class Tunnels:
    """All tunnels: opens them, and ends those that are idle."""

    def __init__(
        self,
        session: "UpstreamSession",
        *,
        idle_timeout: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._session = session
        self.idle_timeout = idle_timeout
        self._loop = loop
        self._sweeper: asyncio.TimerHandle | None = None
        self.open: set[Tunnel] = set()

    async def carry(
        self, connection: "UpstreamConnection", reply: "Reply", status: int, head: bytes
    ) -> None:
        """Join a leased connection and a client until both have closed.

        Whatever happens, the lease has ended when this returns, and the request is
        counted.

        Args:
            connection: leased, and no longer anybody else's.
            reply: its client gives the transport away for good.
            status: 200 or 101.
            head: what the client is told first.

        Raises:
            ProxyError: the origin has closed already.
            ClientGoneError: the client has.
        """
        requests = connection.pool.stats.requests
        try:
            tunnel, client = self._begin(connection, reply, status, head)
        except BaseException as error:
            requests[status_of(error) // 100, "tunnel"] += 1
            self._session.settle(connection)
            raise
        requests[status // 100, "tunnel"] += 1
        if tunnel is None:
            self._session.settle(connection)
            return
        self._session.hand_over(connection)
        self.open.add(tunnel)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        try:
            tunnel.start(half_closed=client.half_closed)
            await tunnel.closed()
        except BaseException:
            tunnel.abort()
            raise
        finally:
            self.open.discard(tunnel)
            seconds = self._loop.time() - tunnel.opened_at
            self._session.stats.request_seconds["tunnel"].observe(seconds)
            client.received += tunnel.client.received
            client.written += tunnel.origin.received
            client.handed_back()

    def _begin(
        self, connection: "UpstreamConnection", reply: "Reply", status: int, head: bytes
    ) -> "tuple[Tunnel | None, ClientConnection]":
        """Tell the client; there is nothing to join if the origin has said it all."""
        origin, behind = connection.detach()
        client = reply.begin_tunnel(status, head + behind)
        if origin is None:
            return None, client
        transport, early = client.hand_over()
        # These are counted as the tunnel's, with what comes behind them.
        client.received -= len(early)
        client.written -= len(behind)
        tunnel = Tunnel(transport, connection, origin, early=early, loop=self._loop)
        tunnel.origin.received = len(behind)
        return tunnel, client

    def start_draining(self) -> None:
        """End tunnels sooner that are idle; nothing else tells that they are done."""
        self.idle_timeout = min(self.idle_timeout, _DRAINING_IDLE_S)

    def close(self) -> None:
        """Stop the timer."""
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _sweep(self) -> None:
        now = self._loop.time()
        for tunnel in list(self.open):
            if tunnel.idle(now) >= self.idle_timeout:
                tunnel.abort()
        self._sweeper = (
            self._loop.call_later(_SWEEP_S, self._sweep) if self.open else None
        )

    def __repr__(self) -> str:
        return f"<Tunnels {len(self.open)} open>"
