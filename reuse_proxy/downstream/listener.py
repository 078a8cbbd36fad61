"""Accepting clients: aiohttp's ``web.Server`` with our protocol, limits and timers.

The seam to aiohttp, whose sites and runner accept connections and stop doing so.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web

from reuse_proxy.downstream.accesslog import AccessLog, ClientLog
from reuse_proxy.downstream.client import ClientConnection
from reuse_proxy.downstream.refusals import cause_of
from reuse_proxy.limited import LimitedLog

if TYPE_CHECKING:
    import httptools

    from reuse_proxy.downstream.admission import Admission
    from reuse_proxy.downstream.callers import Callers
    from reuse_proxy.downstream.intercept import Intercepted
    from reuse_proxy.downstream.proxy import ProxyHandler
    from reuse_proxy.downstream.stall import StallWatch

log = logging.getLogger(__name__)

_SWEEP_S: Final = 0.5
# A client that is idle for less may be sending its next request as we would close; it
# is served, and told to close.  Load balancers give what they drain as much.
_RESTING_S: Final = 1.0


class Timeouts:
    """What a client may take its time for, in seconds."""

    __slots__ = ("body", "half_closed", "head", "idle")

    def __init__(
        self, *, head: float, body: float, idle: float, half_closed: float
    ) -> None:
        self.head = head
        self.body = body
        self.idle = idle
        self.half_closed = half_closed


class ProxyServer(web.Server):
    """All clients of all listeners."""

    def __init__(
        self,
        handler: "ProxyHandler",
        *,
        admission: "Admission",
        callers: "Callers",
        stall_watch: "StallWatch",
        timeouts: Timeouts,
    ) -> None:
        # It would call this for requests that its own protocol has parsed.
        super().__init__(cast("Any", handler))
        self.handler = handler
        self.admission = admission
        self.callers = callers
        self.log_limited = LimitedLog(log)
        self.access_log: AccessLog | None = None
        self.stall_watch = stall_watch
        self.timeouts = timeouts
        self.draining = False
        self._left = asyncio.Event()
        # Clients that owe us something: the rest of a head, of a body, a close.
        self.pending: set[ClientConnection] = set()
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)

    def __call__(self) -> ClientConnection:  # type: ignore[override]  # not aiohttp's
        """Make the protocol of one client connection."""
        return ClientConnection(self, loop=self._loop)

    @property
    def clients(self) -> "list[ClientConnection]":
        """The clients that are connected."""
        return cast("list[ClientConnection]", self.connections)

    def replace(
        self,
        client: ClientConnection,
        transport: asyncio.Transport,
        *,
        below: asyncio.Transport,
        intercepted: "Intercepted",
    ) -> ClientConnection:
        """Serve on another transport, TLS, the client that gave its own away."""
        self.admission.leave(client)
        inner = self()
        inner.below, inner.intercepted = below, intercepted
        inner.caller = client.caller
        inner.written, inner.received = client.written, client.received
        transport.set_protocol(inner)
        inner.connection_made(transport)
        self._forget(client)
        return inner

    def log_to(self, log: AccessLog | None) -> None:
        """Log requests from now on, also of clients that are here, or no longer."""
        self.access_log = log
        for client in self.clients:
            if log is None:
                client.log = None
            elif client.log is not None:
                client.log.log = log
            elif not client.left:
                client.log = ClientLog(log, client)

    def reconsider(self) -> None:
        """Let go of whom the settings in effect would not have here (S14).

        Exchanges may end; a tunnel would not by itself.
        """
        allows, connect = self.admission.allows, self.handler.connect
        for client in self.clients:
            opened = client.intercepted
            if not allows(client.host) or (opened and not connect.opens(opened.origin)):
                client.close()
        connect.end_tunnels(allows)

    def start_draining(self) -> None:
        """Close resting clients, and the others after their response."""
        self.draining = True
        self._left.clear()
        self._close_idle()

    async def last_client_left(self) -> None:
        """Wait until no client is connected."""
        if self._connections:
            await self._left.wait()

    def opened(self, client: ClientConnection, transport: asyncio.Transport) -> None:
        """Enter a client."""
        self._connections[cast("Any", client)] = transport
        if self.access_log is not None:
            client.log = ClientLog(self.access_log, client)

    def lost(self, client: ClientConnection, exc: BaseException | None) -> None:
        """Forget a client; tell whoever waits for the last one."""
        self._forget(client)
        self.admission.leave(client)
        if client.caller.admitted:
            self.callers.leave(client, broken=isinstance(exc, ConnectionError))
        if not self._connections:
            self._left.set()

    def _forget(self, client: ClientConnection) -> None:
        self._connections.pop(cast("Any", client), None)

    def note_refusal(self, exc: "httptools.HttpParserError") -> None:
        """Log that bytes are no request."""
        self.log_limited(logging.INFO, "refused a request: %s", cause_of(exc))

    def now(self) -> float:
        """Return the loop's time, in seconds."""
        return self._loop.time()

    def close(self) -> None:
        """Stop the timers."""
        self._sweeper.cancel()
        self.stall_watch.close()

    def _sweep(self) -> None:
        now = self._loop.time()
        self._sweeper = self._loop.call_at(now + _SWEEP_S, self._sweep)
        for client in list(self.pending):
            if not client.deadlines.check(client, now):
                self.pending.discard(client)
        self._close_idle()

    def _close_idle(self) -> None:
        now, limit = self._loop.time(), self.timeouts.idle
        if self.draining:
            limit = min(limit, _RESTING_S)
        for client in self.clients:
            idle_since = client.idle_since
            if idle_since is not None and now - idle_since >= limit:
                client.force_close()
            elif client.was_reset:
                client.reset()
