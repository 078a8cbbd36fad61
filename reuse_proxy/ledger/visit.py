"""One connection of a client, and what it adds to an account.

The request path calls :meth:`Visit.note` once for each exchange; everything else
happens once for each connection.
"""

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from reuse_proxy.http.target import Origin
    from reuse_proxy.ledger.account import Account
    from reuse_proxy.upstream.books import OriginPool

# A tunnel that ends so soon was not kept in order to be used again.
SOON_S: Final = 5.0
# Origins that one connection is remembered to have asked: past it nothing is saved.
_MAX_ORIGINS: Final = 64


class Served(Protocol):
    """An exchange that is over, as far as it matters here.

    ``origin_pool`` is None if it never got a connection.
    """

    origin_pool: "OriginPool | None"
    reused: bool
    miss: str


class Traffic(Protocol):
    """Bytes of a client connection so far."""

    written: int
    received: int


class Visit:
    """A client connection's page in the ledger.

    Attributes:
        account: whose requests it carries now.
        owner: who opened it.
        credentials: how the client named itself, as it was sent.
        requests: how many it has carried; counted as they begin.
        left: the client has left an exchange, which is counted.
        gone_in: in which phase of an exchange it closed its sending side.
        over: it has stalled or become a tunnel: its end says no more of the client.
    """

    __slots__ = (
        "_origin",
        "_origins",
        "_received",
        "_sent",
        "account",
        "credentials",
        "gone_in",
        "left",
        "over",
        "owner",
        "requests",
    )

    def __init__(self, account: "Account", credentials: bytes | None) -> None:
        self.account = self.owner = account
        self.credentials = credentials
        self.requests = 0
        self.left = self.over = False
        self.gone_in = ""
        self._sent = self._received = 0
        self._origin: Origin | None = None
        # The origins before that one; most connections ask only one.
        self._origins: set[Origin] | None = None

    def note(self, exchange: Served, traffic: Traffic, closing: bool) -> None:  # noqa: FBT001 - keywords are slower
        """Count an exchange that is over, however it went.

        Args:
            exchange: how it was served.
            traffic: of this connection.
            closing: the request carried ``Connection: close``.
        """
        account = self.account
        account.requests += 1
        if closing:
            account.close_requests += 1
        self.note_traffic(traffic)
        pool = exchange.origin_pool
        if pool is None:
            return
        if exchange.reused:
            account.upstream_reused += 1
        else:
            account.upstream_opened += 1
            account.misses[exchange.miss or "queued"] += 1
        if pool.origin is not self._origin:
            self._note_origin(pool, reused=exchange.reused)

    def note_traffic(self, traffic: Traffic) -> None:
        """Count the bytes that have moved since this was called last."""
        account = self.account
        account.sent += traffic.written - self._sent
        account.received += traffic.received - self._received
        self._sent, self._received = traffic.written, traffic.received

    def aborted(self, phase: str) -> None:
        """Count an exchange that the client left before its end."""
        if not self.over:
            self.left = True
            self.account.aborts[phase] += 1

    def stalled(self) -> None:
        """Count that this connection is reset because its client does not read."""
        self.over = True
        self.account.stalls += 1

    def tunnelled(self, pool: "OriginPool", seconds: float) -> None:
        """Count a tunnel that has ended, and how long it lasted."""
        account = self.account
        self.over = True
        account.upstream_opened += 1
        account.misses["tunnel"] += 1
        account.note_tunnel(pool.stats.label, short=seconds < SOON_S)

    def _note_origin(self, pool: "OriginPool", *, reused: bool) -> None:
        """Estimate what pooling saved: without it, this would have been a dial.

        A lower bound: a client that reads its responses would have used each of its
        connections again, and so is given one for each origin.
        """
        before, self._origin = self._origin, pool.origin
        if before is not None and not self._remember(before, pool.origin):
            return
        if reused:
            seconds = pool.connect_seconds or 0.0
            for counted in (self.account, pool.stats):
                counted.saved += 1
                counted.saved_seconds += seconds

    def _remember(self, before: "Origin", origin: "Origin") -> bool:
        """Remember another origin; tell whether it is a new one, within the bound."""
        known = self._origins
        if known is None:
            known = self._origins = set()
        known.add(before)
        return origin not in known and len(known) < _MAX_ORIGINS

    def __repr__(self) -> str:
        return f"<Visit of {self.owner.name!r} requests={self.requests}>"
