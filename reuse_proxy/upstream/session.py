"""The pooled upstream session: leases connections and settles what becomes of them.

The pool decides, purely; this module carries its decisions out.  The promise is
:meth:`UpstreamSession.settle`: whatever happened in an exchange, its connection is
released, or discarded for a counted reason, exactly once.
"""

import asyncio
import contextlib
import random
from collections import Counter
from typing import TYPE_CHECKING, Final, assert_never, cast

from reuse_proxy.errors import (
    ProxyError,
    UnavailableError,
)
from reuse_proxy.outbox import Outbox
from reuse_proxy.tasks import TaskSet
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
from reuse_proxy.upstream.connection import UpstreamConnection
from reuse_proxy.upstream.dialer import Dialer
from reuse_proxy.upstream.dialing import Dialing
from reuse_proxy.upstream.dns import NameCache
from reuse_proxy.upstream.drain import DrainResult, drain, is_too_big
from reuse_proxy.upstream.endings import check_progress, closed_at_once, reason_to_close
from reuse_proxy.upstream.patience import Patience
from reuse_proxy.upstream.pool import Pool
from reuse_proxy.upstream.retire import Objections, retire, vanished
from reuse_proxy.upstream.stats import SessionStats, count_states
from reuse_proxy.upstream.tls import TlsContexts

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver

    from reuse_proxy.http.target import Origin
    from reuse_proxy.upstream.dns import Addresses
    from reuse_proxy.upstream.options import SessionOptions
    from reuse_proxy.upstream.policy import DestinationPolicy
    from reuse_proxy.upstream.private import PrivateConnections
    from reuse_proxy.upstream.retire import ReasonOf

# Looked up once: an enumeration's members are descriptors on Python 3.11.
_ACTIVE: Final = State.ACTIVE
_SWEEP_S: Final = 1.0
_FOREVER: Final = float("inf")
_LIFETIME_JITTER: Final = 0.1
# Closing takes one turn of the loop; this only bounds a stuck one.
_CLOSE_TIMEOUT_S: Final = 2.0


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class UpstreamSession:
    """Connections to all origins, leased for one exchange each."""

    def __init__(
        self,
        options: "SessionOptions",
        *,
        resolver: "AbstractResolver",
        policy: "DestinationPolicy",
        tls: TlsContexts | None = None,
        jitter: random.Random | None = None,
    ) -> None:
        self._options = options
        self._loop = asyncio.get_running_loop()
        # All times of the session are of this clock, in seconds.
        self.clock = self._loop.time
        self.outbox = Outbox(self._loop)
        self._tasks = TaskSet()
        self.stats = SessionStats(max_origins=options.max_origins)
        self.pool = Pool(options.limits)
        self._names = NameCache(
            resolver,
            ttl=options.dns_ttl,
            timeout=options.connect_timeout,
            tasks=self._tasks,
            stats=self.stats,
            changed=self._addresses_changed,
        )
        self._dialer = Dialer(
            self._names,
            options,
            policy=policy,
            tls=tls or TlsContexts(),
            stats=self.stats,
        )
        self._dialing = Dialing(
            self._dialer,
            self,
            tasks=self._tasks,
            opened=self._dialed,
            failed=self._dial_failed,
        )
        self._jitter = jitter or random.Random()  # noqa: S311 - spreads load only
        self._patience = Patience(
            self._recheck,
            measured=options.limits.dial_patience is None,
            loop=self._loop,
        )
        self._closed = False
        self._objections = Objections()
        self._all_gone: asyncio.Future[None] | None = None
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)

    # Lease...

    def take(self, origin: "Origin", unsafe: bool) -> UpstreamConnection | None:  # noqa: FBT001 - keywords are slower
        """Lease an idle connection that is ready, if there is one and nobody waits.

        The caller sends without awaiting in between, and settles.

        Args:
            origin: where the request goes.
            unsafe: its method must not be repeated, so only a connection that was
                idle for less than ``unsafe_reuse_max_idle`` will do.
        """
        pool = self.pool.origins.get(origin)
        if pool is None or not pool.idle:
            return None
        now = self.clock()
        max_idle = self._options.unsafe_reuse_max_idle if unsafe else _FOREVER
        while (taken := self.pool.take(pool, now, max_idle)) is not None:
            connection = cast("UpstreamConnection", taken)
            if self._is_ready(connection):
                return connection
        return None

    async def wait(self, origin: "Origin", *, unsafe: bool) -> UpstreamConnection:
        """Lease a connection as :meth:`take` does, after queueing for it.

        Raises:
            UnavailableError: the queue is full, or ``queue_timeout`` has passed.
            ProxyError: dialling failed.
        """
        pool = self.pool.origins.get(origin) or self._admit(origin)
        max_idle = self._options.unsafe_reuse_max_idle if unsafe else _FOREVER
        waiter: Waiter | None = None
        while True:
            waiter = await self._queue(pool, max_idle, waiter)
            connection = cast("UpstreamConnection", waiter.connection)
            if self._is_ready(connection):
                return connection
            if not connection.requests:
                raise closed_at_once(origin)

    def _is_ready(self, connection: UpstreamConnection) -> bool:
        """Count a lease of a connection that is ready, or discard it as stale."""
        if connection.ready():
            if connection.requests:
                connection.pool.stats.reused += 1
            connection.moved = True
            return True
        self.connection_broken(connection, CloseReason.STALE)
        connection.leases -= 1
        return False

    async def _queue(
        self, pool: OriginPool, max_idle: float, served: Waiter | None
    ) -> Waiter:
        """Wait for a connection; ``served`` is a turn that gave a stale one."""
        if self._closed:
            raise UnavailableError("The proxy is stopping.")
        woken = self._loop.create_future()
        now = self.clock()
        waiter = Waiter(
            pool,
            since=served.since if served else now,
            max_idle=max_idle,
            wake=lambda: _wake(woken),
        )
        miss = self.pool.miss(pool)
        self.pool.enqueue(waiter, first=served is not None)
        try:
            self._carry_out(self.pool.assign(pool, now))
            await woken
        except BaseException:
            # Cancelled: the turn, or the connection already given, goes on.
            self._carry_out(self.pool.leave(waiter, self.clock()))
            raise
        self.stats.queue_wait_seconds.observe(self.clock() - waiter.since)
        if waiter.error is not None:
            raise waiter.error
        connection = cast("UpstreamConnection", waiter.connection)
        if not connection.requests:
            self.stats.misses[miss] += 1
            connection.miss = connection.miss or miss
        return waiter

    def resume(self, connection: UpstreamConnection) -> bool:
        """Lease a private connection to its client again; tell whether it is ready."""
        if connection.state is not State.PRIVATE:
            return False
        self.pool.resume(connection)
        return self._is_ready(connection)

    # Settle...

    def settle(
        self,
        connection: UpstreamConnection,
        *,
        private: "PrivateConnections | None" = None,
    ) -> None:
        """End a lease: released if the response is complete, else drained or discarded.

        Every exchange ends here, once, whether it was served, failed or cancelled.
        A drain goes on in the background and ends the same way.  What a client has
        authenticated is kept in ``private`` for it, or discarded.
        """
        if connection.state is not _ACTIVE:
            connection.leases -= 1
        elif private is not None:
            self._settle_private(connection, private)
        elif connection.is_reusable():
            if connection.response.body or connection.response.heads:
                connection.discard_body()
            if actions := self.pool.release(connection, self.clock()):
                self._carry_out(actions)
        elif (
            connection.response.complete
            or connection.error is not None
            or not connection.request_sent
        ):
            connection.leases -= 1
            self._discard(connection, reason_to_close(connection))
        elif is_too_big(connection, self._options.drain_max_bytes):
            connection.leases -= 1
            self.stats.drains[DrainResult.TOO_BIG] += 1
            self._discard(connection, CloseReason.DRAIN_REFUSED)
        else:
            self.pool.drain(connection)
            self._tasks.start(
                self._drain(connection), name=f"drain {connection.pool.origin}"
            )

    def _settle_private(
        self, connection: UpstreamConnection, private: "PrivateConnections"
    ) -> None:
        whole = connection.is_reusable() and connection.response.exhausted
        if whole and connection.retire is None:
            self.pool.reserve(connection, self.clock())
            private.keep(connection)
        else:
            connection.leases -= 1
            self._discard(connection, connection.retire or reason_to_close(connection))

    def close_private(self, connection: UpstreamConnection) -> None:
        """Discard a private connection whose client has left."""
        self._discard(connection, CloseReason.CLIENT_LEFT)

    def hand_over(self, connection: UpstreamConnection) -> None:
        """End a lease by making the connection a tunnel; only its end is still told."""
        connection.pool.stats.tunnels_opened += 1
        self._carry_out(self.pool.hand_over(connection, self.clock()))

    async def _drain(self, connection: UpstreamConnection) -> None:
        start = connection.response.body_bytes
        result = DrainResult.ERROR
        try:
            result = await drain(
                connection,
                max_bytes=self._options.drain_max_bytes,
                seconds=self._options.drain_timeout,
            )
        finally:
            self.stats.drains[result] += 1
            self.stats.drained_bytes += connection.response.body_bytes - start
            if connection.state is not State.DRAINING:
                connection.leases -= 1
            elif result is DrainResult.REUSED:
                self._carry_out(self.pool.release(connection, self.clock()))
            else:
                connection.leases -= 1
                reason = CloseReason.DRAIN_REFUSED
                if result is DrainResult.ERROR:
                    reason = reason_to_close(connection)
                self._discard(connection, reason)

    # What connections tell...

    def connection_broken(
        self, connection: UpstreamConnection, reason: CloseReason
    ) -> None:
        """Discard a connection that its origin closed or spoke on, asked nothing."""
        idle = reason is CloseReason.SERVER_CLOSE and connection.state is State.IDLE
        if idle or (reason is CloseReason.STALE and connection.hung_up):
            self.pool.ages.learn_idle_close(connection, self.clock())
        self._discard(connection, reason)

    def connection_gone(self, connection: UpstreamConnection) -> None:
        """Give the place of a closed socket to whoever waits for one."""
        if connection.state is not State.CLOSED:
            self._discard(connection, reason_to_close(connection))
        now = self.clock()
        self.stats.requests_per_connection.observe(connection.requests)
        self.stats.connection_age_seconds.observe(now - connection.opened_at)
        self._carry_out(self.pool.gone(connection, now))
        self._tell_all_gone()

    # End...

    async def aclose(self) -> None:
        """Close every connection and end every background task."""
        self._closed = True
        self._sweeper.cancel()
        for pool in self.pool.origins.values():
            self._fail_waiters(pool)
        await self._tasks.aclose()
        await self._dialing.aclose()
        for connection in self.connections():
            self._discard(connection, CloseReason.SHUTDOWN)
        self._all_gone = self._loop.create_future()
        self._tell_all_gone()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._all_gone

    # Change...

    def configure(
        self,
        options: "SessionOptions",
        *,
        policy: "DestinationPolicy",
        tls: TlsContexts,
        verify_anew: bool,
    ) -> None:
        """Go by other settings from now on, for open connections as well (S14).

        Args:
            options: replaces what the session was made with.
            policy: connections to what it denies are let go of, tunnels too.
            tls: for handshakes to come.
            verify_anew: those with TLS, whose peers others vouched for, are let go of.
        """
        self._options = options
        self.stats.max_origins = options.max_origins
        self._names.configure(ttl=options.dns_ttl, timeout=options.connect_timeout)
        self._patience.measured = options.limits.dial_patience is None
        self._dialer.configure(options, policy=policy, tls=tls)
        self.pool.configure(options.limits)
        objectionable = self._objections.renew(
            policy, self.clock(), verify_anew=verify_anew
        )
        self._retire(objectionable)
        self._carry_out(self.pool.sweep(self.clock()))

    # Inspect...

    def connections(self) -> list[UpstreamConnection]:
        """Return all open connections, tunnels included."""
        return [
            cast("UpstreamConnection", connection)
            for pool in self.pool.origins.values()
            for connection in pool.connections()
        ]

    def states(self) -> Counter[tuple[str, ...]]:
        """Count sockets by origin label and state."""
        return count_states(self.stats.origins, self.pool.origins.values())

    @property
    def limits(self) -> Limits:
        """The caps in force."""
        return self._options.limits

    # Carry out...

    def _admit(self, origin: "Origin") -> OriginPool:
        pool = OriginPool(origin, self.stats.admit(origin))
        pool.used_at = self.clock()
        self.pool.origins[origin] = pool
        return pool

    def _carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Grant(waiter):
                    waiter.wake()
                case Close(connection, _):
                    cast("UpstreamConnection", connection).abort()
                case Dial(pool):
                    self._dialing.start(pool)
                case Recheck(pool, at):
                    self._patience.wait(pool, at)
                case _:
                    assert_never(action)

    def _recheck(self, pool: OriginPool, now: float) -> None:
        if not self._closed:
            self._carry_out(self.pool.assign(pool, now))

    def _discard(self, connection: Poolable, reason: CloseReason) -> None:
        self._carry_out(self.pool.discard(connection, reason))

    def _dialed(self, made: UpstreamConnection, began: float, seconds: float) -> None:
        """Enter a connection into the books."""
        made.connect_seconds = seconds
        self.pool.ages.learn_connect(made.pool, seconds)
        lifetime = self._options.limits.max_lifetime
        spread = self._jitter.uniform(1 - _LIFETIME_JITTER, 1 + _LIFETIME_JITTER)
        made.expires_at = made.opened_at + lifetime * spread
        made.retire = self._objections.to(made, began)
        self._carry_out(self.pool.dialed(made, self.clock()))

    def _dial_failed(self, pool: OriginPool, error: ProxyError) -> None:
        pool.stats.connect_failures[error.error] += 1
        self._carry_out(self.pool.dial_failed(pool, error, self.clock()))

    # Time...

    def _sweep(self) -> None:
        now = self.clock()
        self._sweeper = self._loop.call_at(now + _SWEEP_S, self._sweep)
        self._carry_out(self.pool.sweep(now))
        self._names.sweep(now)
        limit = self._options.response_timeout
        for pool in list(self.pool.origins.values()):
            for connection in cast("set[UpstreamConnection]", pool.active):
                check_progress(connection, now, limit=limit)
            if pool.open:
                self._names.refresh(pool.origin.next_hop[0])

    def _addresses_changed(self, host: str, addresses: "Addresses") -> None:
        """Let go of connections to addresses that a name no longer has."""
        self._retire(vanished(host, addresses))

    def _retire(self, reason_of: "ReasonOf") -> None:
        for connection, reason in retire(self.connections(), reason_of):
            self._discard(connection, reason)

    def _fail_waiters(self, pool: OriginPool) -> None:
        for waiter in pool.waiters:
            waiter.error = UnavailableError("The proxy is stopping.")
            waiter.wake()
        pool.waiters.clear()

    def _tell_all_gone(self) -> None:
        if self._all_gone is not None and not self.pool.sockets:
            _wake(self._all_gone)

    def __repr__(self) -> str:
        return f"<UpstreamSession {self.pool!r} {self._tasks!r}>"
