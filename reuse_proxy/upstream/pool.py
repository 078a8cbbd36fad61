"""Pure pool decisions: who gets which connection, what to dial, what to close.

Nothing here awaits, reads a clock or touches a socket.  Every method that changes
the books is synchronous and returns the actions that follow from it; the session
carries them out.  A method is given the time, in seconds of the loop's clock.

One :class:`Pool` holds all origins, because the cap on sockets is global.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from reuse_proxy.http.target import TUNNEL
from reuse_proxy.upstream import surplus
from reuse_proxy.upstream.ages import MAX_REMEMBERED, Ages
from reuse_proxy.upstream.books import (
    Action,
    Close,
    CloseReason,
    Dial,
    Grant,
    Limits,
    Miss,
    OriginPool,
    Poolable,
    Recheck,
    State,
    Waiter,
)
from reuse_proxy.upstream.breaker import Breaker
from reuse_proxy.upstream.fairness import enough_closing, oldest_first, owed
from reuse_proxy.upstream.refusals import queue_full, waited_too_long

if TYPE_CHECKING:
    from reuse_proxy.http.target import Origin

# Looked up once: an enumeration's members are descriptors on Python 3.11.
_ACTIVE: Final = State.ACTIVE
_IDLE: Final = State.IDLE
_CLOSED: Final = State.CLOSED
# Between failed dials while other connections of the origin may still serve.
_DIAL_BACKOFF_S: Final = 1.0


class Pool:
    """The books of all origins under one cap."""

    def __init__(self, limits: Limits) -> None:
        self.origins: dict[Origin, OriginPool] = {}
        self.sockets = 0
        self.configure(limits)
        # Least recently used first; eviction takes from the front.
        self._idle: OrderedDict[Poolable, None] = OrderedDict()
        # Pools whose waiters need a socket that the global cap denies.
        self._starved: dict[OriginPool, None] = {}

    def configure(self, limits: Limits) -> None:
        """Go by other limits from now on; what is too many is closed when it is free."""
        self._limits = limits
        self._shrinking = self.sockets > 0  # until a sweep finds nothing beyond
        self.ages = Ages(limits)
        self.breaker = Breaker(limits)

    # Acquire...

    def take(self, pool: OriginPool, now: float, max_idle: float) -> Poolable | None:
        """Lease the newest idle connection, unless others wait or it is too old."""
        if pool.waiters or not pool.idle:
            return None
        connection = pool.idle[-1]
        idle = now - connection.idle_since
        if (
            idle >= max_idle
            or idle >= self._limits.idle_timeout
            or idle >= pool.learned_idle_limit
            or idle >= connection.idle_limit
        ):
            return None
        self._activate(connection)
        return connection

    def miss(self, pool: OriginPool) -> str:
        """Tell why :meth:`take` has nothing to give; read before queueing."""
        if pool.origin.scheme == TUNNEL:
            return Miss.TUNNEL
        if pool.idle:
            return Miss.UNSAFE_METHOD
        if pool.active or pool.draining or pool.dialing:
            return Miss.BUSY
        return pool.last_close or Miss.FIRST

    def enqueue(self, waiter: Waiter, *, first: bool = False) -> None:
        """Add a waiter, at the front where it has been served and failed.

        Raises:
            UnavailableError: the queue is full; who can have a dial is not in it.
        """
        pool = waiter.pool
        if first:
            pool.waiters.appendleft(waiter)
            return
        limits = self._limits
        here = limits.max_per_origin - pool.sockets + len(pool.idle)
        anywhere = limits.max_sockets - self.sockets + len(self._idle)
        places = max(min(here, anywhere), 0) + pool.dialing
        if len(pool.waiters) >= limits.max_queue + places:
            raise queue_full(pool)
        pool.waiters.append(waiter)

    def leave(self, waiter: Waiter, now: float) -> list[Action]:
        """Take back a waiter whose request is gone; what it was given goes on."""
        if waiter.connection is not None:
            connection, waiter.connection = waiter.connection, None
            return self.release(connection, now)
        if waiter in waiter.pool.waiters:
            waiter.pool.waiters.remove(waiter)
        return []

    # Dial...

    def assign(self, pool: OriginPool, now: float) -> list[Action]:
        """Decide for every waiter without a connection: serve, dial, or wait on.

        1. An idle connection that is fresh enough serves the oldest waiter.
        2. A waiter that has no dial of its own gets one, after the dial patience
           where a connection is about to be free, within both caps.
        3. At the global cap the least recently used idle connection makes room;
           where there is none, the pool starves until a socket is given back.
        4. Where dials have failed in a row and nothing is open, nobody waits.
        """
        actions: list[Action] = []
        self._serve_idle(pool, now, actions)
        while len(pool.waiters) > pool.dialing and self.breaker.allows(pool, now):
            waiter = pool.waiters[pool.dialing]
            at = self.ages.dial_time(pool, waiter)
            if at > now:
                if pool.recheck_at <= now or at < pool.recheck_at:
                    pool.recheck_at = at
                    actions.append(Recheck(pool, at))
                break
            if not self._make_room(pool, now, actions):
                break
            pool.dialing += 1
            self.sockets += 1
            actions.append(Dial(pool))
        if pool.failures and self.breaker.refuses(pool, now):
            self._refuse_all(pool, now, actions)
        if not pool.waiters:
            self._starved.pop(pool, None)
        return actions

    def dialed(self, connection: Poolable, now: float) -> list[Action]:
        """Enter a connection that a dial has opened; the oldest waiter gets it."""
        pool = connection.pool
        pool.dialing -= 1
        self.breaker.dialed(pool)
        pool.stats.opened += 1
        connection.state = _IDLE
        return self._settle_idle(connection, now, fresh=True)

    def dial_failed(
        self, pool: OriginPool, error: Exception, now: float
    ) -> list[Action]:
        """Take a failed dial out of the books.

        The oldest waiter gets the error, unless connections are in use that may yet
        serve it; then the next dial waits.  Idle ones would have served it.
        """
        pool.dialing -= 1
        self.sockets -= 1
        actions: list[Action] = []
        self.breaker.failed(pool, error, now)
        if pool.active or pool.draining:
            pool.dial_at = now + _DIAL_BACKOFF_S
        elif pool.waiters:
            waiter = pool.waiters.popleft()
            waiter.error = error
            actions.append(Grant(waiter))
        return actions + self._after_socket(pool, now)

    # Release...

    def release(self, connection: Poolable, now: float) -> list[Action]:
        """Take back a lease whose response is complete."""
        pool = connection.pool
        connection.leases -= 1
        if connection.state is _CLOSED:
            return []  # closed between a grant and the waiter's cancellation
        one_too_many = self._shrinking and self._exceeds(pool)
        pool.active.discard(connection)
        pool.draining.discard(connection)
        reason = connection.retire
        if reason is None and now >= connection.expires_at:
            reason = self.ages.expired(connection, now)
        if reason is None and connection.idle_limit <= 0:
            reason = CloseReason.SERVER_CLOSE
        if reason is None and one_too_many:
            reason = CloseReason.EVICTED
        if reason is not None:
            return self.discard(connection, reason)
        return self._settle_idle(connection, now)

    def drain(self, connection: Poolable) -> None:
        """Note that a lease's client is gone and its response is being drained."""
        connection.pool.active.discard(connection)
        connection.pool.draining.add(connection)
        connection.state = State.DRAINING

    def reserve(self, connection: Poolable, now: float) -> None:
        """Keep a connection for the client that it is authenticated for (S30)."""
        self._leave_lease(connection, State.PRIVATE)
        connection.pool.private.add(connection)
        connection.idle_since = now

    def resume(self, connection: Poolable) -> None:
        """Lease a private connection to its client once more."""
        pool = connection.pool
        pool.private.discard(connection)
        pool.active.add(connection)
        connection.leases += 1
        connection.state = _ACTIVE

    def hand_over(self, connection: Poolable, now: float) -> list[Action]:
        """Make a leased connection a tunnel, which never comes back."""
        pool = connection.pool
        self._leave_lease(connection, State.TUNNEL)
        pool.tunnels.add(connection)
        return self.assign(pool, now)

    def discard(self, connection: Poolable, reason: CloseReason) -> list[Action]:
        """Take a connection out of the open ones; its socket counts until gone."""
        if connection.state is _CLOSED:
            return []
        pool = connection.pool
        if connection.state is _IDLE:
            pool.idle.remove(connection)
            self._idle.pop(connection, None)
        for others in (pool.active, pool.draining, pool.private, pool.tunnels):
            others.discard(connection)
        connection.state = _CLOSED
        pool.closing += 1
        pool.last_close = reason
        pool.stats.closed[reason] += 1
        return [Close(connection, reason)]

    def gone(self, connection: Poolable, now: float) -> list[Action]:
        """Free the place of a socket that the operating system has closed."""
        pool = connection.pool
        pool.closing -= 1
        self.sockets -= 1
        return self._after_socket(pool, now)

    # Time...

    def sweep(self, now: float) -> list[Action]:
        """Once a second: expire idle connections and waiters, forget unused origins."""
        actions: list[Action] = []
        private = (c for pool in self.origins.values() for c in pool.private)
        for connection in [*self._idle, *private]:
            reason = self.ages.expired(connection, now)
            if reason is not None:
                actions += self.discard(connection, reason)
        if self._shrinking:
            actions += self._shrink()
        crowded = len(self.origins) > MAX_REMEMBERED
        for pool in list(self.origins.values()):
            actions += self._expire_waiters(pool, now)
            self.breaker.forget(pool, now)
            if pool.waiters:
                actions += self.assign(pool, now)
            if self.ages.is_forgotten(pool, now, crowded=crowded):
                del self.origins[pool.origin]
        return actions

    def _shrink(self) -> list[Action]:
        """Close idle connections beyond caps that were lowered, the oldest first."""
        actions: list[Action] = []
        for idle in list(self._idle):
            if self._exceeds(idle.pool):
                actions += self.discard(idle, CloseReason.EVICTED)
        self._shrinking = any(map(self._exceeds, self.origins.values()))
        return actions

    def _exceeds(self, pool: OriginPool) -> bool:
        return surplus.exceeds(pool, self.origins.values(), self.sockets, self._limits)

    # Rules...

    def _make_room(self, pool: OriginPool, now: float, actions: list[Action]) -> bool:
        """Find a place for one more socket of this origin under both caps."""
        if pool.sockets >= self._limits.max_per_origin:
            # Idle connections that no waiter may use, and private ones, can give way.
            victim = pool.idle[0] if pool.idle else self.ages.dispensable([pool], now)
            if victim is not None and not pool.closing:
                actions += self.discard(victim, CloseReason.EVICTED)
            return False
        if self.sockets < self._limits.max_sockets:
            return True
        self._starved[pool] = None
        if not enough_closing(self.origins.values(), self._starved):
            oldest = next(iter(self._idle), None)
            victim = oldest or self.ages.dispensable(self.origins.values(), now)
            if victim is not None:
                actions += self.discard(victim, CloseReason.EVICTED)
        return False

    # Books...

    def _activate(self, connection: Poolable) -> None:
        pool = connection.pool
        if pool.idle[-1] is connection:
            pool.idle.pop()
        else:
            pool.idle.remove(connection)
        del self._idle[connection]
        connection.leases += 1
        if connection.leases >= connection.capacity:
            pool.active.add(connection)
            connection.state = _ACTIVE

    def _leave_lease(self, connection: Poolable, state: State) -> None:
        connection.leases -= 1
        connection.pool.active.discard(connection)
        connection.state = state

    def _settle_idle(
        self, connection: Poolable, now: float, *, fresh: bool = False
    ) -> list[Action]:
        """Give a free connection to the oldest waiter, a starved origin, or the idle.

        A fresh one serves first whom it was dialled for: with eight busy origins under
        a cap of twenty, two dials of three were for nothing otherwise.
        """
        pool = connection.pool
        connection.idle_since = now
        connection.state = _IDLE
        pool.idle.append(connection)
        self._idle[connection] = None
        if not pool.waiters and not self._starved:
            return []
        wanted = fresh and pool.waiters
        if self._starved and not wanted and owed(pool, self._starved):
            return self.discard(connection, CloseReason.EVICTED)
        return self.assign(pool, now)

    def _serve_idle(self, pool: OriginPool, now: float, actions: list[Action]) -> None:
        at = 0
        while pool.idle and at < len(pool.waiters):
            waiter, connection = pool.waiters[at], pool.idle[-1]
            limit = min(self.ages.idle_limit(pool, connection), waiter.max_idle)
            if now - connection.idle_since >= limit and connection.idle_since < now:
                # Too old for this one, perhaps not for one that waits behind it.
                at += 1
                continue
            del pool.waiters[at]
            self._activate(connection)
            waiter.connection = connection
            actions.append(Grant(waiter))

    def _expire_waiters(self, pool: OriginPool, now: float) -> list[Action]:
        actions: list[Action] = []
        limit = self._limits.queue_timeout
        # Whoever has a first dial under way hears of its end: it has limits of its own.
        first = 0 if pool.last_failure else pool.dialing
        while len(pool.waiters) > first:
            waiter = pool.waiters[first]
            if now - waiter.since < limit:
                break
            del pool.waiters[first]
            pool.stats.queue_timeouts += 1
            waiter.error = waited_too_long(
                pool, self._limits, sockets=self.sockets, tunnels=self.tunnels
            )
            actions.append(Grant(waiter))
        return actions

    def _refuse_all(self, pool: OriginPool, now: float, actions: list[Action]) -> None:
        for waiter in pool.waiters:
            waiter.error = self.breaker.refusal(pool, now)
            actions.append(Grant(waiter))
        pool.waiters.clear()

    def _after_socket(self, pool: OriginPool, now: float) -> list[Action]:
        """Let those who starved, then the socket's own origin, use its place."""
        actions: list[Action] = []
        for starved in oldest_first(self._starved):
            if self.sockets >= self._limits.max_sockets:
                break
            actions += self.assign(starved, now)
        return actions + self.assign(pool, now)

    # Inspect...

    @property
    def tunnels(self) -> int:
        """How many of all sockets are tunnels."""
        return sum(len(pool.tunnels) for pool in self.origins.values())

    def __repr__(self) -> str:
        return f"<Pool {self.sockets} sockets, {list(self.origins.values())}>"
