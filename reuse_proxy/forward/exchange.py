"""One exchange: rewrite the head, lease, send, receive, retry once if that is safe.

The response comes back to the caller as return values: heads, then body bytes.
Leaving the ``with`` block, however it is left, settles the lease.
"""

import asyncio
import contextlib
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

from reuse_proxy.errors import ProxyError, UpstreamClosedError, status_of
from reuse_proxy.forward.request import ForwardRequest, RequestBody
from reuse_proxy.http.framing import LAST_CHUNK, Framing, chunk

if TYPE_CHECKING:
    from types import TracebackType

    from reuse_proxy.tasks import TaskSet
    from reuse_proxy.upstream.books import OriginPool
    from reuse_proxy.upstream.connection import UpstreamConnection
    from reuse_proxy.upstream.response import ResponseHead
    from reuse_proxy.upstream.session import UpstreamSession
    from reuse_proxy.upstream.stats import OriginStats

_MAX_HELD_BYTES: Final = 64 * 1024
# RFC 9110 section 10.1.1: never wait for 100 (Continue) indefinitely; curl: 1 s.
_CONTINUE_TIMEOUT_S: Final = 1.0


class Phase(StrEnum):
    """How far an exchange has come."""

    QUEUE = "queue"
    HEAD = "head"
    BODY = "body"


# Looked up once: an enumeration's members are descriptors on Python 3.11.
_QUEUE: Final = Phase.QUEUE
_HEAD: Final = Phase.HEAD
_BODY: Final = Phase.BODY
_CHUNKED: Final = Framing.CHUNKED


class Exchange:
    """One request and its response over leased connections: at most two, one by one."""

    __slots__ = (
        "_connection",
        "_continue",
        "_held",
        "_origin_stats",
        "_request",
        "_retried",
        "_session",
        "_started",
        "_tasks",
        "_upload",
        "phase",
        "reused",
        "status",
    )

    def __init__(
        self, session: "UpstreamSession", request: ForwardRequest, *, tasks: "TaskSet"
    ) -> None:
        self._session = session
        self._request = request
        self._tasks = tasks
        self._connection: UpstreamConnection | None = None
        self._upload: asyncio.Task[None] | None = None
        self._continue: asyncio.Event | None = None
        self._held: list[bytes] | None = []
        self._retried = False
        self._origin_stats: OriginStats | None = None
        self._started = session.clock()
        self.phase = _QUEUE
        self.reused = False
        self.status = 0

    def __enter__(self) -> Self:
        return self

    # Send...

    async def start(self) -> "ResponseHead":
        """Send the request and return the first response head, interim or final.

        Raises:
            ProxyError: no connection, or no response on it.
        """
        session, request = self._session, self._request
        origin, unsafe = request.target.origin, not request.idempotent
        while True:
            connection = session.take(origin, unsafe=unsafe)
            if connection is None:
                connection = await session.wait(origin, unsafe=unsafe)
            self._connection = connection
            self._origin_stats = connection.pool.stats
            self.reused = connection.requests > 0
            self.phase = _HEAD
            self._send(connection)
            try:
                head = await self.next_head()
            except UpstreamClosedError:
                if not self._may_retry(connection):
                    raise
                self._retried = True
                self.phase = _QUEUE
                self._settle()
            else:
                if self._retried:
                    self._session.stats.retries["ok"] += 1
                return head

    def _send(self, connection: "UpstreamConnection") -> None:
        request = self._request
        head = request.head()
        body = request.body
        if body is None:
            connection.send(request.method, head, complete=True)
            return
        whole = self._whole_body(body)
        if whole is not None:
            pieces = self._framed(whole, last=True)
            connection.send(request.method, b"".join((head, *pieces)), complete=True)
            return
        connection.send(request.method, head, complete=False)
        if request.expect_continue:
            self._continue = asyncio.Event()
        self._upload = self._tasks.run(
            self._send_body(connection, body), name=f"upload {request.target.origin}"
        )

    def _whole_body(self, body: RequestBody) -> bytes | None:
        if self._retried:
            return b"".join(self._held or ())
        if self._request.expect_continue:
            return None
        whole = body.take()
        if whole is not None:
            self._hold(whole)
        return whole

    async def _send_body(
        self, connection: "UpstreamConnection", body: RequestBody
    ) -> None:
        """Copy the client's body upstream while the response is awaited."""
        try:
            if self._continue is not None:
                await self._wait_for_continue(self._continue)
            while data := await body.read():
                self._hold(data)
                await connection.write(self._framed(data, last=False))
            await connection.write(self._framed(b"", last=True), complete=True)
        except ProxyError as error:
            connection.fail(error)

    async def _wait_for_continue(self, arrived: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CONTINUE_TIMEOUT_S):
                await arrived.wait()
        # Or will not: from here on the body is on its way.
        arrived.set()

    def _framed(self, data: bytes, *, last: bool) -> list[bytes]:
        if self._request.framing is not _CHUNKED:
            return [data] if data else []
        pieces = chunk([data])
        return [*pieces, LAST_CHUNK] if last else pieces

    def _hold(self, data: bytes) -> None:
        """Keep a small body, so that the request can be sent once more."""
        if self._held is not None and data:
            self._held.append(data)
            if sum(map(len, self._held)) > _MAX_HELD_BYTES:
                self._held = None

    def _may_retry(self, connection: "UpstreamConnection") -> bool:
        """Apply RFC 9110 section 9.2.2 as design D6 narrows it."""
        return (
            not self._retried
            and self.reused
            and self._request.idempotent
            and not connection.response.received
            and self._held is not None
            and connection.request_sent
        )

    # Receive...

    async def next_head(self) -> "ResponseHead":
        """Return the next response head.

        Raises:
            ProxyError: the connection failed first.
        """
        connection = self._leased()
        response = connection.response
        while not response.heads:
            if response.complete:
                raise RuntimeError("the response has been taken already")
            await connection.arrival()
        head = response.heads.popleft()
        if not head.interim:
            self.phase = _BODY
            self.status = head.status
            if self._upload is not None:
                self._judge_upload(head)
        elif self._continue is not None and head.status == 100:
            self._continue.set()
        return head

    def _judge_upload(self, head: "ResponseHead") -> None:
        """Stop an upload that the origin does not want (RFC 9112 section 9.6)."""
        upload = self._upload
        if upload is None or upload.done():
            return
        waiting = self._continue is not None and not self._continue.is_set()
        if head.status >= 400 or head.fields.close or waiting:
            upload.cancel()

    def take_body(self) -> list[bytes]:
        """Return the body bytes that are here."""
        return self._leased().take_body()

    async def read_body(self) -> list[bytes]:
        """Wait for more of the body and return it; nothing at its end.

        Raises:
            ProxyError: the body ended too early.
        """
        connection = self._leased()
        await connection.receive()
        return connection.take_body()

    @property
    def complete(self) -> bool:
        """Whether the response has been received and taken to its end."""
        return self._connection is not None and self._connection.response.exhausted

    @property
    def request_complete(self) -> bool:
        """Whether the client's whole request has been read."""
        return self._upload is None or (
            self._upload.done() and not self._upload.cancelled()
        )

    @property
    def pool(self) -> "OriginPool | None":
        """The pool of which this exchange holds a connection."""
        return None if self._connection is None else self._connection.pool

    def _leased(self) -> "UpstreamConnection":
        connection = self._connection
        if connection is None:
            raise RuntimeError("the exchange has no connection")
        return connection

    # Settle...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        if self._retried and self.phase is not _BODY:
            self._session.stats.retries["failed"] += 1
        self._settle()
        self._count(error)

    def _settle(self) -> None:
        if self._upload is not None and not self._upload.done():
            self._upload.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            self._session.settle(connection)

    def _count(self, error: BaseException | None) -> None:
        """Count this exchange under the status that the client is sent."""
        status = self.status or status_of(error)
        stats = self._session.stats
        origin = self._origin_stats or stats.admit(self._request.target.origin)
        if self._origin_stats is None:
            # Refused before it got a connection.
            origin.requests[status // 100, "none"] += 1
            return
        via = "reused" if self.reused else "new"
        origin.requests[status // 100, via] += 1
        stats.request_seconds[via].observe(self._session.clock() - self._started)

    def __repr__(self) -> str:
        return f"<Exchange {self._request.method} {self._request.target.origin} {self.phase}>"
