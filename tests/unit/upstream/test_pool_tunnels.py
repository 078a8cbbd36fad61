"""The pool's books of what nobody else may have: private connections and tunnels."""

import pytest

from reuse_proxy.errors import UnavailableError
from reuse_proxy.upstream.books import CloseReason, Miss, State
from tests.support.pools import Bench, held


def test_a_private_connection_serves_nobody_else():
    """It is no idle one, though it rests; its lease has ended."""
    bench = Bench()
    origin = bench.origin()
    (waiter,) = bench.lease(origin)

    bench.reserve(waiter)
    other = bench.ask(origin)

    connection = held(waiter)
    assert connection.state is State.PRIVATE
    assert (connection.leases, connection.idle_since) == (0, bench.now)
    counted = {state for state, count in origin.states().items() if count}
    assert counted == {State.PRIVATE, State.CONNECTING}
    assert other.connection is None
    assert bench.dials == [origin]


def test_a_private_connection_is_leased_to_its_client_again():
    """As often as it likes; each lease ends once."""
    bench = Bench()
    origin = bench.origin()
    (waiter,) = bench.lease(origin)
    connection = held(waiter)

    for _ in range(2):
        bench.reserve(waiter)
        bench.resume(waiter)
        assert (connection.state, connection.leases) == (State.ACTIVE, 1)
        assert (origin.private, origin.active) == (set(), {connection})

    bench.release(waiter)
    assert (connection.state, connection.leases) == (State.IDLE, 0)
    assert origin.idle == [connection]


def test_a_private_connection_counts_under_both_caps():
    """Nobody dials in its place, and it is not evicted for anybody."""
    bench = Bench(max_per_origin=1, max_sockets=1)
    origin, other = bench.origin(), bench.origin("b.test")
    (waiter,) = bench.lease(origin)
    bench.reserve(waiter)

    waiters = [bench.ask(origin), bench.ask(other)]

    assert (bench.pool.sockets, origin.sockets, origin.open) == (1, 1, 1)
    assert [waiter.connection for waiter in waiters] == [None, None]
    assert (bench.dials, bench.closing) == ([], [])


def test_a_private_connection_gives_its_place_when_it_is_gone():
    """To the oldest that waits."""
    bench = Bench(max_sockets=1)
    origin, other = bench.origin(), bench.origin("b.test")
    (waiter,) = bench.lease(origin)
    bench.reserve(waiter)
    waiting = bench.ask(other)

    bench.do(bench.pool.discard(held(waiter), CloseReason.CLIENT_LEFT))
    assert origin.private == set()
    bench.finish_closing()
    bench.finish_dial(other)

    assert waiting.connection is not None
    assert origin.stats.closed == {CloseReason.CLIENT_LEFT: 1}


def test_a_private_connection_expires_like_an_idle_one():
    """At the idle timeout, by the sweep; not before."""
    bench = Bench(idle_timeout=30.0)
    origin = bench.origin()
    (waiter,) = bench.lease(origin)
    bench.reserve(waiter)

    bench.pass_time(29.9)
    bench.sweep()
    assert held(waiter).state is State.PRIVATE
    bench.pass_time(0.1)
    bench.sweep()

    assert origin.stats.closed == {CloseReason.EXPIRED_IDLE: 1}
    assert bench.closing == [held(waiter)]


def test_a_tunnel_ends_its_lease_and_never_comes_back():
    """It is in the books until its socket is gone."""
    bench = Bench()
    origin = bench.origin()
    (waiter,) = bench.lease(origin)
    connection = held(waiter)

    bench.hand_over(waiter)

    assert (connection.state, connection.leases) == (State.TUNNEL, 0)
    assert (origin.active, origin.tunnels) == (set(), {connection})
    assert list(origin.connections()) == [connection]
    assert bench.pool.tunnels == 1
    assert origin.states()[State.TUNNEL] == 1
    assert "tunnels=1" in repr(origin)
    bench.do(bench.pool.discard(connection, CloseReason.TUNNEL_END))
    assert (bench.pool.tunnels, bench.pool.sockets) == (0, 1)
    bench.finish_closing()
    assert (bench.pool.sockets, list(origin.connections())) == (0, [])
    assert origin.stats.closed == {CloseReason.TUNNEL_END: 1}


def test_a_tunnel_gives_its_place_under_the_cap_of_its_origin_back():
    """At once: who waits for a connection to this origin may dial."""
    bench = Bench(max_per_origin=1)
    origin = bench.origin()
    (waiter,) = bench.lease(origin)
    waiting = bench.ask(origin)
    assert bench.dials == []

    bench.hand_over(waiter)
    bench.finish_dial(origin)

    assert waiting.connection is not None
    assert (origin.sockets, bench.pool.sockets) == (1, 2)


def test_tunnels_to_one_origin_are_bounded_by_the_global_cap_alone():
    """Each is dialled under the origin's cap, one after the other."""
    bench = Bench(max_per_origin=1, max_sockets=5)
    origin = bench.origin()

    for _ in range(5):
        (waiter,) = bench.lease(origin)
        bench.hand_over(waiter)
    waiting = bench.ask(origin)

    assert waiting.connection is None
    assert (bench.pool.tunnels, bench.pool.sockets, origin.sockets) == (5, 5, 0)
    assert (bench.dials, bench.closing) == ([], [])


def test_a_tunnel_is_never_evicted():
    """Only an idle connection makes room, though the tunnel is older."""
    bench = Bench(max_sockets=2)
    origin, idle, other = bench.origin(), bench.origin("b.test"), bench.origin("c.test")
    (waiter,) = bench.lease(origin)
    bench.hand_over(waiter)
    (connection,) = bench.idle(idle)

    bench.ask(other)
    assert bench.closing == [connection]
    bench.finish_closing()
    bench.finish_dial(other)
    late = bench.ask(idle)

    assert late.connection is None
    assert (bench.closing, bench.dials) == ([], [])


def test_the_end_of_a_tunnel_lets_a_starved_origin_go_on():
    """Its socket counts until it is gone, and its place is given away then."""
    bench = Bench(max_sockets=1)
    origin, other = bench.origin(), bench.origin("b.test")
    (waiter,) = bench.lease(origin)
    bench.hand_over(waiter)
    waiting = bench.ask(other)

    bench.do(bench.pool.discard(held(waiter), CloseReason.TUNNEL_END))
    assert bench.dials == []
    bench.finish_closing()
    bench.finish_dial(other)

    assert waiting.connection is not None


def test_a_tunnel_does_not_expire():
    """Neither for being idle nor for its age: it is not the pool's to judge."""
    bench = Bench(idle_timeout=30.0, max_lifetime=600.0)
    (waiter,) = bench.lease(bench.origin())
    held(waiter).expires_at = bench.now + 600.0
    bench.hand_over(waiter)

    bench.pass_time(10_000.0)
    bench.sweep()

    assert held(waiter).state is State.TUNNEL
    assert bench.closing == []


def test_an_origin_with_a_tunnel_is_not_forgotten():
    """Its books are needed when the tunnel ends."""
    bench = Bench()
    origin = bench.origin()
    (waiter,) = bench.lease(origin)
    bench.hand_over(waiter)

    bench.pass_time(10_000.0)
    bench.sweep()
    assert origin.origin in bench.pool.origins
    bench.do(bench.pool.discard(held(waiter), CloseReason.TUNNEL_END))
    bench.finish_closing()
    bench.pass_time(10_000.0)
    bench.sweep()

    assert bench.pool.origins == {}


def test_who_waits_in_vain_is_told_how_many_sockets_are_tunnels():
    """They may be what fills the cap."""
    bench = Bench(max_sockets=2, queue_timeout=10.0)
    origin, other = bench.origin(), bench.origin("b.test")
    for waiter in bench.lease(origin, 2):
        bench.hand_over(waiter)
    waiting = bench.ask(other)

    bench.pass_time(10.0)
    bench.sweep()

    assert isinstance(waiting.error, UnavailableError)
    assert (
        "2 in all are open, 2 of these tunnels, as many as max_sockets allows."
        in str(waiting.error)
    )


def test_tunnels_take_places_from_the_queue():
    """Whoever could not have a dial is in it, and it is bounded."""
    bench = Bench(max_sockets=1, max_queue=0)
    origin, other = bench.origin(), bench.origin("b.test")
    (waiter,) = bench.lease(origin)
    bench.hand_over(waiter)

    with pytest.raises(UnavailableError, match="max_queue"):
        bench.ask(other)


def test_what_connect_misses_is_counted_by_itself():
    """A tunnel could never have been reused."""
    bench = Bench()
    origin = bench.origin()
    assert bench.pool.miss(origin) == Miss.FIRST
    bench.lease(origin)
    assert bench.pool.miss(origin) == Miss.BUSY

    assert bench.pool.miss(bench.tunnel_origin()) == Miss.TUNNEL
