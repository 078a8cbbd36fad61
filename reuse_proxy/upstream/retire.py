"""Letting go of connections that may serve no more, whatever they are doing."""

from typing import TYPE_CHECKING, Final

from reuse_proxy.http.target import PARENT
from reuse_proxy.upstream.books import CloseReason, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from reuse_proxy.http.target import Origin
    from reuse_proxy.upstream.connection import UpstreamConnection
    from reuse_proxy.upstream.dns import Addresses
    from reuse_proxy.upstream.policy import DestinationPolicy

    # Why a connection may serve no more; None if it may.
    ReasonOf = Callable[[UpstreamConnection], CloseReason | None]

# Nothing but its end would tell what becomes of a tunnel.
_ENDED_AT_ONCE: Final = (State.IDLE, State.PRIVATE, State.TUNNEL)


def retire(
    connections: "Iterable[UpstreamConnection]", reason_of: "ReasonOf"
) -> "Iterator[tuple[UpstreamConnection, CloseReason]]":
    """Yield which are to be discarded now; those amid an exchange go at its end."""
    for connection in connections:
        reason = reason_of(connection)
        if reason is None:
            continue
        if connection.state in _ENDED_AT_ONCE:
            yield connection, reason
        else:
            connection.retire = reason


def vanished(host: str, addresses: "Addresses") -> "ReasonOf":
    """Object to connections to addresses that a name no longer has; not to tunnels."""

    def reason_of(connection: "UpstreamConnection") -> CloseReason | None:
        dialled, _ = connection.pool.origin.next_hop
        if dialled != host or connection.state is State.TUNNEL:
            return None
        known = connection.address[0] in addresses
        return None if known else CloseReason.DNS_CHANGE

    return reason_of


class Objections:
    """What a reload objects to: to open connections now, to others after their dial."""

    def __init__(self) -> None:
        self._reason_of: ReasonOf = lambda _: None
        self._since = float("-inf")

    def renew(
        self, policy: "DestinationPolicy", now: float, *, verify_anew: bool
    ) -> "ReasonOf":
        """Object from now on, in seconds of the loop's clock; return to what."""
        self._since = now
        self._reason_of = _objectionable(policy, verify_anew=verify_anew)
        return self._reason_of

    def to(self, connection: "UpstreamConnection", began: float) -> CloseReason | None:
        """Judge a connection whose dial began at a time, and went by what was then."""
        return self._reason_of(connection) if began <= self._since else None


def _objectionable(policy: "DestinationPolicy", *, verify_anew: bool) -> "ReasonOf":
    """Object to what the policy denies, and to TLS if that is to be verified anew."""

    def reason_of(connection: "UpstreamConnection") -> CloseReason | None:
        origin = connection.pool.origin
        if _denied(policy, connection, origin):
            return CloseReason.POLICY
        https = origin.scheme == "https"
        return CloseReason.RELOAD if verify_anew and https else None

    return reason_of


def _denied(
    policy: "DestinationPolicy", connection: "UpstreamConnection", origin: "Origin"
) -> bool:
    """Tell whether a connection leads where the policy does not let it."""
    if origin.parent is None:
        return policy.violation(*connection.address[:2]) is not None
    # As with a new one: what is behind the parent counts, and not where that is.
    behind = origin.scheme != PARENT
    return behind and policy.unresolved(origin.host, origin.port) is not None
