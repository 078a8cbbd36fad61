"""Listener addresses: `host:port`, `[v6]:port` and `unix:PATH`; no sockets here."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Self

_HOST_PORT = re.compile(
    r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<name>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})"
)
_UNIX = "unix:"
_MAX_PORT = 65535
_MAX_UNIX_PATH = 107  # sun_path in unix(7) holds 108 bytes with its terminator


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener listens: a host and a port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address; a ValueError says what is wrong with it."""
        if text.startswith(_UNIX):
            return cls(path=_checked_path(text.removeprefix(_UNIX)))
        match = _HOST_PORT.fullmatch(text)
        if match is None:
            raise ValueError("is not an address")
        port = int(match["port"])
        if port > _MAX_PORT:
            raise ValueError("has a port above 65535")
        return cls(host=_checked_host(match["v6"], match["name"]), port=port)

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can reach the address."""
        if self.path is not None or self.host.lower() == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        """Write the address in the form that `parse` reads."""
        if self.path is not None:
            return f"{_UNIX}{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def _checked_path(path: str) -> str:
    if not path or "\0" in path:
        raise ValueError("names no socket file")
    if len(path.encode()) > _MAX_UNIX_PATH:
        raise ValueError(f"is longer than the {_MAX_UNIX_PATH} bytes of a socket path")
    return path


def _checked_host(v6: str | None, name: str | None) -> str:
    if v6 is not None:
        return _checked_literal(v6, IPv6Address)
    host = name or ""
    # No top-level domain is numeric (RFC 3696 section 2): this is meant as IPv4.
    if host.rpartition(".")[2].isdecimal():
        return _checked_literal(host, IPv4Address)
    return host


def _checked_literal(text: str, family: type[IPv4Address] | type[IPv6Address]) -> str:
    try:
        family(text)
    except ValueError:
        raise ValueError("has a wrong IP address") from None
    return text
