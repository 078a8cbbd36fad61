"""One ledger and one report, of what several workers have counted.

A client whose connections are spread over workers is judged once, by all of them.
"""

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from reuse_proxy.ledger.identity import OTHER, Identity
from reuse_proxy.ledger.ledger import Ledger
from reuse_proxy.upstream.stats import OriginStats, SessionStats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reuse_proxy.workers.tally import Labels, Tally

# What a report says of an origin, and the metric that tells it.
_COUNTS: Final = {
    "opened": "upstream_connections_opened",
    "reused": "upstream_connections_reused",
    "tunnels_opened": "tunnels_opened",
    "saved": "estimated_connections_saved",
}


def add_clients(
    ledger: Ledger, state: "Mapping[str, Any]", *, labels: "Labels", ended: bool
) -> None:
    """Add the accounts of a process to a ledger whose own labels are none."""
    for plain in state["clients"]:
        name = plain["name"]
        if name == OTHER:
            account = ledger.other
        else:
            account = ledger.account(Identity(name, plain["product"]))
        account.add_plain(plain)
        if ended:
            account.open -= plain["sums"]["open"]
        if account is not ledger.other and plain["label"] != OTHER:
            account.label = labels.admit(plain["label"])
    ledger.merged += state["merged"]


class SummedSession:
    """What a report reads off a session, of several."""

    def __init__(self, clock: "Callable[[], float]") -> None:
        self.clock = clock
        self.stats = SessionStats(max_origins=0)
        self._states: Counter[tuple[str, ...]] = Counter()

    def states(self) -> Counter[tuple[str, ...]]:
        """Count sockets by origin label and state."""
        return self._states

    def read(self, tally: "Tally") -> None:
        """Go by these sums."""
        origins: dict[str, OriginStats] = {}

        def rows(name: str) -> "Iterable[tuple[OriginStats, dict[str, str], float]]":
            for labels, value in tally.rows(name):
                label = labels["origin"]
                stats = origins.setdefault(label, OriginStats(label))
                yield stats, labels, value

        for attribute, name in _COUNTS.items():
            for stats, _, value in rows(name):
                setattr(stats, attribute, int(value))
        for stats, _, value in rows("estimated_handshake_seconds_saved"):
            stats.saved_seconds = value
        for stats, labels, value in rows("upstream_connect_failures"):
            stats.connect_failures[labels["error"]] = int(value)
        for stats, labels, value in rows("requests"):
            status_class = int(labels["code_class"][0])
            stats.requests[status_class, labels["via"]] = int(value)
        self._states = Counter(
            {
                (stats.label, labels["state"]): int(value)
                for stats, labels, value in rows("upstream_connections")
            }
        )
        self.stats.origins = origins
