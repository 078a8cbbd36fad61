"""The pool's decisions: when a new connection is dialled, and for whom."""

import pytest

from reuse_proxy.errors import UpstreamConnectError
from reuse_proxy.upstream.books import Miss
from tests.support.pools import Bench, held


def test_a_dial_waits_while_a_connection_may_come_free():
    """Half of the measured connect time, within 2 and 50 ms."""
    patience = {None: 0.002, 0.001: 0.002, 0.03: 0.015, 3.0: 0.05}
    for measured, seconds in patience.items():
        bench = Bench(dial_patience=None)
        origin = bench.origin()
        bench.lease(origin)
        if measured is not None:
            bench.pool.ages.learn_connect(origin, measured)
        bench.ask(origin)

        assert bench.dials == []
        ((waiting, at),) = bench.rechecks
        assert waiting is origin
        assert at - bench.now == pytest.approx(seconds)
        bench.pass_time(seconds + 1e-6)
        assert bench.dials == [origin]


def test_a_first_connection_is_dialled_at_once():
    """There is nothing to wait for."""
    bench = Bench(dial_patience=60.0)
    origin = bench.origin()

    bench.ask(origin)

    assert (bench.dials, bench.rechecks) == ([origin], [])


def test_patience_is_asked_for_once():
    """Many waiters make one timer; after it, each gets its dial."""
    bench = Bench(dial_patience=0.05)
    origin = bench.origin()
    bench.lease(origin)

    for _ in range(5):
        bench.ask(origin)

    assert len(bench.rechecks) == 1
    bench.pass_time(0.05)
    assert bench.dials == [origin] * 5


def test_a_connection_that_comes_free_in_time_saves_the_dial():
    """What dial patience is for."""
    bench = Bench(dial_patience=0.05)
    origin = bench.origin()
    busy = bench.lease(origin)[0]
    waiter = bench.ask(origin)

    bench.pass_time(0.04)
    bench.release(busy)
    bench.pass_time(0.02)

    assert waiter.connection is busy.connection
    assert bench.dials == []
    assert origin.stats.opened == 1


def test_a_failed_dial_tells_the_oldest_waiter():
    """With the error that dialling gave."""
    bench = Bench()
    origin = bench.origin()
    first, second = bench.ask(origin), bench.ask(origin)
    error = UpstreamConnectError("refused")

    bench.fail_dial(origin, error)

    assert (first.error, second.error) == (error, None)
    assert bench.granted == [first]
    assert bench.pool.sockets == len(bench.dials) == 1


def test_a_failed_dial_is_not_told_while_a_busy_connection_may_serve():
    """The next dial waits instead."""
    bench = Bench()
    origin = bench.origin()
    busy = bench.lease(origin)[0]
    waiter = bench.ask(origin)

    bench.fail_dial(origin)
    assert (waiter.error, bench.dials) == (None, [])
    assert bench.rechecks == [(origin, bench.now + 1.0)]
    bench.pass_time(1.0)
    assert bench.dials == [origin]
    bench.release(busy)

    assert waiter.connection is busy.connection


def test_a_failed_dial_is_told_where_idle_connections_may_not_serve():
    """An origin that is down answers a POST 502, not 503 after the queue timeout."""
    bench = Bench()
    origin = bench.origin()
    bench.idle(origin)
    bench.pass_time(5)
    waiter = bench.ask(origin, max_idle=4.0)
    error = UpstreamConnectError("refused")

    bench.fail_dial(origin, error)

    assert waiter.error is error


def test_the_measured_connect_time_leans_to_the_newest():
    """One slow connect does not count for ever."""
    bench = Bench()
    origin = bench.origin()

    bench.pool.ages.learn_connect(origin, 0.1)
    bench.pool.ages.learn_connect(origin, 0.02)

    assert origin.connect_seconds == pytest.approx(0.08)


# Unsafe methods...


def test_an_unsafe_request_gets_a_new_connection_where_idle_ones_are_too_old():
    """Design D6; the idle one stays for others."""
    bench = Bench()
    origin = bench.origin()
    (old,) = bench.idle(origin)
    bench.pass_time(4)

    unsafe = bench.ask(origin, max_idle=4.0)
    assert bench.pool.miss(origin) == Miss.UNSAFE_METHOD
    fresh = bench.finish_dial(origin)

    assert unsafe.connection is fresh
    assert held(bench.ask(origin)) is old


def test_an_unsafe_request_takes_a_connection_that_was_just_idle():
    """Only the age of the idleness counts."""
    bench = Bench()
    origin = bench.origin()
    (recent,) = bench.idle(origin)
    bench.pass_time(3.9)

    assert held(bench.ask(origin, max_idle=4.0)) is recent


def test_an_unsafe_request_at_the_cap_has_an_idle_connection_replaced():
    """Else it would wait for a connection that it may not use."""
    bench = Bench(max_per_origin=1)
    origin = bench.origin()
    (old,) = bench.idle(origin)
    bench.pass_time(5)

    waiter = bench.ask(origin, max_idle=4.0)
    assert bench.closing == [old]
    bench.finish_closing()
    bench.finish_dial(origin)

    assert waiter.connection is not None


def test_a_zero_unsafe_idle_time_still_serves_what_was_just_released():
    """Even with unsafe_reuse_max_idle = 0 a queue moves."""
    bench = Bench(max_per_origin=1)
    origin = bench.origin()
    busy = bench.lease(origin)[0]
    waiter = bench.ask(origin, max_idle=0.0)

    bench.release(busy)

    assert waiter.connection is busy.connection


def test_an_unsafe_request_in_front_does_not_hold_up_the_safe_ones():
    """Who may use an idle connection gets it, whoever stands before."""
    bench = Bench()
    origin = bench.origin()
    (old,) = bench.idle(origin)
    bench.pass_time(5)

    unsafe = bench.ask(origin, max_idle=4.0)
    safe = bench.ask(origin)

    assert unsafe.connection is None
    assert safe.connection is old
    assert bench.dials == [origin]


def test_a_fresh_connection_serves_before_it_makes_room_for_another_origin():
    """Or a dial would be for nothing: the other origin's waiter gets its place next."""
    bench = Bench(max_sockets=2, max_per_origin=2)
    here, there = bench.origin("a.test"), bench.origin("b.test")
    busy = bench.lease(here)[0]
    waiting = bench.ask(here)
    starving = bench.ask(there)
    starving.since = waiting.since - 1
    connection = bench.finish_dial(here)

    assert waiting.connection is connection
    bench.release(busy)
    bench.finish_closing()
    assert bench.dials == [there]
