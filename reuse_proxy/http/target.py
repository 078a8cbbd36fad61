"""Request targets: the four forms of RFC 9112 section 3.2, and what an origin is.

Paths and queries are never decoded, normalised or quoted (RFC 9110 section 7.7);
only the authority is understood, once per spelling.
"""

import re
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final, NamedTuple

from reuse_proxy.errors import RequestError

if TYPE_CHECKING:
    from reuse_proxy.config.parent import ParentProxy

TUNNEL: Final = "tunnel"
PARENT: Final = "parent"


class Origin(NamedTuple):
    """The pool's key: host is lower-case, without a trailing dot.

    ``scheme`` is ``http``, ``https``, ``tunnel`` for what CONNECT asks for: bytes, of
    which we know no scheme; or ``parent`` for the parent proxy itself, which is asked
    for what many origins have.  With a ``parent``, any other one is reached by a CONNECT
    through that.  All else that TLS needs follows from host and port: server name,
    trusted authorities and client certificate; so connections that differ in one of
    these are never shared.
    """

    scheme: str
    host: str
    port: int
    parent: "ParentProxy | None" = None

    @property
    def authority(self) -> str:
        """What Host says of an origin with TLS: the default port left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"

    @property
    def place(self) -> str:
        """Host and port, as CONNECT asks for them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def next_hop(self) -> tuple[str, int]:
        """Host and port of whom a socket is connected to."""
        parent = self.parent
        return (self.host, self.port) if parent is None else (parent.host, parent.port)

    def __str__(self) -> str:
        return self.place if self.scheme == TUNNEL else f"{self.scheme}://{self.place}"


class ProxyTarget(NamedTuple):
    """An absolute-form target: where to go, and what to say there.

    ``host`` is the authority as the client spelled it, ``path`` the origin-form
    target, byte for byte.
    """

    origin: Origin
    host: bytes
    path: bytes


# WebSocket clients send ws:// and wss:// through a proxy, and mean http and https.
_SCHEMES: Final = {
    b"http": ("http", 80),
    b"ws": ("http", 80),
    b"https": ("https", 443),
    b"wss": ("https", 443),
}
# RFC 3986 section 3.2.2 without percent-encoding: a DNS name, an IPv4 address in
# any spelling, or a bracketed IPv6 address.  Underscores occur in container names.
_HOST: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]")
_AUTHORITY: Final = re.compile(rb"(?P<host>" + _HOST.pattern + rb")(?::(?P<port>\d*))?")
_NO_FRAGMENT: Final = "A request target has no #fragment (RFC 9110 section 4.1)."
_MAX_KNOWN: Final = 4096
_known: dict[tuple[bytes, bytes], Origin] = {}


def parse_absolute(target: bytes, method: str) -> ProxyTarget:
    """Split an absolute-form target.

    Raises:
        RequestError: 400 for a malformed target, 501 for a scheme that is not ours.
    """
    if target.startswith(b"http://"):
        slash = target.find(b"/", 7)
        if slash > 0:
            # What is known has been found to be an authority, so it has no ? or #.
            authority = target[7:slash]
            origin = _known.get((b"http", authority))
            if origin is not None and b"#" not in target:
                return ProxyTarget(origin, authority, target[slash:])
    return _parse_absolute(target, method)


def _parse_absolute(target: bytes, method: str) -> ProxyTarget:
    scheme, separator, rest = target.partition(b"://")
    if not separator:
        raise RequestError(
            "The request target is not an absolute URL such as http://host/path."
        )
    end = _authority_end(rest)
    authority, path = rest[:end], rest[end:]
    origin = _known.get((scheme, authority))
    if origin is None:
        origin = _remember(scheme, authority)
    if not path:
        path = b"*" if method == "OPTIONS" else b"/"
    elif path[0] != 0x2F:
        path = b"/" + path
    if b"#" in path:
        raise RequestError(_NO_FRAGMENT)
    return ProxyTarget(origin, authority, path)


def parse_connect(target: bytes) -> Origin:
    """Return what a CONNECT target names (RFC 9110 section 9.3.6).

    Raises:
        RequestError: the target is not host:port with a port from 1 to 65535.
    """
    match = _AUTHORITY.fullmatch(target)
    if match is None or not match["port"]:
        raise RequestError("A CONNECT target is host:port, and both are needed.")
    return _read_authority(TUNNEL, target, 0)


def target_inside(
    origin: Origin, target: bytes, host: bytes | None, method: str
) -> ProxyTarget:
    """Return what is asked for inside of a CONNECT that has been opened.

    Args:
        origin: what CONNECT asked for, with TLS.
        target: mostly a path; the absolute form must name the same origin.
        host: the Host field, which goes on as it came; HTTP/1.0 may have none.
        method: as in :func:`parse_absolute`.

    Raises:
        RequestError: the target is malformed, or for somebody else.
    """
    if target[:1] == b"/" or target == b"*":
        if b"#" in target:
            raise RequestError(_NO_FRAGMENT)
        return ProxyTarget(origin, host or origin.authority.encode(), target)
    parsed = parse_absolute(target, method=method)
    if parsed.origin != origin:
        raise RequestError(
            f"This connection was opened for {origin}, and the target is elsewhere."
        )
    return parsed


def valid_host_field(value: bytes) -> bool:
    """Tell whether a Host field's value has the form of RFC 9110 section 7.2."""
    return not value or _AUTHORITY.fullmatch(value) is not None


def _authority_end(rest: bytes) -> int:
    slash = rest.find(b"/")
    end = len(rest) if slash < 0 else slash
    for delimiter in (b"?", b"#"):
        found = rest.find(delimiter, 0, end)
        if found >= 0:
            end = found
    return end


def _remember(scheme: bytes, authority: bytes) -> Origin:
    origin = _origin(scheme.lower(), authority)
    if len(_known) >= _MAX_KNOWN:
        _known.clear()
    _known[scheme, authority] = origin
    return origin


def _origin(scheme: bytes, authority: bytes) -> Origin:
    known = _SCHEMES.get(scheme)
    if known is None:
        raise RequestError(
            "Only http:// and https:// targets are forwarded; "
            f"the scheme {scheme.decode('latin-1')!a} is not.",
            status=501,
        )
    name, default_port = known
    if b"@" in authority:
        raise RequestError(
            "A user name in a target is an error (RFC 9110 section 4.2.4); "
            "send an Authorization field instead."
        )
    return _read_authority(name, authority, default_port)


def _read_authority(scheme: str, authority: bytes, default_port: int) -> Origin:
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise RequestError("The request target's host or port is malformed.")
    port = _port(match["port"]) if match["port"] else default_port
    name = _host_name(match["host"])
    if ":" in name:
        name = _ipv6(name)
    return Origin(scheme, name, port)


def _ipv6(text: str) -> str:
    """Return the one spelling of an address that settings are compared with."""
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise RequestError("The request target's host is no IPv6 address.") from None


def _host_name(host: bytes) -> str:
    name = host.decode("ascii").lower().strip("[]")
    name = name.removesuffix(".")
    if not name:
        raise RequestError("The request target has no host.")
    if "." in (name[0], name[-1]) or ".." in name:
        # Some resolvers drop the dot that is too much, and no setting would match.
        raise RequestError("A part between the dots of the target's host is empty.")
    return name


def _port(digits: bytes) -> int:
    port = int(digits) if len(digits) <= 5 else 0
    if not 1 <= port <= 65535:
        raise RequestError("The request target's port is not from 1 to 65535.")
    return port
