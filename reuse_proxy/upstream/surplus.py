"""Sockets beyond caps that were lowered by a reload: which are closed, and when.  Pure.

Idle ones go at once, those in use as they are given back: before a waiter gets them, or
a queue would keep them open for good.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from reuse_proxy.upstream.books import Limits, OriginPool


def of_origin(pool: "OriginPool", limits: "Limits") -> int:
    """Return how many sockets of an origin are too many; those closing are on their way."""
    return max(pool.open + pool.dialing - limits.max_per_origin, 0)


def of_all(pools: "Collection[OriginPool]", sockets: int, limits: "Limits") -> int:
    """Return how many of all sockets are too many."""
    closing = sum(pool.closing for pool in pools)
    return max(sockets - closing - limits.max_sockets, 0)


def exceeds(
    pool: "OriginPool", pools: "Collection[OriginPool]", sockets: int, limits: "Limits"
) -> bool:
    """Tell whether a connection of this origin is to be closed when it is given back."""
    return of_origin(pool, limits) > 0 or of_all(pools, sockets, limits) > 0
