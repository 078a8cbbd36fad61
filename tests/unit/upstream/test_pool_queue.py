"""The pool's queue: its bounds, leaving it, and what a release does."""

import pytest

from reuse_proxy.errors import UnavailableError
from reuse_proxy.upstream.books import CloseReason, Miss, State
from tests.support.pools import Bench, FakeConnection, held


def test_the_queue_is_bounded_in_length():
    """Who comes after is told to try again, and leaves nothing behind."""
    bench = Bench(max_per_origin=1, max_queue=2)
    origin = bench.origin()
    bench.lease(origin)
    bench.ask(origin)
    bench.ask(origin)

    with pytest.raises(UnavailableError, match="max_queue") as caught:
        bench.ask(origin)

    assert caught.value.retry_after == 1
    assert len(origin.waiters) == 2


@pytest.mark.parametrize("max_queue", [0, 1])
def test_who_gets_a_dial_of_its_own_is_not_in_the_queue(max_queue):
    """A burst on an empty pool is served up to the cap, however short the queue."""
    bench = Bench(max_per_origin=4, max_queue=max_queue)
    origin = bench.origin()

    waiters = [bench.ask(origin) for _ in range(4 + max_queue)]

    assert len(bench.dials) == 4
    with pytest.raises(UnavailableError):
        bench.ask(origin)
    for _ in range(4):
        bench.finish_dial(origin)
    assert [w.connection is None for w in waiters] == [False] * 4 + [True] * max_queue


def test_the_queue_is_bounded_where_the_global_cap_is_the_limit_too():
    """Another origin has all sockets, and none of them is idle."""
    bench = Bench(max_sockets=1, max_queue=0)
    bench.lease(bench.origin("a.test"))

    with pytest.raises(UnavailableError, match="max_sockets"):
        bench.ask(bench.origin("b.test"))


def test_who_can_have_the_place_of_an_idle_connection_is_not_in_the_queue():
    """It is evicted for whoever comes."""
    bench = Bench(max_sockets=1, max_queue=0)
    bench.release(bench.lease(bench.origin("a.test"))[0])

    bench.ask(bench.origin("b.test"))

    assert len(bench.closing) == 1


def test_who_can_have_the_place_of_a_connection_too_old_for_it_is_not_in_the_queue():
    """A POST after a pause, at the cap: what is idle gives way to a new one."""
    bench = Bench(max_per_origin=1, max_queue=0)
    origin = bench.origin()
    bench.release(bench.lease(origin)[0])
    bench.pass_time(5)

    bench.ask(origin, max_idle=4.0)

    assert len(bench.closing) == 1


def test_a_turn_that_gave_a_stale_connection_comes_first_again():
    """It keeps its time and passes the bound of the queue."""
    bench = Bench(max_per_origin=1, max_queue=1)
    origin = bench.origin()
    busy = bench.lease(origin)[0]
    waiting = bench.ask(origin)

    bench.pool.enqueue(busy, first=True)

    assert list(origin.waiters) == [busy, waiting]


def test_who_waited_in_vain_is_told_why_no_dial_helped():
    """A connection is in use, so that the failure itself was nobody's answer."""
    bench = Bench(queue_timeout=10.0)
    origin = bench.origin()
    bench.lease(origin)
    waiting = bench.ask(origin)
    bench.fail_dial(origin, UnavailableError("Nobody listens there."))

    bench.pass_time(11)
    bench.sweep()

    assert str(waiting.error).endswith("The last dial failed: Nobody listens there.")
    assert "1 of its own and 2 in all are open, 0 of these tunnels." in str(
        waiting.error
    )


def test_who_waited_in_vain_is_told_the_cap_of_the_origin():
    """It is what to raise, if anything is."""
    bench = Bench(max_per_origin=1, queue_timeout=10.0)
    origin = bench.origin()
    bench.lease(origin)
    waiting = bench.ask(origin)

    bench.pass_time(11)
    bench.sweep()

    assert str(waiting.error).endswith("tunnels, as many as max_per_origin allows.")


def test_a_request_waits_no_longer_than_the_queue_timeout():
    """The sweep tells it, with the settings that govern it."""
    bench = Bench(max_per_origin=1, queue_timeout=10.0)
    origin = bench.origin()
    bench.lease(origin)
    first = bench.ask(origin)
    bench.pass_time(5)
    second = bench.ask(origin)
    bench.pass_time(5)

    bench.sweep()

    assert isinstance(first.error, UnavailableError)
    assert "queue_timeout" in str(first.error)
    assert second.error is None
    assert list(origin.waiters) == [second]
    assert origin.stats.queue_timeouts == 1


# Leaving...


def test_leaving_the_queue_leaves_nothing_behind():
    """The next one moves up."""
    bench = Bench(max_per_origin=1)
    origin = bench.origin()
    busy = bench.lease(origin)[0]
    first, second = bench.ask(origin), bench.ask(origin)

    bench.leave(first)
    bench.release(busy)

    assert first.connection is None
    assert second.connection is busy.connection


def test_leaving_with_a_granted_connection_passes_it_on():
    """To the next waiter, or to the idle ones."""
    bench = Bench(max_per_origin=1)
    origin = bench.origin()
    busy = bench.lease(origin)[0]
    first, second = bench.ask(origin), bench.ask(origin)
    bench.release(busy)
    assert first.connection is not None

    bench.leave(first)
    assert second.connection is busy.connection
    bench.leave(second)

    assert origin.idle == [busy.connection]
    assert held(busy).leases == 0


def test_leaving_with_a_granted_connection_that_has_closed_does_not_revive_it():
    """Between the grant and the cancellation its origin may close it."""
    bench = Bench(max_per_origin=1)
    origin = bench.origin()
    busy = bench.lease(origin)[0]
    waiter = bench.ask(origin)
    bench.release(busy)
    connection = held(waiter)
    bench.do(bench.pool.discard(connection, CloseReason.SERVER_CLOSE))
    bench.finish_closing()

    bench.leave(waiter)

    assert (connection.state, connection.leases) == (State.CLOSED, 0)
    assert (origin.idle, bench.pool.sockets) == ([], 0)


def test_leaving_during_a_dial_keeps_its_connection_for_others():
    """The handshake has been paid for."""
    bench = Bench()
    origin = bench.origin()
    waiter = bench.ask(origin)

    bench.leave(waiter)
    connection = bench.finish_dial(origin)

    assert origin.idle == [connection]
    assert bench.granted == []


def test_leaving_with_an_error_changes_nothing():
    """A failed dial has taken it out of the queue."""
    bench = Bench()
    origin = bench.origin()
    waiter = bench.ask(origin)
    bench.fail_dial(origin)

    bench.leave(waiter)

    assert (origin.sockets, bench.pool.sockets) == (0, 0)


# Release...


def test_a_connection_to_be_retired_is_closed_on_release():
    """For the reason that was noted."""
    bench = Bench()
    origin = bench.origin()
    busy = bench.lease(origin)[0]
    held(busy).retire = CloseReason.DNS_CHANGE

    bench.release(busy)

    assert origin.stats.closed == {CloseReason.DNS_CHANGE: 1}
    assert bench.closing == [busy.connection]


def test_a_connection_without_any_idle_time_is_closed_on_release():
    """``Keep-Alive: timeout=1`` leaves none."""
    bench = Bench()
    origin = bench.origin()
    busy = bench.lease(origin)[0]
    held(busy).idle_limit = 0.0

    bench.release(busy)

    assert origin.stats.closed == {CloseReason.SERVER_CLOSE: 1}


def test_a_drained_connection_serves_the_next_waiter():
    """It holds its place under the cap meanwhile."""
    bench = Bench(max_per_origin=1)
    origin = bench.origin()
    busy = bench.lease(origin)[0]
    bench.pool.drain(held(busy))
    waiter = bench.ask(origin)
    assert (held(busy).state, origin.sockets) == (State.DRAINING, 1)

    bench.release(busy)

    assert waiter.connection is busy.connection


def test_a_connection_is_discarded_once():
    """The second reason does not count."""
    bench = Bench()
    origin = bench.origin()
    (connection,) = bench.idle(origin)

    first = bench.do(bench.pool.discard(connection, CloseReason.STALE))
    second = bench.do(bench.pool.discard(connection, CloseReason.SHUTDOWN))

    assert (len(first), second) == (1, [])
    assert origin.stats.closed == {CloseReason.STALE: 1}


# Inspect...


def test_a_miss_has_a_reason():
    """Why a request needs a new connection, in the words of the metric."""
    bench = Bench()
    origin = bench.origin()
    assert bench.pool.miss(origin) == Miss.FIRST
    busy = bench.lease(origin)[0]
    assert bench.pool.miss(origin) == Miss.BUSY

    bench.discard(busy)

    assert bench.pool.miss(origin) == CloseReason.ABORTED


def test_a_pool_tells_who_waits_and_how_it_stands():
    """The numbers that the admin pages show."""
    bench = Bench(max_per_origin=2)
    origin = bench.origin()
    assert origin.waiting(bench.now) == (0, 0.0)
    bench.lease(origin)
    bench.idle(origin)
    bench.lease(origin)
    bench.ask(origin)
    bench.pass_time(2)
    bench.ask(origin)

    assert origin.waiting(bench.now) == (2, 2.0)
    assert repr(origin) == (
        "<OriginPool http://a.test:80 active=2 idle=0 draining=0 dialing=0 "
        "closing=0 private=0 tunnels=0 waiting=2>"
    )
    assert repr(bench.pool).startswith("<Pool 2 sockets, ")


def test_a_connection_enters_the_books_idle():
    """What a dial opened for nobody is the newest idle one."""
    bench = Bench()
    origin = bench.origin()
    origin.dialing = 1
    bench.pool.sockets = 1
    connection = FakeConnection(origin)

    bench.do(bench.pool.dialed(connection, bench.now))

    assert (connection.state, connection.idle_since) == (State.IDLE, bench.now)
    assert origin.stats.opened == 1
