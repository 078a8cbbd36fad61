"""An origin of which little fits: `python slow.py PORT WORKERS MILLISECONDS`.

So many requests are worked on at a time, each for so long; the others wait in the order
in which they came.  ``/status`` tells how many connections were open at most since it
was asked last.
"""

import asyncio
import contextlib
import http.client
import sys
from collections.abc import Iterator
from pathlib import Path

import uvloop
from peers import LOOPBACK, Server, free_port, room, running

_BACKLOG = 4096
_TIMEOUT_S = 20
_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"


@contextlib.contextmanager
def slow_origin(folder: Path, workers: int, seconds: float) -> Iterator[Server]:
    """Run it in a process of its own."""
    port, folder = free_port(), room(folder, "slow")
    numbers = [str(port), str(workers), str(seconds * 1000)]
    command = [sys.executable, __file__, *numbers]
    with running("slow", "", port, command, folder) as server:
        yield server


def most_open(server: Server) -> int:
    """Return how many connections were open at most since this was asked last."""
    asking = http.client.HTTPConnection(LOOPBACK, server.port, timeout=_TIMEOUT_S)
    with contextlib.closing(asking):
        asking.request("GET", "/status")
        return int(asking.getresponse().read())


class _Origin:
    """Serves connections, one request at a time on each."""

    def __init__(self, workers: int, seconds: float) -> None:
        self._working = asyncio.Semaphore(workers)
        self._seconds = seconds
        self._open = self._most = 0

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection to its end."""
        self._open += 1
        self._most = max(self._most, self._open)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(await self._answer(head))
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, head: bytes) -> bytes:
        if b"/status" in head.partition(b"\r\n")[0]:
            # The one that asks is not counted.
            body = b"%d" % (self._most - 1)
            self._most = self._open
        else:
            async with self._working:
                await asyncio.sleep(self._seconds)
            body = b"done"
        return _RESPONSE % (len(body), body)


async def _run(port: int, workers: int, seconds: float) -> None:
    origin = _Origin(workers, seconds)
    server = await asyncio.start_server(origin.serve, LOOPBACK, port, backlog=_BACKLOG)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve until terminated."""
    port, workers, milliseconds = sys.argv[1:]
    uvloop.run(_run(int(port), int(workers), float(milliseconds) / 1000))


if __name__ == "__main__":
    main()
