"""The session's numbers: plain integers, read by the metrics collector at scrape.

A label set is admitted once and kept for good, so that no series ever goes away
and no sum ever falls; what comes after the bound is counted as ``other``.
"""

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Final

from reuse_proxy.upstream.books import Miss, State
from reuse_proxy.upstream.drain import DrainResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reuse_proxy.http.target import Origin
    from reuse_proxy.upstream.books import OriginPool

OTHER: Final = "other"
SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)
CONNECT_SECONDS: Final = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
REQUESTS: Final = (1, 2, 5, 10, 50, 100, 500, 1000, 5000)
AGE_SECONDS: Final = (1, 5, 10, 30, 60, 120, 300, 600, 1200)


class Histogram:
    """Counts of observations in fixed buckets, upper bounds inclusive."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> "Iterator[tuple[str, int]]":
        """Yield upper bound and cumulative count, as Prometheus wants them."""
        total = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            total += count
            yield str(float(bound)), total
        yield "+Inf", total + self.counts[-1]


class OriginStats:
    """What is counted under one ``origin`` label."""

    __slots__ = (
        "closed",
        "connect_failures",
        "intercepts",
        "label",
        "opened",
        "queue_timeouts",
        "requests",
        "reused",
        "saved",
        "saved_seconds",
        "tunnels_opened",
    )

    def __init__(self, label: str) -> None:
        self.label = label
        self.opened = 0
        self.reused = 0
        self.queue_timeouts = 0
        self.tunnels_opened = 0
        # What the ledger estimates that pooling has saved: dials, and their time.
        self.saved = 0
        self.saved_seconds = 0.0
        self.closed: Counter[str] = Counter()
        self.connect_failures: Counter[str] = Counter()
        self.intercepts: Counter[str] = Counter()
        self.requests: Counter[tuple[int, str]] = Counter()


class SessionStats:
    """What is counted for the whole session."""

    def __init__(self, *, max_origins: int) -> None:
        self.max_origins = max_origins
        self.origins: dict[str, OriginStats] = {}
        # From zero on: Prometheus does not see the first event of a series that begins
        # with it.
        self.misses: Counter[str] = Counter(dict.fromkeys(Miss, 0))
        self.retries: Counter[str] = Counter(ok=0, failed=0)
        self.drains: Counter[str] = Counter(dict.fromkeys(DrainResult, 0))
        self.dns_lookups: Counter[str] = Counter(ok=0, error=0, timeout=0)
        self.denied: Counter[str] = Counter()
        self.drained_bytes = 0
        self.connect_seconds = {
            "dns": Histogram(CONNECT_SECONDS),
            "tcp": Histogram(CONNECT_SECONDS),
            "parent": Histogram(CONNECT_SECONDS),
            "tls": Histogram(CONNECT_SECONDS),
        }
        self.queue_wait_seconds = Histogram(SECONDS)
        self.requests_per_connection = Histogram(REQUESTS)
        self.connection_age_seconds = Histogram(AGE_SECONDS)
        self.request_seconds = {
            "new": Histogram(SECONDS),
            "reused": Histogram(SECONDS),
            "tunnel": Histogram(SECONDS),
        }

    def admit(self, origin: "Origin") -> OriginStats:
        """Return the counters of an origin, or the shared ones past the bound."""
        label = str(origin)
        if label not in self.origins and len(self.origins) >= self.max_origins:
            label = OTHER
        return self.origins.setdefault(label, OriginStats(label))


def count_states(
    labels: "Iterable[str]", pools: "Iterable[OriginPool]"
) -> Counter[tuple[str, ...]]:
    """Count sockets by origin label and state, zeros included."""
    states: Counter[tuple[str, ...]] = Counter()
    for label in labels:
        for state in State:
            if state is not State.CLOSED:
                states[label, state] = 0
    for pool in pools:
        for name, count in pool.states().items():
            states[pool.stats.label, name] += count
    return states
