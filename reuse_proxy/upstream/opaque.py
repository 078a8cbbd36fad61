"""A connection for a tunnel, until the tunnel takes it over."""

from typing import TYPE_CHECKING, Final

from reuse_proxy.http.target import PARENT, TUNNEL
from reuse_proxy.upstream.connection import UpstreamConnection
from reuse_proxy.upstream.refusals import REFUSED_OF_PARENT

if TYPE_CHECKING:
    import asyncio

    from reuse_proxy.upstream.books import OriginPool
    from reuse_proxy.upstream.roles import ConnectionOwner

# For how long one is kept whose client has left before it was connected: another
# client's tunnel may begin on it, but it must not be older than it looks.
_UNCLAIMED_S: Final = 1.0


class OpaqueConnection(UpstreamConnection):
    """Keeps what the origin says first: it is the tunnel's, whatever it means."""

    __slots__ = ()

    @property
    def idle_limit(self) -> float:
        """For how long it may wait to be claimed, in seconds.

        Not at all once its origin has closed it or spoken, and may have closed behind.
        """
        return 0.0 if self.ended or self.response.behind else _UNCLAIMED_S

    def data_received(self, data: bytes) -> None:
        """Keep bytes, and no more than one read of them."""
        self.response.behind += data
        if self.reading and self._transport is not None:
            self.reading = False
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Keep the connection open: the other direction is."""
        self.ended = True
        return True


def connection_for(
    pool: "OriginPool", owner: "ConnectionOwner", *, loop: "asyncio.AbstractEventLoop"
) -> UpstreamConnection:
    """Make what an origin's kind of connection needs."""
    scheme = pool.origin.scheme
    kind = OpaqueConnection if scheme == TUNNEL else UpstreamConnection
    connection = kind(pool, owner, loop=loop)
    if scheme == PARENT:
        connection.response.refused = REFUSED_OF_PARENT
    return connection
