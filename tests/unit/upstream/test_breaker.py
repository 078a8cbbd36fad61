"""The circuit breaker's rules on a bench: explicit times, no sockets."""

import pytest

from reuse_proxy.errors import (
    AccessDeniedError,
    UnavailableError,
    UpstreamConnectError,
    UpstreamTimeoutError,
)
from tests.support.pools import Bench

REFUSED = UpstreamConnectError("refused")


@pytest.fixture
def bench():
    """A pool whose breaker opens at the third failure, for five seconds."""
    return Bench(breaker_failures=3, breaker_time=5.0)


def fail(bench, times, error=REFUSED):
    """Have so many requests fail, one after another."""
    pool = bench.origin()
    for _ in range(times):
        waiter = bench.ask(pool)
        bench.fail_dial(pool, error)
        assert waiter.error is error
    return pool


def test_requests_are_refused_at_once_after_dials_in_a_row_have_failed(bench):
    """The third failure is the client's to know; the fourth request dials no more."""
    pool = fail(bench, 3)

    waiter = bench.ask(pool)

    assert isinstance(waiter.error, UnavailableError)
    assert (waiter.error.status, waiter.error.retry_after) == (503, 5)
    assert "last 3 dials" in waiter.error.sentence
    assert "The last one: refused" in waiter.error.sentence
    assert not bench.dials


def test_one_failure_fewer_opens_nothing(bench):
    """Two of three: the next request is dialled for."""
    pool = fail(bench, 2)

    bench.ask(pool)

    assert bench.dials == [pool]


def test_a_success_in_between_begins_the_count_anew(bench):
    """Two fail, one succeeds, two fail: still closed."""
    pool = fail(bench, 2)
    waiter = bench.ask(pool)
    bench.finish_dial(pool)
    bench.discard(waiter)
    bench.finish_closing()
    fail(bench, 2)

    bench.ask(pool)

    assert bench.dials == [pool]


def test_one_dial_probes_when_the_time_is_over_and_the_others_wait_for_it(bench):
    """Three requests, one dial; it succeeds, and dials go on as ever."""
    pool = fail(bench, 3)
    bench.now += 5.0

    waiters = [bench.ask(pool) for _ in range(3)]
    assert bench.dials == [pool]
    assert [waiter.error for waiter in waiters] == [None] * 3
    bench.finish_dial(pool)

    assert waiters[0].connection is not None
    assert len(bench.dials) == 2
    assert pool.failures == 0


def test_a_probe_that_fails_tells_everybody_and_opens_it_again(bench):
    """The first hears of the dial, the others of the breaker; five seconds more."""
    pool = fail(bench, 3)
    bench.now += 5.0
    first, second = bench.ask(pool), bench.ask(pool)
    bench.fail_dial(pool, REFUSED)

    assert first.error is REFUSED
    assert isinstance(second.error, UnavailableError)
    bench.now += 4.5
    late = bench.ask(pool)
    assert isinstance(late.error, UnavailableError)
    assert late.error.retry_after == 1


def test_whoever_has_a_dial_under_way_is_not_refused(bench):
    """Four dials at once, three fail: the fourth may succeed yet."""
    pool = bench.origin()
    waiters = [bench.ask(pool) for _ in range(5)]
    for _ in range(3):
        bench.fail_dial(pool, REFUSED)

    assert [waiter.error for waiter in waiters[3:]] == [None] * 2
    bench.finish_dial(pool)
    assert waiters[3].connection is not None


def test_an_open_connection_is_waited_for_while_the_breaker_is_open(bench):
    """What is in use still serves; only dials wait."""
    pool = bench.origin()
    using = bench.ask(pool)
    bench.finish_dial(pool)
    waiting = bench.ask(pool)
    for _ in range(3):
        bench.fail_dial(pool, REFUSED)
        bench.pass_time(1.1)

    late = bench.ask(pool)

    assert bench.pool.breaker.is_open(pool)
    assert not bench.dials
    bench.release(using)
    bench.release(waiting)
    assert late.connection is not None


@pytest.mark.parametrize(
    ("error", "opens"),
    [
        (UpstreamConnectError("refused", error="connection_refused"), True),
        (UpstreamTimeoutError("slow", error="connection_timeout"), True),
        (UpstreamConnectError("bad", error="tls_certificate_error"), True),
        (UpstreamConnectError("no name", error="dns_error"), False),
        (UpstreamTimeoutError("slow name", error="dns_timeout"), False),
        (AccessDeniedError("denied"), False),
        (UnavailableError("no more files"), False),
    ],
)
def test_only_what_the_origin_is_to_blame_for_counts(bench, error, opens):
    """Names, policy and limits of ours are no reason not to dial."""
    pool = fail(bench, 3, error)

    assert bench.pool.breaker.is_open(pool) is opens


def test_zero_failures_switch_the_breaker_off():
    """Every request is dialled for, for ever."""
    bench = Bench(breaker_failures=0)

    pool = fail(bench, 20)

    assert not bench.pool.breaker.is_open(pool)


def test_an_origin_that_fails_is_remembered_for_a_minute(bench):
    """Longer than scrapes are apart, after its time; not for good, though it was seen."""
    pool = bench.origin()
    seen = bench.ask(pool)
    bench.finish_dial(pool)
    bench.discard(seen)
    bench.finish_closing()
    fail(bench, 3)

    bench.now += 64
    bench.sweep()
    assert bench.pool.breaker.keeps_out(pool)
    bench.now += 2
    bench.sweep()
    assert not bench.pool.breaker.keeps_out(pool)


def test_nobody_is_kept_out_while_a_connection_serves(bench):
    """The dials fail; requests go on the one that is open."""
    pool = bench.origin()
    using = bench.ask(pool)
    bench.finish_dial(pool)
    bench.ask(pool)
    for _ in range(3):
        bench.fail_dial(pool, REFUSED)
        bench.pass_time(1.1)
    bench.release(using)

    assert bench.pool.breaker.is_open(pool)
    assert not bench.pool.breaker.keeps_out(pool)


def test_a_private_connection_is_not_waited_for(bench):
    """It is its client's, and will not become free: others are refused at once."""
    pool = bench.origin()
    own = bench.ask(pool)
    bench.finish_dial(pool)
    bench.reserve(own)
    fail(bench, 3)

    assert isinstance(bench.ask(pool).error, UnavailableError)
