"""One upstream connection: HTTP/1.1 on ``asyncio.Protocol`` and httptools (llhttp).

The exchange pulls: it waits for :meth:`UpstreamConnection.receive` and takes what
has come.  This module knows nothing of pools, clients or retries; it tells its
owner only of what happens while no exchange is looking.
"""

import select
from asyncio import Protocol as AsyncioProtocol
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol, cast

import httptools

from reuse_proxy.errors import (
    ProxyError,
    UpstreamClosedError,
    UpstreamProtocolError,
)
from reuse_proxy.http import framing
from reuse_proxy.http.headers import ResponseFields
from reuse_proxy.upstream.books import CloseReason, State

if TYPE_CHECKING:
    import asyncio

    from reuse_proxy.upstream.books import OriginPool

# Response bytes held for an exchange that is not taking them; one read of uvloop
# is up to 256 KB, so the upper mark is passed by at most that.
_HIGH_WATER: Final = 256 * 1024
# The sizes that nginx, squid and HAProxy accept by default lie between 4 and 64 KiB.
_MAX_HEAD_BYTES: Final = 64 * 1024
_MAX_FIELDS: Final = 256
_MAX_INTERIM: Final = 100
# Heads, chunk extensions and trailers carry no content; this much of them in one
# exchange is an attack.  The parser keeps an unfinished field to itself meanwhile.
_MAX_OVERHEAD_BYTES: Final = 1024 * 1024
_VERSIONS: Final = ("1.0", "1.1")
# Linux alone tells a FIN from data without reading.
_POLLRDHUP: Final = getattr(select, "POLLRDHUP", 0)


class ConnectionOwner(Protocol):
    """Who hears of a connection's fate while no exchange uses it."""

    def connection_broken(
        self, connection: "UpstreamConnection", reason: CloseReason
    ) -> None:
        """An idle connection was closed by its origin or sent bytes unasked."""

    def connection_gone(self, connection: "UpstreamConnection") -> None:
        """The operating system has closed the socket."""


class ResponseHead:
    """Status line and fields of one response, interim or final."""

    __slots__ = ("fields", "http10", "reason", "status")

    def __init__(
        self, status: int, reason: bytes, fields: ResponseFields, *, http10: bool
    ) -> None:
        self.status = status
        self.reason = reason
        self.fields = fields
        self.http10 = http10

    @property
    def interim(self) -> bool:
        """Whether a further response follows (RFC 9110 section 15.2)."""
        return self.status < 200


class UpstreamConnection(AsyncioProtocol):
    """A connection to an origin, used for one exchange at a time."""

    __slots__ = (
        "_body",
        "_can_write",
        "_complete",
        "_error",
        "_fields",
        "_heads",
        "_interim",
        "_is_head",
        "_keep",
        "_length",
        "_loop",
        "_method",
        "_overhead",
        "_owner",
        "_parser",
        "_poll",
        "_reading",
        "_reason",
        "_reply",
        "_sent",
        "_surplus",
        "_transport",
        "_until_eof",
        "_waiter",
        "address",
        "body_bytes",
        "buffered",
        "discarding",
        "expires_at",
        "idle_limit",
        "idle_since",
        "leases",
        "local_address",
        "miss",
        "moved",
        "moved_at",
        "opened_at",
        "pool",
        "received",
        "requests",
        "retire",
        "state",
    )
    capacity = 1
    body_bytes: int

    def __init__(
        self,
        pool: "OriginPool",
        owner: ConnectionOwner,
        *,
        loop: "asyncio.AbstractEventLoop",
    ) -> None:
        self.pool = pool
        self._owner = owner
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._can_write: asyncio.Future[None] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._is_head = False
        self.state = State.CONNECTING
        self.leases = 0
        self.requests = 0
        self.opened_at = self.idle_since = self.moved_at = loop.time()
        self.expires_at = self.idle_limit = float("inf")
        self.retire: CloseReason | None = None
        self.miss = ""
        self.moved = False
        self._reading = True
        self._heads: deque[ResponseHead] = deque()
        self._body: list[bytes] = []
        self._fields = ResponseFields()
        self._error: ProxyError | None = None
        self._reset("")
        self._complete = True

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
        if self._transport is None:
            return -1
        sock = self._transport.get_extra_info("socket")
        return cast("int", sock.fileno())

    # Use...

    def ready(self) -> bool:
        """Tell whether this connection may carry a request (design D5).

        On one that has been used, anything readable, be it data, FIN or RST, means
        that it may not.  A fresh one is not polled: TLS tickets may have come.
        """
        transport = self._transport
        return (
            transport is not None
            and not self._surplus
            and not transport.is_closing()
            and not (self.requests and self._poll.poll(0))
        )

    @property
    def hung_up(self) -> bool:
        """Whether the origin has closed its side, as the kernel knows it."""
        return self._transport is not None and any(
            events & _POLLRDHUP for _, events in self._poll.poll(0)
        )

    def send(self, method: str, head: bytes, *, complete: bool) -> None:
        """Start an exchange: write a request's head, and its body where it is short.

        Args:
            method: decides whether the response has a body.
            head: the bytes to write.
            complete: nothing more of the request follows.
        """
        self._reset(method)
        self._sent = complete
        self.requests += 1
        if self._transport is not None:
            self._transport.write(head)

    async def write(self, pieces: list[bytes], *, complete: bool = False) -> None:
        """Write more of the request, no faster than the origin takes it.

        Raises:
            ProxyError: the connection failed meanwhile.
        """
        if self._error is not None:
            raise self._error
        if self._transport is not None:
            self._transport.writelines(pieces)
        self.moved = True
        if self._can_write is not None:
            await self._can_write
        self._sent = complete

    async def receive(self) -> None:
        """Wait until a head, body bytes or the end of the response have come.

        Raises:
            ProxyError: the response cannot be completed; bytes that came before
                have been handed out.
        """
        if not self._heads and not self._body and not self._complete:
            if self._error is not None:
                raise self._error
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
            if self.error is not None and not self._heads and not self._body:
                raise self.error

    def take_head(self) -> ResponseHead | None:
        """Return the next response head that has come."""
        return self._heads.popleft() if self._heads else None

    def take_body(self) -> list[bytes]:
        """Return the body bytes that have come, and make room for more."""
        body, self._body = self._body, []
        self.buffered = 0
        if not self._reading:
            self._resume()
        return body

    @property
    def complete(self) -> bool:
        """Whether the whole response has come (its bytes may still be here)."""
        return self._complete

    @property
    def exhausted(self) -> bool:
        """Whether the whole response has come and been taken."""
        return self._complete and not self._body and not self._heads

    @property
    def paused(self) -> bool:
        """Whether the origin is kept waiting until the client takes what has come."""
        return not self._reading

    @property
    def error(self) -> ProxyError | None:
        """Why the exchange on this connection failed."""
        return self._error

    # Release...

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow the one that has ended."""
        return (
            self._complete
            and self._sent
            and self._keep
            and not self._surplus
            and self._error is None
        )

    @property
    def reason_to_close(self) -> CloseReason:
        """Why a connection that is not reusable is discarded."""
        if self._surplus:
            return CloseReason.UNSOLICITED
        if self._error is not None:
            return _reason_of(self._error)
        if not self._sent or not self._complete:
            return CloseReason.ABORTED
        return CloseReason.SERVER_CLOSE

    @property
    def request_sent(self) -> bool:
        """Whether all of the request has been handed to the transport."""
        return self._sent

    @property
    def response_head(self) -> ResponseHead | None:
        """The final response's head, once it has come."""
        return self._reply

    def discard_body(self) -> None:
        """Drop what has not been taken, and keep nothing more (design D7)."""
        self.discarding = True
        self._heads.clear()
        self._body.clear()
        self.buffered = 0
        if not self._reading:
            self._resume()

    def fail(self, error: ProxyError) -> None:
        """End the exchange with an error, and the connection with it."""
        if self._complete:
            self._surplus = True
        elif self._error is None:
            self._error = error
        self._wake()
        self.abort()

    def abort(self) -> None:
        """Close the socket without waiting for unsent bytes."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio's callbacks...

    def data_received(self, data: bytes) -> None:
        """Parse what the origin sent."""
        self.moved = True
        if self.state is State.IDLE:
            self._surplus = True
            self._owner.connection_broken(self, CloseReason.UNSOLICITED)
            return
        self.received = True
        before, done = self.body_bytes, self._complete
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            self._parser_error(exc)
        if done or (self._complete and self._is_head and not _ends_head(data)):
            self._surplus = True
        if self.body_bytes != before:
            self._overhead = 0
        elif not self._complete:
            self._count_overhead(len(data))
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def eof_received(self) -> None:
        """Take the origin's FIN: the end of a close-delimited body, or too early."""
        if self.state is State.IDLE:
            self._owner.connection_broken(self, CloseReason.SERVER_CLOSE)
        elif self._until_eof and not self._complete:
            self._complete = True
            self._wake()
        else:
            self._closed_early(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Settle whatever still waits and tell the owner that the socket is gone."""
        self._transport = None
        if self.state is State.IDLE:
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

    # httptools' callbacks...

    def on_message_begin(self) -> None:
        """Refuse a response that nobody asked for (RFC 9112 section 9.2)."""
        if self._complete:
            raise UpstreamProtocolError("The origin sent more than one response.")
        self._reason = b""
        self._fields = ResponseFields()

    def on_status(self, reason: bytes) -> None:
        """Keep the reason phrase, which may come in parts."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in a field; those after the body are trailers, which are dropped."""
        if self._reply is None:
            self._fields.add(name, value)

    def on_headers_complete(self) -> None:
        """Take in a head, and learn from it how the body ends."""
        version = self._parser.get_http_version()
        status = self._parser.get_status_code()
        if version not in _VERSIONS or not 100 <= status <= 599:
            raise UpstreamProtocolError(
                f"The origin answered with HTTP/{version} and status {status}."
            )
        if status == 101:
            raise UpstreamProtocolError(
                "The origin switched protocols, which the request did not ask for.",
                error="http_upgrade_failed",
            )
        if status == 407:
            # RFC 9110 section 15.5.8: a client would give us the origin's password.
            raise UpstreamProtocolError(
                "The origin answered 407, which is for proxies to say."
            )
        fields = self._fields
        if len(fields.lines) > _MAX_FIELDS or fields.size > _MAX_HEAD_BYTES:
            raise _head_too_large()
        fields.finish()
        head = ResponseHead(status, self._reason, fields, http10=version == "1.0")
        if head.interim:
            self._interim += 1
            if self._interim > _MAX_INTERIM:
                raise UpstreamProtocolError(
                    f"The origin sent more than {_MAX_INTERIM} interim responses."
                )
        else:
            self._take_final(head)
        if not self.discarding:
            self._heads.append(head)

    def on_body(self, body: bytes) -> None:
        """Hold body bytes for the exchange, or only count them."""
        if self._complete:
            self._surplus = True
            return
        self.body_bytes += len(body)
        if self.discarding:
            return
        self._body.append(body)
        self.buffered += len(body)
        if self.buffered >= _HIGH_WATER and self._reading:
            self._reading = False
            if self._transport is not None:
                self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """Note the end of a final response."""
        if self._reply is not None:
            self._complete = True

    # Rules...

    def _reset(self, method: str) -> None:
        if self._is_head:
            # llhttp cannot be told that no body followed; it waits for one.
            self._parser = httptools.HttpResponseParser(self)
        self._method = method
        self._is_head = method == "HEAD"
        self._reply: ResponseHead | None = None
        self._reason = b""
        self._interim = 0
        self._overhead = 0
        self._complete = False
        self._sent = True
        self._keep = False
        self._surplus = False
        self._until_eof = False
        self.received = False
        self.discarding = False
        self.body_bytes = 0
        self.buffered = 0

    def _take_final(self, head: ResponseHead) -> None:
        fields = head.fields
        self._reply = head
        self._keep = fields.keep_alive if head.http10 else not fields.close
        if fields.keep_alive_timeout is not None:
            # A second less than announced, so that we close first (design D10).
            self.idle_limit = fields.keep_alive_timeout - 1.0
        if framing.bodyless(self._method, head.status):
            self._complete = self._is_head
        elif fields.length is None and not fields.chunked:
            self._until_eof = True
            self._keep = False

    def _count_overhead(self, size: int) -> None:
        self._overhead += size
        if self._reply is None and self._overhead > _MAX_HEAD_BYTES:
            self.fail(_head_too_large())
        elif self._overhead > _MAX_OVERHEAD_BYTES:
            self._protocol_error("The origin sends chunk extensions without end.")

    def _parser_error(self, exc: "httptools.HttpParserError") -> None:
        cause = exc.__context__
        if self._complete:
            self._surplus = True
        elif isinstance(cause, UpstreamProtocolError):
            self.fail(cause)
        else:
            self._protocol_error(f"The origin's response is not valid HTTP/1.1: {exc}.")

    def _protocol_error(self, sentence: str) -> None:
        self.fail(UpstreamProtocolError(sentence))

    def _closed_early(self, exc: Exception | None) -> None:
        if not self._complete and self._error is None:
            how = "reset" if exc else "closed"
            self._error = UpstreamClosedError(
                f"The origin {how} the connection before its response was complete.",
                error="http_response_incomplete" if self.received else None,
            )
        self._keep = False
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _resume(self) -> None:
        self._reading = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def __repr__(self) -> str:
        return (
            f"<UpstreamConnection {self.pool.origin} {self.state} "
            f"requests={self.requests}>"
        )


def _head_too_large() -> UpstreamProtocolError:
    return UpstreamProtocolError(
        f"The origin's head exceeds {_MAX_HEAD_BYTES} bytes or {_MAX_FIELDS} fields.",
        error="http_response_header_section_size",
    )


def _ends_head(data: bytes) -> bool:
    # The head's end may have come in a segment of its own, or in two.
    return data.endswith(b"\r\n\r\n") or b"\r\n\r\n".endswith(data)


def _reason_of(error: ProxyError) -> CloseReason:
    if isinstance(error, UpstreamProtocolError):
        return CloseReason.PROTOCOL_ERROR
    if isinstance(error, UpstreamClosedError):
        return CloseReason.TRUNCATED
    return CloseReason.TIMEOUT
