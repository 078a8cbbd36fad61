"""Why a request gets no connection: the sentences of the pool's decisions."""

from typing import TYPE_CHECKING

from reuse_proxy.errors import UnavailableError

if TYPE_CHECKING:
    from reuse_proxy.upstream.books import OriginPool


def queue_full(pool: "OriginPool") -> UnavailableError:
    """Return the answer to a request for which there is no place in the queue."""
    return UnavailableError(
        f"{pool.origin} can have no more connections (max_per_origin, max_sockets), "
        f"and {len(pool.waiters)} requests wait for one already (max_queue)."
    )


def waited_too_long(
    pool: "OriginPool", seconds: float, sockets: int
) -> UnavailableError:
    """Return the answer to a request that has waited in vain.

    Args:
        pool: the origin's.
        seconds: how long it might have waited.
        sockets: how many are open to all origins.
    """
    why = f" The last dial failed: {pool.last_failure}" if pool.last_failure else ""
    return UnavailableError(
        f"No connection to {pool.origin} became free within {seconds:g} s "
        f"(queue_timeout); {pool.open} of its own and {sockets} in all are open "
        f"(max_per_origin, max_sockets).{why}"
    )
