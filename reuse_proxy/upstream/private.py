"""Connections that belong to one client, because they are authenticated.

NTLM and Negotiate authenticate a connection, not a request (RFC 4559 section 6): what
one client has proved must not serve another (requirements S30).
"""

from typing import TYPE_CHECKING, Protocol

from reuse_proxy.http.connect import challenge_schemes
from reuse_proxy.upstream.parent import refused

if TYPE_CHECKING:
    from reuse_proxy.http.target import Origin, ProxyTarget
    from reuse_proxy.upstream.connection import UpstreamConnection
    from reuse_proxy.upstream.head import ResponseHead


class Keeper(Protocol):
    """Whoever lends connections and takes them back: the session."""

    def resume(self, connection: "UpstreamConnection") -> bool:
        """Lease a private connection once more; tell whether it is ready."""

    def close_private(self, connection: "UpstreamConnection") -> None:
        """Discard a connection whose client has left."""


class Client(Protocol):
    """A client, as far as connections can belong to it."""

    private: "PrivateConnections | None"

    @property
    def left(self) -> bool:
        """Whether its own connection is closed."""


class PrivateConnections:
    """The connections of one client, at most one for each origin."""

    __slots__ = ("_closed", "_keeper", "_kept")

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._kept: dict[Origin, UpstreamConnection] = {}
        self._closed = False

    def take(self, origin: "Origin") -> "UpstreamConnection | None":
        """Lease this client's connection to an origin, if it has one that is ready."""
        connection = self._kept.pop(origin, None)
        if connection is None or not self._keeper.resume(connection):
            return None
        return connection

    def keep(self, connection: "UpstreamConnection") -> None:
        """Keep a connection for this client's next request."""
        if self._closed:
            self._keeper.close_private(connection)
            return
        replaced = self._kept.get(connection.pool.origin)
        self._kept[connection.pool.origin] = connection
        if replaced is not None:
            self._keeper.close_private(replaced)

    def close(self) -> None:
        """Let go of all: the client has left."""
        self._closed = True
        for connection in self._kept.values():
            self._keeper.close_private(connection)
        self._kept.clear()

    def __repr__(self) -> str:
        return f"<PrivateConnections {list(map(str, self._kept))}>"


def challenged(head: "ResponseHead", target: "ProxyTarget") -> bool:
    """Tell whether a 401 or 407 makes its connection the client's alone.

    Raises:
        ProxyError: a parent says 407, to us, who have given what we have.
    """
    parent = target.origin.parent
    if head.status == 407 and parent is not None:
        schemes = challenge_schemes(head.fields.proxy_challenges)
        raise refused(parent, "a request", 407, schemes)
    return head.fields.bound


def connections_of(client: Client, keeper: Keeper) -> PrivateConnections:
    """Return what belongs to a client; nothing can, once it has left."""
    if client.private is None:
        client.private = PrivateConnections(keeper)
        if client.left:
            client.private.close()
    return client.private
