"""What aiohttp's parser has made of a client's bytes, judged before it is served.

Part of the seam to aiohttp, with ``client`` and ``listener``.  The parser loses bytes
behind a request to upgrade and makes a trailer a field of the next request: from there
on the connection is sealed, and nothing that follows is taken for a request.
"""

from typing import TYPE_CHECKING, Any, Final

from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo

from reuse_proxy.downstream.refusals import (
    MAX_HEAD_BYTES,
    cause_of,
    head_too_large,
    is_oversized,
)
from reuse_proxy.errors import RequestError
from reuse_proxy.http.headers import protocols_of

if TYPE_CHECKING:
    from collections import deque

    from aiohttp import StreamReader

# Chunk extensions and trailers carry no content; this much in a row is an attack.
_MAX_OVERHEAD_BYTES: Final = 1024 * 1024
_MAX_HELD_BYTES: Final = 64 * 1024
# How a chunked body without trailers ends; no trailer can look like it.
_BARE_END: Final = b"\r\n0\r\n\r\n"


class Intake:
    """The requests of one client, as the parser queues them.

    Attributes:
        head_bytes: how much of a head has come that is not complete, at least.
        held: bytes behind a request to switch protocols; None where there is none.
        sealed: no request follows those that are queued.
    """

    __slots__ = (
        "_before",
        "_body",
        "_body_bytes",
        "_messages",
        "_overhead",
        "_tail",
        "_upload",
        "head_bytes",
        "held",
        "sealed",
    )

    def __init__(self, messages: "deque[Any]") -> None:
        self._messages = messages
        # The newest request's body, and the newest chunked one until its end is judged.
        self._body: StreamReader | None = None
        self._upload: StreamReader | None = None
        self._tail = b""
        self._body_bytes = 0
        self._overhead = 0
        # The last bytes of the head that is not complete: its end may be split.
        self._before = b""
        self.head_bytes = 0
        self.held: bytearray | None = None
        self.sealed = False

    @property
    def in_body(self) -> bool:
        """Whether a body has begun and not ended."""
        return self._body is not None and not self._body.is_eof()

    def is_plain(self, data: bytes) -> bool:
        """Tell whether bytes were one whole head and nothing else, as nearly always."""
        if len(self._messages) != 1:
            return False
        head, content = self._messages[0]
        whole = content is EMPTY_PAYLOAD and data.endswith(b"\r\n\r\n")
        alone = not self.head_bytes and self._upload is None and not self.sealed
        if not (whole and alone and len(data) <= MAX_HEAD_BYTES):
            return False
        return isinstance(head, RawRequestMessage) and not head.upgrade

    def judge(
        self,
        data: bytes,
        known: int,
        *,
        in_body: bool,
        current: "StreamReader | None",
        paused: bool,
        tail: bytes | None,
    ) -> None:
        """Apply what aiohttp does not to what its parser has made of some bytes.

        Args:
            data: the bytes.
            known: how many messages were queued before.
            in_body: :attr:`in_body` before.
            current: the body of the request that is being served.
            paused: the parser has stopped, and holds more bytes.
            tail: what the parser has kept behind CONNECT or a WebSocket handshake.
        """
        messages = self._messages
        if self._upload is not None or len(messages) > known:
            if self.head_bytes + len(data) > MAX_HEAD_BYTES:
                self._refuse_oversized()
            self._judge_messages(data, known, current, paused=paused, tail=tail)
        self.head_bytes = self._early_bytes(data, known, in_body=in_body)
        self._before = data[-3:] if self.head_bytes else b""
        if len(messages) > known:
            self._body = messages[-1][1]

    def count_overhead(self, content: "StreamReader", size: int) -> None:
        """Bound chunk extensions and trailers (RFC 9112 section 7.1.1)."""
        if content.total_bytes != self._body_bytes:
            self._body_bytes = content.total_bytes
            self._overhead = 0
            return
        self._overhead += size
        if self._overhead > _MAX_OVERHEAD_BYTES and not content.is_eof():
            content.set_exception(
                RequestError("The request sends chunk extensions without end.")
            )

    def count_head(self, data: bytes) -> bool:
        """Count the bytes of a head that is waited for; tell whether it begins."""
        begins = not self.head_bytes
        if begins and not data.strip(b"\r\n"):
            return False
        self.head_bytes += len(data)
        self._before = (self._before + data)[-3:]
        return begins

    def hold(self, data: bytes) -> bool:
        """Keep bytes for whatever is switched to; tell whether they are too many."""
        if self.held is None:
            return False
        self.held += data
        return len(self.held) > _MAX_HELD_BYTES

    def _judge_messages(
        self,
        data: bytes,
        known: int,
        current: "StreamReader | None",
        *,
        paused: bool,
        tail: bytes | None,
    ) -> None:
        messages = self._messages
        upload, self._upload = self._upload, None
        self._tail = data[-7:] if len(data) > 6 else (self._tail + data)[-7:]
        for index in range(known, len(messages)):
            message, content = messages[index]
            if not isinstance(message, RawRequestMessage):
                self._fail_body(messages[index - 1][1] if index else current, message)
                if self.sealed:
                    self._drop_from(index)
                return
            # There may have been a trailer, which would be one of its fields now
            # (RFC 9110 section 6.5.1).
            self.sealed = self.sealed or upload is not None
            if self.sealed:
                self._drop_from(index)
                return
            upload = content if message.chunked else None
            if message.upgrade:
                alone = data if index == known else None
                self._judge_switch(message, content, alone, tail)
        self._note_upload(upload, paused=paused)

    def _note_upload(self, upload: "StreamReader | None", *, paused: bool) -> None:
        """Remember a chunked body until its end, which is where a trailer may be."""
        if upload is not None:
            if not upload.is_eof():
                self._upload = upload
            elif paused or self._tail != _BARE_END:
                # The parser that is paused holds bytes that came after this body.
                self.sealed = True

    def _judge_switch(
        self,
        message: RawRequestMessage,
        content: "StreamReader",
        data: bytes | None,
        tail: bytes | None,
    ) -> None:
        """Hold what follows a request to switch protocols: it may not be HTTP.

        Where it cannot be told what followed, or a body comes first, nothing is
        switched, and no further request is believed either.
        """
        bodyless = content is EMPTY_PAYLOAD
        if tail is None and data is not None and bodyless:
            data = self._before + data if self.head_bytes else data.lstrip(b"\r\n")
            tail = data.partition(b"\r\n\r\n")[2]
        connect = message.method == "CONNECT"
        if not (connect or protocols_of(message.headers.get("Upgrade", ""))):
            self.sealed = tail != b""
            return
        self.sealed = True
        if tail is not None and (connect or bodyless):
            self.held = bytearray(tail)

    def _early_bytes(self, data: bytes, known: int, *, in_body: bool) -> int:
        """Return how much of a head has come that no one waits for yet, at least."""
        if self.sealed:
            return 0
        if len(self._messages) > known:
            _, content = self._messages[-1]
            whole = content is not EMPTY_PAYLOAD or data.endswith(b"\r\n\r\n")
            return 0 if whole else 1
        if in_body:
            return 0  # where the body ended in these bytes is not known
        return self.head_bytes + len(data.lstrip(b"\r\n"))

    def _refuse_oversized(self) -> None:
        messages = self._messages
        for index, (message, _) in enumerate(messages):
            if isinstance(message, RawRequestMessage) and is_oversized(message):
                messages[index] = (_ErrInfo(431, head_too_large(), ""), EMPTY_PAYLOAD)

    def _fail_body(self, content: "StreamReader | None", error: _ErrInfo) -> None:
        """Tell the reader of the body in which the parser has given up."""
        if content is not None and not content.is_eof():
            content.set_exception(
                RequestError(f"The request body is malformed: {cause_of(error.exc)}.")
            )

    def _drop_from(self, index: int) -> None:
        while len(self._messages) > index:
            self._messages.pop()
