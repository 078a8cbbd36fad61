"""Which origin has the better claim to a socket where the global cap is reached: pure.

No origin starves, and where all are served alike, nobody's connection is taken away.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reuse_proxy.upstream.books import OriginPool


def owed(pool: "OriginPool", starved: "Iterable[OriginPool]") -> bool:
    """Tell whether another origin has the better claim to a socket of this one.

    It has if its oldest waiter came first, or nobody waits here, and it has
    fewer sockets; so no origin starves, and equal shares are left alone.
    """
    for other in starved:
        if other is pool or not other.waiters:
            continue
        if not pool.waiters:
            return True
        older = other.waiters[0].since < pool.waiters[0].since
        if older and other.sockets < pool.sockets:
            return True
    return False


def enough_closing(
    pools: "Iterable[OriginPool]", starved: "Iterable[OriginPool]"
) -> bool:
    """Tell whether enough sockets are on their way out for those who starve."""
    closing = sum(pool.closing for pool in pools)
    return closing >= sum(len(pool.waiters) for pool in starved)


def oldest_first(starved: "Iterable[OriginPool]") -> "list[OriginPool]":
    """Put those who starve in the order of their oldest waiters."""
    return sorted(starved, key=_since)


def _since(pool: "OriginPool") -> float:
    return pool.waiters[0].since if pool.waiters else float("inf")
