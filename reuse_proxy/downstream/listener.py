"""Accepting clients: aiohttp's ``web.Server`` with our limits, timers and errors.

The seam to aiohttp, together with ``client``.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web
from aiohttp.http_parser import HttpRequestParser

from reuse_proxy.downstream.client import ClientConnection
from reuse_proxy.downstream.refusals import (
    MAX_FIELD_BYTES,
    MAX_FIELDS,
    MAX_TARGET_BYTES,
    cause_of,
    translate,
)
from reuse_proxy.errors import ProxyError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reuse_proxy.downstream.admission import Admission
    from reuse_proxy.downstream.callers import Callers
    from reuse_proxy.downstream.intercept import Intercepted
    from reuse_proxy.downstream.reply import Reply
    from reuse_proxy.downstream.request import ClientRequest
    from reuse_proxy.downstream.stall import StallWatch

log = logging.getLogger(__name__)

_READ_BUFFER_BYTES: Final = 64 * 1024
_SWEEP_S: Final = 0.5
_LOG_INTERVAL_S: Final = 1.0


class Timeouts:
    """What a client may take its time for, in seconds."""

    __slots__ = ("body", "half_closed", "head")

    def __init__(self, *, head: float, body: float, half_closed: float) -> None:
        self.head = head
        self.body = body
        self.half_closed = half_closed


class ProxyServer(web.Server):
    """All clients of all listeners."""

    def __init__(
        self,
        handler: "Callable[[ClientRequest], Awaitable[Reply]]",
        *,
        admission: "Admission",
        callers: "Callers",
        stall_watch: "StallWatch",
        timeouts: Timeouts,
        idle_timeout: float,
    ) -> None:
        if HttpRequestParser.__module__ != "aiohttp._http_parser":
            raise SettingsError(
                "aiohttp runs without its C parser, which alone is strict enough for "
                "a proxy; unset AIOHTTP_NO_EXTENSIONS or install a binary wheel."
            )
        super().__init__(
            cast("Any", handler),
            handler_cancellation=True,
            access_log=None,
            tcp_keepalive=False,
            auto_decompress=False,
            max_line_size=MAX_TARGET_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_FIELDS,
            read_bufsize=_READ_BUFFER_BYTES,
        )
        self.handler = handler
        self.admission = admission
        self.callers = callers
        self._idle_timeout = idle_timeout
        self._logged_at = 0.0
        self._unlogged = 0
        self.stall_watch = stall_watch
        self.timeouts = timeouts
        self.draining = False
        self._left = asyncio.Event()
        # Clients that owe us something: the rest of a head, of a body, a close.
        self.pending: set[ClientConnection] = set()
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)

    def __call__(self) -> web.RequestHandler:
        """Make the protocol of one client connection."""
        return ClientConnection(self, loop=self._loop, **self._kwargs)

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
        inner = cast("ClientConnection", self())
        inner.below, inner.intercepted = below, intercepted
        inner.caller = client.caller
        inner.written, inner.received = client.written, client.received
        transport.set_protocol(inner)
        inner.connection_made(transport)
        self._connections.pop(client, None)
        return inner

    def start_draining(self) -> None:
        """Close idle clients, and the others after their response."""
        self.draining = True
        self._left.clear()
        for client in cast("list[ClientConnection]", self.connections):
            # Not aiohttp's close(), which stops uploads that are on their way, too.
            if client.idle_since is not None:
                client.force_close()

    async def last_client_left(self) -> None:
        """Wait until no client is connected."""
        if self._connections:
            await self._left.wait()

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Forget a client; tell whoever waits for the last one."""
        super().connection_lost(handler, exc)
        self._connections.pop(handler, None)
        client = cast("ClientConnection", handler)
        self.admission.leave(client)
        if client.caller.admitted:
            self.callers.leave(client, broken=isinstance(exc, ConnectionError))
        if not self._connections:
            self._left.set()

    def unparsed(self, exc: BaseException) -> "ProxyError":
        """Return the error for what aiohttp's parser refused, and log it."""
        error = translate(exc)
        self.log_limited(
            logging.INFO, "refused a request with %d: %s", error.status, cause_of(exc)
        )
        return error

    def now(self) -> float:
        """Return the loop's time, in seconds."""
        return self._loop.time()

    def close(self) -> None:
        """Stop the timers."""
        self._sweeper.cancel()
        self.stall_watch.close()

    def log_limited(
        self,
        level: int,
        message: str,
        *args: object,
        error: BaseException | None = None,
    ) -> None:
        """Log at most one line a second, and how many were left out."""
        now = self._loop.time()
        if now - self._logged_at < _LOG_INTERVAL_S:
            self._unlogged += 1
            return
        if self._unlogged:
            log.log(level, "%d similar lines left out", self._unlogged)
        self._logged_at, self._unlogged = now, 0
        log.log(level, message, *args, exc_info=error)

    def _sweep(self) -> None:
        now = self._loop.time()
        self._sweeper = self._loop.call_at(now + _SWEEP_S, self._sweep)
        for client in list(self.pending):
            if not client.deadlines.check(client, now):
                self.pending.discard(client)
        for client in cast("list[ClientConnection]", self.connections):
            idle_since = client.idle_since
            if idle_since is not None and now - idle_since >= self._idle_timeout:
                client.force_close()
            elif client.was_reset:
                client.reset()
