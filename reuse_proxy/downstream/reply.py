"""Responses as bytes: written to the client's transport, nothing added unasked.

Header lines keep their bytes, case, order and duplicates; the head and the first
body bytes go out in one write.
"""

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

from reuse_proxy.http.framing import LAST_CHUNK, Framing, chunk, reply_framing

if TYPE_CHECKING:
    from reuse_proxy.downstream.client import ClientConnection
    from reuse_proxy.downstream.request import ClientRequest
    from reuse_proxy.errors import ProxyError
    from reuse_proxy.upstream.head import ResponseHead

_NONE: Final = Framing.NONE
_CLOSE: Final = Framing.CLOSE
_CHUNKED: Final = Framing.CHUNKED
_PHRASES: Final = {
    200: b"OK",
    204: b"No Content",
    400: b"Bad Request",
    403: b"Forbidden",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    414: b"URI Too Long",
    417: b"Expectation Failed",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}


# What may follow the status line of a response over HTTP/1.1, and over HTTP/1.0.
ViaLines = tuple[bytes, bytes]
_STATUS_LINES: Final = {
    (status, phrase): b"HTTP/1.1 %d %b\r\n" % (status, phrase)
    for status, phrase in _PHRASES.items()
}


class ClientGoneError(ConnectionError):
    """The client's connection is closed."""


class Reply:
    """The response to one client request."""

    __slots__ = (
        "_connection",
        "_framing",
        "_http10",
        "_method",
        "_via",
        "persistent",
        "status_sent",
    )

    def __init__(self, request: "ClientRequest", via: ViaLines) -> None:
        self._connection: ClientConnection = request.connection
        self._method = request.method
        self._http10 = request.http10
        self._via = via
        self._framing = _NONE
        self.status_sent = 0
        self.persistent = not (request.http10 or request.asked_to_close)

    # Relay...

    def send_interim(self, head: "ResponseHead") -> None:
        """Pass on a 1xx response; a client of HTTP/1.0 does not know them."""
        if not self._http10:
            lines = head.fields.block_without_length()
            self._write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (head.status, head.reason, lines))

    def begin_tunnel(self, status: int, head: bytes) -> "ClientConnection":
        """Write the last bytes that are HTTP; return whose they are.

        Raises:
            ClientGoneError: the client has gone.
        """
        self.persistent = False
        self._write(head)
        self.status_sent = status
        return self._connection

    def switch_head(self, head: "ResponseHead") -> bytes:
        """Return the head that tells the client of another protocol (101)."""
        fields = head.fields
        return b"HTTP/1.1 101 %b\r\n%bUpgrade: %b\r\nConnection: Upgrade\r\n%b\r\n" % (
            head.reason,
            fields.block_without_length(),
            fields.upgrade,
            self._via[0],
        )

    def send_head(
        self,
        head: "ResponseHead",
        body: list[bytes],
        complete: bool = True,  # noqa: FBT001, FBT002 - keywords are slower
    ) -> None:
        """Write a response's head with the body bytes that are here, in one go.

        Args:
            head: the origin's.
            body: the first body bytes.
            complete: they are all there is.
        """
        fields = head.fields
        self._framing = reply_framing(
            self._method, head.status, fields.length is not None, self._http10
        )
        if self._framing is _CLOSE or self._connection.is_ending():
            self.persistent = False
        self.status_sent = head.status
        status, reason = head.status, head.reason
        line = _STATUS_LINES.get((status, reason))
        pieces = [
            line or b"HTTP/1.1 %d %b\r\n" % (status, reason),
            fields.block() if status != 204 else fields.block_without_length(),
            self._via[head.http10],
        ]
        if not fields.has_date:
            pieces.append(b"Date: %b\r\n" % http_date())
        if self._framing is _CHUNKED:
            pieces.append(b"Transfer-Encoding: chunked\r\n")
        if not self.persistent:
            pieces.append(b"Connection: close\r\n")
        pieces.append(b"\r\n")
        chunked = self._framing is _CHUNKED
        pieces += self._framed(body, complete=complete) if chunked else body
        data = b"".join(pieces)
        if complete:
            self._connection.write_soon(data)
        else:
            self._connection.write(data)

    def send_body(self, body: list[bytes], *, complete: bool) -> None:
        """Write more of the body."""
        pieces = self._framed(body, complete=complete)
        if pieces:
            self._write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    async def room(self) -> None:
        """Wait until the client has taken so much that more may be held for it.

        Raises:
            ClientGoneError: it has gone, or was reset because it does not read.
        """
        connection = self._connection
        if connection.writing_paused and not (
            connection.server.stall_watch.may_hold_more(connection)
        ):
            await connection.taken()

    def truncate(self) -> None:
        """End a body that the origin did not end, so that the client can tell.

        Content-Length and chunked bodies tell by themselves when the connection is
        closed; a body that ends with the connection needs a reset (design D9).
        """
        self.persistent = False
        if self._framing is _CLOSE:
            self._connection.reset()

    def _framed(self, body: list[bytes], *, complete: bool) -> list[bytes]:
        if self._framing is _CHUNKED:
            pieces = chunk(body)
            return [*pieces, LAST_CHUNK] if complete else pieces
        return body

    # Our own answers...

    def send_error(self, error: "ProxyError", *, close: bool = False) -> None:
        """Answer with an error of ours: a sentence, and Proxy-Status (RFC 9209)."""
        if close:
            self.persistent = False
        self.send_text(error.status, error.sentence, _fields_of(error))

    def send_text(
        self, status: int, text: str, fields: list[bytes] | None = None
    ) -> None:
        """Answer with a page of our own."""
        if self._connection.is_ending():
            self.persistent = False
        self.status_sent = status
        self._write(
            plain_response(
                status,
                text,
                [
                    *(fields or ()),
                    *(() if self.persistent else (b"Connection: close\r\n",)),
                ],
                head_only=self._method == "HEAD",
            )
        )

    def _write(self, data: bytes) -> None:
        self._connection.write(data)


def last_response(error: "ProxyError") -> bytes:
    """Return an error of ours outside of any request, after which we close."""
    fields = [*_fields_of(error), b"Connection: close\r\n"]
    return plain_response(error.status, error.sentence, fields)


def _fields_of(error: "ProxyError") -> list[bytes]:
    """Return Proxy-Status (RFC 9209), and Retry-After where it helps."""
    fields = [b"Proxy-Status: reuse-proxy; error=%b\r\n" % error.error.encode()]
    if error.retry_after is not None:
        fields.append(b"Retry-After: %d\r\n" % error.retry_after)
    return fields


def plain_response(
    status: int, text: str, fields: list[bytes], *, head_only: bool = False
) -> bytes:
    """Return a whole text/plain response."""
    body = text.encode() + b"\n" if text else b""
    lines = b"".join(fields)
    kind = b"Content-Type: text/plain; charset=utf-8\r\n" if text else b""
    length = b"" if status == 204 else b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 %d %b\r\nDate: %b\r\n%b%b%b\r\n%b" % (
        status,
        _PHRASES[status],
        http_date(),
        kind,
        length,
        lines,
        b"" if head_only else body,
    )


_date = (b"", 0)


def http_date() -> bytes:
    """Return the current time as HTTP writes it, made once a second."""
    global _date  # noqa: PLW0603 - a cache of one line
    now = datetime.now(UTC)
    second = int(now.timestamp())
    if second != _date[1]:
        _date = (format_datetime(now, usegmt=True).encode("ascii"), second)
    return _date[0]
