"""Host patterns: which hosts a setting is about.

``api.example.com`` is one host, ``*.example.com`` every name below it at any depth,
``*`` every host; with ``:port`` only that port is meant.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final, Generic, Protocol, Self, TypeVar

from reuse_proxy.config.units import NotAllowedError

_NAME: Final = re.compile(
    r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
    r"(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*|\*"
)
_PARTS: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[^:]*))?")


@dataclass(frozen=True, slots=True)
class HostPattern:
    """Hosts by name or address, lower-case; ``port`` None stands for any."""

    host: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``HOST`` or ``HOST:PORT``.

        Raises:
            NotAllowedError: it is neither.
        """
        if "://" in text:
            raise NotAllowedError("is a URL, of which only the host is wanted", text)
        parts = _PARTS.fullmatch(text.strip())
        if parts is None:
            raise NotAllowedError("is not a host with an optional port", text)
        host = _host(parts["host"], text)
        return cls(host, None if parts["port"] is None else read_port(parts["port"]))

    def matches(self, host: str, port: int) -> bool:
        """Tell whether a lower-case host and a port are meant."""
        if self.port is not None and self.port != port:
            return False
        if self.host == "*":
            return True
        if self.host.startswith("*."):
            return host.endswith(self.host[1:]) and len(host) >= len(self.host)
        return host == self.host

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TlsRoute:
    """Hosts whose ``http://`` requests go out as TLS; to which port, None as it is.

    Port 80 is never kept: TLS is on 443 then.  With ``to_port`` alone, every port of
    the host is mapped to it.
    """

    hosts: HostPattern
    to_port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``HOST[:PORT][=TLSPORT]``.

        Raises:
            NotAllowedError: it is not.
        """
        hosts, mapped, port = text.partition("=")
        return cls(HostPattern.parse(hosts), read_port(port) if mapped else None)

    def port_for(self, port: int) -> int:
        """Return the port on which TLS is spoken instead of plain HTTP on this one."""
        if self.to_port is not None:
            return self.to_port
        return 443 if port == 80 else port

    def __str__(self) -> str:
        mapped = "" if self.to_port is None else f"={self.to_port}"
        return f"{self.hosts}{mapped}"


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The certificate to show to some hosts; without ``key`` its file holds it too."""

    hosts: HostPattern
    certificate: Path
    key: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``HOST[:PORT]=CERT.pem`` or ``HOST[:PORT]=CERT.pem:KEY.pem``.

        Raises:
            NotAllowedError: it is neither.
        """
        hosts, _, files = text.partition("=")
        certificate, _, key = files.partition(":")
        if not certificate.strip():
            raise NotAllowedError("names no certificate file", text)
        return cls(
            HostPattern.parse(hosts),
            Path(certificate.strip()),
            Path(key.strip()) if key.strip() else None,
        )

    def __str__(self) -> str:
        key = "" if self.key is None else f":{self.key}"
        return f"{self.hosts}={self.certificate}{key}"


class _OfHosts(Protocol):
    @property
    def hosts(self) -> HostPattern:
        """The hosts that an entry is about."""


Entry = TypeVar("Entry", bound=_OfHosts)


class HostTable(Generic[Entry]):
    """Entries for hosts; the first that matches counts."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = tuple(entries)

    def find(self, host: str, port: int) -> Entry | None:
        """Return the entry for a host and a port."""
        for entry in self._entries:
            if entry.hosts.matches(host, port):
                return entry
        return None

    def __bool__(self) -> bool:
        return bool(self._entries)

    def __repr__(self) -> str:
        return f"<HostTable {', '.join(map(str, self._entries))}>"


def matches_any(patterns: Sequence[HostPattern], host: str, port: int) -> bool:
    """Tell whether one of the patterns means a host and a port."""
    return any(pattern.matches(host, port) for pattern in patterns)


def read_port(text: str) -> int:
    """Read a port number.

    Raises:
        NotAllowedError: it is not from 1 to 65535.
    """
    digits = text.strip()
    port = int(digits) if digits.isascii() and digits.isdigit() else 0
    if not 1 <= port <= 65535:
        raise NotAllowedError("is not a port from 1 to 65535", text)
    return port


def _host(text: str, whole: str) -> str:
    host = text.lower()
    if not host.endswith("*."):
        host = host.removesuffix(".")
    if not host.isascii():
        raise NotAllowedError("must be spelled in its ASCII form (xn--...)", whole)
    if host.startswith("["):
        try:
            return str(IPv6Address(host[1:-1]))
        except ValueError:
            raise NotAllowedError("is not an IPv6 address in brackets", whole) from None
    try:
        return str(ip_address(host))
    except ValueError:
        if _NAME.fullmatch(host) is None:
            raise NotAllowedError(
                "is not a host with an optional port", whole
            ) from None
    return host
