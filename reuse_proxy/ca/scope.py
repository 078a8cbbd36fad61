"""What a CA may sign for: its name constraints (RFC 5280 section 4.2.1.10); pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, Self

from cryptography import x509

from reuse_proxy.ca.names import Host, Permit

# To no labels, zero or more are added on the left.
_EVERY_NAME: Final = ""
_EVERY_ADDRESS: Final = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


@dataclass(frozen=True, slots=True)
class Scope:
    """The names and networks that are permitted and excluded, as they are spelled.

    Where none is permitted, all are that are not excluded.
    """

    permitted: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    @classmethod
    def of(cls, found: x509.NameConstraints | None) -> Self:
        """Read the constraints of a certificate, if it has any."""
        if found is None:
            return cls()
        return cls(
            _spelled(found.permitted_subtrees), _spelled(found.excluded_subtrees)
        )

    @property
    def exceptions(self) -> tuple[str, ...]:
        """What is excluded, but for all of a kind: see :func:`constraints`."""
        every = {_EVERY_NAME, *map(str, _EVERY_ADDRESS)}
        return tuple(name for name in self.excluded if name not in every)

    def __str__(self) -> str:
        words = f"{', '.join(self.permitted)} only" if self.permitted else "every host"
        if exceptions := ", ".join(self.exceptions):
            words += f", but not for {exceptions}"
        return words


def constraints(permits: Iterable[Permit]) -> x509.NameConstraints:
    """Return constraints that permit the given names and networks and no others.

    A kind of which none is given is excluded: RFC 5280 leaves it unconstrained.
    """
    subtrees = [_subtree(permit) for permit in permits]
    excluded: list[x509.GeneralName] = []
    if not any(isinstance(subtree, x509.DNSName) for subtree in subtrees):
        excluded.append(x509.DNSName(_EVERY_NAME))
    if not any(isinstance(subtree, x509.IPAddress) for subtree in subtrees):
        excluded += [x509.IPAddress(network) for network in _EVERY_ADDRESS]
    return x509.NameConstraints(subtrees, excluded or None)


def covers(constraints: Iterable[str], host: Host) -> bool:
    """Tell whether one of the constraints, as they are spelled, covers a host."""
    if isinstance(host, str):
        return any(
            f".{host}".endswith(f".{name}") or name == _EVERY_NAME
            for name in constraints
        )
    return any(host in network for network in _networks(constraints))


def _spelled(subtrees: Iterable[x509.GeneralName] | None) -> tuple[str, ...]:
    ours = (x509.DNSName, x509.IPAddress)
    found = (str(name.value) for name in subtrees or () if isinstance(name, ours))
    return tuple(name.lstrip(".") for name in found)  # a dot is of other tools


def _networks(permits: Iterable[str]) -> Iterable[IPv4Network | IPv6Network]:
    for text in permits:
        try:
            yield ip_network(text)
        except ValueError:
            continue


def _subtree(permit: Permit) -> x509.GeneralName:
    return x509.DNSName(permit) if isinstance(permit, str) else x509.IPAddress(permit)
