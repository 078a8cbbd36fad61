"""Who may use a listener: the peer's address against a list of networks."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Network = IPv4Network | IPv6Network

_MAX_KNOWN: Final = 4096


class AccessList:
    """Allowed networks; loopback is always among them.

    A client on a UNIX socket has no address; the socket's file permissions decide.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)
        self._known: dict[str, bool] = {}

    def allows(self, host: str | None) -> bool:
        """Tell whether a peer may connect; None stands for a UNIX socket's."""
        if host is None:
            return True
        allowed = self._known.get(host)
        if allowed is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            allowed = self._known[host] = self._decide(host)
        return allowed

    def _decide(self, host: str) -> bool:
        address = _address(host)
        return address.is_loopback or any(
            address in network for network in self._networks
        )


def is_loopback(host: str) -> bool:
    """Tell whether a peer is this machine, spoken to by its loopback address."""
    return _address(host).is_loopback


def _address(host: str) -> IPv4Address | IPv6Address:
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
