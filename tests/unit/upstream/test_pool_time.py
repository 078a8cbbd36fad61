"""The pool's clock: what expires, and what is learned about an origin."""

import itertools

import pytest

from reuse_proxy.upstream import pool
from reuse_proxy.upstream.books import CloseReason, State
from tests.support.pools import Bench, held


def test_an_idle_connection_expires():
    """At the idle timeout, by the sweep; it is not given out after that."""
    bench = Bench(idle_timeout=30.0)
    origin = bench.origin()
    (connection,) = bench.idle(origin)
    bench.pass_time(29.9)
    bench.sweep()
    assert connection.state is State.IDLE

    bench.pass_time(0.1)
    assert bench.pool.take(origin, bench.now, 99.0) is None
    bench.sweep()

    assert origin.stats.closed == {CloseReason.EXPIRED_IDLE: 1}


def test_an_announced_idle_limit_is_kept():
    """The origin's hint lowers ours, never raises it."""
    for hint, limit in ((4.0, 4.0), (99.0, 30.0)):
        bench = Bench(idle_timeout=30.0)
        origin = bench.origin()
        (connection,) = bench.idle(origin)
        connection.idle_limit = hint
        bench.pass_time(limit - 0.1)
        bench.sweep()

        before = connection.state
        bench.pass_time(0.2)
        bench.sweep()

        assert (before, connection.state) == (State.IDLE, State.CLOSED)


def test_the_origins_own_idle_time_is_learned_and_forgotten():
    """Four fifths of it, until the lifetime of a connection has passed."""
    bench = Bench(idle_timeout=30.0, max_lifetime=600.0)
    origin = bench.origin()
    (connection,) = bench.idle(origin)
    bench.pass_time(10)
    bench.pool.ages.learn_idle_close(connection, bench.now)
    bench.do(bench.pool.discard(connection, CloseReason.SERVER_CLOSE))
    bench.finish_closing()
    assert origin.learned_idle_limit == pytest.approx(8.0)

    (second,) = bench.idle(origin)
    bench.pass_time(8.1)
    bench.sweep()
    assert second.state is State.CLOSED
    bench.finish_closing()
    bench.pass_time(599)
    bench.idle(origin)
    bench.sweep()

    assert origin.learned_idle_limit == float("inf")


def test_a_close_soon_after_a_response_teaches_nothing():
    """An origin that restarts must not end reuse for the next ten minutes."""
    bench = Bench(idle_timeout=30.0)
    origin = bench.origin()
    (connection,) = bench.idle(origin)
    bench.pass_time(0.5)

    bench.pool.ages.learn_idle_close(connection, bench.now)

    assert origin.learned_idle_limit == float("inf")


def test_old_connections_are_replaced_one_after_the_other():
    """A pool that was opened at once is not closed at once."""
    bench = Bench(idle_timeout=3600.0, max_lifetime=600.0)
    origin = bench.origin()
    for connection in bench.idle(origin, 10):
        connection.expires_at = bench.now + 600
    bench.pass_time(600)

    closed = []
    for _ in range(60):
        bench.sweep()
        closed.append(origin.stats.closed[CloseReason.EXPIRED_AGE])
        bench.finish_closing()
        bench.pass_time(1)

    assert closed[0] == 1
    assert max(after - before for before, after in itertools.pairwise(closed)) == 1
    assert closed[30] < 9


def test_an_old_connection_is_closed_on_release():
    """Never while it carries a response."""
    bench = Bench()
    origin = bench.origin()
    busy = bench.lease(origin)[0]
    held(busy).expires_at = bench.now
    bench.sweep()
    assert held(busy).state is State.ACTIVE

    bench.release(busy)

    assert origin.stats.closed == {CloseReason.EXPIRED_AGE: 1}


def test_an_origin_that_never_had_a_connection_is_forgotten_soon():
    """Denied or unreachable addresses, of which a client may think up many."""
    bench = Bench(max_lifetime=600.0)
    known, denied = bench.origin("a.test"), bench.origin("b.test")
    bench.discard(bench.lease(known)[0])
    bench.finish_closing()
    bench.ask(denied)
    bench.fail_dial(denied)

    bench.sweep()
    bench.pass_time(2)
    bench.sweep()

    assert list(bench.pool.origins) == [known.origin]


def test_only_so_many_unused_origins_are_remembered(monkeypatch):
    """Those in use are no matter of memory."""
    monkeypatch.setattr(pool, "MAX_REMEMBERED", 3)
    bench = Bench(max_lifetime=600.0)
    used = bench.origin("used.test")
    bench.lease(used)
    for name in ("a.test", "b.test", "c.test"):
        bench.discard(bench.lease(bench.origin(name))[0])
        bench.finish_closing()

    bench.sweep()

    assert list(bench.pool.origins) == [used.origin]


def test_an_unused_origin_is_forgotten():
    """After the lifetime of a connection, and not while anything is open or waits."""
    bench = Bench(max_lifetime=600.0, max_per_origin=1)
    unused, used = bench.origin("a.test"), bench.origin("b.test")
    busy = bench.lease(used)[0]

    bench.pass_time(601)
    bench.sweep()

    assert list(bench.pool.origins) == [used.origin]
    assert unused.sockets == 0
    bench.discard(busy)
    bench.finish_closing()
    bench.pass_time(600)
    bench.sweep()
    assert list(bench.pool.origins) == [used.origin]
    bench.pass_time(1)
    bench.sweep()
    assert not bench.pool.origins
