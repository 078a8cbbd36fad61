"""Requests out of a client's bytes: llhttp's callbacks as heads and body pieces.

No I/O: bytes go in through :meth:`Intake.feed`, requests are taken out of its queue.
The limits that llhttp leaves to its user are kept here.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

import httptools

from reuse_proxy.downstream.refusals import (
    MAX_FIELD_BYTES,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    MAX_TARGET_BYTES,
    body_malformed,
    framing_in_trailer,
    head_too_large,
    overhead_without_end,
    target_too_long,
    translate,
)
from reuse_proxy.downstream.request import ClientBody, ClientRequest
from reuse_proxy.http.request_fields import protocols_of

if TYPE_CHECKING:
    from reuse_proxy.downstream.client import ClientConnection
    from reuse_proxy.errors import ProxyError

# A client that pipelines more than this is not read from until it has been served.
MAX_QUEUED: Final = 32
# What is parsed in one go: the shortest requests have 25 bytes, and half a kilobyte in
# memory each.  More within a body, in which there are none.
_PIECE_BYTES: Final = 4 * 1024
_BODY_PIECE_BYTES: Final = 16 * 1024
# Chunk extensions and trailers carry no content; this much in a row is an attack.
_MAX_OVERHEAD_BYTES: Final = 1024 * 1024
_MAX_HELD_BYTES: Final = 64 * 1024
_FRAMING: Final = (b"content-length", b"transfer-encoding")
_CHUNKED: Final = b"Transfer-Encoding: chunked"


class Intake:
    """Reads the requests of one client, one after another.

    Attributes:
        requests: those whose head has come, until they are taken.
        head_bytes: how much of a head has come that is not complete, at least.
        unparsed: bytes for which there was no room yet.
        held: bytes behind a request to switch protocols; None where there is none.
        sealed: no request follows those that are queued.
        error: why not, if the client is to be told.
    """

    __slots__ = (
        "_begun",
        "_client",
        "_fed",
        "_in_head",
        "_overhead",
        "_parser",
        "_raw",
        "_request",
        "_resuming",
        "_target",
        "error",
        "head_bytes",
        "held",
        "requests",
        "sealed",
        "unparsed",
    )

    def __init__(self, client: "ClientConnection") -> None:
        self._client = client
        self._parser = httptools.HttpRequestParser(self)
        self._raw: list[tuple[bytes, bytes]] = []
        self._target = b""
        # Whose head or body is being read; None between two requests.
        self._request: ClientRequest | None = None
        # A head is open; one has begun among the bytes that were fed last.
        self._in_head = self._begun = self._resuming = False
        self._overhead = self._fed = 0
        self.unparsed = b""
        self.requests: deque[ClientRequest] = deque()
        self.head_bytes = 0
        self.held: bytearray | None = None
        self.sealed = False
        self.error: ProxyError | None = None

    def feed(self, data: bytes) -> None:
        """Read more bytes, or hold them for whatever is switched to."""
        if self.held is not None:
            self.held += data
        elif len(data) > _PIECE_BYTES or self.unparsed:
            self.unparsed += data
            self.read_on()
        elif not self.sealed:
            self._parse(data)

    def read_on(self) -> None:
        """Read what waits, as long as there is room for requests."""
        data, at = self.unparsed, 0
        while at < len(data) and len(self.requests) < MAX_QUEUED:
            if self.sealed:
                break
            size = _PIECE_BYTES if self._request is None else _BODY_PIECE_BYTES
            self._parse(data[at : at + size])
            at += size
        rest = data[at:]
        self.unparsed = b""
        if self.held is not None:
            self.held += rest
        elif not self.sealed:
            self.unparsed = rest

    def is_full(self) -> bool:
        """Tell whether there is no room for more: its client must not be read from."""
        if self.held is not None:
            return len(self.held) > _MAX_HELD_BYTES
        request = self._request
        if request is not None and request.body is not None and request.body.full:
            return True
        return bool(self.unparsed) or len(self.requests) >= MAX_QUEUED

    def end(self, error: "ProxyError") -> None:
        """Take the end of the connection: no more of a body will come."""
        request = self._request
        if request is not None and request.body is not None:
            request.body.fail(error)

    def stop(self) -> None:
        """Read nothing more, and forget the requests that wait."""
        self.sealed = True
        self.error = None
        self.unparsed = b""
        self.requests.clear()

    # Parse...

    def _parse(self, data: bytes) -> None:
        request, queued = self._request, len(self.requests)
        self._fed = len(data)
        self._begun = False
        size = 0 if request is None or request.body is None else request.body.size
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self._go_on(data[exc.args[0] :])
        except httptools.HttpParserError as exc:
            self._fail(exc, data)
        if self._in_head:
            first = request is None and len(self.requests) == queued
            self._count_head(len(data), first=first)
        elif self._request is not None:
            self._count_overhead(self._request, len(data), before=size)

    def _count_head(self, size: int, *, first: bool) -> None:
        # Where it began behind others is not known: at least one byte is its own.
        begun = size if first else 1
        self.head_bytes = begun if self._begun else self.head_bytes + size
        if self.head_bytes > MAX_HEAD_BYTES:
            self._seal(head_too_large())

    def _count_overhead(self, request: ClientRequest, size: int, before: int) -> None:
        """Bound chunk extensions and trailers (RFC 9112 section 7.1.1)."""
        if request.body is None:
            request.body = ClientBody(self._client)
        body = request.body
        if body.size != before:
            self._overhead = 0
            return
        self._overhead += size
        if self._overhead > _MAX_OVERHEAD_BYTES:
            body.fail(overhead_without_end())
            self.sealed = True

    def _go_on(self, behind: bytes) -> None:
        """Read on behind a request for another protocol; more of them may follow."""
        while rest := self._switch(behind):
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as exc:
                behind = rest[exc.args[0] :]
            except httptools.HttpParserError as exc:
                self._fail(exc, rest)
                return
            else:
                return

    def _switch(self, behind: bytes) -> bytes:
        """Hold what follows a request to switch protocols, or return it to be read.

        llhttp takes everything that follows any Upgrade for another protocol's.
        """
        request = self.requests[-1]
        connect = request.method == "CONNECT"
        offer = (request.field(b"upgrade") or b"").decode("latin-1")
        wanted = connect or bool(protocols_of(offer))
        length = request.field(b"content-length")
        coding = request.field(b"transfer-encoding")
        if not connect and (length or coding) is not None:
            return self._begin_body(request, length) + behind
        if not wanted:
            return behind
        self.sealed = True
        self.held = bytearray(behind)
        return b""

    def _begin_body(self, request: ClientRequest, length: bytes | None) -> bytes:
        """Have a new parser read a body that was taken for another protocol's bytes.

        The one before takes none after ``Connection: close``.  What is returned comes in
        front of the body, so that the parser knows how that ends.
        """
        self._parser = httptools.HttpRequestParser(self)
        self._request, self._resuming = request, True
        last = b"Connection: close\r\n" if request.asked_to_close else b""
        framing = _CHUNKED if length is None else b"Content-Length: " + length
        return b"POST / HTTP/1.1\r\n%b%b\r\n\r\n" % (last, framing)

    def _fail(self, exc: httptools.HttpParserError, data: bytes) -> None:
        """Read no more: it cannot be told what follows."""
        request = self._request
        if request is not None:
            if request.body is None:
                request.body = ClientBody(self._client)
            request.body.fail(body_malformed(exc))
            self._request = None
            self.sealed = True
        elif self.requests and self.requests[-1].asked_to_close:
            self.sealed = True  # what follows a last request is nothing to us
        else:
            self._client.server.note_refusal(exc)
            self._seal(translate(exc, data))

    def _is_too_large(self, raw: list[tuple[bytes, bytes]]) -> bool:
        sizes = [len(name) + len(value) + 4 for name, value in raw]
        whole = len(self._target) + sum(sizes)
        return whole > MAX_HEAD_BYTES or max(sizes, default=0) > MAX_FIELD_BYTES

    def _seal(self, error: "ProxyError") -> None:
        self._in_head = False
        self.head_bytes = 0
        self.sealed = True
        self.error = error

    # httptools' callbacks...

    def on_message_begin(self) -> None:
        """Begin a head."""
        if not self._resuming:
            self._in_head = self._begun = True
            self._target = b""
            self._raw = []

    def on_url(self, part: bytes) -> None:
        """Keep the target, which may come in parts."""
        self._target = self._target + part if self._target else part
        if len(self._target) > MAX_TARGET_BYTES:
            raise target_too_long()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field; those behind a body are trailers, which are dropped."""
        if self._in_head:
            self._raw.append((name, value))
        elif not self._resuming and name.lower() in _FRAMING:
            raise framing_in_trailer()

    def on_headers_complete(self) -> None:
        """Queue a request whose head has come."""
        if self._resuming:
            self._resuming = False
            return
        raw = self._raw
        large = self.head_bytes + self._fed > MAX_FIELD_BYTES
        if len(raw) > MAX_FIELDS or (large and self._is_too_large(raw)):
            raise head_too_large()
        self._in_head = False
        self.head_bytes = 0
        self._request = ClientRequest(self._parser, self._target, raw, self._client)
        self.requests.append(self._request)

    def on_body(self, data: bytes) -> None:
        """Hand body bytes to whoever reads them."""
        request = self._request
        if request is not None:
            if request.body is None:
                request.body = ClientBody(self._client)
            request.body.feed(data)

    def on_message_complete(self) -> None:
        """End a request, and the body if it has one."""
        request, self._request = self._request, None
        if request is not None and request.body is not None:
            request.body.finish()
