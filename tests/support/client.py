"""A raw client connection; responses are parsed by h11, an independent oracle."""

import asyncio
import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import h11

from reuse_proxy.config.address import Address


@dataclass
class Response:
    """A response as an independent parser understood it."""

    status: int
    reason: bytes = b""
    raw_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    interim: list[int] = field(default_factory=list)

    def values(self, name: str) -> list[str]:
        """All values of a field, in order."""
        wanted = name.lower().encode()
        return [
            value.decode("latin-1")
            for key, value in self.raw_headers
            if key.lower() == wanted
        ]

    def value(self, name: str) -> str | None:
        """The only value of a field, or None."""
        values = self.values(name)
        assert len(values) < 2, values
        return values[0] if values else None


class Client:
    """One connection to the proxy."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._parser = h11.Connection(h11.CLIENT)

    async def __aenter__(self) -> Self:
        if self._address.path is not None:
            opened = asyncio.open_unix_connection(self._address.path)
        else:
            opened = asyncio.open_connection(self._address.host, self._address.port)
        self.reader, self.writer = await opened
        return self

    async def send(self, *pieces: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(b"".join(pieces))
        await self.writer.drain()

    async def get(self, url: str, *fields: str, method: str = "GET") -> Response:
        """Send a bodyless request in absolute-form and read the response."""
        await self.send(request_bytes(url, *fields, method=method))
        return await self.response(method)

    async def connect(self, authority: bytes | str) -> int:
        """Send a CONNECT request, read its answer and return the status."""
        name = authority if isinstance(authority, bytes) else authority.encode()
        await self.send(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (name, name))
        async with asyncio.timeout(15):
            head = await self.reader.readuntil(b"\r\n\r\n")
        return int(head.split(b" ")[1])

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from here on; requests are in origin-form then."""
        async with asyncio.timeout(15):
            await self.writer.start_tls(context, server_hostname=host)

    async def ask(self, target: str, *fields: str, method: str = "GET") -> Response:
        """Send a bodyless request in origin-form and read the response."""
        lines = [f"{method} {target} HTTP/1.1", *fields, "", ""]
        await self.send("\r\n".join(lines).encode("latin-1"))
        return await self.response(method)

    async def response(self, method: str = "GET") -> Response:
        """Read one response, interim ones noted.

        Raises:
            h11.RemoteProtocolError: it is malformed or cut short.
        """
        if self._parser.our_state is h11.DONE:
            self._parser.start_next_cycle()
        # h11 needs to know the method; nothing of this is sent.
        self._parser.send(
            h11.Request(method=method, target="/", headers=[("host", "h")])
        )
        self._parser.send(h11.EndOfMessage())
        response = Response(0)
        while True:
            match self._parser.next_event():
                case h11.NEED_DATA:
                    self._parser.receive_data(await self._read())
                case h11.InformationalResponse(status_code=status):
                    response.interim.append(status)
                case h11.Response() as head:
                    response.status = head.status_code
                    response.reason = bytes(head.reason)
                    response.raw_headers = list(head.headers.raw_items())
                case h11.Data(data=data):
                    response.body += bytes(data)
                case h11.EndOfMessage():
                    return response
                case other:
                    raise AssertionError(other)

    async def _read(self) -> bytes:
        async with asyncio.timeout(15):
            return await self.reader.read(65536)

    async def until_closed(self) -> bytes:
        """Read until the proxy closes; a reset ends it too."""
        received = b""
        async with asyncio.timeout(15):
            with contextlib.suppress(ConnectionError):
                while data := await self.reader.read(65536):
                    received += data
        return received

    async def was_reset(self) -> bool:
        """Read on and tell whether the end is a reset rather than a FIN."""
        async with asyncio.timeout(15):
            try:
                while await self.reader.read(65536):
                    pass
            except ConnectionResetError:
                return True
        return False

    async def rest(self) -> bytes:
        """Everything after the last response that was read, up to the close."""
        already, _ = self._parser.trailing_data
        return already + await self.until_closed()

    def shut_writing(self) -> None:
        """Close the sending side only."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Close with RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        """Close."""
        self.writer.close()
        with contextlib.suppress(OSError):  # a reset, or a TLS error told before
            await self.writer.wait_closed()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def request_bytes(
    url: str, *fields: str, method: str = "GET", body: bytes = b""
) -> bytes:
    """Spell a request in absolute-form with the Host that belongs to it."""
    authority = url.split("://", 1)[-1].split("/", 1)[0]
    lines = [f"{method} {url} HTTP/1.1", f"Host: {authority}", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
