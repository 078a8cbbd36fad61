"""A request's body on its way to the origin, while its response is awaited."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from reuse_proxy.errors import ProxyError
from reuse_proxy.http.framing import LAST_CHUNK, Framing, chunk

if TYPE_CHECKING:
    from reuse_proxy.forward.request import ForwardRequest, RequestBody
    from reuse_proxy.tasks import TaskSet
    from reuse_proxy.upstream.connection import UpstreamConnection
    from reuse_proxy.upstream.head import ResponseHead

_MAX_HELD_BYTES: Final = 64 * 1024
# RFC 9110 section 10.1.1: never wait for 100 (Continue) indefinitely; curl: 1 s.
_CONTINUE_TIMEOUT_S: Final = 1.0
# Looked up once: an enumeration's members are descriptors on Python 3.11.
_CHUNKED: Final = Framing.CHUNKED


class Upload:
    """Sends a body, and keeps a small one so that it can be sent once more."""

    __slots__ = ("_continue", "_held", "_request", "_task", "_tasks", "_whole")

    def __init__(self, request: "ForwardRequest", tasks: "TaskSet") -> None:
        self._request = request
        self._tasks = tasks
        self._task: asyncio.Task[None] | None = None
        self._continue: asyncio.Event | None = None
        self._held: list[bytes] | None = []
        self._whole = False

    def send(
        self, connection: "UpstreamConnection", head: bytes, body: "RequestBody"
    ) -> None:
        """Send head and body: in one go where it is here, else as it comes."""
        request = self._request
        whole = self._take_whole(body)
        if whole is not None:
            pieces = self._framed(whole, last=True)
            connection.send(request.method, b"".join((head, *pieces)), complete=True)
            return
        connection.send(request.method, head, complete=False)
        if request.expect_continue:
            self._continue = asyncio.Event()
        self._task = self._tasks.run(
            self._copy(connection, body), name=f"upload {request.target.origin}"
        )

    def _take_whole(self, body: "RequestBody") -> bytes | None:
        if self._whole:  # it has been sent before, and failed
            return b"".join(self._held or ())
        if self._request.expect_continue:
            return None
        whole = body.take()
        if whole is not None:
            self._hold(whole)
        return whole

    async def _copy(
        self, connection: "UpstreamConnection", body: "RequestBody"
    ) -> None:
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
        if self._held is not None and data:
            self._held.append(data)
            if sum(map(len, self._held)) > _MAX_HELD_BYTES:
                self._held = None

    # Judge...

    def hear(self, head: "ResponseHead") -> None:
        """Go on after 100 (Continue); stop if the origin does not want the body.

        RFC 9112 section 9.6.
        """
        waiting = self._continue is not None and not self._continue.is_set()
        if head.interim:
            if self._continue is not None and head.status == 100:
                self._continue.set()
        elif head.status >= 400 or head.fields.close or waiting:
            self.cancel()

    def again(self) -> None:
        """Send the body that is held when :meth:`send` is called next."""
        self.cancel()
        self._whole = True

    def cancel(self) -> None:
        """Send nothing more."""
        if self._task is not None and not self._task.done():
            self._task.cancel()

    @property
    def replayable(self) -> bool:
        """Whether all of the body that was read is held."""
        return self._held is not None

    @property
    def complete(self) -> bool:
        """Whether the client's whole body has been read."""
        return self._task is None or (self._task.done() and not self._task.cancelled())
