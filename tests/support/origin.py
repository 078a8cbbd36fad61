"""A scriptable origin on real sockets; its accept count is the truth."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass
class Request:
    """A request as the origin received it, byte for byte."""

    head: bytes
    body: bytes = b""

    @property
    def line(self) -> bytes:
        """The request line."""
        return self.head.split(b"\r\n", 1)[0]

    @property
    def method(self) -> bytes:
        """The method."""
        return self.line.split(b" ")[0]

    @property
    def target(self) -> bytes:
        """The request target."""
        return self.line.split(b" ")[1]

    @property
    def lines(self) -> list[bytes]:
        """The header lines."""
        return self.head.split(b"\r\n")[1:-2]

    def values(self, name: bytes) -> list[bytes]:
        """All values of a field, in order."""
        found = []
        for line in self.lines:
            key, _, value = line.partition(b":")
            if key.lower() == name.lower():
                found.append(value.strip())
        return found


class OriginConnection:
    """One accepted connection."""

    def __init__(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        origin: "Origin",
    ) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer
        self.origin = origin
        # How many requests have come on it.
        self.served = 0

    async def head(self) -> Request:
        """Read a request's head only."""
        request = Request(await self.reader.readuntil(b"\r\n\r\n"))
        self.served += 1
        self.origin.requests.append(request)
        self.origin.arrived.set()
        return request

    async def body(self, request: Request) -> bytes:
        """Read the request's body by its framing, and keep it on the request."""
        if lengths := request.values(b"content-length"):
            request.body = await self.reader.readexactly(int(lengths[0]))
        elif request.values(b"transfer-encoding"):
            while size := int((await self.reader.readline()).split(b";")[0], 16):
                request.body += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            while (await self.reader.readline()) != b"\r\n":
                pass
        return request.body

    async def request(self) -> Request:
        """Read a whole request."""
        request = await self.head()
        await self.body(request)
        return request

    async def send(self, *pieces: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(b"".join(pieces))
        await self.writer.drain()

    async def reply(
        self, body: bytes | memoryview = b"", *fields: bytes, status: int = 200
    ) -> None:
        """Write a counted response."""
        head = b"HTTP/1.1 %d Fine\r\nContent-Length: %d\r\n" % (status, len(body))
        lines = b"".join(line + b"\r\n" for line in fields)
        self.writer.write(head + lines + b"\r\n")
        self.writer.write(body)
        await self.writer.drain()

    @property
    def asked(self) -> bool:
        """Whether bytes of a further request have been received already."""
        return bool(self.reader._buffer)  # type: ignore[attr-defined]

    def reset(self) -> None:
        """Close with RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def closed(self) -> bytes:
        """Wait until the peer has closed; return what it sent meanwhile."""
        with contextlib.suppress(ConnectionError):
            return await self.reader.read()
        return b""


Script = Callable[[OriginConnection], Awaitable[None]]


@dataclass
class Origin:
    """Accepts, counts, and runs the script for each connection."""

    script: Script
    host: str = "127.0.0.1"
    name: str = "origin.test"
    tls: ssl.SSLContext | None = None
    listen: int = 0
    accepted: int = 0
    open: int = 0
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.arrived = asyncio.Event()
        self.connections: list[OriginConnection] = []
        self.changed = asyncio.Condition()
        self.release = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept,
            self.host,
            self.listen,
            limit=2**20,
            backlog=1024,
            ssl=self.tls,
        )
        return self

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Its URL under a name that is not loopback's, without a trailing slash."""
        return f"{'https' if self.tls else 'http'}://{self.name}:{self.port}"

    @property
    def authority(self) -> bytes:
        """Host and port as they stand in a target."""
        return f"{self.name}:{self.port}".encode()

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.accepted += 1
        self.open += 1
        connection = OriginConnection(self.accepted, reader, writer, self)
        self.connections.append(connection)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(
                ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
            ):
                await self.script(connection)
        finally:
            self._tasks.discard(task)
            self.open -= 1
            writer.close()
            async with self.changed:
                self.changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on this origin holds; checked on its events."""
        async with asyncio.timeout(10):
            while not condition():
                self.arrived.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await self.arrived.wait()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self.connections:
            # asyncio's transport fails if it was closed and has then sent its rest.
            with contextlib.suppress(AttributeError):
                connection.writer.transport.abort()
        await self._server.wait_closed()


_XS = b"x" * (32 * 1024 * 1024)


async def serve_paths(connection: OriginConnection) -> None:
    """Serve by path, with persistent connections.

    /bytes/N and /chunked/N: N bytes; /hold: the head, then the rest once the
    origin's `release` is set; /wait: nothing before that; /echo: the request body;
    anything else: a short text.
    """
    while True:
        request = await connection.request()
        kind, _, size = request.target.lstrip(b"/").partition(b"/")
        match kind:
            case b"bytes":
                await connection.reply(memoryview(_XS)[: int(size)])
            case b"chunked":
                await connection.send(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                left = int(size)
                while left:
                    part = min(left, 65536)
                    await connection.send(b"%x\r\n" % part, b"y" * part, b"\r\n")
                    left -= part
                await connection.send(b"0\r\n\r\n")
            case b"hold":
                await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
                await connection.origin.release.wait()
                await connection.send(b"cd")
            case b"wait":
                await connection.origin.release.wait()
                await connection.reply(b"done")
            case b"echo":
                await connection.reply(request.body)
            case _:
                await connection.reply(b"hello")
