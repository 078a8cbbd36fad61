"""One client connection: aiohttp's ``RequestHandler`` with our limits and our loop.

The seam to aiohttp: every name that its documentation does not document is used
here, in ``intake`` or in ``listener``, and ``tests/contract/test_aiohttp.py`` pins each.
"""

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import ERROR

from reuse_proxy.downstream.caller import Caller
from reuse_proxy.downstream.deadlines import Deadlines
from reuse_proxy.downstream.intake import Intake
from reuse_proxy.downstream.refusals import (
    MAX_HEAD_BYTES,
    head_too_large,
    internal_error,
)
from reuse_proxy.downstream.reply import ClientGoneError, Reply, last_response
from reuse_proxy.downstream.request import ClientRequest, linger
from reuse_proxy.downstream.sockets import (
    buffered,
    descriptor_of,
    hang_up,
    reset,
    was_reset,
)
from reuse_proxy.errors import ProxyError

if TYPE_CHECKING:
    from aiohttp import StreamReader

    from reuse_proxy.downstream.intercept import Intercepted
    from reuse_proxy.downstream.listener import ProxyServer
    from reuse_proxy.forward import Exchange
    from reuse_proxy.upstream.books import OriginPool
    from reuse_proxy.upstream.private import PrivateConnections


class ClientConnection(web.RequestHandler):
    """One client connection: aiohttp's handler with our limits."""

    __slots__ = (
        "_room",
        "_watch",
        "below",
        "caller",
        "deadlines",
        "exchange",
        "half_closed",
        "host",
        "idle_from",
        "intake",
        "intercepted",
        "private",
        "received",
        "server",
        "takes",
        "written",
    )

    def __init__(self, server: "ProxyServer", **kwargs: Any) -> None:  # noqa: ANN401 - aiohttp's
        super().__init__(server, **kwargs)
        self.server = server
        self._watch = server.stall_watch
        self.host: str | None = None
        self.exchange: Exchange | None = None
        self.written = self.received = 0
        self.caller = Caller()
        # How often this client was seen to take bytes of its response from the spool.
        self.takes = 0
        self.half_closed = False
        # What CONNECT asked for, where we have opened it; and what carries its TLS.
        self.intercepted: Intercepted | None = None
        self.below: asyncio.Transport | None = None
        self.private: PrivateConnections | None = None
        self.intake = Intake(self._messages)
        self.deadlines = Deadlines()
        # When the last response was done, or this began: in seconds of the loop.
        self.idle_from = 0.0
        self._room: asyncio.Future[None] | None = None

    # Accept...

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit a client, or answer and close.

        aiohttp's sets TCP_NODELAY (both loops have) and starts a timer (the listener's
        sweeper looks at idle clients): a tenth of a connection for one request.
        """
        self.transport = cast("asyncio.Transport", transport)
        # TLS would pause at 0 while nothing waits.
        self.transport.set_write_buffer_limits(0 if self.below is None else 1, 0)
        self.server.connection_made(self, self.transport)
        self.idle_from = self._loop.time()
        peer = transport.get_extra_info("peername")
        self.host = peer[0] if isinstance(peer, tuple) else None
        if (refusal := self.server.admission.enter(self)) is not None:
            self.refuse(refusal)
        else:
            self.caller.admitted = True
            self._task_handler = self._loop.create_task(self.start())

    def refuse(self, error: ProxyError) -> None:
        """Answer outside of any request, and close."""
        if self.transport is not None:
            self.transport.write(last_response(error))
        self.force_close()

    # Serve...

    async def start(self) -> None:
        """Serve this client's requests, one after another.

        aiohttp's loop makes a task, a writer and a response object for every request:
        half of what a small exchange cost.
        """
        try:
            await self._serve_all()
            if self.below is not None and self.writing_paused:
                # The loops give TLS a time to close, in which it must have written.
                with contextlib.suppress(ClientGoneError):
                    await self.taken()
        except asyncio.CancelledError:
            # By close(), while waiting for a request; or the client has gone.
            if not self._close:
                raise
        finally:
            self._current_request = None
            self._task_handler = None
            if self.transport is not None and not self._force_close:
                self.caller.done(self)
                hang_up(self.transport, self.below)

    async def _serve_all(self) -> None:
        while not self._force_close:
            if not self._messages:
                if self.ending:
                    return
                await self._next_message()
            more = await self._serve(*self._messages.popleft())
            self.idle_from = self._loop.time()
            if not more:
                return

    async def _serve(self, message: Any, content: "StreamReader") -> bool:  # noqa: ANN401 - aiohttp's
        """Answer one message of the parser; tell whether another may follow."""
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        if not isinstance(message, RawRequestMessage):
            error = self.server.unparsed(message.exc)
            self._answer_failure(ClientRequest(ERROR, content, self), error)
            return False
        self.caller.asked_to_close = message.should_close
        request = ClientRequest(message, content, self)
        self._current_request = cast("Any", request)
        written = self.written
        try:
            reply = await self.server.handler(request)
        except Exception as error:  # noqa: BLE001 - the last resort
            self.server.log_limited(logging.ERROR, "an error of our own", error=error)
            if self.written == written:
                self._answer_failure(request, internal_error())
            else:
                self.reset()  # it must not be taken for the rest of the response
            return False
        if not content.is_eof():
            await linger(content)
        self._current_request = None
        return reply.persistent and content.is_eof() and not self.ending

    def _next_message(self) -> "asyncio.Future[None]":
        """Return what becomes done once the parser has a message."""
        self._waiter = self._loop.create_future()
        if self.intake.head_bytes:
            self._owe()
        return self._waiter

    def _answer_failure(self, request: ClientRequest, error: ProxyError) -> None:
        with contextlib.suppress(ClientGoneError):
            Reply(request, b"").send_error(error, close=True)

    # Read...

    def data_received(self, data: bytes) -> None:
        """Parse, and keep an eye on a head that does not become complete."""
        intake, messages = self.intake, self._messages
        self.received += len(data)
        if intake.held is not None:
            if intake.hold(data):
                self.pause_reading()
            return
        known = len(messages)
        in_body = intake.in_body
        super().data_received(data)
        if not known and intake.is_plain(data):
            return
        if self._waiter is not None and not self._waiter.done() and not messages:
            if intake.count_head(data):
                self._owe()
            if intake.head_bytes > MAX_HEAD_BYTES:
                self.refuse(head_too_large())
            return
        if self.deadlines.awaited_body is not None:
            intake.count_overhead(self.deadlines.awaited_body, len(data))
        request = self._current_request
        intake.judge(
            data,
            known,
            in_body=in_body,
            current=None if request is None else request.content,
            paused=self._buffer_paused,
            tail=self._message_tail if self._upgraded else None,
        )

    def _owe(self) -> None:
        """Have the sweeper watch for what this client owes from now on."""
        self.deadlines.since = self._loop.time()
        self.server.pending.add(self)

    def await_body(self, content: "StreamReader | None") -> None:
        """Note that a handler waits for body bytes, or no longer does."""
        self.deadlines.awaited_body = content
        if content is not None:
            self._owe()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # keeps it open
        """Serve on a client that only closed its sending side (RFC 9112 section 9.6).

        Its response must keep moving: a client that is really gone looks the same.
        What switches to another protocol is not over with its request.
        """
        if self.below is not None:
            return None  # TLS cannot be half-closed
        if self.intake.held is None and not self._is_answered():
            return None
        self.half_closed = True
        self.caller.closed_its_side(self)
        self._owe()
        return True

    def _is_answered(self) -> bool:
        """Tell whether a request that has come in full is past the queue."""
        request, exchange = self._current_request, self.exchange
        if request is None or exchange is None or not request.content.is_eof():
            return False
        return exchange.phase != "queue"

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

    @property
    def may_switch(self) -> bool:
        """Whether all that comes behind the current request is held for a tunnel."""
        return self.intake.held is not None and not self._messages

    @property
    def was_reset(self) -> bool:
        """Whether a client that is not being read from has closed its connection."""
        return self._reading_paused and was_reset(self.fileno())

    @property
    def ending(self) -> bool:
        """Whether no further request will be read from this client."""
        last = (self.half_closed or self.intake.sealed) and not self._messages
        return last or self._close or self.server.draining

    @property
    def idle_since(self) -> float | None:
        """When this connection became idle; None while it is served or closing."""
        if self._waiter is None or self._waiter.done() or self._messages:
            return None
        return self.idle_from

    @property
    def held_pool(self) -> "OriginPool | None":
        """The pool of which this client holds a connection."""
        return None if self.exchange is None else self.exchange.pool

    # Hand over...

    def hand_over(self) -> tuple[asyncio.Transport, bytes]:
        """Give the transport away, with bytes that came behind the current request.

        Whoever gets it calls :meth:`handed_back` when it has closed.

        Raises:
            ClientGoneError: the client has gone.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ClientGoneError("the client has gone")
        self._watch.discard(self)
        self.server.pending.discard(self)
        if self.private is not None:
            self.private.close()
        self.transport = None
        held, self.intake.held = self.intake.held, bytearray()
        return transport, bytes(held or b"")

    def handed_back(self) -> None:
        """Forget the client, whose transport has been closed elsewhere."""
        self._task_handler = None  # or it would be cancelled: it is what runs
        self.connection_lost(None)

    # Close...

    def force_close(self) -> None:
        """Close behind what has been written, and serve nothing more."""
        if self.transport is not None:
            self.caller.ended_here = True
            hang_up(self.transport, self.below)
            self.transport = None
        super().force_close()

    def reset(self) -> None:
        """Close with RST: the client must not take what it got for a whole response."""
        if self.transport is not None:
            self.caller.ended_here = True
            reset(self.transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the client, and wake whoever waits for it."""
        self._watch.discard(self)
        self.server.pending.discard(self)
        unused = not (self._request_count or self._force_close or self._close)
        super().connection_lost(exc)
        if self.private is not None:
            self.private.close()
        if self.intercepted is not None and unused:
            self.intercepted.unused(self)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
