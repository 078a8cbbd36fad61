"""One client connection: its requests, served one after another.

A request is served without a task as long as nothing has to be waited for but its
origin: the handler sends it on from :meth:`ClientConnection.data_received`, and answers
it when the origin's bytes arrive.  Whatever needs more than that gets a task.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, cast

from reuse_proxy.downstream.caller import Caller
from reuse_proxy.downstream.deadlines import Deadlines
from reuse_proxy.downstream.intake import Intake
from reuse_proxy.downstream.refusals import client_left
from reuse_proxy.downstream.reply import ClientGoneError
from reuse_proxy.downstream.request import linger
from reuse_proxy.downstream.sockets import hang_up, reset, was_reset
from reuse_proxy.downstream.writing import ClientWriter

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from reuse_proxy.downstream.intercept import Intercepted
    from reuse_proxy.downstream.listener import ProxyServer
    from reuse_proxy.downstream.reply import Reply
    from reuse_proxy.downstream.request import ClientBody, ClientRequest
    from reuse_proxy.errors import ProxyError
    from reuse_proxy.forward import Exchange
    from reuse_proxy.http.request_fields import RequestFields
    from reuse_proxy.ledger.visit import Visit
    from reuse_proxy.upstream.books import OriginPool
    from reuse_proxy.upstream.private import PrivateConnections

    Serving = Coroutine[object, object, None]

# A client that pipelines is read from again once no more than this is queued.
_RESUME_QUEUED = 16


class ClientConnection(ClientWriter):
    """One client connection.

    Attributes:
        request: what is being served; ``reply`` is the response to it.
        fields: what the last request's ``raw_fields`` said.
        exchange: what it has become upstream, while it has a part there.
        host: the client's address; None on a UNIX socket.
        takes: how often it was seen to take bytes of its response from the spool.
        half_closed: it has closed its sending side, and is still served.
        intercepted: what CONNECT asked for, where we have opened it.
        idle_from: when the last response was done, or this began: in seconds of the
            loop.
    """

    __slots__ = (
        "_closing",
        "_fresh",
        "_reading_paused",
        "_serving",
        "_task",
        "_watch",
        "caller",
        "deadlines",
        "exchange",
        "fields",
        "half_closed",
        "host",
        "idle_from",
        "intake",
        "intercepted",
        "private",
        "raw_fields",
        "received",
        "reply",
        "request",
        "server",
        "takes",
    )
    reply: "Reply"

    def __init__(
        self, server: "ProxyServer", *, loop: "asyncio.AbstractEventLoop"
    ) -> None:
        super().__init__(server.handler.outbox, loop)
        self.server = server
        self._watch = server.stall_watch
        self.host: str | None = None
        self.request: ClientRequest | None = None
        self.exchange: Exchange | None = None
        self.fields: RequestFields | None = None
        self.raw_fields: list[tuple[bytes, bytes]] = []
        self.received = self.takes = 0
        self.caller = Caller()
        self.half_closed = False
        self.intercepted: Intercepted | None = None
        self.private: PrivateConnections | None = None
        self.intake = Intake(self)
        self.deadlines = Deadlines()
        self.idle_from = 0.0
        self._closing = self._reading_paused = False
        self._fresh = True  # it has not asked for anything
        self._task: asyncio.Task[None] | None = None
        self._serving: Serving | None = None  # until the task has begun to

    # Accept...

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit a client, or answer and close."""
        self.transport = cast("asyncio.Transport", transport)
        # TLS would pause at 0 while nothing waits.
        self.transport.set_write_buffer_limits(0 if self.below is None else 1, 0)
        self.server.opened(self, self.transport)
        self.idle_from = self._loop.time()
        peer = transport.get_extra_info("peername")
        self.host = peer[0] if isinstance(peer, tuple) else None
        if (refusal := self.server.admission.enter(self)) is not None:
            self.refuse(refusal)
        else:
            self.caller.admitted = True

    def refuse(self, error: "ProxyError") -> None:
        """Answer outside of any request, and close."""
        self.server.handler.refuse(self, error)
        self.force_close()

    # Read...

    def data_received(self, data: bytes) -> None:
        """Take bytes in, and serve what they ask for."""
        self.received += len(data)
        intake = self.intake
        known = intake.head_bytes
        intake.feed(data)
        if self.request is None:
            self.serve()
            if intake.head_bytes and not known:
                self._owe()
        if intake.is_full():
            self._pause()

    def read_on(self) -> None:
        """Read what waits, and from the client again, if there is room now."""
        self.intake.read_on()
        if self._reading_paused and not self.intake.is_full():
            self._reading_paused = False
            if self.transport is not None and not self.transport.is_closing():
                self.transport.resume_reading()

    def _pause(self) -> None:
        if not self._reading_paused and self.transport is not None:
            self._reading_paused = True
            self.transport.pause_reading()

    def _owe(self) -> None:
        """Have the sweeper watch for what this client owes from now on."""
        self.deadlines.since = self._loop.time()
        self.server.pending.add(self)

    def await_body(self, body: "ClientBody | None") -> None:
        """Note that a handler waits for body bytes, or no longer does."""
        self.deadlines.awaited_body = body
        if body is not None:
            self._owe()

    def eof_received(self) -> bool | None:
        """Serve on a client that only closed its sending side (RFC 9112 section 9.6).

        Its response must keep moving: a client that is really gone looks the same.
        What switches to another protocol is not over with its request.
        """
        self.flush()  # or it would be closed over what waits
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
        request, exchange = self.request, self.exchange
        if request is None or exchange is None or not request.complete:
            return False
        return exchange.phase != "queue"

    # Serve...

    def serve(self) -> None:
        """Serve the requests that have come, until one has to be waited for."""
        intake, handler = self.intake, self.server.handler
        requests = intake.requests
        while self.request is None and not self._closing:
            behind = self._reading_paused or intake.unparsed
            if behind and len(requests) <= _RESUME_QUEUED:
                self.read_on()
            if not requests:
                if intake.error is not None:
                    self.refuse(intake.error)
                return
            request = requests.popleft()
            self.request = request
            self._fresh = False
            self.caller.asked_to_close = request.asked_to_close
            handler.begin(request)

    def run(self, serving: "Serving") -> None:
        """Serve the current request in a task, which ends with :meth:`done`."""
        self._serving = serving
        self._task = self._loop.create_task(self._run(serving))

    async def _run(self, serving: "Serving") -> None:
        self._serving = None
        await serving
        self._task = None
        self.done()
        self.serve()

    def arrived(self) -> None:
        """Take note that the origin has sent something that the exchange listens for."""
        self.server.handler.arrived(self)
        if self.request is None:
            self.serve()

    def done(self) -> None:
        """End the current request: another may follow, or the connection is closed."""
        request = self.request
        if request is None:
            return
        body = request.body
        if body is not None and not body.complete and self.transport is not None:
            self.run(self._linger(request))
            return
        self.request = None
        self.idle_from = self._loop.time()
        if not self.reply.persistent or self.is_ending():
            self._hang_up()
        elif self.intake.head_bytes:
            self._owe()

    async def _linger(self, request: "ClientRequest") -> None:
        if request.body is not None:
            await linger(request.body)
            if not request.complete:
                self.request = None
                self._hang_up()

    # Write...

    def pause_writing(self) -> None:
        """Start to watch: the kernel takes no more for now."""
        self.writing_paused = True
        self._watch.add(self)

    def resume_writing(self) -> None:
        """Stop watching: the kernel has taken everything."""
        self.writing_paused = False
        self._watch.discard(self)
        self._make_room()

    # Inspect...

    @property
    def may_switch(self) -> bool:
        """Whether all that comes behind the current request is held for a tunnel."""
        return self.intake.held is not None and not self.intake.requests

    @property
    def was_reset(self) -> bool:
        """Whether a client that is not being read from has closed its connection."""
        return self._reading_paused and was_reset(self.fileno())

    def is_ending(self) -> bool:
        """Tell whether no further request will be read from this client."""
        if self._closing or self.server.draining:
            return True
        intake = self.intake
        last = self.half_closed or (intake.sealed and intake.error is None)
        return last and not intake.requests

    @property
    def idle_since(self) -> float | None:
        """When this connection became idle; None while it is served or closing."""
        if self.request is not None or self._closing or not self.caller.admitted:
            return None
        return self.idle_from

    @property
    def held_pool(self) -> "OriginPool | None":
        """The pool of which this client holds a connection."""
        return None if self.exchange is None else self.exchange.pool

    # Hand over...

    def hand_over(self) -> tuple[asyncio.Transport, bytes]:
        """Give the transport away, with bytes that came behind the current request.

        Raises:
            ClientGoneError: the client has gone.
        """
        self.flush()
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
        """Forget the client: whoever got its transport calls this when it is closed."""
        self._forget(None)

    # Close...

    def _hang_up(self) -> None:
        """Close behind the last response."""
        if self._closing or self.transport is None:
            return
        self._closing = True
        self.flush()
        if self.below is not None and self.writing_paused:
            # The loops give TLS a time to close, in which it must have written.
            self._task = self._loop.create_task(self._hang_up_slowly())
        else:
            self.caller.done(self)
            hang_up(self.transport, self.below)

    async def _hang_up_slowly(self) -> None:
        with contextlib.suppress(ClientGoneError):
            await self.taken()
        if self.transport is not None:
            self.caller.done(self)
            hang_up(self.transport, self.below)

    def close(self) -> None:
        """Serve nothing after what is being served (aiohttp's server calls this)."""
        self.intake.stop()
        if self.request is None:
            self._hang_up()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's
        """End at once what is being served, and close (aiohttp's server calls this)."""
        del timeout
        task = self._task
        self._cancel(self.caller.visit)
        if task is not None:
            await asyncio.wait([task])
        self.force_close()

    def _cancel(self, visit: "Visit | None") -> None:
        # A task that is cancelled before its first step takes none, and ends nothing.
        task, serving, self._serving = self._task, self._serving, None
        if task is not None:
            task.cancel()
        if serving is not None:
            serving.close()
        if self.request is not None and (task is None or serving is not None):
            self.server.handler.abandon(self, visit)

    def force_close(self) -> None:
        """Close behind what has been written, and serve nothing more."""
        self._closing = True
        self.flush()
        if self.transport is not None:
            self.caller.ended_here = True
            hang_up(self.transport, self.below)
            self.transport = None

    def reset(self) -> None:
        """Close with RST: the client must not take what it got for a whole response."""
        if self.transport is not None:
            self.caller.ended_here = True
            reset(self.transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the client, and end whatever was done for it."""
        visit = self.caller.visit
        self._forget(exc)
        self._cancel(visit)

    def _forget(self, exc: BaseException | None) -> None:
        self._watch.discard(self)
        self.server.pending.discard(self)
        unused = self._fresh and not self._closing
        self.transport = None
        self._closing = True
        self.server.lost(self, exc)
        self.intake.end(client_left())
        if self.private is not None:
            self.private.close()
        if self.intercepted is not None and unused:
            self.intercepted.unused(self)
        self._make_room()
