"""A relay that makes an origin far away: `python relay.py PORT TARGET MILLISECONDS`.

It forwards bytes between its port and the target's, both on loopback, each way half of
the round trip later.  The kernel accepts for it at once, so that connect() returns
before a far origin's answer could be there.  To be honest all the same, it holds what a
new connection sends until a round trip has passed since: TCP's handshake then costs its
client what it would have cost, a little later.  A client that times its connect() by
itself sees nothing of that; what it counts until its first answer is right.
"""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import uvloop
from peers import LOOPBACK, Server, free_port, room, running

_BACKLOG = 4096
_CHUNK_BYTES = 64 * 1024
# What may be under way in each direction: a megabyte and more.
_CHUNKS = 32


@contextlib.contextmanager
def relay(folder: Path, target: int, round_trip: float) -> Iterator[Server]:
    """Run a relay to a port, in a process of its own; times in seconds."""
    port = free_port()
    folder = room(folder, f"relay-{target}")
    milliseconds = str(round_trip * 1000)
    command = [sys.executable, __file__, str(port), str(target), milliseconds]
    with running("relay", "", port, command, folder) as server:
        yield server


async def _serve(port: int, target: int, round_trip: float) -> None:
    async def accept(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        opened = asyncio.get_running_loop().time() + round_trip
        delay = round_trip / 2
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(LOOPBACK, target)
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(reader, back, opened, delay))
                # What an origin says first, it says when it sees the connection open.
                group.create_task(_carry(there, writer, opened + delay, delay))
            back.close()
        writer.close()

    server = await asyncio.start_server(accept, LOOPBACK, port, backlog=_BACKLOG)
    async with server:
        await server.serve_forever()


async def _carry(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    opened: float,
    delay: float,
) -> None:
    """Carry one direction's bytes to its end, each as late as the first may be."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS)

    async def receive() -> None:
        data = b"-"
        while data:
            try:
                data = await reader.read(_CHUNK_BYTES)
            except OSError:
                data = b""
            await waiting.put((max(loop.time(), opened) + delay, data))

    async def send() -> None:
        data = b"-"
        while data:
            at, data = await waiting.get()
            await asyncio.sleep(at - loop.time())
            with contextlib.suppress(OSError):
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    async with asyncio.TaskGroup() as group:
        group.create_task(receive())
        group.create_task(send())


def main() -> None:
    """Relay until terminated."""
    port, target, milliseconds = sys.argv[1:]
    uvloop.run(_serve(int(port), int(target), float(milliseconds) / 1000))


if __name__ == "__main__":
    main()
