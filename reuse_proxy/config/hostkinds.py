"""The kinds of settings that are about hosts and files, for TLS and the parent."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

from reuse_proxy.config.hosts import ClientCertificate, HostPattern, TlsRoute
from reuse_proxy.config.kinds import Kind, items
from reuse_proxy.config.parent import Exemption, ParentProxy, redacted
from reuse_proxy.config.units import NotAllowedError

_NONE = "none"


class _Parsed(Protocol):
    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one, or raise NotAllowedError."""


T = TypeVar("T", bound=_Parsed)


class _Entries(Kind, Generic[T]):
    """A list of entries about hosts, possibly none."""

    @property
    @abstractmethod
    def entry(self) -> type[T]:
        """What an entry is."""

    def parse(self, value: object) -> tuple[T, ...]:
        """Read every entry of the list; what has been read before is left as it is."""
        return tuple(map(self._entry, () if value == _NONE else items(value)))

    def _entry(self, item: object) -> T:
        if isinstance(item, self.entry):
            return item
        if not isinstance(item, str):
            raise NotAllowedError("is not a host", item)
        return self.entry.parse(item)

    def show(self, value: object) -> str:
        """Print the list, or none."""
        return ", ".join(map(str, self.parse(value))) or _NONE


@dataclass(frozen=True)
class Hosts(_Entries[HostPattern]):
    """Host patterns."""

    metavar = "HOSTS"
    entry = HostPattern
    allowed = "give hosts, comma separated (api.example.com, *.internal:8443), or none"


@dataclass(frozen=True)
class TlsRoutes(_Entries[TlsRoute]):
    """Hosts with an optional port mapping."""

    metavar = "HOSTS"
    entry = TlsRoute
    allowed = "give HOST[:PORT][=TLSPORT], comma separated (a.test, b.test:8080=8443), or none"


@dataclass(frozen=True)
class ClientCertificates(_Entries[ClientCertificate]):
    """Certificates for hosts."""

    metavar = "HOST=FILE"
    entry = ClientCertificate
    allowed = "give HOST=CERT.pem or HOST=CERT.pem:KEY.pem, comma separated, or none"


@dataclass(frozen=True)
class Exemptions(_Entries[Exemption]):
    """Host patterns and networks."""

    metavar = "HOSTS"
    entry = Exemption
    allowed = (
        "give hosts and networks, comma separated (*.internal, 10.0.0.0/8), or none"
    )


@dataclass(frozen=True)
class ParentUrl(Kind):
    """A parent proxy's URL, or none; its credentials are read and never shown."""

    metavar = "URL"
    allowed = (
        "give http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, with all else than"
        " letters and digits of both percent-encoded, or none"
    )

    def parse(self, value: object) -> ParentProxy | None:
        """Read the URL."""
        if value is None or value == _NONE:
            return None
        if isinstance(value, ParentProxy):
            return value
        if not isinstance(value, str):
            raise NotAllowedError("is not a URL", redacted(str(value)))
        return ParentProxy.parse(value.strip())

    def show(self, value: object) -> str:
        """Print where the parent is, or none; with credentials it is not read back."""
        parent = self.parse(value)
        return _NONE if parent is None else parent.shown


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
