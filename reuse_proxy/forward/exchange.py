"""One exchange: rewrite the head, lease, send, receive, retry once if that is safe.

The response comes back to the caller as return values: heads, then body bytes.
:meth:`Exchange.end` settles the lease, however the exchange went.
"""

from typing import TYPE_CHECKING, Final

from reuse_proxy.errors import UpstreamClosedError, status_of
from reuse_proxy.forward.phase import Phase
from reuse_proxy.forward.upload import Upload
from reuse_proxy.upstream.private import Client, challenged, connections_of

if TYPE_CHECKING:
    from collections import deque

    from reuse_proxy.forward.request import ForwardRequest
    from reuse_proxy.http.target import Origin
    from reuse_proxy.tasks import TaskSet
    from reuse_proxy.upstream.books import OriginPool
    from reuse_proxy.upstream.connection import UpstreamConnection
    from reuse_proxy.upstream.head import ResponseHead
    from reuse_proxy.upstream.roles import Listener
    from reuse_proxy.upstream.session import UpstreamSession


# Looked up once: an enumeration's members are descriptors on Python 3.11.
_QUEUE: Final = Phase.QUEUE
_HEAD: Final = Phase.HEAD
_BODY: Final = Phase.BODY
# Connections, one after another, that end between their lease and the end of a turn.
_MAX_TURNED_DOWN: Final = 32


class Exchange:
    """One request and its response over leased connections, one after another.

    Attributes:
        origin_pool: whose connection served this, once one did.
        miss: why that had to be opened, if it had; it took ``connect_seconds``.
        queued: for how many seconds this has waited for connections.
        started: when it began, in seconds of the loop.
        detached: a tunnel has the connection.
    """

    __slots__ = (
        "_bound",
        "_client",
        "_connection",
        "_retried",
        "_session",
        "_tasks",
        "_turned_down",
        "_upload",
        "connect_seconds",
        "detached",
        "miss",
        "origin_pool",
        "phase",
        "queued",
        "request",
        "reused",
        "started",
        "status",
    )

    def __init__(
        self,
        session: "UpstreamSession",
        request: "ForwardRequest",
        tasks: "TaskSet",
        client: "Client",
    ) -> None:
        self._session = session
        self._client = client
        # The connection is authenticated, and must serve nobody but this client.
        self._bound = request.fields.bound
        self.request = request
        self._tasks = tasks
        self._connection: UpstreamConnection | None = None
        self._upload: Upload | None = None
        self._retried = False
        self._turned_down = 0
        self.detached = False
        self.origin_pool: OriginPool | None = None
        self.miss = ""
        self.queued = self.connect_seconds = 0.0
        self.started = session.clock()
        self.phase = _QUEUE
        self.reused = False
        self.status = 0

    # Send...

    def try_send(self, listener: "Listener | None" = None) -> bool:
        """Send the request if a connection is ready; tell whether one was.

        ``listener`` is called when something has come, in the place of awaiting it.
        """
        request = self.request
        origin, unsafe = request.target.origin, not request.idempotent
        connection = self._own(origin) or self._session.take(origin, unsafe)
        if connection is None:
            return False
        self._use(connection)
        connection.listener = listener
        return True

    async def start(self) -> "ResponseHead":
        """Send the request, unless it has been; return the first head, perhaps interim.

        Raises:
            ProxyError: no connection, or no response on it.
        """
        session, request = self._session, self.request
        origin, unsafe = request.target.origin, not request.idempotent
        while True:
            if self._connection is None and not self.try_send():
                since = session.clock()
                try:
                    self._use(await session.wait(origin, unsafe=unsafe))
                finally:
                    self.queued += session.clock() - since
            try:
                head = await self.next_head()
            except UpstreamClosedError:
                connection = self._leased()
                # What the origin has not heard of is not repeated by that.
                again = connection.untouched and self._turned_down < _MAX_TURNED_DOWN
                if not (again or self._may_retry(connection)):
                    raise
                self._turned_down += again
                self._retried = self._retried or not again
                self.phase = _QUEUE
                self._settle()
                if self._upload is not None:
                    self._upload.again()
            else:
                if self._retried:
                    self._session.stats.retries["ok"] += 1
                return head

    def _use(self, connection: "UpstreamConnection") -> None:
        self._connection = connection
        self.origin_pool = connection.pool
        self.reused = connection.requests > 0
        if not self.reused:
            self.miss = connection.miss
            self.connect_seconds = connection.connect_seconds
        self.phase = _HEAD
        request = self.request
        if request.body is None:
            connection.send_soon(request.method, request.head())
            if request.upgrade:
                connection.response.expect_switch()
        else:
            if self._upload is None:
                self._upload = Upload(request, self._tasks)
            self._upload.send(connection, request.head(), request.body)

    def _own(self, origin: "Origin") -> "UpstreamConnection | None":
        """Lease the connection that is this client's alone, if it has one."""
        if self._client.private is None:
            return None
        connection = self._client.private.take(origin)
        self._bound = self._bound or connection is not None
        return connection

    def _may_retry(self, connection: "UpstreamConnection") -> bool:
        """Apply RFC 9110 section 9.2.2 as design D6 narrows it."""
        return (
            not self._retried
            and self.reused
            and self.request.idempotent
            and not connection.response.received
            and (self._upload is None or self._upload.replayable)
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
        return self._take_head(response.heads)

    def whole_response(self) -> "tuple[ResponseHead, list[bytes]] | None":
        """Return the final head and the body if all has come, and nothing else."""
        connection = self._leased()
        response = connection.response
        heads = response.heads
        if not response.complete or len(heads) != 1 or response.switched:
            return None
        if self._upload is not None and not self._upload.complete:
            return None
        return self._take_head(heads), connection.take_body()

    def _take_head(self, heads: "deque[ResponseHead]") -> "ResponseHead":
        head = heads.popleft()
        if not head.interim:
            if head.status in (401, 407) and challenged(head, self.request.target):
                self._bound = True
            self.phase = _BODY
            self.status = head.status
        if self._upload is not None:
            self._upload.hear(head)
        return head

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

    def detach(self) -> "UpstreamConnection":
        """Give the connection away: a tunnel settles it, and counts this request."""
        connection, self._connection = self._leased(), None
        self.detached = True
        return connection

    @property
    def complete(self) -> bool:
        """Whether the response has been received and taken to its end."""
        return self._connection is not None and self._connection.response.exhausted

    @property
    def request_complete(self) -> bool:
        """Whether the client's whole request has been read."""
        return self._upload is None or self._upload.complete

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

    def end(self, error: BaseException | None) -> None:
        """Settle the lease and count the exchange, however it went.

        Args:
            error: why it did not go well.
        """
        if self._retried and self.phase is not _BODY:
            self._session.stats.retries["failed"] += 1
        self._settle()
        if not self.detached:
            self._count(error)

    def _settle(self) -> None:
        if self._upload is not None:
            self._upload.cancel()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.listener = None
        private = None
        if self._bound:
            private = connections_of(self._client, self._session)
        self._session.settle(connection, private=private)

    def _count(self, error: BaseException | None) -> None:
        """Count this exchange under the status that the client is sent."""
        status = self.status or status_of(error)
        stats = self._session.stats
        pool = self.origin_pool
        if pool is None:
            # Refused before it got a connection.
            origin = stats.admit(self.request.target.origin)
            origin.requests[status // 100, "none"] += 1
            return
        via = "reused" if self.reused else "new"
        pool.stats.requests[status // 100, via] += 1
        stats.request_seconds[via].observe(self._session.clock() - self.started)

    def __repr__(self) -> str:
        return f"<Exchange {self.request.method} {self.request.target.origin} {self.phase}>"
