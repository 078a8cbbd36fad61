"""The book of all clients: bounded, and no sum in it ever falls.

So many clients have accounts of their own.  Past that, the one that was seen longest
ago makes room, and what it had is added to ``other``.  The first few are named in
metrics and stay for good: a series that went away would let a sum fall.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from reuse_proxy.ledger.account import Account
from reuse_proxy.ledger.identity import OTHER
from reuse_proxy.ledger.visit import SOON_S, Visit
from reuse_proxy.upstream.stats import REQUESTS, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reuse_proxy.ledger.identity import Identity
    from reuse_proxy.ledger.visit import Traffic

# How many accounts of connected clients are passed over in search of one to give up.
_MAX_PASSED: Final = 16


class Ledger:
    """Accounts by name."""

    def __init__(self, *, max_clients: int, max_labels: int) -> None:
        self._max_clients = max_clients
        self._labels = max_labels
        # Named in metrics: kept.  The others, the one seen longest ago first.
        self._named: dict[str, Account] = {}
        self._unnamed: OrderedDict[str, Account] = OrderedDict()
        self.other = Account(OTHER, product="", label=OTHER)
        self.merged = 0
        self.requests_per_connection = Histogram(REQUESTS)

    # A connection's life...

    def enter(
        self, identity: "Identity", *, now: float, credentials: bytes | None = None
    ) -> Visit:
        """Open a page for a new connection of a client."""
        account = self.account(identity)
        account.connections += 1
        account.open += 1
        account.opened_at = now
        return Visit(account, credentials)

    def rename(self, visit: Visit, identity: "Identity", *, credentials: bytes) -> None:
        """Count further requests of a connection for another client.

        As when a proxy in front of us shares its connections: the connection itself
        stays with the first.
        """
        visit.account = self.account(identity)
        visit.credentials = credentials

    def leave(
        self,
        visit: Visit,
        traffic: "Traffic",
        *,
        now: float,
        idle_since: float | None,
        unread: bool,
    ) -> None:
        """Close the page of a connection.

        Args:
            visit: the page.
            traffic: of that connection.
            now: the time, in seconds of the loop.
            idle_since: when its last response was done; None in the middle of one.
            unread: the client has closed it without having read all.
        """
        account = visit.owner
        account.open -= 1
        visit.note_traffic(traffic)
        if not visit.requests:
            return
        account.ended += 1
        self.requests_per_connection.observe(visit.requests)
        if visit.over:
            return
        if unread and idle_since is not None and not visit.left:
            account.unread += 1
        if visit.requests == 1 and _is_single_use(account, now, idle_since):
            account.single_use += 1

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
        """Add to ``other`` the account that was seen longest ago, if it can be."""
        for _ in range(min(_MAX_PASSED, len(self._unnamed))):
            name, account = next(iter(self._unnamed.items()))
            if not account.open:
                del self._unnamed[name]
                self.other.absorb(account)
                self.merged += 1
                return True
            self._unnamed.move_to_end(name)
        return False

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


def _is_single_use(account: Account, now: float, idle_since: float | None) -> bool:
    """Tell whether a connection with one request was not kept for another.

    1. It ended in the middle of its response.
    2. It was closed soon after it.
    3. It lay idle while its client opened another one.
    """
    if idle_since is None or now - idle_since < SOON_S:
        return True
    return account.opened_at > idle_since
