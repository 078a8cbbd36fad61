"""Pools on a simulated clock: the rules of ``reuse_proxy.upstream.pool``, no sockets.

What the session does with sockets and timers is done here with a heap of events:
dials, closes, services and sweeps take the time that they are given, and the real
:class:`Pool` decides.  Nothing here reads a clock; a seed gives the same run again.

Left out: a dial that is patient looks once, not again while bytes of a response come,
so slightly more is opened than in truth; origins close nothing; methods are safe.
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final, Protocol, assert_never

from tally import Tally

from reuse_proxy.errors import UnavailableError
from reuse_proxy.http.target import Origin
from reuse_proxy.upstream.books import (
    Action,
    Close,
    CloseReason,
    Dial,
    Grant,
    Limits,
    OriginPool,
    Poolable,
    Recheck,
    State,
    Waiter,
)
from reuse_proxy.upstream.pool import Pool
from reuse_proxy.upstream.stats import OriginStats

_FOREVER: Final = float("inf")
_SWEEP_S: Final = 1.0
# As the session spreads lifetimes (design D10).
_LIFETIME_JITTER: Final = 0.1
_ORIGIN: Final = Origin("http", "origin.test", 80)


@dataclass(frozen=True, slots=True)
class Network:
    """How long it takes to open a socket to the origin, and to close one, in seconds."""

    dial_s: float = 0.02
    close_s: float = 0.005


class Clock:
    """A heap of what is to happen, in the order of its times."""

    def __init__(self) -> None:
        self.now = 0.0
        self._numbers = itertools.count()
        self._events: list[
            tuple[float, int, Callable[..., None], tuple[object, ...]]
        ] = []

    def after(
        self, seconds: float, call: Callable[..., None], *arguments: object
    ) -> None:
        """Call a function later; at equal times, in the order of asking."""
        event = (self.now + seconds, next(self._numbers), call, arguments)
        heapq.heappush(self._events, event)

    def run(self, until: float) -> None:
        """Let everything happen that is due before a time."""
        events = self._events
        while events and events[0][0] < until:
            self.now, _, call, arguments = heapq.heappop(events)
            call(*arguments)
        self.now = until


class Done(Protocol):
    """Who asked: is told whether the request was served, or refused."""

    def __call__(self, *, served: bool) -> None:
        """Take the answer."""


class Way(Protocol):
    """A way for requests to reach the origin."""

    def request(self, service_s: float, done: Done) -> None:
        """Send a request that the origin works on for so long."""


class Direct:
    """No proxy, and a client that opens a connection for each request."""

    def __init__(
        self, clock: Clock, tally: Tally, network: Network, *, left_open_s: float
    ) -> None:
        self._clock = clock
        self._tally = tally
        self._network = network
        self._left_open_s = left_open_s

    def request(self, service_s: float, done: Done) -> None:
        """Dial, ask, leave it open for a while, close."""
        self._tally.socket(+1)
        self._clock.after(self._network.dial_s, self._ask, service_s, done)

    def _ask(self, service_s: float, done: Done) -> None:
        self._tally.request(reused=False)
        self._clock.after(service_s, self._answered, done)

    def _answered(self, done: Done) -> None:
        self._tally.response()
        closed = self._left_open_s + self._network.close_s
        self._clock.after(closed, self._tally.socket, -1)
        done(served=True)


class Connection:
    """What the pool knows of a connection, and how often it has served."""

    capacity = 1
    idle_limit = _FOREVER
    __slots__ = (
        "expires_at",
        "idle_since",
        "leases",
        "pool",
        "retire",
        "state",
        "used",
    )

    def __init__(self, pool: OriginPool, expires_at: float) -> None:
        self.pool = pool
        self.expires_at = expires_at
        self.idle_since = 0.0
        self.leases = 0
        self.retire: CloseReason | None = None
        self.state = State.CONNECTING
        self.used = False


class Proxy:
    """One proxy: a real pool with one origin, and what its session would do.

    Its requests go on to the origin, or to another proxy that is its ``parent``.
    """

    def __init__(
        self,
        clock: Clock,
        tally: Tally,
        network: Network,
        *,
        limits: Limits,
        random: Random,
        parent: Way | None = None,
    ) -> None:
        self._clock = clock
        self._tally = tally
        self._network = network
        self._limits = limits
        self._random = random
        self._parent = parent
        self.pool = Pool(limits)
        clock.after(random.random() * _SWEEP_S, self._sweep)

    def request(self, service_s: float, done: Done) -> None:
        """Take an idle connection, or queue for one."""
        now = self._clock.now
        origin = self._origin(now)
        taken = self.pool.take(origin, now, _FOREVER)
        if taken is not None:
            self._serve(taken, service_s, done)
            return
        waiter = Waiter(
            origin,
            since=now,
            max_idle=_FOREVER,
            wake=lambda: self._woken(waiter, service_s, done),
        )
        try:
            self.pool.enqueue(waiter)
        except UnavailableError:
            done(served=False)
            return
        self._carry_out(self.pool.assign(origin, now))

    def _origin(self, now: float) -> OriginPool:
        pool = self.pool.origins.get(_ORIGIN)
        if pool is None:
            pool = OriginPool(_ORIGIN, OriginStats(str(_ORIGIN)))
            pool.used_at = now
            self.pool.origins[_ORIGIN] = pool
        return pool

    def _woken(self, waiter: Waiter, service_s: float, done: Done) -> None:
        if waiter.connection is None:
            done(served=False)
        else:
            self._serve(waiter.connection, service_s, done)

    def _serve(self, connection: Poolable, service_s: float, done: Done) -> None:
        assert isinstance(connection, Connection)  # noqa: S101 - for the types
        self._tally.request(reused=connection.used)
        connection.used = True
        answered = partial(self._answered, connection, done)
        if self._parent is None:
            self._clock.after(service_s, partial(answered, served=True))
        else:
            self._parent.request(service_s, answered)

    def _answered(self, connection: Connection, done: Done, *, served: bool) -> None:
        self._tally.response()
        self._carry_out(self.pool.release(connection, self._clock.now))
        done(served=served)

    # What the session does...

    def _carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Grant(waiter):
                    waiter.wake()
                case Dial(pool):
                    self._tally.socket(+1)
                    self._clock.after(self._network.dial_s, self._dialed, pool)
                case Close(connection, _):
                    self._clock.after(self._network.close_s, self._gone, connection)
                case Recheck(pool, at):
                    self._clock.after(at - self._clock.now, self._recheck, pool, at)
                case _:
                    assert_never(action)

    def _dialed(self, pool: OriginPool) -> None:
        now = self._clock.now
        spread = self._random.uniform(1 - _LIFETIME_JITTER, 1 + _LIFETIME_JITTER)
        connection = Connection(pool, now + self._limits.max_lifetime * spread)
        self.pool.ages.learn_connect(pool, self._network.dial_s)
        self._carry_out(self.pool.dialed(connection, now))

    def _gone(self, connection: Connection) -> None:
        self._tally.socket(-1)
        self._carry_out(self.pool.gone(connection, self._clock.now))

    def _recheck(self, pool: OriginPool, at: float) -> None:
        # Adding up seconds may have lost a last bit; too early would be no look at all.
        self._carry_out(self.pool.assign(pool, max(at, self._clock.now)))

    def _sweep(self) -> None:
        self._clock.after(_SWEEP_S, self._sweep)
        self._tally.samples[self].append(self.pool.sockets)
        self._carry_out(self.pool.sweep(self._clock.now))
