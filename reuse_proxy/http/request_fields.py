"""Which fields of a request pass, in one walk over the lines of its head.

Names, values, order and duplicates of everything that passes stay as they came;
fields of this hop go (RFC 9110 section 7.6.1).  What the walk learns on the way,
framing above all, is returned with the lines, so that no head is read twice.
"""

from collections.abc import Sequence
from typing import Final

from reuse_proxy.errors import RequestError
from reuse_proxy.http import framing
from reuse_proxy.http.framing import Framing
from reuse_proxy.http.hop import (
    COMMON_OPTIONS,
    Fields,
    binds,
    options_of,
    without_named,
)
from reuse_proxy.http.kinds import Kind, kind_of, learn_kind
from reuse_proxy.http.target import valid_host_field

PSEUDONYM: Final = b"reuse-proxy"

_HOST: Final = Kind.HOST
# Of interest in a response only.
_TOLD: Final = (Kind.DATE, Kind.TYPE, Kind.CHALLENGE)
# A tunnel to an origin that switched to HTTP/2 could not be pooled any more.
_NOT_TUNNELLED: Final = ("h2c", "h2", "http/2.0", "")
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
    _around_host: tuple[bytes, bytes] | None = None

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def around_host(self) -> tuple[bytes, bytes]:
        """Return what stands between the target and the Host field's value, and behind that."""
        around = self._around_host
        if around is None:
            before, behind = self.lines[: self.host_at], self.lines[self.host_at :]
            around = self._around_host = (
                b" HTTP/1.1\r\n%b%b: " % (b"".join(before), self.host_name),
                b"\r\n" + b"".join(behind),
            )
        return around

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
            known_host = fields.host is None and _valid_hosts.get(value)
            fields.host = value if known_host else _check_host(value, fields.host)
            fields.host_at = len(lines)
            fields.host_name = name
        else:
            _read_request_field(fields, kind, name, value, traced=traced)
    if fields.options:
        gone = without_named(lines, fields.options)
        fields.host_at -= sum(index < fields.host_at for index in gone)
    return fields


def _read_request_field(  # noqa: C901, PLR0912 - one flat table of cases
    fields: RequestFields, kind: int, name: bytes, value: bytes, *, traced: bool
) -> None:
    value = value.rstrip()
    line = name + b": " + value + b"\r\n"
    match kind:
        case Kind.CONNECTION:
            if value not in COMMON_OPTIONS:
                fields.options = [*fields.options, *options_of(value)]
            return
        case Kind.EXPECT:
            _check_expectation(value)
            fields.expect_continue = True
            return
        case Kind.DROP | Kind.KEEP_ALIVE | Kind.PROXY_CHALLENGE | Kind.CALLER:
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
            fields.bound = fields.bound or binds(value)
        case _:  # it passes
            pass
    fields.lines.append(line)


def protocols_of(offer: str) -> str:
    """Return what an Upgrade field offers, without HTTP/2."""
    offered = [name.strip() for name in offer.split(",")]
    return ", ".join(name for name in offered if name.lower() not in _NOT_TUNNELLED)


def _check_expectation(value: bytes) -> None:
    if value.lower() != b"100-continue":
        raise RequestError(
            "The only expectation understood is 100-continue.", status=417
        )


def _check_host(value: bytes, known: bytes | None) -> bytes:
    """Return a Host without blanks around it (RFC 9112 section 3.2)."""
    if known is not None:
        raise RequestError("The request has more than one Host field.")
    value = value.strip()
    valid = _valid_hosts.get(value)
    if valid is None:
        if len(_valid_hosts) >= _MAX_HOSTS:
            _valid_hosts.clear()
        valid = _valid_hosts[value] = valid_host_field(value)
    if not valid:
        raise RequestError("The Host field is not a host with an optional port.")
    return value


def _count(value: bytes) -> int:
    if not value.isdigit() or len(value) > 9:
        raise RequestError("Max-Forwards must be a decimal number.")
    return int(value)
