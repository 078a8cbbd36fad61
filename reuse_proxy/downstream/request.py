"""A client's request and its body, as the intake has read them."""

import asyncio
from typing import TYPE_CHECKING, Final

from reuse_proxy.downstream.refusals import body_too_large
from reuse_proxy.errors import ProxyError

if TYPE_CHECKING:
    import httptools

    from reuse_proxy.downstream.client import ClientConnection

_LINGER_S: Final = 5.0
# Body bytes held until they are read: the client pauses at the upper mark.
_HIGH_WATER: Final = 256 * 1024


class ClientRequest:
    """One request: its head, and its body where it has one.

    Attributes:
        raw_fields: name and value of each line, as received.
        asked_to_close: no request follows it.
    """

    __slots__ = (
        "asked_to_close",
        "body",
        "connection",
        "http10",
        "method",
        "raw_fields",
        "target",
        "version",
    )

    def __init__(
        self,
        parser: "httptools.HttpRequestParser",
        target: bytes,
        raw_fields: list[tuple[bytes, bytes]],
        connection: "ClientConnection",
    ) -> None:
        self.connection = connection
        self.target = target
        self.raw_fields = raw_fields
        self.method = parser.get_method().decode("ascii")
        self.version = parser.get_http_version()
        self.http10 = self.version != "1.1"
        self.asked_to_close = not parser.should_keep_alive()
        self.body: ClientBody | None = None

    @property
    def complete(self) -> bool:
        """Whether all of it has come."""
        return self.body is None or self.body.complete

    def field(self, name: bytes) -> bytes | None:
        """Return a field's last value, if there is one; for the rarer ones."""
        for spelled, value in reversed(self.raw_fields):
            if spelled.lower() == name:
                return value
        return None


class ClientBody:
    """A client's request body for ``forward``.

    Attributes:
        complete: its end has come.
        error: why it will not.
        size: how many bytes of it have come.
        most: how many may come; 0 for any number.
    """

    __slots__ = (
        "_buffered",
        "_client",
        "_pieces",
        "_waiter",
        "complete",
        "error",
        "most",
        "size",
    )

    def __init__(self, client: "ClientConnection") -> None:
        self._client = client
        self._pieces: list[bytes] = []
        self._buffered = 0
        self.error: ProxyError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.complete = False
        self.size = self.most = 0

    # Receive...

    def feed(self, data: bytes) -> None:
        """Take bytes in."""
        self._pieces.append(data)
        self._buffered += len(data)
        self.size += len(data)
        self._wake()

    def finish(self) -> None:
        """Note that this was all."""
        self.complete = True
        self._wake()

    def fail(self, error: ProxyError) -> None:
        """Have whoever reads it hear that the rest will not come."""
        if not self.complete and self.error is None:
            self.error = error
            self._wake()

    @property
    def full(self) -> bool:
        """Whether so much waits that the client has to."""
        return self._buffered >= _HIGH_WATER

    # Read...

    def take(self) -> bytes | None:
        """Return the whole body if it is here already, else None.

        Raises:
            RequestError: it is too large.
        """
        self._check_size()
        return self._take() if self.complete else None

    async def read(self) -> bytes:
        """Return more of the body, or nothing at its end.

        Raises:
            ProxyError: the client sends no valid body, or none in time.
        """
        if not self._pieces:
            self._client.await_body(self)
            try:
                await self._more()
            finally:
                self._client.await_body(None)
        self._check_size()
        return self._take()

    def _check_size(self) -> None:
        if self.most and self.size > self.most:
            raise body_too_large(self.most)

    async def _more(self) -> None:
        while not (self._pieces or self.complete):
            if self.error is not None:
                raise self.error
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        full, self._buffered = self.full, 0
        if full:
            self._client.read_on()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def linger(body: ClientBody) -> None:
    """Read what is left of a request's body, so that the reply is not reset away."""
    try:
        async with asyncio.timeout(_LINGER_S):
            # A cancelled upload lets go of the body in its next step.
            await asyncio.sleep(0)
            while await body.read():
                pass
    except (TimeoutError, ProxyError):
        pass
