"""An origin that counts: `counting_origin.py ADDRESS PORT`.

Writes a line for each connection and each request.  /hold is answered once the input
ends, everything else at once.
"""

import asyncio
import sys


def write(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Origin:
    """Connections numbered as they come."""

    def __init__(self) -> None:
        self.accepted = 0
        self.released = asyncio.Event()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer the requests of one connection."""
        self.accepted += 1
        number = self.accepted
        while head := await reader.readline():
            while (await reader.readline()).strip():
                pass
            write(f"{head.decode().strip()} on {number}")
            if b"/hold " in head:
                await self.released.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
        writer.close()


async def main() -> None:
    """Serve until the process is ended."""
    origin = Origin()
    server = await asyncio.start_server(origin.serve, sys.argv[1], int(sys.argv[2]))
    write("listening")
    await asyncio.to_thread(sys.stdin.read)
    origin.released.set()
    await server.serve_forever()


asyncio.run(main())
