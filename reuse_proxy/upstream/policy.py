"""Which addresses and ports may be connected to.

The rules look at the address that is really dialled, after name resolution, so no
spelling of an address and no change of a name's records gets around them.
"""

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

from reuse_proxy.errors import AccessDeniedError, ProxyError
from reuse_proxy.upstream.dns import is_address

Network = IPv4Network | IPv6Network
IPAddress = IPv4Address | IPv6Address

# No top-level domain is a number (RFC 3696 section 2); C's inet_aton reads these.
_NUMERIC: Final = re.compile(r"(.*\.)?(\d+|0[xX][0-9A-Fa-f]*)", re.ASCII)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_TEREDO: Final = IPv6Network("2001::/32")
_PRIVATE: Final = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    )
)


@dataclass(frozen=True, slots=True)
class DestinationPolicy:
    """The rules for destinations; ``own_ports`` are those of our own listeners."""

    deny: Sequence[Network] = ()
    deny_private: bool = False
    deny_ports: frozenset[int] = frozenset()
    own_ports: Callable[[], frozenset[int]] = frozenset

    def violation(self, host: str, port: int) -> tuple[str, ProxyError] | None:
        """Return the rule that an address breaks, with the error for the client."""
        denied_port = self._denied_port(port)
        if denied_port is not None:
            return denied_port
        faces = _faces(ip_address(host))
        if any(face in network for face in faces for network in self.deny):
            return "deny_destinations", AccessDeniedError(
                f"The address {host} may not be connected to (deny_destinations).",
                error="destination_ip_prohibited",
            )
        if self.deny_private and any(
            face in network for face in faces for network in _PRIVATE
        ):
            return "deny_private", AccessDeniedError(
                f"The address {host} is private (deny_private).",
                error="destination_ip_prohibited",
            )
        return self._loop(host, port)

    def parent_violation(self, host: str, port: int) -> tuple[str, ProxyError] | None:
        """Return the one rule that a parent's address can break: it is not ourselves."""
        return self._loop(host, port, " (parent_proxy)")

    def unresolved(self, host: str, port: int) -> tuple[str, ProxyError] | None:
        """Return the rule that a host breaks which a parent is to look up.

        Of a name there is no address here; of an address in an odd spelling, such as
        127.1, nobody knows what the parent takes it for.
        """
        if is_address(host):
            return self.violation(host, port)
        if _NUMERIC.fullmatch(host):
            return "deny_destinations", AccessDeniedError(
                f"{host} is an address in a spelling that cannot be checked"
                " (deny_destinations); write it in full.",
                error="destination_ip_prohibited",
            )
        return self._denied_port(port)

    def _loop(
        self, host: str, port: int, setting: str = ""
    ) -> tuple[str, ProxyError] | None:
        faces = _faces(ip_address(host))
        if port in self.own_ports() and any(map(_is_ours, faces)):
            return "self", AccessDeniedError(
                f"{host} port {port} is this proxy itself{setting}.",
                error="proxy_loop_detected",
            )
        return None

    def _denied_port(self, port: int) -> tuple[str, ProxyError] | None:
        if port not in self.deny_ports:
            return None
        return "deny_ports", AccessDeniedError(
            f"Port {port} belongs to another protocol (deny_ports)."
        )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, whoever is asked (RFC 6761 section 6.3)."""
    if is_address(host):
        faces = _faces(ip_address(host))
        return any(face.is_loopback or face.is_unspecified for face in faces)
    return host == "localhost" or host.endswith(".localhost")


def _faces(address: IPAddress) -> list[IPAddress]:
    """Return an address with the IPv4 address that its IPv6 form embeds."""
    if isinstance(address, IPv4Address):
        return [address]
    faces: list[IPAddress] = [address]
    if address.ipv4_mapped is not None:
        faces.append(address.ipv4_mapped)
    if address.sixtofour is not None:
        faces.append(address.sixtofour)
    if address in _NAT64:
        faces.append(IPv4Address(int(address) & 0xFFFFFFFF))
    if address.teredo is not None and address in _TEREDO:
        faces.extend(address.teredo)
    return faces


def _is_ours(address: IPAddress) -> bool:
    """Tell whether an address is one of this machine's: then it can be bound."""
    if address.is_unspecified or address.is_loopback:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
