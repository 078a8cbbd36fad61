"""Responses out of an origin's bytes: llhttp's callbacks as heads and body pieces.

No I/O: bytes go in through :meth:`ResponseReader.feed`, what they mean is taken out.
The limits and rules of framing that llhttp leaves to its user are kept here.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

import httptools

from reuse_proxy.errors import UpstreamProtocolError
from reuse_proxy.http import framing
from reuse_proxy.http.response_fields import read_response_fields
from reuse_proxy.upstream.head import ResponseHead
from reuse_proxy.upstream.refusals import (
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    REFUSED,
    head_too_large,
    not_http,
)

if TYPE_CHECKING:
    from reuse_proxy.http.response_fields import ResponseFields

_MAX_INTERIM: Final = 100
# Heads, chunk extensions and trailers carry no content; this much of them in one
# exchange is an attack.  The parser keeps an unfinished field to itself meanwhile.
_MAX_OVERHEAD_BYTES: Final = 1024 * 1024
_VERSIONS: Final = ("1.1", "1.0")
_HTTP11: Final = b"HTTP/1.1 "


class ResponseReader:
    """Reads the responses of one connection, one exchange after another.

    Attributes:
        heads: response heads that have come and not been taken.
        body: likewise pieces of the body; ``buffered`` is their size in bytes.
        final: the final response's head, once it has come.
        complete: the whole response has come (its pieces may still be here).
        persistent: the origin will take another request on this connection.
        surplus: bytes came that belong to no response (RFC 9112 section 9.2).
        received: any byte of a response has come.
        body_bytes: size of the body so far.
        until_eof: only the end of the connection ends the body.
        idle_limit: for how long the origin keeps the connection, in seconds.
        switched: what follows is another protocol's; ``behind`` has it.
        refused: statuses that this peer may not answer with, and why.
    """

    __slots__ = (
        "_discarding",
        "_feeding",
        "_fields",
        "_interim",
        "_is_head",
        "_known",
        "_overhead",
        "_parser",
        "_raw",
        "_reason",
        "_start",
        "_upgrade",
        "behind",
        "body",
        "body_bytes",
        "buffered",
        "complete",
        "final",
        "heads",
        "idle_limit",
        "persistent",
        "received",
        "refused",
        "surplus",
        "switched",
        "until_eof",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._is_head = False
        self._raw: list[tuple[bytes, bytes]] = []
        # What the last response's raw fields were, and what they said.
        self._known = self._raw
        self._fields: ResponseFields | None = None
        self._reason = b""
        self._feeding = 0
        self._start = b""
        self.refused = REFUSED
        self.heads: deque[ResponseHead] = deque()
        self.body: list[bytes] = []
        self.idle_limit = float("inf")
        self.expect("")
        self.complete = True

    def expect(self, method: str) -> None:
        """Start to read the response to a request with this method."""
        self._upgrade = False
        self.switched = False
        self.behind = b""
        if self._is_head:
            # llhttp cannot be told that no body followed; it waits for one.
            self._parser = httptools.HttpResponseParser(self)
        self._is_head = method == "HEAD"
        self._interim = 0
        self._overhead = 0
        self._discarding = False
        self.final: ResponseHead | None = None
        self.complete = False
        self.persistent = False
        self.surplus = False
        self.until_eof = False
        self.received = False
        self.body_bytes = 0
        self.buffered = 0

    def expect_switch(self) -> None:
        """Take a switch to another protocol, too: the request has asked for one."""
        self._upgrade = True

    def feed(self, data: bytes) -> None:
        """Read more bytes.

        Raises:
            UpstreamProtocolError: they are no response that may be forwarded; what
                came before them can still be taken.
        """
        if self.switched:
            self.behind += data
            return
        self._start = b"" if self.received else data[:9]
        self.received = True
        self._feeding = len(data)
        before, done = self.body_bytes, self.complete
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self.switched = True
            self.behind = data[exc.args[0] :]
        except httptools.HttpParserError as exc:
            if not self.complete:
                raise not_http(exc) from exc
            self.surplus = True
        if self._is_head or done or not self.complete:
            self._judge(data, before, done=done)

    def _judge(self, data: bytes, before: int, *, done: bool) -> None:
        """Judge bytes that were not just the last of a response with a body."""
        if done or (self._is_head and self.complete and not _ends_head(data)):
            self.surplus = True
        if self.body_bytes != before:
            self._overhead = 0
        elif not self.complete:
            self._count_overhead(len(data))

    def end(self) -> bool:
        """Take the connection's end; tell whether it is the response's, too."""
        if self.until_eof:
            self.complete = True
        return self.complete

    def discard(self) -> None:
        """Drop what has not been taken, and keep nothing more (design D7)."""
        self._discarding = True
        self.heads.clear()
        self.body.clear()
        self.buffered = 0

    @property
    def exhausted(self) -> bool:
        """Whether the whole response has come and been taken."""
        return self.complete and not self.body and not self.heads

    # httptools' callbacks...

    def on_message_begin(self) -> None:
        """Refuse a response that nobody asked for (RFC 9112 section 9.2)."""
        if self.complete:
            raise UpstreamProtocolError("The origin sent more than one response.")
        self._reason = b""
        self._raw = []

    def on_status(self, reason: bytes) -> None:
        """Keep the reason phrase, which may come in parts."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field; those after the body are trailers, which are dropped."""
        if self.final is None:
            self._raw.append((name, value))

    def on_headers_complete(self) -> None:
        """Take in a head, and learn from it how the body ends."""
        status = self._parser.get_status_code()
        http10 = self._is_http10(status)
        if status in self.refused and not (status == 101 and self._upgrade):
            sentence, error = self.refused[status]
            raise UpstreamProtocolError(sentence, error=error)
        raw = self._raw
        large = self._overhead + self._feeding > MAX_HEAD_BYTES
        if len(raw) > MAX_FIELDS or (large and self._is_too_large()):
            raise head_too_large()
        # As in HPACK (RFC 7541), for the same reason: many say the same again.
        fields = self._fields
        if fields is None or raw != self._known:
            fields = self._fields = read_response_fields(raw)
            self._known = raw
        head = ResponseHead(status, self._reason, fields, http10)
        if status >= 200:
            self._take_final(head)
        elif status == 101:
            self._take_switch(head)
        else:
            self._count_interim()
        if not self._discarding:
            self.heads.append(head)

    def on_body(self, body: bytes) -> None:
        """Hold body bytes for the exchange, or only count them."""
        if self.complete:
            self.surplus = True
            return
        size = len(body)
        self.body_bytes += size
        if not self._discarding:
            self.body.append(body)
            self.buffered += size

    def on_message_complete(self) -> None:
        """Note the end of a final response."""
        if self.final is not None:
            self.complete = True

    # Rules...

    def _is_http10(self, status: int) -> bool:
        start, self._start = self._start, b""
        if start == _HTTP11 and 100 <= status <= 599:
            return False  # llhttp makes a string of it, at the cost of three fields
        version = self._parser.get_http_version()
        if version not in _VERSIONS or not 100 <= status <= 599:
            raise UpstreamProtocolError(
                f"The origin answered with HTTP/{version} and status {status}."
            )
        return version == "1.0"

    def _take_final(self, head: ResponseHead) -> None:
        fields = head.fields
        self.final = head
        self.persistent = fields.keep_alive if head.http10 else not fields.close
        if fields.keep_alive_timeout is not None:
            # A second less than announced, so that we close first (design D10).
            self.idle_limit = fields.keep_alive_timeout - 1.0
        if self._is_head:
            self.complete = True
        elif (
            fields.length is None
            and not fields.chunked
            and not framing.bodyless("GET", head.status)
        ):
            self.until_eof = True
            self.persistent = False

    def _take_switch(self, head: ResponseHead) -> None:
        """Take the last head that is HTTP (RFC 9110 section 7.8)."""
        if not head.fields.upgrade or b"upgrade" not in head.fields.options:
            raise UpstreamProtocolError(
                "The origin switched protocols and does not say to which.",
                error="http_upgrade_failed",
            )
        self.final = head
        self.complete = True

    def _is_too_large(self) -> bool:
        size = sum(len(name) + len(value) + 4 for name, value in self._raw)
        return size > MAX_HEAD_BYTES

    def _count_interim(self) -> None:
        self._interim += 1
        if self._interim > _MAX_INTERIM:
            raise UpstreamProtocolError(
                f"The origin sent more than {_MAX_INTERIM} interim responses."
            )

    def _count_overhead(self, size: int) -> None:
        self._overhead += size
        if self.final is None and self._overhead > MAX_HEAD_BYTES:
            raise head_too_large()
        if self._overhead > _MAX_OVERHEAD_BYTES:
            raise UpstreamProtocolError(
                "The origin sends chunk extensions without end."
            )


def _ends_head(data: bytes) -> bool:
    # The head's end may have come in a segment of its own, or in two.
    return data.endswith(b"\r\n\r\n") or b"\r\n\r\n".endswith(data)
