"""How long things last: pure rules of time over the pool's books.

When a connection is too old for a request, what an origin has taught us about its
idle time, how long a dial is patient, how long an origin is remembered.
"""

from typing import TYPE_CHECKING, Final

from reuse_proxy.upstream.books import (
    CloseReason,
    Limits,
    OriginPool,
    Poolable,
    State,
    Waiter,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_PRIVATE_REST_S: Final = 1.0
_RESTING: Final = (State.IDLE, State.PRIVATE)
_LEARNED_SHARE: Final = 0.8
# A close after less than this is no idle timeout, which servers count in seconds: a
# restart, or a cap on requests per connection, must not end reuse for minutes.
_IDLE_CLOSE_S: Final = 1.0
# An origin without sockets is remembered for what was learned of it: briefly where
# that is nothing, and not at all while there are more than so many.
_REMEMBERED_UNSEEN_S: Final = 1.0
MAX_REMEMBERED: Final = 10_000
# A pool that was opened at once is renewed over this share of the lifetime.
_RENEWAL_SHARE: Final = 0.1


class Ages:
    """The rules of time under given limits; all times are in seconds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    # Learn...

    def learn_idle_close(self, connection: Poolable, now: float) -> None:
        """Note that the origin closed a connection that was idle (design D10)."""
        pool = connection.pool
        idle = now - connection.idle_since
        if idle < _IDLE_CLOSE_S:
            return
        pool.learned_idle_limit = min(pool.learned_idle_limit, _LEARNED_SHARE * idle)
        pool.learned_at = now

    def learn_connect(self, pool: OriginPool, seconds: float) -> None:
        """Note how long a TCP connect took; the mean leans to the newest."""
        mean = pool.connect_seconds
        pool.connect_seconds = seconds if mean is None else mean + (seconds - mean) / 4

    # Judge...

    def is_forgotten(self, pool: OriginPool, now: float, *, crowded: bool) -> bool:
        """Tell once a second whether an origin is out of mind, or what it has taught."""
        if now - pool.learned_at > self._limits.max_lifetime:
            pool.learned_idle_limit = float("inf")
        if pool.sockets or pool.waiters or pool.tunnels:
            pool.used_at = now
            return False
        seen = pool.last_close is not None or pool.failures > 0
        memory = self._limits.max_lifetime if seen else _REMEMBERED_UNSEEN_S
        return crowded or now - pool.used_at > memory

    def idle_limit(self, pool: OriginPool, connection: Poolable) -> float:
        """Return for how many seconds a connection may be idle."""
        return min(
            self._limits.idle_timeout, pool.learned_idle_limit, connection.idle_limit
        )

    def expired(self, connection: Poolable, now: float) -> CloseReason | None:
        """Tell whether a connection that carries no lease is to be closed by time."""
        pool = connection.pool
        if now >= connection.expires_at:
            spacing = self._limits.max_lifetime * _RENEWAL_SHARE / max(pool.open, 1)
            if now - pool.renewed_at >= spacing:
                pool.renewed_at = now
                return CloseReason.EXPIRED_AGE
        if (
            connection.state in _RESTING
            and now - connection.idle_since >= self.idle_limit(pool, connection)
        ):
            return CloseReason.EXPIRED_IDLE
        return None

    def dispensable(self, pools: "Iterable[OriginPool]", now: float) -> Poolable | None:
        """Return the private connection that has rested longest, if for a second.

        Its client authenticates anew; amid that it does not rest for so long.
        """
        resting = [c for pool in pools for c in pool.private]
        oldest = min(resting, key=lambda c: c.idle_since, default=None)
        if oldest is None or now - oldest.idle_since < _PRIVATE_REST_S:
            return None
        return oldest

    def _patience(self, pool: OriginPool) -> float:
        patience = self._limits.dial_patience
        if patience is not None:
            return patience
        return min(max((pool.connect_seconds or 0.0) / 2, 0.002), 0.05)

    def dial_time(self, pool: OriginPool, waiter: Waiter) -> float:
        """Return when a waiter may have a dial: later where one may become free."""
        if pool.active or pool.draining:
            return max(waiter.since + self._patience(pool), pool.dial_at)
        return pool.dial_at if pool.open else 0.0
