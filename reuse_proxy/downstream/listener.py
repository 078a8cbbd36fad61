"""Accepting clients: aiohttp's ``web.Server`` with our limits, timers and errors.

The seam to aiohttp: every name that its documentation does not document is used
here or in ``reply``, and ``tests/contract/test_aiohttp.py`` pins each.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, InvalidURLError, LineTooLong
from aiohttp.http_parser import HttpRequestParser

from reuse_proxy.downstream.reply import (
    ClientGoneError,
    Reply,
    plain_response,
    reset,
)
from reuse_proxy.errors import ProxyError, RequestError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import StreamReader
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http_parser import RawRequestMessage

    from reuse_proxy.downstream.access import AccessList
    from reuse_proxy.downstream.stall import StallWatch
    from reuse_proxy.forward import Exchange
    from reuse_proxy.upstream.pool import OriginPool

log = logging.getLogger(__name__)

# Two different numbers, so that an error tells which of the two was exceeded.
_MAX_TARGET_BYTES: Final = 16 * 1024
_MAX_FIELD_BYTES: Final = 32 * 1024
_MAX_HEAD_BYTES: Final = 64 * 1024
_MAX_FIELDS: Final = 256
_READ_BUFFER_BYTES: Final = 64 * 1024
_LINGER_S: Final = 5.0
_SWEEP_S: Final = 0.5
_LOG_INTERVAL_S: Final = 1.0


class ClientRequest:
    """One request as aiohttp's parser hands it over; stands in for ``BaseRequest``.

    ``BaseRequest`` rebuilds the URL for every absolute-form target, which this proxy
    never looks at.
    """

    __slots__ = ("_task", "connection", "content", "message", "writer")

    def __init__(
        self,
        message: "RawRequestMessage",
        content: "StreamReader",
        connection: "ClientConnection",
        writer: "AbstractStreamWriter",
        task: "asyncio.Task[None]",
    ) -> None:
        self.message = message
        self.content = content
        self.connection = connection
        self.writer = writer
        self._task: asyncio.Task[None] | None = task

    @property
    def method(self) -> str:
        """The method's name."""
        return self.message.method

    @property
    def version(self) -> tuple[int, int]:
        """HTTP version of the request."""
        return self.message.version

    @property
    def http10(self) -> bool:
        """Whether the client speaks HTTP/1.0."""
        return self.message.version < (1, 1)

    @property
    def should_close(self) -> bool:
        """Whether the client asks for its connection to be closed."""
        return self.message.should_close

    def _finish(self) -> None:
        """Nothing was kept (called by aiohttp)."""

    def _cancel(self, exc: BaseException) -> None:
        """Let whoever reads the body know that the client is gone (aiohttp)."""
        self.content.set_exception(exc)


class ClientBody:
    """A client's request body for ``forward``: limits and errors translated."""

    __slots__ = ("_connection", "_content")

    def __init__(self, request: ClientRequest) -> None:
        self._content = request.content
        self._connection = request.connection

    def take(self) -> bytes | None:
        """Return the whole body if it is here already, else None."""
        return self._content.read_nowait(-1) if self._content.is_eof() else None

    async def read(self) -> bytes:
        """Return more of the body, or nothing at its end.

        Raises:
            ProxyError: the client sends no valid body, or none in time.
        """
        self._connection.await_body(self._content)
        try:
            return await self._content.readany()
        except ProxyError:
            raise
        except (web.RequestPayloadError, BadHttpMessage) as exc:
            raise RequestError(f"The request body is malformed: {exc}.") from exc
        except ConnectionError as exc:
            raise RequestError("The client went away during its upload.") from exc
        finally:
            self._connection.await_body(None)


class ClientConnection(web.RequestHandler):
    """One client connection: aiohttp's handler with our limits."""

    __slots__ = (
        "_awaited_body",
        "_head_bytes",
        "_room",
        "_since",
        "_watch",
        "exchange",
        "half_closed",
        "server",
        "written",
    )

    def __init__(self, server: "ProxyServer", **kwargs: Any) -> None:  # noqa: ANN401 - aiohttp's
        super().__init__(server, **kwargs)
        self.server = server
        self._watch = server.stall_watch
        self.exchange: Exchange | None = None
        self.written = 0
        self.half_closed = False
        self._head_bytes = 0
        self._since = 0.0
        self._awaited_body: StreamReader | None = None
        self._room: asyncio.Future[None] | None = None

    # Accept...

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit a client, or answer and close."""
        super().connection_made(transport)
        cast("asyncio.Transport", transport).set_write_buffer_limits(high=0)
        refusal = self.server.refusal(self)
        if refusal is not None:
            self.refuse(refusal)

    def refuse(self, error: ProxyError) -> None:
        """Answer outside of any request, and close."""
        reason = b"Proxy-Status: reuse-proxy; error=%b\r\n" % error.error.encode()
        fields = [reason, b"Connection: close\r\n"]
        if error.retry_after is not None:
            fields.append(b"Retry-After: %d\r\n" % error.retry_after)
        if self.transport is not None:
            self.transport.write(plain_response(error.status, error.sentence, fields))
        self.force_close()

    # Read...

    def data_received(self, data: bytes) -> None:
        """Parse, and keep an eye on a head that does not become complete."""
        super().data_received(data)
        if self._waiter is None or self._waiter.done() or self._messages:
            self._head_bytes = 0
            return
        if not self._head_bytes:
            if not data.strip(b"\r\n"):
                return
            self._since = self._loop.time()
            self.server.pending.add(self)
        self._head_bytes += len(data)
        if self._head_bytes > _MAX_HEAD_BYTES:
            self.refuse(_head_too_large())

    def await_body(self, content: "StreamReader | None") -> None:
        """Note that a handler waits for body bytes, or no longer does."""
        self._awaited_body = content
        if content is not None:
            self._since = self._loop.time()
            self.server.pending.add(self)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # keeps it open
        """Serve on a client that only closed its sending side (RFC 9112 section 9.6).

        Its request must have come in full, and its response must keep moving: a
        client that is really gone looks the same.
        """
        request = self._current_request
        if request is None or not request.content.is_eof():
            return None
        if self.exchange is None or self.exchange.phase == "queue":
            return None
        self.half_closed = True
        self._since = self._loop.time()
        self.server.pending.add(self)
        return True

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
        transport.write(data)

    def pause_writing(self) -> None:
        """Start to watch: the kernel takes no more for now."""
        super().pause_writing()
        self._watch.add(self)

    def resume_writing(self) -> None:
        """Stop watching: the kernel has taken everything."""
        super().resume_writing()
        self._watch.discard(self)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def may_hold_more(self) -> bool:
        """Tell whether the spool has room for more of this client's response."""
        return self._watch.may_hold_more(self)

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
        transport = self.transport
        return 0 if transport is None else transport.get_write_buffer_size()

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 once it is closed."""
        if self.transport is None:
            return -1
        sock = self.transport.get_extra_info("socket")
        return cast("int", sock.fileno())

    @property
    def ending(self) -> bool:
        """Whether no further request will be read from this client."""
        return self.half_closed or self._close or self.server.draining

    @property
    def idle_since(self) -> float | None:
        """When this connection became idle; None while it serves a request."""
        if self._waiter is None or self._waiter.done() or self._messages:
            return None
        return self._next_keepalive_close_time - self._keepalive_timeout

    @property
    def held_pool(self) -> "OriginPool | None":
        """The pool of which this client holds a connection."""
        return None if self.exchange is None else self.exchange.pool

    # Time...

    def check(self, now: float) -> bool:
        """Apply the time limits of what this client owes; tell whether it owes still."""
        waited = now - self._since
        times = self.server.timeouts
        if self._awaited_body is not None:
            if waited >= times.body:
                self._awaited_body.set_exception(_body_too_slow(times.body))
            return True
        if self.half_closed:
            if self.written != self._head_bytes:
                self._head_bytes, self._since = self.written, now
            elif waited >= times.half_closed:
                self.reset()
            return self.transport is not None
        if self._head_bytes and self.idle_since is not None:
            if waited >= times.head:
                self.refuse(_head_too_slow(times.head))
            return True
        return False

    # Close...

    def reset(self) -> None:
        """Close with RST: the client must not take what it got for a whole response."""
        if self.transport is not None:
            reset(self.transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the client, and wake whoever waits for it."""
        self._watch.discard(self)
        self.server.pending.discard(self)
        super().connection_lost(exc)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # Errors...

    def handle_error(
        self,
        request: Any,  # noqa: ANN401 - aiohttp's BaseRequest, here our ClientRequest
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> Reply:
        """Answer what aiohttp's parser refused, or a failure of our own."""
        if request.writer.output_size > 0 or self.transport is None:
            raise ClientGoneError("nothing can be answered any more")
        error = _translate(exc)
        self.server.log_limited(
            logging.ERROR if error.status == 500 else logging.INFO,
            "refused a request with %d: %r",
            error.status,
            exc,
            error=exc if error.status == 500 else None,
        )
        reply = Reply(request, b"")
        reply.send_error(error, close=True)
        self._keepalive = False
        return reply


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
        access: "AccessList",
        stall_watch: "StallWatch",
        timeouts: Timeouts,
        idle_timeout: float,
        max_clients: int,
    ) -> None:
        if HttpRequestParser.__module__ != "aiohttp._http_parser":
            raise SettingsError(
                "aiohttp runs without its C parser, which alone is strict enough for "
                "a proxy; unset AIOHTTP_NO_EXTENSIONS or install a binary wheel."
            )
        super().__init__(
            cast("Any", handler),
            request_factory=cast("Any", self._request),
            handler_cancellation=True,
            access_log=None,
            tcp_keepalive=False,
            auto_decompress=False,
            keepalive_timeout=idle_timeout,
            lingering_time=_LINGER_S,
            max_line_size=_MAX_TARGET_BYTES,
            max_field_size=_MAX_FIELD_BYTES,
            max_headers=_MAX_FIELDS,
            read_bufsize=_READ_BUFFER_BYTES,
        )
        self._access = access
        self._max_clients = max_clients
        self._logged_at = 0.0
        self._unlogged = 0
        self._oldest: list[ClientConnection] = []
        self.stall_watch = stall_watch
        self.timeouts = timeouts
        self.draining = False
        # Clients that owe us something: the rest of a head, of a body, a close.
        self.pending: set[ClientConnection] = set()
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)

    def __call__(self) -> web.RequestHandler:
        """Make the protocol of one client connection."""
        return ClientConnection(self, loop=self._loop, **self._kwargs)

    def refusal(self, client: ClientConnection) -> ProxyError | None:
        """Return why a new client is turned away; make room for it where possible."""
        peer = client.peername
        host = peer[0] if isinstance(peer, tuple) else None
        if not self._access.allows(host):
            return RequestError(
                f"The address {host} may not use this proxy (allow_clients).",
                status=403,
                error="http_request_denied",
            )
        if len(self._connections) > self._max_clients and not self._close_oldest():
            return RequestError(
                f"{self._max_clients} clients are connected and busy (max_clients).",
                status=503,
                error="connection_limit_reached",
            )
        return None

    def start_draining(self) -> None:
        """Close idle clients, and the others after their response."""
        self.draining = True
        self.pre_shutdown()

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

    def _request(self, *parts: Any) -> ClientRequest:  # noqa: ANN401 - aiohttp's
        return ClientRequest(*parts)

    def _close_oldest(self) -> bool:
        """Close the client connection that has been idle for longest."""
        if not self._oldest:
            idle = [
                (client.idle_since, client)
                for client in cast("list[ClientConnection]", self.connections)
                if client.idle_since is not None
            ]
            idle.sort(key=lambda pair: pair[0], reverse=True)
            self._oldest = [client for _, client in idle]
        while self._oldest:
            client = self._oldest.pop()
            if client.idle_since is not None and client.transport is not None:
                client.force_close()
                return True
        return False

    def _sweep(self) -> None:
        now = self._loop.time()
        self._sweeper = self._loop.call_at(now + _SWEEP_S, self._sweep)
        for client in list(self.pending):
            if not client.check(now):
                self.pending.discard(client)


def _translate(exc: BaseException | None) -> ProxyError:
    """Turn what aiohttp raises before a handler runs into an error of ours."""
    match exc:
        case ProxyError():
            error: ProxyError = exc
        case LineTooLong() if exc.args[1] == _MAX_TARGET_BYTES:
            error = RequestError(
                f"The request target is longer than {_MAX_TARGET_BYTES} bytes.",
                status=414,
            )
        case BadHttpMessage() if _is_too_large(exc):
            error = _head_too_large()
        case InvalidURLError():
            error = RequestError("The request target is malformed.")
        case BadHttpMessage():
            error = RequestError("The request is not valid HTTP/1.1.")
        case _:
            error = ProxyError("This is an error of reuse-proxy itself; see its log.")
    return error


def _is_too_large(exc: BadHttpMessage) -> bool:
    return isinstance(exc, LineTooLong) or "Too many headers" in exc.message


def _head_too_large() -> ProxyError:
    return RequestError(
        f"The request head exceeds {_MAX_HEAD_BYTES} bytes, {_MAX_FIELDS} fields, "
        f"or {_MAX_FIELD_BYTES} bytes in one field.",
        status=431,
    )


def _head_too_slow(seconds: float) -> ProxyError:
    return RequestError(
        f"The request head took longer than {seconds:g} s (client_head_timeout).",
        status=408,
    )


def _body_too_slow(seconds: float) -> ProxyError:
    return RequestError(
        f"The request body paused for {seconds:g} s (client_body_timeout).",
        status=408,
    )
