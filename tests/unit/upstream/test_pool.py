"""The pool's decisions: who gets which connection, and what makes room."""

from reuse_proxy.upstream.books import CloseReason, State
from tests.support.pools import Bench, held


def test_the_newest_idle_connection_is_taken_first():
    """LIFO, so that the tail grows old and the pool shrinks."""
    bench = Bench()
    origin = bench.origin()
    first, second, third = bench.idle(origin, 3)

    taken = [held(bench.ask(origin)) for _ in range(3)]

    assert taken == [third, second, first]
    assert bench.dials == []


def test_a_waiter_is_served_by_whatever_comes_first_and_the_dial_goes_idle():
    """A released connection wins the race; the dial's is kept (design D4)."""
    bench = Bench()
    origin = bench.origin()
    busy = bench.lease(origin)[0]
    waiter = bench.ask(origin)
    assert bench.dials == [origin]

    bench.release(busy)
    loser = bench.finish_dial(origin)

    assert waiter.connection is busy.connection
    assert origin.idle == [loser]
    assert bench.granted[-1] is waiter


def test_the_oldest_waiter_is_served_first():
    """FIFO among those who wait."""
    bench = Bench(max_per_origin=1)
    origin = bench.origin()
    busy = bench.lease(origin)[0]
    waiters = [bench.ask(origin) for _ in range(3)]

    bench.release(busy)
    bench.release(waiters[0])

    assert [waiter.connection is not None for waiter in waiters] == [True, True, False]


def test_nobody_overtakes_the_queue():
    """An idle connection belongs to those who wait, not to who comes next."""
    bench = Bench(max_per_origin=1)
    origin = bench.origin()
    busy = bench.lease(origin)[0]
    first = bench.ask(origin)
    second = bench.ask(origin)

    bench.release(busy)

    assert first.connection is not None
    assert second.connection is None
    assert bench.pool.take(origin, bench.now, 9.0) is None


# Caps...


def test_the_cap_of_an_origin_counts_dials_and_closing_sockets():
    """Hard: a new socket only when an old one is really gone."""
    bench = Bench(max_per_origin=2)
    origin = bench.origin()
    one, two = bench.lease(origin, 2)
    waiter = bench.ask(origin)
    assert (origin.sockets, bench.dials) == (2, [])

    bench.discard(one)
    assert (origin.sockets, bench.dials) == (2, [])
    bench.finish_closing()

    assert (origin.sockets, bench.dials) == (2, [origin])
    assert held(two).state is State.ACTIVE
    assert waiter.connection is None


def test_the_global_cap_counts_the_sockets_of_all_origins():
    """A full pool makes the next origin wait."""
    bench = Bench(max_sockets=2)
    one = bench.lease(bench.origin("a.test"))[0]
    bench.lease(bench.origin("b.test"))
    third = bench.origin("c.test")

    waiter = bench.ask(third)
    assert bench.dials == []
    bench.discard(one)
    assert bench.dials == []
    bench.finish_closing()

    assert bench.dials == [third]
    assert bench.finish_dial(third) is waiter.connection
    assert bench.pool.sockets == 2


def test_at_the_global_cap_the_least_recently_used_idle_connection_makes_room():
    """Whatever origin it belongs to; the newer ones stay."""
    bench = Bench(max_sockets=3)
    (oldest,) = bench.idle(bench.origin("a.test"))
    (middle,) = bench.idle(bench.origin("b.test"))
    (newest,) = bench.idle(bench.origin("c.test"))
    bench.release(bench.ask(bench.origin("a.test")))
    fourth = bench.origin("d.test")

    bench.ask(fourth)

    assert bench.closing == [middle]
    assert middle.pool.stats.closed == {CloseReason.EVICTED: 1}
    assert bench.dials == []
    bench.finish_closing()
    assert bench.dials == [fourth]
    assert {oldest.state, newest.state} == {State.IDLE}


def test_one_waiter_evicts_one_connection():
    """Looking again while a socket closes does not close another."""
    bench = Bench(max_sockets=3)
    bench.idle(bench.origin("a.test"), 3)
    other = bench.origin("b.test")

    bench.ask(other)
    bench.do(bench.pool.assign(other, bench.now))
    bench.sweep()

    assert len(bench.closing) == 1


def test_a_released_connection_goes_to_the_starved_origin_if_nobody_waits_here():
    """Its socket is closed, for theirs."""
    bench = Bench(max_sockets=1)
    busy = bench.lease(bench.origin("a.test"))[0]
    other = bench.origin("b.test")
    waiter = bench.ask(other)

    bench.release(busy)
    assert bench.closing == [busy.connection]
    bench.finish_closing()
    bench.finish_dial(other)

    assert waiter.connection is not None


def test_a_starved_origin_whose_client_came_first_is_not_starved_for_good():
    """A queue of another origin that never ends cannot keep all sockets."""
    bench = Bench(max_sockets=2)
    greedy = bench.origin("a.test")
    busy = bench.lease(greedy, 2)
    bench.pass_time(1)
    starved = bench.ask(bench.origin("b.test"))
    bench.pass_time(1)
    queue = [bench.ask(greedy) for _ in range(5)]

    bench.release(busy[0])
    bench.finish_closing()
    bench.finish_dial(starved.pool)

    assert starved.connection is not None
    assert [waiter.connection for waiter in queue] == [None] * 5


def test_equal_shares_are_left_alone():
    """Two origins with one socket each do not take them from one another."""
    bench = Bench(max_sockets=2)
    one, two = bench.origin("a.test"), bench.origin("b.test")
    first = bench.lease(one)[0]
    bench.lease(two)
    bench.ask(two)
    bench.pass_time(1)
    later = bench.ask(one)

    bench.release(first)

    assert later.connection is first.connection
    assert bench.closing == []
