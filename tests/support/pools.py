"""A pool without sockets: fake connections, explicit times, actions kept in lists."""

import itertools

from reuse_proxy.errors import UnavailableError
from reuse_proxy.http.target import TUNNEL, Origin
from reuse_proxy.upstream.books import (
    Action,
    Close,
    CloseReason,
    Dial,
    Grant,
    Limits,
    OriginPool,
    Recheck,
    State,
    Waiter,
)
from reuse_proxy.upstream.pool import Pool
from reuse_proxy.upstream.stats import OriginStats

FOREVER = float("inf")


class FakeConnection:
    """What the pool knows of a connection, and nothing else."""

    capacity = 1
    numbers = itertools.count(1)

    def __init__(self, pool: OriginPool) -> None:
        self.pool = pool
        self.number = next(self.numbers)
        self.leases = 0
        self.state = State.CONNECTING
        self.idle_since = 0.0
        self.idle_limit = FOREVER
        self.expires_at = FOREVER
        self.retire: CloseReason | None = None

    def __repr__(self) -> str:
        return f"<{self.number} {self.state}>"


class Bench:
    """A pool on a bench: the test plays the session, the origins and the clock."""

    def __init__(self, **limits: object) -> None:
        # Without patience unless said otherwise: a dial starts at once.
        self.limits = Limits(**{"dial_patience": 0.0, **limits})  # type: ignore[arg-type]
        self.pool = Pool(self.limits)
        self.now = 1000.0
        self.dials: list[OriginPool] = []
        self.closing: list[FakeConnection] = []
        self.granted: list[Waiter] = []
        self.rechecks: list[tuple[OriginPool, float]] = []

    def origin(self, name: str = "a.test") -> OriginPool:
        """Enter an origin into the books, or find it there."""
        key = Origin("http", name, 80)
        if key not in self.pool.origins:
            pool = OriginPool(key, OriginStats(str(key)))
            pool.used_at = self.now
            self.pool.origins[key] = pool
        return self.pool.origins[key]

    def tunnel_origin(self, name: str = "a.test") -> OriginPool:
        """Enter what a CONNECT names into the books."""
        key = Origin(TUNNEL, name, 443)
        pool = self.pool.origins[key] = OriginPool(key, OriginStats(str(key)))
        pool.used_at = self.now
        return pool

    def do(self, actions: list[Action]) -> list[Action]:
        """Keep what the pool wants done."""
        for action in actions:
            match action:
                case Dial(pool):
                    self.dials.append(pool)
                case Close(connection, _):
                    assert isinstance(connection, FakeConnection)
                    self.closing.append(connection)
                case Grant(waiter):
                    self.granted.append(waiter)
                case Recheck(pool, at):
                    self.rechecks.append((pool, at))
        return actions

    # What clients do...

    def ask(self, pool: OriginPool, max_idle: float = FOREVER) -> Waiter:
        """Ask for a connection as the session does; the waiter holds what came."""
        waiter = Waiter(pool, since=self.now, max_idle=max_idle, wake=lambda: None)
        waiter.connection = self.pool.take(pool, self.now, max_idle)
        if waiter.connection is None:
            self.pool.enqueue(waiter)
            self.do(self.pool.assign(pool, self.now))
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Go away while waiting."""
        self.do(self.pool.leave(waiter, self.now))

    def release(self, waiter: Waiter) -> None:
        """Give back what a waiter was given."""
        self.do(self.pool.release(held(waiter), self.now))

    def discard(self, waiter: Waiter) -> None:
        """Close what a waiter was given."""
        connection = held(waiter)
        connection.leases -= 1
        self.do(self.pool.discard(connection, CloseReason.ABORTED))

    def reserve(self, waiter: Waiter) -> None:
        """Keep what a waiter was given for its client alone."""
        self.pool.reserve(held(waiter), self.now)

    def resume(self, waiter: Waiter) -> None:
        """Use again what was reserved."""
        self.pool.resume(held(waiter))

    def hand_over(self, waiter: Waiter) -> None:
        """Make a tunnel of what a waiter was given."""
        self.do(self.pool.hand_over(held(waiter), self.now))

    # What origins and the operating system do...

    def finish_dial(self, pool: OriginPool) -> FakeConnection:
        """Let the oldest dial to an origin succeed."""
        self.dials.remove(pool)
        connection = FakeConnection(pool)
        self.do(self.pool.dialed(connection, self.now))
        return connection

    def fail_dial(self, pool: OriginPool, error: Exception | None = None) -> None:
        """Let the oldest dial to an origin fail."""
        self.dials.remove(pool)
        error = error or UnavailableError("no")
        self.do(self.pool.dial_failed(pool, error, self.now))

    def finish_closing(self) -> None:
        """Let all sockets that are being closed be gone."""
        closing, self.closing = self.closing, []
        for connection in closing:
            self.do(self.pool.gone(connection, self.now))

    def pass_time(self, seconds: float) -> None:
        """Move the clock and look again where the pool wanted that."""
        self.now += seconds
        due = [entry for entry in self.rechecks if entry[1] <= self.now]
        self.rechecks = [entry for entry in self.rechecks if entry[1] > self.now]
        for pool, _ in due:
            self.do(self.pool.assign(pool, self.now))

    def sweep(self) -> None:
        """Do what is done once a second."""
        self.do(self.pool.sweep(self.now))

    # Short cuts...

    def lease(self, pool: OriginPool, count: int = 1) -> list[Waiter]:
        """Lease connections at once, new ones where there are no idle ones."""
        waiters = []
        for _ in range(count):
            waiters.append(self.ask(pool))
            if waiters[-1].connection is None:
                self.finish_dial(pool)
            assert waiters[-1].connection is not None
        return waiters

    def idle(self, pool: OriginPool, count: int = 1) -> list[FakeConnection]:
        """Make idle connections, released in the order of their list."""
        waiters = self.lease(pool, count)
        connections = [held(waiter) for waiter in waiters]
        for waiter in waiters:
            self.release(waiter)
        return connections


def held(waiter: Waiter) -> FakeConnection:
    """Return the connection that a waiter was given."""
    connection = waiter.connection
    assert isinstance(connection, FakeConnection)
    return connection
