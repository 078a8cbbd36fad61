"""Who an upstream connection talks to: its owner, and whoever uses it."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from reuse_proxy.outbox import Outbox
    from reuse_proxy.upstream.books import CloseReason
    from reuse_proxy.upstream.connection import UpstreamConnection


class Listener(Protocol):
    """Who is called when something has come, instead of awaiting it."""

    def arrived(self) -> None:
        """Something has come, or the connection has failed."""


class ConnectionOwner(Protocol):
    """Who hears of a connection's fate while no exchange uses it.

    ``outbox`` is where requests wait for the end of the turn.
    """

    outbox: "Outbox"

    def connection_broken(
        self, connection: "UpstreamConnection", reason: "CloseReason"
    ) -> None:
        """A connection was closed by its origin, or sent bytes, with nothing asked."""

    def connection_gone(self, connection: "UpstreamConnection") -> None:
        """The operating system has closed the socket."""
