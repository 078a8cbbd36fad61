"""The kinds of settings that are about hosts and files, for TLS."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from reuse_proxy.config.hosts import ClientCertificate, HostPattern, TlsRoute
from reuse_proxy.config.kinds import Kind, items
from reuse_proxy.config.units import NotAllowedError

_NONE = "none"

T = TypeVar("T")


@dataclass(frozen=True)
class Hosts(Kind):
    """Host patterns, possibly none."""

    metavar = "HOSTS"
    allowed = "give hosts, comma separated (api.example.com, *.internal:8443), or none"

    def parse(self, value: object) -> tuple[HostPattern, ...]:
        """Read every pattern of the list."""
        return _entries(value, HostPattern, HostPattern.parse)

    def show(self, value: object) -> str:
        """Print the list, or none."""
        return ", ".join(map(str, self.parse(value))) or _NONE


@dataclass(frozen=True)
class TlsRoutes(Kind):
    """Hosts with an optional port mapping, possibly none."""

    metavar = "HOSTS"
    allowed = "give HOST, HOST:PORT or HOST:PORT=TLSPORT, comma separated, or none"

    def parse(self, value: object) -> tuple[TlsRoute, ...]:
        """Read every route of the list."""
        return _entries(value, TlsRoute, TlsRoute.parse)

    def show(self, value: object) -> str:
        """Print the list, or none."""
        return ", ".join(map(str, self.parse(value))) or _NONE


@dataclass(frozen=True)
class ClientCertificates(Kind):
    """Certificates for hosts, possibly none."""

    metavar = "HOST=FILE"
    allowed = "give HOST=CERT.pem or HOST=CERT.pem:KEY.pem, comma separated, or none"

    def parse(self, value: object) -> tuple[ClientCertificate, ...]:
        """Read every entry of the list."""
        return _entries(value, ClientCertificate, ClientCertificate.parse)

    def show(self, value: object) -> str:
        """Print the list, or none."""
        return ", ".join(map(str, self.parse(value))) or _NONE


@dataclass(frozen=True)
class OnePath(Kind):
    """A path, or none where that is allowed; ``~`` is the home folder when used."""

    metavar = "PATH"
    needed: bool = False

    def parse(self, value: object) -> Path | None:
        """Read a path as it is spelled."""
        if value is None or value == _NONE:
            if self.needed:
                raise NotAllowedError("names no path", value)
            return None
        if isinstance(value, Path):
            return value
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise NotAllowedError("is not a path", value)
        return Path(value.strip())

    def show(self, value: object) -> str:
        """Print the path, or none."""
        path = self.parse(value)
        return _NONE if path is None else str(path)

    @property
    def allowed(self) -> str:
        """Say what to give."""
        return "give a path" if self.needed else "give the path of a file, or none"


def _entries(value: object, kind: type[T], parse: Callable[[str], T]) -> tuple[T, ...]:
    """Read a list; what has been read before is left as it is."""
    if value == _NONE:
        return ()
    entries: list[T] = []
    for item in items(value):
        if isinstance(item, kind):
            entries.append(item)
        elif isinstance(item, str):
            entries.append(parse(item))
        else:
            raise NotAllowedError("is not a host", item)
    return tuple(entries)
