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
from reuse_proxy.http.kinds import Kind, kind_of, learn_kind
from reuse_proxy.http.target import valid_host_field

Fields = Iterable[tuple[bytes, bytes]]

PSEUDONYM: Final = b"reuse-proxy"

_HOST: Final = Kind.HOST
_DATE: Final = Kind.DATE
_LENGTH: Final = Kind.LENGTH
# Of interest in a response only.
_TOLD: Final = (Kind.DATE, Kind.TYPE, Kind.CHALLENGE)
# A Connection option that names one of these must not remove it: the first two
# are regenerated, and without Host the request would change its meaning.
_NOT_HOP_BY_HOP: Final = frozenset({b"content-length", b"transfer-encoding", b"host"})
_HARMLESS_OPTIONS: Final = frozenset(
    {b"close", b"keep-alive", b"upgrade", b"te", b"http2-settings", b""}
)
# Schemes that authenticate the connection, not the request (RFC 4559 section 6).
_BOUND: Final = (b"ntlm", b"negotiate", b"nego2", b"kerberos")
# A tunnel to an origin that switched to HTTP/2 could not be pooled any more.
_NOT_TUNNELLED: Final = ("h2c", "h2", "http/2.0", "")
# Values of Connection that name no field.
_CLOSE: Final = b"close"
_COMMON_OPTIONS: Final = frozenset({_CLOSE, b"keep-alive", b"Keep-Alive"})
_MAX_HOSTS: Final = 4096
_valid_hosts: dict[bytes, bool] = {}


class RequestFields:
    """A request's fields: the lines to send upstream and what they said.

    ``host_at`` is the index at which the Host line belongs; ``bound`` tells that the
    connection will be authenticated, ``upgrade`` which protocols are asked for.
    """

    bound = False
    caller: bytes | None = None  # Proxy-Authorization: how a client names itself
    coding: Sequence[bytes] = ()
    expect_continue = False
    host: bytes | None = None
    host_at = 0
    host_name = b"Host"
    idempotency_key = False
    length: Sequence[bytes] = ()
    max_forwards: int | None = None
    options: Sequence[bytes] = ()
    upgrade: bytes | None = None
    via: Sequence[bytes] = ()

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    @property
    def protocols(self) -> bytes:
        """The protocols that the client would switch to, HTTP/2 left out."""
        if self.upgrade is None or b"upgrade" not in self.options:
            return b""
        return protocols_of(self.upgrade.decode("latin-1")).encode("latin-1")

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
    known = kind_of
    for name, value in raw:
        kind = known.get(name)
        if kind is None:
            kind = learn_kind(name)
        if not kind or kind in _TOLD:
            lines.append(name + b": " + value + b"\r\n")
        elif kind == _HOST:
            # Its line is written from the target (RFC 9112 section 3.2.2).
            if not _valid_hosts.get(value):
                _check_host(value)
            fields.host = value
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
        case Kind.CONNECTION:
            if value not in _COMMON_OPTIONS:
                fields.options = [*fields.options, *_options(value)]
            return
        case Kind.EXPECT:
            _check_expectation(value)
            fields.expect_continue = True
            return
        case Kind.DROP | Kind.KEEP_ALIVE | Kind.CALLER:
            fields.caller = value if kind == Kind.CALLER else fields.caller
            return
        case Kind.LENGTH:
            fields.length = [*fields.length, value]
        case Kind.CODING:
            fields.coding = [*fields.coding, value]
            line = b"%b: chunked\r\n" % name
        case Kind.VIA:
            fields.via = [*fields.via, value]
        case Kind.MAX_FORWARDS if traced:
            fields.max_forwards = _count(value)
            line = b"%b: %d\r\n" % (name, max(fields.max_forwards - 1, 0))
        case Kind.IDEMPOTENCY:
            fields.idempotency_key = True
        case Kind.UPGRADE:
            fields.upgrade = value if fields.upgrade is None else b""
            return
        case Kind.CREDENTIALS:
            fields.bound = fields.bound or _binds(value)
        case _:  # it passes
            pass
    fields.lines.append(line)


def protocols_of(offer: str) -> str:
    """Return what an Upgrade field offers, without HTTP/2."""
    offered = [name.strip() for name in offer.split(",")]
    return ", ".join(name for name in offered if name.lower() not in _NOT_TUNNELLED)


def _binds(credentials: bytes) -> bool:
    """Tell whether credentials or a challenge are for the whole connection."""
    words = credentials.lower().split(None, 1)
    return bool(words) and words[0] in _BOUND


def _check_expectation(value: bytes) -> None:
    if value.lower() != b"100-continue":
        raise RequestError(
            "The only expectation understood is 100-continue.", status=417
        )


def _check_host(value: bytes) -> None:
    valid = _valid_hosts.get(value)
    if valid is None:
        if len(_valid_hosts) >= _MAX_HOSTS:
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
    upgrade = b""

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
    known = kind_of
    for name, value in raw:
        kind = known.get(name)
        if kind is None:
            kind = learn_kind(name)
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


def _read_response_field(  # noqa: C901, PLR0912 - one flat table of cases
    fields: ResponseFields, kind: int, value: bytes
) -> bool:
    """Learn from a field of the rarer kinds; tell whether it passes."""
    match kind:
        case Kind.TYPE:
            fields.event_stream = value[:17].lower() == b"text/event-stream"
            return True
        case Kind.CONNECTION if value == _CLOSE:
            fields.close = True
        case Kind.CONNECTION if value in _COMMON_OPTIONS:
            fields.keep_alive = True
        case Kind.CONNECTION:
            fields.options = [*fields.options, *_options(value)]
        case Kind.CODING:
            _check_coding(value, again=fields.chunked)
            fields.chunked = True
        case Kind.KEEP_ALIVE:
            fields.keep_alive_timeout = _keep_alive_timeout(value)
        case Kind.UPGRADE:
            fields.upgrade = value
        case Kind.CHALLENGE:
            fields.bound = fields.bound or any(map(_binds, value.split(b",")))
            return True
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
