"""The pooled session over real sockets: leases, settlement, and its end."""

import asyncio
import contextlib
import os

import pytest

from reuse_proxy.errors import (
    UnavailableError,
    UpstreamClosedError,
    UpstreamConnectError,
)
from reuse_proxy.http.target import Origin as Key
from reuse_proxy.upstream.books import CloseReason, Limits, State
from reuse_proxy.upstream.endings import check_progress
from reuse_proxy.upstream.options import SessionOptions
from reuse_proxy.upstream.policy import DestinationPolicy
from reuse_proxy.upstream.session import UpstreamSession


@contextlib.asynccontextmanager
async def session_over(names, *, options=None, **limits):
    """Open a session and close it at the end; its books must be empty then."""
    session = UpstreamSession(
        SessionOptions(limits=Limits(**limits), **(options or {})),
        resolver=names,
        policy=DestinationPolicy(),
    )
    try:
        yield session
    finally:
        await session.aclose()
        assert session.connections() == []
        assert session.pool.sockets == 0


def key(origin):
    """Return the pool key of a test origin."""
    return Key("http", origin.name, origin.port)


async def lease(session, origin, *, unsafe=False):
    """Lease as forward does: an idle connection, or wait for one."""
    taken = session.take(key(origin), unsafe=unsafe)
    return taken or await session.wait(key(origin), unsafe=unsafe)


async def exchange(session, origin, path="/"):
    """Do a whole exchange and return the connection it was on."""
    connection = await lease(session, origin)
    request(connection, origin, path)
    while not connection.response.complete:
        await connection.receive()
        connection.response.heads.clear()
        connection.take_body()
    session.settle(connection)
    return connection


def request(connection, origin, path="/"):
    """Send a request on a leased connection."""
    head = b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (path.encode(), origin.authority)
    connection.send("GET", head, complete=True)


async def test_exchanges_one_after_the_other_share_a_connection(names, origin):
    """And the numbers say so."""
    async with session_over(names) as session:
        connections = {await exchange(session, origin) for _ in range(5)}

        stats = session.stats.origins[str(key(origin))]
        assert origin.accepted == len(connections) == 1
        assert (stats.opened, stats.reused) == (1, 4)
        assert +session.stats.misses == {"first": 1}


async def test_a_failed_dial_is_told_to_whoever_waits(names, unused_tcp_port):
    """With its own error."""
    async with session_over(names) as session:
        nobody = Key("http", "a.test", unused_tcp_port)

        with pytest.raises(UpstreamConnectError):
            await session.wait(nobody, unsafe=False)

        assert session.take(nobody, unsafe=False) is None
        stats = session.stats.origins[str(nobody)]
        assert stats.connect_failures == {"connection_refused": 1}


async def test_a_second_connection_is_dialled_after_the_dial_patience(names, origin):
    """In its own time, not at the next sweep; uvloop's timers count milliseconds."""
    async with session_over(names, dial_patience=0.0104) as session:
        first = await lease(session, origin)
        loop = asyncio.get_running_loop()
        started = loop.time()

        second = await lease(session, origin)

        assert 0.009 <= loop.time() - started < 0.5
        assert second is not first
        session.settle(first)
        session.settle(second)


async def test_a_lease_that_sent_nothing_gives_its_connection_back(names, origin):
    """Nothing was sent, so nothing has to be received."""
    async with session_over(names) as session:
        connection = await exchange(session, origin)
        again = await lease(session, origin)

        session.settle(again)

        assert again is connection
        assert connection.leases == 0
        assert connection.state in (State.IDLE, State.CLOSED)


async def test_an_unfinished_response_is_drained_in_the_background(names, origin):
    """Then its connection serves the next exchange."""
    async with session_over(names) as session:
        connection = await lease(session, origin)
        request(connection, origin, "/hold")
        await connection.receive()

        session.settle(connection)
        assert connection.state is State.DRAINING
        assert session.states()[str(key(origin)), "draining"] == 1
        origin.release.set()

        assert await exchange(session, origin) is connection
        assert +session.stats.drains == {"reused": 1}
        assert session.stats.drained_bytes == 2


async def test_a_stale_connection_is_passed_over_for_the_next(names, make_origin):
    """What its origin closed is noticed at the lease, without a turn of the loop."""
    origin = await make_origin()
    async with session_over(names, dial_patience=0.0) as session:
        one, two = await lease(session, origin), await lease(session, origin)
        await origin.until(lambda: origin.accepted == 2)
        for connection in (one, two):
            request(connection, origin)
            while not connection.response.complete:
                await connection.receive()
            session.settle(connection)
        ends = {c.writer.get_extra_info("peername"): c for c in origin.connections}

        # Straight to the kernel, without a turn of the loop.
        os.write(ends[two.local_address].writer.get_extra_info("socket").fileno(), b"x")
        taken = session.take(key(origin), unsafe=False)

        assert taken is one
        assert two.state is State.CLOSED
        session.settle(one)
        stats = session.stats.origins[str(key(origin))]
        assert stats.closed[CloseReason.STALE] == 1


async def test_who_leaves_the_queue_leaves_nothing_behind(names, origin):
    """The next in the queue gets the connection."""
    async with session_over(names, max_per_origin=1) as session:
        busy = await lease(session, origin)
        request(busy, origin)
        loop = asyncio.get_running_loop()
        waiting = [loop.create_task(lease(session, origin)) for _ in range(3)]
        await asyncio.sleep(0)

        waiting[0].cancel()
        while not busy.response.complete:
            await busy.receive()
        session.settle(busy)
        # Given, but not woken yet.
        waiting[1].cancel()
        served = await waiting[2]

        assert served is busy
        assert served.leases == 1
        session.settle(served)
        assert not session.pool.origins[key(origin)].waiters


async def test_an_origin_that_accepts_and_resets_fails_the_lease(names, make_origin):
    """Nothing of it stays in the books."""

    async def reset(connection):
        connection.reset()

    origin = await make_origin(reset)
    async with session_over(names) as session:
        for _ in range(20):
            # Whether the lease or its use fails depends on the race.
            with contextlib.suppress(UpstreamClosedError):
                session.settle(await lease(session, origin))

    stats = session.stats.origins[str(key(origin))]
    assert stats.opened == sum(stats.closed.values())


async def test_the_session_ends_with_everything_in_flight(names, origin):
    """Leases, drains, dials and waiters."""
    async with session_over(names, max_per_origin=3, dial_patience=0.0) as session:
        loop = asyncio.get_running_loop()
        leased = await lease(session, origin)
        request(leased, origin, "/wait")
        drained = await lease(session, origin)
        request(drained, origin, "/wait")
        session.settle(drained)
        names.hold = asyncio.Event()
        dialling = loop.create_task(
            session.wait(Key("http", "b.test", origin.port), unsafe=False)
        )
        waiting = loop.create_task(session.wait(key(origin), unsafe=False))
        queued = loop.create_task(session.wait(key(origin), unsafe=False))
        await asyncio.sleep(0)

        await session.aclose()

        results = await asyncio.gather(
            dialling, waiting, queued, return_exceptions=True
        )
        kinds = [type(result) for result in results]
        assert kinds[0] is kinds[2] is UnavailableError
        with pytest.raises(UnavailableError):
            await session.wait(key(origin), unsafe=False)
        session.settle(leased)
        closed = session.stats.origins[str(key(origin))].closed
        assert closed[CloseReason.SHUTDOWN] >= 1
        names.hold.set()


@pytest.mark.parametrize("fresh", [False, True])
async def test_a_lease_counts_its_time_from_when_it_is_given(names, origin, *, fresh):
    """Neither the queue nor idleness is the origin's silence (response_timeout)."""
    async with session_over(names, options={"response_timeout": 0.1}) as session:
        if fresh:
            names.hold = asyncio.Event()
            asyncio.get_running_loop().call_later(0.15, names.hold.set)
        else:
            connection = await exchange(session, origin)
            check_progress(connection, session.clock(), limit=0.1)
            await asyncio.sleep(0.15)
        connection = await lease(session, origin)

        check_progress(connection, session.clock(), limit=0.1)

        assert connection.error is None
        assert connection.ready()
        session.settle(connection)


async def test_the_caps_and_states_can_be_read(names, origin):
    """What the admin pages show."""
    async with session_over(names, max_sockets=7) as session:
        busy = await lease(session, origin)

        assert session.limits.max_sockets == 7
        assert session.connections() == [busy]
        assert +session.states() == {(str(key(origin)), "active"): 1}
        assert repr(session).startswith("<UpstreamSession <Pool 1 sockets")
        session.settle(busy)
