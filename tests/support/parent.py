"""A scripted parent proxy on the counting origin: it answers, or opens tunnels."""

import asyncio
import contextlib
from base64 import b64encode

from tests.support.origin import Origin, OriginConnection, Request, Script

USER, PASSWORD = "corp-user", "pa:ss w%rd"
# As they stand in a URL, and on the wire.
LOGIN = "corp-user:pa%3Ass%20w%25rd"
BASIC = b"Basic " + b64encode(f"{USER}:{PASSWORD}".encode())
SECRETS = (USER, PASSWORD, LOGIN, BASIC[6:].decode(), "pa%3Ass", "w%25rd")
ESTABLISHED = b"HTTP/1.1 200 Fine\r\n\r\n"


def parent_url(parent: Origin, login: str = "") -> str:
    """Spell what parent_proxy is to be."""
    return f"http://{login}{'@' if login else ''}{parent.name}:{parent.port}"


def parent_script(
    *, credentials: bytes = b"", established: bytes = ESTABLISHED
) -> Script:
    """Make a parent that opens tunnels to loopback, and answers all else itself.

    Its answer to a plain request is the target that it was asked for; to a path that
    ends in /wait only once `release` is set.

    Args:
        credentials: what it wants in Proxy-Authorization.
        established: what it says when a tunnel is open.
    """

    async def script(connection: OriginConnection) -> None:
        while True:
            request = await connection.request()
            given = request.values(b"proxy-authorization")
            if credentials and given != [credentials]:
                challenge = b'Proxy-Authenticate: Basic realm="a, b"'
                await connection.reply(b"who?" * 1000, challenge, status=407)
            elif request.method == b"CONNECT":
                await tunnel(connection, request, established)
                return
            else:
                if request.target.endswith(b"/wait"):
                    await connection.origin.release.wait()
                await connection.reply(request.target)

    return script


async def tunnel(
    connection: OriginConnection, request: Request, established: bytes
) -> None:
    """Connect to the port that is asked for, and copy both ways to the end of both."""
    port = int(request.target.rpartition(b":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await connection.send(established)
        await asyncio.gather(
            _copy(connection.reader, writer), _copy(reader, connection.writer)
        )
    finally:
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


def answering(*pieces: bytes, close: bool = False) -> Script:
    """Make a parent that answers every head with certain bytes, one piece at a time."""

    async def script(connection: OriginConnection) -> None:
        while True:
            await connection.head()
            for piece in pieces:
                await connection.send(piece)
                if len(pieces) > 1:
                    await asyncio.sleep(0.001)  # a segment of its own
            if close:
                return

    return script
