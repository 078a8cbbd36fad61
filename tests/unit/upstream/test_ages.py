"""The rules of time, each by itself; through the pool they are in test_pool_time."""

import pytest

from reuse_proxy.upstream.ages import Ages
from reuse_proxy.upstream.books import CloseReason, Limits, State, Waiter
from tests.support.pools import FOREVER, Bench, FakeConnection


def aged(**limits):
    """Make the rules, and one idle connection of one origin at 1000 s."""
    bench = Bench(**limits)
    pool = bench.origin()
    (connection,) = bench.idle(pool)
    return Ages(bench.limits), pool, connection


@pytest.mark.parametrize(
    ("ours", "learned", "announced", "limit"),
    [
        (30.0, FOREVER, FOREVER, 30.0),
        (30.0, 8.0, FOREVER, 8.0),
        (30.0, 8.0, 4.0, 4.0),
        (3.0, 8.0, 4.0, 3.0),
    ],
)
def test_the_shortest_idle_limit_counts(ours, learned, announced, limit):
    """The setting, what was learned, or what the origin has announced."""
    ages, pool, connection = aged(idle_timeout=ours)
    pool.learned_idle_limit, connection.idle_limit = learned, announced

    assert ages.idle_limit(pool, connection) == limit


@pytest.mark.parametrize(
    ("closed_after", "learned"),
    [((0.9,), FOREVER), ((10.0,), 8.0), ((20.0, 10.0), 8.0), ((10.0, 20.0), 8.0)],
)
def test_an_idle_close_lowers_the_limit(closed_after, learned):
    """To four fifths of the shortest time seen; what was quicker is no timeout."""
    ages, pool, connection = aged()

    for seconds in closed_after:
        ages.learn_idle_close(connection, connection.idle_since + seconds)

    assert pool.learned_idle_limit == pytest.approx(learned)


def test_it_is_noted_when_the_limit_was_learned():
    """Since it is forgotten some day."""
    ages, pool, connection = aged()

    ages.learn_idle_close(connection, connection.idle_since + 10.0)

    assert pool.learned_at == connection.idle_since + 10.0


def test_connect_times_are_averaged_towards_the_newest():
    """The first one counts in full, each later one by a quarter."""
    ages, pool, _ = aged()

    means = []
    for seconds in (0.4, 0.8, 0.1):
        ages.learn_connect(pool, seconds)
        means.append(pool.connect_seconds)

    assert means == pytest.approx([0.4, 0.5, 0.4])


def test_an_origin_that_was_seen_is_remembered_for_a_lifetime():
    """One of which nothing is known for a second."""
    ages, pool, connection = aged(max_lifetime=600.0)
    pool.idle.clear()
    pool.used_at = 0.0

    def forgotten(*times, crowded=False):
        return [ages.is_forgotten(pool, time, crowded=crowded) for time in times]

    assert forgotten(1.0, 1.1) == [False, True]
    pool.last_close = CloseReason.SERVER_CLOSE
    assert forgotten(1.1, 600.0, 600.1) == [False, False, True]
    assert forgotten(1.1, crowded=True) == [True]
    pool.idle.append(connection)
    assert forgotten(900.0, crowded=True) == [False]
    assert pool.used_at == 900.0


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (State.IDLE, CloseReason.EXPIRED_IDLE),
        (State.PRIVATE, CloseReason.EXPIRED_IDLE),
        (State.ACTIVE, None),
        (State.DRAINING, None),
        (State.TUNNEL, None),
    ],
)
def test_only_a_connection_that_rests_expires_for_being_idle(state, reason):
    """A tunnel has a limit of its own."""
    ages, _, connection = aged(idle_timeout=30.0)
    connection.state = state

    assert ages.expired(connection, connection.idle_since + 29.9) is None
    assert ages.expired(connection, connection.idle_since + 30.0) is reason


def test_connections_of_one_age_are_renewed_one_by_one():
    """Spread over a tenth of the lifetime."""
    bench = Bench(max_lifetime=600.0, idle_timeout=9999.0)
    ages, pool = Ages(bench.limits), bench.origin()
    connections = bench.idle(pool, 3)
    for connection in connections:
        connection.expires_at = bench.now + 600.0
    due = bench.now + 600.0

    def expired(now):
        return [ages.expired(connection, now) for connection in connections]

    assert expired(due - 0.1) == [None] * 3
    assert expired(due) == [CloseReason.EXPIRED_AGE, None, None]
    assert expired(due + 19.9) == [None] * 3
    assert expired(due + 20.0) == [CloseReason.EXPIRED_AGE, None, None]


@pytest.mark.parametrize(
    ("patience", "connect", "seconds"),
    [
        (0.0, 0.5, 0.0),
        (0.2, None, 0.2),
        (None, None, 0.002),
        (None, 0.001, 0.002),
        (None, 0.02, 0.01),
        (None, 0.5, 0.05),
    ],
)
def test_a_dial_is_patient_while_a_connection_may_become_free(
    patience, connect, seconds
):
    """For as long as the setting says, or half of what a connect takes."""
    bench = Bench()
    pool = bench.origin()
    bench.lease(pool)
    pool.connect_seconds = connect
    waiter = Waiter(pool, since=bench.now, max_idle=FOREVER, wake=lambda: None)

    at = Ages(Limits(dial_patience=patience)).dial_time(pool, waiter)

    assert at == pytest.approx(bench.now + seconds)


@pytest.mark.parametrize("busy", ["active", "draining", "idle", "private"])
def test_a_dial_waits_after_one_that_failed_while_others_are_open(busy):
    """They may serve meanwhile; without any there is nothing to wait for."""
    ages = Ages(Limits(dial_patience=0.0))
    pool = Bench().origin()
    pool.dial_at = 1001.0
    waiter = Waiter(pool, since=1000.0, max_idle=FOREVER, wake=lambda: None)
    alone = ages.dial_time(pool, waiter)
    connection = FakeConnection(pool)
    books = getattr(pool, busy)
    (books.append if busy == "idle" else books.add)(connection)

    assert (alone, ages.dial_time(pool, waiter)) == (0.0, 1001.0)


def test_tunnels_do_not_make_a_dial_wait():
    """None of them becomes free for a request."""
    pool = Bench().origin()
    pool.tunnels.add(FakeConnection(pool))
    waiter = Waiter(pool, since=1000.0, max_idle=FOREVER, wake=lambda: None)

    assert Ages(Limits(dial_patience=5.0)).dial_time(pool, waiter) == 0.0
