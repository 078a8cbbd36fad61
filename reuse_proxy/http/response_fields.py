"""Which fields of a response pass, in one walk over the lines of its head.

As in ``request_fields``: what the walk learns on the way is returned with the lines.
"""

from collections.abc import Sequence
from typing import Final

from reuse_proxy.errors import UpstreamProtocolError
from reuse_proxy.http import framing
from reuse_proxy.http.hop import (
    CLOSE,
    COMMON_OPTIONS,
    Fields,
    binds,
    options_of,
    without_named,
)
from reuse_proxy.http.kinds import Kind, kind_of, learn_kind

_DATE: Final = Kind.DATE
_LENGTH: Final = Kind.LENGTH
_TYPE: Final = Kind.TYPE
_EVENT_STREAM: Final = b"text/event-stream"
_CONNECTION: Final = Kind.CONNECTION


class ResponseFields:
    """A response's fields: the lines for the client and what they said."""

    bound = False
    chunked = False
    close = False
    event_stream = False
    has_date = False
    keep_alive = False
    keep_alive_timeout: float | None = None
    length: int | None = None
    length_line: bytes | None = None
    options: Sequence[bytes] = ()
    proxy_challenges: Sequence[bytes] = ()  # of a parent: they are for us
    upgrade = b""
    _block: bytes | None = None

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def block(self) -> bytes:
        """Return all lines as one."""
        block = self._block
        if block is None:
            block = self._block = b"".join(self.lines)
        return block

    def block_without_length(self) -> bytes:
        """Return them without a Content-Length, where none may be.

        RFC 9110 section 8.6: in interim responses and 204.
        """
        return b"".join(line for line in self.lines if line is not self.length_line)


def read_response_fields(  # noqa: C901, PLR0912 - one walk
    raw: Fields,
) -> ResponseFields:
    """Walk a response's fields.

    Args:
        raw: name and value of each line, as received.

    Raises:
        UpstreamProtocolError: framing that must not be forwarded (RFC 9112 section
            6.3): an invalid Content-Length, a coding other than chunked.
    """
    fields = ResponseFields()
    lines = fields.lines
    known = kind_of
    for name, value in raw:
        kind = known.get(name)
        if kind is None:
            kind = learn_kind(name)
        # What nearly every response has is told apart here, the rest by a call.
        if kind == _CONNECTION and value in COMMON_OPTIONS:
            if value == CLOSE:
                fields.close = True
            else:
                fields.keep_alive = True
            continue
        line = name + b": " + value + b"\r\n"
        if kind:
            if kind == _LENGTH:
                fields.length = _length(value.rstrip(), fields.length)
                fields.length_line = line
            elif kind == _DATE:
                fields.has_date = True
            elif kind == _TYPE:
                fields.event_stream = value[:17].lower() == _EVENT_STREAM
            elif not _read_response_field(fields, kind, value.rstrip()):
                continue
        lines.append(line)
    if fields.options:
        fields.close = fields.close or CLOSE in fields.options
        fields.keep_alive = fields.keep_alive or b"keep-alive" in fields.options
        without_named(lines, fields.options)
    return fields


def _read_response_field(fields: ResponseFields, kind: int, value: bytes) -> bool:
    """Learn from a field of the rarer kinds; tell whether it passes."""
    match kind:
        case Kind.CONNECTION:
            fields.options = [*fields.options, *options_of(value)]
        case Kind.CODING:
            _check_coding(value, again=fields.chunked)
            fields.chunked = True
        case Kind.KEEP_ALIVE:
            fields.keep_alive_timeout = _keep_alive_timeout(value)
        case Kind.UPGRADE:
            fields.upgrade = value
        case Kind.CHALLENGE:
            fields.bound = fields.bound or any(map(binds, value.split(b",")))
            return True
        case Kind.PROXY_CHALLENGE:
            fields.proxy_challenges = [*fields.proxy_challenges, value]
        case Kind.DROP | Kind.CALLER:
            pass
        case _:
            return True
    return False


def _length(value: bytes, known: int | None) -> int:
    length = framing.parse_length(value)
    if length is None or known is not None:
        raise UpstreamProtocolError(
            "The origin's Content-Length is not one decimal number."
        )
    return length


def _check_coding(value: bytes, *, again: bool) -> None:
    if value.lower() != b"chunked" or again:
        raise UpstreamProtocolError(
            "The origin uses a transfer coding other than chunked.",
            error="http_response_transfer_coding",
        )


def _keep_alive_timeout(value: bytes) -> float | None:
    """Read the origin's hint ``timeout=N``, in seconds."""
    for parameter in value.split(b","):
        name, _, number = parameter.partition(b"=")
        if name.strip().lower() == b"timeout":
            digits = number.strip().strip(b'"')
            return float(digits) if digits.isdigit() and len(digits) < 9 else None
    return None
