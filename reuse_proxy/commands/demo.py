"""`reuse-proxy demo`: what two common mistakes cost an origin, before and after.

An origin that counts what it accepts, a client that makes the mistake, and a real
proxy, all in this process on loopback.  Everything that is printed was measured.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reuse_proxy.commands.serve import loop_factory
from reuse_proxy.config.loading import load
from reuse_proxy.service import Service

if TYPE_CHECKING:
    from types import TracebackType

REQUESTS: Final = 200
_BODY: Final = b"x" * (256 * 1024)
_HOST: Final = "127.0.0.1"
_DEADLINE_S: Final = 12.0
_WIDTH: Final = 80
_DIRECT: Final = "direct"
_PROXIED: Final = "through reuse-proxy"

Address = tuple[str, int]
Work = Callable[["CountingOrigin", Address | None], Awaitable[None]]


@dataclass(frozen=True)
class Measured:
    """One way of doing the same work, as the origin saw it."""

    mistake: str
    way: str
    requests: int
    connections: int
    seconds: float


def run(out: TextIO | None = None) -> int:
    """Run the comparison and print it as a table."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        measured = runner.run(compare())
    _print(measured, sys.stdout if out is None else out)
    return 0


async def compare() -> list[Measured]:
    """Do the work of each mistake directly, then through a proxy."""
    loaded = load({"listen": f"{_HOST}:0", "admin": f"{_HOST}:0"}, {}, None)
    async with asyncio.timeout(_DEADLINE_S), Service(loaded) as service:
        listener = service.listening[0]
        proxy = (listener.host, listener.port)
        return [
            await _measure(mistake, work, address)
            for mistake, work in (
                ("new connection per request", _connect_anew),
                ("bodies left unread (256 KiB)", _leave_unread),
            )
            for address in (None, proxy)
        ]


async def _measure(mistake: str, work: Work, proxy: Address | None) -> Measured:
    async with CountingOrigin() as origin:
        start = time.perf_counter()
        for _ in range(REQUESTS):
            await work(origin, proxy)
        seconds = time.perf_counter() - start
        way = _PROXIED if proxy else _DIRECT
        return Measured(mistake, way, origin.requests, origin.accepted, seconds)


# The two mistakes...


async def _connect_anew(origin: "CountingOrigin", proxy: Address | None) -> None:
    """Open a connection, read the whole answer, close."""
    async with request(origin, proxy, "/small") as reader:
        await reader.readuntil(b"hello")


async def _leave_unread(origin: "CountingOrigin", proxy: Address | None) -> None:
    """Look at the status line only, and drop the connection with the body in it."""
    async with request(origin, proxy, "/big") as reader:
        await reader.readuntil(b"\r\n")


@contextlib.asynccontextmanager
async def request(
    origin: "CountingOrigin", proxy: Address | None, path: str
) -> AsyncIterator[asyncio.StreamReader]:
    """Send a GET on a connection of its own; drop it at the end of the block."""
    reader, writer = await asyncio.open_connection(*(proxy or origin.address))
    authority = f"{_HOST}:{origin.address[1]}"
    target = f"http://{authority}{path}" if proxy else path
    writer.write(f"GET {target} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    try:
        yield reader
    finally:
        writer.transport.abort()


class CountingOrigin:
    """Serves /small and /big with persistent connections, and counts."""

    def __init__(self) -> None:
        self.accepted = 0
        self.requests = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, _HOST, 0)
        return self

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self._server.sockets[0].getsockname()
        return host, port

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.accepted += 1
        self._open.add(writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    await self._answer(reader, writer)
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        body = _BODY if head.startswith(b"GET /big ") else b"hello"
        length = len(body)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        writer.write(body)
        await writer.drain()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await self._server.wait_closed()


# Report...


def _print(measured: list[Measured], out: TextIO) -> None:
    console = Console(file=out, width=None if out.isatty() else _WIDTH)
    console.print(_table(measured))
    console.print()
    for line in _conclusion(measured):
        console.print(Text(line), soft_wrap=True)


def _table(measured: list[Measured]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("what the client does", "way"):
        table.add_column(name, no_wrap=True)
    for name in ("requests", "connections", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in measured:
        table.add_row(
            row.mistake,
            row.way,
            str(row.requests),
            Text(str(row.connections), style="red" if row.way == _DIRECT else "green"),
            f"{row.seconds:.2f} s",
        )
    return table


def _conclusion(measured: list[Measured]) -> Iterator[str]:
    direct = sum(row.connections for row in measured if row.way == _DIRECT)
    proxied = sum(row.connections for row in measured if row.way == _PROXIED)
    yield (
        f"The origin accepted {proxied} connections instead of {direct}; the times are"
        " loopback's,"
    )
    yield "where a connection costs next to nothing."
    yield "Next: make run, or reuse-proxy serve where it is installed; then"
    yield "  HTTP_PROXY=http://127.0.0.1:4128 your-program"
