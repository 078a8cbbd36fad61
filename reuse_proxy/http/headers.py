"""Which fields pass a proxy, in one walk over the lines of a head.

Names, values, order and duplicates of everything that passes stay as they came;
fields of this hop go (RFC 9110 section 7.6.1).  What the walk learns on the way,
framing above all, is returned with the lines, so that no head is read twice.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from reuse_proxy.errors import RequestError, UpstreamProtocolError
from reuse_proxy.http import framing
from reuse_proxy.http.framing import Framing
from reuse_proxy.http.target import valid_host_field

Fields = Iterable[tuple[bytes, bytes]]

PSEUDONYM: Final = b"reuse-proxy"


class _Kind:
    """What a field is to us; plain integers, since every field of a head is looked up."""

    PASS = 0
    DROP = 1
    CONNECTION = 2
    HOST = 3
    LENGTH = 4
    CODING = 5
    EXPECT = 6
    VIA = 7
    DATE = 8
    KEEP_ALIVE = 9
    MAX_FORWARDS = 10
    TYPE = 11
    IDEMPOTENCY = 12


_HOST: Final = _Kind.HOST
_DATE: Final = _Kind.DATE
_LENGTH: Final = _Kind.LENGTH
# Of interest in a response only.
_TOLD: Final = (_Kind.DATE, _Kind.TYPE)
_KINDS: Final = {
    b"connection": _Kind.CONNECTION,
    b"proxy-connection": _Kind.DROP,
    b"proxy-authorization": _Kind.DROP,
    b"proxy-authenticate": _Kind.DROP,
    b"proxy-authentication-info": _Kind.DROP,
    b"te": _Kind.DROP,
    b"trailer": _Kind.DROP,
    b"upgrade": _Kind.DROP,
    b"http2-settings": _Kind.DROP,
    b"keep-alive": _Kind.KEEP_ALIVE,
    b"host": _Kind.HOST,
    b"content-length": _Kind.LENGTH,
    b"transfer-encoding": _Kind.CODING,
    b"expect": _Kind.EXPECT,
    b"via": _Kind.VIA,
    b"date": _Kind.DATE,
    b"max-forwards": _Kind.MAX_FORWARDS,
    b"content-type": _Kind.TYPE,
    b"idempotency-key": _Kind.IDEMPOTENCY,
}
# A Connection option that names one of these must not remove it: the first two
# are regenerated, and without Host the request would change its meaning.
_NOT_HOP_BY_HOP: Final = frozenset({b"content-length", b"transfer-encoding", b"host"})
_HARMLESS_OPTIONS: Final = frozenset(
    {b"close", b"keep-alive", b"upgrade", b"te", b"http2-settings", b""}
)
# Values of Connection that name no field.
_CLOSE: Final = b"close"
_COMMON_OPTIONS: Final = frozenset({_CLOSE, b"keep-alive", b"Keep-Alive"})
_MAX_SPELLINGS: Final = 4096
_kind_of: dict[bytes, int] = {}
_valid_hosts: dict[bytes, bool] = {}


def _learn_kind(name: bytes) -> int:
    """Classify a spelling and remember it, so that lower-casing happens once."""
    if len(_kind_of) >= _MAX_SPELLINGS:
        _kind_of.clear()
    kind = _kind_of[name] = _KINDS.get(name.lower(), _Kind.PASS)
    return kind


class RequestFields:
    """A request's fields: the lines to send upstream and what they said.

    ``host_at`` is the index at which the Host line belongs.
    """

    coding: Sequence[bytes] = ()
    expect_continue = False
    host_at = 0
    host_name = b"Host"
    idempotency_key = False
    length: Sequence[bytes] = ()
    max_forwards: int | None = None
    options: Sequence[bytes] = ()
    via: Sequence[bytes] = ()

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def framing(self, *, http10: bool) -> tuple[Framing, int]:
        """Decide the body's framing; see :func:`framing.request_framing`."""
        return framing.request_framing(
            http10=http10, lengths=self.length, codings=self.coding
        )


def read_request_fields(raw: Fields, *, traced: bool) -> RequestFields:
    """Walk a request's fields.

    Args:
        raw: name and value of each line, as received.
        traced: the method is TRACE or OPTIONS, for which Max-Forwards counts.

    Raises:
        RequestError: a Host or Max-Forwards that is malformed, an Expect that is
            not understood.
    """
    fields = RequestFields()
    lines = fields.lines
    known = _kind_of
    for name, value in raw:
        kind = known.get(name)
        if kind is None:
            kind = _learn_kind(name)
        if not kind or kind in _TOLD:
            lines.append(name + b": " + value + b"\r\n")
        elif kind == _HOST:
            # Its line is written from the target (RFC 9112 section 3.2.2).
            if not _valid_hosts.get(value):
                _check_host(value)
            fields.host_at = len(lines)
            fields.host_name = name
        else:
            _read_request_field(fields, kind, name, value, traced=traced)
    if fields.options:
        _drop_options(fields, fields.options)
    return fields


def _read_request_field(  # noqa: C901, PLR0912 - one flat table of cases
    fields: RequestFields, kind: int, name: bytes, value: bytes, *, traced: bool
) -> None:
    line = name + b": " + value + b"\r\n"
    match kind:
        case _Kind.CONNECTION:
            if value not in _COMMON_OPTIONS:
                fields.options = [*fields.options, *_options(value)]
            return
        case _Kind.EXPECT:
            _check_expectation(value)
            fields.expect_continue = True
            return
        case _Kind.DROP | _Kind.KEEP_ALIVE:
            return
        case _Kind.LENGTH:
            fields.length = [*fields.length, value]
        case _Kind.CODING:
            fields.coding = [*fields.coding, value]
            line = b"%b: chunked\r\n" % name
        case _Kind.VIA:
            fields.via = [*fields.via, value]
        case _Kind.MAX_FORWARDS if traced:
            fields.max_forwards = _count(value)
            line = b"%b: %d\r\n" % (name, max(fields.max_forwards - 1, 0))
        case _Kind.IDEMPOTENCY:
            fields.idempotency_key = True
        case _:  # it passes
            pass
    fields.lines.append(line)


def _check_expectation(value: bytes) -> None:
    if value.lower() != b"100-continue":
        raise RequestError(
            "The only expectation understood is 100-continue.", status=417
        )


def _check_host(value: bytes) -> None:
    valid = _valid_hosts.get(value)
    if valid is None:
        if len(_valid_hosts) >= _MAX_SPELLINGS:
            _valid_hosts.clear()
        valid = _valid_hosts[value] = valid_host_field(value)
    if not valid:
        raise RequestError("The Host field is not a host with an optional port.")


def _count(value: bytes) -> int:
    if not value.isdigit() or len(value) > 9:
        raise RequestError("Max-Forwards must be a decimal number.")
    return int(value)


def _options(value: bytes) -> list[bytes]:
    return [option.strip().lower() for option in value.split(b",")]


def _drop_options(
    fields: "RequestFields | ResponseFields", options: Sequence[bytes]
) -> None:
    """Remove the fields that Connection names (RFC 9110 section 7.6.1)."""
    if _HARMLESS_OPTIONS.issuperset(options):
        return
    named = set(options) - _NOT_HOP_BY_HOP
    kept = []
    for index, line in enumerate(fields.lines):
        if line.partition(b":")[0].lower() in named:
            if isinstance(fields, RequestFields) and index < fields.host_at:
                fields.host_at -= 1
        else:
            kept.append(line)
    fields.lines[:] = kept


class ResponseFields:
    """A response's fields: the lines for the client and what they said."""

    chunked = False
    close = False
    event_stream = False
    has_date = False
    keep_alive = False
    keep_alive_timeout: float | None = None
    length: int | None = None
    length_line: bytes | None = None
    options: Sequence[bytes] = ()

    def __init__(self) -> None:
        self.lines: list[bytes] = []


def read_response_fields(raw: Fields) -> ResponseFields:
    """Walk a response's fields.

    Args:
        raw: name and value of each line, as received.

    Raises:
        UpstreamProtocolError: framing that must not be forwarded (RFC 9112 section
            6.3): an invalid Content-Length, a coding other than chunked.
    """
    fields = ResponseFields()
    lines = fields.lines
    known = _kind_of
    for name, value in raw:
        kind = known.get(name)
        if kind is None:
            kind = _learn_kind(name)
        line = name + b": " + value + b"\r\n"
        # What nearly every response has is told apart here, the rest by a call.
        if not kind:
            lines.append(line)
        elif kind == _DATE:
            fields.has_date = True
            lines.append(line)
        elif kind == _LENGTH:
            fields.length = _length(value.rstrip(), fields.length)
            fields.length_line = line
            lines.append(line)
        elif _read_response_field(fields, kind, value.rstrip()):
            lines.append(line)
    if fields.options:
        fields.close = fields.close or _CLOSE in fields.options
        fields.keep_alive = fields.keep_alive or b"keep-alive" in fields.options
        _drop_options(fields, fields.options)
    return fields


def _read_response_field(fields: ResponseFields, kind: int, value: bytes) -> bool:
    """Learn from a field of the rarer kinds; tell whether it passes."""
    match kind:
        case _Kind.TYPE:
            fields.event_stream = value[:17].lower() == b"text/event-stream"
            return True
        case _Kind.CONNECTION if value == _CLOSE:
            fields.close = True
        case _Kind.CONNECTION if value in _COMMON_OPTIONS:
            fields.keep_alive = True
        case _Kind.CONNECTION:
            fields.options = [*fields.options, *_options(value)]
        case _Kind.CODING:
            _check_coding(value, again=fields.chunked)
            fields.chunked = True
        case _Kind.KEEP_ALIVE:
            fields.keep_alive_timeout = _keep_alive_timeout(value)
        case _Kind.DROP:
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
