"""Who is let in: addresses on the list, so many from one, so many in all."""

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Protocol

from reuse_proxy.downstream.access import is_loopback
from reuse_proxy.errors import AccessDeniedError, ProxyError, UnavailableError

if TYPE_CHECKING:
    from reuse_proxy.downstream.access import AccessList

_EVERYBODY: Final = "*"


class Visitor(Protocol):
    """A client connection, as far as it matters here."""

    @property
    def host(self) -> str | None:
        """Its address; None on a UNIX socket."""

    @property
    def idle_since(self) -> float | None:
        """When it became idle; None while it is served, and once it is closed."""

    def force_close(self) -> None:
        """Close it."""


class ClientLimits:
    """Who may connect, and how many at a time: in all, and from one address."""

    __slots__ = ("access", "max_clients", "max_per_address")

    def __init__(
        self, access: "AccessList", *, max_clients: int, max_per_address: int
    ) -> None:
        self.access = access
        self.max_clients = max_clients
        self.max_per_address = max_per_address


class Admission:
    """Counts clients, and makes room for a new one at the cost of the longest idle.

    Clients on loopback and on UNIX sockets are this machine's own: they share one
    address, and ``max_per_address`` does not apply to them.
    """

    def __init__(self, limits: ClientLimits) -> None:
        self._limits = limits
        self._count = 0
        self._inside: dict[str | None, set[Visitor]] = {}
        # Idle clients, the longest idle last: sorted once for many that are closed.
        self._idle: dict[str | None, list[tuple[float, Visitor]]] = {}

    def configure(self, limits: ClientLimits) -> None:
        """Go by other limits; who is here already is not turned away by that."""
        self._limits = limits

    def allows(self, host: str | None) -> bool:
        """Tell whether a client of this address may be here."""
        return self._limits.access.allows(host)

    def enter(self, client: Visitor) -> ProxyError | None:
        """Count a client in; return why it is turned away, if it is."""
        host, limits = client.host, self._limits
        peers = self._inside.setdefault(host, set())
        peers.add(client)
        self._count += 1
        if not limits.access.allows(host):
            return AccessDeniedError(
                f"The address {host} may not use this proxy (allow_clients)."
            )
        if (
            len(peers) > limits.max_per_address
            and host is not None
            and not is_loopback(host)
            and not self._make_room(host, peers)
        ):
            return UnavailableError(
                f"{limits.max_per_address} clients of {host} are connected and busy "
                "(max_clients_per_address)."
            )
        if self._count > limits.max_clients and not self._make_room(
            _EVERYBODY, itertools.chain.from_iterable(self._inside.values())
        ):
            return UnavailableError(
                f"{limits.max_clients} clients are connected and busy (max_clients)."
            )
        return None

    def leave(self, client: Visitor) -> None:
        """Count a client out."""
        host = client.host
        peers = self._inside[host]
        peers.remove(client)
        self._count -= 1
        if not peers:
            del self._inside[host]
            self._idle.pop(host, None)

    def _make_room(self, key: str, clients: Iterable[Visitor]) -> bool:
        idle = self._idle.get(key)
        if not idle:
            idle = self._idle[key] = [
                (since, client)
                for client in clients
                if (since := client.idle_since) is not None
            ]
            idle.sort(key=lambda pair: pair[0], reverse=True)
        while idle:
            since, client = idle.pop()
            # One that has been served meanwhile is younger than all in the list.
            if client.idle_since == since:
                client.force_close()
                return True
        return False
