"""What one client connection adds to an account."""

from dataclasses import dataclass

import pytest

from reuse_proxy.http.target import Origin
from reuse_proxy.ledger.account import Account
from reuse_proxy.ledger.visit import Visit
from reuse_proxy.upstream.books import OriginPool
from reuse_proxy.upstream.stats import OriginStats


@dataclass
class Done:
    """An exchange that is over."""

    origin_pool: OriginPool | None
    reused: bool = False
    miss: str = ""


@dataclass
class Bytes:
    """A connection's traffic."""

    written: int = 0
    received: int = 0


def pool_of(name, *, connect_seconds=0.25):
    """An origin that took so long to connect to."""
    origin = Origin("http", f"{name}.test", 80)
    pool = OriginPool(origin, OriginStats(str(origin)))
    pool.connect_seconds = connect_seconds
    return pool


@pytest.fixture
def account():
    """Whose visit it is."""
    return Account("a", product="", label="a")


@pytest.fixture
def visit(account):
    """A connection that has just been opened."""
    return Visit(account, None)


def test_the_first_reused_socket_of_a_pair_is_a_connection_saved(visit, account):
    """Pair: client connection and origin. Further requests save nothing more."""
    pool = pool_of("a")

    for _ in range(3):
        visit.note(Done(pool, reused=True), Bytes(), closing=False)

    assert (account.saved, account.saved_seconds) == (1, 0.25)
    assert (pool.stats.saved, pool.stats.saved_seconds) == (1, 0.25)
    assert account.upstream_reused == account.requests == 3


def test_a_pair_that_began_with_a_new_connection_saves_nothing(visit, account):
    """The client would have needed that one as well, and would have kept it."""
    pool = pool_of("a")

    visit.note(Done(pool, miss="first"), Bytes(), closing=False)
    visit.note(Done(pool, reused=True), Bytes(), closing=False)

    assert account.saved == 0
    assert account.misses == {"first": 1}


def test_each_origin_of_a_connection_is_a_pair_of_its_own(visit, account):
    """Also when the origins are asked in turn, and when a pool was made anew."""
    for name in ("a", "b", "a", "b"):
        visit.note(Done(pool_of(name), reused=True), Bytes(), closing=False)

    assert account.saved == 2


def test_past_the_bound_of_origins_nothing_is_saved(visit, account):
    """So that one connection cannot fill the memory; the estimate stays a lower one."""
    for number in range(100):
        visit.note(Done(pool_of(f"o{number}"), reused=True), Bytes(), closing=False)

    assert account.saved == 64


def test_a_request_that_got_no_connection_is_counted_and_no_more(visit, account):
    """It waited in vain, or was denied."""
    visit.note(Done(None), Bytes(), closing=True)

    assert (account.requests, account.close_requests) == (1, 1)
    assert account.upstream_opened == account.upstream_reused == account.saved == 0


def test_bytes_are_counted_as_they_grow(visit, account):
    """What the connection counts is never counted twice."""
    visit.note(Done(None), Bytes(written=100, received=10), closing=False)
    visit.note(Done(None), Bytes(written=150, received=30), closing=False)

    assert (account.sent, account.received) == (150, 30)


def test_an_abort_is_counted_by_its_phase_unless_we_ended_it(visit, account):
    """A client that was reset because it stalled has not left."""
    visit.aborted("head")
    visit.stalled()
    visit.aborted("body")

    assert account.aborts == {"head": 1}
    assert account.stalls == 1


def test_a_tunnel_is_an_upstream_connection_that_serves_nobody_else(visit, account):
    """Short below five seconds."""
    visit.tunnelled(pool_of("a"), 4.9)
    visit.tunnelled(pool_of("a"), 5.0)

    assert (account.tunnels, account.short_tunnels) == (2, 1)
    assert account.upstream_opened == 2
    assert account.misses == {"tunnel": 2}
    assert account.tunnel_origins == {"http://a.test:80": (2, 1)}
    assert repr(visit) == "<Visit of 'a' requests=0>"
