"""The parent proxy: where it is, and how we name ourselves to it; which hosts pass it by.

Its credentials are in no text that this module makes: neither in what is printed of a
setting, nor in a refusal, nor in a ``repr``.
"""

import re
from base64 import b64encode
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, NoReturn, Self
from urllib.parse import unquote_to_bytes

from reuse_proxy.config.hosts import HostPattern
from reuse_proxy.config.kinds import Network, network
from reuse_proxy.config.units import NotAllowedError

# Stands for credentials wherever they are left out.
HIDDEN: Final = "..."
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# What can be told of a value: nothing in it can be a secret.
_PLAIN: Final = re.compile(r"(\[[0-9A-Fa-f:.]*\]|[\w.*-]*)(:\d{0,5})?/?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ParentProxy:
    """A proxy that stands between us and the origins; equal ones are the same way.

    ``authorization`` is the value of Proxy-Authorization (RFC 7617), or empty; ``via``
    our line of Via, where we have one.
    """

    host: str
    port: int
    authorization: bytes = field(default=b"", repr=False)
    via: bytes = field(default=b"", repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``http://[USER:PASSWORD@]HOST[:PORT]``; the port of http is 80.

        Raises:
            NotAllowedError: it is not; what it tells holds no credentials.
        """
        scheme = _SCHEME.match(text)
        if scheme is None:
            _refuse("is not a URL that begins with http://", text)
        if scheme[1].lower() != "http":
            _refuse("is not http://, the only way to speak with a parent", text)
        login, at, place = text[scheme.end() :].rpartition("@")
        try:
            at_host = HostPattern.parse(place.removesuffix("/"))
        except NotAllowedError:
            _refuse("is not a URL of just a host with an optional port", text)
        if "*" in at_host.host:
            _refuse("is not a URL of one host", text)
        return cls(
            at_host.host,
            80 if at_host.port is None else at_host.port,
            _basic(login, text) if at else b"",
        )

    @property
    def credentials(self) -> bytes:
        """The line that names us to the parent, or nothing."""
        if not self.authorization:
            return b""
        return b"Proxy-Authorization: %b\r\n" % self.authorization

    def __hash__(self) -> int:
        return hash(self.host)

    @property
    def shown(self) -> str:
        """Its URL, with a sign where credentials are left out; that is not read back."""
        login = f"{HIDDEN}@" if self.authorization else ""
        return str(self).replace("//", f"//{login}", 1)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Exemption:
    """Hosts that are not asked through the parent: by name, by address or by network."""

    hosts: HostPattern | Network

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a host pattern, or a network with its slash.

        Raises:
            NotAllowedError: it is neither.
        """
        if "/" in text and "://" not in text:
            return cls(network(text))
        return cls(HostPattern.parse(text))

    def matches(self, host: str, port: int) -> bool:
        """Tell whether a host and a port are meant; a name is in no network."""
        if isinstance(self.hosts, HostPattern):
            return self.hosts.matches(host, port)
        try:
            address = ip_address(host)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address) in self.hosts

    def __str__(self) -> str:
        return str(self.hosts)


def redacted(text: str) -> str:
    """Return what may be told of a value that is, or should have been, a URL."""
    scheme = _SCHEME.match(text)
    _, at, place = text[scheme.end() if scheme else 0 :].rpartition("@")
    shown = place if _PLAIN.fullmatch(place) else HIDDEN
    return f"{scheme[0] if scheme else ''}{f'{HIDDEN}@' if at else ''}{shown}"


def _refuse(problem: str, text: str) -> NoReturn:
    raise NotAllowedError(problem, redacted(text)) from None


def _basic(login: str, text: str) -> bytes:
    """Return the credentials as the scheme Basic sends them (RFC 7617 section 2)."""
    if login == HIDDEN:
        _refuse("has dots in the place of its credentials", text)
    user, _, password = map(unquote_to_bytes, login.partition(":"))
    if b":" in user:
        _refuse("has a user name with a colon", text)
    if any(byte < 0x20 or byte == 0x7F for byte in user + password):
        _refuse("has a control character in its credentials", text)
    return b"Basic " + b64encode(b"%b:%b" % (user, password))
