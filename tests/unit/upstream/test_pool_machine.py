"""The pool under random operations: its books must balance after every one."""

# ruff: noqa: D102 - rules and invariants are told by their names

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from reuse_proxy.errors import UnavailableError
from reuse_proxy.upstream.books import CloseReason, State
from tests.support.pools import FOREVER, Bench, FakeConnection, held

NAMES = st.sampled_from(["a.test", "a.test", "b.test", "c.test"])
INDEX = st.integers(min_value=0, max_value=99)
# In binary fractions, so that sums of times are exact.
SECONDS = st.sampled_from([0.0078125, 0.0625, 1.0, 5.0, 5.0, 20.0])


class PoolMachine(RuleBasedStateMachine):
    """Clients, origins and the session, as they might come."""

    @initialize(
        max_sockets=st.integers(1, 5),
        max_per_origin=st.integers(1, 4),
        max_queue=st.integers(0, 4),
        patience=st.sampled_from([0.0, 0.0625]),
    )
    def start(self, max_sockets, max_per_origin, max_queue, patience):
        self.bench = Bench(
            max_sockets=max_sockets,
            max_per_origin=max_per_origin,
            max_queue=max_queue,
            dial_patience=patience,
            queue_timeout=8.0,
            idle_timeout=16.0,
            max_lifetime=64.0,
        )
        # Granted but not yet woken, then leased, then drained for nobody.
        self.waiting, self.leased, self.draining = [], [], []
        self.connections: list[FakeConnection] = []

    # Clients...

    @rule(name=NAMES, unsafe=st.booleans())
    def ask(self, name, unsafe):
        pool = self.bench.origin(name)
        try:
            waiter = self.bench.ask(pool, 4.0 if unsafe else FOREVER)
        except UnavailableError:
            assert len(pool.waiters) >= self.bench.limits.max_queue
            return
        (self.leased if waiter.connection else self.waiting).append(waiter)

    @precondition(lambda self: self.waiting)
    @rule(index=INDEX)
    def leave(self, index):
        self.bench.leave(self.waiting.pop(index % len(self.waiting)))

    @rule()
    def wake(self):
        for waiter in [w for w in self.waiting if w.connection or w.error]:
            self.waiting.remove(waiter)
            if waiter.connection is not None:
                self.leased.append(waiter)

    @precondition(lambda self: self.leased)
    @rule(index=INDEX, outcome=st.sampled_from(["release", "drain", "discard"]))
    def settle(self, index, outcome):
        waiter = self.leased.pop(index % len(self.leased))
        connection = held(waiter)
        if connection.state is not State.ACTIVE:
            connection.leases -= 1
        elif outcome == "release":
            self.bench.release(waiter)
        elif outcome == "discard":
            self.bench.discard(waiter)
        else:
            self.bench.pool.drain(connection)
            self.draining.append(waiter)

    @precondition(lambda self: self.leased)
    @rule()
    def quiet_spell(self):
        self.wake()
        while self.leased:
            self.settle(0, "release")
        self.bench.pass_time(5.0)

    @precondition(lambda self: self.draining)
    @rule(index=INDEX, whole=st.booleans())
    def finish_drain(self, index, whole):
        waiter = self.draining.pop(index % len(self.draining))
        if whole and held(waiter).state is State.DRAINING:
            self.bench.release(waiter)
        else:
            self.bench.discard(waiter)

    # Origins and the operating system...

    @precondition(lambda self: self.bench.dials)
    @rule(index=INDEX, hint=st.sampled_from([FOREVER, FOREVER, 8.0, 0.0]))
    def finish_dial(self, index, hint):
        pool = self.bench.dials[index % len(self.bench.dials)]
        connection = self.bench.finish_dial(pool)
        connection.idle_limit = hint
        connection.expires_at = self.bench.now + 48.0
        self.connections.append(connection)

    @precondition(lambda self: self.bench.dials)
    @rule(index=INDEX)
    def fail_dial(self, index):
        self.bench.fail_dial(self.bench.dials[index % len(self.bench.dials)])

    @precondition(lambda self: self.open())
    @rule(index=INDEX)
    def origin_closes(self, index):
        connection = self.open()[index % len(self.open())]
        if connection.state is State.IDLE:
            self.bench.pool.ages.learn_idle_close(connection, self.bench.now)
        discarded = self.bench.pool.discard(connection, CloseReason.SERVER_CLOSE)
        self.bench.do(discarded)

    @precondition(lambda self: self.open())
    @rule(index=INDEX)
    def address_vanishes(self, index):
        self.open()[index % len(self.open())].retire = CloseReason.DNS_CHANGE

    @precondition(lambda self: self.bench.closing)
    @rule()
    def sockets_close(self):
        self.bench.finish_closing()

    # Time...

    @rule(seconds=SECONDS)
    def time_passes(self, seconds):
        self.bench.pass_time(seconds)

    @rule()
    def sweep(self):
        self.bench.sweep()

    # What must hold...

    def open(self):
        return [c for c in self.connections if c.state is not State.CLOSED]

    def pools(self):
        return self.bench.pool.origins.values()

    @invariant()
    def every_socket_is_counted_once_and_caps_hold(self):
        limits, books = self.bench.limits, self.bench.pool
        dials = Counter(self.bench.dials)
        closing = Counter(connection.pool for connection in self.bench.closing)

        assert books.sockets == sum(pool.sockets for pool in self.pools())
        assert books.sockets <= limits.max_sockets
        for pool in self.pools():
            assert pool.sockets <= limits.max_per_origin
            assert (pool.dialing, pool.closing) == (dials[pool], closing[pool])
            assert pool.stats.opened == pool.stats.closed.total() + pool.open

    @invariant()
    def every_connection_is_in_exactly_one_place(self):
        idle = Counter(c for pool in self.pools() for c in pool.idle)
        active = Counter(c for pool in self.pools() for c in pool.active)
        draining = Counter(c for pool in self.pools() for c in pool.draining)

        assert idle == Counter(list(self.bench.pool._idle))
        for connection in self.connections:
            places = [idle[connection], active[connection], draining[connection]]
            expected = {
                State.IDLE: [1, 0, 0],
                State.ACTIVE: [0, 1, 0],
                State.DRAINING: [0, 0, 1],
                State.CLOSED: [0, 0, 0],
            }[connection.state]
            assert places == expected
            if connection.state is not State.CLOSED:
                assert connection.leases == 1 - places[0]

    @invariant()
    def nobody_holds_or_waits_but_those_who_asked(self):
        held_by_somebody = {held(waiter) for waiter in self.leased + self.draining}
        held_by_somebody |= {held(w) for w in self.waiting if w.connection}
        in_use = {c for pool in self.pools() for c in (*pool.active, *pool.draining)}
        queued = [waiter for pool in self.pools() for waiter in pool.waiters]

        assert in_use <= held_by_somebody
        assert set(queued) == {
            w for w in self.waiting if w.connection is None and w.error is None
        }

    @invariant()
    def no_waiter_waits_in_vain(self):
        """Neither beside an idle connection it may use, nor for nothing at all."""
        for pool in self.pools():
            for waiter in pool.waiters:
                assert waiter.connection is None
                assert waiter.error is None
                newest = pool.idle[-1] if pool.idle else None
                assert newest is None or not self.may_use(waiter, newest)
            if len(pool.waiters) > pool.dialing:
                assert self.has_prospect(pool), pool

    def may_use(self, waiter, connection):
        limit = min(
            waiter.max_idle,
            self.bench.limits.idle_timeout,
            connection.idle_limit,
            connection.pool.learned_idle_limit,
        )
        return self.bench.now - connection.idle_since < limit

    def has_prospect(self, pool):
        """Tell whether something will look at this pool's waiters again."""
        limits, books = self.bench.limits, self.bench.pool
        if any(other is pool for other, _ in self.bench.rechecks):
            return True
        if pool.sockets >= limits.max_per_origin:
            return bool(pool.active or pool.draining or pool.dialing or pool.closing)
        full = books.sockets >= limits.max_sockets
        return full and any(
            other.active or other.draining or other.dialing or other.closing
            for other in self.pools()
        )


def test_the_books_balance_whatever_happens():
    """Random clients, origins, sockets and clocks."""
    run_state_machine_as_test(
        PoolMachine,
        settings=settings(
            database=None, deadline=None, max_examples=150, stateful_step_count=50
        ),
    )
