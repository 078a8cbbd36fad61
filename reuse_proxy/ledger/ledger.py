"""The book of all clients: bounded, and no sum in it ever falls.

So many clients have accounts of their own.  Past that, one that was seen long ago and
asked for little makes room, and what it had is added to ``other``.  The first few are named in
metrics and stay for good: a series that went away would let a sum fall.
"""

from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from reuse_proxy.ledger.account import Account
from reuse_proxy.ledger.identity import OTHER
from reuse_proxy.ledger.visit import Visit
from reuse_proxy.upstream.stats import REQUESTS, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reuse_proxy.ledger.identity import Identity
    from reuse_proxy.ledger.visit import Traffic

# Among so many that were seen longest ago, the one that asked least makes room.
_MAX_COMPARED: Final = 16
_MANY_IDLE: Final = 20


class End(NamedTuple):
    """How a client connection has ended; times in seconds of the loop.

    Args:
        at: when.
        idle_since: when its last response was done; None in the middle of one.
        ours: we have ended it, and not because the client has asked for that.
        broken: it ended with an error, as where not all was read that we had sent.
    """

    at: float
    idle_since: float | None
    ours: bool
    broken: bool


class Ledger:
    """Accounts by name."""

    def __init__(self, *, max_clients: int, max_labels: int) -> None:
        self.configure(max_clients=max_clients, max_labels=max_labels)
        # Named in metrics: kept.  The others, the one seen longest ago first.
        self._named: dict[str, Account] = {}
        self._unnamed: OrderedDict[str, Account] = OrderedDict()
        self.other = Account(OTHER, product="", label=OTHER)
        self.merged = 0
        self.requests_per_connection = Histogram(REQUESTS)

    def configure(self, *, max_clients: int, max_labels: int) -> None:
        """Set how many accounts there may be, and labels; what there is stays."""
        self._max_clients = max_clients
        self._labels = max_labels

    # A connection's life...

    def enter(
        self, identity: "Identity", *, now: float, credentials: bytes | None = None
    ) -> Visit:
        """Open a page for a new connection of a client."""
        account = self.account(identity)
        account.opened(now)
        return Visit(account, credentials)

    def rename(self, visit: Visit, identity: "Identity", *, credentials: bytes) -> None:
        """Count further requests of a connection for another client.

        As when a proxy in front of us shares its connections: the connection itself
        stays with the first.
        """
        visit.account = self.account(identity)
        visit.credentials = credentials

    def leave(self, visit: Visit, traffic: "Traffic", end: End) -> None:
        """Close the page of a connection, by how it has ended."""
        account = visit.owner
        account.open -= 1
        visit.note_traffic(traffic)
        if not visit.requests:
            return
        self.requests_per_connection.observe(visit.requests)
        if visit.over:
            return
        if end.broken and visit.gone_in:
            visit.aborted(visit.gone_in)
        elif end.broken and end.idle_since is not None and not visit.left:
            account.unread += 1
        if end.idle_since is not None and not visit.left:
            _note_reuse(account, end, end.idle_since)

    # Accounts...

    def account(self, identity: "Identity") -> Account:
        """Return a client's account; past the bound that of all others."""
        name = identity.name
        account = self._named.get(name)
        if account is not None:
            return account
        account = self._unnamed.get(name)
        if account is not None:
            self._unnamed.move_to_end(name)
            return account
        if len(self._named) < self._labels:
            account = Account(name, product=identity.product, label=name)
            self._named[name] = account
            return account
        if len(self) >= self._max_clients and not self._make_room():
            return self.other
        account = Account(name, product=identity.product, label=OTHER)
        self._unnamed[name] = account
        return account

    def _make_room(self) -> bool:
        """Add one account to ``other``, if there is one whose client is not connected.

        Not simply the oldest: a leak must not be forgotten for clients that come once.
        """
        oldest = list(islice(self._unnamed.values(), _MAX_COMPARED))
        idle = [account for account in oldest if not account.open]
        if not idle:
            for account in oldest:
                self._unnamed.move_to_end(account.name)
            return False
        least = min(idle, key=lambda account: account.requests + account.tunnels)
        del self._unnamed[least.name]
        self.other.absorb(least)
        self.merged += 1
        return True

    def accounts(self) -> "Iterator[Account]":
        """Yield every account; that of all others last, if it has anything."""
        yield from self._named.values()
        yield from self._unnamed.values()
        if self.other.connections:
            yield self.other

    def __len__(self) -> int:
        return len(self._named) + len(self._unnamed)

    def __repr__(self) -> str:
        return f"<Ledger {len(self)} clients, {self.merged} merged>"


def _note_reuse(account: Account, end: End, idle_since: float) -> None:
    """Tell whether a connection that could have been used again was.

    1. It lay idle while its client opened another one, which was needless.
       Several processes may share an account, each with one that rests until we end
       it: that is a leak only where there are many.
    2. Its client has closed it: the next one that it opens soon is needless.
    """
    if account.opened_at > idle_since and (not end.ours or account.open >= _MANY_IDLE):
        account.needless += 1
    elif not end.ours:
        account.gave_up(end.at)
